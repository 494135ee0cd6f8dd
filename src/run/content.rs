//! Copies the content that goes along with rows: bytes pass from the source's record to the target's while they come.
//!
//! A row's parcel stands in the journal beside its intent. Once the row is written its key is kept there, so that a
//! run which dies between row and content goes on with the content; what a provider keeps of an upload stands there
//! too, so that it can tell whether one arrived whose answer was lost.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::entry::Intent;
use super::journal::Journal;
use super::write::{Verdict, was_not_sent};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::document::Target;
use crate::mapping::{Mapping, Side, Transfer};
use crate::provider::Outcome;
use crate::provider::content::UploadMemory;
use crate::record::{Key, KeyFields};

/// How often one content is tried.
const ATTEMPTS: u32 = 3;
/// Pause before it is tried again; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Contents that are copied at once, when they go to different records.
const AT_ONCE: usize = 4;

/// The content that goes along with a row, and how far it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parcel {
    transfers: Vec<Transfer>,
    /// What became of the row, once it is written: the word for it, and its key.
    #[serde(default)]
    written: Option<(String, String)>,
    /// How many of the transfers are done.
    #[serde(default)]
    done: usize,
    /// What the provider keeps of the upload of the next one.
    #[serde(default)]
    mark: Option<Json>,
    /// What an earlier run wrote, when its report was fed back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fed: Option<Box<Written>>,
}

/// From which field of the source to which of the target a content went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    from: String,
    to: String,
}

impl Way {
    fn of(transfer: &Transfer) -> Self {
        Self { from: transfer.from.clone(), to: transfer.to.clone() }
    }
}

/// What stands of a row that failed for its content, as a line of the report tells it: fed back, the row is not
/// created again, and what arrived is not copied again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    connection: String,
    #[serde(rename = "type")]
    record_type: String,
    key: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    contents: Vec<Way>,
    /// What the provider keeps of an upload of which nobody knows whether it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload: Option<(Way, Json)>,
}

impl Written {
    /// What stands of a record that a mapping created before, with all its contents.
    pub(super) fn before(mapping: &Mapping, key: &str) -> Self {
        let contents = mapping.contents.iter().flatten();
        Self {
            connection: mapping.target.connection.clone(),
            record_type: mapping.target.record_type.clone(),
            key: key.to_owned(),
            contents: contents.map(|rule| Way { from: rule.from.clone(), to: rule.to.clone() }).collect(),
            upload: None,
        }
    }

    /// As a line of the report has it.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The key of the record.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Reads the member of a row that was fed back, which must be of the mapping's target, with a key of its type.
    pub(super) fn read(text: &str, target: &Target, by: &KeyFields) -> Result<Self> {
        let inner = serde_json::from_str::<String>(text);
        let written: Self = serde_json::from_str(inner.as_deref().unwrap_or(text)).map_err(|error| {
            Error::invalid(format!("\"@written\" cannot be read: {error}"))
                .with_advice("Leave it as the report has it, or take it out to write the row anew")
        })?;
        if (written.connection.as_str(), written.record_type.as_str())
            != (target.connection.as_str(), target.record_type.as_str())
        {
            return Err(Error::invalid(format!(
                "the row was written to {} of {:?}, and the mapping writes to {} of {:?}",
                written.record_type, written.connection, target.record_type, target.connection
            ))
            .with_code("written_elsewhere")
            .with_advice("Take \"@written\" out to write the row here"));
        }
        Key::parse(&written.key, by)
            .map_err(|error| error.with_advice("Leave \"@written\" as the report has it"))?;
        Ok(written)
    }
}

impl Parcel {
    /// The parcel of a row that is to be written; none without content.
    pub(super) fn of(transfers: Vec<Transfer>) -> Option<Self> {
        let parcel = Self { transfers, written: None, done: 0, mark: None, fed: None };
        (!parcel.transfers.is_empty()).then_some(parcel)
    }

    /// What is left of a row that was fed back. One that was `created` is not written again.
    pub(super) fn rest(transfers: Vec<Transfer>, written: Written, created: bool) -> Self {
        let mut before = written.contents.clone();
        let mut left = transfers;
        left.retain(|transfer| {
            let done = before.iter().position(|way| *way == Way::of(transfer));
            done.map(|place| before.swap_remove(place)).is_none()
        });
        let done = if left.is_empty() { "unchanged" } else { "updated" };
        let first = left.first().map(Way::of);
        let mark =
            written.upload.clone().filter(|(way, _)| first.as_ref() == Some(way)).map(|(_, mark)| mark);
        Self {
            transfers: left,
            written: created.then(|| (done.to_owned(), written.key.clone())),
            done: 0,
            mark,
            fed: Some(Box::new(written)),
        }
    }

