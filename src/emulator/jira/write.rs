//! Creating, changing and deleting issues.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::model::{Field, Kind, Project, Screen};
use super::read::{self, Wanted};
use super::store::{Change, Difference, Issue, Store};
use super::values::Place;
use super::{metadata, notes, screens};
use crate::emulator::service::Reply;

const NOT_ON_SCREEN: &str = "cannot be set. It is not on the appropriate screen, or unknown.";
const MOST_AT_ONCE: usize = 50;

/// New values of an issue's fields, checked.
#[derive(Debug, Default)]
pub(super) struct Draft {
    values: Map<String, Value>,
}

pub(super) fn difference(issue: &Issue, field: &str, to: Value) -> Difference {
    Difference { field: field.to_owned(), from: issue.get(field).clone(), to }
}

fn home<'a>(store: &'a Store, issue: &Issue) -> Option<(&'a Project, &'a Screen)> {
    let project = store.model.project(issue.project())?;
    Some((project, project.screen(issue.text("issuetype"))?))
}

impl Draft {
    /// Reads `fields` and `update`, telling everything that is wrong at once. `also` are fields that may be set
    /// although the issue's screen does not have them.
    pub(super) fn read(
        store: &Store,
        call: &Call<'_>,
        issue: &Issue,
        body: &Value,
        also: &[&str],
    ) -> Result<Self, Refusal> {
        let mut out = Self::default();
        let Some((project, screen)) = home(store, issue) else { return Ok(out) };
        let place = Place { store, project, documents: call.documents() };
        let mut errors = Map::new();
        let on_screen = |id: &str| {
            let shown = screen.get(id).is_some() || also.contains(&id);
            store.model.field(id).filter(|field| shown && !field.kind.operations().is_empty())
        };
        for (id, given) in body["fields"].as_object().into_iter().flatten() {
            let read = match on_screen(id) {
                None => Err(format!("Field '{id}' {NOT_ON_SCREEN}")),
                Some(_) if body["update"].get(id).is_some() => {
                    Err("Field is included in both 'fields' and 'update'.".to_owned())
                }
                Some(field) => place.read(field, given),
            };
            match read {
                Ok(value) => out.values.insert(id.clone(), value),
                Err(message) => errors.insert(id.clone(), json!(message)),
            };
        }
        for (id, verbs) in body["update"].as_object().into_iter().flatten() {
            if matches!(id.as_str(), "comment" | "worklog" | "issuelinks") || errors.contains_key(id) {
                continue;
            }
            let read = match on_screen(id) {
                None => Err(format!("Field '{id}' {NOT_ON_SCREEN}")),
                Some(field) => update(&place, field, issue.get(id), verbs),
            };
            match read {
                Ok(value) => out.values.insert(id.clone(), value),
                Err(message) => errors.insert(id.clone(), json!(message)),
            };
        }
        if errors.is_empty() { Ok(out) } else { Err(Refusal::fields(errors)) }
    }

    /// The value that a field will have.
    pub(super) fn value<'a>(&'a self, issue: &'a Issue, field: &str) -> &'a Value {
        self.values.get(field).unwrap_or(issue.get(field))
    }

    /// What really changes.
    pub(super) fn into_differences(self, issue: &Issue) -> Vec<Difference> {
        let changed = self.values.into_iter().filter(|(field, value)| issue.get(field) != value);
        changed.map(|(field, to)| difference(issue, &field, to)).collect()
    }
}

/// Carries out the verbs of `update` on a field.
fn update(place: &Place<'_>, field: &Field, old: &Value, verbs: &Value) -> Result<Value, String> {
    let verbs = verbs.as_array().ok_or_else(|| "data was not an array".to_owned())?;
    let mut value = old.clone();
    for verb in verbs.iter().filter_map(Value::as_object).flatten() {
        let (name, given) = verb;
        if !field.kind.operations().contains(&name.as_str()) {
            return Err(format!("Field does not support update '{name}'"));
        }
        match name.as_str() {
            "set" | "edit" if field.kind == Kind::Parent && given["none"] == true => value = Value::Null,
            "set" | "edit" => value = place.read(field, given)?,
            _ => {
                let one = place.element(field, given)?;
                let mut list = value.as_array().cloned().unwrap_or_default();
                list.retain(|own| *own != one);
                if name == "add" {
                    list.push(one);
                }
                value = if list.is_empty() { Value::Null } else { Value::Array(list) };
            }
        }
    }
    Ok(value)
}

