//! Events by the id that they have in every system (`iCalUID`): reading, upserts, and looking for a row whose answer
//! was lost. The service finds events by it in a list; an import puts an event in under it, and puts it in only once.
//!
//! Source: "Events: list" and "Events: import" (Google Calendar API).

use http::Method;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::fields::ICAL_UID;
use super::records::{Address, GoogleRecords};
use super::writes::{Operation, Readings, Write};
use super::{api, dialect, draft, pages};
use crate::error::{Error, Result};
use crate::http::multipart::Part;
use crate::provider::outcome::was_there_before;
use crate::provider::{Change, Context, Outcome, Settled, WriteOptions, keyed};
use crate::record::{FieldPath, Key, KeyFields, Record};

/// Events that one id of iCalendar can have at most in a look: a series and its exceptions.
const ROWS: &str = "2500";

impl GoogleRecords {
    /// The calendar that all records of the type are of.
    fn own_calendar(&self) -> Result<&str> {
        let own = self.calendar.as_ref().map(|calendar| calendar.id.as_str());
        own.ok_or_else(|| Error::bug("events are known by iCalUID within one calendar alone"))
    }

    /// The events with these ids of iCalendar, as they are; exceptions stand for their series.
    ///
    /// # Errors
    /// What concerns all of them.
    async fn rows_by_uid(
        &self,
        cx: &Context,
        operation: &'static str,
        uids: &[String],
    ) -> Result<Vec<Result<Option<Json>>>> {
        let calendar = self.own_calendar()?;
        let list = |uid: &String| {
            let query = [(ICAL_UID, uid.as_str()), ("maxResults", ROWS)];
            api::part_get(&api::with_query(&api::events(calendar), &query))
        };
        let parts: Vec<Part> = uids.iter().map(list).collect();
        let mut rows = Vec::with_capacity(parts.len());
        for some in parts.chunks(api::BATCH) {
            for answer in self.account.send_parts(cx, operation, some, true).await? {
                let answer = answer.ok_or_else(pages::cut_short)?;
                rows.push(if answer.status.is_success() {
                    the_one(&answer.body)
                } else {
                    Err(dialect::part_error(operation, &answer))
                });
            }
        }
        Ok(rows)
    }

    /// Reads events by their ids of iCalendar.
    ///
    /// # Errors
    /// What concerns all of them.
    pub(super) async fn read_by_uid(
        &self,
        cx: &Context,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let uids: Vec<String> = keys.iter().map(uid_of).collect();
        let rows = self.rows_by_uid(cx, "get", &uids).await?;
        let calendar = self.own_calendar()?;
        let each = rows.into_iter().zip(keys).map(|(row, key)| {
            let read = |row: Json| {
                pages::record(&self.record_type, select, Some(calendar), row.to_string().as_bytes())
            };
            let record = row.and_then(|row| row.map_or_else(|| Ok(None), read));
            record.map_err(|error| self.about("get")(error.with_key(key.to_string())))
        });
        Ok(each.collect())
    }

    /// Changes the events that are there, and imports the others.
    ///
    /// # Errors
    /// What concerns all of them.
    pub(super) async fn upsert_rows(
        &self,
        cx: &Context,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let uids: Vec<String> = rows.iter().map(|row| uid_of(&row.key)).collect();
        let mut readings = Readings::of(rows);
        while !readings.left().is_empty() {
            let sent = self.send_upserts(cx, readings.left(), rows, &uids, options).await;
            readings.take(sent)?;
        }
        Ok(readings.finish())
    }

    /// Looks for the events of some of the rows, and sends what is to become of them.
    async fn send_upserts(
        &self,
        cx: &Context,
        places: &[usize],
        rows: &[Change],
        uids: &[String],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let asked: Vec<String> = places.iter().map(|place| uids[*place].clone()).collect();
        let found = self.rows_by_uid(cx, "upsert", &asked).await?;
        let made = places.iter().zip(asked.iter().zip(found)).map(|(place, (uid, found))| {
            let row = &rows[*place];
            let operation = found.and_then(|found| self.upsertion(row, uid, found, options));
            operation.map_err(|error| error.with_key(row.key.to_string()))
        });
        self.send_operations(cx, Write::Import, made.collect()).await
    }

    fn upsertion(
        &self,
        row: &Change,
        uid: &str,
        found: Option<Json>,
        options: &WriteOptions,
    ) -> Result<Operation> {
        let calendar = self.own_calendar()?.to_owned();
        if row.if_version.is_some() {
            return Err(self.unsupported("upsert", "a version cannot be checked by an upsert"));
        }
        if let Some(present) = found {
            let id = present["id"].as_str().unwrap_or_default().to_owned();
            let needed = draft::needs_present(&row.edits).then_some(present);
            return self.change(row, Address { calendar, id }, needed, options);
        }
        let mut draft = draft::draft(&self.record_type, self.home, &row.edits, true, None)?;
        draft.body.insert(ICAL_UID.to_owned(), json!(uid));
        let resource = api::with_query(&format!("{}/import", api::events(&calendar)), &draft.query);
        Ok(Operation {
            part: api::part(Method::POST, &resource, draft.text()),
            write: Write::Import,
            address: Address { calendar, id: String::new() },
            marker: None,
            idempotent: true,
            own_id: false,
        })
    }

    /// Whether a row that was sent under an id of iCalendar is there.
    ///
    /// # Errors
    /// What the service refuses.
    pub(super) async fn settle_uid(
        &self,
        cx: &Context,
        calendar: &str,
        uid: &str,
        mark: &Json,
    ) -> Result<Settled> {
        let row = self.rows_by_uid(cx, "settle", &[uid.to_owned()]).await?.pop();
        let Some(row) = row.transpose()?.flatten() else { return Ok(Settled::Absent) };
        let select = [FieldPath::of(["created"])];
        let text = row.to_string();
        let record = pages::record(&self.record_type, &select, Some(calendar), text.as_bytes())?;
        Ok(match record {
            Some(record) if !was_there_before(&record, "created", mark) => Settled::Arrived(record.key),
            _ => Settled::Absent,
        })
    }
}

fn uid_of(key: &Key) -> String {
    key.parts().first().map(ToString::to_string).unwrap_or_default()
}

/// The event of a list that is no exception of another and is not deleted.
fn the_one(body: &[u8]) -> Result<Option<Json>> {
    #[derive(Deserialize)]
    struct Rows {
        items: Vec<Json>,
    }
    let rows: Rows = dialect::read("events", body)?;
    let is_meant = |row: &Json| row["status"] != "cancelled" && row["recurringEventId"].is_null();
    let mut found = rows.items.into_iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(one), Some(_)) => {
            let uid = Key::text(one[ICAL_UID].as_str().unwrap_or_default());
            Err(keyed::several(&KeyFields::single(ICAL_UID), &uid))
        }
        (found, _) => Ok(found),
    }
}
