//! The rows of a write on their way in: keys, changes, or a file or stdin read batch by batch.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::Session;
use super::args::Format;
use super::output::Done;
use super::write::Operation;
use crate::error::{Error, Result};
use crate::provider::{Change, NewRow, Records, VersionedKey};
use crate::record::KeyFields;
use crate::rows::{RawRow, RowFormat, RowReader};

/// Where rows come from.
pub(crate) enum Source<'a> {
    /// A file, or stdin for `-` and nothing.
    File(Option<&'a Path>),
    /// Keys from the command line.
    Keys(Vec<VersionedKey>),
    /// Changes that were made here.
    Changes(Vec<Change>),
}

/// Where batches come from.
pub(super) enum Feed {
    Ready(VecDeque<Vec<Result<Row>>>),
    Reading(Box<Input>),
}

/// Rows of a file or of stdin, read on a thread of their own: stdin may keep us waiting.
pub(super) struct Input {
    rows: Option<RowReader<'static>>,
    reading: Option<JoinHandle<ReadBatch>>,
    operation: Operation,
    by: KeyFields,
    batch_max: usize,
}

pub(super) type ReadBatch = (RowReader<'static>, Vec<Result<Row>>, Option<Error>);

impl Feed {
    pub(super) fn open(
        session: &mut Session,
        records: &Arc<dyn Records>,
        operation: &Operation,
        source: Source<'_>,
        batch_max: usize,
        csv_raw: bool,
    ) -> Done<Self> {
        let file = match source {
            Source::Keys(keys) => {
                let rows = keys.chunks(batch_max);
                return Ok(Self::Ready(
                    rows.map(|chunk| chunk.iter().map(|key| Ok(Row::Key(key.clone()))).collect()).collect(),
                ));
            }
            Source::Changes(changes) => {
                let rows = changes.chunks(batch_max);
                return Ok(Self::Ready(
                    rows.map(|chunk| chunk.iter().map(|one| Ok(Row::Change(one.clone()))).collect())
                        .collect(),
                ));
            }
            Source::File(file) => file,
        };
        let record_type = records.record_type();
        let format = row_format(session.format, file);
        let path = file.filter(|path| path.as_os_str() != "-");
        if let Some(path) = path {
            // A file is read through once before anything is written, so that a fault at its end does not
            // leave half of it written.
            for row in RowReader::new(open_file(path)?, format, record_type, csv_raw) {
                row?;
                session.signals.check()?;
            }
        }
        let input: Box<dyn Read + Send> = match path {
            Some(path) => Box::new(open_file(path)?),
            None => std::mem::replace(&mut session.input, Box::new(std::io::empty())),
        };
        let by = operation.by(record_type);
        let rows = Some(RowReader::new(input, format, record_type, csv_raw));
        let operation = operation.clone();
        Ok(Self::Reading(Box::new(Input { rows, reading: None, operation, by, batch_max })))
    }

    /// The next batch, with the fault of the input that ends it. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Result<Option<(Vec<Result<Row>>, Option<Error>)>> {
        let input = match self {
            Self::Ready(batches) => return Ok(batches.pop_front().map(|batch| (batch, None))),
            Self::Reading(input) => input,
        };
        if let Some(mut rows) = input.rows.take() {
            let (operation, by, most) = (input.operation.clone(), input.by.clone(), input.batch_max);
            input.reading = Some(tokio::task::spawn_blocking(move || {
                let (batch, fault) = read_batch(&mut rows, most, &operation, &by);
                (rows, batch, fault)
            }));
        }
        let Some(reading) = &mut input.reading else { return Ok(None) };
        let read = reading.await;
        input.reading = None;
        let (rows, batch, fault) =
            read.map_err(|error| Error::bug(format!("reading the rows failed: {error}")))?;
        if fault.is_none() && batch.len() == input.batch_max {
            input.rows = Some(rows);
        }
        Ok((!batch.is_empty() || fault.is_some()).then_some((batch, fault)))
    }
}

pub(super) fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::invalid(format!("there is no file {}", path.display())),
        _ => Error::local(format!("cannot read {}: {error}", path.display())),
    })
}

pub(super) fn row_format(format: Option<Format>, file: Option<&Path>) -> RowFormat {
    let by_name =
        file.and_then(Path::extension).is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if format == Some(Format::Csv) || by_name { RowFormat::Csv } else { RowFormat::Json }
}

/// One row, ready to be written.
pub(super) enum Row {
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
