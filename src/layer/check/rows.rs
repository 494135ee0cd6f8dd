//! One row against its record type.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::value::RawValue;

use super::dependent;
use super::values::{self, Purpose};
use crate::error::{Error, FieldError, Result};
use crate::provider::{Edit, Edits};
use crate::record::nearest::nearest;
use crate::record::record_type::Relationship;
use crate::record::schema::polymorphic_type_field;
use crate::record::{Field, FieldType, Key, KeyFields, KeyPart, RecordType};

/// Checks a row to create and drops its nulls.
pub(super) fn new_row(record_type: &RecordType, edits: &Edits, by_key: bool) -> Result<Edits> {
    let mut row = Row::new(record_type, Purpose::Create, by_key);
    let mut kept = Vec::with_capacity(edits.len());
    for (name, edit) in edits {
        if let Some(relationship) = row.relationship(name) {
            row.parent(relationship, edit, edits, &mut kept);
            continue;
        }
        let Some(field) = row.field(name) else { continue };
        match edit {
            Edit::Clear => {}
            Edit::Set(value) if is_null(value) => {}
            Edit::Set(value) => kept.push((name.clone(), row.value(&field, value))),
            Edit::List { .. } => row.refuse(name, "a new record has no list to add to; give the whole list"),
        }
    }
    for field in record_type.fields.iter().filter(|field| field.required_on_create) {
        let given = |name: &String| *name == field.name || row.parents.get(name) == Some(&field.name);
        if !kept.iter().any(|(name, _)| given(name)) && !row.refused(&field.name) {
            row.refuse(&field.name, "is required");
        }
    }
    row.finish(&kept, "this row cannot be created")?;
    Ok(kept)
}

/// Checks the edits of an update; a null that is set is a clearing.
pub(super) fn change(record_type: &RecordType, edits: &Edits, by_key: bool) -> Result<Edits> {
    let mut row = Row::new(record_type, Purpose::Update, by_key);
    let kept = row.edits(edits);
    row.finish(&kept, "this row cannot be updated")?;
    Ok(kept)
}

/// Checks the edits of an upsert. The key's own fields may stand among them with the key's values; they are
/// sent as the key, not as edits.
pub(super) fn upsert(
    record_type: &RecordType,
    by: &KeyFields,
    key: &Key,
    edits: &Edits,
    by_key: bool,
) -> Result<Edits> {
    let mut row = Row::new(record_type, Purpose::Upsert, by_key);
    let (same, rest): (Vec<_>, Vec<_>) = edits.iter().cloned().partition(|(name, _)| by.0.contains(name));
    for (name, edit) in &same {
        let part = by.0.iter().position(|field| field == name).and_then(|at| key.parts().get(at));
        let agrees = match (edit, part) {
            (Edit::Set(value), Some(KeyPart::Text(text))) => {
                serde_json::from_str::<String>(value.get()).is_ok_and(|value| value == *text)
            }
            (Edit::Set(value), Some(KeyPart::Integer(number))) => value.get().trim() == number.to_string(),
            _ => false,
        };
        if !agrees {
            row.refuse(name, "differs from the key that the record is found by");
        }
    }
    let kept = row.edits(&rest);
    row.finish(&kept, "this row cannot be upserted")?;
    Ok(kept)
}

/// Required fields that an upsert leaves open, were it to create its record.
pub(super) fn lacking(record_type: &RecordType, by: &KeyFields, edits: &Edits) -> Vec<FieldError> {
    let sets = |field: &Field, name: &String| {
        let parent = || record_type.relationship(name).is_some_and(|one| one.field == field.name);
        *name == field.name || parent()
    };
    record_type
        .fields
        .iter()
        .filter(|field| field.required_on_create && !by.0.contains(&field.name))
        .filter(|field| !edits.iter().any(|(name, edit)| sets(field, name) && !matches!(edit, Edit::Clear)))
        .map(|field| FieldError {
            field: field.name.clone(),
            message: "is required".to_owned(),
            accepted: Vec::new(),
        })
        .collect()
}

