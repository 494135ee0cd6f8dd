//! Reads the literals of a draft as the types of their fields.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::draft::{
    ConditionDraft, FilterDraft, Literal, LiteralValue, Moment, MomentBase, QueryDraft, Shift, ShiftUnit,
    TestDraft, TextPlace,
};
use super::nearest::{did_you_mean, nearest_few};
use super::number::Number;
use super::query::{Comparison, Condition, FieldSource, Filter, Pattern, PatternPart, Query, Test};
use super::rules::{relative_moment, split_commas};
use super::value::{Value, ValueKind};
use super::{Field, FieldPath, FieldType};
use crate::error::{Error, FieldError, Position, Result};

impl QueryDraft {
    /// Reads every literal as its field's type. Relative moments refer to `now`; dates become instants, and
    /// "today" is the day, in `timezone`.
    ///
    /// # Errors
    /// Invalid with the field, the place, and the accepted form or the nearest names.
    pub fn typed(&self, source: &dyn FieldSource, now: Timestamp, timezone: &TimeZone) -> Result<Query> {
        let typing = Typing { source, now, timezone };
        for path in self.select.iter().chain(self.order_by.iter().map(|key| &key.field)) {
            typing.field(path, None)?;
        }
        for key in &self.order_by {
            let field = typing.field(&key.field, None)?;
            if field.field_type.value_kind().is_none() || field.field_type.is_multi_value() {
                return Err(Error::invalid(format!("cannot order by {}", key.field))
                    .with_field(key.field.to_string(), "it does not hold one comparable value"));
            }
        }
        let mut parts = [&self.filter, &self.where_text]
            .into_iter()
            .flatten()
            .map(|draft| typing.filter(draft))
            .collect::<Result<Vec<_>>>()?;
        let filter = match parts.len() {
            0 | 1 => parts.pop(),
            _ => Some(Filter::And(parts)),
        };
        Ok(Query {
            select: self.select.clone(),
            filter,
            native: self.native.clone(),
            order_by: self.order_by.clone(),
            limit: self.limit,
            page_size: self.page_size,
            include_deleted: self.include_deleted,
            muted: self.muted.clone(),
            timezone: timezone.clone(),
            now,
        })
    }
}

/// The error for a path that leads nowhere, with the nearest names.
#[must_use]
pub fn unknown_field(path: &FieldPath, known: &[String]) -> Error {
    let name = path.to_string();
    let near = nearest_few(&name, known.iter().map(|known| (known.as_str(), known.as_str())));
    let error = Error::invalid(format!("there is no field {name}"));
    let error = match did_you_mean(&near) {
        Some(question) => error.with_advice(question),
        None => error,
    };
    error.with_field_error(FieldError {
        field: name,
        message: "there is no such field".to_owned(),
        accepted: near.into_iter().map(str::to_owned).collect(),
    })
}

struct Typing<'a> {
    source: &'a dyn FieldSource,
    now: Timestamp,
    timezone: &'a TimeZone,
}

/// What a condition's literals are read for.
struct Target<'a> {
    path: &'a FieldPath,
    kind: ValueKind,
    /// Zone in which a date or a local time becomes an instant of the field.
    zone: &'a TimeZone,
    /// Whether the field's instants are clock times without a zone.
    floating: bool,
}

impl Target<'_> {
    fn refuse(&self, message: impl Into<String>, position: &Position) -> Error {
        let message = message.into();
        Error::invalid(format!("{}: {message}", self.path)).with_position(position.clone()).with_field_error(
            FieldError {
                field: self.path.to_string(),
                message,
                accepted: vec![self.kind.accepted_form().to_owned()],
            },
        )
    }
}

