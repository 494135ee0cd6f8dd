//! Arguments of API functions: one JSON object whose members have types, unions among them.

use serde_json::{Map, Value};

use super::errors::Refusal;

/// Patterns of paths (Stone specification, `files`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    /// Something that is there: also by revision.
    Read,
    /// Something that may come to be.
    Write,
    /// A folder; the root is the empty text.
    Folder,
}

impl PathKind {
    const fn pattern(self) -> &'static str {
        match self {
            Self::Read => "(/(.|[\\r\\n])*|id:.*)|(rev:[0-9a-f]{9,})|(ns:[0-9]+(/.*)?)",
            Self::Write => "(/(.|[\\r\\n])*)|(ns:[0-9]+(/.*)?)|(id:.*)",
            Self::Folder => "(/(.|[\\r\\n])*)?|id:.*|(ns:[0-9]+(/.*)?)",
        }
    }

    fn fits(self, text: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let space =
            text.strip_prefix("ns:").is_some_and(|rest| digits(rest.split('/').next().unwrap_or_default()));
        let revision = text.strip_prefix("rev:").is_some_and(|rev| {
            rev.len() >= 9 && rev.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        });
        text.starts_with('/')
            || text.starts_with("id:")
            || space
            || (self == Self::Read && revision)
            || (self == Self::Folder && text.is_empty())
    }
}

/// A value of a union: its tag, and the object that carries its members.
#[derive(Debug, Clone)]
pub(super) struct Tagged {
    pub(super) tag: String,
    members: Map<String, Value>,
}

impl Tagged {
    /// The text that the tag carries.
    pub(super) fn text(&self) -> Option<&str> {
        self.members.get(&self.tag).and_then(Value::as_str)
    }

    pub(super) fn texts(&self) -> Vec<String> {
        let list = self.members.get(&self.tag).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

/// The members of one object, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Arguments {
    route: String,
    /// `request body: ` or the name of the header, then the way to this object.
    at: String,
    members: Map<String, Value>,
}

impl Arguments {
    /// Reads an argument.
    ///
    /// # Errors
    /// Text that is no JSON, a value that is no object.
    pub(super) fn read(route: &str, place: &str, text: &[u8]) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::input(route, format!("{place}: {what}"));
        let value: Value =
            serde_json::from_slice(text).map_err(|_| wrong("could not decode input as JSON"))?;
        match value {
            Value::Object(members) => Ok(Self { route: route.to_owned(), at: format!("{place}: "), members }),
            Value::Null => {
                Ok(Self { route: route.to_owned(), at: format!("{place}: "), members: Map::new() })
            }
            other => Err(wrong(&format!("expected object, got {}", kind(&other)))),
        }
    }

    pub(super) fn wrong(&self, name: &str, what: impl AsRef<str>) -> Refusal {
        Refusal::input(&self.route, format!("{}{name}: {}", self.at, what.as_ref()))
    }

    /// Refuses members that the function does not know.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.members.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Refusal::input(&self.route, format!("{}unknown field '{name}'", self.at))),
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn missing(&self, name: &str) -> Refusal {
        Refusal::input(&self.route, format!("{}missing required field '{name}'", self.at))
    }

    fn mistyped(&self, name: &str, wanted: &str, value: &Value) -> Refusal {
        self.wrong(name, format!("expected {wanted}, got {}", kind(value)))
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.mistyped(name, "string", other)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.optional_text(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn optional_path(&self, name: &str, kind: PathKind) -> Result<Option<&str>, Refusal> {
        let Some(text) = self.optional_text(name)? else { return Ok(None) };
        if kind.fits(text) {
            Ok(Some(text))
        } else {
            Err(self.wrong(name, format!("'{text}' did not match pattern '{}'", kind.pattern())))
        }
    }

    pub(super) fn path(&self, name: &str, kind: PathKind) -> Result<&str, Refusal> {
        self.optional_path(name, kind)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn boolean(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(on)) => Ok(*on),
            Some(other) => Err(self.mistyped(name, "boolean", other)),
        }
    }

    pub(super) fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_u64().ok_or_else(|| self.mistyped(name, "integer", value))?;
        if number < least {
            return Err(self.wrong(name, format!("{number} is less than minimum {least}")));
        }
        if number > most {
            return Err(self.wrong(name, format!("{number} is greater than maximum {most}")));
        }
        Ok(Some(number))
    }

