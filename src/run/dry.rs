//! A run that writes nothing: what would become of each record, the requests that would be sent, and what they cost.
//!
//! The target stands on a plane that records instead of sending (`layer/dry_run.rs`), so that the requests are exactly
//! those of a run.

use serde::Serialize;

use super::conduct::Route;
use super::content::Written;
use super::counts::{Skip, Skips};
use super::entry::{Intent, Kind};
use super::journal::Journal;
use super::linked::{on_delete, on_update};
use super::plan::{Mode, Plan};
use super::source::{Item, Read, Source, What, beginning, in_order, shared};
use super::write::Writer;
use crate::error::{Error, Result};
use crate::layer::dry_run::{DryRun, RecordedRequest};
use crate::layer::foresight::{Changed, Keyed, Seen};
use crate::mapping::document::{OnSourceDelete, Operation};
use crate::mapping::preview::{Previewed, Shown, previewed, previewed_linked, raw};
use crate::mapping::{Given, Mapping};
use crate::rows::RowReader;

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
    /// Records for which nothing would be done.
    pub skipped: u64,
    /// How many of these for which reason.
    #[serde(skip_serializing_if = "Skips::is_empty")]
    pub skipped_because: Skips,
    /// Requests that would be sent: what they cost at a service that counts calls.
    pub requests: u64,
}

/// What would become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Would {
    /// A record would be created.
    Create,
    /// A record would be changed.
    Update,
    /// It would be sent and change nothing.
    Same,
    /// A record would be deleted.
    Delete,
    /// It would be sent; nobody can tell whether its record exists.
    Send,
    /// It would be refused.
    Fail,
}

impl Would {
    /// What would become of a row of an operation, by what was foreseen.
    #[must_use]
    pub fn of(
        operation: Operation,
        refused: bool,
        exists: Option<bool>,
        changes: Option<&[Changed]>,
    ) -> Self {
        match (refused, operation, exists, changes) {
            (true, ..) => Self::Fail,
            (false, Operation::Create, ..) | (false, Operation::Upsert, Some(false), _) => Self::Create,
            (false, Operation::Delete, Some(false), _) => Self::Same,
            (false, Operation::Delete, ..) => Self::Delete,
            (false, _, Some(true), Some([])) => Self::Same,
            (false, _, Some(true), _) => Self::Update,
            (false, ..) => Self::Send,
        }
    }

    /// The word in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Same => "same",
            Self::Delete => "delete",
            Self::Send => "send",
            Self::Fail => "fail",
        }
    }
}

