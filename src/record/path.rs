//! Names: of record types and of fields across references.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a record type: `base` or `base:scope`, such as `Account` or `issue:OPS/Bug`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TypeName(String);

impl TypeName {
    /// Takes the text as it is; everything after the first `:` is the scope.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `:`.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.split_once(':').map_or(self.0.as_str(), |(base, _)| base)
    }

    /// The part after the first `:`.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, scope)| scope)
    }

    /// The name as a file name: every byte outside `A-Za-z0-9._-` percent-encoded.
    #[must_use]
    pub fn file_name(&self) -> String {
        use fmt::Write as _;
        self.0.bytes().fold(String::with_capacity(self.0.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path to a field: property names joined by dots. A path through a reference starts with the
/// relationship's name (`Account.Name`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FieldPath {
    segments: Vec<String>,
}

impl FieldPath {
    /// Splits a text at its dots.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { segments: text.split('.').map(str::to_owned).collect() }
    }

    /// Makes a path of property names.
    #[must_use]
    pub fn of(segments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { segments: segments.into_iter().map(Into::into).collect() }
    }

    /// The property names in order; at least one.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The last name.
    #[must_use]
    pub fn leaf(&self) -> &str {
        self.segments.last().map_or("", String::as_str)
    }

    /// Whether the path has one name only.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.segments.len() == 1
    }
}

impl From<String> for FieldPath {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<&str> for FieldPath {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.to_string()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("."))
    }
}
