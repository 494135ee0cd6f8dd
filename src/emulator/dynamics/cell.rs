//! One stored value and its forms on the wire.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::describe::{Column, Kind};
use super::guid;
use crate::emulator::json::write_string;

/// One value of one column of one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    /// Integers, big integers and choices.
    Integer(i64),
    Decimal(Decimal),
    Double(f64),
    Text(Cow<'static, str>),
    Date(Date),
    /// Seconds since 1970.
    Instant(i64),
    Guid(u128),
    /// A row of another table.
    Ref {
        table: usize,
        id: u128,
    },
    /// Values of a multi-select choice, ascending.
    Choices(Vec<i64>),
}

impl Cell {
    /// A text; the empty one is null.
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

    pub(super) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn as_ref(&self) -> Option<(usize, u128)> {
        match self {
            Self::Ref { table, id } => Some((*table, *id)),
            _ => None,
        }
    }

    /// Appends the JSON form of rows.
    pub(super) fn write_json(&self, column: &Column, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(on) => out.push_str(if *on { "true" } else { "false" }),
            Self::Integer(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Decimal(number) => {
                // Money is stored with four decimals whatever its precision.
                let places = if column.kind == Kind::Money { 4 } else { column.precision as usize };
                let _ = write!(out, "{number:.places$}");
            }
            Self::Double(number) => out.push_str(&double(*number)),
            Self::Text(text) => write_string(text, out),
            Self::Choices(values) => {
                out.push('"');
                write_choices(values, out);
                out.push('"');
            }
            Self::Date(_) | Self::Instant(_) | Self::Guid(_) | Self::Ref { .. } => {
                out.push('"');
                out.push_str(&self.plain());
                out.push('"');
            }
        }
    }

    /// The value as plain text, without quotes; empty for null.
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Boolean(on) => on.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number) => number.normalize().to_string(),
            Self::Double(number) => double(*number),
            Self::Text(text) => text.to_string(),
            Self::Date(date) => date.to_string(),
            Self::Instant(seconds) => instant(*seconds),
            Self::Guid(id) | Self::Ref { id, .. } => guid::text(*id),
            Self::Choices(values) => {
                let mut out = String::new();
                write_choices(values, &mut out);
                out
            }
        }
    }
}

fn write_choices(values: &[i64], out: &mut String) {
    for (number, value) in values.iter().enumerate() {
        let _ = write!(out, "{}{value}", if number > 0 { "," } else { "" });
    }
}

fn double(number: f64) -> String {
    serde_json::Number::from_f64(number).map_or_else(|| "0.0".to_owned(), |number| number.to_string())
}

/// `2023-04-07T21:59:01Z`.
pub(super) fn instant(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// What a form would show, in the user's language and formats; `None` where there is nothing to add.
pub(super) fn formatted(cell: &Cell, column: &Column) -> Option<String> {
    let label = |value: i64| {
        column.options.iter().find(|option| option.value == value).map(|option| option.label.clone())
    };
    Some(match cell {
        Cell::Boolean(on) => {
            label(i64::from(*on)).unwrap_or_else(|| if *on { "Yes" } else { "No" }.to_owned())
        }
        Cell::Integer(value) if column.kind.is_choice() => label(*value)?,
        Cell::Integer(value) => grouped(&value.to_string()),
        Cell::Decimal(number) if column.kind == Kind::Money => {
            let places = column.precision as usize;
            let digits = grouped(&format!("{:.places$}", number.abs()));
            if number.is_sign_negative() { format!("-${digits}") } else { format!("${digits}") }
        }
        Cell::Decimal(number) => {
            let places = column.precision as usize;
            grouped(&format!("{number:.places$}"))
        }
        Cell::Double(number) => {
            let places = column.precision as usize;
            grouped(&format!("{number:.places$}"))
        }
        Cell::Choices(values) => {
            values.iter().filter_map(|value| label(*value)).collect::<Vec<_>>().join("; ")
        }
        Cell::Date(date) => date.strftime("%-m/%-d/%Y").to_string(),
        Cell::Instant(seconds) => {
            let moment = Timestamp::from_second(*seconds).ok()?;
            let pattern = if column.date_format { "%-m/%-d/%Y" } else { "%-m/%-d/%Y %-I:%M %p" };
            moment.strftime(pattern).to_string()
        }
        Cell::Null | Cell::Text(_) | Cell::Guid(_) | Cell::Ref { .. } => return None,
    })
}

/// Digits with a comma before each three.
fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    let (whole, rest) = number.find('.').map_or((number, ""), |at| number.split_at(at));
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}
