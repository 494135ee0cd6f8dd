//! Bodies that are read while they come.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::error::{Error, ErrorKind, Result, Retry};

/// The body of an answer that is still on its way. It can be taken once.
#[derive(Clone)]
pub struct BodyStream(Arc<Mutex<Option<BoxStream<'static, Result<Bytes>>>>>);

impl BodyStream {
    /// Wraps a stream of pieces; it ends with an error when the body breaks off.
    #[must_use]
    pub fn new(pieces: BoxStream<'static, Result<Bytes>>) -> Self {
        Self(Arc::new(Mutex::new(Some(pieces))))
    }

    /// The pieces; `None` when somebody took them before.
    #[must_use]
    pub fn take(&self) -> Option<BoxStream<'static, Result<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether somebody took them.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// The body of a request that is sent while it comes, with its length. Whoever sends the request again needs another.
#[derive(Debug, Clone)]
pub struct Upload {
    pieces: BodyStream,
    /// Number of bytes.
    pub length: u64,
}

impl Upload {
    /// Bytes that come, this many of them.
    #[must_use]
    pub fn new(pieces: BoxStream<'static, Result<Bytes>>, length: u64) -> Self {
        Self { pieces: BodyStream::new(pieces), length }
    }

    /// The pieces; `None` when they were sent before.
    #[must_use]
    pub fn take(&self) -> Option<BoxStream<'static, Result<Bytes>>> {
        self.pieces.take()
    }

    /// Whether the pieces were sent before, all of them or some.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.pieces.is_taken()
    }
}

/// The error for a call that cannot be sent again, since its body is gone.
#[must_use]
pub fn spent() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the request has to be sent again, and its content has been read already",
    )
    .with_code("content_spent")
    .with_retry(Retry::Never)
    .with_advice("Give the content once more")
}

impl std::fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodyStream")
    }
}
