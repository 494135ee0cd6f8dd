//! What can be done with a record type, as data: checked before the wire, shown to users, and the source of
//! the behaviour suite's cases.

use serde::Serialize;
use serde_json::Value as Json;

use super::KeyFields;

/// Abilities of one record type on one connection. An absent operation is refused before the wire.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Capability {
    /// Searching.
    pub search: Option<SearchCapability>,
    /// Reading by key.
    pub get: Option<GetCapability>,
    /// Creating.
    pub create: Option<WriteCapability>,
    /// Updating.
    pub update: Option<WriteCapability>,
    /// Creating or updating by a key.
    pub upsert: Option<UpsertCapability>,
    /// Deleting.
    pub delete: Option<WriteCapability>,
    /// Feed of changes.
    pub changes: Option<ChangesCapability>,
    /// Content of records as byte streams.
    pub content: Option<ContentCapability>,
}

/// What a search can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchCapability {
    /// Largest page.
    pub page_max: u32,
    /// Smallest page the provider honours.
    pub page_min: u32,
    /// Page size when none is asked for.
    pub page_default: u32,
    /// Whether the provider orders.
    pub order: bool,
    /// Whether the provider counts without listing.
    pub count: bool,
    /// Whether deleted records can be included.
    pub include_deleted: bool,
    /// The filter language of `native`, when there is one (`SOQL`).
    pub native: Option<String>,
}

/// What reading by key can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GetCapability {
    /// Keys a request can carry.
    pub batch_max: usize,
    /// Keys it can be asked by, the primary key first.
    pub by: Vec<KeyFields>,
}

/// What a write can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WriteCapability {
    /// Rows a request can carry; larger batches are split.
    pub batch_max: usize,
    /// Whether rows may carry a version, and how fine it is.
    pub version: VersionSupport,
    /// JSON Schema (the profile) of the operation's own options.
    pub options: Json,
    /// Whether a row can carry a marker by which it is found again after a lost answer.
    pub marker: bool,
    /// Fields whose values are such markers already: unique at the provider and set by whoever creates.
    pub marks: Vec<String>,
    /// What a marker may be that whoever sends the row makes up.
    pub made_up_marker: Option<MarkerForm>,
    /// Whether a row may name a parent by another key of the parent's, under the relationship's name.
    pub parents_by_key: bool,
    /// Batches that may be under way at once.
    pub at_once: usize,
    /// References whose targets are locked while a batch is written: batches that share one go one after
    /// another.
    pub apart_by: Vec<String>,
    /// What it is built from when the provider has no such operation.
    pub simulated: Option<String>,
}

impl WriteCapability {
    /// Plain batches of this many rows: no version, no options, no marker.
    #[must_use]
    pub fn batches_of(batch_max: usize) -> Self {
        Self {
            batch_max,
            version: VersionSupport::None,
            options: no_options(),
            marker: false,
            marks: Vec::new(),
            made_up_marker: None,
            parents_by_key: false,
            at_once: 1,
            apart_by: Vec::new(),
            simulated: None,
        }
    }
}

/// Forms of markers that can be made up for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkerForm {
    /// A UUID as text. It becomes the record's own id, so that the provider takes it only once.
    Uuid,
    /// Any JSON object. It only labels the record: the provider takes it as often as it is sent.
    Label,
}

/// The schema of an operation that has no options.
#[must_use]
pub fn no_options() -> Json {
    serde_json::json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "title": "Options",
        "properties": {},
        "additionalProperties": false
    })
}

/// What an upsert can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpsertCapability {
    /// As for other writes.
    pub write: WriteCapability,
    /// Keys it can go by.
    pub by: Vec<KeyFields>,
    /// Those of them that only find: a row whose record is missing is refused, and nothing is created.
    pub match_only: Vec<KeyFields>,
}

/// How versions are checked on write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionSupport {
    /// Not at all: a row with a version is refused.
    None,
    /// Exactly (etag, revision).
    Exact,
    /// By instant, with a grain of one second.
    OneSecond,
}

/// What can be done with the content of records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContentCapability {
    /// Fields that have content, the usual one first.
    pub fields: Vec<String>,
    /// Whether it can be written.
    pub writable: bool,
    /// Most bytes that can be written, when there is a limit.
    pub bytes_max: Option<u64>,
    /// JSON Schema (the profile) of the options of writing it.
    pub options: Json,
}

/// What a feed of changes can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangesCapability {
    /// Whether deletions are reported.
    pub deletions: bool,
    /// For how many days a checkpoint stays good; older ones recover by complete comparison.
    pub window_days: Option<u32>,
}
