//! Issues as pure functions of seed and id.

use serde_json::{Map, Value, json};

use super::adf;
use super::model::{
    DONE, Field, GROUPS, Kind, Model, PRIORITIES, Project, RESOLUTIONS, SPRINTS, STATUSES, SUBTASK,
};
use super::store::{Change, Difference, FIRST, Issue, Note, SEEDED};
use crate::emulator::chance::{hash_text, mix, pick, word};
use crate::emulator::vocabulary::{FIRM, SUBJECTS, TRADE};

/// Every so many issues of a project begin with one that the others may hang on.
pub(super) const FAMILY: u64 = 8;
/// 2026-01-01T00:00:00Z, after which no seeded issue was changed.
const LATEST: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;
const WORDS: [&str; 10] =
    ["urgent", "customer", "Ärger", "follow-up", "q3", "legacy", "o'clock", "100%", "under_score", "日本"];

pub(super) fn issue(model: &Model, seed: u64, id: u64) -> Issue {
    let place = (id - FIRST) % SEEDED;
    let number = (id - FIRST) / SEEDED + 1;
    let own = mix(seed ^ mix(id));
    let hash = |what: &str| mix(own ^ hash_text(what));
    let mut fields = Map::new();
    let Some(project) = model.projects.get(place as usize) else {
        return bare(id, number, fields);
    };
    let head = is_head(id);
    let issue_type = kind_of(project, number, hash("issuetype"));
    let created = LATEST - 400 * 24 * HOUR + (hash("created") % (399 * 24 * 3_600_000)) as i64;
    let step = ((LATEST - created) / 4).max(1) as u64;
    let moved = created + (hash("moved") % step) as i64;
    let updated = moved + (hash("updated") % step) as i64;
    let person = |what: &str| pick(&model.people, hash(what)).map_or(Value::Null, |own| json!(own.account));
    let status = STATUSES[(hash("status") % if place == 0 { 4 } else { 3 }) as usize].id;
    let status = if place == 1 && status == "10002" { DONE } else { status };
    fields.insert("project".into(), json!(project.id));
    fields.insert("issuetype".into(), json!(issue_type));
    fields.insert("status".into(), json!(status));
    fields.insert("created".into(), json!(created));
    fields.insert("updated".into(), json!(updated));
    fields.insert("creator".into(), person("creator"));
    if let Some(screen) = project.screen(&issue_type) {
        for on in &screen.fields {
            let filled = on.required || !hash(&on.field).is_multiple_of(4);
            let known = fields.contains_key(&on.field) || on.field == "parent";
            if let Some(field) = model.field(&on.field).filter(|_| filled && !known) {
                let made = value(model, project, field, hash(&field.name) ^ hash(&field.id));
                if !made.is_null() {
                    fields.insert(field.id.clone(), made);
                }
            }
        }
    }
    if fields.get("priority").is_none() {
        fields.insert("priority".into(), json!("3"));
    }
    if fields.get("reporter").is_none() {
        fields.insert("reporter".into(), person("reporter"));
    }
    if !head && (issue_type == SUBTASK || project.key == "WEB" && !hash("parent").is_multiple_of(3)) {
        let parent = id - SEEDED * ((number - 1) % FAMILY);
        fields.insert("parent".into(), json!(parent.to_string()));
    }
    let mut history = Vec::new();
    if status != "10000" {
        let differences =
            vec![Difference { field: "status".into(), from: json!("10000"), to: json!(status) }];
        let author = person("mover").as_str().unwrap_or_default().to_owned();
        history.push(Change { id: id * 10, author, at: moved, differences });
    }
    if status == DONE {
        let resolution = RESOLUTIONS[(hash("resolution") % 4) as usize].0;
        fields.insert("resolution".into(), json!(resolution));
        fields.insert("resolutiondate".into(), json!(moved));
    }
    let mut issue = bare(id, number, fields);
    issue.history = history;
    let notes = hash("comments") % 4;
    for index in 0..notes {
        let name = format!("comment{index}");
        let author = person(&name).as_str().unwrap_or_default().to_owned();
        issue.comments.push(note(id * 10 + index, author, words(hash(&name)), created + index as i64 * HOUR));
    }
    if hash("worklog").is_multiple_of(3) && fields_allow(&issue) {
        let author = person("worklog").as_str().unwrap_or_default().to_owned();
        let mut work = note(id * 10 + 5, author, words(hash("work")), moved);
        work.seconds = 1_800 * (1 + (hash("seconds") % 8) as i64);
        work.started = moved - HOUR;
        issue.work.push(work);
    }
    issue
}

/// Whether others may hang on this issue.
pub(super) fn is_head(id: u64) -> bool {
    ((id - FIRST) / SEEDED).is_multiple_of(FAMILY)
}

/// Only issues with time tracking have records of work.
fn fields_allow(issue: &Issue) -> bool {
    issue.fields.contains_key("timetracking")
}

