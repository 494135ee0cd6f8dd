//! Steps on numbers, on their digits: nothing passes through a float.

use std::borrow::Cow;

use super::{Place, Prepared, Run};
use crate::mapping::document::{NumberFormatStep, NumberStep, RoundMode, RoundStep};
use crate::mapping::program::Row;
use crate::mapping::shape::{Kind, Shape};
use crate::mapping::value::Value;
use crate::record::FieldType;
use crate::record::number::Number;

/// Most digits of a number that is written out.
const MOST_DIGITS: usize = 1000;

#[derive(Debug)]
struct Read {
    decimal: String,
    group: String,
}

pub(super) fn number(step: &NumberStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    place.takes_text(given).then_some(())?;
    let decimal = step.decimal.clone().unwrap_or_else(|| ".".to_owned());
    let group = step.group.clone().unwrap_or_default();
    separators(&decimal, &group, place)?;
    let read = Read { decimal, group };
    // Where a whole number is wanted the digits decide, not the type.
    match place.target.kind() {
        Kind::Integer if place.last => {
            Prepared::new(Shape::new(FieldType::Integer { minimum: None, maximum: None }), read)
        }
        Kind::LongInteger if place.last => {
            Prepared::new(Shape::new(FieldType::Int64), AsDigits(Box::new(read)))
        }
        _ => Prepared::new(Shape::new(FieldType::Decimal { precision: None, scale: None }), read),
    }
}

fn separators(decimal: &str, group: &str, place: &mut Place<'_, '_>) -> Option<()> {
    let strange =
        |text: &str| text.chars().any(|letter| letter.is_ascii_digit() || matches!(letter, '-' | '+'));
    if decimal.is_empty() || strange(decimal) || strange(group) || decimal == group {
        place.error(
            "",
            "decimal and group must differ, and hold no digit and no sign",
            "For 1 234,50 say {\"decimal\":\",\",\"group\":\" \"}",
        );
        return None;
    }
    Some(())
}

impl Run for Read {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let text = value.text()?;
        let given = text.trim();
        if given.is_empty() {
            return Ok(Some(Value::Null));
        }
        let refused = || format!("{given:?} is no number in the form that the step reads");
        let (whole, fraction) = match given.split_once(self.decimal.as_str()) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (given, None),
        };
        let whole: Cow<'_, str> = if self.group.is_empty() {
            whole.into()
        } else {
            ungrouped(whole, &self.group).ok_or_else(refused)?.into()
        };
        let plain = match fraction {
            Some(fraction) => format!("{whole}.{fraction}"),
            None => whole.into_owned(),
        };
        let number =
            Number::parse(&plain).and_then(|number| number.plain(MOST_DIGITS)).ok_or_else(refused)?;
        Ok(Some(Value::Number(Cow::Owned(number))))
    }
}

/// Digits without what stands between groups of them; `None` unless digits stand on both sides.
fn ungrouped(text: &str, group: &str) -> Option<String> {
    let digits = text.trim_start_matches(['-', '+']);
    let groups: Vec<&str> = digits.split(group).collect();
    let well = groups.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    // A lone group in front may be short; all others hold three digits, or two where India counts.
    let sizes = groups.len() == 1
        || (groups.last().is_some_and(|last| last.len() == 3)
            && groups[1..].iter().all(|part| matches!(part.len(), 2 | 3)));
    (well && sizes).then(|| text.replace(group, ""))
}

/// Digits as text, which is how long integers are written.
#[derive(Debug)]
struct AsDigits(Box<dyn Run>);

impl Run for AsDigits {
    fn run<'a>(&'a self, value: Value<'a>, row: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        Ok(self.0.run(value, row)?.map(|value| match value {
            Value::Number(digits) => Value::Text(digits),
            other => other,
        }))
    }
}

#[derive(Debug)]
struct Format {
    decimal: String,
    group: String,
    places: usize,
}

fn takes_number(given: &Shape, place: &mut Place<'_, '_>) -> Option<()> {
    let fits = matches!(given.kind(), Kind::Integer | Kind::LongInteger | Kind::Decimal);
    if !fits {
        place.error(
            "op",
            format!("this step takes a number, and here is {}", given.kind().name()),
            "Put {\"op\":\"number\"} before it",
        );
    }
    fits.then_some(())
}

pub(super) fn number_format(
    step: &NumberFormatStep,
    given: &Shape,
    place: &mut Place<'_, '_>,
) -> Option<Prepared> {
    takes_number(given, place)?;
    let decimal = step.decimal.clone().unwrap_or_else(|| ".".to_owned());
    let group = step.group.clone().unwrap_or_default();
    separators(&decimal, &group, place)?;
    Prepared::new(Shape::text(), Format { decimal, group, places: usize::from(step.places.unwrap_or(0)) })
}

impl Run for Format {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let plain = plain(&value.number()?)?;
        let (sign, digits) = match plain.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", plain.as_str()),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mut out = String::from(sign);
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at) % 3 == 0 {
                out.push_str(&self.group);
            }
            out.push(digit);
        }
        let fraction = format!("{fraction:0<width$}", width = self.places);
        if !fraction.is_empty() {
            out.push_str(&self.decimal);
            out.push_str(&fraction);
        }
        Ok(Some(Value::Text(Cow::Owned(out))))
    }
}

