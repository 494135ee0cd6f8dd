//! Queries as they are written, before their literals are read as the types of their fields.
//!
//! WHERE text ([`super::where_text`]) and rule groups ([`super::rules`]) become a [`FilterDraft`]; a
//! [`QueryDraft`] joins them with the rest of a query, and [`QueryDraft::typed`] makes the
//! [`Query`](super::Query) of it.

use std::fmt;

use serde_json::Value as Json;

use super::query::{Comparison, Direction, OrderBy, Pattern};
use super::{FieldPath, rules, where_text};
use crate::error::{Error, Position, Result};

/// A query as its user wrote it. Build it from JSON ([`QueryDraft::from_json`]) or set the fields. `filter`,
/// `where_text` and `native` all have to hold.
#[derive(Debug, Clone, Default)]
pub struct QueryDraft {
    /// Paths to return; empty means every field of the read schema.
    pub select: Vec<FieldPath>,
    /// A rule group, read.
    pub filter: Option<FilterDraft>,
    /// WHERE text, read.
    pub where_text: Option<FilterDraft>,
    /// One condition in the provider's own filter language.
    pub native: Option<String>,
    /// Order, most significant first.
    pub order_by: Vec<OrderBy>,
    /// Most records to return.
    pub limit: Option<u64>,
    /// Page size to ask the provider for.
    pub page_size: Option<u32>,
    /// Text of the cursor to go on at.
    pub cursor: Option<String>,
    /// Whether deleted records are included.
    pub include_deleted: bool,
    /// Conditions that were switched off by `muted`, as text.
    pub muted: Vec<String>,
}

impl QueryDraft {
    /// Reads the whole query document.
    ///
    /// # Errors
    /// Invalid with a JSON pointer for an unknown key or a wrong value, with line and column inside `where`.
    pub fn from_json(document: &Json) -> Result<Self> {
        let Json::Object(members) = document else {
            return Err(Error::invalid("a query is a JSON object").with_position(at("")));
        };
        let mut draft = Self::default();
        for (name, value) in members {
            let here = || at(&format!("/{}", rules::pointer_token(name)));
            let wrong = |form: &str| Error::invalid(format!("{name:?} takes {form}")).with_position(here());
            let whole = || value.as_u64().ok_or_else(|| wrong("a whole number from 0"));
            if value.is_null() {
                continue;
            }
            match name.as_str() {
                "select" => {
                    let items = value.as_array().ok_or_else(|| wrong("a list of field names"))?;
                    draft.select = items
                        .iter()
                        .enumerate()
                        .map(|(index, item)| match item.as_str() {
                            Some(text) if !text.is_empty() => Ok(FieldPath::parse(text)),
                            _ => Err(Error::invalid("\"select\" takes a list of field names")
                                .with_position(at(&format!("/select/{index}")))),
                        })
                        .collect::<Result<_>>()?;
                }
                "filter" => {
                    let parsed = rules::parse_at(value, "/filter")?;
                    draft.muted = parsed.muted;
                    draft.filter = Some(parsed.filter);
                }
                "where" => {
                    let text = value.as_str().ok_or_else(|| wrong("a SQL condition as text"))?;
                    draft.where_text = Some(where_text::parse(text)?);
                }
                "native" => {
                    let text = value.as_str().ok_or_else(|| wrong("a condition as text"))?;
                    draft.native = Some(text.to_owned());
                }
                "order_by" => draft.order_by = order_from_json(value)?,
                "limit" => draft.limit = Some(whole()?),
                "page_size" => {
                    let size = u32::try_from(whole()?).ok().filter(|size| *size > 0);
                    draft.page_size = Some(size.ok_or_else(|| wrong("a whole number from 1"))?);
                }
                "cursor" => {
                    draft.cursor = Some(value.as_str().ok_or_else(|| wrong("a cursor's text"))?.to_owned());
                }
                "include_deleted" => {
                    draft.include_deleted = value.as_bool().ok_or_else(|| wrong("true or false"))?;
                }
                other => {
                    return Err(Error::invalid(format!("a query has no {other:?}"))
                        .with_position(here())
                        .with_advice(
                            "A query has: select, filter, where, native, order_by, limit, page_size, cursor, \
                             include_deleted",
                        ));
                }
            }
        }
        Ok(draft)
    }

    /// Reads the short form of an order: `A desc,B`.
    ///
    /// # Errors
    /// Invalid when a part is not a path with an optional `asc` or `desc`.
    pub fn parse_order(text: &str) -> Result<Vec<OrderBy>> {
        text.split(',')
            .map(|part| {
                let mut words = part.split_whitespace();
                let wrong = || {
                    Error::invalid(format!("cannot read the order {:?}", part.trim()))
                        .with_advice("Write fields with an optional direction: \"A desc,B\"")
                };
                let field = words.next().ok_or_else(wrong)?;
                let direction = match words.next().map(str::to_ascii_lowercase).as_deref() {
                    None | Some("asc") => Direction::Asc,
                    Some("desc") => Direction::Desc,
                    Some(_) => return Err(wrong()),
                };
                match words.next() {
                    None => Ok(OrderBy { field: FieldPath::parse(field), direction }),
                    Some(_) => Err(wrong()),
                }
            })
            .collect()
    }

