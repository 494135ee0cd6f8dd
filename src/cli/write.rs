//! What create, update, upsert and delete share: rows in as a stream, batches out, an outcome per row.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::Session;
use super::args::{Format, WriteFlags};
use super::output::{Done, Out, harmless, note};
use super::progress::Progress;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::dry_run::DryRun;
use crate::provider::{Change, NewRow, Outcome, Records, VersionedKey, WriteOptions};
use crate::record::KeyFields;
use crate::record::capability::WriteCapability;
use crate::record::nearest::nearest;
use crate::rows::{RawRow, RowFormat, RowReader};
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

/// Where rows come from.
pub(crate) enum Source<'a> {
    /// A file, or stdin for `-` and nothing.
    File(Option<&'a Path>),
    /// Keys from the command line.
    Keys(Vec<VersionedKey>),
    /// Changes that were made here.
    Changes(Vec<Change>),
}

/// Opens connection and type for writing.
pub(crate) async fn open(
    session: &mut Session,
    connection: &str,
    record_type: &str,
    flags: &WriteFlags,
) -> Done<(Connected, Arc<dyn Records>, Option<DryRun>)> {
    let dry_run = flags.dry_run.then(DryRun::new);
    let connected = session.connection(connection, Use { refresh: false, dry_run: dry_run.clone() }).await?;
    connected.check_may_write()?;
    let records = connected.open(record_type).await?;
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
    let record_type = Arc::clone(records.record_type());
    let options = options(&operation, records, &flags.options)?;
    let batch_max =
        operation.capability(records).map_or(BATCH, |capability| capability.batch_max.clamp(1, BATCH));
    let mut writer = Writer {
        connected,
        records,
        operation,
        options,
        report: Report::new(session, dry_run),
        progress: Progress::of("rows"),
        next_row: 0,
    };
    match source {
        Source::Keys(keys) => {
            for chunk in keys.chunks(batch_max) {
                let batch = chunk.iter().map(|key| Ok(Row::Key(key.clone()))).collect();
                writer.write(session, batch).await?;
            }
        }
        Source::Changes(changes) => {
            for chunk in changes.chunks(batch_max) {
                let batch = chunk.iter().map(|change| Ok(Row::Change(change.clone()))).collect();
                writer.write(session, batch).await?;
            }
        }
        Source::File(file) => {
            let format = row_format(session.format, file);
            if let Some(path) = file.filter(|path| path.as_os_str() != "-") {
                // A file is read through once before anything is written, so that a fault at its end does not
                // leave half of it written.
                for row in RowReader::new(open_file(path)?, format, &record_type, flags.csv_raw) {
                    row?;
                    session.signals.check()?;
                }
            }
            let input: Box<dyn Read + Send> = match file.filter(|path| path.as_os_str() != "-") {
                Some(path) => Box::new(open_file(path)?),
                None => std::mem::replace(&mut session.input, Box::new(std::io::empty())),
            };
            let by = match &writer.operation {
                Operation::Upsert(by) => by.clone(),
                _ => record_type.key.clone(),
            };
            let mut rows = RowReader::new(input, format, &record_type, flags.csv_raw);
            loop {
                // Stdin may keep us waiting; a signal does not wait for it.
                let (operation, by) = (writer.operation.clone(), by.clone());
                let reading = tokio::task::spawn_blocking(move || {
                    let (batch, fault) = read_batch(&mut rows, batch_max, &operation, &by);
                    (rows, batch, fault)
                });
                let read = session.signals.or_stop(reading).await?;
                let (back, batch, fault) =
                    read.map_err(|error| Error::bug(format!("reading the rows failed: {error}")))?;
                rows = back;
                let last = batch.len() < batch_max;
                if !batch.is_empty() {
                    writer.write(session, batch).await?;
                }
                if let Some(error) = fault {
                    writer.report.finish(session)?;
                    return Err(before_fault(error, writer.next_row).into());
                }
                if last {
                    break;
                }
            }
        }
    }
    writer.report.finish(session)?;
    Ok(u8::from(writer.report.failed > 0))
}

fn before_fault(error: Error, written: u64) -> Error {
    if written == 0 {
        return error.with_advice("Nothing was written");
    }
    error.with_advice(format!("The {written} rows before it were handled as reported; nothing after them"))
}

fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::invalid(format!("there is no file {}", path.display())),
        _ => Error::local(format!("cannot read {}: {error}", path.display())),
    })
}

fn row_format(format: Option<Format>, file: Option<&Path>) -> RowFormat {
    let by_name =
        file.and_then(Path::extension).is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if format == Some(Format::Csv) || by_name { RowFormat::Csv } else { RowFormat::Json }
}

/// One row, ready to be written.
enum Row {
    New(NewRow),
    Change(Change),
    Key(VersionedKey),
}

fn row_of(raw: RawRow, operation: &Operation, by: &KeyFields) -> Result<Row> {
    match operation {
        Operation::Create => raw.into_new().map(Row::New),
        Operation::Update | Operation::Upsert(_) => raw.into_change(by).map(Row::Change),
        Operation::Delete => raw.into_key(by).map(Row::Key),
    }
}

