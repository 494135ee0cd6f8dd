//! Writing. Every row is a request of its own in a batch, so that it has its own outcome. A new event gets its id here: a
//! request that is repeated cannot make a second one, and is told by the id that is taken.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::Method;
use rand::Rng as _;
use serde_json::{Value as Json, json};

use super::draft::{self, Draft, is_on};
use super::fields::{CALENDAR, ICAL_UID};
use super::kinds::Home;
use super::records::{Address, GoogleRecords};
use super::write_options::{DESTINATION, FOLLOWING};
use super::{account::PRIMARY, api, dialect, moments, pages};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::multipart::{Part, PartReply};
use crate::provider::outcome::was_there_before;
use crate::provider::{Change, Context, Edit, Edits, NewRow, Outcome, Settled, VersionedKey, WriteOptions};
use crate::record::{FieldPath, Key};

/// How often rows that the service was too busy for are sent.
pub(super) const ATTEMPTS: u32 = 5;
/// First pause before such rows are sent again, when the service names none; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a list is read and written anew when somebody else changed the record meanwhile.
const READINGS: u32 = 4;
/// The digits of ids (base32hex).
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Create,
    /// An event that is known by its id of iCalendar is put in, or put in again.
    Import,
    Update,
    Delete,
}

impl Write {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Import => "upsert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// An operation ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) part: Part,
    pub(super) write: Write,
    /// The record's address, as far as it is known beforehand.
    pub(super) address: Address,
    pub(super) marker: Option<Json>,
    /// Whether sending it twice does no more than sending it once.
    pub(super) idempotent: bool,
    /// Whether the id was chosen here, so that an answer that it is taken means that the row arrived before.
    pub(super) own_id: bool,
}

/// An id of 26 digits for these bytes.
fn id_of(bytes: [u8; 16]) -> String {
    let value = u128::from_be_bytes(bytes);
    (0..26).map(|turn| char::from(DIGITS[((value >> (turn * 5)) & 31) as usize])).collect()
}

/// An id that nobody has.
fn fresh_id() -> String {
    id_of(rand::rng().random())
}

