//! Dates, instants and times: read, moved between zones, written. No zone is guessed, and a clock time that a zone
//! skips or has twice is refused.

use std::borrow::Cow;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::{Place, Prepared, Run};
use crate::mapping::document::DateStep;
use crate::mapping::program::Row;
use crate::mapping::shape::{Kind, Shape};
use crate::mapping::value::Value;
use crate::record::FieldType;

/// How moments are written on the way in.
#[derive(Debug, Clone)]
enum Input {
    /// ISO 8601: a date, a date with a time, an instant, a time.
    Auto,
    EpochSeconds,
    EpochMilliseconds,
    Pattern(String),
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
enum Output {
    Date,
    Instant,
    ClockTime,
    Time,
    Pattern(String),
}

/// What was read.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Date(Date),
    Local(DateTime),
    Instant(Timestamp),
    Time(Time),
}

#[derive(Debug)]
struct Step {
    input: Input,
    /// Whether the given instants are clock times written with `Z`.
    floating: bool,
    zone: Option<TimeZone>,
    output: Output,
}

pub(super) fn date(step: &DateStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    let input = input(step, given, place)?;
    let zone = match &step.zone {
        None => None,
        Some(name) => match TimeZone::get(name) {
            Ok(zone) => Some(zone),
            Err(_) => {
                place.error(
                    "zone",
                    format!("there is no zone {name:?}"),
                    "Give an IANA name such as Europe/Prague",
                );
                return None;
            }
        },
    };
    let output = output(step, place)?;
    if zone.is_none() && needs_zone(given.kind(), &output) {
        place.error(
            "",
            format!("{} becomes another day or hour in each zone, and none is said", given.kind().name()),
            "Add \"zone\", such as {\"zone\":\"Europe/Prague\"}",
        );
        return None;
    }
    let (field_type, floating) = match &output {
        Output::Date => (FieldType::Date, false),
        Output::Instant => (FieldType::Instant, false),
        Output::ClockTime => (FieldType::Instant, true),
        Output::Time => (FieldType::Time, false),
        Output::Pattern(_) => (Shape::text().field_type, false),
    };
    let shape = Shape { floating, ..Shape::new(field_type) };
    Prepared::new(shape, Step { input, floating: given.kind() == Kind::ClockTime, zone, output })
}

fn input(step: &DateStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Input> {
    let kind = given.kind();
    let number = matches!(kind, Kind::Integer | Kind::LongInteger | Kind::Decimal);
    let moment = matches!(kind, Kind::Date | Kind::Instant | Kind::ClockTime | Kind::Time);
    if !number && !moment && !matches!(kind, Kind::Text | Kind::Choice) {
        place.error(
            "op",
            format!("this step takes text, a date or a number, and here is {}", kind.name()),
            "Leave it out",
        );
        return None;
    }
    Some(match step.input.as_deref() {
        None | Some("auto") if number => {
            let fix = "Add {\"in\":\"epoch_seconds\"} or {\"in\":\"epoch_milliseconds\"}";
            place.error("in", "a number is not a date by itself", fix);
            return None;
        }
        None | Some("auto") => Input::Auto,
        Some("epoch_seconds") => Input::EpochSeconds,
        Some("epoch_milliseconds") => Input::EpochMilliseconds,
        Some(_) if moment => {
            place.error(
                "in",
                format!("{} has its own form, which is read without a pattern", kind.name()),
                "Leave it out",
            );
            return None;
        }
        Some(pattern) => {
            check_pattern("in", pattern, place)?;
            Input::Pattern(pattern.to_owned())
        }
    })
}

fn output(step: &DateStep, place: &mut Place<'_, '_>) -> Option<Output> {
    Some(match (step.output.as_deref(), place.target.kind()) {
        (Some("date"), _) | (None, Kind::Date) => Output::Date,
        (Some("instant"), Kind::ClockTime) | (None, Kind::ClockTime) => Output::ClockTime,
        (Some("instant"), _) | (None, Kind::Instant) => Output::Instant,
        (Some("time"), _) | (None, Kind::Time) => Output::Time,
        (Some(pattern), _) => {
            check_pattern("out", pattern, place)?;
            Output::Pattern(pattern.to_owned())
        }
        (None, other) => {
            place.error(
                "",
                format!(
                    "the target's field holds {}, which does not say what the date becomes",
                    other.name()
                ),
                "Add \"out\": date, instant, time, or a pattern such as %d.%m.%Y",
            );
            return None;
        }
    })
}

/// A pattern has conversions that are known, and reads what it writes.
fn check_pattern(member: &str, pattern: &str, place: &mut Place<'_, '_>) -> Option<()> {
    let sample: Zoned = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let written = strtime::format(pattern, &sample);
    let well = pattern.contains('%')
        && written.as_ref().is_ok_and(|text| member == "out" || strtime::parse(pattern, text).is_ok());
    if !well {
        let fix = "Patterns have %Y %m %d %H %M %S, %b for Jan, %p for PM, %z for an offset; or say auto";
        place.error(member, format!("{pattern:?} is no pattern of a date"), fix);
    }
    well.then_some(())
}

fn needs_zone(given: Kind, output: &Output) -> bool {
    match given {
        Kind::Instant | Kind::Integer | Kind::LongInteger | Kind::Decimal => *output != Output::Instant,
        Kind::Date | Kind::ClockTime => *output == Output::Instant,
        _ => false,
    }
}

impl Run for Step {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let text = value.text()?;
        let text = text.trim();
        if text.is_empty() {
            return Ok(Some(Value::Null));
        }
        let moment = self.read(text)?;
        self.write(moment, text).map(|text| Some(Value::Text(Cow::Owned(text))))
    }
}

