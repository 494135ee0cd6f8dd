//! Values as answers show them.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Map, Value, json};

use super::adf;
use super::call::Call;
use super::model::{
    self, Choice, Field, Kind, LINK_TYPES, PRIORITIES, Part, Person, Project, RESOLUTIONS, SPRINTS,
};
use super::store::{Attachment, Issue, Note, Store};

/// The zone of everybody's profile: three hours behind UTC all year.
pub(super) const ZONE_NAME: &str = "America/Sao_Paulo";
/// Comments and records of work that an issue itself carries.
const EMBEDDED_WORK: usize = 20;

pub(super) fn zone() -> TimeZone {
    TimeZone::fixed(Offset::constant(-3))
}

/// Milliseconds as date-times are written: an offset without colon.
pub(super) fn moment(millis: i64) -> Value {
    let Ok(at) = Timestamp::from_millisecond(millis) else { return Value::Null };
    json!(at.to_zoned(zone()).strftime("%Y-%m-%dT%H:%M:%S.%3f%z").to_string())
}

pub(super) fn person(call: &Call<'_>, person: &Person) -> Value {
    let address = call.link("user").replace("/latest/", "/2/");
    json!({
        "self": format!("{address}?accountId={}", person.account.replace(':', "%3A")),
        "accountId": person.account,
        "accountType": "atlassian",
        "emailAddress": person.email,
        "avatarUrls": avatars("user"),
        "displayName": person.name,
        "active": person.active,
        "timeZone": ZONE_NAME,
    })
}

fn avatars(what: &str) -> Value {
    let address = |size: u32| format!("https://avatars.example/{what}/{size}.png");
    json!({ "48x48": address(48), "24x24": address(24), "16x16": address(16), "32x32": address(32) })
}

fn account(store: &Store, call: &Call<'_>, id: &str) -> Value {
    store.model.person(id).map_or(Value::Null, |own| person(call, own))
}

pub(super) fn project(call: &Call<'_>, own: &Project) -> Value {
    json!({
        "self": call.link(&format!("project/{}", own.id)),
        "id": own.id,
        "key": own.key,
        "name": own.name,
        "projectTypeKey": "software",
        "simplified": false,
        "avatarUrls": avatars("project"),
    })
}

pub(super) fn issue_type(store: &Store, call: &Call<'_>, id: &str) -> Value {
    let Some(own) = store.model.issue_type(id) else { return Value::Null };
    json!({
        "self": call.link(&format!("issuetype/{id}")),
        "id": id,
        "description": "",
        "iconUrl": "https://avatars.example/issuetype/16.svg",
        "name": own.name,
        "subtask": own.level < 0,
        "avatarId": 10_300,
        "hierarchyLevel": own.level,
    })
}

pub(super) fn status(call: &Call<'_>, id: &str) -> Value {
    let Some(own) = model::status(id) else { return Value::Null };
    let mut category = model::category(own.category);
    category["self"] = json!(call.link(&format!("statuscategory/{}", own.category)));
    json!({
        "self": call.link(&format!("status/{id}")),
        "description": "",
        "iconUrl": "https://avatars.example/status/16.png",
        "name": own.name,
        "id": id,
        "statusCategory": category,
    })
}

pub(super) fn named(call: &Call<'_>, what: &str, list: &[(&str, &str)], id: &str) -> Value {
    let Some((id, name)) = list.iter().find(|own| own.0 == id) else { return Value::Null };
    json!({ "self": call.link(&format!("{what}/{id}")), "id": id, "name": name })
}

pub(super) fn priority(call: &Call<'_>, id: &str) -> Value {
    let mut value = named(call, "priority", &PRIORITIES, id);
    if !value.is_null() {
        value["iconUrl"] = json!("https://avatars.example/priority/16.svg");
    }
    value
}

pub(super) fn part(call: &Call<'_>, own: &Part, components: bool) -> Value {
    let mut value = json!({
        "self": call.link(&format!("{}/{}", if components { "component" } else { "version" }, own.id)),
        "id": own.id,
        "name": own.name,
    });
    if !components {
        value["archived"] = json!(false);
        value["released"] = json!(own.released);
    }
    value
}

