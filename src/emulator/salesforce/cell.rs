//! One stored value and its forms on the wire.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use rust_decimal::Decimal;

pub(super) use crate::emulator::json::write_string;

/// One value of one field of one row. Compound values are not stored; their parts are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    Number(Decimal),
    /// Text, picklist values, ids, base64.
    Text(Cow<'static, str>),
    Date(Date),
    /// Milliseconds since 1970.
    Instant(i64),
    /// Milliseconds since midnight.
    Time(u32),
}

impl Cell {
    pub(super) fn text(value: impl Into<Cow<'static, str>>) -> Self {
        let value = value.into();
        if value.is_empty() { Self::Null } else { Self::Text(value) }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Appends the JSON form of REST replies.
    pub(super) fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(true) => out.push_str("true"),
            Self::Boolean(false) => out.push_str("false"),
            Self::Number(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Text(text) => write_string(text, out),
            Self::Date(date) => {
                out.push('"');
                write_date(*date, out);
                out.push('"');
            }
            Self::Instant(ms) => {
                out.push('"');
                write_instant(*ms, out);
                out.push('"');
            }
            Self::Time(ms) => {
                out.push('"');
                write_time(*ms, out);
                out.push('"');
            }
        }
    }

    /// The value as plain text, without quotes; empty for null.
    pub(super) fn plain(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Null => {}
            Self::Date(date) => write_date(*date, &mut out),
            Self::Instant(ms) => write_instant(*ms, &mut out),
            Self::Time(ms) => write_time(*ms, &mut out),
            other => other.write_json(&mut out),
        }
        out
    }
}

fn write_date(date: Date, out: &mut String) {
    push_digits(out, i64::from(date.year()), 4);
    out.push('-');
    push_digits(out, i64::from(date.month()), 2);
    out.push('-');
    push_digits(out, i64::from(date.day()), 2);
}

/// `2022-03-17T16:21:26.000+0000`, the form of REST replies.
pub(super) fn write_instant(ms: i64, out: &mut String) {
    let stamp = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let civil = Offset::UTC.to_datetime(stamp);
    write_date(civil.date(), out);
    out.push('T');
    push_digits(out, i64::from(civil.hour()), 2);
    out.push(':');
    push_digits(out, i64::from(civil.minute()), 2);
    out.push(':');
    push_digits(out, i64::from(civil.second()), 2);
    out.push('.');
    push_digits(out, i64::from(civil.millisecond()), 3);
    out.push_str("+0000");
}

fn write_time(ms: u32, out: &mut String) {
    let ms = i64::from(ms);
    push_digits(out, ms / 3_600_000, 2);
    out.push(':');
    push_digits(out, ms / 60_000 % 60, 2);
    out.push(':');
    push_digits(out, ms / 1_000 % 60, 2);
    out.push('.');
    push_digits(out, ms % 1_000, 3);
    out.push('Z');
}

fn push_digits(out: &mut String, value: i64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut rest = value.unsigned_abs();
    let mut at = digits.len();
    while rest > 0 || digits.len() - at < width {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.push_str(str::from_utf8(&digits[at..]).unwrap_or_default());
}
