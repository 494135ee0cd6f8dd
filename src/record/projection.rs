//! Removes from a record's JSON text what was fetched only to evaluate a filter or an order here.

use bytes::Bytes;

use super::pick::each_member;
use super::{FieldPath, Record};
use crate::error::Result;

/// What to remove from each record of a search.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    root: Node,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Members by name: removed, or looked into.
    members: Vec<(String, Option<Node>)>,
}

impl Projection {
    /// Removes `besides`. An object on the way to such a value goes with it, unless something of it was
    /// selected. `None` when there is nothing to remove.
    #[must_use]
    pub fn new(select: &[FieldPath], besides: &[FieldPath]) -> Option<Self> {
        if besides.is_empty() {
            return None;
        }
        let mut out = Self::default();
        for path in besides {
            let segments = path.segments();
            let shared = |length: usize| {
                select.iter().any(|chosen| chosen.segments().starts_with(&segments[..length]))
            };
            let length = (1..=segments.len()).find(|length| !shared(*length)).unwrap_or(segments.len());
            out.root.add(&segments[..length]);
        }
        Some(out)
    }

    /// The record without them.
    ///
    /// # Errors
    /// `Protocol` when the record's text is not a JSON object.
    pub fn apply(&self, record: Record) -> Result<Record> {
        let mut out = String::with_capacity(record.json.len());
        self.root.copy(record.text(), &mut out)?;
        Ok(Record { json: Bytes::from(out), ..record })
    }
}

impl Node {
    fn add(&mut self, segments: &[String]) {
        let Some((first, rest)) = segments.split_first() else { return };
        let index = self.members.iter().position(|(name, _)| name == first).unwrap_or_else(|| {
            self.members.push((first.clone(), Some(Self::default())));
            self.members.len() - 1
        });
        let slot = &mut self.members[index].1;
        if rest.is_empty() {
            *slot = None;
        } else if let Some(node) = slot {
            node.add(rest);
        }
    }

    fn copy(&self, json: &str, out: &mut String) -> Result<()> {
        let mut nested = Ok(());
        let mut first = true;
        out.push('{');
        each_member(json, |name, raw| {
            let inside = match self.members.iter().find(|(known, _)| known == name) {
                Some((_, None)) => return,
                Some((_, Some(node))) if raw.get().starts_with('{') => Some(node),
                _ => None,
            };
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(&serde_json::Value::from(name).to_string());
            out.push(':');
            match inside {
                Some(node) => {
                    if let Err(error) = node.copy(raw.get(), out) {
                        nested = Err(error);
                    }
                }
                None => out.push_str(raw.get()),
            }
        })?;
        out.push('}');
        nested
    }
}