pub(super) fn choice(call: &Call<'_>, own: &Choice) -> Value {
    let address = call.link(&format!("customFieldOption/{}", own.id));
    json!({ "self": address, "value": own.value, "id": own.id })
}

pub(super) fn sprint(number: u64) -> Value {
    let Some((id, name, state)) = SPRINTS.iter().find(|own| own.0 == number) else { return Value::Null };
    json!({ "id": id, "name": name, "state": state, "boardId": 1, "goal": "" })
}

/// Rich text as this version has it.
pub(super) fn rich(call: &Call<'_>, document: &Value) -> Value {
    if document.is_null() || call.documents() { document.clone() } else { json!(adf::to_text(document)) }
}

fn group(call: &Call<'_>, name: &str) -> Value {
    let id = group_id(name);
    json!({ "name": name, "groupId": id, "self": call.link(&format!("group?groupId={id}")) })
}

pub(super) fn group_id(name: &str) -> String {
    let hash = crate::emulator::chance::hash_text(name);
    uuid::Uuid::from_u64_pair(hash, crate::emulator::chance::mix(hash)).to_string()
}

pub(super) fn comment(store: &Store, call: &Call<'_>, issue: u64, note: &Note) -> Value {
    let mut value = json!({
        "self": call.link(&format!("issue/{issue}/comment/{}", note.id)),
        "id": note.id.to_string(),
        "author": account(store, call, &note.author),
        "body": rich(call, &note.body),
        "updateAuthor": account(store, call, &note.author),
        "created": moment(note.created),
        "updated": moment(note.updated),
        "jsdPublic": true,
    });
    if !note.visibility.is_null() {
        value["visibility"] = note.visibility.clone();
    }
    value
}

pub(super) fn work(store: &Store, call: &Call<'_>, issue: u64, note: &Note) -> Value {
    let mut value = json!({
        "self": call.link(&format!("issue/{issue}/worklog/{}", note.id)),
        "author": account(store, call, &note.author),
        "updateAuthor": account(store, call, &note.author),
        "created": moment(note.created),
        "updated": moment(note.updated),
        "started": moment(note.started),
        "timeSpent": duration(note.seconds),
        "timeSpentSeconds": note.seconds,
        "id": note.id.to_string(),
        "issueId": issue.to_string(),
    });
    if !note.body.is_null() {
        value["comment"] = rich(call, &note.body);
    }
    if !note.visibility.is_null() {
        value["visibility"] = note.visibility.clone();
    }
    value
}

pub(super) fn attachment(store: &Store, call: &Call<'_>, own: &Attachment) -> Value {
    json!({
        "self": call.link(&format!("attachment/{}", own.id)),
        "id": own.id.to_string(),
        "filename": own.name,
        "author": account(store, call, &own.author),
        "created": moment(own.created),
        "size": own.content.len(),
        "mimeType": own.media,
        "content": call.link(&format!("attachment/content/{}", own.id)),
    })
}

/// Seconds in weeks of five days of eight hours, as `1w 2d 3h 4m`.
pub(super) fn duration(seconds: i64) -> String {
    let mut rest = seconds / 60;
    let mut out = Vec::new();
    for (unit, minutes) in [("w", 2_400), ("d", 480), ("h", 60), ("m", 1)] {
        if rest >= minutes {
            out.push(format!("{}{unit}", rest / minutes));
            rest %= minutes;
        }
    }
    if out.is_empty() { "0m".to_owned() } else { out.join(" ") }
}

