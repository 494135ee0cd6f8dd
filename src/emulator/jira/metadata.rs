//! What the site is made of: fields, types, statuses, people, projects, and the forms of create metadata.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::model::{
    CATEGORIES, Field, GROUPS, LINK_TYPES, Model, PRIORITIES, Person, Project, RESOLUTIONS, STATUSES,
};
use super::store::Store;
use super::{render, screens};
use crate::emulator::service::Reply;

/// Bytes of the largest file that the site takes.
const UPLOAD_MOST: u64 = 1_073_741_824;

fn ok(body: &Value) -> Result<Reply, Refusal> {
    Ok(Reply::json(StatusCode::OK, body))
}

/// Answers what is metadata; `None` for everything else.
pub(super) fn handle(store: &Store, call: &Call<'_>) -> Option<Result<Reply, Refusal>> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let known = matches!(
        segments.as_slice(),
        ["field"
            | "issuetype"
            | "priority"
            | "status"
            | "statuscategory"
            | "resolution"
            | "issueLinkType"
            | "label"]
            | ["field" | "project" | "user" | "users" | "resolution", "search"]
            | ["user", "assignable", "search"]
            | ["groups", "picker"]
            | ["project", _]
            | ["project", _, "versions" | "version" | "components" | "component"]
            | ["issue", "createmeta", ..]
            | ["attachment", "meta"]
            | ["project", _, "statuses"]
            | ["myself" | "serverInfo" | "user"]
    );
    if !known {
        return None;
    }
    Some(call.only(&[Method::GET]).and_then(|()| answer(store, call, &segments)))
}

fn answer(store: &Store, call: &Call<'_>, segments: &[&str]) -> Result<Reply, Refusal> {
    let signed_in = call.account.is_some();
    match segments {
        ["myself"] => myself(store, call),
        ["serverInfo"] => ok(&server_info(call)),
        ["field"] => ok(&store.model.fields.iter().map(field).collect()),
        ["field", "search"] => {
            let wanted = call.option("query").unwrap_or_default().to_lowercase();
            let found: Vec<Value> = store
                .model
                .fields
                .iter()
                // The document has no field without a schema here.
                .filter(|own| own.name.to_lowercase().contains(&wanted) && !own.schema.is_null())
                .map(found_field)
                .collect();
            page(call, 50, &found)
        }
        ["issuetype"] => {
            listed(signed_in, store.model.types.iter().map(|own| render::issue_type(store, call, &own.id)))
        }
        ["priority"] => listed(signed_in, PRIORITIES.iter().map(|own| render::priority(call, own.0))),
        ["status"] => listed(signed_in, STATUSES.iter().map(|own| render::status(call, own.id))),
        ["statuscategory"] => listed(signed_in, CATEGORIES.iter().map(|own| super::model::category(own.0))),
        ["resolution"] => listed(signed_in, RESOLUTIONS.iter().map(|own| resolution(call, own.0))),
        ["resolution", "search"] => {
            let all: Vec<Value> = RESOLUTIONS.iter().map(|own| resolution(call, own.0)).collect();
            page(call, 50, if signed_in { &all } else { &[] })
        }
        ["issueLinkType"] => {
            let types: Vec<Value> = LINK_TYPES.iter().map(|own| render::link_type(call, own)).collect();
            ok(&json!({ "issueLinkTypes": types }))
        }
        ["label"] => page(call, 1_000, &labels(store, signed_in)),
        ["user"] => user(store, call),
        ["users", "search"] => people(store, call, false),
        ["user", "search"] => people(store, call, false),
        ["user", "assignable", "search"] => people(store, call, true),
        ["groups", "picker"] => ok(&groups(call)),
        ["project", "search"] => {
            let wanted = call.option("query").unwrap_or_default().to_lowercase();
            let named = |own: &&Project| {
                own.key.to_lowercase().contains(&wanted) || own.name.to_lowercase().contains(&wanted)
            };
            let all: Vec<Value> = visible(store, call)
                .filter(named)
                .map(|own| {
                    let mut value = render::project(call, own);
                    if call.expands("issueTypes") {
                        value["issueTypes"] = issue_types(store, call, own);
                    }
                    if call.expands("lead") {
                        value["lead"] = lead(store, call);
                    }
                    value
                })
                .collect();
            page(call, 50, &all)
        }
        ["project", key] => {
            let own = project(store, call, key)?;
            let mut value = render::project(call, own);
            value["issueTypes"] = issue_types(store, call, own);
            value["components"] = own.components.iter().map(|own| render::part(call, own, true)).collect();
            value["versions"] = own.versions.iter().map(|own| render::part(call, own, false)).collect();
            value["lead"] = lead(store, call);
            ok(&value)
        }
        ["attachment", "meta"] => ok(&json!({ "enabled": true, "uploadLimit": UPLOAD_MOST })),
        ["project", key, "statuses"] => ok(&statuses(call, store, project(store, call, key)?)),
        ["project", key, what] => {
            let own = project(store, call, key)?;
            let components = what.starts_with('c');
            let parts = if components { &own.components } else { &own.versions };
            let all: Vec<Value> =
                parts.iter().map(|part| super::parts::shown(store, call, own, part, components)).collect();
            if what.ends_with('s') { ok(&Value::Array(all)) } else { page(call, 50, &all) }
        }
        ["issue", "createmeta", key, "issuetypes"] => {
            let own = project(store, call, key)?;
            let types: Vec<Value> = own
                .screens
                .iter()
                .map(|screen| render::issue_type(store, call, &screen.issue_type))
                .collect();
            form_page(call, "issueTypes", &types)
        }
        ["issue", "createmeta", key, "issuetypes", issue_type] => {
            let own = project(store, call, key)?;
            let screen = own.screen(issue_type).ok_or_else(|| {
                Refusal::not_found(format!(
                    "No issue type with id '{issue_type}' could be found in the project."
                ))
            })?;
            let fields = screens::fields(store, call, own, screen, true);
            let fields: Vec<Value> = fields.into_iter().map(|(_, field)| field).collect();
            form_page(call, "fields", &fields)
        }
        ["issue", "createmeta"] => ok(&whole_metadata(store, call)),
        _ => Err(call.no_route()),
    }
}

