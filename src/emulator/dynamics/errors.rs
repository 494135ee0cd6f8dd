//! What the service says when it refuses: a code in hexadecimal, a message, and the status that goes with them.

use http::StatusCode;
use serde_json::json;

use crate::emulator::json::Fault;
use crate::emulator::service::Reply;

/// One refusal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

pub(super) const NOT_FOUND: &str = "0x80040217";
pub(super) const NO_SUCH_KEY_ROW: &str = "0x80060891";
pub(super) const KEY_NOT_DEFINED: &str = "0x80060890";
pub(super) const KEY_VIOLATED: &str = "0x80060892";
pub(super) const DUPLICATE_KEY: &str = "0x80040237";
pub(super) const DUPLICATES_FOUND: &str = "0x80040333";
pub(super) const VERSION_MISMATCH: &str = "0x80060882";
pub(super) const NO_CONCURRENCY: &str = "0x8006088d";
pub(super) const PRIVILEGE: &str = "0x80040220";
pub(super) const INVALID_ARGUMENT: &str = "0x80040203";
pub(super) const UNEXPECTED: &str = "0x80040216";
pub(super) const TOO_LONG: &str = "0x80044331";
pub(super) const INTEGER_RANGE: &str = "0x8004432f";
pub(super) const DECIMAL_RANGE: &str = "0x80044330";
pub(super) const PAYLOAD: &str = "0x80048d19";
pub(super) const QUERY: &str = "0x80060888";
pub(super) const GENERIC: &str = "0x8006088a";
pub(super) const CANNOT_DELETE: &str = "0x80040227";
pub(super) const STATE_STATUS: &str = "0x80048408";
pub(super) const THROTTLED: &str = "0x80072322";
pub(super) const TRACKING_OFF: &str = "0x80072491";
pub(super) const TOKEN_EXPIRED: &str = "0x8005f101";
pub(super) const TOO_MANY_AGGREGATED: &str = "0x8004e023";
pub(super) const FILE_TOO_BIG: &str = "0x80044a02";
pub(super) const IMAGE_REFUSED: &str = "0x80072553";
/// What messages about unknown properties in queries carry in place of a code.
pub(super) const NO_CODE: &str = "0x0";

impl Refusal {
    /// A refusal with status 400.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn no_segment(segment: &str) -> Self {
        Self::new(QUERY, format!("Resource not found for the segment '{segment}'."))
            .with_status(StatusCode::NOT_FOUND)
    }

    pub(super) fn no_row(table: &str, id: &str) -> Self {
        Self::new(NOT_FOUND, format!("{table} With Id = {id} Does Not Exist"))
            .with_status(StatusCode::NOT_FOUND)
    }

    /// A name in a query that the type does not have.
    pub(super) fn no_property(name: &str, of: &str) -> Self {
        Self::new(
            NO_CODE,
            format!("Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{of}'."),
        )
    }

    /// A body that does not fit the type.
    pub(super) fn payload(set: &str, inner: &str) -> Self {
        Self::new(
            PAYLOAD,
            format!(
                "Error identified in Payload provided by the user for Entity :'{set}', For more information on this \
                 error please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  \
                 InnerException : Microsoft.OData.ODataException: {inner}"
            ),
        )
    }

    pub(super) fn method_not_allowed(method: &http::Method) -> Self {
        Self::new(GENERIC, format!("The requested resource does not support http method '{method}'."))
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
    }

    /// The body of the answer. With all annotations asked for, the details come along.
    pub(super) fn body(&self, annotated: bool) -> String {
        let mut error = json!({ "code": self.code, "message": self.message });
        if annotated {
            error["@Microsoft.PowerApps.CDS.ErrorDetails.OperationStatus"] = json!("0");
            error["@Microsoft.PowerApps.CDS.ErrorDetails.SubErrorCode"] = json!("0");
            error["@Microsoft.PowerApps.CDS.HelpLink"] = json!(format!(
                "http://go.microsoft.com/fwlink/?LinkID=398563&error=Microsoft.Crm.CrmException%3a{}",
                self.code.trim_start_matches("0x")
            ));
            error["@Microsoft.PowerApps.CDS.TraceText"] = json!("");
            error["@Microsoft.PowerApps.CDS.InnerError.Message"] = json!(self.message);
        }
        json!({ "error": error }).to_string()
    }

    pub(super) fn reply(&self, annotated: bool) -> Reply {
        super::json_reply(self.status, self.body(annotated))
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let place = fault.at.map(|(line, column)| format!(" Line {line}, position {column}."));
        let inner = if fault.empty {
            "A node of type 'EndOfInput' was read from the JSON reader when trying to read the start of an entry. \
             A 'StartObject' node was expected."
                .to_owned()
        } else {
            format!("{}.{}", fault.reason, place.unwrap_or_default())
        };
        Self::payload("(unknown)", &inner)
    }
}
