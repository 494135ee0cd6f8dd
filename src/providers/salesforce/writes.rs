//! Writing the records of one type in batches.

use std::collections::HashMap;
use std::time::Duration;

use rand::Rng as _;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::api::{self, WriteSwitches};
use super::discover::BATCH;
use super::parents::ParentKey;
use super::records::SalesforceRecords;
use super::rows::{self, Present, SaveResult, Write};
use super::{dialect, soql};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::Call;
use crate::provider::present;
use crate::provider::{Change, Context, Edit, Edits, NewRow, Outcome, VersionedKey, WriteOptions};
use crate::record::{FieldPath, Key, KeyFields, Record};

/// How often the rows that met a lock are sent.
pub(super) const LOCK_ATTEMPTS: u32 = 5;
/// First pause before rows that met a lock are sent again; it doubles.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

/// A row ready to be sent.
#[derive(Debug, Clone)]
struct Made {
    text: String,
    key: Option<Key>,
    /// Parents that it names by keys of their own.
    parents: Vec<ParentKey>,
}

/// Rows of a batch with their places in it.
type Placed = Vec<(usize, Made)>;

impl SalesforceRecords {
    /// Creates rows.
    pub(super) async fn create_rows(
        &self,
        cx: &Context,
        rows: &[NewRow],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("create", options)?;
        let marked: Vec<Result<Edits>> = rows.iter().map(|row| self.marked(row)).collect();
        let ready = self.ready(cx, marked.iter().map(|row| row.as_ref().map_err(Clone::clone))).await?;
        let made = ready
            .into_iter()
            .map(|row| {
                let row = row?;
                let text = rows::row(self.record_type_here(), None, &row.edits, true, &Present::new())?;
                Ok(Made { text, key: None, parents: row.parents })
            })
            .collect();
        self.send_rows(cx, Write::Create, made, &switches, |rows| {
            api::create(&self.org.version, rows, &switches)
        })
        .await
    }

