//! The bytes of file and image columns. Files are read in ranges, so that a connection that breaks off costs no
//! more than the rest, and written in blocks that take effect only when the last of them is there.
//!
//! Source: "Use file column data", "Use image column data" (Microsoft Dataverse developer documentation).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::records::DynamicsRecords;
use super::{api, dialect, keys};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{BodyStream, Reply};
use crate::provider::content::{Blocks, ContentBytes};
use crate::provider::{Content, Context, Outcome, WriteOptions};
use crate::record::Key;
use crate::record::record_type::FieldType;

/// Bytes of a range or block: the size that Dataverse recommends, and the most that it takes.
const BLOCK: usize = 4 * 1024 * 1024;
/// How often in a row a range that broke off is asked for again.
const BREAKS_MAX: u32 = 3;
/// The service's code where files do not lie in file storage and come in one piece only.
const WHOLE_ONLY: &str = "0x80090017";

/// One file on its way.
struct Reading {
    cx: Context,
    version: String,
    /// `accounts(id)/column`.
    resource: String,
    /// The answer that pieces come from now.
    pieces: Option<ContentBytes>,
    at: u64,
    size: u64,
    /// Whether the rest can be asked for by ranges.
    ranges: bool,
    breaks: u32,
    /// The id of the file that was asked for, and how to look whether the column still has it.
    file: Option<(String, String, String)>,
    /// Whether more than one answer was put together.
    joined: bool,
}

impl DynamicsRecords {
    /// The bytes of a column, while they come.
    pub(super) async fn content(&self, cx: &Context, key: &Key, field: &str) -> Result<Content> {
        let id = keys::id_of(key)?;
        let resource = format!("{}({id})/{field}", self.described.wires.set);
        let empty = || {
            Error::new(ErrorKind::NotFound, format!("{field} of this record has no content"))
                .with_code("no_content")
                .with_key(key.to_string())
        };
        let keyed = |error: Error| error.with_key(key.to_string());
        if self.is_image(field) {
            let full = if self.described.wires.full_images.iter().any(|name| name == field) {
                "?size=full"
            } else {
                ""
            };
            let call = api::content(self.version(), &format!("{resource}/$value{full}"), None);
            let reply = cx.send(call).await.map_err(keyed)?;
            return if reply.status == StatusCode::NO_CONTENT { Err(empty()) } else { whole(&reply) };
        }
        let file = self.file_id(cx, &id, field).await.map_err(keyed)?.ok_or_else(empty)?;
        let value = format!("{resource}/$value");
        let first = cx.send(api::content(self.version(), &value, Some((0, BLOCK as u64 - 1)))).await;
        let reply = match first {
            Err(error) if error.code() == Some(WHOLE_ONLY) => {
                cx.send(api::content(self.version(), &value, None)).await
            }
            first => first,
        };
        let reply = reply.map_err(keyed)?;
        let Some(size) = size_of(&reply) else { return whole(&reply) };
        let reading = Reading {
            cx: cx.clone(),
            version: self.version().to_owned(),
            ranges: reply.status == StatusCode::PARTIAL_CONTENT,
            pieces: reply.stream.as_ref().and_then(BodyStream::take),
            at: 0,
            size,
            breaks: 0,
            file: Some((
                file,
                format!("{}({id})?$select={field}", self.described.wires.set),
                field.to_owned(),
            )),
            joined: false,
            resource: value,
        };
        let bytes = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        Ok(Content::new(bytes.boxed()).of_length(Some(size)).of_media_type(media_type(&reply)))
    }

    fn is_image(&self, field: &str) -> bool {
        let field = self.record_type_here().field(field);
        field.is_some_and(|field| matches!(field.field_type, FieldType::Binary { inline: true, .. }))
    }

    /// The id of the file that a column has.
    async fn file_id(&self, cx: &Context, id: &str, field: &str) -> Result<Option<String>> {
        let resource = format!("{}({id})?$select={field}", self.described.wires.set);
        file_in(&cx.send(api::get("content get", self.version(), &resource, "")).await?, field)
    }