/// Stores an issue with its changes, and the comments that came along.
pub(super) fn commit(
    store: &mut Store,
    call: &Call<'_>,
    mut issue: Issue,
    differences: Vec<Difference>,
    body: &Value,
) -> Result<(), Refusal> {
    let now = call.request.now.as_millisecond();
    let author = metadata::me(&store.model, call)?.account.clone();
    notes::from_update(store, call, &mut issue, body)?;
    for own in &differences {
        issue.fields.insert(own.field.clone(), own.to.clone());
    }
    if !differences.is_empty() {
        issue.history.push(Change { id: store.claim_part(), author, at: now, differences });
    }
    issue.fields.insert("updated".to_owned(), json!(now));
    store.keep(issue);
    Ok(())
}

pub(super) fn create(store: &mut Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let created = create_one(store, call, &body)?;
    Ok(Reply::json(StatusCode::CREATED, &created).committed())
}

fn create_one(store: &mut Store, call: &Call<'_>, body: &Value) -> Result<Value, Refusal> {
    let fields = body["fields"].as_object().ok_or_else(|| Refusal::field("fields", "can't be null"))?;
    let named =
        |value: &Value| ["id", "key"].iter().find_map(|name| value[*name].as_str().map(str::to_owned));
    let project = fields.get("project").and_then(named).filter(|_| call.account.is_some());
    let project = project.and_then(|named| store.model.project(&named)).cloned();
    let project = project.ok_or_else(|| Refusal::field("project", "Specify a valid project ID or key"))?;
    let given = fields.get("issuetype").filter(|given| !given.is_null());
    let given = given.ok_or_else(|| Refusal::field("issuetype", "Specify an issue type"))?;
    let type_field = store.model.field("issuetype");
    let place = Place { store, project: &project, documents: call.documents() };
    let issue_type = type_field.map_or(Err(String::new()), |field| place.read(field, given));
    let issue_type = issue_type.map_err(|message| Refusal::field("issuetype", message))?;
    let me = metadata::me(&store.model, call)?.account.clone();
    let now = call.request.now.as_millisecond();
    let mut draft_of = Map::new();
    for (field, value) in [
        ("project", json!(project.id)),
        ("issuetype", issue_type),
        ("status", json!("10000")),
        ("priority", json!("3")),
        ("reporter", json!(me)),
        ("creator", json!(me)),
        ("created", json!(now)),
        ("updated", json!(now)),
    ] {
        draft_of.insert(field.to_owned(), value);
    }
    let mut issue = Issue {
        id: 0,
        number: 0,
        fields: draft_of,
        comments: Vec::new(),
        work: Vec::new(),
        attachments: Vec::new(),
        properties: Map::new(),
        watchers: vec![me],
        voters: Vec::new(),
        history: Vec::new(),
    };
    let draft = Draft::read(store, call, &issue, body, &["project", "issuetype"])?;
    let missing = missing(store, &issue, &draft, true);
    if !missing.is_empty() {
        return Err(Refusal::fields(missing));
    }
    for (field, value) in draft.values {
        issue.fields.insert(field, value);
    }
    for own in body["properties"].as_array().into_iter().flatten() {
        if let Some(key) = own["key"].as_str() {
            issue.properties.insert(key.to_owned(), own["value"].clone());
        }
    }
    notes::from_update(store, call, &mut issue, body)?;
    let (id, number) = store.claim(&project.id);
    issue.id = id;
    issue.number = number;
    let key = store.key(&issue);
    store.keep(issue);
    Ok(json!({ "id": id.to_string(), "key": key, "self": call.link(&format!("issue/{id}")) }))
}

/// Required fields that have no value; when changing, only those that the change empties.
fn missing(store: &Store, issue: &Issue, draft: &Draft, creating: bool) -> Map<String, Value> {
    let mut out = Map::new();
    let Some((_, screen)) = home(store, issue) else { return out };
    for on in screen.fields.iter().filter(|on| on.required) {
        let Some(field) = store.model.field(&on.field) else { continue };
        let untouched = !creating && !draft.values.contains_key(&on.field);
        if untouched || !draft.value(issue, &on.field).is_null() || creating && screens::has_default(field) {
            continue;
        }
        let message = match on.field.as_str() {
            "summary" => "You must specify a summary of the issue.".to_owned(),
            _ => format!("{} is required.", field.name),
        };
        out.insert(on.field.clone(), json!(message));
    }
    out
}

