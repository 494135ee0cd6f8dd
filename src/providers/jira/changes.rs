//! The feed of changes.
//!
//! A *look* reads the issues that changed, by the moment of their change. Searches may know of a change only after
//! a while, so each look reaches back over the time before the one before; a memory in the checkpoint keeps what was
//! reported from being reported again. All moments are Jira's: the clock of this machine does not count.
//!
//! Jira does not tell deletions. Where the connection asks for them, each look ends with a *comparison*: the ids of
//! all issues are listed, and those that were known and are not there are looked up by id before they are reported.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::discover::PAGE_DEFAULT;
use super::records::IssueRecords;
use super::rows::Columns;
use super::{api, query};
use crate::error::{Error, ErrorKind, Result};
use crate::http::Reply;
use crate::http::retry_after::http_date;
use crate::provider::changes::{KEYS_MAX, KeySet, Recent, mark};
use crate::provider::{ChangeEntry, ChangeKind, ChangePage, Context};
use crate::record::capability::ChangesCapability;
use crate::record::transcode::{self, Shape};
use crate::record::{Checkpoint, FieldPath, Key, Record};

/// How far a look reaches back: the index of a search follows changes with a delay that is not documented.
const OVERLAP: SignedDuration = SignedDuration::from_mins(10);
/// Ids on one page of a comparison; Jira gives long pages of nothing but ids.
const IDS_PAGE: u32 = 5_000;
/// Form of [`Place`].
const FORM: u32 = 1;
/// The code of a place in a search that Jira no longer knows.
pub(super) const TOKEN_ENDED: &str = "page_token_ended";

/// What the feed of issues can do.
pub(super) fn capability(tells_deletions: bool) -> ChangesCapability {
    ChangesCapability { deletions: tells_deletions, window_days: None }
}

/// Where a feed stands; travels in [`Checkpoint::position`]. Moments are milliseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Place {
    form: u32,
    /// Where the present look begins; from the very first issue when unset.
    from: Option<i64>,
    /// Where the look before began to reach back; issues that were created since are new unless they were seen.
    since: Option<i64>,
    /// Jira's token of the next page of the present look or comparison.
    token: Option<String>,
    /// The minute that the present look has reached.
    reached: Option<i64>,
    /// Where the next look begins, once the present one has begun.
    next_from: Option<i64>,
    /// Issues seen lately.
    recent: Recent,
    /// The selection that contents in `recent` belong to.
    select: Vec<String>,
    /// Ids that were reported: while everything is listed, and longer where deletions are told.
    known: Option<KeySet>,
    /// Whether there are too many of them.
    keyless: bool,
    /// Ids that the comparison under way has met.
    met: Option<KeySet>,
}

impl Place {
    fn beginning() -> Self {
        Self { form: FORM, known: Some(KeySet::default()), ..Self::default() }
    }

    fn read(checkpoint: &Checkpoint) -> Result<Self> {
        if checkpoint.position.is_null() {
            return Ok(Self::beginning());
        }
        let bad = |what: &str| {
            Error::invalid(what)
                .with_code("bad_checkpoint")
                .with_advice("Begin anew without a checkpoint, or with `beginning`")
        };
        let place = Self::deserialize(&checkpoint.position)
            .map_err(|source| bad("the checkpoint is damaged").with_source(source))?;
        if place.form != FORM {
            return Err(bad("the checkpoint was written by another version of recordport"));
        }
        Ok(place)
    }
}

