//! The workflow: which steps an issue can take, and taking them.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::model::{DONE, Transition};
use super::store::{Issue, Store};
use super::{read, render, screens, write};
use crate::emulator::service::Reply;

/// The steps that an issue can take from where it is.
pub(super) fn open(store: &Store, call: &Call<'_>, issue: &Issue, with_fields: bool) -> Vec<Value> {
    steps(store, issue)
        .map(|own| {
            let mut value = json!({
                "id": own.id,
                "name": own.name,
                "to": render::status(call, own.to),
                "hasScreen": !own.required.is_empty(),
                "isGlobal": own.from.is_empty(),
                "isInitial": false,
                "isAvailable": true,
                "isConditional": false,
                "isLooped": own.to == issue.text("status"),
            });
            if with_fields {
                value["fields"] = Value::Object(screens::of_transition(store, call, own.required));
            }
            value
        })
        .collect()
}

fn steps(store: &Store, issue: &Issue) -> impl Iterator<Item = &'static Transition> {
    let status = issue.text("status").to_owned();
    let workflow = store.model.workflow(issue.project()).iter();
    workflow.filter(move |own| own.from.is_empty() || own.from.contains(&status.as_str()))
}

pub(super) fn handle(store: &mut Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    call.only(&[Method::GET, Method::POST])?;
    let issue = read::find(store, call, key)?;
    if *call.method() == Method::GET {
        let with_fields = call.expands("transitions.fields");
        let body = json!({ "expand": "transitions", "transitions": open(store, call, &issue, with_fields) });
        return Ok(Reply::json(StatusCode::OK, &body));
    }
    let body = call.json()?;
    let wanted = match &body["transition"]["id"] {
        Value::String(id) => id.clone(),
        // Recorded: a number is taken as well.
        Value::Number(id) => id.to_string(),
        _ => return Err(Refusal::bad("Missing 'transition' identifier")),
    };
    let step = steps(store, &issue)
        .find(|own| own.id == wanted)
        .ok_or_else(|| Refusal::bad(format!("Transition id '{wanted}' is not valid for this issue.")))?;
    let mut new = (*issue).clone();
    let draft = write::Draft::read(store, call, &new, &body, step.required)?;
    let mut errors = Map::new();
    for field in step.required {
        if draft.value(&new, field).is_null() {
            let name = store.model.field(field).map_or(*field, |own| own.name.as_str());
            errors.insert((*field).to_owned(), json!(format!("{name} is required.")));
        }
    }
    if !errors.is_empty() {
        return Err(Refusal::fields(errors));
    }
    let mut differences = draft.into_differences(&new);
    let now = call.request.now.as_millisecond();
    differences.push(write::difference(&new, "status", json!(step.to)));
    if step.to == DONE {
        if new.get("resolution").is_null() && !differences.iter().any(|own| own.field == "resolution") {
            differences.push(write::difference(&new, "resolution", json!("10000")));
        }
        new.fields.insert("resolutiondate".to_owned(), json!(now));
    } else if issue.text("status") == DONE {
        differences.push(write::difference(&new, "resolution", Value::Null));
        new.fields.remove("resolutiondate");
    }
    write::commit(store, call, new, differences, &body)?;
    Ok(Reply::new(StatusCode::NO_CONTENT, "text/html;charset=UTF-8", "").committed())
}
