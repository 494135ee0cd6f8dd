//! JSON that stands in a mapping and is kept as it was written: numbers keep their digits.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;
use serde_json::value::RawValue;

/// Any JSON value, as its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Literal(Box<RawValue>);

impl Literal {
    /// A literal of JSON text; `None` when the text is not JSON.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// The same without blanks between its parts, so that it stands in one line.
    #[must_use]
    pub fn compacted(&self) -> Self {
        Self::parse(&compact(self.text())).unwrap_or_else(|| self.clone())
    }

    /// As a tree. For what holds no numbers beyond 64 bits: queries, options.
    #[must_use]
    pub fn tree(&self) -> Json {
        serde_json::from_str(self.text()).unwrap_or(Json::Null)
    }
}

impl From<&Json> for Literal {
    fn from(value: &Json) -> Self {
        // A tree can always be written.
        Self(RawValue::from_string(value.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl PartialEq for Literal {
    /// The same text, but for blanks between its parts.
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() || compact(self.text()) == compact(other.text())
    }
}

/// The text without blanks outside of strings.
fn compact(text: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    text.chars()
        .filter(|letter| {
            let kept = in_text || !letter.is_ascii_whitespace();
            match letter {
                _ if escaped => escaped = false,
                '\\' if in_text => escaped = true,
                '"' => in_text = !in_text,
                _ => {}
            }
            kept
        })
        .collect()
}

impl JsonSchema for Literal {
    fn schema_name() -> Cow<'static, str> {
        "Literal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

/// Reads a member that may be null and is there all the same.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Literal>, D::Error> {
    Literal::deserialize(deserializer).map(Some)
}
