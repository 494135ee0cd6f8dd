//! The records of one type: pages and reading by key; [`super::writes`] holds the writing.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::api;
use super::discover::{BATCH, PAGE_MAX};
use super::query::{self, Statement};
use super::{Described, Org, choices, content, pages, paths, soql};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::keyed::{Keyed, Sought};
use crate::provider::{
    Change, ChangePage, Content, Context, Doer, NewRow, OptionPage, OptionQuery, Outcome, Plan, Records,
    Resolved, Settled, VersionedKey, WriteOptions,
};
use crate::record::record_type::FieldType;
use crate::record::transcode;
use crate::record::{
    Checkpoint, Cursor, FieldPath, Key, KeyFields, KeyPart, Page, Query, Record, RecordType,
};

/// The records of one type on one connection.
#[derive(Debug)]
pub(super) struct SalesforceRecords {
    pub(super) org: Arc<Org>,
    pub(super) described: Arc<Described>,
    /// Types by the first characters of their ids, for references to several types.
    pub(super) prefixes: Arc<HashMap<String, String>>,
}

/// Where a page starts; travels in [`Cursor::position`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Position {
    /// Salesforce's link to the page.
    next: Option<String>,
    /// The last key that was delivered.
    last: Option<String>,
    /// Records delivered before the search was started again behind a key: Salesforce's total begins there.
    before: u64,
}

impl SalesforceRecords {
    pub(super) fn new(org: Arc<Org>, described: Arc<Described>, prefixes: HashMap<String, String>) -> Self {
        Self { org, described, prefixes: Arc::new(prefixes) }
    }

    pub(super) fn record_type_here(&self) -> &Arc<RecordType> {
        &self.described.record_type
    }

    /// Names this type and operation in an error.
    pub(super) fn about(&self, operation: &'static str) -> impl Fn(Error) -> Error + Send + Sync + Copy + '_ {
        move |error| {
            error
                .with_operation(operation)
                .with_provider("salesforce")
                .with_record_type(self.record_type_here().name.as_str())
        }
    }

    pub(super) fn unsupported(&self, operation: &'static str, what: &str) -> Error {
        self.about(operation)(Error::unsupported(format!("Salesforce {what}")))
    }

    /// A field that Salesforce does not know any more means that the type is to be described anew.
    async fn settled<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && matches!(error.code(), Some("INVALID_FIELD" | "INVALID_TYPE"))
        {
            self.org.forget(self.record_type_here().name.as_str()).await;
        }
        result
    }

    fn statement(plan: &Plan) -> Result<Statement> {
        serde_json::from_value(plan.wire.clone())
            .map_err(|source| Error::bug("the plan is not one of Salesforce's").with_source(source))
    }

    async fn page_at(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        let statement = Self::statement(plan)?;
        let shape = statement.shape(&[], &self.prefixes);
        let seen = at.map_or(0, |cursor| cursor.seen);
        let mut position: Position = match at {
            Some(cursor) => serde_json::from_value(cursor.position.clone()).map_err(|source| {
                Error::invalid("the cursor is not one of Salesforce's").with_source(source)
            })?,
            None => Position::default(),
        };
        let version = &self.org.version;
        let first = |after: Option<&str>| {
            let left = statement.limit.map(|limit| limit.saturating_sub(seen));
            let text = statement.text(after, left);
            api::query("search", version, &text, statement.deleted, statement.page_size)
        };
        let call = match &position.next {
            Some(link) => api::next_page(link, statement.page_size)?,
            None => first(position.last.as_deref()),
        };
        let answer = match pages::ask(cx, call, &shape).await {
            Err(error) if is_dead_locator(&error) && at.is_some() => {
                let Some(last) = position.last.clone().filter(|_| plan.keyset) else {
                    return Err(error.with_advice(
                        "The place in the result has expired, and the order does not allow going on behind the last \
                         record. Search again, without an order to make it resumable",
                    ));
                };
                tracing::info!(record_type = %self.record_type_here().name, "the query locator has expired; going on behind the last key");
                (position.before, position.next) = (seen, None);
                pages::ask(cx, first(Some(&last)), &shape).await?
            }
            answer => answer?,
        };
        if let Some(Ok(record)) = answer.records.iter().rev().find(|record| record.is_ok()) {
            position.last = Some(record.key.to_string());
        }
        let seen = seen + answer.records.len() as u64;
        let mut total = answer.total.map(|total| total + position.before);
        let came_by = std::mem::replace(&mut position.next, answer.next);
        let mut more = position.next.is_some();
        if !more
            && let (Some(link), Some(announced)) = (came_by, total)
            && announced > seen
            && walked_to_the_end(&link, announced - position.before, statement.page_size)
        {
            // Rows that were deleted meanwhile are not handed out. What is behind the last key tells whether
            // that is all; where the order leaves that open, their number does.
            if plan.keyset && position.last.is_some() {
                position.before = seen;
                (more, total) = (true, None);
            } else if plan.limit_by != Doer::Provider
                && self.count_at(cx, &statement).await?.is_some_and(|counted| counted <= seen)
            {
                total = Some(seen);
            }
        }
        let next = if more {
            let position = serde_json::to_value(&position)
                .map_err(|source| Error::bug("a position is not JSON").with_source(source))?;
            Some(Cursor::new(plan.hash.as_str(), position, seen))
        } else {
            None
        };
        Ok(Page { records: answer.records, next, total })
    }

