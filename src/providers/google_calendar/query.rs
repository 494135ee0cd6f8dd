//! Queries: which of their conditions the service narrows its lists by, and what is evaluated here.
//!
//! Lists of events take parameters that hold all at once, so only conditions that must hold in any case are sent.
//! `timeMin` and `timeMax` bound end and start of what takes place, so a series is listed for its occurrences. Those may
//! all have been moved or taken away, while the series is a record with a start and an end of its own; so bounds are sent
//! for occurrences, and for events where another condition says that they are no series.
//!
//! Source: "Events: list" (Google Calendar API).

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::account::PRIMARY;
use super::event_fields::{EVENT_TYPES, EXTENDED};
use super::fields::{self, CALENDAR, FIELDS};
use super::kinds::Home;
use crate::error::{Error, Result};
use crate::provider::pushdown::{self, Judged};
use crate::provider::{At, Doer, Plan, PlannedCondition, Resolved};
use crate::record::query::{Comparison, Condition, Direction, Filter, Test};
use crate::record::value::Value;
use crate::record::{FieldPath, Query, RecordType};

/// How far the local days of two places are apart at most, so that a day bounds instants.
const ZONES_APART: SignedDuration = SignedDuration::from_hours(26);
/// Bounds are cut to seconds by the service.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How far back changes can be asked for; the service forgets after some weeks.
const CHANGES_BACK: SignedDuration = SignedDuration::from_hours(24 * 20);

/// Fields that the free text search looks into.
const WORDS: [&str; 5] = ["summary", "description", "location", "attendees", "organizer"];

/// The parts of a request. Travels in [`Plan::wire`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    /// The calendars to read; all when unset.
    pub(super) calendars: Option<Vec<String>>,
    /// The series whose occurrences are wanted.
    pub(super) series: Option<String>,
    /// Parameters of lists.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) page_size: u32,
    /// Whether what was deleted is wanted as well.
    pub(super) deleted: bool,
    /// The range of a search for busy times.
    pub(super) range: Option<(Timestamp, Timestamp)>,
}

impl Request {
    /// The request of a plan.
    ///
    /// # Errors
    /// A bug, when the plan is another provider's.
    pub(super) fn of(plan: &Plan) -> Result<Self> {
        serde_json::from_value(plan.wire.clone())
            .map_err(|source| Error::bug("the plan is not one of Google Calendar's").with_source(source))
    }
}

