//! Calendars, the user's list of them, settings, colours, and when people are busy.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use http::StatusCode;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::{Refusal, answer};
use super::event::merge;
use super::listing;
use super::short_lists::ShortList;
use super::store::{Calendar, Store};
use crate::emulator::chance::{hash_text, mix};
use crate::emulator::service::Reply;

const SHARED: [&str; 7] = [
    "summary",
    "description",
    "location",
    "timeZone",
    "conferenceProperties",
    "autoAcceptInvitations",
    "labelProperties",
];
const WORKING_HOURS: &str = "workingHours";
const ENTRY: [&str; 8] = [
    "summaryOverride",
    "colorId",
    "backgroundColor",
    "foregroundColor",
    "hidden",
    "selected",
    "defaultReminders",
    "notificationSettings",
];
pub(super) const ROLES: [&str; 6] =
    ["none", "freeBusyReader", "reader", "writerWithoutPrivateAccess", "writer", "owner"];
/// Background and foreground by colour, of calendars and of events.
const COLOURS: [(&str, &str); 24] = [
    ("#ac725e", "#1d1d1d"),
    ("#d06b64", "#1d1d1d"),
    ("#f83a22", "#1d1d1d"),
    ("#fa573c", "#1d1d1d"),
    ("#ff7537", "#1d1d1d"),
    ("#ffad46", "#1d1d1d"),
    ("#42d692", "#1d1d1d"),
    ("#16a765", "#1d1d1d"),
    ("#7bd148", "#1d1d1d"),
    ("#b3dc6c", "#1d1d1d"),
    ("#fbe983", "#1d1d1d"),
    ("#fad165", "#1d1d1d"),
    ("#92e1c0", "#1d1d1d"),
    ("#9fe1e7", "#1d1d1d"),
    ("#9fc6e7", "#1d1d1d"),
    ("#4986e7", "#1d1d1d"),
    ("#9a9cff", "#1d1d1d"),
    ("#b99aff", "#1d1d1d"),
    ("#c2c2c2", "#1d1d1d"),
    ("#cabdbf", "#1d1d1d"),
    ("#cca6ac", "#1d1d1d"),
    ("#f691b2", "#1d1d1d"),
    ("#cd74e6", "#1d1d1d"),
    ("#a47ae2", "#1d1d1d"),
];
const EVENT_COLOURS: usize = 11;

pub(super) fn default_reminders(calendar: &Calendar) -> Value {
    let own = calendar.entry.as_ref().and_then(|entry| entry.get("defaultReminders")).cloned();
    own.unwrap_or_else(|| {
        if calendar.primary { json!([{ "method": "popup", "minutes": 30 }]) } else { json!([]) }
    })
}

fn shared_tag(calendar: &Calendar) -> String {
    format!("\"{:027x}\"", mix(hash_text(&calendar.id) ^ calendar.edition))
}

fn entry_tag(calendar: &Calendar) -> String {
    format!("\"{}\"", 1_700_000_000_000_000_u64 + calendar.edition * 1_001)
}

/// The calendar itself.
pub(super) fn shared(calendar: &Calendar) -> Value {
    let mut out = json!({ "kind": "calendar#calendar", "etag": shared_tag(calendar), "id": calendar.id });
    if let Value::Object(members) = &mut out {
        members.extend(calendar.shared.clone());
        members
            .entry("conferenceProperties")
            .or_insert(json!({ "allowedConferenceSolutionTypes": ["hangoutsMeet"] }));
    }
    out
}

/// The user's view of a calendar.
pub(super) fn entry(calendar: &Calendar, number: usize) -> Option<Value> {
    let own = calendar.entry.as_ref()?;
    let mut out = shared(calendar);
    let colour = own.get("colorId").and_then(Value::as_str).and_then(|id| id.parse::<usize>().ok());
    let colour = colour.unwrap_or(1 + (number + 6) % COLOURS.len());
    let (background, foreground) = COLOURS.get(colour.saturating_sub(1)).copied().unwrap_or(COLOURS[0]);
    out["kind"] = json!("calendar#calendarListEntry");
    out["etag"] = json!(entry_tag(calendar));
    out["colorId"] = json!(colour.to_string());
    out["backgroundColor"] = json!(background);
    out["foregroundColor"] = json!(foreground);
    out["accessRole"] = json!(calendar.role);
    out["defaultReminders"] = default_reminders(calendar);
    if let Value::Object(members) = &mut out {
        members.extend(own.clone());
    }
    if calendar.primary {
        out["primary"] = json!(true);
    }
    Some(out)
}