fn bare(id: u64, number: u64, fields: Map<String, Value>) -> Issue {
    Issue {
        id,
        number,
        fields,
        comments: Vec::new(),
        work: Vec::new(),
        attachments: Vec::new(),
        properties: Map::new(),
        watchers: Vec::new(),
        voters: Vec::new(),
        history: Vec::new(),
    }
}

fn note(id: u64, author: String, body: Value, at: i64) -> Note {
    Note { id, author, body, created: at, updated: at, visibility: Value::Null, started: 0, seconds: 0 }
}

/// The first of a family can have children; what follows may be one.
fn kind_of(project: &Project, number: u64, hash: u64) -> String {
    let place = (number - 1) % FAMILY;
    match (project.key.as_str(), place) {
        ("OPS", 5) => SUBTASK,
        ("OPS", _) if hash.is_multiple_of(3) => "10004",
        ("WEB", 0) => "10001",
        ("WEB", _) if hash.is_multiple_of(2) => "10002",
        _ => "10003",
    }
    .to_owned()
}

fn words(hash: u64) -> Value {
    let firm = word(&FIRM, mix(hash));
    let trade = word(&TRADE, mix(hash ^ 3));
    let subject = word(&SUBJECTS, hash);
    adf::from_text(&format!("{subject}.\n{firm} {trade} is waiting, see ticket {}.", hash % 1_000))
}

/// A value of a field as it is stored.
fn value(model: &Model, project: &Project, field: &Field, hash: u64) -> Value {
    let account = |hash: u64| pick(&model.people, hash).map_or(Value::Null, |own| json!(own.account));
    let day = |hash: u64| {
        let days = (hash % 700) as i64;
        let moment = jiff::Timestamp::from_millisecond(LATEST - 400 * 24 * HOUR + days * 24 * HOUR);
        moment.map_or(Value::Null, |moment| json!(moment.strftime("%Y-%m-%d").to_string()))
    };
    let choice = |hash: u64| pick(&field.choices, hash);
    let part = |hash: u64, components: bool| {
        let parts = if components { &project.components } else { &project.versions };
        pick(parts, hash).map_or(Value::Null, |part| json!(part.id))
    };
    let some = |make: &dyn Fn(u64) -> Value| {
        let mut list: Vec<Value> = (0..1 + hash % 3).map(|turn| make(mix(hash ^ turn))).collect();
        list.sort_by_key(Value::to_string);
        list.dedup();
        Value::Array(list)
    };
    match field.kind {
        Kind::Text if field.id == "summary" => {
            let subject = word(&SUBJECTS, hash);
            json!(format!("{subject} ({} {})", word(&FIRM, mix(hash)), hash % 100))
        }
        Kind::Text => json!(format!("{}-{:04}", word(&TRADE, hash), hash % 10_000)),
        Kind::Url => json!(format!("https://docs.example/{}", hash % 1_000)),
        Kind::Rich => words(hash),
        Kind::Number if field.id == "customfield_10010" => json!([1, 2, 3, 5, 8][(hash % 5) as usize]),
        Kind::Number => json!((hash % 2_000_000) as f64 / 100.0 - 5_000.0),
        Kind::Date => day(hash),
        Kind::Moment => json!(LATEST - (hash % 300) as i64 * 6 * HOUR),
        Kind::Choice => choice(hash).map_or(Value::Null, |own| json!(own.id)),
        Kind::Choices => some(&|hash| choice(hash).map_or(Value::Null, |own| json!(own.id))),
        Kind::Cascade => choice(hash).map_or(Value::Null, |own| match pick(&own.children, mix(hash)) {
            Some(child) if !hash.is_multiple_of(5) => json!([own.id, child.id]),
            _ => json!([own.id]),
        }),
        Kind::Labels => some(&|hash| json!(word(&WORDS, hash))),
        Kind::User => account(hash),
        Kind::Users => some(&account),
        Kind::Group => json!(GROUPS[(hash % 4) as usize]),
        Kind::Groups => some(&|hash| json!(GROUPS[(hash % 4) as usize])),
        Kind::Project => pick(&model.projects, hash).map_or(Value::Null, |own| json!(own.id)),
        Kind::Version => part(hash, false),
        Kind::Versions => some(&|hash| part(hash, false)),
        Kind::Components => some(&|hash| part(hash, true)),
        Kind::Priority => json!(PRIORITIES[(hash % 5) as usize].0),
        Kind::TimeTracking => json!({ "original": 14_400, "remaining": 3_600 * (hash % 4) }),
        Kind::Sprint => json!([SPRINTS[(hash % 3) as usize].0]),
        Kind::Opaque if field.id == "customfield_10041" => json!({ "score": hash % 100, "trend": "up" }),
        Kind::IssueType | Kind::Status | Kind::Resolution | Kind::Parent | Kind::Computed | Kind::Opaque => {
            Value::Null
        }
    }
}
