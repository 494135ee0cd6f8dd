//! The records of one type on one connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use serde_json::Value as Json;

use super::account::Account;
use super::columns::{self, Column, Kind};
use super::pages::{AT_ONCE, Head};
use super::paths as places;
use super::templates::Template;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::choices::{self, Choices};
use crate::provider::{
    Change, ChangePage, Content, Context, NewRow, OptionPage, OptionQuery, Outcome, Plan, Records, Resolved,
    Settled, VersionedKey, WriteOptions, paths,
};
use crate::record::record_type::ResolvedField;
use crate::record::transcode::Shape;
use crate::record::{
    Checkpoint, Cursor, FieldPath, Key, KeyFields, KeyPart, Page, Query, Record, RecordType,
};

/// The folder that a type is limited to.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) path: String,
    pub(super) lower: String,
}

/// One type of Dropbox.
#[derive(Debug)]
pub(super) struct DropboxRecords {
    pub(super) account: Arc<Account>,
    pub(super) kind: Kind,
    /// What stands behind the colon of the type's name.
    pub(super) scope: Option<String>,
    pub(super) folder: Option<Folder>,
    pub(super) columns: Vec<Column>,
    pub(super) templates: Arc<Vec<Template>>,
    pub(super) record_type: Arc<RecordType>,
}

