//! JQL text: one quoting function, references to fields, literals.
//!
//! Fields and texts are always quoted (or written `cf[10010]`), so that none of the reserved words matters.
//! Sources: "Advanced searching - fields reference", "- operators reference", "- keywords reference" (Jira Cloud).

use std::fmt::Write as _;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::record::number::Number;

/// Digits of a number in a condition: a 64-bit float, which Jira keeps, holds as many exactly.
const EXACT_DIGITS: usize = 15;
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// The zones furthest behind and ahead of UTC.
const BEHIND: SignedDuration = SignedDuration::from_hours(12);
const AHEAD: SignedDuration = SignedDuration::from_hours(14);

/// A text as a JQL literal. Control characters are written as escapes, which is the only form that is accepted
/// for them.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A field as conditions name it, by a name such as Jira gives: `cf[10010]`, or any other in quotes.
pub(super) fn clause(name: &str) -> String {
    let number = name.strip_prefix("cf[").and_then(|rest| rest.strip_suffix(']'));
    if number.is_some_and(is_id) { name.to_owned() } else { quoted(name) }
}

/// Whether a text is an id that Jira gives out, which stands in JQL as it is: a number in quotes would be looked
/// for among the names first.
pub(super) fn is_id(text: &str) -> bool {
    (1..=18).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is an issue key, in its canonical form.
pub(super) fn is_key(text: &str) -> bool {
    let Some((project, number)) = text.rsplit_once('-') else { return false };
    let rest = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    project.len() <= 100
        && project.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
        && project.bytes().all(rest)
        && is_id(number)
}

/// Whether a text has the form of an account's id.
pub(super) fn is_account(text: &str) -> bool {
    let hexadecimal = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    match text.split_once(':') {
        Some((realm, id)) => {
            is_id(realm)
                && id.len() == 36
                && hexadecimal(id)
                && id.bytes().filter(|byte| *byte == b'-').count() == 4
        }
        None => text.len() == 24 && hexadecimal(text) && !text.contains('-'),
    }
}

/// A number as whole numbers that enclose it: the same twice when it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Enclosed {
    pub(super) low: String,
    pub(super) high: String,
}

impl Enclosed {
    pub(super) fn is_exact(&self) -> bool {
        self.low == self.high
    }
}

/// A number for conditions. Fractions are not written: which sign stands in front of their digits depends on the
/// language of the caller's profile.
pub(super) fn number(number: &Number) -> Option<Enclosed> {
    let plain = number.plain(EXACT_DIGITS)?;
    let whole = |text: &str| text.parse::<i64>().ok();
    let Some((front, _)) = plain.split_once('.') else {
        let same = whole(&plain)?.to_string();
        return Some(Enclosed { low: same.clone(), high: same });
    };
    let toward_zero = whole(front)?;
    let (low, high) = match plain.starts_with('-') {
        true => (toward_zero - 1, toward_zero),
        false => (toward_zero, toward_zero + 1),
    };
    Some(Enclosed { low: low.to_string(), high: high.to_string() })
}

/// A date as a literal; `None` outside the years in which all calendars agree.
pub(super) fn date(date: Date) -> Option<String> {
    has_year(date.year()).then(|| format!("\"{}\"", date.strftime("%Y-%m-%d")))
}

fn has_year(year: i16) -> bool {
    (1700..=9998).contains(&year)
}

/// How a field of moments is compared. What finer grain than a minute an index has is not documented, so that
/// moments are rounded to minutes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Clock<'a> {
    /// Takes milliseconds since 1970, whatever the zone.
    Epoch,
    /// Takes the clock of the caller's profile.
    Profile(&'a TimeZone),
    /// Takes the clock of a profile that is not known.
    Anywhere,
}

