//! The records of one table: pages and reading by key; [`super::writes`] holds the writing.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::discover::{BATCH, PAGE_MAX};
use super::multiple::FirstTries;
use super::query::{self, Request};
use super::{Described, Environment, api, choices, dialect, keys, paths};
use crate::error::{Error, ErrorKind, Result};
use crate::http::multipart::{self, Answers, Part, PartReply};
use crate::http::{Call, Reply};
use crate::provider::keyed::{self, Keyed, Sought};
use crate::provider::outcome::was_there_before;
use crate::provider::{
    Change, ChangePage, Content, Context, NewRow, OptionPage, OptionQuery, Outcome, Plan, Records, Resolved,
    Settled, VersionedKey, WriteOptions,
};
use crate::record::transcode::{self, Shape};
use crate::record::{
    Checkpoint, Cursor, FieldPath, Key, KeyFields, Page, Query, Record, RecordType, RowError,
};

/// The column that says when a record was made.
const CREATED: &str = "createdon";
/// From this count on `@odata.count` says no more ("Count number of rows").
const COUNT_MAX: u64 = 5_000;

/// The records of one table on one connection.
#[derive(Debug)]
pub(super) struct DynamicsRecords {
    pub(super) environment: Arc<Environment>,
    pub(super) described: Arc<Described>,
    pub(super) first_tries: FirstTries,
}

/// Where a page starts; travels in [`Cursor::position`].
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position {
    /// Dataverse's link to the page, byte for byte.
    next: String,
}

/// One answer of a query.
struct Answer {
    records: Vec<Result<Record, RowError>>,
    next: Option<String>,
}

impl DynamicsRecords {
    pub(super) fn new(environment: Arc<Environment>, described: Arc<Described>) -> Self {
        Self { environment, described, first_tries: FirstTries::default() }
    }

    pub(super) fn record_type_here(&self) -> &Arc<RecordType> {
        &self.described.record_type
    }

    pub(super) fn version(&self) -> &str {
        &self.environment.version
    }

