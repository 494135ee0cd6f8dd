//! Rows of writes: property values in the schema's form become the JSON of the Web API.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::Described;
use crate::error::{Error, FieldError, Result};
use crate::provider::{Edit, Edits, present};
use crate::record::record_type::{Field, FieldType};

/// What a list holds now, for edits that add to it or remove from it.
pub(super) type Present = present::Present<i64>;
/// Target and address (`/contacts(id)`) of each value of a lookup.
pub(super) type Binds = HashMap<(String, String), Bind>;

/// Where a value of a lookup leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bind {
    /// The table.
    pub(super) target: String,
    /// The record, as the Web API refers to it.
    pub(super) address: String,
}

/// A row as a JSON object; `front` stands before its own members.
///
/// # Errors
/// Invalid with the column for a value that cannot be written.
pub(super) fn body(
    described: &Described,
    front: &[(String, String)],
    edits: &Edits,
    creates: bool,
    present: &Present,
    binds: &Binds,
) -> Result<String> {
    let record_type = &described.record_type;
    let mut out = String::from("{");
    let mut push = |name: &str, value: &str| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&text(name));
        out.push(':');
        out.push_str(value);
    };
    for (name, value) in front {
        push(name, value);
    }
    for (name, edit) in edits {
        let Some(field) = record_type.field(name) else {
            // It was taken into account with its lookup.
            if record_type.reference_of_type_field(name).is_some() {
                continue;
            }
            return Err(refuse(described, name, "there is no such column"));
        };
        let (name, value) = if matches!(field.field_type, FieldType::Reference(_)) {
            lookup(described, field, edit, binds)
        } else {
            value(field, edit, present).map(|value| (field.name.clone(), value))
        }
        .map_err(|reason| refuse(described, name, &reason))?;
        match value {
            Some(value) => push(&name, &value),
            // On create there is nothing to clear, and null would switch off a default.
            None if creates => {}
            None => push(&name, "null"),
        }
    }
    fits_together(described, edits)?;
    out.push('}');
    Ok(out)
}

pub(super) fn refuse(described: &Described, name: &str, reason: &str) -> Error {
    Error::invalid(format!("{name} cannot be written: {reason}"))
        .with_provider("dynamics")
        .with_record_type(described.record_type.name.as_str())
        .with_field_error(FieldError {
            field: name.to_owned(),
            message: reason.to_owned(),
            accepted: Vec::new(),
        })
}

/// A value as a JSON string.
pub(super) fn text(value: &str) -> String {
    Json::from(value).to_string()
}

/// The text that an edit sets, when it sets one.
pub(super) fn text_of(edit: &Edit) -> Option<String> {
    match edit {
        Edit::Set(raw) => serde_json::from_str(raw.get()).ok(),
        Edit::Clear | Edit::List { .. } => None,
    }
}

/// The member by which a lookup is set or cleared: its navigation property, which depends on the target.
fn lookup(
    described: &Described,
    field: &Field,
    edit: &Edit,
    binds: &Binds,
) -> Result<(String, Option<String>), String> {
    let ways = described.wires.lookups.get(&field.name).map(Vec::as_slice).unwrap_or_default();
    let Some(value) = text_of(edit) else {
        if matches!(edit, Edit::List { .. }) {
            return Err("it holds one value".to_owned());
        }
        // Each of its navigation properties clears the column.
        let (_, nav) = ways.first().ok_or("Dataverse names no way to set it")?;
        return Ok((format!("{nav}@odata.bind"), None));
    };
    let bind =
        binds.get(&(field.name.clone(), value)).ok_or("the record that it shall lead to is not known")?;
    let way = ways.iter().find(|(target, _)| *target == bind.target);
    // An owner has one navigation property for users and teams.
    let only = || Some(ways).filter(|ways| ways.len() == 1).and_then(<[_]>::first);
    let (_, nav) = way.or_else(only).ok_or_else(|| format!("Dataverse names no way to {}", bind.target))?;
    Ok((format!("{nav}@odata.bind"), Some(text(&bind.address))))
}

/// A value in its wire form; `None` clears.
fn value(field: &Field, edit: &Edit, present: &Present) -> Result<Option<String>, String> {
    let whole = |value: &Json| value.as_i64().ok_or_else(|| format!("{value} is not a whole number"));
    let raw = match edit {
        Edit::Clear => return Ok(None),
        Edit::List { add, remove } => {
            if !matches!(field.field_type, FieldType::MultiPicklist { .. }) {
                return Err("only a column of several values can be added to or removed from".to_owned());
            }
            let add = add.iter().map(whole).collect::<Result<Vec<i64>, String>>()?;
            let remove = remove.iter().map(whole).collect::<Result<Vec<i64>, String>>()?;
            let values = present::edited(present, &field.name, add, &remove);
            return Ok(joined(&values));
        }
        Edit::Set(raw) => raw.get().trim(),
    };
    if raw == "null" {
        return Ok(None);
    }
    match &field.field_type {
        FieldType::MultiPicklist { .. } => {
            let values: Vec<i64> =
                serde_json::from_str(raw).map_err(|_| "a list of whole numbers is wanted".to_owned())?;
            Ok(joined(&values))
        }
        FieldType::Int64 => {
            let digits: String = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
            digits
                .parse::<i64>()
                .map(|number| Some(number.to_string()))
                .map_err(|_| "a whole number is wanted".to_owned())
        }
        FieldType::Json => {
            let inner: String = serde_json::from_str(raw).map_err(|_| "JSON text is wanted".to_owned())?;
            serde_json::from_str::<Json>(&inner)
                .map_err(|reason| format!("the text is not JSON: {reason}"))?;
            Ok(Some(inner))
        }
        _ => Ok(Some(raw.to_owned())),
    }
}

fn joined(values: &[i64]) -> Option<String> {
    let each: Vec<String> = values.iter().map(i64::to_string).collect();
    (!each.is_empty()).then(|| text(&each.join(",")))
}

/// A choice that depends on another must fit it where both are set: a status reason belongs to a status.
fn fits_together(described: &Described, edits: &Edits) -> Result<()> {
    let set = |name: &str| {
        let found = edits.iter().find(|(edited, _)| edited == name);
        found.and_then(|(_, edit)| match edit {
            Edit::Set(raw) => serde_json::from_str::<Json>(raw.get()).ok(),
            Edit::Clear | Edit::List { .. } => None,
        })
    };
    for field in &described.record_type.fields {
        let FieldType::Picklist(picklist) = &field.field_type else { continue };
        let controlling = field.controlled_by.as_deref().and_then(set);
        let (Some(controlling), Some(chosen)) = (controlling, set(&field.name)) else { continue };
        let entry = picklist.values.iter().find(|entry| entry.value == chosen);
        let fits =
            entry.and_then(|entry| entry.valid_for.as_ref()).is_none_or(|valid| valid.contains(&controlling));
        if !fits {
            let controller = field.controlled_by.as_deref().unwrap_or_default();
            return Err(refuse(
                described,
                &field.name,
                &format!("{chosen} cannot be chosen while {controller} is {controlling}"),
            ));
        }
    }
    Ok(())
}
