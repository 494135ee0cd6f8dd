//! How Salesforce says no: its error bodies, what each code means for the user, and whether trying again helps.
//!
//! Sources: REST API Developer Guide, "Status Codes and Error Responses"; the `StatusCode` and `ExceptionCode`
//! enumerations of the Partner WSDL.

use http::StatusCode;
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Retry};
use crate::http::dialect::{Dialect, Quota, read_answer};
use crate::http::{Call, Reply};

const PROVIDER: &str = "salesforce";

/// Reads Salesforce's answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SalesforceDialect;

/// One reason of a refusal, as rows of queries (`errorCode`) and of collections (`statusCode`) give it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Reason {
    #[serde(alias = "errorCode", alias = "statusCode", alias = "exceptionCode", default)]
    pub(super) code: String,
    #[serde(alias = "exceptionMessage", default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) fields: Option<Vec<String>>,
}

/// What a code means.
struct Meaning {
    kind: ErrorKind,
    retry: Retry,
    advice: &'static str,
}

fn meaning(code: &str, message: &str, status: u16) -> Meaning {
    use ErrorKind::{
        Conflict, Forbidden, Invalid, NotFound, RateLimited, Refused, Unauthorized, Unavailable,
    };
    use Retry::{Always, IfIdempotent, Never};
    let of = |kind, retry, advice| Meaning { kind, retry, advice };
    match code {
        "INVALID_SESSION_ID" if is_expiry(message) => {
            of(Unauthorized, Never, "The session has ended. Authorise the connection again if this persists")
        }
        "INVALID_SESSION_ID" => of(
            Unauthorized,
            Never,
            "A new token will not cure this: let an administrator check that the user may use the API and that the \
             connected app allows the scope `api`",
        ),
        "LOGIN_OAUTH_INVALID_TOKEN" | "Bad_OAuth_Token" | "INVALID_AUTH_HEADER" => {
            of(Unauthorized, Never, "Authorise the connection again")
        }
        "REQUEST_LIMIT_EXCEEDED"
            if message.contains("ConcurrentRequests") || message.contains("Concurrent") =>
        {
            of(
                RateLimited,
                Always,
                "Too many long calls run at once in this org; it is tried again after a pause",
            )
        }
        "REQUEST_LIMIT_EXCEEDED" => of(
            RateLimited,
            Never,
            "The org's calls of the last 24 hours are used up. Wait, or let an administrator raise the limit (Setup, \
             Company Information, API Requests); then resume",
        ),
        "UNABLE_TO_LOCK_ROW" => of(
            Conflict,
            Always,
            "Another process holds the record or its parent; it is tried again. Avoid writing children of one parent \
             from several places at once",
        ),
        "SERVER_UNAVAILABLE" | "SERVICE_UNAVAILABLE" | "UNKNOWN_EXCEPTION" | "GACK" => of(
            Unavailable,
            IfIdempotent,
            "Salesforce failed for a moment; see https://status.salesforce.com if it lasts",
        ),
        "REQUEST_RUNNING_TOO_LONG" => of(
            Unavailable,
            IfIdempotent,
            "The request took too long: select fewer fields or filter by an indexed field",
        ),
        "QUERY_TIMEOUT" => of(
            Refused,
            Never,
            "The query took too long: filter by an indexed field (Id, Name, an external id, a date) or select fewer fields",
        ),
        "INVALID_QUERY_LOCATOR" | "QUERY_LOCATOR_EXPIRED" => {
            of(Refused, Never, "The place in the result has expired; search again")
        }
        "API_DISABLED_FOR_ORG" | "API_CURRENTLY_DISABLED" => of(
            Forbidden,
            Never,
            "The API is switched off for this org or user. It needs an edition with API access and the permission \"API \
             Enabled\"",
        ),
        "INSUFFICIENT_ACCESS_OR_READONLY"
        | "INSUFFICIENT_ACCESS"
        | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
        | "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
        | "TRANSFER_REQUIRES_READ" => of(
            Forbidden,
            Never,
            "The connected user lacks the right to this record, or an Apex trigger refused it; let an administrator check \
             profile, sharing and triggers",
        ),
        "NOT_FOUND" | "INVALID_CROSS_REFERENCE_KEY" => {
            of(NotFound, Never, "There is no such record or type, or the connected user may not see it")
        }
        "ENTITY_IS_DELETED" => of(NotFound, Never, "The record was deleted; it may be in the recycle bin"),
        "INVALID_TYPE" => of(
            NotFound,
            Never,
            "There is no such record type for this user. Names of custom types end in __c",
        ),
        "REQUIRED_FIELD_MISSING" => of(Invalid, Never, "Give a value for these fields"),
        "INVALID_FIELD" if message.starts_with("Foreign key external ID") => {
            of(Invalid, Never, "Create the parent first, or correct the key that the row names it by")
        }
        "INVALID_FIELD" if message.contains("foreign key external ID") => {
            of(Conflict, Never, "Name the parent by its id, or by a key that only one record has")
        }
        "INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE" => of(
            Invalid,
            Never,
            "The field does not exist for this user or may not be written: check its name and the field-level security",
        ),
        "STRING_TOO_LONG" => of(Invalid, Never, "Shorten the text, for example with a truncate step"),
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" => {
            of(Invalid, Never, "Use one of the picklist's values, or let an administrator add this one")
        }
        "INVALID_EMAIL_ADDRESS" => of(Invalid, Never, "Write the address as name@example.com"),
        "NUMBER_OUTSIDE_VALID_RANGE" => of(Invalid, Never, "Use a number within the field's digits"),
        "MALFORMED_ID" => of(Invalid, Never, "Give a record id of 15 or 18 characters"),
        "FIELD_CUSTOM_VALIDATION_EXCEPTION" => {
            of(Refused, Never, "A validation rule of this org refused the values; its text says which")
        }
        "FIELD_INTEGRITY_EXCEPTION" | "FIELD_FILTER_VALIDATION_EXCEPTION" => of(
            Refused,
            Never,
            "The values do not fit together, or a lookup filter refused the record referred to",
        ),
        "DUPLICATE_VALUE" => {
            of(Conflict, Never, "Another record has this value in a unique field; use upsert by that field")
        }
        "DUPLICATES_DETECTED" => of(
            Conflict,
            Never,
            "A duplicate rule found similar records. To save all the same, give the option allow_duplicates=true",
        ),
        "DUPLICATE_EXTERNAL_ID" | "MULTIPLE_CHOICES" => {
            of(Conflict, Never, "Several records have this value; use a unique field or the Id")
        }
        "ALL_OR_NONE_OPERATION_ROLLED_BACK" | "PROCESSING_HALTED" => of(
            Refused,
            Never,
            "Nothing was saved, because another row of the batch failed and all_or_none is set",
        ),
        "DELETE_FAILED" | "DEPENDENCY_EXISTS" => {
            of(Refused, Never, "Other records need this one; delete or move them first")
        }
        "UNSUPPORTED_API_VERSION" => {
            of(Invalid, Never, "Set api_version of the connection to a version that the org has")
        }
        "MALFORMED_QUERY" | "INVALID_QUERY_FILTER_OPERATOR" | "MALFORMED_SEARCH" => {
            of(Invalid, Never, "Check the native condition; `--explain` shows the whole statement")
        }
        "EXCEEDED_ID_LIMIT" => of(Refused, Never, "Ask for a shorter span of time"),
        "invalid_grant" if message.contains("not supported on this domain") => of(
            Unauthorized,
            Never,
            "Set my_domain: client credentials are granted only at the org's own address",
        ),
        "invalid_grant" => of(
            Unauthorized,
            Never,
            "The authorisation has ended or was revoked. Authorise the connection again",
        ),
        "invalid_client" | "invalid_client_id" | "invalid_client_credentials" => of(
            Unauthorized,
            Never,
            "Check the consumer key and secret; a new connected app needs up to ten minutes to work",
        ),
        "redirect_uri_mismatch" => of(
            Unauthorized,
            Never,
            "Register exactly this callback address in the connected app: http://localhost:7281/callback",
        ),
        "inactive_user" | "inactive_org" => of(Unauthorized, Never, "The user or org is not active"),
        "invalid_app_access" | "OAUTH_APP_BLOCKED" | "OAUTH_APP_ACCESS_DENIED" => of(
            Forbidden,
            Never,
            "The app is not installed or not approved for this user: let an administrator approve it (Setup, Connected Apps \
             OAuth Usage)",
        ),
        "invalid_scope" => {
            of(Unauthorized, Never, "Allow the scope in the connected app, or ask for fewer scopes")
        }
        _ => by_status(status),
    }
}

