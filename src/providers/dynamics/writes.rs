//! Writing the records of one table: every row is an operation of its own in a batch, so that it has its own
//! outcome.

use std::time::Duration;

use http::Method;
use rand::Rng as _;
use serde_json::Value as Json;

use super::discover::BATCH;
use super::records::{DynamicsRecords, missing, replies};
use super::rows::{self, Present};
use super::{api, dialect, keys, odata};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::multipart::{Answers, Part, PartReply};
use crate::provider::present;
use crate::provider::{Change, Context, Edits, NewRow, Outcome, VersionedKey, WriteOptions};
use crate::record::value::ValueKind;
use crate::record::{FieldPath, FieldType, Key, KeyFields};

/// How often rows that the service was too busy for are sent.
const ATTEMPTS: u32 = 5;
/// First pause before such rows are sent again, when the service names none; it doubles.
const PAUSE: Duration = Duration::from_millis(500);

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Create,
    Update,
    Upsert,
    Delete,
}

impl Write {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }
}

/// An operation ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) part: Part,
    /// What its success means.
    pub(super) write: Write,
    /// The record's key, when it is known beforehand.
    pub(super) key: Option<Key>,
    pub(super) marker: Option<Json>,
    /// Whether sending it twice does no more than sending it once.
    pub(super) idempotent: bool,
    /// Whether it may go with others in one action.
    pub(super) joins: bool,
}

/// Switches of a write.
#[derive(Debug, Clone, Copy, Default)]
struct Switches {
    detect_duplicates: bool,
    bypass_plugins: bool,
}

impl Switches {
    fn put(self, part: &mut Part) {
        if self.detect_duplicates {
            part.headers.push(("MSCRM.SuppressDuplicateDetection", "false".to_owned()));
        }
        if self.bypass_plugins {
            part.headers.push(("MSCRM.BypassCustomPluginExecution", "true".to_owned()));
        }
    }
}

impl DynamicsRecords {
    /// Creates rows; a row with a marker gets it as its id.
    pub(super) async fn create_rows(
        &self,
        cx: &Context,
        rows: &[NewRow],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("create", options)?;
        let edits: Vec<Edits> = rows.iter().map(|row| self.with_parents(&row.fields)).collect();
        let binds = self.binds(cx, &edits).await?;
        let made = rows
            .iter()
            .zip(&edits)
            .zip(binds)
            .map(|((row, edits), binds)| {
                let mut front = Vec::new();
                if let Some(marker) = &row.marker {
                    let id = marker.as_str().and_then(odata::canonical_guid).ok_or_else(|| {
                        Error::invalid("the marker of a row is the id that it shall have, as text")
                    })?;
                    front.push((self.described.wires.id.clone(), rows::text(&id)));
                }
                let body = rows::body(&self.described, &front, edits, true, &Present::new(), &binds?)?;
                let mut part = api::part_write(self.version(), Method::POST, &self.described.wires.set, body);
                switches.put(&mut part);
                Ok(Operation {
                    part,
                    write: Write::Create,
                    key: None,
                    marker: row.marker.clone(),
                    idempotent: false,
                    joins: true,
                })
            })
            .collect();
        self.send_operations(cx, Write::Create, made).await
    }

    /// Updates rows by id, each only if it exists or still has its version.
    pub(super) async fn update_rows(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("update", options)?;
        let by = self.record_type_here().key.clone();
        let present = self.present(cx, &by, rows).await?;
        let edits: Vec<Edits> = rows.iter().map(|row| self.with_parents(&row.edits)).collect();
        let binds = self.binds(cx, &edits).await?;
        let made = rows
            .iter()
            .zip(&edits)
            .zip(present.into_iter().zip(binds))
            .map(|((row, edits), (present, binds))| {
                let id = keys::id_of(&row.key)?;
                let condition = version_of(row.if_version.as_deref())?;
                let body = rows::body(&self.described, &[], edits, false, &present?, &binds?)?;
                let resource = format!("{}({id})", self.described.wires.set);
                let part = api::part_write(self.version(), Method::PATCH, &resource, body);
                let mut part = api::if_match(part, condition);
                switches.put(&mut part);
                Ok(Operation {
                    part,
                    write: Write::Update,
                    key: Some(Key::text(id)),
                    marker: None,
                    idempotent: row.if_version.is_none(),
                    joins: row.if_version.is_none(),
                })
            })
            .zip(rows)
            .map(|(made, row): (Result<Operation>, _)| {
                made.map_err(|error| error.with_key(row.key.to_string()))
            })
            .collect();
        self.send_operations(cx, Write::Update, made).await
    }

