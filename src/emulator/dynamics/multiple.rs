//! CreateMultiple, UpdateMultiple and UpsertMultiple: all rows or none.

use http::StatusCode;
use serde_json::json;

use super::address::{self, Named};
use super::cell::Cell;
use super::errors::{INVALID_ARGUMENT, Refusal, UNEXPECTED};
use super::guid;
use super::json_reply;
use super::modify::Done;
use super::request::{self, Call};
use super::rows::{Place, Store};
use super::write::{self, Writing};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

/// What a fault rule lets a row fail with.
pub(super) fn refused_row() -> Refusal {
    Refusal::new(UNEXPECTED, "An unexpected error occurred: this row was refused by a fault rule.")
}

/// Answers one of the actions.
///
/// # Errors
/// The first refusal of any row; the caller rolls everything back.
pub(super) fn handle(
    store: &mut Store,
    call: &Call<'_>,
    table: usize,
    action: &str,
    writing: &Writing<'_>,
    every: Option<usize>,
) -> Result<Done, Refusal> {
    let name = action.strip_prefix("Microsoft.Dynamics.CRM.").unwrap_or(action);
    if !matches!(name, "CreateMultiple" | "UpdateMultiple" | "UpsertMultiple") {
        return Err(Refusal::no_segment(action));
    }
    let body = call.json()?;
    let targets = body.get("Targets").and_then(Json::as_list).filter(|list| !list.is_empty());
    let targets =
        targets.ok_or_else(|| Refusal::new(INVALID_ARGUMENT, "Required field 'Targets' is missing."))?;
    let wanted = format!("Microsoft.Dynamics.CRM.{}", store.about(table).name);
    let mut made: Vec<Place> = Vec::new();
    for (number, target) in targets.iter().enumerate() {
        if every.is_some_and(|every| (number + 1).is_multiple_of(every)) {
            return Err(refused_row());
        }
        let kind = target.get("@odata.type").and_then(Json::as_text).map(|kind| kind.trim_start_matches('#'));
        if kind != Some(wanted.as_str()) {
            let inner = "The type of each target must be given by '@odata.type'.";
            return Err(Refusal::payload(&store.about(table).set, inner));
        }
        match name {
            "CreateMultiple" => made.push(write::create(store, table, target, Vec::new(), writing)?),
            "UpdateMultiple" => {
                let named = primary(store, table, target).ok_or_else(|| {
                    Refusal::new(INVALID_ARGUMENT, "Each target must name its row by its primary key.")
                })?;
                let at = named.find(store, table).ok_or_else(|| named.missing(store, table))?;
                write::update(store, at, target, writing)?;
            }
            _ => upsert(store, table, target, writing)?,
        }
    }
    if name != "CreateMultiple" {
        return Ok(Reply::empty(StatusCode::NO_CONTENT).into());
    }
    let ids: Vec<String> = made.iter().map(|at| guid::text(store.id(*at))).collect();
    let body = json!({
        "@odata.context": call.context("Microsoft.Dynamics.CRM.CreateMultipleResponse"), "Ids": ids,
    });
    Ok(json_reply(StatusCode::OK, body.to_string()).into())
}

/// The row that a target names by the property of its primary key.
fn primary(store: &Store, table: usize, target: &Json) -> Option<Named> {
    let about = store.about(table);
    let id = target.get(&about.columns[about.id].name)?.as_text()?;
    guid::parse(id).map(Named::Id)
}

fn upsert(store: &mut Store, table: usize, target: &Json, writing: &Writing<'_>) -> Result<(), Refusal> {
    let named = match target.get("@odata.id").and_then(Json::as_text) {
        Some(text) => {
            let segment = request::segment(text.rsplit('/').next().unwrap_or(text))?;
            let (named_table, named) = address::named(store, &segment)?;
            if named_table != table {
                return Err(Refusal::no_segment(text));
            }
            Some(named)
        }
        None => primary(store, table, target),
    };
    let found = named.as_ref().and_then(|named| named.find(store, table));
    if let Some(at) = found {
        return write::update(store, at, target, writing);
    }
    let key = match named {
        None => Vec::new(),
        Some(Named::Id(id)) => vec![(store.about(table).id, Cell::Guid(id))],
        Some(Named::Key(values)) => {
            let about = store.about(table);
            let repeated =
                values.iter().find(|(column, _)| target.get(&about.columns[*column].name).is_some());
            if let Some((column, _)) = repeated {
                let name = &about.columns[*column].name;
                return Err(Refusal::new(
                    UNEXPECTED,
                    format!(
                        "The key attribute '{name}' must not stand among the attributes of the target too."
                    ),
                ));
            }
            values
        }
    };
    write::create(store, table, target, key, writing).map(|_| ())
}
