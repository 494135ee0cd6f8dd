//! What must hold within one event and no schema says: one form of start and end, lines of recurrence, limits whose
//! excess the service drops without a word. All of it is told at the field, before the wire.

use jiff::civil::{Date, DateTime};
use rrule::{RRule, RRuleError, RRuleSet, Unvalidated};
use serde_json::{Map, Value as Json};

use super::event_fields::{ATTACHMENTS_MAX, PAIRS, REMINDERS_MAX};
use crate::error::{Error, FieldError, Result};

/// Kinds of lines of a recurrence.
const LINES: [&str; 4] = ["RRULE", "EXRULE", "RDATE", "EXDATE"];

/// The form of a start or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Day,
    Instant,
}

/// What is wrong, by field.
#[derive(Debug, Default)]
struct Reasons(Vec<FieldError>);

impl Reasons {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError { field: field.to_owned(), message: message.into(), accepted: Vec::new() });
    }
}

/// Checks the values of an event: all that a new one has, or what changes of one that is there.
///
/// # Errors
/// Invalid with a reason for each field.
pub(super) fn check(values: &Map<String, Json>, creates: bool) -> Result<()> {
    let mut reasons = Reasons::default();
    let start = values.get("start").map(|value| form(value, "start", creates, &mut reasons));
    let end = values.get("end").map(|value| form(value, "end", creates, &mut reasons));
    if let (Some(Some(start)), Some(Some(end))) = (start, end)
        && start != end
    {
        reasons.add("end", "must have the form of the start: both `date` or both `dateTime`");
    }
    let recurs = recurrence(values.get("recurrence"), &mut reasons);
    if recurs && creates {
        for side in ["start", "end"] {
            let moment = values.get(side).unwrap_or(&Json::Null);
            if is_given(moment, "dateTime") && !is_given(moment, "timeZone") {
                reasons.add(
                    &format!("{side}.timeZone"),
                    "is required for a series, which keeps its wall time in that zone when clocks change",
                );
            }
        }
    }
    reminders(values.get("reminders"), &mut reasons);
    // With a label in it, Google ignores the colour of a request.
    let labels = values.get("eventLabelId").is_some_and(|label| !creates || !label.is_null());
    if labels && values.get("colorId").is_some_and(|colour| !colour.is_null()) {
        reasons.add("colorId", "is not taken beside eventLabelId: write one of them, or one after the other");
    }
    if values.get("attachments").and_then(Json::as_array).is_some_and(|all| all.len() > ATTACHMENTS_MAX) {
        reasons.add("attachments", format!("an event has at most {ATTACHMENTS_MAX}"));
    }
    for (name, _) in PAIRS {
        twice(name, values.get(name), &mut reasons);
    }
    if let Some(id) = values.get("id").and_then(Json::as_str)
        && !is_id(id)
    {
        reasons.add("id", "has 5 to 1024 of the characters a to v and 0 to 9");
    }
    if reasons.0.is_empty() {
        return Ok(());
    }
    let error = Error::invalid("this event cannot be written");
    Err(reasons.0.into_iter().fold(error, Error::with_field_error))
}

/// Whether a text may be chosen as the id of an event: base32hex in lower case (RFC 2938 section 3.1.2).
pub(super) fn is_id(text: &str) -> bool {
    (5..=1_024).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'))
}

fn is_given(moment: &Json, name: &str) -> bool {
    moment.get(name).is_some_and(|value| !value.is_null())
}

fn form(moment: &Json, side: &str, creates: bool, reasons: &mut Reasons) -> Option<Form> {
    match (is_given(moment, "date"), is_given(moment, "dateTime")) {
        (true, true) => {
            reasons.add(side, "has both `date` and `dateTime`: give exactly one of them");
            None
        }
        (true, false) => Some(Form::Day),
        (false, true) => Some(Form::Instant),
        (false, false) => {
            // What an update does not name stays.
            let emptied = ["date", "dateTime"].iter().all(|name| moment.get(name).is_some());
            if creates || emptied || moment.as_object().is_none_or(Map::is_empty) {
                reasons.add(side, "has neither `date` nor `dateTime`: give exactly one of them");
            }
            None
        }
    }
}

