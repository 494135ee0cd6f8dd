//! What a provider evaluates itself, asked of its own planner.

use jiff::Timestamp;

use super::{At, Records, Resolved};
use crate::record::query::{Comparison, Condition, Filter, Pattern, PatternPart, Test};
use crate::record::record_type::TextForm;
use crate::record::schema::{FilterSupport, Pushed};
use crate::record::value::{Value, ValueKind};
use crate::record::{Field, FieldPath, FieldType, Query};

impl From<At> for Pushed {
    fn from(at: At) -> Self {
        match at {
            At::Exact => Self::Exact,
            At::Superset => Self::Superset,
            At::Here => Self::Here,
        }
    }
}

/// Plans one condition for each question and reports where the plan evaluates it, so that a filter schema never
/// promises anything else than a search then does.
#[derive(Debug, Clone, Copy)]
pub struct PlannedSupport<'a> {
    records: &'a dyn Records,
    resolved: &'a Resolved,
}

impl<'a> PlannedSupport<'a> {
    /// Support as these records plan it. Paths through references must have been resolved.
    #[must_use]
    pub fn new(records: &'a dyn Records, resolved: &'a Resolved) -> Self {
        Self { records, resolved }
    }

    /// Where each of these conditions is evaluated when all have to hold.
    fn planned(&self, conditions: Vec<Condition>) -> Option<Vec<Pushed>> {
        let count = conditions.len();
        let filter = Filter::And(conditions.into_iter().map(Filter::Is).collect());
        let query = Query { filter: Some(filter), ..Query::all(Timestamp::UNIX_EPOCH) };
        let plan = self.records.plan(&query, self.resolved).ok()?;
        (plan.conditions.len() == count)
            .then(|| plan.conditions.iter().map(|condition| condition.at.into()).collect())
    }
}

impl FilterSupport for PlannedSupport<'_> {
    fn pushed(&self, path: &FieldPath, field: &Field, operator: &str) -> Pushed {
        self.pushed_all(path, field, &[operator]).first().copied().unwrap_or(Pushed::Here)
    }

    fn pushed_all(&self, path: &FieldPath, field: &Field, operators: &[&str]) -> Vec<Pushed> {
        let mut verdicts = vec![Pushed::Here; operators.len()];
        let Some(kind) = field.field_type.value_kind() else { return verdicts };
        let multi_value = field.field_type.is_multi_value();
        // The verdict may depend on the value; the schema tells the best that an ordinary one gets.
        for sample in samples(field, kind) {
            let (places, conditions): (Vec<usize>, Vec<Condition>) = operators
                .iter()
                .enumerate()
                .filter_map(|(place, operator)| {
                    let test = test(operator, sample.clone(), multi_value)?;
                    let condition = Condition {
                        path: path.clone(),
                        kind,
                        multi_value,
                        empty_is_null: field.empty_is_null,
                        case_sensitive: true,
                        test,
                    };
                    Some((place, condition))
                })
                .unzip();
            // One plan tells for all; where that cannot be planned, each is asked for alone.
            let found = self.planned(conditions.clone()).unwrap_or_else(|| {
                conditions
                    .into_iter()
                    .map(|condition| {
                        let alone = self.planned(vec![condition]);
                        alone.and_then(|verdicts| verdicts.first().copied()).unwrap_or(Pushed::Here)
                    })
                    .collect()
            });
            for (place, verdict) in places.into_iter().zip(found) {
                verdicts[place] = verdicts[place].min(verdict);
            }
        }
        verdicts
    }
}

/// Ordinary values of a field.
fn samples(field: &Field, kind: ValueKind) -> Vec<Value> {
    let text = |text: &str| Value::Text(text.to_owned());
    match (&field.field_type, kind) {
        (FieldType::Picklist(picklist) | FieldType::MultiPicklist { picklist, .. }, ValueKind::Text) => {
            let first = picklist.values.iter().find_map(|choice| choice.value.as_str());
            vec![text(first.unwrap_or("a"))]
        }
        // Some services compare only what has the form of their keys.
        (FieldType::Reference(_) | FieldType::Text { form: TextForm::Id, .. }, _) => {
            let examples = field.examples.iter().filter_map(|example| example.as_str());
            examples.chain(["a", "001000000000000AAA", "1"]).map(text).collect()
        }
        (_, ValueKind::Text) => vec![text("a")],
        (_, ValueKind::Boolean) => vec![Value::Boolean(true)],
        (_, ValueKind::Number) => vec![Value::Number(1.into())],
        (_, ValueKind::Date) => vec![Value::Date(jiff::civil::date(2026, 1, 31))],
        (_, ValueKind::Instant) => {
            Timestamp::from_second(1_769_850_000).map(Value::Instant).into_iter().collect()
        }
        (_, ValueKind::Time) => vec![Value::Time(jiff::civil::time(9, 30, 0, 0))],
    }
}

/// The condition behind an operator of rule groups.
fn test(operator: &str, value: Value, several: bool) -> Option<Test> {
    let like = |value: &Value, before: bool, after: bool, negated: bool| {
        let Value::Text(text) = value else { return None };
        let mut parts = vec![PatternPart::Literal(text.clone())];
        if before {
            parts.insert(0, PatternPart::AnyRun);
        }
        if after {
            parts.push(PatternPart::AnyRun);
        }
        Some(Test::Like { pattern: Pattern(parts), negated })
    };
    Some(match operator {
        "null" => Test::IsNull,
        "notNull" => Test::IsNotNull,
        "=" | "!=" if several => Test::SameSet { values: vec![value], negated: operator == "!=" },
        "contains" | "doesNotContain" if several => {
            Test::Contains { value, negated: operator == "doesNotContain" }
        }
        "=" => Test::Compare(Comparison::Equal, value),
        "!=" => Test::Compare(Comparison::NotEqual, value),
        "<" => Test::Compare(Comparison::Less, value),
        "<=" => Test::Compare(Comparison::LessOrEqual, value),
        ">" => Test::Compare(Comparison::Greater, value),
        ">=" => Test::Compare(Comparison::GreaterOrEqual, value),
        "in" | "notIn" => Test::In { values: vec![value], negated: operator == "notIn" },
        "between" | "notBetween" => {
            Test::Between { low: value.clone(), high: value, negated: operator == "notBetween" }
        }
        "contains" => return like(&value, true, true, false),
        "doesNotContain" => return like(&value, true, true, true),
        "beginsWith" => return like(&value, false, true, false),
        "doesNotBeginWith" => return like(&value, false, true, true),
        "endsWith" => return like(&value, true, false, false),
        "doesNotEndWith" => return like(&value, true, false, true),
        _ => return None,
    })
}
