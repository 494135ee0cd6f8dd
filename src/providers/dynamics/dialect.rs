//! How Dataverse says no: its error bodies, what each code means for the user, and whether trying again helps.
//!
//! Sources: "Compose HTTP requests and handle errors", "Service protection API limits", "Web service error
//! codes" (Microsoft Dataverse developer documentation).

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Retry};
use crate::http::dialect::{Dialect, Quota, read_answer};
use crate::http::multipart::PartReply;
use crate::http::retry_after::retry_after;
use crate::http::{Call, Reply};

const PROVIDER: &str = "dynamics";
/// Requests of one user in five minutes ("Service protection API limits").
const REQUESTS_ALLOWED: u64 = 6_000;

/// Reads Dataverse's answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct DynamicsDialect;

/// What a refusal says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Reason {
    code: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorMember {
    /// The API's own form.
    Reason(Reason),
    /// The form of OAuth (RFC 6749 section 5.2).
    Code(String),
}

#[derive(Deserialize)]
struct Body {
    error: ErrorMember,
    #[serde(default)]
    error_description: String,
}

struct Meaning {
    kind: ErrorKind,
    retry: Retry,
    advice: &'static str,
}

fn meaning(code: &str, status: u16) -> Meaning {
    use ErrorKind::{
        Conflict, Forbidden, Invalid, NotFound, RateLimited, Refused, Unauthorized, Unavailable,
    };
    use Retry::{Always, IfIdempotent, Never};
    let of = |kind, retry, advice| Meaning { kind, retry, advice };
    match code.to_ascii_lowercase().as_str() {
        "0x80072321" | "0x80072322" | "0x80072326" => of(
            RateLimited,
            Always,
            "Too many or too long requests of this user within five minutes; it is tried again after the pause that the \
             service names",
        ),
        "0x80040217" | "0x80060891" => {
            of(NotFound, Never, "There is no such record, or the connected user may not see it")
        }
        "0x80060890" => of(Invalid, Never, "Use one of the table's alternate keys that are active"),
        "0x80060892" => {
            of(Conflict, Never, "Another record has these values in an alternate key; use upsert by that key")
        }
        "0x80040237" => of(Conflict, Never, "There is a record with this id already"),
        "0x80040333" => of(
            Conflict,
            Never,
            "A duplicate detection rule found similar records. To save all the same, leave the option detect_duplicates \
             out",
        ),
        "0x80060882" => of(Conflict, Never, "The record changed meanwhile; read it again"),
        "0x8006088d" => of(Refused, Never, "The table keeps no versions; leave @version out"),
        "0x80040220" | "0x80048306" => of(
            Forbidden,
            Never,
            "The connected user lacks a privilege; an administrator can add it to one of the user's security roles",
        ),
        "0x80040265" => of(Refused, Never, "A plug-in of this environment refused it; its text says why"),
        "0x80044331" => of(Invalid, Never, "Shorten the text, for example with a truncate step"),
        "0x8004432f" | "0x80044330" => of(Invalid, Never, "Use a number within the column's range"),
        "0x80048408" => {
            of(Invalid, Never, "This status reason does not belong to this status; set both so that they fit")
        }
        "0x80040227" => of(Refused, Never, "Other records need this one; delete or move them first"),
        "0x80072491" => {
            of(Refused, Never, "The table does not track changes; an administrator can switch that on")
        }
        "0x8004e023" => of(Refused, Never, "Too many records to aggregate: narrow the filter"),
        "0x8005f101" => of(Unauthorized, Never, "Authorise the connection again"),
        "0x80044151" => of(
            Unavailable,
            IfIdempotent,
            "The query took too long: filter by an indexed column or select fewer columns",
        ),
        "0x80041129" => {
            of(Refused, Never, "The place in the result is not known any more; search again from the start")
        }
        "0x80041102" => of(NotFound, Never, "There is no such table in this environment"),
        "0x80041103" | "0x80048d19" => {
            of(Invalid, Never, "A column or value does not fit the table: check its name and type")
        }
        _ => by_status(status),
    }
}