/// Creates up to 50 issues, each for itself; every `refuse`th is refused.
pub(super) fn create_many(
    store: &mut Store,
    call: &Call<'_>,
    refuse: Option<usize>,
) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let rows = body["issueUpdates"].as_array().ok_or_else(|| Refusal::bad("issueUpdates can't be null"))?;
    if rows.is_empty() || rows.len() > MOST_AT_ONCE {
        return Err(Refusal::bad(format!("The number of issues must be between 1 and {MOST_AT_ONCE}.")));
    }
    let (mut issues, mut errors) = (Vec::new(), Vec::new());
    for (number, row) in rows.iter().enumerate() {
        let struck = refuse.is_some_and(|every| every > 0 && (number + 1) % every == 0);
        let made = if struck {
            Err(Refusal::field("summary", "The issue could not be created."))
        } else {
            create_one(store, call, row)
        };
        match made {
            Ok(created) => issues.push(created),
            Err(refusal) => errors.push(refusal.element(number)),
        }
    }
    let none = issues.is_empty();
    let status = if none { StatusCode::BAD_REQUEST } else { StatusCode::CREATED };
    let reply = Reply::json(status, &json!({ "issues": issues, "errors": errors }));
    Ok(if none { reply } else { reply.committed() })
}

pub(super) fn edit(store: &mut Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    let issue = read::find(store, call, key)?;
    let body = call.json()?;
    if !body["fields"].is_object() && !body["update"].is_object() {
        return Err(Refusal::bad("one of 'fields' or 'update' required"));
    }
    let draft = Draft::read(store, call, &issue, &body, &[])?;
    let missing = missing(store, &issue, &draft, false);
    if !missing.is_empty() {
        return Err(Refusal::fields(missing));
    }
    let differences = draft.into_differences(&issue);
    let id = issue.id;
    commit(store, call, (*issue).clone(), differences, &body)?;
    if call.option("returnIssue") == Some("true") {
        let issue = store.get(id).ok_or_else(|| Refusal::not_found(super::errors::NO_ISSUE))?;
        let wanted = Wanted::new(&["*all".to_owned()], Vec::new(), call.list("expand"));
        let body = read::issue(store, call, &issue, &wanted);
        return Ok(Reply::json(StatusCode::OK, &body).committed());
    }
    Ok(no_content())
}

/// 204 as the service sends it: with a content type all the same.
pub(super) fn no_content() -> Reply {
    Reply::new(StatusCode::NO_CONTENT, "application/json;charset=UTF-8", "").committed()
}

pub(super) fn delete(store: &mut Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    call.only(&[Method::DELETE])?;
    let issue = read::find(store, call, key)?;
    let subtasks = store.subtasks(issue.id);
    if !subtasks.is_empty() && call.option("deleteSubtasks") != Some("true") {
        return Err(Refusal::bad(format!(
            "The issue '{}' has subtasks.  You must specify the 'deleteSubtasks' parameter to delete this issue and all its \
             subtasks.",
            store.key(&issue)
        )));
    }
    for child in store.children(issue.id) {
        if child.is_subtask() {
            store.remove(child.id);
        } else {
            let mut child = (*child).clone();
            child.fields.remove("parent");
            store.keep(child);
        }
    }
    store.remove(issue.id);
    Ok(no_content())
}

pub(super) fn assign(store: &mut Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    call.only(&[Method::PUT])?;
    let issue = read::find(store, call, key)?;
    let body = call.json()?;
    let to = match &body["accountId"] {
        Value::Null => Value::Null,
        // The default assignee is the lead of the project.
        Value::String(default) if default == "-1" => {
            store.model.people.first().map_or(Value::Null, |own| json!(own.account))
        }
        Value::String(account) if store.model.person(account).is_some_and(|own| own.active) => json!(account),
        other => {
            let message = format!("User '{}' cannot be assigned issues.", other.as_str().unwrap_or_default());
            return Err(Refusal::field("assignee", message));
        }
    };
    let change = difference(&issue, "assignee", to);
    let changes = if change.from == change.to { Vec::new() } else { vec![change] };
    commit(store, call, (*issue).clone(), changes, &Value::Null)?;
    Ok(no_content())
}
