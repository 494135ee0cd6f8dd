//! Reads answers with the service's dialect: what is not wanted, or not the service's own, becomes an error
//! with a retry verdict.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde::de::IgnoredAny;

use super::limit::ConnectionLimits;
use crate::clock::Clock;
use crate::error::{Error, Result, Retry};
use crate::http::dialect::Dialect;
use crate::http::retry_after::retry_after;
use crate::http::{Call, Http, Reply, SharedHttp};
use crate::record::scan::is_ordinary;

/// Up to this size a JSON body is read through to its end before it is believed; above, only its ends are
/// looked at, and a body that breaks off inside is found when its records are read.
const READ_THROUGH: usize = 1024 * 1024;

/// The dialect layer.
#[derive(Debug)]
pub struct DialectLayer {
    inner: SharedHttp,
    dialect: Arc<dyn Dialect>,
    limits: Arc<ConnectionLimits>,
    clock: Arc<dyn Clock>,
}

impl DialectLayer {
    /// Wraps a plane; what answers tell about quota goes to `limits`.
    #[must_use]
    pub fn new(
        inner: SharedHttp,
        dialect: Arc<dyn Dialect>,
        limits: Arc<ConnectionLimits>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { inner, dialect, limits, clock }
    }

    fn refused(&self, call: &Call, reply: &Reply) -> Error {
        let error = self.dialect.error(call, reply).with_status(reply.status.as_u16());
        if error.retry_after().is_some() {
            return error;
        }
        match retry_after(&reply.headers, self.clock.now()) {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for DialectLayer {
    async fn send(&self, call: Call) -> Result<Reply> {
        let reply = self.inner.send(call.clone()).await?;
        self.limits.learn(self.dialect.quota(&reply));
        if call.accept.contains(&reply.status.as_u16()) {
            return Ok(reply);
        }
        if !reply.status.is_success() {
            return Err(self.refused(&call, &reply));
        }
        // Bytes of a record may well be HTML or half a JSON text; only the record itself says what they are.
        if reply.stream.is_some() {
            return Ok(reply);
        }
        if !is_whole(&call, &reply) || !self.dialect.is_genuine(&call, &reply) {
            let error = self.refused(&call, &reply).with_code("not_json").with_advice(
                "A login page, proxy or firewall may stand in between: check the network and endpoint",
            );
            // The request may have been executed all the same.
            return Err(error.with_retry(Retry::IfIdempotent));
        }
        Ok(reply)
    }
}

/// Whether a body that calls itself JSON is there and complete.
fn is_whole(call: &Call, reply: &Reply) -> bool {
    let json = reply
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|media| media.trim().to_ascii_lowercase())
        .is_some_and(|media| media == "application/json" || media.ends_with("+json"));
    if !json || call.method == Method::HEAD || reply.status == StatusCode::NO_CONTENT {
        return true;
    }
    let body = reply.body.trim_ascii();
    if body.is_empty() && (call.sensitive || reply.status == StatusCode::CREATED) {
        // A revocation is answered with nothing (RFC 7009 section 2.2). What was created need not be told of; whether
        // it is, only the dialect knows.
        return true;
    }
    if body.len() <= READ_THROUGH {
        return is_ordinary(body) || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    }
    matches!((body.first(), body.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
}
