//! How Google says no: an envelope with domain, reason and place.

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY};
use serde_json::{Value, json};

use crate::emulator::service::Reply;

pub(super) const JSON: &str = "application/json; charset=UTF-8";

/// An answer that is not the one hoped for.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    domain: &'static str,
    reason: &'static str,
    message: String,
    /// Kind of place and name.
    location: Option<(&'static str, String)>,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        domain: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { status, domain, reason, message: message.into(), location: None }
    }

    pub(super) fn at(mut self, kind: &'static str, name: impl Into<String>) -> Self {
        self.location = Some((kind, name.into()));
        self
    }

    pub(super) fn bad_request() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "global", "badRequest", "Bad Request")
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "global", "invalid", message)
    }

    pub(super) fn invalid_parameter(name: &str, message: impl Into<String>) -> Self {
        Self::invalid(message).at("parameter", name)
    }

    pub(super) fn required(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "global", "required", message)
    }

    pub(super) fn parse() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "global", "parseError", "Parse Error")
    }

    pub(super) fn empty_range(name: &str) -> Self {
        let message = "The specified time range is empty.";
        Self::new(StatusCode::BAD_REQUEST, "calendar", "timeRangeEmpty", message).at("parameter", name)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "global", "authError", "Invalid Credentials")
            .at("header", "Authorization")
    }

    pub(super) fn forbidden(reason: &'static str, message: &str) -> Self {
        let domain = if reason.starts_with("forbiddenFor") { "calendar" } else { "global" };
        Self::new(StatusCode::FORBIDDEN, domain, reason, message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "global", "notFound", "Not Found")
    }

    pub(super) fn duplicate() -> Self {
        let message = "The requested identifier already exists.";
        Self::new(StatusCode::CONFLICT, "global", "duplicate", message)
    }

    pub(super) fn deleted() -> Self {
        Self::new(StatusCode::GONE, "global", "deleted", "Resource has been deleted")
    }

    pub(super) fn full_sync() -> Self {
        let message = "Sync token is no longer valid, a full sync is required.";
        Self::new(StatusCode::GONE, "calendar", "fullSyncRequired", message).at("parameter", "syncToken")
    }

    pub(super) fn too_long_ago() -> Self {
        let message = "The requested minimum modification time lies too far in the past.";
        Self::new(StatusCode::GONE, "calendar", "updatedMinTooLongAgo", message).at("parameter", "updatedMin")
    }

    pub(super) fn stale() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "global", "conditionNotMet", "Precondition Failed")
            .at("header", "If-Match")
    }

    pub(super) fn reply(&self) -> Reply {
        let mut one = json!({ "domain": self.domain, "reason": self.reason, "message": self.message });
        if let Some((kind, name)) = &self.location {
            one["locationType"] = json!(kind);
            one["location"] = json!(name);
        }
        let mut error = json!({ "errors": [one], "code": self.status.as_u16(), "message": self.message });
        let word = match self.status {
            StatusCode::UNAUTHORIZED => Some("UNAUTHENTICATED"),
            StatusCode::FORBIDDEN if self.reason == "insufficientPermissions" => Some("PERMISSION_DENIED"),
            _ => None,
        };
        if let Some(word) = word {
            error["status"] = json!(word);
        }
        answer(self.status, &json!({ "error": error }), true)
    }
}

/// A JSON answer with the headers that the service gives to reads or to writes.
pub(super) fn answer(status: StatusCode, body: &Value, read: bool) -> Reply {
    let text = serde_json::to_string_pretty(body).unwrap_or_default();
    let caching = if read {
        "private, max-age=0, must-revalidate, no-transform"
    } else {
        "no-cache, no-store, max-age=0, must-revalidate"
    };
    let mut reply = Reply::new(status, JSON, text).with_header(CACHE_CONTROL, caching);
    reply.headers.insert(VARY, HeaderValue::from_static("Origin, X-Origin, Referer"));
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    reply
}
