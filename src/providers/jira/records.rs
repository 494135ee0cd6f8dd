//! The records of one type of issues: pages of a search, and reading by key. [`super::writes`] holds the writing.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::OnceCell;

use super::discover::GET_MAX;
use super::query;
use super::rows::Columns;
use super::site::{Door, Site};
use super::wires::TIME_TRACKING;
use super::{Described, api, attach, choices};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::Call;
use crate::provider::{
    Change, ChangePage, Content, Context, NewRow, OptionPage, OptionQuery, Outcome, Plan, Records, Resolved,
    Settled, VersionedKey, WriteOptions,
};
use crate::record::nearest::{did_you_mean, nearest_few};
use crate::record::record_type::{Field, FieldType, ResolvedField};
use crate::record::transcode::{self, Shape};
use crate::record::{
    Checkpoint, Cursor, FieldPath, Key, KeyFields, KeyPart, Page, Query, Record, RecordType, RowError,
};

/// The records of one type of issues on one connection.
#[derive(Debug)]
pub(super) struct IssueRecords {
    pub(super) site: Arc<Site>,
    pub(super) described: Arc<Described>,
    /// The zone of the caller's profile, once it was needed.
    zone: OnceCell<Option<TimeZone>>,
}

/// One answer with issues.
pub(super) struct Answer {
    pub(super) records: Vec<Result<Record, RowError>>,
    /// Token of the next page.
    pub(super) next: Option<String>,
}

impl IssueRecords {
    pub(super) fn new(site: Arc<Site>, described: Arc<Described>) -> Self {
        Self { site, described, zone: OnceCell::new() }
    }

    pub(super) fn record_type_here(&self) -> &Arc<RecordType> {
        &self.described.record_type
    }

    /// Names this type and operation in an error.
    pub(super) fn about(&self, operation: &'static str) -> impl Fn(Error) -> Error + Send + Sync + Copy + '_ {
        move |error| {
            error
                .with_operation(operation)
                .with_provider("jira")
                .with_record_type(self.record_type_here().name.as_str())
        }
    }

    pub(super) fn unsupported(&self, operation: &'static str, what: &str) -> Error {
        self.about(operation)(Error::unsupported(what.to_owned()))
    }

    /// Finds out by which clock queries read dates, where a path leads to moments. Without it queries are wider.
    async fn learn_zone(&self, cx: &Context, paths: &[FieldPath]) {
        let record_type = self.record_type_here();
        let is_moment = |field: &Field| field.field_type == FieldType::Instant;
        if paths.iter().any(|path| field_at(record_type, path).is_some_and(is_moment)) {
            let asked = self.zone.get_or_init(|| async {
                let me = self.site.myself(cx).await.ok()?;
                TimeZone::get(me.time_zone.as_deref()?).ok()
            });
            asked.await;
        }
    }

    /// Asks for one page of a query and reads its issues. An answer that cannot be read is asked for once more.
    pub(super) async fn ask(&self, cx: &Context, call: Call, shape: &Shape) -> Result<Answer> {
        let reply = self.site.send(cx, call.clone()).await?;
        match page_of(&reply.body, shape) {
            Err(error) if error.kind() == ErrorKind::Protocol => {
                page_of(&self.site.send(cx, call).await?.body, shape)
            }
            read => read,
        }
    }

    /// Reads issues by id or by key.
    pub(super) async fn read_by(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let by_id = *by == self.record_type_here().key;
        let door = self.site.door(cx).await?;
        let reading = Reading::new(self, select)?;
        let wanted: Vec<Option<String>> = keys.iter().map(|key| address(key, by_id)).collect();
        let mut distinct: Vec<&String> = wanted.iter().flatten().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut found = Found::default();
        for part in distinct.chunks(GET_MAX) {
            let part: Vec<String> = part.iter().map(|text| (*text).clone()).collect();
            reading.fetch(cx, &door, &part, &mut found).await?;
        }
        // A key that an issue had before it was moved comes back under the new one: which belongs to which only
        // shows when it is asked for alone.
        if !by_id {
            for text in distinct {
                if !found.by_key.contains_key(text) && !found.missing.contains(text) {
                    let record = reading.one(cx, &door, text).await?;
                    found.by_key.insert(text.clone(), record);
                }
            }
        }
        let known = if by_id { &found.by_id } else { &found.by_key };
        let each = wanted.into_iter().map(|text| match text.and_then(|text| known.get(&text).cloned()) {
            Some(Ok(record)) => Ok(record),
            Some(Err(error)) => Err(self.about("get")(error)),
            None => Ok(None),
        });
        Ok(each.collect())
    }
}

/// What one request for issues by key is made of.
struct Reading<'a> {
    records: &'a IssueRecords,
    fields: Vec<String>,
    shape: Shape,
}