    /// How many records there are, without a statement's limit.
    async fn count_at(&self, cx: &Context, statement: &Statement) -> Result<Option<u64>> {
        let text = statement.count_text();
        let call = api::query("count", &self.org.version, &text, statement.deleted, PAGE_MAX);
        let reply = pages::fetch(cx, call).await?;
        transcode::cut_page(&reply.body, "records")?.member("totalSize")
    }

    /// The statement that reads records by a field.
    fn reading(&self, resolved: &Resolved, select: &[FieldPath], by: &str) -> Result<Statement> {
        let record_type = self.record_type_here();
        let mut extra = query::version_of(record_type);
        if by != "Id" {
            extra.push(by.to_owned());
        }
        Ok(Statement {
            object: record_type.name.as_str().to_owned(),
            columns: query::columns(select, &[], record_type, resolved)?,
            extra,
            condition: None,
            order: None,
            limit: None,
            deleted: false,
            page_size: PAGE_MAX,
        })
    }

    /// The literal by which a key is looked for, or why it cannot exist.
    fn key_literal(&self, by: &str, key: &Key) -> Result<String> {
        let record_type = self.record_type_here();
        let [part] = key.parts() else {
            return Err(Error::invalid(format!("a key of {} has one part", record_type.name)));
        };
        let text = part.to_string();
        let field = record_type.field(by);
        let is_id = |field: &FieldType| {
            matches!(field, FieldType::Reference(_))
                || matches!(field, FieldType::Text { form: crate::record::record_type::TextForm::Id, .. })
        };
        match field.map(|field| &field.field_type) {
            Some(field) if is_id(field) => match soql::canonical_id(&text) {
                Some(id) => Ok(soql::quoted(&id)),
                None => Err(Error::new(ErrorKind::NotFound, format!("{text:?} is no record id"))
                    .with_code("not_an_id")
                    .with_advice("A Salesforce id has 15 or 18 letters and digits")),
            },
            Some(FieldType::Integer { .. } | FieldType::Int64 | FieldType::Decimal { .. }) => {
                crate::record::number::Number::parse(&text)
                    .and_then(|number| soql::number(&number, false))
                    .ok_or_else(|| Error::invalid(format!("{text:?} is not a number that {by} can hold")))
            }
            Some(_) => Ok(soql::quoted(&text)),
            None => Err(Error::invalid(format!("{} has no field {by:?}", record_type.name))),
        }
    }

