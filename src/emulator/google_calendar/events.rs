//! Single events: read, inserted, imported, changed, moved, deleted.

use http::{HeaderName, StatusCode};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::{Refusal, answer};
use super::event::{Around, Event, Written, is_id, merge, written};
use super::moments::{Moment, Span};
use super::occurrences;
use super::store::Store;
use crate::emulator::chance::mix;
use crate::emulator::service::Reply;

/// Members that are carried over to what a patch is applied to.
fn as_body(event: &Event, zone: &TimeZone) -> Map<String, Value> {
    let mut body = event.members.clone();
    body.insert("start".to_owned(), event.span.start.shown(zone));
    body.insert("end".to_owned(), event.span.end.shown(zone));
    body
}

/// The event, series, exception or occurrence with an id.
pub(super) fn find(store: &Store, place: usize, id: &str, now: jiff::Timestamp) -> Result<Event, Refusal> {
    let calendar = store.calendars.get(place).ok_or_else(Refusal::not_found)?;
    if let Some(event) = calendar.event(&store.seed, id) {
        return Ok(event);
    }
    let (series, start) = occurrences::parse_id(id).ok_or_else(Refusal::not_found)?;
    let series =
        calendar.event(&store.seed, series).filter(Event::is_series).ok_or_else(Refusal::not_found)?;
    if series.is_cancelled() {
        return Err(Refusal::not_found());
    }
    let zone = calendar.zone();
    let at = start.instant(&TimeZone::UTC);
    let around = (
        at.saturating_sub(jiff::SignedDuration::from_hours(24)),
        at.saturating_add(jiff::SignedDuration::from_hours(24)),
    );
    let (Ok(from), Ok(to)) = around else { return Err(Refusal::not_found()) };
    occurrences::occurrences(&series.span, &series.recurrence(), Some(from), Some(to), now, &zone)
        .into_iter()
        .find(|span| same_start(&span.start, &start))
        .map(|span| series.occurrence(span))
        .ok_or_else(Refusal::not_found)
}

fn same_start(one: &Moment, other: &Moment) -> bool {
    match (one, other) {
        (Moment::Day(one), Moment::Day(other)) => one == other,
        (Moment::Instant { at: one, .. }, Moment::Instant { at: other, .. }) => one == other,
        _ => false,
    }
}

/// An event as the answer to a request about it.
fn shown(store: &Store, place: usize, event: &Event, call: &Call<'_>) -> Result<Value, Refusal> {
    let calendar = store.calendars.get(place).ok_or_else(Refusal::not_found)?;
    let (zone, wanted) = (calendar.zone(), call.zone()?);
    let most = match call.option("maxAttendees") {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|_| Refusal::invalid_parameter("maxAttendees", "Invalid value."))?)
        }
    };
    Ok(event.shown(Around {
        calendar: &calendar.id,
        zone: &zone,
        wanted: wanted.as_ref(),
        most_attendees: most,
    }))
}

fn with_tag(reply: Reply, tag: &str) -> Reply {
    reply.with_header(http::header::ETAG, tag)
}

pub(super) fn get(store: &Store, place: usize, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    let event = find(store, place, id, call.now)?;
    let tag = event.tag();
    if call.has_tag(&tag) {
        return Ok(with_tag(Reply::empty(StatusCode::NOT_MODIFIED), &tag));
    }
    Ok(with_tag(answer(StatusCode::OK, &shown(store, place, &event, call)?, true), &tag))
}

fn done(store: &Store, place: usize, event: &Event, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = shown(store, place, event, call)?;
    let reply = answer(StatusCode::OK, &body, false)
        .with_header(http::header::PRAGMA, "no-cache")
        .with_header(HeaderName::from_static("expires"), "Mon, 01 Jan 1990 00:00:00 GMT");
    Ok(with_tag(reply, &event.tag()).committed())
}

fn may_write(store: &Store, place: usize) -> Result<(), Refusal> {
    match store.calendars.get(place).map(|calendar| calendar.role) {
        Some("owner" | "writer" | "writerWithoutPrivateAccess") => Ok(()),
        _ => {
            Err(Refusal::forbidden("requiredAccessLevel", "You need to have writer access to this calendar."))
        }
    }
}

/// Puts a new event into a calendar.
fn add(
    store: &mut Store,
    place: usize,
    call: &Call<'_>,
    id: String,
    ical_uid: Option<String>,
    new: Written,
    organizer: Option<Value>,
) -> Result<Event, Refusal> {
    let now = store.stamp(call.now);
    let user = store.seed.user().to_owned();
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    let own = if calendar.primary {
        json!({ "email": user, "self": true })
    } else {
        json!({
            "email": calendar.id,
            "displayName": calendar.shared.get("summary").cloned().unwrap_or_default(),
            "self": true,
        })
    };
    let creator =
        if calendar.primary { json!({ "email": user, "self": true }) } else { json!({ "email": user }) };
    let event = Event {
        order: calendar.free_place(),
        ical_uid: ical_uid.unwrap_or_else(|| format!("{id}@google.com")),
        id,
        kind: new.kind,
        span: new.span,
        of: None,
        members: new.members,
        organizer: organizer.unwrap_or(own),
        creator,
        created: now,
        updated: now,
    };
    calendar.put(event.clone());
    Ok(event)
}