/// What is read of each issue besides the record.
#[derive(Debug, Deserialize)]
struct Sight {
    id: String,
    fields: Stamps,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stamps {
    updated: String,
    created: String,
}

/// An issue as the feed sees it.
struct ChangedIssue {
    id: String,
    updated: i64,
    created: i64,
    record: Record,
}

/// One page of a look.
struct Answered {
    issues: Vec<ChangedIssue>,
    next: Option<String>,
    time: Option<i64>,
}

/// How issues are asked for.
struct Asking {
    fields: Vec<String>,
    shape: Shape,
}

impl IssueRecords {
    /// One page of changes; without a checkpoint the feed begins now and the page is empty.
    pub(super) async fn change_page(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage> {
        let record_type = self.record_type_here();
        let columns = Columns::of(&self.described, select, &[])?;
        let mut fields = columns.wire_fields(&self.described);
        for stamp in ["updated", "created"] {
            if !fields.iter().any(|field| field == stamp) {
                fields.push(stamp.to_owned());
            }
        }
        let mut look = Look {
            records: self,
            cx,
            asking: Asking { fields, shape: columns.shape(&self.described) },
            select: select.iter().map(ToString::to_string).collect(),
            place: Place::beginning(),
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
        let position = serde_json::to_value(&place)
            .map_err(|source| Error::bug("a place is not JSON").with_source(source))?;
        let checkpoint = Checkpoint { position, ..Checkpoint::beginning(record_type) };
        let notice = (!notices.is_empty()).then(|| notices.join("; "));
        Ok(ChangePage { changes, checkpoint, more, notice })
    }

    /// A page of issues that changed at a moment or later, in the order of their changes. An answer that cannot be
    /// read is asked for once more; then it is an error, since a feed must not pass a change by.
    async fn changed(
        &self,
        cx: &Context,
        from: Option<i64>,
        token: Option<&str>,
        asking: &Asking,
    ) -> Result<Answered> {
        let mut jql = query::bound(&self.described);
        if let Some(from) = from {
            jql.push_str(&format!(" AND updated >= {from}"));
        }
        jql.push_str(" ORDER BY updated ASC, key ASC");
        let door = self.site.door(cx).await?;
        let call = api::search("changes", &door, &jql, &asking.fields, PAGE_DEFAULT, token);
        match answered(&self.site.send(cx, call.clone()).await?, &asking.shape) {
            Err(error) if error.kind() == ErrorKind::Protocol => {
                answered(&self.site.send(cx, call).await?, &asking.shape)
            }
            read => read,
        }
    }

    /// A page of the ids of all issues, and the token of the next.
    async fn ids(&self, cx: &Context, token: Option<&str>) -> Result<(Vec<String>, Option<String>)> {
        let jql = format!("{} ORDER BY created ASC, key ASC", query::bound(&self.described));
        let door = self.site.door(cx).await?;
        let call = api::search("changes", &door, &jql, &["id".to_owned()], IDS_PAGE, token);
        let reply = self.site.send(cx, call).await?;
        let answer = super::records::page_of(&reply.body, &Shape::new([]).with_key(["id"]))?;
        let mut ids = Vec::with_capacity(answer.records.len());
        for record in answer.records {
            ids.push(record.map_err(|row| row.error)?.key.to_string());
        }
        Ok((ids, answer.next))
    }
}

/// When an issue was created.
///
/// # Errors
/// Protocol when it does not tell.
pub(super) fn created_of(issue: &[u8]) -> Result<i64> {
    let sight: Sight = super::dialect::read("an issue", issue)?;
    millis(&sight.fields.created).ok_or_else(|| {
        Error::protocol("an issue does not tell when it was created")
            .with_provider("jira")
            .with_code("bad_record")
    })
}

fn answered(reply: &Reply, shape: &Shape) -> Result<Answered> {
    let page = transcode::cut_page(&reply.body, "issues").map_err(|error| error.with_provider("jira"))?;
    let records = transcode::records(&page.rows, shape);
    let next = super::records::next_of(page.has_rows, page.member("nextPageToken")?, page.member("isLast")?)?;
    let each = page.rows.iter().zip(records).map(|(row, record)| {
        let record = record.map_err(|row| {
            row.error.with_advice("Leave the field out with a selection, or mend the issue")
        })?;
        let bad = || {
            Error::protocol("a changed issue does not tell when it changed")
                .with_provider("jira")
                .with_code("bad_record")
                .with_key(record.key.to_string())
        };
        let sight: Sight = serde_json::from_slice(row).map_err(|source| bad().with_source(source))?;
        let (updated, created) = (millis(&sight.fields.updated), millis(&sight.fields.created));
        let (updated, created) = updated.zip(created).ok_or_else(bad)?;
        Ok(ChangedIssue { id: sight.id, updated, created, record })
    });
    Ok(Answered { issues: each.collect::<Result<_>>()?, next, time: time_of(reply) })
}

/// A moment as Jira writes it, its offset without a colon.
fn millis(text: &str) -> Option<i64> {
    let strict = Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).ok();
    strict.or_else(|| text.parse().ok()).map(Timestamp::as_millisecond)
}

fn time_of(reply: &Reply) -> Option<i64> {
    http_date(reply.header("date")?).map(Timestamp::as_millisecond)
}

/// The beginning of the minute: what finer grain than a minute searches have is not documented.
pub(super) fn minute(millis: i64) -> i64 {
    millis.div_euclid(60_000) * 60_000
}

fn back(millis: i64) -> i64 {
    minute(millis.saturating_sub(i64::try_from(OVERLAP.as_millis()).unwrap_or(i64::MAX))).max(0)
}

/// The look under way.
struct Look<'a> {
    records: &'a IssueRecords,
    cx: &'a Context,
    asking: Asking,
    select: Vec<String>,
    place: Place,
    /// Whether changes are only remembered: they are older than the feed.
    silent: bool,
    changes: Vec<ChangeEntry>,
    notices: Vec<String>,
}

impl Look<'_> {
    /// Remembers what is there now.
    async fn start_now(&mut self) -> Result<()> {
        // Before anything is listed, so that nothing falls between.
        let now = self.time().await?;
        if self.tells_deletions() {
            self.place.met = Some(KeySet::default());
            self.place.known = None;
            while self.compare().await? {}
        } else {
            self.place.known = None;
        }
        self.place.from = Some(back(now));
        self.place.since = self.place.from;
        while self.go_on().await? {}
        Ok(())
    }

