//! Comments and records of work.

use http::header::LOCATION;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::call::Call;
use super::errors::Refusal;
use super::store::{Issue, Note, Store};
use super::values::{self, Place};
use super::{metadata, read, render, write};
use crate::emulator::service::Reply;

/// Which of the two lists of an issue is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Comments,
    Work,
}

impl List {
    pub(super) fn named(segment: &str) -> Option<Self> {
        match segment {
            "comment" => Some(Self::Comments),
            "worklog" => Some(Self::Work),
            _ => None,
        }
    }

    fn of(self, issue: &Issue) -> &Vec<Note> {
        if self == Self::Comments { &issue.comments } else { &issue.work }
    }

    fn of_mut(self, issue: &mut Issue) -> &mut Vec<Note> {
        if self == Self::Comments { &mut issue.comments } else { &mut issue.work }
    }

    fn render(self, store: &Store, call: &Call<'_>, issue: u64, note: &Note) -> Value {
        match self {
            Self::Comments => render::comment(store, call, issue, note),
            Self::Work => render::work(store, call, issue, note),
        }
    }
}

/// All of a list: reading and adding.
pub(super) fn all(store: &mut Store, call: &Call<'_>, key: &str, list: List) -> Result<Reply, Refusal> {
    call.only(&[Method::GET, Method::POST])?;
    let issue = read::find(store, call, key)?;
    if *call.method() == Method::POST {
        let body = call.json()?;
        let mut issue = (*issue).clone();
        let note = read_note(store, call, &issue, &body, list, None)?;
        let shown = list.render(store, call, issue.id, &note);
        let address = shown["self"].as_str().unwrap_or_default().to_owned();
        if list == List::Work && call.option("adjustEstimate").is_none_or(|how| how == "auto") {
            adjust(&mut issue, note.seconds);
        }
        list.of_mut(&mut issue).push(note);
        write::commit(store, call, issue, Vec::new(), &Value::Null)?;
        return Ok(Reply::json(StatusCode::CREATED, &shown).with_header(LOCATION, &address).committed());
    }
    let (rows, default) = if list == List::Comments { ("comments", 100) } else { ("worklogs", 5_000) };
    let stretch = call.stretch(default, default)?;
    let mut notes: Vec<&Note> = list.of(&issue).iter().collect();
    if call.option("orderBy") == Some("-created") {
        notes.reverse();
    }
    let shown: Vec<Value> = notes.into_iter().map(|note| list.render(store, call, issue.id, note)).collect();
    let mut body = json!({ "startAt": stretch.start, "maxResults": stretch.size, "total": shown.len() });
    body[rows] = Value::Array(stretch.of(&shown));
    Ok(Reply::json(StatusCode::OK, &body))
}

/// Work done shortens what remains.
fn adjust(issue: &mut Issue, seconds: i64) {
    let mut own = issue.get("timetracking").clone();
    if let Some(remaining) = own["remaining"].as_i64() {
        own["remaining"] = json!((remaining - seconds).max(0));
        issue.fields.insert("timetracking".to_owned(), own);
    }
}

/// One of a list: reading, changing, deleting.
pub(super) fn one(
    store: &mut Store,
    call: &Call<'_>,
    key: &str,
    list: List,
    id: &str,
) -> Result<Reply, Refusal> {
    call.only(&[Method::GET, Method::PUT, Method::DELETE])?;
    let issue = read::find(store, call, key)?;
    let place = list.of(&issue).iter().position(|own| own.id.to_string() == id).ok_or_else(|| {
        let what = if list == List::Comments { "comment" } else { "worklog" };
        Refusal::not_found(format!("Can not find a {what} for the id: {id}."))
    })?;
    let old = list.of(&issue)[place].clone();
    if *call.method() == Method::GET {
        return Ok(Reply::json(StatusCode::OK, &list.render(store, call, issue.id, &old)));
    }
    let mut changed = (*issue).clone();
    if *call.method() == Method::DELETE {
        list.of_mut(&mut changed).remove(place);
        write::commit(store, call, changed, Vec::new(), &Value::Null)?;
        return Ok(write::no_content());
    }
    let body = call.json()?;
    let note = read_note(store, call, &issue, &body, list, Some(&old))?;
    let shown = list.render(store, call, issue.id, &note);
    list.of_mut(&mut changed)[place] = note;
    write::commit(store, call, changed, Vec::new(), &Value::Null)?;
    Ok(Reply::json(StatusCode::OK, &shown).committed())
}

fn read_note(
    store: &mut Store,
    call: &Call<'_>,
    issue: &Issue,
    body: &Value,
    list: List,
    old: Option<&Note>,
) -> Result<Note, Refusal> {
    let author = metadata::me(&store.model, call)?.account.clone();
    let now = call.request.now.as_millisecond();
    let project = store.model.project(issue.project());
    let project = project.ok_or_else(|| Refusal::not_found(super::errors::NO_ISSUE))?;
    let place = Place { store, project, documents: call.documents() };
    let name = if list == List::Comments { "body" } else { "comment" };
    let text = match (&body[name], list, old) {
        (Value::Null, List::Work, Some(_)) if body.get(name).is_some() => Value::Null,
        (Value::Null, List::Comments, _) => {
            return Err(Refusal::field("comment", "Comment body can not be empty!"));
        }
        (Value::Null, List::Work, Some(old)) => old.body.clone(),
        (Value::Null, List::Work, None) => Value::Null,
        (given, _, _) => place.rich(given).map_err(|message| Refusal::field("comment", message))?,
    };
    let mut note = old.cloned().unwrap_or(Note {
        id: 0,
        author,
        body: Value::Null,
        created: now,
        updated: now,
        visibility: Value::Null,
        started: now,
        seconds: 0,
    });
    note.body = text;
    note.updated = now;
    if !body["visibility"].is_null() {
        note.visibility = body["visibility"].clone();
    }
    if list == List::Work {
        let seconds = body["timeSpentSeconds"].as_i64();
        let seconds = seconds.or_else(|| body["timeSpent"].as_str().and_then(values::seconds));
        match seconds.filter(|seconds| *seconds > 0) {
            Some(seconds) => note.seconds = seconds,
            None if old.is_some() => {}
            None => return Err(Refusal::field("timeLogged", "Worklog must not be null.")),
        }
        if let Some(text) = body["started"].as_str() {
            note.started = values::moment(text).map_err(|message| Refusal::field("started", message))?;
        }
    }
    if old.is_none() {
        note.id = store.claim_part();
    }
    Ok(note)
}

/// The comments and records of work that `update` of a create, an edit or a transition brings along.
pub(super) fn from_update(
    store: &mut Store,
    call: &Call<'_>,
    issue: &mut Issue,
    body: &Value,
) -> Result<(), Refusal> {
    for (name, list) in [("comment", List::Comments), ("worklog", List::Work)] {
        for verb in body["update"][name].as_array().into_iter().flatten() {
            let given = &verb["add"];
            if given.is_null() {
                return Err(Refusal::field(name, "Only 'add' is possible here."));
            }
            let note = read_note(store, call, issue, given, list, None)?;
            list.of_mut(issue).push(note);
        }
    }
    Ok(())
}

/// A list as the control surface shows it.
pub(super) fn stored(store: &Store, call: &Call<'_>, issue: &Issue, list: List) -> Vec<Value> {
    list.of(issue).iter().map(|note| list.render(store, call, issue.id, note)).collect()
}
