//! What the service says when it refuses: an array of messages with codes.

use http::StatusCode;

use super::cell::write_string;
use crate::emulator::json::Fault;

/// One refusal, either of a whole request or of one row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Absent in some single-request errors, empty in others.
    pub(super) fields: Option<Vec<String>>,
    /// What a duplicate rule found, as JSON.
    pub(super) duplicates: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
            fields: None,
            duplicates: None,
        }
    }

    /// A refusal about certain fields; the list may be empty and is then still written.
    pub(super) fn of_fields(code: &'static str, message: impl Into<String>, fields: &[&str]) -> Self {
        let fields = Some(fields.iter().map(|field| (*field).to_owned()).collect());
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into(), fields, duplicates: None }
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn not_found() -> Self {
        Self::new("NOT_FOUND", "The requested resource does not exist").with_status(StatusCode::NOT_FOUND)
    }

    pub(super) fn method_not_allowed(method: &http::Method) -> Self {
        Self::new("METHOD_NOT_ALLOWED", format!("HTTP Method '{method}' not allowed here"))
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
    }

    pub(super) fn deleted() -> Self {
        Self::of_fields("ENTITY_IS_DELETED", "entity is deleted", &[]).with_status(StatusCode::NOT_FOUND)
    }

    pub(super) fn unparseable(message: impl Into<String>) -> Self {
        Self::new("JSON_PARSER_ERROR", message)
    }

    fn write(&self, out: &mut String) {
        out.push('{');
        if let Some(duplicates) = &self.duplicates {
            // The service's own spelling.
            out.push_str("\"duplicateResut\":");
            out.push_str(duplicates);
            out.push(',');
        }
        out.push_str("\"message\":");
        write_string(&self.message, out);
        out.push_str(",\"errorCode\":");
        write_string(self.code, out);
        if let Some(fields) = &self.fields {
            out.push_str(",\"fields\":");
            write_names(fields, out);
        }
        out.push('}');
    }

    /// `{"statusCode","message","fields"}`, one error of a row in a batch.
    pub(super) fn write_row_error(&self, out: &mut String) {
        out.push_str("{\"statusCode\":");
        write_string(self.code, out);
        out.push_str(",\"message\":");
        write_string(&self.message, out);
        out.push_str(",\"fields\":");
        write_names(self.fields.as_deref().unwrap_or_default(), out);
        out.push('}');
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let Fault { empty, reason, at } = fault;
        let reason =
            if empty { "No content to map to Object due to end of input".to_owned() } else { reason };
        Self::unparseable(match at {
            Some((line, column)) => format!("{reason} at [line:{}, column:{column}]", line.max(1)),
            None => reason,
        })
    }
}

/// `[{"message","errorCode","fields"}]`, the body of a refused request.
pub(super) fn body(refusals: &[Refusal]) -> String {
    let mut out = String::from("[");
    for (number, refusal) in refusals.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        refusal.write(&mut out);
    }
    out.push(']');
    out
}

fn write_names(names: &[String], out: &mut String) {
    out.push('[');
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(name, out);
    }
    out.push(']');
}
