//! When calendars are busy.
//!
//! Source: "Freebusy: query" (Google Calendar API).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::pages::Reader;
use super::query::Request;
use super::{api, dialect, fields::CALENDAR};
use crate::error::{Error, ErrorKind, Result};
use crate::record::transcode;
use crate::record::{Record, RowError};

/// Calendars that one request can ask for (`calendarExpansionMax`).
const CALENDARS_MAX: usize = 50;

#[derive(Debug, Deserialize)]
struct Answer {
    calendars: BTreeMap<String, Busy>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Busy {
    busy: Vec<Stretch>,
    errors: Vec<Json>,
}

#[derive(Debug, Deserialize)]
struct Stretch {
    start: String,
    end: String,
}

/// All stretches within the range.
///
/// # Errors
/// What the service refuses, also for one of the calendars.
pub(super) async fn stretches(
    reader: &Reader<'_>,
    request: &Request,
) -> Result<Vec<Result<Record, RowError>>> {
    let (from, to) = request.range.ok_or_else(|| Error::bug("a search for busy times has no range"))?;
    let calendars = match &request.calendars {
        Some(own) => own.clone(),
        None => {
            let all = reader.account.calendars(reader.cx, "search", false).await?;
            all.iter().map(|calendar| calendar.id.clone()).collect()
        }
    };
    let mut rows = Vec::new();
    for some in calendars.chunks(CALENDARS_MAX) {
        let items: Vec<Json> = some.iter().map(|id| json!({ "id": id })).collect();
        let body =
            json!({ "timeMin": from, "timeMax": to, "items": items, "calendarExpansionMax": CALENDARS_MAX });
        let call = api::ask("search", "freeBusy", body.to_string());
        let answer: Answer = dialect::read("busy times", &reader.cx.send(call).await?.body)?;
        for id in some {
            let busy = answer.calendars.get(id).ok_or_else(|| {
                Error::protocol(format!("Google does not say when {id} is busy"))
                    .with_provider("google-calendar")
                    .with_code("not_json")
            })?;
            if let Some(error) = busy.errors.first() {
                return Err(refused(id, error));
            }
            rows.extend(
                busy.busy
                    .iter()
                    .map(|own| json!({ CALENDAR: id, "start": own.start, "end": own.end }).to_string()),
            );
        }
    }
    let rows: Vec<&[u8]> = rows.iter().map(String::as_bytes).collect();
    Ok(transcode::records(&rows, &reader.shape(None)?))
}

fn refused(calendar: &str, error: &Json) -> Error {
    let reason = error["reason"].as_str().unwrap_or("unknown");
    let kind = if reason == "notFound" { ErrorKind::NotFound } else { ErrorKind::Refused };
    Error::new(kind, format!("the busy times of {calendar} cannot be seen"))
        .with_provider("google-calendar")
        .with_code(reason)
        .with_advice("Leave it out with a condition on calendar_id, or ask its owner to share it")
}