/// The statuses of each issue type of a project, as its workflow has them.
fn statuses(call: &Call<'_>, store: &Store, project: &Project) -> Value {
    let steps = store.model.workflow(&project.id);
    let used = STATUSES.iter().filter(|own| steps.iter().any(|step| step.to == own.id));
    let statuses: Vec<Value> = used.map(|own| render::status(call, own.id)).collect();
    let each = project.screens.iter().filter_map(|screen| {
        let own = store.model.issue_type(&screen.issue_type)?;
        Some(json!({
            "self": call.link(&format!("issuetype/{}", own.id)),
            "id": own.id,
            "name": own.name,
            "subtask": own.level < 0,
            "statuses": statuses,
        }))
    });
    each.collect()
}

fn issue_types(store: &Store, call: &Call<'_>, project: &Project) -> Value {
    project.screens.iter().map(|screen| render::issue_type(store, call, &screen.issue_type)).collect()
}

fn listed(signed_in: bool, list: impl Iterator<Item = Value>) -> Result<Reply, Refusal> {
    ok(&Value::Array(if signed_in { list.collect() } else { Vec::new() }))
}

/// A page with `values`.
pub(super) fn page(call: &Call<'_>, default: usize, all: &[Value]) -> Result<Reply, Refusal> {
    let stretch = call.stretch(default, 100.max(default))?;
    ok(&json!({
        "self": call.link(&call.segments.join("/")),
        "maxResults": stretch.size,
        "startAt": stretch.start,
        "total": all.len(),
        "isLast": stretch.is_last(all.len()),
        "values": stretch.of(all),
    }))
}

/// A page of create metadata.
fn form_page(call: &Call<'_>, rows: &str, all: &[Value]) -> Result<Reply, Refusal> {
    if call.number("maxResults")?.is_some_and(|size| size > 200) {
        return Err(Refusal::bad("Parameter 'maxResults' must not exceed the limit '200'"));
    }
    let stretch = call.stretch(50, 200)?;
    let mut body = json!({ "startAt": stretch.start, "maxResults": stretch.size, "total": all.len() });
    body[rows] = Value::Array(stretch.of(all));
    ok(&body)
}

/// Create metadata in the older form, all in one.
fn whole_metadata(store: &Store, call: &Call<'_>) -> Value {
    let keys = call.list("projectKeys");
    let wanted =
        |own: &&Project| keys.is_empty() || keys.iter().any(|key| key.eq_ignore_ascii_case(&own.key));
    let with_fields = call.expands("projects.issuetypes.fields");
    let projects: Vec<Value> = visible(store, call)
        .filter(wanted)
        .map(|own| {
            let types = own.screens.iter().map(|screen| {
                let mut value = render::issue_type(store, call, &screen.issue_type);
                if with_fields {
                    value["fields"] =
                        Value::Object(screens::fields(store, call, own, screen, true).into_iter().collect());
                }
                value
            });
            let mut value = render::project(call, own);
            value["issuetypes"] = types.collect();
            value
        })
        .collect();
    json!({ "expand": "projects", "projects": projects })
}

/// Projects that the account sees: an anonymous one sees none.
pub(super) fn visible<'a>(store: &'a Store, call: &Call<'_>) -> impl Iterator<Item = &'a Project> + use<'a> {
    let all = if call.account.is_some() { store.model.projects.as_slice() } else { &[] };
    all.iter()
}