    /// Reads the short form of a selection: `A,B.C`.
    ///
    /// # Errors
    /// Invalid when a name is missing.
    pub fn parse_select(text: &str) -> Result<Vec<FieldPath>> {
        text.split(',')
            .map(|part| match part.trim() {
                "" => Err(Error::invalid(format!("a field name is missing in {text:?}"))),
                name => Ok(FieldPath::parse(name)),
            })
            .collect()
    }

    /// Every path that has to be resolved before the query can be typed, each once.
    #[must_use]
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut out = self.select.clone();
        for filter in [&self.filter, &self.where_text].into_iter().flatten() {
            filter.collect_paths(&mut out);
        }
        out.extend(self.order_by.iter().map(|key| key.field.clone()));
        let mut seen = std::collections::BTreeSet::new();
        out.retain(|path| seen.insert(path.clone()));
        out
    }

    /// Whether something narrows the search. Updates and deletes by condition refuse a query that does not.
    #[must_use]
    pub fn narrows(&self) -> bool {
        self.native.is_some()
            || [&self.filter, &self.where_text].into_iter().flatten().any(|filter| !filter.always_true())
    }
}

fn at(pointer: &str) -> Position {
    Position::Pointer(pointer.to_owned())
}

fn order_from_json(value: &Json) -> Result<Vec<OrderBy>> {
    const FORM: &str = "\"order_by\" takes a list such as [{\"field\":\"Name\",\"direction\":\"desc\"}]";
    let items = value.as_array().ok_or_else(|| Error::invalid(FORM).with_position(at("/order_by")))?;
    let mut order = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let wrong = |name: &str| Error::invalid(FORM).with_position(at(&format!("/order_by/{index}{name}")));
        let members = item.as_object().ok_or_else(|| wrong(""))?;
        let mut field = None;
        let mut direction = Direction::Asc;
        for (name, value) in members {
            match (name.as_str(), value.as_str()) {
                ("field", Some(text)) if !text.is_empty() => field = Some(FieldPath::parse(text)),
                ("direction", Some("asc")) => direction = Direction::Asc,
                ("direction", Some("desc")) => direction = Direction::Desc,
                _ => return Err(wrong(&format!("/{}", rules::pointer_token(name)))),
            }
        }
        order.push(OrderBy { field: field.ok_or_else(|| wrong(""))?, direction });
    }
    Ok(order)
}

/// Conditions as written, combined.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterDraft {
    /// All of them; an empty list is true.
    And(Vec<FilterDraft>),
    /// Any of them; an empty list is false.
    Or(Vec<FilterDraft>),
    /// Not.
    Not(Box<FilterDraft>),
    /// One condition.
    Is(ConditionDraft),
}

impl FilterDraft {
    fn collect_paths(&self, out: &mut Vec<FieldPath>) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.collect_paths(out)),
            Self::Not(inner) => inner.collect_paths(out),
            Self::Is(condition) => {
                out.push(condition.path.clone());
                if let TestDraft::CompareField(_, other) = &condition.test {
                    out.push(other.clone());
                }
            }
        }
    }

    /// Whether it holds for every record whatever the data.
    #[must_use]
    pub fn always_true(&self) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(Self::always_true),
            Self::Or(parts) => parts.iter().any(Self::always_true),
            Self::Not(inner) => inner.always_false(),
            Self::Is(_) => false,
        }
    }

    fn always_false(&self) -> bool {
        match self {
            Self::And(parts) => parts.iter().any(Self::always_false),
            Self::Or(parts) => parts.iter().all(Self::always_false),
            Self::Not(inner) => inner.always_true(),
            Self::Is(_) => false,
        }
    }
}

/// One condition as written.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionDraft {
    /// The field.
    pub path: FieldPath,
    /// Where it was written.
    pub position: Position,
    /// False compares text by Unicode simple case folding.
    pub case_sensitive: bool,
    /// What is asked of the field.
    pub test: TestDraft,
}

