//! Feeds of changes of short lists: each look reads the whole list and compares it with what the checkpoint remembers of
//! the look before. That tells every change that the list shows, also where a service's own feed keeps silent about some.

use std::collections::{BTreeMap, HashSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::changes::{KEYS_MAX, MarkedKeys, mark};
use super::search::RecordsExt as _;
use super::{ChangeEntry, ChangeKind, ChangePage, Context, Records};
use crate::error::{Error, Result};
use crate::record::pick::each_member;
use crate::record::{Checkpoint, Cursor, FieldPath, Key, QueryDraft, Record};

/// Form of [`Place`].
const FORM: u32 = 1;
/// Keys that are asked for at once.
const ASKED: usize = 50;

/// Where a feed stands; travels in [`Checkpoint::position`].
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    form: u32,
    known: MarkedKeys,
}

/// All changes of a list since a checkpoint, on one page; without a checkpoint the feed begins now and the page is empty.
/// A change of the fields `apart` alone, such as an entity tag, is none.
///
/// # Errors
/// What the provider refuses, a record that cannot be read, a list of more than [`KEYS_MAX`] records, a checkpoint that
/// is not this feed's.
pub async fn compared(
    records: &dyn Records,
    cx: &Context,
    since: Option<&Checkpoint>,
    select: &[FieldPath],
    apart: &[&str],
) -> Result<ChangePage> {
    let record_type = records.record_type();
    let mut known = MarkedKeys::default();
    if let Some(checkpoint) = since {
        checkpoint.belongs_to(record_type)?;
        known = checkpoint.place::<Place>(FORM)?.unwrap_or_default().known;
    }
    let mut list = listed(records, cx).await?;
    let gone = still_there(records, cx, &known, &mut list).await?;
    let mut changes = Vec::new();
    for (id, record) in list {
        let mark = mark_of(&record, apart)?;
        match known.insert(id, mark) {
            None => changes.push((ChangeKind::Created, record)),
            Some(before) if before != mark => changes.push((ChangeKind::Updated, record)),
            Some(_) => {}
        }
    }
    for id in &gone {
        known.remove(id);
    }
    let mut told = Vec::new();
    if since.is_some() {
        told = with_selection(records, cx, changes, select).await?;
        for id in gone {
            let key = Key::parse(&id, &record_type.key)?;
            told.push(entry(ChangeKind::Deleted, key, None));
        }
    }
    let checkpoint = Checkpoint::at(record_type, &Place { form: FORM, known })?;
    Ok(ChangePage { changes: told, checkpoint, more: false, notice: None })
}

fn entry(change: ChangeKind, key: Key, record: Option<Record>) -> ChangeEntry {
    ChangeEntry { change, key: Some(key), alternate: None, record, subtree: false }
}

/// The whole list by the texts of the keys.
async fn listed(records: &dyn Records, cx: &Context) -> Result<BTreeMap<String, Record>> {
    let plan = records.prepare(cx, &QueryDraft::default(), &TimeZone::UTC).await?.plan;
    let mut list = BTreeMap::new();
    let mut at: Option<Cursor> = None;
    let mut asked = HashSet::new();
    loop {
        if !asked.insert(at.as_ref().map(|at| at.position.to_string())) {
            return Err(Error::protocol("the provider leads back to a page that was read already")
                .with_code("repeated_cursor"));
        }
        let page = records.page(cx, &plan, at.as_ref()).await?;
        for record in page.records {
            let record = record.map_err(|row| row.error)?;
            list.insert(record.key.to_string(), record.detach());
        }
        if list.len() > KEYS_MAX {
            let name = &records.record_type().name;
            let what =
                format!("{name} has more than {KEYS_MAX} records, too many to be compared at each look");
            return Err(Error::unsupported(what));
        }
        at = page.next;
        if at.is_none() {
            return Ok(list);
        }
    }
}

/// Asks for what the list has no longer: it may have slipped from one page to another, or have left the list alone. What is
/// there joins the list, and the keys of the others are given back.
async fn still_there(
    records: &dyn Records,
    cx: &Context,
    known: &MarkedKeys,
    list: &mut BTreeMap<String, Record>,
) -> Result<Vec<String>> {
    let by = &records.record_type().key;
    let missing: Vec<String> = known.keys().filter(|id| !list.contains_key(*id)).map(str::to_owned).collect();
    let mut gone = Vec::new();
    for ids in missing.chunks(ASKED) {
        let keys = ids.iter().map(|id| Key::parse(id, by)).collect::<Result<Vec<Key>>>()?;
        for (id, found) in ids.iter().zip(records.get(cx, by, &keys, &[]).await?) {
            match found? {
                Some(record) => {
                    list.insert(id.clone(), record.detach());
                }
                None => gone.push(id.clone()),
            }
        }
    }
    Ok(gone)
}

fn mark_of(record: &Record, apart: &[&str]) -> Result<u32> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    each_member(record.text(), |name, value| {
        if !apart.contains(&name) {
            parts.push(name.as_bytes().to_vec());
            parts.push(value.get().as_bytes().to_vec());
        }
    })?;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(u32::try_from(mark(&parts) >> 32).unwrap_or_default())
}

/// The changes with the fields that are wanted. What went since the list was read is told as it stood there: the next look
/// tells that it is gone.
async fn with_selection(
    records: &dyn Records,
    cx: &Context,
    changes: Vec<(ChangeKind, Record)>,
    select: &[FieldPath],
) -> Result<Vec<ChangeEntry>> {
    let mut told = Vec::with_capacity(changes.len());
    if select.is_empty() {
        told.extend(
            changes.into_iter().map(|(change, record)| entry(change, record.key.clone(), Some(record))),
        );
        return Ok(told);
    }
    let by = &records.record_type().key;
    for some in changes.chunks(ASKED) {
        let keys: Vec<Key> = some.iter().map(|(_, record)| record.key.clone()).collect();
        for ((change, listed), found) in some.iter().zip(records.get(cx, by, &keys, select).await?) {
            let record = found?.unwrap_or_else(|| listed.clone());
            told.push(entry(*change, listed.key.clone(), Some(record)));
        }
    }
    Ok(told)
}