    /// Names this table and operation in an error.
    pub(super) fn about(&self, operation: &'static str) -> impl Fn(Error) -> Error + Send + Sync + Copy + '_ {
        move |error| {
            error
                .with_operation(operation)
                .with_provider("dynamics")
                .with_record_type(self.record_type_here().name.as_str())
        }
    }

    pub(super) fn unsupported(&self, operation: &'static str, what: &str) -> Error {
        self.about(operation)(Error::unsupported(format!("Dataverse {what}")))
    }

    /// Sends a query and reads its rows. An answer that cannot be read is asked for once more.
    async fn ask(&self, cx: &Context, call: Call, shape: &Shape) -> Result<Answer> {
        let reply = cx.send(call.clone()).await?;
        match answer(&reply, shape) {
            Err(error) if error.kind() == ErrorKind::Protocol => answer(&cx.send(call).await?, shape),
            read => read,
        }
    }

    /// A column that Dataverse does not know any more is named, and the table is described anew the next time.
    async fn not_agreed(&self, error: Error) -> Error {
        let error = self.with_columns(error);
        if error.kind() == ErrorKind::Invalid && !error.fields().is_empty() {
            self.environment.forget(self.record_type_here().name.as_str()).await;
        }
        error
    }

    fn request(plan: &Plan) -> Result<Request> {
        serde_json::from_value(plan.wire.clone())
            .map_err(|source| Error::bug("the plan is not one of Dataverse's").with_source(source))
    }

    async fn page_at(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        let request = Self::request(plan)?;
        let prefer = request.prefer();
        let call = match at {
            None => api::get("search", self.version(), &request.resource(), &prefer),
            Some(cursor) => {
                let position: Position =
                    serde_json::from_value(cursor.position.clone()).map_err(|source| {
                        Error::invalid("the cursor is not one of Dataverse's").with_source(source)
                    })?;
                api::link("search", &position.next, &prefer)?
            }
        };
        let answer = self.ask(cx, call, &request.shape()).await?;
        let seen = at.map_or(0, |cursor| cursor.seen) + answer.records.len() as u64;
        let next = match answer.next {
            Some(next) => {
                let position = serde_json::to_value(Position { next })
                    .map_err(|source| Error::bug("a position is not JSON").with_source(source))?;
                Some(Cursor::new(plan.hash.as_str(), position, seen))
            }
            None => None,
        };
        Ok(Page { records: answer.records, next, total: None })
    }

    /// The request that reads single records.
    fn reading(&self, resolved: &Resolved, select: &[FieldPath], filter: Option<String>) -> Result<Request> {
        Ok(Request {
            set: self.described.wires.set.clone(),
            key: self.record_type_here().key.0.clone(),
            columns: query::columns(select, &[], self.record_type_here(), resolved)?,
            filter,
            order: None,
            top: None,
            page_size: PAGE_MAX,
        })
    }

    /// Reads records by a key.
    pub(super) async fn read_by(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let resolved = paths::resolve(&self.environment, cx, &self.described, select).await?;
        if *by == self.record_type_here().key && self.link().is_none() {
            self.read_by_id(cx, keys, &resolved, select).await
        } else {
            self.read_by_alternate(cx, by, keys, &resolved, select).await
        }
    }

    /// One query for all keys.
    async fn read_by_id(
        &self,
        cx: &Context,
        keys: &[Key],
        resolved: &Resolved,
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let about = self.about("get");
        let mut keyed =
            Keyed::new(keys, |key| keys::id_of(key).map(|id| Sought { literal: id.clone(), name: id }));
        for part in keyed.literals().chunks(super::discover::GET_MAX) {
            let id = &self.described.wires.id;
            let filter = match part {
                [only] => format!("{id} eq {only}"),
                several => {
                    let values: Vec<String> = several.iter().map(|id| format!("'{id}'")).collect();
                    format!(
                        "Microsoft.Dynamics.CRM.In(PropertyName='{id}',PropertyValues=[{}])",
                        values.join(",")
                    )
                }
            };
            let request = self.reading(resolved, select, Some(filter))?;
            let (shape, prefer) = (request.shape(), request.prefer());
            let mut call = api::get("get", self.version(), &request.resource(), &prefer);
            loop {
                let answer = self.ask(cx, call, &shape).await?;
                keyed.take(answer.records, |record| Some((record.key.to_string(), record)));
                match answer.next {
                    Some(next) => call = api::link("get", &next, &prefer)?,
                    None => break,
                }
            }
        }
        let answers = keyed.answers(&self.record_type_here().key);
        Ok(answers.into_iter().map(|answer| answer.map_err(about)).collect())
    }

    /// One query for each key, many in one request.
    async fn read_by_alternate(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        resolved: &Resolved,
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let about = self.about("get");
        let mut out: Vec<Result<Option<Record>>> = Vec::with_capacity(keys.len());
        let mut asked: Vec<(usize, Part)> = Vec::new();
        let mut shape = Shape::default();
        for (place, key) in keys.iter().enumerate() {
            match keys::address(&self.described, by, key) {
                Ok(address) => {
                    let request = self.reading(resolved, select, Some(address.condition()))?;
                    let mut part = api::part_get(self.version(), &request.resource());
                    part.headers.push(("Prefer", request.prefer()));
                    shape = request.shape();
                    asked.push((place, part));
                    out.push(Ok(None));
                }
                Err(error) => out.push(Err(about(error).with_key(key.to_string()))),
            }
        }
        for batch in asked.chunks(BATCH) {
            let parts: Vec<Part> = batch.iter().map(|(_, part)| part.clone()).collect();
            for ((place, _), reply) in batch.iter().zip(self.read_batch(cx, "get", &parts).await?) {
                let key = &keys[*place];
                let read = reply.and_then(|reply| match cut(&reply.body, &shape)?.records.as_mut_slice() {
                    [] => Ok(None),
                    [only] => std::mem::replace(only, Ok(nothing())).map(Some).map_err(|row| row.error),
                    _ => Err(keyed::several(by, key)),
                });
                out[*place] = read.map_err(|error| about(error).with_key(key.to_string()));
            }
        }
        Ok(out)
    }

    /// Sends reads in one request; an answer for each, in order.
    pub(super) async fn read_batch(
        &self,
        cx: &Context,
        operation: &'static str,
        parts: &[Part],
    ) -> Result<Vec<Result<PartReply>>> {
        let call = api::batch(operation, self.version(), parts, true);
        let replies = replies(&cx.send(call).await?)?.replies;
        if replies.len() != parts.len() {
            return Err(missing(replies.len(), parts.len()));
        }
        let now = cx.clock.now();
        let each = replies.into_iter().map(|reply| {
            if reply.status.is_success() {
                Ok(reply)
            } else {
                Err(dialect::part_error(operation, &reply, now))
            }
        });
        Ok(each.collect())
    }
}

/// The answers in the answer to a batch.
pub(super) fn replies(reply: &Reply) -> Result<Answers> {
    multipart::read(reply.header("content-type").unwrap_or_default(), &reply.body)
        .map_err(|error| error.with_provider("dynamics"))
}

/// The error for a batch of which some answers did not come.
pub(super) fn missing(came: usize, sent: usize) -> Error {
    Error::protocol(format!("Dataverse answered {came} of {sent} operations"))
        .with_provider("dynamics")
        .with_code("wrong_row_count")
}

fn nothing() -> Record {
    Record { key: Key::of(Vec::new()), version: None, json: bytes::Bytes::new() }
}

fn answer(reply: &Reply, shape: &Shape) -> Result<Answer> {
    cut(&reply.body, shape)
}

fn cut(body: &[u8], shape: &Shape) -> Result<Answer> {
    let page = transcode::read_page(body, "value", shape).map_err(|error| error.with_provider("dynamics"))?;
    if !page.has_rows {
        return Err(Error::protocol("Dataverse's answer to a query has no records")
            .with_provider("dynamics")
            .with_code("not_json"));
    }
    let next = page.member("@odata.nextLink")?;
    Ok(Answer { records: page.records, next })
}

#[async_trait]
impl Records for DynamicsRecords {
    fn record_type(&self) -> &Arc<RecordType> {
        self.record_type_here()
    }

