//! The feed of changes.
//!
//! A *look* reads the rows that changed, by the moment of their change and their Id, deleted ones included, and
//! then the log of deletions, which also knows what was removed from the recycle bin. Salesforce tells changes
//! by the second and shows rows only once they are committed, so each look reaches back over what the one before
//! has read; a memory in the checkpoint keeps that from being reported twice. Where recycle bin and log do not
//! reach back far enough, all ids are compared with the ones that were reported. All moments are Salesforce's:
//! the clock of this machine does not count.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::changed_rows::{self, Asker, ChangedRow, DELETED, PAGE, STAMPS, short};
use super::describe::Describe;
use super::records::SalesforceRecords;
use super::soql;
use crate::error::Result;
use crate::provider::changes::{KEYS_MAX, KeySet, Recent, mark};
use crate::provider::{ChangeEntry, ChangeKind, ChangePage, Context};
use crate::record::capability::ChangesCapability;
use crate::record::{Checkpoint, FieldPath, Key};

/// How far a look reaches back: a transaction shows its rows when it ends, with stamps of its course.
const OVERLAP: SignedDuration = SignedDuration::from_mins(10);
/// How long deletions are told (REST API Developer Guide, "sObject Get Deleted"; the recycle bin keeps as long).
const DELETIONS_KEPT: SignedDuration = SignedDuration::from_hours(15 * 24);
/// A deletion this near to the end of that time is not relied on.
const MARGIN: SignedDuration = SignedDuration::from_mins(30);
/// Stamps have the grain of a second.
const GRAIN: SignedDuration = SignedDuration::from_secs(2);
/// Form of [`Place`].
const FORM: u32 = 1;

/// What the feed of a type can do; `None` when its rows do not tell when they changed.
pub(super) fn capability(describe: &Describe) -> Option<ChangesCapability> {
    let orders = |name: &str| {
        describe.fields.iter().any(|field| field.name == name && field.filterable && field.sortable)
    };
    // Which field it goes by must not depend on more than the fields that there are.
    let stamp = STAMPS.into_iter().find(|name| describe.fields.iter().any(|field| field.name == *name))?;
    let object = &describe.object;
    (object.queryable && orders(stamp) && orders("Id")).then(|| ChangesCapability {
        deletions: object.replicateable || describe.fields.iter().any(|field| field.name == DELETED),
        window_days: u32::try_from(DELETIONS_KEPT.as_hours() / 24).ok(),
    })
}

/// Where a feed stands; travels in [`Checkpoint::position`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Place {
    form: u32,
    /// Where the present look begins; from the very first row when unset.
    from: Option<Timestamp>,
    /// The last row of the present look.
    at: Option<(Timestamp, String)>,
    /// Where the next look begins.
    next_from: Option<Timestamp>,
    /// When the present look began.
    began: Option<Timestamp>,
    /// When the look before began.
    looked: Option<Timestamp>,
    /// Deletions are reported up to here.
    covered: Option<Timestamp>,
    /// Short ids of the records that were reported; `None` when they are too many.
    known: Option<KeySet>,
    /// Rows seen since `from`.
    recent: Recent,
    /// The selection that contents in `recent` belong to.
    select: Vec<String>,
}

impl Place {
    fn beginning() -> Self {
        Self { form: FORM, known: Some(KeySet::default()), ..Self::default() }
    }

    fn read(checkpoint: &Checkpoint) -> Result<Self> {
        let place = checkpoint.place(FORM)?.unwrap_or_else(Self::beginning);
        if place.at.as_ref().is_some_and(|(_, id)| !soql::is_id(id)) {
            return Err(Checkpoint::useless("the checkpoint is damaged"));
        }
        Ok(place)
    }
}

impl SalesforceRecords {
    /// One page of changes; without a checkpoint the feed begins now and the page is empty.
    pub(super) async fn change_page(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage> {
        let record_type = self.record_type_here();
        let replicateable = self.described.describe.object.replicateable;
        let mut look = Look {
            records: self,
            cx,
            asker: Asker::new(self, cx, select).await?,
            select: select.iter().map(ToString::to_string).collect(),
            place: Place::beginning(),
            logged: replicateable,
            silent: since.is_none(),
            changes: Vec::new(),
            notices: Vec::new(),
        };
        let more = match since {
            Some(checkpoint) => {
                checkpoint.belongs_to(record_type)?;
                look.place = Place::read(checkpoint)?;
                look.go_on().await?
            }
            None => {
                look.start_now().await?;
                false
            }
        };
        let Look { place, changes, notices, .. } = look;
        let checkpoint = Checkpoint::at(record_type, &place)?;
        let notice = (!notices.is_empty()).then(|| notices.join("; "));
        Ok(ChangePage { changes, checkpoint, more, notice })
    }
}

/// The look under way.
struct Look<'a> {
    records: &'a SalesforceRecords,
    cx: &'a Context,
    asker: Asker<'a>,
    select: Vec<String>,
    place: Place,
    /// Whether Salesforce keeps a log of this type's deletions.
    logged: bool,
    /// Whether changes are only remembered: they are older than the feed.
    silent: bool,
    changes: Vec<ChangeEntry>,
    notices: Vec<String>,
}