    /// A union: a bare text for members without a value, else an object with a tag. `valued` are the members
    /// that carry one.
    pub(super) fn union(
        &self,
        name: &str,
        known: &[&str],
        valued: &[&str],
    ) -> Result<Option<Tagged>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let (tag, members) = match value {
            Value::String(tag) if valued.contains(&tag.as_str()) => {
                return Err(self.wrong(name, format!("expected object for '{tag}', got symbol")));
            }
            Value::String(tag) => (tag.clone(), Map::new()),
            Value::Object(members) => match members.get(".tag").and_then(Value::as_str) {
                Some(tag) => (tag.to_owned(), members.clone()),
                None => return Err(self.wrong(name, "missing '.tag' key")),
            },
            other => return Err(self.mistyped(name, "object or symbol", other)),
        };
        if !known.contains(&tag.as_str()) && !valued.contains(&tag.as_str()) {
            return Err(self.wrong(name, format!("unknown tag '{tag}'")));
        }
        if valued.contains(&tag.as_str()) && !members.contains_key(&tag) {
            return Err(self.wrong(name, format!("missing '{tag}' key")));
        }
        Ok(Some(Tagged { tag, members }))
    }

    pub(super) fn optional_object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(self.inside(name, members))),
            Some(other) => Err(self.mistyped(name, "object", other)),
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Self, Refusal> {
        self.optional_object(name)?.ok_or_else(|| self.missing(name))
    }

    fn inside(&self, name: &str, members: &Map<String, Value>) -> Self {
        Self { route: self.route.clone(), at: format!("{}{name}: ", self.at), members: members.clone() }
    }

    fn list(&self, name: &str, least: usize, most: usize) -> Result<&[Value], Refusal> {
        let list = match self.get(name) {
            None => return Err(self.missing(name)),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(self.mistyped(name, "list", other)),
        };
        if list.len() < least {
            return Err(self.wrong(name, format!("{} items is fewer than minimum {least}", list.len())));
        }
        if list.len() > most {
            return Err(self.wrong(name, format!("{} items exceeds maximum {most}", list.len())));
        }
        Ok(list)
    }

    pub(super) fn objects(&self, name: &str, least: usize, most: usize) -> Result<Vec<Self>, Refusal> {
        let each = self.list(name, least, most)?.iter().enumerate().map(|(number, value)| match value {
            Value::Object(members) => Ok(self.inside(&format!("{name}[{number}]"), members)),
            other => Err(self.mistyped(&format!("{name}[{number}]"), "object", other)),
        });
        each.collect()
    }

    pub(super) fn texts(&self, name: &str, most: usize) -> Result<Vec<String>, Refusal> {
        if self.get(name).is_none() {
            return Ok(Vec::new());
        }
        let each = self.list(name, 0, most)?.iter().enumerate().map(|(number, value)| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(self.mistyped(&format!("{name}[{number}]"), "string", other)),
        });
        each.collect()
    }

    /// A list of tags, each bare or in an object.
    pub(super) fn tags(&self, name: &str, most: usize) -> Result<Vec<String>, Refusal> {
        if self.get(name).is_none() {
            return Ok(Vec::new());
        }
        let each = self.list(name, 0, most)?.iter().enumerate().map(|(number, value)| {
            let tag = value.as_str().or_else(|| value.get(".tag").and_then(Value::as_str));
            tag.map(str::to_owned)
                .ok_or_else(|| self.mistyped(&format!("{name}[{number}]"), "object or symbol", value))
        });
        each.collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}
