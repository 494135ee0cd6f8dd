//! Rows of answers: which fields are asked for, and how an issue becomes a record.

use super::Described;
use super::wires::{Kind, time_tracking};
use crate::error::Result;
use crate::provider::paths;
use crate::record::FieldPath;
use crate::record::transcode::{Conversion, Member, Shape};

/// What is read of issues: properties, each with the members of it that are wanted (all when none is named).
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    properties: Vec<(String, Vec<String>)>,
}

impl Columns {
    /// The columns of a selection; empty selects every property.
    ///
    /// # Errors
    /// Invalid for a path that leads nowhere.
    pub(super) fn of(described: &Described, select: &[FieldPath], besides: &[FieldPath]) -> Result<Self> {
        let mut columns = Self::default();
        for path in described.record_type.selection(select).iter().chain(besides) {
            columns.add(described, path)?;
        }
        Ok(columns)
    }

    fn add(&mut self, described: &Described, path: &FieldPath) -> Result<()> {
        let unknown = || paths::unknown(path, &described.record_type, path.leaf());
        let (name, inner) = match path.segments() {
            [name] => (name, None),
            [name, inner] => (name, Some(inner)),
            _ => return Err(unknown()),
        };
        let wire = described.wires.fields.get(name).ok_or_else(unknown)?;
        if inner.is_some() && wire.kind != Kind::TimeTracking {
            return Err(unknown());
        }
        let known = self.properties.iter_mut().find(|(known, _)| known == name);
        match (known, inner) {
            (None, inner) => self.properties.push((name.clone(), inner.into_iter().cloned().collect())),
            // All of it is wanted.
            (Some((_, members)), None) => members.clear(),
            (Some((_, members)), Some(inner)) if !members.is_empty() && !members.contains(inner) => {
                members.push(inner.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// The fields to ask for, each once.
    pub(super) fn wire_fields(&self, described: &Described) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        for (name, _) in &self.properties {
            let Some(wire) = described.wires.fields.get(name) else { continue };
            if !is_beside(wire.kind) && !out.contains(&wire.id) {
                out.push(wire.id.clone());
            }
        }
        // With nothing asked for, Jira gives the id alone, and the key is part of every record.
        if out.is_empty() {
            out.push("issuekey".to_owned());
        }
        out
    }

    /// How an issue of the answer becomes a record.
    pub(super) fn shape(&self, described: &Described) -> Shape {
        let mut beside = Vec::new();
        let mut fields = Vec::new();
        for (name, members) in &self.properties {
            let Some(wire) = described.wires.fields.get(name) else { continue };
            let conversion = if members.is_empty() {
                wire.kind.conversion()
            } else {
                Conversion::Nested(Box::new(time_tracking(members.iter().cloned())))
            };
            let member = Member { wire: wire.id.clone(), out: name.clone(), conversion };
            if is_beside(wire.kind) { beside.push(member) } else { fields.push(member) }
        }
        Shape::new(beside).with_key(["id"]).complete().with_inside("fields", Shape::new(fields).complete())
    }
}

/// Whether a value stands beside `fields`.
fn is_beside(kind: Kind) -> bool {
    matches!(kind, Kind::Id | Kind::Key)
}
