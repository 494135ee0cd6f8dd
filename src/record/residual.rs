//! Evaluates a filter on a record's JSON text, here.
//!
//! Semantics are SQL's: unknown where something compared is null, and only records for which the whole is true
//! pass. A comparison with empty text never meets null, also where empty text and null are one: such records
//! hold null. A field of several values is empty rather than null, so that what is asked of it is never unknown.
//! Only the fields that the filter reads are parsed, and number text is compared by its digits.

use std::borrow::Cow;
use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::value::RawValue;
use unicode_casefold::{Locale, UnicodeCaseFold, Variant};

use super::number::Number;
use super::pick::Picker;
use super::query::{Condition, Direction, Filter, OrderBy, Pattern, PatternPart, Test};
use super::typing::{read_date, read_time};
use super::value::{Value, ValueKind};
use super::{FieldPath, Record};
use crate::error::{Error, Result};

/// True, false, or unknown (`None`).
type Truth = Option<bool>;

/// A filter made ready for many records.
#[derive(Debug, Clone)]
pub struct Residual {
    root: Node,
    picker: Picker,
}

#[derive(Debug, Clone)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Is(Box<Leaf>),
}

#[derive(Debug, Clone)]
struct Leaf {
    condition: Condition,
    slot: usize,
    other: usize,
    matcher: Option<Matcher>,
}

impl Residual {
    /// Prepares a filter.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        let mut paths = Vec::new();
        let root = prepare(filter, &mut paths);
        Self { root, picker: Picker::new(&paths) }
    }

    /// Whether the filter is true for a record.
    ///
    /// # Errors
    /// `Protocol` when the record's JSON is not in the form of its type.
    pub fn matches(&self, record: &Record) -> Result<bool> {
        self.matches_json(record.text())
    }

    /// Whether the filter is true for a record's JSON text.
    ///
    /// # Errors
    /// As for [`Residual::matches`].
    pub fn matches_json(&self, json: &str) -> Result<bool> {
        Ok(truth(&self.root, &self.picker.pick(json)?)? == Some(true))
    }
}

fn prepare(filter: &Filter, paths: &mut Vec<FieldPath>) -> Node {
    let mut slot = |path: &FieldPath| {
        paths.iter().position(|known| known == path).unwrap_or_else(|| {
            paths.push(path.clone());
            paths.len() - 1
        })
    };
    match filter {
        Filter::And(parts) => Node::And(parts.iter().map(|part| prepare(part, paths)).collect()),
        Filter::Or(parts) => Node::Or(parts.iter().map(|part| prepare(part, paths)).collect()),
        Filter::Not(inner) => Node::Not(Box::new(prepare(inner, paths))),
        Filter::Is(condition) => {
            let mut condition = condition.clone();
            let at = slot(&condition.path);
            let other = match &condition.test {
                Test::CompareField(_, other) => slot(other),
                _ => at,
            };
            if !condition.case_sensitive {
                fold_literals(&mut condition.test);
            }
            let matcher = match &condition.test {
                Test::Like { pattern, .. } => Some(Matcher::new(pattern)),
                _ => None,
            };
            Node::Is(Box::new(Leaf { condition, slot: at, other, matcher }))
        }
    }
}

fn fold(text: &str) -> String {
    text.case_fold_with(Variant::Simple, Locale::NonTurkic).collect()
}

fn fold_literals(test: &mut Test) {
    let each = |value: &mut Value| {
        if let Value::Text(text) = value {
            *text = fold(text);
        }
    };
    match test {
        Test::Compare(_, value) | Test::Contains { value, .. } => each(value),
        Test::In { values, .. } => values.iter_mut().for_each(each),
        Test::SameSet { values, .. } => {
            values.iter_mut().for_each(each);
            values.sort();
            values.dedup();
        }
        Test::Between { low, high, .. } => {
            each(low);
            each(high);
        }
        Test::Like { pattern, .. } => {
            for part in &mut pattern.0 {
                if let PatternPart::Literal(text) = part {
                    *text = fold(text);
                }
            }
        }
        Test::IsNull | Test::IsNotNull | Test::CompareField(..) => {}
    }
}

