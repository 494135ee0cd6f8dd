//! Feeds of changes: what a listing's cursor tells since. What the entries mean is looked at in `sightings.rs`; what is
//! known of the records stands in the checkpoint, and in the memory of whoever opened the connection where it is more.
//!
//! Source: the Stone specification (`list_folder/continue`, `get_latest_cursor`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::{self, Listing};
use super::columns::Kind;
use super::dialect;
use super::pages::{Head, Listed, listed};
use super::query::PAGE_MAX;
use super::records::DropboxRecords;
use super::remembered::{Carried, MOST, Remembered, sight};
use super::sightings::{Found, How, Sighted, Verdict, What, look, take_gone};
use crate::error::{Error, Result};
use crate::provider::feed_memory::{self, Entries, Known, MemoryMark, Presence};
use crate::provider::{ChangeEntry, ChangeKind, ChangePage, Context};
use crate::record::transcode::Shape;
use crate::record::{Checkpoint, FieldPath, Key, Record};

/// The present form of a place.
const FORM: u32 = 1;
/// How long Dropbox is asked to hold an answer back, the least that it takes; it adds up to 90 seconds.
const LONGPOLL_SECONDS: u64 = 30;
/// Deletions on one page, where there may be more than a checkpoint should carry.
const TOLD_AT_ONCE: usize = 500;
/// What a feed says when Dropbox made it begin anew.
const ANEW: &str = "Dropbox no longer knew the place of this feed; everything was listed and compared";
const ANEW_BLIND: &str = "Dropbox no longer knew the place of this feed; everything is told once more, and what was deleted \
                          in between is not told";
/// What a feed says whose memory is not there.
const FORGOTTEN: &str = "what this feed knew of its folder is not kept here (it went on elsewhere, or from too long ago): from \
                         here on a deletion names its path alone, and a move comes as a deletion and a change. Begin a new feed \
                         to have keys again";

/// What a feed says when there is more than it may remember.
fn too_many(most: usize) -> String {
    format!(
        "this folder has more than {most} entries, so keys of paths are not remembered from here on: a deletion names \
         its path alone, and a move comes as a deletion and a change. Follow a smaller folder, such as file:/Reports, or \
         connect with --set remember_max=..."
    )
}

/// Where a feed stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    form: u32,
    /// Dropbox's cursor; none when the listing begins with the next page.
    cursor: Option<String>,
    /// What stands where; nothing when that is not remembered here.
    seen: Option<Remembered>,
    /// While all is listed once more: what is not found yet of what was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Remembered>,
    /// Whether the entries are those of the first listing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    listing: bool,
    /// Records whose path was deleted, which the next page may bring at another, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gone: BTreeMap<String, String>,
    /// The memory that knows all this, where it is too much for a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryMark>,
    /// Whether all is listed once more and compared with the memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    comparing: bool,
    /// Whether the next page tells of more that is gone, by the memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    telling: bool,
}

impl Place {
    fn new(seen: Option<Remembered>) -> Self {
        Self {
            form: FORM,
            cursor: None,
            seen,
            before: None,
            listing: false,
            gone: BTreeMap::new(),
            memory: None,
            comparing: false,
            telling: false,
        }
    }

    fn keeps(&self) -> bool {
        self.seen.is_some() || self.memory.is_some()
    }

    fn compares(&self) -> bool {
        self.before.is_some() || self.comparing
    }

    /// Takes out what the checkpoint carries.
    fn take_carried(&mut self) -> Carried {
        let (seen, before) = (self.seen.take(), self.before.take());
        Carried::of(seen.unwrap_or_default(), before.unwrap_or_default(), std::mem::take(&mut self.gone))
    }

    /// Everything there is was listed.
    fn end_listing(&mut self) {
        (self.listing, self.comparing, self.before) = (false, false, None);
    }
}

impl DropboxRecords {
    fn listing<'a>(&'a self, templates: &'a [String]) -> Listing<'a> {
        Listing {
            path: self.folder_path(),
            recursive: true,
            deleted: false,
            size: PAGE_MAX,
            members: false,
            templates,
        }
    }

    fn remembers(&self) -> bool {
        self.account.config.remember_paths && self.kind != Kind::Entry
    }

    /// How many paths a checkpoint carries at most.
    fn most(&self) -> usize {
        self.account.config.remember_max.unwrap_or(MOST) as usize
    }

