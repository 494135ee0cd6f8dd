//! One event as stored: what may be written to it, what is checked, how it is shown.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::moments::{Moment, Span};
use super::occurrences;

/// Longest key and value of an extended property; what is longer is dropped or cut without a word.
const LONGEST_KEY: usize = 44;
const LONGEST_VALUE: usize = 1_024;
const REMINDERS: usize = 5;
const EARLIEST_REMINDER: i64 = 40_320;
const ATTACHMENTS: usize = 25;
const KINDS: [&str; 6] = ["birthday", "default", "focusTime", "fromGmail", "outOfOffice", "workingLocation"];

/// What a client may write ("Events", Calendar API reference).
const WRITABLE: [&str; 27] = [
    "anyoneCanAddSelf",
    "attachments",
    "attendees",
    "attendeesOmitted",
    "birthdayProperties",
    "colorId",
    "conferenceData",
    "description",
    "eventLabelId",
    "extendedProperties",
    "focusTimeProperties",
    "gadget",
    "guestsCanInviteOthers",
    "guestsCanModify",
    "guestsCanSeeOtherGuests",
    "location",
    "outOfOfficeProperties",
    "privateCopy",
    "recurrence",
    "reminders",
    "sequence",
    "source",
    "status",
    "summary",
    "transparency",
    "visibility",
    "workingLocationProperties",
];

/// An event, a series, or an exception of one.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Place in listings.
    pub(super) order: u64,
    pub(super) id: String,
    pub(super) ical_uid: String,
    pub(super) kind: String,
    pub(super) span: Span,
    /// Series and original start, for exceptions.
    pub(super) of: Option<(String, Moment)>,
    /// What clients may write, start and end apart.
    pub(super) members: Map<String, Value>,
    pub(super) organizer: Value,
    pub(super) creator: Value,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// Around an event: what its calendar adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) calendar: &'a str,
    pub(super) zone: &'a TimeZone,
    /// Zone that the request wants answers in.
    pub(super) wanted: Option<&'a TimeZone>,
    pub(super) most_attendees: Option<usize>,
}

impl Event {
    pub(super) fn is_cancelled(&self) -> bool {
        self.members.get("status").and_then(Value::as_str) == Some("cancelled")
    }

