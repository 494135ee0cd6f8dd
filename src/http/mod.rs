//! The HTTP plane: one [`Call`] in, one [`Reply`] out. Layers wrap an [`Http`] in an [`Http`]; the innermost is
//! the wire ([`client`]).

pub mod address;
mod body;
pub mod client;
pub mod dialect;
pub mod multipart;
pub mod retry_after;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::error::Result;

pub use body::{BodyStream, Upload, spent};

/// Where a call goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A path (with query) on one of the connection's own hosts, by the role that the host plays (`api`,
    /// `content`, `login`). The auth layer joins it to that host's present base address, which may change when
    /// a token is refreshed.
    Role {
        /// The host's role.
        role: &'static str,
        /// Absolute path, percent-encoded, with its query.
        path: String,
    },
    /// A whole address. Refused unless its origin is one the connection may talk to.
    Address(Url),
}

/// One request as a provider asks for it: pure data, so that it can be tested without I/O and shown by a dry
/// run.
#[derive(Debug, Clone)]
pub struct Call {
    /// What the provider is doing (`search`, `describe`), for errors and traces.
    pub operation: &'static str,
    /// Method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// Headers, without authorisation.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
    /// A body that is sent while it comes, in place of `body`.
    pub upload: Option<Upload>,
    /// Whether sending it twice does no more than sending it once.
    pub idempotent: bool,
    /// Whether it changes nothing at the service. A dry run lets only such calls through.
    pub read_only: bool,
    /// Whether address and body must not be traced (token requests).
    pub sensitive: bool,
    /// Whether the auth layer adds the connection's token.
    pub authorize: bool,
    /// Statuses outside 2xx that the provider reads itself (304, 300, 412); all others become errors by the
    /// dialect.
    pub accept: &'static [u16],
    /// Most bytes of the (decompressed) answer; `None` for the connection's limit.
    pub response_limit: Option<u64>,
    /// Whether the body of a 2xx answer is handed on while it comes, without a limit: [`Reply::stream`].
    pub streamed: bool,
}

impl Call {
    /// A GET on a role.
    #[must_use]
    pub fn get(operation: &'static str, role: &'static str, path: impl Into<String>) -> Self {
        Self::new(operation, Method::GET, Target::Role { role, path: path.into() })
    }

    /// A call with authorisation and without body. GET, HEAD, PUT, DELETE and OPTIONS count as idempotent
    /// (RFC 9110 section 9.2.2); say so where a POST or PATCH is.
    #[must_use]
    pub fn new(operation: &'static str, method: Method, target: Target) -> Self {
        let idempotent = method.is_idempotent();
        let read_only = method.is_safe();
        Self {
            operation,
            method,
            target,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            upload: None,
            idempotent,
            read_only,
            sensitive: false,
            authorize: true,
            accept: &[],
            response_limit: None,
            streamed: false,
        }
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn with_json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        self
    }

    /// Sets a header.
    #[must_use]
    pub fn with_header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Lets the provider read these statuses itself.
    #[must_use]
    pub fn accepting(mut self, statuses: &'static [u16]) -> Self {
        self.accept = statuses;
        self
    }

    /// Says that this POST only asks: it changes nothing, so it may be repeated and a dry run may send it.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self.idempotent = true;
        self
    }

    /// Asks for the body while it comes.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.streamed = true;
        self
    }

    /// Sends a body while it comes.
    #[must_use]
    pub fn with_upload(mut self, upload: Upload) -> Self {
        self.upload = Some(upload);
        self
    }

    /// Whether it cannot be sent again, because its body was sent before.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::is_spent)
    }

    /// Bytes of its body.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.upload.as_ref().map_or(self.body.len() as u64, |upload| upload.length)
    }

    /// Says whether a repetition is harmless.
    #[must_use]
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }
}

/// One answer, decompressed; whole unless the call asked for a stream.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body; empty when it is a stream.
    pub body: Bytes,
    /// The body of a streamed call.
    pub stream: Option<BodyStream>,
}

impl Reply {
    /// A header as text, when it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Something that answers calls: the wire, or a layer around another.
#[async_trait]
pub trait Http: Send + Sync + std::fmt::Debug {
    /// Sends one call. Only the wire and the layers below the dialect answer with a non-2xx status that the
    /// call does not accept; above it such answers are errors with a retry verdict.
    ///
    /// # Errors
    /// What the wire or a layer refuses, with its retry verdict.
    async fn send(&self, call: Call) -> Result<Reply>;
}

/// A shared plane.
pub type SharedHttp = Arc<dyn Http>;