impl Step {
    fn read(&self, text: &str) -> Result<Moment, String> {
        let unread = |form: &str| format!("{text:?} is no {form}");
        match &self.input {
            Input::Auto => {
                let moment =
                    auto(text).ok_or_else(|| unread("date such as 2026-01-31 or 2026-01-31T09:30:00Z"))?;
                Ok(match moment {
                    Moment::Instant(at) if self.floating => Moment::Local(TimeZone::UTC.to_datetime(at)),
                    other => other,
                })
            }
            Input::EpochSeconds | Input::EpochMilliseconds => {
                let number: i64 = text.parse().map_err(|_| unread("whole number"))?;
                let at = match self.input {
                    Input::EpochSeconds => Timestamp::from_second(number),
                    _ => Timestamp::from_millisecond(number),
                };
                at.map(Moment::Instant).map_err(|_| format!("{text} lies outside of the calendar"))
            }
            Input::Pattern(pattern) => {
                let read = BrokenDownTime::parse(pattern, text)
                    .map_err(|_| unread(&format!("date in the form {pattern}")))?;
                by_pattern(&read).ok_or_else(|| unread(&format!("date in the form {pattern}")))
            }
        }
    }

    fn zone(&self, text: &str) -> Result<&TimeZone, String> {
        self.zone.as_ref().ok_or_else(|| format!("{text:?} has no zone, and the step says none"))
    }

    fn write(&self, moment: Moment, text: &str) -> Result<String, String> {
        match &self.output {
            Output::Date => Ok(match moment {
                Moment::Date(date) => date,
                Moment::Local(at) => at.date(),
                Moment::Instant(at) => self.zone(text)?.to_datetime(at).date(),
                Moment::Time(_) => return Err(format!("{text:?} has no day")),
            }
            .to_string()),
            Output::Time => Ok(match moment {
                Moment::Time(time) => time,
                Moment::Local(at) => at.time(),
                Moment::Instant(at) => self.zone(text)?.to_datetime(at).time(),
                Moment::Date(_) => return Err(format!("{text:?} has no time of day")),
            }
            .to_string()),
            Output::ClockTime => Ok(format!("{}Z", self.local(moment, text)?)),
            Output::Instant => match moment {
                Moment::Instant(at) => Ok(at.to_string()),
                other => {
                    let local = self.local(other, text)?;
                    let zone = self.zone(text)?;
                    let at = zone.to_ambiguous_zoned(local).unambiguous().map_err(|_| {
                        format!(
                            "the clocks of the zone show {local} never or twice, so that it is no instant"
                        )
                    })?;
                    Ok(at.timestamp().to_string())
                }
            },
            Output::Pattern(pattern) => {
                let unwritten = |_| format!("{text:?} has not all that the form {pattern} asks for");
                match moment {
                    Moment::Instant(at) => strtime::format(pattern, &at.to_zoned(self.zone(text)?.clone())),
                    Moment::Local(at) => strtime::format(pattern, at),
                    Moment::Date(date) => strtime::format(pattern, date),
                    Moment::Time(time) => strtime::format(pattern, time),
                }
                .map_err(unwritten)
            }
        }
    }

    /// What a clock shows then.
    fn local(&self, moment: Moment, text: &str) -> Result<DateTime, String> {
        match moment {
            Moment::Date(date) => Ok(date.at(0, 0, 0, 0)),
            Moment::Local(at) => Ok(at),
            Moment::Instant(at) => Ok(self.zone(text)?.to_datetime(at)),
            Moment::Time(_) => Err(format!("{text:?} has no day")),
        }
    }
}

/// ISO 8601, as it is: nothing is assumed about order of day and month.
fn auto(text: &str) -> Option<Moment> {
    if text.contains('[') {
        return None;
    }
    if text.len() == 10
        && let Ok(date) = text.parse::<Date>()
    {
        return Some(Moment::Date(date));
    }
    if text.as_bytes().get(10).is_some_and(|byte| matches!(byte, b'T' | b't' | b' ')) {
        let offset = text.ends_with(['Z', 'z']) || text[10..].contains(['+', '-']);
        return if offset {
            text.parse().ok().map(Moment::Instant)
        } else {
            text.parse().ok().map(Moment::Local)
        };
    }
    let clock = text.strip_suffix('Z').unwrap_or(text);
    (clock.as_bytes().get(2) == Some(&b':')).then(|| clock.parse().ok().map(Moment::Time)).flatten()
}

fn by_pattern(read: &BrokenDownTime) -> Option<Moment> {
    if read.offset().is_some() {
        return read.to_timestamp().ok().map(Moment::Instant);
    }
    let clock = read.hour().is_some();
    match (read.to_date(), clock) {
        (Ok(date), true) => Some(Moment::Local(date.to_datetime(read.to_time().ok()?))),
        (Ok(date), false) => Some(Moment::Date(date)),
        (Err(_), true) => read.to_time().ok().map(Moment::Time),
        (Err(_), false) => None,
    }
}
