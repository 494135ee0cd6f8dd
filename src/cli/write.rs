//! What create, update, upsert and delete share: rows in as a stream, batches out, an outcome per row.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::FuturesOrdered;
use futures::{Stream, StreamExt as _};
use serde_json::{Map, Value as Json, json};

use super::Session;
use super::args::{Format, OfType, WriteFlags};
use super::feed::{Feed, Row, Source};
use super::output::{Done, Halt, Out, harmless, note};
use super::progress::Progress;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::dry_run::DryRun;
use crate::mapping::document;
use crate::provider::{Outcome, Records, WriteOptions};
use crate::record::capability::WriteCapability;
use crate::record::nearest::nearest;
use crate::record::{KeyFields, RecordType};
use crate::workspace::{Connected, Use};

/// Most rows of a batch, whatever the provider takes: outcomes should come while the input is being read.
const BATCH: usize = 200;

/// What is done with the rows.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Create them.
    Create,
    /// Change the records with their keys.
    Update,
    /// Create or change by a key.
    Upsert(KeyFields),
    /// Delete the records with their keys.
    Delete,
}

impl Operation {
    fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Upsert(_) => "upsert",
            Self::Delete => "delete",
        }
    }

    /// As mappings name it.
    pub(super) fn of_document(&self) -> document::Operation {
        match self {
            Self::Create => document::Operation::Create,
            Self::Update => document::Operation::Update,
            Self::Upsert(_) => document::Operation::Upsert,
            Self::Delete => document::Operation::Delete,
        }
    }

    /// The fields by which it finds records.
    pub(super) fn by(&self, record_type: &RecordType) -> KeyFields {
        match self {
            Self::Upsert(by) => by.clone(),
            Self::Create | Self::Update | Self::Delete => record_type.key.clone(),
        }
    }

    fn capability<'a>(&self, records: &'a Arc<dyn Records>) -> Option<&'a WriteCapability> {
        let capability = &records.record_type().capability;
        match self {
            Self::Create => capability.create.as_ref(),
            Self::Update => capability.update.as_ref(),
            Self::Upsert(_) => capability.upsert.as_ref().map(|upsert| &upsert.write),
            Self::Delete => capability.delete.as_ref(),
        }
    }
}

/// Opens connection and type for writing.
pub(crate) async fn open(
    session: &mut Session,
    of: &OfType,
    flags: &WriteFlags,
) -> Done<(Connected, Arc<dyn Records>, Option<DryRun>)> {
    let dry_run = flags.dry_run.then(DryRun::new);
    let connected =
        session.connection(&of.connection, Use { refresh: false, dry_run: dry_run.clone() }).await?;
    connected.check_may_write()?;
    let records = connected.open(&of.record_type).await?;
    Ok((connected, records, dry_run))
}

/// Writes rows and prints what became of each.
pub(crate) async fn run(
    session: &mut Session,
    connected: &Connected,
    records: &Arc<dyn Records>,
    operation: Operation,
    source: Source<'_>,
    flags: &WriteFlags,
    dry_run: Option<DryRun>,
) -> Done {
    let options = options(&operation, records, &flags.options)?;
    let capability = operation.capability(records);
    let batch_max = capability.map_or(BATCH, |capability| capability.batch_max.clamp(1, BATCH));
    let at_once = capability.map_or(1, |capability| capability.at_once.max(1));
    let mut feed = Feed::open(session, records, &operation, source, batch_max, flags.csv_raw)?;
    let sender = Sender { connected, records, operation, options };
    if let Some(record) = dry_run {
        return super::dry_run::rows(session, &sender, &mut feed, &record).await;
    }
    let mut report = Report::new(session);
    let mut progress = Progress::of("rows");
    let written = write_all(session, &sender, &mut feed, at_once, &mut report, &mut progress).await;
    match written {
        Ok(()) => {}
        Err(End::Told(error)) => {
            report.finish(session)?;
            return Err(before_fault(error, report.rows).into());
        }
        Err(End::Halted(halt)) => return Err(halt),
    }
    report.finish(session)?;
    Ok(u8::from(report.failed > 0))
}

/// Why writing ended early.
enum End {
    /// By an error; what was written before it is reported.
    Told(Error),
    /// By a signal, or because nobody reads the report any more.
    Halted(Halt),
}

