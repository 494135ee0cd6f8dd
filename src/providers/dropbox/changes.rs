//! Feeds of changes: what a listing's cursor tells since. Entries are applied in order; a deletion takes away what was
//! at its path and under it. A record that is deleted at one path and comes at another was moved.
//!
//! Source: the Stone specification (`list_folder/continue`, `get_latest_cursor`).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::{self, Listing};
use super::columns::Kind;
use super::dialect;
use super::pages::{Head, Listed, listed};
use super::query::PAGE_MAX;
use super::records::DropboxRecords;
use super::remembered::{MOST, Remembered, Seen, sight};
use crate::error::Result;
use crate::provider::{ChangeEntry, ChangeKind, ChangePage, Context};
use crate::record::transcode::Shape;
use crate::record::{Checkpoint, FieldPath, Key, Record};

/// The present form of a place.
const FORM: u32 = 1;
/// How long Dropbox is asked to hold an answer back, the least that it takes; it adds up to 90 seconds.
const LONGPOLL_SECONDS: u64 = 30;
/// What a feed says when Dropbox made it begin anew.
const ANEW: &str = "Dropbox no longer knew the place of this feed; everything was listed and compared";
const ANEW_BLIND: &str = "Dropbox no longer knew the place of this feed; everything is told once more, and what was deleted \
                          in between is not told";

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
    /// What stands where; nothing when that is not remembered.
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
}

