//! Date literals, each a range of days, and the functions that take a part of a date.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::Offset;
use rust_decimal::Decimal;

use super::cell::Cell;
use jiff::Span;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

/// First day and the day after the last, for a literal in upper case; `None` when there is no such literal or
/// its count is missing or too much. Weeks begin on Sunday; the fiscal year is the calendar year.
pub(super) fn range(name: &str, count: Option<i64>, today: Date) -> Option<(Date, Date)> {
    let plain = match name {
        "YESTERDAY" => Some((Unit::Day, -1)),
        "TODAY" => Some((Unit::Day, 0)),
        "TOMORROW" => Some((Unit::Day, 1)),
        _ => {
            let (turn, rest) = match name.split_once('_') {
                Some(("LAST", rest)) => (-1, rest),
                Some(("THIS", rest)) => (0, rest),
                Some(("NEXT", rest)) => (1, rest),
                _ => (0, ""),
            };
            unit(rest).filter(|unit| *unit != Unit::Day).map(|unit| (unit, turn))
        }
    };
    if let Some((unit, turn)) = plain {
        if count.is_some() {
            return None;
        }
        return Some((start(unit, turn, today)?, start(unit, turn + 1, today)?));
    }
    match name {
        "LAST_90_DAYS" if count.is_none() => return days(today, -90, 1),
        "NEXT_90_DAYS" if count.is_none() => return days(today, 1, 91),
        _ => {}
    }
    let count = count?;
    if let Some(units) = name.strip_prefix("LAST_N_") {
        return match plural(units)? {
            Unit::Day => days(today, -count, 1),
            unit => Some((start(unit, -count, today)?, start(unit, 0, today)?)),
        };
    }
    if let Some(units) = name.strip_prefix("NEXT_N_") {
        return match plural(units)? {
            Unit::Day => days(today, 1, count.checked_add(1)?),
            unit => Some((start(unit, 1, today)?, start(unit, count.checked_add(1)?, today)?)),
        };
    }
    let units = name.strip_prefix("N_")?.strip_suffix("_AGO")?;
    let unit = plural(units)?;
    Some((start(unit, -count, today)?, start(unit, 1 - count, today)?))
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "DAY" => Unit::Day,
        "WEEK" => Unit::Week,
        "MONTH" => Unit::Month,
        "QUARTER" | "FISCAL_QUARTER" => Unit::Quarter,
        "YEAR" | "FISCAL_YEAR" => Unit::Year,
        _ => return None,
    })
}

fn plural(words: &str) -> Option<Unit> {
    unit(words.strip_suffix('S')?)
}

fn days(today: Date, from: i64, to: i64) -> Option<(Date, Date)> {
    Some((start(Unit::Day, from, today)?, start(Unit::Day, to, today)?))
}