/// For codes that are not known here, and for answers without one.
fn by_status(status: u16) -> Meaning {
    let (kind, retry, advice) = match status {
        400 => (ErrorKind::Invalid, Retry::Never, ""),
        401 => (ErrorKind::Unauthorized, Retry::Never, "Authorise the connection again"),
        403 => (
            ErrorKind::Forbidden,
            Retry::Never,
            "Let an administrator check that the user, or the application user of the client, is in this environment and \
             has a security role",
        ),
        404 | 410 => (ErrorKind::NotFound, Retry::Never, ""),
        409 => (ErrorKind::Conflict, Retry::Never, "Somebody changed it at the same time; read it again"),
        412 => (ErrorKind::Conflict, Retry::Never, "The record changed meanwhile; read it again"),
        413 | 414 | 431 => (
            ErrorKind::Invalid,
            Retry::Never,
            "The request is too large: select fewer columns, shorten the filter or send fewer rows",
        ),
        429 => (ErrorKind::RateLimited, Retry::Always, "Too many requests; it is tried again after a pause"),
        503 => (ErrorKind::Unavailable, Retry::IfIdempotent, "Dataverse is not available for a moment"),
        500..=599 => (ErrorKind::Unavailable, Retry::IfIdempotent, "Dataverse failed for a moment"),
        300..=399 => {
            (ErrorKind::Protocol, Retry::Never, "The answer leads elsewhere, which an API answer must not")
        }
        402..=499 => (ErrorKind::Refused, Retry::Never, ""),
        _ => (ErrorKind::Protocol, Retry::IfIdempotent, ""),
    };
    Meaning { kind, retry, advice }
}

fn reason(body: &[u8]) -> Option<Reason> {
    let body: Body = serde_json::from_slice(body).ok()?;
    Some(match body.error {
        ErrorMember::Reason(reason) => reason,
        ErrorMember::Code(code) => Reason { code, message: body.error_description },
    })
}

/// The error of an answer that is no success, whether it came alone or as a part of a batch.
fn refusal(status: u16, body: &[u8]) -> Error {
    let reason = reason(body).unwrap_or_default();
    // The code may be absent, empty or 0x0.
    let code = Some(reason.code.as_str()).filter(|code| !code.is_empty() && *code != "0x0");
    let meaning = meaning(code.unwrap_or_default(), status);
    let text = reason.message.lines().map(str::trim).find(|line| !line.is_empty());
    let text = match text {
        Some(text) => headline(text).to_owned(),
        None => format!("Dataverse answered with status {status}"),
    };
    let mut error = Error::new(meaning.kind, text).with_provider(PROVIDER).with_retry(meaning.retry);
    error = error.with_code(code.map_or_else(|| format!("status_{status}"), str::to_owned));
    if !reason.message.is_empty() {
        error = error.with_provider_message(reason.message.as_str());
    }
    if !meaning.advice.is_empty() {
        error = error.with_advice(meaning.advice);
    }
    error.with_status(status)
}

/// Payload errors bury what is wrong behind a help link and the name of an exception.
fn headline(message: &str) -> &str {
    match message.split_once("InnerException : ") {
        Some((_, inner)) => inner.split_once(": ").map_or(inner, |(_, text)| text),
        None => message,
    }
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    ["x-ms-service-request-id", "req_id", "x-ms-request-id"]
        .iter()
        .find_map(|name| headers.get(*name).and_then(|value| value.to_str().ok()))
}

/// The error of a part of a batch.
pub(super) fn part_error(operation: &'static str, reply: &PartReply, now: jiff::Timestamp) -> Error {
    let mut error = refusal(reply.status.as_u16(), &reply.body).with_operation(operation);
    if let Some(wait) = retry_after(&reply.headers, now) {
        error = error.with_retry_after(wait);
    }
    match request_id(&reply.headers) {
        Some(id) => error.with_request_id(id),
        None => error,
    }
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.trim_ascii().first().copied()
}

fn is_web_page(reply: &Reply) -> bool {
    let kind = reply.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
    kind.starts_with("text/html") || first_byte(&reply.body) == Some(b'<')
}

impl Dialect for DynamicsDialect {
    fn error(&self, call: &Call, reply: &Reply) -> Error {
        let error = if reply.status.is_success() {
            let what = if reply.body.is_empty() {
                "Dataverse answered with nothing where records or an outcome belong"
            } else if is_web_page(reply) {
                "the answer is a web page, not the Dataverse Web API"
            } else {
                "the answer is not complete"
            };
            Error::protocol(what)
                .with_provider(PROVIDER)
                .with_code("not_json")
                .with_retry(Retry::IfIdempotent)
                .with_status(reply.status.as_u16())
                .with_advice(
                    "A login page, proxy or captive portal may stand between; check the connection's address and the network",
                )
        } else {
            refusal(reply.status.as_u16(), &reply.body)
        };
        let error = error.with_operation(call.operation);
        match request_id(&reply.headers) {
            Some(id) => error.with_request_id(id),
            None => error,
        }
    }