    /// One page of a feed.
    pub(super) async fn changes_since(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage> {
        let Some(since) = since else {
            let place = self.place_now(cx).await?;
            let notice = (self.remembers() && !place.keeps()).then(|| too_many(self.most()));
            let checkpoint = Checkpoint::at(&self.record_type, &place)?;
            return Ok(ChangePage { changes: Vec::new(), checkpoint, more: false, notice });
        };
        since.belongs_to(&self.record_type)?;
        let mut place = since.place::<Place>(FORM)?.unwrap_or_else(|| {
            let seen = self.remembers().then(Remembered::default);
            Place { listing: true, ..Place::new(seen) }
        });
        let mut notices = Vec::new();
        let mut changes = Vec::new();
        if place.telling {
            let (gone, rest) = self.rest_of_gone(cx, &mut place, &mut notices).await?;
            changes.extend(gone.into_iter().map(deletion));
            return self.page_of(&place, changes, rest, notices);
        }
        let templates = self.template_ids();
        let reply = match &place.cursor {
            Some(cursor) => match self.account.send(cx, api::list_on("changes", cursor)).await {
                Err(error) if error.code() == Some(dialect::RESET) => {
                    let call = api::list("changes", &self.listing(&templates));
                    let reply = self.account.send(cx, call).await?;
                    self.anew(cx, &mut place, &mut notices).await?;
                    reply
                }
                asked => asked?,
            },
            None => self.account.send(cx, api::list("changes", &self.listing(&templates))).await?,
        };
        let Listed { rows, cursor, has_more } = listed(&reply.body)?;
        let shape = self.shape(select, &[])?;
        if self.kind == Kind::Entry {
            for row in rows {
                changes.extend(self.entry_change(row, place.listing, &shape)?);
            }
        } else {
            let sighted = rows.iter().map(|row| self.sighted(row)).collect::<Result<Vec<_>>>()?;
            let (rows, sighted): (Vec<&[u8]>, Vec<Sighted>) =
                rows.into_iter().zip(sighted).filter_map(|(row, one)| Some((row, one?))).unzip();
            let sighted = Arc::new(sighted);
            let found = self.look(cx, &mut place, &sighted, !has_more, &mut notices).await?;
            for ((row, one), verdict) in rows.into_iter().zip(sighted.iter()).zip(found.verdicts) {
                match verdict {
                    Verdict::Nothing => {}
                    Verdict::Tell(change) => changes.push(self.change(change, row, &shape)?),
                    Verdict::Path => changes.push(path_deletion(&one.path)),
                }
            }
            changes.extend(found.gone.into_iter().map(deletion));
            place.telling = found.rest;
        }
        if !has_more {
            place.end_listing();
        }
        if place.seen.as_ref().is_some_and(|seen| seen.len() > self.most())
            && !self.move_to_memory(cx, &mut place).await?
        {
            // What a listing that began anew has not found yet stays known.
            place.seen = None;
            notices.push(too_many(self.most()));
        }
        place.cursor = Some(cursor);
        let more = has_more || place.telling;
        self.page_of(&place, changes, more, notices)
    }

    fn page_of(
        &self,
        place: &Place,
        changes: Vec<ChangeEntry>,
        more: bool,
        notices: Vec<String>,
    ) -> Result<ChangePage> {
        let checkpoint = Checkpoint::at(&self.record_type, place)?;
        let notice = (!notices.is_empty()).then(|| notices.join("; "));
        Ok(ChangePage { changes, checkpoint, more, notice })
    }

    /// An entry of a page; nothing for what is not mounted, which has no path and is not in this account.
    fn sighted(&self, row: &[u8]) -> Result<Option<Sighted>> {
        let head = Head::of(row)?;
        let Some(path) = head.path_lower.clone() else { return Ok(None) };
        let what = match &head.id {
            _ if head.tag.as_deref() == Some("deleted") => What::Deleted,
            Some(id) if self.is_own(row) => What::Own { key: id.clone(), mark: mark_of(&head) },
            _ => What::Foreign,
        };
        Ok(Some(Sighted { path, what }))
    }

    /// Looks at the entries of a page by what is known, in the memory or in the checkpoint.
    async fn look(
        &self,
        cx: &Context,
        place: &mut Place,
        sighted: &Arc<Vec<Sighted>>,
        is_last: bool,
        notices: &mut Vec<String>,
    ) -> Result<Found> {
        let (shared, how) = (Arc::clone(sighted), self.how(place));
        let work = move |entries: &mut dyn Entries| look(entries, &shared, how, is_last, TOLD_AT_ONCE);
        if let Some(found) = step(cx, place, notices, work).await? {
            return Ok(found);
        }
        let how = self.how(place);
        let mut carried = place.take_carried();
        let found = look(&mut carried, sighted, how, is_last, usize::MAX)?;
        let (seen, before, gone) = carried.into_parts();
        place.seen = how.keeps.then_some(seen);
        place.before = how.compares.then_some(before);
        place.gone = gone;
        Ok(found)
    }

    fn how(&self, place: &Place) -> How {
        How {
            folders: self.kind == Kind::Folder,
            keeps: place.keeps(),
            compares: place.compares(),
            listing: place.listing,
        }
    }

    /// More of what is gone, by the memory.
    async fn rest_of_gone(
        &self,
        cx: &Context,
        place: &mut Place,
        notices: &mut Vec<String>,
    ) -> Result<(Vec<Known>, bool)> {
        let found = step(cx, place, notices, |entries| take_gone(entries, TOLD_AT_ONCE)).await?;
        let (gone, rest) = found.unwrap_or_default();
        place.telling = rest;
        Ok((gone, rest))
    }

    /// Lists everything once more from here. One that was interrupted while it listed keeps what it has not found.
    async fn anew(&self, cx: &Context, place: &mut Place, notices: &mut Vec<String>) -> Result<()> {
        place.cursor = None;
        let turn = |entries: &mut dyn Entries| entries.turn(None, Presence::There, Presence::Before);
        if step(cx, place, notices, turn).await?.is_some() {
            place.comparing = true;
        } else {
            let was = place.seen.is_some();
            let mut carried = place.take_carried();
            carried.turn(None, Presence::There, Presence::Before)?;
            let (_, before, gone) = carried.into_parts();
            let remembers = self.remembers() && (was || before.len() > 0);
            place.seen = remembers.then(Remembered::default);
            place.before = remembers.then_some(before);
            place.gone = gone;
        }
        notices.push(if place.compares() { ANEW } else { ANEW_BLIND }.to_owned());
        Ok(())
    }

    /// Gives what a checkpoint can no longer carry to the memory; whether there is one.
    async fn move_to_memory(&self, cx: &Context, place: &mut Place) -> Result<bool> {
        let Some(memory) = &cx.memory else { return Ok(false) };
        let begun = memory.begin(self.record_type.name.as_str()).await?;
        place.comparing = place.before.is_some();
        let known = place.take_carried().into_known();
        place.memory = Some(begun);
        let moved = step(cx, place, &mut Vec::new(), move |entries| put_all(entries, &known)).await?;
        moved.map(|()| true).ok_or_else(|| Error::bug("a memory of a feed that was just begun is not known"))
    }

    /// The place of a feed that tells what changes from now on. What there is now is remembered, unless it is too much.
    async fn place_now(&self, cx: &Context) -> Result<Place> {
        let listing = self.listing(&[]);
        if self.remembers() {
            let begin = || Place::new(Some(Remembered::default()));
            let mut place = begin();
            let mut call = api::list("changes", &listing);
            loop {
                let reply = match self.account.send(cx, call).await {
                    // It began anew under our hands.
                    Err(error) if error.code() == Some(dialect::RESET) => {
                        place = begin();
                        call = api::list("changes", &listing);
                        continue;
                    }
                    reply => reply?,
                };
                let Listed { rows, cursor, has_more } = listed(&reply.body)?;
                let mut known = Vec::new();
                for row in rows {
                    if let Some(Sighted { path, what: What::Own { key, mark } }) = self.sighted(row)? {
                        known.push(Known { key, path, mark, presence: Presence::There });
                    }
                }
                if place.memory.is_some() {
                    step(cx, &mut place, &mut Vec::new(), move |entries| put_all(entries, &known))
                        .await?
                        .ok_or_else(|| Error::bug("the memory of a feed went away while it began"))?;
                } else {
                    let mut carried = place.take_carried();
                    known.into_iter().for_each(|known| carried.keep(known));
                    let is_too_much = carried.len() > self.most();
                    place.seen = Some(carried.into_parts().0);
                    if is_too_much && !self.move_to_memory(cx, &mut place).await? {
                        break;
                    }
                }
                if !has_more {
                    return Ok(Place { cursor: Some(cursor), ..place });
                }
                call = api::list_on("changes", &cursor);
            }
        }
        #[derive(Deserialize)]
        struct Latest {
            cursor: String,
        }
        let latest: Latest = self.account.ask(cx, "a cursor", api::latest_cursor(&listing)).await?;
        Ok(Place { cursor: Some(latest.cursor), ..Place::new(None) })
    }

    /// Waits until Dropbox tells that there is something behind a place. A wait that breaks off is no worse than one
    /// that ends: the next look tells what there is.
    pub(super) async fn longpoll(&self, cx: &Context, at: &Checkpoint, most: Duration) {
        #[derive(Deserialize)]
        struct Waited {
            #[serde(default)]
            backoff: Option<u64>,
        }
        let Ok(Some(Place { cursor: Some(cursor), .. })) = at.place::<Place>(FORM) else { return };
        let call = api::longpoll(&cursor, LONGPOLL_SECONDS).idempotent(false);
        match self.account.ask::<Waited>(cx, "a wait", call).await {
            Ok(Waited { backoff: Some(seconds) }) => cx.clock.sleep(Duration::from_secs(seconds)).await,
            Ok(Waited { backoff: None }) => {}
            // The next look begins anew.
            Err(error) if error.code() == Some(dialect::RESET) => {}
            Err(error) => {
                tracing::info!(%error, "waiting for changes broke off");
                cx.clock.sleep(most).await;
            }
        }
    }
}

fn mark_of(head: &Head) -> u32 {
    sight(head.rev.as_deref().unwrap_or_default(), head.path_display.as_deref().unwrap_or_default())
}

/// Takes a step of the memory that a place names. `None` where it names none, or where that is not known any more: then
/// nothing is remembered from here on.
async fn step<T: Send + 'static>(
    cx: &Context,
    place: &mut Place,
    notices: &mut Vec<String>,
    work: impl FnOnce(&mut dyn Entries) -> Result<T> + Send + 'static,
) -> Result<Option<T>> {
    let Some(at) = &place.memory else { return Ok(None) };
    if let Some(memory) = &cx.memory
        && let Some((found, mark)) = feed_memory::step(memory.as_ref(), at, work).await?
    {
        place.memory = Some(mark);
        return Ok(Some(found));
    }
    (place.memory, place.comparing) = (None, false);
    notices.push(FORGOTTEN.to_owned());
    Ok(None)
}

