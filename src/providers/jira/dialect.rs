//! How Jira says no: the forms of its error bodies, what they mean for the user, and whether trying again helps.
//!
//! Sources: "The Jira Cloud platform REST API" (status codes, rate limiting), "OAuth 2.0 (3LO) apps".

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{Error, ErrorKind, FieldError, Retry};
use crate::http::dialect::{Dialect, Quota, read_answer};
use crate::http::{Call, Reply, Target};

const PROVIDER: &str = "jira";
/// What the site's own address says to API tokens that only work at the gateway, and to what is no token.
const NOT_HERE: &str = "Client must be authenticated";
/// The code of that answer.
pub(super) const NOT_AUTHENTICATED_HERE: &str = "not_authenticated_here";

/// Reads Jira's answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct JiraDialect;

/// Every form of an error body at once.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    /// The API's own form, with `errors` by field.
    error_messages: Vec<String>,
    errors: BTreeMap<String, Json>,
    /// The gateway's form, and that of unknown paths.
    message: Option<String>,
    /// RFC 9457.
    detail: Option<String>,
    /// OAuth (RFC 6749 section 5.2), with `error_description`.
    error: Option<Json>,
    #[serde(rename = "error_description")]
    error_description: Option<String>,
}

impl Body {
    fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    fn fields(&self) -> Vec<FieldError> {
        let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let each = self.errors.iter().map(|(field, value)| FieldError {
            field: field.clone(),
            message: text(value),
            accepted: Vec::new(),
        });
        each.collect()
    }

    /// All that it says, in one text.
    fn words(&self) -> Option<String> {
        let mut words: Vec<String> = self.error_messages.clone();
        words.extend(self.fields().into_iter().map(|field| format!("{}: {}", field.field, field.message)));
        let single = [&self.detail, &self.error_description, &self.message];
        words.extend(single.into_iter().flatten().cloned());
        if words.is_empty() {
            words.extend(self.error.as_ref().and_then(Json::as_str).map(str::to_owned));
        }
        words.retain(|text| !text.trim().is_empty());
        (!words.is_empty()).then(|| words.join("; "))
    }
}

struct Meaning {
    kind: ErrorKind,
    retry: Retry,
    code: String,
    advice: &'static str,
}

fn meaning(status: u16, words: &str) -> Meaning {
    use ErrorKind::{
        Conflict, Forbidden, Invalid, NotFound, Protocol, RateLimited, Refused, Unauthorized, Unavailable,
    };
    use Retry::{Always, IfIdempotent, Never};
    let of = |kind, retry, code: &str, advice| Meaning { kind, retry, code: code.to_owned(), advice };
    match status {
        400 if words.contains("nextPageToken") => {
            of(Refused, Never, "page_token_ended", "The place in the search is too old; search again")
        }
        401 if words.contains("scope does not match") => of(
            Unauthorized,
            Never,
            "scope_mismatch",
            "The token lacks a scope for this; allow it in the OAuth app, then connect again",
        ),
        401 if words.contains(NOT_HERE) => of(
            Unauthorized,
            Never,
            NOT_AUTHENTICATED_HERE,
            "The token is not one for the site's own address; check e-mail address and API token",
        ),
        401 => of(Unauthorized, Never, "status_401", "Authorise the connection again"),
        403 if words.contains("Session Auth Token") => {
            of(Unauthorized, Never, "unreadable_token", "Authorise the connection again")
        }
        403 => of(
            Forbidden,
            Never,
            "status_403",
            "The connected user may not do this; an administrator of the project can allow it",
        ),
        404 if words.contains("Issue does not exist") => of(
            NotFound,
            Never,
            "issue_not_found",
            "There is no such issue, or the connected user may not see it",
        ),
        404 => of(NotFound, Never, "status_404", ""),
        409 | 412 => {
            let code = format!("status_{status}");
            of(Conflict, Never, &code, "Somebody changed it at the same time; read it again")
        }
        410 => of(Refused, Never, "status_410", "Jira has removed this part of its API"),
        413 => of(Invalid, Never, "status_413", "Send fewer or smaller rows"),
        414 | 431 => of(Invalid, Never, "too_long", "Shorten the filter or select fewer fields"),
        400 | 422 => of(Invalid, Never, &format!("status_{status}"), ""),
        402..=428 | 430..=499 => of(Refused, Never, &format!("status_{status}"), ""),
        429 => of(RateLimited, Always, "status_429", "Too many requests; it is tried again after a pause"),
        500..=599 => {
            let code = format!("status_{status}");
            of(Unavailable, IfIdempotent, &code, "Jira is not available for a moment")
        }
        300..=399 => of(
            Protocol,
            Never,
            &format!("status_{status}"),
            "The answer leads elsewhere, which an API answer must not",
        ),
        _ => of(Protocol, IfIdempotent, &format!("status_{status}"), ""),
    }
}

