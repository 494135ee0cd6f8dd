//! What one emulated service offers to the server around it.
//!
//! The server owns sockets, TLS, the request log, fault rules and the clock; a [`Service`] only turns
//! one complete request into one complete reply, in memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use url::form_urlencoded;

use crate::emulator::clock::Clock;
use crate::emulator::grants::Grants;

/// What a service is started with.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Decides data, ids and the credentials issued at start.
    pub seed: u64,
    /// Multiplies the demo data.
    pub scale: u64,
    /// Start without rows.
    pub empty: bool,
    /// A private directory (0700) for key files that credentials point to.
    pub dir: PathBuf,
    /// The emulated time; a request carries its own `now`, so this is for what happens outside requests.
    pub clock: Clock,
}

/// One complete request as the service sees it.
#[derive(Debug, Clone)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// Path exactly as received, still percent-encoded, never normalised.
    pub path: String,
    /// Query text without the question mark, still encoded; empty when there was none.
    pub query: String,
    /// Headers as received.
    pub headers: HeaderMap,
    /// The whole body, de-chunked.
    pub body: Bytes,
    /// `http://host:port` or `https://host:port` as the client addressed this server; absolute URLs in
    /// answers start with it.
    pub origin: String,
    /// The emulator's own time when the request arrived.
    pub now: Timestamp,
}

/// One complete reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers besides those that the server adds (Date, Content-Length).
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// True when the request changed stored rows, which lets faults strike after the commit.
    pub committed: bool,
    /// For requests that wait for something: how long the server asks the service again, at short intervals,
    /// before it sends this answer.
    pub again_for: Option<Duration>,
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), committed: false, again_for: None }
    }

    /// An answer with a body of the given content type.
    #[must_use]
    pub fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut reply = Self::empty(status);
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        reply.body = body.into();
        reply
    }

    /// An answer with a JSON body, `application/json;charset=UTF-8`.
    #[must_use]
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json;charset=UTF-8", body.to_string())
    }

    /// The same answer with one more header; a value that no header can carry is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same answer, marked as having changed stored rows.
    #[must_use]
    pub fn committed(mut self) -> Self {
        self.committed = true;
        self
    }
}

/// One emulated service: pure memory, deterministic from its seed. Requests may come side by side.
pub trait Service: Send + Sync + std::fmt::Debug {
    /// The key of this service in credentials, fault rules and state paths, such as `salesforce`.
    fn name(&self) -> &'static str;

    /// Whether a request path belongs to this service.
    fn owns(&self, path: &str) -> bool;

    /// Answers one request.
    fn handle(&self, request: &Request) -> Reply;

    /// Answers a batch write as [`handle`](Self::handle) does, except that every row whose place in the batch,
    /// counted from 1, is a multiple of `every` is refused with a row error of this service's shape and not
    /// executed. `None`, with nothing executed, when the request is not a batch write.
    fn partial(&self, request: &Request, every: usize) -> Option<Reply>;

    /// How this service words a refusal with this status (401, 403, 429, 503 and so on), in its own error
    /// shape. It executes nothing.
    fn refusal(&self, status: StatusCode) -> Reply;

    /// The OAuth clients, users and tokens of this service, when it has any; the control surface registers
    /// clients here.
    fn grants(&self) -> Option<&Grants>;

    /// This service's entry in the ready line's `credentials`.
    fn credentials(&self) -> Value;

    /// Makes every access token issued so far invalid, as an expired session would be; refresh tokens live on.
    fn expire_access_tokens(&self);

    /// The name of the JSON property that holds the rows of a page in this service's answers, with the
    /// properties that tell of further pages; page faults (`emptypage`, `loop`, `evilnext`) are made with it.
    fn page_shape(&self) -> PageShape;

    /// Back to the state after start: rows, grants and counters.
    fn reset(&self);

    /// The rows of one type as stored, by key ascending; `None` when there is no such type.
    fn state(&self, record_type: &str) -> Option<Vec<Value>>;

    /// A part of the same rows as the text of a JSON array; a service that keeps exact number text overrides this,
    /// as a [`Value`] holds no more than a double.
    fn state_text(&self, record_type: &str, part: &StatePart) -> Option<Bytes> {
        self.state(record_type).map(|rows| Value::Array(part.of(rows)).to_string().into())
    }

    /// Loads a real description from a file, so that its type exists exactly as described.
    ///
    /// # Errors
    /// A sentence for the user when the file cannot be read or is not what the service describes.
    fn import(&self, file: &Path) -> Result<(), String>;
}

/// Which part of the stored rows is asked for: making all fields of all rows takes long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatePart {
    /// Only these fields; all when unset.
    pub fields: Option<Vec<String>>,
    /// Only so many rows, the first ones; all when unset.
    pub first: Option<usize>,
}

impl StatePart {
    /// Reads the parameters `fields` (names between commas) and `first`.
    ///
    /// # Errors
    /// A sentence for the user when a parameter is unknown or wrong.
    pub fn parse(query: &str) -> Result<Self, String> {
        let mut part = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "fields" => {
                    let names = value.split(',').filter(|name| !name.is_empty());
                    part.fields = Some(names.map(str::to_owned).collect());
                }
                "first" => {
                    let number = value.parse().map_err(|_| format!("first={value} is not a number"))?;
                    part.first = Some(number);
                }
                other => return Err(format!("unknown parameter {other:?}: fields, first")),
            }
        }
        Ok(part)
    }

    /// Whether a field belongs to it.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.iter().any(|name| name == field))
    }

    /// The most rows.
    #[must_use]
    pub fn most(&self) -> usize {
        self.first.unwrap_or(usize::MAX)
    }

    pub(in crate::emulator) fn of(&self, mut rows: Vec<Value>) -> Vec<Value> {
        rows.truncate(self.most());
        for row in rows.iter_mut().filter_map(Value::as_object_mut) {
            row.retain(|name, _| self.has(name));
        }
        rows
    }
}

/// How a service writes pages.
#[derive(Debug, Clone, Copy)]
pub struct PageShape {
    /// Property with the rows (`records`).
    pub rows: &'static str,
    /// Property with the address or token of the next page (`nextRecordsUrl`).
    pub next: &'static str,
    /// Property that is true on the last page, when there is one (`done`).
    pub done: Option<&'static str>,
    /// Property that is true when there are further pages, for services whose `next` stands on every page
    /// (`has_more`).
    pub more: Option<&'static str>,
    /// Property with the number of all rows, when there is one (`totalSize`).
    pub total: Option<&'static str>,
}
