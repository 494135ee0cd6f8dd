//! SOQL text: one quoting function, patterns, numbers and instants.
//!
//! Source: SOQL and SOSL Reference, "Quoted String Escape Sequences", "Reserved Characters", "Date Formats and
//! Date Literals".

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::record::number::Number;
use crate::record::query::{Pattern, PatternPart};

/// Longest text in a condition, in characters (Salesforce Developer Limits, SOQL and SOSL).
pub(super) const TEXT_MAX: usize = 4_000;
/// Longest statement, in characters.
pub(super) const STATEMENT_MAX: usize = 100_000;
/// Digits that a 64-bit float keeps exactly, which is what Salesforce computes with.
const EXACT_DIGITS: usize = 15;

/// Whether a statement is short enough for Salesforce.
pub(super) fn fits(statement: &str) -> bool {
    statement.len() <= STATEMENT_MAX || statement.chars().count() <= STATEMENT_MAX
}

/// A text as a SOQL literal.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for character in text.chars() {
        push_escaped(&mut out, character);
    }
    out.push('\'');
    out
}

fn push_escaped(out: &mut String, character: char) {
    match character {
        '\'' => out.push_str("\\'"),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        control if control.is_control() => {
            let _ = write!(out, "\\u{:04X}", u32::from(control));
        }
        other => out.push(other),
    }
}

/// Whether Salesforce surely compares this text as it stands: what it does with empty text, with blanks at the
/// ends and with control characters is not documented.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && !text.contains(char::is_control)
}

/// A LIKE literal that matches at least what the pattern matches, or `None` when that would be everything or
/// is not certain. What one character is to Salesforce outside the basic plane, and what a backslash means, is
/// not documented: such places match more. With `fold` the pattern is one that ignores case by Unicode.
pub(super) fn like(pattern: &Pattern, fold: bool) -> Option<String> {
    let whole: String = pattern
        .0
        .iter()
        .map(|part| match part {
            PatternPart::Literal(text) => text.as_str(),
            PatternPart::AnyRun => "%",
            PatternPart::AnyOne => "_",
        })
        .collect();
    if !is_plain(&whole) {
        return None;
    }
    let mut out = String::with_capacity(whole.len() + 2);
    out.push('\'');
    let mut certain = false;
    let any = |out: &mut String| {
        if !out.ends_with('%') || out.ends_with("\\%") {
            out.push('%');
        }
    };
    for part in &pattern.0 {
        let PatternPart::Literal(text) = part else {
            any(&mut out);
            continue;
        };
        for character in text.chars() {
            match character {
                '\\' => out.push('_'),
                // Beyond these two letters, only ASCII folds to ASCII.
                'k' | 'K' | 's' | 'S' if fold => out.push('_'),
                other if fold && !other.is_ascii() => any(&mut out),
                '%' | '_' => {
                    out.push('\\');
                    out.push(character);
                    certain = true;
                }
                other => {
                    push_escaped(&mut out, other);
                    certain = true;
                }
            }
        }
    }
    out.push('\'');
    (certain && out.chars().count() <= TEXT_MAX).then_some(out)
}

/// A number as a SOQL literal, when Salesforce surely reads it exactly.
pub(super) fn number(number: &Number, whole_only: bool) -> Option<String> {
    let text = number.as_str();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let exact = is_digits(whole) && is_digits(fraction) && whole.len() + fraction.len() <= EXACT_DIGITS;
    if !exact || (whole_only && !fraction.is_empty()) {
        return None;
    }
    let sign = if negative && !(whole.is_empty() && fraction.is_empty()) { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// An instant as a SOQL literal; `None` for one that falls between milliseconds or outside the years that
/// Salesforce keeps (1700 to 4000).
pub(super) fn instant(instant: Timestamp) -> Option<String> {
    let moment = instant.to_zoned(TimeZone::UTC).datetime();
    let milliseconds = instant.subsec_nanosecond().rem_euclid(1_000_000_000) / 1_000_000;
    let exact = instant.as_nanosecond() % 1_000_000 == 0;
    (exact && has_year(moment.year()))
        .then(|| format!("{}.{milliseconds:03}Z", moment.strftime("%Y-%m-%dT%H:%M:%S")))
}

/// A date as a SOQL literal; `None` for one outside the years that Salesforce keeps.
pub(super) fn date(date: jiff::civil::Date) -> Option<String> {
    has_year(date.year()).then(|| date.strftime("%Y-%m-%d").to_string())
}

fn has_year(year: i16) -> bool {
    (1700..=4000).contains(&year)
}

/// Whether a text is an 18-character record id whose last three characters fit the others. Salesforce refuses
/// a statement in which a literal is no id.
pub(super) fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 18 && bytes.iter().all(u8::is_ascii_alphanumeric) && checksum(&bytes[..15]) == bytes[15..]
}

/// The 18-character form of a record id of 15 or 18 characters.
pub(super) fn canonical_id(text: &str) -> Option<String> {
    if text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let sum = checksum(text.as_bytes());
        return Some(sum.iter().fold(text.to_owned(), |mut out, byte| {
            out.push(char::from(*byte));
            out
        }));
    }
    is_id(text).then(|| text.to_owned())
}

