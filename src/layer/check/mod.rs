//! The record plane's check: what cannot succeed is refused before the wire, row by row.
//!
//! [`Checked`] wraps a provider's [`Records`]. Operations that the capability lacks, unknown options and wrong
//! keys are refused; a row that the record type refutes fails alone, with a reason for each field, while the
//! other rows go on; batches over the capability's limit are split, and outcomes come back in the order of the
//! rows. Batches of creates are sent several at once, as many as the capability says; those that share a parent
//! go one after another (`apart.rs`). A create whose answer was lost is looked for by its mark (`doubt.rs`).

mod apart;
mod dependent;
mod doubt;
mod options;
mod rows;
mod values;

use std::sync::Arc;
use std::time::Duration;

use apart::Gate;
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use serde_json::Value as Json;

use crate::connect::sign_in::AccessMode;
use crate::error::{Error, ErrorKind, FieldError, Result};
use crate::provider::{
    Change, ChangePage, Content, Context, Edit, Edits, NewRow, OptionPage, OptionQuery, Outcome, Plan,
    Records, Resolved, Settled, VersionedKey, WriteOptions,
};
use crate::record::capability::{ContentCapability, VersionSupport, WriteCapability};
use crate::record::{Checkpoint, Cursor, Field, FieldPath, Key, KeyFields, Page, Query, Record, RecordType};

pub use doubt::mark_of;
pub use values::Purpose;

/// What is wrong with the JSON text of a field's value, whatever else is in its row.
#[must_use]
pub fn value_reasons(field: &Field, json: &str, purpose: Purpose) -> Vec<FieldError> {
    values::value(field, json, purpose)
}

/// A row as it would be created, checked against its type.
///
/// # Errors
/// Invalid, with a reason for each field.
pub fn new_row(record_type: &RecordType, fields: &Edits) -> Result<Edits> {
    let write = record_type.capability.create.as_ref();
    rows::new_row(record_type, fields, write.is_some_and(|write| write.parents_by_key))
}

/// Edits as they would be sent for an update, checked against their type.
///
/// # Errors
/// Invalid, with a reason for each field.
pub fn change(record_type: &RecordType, edits: &Edits) -> Result<Edits> {
    let write = record_type.capability.update.as_ref();
    rows::change(record_type, edits, write.is_some_and(|write| write.parents_by_key))
}

/// Edits as they would be sent for an upsert, checked against their type.
///
/// # Errors
/// Invalid, with a reason for each field.
pub fn upsert(record_type: &RecordType, by: &KeyFields, change: &Change) -> Result<Edits> {
    let write = record_type.capability.upsert.as_ref().map(|upsert| &upsert.write);
    let by_key = write.is_some_and(|write| write.parents_by_key);
    rows::upsert(record_type, by, &change.key, &change.edits, by_key)
}

/// Required fields that the edits of a row leave open, were it to create its record.
#[must_use]
pub fn lacking(record_type: &RecordType, by: &KeyFields, edits: &Edits) -> Vec<FieldError> {
    rows::lacking(record_type, by, edits)
}

/// What is wrong with the options of a write.
///
/// # Errors
/// Invalid for an option that the operation does not have, or a value that it does not take.
pub fn options_of(options: &WriteOptions, capability: &WriteCapability) -> Result<()> {
    options::check(options, &capability.options)
}

/// A provider's records behind the check.
#[derive(Debug, Clone)]
pub struct Checked {
    inner: Arc<dyn Records>,
    access: AccessMode,
    /// Creates under way, whichever calls they belong to.
    creating: Arc<Gate>,
}

impl Checked {
    /// Wraps records; with [`AccessMode::ReadOnly`] every write is refused.
    #[must_use]
    pub fn new(inner: Arc<dyn Records>, access: AccessMode) -> Self {
        let at_once = inner.record_type().capability.create.as_ref().map_or(1, |create| create.at_once);
        Self { inner, access, creating: Arc::new(Gate::new(at_once)) }
    }

    fn kind(&self) -> &RecordType {
        self.inner.record_type()
    }