/// Issues that were read. Those of other projects and types count as not there.
#[derive(Default)]
struct Found {
    by_id: HashMap<String, Result<Option<Record>>>,
    by_key: HashMap<String, Result<Option<Record>>>,
    missing: Vec<String>,
}

/// What of an issue tells which one it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Identity {
    id: String,
    key: String,
    fields: IdentityFields,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct IdentityFields {
    project: Option<OnlyId>,
    issuetype: Option<OnlyId>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct OnlyId {
    id: String,
}

impl<'a> Reading<'a> {
    fn new(records: &'a IssueRecords, select: &[FieldPath]) -> Result<Self> {
        let columns = Columns::of(&records.described, select, &[])?;
        let mut fields = columns.wire_fields(&records.described);
        if records.described.wires.scope.is_some() {
            for own in ["project", "issuetype"] {
                if !fields.iter().any(|field| field == own) {
                    fields.push(own.to_owned());
                }
            }
        }
        Ok(Self { records, fields, shape: columns.shape(&records.described) })
    }

    fn belongs(&self, identity: &Identity) -> bool {
        let is = |own: &Option<OnlyId>, id: &str| own.as_ref().is_some_and(|own| own.id == id);
        self.records.described.wires.scope.as_ref().is_none_or(|scope| {
            is(&identity.fields.project, &scope.project_id)
                && is(&identity.fields.issuetype, &scope.issue_type_id)
        })
    }

    /// Reads the issue in a row; `None` when it is of another project or type.
    fn record(&self, row: &[u8]) -> Result<(Identity, Result<Option<Record>>)> {
        let identity: Identity = super::dialect::read("an issue", row)?;
        if !self.belongs(&identity) {
            return Ok((identity, Ok(None)));
        }
        let read = match transcode::records(&[row], &self.shape).pop() {
            Some(Ok(record)) => Ok(Some(record)),
            Some(Err(row)) => Err(row.error),
            None => Ok(None),
        };
        Ok((identity, read))
    }

    async fn fetch(&self, cx: &Context, door: &Door, keys: &[String], found: &mut Found) -> Result<()> {
        #[derive(Deserialize)]
        struct Missing {
            #[serde(default)]
            id: Json,
        }
        let reply = self.records.site.send(cx, api::bulk_fetch(door, keys, &self.fields)).await?;
        let page = transcode::cut_page(&reply.body, "issues").map_err(|error| error.with_provider("jira"))?;
        if !page.has_rows {
            return Err(no_issues());
        }
        for row in &page.rows {
            let (identity, record) = self.record(row)?;
            found.by_id.insert(identity.id, record.clone());
            found.by_key.insert(identity.key.to_uppercase(), record);
        }
        let missing: Option<Vec<Missing>> = page.member("issueErrors")?;
        found.missing.extend(missing.into_iter().flatten().filter_map(|missing| match missing.id {
            Json::String(text) => Some(text.to_uppercase()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        }));
        Ok(())
    }

    async fn one(&self, cx: &Context, door: &Door, key: &str) -> Result<Result<Option<Record>>> {
        match self.records.site.send(cx, api::issue(door, key, &self.fields)).await {
            Ok(reply) => Ok(self.record(reply.body.trim_ascii())?.1),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Ok(None)),
            Err(error) => Err(error),
        }
    }
}

/// A key as Jira takes it: an id has digits only, a key has a hyphen and is told in capitals. `None` for what
/// cannot be one; Jira would take it for the other.
fn address(key: &Key, by_id: bool) -> Option<String> {
    let text = match key.parts() {
        [KeyPart::Text(text)] => text.clone(),
        [KeyPart::Integer(number)] => number.to_string(),
        _ => return None,
    };
    let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match by_id {
        true => is_id.then_some(text),
        false => (text.contains('-') && !text.contains(char::is_whitespace)).then(|| text.to_uppercase()),
    }
}

fn no_issues() -> Error {
    Error::protocol("Jira's answer to a query has no issues")
        .with_provider("jira")
        .with_code("not_json")
        .with_retry(Retry::IfIdempotent)
}

/// Reads a page. It is the last one only when Jira says so.
pub(super) fn page_of(body: &[u8], shape: &Shape) -> Result<Answer> {
    let page = transcode::read_page(body, "issues", shape).map_err(|error| error.with_provider("jira"))?;
    let next = next_of(page.has_rows, page.member("nextPageToken")?, page.member("isLast")?)?;
    Ok(Answer { records: page.records, next })
}

/// Token of the page behind one, from what that one says.
///
/// # Errors
/// Protocol for a page without issues, or one that neither ends nor goes on.
pub(super) fn next_of(has_rows: bool, token: Option<String>, last: Option<bool>) -> Result<Option<String>> {
    if !has_rows {
        return Err(no_issues());
    }
    match (last, token.filter(|token| !token.is_empty())) {
        (Some(true), _) => Ok(None),
        (_, Some(token)) => Ok(Some(token)),
        (_, None) => {
            Err(Error::protocol("Jira's page neither is the last one nor says where the next begins")
                .with_provider("jira")
                .with_code("no_next_page")
                .with_retry(Retry::IfIdempotent))
        }
    }
}

/// The field at the end of a path: a field of the type, or a member of time tracking.
fn field_at<'r>(record_type: &'r RecordType, path: &FieldPath) -> Option<&'r Field> {
    match path.segments() {
        [name] => record_type.field(name),
        [name, inner] => match &record_type.field(name)?.field_type {
            FieldType::Object { fields } => fields.iter().find(|field| field.name == *inner),
            _ => None,
        },
        _ => None,
    }
}