fn truth(node: &Node, values: &[Option<&str>]) -> Result<Truth> {
    let all = |parts: &[Node], absorbing: bool| {
        let mut unknown = false;
        for part in parts {
            match truth(part, values)? {
                Some(found) if found == absorbing => return Ok(Some(absorbing)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { None } else { Some(!absorbing) })
    };
    match node {
        Node::And(parts) => all(parts, false),
        Node::Or(parts) => all(parts, true),
        Node::Not(inner) => Ok(truth(inner, values)?.map(|found| !found)),
        Node::Is(leaf) => leaf.truth(values),
    }
}

impl Leaf {
    fn truth(&self, values: &[Option<&str>]) -> Result<Truth> {
        let raw = values.get(self.slot).copied().flatten();
        if self.condition.multi_value {
            return self.many(raw);
        }
        if let Test::IsNull | Test::IsNotNull = self.condition.test {
            let empty = self.condition.empty_is_null && raw.is_some_and(|raw| raw == "\"\"");
            let null = raw.is_none() || empty;
            return Ok(Some(null == (self.condition.test == Test::IsNull)));
        }
        let Some(value) = self.read(raw, &self.condition.path)? else {
            // An empty list is decided without looking at the field.
            return Ok(match &self.condition.test {
                Test::In { values, negated } if values.is_empty() => Some(*negated),
                _ => None,
            });
        };
        Ok(match &self.condition.test {
            Test::Compare(comparison, literal) => value.compare(literal).map(|order| comparison.holds(order)),
            Test::CompareField(comparison, path) => {
                let other = self.read(values.get(self.other).copied().flatten(), path)?;
                other.map(|other| comparison.holds(value.cmp(&other)))
            }
            Test::Like { negated, .. } => match (&self.matcher, &value) {
                (Some(matcher), Held::Text(text)) => Some(matcher.matches(text) != *negated),
                _ => None,
            },
            Test::In { values, negated } => {
                Some(values.iter().any(|literal| value.compare(literal) == Some(Ordering::Equal)) != *negated)
            }
            Test::Between { low, high, negated } => match (value.compare(low), value.compare(high)) {
                (Some(low), Some(high)) => Some((low.is_ge() && high.is_le()) != *negated),
                _ => None,
            },
            Test::IsNull | Test::IsNotNull | Test::Contains { .. } | Test::SameSet { .. } => None,
        })
    }

    fn many(&self, raw: Option<&str>) -> Result<Truth> {
        let wrong = || {
            Error::protocol(format!("{} is not a list", self.condition.path))
                .with_field(self.condition.path.to_string(), "a JSON array is expected")
        };
        let items: Vec<&RawValue> = match raw {
            None => Vec::new(),
            Some(raw) => serde_json::from_str(raw).map_err(|source| wrong().with_source(source))?,
        };
        let mut held = Vec::with_capacity(items.len());
        for item in &items {
            held.extend(self.read(Some(item.get()).filter(|item| *item != "null"), &self.condition.path)?);
        }
        Ok(Some(match &self.condition.test {
            Test::IsNull => held.is_empty(),
            Test::IsNotNull => !held.is_empty(),
            Test::Contains { value, negated } => {
                held.iter().any(|held| held.compare(value) == Some(Ordering::Equal)) != *negated
            }
            Test::SameSet { values, negated } => {
                held.sort();
                held.dedup();
                let same = held.len() == values.len()
                    && values
                        .iter()
                        .all(|value| held.iter().any(|held| held.compare(value) == Some(Ordering::Equal)));
                same != *negated
            }
            _ => return Ok(None),
        }))
    }

    fn read<'a>(&self, raw: Option<&'a str>, path: &FieldPath) -> Result<Option<Held<'a>>> {
        let Some(raw) = raw else { return Ok(None) };
        let held = Held::read(raw, self.condition.kind, path)?;
        Ok(match held {
            Held::Text(text) if text.is_empty() && self.condition.empty_is_null => None,
            Held::Text(text) if !self.condition.case_sensitive => Some(Held::Text(Cow::Owned(fold(&text)))),
            other => Some(other),
        })
    }
}

/// A value of a record, read as its field's kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Held<'a> {
    Text(Cow<'a, str>),
    Boolean(bool),
    Number(Number),
    Date(jiff::civil::Date),
    Instant(Timestamp),
    Time(jiff::civil::Time),
}