fn plain(digits: &str) -> Result<String, String> {
    let number = Number::parse(digits).ok_or_else(|| format!("{digits:?} is no number"))?;
    number.plain(MOST_DIGITS).ok_or_else(|| format!("has more than {MOST_DIGITS} digits"))
}

#[derive(Debug)]
struct Round {
    places: usize,
    mode: RoundMode,
}

pub(super) fn round(step: &RoundStep, given: &Shape, place: &mut Place<'_, '_>) -> Option<Prepared> {
    takes_number(given, place)?;
    let places = step.places.unwrap_or(0);
    let round = Round { places: usize::from(places), mode: step.mode.unwrap_or_default() };
    let whole = places == 0;
    if whole && place.last && place.target.kind() == Kind::LongInteger {
        return Prepared::new(Shape::new(FieldType::Int64), AsDigits(Box::new(round)));
    }
    let field_type = match (&given.field_type, whole) {
        (_, true) => FieldType::Integer { minimum: None, maximum: None },
        (FieldType::Decimal { precision, .. }, false) => {
            FieldType::Decimal { precision: *precision, scale: Some(u32::from(places)) }
        }
        _ => FieldType::Decimal { precision: None, scale: Some(u32::from(places)) },
    };
    Prepared::new(Shape::new(field_type), round)
}

impl Run for Round {
    fn run<'a>(&'a self, value: Value<'a>, _: &mut Row<'a>) -> Result<Option<Value<'a>>, String> {
        let rounded = rounded(&plain(&value.number()?)?, self.places, self.mode);
        Ok(Some(Value::Number(Cow::Owned(rounded))))
    }
}

/// A plainly written number with at most so many decimals.
fn rounded(plain: &str, places: usize, mode: RoundMode) -> String {
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() <= places {
        return plain.to_owned();
    }
    let (kept, rest) = fraction.split_at(places);
    let mut number: Vec<u8> = whole.bytes().chain(kept.bytes()).collect();
    let any = rest.bytes().any(|digit| digit != b'0');
    let first = rest.bytes().next().unwrap_or(b'0');
    let beyond_half = first > b'5' || (first == b'5' && rest[1..].bytes().any(|digit| digit != b'0'));
    let half = first == b'5' && !beyond_half;
    let up = match mode {
        RoundMode::HalfUp => beyond_half || half,
        RoundMode::HalfEven => beyond_half || (half && number.last().is_some_and(|digit| digit % 2 == 1)),
        RoundMode::Down => false,
        RoundMode::Up => any,
        RoundMode::Floor => any && negative,
        RoundMode::Ceiling => any && !negative,
    };
    if up {
        let carried = number.iter_mut().rev().all(|digit| {
            let over = *digit == b'9';
            *digit = if over { b'0' } else { *digit + 1 };
            over
        });
        if carried {
            number.insert(0, b'1');
        }
    }
    let point = number.len() - places;
    let text = String::from_utf8_lossy(&number);
    let (whole, fraction) = text.split_at(point);
    let fraction = fraction.trim_end_matches('0');
    let zero = number.iter().all(|digit| *digit == b'0');
    let sign = if negative && !zero { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::{RoundMode, rounded, ungrouped};

    #[test]
    fn numbers_are_rounded_by_their_digits_in_every_mode() {
        use RoundMode as M;
        for (text, places, mode, expected) in [
            ("2.5", 0, M::HalfUp, "3"),
            ("-2.5", 0, M::HalfUp, "-3"),
            ("2.5", 0, M::HalfEven, "2"),
            ("3.5", 0, M::HalfEven, "4"),
            ("2.51", 0, M::HalfEven, "3"),
            ("2.4999", 0, M::HalfUp, "2"),
            ("9.995", 2, M::HalfUp, "10"),
            ("1.005", 2, M::HalfUp, "1.01"),
            ("-0.4", 0, M::HalfUp, "0"),
            ("-0.1", 0, M::Floor, "-1"),
            ("-0.9", 0, M::Ceiling, "0"),
            ("0.1", 0, M::Ceiling, "1"),
            ("0.9", 0, M::Down, "0"),
            ("-0.1", 0, M::Up, "-1"),
            ("99999999999999999999.95", 1, M::HalfUp, "100000000000000000000"),
            ("1.2", 4, M::HalfUp, "1.2"),
            ("0.05", 1, M::HalfUp, "0.1"),
        ] {
            assert_eq!(rounded(text, places, mode), expected, "{text} {places} {mode:?}");
        }
    }

    #[test]
    fn groups_are_groups_of_digits() {
        assert_eq!(ungrouped("-1 234 567", " ").as_deref(), Some("-1234567"));
        assert_eq!(ungrouped("12,34,567", ",").as_deref(), Some("1234567"));
        assert_eq!(ungrouped("1234", ",").as_deref(), Some("1234"));
        for wrong in ["1,2", ",234", "1,,234", "1,234,", "1,23 4"] {
            assert_eq!(ungrouped(wrong, ","), None, "{wrong}");
        }
    }
}