    /// As it stands in the journal.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The outcome of the row, once it is written.
    pub(super) fn outcome(&self, by: &KeyFields) -> Option<Outcome> {
        let (status, key) = self.written.as_ref()?;
        let key = Key::parse(key, by).ok()?;
        Some(match status.as_str() {
            "created" => Outcome::Created(key),
            "updated" => Outcome::Updated(key),
            _ => Outcome::Unchanged(key),
        })
    }

    /// The key of the row, once it is written.
    pub(super) fn key(&self) -> Option<&str> {
        self.written.as_ref().map(|(_, key)| key.as_str())
    }

    /// What stands of the row with this outcome, for the report; nothing before it is written.
    pub(super) fn report(&self, target: &Target, outcome: &Outcome) -> Option<Written> {
        let arrived = self.transfers.iter().take(self.done).map(Way::of);
        let open = self.transfers.get(self.done).map(Way::of);
        let upload = open.zip(self.mark.clone()).filter(|_| matches!(outcome, Outcome::Unknown { .. }));
        let Some(key) = self.key() else { return self.fed.as_deref().cloned() };
        let before = self.fed.iter().flat_map(|fed| fed.contents.iter().cloned());
        Some(Written {
            connection: target.connection.clone(),
            record_type: target.record_type.clone(),
            key: key.to_owned(),
            contents: before.chain(arrived).collect(),
            upload,
        })
    }
}

/// Copies contents from one side to the other.
#[derive(Debug)]
pub(super) struct Copier<'a> {
    pub(super) run: &'a str,
    pub(super) journal: &'a Journal,
    pub(super) source: &'a Side,
    pub(super) target: &'a Side,
}

impl Copier<'_> {
    /// Copies the contents of those rows that are written, and gives what became of each row with them.
    ///
    /// # Errors
    /// Local, when the journal cannot be written.
    pub(super) async fn copy(&self, rows: &mut [Intent], verdicts: Vec<Verdict>) -> Result<Vec<Verdict>> {
        let mut written = Vec::new();
        let mut keys = HashSet::new();
        let mut apart = true;
        for (row, verdict) in rows.iter_mut().zip(&verdicts) {
            let (Some(parcel), Verdict::Done(outcome)) = (&mut row.parcel, verdict) else { continue };
            let Some(key) = outcome.key() else { continue };
            let key = key.to_string();
            apart &= keys.insert(key.clone());
            if parcel.written.is_none() {
                parcel.written = Some((outcome.status().to_owned(), key));
                written.push((row.number, parcel.to_text()));
            }
        }
        self.keep(written).await?;
        // What arrived in one record can be told only one after another.
        let at_once = if apart { AT_ONCE } else { 1 };
        let each = rows.iter().zip(verdicts).map(|(row, verdict)| self.row(row, verdict));
        let copied: Vec<(Verdict, Option<Parcel>)> =
            futures::stream::iter(each).buffered(at_once).collect().await;
        let verdicts = rows.iter_mut().zip(copied).map(|(row, (verdict, parcel))| {
            row.parcel = parcel;
            verdict
        });
        Ok(verdicts.collect())
    }

    async fn keep(&self, parcels: Vec<(u64, String)>) -> Result<()> {
        if parcels.is_empty() {
            return Ok(());
        }
        let run = self.run.to_owned();
        self.journal
            .work(move |db| {
                let tx = db.transaction()?;
                for (number, text) in &parcels {
                    tx.prepare_cached("UPDATE intent SET parcel = ?3 WHERE run = ?1 AND number = ?2")?
                        .execute(params![run, number, text])?;
                }
                tx.commit()
            })
            .await
    }

    /// Copies the contents of one row; gives its parcel as it is then.
    async fn row(&self, row: &Intent, verdict: Verdict) -> (Verdict, Option<Parcel>) {
        let (Some(parcel), Verdict::Done(outcome)) = (&row.parcel, &verdict) else {
            return (verdict, row.parcel.clone());
        };
        let Some(target) = outcome.key() else { return (verdict, row.parcel.clone()) };
        let kept = Arc::new(Kept {
            journal: self.journal.clone(),
            run: self.run.to_owned(),
            number: row.number,
            parcel: Mutex::new(parcel.clone()),
        });
        let mut failed = None;
        while let (None, Some(transfer)) = (&failed, kept.next()) {
            let copied = self.transfer(row, target, &transfer, &kept).await;
            failed = copied.and_then(|()| kept.done().map_err(Verdict::Open)).err();
        }
        let parcel = kept.parcel.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (failed.unwrap_or(verdict), Some(parcel))
    }

    /// Copies one content, or tells what that makes of its row.
    async fn transfer(
        &self,
        row: &Intent,
        target: &Key,
        transfer: &Transfer,
        kept: &Arc<Kept>,
    ) -> Result<(), Verdict> {
        let refused = |error: Error| {
            if was_not_sent(&error) {
                return Verdict::Open(error);
            }
            Verdict::Done(Outcome::Failed(incomplete(target, transfer, &error)))
        };
        let key =
            row.source_key.as_deref().ok_or_else(|| Error::invalid("the row has no key to read content by"));
        let key =
            key.and_then(|key| Key::parse(key, &self.source.records.record_type().key)).map_err(refused)?;
        let mut last = None;
        for attempt in 1..=ATTEMPTS {
            if attempt > 1 {
                self.target.cx.clock.sleep(PAUSE.saturating_mul(1 << (attempt - 2))).await;
            }
            let read = self.source.records.read_content(&self.source.cx, &key, &transfer.from).await;
            let content = match read {
                Ok(content) => content,
                Err(error) if error.code() == Some("no_content") => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    last = Some(Verdict::Open(error));
                    continue;
                }
                Err(error) => return Err(refused(error)),
            };
            let memory: Arc<dyn UploadMemory> = Arc::clone(kept) as Arc<dyn UploadMemory>;
            let content = content.with_memory(memory);
            let (records, cx) = (&self.target.records, &self.target.cx);
            match records.write_content(cx, target, &transfer.to, content, &transfer.options).await {
                Ok(Outcome::Unknown { error, .. }) => {
                    let error = incomplete(target, transfer, &error);
                    last = Some(Verdict::Done(Outcome::lost(&error, None)));
                }
                Err(error) if error.kind() == ErrorKind::Unavailable => last = Some(Verdict::Open(error)),
                Ok(Outcome::Failed(error)) | Err(error) => return Err(refused(error)),
                Ok(_) => return Ok(()),
            }
        }
        Err(last.unwrap_or_else(|| refused(Error::bug("a content was not tried"))))
    }
}

