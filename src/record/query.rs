//! Queries: what to read, under which conditions, in which order.
//!
//! A [`Filter`] is always typed: every literal has been read as the type of its field, every path resolved.
//! It is made from JSON rule groups ([`crate::record::rules`]) or SQL text ([`crate::record::where_text`]), and
//! never loses a condition on the way.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::FieldPath;
use super::value::{Value, ValueKind};

/// A search, typed against a record type.
#[derive(Debug, Clone)]
pub struct Query {
    /// Paths to return; empty means every field of the read schema.
    pub select: Vec<FieldPath>,
    /// Conditions; `None` matches everything.
    pub filter: Option<Filter>,
    /// One condition in the provider's own filter language.
    pub native: Option<String>,
    /// Order, most significant first.
    pub order_by: Vec<OrderBy>,
    /// Most records to return.
    pub limit: Option<u64>,
    /// Page size to ask the provider for.
    pub page_size: Option<u32>,
    /// Whether deleted records are included.
    pub include_deleted: bool,
    /// Conditions that were switched off by `muted`, as text, for explain.
    pub muted: Vec<String>,
    /// Zone in which a date becomes an instant.
    pub timezone: TimeZone,
    /// The moment that relative values refer to, fixed once.
    pub now: Timestamp,
}

impl Query {
    /// Everything, with relative moments fixed at `now`.
    #[must_use]
    pub fn all(now: Timestamp) -> Self {
        Self {
            select: Vec::new(),
            filter: None,
            native: None,
            order_by: Vec::new(),
            limit: None,
            page_size: None,
            include_deleted: false,
            muted: Vec::new(),
            timezone: TimeZone::UTC,
            now,
        }
    }
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBy {
    /// The field to order by.
    pub field: FieldPath,
    /// Which way. Nulls come first ascending, last descending.
    #[serde(default)]
    pub direction: Direction,
}

/// Which way an order goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smallest first.
    #[default]
    Asc,
    /// Largest first.
    Desc,
}

/// Conditions, combined. Semantics are SQL's: a comparison with null is unknown, NOT unknown is unknown, and
/// only records for which the whole is true are returned.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them; an empty list is true.
    And(Vec<Filter>),
    /// Any of them; an empty list is false.
    Or(Vec<Filter>),
    /// Not.
    Not(Box<Filter>),
    /// One condition.
    Is(Condition),
}

/// One typed condition on one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The field.
    pub path: FieldPath,
    /// The kind that the field's values compare as.
    pub kind: ValueKind,
    /// Whether the field holds several values.
    pub multi_value: bool,
    /// Whether empty text and null are one here.
    pub empty_is_null: bool,
    /// False compares text by Unicode simple case folding.
    pub case_sensitive: bool,
    /// What is asked of it.
    pub test: Test,
}

/// What a condition asks of its field.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Null, or an empty list.
    IsNull,
    /// Neither null nor an empty list.
    IsNotNull,
    /// Compared with one value.
    Compare(Comparison, Value),
    /// Compared with another field of the same kind.
    CompareField(Comparison, FieldPath),
    /// Text that matches a pattern (LIKE; contains, begins with, ends with), or does not.
    Like {
        /// The pattern.
        pattern: Pattern,
        /// Whether it must not match.
        negated: bool,
    },
    /// One of several values, or none of them. An empty list is false, or true when negated.
    In {
        /// The values.
        values: Vec<Value>,
        /// Whether it must be none of them.
        negated: bool,
    },
    /// Between two values, both included; or outside.
    Between {
        /// Lower end.
        low: Value,
        /// Upper end.
        high: Value,
        /// Whether it must lie outside.
        negated: bool,
    },
    /// For a field of several values: one value is among them, or is not. An empty field contains nothing.
    Contains {
        /// The value looked for.
        value: Value,
        /// Whether it must not be among them.
        negated: bool,
    },
    /// For a field of several values: exactly this set, or another one.
    SameSet {
        /// The values, without duplicates.
        values: Vec<Value>,
        /// Whether the sets must differ.
        negated: bool,
    },
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// As SQL writes it.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether an ordering fulfils it.
    #[must_use]
    pub fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// The operator with its sides exchanged.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

/// A text pattern: literal pieces, "any run" and "any one character".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub Vec<PatternPart>);

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternPart {
    /// This text, exactly.
    Literal(String),
    /// Any number of characters (`%`).
    AnyRun,
    /// Exactly one character (`_`).
    AnyOne,
}

impl fmt::Display for Pattern {
    /// As a LIKE literal with backslash as its escape.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self
            .0
            .iter()
            .map(|part| match part {
                PatternPart::Literal(text) => {
                    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('\'', "''")
                }
                PatternPart::AnyRun => "%".to_owned(),
                PatternPart::AnyOne => "_".to_owned(),
            })
            .collect();
        write!(f, "'{text}' ESCAPE '\\'")
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let list = |values: &[Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let path = &self.path;
        match &self.test {
            Test::IsNull => write!(f, "{path} IS NULL"),
            Test::IsNotNull => write!(f, "{path} IS NOT NULL"),
            Test::Compare(comparison, value) => write!(f, "{path} {} {value}", comparison.symbol()),
            Test::CompareField(comparison, other) => write!(f, "{path} {} {other}", comparison.symbol()),
            Test::Like { pattern, negated } => {
                let word = if self.case_sensitive { "LIKE" } else { "ILIKE" };
                write!(f, "{path} {}{word} {pattern}", not(negated))
            }
            Test::In { values, negated } => write!(f, "{path} {}IN ({})", not(negated), list(values)),
            Test::Between { low, high, negated } => {
                write!(f, "{path} {}BETWEEN {low} AND {high}", not(negated))
            }
            Test::Contains { value, negated } => {
                write!(f, "{path} {} {value}", if *negated { "DOES NOT CONTAIN" } else { "CONTAINS" })
            }
            Test::SameSet { values, negated } => {
                write!(f, "{path} {} ({})", if *negated { "!=" } else { "=" }, list(values))
            }
        }?;
        if !self.case_sensitive && !matches!(self.test, Test::Like { .. }) {
            f.write_str(" (ignoring case)")?;
        }
        Ok(())
    }
}

impl fmt::Display for Filter {
    /// As SQL, fully parenthesised where nested.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str, empty: &str| {
            if parts.is_empty() {
                return f.write_str(empty);
            }
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Filter::Is(condition) => write!(f, "{condition}")?,
                    Filter::Not(_) => write!(f, "{part}")?,
                    nested => write!(f, "({nested})")?,
                }
            }
            Ok(())
        };
        match self {
            Self::And(parts) => joined(f, parts, "AND", "TRUE"),
            Self::Or(parts) => joined(f, parts, "OR", "FALSE"),
            Self::Not(inner) => write!(f, "NOT ({inner})"),
            Self::Is(condition) => write!(f, "{condition}"),
        }
    }
}

/// Looks fields up by path while literals are being typed; implemented over a record type and what its
/// references lead to.
pub trait FieldSource {
    /// The field at the end of a path.
    fn field(&self, path: &FieldPath) -> Option<&super::Field>;

    /// Paths to suggest for one that leads nowhere: those of the type itself.
    fn known_paths(&self) -> Vec<String>;
}

impl FieldSource for super::RecordType {
    fn field(&self, path: &FieldPath) -> Option<&super::Field> {
        path.is_single().then(|| Self::field(self, path.leaf())).flatten()
    }

    fn known_paths(&self) -> Vec<String> {
        self.fields.iter().map(|field| field.name.clone()).collect()
    }
}
