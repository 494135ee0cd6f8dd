//! Comments, work logs, attachments, links, changes, transitions, projects, versions, components and users: small
//! types whose fields are the same on every site. One table ([`table`]) says what they are.

mod listing;
mod rows;
mod table;
mod writing;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use serde_json::Value as Json;

use self::table::{Home, PARTS, Part};
use super::site::Site;
use super::{api, dialect};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::choices::{self, Choices};
use crate::provider::{
    Change, ChangePage, Content, Context, NewRow, OptionPage, OptionQuery, Outcome, Plan, Records, Resolved,
    Settled, TypeSummary, VersionedKey, WriteOptions, paths,
};
use crate::record::record_type::ResolvedField;
use crate::record::{
    Checkpoint, Cursor, FieldPath, Key, KeyFields, KeyPart, Page, Query, Record, RecordType, TypeName,
};

/// Rows that are read by key at once.
const AT_ONCE: usize = 6;

/// The small types, for the list of types.
pub(super) fn summaries() -> impl Iterator<Item = TypeSummary> {
    PARTS.iter().map(|part| TypeSummary {
        name: TypeName::new(part.name),
        label: part.label.to_owned(),
        label_plural: part.plural.to_owned(),
        custom: false,
        searchable: true,
        creatable: part.create.is_some(),
        updatable: part.update.is_some(),
        deletable: part.delete.is_some(),
        keys: part.key.iter().map(|&name| name.to_owned()).collect(),
    })
}

/// The records of a small type; nothing when the name is none of theirs. A scope is the issue or the project that
/// they belong to (`comment:OPS-1`, `version:OPS`).
pub(super) fn open(site: &Arc<Site>, name: &TypeName) -> Option<Arc<dyn Records>> {
    let part = PARTS.iter().find(|part| part.name == name.base())?;
    let scope = name.scope().map(str::to_owned);
    if scope.is_some() && matches!(part.home, Home::Site { .. } | Home::Array(_)) {
        return None;
    }
    let record_type = Arc::new(rows::describe(part, name));
    Some(Arc::new(PartRecords { site: Arc::clone(site), part, scope, record_type }))
}

/// The records of one small type on one connection.
#[derive(Debug)]
struct PartRecords {
    site: Arc<Site>,
    part: &'static Part,
    /// The issue or project that all of them belong to.
    scope: Option<String>,
    record_type: Arc<RecordType>,
}

