//! Typed values: what a literal in a filter becomes once it is read as its field's type.

use std::fmt;

use jiff::{Timestamp, civil};

use super::number::Number;

/// One value of a known type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Text, picklist values and references.
    Text(String),
    /// A boolean.
    Boolean(bool),
    /// A number, exact.
    Number(Number),
    /// A calendar date.
    Date(civil::Date),
    /// An instant.
    Instant(Timestamp),
    /// A time of day.
    Time(civil::Time),
}

impl fmt::Display for Value {
    /// As a SQL literal, so that conditions print as they could have been written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Boolean(flag) => write!(f, "{}", if *flag { "TRUE" } else { "FALSE" }),
            Self::Number(number) => write!(f, "{number}"),
            Self::Date(date) => write!(f, "'{date}'"),
            Self::Instant(instant) => write!(f, "'{instant}'"),
            Self::Time(time) => write!(f, "'{time}'"),
        }
    }
}

/// The kinds that values and fields compare as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// Text compared by code point.
    Text,
    /// True or false.
    Boolean,
    /// Exact number.
    Number,
    /// Calendar date.
    Date,
    /// Instant.
    Instant,
    /// Time of day.
    Time,
}

impl ValueKind {
    /// The kind as an error message names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::Date => "date",
            Self::Instant => "instant",
            Self::Time => "time of day",
        }
    }

    /// The written form that a value of this kind takes.
    #[must_use]
    pub fn accepted_form(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Boolean => "true or false",
            Self::Number => "a number such as 12.50",
            Self::Date => "a date such as 2026-01-31",
            Self::Instant => "an instant such as 2026-01-31T09:30:00Z, or a date",
            Self::Time => "a time such as 09:30:00",
        }
    }
}