/// Checks that a key has as many parts as its fields.
pub(super) fn key(key: &Key, fields: &KeyFields) -> Result<()> {
    let empty = |part: &KeyPart| matches!(part, KeyPart::Text(text) if text.is_empty());
    if key.parts().len() == fields.0.len() && !key.parts().iter().any(empty) {
        return Ok(());
    }
    Err(Error::invalid(format!("the key {key} does not have the parts {fields}"))
        .with_advice("Write a key of several fields as a JSON array in that order"))
}

fn is_null(value: &RawValue) -> bool {
    value.get().trim() == "null"
}

/// A row while it is checked.
struct Row<'a> {
    record_type: &'a RecordType,
    purpose: Purpose,
    /// Whether parents may be named by keys of their own.
    by_key: bool,
    seen: HashSet<String>,
    /// Reference fields by the relationships that set them.
    parents: HashMap<String, String>,
    reasons: Vec<FieldError>,
}

impl<'a> Row<'a> {
    fn new(record_type: &'a RecordType, purpose: Purpose, by_key: bool) -> Self {
        Self {
            record_type,
            purpose,
            by_key,
            seen: HashSet::new(),
            parents: HashMap::new(),
            reasons: Vec::new(),
        }
    }

    /// The relationship that an edit names, where parents may be written so.
    fn relationship(&self, name: &str) -> Option<&'a Relationship> {
        let known = self.by_key && self.record_type.field(name).is_none();
        known.then(|| self.record_type.relationship(name)).flatten()
    }

    /// Checks a parent that is named by one of its own keys: `"Account":{"Key__c":"x"}`; null means none.
    fn parent(&mut self, relationship: &Relationship, edit: &Edit, row: &Edits, kept: &mut Edits) {
        let (name, reference) = (&relationship.name, &relationship.field);
        if row.iter().any(|(other, _)| other == reference) {
            self.refuse(name, format!("stands beside {reference}, which says the same: give one of them"));
            return;
        }
        if self.field(reference).is_none() {
            return;
        }
        let Some(field) = self.record_type.field(reference) else { return };
        self.parents.insert(name.clone(), reference.clone());
        match edit {
            Edit::Set(value) if !is_null(value) => {
                let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get());
                let single = members.as_ref().is_ok_and(|members| members.len() == 1);
                if !single {
                    self.refuse(
                        name,
                        "takes an object with exactly one key of the parent, such as {\"Key\":\"x\"}",
                    );
                }
                for (key, value) in members.iter().flatten() {
                    let text = value.get().trim();
                    if !text.starts_with(['"', '-']) && !text.starts_with(|c: char| c.is_ascii_digit()) {
                        self.refuse(&format!("{name}.{key}"), "must be the parent's key, as text or number");
                    }
                }
                kept.push((name.clone(), edit.clone()));
            }
            Edit::List { .. } => self.refuse(name, "holds one parent: nothing can be added to it or removed"),
            _ if self.purpose == Purpose::Create => {}
            _ if field.nullable => kept.push((name.clone(), Edit::Clear)),
            _ => self.refuse(name, "cannot be cleared"),
        }
    }

    fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.reasons.push(FieldError {
            field: field.to_owned(),
            message: message.into(),
            accepted: Vec::new(),
        });
    }

    fn refused(&self, field: &str) -> bool {
        let part = format!("{field}.");
        self.reasons.iter().any(|reason| reason.field == field || reason.field.starts_with(&part))
    }

    /// The field that an edit names, if it may be set.
    fn field(&mut self, name: &str) -> Option<Cow<'a, Field>> {
        if !self.seen.insert(name.to_owned()) {
            self.refuse(name, "stands twice in this row");
            return None;
        }
        let record_type = self.record_type;
        let field = match record_type.field(name) {
            Some(field) => Cow::Borrowed(field),
            None => match polymorphic_type_field(record_type, name) {
                Some(field) => Cow::Owned(field),
                None => {
                    let known = record_type.fields.iter().map(|field| field.name.as_str());
                    let message = match nearest(name, known) {
                        Some(near) => format!("{} has no such field; did you mean {near}?", record_type.name),
                        None => format!("{} has no such field", record_type.name),
                    };
                    self.refuse(name, message);
                    return None;
                }
            },
        };
        let is_key = record_type.key.0.iter().any(|key| key == name);
        match self.purpose {
            Purpose::Create if !field.createable => {
                let rule =
                    if field.updatable { "can be set only once the record exists" } else { "cannot be set" };
                self.refuse(name, format!("{rule}{}", why_not(&field)));
                None
            }
            Purpose::Update if is_key => {
                self.refuse(name, "is the key: it says which record, and does not change");
                None
            }
            Purpose::Update if !field.updatable => {
                let rule = if field.createable {
                    "can be set only when the record is created"
                } else {
                    "cannot be set"
                };
                self.refuse(name, format!("{rule}{}", why_not(&field)));
                None
            }
            Purpose::Upsert if !field.createable && !field.updatable => {
                self.refuse(name, format!("cannot be set{}", why_not(&field)));
                None
            }
            _ => Some(field),
        }
    }

    fn edits(&mut self, edits: &Edits) -> Edits {
        let mut kept = Vec::with_capacity(edits.len());
        for (name, edit) in edits {
            if let Some(relationship) = self.relationship(name) {
                self.parent(relationship, edit, edits, &mut kept);
                continue;
            }
            let Some(field) = self.field(name) else { continue };
            match edit {
                Edit::Set(value) if is_null(value) => self.clear(&field, &mut kept),
                Edit::Clear => self.clear(&field, &mut kept),
                Edit::Set(value) => kept.push((name.clone(), self.value(&field, value))),
                Edit::List { add, remove } => {
                    if !field.field_type.is_multi_value() {
                        self.refuse(name, "holds one value: nothing can be added to it or removed");
                        continue;
                    }
                    for value in add {
                        self.reasons.extend(values::element(&field, value, self.purpose));
                    }
                    if add.is_empty() && remove.is_empty() {
                        self.refuse(name, "names nothing to add and nothing to remove");
                    }
                    kept.push((name.clone(), edit.clone()));
                }
            }
        }
        kept
    }

    fn clear(&mut self, field: &Field, kept: &mut Edits) {
        if field.nullable || field.field_type.is_multi_value() {
            kept.push((field.name.clone(), Edit::Clear));
        } else if self.purpose == Purpose::Upsert && !field.required_on_create {
            // A record that is new gets the provider's default; one that exists refuses the null there.
            kept.push((field.name.clone(), Edit::Clear));
        } else {
            self.refuse(&field.name, "cannot be cleared");
        }
    }

    /// Checks a value and gives it as the provider gets it.
    fn value(&mut self, field: &Field, value: &RawValue) -> Edit {
        self.reasons.extend(values::value(field, value.get(), self.purpose));
        Edit::Set(values::with_plain_numbers(field, value).unwrap_or_else(|| value.to_owned()))
    }

    fn finish(mut self, kept: &Edits, message: &str) -> Result<()> {
        if self.reasons.is_empty() {
            self.reasons = dependent::pairs(self.record_type, kept, self.purpose);
        }
        if self.reasons.is_empty() {
            return Ok(());
        }
        Err(self.reasons.into_iter().fold(Error::invalid(message), Error::with_field_error))
    }
}

fn why_not(field: &Field) -> &'static str {
    if field.calculated {
        ": the provider calculates it"
    } else if field.auto_number {
        ": the provider numbers it"
    } else if matches!(field.field_type, FieldType::Object { .. }) {
        ": set its parts"
    } else {
        ""
    }
}