    /// Updates rows; those with a version only if they did not change since.
    pub(super) async fn update_rows(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("update", options)?;
        if switches.all_or_none && rows.iter().any(|row| row.if_version.is_some()) {
            return Err(
                self.unsupported("update", "checks versions row by row, so all_or_none cannot go with them")
            );
        }
        let present = self.present(cx, "Id", rows).await?;
        let ready = self.ready(cx, rows.iter().map(|row| Ok(&row.edits))).await?;
        let about = self.about("update");
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        let (mut plain, mut versioned) = (Vec::new(), Vec::new());
        for (place, ((row, present), ready)) in rows.iter().zip(present).zip(ready).enumerate() {
            let named = |error: Error| about(error).with_key(row.key.to_string());
            let id = soql::canonical_id(&row.key.to_string()).ok_or_else(|| not_an_id(&row.key));
            let (id, ready, present) = match id.and_then(|id| Ok((id, ready?, present?))) {
                Ok(all) => all,
                Err(error) => {
                    outcomes[place] = Some(Outcome::Failed(named(error)));
                    continue;
                }
            };
            if row.if_version.is_some() {
                match self.versioned(row, id, ready, &present) {
                    Ok(row) => versioned.push((place, row)),
                    Err(error) => outcomes[place] = Some(Outcome::Failed(named(error))),
                }
                continue;
            }
            let made = self.made_update(&id, &row.key, &ready.edits, &present);
            plain.push((place, made.map(|made| Made { parents: ready.parents, ..made })));
        }
        let (places, made): (Vec<usize>, Vec<Result<Made>>) = plain.into_iter().unzip();
        let sent = self
            .send_rows(cx, Write::Update, made, &switches, |rows| {
                api::update(&self.org.version, rows, &switches)
            })
            .await;
        let sent = match sent {
            // A dry run goes on to show the other requests.
            Err(error) if error.kind() == ErrorKind::DryRun && !versioned.is_empty() => {
                places.iter().map(|_| Outcome::Failed(error.clone())).collect()
            }
            sent => sent?,
        };
        for (place, outcome) in places.into_iter().zip(sent) {
            outcomes[place] = Some(outcome);
        }
        for (place, outcome) in self.update_unmodified(cx, versioned, &switches).await {
            outcomes[place] = Some(outcome);
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    fn made_update(&self, id: &str, key: &Key, edits: &[(String, Edit)], present: &Present) -> Result<Made> {
        let id = Json::from(id).to_string();
        let text = rows::row(self.record_type_here(), Some(("id", &id)), edits, false, present)
            .map_err(|error| error.with_key(key.to_string()))?;
        Ok(Made { text, key: Some(key.clone()), parents: Vec::new() })
    }

    /// Creates or updates rows by a field.
    pub(super) async fn upsert_rows(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("upsert", options)?;
        let record_type = self.record_type_here();
        let [field] = by.0.as_slice() else {
            return Err(Error::bug(format!("no key of {} has several fields: {by}", record_type.name)));
        };
        if record_type.capability.upsert.as_ref().is_some_and(|upsert| upsert.match_only.contains(by)) {
            return self.update_matches(cx, field, rows, &switches).await.map_err(self.about("upsert"));
        }
        let present = self.present(cx, field, rows).await.map_err(self.about("upsert"))?;
        let ready = self.ready(cx, rows.iter().map(|row| Ok(&row.edits))).await?;
        let unique = record_type.field(field).is_some_and(|field| field.unique);
        let made = rows.iter().zip(present).zip(ready).map(|((row, present), ready)| {
            let ready = ready?;
            if row.if_version.is_some() {
                return Err(self.unsupported("upsert", "cannot check a version on upsert"));
            }
            let [part] = row.key.parts() else {
                return Err(Error::invalid(format!("the key of an upsert by {by} has one part")));
            };
            let value = serde_json::to_string(part)
                .map_err(|source| Error::bug("a key is not JSON").with_source(source))?;
            let edits: Vec<(String, Edit)> =
                ready.edits.iter().filter(|(name, _)| name != field).cloned().collect();
            let text = rows::row(record_type, Some((field, &value)), &edits, false, &present?)?;
            Ok(Made { text, key: None, parents: ready.parents })
        });
        let made: Vec<Result<Made>> = made
            .zip(rows)
            .map(|(made, row)| made.map_err(|error| error.with_key(row.key.to_string())))
            .collect();
        let call = |rows: &[String]| {
            api::upsert(&self.org.version, record_type.name.as_str(), (field, unique), rows, &switches)
        };
        // Salesforce refuses all rows of a request that have the same key: the later ones go behind it.
        let turns = turns(rows);
        if switches.all_or_none || turns.iter().all(|turn| *turn == 0) {
            let sent = self.send_rows(cx, Write::Upsert, made, &switches, call).await?;
            return Ok(named(sent, rows));
        }
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        let mut left: Vec<(usize, Result<Made>)> = made.into_iter().enumerate().collect();
        for turn in 0.. {
            let (now, later): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|(place, _)| turns[*place] == turn);
            if now.is_empty() {
                break;
            }
            left = later;
            let (places, made): (Vec<usize>, Vec<Result<Made>>) = now.into_iter().unzip();
            let sent = match self.send_rows(cx, Write::Upsert, made, &switches, call).await {
                // Rows of the turns before are written.
                Err(error) if turn > 0 => places.iter().map(|_| Outcome::Failed(error.clone())).collect(),
                sent => sent?,
            };
            for (place, outcome) in places.into_iter().zip(sent) {
                outcomes[place] = Some(outcome);
            }
        }
        Ok(named(outcomes.into_iter().flatten().collect(), rows))
    }

    /// An upsert by a field that Salesforce fills itself: records are looked for and updated by their ids;
    /// where there is none, nothing is created.
    async fn update_matches(
        &self,
        cx: &Context,
        field: &str,
        rows: &[Change],
        switches: &WriteSwitches,
    ) -> Result<Vec<Outcome>> {
        let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let found: Vec<Result<Option<Record>>> = self.read_by(cx, field, &keys, &[]).await?;
        let ids: Vec<Result<Key>> = found
            .into_iter()
            .zip(rows)
            .map(|(found, row)| match found {
                _ if row.if_version.is_some() => {
                    Err(self.unsupported("upsert", "cannot check a version on upsert"))
                }
                Ok(Some(record)) => Ok(record.key),
                Ok(None) => Err(Error::new(
                    ErrorKind::NotFound,
                    format!("no {} has {field} {}", self.record_type_here().name, row.key),
                )
                .with_code("no_match")
                .with_advice(format!(
                    "Salesforce fills {field} itself, so no record can be created with it: use create, or another key"
                ))),
                Err(error) => Err(error),
            })
            .map(|id| id.map_err(self.about("upsert")))
            .collect();
        let matched: Vec<Change> = ids
            .iter()
            .zip(rows)
            .map(|(id, row)| Change {
                key: id.as_ref().unwrap_or(&row.key).clone(),
                edits: row.edits.iter().filter(|(name, _)| name != field).cloned().collect(),
                if_version: None,
            })
            .collect();
        let present = self.present(cx, "Id", &matched).await?;
        let ready = self.ready(cx, matched.iter().map(|row| Ok(&row.edits))).await?;
        let made = ids
            .into_iter()
            .zip(present)
            .zip(ready)
            .zip(rows)
            .map(|(((id, present), ready), row)| {
                let named = |error: Error| error.with_key(row.key.to_string());
                let id = id.map_err(named)?;
                let ready = ready.map_err(named)?;
                let present = present.map_err(named)?;
                let made = self.made_update(&id.to_string(), &id, &ready.edits, &present).map_err(named)?;
                Ok(Made { parents: ready.parents, ..made })
            })
            .collect();
        self.send_rows(cx, Write::Upsert, made, switches, |rows| {
            api::update(&self.org.version, rows, switches)
        })
        .await
    }

    /// Deletes rows.
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
                if row.if_version.is_some() {
                    return Err(self
                        .unsupported("delete", "cannot check a version on delete")
                        .with_key(row.key.to_string()));
                }
                let id = soql::canonical_id(&row.key.to_string())
                    .ok_or_else(|| not_an_id(&row.key).with_key(row.key.to_string()))?;
                Ok(Made { text: id, key: Some(row.key.clone()), parents: Vec::new() })
            })
            .collect();
        self.send_rows(cx, Write::Delete, made, &switches, |ids| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            api::delete(&self.org.version, &ids, &switches)
        })
        .await
    }

    /// A new row's fields with the mark that it is to carry.
    fn marked(&self, row: &NewRow) -> Result<Edits> {
        let mut edits = row.fields.clone();
        if let Some(mark) = &row.marker {
            let (field, value) = self.mark(mark).ok_or_else(|| {
                Error::invalid(format!("{mark} is no mark of {}", self.record_type_here().name))
                    .with_advice("A mark is an object with one of the fields that `marks` lists")
            })?;
            let own = edits.iter().find_map(|(name, edit)| match edit {
                Edit::Set(own) if *name == field => Some(own.get()),
                _ => None,
            });
            let raw = RawValue::from_string(value.to_string())
                .map_err(|source| Error::bug("a mark is not JSON").with_source(source))?;
            match own {
                Some(own) if own == raw.get() => {}
                Some(_) => {
                    return Err(Error::invalid("the row's own value is not its mark")
                        .with_field(field, format!("its mark is {value}")));
                }
                None => edits.push((field, Edit::Set(raw))),
            }
        }
        Ok(edits)
    }

    /// What the lists hold now that some edits add to or remove from, by row.
    async fn present(&self, cx: &Context, by: &str, rows: &[Change]) -> Result<Vec<Result<Present>>> {
        let read = async |keys: Vec<Key>, select: Vec<FieldPath>| self.read_by(cx, by, &keys, &select).await;
        present::present(self.record_type_here(), rows, read).await
    }

    /// Sends rows that were made, each at its place, and puts the outcomes there. Rows that met a lock are sent
    /// again after a pause: Salesforce rolled them back.
    async fn send_rows(
        &self,
        cx: &Context,
        write: Write,
        made: Vec<Result<Made>>,
        switches: &WriteSwitches,
        call: impl Fn(&[String]) -> Call + Send + Sync,
    ) -> Result<Vec<Outcome>> {
        let operation = match write {
            Write::Create => "create",
            Write::Update => "update",
            Write::Upsert => "upsert",
            Write::Delete => "delete",
        };
        let about = self.about(operation);
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(made.len());
        let mut waiting = Placed::new();
        for (place, made) in made.into_iter().enumerate() {
            match made {
                Ok(made) => {
                    waiting.push((place, made));
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Outcome::Failed(about(error)))),
            }
        }
        if switches.all_or_none && outcomes.iter().any(Option::is_some) {
            for (place, _) in waiting.drain(..) {
                outcomes[place] = Some(Outcome::Failed(about(
                    Error::new(
                        ErrorKind::Refused,
                        "nothing was sent, because another row of the batch is wrong",
                    )
                    .with_code("ALL_OR_NONE_OPERATION_ROLLED_BACK"),
                )));
            }
        }
        let mut attempt = 1;
        while !waiting.is_empty() {
            let mut locked = Vec::new();
            for batch in split(std::mem::take(&mut waiting)) {
                let texts: Vec<String> = batch.iter().map(|(_, made)| made.text.clone()).collect();
                let results = match cx.send(call(&texts)).await {
                    Ok(reply) => {
                        dialect::read::<Vec<SaveResult>>(operation, &reply.body).and_then(|results| {
                            if results.len() == batch.len() {
                                return Ok(results);
                            }
                            Err(Error::protocol(format!(
                                "Salesforce answered {} rows for {}",
                                results.len(),
                                batch.len()
                            ))
                            .with_code("wrong_row_count"))
                        })
                    }
                    Err(error) => Err(error),
                };
                let results = match results {
                    Ok(results) => results,
                    Err(error) if error.leaves_open() => {
                        let error = about(error);
                        for (place, _) in batch {
                            outcomes[place] = Some(Outcome::lost(&error, None));
                        }
                        continue;
                    }
                    // Nothing is known to be written only while no other row was sent.
                    Err(error) if outcomes.iter().all(Option::is_none) && locked.is_empty() => {
                        return Err(about(error));
                    }
                    Err(error) => {
                        let error = about(error);
                        for (place, _) in batch {
                            outcomes[place] = Some(Outcome::Failed(error.clone()));
                        }
                        continue;
                    }
                };
                let read: Vec<Outcome> = results
                    .iter()
                    .zip(&batch)
                    .map(|(result, (_, made))| {
                        super::parents::told(rows::outcome(write, result, made.key.as_ref()), &made.parents)
                    })
                    .collect();
                let met_lock =
                    |outcome: &Outcome| outcome.error().is_some_and(|error| error.retry() == Retry::Always);
                let again = attempt < LOCK_ATTEMPTS && read.iter().any(met_lock);
                for ((place, made), outcome) in batch.into_iter().zip(read) {
                    if again && (switches.all_or_none || met_lock(&outcome)) {
                        locked.push((place, made));
                    } else {
                        outcomes[place] = Some(match outcome {
                            Outcome::Failed(error) => Outcome::Failed(about(error)),
                            Outcome::Unknown { marker, error } => {
                                Outcome::Unknown { marker, error: about(error) }
                            }
                            done => done,
                        });
                    }
                }
            }
            waiting = locked;
            if !waiting.is_empty() {
                cx.clock.sleep(lock_pause(attempt)).await;
                attempt += 1;
            }
        }
        Ok(outcomes
            .into_iter()
            .map(|outcome| {
                outcome.unwrap_or_else(|| Outcome::lost(&about(Error::bug("a row has no outcome")), None))
            })
            .collect())
    }

    /// The switches of a write's options.
    fn switches(&self, operation: &'static str, options: &WriteOptions) -> Result<WriteSwitches> {
        let saves = operation != "delete";
        let wrong = |name: &str, what: String| {
            self.about(operation)(
                Error::invalid(format!("the option {name} is wrong")).with_field(name, what),
            )
        };
        let flag = |name: &str, value: &Json| match value {
            Json::Bool(flag) => Ok(*flag),
            Json::String(text) if text == "true" || text == "false" => Ok(text == "true"),
            other => Err(wrong(name, format!("{other} is not true or false"))),
        };
        let mut switches = WriteSwitches::default();
        for (name, value) in options {
            match name.as_str() {
                "all_or_none" => switches.all_or_none = flag(name, value)?,
                "allow_duplicates" if saves => switches.allow_duplicates = flag(name, value)?,
                "assignment_rule" if saves => {
                    let rule = value.as_str().unwrap_or_default();
                    switches.auto_assign = match rule {
                        "default" => None,
                        "none" => Some("FALSE".to_owned()),
                        id => Some(soql::canonical_id(id).ok_or_else(|| {
                            wrong(name, format!("{value} is not default, none or the id of a rule"))
                        })?),
                    };
                }
                _ => return Err(wrong(name, format!("{operation} has no such option"))),
            }
        }
        Ok(switches)
    }
}