impl PartRecords {
    /// Names this type and operation in an error.
    fn about(&self, operation: &'static str) -> impl Fn(Error) -> Error + Send + Sync + Copy + '_ {
        move |error| {
            error
                .with_operation(operation)
                .with_provider("jira")
                .with_record_type(self.record_type.name.as_str())
        }
    }

    fn unsupported(&self, operation: &'static str) -> Error {
        let what = format!("Jira has no {operation} for {}", self.part.plural.to_lowercase());
        self.about(operation)(Error::unsupported(what))
    }

    /// An address with the parts of a key in it.
    fn address(&self, template: &str, key: &Key) -> Result<String> {
        let mut out = template.to_owned();
        for (name, part) in self.part.key.iter().zip(key.parts()) {
            out = out.replace(&format!("{{{name}}}"), &api::encode(&part_text(name, part)?));
        }
        Ok(out)
    }

    /// One row as it is on the wire; nothing when there is none.
    async fn row(&self, cx: &Context, operation: &'static str, key: &Key) -> Result<Option<Vec<u8>>> {
        if key.parts().len() != self.part.key.len() {
            return Err(Error::invalid(format!("the key of {} has other parts", self.part.name)));
        }
        let found = match self.part.one {
            Some(template) => self.row_at(cx, operation, &self.address(template, key)?, key).await,
            None => self.row_in_list(cx, operation, key).await,
        };
        match found {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other,
        }
    }

    async fn row_at(
        &self,
        cx: &Context,
        operation: &'static str,
        address: &str,
        key: &Key,
    ) -> Result<Option<Vec<u8>>> {
        let door = self.site.door(cx).await?;
        let reply = self.site.send(cx, api::get(operation, &door, address)).await?;
        let row = reply.body.trim_ascii();
        Ok(Some(match (self.part.home, key.parts().first()) {
            (Home::Issue { .. }, Some(KeyPart::Text(issue))) => listing::with_issue(row, issue),
            _ => row.to_vec(),
        }))
    }

    /// Looks for a row in the list of its issue.
    async fn row_in_list(&self, cx: &Context, operation: &'static str, key: &Key) -> Result<Option<Vec<u8>>> {
        let [issue, id] = key.parts() else { return Ok(None) };
        let issue = part_text("issueId", issue)?;
        let rows = self.rows_of_issue(cx, operation, &issue).await?;
        let id = id.to_string();
        for row in rows {
            let own: listing::Identity = dialect::read("a row", &row)?;
            if own.id == id {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    async fn read(&self, cx: &Context, key: &Key, select: &[FieldPath]) -> Result<Option<Record>> {
        let Some(row) = self.row(cx, "get", key).await? else { return Ok(None) };
        let mut records = self.records(&[row], select, &[])?;
        match records.pop() {
            Some(Ok(record)) if record.key == *key => Ok(Some(record)),
            Some(Err(row)) => Err(row.error),
            // A name that leads to a record under another key, such as a project's key, is no id.
            _ => Ok(None),
        }
    }
}

/// A part of a key as text. An issue is named by its id: its key may change, and so would the record's.
fn part_text(name: &str, part: &KeyPart) -> Result<String> {
    let text = part.to_string();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name == "accountId" || is_number {
        return Ok(text);
    }
    Err(Error::new(ErrorKind::NotFound, format!("{text:?} is no {name}: it has digits only"))
        .with_field(name, "an id of Jira, which has digits only"))
}

#[async_trait]
impl Records for PartRecords {
    fn record_type(&self) -> &Arc<RecordType> {
        &self.record_type
    }

    async fn resolve(&self, _: &Context, asked: &[FieldPath]) -> Result<Resolved> {
        let record_type = &self.record_type;
        let mut fields = BTreeMap::new();
        for path in asked {
            let field = path.is_single().then(|| record_type.field(path.leaf())).flatten();
            let field = field.ok_or_else(|| paths::unknown(path, record_type, path.leaf()))?.clone();
            let owner = record_type.name.clone();
            fields.insert(path.clone(), ResolvedField { path: path.clone(), field, owner });
        }
        Ok(Resolved { record_type: Arc::clone(record_type), fields })
    }

    fn plan(&self, query: &Query, _: &Resolved) -> Result<Plan> {
        self.plan_of(query).map_err(self.about("search"))
    }

    async fn page(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page> {
        if let Some(cursor) = at {
            plan.accept(cursor)?;
        }
        self.page_at(cx, plan, at).await.map_err(self.about("search"))
    }

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
        if *by != self.record_type.key {
            return Err(self.unsupported("get by other fields than the key"));
        }
        let read = stream::iter(keys.to_vec())
            .map(|key| async move { self.read(cx, &key, select).await.map_err(self.about("get")) });
        Ok(read.buffered(AT_ONCE).collect().await)
    }

    async fn create(&self, cx: &Context, rows: &[NewRow], _: &WriteOptions) -> Result<Vec<Outcome>> {
        let template = self.part.create.ok_or_else(|| self.unsupported("create"))?;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            out.push(self.settled(self.create_one(cx, template, row).await, "create"));
        }
        Ok(out)
    }

    async fn update(&self, cx: &Context, rows: &[Change], _: &WriteOptions) -> Result<Vec<Outcome>> {
        let template = self.part.update.ok_or_else(|| self.unsupported("update"))?;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            out.push(self.settled(self.update_one(cx, template, row).await, "update"));
        }
        Ok(out)
    }

    async fn upsert(
        &self,
        _: &Context,
        _: &KeyFields,
        _: &[Change],
        _: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        Err(self.unsupported("upsert"))
    }

    async fn delete(&self, cx: &Context, rows: &[VersionedKey], _: &WriteOptions) -> Result<Vec<Outcome>> {
        let template = self.part.delete.ok_or_else(|| self.unsupported("delete"))?;
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            out.push(self.settled(self.delete_one(cx, template, &row.key).await, "delete"));
        }
        Ok(out)
    }

    async fn settle(&self, _: &Context, marks: &[Json]) -> Result<Vec<Settled>> {
        Ok(marks.iter().map(|_| Settled::CannotTell).collect())
    }

    async fn changes(&self, _: &Context, _: Option<&Checkpoint>, _: &[FieldPath]) -> Result<ChangePage> {
        Err(self.unsupported("feed of changes"))
    }

    async fn read_content(&self, cx: &Context, key: &Key, field: &str) -> Result<Content> {
        let (own, template) = self.part.content.ok_or_else(|| self.unsupported("content"))?;
        if own != field {
            return Err(self.unsupported("content of this field"));
        }
        let about = self.about("content get");
        let address = self.address(template, key).map_err(about)?;
        let door = self.site.door(cx).await.map_err(about)?;
        let mut call = api::get("content get", &door, &address).streamed();
        call.headers.remove(http::header::ACCEPT);
        let reply = self.site.send(cx, call).await.map_err(about)?;
        let stream = reply.stream.as_ref().and_then(crate::http::BodyStream::take);
        let bytes =
            stream.ok_or_else(|| about(Error::bug("a streamed call came back without its stream")))?;
        Ok(Content::new(bytes)
            .of_length(reply.header("content-length").and_then(|text| text.parse().ok()))
            .of_media_type(reply.header("content-type").map(str::to_owned)))
    }

    async fn write_content(
        &self,
        _: &Context,
        _: &Key,
        _: &str,
        _: Content,
        _: &WriteOptions,
    ) -> Result<Outcome> {
        Err(self.unsupported("content put"))
    }

    async fn options(&self, _: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage> {
        match choices::choices(&self.record_type, field, ask).map_err(self.about("options"))? {
            Choices::Page(page) => Ok(page),
            Choices::Records(reference) => Err(self.about("options")(
                Error::invalid(format!("{field} has no list of values"))
                    .with_advice(format!("Search the records of {} instead", reference.targets.join(", "))),
            )),
        }
    }
}
