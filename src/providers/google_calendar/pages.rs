//! Pages of lists. A page of events of several calendars has one page of each of some calendars, which are asked for at
//! once.

use std::collections::HashMap;

use futures::future::try_join_all;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::account::Account;
use super::kinds::Home;
use super::query::Request;
use super::{api, busy, dialect, fields};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::Call;
use crate::provider::{Context, Plan};
use crate::record::transcode::{self, Shape};
use crate::record::{Cursor, FieldPath, Page, Record, RecordType, RowError};

/// Calendars that are read at once.
pub(super) const AT_ONCE: usize = 4;

/// Where a page starts. Travels in [`Cursor::position`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// The calendars that are being read.
    open: Vec<Open>,
    /// Those that come after.
    rest: Vec<String>,
}

/// A calendar that is being read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    calendar: String,
    /// The place of the next page.
    token: Option<String>,
    /// Whether changes lie too far back to be asked for, so that everything is read.
    wide: bool,
}

impl Open {
    fn at_start(calendar: String) -> Self {
        Self { calendar, ..Self::default() }
    }
}

/// One answer of a list.
pub(super) struct Listed {
    pub(super) records: Vec<Result<Record, RowError>>,
    pub(super) next: Option<String>,
}

/// What a search reads with.
pub(super) struct Reader<'a> {
    pub(super) account: &'a Account,
    pub(super) home: Home,
    pub(super) record_type: &'a RecordType,
    pub(super) cx: &'a Context,
    pub(super) plan: &'a Plan,
}

