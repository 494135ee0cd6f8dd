//! Series as text: where one is cut, and what the lines of its recurrence are on both sides of the cut (RFC 5545).

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use rrule::RRuleSet;
use serde_json::{Map, Value as Json, json};

use crate::error::{Error, Result};

/// What the service keeps of an event, and a new one must not be given.
pub(super) const KEPT: [&str; 15] = [
    "kind",
    "etag",
    "id",
    "htmlLink",
    "created",
    "updated",
    "creator",
    "organizer",
    "iCalUID",
    "sequence",
    "hangoutLink",
    "recurringEventId",
    "originalStartTime",
    "locked",
    "endTimeUnspecified",
];

/// Where a series is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Day(Date),
    At(Timestamp),
}

impl Cut {
    pub(super) fn of(moment: &Json) -> Result<Self> {
        let text = |name: &str| moment[name].as_str();
        let day = text("date").and_then(|text| text.parse().ok()).map(Self::Day);
        day.or_else(|| text("dateTime").and_then(|text| text.parse().ok()).map(Self::At))
            .ok_or_else(|| Error::protocol("an occurrence does not tell when it was to start"))
    }

    /// The place that the id of an occurrence ends with.
    pub(super) fn named(text: &str) -> Option<Self> {
        match text.len() {
            8 => Date::strptime("%Y%m%d", text).ok().map(Self::Day),
            16 if text.ends_with('Z') => instant(text, &TimeZone::UTC).map(Self::At),
            _ => None,
        }
    }

    /// As it stands in ids of occurrences.
    pub(super) fn compact(self) -> String {
        match self {
            Self::Day(day) => day.strftime("%Y%m%d").to_string(),
            Self::At(at) => at.strftime("%Y%m%dT%H%M%SZ").to_string(),
        }
    }

    /// The end of the rules that come before.
    fn until(self) -> Result<String> {
        let bad = || Error::invalid("there is nothing before this occurrence");
        Ok(match self {
            Self::Day(day) => Self::Day(day.yesterday().map_err(|_| bad())?),
            Self::At(at) => Self::At(at.checked_sub(SignedDuration::from_secs(1)).map_err(|_| bad())?),
        }
        .compact())
    }

    /// Whether a date of RDATE, EXDATE or UNTIL comes before. Times without a zone are those of the series.
    fn is_behind(self, text: &str, zone: &TimeZone) -> bool {
        let bare = text.split('/').next().unwrap_or(text).trim();
        match self {
            Self::Day(day) => {
                Date::strptime("%Y%m%d", bare.get(..8).unwrap_or(bare)).is_ok_and(|own| own < day)
            }
            Self::At(at) => instant(bare, zone).is_some_and(|own| own < at),
        }
    }
}

fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (local, zone) = match text.strip_suffix('Z') {
        Some(utc) => (utc, TimeZone::UTC),
        None => (text, zone.clone()),
    };
    let local = match local.len() {
        // A rule may end with a whole day.
        8 => Date::strptime("%Y%m%d", local).ok()?.at(23, 59, 59, 0),
        _ => DateTime::strptime("%Y%m%dT%H%M%S", local).ok()?,
    };
    Some(local.to_zoned(zone).ok()?.timestamp())
}

fn zone_of(master: &Json) -> TimeZone {
    master["start"]["timeZone"].as_str().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}

fn lines(master: &Json) -> impl Iterator<Item = &str> {
    master["recurrence"].as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// Whether a series has ended before a place in it.
pub(super) fn is_cut(master: &Json, cut: Cut) -> bool {
    let zone = zone_of(master);
    let mut ends = lines(master).filter_map(|line| line.split_once(':')).filter_map(|(head, value)| {
        if head.starts_with("RRULE") {
            return Some(part_of(value, "UNTIL").is_some_and(|until| cut.is_behind(until, &zone)));
        }
        head.starts_with("RDATE").then(|| value.split(',').all(|date| cut.is_behind(date, &zone)))
    });
    ends.next() == Some(true) && ends.all(|ended| ended)
}

/// The lines of the part before the cut.
pub(super) fn before(master: &Json, cut: Cut) -> Result<Vec<String>> {
    let until = cut.until()?;
    let zone = zone_of(master);
    let each = lines(master).filter_map(|line| {
        let (head, value) = line.split_once(':')?;
        if head.starts_with("RRULE") || head.starts_with("EXRULE") {
            return Some(format!("{head}:{};UNTIL={until}", bare_rule(value)));
        }
        dates(head, value, |text| cut.is_behind(text, &zone))
    });
    Ok(each.collect())
}

/// The lines of the part that begins with the cut.
fn behind(master: &Json, cut: Cut) -> Vec<String> {
    let zone = zone_of(master);
    let each = lines(master).filter_map(|line| {
        let (head, value) = line.split_once(':')?;
        if head.starts_with("RRULE") || head.starts_with("EXRULE") {
            let Some(count) = part_of(value, "COUNT").and_then(|text| text.parse::<usize>().ok()) else {
                return Some(line.to_owned());
            };
            let left = count.saturating_sub(passed(master, value, cut, &zone)).max(1);
            return Some(format!("{head}:{};COUNT={left}", bare_rule(value)));
        }
        dates(head, value, |text| !cut.is_behind(text, &zone))
    });
    each.collect()
}

/// A line of dates with those that are wanted; nothing when there are none.
fn dates(head: &str, value: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let kept: Vec<&str> = value.split(',').filter(|text| wanted(text)).collect();
    (!kept.is_empty()).then(|| format!("{head}:{}", kept.join(",")))
}

fn part_of<'r>(rule: &'r str, name: &str) -> Option<&'r str> {
    rule.split(';')
        .filter_map(|part| part.split_once('='))
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value)
}