    pub(super) async fn read_by(
        &self,
        cx: &Context,
        by: &str,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let resolved = paths::resolve(&self.org, cx, &self.described, select).await?;
        let statement = self.reading(&resolved, select, by)?;
        let key_fields: &[&str] = if by == "Id" { &[] } else { &[by] };
        let shape = statement.shape(key_fields, &self.prefixes);
        let about = self.about("get");
        let ignores_case = by != "Id"
            && self.record_type_here().field(by).is_some_and(|field| field.case_sensitive != Some(true));
        let folded = |text: String| if ignores_case { text.to_lowercase() } else { text };
        let mut keyed = Keyed::new(keys, |key| {
            let literal = self.key_literal(by, key)?;
            let text = key.to_string();
            let name = match by {
                "Id" => soql::canonical_id(&text).unwrap_or(text),
                _ => folded(text),
            };
            Ok(Sought { literal, name })
        });
        let wanted = keyed.literals();
        let mut parts: Vec<&[String]> = wanted.chunks(BATCH).rev().collect();
        while let Some(part) = parts.pop() {
            let condition = format!("{by} IN ({})", part.join(", "));
            let text = Statement { condition: Some(condition), ..statement.clone() }.text(None, None);
            if !soql::fits(&text) {
                if part.len() == 1 {
                    return Err(query::too_long(self.record_type_here(), text.chars().count()));
                }
                let (front, back) = part.split_at(part.len() / 2);
                parts.push(back);
                parts.push(front);
                continue;
            }
            let mut call = api::query("get", &self.org.version, &text, false, PAGE_MAX);
            loop {
                let answer = pages::ask(cx, call, &shape).await?;
                keyed.take(answer.records, |record| {
                    let parts = record.key.parts();
                    let (own, id) = (parts.first().map(KeyPart::to_string)?, parts.last().cloned()?);
                    Some((folded(own), Record { key: Key::of(vec![id]), ..record }))
                });
                match answer.next {
                    Some(link) => call = api::next_page(&link, PAGE_MAX)?,
                    None => break,
                }
            }
        }

        let answers = keyed.answers(&KeyFields::single(by));
        Ok(answers.into_iter().map(|answer| answer.map_err(about)).collect())
    }
}

/// Whether a page behind this link reaches to the end of a result of so many rows. The number at the link's end
/// is the place where the page begins.
fn walked_to_the_end(link: &str, total: u64, page_size: u32) -> bool {
    let begins = link.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    begins.is_some_and(|begins| begins < total && total - begins <= u64::from(page_size))
}

fn is_dead_locator(error: &Error) -> bool {
    matches!(error.code(), Some("INVALID_QUERY_LOCATOR" | "QUERY_LOCATOR_EXPIRED"))
}

#[async_trait]
impl Records for SalesforceRecords {
    fn record_type(&self) -> &Arc<RecordType> {
        self.record_type_here()
    }

    async fn resolve(&self, cx: &Context, paths: &[FieldPath]) -> Result<Resolved> {
        paths::resolve(&self.org, cx, &self.described, paths).await
    }

    fn plan(&self, query: &Query, resolved: &Resolved) -> Result<Plan> {
        query::plan(query, resolved, self.record_type_here(), &self.org.version).map_err(self.about("search"))
    }

    async fn page(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        if let Some(cursor) = at {
            plan.accept(cursor)?;
        }
        let page = self.page_at(cx, plan, at).await;
        self.settled(page).await.map_err(self.about("search"))
    }

    async fn count(&self, cx: &Context, plan: &Plan) -> Result<Option<u64>> {
        if plan.residual.is_some() {
            return Ok(None);
        }
        self.count_at(cx, &Self::statement(plan)?).await.map_err(self.about("count"))
    }

    async fn get(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let known = self.record_type_here().capability.get.as_ref().is_some_and(|get| get.by.contains(by));
        let ([field], true) = (by.0.as_slice(), known) else {
            return Err(
                self.unsupported("get", &format!("does not find {} by {by}", self.record_type_here().name))
            );
        };
        let found = self.read_by(cx, field, keys, select).await;
        self.settled(found).await.map_err(self.about("get"))
    }

    async fn create(&self, cx: &Context, rows: &[NewRow], options: &WriteOptions) -> Result<Vec<Outcome>> {
        self.create_rows(cx, rows, options).await
    }

    async fn update(&self, cx: &Context, rows: &[Change], options: &WriteOptions) -> Result<Vec<Outcome>> {
        self.update_rows(cx, rows, options).await.map_err(self.about("update"))
    }

    async fn upsert(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.upsert_rows(cx, by, rows, options).await
    }

    async fn delete(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.delete_rows(cx, rows, options).await
    }

    async fn settle(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        self.settle_marks(cx, marks).await.map_err(self.about("settle"))
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
        content::read(&self.org.version, cx, self.record_type_here(), key, field)
            .await
            .map_err(self.about("content get"))
    }

    async fn write_content(
        &self,
        cx: &Context,
        key: &Key,
        field: &str,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        let edit = content::edit(self.record_type_here(), field, content).await;
        let edits = vec![(field.to_owned(), edit.map_err(self.about("content put"))?)];
        let change = Change { key: key.clone(), edits, if_version: None };
        let outcomes = self.update(cx, &[change], options).await?;
        outcomes.into_iter().next().ok_or_else(|| Error::bug("one row came back without an outcome"))
    }

    async fn options(&self, cx: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage> {
        choices::options(&self.org, cx, &self.described, field, ask).await.map_err(self.about("options"))
    }
}