pub(super) fn project<'a>(store: &'a Store, call: &Call<'_>, key: &str) -> Result<&'a Project, Refusal> {
    store
        .model
        .project(key)
        .filter(|_| call.account.is_some())
        .ok_or_else(|| Refusal::not_found(format!("No project could be found with key '{key}'.")))
}

/// Refuses everybody who has not signed in.
pub(super) fn me<'a>(model: &'a Model, call: &Call<'_>) -> Result<&'a Person, Refusal> {
    call.account.as_deref().and_then(|own| model.person(own)).ok_or_else(|| {
        Refusal::new(
            StatusCode::UNAUTHORIZED,
            "You are not authenticated. Authentication required to perform this operation.",
        )
    })
}

fn myself(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let mut value = render::person(call, me(&store.model, call)?);
    value["locale"] = json!("en_US");
    if call.expands("groups") {
        value["groups"] = json!({ "size": GROUPS.len(), "items": [] });
    }
    ok(&value)
}

fn user(store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    me(&store.model, call)?;
    let wanted = call.option("accountId").unwrap_or_default();
    let own = store.model.person(wanted).ok_or_else(|| {
        Refusal::not_found("Specified user does not exist or you do not have required permissions")
    })?;
    ok(&render::person(call, own))
}

fn people(store: &Store, call: &Call<'_>, active: bool) -> Result<Reply, Refusal> {
    me(&store.model, call)?;
    let query = call.option("query").unwrap_or_default().to_lowercase();
    let account = call.option("accountId");
    let found: Vec<Value> = store
        .model
        .people
        .iter()
        .filter(|own| own.active || !active)
        .filter(|own| account.is_none_or(|account| own.account == account))
        .filter(|own| own.name.to_lowercase().contains(&query) || own.email.contains(&query))
        .map(|own| render::person(call, own))
        .collect();
    ok(&Value::Array(call.stretch(50, 1_000)?.of(&found)))
}

fn groups(call: &Call<'_>) -> Value {
    let query = call.option("query").unwrap_or_default().to_lowercase();
    let own = |name: &&&str| call.account.is_some() && name.contains(&query);
    let found: Vec<Value> = GROUPS
        .iter()
        .filter(own)
        .map(|name| json!({ "name": name, "html": name, "groupId": render::group_id(name), "labels": [] }))
        .collect();
    let header = format!("Showing {} of {} matching groups", found.len(), found.len());
    json!({ "header": header, "total": found.len(), "groups": found })
}

fn labels(store: &Store, signed_in: bool) -> Vec<Value> {
    let mut all: Vec<String> = Vec::new();
    for issue in store.issues().filter(|_| signed_in) {
        let own = issue.get("labels").as_array().into_iter().flatten();
        all.extend(own.filter_map(Value::as_str).map(str::to_owned));
    }
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(Value::String).collect()
}

fn resolution(call: &Call<'_>, id: &str) -> Value {
    let mut value = render::named(call, "resolution", &RESOLUTIONS, id);
    value["description"] = json!("");
    value
}

/// Fields of the system that stand on no screen.
const UNPLACED: [&str; 20] = [
    "aggregateprogress",
    "aggregatetimespent",
    "created",
    "creator",
    "lastViewed",
    "progress",
    "project",
    "resolutiondate",
    "status",
    "statusCategory",
    "statuscategorychangedate",
    "subtasks",
    "thumbnail",
    "timeestimate",
    "timeoriginalestimate",
    "timespent",
    "updated",
    "votes",
    "watches",
    "workratio",
];

fn field(own: &Field) -> Value {
    let mut value = json!({
        "id": own.id,
        "key": own.key,
        "name": own.name,
        "custom": own.is_custom(),
        "orderable": !own.schema.is_null() && !UNPLACED.contains(&own.id.as_str()),
        "navigable": own.navigable,
        "searchable": !own.clauses.is_empty(),
        "clauseNames": own.clauses,
    });
    if own.is_custom() {
        value["untranslatedName"] = json!(own.name);
    }
    if !own.schema.is_null() {
        value["schema"] = own.schema.clone();
    }
    value
}

/// Who answers for a project: the first of the people.
fn lead(store: &Store, call: &Call<'_>) -> Value {
    store.model.people.first().map_or(Value::Null, |own| render::person(call, own))
}

fn found_field(own: &Field) -> Value {
    json!({ "id": own.id, "key": own.key, "name": own.name, "description": "", "schema": own.schema })
}

fn server_info(call: &Call<'_>) -> Value {
    json!({
        "baseUrl": call.base,
        "displayUrl": call.base,
        "version": "1001.0.0-SNAPSHOT",
        "versionNumbers": [1001, 0, 0],
        "deploymentType": "Cloud",
        "buildNumber": 100_290,
        "buildDate": render::moment(1_767_000_000_000),
        "serverTime": render::moment(call.request.now.as_millisecond()),
        "scmInfo": "0000000000000000000000000000000000000000",
        "serverTitle": "Jira",
        "serverTimeZone": render::ZONE_NAME,
    })
}
