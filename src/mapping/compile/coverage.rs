//! What a mapping leaves open: required fields without a rule, keys that no rule gives.

use super::Types;
use super::target::Targets;
use crate::mapping::document::{FieldRule, Mapping, NotFound, OnMissing, Operation, Several, Step};
use crate::mapping::problem::Problem;
use crate::record::{Field, FieldPath, FieldType, RecordType};

pub(super) fn check(mapping: &Mapping, types: Types<'_>, targets: &Targets<'_>, problems: &mut Vec<Problem>) {
    let Targets::Record { record_type, operation, by, .. } = targets else { return };
    if mapping.fields.is_empty() {
        problems.push(Problem::error("/fields", "no field is mapped"));
    }
    let names = |key: &[String]| key.join(", ");
    let key: &[String] = match operation {
        Operation::Create => &[],
        Operation::Update | Operation::Delete => &record_type.key.0,
        Operation::Upsert => by,
    };
    let keyed = covers(mapping, "@key") || key.iter().all(|field| covers(mapping, field));
    if !keyed {
        problems.push(
            Problem::error("/fields", format!("no rule says which record is meant ({})", names(key)))
                .with_fix(format!("Add a rule with \"to\":\"@key\", or for {}", names(key))),
        );
    }
    if matches!(operation, Operation::Create | Operation::Upsert) && !only_finds(record_type, *operation, by)
    {
        required(mapping, types, record_type, key, problems);
    }
}

/// Whether an upsert by this key creates nothing.
fn only_finds(record_type: &RecordType, operation: Operation, by: &[String]) -> bool {
    let upsert = record_type.capability.upsert.as_ref();
    operation == Operation::Upsert
        && upsert.is_some_and(|upsert| upsert.match_only.iter().any(|key| key.0 == by))
}

fn required(
    mapping: &Mapping,
    types: Types<'_>,
    record_type: &RecordType,
    key: &[String],
    problems: &mut Vec<Problem>,
) {
    let by_key = covers(mapping, "@key");
    for field in record_type.fields.iter().filter(|field| field.required_on_create) {
        if by_key && key.contains(&field.name) {
            continue;
        }
        let relationship =
            record_type.relationships.iter().find(|relationship| relationship.field == field.name);
        let given = covers(mapping, &field.name)
            || relationship.is_some_and(|relationship| covers(mapping, &relationship.name));
        if !given {
            problems.push(
                Problem::error("/fields", format!("{} is required and no rule sets it", field.name))
                    .with_fix(format!("Add a rule with \"to\":\"{}\" ({})", field.name, field.label)),
            );
            continue;
        }
        for (index, rule) in mapping.fields.iter().enumerate().filter(|(_, rule)| rule.to == field.name) {
            if may_be_empty(rule, types) {
                problems.push(
                    Problem::warning(
                        format!("/fields/{index}"),
                        format!("{} is required, and rows without a value for it will fail", field.name),
                    )
                    .with_fix("Add {\"op\":\"default\",\"value\":...}"),
                );
            }
        }
    }
    for field in &record_type.fields {
        parts(mapping, field, &field.name, problems);
    }
}

/// Required parts of objects of which some part is set.
fn parts(mapping: &Mapping, field: &Field, path: &str, problems: &mut Vec<Problem>) {
    let FieldType::Object { fields } = &field.field_type else { return };
    let inside = format!("{path}.");
    if !mapping.fields.iter().any(|rule| rule.to.starts_with(&inside)) {
        return;
    }
    for part in fields {
        let path = format!("{path}.{}", part.name);
        if part.required_on_create && !covers(mapping, &path) {
            problems.push(
                Problem::error(
                    "/fields",
                    format!("{path} is required where a part of it is set, and no rule sets it"),
                )
                .with_fix(format!("Add a rule with \"to\":\"{path}\"")),
            );
        }
        parts(mapping, part, &path, problems);
    }
}

/// Whether a rule sets a field or a part of it.
fn covers(mapping: &Mapping, name: &str) -> bool {
    mapping
        .fields
        .iter()
        .any(|rule| rule.to == name || rule.to.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether a rule may give nothing, or null.
fn may_be_empty(rule: &FieldRule, types: Types<'_>) -> bool {
    let defaulted = rule.steps.iter().flatten().any(|step| match step {
        Step::Default(step) => step.value.text() != "null",
        _ => false,
    });
    if defaulted || rule.on_missing == Some(OnMissing::Error) {
        return false;
    }
    if rule.constant.as_ref().is_some_and(|value| value.text() != "null") {
        return false;
    }
    let loses = |otherwise: Option<NotFound>, several: Option<Several>| {
        matches!(otherwise, Some(NotFound::Null | NotFound::Skip)) || several == Some(Several::Null)
    };
    let unfound = rule.lookup.as_ref().is_some_and(|lookup| loses(lookup.otherwise, lookup.several))
        || rule.steps.iter().flatten().any(|step| match step {
            Step::Lookup(step) => loses(step.otherwise, step.several),
            _ => false,
        });
    if unfound {
        return true;
    }
    let first = rule.lookup.as_ref().and_then(|lookup| lookup.by.iter().next());
    match rule.from.as_deref().or(first.map(|(_, path)| path.as_str())) {
        Some("@row" | "@record" | "@key") => false,
        Some(path) => types.paths.field(&FieldPath::parse(path)).is_some_and(|field| field.nullable),
        None => rule.template.is_some() || rule.cases.is_some(),
    }
}