    /// Creates or updates rows by a key.
    pub(super) async fn upsert_rows(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("upsert", options)?;
        let present = self.present(cx, by, rows).await?;
        let edits: Vec<Edits> = rows.iter().map(|row| self.with_parents(&row.edits)).collect();
        let binds = self.binds(cx, &edits).await?;
        let elsewhere = self.found_by_query(cx, by, rows).await?;
        let made: Vec<Result<Operation>> = rows
            .iter()
            .zip(&edits)
            .zip(present.into_iter().zip(binds))
            .zip(elsewhere)
            .map(|(((row, edits), (present, binds)), elsewhere)| {
                if row.if_version.is_some() {
                    return Err(self.unsupported("upsert", "cannot check a version on upsert"));
                }
                let without_key: Edits =
                    edits.iter().filter(|(name, _)| !by.0.contains(name)).cloned().collect();
                let (present, binds) = (present?, binds?);
                let body = |front: &[(String, String)], creates| {
                    rows::body(&self.described, front, &without_key, creates, &present, &binds)
                };
                let set = &self.described.wires.set;
                let (mut part, write, key) = match elsewhere {
                    // The key cannot stand in an address, so the record was looked for by a query.
                    Some(found) => match found? {
                        Some(key) => {
                            let part = api::part_write(
                                self.version(),
                                Method::PATCH,
                                &format!("{set}({key})"),
                                body(&[], false)?,
                            );
                            (api::if_match(part, "*"), Write::Update, Some(key))
                        }
                        None => {
                            let front = self.key_members(by, &row.key)?;
                            let part =
                                api::part_write(self.version(), Method::POST, set, body(&front, true)?);
                            (part, Write::Create, None)
                        }
                    },
                    None => {
                        let id = &self.described.wires.id;
                        let predicate = keys::address(&self.described, by, &row.key)?.predicate(id);
                        let resource = format!("{set}({predicate})?$select={id}");
                        let body = body(&[], false)?;
                        let mut part = api::part_write(self.version(), Method::PATCH, &resource, body);
                        // Only the representation tells a created record from an updated one.
                        part.headers.push(("Prefer", "return=representation".to_owned()));
                        (part, Write::Upsert, None)
                    }
                };
                switches.put(&mut part);
                Ok(Operation {
                    part,
                    write,
                    key,
                    marker: None,
                    idempotent: write != Write::Create,
                    joins: false,
                })
            })
            .zip(rows)
            .map(|(made, row)| made.map_err(|error| error.with_key(row.key.to_string())))
            .collect();
        self.send_operations(cx, Write::Upsert, made).await
    }

    /// Deletes rows, each only if it still has its version.
    pub(super) async fn delete_rows(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("delete", options)?;
        let made = rows
            .iter()
            .map(|row| {
                let prepared = (|| {
                    let id = keys::id_of(&row.key)?;
                    let resource = format!("{}({id})", self.described.wires.set);
                    let mut part = api::part_write(self.version(), Method::DELETE, &resource, String::new());
                    if row.if_version.is_some() {
                        part = api::if_match(part, version_of(row.if_version.as_deref())?);
                    }
                    switches.put(&mut part);
                    Ok(Operation {
                        part,
                        write: Write::Delete,
                        key: Some(Key::text(id)),
                        marker: None,
                        idempotent: true,
                        joins: false,
                    })
                })();
                prepared.map_err(|error: Error| error.with_key(row.key.to_string()))
            })
            .collect();
        self.send_operations(cx, Write::Delete, made).await
    }

