//! Keeps a read-only connection from writing, whatever asks: the last word where the provider has no scope that
//! only reads.

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Call, Http, Reply, SharedHttp};

/// The read-only layer. Nothing that could change something at the service passes it.
#[derive(Debug)]
pub struct ReadOnlyLayer {
    inner: SharedHttp,
}

impl ReadOnlyLayer {
    /// Wraps a plane.
    #[must_use]
    pub fn new(inner: SharedHttp) -> Self {
        Self { inner }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for ReadOnlyLayer {
    async fn send(&self, call: Call) -> Result<Reply> {
        if call.read_only {
            return self.inner.send(call).await;
        }
        Err(refused().with_operation(call.operation))
    }
}

/// Why a write on a read-only connection is refused.
#[must_use]
pub fn refused() -> Error {
    Error::new(ErrorKind::Unsupported, "the connection is read-only; nothing was sent")
        .with_code("read_only_connection")
        .with_advice(
            "To write, make another connection with `recordport connect PROVIDER NAME --access read-write`",
        )
}