impl From<Halt> for End {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

/// A batch under way: where it stands in the input and what was decided before it was sent.
struct Pending {
    first: u64,
    /// None for rows that were sent.
    outcomes: Vec<Option<Outcome>>,
}

/// Reads batches and keeps up to `at_once` of them under way; reports them in the order of the input.
async fn write_all(
    session: &mut Session,
    sender: &Sender<'_>,
    feed: &mut Feed,
    at_once: usize,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<(), End> {
    let mut under_way = FuturesOrdered::new();
    let mut pending: VecDeque<Pending> = VecDeque::new();
    let (mut next_row, mut fault, mut more) = (0_u64, None::<Error>, true);
    loop {
        let room = more && under_way.len() < at_once;
        if !room && under_way.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            _ = session.signals.wait() => {
                return Err(wind_up(session, under_way, pending, report).await);
            }
            Some(answer) = under_way.next(), if !under_way.is_empty() => {
                let Some(batch) = pending.pop_front() else { continue };
                let told = report.batch(session, batch, answer, under_way.is_empty())?;
                progress.add(told.rows);
                progress.aside(|| session.out.flush())?;
                if let Some(error) = told.stops {
                    more = false;
                    fault = Some(error);
                }
            }
            batch = feed.next(), if room => {
                // A fault of the input stops the reading; what is under way goes on.
                let (rows, end) = batch.map_or_else(
                    |error| (Vec::new(), Some(error)),
                    |read| read.unwrap_or_else(|| { more = false; (Vec::new(), None) }),
                );
                if let Some(error) = end {
                    more = false;
                    fault.get_or_insert(error);
                }
                let (good, outcomes) = sender.sort(rows);
                if outcomes.is_empty() {
                    continue;
                }
                pending.push_back(Pending { first: next_row, outcomes });
                next_row += pending.back().map_or(0, |batch| batch.outcomes.len() as u64);
                under_way.push_back(sender.send(good));
            }
        }
    }
    fault.map_or(Ok(()), |error| Err(End::Told(error)))
}

/// After a signal: what is under way may finish; what is not known then is told as such.
async fn wind_up(
    session: &mut Session,
    mut under_way: impl Stream<Item = Result<Vec<Outcome>>> + Unpin,
    mut pending: VecDeque<Pending>,
    report: &mut Report,
) -> End {
    let mut finished = VecDeque::new();
    let all = async {
        while let Some(answer) = under_way.next().await {
            finished.push_back(answer);
        }
    };
    // Whether it was in time shows in what is finished.
    let _ = session.signals.finishing(all).await;
    while let Some(batch) = pending.pop_front() {
        let answer = finished.pop_front().unwrap_or_else(|| {
            let error = Error::new(ErrorKind::Cancelled, "stopped before the answer came");
            let sent = batch.outcomes.iter().filter(|outcome| outcome.is_none());
            Ok(sent.map(|_| Outcome::Unknown { marker: None, error: error.clone() }).collect())
        });
        if let Err(halt) = report.batch(session, batch, answer, false) {
            return End::Halted(halt);
        }
    }
    match session.out.flush().and_then(|()| session.signals.check()) {
        Err(halt) => End::Halted(halt),
        Ok(()) => End::Told(Error::new(ErrorKind::Cancelled, "stopped")),
    }
}

fn before_fault(error: Error, written: u64) -> Error {
    if written == 0 {
        return error.with_advice("Nothing was written");
    }
    error.with_advice(format!("The {written} rows before it were handled as reported; nothing after them"))
}

/// Sends batches.
pub(super) struct Sender<'a> {
    pub(super) connected: &'a Connected,
    pub(super) records: &'a Arc<dyn Records>,
    pub(super) operation: Operation,
    pub(super) options: WriteOptions,
}

impl Sender<'_> {
    /// Parts the rows that can be sent from those that say nothing usable, which fail alone.
    pub(super) fn sort(&self, rows: Vec<Result<Row>>) -> (Vec<Row>, Vec<Option<Outcome>>) {
        let mut outcomes = Vec::with_capacity(rows.len());
        let mut good = Vec::with_capacity(rows.len());
        for row in rows {
            match row {
                Ok(row) => {
                    good.push(row);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Outcome::Failed(self.named(error)))),
            }
        }
        (good, outcomes)
    }

    pub(super) fn named(&self, error: Error) -> Error {
        error
            .with_operation(self.operation.name())
            .with_connection(self.connected.description.name.as_str())
            .with_provider(self.connected.description.provider.as_str())
            .with_record_type(self.records.record_type().name.as_str())
    }

    pub(super) async fn send(&self, rows: Vec<Row>) -> Result<Vec<Outcome>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let cx = &self.connected.context;
        let (mut new, mut changes, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            match row {
                Row::New(row) => new.push(row),
                Row::Change(change) => changes.push(change),
                Row::Key(key) => keys.push(key),
            }
        }
        let outcomes = match &self.operation {
            Operation::Create => self.records.create(cx, &new, &self.options).await,
            Operation::Update => self.records.update(cx, &changes, &self.options).await,
            Operation::Upsert(by) => self.records.upsert(cx, by, &changes, &self.options).await,
            Operation::Delete => self.records.delete(cx, &keys, &self.options).await,
        };
        outcomes.map_err(|error| self.named(error))
    }
}

pub(super) fn is_dry_run(outcome: &Outcome) -> bool {
    outcome.error().is_some_and(|error| error.kind() == ErrorKind::DryRun)
}

/// What became of the rows, as it is printed.
struct Report {
    format: Format,
    terminal_words: bool,
    started: bool,
    rows: u64,
    failed: u64,
    counts: Map<String, Json>,
}

/// What a batch said when it was reported.
struct Told {
    rows: u64,
    /// The error after which nothing more is sent.
    stops: Option<Error>,
}

