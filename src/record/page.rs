//! Pages of records, and the serialisable places where reading goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Record;
use crate::error::{Error, Result};

/// One record of a page that could not be read; the others go on.
#[derive(Debug, Clone)]
pub struct RowError {
    /// Position in the page, from 0.
    pub position: u64,
    /// What is wrong with it.
    pub error: Error,
}

/// One page of a search.
#[derive(Debug, Default)]
pub struct Page {
    /// The records in the provider's order; a bad record takes its own place.
    pub records: Vec<Result<Record, RowError>>,
    /// Where the next page starts; `None` only when the provider said that this was the last.
    pub next: Option<Cursor>,
    /// How many records the provider says there are in all, when it says so.
    pub total: Option<u64>,
}

/// Where the next page of one plan starts. Opaque to callers; its text form is base64url of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Hash of the plan; another plan refuses this cursor.
    pub plan: String,
    /// The provider's own position (a locator, a token, the last key).
    pub position: Value,
    /// Records delivered by the provider so far, to check a promised total.
    #[serde(default)]
    pub seen: u64,
    /// What the search engine keeps between pages; providers leave it at its default.
    #[serde(default)]
    pub engine: EngineMark,
}

/// The search engine's own part of a cursor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineMark {
    /// Records still to be delivered, when the search has a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// The moment that relative values of the search refer to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<jiff::Timestamp>,
    /// Text of the last key that the provider delivered, against a record that comes twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl Cursor {
    /// A provider's cursor.
    #[must_use]
    pub fn new(plan: impl Into<String>, position: Value, seen: u64) -> Self {
        Self { plan: plan.into(), position, seen, engine: EngineMark::default() }
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        encode(self)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Invalid when the text is not one of ours.
    pub fn parse(text: &str) -> Result<Self> {
        decode(text, "cursor")
    }
}

/// Where a feed of changes goes on. Opaque to callers; its text form is base64url of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The record type it belongs to.
    pub record_type: String,
    /// The provider's own position.
    pub position: Value,
}

impl Checkpoint {
    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        encode(self)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Invalid when the text is not one of ours.
    pub fn parse(text: &str) -> Result<Self> {
        decode(text, "checkpoint")
    }
}

fn encode(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn decode<T: for<'de> Deserialize<'de>>(text: &str, what: &str) -> Result<T> {
    URL_SAFE_NO_PAD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Error::invalid(format!("this is not a {what} of recordport")))
}
