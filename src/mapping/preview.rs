//! A look at what a mapping would do: real records of the source beside the rows that they become, what the target
//! would refuse, and what would change there. Nothing is written.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::value::RawValue;

use super::compile::reads;
use super::document::{Mapping, Operation};
use super::lookup::Lookups;
use super::open::Side;
use super::program::{Given, Mapped, Program, Transfer};
use crate::error::{Error, FieldError, Position, Result};
use crate::layer::check;
use crate::provider::search::{RecordsExt as _, Search};
use crate::provider::{Change, Edit};
use crate::record::number::Number;
use crate::record::pick::members;
use crate::record::{FieldPath, Key, KeyFields, QueryDraft, Record, RecordType};
use crate::rows::{RawRow, RowFormat, RowReader};

/// One record of the source and what becomes of it.
#[derive(Debug, Serialize)]
pub struct Previewed {
    /// The source's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The source's record, as far as the mapping reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<RawValue>>,
    /// The row that it becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<Box<RawValue>>,
    /// Content that goes along with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<Transfer>,
    /// Why it does not become one, or why the target would refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// What was cut or cleared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FieldError>,
    /// Whether the target has the record that the row means; nothing where that was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// What would change in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Changed>>,
    #[serde(skip)]
    change: Option<Change>,
}

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

/// Reads up to `limit` records of the source and shows what becomes of them.
///
/// # Errors
/// What either provider refuses.
pub async fn preview(
    mapping: &Mapping,
    program: &Program,
    (source, target): (&Side, &Side),
    lookups: &Lookups,
    limit: u64,
    timezone: &TimeZone,
) -> Result<Vec<Previewed>> {
    let mut draft = match &mapping.source.query {
        Some(query) => QueryDraft::from_json(&query.tree())?,
        None => QueryDraft::default(),
    };
    draft.limit = Some(draft.limit.map_or(limit, |own| own.min(limit)));
    draft.select = selection(mapping, source.records.record_type());
    let prepared = source.records.prepare(&source.cx, &draft, timezone).await?;
    let mut search = Search::start(Arc::clone(&source.records), source.cx.clone(), &prepared);
    let mut previewed = Vec::new();
    while let Some(page) = search.next_page().await? {
        let keys: Vec<String> = page.records.iter().flatten().map(|record| record.key.to_string()).collect();
        let before = previewed.len() as u64;
        let given: Vec<Given<'_>> = page
            .records
            .iter()
            .enumerate()
            .filter_map(|(at, record)| Some((at as u64, record.as_ref().ok()?)))
            .zip(&keys)
            .map(|((at, record), key)| Given { json: record.text(), key: Some(key), row: before + at + 1 })
            .collect();
        let mut mapped = lookups.apply(program, &given).await?.into_iter();
        for record in page.records {
            previewed.push(match record {
                Ok(record) => {
                    let mapped = mapped.next().unwrap_or_else(|| Err(Error::bug("a record was not mapped")));
                    let key = Some(record.key.to_string());
                    one(mapping, Shown { key, json: record.text(), mapped }, target)
                }
                Err(bad) => failed(bad.error.with_position(Position::Row(bad.position))),
            });
        }
    }
    compare(mapping, target, &mut previewed).await?;
    Ok(previewed)
}

/// What is read of each record: what the mapping needs, and the key.
pub fn selection(mapping: &Mapping, record_type: &RecordType) -> Vec<FieldPath> {
    let read = reads(mapping);
    if read.whole {
        return Vec::new();
    }
    let mut paths: Vec<FieldPath> = record_type.key.0.iter().map(|field| FieldPath::parse(field)).collect();
    paths.extend(read.paths.into_iter().filter(|path| !record_type.key.0.contains(&path.to_string())));
    paths
}

fn failed(error: Error) -> Previewed {
    Previewed {
        key: None,
        source: None,
        row: None,
        contents: Vec::new(),
        error: Some(error),
        warnings: Vec::new(),
        exists: None,
        changes: None,
        change: None,
    }
}

fn raw(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).ok()
}

/// A record with the row that it was mapped to.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) key: Option<String>,
    pub(crate) json: &'a str,
    pub(crate) mapped: Result<Mapped>,
}

/// What becomes of records that were mapped, compared with what the target has.
pub(crate) async fn previewed(
    mapping: &Mapping,
    records: Vec<Shown<'_>>,
    target: &Side,
) -> Result<Vec<Previewed>> {
    let mut all: Vec<Previewed> = records.into_iter().map(|shown| one(mapping, shown, target)).collect();
    compare(mapping, target, &mut all).await?;
    Ok(all)
}

