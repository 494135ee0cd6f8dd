//! Rows in: what users and programs hand over to be created, updated, upserted or deleted.
//!
//! Input is one JSON object, a JSON array of objects, NDJSON or CSV, read as a stream: one row at a time is in
//! memory. Number text is kept exactly. Text that is not well-formed ends the reading with its line and
//! column; a row that is well-formed but does not say which record it means is one failed row.

pub mod csv;
pub mod json;
mod strict;

use std::io::Read;

use serde_json::value::RawValue;

use crate::error::{Error, Position, Result};
use crate::provider::{Change, Edit, Edits, NewRow, VersionedKey};
use crate::record::{Key, KeyFields, RecordType};

/// Longest single row, in bytes.
pub const MAX_ROW_BYTES: usize = 256 * 1024 * 1024;

/// Deepest nesting of a row.
pub const MAX_DEPTH: usize = 128;

/// How the input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    /// A JSON object, an array of objects, or objects one after another (NDJSON).
    Json,
    /// CSV with a head line (RFC 4180).
    Csv,
}

/// One row as it was written: members in order, not yet taken apart.
#[derive(Debug)]
pub struct RawRow {
    /// Place in the input, from 0.
    pub index: u64,
    /// Values by property; a list change is still an object with `@add` and `@remove`.
    pub members: Vec<(String, Box<RawValue>)>,
}

/// Reads rows one by one.
pub struct RowReader<'a> {
    rows: Box<dyn Iterator<Item = Result<RawRow>> + Send + 'a>,
    any: bool,
    ended: bool,
}

impl std::fmt::Debug for RowReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowReader")
            .field("any", &self.any)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<'a> RowReader<'a> {
    /// Reads rows in a format. CSV texts become JSON by the fields of the record type; `csv_raw` keeps the
    /// apostrophe that guards spreadsheets.
    #[must_use]
    pub fn new(
        input: impl Read + Send + 'a,
        format: RowFormat,
        record_type: &std::sync::Arc<RecordType>,
        csv_raw: bool,
    ) -> Self {
        let rows: Box<dyn Iterator<Item = Result<RawRow>> + Send + 'a> = match format {
            RowFormat::Json => Box::new(json::JsonRows::new(input)),
            RowFormat::Csv => Box::new(csv::CsvRows::new(input, std::sync::Arc::clone(record_type), csv_raw)),
        };
        Self { rows, any: false, ended: false }
    }
}

impl Iterator for RowReader<'_> {
    type Item = Result<RawRow>;

    /// The next row. Input without any row is an error, not an empty success.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.rows.next();
        match &next {
            Some(Ok(_)) => self.any = true,
            Some(Err(_)) => self.ended = true,
            None => {
                self.ended = true;
                if !self.any {
                    return Some(Err(Error::invalid("the input has no rows").with_advice(
                        "Give one JSON object, a JSON array, NDJSON or CSV with at least one row",
                    )));
                }
            }
        }
        next
    }
}

/// A row taken apart: which record it means and what happens to its fields.
#[derive(Debug)]
struct Parts {
    key: Option<Key>,
    version: Option<String>,
    edits: Edits,
}

impl RawRow {
    /// Reads one row from the text of a JSON object.
    ///
    /// # Errors
    /// Invalid, when the text is no such object, a name stands twice, or a text holds what is no character.
    pub fn parse(text: &str, index: u64) -> Result<Self> {
        let members = strict::checked_members(text)
            .map_err(|fault| at_row(Error::invalid(fault.message), index))?
            .into_iter()
            .map(|(name, value): (String, &RawValue)| (name, value.to_owned()))
            .collect();
        Ok(Self { index, members })
    }

    /// The row as the record that it is: its JSON without what begins with `@`, and its key's text when it says
    /// one, by `@key` or by the key's own field.
    #[must_use]
    pub fn into_record(self, record_type: &RecordType) -> (String, Option<String>) {
        let text = |value: &RawValue| {
            serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
        };
        let mut key = None;
        let mut json = String::from("{");
        for (name, value) in &self.members {
            if name == "@key" && value.get() != "null" {
                key = Some(text(value));
            }
            if name.starts_with('@') {
                continue;
            }
            if record_type.key.0.as_slice() == std::slice::from_ref(name) && value.get() != "null" {
                key.get_or_insert_with(|| text(value));
            }
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(&serde_json::Value::from(name.as_str()).to_string());
            json.push(':');
            json.push_str(value.get());
        }
        json.push('}');
        (json, key)
    }