/// Up to a batch of rows; a fault of the input itself ends it.
fn read_batch(
    rows: &mut RowReader<'_>,
    most: usize,
    operation: &Operation,
    by: &KeyFields,
) -> (Vec<Result<Row>>, Option<Error>) {
    let mut batch = Vec::with_capacity(most);
    while batch.len() < most {
        match rows.next() {
            Some(Ok(raw)) => batch.push(row_of(raw, operation, by)),
            Some(Err(fault)) => return (batch, Some(fault)),
            None => break,
        }
    }
    (batch, None)
}

struct Writer<'a> {
    connected: &'a Connected,
    records: &'a Arc<dyn Records>,
    operation: Operation,
    options: WriteOptions,
    report: Report,
    progress: Progress,
    next_row: u64,
}

impl Writer<'_> {
    /// Writes one batch. Rows that say nothing usable fail alone; after a signal the batch may finish, and
    /// what is not known then is told as such.
    async fn write(&mut self, session: &mut Session, batch: Vec<Result<Row>>) -> Done<()> {
        session.signals.check()?;
        let first = self.next_row;
        self.next_row += batch.len() as u64;
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(batch.len());
        let mut good = Vec::with_capacity(batch.len());
        for row in batch {
            match row {
                Ok(row) => {
                    good.push(row);
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Outcome::Failed(self.named(error)))),
            }
        }
        let count = good.len();
        let sent = if good.is_empty() {
            Ok(Ok(Vec::new()))
        } else {
            session.signals.finishing(self.send(good)).await
        };
        let (results, stopped) = match sent {
            Ok(Ok(results)) => (results, None),
            Ok(Err(error)) if error.kind() == ErrorKind::DryRun => (Vec::new(), None),
            // Nothing of this batch is known to be written, but the rows before it were reported.
            Ok(Err(error)) => {
                self.report.flush_requests(session, first)?;
                self.report.finish(session)?;
                return Err(before_fault(error, first).into());
            }
            Err(stopped) => {
                let error = Error::new(ErrorKind::Cancelled, "stopped before the answer came");
                let unknown = || Outcome::Unknown { marker: None, error: error.clone() };
                ((0..count).map(|_| unknown()).collect(), Some(stopped))
            }
        };
        if self.report.dry_run.is_some() {
            self.report.flush_requests(session, first)?;
            for (row, outcome) in (first..).zip(outcomes.into_iter().flatten()) {
                self.report.outcome(session, row, &outcome)?;
            }
            for (row, outcome) in (first..).zip(&results) {
                // What could be decided without sending, such as a row that a check refuses.
                if !matches!(outcome, Outcome::Unknown { .. }) && !is_dry_run(outcome) {
                    self.report.outcome(session, row, outcome)?;
                }
            }
            return session.out.flush();
        }
        if results.len() != count {
            return Err(Error::bug(format!("{} outcomes came for {count} rows", results.len())).into());
        }
        let mut results = results.into_iter();
        for (row, outcome) in (first..).zip(outcomes) {
            let Some(outcome) = outcome.or_else(|| results.next()) else { break };
            self.report.outcome(session, row, &outcome)?;
        }
        self.progress.add(count as u64);
        self.progress.aside(|| session.out.flush())?;
        stopped.map_or_else(|| session.signals.check(), Err)
    }

    fn named(&self, error: Error) -> Error {
        error
            .with_operation(self.operation.name())
            .with_connection(self.connected.description.name.as_str())
            .with_provider(self.connected.description.provider.as_str())
            .with_record_type(self.records.record_type().name.as_str())
    }

    async fn send(&self, rows: Vec<Row>) -> Result<Vec<Outcome>> {
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

fn is_dry_run(outcome: &Outcome) -> bool {
    outcome.error().is_some_and(|error| error.kind() == ErrorKind::DryRun)
}

/// What became of the rows, as it is printed.
struct Report {
    format: Format,
    terminal_words: bool,
    dry_run: Option<DryRun>,
    shown_requests: usize,
    started: bool,
    rows: u64,
    failed: u64,
    counts: Map<String, Json>,
}

impl Report {
    fn new(session: &Session, dry_run: Option<DryRun>) -> Self {
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
            dry_run,
            shown_requests: 0,
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

    /// Prints the requests that were recorded since the last time.
    fn flush_requests(&mut self, session: &mut Session, _first: u64) -> Done<()> {
        let Some(dry_run) = self.dry_run.clone() else { return Ok(()) };
        for request in dry_run.requests().into_iter().skip(self.shown_requests) {
            self.shown_requests += 1;
            if !self.terminal_words {
                self.document(&mut session.out, &request)?;
                continue;
            }
            session.out.line(&format!("{} {}", request.method, harmless(&request.address)))?;
            for (name, value) in &request.headers {
                session.out.line(&format!("{name}: {}", harmless(value)))?;
            }
            let body = serde_json::to_value(&request.body).unwrap_or(Json::Null);
            if !body.is_null() {
                session.out.line(&harmless(&body.to_string()))?;
            }
            session.out.line("")?;
        }
        Ok(())
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
        if self.dry_run.is_some() {
            note(&format!("dry run: {} requests, none sent", self.shown_requests));
        } else if self.rows > 1 || self.failed > 0 {
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