impl<'a> Held<'a> {
    fn read(raw: &'a str, kind: ValueKind, path: &FieldPath) -> Result<Self> {
        let json = raw;
        let wrong = || {
            let shown: String = json.chars().take(60).collect();
            Error::protocol(format!("{path} holds {shown}, which is not a {}", kind.name()))
                .with_field(path.to_string(), "the value is not in the form of its type")
        };
        let text = || -> Result<Cow<'a, str>> {
            // Without escapes the text between the quotes is the value.
            if let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
                && !inner.contains('\\')
            {
                return Ok(Cow::Borrowed(inner));
            }
            serde_json::from_str::<String>(json).map(Cow::Owned).map_err(|source| wrong().with_source(source))
        };
        Ok(match kind {
            ValueKind::Text => Self::Text(text()?),
            ValueKind::Boolean => match json {
                "true" => Self::Boolean(true),
                "false" => Self::Boolean(false),
                _ => return Err(wrong()),
            },
            ValueKind::Number => {
                let digits = if json.starts_with('"') { text()? } else { Cow::Borrowed(json) };
                Self::Number(Number::parse(&digits).ok_or_else(wrong)?)
            }
            ValueKind::Date => Self::Date(read_date(&text()?).ok_or_else(wrong)?),
            ValueKind::Instant => Self::Instant(text()?.parse().map_err(|_| wrong())?),
            ValueKind::Time => Self::Time(read_time(&text()?).ok_or_else(wrong)?),
        })
    }

    fn compare(&self, literal: &Value) -> Option<Ordering> {
        Some(match (self, literal) {
            (Self::Text(held), Value::Text(literal)) => held.as_ref().cmp(literal.as_str()),
            (Self::Boolean(held), Value::Boolean(literal)) => held.cmp(literal),
            (Self::Number(held), Value::Number(literal)) => held.cmp(literal),
            (Self::Date(held), Value::Date(literal)) => held.cmp(literal),
            (Self::Instant(held), Value::Instant(literal)) => held.cmp(literal),
            (Self::Time(held), Value::Time(literal)) => held.cmp(literal),
            _ => return None,
        })
    }

    fn into_owned(self) -> Held<'static> {
        match self {
            Self::Text(text) => Held::Text(Cow::Owned(text.into_owned())),
            Self::Boolean(flag) => Held::Boolean(flag),
            Self::Number(number) => Held::Number(number),
            Self::Date(date) => Held::Date(date),
            Self::Instant(instant) => Held::Instant(instant),
            Self::Time(time) => Held::Time(time),
        }
    }
}

/// A pattern made ready for many texts.
#[derive(Debug, Clone)]
struct Matcher(Vec<Piece>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Character(char),
    One,
    Run,
}

impl Matcher {
    fn new(pattern: &Pattern) -> Self {
        let mut pieces = Vec::new();
        for part in &pattern.0 {
            match part {
                PatternPart::Literal(text) => pieces.extend(text.chars().map(Piece::Character)),
                PatternPart::AnyOne => pieces.push(Piece::One),
                PatternPart::AnyRun if pieces.last() == Some(&Piece::Run) => {}
                PatternPart::AnyRun => pieces.push(Piece::Run),
            }
        }
        Self(pieces)
    }

    /// Goes back to the latest run only, which is enough: time is at most the product of both lengths.
    fn matches(&self, text: &str) -> bool {
        let pieces = &self.0;
        let mut rest = text.chars();
        let mut at = 0;
        let mut back: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            if pieces.get(at) == Some(&Piece::Run) {
                at += 1;
                if at == pieces.len() {
                    return true;
                }
                back = Some((at, rest.clone()));
                continue;
            }
            let mut ahead = rest.clone();
            match (ahead.next(), pieces.get(at)) {
                (None, None) => return true,
                (Some(character), Some(piece))
                    if *piece == Piece::One || *piece == Piece::Character(character) =>
                {
                    rest = ahead;
                    at += 1;
                }
                _ => {
                    let Some((resume, from)) = &mut back else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    rest = from.clone();
                    at = *resume;
                }
            }
        }
    }
}

/// An order made ready for many records: text by code point, nulls first ascending and last descending, keys
/// break ties ascending.
#[derive(Debug, Clone)]
pub struct Ordered {
    keys: Vec<(FieldPath, Direction, ValueKind, bool)>,
    picker: Picker,
}

/// What a record is ordered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rank(Vec<(Option<Held<'static>>, Direction)>);

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        for ((mine, direction), (theirs, _)) in self.0.iter().zip(&other.0) {
            let order = mine.cmp(theirs);
            let order = if *direction == Direction::Desc { order.reverse() } else { order };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }
}

impl Ordered {
    /// Prepares an order over fields of these kinds; `empty_is_null` says whether empty text ranks as null.
    #[must_use]
    pub fn new(order: &[OrderBy], kind_of: impl Fn(&FieldPath) -> (ValueKind, bool)) -> Self {
        let paths: Vec<FieldPath> = order.iter().map(|key| key.field.clone()).collect();
        let keys = order
            .iter()
            .map(|key| {
                let (kind, empty_is_null) = kind_of(&key.field);
                (key.field.clone(), key.direction, kind, empty_is_null)
            })
            .collect();
        Self { keys, picker: Picker::new(&paths) }
    }

    /// The rank of a record.
    ///
    /// # Errors
    /// `Protocol` when the record's JSON is not in the form of its type.
    pub fn rank(&self, record: &Record) -> Result<Rank> {
        let values = self.picker.pick(record.text())?;
        self.keys
            .iter()
            .zip(values)
            .map(|((path, direction, kind, empty_is_null), raw)| {
                let held = raw.map(|raw| Held::read(raw, *kind, path)).transpose()?;
                let held = held.filter(|held| !(*empty_is_null && *held == Held::Text(Cow::Borrowed(""))));
                Ok((held.map(Held::into_owned), *direction))
            })
            .collect::<Result<Vec<_>>>()
            .map(Rank)
    }
}
