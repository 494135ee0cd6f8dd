//! `$batch`: requests in one body, alone or in change sets that happen whole or not at all.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::Environment;
use super::errors::{PAYLOAD, QUERY, Refusal};
use super::guid;
use super::modify::Done;
use super::multiple;
use super::payload::ContentIds;
use super::request::Call;
use crate::emulator::chance::mix;
use crate::emulator::service::{Reply, Request};

/// Requests in one batch or change set.
const MOST: usize = 1_000;

/// One request of a batch.
struct Operation {
    request: Request,
    content_id: Option<String>,
}

enum Part {
    Single(Box<Operation>),
    ChangeSet(Vec<Operation>),
}

/// Answers a batch; with `every`, each request whose place is a multiple of it is refused and not executed.
///
/// # Errors
/// What cannot be read as a batch at all.
pub(super) fn handle(
    environment: &mut Environment,
    call: &Call<'_>,
    every: Option<usize>,
) -> Result<Reply, Refusal> {
    if *call.method() != Method::POST {
        return Err(Refusal::method_not_allowed(call.method()));
    }
    let parts = read(call.request)?;
    let mut number = 0;
    let boundary = format!("batchresponse_{}", fresh(environment));
    let mut out = String::new();
    let mut failed = None;
    let mut committed = false;
    for part in parts {
        let status = match part {
            Part::Single(operation) => {
                number += 1;
                let refused = every.is_some_and(|every| number % every == 0);
                let reply = single(environment, &operation, refused);
                committed |= reply.committed;
                write_part(&boundary, operation.content_id.as_deref(), &reply, &mut out);
                reply.status
            }
            Part::ChangeSet(operations) => {
                let first = number + 1;
                number += operations.len();
                let refused = every.and_then(|every| (first..=number).find(|place| place % every == 0));
                let refused = refused.map(|place| place - first);
                let (status, text) = change_set(environment, &operations, refused);
                committed |= status.is_success();
                let _ = write!(out, "--{boundary}\r\n{text}");
                status
            }
        };
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            failed.get_or_insert(status);
            if !call.prefer.continue_on_error {
                break;
            }
        }
    }
    let _ = write!(out, "--{boundary}--\r\n");
    let status = failed.filter(|_| !call.prefer.continue_on_error).unwrap_or(StatusCode::OK);
    let mut reply = Reply::empty(status);
    reply.body = Bytes::from(out);
    reply.committed = committed;
    let kind = HeaderValue::from_str(&format!("multipart/mixed; boundary={boundary}"));
    if let Ok(kind) = kind {
        reply.headers.insert(CONTENT_TYPE, kind);
    }
    if call.prefer.continue_on_error {
        reply = reply.with_header(HeaderName::from_static("preference-applied"), "odata.continue-on-error");
    }
    Ok(reply)
}

fn fresh(environment: &mut Environment) -> String {
    environment.requests += 1;
    guid::text(guid::fresh(mix(environment.requests), environment.requests))
}

fn single(environment: &mut Environment, operation: &Operation, refused: bool) -> Reply {
    if refused {
        return multiple::refused_row().reply(false);
    }
    match execute(environment, operation, &ContentIds::new()) {
        Ok(done) => done.reply,
        Err(refusal) => refusal.reply(false),
    }
}

fn execute(environment: &mut Environment, operation: &Operation, ids: &ContentIds) -> Result<Done, Refusal> {
    let call = Call::read(&operation.request, true)?;
    if call.segments.first().is_some_and(|segment| segment.name == "$batch") {
        return Err(Refusal::new(QUERY, "A batch cannot contain another batch."));
    }
    super::route(environment, &call, ids, None)
}

/// A change set as one part of the answer: all its replies, or the one refusal that undid it.
fn change_set(
    environment: &mut Environment,
    operations: &[Operation],
    refused: Option<usize>,
) -> (StatusCode, String) {
    let mut ids = ContentIds::new();
    let mut replies = Vec::new();
    environment.store.begin();
    let mut problem = (operations.len() > MOST).then(|| {
        Refusal::new(
            QUERY,
            format!(
                "The current change set contains too many operations. A maximum number of '{MOST}' \
            operations are allowed in a change set."
            ),
        )
    });
    for (place, operation) in operations.iter().enumerate() {
        if problem.is_some() {
            break;
        }
        let Some(id) = &operation.content_id else {
            problem = Some(Refusal::new(QUERY, "Content-ID is required for each operation in a change set."));
            break;
        };
        if operation.request.method == Method::GET {
            problem = Some(Refusal::new(QUERY, "A change set cannot contain query operations."));
            break;
        }
        if refused == Some(place) {
            problem = Some(multiple::refused_row());
            break;
        }
        match execute(environment, operation, &ids) {
            Ok(done) => {
                if let Some(row) = done.row {
                    ids.insert(id.clone(), row);
                }
                replies.push((id.clone(), done.reply));
            }
            Err(refusal) => problem = Some(refusal),
        }
    }
    let mut out = String::new();
    if let Some(refusal) = problem {
        environment.store.roll_back();
        let reply = refusal.reply(false);
        write_body(None, &reply, &mut out);
        return (reply.status, out);
    }
    environment.store.commit();
    let boundary = format!("changesetresponse_{}", fresh(environment));
    let _ = write!(out, "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n");
    for (id, reply) in &replies {
        write_part(&boundary, Some(id), reply, &mut out);
    }
    let _ = write!(out, "--{boundary}--\r\n");
    (StatusCode::OK, out)
}

