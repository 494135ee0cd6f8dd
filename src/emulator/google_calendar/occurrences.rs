//! Series: which occurrences they have (RFC 5545), and what these are called.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use rrule::RRuleSet;

use super::errors::Refusal;
use super::moments::{Moment, Span};

/// How far series without an end are expanded when nobody says: two years from now.
const HORIZON: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);
/// Occurrences of one series at most.
const MOST: usize = 100_000;

fn invalid() -> Refusal {
    Refusal::invalid("Invalid recurrence rule.")
}

/// The series as the recurrence library reads it. Whole days are midnights in UTC.
///
/// # Errors
/// Lines that are none of RRULE, EXRULE, RDATE and EXDATE, and rules that make no sense.
pub(super) fn series(span: &Span, lines: &[String]) -> Result<RRuleSet, Refusal> {
    let known = |line: &&String| {
        let name = line.split([':', ';']).next().unwrap_or_default();
        ["RRULE", "EXRULE", "RDATE", "EXDATE"].contains(&name)
    };
    if lines.is_empty()
        || !lines.iter().all(|line| known(&line))
        || !lines.iter().any(|line| line.starts_with('R'))
    {
        return Err(invalid());
    }
    let begin = match &span.start {
        Moment::Day(date) => format!("DTSTART:{}T000000Z", date.strftime("%Y%m%d")),
        Moment::Instant { at, zone } => {
            let name = zone.clone().unwrap_or_else(|| "UTC".to_owned());
            let zone = TimeZone::get(&name).map_err(|_| invalid())?;
            let local = at.to_zoned(zone);
            match name.as_str() {
                "UTC" | "Etc/UTC" => format!("DTSTART:{}Z", local.strftime("%Y%m%dT%H%M%S")),
                _ => format!("DTSTART;TZID={name}:{}", local.strftime("%Y%m%dT%H%M%S")),
            }
        }
    };
    let lines = lines
        .iter()
        .map(|line| if span.start.is_day() { with_times(line) } else { with_utc_until(line, span) });
    let text: Vec<String> = std::iter::once(begin).chain(lines).collect();
    text.join("\n").parse().map_err(|_| invalid())
}

/// A rule of whole days with times, as the library compares them.
fn with_times(line: &str) -> String {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    let is_date = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.starts_with("RRULE") || name.starts_with("EXRULE") {
        let parts = value.split(';').map(|part| match part.split_once('=') {
            Some(("UNTIL", until)) if is_date(until) => format!("UNTIL={until}T000000Z"),
            _ => part.to_owned(),
        });
        return format!("{name}:{}", parts.collect::<Vec<_>>().join(";"));
    }
    let bare = name.split(';').next().unwrap_or(name);
    let dates =
        value.split(',').map(|date| if is_date(date) { format!("{date}T000000Z") } else { date.to_owned() });
    format!("{bare}:{}", dates.collect::<Vec<_>>().join(","))
}

/// A rule of instants whose end is a day: the end of that day in the series' zone, in UTC.
fn with_utc_until(line: &str, span: &Span) -> String {
    let Some((head, until)) = line.split_once("UNTIL=") else { return line.to_owned() };
    let (until, rest) = until.split_at(until.find(';').unwrap_or(until.len()));
    let zone = span.start.zone().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    let local = match until.len() {
        8 => Date::strptime("%Y%m%d", until).ok().map(|date| date.at(23, 59, 59, 0)),
        15 => DateTime::strptime("%Y%m%dT%H%M%S", until).ok(),
        _ => None,
    };
    match local.and_then(|local| local.to_zoned(zone).ok()) {
        Some(zoned) => format!("{head}UNTIL={}{rest}", zoned.timestamp().strftime("%Y%m%dT%H%M%SZ")),
        None => line.to_owned(),
    }
}

/// The occurrences of a series that end behind `from` and start before `to`, in order.
pub(super) fn occurrences(
    span: &Span,
    lines: &[String],
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Span> {
    let Ok(set) = series(span, lines) else { return Vec::new() };
    let horizon = now.saturating_add(HORIZON).unwrap_or(Timestamp::MAX);
    let until = to.unwrap_or(horizon);
    let mut out = Vec::new();
    for at in set.into_iter().take(MOST) {
        let Some(occurrence) = at_time(span, at.timestamp()) else { continue };
        if occurrence.start.instant(zone) >= until {
            break;
        }
        if occurrence.overlaps(from, to, zone) {
            out.push(occurrence);
        }
    }
    out
}

/// Whether a series has an occurrence of its own in a range; exceptions stand in lists by themselves.
pub(super) fn takes_place(
    span: &Span,
    lines: &[String],
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
    zone: &TimeZone,
    is_exception: impl Fn(&Moment) -> bool,
) -> bool {
    let Ok(set) = series(span, lines) else { return false };
    let latest = now.max(span.start.instant(zone)).saturating_add(HORIZON).unwrap_or(Timestamp::MAX);
    let until = to.unwrap_or(latest);
    let own = set.into_iter().take(MOST).filter_map(|at| at_time(span, at.timestamp()));
    own.take_while(|own| own.start.instant(zone) < until)
        .any(|own| own.overlaps(from, to, zone) && !is_exception(&own.start))
}

/// The span moved so that it starts at an occurrence; days and wall time keep their length.
fn at_time(span: &Span, seconds: i64) -> Option<Span> {
    let start = Timestamp::from_second(seconds).ok()?;
    match (&span.start, &span.end) {
        (Moment::Day(first), Moment::Day(last)) => {
            let day = start.to_zoned(TimeZone::UTC).date();
            let end = day.checked_add(last.since(*first).ok()?).ok()?;
            Some(Span { start: Moment::Day(day), end: Moment::Day(end) })
        }
        (Moment::Instant { at: first, zone }, Moment::Instant { at: last, zone: end_zone }) => {
            let tz = zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
            let wall = |at: &Timestamp| at.to_zoned(tz.clone()).datetime();
            let length = wall(last).duration_since(wall(first));
            let local: Zoned = start.to_zoned(tz.clone());
            let end = local.datetime().checked_add(length).ok()?.to_zoned(tz.clone()).ok()?.timestamp();
            Some(Span {
                start: Moment::Instant { at: start, zone: zone.clone() },
                end: Moment::Instant { at: end, zone: end_zone.clone() },
            })
        }
        _ => None,
    }
}

/// The start that the id of an occurrence names: `{series}_{start}`.
pub(super) fn parse_id(id: &str) -> Option<(&str, Moment)> {
    let (series, start) = id.rsplit_once('_')?;
    let moment = match start.len() {
        8 => Moment::Day(Date::strptime("%Y%m%d", start).ok()?),
        16 => {
            let local = DateTime::strptime("%Y%m%dT%H%M%SZ", start).ok()?;
            Moment::Instant { at: local.to_zoned(TimeZone::UTC).ok()?.timestamp(), zone: None }
        }
        _ => return None,
    };
    Some((series, moment))
}