    /// The row as a record to create. Nulls are left out: there is nothing to clear.
    ///
    /// # Errors
    /// Invalid when it carries `@key` or `@version`, or another name with `@`.
    pub fn into_new(self) -> Result<NewRow> {
        let parts = self.take_apart(None)?;
        let fields = parts.edits.into_iter().filter(|(_, edit)| !matches!(edit, Edit::Clear)).collect();
        Ok(NewRow { fields, marker: None })
    }

    /// The row as a change of the record with its key (`@key`, or the key's own fields).
    ///
    /// # Errors
    /// Invalid when the key is missing, contradicts itself or cannot be one.
    pub fn into_change(self, by: &KeyFields) -> Result<Change> {
        let index = self.index;
        let parts = self.take_apart(Some(by))?;
        let key = parts.key.ok_or_else(|| missing_key(by, index))?;
        Ok(Change { key, edits: parts.edits, if_version: parts.version })
    }

    /// The row as a key to delete; other fields are left aside.
    ///
    /// # Errors
    /// As for [`into_change`](Self::into_change).
    pub fn into_key(self, by: &KeyFields) -> Result<VersionedKey> {
        let index = self.index;
        let parts = self.take_apart(Some(by))?;
        let key = parts.key.ok_or_else(|| missing_key(by, index))?;
        Ok(VersionedKey { key, if_version: parts.version })
    }

    fn take_apart(self, by: Option<&KeyFields>) -> Result<Parts> {
        let index = self.index;
        let mut parts = Parts { key: None, version: None, edits: Edits::new() };
        let mut own: Vec<(String, serde_json::Value)> = Vec::new();
        for (name, value) in self.members {
            let located = |error| at_row(error, index);
            match (name.as_str(), by) {
                ("@key" | "@version", None) => {
                    return Err(located(
                        Error::invalid("a row to create has no @key and no @version")
                            .with_advice("Leave them out, or use update or upsert"),
                    ));
                }
                ("@key", Some(by)) => {
                    let key = match small_value(&value).map_err(located)? {
                        // A key travels as text everywhere; an array or object may also stand as such.
                        serde_json::Value::String(text) => Key::parse(&text, by),
                        other => Key::from_json(&other, by),
                    };
                    parts.key = Some(key.map_err(located)?);
                }
                ("@version", Some(_)) => match small_value(&value).map_err(located)? {
                    serde_json::Value::String(version) => parts.version = Some(version),
                    serde_json::Value::Null => {}
                    other => return Err(located(Error::invalid(format!("@version is a text, not {other}")))),
                },
                (special, _) if special.starts_with('@') => {
                    return Err(located(
                        Error::invalid(format!("{special:?} means nothing in a row"))
                            .with_advice("Beside its fields a row may have @key and @version"),
                    ));
                }
                (field, Some(by)) if by.0.iter().any(|key| key == field) => {
                    own.push((name, small_value(&value).map_err(located)?));
                }
                _ => {
                    let edit = edit_of(value)
                        .map_err(|error| located(error.with_field(name.as_str(), "this change of a list")))?;
                    parts.edits.push((name, edit));
                }
            }
        }
        if let Some(by) = by.filter(|_| !own.is_empty()) {
            parts.key = Some(own_key(by, own, parts.key.take()).map_err(|error| at_row(error, index))?);
        }
        Ok(parts)
    }
}

/// The key that the row's own fields spell, which must be the one of `@key` when both are there.
fn own_key(by: &KeyFields, own: Vec<(String, serde_json::Value)>, given: Option<Key>) -> Result<Key> {
    let complete = own.len() == by.0.len();
    if let Some(given) = given {
        let same = own.iter().all(|(field, value)| {
            let part = by.0.iter().position(|name| name == field).and_then(|at| given.parts().get(at));
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            part.is_some_and(|part| part.to_string() == value)
        });
        return if same {
            Ok(given)
        } else {
            Err(Error::invalid(format!("@key and the row's own {by} name different records"))
                .with_advice("Leave one of them out"))
        };
    }
    if !complete {
        return Err(Error::invalid(format!("the row has only a part of its key {by}")));
    }
    let members: serde_json::Map<String, serde_json::Value> = own.into_iter().collect();
    Key::from_json(&serde_json::Value::Object(members), by)
}

fn missing_key(by: &KeyFields, index: u64) -> Error {
    at_row(
        Error::invalid("the row does not say which record it means")
            .with_advice(format!("Add \"@key\", or the key's own fields: {by}")),
        index,
    )
}

fn at_row(error: Error, index: u64) -> Error {
    error.with_position(Position::Row(index))
}

