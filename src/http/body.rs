//! Bodies that are read while they come.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::error::Result;

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
}

impl std::fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodyStream")
    }
}
