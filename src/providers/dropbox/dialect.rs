//! How Dropbox says no: a sentence for wrong input, tags within tags for what a function itself refuses.
//!
//! Sources: "Error handling", Dropbox for HTTP Developers; the Stone specification's unions of errors. Only the
//! tags count: the summary ends in a random number of dots, and unknown tags may come at any time.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{Error, ErrorKind, Retry};
use crate::http::dialect::{Dialect, Quota, read_answer};
use crate::http::{Call, Reply};

const PROVIDER: &str = "dropbox";
/// The code of a listing that has to begin anew.
pub(super) const RESET: &str = "reset";
/// The code of bytes that do not follow those which Dropbox has.
pub(super) const OFFSET: &str = "incorrect_offset";
/// The code of a root that is no longer the account's.
pub(super) const ROOT: &str = "invalid_root";
/// Deepest tags that are read.
const DEEPEST: usize = 16;

/// Reads Dropbox's answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct DropboxDialect;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Json,
    /// OAuth (RFC 6749 section 5.2).
    error_description: Option<String>,
    user_message: Option<UserMessage>,
}

#[derive(Debug, Deserialize)]
struct UserMessage {
    text: String,
}

/// All tags of an error, from the outside in.
pub(super) fn tags(error: &Json) -> Vec<&str> {
    let mut out = Vec::new();
    let mut at = error;
    while out.len() < DEEPEST {
        let Some(tag) = at.get(".tag").and_then(Json::as_str) else {
            match at.get("reason") {
                Some(reason) => at = reason,
                None => break,
            }
            continue;
        };
        out.push(tag);
        let inner = at.get(tag).filter(|inner| inner.is_object());
        match inner.or_else(|| at.get("reason").filter(|reason| reason.is_object())) {
            Some(inner) => at = inner,
            None => break,
        }
    }
    if out.is_empty() {
        out.extend(error.as_str());
    }
    out
}

struct Meaning {
    kind: ErrorKind,
    retry: Retry,
    advice: &'static str,
}

/// What the innermost tags mean.
fn meaning(tags: &[&str], status: u16) -> Meaning {
    use ErrorKind::{
        Conflict, Forbidden, Invalid, NotFound, Protocol, RateLimited, Refused, Unauthorized, Unavailable,
    };
    use Retry::{Always, IfIdempotent, Never};
    let of = |kind, retry, advice| Meaning { kind, retry, advice };
    for tag in tags.iter().rev() {
        return match *tag {
            "too_many_write_operations" | "too_many_requests" => of(
                RateLimited,
                Always,
                "Dropbox takes fewer requests at a time; it is tried again after a pause",
            ),
            "not_found" | "shared_link_not_found" => {
                of(NotFound, Never, "There is no such entry, or the connected user may not see it")
            }
            "file" | "folder" | "file_ancestor" if tags.contains(&"conflict") => of(
                Conflict,
                Never,
                "Something stands at this path already, or was changed meanwhile: read it again, or choose another path",
            ),
            "conflict" | "shared_link_already_exists" | "property_group_already_exists" => {
                of(Conflict, Never, "It is there already")
            }
            "content_hash_mismatch" => {
                of(Unavailable, Always, "The bytes were damaged on their way; send them again")
            }
            RESET => of(Refused, Never, "Dropbox no longer knows this place; begin anew"),
            OFFSET => of(Conflict, Never, "The upload goes on from another byte"),
            ROOT => of(Invalid, Never, "The account's space has moved; connect again with --set root=..."),
            "malformed_path" => of(
                Invalid,
                Never,
                "A path begins with a slash; no name in it is empty, longer than 255 characters, ends in a space or \
                 holds a backslash",
            ),
            "disallowed_name" => of(Invalid, Never, "Dropbox keeps no file of this name; choose another"),
            "insufficient_space" | "insufficient_quota" | "over_quota" => {
                of(Refused, Never, "The account is full; make room or get more")
            }
            "no_write_permission"
            | "access_restricted"
            | "team_folder"
            | "no_permission"
            | "restricted_content"
            | "team_access_denied"
            | "invalid_account_type" => of(Forbidden, Never, "The connected user may not do this here"),
            "missing_scope" => of(
                Forbidden,
                Never,
                "The token lacks a scope for this: allow it in the app's permissions, then authorise the connection again",
            ),
            "expired_access_token" | "invalid_access_token" => of(
                Unauthorized,
                Never,
                "Authorise the connection again; a pasted token ends after four hours",
            ),
            "invalid_select_user" | "invalid_select_admin" => {
                of(Unauthorized, Never, "Name a member of the team with --set select_user=dbmid:...")
            }
            "user_suspended" => of(Unauthorized, Never, "An administrator has suspended this user"),
            "duplicated_or_nested_paths" => of(
                Invalid,
                Never,
                "Dropbox does not move an entry into itself, nor to a name that differs in case alone",
            ),
            "retry_error" => of(Unavailable, Always, "Dropbox is still writing this file out; try again"),
            "internal_error" => of(Unavailable, IfIdempotent, "Dropbox failed for a moment"),
            // A tag that only says where the next one belongs, or one that is not known.
            _ if tags.first() != Some(tag) => continue,
            _ => break,
        };
    }
    match status {
        400 | 422 => of(Invalid, Never, ""),
        401 => of(Unauthorized, Never, "Authorise the connection again"),
        403 => of(Forbidden, Never, "The connected user may not do this"),
        404 => of(NotFound, Never, ""),
        429 => of(RateLimited, Always, "Too many requests; it is tried again after a pause"),
        500..=599 => of(Unavailable, IfIdempotent, "Dropbox is not available for a moment"),
        300..=399 => of(Protocol, Never, "The answer leads elsewhere, which an API answer must not"),
        402..=499 => of(Refused, Never, ""),
        _ => of(Protocol, IfIdempotent, ""),
    }
}

