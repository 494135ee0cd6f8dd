//! What a write would do, told without writing: which records are there, what would change in them, and which rows
//! would be refused for what is there already. Nothing here is sent but reads.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::check;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Change, Context, Edit, NewRow, Records, WriteOptions};
use crate::record::capability::VersionSupport;
use crate::record::number::Number;
use crate::record::pick::members;
use crate::record::{FieldPath, Key, KeyFields, Record, RecordType};

/// A field that would change.
#[derive(Debug, Serialize)]
pub struct Changed {
    /// The field.
    pub field: String,
    /// What it holds.
    pub from: Box<RawValue>,
    /// What it would hold.
    pub to: Box<RawValue>,
}

/// What a row would do.
#[derive(Debug, Default)]
pub struct Foreseen {
    /// Whether the record that the row means is there; nothing where that was not asked.
    pub exists: Option<bool>,
    /// What would change in it.
    pub changes: Option<Vec<Changed>>,
    /// Why the row would be refused.
    pub refused: Option<Error>,
}

/// Writes of records that have keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyed {
    /// Changes of records that are there.
    Update,
    /// Changes of records, which are created where they are missing.
    Upsert,
    /// Deletions.
    Delete,
}

/// What changes of records would do. Records that cannot be read by these keys are not asked for.
///
/// # Errors
/// What the provider refuses for all of them.
pub async fn changes(
    records: &dyn Records,
    cx: &Context,
    (write, by): (Keyed, &KeyFields),
    rows: &[&Change],
) -> Result<Vec<Foreseen>> {
    let record_type = records.record_type();
    let readable = record_type.capability.get.as_ref().is_some_and(|get| get.by.contains(by));
    if !readable || rows.is_empty() {
        return Ok(rows.iter().map(|_| Foreseen::default()).collect());
    }
    let mut fields: Vec<&str> = record_type.key.0.iter().map(String::as_str).collect();
    for (name, _) in rows.iter().flat_map(|row| &row.edits) {
        if record_type.field(name).is_some() && !fields.contains(&name.as_str()) {
            fields.push(name);
        }
    }
    let select: Vec<FieldPath> = fields.into_iter().map(FieldPath::parse).collect();
    let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
    let found = records.get(cx, by, &keys, &select).await?;
    rows.iter().zip(found).map(|(row, found)| one(record_type, (write, by), row, found)).collect()
}

fn one(
    record_type: &RecordType,
    (write, by): (Keyed, &KeyFields),
    row: &Change,
    found: Result<Option<Record>>,
) -> Result<Foreseen> {
    let record = match found {
        Ok(record) => record,
        Err(error) => return Ok(Foreseen { refused: Some(error), ..Foreseen::default() }),
    };
    let Some(record) = record else {
        let refused = match write {
            Keyed::Update => Some(missing(&row.key)),
            // What is gone already is as good as deleted.
            Keyed::Delete => None,
            Keyed::Upsert => unborn(record_type, by, row),
        };
        return Ok(Foreseen { exists: Some(false), changes: None, refused });
    };
    let refused = outdated(record_type, write, row, &record);
    let changes = (write != Keyed::Delete).then(|| differences(row, &record)).transpose()?;
    Ok(Foreseen { exists: Some(true), changes, refused })
}

fn missing(key: &Key) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no record {key}"))
        .with_code("missing")
        .with_advice("Create it, or leave the row out")
}

/// Why an upsert cannot create the record that it does not find.
fn unborn(record_type: &RecordType, by: &KeyFields, row: &Change) -> Option<Error> {
    let upsert = record_type.capability.upsert.as_ref()?;
    if upsert.match_only.contains(by) {
        return Some(missing(&row.key));
    }
    let lacking = check::lacking(record_type, by, &row.edits);
    if lacking.is_empty() {
        return None;
    }
    let error = Error::invalid(format!("there is no record {}, and this row cannot create it", row.key));
    Some(lacking.into_iter().fold(error, Error::with_field_error))
}

/// Why a row that asks for a version is refused: the record has another.
fn outdated(record_type: &RecordType, write: Keyed, row: &Change, record: &Record) -> Option<Error> {
    let (wanted, held) = (row.if_version.as_ref()?, record.version.as_ref()?);
    let capability = &record_type.capability;
    let support = match write {
        Keyed::Update => capability.update.as_ref(),
        Keyed::Upsert => capability.upsert.as_ref().map(|upsert| &upsert.write),
        Keyed::Delete => capability.delete.as_ref(),
    }
    .map_or(VersionSupport::None, |write| write.version);
    let second = |text: &str| text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    let same = match support {
        VersionSupport::None => true,
        VersionSupport::Exact => wanted == held,
        VersionSupport::OneSecond => {
            wanted == held || second(wanted).is_some_and(|at| second(held) == Some(at))
        }
    };
    (!same).then(|| {
        Error::new(ErrorKind::Conflict, "the record changed since this version")
            .with_code("version_conflict")
            .with_key(record.key.to_string())
            .with_advice("Read the record again")
    })
}