    fn lacks(&self, cx: &Context, operation: &str, what: &str) -> Error {
        let record_type = self.kind();
        Error::unsupported(format!("{} cannot be {what}", record_type.name))
            .with_operation(operation)
            .with_provider(record_type.provider.as_str())
            .with_connection(cx.connection.as_str())
            .with_record_type(record_type.name.as_str())
            .with_advice("`recordport types` lists what can be done with each record type")
    }

    /// The capability of a write, if this connection may write at all.
    fn write<'a>(
        &self,
        cx: &Context,
        operation: &'static str,
        what: &str,
        capability: Option<&'a WriteCapability>,
        options: &WriteOptions,
    ) -> Result<&'a WriteCapability> {
        if self.access == AccessMode::ReadOnly {
            return Err(Error::new(ErrorKind::Forbidden, "this connection only reads")
                .with_operation(operation)
                .with_provider(self.kind().provider.as_str())
                .with_connection(cx.connection.as_str())
                .with_record_type(self.kind().name.as_str())
                .with_advice("Connect again with --access read-write"));
        }
        let capability = capability.ok_or_else(|| self.lacks(cx, operation, what))?;
        options::check(options, &capability.options).map_err(|error| {
            error
                .with_operation(operation)
                .with_connection(cx.connection.as_str())
                .with_record_type(self.kind().name.as_str())
        })?;
        Ok(capability)
    }

    fn searches(&self, cx: Option<&Context>, operation: &str) -> Result<()> {
        if self.kind().capability.search.is_some() {
            return Ok(());
        }
        let record_type = self.kind();
        let error = Error::unsupported(format!("{} cannot be searched", record_type.name))
            .with_operation(operation)
            .with_record_type(record_type.name.as_str());
        Err(match cx {
            Some(cx) => error.with_connection(cx.connection.as_str()),
            None => error,
        })
    }

    /// The capability of content, for a field that has some.
    fn content(&self, cx: &Context, operation: &str, key: &Key, field: &str) -> Result<&ContentCapability> {
        let record_type = self.kind();
        let capability = record_type.capability.content.as_ref();
        let capability = capability.ok_or_else(|| self.lacks(cx, operation, "read or written as content"))?;
        if !capability.fields.iter().any(|known| known == field) {
            return Err(Error::invalid(format!("{field} of {} has no content", record_type.name))
                .with_operation(operation)
                .with_connection(cx.connection.as_str())
                .with_record_type(record_type.name.as_str())
                .with_advice(format!("Fields with content: {}", capability.fields.join(", "))));
        }
        rows::key(key, &record_type.key).map_err(|error| error.with_operation(operation))?;
        Ok(capability)
    }

    fn check_by(&self, cx: &Context, operation: &str, by: &KeyFields, allowed: &[KeyFields]) -> Result<()> {
        if allowed.contains(by) {
            return Ok(());
        }
        let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        Err(Error::unsupported(format!("{} cannot be found by {by}", self.kind().name))
            .with_operation(operation)
            .with_connection(cx.connection.as_str())
            .with_record_type(self.kind().name.as_str())
            .with_advice(format!("It can be found by: {}", names.join("; "))))
    }

    /// Refuses a version where the operation cannot check one.
    fn check_version(version: Option<&String>, capability: &WriteCapability) -> Result<()> {
        if version.is_some() && capability.version == VersionSupport::None {
            return Err(Error::unsupported("versions are not checked by this operation")
                .with_advice("Leave @version out, or read the record again before you write it"));
        }
        Ok(())
    }
}

/// The marker of a row of a run: the same for the same row, whenever it is asked for. None where the row has a field
/// that serves as one, or the provider takes none.
#[must_use]
pub fn made_up(new: &NewRow, capability: &WriteCapability, run: &str, row: &Json) -> Option<Json> {
    doubt::made_up(new, capability, run, row)
}

/// Waits until a request that was last sent then cannot be under way any more at its service.
pub async fn until_arrived(cx: &Context, last: jiff::Timestamp) {
    doubt::until_arrived(cx, last).await;
}