impl Reader<'_> {
    /// One page of the search.
    ///
    /// # Errors
    /// What the service refuses; Invalid for a cursor of another kind.
    pub(super) async fn page(&self, at: Option<&Cursor>) -> Result<Page> {
        let request = Request::of(self.plan)?;
        let mut position = match at {
            Some(cursor) => serde_json::from_value(cursor.position.clone()).map_err(|source| {
                Error::invalid("the cursor is not one of Google Calendar's").with_source(source)
            })?,
            None => self.beginning(&request).await?,
        };
        let (records, next) = match self.home {
            Home::Events | Home::Occurrences => {
                let records = self.of_calendars(&request, &mut position).await?;
                let more = !position.open.is_empty();
                (records, more.then_some(position))
            }
            Home::Colours => (self.colours().await?, None),
            Home::Busy => (busy::stretches(self, &request).await?, None),
            Home::Calendars => self.calendars(&request, &position).await?,
            Home::List | Home::Rules | Home::Settings => self.plain(&request, &position).await?,
            Home::Texts => return Err(Error::unsupported("texts that events were made from are not kept")),
        };
        let seen = at.map_or(0, |cursor| cursor.seen) + records.len() as u64;
        let next = next
            .map(serde_json::to_value)
            .transpose()
            .map_err(|source| Error::bug("a position is not JSON").with_source(source))?
            .map(|position| Cursor::new(self.plan.hash.as_str(), position, seen));
        Ok(Page { records, next, total: None })
    }

    async fn beginning(&self, request: &Request) -> Result<Position> {
        let calendars = match &request.calendars {
            Some(own) => own.clone(),
            None if self.home.is_of_events() => {
                let all = self.account.calendars(self.cx, "search", true).await?;
                all.iter().map(|calendar| calendar.id.clone()).collect()
            }
            None => vec![String::new()],
        };
        let mut position = Position { open: Vec::new(), rest: calendars };
        position.refill();
        Ok(position)
    }

    pub(super) fn shape(&self, calendar: Option<&str>) -> Result<Shape> {
        fields::shape(self.record_type, &self.plan.select, &self.plan.fetched_besides, calendar)
    }

    /// One page of each calendar that is being read.
    async fn of_calendars(
        &self,
        request: &Request,
        position: &mut Position,
    ) -> Result<Vec<Result<Record, RowError>>> {
        let answers = try_join_all(position.open.iter().map(|open| self.of_calendar(request, open))).await?;
        let mut records = Vec::new();
        let mut open = Vec::new();
        for (listed, next) in answers {
            // Each answer counts its rows from its own beginning.
            let before = records.len() as u64;
            records.extend(
                listed
                    .into_iter()
                    .map(|record| record.map_err(|row| RowError { position: row.position + before, ..row })),
            );
            open.extend(next);
        }
        position.open = open;
        position.refill();
        Ok(records)
    }

    async fn of_calendar(
        &self,
        request: &Request,
        open: &Open,
    ) -> Result<(Vec<Result<Record, RowError>>, Option<Open>)> {
        let shape = self.shape(Some(&open.calendar))?;
        let call = self.events_call(request, open);
        let asked = self.ask(call, &shape, request.deleted).await;
        let listed = match asked {
            Err(error) if error.code() == Some(dialect::TOO_LONG_AGO) && !open.wide => {
                let open = Open { wide: true, ..open.clone() };
                return Ok((Vec::new(), Some(open)));
            }
            // A calendar that is gone, or one that nobody has, holds nothing; one that the type is of must be there.
            Err(error) if error.kind() == ErrorKind::NotFound && self.may_be_absent(request) => {
                return Ok((Vec::new(), None));
            }
            asked => asked?,
        };
        let next = listed.next.map(|token| Open { token: Some(token), ..open.clone() });
        Ok((listed.records, next))
    }

    /// Whether a calendar or a series that is not found means that there are no records.
    fn may_be_absent(&self, request: &Request) -> bool {
        self.record_type.name.scope().is_none() || request.series.is_some()
    }

    fn events_call(&self, request: &Request, open: &Open) -> Call {
        let size = request.page_size.to_string();
        let mut query: Vec<(&str, &str)> = vec![("maxResults", size.as_str())];
        let own = request.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        query.extend(own.filter(|(name, _)| !(open.wide && *name == "updatedMin")));
        query.extend(open.token.as_deref().map(|token| ("pageToken", token)));
        let resource = match &request.series {
            Some(series) => format!("{}/instances", api::event(&open.calendar, series)),
            None => api::events(&open.calendar),
        };
        api::get("search", &api::with_query(&resource, &query))
    }

    /// Sends a call for a page. An answer that cannot be read is asked for once more.
    async fn ask(&self, call: Call, shape: &Shape, deleted: bool) -> Result<Listed> {
        let reply = self.cx.send(call.clone()).await?;
        match page_of(&reply.body, shape, deleted) {
            Err(error) if error.kind() == ErrorKind::Protocol => {
                page_of(&self.cx.send(call).await?.body, shape, deleted)
            }
            read => read,
        }
    }

    /// A page of a list that the service gives as it is.
    async fn plain(
        &self,
        request: &Request,
        position: &Position,
    ) -> Result<(Vec<Result<Record, RowError>>, Option<Position>)> {
        let open = position.open.first().cloned().unwrap_or_default();
        let size = request.page_size.to_string();
        let mut query = vec![("maxResults", size.as_str())];
        if self.home == Home::List {
            query.push(("showHidden", "true"));
        }
        query.extend(open.token.as_deref().map(|token| ("pageToken", token)));
        let call = api::get("search", &api::with_query(&self.home.list(&open.calendar), &query));
        let calendar = self.home.has_calendar().then_some(open.calendar.as_str());
        let listed = self.ask(call, &self.shape(calendar)?, true).await?;
        Ok((listed.records, Position::behind(&open, listed.next)))
    }

    /// A page of calendars: the list has the user's view of each, so that the calendars themselves are read by id.
    async fn calendars(
        &self,
        request: &Request,
        position: &Position,
    ) -> Result<(Vec<Result<Record, RowError>>, Option<Position>)> {
        #[derive(Deserialize)]
        struct Entry {
            id: String,
        }
        let open = position.open.first().cloned().unwrap_or_default();
        let size = request.page_size.to_string();
        let mut query = vec![("maxResults", size.as_str()), ("showHidden", "true")];
        query.extend(open.token.as_deref().map(|token| ("pageToken", token)));
        let call = api::get("search", &api::with_query("users/me/calendarList", &query));
        let page: super::account::ListPage<Entry> =
            dialect::read("the list of calendars", &self.cx.send(call).await?.body)?;
        let ids: Vec<String> = page.items.into_iter().map(|entry| entry.id).collect();
        let parts: Vec<_> = ids
            .iter()
            .map(|id| api::part(Method::GET, &Home::Calendars.one("", id), String::new()))
            .collect();
        let batches =
            parts.chunks(api::BATCH).map(|batch| self.account.send_parts(self.cx, "search", batch, true));
        let mut rows = Vec::with_capacity(ids.len());
        for answer in try_join_all(batches).await?.into_iter().flatten() {
            let answer = answer.ok_or_else(cut_short)?;
            if answer.status.is_success() {
                rows.push(answer.body);
                continue;
            }
            let error = dialect::part_error("search", &answer);
            // It went meanwhile.
            if error.kind() != ErrorKind::NotFound {
                return Err(error);
            }
        }
        let rows: Vec<&[u8]> = rows.iter().map(|row| row.trim_ascii()).collect();
        let records = transcode::records(&rows, &self.shape(None)?);
        Ok((records, Position::behind(&open, page.next_page_token)))
    }

    async fn colours(&self) -> Result<Vec<Result<Record, RowError>>> {
        let rows: Vec<Vec<u8>> = self
            .account
            .colours(self.cx, "search")
            .await?
            .rows()
            .iter()
            .map(|row| row.to_string().into_bytes())
            .collect();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        Ok(transcode::records(&rows, &self.shape(None)?))
    }
}

