//! JSON rows as a stream: the text is cut into objects byte by byte, so that an array of any length is read in
//! constant memory, and each object is then checked as a whole.

use std::io::Read;

use serde_json::value::RawValue;

use super::{MAX_ROW_BYTES, RawRow, strict};
use crate::error::{Error, Position, Result};

const CHUNK: usize = 64 * 1024;

/// What surrounds the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Nothing was read yet.
    Unknown,
    /// Objects one after another.
    Sequence,
    /// One array; `after_row` tells whether a comma or the end must follow.
    Array { after_row: bool, first: bool },
    /// The array is closed; only blanks may follow.
    Closed,
}

/// A place in the input, from 1.
#[derive(Debug, Clone, Copy)]
struct Place {
    line: u64,
    column: u64,
}

impl Place {
    fn pass(&mut self, byte: u8) {
        if byte == b'\n' {
            self.line += 1;
            self.column = 1;
        } else if byte & 0xC0 != 0x80 {
            // Continuation bytes of UTF-8 belong to the character before.
            self.column += 1;
        }
    }

    fn after(mut self, text: &[u8]) -> Self {
        for byte in text {
            self.pass(*byte);
        }
        self
    }

    fn error(self, message: impl Into<String>) -> Error {
        Error::invalid(message).with_position(Position::Text { line: self.line, column: self.column })
    }
}

/// Rows of JSON text.
#[derive(Debug)]
pub struct JsonRows<R> {
    input: R,
    chunk: Box<[u8]>,
    buffer: Vec<u8>,
    at: usize,
    end_of_input: bool,
    place: Place,
    shape: Shape,
    index: u64,
    failed: bool,
}

impl<R: Read> JsonRows<R> {
    /// Reads from a stream; nothing is read before the first row is asked for.
    #[must_use]
    pub fn new(input: R) -> Self {
        Self {
            input,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            buffer: Vec::new(),
            at: 0,
            end_of_input: false,
            place: Place { line: 1, column: 1 },
            shape: Shape::Unknown,
            index: 0,
            failed: false,
        }
    }

    /// Reads on; false at the end of the input.
    fn fill(&mut self) -> Result<bool> {
        if self.end_of_input {
            return Ok(false);
        }
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let read = loop {
            match self.input.read(&mut self.chunk) {
                Ok(read) => break read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::local(format!("cannot read the rows: {source}")).with_source(source));
                }
            }
        };
        self.buffer.extend_from_slice(&self.chunk[..read]);
        self.end_of_input = read == 0;
        Ok(read > 0)
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        if self.at >= self.buffer.len() && !self.fill()? {
            return Ok(None);
        }
        Ok(self.buffer.get(self.at).copied())
    }

    fn skip(&mut self) {
        if let Some(byte) = self.buffer.get(self.at) {
            self.place.pass(*byte);
            self.at += 1;
        }
    }

    fn skip_byte_order_mark(&mut self) -> Result<()> {
        while self.buffer.len() < 3 && self.fill()? {}
        if self.buffer.starts_with(b"\xEF\xBB\xBF") {
            self.at = 3;
        }
        Ok(())
    }

    fn next_row(&mut self) -> Result<Option<RawRow>> {
        if self.shape == Shape::Unknown {
            self.skip_byte_order_mark()?;
        }
        loop {
            let Some(byte) = self.peek()? else {
                return match self.shape {
                    Shape::Array { .. } => Err(self.place.error("the input ends inside the array of rows")),
                    _ => Ok(None),
                };
            };
            match (byte, self.shape) {
                (b' ' | b'\t' | b'\r' | b'\n', _) => self.skip(),
                (b'[', Shape::Unknown) => {
                    self.skip();
                    self.shape = Shape::Array { after_row: false, first: true };
                }
                (b',', Shape::Array { after_row: true, .. }) => {
                    self.skip();
                    self.shape = Shape::Array { after_row: false, first: false };
                }
                (b']', Shape::Array { after_row: true, .. } | Shape::Array { first: true, .. }) => {
                    self.skip();
                    self.shape = Shape::Closed;
                }
                (_, Shape::Closed) => return Err(self.place.error("text follows the array of rows")),
                (b'{', Shape::Array { after_row: false, .. }) => {
                    self.shape = Shape::Array { after_row: true, first: false };
                    return self.object().map(Some);
                }
                (b'{', Shape::Unknown | Shape::Sequence) => {
                    self.shape = Shape::Sequence;
                    return self.object().map(Some);
                }
                (_, Shape::Array { after_row: true, .. }) => {
                    return Err(self.place.error("expected a comma or the end of the array"));
                }
                _ => {
                    return Err(self.place.error("a row is a JSON object").with_advice(
                        "Give one JSON object, a JSON array of objects, or one object a line; for CSV say \
                         --format csv",
                    ));
                }
            }
        }
    }

    /// Cuts one object out of the stream and checks it.
    fn object(&mut self) -> Result<RawRow> {
        let mut length = 0;
        let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
        loop {
            if self.at + length >= self.buffer.len() && !self.fill()? {
                let rest = &self.buffer[self.at..];
                return Err(self.place.after(rest).error("the input ends inside a row"));
            }
            let Some(&byte) = self.buffer.get(self.at + length) else { continue };
            length += 1;
            if length > MAX_ROW_BYTES {
                return Err(self
                    .place
                    .error(format!("the row is longer than {} MiB", MAX_ROW_BYTES / (1024 * 1024))));
            }
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => depth += 1,
                b'}' | b']' if !in_text => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
        }
        let bytes = &self.buffer[self.at..self.at + length];
        let text = std::str::from_utf8(bytes).map_err(|fault| {
            self.place.after(&bytes[..fault.valid_up_to()]).error("the text is not UTF-8 here")
        })?;
        let members = strict::checked_members(text)
            .map_err(|fault| self.place.after(&bytes[..fault.offset]).error(fault.message))?
            .into_iter()
            .map(|(name, value): (String, &RawValue)| (name, value.to_owned()))
            .collect();
        let index = self.index;
        self.index += 1;
        self.place = self.place.after(bytes);
        self.at += length;
        Ok(RawRow { index, members })
    }
}