/// Whether this is an error after which further requests of the same kind are pointless or harmful: rows that
/// failed of it were not sent.
#[must_use]
pub fn stops_the_rest(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Unauthorized
        | ErrorKind::RateLimited
        | ErrorKind::Cancelled
        | ErrorKind::ForeignHost
        | ErrorKind::Local
        | ErrorKind::Bug => true,
        // Refused before the wire, and not for the sake of a row: an option, or what the provider cannot do.
        ErrorKind::Invalid | ErrorKind::Unsupported => error.status().is_none(),
        // Not even an answer: the service is not there.
        ErrorKind::Unavailable => error.status().is_none(),
        _ => false,
    }
}

/// One batch of checked rows, on its way to the provider.
type Sending<'a> = BoxFuture<'a, Result<Vec<Outcome>>>;

/// Whether a row must not go with these: it adds to or removes from a list of a record that one of them changes,
/// and what it starts from is read before the batch is sent.
fn edits_a_list_again(batch: &[Change], row: &Change) -> bool {
    row.edits.iter().any(|(_, edit)| matches!(edit, Edit::List { .. }))
        && batch.iter().any(|other| other.key == row.key)
}

/// Sends the rows that passed, in batches, up to `at_once` of them at a time, and puts every outcome at its
/// row's place. A row that `waits` for those before it begins a batch.
///
/// # Errors
/// The provider's, when it concerns every row alike and no row is known to have been sent before it.
async fn send_in_batches<'a, T>(
    checked: Vec<Result<T>>,
    (batch_max, at_once): (usize, usize),
    marker: impl Fn(&T) -> Option<Json>,
    waits: impl Fn(&[T], &T) -> bool,
    send: impl Fn(Vec<T>) -> Sending<'a>,
) -> Result<Vec<Outcome>> {
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(checked.len());
    let mut good = Vec::with_capacity(checked.len());
    for (place, row) in checked.into_iter().enumerate() {
        match row {
            Ok(row) => {
                good.push((place, row));
                outcomes.push(None);
            }
            Err(error) => outcomes.push(Some(Outcome::Failed(error))),
        }
    }
    let alone = good.len() == outcomes.len();
    let (mut reached, mut stopped, mut dry): (bool, Option<Error>, Option<Error>) = (false, None, None);
    let mut good = good.into_iter().peekable();
    let mut under_way = FuturesUnordered::new();
    loop {
        while stopped.is_none() && under_way.len() < at_once.max(1) && good.peek().is_some() {
            let (mut places, mut batch) = (Vec::new(), Vec::new());
            while batch.len() < batch_max.max(1)
                && let Some((place, row)) = good.next_if(|(_, row)| !waits(&batch, row))
            {
                places.push(place);
                batch.push(row);
            }
            let markers: Vec<Option<Json>> = batch.iter().map(&marker).collect();
            let sending = send(batch);
            under_way.push(async move { (places, markers, sending.await) });
        }
        let Some((places, markers, answered)) = under_way.next().await else { break };
        match answered {
            Ok(answers) if answers.len() == places.len() => {
                reached = true;
                for (place, answer) in places.into_iter().zip(answers) {
                    outcomes[place] = Some(answer);
                }
            }
            Ok(answers) => {
                reached = true;
                let error = doubt::miscounted(answers.len(), places.len());
                for (place, marker) in places.into_iter().zip(markers) {
                    outcomes[place] = Some(Outcome::Unknown { marker, error: error.clone() });
                }
            }
            Err(error) => {
                if stops_the_rest(&error) {
                    stopped.get_or_insert_with(|| error.clone());
                } else if error.kind() == ErrorKind::DryRun {
                    dry.get_or_insert_with(|| error.clone());
                } else {
                    reached = true;
                }
                for place in places {
                    outcomes[place] = Some(Outcome::Failed(error.clone()));
                }
            }
        }
    }
    match (stopped, dry) {
        (Some(error), None) if !reached => return Err(error),
        (Some(error), _) => {
            for (place, _) in good {
                outcomes[place] = Some(Outcome::Failed(not_sent(&error)));
            }
        }
        (None, Some(error)) if !reached && alone => return Err(error),
        (None, _) => {}
    }
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| Outcome::Failed(Error::bug("a row got no outcome"))))
        .collect())
}

