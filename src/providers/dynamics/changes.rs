//! The feed of changes.
//!
//! A *comparison* lists the ids of all records with their versions (the number in the entity tag, which grows
//! with every change in the environment) and tells what is new, changed and gone since the one before. Where
//! the table tracks changes, the listing ends with a delta link, and from then on only what changed is read; a
//! link that has expired leads back to a comparison. Other tables are compared each time.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::records::DynamicsRecords;
use super::{api, dialect, odata};
use crate::error::{Error, Result};
use crate::http::Call;
use crate::provider::changes::{KEYS_MAX, KeySet};
use crate::provider::{ChangeEntry, ChangeKind, ChangePage, Context};
use crate::record::capability::ChangesCapability;
use crate::record::{Checkpoint, FieldPath, Key, KeyPart, Record};

/// How long a delta link is good unless the environment says otherwise ("Use change tracking").
const WINDOW_DAYS: u32 = 7;
/// Ids on one page.
const PAGE: u32 = 2_000;
/// Form of [`Place`].
const FORM: u32 = 1;
/// The service's code for a delta link that has expired.
const EXPIRED: &str = "0x80044352";

/// What the feed of a table can do.
pub(super) fn capability(tracked: bool) -> ChangesCapability {
    ChangesCapability { deletions: true, window_days: tracked.then_some(WINDOW_DAYS) }
}

/// Where a feed stands; travels in [`Checkpoint::position`].
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    form: u32,
    /// Whether `link` leads to what changed; otherwise to the rest of a comparison.
    delta: bool,
    /// Dataverse's link to the next page; the first page of a comparison has none.
    link: Option<String>,
    /// Ids of the records that were reported; `None` when they are too many.
    known: Option<KeySet>,
    /// Ids that the present comparison has met.
    met: KeySet,
    /// The highest version that was reported.
    version: i64,
    /// The highest version that the present comparison has met.
    highest: i64,
}

impl Place {
    fn beginning() -> Self {
        Self {
            form: FORM,
            delta: false,
            link: None,
            known: Some(KeySet::default()),
            met: KeySet::default(),
            version: 0,
            highest: 0,
        }
    }

    /// Whether nothing was read so far.
    fn is_untouched(&self) -> bool {
        !self.delta && self.link.is_none() && self.version == 0 && self.highest == 0
    }

    fn read(checkpoint: &Checkpoint) -> Result<Self> {
        Ok(checkpoint.place(FORM)?.unwrap_or_else(Self::beginning))
    }
}

/// One row of a listing or of changes.
struct Row {
    id: String,
    version: i64,
    deleted: bool,
}

struct Listed {
    rows: Vec<Row>,
    next: Option<String>,
    delta: Option<String>,
}

impl DynamicsRecords {
    fn tracked(&self) -> bool {
        let changes = self.record_type_here().capability.changes.as_ref();
        changes.is_some_and(|changes| changes.window_days.is_some())
    }

    /// One page of changes; without a checkpoint the feed begins now and the page is empty.
    pub(super) async fn change_page(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage> {
        let record_type = self.record_type_here();
        let mut look = Look {
            records: self,
            cx,
            select,
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
                while look.go_on().await? {}
                false
            }
        };
        let Look { place, changes, notices, .. } = look;
        let checkpoint = Checkpoint::at(record_type, &place)?;
        let notice = (!notices.is_empty()).then(|| notices.join("; "));
        Ok(ChangePage { changes, checkpoint, more, notice })
    }

    /// Ids and versions, a page of them.
    async fn listed(&self, cx: &Context, link: Option<&str>) -> Result<Listed> {
        #[derive(Deserialize)]
        struct Answer {
            value: Vec<Json>,
            #[serde(rename = "@odata.nextLink")]
            next: Option<String>,
            #[serde(rename = "@odata.deltaLink")]
            delta: Option<String>,
        }
        let set = &self.described.wires.set;
        let key = &self.record_type_here().key.0;
        let (columns, order) = (key.join(","), &self.described.wires.id);
        let tracking = if self.tracked() { "odata.track-changes," } else { "" };
        let prefer = format!("{tracking}odata.maxpagesize={PAGE}");
        let call: Call = match link {
            Some(link) => api::link("changes", link, &prefer)?,
            // A listing that tracks changes takes no order.
            None if self.tracked() => {
                api::get("changes", self.version(), &format!("{set}?$select={columns}"), &prefer)
            }
            None => {
                let resource = format!("{set}?$select={columns}&$orderby={order}");
                api::get("changes", self.version(), &resource, &prefer)
            }
        };
        let answer: Answer = dialect::read("changes", &cx.send(call).await?.body)?;
        let rows = answer
            .value
            .iter()
            .map(|row| {
                let text = |name: &str| row.get(name).and_then(Json::as_str);
                let own = |name: &String| text(name).and_then(odata::canonical_guid);
                let mut ids: Option<Vec<String>> = key.iter().map(own).collect();
                let deleted = text("reason").is_some() && ids.is_none();
                if deleted {
                    ids = text("id").and_then(odata::canonical_guid).map(|id| vec![id]);
                }
                let ids = ids.filter(|ids| ids.len() == key.len()).ok_or_else(|| {
                    Error::protocol("a change has no record id")
                        .with_provider("dynamics")
                        .with_code("bad_record")
                })?;
                let id = Key::of(ids.into_iter().map(KeyPart::Text).collect()).to_string();
                // A version that cannot be read counts as new.
                let version = text("@odata.etag").and_then(version_in).unwrap_or(i64::MAX);
                Ok(Row { id, version, deleted })
            })
            .collect::<Result<Vec<Row>>>()?;
        Ok(Listed { rows, next: answer.next, delta: answer.delta })
    }
}

