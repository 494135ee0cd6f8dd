//! Pages of records, and the serialisable places where reading goes on.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Record, RecordType};
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

/// Where a feed of changes goes on. Opaque to callers; its text form is base64url of one byte that tells the
/// form and compressed JSON with a checksum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The provider it belongs to.
    pub provider: String,
    /// The record type it belongs to.
    pub record_type: String,
    /// The provider's own position; null at the beginning of everything.
    pub position: Value,
}

/// The present form of a checkpoint's text.
const CHECKPOINT_FORM: u8 = 1;
/// Most bytes that a checkpoint may unpack to.
const CHECKPOINT_MAX: u64 = 256 * 1024 * 1024;

impl Checkpoint {
    /// The place of a type in front of all its records: a feed from there lists everything first.
    #[must_use]
    pub fn beginning(record_type: &RecordType) -> Self {
        Self {
            provider: record_type.provider.clone(),
            record_type: record_type.name.to_string(),
            position: Value::Null,
        }
    }

    /// The checkpoint of a type at a provider's place, which has a member `form`.
    ///
    /// # Errors
    /// When the place cannot be written as JSON.
    pub fn at(record_type: &RecordType, place: &impl Serialize) -> Result<Self> {
        let position = serde_json::to_value(place)
            .map_err(|source| Error::bug("a place is not JSON").with_source(source))?;
        Ok(Self { position, ..Self::beginning(record_type) })
    }

    /// The provider's place, of the form that it writes now; `None` at the beginning of everything.
    ///
    /// # Errors
    /// Invalid with the code `bad_checkpoint` for a place of another form.
    pub fn place<T: DeserializeOwned>(&self, form: u32) -> Result<Option<T>> {
        if self.position.is_null() {
            return Ok(None);
        }
        if self.position.get("form").and_then(Value::as_u64).is_some_and(|own| own != u64::from(form)) {
            return Err(Self::useless("the checkpoint was written by another version of recordport"));
        }
        T::deserialize(&self.position)
            .map(Some)
            .map_err(|source| Self::useless("the checkpoint is damaged").with_source(source))
    }

    /// The error for a checkpoint that nothing can go on from.
    #[must_use]
    pub fn useless(why: &str) -> Error {
        Error::invalid(why)
            .with_code("bad_checkpoint")
            .with_advice("Begin anew without a checkpoint, or with `beginning`")
    }

    /// Refuses a checkpoint of another provider or record type.
    ///
    /// # Errors
    /// Invalid with the code `foreign_checkpoint`.
    pub fn belongs_to(&self, record_type: &RecordType) -> Result<()> {
        if self.provider == record_type.provider && self.record_type == record_type.name.as_str() {
            return Ok(());
        }
        Err(Error::invalid(format!("this checkpoint belongs to {} of {}", self.record_type, self.provider))
            .with_code("foreign_checkpoint")
            .with_provider(record_type.provider.as_str())
            .with_record_type(record_type.name.as_str())
            .with_advice("Use the checkpoint of this record type, or start without one"))
    }

    /// The text form.
    #[must_use]
    pub fn to_text(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut packed = ZlibEncoder::new(vec![CHECKPOINT_FORM], Compression::default());
        // Writing into memory does not fail.
        let packed = packed.write_all(&json).and_then(|()| packed.finish()).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(packed)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Invalid with the code `bad_checkpoint` when the text is not one of ours or was damaged.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |what: &str| {
            Error::invalid(what)
                .with_code("bad_checkpoint")
                .with_advice("Give the whole text after \"checkpoint\", or begin anew without one")
        };
        let damaged = || bad("this is not a checkpoint of recordport, or it is damaged");
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| damaged())?;
        let packed = match bytes.split_first() {
            Some((&CHECKPOINT_FORM, packed)) => packed,
            Some((2..=15, _)) => return Err(bad("this checkpoint was written by a newer recordport")),
            _ => return Err(damaged()),
        };
        let mut json = Vec::new();
        ZlibDecoder::new(packed).take(CHECKPOINT_MAX).read_to_end(&mut json).map_err(|_| damaged())?;
        serde_json::from_slice(&json).map_err(|_| damaged())
    }
}

fn encode(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn decode<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    URL_SAFE_NO_PAD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Error::invalid(format!("this is not a {what} of recordport")))
}
