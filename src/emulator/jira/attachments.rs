//! Files on issues.

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode};
use memchr::memmem;
use serde_json::Value;

use super::call::Call;
use super::errors::Refusal;
use super::store::{Attachment, Issue, Store};
use super::{metadata, read, render, write};
use crate::emulator::service::Reply;

const MOST: usize = 60;

/// One part of a multipart body.
struct Part<'a> {
    name: String,
    media: String,
    content: &'a [u8],
}

/// Adds the files of a multipart body to an issue.
pub(super) fn add(store: &mut Store, call: &Call<'_>, key: &str) -> Result<Reply, Refusal> {
    call.only(&[Method::POST])?;
    if call.header("x-atlassian-token") != Some("no-check") {
        return Err(Refusal::text(StatusCode::FORBIDDEN, "text/plain;charset=UTF-8", "XSRF check failed"));
    }
    let issue = read::find(store, call, key)?;
    let author = metadata::me(&store.model, call)?.account.clone();
    let kind = call.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let boundary = kind.split_once("boundary=").map(|(_, rest)| rest.split(';').next().unwrap_or(rest));
    let Some(boundary) = boundary.filter(|_| kind.starts_with("multipart/form-data")) else {
        let detail = format!("Content-Type '{kind}' is not supported.");
        return Err(Refusal::problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    };
    let parts = parts(&call.request.body, boundary.trim_matches('"'));
    if parts.is_empty() {
        return Err(Refusal::bad("There are no files to attach."));
    }
    if parts.len() > MOST {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Err(Refusal::new(status, format!("The number of files must be at most {MOST}.")));
    }
    let mut issue = (*issue).clone();
    let mut shown = Vec::new();
    for part in parts {
        let own = Attachment {
            id: store.claim_part(),
            name: part.name,
            media: part.media,
            author: author.clone(),
            created: call.request.now.as_millisecond(),
            content: call.request.body.slice_ref(part.content),
        };
        shown.push(render::attachment(store, call, &own));
        issue.attachments.push(own);
    }
    write::commit(store, call, issue, Vec::new(), &Value::Null)?;
    Ok(Reply::json(StatusCode::OK, &Value::Array(shown)).committed())
}

/// The parts of a body that are named `file`.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    let mark = format!("--{boundary}");
    let mut out = Vec::new();
    let marks: Vec<usize> = memmem::find_iter(body, mark.as_bytes()).collect();
    for pair in marks.windows(2) {
        let whole = &body[pair[0] + mark.len()..pair[1]];
        let Some(end) = memmem::find(whole, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&whole[..end]).into_owned();
        let content = &whole[end + 4..];
        let content = content.strip_suffix(b"\r\n").unwrap_or(content);
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(own, _)| own.trim().eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        let disposition = header("content-disposition").unwrap_or_default();
        let parameter = |name: &str| {
            let rest = disposition.split_once(&format!("; {name}=\""))?.1;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        if parameter("name").as_deref() == Some("file") {
            out.push(Part {
                name: parameter("filename").unwrap_or_else(|| "file".to_owned()),
                media: header("content-type").unwrap_or_else(|| "application/octet-stream".to_owned()),
                content,
            });
        }
    }
    out
}

fn find<'a>(issues: &'a [std::sync::Arc<Issue>], id: &str) -> Option<(&'a Issue, &'a Attachment)> {
    issues.iter().find_map(|issue| {
        issue.attachments.iter().find(|own| own.id.to_string() == id).map(|own| (&**issue, own))
    })
}

/// `/attachment/{id}` and `/attachment/content/{id}`.
pub(super) fn one(store: &mut Store, call: &Call<'_>, id: &str, content: bool) -> Result<Reply, Refusal> {
    call.only(if content { &[Method::GET] } else { &[Method::GET, Method::DELETE] })?;
    let missing = || Refusal::not_found(format!("The attachment with id '{id}' does not exist"));
    let issues: Vec<_> = store.issues().filter(|own| !own.attachments.is_empty()).collect();
    let (issue, own) = find(&issues, id).filter(|_| call.account.is_some()).ok_or_else(missing)?;
    if *call.method() == Method::DELETE {
        let mut issue = issue.clone();
        issue.attachments.retain(|other| other.id != own.id);
        write::commit(store, call, issue, Vec::new(), &Value::Null)?;
        return Ok(write::no_content());
    }
    if !content {
        let mut metadata = render::attachment(store, call, own);
        // A number here, a text among the fields of an issue.
        metadata["id"] = own.id.into();
        return Ok(Reply::json(StatusCode::OK, &metadata));
    }
    // The real service leads to another host; here the content stays at one address.
    if call.option("redirect") != Some("false") {
        let address = format!("{}?redirect=false", call.link(&format!("attachment/content/{id}")));
        return Ok(Reply::empty(StatusCode::SEE_OTHER).with_header(LOCATION, &address));
    }
    let mut reply = Reply::empty(StatusCode::OK);
    reply.body = own.content.clone();
    let name = own.name.replace(['"', '\\'], "_");
    Ok(reply
        .with_header(CONTENT_TYPE, &own.media)
        .with_header(CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\"")))
}