impl Position {
    /// Opens calendars until as many are read as may be at once.
    fn refill(&mut self) {
        let free = AT_ONCE.saturating_sub(self.open.len()).min(self.rest.len());
        self.open.extend(self.rest.drain(..free).map(Open::at_start));
    }

    /// The position behind a page of a single list.
    fn behind(open: &Open, next: Option<String>) -> Option<Self> {
        next.map(|token| Self { open: vec![Open { token: Some(token), ..open.clone() }], rest: Vec::new() })
    }
}

/// The error for a batch of which an answer did not come.
pub(super) fn cut_short() -> Error {
    Error::protocol("the answer to a request of a batch did not come")
        .with_provider("google-calendar")
        .with_code("wrong_row_count")
        .with_retry(Retry::IfIdempotent)
}

/// Reads a page. Without `deleted` events that are cancelled are left out: occurrences that were taken out of their
/// series come in every list.
///
/// # Errors
/// Protocol for an answer without rows.
pub(super) fn page_of(body: &[u8], shape: &Shape, deleted: bool) -> Result<Listed> {
    let google = |error: Error| error.with_provider("google-calendar");
    let (records, has_rows, next) = if deleted || !holds_cancelled(body) {
        let page = transcode::read_page(body, "items", shape).map_err(google)?;
        let next = page.member("nextPageToken")?;
        (page.records, page.has_rows, next)
    } else {
        let page = transcode::cut_page(body, "items").map_err(google)?;
        let rows: Vec<&[u8]> = page.rows.iter().copied().filter(|row| !is_cancelled(row)).collect();
        let next = page.member("nextPageToken")?;
        (transcode::records(&rows, shape), page.has_rows, next)
    };
    if !has_rows && !is_empty_part(body) {
        return Err(Error::protocol("Google's answer to a list has no items")
            .with_provider("google-calendar")
            .with_code("not_json")
            .with_retry(Retry::IfIdempotent));
    }
    let next = next.filter(|token: &String| !token.is_empty());
    Ok(Listed { records, next })
}

/// Whether a list of events was asked for in parts and has no rows: then their member may be left out.
fn is_empty_part(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Part {
        kind: String,
        #[serde(default, rename = "nextPageToken")]
        _page: Option<String>,
        #[serde(default, rename = "nextSyncToken")]
        _sync: Option<String>,
    }
    serde_json::from_slice::<Part>(body).is_ok_and(|part| part.kind == "calendar#events")
}

fn holds_cancelled(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"\"cancelled\"").is_some()
}

/// Whether an event is deleted. Of a property that stands twice the last counts, as everywhere.
pub(super) fn is_cancelled(row: &[u8]) -> bool {
    let status = |row: &[u8]| {
        let members: HashMap<String, &RawValue> = serde_json::from_slice(row).ok()?;
        serde_json::from_str::<String>(members.get("status")?.get()).ok()
    };
    holds_cancelled(row) && status(row).as_deref() == Some("cancelled")
}

/// Reads one record of an answer.
///
/// # Errors
/// Protocol when it cannot be read.
pub(super) fn record(
    record_type: &RecordType,
    select: &[FieldPath],
    calendar: Option<&str>,
    row: &[u8],
) -> Result<Option<Record>> {
    let shape = fields::shape(record_type, select, &[], calendar)?;
    match transcode::records(&[row.trim_ascii()], &shape).pop() {
        Some(Ok(record)) => Ok(Some(record)),
        Some(Err(row)) => Err(row.error),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_deleted_when_its_last_status_says_so() {
        for (row, deleted) in [
            (r#"{"id":"a","status":"cancelled"}"#, true),
            (r#"{"status":"confirmed","id":"a","status":"cancelled"}"#, true),
            (r#"{"status":"cancelled","id":"a","status":"confirmed"}"#, false),
            (r#"{"id":"a","status":"confirmed","summary":"cancelled"}"#, false),
            (r#"{"id":"a","reminders":{"status":"cancelled"}}"#, false),
            (r#"{"id":"a","status":null,"location":"cancelled"}"#, false),
        ] {
            assert_eq!(is_cancelled(row.as_bytes()), deleted, "{row}");
        }
    }
}