    /// Replaces the bytes of a column.
    pub(super) async fn put_content(
        &self,
        cx: &Context,
        key: &Key,
        field: &str,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        let id = keys::id_of(key)?;
        let option = |name: &str| options.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        let name = option("file_name").unwrap_or(field);
        let media_type = option("media_type").map(str::to_owned).or_else(|| content.media_type.clone());
        let most = match self.record_type_here().field(field).map(|field| &field.field_type) {
            Some(FieldType::Binary { max_bytes, .. }) => *max_bytes,
            _ => None,
        };
        if let (Some(length), Some(most)) = (content.length, most)
            && length > most
        {
            return Err(too_large(field, most));
        }
        let mut blocks = Limited { field: field.to_owned(), blocks: Blocks::new(content.bytes, BLOCK), most };
        let first = blocks.next().await?.unwrap_or_default();
        let second = blocks.next().await?;
        let written = match (second, media_type) {
            (None, None) if name.is_ascii() => {
                let resource = format!("{}({id})/{field}", self.described.wires.set);
                cx.send(api::put_content(self.version(), &resource, name, first)?).await.map(|_| ())
            }
            (second, media_type) => {
                let upload = Upload {
                    target: json!({
                        self.described.wires.id.as_str(): id,
                        "@odata.type": format!("Microsoft.Dynamics.CRM.{}", self.record_type_here().name),
                    }),
                    field,
                    name,
                    media_type: media_type.as_deref().unwrap_or("application/octet-stream"),
                };
                self.upload(cx, &upload, first, second, &mut blocks).await
            }
        };
        match written {
            Ok(()) => Ok(Outcome::Updated(Key::text(id))),
            Err(error) if error.leaves_open() => Ok(Outcome::lost(&self.about("content put")(error), None)),
            Err(error) => Err(error.with_key(key.to_string())),
        }
    }

    /// Blocks one after another, then the order to put them together: until then the column keeps what it has.
    async fn upload(
        &self,
        cx: &Context,
        upload: &Upload<'_>,
        first: Bytes,
        second: Option<Bytes>,
        blocks: &mut Limited,
    ) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Begun {
            file_continuation_token: String,
        }
        let begin =
            json!({ "Target": upload.target, "FileName": upload.name, "FileAttributeName": upload.field });
        let call = api::action(self.version(), "InitializeFileBlocksUpload", &begin);
        let reply = cx.send(call.idempotent(true)).await?;
        let token =
            dialect::read::<Begun>("the beginning of an upload", &reply.body)?.file_continuation_token;
        let mut ids: Vec<String> = Vec::new();
        let (mut next, mut after) = (Some(first), second);
        while let Some(block) = next {
            // Ids of blocks have to be of one length.
            let id = STANDARD.encode(format!("block-{:08}", ids.len()));
            let body = json!({
                "BlockId": id, "BlockData": STANDARD.encode(&block), "FileContinuationToken": token,
            });
            let call = api::action(self.version(), "UploadBlock", &body);
            // The same block under the same id; nothing of it shows before the end.
            cx.send(call.idempotent(true)).await.map_err(not_yet)?;
            ids.push(id);
            next = match after.take() {
                Some(block) => Some(block),
                None => blocks.next().await?,
            };
        }
        let end = json!({
            "FileName": upload.name, "MimeType": upload.media_type, "BlockList": ids, "FileContinuationToken": token,
        });
        cx.send(api::action(self.version(), "CommitFileBlocksUpload", &end)).await.map(|_| ())
    }
}

/// What an upload is told about besides the bytes.
struct Upload<'a> {
    target: Json,
    field: &'a str,
    name: &'a str,
    media_type: &'a str,
}

