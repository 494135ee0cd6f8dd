//! Request bodies as trees that keep number text as it was written.

use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

const DEEPEST: usize = 64;

/// A JSON value; numbers are text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole body.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Fault> {
        let raw: &RawValue = serde_json::from_slice(body)
            .map_err(|error| Fault { empty: body.is_empty(), ..Fault::from(error) })?;
        tree(raw, 0)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// A member by name in any case.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Self::Boolean(true))
            || self.as_text().is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// What the service calls a value of this kind.
    pub(crate) fn token(&self) -> &'static str {
        match self {
            Self::Null => "VALUE_NULL",
            Self::Boolean(true) => "VALUE_TRUE",
            Self::Boolean(false) => "VALUE_FALSE",
            Self::Number(text) if text.contains(['.', 'e', 'E']) => "VALUE_NUMBER_FLOAT",
            Self::Number(_) => "VALUE_NUMBER_INT",
            Self::Text(_) => "VALUE_STRING",
            Self::List(_) => "START_ARRAY",
            Self::Object(_) => "START_OBJECT",
        }
    }

    /// The value as messages show it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(on) => on.to_string(),
            Self::Number(text) | Self::Text(text) => text.clone(),
            Self::List(_) => "[".to_owned(),
            Self::Object(_) => "{".to_owned(),
        }
    }

    /// The JSON text again, with numbers as they were.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(on) => out.push_str(if *on { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => write_string(text, out),
            Self::List(list) => {
                out.push('[');
                for (number, value) in list.iter().enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (number, (key, value)) in members.iter().enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    write_string(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Why a body is no JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// Whether there was no body at all.
    pub(crate) empty: bool,
    /// What the parser says, without the place.
    pub(crate) reason: String,
    /// Where; `None` when the fault is not in one place.
    pub(crate) at: Option<(usize, usize)>,
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or_default().to_owned();
        Self { empty: false, reason, at: Some((error.line(), error.column())) }
    }
}

/// Appends a JSON string.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let bytes = text.as_bytes();
    let mut from = 0;
    // All that the emulator tells goes through here: counting is many times quicker than an iterator where the
    // compiler does not optimise.
    let mut next = 0;
    while next < bytes.len() {
        let (at, byte) = (next, bytes[next]);
        next += 1;
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            _ => "",
        };
        out.push_str(&text[from..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        from = at + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn tree(raw: &RawValue, depth: usize) -> Result<Json, Fault> {
    if depth > DEEPEST {
        let reason = format!("Nesting is deeper than {DEEPEST} levels");
        return Err(Fault { empty: false, reason, at: None });
    }
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text)?;
            let members = members.into_iter().map(|(key, value)| Ok((key, tree(value, depth + 1)?)));
            Json::Object(members.collect::<Result<_, Fault>>()?)
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text)?;
            Json::List(values.into_iter().map(|value| tree(value, depth + 1)).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Json::Text(serde_json::from_str(text)?),
        Some(b't') => Json::Boolean(true),
        Some(b'f') => Json::Boolean(false),
        Some(b'n') | None => Json::Null,
        Some(_) => Json::Number(text.to_owned()),
    })
}
