//! Lists of events, whole or since a token, and the occurrences of a series.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::Call;
use super::errors::{Refusal, answer};
use super::event::{Around, Event};
use super::moments::Moment;
use super::occurrences;
use super::store::{Calendar, Store};
use crate::emulator::service::Reply;

const USUAL: usize = 250;
const MOST: usize = 2_500;
/// How far back changes can be asked for.
pub(super) const MEMORY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Where a page begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PageToken {
    calendar: String,
    /// Tokens of an older epoch are good no more.
    epoch: u64,
    /// Length of the journal when the listing began.
    journal: usize,
    begun: i64,
    /// Rows that were given already.
    given: usize,
    /// The place of the last event that was given, where events come in the order of their places.
    #[serde(default)]
    behind: Option<u64>,
}

/// Since when changes are wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SyncToken {
    calendar: String,
    epoch: u64,
    since: usize,
    at: i64,
    single: bool,
}

pub(super) fn write(token: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default())
}

pub(super) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// What a list is narrowed by.
struct Filter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    updated: Option<Timestamp>,
    words: Option<String>,
    ical_uid: Option<String>,
    kinds: Vec<String>,
    private: Vec<(String, String)>,
    shared: Vec<(String, String)>,
    deleted: bool,
    single: bool,
}

fn pairs(call: &Call<'_>, name: &str) -> Result<Vec<(String, String)>, Refusal> {
    let split = |text: &str| {
        text.split_once('=')
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .ok_or_else(|| Refusal::invalid_parameter(name, "Invalid value. Use propertyName=value."))
    };
    call.options(name).map(split).collect()
}

impl Filter {
    fn read(call: &Call<'_>) -> Result<Self, Refusal> {
        let filter = Self {
            from: call.instant("timeMin")?,
            to: call.instant("timeMax")?,
            updated: call.instant("updatedMin")?,
            words: call.option("q").map(str::to_lowercase),
            ical_uid: call.option("iCalUID").map(str::to_owned),
            kinds: call.options("eventTypes").map(str::to_owned).collect(),
            private: pairs(call, "privateExtendedProperty")?,
            shared: pairs(call, "sharedExtendedProperty")?,
            deleted: call.flag("showDeleted")?,
            single: call.flag("singleEvents")?,
        };
        if let (Some(from), Some(to)) = (filter.from, filter.to)
            && to <= from
        {
            return Err(Refusal::empty_range("timeMax"));
        }
        Ok(filter)
    }

    /// Whether the list has no token of its own at the end.
    fn restricts(&self, call: &Call<'_>) -> bool {
        call.option("orderBy").is_some()
            || self.words.is_some()
            || self.ical_uid.is_some()
            || self.updated.is_some()
            || !self.private.is_empty()
            || !self.shared.is_empty()
    }

    fn keeps(&self, event: &Event) -> bool {
        let property = |group: &str, wanted: &(String, String)| {
            let groups = event.members.get("extendedProperties");
            groups
                .and_then(|groups| groups.get(group))
                .and_then(|pairs| pairs.get(&wanted.0))
                .and_then(Value::as_str)
                == Some(wanted.1.as_str())
        };
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.ical_uid.as_ref().is_none_or(|wanted| *wanted == event.ical_uid)
            && self.updated.is_none_or(|since| event.updated >= since)
            && self.words.as_ref().is_none_or(|words| has_words(event, words))
            && self.private.iter().all(|wanted| property("private", wanted))
            && self.shared.iter().all(|wanted| property("shared", wanted))
    }

    /// Deleted entries come on request, and whenever changes are asked for. Cancelled occurrences stand beside
    /// their series.
    fn shows(&self, event: &Event) -> bool {
        !event.is_cancelled()
            || self.deleted
            || self.updated.is_some()
            || (event.of.is_some() && !self.single)
    }
}

