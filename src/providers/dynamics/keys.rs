//! Keys of records: as parts of an address, and as conditions of a query.

use super::{Described, odata};
use crate::error::{Error, ErrorKind, Result};
use crate::record::number::Number;
use crate::record::record_type::{Field, FieldType, TextForm};
use crate::record::{Key, KeyFields, KeyPart};

/// A key, read against its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Column and literal of each part.
    parts: Vec<(String, String)>,
    /// Whether every text in it can stand in an address.
    pub(super) fits: bool,
}

impl Address {
    /// As the key of an address: `accounts(name='A')` without the set. For the primary key the bare id.
    pub(super) fn predicate(&self, id: &str) -> String {
        match self.parts.as_slice() {
            [(column, literal)] if column == id => literal.clone(),
            parts => parts
                .iter()
                .map(|(column, literal)| format!("{column}={}", super::api::encode(literal)))
                .collect::<Vec<_>>()
                .join(","),
        }
    }

    /// As a condition.
    pub(super) fn condition(&self) -> String {
        let each: Vec<String> =
            self.parts.iter().map(|(column, literal)| format!("{column} eq {literal}")).collect();
        each.join(" and ")
    }
}

/// Reads a key.
///
/// # Errors
/// `NotFound` for a text that is no record id, Invalid for a value that its column cannot hold.
pub(super) fn address(described: &Described, by: &KeyFields, key: &Key) -> Result<Address> {
    let record_type = &described.record_type;
    if key.parts().len() != by.0.len() {
        return Err(Error::invalid(format!(
            "a key of {} by {by} has {} parts",
            record_type.name,
            by.0.len()
        )));
    }
    let mut fits = true;
    let mut parts = Vec::with_capacity(by.0.len());
    for (name, part) in by.0.iter().zip(key.parts()) {
        let field = record_type
            .field(name)
            .ok_or_else(|| Error::invalid(format!("{} has no column {name:?}", record_type.name)))?;
        let literal = literal(field, part)?;
        if literal.starts_with('\'') {
            fits &= odata::fits_address(&literal);
        }
        parts.push((field.wire().to_owned(), literal));
    }
    Ok(Address { parts, fits })
}

/// The record id that a primary key holds.
///
/// # Errors
/// `NotFound` when it holds none.
pub(super) fn id_of(key: &Key) -> Result<String> {
    let text = key.to_string();
    odata::canonical_guid(&text).ok_or_else(|| no_id(&text))
}

pub(super) fn no_id(text: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{text:?} is no record id"))
        .with_code("not_an_id")
        .with_advice("A record id looks like 78914942-34cb-ed11-b596-0022481d68cd")
}

fn literal(field: &Field, part: &KeyPart) -> Result<String> {
    let text = part.to_string();
    let wrong = |form: &str| {
        Error::invalid(format!("{text:?} is not a value of {}", field.name))
            .with_field(field.name.as_str(), form)
    };
    match &field.field_type {
        FieldType::Text { form: TextForm::Id, .. } | FieldType::Reference(_) => {
            odata::canonical_guid(&text).ok_or_else(|| no_id(&text))
        }
        FieldType::Picklist(_) | FieldType::Integer { .. } => Number::parse(&text)
            .and_then(|number| odata::int32(&number))
            .ok_or_else(|| wrong("a whole number")),
        FieldType::Int64 => Number::parse(&text)
            .and_then(|number| odata::int64(&number))
            .ok_or_else(|| wrong("a whole number")),
        FieldType::Decimal { .. } => {
            Number::parse(&text).and_then(|number| odata::number(&number)).ok_or_else(|| wrong("a number"))
        }
        FieldType::Date => {
            text.parse().ok().and_then(odata::date).ok_or_else(|| wrong("a date such as 2026-01-31"))
        }
        FieldType::Instant => text
            .parse()
            .ok()
            .and_then(odata::second)
            .filter(|(_, whole)| *whole)
            .map(|(literal, _)| literal)
            .ok_or_else(|| wrong("an instant such as 2026-01-31T09:30:00Z")),
        _ => Ok(odata::quoted(&text)),
    }
}
