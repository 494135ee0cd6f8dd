//! CSV rows: RFC 4180 with a head line of paths.
//!
//! The reader is our own because it must tell an empty field (null) from a quoted empty one (`""`, empty text),
//! which CSV libraries do not report.

use std::io::{BufReader, Read};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{MAX_ROW_BYTES, RawRow, shorten};
use crate::error::{Error, FieldError, Position, Result};
use crate::record::number::Number;
use crate::record::{Field, FieldPath, FieldType, RecordType};

/// One field of a line.
#[derive(Debug, Default, Clone)]
struct Cell {
    text: Vec<u8>,
    quoted: bool,
}

/// Splits CSV text into lines of cells.
#[derive(Debug)]
struct Lines<R> {
    input: BufReader<R>,
    peeked: Option<u8>,
    line: u64,
    column: u64,
}

impl<R: Read> Lines<R> {
    fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(64 * 1024, input), peeked: None, line: 1, column: 1 }
    }

    fn byte(&mut self) -> Result<Option<u8>> {
        if let Some(byte) = self.peeked.take() {
            return Ok(Some(byte));
        }
        let mut one = [0u8];
        loop {
            match self.input.read(&mut one) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(one[0])),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(Error::local(format!("cannot read the rows: {source}")).with_source(source));
                }
            }
        }
    }

    fn next_byte(&mut self) -> Result<Option<u8>> {
        let byte = self.byte()?;
        match byte {
            Some(b'\n') => {
                self.line += 1;
                self.column = 1;
            }
            Some(byte) if byte & 0xC0 != 0x80 => self.column += 1,
            _ => {}
        }
        Ok(byte)
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        if self.peeked.is_none() {
            self.peeked = self.byte()?;
        }
        Ok(self.peeked)
    }

    fn fault(&self, message: impl Into<String>) -> Error {
        Error::invalid(message).with_position(Position::Text { line: self.line, column: self.column })
    }

    /// The next line that is not blank, with the number of its first line.
    fn line(&mut self) -> Result<Option<(u64, Vec<Cell>)>> {
        while let Some(b'\r' | b'\n') = self.peek()? {
            self.next_byte()?;
        }
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let (start, mut bytes) = (self.line, 0usize);
        let mut cells = vec![Cell::default()];
        let mut closed = false;
        loop {
            let byte = self.next_byte()?;
            bytes += 1;
            if bytes > MAX_ROW_BYTES {
                return Err(
                    self.fault(format!("the row is longer than {} MiB", MAX_ROW_BYTES / (1024 * 1024)))
                );
            }
            let Some(cell) = cells.last_mut() else { return Ok(None) };
            match byte {
                None | Some(b'\n') => return Ok(Some((start, cells))),
                Some(b'\r') if self.peek()?.is_none_or(|next| next == b'\n') => {}
                Some(b',') => {
                    closed = false;
                    cells.push(Cell::default());
                }
                Some(b'"') if cell.text.is_empty() && !cell.quoted => {
                    cell.quoted = true;
                    let mut text = Vec::new();
                    loop {
                        match self.next_byte()? {
                            None => return Err(self.fault("the input ends inside a quoted field")),
                            Some(b'"') if self.peek()? == Some(b'"') => {
                                self.next_byte()?;
                                text.push(b'"');
                            }
                            Some(b'"') => break,
                            Some(other) => text.push(other),
                        }
                        bytes += 1;
                        if bytes > MAX_ROW_BYTES {
                            return Err(self.fault("a quoted field does not end"));
                        }
                    }
                    if let Some(cell) = cells.last_mut() {
                        cell.text = text;
                    }
                    closed = true;
                }
                Some(_) if closed => return Err(self.fault("text follows the closing quote of a field")),
                Some(b'"') => return Err(self.fault("a quote stands inside a field that is not quoted")),
                Some(other) => cell.text.push(other),
            }
        }
    }
}