/// An error that came as tags: of a whole call, or of one row of a batch.
pub(super) fn refused(error: &Json, status: u16) -> Error {
    let tags = tags(error);
    let Meaning { kind, retry, advice } = meaning(&tags, status);
    let code = match tags.last() {
        // What the outer tags say is in the message.
        // What the root is has a tag of its own.
        _ if tags.contains(&ROOT) => ROOT.to_owned(),
        Some(&last @ (RESET | OFFSET | "missing_scope" | "not_found")) => last.to_owned(),
        Some(_) => tags.join("/"),
        None => format!("status_{status}"),
    };
    let words = if tags.is_empty() {
        format!("Dropbox answered with status {status}")
    } else {
        format!("Dropbox says {}", tags.join("/"))
    };
    let mut out =
        Error::new(kind, words).with_provider(PROVIDER).with_retry(retry).with_code(code).with_status(status);
    let innermost = innermost(error);
    if let Some(scope) = innermost.get("required_scope").and_then(Json::as_str) {
        out = out.with_provider_message(format!("the scope {scope} is needed"));
    }
    if let Some(offset) = innermost.get("correct_offset").and_then(Json::as_u64) {
        out = out.with_field("correct_offset", offset.to_string());
    }
    if let Some(seconds) = error.get("retry_after").and_then(Json::as_u64) {
        out = out.with_retry_after(Duration::from_secs(seconds));
    }
    if advice.is_empty() { out } else { out.with_advice(advice) }
}

/// The value of the innermost tag.
fn innermost(error: &Json) -> &Json {
    let mut at = error;
    for _ in 0..DEEPEST {
        let tag = at.get(".tag").and_then(Json::as_str);
        match tag.and_then(|tag| at.get(tag)).filter(|inner| inner.is_object()) {
            Some(inner) => at = inner,
            None => break,
        }
    }
    at
}

/// The byte from which Dropbox wants an upload to go on.
pub(super) fn correct_offset(error: &Error) -> Option<u64> {
    let field = error.fields().iter().find(|field| field.field == "correct_offset")?;
    field.message.parse().ok()
}