    async fn resolve(&self, cx: &Context, paths: &[FieldPath]) -> Result<Resolved> {
        paths::resolve(&self.environment, cx, &self.described, paths).await
    }

    fn plan(&self, query: &Query, resolved: &Resolved) -> Result<Plan> {
        query::plan(query, resolved, &self.described, self.version()).map_err(self.about("search"))
    }

    async fn page(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        if let Some(cursor) = at {
            plan.accept(cursor)?;
        }
        match self.page_at(cx, plan, at).await {
            Err(error) => Err(self.about("search")(self.not_agreed(error).await)),
            page => page,
        }
    }

    async fn count(&self, cx: &Context, plan: &Plan) -> Result<Option<u64>> {
        if plan.residual.is_some() {
            return Ok(None);
        }
        let request = Self::request(plan)?;
        let call = api::get("count", self.version(), &request.counting(), "odata.maxpagesize=1");
        let reply = cx.send(call).await.map_err(self.about("count"))?;
        let page = transcode::cut_page(&reply.body, "value").map_err(self.about("count"))?;
        let count: Option<u64> = page.member("@odata.count").map_err(self.about("count"))?;
        Ok(count.filter(|count| *count < COUNT_MAX))
    }

    async fn get(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let known = self.record_type_here().capability.get.as_ref().is_some_and(|get| get.by.contains(by));
        if !known {
            let name = &self.record_type_here().name;
            return Err(self.unsupported("get", &format!("does not find {name} by {by}")));
        }
        self.read_by(cx, by, keys, select).await.map_err(self.about("get"))
    }

    async fn create(&self, cx: &Context, rows: &[NewRow], options: &WriteOptions) -> Result<Vec<Outcome>> {
        let created = match self.link() {
            Some(link) => self.create_links(cx, link, rows, options).await,
            None => self.create_rows(cx, rows, options).await,
        };
        created.map_err(self.about("create"))
    }

    async fn update(&self, cx: &Context, rows: &[Change], options: &WriteOptions) -> Result<Vec<Outcome>> {
        if self.link().is_some() {
            return Err(self.unsupported("update", "does not change a link: delete it and create another"));
        }
        self.update_rows(cx, rows, options).await.map_err(self.about("update"))
    }

    async fn upsert(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let upserted = match self.link() {
            Some(link) if *by == self.record_type_here().key => {
                self.upsert_links(cx, link, rows, options).await
            }
            _ => self.upsert_rows(cx, by, rows, options).await,
        };
        upserted.map_err(self.about("upsert"))
    }

    async fn delete(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        let deleted = match self.link() {
            Some(link) => self.delete_links(cx, link, rows, options).await,
            None => self.delete_rows(cx, rows, options).await,
        };
        deleted.map_err(self.about("delete"))
    }

    async fn settle(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        // A mark is the id itself, or the row's own value of it.
        let id_of = |mark: &Json| {
            let id = mark.as_str().or_else(|| mark.get(&self.described.wires.id)?.as_str())?;
            super::odata::canonical_guid(id).map(Key::text)
        };
        let ids: Vec<Option<Key>> = marks.iter().map(id_of).collect();
        let wanted: Vec<Key> = ids.iter().flatten().cloned().collect();
        let by = self.record_type_here().key.clone();
        let dated = self.record_type_here().field(CREATED).is_some();
        let select: Vec<FieldPath> =
            by.0.iter()
                .map(String::as_str)
                .chain(dated.then_some(CREATED))
                .map(|name| FieldPath::of([name]))
                .collect();
        let mut found =
            self.read_by(cx, &by, &wanted, &select).await.map_err(self.about("settle"))?.into_iter();
        ids.into_iter()
            .zip(marks)
            .map(|(id, mark)| match id {
                None => Ok(Settled::CannotTell),
                Some(key) => match found.next() {
                    Some(Ok(Some(record))) if was_there_before(&record, CREATED, mark) => Ok(Settled::Absent),
                    Some(Ok(Some(_))) => Ok(Settled::Arrived(key)),
                    Some(Ok(None)) => Ok(Settled::Absent),
                    Some(Err(error)) => Err(error),
                    None => Ok(Settled::CannotTell),
                },
            })
            .collect()
    }

    async fn changes(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage> {
        self.change_page(cx, since, select).await.map_err(self.about("changes"))
    }

    async fn read_content(&self, cx: &Context, key: &Key, field: &str) -> Result<Content> {
        self.content(cx, key, field).await.map_err(self.about("content get"))
    }

    async fn write_content(
        &self,
        cx: &Context,
        key: &Key,
        field: &str,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        self.put_content(cx, key, field, content, options).await.map_err(self.about("content put"))
    }

    async fn options(&self, cx: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage> {
        choices::options(&self.environment, cx, &self.described, field, ask)
            .await
            .map_err(self.about("options"))
    }
}
