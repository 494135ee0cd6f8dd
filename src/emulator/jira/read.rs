//! Issues as answers carry them: chosen fields and expansions, one issue, many by their keys.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::adf;
use super::call::{Call, commas};
use super::errors::{NO_ISSUE, Refusal};
use super::model::{Field, Kind};
use super::store::{Change, Issue, Store};
use super::{render, screens, transitions};
use crate::emulator::service::Reply;

/// What can be had besides the fields.
const EXPAND: &str =
    "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations,transitions";
/// Changes that `expand=changelog` gives.
const EXPANDED_CHANGES: usize = 40;

/// Which fields are asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    all: bool,
    navigable: bool,
    with: Vec<String>,
    without: Vec<String>,
    pub(super) properties: Vec<String>,
    pub(super) expand: Vec<String>,
}

impl Wanted {
    pub(super) fn new(fields: &[String], properties: Vec<String>, expand: Vec<String>) -> Self {
        let mut out = Self { properties, expand, ..Self::default() };
        for field in fields {
            match (field.as_str(), field.strip_prefix('-')) {
                ("*all", _) => out.all = true,
                ("*navigable", _) => out.navigable = true,
                (_, Some(field)) => out.without.push(field.to_owned()),
                (field, None) => out.with.push(field.to_owned()),
            }
        }
        if !out.without.is_empty() && out.with.is_empty() && !out.navigable {
            out.all = true;
        }
        out
    }

    fn has(&self, field: &Field) -> bool {
        let named = |list: &[String]| list.iter().any(|own| *own == field.id || *own == field.key);
        let chosen = self.all || (self.navigable && field.navigable) || named(&self.with);
        chosen && !named(&self.without)
    }

    /// Whether nothing but ids and keys is asked for, which makes longer pages possible.
    pub(super) fn is_slim(&self) -> bool {
        !self.all
            && !self.navigable
            && self.expand.is_empty()
            && self.with.iter().all(|own| matches!(own.as_str(), "id" | "key" | "issuekey"))
    }

    /// Whether only the id is asked for.
    fn is_bare(&self) -> bool {
        self.is_slim() && self.with.iter().all(|own| own == "id") && self.properties.is_empty()
    }

    fn expands(&self, what: &str) -> bool {
        self.expand.iter().any(|own| own == what)
    }
}

/// Answers requests that read issues; `None` for everything else.
pub(super) fn handle(store: &Store, call: &Call<'_>) -> Option<Result<Reply, Refusal>> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let get = *call.method() == Method::GET;
    Some(match segments.as_slice() {
        ["issue", "bulkfetch"] => call.only(&[Method::POST]).and_then(|()| bulk_fetch(store, call)),
        ["issue", key] if get => one(store, call, key),
        ["issue", key, "editmeta"] => {
            call.only(&[Method::GET]).and_then(|()| edit_metadata(store, call, key))
        }
        ["issue", key, "changelog"] => call.only(&[Method::GET]).and_then(|()| changelog(store, call, key)),
        _ => return None,
    })
}

/// An issue that the account sees.
pub(super) fn find(store: &Store, call: &Call<'_>, key: &str) -> Result<Arc<Issue>, Refusal> {
    let found = call.account.as_ref().and_then(|_| store.find(key));
    found.ok_or_else(|| Refusal::not_found(NO_ISSUE))
}

fn one(store: &Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    let issue = find(store, call, key)?;
    let mut fields = call.list("fields");
    if fields.is_empty() {
        fields.push("*all".to_owned());
    }
    let wanted = Wanted::new(&fields, call.list("properties"), call.list("expand"));
    let mut value = self::issue(store, call, &issue, &wanted);
    describe(store, &wanted, &mut value);
    Ok(Reply::json(StatusCode::OK, &value))
}

/// `names` and `schema` beside the fields, where asked for.
pub(super) fn describe(store: &Store, wanted: &Wanted, value: &mut Value) {
    let shown = || store.model.fields.iter().filter(|field| wanted.has(field));
    if wanted.expands("names") {
        value["names"] = Value::Object(shown().map(|field| (field.id.clone(), json!(field.name))).collect());
    }
    if wanted.expands("schema") {
        let with = shown().filter(|field| !field.schema.is_null());
        value["schema"] = Value::Object(with.map(|field| (field.id.clone(), field.schema.clone())).collect());
    }
}

