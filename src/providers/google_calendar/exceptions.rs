//! Occurrences that were changed or taken away by themselves, behind the place where a series is cut: they go over to the
//! new series, or are taken away with the rest of the old one. Without this a cut would lose or double them.

use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::account::endless;
use super::following::Found;
use super::kinds::EVENTS_MAX;
use super::records::{Address, GoogleRecords};
use super::series::{Cut, KEPT, length};
use super::write_options::DROP_EXCEPTIONS;
use super::{api, dialect, draft};
use crate::error::{Error, Result};
use crate::http::multipart::Part;
use crate::provider::{Context, WriteOptions};

/// What makes an occurrence different from its series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exception {
    /// Where the series has it.
    original: Json,
    /// What it has of its own; nothing when it was taken away.
    own: Option<Map<String, Json>>,
}

/// Members that follow from the series or from the place of the occurrence in it.
fn is_derived(name: &str) -> bool {
    KEPT.contains(&name) || matches!(name, "recurrence" | "start" | "end" | "status")
}

impl Exception {
    /// What an occurrence has of its own; nothing for one that is as its series has it. Wall time that shifts with the
    /// clocks is the series' own.
    fn of(occurrence: &Json, master: &Json) -> Option<Self> {
        let original = occurrence["originalStartTime"].clone();
        if occurrence["status"] == "cancelled" {
            return Some(Self { original, own: None });
        }
        let (Some(event), Some(series)) = (occurrence.as_object(), master.as_object()) else { return None };
        let mut own = Map::new();
        for (name, value) in event.iter().filter(|(name, _)| !is_derived(name)) {
            if series.get(name) != Some(value) {
                own.insert(name.clone(), value.clone());
            }
        }
        for name in series.keys().filter(|name| !is_derived(name) && !event.contains_key(*name)) {
            own.insert(name.clone(), Json::Null);
        }
        let usual = |name: &str| event.get(name).and_then(Json::as_str).unwrap_or("confirmed").to_owned();
        if usual("status") != master["status"].as_str().unwrap_or("confirmed") {
            own.insert("status".to_owned(), json!(usual("status")));
        }
        let stays = matches!((Cut::of(&occurrence["start"]), Cut::of(&original)), (Ok(one), Ok(other)) if one == other);
        if !stays || length(occurrence) != length(master) {
            for side in ["start", "end"] {
                own.insert(side.to_owned(), occurrence[side].clone());
            }
        }
        (!own.is_empty()).then_some(Self { original, own: Some(own) })
    }

    /// The id of the occurrence at the same place of another series.
    fn id_in(&self, series: &str) -> Result<String> {
        Ok(format!("{series}_{}", Cut::of(&self.original)?.compact()))
    }

    /// The request that makes the occurrence of a new series what this one is. What the change of the series sets is
    /// the change's.
    fn carried(
        &self,
        series: &Address,
        edited: &Map<String, Json>,
        query: &[(&'static str, String)],
    ) -> Result<Option<Part>> {
        let resource = api::with_query(&api::event(&series.calendar, &self.id_in(&series.id)?), query);
        let Some(own) = &self.own else {
            return Ok(Some(api::part(Method::DELETE, &resource, String::new())));
        };
        let mut own = own.clone();
        own.retain(|name, _| !edited.contains_key(name));
        if own.is_empty() {
            return Ok(None);
        }
        let switches = draft::switches(&own);
        let resource = api::with_query(&resource, &switches);
        Ok(Some(api::part(Method::PATCH, &resource, Json::Object(own).to_string())))
    }
}

impl Cut {
    /// Whether a place in the series is not before the cut.
    fn reaches(self, original: &Json) -> bool {
        let midnight = |day: jiff::civil::Date| {
            day.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
        };
        match (self, Self::of(original)) {
            (Self::Day(cut), Ok(Self::Day(day))) => day >= cut,
            (Self::At(cut), Ok(Self::At(at))) => at >= cut,
            (Self::Day(cut), Ok(Self::At(at))) => at >= midnight(cut),
            (Self::At(cut), Ok(Self::Day(day))) => midnight(day) >= cut,
            (_, Err(_)) => false,
        }
    }
}

impl GoogleRecords {
    /// The occurrences of a series from the cut on, with those that were taken away.
    async fn behind(&self, cx: &Context, operation: &'static str, found: &Found) -> Result<Vec<Json>> {
        let size = EVENTS_MAX.to_string();
        let resource = format!("{}/instances", api::event(&found.series.calendar, &found.series.id));
        let mut out = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = vec![("maxResults", size.as_str()), ("showDeleted", "true")];
            query.extend(token.as_deref().map(|token| ("pageToken", token)));
            let call = api::get(operation, &api::with_query(&resource, &query));
            let page: super::account::ListPage<Json> =
                dialect::read("occurrences", &cx.send(call).await?.body)?;
            out.extend(page.items.into_iter().filter(|own| found.cut.reaches(&own["originalStartTime"])));
            if page.next_page_token.is_some() && page.next_page_token == token {
                return Err(endless());
            }
            token = page.next_page_token;
            if token.is_none() {
                return Ok(out);
            }
        }
    }

    /// The exceptions of a series from the cut on.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn exceptions_behind(
        &self,
        cx: &Context,
        operation: &'static str,
        found: &Found,
    ) -> Result<Vec<Exception>> {
        let all = self.behind(cx, operation, found).await?;
        Ok(all.iter().filter_map(|own| Exception::of(own, &found.master)).collect())
    }