impl Clock<'_> {
    /// A literal for a moment that is not after this one.
    pub(super) fn not_after(self, moment: Timestamp) -> Option<String> {
        let minute = floor(moment)?;
        match self {
            Self::Epoch if minute >= Timestamp::UNIX_EPOCH => Some(minute.as_millisecond().to_string()),
            Self::Epoch | Self::Anywhere => {
                local(TimeZone::UTC.to_datetime(minute.checked_sub(BEHIND).ok()?))
            }
            Self::Profile(zone) => unambiguous(zone, minute, -SignedDuration::from_hours(1)),
        }
    }

    /// A literal for a moment that is not before this one.
    pub(super) fn not_before(self, moment: Timestamp) -> Option<String> {
        let floor = floor(moment)?;
        let minute = if floor == moment { floor } else { floor.checked_add(MINUTE).ok()? };
        match self {
            Self::Epoch if minute >= Timestamp::UNIX_EPOCH => Some(minute.as_millisecond().to_string()),
            Self::Epoch | Self::Anywhere => local(TimeZone::UTC.to_datetime(minute.checked_add(AHEAD).ok()?)),
            Self::Profile(zone) => {
                // A zone may once have been off by seconds: the minute behind is not before in any case.
                let minute = if zone.to_offset(minute).seconds() % 60 == 0 {
                    minute
                } else {
                    minute.checked_add(MINUTE).ok()?
                };
                unambiguous(zone, minute, SignedDuration::from_hours(1))
            }
        }
    }
}

fn floor(moment: Timestamp) -> Option<Timestamp> {
    let second = moment.as_second() - i64::from(moment.subsec_nanosecond() < 0);
    Timestamp::from_second(second.div_euclid(60) * 60).ok()
}

/// A minute by the clock of a zone, moved on where that clock shows it twice or never.
fn unambiguous(zone: &TimeZone, minute: Timestamp, step: SignedDuration) -> Option<String> {
    let mut moment = minute;
    for _ in 0..30 {
        let shown = zone.to_datetime(moment);
        if !zone.to_ambiguous_timestamp(shown).is_ambiguous() {
            return local(shown);
        }
        moment = moment.checked_add(step).ok()?;
    }
    None
}

