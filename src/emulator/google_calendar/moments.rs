//! Starts and ends: whole days, or instants with the zone that was asked for.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value, json};

use super::errors::Refusal;

/// A start or an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moment {
    Day(Date),
    Instant { at: Timestamp, zone: Option<String> },
}

impl Moment {
    /// Reads `{date}` or `{dateTime, timeZone}`. `side` is `start` or `end`.
    ///
    /// # Errors
    /// Both forms, none, or text that is no date.
    pub(super) fn read(value: &Value, side: &str) -> Result<Self, Refusal> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let wrong = || Refusal::invalid(format!("Invalid {side} time."));
        let zone = text("timeZone").map(str::to_owned);
        let known =
            match &zone {
                Some(name) => Some(TimeZone::get(name).map_err(|_| {
                    Refusal::invalid(format!("Invalid time zone definition for {side} time."))
                })?),
                None => None,
            };
        match (text("date"), text("dateTime")) {
            (Some(date), None) => date.parse().map(Self::Day).map_err(|_| wrong()),
            (None, Some(instant)) => {
                if let Ok(at) = instant.parse::<Timestamp>() {
                    return Ok(Self::Instant { at, zone });
                }
                let local: DateTime = instant.parse().map_err(|_| wrong())?;
                let known = known.ok_or_else(|| {
                    Refusal::required(format!("Missing time zone definition for {side} time."))
                })?;
                let at = local.to_zoned(known).map_err(|_| wrong())?.timestamp();
                Ok(Self::Instant { at, zone })
            }
            (None, None) => Err(Refusal::required(format!("Missing {side} time."))),
            (Some(_), Some(_)) => Err(wrong()),
        }
    }

    pub(super) fn is_day(&self) -> bool {
        matches!(self, Self::Day(_))
    }

    pub(super) fn zone(&self) -> Option<&str> {
        match self {
            Self::Instant { zone, .. } => zone.as_deref(),
            Self::Day(_) => None,
        }
    }

    /// The instant at which it is, days beginning at midnight in the zone.
    pub(super) fn instant(&self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Instant { at, .. } => *at,
            Self::Day(date) => {
                date.to_zoned(zone.clone()).map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp())
            }
        }
    }

    /// As answers show it: instants with the offset that the zone of the calendar (or of the request) has then.
    pub(super) fn shown(&self, zone: &TimeZone) -> Value {
        match self {
            Self::Day(date) => json!({ "date": date.to_string() }),
            Self::Instant { at, zone: own } => {
                let mut out = json!({ "dateTime": offset_text(&at.to_zoned(zone.clone())) });
                let name = own.as_deref().or_else(|| zone.iana_name());
                if let Some(name) = name {
                    out["timeZone"] = json!(name);
                }
                out
            }
        }
    }

    /// As it stands in ids of occurrences.
    pub(super) fn compact(&self) -> String {
        match self {
            Self::Day(date) => date.strftime("%Y%m%d").to_string(),
            Self::Instant { at, .. } => at.strftime("%Y%m%dT%H%M%SZ").to_string(),
        }
    }
}

fn offset_text(zoned: &Zoned) -> String {
    if zoned.offset().is_zero() {
        return zoned.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    }
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Start and end of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Moment,
    pub(super) end: Moment,
}

impl Span {
    /// # Errors
    /// What is missing, mixed or in the wrong order.
    pub(super) fn read(members: &Map<String, Value>) -> Result<Self, Refusal> {
        let side = |name: &str| match members.get(name).filter(|value| !value.is_null()) {
            Some(value) => Moment::read(value, name),
            None => Err(Refusal::required(format!("Missing {name} time."))),
        };
        let span = Self { start: side("start")?, end: side("end")? };
        match (&span.start, &span.end) {
            (Moment::Day(start), Moment::Day(end)) if end <= start => Err(Refusal::empty_range("end")),
            (Moment::Instant { at: start, .. }, Moment::Instant { at: end, .. }) if end < start => {
                Err(Refusal::empty_range("end"))
            }
            (Moment::Day(_), Moment::Instant { .. }) | (Moment::Instant { .. }, Moment::Day(_)) => {
                Err(Refusal::invalid("Start and end times must either both be date or both be dateTime."))
            }
            _ => Ok(span),
        }
    }

    /// Whether some of it lies between: the end behind `from`, the start before `to`.
    pub(super) fn overlaps(&self, from: Option<Timestamp>, to: Option<Timestamp>, zone: &TimeZone) -> bool {
        from.is_none_or(|from| self.end.instant(zone) > from)
            && to.is_none_or(|to| self.start.instant(zone) < to)
    }
}