/// The first day of the unit that lies `turn` units from today's.
fn start(unit: Unit, turn: i64, today: Date) -> Option<Date> {
    let first = match unit {
        Unit::Day => today,
        Unit::Week => {
            let since = i64::from(today.weekday().to_sunday_zero_offset());
            today.checked_sub(Span::new().try_days(since).ok()?).ok()?
        }
        Unit::Month => today.first_of_month(),
        Unit::Quarter => Date::new(today.year(), (today.month() - 1) / 3 * 3 + 1, 1).ok()?,
        Unit::Year => today.first_of_year(),
    };
    let span = match unit {
        Unit::Day => Span::new().try_days(turn),
        Unit::Week => Span::new().try_weeks(turn),
        Unit::Month => Span::new().try_months(turn),
        Unit::Quarter => Span::new().try_months(turn.checked_mul(3)?),
        Unit::Year => Span::new().try_years(turn),
    };
    first.checked_add(span.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_ranges_of_days() {
        let today: Date = "2025-05-14".parse().unwrap();
        for (name, count, from, to) in [
            ("TODAY", None, "2025-05-14", "2025-05-15"),
            ("YESTERDAY", None, "2025-05-13", "2025-05-14"),
            ("THIS_WEEK", None, "2025-05-11", "2025-05-18"),
            ("LAST_MONTH", None, "2025-04-01", "2025-05-01"),
            ("NEXT_QUARTER", None, "2025-07-01", "2025-10-01"),
            ("THIS_FISCAL_YEAR", None, "2025-01-01", "2026-01-01"),
            ("LAST_90_DAYS", None, "2025-02-13", "2025-05-15"),
            ("LAST_N_DAYS", Some(7), "2025-05-07", "2025-05-15"),
            ("NEXT_N_DAYS", Some(2), "2025-05-15", "2025-05-17"),
            ("LAST_N_MONTHS", Some(2), "2025-03-01", "2025-05-01"),
            ("NEXT_N_YEARS", Some(1), "2026-01-01", "2027-01-01"),
            ("N_WEEKS_AGO", Some(1), "2025-05-04", "2025-05-11"),
            ("N_DAYS_AGO", Some(3), "2025-05-11", "2025-05-12"),
            ("LAST_N_FISCAL_QUARTERS", Some(1), "2025-01-01", "2025-04-01"),
        ] {
            let expected = (from.parse().unwrap(), to.parse().unwrap());
            assert_eq!(range(name, count, today), Some(expected), "{name}:{count:?}");
        }
        for (name, count) in [("TODAY", Some(1)), ("LAST_N_DAYS", None), ("LAST_DAY", None), ("SOON", None)] {
            assert_eq!(range(name, count, today), None, "{name}:{count:?}");
        }
    }
}

/// A date function of SOQL. Time zones and fiscal years of their own are not emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DatePart {
    Month,
    Quarter,
    Year,
    DayInMonth,
    DayInWeek,
    DayInYear,
    DayOnly,
    HourInDay,
    WeekInMonth,
    WeekInYear,
}

impl DatePart {
    pub(super) fn named(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "CALENDAR_MONTH" | "FISCAL_MONTH" => Self::Month,
            "CALENDAR_QUARTER" | "FISCAL_QUARTER" => Self::Quarter,
            "CALENDAR_YEAR" | "FISCAL_YEAR" => Self::Year,
            "DAY_IN_MONTH" => Self::DayInMonth,
            "DAY_IN_WEEK" => Self::DayInWeek,
            "DAY_IN_YEAR" => Self::DayInYear,
            "DAY_ONLY" => Self::DayOnly,
            "HOUR_IN_DAY" => Self::HourInDay,
            "WEEK_IN_MONTH" => Self::WeekInMonth,
            "WEEK_IN_YEAR" => Self::WeekInYear,
            _ => return None,
        })
    }

    /// Whether it takes date-times only.
    pub(super) fn needs_time(self) -> bool {
        matches!(self, Self::DayOnly | Self::HourInDay)
    }

    /// The part of a date or date-time; null of anything else. Weeks of a month or year are counted in sevens
    /// from its first day.
    pub(super) fn of(self, cell: &Cell) -> Cell {
        let (date, hour) = match cell {
            Cell::Date(date) => (*date, 0),
            Cell::Instant(ms) => {
                let Ok(stamp) = Timestamp::from_millisecond(*ms) else { return Cell::Null };
                let civil = Offset::UTC.to_datetime(stamp);
                (civil.date(), civil.hour())
            }
            _ => return Cell::Null,
        };
        let (month, day, ordinal) =
            (i64::from(date.month()), i64::from(date.day()), i64::from(date.day_of_year()));
        let number = match self {
            Self::DayOnly => return Cell::Date(date),
            Self::Month => month,
            Self::Quarter => (month - 1) / 3 + 1,
            Self::Year => i64::from(date.year()),
            Self::DayInMonth => day,
            Self::DayInWeek => i64::from(date.weekday().since(Weekday::Sunday)) + 1,
            Self::DayInYear => ordinal,
            Self::HourInDay => i64::from(hour),
            Self::WeekInMonth => (day - 1) / 7 + 1,
            Self::WeekInYear => (ordinal - 1) / 7 + 1,
        };
        Cell::Number(Decimal::from(number))
    }
}