    /// Which of the rows whose key cannot stand in an address exist: `None` for the other rows, else the id.
    async fn found_by_query(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
    ) -> Result<Vec<Option<Result<Option<Key>>>>> {
        let mut out: Vec<Option<Result<Option<Key>>>> = rows.iter().map(|_| None).collect();
        let places: Vec<usize> = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| {
                keys::address(&self.described, by, &row.key).is_ok_and(|address| !address.fits)
            })
            .map(|(place, _)| place)
            .collect();
        if places.is_empty() {
            return Ok(out);
        }
        let keys: Vec<Key> = places.iter().map(|place| rows[*place].key.clone()).collect();
        let select = [FieldPath::of(self.record_type_here().key.0.clone())];
        let found = self.read_by(cx, by, &keys, &select).await?;
        for (place, record) in places.into_iter().zip(found) {
            out[place] = Some(record.map(|record| record.map(|record| record.key)));
        }
        Ok(out)
    }

    /// What the lists hold now that some edits add to or remove from, by row.
    async fn present(&self, cx: &Context, by: &KeyFields, rows: &[Change]) -> Result<Vec<Result<Present>>> {
        let read = async |keys: Vec<Key>, select: Vec<FieldPath>| self.read_by(cx, by, &keys, &select).await;
        present::present(self.record_type_here(), rows, read).await
    }

    /// Sends operations that were made, each at its place, and puts the outcomes there.
    pub(super) async fn send_operations(
        &self,
        cx: &Context,
        write: Write,
        made: Vec<Result<Operation>>,
    ) -> Result<Vec<Outcome>> {
        let about = self.about(write.name());
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(made.len());
        let mut waiting: Vec<(usize, Operation)> = Vec::new();
        for (place, made) in made.into_iter().enumerate() {
            match made {
                Ok(operation) => {
                    waiting.push((place, operation));
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Outcome::Failed(about(error)))),
            }
        }
        let mut sent = false;
        for attempt in 1..=ATTEMPTS {
            let mut busy: Vec<(usize, Operation)> = Vec::new();
            let mut pause = Duration::ZERO;
            let mut rest = std::mem::take(&mut waiting).into_iter().peekable();
            while rest.peek().is_some() {
                let batch: Vec<(usize, Operation)> = rest.by_ref().take(BATCH).collect();
                let answers = match self.outcomes(cx, write, &batch, attempt == 1).await {
                    Ok(answers) => answers,
                    // Nothing is known to be written only while no other row was sent.
                    Err(error) if !error.leaves_open() && !sent => return Err(about(error)),
                    Err(error) => {
                        let error = about(error);
                        let open = error.leaves_open();
                        for (place, operation) in batch {
                            outcomes[place] = Some(if open {
                                Outcome::lost(&error, operation.marker)
                            } else {
                                Outcome::Failed(error.clone())
                            });
                        }
                        continue;
                    }
                };
                sent = true;
                for ((place, operation), outcome) in batch.into_iter().zip(answers) {
                    match &outcome {
                        Outcome::Failed(error) if error.retry() == Retry::Always && attempt < ATTEMPTS => {
                            pause = pause.max(error.retry_after().unwrap_or_default());
                            busy.push((place, operation));
                        }
                        _ => {}
                    }
                    outcomes[place] = Some(outcome);
                }
            }
            if busy.is_empty() {
                break;
            }
            waiting = busy;
            let most = PAUSE * 2_u32.pow(attempt - 1);
            let jittered = most.mul_f64(rand::rng().random_range(0.5..=1.0));
            cx.clock.sleep(pause.max(jittered)).await;
        }
        Ok(outcomes
            .into_iter()
            .map(|outcome| {
                outcome.unwrap_or_else(|| Outcome::lost(&about(Error::bug("a row has no outcome")), None))
            })
            .collect())
    }

    /// What became of the operations of one batch.
    async fn outcomes(
        &self,
        cx: &Context,
        write: Write,
        batch: &[(usize, Operation)],
        first: bool,
    ) -> Result<Vec<Outcome>> {
        if first && let Some(outcomes) = self.together(cx, write, batch).await? {
            return Ok(outcomes);
        }
        let answers = self.send_batch(cx, write, batch).await?;
        let each = batch.iter().zip(answers);
        Ok(each.map(|((_, operation), answer)| self.outcome(cx, operation, answer)).collect())
    }

    /// One batch; an answer for each operation, `None` for those whose answer did not come.
    async fn send_batch(
        &self,
        cx: &Context,
        write: Write,
        batch: &[(usize, Operation)],
    ) -> Result<Vec<Option<PartReply>>> {
        let parts: Vec<Part> = batch.iter().map(|(_, operation)| operation.part.clone()).collect();
        let idempotent = batch.iter().all(|(_, operation)| operation.idempotent);
        let reply = cx.send(api::batch(write.name(), self.version(), &parts, idempotent)).await?;
        let Answers { replies, whole } = replies(&reply)?;
        let mut answers: Vec<Option<PartReply>> = replies.into_iter().map(Some).collect();
        // Nobody knows whose answer is missing, or too many.
        if answers.len() > batch.len() || (whole && answers.len() < batch.len()) {
            return Err(missing(answers.len(), batch.len()));
        }
        answers.resize(batch.len(), None);
        Ok(answers)
    }

    /// What an answer says of one row.
    fn outcome(&self, cx: &Context, operation: &Operation, answer: Option<PartReply>) -> Outcome {
        let name = operation.write.name();
        let about = self.about(name);
        let Some(answer) = answer else {
            let error = Error::protocol("the answer to this row did not come").with_code("wrong_row_count");
            return Outcome::lost(&about(error), operation.marker.clone());
        };
        if answer.status.is_success() {
            let key = operation
                .key
                .clone()
                .or_else(|| answer.header("odata-entityid").and_then(id_in).map(Key::text))
                .or_else(|| self.key_in(&answer));
            let Some(key) = key else {
                let error = Error::protocol("Dataverse reports a success without an id");
                return Outcome::lost(&about(error), operation.marker.clone());
            };
            return match operation.write {
                Write::Create => Outcome::Created(key),
                Write::Upsert if answer.status == http::StatusCode::CREATED => Outcome::Created(key),
                Write::Update | Write::Upsert => Outcome::Updated(key),
                Write::Delete => Outcome::Deleted(key),
            };
        }
        let error = dialect::part_error(name, &answer, cx.clock.now());
        if operation.write == Write::Delete
            && error.kind() == ErrorKind::NotFound
            && let Some(key) = &operation.key
        {
            return Outcome::Deleted(key.clone());
        }
        let error = about(self.with_columns(error)).with_connection(cx.connection.as_str());
        let error = match &operation.key {
            Some(key) => error.with_key(key.to_string()),
            None => error,
        };
        if error.leaves_open() {
            return Outcome::lost(&error, operation.marker.clone());
        }
        Outcome::Failed(error)
    }

    /// The columns of a key as members of a new row.
    fn key_members(&self, by: &KeyFields, key: &Key) -> Result<Vec<(String, String)>> {
        by.0.iter()
            .zip(key.parts())
            .map(|(name, part)| {
                let kind = self.record_type_here().field(name).map(|field| &field.field_type);
                let text = part.to_string();
                let value = match kind {
                    Some(FieldType::Reference(_)) => {
                        return Err(self.unsupported(
                            "upsert",
                            "cannot create a record by a key with a lookup whose other parts no address can carry",
                        ));
                    }
                    Some(kind) if kind.value_kind() == Some(ValueKind::Number) => text,
                    _ => rows::text(&text),
                };
                Ok((name.clone(), value))
            })
            .collect()
    }

    /// The id in the representation of a record.
    fn key_in(&self, answer: &PartReply) -> Option<Key> {
        let row: Json = serde_json::from_slice(&answer.body).ok()?;
        row.get(&self.described.wires.id)?.as_str().and_then(odata::canonical_guid).map(Key::text)
    }

    /// Names the columns that the service's words are about: those that stand there in quotes.
    pub(super) fn with_columns(&self, error: Error) -> Error {
        let words = error.provider_message().unwrap_or_default().to_owned();
        let named = words.split(['\'', '"']).skip(1).step_by(2).filter_map(|word| {
            let bare = word.split('@').next().unwrap_or(word);
            self.record_type_here().fields.iter().find(|field| {
                let ways = self.described.wires.lookups.get(&field.name).into_iter().flatten();
                field.name == bare || field.wire() == bare || ways.into_iter().any(|(_, nav)| nav == bare)
            })
        });
        let mut names: Vec<&str> = named.map(|field| field.name.as_str()).collect();
        names.dedup();
        let message = error.message().to_owned();
        names.into_iter().fold(error, |error, name| error.with_field(name, message.as_str()))
    }

    /// The switches of a write's options.
    fn switches(&self, operation: &'static str, options: &WriteOptions) -> Result<Switches> {
        let mut switches = Switches::default();
        for (name, value) in options {
            let place = match name.as_str() {
                "detect_duplicates" if operation != "delete" => &mut switches.detect_duplicates,
                "bypass_plugins" => &mut switches.bypass_plugins,
                _ => {
                    return Err(Error::invalid(format!("{operation} has no option {name:?}"))
                        .with_field(name, "it is detect_duplicates or bypass_plugins"));
                }
            };
            *place = match value {
                Json::Bool(flag) => *flag,
                Json::String(text) if text == "true" || text == "false" => text == "true",
                other => {
                    return Err(Error::invalid(format!("{other} is not true or false"))
                        .with_field(name, "true or false"));
                }
            };
        }
        Ok(switches)
    }
}

/// The condition of an update or delete: the version, or that the record exists.
fn version_of(version: Option<&str>) -> Result<&str> {
    match version {
        None => Ok("*"),
        Some(version) if api::is_version(version) => Ok(version),
        Some(version) => Err(Error::invalid(format!("{version:?} is not a version of a record"))
            .with_advice("Give the @version that search or get printed")),
    }
}

/// The id at the end of a record's address.
fn id_in(address: &str) -> Option<String> {
    let (_, rest) = address.rsplit_once('(')?;
    odata::canonical_guid(rest.trim_end().strip_suffix(')')?)
}