    fn is_genuine(&self, call: &Call, reply: &Reply) -> bool {
        if matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return true;
        }
        if is_web_page(reply) {
            return false;
        }
        let kind = reply.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
        if kind.starts_with("multipart/mixed") {
            // What breaks off is found by counting the parts.
            return true;
        }
        if call.sensitive || call.method == http::Method::HEAD {
            return true;
        }
        matches!(
            (first_byte(&reply.body), reply.body.trim_ascii().last()),
            (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
        )
    }

    fn wants_fresh_token(&self, error: &Error) -> bool {
        error.status() == Some(401)
    }

    fn quota(&self, reply: &Reply) -> Quota {
        let left = reply
            .header("x-ms-ratelimit-burst-remaining-xrm-requests")
            .and_then(|text| text.trim().parse::<u64>().ok());
        Quota {
            used: left.map(|left| REQUESTS_ALLOWED.saturating_sub(left)),
            allowed: left.map(|left| REQUESTS_ALLOWED.max(left)),
            pause: None,
        }
    }
}

/// Reads a value of an answer.
///
/// # Errors
/// Protocol when the body is not JSON of the expected shape.
pub(super) fn read<T: for<'de> Deserialize<'de>>(what: &str, body: &[u8]) -> crate::error::Result<T> {
    read_answer(PROVIDER, "Dataverse", what, body)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn error(status: u16, body: &str) -> Error {
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
            stream: None,
        };
        DynamicsDialect.error(&Call::get("search", "api", "/api/data/v9.2/accounts"), &reply)
    }

    #[test]
    fn codes_decide_the_kind_and_whether_trying_again_helps() {
        let body = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
        for (status, code, kind, retry) in [
            (429, "0x80072322", ErrorKind::RateLimited, Retry::Always),
            (404, "0x80040217", ErrorKind::NotFound, Retry::Never),
            (412, "0x80060882", ErrorKind::Conflict, Retry::Never),
            (412, "0x80060892", ErrorKind::Conflict, Retry::Never),
            (403, "0x80040220", ErrorKind::Forbidden, Retry::Never),
            (401, "0x8005f101", ErrorKind::Unauthorized, Retry::Never),
            (400, "0x80044331", ErrorKind::Invalid, Retry::Never),
            (400, "0x0", ErrorKind::Invalid, Retry::Never),
            (404, "", ErrorKind::NotFound, Retry::Never),
            (503, "0x8aaaaaaa", ErrorKind::Unavailable, Retry::IfIdempotent),
            (405, "0x80040227", ErrorKind::Refused, Retry::Never),
        ] {
            let error = error(status, &body(code));
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{status} {code}");
            assert!(error.code().is_some(), "{status} {code}");
        }
        assert_eq!(error(400, &body("0x0")).code(), Some("status_400"));
    }

    #[test]
    fn payload_errors_say_what_is_wrong_first() {
        let message = "Error identified in Payload provided by the user for Entity :'contacts', For more information on \
                       this error please follow this help link https://go.microsoft.com/fwlink/?linkid=2195293  ----> \
                       InnerException : Microsoft.Crm.CrmException: Invalid property 'x' was found in entity \
                       'Microsoft.Dynamics.CRM.contact'.";
        let body = serde_json::json!({"error": {"code": "0x80048d19", "message": message}}).to_string();
        let error = error(400, &body);
        assert!(error.message().starts_with("Invalid property 'x'"), "{error}");
        assert_eq!(error.provider_message(), Some(message));
    }

    #[test]
    fn answers_that_are_not_the_services_are_told_apart() {
        assert_eq!(error(200, "<html>login</html>").kind(), ErrorKind::Protocol);
        assert_eq!(error(503, "<html>").kind(), ErrorKind::Unavailable);
        assert_eq!(error(401, "").kind(), ErrorKind::Unauthorized);
        assert!(DynamicsDialect.wants_fresh_token(&error(401, "")));
        let oauth = error(400, r#"{"error":"invalid_grant","error_description":"AADSTS70008: expired"}"#);
        assert_eq!((oauth.code(), oauth.message()), (Some("invalid_grant"), "AADSTS70008: expired"));
    }
}
