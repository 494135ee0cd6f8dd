//! Refusals of Entra ID: an OAuth error with an AADSTS number.

use http::StatusCode;
use http::header::CACHE_CONTROL;
use jiff::Timestamp;
use serde_json::json;

use crate::emulator::chance::mix;
use crate::emulator::dynamics::guid;
use crate::emulator::service::Reply;

/// One refusal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) error: &'static str,
    number: u32,
    message: String,
}

impl Fault {
    pub(super) fn new(error: &'static str, number: u32, message: impl Into<String>) -> Self {
        Self { error, number, message: message.into() }
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::new(
            "invalid_request",
            900_144,
            format!("The request body must contain the following parameter: '{parameter}'."),
        )
    }

    /// The text of `error_description`, with the ids that a support case would ask for.
    pub(super) fn description(&self, now: Timestamp) -> String {
        let [trace, correlation] = self.ids(now);
        format!(
            "AADSTS{}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {}",
            self.number,
            self.message,
            stamp(now)
        )
    }

    fn ids(&self, now: Timestamp) -> [String; 2] {
        let from = mix(now.as_microsecond().unsigned_abs() ^ u64::from(self.number));
        [guid::text(guid::fresh(from, 1)), guid::text(guid::fresh(from, 2))]
    }

    pub(super) fn reply(&self, now: Timestamp) -> Reply {
        let [trace, correlation] = self.ids(now);
        let status =
            if self.error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let body = json!({
            "error": self.error,
            "error_description": self.description(now),
            "error_codes": [self.number],
            "timestamp": stamp(now),
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        });
        Reply::new(status, "application/json; charset=utf-8", body.to_string())
            .with_header(CACHE_CONTROL, "no-store, no-cache")
    }
}

/// `2026-03-04 10:00:00Z`.
fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
