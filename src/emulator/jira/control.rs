//! This service's own controls under `/_emulator/jira/`.
//!
//! `POST /_emulator/jira/screens` `{"project": "OPS", "issue_type": "Bug", "field": "duedate"}` with `required` or
//! `shown` changes a screen, at once while clients read. `POST /_emulator/jira/index` `{"lag_seconds": 30}` lets
//! searches know of changes only so much later, save for those that a query has looked at anew.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::model::OnScreen;
use super::store::Store;
use crate::emulator::service::{Reply, Request};

const ROOT: &str = "/_emulator/jira/";

pub(super) fn owns(path: &str) -> bool {
    path.starts_with(ROOT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScreenPatch {
    project: String,
    issue_type: String,
    field: String,
    required: Option<bool>,
    shown: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexPatch {
    lag_seconds: u32,
}

/// Answers one control request.
pub(super) fn handle(store: &mut Store, request: &Request) -> Reply {
    let done = match (&request.method, request.path.strip_prefix(ROOT)) {
        (&Method::POST, Some("screens")) => serde_json::from_slice(&request.body)
            .map_err(|error| error.to_string())
            .and_then(|patch| screen(store, &patch))
            .map(|()| store.screens_changed()),
        (&Method::POST, Some("index")) => serde_json::from_slice::<IndexPatch>(&request.body)
            .map(|patch| store.lag(i64::from(patch.lag_seconds) * 1_000))
            .map_err(|error| error.to_string()),
        _ => Err("POST to screens or index".to_owned()),
    };
    match done {
        Ok(()) => Reply::empty(StatusCode::NO_CONTENT),
        Err(message) => Reply::json(StatusCode::BAD_REQUEST, &json!({ "error": message })),
    }
}

fn screen(store: &mut Store, patch: &ScreenPatch) -> Result<(), String> {
    let model = &mut store.model;
    if model.field(&patch.field).is_none() {
        return Err(format!("there is no field {:?}", patch.field));
    }
    let types = model.types.iter().filter(|own| own.id == patch.issue_type || own.name == patch.issue_type);
    let types: Vec<String> = types.map(|own| own.id.clone()).collect();
    let project = model.projects.iter_mut().find(|own| own.key == patch.project);
    let project = project.ok_or_else(|| format!("there is no project {:?}", patch.project))?;
    let screen = project.screens.iter_mut().find(|own| types.contains(&own.issue_type));
    let screen = screen.ok_or_else(|| format!("there is no issue type {:?}", patch.issue_type))?;
    if patch.shown == Some(false) {
        screen.fields.retain(|own| own.field != patch.field);
        return Ok(());
    }
    match screen.fields.iter_mut().find(|own| own.field == patch.field) {
        Some(on) => on.required = patch.required.unwrap_or(on.required),
        None => screen.fields.push(OnScreen {
            field: patch.field.clone(),
            required: patch.required.unwrap_or(false),
            described: None,
        }),
    }
    Ok(())
}
