//! Dry runs of `run` and of the writing commands: what would be done, with the requests that would be sent.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::json;

use super::Session;
use super::args::Format;
use super::feed::{Feed, Row};
use super::output::{self, Done, Out, harmless, note};
use super::write::{Sender, is_dry_run};
use crate::error::{Error, ErrorKind, Result};
use crate::layer::dry_run::{DryRun, RecordedRequest};
use crate::layer::foresight::{self, Changed, Foreseen, Keyed, Seen};
use crate::mapping::document;
use crate::mapping::{Mapping, Side, Sides};
use crate::provider::{Change, NewRow, Outcome};
use crate::record::Key;
use crate::rows::RowReader;
use crate::run::dry::{DrySummary, Told, Would, dry_run};
use crate::run::{Journal, Plan, Route};
use crate::workspace::{Use, Workspace};

/// Opens the target of a mapping on a plane that sends nothing, everything else as it is.
pub(super) struct DryTarget {
    pub(super) workspace: Workspace,
    pub(super) connection: String,
    pub(super) record_type: String,
    pub(super) record: DryRun,
}

#[async_trait]
impl Sides for DryTarget {
    async fn side(&self, connection: &str, record_type: &str) -> Result<Side> {
        if connection != self.connection || record_type != self.record_type {
            return self.workspace.side(connection, record_type).await;
        }
        let how = Use { refresh: false, dry_run: Some(self.record.clone()) };
        let connected = self.workspace.connection(connection, how).await?;
        let records = connected.open(record_type).await?;
        Ok(Side { records, cx: connected.context })
    }
}

/// What a dry run prints, document by document.
struct Printed<'a> {
    out: &'a mut Out,
    format: Format,
    started: bool,
}

impl<'a> Printed<'a> {
    /// For the lines of a dry run CSV says nothing.
    fn new(out: &'a mut Out, format: Format) -> Self {
        let format = if format == Format::Csv { Format::Ndjson } else { format };
        Self { out, format, started: false }
    }

    /// Whether people are told in words.
    fn words(&self) -> bool {
        self.format == Format::Table
    }

    fn document(&mut self, value: &impl Serialize) -> Done<()> {
        if self.format != Format::Json {
            return self.out.json_line(value);
        }
        self.out.write(if self.started { b",\n" } else { b"[\n" })?;
        self.started = true;
        let text = serde_json::to_string(value)
            .map_err(|error| Error::bug("a dry run cannot be written as JSON").with_source(error))?;
        self.out.write(text.as_bytes())
    }

    /// Prints a request as it would be sent.
    fn request(&mut self, request: &RecordedRequest) -> Done<()> {
        self.out.line(&format!("{} {}", request.method, harmless(&request.address)))?;
        for (name, value) in &request.headers {
            self.out.line(&format!("{name}: {}", harmless(value)))?;
        }
        let body = serde_json::to_value(&request.body).unwrap_or_default();
        if !body.is_null() {
            self.out.line(&harmless(&body.to_string()))?;
        }
        self.out.line("")
    }

    /// Prints the summary and ends what was begun; the exit code says whether anything would be refused.
    fn finish(&mut self, summary: &DrySummary) -> Done {
        if self.words() {
            let columns =
                ["read", "create", "update", "same", "delete", "sent", "rejected", "skipped", "requests"];
            output::list(self.out, Format::Table, &columns, std::slice::from_ref(summary))?;
        } else {
            self.document(&json!({ "dry_run": summary }))?;
            if self.format == Format::Json {
                self.out.write(b"\n]\n")?;
            }
        }
        self.out.flush()?;
        note(&format!("dry run: {} requests, none sent", summary.requests));
        Ok(u8::from(summary.rejected > 0))
    }
}

/// What would become of a row, in words.
fn in_words(error: Option<&Error>, changes: Option<&[Changed]>) -> Option<String> {
    match (error, changes) {
        (Some(error), _) => Some(format!("would be refused: {error}")),
        (None, Some([])) => Some("would change nothing".to_owned()),
        (None, Some(changes)) => {
            let each = changes.iter().map(|one| format!("{}: {} -> {}", one.field, one.from, one.to));
            Some(each.collect::<Vec<_>>().join(", "))
        }
        (None, None) => None,
    }
}

/// Shows what a run would do.
pub(super) async fn run(
    session: &mut Session,
    what: (&Mapping, &Plan, &Route),
    record: &DryRun,
    rows: Option<RowReader<'static>>,
) -> Done {
    let journal = Journal::open(session.workspace().await?.home()).await?;
    let format = session.format();
    let mut printed = Printed::new(&mut session.out, format);
    let mut halted = None;
    let mut tell = |told: Told| -> Result<()> {
        tell(&mut printed, &told).map_err(|halt| {
            halted = Some(halt);
            Error::bug("nobody reads")
        })
    };
    let summary = session.signals.or_stop(dry_run(what, &journal, record, rows, &mut tell)).await?;
    if let Some(halt) = halted {
        return Err(halt);
    }
    printed.finish(&summary?)
}