/// A rule without its end.
fn bare_rule(rule: &str) -> String {
    let parts = rule.split(';').filter(|part| !part.starts_with("UNTIL=") && !part.starts_with("COUNT="));
    parts.collect::<Vec<_>>().join(";")
}

/// How often a rule with a count fits before the cut.
fn passed(master: &Json, rule: &str, cut: Cut, zone: &TimeZone) -> usize {
    let start = &master["start"];
    let begin = match Cut::of(start) {
        Ok(Cut::Day(day)) => format!("DTSTART:{}T000000Z", day.strftime("%Y%m%d")),
        Ok(Cut::At(at)) => {
            match start["timeZone"].as_str().filter(|name| !matches!(*name, "UTC" | "Etc/UTC")) {
                Some(name) => {
                    let local = at.to_zoned(zone.clone());
                    format!("DTSTART;TZID={name}:{}", local.strftime("%Y%m%dT%H%M%S"))
                }
                None => format!("DTSTART:{}", at.strftime("%Y%m%dT%H%M%SZ")),
            }
        }
        Err(_) => return 0,
    };
    let Ok(set) = format!("{begin}\nRRULE:{rule}").parse::<RRuleSet>() else { return 0 };
    let edge = match cut {
        Cut::Day(day) => day.to_zoned(TimeZone::UTC).map_or(0, |zoned| zoned.timestamp().as_second()),
        Cut::At(at) => at.as_second(),
    };
    set.into_iter().take_while(|own| own.timestamp() < edge).count()
}

/// How long an event takes: days, or seconds.
pub(super) fn length(event: &Json) -> Option<i64> {
    let at = |side: &str| -> Option<i64> {
        match Cut::of(&event[side]).ok()? {
            Cut::Day(day) => Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second()),
            Cut::At(at) => Some(at.as_second()),
        }
    };
    Some(at("end")? - at("start")?)
}

/// Start and end at a place of a series, as the series has them: its length is that of its wall time.
fn at_place(master: &Json, cut: Cut) -> Option<(Json, Json)> {
    let (Cut::Day(first), Cut::Day(last)) = (Cut::of(&master["start"]).ok()?, Cut::of(&master["end"]).ok()?)
    else {
        return at_instant(master, cut);
    };
    let Cut::Day(day) = cut else { return None };
    let end = day.checked_add(last.since(first).ok()?).ok()?;
    Some((json!({ "date": day.to_string() }), json!({ "date": end.to_string() })))
}

fn at_instant(master: &Json, cut: Cut) -> Option<(Json, Json)> {
    let zone = zone_of(master);
    let wall = |side: &str| match Cut::of(&master[side]) {
        Ok(Cut::At(at)) => Some(at.to_zoned(zone.clone()).datetime()),
        _ => None,
    };
    let length = wall("end")?.duration_since(wall("start")?);
    let Cut::At(at) = cut else { return None };
    let start = at.to_zoned(zone.clone());
    let end = start.datetime().checked_add(length).ok()?.to_zoned(zone.clone()).ok()?;
    let moment = |at: &Zoned, side: &str| {
        let text = at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        json!({ "dateTime": text, "timeZone": master[side]["timeZone"] })
    };
    Some((moment(&start, "start"), moment(&end, "end")))
}

/// The event that begins a new series at the cut. An occurrence that was moved by itself does not move those that
/// follow.
pub(super) fn beginning(
    master: &Json,
    occurrence: &Json,
    cut: Cut,
    edited: &Map<String, Json>,
) -> Map<String, Json> {
    let mut body: Map<String, Json> = master.as_object().cloned().unwrap_or_default();
    body.retain(|name, _| !KEPT.contains(&name.as_str()));
    body.insert("recurrence".to_owned(), json!(behind(master, cut)));
    let stays =
        Cut::of(&occurrence["start"]).is_ok_and(|start| start == cut) && length(occurrence) == length(master);
    let own = || (occurrence["start"].clone(), occurrence["end"].clone());
    let (start, end) = if stays { own() } else { at_place(master, cut).unwrap_or_else(own) };
    body.insert("start".to_owned(), start);
    body.insert("end".to_owned(), end);
    merge(&mut body, edited);
    body
}

