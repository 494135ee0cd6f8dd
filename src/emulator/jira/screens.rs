//! What a form has: create and edit metadata, allowed values included.

use serde_json::{Map, Value, json};

use super::call::Call;
use super::model::{Field, Kind, OnScreen, PRIORITIES, Project, RESOLUTIONS, SPRINTS, Screen};
use super::render;
use super::store::Store;

/// The metadata of all fields of a screen, in order. `creating` as create metadata has it, with `fieldId`.
pub(super) fn fields(
    store: &Store,
    call: &Call<'_>,
    project: &Project,
    screen: &Screen,
    creating: bool,
) -> Vec<(String, Value)> {
    let shown = screen.fields.iter().filter(|on| creating || !matches!(on.field.as_str(), "project"));
    shown
        .filter_map(|on| {
            let field = store.model.field(&on.field)?;
            let mut value = describe(store, call, project, screen, field, on);
            if !creating && let Some(object) = value.as_object_mut() {
                object.remove("fieldId");
                object.remove("hasDefaultValue");
            }
            Some((on.field.clone(), value))
        })
        .collect()
}

/// The metadata of some fields that a transition asks for.
pub(super) fn of_transition(store: &Store, call: &Call<'_>, required: &[&str]) -> Map<String, Value> {
    let mut out = Map::new();
    for field in required.iter().filter_map(|id| store.model.field(id)) {
        let mut value = json!({
            "required": true,
            "schema": field.schema,
            "name": field.name,
            "key": field.key,
            "operations": field.kind.operations(),
        });
        if field.kind == Kind::Resolution {
            let named = |own: &(&str, &str)| render::named(call, "resolution", &RESOLUTIONS, own.0);
            value["allowedValues"] = RESOLUTIONS.iter().map(named).collect();
        }
        out.insert(field.id.clone(), value);
    }
    out
}

fn describe(
    store: &Store,
    call: &Call<'_>,
    project: &Project,
    screen: &Screen,
    field: &Field,
    on: &OnScreen,
) -> Value {
    if let Some(described) = &on.described {
        let mut value = described.clone();
        value["required"] = json!(on.required);
        return value;
    }
    let schema = match field.id.as_str() {
        "parent" => json!({ "type": "issuelink", "system": "parent" }),
        _ => field.schema.clone(),
    };
    let mut value = json!({
        "required": on.required,
        "schema": schema,
        "name": field.name,
        "key": field.key,
        "hasDefaultValue": has_default(field),
        "operations": operations(field),
        "fieldId": field.id,
    });
    if field.id == "priority" {
        value["defaultValue"] = render::priority(call, "3");
    }
    if let Some(address) = complete(call, field, project) {
        value["autoCompleteUrl"] = json!(address);
    }
    if let Some(allowed) = allowed(store, call, project, screen, field) {
        value["allowedValues"] = Value::Array(allowed);
    }
    value
}

fn operations(field: &Field) -> Vec<&'static str> {
    match field.id.as_str() {
        "issuelinks" => vec!["add", "copy"],
        "attachment" => vec!["set", "copy"],
        "security" => vec!["set"],
        _ => field.kind.operations().to_vec(),
    }
}

/// Fields that the service fills when a create says nothing of them.
pub(super) fn has_default(field: &Field) -> bool {
    matches!(field.id.as_str(), "priority" | "reporter")
}

fn complete(call: &Call<'_>, field: &Field, project: &Project) -> Option<String> {
    match (field.id.as_str(), field.kind) {
        ("assignee", _) => Some(call.link(&format!("user/assignable/search?project={}&query=", project.key))),
        (_, Kind::User | Kind::Users) => Some(call.link("user/search?query=")),
        (_, Kind::Group | Kind::Groups) => Some(call.link("groups/picker?query=")),
        ("labels", _) => Some(format!("{}/rest/api/1.0/labels/suggest?query=", call.base)),
        _ => None,
    }
}

fn allowed(
    store: &Store,
    call: &Call<'_>,
    project: &Project,
    screen: &Screen,
    field: &Field,
) -> Option<Vec<Value>> {
    let parts = |components: bool| {
        let parts = if components { &project.components } else { &project.versions };
        parts.iter().map(|own| render::part(call, own, components)).collect()
    };
    Some(match field.kind {
        Kind::Choice | Kind::Choices => field.choices.iter().map(|own| render::choice(call, own)).collect(),
        Kind::Cascade => field
            .choices
            .iter()
            .map(|own| {
                let mut value = render::choice(call, own);
                if !own.children.is_empty() {
                    value["children"] = own.children.iter().map(|own| render::choice(call, own)).collect();
                }
                value
            })
            .collect(),
        Kind::Version | Kind::Versions => parts(false),
        Kind::Components => parts(true),
        Kind::Priority => PRIORITIES.iter().map(|own| render::priority(call, own.0)).collect(),
        Kind::IssueType => vec![render::issue_type(store, call, &screen.issue_type)],
        Kind::Project if field.id == "project" => vec![render::project(call, project)],
        Kind::Project => store.model.projects.iter().map(|own| render::project(call, own)).collect(),
        Kind::Resolution => {
            RESOLUTIONS.iter().map(|own| render::named(call, "resolution", &RESOLUTIONS, own.0)).collect()
        }
        Kind::Sprint => SPRINTS.iter().map(|own| render::sprint(own.0)).collect(),
        _ => return None,
    })
}