/// What a column holds.
#[derive(Debug)]
enum Column {
    /// `@key` or `@version`.
    Mark(String),
    /// A field or a part of one.
    Path(FieldPath, Option<Box<Field>>),
}

/// Rows of CSV text.
#[derive(Debug)]
pub struct CsvRows<R> {
    lines: Lines<R>,
    record_type: Arc<RecordType>,
    columns: Option<Vec<Column>>,
    raw: bool,
    index: u64,
    failed: bool,
}

impl<R: Read> CsvRows<R> {
    /// Reads from a stream; the record type says what the texts of a column mean.
    #[must_use]
    pub fn new(input: R, record_type: Arc<RecordType>, raw: bool) -> Self {
        Self { lines: Lines::new(input), record_type, columns: None, raw, index: 0, failed: false }
    }

    fn head(&mut self) -> Result<Vec<Column>> {
        let Some((line, cells)) = self.lines.line()? else { return Ok(Vec::new()) };
        let mut columns: Vec<Column> = Vec::with_capacity(cells.len());
        for (at, cell) in cells.into_iter().enumerate() {
            let name = utf8(&cell.text, line)?;
            let name = if at == 0 { name.trim_start_matches('\u{feff}') } else { name }.trim().to_owned();
            let place = Position::Text { line, column: at as u64 + 1 };
            let column = if name.is_empty() {
                return Err(Error::invalid(format!("column {} has no name", at + 1)).with_position(place));
            } else if name.starts_with('@') {
                if !matches!(name.as_str(), "@key" | "@version") {
                    return Err(Error::invalid(format!("{name:?} is no column"))
                        .with_position(place)
                        .with_advice("Beside fields there may be @key and @version"));
                }
                Column::Mark(name)
            } else {
                let path = FieldPath::parse(&name);
                let field = field_at(&self.record_type, &path).cloned();
                Column::Path(path, field.map(Box::new))
            };
            if columns.iter().any(|other| other.name() == column.name()) {
                return Err(Error::invalid(format!("the column {:?} stands twice", column.name()))
                    .with_position(place));
            }
            columns.push(column);
        }
        Ok(columns)
    }

    fn next_row(&mut self) -> Result<Option<RawRow>> {
        if self.columns.is_none() {
            self.columns = Some(self.head()?);
        }
        let Some(columns) = &self.columns else { return Ok(None) };
        let Some((line, cells)) = self.lines.line()? else { return Ok(None) };
        if cells.len() != columns.len() {
            return Err(Error::invalid(format!(
                "the line has {} fields, the head line {}",
                cells.len(),
                columns.len()
            ))
            .with_position(Position::Text { line, column: 1 }));
        }
        let mut members: Vec<(String, Tree)> = Vec::with_capacity(columns.len());
        for (column, cell) in columns.iter().zip(&cells) {
            let text = utf8(&cell.text, line)?;
            let text = if self.raw { text } else { unguarded(text) };
            let empty = text.is_empty() && !cell.quoted;
            match column {
                Column::Mark(_) if empty => {}
                Column::Mark(name) => members.push((name.clone(), Tree::Leaf(json_text(text)?))),
                Column::Path(path, field) => {
                    let value = if empty {
                        "null".to_owned()
                    } else {
                        value_of(text, path, field.as_deref())
                            .map_err(|error| error.with_position(Position::Text { line, column: 1 }))?
                    };
                    insert(&mut members, path.segments(), value);
                }
            }
        }
        let members = members
            .into_iter()
            .map(|(name, tree)| {
                RawValue::from_string(tree.text()).map(|value| (name, value)).map_err(|error| {
                    Error::invalid(format!("a list or object is not JSON: {error}"))
                        .with_position(Position::Text { line, column: 1 })
                })
            })
            .collect::<Result<_>>()?;
        let index = self.index;
        self.index += 1;
        Ok(Some(RawRow { index, members }))
    }
}