/// Whether there is a recurrence.
fn recurrence(lines: Option<&Json>, reasons: &mut Reasons) -> bool {
    let Some(lines) = lines.and_then(Json::as_array) else { return false };
    for line in lines.iter().filter_map(Json::as_str) {
        if let Err(why) = check_line(line) {
            reasons.add("recurrence", format!("{line:?}: {why}"));
        }
    }
    !lines.is_empty()
}

/// Checks one line of a recurrence (RFC 5545 sections 3.8.5.1 to 3.8.5.3).
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_line(line: &str) -> Result<(), String> {
    let (head, value) =
        line.split_once(':').ok_or("it lacks the colon behind RRULE, EXRULE, RDATE or EXDATE")?;
    let name = head.split(';').next().unwrap_or(head);
    if !LINES.contains(&name) {
        return Err("it must begin with RRULE, EXRULE, RDATE or EXDATE; DTSTART and DTEND are start and end"
            .to_owned());
    }
    if line.contains(['\r', '\n']) {
        return Err("it is more than one line".to_owned());
    }
    if name.ends_with("RULE") { check_rule(value) } else { value.split(',').try_for_each(check_date) }
}

fn check_rule(rule: &str) -> Result<(), String> {
    let mut bare = Vec::new();
    for part in rule.split(';') {
        match part.split_once('=') {
            // Whether the end is a day or an instant depends on the start.
            Some(("UNTIL", until)) => check_date(until)?,
            _ => bare.push(part),
        }
    }
    let wrong = |wrong: RRuleError| wrong.to_string();
    let parsed: RRule<Unvalidated> = bare.join(";").parse().map_err(wrong)?;
    let somewhen: RRuleSet = "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT=1".parse().map_err(wrong)?;
    parsed.validate(*somewhen.get_dt_start()).map(drop).map_err(wrong)
}

fn check_date(text: &str) -> Result<(), String> {
    // A period has a second half.
    let text = text.split('/').next().unwrap_or(text).trim();
    let fits = match text.len() {
        8 => Date::strptime("%Y%m%d", text).is_ok(),
        15 => DateTime::strptime("%Y%m%dT%H%M%S", text).is_ok(),
        16 => DateTime::strptime("%Y%m%dT%H%M%SZ", text).is_ok(),
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("{text:?} is no date such as 20260131 or 20260131T093000Z")) }
}

fn reminders(reminders: Option<&Json>, reasons: &mut Reasons) {
    let Some(reminders) = reminders else { return };
    let count = reminders.get("overrides").and_then(Json::as_array).map_or(0, Vec::len);
    if count > REMINDERS_MAX {
        reasons.add("reminders.overrides", format!("an event has at most {REMINDERS_MAX}"));
    }
    if count > 0 && reminders.get("useDefault") == Some(&Json::Bool(true)) {
        reasons.add("reminders", "has own reminders and the usual ones: set useDefault to false");
    }
}

