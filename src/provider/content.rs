//! Content of records: bytes beside the fields, as streams, so that a file of any size passes in little memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::Value as Json;

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
    /// Where whoever gives the bytes keeps how far an upload came, so that another run goes on with it.
    pub memory: Option<Arc<dyn UploadMemory>>,
}

/// Keeps where an upload stands, for services that go on with one that was cut off. The bytes are given from their
/// beginning each time.
pub trait UploadMemory: Send + Sync {
    /// What an earlier run kept.
    fn recall(&self) -> Option<Json>;

    /// Keeps where the upload stands, durably.
    ///
    /// # Errors
    /// `Local`, when it cannot be kept.
    fn keep(&self, mark: &Json) -> Result<()>;

    /// The upload is complete.
    fn forget(&self);
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
    /// Bytes of which nothing else is known.
    #[must_use]
    pub fn new(bytes: ContentBytes) -> Self {
        Self { media_type: None, length: None, bytes, memory: None }
    }

    /// The same with its length, when it is known.
    #[must_use]
    pub fn of_length(self, length: Option<u64>) -> Self {
        Self { length, ..self }
    }

    /// The same with its media type, when it is known.
    #[must_use]
    pub fn of_media_type(self, media_type: Option<String>) -> Self {
        Self { media_type, ..self }
    }

    /// The same with a memory of its upload.
    #[must_use]
    pub fn with_memory(self, memory: Arc<dyn UploadMemory>) -> Self {
        Self { memory: Some(memory), ..self }
    }

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

/// Content cut into blocks of one size; only the last is shorter.
pub struct Blocks {
    bytes: ContentBytes,
    held: VecDeque<Bytes>,
    size: usize,
    read: u64,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("size", &self.size).field("read", &self.read).finish_non_exhaustive()
    }
}

impl Blocks {
    /// Cuts bytes into blocks of this size.
    #[must_use]
    pub fn new(bytes: ContentBytes, size: usize) -> Self {
        Self { bytes, held: VecDeque::new(), size: size.max(1), read: 0 }
    }

    /// Bytes that came so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// The next block; nothing behind the last.
    ///
    /// # Errors
    /// What the stream ends with.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut block = BytesMut::new();
        while block.len() < self.size {
            let mut piece = match self.held.pop_front() {
                Some(piece) => piece,
                None => match self.bytes.next().await {
                    Some(piece) => {
                        let piece = piece?;
                        self.read += piece.len() as u64;
                        piece
                    }
                    None => break,
                },
            };
            let taken = piece.split_to(piece.len().min(self.size - block.len()));
            if !piece.is_empty() {
                self.held.push_front(piece);
            }
            if taken.len() == self.size {
                return Ok(Some(taken));
            }
            if !block.is_empty() {
                // Several pieces: one more allocation for the whole block, instead of one each time it grows.
                block.reserve(self.size - block.len());
            }
            block.extend_from_slice(&taken);
        }
        Ok((!block.is_empty()).then(|| block.freeze()))
    }
}
