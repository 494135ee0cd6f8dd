//! Writing issues. New ones go fifty to a request, each with an outcome of its own; changes and deletions are one
//! request per issue, since Jira has none for several that differ.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::discover::GET_MAX;
use super::draft::{self, Draft, Present};
use super::metadata::Transition;
use super::records::IssueRecords;
use super::site::Door;
use super::{api, dialect, marker, transitions};
use crate::error::{Error, ErrorKind, Result};
use crate::http::dialect::Dialect as _;
use crate::http::{Call, Reply};
use crate::provider::{Change, Context, NewRow, Outcome, VersionedKey, WriteOptions};
use crate::record::capability::{Capability, MarkerForm, UpsertCapability, WriteCapability, no_options};
use crate::record::{FieldPath, Key, KeyFields, KeyPart};

/// Issues that one request creates ("Bulk create issues").
const BATCH: usize = 50;
/// Issues that are changed or deleted at once.
const AT_ONCE: usize = 4;
/// Switches of an update, passed on as they are: name, title, description, value when it is not given.
const SWITCHES: [(&str, &str, &str, bool); 3] = [
    ("notifyUsers", "Notify users", "Whether watchers and others get the e-mail that a change causes", true),
    (
        "overrideScreenSecurity",
        "Override screen security",
        "Whether fields that are not on the edit screen can be set; only for apps with the right to it",
        false,
    ),
    (
        "overrideEditableFlag",
        "Override the editable flag",
        "Whether issues can be changed that their status locks; only for apps with the right to it",
        false,
    ),
];
const DELETE_SUBTASKS: &str = "deleteSubtasks";

/// Adds what can be written of issues.
pub(super) fn add_capabilities(capability: &mut Capability) {
    let key = KeyFields::single("key");
    let one_each =
        "one request per issue; a change of status is a step of its workflow, sent before the rest";
    let update = WriteCapability {
        options: update_options(),
        simulated: Some(one_each.to_owned()),
        ..WriteCapability::batches_of(BATCH)
    };
    capability.create = Some(WriteCapability {
        marker: true,
        made_up_marker: Some(MarkerForm::Label),
        at_once: AT_ONCE,
        ..WriteCapability::batches_of(BATCH)
    });
    capability.upsert = Some(UpsertCapability {
        write: WriteCapability {
            simulated: Some(
                "looking for the issue by its key, then an update; no field of Jira is unique but this one, which Jira gives"
                    .to_owned(),
            ),
            ..update.clone()
        },
        by: vec![key.clone()],
        match_only: vec![key],
    });
    capability.update = Some(update);
    capability.delete = Some(WriteCapability {
        options: delete_options(),
        simulated: Some("one request per issue".to_owned()),
        ..WriteCapability::batches_of(BATCH)
    });
}

fn flag(title: &str, description: &str, default: bool) -> Json {
    json!({ "type": "boolean", "title": title, "description": description, "default": default })
}

fn update_options() -> Json {
    let mut schema = no_options();
    for (name, title, description, default) in SWITCHES {
        schema["properties"][name] = flag(title, description, default);
    }
    schema
}

fn delete_options() -> Json {
    let mut schema = no_options();
    let description =
        "Whether the sub-tasks of an issue are deleted with it; an issue that has some is refused otherwise";
    schema["properties"][DELETE_SUBTASKS] = flag("Delete sub-tasks", description, false);
    schema
}

/// One issue that was created.
#[derive(Debug, Deserialize)]
struct Created {
    id: String,
}

