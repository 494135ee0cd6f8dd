//! The mapping document: what is written, nothing that is derived from it.
//!
//! Everything optional stays apart from its default, so that a document is written as it was read.

mod literal;
mod named;
mod read;
mod steps;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Problem;

pub use literal::Literal;
pub use named::Named;
pub use steps::{
    CaseForm, CaseStep, ConcatStep, DateStep, DefaultStep, EachStep, ExprStep, ItemStep, JoinStep, JsonStep,
    LabelStep, LookupStep, NotFound, NumberFormatStep, NumberStep, Otherwise, PicklistStep, ReferenceStep,
    ReplaceStep, RichForm, RichTextStep, RoundMode, RoundStep, Several, SplitStep, Step, TrimStep,
    TruncateStep,
};

/// A mapping from records of one type to rows of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Version of this document's form.
    pub recordport: Version,
    /// Name under which it is kept.
    pub name: String,
    /// Values that are given when it runs, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Named<Param>>,
    /// Where records come from.
    pub source: Source,
    /// Where rows go.
    pub target: Target,
    /// What becomes of the target's record when the source's was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_source_delete: Option<OnSourceDelete>,
    /// What becomes of the record that a mapping of operation create made when the source's changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_source_update: Option<OnSourceUpdate>,
    /// One rule for each field of the target.
    pub fields: Vec<FieldRule>,
    /// Content that goes along with the records, as streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Vec<ContentRule>>,
}

/// Content that goes along: bytes of the source's record, which a run copies once the row is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentRule {
    /// The source's field that has the content.
    pub from: String,
    /// The target's field that gets it.
    pub to: String,
    /// Rules for the options of writing it, such as the file's name: `to` is the option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<FieldRule>>,
}

/// Versions of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Version {
    /// The first.
    #[serde(rename = "mapping/1")]
    One,
}

/// A value that is given when the mapping runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Its value when none is given.
    #[serde(default, deserialize_with = "literal::present", skip_serializing_if = "Option::is_none")]
    pub default: Option<Literal>,
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// Text.
    Text,
    /// true or false.
    Boolean,
    /// A whole number.
    Integer,
    /// A decimal number.
    Decimal,
    /// A calendar date.
    Date,
    /// An instant with its offset.
    Instant,
    /// A time of day.
    Time,
}

/// Where records come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the connection.
    pub connection: String,
    /// Name of the record type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Which of its records, as a query: select, filter, where, order_by and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub query: Option<Literal>,
    /// Hash of the read schema that the mapping was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<String>,
}

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name of the connection.
    pub connection: String,
    /// Name of the record type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// What is done with the rows.
    pub operation: Operation,
    /// The key that an upsert goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Vec<String>>,
    /// The operation's own options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<serde_json::Map<String, serde_json::Value>>,
    /// Hash of the operation's schema (upsert: create's) that the mapping was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<String>,
}

/// What is done with the rows of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// New records.
    Create,
    /// Changes of records with known keys.
    Update,
    /// New or changed records, by a key.
    Upsert,
    /// Deletions.
    Delete,
}

impl Operation {
    /// The name in documents and commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Delete => "delete",
        }
    }
}

/// What becomes of the target's record when the source's was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSourceDelete {
    /// Nothing.
    Ignore,
    /// It is deleted too.
    Delete,
    /// These fields are set.
    Set(Named<Literal>),
}

/// What becomes of the record that a mapping of operation create made when the source's changed. Other operations carry
/// changes over by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSourceUpdate {
    /// Nothing.
    Ignore,
    /// Its fields are set anew, as far as they can be.
    Update,
}

/// How one field of the target gets its value: from exactly one of `from`, `const`, `template`, `lookup` and `cases`,
/// then through the steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldRule {
    /// Path of the target's field; `@key` and `@version` say which record is meant.
    pub to: String,
    /// Path of the source's field; `@key`, `@row`, `@record`, `@param.NAME`, and in lists `@item` and `@index`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A fixed value; null clears the field.
    #[serde(default, rename = "const", deserialize_with = "literal::present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<Literal>,
    /// Text with paths in braces: `{First} {Last}`; a path that may be missing ends with `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A record that is found by values of the source's; its key is the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<Lookup>,
    /// The first case whose condition holds gives the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<Vec<Case>>,
    /// What is done with the value, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
    /// What a value that is missing means: the field is skipped, cleared, or the row fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
    /// What a value that does not fit means: the row fails, or the field is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_invalid: Option<OnInvalid>,
}

/// A record that is found by values of the source's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The connection that is searched; the target's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The type of record.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Paths of the source's values by the fields that must have them.
    pub by: Named<String>,
    /// The field whose value is taken; the record's key unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give: Option<String>,
    /// What it means that no record has the values; an error unless said.
    #[serde(default, rename = "else", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<NotFound>,
    /// What it means that several records have them; an error unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub several: Option<Several>,
    /// Further values of a record that is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Named<Literal>>,
}

/// One case: a condition and where the value then comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A condition on the source's record, as in `search --where`. The last case may go without: otherwise.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub where_text: Option<String>,
    /// The condition as a rule group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub filter: Option<Literal>,
    /// As for a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// As for a field.
    #[serde(default, rename = "const", deserialize_with = "literal::present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constant: Option<Literal>,
    /// As for a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// What a value that is missing means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// The field is left out.
    #[default]
    Skip,
    /// The field is null.
    Null,
    /// The row fails.
    Error,
}

/// What a value that does not fit means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// The row fails.
    #[default]
    Error,
    /// The field is null, and that is reported.
    Null,
}

impl Mapping {
    /// Reads a document. Nothing is passed over: an unknown member, a name that stands twice and a wrong form are
    /// all told, each with its place.
    ///
    /// # Errors
    /// Everything that is wrong with its form.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        read::mapping(text)
    }

    /// The document as JSON over several lines, every literal as it was written.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Whether a change at the source updates the record that was created of it.
    #[must_use]
    pub fn updates_created(&self) -> bool {
        self.target.operation == Operation::Create && self.on_source_update == Some(OnSourceUpdate::Update)
    }
}