    /// Gives a new series the exceptions of the old one behind the cut.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn carry_over(
        &self,
        cx: &Context,
        exceptions: &[Exception],
        series: &Address,
        edited: &Map<String, Json>,
        options: &WriteOptions,
    ) -> Result<()> {
        let query = draft::parameters(self.home, options);
        let mut parts = Vec::new();
        for exception in exceptions {
            parts.extend(exception.carried(series, edited, &query)?);
        }
        self.send_all(cx, "update", &parts).await
    }

    /// Takes away what is left of a series behind its end: the rule that these were exceptions of has ended.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn drop_left(&self, cx: &Context, operation: &'static str, found: &Found) -> Result<()> {
        let all = self.behind(cx, operation, found).await?;
        let live = all.iter().filter(|own| own["status"] != "cancelled").filter_map(|own| own["id"].as_str());
        let parts: Vec<Part> = live
            .map(|id| api::part(Method::DELETE, &api::event(&found.series.calendar, id), String::new()))
            .collect();
        self.send_all(cx, operation, &parts).await
    }
}

/// Refuses a change of times while there are exceptions: they cannot be told to belong to an occurrence any more.
///
/// # Errors
/// Unsupported with what can be done.
pub(super) fn check_places(
    exceptions: &[Exception],
    edited: &Map<String, Json>,
    options: &WriteOptions,
) -> Result<()> {
    let moves = ["start", "end", "recurrence"].iter().any(|name| edited.contains_key(*name));
    if !moves || exceptions.is_empty() || draft::is_on(options, DROP_EXCEPTIONS) {
        return Ok(());
    }
    let count = exceptions.len();
    Err(Error::unsupported(format!(
        "{count} of the occurrences that follow were changed or taken away by themselves, and have no place in a series \
         with other times"
    ))
    .with_code("exceptions_behind")
    .with_advice(
        "Change other fields alone, or let them go with --option dropExceptions=true: then all that follow are as the \
         new series has them",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master() -> Json {
        json!({
            "id": "s", "summary": "Weekly", "status": "confirmed", "recurrence": ["RRULE:FREQ=WEEKLY"], "location": "Here",
            "start": { "dateTime": "2026-01-08T09:30:00+01:00", "timeZone": "Europe/Berlin" },
            "end": { "dateTime": "2026-01-08T10:00:00+01:00", "timeZone": "Europe/Berlin" },
        })
    }

    fn occurrence(change: Json) -> Json {
        let mut out = json!({
            "id": "s_20260409T073000Z", "summary": "Weekly", "status": "confirmed", "location": "Here",
            "recurringEventId": "s", "originalStartTime": { "dateTime": "2026-04-09T09:30:00+02:00" },
            "start": { "dateTime": "2026-04-09T09:30:00+02:00", "timeZone": "Europe/Berlin" },
            "end": { "dateTime": "2026-04-09T10:00:00+02:00", "timeZone": "Europe/Berlin" },
        });
        for (name, value) in change.as_object().unwrap() {
            out[name] = value.clone();
        }
        out
    }

    fn own(change: Json) -> Option<Json> {
        Some(Exception::of(&occurrence(change), &master())?.own.map_or(Json::Null, Json::Object))
    }

    #[test]
    fn an_exception_is_what_an_occurrence_has_of_its_own() {
        assert_eq!(own(json!({ "etag": "\"1\"", "sequence": 3 })), None);
        assert_eq!(own(json!({ "summary": "Other" })), Some(json!({ "summary": "Other" })));
        assert_eq!(own(json!({ "status": "cancelled" })), Some(Json::Null));
        assert_eq!(own(json!({ "status": "tentative" })), Some(json!({ "status": "tentative" })));
        let moved = json!({ "dateTime": "2026-04-09T11:00:00+02:00", "timeZone": "Europe/Berlin" });
        let end = occurrence(json!({}))["end"].clone();
        assert_eq!(own(json!({ "start": moved })), Some(json!({ "start": moved, "end": end })));
    }

    #[test]
    fn an_exception_goes_to_the_same_place_and_the_change_of_the_series_wins() {
        let series = Address { calendar: "c".to_owned(), id: "new".to_owned() };
        let exception =
            Exception::of(&occurrence(json!({ "summary": "Other", "location": "There" })), &master())
                .unwrap();
        let edited = json!({ "summary": "From April" });
        let part = exception.carried(&series, edited.as_object().unwrap(), &[]).unwrap().unwrap();
        assert_eq!(part.path, "/calendar/v3/calendars/c/events/new_20260409T073000Z");
        assert_eq!(part.body, json!({ "location": "There" }).to_string());
        let edited = json!({ "summary": "x", "location": "y" });
        assert!(exception.carried(&series, edited.as_object().unwrap(), &[]).unwrap().is_none());
        let moves = json!({ "start": {} });
        let error = check_places(&[exception], moves.as_object().unwrap(), &WriteOptions::new()).unwrap_err();
        assert_eq!(error.code(), Some("exceptions_behind"));
    }
}
