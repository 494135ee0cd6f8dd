//! Several requests in one body (`multipart/mixed` of `application/http`), at most fifty.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::errors::Refusal;
use crate::emulator::service::{Reply, Request};

const MOST: usize = 50;
const BOUNDARY: &str = "batch_emulated";

/// One inner request with the id of its part.
struct Part {
    request: Request,
    id: Option<String>,
}

/// Answers each part with `each`, which is told its place, counted from 1.
///
/// # Errors
/// A body that is no batch, and more parts than there may be.
pub(super) fn handle(
    request: &Request,
    mut each: impl FnMut(&Request, usize) -> Reply,
) -> Result<Reply, Refusal> {
    let parts = read(request).ok_or_else(|| Refusal::invalid("Failed to parse batch request."))?;
    if parts.len() > MOST {
        let message = format!("The batch request contains too many calls: the limit is {MOST}.");
        return Err(Refusal::invalid(message));
    }
    let mut out = String::new();
    let mut committed = false;
    for (part, number) in parts.iter().zip(1..) {
        let reply = each(&part.request, number);
        committed |= reply.committed;
        write_part(&mut out, part, &reply);
    }
    let _ = write!(out, "--{BOUNDARY}--\r\n");
    let mut reply = Reply::new(StatusCode::OK, "multipart/mixed; boundary=batch_emulated", out);
    reply.committed = committed;
    Ok(reply)
}

fn write_part(out: &mut String, part: &Part, reply: &Reply) {
    let _ = write!(out, "--{BOUNDARY}\r\nContent-Type: application/http\r\n");
    if let Some(id) = &part.id {
        let bare = id.trim_start_matches('<');
        let _ = write!(out, "Content-ID: <response-{bare}\r\n");
    }
    let reason = reply.status.canonical_reason().unwrap_or_default();
    let _ = write!(out, "\r\nHTTP/1.1 {} {reason}\r\n", reply.status.as_u16());
    for (name, value) in &reply.headers {
        let _ = write!(out, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    let _ = write!(out, "Content-Length: {}\r\n\r\n", reply.body.len());
    out.push_str(&String::from_utf8_lossy(&reply.body));
    out.push_str("\r\n");
}

/// Header lines, and what stands behind the empty line.
fn head(text: &str) -> Option<(Vec<&str>, &str)> {
    let (head, rest) = match (text.find("\r\n\r\n"), text.find("\n\n")) {
        (Some(at), other) if other.is_none_or(|other| at < other) => (&text[..at], &text[at + 4..]),
        (_, Some(at)) => (&text[..at], &text[at + 2..]),
        (None, None) => (text.trim_end(), ""),
        (Some(at), None) => (&text[..at], &text[at + 4..]),
    };
    Some((head.lines().collect(), rest))
}

fn read(request: &Request) -> Option<Vec<Part>> {
    let kind = request.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    let text = std::str::from_utf8(&request.body).ok()?;
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    for piece in text.split(delimiter.as_str()).skip(1) {
        if piece.starts_with("--") {
            return Some(parts);
        }
        let piece = piece.strip_prefix("\r\n").or_else(|| piece.strip_prefix('\n'))?;
        parts.push(part(request, piece)?);
    }
    None
}

fn part(outer: &Request, text: &str) -> Option<Part> {
    let (lines, inner) = head(text)?;
    let id = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-id").then(|| value.trim().to_owned())
    });
    let (lines, body) = head(inner)?;
    let (first, headers) = lines.split_first()?;
    let mut words = first.split_whitespace();
    let method: Method = words.next()?.parse().ok()?;
    let address = words.next()?;
    let address = match address.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => address,
    };
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut all = HeaderMap::new();
    if let Some(value) = outer.headers.get(AUTHORIZATION) {
        all.insert(AUTHORIZATION, value.clone());
    }
    for line in headers {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        all.insert(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    let request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: all,
        body: Bytes::from(body.trim_end_matches(['\r', '\n']).to_owned()),
        origin: outer.origin.clone(),
        now: outer.now,
    };
    Some(Part { request, id })
}
