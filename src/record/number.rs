//! Exact numbers: the JSON text is kept, comparison goes by decimal digits, nothing passes through f64.

use std::cmp::Ordering;
use std::fmt;

/// A number in normal form: sign, digits without leading or trailing zeros, and the power of ten of the first
/// digit. `0.0`, `-0` and `0e9` are one value.
#[derive(Debug, Clone)]
pub struct Number {
    text: String,
    negative: bool,
    digits: Vec<u8>,
    /// `value = 0.d1d2d3... * 10^magnitude`
    magnitude: i64,
}

impl Number {
    /// Reads a number in JSON's form (RFC 8259 section 6); also accepts a leading `+` and leading zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty()
            || (mantissa.contains('.') && fraction.is_empty())
            || !all_digits(whole)
            || !all_digits(fraction)
        {
            return None;
        }
        let joined: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let Some(first) = joined.iter().position(|digit| *digit != b'0') else {
            return Some(Self { text: text.to_owned(), negative: false, digits: Vec::new(), magnitude: 0 });
        };
        let last = joined.iter().rposition(|digit| *digit != b'0').unwrap_or(first);
        let magnitude = i64::try_from(whole.len())
            .ok()?
            .checked_sub(i64::try_from(first).ok()?)?
            .checked_add(exponent)?;
        Some(Self { text: text.to_owned(), negative, digits: joined[first..=last].to_vec(), magnitude })
    }

    /// The text it was read from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number without exponent, leading `+` and needless zeros; `None` when that takes more than `most`
    /// digits.
    #[must_use]
    pub fn plain(&self, most: usize) -> Option<String> {
        if self.digits.is_empty() {
            return Some("0".to_owned());
        }
        let count = i64::try_from(self.digits.len()).ok()?;
        let length = usize::try_from(self.magnitude.max(count) - self.magnitude.min(0)).ok()?;
        if length > most {
            return None;
        }
        let digits = String::from_utf8_lossy(&self.digits);
        let padded = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let (whole, fraction) = match usize::try_from(self.magnitude) {
            Ok(at) if at >= digits.len() => {
                (format!("{digits}{}", padded(self.magnitude - count)), String::new())
            }
            Ok(at) if at > 0 => (digits[..at].to_owned(), digits[at..].to_owned()),
            _ => ("0".to_owned(), format!("{}{digits}", padded(-self.magnitude))),
        };
        let sign = if self.negative { "-" } else { "" };
        Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
    }

    /// Whether there is nothing behind the decimal point.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.digits.is_empty() || i64::try_from(self.digits.len()).is_ok_and(|count| count <= self.magnitude)
    }

    fn signum(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        let text = number.to_string();
        Self::parse(&text).unwrap_or(Self { text, negative: false, digits: Vec::new(), magnitude: 0 })
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = (self.signum(), other.signum());
        if mine != theirs {
            return mine.cmp(&theirs);
        }
        let size = self.magnitude.cmp(&other.magnitude).then_with(|| self.digits.cmp(&other.digits));
        if mine < 0 { size.reverse() } else { size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_plainly_up_to_a_length() {
        for (text, plain) in [
            ("5", "5"),
            ("-12.50", "-12.5"),
            ("+007", "7"),
            ("1e3", "1000"),
            ("1.5e-3", "0.0015"),
            ("0.1", "0.1"),
            ("-0e9", "0"),
            ("120", "120"),
        ] {
            assert_eq!(Number::parse(text).unwrap().plain(15).as_deref(), Some(plain), "{text}");
        }
        for long in ["1e15", "1e400", "1e-16", "1234567890123456", "0.1234567890123456"] {
            assert_eq!(Number::parse(long).unwrap().plain(15), None, "{long}");
        }
    }

    #[test]
    fn numbers_compare_by_value_whatever_their_spelling() {
        let ascending = [
            "-1e400",
            "-2",
            "-1.5",
            "-0",
            "0.00",
            "0.1",
            "0.30000000000000004",
            "1",
            "9007199254740993",
            "1e400",
        ];
        for pair in ascending.windows(2) {
            let (low, high) = (Number::parse(pair[0]).unwrap(), Number::parse(pair[1]).unwrap());
            assert!(low <= high, "{low} {high}");
        }
        assert_eq!(Number::parse("100"), Number::parse("1.00e2"));
        assert_eq!(Number::parse("-0"), Number::parse("0.0"));
        assert_ne!(Number::parse("9007199254740993"), Number::parse("9007199254740992"));
        for wrong in ["", "-", "1.", ".5", "1e", "1x", "0x1", "NaN", "1e99999999999999999999"] {
            assert!(Number::parse(wrong).is_none(), "{wrong}");
        }
    }
}
