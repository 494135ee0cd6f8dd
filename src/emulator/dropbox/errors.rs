//! How Dropbox says no: plain text for wrong input, a tagged value for what the endpoint itself refuses.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};
use serde_json::{Value, json};

use crate::emulator::service::Reply;

pub(super) const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// An answer that is not the one hoped for.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    /// Status and sentence.
    Text(StatusCode, String),
    /// Status and tagged error.
    Tagged(StatusCode, Value),
}

impl Refusal {
    /// Wrong input of an API function.
    pub(super) fn input(route: &str, what: impl AsRef<str>) -> Self {
        let text = format!("Error in call to API function \"{route}\": {}", what.as_ref());
        Self::Text(StatusCode::BAD_REQUEST, text)
    }

    /// What the endpoint refuses.
    pub(super) fn endpoint(error: Value) -> Self {
        Self::Tagged(StatusCode::CONFLICT, error)
    }

    /// A tag that holds another tag, and so on.
    pub(super) fn tags(tags: &[&str]) -> Self {
        Self::endpoint(tagged(tags))
    }

    pub(super) fn unauthorized(error: Value) -> Self {
        Self::Tagged(StatusCode::UNAUTHORIZED, error)
    }

    /// The answer; `turn` decides how many dots end the summary.
    pub(super) fn reply(self, turn: u64) -> Reply {
        match self {
            Self::Text(status, text) => Reply::new(status, TEXT, text),
            Self::Tagged(status, error) => {
                let dots = &"..."[..(turn % 4) as usize];
                let body = json!({ "error_summary": format!("{}/{dots}", summary(&error)), "error": error });
                let reply = Reply::new(status, JSON, body.to_string());
                match status {
                    StatusCode::UNAUTHORIZED => {
                        reply.with_header(WWW_AUTHENTICATE, "Bearer realm=\"Dropbox-API\"")
                    }
                    StatusCode::TOO_MANY_REQUESTS => reply.with_header(RETRY_AFTER, "1"),
                    _ => reply,
                }
            }
        }
    }

    /// The error as an entry of a batch holds it.
    pub(super) fn into_error(self) -> Value {
        match self {
            Self::Tagged(_, error) => error,
            Self::Text(_, text) => json!({ ".tag": "other", "text": text }),
        }
    }
}

/// `{".tag":"a","a":{".tag":"b"}}`
pub(super) fn tagged(tags: &[&str]) -> Value {
    match tags {
        [] => Value::Null,
        [only] => json!({ ".tag": only }),
        [first, rest @ ..] => json!({ ".tag": first, *first: tagged(rest) }),
    }
}

/// All tags on the way down.
fn summary(error: &Value) -> String {
    let mut at = error;
    let mut out = Vec::new();
    if at.get(".tag").is_none() {
        at = at.get("reason").unwrap_or(at);
    }
    while let Some(tag) = at.get(".tag").and_then(Value::as_str) {
        out.push(tag);
        let inner = at.get(tag).filter(|inner| inner.is_object()).or_else(|| at.get("reason"));
        match inner {
            Some(inner) => at = inner,
            None => break,
        }
    }
    out.join("/")
}

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-dropbox-request-id");
