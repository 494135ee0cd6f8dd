//! Traces: an `execution` span around everything that happens for one call, and an `attempt` span around each
//! time that it goes over the wire. They show method, host, operation, status, sizes and time; never a header,
//! a body or the values of a query. Of a sensitive call not even the path.

use std::time::Instant;

use async_trait::async_trait;
use tracing::Instrument as _;

use crate::error::Result;
use crate::http::address::origin_of;
use crate::http::{Call, Http, Reply, SharedHttp, Target};

/// Stands for what is not shown.
const REDACTED: &str = "REDACTED";

/// The outermost layer: one span for a call, however often it is sent.
#[derive(Debug)]
pub struct ExecutionTrace {
    inner: SharedHttp,
}

impl ExecutionTrace {
    /// Wraps a plane.
    #[must_use]
    pub fn new(inner: SharedHttp) -> Self {
        Self { inner }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for ExecutionTrace {
    async fn send(&self, call: Call) -> Result<Reply> {
        let span = tracing::info_span!("execution", operation = call.operation, method = %call.method);
        let inner = &self.inner;
        async move {
            let result = inner.send(call).await;
            if let Err(error) = &result {
                tracing::info!(
                    kind = ?error.kind(),
                    code = error.code(),
                    status = error.status(),
                    request = error.request_id(),
                    "failed"
                );
            }
            result
        }
        .instrument(span)
        .await
    }
}

/// The layer around the wire: one span each time that a call is sent.
#[derive(Debug)]
pub struct AttemptTrace {
    inner: SharedHttp,
}

impl AttemptTrace {
    /// Wraps a plane.
    #[must_use]
    pub fn new(inner: SharedHttp) -> Self {
        Self { inner }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for AttemptTrace {
    async fn send(&self, call: Call) -> Result<Reply> {
        let (host, path) = match &call.target {
            Target::Address(address) => (origin_of(address), address.path()),
            Target::Role { role, path } => {
                ((*role).to_owned(), path.split_once('?').map_or(path.as_str(), |(path, _)| path))
            }
        };
        let path = if call.sensitive { REDACTED } else { path };
        let span = tracing::debug_span!(
            "attempt",
            operation = call.operation,
            method = %call.method,
            host,
            path,
            sent = call.length()
        );
        let inner = &self.inner;
        async move {
            let started = Instant::now();
            let result = inner.send(call).await;
            let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            match &result {
                Ok(reply) => {
                    tracing::debug!(
                        status = reply.status.as_u16(),
                        received = reply.body.len(),
                        milliseconds,
                        "answered"
                    );
                }
                Err(error) => tracing::debug!(code = error.code(), milliseconds, "no answer"),
            }
            result
        }
        .instrument(span)
        .await
    }
}
