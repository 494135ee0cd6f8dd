//! A look at what a mapping would do: real records of the source beside the rows that they become, what the target
//! would refuse, and what would change there. Nothing is written.

use std::sync::Arc;

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
use crate::layer::foresight::{self, Changed, Keyed, Seen};
use crate::provider::search::{RecordsExt as _, Search};
use crate::provider::{Change, NewRow};
use crate::record::{FieldPath, KeyFields, QueryDraft, RecordType};
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
    meant: Option<Meant>,
}

/// What a row means.
#[derive(Debug)]
enum Meant {
    /// A new record.
    New(NewRow),
    /// A change, or the deletion, of a record that has a key.
    Keyed(Change),
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
    foresee(mapping, target, &mut Seen::default(), &mut previewed).await?;
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
    Previewed { error: Some(error), ..empty() }
}

fn empty() -> Previewed {
    Previewed {
        key: None,
        source: None,
        row: None,
        contents: Vec::new(),
        error: None,
        warnings: Vec::new(),
        exists: None,
        changes: None,
        meant: None,
    }
}

pub(crate) fn raw(text: &str) -> Option<Box<RawValue>> {
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
    seen: &mut Seen,
) -> Result<Vec<Previewed>> {
    let mut all: Vec<Previewed> = records.into_iter().map(|shown| one(mapping, shown, target)).collect();
    foresee(mapping, target, seen, &mut all).await?;
    Ok(all)
}

/// What changes and deletions of records of the source do to records that were made of them before: for each its key and
/// the row.
pub(crate) async fn previewed_linked(
    rows: Vec<(Option<String>, String)>,
    write: Keyed,
    target: &Side,
) -> Result<Vec<Previewed>> {
    let by = target.records.record_type().key.clone();
    let one = |(key, text): (Option<String>, String)| {
        let row = RawRow::parse(&text, 0)?;
        let change = match write {
            Keyed::Delete => deletion(row, &by)?,
            Keyed::Update | Keyed::Upsert => row.into_change(&by)?,
        };
        Ok(Previewed { key, row: raw(&text), meant: Some(Meant::Keyed(change)), ..empty() })
    };
    let mut all = rows.into_iter().map(one).collect::<Result<Vec<Previewed>>>()?;
    foresee_changes((write, &by), target, &mut all).await?;
    Ok(all)
}

fn one(mapping: &Mapping, Shown { key, json, mapped }: Shown<'_>, target: &Side) -> Previewed {
    let shown = match mapped {
        Err(error) => failed(error),
        Ok(mapped) => {
            let checked = checked(mapping, target.records.record_type(), &mapped.json);
            let (meant, error) = match checked {
                Ok(meant) => (Some(meant), None),
                Err(error) => (None, Some(error)),
            };
            Previewed {
                row: raw(&mapped.json),
                error,
                warnings: mapped.warnings,
                contents: mapped.contents,
                meant,
                ..empty()
            }
        }
    };
    Previewed { key, source: raw(json), ..shown }
}

/// Checks a row as the write would; gives what it means.
fn checked(mapping: &Mapping, record_type: &Arc<RecordType>, json: &str) -> Result<Meant> {
    let row: RawRow = RowReader::new(json.as_bytes(), RowFormat::Json, record_type, false)
        .next()
        .unwrap_or_else(|| Err(Error::bug("a mapped row is no row")))?;
    match mapping.target.operation {
        Operation::Create => {
            let new = row.into_new()?;
            check::new_row(record_type, &new.fields)?;
            Ok(Meant::New(new))
        }
        Operation::Update => {
            let change = row.into_change(&record_type.key)?;
            check::change(record_type, &change.edits)?;
            Ok(Meant::Keyed(change))
        }
        Operation::Upsert => {
            let by = by(mapping);
            let change = row.into_change(&by)?;
            check::upsert(record_type, &by, &change)?;
            Ok(Meant::Keyed(change))
        }
        Operation::Delete => Ok(Meant::Keyed(deletion(row, &record_type.key)?)),
    }
}

/// A deletion as a change that says nothing but which record it means.
fn deletion(row: RawRow, by: &KeyFields) -> Result<Change> {
    let deleted = row.into_key(by)?;
    Ok(Change { key: deleted.key, edits: Vec::new(), if_version: deleted.if_version })
}

fn by(mapping: &Mapping) -> KeyFields {
    KeyFields(mapping.target.by.clone().unwrap_or_default())
}

/// Tells what the rows would change, and which would be refused for what is there already.
async fn foresee(
    mapping: &Mapping,
    target: &Side,
    seen: &mut Seen,
    previewed: &mut [Previewed],
) -> Result<()> {
    let keyed = match mapping.target.operation {
        Operation::Create => {
            let options = mapping.target.options.clone().unwrap_or_default();
            let (places, new): (Vec<usize>, Vec<&NewRow>) = previewed
                .iter()
                .enumerate()
                .filter_map(|(place, one)| match &one.meant {
                    Some(Meant::New(new)) => Some((place, new)),
                    _ => None,
                })
                .unzip();
            let (records, cx) = (target.records.as_ref(), &target.cx);
            let refused = foresight::creations(records, cx, &new, &options, seen).await?;
            for (place, refused) in places.into_iter().zip(refused) {
                previewed[place].error = refused;
            }
            return Ok(());
        }
        Operation::Update => (Keyed::Update, target.records.record_type().key.clone()),
        Operation::Upsert => (Keyed::Upsert, by(mapping)),
        Operation::Delete => (Keyed::Delete, target.records.record_type().key.clone()),
    };
    foresee_changes((keyed.0, &keyed.1), target, previewed).await
}

async fn foresee_changes(
    keyed: (Keyed, &KeyFields),
    target: &Side,
    previewed: &mut [Previewed],
) -> Result<()> {
    let (places, changes): (Vec<usize>, Vec<&Change>) = previewed
        .iter()
        .enumerate()
        .filter_map(|(place, one)| match &one.meant {
            Some(Meant::Keyed(change)) => Some((place, change)),
            _ => None,
        })
        .unzip();
    let found = foresight::changes(target.records.as_ref(), &target.cx, keyed, &changes).await?;
    for (place, found) in places.into_iter().zip(found) {
        let one = &mut previewed[place];
        (one.exists, one.changes, one.error) = (found.exists, found.changes, found.refused);
    }
    Ok(())
}