/// The answer to a bulk create, also when it created nothing.
#[derive(Debug, Deserialize)]
struct BulkAnswer {
    issues: Vec<Created>,
    errors: Vec<BulkError>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkError {
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    element_errors: Json,
    failed_element_number: usize,
}

/// An issue as it is before it is written.
#[derive(Debug, Deserialize)]
struct Known {
    id: String,
    #[serde(default)]
    fields: Present,
}

#[derive(Debug, Deserialize)]
struct KnownPage {
    issues: Vec<Known>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Steps {
    transitions: Vec<Transition>,
}

/// What the rows of one call share.
struct Sent<'a> {
    cx: &'a Context,
    door: &'a Door,
    /// Issues as they are, by id.
    known: &'a HashMap<String, Present>,
}

/// Rows that are one request or more each.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Changed(&'a [Change], &'a WriteOptions),
    Deleted(&'a [VersionedKey], bool),
}

impl IssueRecords {
    /// Creates issues; a marker becomes a property of its issue.
    pub(super) async fn create_rows(
        &self,
        cx: &Context,
        rows: &[NewRow],
        _: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        let mut sent = Vec::new();
        let mut bodies = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            match Draft::read(&self.described, &row.fields, None) {
                Ok(draft) => {
                    let marks = row.marker.as_ref().map(marker::properties);
                    let front: Vec<(&str, String)> =
                        marks.map(|marks| ("properties", marks)).into_iter().collect();
                    sent.push(place);
                    bodies.push(draft.body(&front));
                }
                Err(error) => outcomes[place] = Some(Outcome::Failed(self.about("create")(error))),
            }
        }
        if !sent.is_empty() {
            let door = self.site.door(cx).await?;
            let call = api::create(&door, &bodies);
            let answers = match self.site.send(cx, call.clone()).await {
                Ok(reply) => self.created(cx, &call, &reply, sent.len()),
                Err(error) if error.leaves_open() => Err(error),
                Err(error) => return Err(error),
            };
            match answers {
                Ok(answers) => {
                    for (place, answer) in sent.into_iter().zip(answers) {
                        outcomes[place] = Some(answer);
                    }
                }
                Err(error) => {
                    let error = self.about("create")(error);
                    if !error.leaves_open() {
                        return Err(error);
                    }
                    for place in sent {
                        outcomes[place] = Some(Outcome::lost(&error, rows[place].marker.clone()));
                    }
                }
            }
        }
        let missing = || Outcome::lost(&Error::bug("a row has no outcome"), None);
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect())
    }

    /// What the answer to a bulk create says of each row: errors name theirs, the others were created in order.
    fn created(&self, cx: &Context, call: &Call, reply: &Reply, rows: usize) -> Result<Vec<Outcome>> {
        let answer = match serde_json::from_slice::<BulkAnswer>(&reply.body) {
            Ok(answer) => answer,
            // The request as a whole was refused.
            Err(_) if !reply.status.is_success() => return Err(dialect::JiraDialect.error(call, reply)),
            Err(_) => dialect::read::<BulkAnswer>("a bulk create", &reply.body)?,
        };
        let errors: BTreeMap<usize, BulkError> =
            answer.errors.into_iter().map(|error| (error.failed_element_number, error)).collect();
        let fits = errors.keys().all(|number| *number < rows) && answer.issues.len() + errors.len() == rows;
        if !fits {
            let error = Error::protocol(format!(
                "Jira answers with {} issues and {} errors for {rows} rows, so nobody knows which is whose",
                answer.issues.len(),
                errors.len()
            ));
            return Err(error.with_code("wrong_row_count"));
        }
        let mut issues = answer.issues.into_iter();
        let outcome = |number: usize| match errors.get(&number) {
            Some(error) => Outcome::Failed(self.element_error(cx, call, error)),
            None => match issues.next() {
                Some(created) => Outcome::Created(Key::text(created.id)),
                None => Outcome::lost(&Error::bug("an issue has no row"), None),
            },
        };
        Ok((0..rows).map(outcome).collect())
    }

    /// The refusal of one row, read like that of a request of its own.
    fn element_error(&self, cx: &Context, call: &Call, element: &BulkError) -> Error {
        let status = element.status.and_then(|status| StatusCode::from_u16(status).ok());
        let reply = Reply {
            status: status.filter(|status| !status.is_success()).unwrap_or(StatusCode::BAD_REQUEST),
            headers: HeaderMap::new(),
            body: element.element_errors.to_string().into(),
            stream: None,
        };
        let error = self.with_properties(dialect::JiraDialect.error(call, &reply));
        self.about("create")(error).with_connection(cx.connection.as_str())
    }

    /// Names the properties of the fields that an error is about.
    fn with_properties(&self, error: Error) -> Error {
        let property = |id: &str| {
            let own = self.described.wires.fields.iter().find(|(name, wire)| wire.id == id && *name != id);
            own.filter(|_| !self.described.wires.fields.contains_key(id)).map(|(name, _)| name.clone())
        };
        let renamed: Vec<(String, String)> = error
            .fields()
            .iter()
            .filter_map(|reason| Some((property(&reason.field)?, reason.message.clone())))
            .collect();
        renamed.into_iter().fold(error, |error, (name, message)| error.with_field(name, message))
    }

    /// Updates issues by id.
    pub(super) async fn update_rows(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let door = self.site.door(cx).await?;
        let wanted: Vec<(String, Vec<String>)> = rows
            .iter()
            .filter_map(|row| Some((id_of(&row.key).ok()?, draft::needed(&self.described, &row.edits))))
            .collect();
        let known = self.known(cx, &door, &wanted).await?;
        let sent = Sent { cx, door: &door, known: &known };
        let keys: Vec<&Key> = rows.iter().map(|row| &row.key).collect();
        let outcomes = self.each(&sent, &keys, Rows::Changed(rows, options)).await;
        Ok(self.named("update", &keys, outcomes))
    }

    async fn update_row(&self, sent: &Sent<'_>, row: &Change, options: &WriteOptions) -> Result<Outcome> {
        if row.if_version.is_some() {
            return Err(self.unsupported("update", "Jira cannot check a version on update"));
        }
        let id = id_of(&row.key)?;
        let looked = !draft::needed(&self.described, &row.edits).is_empty();
        let present = self.present(sent.known, &id, looked)?;
        self.update_one(sent.cx, sent.door, &id, row, present, options).await
    }

    async fn update_one(
        &self,
        cx: &Context,
        door: &Door,
        id: &str,
        row: &Change,
        present: &Present,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        let mut draft = Draft::read(&self.described, &row.edits, Some(present))?;
        let status = draft.status.take().filter(|status| present["status"]["id"] != status.as_str());
        let step = match &status {
            None => None,
            Some(status) => {
                let steps: Steps = self.site.ask(cx, "transitions", api::transitions(door, id)).await?;
                Some(transitions::choose(&steps.transitions, status, &draft)?.clone())
            }
        };
        // What the step's screen has goes with the step. The rest goes behind it: a step that is refused leaves the
        // issue as it was.
        let with_step =
            step.as_ref().map(|step| (step, draft.split(|field| step.fields.contains_key(field))));
        self.only_by_steps(&draft)?;
        if draft.is_bare() && step.is_none() {
            return Ok(Outcome::Unchanged(Key::text(id)));
        }
        let switches: Vec<(&str, String)> =
            options.iter().map(|(name, value)| (name.as_str(), plain(value))).collect();
        if let Some((step, with_step)) = &with_step {
            let front = [("transition", json!({ "id": step.id }).to_string())];
            match self.site.send(cx, api::transition(door, id, with_step.body(&front))).await {
                Err(error) if !self.took_step(cx, door, id, step, &error).await => return Err(error),
                _ => {}
            }
        }
        if !draft.is_bare() {
            let sent = self.site.send(cx, api::edit(door, id, &switches, draft.body(&[]))).await;
            sent.map_err(|error| match &with_step {
                Some(_) if !error.leaves_open() => error.with_advice_instead(
                    "The status of this row was changed, its other fields were not written: send these again",
                ),
                _ => error,
            })?;
        }
        Ok(Outcome::Updated(Key::text(id)))
    }

    /// Whether a step was taken whose answer was lost: the issue's status tells.
    async fn took_step(&self, cx: &Context, door: &Door, id: &str, step: &Transition, error: &Error) -> bool {
        if !error.leaves_open() {
            return false;
        }
        let wanted = [(id.to_owned(), vec!["status".to_owned()])];
        let known = self.known(cx, door, &wanted).await.unwrap_or_default();
        known.get(id).is_some_and(|present| present["status"]["id"] == step.to.id.as_str())
    }

    /// Refuses a resolution that no step takes along, where the edit screen does not have it.
    fn only_by_steps(&self, draft: &Draft) -> Result<()> {
        let wires = &self.described.wires.fields;
        let refused = draft.fields.keys().find(|id| {
            let wire = wires.get(id.as_str());
            id.as_str() == "resolution" && wire.is_some_and(|wire| wire.operations.is_empty())
        });
        match refused {
            Some(id) => Err(draft::refuse(
                &self.described,
                id,
                "Jira sets it with a change of status that asks for it: give the status too",
            )),
            None => Ok(()),
        }
    }

    /// Updates issues that are named by their keys; none is created.
    pub(super) async fn upsert_rows(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let found = self.read_by(cx, by, &keys, &[FieldPath::of(["id"])]).await?;
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        let mut changes = Vec::new();
        let mut places = Vec::new();
        for (place, (row, found)) in rows.iter().zip(found).enumerate() {
            let error = match found {
                Ok(Some(record)) => {
                    let edits = row.edits.iter().filter(|(name, _)| !by.0.contains(name)).cloned().collect();
                    changes.push(Change { key: record.key, edits, if_version: row.if_version.clone() });
                    places.push(place);
                    continue;
                }
                Ok(None) => no_issue().with_advice_instead(
                    "Jira gives the keys of new issues, so an upsert by key only updates; create the issue instead",
                ),
                Err(error) => error,
            };
            outcomes[place] =
                Some(Outcome::Failed(self.about("upsert")(error).with_key(row.key.to_string())));
        }
        for (place, outcome) in places.into_iter().zip(self.update_rows(cx, &changes, options).await?) {
            outcomes[place] = Some(outcome);
        }
        let missing = || Outcome::lost(&Error::bug("a row has no outcome"), None);
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect())
    }

    /// Deletes issues; one that is gone is deleted.
    pub(super) async fn delete_rows(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let subtasks = options.get(DELETE_SUBTASKS).is_some_and(|value| plain(value) == "true");
        let door = self.site.door(cx).await?;
        let wanted: Vec<(String, Vec<String>)> =
            rows.iter().filter_map(|row| Some((id_of(&row.key).ok()?, Vec::new()))).collect();
        let known = self.known(cx, &door, &wanted).await?;
        let sent = Sent { cx, door: &door, known: &known };
        let keys: Vec<&Key> = rows.iter().map(|row| &row.key).collect();
        let outcomes = self.each(&sent, &keys, Rows::Deleted(rows, subtasks)).await;
        Ok(self.named("delete", &keys, outcomes))
    }

    async fn delete_row(&self, sent: &Sent<'_>, row: &VersionedKey, subtasks: bool) -> Result<Outcome> {
        if row.if_version.is_some() {
            return Err(self.unsupported("delete", "Jira cannot check a version on delete"));
        }
        let id = id_of(&row.key)?;
        let gone = Ok(Outcome::Deleted(Key::text(id.as_str())));
        if self.described.wires.scope.is_some() && !sent.known.contains_key(&id) {
            return gone;
        }
        self.present(sent.known, &id, false)?;
        match self.site.send(sent.cx, api::delete(sent.door, &id, subtasks)).await {
            Ok(_) => gone,
            Err(error) if error.kind() == ErrorKind::NotFound => gone,
            Err(error) if error.kind() == ErrorKind::Invalid && !subtasks => {
                Err(self.with_subtasks(sent.cx, sent.door, &id, error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Names the sub-tasks that hold a deletion back.
    async fn with_subtasks(&self, cx: &Context, door: &Door, id: &str, error: Error) -> Error {
        let wanted = [(id.to_owned(), vec!["subtasks".to_owned()])];
        let known = self.known(cx, door, &wanted).await.unwrap_or_default();
        let subtasks = known.get(id).and_then(|present| present["subtasks"].as_array());
        let keys: Vec<&str> = subtasks.into_iter().flatten().filter_map(|own| own["key"].as_str()).collect();
        if keys.is_empty() {
            return error;
        }
        error.with_advice_instead(format!(
            "The issue has the sub-tasks {}: delete these first, or give the option {DELETE_SUBTASKS}=true to delete them too",
            keys.join(", ")
        ))
    }

    /// Issues as they are now, by id: of each the fields asked for, and where it belongs. Only issues of which
    /// something has to be known are read.
    pub(super) async fn known(
        &self,
        cx: &Context,
        door: &Door,
        wanted: &[(String, Vec<String>)],
    ) -> Result<HashMap<String, Present>> {
        let scoped = self.described.wires.scope.is_some();
        let mut ids: Vec<String> = Vec::new();
        let mut fields: Vec<String> = Vec::new();
        for (id, names) in wanted.iter().filter(|(_, names)| scoped || !names.is_empty()) {
            ids.push(id.clone());
            fields.extend(names.iter().cloned());
        }
        if scoped {
            fields.extend(["project".to_owned(), "issuetype".to_owned()]);
        }
        for list in [&mut ids, &mut fields] {
            list.sort_unstable();
            list.dedup();
        }
        let mut known = HashMap::new();
        for part in ids.chunks(GET_MAX) {
            let page: KnownPage = self.site.ask(cx, "issues", api::bulk_fetch(door, part, &fields)).await?;
            known.extend(page.issues.into_iter().map(|issue| (issue.id, issue.fields)));
        }
        Ok(known)
    }

    /// What is known of an issue, which must be of this type; `looked` when it was asked for by itself.
    pub(super) fn present<'k>(
        &self,
        known: &'k HashMap<String, Present>,
        id: &str,
        looked: bool,
    ) -> Result<&'k Present> {
        let present = known.get(id);
        let Some(scope) = &self.described.wires.scope else {
            return if looked { present.ok_or_else(no_issue) } else { Ok(present.unwrap_or(&Json::Null)) };
        };
        let own = |present: &&Present| {
            present["project"]["id"] == scope.project_id.as_str()
                && present["issuetype"]["id"] == scope.issue_type_id.as_str()
        };
        present.filter(own).ok_or_else(no_issue)
    }

    /// Writes each row, several at once, but the rows of one issue in their order.
    async fn each(&self, sent: &Sent<'_>, keys: &[&Key], rows: Rows<'_>) -> Vec<Result<Outcome>> {
        let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, key) in keys.iter().enumerate() {
            by_key.entry(key.to_string()).or_default().push(place);
        }
        let waiting: Vec<_> =
            by_key.into_values().map(|places| self.one_after_another(sent, rows, places)).collect();
        let done: Vec<Vec<(usize, Result<Outcome>)>> =
            stream::iter(waiting).buffer_unordered(AT_ONCE).collect().await;
        let mut all: Vec<(usize, Result<Outcome>)> = done.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, outcome)| outcome).collect()
    }

    async fn one_after_another(
        &self,
        sent: &Sent<'_>,
        rows: Rows<'_>,
        places: Vec<usize>,
    ) -> Vec<(usize, Result<Outcome>)> {
        let mut out = Vec::with_capacity(places.len());
        for place in places {
            let outcome = match rows {
                Rows::Changed(rows, options) => self.update_row(sent, &rows[place], options).await,
                Rows::Deleted(rows, subtasks) => self.delete_row(sent, &rows[place], subtasks).await,
            };
            out.push((place, outcome));
        }
        out
    }

    /// The outcomes of rows, with errors that say what they are about.
    fn named(&self, operation: &'static str, keys: &[&Key], outcomes: Vec<Result<Outcome>>) -> Vec<Outcome> {
        let each = outcomes.into_iter().zip(keys).map(|(outcome, key)| {
            outcome.unwrap_or_else(|error| {
                let error = self.about(operation)(self.with_properties(error)).with_key(key.to_string());
                if error.leaves_open() { Outcome::lost(&error, None) } else { Outcome::Failed(error) }
            })
        });
        each.collect()
    }
}

/// The value of an option as it stands in an address.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn no_issue() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "there is no such issue of this type, or the connected user may not see it",
    )
    .with_code("issue_not_found")
    .with_advice("Look whether it was deleted, or moved to another project or type")
}

/// The id in a key: digits, which cannot be taken for a key of Jira's.
pub(super) fn id_of(key: &Key) -> Result<String> {
    let text = match key.parts() {
        [KeyPart::Text(text)] => text.clone(),
        [KeyPart::Integer(number)] => number.to_string(),
        _ => String::new(),
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text);
    }
    Err(Error::new(ErrorKind::NotFound, format!("{:?} is not the id of an issue", key.to_string()))
        .with_code("not_an_id")
        .with_advice("Ids have digits only; `recordport get --by key` finds an issue by a key such as OPS-1"))
}