fn has_words(event: &Event, words: &str) -> bool {
    let mut text =
        format!("{} {} {}", event.text("summary"), event.text("description"), event.text("location"));
    let people = event.members.get("attendees").and_then(Value::as_array).into_iter().flatten();
    for person in people.chain([&event.organizer]) {
        for name in ["email", "displayName"] {
            text.push(' ');
            text.push_str(person.get(name).and_then(Value::as_str).unwrap_or_default());
        }
    }
    let text = text.to_lowercase();
    words.split_whitespace().all(|word| text.contains(word))
}

/// The rows of a list, in order: series as such, or their occurrences.
fn rows(store: &Store, calendar: &Calendar, filter: &Filter, call: &Call<'_>, zone: &TimeZone) -> Vec<Event> {
    let mut out = Vec::new();
    let range = (filter.from, filter.to);
    let ranged = range != (None, None);
    let exceptions: HashSet<String> = match ranged && !filter.single {
        true => calendar.events(&store.seed, 0).filter(|own| own.of.is_some()).map(|own| own.id).collect(),
        false => HashSet::new(),
    };
    for event in calendar.events(&store.seed, 0) {
        if !filter.keeps(&event) || !filter.shows(&event) {
            continue;
        }
        if !event.is_series() {
            if event.is_cancelled() || event.span.overlaps(filter.from, filter.to, zone) {
                out.push(event);
            }
            continue;
        }
        let lines = event.recurrence();
        if filter.single {
            if !event.is_cancelled() {
                let exceptions = calendar.exceptions(&store.seed, &event.id);
                let spans =
                    occurrences::occurrences(&event.span, &lines, filter.from, filter.to, call.now, zone);
                let own = spans.into_iter().map(|span| event.occurrence(span));
                out.extend(own.filter(|own| exceptions.iter().all(|exception| exception.id != own.id)));
            }
            continue;
        }
        // A series is listed for what is left of its occurrences.
        let is_exception = |start: &Moment| exceptions.contains(&format!("{}_{}", event.id, start.compact()));
        if !ranged || occurrences::takes_place(&event.span, &lines, range, call.now, zone, is_exception) {
            out.push(event);
        }
    }
    out
}

pub(super) fn list(store: &Store, place: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let calendar = store.calendars.get(place).ok_or_else(Refusal::not_found)?;
    let filter = Filter::read(call)?;
    let zone = call.zone()?.unwrap_or_else(|| calendar.zone());
    let order = call.option("orderBy");
    match order {
        None | Some("updated") => {}
        Some("startTime") if filter.single => {}
        Some("startTime") => {
            let message = "The requested ordering is not available for the particular query.";
            return Err(Refusal::invalid_parameter("orderBy", message));
        }
        Some(_) => return Err(Refusal::invalid_parameter("orderBy", "Invalid value.")),
    }
    if let Some(since) = filter.updated
        && call.now.duration_since(since) > MEMORY
    {
        return Err(Refusal::too_long_ago());
    }
    if let Some(text) = call.option("syncToken") {
        return changes(store, calendar, &filter, text, call, &zone);
    }
    let mut all = rows(store, calendar, &filter, call, &zone);
    match order {
        Some("startTime") => all.sort_by_key(|event| event.span.start.instant(&zone)),
        Some(_) => all.sort_by_key(|event| event.updated),
        None => {}
    }
    let token = !filter.restricts(call);
    let by_place = order.is_none() && !filter.single;
    page(store, calendar, all, (token.then_some(filter.single), by_place), call)
}