    pub(super) fn recurrence(&self) -> Vec<String> {
        let lines = self.members.get("recurrence").and_then(Value::as_array);
        lines.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(super) fn is_series(&self) -> bool {
        !self.recurrence().is_empty()
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.members.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The entity tag, quotes included: twice the microseconds of the last change.
    pub(super) fn tag(&self) -> String {
        format!("\"{}\"", self.updated.as_microsecond() * 2)
    }

    /// One occurrence of a series, as if it were an event.
    pub(super) fn occurrence(&self, span: Span) -> Self {
        let mut members = self.members.clone();
        members.remove("recurrence");
        Self {
            id: format!("{}_{}", self.id, span.start.compact()),
            of: Some((self.id.clone(), span.start.clone())),
            span,
            members,
            ..self.clone()
        }
    }

    pub(super) fn shown(&self, around: Around<'_>) -> Value {
        let zone = around.wanted.unwrap_or(around.zone);
        let mut out = json!({
            "kind": "calendar#event",
            "etag": self.tag(),
            "id": self.id,
            "status": "confirmed",
            "htmlLink": self.link(around.calendar),
            "created": self.created.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
            "updated": self.updated.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        });
        let Value::Object(members) = &mut out else { return out };
        if let (Some((series, start)), true) = (&self.of, self.is_cancelled()) {
            // No more than this is told of an occurrence that was taken away.
            let mut gone = json!({
                "kind": "calendar#event",
                "etag": self.tag(),
                "id": self.id,
                "status": "cancelled",
                "recurringEventId": series,
            });
            gone["originalStartTime"] = start.shown(zone);
            return gone;
        }
        members.extend(self.members.clone());
        if let (Some(most), Some(Value::Array(all))) = (around.most_attendees, members.get_mut("attendees"))
            && all.len() > most
        {
            all.truncate(most);
            members.insert("attendeesOmitted".to_owned(), json!(true));
        }
        members.insert("creator".to_owned(), self.creator.clone());
        members.insert("organizer".to_owned(), self.organizer.clone());
        members.insert("start".to_owned(), self.span.start.shown(zone));
        members.insert("end".to_owned(), self.span.end.shown(zone));
        if let Some((series, start)) = &self.of {
            members.insert("recurringEventId".to_owned(), json!(series));
            members.insert("originalStartTime".to_owned(), start.shown(zone));
        }
        members.insert("iCalUID".to_owned(), json!(self.ical_uid));
        members.entry("sequence").or_insert(json!(0));
        members.entry("reminders").or_insert(json!({ "useDefault": true }));
        members.insert("eventType".to_owned(), json!(self.kind));
        out
    }

    /// The event's page: who sees it can guess nothing from it.
    fn link(&self, calendar: &str) -> String {
        let short =
            [("gmail.com", "@m"), ("group.calendar.google.com", "@g"), ("group.v.calendar.google.com", "@v")];
        let mail = short
            .iter()
            .find_map(|(domain, short)| {
                calendar
                    .strip_suffix(domain)
                    .and_then(|rest| rest.strip_suffix('@'))
                    .map(|own| format!("{own}{short}"))
            })
            .unwrap_or_else(|| calendar.to_owned());
        let eid = URL_SAFE_NO_PAD.encode(format!("{} {mail}", self.id));
        format!("https://www.google.com/calendar/event?eid={eid}")
    }
}

/// What a write brings, checked and in the shape in which it is stored.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) span: Span,
    pub(super) kind: String,
    pub(super) members: Map<String, Value>,
}

/// Reads the members of a write. `present` is what the event has already.
///
/// # Errors
/// What the service refuses.
pub(super) fn written(
    call: &Call<'_>,
    body: &Map<String, Value>,
    present: Option<&Event>,
    requests: u64,
) -> Result<Written, Refusal> {
    let span = Span::read(body)?;
    let kind = match body.get("eventType").and_then(Value::as_str) {
        None => present.map_or_else(|| "default".to_owned(), |present| present.kind.clone()),
        Some(kind) if !KINDS.contains(&kind) => return Err(Refusal::invalid("Invalid event type.")),
        Some(kind) => kind.to_owned(),
    };
    if let Some(present) = present.filter(|present| present.kind != kind) {
        return Err(Refusal::invalid(format!(
            "The type of an event cannot be changed from {}.",
            present.kind
        )));
    }
    if present.is_none() && kind == "fromGmail" {
        return Err(Refusal::invalid("Events of this type cannot be created."));
    }
    let properties = format!("{kind}Properties");
    let own = ["outOfOffice", "focusTime", "workingLocation"].contains(&kind.as_str());
    if own && !body.get(&properties).is_some_and(Value::is_object) && kind == "workingLocation" {
        return Err(Refusal::required("Missing working location properties."));
    }
    let mut members = Map::new();
    for (name, value) in body {
        if WRITABLE.contains(&name.as_str()) && !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    status_and_words(&members)?;
    recurrence(&mut members, &span)?;
    attendees(call, &members)?;
    reminders(&members)?;
    extended_properties(&mut members);
    if call.option("supportsAttachments") != Some("true") {
        restore(&mut members, "attachments", present);
    }
    if members.get("attachments").and_then(Value::as_array).is_some_and(|all| all.len() > ATTACHMENTS) {
        return Err(Refusal::invalid("There are too many attachments."));
    }
    if call.option("eventLabelVersion") != Some("1") {
        restore(&mut members, "eventLabelId", present);
    } else {
        restore(&mut members, "colorId", present);
        if members.get("eventLabelId").is_some_and(|label| label == "") {
            members.remove("eventLabelId");
        }
    }
    if call.option("conferenceDataVersion") == Some("1") {
        conference(&mut members, requests);
    } else {
        restore(&mut members, "conferenceData", present);
    }
    Ok(Written { span, kind, members })
}

/// A member that this request cannot change stays as it is.
fn restore(members: &mut Map<String, Value>, name: &str, present: Option<&Event>) {
    match present.and_then(|present| present.members.get(name)) {
        Some(value) => drop(members.insert(name.to_owned(), value.clone())),
        None => drop(members.remove(name)),
    }
}

fn status_and_words(members: &Map<String, Value>) -> Result<(), Refusal> {
    let closed = [
        ("status", &["confirmed", "tentative", "cancelled"] as &[&str]),
        ("transparency", &["opaque", "transparent"]),
        ("visibility", &["default", "public", "private", "confidential"]),
    ];
    for (name, values) in closed {
        if let Some(value) = members.get(name)
            && !value.as_str().is_some_and(|text| values.contains(&text))
        {
            return Err(Refusal::invalid(format!("Invalid value for: {name}")));
        }
    }
    for name in ["summary", "description", "location", "colorId"] {
        if members.get(name).is_some_and(|value| !value.is_string()) {
            return Err(Refusal::parse());
        }
    }
    Ok(())
}

fn recurrence(members: &mut Map<String, Value>, span: &Span) -> Result<(), Refusal> {
    let Some(value) = members.get("recurrence") else { return Ok(()) };
    let lines: Option<Vec<String>> =
        value.as_array().map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let lines = lines.ok_or_else(Refusal::parse)?;
    if lines.is_empty() {
        members.remove("recurrence");
        return Ok(());
    }
    for (side, moment) in [("start", &span.start), ("end", &span.end)] {
        if !moment.is_day() && moment.zone().is_none() {
            return Err(Refusal::required(format!("Missing time zone definition for {side} time.")));
        }
    }
    occurrences::series(span, &lines).map(drop)
}

fn attendees(call: &Call<'_>, members: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(all) = members.get("attendees") else { return Ok(()) };
    let all = all.as_array().ok_or_else(Refusal::parse)?;
    if !all.is_empty() && call.by_service_account {
        let message = "Service accounts cannot invite attendees without Domain-Wide Delegation of Authority.";
        return Err(Refusal::forbidden("forbiddenForServiceAccounts", message));
    }
    for attendee in all {
        match attendee.get("email").and_then(Value::as_str) {
            None if attendee.get("id").is_none() => return Err(Refusal::required("Missing attendee email.")),
            Some(email) if !email.contains('@') => return Err(Refusal::invalid("Invalid attendee email.")),
            _ => {}
        }
        let answers = ["needsAction", "declined", "tentative", "accepted"];
        if attendee
            .get("responseStatus")
            .is_some_and(|own| !own.as_str().is_some_and(|own| answers.contains(&own)))
        {
            return Err(Refusal::invalid("Invalid value for: responseStatus"));
        }
    }
    Ok(())
}

fn reminders(members: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(reminders) = members.get("reminders") else { return Ok(()) };
    let overrides = reminders.get("overrides").and_then(Value::as_array);
    if overrides.is_some_and(|all| !all.is_empty()) && reminders.get("useDefault") == Some(&json!(true)) {
        let reason = "cannotUseDefaultRemindersAndSpecifyOverride";
        let message = "Cannot specify both default reminders and overrides at the same time.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "calendar", reason, message));
    }
    let fits = |own: &Value| {
        ["email", "popup"].contains(&own["method"].as_str().unwrap_or_default())
            && own["minutes"].as_i64().is_some_and(|minutes| (0..=EARLIEST_REMINDER).contains(&minutes))
    };
    match overrides {
        Some(all) if all.len() > REMINDERS => Err(Refusal::invalid("There are too many reminders.")),
        Some(all) if !all.iter().all(fits) => Err(Refusal::invalid("Invalid reminder.")),
        _ => Ok(()),
    }
}

fn extended_properties(members: &mut Map<String, Value>) {
    let Some(Value::Object(groups)) = members.get_mut("extendedProperties") else { return };
    for group in groups.values_mut() {
        let Value::Object(pairs) = group else { continue };
        let kept: BTreeMap<String, Value> = pairs
            .iter()
            .filter(|(key, value)| key.chars().count() <= LONGEST_KEY && !value.is_null())
            .map(|(key, value)| {
                let text: String = value.as_str().unwrap_or_default().chars().take(LONGEST_VALUE).collect();
                (key.clone(), Value::String(text))
            })
            .collect();
        *pairs = kept.into_iter().collect();
    }
    groups.retain(|_, group| group.as_object().is_some_and(|pairs| !pairs.is_empty()));
    if groups.is_empty() {
        members.remove("extendedProperties");
    }
}

/// A conference that was asked for is there at once.
fn conference(members: &mut Map<String, Value>, requests: u64) {
    let Some(Value::Object(data)) = members.get_mut("conferenceData") else { return };
    let Some(mut request) = data.remove("createRequest").filter(Value::is_object) else { return };
    let number = format!("{:010x}", crate::emulator::chance::mix(requests) >> 24);
    let letters: String = number.bytes().map(|byte| char::from(b'a' + byte % 26)).collect();
    let id = format!("{}-{}-{}", &letters[..3], &letters[3..7], &letters[7..10]);
    request["status"] = json!({ "statusCode": "success" });
    let link = format!("https://meet.google.com/{id}");
    *data = Map::from_iter([
        ("createRequest".to_owned(), request),
        ("entryPoints".to_owned(), json!([{ "entryPointType": "video", "uri": link, "label": link }])),
        (
            "conferenceSolution".to_owned(),
            json!({ "key": { "type": "hangoutsMeet" }, "name": "Google Meet", "iconUri": "" }),
        ),
        ("conferenceId".to_owned(), json!(id)),
    ]);
    members.insert("hangoutLink".to_owned(), json!(link));
}

/// An id that a client chose: base32hex in lower case.
pub(super) fn is_id(text: &str) -> bool {
    (5..=1_024).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte))
}

/// One object merged into another: null takes away, lists are replaced whole.
pub(super) fn merge(into: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (into.get_mut(name), value) {
            (_, Value::Null) => drop(into.remove(name)),
            (Some(Value::Object(own)), Value::Object(patch)) => merge(own, patch),
            _ => drop(into.insert(name.clone(), value.clone())),
        }
    }
}
