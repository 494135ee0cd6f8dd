//! The one error type: what went wrong, where, whether trying again can help, and what the user can do.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// Result with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure this is. It decides the exit code and the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's input is wrong: a name, a filter, a row, an option.
    Invalid,
    /// The provider or the record type cannot do what was asked; refused before the wire.
    Unsupported,
    /// The connection needs (re)authorisation.
    Unauthorized,
    /// The connection is authorised but lacks the permission or scope.
    Forbidden,
    /// A record, record type or connection does not exist.
    NotFound,
    /// The record changed meanwhile, or is a duplicate.
    Conflict,
    /// The provider's rate limit or quota is used up.
    RateLimited,
    /// The provider cannot be reached or failed.
    Unavailable,
    /// The provider refused the request for a reason of its own.
    Refused,
    /// The provider's answer cannot be understood or contradicts itself.
    Protocol,
    /// An address outside the hosts that the connection may talk to.
    ForeignHost,
    /// A breaking change of a schema.
    Drift,
    /// This machine: store, master key, port, disk, permissions.
    Local,
    /// Stopped by the caller.
    Cancelled,
    /// A write that a dry run recorded instead of sending.
    DryRun,
    /// A defect of recordport itself.
    Bug,
}

impl ErrorKind {
    /// Exit code of the command line for this kind.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Invalid | Self::Unsupported => 2,
            Self::Unauthorized => 3,
            Self::NotFound => 4,
            Self::Forbidden
            | Self::Conflict
            | Self::RateLimited
            | Self::Unavailable
            | Self::Refused
            | Self::Protocol
            | Self::ForeignHost => 5,
            Self::Drift => 6,
            Self::Local => 7,
            Self::Cancelled => 130,
            Self::DryRun => 0,
            Self::Bug => 70,
        }
    }
}

/// Whether sending the same request again can help. The verdict comes from the provider's own code, read by
/// its dialect, never from the HTTP status alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It cannot help.
    Never,
    /// It can help, and the request may have been executed: only an idempotent request is sent again.
    IfIdempotent,
    /// It can help, and the request was certainly not executed.
    Always,
}

/// One reason that concerns one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// Values that would be accepted, when they are few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
}

/// A place in a text or document that the user gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Line and column, both from 1, counted in characters.
    Text {
        /// Line from 1.
        line: u64,
        /// Column from 1.
        column: u64,
    },
    /// JSON Pointer (RFC 6901) into a document.
    Pointer(String),
    /// Row of a batch or record of a page, from 0.
    Row(u64),
}

#[derive(Debug, Clone)]
struct Detail {
    kind: ErrorKind,
    message: String,
    operation: Option<String>,
    provider: Option<String>,
    connection: Option<String>,
    record_type: Option<String>,
    key: Option<String>,
    fields: Vec<FieldError>,
    position: Option<Position>,
    code: Option<String>,
    provider_message: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
    retry: Retry,
    retry_after: Option<Duration>,
    attempts: Option<u32>,
    advice: Option<String>,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

/// The error of every operation. One word big; context is added by `with_*` methods on its way up and never
/// overwritten once set.
#[derive(Clone)]
pub struct Error(Box<Detail>);

impl Error {
    /// A new error of a kind with a message that a user can read.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Detail {
            kind,
            message: message.into(),
            operation: None,
            provider: None,
            connection: None,
            record_type: None,
            key: None,
            fields: Vec::new(),
            position: None,
            code: None,
            provider_message: None,
            status: None,
            request_id: None,
            retry: Retry::Never,
            retry_after: None,
            attempts: None,
            advice: None,
            source: None,
        }))
    }

    /// Input of the caller that is wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Something that this provider or record type cannot do.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// An answer that cannot be understood.
    #[must_use]
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    /// A failure of this machine.
    #[must_use]
    pub fn local(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Local, message)
    }

    /// A broken invariant of recordport itself.
    #[must_use]
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// Whether it is unknown if the request was executed. A refusal by the service, by a layer before the wire
    /// or by a dry run does not leave that open, and neither does a connection that was never made.
    #[must_use]
    pub fn leaves_open(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Protocol) && self.retry() != Retry::Always
    }

    /// Names the operation, unless one is named already.
    #[must_use]
    pub fn with_operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation.get_or_insert_with(|| operation.into());
        self
    }

    /// Names the provider, unless one is named already.
    #[must_use]
    pub fn with_provider(mut self, provider: impl Into<String>) -> Self {
        self.0.provider.get_or_insert_with(|| provider.into());
        self
    }

    /// Names the connection, unless one is named already.
    #[must_use]
    pub fn with_connection(mut self, connection: impl Into<String>) -> Self {
        self.0.connection.get_or_insert_with(|| connection.into());
        self
    }

    /// Names the record type, unless one is named already.
    #[must_use]
    pub fn with_record_type(mut self, record_type: impl Into<String>) -> Self {
        self.0.record_type.get_or_insert_with(|| record_type.into());
        self
    }

    /// Names the record by its key text, unless one is named already.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.0.key.get_or_insert_with(|| key.into());
        self
    }

    /// Adds a reason that concerns a field.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.fields.push(FieldError { field: field.into(), message: message.into(), accepted: Vec::new() });
        self
    }

    /// Adds a complete field reason.
    #[must_use]
    pub fn with_field_error(mut self, reason: FieldError) -> Self {
        self.0.fields.push(reason);
        self
    }

    /// Says where in the caller's input the fault lies, unless said already.
    #[must_use]
    pub fn with_position(mut self, position: Position) -> Self {
        self.0.position.get_or_insert(position);
        self
    }

    /// The provider's own code, unless set already.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code.get_or_insert_with(|| code.into());
        self
    }

    /// The provider's own message, unless set already.
    #[must_use]
    pub fn with_provider_message(mut self, message: impl Into<String>) -> Self {
        self.0.provider_message.get_or_insert_with(|| message.into());
        self
    }

    /// HTTP status of the answer, unless set already.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status.get_or_insert(status);
        self
    }

    /// The provider's id of the request, unless set already.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.0.request_id.get_or_insert_with(|| id.into());
        self
    }

    /// Sets the retry verdict.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// How long the provider asks to wait.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// How often the request was sent before it was given up, when more than once.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = (attempts > 1).then_some(attempts);
        self
    }

    /// What the user can do, unless said already.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice.get_or_insert_with(|| advice.into());
        self
    }

    /// What the user can do, in place of what was said before.
    #[must_use]
    pub fn with_advice_instead(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// The cause.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(std::sync::Arc::new(source));
        self
    }

    /// Replaces every occurrence of a secret in all texts of this error. Values under 8 bytes are left alone:
    /// masking them would mangle ordinary words.
    #[must_use]
    pub fn redacting(mut self, secret: &str) -> Self {
        if secret.len() >= 8 {
            let detail = &mut *self.0;
            let texts = [&mut detail.message]
                .into_iter()
                .chain(detail.provider_message.as_mut())
                .chain(detail.advice.as_mut())
                .chain(detail.code.as_mut())
                .chain(detail.fields.iter_mut().map(|field| &mut field.message));
            for text in texts {
                if text.contains(secret) {
                    *text = text.replace(secret, "[redacted]");
                }
            }
        }
        self
    }

    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message without its context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The provider's own code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The provider's own message.
    #[must_use]
    pub fn provider_message(&self) -> Option<&str> {
        self.0.provider_message.as_deref()
    }

    /// HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The provider's id of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How often the request was sent, when more than once.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.0.attempts
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// How long the provider asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Reasons by field.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// Where in the caller's input the fault lies.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.0.position.as_ref()
    }

    /// What the user can do.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// The provider that was spoken to.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The record type concerned.
    #[must_use]
    pub fn record_type(&self) -> Option<&str> {
        self.0.record_type.as_deref()
    }
}