/// One character for each five: its bits tell which of them are upper case, the first the lowest.
fn checksum(id: &[u8]) -> [u8; 3] {
    let mut out = [0; 3];
    for (place, chunk) in out.iter_mut().zip(id.chunks(5)) {
        let bits = chunk
            .iter()
            .enumerate()
            .fold(0_usize, |bits, (at, byte)| bits | (usize::from(byte.is_ascii_uppercase()) << at));
        *place = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits & 31];
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a literal as the reference describes it; `None` for what it forbids.
    fn unquoted(literal: &str) -> Option<String> {
        let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
        let mut out = String::new();
        let mut rest = inner.chars();
        while let Some(character) = rest.next() {
            match character {
                '\'' => return None,
                '\\' => match rest.next()? {
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    'b' => out.push('\u{8}'),
                    'f' => out.push('\u{c}'),
                    same @ ('"' | '\'' | '\\') => out.push(same),
                    'u' => {
                        let hex: String = rest.by_ref().take(4).collect();
                        out.push(char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?);
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
        fn quoted_attacks_stay_one_text(text in "['\\\\\" OR=a\n\r\t%_\u{0}-\u{1f}]{0,30}") {
            let literal = quoted(&text);
            prop_assert_eq!(unquoted(&literal), Some(text));
            prop_assert!(!literal.contains('\n'));
        }
    }

    #[test]
    fn fault_59_the_documented_example_is_quoted_with_backslashes() {
        assert_eq!(quoted("O'Ne\\il"), "'O\\'Ne\\\\il'");
        assert_eq!(quoted("' OR Name != '"), "'\\' OR Name != \\''");
        assert_eq!(quoted("\u{1}"), "'\\u0001'");
    }

    fn pattern(text: &str) -> Pattern {
        let mut parts: Vec<PatternPart> = Vec::new();
        for character in text.chars() {
            match character {
                '*' => parts.push(PatternPart::AnyRun),
                '?' => parts.push(PatternPart::AnyOne),
                other => match parts.last_mut() {
                    Some(PatternPart::Literal(literal)) => literal.push(other),
                    _ => parts.push(PatternPart::Literal(other.to_string())),
                },
            }
        }
        Pattern(parts)
    }

    #[test]
    fn patterns_match_at_least_as_much() {
        let exact = |text| like(&pattern(text), false);
        assert_eq!(exact("x%_*"), Some("'x\\%\\_%'".to_owned()));
        assert_eq!(exact("*O'N*"), Some("'%O\\'N%'".to_owned()));
        assert_eq!(exact("a?c"), Some("'a%c'".to_owned()));
        assert_eq!(exact("a\\b"), Some("'a_b'".to_owned()));
        assert_eq!(exact("*%*"), Some("'%\\%%'".to_owned()));
        for uncertain in ["*", "?", "", " a*", "*a ", "a\nb", "**?", "*\\*"] {
            assert_eq!(exact(uncertain), None, "{uncertain:?}");
        }
        let folded = |text| like(&pattern(text), true);
        assert_eq!(folded("*Kiosk*"), Some("'%_io__%'".to_owned()));
        assert_eq!(folded("Zoë*"), Some("'Zo%'".to_owned()));
        assert_eq!(folded("ks"), None);
    }

    #[test]
    fn numbers_are_written_plainly_or_not_at_all() {
        let text = |text: &str, whole| number(&Number::parse(text).unwrap(), whole);
        assert_eq!(text("5", true), Some("5".to_owned()));
        assert_eq!(text("+007.50", false), Some("7.5".to_owned()));
        assert_eq!(text("-0.0", false), Some("0".to_owned()));
        assert_eq!(text("-0.25", false), Some("-0.25".to_owned()));
        assert_eq!(text("5.0", true), Some("5".to_owned()));
        assert_eq!(text("5.5", true), None);
        assert_eq!(text("1e400", false), None);
        assert_eq!(text("1234567890123456", false), None);
    }

    #[test]
    fn instants_are_written_to_the_millisecond() {
        let text = |text: &str| instant(text.parse().unwrap());
        assert_eq!(text("2026-01-31T09:30:00.25Z"), Some("2026-01-31T09:30:00.250Z".to_owned()));
        assert_eq!(text("1969-12-31T23:59:59.5Z"), Some("1969-12-31T23:59:59.500Z".to_owned()));
        assert_eq!(text("2026-01-31T09:30:00.0001Z"), None);
        assert_eq!(text("1600-01-01T00:00:00Z"), None);
        assert_eq!(date("2026-02-03".parse().unwrap()), Some("2026-02-03".to_owned()));
        assert_eq!(date("9999-02-03".parse().unwrap()), None);
    }

    #[test]
    fn ids_are_known_by_their_checksum() {
        // Master record type id, as Salesforce documents it.
        assert!(is_id("012000000000000AAA"));
        assert!(!is_id("012000000000000AAB"));
        assert!(!is_id("012000000000000"));
        assert_eq!(canonical_id("012000000000000").as_deref(), Some("012000000000000AAA"));
        assert_eq!(canonical_id("001D000000IRFma").as_deref(), Some("001D000000IRFmaIAH"));
        assert_eq!(canonical_id("not an id"), None);
    }
}
