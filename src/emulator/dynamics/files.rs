//! Columns of files and images: written in one request, in chunks behind a session token or in blocks that are
//! committed at the end; read whole or by ranges.
//!
//! Source: "Use file column data", "Use image column data" (Microsoft Dataverse developer documentation).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, LOCATION};
use http::{HeaderName, Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::cell::Cell;
use super::describe::{Column, Kind};
use super::errors::{FILE_TOO_BIG, IMAGE_REFUSED, INVALID_ARGUMENT, NOT_FOUND, Refusal};
use super::modify::Done;
use super::request::Call;
use super::rows::{Place, Store};
use super::{guid, json_reply, read, write};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

/// Most bytes of a chunk or block.
const CHUNK: usize = 4 * 1024 * 1024;
/// Most bytes of an upload in one request.
const WHOLE: usize = 128 * 1024 * 1024;

/// What was uploaded, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Files {
    stored: HashMap<u128, File>,
    uploads: HashMap<String, Upload>,
    made: u64,
}

#[derive(Debug, Clone)]
struct File {
    name: String,
    bytes: Bytes,
}

/// An upload that has begun.
#[derive(Debug)]
struct Upload {
    at: Place,
    column: usize,
    name: String,
    chunks: Vec<u8>,
    blocks: HashMap<String, Bytes>,
}

impl Files {
    fn fresh(&mut self, seed: u64) -> u128 {
        self.made += 1;
        guid::fresh(seed ^ 0xF11E, self.made)
    }
}

/// Whether a column's bytes have an address of their own.
pub(super) fn has_content(column: &Column) -> bool {
    column.file || column.kind == Kind::Image
}

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::new(INVALID_ARGUMENT, message)
}

/// PATCH or DELETE of such a column.
///
/// # Errors
/// What is too big, has no name, or does not go on where the chunk before ended.
pub(super) fn change(store: &mut Store, call: &Call<'_>, at: Place, column: usize) -> Result<Done, Refusal> {
    if *call.method() == Method::DELETE {
        store.set(at, column, Cell::Null);
        write::changed(store, at, call.request.now);
        return Ok(Reply::empty(StatusCode::NO_CONTENT).into());
    }
    if *call.method() != Method::PATCH {
        return Err(Refusal::method_not_allowed(call.method()));
    }
    if let Some(token) = call.option("sessiontoken") {
        return chunk(store, call, token);
    }
    let name = call.header("x-ms-file-name").or_else(|| call.option("x-ms-file-name"));
    let name = name.ok_or_else(|| wrong("The file name is missing.")).map(str::to_owned)?;
    if call.header("x-ms-transfer-mode") == Some("chunked") {
        let token = begin(store, at, column, name);
        let address = read::row_address(store, call, at);
        let address =
            format!("{address}/{}?sessiontoken={token}", store.about(at.table).columns[column].name);
        let reply = Reply::empty(StatusCode::OK)
            .with_header(LOCATION, &address)
            .with_header(ACCEPT_RANGES, "bytes")
            .with_header(HeaderName::from_static("x-ms-chunk-size"), &CHUNK.to_string());
        return Ok(reply.into());
    }
    if call.header("content-type") != Some("application/octet-stream") {
        return Err(wrong("The content type of a file is application/octet-stream."));
    }
    if call.request.body.len() > WHOLE {
        return Err(wrong("A file this large is uploaded in chunks."));
    }
    keep(store, at, column, name, call.request.body.clone(), call.request.now)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).into())
}

fn begin(store: &mut Store, at: Place, column: usize, name: String) -> String {
    let token = guid::text(store.files.fresh(store.seed));
    let upload = Upload { at, column, name, chunks: Vec::new(), blocks: HashMap::new() };
    store.files.uploads.insert(token.clone(), upload);
    token
}