impl Serialize for Error {
    /// The shape that stands in outcomes and, with `type`, `title` and `status`, in HTTP problems.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            kind: ErrorKind,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            operation: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            provider: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            connection: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            record_type: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            key: &'a Option<String>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            fields: &'a [FieldError],
            #[serde(skip_serializing_if = "Option::is_none")]
            position: &'a Option<Position>,
            #[serde(skip_serializing_if = "Option::is_none")]
            code: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            provider_message: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: &'a Option<u16>,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: &'a Option<String>,
            retry: Retry,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_seconds: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            attempts: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            advice: &'a Option<String>,
        }
        let detail = &*self.0;
        Wire {
            kind: detail.kind,
            message: &detail.message,
            operation: &detail.operation,
            provider: &detail.provider,
            connection: &detail.connection,
            record_type: &detail.record_type,
            key: &detail.key,
            fields: &detail.fields,
            position: &detail.position,
            code: &detail.code,
            provider_message: &detail.provider_message,
            status: &detail.status,
            request_id: &detail.request_id,
            retry: detail.retry,
            retry_after_seconds: detail.retry_after.map(|wait| wait.as_secs()),
            attempts: detail.attempts,
            advice: &detail.advice,
        }
        .serialize(serializer)
    }
}

impl fmt::Display for Error {
    /// One line: context in front, the provider's code and message behind, advice last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = &*self.0;
        let place: Vec<&str> = [
            detail.connection.as_deref().or(detail.provider.as_deref()),
            detail.record_type.as_deref(),
            detail.operation.as_deref(),
            detail.key.as_deref(),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !place.is_empty() {
            write!(f, "{}: ", place.join(" "))?;
        }
        f.write_str(&detail.message)?;
        match &detail.position {
            Some(Position::Text { line, column }) => write!(f, " (line {line}, column {column})")?,
            Some(Position::Pointer(pointer)) => write!(f, " (at {pointer:?})")?,
            Some(Position::Row(row)) => write!(f, " (row {row})")?,
            None => {}
        }
        for reason in &detail.fields {
            write!(f, "; {}: {}", reason.field, reason.message)?;
            if !reason.accepted.is_empty() {
                write!(f, " (accepted: {})", reason.accepted.join(", "))?;
            }
        }
        match (&detail.code, &detail.provider_message) {
            (Some(code), Some(message)) => write!(f, " [{code}: {message}]")?,
            (Some(code), None) => write!(f, " [{code}]")?,
            (None, Some(message)) => write!(f, " [{message}]")?,
            (None, None) => {}
        }
        if let Some(id) = &detail.request_id {
            write!(f, " (request {id})")?;
        }
        if let Some(attempts) = detail.attempts {
            write!(f, " (tried {attempts} times)")?;
        }
        if let Some(advice) = &detail.advice {
            write!(f, ". {advice}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
