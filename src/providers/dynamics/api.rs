//! One function per remote call: what goes over the wire, as data.
//!
//! Sources: "Use the Microsoft Dataverse Web API" ("Compose HTTP requests", "Query metadata definitions",
//! "Execute batch operations"). Everything that a user or a record can put into an address is percent-encoded.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, RANGE};
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

use crate::error::{Error, ErrorKind, Result};
use crate::http::multipart::{self, Part};
use crate::http::{Call, Target, address};

/// Role of the host that the API lives on.
pub(super) const API: &str = "api";
/// Longest address that Dataverse takes (Web API, "Query data"), less a host name.
pub(super) const ADDRESS_MAX: usize = 32_000;
/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// For options that hold names only: their punctuation stays readable.
const NAMES: &AsciiSet =
    &RESERVED.remove(b',').remove(b'(').remove(b')').remove(b'$').remove(b';').remove(b'=').remove(b'/');

/// Text as one query value.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A query value that is made of names and punctuation.
pub(super) fn encode_names(text: &str) -> String {
    utf8_percent_encode(text, NAMES).to_string()
}

/// The path of a resource of the API.
pub(super) fn path(version: &str, resource: &str) -> String {
    format!("/api/data/{version}/{resource}")
}

fn with_odata(call: Call) -> Call {
    call.with_header(HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0"))
        .with_header(HeaderName::from_static("odata-maxversion"), HeaderValue::from_static("4.0"))
        .with_header(ACCEPT, HeaderValue::from_static("application/json"))
}

fn with_prefer(call: Call, prefer: &str) -> Call {
    match HeaderValue::from_str(prefer) {
        Ok(value) if !prefer.is_empty() => call.with_header(HeaderName::from_static("prefer"), value),
        _ => call,
    }
}

/// Reads a resource.
pub(super) fn get(operation: &'static str, version: &str, resource: &str, prefer: &str) -> Call {
    with_prefer(with_odata(Call::get(operation, API, path(version, resource))), prefer)
}

/// Who the token belongs to: the cheapest question that needs a good token.
pub(super) fn who_am_i(version: &str) -> Call {
    get("probe", version, "WhoAmI", "")
}

/// Reads definitions; `fresh` passes the service's own cache by.
pub(super) fn definitions(operation: &'static str, version: &str, resource: &str, fresh: bool) -> Call {
    let call = get(operation, version, resource, "");
    if fresh {
        return call.with_header(HeaderName::from_static("consistency"), HeaderValue::from_static("Strong"));
    }
    call
}

/// A page behind a next or delta link, which goes out as it came. The auth layer refuses one that leads to
/// another host; one that leads to another part of the own host is refused here.
///
/// # Errors
/// `ForeignHost` when the link does not lead to the API.
pub(super) fn link(operation: &'static str, link: &str, prefer: &str) -> Result<Call> {
    let target = address::next_link(API, link).map_err(|error| error.with_provider("dynamics"))?;
    let path = match &target {
        Target::Role { path, .. } => path.as_str(),
        Target::Address(address) => address.path(),
    };
    if !path.contains("/api/data/") {
        return Err(Error::new(
            ErrorKind::ForeignHost,
            "the service's link to the next page does not lead to the Web API",
        )
        .with_provider("dynamics")
        .with_code("foreign_next_link")
        .with_advice("Nothing was sent there. The service, or something in between, answers wrongly"));
    }
    Ok(with_prefer(with_odata(Call::new(operation, Method::GET, target)), prefer))
}

/// Several requests in one, each with its own outcome.
pub(super) fn batch(operation: &'static str, version: &str, parts: &[Part], idempotent: bool) -> Call {
    let boundary = format!("batch_{}", uuid::Uuid::new_v4());
    let only_reads = parts.iter().all(|part| part.method == Method::GET);
    let target = Target::Role { role: API, path: path(version, "$batch") };
    let mut call = with_odata(Call::new(operation, Method::POST, target));
    call.body = Bytes::from(multipart::write(parts, &boundary));
    if let Ok(kind) = HeaderValue::from_str(&format!("multipart/mixed; boundary=\"{boundary}\"")) {
        call = call.with_header(CONTENT_TYPE, kind);
    }
    let call = with_prefer(call, "odata.continue-on-error").idempotent(idempotent);
    if only_reads { call.read_only() } else { call }
}

/// An action on many rows at once.
pub(super) fn multiple(
    operation: &'static str,
    version: &str,
    set: &str,
    action: &str,
    targets: &str,
) -> Call {
    let resource = format!("{set}/Microsoft.Dynamics.CRM.{action}");
    let target = Target::Role { role: API, path: path(version, &resource) };
    with_odata(Call::new(operation, Method::POST, target)).with_json(targets.to_owned())
}

/// Takes over the headers by which the parts of a batch choose what the service checks and runs.
pub(super) fn with_switches(mut call: Call, headers: &[(&'static str, String)]) -> Call {
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("MSCRM.")) {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            call = call.with_header(name, value);
        }
    }
    call
}

/// The bytes of a column, all of them or a range.
pub(super) fn content(version: &str, resource: &str, range: Option<(u64, u64)>) -> Call {
    let call = get("content get", version, resource, "").streamed();
    // A range of the compressed bytes would be of no use.
    let call = call
        .with_header(ACCEPT, HeaderValue::from_static("*/*"))
        .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    match range.and_then(|(first, last)| HeaderValue::from_str(&format!("bytes={first}-{last}")).ok()) {
        Some(range) => call.with_header(RANGE, range),
        None => call,
    }
}

/// Replaces the bytes of a column in one request.
///
/// # Errors
/// Invalid for a name that no header can carry.
pub(super) fn put_content(version: &str, resource: &str, name: &str, bytes: Bytes) -> Result<Call> {
    let target = Target::Role { role: API, path: path(version, resource) };
    let mut call = with_odata(Call::new("content put", Method::PATCH, target));
    call.body = bytes;
    let name = HeaderValue::from_str(name).map_err(|_| {
        Error::invalid("the name of the file has characters that no name can have")
            .with_field("file_name", "a name such as report.pdf")
    })?;
    Ok(call
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
        .with_header(HeaderName::from_static("x-ms-file-name"), name)
        .idempotent(true))
}

/// An action that is bound to no table.
pub(super) fn action(version: &str, name: &str, parameters: &Json) -> Call {
    let target = Target::Role { role: API, path: path(version, name) };
    with_odata(Call::new("content put", Method::POST, target)).with_json(parameters.to_string())
}

/// A read inside a batch.
pub(super) fn part_get(version: &str, resource: &str) -> Part {
    Part {
        id: None,
        method: Method::GET,
        path: path(version, resource),
        headers: vec![(ACCEPT_NAME, "application/json".to_owned())],
        body: Bytes::new(),
    }
}

const ACCEPT_NAME: &str = "Accept";

/// A write inside a batch.
pub(super) fn part_write(version: &str, method: Method, resource: &str, body: String) -> Part {
    let mut headers = vec![(ACCEPT_NAME, "application/json".to_owned())];
    if !body.is_empty() {
        headers.push(("Content-Type", "application/json".to_owned()));
    }
    Part { id: None, method, path: path(version, resource), headers, body: Bytes::from(body) }
}

/// Adds the condition that a record has a version, or exists (`*`).
pub(super) fn if_match(mut part: Part, version: &str) -> Part {
    part.headers.push(("If-Match", version.to_owned()));
    part
}

/// Whether a text can stand in an `If-Match` header.
pub(super) fn is_version(text: &str) -> bool {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let plain = inner.is_some_and(|inner| {
        !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
    });
    plain && HeaderValue::from_str(text).is_ok()
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
    fn calls_carry_the_headers_of_odata() {
        let call = get("search", "v9.2", "accounts?$select=name", "odata.maxpagesize=2");
        assert_eq!(path_of(&call), "/api/data/v9.2/accounts?$select=name");
        assert_eq!(call.headers["prefer"], "odata.maxpagesize=2");
        assert_eq!(call.headers["odata-version"], "4.0");
        assert!(!get("search", "v9.2", "accounts", "").headers.contains_key("prefer"));
        assert_eq!(definitions("types", "v9.2", "EntityDefinitions", true).headers["consistency"], "Strong");
        assert_eq!(encode("a' or &$top=1#é"), "a%27%20or%20%26%24top%3D1%23%C3%A9");
        assert_eq!(encode_names("name,x($select=y;$expand=z)"), "name,x($select=y;$expand=z)");
    }

    #[test]
    fn a_next_link_goes_out_as_it_came_and_only_to_the_api() {
        let cookie = "https://acme.crm.dynamics.com/api/data/v9.2/accounts?$select=name&$skiptoken=%3Ccookie%20pagenumber=%222%22%20pagingcookie=%22%253ccookie%2520page%253d%25221%2522%22%20/%3E";
        assert_eq!(path_of(&link("search", cookie, "").unwrap()), cookie);
        for foreign in [
            "https://login.microsoftonline.com/x/oauth2/v2.0/token",
            "/other/data",
            "next",
            "file:///etc/passwd",
        ] {
            let error = link("search", foreign, "").unwrap_err();
            assert_eq!(error.code(), Some("foreign_next_link"), "{foreign}");
        }
    }

    #[test]
    fn a_batch_that_only_reads_may_be_repeated_and_sent_in_a_dry_run() {
        let read = part_get("v9.2", "accounts(1)");
        let call = batch("get", "v9.2", std::slice::from_ref(&read), false);
        assert!(call.read_only && call.idempotent);
        let write = if_match(part_write("v9.2", Method::PATCH, "accounts(1)", "{}".to_owned()), "*");
        let call = batch("update", "v9.2", &[read, write], true);
        assert!(!call.read_only && call.idempotent);
        let text = String::from_utf8(call.body.to_vec()).unwrap();
        assert!(text.contains("\r\nPATCH /api/data/v9.2/accounts(1) HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("\r\nIf-Match: *\r\n\r\n{}\r\n"), "{text}");
        assert_eq!(call.headers["prefer"], "odata.continue-on-error");
    }

    #[test]
    fn only_an_entity_tag_is_a_version() {
        assert!(is_version("W/\"470867\"") && is_version("\"a\""));
        for text in ["470867", "W/470867", "*", "", "W/\"\"", "W/\"1\"\r\nX: y", "\"a\" \"b\""] {
            assert!(!is_version(text), "{text:?}");
        }
    }
}