/// Changes while they are collected.
struct Collected<'a> {
    records: &'a DropboxRecords,
    shape: Shape,
    changes: Vec<ChangeEntry>,
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

    /// How many paths are remembered at most.
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
            let notice = (self.remembers() && place.seen.is_none()).then(|| too_many(self.most()));
            let checkpoint = Checkpoint::at(&self.record_type, &place)?;
            return Ok(ChangePage { changes: Vec::new(), checkpoint, more: false, notice });
        };
        since.belongs_to(&self.record_type)?;
        let mut place = since.place::<Place>(FORM)?.unwrap_or_else(|| Place {
            form: FORM,
            cursor: None,
            seen: self.remembers().then(Remembered::default),
            before: None,
            listing: true,
            gone: BTreeMap::new(),
        });
        let mut notice = None;
        let templates = self.template_ids();
        let reply = match &place.cursor {
            Some(cursor) => match self.account.send(cx, api::list_on("changes", cursor)).await {
                Err(error) if error.code() == Some(dialect::RESET) => {
                    notice = Some(if place.seen.is_some() { ANEW } else { ANEW_BLIND }.to_owned());
                    place = self.anew(place);
                    self.account.send(cx, api::list("changes", &self.listing(&templates))).await?
                }
                asked => asked?,
            },
            None => self.account.send(cx, api::list("changes", &self.listing(&templates))).await?,
        };
        let Listed { rows, cursor, has_more } = listed(&reply.body)?;
        let mut collected = Collected { records: self, shape: self.shape(select, &[])?, changes: Vec::new() };
        collected.take(&mut place, &rows)?;
        if !has_more {
            collected.end(&mut place);
        }
        if place.seen.as_ref().is_some_and(|seen| seen.len() > self.most()) {
            // What a listing that began anew has not found yet stays known.
            place.seen = None;
            let told = too_many(self.most());
            notice = Some(notice.map_or_else(|| told.clone(), |before| format!("{before}; {told}")));
        }
        place.cursor = Some(cursor);
        let checkpoint = Checkpoint::at(&self.record_type, &place)?;
        Ok(ChangePage { changes: collected.changes, checkpoint, more: has_more, notice })
    }

    /// A place from which everything is listed once more.
    fn anew(&self, place: Place) -> Place {
        // One that was interrupted while it listed keeps what it has not found.
        let mut before = place.before.unwrap_or_default();
        for (path, seen) in place.seen.into_iter().flat_map(Remembered::into_seen) {
            before.put(&path, seen);
        }
        let remembers = self.remembers() && (before.len() > 0 || place.listing);
        Place {
            form: FORM,
            cursor: None,
            seen: remembers.then(Remembered::default),
            before: (remembers && !place.listing).then_some(before),
            listing: place.listing,
            gone: place.gone,
        }
    }

    /// The place of a feed that tells what changes from now on. What there is now is remembered, unless it is too much.
    async fn place_now(&self, cx: &Context) -> Result<Place> {
        let place = |cursor: String, seen: Option<Remembered>| Place {
            form: FORM,
            cursor: Some(cursor),
            seen,
            before: None,
            listing: false,
            gone: BTreeMap::new(),
        };
        let listing = self.listing(&[]);
        if self.remembers() {
            let mut seen = Remembered::default();
            let mut call = api::list("changes", &listing);
            loop {
                let reply = match self.account.send(cx, call).await {
                    // It began anew under our hands.
                    Err(error) if error.code() == Some(dialect::RESET) => {
                        seen = Remembered::default();
                        call = api::list("changes", &listing);
                        continue;
                    }
                    reply => reply?,
                };
                let Listed { rows, cursor, has_more } = listed(&reply.body)?;
                for row in rows.into_iter().filter(|row| self.is_own(row)) {
                    let head = Head::of(row)?;
                    if let (Some(path), Some(id)) = (&head.path_lower, &head.id) {
                        seen.put(path, Seen { id: id.clone(), mark: mark_of(&head) });
                    }
                }
                if seen.len() > self.most() {
                    break;
                }
                if !has_more {
                    return Ok(place(cursor, Some(seen)));
                }
                call = api::list_on("changes", &cursor);
            }
        }
        #[derive(Deserialize)]
        struct Latest {
            cursor: String,
        }
        let latest: Latest = self.account.ask(cx, "a cursor", api::latest_cursor(&listing)).await?;
        Ok(place(latest.cursor, None))
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

impl Collected<'_> {
    /// Takes the entries of a page, in order.
    fn take(&mut self, place: &mut Place, rows: &[&[u8]]) -> Result<()> {
        let mut known: HashMap<String, (String, u32)> =
            place.seen.as_ref().filter(|_| !rows.is_empty()).map(Remembered::by_id).unwrap_or_default();
        if let Some(before) = place.before.as_ref().filter(|_| !rows.is_empty()) {
            known.extend(before.by_id());
        }
        for row in rows {
            let head = Head::of(row)?;
            // What is not mounted has no path and is not in this account.
            let Some(path) = head.path_lower.clone() else { continue };
            let deleted = head.tag.as_deref() == Some("deleted");
            if self.records.kind == Kind::Entry {
                self.entry(row, &path, deleted, place.listing)?;
                continue;
            }
            if deleted {
                self.deleted(place, &path);
            } else if self.records.is_own(row) {
                self.there(place, row, &head, &path, &known)?;
            } else if let Some(seen) = &mut place.seen {
                // Something of another kind stands there now.
                let replaced = match self.records.kind {
                    Kind::Folder => seen.take_tree(&path),
                    _ => seen.take(&path).map(|own| (path.clone(), own)).into_iter().collect(),
                };
                place.gone.extend(replaced.into_iter().map(|(path, own)| (own.id, path)));
            }
        }
        Ok(())
    }

    fn entry(&mut self, row: &[u8], path: &str, deleted: bool, listing: bool) -> Result<()> {
        let key = Some(Key::text(path));
        if deleted {
            let change = ChangeEntry {
                change: ChangeKind::Deleted,
                key,
                alternate: None,
                record: None,
                // It may have been a folder.
                subtree: true,
            };
            self.changes.push(change);
            return Ok(());
        }
        if !self.records.is_own(row) {
            return Ok(());
        }
        let change = if listing { ChangeKind::Created } else { ChangeKind::Changed };
        self.push(change, row)
    }

    fn push(&mut self, change: ChangeKind, row: &[u8]) -> Result<()> {
        let read = self.records.records_of(&[row.to_vec()], &self.shape).pop();
        let record: Option<Record> = read.transpose().map_err(|row| row.error)?;
        let key = record.as_ref().map(|record| record.key.clone());
        self.changes.push(ChangeEntry { change, key, alternate: None, record, subtree: false });
        Ok(())
    }

    /// A path is gone, with all that was under it.
    fn deleted(&mut self, place: &mut Place, path: &str) {
        match &mut place.seen {
            Some(seen) => {
                let gone = seen.take_tree(path);
                place.gone.extend(gone.into_iter().map(|(path, own)| (own.id, path)));
            }
            None => self.changes.push(ChangeEntry {
                change: ChangeKind::Deleted,
                key: None,
                alternate: Some(json!({ "path_lower": path })),
                record: None,
                subtree: true,
            }),
        }
    }

    /// A record is at a path.
    fn there(
        &mut self,
        place: &mut Place,
        row: &[u8],
        head: &Head,
        path: &str,
        known: &HashMap<String, (String, u32)>,
    ) -> Result<()> {
        let Some(id) = head.id.clone() else { return Ok(()) };
        let mark = mark_of(head);
        let moved = place.gone.remove(&id).is_some();
        let before = known.get(&id);
        if let (Some(old), Some((at, _))) = (&mut place.before, before) {
            old.take_own(at, &id);
        }
        let change = match (&mut place.seen, before) {
            (Some(seen), before) => {
                if let Some((at, _)) = before.filter(|(at, _)| at != path) {
                    seen.take_own(at, &id);
                }
                if let Some(replaced) = seen.put(path, Seen { id, mark }) {
                    place.gone.insert(replaced.id, path.to_owned());
                }
                match before {
                    Some((at, was)) if at == path && *was == mark && !moved => {
                        // Only what was listed once more comes as it was; else something changed that has no mark.
                        if place.before.is_some() {
                            return Ok(());
                        }
                        ChangeKind::Updated
                    }
                    Some(_) => ChangeKind::Updated,
                    None if moved => ChangeKind::Updated,
                    None => ChangeKind::Created,
                }
            }
            (None, Some((at, was))) if place.before.is_some() => {
                if at == path && *was == mark && !moved {
                    return Ok(());
                }
                ChangeKind::Updated
            }
            (None, _) if place.listing => ChangeKind::Created,
            (None, _) => ChangeKind::Changed,
        };
        self.push(change, row)
    }

    /// Everything there is has been told: what was not found again is gone.
    fn end(&mut self, place: &mut Place) {
        for (path, seen) in place.before.take().into_iter().flat_map(Remembered::into_seen) {
            place.gone.insert(seen.id, path);
        }
        for (id, path) in std::mem::take(&mut place.gone) {
            self.changes.push(ChangeEntry {
                change: ChangeKind::Deleted,
                key: Some(Key::text(id)),
                alternate: Some(json!({ "path_lower": path })),
                record: None,
                subtree: false,
            });
        }
        place.listing = false;
    }
}