/// One issue with what is asked of it.
pub(super) fn issue(store: &Store, call: &Call<'_>, issue: &Issue, wanted: &Wanted) -> Value {
    if wanted.is_bare() {
        return json!({ "id": issue.id.to_string() });
    }
    let mut value = json!({
        "expand": EXPAND,
        "id": issue.id.to_string(),
        "self": call.link(&format!("issue/{}", issue.id)),
        "key": store.key(issue),
    });
    let mut fields = Map::new();
    let mut rendered = Map::new();
    for field in store.model.fields.iter().filter(|field| wanted.has(field)) {
        if matches!(field.id.as_str(), "issuekey" | "thumbnail") || !belongs(store, issue, field) {
            continue;
        }
        let shown = render::value(store, call, issue, field);
        if wanted.expands("renderedFields") {
            let stored = issue.get(&field.id);
            let html = field.kind == Kind::Rich && !stored.is_null();
            rendered.insert(field.id.clone(), if html { json!(adf::to_html(stored)) } else { Value::Null });
        }
        fields.insert(field.id.clone(), shown);
    }
    value["fields"] = Value::Object(fields);
    if wanted.expands("renderedFields") {
        value["renderedFields"] = Value::Object(rendered);
    }
    if !wanted.properties.is_empty() {
        let all = wanted.properties.iter().any(|own| own == "*all");
        let chosen = issue.properties.iter().filter(|(key, _)| all || wanted.properties.contains(key));
        value["properties"] = Value::Object(chosen.map(|(key, own)| (key.clone(), own.clone())).collect());
    }
    if wanted.expands("changelog") {
        let newest: Vec<Value> = issue
            .history
            .iter()
            .rev()
            .take(EXPANDED_CHANGES)
            .map(|change| self::change(store, call, change))
            .collect();
        value["changelog"] = json!({
            "startAt": 0, "maxResults": newest.len(), "total": issue.history.len(), "histories": newest,
        });
    }
    if wanted.expands("transitions") {
        value["transitions"] = transitions::open(store, call, issue, false).into();
    }
    if wanted.expands("editmeta") {
        value["editmeta"] = json!({ "fields": editable(store, call, issue) });
    }
    value
}

/// Whether an issue has a field at all: a custom field only where its screen, or a value, has it.
fn belongs(store: &Store, issue: &Issue, field: &Field) -> bool {
    if !field.is_custom() || !issue.get(&field.id).is_null() {
        return true;
    }
    let screen =
        store.model.project(issue.project()).and_then(|project| project.screen(issue.text("issuetype")));
    screen.is_some_and(|screen| screen.get(&field.id).is_some())
}

fn editable(store: &Store, call: &Call<'_>, issue: &Issue) -> Map<String, Value> {
    let Some(project) = store.model.project(issue.project()) else { return Map::new() };
    let Some(screen) = project.screen(issue.text("issuetype")) else { return Map::new() };
    let mut fields: Map<String, Value> =
        screens::fields(store, call, project, screen, false).into_iter().collect();
    if let Some(comment) = store.model.field("comment") {
        let described = json!({
            "required": false,
            "schema": comment.schema,
            "name": comment.name,
            "key": comment.key,
            "operations": ["add", "edit", "remove"],
        });
        fields.insert(comment.id.clone(), described);
    }
    fields
}

fn edit_metadata(store: &Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    let issue = find(store, call, key)?;
    Ok(Reply::json(StatusCode::OK, &json!({ "fields": editable(store, call, &issue) })))
}

fn changelog(store: &Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    let issue = find(store, call, key)?;
    let all: Vec<Value> = issue.history.iter().map(|own| change(store, call, own)).collect();
    super::metadata::page(call, 100, &all)
}

fn change(store: &Store, call: &Call<'_>, own: &Change) -> Value {
    let items: Vec<Value> = own
        .differences
        .iter()
        .map(|difference| {
            let (from, from_name) = store.shown(&difference.field, &difference.from);
            let (to, to_name) = store.shown(&difference.field, &difference.to);
            let custom = difference.field.starts_with("customfield_");
            let field = store.model.field(&difference.field).filter(|_| custom);
            json!({
                "field": field.map_or(difference.field.as_str(), |field| field.name.as_str()),
                "fieldtype": if custom { "custom" } else { "jira" },
                "fieldId": difference.field,
                "from": from,
                "fromString": from_name,
                "to": to,
                "toString": to_name,
            })
        })
        .collect();
    let author = store.model.person(&own.author).map_or(Value::Null, |person| render::person(call, person));
    json!({ "id": own.id.to_string(), "author": author, "created": render::moment(own.at), "items": items })
}

fn bulk_fetch(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let texts = |name: &str| -> Vec<String> {
        body[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let keys = texts("issueIdsOrKeys");
    if keys.is_empty() || keys.len() > 100 {
        return Err(Refusal::bad("The number of issue IDs or keys must be between 1 and 100."));
    }
    let mut fields = texts("fields");
    if fields.is_empty() {
        fields.push("*navigable".to_owned());
    }
    let expand = texts("expand").iter().flat_map(|own| commas(own)).collect();
    let wanted = Wanted::new(&fields, texts("properties"), expand);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for key in keys {
        match find(store, call, &key) {
            Ok(issue) => found.push(issue),
            Err(_) => missing.push(json!({ "id": key, "errorMessage": NO_ISSUE })),
        }
    }
    found.sort_by_key(|issue| issue.id);
    found.dedup_by_key(|issue| issue.id);
    let issues: Vec<Value> = found.iter().map(|own| issue(store, call, own, &wanted)).collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "issues": issues, "issueErrors": missing })))
}