impl<R: Read> Iterator for CsvRows<R> {
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

impl Column {
    fn name(&self) -> String {
        match self {
            Self::Mark(name) => name.clone(),
            Self::Path(path, _) => path.to_string(),
        }
    }
}

/// The field at the end of a path through objects of the type.
fn field_at<'a>(record_type: &'a RecordType, path: &FieldPath) -> Option<&'a Field> {
    let (first, rest) = path.segments().split_first()?;
    let mut field = record_type.field(first)?;
    for name in rest {
        let FieldType::Object { fields } = &field.field_type else { return None };
        field = fields.iter().find(|field| field.name == *name)?;
    }
    Some(field)
}

/// Nested objects that dotted heads spell out.
#[derive(Debug)]
enum Tree {
    Leaf(String),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// An object of nothing but nulls is null.
    fn is_null(&self) -> bool {
        match self {
            Self::Leaf(text) => text == "null",
            Self::Object(members) => members.iter().all(|(_, member)| member.is_null()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Leaf(text) => text.clone(),
            Self::Object(_) if self.is_null() => "null".to_owned(),
            Self::Object(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, member)| {
                        format!("{}:{}", serde_json::Value::from(name.as_str()), member.text())
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}

fn insert(members: &mut Vec<(String, Tree)>, path: &[String], value: String) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        members.push((first.clone(), Tree::Leaf(value)));
        return;
    }
    let found = members.iter_mut().find_map(|(name, tree)| match tree {
        Tree::Object(inner) if name == first => Some(inner),
        _ => None,
    });
    match found {
        Some(inner) => insert(inner, rest, value),
        None => {
            let mut inner = Vec::new();
            insert(&mut inner, rest, value);
            members.push((first.clone(), Tree::Object(inner)));
        }
    }
}

fn utf8(bytes: &[u8], line: u64) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| {
        Error::invalid("the text is not UTF-8 here")
            .with_position(Position::Text { line, column: 1 })
            .with_advice("Save the file as UTF-8")
    })
}

/// Takes off the apostrophe that guards spreadsheets from formulas.
fn unguarded(text: &str) -> &str {
    match text.strip_prefix('\'') {
        Some(rest) if rest.starts_with(GUARDED) => rest,
        _ => text,
    }
}

/// First characters that a spreadsheet would take for a formula.
pub const GUARDED: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

fn json_text(text: &str) -> Result<String> {
    serde_json::to_string(text)
        .map_err(|error| Error::bug("a text cannot be written as JSON").with_source(error))
}

/// The JSON text of a cell, by the type of its field; a field that is not known is taken as text, so that the
/// check of the row names it.
fn value_of(text: &str, path: &FieldPath, field: Option<&Field>) -> Result<String> {
    let refuse = |accepted: &str| {
        Err(Error::invalid(format!("{:?} does not fit the column {path}", shorten(text))).with_field_error(
            FieldError {
                field: path.to_string(),
                message: format!("takes {accepted}"),
                accepted: Vec::new(),
            },
        ))
    };
    match field.map(|field| &field.field_type) {
        Some(FieldType::Boolean) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => refuse("true or false"),
        },
        Some(FieldType::Integer { .. } | FieldType::Decimal { .. }) => {
            number(text).map_or_else(|| refuse("a number such as 12.50"), Ok)
        }
        Some(FieldType::Picklist(picklist)) if picklist.integer => {
            number(text).map_or_else(|| refuse("a whole number"), Ok)
        }
        Some(FieldType::MultiPicklist { .. } | FieldType::List { .. }) => {
            if text.trim_start().starts_with(['[', '{']) {
                Ok(text.to_owned())
            } else {
                refuse("a list as JSON text, such as [\"a\",\"b\"]")
            }
        }
        Some(FieldType::Object { .. }) => {
            if text.trim_start().starts_with('{') {
                Ok(text.to_owned())
            } else {
                refuse("an object as JSON text")
            }
        }
        _ => json_text(text),
    }
}

