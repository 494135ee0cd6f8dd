//! Where a command's results go: data on stdout through one buffered writer, everything else on stderr.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value as Json;

use super::args::Format;
use crate::error::{Error, ErrorKind, Result};

/// Why a command ends before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It failed.
    Failed(Error),
    /// Whoever read stdout has gone: nothing is left to do.
    PipeClosed,
    /// A signal asked for it; the exit code that says which.
    Signalled(u8),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a command comes to: its exit code, or why it stopped.
pub(crate) type Done<T = u8> = std::result::Result<T, Halt>;

/// Size of the block in which data is written.
const BLOCK: usize = 64 * 1024;

/// Stdout of a command.
pub(crate) struct Out {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// What is written is kept here too, while somebody wants it.
    copy: Option<Vec<u8>>,
    /// Whether people are looking.
    pub(crate) terminal: bool,
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Out").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

impl Out {
    /// The process's stdout.
    pub(crate) fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        // Stdout itself is line-buffered; the block above it makes that one call a block.
        Self { writer: BufWriter::with_capacity(BLOCK, Box::new(stdout)), copy: None, terminal }
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Done<()> {
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(bytes);
        }
        self.writer.write_all(bytes).map_err(halt_of)
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Done<()> {
        self.write(text.as_bytes())?;
        self.write(b"\n")
    }

    /// Writes a JSON document on one line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Done<()> {
        let text = serde_json::to_string(value).map_err(unwritable)?;
        self.line(&text)
    }

    /// Writes a JSON document over several lines.
    pub(crate) fn json_pretty(&mut self, value: &impl Serialize) -> Done<()> {
        let text = serde_json::to_string_pretty(value).map_err(unwritable)?;
        self.line(&text)
    }

    /// Begins to keep a copy of what is written.
    pub(crate) fn record(&mut self) {
        self.copy = Some(Vec::new());
    }

    /// The copy so far; no more is kept.
    pub(crate) fn recorded(&mut self) -> Vec<u8> {
        self.copy.take().unwrap_or_default()
    }

    /// Hands everything on.
    pub(crate) fn flush(&mut self) -> Done<()> {
        self.writer.flush().map_err(halt_of)
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::bug("a result cannot be written as JSON").with_source(error)
}

/// What a failed write to stdout means.
pub(crate) fn halt_of(error: io::Error) -> Halt {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Halt::PipeClosed;
    }
    Halt::Failed(Error::local(format!("cannot write to stdout: {error}")).with_source(error))
}

/// Prints a list of small things in the format asked for.
pub(crate) fn list<T: Serialize>(out: &mut Out, format: Format, columns: &[&str], items: &[T]) -> Done<()> {
    match format {
        Format::Json => out.json_pretty(&items),
        Format::Ndjson => items.iter().try_for_each(|item| out.json_line(item)),
        Format::Csv | Format::Table => {
            let rows = items
                .iter()
                .map(|item| serde_json::to_value(item).map_err(unwritable))
                .collect::<Result<Vec<Json>>>()?;
            let cells =
                rows.iter().map(|row| columns.iter().map(|name| cell(&row[*name])).collect::<Vec<_>>());
            if format == Format::Csv {
                let head: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
                for line in std::iter::once(head).chain(cells) {
                    let line: Vec<String> = line.iter().map(|text| super::csv::quoted(text)).collect();
                    out.write(format!("{}\r\n", line.join(",")).as_bytes())?;
                }
                return Ok(());
            }
            let table = table(columns.iter().map(|name| (*name).to_owned()), cells);
            out.line(&table)
        }
    }
}

/// A table for people, with what could steer a terminal made visible.
pub(crate) fn table(
    head: impl IntoIterator<Item = String>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head.into_iter().map(|text| harmless(&text)));
    for row in rows {
        table.add_row(row.iter().map(|text| harmless(text)));
    }
    table.trim_fmt()
}

/// One value as a cell of a table.
pub(crate) fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(true) => "yes".to_owned(),
        Json::Bool(false) => "no".to_owned(),
        Json::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Text without control characters, which could steer the terminal that shows it.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Reports an error on stderr: a line for people, or a JSON document.
pub(crate) fn report(error: &Error, format: Option<Format>) {
    let line = match format {
        Some(Format::Json | Format::Ndjson) => serde_json::json!({ "error": error }).to_string(),
        _ => format!("error: {}", harmless(&error.to_string().replace('\n', " "))),
    };
    note(&line);
}

/// Says something on stderr. When nobody listens there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Exit code of an error.
pub(crate) fn exit_code(error: &Error) -> u8 {
    match error.kind() {
        // A dry run that ended with what it recorded did what was asked.
        ErrorKind::DryRun => 0,
        kind => kind.exit_code(),
    }
}
