//! One function per remote call: what goes over the wire, as data.
//!
//! Source: the discovery document of the Google Calendar API, version 3. Everything that a user or a record can put
//! into an address is percent-encoded; ids of calendars hold `@` and `#`.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::multipart::{self, Part};
use crate::http::{Call, Target};

/// Role of the host that the API lives on.
pub(super) const API: &str = "api";
/// Requests that one batch can carry ("Send batch requests").
pub(super) const BATCH: usize = 50;
const ROOT: &str = "/calendar/v3/";
const BATCH_PATH: &str = "/batch/calendar/v3";
/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as one segment of a path or one query value.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A resource with its query; values are encoded here.
pub(super) fn with_query<N: AsRef<str>, V: AsRef<str>>(resource: &str, query: &[(N, V)]) -> String {
    let mut out = resource.to_owned();
    for (name, value) in query {
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(name.as_ref());
        out.push('=');
        out.push_str(&encode(value.as_ref()));
    }
    out
}

/// The events of a calendar.
pub(super) fn events(calendar: &str) -> String {
    format!("calendars/{}/events", encode(calendar))
}

/// Where an event is made from a line of text.
pub(super) fn quick_add(calendar: &str, text: &str) -> String {
    with_query(&format!("{}/quickAdd", events(calendar)), &[("text", text)])
}

/// One event.
pub(super) fn event(calendar: &str, id: &str) -> String {
    format!("{}/{}", events(calendar), encode(id))
}

/// Reads a resource.
pub(super) fn get(operation: &'static str, resource: &str) -> Call {
    Call::get(operation, API, format!("{ROOT}{resource}"))
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
}

/// A POST that only asks.
pub(super) fn ask(operation: &'static str, resource: &str, body: String) -> Call {
    let target = Target::Role { role: API, path: format!("{ROOT}{resource}") };
    Call::new(operation, Method::POST, target)
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
        .with_json(body)
        .read_only()
}

/// A POST without a body that changes something.
pub(super) fn post(operation: &'static str, resource: &str) -> Call {
    let target = Target::Role { role: API, path: format!("{ROOT}{resource}") };
    Call::new(operation, Method::POST, target)
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
}

/// A read inside a batch.
pub(super) fn part_get(resource: &str) -> Part {
    part(Method::GET, resource, String::new())
}

/// A request inside a batch.
pub(super) fn part(method: Method, resource: &str, body: String) -> Part {
    let mut headers = vec![("Accept", "application/json".to_owned())];
    if !body.is_empty() {
        headers.push(("Content-Type", "application/json".to_owned()));
    }
    Part { id: None, method, path: format!("{ROOT}{resource}"), headers, body: Bytes::from(body) }
}

/// Adds the condition that a record has a version.
pub(super) fn if_match(mut part: Part, version: &str) -> Part {
    part.headers.push(("If-Match", version.to_owned()));
    part
}

/// Whether a text can stand in an `If-Match` header.
pub(super) fn is_version(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| {
        !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
    })
}

/// Several requests in one, each with its own outcome.
pub(super) fn batch(operation: &'static str, parts: &[Part], idempotent: bool) -> Call {
    let boundary = format!("batch_{}", uuid::Uuid::new_v4());
    let only_reads = parts.iter().all(|part| part.method == Method::GET);
    let target = Target::Role { role: API, path: BATCH_PATH.to_owned() };
    let mut call = Call::new(operation, Method::POST, target);
    call.body = Bytes::from(multipart::write(parts, &boundary));
    if let Ok(kind) = HeaderValue::from_str(&format!("multipart/mixed; boundary={boundary}")) {
        call = call.with_header(CONTENT_TYPE, kind);
    }
    let call = call.idempotent(idempotent);
    if only_reads { call.read_only() } else { call }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(call: &Call) -> &str {
        match &call.target {
            Target::Role { path, .. } => path,
            Target::Address(address) => address.as_str(),
        }
    }

    #[test]
    fn what_users_write_cannot_leave_its_place_in_an_address() {
        let call = get("get", &event("de.german#holiday@group.v.calendar.google.com", "a/../b?c"));
        assert_eq!(
            path_of(&call),
            "/calendar/v3/calendars/de.german%23holiday%40group.v.calendar.google.com/events/a%2F..%2Fb%3Fc"
        );
        let resource = with_query(&events("x"), &[("q", "a&b=c"), ("timeMin", "2026-01-01T00:00:00+01:00")]);
        assert_eq!(resource, "calendars/x/events?q=a%26b%3Dc&timeMin=2026-01-01T00%3A00%3A00%2B01%3A00");
    }

    #[test]
    fn a_batch_that_only_reads_may_be_repeated_and_sent_in_a_dry_run() {
        let call = batch("get", &[part_get("colors")], false);
        assert!(call.read_only && call.idempotent);
        let write = if_match(part(Method::PATCH, "calendars/x", "{}".to_owned()), "\"1\"");
        let call = batch("update", &[write], false);
        assert!(!call.read_only && !call.idempotent);
        let text = String::from_utf8(call.body.to_vec()).unwrap();
        assert!(text.contains("\r\nPATCH /calendar/v3/calendars/x HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("\r\nIf-Match: \"1\"\r\n\r\n{}\r\n"), "{text}");
    }

    #[test]
    fn only_an_entity_tag_is_a_version() {
        assert!(is_version("\"3181161784712000\""));
        for text in ["3181161784712000", "*", "", "\"\"", "\"1\"\r\nX: y", "\"a\" \"b\""] {
            assert!(!is_version(text), "{text:?}");
        }
    }
}