/// The id of a row with a mark: the mark itself where it is an id, else one that follows from it.
pub(super) fn id_of_mark(mark: &Json) -> String {
    let named = mark.as_str().or_else(|| mark.get("id").and_then(Json::as_str));
    if let Some(id) = named.filter(|id| moments::is_id(id)) {
        return id.to_owned();
    }
    let mut bare = mark.clone();
    if let Some(members) = bare.as_object_mut() {
        members.remove("@since");
    }
    let hash = digest(&SHA256, bare.to_string().as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    id_of(bytes)
}

/// The text that a row sets a field to.
pub(super) fn text_of(edits: &Edits, name: &str) -> Option<String> {
    edits.iter().find_map(|(own, edit)| match edit {
        Edit::Set(raw) if own == name => serde_json::from_str(raw.get()).ok(),
        _ => None,
    })
}

impl GoogleRecords {
    /// Creates rows.
    pub(super) async fn create_rows(
        &self,
        cx: &Context,
        rows: &[NewRow],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        if self.record_type.capability.create.is_none() {
            return Err(self.unsupported("create", "records of this type cannot be created"));
        }
        let mut made = Vec::with_capacity(rows.len());
        for row in rows {
            made.push(self.creation(cx, row, options).await);
        }
        self.send_operations(cx, Write::Create, made).await
    }

    async fn creation(&self, cx: &Context, row: &NewRow, options: &WriteOptions) -> Result<Operation> {
        let mut draft = draft::draft(&self.record_type, self.home, &row.fields, true, None)?;
        draft.query.extend(draft::parameters(self.home, options));
        let calendar = self.calendar_of(cx, &row.fields).await?;
        let given = text_of(&row.fields, "id");
        // The service takes only one of the two ids; a row that is to be found by its mark has both.
        let known_by_uid = row.marker.is_none() && text_of(&row.fields, ICAL_UID).is_some();
        let own_id = self.home == Home::Events && given.is_none() && !known_by_uid;
        let mut id = given.unwrap_or_default();
        if own_id {
            id = row.marker.as_ref().map_or_else(fresh_id, id_of_mark);
            draft.body.insert("id".to_owned(), json!(id));
        }
        let resource = match self.home {
            Home::Texts => api::quick_add(&calendar, &text_of(&row.fields, "text").unwrap_or_default()),
            _ => self.home.list(&calendar),
        };
        let body = if self.home == Home::Texts { String::new() } else { draft.text() };
        Ok(Operation {
            part: api::part(Method::POST, &api::with_query(&resource, &draft.query), body),
            write: Write::Create,
            address: Address { calendar, id },
            marker: row.marker.clone(),
            idempotent: own_id,
            own_id,
        })
    }

    /// The calendar that a new record goes into.
    async fn calendar_of(&self, cx: &Context, edits: &Edits) -> Result<String> {
        if !self.home.has_calendar() {
            return Ok(String::new());
        }
        if let Some(own) = &self.calendar {
            return Ok(own.id.clone());
        }
        let named = text_of(edits, CALENDAR);
        self.account.calendar_id(cx, named.as_deref().unwrap_or(PRIMARY)).await
    }

    /// Updates rows by key, each only if it still has its version where one is given.
    pub(super) async fn update_rows(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        if self.record_type.capability.update.is_none() {
            return Err(self.unsupported("update", "records of this type cannot be changed"));
        }
        if is_on(options, FOLLOWING) {
            return self.update_following(cx, rows, options).await;
        }
        let mut addresses = Vec::with_capacity(rows.len());
        for row in rows {
            addresses.push(self.address(cx, &row.key).await);
        }
        if let Some(destination) =
            options.get(DESTINATION).and_then(Json::as_str).filter(|own| !own.is_empty())
        {
            let destination = self.account.calendar_id(cx, destination).await?;
            addresses = self.move_all(cx, addresses, rows, &destination, options).await?;
        }
        let mut readings = Readings::of(rows);
        while !readings.left().is_empty() {
            let sent = self.send_changes(cx, readings.left(), rows, &addresses, options).await;
            readings.take(sent)?;
        }
        Ok(readings.finish())
    }

    /// Reads what some of the rows need, and sends them.
    async fn send_changes(
        &self,
        cx: &Context,
        places: &[usize],
        rows: &[Change],
        addresses: &[Result<Address>],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let present = self.present_rows(cx, places, rows, addresses).await?;
        let made = places.iter().zip(present).map(|(place, present)| {
            let (row, address) = (&rows[*place], addresses[*place].clone());
            let made = address.and_then(|address| self.change(row, address, present?, options));
            made.map_err(|error| error.with_key(row.key.to_string()))
        });
        self.send_operations(cx, Write::Update, made.collect()).await
    }

    /// The records that edits need as they are.
    async fn present_rows(
        &self,
        cx: &Context,
        places: &[usize],
        rows: &[Change],
        addresses: &[Result<Address>],
    ) -> Result<Vec<Result<Option<Json>>>> {
        let needed: Vec<(usize, Address)> = places
            .iter()
            .enumerate()
            .filter(|(_, place)| draft::needs_present(&rows[**place].edits))
            .filter_map(|(at, place)| Some((at, addresses[*place].clone().ok()?)))
            .collect();
        let mut out: Vec<Result<Option<Json>>> = places.iter().map(|_| Ok(None)).collect();
        if needed.is_empty() {
            return Ok(out);
        }
        let asked: Vec<Address> = needed.iter().map(|(_, address)| address.clone()).collect();
        for ((at, _), row) in needed.into_iter().zip(self.rows(cx, "update", &asked).await?) {
            out[at] = match row {
                Ok(Some(row)) => dialect::read("a record", &row).map(Some),
                Ok(None) => Err(gone()),
                Err(error) => Err(error),
            };
        }
        Ok(out)
    }

    pub(super) fn change(
        &self,
        row: &Change,
        address: Address,
        present: Option<Json>,
        options: &WriteOptions,
    ) -> Result<Operation> {
        let Draft { body, mut query } =
            draft::draft(&self.record_type, self.home, &row.edits, false, present.as_ref())?;
        query.extend(draft::parameters(self.home, options));
        let resource = api::with_query(&self.resource(&address), &query);
        let mut part = api::part(Method::PATCH, &resource, Json::Object(body).to_string());
        let read = present.as_ref().and_then(|row| row["etag"].as_str());
        if let Some(version) = checked_version(row.if_version.as_deref())?.or(read) {
            part = api::if_match(part, version);
        }
        Ok(Operation {
            part,
            write: Write::Update,
            address,
            marker: None,
            idempotent: row.if_version.is_none(),
            own_id: false,
        })
    }

    /// Deletes rows, each only if it still has its version where one is given.
    pub(super) async fn delete_rows(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        if self.record_type.capability.delete.is_none() {
            return Err(self.unsupported("delete", "records of this type cannot be deleted"));
        }
        if is_on(options, FOLLOWING) {
            return self.delete_following(cx, rows, options).await;
        }
        let query = draft::parameters(self.home, options);
        let query = if self.home == Home::Rules { Vec::new() } else { query };
        let mut made = Vec::with_capacity(rows.len());
        for row in rows {
            let prepared = async {
                let address = self.address(cx, &row.key).await?;
                let resource = api::with_query(&self.resource(&address), &query);
                let mut part = api::part(Method::DELETE, &resource, String::new());
                if let Some(version) = checked_version(row.if_version.as_deref())? {
                    part = api::if_match(part, version);
                }
                Ok(Operation {
                    part,
                    write: Write::Delete,
                    address,
                    marker: None,
                    idempotent: true,
                    own_id: false,
                })
            };
            made.push(prepared.await.map_err(|error: Error| error.with_key(row.key.to_string())));
        }
        self.send_operations(cx, Write::Delete, made).await
    }

    /// Moves events to another calendar, and gives their addresses there.
    async fn move_all(
        &self,
        cx: &Context,
        addresses: Vec<Result<Address>>,
        rows: &[Change],
        destination: &str,
        options: &WriteOptions,
    ) -> Result<Vec<Result<Address>>> {
        let mut moved = Vec::with_capacity(rows.len());
        for (address, row) in addresses.into_iter().zip(rows) {
            let address = match address {
                Ok(address) if address.calendar != destination => {
                    if row.if_version.is_some() {
                        Err(Error::unsupported("a version cannot be checked by a move")
                            .with_advice("Leave @version out where events are moved"))
                    } else {
                        self.move_one(cx, address, destination, options).await
                    }
                }
                other => other,
            };
            moved.push(address);
        }
        Ok(moved)
    }

    /// Moves an event. A repeated request finds it gone, and where it went to.
    async fn move_one(
        &self,
        cx: &Context,
        address: Address,
        destination: &str,
        options: &WriteOptions,
    ) -> Result<Address> {
        let mut query = vec![("destination", destination.to_owned())];
        query.extend(draft::parameters(self.home, options));
        let resource = api::with_query(&format!("{}/move", self.resource(&address)), &query);
        let there = Address { calendar: destination.to_owned(), id: address.id };
        let call = api::post("update", &resource).idempotent(true);
        match cx.send(call).await {
            Ok(_) => Ok(there),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
                let row = self.rows(cx, "update", std::slice::from_ref(&there)).await?.pop();
                if matches!(row, Some(Ok(Some(_)))) { Ok(there) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Sends operations that were made, each at its place, and puts the outcomes there.
    pub(super) async fn send_operations(
        &self,
        cx: &Context,
        write: Write,
        made: Vec<Result<Operation>>,
    ) -> Result<Vec<Outcome>> {
        let about = self.about(write.name());
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(made.len());
        let mut waiting: Vec<(usize, Operation)> = Vec::new();
        for (place, made) in made.into_iter().enumerate() {
            match made {
                Ok(operation) => {
                    waiting.push((place, operation));
                    outcomes.push(None);
                }
                Err(error) => outcomes.push(Some(Outcome::Failed(about(error)))),
            }
        }
        let mut sent = false;
        for attempt in 1..=ATTEMPTS {
            let mut busy: Vec<(usize, Operation)> = Vec::new();
            let mut pause = Duration::ZERO;
            // What may be repeated goes apart from what may not.
            let (sure, once): (Vec<_>, Vec<_>) =
                std::mem::take(&mut waiting).into_iter().partition(|(_, operation)| operation.idempotent);
            let batches = sure.chunks(api::BATCH).chain(once.chunks(api::BATCH));
            for batch in batches {
                let parts: Vec<Part> = batch.iter().map(|(_, operation)| operation.part.clone()).collect();
                let idempotent = batch.iter().all(|(_, operation)| operation.idempotent);
                let answers = match self.account.send_parts(cx, write.name(), &parts, idempotent).await {
                    Ok(answers) => answers,
                    // Nothing is known to be written only while no other row was sent.
                    Err(error) if !error.leaves_open() && !sent => return Err(about(error)),
                    Err(error) => {
                        let error = about(error);
                        for (place, operation) in batch {
                            outcomes[*place] = Some(if error.leaves_open() {
                                Outcome::lost(&error, operation.marker.clone())
                            } else {
                                Outcome::Failed(error.clone())
                            });
                        }
                        sent = true;
                        continue;
                    }
                };
                sent = true;
                for ((place, operation), answer) in batch.iter().zip(answers) {
                    let outcome = self.outcome(cx, operation, answer);
                    if let Outcome::Failed(error) = &outcome
                        && error.retry() == Retry::Always
                        && attempt < ATTEMPTS
                    {
                        pause = pause.max(error.retry_after().unwrap_or_default());
                        busy.push((*place, operation.clone()));
                    }
                    outcomes[*place] = Some(outcome);
                }
            }
            if busy.is_empty() {
                break;
            }
            waiting = busy;
            rest(cx, attempt, pause).await;
        }
        Ok(finished(outcomes))
    }

    /// What an answer says of one row.
    fn outcome(&self, cx: &Context, operation: &Operation, answer: Option<PartReply>) -> Outcome {
        let name = operation.write.name();
        let about = self.about(name);
        let Some(answer) = answer else {
            return Outcome::lost(&about(pages::cut_short()), operation.marker.clone());
        };
        let key = || self.key(&operation.address);
        if answer.status.is_success() {
            return match operation.write {
                Write::Delete => Outcome::Deleted(key()),
                // The service changes what is deleted as well; nobody sees it.
                Write::Update if self.home.is_of_events() && pages::is_cancelled(&answer.body) => {
                    Outcome::Failed(about(gone().with_key(key().to_string())))
                }
                Write::Update => Outcome::Updated(key()),
                Write::Create | Write::Import => match self.created(operation, &answer.body) {
                    Some(key) => Outcome::Created(key),
                    None => {
                        let error = Error::protocol("Google reports a success of another record, or of none");
                        Outcome::lost(&about(error), operation.marker.clone())
                    }
                },
            };
        }
        let error = dialect::part_error(name, &answer);
        let code = error.code().unwrap_or_default();
        if operation.write == Write::Delete && (code == dialect::DELETED || error.status() == Some(404)) {
            return Outcome::Deleted(key());
        }
        if operation.own_id && code == dialect::DUPLICATE {
            return Outcome::Created(key());
        }
        let error = about(error).with_connection(cx.connection.as_str());
        let new = matches!(operation.write, Write::Create | Write::Import);
        let error = if new { error } else { error.with_key(key().to_string()) };
        if error.leaves_open() {
            return Outcome::lost(&error, operation.marker.clone());
        }
        Outcome::Failed(error)
    }

    /// The key of a record that was created.
    fn created(&self, operation: &Operation, body: &[u8]) -> Option<Key> {
        let row: Json = serde_json::from_slice(body).ok()?;
        let id = row["id"].as_str().filter(|id| !id.is_empty())?;
        // An answer about an id that was not sent is another row's.
        let sent = operation.address.id.as_str();
        if operation.write == Write::Create && !sent.is_empty() && self.home.is_of_events() && sent != id {
            return None;
        }
        Some(self.key(&Address { id: id.to_owned(), ..operation.address.clone() }))
    }

    /// Whether the rows with these marks are there: the mark is the id.
    pub(super) async fn settle_marks(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        if self.home != Home::Events {
            return Ok(marks.iter().map(|_| Settled::CannotTell).collect());
        }
        let calendars: Vec<String> = match &self.calendar {
            Some(own) => vec![own.id.clone()],
            None => {
                let all = self.account.calendars(cx, "settle", false).await?;
                all.iter().filter(|own| own.is_writable()).map(|own| own.id.clone()).collect()
            }
        };
        let mut settled = Vec::with_capacity(marks.len());
        for mark in marks {
            if let (Some(uid), Some(own)) = (mark[ICAL_UID].as_str(), &self.calendar) {
                settled.push(self.settle_uid(cx, &own.id, uid, mark).await?);
                continue;
            }
            let id = id_of_mark(mark);
            let everywhere: Vec<Address> = calendars
                .iter()
                .map(|calendar| Address { calendar: calendar.clone(), id: id.clone() })
                .collect();
            let mut found = Settled::Absent;
            for (address, row) in everywhere.iter().zip(self.rows(cx, "settle", &everywhere).await?) {
                let Some(row) = row? else { continue };
                let select = [FieldPath::of(["created"])];
                let record =
                    pages::record(&self.record_type, &select, Some(address.calendar.as_str()), &row)?;
                if record.is_some_and(|record| !was_there_before(&record, "created", mark)) {
                    found = Settled::Arrived(self.key(address));
                }
            }
            settled.push(found);
        }
        Ok(settled)
    }
}

/// Waits before what the service was too busy for is sent again, at least as long as it asked for.
pub(super) async fn rest(cx: &Context, attempt: u32, asked: Duration) {
    let most = PAUSE * 2_u32.pow(attempt - 1);
    let jittered = most.mul_f64(rand::rng().random_range(0.5..=1.0));
    cx.clock.sleep(asked.max(jittered)).await;
}

/// The version that an update or a delete depends on.
pub(super) fn checked_version(version: Option<&str>) -> Result<Option<&str>> {
    match version {
        None => Ok(None),
        Some(version) if api::is_version(version) => Ok(Some(version)),
        // What no entity tag can be was never the version of a record.
        Some(version) => {
            Err(Error::new(ErrorKind::Conflict, format!("{version:?} is not the version of the record"))
                .with_code("conditionNotMet")
                .with_advice("Give the @version that search or get printed"))
        }
    }
}

/// The error for an event that is deleted.
pub(super) fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such record, or it was deleted")
        .with_provider("google-calendar")
        .with_code(dialect::DELETED)
}

/// Rows whose lists are read and written, and read anew where somebody else changed the record in between.
pub(super) struct Readings<'a> {
    rows: &'a [Change],
    outcomes: Vec<Option<Outcome>>,
    /// Places of the rows that are to be read and sent.
    left: Vec<usize>,
    done: u32,
}

impl<'a> Readings<'a> {
    pub(super) fn of(rows: &'a [Change]) -> Self {
        Self { rows, outcomes: vec![None; rows.len()], left: (0..rows.len()).collect(), done: 0 }
    }

    pub(super) fn left(&self) -> &[usize] {
        &self.left
    }

    /// Takes what became of the rows that were left. When a later reading fails as a whole, what was sent before is
    /// told.
    pub(super) fn take(&mut self, sent: Result<Vec<Outcome>>) -> Result<()> {
        self.done += 1;
        let places = std::mem::take(&mut self.left);
        let answers = match sent {
            Err(_) if self.done > 1 => return Ok(()),
            sent => sent?,
        };
        for (place, outcome) in places.into_iter().zip(answers) {
            if is_stale(&self.rows[place], &outcome) && self.done < READINGS {
                self.left.push(place);
            }
            self.outcomes[place] = Some(outcome);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Outcome> {
        finished(self.outcomes)
    }
}

/// Whether somebody else changed a record between its reading for a list and its writing: then both are done again.
fn is_stale(row: &Change, outcome: &Outcome) -> bool {
    let stale = outcome.error().is_some_and(|error| error.status() == Some(412));
    stale && row.if_version.is_none() && draft::needs_present(&row.edits)
}

fn finished(outcomes: Vec<Option<Outcome>>) -> Vec<Outcome> {
    let each = outcomes.into_iter();
    each.map(|own| own.unwrap_or_else(|| Outcome::lost(&Error::bug("a row has no outcome"), None))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_the_form_that_the_service_takes_and_follow_from_marks() {
        assert!(moments::is_id(&fresh_id()) && fresh_id() != fresh_id());
        assert_eq!(id_of_mark(&json!("abcde0123")), "abcde0123");
        assert_eq!(id_of_mark(&json!({ "id": "abcde0123", "@since": "x" })), "abcde0123");
        let run = json!({ "run": 7, "row": 1 });
        let mut later = run.clone();
        later["@since"] = json!("2026-01-01T00:00:00Z");
        assert!(moments::is_id(&id_of_mark(&run)));
        assert_eq!(id_of_mark(&run), id_of_mark(&later));
        assert_ne!(id_of_mark(&run), id_of_mark(&json!({ "run": 7, "row": 2 })));
    }
}