/// What an id in a field of this kind stands for, as people read it.
pub(super) fn name_of(store: &Store, field: &str, kind: Kind, id: &str) -> Option<String> {
    let model = &store.model;
    let pair = |list: &[(&str, &str)]| list.iter().find(|own| own.0 == id).map(|own| own.1.to_owned());
    match kind {
        Kind::User | Kind::Users => model.person(id).map(|own| own.name.clone()),
        Kind::Project => model.project(id).map(|own| own.name.clone()),
        Kind::IssueType => model.issue_type(id).map(|own| own.name.clone()),
        Kind::Status => model::status(id).map(|own| own.name.to_owned()),
        Kind::Priority => pair(&PRIORITIES),
        Kind::Resolution => pair(&RESOLUTIONS),
        Kind::Version | Kind::Versions => model.part(id, false).map(|(_, own)| own.name.clone()),
        Kind::Components => model.part(id, true).map(|(_, own)| own.name.clone()),
        Kind::Parent => store.find(id).map(|own| store.key(&own)),
        Kind::Choice | Kind::Choices | Kind::Cascade => {
            let field = model.field(field)?;
            let all = field.choices.iter().flat_map(|own| std::iter::once(own).chain(&own.children));
            all.into_iter().find(|own| own.id == id).map(|own| own.value.clone())
        }
        Kind::Sprint => SPRINTS.iter().find(|own| own.0.to_string() == id).map(|own| own.1.to_owned()),
        Kind::Moment => moment(id.parse().ok()?).as_str().map(str::to_owned),
        _ => None,
    }
}

/// A short form of an issue, as parents, children and links carry it.
pub(super) fn brief(store: &Store, call: &Call<'_>, issue: &Issue) -> Value {
    json!({
        "id": issue.id.to_string(),
        "key": store.key(issue),
        "self": call.link(&format!("issue/{}", issue.id)),
        "fields": {
            "summary": issue.get("summary"),
            "status": status(call, issue.text("status")),
            "priority": priority(call, issue.text("priority")),
            "issuetype": issue_type(store, call, issue.text("issuetype")),
        },
    })
}

/// The value of one field of an issue.
pub(super) fn value(store: &Store, call: &Call<'_>, issue: &Issue, field: &Field) -> Value {
    let stored = issue.get(&field.id);
    if field.kind == Kind::Computed {
        return computed(store, call, issue, &field.id);
    }
    if stored.is_null() {
        return match field.id.as_str() {
            "labels" | "components" | "versions" | "fixVersions" => json!([]),
            "timetracking" => time_tracking(issue),
            _ => Value::Null,
        };
    }
    let one = |own: &Value| element(store, call, field, own);
    match (field.kind, stored) {
        (Kind::Cascade, Value::Array(path)) => {
            let parent = path.first().and_then(Value::as_str).and_then(|id| field.choice(id));
            let Some(parent) = parent else { return Value::Null };
            let mut value = choice(call, parent);
            let child = path.get(1).and_then(Value::as_str);
            if let Some(child) = child.and_then(|id| parent.children.iter().find(|own| own.id == id)) {
                value["child"] = choice(call, child);
            }
            value
        }
        (Kind::TimeTracking, _) => time_tracking(issue),
        (_, Value::Array(list)) => list.iter().map(one).collect(),
        (_, single) => one(single),
    }
}

fn element(store: &Store, call: &Call<'_>, field: &Field, stored: &Value) -> Value {
    let id = stored.as_str().unwrap_or_default();
    let model = &store.model;
    match field.kind {
        Kind::Rich => rich(call, stored),
        Kind::Moment => stored.as_i64().map_or(Value::Null, moment),
        Kind::Choice | Kind::Choices => field.choice(id).map_or(Value::Null, |own| choice(call, own)),
        Kind::User | Kind::Users => account(store, call, id),
        Kind::Group | Kind::Groups => group(call, id),
        Kind::Project => model.project(id).map_or(Value::Null, |own| project(call, own)),
        Kind::Version | Kind::Versions => {
            model.part(id, false).map_or(Value::Null, |(_, own)| part(call, own, false))
        }
        Kind::Components => model.part(id, true).map_or(Value::Null, |(_, own)| part(call, own, true)),
        Kind::Priority => priority(call, id),
        Kind::IssueType => issue_type(store, call, id),
        Kind::Status => status(call, id),
        Kind::Resolution => named(call, "resolution", &RESOLUTIONS, id),
        Kind::Parent => store.find(id).map_or(Value::Null, |own| brief(store, call, &own)),
        Kind::Sprint => sprint(stored.as_u64().unwrap_or(0)),
        _ => stored.clone(),
    }
}

