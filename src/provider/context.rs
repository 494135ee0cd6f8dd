//! What an operation runs with: the HTTP plane of its connection, the clock, and the limits of this call.

use std::sync::Arc;

use super::feed_memory::FeedMemory;
use crate::clock::Clock;
use crate::error::Result;
use crate::http::{Call, Reply, SharedHttp};

/// Runtime resources of one operation, handed down and never stored by providers.
#[derive(Debug, Clone)]
pub struct Context {
    /// The connection's HTTP plane, all layers on.
    pub http: SharedHttp,
    /// Source of "now" and of waiting.
    pub clock: Arc<dyn Clock>,
    /// Name of the connection, for errors.
    pub connection: String,
    /// Whether caches are passed by.
    pub refresh: bool,
    /// Where feeds of changes keep what no checkpoint can carry; none where nothing is kept.
    pub memory: Option<Arc<dyn FeedMemory>>,
}

impl Context {
    /// Sends one call through the connection's plane.
    ///
    /// # Errors
    /// What the layers and the provider's dialect say, with this connection's name.
    pub async fn send(&self, call: Call) -> Result<Reply> {
        let operation = call.operation;
        self.http
            .send(call)
            .await
            .map_err(|error| error.with_operation(operation).with_connection(self.connection.as_str()))
    }
}