/// For codes that are not known here, and for answers without one.
fn by_status(status: u16) -> Meaning {
    let (kind, retry, advice) = match status {
        401 => (ErrorKind::Unauthorized, Retry::Never, "Authorise the connection again"),
        403 => {
            (ErrorKind::Forbidden, Retry::Never, "Let an administrator check what the connected user may do")
        }
        404 | 410 => (ErrorKind::NotFound, Retry::Never, ""),
        409 => (ErrorKind::Conflict, Retry::Never, ""),
        412 => (ErrorKind::Conflict, Retry::Never, "The record changed meanwhile; read it again"),
        414 | 431 => (
            ErrorKind::Invalid,
            Retry::Never,
            "The request is too long: select fewer fields or shorten the filter",
        ),
        413 => (ErrorKind::Invalid, Retry::Never, "The request is too large: send fewer or smaller rows"),
        // The edge router and rate limiters in front of Salesforce refuse before anything is executed.
        420 | 429 => {
            (ErrorKind::RateLimited, Retry::Always, "Too many requests; it is tried again after a pause")
        }
        503 => (ErrorKind::Unavailable, Retry::IfIdempotent, "Salesforce is not available for a moment"),
        500..=599 => (ErrorKind::Unavailable, Retry::IfIdempotent, "Salesforce failed for a moment"),
        300..=399 => {
            (ErrorKind::Protocol, Retry::Never, "The answer leads elsewhere, which an API answer must not")
        }
        400..=499 => (ErrorKind::Refused, Retry::Never, ""),
        _ => (ErrorKind::Protocol, Retry::IfIdempotent, ""),
    };
    Meaning { kind, retry, advice }
}