fn unknown_field(record_type: &RecordType, path: &FieldPath) -> Error {
    // Labels are not unique, so they are no names; but they lead to the field that is meant.
    let labels = record_type.fields.iter().map(|field| (field.label.as_str(), field.name.as_str()));
    let names = record_type.fields.iter().map(|field| (field.name.as_str(), field.name.as_str()));
    let inner = TIME_TRACKING.iter().map(|(name, ..)| (*name, *name));
    let text = path.to_string();
    let near = nearest_few(&text, names.chain(labels).chain(inner));
    let what = format!("{} has no field {text:?}", record_type.name);
    let error = Error::invalid(what.clone())
        .with_provider("jira")
        .with_record_type(record_type.name.as_str())
        .with_code("unknown_field")
        .with_field(text, what);
    match did_you_mean(&near) {
        Some(question) => error.with_advice(question),
        None => error,
    }
}

#[async_trait]
impl Records for IssueRecords {
    fn record_type(&self) -> &Arc<RecordType> {
        self.record_type_here()
    }

    async fn resolve(&self, cx: &Context, paths: &[FieldPath]) -> Result<Resolved> {
        self.learn_zone(cx, paths).await;
        let record_type = self.record_type_here();
        let mut resolved =
            Resolved { record_type: Arc::clone(record_type), fields: std::collections::BTreeMap::new() };
        for path in paths {
            let field = field_at(record_type, path).ok_or_else(|| unknown_field(record_type, path))?.clone();
            let owner = record_type.name.clone();
            resolved.fields.insert(path.clone(), ResolvedField { path: path.clone(), field, owner });
        }
        Ok(resolved)
    }

    fn plan(&self, query: &Query, resolved: &Resolved) -> Result<Plan> {
        let zone = self.zone.get().and_then(Option::as_ref);
        query::plan(query, resolved, &self.described, zone).map_err(self.about("search"))
    }

    async fn page(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        if let Some(cursor) = at {
            plan.accept(cursor)?;
        }
        self.page_at(cx, plan, at).await.map_err(self.about("search"))
    }

    /// Jira only estimates how many issues there are.
    async fn count(&self, _: &Context, _: &Plan) -> Result<Option<u64>> {
        Ok(None)
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
            return Err(self.unsupported("get", &format!("Jira does not find {name} by {by}")));
        }
        self.read_by(cx, by, keys, select).await.map_err(self.about("get"))
    }

    async fn create(&self, cx: &Context, rows: &[NewRow], options: &WriteOptions) -> Result<Vec<Outcome>> {
        self.create_rows(cx, rows, options).await.map_err(self.about("create"))
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
        self.upsert_rows(cx, by, rows, options).await.map_err(self.about("upsert"))
    }

    async fn delete(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        self.delete_rows(cx, rows, options).await.map_err(self.about("delete"))
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
        if field != attach::FIELD {
            return Err(self.unsupported("content get", "of an issue only its attachments are content"));
        }
        let about = self.about("content get");
        self.attached(cx, key).await.map_err(|error| about(error).with_key(key.to_string()))
    }

    async fn write_content(
        &self,
        cx: &Context,
        key: &Key,
        field: &str,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        if field != attach::FIELD {
            return Err(self.unsupported("content put", "of an issue only its attachments are content"));
        }
        let about = self.about("content put");
        self.attach(cx, key, content, options).await.map_err(|error| about(error).with_key(key.to_string()))
    }

    async fn options(&self, cx: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage> {
        choices::options(&self.site, cx, &self.described, field, ask).await.map_err(self.about("options"))
    }
}