impl DrySummary {
    /// Counts a row.
    pub fn count(&mut self, would: Would) {
        let counter = match would {
            Would::Create => &mut self.create,
            Would::Update => &mut self.update,
            Would::Same => &mut self.same,
            Would::Delete => &mut self.delete,
            Would::Send => &mut self.sent,
            Would::Fail => &mut self.rejected,
        };
        *counter += 1;
    }
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

/// Reads and maps what a run would, and tells what it would do. What a run of changes would begin with stands in the
/// journal.
///
/// # Errors
/// What either provider refuses, and what `tell` does.
pub async fn dry_run(
    (mapping, plan, route): (&Mapping, &Plan, &Route),
    journal: &Journal,
    record: &DryRun,
    rows: Option<RowReader<'static>>,
    tell: &mut (dyn FnMut(Told) -> Result<()> + Send),
) -> Result<DrySummary> {
    let place = beginning(journal, mapping, plan).await?;
    let mut source = Source::open(mapping, plan, &route.source, &place, rows).await?;
    let mut summary = DrySummary::default();
    let mut seen = Seen::default();
    let mut shown = 0;
    let writer = Writer::new("dry-run", mapping, &route.target);
    while plan.limit.is_none_or(|limit| summary.read < limit) {
        let Some(Read { mut items, .. }) = source.next().await? else { break };
        if let Some(limit) = plan.limit {
            items.truncate(usize::try_from(limit - summary.read).unwrap_or(usize::MAX));
        }
        let links = match plan.mode {
            Mode::Changes => {
                let keys = items.iter().map(|item| item.source_key.clone()).collect();
                journal.links(&mapping.name, keys).await?
            }
            Mode::Full | Mode::Rows(_) => items.iter().map(|_| None).collect(),
        };
        let (items, links) = in_order(mapping, items, links);
        let shares = shared(journal, mapping, &items, &links).await?;
        let before = summary.read;
        summary.read += items.len() as u64;
        let page = page((mapping, route), items, (links, shares), before, &mut seen).await?;
        let mut intents: Vec<Intent> = Vec::new();
        for (one, number) in page.into_iter().zip(before..) {
            let (kind, one) = match one {
                Planned::Row(kind, one) => (kind, one),
                // Only what is missing of its content goes there.
                Planned::Content(one) => {
                    summary.count(if one.error.is_some() { Would::Fail } else { Would::Update });
                    tell(Told::Record(one))?;
                    continue;
                }
                Planned::Skip(why) => {
                    summary.skipped += 1;
                    summary.skipped_because.add(why);
                    continue;
                }
            };
            let operation = writer.operation(kind);
            summary.count(Would::of(operation, one.error.is_some(), one.exists, one.changes.as_deref()));
            if let (None, Some(row)) = (&one.error, &one.row) {
                intents.push(intent(kind, row.get(), number, &route.target));
            }
            tell(Told::Record(one))?;
        }
        for alike in intents.chunk_by(|one, next| one.kind == next.kind) {
            for batch in alike.chunks(writer.batch(alike[0].kind)) {
                writer.send_dry(batch).await?;
            }
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

/// What would become of a record.
enum Planned {
    /// A row is sent.
    Row(Kind, Box<Previewed>),
    /// The row was written by an earlier run, and content goes along.
    Content(Box<Previewed>),
    /// Nothing is done.
    Skip(Skip),
}

/// Maps a page and compares it with the target.
async fn page(
    (mapping, route): (&Mapping, &Route),
    items: Vec<Item>,
    (links, shares): (Vec<Option<String>>, Vec<bool>),
    before: u64,
    seen: &mut Seen,
) -> Result<Vec<Planned>> {
    let mut out: Vec<Option<Planned>> = items
        .iter()
        .zip(links.iter().zip(shares))
        .map(|(item, (link, shared))| item.skip(mapping, link.as_deref(), shared).map(Planned::Skip))
        .collect();
    let mut given = Vec::new();
    for ((item, row), skipped) in items.iter().zip(before + 1..).zip(&out) {
        if let (What::Record(record), None) = (&item.what, skipped) {
            given.push(Given { json: record.as_str(), key: item.source_key.as_deref(), row });
        }
    }
    let mut mapped = route.lookups.apply(&route.program, &given).await?.into_iter();
    let (mut places, mut records) = (Vec::new(), Vec::new());
    let (mut gone, mut deletions, mut how) = (Vec::new(), Vec::new(), Kind::Delete);
    let (mut changed, mut updates) = (Vec::new(), Vec::new());
    let by = &route.target.records.record_type().key;
    for (place, (item, link)) in
        items.iter().zip(&links).enumerate().filter(|(place, _)| out[*place].is_none())
    {
        let key = item.source_key.clone();
        let (json, mapped) = match &item.what {
            What::Record(record) => {
                let mapped = mapped.next().unwrap_or_else(|| Err(Error::bug("a record was not mapped")));
                let stands = item.stands(mapping, link.as_deref());
                let stands = stands.map(|text| Written::read(&text, &mapping.target, by)).transpose();
                match mapped.and_then(|mapped| Ok((mapped, stands?))) {
                    Ok((mapped, Some(written))) if mapping.updates_created() => {
                        let row = on_update(&mapped.json, written.key(), route.target.records.record_type())?;
                        changed.push((place, raw(record.as_str()), mapped.warnings));
                        updates.push((key, row));
                        continue;
                    }
                    mapped => (record.as_str(), mapped.map(|(mapped, _)| mapped)),
                }
            }
            What::Unreadable(error) => ("{}", Err(error.clone())),
            What::LeftOut => continue,
            What::Deleted => {
                if let Some((kind, row)) = deletion((mapping, route), link.as_deref())? {
                    how = kind;
                    gone.push(place);
                    deletions.push((key, row));
                }
                continue;
            }
        };
        places.push(place);
        records.push(Shown { key, json, mapped });
    }
    let creates = mapping.target.operation == Operation::Create;
    let shown = previewed(mapping, records, &route.target, seen).await?;
    for (place, one) in places.into_iter().zip(shown) {
        let one = Box::new(one);
        let stands = creates && !mapping.updates_created() && items[place].written.is_some();
        out[place] = Some(if stands { Planned::Content(one) } else { Planned::Row(Kind::Write, one) });
    }
    let write = if how == Kind::Delete { Keyed::Delete } else { Keyed::Update };
    let shown = previewed_linked(deletions, write, &route.target).await?;
    for (place, one) in gone.into_iter().zip(shown) {
        out[place] = Some(Planned::Row(how, Box::new(one)));
    }
    let shown = previewed_linked(updates, Keyed::Update, &route.target).await?;
    for ((place, source, warnings), mut one) in changed.into_iter().zip(shown) {
        (one.source, one.warnings) = (source, warnings);
        out[place] = Some(Planned::Row(Kind::Update, Box::new(one)));
    }
    let planned = out.into_iter().map(|one| one.ok_or_else(|| Error::bug("a record was not planned")));
    planned.collect()
}

/// The row that the deletion of a source's record makes, of one kind for all of a mapping.
fn deletion((mapping, route): (&Mapping, &Route), link: Option<&str>) -> Result<Option<(Kind, String)>> {
    let rule = mapping.on_source_delete.as_ref().unwrap_or(&OnSourceDelete::Ignore);
    on_delete(rule, link.unwrap_or_default(), &route.target.records.record_type().key)
}

fn intent(kind: Kind, row: &str, number: u64, target: &crate::mapping::Side) -> Intent {
    Intent {
        number,
        kind,
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