/// A key or version as a tree; these hold no numbers beyond 64 bits.
fn small_value(raw: &RawValue) -> Result<serde_json::Value> {
    serde_json::from_str(raw.get())
        .map_err(|_| Error::invalid(format!("{} cannot be a key or version", shorten(raw.get()))))
}

fn edit_of(raw: Box<RawValue>) -> Result<Edit> {
    let text = raw.get();
    if text == "null" {
        return Ok(Edit::Clear);
    }
    if text.starts_with('{') && text.contains("\"@") {
        let members = strict::members(text)?;
        if members.iter().any(|(name, _)| name.starts_with('@')) {
            return list_edit(&members);
        }
    }
    Ok(Edit::Set(raw))
}

fn list_edit(members: &[(String, &RawValue)]) -> Result<Edit> {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for (name, value) in members {
        let place = match name.as_str() {
            "@add" => &mut add,
            "@remove" => &mut remove,
            other => {
                return Err(Error::invalid(format!("{other:?} is no change of a list"))
                    .with_advice("Write {\"@add\":[...],\"@remove\":[...]}"));
            }
        };
        *place = serde_json::from_str(value.get())
            .map_err(|_| Error::invalid(format!("{name} takes a list, not {}", shorten(value.get()))))?;
    }
    Ok(Edit::List { add, remove })
}

/// The beginning of a text, for messages.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<RawRow> {
        json::JsonRows::new(std::io::Cursor::new(text.to_owned())).collect::<Result<_>>().expect("rows")
    }

    fn change(text: &str) -> Result<Change> {
        rows(text).remove(0).into_change(&KeyFields::single("Id"))
    }

    #[test]
    fn a_key_stands_in_the_row_or_in_its_own_fields() {
        let key = |text: &str| change(text).map(|change| change.key.to_string());
        assert_eq!(key(r#"{"@key":"a","X":1}"#).ok().as_deref(), Some("a"));
        assert_eq!(key(r#"{"Id":"a","X":1}"#).ok().as_deref(), Some("a"));
        assert_eq!(key(r#"{"Id":"a","@key":"a"}"#).ok().as_deref(), Some("a"));
        assert!(key(r#"{"Id":"a","@key":"b"}"#).is_err());
        assert!(key(r#"{"X":1}"#).is_err());
        assert!(key(r#"{"Id":"","X":1}"#).is_err());
    }

    #[test]
    fn key_fields_are_not_written() {
        let change = change(r#"{"Id":"a","X":1}"#).expect("a change");
        assert_eq!(change.edits.len(), 1);
        assert_eq!(change.edits[0].0, "X");
    }

    #[test]
    fn a_key_of_two_parts_is_an_array_its_text_or_two_fields() {
        let by = KeyFields::of(["calendar_id", "id"]);
        for text in [
            r#"{"@key":["c","e"]}"#,
            r#"{"@key":"[\"c\",\"e\"]"}"#,
            r#"{"@key":{"id":"e","calendar_id":"c"}}"#,
            r#"{"id":"e","calendar_id":"c"}"#,
        ] {
            let key = rows(text).remove(0).into_key(&by).expect("a key").key;
            assert_eq!(key.to_string(), r#"["c","e"]"#, "{text}");
        }
    }

    #[test]
    fn three_states_are_kept_apart() {
        let change =
            change(r#"{"@key":"a","S":"x","N":null,"L":{"@add":["p"],"@remove":[]}}"#).expect("a change");
        let kinds: Vec<&str> = change
            .edits
            .iter()
            .map(|(_, edit)| match edit {
                Edit::Set(_) => "set",
                Edit::Clear => "clear",
                Edit::List { .. } => "list",
            })
            .collect();
        assert_eq!(kinds, ["set", "clear", "list"]);
    }

    #[test]
    fn unknown_marks_are_refused() {
        assert!(change(r#"{"@key":"a","@etag":"x"}"#).is_err());
        assert!(change(r#"{"@key":"a","L":{"@append":["p"]}}"#).is_err());
        assert!(change(r#"{"@key":"a","L":{"@add":"p"}}"#).is_err());
        assert!(rows(r#"{"@key":"a"}"#).remove(0).into_new().is_err());
    }

    #[test]
    fn nulls_of_a_new_row_are_absent() {
        let row = rows(r#"{"A":null,"B":"","C":1e400}"#).remove(0).into_new().expect("a row");
        let names: Vec<&str> = row.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["B", "C"]);
        assert!(matches!(&row.fields[1].1, Edit::Set(raw) if raw.get() == "1e400"));
    }
}