/// The number in an entity tag (`W/"470867"`).
fn version_in(tag: &str) -> Option<i64> {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').parse().ok()
}

/// The look under way.
struct Look<'a> {
    records: &'a DynamicsRecords,
    cx: &'a Context,
    select: &'a [FieldPath],
    place: Place,
    /// Whether changes are only remembered: they are older than the feed.
    silent: bool,
    changes: Vec<ChangeEntry>,
    notices: Vec<String>,
}

impl Look<'_> {
    /// Reads one page; tells whether there is more now.
    async fn go_on(&mut self) -> Result<bool> {
        if !self.records.tracked() && self.place.is_untouched() {
            // The moment of a change (modifiedon) would tell neither deletions nor what comes late.
            self.notices.push(format!(
                "{} does not track changes, so each look compares the ids and versions of all its records; an administrator \
                 can switch change tracking on for the table",
                self.records.record_type_here().name
            ));
        }
        let listed = match self.records.listed(self.cx, self.place.link.as_deref()).await {
            Err(error) if self.place.delta && error.code() == Some(EXPIRED) => {
                self.notices.push(
                    "the checkpoint is older than Dataverse keeps changes: all records are compared with those \
                     reported before"
                        .to_owned(),
                );
                if self.place.known.is_none() {
                    self.notices.push("records that were deleted meanwhile cannot be told".to_owned());
                }
                self.place.delta = false;
                self.place.link = None;
                self.place.met = KeySet::default();
                self.place.highest = self.place.version;
                return Ok(true);
            }
            listed => listed?,
        };
        let mut news: Vec<(ChangeKind, String)> = Vec::new();
        for row in &listed.rows {
            if row.version != i64::MAX {
                self.place.highest = self.place.highest.max(row.version);
            }
            if row.deleted {
                // A record that came and went between two looks was never reported.
                if self.place.known.as_mut().is_none_or(|known| known.remove(&row.id)) {
                    self.report(ChangeKind::Deleted, &row.id, None)?;
                }
                continue;
            }
            if !self.place.delta {
                self.place.met.insert(row.id.clone());
            }
            let changed = self.place.delta || row.version > self.place.version;
            match self.place.known.as_ref().map(|known| known.contains(&row.id)) {
                Some(false) => news.push((ChangeKind::Created, row.id.clone())),
                Some(true) if changed => news.push((ChangeKind::Updated, row.id.clone())),
                None if changed => news.push((ChangeKind::Changed, row.id.clone())),
                _ => {}
            }
        }
        self.tell(news).await?;
        if let Some(next) = listed.next {
            self.place.link = Some(next);
            return Ok(true);
        }
        if !self.place.delta {
            self.finish_comparison()?;
        }
        if self.records.tracked() && listed.delta.is_none() {
            return Err(Error::protocol("Dataverse ends the changes without a link to go on with")
                .with_provider("dynamics")
                .with_code("no_delta_link"));
        }
        self.place.version = self.place.highest;
        self.place.delta = listed.delta.is_some();
        self.place.link = listed.delta;
        Ok(false)
    }

    /// Reports records with their values; one that is gone already is left to the next look.
    async fn tell(&mut self, news: Vec<(ChangeKind, String)>) -> Result<()> {
        if self.silent {
            for (_, id) in news {
                self.remember(id);
            }
            return Ok(());
        }
        let by = self.records.record_type_here().key.clone();
        let keys = news.iter().map(|(_, id)| Key::parse(id, &by)).collect::<Result<Vec<Key>>>()?;
        if keys.is_empty() {
            return Ok(());
        }
        let found = self.records.read_by(self.cx, &by, &keys, self.select).await?;
        for ((change, id), record) in news.into_iter().zip(found) {
            if let Some(record) = record? {
                self.report(change, &id, Some(record))?;
                self.remember(id);
            }
        }
        Ok(())
    }

    fn remember(&mut self, id: String) {
        let Some(known) = &mut self.place.known else { return };
        known.insert(id);
        if known.len() > KEYS_MAX {
            self.place.known = None;
            self.place.met = KeySet::default();
            self.notices.push(format!(
                "{} has more than {KEYS_MAX} records, so the checkpoint does not carry their keys: a record may be \
                 told as \"changed\", and after an expired checkpoint deletions cannot be told",
                self.records.record_type_here().name
            ));
        }
    }

    /// Reports the records that the comparison has not met.
    fn finish_comparison(&mut self) -> Result<()> {
        let met = std::mem::take(&mut self.place.met);
        let Some(known) = &self.place.known else { return Ok(()) };
        let gone: Vec<String> = known.without(&met).map(str::to_owned).collect();
        for id in gone {
            if let Some(known) = &mut self.place.known {
                known.remove(&id);
            }
            self.report(ChangeKind::Deleted, &id, None)?;
        }
        Ok(())
    }

    fn report(&mut self, change: ChangeKind, id: &str, record: Option<Record>) -> Result<()> {
        if !self.silent {
            let key = Some(Key::parse(id, &self.records.record_type_here().key)?);
            self.changes.push(ChangeEntry { change, key, alternate: None, record, subtree: false });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_number_in_the_entity_tag() {
        assert_eq!(version_in("W/\"470867\""), Some(470_867));
        assert_eq!(version_in("\"1\""), Some(1));
        assert_eq!(version_in("W/\"abc\""), None);
    }
}