/// A page of rows that are all here. The token at the end is of the moment when the listing began.
fn page(
    store: &Store,
    calendar: &Calendar,
    mut all: Vec<Event>,
    (sync, by_place): (Option<bool>, bool),
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let size = call.page_size(USUAL, MOST)?.min(store.page_rows.unwrap_or(MOST));
    let begun = match call.option("pageToken") {
        None => PageToken {
            calendar: calendar.id.clone(),
            epoch: store.page_epoch,
            journal: calendar.journal_length(),
            begun: call.now.as_microsecond(),
            given: 0,
            behind: None,
        },
        Some(text) => read::<PageToken>(text)
            .filter(|token| token.calendar == calendar.id && token.epoch == store.page_epoch)
            .ok_or_else(|| Refusal::invalid("Invalid page token value."))?,
    };
    // Events that go meanwhile let nothing slip from one page to the one before.
    let mut given = begun.given;
    if let Some(behind) = begun.behind {
        all.retain(|event| event.order > behind);
        given = 0;
    }
    let end = given.saturating_add(size);
    let more = end < all.len();
    let behind = all.get(end.wrapping_sub(1)).filter(|_| by_place).map(|event| event.order);
    let (zone, wanted) = (calendar.zone(), call.zone()?);
    let most = call.option("maxAttendees").and_then(|text| text.parse().ok());
    let around =
        Around { calendar: &calendar.id, zone: &zone, wanted: wanted.as_ref(), most_attendees: most };
    let updated = all.iter().map(|event| event.updated).max().unwrap_or(call.now);
    let items: Vec<Value> = all.iter().skip(given).take(size).map(|event| event.shown(around)).collect();
    let text = |name: &str| calendar.shared.get(name).cloned();
    let mut out = json!({
        "kind": "calendar#events",
        "etag": format!("\"p{:x}g\"", calendar.journal_length() as u64 ^ calendar.edition),
        "summary": text("summary").unwrap_or_default(),
    });
    if let Some(description) = text("description") {
        out["description"] = description;
    }
    out["updated"] = json!(updated.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
    out["timeZone"] = json!(wanted.as_ref().unwrap_or(&zone).iana_name());
    out["accessRole"] = json!(calendar.role);
    out["defaultReminders"] = super::calendars::default_reminders(calendar);
    if more {
        out["nextPageToken"] = json!(write(&PageToken { given: end, behind, ..begun }));
    } else if let Some(single) = sync {
        out["nextSyncToken"] = json!(write(&SyncToken {
            calendar: calendar.id.clone(),
            epoch: store.epoch,
            since: begun.journal,
            at: begun.begun,
            single,
        }));
    }
    out["items"] = json!(items);
    Ok(answer(StatusCode::OK, &out, true))
}

/// What changed since a token; deleted entries are always among it.
fn changes(
    store: &Store,
    calendar: &Calendar,
    filter: &Filter,
    text: &str,
    call: &Call<'_>,
    zone: &TimeZone,
) -> Result<Reply, Refusal> {
    let forbidden = [
        "iCalUID",
        "orderBy",
        "privateExtendedProperty",
        "q",
        "sharedExtendedProperty",
        "timeMin",
        "timeMax",
        "updatedMin",
    ];
    if let Some(name) = forbidden.iter().find(|name| call.option(name).is_some()) {
        let message = format!("Sync token cannot be used with {name}.");
        return Err(Refusal::invalid_parameter("syncToken", message));
    }
    if call.option("showDeleted") == Some("false") {
        let message = "showDeleted cannot be false when a sync token is used.";
        return Err(Refusal::invalid_parameter("showDeleted", message));
    }
    let token = read::<SyncToken>(text).filter(|token| {
        let age =
            call.now.duration_since(Timestamp::from_microsecond(token.at).unwrap_or(Timestamp::UNIX_EPOCH));
        token.calendar == calendar.id && token.epoch == store.epoch && age <= MEMORY
    });
    let token = token.ok_or_else(Refusal::full_sync)?;
    if token.single != filter.single {
        return Err(Refusal::full_sync());
    }
    // What changes while the pages are read comes with the next token.
    let begun = call.option("pageToken").and_then(read::<PageToken>).map(|token| token.journal);
    let until = begun.unwrap_or_else(|| calendar.journal_length());
    let mut all = Vec::new();
    for event in calendar.changed_between(&store.seed, token.since, until) {
        if !filter.kinds.is_empty() && !filter.kinds.contains(&event.kind) {
            continue;
        }
        if filter.single && event.is_series() {
            // A series that changed has changed in all its occurrences; one that is gone, too.
            let exceptions = calendar.exceptions(&store.seed, &event.id);
            let spans =
                occurrences::occurrences(&event.span, &event.recurrence(), None, None, call.now, zone);
            let own = spans.into_iter().map(|span| event.occurrence(span));
            all.extend(own.filter(|own| exceptions.iter().all(|exception| exception.id != own.id)));
        } else {
            all.push(event);
        }
    }
    page(store, calendar, all, (Some(token.single), false), call)
}

pub(super) fn instances(store: &Store, place: usize, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    let calendar = store.calendars.get(place).ok_or_else(Refusal::not_found)?;
    let series = calendar.event(&store.seed, id).ok_or_else(Refusal::not_found)?;
    let (from, to) = (call.instant("timeMin")?, call.instant("timeMax")?);
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        return Err(Refusal::empty_range("timeMax"));
    }
    let deleted = call.flag("showDeleted")?;
    let zone = call.zone()?.unwrap_or_else(|| calendar.zone());
    let exceptions = calendar.exceptions(&store.seed, id);
    let mut all: Vec<Event> =
        occurrences::occurrences(&series.span, &series.recurrence(), from, to, call.now, &zone)
            .into_iter()
            .map(|span| series.occurrence(span))
            .filter(|own| exceptions.iter().all(|exception| exception.id != own.id))
            .collect();
    all.extend(exceptions.into_iter().filter(|own| own.span.overlaps(from, to, &zone)));
    all.retain(|event| deleted || !event.is_cancelled());
    if let Some(original) = call.option("originalStart") {
        let wanted = original.parse::<Timestamp>().map_err(|_| Refusal::bad_request())?;
        all.retain(|event| event.of.as_ref().is_some_and(|(_, start)| start.instant(&zone) == wanted));
    }
    all.sort_by_key(|event| event.of.as_ref().map(|(_, start)| start.instant(&zone)));
    if series.is_cancelled() {
        return Err(Refusal::deleted());
    }
    page(store, calendar, all, (Some(true), false), call)
}

