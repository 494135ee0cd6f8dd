//! Pairs of values: what a dependent picklist may hold beside the value of the field that controls it. One
//! value can stand in a picklist several times, each time for other controlling values.

use serde_json::Value as Json;

use super::values::Purpose;
use crate::error::FieldError;
use crate::provider::{Edit, Edits};
use crate::record::record_type::Picklist;
use crate::record::{Field, FieldType, RecordType};

/// Longest list of accepted values in a reason.
const MOST_LISTED: usize = 30;

/// The reasons against the pairs of a row. `edits` are those that passed one by one. A pair is judged when both
/// sides are known: both stand in the row, or the record is new and its provider fills in nothing of its own.
pub(super) fn pairs(record_type: &RecordType, edits: &Edits, purpose: Purpose) -> Vec<FieldError> {
    edits
        .iter()
        .filter_map(|(name, edit)| {
            let field = record_type.field(name)?;
            let picklist = restricted(field)?;
            let controller = record_type.field(field.controlled_by.as_deref()?)?;
            let chosen = chosen(edit)?;
            let beside = beside(controller, edits, purpose)?;
            let wrong = chosen.into_iter().find(|value| !fits(picklist, value, &beside))?;
            Some(reason(name, &wrong, controller, &beside, picklist))
        })
        .collect()
}

/// The values of a field whose provider refuses others.
fn restricted(field: &Field) -> Option<&Picklist> {
    match &field.field_type {
        FieldType::Picklist(picklist) | FieldType::MultiPicklist { picklist, .. } => {
            picklist.restricted.then_some(picklist)
        }
        _ => None,
    }
}

/// What an edit chooses; nothing when it clears.
fn chosen(edit: &Edit) -> Option<Vec<Json>> {
    match edit {
        Edit::Clear => None,
        Edit::Set(value) => match serde_json::from_str(value.get()).ok()? {
            Json::Null => None,
            Json::Array(values) => Some(values),
            value => Some(vec![value]),
        },
        Edit::List { add, .. } => Some(add.clone()),
    }
}

/// The controlling value that a record will have; `None` when it is not known here.
fn beside(controller: &Field, edits: &Edits, purpose: Purpose) -> Option<Json> {
    let edit = edits.iter().find(|(name, _)| *name == controller.name).map(|(_, edit)| edit);
    match edit {
        Some(Edit::Set(value)) => serde_json::from_str(value.get()).ok(),
        Some(Edit::Clear) => Some(Json::Null),
        Some(Edit::List { .. }) => None,
        None if purpose != Purpose::Create || !controller.createable => None,
        None => match &controller.default {
            Some(default) => Some(default.clone()),
            None if controller.field_type == FieldType::Boolean => Some(Json::Bool(false)),
            None => (!controller.defaulted_on_create).then_some(Json::Null),
        },
    }
}

fn fits(picklist: &Picklist, value: &Json, beside: &Json) -> bool {
    let mut known =
        picklist.values.iter().filter(|choice| choice.active && choice.value == *value).peekable();
    // A value that the picklist does not have was judged on its own.
    known.peek().is_none()
        || known.any(|choice| choice.valid_for.as_ref().is_none_or(|valid| valid.contains(beside)))
}

fn reason(name: &str, value: &Json, controller: &Field, beside: &Json, picklist: &Picklist) -> FieldError {
    let plain = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut accepted: Vec<String> = Vec::new();
    for choice in picklist.values.iter().filter(|choice| choice.active) {
        let text = plain(&choice.value);
        if fits(picklist, &choice.value, beside) && !accepted.contains(&text) {
            accepted.push(text);
        }
    }
    if accepted.len() > MOST_LISTED {
        accepted.clear();
    }
    let message = if beside.is_null() {
        format!("{value} cannot be chosen without a value of {}", controller.name)
    } else {
        format!("{value} cannot be chosen while {} is {beside}", controller.name)
    };
    FieldError { field: name.to_owned(), message, accepted }
}