fn not_sent(because: &Error) -> Error {
    Error::new(because.kind(), format!("not sent: {}", because.message()))
        .with_retry(crate::error::Retry::Always)
        .with_advice(because.advice().unwrap_or("Send this row again once that is mended"))
}

#[async_trait]
impl Records for Checked {
    fn record_type(&self) -> &Arc<RecordType> {
        self.inner.record_type()
    }

    async fn resolve(&self, cx: &Context, paths: &[FieldPath]) -> Result<Resolved> {
        self.inner.resolve(cx, paths).await
    }

    fn plan(&self, query: &Query, resolved: &Resolved) -> Result<Plan> {
        self.searches(None, "search")?;
        if let Some(search) = &self.kind().capability.search {
            let name = &self.kind().name;
            if query.include_deleted && !search.include_deleted {
                return Err(Error::unsupported(format!("deleted records of {name} cannot be searched"))
                    .with_record_type(name.as_str()));
            }
            if query.native.is_some() && search.native.is_none() {
                return Err(Error::unsupported(format!("{name} takes no filter in its provider's language"))
                    .with_record_type(name.as_str())
                    .with_advice("Say it with --where or a rule group"));
            }
        }
        self.inner.plan(query, resolved)
    }

    async fn page(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        self.searches(Some(cx), "search")?;
        if let Some(cursor) = at {
            plan.accept(cursor)?;
        }
        self.inner.page(cx, plan, at).await
    }

    async fn count(&self, cx: &Context, plan: &Plan) -> Result<Option<u64>> {
        self.searches(Some(cx), "count")?;
        self.inner.count(cx, plan).await
    }

    async fn get(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let capability =
            self.kind().capability.get.as_ref().ok_or_else(|| self.lacks(cx, "get", "read by key"))?;
        self.check_by(cx, "get", by, &capability.by)?;
        for key in keys {
            rows::key(key, by).map_err(|error| error.with_operation("get"))?;
        }
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(capability.batch_max.max(1)) {
            let answers = self.inner.get(cx, by, batch, select).await?;
            if answers.len() != batch.len() {
                return Err(Error::protocol(format!(
                    "{} answers came for {} keys",
                    answers.len(),
                    batch.len()
                ))
                .with_operation("get")
                .with_connection(cx.connection.as_str())
                .with_record_type(self.kind().name.as_str()));
            }
            found.extend(answers);
        }
        Ok(found)
    }

    async fn create(&self, cx: &Context, rows: &[NewRow], options: &WriteOptions) -> Result<Vec<Outcome>> {
        let capability = self.kind().capability.create.as_ref();
        let capability = self.write(cx, "create", "created", capability, options)?;
        let checked = rows
            .iter()
            .map(|row| {
                if row.marker.is_some() && !capability.marker {
                    return Err(Error::unsupported("rows of this type cannot carry a marker"));
                }
                let fields = rows::new_row(self.kind(), &row.fields, capability.parents_by_key)?;
                Ok(NewRow { fields, marker: row.marker.clone() })
            })
            .map(|row| row.map_err(|error| self.in_row(error, "create", None)))
            .collect();
        send_in_batches(
            checked,
            (capability.batch_max, capability.at_once),
            |row: &NewRow| row.marker.clone(),
            |_, _| false,
            |batch| {
                Box::pin(async move {
                    let shared = apart::shared(self.kind(), capability, &batch);
                    let _passed = self.creating.pass(shared).await?;
                    doubt::create(&*self.inner, cx, capability, batch, options).await
                })
            },
        )
        .await
    }

    async fn update(&self, cx: &Context, rows: &[Change], options: &WriteOptions) -> Result<Vec<Outcome>> {
        let capability = self.kind().capability.update.as_ref();
        let capability = self.write(cx, "update", "updated", capability, options)?;
        let checked = rows
            .iter()
            .map(|row| {
                let check = || {
                    rows::key(&row.key, &self.kind().key)?;
                    Self::check_version(row.if_version.as_ref(), capability)?;
                    let edits = rows::change(self.kind(), &row.edits, capability.parents_by_key)?;
                    Ok(Change { key: row.key.clone(), edits, if_version: row.if_version.clone() })
                };
                check().map_err(|error| self.in_row(error, "update", Some(&row.key)))
            })
            .collect();
        send_in_batches(
            checked,
            (capability.batch_max, 1),
            |_| None,
            edits_a_list_again,
            |batch| Box::pin(async move { self.inner.update(cx, &batch, options).await }),
        )
        .await
    }