    fn tells_deletions(&self) -> bool {
        self.records.site.tells_deletions()
    }

    /// Jira's own time.
    async fn time(&self) -> Result<i64> {
        let door = self.records.site.door(self.cx).await?;
        let reply = self.records.site.send(self.cx, api::myself(&door)).await?;
        time_of(&reply).ok_or_else(|| {
            Error::protocol("Jira's answer does not tell the time").with_provider("jira").with_code("no_date")
        })
    }

    /// Reads one page; tells whether there is more now.
    async fn go_on(&mut self) -> Result<bool> {
        if self.place.met.is_some() {
            return self.compare().await;
        }
        let asked =
            self.records.changed(self.cx, self.place.from, self.place.token.as_deref(), &self.asking).await;
        let answered = match asked {
            Err(error) if self.place.token.is_some() && error.code() == Some(TOKEN_ENDED) => {
                self.place.token = None;
                self.place.from = self.place.reached.or(self.place.from);
                self.notices.push(
                    "Jira no longer knows the place where the checkpoint stood; reading goes on behind the last change that \
                     was reported"
                        .to_owned(),
                );
                return Ok(true);
            }
            asked => asked?,
        };
        if self.place.next_from.is_none() {
            let last = answered.issues.last().map(|issue| issue.updated);
            self.place.next_from = answered.time.or(last).map(back).or(self.place.from);
        }
        let last = answered.issues.last().map(|issue| minute(issue.updated));
        let mut twice = HashSet::new();
        for issue in answered.issues {
            if twice.insert(issue.id.clone()) {
                self.take(issue);
            }
        }
        if answered.next.is_some() {
            if answered.next == self.place.token {
                return Err(Error::protocol("Jira gives the same page again and again")
                    .with_provider("jira")
                    .with_code("repeated_cursor"));
            }
            self.place.token = answered.next;
            self.place.reached = last.or(self.place.reached);
            self.forget_before(self.place.reached);
            return Ok(true);
        }
        self.finish_look();
        Ok(self.begin_comparison())
    }

    /// Forgets what neither the rest of this look nor the next one reads again.
    fn forget_before(&mut self, reached: Option<i64>) {
        let edge = match (reached, self.place.next_from) {
            (Some(reached), Some(next)) => reached.min(next),
            (reached, next) => match reached.or(next) {
                Some(edge) => edge,
                None => return,
            },
        };
        self.place.recent.forget_before(edge.div_euclid(1_000));
    }

    fn finish_look(&mut self) {
        self.place.token = None;
        self.place.reached = None;
        self.place.from = self.place.next_from.take();
        self.place.since = self.place.from;
        self.place.select.clone_from(&self.select);
        self.forget_before(self.place.from);
    }