/// What a condition asks of its field, as written.
#[derive(Debug, Clone, PartialEq)]
pub enum TestDraft {
    /// Null, or an empty list.
    IsNull {
        /// Or the opposite.
        negated: bool,
    },
    /// Compared with one value; a field of several values with a set.
    Compare(Comparison, Literal),
    /// Compared with another field.
    CompareField(Comparison, FieldPath),
    /// LIKE.
    Like {
        /// The pattern.
        pattern: Pattern,
        /// Whether it must not match.
        negated: bool,
    },
    /// Holds a piece of text; for a field of several values, holds a value.
    Holds {
        /// Where in the text.
        place: TextPlace,
        /// The text, or the value.
        value: Literal,
        /// Whether it must not.
        negated: bool,
    },
    /// One of several values, or none of them.
    In {
        /// The values.
        values: Vec<Literal>,
        /// Whether it must be none of them.
        negated: bool,
    },
    /// Between two values, both included; or outside.
    Between {
        /// Lower end.
        low: Literal,
        /// Upper end.
        high: Literal,
        /// Whether it must lie outside.
        negated: bool,
    },
}

/// Where in a text a piece must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPlace {
    /// Anywhere.
    Anywhere,
    /// At the beginning.
    Beginning,
    /// At the end.
    End,
}

/// A literal and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// The value.
    pub value: LiteralValue,
    /// Where.
    pub position: Position,
}

/// A literal before it is read as its field's type.
#[derive(Debug, Clone, PartialEq)]
pub enum LiteralValue {
    /// Text that a form field gave: it may stand for a value of any kind, relative moments included.
    Loose(String),
    /// Text that is text, a date, an instant or a time.
    Text(String),
    /// A number's text.
    Number(String),
    /// A boolean.
    Boolean(bool),
    /// A set of values.
    List(Vec<Literal>),
    /// A moment relative to the start of the search.
    Moment(Moment),
}

/// A relative moment: `now()`, `today()`, and shifts applied one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// What is shifted.
    pub base: MomentBase,
    /// Shifts in the order written.
    pub shifts: Vec<Shift>,
}

/// What a relative moment starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MomentBase {
    /// The instant at which the search started.
    Now,
    /// The day on which it started, in the query's zone.
    Today,
}

/// A signed number of units of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// How many; negative goes back.
    pub count: i64,
    /// Of what.
    pub unit: ShiftUnit,
}

/// Units of a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShiftUnit {
    /// Seconds.
    Second,
    /// Minutes.
    Minute,
    /// Hours.
    Hour,
    /// Days of the calendar.
    Day,
    /// Weeks.
    Week,
    /// Months.
    Month,
    /// Quarters of a year.
    Quarter,
    /// Years.
    Year,
}

impl ShiftUnit {
    /// Whether it is finer than a day.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Self::Second | Self::Minute | Self::Hour)
    }
}

impl fmt::Display for LiteralValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loose(text) | Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Self::Number(text) => f.write_str(text),
            Self::Boolean(flag) => f.write_str(if *flag { "TRUE" } else { "FALSE" }),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.value.to_string()).collect();
                write!(f, "({})", items.join(", "))
            }
            Self::Moment(moment) => {
                f.write_str(match moment.base {
                    MomentBase::Now => "now()",
                    MomentBase::Today => "today()",
                })?;
                moment.shifts.iter().try_for_each(|shift| {
                    let sign = if shift.count < 0 { '-' } else { '+' };
                    let unit = format!("{:?}", shift.unit).to_ascii_uppercase();
                    write!(f, " {sign} INTERVAL '{}' {unit}", shift.count.unsigned_abs())
                })
            }
        }
    }
}

impl fmt::Display for FilterDraft {
    /// As SQL, fully parenthesised where nested.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str, empty: &str| {
            if parts.is_empty() {
                return f.write_str(empty);
            }
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Self::Is(_) | Self::Not(_) => write!(f, "{part}")?,
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

impl fmt::Display for ConditionDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let path = &self.path;
        match &self.test {
            TestDraft::IsNull { negated } => write!(f, "{path} IS {}NULL", not(negated)),
            TestDraft::Compare(comparison, literal) => {
                write!(f, "{path} {} {}", comparison.symbol(), literal.value)
            }
            TestDraft::CompareField(comparison, other) => {
                write!(f, "{path} {} {other}", comparison.symbol())
            }
            TestDraft::Like { pattern, negated } => {
                let word = if self.case_sensitive { "LIKE" } else { "ILIKE" };
                write!(f, "{path} {}{word} {pattern}", not(negated))
            }
            TestDraft::Holds { place, value, negated } => {
                let word = match place {
                    TextPlace::Anywhere => "CONTAINS",
                    TextPlace::Beginning => "BEGINS WITH",
                    TextPlace::End => "ENDS WITH",
                };
                write!(f, "{path} {}{word} {}", not(negated), value.value)
            }
            TestDraft::In { values, negated } => {
                let values: Vec<String> = values.iter().map(|value| value.value.to_string()).collect();
                write!(f, "{path} {}IN ({})", not(negated), values.join(", "))
            }
            TestDraft::Between { low, high, negated } => {
                write!(f, "{path} {}BETWEEN {} AND {}", not(negated), low.value, high.value)
            }
        }
    }
}