/// Refuses a list of properties in which a key stands twice: only one of them would be kept.
fn twice(name: &str, list: Option<&Json>, reasons: &mut Reasons) {
    let mut seen = std::collections::HashSet::new();
    for key in list.and_then(Json::as_array).into_iter().flatten().filter_map(|own| own["key"].as_str()) {
        if key.is_empty() {
            reasons.add(name, "has a key that is empty");
        } else if !seen.insert(key) {
            reasons.add(name, format!("the key {key:?} stands twice in it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(values: Json, creates: bool) -> Vec<String> {
        let Json::Object(values) = values else { panic!("an object") };
        match check(&values, creates) {
            Ok(()) => Vec::new(),
            Err(error) => error.fields().iter().map(|reason| reason.field.clone()).collect(),
        }
    }

    #[test]
    fn a_start_has_exactly_one_form_and_the_end_has_the_same() {
        let day = || json!({ "date": "2026-01-30" });
        let at = || json!({ "dateTime": "2026-01-30T09:00:00+01:00", "timeZone": "Europe/Berlin" });
        assert!(refused(json!({ "start": day(), "end": day() }), true).is_empty());
        assert!(refused(json!({ "start": at(), "end": at() }), true).is_empty());
        assert_eq!(refused(json!({ "start": day(), "end": at() }), true), ["end"]);
        let both = json!({ "date": "2026-01-30", "dateTime": "2026-01-30T09:00:00Z" });
        assert_eq!(refused(json!({ "start": both, "end": day() }), true), ["start"]);
        assert_eq!(refused(json!({ "start": { "timeZone": "UTC" }, "end": day() }), true), ["start"]);
        // An update may name a part.
        assert!(refused(json!({ "start": { "timeZone": "UTC" } }), false).is_empty());
        assert_eq!(refused(json!({ "start": { "date": null, "dateTime": null } }), false), ["start"]);
        assert_eq!(refused(json!({ "start": {} }), false), ["start"]);
    }

    #[test]
    fn lines_of_a_recurrence_are_checked_by_the_standard() {
        for line in [
            "RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=60",
            "RRULE:FREQ=MONTHLY;BYMONTHDAY=-2;UNTIL=20271231",
            "RRULE:FREQ=DAILY;UNTIL=20271231T225959Z",
            "EXDATE;VALUE=DATE:20260330,20260430",
            "EXDATE;TZID=Europe/Berlin:20260330T093000",
            "RDATE:20260330T093000Z",
        ] {
            assert_eq!(check_line(line), Ok(()), "{line}");
        }
        for line in [
            "FREQ=WEEKLY",
            "DTSTART:20260101T000000Z",
            "RRULE:FREQ=SOMETIMES",
            "RRULE:COUNT=3",
            "RRULE:FREQ=DAILY;UNTIL=tomorrow",
            "RRULE:FREQ=YEARLY;BYMONTH=13",
            "EXDATE:2026-01-01",
            "RRULE:FREQ=DAILY\r\nDTSTART:20260101T000000Z",
            "",
        ] {
            assert!(check_line(line).is_err(), "{line}");
        }
        let series = |zone: Json| {
            let at = json!({ "dateTime": "2026-01-30T09:00:00+01:00", "timeZone": zone });
            json!({ "start": at, "end": at, "recurrence": ["RRULE:FREQ=DAILY"] })
        };
        assert_eq!(refused(series(Json::Null), true), ["start.timeZone", "end.timeZone"]);
        assert!(refused(series(json!("Europe/Berlin")), true).is_empty());
        assert_eq!(refused(json!({ "recurrence": ["RRULE:FREQ=NEVER"] }), false), ["recurrence"]);
    }

    #[test]
    fn what_the_service_would_drop_or_refuse_late_is_refused_here() {
        let reminder = json!({ "method": "popup", "minutes": 10 });
        let many = json!({ "reminders": { "overrides": vec![reminder.clone(); 6] } });
        assert_eq!(refused(many, false), ["reminders.overrides"]);
        let both = json!({ "reminders": { "useDefault": true, "overrides": [reminder] } });
        assert_eq!(refused(both, false), ["reminders"]);
        let pair = json!({ "key": "a", "value": "1" });
        let twice = json!({ "privateExtendedProperties": [pair, pair] });
        assert_eq!(refused(twice, false), ["privateExtendedProperties"]);
        let both = |label: Json| json!({ "eventLabelId": label, "colorId": "5" });
        assert_eq!(refused(both(json!("one")), false), ["colorId"]);
        assert_eq!(refused(both(Json::Null), false), ["colorId"]);
        for id in ["abcd", "ABCDE", "wxyz1", "a_bcde", "0f8fad5b-d9cb"] {
            assert_eq!(refused(json!({ "id": id }), false), ["id"], "{id}");
        }
        assert!(refused(json!({ "id": "0abcv" }), false).is_empty());
    }
}
