//! Versions and components of projects: reading, adding, changing and removing one.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::model::{Part, Project};
use super::store::Store;
use super::{render, write};
use crate::emulator::service::Reply;

const OF_VERSIONS: [&str; 5] = ["description", "startDate", "releaseDate", "archived", "released"];
const OF_COMPONENTS: [&str; 3] = ["description", "leadAccountId", "assigneeType"];

/// A version or component with all that its own address tells.
pub(super) fn shown(
    store: &Store,
    call: &Call<'_>,
    project: &Project,
    part: &Part,
    components: bool,
) -> Value {
    let mut value = render::part(call, part, components);
    for (name, own) in &part.more {
        if name == "leadAccountId" {
            let lead = own.as_str().and_then(|account| store.model.person(account));
            value["lead"] = lead.map_or(Value::Null, |own| render::person(call, own));
        } else {
            value[name] = own.clone();
        }
    }
    value["projectId"] = json!(project.id.parse::<u64>().unwrap_or(0));
    if components {
        value["project"] = json!(project.key);
    }
    value
}

/// `/version` and `/component`.
pub(super) fn add(store: &mut Store, call: &Call<'_>, components: bool) -> Result<Reply, Refusal> {
    call.only(&[Method::POST])?;
    signed_in(call)?;
    let body = call.json()?;
    let named = match (components, &body["project"], &body["projectId"]) {
        (_, Value::String(key), _) => key.clone(),
        (false, _, Value::Number(id)) => id.to_string(),
        _ => return Err(Refusal::field("project", "Project must be specified.")),
    };
    let missing = || Refusal::not_found(format!("No project could be found with key '{named}'."));
    let id = store.claim_part().to_string();
    let model = &mut store.model;
    let place =
        model.projects.iter().position(|own| own.id == named || own.key == named).ok_or_else(missing)?;
    let name = name_of(&body)?.ok_or_else(|| Refusal::field("name", "You must specify a valid name."))?;
    let list = list_of(&mut model.projects[place], components);
    if list.iter().any(|own| own.name.eq_ignore_ascii_case(&name)) {
        return Err(Refusal::field(
            "name",
            "A version or component with this name already exists in this project.",
        ));
    }
    let mut part = Part { id, name, released: false, more: Map::new() };
    take(&mut part, &body, components);
    list.push(part.clone());
    let project = &store.model.projects[place];
    Ok(Reply::json(StatusCode::CREATED, &shown(store, call, project, &part, components)).committed())
}

/// `/version/{id}` and `/component/{id}`.
pub(super) fn one(store: &mut Store, call: &Call<'_>, id: &str, components: bool) -> Result<Reply, Refusal> {
    call.only(&[Method::GET, Method::PUT, Method::DELETE])?;
    signed_in(call)?;
    let what = if components { "component" } else { "version" };
    let missing = || Refusal::not_found(format!("Could not find {what} for id '{id}'"));
    let place = store
        .model
        .projects
        .iter_mut()
        .position(|project| list_of(project, components).iter().any(|own| own.id == id))
        .ok_or_else(missing)?;
    let body = if *call.method() == Method::PUT { call.json()? } else { Value::Null };
    let list = list_of(&mut store.model.projects[place], components);
    let at = list.iter().position(|own| own.id == id).ok_or_else(missing)?;
    if *call.method() == Method::DELETE {
        list.remove(at);
        return Ok(write::no_content());
    }
    if let Some(name) = name_of(&body)? {
        list[at].name = name;
    }
    take(&mut list[at], &body, components);
    let part = list[at].clone();
    let reply =
        Reply::json(StatusCode::OK, &shown(store, call, &store.model.projects[place], &part, components));
    Ok(if body.is_null() { reply } else { reply.committed() })
}

fn signed_in(call: &Call<'_>) -> Result<(), Refusal> {
    match call.account {
        Some(_) => Ok(()),
        None => Err(Refusal::new(StatusCode::UNAUTHORIZED, "Authentication is required.")),
    }
}

fn list_of(project: &mut Project, components: bool) -> &mut Vec<Part> {
    if components { &mut project.components } else { &mut project.versions }
}

fn name_of(body: &Value) -> Result<Option<String>, Refusal> {
    match &body["name"] {
        Value::Null => Ok(None),
        Value::String(name) if !name.trim().is_empty() => Ok(Some(name.clone())),
        _ => Err(Refusal::field("name", "You must specify a valid name.")),
    }
}

/// Takes what a body says; null takes a value away.
fn take(part: &mut Part, body: &Value, components: bool) {
    for name in if components { &OF_COMPONENTS[..] } else { &OF_VERSIONS[..] } {
        let Some(given) = body.get(*name) else { continue };
        match (*name, given) {
            ("released", given) => part.released = given.as_bool().unwrap_or(false),
            (_, Value::Null) => {
                part.more.shift_remove(*name);
            }
            (_, Value::String(text)) if text.is_empty() => {
                part.more.shift_remove(*name);
            }
            (_, given) => {
                part.more.insert((*name).to_owned(), given.clone());
            }
        }
    }
}
