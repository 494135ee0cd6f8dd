//! Keys: what identifies a record, and how a key is written as text.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// The fields that together identify a record, in the order of the key schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyFields(pub Vec<String>);

impl KeyFields {
    /// A key of one field.
    #[must_use]
    pub fn single(field: impl Into<String>) -> Self {
        Self(vec![field.into()])
    }

    /// A key of several fields.
    #[must_use]
    pub fn of(fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(fields.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for KeyFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyPart {
    /// Text, the usual case.
    Text(String),
    /// A whole number.
    Integer(i64),
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
        }
    }
}

/// A record's key: one value for each of its [`KeyFields`].
///
/// As text ([`fmt::Display`], [`Key::parse`]) it is the bare value when the key has one field, else a compact
/// JSON array in the order of the key schema. As JSON it is that value or array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<KeyPart>);

impl Key {
    /// A key of one text field.
    #[must_use]
    pub fn text(value: impl Into<String>) -> Self {
        Self(vec![KeyPart::Text(value.into())])
    }

    /// A key of several parts, in the order of the key schema.
    #[must_use]
    pub fn of(parts: Vec<KeyPart>) -> Self {
        Self(parts)
    }

    /// The parts in the order of the key schema.
    #[must_use]
    pub fn parts(&self) -> &[KeyPart] {
        &self.0
    }

    /// Reads the text form for a key of these fields. For several fields a JSON array or an object with the
    /// field names is accepted; for one field an object with that name too.
    ///
    /// # Errors
    /// Invalid when parts are missing, empty or not scalar.
    pub fn parse(text: &str, fields: &KeyFields) -> Result<Self> {
        let structured = text.starts_with('{') || (fields.0.len() > 1 && text.starts_with('['));
        if structured && let Ok(value) = serde_json::from_str::<Value>(text) {
            return Self::from_json(&value, fields);
        }
        if fields.0.len() == 1 {
            return Self::from_json(&Value::String(text.to_owned()), fields);
        }
        Err(Error::invalid(format!("the key {text:?} needs {} parts", fields.0.len()))
            .with_advice(format!("Write it as a JSON array in the order {fields}")))
    }

    /// Reads the JSON form: a scalar for one field, an array, or an object with the field names.
    ///
    /// # Errors
    /// Invalid when parts are missing, empty or not scalar.
    pub fn from_json(value: &Value, fields: &KeyFields) -> Result<Self> {
        let part = |field: &str, value: &Value| match value {
            Value::String(text) if !text.is_empty() => Ok(KeyPart::Text(text.clone())),
            Value::Number(number) if number.is_i64() => {
                Ok(KeyPart::Integer(number.as_i64().unwrap_or_default()))
            }
            other => Err(Error::invalid(format!("{other} cannot be a key"))
                .with_field(field, "a key part is a non-empty text or a whole number")),
        };
        let parts = match value {
            Value::Array(items) if items.len() == fields.0.len() => fields
                .0
                .iter()
                .zip(items)
                .map(|(field, item)| part(field, item))
                .collect::<Result<Vec<_>>>()?,
            Value::Object(members) if members.len() == fields.0.len() => fields
                .0
                .iter()
                .map(|field| part(field, members.get(field).unwrap_or(&Value::Null)))
                .collect::<Result<Vec<_>>>()?,
            scalar if fields.0.len() == 1 => vec![part(&fields.0[0], scalar)?],
            _ => {
                return Err(Error::invalid(format!("the key needs the parts {fields}"))
                    .with_advice("Write it as a JSON array in that order or as an object with those names"));
            }
        };
        Ok(Self(parts))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [single] => single.fmt(f),
            parts => f.write_str(&serde_json::to_string(parts).unwrap_or_default()),
        }
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [single] => single.serialize(serializer),
            parts => parts.serialize(serializer),
        }
    }
}
