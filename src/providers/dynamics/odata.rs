//! OData text: one quoting function, literals, keys in addresses.
//!
//! Sources: OData 4.0 ABNF; "Filter rows using OData" and "Use an alternate key to reference a record"
//! (Microsoft Dataverse developer documentation).

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::record::number::Number;

/// Digits of a number in a condition: a 64-bit float, as which a literal may be read, keeps as many.
const EXACT_DIGITS: usize = 15;

/// A text as an OData literal: a quote is doubled, nothing else has a meaning.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether Dataverse surely compares this text as it stands: what it does with empty text, with blanks at the
/// ends and with control characters is not documented.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && !text.contains(char::is_control)
}

/// Text for the string functions, in which `%`, `_` and `[` are wildcards: what it matches there includes the
/// text itself. `None` when nothing of it can be looked for. Wildcards in front are not supported, so they are
/// left out.
pub(super) fn searchable(text: &str) -> Option<String> {
    let text: String = text
        .trim()
        .trim_start_matches(['%', '_', '[', ']'])
        .trim_start()
        .chars()
        .map(|character| if matches!(character, '[' | ']') { '_' } else { character })
        .collect();
    (is_plain(&text) && !text.starts_with(['%', '_'])).then(|| quoted(&text))
}

/// Whether only the same letter in the other case folds to a character: beside `k` and `s`, which have partners
/// outside, those are the ones of ASCII.
pub(super) fn folds_within_ascii(text: &str) -> bool {
    text.is_ascii() && !text.contains(['k', 'K', 's', 'S'])
}

/// A number as an OData literal, when Dataverse surely reads it exactly.
pub(super) fn number(number: &Number) -> Option<String> {
    number.plain(EXACT_DIGITS)
}

/// A whole number within 32 bits.
pub(super) fn int32(number: &Number) -> Option<String> {
    number.plain(10).filter(|text| text.parse::<i32>().is_ok())
}

/// A whole number within 64 bits.
pub(super) fn int64(number: &Number) -> Option<String> {
    number.plain(19).filter(|text| text.parse::<i64>().is_ok())
}

/// The second in which an instant lies, as a literal, and whether the instant is its beginning. `None` outside
/// the years that Dataverse keeps (1753 to 9999).
pub(super) fn second(instant: Timestamp) -> Option<(String, bool)> {
    let nanoseconds = instant.as_nanosecond();
    let whole = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
    let moment = Timestamp::from_second(whole).ok()?.to_zoned(TimeZone::UTC).datetime();
    has_year(moment.year()).then(|| {
        (format!("{}Z", moment.strftime("%Y-%m-%dT%H:%M:%S")), nanoseconds.rem_euclid(1_000_000_000) == 0)
    })
}

/// A date as a literal; `None` for one outside the years that Dataverse keeps.
pub(super) fn date(date: jiff::civil::Date) -> Option<String> {
    has_year(date.year()).then(|| date.strftime("%Y-%m-%d").to_string())
}

fn has_year(year: i16) -> bool {
    (1754..=9998).contains(&year)
}

/// A record id in the form in which Dataverse writes it.
pub(super) fn canonical_guid(text: &str) -> Option<String> {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let shaped = bare.len() == 36
        && bare.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    shaped.then(|| bare.to_ascii_lowercase())
}

/// Whether a text is a record id as Dataverse writes it.
pub(super) fn is_guid(text: &str) -> bool {
    canonical_guid(text).is_some_and(|guid| guid == text)
}

/// Whether a text value can stand in the key of an address: some characters fail there however they are
/// encoded.
pub(super) fn fits_address(text: &str) -> bool {
    !text.contains(['/', '\\', '<', '>', '*', '%', '&', ':', '#', '?', '+'])
        && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quoting_is_undone_by_halving_quotes(text in any::<String>()) {
            let literal = quoted(&text);
            let inner = &literal[1..literal.len() - 1];
            prop_assert_eq!(inner.replace("''", "'"), text);
            prop_assert_eq!(inner.matches('\'').count() % 2, 0);
        }

        #[test]
        fn quoted_attacks_stay_one_text(text in "['\" or=a&$()\n\r\t%_\u{0}-\u{1f}]{0,30}") {
            // Walked as the grammar has it: a text ends at the first quote that is not doubled.
            let literal = quoted(&text);
            let mut rest = literal.strip_prefix('\'').unwrap();
            loop {
                let at = rest.find('\'').unwrap();
                match rest[at + 1..].strip_prefix('\'') {
                    Some(behind) => rest = behind,
                    None => {
                        prop_assert_eq!(at + 1, rest.len());
                        break;
                    }
                }
            }
        }

        #[test]
        fn what_is_searched_for_never_begins_with_a_wildcard(text in "[%_\\[\\]a ']{0,12}") {
            if let Some(literal) = searchable(&text) {
                prop_assert!(!literal[1..].starts_with(['%', '_', '[', ']', ' ']));
                prop_assert!(!literal.contains(['[', ']']));
            }
        }
    }

    #[test]
    fn fault_59_quotes_are_doubled_and_searches_lose_their_wildcards() {
        assert_eq!(quoted("O'Neil' or name ne '"), "'O''Neil'' or name ne '''");
        assert_eq!(searchable("a[bc]d%"), Some("'a_bc_d%'".to_owned()));
        assert_eq!(searchable("%_ x "), Some("'x'".to_owned()));
        for nothing in ["", " ", "%", "_[", "a\nb"] {
            assert_eq!(searchable(nothing), None, "{nothing:?}");
        }
        assert!(folds_within_ascii("Abc 1") && !folds_within_ascii("task") && !folds_within_ascii("é"));
    }

    #[test]
    fn literals_have_the_forms_of_their_types_or_none() {
        let number = |text: &str| super::number(&Number::parse(text).unwrap());
        assert_eq!(number("12.50").as_deref(), Some("12.5"));
        assert_eq!(number("1e3").as_deref(), Some("1000"));
        assert_eq!(number("-0.0").as_deref(), Some("0"));
        assert_eq!(number("12345678901234567"), None);
        let int = |text: &str| int32(&Number::parse(text).unwrap());
        assert_eq!((int("5.0").as_deref(), int("5.5"), int("2147483648")), (Some("5"), None, None));
        assert_eq!(int64(&Number::parse("9007199254740993").unwrap()).as_deref(), Some("9007199254740993"));
        let second = |text: &str| super::second(text.parse().unwrap());
        assert_eq!(second("2026-01-31T09:30:00Z"), Some(("2026-01-31T09:30:00Z".to_owned(), true)));
        assert_eq!(second("1969-12-31T23:59:59.5Z"), Some(("1969-12-31T23:59:59Z".to_owned(), false)));
        assert_eq!(second("1700-01-01T00:00:00Z"), None);
        assert_eq!(date("2026-02-03".parse().unwrap()).as_deref(), Some("2026-02-03"));
        assert_eq!(date("1752-02-03".parse().unwrap()), None);
    }

    #[test]
    fn ids_are_known_in_any_spelling() {
        let id = "78914942-34cb-ed11-b596-0022481d68cd";
        assert_eq!(canonical_guid(&format!("{{{}}}", id.to_uppercase())).as_deref(), Some(id));
        assert!(is_guid(id) && !is_guid(&id.to_uppercase()));
        for wrong in
            ["", "78914942", "78914942-34cb-ed11-b596-0022481d68cg", "78914942034cb-ed11-b596-0022481d68cd"]
        {
            assert_eq!(canonical_guid(wrong), None, "{wrong}");
        }
    }
}