    /// Reports an issue unless it was reported as it is.
    fn take(&mut self, issue: ChangedIssue) {
        let second = issue.updated.div_euclid(1_000);
        let (sight, own) = (sight(&issue), mark(&[issue.id.as_bytes()]));
        let content = mark(&[&issue.record.json]);
        let before = self.place.recent.content(sight);
        // With another selection the moment of the change has to do.
        let seen = before.is_some_and(|before| before == content || self.place.select != self.select);
        let known = self.place.recent.content(own).is_some();
        self.place.recent.put(sight, second, content);
        self.place.recent.put(own, second, 0);
        let new = self.place.known.as_mut().map(|known| known.insert(issue.id.clone()));
        self.limit_known();
        if seen && new != Some(true) {
            return;
        }
        // Issues that were created before the time that the last look reached back over were there for it to see.
        let late = self.place.since.is_none_or(|since| issue.created >= since);
        let change = match new {
            Some(true) => ChangeKind::Created,
            Some(false) => ChangeKind::Updated,
            None if late && !known => ChangeKind::Created,
            None => ChangeKind::Updated,
        };
        self.report(change, &issue.id, Some(issue.record));
    }

    fn limit_known(&mut self) {
        if self.place.known.as_ref().is_none_or(|known| known.len() <= KEYS_MAX) {
            return;
        }
        self.place.known = None;
        self.place.keyless = true;
        if self.tells_deletions() {
            self.notices.push(format!(
                "{} has more than {KEYS_MAX} records, so the checkpoint does not carry their keys: deletions cannot be \
                 told",
                self.records.record_type_here().name
            ));
        }
    }

    /// Whether ids are to be compared behind this look.
    fn begin_comparison(&mut self) -> bool {
        if !self.tells_deletions() {
            self.place.known = None;
        }
        let compares = self.tells_deletions() && !self.silent && !self.place.keyless;
        self.place.met = compares.then(KeySet::default);
        compares
    }

    /// Reads a page of ids, and reports those that are gone when it was the last.
    async fn compare(&mut self) -> Result<bool> {
        let (ids, next) = match self.records.ids(self.cx, self.place.token.as_deref()).await {
            Err(error) if self.place.token.is_some() && error.code() == Some(TOKEN_ENDED) => {
                self.place.token = None;
                self.place.met = Some(KeySet::default());
                return Ok(true);
            }
            listed => listed?,
        };
        let met = self.place.met.get_or_insert_default();
        for id in ids {
            met.insert(id);
        }
        self.place.token = next;
        if self.place.token.is_some() {
            return Ok(true);
        }
        let met = self.place.met.take().unwrap_or_default();
        let Some(known) = &self.place.known else {
            if !self.silent {
                self.notices
                    .push("deletions are told from now on: what was deleted before is not known".to_owned());
            }
            self.place.known = Some(met);
            self.limit_known();
            return Ok(false);
        };
        let missing: Vec<Key> = known.without(&met).map(Key::text).collect();
        // A search that does not list an issue may only not know it yet.
        let by = self.records.record_type_here().key.clone();
        let select = [FieldPath::of(["id"])];
        let found = self.records.read_by(self.cx, &by, &missing, &select).await?;
        for (key, record) in missing.iter().zip(found) {
            if record?.is_none() {
                let id = key.to_string();
                if let Some(known) = &mut self.place.known {
                    known.remove(&id);
                }
                self.place.recent.remove(mark(&[id.as_bytes()]));
                self.report(ChangeKind::Deleted, &id, None);
            }
        }
        Ok(false)
    }

    fn report(&mut self, change: ChangeKind, id: &str, record: Option<Record>) {
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
}

/// What stands for the sight of an issue.
fn sight(issue: &ChangedIssue) -> u64 {
    mark(&[issue.id.as_bytes(), &issue.updated.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_and_without_a_colon() {
        assert_eq!(millis("2026-09-25T22:42:39.399-0300"), Some(1_790_386_959_399));
        assert_eq!(millis("2026-09-25T22:42:39.399-03:00"), Some(1_790_386_959_399));
        assert_eq!(millis("yesterday"), None);
    }

    #[test]
    fn looks_begin_with_a_minute() {
        assert_eq!(back(1_790_386_959_399), 1_790_386_320_000);
        assert_eq!(back(5), 0);
    }
}