pub(super) fn insert(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    may_write(store, place)?;
    let body = call.body()?;
    store.requests += 1;
    let id = match body.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        Some(id) if !is_id(id) => return Err(Refusal::invalid("Invalid resource id value.")),
        Some(id) => {
            let calendar = store.calendars.get(place).ok_or_else(Refusal::not_found)?;
            // A deleted one stays taken.
            if calendar.event(&store.seed, id).is_some() {
                return Err(Refusal::duplicate());
            }
            id.to_owned()
        }
        None => fresh_id(store.requests),
    };
    let new = written(call, &body, None, store.requests)?;
    let ical_uid = body.get("iCalUID").and_then(Value::as_str).map(str::to_owned);
    let event = add(store, place, call, id, ical_uid, new, None)?;
    done(store, place, &event, call)
}

/// An id that nobody has: 26 digits of base32hex.
fn fresh_id(number: u64) -> String {
    let digits = b"0123456789abcdefghijklmnopqrstuv";
    let value = (u128::from(mix(number ^ 0x1D5)) << 64) | u128::from(mix(number));
    (0..26).map(|turn| char::from(digits[((value >> (turn * 5)) & 31) as usize])).collect()
}

/// The id that imported events get from their calendar-wide one.
fn imported_id(ical_uid: &str) -> String {
    let digits = b"0123456789abcdefghijklmnopqrstuv";
    let mut out = String::from("_");
    let mut bits: u32 = 0;
    let mut held = 0;
    for byte in ical_uid.bytes() {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            out.push(char::from(digits[((bits >> held) & 31) as usize]));
        }
    }
    if held > 0 {
        out.push(char::from(digits[((bits << (5 - held)) & 31) as usize]));
    }
    out
}

pub(super) fn import(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    may_write(store, place)?;
    let body = call.body()?;
    let uid = body.get("iCalUID").and_then(Value::as_str).filter(|uid| !uid.is_empty());
    let uid = uid.ok_or_else(|| Refusal::required("Missing iCalUID."))?.to_owned();
    let new = written(call, &body, None, store.requests)?;
    if new.kind != "default" {
        return Err(Refusal::invalid("Events of this type cannot be imported."));
    }
    let id = imported_id(&uid);
    let present = store.calendars.get(place).and_then(|calendar| calendar.event(&store.seed, &id));
    let event = match present {
        Some(mut event) => {
            event.updated = store.stamp(call.now);
            event.span = new.span;
            event.members = new.members;
            put(store, place, event)?
        }
        None => add(store, place, call, id, Some(uid), new, body.get("organizer").cloned())?,
    };
    done(store, place, &event, call)
}

fn put(store: &mut Store, place: usize, event: Event) -> Result<Event, Refusal> {
    let calendar = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?;
    calendar.put(event.clone());
    Ok(event)
}

/// PUT replaces, PATCH merges. An occurrence becomes an exception of its series.
pub(super) fn change(
    store: &mut Store,
    place: usize,
    id: &str,
    call: &Call<'_>,
    whole: bool,
) -> Result<Reply, Refusal> {
    may_write(store, place)?;
    let mut event = find(store, place, id, call.now)?;
    call.check_tag(&event.tag())?;
    let zone = store.calendars.get(place).map(super::store::Calendar::zone).unwrap_or(TimeZone::UTC);
    let body = call.body()?;
    let mut wanted = if whole { body.clone() } else { as_body(&event, &zone) };
    if !whole {
        merge(&mut wanted, &body);
        for side in ["start", "end"] {
            switch(&mut wanted, &body, side);
        }
    }
    if let Some(own) = body.get("id").and_then(Value::as_str)
        && own != event.id
    {
        return Err(Refusal::invalid("Invalid resource id value."));
    }
    store.requests += 1;
    let new = written(call, &wanted, Some(&event), store.requests)?;
    if event.of.is_some() && new.members.contains_key("recurrence") {
        return Err(Refusal::invalid("Recurrence of an occurrence cannot be changed."));
    }
    if new.span == event.span && new.members == event.members {
        return done(store, place, &event, call);
    }
    let reminders_only = new.span == event.span && {
        let bare = |members: &Map<String, Value>| {
            let mut members = members.clone();
            members.remove("reminders");
            members
        };
        bare(&new.members) == bare(&event.members)
    };
    let stamp = store.stamp(call.now);
    if !reminders_only {
        event.updated = stamp;
    }
    event.span = new.span;
    event.members = new.members;
    let known = store.calendars.get(place).is_some_and(|own| own.event(&store.seed, &event.id).is_some());
    if !known {
        event.order = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?.free_place();
        event.created = stamp;
    }
    let event = put(store, place, event)?;
    done(store, place, &event, call)
}

