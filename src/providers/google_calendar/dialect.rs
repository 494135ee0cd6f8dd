//! How Google says no: an envelope with domain, reason and message, what it means for the user, and whether trying
//! again helps.
//!
//! Source: "Handle API errors" (Google Calendar API). The reason decides, never the status alone: a 403 may be a
//! missing right or a limit.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{Error, ErrorKind, Retry};
use crate::http::dialect::{Dialect, Quota, read_answer};
use crate::http::multipart::PartReply;
use crate::http::{Call, Reply};

const PROVIDER: &str = "google-calendar";
/// The code of a lower bound of changes that lies too far back.
pub(super) const TOO_LONG_AGO: &str = "updatedMinTooLongAgo";
/// The code of an id that is taken.
pub(super) const DUPLICATE: &str = "duplicate";
/// The code of an event that is deleted already.
pub(super) const DELETED: &str = "deleted";
/// The code of a place in a list that the service no longer knows.
pub(super) const PAGE_TOKEN_ENDED: &str = "page_token_ended";

/// Reads Google's answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoogleCalendarDialect;

/// One reason of a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reason {
    reason: String,
    message: String,
    location: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope {
    errors: Vec<Reason>,
    message: String,
    status: Option<String>,
}

/// What an error body says. `error` is an object, and a text at the token endpoint and in some old answers.
#[derive(Debug, Default)]
struct Said {
    reason: Option<String>,
    words: Option<String>,
    location: Option<String>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let Ok(Json::Object(body)) = serde_json::from_slice::<Json>(body) else { return Self::default() };
        match body.get("error") {
            Some(Json::String(code)) => Self {
                reason: Some(code.clone()),
                words: body.get("error_description").and_then(Json::as_str).map(str::to_owned),
                location: None,
            },
            Some(error) => {
                let envelope = Envelope::deserialize(error).unwrap_or_default();
                let first = envelope.errors.into_iter().next().unwrap_or_default();
                let full = |text: String| (!text.trim().is_empty()).then_some(text);
                Self {
                    reason: full(first.reason).or(envelope.status),
                    words: full(envelope.message).or_else(|| full(first.message)),
                    location: first.location,
                }
            }
            None => Self::default(),
        }
    }
}

struct Meaning {
    kind: ErrorKind,
    retry: Retry,
    advice: &'static str,
}

fn meaning(status: u16, reason: &str) -> Meaning {
    use ErrorKind::{
        Conflict, Forbidden, Invalid, NotFound, Protocol, RateLimited, Refused, Unauthorized, Unavailable,
    };
    use Retry::{Always, IfIdempotent, Never};
    let of = |kind, retry, advice| Meaning { kind, retry, advice };
    match (status, reason) {
        (403 | 429, "rateLimitExceeded" | "userRateLimitExceeded") => {
            of(RateLimited, Always, "Too many requests in a minute; it is tried again after a pause")
        }
        (403 | 429, "quotaExceeded" | "dailyLimitExceeded" | "dailyLimitExceededUnreg") => of(
            RateLimited,
            Never,
            "The calendar has reached a limit of Google's, such as for invitations or new calendars; try again in some \
             hours",
        ),
        (401, _) => of(Unauthorized, Never, "Authorise the connection again"),
        (403, "insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT") => of(
            Forbidden,
            Never,
            "The sign-in did not allow this; authorise the connection again and allow all that is asked for",
        ),
        (403, "accessNotConfigured" | "SERVICE_DISABLED") => of(
            Forbidden,
            Never,
            "Enable the Google Calendar API in the project of your OAuth client, then wait some minutes",
        ),
        (403, "forbiddenForServiceAccounts") => of(
            Forbidden,
            Never,
            "A service account can invite people only in the name of a user: set `impersonate` and allow domain-wide \
             delegation",
        ),
        (403, "forbiddenForNonOrganizer") => {
            of(Forbidden, Never, "Only the organizer of the event can change this for all who take part")
        }
        (403, _) => of(Forbidden, Never, "The connected user may not do this with this calendar"),
        (404, _) => of(
            NotFound,
            Never,
            "There is no such calendar or record, or the connected user may not see the calendar",
        ),
        (409, "conflict") => of(Conflict, Always, "Somebody changed it at the same time; it is tried again"),
        (409, _) => of(Conflict, Never, "A record with this id is or was there; choose another id"),
        (410, DELETED) => of(NotFound, Never, "It was deleted"),
        (410, _) => of(Refused, Never, "Begin again: Google no longer knows the place to go on from"),
        (412, _) => {
            of(Conflict, Never, "It was changed since it was read; read it again, then write your change")
        }
        (413, _) => of(Invalid, Never, "Send fewer or smaller rows"),
        (414 | 431, _) => of(Invalid, Never, "Shorten the filter"),
        (400 | 422, _) => of(Invalid, Never, ""),
        (429, _) => of(RateLimited, Always, "Too many requests; it is tried again after a pause"),
        (402..=499, _) => of(Refused, Never, ""),
        (500..=599, _) => of(Unavailable, IfIdempotent, "Google Calendar is not available for a moment"),
        (300..=399, _) => of(Protocol, Never, "The answer leads elsewhere, which an API answer must not"),
        _ => of(Protocol, IfIdempotent, ""),
    }
}

