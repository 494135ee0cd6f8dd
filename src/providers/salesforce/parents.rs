//! Parents in rows to write: named by keys of their own under the relationship's name, and the type beside the
//! id of a polymorphic reference.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::Described;
use super::records::SalesforceRecords;
use super::rows;
use crate::error::{Error, ErrorKind, FieldError, Result};
use crate::provider::{Context, Edit, Edits, Outcome};
use crate::record::RecordType;
use crate::record::nearest::nearest;
use crate::record::number::Number;
use crate::record::record_type::{FieldType, Relationship};

/// A parent that a row names by one of the parent's keys.
#[derive(Debug, Clone)]
pub(super) struct ParentKey {
    /// Path of the key in the row.
    path: String,
    /// The parent's field.
    field: String,
    /// The parent's type.
    target: String,
    value: String,
}

/// A row's edits, its parents in the form that Salesforce takes.
#[derive(Debug)]
pub(super) struct Ready<'r> {
    pub(super) edits: Cow<'r, [(String, Edit)]>,
    pub(super) parents: Vec<ParentKey>,
}

/// Descriptions of parents, asked for once in a batch.
type Parents = HashMap<String, Result<Arc<Described>>>;

impl SalesforceRecords {
    /// Makes the parents of rows ready; each type of parent is described once, and only if a row names one.
    ///
    /// # Errors
    /// When a parent's type cannot be described for a reason that has nothing to do with the rows.
    pub(super) async fn ready<'r>(
        &self,
        cx: &Context,
        rows: impl Iterator<Item = Result<&'r Edits>>,
    ) -> Result<Vec<Result<Ready<'r>>>> {
        let record_type = self.record_type_here();
        let mut known = Parents::new();
        let mut out = Vec::with_capacity(rows.size_hint().0);
        for edits in rows {
            let edits = match edits {
                Ok(edits) => edits,
                Err(error) => {
                    out.push(Err(error));
                    continue;
                }
            };
            if let Err(error) = self.check_types(edits) {
                out.push(Err(error));
                continue;
            }
            let relationship = |name: &str| match record_type.field(name) {
                None => record_type.relationship(name),
                Some(_) => None,
            };
            if !edits.iter().any(|(name, _)| relationship(name).is_some()) {
                out.push(Ok(Ready { edits: Cow::Borrowed(edits), parents: Vec::new() }));
                continue;
            }
            for (target, _) in edits.iter().filter_map(|(name, _)| {
                let target = target_of(record_type, relationship(name)?, edits).ok()?;
                Some((target, name))
            }) {
                if let Entry::Vacant(place) = known.entry(target) {
                    let described = self.org.described(cx, place.key()).await;
                    if let Err(error) = &described
                        && !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden)
                    {
                        return Err(error.clone());
                    }
                    place.insert(described);
                }
            }
            out.push(with_keys(record_type, edits, &known));
        }
        Ok(out)
    }

    /// Refuses a `<reference>_type` that contradicts the id beside it, or stands alone.
    fn check_types(&self, edits: &Edits) -> Result<()> {
        let record_type = self.record_type_here();
        for (name, edit) in edits {
            let (Edit::Set(said), Some(reference)) = (edit, record_type.reference_of_type_field(name)) else {
                continue;
            };
            let Ok(said) = serde_json::from_str::<String>(said.get()) else { continue };
            let id = edits.iter().find(|(other, _)| *other == reference.name).map(|(_, edit)| edit);
            let by_key = record_type.relationships.iter().any(|known| {
                known.field == reference.name && edits.iter().any(|(other, _)| *other == known.name)
            });
            match id {
                Some(Edit::Set(id)) => {
                    let id = serde_json::from_str::<String>(id.get()).unwrap_or_default();
                    let owner = id.get(..3).and_then(|prefix| self.prefixes.get(prefix));
                    if let Some(owner) = owner.filter(|owner| **owner != said) {
                        let told = format!("says {said}, but {id} is the id of a record of type {owner}");
                        return Err(rows::refuse(record_type, name, &told));
                    }
                }
                None if !by_key => {
                    let told = format!("tells the type of {}, which this row does not set", reference.name);
                    return Err(rows::refuse(record_type, name, &told));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The type of a parent: the only one there is, or the one that `<reference>_type` names.
fn target_of(
    record_type: &RecordType,
    relationship: &Relationship,
    edits: &[(String, Edit)],
) -> Result<String> {
    if let [only] = relationship.targets.as_slice() {
        return Ok(only.clone());
    }
    let type_field = record_type.field(&relationship.field).and_then(|field| match &field.field_type {
        FieldType::Reference(reference) => reference.type_field.clone(),
        _ => None,
    });
    let type_field = type_field.unwrap_or_else(|| format!("{}_type", relationship.field));
    let said = edits.iter().find_map(|(name, edit)| match edit {
        Edit::Set(said) if *name == type_field => serde_json::from_str::<String>(said.get()).ok(),
        _ => None,
    });
    match said {
        Some(said) if relationship.targets.contains(&said) => Ok(said),
        Some(said) => Err(refused(
            &type_field,
            format!("{} cannot lead to {said}", relationship.name),
            &relationship.targets,
        )),
        None => Err(refused(
            &type_field,
            format!("is needed beside {}: it can lead to several types", relationship.name),
            &relationship.targets,
        )),
    }
}

fn refused(field: &str, message: String, accepted: &[String]) -> Error {
    Error::invalid(format!("{field} {message}")).with_field_error(FieldError {
        field: field.to_owned(),
        message,
        accepted: accepted.to_vec(),
    })
}

fn with_keys<'r>(record_type: &RecordType, edits: &'r Edits, known: &Parents) -> Result<Ready<'r>> {
    let mut parents = Vec::new();
    let mut out = edits.clone();
    for (name, edit) in &mut out {
        let relationship = match record_type.field(name) {
            None => record_type.relationship(name),
            Some(_) => None,
        };
        let (Some(relationship), Edit::Set(given)) = (relationship, &*edit) else { continue };
        if given.get() == "null" {
            continue;
        }
        let target = target_of(record_type, relationship, edits)?;
        let described = match known.get(&target) {
            Some(Ok(described)) => described,
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(Error::bug("a parent's type was not described")),
        };
        let (key, wire) = parent_key(name, given, &described.record_type, relationship.targets.len() > 1)?;
        *edit = Edit::Set(wire);
        parents.push(key);
    }
    Ok(Ready { edits: Cow::Owned(out), parents })
}

/// One parent in Salesforce's form; where it can be of several types, `attributes` says which, in front.
fn parent_key(
    name: &str,
    given: &RawValue,
    parent: &RecordType,
    several: bool,
) -> Result<(ParentKey, Box<RawValue>)> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(given.get()).map_err(|_| {
        refused(
            name,
            "takes an object with one key of the parent, such as {\"Key__c\":\"x\"}".to_owned(),
            &[],
        )
    })?;
    let mut members = members.into_iter();
    let (Some((field, value)), None) = (members.next(), members.next()) else {
        return Err(refused(name, "must name the parent by exactly one of its keys".to_owned(), &[]));
    };
    let path = format!("{name}.{field}");
    let keys: Vec<String> = parent
        .alternate_keys
        .iter()
        .filter_map(|key| match key.fields.0.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        })
        .collect();
    if !keys.contains(&field) {
        let message = match nearest(&field, keys.iter().map(String::as_str)) {
            _ if parent.field(&field).is_some() => {
                format!("is no key of {}, so it cannot tell which one is meant", parent.name)
            }
            Some(near) => format!("{} has no such field; did you mean {near}?", parent.name),
            None => format!("{} has no such field", parent.name),
        };
        return Err(refused(&path, message, &keys));
    }
    let is_number = parent.field(&field).is_some_and(|field| {
        matches!(field.field_type, FieldType::Integer { .. } | FieldType::Decimal { .. })
    });
    let text = match serde_json::from_str::<Json>(given_value(value)) {
        Ok(Json::String(text)) if !text.is_empty() => text,
        Ok(Json::Number(_)) => given_value(value).to_owned(),
        _ => return Err(refused(&path, "takes the parent's key, as text or number".to_owned(), &[])),
    };
    let wire = if is_number {
        if Number::parse(&text).is_none() {
            return Err(refused(&path, format!("{text:?} is not a number"), &[]));
        }
        text.clone()
    } else {
        Json::from(text.as_str()).to_string()
    };
    let target = parent.name.as_str();
    let front =
        if several { format!(r#""attributes":{{"type":{}}},"#, Json::from(target)) } else { String::new() };
    let wire = RawValue::from_string(format!("{{{front}{}:{wire}}}", Json::from(field.as_str())))
        .map_err(|source| Error::bug("a parent is not JSON").with_source(source))?;
    Ok((ParentKey { path, field, target: target.to_owned(), value: text }, wire))
}

fn given_value(value: &RawValue) -> &str {
    value.get().trim()
}

/// An outcome whose error names the parent that was not found, when that is what Salesforce refused.
pub(super) fn told(outcome: Outcome, parents: &[ParentKey]) -> Outcome {
    let Outcome::Failed(error) = outcome else { return outcome };
    let message = error.provider_message().unwrap_or_default().to_owned();
    if !message.to_ascii_lowercase().contains("foreign key external id") {
        return Outcome::Failed(error);
    }
    let guilty = parents.iter().filter(|parent| {
        message.contains(&format!("external ID: {} ", parent.value))
            && message.contains(&format!("for field {} ", parent.field))
    });
    Outcome::Failed(guilty.fold(error, |error, parent| {
        let several = message.starts_with("More than one");
        let found = if several { "several records of type" } else { "no record of type" };
        let told = format!("{found} {} with {} {:?}", parent.target, parent.field, parent.value);
        error.with_field(parent.path.as_str(), told)
    }))
}
