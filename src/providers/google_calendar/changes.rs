//! The feeds of changes. That of events has a sync token for each calendar; the other lists are short and are compared.
//! Sync tokens of theirs would not tell that a property changed which an entry only shows, such as a calendar's title
//! ("CalendarList: list").
//!
//! A token tells what changed since it was given, deletions included, and each change once. When the service no longer
//! takes one, everything is listed again and compared with what the checkpoint remembers of each event: its id and a mark
//! of its content. So what was deleted meanwhile is told as well, and what did not change is not told again.
//!
//! Source: "Synchronize resources efficiently" (Google Calendar API).

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::kinds::{EVENTS_MAX, Home};
use super::pages::AT_ONCE;
use super::records::{Address, GoogleRecords};
use super::{api, dialect, fields};
use crate::error::{Error, ErrorKind, Result};
use crate::http::Reply;
use crate::provider::changes::{KEYS_MAX, KeySet, MarkedKeys, mark};
use crate::provider::{ChangeEntry, ChangeKind, ChangePage, Context, comparison};
use crate::record::transcode;
use crate::record::{Checkpoint, FieldPath, Record};

/// Form of [`Place`].
const FORM: u32 = 1;
/// Stands before the id of an occurrence that was taken out of its series.
const TAKEN: char = '!';

/// Where a feed stands; travels in [`Checkpoint::position`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Place {
    form: u32,
    calendars: Vec<State>,
    /// Whether a look is under way; calendars before this one have been read in it, as those that say so.
    turn: Option<usize>,
    /// Whether the user was told in this look that tokens had expired.
    told: bool,
    /// Whether there are too many events to remember.
    keyless: bool,
}

/// What is known of one calendar.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    calendar: String,
    /// The service's token; while there is none everything is listed.
    sync: Option<String>,
    /// The place of the next page.
    page: Option<String>,
    /// Events that were reported.
    known: MarkedKeys,
    /// Events that the listing under way has met.
    met: KeySet,
    /// Whether a listing has been completed before.
    listed: bool,
    /// Whether it has been read to its end in the present look.
    #[serde(default)]
    read: bool,
}

/// One row as the feed sees it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sight {
    id: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    recurring_event_id: Option<String>,
}

/// A row, read.
struct Row {
    sight: Sight,
    mark: u32,
    /// The record, unless the event is cancelled.
    record: Option<Record>,
}

/// One page of a calendar.
struct Answered {
    rows: Vec<Row>,
    page: Option<String>,
    sync: Option<String>,
}