/// A refusal that came as a sentence.
fn sentence(text: &str, status: u16) -> Error {
    let Meaning { kind, retry, advice } = meaning(&[], status);
    let said =
        text.split_once("\": ").filter(|(front, _)| front.starts_with("Error in call to API function"));
    let said = said.map_or(text, |(_, said)| said).trim();
    let (kind, code, advice) =
        if said.contains("access token is malformed") || said.contains("Invalid authorization value") {
            (ErrorKind::Unauthorized, "malformed_token".to_owned(), "Authorise the connection again")
        } else if said.contains("not allowed to call this function") {
            let advice = "Allow it under the app's permissions, or use a client that may";
            (ErrorKind::Forbidden, "app_not_permitted".to_owned(), advice)
        } else if said.contains("operates on a single Dropbox account") {
            let advice = "This token is for a whole team: connect with --set select_user=dbmid:...";
            (ErrorKind::Invalid, "team_token".to_owned(), advice)
        } else {
            (kind, format!("status_{status}"), advice)
        };
    let short: String = said.chars().take(400).collect();
    let error = Error::new(kind, short.as_str())
        .with_provider(PROVIDER)
        .with_retry(retry)
        .with_code(code)
        .with_status(status)
        .with_provider_message(short);
    if advice.is_empty() { error } else { error.with_advice(advice) }
}

/// The error of an answer that is no success.
fn refusal(reply: &Reply) -> Error {
    let status = reply.status.as_u16();
    if let Ok(body) = serde_json::from_slice::<Body>(&reply.body) {
        let error = refused(&body.error, status);
        return match (body.user_message, body.error_description) {
            (Some(UserMessage { text }), _) | (None, Some(text)) if !text.is_empty() => {
                error.with_provider_message(text)
            }
            _ => error,
        };
    }
    match std::str::from_utf8(&reply.body).map(str::trim) {
        Ok(text) if !text.is_empty() && !is_web_page(reply) => sentence(text, status),
        _ => {
            let page = if is_web_page(reply) { " and a web page" } else { "" };
            let Meaning { kind, retry, advice } = meaning(&[], status);
            let error = Error::new(kind, format!("Dropbox answered with status {status}{page}"))
                .with_provider(PROVIDER)
                .with_retry(retry)
                .with_code(format!("status_{status}"))
                .with_status(status);
            if advice.is_empty() { error } else { error.with_advice(advice) }
        }
    }
}

fn is_web_page(reply: &Reply) -> bool {
    let kind = reply.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
    let body = reply.body.trim_ascii();
    (kind.starts_with("text/html") && !body.is_empty()) || body.first() == Some(&b'<')
}

impl Dialect for DropboxDialect {
    fn error(&self, call: &Call, reply: &Reply) -> Error {
        let error = if reply.status.is_success() {
            let what = if is_web_page(reply) {
                "the answer is a web page, not Dropbox's API"
            } else {
                "the answer is not complete"
            };
            Error::protocol(what)
                .with_provider(PROVIDER)
                .with_code("not_json")
                .with_retry(Retry::IfIdempotent)
                .with_status(reply.status.as_u16())
        } else {
            refusal(reply)
        };
        let error = error.with_operation(call.operation);
        match reply.header("x-dropbox-request-id") {
            Some(id) => error.with_request_id(id),
            None => error,
        }
    }

    fn is_genuine(&self, call: &Call, reply: &Reply) -> bool {
        if is_web_page(reply) {
            return false;
        }
        if call.sensitive {
            return true;
        }
        let body = reply.body.trim_ascii();
        // Functions that have nothing to say answer null.
        body == b"null" || (body.first() == Some(&b'{') && body.last() == Some(&b'}'))
    }

    fn wants_fresh_token(&self, error: &Error) -> bool {
        let code = error.code().unwrap_or_default();
        matches!(code, "expired_access_token" | "invalid_access_token" | "malformed_token" | "status_401")
    }

    /// Dropbox publishes no numbers and tells none.
    fn quota(&self, _: &Reply) -> Quota {
        Quota::default()
    }
}

