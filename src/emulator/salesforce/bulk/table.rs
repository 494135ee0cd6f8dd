//! CSV as jobs read and write it.

use csv::{QuoteStyle, ReaderBuilder, StringRecord, Terminator, WriterBuilder};

use super::super::errors::Refusal;

const DELIMITERS: [(&str, u8); 6] = [
    ("COMMA", b','),
    ("TAB", b'\t'),
    ("PIPE", b'|'),
    ("SEMICOLON", b';'),
    ("CARET", b'^'),
    ("BACKQUOTE", b'`'),
];

/// Delimiter and line ending of a job's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    delimiter: u8,
    crlf: bool,
}

impl Dialect {
    /// The dialect with these names; commas and line feeds unless told otherwise.
    ///
    /// # Errors
    /// INVALIDJOB for a name that does not exist.
    pub(super) fn named(delimiter: Option<&str>, ending: Option<&str>) -> Result<Self, Refusal> {
        let delimiter = delimiter.unwrap_or("COMMA");
        let byte = DELIMITERS.iter().find(|(name, _)| *name == delimiter).map(|(_, byte)| *byte);
        let byte = byte.ok_or_else(|| {
            Refusal::new("INVALIDJOB", format!("Column delimiter {delimiter:?} is not supported"))
        })?;
        let crlf = match ending.unwrap_or("LF") {
            "LF" => false,
            "CRLF" => true,
            other => {
                return Err(Refusal::new("INVALIDJOB", format!("Line ending {other:?} is not supported")));
            }
        };
        Ok(Self { delimiter: byte, crlf })
    }

    pub(super) fn delimiter_name(self) -> &'static str {
        DELIMITERS.iter().find(|(_, byte)| *byte == self.delimiter).map_or("COMMA", |(name, _)| name)
    }

    pub(super) fn ending_name(self) -> &'static str {
        if self.crlf { "CRLF" } else { "LF" }
    }

    pub(super) fn ending(self) -> &'static str {
        if self.crlf { "\r\n" } else { "\n" }
    }

    fn terminator(self) -> Terminator {
        if self.crlf { Terminator::CRLF } else { Terminator::Any(b'\n') }
    }

    /// Head and rows of an upload.
    ///
    /// # Errors
    /// What a failed job tells about the file.
    pub(super) fn read(self, upload: &[u8]) -> Result<(StringRecord, Vec<StringRecord>), String> {
        let head = upload.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if head.iter().all(u8::is_ascii_whitespace) {
            return Err("InvalidBatch : Records not found".to_owned());
        }
        if head.ends_with(b"\r") != self.crlf && head.len() < upload.len() {
            return Err(format!(
                "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {}",
                self.ending_name()
            ));
        }
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .terminator(self.terminator())
            .flexible(true)
            .has_headers(true)
            .from_reader(upload);
        let told = |error: csv::Error| format!("InvalidBatch : Failed to parse the CSV content: {error}");
        let head = reader.headers().map_err(told)?.clone();
        let mut rows = Vec::new();
        for row in reader.into_records() {
            let row = row.map_err(told)?;
            if row.len() != head.len() {
                return Err(format!(
                    "InvalidBatch : Row {} has {} columns, the header has {}",
                    rows.len() + 1,
                    row.len(),
                    head.len()
                ));
            }
            rows.push(row);
        }
        Ok((head, rows))
    }

    /// Appends one line, quoted only where it must be.
    pub(super) fn write<'a>(self, cells: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) {
        self.append(QuoteStyle::Necessary, cells, out);
    }

    /// Appends one line with every value in quotes.
    pub(super) fn write_quoted<'a>(self, cells: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) {
        self.append(QuoteStyle::Always, cells, out);
    }

    /// Appends one line whose first two values are in quotes and the others only where they must be.
    pub(super) fn write_result<'a>(
        self,
        first: [&str; 2],
        cells: impl IntoIterator<Item = &'a str>,
        out: &mut Vec<u8>,
    ) {
        self.write_quoted(first, out);
        out.truncate(out.len() - self.ending().len());
        out.push(self.delimiter);
        self.write(cells, out);
    }

    fn append<'a>(self, style: QuoteStyle, cells: impl IntoIterator<Item = &'a str>, out: &mut Vec<u8>) {
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .terminator(self.terminator())
            .quote_style(style)
            .flexible(true)
            .buffer_capacity(256)
            .from_writer(out);
        // Writing to memory does not fail.
        let _ = writer.write_record(cells);
        let _ = writer.flush();
    }
}