/// Busy stretches between two instants, joined where they touch.
pub(super) fn busy(
    store: &Store,
    calendar: &Calendar,
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
) -> Vec<Value> {
    let filter = Filter {
        from: Some(from),
        to: Some(to),
        updated: None,
        words: None,
        ical_uid: None,
        kinds: Vec::new(),
        private: Vec::new(),
        shared: Vec::new(),
        deleted: false,
        single: true,
    };
    let zone = calendar.zone();
    let mut stretches: Vec<(Timestamp, Timestamp)> = Vec::new();
    for event in calendar.events(&store.seed, 0) {
        if event.is_cancelled()
            || event.text("transparency") == "transparent"
            || event.kind == "workingLocation"
        {
            continue;
        }
        let spans = if event.is_series() {
            let exceptions = calendar.exceptions(&store.seed, &event.id);
            occurrences::occurrences(&event.span, &event.recurrence(), filter.from, filter.to, now, &zone)
                .into_iter()
                .map(|span| event.occurrence(span))
                .filter(|own| exceptions.iter().all(|exception| exception.id != own.id))
                .map(|own| own.span)
                .collect()
        } else {
            vec![event.span.clone()]
        };
        let inside = spans.into_iter().filter(|span| span.overlaps(filter.from, filter.to, &zone));
        stretches.extend(
            inside.map(|span| (span.start.instant(&zone).max(from), span.end.instant(&zone).min(to))),
        );
    }
    stretches.sort_unstable();
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (start, end) in stretches {
        match joined.last_mut() {
            Some((_, last)) if *last >= start => *last = (*last).max(end),
            _ => joined.push((start, end)),
        }
    }
    let text = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    joined.into_iter().map(|(start, end)| json!({ "start": text(start), "end": text(end) })).collect()
}