impl DropboxRecords {
    /// Names this type and operation in an error.
    pub(super) fn about(&self, operation: &'static str) -> impl Fn(Error) -> Error + Send + Sync + Copy + '_ {
        move |error| {
            error
                .with_operation(operation)
                .with_provider("dropbox")
                .with_record_type(self.record_type.name.as_str())
        }
    }

    pub(super) fn unsupported(&self, operation: &'static str) -> Error {
        let plural = self.record_type.label_plural.to_lowercase();
        self.about(operation)(Error::unsupported(format!("Dropbox has no {operation} for {plural}")))
    }

    /// The path of the folder that the type is limited to; empty for the root.
    pub(super) fn folder_path(&self) -> &str {
        self.folder.as_ref().map_or("", |folder| folder.path.as_str())
    }

    pub(super) fn template_ids(&self) -> Vec<String> {
        self.templates.iter().map(|template| template.id.clone()).collect()
    }

    pub(super) fn shape(&self, select: &[FieldPath], besides: &[FieldPath]) -> Result<Shape> {
        columns::shape(&self.columns, self.kind, &self.record_type, select, besides)
    }

    /// How a key is written in a request.
    ///
    /// # Errors
    /// `NotFound` for a text that no such key can be.
    pub(super) fn named(&self, by: &str, key: &Key) -> Result<String> {
        let text = match key.parts() {
            [KeyPart::Text(text)] => text.clone(),
            [KeyPart::Integer(number)] => number.to_string(),
            _ => return Err(Error::invalid("a key of Dropbox has one part")),
        };
        let no_such = |form: &str, advice: &str| {
            Err(Error::new(ErrorKind::NotFound, format!("{text:?} is no {by} of Dropbox: {form}"))
                .with_field(by, form)
                .with_advice(advice))
        };
        match by {
            "id" if text.starts_with("id:") => Ok(text),
            "id" => no_such("an id begins with id:", "With a path, use --by path"),
            "rev" if text.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.len() >= 9 => {
                Ok(format!("rev:{text}"))
            }
            "rev" => {
                no_such("a revision has nine hexadecimal digits or more", "Search the revisions of the file")
            }
            "url" => Ok(text),
            _ => places::whole(by, self.folder_path(), &text),
        }
    }

    /// Whether a revision is one of the type's file.
    pub(super) fn is_of_scope(&self, head: &Head) -> bool {
        self.scope.as_deref().is_some_and(|scope| {
            head.id.as_deref() == Some(scope) || head.path_lower.as_deref() == Some(&scope.to_lowercase())
        })
    }

    /// One record by a key; nothing when there is none of this type.
    async fn read(&self, cx: &Context, by: &str, key: &Key, shape: &Shape) -> Result<Option<Record>> {
        let named = self.named(by, key)?;
        let row = match self.kind {
            Kind::SharedLink => self.link(cx, &named).await?,
            _ => self.entry(cx, "get", &named, false).await?,
        };
        let Some(row) = row.filter(|row| self.is_own(row)) else { return Ok(None) };
        if self.kind == Kind::Revision && !self.is_of_scope(&Head::of(&row)?) {
            return Ok(None);
        }
        match self.records_of(&[row], shape).pop() {
            Some(record) => record.map(Some).map_err(|row| row.error),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Records for DropboxRecords {
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
        let known = self.record_type.capability.get.as_ref().is_some_and(|get| get.by.contains(by));
        let [field] = by.0.as_slice() else { return Err(self.unsupported("get by several fields")) };
        if !known {
            return Err(self.unsupported("get by other fields than its keys"));
        }
        let shape = &self.shape(select, &[]).map_err(self.about("get"))?;
        let read = stream::iter(keys.to_vec()).map(|key| async move {
            let found = self.read(cx, field, &key, shape).await;
            found.map_err(|error| self.about("get")(error).with_key(key.to_string()))
        });
        Ok(read.buffered(AT_ONCE).collect().await)
    }

    async fn create(&self, cx: &Context, rows: &[NewRow], options: &WriteOptions) -> Result<Vec<Outcome>> {
        let made = match self.kind {
            Kind::File => self.create_files(cx, rows, options).await,
            Kind::Folder => self.create_folders(cx, rows, options).await,
            Kind::SharedLink => self.create_links(cx, rows).await,
            Kind::Entry | Kind::Revision => return Err(self.unsupported("create")),
        };
        made.map_err(self.about("create"))
    }

    async fn update(&self, cx: &Context, rows: &[Change], options: &WriteOptions) -> Result<Vec<Outcome>> {
        let made = match self.kind {
            Kind::File | Kind::Folder => self.update_entries(cx, rows, options).await,
            Kind::SharedLink => self.update_links(cx, rows).await,
            Kind::Entry | Kind::Revision => return Err(self.unsupported("update")),
        };
        made.map_err(self.about("update"))
    }

    async fn upsert(
        &self,
        cx: &Context,
        _: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>> {
        if self.kind != Kind::File {
            return Err(self.unsupported("upsert"));
        }
        self.upsert_files(cx, rows, options).await.map_err(self.about("upsert"))
    }

    async fn delete(&self, cx: &Context, rows: &[VersionedKey], _: &WriteOptions) -> Result<Vec<Outcome>> {
        let made = match self.kind {
            Kind::File | Kind::Folder => self.delete_entries(cx, rows).await,
            Kind::SharedLink => self.revoke_links(cx, rows).await,
            Kind::Entry | Kind::Revision => return Err(self.unsupported("delete")),
        };
        made.map_err(self.about("delete"))
    }

    fn mark(&self, row: &NewRow, options: &WriteOptions) -> Option<Json> {
        self.mark_of(row, options)
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
        if self.record_type.capability.changes.is_none() {
            return Err(self.unsupported("feed of changes"));
        }
        self.changes_since(cx, since, select).await.map_err(self.about("changes"))
    }

    async fn await_changes(&self, cx: &Context, at: &Checkpoint, most: Duration) {
        self.longpoll(cx, at, most).await;
    }

    async fn read_content(&self, cx: &Context, key: &Key, field: &str) -> Result<Content> {
        if field != "content" || !matches!(self.kind, Kind::File | Kind::Revision) {
            return Err(self.unsupported("content of this field"));
        }
        let about = self.about("content get");
        self.content(cx, key).await.map_err(|error| about(error).with_key(key.to_string()))
    }

    async fn write_content(
        &self,
        cx: &Context,
        key: &Key,
        field: &str,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        if field != "content" || self.kind != Kind::File {
            return Err(self.unsupported("content put"));
        }
        let about = self.about("content put");
        let written = self.put_content(cx, key, content, options).await;
        written.map_err(|error| about(error).with_key(key.to_string()))
    }

    async fn options(&self, _: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage> {
        match choices::choices(&self.record_type, field, ask).map_err(self.about("options"))? {
            Choices::Page(page) => Ok(page),
            Choices::Records(_) => {
                Err(self.about("options")(Error::invalid(format!("{field} has no list of values"))))
            }
        }
    }
}