fn tell(printed: &mut Printed<'_>, told: &Told) -> Done<()> {
    match told {
        told if !printed.words() => printed.document(told),
        Told::Request(request) => printed.request(request),
        Told::Record(one) => {
            let key = one.key.as_deref().unwrap_or("");
            let what = in_words(one.error.as_ref(), one.changes.as_deref());
            let what = what.or_else(|| one.row.as_ref().map(|row| row.get().to_owned())).unwrap_or_default();
            printed.out.line(&harmless(&format!("{key}  {what}")))
        }
    }
}

/// What would become of one row of a writing command.
#[derive(Serialize)]
struct Line<'a> {
    row: u64,
    would: Would,
    /// As in the report of a write.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    key: Option<&'a Key>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exists: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [Changed]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Error>,
}

/// Shows what a writing command would do with its rows.
pub(super) async fn rows(
    session: &mut Session,
    sender: &Sender<'_>,
    feed: &mut Feed,
    record: &DryRun,
) -> Done {
    let operation = sender.operation.of_document();
    let format = session.format();
    let mut printed = Printed::new(&mut session.out, format);
    let (mut summary, mut seen) = (DrySummary::default(), Seen::default());
    let fault = loop {
        let (batch, fault) = match session.signals.or_stop(feed.next()).await? {
            Ok(Some(read)) => read,
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        let (good, outcomes) = sender.sort(batch);
        let keys: Vec<Option<Key>> = good.iter().map(key_of).collect();
        let foreseen = foresee(sender, &good, &mut seen).await?;
        let answers = match session.signals.or_stop(sender.send(good)).await? {
            Ok(answers) if answers.len() == keys.len() => answers.into_iter().map(Some).collect(),
            Err(error) if error.kind() != ErrorKind::DryRun => return Err(error.into()),
            _ => keys.iter().map(|_| None).collect::<Vec<_>>(),
        };
        let requests = record.requests();
        for request in requests.iter().skip(usize::try_from(summary.requests).unwrap_or(usize::MAX)) {
            if printed.words() {
                printed.request(request)?;
            } else {
                printed.document(request)?;
            }
        }
        summary.requests = requests.len() as u64;
        let mut sent = keys.into_iter().zip(foreseen).zip(answers);
        for outcome in outcomes {
            let (key, mut foreseen) = match outcome {
                Some(outcome) => {
                    (None, Foreseen { refused: outcome.error().cloned(), ..Foreseen::default() })
                }
                None => {
                    let Some(((key, mut foreseen), answer)) = sent.next() else { continue };
                    if let Some(Outcome::Failed(error)) = answer.filter(|answer| !is_dry_run(answer)) {
                        foreseen.refused = Some(error);
                    }
                    (key, foreseen)
                }
            };
            let error = foreseen.refused.take().map(|error| sender.named(error));
            let changes = foreseen.changes.as_deref();
            let would = Would::of(operation, error.is_some(), foreseen.exists, changes);
            let status = (would == Would::Fail).then_some("failed");
            let (row, error, key) = (summary.read, error.as_ref(), key.as_ref());
            summary.read += 1;
            summary.count(would);
            if printed.words() {
                let told = in_words(error, changes.filter(|_| would == Would::Update)).unwrap_or_default();
                let key = key.map(ToString::to_string).unwrap_or_default();
                printed.out.line(&harmless(&format!("{row:>6}  {:<7} {key}  {told}", would.name())))?;
            } else {
                let exists = foreseen.exists;
                printed.document(&Line { row, would, status, key, exists, changes, error })?;
            }
        }
        if fault.is_some() {
            break fault;
        }
    };
    let code = printed.finish(&summary)?;
    fault.map_or(Ok(code), |error| Err(error.with_advice("Nothing was written").into()))
}

fn key_of(row: &Row) -> Option<Key> {
    match row {
        Row::New(_) => None,
        Row::Change(change) => Some(change.key.clone()),
        Row::Key(key) => Some(key.key.clone()),
    }
}

/// What rows would do to the records that are there.
async fn foresee(sender: &Sender<'_>, rows: &[Row], seen: &mut Seen) -> Result<Vec<Foreseen>> {
    let (records, cx) = (sender.records.as_ref(), &sender.connected.context);
    let by = sender.operation.by(records.record_type());
    let (mut new, mut changes): (Vec<&NewRow>, Vec<Change>) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Row::New(row) => new.push(row),
            Row::Change(change) => changes.push(change.clone()),
            Row::Key(row) => {
                let (key, if_version) = (row.key.clone(), row.if_version.clone());
                changes.push(Change { key, edits: Vec::new(), if_version });
            }
        }
    }
    let changes: Vec<&Change> = changes.iter().collect();
    let write = match sender.operation.of_document() {
        document::Operation::Create => {
            let refused = foresight::creations(records, cx, &new, &sender.options, seen).await?;
            return Ok(refused
                .into_iter()
                .map(|refused| Foreseen { refused, ..Foreseen::default() })
                .collect());
        }
        document::Operation::Update => Keyed::Update,
        document::Operation::Upsert => Keyed::Upsert,
        document::Operation::Delete => Keyed::Delete,
    };
    foresight::changes(records, cx, (write, &by), &changes).await
}