/// Lists have no order by a key, so that nothing tells what comes behind the place.
fn place_ended() -> Meaning {
    Meaning {
        kind: ErrorKind::Refused,
        retry: Retry::Never,
        advice: "The place in the list is not known any more; search again from the start",
    }
}

/// The error of an answer that is no success.
fn refusal(status: u16, body: &[u8], web_page: bool) -> Error {
    let said = Said::read(body);
    let reason = said.reason.as_deref().unwrap_or_default();
    let page_token = status == 400 && said.words.as_deref().is_some_and(|words| words.contains("page token"));
    let meaning = if page_token { place_ended() } else { meaning(status, reason) };
    let code = match reason {
        _ if page_token => PAGE_TOKEN_ENDED.to_owned(),
        "" => format!("status_{status}"),
        reason => reason.to_owned(),
    };
    let text = match &said.words {
        Some(words) => words.clone(),
        None if web_page => format!("Google answered with status {status} and a web page"),
        None => format!("Google answered with status {status}"),
    };
    let mut error = Error::new(meaning.kind, text)
        .with_provider(PROVIDER)
        .with_retry(meaning.retry)
        .with_code(code)
        .with_status(status);
    if let Some(words) = said.words {
        if meaning.kind == ErrorKind::Invalid {
            let field = said.location.or_else(|| field_in(&words).map(str::to_owned));
            if let Some(field) = field {
                error = error.with_field(field, words.as_str());
            }
        }
        error = error.with_provider_message(words);
    }
    if meaning.advice.is_empty() { error } else { error.with_advice(meaning.advice) }
}

/// The field that a refusal is about, where only its words tell.
fn field_in(words: &str) -> Option<&'static str> {
    let words = words.to_ascii_lowercase();
    let known = [
        ("start time", "start"),
        ("end time", "end"),
        ("recurrence", "recurrence"),
        ("attendee", "attendees"),
        ("reminder", "reminders"),
        ("attachment", "attachments"),
        ("resource id", "id"),
        ("event type", "eventType"),
        ("working location", "workingLocationProperties"),
        ("summary", "summary"),
        ("time zone", "timeZone"),
        ("icaluid", "iCalUID"),
        ("calendar id", "id"),
        ("role", "role"),
        ("scope", "scope"),
    ];
    known.into_iter().find(|(word, _)| words.contains(word)).map(|(_, field)| field)
}

/// The error of one answer of a batch.
pub(super) fn part_error(operation: &'static str, part: &PartReply) -> Error {
    let error = refusal(part.status.as_u16(), &part.body, false).with_operation(operation);
    match part.header("retry-after").and_then(|text| text.trim().parse().ok()) {
        Some(seconds) => error.with_retry_after(std::time::Duration::from_secs(seconds)),
        None => error,
    }
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.trim_ascii().first().copied()
}

fn content_type(reply: &Reply) -> String {
    reply.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase()
}

fn is_web_page(reply: &Reply) -> bool {
    content_type(reply).starts_with("text/html") || first_byte(&reply.body) == Some(b'<')
}