fn put_all(entries: &mut dyn Entries, known: &[Known]) -> Result<()> {
    known.iter().try_for_each(|known| entries.put(known))
}

/// A record is gone.
fn deletion(known: Known) -> ChangeEntry {
    ChangeEntry {
        change: ChangeKind::Deleted,
        key: Some(Key::text(known.key)),
        alternate: Some(json!({ "path_lower": known.path })),
        record: None,
        subtree: false,
    }
}

/// A path is gone, with all that was under it.
fn path_deletion(path: &str) -> ChangeEntry {
    ChangeEntry {
        change: ChangeKind::Deleted,
        key: None,
        alternate: Some(json!({ "path_lower": path })),
        record: None,
        subtree: true,
    }
}

impl DropboxRecords {
    fn entry_change(&self, row: &[u8], listing: bool, shape: &Shape) -> Result<Option<ChangeEntry>> {
        let head = Head::of(row)?;
        // What is not mounted has no path and is not in this account.
        let Some(path) = &head.path_lower else { return Ok(None) };
        if head.tag.as_deref() == Some("deleted") {
            return Ok(Some(ChangeEntry {
                change: ChangeKind::Deleted,
                key: Some(Key::text(path.as_str())),
                alternate: None,
                record: None,
                // It may have been a folder.
                subtree: true,
            }));
        }
        if !self.is_own(row) {
            return Ok(None);
        }
        let change = if listing { ChangeKind::Created } else { ChangeKind::Changed };
        self.change(change, row, shape).map(Some)
    }

    fn change(&self, change: ChangeKind, row: &[u8], shape: &Shape) -> Result<ChangeEntry> {
        let read = self.records_of(&[row.to_vec()], shape).pop();
        let record: Option<Record> = read.transpose().map_err(|row| row.error)?;
        let key = record.as_ref().map(|record| record.key.clone());
        Ok(ChangeEntry { change, key, alternate: None, record, subtree: false })
    }
}