/// The error of an answer that is no success.
fn refusal(reply: &Reply) -> Error {
    let status = reply.status.as_u16();
    let body = Body::read(&reply.body);
    let html = is_web_page(reply);
    // Some refusals come as text or as a page of it.
    let plain = || {
        let text = std::str::from_utf8(&reply.body).ok().map(str::trim)?;
        (text.contains(NOT_HERE)).then(|| NOT_HERE.to_owned())
    };
    let words = body.words().or_else(plain);
    let mut meaning = meaning(status, words.as_deref().unwrap_or_default());
    if let Some(reason) = reply.header("ratelimit-reason").filter(|_| status == 429) {
        meaning.code = reason.to_owned();
    }
    if let Some(code) =
        body.error.as_ref().and_then(Json::as_str).filter(|_| body.error_description.is_some())
    {
        meaning.code = code.to_owned();
    }
    let text = match &words {
        Some(words) => words.clone(),
        None if html => format!("Jira answered with status {status} and a web page"),
        None => format!("Jira answered with status {status}"),
    };
    let mut error = Error::new(meaning.kind, text)
        .with_provider(PROVIDER)
        .with_retry(meaning.retry)
        .with_code(meaning.code)
        .with_status(status);
    for field in body.fields() {
        error = error.with_field_error(field);
    }
    if let Some(words) = words {
        error = error.with_provider_message(words);
    }
    if meaning.advice.is_empty() { error } else { error.with_advice(meaning.advice) }
}

/// The error for an answer to somebody whom Jira does not know: it treats wrong credentials as nobody's, and
/// nobody sees no projects and no issues. Such an answer must not pass for an empty one.
pub(super) fn anonymous(reply: &Reply) -> Option<Error> {
    let reason = reply.header("x-seraph-loginreason")?;
    if !reason.contains("AUTHENTICATED_FAILED") && !reason.contains("AUTHENTICATION_DENIED") {
        return None;
    }
    Some(
        Error::new(
            ErrorKind::Unauthorized,
            "Jira does not accept the e-mail address and API token, and answered as to an unknown visitor",
        )
        .with_provider(PROVIDER)
        .with_code("treated_as_anonymous")
        .with_retry(Retry::Never)
        .with_status(401)
        .with_advice(
            "API tokens end after a year at most and with the account. Make a new one in your Atlassian account and give \
             it with `recordport connections authorize NAME --token-stdin`",
        ),
    )
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.trim_ascii().first().copied()
}

fn is_web_page(reply: &Reply) -> bool {
    let kind = reply.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
    let html = kind.starts_with("text/html") && !reply.body.trim_ascii().is_empty();
    html || first_byte(&reply.body) == Some(b'<')
}

/// Resources whose success has nothing to say.
fn may_be_empty(call: &Call) -> bool {
    let path = match &call.target {
        Target::Role { path, .. } => path.as_str(),
        Target::Address(address) => address.path(),
    };
    let path = path.split('?').next().unwrap_or_default();
    path.contains("/properties/") || path.ends_with("/issueLink") || path.ends_with("/watchers")
}