    async fn upsert(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let upsert = self.kind().capability.upsert.as_ref();
        let capability = self.write(cx, "upsert", "upserted", upsert.map(|upsert| &upsert.write), options)?;
        self.check_by(cx, "upsert", by, upsert.map_or(&[][..], |upsert| &upsert.by))?;
        let checked = rows
            .iter()
            .map(|row| {
                let check = || {
                    rows::key(&row.key, by)?;
                    Self::check_version(row.if_version.as_ref(), capability)?;
                    let edits =
                        rows::upsert(self.kind(), by, &row.key, &row.edits, capability.parents_by_key)?;
                    Ok(Change { key: row.key.clone(), edits, if_version: row.if_version.clone() })
                };
                check().map_err(|error| self.in_row(error, "upsert", Some(&row.key)))
            })
            .collect();
        send_in_batches(
            checked,
            (capability.batch_max, 1),
            |_| None,
            edits_a_list_again,
            |batch| Box::pin(async move { self.inner.upsert(cx, by, &batch, options).await }),
        )
        .await
    }

    async fn delete(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let capability = self.kind().capability.delete.as_ref();
        let capability = self.write(cx, "delete", "deleted", capability, options)?;
        let checked = rows
            .iter()
            .map(|row| {
                rows::key(&row.key, &self.kind().key)
                    .and_then(|()| Self::check_version(row.if_version.as_ref(), capability))
                    .map(|()| row.clone())
                    .map_err(|error| self.in_row(error, "delete", Some(&row.key)))
            })
            .collect();
        send_in_batches(
            checked,
            (capability.batch_max, 1),
            |_| None,
            |_, _| false,
            |batch| Box::pin(async move { self.inner.delete(cx, &batch, options).await }),
        )
        .await
    }

    fn mark(&self, row: &NewRow, options: &WriteOptions) -> Option<Json> {
        self.inner.mark(row, options)
    }

    async fn settle(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        self.inner.settle(cx, marks).await
    }

    async fn changes(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage> {
        if self.kind().capability.changes.is_none() {
            return Err(self.lacks(cx, "changes", "followed: its provider has no feed of changes"));
        }
        if let Some(checkpoint) = since {
            checkpoint
                .belongs_to(self.kind())
                .map_err(|error| error.with_operation("changes").with_connection(cx.connection.as_str()))?;
        }
        self.inner.changes(cx, since, select).await
    }

    async fn await_changes(&self, cx: &Context, at: &Checkpoint, most: Duration) {
        self.inner.await_changes(cx, at, most).await;
    }

    async fn read_content(&self, cx: &Context, key: &Key, field: &str) -> Result<Content> {
        self.content(cx, "content get", key, field)?;
        self.inner.read_content(cx, key, field).await
    }

    async fn write_content(
        &self,
        cx: &Context,
        key: &Key,
        field: &str,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        let capability = self.content(cx, "content put", key, field)?;
        let write = capability.writable.then(|| WriteCapability {
            options: capability.options.clone(),
            ..WriteCapability::batches_of(1)
        });
        self.write(cx, "content put", "given content", write.as_ref(), options)?;
        if let (Some(length), Some(most)) = (content.length, capability.bytes_max)
            && length > most
        {
            return Err(Error::invalid(format!("the content has {length} bytes; {field} takes {most}"))
                .with_code("content_too_large")
                .with_operation("content put")
                .with_record_type(self.kind().name.as_str()));
        }
        self.inner.write_content(cx, key, field, content, options).await
    }

    async fn options(&self, cx: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage> {
        self.inner.options(cx, field, ask).await
    }
}

impl Checked {
    fn in_row(&self, error: Error, operation: &'static str, key: Option<&Key>) -> Error {
        let error = error
            .with_operation(operation)
            .with_provider(self.kind().provider.as_str())
            .with_record_type(self.kind().name.as_str());
        match key {
            Some(key) => error.with_key(key.to_string()),
            None => error,
        }
    }
}