/// Reads a value of an answer.
///
/// # Errors
/// Protocol when the body is not JSON of the expected shape.
pub(super) fn read<T: for<'de> Deserialize<'de>>(what: &str, body: &[u8]) -> crate::error::Result<T> {
    read_answer(PROVIDER, "Dropbox", what, body)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use serde_json::json;

    use super::*;

    fn error(status: u16, body: &str) -> Error {
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
            stream: None,
        };
        DropboxDialect.error(&Call::get("search", "api", "/2/files/list_folder"), &reply)
    }

    #[test]
    fn tags_decide_and_dots_do_not() {
        for dots in ["", ".", "..", "..."] {
            let body = format!(
                r#"{{"error_summary":"path/not_found/{dots}","error":{{".tag":"path","path":{{".tag":"not_found"}}}}}}"#
            );
            let missing = error(409, &body);
            assert_eq!((missing.kind(), missing.code()), (ErrorKind::NotFound, Some("not_found")));
        }
        let flat = json!({"error": {".tag": "path", "reason": {".tag": "conflict", "conflict": {".tag": "file"}},
            "upload_session_id": "x"}});
        let conflict = error(409, &flat.to_string());
        assert_eq!((conflict.kind(), conflict.code()), (ErrorKind::Conflict, Some("path/conflict/file")));
        let strange = error(409, r#"{"error":{".tag":"path","path":{".tag":"made_up_tomorrow"}}}"#);
        assert_eq!((strange.kind(), strange.code()), (ErrorKind::Refused, Some("path/made_up_tomorrow")));
    }

    #[test]
    fn waits_are_asked_for_with_429_and_within_409() {
        let rate = error(429, r#"{"error_summary":"x","error":{"reason":{".tag":"too_many_requests"}}}"#);
        assert_eq!((rate.kind(), rate.retry()), (ErrorKind::RateLimited, Retry::Always));
        let own = error(429, r#"{"error":{"reason":{".tag":"too_many_write_operations"},"retry_after":3}}"#);
        assert_eq!(own.retry_after(), Some(Duration::from_secs(3)));
        let lock = error(409, r#"{"error":{".tag":"path","path":{".tag":"too_many_write_operations"}}}"#);
        assert_eq!((lock.kind(), lock.retry()), (ErrorKind::RateLimited, Retry::Always));
        assert_eq!(error(429, "").kind(), ErrorKind::RateLimited);
    }

    #[test]
    fn sentences_are_read_without_their_beginning() {
        let input = "Error in call to API function \"files/list_folder\": request body: path: did not match";
        let wrong = error(400, input);
        assert_eq!(
            (wrong.kind(), wrong.message()),
            (ErrorKind::Invalid, "request body: path: did not match")
        );
        let token =
            error(400, "Error in call to API function \"x\": The given OAuth 2 access token is malformed.");
        assert!(DropboxDialect.wants_fresh_token(&token));
        assert_eq!(error(503, "Internal server error").kind(), ErrorKind::Unavailable);
        assert_eq!(error(502, "<html>Bad gateway").code(), Some("status_502"));
    }

    #[test]
    fn only_a_token_that_can_be_renewed_asks_for_it() {
        let with = |tag: &str| error(401, &json!({ "error": { ".tag": tag } }).to_string());
        assert!(DropboxDialect.wants_fresh_token(&with("expired_access_token")));
        let scope = r#"{"error":{".tag":"missing_scope","required_scope":"files.content.write"}}"#;
        let scope = error(401, scope);
        assert_eq!((scope.kind(), scope.code()), (ErrorKind::Forbidden, Some("missing_scope")));
        assert!(scope.provider_message().unwrap().contains("files.content.write"));
        for tag in ["missing_scope", "user_suspended", "invalid_select_user"] {
            assert!(!DropboxDialect.wants_fresh_token(&with(tag)), "{tag}");
        }
    }

    #[test]
    fn an_offset_is_found_wherever_it_stands() {
        let own = json!({"error": {".tag": "incorrect_offset", "correct_offset": 9}});
        let inside = json!({"error": {".tag": "lookup_failed", "lookup_failed":
            {".tag": "incorrect_offset", "correct_offset": 9}}});
        for body in [own, inside] {
            let error = error(409, &body.to_string());
            assert_eq!((error.code(), correct_offset(&error)), (Some(OFFSET), Some(9)));
        }
    }

    #[test]
    fn a_refused_root_is_told_as_such() {
        let body = r#"{"error_summary":"x","error":{".tag":"invalid_root","invalid_root":{".tag":"team"}}}"#;
        assert_eq!(error(422, body).code(), Some(ROOT));
    }

    #[test]
    fn null_is_an_answer_and_nothing_is_none() {
        let genuine = |body: &str| {
            let mut reply = Reply {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::from(body.to_owned()),
                stream: None,
            };
            reply.headers.insert("content-type", HeaderValue::from_static("application/json"));
            DropboxDialect.is_genuine(&Call::get("search", "api", "/2/x"), &reply)
        };
        assert!(genuine("null") && genuine("{}"));
        assert!(!genuine("") && !genuine("<html>") && !genuine("[]") && !genuine("{\"a\":1"));
    }
}