/// A block that was not taken leaves the column as it was, whatever became of the answer.
fn not_yet(error: Error) -> Error {
    if !error.leaves_open() {
        return error;
    }
    let message = format!("the content was not written: {}", error.message());
    Error::new(ErrorKind::Unavailable, message)
        .with_retry(crate::error::Retry::Always)
        .with_code("upload_broke_off")
        .with_advice("The column still has what it had; write the content again")
        .with_source(error)
}

fn too_large(field: &str, most: u64) -> Error {
    Error::invalid(format!("the content is larger than the {most} bytes that {field} takes"))
        .with_code("content_too_large")
        .with_field(field, format!("at most {most} bytes"))
}

/// Blocks of a content that a column takes only so much of.
struct Limited {
    field: String,
    blocks: Blocks,
    most: Option<u64>,
}

impl Limited {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let block = self.blocks.next().await?;
        match self.most.filter(|most| self.blocks.read() > *most) {
            Some(most) => Err(too_large(&self.field, most)),
            None => Ok(block),
        }
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(pieces) = &mut self.pieces {
                match pieces.next().await {
                    Some(Ok(piece)) if piece.is_empty() => continue,
                    Some(Ok(piece)) => {
                        self.at += piece.len() as u64;
                        if self.at > self.size {
                            return Err(broken("the file is longer than was announced"));
                        }
                        self.breaks = 0;
                        return Ok(Some(piece));
                    }
                    Some(Err(error)) if !self.ranges || self.breaks >= BREAKS_MAX => return Err(error),
                    Some(Err(_)) => self.breaks += 1,
                    None => {}
                }
                self.pieces = None;
            }
            if self.at == self.size {
                self.still_the_same().await?;
                return Ok(None);
            }
            if !self.ranges || self.breaks > BREAKS_MAX {
                return Err(broken("the file ended before all of it had come"));
            }
            self.breaks += 1;
            self.joined = true;
            let last = (self.at + BLOCK as u64).min(self.size) - 1;
            let reply =
                self.cx.send(api::content(&self.version, &self.resource, Some((self.at, last)))).await?;
            if reply.status != StatusCode::PARTIAL_CONTENT || size_of(&reply) != Some(self.size) {
                return Err(changed());
            }
            self.pieces = reply.stream.as_ref().and_then(BodyStream::take);
        }
    }

    /// Parts of two files must not be taken for one.
    async fn still_the_same(&mut self) -> Result<()> {
        let Some((file, resource, field)) = self.file.take().filter(|_| self.joined) else { return Ok(()) };
        let reply = self.cx.send(api::get("content get", &self.version, &resource, "")).await?;
        if file_in(&reply, &field)?.as_deref() == Some(file.as_str()) { Ok(()) } else { Err(changed()) }
    }
}

fn file_in(reply: &Reply, field: &str) -> Result<Option<String>> {
    let row: Json = dialect::read("the column of a file", &reply.body)?;
    Ok(row.get(field).and_then(Json::as_str).map(str::to_owned))
}

fn broken(message: &str) -> Error {
    Error::protocol(message).with_provider("dynamics").with_code("content_broke_off")
}

fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "the file was replaced while it was read")
        .with_provider("dynamics")
        .with_code("content_changed")
        .with_advice("Read it again")
}

fn size_of(reply: &Reply) -> Option<u64> {
    reply.header("x-ms-file-size").and_then(|size| size.trim().parse().ok())
}

fn media_type(reply: &Reply) -> Option<String> {
    reply.header("mimetype").or_else(|| reply.header("content-type")).map(str::to_owned)
}

/// An answer that is the whole content.
fn whole(reply: &Reply) -> Result<Content> {
    if reply.status == StatusCode::PARTIAL_CONTENT {
        return Err(broken("the size of the file is not told"));
    }
    let bytes = reply.stream.as_ref().and_then(BodyStream::take);
    let bytes = bytes.ok_or_else(|| Error::bug("a streamed answer came without its stream"))?;
    let length = reply.header("content-encoding").is_none().then(|| size_of(reply)).flatten();
    Ok(Content::new(bytes).of_length(length).of_media_type(media_type(reply)))
}
