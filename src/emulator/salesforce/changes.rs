//! `/updated` and `/deleted`: ids of rows that changed within a window.

use http::StatusCode;
use jiff::Timestamp;

use super::cell::{Cell, write_instant, write_string};
use super::errors::Refusal;
use super::rows::{Place, Store};
use super::{Call, text_reply};
use crate::emulator::service::Reply;

/// The window that `start` and `end` ask for.
fn window(call: &Call<'_>, oldest_days: i64) -> Result<(Timestamp, Timestamp), Refusal> {
    let moment = |name: &str| {
        let text = call.parameter(name).unwrap_or_default();
        text.parse::<Timestamp>().map_err(|_| {
            Refusal::new("INVALID_REPLICATION_DATE", format!("{name} is not a valid date: {text}"))
        })
    };
    // Seconds are not looked at.
    let minute = |stamp: Timestamp| Timestamp::from_second(stamp.as_second() / 60 * 60).unwrap_or(stamp);
    let (start, end) = (minute(moment("start")?), minute(moment("end")?));
    if start >= end {
        return Err(Refusal::new("INVALID_REPLICATION_DATE", "startDate must be before endDate"));
    }
    let oldest = call.request.now.as_second() - oldest_days * 86_400;
    if start.as_second() < oldest {
        return Err(Refusal::new(
            "INVALID_REPLICATION_DATE",
            format!("startDate before org replication enabled date: more than {oldest_days} days ago"),
        ));
    }
    Ok((start, end))
}

/// `GET …/updated`: ids of rows whose SystemModstamp lies in the window.
pub(super) fn updated(store: &Store, table: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let (start, end) = window(call, 30)?;
    let object = store.object(table);
    let field = object.field("SystemModstamp").ok_or_else(Refusal::not_found)?;
    let within = |ms: i64| ms >= start.as_millisecond() && ms < end.as_millisecond();
    let ids: Vec<String> = (0..store.table(table).next)
        .map(|index| Place { table, index })
        .filter(|at| store.is_live(*at))
        .filter(|at| matches!(store.cell(*at, field), Cell::Instant(ms) if within(ms)))
        .map(|at| store.id(at))
        .collect();
    let mut out = String::from("{\"ids\":");
    out.push_str(&serde_json::Value::from(ids).to_string());
    out.push_str(",\"latestDateCovered\":\"");
    write_instant(end.min(call.request.now).as_second() / 60 * 60_000, &mut out);
    out.push_str("\"}");
    Ok(text_reply(StatusCode::OK, out))
}

/// `GET …/deleted`: ids of rows deleted in the window, with the moment.
pub(super) fn deleted(store: &Store, table: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let (start, end) = window(call, 15)?;
    let mut out = String::from("{\"deletedRecords\":[");
    let rows = store.deletions(table).filter(|(_, when)| *when >= start && *when < end);
    for (number, (index, when)) in rows.enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str("{\"id\":");
        write_string(&store.id(Place { table, index }), &mut out);
        out.push_str(",\"deletedDate\":\"");
        write_instant(when.as_second() * 1000, &mut out);
        out.push_str("\"}");
    }
    out.push_str("],\"earliestDateAvailable\":\"");
    write_instant((call.request.now.as_second() - 15 * 86_400) / 60 * 60_000, &mut out);
    out.push_str("\",\"latestDateCovered\":\"");
    write_instant(end.min(call.request.now).as_second() / 60 * 60_000, &mut out);
    out.push_str("\"}");
    Ok(text_reply(StatusCode::OK, out))
}
