//! A page of records as JSON text whose parts can be changed without touching the rest: numbers and escapes
//! of unchanged parts stay byte for byte what the service wrote.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::emulator::service::PageShape;

/// A JSON object in order, values unread.
#[derive(Debug, Default)]
pub(super) struct Object(pub(super) Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Object {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.get())
    }

    /// The object as text, each value as `write` gives it.
    pub(super) fn render(&self, mut write: impl FnMut(usize, &str, &str) -> Vec<u8>) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(quoted(name).as_bytes());
            out.push(b':');
            out.extend(write(index, name, value.get()));
        }
        out.push(b'}');
        out
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An answer that holds a page of rows.
#[derive(Debug)]
pub(super) struct Page {
    entries: Object,
    shape: PageShape,
    /// The rows as text.
    pub(super) rows: Vec<Vec<u8>>,
    /// The address or token of the next page.
    pub(super) next: Option<String>,
}

impl Page {
    /// Reads a body; `None` when it is no page.
    pub(super) fn parse(body: &[u8], shape: PageShape) -> Option<Self> {
        let entries = Object::parse(body)?;
        let rows: Vec<Box<RawValue>> = serde_json::from_str(entries.get(shape.rows)?).ok()?;
        let rows = rows.into_iter().map(|row| row.get().as_bytes().to_vec()).collect();
        let more = shape.more.is_none_or(|more| entries.get(more) == Some("true"));
        let next = entries.get(shape.next).filter(|_| more).and_then(|text| serde_json::from_str(text).ok());
        Some(Self { entries, shape, rows, next })
    }

    /// The page as it stands now: rows and next link as changed, `done` to fit the link.
    pub(super) fn render(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        let mut first = true;
        for (name, value) in &self.entries.0 {
            let text = if name == self.shape.rows {
                let mut rows = vec![b'['];
                rows.extend(self.rows.join(&b','));
                rows.push(b']');
                rows
            } else if name == self.shape.next {
                match &self.next {
                    Some(next) => quoted(next).into_bytes(),
                    // Such a service has it on the last page too.
                    None if self.shape.more.is_some() => value.get().as_bytes().to_vec(),
                    None => continue,
                }
            } else if Some(name.as_str()) == self.shape.done {
                self.next.is_none().to_string().into_bytes()
            } else if Some(name.as_str()) == self.shape.more {
                self.next.is_some().to_string().into_bytes()
            } else {
                value.get().as_bytes().to_vec()
            };
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(quoted(name).as_bytes());
            out.push(b':');
            out.extend(text);
        }
        // A looping last page has had no link so far.
        if let Some(next) = self.next.as_deref().filter(|_| self.entries.get(self.shape.next).is_none()) {
            if !first {
                out.push(b',');
            }
            out.extend_from_slice(format!("{}:{}", quoted(self.shape.next), quoted(next)).as_bytes());
        }
        out.push(b'}');
        out
    }
}
