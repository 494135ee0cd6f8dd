//! What the service says when it refuses: error collections of the application, problem documents of the framework.

use http::header::ALLOW;
use http::{HeaderName, Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::emulator::service::Reply;

/// One refusal.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    body: Box<Body>,
    header: Option<(HeaderName, String)>,
}

#[derive(Debug, Clone)]
enum Body {
    /// `errorMessages` and `errors` by field.
    Collection { messages: Vec<String>, errors: Map<String, Value> },
    /// What is wrong with a query: no `errors`.
    Query(Vec<String>),
    /// An RFC 7807 document.
    Problem(String),
    /// Anything else.
    Other(Value),
    /// A page or a bare sentence.
    Text(&'static str, String),
}

pub(super) const NO_ISSUE: &str = "Issue does not exist or you do not have permission to see it.";

impl Refusal {
    /// A sentence of the application.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let body = Body::Collection { messages: vec![message.into()], errors: Map::new() };
        Self { status, body: Box::new(body), header: None }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// What is wrong, field by field.
    pub(super) fn fields(errors: Map<String, Value>) -> Self {
        let body = Body::Collection { messages: Vec::new(), errors };
        Self { status: StatusCode::BAD_REQUEST, body: Box::new(body), header: None }
    }

    pub(super) fn field(id: &str, message: impl Into<String>) -> Self {
        let mut errors = Map::new();
        errors.insert(id.to_owned(), Value::String(message.into()));
        Self::fields(errors)
    }

    pub(super) fn query(message: impl Into<String>) -> Self {
        let body = Body::Query(vec![message.into()]);
        Self { status: StatusCode::BAD_REQUEST, body: Box::new(body), header: None }
    }

    /// A problem that the framework finds before the application is asked.
    pub(super) fn problem(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, body: Box::new(Body::Problem(detail.into())), header: None }
    }

    pub(super) fn method(method: &Method, allowed: &str) -> Self {
        let detail = format!("Method '{method}' is not supported.");
        let mut refusal = Self::problem(StatusCode::METHOD_NOT_ALLOWED, detail);
        refusal.header = Some((ALLOW, allowed.to_owned()));
        refusal
    }

    pub(super) fn other(status: StatusCode, body: Value) -> Self {
        Self { status, body: Box::new(Body::Other(body)), header: None }
    }

    pub(super) fn text(status: StatusCode, content_type: &'static str, text: impl Into<String>) -> Self {
        Self { status, body: Box::new(Body::Text(content_type, text.into())), header: None }
    }

    /// The same refusal as an element of a bulk answer.
    pub(super) fn element(&self, number: usize) -> Value {
        let (messages, errors) = match &*self.body {
            Body::Collection { messages, errors } => (messages.clone(), errors.clone()),
            Body::Query(messages) => (messages.clone(), Map::new()),
            Body::Problem(text) | Body::Text(_, text) => (vec![text.clone()], Map::new()),
            Body::Other(value) => (vec![value.to_string()], Map::new()),
        };
        json!({
            "status": self.status.as_u16(),
            "elementErrors": { "errorMessages": messages, "errors": errors },
            "failedElementNumber": number,
        })
    }

    /// The complete answer to a request at this path.
    pub(super) fn reply(&self, path: &str) -> Reply {
        let reply = match &*self.body {
            Body::Collection { messages, errors } => {
                Reply::json(self.status, &json!({ "errorMessages": messages, "errors": errors }))
            }
            Body::Query(messages) => {
                Reply::json(self.status, &json!({ "errorMessages": messages, "warningMessages": [] }))
            }
            Body::Problem(detail) => {
                let body = json!({
                    "type": "about:blank",
                    "title": self.status.canonical_reason().unwrap_or_default(),
                    "status": self.status.as_u16(),
                    "detail": detail,
                    "instance": path,
                });
                Reply::new(self.status, "application/problem+json;charset=UTF-8", body.to_string())
            }
            Body::Other(value) => Reply::json(self.status, value),
            Body::Text(content_type, text) => Reply::new(self.status, content_type, text.clone()),
        };
        match &self.header {
            Some((name, value)) => reply.with_header(name.clone(), value),
            None => reply,
        }
    }
}