/// A pause before rows that met a lock are sent again, with jitter.
pub(super) fn lock_pause(attempt: u32) -> Duration {
    let most = LOCK_PAUSE * 2_u32.pow(attempt.saturating_sub(1).min(16));
    most.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// How many rows before each have its key. Case is ignored even where the field minds it: behind each other
/// both are safe.
fn turns(rows: &[Change]) -> Vec<usize> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    rows.iter()
        .map(|row| {
            let times = seen.entry(row.key.to_string().to_lowercase()).or_default();
            *times += 1;
            *times - 1
        })
        .collect()
}

/// Outcomes whose errors name the key that each row goes by.
fn named(outcomes: Vec<Outcome>, rows: &[Change]) -> Vec<Outcome> {
    outcomes
        .into_iter()
        .zip(rows)
        .map(|(outcome, row)| match outcome {
            Outcome::Failed(error) => Outcome::Failed(error.with_key(row.key.to_string())),
            Outcome::Unknown { marker, error } => {
                Outcome::Unknown { marker, error: error.with_key(row.key.to_string()) }
            }
            done => done,
        })
        .collect()
}

fn split(mut rows: Placed) -> Vec<Placed> {
    let mut out = Vec::new();
    while rows.len() > BATCH {
        let back = rows.split_off(BATCH);
        out.push(std::mem::replace(&mut rows, back));
    }
    out.push(rows);
    out
}

fn not_an_id(key: &Key) -> Error {
    Error::new(ErrorKind::NotFound, format!("{:?} is no record id", key.to_string()))
        .with_code("not_an_id")
        .with_advice("A Salesforce id has 15 or 18 letters and digits")
}