impl Report {
    /// Reports one batch. When it failed as a whole and nothing else is under way, the error speaks for it.
    fn batch(
        &mut self,
        session: &mut Session,
        batch: Pending,
        answer: Result<Vec<Outcome>>,
        alone: bool,
    ) -> Done<Told> {
        let rows = batch.outcomes.len() as u64;
        let sent = batch.outcomes.iter().filter(|outcome| outcome.is_none()).count();
        let mut stops = None;
        let answers = match answer {
            Ok(answers) if answers.len() == sent => answers,
            Ok(answers) => {
                let bug = Error::bug(format!("{} outcomes came for {sent} rows", answers.len()));
                (0..sent).map(|_| Outcome::Unknown { marker: None, error: bug.clone() }).collect()
            }
            Err(error) => {
                stops = Some(error.clone());
                if alone {
                    return Ok(Told { rows: 0, stops });
                }
                (0..sent).map(|_| Outcome::Failed(error.clone())).collect()
            }
        };
        let mut answers = answers.into_iter();
        for (row, outcome) in (batch.first..).zip(batch.outcomes) {
            let Some(outcome) = outcome.or_else(|| answers.next()) else { continue };
            self.outcome(session, row, &outcome)?;
        }
        Ok(Told { rows, stops })
    }

    fn new(session: &Session) -> Self {
        // For writes, CSV is a form of the input; the report is not a table of records.
        let format = match session.format {
            Some(Format::Csv) => Format::Ndjson,
            Some(format) => format,
            None if session.out.terminal => Format::Table,
            None => Format::Ndjson,
        };
        Self {
            format,
            terminal_words: format == Format::Table,
            started: false,
            rows: 0,
            failed: 0,
            counts: Map::new(),
        }
    }

    fn outcome(&mut self, session: &mut Session, row: u64, outcome: &Outcome) -> Done<()> {
        self.rows += 1;
        let error = outcome.error();
        if error.is_some() {
            self.failed += 1;
        }
        let count = self.counts.entry(outcome.status()).or_insert_with(|| json!(0));
        *count = json!(count.as_u64().unwrap_or(0) + 1);
        if !self.terminal_words {
            return self.document(&mut session.out, &outcome.report(row));
        }
        let key = outcome.key().map(ToString::to_string).unwrap_or_default();
        let line = match error {
            Some(error) => format!("{row:>6}  {:<10} {}", outcome.status(), harmless(&error.to_string())),
            None => format!("{row:>6}  {:<10} {}", outcome.status(), harmless(&key)),
        };
        session.out.line(&line)
    }

    fn document(&mut self, out: &mut Out, value: &impl serde::Serialize) -> Done<()> {
        if self.format == Format::Json {
            out.write(if self.started { b",\n" } else { b"[\n" })?;
            self.started = true;
            let text = serde_json::to_string(value)
                .map_err(|error| Error::bug("an outcome cannot be written as JSON").with_source(error))?;
            return out.write(text.as_bytes());
        }
        out.json_line(value)
    }

    fn finish(&mut self, session: &mut Session) -> Done<()> {
        if self.format == Format::Json {
            session.out.write(if self.started { b"\n]\n" } else { b"[]\n" })?;
        }
        session.out.flush()?;
        if self.rows > 1 || self.failed > 0 {
            let counts: Vec<String> =
                self.counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
            note(&counts.join(", "));
        }
        Ok(())
    }
}

/// The operation's own options, typed by their schema; an unknown one is refused before anything is sent.
fn options(
    operation: &Operation,
    records: &Arc<dyn Records>,
    given: &[(String, String)],
) -> Result<WriteOptions> {
    let none = Json::Null;
    let schema = operation.capability(records).map_or(&none, |capability| &capability.options);
    named_options(schema, given).map_err(|error| {
        error.with_operation(operation.name()).with_record_type(records.record_type().name.as_str())
    })
}

/// `NAME=VALUE` pairs, typed by a schema of options.
pub(crate) fn named_options(schema: &Json, given: &[(String, String)]) -> Result<WriteOptions> {
    let mut options = WriteOptions::new();
    let properties = schema["properties"].as_object();
    for (name, text) in given {
        let property = properties.and_then(|properties| properties.get(name)).ok_or_else(|| {
            let known: Vec<&str> =
                properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str)).collect();
            let error = Error::invalid(format!("there is no option {name:?} here"));
            match nearest(name, known.iter().copied()) {
                Some(near) => error.with_advice(format!("Did you mean {near}?")),
                None if known.is_empty() => error.with_advice("This operation has no options"),
                None => error.with_advice(format!("Its options: {}", known.join(", "))),
            }
        })?;
        let is_text = match &property["type"] {
            Json::String(name) => name == "string",
            Json::Array(names) => names.iter().any(|name| name == "string"),
            _ => false,
        };
        let value = if is_text {
            Json::String(text.clone())
        } else {
            serde_json::from_str(text).map_err(|_| {
                Error::invalid(format!("the option {name} cannot be {text:?}"))
                    .with_advice(format!("It takes {}", property["type"]))
            })?
        };
        if options.insert(name.clone(), value).is_some() {
            return Err(Error::invalid(format!("the option {name} stands twice")));
        }
    }
    Ok(options)
}