/// A patch from whole days to instants, or back, need not take the other form away by name.
fn switch(wanted: &mut Map<String, Value>, patch: &Map<String, Value>, side: &str) {
    let given = |name: &str| {
        patch.get(side).and_then(|moment| moment.get(name)).is_some_and(|value| !value.is_null())
    };
    let other = match (given("date"), given("dateTime")) {
        (true, false) => "dateTime",
        (false, true) => "date",
        _ => return,
    };
    if let Some(Value::Object(moment)) = wanted.get_mut(side) {
        moment.remove(other);
    }
}

pub(super) fn delete(store: &mut Store, place: usize, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    may_write(store, place)?;
    let mut event = find(store, place, id, call.now)?;
    if event.is_cancelled() {
        return Err(Refusal::deleted());
    }
    call.check_tag(&event.tag())?;
    let stamp = store.stamp(call.now);
    let exceptions = match event.is_series() {
        true => {
            store.calendars.get(place).map(|own| own.exceptions(&store.seed, &event.id)).unwrap_or_default()
        }
        false => Vec::new(),
    };
    let known = store.calendars.get(place).is_some_and(|own| own.event(&store.seed, &event.id).is_some());
    if !known {
        event.order = store.calendars.get_mut(place).ok_or_else(Refusal::not_found)?.free_place();
    }
    event.members.insert("status".to_owned(), json!("cancelled"));
    event.updated = stamp;
    put(store, place, event)?;
    for mut exception in exceptions.into_iter().filter(|own| !own.is_cancelled()) {
        exception.members.insert("status".to_owned(), json!("cancelled"));
        exception.updated = store.stamp(call.now);
        put(store, place, exception)?;
    }
    Ok(Reply::empty(StatusCode::NO_CONTENT).committed())
}

pub(super) fn relocate(store: &mut Store, place: usize, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    may_write(store, place)?;
    let wanted =
        call.option("destination").ok_or_else(|| Refusal::required("Required parameter: destination"))?;
    let target = store.place_of(wanted).ok_or_else(Refusal::not_found)?;
    may_write(store, target)?;
    let mut event = find(store, place, id, call.now)?;
    if event.is_cancelled() {
        return Err(Refusal::deleted());
    }
    if event.kind != "default" {
        return Err(Refusal::invalid("Events of this type cannot be moved."));
    }
    if event.of.is_some() {
        let message = "Cannot change the organizer of an instance.";
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "calendar",
            "cannotChangeOrganizerOfInstance",
            message,
        ));
    }
    if store.calendars.get(target).is_some_and(|own| own.event(&store.seed, id).is_some()) {
        return Err(Refusal::duplicate());
    }
    let stamp = store.stamp(call.now);
    let mut gone = event.clone();
    gone.members.insert("status".to_owned(), json!("cancelled"));
    gone.updated = stamp;
    put(store, place, gone)?;
    event.updated = store.stamp(call.now);
    if let Some(calendar) = store.calendars.get_mut(target) {
        event.order = calendar.free_place();
        let summary = calendar.shared.get("summary").cloned().unwrap_or_default();
        event.organizer = json!({ "email": calendar.id, "displayName": summary, "self": true });
    }
    let event = put(store, target, event)?;
    done(store, target, &event, call)
}

/// A title with an hour in it, as people write it: `Lunch tomorrow 12:30`. Without one the next full hour counts.
pub(super) fn quick_add(store: &mut Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    may_write(store, place)?;
    let text = call.option("text").filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Refusal::required("Required parameter: text"))?.to_owned();
    let zone = store.calendars.get(place).map(super::store::Calendar::zone).unwrap_or(TimeZone::UTC);
    let today = call.now.to_zoned(zone.clone()).datetime();
    let hour = text.split_whitespace().find_map(|word| {
        let (hour, minute) = word.split_once(':')?;
        Some((hour.parse::<i8>().ok()?, minute.parse::<i8>().ok()?))
    });
    let day = if text.contains("tomorrow") {
        today.date().tomorrow().unwrap_or(today.date())
    } else {
        today.date()
    };
    let (hour, minute) = hour.unwrap_or(((today.hour() + 1) % 24, 0));
    let start = jiff::civil::Time::new(hour, minute, 0, 0)
        .ok()
        .and_then(|time| day.to_datetime(time).to_zoned(zone).ok())
        .ok_or_else(Refusal::bad_request)?
        .timestamp();
    let end = start.saturating_add(jiff::SignedDuration::from_hours(1)).unwrap_or(start);
    store.requests += 1;
    let moment = |at| Moment::Instant { at, zone: None };
    let new = Written {
        span: Span { start: moment(start), end: moment(end) },
        kind: "default".to_owned(),
        members: Map::from_iter([("summary".to_owned(), json!(text))]),
    };
    let id = fresh_id(store.requests);
    let event = add(store, place, call, id, None, new, None)?;
    done(store, place, &event, call)
}