impl<R: Read> Iterator for JsonRows<R> {
    type Item = Result<RawRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_row().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time, so that every cut falls inside something.
    struct Dribble(Vec<u8>, usize);

    impl Read for Dribble {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.len().min(self.1).min(into.len());
            for (to, from) in into.iter_mut().zip(self.0.drain(..count)) {
                *to = from;
            }
            Ok(count)
        }
    }

    fn read(text: &[u8], step: usize) -> Result<Vec<String>> {
        JsonRows::new(Dribble(text.to_vec(), step))
            .map(|row| {
                row.map(|row| {
                    let members: Vec<String> =
                        row.members.iter().map(|(name, value)| format!("{name}={value}")).collect();
                    format!("{}:{}", row.index, members.join(","))
                })
            })
            .collect()
    }

    fn refused(text: &[u8]) -> (u64, u64, String) {
        let error = read(text, 7).expect_err("refused");
        match error.position() {
            Some(Position::Text { line, column }) => (*line, *column, error.message().to_owned()),
            other => panic!("no place in {error}: {other:?}"),
        }
    }

    #[test]
    fn an_object_an_array_and_lines_are_the_same_rows() {
        let wanted = ["0:a=1.10,b=\"x}\\\"]\"", "1:a=123456789012345678901234567890,b={\"c\":[1,2]}"];
        let one = r#"{"a":1.10,"b":"x}\"]"}"#;
        let two = r#"{"a":123456789012345678901234567890,"b":{"c":[1,2]}}"#;
        for step in [1, 2, 3, 5, 1000] {
            for text in [
                format!("{one}\n{two}\n"),
                format!("{one}{two}"),
                format!(" [ {one} ,\r\n{two} ] \n"),
                format!("\u{feff}{one}\n\n{two}"),
            ] {
                assert_eq!(read(text.as_bytes(), step).expect("rows"), wanted, "{text}");
            }
        }
    }

    #[test]
    fn nothing_is_no_row() {
        for text in ["", " \n", "[]", "[ ]\n", "\u{feff}"] {
            assert_eq!(read(text.as_bytes(), 2).expect("no rows"), Vec::<String>::new(), "{text:?}");
        }
    }

    #[test]
    fn faults_name_their_line_and_column() {
        assert_eq!(refused(b"{\"a\":1}\n{\"a\":}\n").0, 2);
        assert_eq!(refused(b"{\"a\":1}\n{\"a\":}\n").1, 6);
        assert_eq!(refused("{\"é\":1,\"é\" 2}".as_bytes()), (1, 12, "expected `:`".to_owned()));
        assert_eq!(refused(b"[{\"a\":1} {\"b\":2}]").1, 10);
        assert_eq!(refused(b"[{\"a\":1},]").1, 10);
        assert_eq!(refused(b"[{\"a\":1}").1, 9);
        assert_eq!(refused(b"[{\"a\":1}] {}").1, 11);
        assert_eq!(refused(b"{\"a\":1}\n7\n").0, 2);
        assert_eq!(refused(b"{\"a\":\"x\n"), (2, 1, "the input ends inside a row".to_owned()));
        assert_eq!(refused(b"{\"a\":\"\xff\"}").1, 7);
        assert_eq!(refused(b"{\"a\":1]").1, 7);
        assert!(refused(br#"{"a":1,"b":{"c":1,"c":2}}"#).2.contains("twice"));
        assert!(refused(br#"{"a":1,"a":2}"#).2.contains("\"a\""));
        assert!(refused(br#"{"a":"\ud800"}"#).2.contains("surrogate"));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(100).as_bytes(), 1000).is_ok());
        assert!(refused(nested(200).as_bytes()).2.contains("deeper"));
        assert!(refused(nested(200_000).as_bytes()).2.contains("deeper"));
    }
}
