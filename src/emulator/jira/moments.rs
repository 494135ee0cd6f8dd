//! Dates as queries write them, read in the zone of the caller's profile.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::{Span, Timestamp, ToSpan as _, Zoned};

use super::render::zone;

/// Milliseconds of a date, a date with time, a number of milliseconds, or a period from now.
pub(super) fn read(text: &str, now: Timestamp) -> Option<i64> {
    let text = text.trim();
    if let Ok(millis) = text.parse::<i64>()
        && !text.starts_with(['-', '+'])
    {
        return Timestamp::from_millisecond(millis).ok().map(|at| at.as_millisecond());
    }
    let dashed = text.replace('/', "-");
    for form in ["%Y-%m-%d %H:%M", "%Y-%m-%d"] {
        if let Ok(parsed) = DateTime::strptime(form, &dashed) {
            return millis(parsed);
        }
        if let Ok(parsed) = Date::strptime(form, &dashed) {
            return millis(parsed.at(0, 0, 0, 0));
        }
    }
    let at = shift(&now.to_zoned(zone()), text, "wdhm")?;
    Some(at.timestamp().as_millisecond())
}

fn millis(local: DateTime) -> Option<i64> {
    local.to_zoned(zone()).ok().map(|at| at.timestamp().as_millisecond())
}

/// Moves a time by periods such as `-1w 2d`; the sign of the first holds for all.
fn shift(from: &Zoned, text: &str, units: &str) -> Option<Zoned> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut at = from.clone();
    let mut some = false;
    for period in rest.split_whitespace() {
        let (digits, unit) =
            period.split_at(period.len().checked_sub(1).filter(|at| period.is_char_boundary(*at))?);
        let count: i64 = digits.parse().ok().filter(|count| (0..100_000).contains(count))?;
        if !units.contains(unit) {
            return None;
        }
        let span: Span = match unit {
            "y" => Span::new().try_years(count),
            "M" => Span::new().try_months(count),
            "w" => Span::new().try_weeks(count),
            "d" => Span::new().try_days(count),
            "h" => Span::new().try_hours(count),
            _ => Span::new().try_minutes(count),
        }
        .ok()?;
        at = at.checked_add(if sign < 0 { span.negate() } else { span }).ok()?;
        some = true;
    }
    some.then_some(at)
}

/// `now()`, `startOfDay("-1d")`, `endOfMonth()` and the like; `None` for other functions.
pub(super) fn function(name: &str, argument: Option<&str>, now: Timestamp) -> Option<i64> {
    let name = name.to_ascii_lowercase();
    let now = now.to_zoned(zone());
    if name == "now" {
        return Some(now.timestamp().as_millisecond());
    }
    let (end, unit) = match (name.strip_prefix("startof"), name.strip_prefix("endof")) {
        (Some(unit), _) => (false, unit),
        (_, Some(unit)) => (true, unit),
        _ => return None,
    };
    let own = match unit {
        "day" => "d",
        "week" => "w",
        "month" => "M",
        "year" => "y",
        _ => return None,
    };
    let moved = match argument {
        None => now,
        // A bare number counts in the function's own unit.
        Some(text) if text.trim_start_matches(['-', '+']).bytes().all(|digit| digit.is_ascii_digit()) => {
            shift(&now, &format!("{text}{own}"), "yMwd")?
        }
        Some(text) => shift(&now, text, "yMwdhm")?,
    };
    let day = moved.date();
    let start = match unit {
        "day" => day,
        "week" => day.checked_sub(i64::from(day.weekday().since(Weekday::Sunday)).days()).ok()?,
        "month" => day.first_of_month(),
        _ => day.first_of_year(),
    };
    let from = millis(start.at(0, 0, 0, 0))?;
    if !end {
        return Some(from);
    }
    let next = match unit {
        "day" => start.checked_add(1.day()),
        "week" => start.checked_add(1.week()),
        "month" => start.checked_add(1.month()),
        _ => start.checked_add(1.year()),
    };
    millis(next.ok()?.at(0, 0, 0, 0)).map(|next| next - 1)
}

/// Midnight of a stored date.
pub(super) fn of_day(text: &str) -> Option<i64> {
    millis(Date::strptime("%Y-%m-%d", text).ok()?.at(0, 0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_periods_and_functions_are_read_in_the_profile_zone() {
        let now: Timestamp = "2026-03-04T10:00:30Z".parse().expect("a moment");
        let at = |text: &str| text.parse::<Timestamp>().expect("a moment").as_millisecond();
        assert_eq!(read("2026-03-01", now), Some(at("2026-03-01T03:00:00Z")));
        assert_eq!(read("2026/03/01 12:30", now), Some(at("2026-03-01T15:30:00Z")));
        assert_eq!(read("-1w 2d", now), Some(at("2026-02-23T10:00:30Z")));
        assert_eq!(read("1772618430000", now), Some(1_772_618_430_000));
        for wrong in ["-53s", "yesterday", "2026-13-01", "-", "9999999999d", "é"] {
            assert_eq!(read(wrong, now), None, "{wrong}");
        }
        assert_eq!(function("startOfDay", Some("-1d"), now), Some(at("2026-03-03T03:00:00Z")));
        assert_eq!(function("endOfMonth", None, now), Some(at("2026-04-01T03:00:00Z") - 1));
        assert_eq!(function("startOfWeek", Some("1"), now), Some(at("2026-03-08T03:00:00Z")));
    }
}