fn is_expiry(message: &str) -> bool {
    message.contains("Session expired or invalid") || message.is_empty()
}

/// Turns a reason into an error; `status` is that of the whole answer.
pub(super) fn reason_error(reason: &Reason, status: u16) -> Error {
    let meaning = meaning(&reason.code, &reason.message, status);
    let text = if reason.message.is_empty() { "Salesforce refused this" } else { headline(&reason.message) };
    let mut error = Error::new(meaning.kind, text).with_provider(PROVIDER).with_retry(meaning.retry);
    if !reason.code.is_empty() {
        error = error.with_code(reason.code.as_str());
    }
    if !reason.message.is_empty() {
        error = error.with_provider_message(reason.message.as_str());
    }
    if !meaning.advice.is_empty() {
        error = error.with_advice(meaning.advice);
    }
    for field in reason.fields.iter().flatten() {
        error = error.with_field(field, text);
    }
    // A statement's refusal names the column in its text alone.
    match between(&reason.message, "No such column '", "'") {
        Some(column) if reason.fields.iter().flatten().next().is_none() => error.with_field(column, text),
        _ => error,
    }
}

/// The last sentence of a multi-line SOQL error is what is wrong; the lines before it show the statement.
fn headline(message: &str) -> &str {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or(message);
    match lines.next_back() {
        Some(last) if message.contains("ERROR at Row") => last,
        _ => first,
    }
}

fn reasons(body: &[u8]) -> Vec<Reason> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(default)]
        errors: Vec<Reason>,
    }
    #[derive(Deserialize)]
    struct OAuth {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    if let Ok(list) = serde_json::from_slice::<Vec<Reason>>(body) {
        return list;
    }
    // serde reads a struct from a list too, which a list of addresses (status 300) must not become.
    let object = if first_byte(body) == Some(b'{') { body } else { b"" };
    if let Ok(oauth) = serde_json::from_slice::<OAuth>(object) {
        return vec![Reason { code: oauth.error, message: oauth.error_description, fields: None }];
    }
    if let Ok(row) = serde_json::from_slice::<Row>(object)
        && !row.errors.is_empty()
    {
        return row.errors;
    }
    if let Ok(one) = serde_json::from_slice::<Reason>(object)
        && !one.code.is_empty()
    {
        return vec![one];
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let text = text.trim();
    // OAuth errors come as XML when the request named another content type.
    if let Some(code) =
        between(text, "<faultcode>", "</faultcode>").or_else(|| between(text, "<errorCode>", "</errorCode>"))
    {
        let message = between(text, "<faultstring>", "</faultstring>")
            .or_else(|| between(text, "<message>", "</message>"));
        return vec![Reason {
            code: code.to_owned(),
            message: message.unwrap_or_default().to_owned(),
            fields: None,
        }];
    }
    // The identity endpoints answer with a bare word.
    if !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return vec![Reason { code: text.to_owned(), ..Reason::default() }];
    }
    Vec::new()
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let start = text.find(open)? + open.len();
    let end = start + text[start..].find(close)?;
    Some(text[start..end].trim())
}