impl Dialect for JiraDialect {
    fn error(&self, call: &Call, reply: &Reply) -> Error {
        let error = if let Some(error) = anonymous(reply) {
            error
        } else if reply.status.is_success() {
            let what = if reply.body.is_empty() {
                "Jira answered with nothing where issues or an outcome belong"
            } else if is_web_page(reply) {
                "the answer is a web page, not Jira's API"
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
            refusal(reply)
        };
        let error = error.with_operation(call.operation);
        let id = ["atl-traceid", "atl-request-id", "x-arequestid"].iter().find_map(|name| reply.header(name));
        match id {
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
        // A file may hold anything.
        if call.sensitive || call.streamed || call.method == http::Method::HEAD {
            return true;
        }
        if reply.body.trim_ascii().is_empty() {
            return may_be_empty(call);
        }
        // Single values, such as what a property holds, stand inside an object as well.
        matches!(
            (first_byte(&reply.body), reply.body.trim_ascii().last()),
            (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
        )
    }

    fn wants_fresh_token(&self, error: &Error) -> bool {
        let hopeless = [NOT_AUTHENTICATED_HERE, "scope_mismatch", "treated_as_anonymous"];
        let code = error.code().unwrap_or_default();
        (error.status() == Some(401) || code == "unreadable_token") && !hopeless.contains(&code)
    }

    /// The numbers in the headers are of one address and a window of seconds: no quota that could be kept back.
    fn quota(&self, _: &Reply) -> Quota {
        Quota::default()
    }
}

/// Reads a value of an answer.
///
/// # Errors
/// Protocol when the body is not JSON of the expected shape.
pub(super) fn read<T: for<'de> Deserialize<'de>>(what: &str, body: &[u8]) -> crate::error::Result<T> {
    read_answer(PROVIDER, "Jira", what, body)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
            stream: None,
        }
    }

    fn error(status: u16, body: &str) -> Error {
        JiraDialect.error(&Call::get("search", "api", "/rest/api/3/search/jql"), &reply(status, body))
    }

    #[test]
    fn every_form_of_refusal_is_read() {
        let own =
            r#"{"errorMessages":["Bad."],"errors":{"summary":"You must specify a summary of the issue."}}"#;
        let invalid = error(400, own);
        assert_eq!(invalid.kind(), ErrorKind::Invalid);
        assert_eq!(invalid.fields()[0].field, "summary");
        assert!(invalid.message().contains("Bad.") && invalid.message().contains("summary of the issue"));
        let query = error(400, r#"{"errorMessages":["Date value '-53s' is invalid."],"warningMessages":[]}"#);
        assert_eq!(query.message(), "Date value '-53s' is invalid.");
        let problem =
            error(415, r#"{"title":"Unsupported Media Type","detail":"Content-Type 'x' is not supported."}"#);
        assert_eq!(
            (problem.kind(), problem.message()),
            (ErrorKind::Refused, "Content-Type 'x' is not supported.")
        );
        let path = error(
            404,
            r#"{"timestamp":"t","status":404,"error":"Not Found","message":"No message available","path":"/x"}"#,
        );
        assert_eq!((path.kind(), path.message()), (ErrorKind::NotFound, "No message available"));
        let oauth = error(
            403,
            r#"{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}"#,
        );
        assert_eq!(oauth.code(), Some("invalid_grant"));
        assert_eq!(error(502, "").kind(), ErrorKind::Unavailable);
        assert_eq!((error(429, "").kind(), error(429, "").retry()), (ErrorKind::RateLimited, Retry::Always));
    }

    #[test]
    fn only_a_401_that_a_new_token_can_cure_asks_for_one() {
        let gateway = error(401, r#"{"code":401,"message":"Unauthorized"}"#);
        assert!(JiraDialect.wants_fresh_token(&gateway));
        let scope = error(401, r#"{"code":401,"message":"Unauthorized; scope does not match"}"#);
        assert_eq!(scope.code(), Some("scope_mismatch"));
        assert!(!JiraDialect.wants_fresh_token(&scope));
        let site = error(401, "Client must be authenticated to access this resource.");
        assert_eq!(site.code(), Some(NOT_AUTHENTICATED_HERE));
        assert!(!JiraDialect.wants_fresh_token(&site));
    }

    #[test]
    fn an_answer_to_nobody_is_not_an_empty_answer() {
        let mut nobody = reply(200, r#"{"issues":[],"isLast":true}"#);
        assert!(anonymous(&nobody).is_none());
        nobody.headers.insert("x-seraph-loginreason", HeaderValue::from_static("AUTHENTICATED_FAILED"));
        let told = anonymous(&nobody).unwrap();
        assert_eq!((told.kind(), told.code()), (ErrorKind::Unauthorized, Some("treated_as_anonymous")));
        assert!(!JiraDialect.wants_fresh_token(&told));
    }

    #[test]
    fn only_some_resources_may_answer_with_nothing() {
        let call = |path: &str| {
            Call::new("create", http::Method::POST, Target::Role { role: "api", path: path.into() })
        };
        assert!(!JiraDialect.is_genuine(&call("/rest/api/3/issue"), &reply(201, "")));
        assert!(JiraDialect.is_genuine(&call("/rest/api/3/issueLink"), &reply(201, "")));
        assert!(JiraDialect.is_genuine(&call("/rest/api/3/issue/A-1"), &reply(204, "")));
        assert!(!JiraDialect.is_genuine(&call("/rest/api/3/issue"), &reply(200, "<html>")));
    }
}