fn deleted_entry(id: &str) -> Value {
    json!({
        "kind": "calendar#calendarListEntry",
        "etag": "\"0\"",
        "id": id,
        "defaultReminders": [],
        "deleted": true,
    })
}

pub(super) fn tagged(status: StatusCode, body: &Value, read: bool) -> Reply {
    let tag = body.get("etag").and_then(Value::as_str).unwrap_or_default().to_owned();
    let reply = answer(status, body, read).with_header(http::header::ETAG, &tag);
    if read { reply } else { reply.committed() }
}

fn check_zone(members: &Map<String, Value>) -> Result<(), Refusal> {
    match members.get("timeZone").and_then(Value::as_str) {
        Some(zone) if TimeZone::get(zone).is_err() => Err(Refusal::invalid("Invalid time zone.")),
        _ => Ok(()),
    }
}

pub(super) fn picked(body: &Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    body.iter()
        .filter(|(name, _)| known.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

pub(super) fn owned(calendar: &Calendar) -> Result<(), Refusal> {
    if calendar.role == "owner" {
        Ok(())
    } else {
        Err(Refusal::forbidden("requiredAccessLevel", "You need to be the owner of this calendar."))
    }
}

pub(super) fn insert(store: &mut Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.body()?;
    let summary = body.get("summary").and_then(Value::as_str).filter(|text| !text.is_empty());
    let summary = summary.ok_or_else(|| Refusal::required("Missing summary."))?.to_owned();
    check_zone(&body)?;
    store.requests += 1;
    let mut id = String::from("c_");
    for turn in 0..4 {
        let _ = write!(id, "{:016x}", mix(store.requests ^ (turn << 60) ^ 0xCA_1E4D));
    }
    id.push_str("@group.calendar.google.com");
    let mut calendar = Calendar::new(id.clone(), &summary, "UTC", None, store.seed.per_calendar());
    calendar.shared.extend(picked(&body, &SHARED));
    calendar.shared.insert("dataOwner".to_owned(), json!(store.seed.user()));
    own_rule(&mut calendar, store.seed.user());
    store.list_journal.push(id);
    let out = shared(&calendar);
    store.calendars.push(calendar);
    Ok(tagged(StatusCode::OK, &out, false))
}

pub(super) fn own_rule(calendar: &mut Calendar, user: &str) {
    let rule = json!({ "role": "owner", "scope": { "type": "user", "value": user } });
    if let Value::Object(rule) = rule {
        calendar.rules.insert(format!("user:{user}"), rule);
    }
}

pub(super) fn one(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    match call.method().as_str() {
        "GET" => {
            let out = shared(calendar);
            let tag = shared_tag(calendar);
            if call.has_tag(&tag) {
                return Ok(Reply::empty(StatusCode::NOT_MODIFIED));
            }
            Ok(tagged(StatusCode::OK, &out, true))
        }
        "DELETE" => {
            owned(calendar)?;
            if calendar.primary {
                return Err(Refusal::forbidden("forbidden", "Cannot delete primary calendar."));
            }
            call.check_tag(&shared_tag(calendar))?;
            let id = calendar.id.clone();
            store.calendars.remove(place);
            store.list_journal.push(id);
            Ok(Reply::empty(StatusCode::NO_CONTENT).committed())
        }
        method => {
            owned(calendar)?;
            call.check_tag(&shared_tag(calendar))?;
            let sent = call.body()?;
            let body = picked(&sent, &SHARED);
            check_zone(&body)?;
            let mut wanted = if method == "PUT" {
                let kept = ["timeZone", "dataOwner", WORKING_HOURS];
                picked(&calendar.shared, &kept)
            } else {
                calendar.shared.clone()
            };
            merge(&mut wanted, &body);
            if let Some(hours) = working_hours(calendar, &sent)? {
                wanted.insert(WORKING_HOURS.to_owned(), hours);
            }
            if wanted.get("summary").and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(Refusal::required("Missing summary."));
            }
            // Sync tokens of the list do not tell it: for an entry these are read-only.
            if wanted != calendar.shared {
                calendar.shared = wanted;
                calendar.edition += 1;
            }
            Ok(tagged(StatusCode::OK, &shared(calendar), false))
        }
    }
}

/// The working hours that a request sets, whole. A null or an empty object leaves them as they are.
fn working_hours(calendar: &Calendar, sent: &Map<String, Value>) -> Result<Option<Value>, Refusal> {
    let hours = sent.get(WORKING_HOURS).and_then(Value::as_object).filter(|hours| !hours.is_empty());
    let Some(hours) = hours else { return Ok(None) };
    if !calendar.primary {
        return Err(Refusal::invalid("Working hours are only available for primary calendars."));
    }
    let none = hours.get("availableTimes").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if none && hours.get("workingHoursEnabled") == Some(&Value::Bool(true)) {
        return Err(Refusal::invalid("Working hours need available times."));
    }
    Ok(Some(Value::Object(hours.clone())))
}

/// Gives a calendar to another user of the organisation, as its administrator may.
pub(super) fn transfer(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    if !call.flag("useAdminAccess")? {
        return Err(Refusal::invalid_parameter("useAdminAccess", "Only admin access is supported."));
    }
    let owner = call.option("newDataOwner").filter(|owner| !owner.is_empty());
    let owner = owner.ok_or_else(|| Refusal::required("Required parameter: newDataOwner"))?.to_owned();
    let domain = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
    if domain(&owner) != domain(store.seed.user()) {
        return Err(Refusal::invalid_parameter("newDataOwner", "Not a user of this organization."));
    }
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    if calendar.primary {
        return Err(Refusal::invalid("Primary calendars cannot be transferred."));
    }
    own_rule(calendar, &owner);
    calendar.shared.insert("dataOwner".to_owned(), json!(owner));
    calendar.edition += 1;
    Ok(Reply::empty(StatusCode::NO_CONTENT).committed())
}

/// Takes all events out of the user's own calendar.
pub(super) fn clear(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let stamp = store.stamp(call.now);
    let seed = store.seed.clone();
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    if !calendar.primary {
        return Err(Refusal::invalid("Only primary calendars can be cleared."));
    }
    calendar.clear(&seed, stamp);
    Ok(Reply::empty(StatusCode::NO_CONTENT).committed())
}

pub(super) fn list(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let (hidden, deleted) = (call.flag("showHidden")?, call.flag("showDeleted")?);
    let least = match call.option("minAccessRole") {
        None => 0,
        Some(role) => ROLES
            .iter()
            .position(|own| *own == role)
            .ok_or_else(|| Refusal::invalid_parameter("minAccessRole", "Invalid value."))?,
    };
    let enough = |calendar: &Calendar| {
        ROLES.iter().position(|own| *own == calendar.role).is_some_and(|own| own >= least)
    };
    let present = |(number, calendar): (usize, &Calendar)| entry(calendar, number);
    let all = || {
        let calendars = store.calendars.iter().enumerate().filter(|(_, calendar)| enough(calendar));
        let visible =
            calendars.filter_map(present).filter(|own| hidden || own.get("hidden") != Some(&json!(true)));
        let mut all: Vec<Value> = visible.collect();
        if deleted {
            let listed = |id: &String| store.calendars.iter().any(|own| own.id == *id && own.entry.is_some());
            let gone: BTreeSet<&String> = store.list_journal.iter().filter(|id| !listed(id)).collect();
            all.extend(gone.into_iter().map(|id| deleted_entry(id)));
        }
        all
    };
    let one = |id: &str| {
        let found = store.calendars.iter().enumerate().find(|(_, own)| own.id == id);
        found.and_then(present).unwrap_or_else(|| deleted_entry(id))
    };
    let list = ShortList {
        kind: "calendar#calendarList",
        epoch: store.epoch,
        journal: &store.list_journal,
        unsynced: &["minAccessRole", "showOwnOrganizationOnly"],
    };
    list.page(call, all, one)
}

fn check_colours(call: &Call<'_>, body: &Map<String, Value>) -> Result<(), Refusal> {
    let given = |name: &str| body.contains_key(name);
    if !given("backgroundColor") && !given("foregroundColor") {
        return Ok(());
    }
    if !call.flag("colorRgbFormat")? {
        return Err(Refusal::invalid("Colors need colorRgbFormat=true."));
    }
    match (given("backgroundColor"), given("foregroundColor")) {
        (true, false) => Err(Refusal::required("Missing foreground color.")),
        (false, true) => Err(Refusal::required("Missing background color.")),
        _ => Ok(()),
    }
}

/// Puts a calendar into the user's list.
pub(super) fn subscribe(store: &mut Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.body()?;
    let id =
        body.get("id").and_then(Value::as_str).ok_or_else(|| Refusal::required("Missing calendar id."))?;
    check_colours(call, &body)?;
    let place = store.place_of(id).ok_or_else(Refusal::not_found)?;
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    merge(calendar.entry.get_or_insert_with(Map::new), &picked(&body, &ENTRY));
    calendar.edition += 1;
    let id = calendar.id.clone();
    store.list_journal.push(id);
    let out = store
        .calendars
        .get(place)
        .and_then(|calendar| entry(calendar, place))
        .ok_or_else(Refusal::not_found)?;
    Ok(tagged(StatusCode::OK, &out, false))
}

pub(super) fn list_entry(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    let present = entry(calendar, place).ok_or_else(Refusal::not_found)?;
    let id = calendar.id.clone();
    match call.method().as_str() {
        "GET" => return Ok(tagged(StatusCode::OK, &present, true)),
        "DELETE" => {
            if calendar.primary {
                return Err(Refusal::forbidden("forbidden", "Cannot remove primary calendar."));
            }
            call.check_tag(&entry_tag(calendar))?;
            calendar.entry = None;
        }
        method => {
            call.check_tag(&entry_tag(calendar))?;
            let body = call.body()?;
            check_colours(call, &body)?;
            let own = calendar.entry.get_or_insert_with(Map::new);
            if method == "PUT" {
                own.clear();
            }
            merge(own, &picked(&body, &ENTRY));
        }
    }
    calendar.edition += 1;
    store.list_journal.push(id);
    match store.calendars.get(place).and_then(|calendar| entry(calendar, place)) {
        Some(out) => Ok(tagged(StatusCode::OK, &out, false)),
        None => Ok(Reply::empty(StatusCode::NO_CONTENT).committed()),
    }
}

fn setting(id: &str, value: &str) -> Value {
    let etag = format!("\"{}\"", 1_700_000_000_000_000_u64 + hash_text(id) % 1_000_000);
    json!({ "kind": "calendar#setting", "etag": etag, "id": id, "value": value })
}

pub(super) fn settings(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let all = || store.settings.iter().map(|(id, value)| setting(id, value)).collect();
    // Nobody changes settings through this service.
    let list = ShortList { kind: "calendar#settings", epoch: store.epoch, journal: &[], unsynced: &[] };
    list.page(call, all, |id| setting(id, ""))
}

pub(super) fn one_setting(store: &Store, id: &str) -> Result<Reply, Refusal> {
    let (id, value) = store.settings.iter().find(|(own, _)| *own == id).ok_or_else(Refusal::not_found)?;
    Ok(tagged(StatusCode::OK, &setting(id, value), true))
}

pub(super) fn colours() -> Reply {
    let table = |count: usize| -> Map<String, Value> {
        let pairs = COLOURS.iter().take(count).zip(1..);
        pairs
            .map(|((background, foreground), id)| {
                (id.to_string(), json!({ "background": background, "foreground": foreground }))
            })
            .collect()
    };
    let out = json!({
        "kind": "calendar#colors",
        "updated": "2012-02-14T00:00:00.000Z",
        "calendar": table(COLOURS.len()),
        "event": table(EVENT_COLOURS),
    });
    answer(StatusCode::OK, &out, true)
}

pub(super) fn free_busy(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.body()?;
    let instant = |name: &str| {
        let text = body.get(name).and_then(Value::as_str);
        let text = text.ok_or_else(|| Refusal::required(format!("Missing {name} parameter.")))?;
        text.parse::<jiff::Timestamp>().map_err(|_| Refusal::bad_request())
    };
    let (from, to) = (instant("timeMin")?, instant("timeMax")?);
    if to <= from {
        return Err(Refusal::empty_range("timeMax"));
    }
    let mut calendars = Map::new();
    for item in body.get("items").and_then(Value::as_array).into_iter().flatten() {
        let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
        let found = store.place_of(id).and_then(|place| store.calendars.get(place));
        let own = match found {
            Some(calendar) => json!({ "busy": listing::busy(store, calendar, from, to, call.now) }),
            None => json!({ "errors": [{ "domain": "global", "reason": "notFound" }], "busy": [] }),
        };
        calendars.insert(id.to_owned(), own);
    }
    let text = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
    let out = json!({
        "kind": "calendar#freeBusy",
        "timeMin": text(from),
        "timeMax": text(to),
        "calendars": calendars,
    });
    Ok(answer(StatusCode::OK, &out, true))
}