/// One object merged into another: null takes away.
fn merge(into: &mut Map<String, Json>, changes: &Map<String, Json>) {
    for (name, value) in changes {
        match (into.get_mut(name), value) {
            (_, Json::Null) => drop(into.remove(name)),
            (Some(Json::Object(own)), Json::Object(changes)) => merge(own, changes),
            _ => drop(into.insert(name.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_name_and_a_series_that_ends_before_it_is_cut() {
        for name in ["20260205", "20260205T083000Z"] {
            assert_eq!(Cut::named(name).map(Cut::compact).as_deref(), Some(name));
        }
        assert!(
            ["2026020", "20260205T083000", "R20260205T083000"].iter().all(|name| Cut::named(name).is_none())
        );
        let (at, day) = (Cut::named("20260205T083000Z").unwrap(), Cut::named("20260205").unwrap());
        for (line, cut, ended) in [
            ("RRULE:FREQ=WEEKLY;UNTIL=20260205T082959Z", at, true),
            ("RRULE:FREQ=WEEKLY;UNTIL=20260204", at, true),
            ("RRULE:FREQ=WEEKLY;UNTIL=20260205T083000Z", at, false),
            ("RRULE:FREQ=WEEKLY;COUNT=3", at, false),
            ("RDATE:20260301T083000Z", at, false),
            ("RRULE:FREQ=DAILY;UNTIL=20260204", day, true),
            ("RRULE:FREQ=DAILY;UNTIL=20260205", day, false),
        ] {
            let master =
                json!({ "start": { "dateTime": "2026-01-08T09:30:00+01:00" }, "recurrence": [line] });
            assert_eq!(is_cut(&master, cut), ended, "{line}");
        }
        assert!(!is_cut(&json!({}), at));
    }

    #[test]
    fn an_occurrence_that_was_moved_does_not_move_those_that_follow() {
        let berlin = |time: &str| json!({ "dateTime": time, "timeZone": "Europe/Berlin" });
        let master = json!({
            "summary": "Weekly", "start": berlin("2026-03-19T09:30:00+01:00"), "end": berlin("2026-03-19T10:00:00+01:00"),
            "recurrence": ["RRULE:FREQ=WEEKLY"],
        });
        let moved = json!({ "start": berlin("2026-04-02T15:00:00+02:00"), "end": berlin("2026-04-02T15:30:00+02:00") });
        let cut = Cut::of(&berlin("2026-04-02T09:30:00+02:00")).unwrap();
        let body = beginning(&master, &moved, cut, &Map::new());
        assert_eq!(body["start"], berlin("2026-04-02T09:30:00+02:00"));
        assert_eq!(body["end"], berlin("2026-04-02T10:00:00+02:00"));
        let days = json!({ "start": { "date": "2026-01-30" }, "end": { "date": "2026-02-01" }, "recurrence": ["RRULE:FREQ=MONTHLY"] });
        let moved = json!({ "start": { "date": "2026-03-29" }, "end": { "date": "2026-03-31" } });
        let body = beginning(&days, &moved, Cut::named("20260330").unwrap(), &Map::new());
        assert_eq!([&body["start"]["date"], &body["end"]["date"]], ["2026-03-30", "2026-04-01"]);
    }

    #[test]
    fn a_series_is_cut_without_losing_or_doubling_an_occurrence() {
        let master = json!({
            "start": { "dateTime": "2026-01-08T09:30:00+01:00", "timeZone": "Europe/Berlin" },
            "recurrence": [
                "RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=10",
                "EXDATE;TZID=Europe/Berlin:20260115T093000,20260402T093000",
            ],
        });
        // The 13th week begins with summer time.
        let cut = Cut::of(&json!({ "dateTime": "2026-02-05T09:30:00+01:00" })).unwrap();
        let expected = [
            "RRULE:FREQ=WEEKLY;BYDAY=TH;UNTIL=20260205T082959Z",
            "EXDATE;TZID=Europe/Berlin:20260115T093000",
        ];
        assert_eq!(before(&master, cut).unwrap(), expected);
        let expected = ["RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=6", "EXDATE;TZID=Europe/Berlin:20260402T093000"];
        assert_eq!(behind(&master, cut), expected);
    }

    #[test]
    fn a_series_of_whole_days_ends_on_the_day_before() {
        let master =
            json!({ "start": { "date": "2026-01-30" }, "recurrence": ["RRULE:FREQ=MONTHLY;UNTIL=20271231"] });
        let cut = Cut::of(&json!({ "date": "2026-03-30" })).unwrap();
        assert_eq!(before(&master, cut).unwrap(), ["RRULE:FREQ=MONTHLY;UNTIL=20260329"]);
        assert_eq!(behind(&master, cut), ["RRULE:FREQ=MONTHLY;UNTIL=20271231"]);
    }
}
