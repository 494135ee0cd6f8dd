//! Bytes out: whole or in ranges, with what they belong to in a header; links that give the same for four
//! hours.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, ETAG, IF_NONE_MATCH, RANGE};
use http::{HeaderName, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Space;
use super::arguments::PathKind;
use super::call::Call;
use super::content::fingerprint;
use super::errors::{Refusal, TEXT};
use super::metadata::Look;
use super::paper;
use super::places::Target;
use super::tree::{Node, Revision};
use crate::emulator::service::{Reply, Request};

pub(super) const OCTETS: &str = "application/octet-stream";
pub(super) const RESULT: HeaderName = HeaderName::from_static("dropbox-api-result");
const LINK_HOURS: i64 = 4;
/// Where temporary links lead.
pub(super) const LINKS: &str = "/2/emulated/link/";

/// The file that a call names, and which of its revisions.
pub(super) fn file(space: &Space, call: &Call<'_>) -> Result<(Node, Revision), Refusal> {
    let text = call.arguments.path("path", PathKind::Read)?;
    match call.view.find(&space.tree, &space.home, text) {
        Ok(Target::Revision(node, revision)) => Ok((node, revision)),
        Ok(Target::Node(node)) => match node.latest().cloned() {
            Some(latest) => Ok((node, latest)),
            None => Err(Refusal::tags(&["path", "not_file"])),
        },
        Ok(Target::Root) => Err(Refusal::tags(&["path", "not_file"])),
        Ok(Target::Nothing(_)) => Err(Refusal::tags(&["path", "not_found"])),
        Err(tag) => Err(Refusal::tags(&["path", tag])),
    }
}

pub(super) fn download(space: &Space, call: &Call<'_>) -> Result<Reply, Refusal> {
    call.arguments.only(&["path", "rev"])?;
    let (node, mut revision) = file(space, call)?;
    if let Some(rev) = call.arguments.optional_text("rev")? {
        let found = super::tree::parse_rev(rev).and_then(|rev| space.tree.revision(rev));
        revision = found.ok_or_else(|| Refusal::tags(&["path", "not_found"]))?.1;
    }
    if paper::is_document(&node) {
        return Err(Refusal::tags(&["unsupported_file"]));
    }
    let look = Look { tree: &space.tree, view: &call.view, tag: false, templates: &[] };
    let result = ascii(&look.file(&node, &revision).to_string());
    let tag = format!("W/\"{}\"", revision.text());
    Ok(bytes(call.request, &revision.content.bytes(), &tag).with_header(RESULT, &result))
}

/// The bytes asked for: 304 when the client has them, 206 for a part, 416 for one that is not there.
fn bytes(request: &Request, all: &Bytes, tag: &str) -> Reply {
    let header = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    if header(IF_NONE_MATCH).is_some_and(|known| known.split(',').any(|own| own.trim() == tag)) {
        return Reply::empty(StatusCode::NOT_MODIFIED).with_header(ETAG, tag);
    }
    let size = all.len();
    let reply = match header(RANGE).and_then(|text| part(text, size)) {
        None => Reply::new(StatusCode::OK, OCTETS, all.clone()),
        Some(Some((first, last))) => Reply::new(StatusCode::PARTIAL_CONTENT, OCTETS, all.slice(first..=last))
            .with_header(CONTENT_RANGE, &format!("bytes {first}-{last}/{size}")),
        Some(None) => Reply::new(StatusCode::RANGE_NOT_SATISFIABLE, TEXT, "Requested range not satisfiable")
            .with_header(CONTENT_RANGE, &format!("bytes */{size}")),
    };
    reply.with_header(ETAG, tag).with_header(ACCEPT_RANGES, "bytes").with_header(CACHE_CONTROL, "no-cache")
}

/// The first and last byte of one range (RFC 9110 section 14.1.2); `Some(None)` when there is no such part. Other
/// forms are as if nothing was asked.
fn part(text: &str, size: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = size.checked_sub(1);
    let range = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last),
        (Ok(first), Err(_)) if last.is_empty() => (first, usize::MAX),
        (Err(_), Ok(count)) if first.is_empty() => (size.saturating_sub(count), usize::MAX),
        _ => return None,
    };
    Some(end.filter(|end| range.0 <= *end).map(|end| (range.0, range.1.min(end))))
}

/// JSON with every character beyond ASCII escaped, as a header must have it.
pub(super) fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if (' '..='~').contains(&character) {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// A link that needs no token.
#[derive(Debug)]
pub(super) struct Link {
    rev: u64,
    until: Timestamp,
}

pub(super) fn temporary_link(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["path"])?;
    let (node, revision) = file(space, call)?;
    let id = fingerprint(&format!("link {} {}", space.temporary.len(), revision.rev));
    let until = call.now.saturating_add(SignedDuration::from_hours(LINK_HOURS)).unwrap_or(call.now);
    space.temporary.insert(id.clone(), Link { rev: revision.rev, until });
    let look = Look { tree: &space.tree, view: &call.view, tag: false, templates: &[] };
    Ok(json!({
        "metadata": look.file(&node, &revision),
        "link": format!("{}{LINKS}{id}", call.request.origin),
    }))
}

/// What a temporary link gives.
pub(super) fn follow(space: &Space, request: &Request) -> Reply {
    let id = request.path.strip_prefix(LINKS).unwrap_or_default();
    let found = space.temporary.get(id).and_then(|link| Some((link, space.tree.revision(link.rev)?.1)));
    match found {
        Some((link, revision)) if request.now < link.until => {
            bytes(request, &revision.content.bytes(), &format!("W/\"{}\"", revision.text()))
        }
        Some(_) => Reply::new(StatusCode::GONE, TEXT, "This link is no longer good"),
        None => Reply::new(StatusCode::NOT_FOUND, TEXT, "There is no such link"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_standard() {
        assert_eq!(part("bytes=0-3", 10), Some(Some((0, 3))));
        assert_eq!(part("bytes=4-", 10), Some(Some((4, 9))));
        assert_eq!(part("bytes=-3", 10), Some(Some((7, 9))));
        assert_eq!(part("bytes=5-99", 10), Some(Some((5, 9))));
        assert_eq!(part("bytes=10-", 10), Some(None));
        assert_eq!(part("bytes=0-", 0), Some(None));
        assert_eq!(part("bytes=4-3", 10), None);
        assert_eq!(part("lines=1-2", 10), None);
    }

    #[test]
    fn headers_hold_ascii_only() {
        assert_eq!(ascii("{\"a\":\"ü\u{7f}😀\"}"), "{\"a\":\"\\u00fc\\u007f\\ud83d\\ude00\"}");
    }
}