/// The next chunk of an upload; the last one ends it.
fn chunk(store: &mut Store, call: &Call<'_>, token: &str) -> Result<Done, Refusal> {
    let range = call.header("content-range").and_then(|text| {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?, total.parse::<usize>().ok()?))
    });
    let (first, last, total) = range.ok_or_else(|| wrong("The Content-Range of the chunk is missing."))?;
    let body = &call.request.body;
    let upload =
        store.files.uploads.get_mut(token).ok_or_else(|| wrong("There is no such upload session."))?;
    let fits = first == upload.chunks.len() && last + 1 == first + body.len() && last < total;
    if !fits || body.len() > CHUNK {
        return Err(wrong("The chunk does not go on where the one before ended."));
    }
    upload.chunks.extend_from_slice(body);
    if last + 1 < total {
        return Ok(Reply::empty(StatusCode::PARTIAL_CONTENT).into());
    }
    let Some(upload) = store.files.uploads.remove(token) else { return Err(wrong("The session has ended.")) };
    keep(store, upload.at, upload.column, upload.name, upload.chunks.into(), call.request.now)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).into())
}

/// Puts bytes into a column; what identifies them.
fn keep(
    store: &mut Store,
    at: Place,
    column: usize,
    name: String,
    bytes: Bytes,
    now: Timestamp,
) -> Result<u128, Refusal> {
    let about = &store.about(at.table).columns[column];
    let image = about.kind == Kind::Image;
    if about.max_kilobytes.is_some_and(|most| bytes.len() as u64 > most * 1024) {
        return Err(if image {
            Refusal::new(IMAGE_REFUSED, "Error occured when processing image. Reason: File size is too big.")
        } else {
            Refusal::new(FILE_TOO_BIG, "Attachment file size is too big.")
        });
    }
    let id = store.files.fresh(store.seed);
    if image {
        store.set(at, column, Cell::text(STANDARD.encode(&bytes)));
    } else {
        store.set(at, column, Cell::Guid(id));
        store.files.stored.insert(id, File { name, bytes });
    }
    write::changed(store, at, now);
    Ok(id)
}

/// `GET .../column/$value`: the bytes, or those that `Range` asks for.
///
/// # Errors
/// Ranges that begin behind the end.
pub(super) fn value(store: &Store, call: &Call<'_>, at: Place, column: usize) -> Result<Reply, Refusal> {
    let about = &store.about(at.table).columns[column];
    let file = match store.cell(at, column) {
        Cell::Null => return Ok(Reply::empty(StatusCode::NO_CONTENT)),
        Cell::Text(_) if call.option("size") == Some("full") && !about.full_image => {
            let message = format!("No FileAttachment records found for image attribute: {}.", about.name);
            return Err(Refusal::new(NOT_FOUND, message).with_status(StatusCode::NOT_FOUND));
        }
        Cell::Guid(id) => store.files.stored.get(&id).cloned().unwrap_or_else(|| File {
            name: "seeded.txt".to_owned(),
            bytes: Bytes::from(format!("The file {} of an emulated row.\n", guid::text(id))),
        }),
        image => {
            let bytes = STANDARD.decode(image.plain()).unwrap_or_default();
            File { name: format!("{}.png", about.name), bytes: bytes.into() }
        }
    };
    let size = file.bytes.len();
    let whole = |status, bytes: Bytes| {
        Reply::new(status, "application/octet-stream", bytes)
            .with_header(HeaderName::from_static("x-ms-file-size"), &size.to_string())
            .with_header(HeaderName::from_static("x-ms-file-name"), &file.name)
            .with_header(HeaderName::from_static("mimetype"), "application/octet-stream")
    };
    let range = call.header("range").and_then(|text| {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
    });
    Ok(match range {
        None => whole(StatusCode::OK, file.bytes.clone()),
        Some((first, _)) if first >= size && size > 0 => {
            return Err(wrong("The range begins behind the end of the file.")
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE));
        }
        Some((first, last)) => {
            let end = (last + 1).min(size).min(first + CHUNK);
            whole(StatusCode::PARTIAL_CONTENT, file.bytes.slice(first.min(end)..end))
                .with_header(HeaderName::from_static("x-ms-chunk-size"), &CHUNK.to_string())
        }
    })
}

