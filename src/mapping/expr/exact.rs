//! Decimal numbers that are computed with exactly or not at all.

use std::cmp::Ordering;
use std::fmt;

use crate::record::number::Number;

/// Most digits that are computed with.
pub(super) const MOST_DIGITS: usize = 38;

/// A decimal number: digits, and how many of them stand behind the point.
#[derive(Debug, Clone, Copy)]
pub(in crate::mapping) struct Exact {
    digits: i128,
    scale: u32,
}

impl Exact {
    /// A whole number.
    pub(super) fn whole(number: i128) -> Self {
        Self { digits: number, scale: 0 }
    }

    /// Reads a number; `None` when it is none or has too many digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = Number::parse(text)?.plain(MOST_DIGITS)?;
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { digits, scale: u32::try_from(fraction.len()).ok()? })
    }

    /// Without needless zeros behind the point.
    fn trimmed(mut self) -> Self {
        while self.scale > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    /// Both with equally many digits behind the point.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let widened = |number: Self| number.digits.checked_mul(10_i128.checked_pow(scale - number.scale)?);
        Some((widened(self)?, widened(other)?, scale))
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let (one, two, scale) = self.aligned(other)?;
        Some(Self { digits: one.checked_add(two)?, scale }.trimmed())
    }

    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated()?)
    }

    pub(super) fn negated(self) -> Option<Self> {
        Some(Self { digits: self.digits.checked_neg()?, ..self })
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        let (one, two) = (self.trimmed(), other.trimmed());
        Some(Self { digits: one.digits.checked_mul(two.digits)?, scale: one.scale + two.scale }.trimmed())
    }

    /// The rest of a division; its sign is that of the dividend, as in CEL.
    pub(super) fn remainder(self, other: Self) -> Option<Self> {
        let (one, two, scale) = self.aligned(other)?;
        Some(Self { digits: one.checked_rem(two)?, scale }.trimmed())
    }

    /// The quotient when it has an end.
    pub(super) fn over(self, other: Self) -> Option<Self> {
        let (mut one, two, _) = self.aligned(other)?;
        let mut scale = 0;
        while one.checked_rem(two)? != 0 {
            one = one.checked_mul(10)?;
            scale += 1;
        }
        Some(Self { digits: one / two, scale }.trimmed())
    }

    /// The quotient at so many digits behind the point, halves away from zero.
    pub(super) fn over_at(self, other: Self, places: u32) -> Option<Self> {
        let (one, two, _) = self.aligned(other)?;
        let widened = one.checked_mul(10_i128.checked_pow(places)?)?;
        let (quotient, rest) = (widened.checked_div(two)?, widened.checked_rem(two)?);
        let half = rest.unsigned_abs() >= two.unsigned_abs().div_ceil(2);
        let away = if (one < 0) == (two < 0) { 1 } else { -1 };
        let digits = if half { quotient.checked_add(away)? } else { quotient };
        Some(Self { digits, scale: places }.trimmed())
    }

    /// The number as a whole one, if it is.
    pub(super) fn as_whole(self) -> Option<i128> {
        let trimmed = self.trimmed();
        (trimmed.scale == 0).then_some(trimmed.digits)
    }

    pub(super) fn is_zero(self) -> bool {
        self.digits == 0
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (self.trimmed(), other.trimmed());
        (one.digits, one.scale) == (two.digits, two.scale)
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if let Some((one, two, _)) = self.aligned(*other) {
            return one.partial_cmp(&two);
        }
        // So far apart that the digits do not align: the whole parts tell.
        let whole = |number: &Self| 10_i128.checked_pow(number.scale).map_or(0, |unit| number.digits / unit);
        whole(self).partial_cmp(&whole(other))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = self.digits.unsigned_abs().to_string();
        let scale = usize::try_from(self.scale).unwrap_or(0);
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::Exact;

    fn number(text: &str) -> Exact {
        Exact::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_exact_or_refused() {
        let shown = |number: Option<Exact>| number.map(|number| number.to_string());
        assert_eq!(shown(number("0.1").plus(number("0.2"))).as_deref(), Some("0.3"));
        assert_eq!(shown(number("1.005").times(number("100"))).as_deref(), Some("100.5"));
        assert_eq!(shown(number("1").over(number("8"))).as_deref(), Some("0.125"));
        assert_eq!(shown(number("1").over(number("3"))), None);
        assert_eq!(shown(number("1").over(number("0"))), None);
        assert_eq!(shown(number("2").over_at(number("3"), 2)).as_deref(), Some("0.67"));
        assert_eq!(shown(number("-1").over_at(number("8"), 2)).as_deref(), Some("-0.13"));
        assert_eq!(shown(number("1").over_at(number("3"), 0)).as_deref(), Some("0"));
        assert_eq!(shown(number("-7").remainder(number("3"))).as_deref(), Some("-1"));
        assert_eq!(shown(number("9e30").times(number("9e30"))), None);
        assert_eq!(Exact::parse("1e400").map(|_| ()), None);
        assert_eq!(shown(Exact::parse("-0.050")).as_deref(), Some("-0.05"));
        assert!(number("1e30") > number("0.00000000000000000000000000000001"));
        assert!(number("-1e30") < number("0.00000000000000000000000000000001"));
        assert!(number("1.50") == number("1.5") && number("2") < number("10"));
    }
}