fn is_html(reply: &Reply) -> bool {
    let typed = reply
        .header("content-type")
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"));
    typed || (first_byte(&reply.body) == Some(b'<') && !looks_like_xml(&reply.body))
}

fn looks_like_xml(body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&body[..body.len().min(512)]);
    let head = head.trim_start();
    head.starts_with("<?xml") || head.starts_with("<response") || head.starts_with("<Errors")
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn last_byte(body: &[u8]) -> Option<u8> {
    body.iter().rev().copied().find(|byte| !byte.is_ascii_whitespace())
}

impl Dialect for SalesforceDialect {
    fn error(&self, call: &Call, reply: &Reply) -> Error {
        let status = reply.status.as_u16();
        let found = reasons(&reply.body);
        let mut error = if reply.status.is_success() {
            let what = if reply.body.is_empty() {
                "Salesforce answered with nothing where records or an outcome belong"
            } else if is_html(reply) {
                "the answer is a web page, not Salesforce's API"
            } else {
                "the answer is not complete JSON"
            };
            Error::protocol(what)
                .with_provider(PROVIDER)
                .with_code("not_json")
                .with_retry(Retry::IfIdempotent)
                .with_advice(
                    "A login page, proxy or captive portal may stand between; check the connection's address and the network",
                )
        } else if !found.is_empty() {
            first_reason(&found, status)
        } else if reply.status == StatusCode::MULTIPLE_CHOICES {
            reason_error(
                &Reason {
                    code: "MULTIPLE_CHOICES".to_owned(),
                    message: "several records have this value".to_owned(),
                    fields: None,
                },
                status,
            )
        } else {
            let meaning = by_status(status);
            let error = Error::new(meaning.kind, format!("Salesforce answered with status {status}"))
                .with_provider(PROVIDER)
                .with_retry(meaning.retry);
            if meaning.advice.is_empty() { error } else { error.with_advice(meaning.advice) }
        };
        error = error.with_operation(call.operation).with_status(status);
        match reply.header("x-sfdc-request-id").or_else(|| reply.header("x-request-id")) {
            Some(id) => error.with_request_id(id),
            None => error,
        }
    }

