//! This service's own controls under `/_emulator/dynamics/`.
//!
//! | request | does |
//! |---|---|
//! | `POST /_emulator/dynamics/expire-cookies` | makes every paging cookie invalid |
//! | `POST /_emulator/dynamics/columns` | `{"table","column"}` with `hidden`, `required`, `max_length` or `add_option` |
//! | `POST /_emulator/dynamics/tables` | `{"table"}` with `change_tracking` or `concurrency` |

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Environment;
use super::describe::{Choice, Table};
use super::labels;
use crate::emulator::service::{Reply, Request};

const ROOT: &str = "/_emulator/dynamics/";

pub(super) fn owns(path: &str) -> bool {
    path.starts_with(ROOT)
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnPatch {
    table: String,
    column: String,
    hidden: Option<bool>,
    required: Option<bool>,
    max_length: Option<usize>,
    add_option: Option<OptionPatch>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionPatch {
    value: i64,
    label: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TablePatch {
    table: String,
    change_tracking: Option<bool>,
    concurrency: Option<bool>,
}

/// Answers one control request.
pub(super) fn handle(environment: &mut Environment, request: &Request) -> Reply {
    let what = request.path.strip_prefix(ROOT).unwrap_or_default();
    let done = match (&request.method, what) {
        (&Method::POST, "expire-cookies") => {
            environment.cookies.expire();
            Ok(())
        }
        (&Method::POST, "columns") => read(&request.body).and_then(|patch| column(environment, &patch)),
        (&Method::POST, "tables") => read(&request.body).and_then(|patch| table(environment, &patch)),
        _ => Err("POST to expire-cookies, columns or tables".to_owned()),
    };
    match done {
        Ok(()) => Reply::empty(StatusCode::NO_CONTENT),
        Err(message) => Reply::json(StatusCode::BAD_REQUEST, &json!({ "error": message })),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn table(environment: &mut Environment, patch: &TablePatch) -> Result<(), String> {
    let at = find(environment, &patch.table)?;
    environment.metadata_version += 1;
    environment.store.change_table(at, |about| {
        let mut describe = (*about.describe).clone();
        if let Some(on) = patch.change_tracking {
            about.tracked = on;
            describe["ChangeTrackingEnabled"] = json!(on);
        }
        if let Some(on) = patch.concurrency {
            about.concurrency = on;
            describe["IsOptimisticConcurrencyEnabled"] = json!(on);
        }
        about.describe = describe.into();
    });
    Ok(())
}

fn find(environment: &Environment, name: &str) -> Result<usize, String> {
    environment.store.model.table(name).ok_or_else(|| format!("there is no table {name:?}"))
}

fn column(environment: &mut Environment, patch: &ColumnPatch) -> Result<(), String> {
    let at = find(environment, &patch.table)?;
    let known = |about: &Table| about.columns.iter().position(|column| column.name == patch.column);
    let number = known(environment.store.about(at))
        .ok_or_else(|| format!("{} has no column {:?}", patch.table, patch.column))?;
    environment.metadata_version += 1;
    environment.store.change_table(at, |about| {
        let mut describe = (*about.describe).clone();
        if let Some(hidden) = patch.hidden {
            about.show(number, !hidden);
            hide(&mut describe, &patch.column, hidden);
        }
        if let Some(attribute) = attribute(&mut describe, &patch.column) {
            let column = &mut about.columns[number];
            if let Some(required) = patch.required {
                column.required = required;
                attribute["RequiredLevel"]["Value"] = json!(if required { "SystemRequired" } else { "None" });
            }
            if let Some(length) = patch.max_length {
                column.max_length = length;
                attribute["MaxLength"] = json!(length);
            }
            if let Some(option) = &patch.add_option {
                column.options.push(Choice {
                    value: option.value,
                    label: option.label.clone(),
                    state: None,
                    default_status: None,
                });
                let entry = labels::option_set("", "", &format!("{}={}", option.value, option.label), false);
                for set in ["OptionSet", "GlobalOptionSet"] {
                    if let Some(options) = attribute[set]["Options"].as_array_mut() {
                        options.push(entry["Options"][0].clone());
                    }
                }
            }
        }
        about.describe = describe.into();
    });
    Ok(())
}

fn attribute<'a>(describe: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    describe["Attributes"].as_array_mut()?.iter_mut().find(|attribute| attribute["LogicalName"] == name)
}

/// Takes an attribute out of the metadata, or puts it back.
fn hide(describe: &mut Value, name: &str, hidden: bool) {
    let (from, to) = if hidden { ("Attributes", "Hidden") } else { ("Hidden", "Attributes") };
    let taken = describe[from].as_array_mut().and_then(|list| {
        let at = list.iter().position(|attribute| attribute["LogicalName"] == name)?;
        Some(list.remove(at))
    });
    if let Some(taken) = taken {
        match describe[to].as_array_mut() {
            Some(list) => list.push(taken),
            None => describe[to] = json!([taken]),
        }
    }
}
