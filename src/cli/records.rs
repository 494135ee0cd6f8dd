//! Records out: NDJSON, a JSON array, CSV or a table. On the NDJSON and JSON path a record's text goes through
//! as it came.

use std::borrow::Cow;

use super::args::Format;
use super::csv::{self, Leaf};
use super::output::{harmless, note, table};
use crate::error::{Error, Result};
use crate::record::{FieldPath, Record};

/// Rows that share the column widths of one table.
const TABLE_BLOCK: usize = 200;

/// Columns that a table shows when none are selected.
const TABLE_COLUMNS: usize = 8;

/// Turns records into bytes, one after another.
#[derive(Debug)]
pub(crate) struct RecordPrinter {
    format: Format,
    meta: bool,
    csv_raw: bool,
    columns: Vec<FieldPath>,
    started: bool,
    pending: Vec<Vec<String>>,
}

impl RecordPrinter {
    /// A printer for records with these leaf paths. `resumed` continues a file that has its beginning already.
    pub(crate) fn new(
        format: Format,
        mut columns: Vec<FieldPath>,
        selected: bool,
        meta: bool,
        csv_raw: bool,
        resumed: bool,
    ) -> Self {
        if format == Format::Table && !selected && columns.len() > TABLE_COLUMNS {
            note(&format!(
                "note: showing {TABLE_COLUMNS} of {} fields; choose with --select, or see all with --format ndjson",
                columns.len()
            ));
            columns.truncate(TABLE_COLUMNS);
        }
        Self { format, meta, csv_raw, columns, started: resumed, pending: Vec::new() }
    }

    /// Adds one record.
    ///
    /// # Errors
    /// When the record is not JSON, a defect.
    pub(crate) fn record(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<()> {
        match self.format {
            Format::Ndjson => {
                out.extend_from_slice(&self.json(record)?);
                out.push(b'\n');
            }
            Format::Json => {
                out.extend_from_slice(if self.started { b",\n" } else { b"[\n" });
                out.extend_from_slice(&self.json(record)?);
            }
            Format::Csv => {
                if !self.started {
                    self.head(out);
                }
                let mut cells = self.meta_cells(record);
                cells.extend(csv::leaves(record, &self.columns)?);
                out.extend_from_slice(csv::line(&cells, self.csv_raw).as_bytes());
            }
            Format::Table => {
                let mut cells = self.meta_cells(record);
                cells.extend(csv::leaves(record, &self.columns)?);
                self.pending.push(
                    cells
                        .into_iter()
                        .map(|cell| match cell {
                            Leaf::Null => String::new(),
                            Leaf::Text(text) | Leaf::Json(text) => harmless(&text),
                        })
                        .collect(),
                );
                if self.pending.len() >= TABLE_BLOCK {
                    self.flush_table(out);
                }
            }
        }
        self.started = true;
        Ok(())
    }

    /// Ends the document.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        match self.format {
            Format::Ndjson => {}
            Format::Json => out.extend_from_slice(if self.started { b"\n]\n" } else { b"[]\n" }),
            Format::Csv if !self.started => self.head(out),
            Format::Csv => {}
            Format::Table => {
                if !self.pending.is_empty() || !self.started {
                    self.flush_table(out);
                }
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let meta = if self.meta { &["@key", "@version"][..] } else { &[] };
        meta.iter()
            .map(|name| (*name).to_owned())
            .chain(self.columns.iter().map(ToString::to_string))
            .collect()
    }

    fn head(&self, out: &mut Vec<u8>) {
        let names: Vec<String> = self.names().iter().map(|name| csv::quoted(name)).collect();
        out.extend_from_slice(format!("{}\r\n", names.join(",")).as_bytes());
    }

    fn flush_table(&mut self, out: &mut Vec<u8>) {
        let text = table(self.names(), std::mem::take(&mut self.pending));
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }

    fn meta_cells(&self, record: &Record) -> Vec<Leaf> {
        if !self.meta {
            return Vec::new();
        }
        vec![Leaf::Text(record.key.to_string()), record.version.clone().map_or(Leaf::Null, Leaf::Text)]
    }

    fn json<'a>(&self, record: &'a Record) -> Result<Cow<'a, [u8]>> {
        let text = on_one_line(&record.json);
        if !self.meta {
            return Ok(text);
        }
        let opened =
            text.strip_prefix(b"{").ok_or_else(|| Error::bug("a record does not begin with a brace"))?;
        let empty = opened.trim_ascii_start().starts_with(b"}");
        let key = to_json(&record.key)?;
        let version = to_json(&record.version)?;
        let mut whole =
            format!("{{\"@key\":{key},\"@version\":{version}{}", if empty { "" } else { "," }).into_bytes();
        whole.extend_from_slice(opened);
        Ok(Cow::Owned(whole))
    }
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|source| Error::bug("a key cannot be written as JSON").with_source(source))
}

/// The text without line ends: in JSON they stand only between tokens.
pub(crate) fn on_one_line(json: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\n', b'\r', json).is_some() {
        Cow::Owned(json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect())
    } else {
        Cow::Borrowed(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    fn printed(format: Format, meta: bool, resumed: bool, texts: &[&'static str]) -> String {
        let columns = vec![FieldPath::parse("A")];
        let mut printer = RecordPrinter::new(format, columns, true, meta, false, resumed);
        let mut out = Vec::new();
        for text in texts {
            let json = bytes::Bytes::from_static(text.as_bytes());
            let record = Record { key: Key::text("k"), version: Some("v".to_owned()), json };
            printer.record(&record, &mut out).expect("printed");
        }
        printer.finish(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn records_pass_through_as_they_came() {
        assert_eq!(
            printed(Format::Ndjson, false, false, &[r#"{"A":1.10}"#, "{ \"A\":\n2}"]),
            "{\"A\":1.10}\n{ \"A\": 2}\n"
        );
        assert_eq!(
            printed(Format::Ndjson, true, false, &[r#"{"A":1}"#, "{}"]),
            "{\"@key\":\"k\",\"@version\":\"v\",\"A\":1}\n{\"@key\":\"k\",\"@version\":\"v\"}\n"
        );
    }

    #[test]
    fn documents_begin_and_end_once() {
        assert_eq!(printed(Format::Json, false, false, &[]), "[]\n");
        assert_eq!(printed(Format::Json, false, false, &["{}", "{}"]), "[\n{},\n{}\n]\n");
        assert_eq!(printed(Format::Json, false, true, &["{}"]), ",\n{}\n]\n");
        assert_eq!(printed(Format::Csv, true, false, &[r#"{"A":1}"#]), "@key,@version,A\r\nk,v,1\r\n");
        assert_eq!(printed(Format::Csv, false, false, &[]), "A\r\n");
        assert_eq!(printed(Format::Csv, false, true, &[r#"{"A":1}"#]), "1\r\n");
    }

    #[test]
    fn a_table_shows_no_control_characters() {
        let text = printed(Format::Table, false, false, &[r#"{"A":"x[31my"}"#]);
        assert!(text.contains('x') && !text.contains('\u{1b}'), "{text:?}");
    }
}
