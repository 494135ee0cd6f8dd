//! What the control surface changes about the org: permissions, fields, duplicate rules. A reset takes it all
//! back.

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::catalogue;
use super::describe::Object;
use super::rows::{DuplicateRule, Store};
use crate::emulator::service::{Reply, Request};

/// Access to a type, or to one of its fields; what is left out stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Permission {
    #[serde(rename = "type")]
    kind: String,
    field: Option<String>,
    readable: Option<bool>,
    /// Of a field both creates and updates, of a type updates.
    editable: Option<bool>,
    createable: Option<bool>,
    deletable: Option<bool>,
}

/// A field that comes or goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldChange {
    #[serde(rename = "type")]
    kind: String,
    field: Option<Map<String, Value>>,
    remove: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
    fields: Vec<String>,
    name: Option<String>,
    #[serde(default = "yes")]
    allow_save: bool,
}

fn yes() -> bool {
    true
}

/// Answers `POST /_emulator/salesforce/{what}`.
pub(super) fn handle(store: &mut Store, what: &str, request: &Request) -> Reply {
    let known = ["permissions", "fields", "duplicate-rules"];
    if !known.contains(&what) {
        let error =
            format!("there is no /_emulator/salesforce/{what}: expire-locators, {}", known.join(", "));
        return Reply::json(StatusCode::NOT_FOUND, &json!({ "error": error }));
    }
    if request.method != Method::POST {
        return Reply::json(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "POST is accepted here" }));
    }
    let done = match what {
        "permissions" => read(request).and_then(|asked| permit(store, asked, request.now)),
        "fields" => read(request).and_then(|asked| change_field(store, asked, request.now)),
        _ => read(request).and_then(|asked| add_rule(store, asked)),
    };
    match done {
        Ok(()) => Reply::json(StatusCode::OK, &json!({ "changed": true })),
        Err(error) => Reply::json(StatusCode::BAD_REQUEST, &json!({ "error": error })),
    }
}

fn read<T: DeserializeOwned>(request: &Request) -> Result<T, String> {
    serde_json::from_slice(&request.body).map_err(|error| error.to_string())
}

fn table(store: &Store, name: &str) -> Result<usize, String> {
    store.any_table(name).ok_or_else(|| format!("there is no type {name:?}"))
}

fn number(object: &Object, name: &str) -> Result<usize, String> {
    object.any_field(name).ok_or_else(|| format!("{} has no field {name:?}", object.name))
}

fn permit(store: &mut Store, asked: Permission, now: Timestamp) -> Result<(), String> {
    let table = table(store, &asked.kind)?;
    let object = store.object(table);
    let Some(name) = &asked.field else {
        if object.name == "User" && asked.readable == Some(false) {
            return Err("nobody could sign in without the type User".to_owned());
        }
        store.change_object(table, |object| {
            object.changed = Some(now);
            if let Some(readable) = asked.readable {
                object.hidden = !readable;
            }
            let allowed = |object: &Object, key: &str, asked: Option<bool>, before: bool| {
                asked.map_or(before, |on| on && object.flag_at_first(None, key))
            };
            object.createable = allowed(object, "createable", asked.createable, object.createable);
            object.updateable = allowed(object, "updateable", asked.editable, object.updateable);
            object.deletable = allowed(object, "deletable", asked.deletable, object.deletable);
        });
        return Ok(());
    };
    if asked.createable.is_some() || asked.deletable.is_some() {
        return Err("a field is readable and editable; the others are for types".to_owned());
    }
    let number = number(object, name)?;
    if !object.fields.get(number).is_some_and(|field| field.permissionable) {
        return Err(format!("field-level security cannot close {}.{name}", object.name));
    }
    store.change_object(table, |object| {
        object.changed = Some(now);
        let first = |key: &str| object.flag_at_first(Some(number), key);
        let (createable, updateable) = (first("createable"), first("updateable"));
        if let Some(field) = object.fields.get_mut(number) {
            if let Some(readable) = asked.readable {
                field.hidden = !readable;
            }
            if let Some(editable) = asked.editable {
                field.createable = editable && createable;
                field.updateable = editable && updateable;
            }
        }
    });
    Ok(())
}

fn change_field(store: &mut Store, asked: FieldChange, now: Timestamp) -> Result<(), String> {
    let table = table(store, &asked.kind)?;
    match (asked.field, asked.remove) {
        (Some(spec), None) => {
            let row = catalogue::described_field(&spec)?;
            let mut done = Ok(());
            store.change_object(table, |object| {
                done = object.add_field(row);
                object.changed = Some(now);
            });
            done
        }
        (None, Some(name)) => {
            let number = number(store.object(table), &name)?;
            if !store.object(table).fields.get(number).is_some_and(|field| field.permissionable) {
                return Err(format!("{name} is part of every {}", store.object(table).name));
            }
            store.change_object(table, |object| {
                object.changed = Some(now);
                if let Some(field) = object.fields.get_mut(number) {
                    field.hidden = true;
                    field.removed = true;
                }
            });
            Ok(())
        }
        _ => Err("give either `field`, a description, or `remove`, a name".to_owned()),
    }
}

fn add_rule(store: &mut Store, asked: Rule) -> Result<(), String> {
    let table = table(store, &asked.kind)?;
    let object = store.object(table);
    let fields = asked.fields.iter().map(|name| number(object, name)).collect::<Result<Vec<_>, _>>()?;
    if fields.is_empty() {
        return Err("a duplicate rule compares at least one field".to_owned());
    }
    let name = asked.name.unwrap_or_else(|| format!("{}_Duplicate_Rule", object.name));
    store.duplicate_rules.push(DuplicateRule { table, fields, name, allow_save: asked.allow_save });
    Ok(())
}