/// What of a filter narrows lists.
#[derive(Debug, Default)]
struct Narrowing {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    updated: Option<Timestamp>,
    ical_uid: Option<String>,
    kinds: Option<Vec<String>>,
    properties: Vec<(&'static str, String)>,
    series: Option<String>,
    calendars: Option<Vec<String>>,
    /// The conditions that do, each with what is sent for it.
    sent: Vec<(Condition, String)>,
}

/// The conditions that must hold in any case.
fn conjuncts(filter: &Filter, out: &mut Vec<Condition>) {
    match filter {
        Filter::Is(condition) => out.push(condition.clone()),
        Filter::And(parts) => parts.iter().for_each(|part| conjuncts(part, out)),
        Filter::Or(_) | Filter::Not(_) => {}
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// The texts that a condition limits a field to.
fn texts(condition: &Condition) -> Option<Vec<String>> {
    if !condition.case_sensitive {
        return None;
    }
    match &condition.test {
        Test::Compare(Comparison::Equal, value) => text(value).map(|text| vec![text]),
        Test::In { values, negated: false } => values.iter().map(text).collect(),
        _ => None,
    }
}

/// The earliest and the latest instant that a condition leaves to a field, days widened by what zones differ.
fn bounds(condition: &Condition) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    let early = |value: &Value| match value {
        Value::Instant(at) => at.checked_sub(SECOND).ok(),
        Value::Date(day) => {
            let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
            midnight.checked_sub(ZONES_APART).ok()
        }
        _ => None,
    };
    let late = |value: &Value| match value {
        Value::Instant(at) => at.checked_add(SECOND).and_then(|at| at.checked_add(SECOND)).ok(),
        Value::Date(day) => {
            let midnight = day.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
            midnight.checked_add(ZONES_APART).ok()
        }
        _ => None,
    };
    match &condition.test {
        Test::Compare(Comparison::Equal, value) => Some((early(value), late(value))),
        Test::Compare(Comparison::Less | Comparison::LessOrEqual, value) => Some((None, late(value))),
        Test::Compare(Comparison::Greater | Comparison::GreaterOrEqual, value) => Some((early(value), None)),
        Test::Between { low, high, negated: false } => Some((early(low), late(high))),
        Test::In { values, negated: false } => {
            let least = values.iter().map(early).collect::<Option<Vec<_>>>()?.into_iter().min();
            let most = values.iter().map(late).collect::<Option<Vec<_>>>()?.into_iter().max();
            Some((least, most))
        }
        _ => None,
    }
}

/// Whether a condition holds for no series: an exception names its series, and a single event has no recurrence.
fn excludes_series(condition: &Condition) -> bool {
    let path: Vec<&str> = condition.path.segments().iter().map(String::as_str).collect();
    match path.as_slice() {
        ["recurrence"] => condition.test == Test::IsNull,
        ["recurringEventId"] => matches!(
            condition.test,
            Test::IsNotNull
                | Test::Compare(Comparison::Equal, _)
                | Test::In { negated: false, .. }
                | Test::Like { negated: false, .. }
        ),
        _ => false,
    }
}

/// A whole second that is not later than an instant.
fn stamp(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.max(other)
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Narrowing {
    fn of(home: Home, scoped: bool, filter: Option<&Filter>, now: Timestamp) -> Self {
        let mut out = Self::default();
        let mut conditions = Vec::new();
        if let Some(filter) = filter.filter(|_| home.is_of_events() || home == Home::Busy) {
            conjuncts(&pushdown::negation_normal(filter), &mut conditions);
        }
        let no_series = home == Home::Occurrences || conditions.iter().any(excludes_series);
        for condition in conditions {
            let path: Vec<&str> = condition.path.segments().iter().map(String::as_str).collect();
            let sent = match path.as_slice() {
                [CALENDAR] if !scoped => out.calendars(&condition),
                ["start" | "end", "dateTime" | "date"] if home.is_of_events() && no_series => {
                    out.range(&condition)
                }
                ["start" | "end"] if home == Home::Busy => out.range(&condition),
                ["updated"] => out.updated(&condition, now),
                ["iCalUID"] => out.ical_uid(&condition),
                ["eventType"] => out.kinds(&condition),
                ["recurringEventId"] if home == Home::Occurrences => out.series(&condition),
                [EXTENDED, group, key] => out.property(&condition, group, key),
                _ => None,
            };
            if let Some(sent) = sent {
                out.sent.push((condition, sent));
            }
        }
        out
    }

    fn calendars(&mut self, condition: &Condition) -> Option<String> {
        let mut wanted = texts(condition)?;
        if let Some(known) = &self.calendars {
            wanted.retain(|own| known.contains(own));
        }
        // One that is named twice is read once.
        let mut seen = HashSet::new();
        wanted.retain(|own| seen.insert(own.clone()));
        let sent = format!("calendars {}", wanted.join(", "));
        self.calendars = Some(wanted);
        Some(sent)
    }

    fn range(&mut self, condition: &Condition) -> Option<String> {
        let (from, to) = bounds(condition)?;
        if from.is_none() && to.is_none() {
            return None;
        }
        self.from = later(self.from, from);
        self.to = earlier(self.to, to);
        let from = from.map(|from| format!("timeMin={}", stamp(from)));
        let to = to.map(|to| format!("timeMax={}", stamp(to)));
        Some(from.into_iter().chain(to).collect::<Vec<_>>().join("&"))
    }

    fn updated(&mut self, condition: &Condition, now: Timestamp) -> Option<String> {
        let (from, _) = bounds(condition)?;
        let from = from.filter(|from| now.duration_since(*from) <= CHANGES_BACK)?;
        self.updated = later(self.updated, Some(from));
        Some(format!("updatedMin={}", stamp(from)))
    }

    fn ical_uid(&mut self, condition: &Condition) -> Option<String> {
        let [wanted] = <[String; 1]>::try_from(texts(condition)?).ok()?;
        if self.ical_uid.as_ref().is_some_and(|known| *known != wanted) {
            return None;
        }
        let sent = format!("iCalUID={wanted}");
        self.ical_uid = Some(wanted);
        Some(sent)
    }

    fn kinds(&mut self, condition: &Condition) -> Option<String> {
        let wanted = texts(condition)?;
        // The service refuses what it does not know.
        let known = |own: &String| EVENT_TYPES.iter().any(|(value, _)| value == own);
        if wanted.is_empty() || self.kinds.is_some() || !wanted.iter().all(known) {
            return None;
        }
        let sent = wanted.iter().map(|own| format!("eventTypes={own}")).collect::<Vec<_>>().join("&");
        self.kinds = Some(wanted);
        Some(sent)
    }

    fn series(&mut self, condition: &Condition) -> Option<String> {
        let [wanted] = <[String; 1]>::try_from(texts(condition)?).ok()?;
        if self.series.is_some() {
            return None;
        }
        let sent = format!("the occurrences of {wanted}");
        self.series = Some(wanted);
        Some(sent)
    }

    fn property(&mut self, condition: &Condition, group: &str, key: &str) -> Option<String> {
        let [wanted] = <[String; 1]>::try_from(texts(condition)?).ok()?;
        let name = match group {
            "private" => "privateExtendedProperty",
            "shared" => "sharedExtendedProperty",
            _ => return None,
        };
        // What separates the two would be ambiguous.
        if key.is_empty() || key.contains('=') {
            return None;
        }
        let pair = format!("{key}={wanted}");
        let sent = format!("{name}={pair}");
        self.properties.push((name, pair));
        Some(sent)
    }

    /// The parameters of lists. One list takes no occurrences and no time range together with a series' address.
    fn parameters(&self, home: Home) -> Vec<(String, String)> {
        let mut out: Vec<(String, String)> = Vec::new();
        let mut put = |name: &str, value: String| out.push((name.to_owned(), value));
        if home == Home::Occurrences && self.series.is_none() {
            put("singleEvents", "true".to_owned());
        }
        if let Some(from) = self.from {
            put("timeMin", stamp(from));
        }
        // An empty range is refused; without its upper end it finds nothing else.
        if let Some(to) = self.to.filter(|to| self.from.is_none_or(|from| from.as_second() < to.as_second()))
        {
            put("timeMax", stamp(to));
        }
        if self.series.is_some() {
            return out;
        }
        if let Some(updated) = self.updated {
            put("updatedMin", stamp(updated));
        }
        if let Some(uid) = &self.ical_uid {
            put("iCalUID", uid.clone());
        }
        for kind in self.kinds.iter().flatten() {
            put("eventTypes", kind.clone());
        }
        for (name, pair) in &self.properties {
            put(name, pair.clone());
        }
        out
    }
}

/// What the types of one home and calendar are asked by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) home: Home,
    /// The calendar of the type, when it has one.
    pub(super) calendar: Option<&'a str>,
    pub(super) record_type: &'a Arc<RecordType>,
}

/// Plans a query.
///
/// # Errors
/// Unsupported for what neither side can do; Invalid for busy times without a range, and for a calendar that is not named by
/// its id.
pub(super) fn plan(query: &Query, resolved: &Resolved, ground: Ground<'_>) -> Result<Plan> {
    let Ground { home, calendar, record_type } = ground;
    let narrowing = Narrowing::of(home, calendar.is_some(), query.filter.as_ref(), query.now);
    if home.is_of_events() && narrowing.calendars.iter().flatten().any(|own| own == PRIMARY) {
        // Its events have the calendar's id, so that two searches would give them two keys.
        return Err(Error::invalid(format!("{PRIMARY:?} is not the id of a calendar"))
            .with_field(CALENDAR, "holds the calendar's id")
            .with_advice(format!(
                "Search {}:{PRIMARY}, or take the id from `recordport search CONNECTION calendar_list_entry`",
                record_type.name.base()
            )));
    }
    let split = pushdown::split(query.filter.as_ref(), |condition| {
        let sent = narrowing.sent.iter().find(|(own, _)| own == condition);
        match sent {
            Some((_, sent)) => Judged::superset(sent.clone(), "narrows the list; evaluated here as well"),
            None => Judged::unsupported(why_not(home, condition)),
        }
    });
    let one_calendar = calendar.is_some() || narrowing.calendars.as_ref().is_some_and(|own| own.len() == 1);
    let by_change = matches!(query.order_by.as_slice(), [key]
        if key.direction == Direction::Asc && key.field == FieldPath::of(["updated"]));
    let provider_orders = by_change && home.is_of_events() && one_calendar && narrowing.series.is_none();
    let placement = pushdown::place(query, provider_orders, split.residual.is_some())?;
    let besides = pushdown::besides(query, record_type, split.residual.as_ref(), placement.order);
    // Told before anything is sent.
    fields::shape(record_type, &query.select, &besides, None)?;
    for key in &query.order_by {
        if resolved.field(&key.field).is_none() {
            return Err(crate::provider::paths::unknown(&key.field, record_type, key.field.leaf()));
        }
    }
    let mut parameters = narrowing.parameters(home);
    let mut conditions = split.conditions;
    if placement.order == Doer::Provider {
        parameters.push(("orderBy".to_owned(), "updated".to_owned()));
    }
    if let Some(words) = &query.native {
        parameters.push(("q".to_owned(), words.clone()));
        conditions.push(PlannedCondition {
            text: words.clone(),
            at: At::Exact,
            why: "free text that Google looks for in titles, descriptions, places and people; recordport does not look \
                  into it"
                .to_owned(),
        });
    }
    if home.is_of_events()
        && let Some(wanted) = fields::partial(record_type, &query.select, &besides)
    {
        parameters.push((FIELDS.to_owned(), wanted));
    }
    if query.include_deleted && home.is_of_events() {
        parameters.push(("showDeleted".to_owned(), "true".to_owned()));
    }
    let search = record_type.capability.search.as_ref();
    let usual = search.map_or(1, |search| search.page_default);
    let mut page_size = query.page_size.unwrap_or(usual).clamp(1, home.page_max());
    if let Some(limit) = query.limit.filter(|_| placement.limit == Doer::Provider) {
        page_size = page_size.min(u32::try_from(limit.max(1)).unwrap_or(u32::MAX));
    }
    let request = Request {
        calendars: calendar.map(|own| vec![own.to_owned()]).or_else(|| narrowing.calendars.clone()),
        // A series cannot be asked for by words, so that with words it is looked for among all.
        series: narrowing.series.clone().filter(|_| query.native.is_none()),
        parameters,
        page_size,
        deleted: query.include_deleted,
        range: range(home, &narrowing)?,
    };
    // A limit may need several pages, which a request does not have.
    let limit_by = if placement.limit == Doer::Provider { Doer::Here } else { placement.limit };
    Ok(Plan {
        hash: pushdown::plan_hash(query, record_type),
        record_type: Arc::clone(record_type),
        native: native(home, &request),
        conditions,
        residual: split.residual,
        order_by: query.order_by.clone(),
        order: placement.order,
        limit: query.limit,
        limit_by,
        select: query.select.clone(),
        fetched_besides: besides,
        muted: query.muted.clone(),
        requests_per_page: requests(home, &request),
        notes: notes(query, home, &request),
        keyset: false,
        wire: serde_json::to_value(&request)
            .map_err(|source| Error::bug("a request is not JSON").with_source(source))?,
    })
}

/// The range of a search for busy times, which the service demands.
fn range(home: Home, narrowing: &Narrowing) -> Result<Option<(Timestamp, Timestamp)>> {
    if home != Home::Busy {
        return Ok(None);
    }
    match (narrowing.from, narrowing.to) {
        (Some(from), Some(to)) if from < to => Ok(Some((from, to))),
        _ => Err(Error::invalid("busy times need a range of time")
            .with_provider("google-calendar")
            .with_code("no_range")
            .with_field("start", "an upper bound, such as start < '2026-02-01T00:00:00Z'")
            .with_field("end", "a lower bound, such as \"end\" > '2026-01-01T00:00:00Z'")),
    }
}

fn why_not(home: Home, condition: &Condition) -> String {
    let path = condition.path.segments();
    let in_time = path.first().is_some_and(|first| first == "start" || first == "end");
    let in_words =
        path.first().is_some_and(|first| WORDS.contains(&first.as_str())) && condition.test != Test::IsNull;
    match home {
        Home::Events if in_time => {
            "a series without an occurrence within would be missing from a list with this bound; with recurrence IS NULL \
             it is sent"
                .to_owned()
        }
        Home::Events | Home::Occurrences if in_words => {
            "Google's free text search finds words by rules of its own and \
                                                         may miss what this means; --native asks for it"
                .to_owned()
        }
        Home::Events | Home::Occurrences => "Google's list of events has no such parameter".to_owned(),
        _ => "Google lists these records without conditions".to_owned(),
    }
}

fn native(home: Home, request: &Request) -> Vec<String> {
    let pairs = request.parameters.iter().map(|(name, value)| format!("{name}={value}"));
    let mut query = pairs.collect::<Vec<_>>().join("&");
    if !query.is_empty() {
        query.insert(0, '?');
    }
    let list = |calendar: &str| match &request.series {
        Some(series) => format!("calendars/{calendar}/events/{series}/instances{query}"),
        None => format!("calendars/{calendar}/events{query}"),
    };
    match (home.is_of_events(), &request.calendars) {
        (true, Some(calendars)) => calendars.iter().map(|calendar| list(calendar)).collect(),
        (true, None) => vec![list("*")],
        (false, calendars) => {
            let calendar = calendars.as_ref().and_then(|own| own.first()).map_or("*", String::as_str);
            vec![home.list(calendar)]
        }
    }
}

/// Requests for a page.
fn requests(home: Home, request: &Request) -> u32 {
    let most = super::pages::AT_ONCE;
    match (home, &request.calendars) {
        (Home::Events | Home::Occurrences, Some(own)) => u32::try_from(own.len().clamp(1, most)).unwrap_or(1),
        // The list of calendars is read once.
        (Home::Events | Home::Occurrences, None) => u32::try_from(most).unwrap_or(1) + 1,
        (Home::Calendars, _) => 1 + request.page_size.div_ceil(50),
        _ => 1,
    }
}

fn notes(query: &Query, home: Home, request: &Request) -> Vec<String> {
    let mut notes = Vec::new();
    if query.filter.as_ref().is_some_and(pushdown::compares_instants) {
        let zone = query.timezone.iana_name().unwrap_or("the given offset");
        notes.push(format!("a date compared with an instant stands for midnight in {zone}"));
    }
    if home == Home::Occurrences && !request.parameters.iter().any(|(name, _)| name == "timeMax") {
        notes.push(
            "a series without an end is expanded as far as Google does; an upper bound of start.dateTime and start.date \
             says how far"
                .to_owned(),
        );
    }
    if home == Home::Busy {
        notes.push("stretches are cut at the ends of the range".to_owned());
    }
    notes
}