fn write_part(boundary: &str, content_id: Option<&str>, reply: &Reply, out: &mut String) {
    let _ = write!(out, "--{boundary}\r\n");
    write_body(content_id, reply, out);
}

fn write_body(content_id: Option<&str>, reply: &Reply, out: &mut String) {
    out.push_str("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = content_id {
        let _ = write!(out, "Content-ID: {id}\r\n");
    }
    let reason = reply.status.canonical_reason().unwrap_or_default();
    let _ = write!(out, "\r\nHTTP/1.1 {} {reason}\r\n", reply.status.as_u16());
    if !reply.status.is_success() {
        let hash = mix(out.len() as u64);
        let _ = write!(out, "REQ_ID: {}\r\n", guid::text(guid::fresh(hash, 1)));
    }
    for (name, value) in &reply.headers {
        let name = match name.as_str() {
            "content-type" => "Content-Type",
            "odata-entityid" => "OData-EntityId",
            "location" => "Location",
            "preference-applied" => "Preference-Applied",
            "etag" => "ETag",
            other => other,
        };
        let _ = write!(out, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    let _ = write!(out, "OData-Version: 4.0\r\n\r\n{}\r\n", String::from_utf8_lossy(&reply.body));
}

fn boundary(content_type: &str) -> Option<&str> {
    let lower = content_type.to_ascii_lowercase();
    if !lower.trim_start().starts_with("multipart/mixed") {
        return None;
    }
    let at = lower.find("boundary=")? + "boundary=".len();
    let value = content_type.get(at..)?.split(';').next()?.trim();
    Some(value.trim_matches('"')).filter(|value| !value.is_empty())
}

fn unreadable() -> Refusal {
    Refusal::new(PAYLOAD, "Stream was not readable.")
}

fn read(request: &Request) -> Result<Vec<Part>, Refusal> {
    let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mark = boundary(kind).ok_or_else(|| {
        Refusal::new(
            QUERY,
            "The message header 'Content-Type' of a batch must be 'multipart/mixed' with a boundary.",
        )
    })?;
    let text = std::str::from_utf8(&request.body).map_err(|_| unreadable())?;
    let mut out = Vec::new();
    let mut number = 0;
    for part in parts(text, mark)? {
        let (headers, body) = head(part)?;
        let kind =
            headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        if let Some(inner) = boundary(&kind) {
            let operations = parts(body, inner)?
                .into_iter()
                .map(|part| operation(part, request))
                .collect::<Result<Vec<_>, _>>()?;
            number += operations.len();
            out.push(Part::ChangeSet(operations));
        } else {
            number += 1;
            out.push(Part::Single(Box::new(operation(part, request)?)));
        }
    }
    if number > MOST && out.len() > 1 {
        return Err(Refusal::new(
            QUERY,
            format!(
                "The current batch contains too many requests. A maximum number of '{MOST}' requests are allowed in a batch."
            ),
        ));
    }
    Ok(out)
}

/// What stands between boundaries; lines must end as the protocol says.
fn parts<'a>(text: &'a str, mark: &str) -> Result<Vec<&'a str>, Refusal> {
    let delimiter = format!("--{mark}");
    let mut pieces = text.split(delimiter.as_str());
    pieces.next();
    let mut out = Vec::new();
    for piece in pieces {
        if piece.starts_with("--") {
            return Ok(out);
        }
        let piece = piece.strip_prefix("\r\n").ok_or_else(unreadable)?;
        out.push(piece.strip_suffix("\r\n").unwrap_or(piece));
    }
    Err(unreadable())
}

/// Headers up to the first empty line, and what follows it.
fn head(part: &str) -> Result<(HeaderMap, &str), Refusal> {
    let (head, body) = match part.strip_prefix("\r\n") {
        Some(body) => ("", body),
        None => part
            .split_once("\r\n\r\n")
            .or_else(|| Some((part.strip_suffix("\r\n")?, "")))
            .ok_or_else(unreadable)?,
    };
    let mut headers = HeaderMap::new();
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(unreadable)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| unreadable())?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| unreadable())?);
    }
    Ok((headers, body))
}

fn operation(part: &str, outer: &Request) -> Result<Operation, Refusal> {
    let (outer_headers, inner) = head(part)?;
    let (line, rest) = inner.split_once("\r\n").unwrap_or((inner, ""));
    let mut words = line.split(' ');
    let (Some(method), Some(address), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(unreadable());
    };
    if !version.starts_with("HTTP/1.") {
        return Err(unreadable());
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| unreadable())?;
    let (headers, body) = head(rest)
        .or_else(|refusal| if rest.is_empty() { Ok((HeaderMap::new(), "")) } else { Err(refusal) })?;
    let content_id = [&headers, &outer_headers]
        .iter()
        .find_map(|headers| headers.get("content-id"))
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let root = outer.path.strip_suffix("$batch").unwrap_or("/api/data/v9.2/");
    let local = match address.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]).to_owned(),
        None if address.starts_with("/$") => format!("{root}{}", &address[1..]),
        None if address.starts_with('/') => address.to_owned(),
        None => format!("{root}{address}"),
    };
    let (path, query) = local.split_once('?').unwrap_or((local.as_str(), ""));
    let request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Bytes::from(body.trim_end().to_owned()),
        origin: outer.origin.clone(),
        now: outer.now,
    };
    Ok(Operation { request, content_id })
}