fn time_tracking(issue: &Issue) -> Value {
    let stored = issue.get("timetracking");
    let mut out = Map::new();
    let mut put = |name: &str, seconds: Option<i64>| {
        if let Some(seconds) = seconds {
            out.insert(name.to_owned(), json!(duration(seconds)));
            out.insert(format!("{name}Seconds"), json!(seconds));
        }
    };
    put("originalEstimate", stored["original"].as_i64());
    put("remainingEstimate", stored["remaining"].as_i64());
    put("timeSpent", Some(issue.spent()).filter(|spent| *spent > 0));
    Value::Object(out)
}

fn computed(store: &Store, call: &Call<'_>, issue: &Issue, id: &str) -> Value {
    let estimate = issue.get("timetracking");
    let total = issue.spent() + estimate["remaining"].as_i64().unwrap_or(0);
    let spent = Some(issue.spent()).filter(|spent| *spent > 0);
    match id {
        "statusCategory" => {
            model::status(issue.text("status")).map_or(Value::Null, |own| model::category(own.category))
        }
        "statuscategorychangedate" => {
            let last = issue
                .history
                .iter()
                .rev()
                .find(|change| change.differences.iter().any(|difference| difference.field == "status"));
            last.map_or_else(
                || moment(issue.get("created").as_i64().unwrap_or(0)),
                |change| moment(change.at),
            )
        }
        "subtasks" => store.subtasks(issue.id).iter().map(|own| brief(store, call, own)).collect(),
        "timeoriginalestimate" => estimate["original"].clone(),
        "timeestimate" => estimate["remaining"].clone(),
        "timespent" | "aggregatetimespent" => json!(spent),
        "workratio" => match estimate["original"].as_i64() {
            Some(original) if original > 0 => json!(issue.spent() * 100 / original),
            _ => json!(-1),
        },
        "progress" | "aggregateprogress" => {
            let mut value = json!({ "progress": issue.spent(), "total": total });
            if total > 0 {
                value["percent"] = json!(issue.spent() * 100 / total);
            }
            value
        }
        "votes" => json!({
            "self": call.link(&format!("issue/{}/votes", issue.id)),
            "votes": issue.voters.len(),
            "hasVoted": call.account.as_ref().is_some_and(|own| issue.voters.contains(own)),
        }),
        "watches" => json!({
            "self": call.link(&format!("issue/{}/watchers", issue.id)),
            "watchCount": issue.watchers.len(),
            "isWatching": call.account.as_ref().is_some_and(|own| issue.watchers.contains(own)),
        }),
        "comment" => {
            let list: Vec<Value> =
                issue.comments.iter().map(|note| comment(store, call, issue.id, note)).collect();
            json!({
                "comments": list,
                "self": call.link(&format!("issue/{}/comment", issue.id)),
                "maxResults": issue.comments.len(),
                "total": issue.comments.len(),
                "startAt": 0,
            })
        }
        "worklog" => {
            let list: Vec<Value> =
                issue.work.iter().take(EMBEDDED_WORK).map(|note| work(store, call, issue.id, note)).collect();
            json!({ "startAt": 0, "maxResults": EMBEDDED_WORK, "total": issue.work.len(), "worklogs": list })
        }
        "attachment" => issue.attachments.iter().map(|own| attachment(store, call, own)).collect(),
        "issuelinks" => links(store, call, issue),
        _ => Value::Null,
    }
}

fn links(store: &Store, call: &Call<'_>, issue: &Issue) -> Value {
    let mut out = Vec::new();
    for (id, own) in &store.links {
        let Some(kind) = LINK_TYPES.iter().find(|kind| kind.0 == own.kind) else { continue };
        let other = |id: u64| store.get(id).map_or(Value::Null, |own| brief(store, call, &own));
        let mut value = json!({
            "id": id.to_string(),
            "self": call.link(&format!("issueLink/{id}")),
            "type": link_type(call, kind),
        });
        if own.inward == issue.id {
            value["outwardIssue"] = other(own.outward);
        } else if own.outward == issue.id {
            value["inwardIssue"] = other(own.inward);
        } else {
            continue;
        }
        out.push(value);
    }
    Value::Array(out)
}

pub(super) fn link_type(call: &Call<'_>, &(id, name, inward, outward): &(&str, &str, &str, &str)) -> Value {
    let address = call.link(&format!("issueLinkType/{id}"));
    json!({ "id": id, "name": name, "inward": inward, "outward": outward, "self": address })
}
