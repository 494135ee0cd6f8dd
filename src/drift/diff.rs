//! Two schemas of one type and purpose: what is different, and what that means in this direction.
//!
//! Reading breaks by what is gone or means something else; writing also by what is narrower than before.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::property::{Property, compare};
use crate::record::nearest::nearest;
use crate::record::schema::SchemaPurpose;

/// What a change does to those who rely on the old schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Only what people see is different.
    Cosmetic,
    /// What worked goes on working.
    Compatible,
    /// What worked may fail.
    Breaking,
}

impl Severity {
    /// The word in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosmetic => "cosmetic",
            Self::Compatible => "compatible",
            Self::Breaking => "breaking",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One change of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it does.
    pub severity: Severity,
    /// The direction: read, create, update or key.
    pub direction: &'static str,
    /// Path of the field; empty for the type as a whole.
    pub field: String,
    /// What kind of change it is.
    pub change: &'static str,
    /// What is different, in a sentence.
    pub message: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<String>,
}

/// All changes from one schema to another, in the order of the new one, what is gone first.
#[must_use]
pub fn diff(old: &Json, new: &Json, purpose: SchemaPurpose) -> Vec<Change> {
    let mut found = Found { purpose, changes: Vec::new() };
    if hash(old).is_some() && hash(old) == hash(new) {
        return found.changes;
    }
    let meta =
        |schema: &Json| schema.pointer("/definitions/record-meta/const/fields").cloned().unwrap_or_default();
    let (old_meta, new_meta) = (meta(old), meta(new));
    found.object(
        &Level { prefix: "", schema: old, meta: &old_meta },
        &Level { prefix: "", schema: new, meta: &new_meta },
    );
    if old["title"] != new["title"] {
        found.put(Severity::Cosmetic, "", "label_changed", relabelled(&old["title"], &new["title"]), None);
    }
    let key = |schema: &Json| schema.pointer("/definitions/record-meta/const/key").cloned();
    if key(old) != key(new) {
        found.put(
            Severity::Breaking,
            "",
            "key_changed",
            "the fields of the key are others".to_owned(),
            Some("Look at every mapping that names records of this type by @key".to_owned()),
        );
    }
    found.changes
}

/// The change of a type that is not there any more.
#[must_use]
pub fn gone(purpose: SchemaPurpose, why: &str) -> Change {
    Change {
        severity: Severity::Breaking,
        direction: purpose.name(),
        field: String::new(),
        change: "type_removed",
        message: format!("the type is not there any more, or cannot be seen: {why}"),
        repair: Some("Give the connection's user the right to see it, or choose another type".to_owned()),
    }
}

fn hash(schema: &Json) -> Option<&str> {
    schema.pointer("/definitions/record-meta/const/schemaHash").and_then(Json::as_str)
}

/// An object of a schema and where it stands.
#[derive(Clone, Copy)]
struct Level<'a> {
    prefix: &'a str,
    schema: &'a Json,
    /// Metadata of all fields by path.
    meta: &'a Json,
}

impl<'a> Level<'a> {
    fn properties(&self) -> impl Iterator<Item = (&'a String, &'a Json)> + use<'a> {
        self.schema["properties"].as_object().into_iter().flatten()
    }

    fn required(&self) -> BTreeSet<&'a str> {
        self.schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect()
    }

    fn property(&self, name: &str) -> Option<Property<'a>> {
        let schema = self.schema["properties"].get(name)?;
        let path = join(self.prefix, name);
        static NONE: Json = Json::Null;
        let meta = self.meta.get(&path).or_else(|| self.meta.get(name)).unwrap_or(&NONE);
        Some(Property { schema, meta, required: self.required().contains(name) })
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// What has been found so far.
pub(super) struct Found {
    pub(super) purpose: SchemaPurpose,
    changes: Vec<Change>,
}

impl Found {
    pub(super) fn put(
        &mut self,
        severity: Severity,
        field: &str,
        change: &'static str,
        message: String,
        repair: Option<String>,
    ) {
        let direction = self.purpose.name();
        self.changes.push(Change { severity, direction, field: field.to_owned(), change, message, repair });
    }

    /// Whether values are handed over rather than taken.
    pub(super) fn writes(&self) -> bool {
        matches!(self.purpose, SchemaPurpose::Create | SchemaPurpose::Update)
    }

    fn object(&mut self, old: &Level<'_>, new: &Level<'_>) {
        let added: Vec<&str> = new
            .properties()
            .map(|(name, _)| name.as_str())
            .filter(|name| old.property(name).is_none())
            .collect();
        for (name, before) in old.properties() {
            if new.property(name).is_none() {
                self.removed(&join(old.prefix, name), name, before, new, &added);
            }
        }
        for (name, after) in new.properties() {
            let path = join(new.prefix, name);
            let (Some(now), before) = (new.property(name), old.property(name)) else { continue };
            let Some(before) = before else {
                self.added(&path, after, now.required);
                continue;
            };
            compare(self, &path, &before, &now);
            self.deeper(&path, (before.schema, old.meta), (now.schema, new.meta));
        }
    }

    /// The parts of an object, and of the objects of a list.
    fn deeper(&mut self, path: &str, old: (&Json, &Json), new: (&Json, &Json)) {
        let ((before, old_meta), (after, new_meta)) = (old, new);
        let is_object = |schema: &Json| schema["properties"].is_object();
        let (before, after) = if is_object(before) && is_object(after) {
            (before, after)
        } else if is_object(&before["items"]) && is_object(&after["items"]) {
            (&before["items"], &after["items"])
        } else {
            return;
        };
        self.object(
            &Level { prefix: path, schema: before, meta: old_meta },
            &Level { prefix: path, schema: after, meta: new_meta },
        );
    }

    fn removed(&mut self, path: &str, name: &str, before: &Json, new: &Level<'_>, added: &[&str]) {
        let same_label = |other: &&&str| {
            let label = &new.schema["properties"][**other]["title"];
            label.is_string() && *label == before["title"]
        };
        let successor =
            added.iter().find(same_label).copied().or_else(|| nearest(name, added.iter().copied()));
        let repair = match successor {
            Some(other) => {
                format!("{} may be its new name: use it in the mapping's rules", join(new.prefix, other))
            }
            None if self.writes() => {
                "Take its rule out of the mapping, or let the field be set again".to_owned()
            }
            None => "Take another field, or a const, in the mapping's rules".to_owned(),
        };
        let message = if self.writes() {
            "the field cannot be set any more".to_owned()
        } else {
            "the field is not there any more".to_owned()
        };
        self.put(Severity::Breaking, path, "field_removed", message, Some(repair));
    }

    fn added(&mut self, path: &str, after: &Json, required: bool) {
        let label = after["title"].as_str().unwrap_or(path);
        if required && self.writes() {
            let repair = format!("Add a rule for {path}, or give the field a default at the provider");
            let message = format!("{label:?} is new and must be given");
            self.put(Severity::Breaking, path, "required_field_added", message, Some(repair));
        } else {
            self.put(Severity::Compatible, path, "field_added", format!("{label:?} is new"), None);
        }
    }
}

/// What is said about another label.
pub(super) fn relabelled(old: &Json, new: &Json) -> String {
    let text = |label: &Json| label.as_str().unwrap_or_default().to_owned();
    format!("the label was {:?} and is {:?}", text(old), text(new))
}

/// Members of an object that is one.
pub(super) fn members(value: &Json) -> Map<String, Json> {
    value.as_object().cloned().unwrap_or_default()
}
