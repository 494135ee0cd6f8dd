//! The two traits that every provider implements, and the data that goes through them.
//!
//! A provider writes one page, one batch, one change page; the engine around ([`search`]) owns loops, residual
//! evaluation, order and limits.

pub mod changes;
pub mod choices;
pub mod comparison;
pub mod content;
pub mod context;
pub mod descriptions;
pub mod feed_memory;
pub mod filter_support;
pub mod keyed;
pub mod outcome;
pub mod paths;
pub mod plan;
pub mod present;
pub mod pushdown;
pub mod search;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value as Json;

use crate::connect::sign_in::SignIn;
use crate::error::Result;
use crate::http::dialect::Dialect;
use crate::record::{
    Checkpoint, Cursor, FieldPath, Key, KeyFields, Page, Query, Record, RecordType, TypeName,
};

pub use content::Content;
pub use context::Context;
pub use outcome::{Change, Edit, Edits, NewRow, Outcome, Settled, VersionedKey, WriteOptions};
pub use plan::{At, Doer, Plan, PlannedCondition, Resolved};

/// What is fixed about a provider, whatever the connection.
#[derive(Debug, Clone, Serialize)]
pub struct ProviderInfo {
    /// Name in commands, folders and schemas (`salesforce`).
    pub name: &'static str,
    /// Other names that commands accept.
    pub aliases: &'static [&'static str],
    /// Name for people.
    pub label: &'static str,
    /// What it gives, in a sentence.
    pub summary: &'static str,
    /// How to get one's own OAuth client, in Markdown.
    pub docs: &'static str,
}

/// Makes a provider for one configuration; the registry lists these.
pub trait ProviderFactory: Send + Sync + std::fmt::Debug {
    /// Name, label, docs.
    fn info(&self) -> &ProviderInfo;

    /// JSON Schema (the profile) of the configuration: the connection form and the `--set` names.
    fn config_schema(&self) -> Json;

    /// Reads a configuration and tells how its users sign in. `endpoint` replaces every host when the user
    /// names one (the emulator, a proxy, a sovereign cloud).
    ///
    /// # Errors
    /// Invalid with the field when the configuration is wrong.
    fn sign_in(&self, config: &Json, endpoint: Option<&url::Url>) -> Result<SignIn>;

    /// How the service says no.
    fn dialect(&self) -> Arc<dyn Dialect>;

    /// Calls of the service's quota that the configuration leaves to others; `None` for what is usual.
    ///
    /// # Errors
    /// Invalid with the field when the configuration is wrong.
    fn quota_reserve(&self, config: &Json) -> Result<Option<u64>>;

    /// How long an access token lives that a user got elsewhere, counted from when it was made; `None` where that is
    /// not known or does not end.
    fn pasted_token_life(&self) -> Option<Duration> {
        None
    }

    /// The provider for this configuration.
    ///
    /// # Errors
    /// Invalid with the field when the configuration is wrong.
    fn provider(&self, config: &Json) -> Result<Arc<dyn Provider>>;
}

/// One provider on one connection.
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Name, label, docs.
    fn info(&self) -> &ProviderInfo;

    /// Lists record types, a page at a time; never all at once where the provider pages.
    ///
    /// # Errors
    /// What the provider refuses.
    async fn types(&self, cx: &Context, query: &TypeQuery) -> Result<TypePage>;

    /// Describes one record type and gives access to its records.
    ///
    /// # Errors
    /// `NotFound` with the nearest names when there is no such type.
    async fn open(&self, cx: &Context, name: &TypeName) -> Result<Arc<dyn Records>>;

    /// What only the user can decide once the sign-in is done, such as which of several sites the connection is
    /// for; `None` when nothing is open.
    ///
    /// # Errors
    /// What the service answers.
    async fn open_setting(&self, cx: &Context) -> Result<Option<OpenSetting>>;

    /// Asks the service the cheapest question that proves the token good, and what it tells about the user,
    /// scopes and quota.
    ///
    /// # Errors
    /// What the service answers.
    async fn probe(&self, cx: &Context) -> Result<Probe>;
}

