//! Calendars, the user's list of them, who may see them, settings, colours, and when people are busy.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::{Refusal, answer};
use super::event::merge;
use super::listing;
use super::store::{Calendar, Store};
use crate::emulator::chance::{hash_text, mix};
use crate::emulator::service::Reply;

const USUAL: usize = 100;
const MOST: usize = 250;
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
const ROLES: [&str; 6] =
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

fn tagged(status: StatusCode, body: &Value, read: bool) -> Reply {
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

fn picked(body: &Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    body.iter()
        .filter(|(name, _)| known.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn owned(calendar: &Calendar) -> Result<(), Refusal> {
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
            if wanted != calendar.shared {
                calendar.shared = wanted;
                calendar.edition += 1;
                let id = calendar.id.clone();
                store.list_journal.push(id);
            }
            let calendar = store.calendars.get(place).ok_or_else(Refusal::not_found)?;
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
    let id = calendar.id.clone();
    store.list_journal.push(id);
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
    let size = call.page_size(USUAL, MOST)?;
    let from = first_row(call)?;
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
    let shown = |(number, calendar): (usize, &Calendar)| entry(calendar, number);
    let all: Vec<Value> = match call.option("syncToken") {
        Some(_) if call.option("minAccessRole").is_some() => {
            let message = "Sync token cannot be used with minAccessRole.";
            return Err(Refusal::invalid_parameter("syncToken", message));
        }
        Some(text) => {
            let (epoch, since) = text
                .split_once('.')
                .and_then(|(epoch, rest)| Some((epoch.parse::<u64>().ok()?, decoded(rest)?)))
                .ok_or_else(Refusal::full_sync)?;
            if epoch != store.epoch {
                return Err(Refusal::full_sync());
            }
            let mut ids: Vec<&String> = store.list_journal.get(since..).unwrap_or_default().iter().collect();
            ids.reverse();
            let mut seen = std::collections::HashSet::new();
            ids.retain(|id| seen.insert(*id));
            ids.reverse();
            let current = |id: &String| {
                let place = store.calendars.iter().position(|own| own.id == *id);
                place
                    .and_then(|place| shown((place, store.calendars.get(place)?)))
                    .unwrap_or_else(|| deleted_entry(id))
            };
            ids.into_iter().map(current).collect()
        }
        None => {
            let calendars = store.calendars.iter().enumerate().filter(|(_, calendar)| enough(calendar));
            let visible =
                calendars.filter_map(shown).filter(|own| hidden || own.get("hidden") != Some(&json!(true)));
            let mut all: Vec<Value> = visible.collect();
            if deleted {
                let gone =
                    store.list_journal.iter().filter(|id| store.calendars.iter().all(|own| own.id != **id));
                all.extend(gone.map(|id| deleted_entry(id)));
            }
            all
        }
    };
    let mut out =
        json!({ "kind": "calendar#calendarList", "etag": format!("\"p{:x}\"", store.list_journal.len()) });
    let end = from.saturating_add(size);
    if end < all.len() {
        out["nextPageToken"] = json!(encoded(end));
    } else if call.option("minAccessRole").is_none() {
        out["nextSyncToken"] = json!(format!("{}.{}", store.epoch, encoded(store.list_journal.len())));
    }
    let items: Vec<&Value> = all.iter().skip(from).take(size).collect();
    out["items"] = json!(items);
    Ok(answer(StatusCode::OK, &out, true))
}

/// The first row of the page that is asked for.
fn first_row(call: &Call<'_>) -> Result<usize, Refusal> {
    match call.option("pageToken") {
        None => Ok(0),
        Some(text) => decoded(text).ok_or_else(|| Refusal::invalid("Invalid page token value.")),
    }
}

fn encoded(number: usize) -> String {
    URL_SAFE_NO_PAD.encode(number.to_string())
}

fn decoded(text: &str) -> Option<usize> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?.parse().ok()
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

fn rule(id: &str, members: &Map<String, Value>) -> Value {
    let mut out = json!({ "kind": "calendar#aclRule", "etag": format!("\"{:020}\"", hash_text(&format!("{id}{members:?}")) >> 12), "id": id });
    if let Value::Object(own) = &mut out {
        own.extend(members.clone());
    }
    out
}

/// The id that follows from a rule's scope.
fn rule_id(scope: &Value) -> Result<String, Refusal> {
    let kind = scope.get("type").and_then(Value::as_str).unwrap_or_default();
    match (kind, scope.get("value").and_then(Value::as_str)) {
        ("default", _) => Ok("default".to_owned()),
        ("user" | "group" | "domain", Some(value)) => Ok(format!("{kind}:{value}")),
        _ => Err(Refusal::invalid("Invalid scope.")),
    }
}

fn role(body: &Map<String, Value>) -> Result<(), Refusal> {
    match body.get("role").and_then(Value::as_str) {
        None => Err(Refusal::required("Missing role.")),
        Some(role) if ROLES.contains(&role) => Ok(()),
        Some(_) => Err(Refusal::invalid("Invalid role.")),
    }
}

pub(super) fn rules(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    owned(calendar)?;
    if call.method() == http::Method::POST {
        let body = call.body()?;
        role(&body)?;
        let scope = body.get("scope").ok_or_else(|| Refusal::required("Missing scope."))?;
        let id = rule_id(scope)?;
        let members = picked(&body, &["role", "scope"]);
        let out = rule(&id, &members);
        calendar.rules.insert(id, members);
        return Ok(tagged(StatusCode::OK, &out, false));
    }
    let size = call.page_size(USUAL, MOST)?;
    let from = first_row(call)?;
    let mut out = json!({ "kind": "calendar#acl", "etag": format!("\"p{:x}\"", calendar.rules.len()) });
    let end = from.saturating_add(size);
    if end < calendar.rules.len() {
        out["nextPageToken"] = json!(encoded(end));
    } else {
        out["nextSyncToken"] = json!(encoded(calendar.rules.len()));
    }
    out["items"] = rules_of(calendar).into_iter().skip(from).take(size).collect();
    Ok(answer(StatusCode::OK, &out, true))
}

/// The rules of access to a calendar, in the order of their ids.
pub(super) fn rules_of(calendar: &Calendar) -> Vec<Value> {
    calendar.rules.iter().map(|(id, members)| rule(id, members)).collect()
}

pub(super) fn one_rule(store: &mut Store, place: usize, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    owned(calendar)?;
    let present = calendar.rules.get(id).cloned().ok_or_else(Refusal::not_found)?;
    if call.method() != http::Method::GET {
        call.check_tag(rule(id, &present)["etag"].as_str().unwrap_or_default())?;
    }
    match call.method().as_str() {
        "GET" => Ok(tagged(StatusCode::OK, &rule(id, &present), true)),
        "DELETE" => {
            calendar.rules.remove(id);
            Ok(Reply::empty(StatusCode::NO_CONTENT).committed())
        }
        _ => {
            let body = call.body()?;
            let mut wanted = present;
            merge(&mut wanted, &picked(&body, &["role"]));
            role(&wanted)?;
            let out = rule(id, &wanted);
            calendar.rules.insert(id.to_owned(), wanted);
            Ok(tagged(StatusCode::OK, &out, false))
        }
    }
}

fn setting(id: &str, value: &str) -> Value {
    let etag = format!("\"{}\"", 1_700_000_000_000_000_u64 + hash_text(id) % 1_000_000);
    json!({ "kind": "calendar#setting", "etag": etag, "id": id, "value": value })
}

pub(super) fn settings(store: &Store, wanted: Option<&str>) -> Result<Reply, Refusal> {
    let mut all = store.settings.iter().map(|(id, value)| (*id, setting(id, value)));
    match wanted {
        Some(wanted) => {
            let (_, found) = all.find(|(id, _)| *id == wanted).ok_or_else(Refusal::not_found)?;
            Ok(tagged(StatusCode::OK, &found, true))
        }
        None => {
            let items: Vec<Value> = all.map(|(_, own)| own).collect();
            let out = json!({ "kind": "calendar#settings", "etag": "\"p1\"", "nextSyncToken": encoded(1), "items": items });
            Ok(answer(StatusCode::OK, &out, true))
        }
    }
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
