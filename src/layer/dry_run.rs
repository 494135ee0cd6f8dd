//! A plane on which nothing is written: calls that only read go through, every other is recorded as it would
//! have been sent, and answered with an error of kind `DryRun`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind, Result};
use crate::http::{Call, Http, Reply, SharedHttp, Target};

/// One request that was not sent.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedRequest {
    /// What the provider was doing.
    pub operation: &'static str,
    /// Method.
    pub method: String,
    /// Whole address, or the host's role and the path.
    pub address: String,
    /// Headers, without authorisation.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: RecordedBody,
}

/// The body of a request that was not sent.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum RecordedBody {
    /// There is none (null).
    None,
    /// JSON, exactly as it would have been sent.
    Json(Box<RawValue>),
    /// Other text.
    Text(String),
    /// Bytes that are not text: how many.
    Bytes {
        /// Their number.
        bytes: usize,
    },
    /// It carries a secret and is not shown.
    Hidden {
        /// Always true.
        hidden: bool,
    },
}

/// The requests of one dry run, in the order in which they would have been sent.
#[derive(Debug, Clone, Default)]
pub struct DryRun(Arc<Mutex<Vec<RecordedRequest>>>);

impl DryRun {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was recorded so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, call: &Call) {
        let address = match &call.target {
            _ if call.sensitive => "REDACTED".to_owned(),
            Target::Address(address) => address.to_string(),
            Target::Role { role, path } => format!("{role}:{path}"),
        };
        let secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];
        let headers = call
            .headers
            .iter()
            .filter(|(name, value)| !value.is_sensitive() && !secret.contains(name))
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let body = match std::str::from_utf8(&call.body) {
            _ if call.length() == 0 => RecordedBody::None,
            _ if call.upload.is_some() => {
                RecordedBody::Bytes { bytes: usize::try_from(call.length()).unwrap_or(usize::MAX) }
            }
            _ if call.sensitive => RecordedBody::Hidden { hidden: true },
            Ok(text) => RawValue::from_string(text.to_owned())
                .map_or_else(|_| RecordedBody::Text(text.to_owned()), RecordedBody::Json),
            Err(_) => RecordedBody::Bytes { bytes: call.body.len() },
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(RecordedRequest {
            operation: call.operation,
            method: call.method.to_string(),
            address,
            headers,
            body,
        });
    }
}

/// The dry-run layer.
#[derive(Debug)]
pub struct DryRunLayer {
    inner: SharedHttp,
    record: DryRun,
}

impl DryRunLayer {
    /// Wraps a plane; what it would have sent goes to `record`.
    #[must_use]
    pub fn new(inner: SharedHttp, record: DryRun) -> Self {
        Self { inner, record }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for DryRunLayer {
    async fn send(&self, call: Call) -> Result<Reply> {
        if call.read_only {
            return self.inner.send(call).await;
        }
        self.record.record(&call);
        Err(Error::new(ErrorKind::DryRun, "recorded by the dry run, not sent")
            .with_operation(call.operation)
            .with_code("dry_run"))
    }
}