/// A setting that the user has to choose a value of.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenSetting {
    /// Name in the configuration.
    pub name: &'static str,
    /// What is asked, in a sentence.
    pub question: &'static str,
    /// The values.
    pub choices: Vec<OptionItem>,
}

/// What a probe of a connection found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Probe {
    /// Who the token belongs to, for people.
    pub account: Option<String>,
    /// Scopes that the token has, when the service tells.
    pub scopes: Option<Vec<String>>,
    /// Calls used and allowed in the provider's window.
    pub quota: Option<(u64, u64)>,
    /// Remarks for people.
    pub notes: Vec<String>,
}

/// Which record types to list.
#[derive(Debug, Clone, Default)]
pub struct TypeQuery {
    /// Text that must occur in name or label, ignoring case.
    pub search: Option<String>,
    /// Scope to list in (a calendar, a project).
    pub scope: Option<String>,
    /// Where a former page ended.
    pub cursor: Option<String>,
    /// Whether caches are passed by.
    pub refresh: bool,
}

/// A page of record types.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TypePage {
    /// The types.
    pub types: Vec<TypeSummary>,
    /// Where the next page starts.
    pub next: Option<String>,
}

/// One record type in a list.
#[derive(Debug, Clone, Serialize)]
pub struct TypeSummary {
    /// Name by which it is opened.
    pub name: TypeName,
    /// Label, singular.
    pub label: String,
    /// Label, plural.
    pub label_plural: String,
    /// Whether an administrator made it.
    pub custom: bool,
    /// Whether it can be searched.
    pub searchable: bool,
    /// Whether records can be created.
    pub creatable: bool,
    /// Whether records can be updated.
    pub updatable: bool,
    /// Whether records can be deleted.
    pub deletable: bool,
    /// Names of its key fields.
    pub keys: Vec<String>,
}

/// The records of one type on one connection. Every method is required: no provider inherits a silent default.
/// Operations that [`Capability`](crate::record::Capability) lacks are refused before they get here and answer
/// `Unsupported` when called all the same.
#[async_trait]
pub trait Records: Send + Sync + std::fmt::Debug {
    /// The type, as described when it was opened.
    fn record_type(&self) -> &Arc<RecordType>;

    /// Loads what the paths of a query name beyond this type (parents, targets). All I/O of planning is here.
    ///
    /// # Errors
    /// Invalid for a path that leads nowhere, with the nearest names.
    async fn resolve(&self, cx: &Context, paths: &[FieldPath]) -> Result<Resolved>;

    /// Pure: what goes to the provider, what is evaluated here. Every condition of the query is in the plan.
    ///
    /// # Errors
    /// What cannot be evaluated on either side.
    fn plan(&self, query: &Query, resolved: &Resolved) -> Result<Plan>;

    /// One page of a plan; `at` is `None` for the first.
    ///
    /// # Errors
    /// What the provider refuses. A cursor that has died is restarted by key where the plan's order allows.
    async fn page(&self, cx: &Context, plan: &Plan, at: Option<&Cursor>) -> Result<Page>;

    /// Counts without listing; `None` when the provider cannot for this plan.
    ///
    /// # Errors
    /// What the provider refuses.
    async fn count(&self, cx: &Context, plan: &Plan) -> Result<Option<u64>>;

    /// Reads records by a key, in the order of `keys`; `Ok(None)` for one that does not exist.
    ///
    /// # Errors
    /// What concerns all keys; what concerns one stands in its place.
    async fn get(
        &self,
        cx: &Context,
        by: &KeyFields,
        keys: &[Key],
        select: &[FieldPath],
    ) -> Result<Vec<Result<Option<Record>>>>;

    /// Creates a batch, an outcome per row in order. Batches are within the capability's limit.
    ///
    /// # Errors
    /// Only when nothing is known to have been written; a lost answer is `unknown` in each row.
    async fn create(&self, cx: &Context, rows: &[NewRow], options: &WriteOptions) -> Result<Vec<Outcome>>;

    /// Updates a batch by primary key.
    ///
    /// # Errors
    /// As for create.
    async fn update(&self, cx: &Context, rows: &[Change], options: &WriteOptions) -> Result<Vec<Outcome>>;