impl Look<'_> {
    /// Remembers what is there now.
    async fn start_now(&mut self) -> Result<()> {
        let (known, now) = changed_rows::present(self.records, self.cx, Some(KEYS_MAX)).await?;
        if known.is_none() {
            self.say_keyless();
        }
        self.place.known = known;
        self.place.from = now.map(|now| back(now, OVERLAP));
        self.place.covered = now;
        while self.go_on().await? {}
        Ok(())
    }

    /// Reads one page, and the deletions when it was the look's last; tells whether there is more now.
    async fn go_on(&mut self) -> Result<bool> {
        let answered = self.asker.behind(self.place.from, self.place.at.as_ref()).await?;
        let now = answered.time;
        if self.place.at.is_none() {
            self.place.began = now;
        }
        self.place.covered = self.place.covered.or(now);
        let last = answered.rows.last().map(|row| (row.stamp, row.id.clone()));
        // Rows in front of this were read when nothing could be committed there any more.
        let edge = now.or(last.as_ref().map(|(stamp, _)| *stamp)).map(|moment| back(moment, OVERLAP));
        let reached = last.as_ref().map(|(stamp, _)| *stamp) > edge;
        if self.place.next_from.is_none() && (reached || !answered.more) {
            self.place.next_from = edge.or(self.place.from);
        }
        let unchanged = self.unchanged(&answered.rows).await?;
        for row in answered.rows {
            self.take(row, &unchanged);
        }
        if answered.more {
            self.place.at = last;
            return Ok(true);
        }
        let complete = self.silent || self.deletions(now).await?;
        self.place.at = None;
        self.place.from = self.place.next_from.take();
        self.place.looked = self.place.began.take();
        self.place.select.clone_from(&self.select);
        if let Some(from) = self.place.from {
            self.place.recent.forget_before(from.as_second());
        }
        Ok(!complete)
    }

    /// Marks of the rows that were seen as they are now.
    async fn unchanged(&self, rows: &[ChangedRow]) -> Result<HashSet<u64>> {
        let recent = &self.place.recent;
        if self.place.select == self.select {
            let same = |row: &&ChangedRow| recent.content(sight(row)) == Some(content(row));
            return Ok(rows.iter().filter(same).map(sight).collect());
        }
        // Another selection was seen then: what may have changed within the same second is read with that one.
        let settled = self.place.looked.map(|looked| back(looked, GRAIN));
        let (doubtful, settled): (Vec<&ChangedRow>, Vec<&ChangedRow>) = rows
            .iter()
            .filter(|row| recent.content(sight(row)).is_some())
            .partition(|row| !row.deleted && settled.is_none_or(|settled| row.stamp >= settled));
        let mut out: HashSet<u64> = settled.into_iter().map(sight).collect();
        if !doubtful.is_empty() {
            let select: Vec<FieldPath> =
                self.place.select.iter().map(|path| FieldPath::parse(path)).collect();
            let ids: Vec<String> = doubtful.iter().map(|row| row.id.clone()).collect();
            let asker = Asker::new(self.records, self.cx, &select).await?;
            let again = asker.by_id(&ids).await?;
            out.extend(
                again.iter().filter(|row| recent.content(sight(row)) == Some(content(row))).map(sight),
            );
        }
        Ok(out)
    }

    /// Reports a row unless it was reported as it is.
    fn take(&mut self, row: ChangedRow, unchanged: &HashSet<u64>) {
        let mark = sight(&row);
        let second = row.stamp.as_second();
        let seen = unchanged.contains(&mark);
        if self.place.next_from.is_some_and(|from| second >= from.as_second()) {
            self.place.recent.put(mark, second, content(&row));
        }
        if row.deleted {
            let known = self.place.known.as_mut().map(|known| known.remove(short(&row.id)));
            let told = known.map_or_else(|| self.told_deleted(&row.id, second), |known| !known);
            if !told {
                self.report(ChangeKind::Deleted, &row.id, None);
            }
            return;
        }
        let new = self.place.known.as_mut().map(|known| known.insert(short(&row.id).to_owned()));
        if new.is_none() {
            self.place.recent.remove(deletion(&row.id));
        }
        if seen && new != Some(true) {
            return;
        }
        let change = match new {
            Some(true) => ChangeKind::Created,
            Some(false) => ChangeKind::Updated,
            None => self.by_date(&row),
        };
        self.report(change, &row.id, Some(row.record));
        if self.place.known.as_ref().is_some_and(|known| known.len() > KEYS_MAX) {
            self.place.known = None;
            self.say_keyless();
        }
    }

    /// Without keys the date of creation tells what is new, where it can.
    fn by_date(&self, row: &ChangedRow) -> ChangeKind {
        match (row.created, self.place.looked) {
            (Some(created), Some(looked)) if created > looked => ChangeKind::Created,
            (Some(created), Some(looked)) if created < back(looked, OVERLAP) => ChangeKind::Updated,
            (_, None) if self.place.covered.is_some_and(|covered| row.stamp < covered) => ChangeKind::Created,
            _ => ChangeKind::Changed,
        }
    }

    /// Whether a deletion was reported lately; for feeds that keep no keys.
    fn told_deleted(&mut self, id: &str, second: i64) -> bool {
        let told = self.place.recent.content(deletion(id)).is_some();
        self.place.recent.put(deletion(id), second, 0);
        told
    }

    fn report(&mut self, change: ChangeKind, id: &str, record: Option<crate::record::Record>) {
        if !self.silent {
            self.changes.push(ChangeEntry {
                change,
                key: Some(Key::text(id)),
                alternate: None,
                record,
                subtree: false,
            });
        }
    }

    fn say_keyless(&mut self) {
        self.notices.push(format!(
            "{} has more than {KEYS_MAX} records, so the checkpoint does not carry their keys: deletions are told \
             only while Salesforce keeps them (15 days), and a record may be told as \"changed\"",
            self.records.record_type_here().name
        ));
    }

    /// Reports deletions that the rows did not show; false when it has to be gone on with.
    async fn deletions(&mut self, now: Option<Timestamp>) -> Result<bool> {
        let (Some(now), Some(covered)) = (now, self.place.covered) else { return Ok(true) };
        let start = back(covered, OVERLAP);
        if start < back(now, DELETIONS_KEPT - MARGIN) {
            return self
                .compare(now, covered, "the checkpoint is older than Salesforce keeps deletions")
                .await;
        }
        if !self.logged {
            // The rows showed what lies in the recycle bin.
            self.place.covered = Some(now);
            return Ok(true);
        }
        let log = changed_rows::deletion_log(self.records, self.cx, start, now).await?;
        let Some(log) = log.filter(|log| log.earliest.is_none_or(|earliest| earliest <= covered)) else {
            return self
                .compare(now, covered, "Salesforce does not keep the deletions since the checkpoint")
                .await;
        };
        let untold = |id: &String| match &self.place.known {
            Some(known) => known.contains(short(id)),
            None => self.place.recent.content(deletion(id)).is_none(),
        };
        let ids: Vec<String> = log.ids.into_iter().filter(untold).collect();
        // The log also holds what was undeleted since.
        let alive = changed_rows::alive(self.records, self.cx, &ids).await?;
        for id in ids.iter().filter(|id| !alive.contains(short(id))) {
            let news = match &mut self.place.known {
                Some(known) => known.remove(short(id)),
                None => !self.told_deleted(id, now.as_second()),
            };
            if news {
                self.report(ChangeKind::Deleted, id, None);
            }
        }
        self.place.covered = Some(log.latest.map_or(now, |latest| latest.min(now)));
        Ok(true)
    }

    /// Compares all ids with those that were reported; false when it has to be gone on with.
    async fn compare(&mut self, now: Timestamp, covered: Timestamp, why: &str) -> Result<bool> {
        let Some(known) = self.place.known.clone() else {
            self.notices.push(format!(
                "{why}, and the checkpoint carries no keys: records deleted between {covered} and {} cannot be told",
                back(now, DELETIONS_KEPT)
            ));
            self.place.covered = Some(now);
            return Ok(true);
        };
        let (present, time) = changed_rows::present(self.records, self.cx, None).await?;
        let present = present.unwrap_or_default();
        let mut gone = 0;
        for id in known.without(&present) {
            if let Some(known) = &mut self.place.known {
                known.remove(id);
            }
            let whole = soql::canonical_id(id).unwrap_or_else(|| id.to_owned());
            self.report(ChangeKind::Deleted, &whole, None);
            gone += 1;
        }
        let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let missing: Vec<String> =
            present.without(&known).take(page).filter_map(soql::canonical_id).collect();
        for row in self.asker.by_id(&missing).await? {
            self.take(row, &HashSet::new());
        }
        self.notices.push(format!(
            "{why}: all {} records were compared with those reported before, {gone} of them are gone",
            present.len()
        ));
        let complete = missing.len() < page;
        if complete {
            self.place.covered = Some(time.unwrap_or(now));
        }
        Ok(complete)
    }
}

fn back(moment: Timestamp, span: SignedDuration) -> Timestamp {
    moment.checked_sub(span).unwrap_or(Timestamp::MIN)
}

/// What stands for the sight of a row.
fn sight(row: &ChangedRow) -> u64 {
    let stamp = row.stamp.as_millisecond().to_be_bytes();
    mark(&[short(&row.id).as_bytes(), &stamp, &[u8::from(row.deleted)]])
}

/// What stands for a row's content.
fn content(row: &ChangedRow) -> u64 {
    if row.deleted { 0 } else { mark(&[&row.record.json]) }
}

/// What stands for a reported deletion.
fn deletion(id: &str) -> u64 {
    mark(&[short(id).as_bytes(), b"deleted"])
}