/// Keys of rows that were looked at before in the same dry run.
#[derive(Debug, Default)]
pub struct Seen(HashSet<(KeyFields, Key)>);

/// For each row that would be created, why it would be refused: a record, or an earlier row, has one of its keys.
///
/// # Errors
/// What the provider refuses for all of them.
pub async fn creations(
    records: &dyn Records,
    cx: &Context,
    rows: &[&NewRow],
    options: &WriteOptions,
    seen: &mut Seen,
) -> Result<Vec<Option<Error>>> {
    let record_type = records.record_type();
    let readable = record_type.capability.get.as_ref().map_or(&[][..], |get| &get.by);
    let marks = record_type.capability.create.as_ref().map_or(&[][..], |create| &create.marks);
    let mut refused: Vec<Option<Error>> = rows.iter().map(|_| None).collect();
    let mut asked: BTreeMap<usize, Vec<(usize, Key)>> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        // With some options the provider makes another value of it, and refuses nothing.
        let settled = records.mark(row, options).is_some();
        for (which, by) in readable.iter().enumerate() {
            if !settled && by.0.iter().any(|field| marks.contains(field)) {
                continue;
            }
            let Some(key) = key_of(row, by) else { continue };
            if seen.0.insert((by.clone(), key.clone())) {
                asked.entry(which).or_default().push((place, key));
            } else {
                refused[place] = Some(duplicate(by, &key, "another of these rows"));
            }
        }
    }
    for (which, wanted) in asked {
        let Some(by) = readable.get(which) else { continue };
        let keys: Vec<Key> = wanted.iter().map(|(_, key)| key.clone()).collect();
        let found = records.get(cx, by, &keys, &[]).await?;
        for ((place, key), found) in wanted.into_iter().zip(found) {
            if let (Ok(Some(_)), Some(refused)) = (found, refused.get_mut(place)) {
                refused.get_or_insert_with(|| duplicate(by, &key, "a record"));
            }
        }
    }
    Ok(refused)
}

/// The key that a row to be created gives its record, when it gives all of it.
fn key_of(row: &NewRow, by: &KeyFields) -> Option<Key> {
    let members = by.0.iter().map(|field| {
        let (_, edit) = row.fields.iter().find(|(name, _)| name == field)?;
        match edit {
            Edit::Set(value) => Some((field.clone(), serde_json::from_str(value.get()).ok()?)),
            Edit::Clear | Edit::List { .. } => None,
        }
    });
    let members: Option<serde_json::Map<String, Json>> = members.collect();
    Key::from_json(&members?.into(), by).ok()
}

fn duplicate(by: &KeyFields, key: &Key, who: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{who} has {by} {key} already"))
        .with_code("duplicate_key")
        .with_advice("Upsert by that key, or leave the record out")
}

/// What a change would change in a record.
///
/// # Errors
/// Protocol, when the record cannot be read.
pub fn differences(change: &Change, record: &Record) -> Result<Vec<Changed>> {
    let names: Vec<&str> = change.edits.iter().map(|(name, _)| name.as_str()).collect();
    let held = members(record.text(), &names)?;
    let mut out = Vec::new();
    for ((name, edit), held) in change.edits.iter().zip(held) {
        let Some(held) = held else { continue };
        let to = match edit {
            Edit::Set(value) => value.clone(),
            Edit::Clear => RawValue::NULL.to_owned(),
            Edit::List { add, remove } => match listed(held.get(), add, remove) {
                Some(to) => to,
                None => continue,
            },
        };
        if !same(held.get(), to.get()) {
            out.push(Changed { field: name.clone(), from: held.to_owned(), to });
        }
    }
    Ok(out)
}

/// A list with values added and removed.
fn listed(held: &str, add: &[Json], remove: &[Json]) -> Option<Box<RawValue>> {
    let mut list: Vec<Json> = serde_json::from_str::<Option<_>>(held).ok()?.unwrap_or_default();
    list.retain(|value| !remove.contains(value));
    for value in add {
        if !list.contains(value) {
            list.push(value.clone());
        }
    }
    serde_json::value::to_raw_value(&list).ok()
}

/// Whether two JSON texts are one value: numbers by their digits, instants whatever their offset.
fn same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    if let (Some(one), Some(other)) = (Number::parse(one), Number::parse(other)) {
        return one == other;
    }
    let text = |json: &str| serde_json::from_str::<String>(json).ok();
    match (text(one), text(other)) {
        (Some(one), Some(other)) => {
            let instant = |text: &str| text.parse::<Timestamp>().ok();
            one == other || instant(&one).is_some_and(|at| instant(&other) == Some(at))
        }
        _ => {
            let tree = |json: &str| serde_json::from_str::<Json>(json).ok();
            tree(one) == tree(other)
        }
    }
}