    /// Creates or updates a batch by a key.
    ///
    /// # Errors
    /// As for create.
    async fn upsert(
        &self,
        cx: &Context,
        by: &KeyFields,
        rows: &[Change],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>>;

    /// Deletes a batch.
    ///
    /// # Errors
    /// As for create.
    async fn delete(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        options: &WriteOptions,
    ) -> Result<Vec<Outcome>>;

    /// What a row to be created is looked for by after a lost answer, with all that tells its record from another's.
    /// Unless the provider knows more: its marker, or its own value in a field that serves as one.
    fn mark(&self, row: &NewRow, _: &WriteOptions) -> Option<Json> {
        row.own_mark(&self.record_type().capability.create.as_ref()?.marks)
    }

    /// After a lost answer: did the rows with these marks arrive?
    ///
    /// # Errors
    /// What the provider refuses.
    async fn settle(&self, cx: &Context, marks: &[Json]) -> Result<Vec<Settled>>;

    /// One page of changes since a checkpoint.
    ///
    /// # Errors
    /// What the provider refuses; an expired checkpoint recovers by itself.
    async fn changes(
        &self,
        cx: &Context,
        since: Option<&Checkpoint>,
        select: &[FieldPath],
    ) -> Result<ChangePage>;

    /// Waits until it is polite to look for changes behind a checkpoint again: a span of time, or less where the
    /// service tells that there are some.
    async fn await_changes(&self, cx: &Context, _: &Checkpoint, most: Duration) {
        cx.clock.sleep(most).await;
    }

    /// The content of one field of a record, while it comes.
    ///
    /// # Errors
    /// `NotFound`, when there is no such record or it has no content; `Unsupported` without the capability.
    async fn read_content(&self, cx: &Context, key: &Key, field: &str) -> Result<Content>;

    /// Replaces the content of one field of a record.
    ///
    /// # Errors
    /// As for update.
    async fn write_content(
        &self,
        cx: &Context,
        key: &Key,
        field: &str,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome>;

    /// Values to choose from for a field: picklist values, records referred to.
    ///
    /// # Errors
    /// Invalid for a field that has none.
    async fn options(&self, cx: &Context, field: &FieldPath, ask: &OptionQuery) -> Result<OptionPage>;
}

/// One page of changes.
#[derive(Debug)]
pub struct ChangePage {
    /// The changes in order.
    pub changes: Vec<ChangeEntry>,
    /// Where to go on after these; durable progress.
    pub checkpoint: Checkpoint,
    /// Whether there is more now.
    pub more: bool,
    /// What the user should know, such as a full comparison after an expired checkpoint.
    pub notice: Option<String>,
}

/// One change.
#[derive(Debug)]
pub struct ChangeEntry {
    /// What happened.
    pub change: ChangeKind,
    /// The record's key; `None` when the provider tells only an alternate key.
    pub key: Option<Key>,
    /// An alternate key, by field name.
    pub alternate: Option<Json>,
    /// The record, unless it was deleted.
    pub record: Option<Record>,
    /// Whether everything below what was deleted is gone with it and is not told one by one.
    pub subtree: bool,
}

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// It was there before and changed.
    Updated,
    /// It is new or changed; the provider does not tell which.
    Changed,
    /// It is gone.
    Deleted,
}

/// Which values to offer.
#[derive(Debug, Clone, Default)]
pub struct OptionQuery {
    /// Text to look for, ignoring case.
    pub search: Option<String>,
    /// Values of the fields that this one depends on.
    pub on: serde_json::Map<String, Json>,
    /// Where a former page ended.
    pub cursor: Option<String>,
}

/// A page of values to choose from.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OptionPage {
    /// The values.
    pub options: Vec<OptionItem>,
    /// Where the next page starts; a cut result always has one.
    pub next: Option<String>,
}

/// One value to choose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptionItem {
    /// The value to store.
    pub value: Json,
    /// The label to show.
    pub label: String,
    /// The type of the record behind it, for polymorphic references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_type: Option<String>,
}