fn local(shown: DateTime) -> Option<String> {
    has_year(shown.year()).then(|| format!("\"{}\"", shown.strftime("%Y-%m-%d %H:%M")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a literal by the documented escapes; `None` for what they do not allow.
    fn unquoted(literal: &str) -> Option<String> {
        let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
        let mut out = String::new();
        let mut rest = inner.chars();
        while let Some(character) = rest.next() {
            match character {
                '"' => return None,
                control if control < ' ' && control != '\n' && control != '\r' => return None,
                '\\' => match rest.next()? {
                    't' => out.push('\t'),
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    same @ ('\\' | '"' | '\'' | ' ') => out.push(same),
                    'u' => {
                        let digits: String = rest.by_ref().take(4).collect();
                        out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    _ => return None,
                },
                other => out.push(other),
            }
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn quoting_is_undone_by_the_documented_escapes(text in any::<String>()) {
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }

        #[test]
        fn quoted_attacks_stay_one_text(text in "['\\\\\" OR=a\n\r\t\u{0}-\u{1f}\u{7f}]{0,30}") {
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }

        #[test]
        fn rounded_moments_lie_on_their_side(seconds in 0_i64..4_000_000_000, zone in 0_usize..4) {
            let names = ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe"];
            let zone = TimeZone::get(names[zone]).unwrap();
            let moment = Timestamp::from_second(seconds).unwrap();
            let read = |literal: String| {
                let shown = DateTime::strptime("\"%Y-%m-%d %H:%M\"", literal).unwrap();
                zone.to_ambiguous_timestamp(shown).unambiguous().unwrap()
            };
            let (low, high) = (Clock::Profile(&zone).not_after(moment), Clock::Profile(&zone).not_before(moment));
            prop_assert!(read(low.unwrap()) <= moment);
            prop_assert!(read(high.unwrap()) >= moment);
            let anywhere = |literal: String, hours: i64| {
                let shown = DateTime::strptime("\"%Y-%m-%d %H:%M\"", literal).unwrap();
                TimeZone::fixed(jiff::tz::Offset::from_seconds(i32::try_from(hours * 3_600).unwrap()).unwrap())
                    .to_timestamp(shown)
                    .unwrap()
            };
            for hours in [-12, 0, 14] {
                prop_assert!(anywhere(Clock::Anywhere.not_after(moment).unwrap(), hours) <= moment);
                prop_assert!(anywhere(Clock::Anywhere.not_before(moment).unwrap(), hours) >= moment);
            }
        }
    }

    #[test]
    fn fault_59_texts_cannot_leave_their_quotes() {
        assert_eq!(quoted("a\" OR project = X"), "\"a\\\" OR project = X\"");
        assert_eq!(quoted("\\"), "\"\\\\\"");
        assert_eq!(quoted("\u{0}\t"), "\"\\u0000\\t\"");
    }

    #[test]
    fn fields_are_named_by_number_or_in_quotes() {
        assert_eq!(clause("cf[10010]"), "cf[10010]");
        assert_eq!(clause("fixVersion"), "\"fixVersion\"");
        assert_eq!(clause("cf[1] = 2 or x[3]"), "\"cf[1] = 2 or x[3]\"");
    }

    #[test]
    fn ids_keys_and_accounts_are_known_by_their_form() {
        assert!(is_id("10001") && !is_id("010") && !is_id("") && !is_id("1a") && !is_id("-1"));
        assert!(
            is_key("OPS-17") && is_key("A1_B-2") && !is_key("ops-17") && !is_key("OPS-") && !is_key("OPS-0")
        );
        assert!(
            is_account("712020:01234567-89ab-cdef-0123-456789abcdef")
                && is_account("5b10ac8d82e05b22cc7d4ef5")
        );
        assert!(
            !is_account("712020:0123") && !is_account("admin") && !is_account("5B10AC8D82E05B22CC7D4EF5")
        );
    }

    #[test]
    fn numbers_are_enclosed_by_whole_ones() {
        let text = |text: &str| number(&Number::parse(text).unwrap()).map(|found| (found.low, found.high));
        let pair = |low: &str, high: &str| Some((low.to_owned(), high.to_owned()));
        assert_eq!(text("5.0"), pair("5", "5"));
        assert_eq!(text("-3"), pair("-3", "-3"));
        assert_eq!(text("1.5"), pair("1", "2"));
        assert_eq!(text("-0.01"), pair("-1", "0"));
        assert_eq!(text("-7.5"), pair("-8", "-7"));
        assert_eq!(text("1e400"), None);
        assert_eq!(text("9007199254740993"), None);
    }

    #[test]
    fn moments_are_rounded_to_minutes() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (low, high) = (at("2026-03-04T10:00:30.5Z"), at("2026-03-04T10:01:00Z"));
        assert_eq!(Clock::Epoch.not_after(low).as_deref(), Some("1772618400000"));
        assert_eq!(Clock::Epoch.not_before(low).as_deref(), Some("1772618460000"));
        assert_eq!(Clock::Epoch.not_before(high).as_deref(), Some("1772618460000"));
        let zone = TimeZone::get("America/Sao_Paulo").unwrap();
        assert_eq!(Clock::Profile(&zone).not_after(low).as_deref(), Some("\"2026-03-04 07:00\""));
        assert_eq!(Clock::Anywhere.not_before(high).as_deref(), Some("\"2026-03-05 00:01\""));
        let early = at("1969-12-31T23:59:59.999Z");
        assert_eq!(Clock::Epoch.not_after(early).as_deref(), Some("\"1969-12-31 11:59\""));
        assert_eq!(Clock::Epoch.not_before(early).as_deref(), Some("0"));
        assert_eq!(Clock::Epoch.not_after(at("-002000-01-01T00:00:00Z")), None);
        // The hour that Berlin's clocks show twice is avoided.
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let twice = at("2026-10-25T00:30:00Z");
        assert_eq!(Clock::Profile(&zone).not_after(twice).as_deref(), Some("\"2026-10-25 01:30\""));
        assert_eq!(Clock::Profile(&zone).not_before(twice).as_deref(), Some("\"2026-10-25 03:30\""));
        assert_eq!(date("2026-01-31".parse().unwrap()).as_deref(), Some("\"2026-01-31\""));
        assert_eq!(date("0001-01-01".parse().unwrap()), None);
    }
}