/// The error of a row that is written without its content.
fn incomplete(target: &Key, transfer: &Transfer, error: &Error) -> Error {
    let told = format!("the record was written as {target}, but not its content {}: {error}", transfer.to);
    let whole = Error::new(error.kind(), told)
        .with_code(error.code().unwrap_or("content_missing"))
        .with_field(&transfer.to, error.message())
        .with_advice(
            "Mend the cause and feed the row back: it goes on with what is missing, and no record is written again",
        );
    match error.status() {
        Some(status) => whole.with_status(status),
        None => whole,
    }
}

/// One row's parcel, kept in the journal while it is copied.
struct Kept {
    journal: Journal,
    run: String,
    number: u64,
    parcel: Mutex<Parcel>,
}

impl Kept {
    fn next(&self) -> Option<Transfer> {
        let parcel = self.parcel.lock().unwrap_or_else(PoisonError::into_inner);
        parcel.transfers.get(parcel.done).cloned()
    }

    fn done(&self) -> Result<()> {
        self.change(|parcel| {
            parcel.done += 1;
            parcel.mark = None;
        })
    }

    fn change(&self, change: impl FnOnce(&mut Parcel)) -> Result<()> {
        let text = {
            let mut parcel = self.parcel.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut parcel);
            parcel.to_text()
        };
        self.journal.work_now(|db| {
            db.prepare_cached("UPDATE intent SET parcel = ?3 WHERE run = ?1 AND number = ?2")?
                .execute(params![self.run, self.number, text])
                .map(|_| ())
        })
    }
}

impl UploadMemory for Kept {
    fn recall(&self) -> Option<Json> {
        self.parcel.lock().unwrap_or_else(PoisonError::into_inner).mark.clone()
    }

    fn keep(&self, mark: &Json) -> Result<()> {
        self.change(|parcel| parcel.mark = Some(mark.clone()))
    }

    fn forget(&self) {
        self.parcel.lock().unwrap_or_else(PoisonError::into_inner).mark = None;
    }
}
