//! Content of records: bytes beside the fields, as streams, so that a file of any size passes in little memory.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::error::{Error, Result};

/// Bytes as they come. It ends with an error when they break off: what came before is not the whole.
pub type ContentBytes = BoxStream<'static, Result<Bytes>>;

/// The content of one field of one record.
pub struct Content {
    /// Media type, when it is known.
    pub media_type: Option<String>,
    /// Number of bytes, when it is known.
    pub length: Option<u64>,
    /// The bytes.
    pub bytes: ContentBytes,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("media_type", &self.media_type)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Content {
    /// All bytes in one piece, for services that take no streams.
    ///
    /// # Errors
    /// Invalid beyond `most` bytes; what the stream ends with.
    pub async fn collect(mut self, most: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = self.bytes.next().await {
            let piece = piece?;
            if (all.len() + piece.len()) as u64 > most {
                return Err(Error::invalid(format!("the content has more than {most} bytes"))
                    .with_code("content_too_large"));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}
