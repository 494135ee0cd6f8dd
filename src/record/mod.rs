//! What a record is: its type, its key, its JSON text; and the pages and cursors that records travel in.

pub mod capability;
pub mod draft;
pub mod key;
mod names;
pub mod native;
pub mod nearest;
pub mod number;
pub mod page;
pub mod path;
pub mod pick;
pub mod projection;
pub mod query;
#[path = "type.rs"]
pub mod record_type;
pub mod residual;
pub mod rules;
pub(crate) mod scan;
pub mod schema;
pub mod transcode;
pub mod typing;
pub mod value;
pub mod where_text;

use std::sync::Arc;

use bytes::Bytes;

pub use capability::Capability;
pub use draft::QueryDraft;
pub use key::{Key, KeyFields, KeyPart};
pub use page::{Checkpoint, Cursor, EngineMark, Page, RowError};
pub use path::{FieldPath, TypeName};
pub use query::Query;
pub use record_type::{Field, FieldType, RecordType};

/// One record: JSON text in the shape of its type's read schema (or of a selection from it), a slice of the
/// buffer of its page. Holding a record keeps that page alive; [`Record::detach`] frees it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The record's key.
    pub key: Key,
    /// The provider's version mark (an etag, a revision, a modification instant), when it has one.
    pub version: Option<String>,
    /// One JSON object, UTF-8, depth-checked, without lone surrogates.
    pub json: Bytes,
}

impl Record {
    /// A copy that no longer shares its page's buffer.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            key: self.key.clone(),
            version: self.version.clone(),
            json: Bytes::copy_from_slice(&self.json),
        }
    }

    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.json).unwrap_or("null")
    }

    /// The record as a JSON tree. For edges only: numbers beyond f64 lose digits here.
    ///
    /// # Errors
    /// When the text is not JSON, which would be a defect of the provider that made it.
    pub fn to_value(&self) -> crate::error::Result<serde_json::Value> {
        serde_json::from_slice(&self.json)
            .map_err(|source| crate::error::Error::bug("a record is not valid JSON").with_source(source))
    }
}

/// A record type shared by its records, plans and pages.
pub type SharedRecordType = Arc<RecordType>;