    fn is_genuine(&self, call: &Call, reply: &Reply) -> bool {
        if matches!(
            reply.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            return true;
        }
        if is_html(reply) {
            return false;
        }
        if call.sensitive || call.method == http::Method::HEAD {
            // A revocation answers 200 with nothing.
            return true;
        }
        matches!(
            (first_byte(&reply.body), last_byte(&reply.body)),
            (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
        )
    }

    fn wants_fresh_token(&self, error: &Error) -> bool {
        let message = error.provider_message().unwrap_or_default();
        match error.code() {
            Some("INVALID_SESSION_ID") => is_expiry(message),
            Some("LOGIN_OAUTH_INVALID_TOKEN" | "Bad_OAuth_Token") => true,
            Some(_) => false,
            None => error.status() == Some(401),
        }
    }

    fn quota(&self, reply: &Reply) -> Quota {
        let Some(text) = reply.header("sforce-limit-info") else { return Quota::default() };
        // An app may have a limit of its own besides the org's; what is left of the smaller one counts.
        let usages = text.split([',', ';']).filter_map(|part| {
            let (name, usage) = part.trim().split_once('=')?;
            let (used, allowed) = usage.split('(').next()?.split_once('/')?;
            let known = matches!(name.trim(), "api-usage" | "per-app-api-usage");
            known.then(|| Some((used.trim().parse::<u64>().ok()?, allowed.trim().parse::<u64>().ok()?)))?
        });
        match usages.min_by_key(|(used, allowed)| allowed.saturating_sub(*used)) {
            Some((used, allowed)) => Quota { used: Some(used), allowed: Some(allowed), pause: None },
            None => Quota::default(),
        }
    }
}

/// What a body of a 2xx answer says that is an error all the same (collections answer 200 for failed rows).
pub(super) fn first_reason(errors: &[Reason], status: u16) -> Error {
    match errors.split_first() {
        Some((first, rest)) => {
            let mut error = reason_error(first, status);
            for other in rest {
                for field in other.fields.iter().flatten() {
                    error = error.with_field(field, headline(&other.message));
                }
            }
            error
        }
        None => reason_error(&Reason::default(), status),
    }
}

/// Reads a value of an answer.
///
/// # Errors
/// Protocol when the body is not JSON of the expected shape.
pub(super) fn read<T: for<'de> Deserialize<'de>>(call: &str, body: &[u8]) -> crate::error::Result<T> {
    read_answer(PROVIDER, "Salesforce", call, body)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            stream: None,
        }
    }

    fn error(status: u16, body: &str) -> Error {
        SalesforceDialect
            .error(&Call::get("search", "api", "/services/data/v60.0/query?q=x"), &reply(status, body))
    }

    #[test]
    fn only_an_ended_session_wants_a_fresh_token() {
        let wants = |status, body| SalesforceDialect.wants_fresh_token(&error(status, body));
        assert!(wants(401, r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#));
        assert!(wants(401, "<response><faultcode>LOGIN_OAUTH_INVALID_TOKEN</faultcode></response>"));
        assert!(wants(403, "Bad_OAuth_Token"));
        assert!(!wants(
            401,
            r#"[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]"#
        ));
        assert!(!wants(
            401,
            r#"[{"message":"Connected app is not attached to Agent","errorCode":"INVALID_SESSION_ID"}]"#
        ));
        assert!(!wants(403, r#"[{"message":"x","errorCode":"API_DISABLED_FOR_ORG"}]"#));
    }

    #[test]
    fn the_retry_verdict_comes_from_the_code() {
        for (status, code, message, kind, retry) in [
            (
                400,
                "UNABLE_TO_LOCK_ROW",
                "unable to obtain exclusive access",
                ErrorKind::Conflict,
                Retry::Always,
            ),
            (
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
                ErrorKind::RateLimited,
                Retry::Always,
            ),
            (
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "TotalRequests Limit exceeded.",
                ErrorKind::RateLimited,
                Retry::Never,
            ),
            (503, "SERVER_UNAVAILABLE", "x", ErrorKind::Unavailable, Retry::IfIdempotent),
            (500, "UNKNOWN_EXCEPTION", "x", ErrorKind::Unavailable, Retry::IfIdempotent),
            (400, "REQUEST_RUNNING_TOO_LONG", "x", ErrorKind::Unavailable, Retry::IfIdempotent),
            (400, "QUERY_TIMEOUT", "x", ErrorKind::Refused, Retry::Never),
            (
                400,
                "INVALID_FIELD",
                "Foreign key external ID: 7 not found for field Ext__c in entity Account",
                ErrorKind::Invalid,
                Retry::Never,
            ),
            (
                400,
                "INVALID_FIELD",
                "More than one record found for foreign key external ID: 7 for field Email in entity Contact",
                ErrorKind::Conflict,
                Retry::Never,
            ),
            (
                400,
                "REQUIRED_FIELD_MISSING",
                "Required fields are missing: [LastName]",
                ErrorKind::Invalid,
                Retry::Never,
            ),
            (404, "NOT_FOUND", "The requested resource does not exist", ErrorKind::NotFound, Retry::Never),
            (403, "INSUFFICIENT_ACCESS_OR_READONLY", "x", ErrorKind::Forbidden, Retry::Never),
            (400, "A_CODE_OF_THE_FUTURE", "x", ErrorKind::Refused, Retry::Never),
            (502, "A_CODE_OF_THE_FUTURE", "x", ErrorKind::Unavailable, Retry::IfIdempotent),
        ] {
            let error = error(status, &format!(r#"[{{"message":"{message}","errorCode":"{code}"}}]"#));
            assert_eq!(
                (error.kind(), error.retry(), error.code()),
                (kind, retry, Some(code)),
                "{code} {message}"
            );
        }
    }

    #[test]
    fn every_shape_of_error_body_is_read() {
        let found = error(
            400,
            r#"[{"message":"Required fields are missing: [LastName]","errorCode":"REQUIRED_FIELD_MISSING","fields":["LastName"]}]"#,
        );
        assert_eq!(found.fields()[0].field, "LastName");
        let found =
            error(400, r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#);
        assert_eq!((found.kind(), found.code()), (ErrorKind::Unauthorized, Some("invalid_grant")));
        let found = error(
            400,
            r#"{"id":null,"success":false,"errors":[{"statusCode":"DUPLICATE_VALUE","message":"dup","fields":[]}]}"#,
        );
        assert_eq!(found.code(), Some("DUPLICATE_VALUE"));
        let found = error(400, r#"{"exceptionCode":"InvalidSessionId","exceptionMessage":"x"}"#);
        assert_eq!(found.code(), Some("InvalidSessionId"));
        let found = error(500, "<html><body>An internal server error</body></html>");
        assert_eq!(
            (found.kind(), found.retry(), found.code()),
            (ErrorKind::Unavailable, Retry::IfIdempotent, None)
        );
        for (status, kind, retry) in [
            (420, ErrorKind::RateLimited, Retry::Always),
            (429, ErrorKind::RateLimited, Retry::Always),
            (503, ErrorKind::Unavailable, Retry::IfIdempotent),
            (412, ErrorKind::Conflict, Retry::Never),
        ] {
            let found = error(status, "<html><body>edge</body></html>");
            assert_eq!((found.kind(), found.retry()), (kind, retry), "{status}");
        }
        let found = error(500, "");
        assert_eq!((found.kind(), found.status()), (ErrorKind::Unavailable, Some(500)));
        let found = error(300, r#"["/services/data/v60.0/sobjects/X/foo"]"#);
        assert_eq!((found.kind(), found.code()), (ErrorKind::Conflict, Some("MULTIPLE_CHOICES")));
        let found = error(
            400,
            r#"[{"message":"\nSELECT Nam FROM Account\n       ^\nERROR at Row:1:Column:8\nNo such column 'Nam' on entity 'Account'.","errorCode":"INVALID_FIELD"}]"#,
        );
        assert_eq!(found.message(), "No such column 'Nam' on entity 'Account'.");
    }

    #[test]
    fn a_login_page_a_cut_answer_and_an_empty_one_are_not_genuine() {
        let call = Call::get("search", "api", "/x");
        let genuine = |body| SalesforceDialect.is_genuine(&call, &reply(200, body));
        assert!(genuine(r#" {"done":true} "#));
        assert!(genuine("[]"));
        for body in ["", "<html>login</html>", r#"{"done":tr"#, "login"] {
            assert!(!genuine(body), "{body:?}");
            let found = SalesforceDialect.error(&call, &reply(200, body));
            assert_eq!((found.kind(), found.code()), (ErrorKind::Protocol, Some("not_json")), "{body:?}");
        }
        assert!(SalesforceDialect.is_genuine(&call, &reply(204, "")));
    }

    #[test]
    fn of_two_limits_the_one_with_less_left_counts() {
        let quota = |text: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("sforce-limit-info", text.parse().unwrap());
            let reply = Reply { status: StatusCode::OK, headers, body: bytes::Bytes::new(), stream: None };
            let quota = SalesforceDialect.quota(&reply);
            (quota.used, quota.allowed)
        };
        assert_eq!(quota("api-usage=18/5000"), (Some(18), Some(5_000)));
        assert_eq!(
            quota("api-usage=25/5000; per-app-api-usage=17/250(appName=sample-app)"),
            (Some(17), Some(250))
        );
        assert_eq!(
            quota("api-usage=4999/5000, per-app-api-usage=17/250(appName=a/b=c)"),
            (Some(4_999), Some(5_000))
        );
        for odd in ["", "api-usage=", "api-usage=x/y", "other=1/2"] {
            assert_eq!(quota(odd), (None, None), "{odd}");
        }
    }

    #[test]
    fn limits_and_the_request_id_are_read_from_headers() {
        let mut answer = reply(200, "{}");
        answer.headers.insert(
            HeaderName::from_static("sforce-limit-info"),
            HeaderValue::from_static("api-usage=18/5000"),
        );
        answer.headers.insert(HeaderName::from_static("x-sfdc-request-id"), HeaderValue::from_static("abc"));
        let quota = SalesforceDialect.quota(&answer);
        assert_eq!((quota.used, quota.allowed), (Some(18), Some(5000)));
        answer.status = StatusCode::BAD_REQUEST;
        let text = SalesforceDialect.error(&Call::get("search", "api", "/x"), &answer).to_string();
        assert!(text.contains("(request abc)"), "{text}");
    }
}
