//! How one service says no, and what its answers tell about limits.

use std::time::Duration;

use serde::Deserialize;

use super::{Call, Reply};
use crate::error::{Error, Result, Retry};

/// Reads one service's error bodies and limit headers.
pub trait Dialect: Send + Sync + std::fmt::Debug {
    /// Turns an answer that is not wanted into an error: kind, the provider's code and message, request id,
    /// field reasons, advice, and the retry verdict, which comes from the code in the body and never from the
    /// status alone. A 2xx with a body that is not the service's (an HTML login page) is given here too.
    fn error(&self, call: &Call, reply: &Reply) -> Error;

    /// Whether a 2xx answer is really the service speaking; a captive portal or login page is not.
    fn is_genuine(&self, call: &Call, reply: &Reply) -> bool;

    /// Whether this error means that a fresh access token may help (an expired session), as opposed to a 401
    /// that no refresh can cure.
    fn wants_fresh_token(&self, error: &Error) -> bool;

    /// What the answer says about limits.
    fn quota(&self, reply: &Reply) -> Quota;
}

/// Reads a value of an answer; `service` is its name for people, `what` the thing that was asked for.
///
/// # Errors
/// Protocol when the body is not JSON of the expected shape.
pub fn read_answer<T: for<'de> Deserialize<'de>>(
    provider: &str,
    service: &str,
    what: &str,
    body: &[u8],
) -> Result<T> {
    serde_json::from_slice(body).map_err(|source| {
        Error::protocol(format!("{service}'s answer to {what} is not what its documentation says: {source}"))
            .with_provider(provider)
            .with_code("not_json")
            .with_retry(Retry::IfIdempotent)
    })
}

/// What an answer says about the provider's limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Calls used in the provider's window.
    pub used: Option<u64>,
    /// Calls allowed in the provider's window.
    pub allowed: Option<u64>,
    /// Pause that the provider asks for before the next call of this connection.
    pub pause: Option<Duration>,
}
