//! Formulas in the Common Expression Language. `parse.rs` reads them (grammar in `cel.pest`), `check.rs` gives every part
//! a type over the source's fields, `evaluate.rs` computes. Numbers are exact decimals (`exact.rs`): what would lose a
//! digit is refused. There are no loops but the macros over lists, and a budget bounds those.
//!
//! CEL's own crates were looked at and not taken: their numbers are floats, nothing checks types before the run, and
//! positions get lost (`docs/dependencies.md`).

mod check;
mod evaluate;
mod exact;
mod functions;
mod parse;

pub(super) use check::{Names, Typed, check};
pub(super) use evaluate::{Halt, compute};
pub(super) use parse::{names_value, paths};

use super::shape::{Kind, Shape};
use crate::record::FieldType;

/// The type of a part of a formula.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// Null alone, which goes with every other.
    Null,
    /// Of an empty list's elements.
    Any,
    Boolean,
    /// A number; whether it is known to be whole.
    Number {
        whole: bool,
    },
    Text,
    Instant,
    Date,
    Time,
    Duration,
    List(Box<Type>),
    Record(Vec<(String, Type)>),
}

impl Type {
    pub(super) const WHOLE: Self = Self::Number { whole: true };
    pub(super) const NUMBER: Self = Self::Number { whole: false };

    /// The type of a value of a shape; `None` for what formulas do not look into.
    pub(super) fn of(shape: &Shape) -> Option<Self> {
        Some(match shape.kind() {
            Kind::Text
            | Kind::Html
            | Kind::Markdown
            | Kind::Adf
            | Kind::Choice
            | Kind::Reference
            | Kind::ClockTime
            | Kind::Json => Self::Text,
            Kind::Boolean => Self::Boolean,
            Kind::Integer | Kind::LongInteger | Kind::NumberedChoice => Self::WHOLE,
            Kind::Decimal => Self::NUMBER,
            Kind::Date => Self::Date,
            Kind::Instant => Self::Instant,
            Kind::Time => Self::Time,
            Kind::List | Kind::Choices => Self::List(Box::new(Self::of(&shape.element()?)?)),
            Kind::Object => {
                let FieldType::Object { fields } = &shape.field_type else { return None };
                let parts =
                    fields.iter().filter_map(|part| Some((part.name.clone(), Self::of(&Shape::of(part))?)));
                Self::Record(parts.collect())
            }
            Kind::Masked | Kind::Content | Kind::Bytes => return None,
        })
    }

    /// The shape of a value of this type; `None` for what no field holds.
    pub(super) fn shape(&self) -> Option<Shape> {
        Some(match self {
            Self::Boolean => Shape::new(FieldType::Boolean),
            Self::Number { whole: true } => Shape::new(FieldType::Integer { minimum: None, maximum: None }),
            Self::Number { whole: false } => Shape::new(FieldType::Decimal { precision: None, scale: None }),
            Self::Text | Self::Null | Self::Any => Shape::text(),
            Self::Instant => Shape::new(FieldType::Instant),
            Self::Date => Shape::new(FieldType::Date),
            Self::Time => Shape::new(FieldType::Time),
            Self::List(element) => element.shape()?.list_of(),
            Self::Duration | Self::Record(_) => return None,
        })
    }

    /// The type of what may be of either; `None` when there is none.
    pub(super) fn either(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Null | Self::Any, known) | (known, Self::Null | Self::Any) => Some(known.clone()),
            (Self::Number { whole: one }, Self::Number { whole: two }) => {
                Some(Self::Number { whole: *one && *two })
            }
            (Self::List(one), Self::List(two)) => Some(Self::List(Box::new(one.either(two)?))),
            (one, two) if one == two => Some(one.clone()),
            _ => None,
        }
    }

    /// As people call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Any => "anything".to_owned(),
            Self::Boolean => "a boolean".to_owned(),
            Self::Number { whole: true } => "a whole number".to_owned(),
            Self::Number { whole: false } => "a number".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Instant => "an instant".to_owned(),
            Self::Date => "a date".to_owned(),
            Self::Time => "a time of day".to_owned(),
            Self::Duration => "a duration".to_owned(),
            Self::List(element) => format!("a list ({})", element.name()),
            Self::Record(_) => "an object".to_owned(),
        }
    }
}