/// The actions of an upload in blocks; `None` for other names.
///
/// # Errors
/// Rows, columns and uploads that do not exist, blocks that are missing or too large.
pub(super) fn action(store: &mut Store, call: &Call<'_>, name: &str) -> Option<Result<Done, Refusal>> {
    match name {
        "InitializeFileBlocksUpload" => Some(initialize(store, call)),
        "UploadBlock" => Some(block(store, call)),
        "CommitFileBlocksUpload" => Some(commit(store, call)),
        _ => None,
    }
}

fn text<'j>(body: &'j Json, name: &str) -> Result<&'j str, Refusal> {
    let missing = || wrong(format!("Required field '{name}' is missing."));
    body.get(name).and_then(Json::as_text).ok_or_else(missing)
}

fn initialize(store: &mut Store, call: &Call<'_>) -> Result<Done, Refusal> {
    let body = call.json()?;
    let target = body.get("Target").ok_or_else(|| wrong("Required field 'Target' is missing."))?;
    let kind = text(target, "@odata.type")?.trim_start_matches('#');
    let kind = kind.strip_prefix("Microsoft.Dynamics.CRM.").unwrap_or(kind);
    let table = store.model.table(kind).ok_or_else(|| Refusal::no_segment(kind))?;
    let about = store.about(table);
    let id = guid::parse(text(target, &about.columns[about.id].name)?)
        .ok_or_else(|| wrong("The key is no guid."))?;
    let column = about.column(text(&body, "FileAttributeName")?);
    let column = column.filter(|column| has_content(&about.columns[*column]));
    let column = column.ok_or_else(|| wrong("The column holds no file."))?;
    let at = store.locate(table, id).ok_or_else(|| Refusal::no_row(kind, &guid::text(id)))?;
    let name = text(&body, "FileName")?.to_owned();
    let token = begin(store, at, column, name);
    let answer = json!({
        "@odata.context": call.context("Microsoft.Dynamics.CRM.InitializeFileBlocksUploadResponse"),
        "FileContinuationToken": token,
    });
    Ok(json_reply(StatusCode::OK, answer.to_string()).into())
}

fn block(store: &mut Store, call: &Call<'_>) -> Result<Done, Refusal> {
    let body = call.json()?;
    let bytes = STANDARD.decode(text(&body, "BlockData")?).map_err(|_| wrong("BlockData is not base64."))?;
    if bytes.len() > CHUNK {
        return Err(wrong("A block has at most 4 MB."));
    }
    let id = text(&body, "BlockId")?;
    let token = text(&body, "FileContinuationToken")?;
    let upload = store.files.uploads.get_mut(token).ok_or_else(|| wrong("There is no such upload."))?;
    if STANDARD.decode(id).is_err() || upload.blocks.keys().any(|other| other.len() != id.len()) {
        return Err(wrong("The ids of blocks are base64, all of one length."));
    }
    upload.blocks.insert(id.to_owned(), bytes.into());
    Ok(Reply::empty(StatusCode::NO_CONTENT).into())
}

fn commit(store: &mut Store, call: &Call<'_>) -> Result<Done, Refusal> {
    let body = call.json()?;
    let list = body.get("BlockList").and_then(Json::as_list);
    let list = list.ok_or_else(|| wrong("Required field 'BlockList' is missing."))?;
    let token = text(&body, "FileContinuationToken")?;
    let name = text(&body, "FileName")?.to_owned();
    text(&body, "MimeType")?;
    let upload = store.files.uploads.get(token).ok_or_else(|| wrong("There is no such upload."))?;
    let mut bytes = Vec::new();
    for id in list {
        let block = id.as_text().and_then(|id| upload.blocks.get(id));
        bytes.extend_from_slice(block.ok_or_else(|| wrong("A block of the list was not uploaded."))?);
    }
    let (at, column, size) = (upload.at, upload.column, bytes.len());
    let id = keep(store, at, column, name, bytes.into(), call.request.now)?;
    store.files.uploads.remove(token);
    let answer = json!({
        "@odata.context": call.context("Microsoft.Dynamics.CRM.CommitFileBlocksUploadResponse"),
        "FileId": guid::text(id), "FileSizeInBytes": size,
    });
    Ok(json_reply(StatusCode::OK, answer.to_string()).into())
}