impl Typing<'_> {
    fn field(&self, path: &FieldPath, position: Option<&Position>) -> Result<&Field> {
        self.source.field(path).ok_or_else(|| {
            let error = unknown_field(path, &self.source.known_paths());
            match position {
                Some(position) => error.with_position(position.clone()),
                None => error,
            }
        })
    }

    fn filter(&self, draft: &FilterDraft) -> Result<Filter> {
        let each =
            |parts: &[FilterDraft]| parts.iter().map(|part| self.filter(part)).collect::<Result<Vec<_>>>();
        Ok(match draft {
            FilterDraft::And(parts) => Filter::And(each(parts)?),
            FilterDraft::Or(parts) => Filter::Or(each(parts)?),
            FilterDraft::Not(inner) => Filter::Not(Box::new(self.filter(inner)?)),
            FilterDraft::Is(condition) => Filter::Is(self.condition(condition)?),
        })
    }

    fn condition(&self, draft: &ConditionDraft) -> Result<Condition> {
        let path = &draft.path;
        let field = self.field(path, Some(&draft.position))?;
        let multi_value = field.field_type.is_multi_value();
        let refuse = |message: &str, advice: &str| {
            let error = Error::invalid(format!("{path}: {message}"))
                .with_position(draft.position.clone())
                .with_field(path.to_string(), message);
            Err(if advice.is_empty() { error } else { error.with_advice(advice) })
        };
        let null_test = matches!(draft.test, TestDraft::IsNull { .. });
        let kind = match field.field_type.value_kind() {
            Some(kind) => kind,
            // Nothing of the value is looked at but whether it is there.
            None if null_test => ValueKind::Text,
            None => {
                let parts = match &field.field_type {
                    FieldType::Object { fields } => {
                        fields.iter().map(|part| format!("{path}.{}", part.name)).collect()
                    }
                    _ => Vec::new(),
                };
                let advice = if parts.is_empty() {
                    "IS NULL and IS NOT NULL are accepted".to_owned()
                } else {
                    format!("Compare one of its parts: {}", parts.join(", "))
                };
                return refuse("its values cannot be compared", &advice);
            }
        };
        let zone = if field.floating { &TimeZone::UTC } else { self.timezone };
        let target = Target { path, kind, zone, floating: field.floating };
        let test = if multi_value { self.multi(draft, &target)? } else { self.single(draft, &target)? };
        Ok(Condition {
            path: path.clone(),
            kind,
            multi_value,
            empty_is_null: field.empty_is_null,
            case_sensitive: draft.case_sensitive || kind != ValueKind::Text,
            test,
        })
    }

    fn single(&self, draft: &ConditionDraft, target: &Target<'_>) -> Result<Test> {
        let kind = target.kind;
        let needs_text = |what: &str| {
            if kind == ValueKind::Text {
                return Ok(());
            }
            Err(target
                .refuse(format!("{what} needs a text field, and this is a {}", kind.name()), &draft.position)
                .with_advice("Compare with =, !=, <, <=, >, >=, IN or BETWEEN"))
        };
        let needs_order = || {
            if kind == ValueKind::Boolean {
                return Err(target
                    .refuse("true and false have no order", &draft.position)
                    .with_advice("Compare with = or !="));
            }
            Ok(())
        };
        let ordered = |comparison: &Comparison| match comparison {
            Comparison::Equal | Comparison::NotEqual => Ok(()),
            _ => needs_order(),
        };
        Ok(match &draft.test {
            TestDraft::IsNull { negated: false } => Test::IsNull,
            TestDraft::IsNull { negated: true } => Test::IsNotNull,
            TestDraft::Compare(comparison, literal) => {
                ordered(comparison)?;
                Test::Compare(*comparison, self.value(literal, target)?)
            }
            TestDraft::CompareField(comparison, other) => {
                ordered(comparison)?;
                let field = self.field(other, Some(&draft.position))?;
                if field.field_type.is_multi_value() || field.field_type.value_kind() != Some(kind) {
                    let theirs = match field.field_type.value_kind() {
                        Some(_) if field.field_type.is_multi_value() => "a list",
                        Some(theirs) => theirs.name(),
                        None => "not comparable",
                    };
                    return Err(Error::invalid(format!(
                        "{} ({}) cannot be compared with {other} ({theirs})",
                        target.path,
                        kind.name()
                    ))
                    .with_position(draft.position.clone())
                    .with_field(other.to_string(), "it is of another kind"));
                }
                Test::CompareField(*comparison, other.clone())
            }
            TestDraft::Like { pattern, negated } => {
                needs_text("LIKE")?;
                Test::Like { pattern: pattern.clone(), negated: *negated }
            }
            TestDraft::Holds { place, value, negated } => {
                needs_text("a search inside the text")?;
                let Value::Text(text) = self.value(value, target)? else {
                    return Err(target.refuse("a text is needed here", &value.position));
                };
                Test::Like { pattern: held(*place, text), negated: *negated }
            }
            TestDraft::In { values, negated } => Test::In {
                values: values.iter().map(|value| self.value(value, target)).collect::<Result<_>>()?,
                negated: *negated,
            },
            TestDraft::Between { low, high, negated } => {
                needs_order()?;
                Test::Between {
                    low: self.value(low, target)?,
                    high: self.value(high, target)?,
                    negated: *negated,
                }
            }
        })
    }

    fn multi(&self, draft: &ConditionDraft, target: &Target<'_>) -> Result<Test> {
        const ADVICE: &str = "A field of several values knows the rule operators contains, doesNotContain, null, \
                              notNull, = and != (exactly this set); in SQL IS NULL, IS NOT NULL, = and !=";
        Ok(match &draft.test {
            TestDraft::IsNull { negated: false } => Test::IsNull,
            TestDraft::IsNull { negated: true } => Test::IsNotNull,
            TestDraft::Holds { place: TextPlace::Anywhere, value, negated } => {
                Test::Contains { value: self.value(value, target)?, negated: *negated }
            }
            TestDraft::Compare(comparison @ (Comparison::Equal | Comparison::NotEqual), literal) => {
                let mut values: Vec<Value> = match &literal.value {
                    LiteralValue::List(items) => {
                        items.iter().map(|item| self.value(item, target)).collect::<Result<_>>()?
                    }
                    LiteralValue::Loose(text) => split_commas(text)
                        .into_iter()
                        .map(|text| {
                            let item = Literal {
                                value: LiteralValue::Loose(text),
                                position: literal.position.clone(),
                            };
                            self.value(&item, target)
                        })
                        .collect::<Result<_>>()?,
                    _ => vec![self.value(literal, target)?],
                };
                values.sort();
                values.dedup();
                Test::SameSet { values, negated: *comparison == Comparison::NotEqual }
            }
            _ => {
                return Err(Error::invalid(format!(
                    "{} holds several values and cannot be asked this",
                    target.path
                ))
                .with_position(draft.position.clone())
                .with_field(target.path.to_string(), "it holds several values")
                .with_advice(ADVICE));
            }
        })
    }

    /// Reads one literal as a kind.
    fn value(&self, literal: &Literal, target: &Target<'_>) -> Result<Value> {
        let position = &literal.position;
        let wrong = || {
            target.refuse(
                format!(
                    "{} is not a value for it; it takes {}",
                    shown(&literal.value),
                    target.kind.accepted_form()
                ),
                position,
            )
        };
        match (&literal.value, target.kind) {
            (LiteralValue::List(_), _) => Err(target
                .refuse("a list is only for fields of several values", position)
                .with_advice("Use the operator in to compare with several values")),
            (LiteralValue::Moment(moment), kind) => self.moment(moment, kind, target, position),
            (LiteralValue::Loose(text) | LiteralValue::Text(text), ValueKind::Text) => {
                Ok(Value::Text(text.clone()))
            }
            (LiteralValue::Boolean(flag), ValueKind::Boolean) => Ok(Value::Boolean(*flag)),
            (LiteralValue::Loose(text), ValueKind::Boolean) => match text.trim() {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err(wrong()),
            },
            (LiteralValue::Number(text), ValueKind::Number) => {
                Number::parse(text).map(Value::Number).ok_or_else(wrong)
            }
            (LiteralValue::Loose(text), ValueKind::Number) => {
                Number::parse(text.trim()).map(Value::Number).ok_or_else(wrong)
            }
            (
                LiteralValue::Loose(text) | LiteralValue::Text(text),
                kind @ (ValueKind::Date | ValueKind::Instant | ValueKind::Time),
            ) => {
                let loose = matches!(literal.value, LiteralValue::Loose(_));
                if loose && let Some(moment) = relative_moment(text.trim()) {
                    return self.moment(&moment, kind, target, position);
                }
                let text = if loose { text.trim() } else { text.as_str() };
                match kind {
                    ValueKind::Date => match read_date(text) {
                        Some(date) => Ok(Value::Date(date)),
                        None if read_instant(text, target.zone).is_some() => Err(target
                            .refuse("a date cannot be compared with an instant", position)
                            .with_advice(format!(
                                "Write the date alone: '{}'",
                                text.get(..10).unwrap_or(text)
                            ))),
                        None => Err(wrong()),
                    },
                    ValueKind::Instant => match read_date(text) {
                        Some(date) => midnight(date, target.zone).map(Value::Instant).ok_or_else(wrong),
                        None => read_instant(text, target.zone).map(Value::Instant).ok_or_else(wrong),
                    },
                    _ => read_time(text).map(Value::Time).ok_or_else(wrong),
                }
            }
            (LiteralValue::Text(text), kind @ (ValueKind::Number | ValueKind::Boolean)) => {
                let error = wrong();
                let bare = match kind {
                    ValueKind::Number => Number::parse(text).is_some(),
                    _ => matches!(text.to_ascii_lowercase().as_str(), "true" | "false"),
                };
                Err(if bare { error.with_advice(format!("Write {text} without quotes")) } else { error })
            }
            (LiteralValue::Number(text), ValueKind::Text) => {
                Err(wrong().with_advice(format!("Write '{text}' as a text, in quotes")))
            }
            _ => Err(wrong()),
        }
    }

    fn moment(
        &self,
        moment: &Moment,
        kind: ValueKind,
        target: &Target<'_>,
        position: &Position,
    ) -> Result<Value> {
        let too_far = || target.refuse("this moment is beyond the calendar", position);
        let today = self.now.to_zoned(self.timezone.clone()).date();
        match (kind, moment.base) {
            (ValueKind::Date, MomentBase::Today) => {
                if moment.shifts.iter().any(|shift| shift.unit.is_time()) {
                    return Err(target
                        .refuse("a date moves by days, weeks, months or years", position)
                        .with_advice("Use a unit of at least a day"));
                }
                let date = moment
                    .shifts
                    .iter()
                    .try_fold(today, |date, shift| span(*shift).and_then(|span| date.checked_add(span).ok()));
                date.map(Value::Date).ok_or_else(too_far)
            }
            (ValueKind::Date, MomentBase::Now) => Err(target
                .refuse("a date cannot be compared with the instant now", position)
                .with_advice("Use today")),
            (ValueKind::Instant, base) => {
                let now = self.now.to_zoned(self.timezone.clone());
                let start = match base {
                    MomentBase::Now if target.floating => now.datetime().to_zoned(TimeZone::UTC).ok(),
                    MomentBase::Now => Some(now),
                    MomentBase::Today => today.to_zoned(target.zone.clone()).ok(),
                };
                let moved = moment.shifts.iter().try_fold(start.ok_or_else(too_far)?, |zoned, shift| {
                    if shift.unit.is_time() {
                        let seconds = shift.count.checked_mul(match shift.unit {
                            ShiftUnit::Hour => 3_600,
                            ShiftUnit::Minute => 60,
                            _ => 1,
                        })?;
                        zoned.checked_add(SignedDuration::from_secs(seconds)).ok()
                    } else {
                        zoned.checked_add(span(*shift)?).ok()
                    }
                });
                moved.map(|zoned| Value::Instant(zoned.timestamp())).ok_or_else(too_far)
            }
            (kind, _) => {
                Err(target
                    .refuse(format!("now and today are moments, and this is a {}", kind.name()), position))
            }
        }
    }
}

fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    date.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

/// An RFC 3339 date-time; without an offset it is in `zone`, as a form's date-time field gives it.
fn read_instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let dated = bytes.len() > 10 && read_date(text.get(..10)?).is_some();
    if !dated || !matches!(bytes[10], b'T' | b't' | b' ') || text.contains('[') {
        return None;
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        let zoned = local.to_zoned(zone.clone()).ok()?;
        // A text with an offset that the first reading refused must not lose it here.
        let plain =
            bytes[10..].iter().all(|byte| matches!(byte, b'T' | b't' | b' ' | b'0'..=b'9' | b':' | b'.'));
        plain.then(|| zoned.timestamp())
    })
}

fn span(shift: Shift) -> Option<Span> {
    let new = Span::new();
    match shift.unit {
        ShiftUnit::Day => new.try_days(shift.count).ok(),
        ShiftUnit::Week => new.try_weeks(shift.count).ok(),
        ShiftUnit::Month => new.try_months(shift.count).ok(),
        ShiftUnit::Quarter => new.try_months(shift.count.checked_mul(3)?).ok(),
        ShiftUnit::Year => new.try_years(shift.count).ok(),
        ShiftUnit::Second | ShiftUnit::Minute | ShiftUnit::Hour => None,
    }
}

fn held(place: TextPlace, text: String) -> Pattern {
    let mut parts = Vec::new();
    if place != TextPlace::Beginning {
        parts.push(PatternPart::AnyRun);
    }
    if !text.is_empty() {
        parts.push(PatternPart::Literal(text));
    }
    if place != TextPlace::End {
        parts.push(PatternPart::AnyRun);
    }
    Pattern(parts)
}

/// A date is exactly `YYYY-MM-DD` (RFC 3339 full-date).
pub(crate) fn read_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if shaped { text.parse().ok() } else { None }
}

/// A time of day is `HH:MM[:SS[.fraction]]`, with or without a `Z`.
pub(crate) fn read_time(text: &str) -> Option<Time> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let bytes = text.as_bytes();
    let shaped = bytes.len() >= 5
        && bytes[2] == b':'
        && bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    if shaped { text.parse().ok() } else { None }
}

fn shown(value: &LiteralValue) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    let cut: String = text.chars().take(57).collect();
    format!("{cut}...")
}