impl Dialect for GoogleCalendarDialect {
    fn error(&self, call: &Call, reply: &Reply) -> Error {
        let error = if reply.status.is_success() {
            let what = if reply.body.is_empty() {
                "Google answered with nothing where records or an outcome belong"
            } else if is_web_page(reply) {
                "the answer is a web page, not the Google Calendar API"
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
            refusal(reply.status.as_u16(), &reply.body, is_web_page(reply))
        };
        error.with_operation(call.operation)
    }

    fn is_genuine(&self, call: &Call, reply: &Reply) -> bool {
        if matches!(reply.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return true;
        }
        if is_web_page(reply) {
            return false;
        }
        // What breaks off is found by counting the parts.
        if content_type(reply).starts_with("multipart/mixed") || call.sensitive {
            return true;
        }
        matches!((first_byte(&reply.body), reply.body.trim_ascii().last()), (Some(b'{'), Some(b'}')))
    }

    fn wants_fresh_token(&self, error: &Error) -> bool {
        error.status() == Some(401)
    }

    /// Google tells nothing of its limits before they are reached.
    fn quota(&self, _: &Reply) -> Quota {
        Quota::default()
    }
}

/// Reads a value of an answer.
///
/// # Errors
/// Protocol when the body is not JSON of the expected shape.
pub(super) fn read<T: for<'de> Deserialize<'de>>(what: &str, body: &[u8]) -> crate::error::Result<T> {
    read_answer(PROVIDER, "Google Calendar", what, body)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn error(status: u16, body: &str) -> Error {
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
            stream: None,
        };
        GoogleCalendarDialect.error(&Call::get("search", "api", "/calendar/v3/colors"), &reply)
    }

    fn body(domain: &str, reason: &str, message: &str) -> String {
        serde_json::json!({ "error": {
            "errors": [{ "domain": domain, "reason": reason, "message": message }],
            "code": 400,
            "message": message,
        }})
        .to_string()
    }

    #[test]
    fn the_reason_decides_and_not_the_status() {
        for (status, reason, kind, retry) in [
            (403, "rateLimitExceeded", ErrorKind::RateLimited, Retry::Always),
            (403, "userRateLimitExceeded", ErrorKind::RateLimited, Retry::Always),
            (403, "quotaExceeded", ErrorKind::RateLimited, Retry::Never),
            (403, "forbidden", ErrorKind::Forbidden, Retry::Never),
            (403, "insufficientPermissions", ErrorKind::Forbidden, Retry::Never),
            (429, "rateLimitExceeded", ErrorKind::RateLimited, Retry::Always),
            (401, "authError", ErrorKind::Unauthorized, Retry::Never),
            (404, "notFound", ErrorKind::NotFound, Retry::Never),
            (409, "duplicate", ErrorKind::Conflict, Retry::Never),
            (409, "conflict", ErrorKind::Conflict, Retry::Always),
            (410, "deleted", ErrorKind::NotFound, Retry::Never),
            (410, "fullSyncRequired", ErrorKind::Refused, Retry::Never),
            (412, "conditionNotMet", ErrorKind::Conflict, Retry::Never),
            (400, "invalid", ErrorKind::Invalid, Retry::Never),
            (503, "backendError", ErrorKind::Unavailable, Retry::IfIdempotent),
        ] {
            let error = error(status, &body("global", reason, "m"));
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{status} {reason}");
            assert_eq!(error.code(), Some(reason), "{status}");
        }
    }

    #[test]
    fn every_form_of_an_error_body_is_read() {
        let oauth = error(400, r#"{"error":"invalid_grant","error_description":"Token has been revoked."}"#);
        assert_eq!((oauth.code(), oauth.message()), (Some("invalid_grant"), "Token has been revoked."));
        let short = error(403, r#"{"error":{"code":403,"message":"Blocked.","status":"PERMISSION_DENIED"}}"#);
        assert_eq!((short.code(), short.message()), (Some("PERMISSION_DENIED"), "Blocked."));
        assert_eq!(error(404, r#"{"error":["x"]}"#).kind(), ErrorKind::NotFound);
        assert_eq!(error(502, "").kind(), ErrorKind::Unavailable);
        let zone = error(400, &body("global", "required", "Missing time zone definition for start time."));
        assert_eq!(zone.fields()[0].field, "start");
        let token = error(400, &body("global", "invalid", "Invalid page token value."));
        assert_eq!((token.kind(), token.code()), (ErrorKind::Refused, Some(PAGE_TOKEN_ENDED)));
    }
}
