//! Rows of writes, and what became of each.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::error::Error;
use crate::record::{Key, Record};

/// Options of a write, checked against the capability's schema.
pub type WriteOptions = serde_json::Map<String, Json>;

/// What happens to one field. A field that is not named keeps its value.
#[derive(Debug, Clone)]
pub enum Edit {
    /// Set to this JSON text (numbers keep their digits).
    Set(Box<serde_json::value::RawValue>),
    /// Set to null.
    Clear,
    /// Values added to and removed from a list.
    List {
        /// Values to add.
        add: Vec<Json>,
        /// Values to remove.
        remove: Vec<Json>,
    },
}

/// Edits by property name, in the order given.
pub type Edits = Vec<(String, Edit)>;

/// A row to create: nulls are absent (there is nothing to clear, and a null would switch off the provider's
/// default).
#[derive(Debug, Clone, Default)]
pub struct NewRow {
    /// Values by property.
    pub fields: Edits,
    /// A mark under which the record can be found after a lost answer.
    pub marker: Option<Json>,
}

impl NewRow {
    /// The marker that the row was given, or its own value in one of the fields that serve as such.
    #[must_use]
    pub fn own_mark(&self, marks: &[String]) -> Option<Json> {
        self.marker.clone().or_else(|| {
            marks.iter().find_map(|field| {
                self.fields.iter().find_map(|(name, edit)| match edit {
                    Edit::Set(value) if name == field => {
                        let value: Json = serde_json::from_str(value.get()).ok()?;
                        let says_something =
                            value.is_number() || value.as_str().is_some_and(|text| !text.is_empty());
                        says_something.then(|| json!({ name.as_str(): value }))
                    }
                    _ => None,
                })
            })
        })
    }
}

/// A row to update or upsert.
#[derive(Debug, Clone)]
pub struct Change {
    /// The record's key (the upsert's `by` key for upserts).
    pub key: Key,
    /// What changes.
    pub edits: Edits,
    /// Version that must still hold.
    pub if_version: Option<String>,
}

/// A key to delete.
#[derive(Debug, Clone)]
pub struct VersionedKey {
    /// The record's key.
    pub key: Key,
    /// Version that must still hold.
    pub if_version: Option<String>,
}

/// What became of one row.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It was created under this key.
    Created(Key),
    /// It was updated.
    Updated(Key),
    /// Nothing needed to change.
    Unchanged(Key),
    /// It was deleted, or was gone already.
    Deleted(Key),
    /// It was refused; nothing was written.
    Failed(Error),
    /// The answer was lost: it may have been written.
    Unknown {
        /// The mark by which it can be found, when it had one.
        marker: Option<Json>,
        /// What happened to the answer.
        error: Error,
    },
}

impl Outcome {
    /// The outcome of a row whose answer was lost.
    #[must_use]
    pub fn lost(error: &Error, marker: Option<Json>) -> Self {
        Self::Unknown { marker, error: error.clone() }
    }

    /// The word that stands in reports.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Updated(_) => "updated",
            Self::Unchanged(_) => "unchanged",
            Self::Deleted(_) => "deleted",
            Self::Failed(_) => "failed",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The record's key, when known.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Created(key) | Self::Updated(key) | Self::Unchanged(key) | Self::Deleted(key) => Some(key),
            Self::Failed(_) | Self::Unknown { .. } => None,
        }
    }

    /// Why it failed or is unknown.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) | Self::Unknown { error, .. } => Some(error),
            _ => None,
        }
    }

    /// The line that reports one row: `{"row","status","key","error"?}`.
    #[must_use]
    pub fn report(&self, row: u64) -> OutcomeLine<'_> {
        OutcomeLine { row, status: self.status(), key: self.key(), error: self.error() }
    }
}

/// One line of a write's report.
#[derive(Debug, Serialize)]
pub struct OutcomeLine<'a> {
    /// Position in the input, from 0.
    pub row: u64,
    /// What became of it.
    pub status: &'static str,
    /// Its key, or null.
    pub key: Option<&'a Key>,
    /// Why it failed or is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a Error>,
}

/// How far a provider's clock and ours may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

/// Whether a record was there before the row with this mark was first sent: then it is another's, and the row is
/// refused when it is sent again. `created` is the property that says when the record was made.
#[must_use]
pub fn was_there_before(record: &Record, created: &str, mark: &Json) -> bool {
    let instant = |value: &Json| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let created = serde_json::from_slice::<Json>(&record.json).ok().and_then(|row| instant(&row[created]));
    match (created, instant(&mark["@since"])) {
        (Some(created), Some(since)) => since.duration_since(created) > CLOCKS_APART,
        _ => false,
    }
}

/// What was found out about a row whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It arrived, under this key.
    Arrived(Key),
    /// What the row wants is there under this key, and nobody can tell whether the row made it.
    There(Key),
    /// It did not arrive.
    Absent,
    /// The provider cannot tell.
    CannotTell,
}