fn one(mapping: &Mapping, Shown { key, json, mapped }: Shown<'_>, target: &Side) -> Previewed {
    let shown = match mapped {
        Err(error) => failed(error),
        Ok(mapped) => {
            let checked = checked(mapping, target.records.record_type(), &mapped.json);
            let (change, error) = match checked {
                Ok(change) => (change, None),
                Err(error) => (None, Some(error)),
            };
            Previewed {
                row: raw(&mapped.json),
                error,
                warnings: mapped.warnings,
                contents: mapped.contents,
                change,
                ..failed(Error::bug(""))
            }
        }
    };
    Previewed { key, source: raw(json), ..shown }
}

/// Checks a row as the write would; gives the change that it is, where it means a record.
fn checked(mapping: &Mapping, record_type: &Arc<RecordType>, json: &str) -> Result<Option<Change>> {
    let row: RawRow = RowReader::new(json.as_bytes(), RowFormat::Json, record_type, false)
        .next()
        .unwrap_or_else(|| Err(Error::bug("a mapped row is no row")))?;
    match mapping.target.operation {
        Operation::Create => {
            check::new_row(record_type, &row.into_new()?.fields)?;
            Ok(None)
        }
        Operation::Update => {
            let change = row.into_change(&record_type.key)?;
            check::change(record_type, &change.edits)?;
            Ok(Some(change))
        }
        Operation::Upsert => {
            let by = by(mapping);
            let change = row.into_change(&by)?;
            check::upsert(record_type, &by, &change)?;
            Ok(Some(change))
        }
        Operation::Delete => {
            let deleted = row.into_key(&record_type.key)?;
            Ok(Some(Change { key: deleted.key, edits: Vec::new(), if_version: deleted.if_version }))
        }
    }
}

fn by(mapping: &Mapping) -> KeyFields {
    KeyFields(mapping.target.by.clone().unwrap_or_default())
}

/// Reads the records that the rows mean, and tells what would change in them.
async fn compare(mapping: &Mapping, target: &Side, previewed: &mut [Previewed]) -> Result<()> {
    let record_type = target.records.record_type();
    let by = match mapping.target.operation {
        Operation::Create => return Ok(()),
        Operation::Upsert => by(mapping),
        Operation::Update | Operation::Delete => record_type.key.clone(),
    };
    let readable = record_type.capability.get.as_ref().is_some_and(|get| get.by.contains(&by));
    if !readable {
        return Ok(());
    }
    let mut fields: Vec<String> = record_type.key.0.clone();
    let mut keys: Vec<Key> = Vec::new();
    for change in previewed.iter().filter_map(|one| one.change.as_ref()) {
        keys.push(change.key.clone());
        for (name, _) in &change.edits {
            if record_type.field(name).is_some() && !fields.contains(name) {
                fields.push(name.clone());
            }
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let select: Vec<FieldPath> = fields.iter().map(|field| FieldPath::parse(field)).collect();
    let found = target.records.get(&target.cx, &by, &keys, &select).await?;
    let changing = previewed.iter_mut().filter(|one| one.change.is_some());
    for (one, found) in changing.zip(found) {
        let Some(change) = one.change.take() else { continue };
        match found {
            Ok(Some(record)) => {
                one.exists = Some(true);
                one.changes = Some(differences(&change, &record)?);
            }
            Ok(None) => one.exists = Some(false),
            Err(error) => {
                one.error.get_or_insert(error);
            }
        }
    }
    Ok(())
}

pub(crate) fn differences(change: &Change, record: &Record) -> Result<Vec<Changed>> {
    let names: Vec<&str> = change.edits.iter().map(|(name, _)| name.as_str()).collect();
    let held = members(record.text(), &names)?;
    let mut out = Vec::new();
    for ((name, edit), held) in change.edits.iter().zip(held) {
        let wanted = match edit {
            Edit::Set(value) => value.get(),
            Edit::Clear => "null",
            Edit::List { .. } => continue,
        };
        let Some(held) = held else { continue };
        if !same(held.get(), wanted)
            && let Some(to) = raw(wanted)
        {
            out.push(Changed { field: name.clone(), from: held.to_owned(), to });
        }
    }
    Ok(out)
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
            let tree = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
            tree(one) == tree(other)
        }
    }
}
