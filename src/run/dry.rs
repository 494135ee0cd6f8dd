//! A run that writes nothing: what would become of each record, the requests that would be sent, and what they cost.
//!
//! The target stands on a plane that records instead of sending (`layer/dry_run.rs`), so that the requests are exactly
//! those of a run.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::conduct::Route;
use super::journal::{Intent, Kind, Place};
use super::plan::Plan;
use super::source::{Item, Read, Source, What};
use super::write::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::dry_run::{DryRun, RecordedRequest};
use crate::mapping::document::Operation;
use crate::mapping::preview::{Previewed, Shown, previewed};
use crate::mapping::{Given, Mapping};
use crate::record::{Key, KeyFields};
use crate::rows::{RawRow, RowReader};

/// What would have been done.
#[derive(Debug, Default, Serialize)]
pub struct DrySummary {
    /// Records that were read.
    pub read: u64,
    /// Rows that would be created, as far as that can be told.
    pub create: u64,
    /// Rows that would be updated.
    pub update: u64,
    /// Rows that would change nothing, though they would be sent.
    pub same: u64,
    /// Rows that would be deleted.
    pub delete: u64,
    /// Rows that would be sent, of which it cannot be told whether their records exist.
    pub sent: u64,
    /// Records that cannot be mapped, and rows that would be refused.
    pub rejected: u64,
    /// Requests that would be sent.
    pub requests: u64,
}

/// One thing that a dry run tells.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// A record beside its row, and what would change.
    Record(Box<Previewed>),
    /// A request that was not sent.
    Request(Box<RecordedRequest>),
}

/// Reads and maps what a run would, and tells what it would do.
///
/// # Errors
/// What either provider refuses, and what `tell` does.
pub async fn dry_run(
    mapping: &Mapping,
    plan: &Plan,
    route: &Route,
    record: &DryRun,
    rows: Option<RowReader<'static>>,
    tell: &mut (dyn FnMut(Told) -> Result<()> + Send),
) -> Result<DrySummary> {
    let mut source = Source::open(mapping, plan, &route.source, &Place::Start, rows).await?;
    let mut summary = DrySummary::default();
    let mut seen = HashSet::new();
    let mut shown = 0;
    let writer = Writer::new("dry-run", mapping, &route.target);
    while plan.limit.is_none_or(|limit| summary.read < limit) {
        let Some(Read { mut items, .. }) = source.next().await? else { break };
        if let Some(limit) = plan.limit {
            items.truncate(usize::try_from(limit - summary.read).unwrap_or(usize::MAX));
        }
        let mut records = page(mapping, route, items, summary.read).await?;
        duplicates(mapping, route, &mut records, &mut seen).await?;
        let intents: Vec<Intent> = records
            .iter()
            .filter(|one| one.error.is_none())
            .zip(summary.read..)
            .filter_map(|(one, number)| Some(intent(one.row.as_ref()?.get(), number, &route.target)))
            .collect();
        summary.read += records.len() as u64;
        for one in &records {
            count(mapping.target.operation, one, &mut summary);
        }
        for one in records {
            tell(Told::Record(Box::new(one)))?;
        }
        for batch in intents.chunks(writer.batch(Kind::Write)) {
            writer.send_dry(batch).await?;
        }
        let requests = record.requests();
        for request in requests.into_iter().skip(shown) {
            shown += 1;
            tell(Told::Request(Box::new(request)))?;
        }
    }
    summary.requests = shown as u64;
    Ok(summary)
}