impl GoogleRecords {
    /// One page of changes; without a checkpoint the feed begins now and the page is empty.
    pub(super) async fn change_page(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage> {
        let record_type = &self.record_type;
        if record_type.capability.changes.is_none() {
            return Err(self.unsupported("changes", "there is no feed of changes of these records"));
        }
        if self.home != Home::Events {
            return comparison::compared(self, cx, since, select, &["etag"]).await;
        }
        let mut look = Look {
            records: self,
            cx,
            select,
            place: Place { form: FORM, ..Place::default() },
            silent: since.is_none(),
            changes: Vec::new(),
            notices: Vec::new(),
        };
        let more = match since {
            Some(checkpoint) => {
                checkpoint.belongs_to(record_type)?;
                look.place = checkpoint.place(FORM)?.unwrap_or(look.place);
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

    /// A page of a calendar. An answer that cannot be read is asked for once more; then it is an error, since a feed
    /// must not pass a change by.
    async fn changed(&self, cx: &Context, state: &State, select: &[FieldPath]) -> Result<Answered> {
        let size = EVENTS_MAX.to_string();
        let mut query = vec![("maxResults", size.as_str())];
        query.extend(state.sync.as_deref().map(|token| ("syncToken", token)));
        query.extend(state.page.as_deref().map(|token| ("pageToken", token)));
        let call = api::get("changes", &api::with_query(&api::events(&state.calendar), &query));
        match self.answered(&cx.send(call.clone()).await?, state, select) {
            Err(error) if error.kind() == ErrorKind::Protocol => {
                self.answered(&cx.send(call).await?, state, select)
            }
            read => read,
        }
    }

    fn answered(&self, reply: &Reply, state: &State, select: &[FieldPath]) -> Result<Answered> {
        let google = |error: Error| error.with_provider("google-calendar");
        let cut = transcode::cut_page(&reply.body, "items").map_err(google)?;
        let (page, sync) = (cut.member("nextPageToken")?, cut.member("nextSyncToken")?);
        if !cut.has_rows || (page.is_none() && sync.is_none()) {
            return Err(google(
                Error::protocol("Google's answer neither goes on nor says where the next changes begin")
                    .with_code("no_sync_token"),
            ));
        }
        let shape = fields::shape(&self.record_type, select, &[], Some(&state.calendar))?;
        let mut rows = Vec::with_capacity(cut.rows.len());
        for row in cut.rows {
            let sight: Sight = dialect::read("an event", row)?;
            let live = sight.status.as_deref() != Some("cancelled");
            let record = if live {
                let record = transcode::records(&[row], &shape).pop();
                record.transpose().map_err(|row| {
                    row.error.with_advice("Leave the field out with a selection, or mend the event")
                })?
            } else {
                None
            };
            let mark = u32::try_from(mark(&[row]) >> 32).unwrap_or_default();
            rows.push(Row { sight, mark, record });
        }
        Ok(Answered { rows, page, sync })
    }
}

/// The look under way.
struct Look<'a> {
    records: &'a GoogleRecords,
    cx: &'a Context,
    select: &'a [FieldPath],
    place: Place,
    /// Whether changes are only remembered: they are older than the feed.
    silent: bool,
    changes: Vec<ChangeEntry>,
    notices: Vec<String>,
}

impl Look<'_> {
    /// Reads one page of each of some calendars, which are asked at once; tells whether there is more now.
    async fn go_on(&mut self) -> Result<bool> {
        match self.place.turn {
            Some(turn) => self.place.calendars.iter_mut().take(turn).for_each(|own| own.read = true),
            None => self.take_calendars().await?,
        }
        self.place.turn = Some(0);
        let calendars = self.place.calendars.iter().enumerate();
        let some: Vec<usize> =
            calendars.filter(|(_, own)| !own.read).map(|(at, _)| at).take(AT_ONCE).collect();
        let asked = some.iter().filter_map(|at| self.place.calendars.get(*at));
        let answers = join_all(asked.map(|own| self.records.changed(self.cx, own, self.select))).await;
        for (at, answered) in some.into_iter().zip(answers) {
            self.page(at, answered)?;
        }
        if self.place.calendars.iter().any(|own| !own.read) {
            return Ok(true);
        }
        self.finish();
        Ok(false)
    }

    fn finish(&mut self) {
        self.place.turn = None;
        self.place.told = false;
        self.place.calendars.iter_mut().for_each(|own| own.read = false);
    }

    /// Takes calendars in that are new, and reports the events of those that are gone.
    async fn take_calendars(&mut self) -> Result<()> {
        let present: Vec<String> = match &self.records.calendar {
            Some(own) => vec![own.id.clone()],
            None => {
                let all = self.records.account.calendars(self.cx, "changes", true).await?;
                all.iter().map(|calendar| calendar.id.clone()).collect()
            }
        };
        let (kept, gone): (Vec<State>, Vec<State>) = std::mem::take(&mut self.place.calendars)
            .into_iter()
            .partition(|own| present.contains(&own.calendar));
        self.place.calendars = kept;
        for state in gone {
            for id in state.known.keys().filter(|id| !id.starts_with(TAKEN)) {
                self.report(ChangeKind::Deleted, &state.calendar, id, None);
            }
        }
        for calendar in present {
            if self.place.calendars.iter().all(|own| own.calendar != calendar) {
                self.place.calendars.push(State { calendar, ..State::default() });
            }
        }
        Ok(())
    }

    /// Takes a page of a calendar in.
    fn page(&mut self, at: usize, answered: Result<Answered>) -> Result<()> {
        let mut state = std::mem::take(&mut self.place.calendars[at]);
        state.read = match answered {
            Ok(answered) => self.take(&mut state, answered)?,
            Err(error) => self.recover(&mut state, error)?,
        };
        self.place.calendars[at] = state;
        Ok(())
    }

    /// Goes on where a place is no longer good.
    fn recover(&mut self, state: &mut State, error: Error) -> Result<bool> {
        let code = error.code().unwrap_or_default();
        if state.sync.is_some() && error.status() == Some(410) {
            state.sync = None;
            state.page = None;
            state.met = KeySet::default();
            if !std::mem::replace(&mut self.place.told, true) {
                let deletions = if self.place.keyless { "; deletions until now cannot be told" } else { "" };
                self.notices.push(format!(
                    "Google no longer knows what changed since the checkpoint; all events are listed and compared{deletions}"
                ));
            }
            return Ok(false);
        }
        if state.page.is_some() && (code == dialect::PAGE_TOKEN_ENDED || error.status() == Some(410)) {
            state.page = None;
            state.met = KeySet::default();
            return Ok(false);
        }
        // It went after the list of calendars was read, and is gone from the next list.
        if error.kind() == ErrorKind::NotFound && self.records.calendar.is_none() {
            return Ok(true);
        }
        Err(error)
    }

    fn take(&mut self, state: &mut State, answered: Answered) -> Result<bool> {
        let listing = state.sync.is_none();
        if answered.page.is_some() && answered.page == state.page {
            return Err(super::account::endless());
        }
        for row in answered.rows {
            self.take_row(state, row, listing);
        }
        if let Some(page) = answered.page {
            state.page = Some(page);
            return Ok(false);
        }
        state.page = None;
        if listing {
            self.compare(state);
        }
        state.sync = answered.sync;
        Ok(true)
    }

    /// Reports an event unless it was reported as it is.
    fn take_row(&mut self, state: &mut State, row: Row, listing: bool) {
        let Sight { id, recurring_event_id, .. } = row.sight;
        let taken = format!("{TAKEN}{id}");
        if listing {
            state.met.insert(if row.record.is_some() { id.clone() } else { taken.clone() });
        }
        let Some(record) = row.record else {
            let was_there = state.known.remove(&id);
            // An occurrence that is taken out of its series was no event of its own before.
            let new =
                recurring_event_id.is_some() && !self.place.keyless && state.known.insert(taken, 0).is_none();
            let first = listing && !state.listed;
            if was_there || (new && !first) || (self.place.keyless && !listing) {
                self.report(ChangeKind::Deleted, &state.calendar, &id, None);
            }
            return;
        };
        if self.place.keyless {
            self.report(ChangeKind::Changed, &state.calendar, &id, Some(record));
            return;
        }
        state.known.remove(&taken);
        let change = match state.known.insert(id.clone(), row.mark) {
            None => ChangeKind::Created,
            Some(before) if before == row.mark => return,
            Some(_) => ChangeKind::Updated,
        };
        self.report(change, &state.calendar, &id, Some(record));
        self.limit_known(state);
    }

    /// Reports what a complete listing no longer has.
    fn compare(&mut self, state: &mut State) {
        let met = std::mem::take(&mut state.met);
        let gone: Vec<String> =
            state.known.keys().filter(|id| !met.contains(id)).map(str::to_owned).collect();
        for id in gone {
            state.known.remove(&id);
            if !id.starts_with(TAKEN) {
                self.report(ChangeKind::Deleted, &state.calendar, &id, None);
            }
        }
        state.listed = true;
    }

    fn limit_known(&mut self, state: &mut State) {
        let others: usize = self.place.calendars.iter().map(|own| own.known.len()).sum();
        if others + state.known.len() <= KEYS_MAX {
            return;
        }
        for own in &mut self.place.calendars {
            own.known = MarkedKeys::default();
        }
        state.known = MarkedKeys::default();
        self.place.keyless = true;
        self.notices.push(format!(
            "{} has more than {KEYS_MAX} records, so the checkpoint does not carry their keys: whether an event is new is \
             not told, nor what was deleted while a checkpoint was too old",
            self.records.record_type.name
        ));
    }

    fn report(&mut self, change: ChangeKind, calendar: &str, id: &str, record: Option<Record>) {
        if !self.silent {
            let key = self.records.key(&Address { calendar: calendar.to_owned(), id: id.to_owned() });
            self.changes.push(ChangeEntry {
                change,
                key: Some(key),
                alternate: None,
                record,
                subtree: false,
            });
        }
    }
}
