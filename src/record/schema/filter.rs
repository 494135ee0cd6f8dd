//! The filter schema: what can be compared with what, and who does it.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::property::Place;
use super::tree::{Node, arrange};
use super::{Document, SchemaOptions, SchemaPurpose, title_of};
use crate::record::query::FieldSource;
use crate::record::value::ValueKind;
use crate::record::{Field, FieldPath, RecordType};

/// Who evaluates a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pushed {
    /// The provider, exactly.
    Exact,
    /// The provider returns those that fulfil it and maybe more; evaluated here again.
    Superset,
    /// Evaluated here alone.
    Here,
}

/// Tells for a path and an operator (one of [`operators`]) who evaluates such a condition.
pub trait FilterSupport {
    /// Who evaluates it.
    fn pushed(&self, path: &FieldPath, field: &Field, operator: &str) -> Pushed;

    /// The same for several operators, in their order.
    fn pushed_all(&self, path: &FieldPath, field: &Field, operators: &[&str]) -> Vec<Pushed> {
        operators.iter().map(|operator| self.pushed(path, field, operator)).collect()
    }
}

impl<F: Fn(&FieldPath, &Field, &str) -> Pushed> FilterSupport for F {
    fn pushed(&self, path: &FieldPath, field: &Field, operator: &str) -> Pushed {
        self(path, field, operator)
    }
}

/// Nothing is known to be pushed: every condition is evaluated here.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingPushed;

impl FilterSupport for NothingPushed {
    fn pushed(&self, _: &FieldPath, _: &Field, _: &str) -> Pushed {
        Pushed::Here
    }
}

/// The operators of rule groups that fit a field; empty for one that does not compare.
#[must_use]
pub fn operators(field: &Field) -> &'static [&'static str] {
    let Some(kind) = field.field_type.value_kind() else { return &[] };
    if field.field_type.is_multi_value() {
        return &["contains", "doesNotContain", "=", "!=", "null", "notNull"];
    }
    match kind {
        ValueKind::Boolean => &["=", "!=", "null", "notNull"],
        ValueKind::Text => &[
            "=",
            "!=",
            "<",
            "<=",
            ">",
            ">=",
            "contains",
            "doesNotContain",
            "beginsWith",
            "doesNotBeginWith",
            "endsWith",
            "doesNotEndWith",
            "null",
            "notNull",
            "in",
            "notIn",
            "between",
            "notBetween",
        ],
        ValueKind::Number | ValueKind::Date | ValueKind::Instant | ValueKind::Time => {
            &["=", "!=", "<", "<=", ">", ">=", "null", "notNull", "in", "notIn", "between", "notBetween"]
        }
    }
}

/// The filter schema: one property per field that compares, and one per path in `paths` (across references),
/// each with the schema of one comparison value. Because what a provider cannot evaluate is evaluated here, a
/// field's own `filterable` flag does not matter; `support` says who does it.
///
/// A path through a reference becomes a property with `__` for its dots; the metadata's `path` is what rules
/// and SQL name.
#[must_use]
pub fn filter_schema(
    record_type: &RecordType,
    paths: &[FieldPath],
    source: &(impl FieldSource + ?Sized),
    support: &dyn FilterSupport,
    options: &SchemaOptions,
) -> Json {
    let own = record_type.fields.iter().map(|field| (FieldPath::of([field.name.as_str()]), field.clone()));
    let beyond = paths.iter().filter(|path| !path.is_single()).filter_map(|path| {
        let mut field = source.field(path)?.clone();
        field.label = beyond_label(record_type, path, &field);
        field.name = path.segments().join("__");
        Some((path.clone(), field))
    });
    let fields: Vec<(FieldPath, Field)> =
        own.chain(beyond).filter(|(_, field)| !operators(field).is_empty()).collect();
    let place = Place::root(SchemaPurpose::Filter, options);
    let mut nodes: Vec<Node> = Vec::with_capacity(fields.len());
    for (path, field) in &fields {
        if nodes.iter().any(|node| node.name == field.name) {
            continue;
        }
        let mut node = Node::of(record_type, field, path.to_string(), &place);
        node.element = None;
        node.children.clear();
        let list = operators(field);
        node.meta.insert("operators".into(), json!(list));
        let verdicts: Vec<(&str, Pushed)> =
            list.iter().copied().zip(support.pushed_all(path, field, list)).collect();
        let usual = verdicts.first().map_or(Pushed::Here, |(_, pushed)| *pushed);
        node.meta.insert("pushed".into(), json!(usual));
        let others: serde_json::Map<String, Json> = verdicts
            .into_iter()
            .filter(|(_, pushed)| *pushed != usual)
            .map(|(operator, pushed)| (operator.to_owned(), json!(pushed)))
            .collect();
        if !others.is_empty() {
            node.meta.insert("pushedFor".into(), Json::Object(others));
        }
        let kind = field.field_type.value_kind();
        let compares_with_field = !field.field_type.is_multi_value()
            && fields.iter().any(|(other, candidate)| {
                other != path
                    && candidate.field_type.value_kind() == kind
                    && !candidate.field_type.is_multi_value()
            });
        let sources: &[&str] = if compares_with_field { &["value", "field"] } else { &["value"] };
        node.meta.insert("valueSources".into(), json!(sources));
        if matches!(kind, Some(ValueKind::Date | ValueKind::Instant)) {
            node.meta.insert("relative".into(), json!(["today", "now"]));
        }
        nodes.push(node);
    }
    let nodes = arrange(nodes, options);
    Document {
        record_type,
        purpose: SchemaPurpose::Filter,
        options,
        nodes,
        narrowing: None,
        description: None,
    }
    .render()
}

/// `Account › Name`: the labels along a path.
fn beyond_label(record_type: &RecordType, path: &FieldPath, field: &Field) -> String {
    let mut parts: Vec<String> = path.segments()[..path.segments().len() - 1]
        .iter()
        .enumerate()
        .map(|(at, segment)| {
            let label =
                (at == 0).then(|| relationship_label(record_type, segment)).flatten().unwrap_or_default();
            title_of(&label, segment)
        })
        .collect();
    parts.push(title_of(&field.label, &field.name));
    parts.join(" › ")
}

/// The label of the field behind a relationship.
pub(super) fn relationship_label(record_type: &RecordType, name: &str) -> Option<String> {
    let relationship = record_type.relationship(name)?;
    record_type.field(&relationship.field).map(|field| field.label.clone())
}