/// Maps a page and compares it with the target.
async fn page(mapping: &Mapping, route: &Route, items: Vec<Item>, before: u64) -> Result<Vec<Previewed>> {
    let mut given = Vec::new();
    for (item, row) in items.iter().zip(before + 1..) {
        if let What::Record(record) = &item.what {
            given.push(Given { json: record.as_str(), key: item.source_key.as_deref(), row });
        }
    }
    let mut mapped = route.lookups.apply(&route.program, &given).await?.into_iter();
    let records = items
        .iter()
        .map(|item| {
            let (json, mapped) = match &item.what {
                What::Record(record) => {
                    let mapped = mapped.next();
                    (record.as_str(), mapped.unwrap_or_else(|| Err(Error::bug("a record was not mapped"))))
                }
                What::Unreadable(error) => ("{}", Err(error.clone())),
                What::Deleted | What::LeftOut => ("{}", Err(Error::bug("a change in a dry run"))),
            };
            Shown { key: item.source_key.clone(), json, mapped }
        })
        .collect();
    previewed(mapping, records, &route.target).await
}

/// Rows that would be refused since another has their key: in the target, or among themselves.
async fn duplicates(
    mapping: &Mapping,
    route: &Route,
    records: &mut [Previewed],
    seen: &mut HashSet<(KeyFields, Key)>,
) -> Result<()> {
    if mapping.target.operation != Operation::Create {
        return Ok(());
    }
    let target = &route.target;
    let record_type = target.records.record_type();
    let readable = record_type.capability.get.as_ref().map_or(&[][..], |get| &get.by);
    let mut asked: BTreeMap<usize, Vec<(usize, Key)>> = BTreeMap::new();
    for (place, one) in records.iter_mut().enumerate().filter(|(_, one)| one.error.is_none()) {
        let Some(row) = &one.row else { continue };
        let row = RawRow::parse(row.get(), 0)?;
        for (which, by) in readable.iter().enumerate() {
            let members = by.0.iter().map(|field| {
                let value = row.members.iter().find(|(name, _)| name == field);
                let value = serde_json::from_str(value?.1.get()).ok()?;
                Some((field.clone(), value))
            });
            let members: Option<serde_json::Map<_, _>> = members.collect();
            let key = members.and_then(|members| Key::from_json(&members.into(), by).ok());
            let Some(key) = key else { continue };
            if seen.insert((by.clone(), key.clone())) {
                asked.entry(which).or_default().push((place, key));
            } else {
                one.error = Some(duplicate(by, &key, "another row of this run"));
            }
        }
    }
    for (which, wanted) in asked {
        let Some(by) = readable.get(which) else { continue };
        let keys: Vec<Key> = wanted.iter().map(|(_, key)| key.clone()).collect();
        let found = target.records.get(&target.cx, by, &keys, &[]).await?;
        for ((place, key), found) in wanted.into_iter().zip(found) {
            if let (Ok(Some(_)), Some(one)) = (found, records.get_mut(place)) {
                one.error.get_or_insert_with(|| duplicate(by, &key, "a record"));
            }
        }
    }
    Ok(())
}

fn duplicate(by: &KeyFields, key: &Key, who: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{who} has {by} {key} already"))
        .with_code("duplicate_key")
        .with_advice("Upsert by that key, or leave the record out")
}

fn intent(row: &str, number: u64, target: &crate::mapping::Side) -> Intent {
    Intent {
        number,
        kind: Kind::Write,
        identity: String::new(),
        source_key: None,
        mark: 0,
        record: String::new(),
        content: row.to_owned(),
        since: target.cx.clock.now(),
        sent: false,
        parcel: None,
    }
}

fn count(operation: Operation, one: &Previewed, summary: &mut DrySummary) {
    let counter = match (&one.error, operation, one.exists, &one.changes) {
        (Some(_), ..) => &mut summary.rejected,
        (None, Operation::Create, ..) | (None, Operation::Upsert, Some(false), _) => &mut summary.create,
        (None, Operation::Delete, ..) => &mut summary.delete,
        (None, _, Some(true), Some(changes)) if changes.is_empty() => &mut summary.same,
        (None, _, Some(true), _) => &mut summary.update,
        (None, ..) => &mut summary.sent,
    };
    *counter += 1;
}
