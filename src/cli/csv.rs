//! Records as CSV: RFC 4180, one column for each leaf path.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::provider::Resolved;
use crate::record::{Field, FieldPath, FieldType, Record};
use crate::rows::csv::GUARDED;

/// The leaf paths of a selection, in order; of the whole type when nothing is selected.
pub(crate) fn leaf_paths(select: &[FieldPath], resolved: &Resolved) -> Vec<FieldPath> {
    let mut leaves = Vec::new();
    if select.is_empty() {
        for field in &resolved.record_type.fields {
            push_leaves(FieldPath::of([field.name.as_str()]), field, &mut leaves);
            if let FieldType::Reference(reference) = &field.field_type
                && let Some(type_field) = &reference.type_field
                && resolved.record_type.field(type_field).is_none()
            {
                leaves.push(FieldPath::of([type_field.as_str()]));
            }
        }
    }
    for path in select {
        match resolved.field(path) {
            Some(field) => push_leaves(path.clone(), field, &mut leaves),
            None => leaves.push(path.clone()),
        }
    }
    leaves
}

fn push_leaves(path: FieldPath, field: &Field, leaves: &mut Vec<FieldPath>) {
    match &field.field_type {
        FieldType::Object { fields } if !fields.is_empty() => {
            for part in fields {
                let below = path.segments().iter().map(String::as_str).chain([part.name.as_str()]);
                push_leaves(FieldPath::of(below), part, leaves);
            }
        }
        _ => leaves.push(path),
    }
}

/// What stands at the end of a path in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// Null or absent.
    Null,
    /// A text, unescaped.
    Text(String),
    /// Anything else as its JSON text, digits as they came.
    Json(String),
}

/// The values of a record at these paths.
///
/// # Errors
/// When the record is not JSON, which would be a defect of its provider.
pub(crate) fn leaves(record: &Record, paths: &[FieldPath]) -> Result<Vec<Leaf>> {
    let members = members(record.text())?;
    paths.iter().map(|path| leaf(&members, path.segments())).collect()
}

fn members(text: &str) -> Result<HashMap<String, &RawValue>> {
    serde_json::from_str(text)
        .map_err(|source| Error::bug("a record is not a valid JSON object").with_source(source))
}

fn leaf(found: &HashMap<String, &RawValue>, path: &[String]) -> Result<Leaf> {
    let Some((first, rest)) = path.split_first() else { return Ok(Leaf::Null) };
    let Some(value) = found.get(first) else { return Ok(Leaf::Null) };
    let text = value.get();
    if text == "null" {
        return Ok(Leaf::Null);
    }
    if !rest.is_empty() {
        return if text.starts_with('{') { leaf(&members(text)?, rest) } else { Ok(Leaf::Null) };
    }
    if text.starts_with('"') {
        return serde_json::from_str(text)
            .map(Leaf::Text)
            .map_err(|source| Error::bug("a text of a record is not valid JSON").with_source(source));
    }
    Ok(Leaf::Json(text.to_owned()))
}

/// One line with its end.
pub(crate) fn line(cells: &[Leaf], raw: bool) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| match cell {
            Leaf::Null => String::new(),
            Leaf::Text(text) if text.is_empty() => "\"\"".to_owned(),
            Leaf::Text(text) if !raw && text.starts_with(GUARDED) => quoted(&format!("'{text}")),
            Leaf::Text(text) | Leaf::Json(text) => quoted(text),
        })
        .collect();
    format!("{}\r\n", cells.join(","))
}

/// A cell, quoted where RFC 4180 wants it.
pub(crate) fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    #[test]
    fn cells_keep_null_empty_and_digits_apart() {
        let record = Record {
            key: Key::text("1"),
            version: None,
            json: bytes::Bytes::from_static(
                br#"{"A":null,"B":"","C":1.10,"D":"=1","E":"x,\"y\"\n","F":["a"],"G":{"H":12345678901234567890},"I":-5}"#,
            ),
        };
        let paths: Vec<FieldPath> =
            ["A", "B", "C", "D", "E", "F", "G.H", "G.X", "Z", "I"].map(FieldPath::parse).to_vec();
        let cells = leaves(&record, &paths).expect("cells");
        let rest = ",\"x,\"\"y\"\"\n\",\"[\"\"a\"\"]\",12345678901234567890,,,-5\r\n";
        assert_eq!(line(&cells, false), format!(",\"\",1.10,'=1{rest}"));
        assert_eq!(line(&cells, true), format!(",\"\",1.10,=1{rest}"));
    }
}
