//! Writing the records of one type in batches.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng as _;
use serde_json::Value as Json;

use super::api::{self, WriteSwitches};
use super::discover::BATCH;
use super::records::SalesforceRecords;
use super::rows::{self, Present, SaveResult, Write};
use super::{dialect, soql};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::Call;
use crate::provider::{Change, Context, Edit, Edits, NewRow, Outcome, VersionedKey, WriteOptions};
use crate::record::{FieldPath, Key, KeyFields};

/// How often the rows that met a lock are sent.
const LOCK_ATTEMPTS: u32 = 5;
/// First pause before rows that met a lock are sent again; it doubles.
const LOCK_PAUSE: Duration = Duration::from_millis(250);

impl SalesforceRecords {
    /// Creates rows.
    pub(super) async fn create_rows(
        &self,
        cx: &Context,
        rows: &[NewRow],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("create", options)?;
        let made = rows
            .iter()
            .map(|row| {
                rows::row(self.record_type_here(), None, &row.fields, true, &Present::new())
                    .map(|text| Made { text, key: None })
            })
            .collect();
        self.send_rows(cx, Write::Create, made, switches, |rows| {
            api::create(&self.org.version, rows, switches)
        })
        .await
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
        let known = record_type.capability.upsert.as_ref().is_some_and(|upsert| upsert.by.contains(by));
        let ([field], true) = (by.0.as_slice(), known) else {
            return Err(self.unsupported("upsert", &format!("does not upsert {} by {by}", record_type.name)));
        };
        let present = self.present(cx, field, rows).await.map_err(self.about("upsert"))?;
        let made = rows
            .iter()
            .zip(&present)
            .map(|(row, present)| {
                if row.if_version.is_some() {
                    return Err(self.unsupported("upsert", "cannot check a version on upsert"));
                }
                let [part] = row.key.parts() else {
                    return Err(Error::invalid(format!("the key of an upsert by {by} has one part")));
                };
                let value = serde_json::to_string(part)
                    .map_err(|source| Error::bug("a key is not JSON").with_source(source))?;
                let edits: Edits = row.edits.iter().filter(|(name, _)| name != field).cloned().collect();
                rows::row(record_type, Some((field, &value)), &edits, false, present)
                    .map(|text| Made { text, key: None })
                    .map_err(|error| error.with_key(row.key.to_string()))
            })
            .collect();
        self.send_rows(cx, Write::Upsert, made, switches, |rows| {
            api::upsert(&self.org.version, record_type.name.as_str(), field, rows, switches)
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
                Ok(Made { text: id, key: Some(row.key.clone()) })
            })
            .collect();
        self.send_rows(cx, Write::Delete, made, switches, |ids| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            api::delete(&self.org.version, &ids, switches)
        })
        .await
    }

    /// What the lists hold now that some edits add to or remove from, by row.
    async fn present(&self, cx: &Context, by: &str, rows: &[Change]) -> Result<Vec<Present>> {
        let lists = |edits: &Edits| -> Vec<String> {
            edits
                .iter()
                .filter(|(_, edit)| matches!(edit, Edit::List { .. }))
                .map(|(name, _)| name.clone())
                .filter(|name| self.record_type_here().field(name).is_some())
                .collect()
        };
        let mut names: Vec<String> = rows.iter().flat_map(|row| lists(&row.edits)).collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Ok(vec![Present::new(); rows.len()]);
        }
        let select: Vec<FieldPath> = names.iter().map(|name| FieldPath::of([name.as_str()])).collect();
        let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let found = self.read_by(cx, by, &keys, &select).await?;
        Ok(found
            .into_iter()
            .map(|record| {
                let record = record.ok().flatten();
                record.and_then(|record| serde_json::from_slice(&record.json).ok()).unwrap_or_default()
            })
            .collect())
    }

    /// Sends rows that were made, each at its place, and puts the outcomes there. Rows that met a lock are sent
    /// again after a pause: Salesforce rolled them back.
    async fn send_rows(
        &self,
        cx: &Context,
        write: Write,
        made: Vec<Result<Made>>,
        switches: WriteSwitches,
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
        let mut waiting: Vec<(usize, Made)> = Vec::new();
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
                    .map(|(result, (_, made))| rows::outcome(write, result, made.key.as_ref()))
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
                let most = LOCK_PAUSE * 2_u32.pow(attempt - 1);
                let pause = most.mul_f64(rand::rng().random_range(0.5..=1.0));
                cx.clock.sleep(pause).await;
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

    /// Updates one row if it did not change since its version.
    async fn update_if(
        &self,
        cx: &Context,
        row: &Change,
        version: &str,
        present: &Present,
        switches: WriteSwitches,
    ) -> Result<Outcome> {
        let record_type = self.record_type_here();
        let prepared = (|| {
            let id = soql::canonical_id(&row.key.to_string()).ok_or_else(|| not_an_id(&row.key))?;
            let since = http_date(version).ok_or_else(|| {
                Error::invalid(format!("{version:?} is not a version of a Salesforce record"))
                    .with_advice("Give the @version that search or get printed")
            })?;
            let body = rows::body(record_type, &row.edits, present)?;
            api::update_unmodified(&self.org.version, record_type.name.as_str(), &id, &body, &since, switches)
        })();
        let about = self.about("update");
        let named = |error: Error| about(error).with_key(row.key.to_string());
        let call = match prepared {
            Ok(call) => call,
            Err(error) => return Ok(Outcome::Failed(named(error))),
        };
        match cx.send(call).await {
            Ok(_) => Ok(Outcome::Updated(row.key.clone())),
            Err(error) if error.kind() == ErrorKind::DryRun => Err(error),
            Err(error) if error.leaves_open() => Ok(Outcome::lost(&named(error), None)),
            Err(error) => Ok(Outcome::Failed(named(error))),
        }
    }

    /// Updates rows; the ones with a version row by row.
    pub(super) async fn update_rows(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let switches = self.switches("update", options)?;
        let record_type = self.record_type_here();
        let present = self.present(cx, "Id", rows).await?;
        if switches.all_or_none && rows.iter().any(|row| row.if_version.is_some()) {
            return Err(
                self.unsupported("update", "checks versions row by row, so all_or_none cannot go with them")
            );
        }
        let mut plain = Vec::new();
        let mut outcomes: Vec<Option<Outcome>> = rows.iter().map(|_| None).collect();
        for (place, (row, present)) in rows.iter().zip(&present).enumerate() {
            if let Some(version) = &row.if_version {
                outcomes[place] = Some(self.update_if(cx, row, version, present, switches).await?);
                continue;
            }
            let made = soql::canonical_id(&row.key.to_string())
                .ok_or_else(|| not_an_id(&row.key))
                .and_then(|id| {
                    let id = Json::from(id).to_string();
                    rows::row(record_type, Some(("id", &id)), &row.edits, false, present)
                })
                .map(|text| Made { text, key: Some(row.key.clone()) })
                .map_err(|error| error.with_key(row.key.to_string()));
            plain.push((place, made));
        }
        let (places, made): (Vec<usize>, Vec<Result<Made>>) = plain.into_iter().unzip();
        let sent = self
            .send_rows(cx, Write::Update, made, switches, |rows| {
                api::update(&self.org.version, rows, switches)
            })
            .await?;
        for (place, outcome) in places.into_iter().zip(sent) {
            outcomes[place] = Some(outcome);
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// The switches of a write's options.
    fn switches(&self, operation: &'static str, options: &WriteOptions) -> Result<WriteSwitches> {
        let mut switches = WriteSwitches::default();
        for (name, value) in options {
            let place = match name.as_str() {
                "all_or_none" => &mut switches.all_or_none,
                "allow_duplicates" if operation != "delete" => &mut switches.allow_duplicates,
                _ => {
                    return Err(self.about(operation)(
                        Error::invalid(format!("{operation} has no option {name:?}"))
                            .with_field(name, "it is all_or_none or allow_duplicates"),
                    ));
                }
            };
            *place = match value {
                Json::Bool(flag) => *flag,
                Json::String(text) if text == "true" || text == "false" => text == "true",
                other => {
                    return Err(self.about(operation)(
                        Error::invalid(format!("{other} is not true or false"))
                            .with_field(name, "true or false"),
                    ));
                }
            };
        }
        Ok(switches)
    }
}

/// A row ready to be sent.
#[derive(Debug, Clone)]
struct Made {
    text: String,
    key: Option<Key>,
}

fn split(mut rows: Vec<(usize, Made)>) -> Vec<Vec<(usize, Made)>> {
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

/// A version (an instant, with `+0000` or `Z`) as an HTTP date (RFC 9110 section 5.6.7), seconds rounded up.
fn http_date(version: &str) -> Option<String> {
    let text = version.strip_suffix("+0000").map_or_else(|| version.to_owned(), |front| format!("{front}Z"));
    let instant: Timestamp = text.parse().ok()?;
    let whole = if instant.subsec_nanosecond() == 0 { instant.as_second() } else { instant.as_second() + 1 };
    let moment = Timestamp::from_second(whole).ok()?.to_zoned(TimeZone::UTC);
    Some(moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_becomes_an_http_date() {
        assert_eq!(
            http_date("2022-03-17T16:21:26.000+0000").as_deref(),
            Some("Thu, 17 Mar 2022 16:21:26 GMT")
        );
        assert_eq!(http_date("2022-03-17T16:21:26.001Z").as_deref(), Some("Thu, 17 Mar 2022 16:21:27 GMT"));
        assert_eq!(http_date("W/\"abc\""), None);
    }
}