/// A number in JSON's own form, digits as written.
fn number(text: &str) -> Option<String> {
    let text = text.trim();
    let plain = !text.starts_with('+') && Number::parse(text).is_some();
    (plain && RawValue::from_string(text.to_owned()).is_ok()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::record_type::{ListWire, Picklist};
    use crate::record::{Capability, KeyFields, TypeName};

    fn record_type() -> Arc<RecordType> {
        Arc::new(RecordType {
            name: TypeName::new("Thing"),
            provider: "test".to_owned(),
            label: "Thing".to_owned(),
            label_plural: "Things".to_owned(),
            description: None,
            custom: false,
            fields: vec![
                Field::new("Id", FieldType::text(18)),
                Field::new("Name", FieldType::text(80)),
                Field::new("Amount", FieldType::Decimal { precision: None, scale: None }),
                Field::new("Open", FieldType::Boolean),
                Field::new(
                    "Tags",
                    FieldType::MultiPicklist { picklist: Picklist::default(), wire: ListWire::Semicolon },
                ),
                Field::new(
                    "Place",
                    FieldType::Object {
                        fields: vec![
                            Field::new("city", FieldType::text(80)),
                            Field::new("floor", FieldType::Integer { minimum: None, maximum: None }),
                        ],
                    },
                ),
            ],
            key: KeyFields::single("Id"),
            alternate_keys: Vec::new(),
            relationships: Vec::new(),
            capability: Capability::default(),
        })
    }

    fn read(text: &str) -> Result<Vec<String>> {
        CsvRows::new(std::io::Cursor::new(text.as_bytes().to_vec()), record_type(), false)
            .map(|row| {
                row.map(|row| {
                    row.members
                        .iter()
                        .map(|(name, value)| format!("{name}={value}"))
                        .collect::<Vec<_>>()
                        .join(";")
                })
            })
            .collect()
    }

    #[test]
    fn cells_become_json_by_their_field() {
        let text = "\u{feff}@key,Name,Amount,Open,Tags,Place.city,Place.floor\r\n\
            a,\"Say \"\"hi\"\",\nthere\",12.50,TRUE,\"[\"\"x\"\"]\",Brno,3\r\n\
            b,,,,,,\r\n\
            c,\"\",123456789012345678901234567890,false,[],,\r\n";
        assert_eq!(
            read(text).expect("rows"),
            [
                r#"@key="a";Name="Say \"hi\",\nthere";Amount=12.50;Open=true;Tags=["x"];Place={"city":"Brno","floor":3}"#,
                r#"@key="b";Name=null;Amount=null;Open=null;Tags=null;Place=null"#,
                r#"@key="c";Name="";Amount=123456789012345678901234567890;Open=false;Tags=[];Place=null"#,
            ]
        );
    }

    #[test]
    fn the_guard_of_spreadsheets_is_taken_off() {
        assert_eq!(read("Name\n'=1+1\n").expect("rows"), [r#"Name="=1+1""#]);
        assert_eq!(read("Name\n'tis\n").expect("rows"), [r#"Name="'tis""#]);
    }

    #[test]
    fn faults_name_their_line() {
        for (text, line) in [
            ("Name,Amount\na\n", 2),
            ("Name,Amount\na,1\nb,twelve\n", 3),
            ("Name\n\"a\n", 3),
            ("Name\n\"a\"b\n", 2),
            ("Name\na\"b\n", 2),
            ("Name,Name\na,b\n", 1),
            ("@etag\na\n", 1),
            ("Open\nyes\n", 2),
            ("Tags\na;b\n", 2),
            ("Amount\n+5\n", 2),
        ] {
            let error = read(text).expect_err(text);
            assert!(
                matches!(error.position(), Some(Position::Text { line: found, .. }) if *found == line),
                "{text:?}: {error}"
            );
        }
    }

    #[test]
    fn a_head_alone_has_no_rows() {
        assert_eq!(read("Name,Amount\n").expect("no rows"), Vec::<String>::new());
        assert_eq!(read("").expect("no rows"), Vec::<String>::new());
    }
}
