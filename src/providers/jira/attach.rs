//! Files on issues as content of the field `attachment`: writing adds a file, reading gives the only one. Each file
//! is a record of the type `attachment` besides.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::api;
use super::records::IssueRecords;
use super::site::Door;
use super::writes::{id_of, no_issue};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{BodyStream, Upload};
use crate::provider::content::ContentBytes;
use crate::provider::{Content, Context, Outcome, WriteOptions};
use crate::record::Key;
use crate::record::capability::{ContentCapability, no_options};

/// The field of an issue that has files.
pub(super) const FIELD: &str = "attachment";
const FILE_NAME: &str = "file_name";
const MEDIA_TYPE: &str = "media_type";
const SKIP_EXISTING: &str = "skip_existing";
/// The name of a file that came without one.
const UNNAMED: &str = "attachment";

/// One file, as an issue lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct File {
    id: String,
    #[serde(default)]
    filename: String,
    #[serde(default)]
    size: u64,
}

/// What is kept of an addition before it is sent: whether it arrived shows by a file that was not there before.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    issue: String,
    files: Vec<String>,
}

/// What the site says of attachments.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    #[serde(default)]
    enabled: bool,
    upload_limit: Option<u64>,
}

/// Content of issues.
pub(super) fn capability() -> ContentCapability {
    let mut options = no_options();
    options["properties"][FILE_NAME] = json!({
        "type": "string", "title": "Name of the file", "description": "The name that the attachment gets", "default": UNNAMED
    });
    options["properties"][MEDIA_TYPE] = json!({
        "type": "string", "title": "Media type", "description": "What the file holds, such as image/png"
    });
    options["properties"][SKIP_EXISTING] = json!({
        "type": "boolean", "title": "Skip what is there", "default": false,
        "description": "Adds nothing when the issue has a file of this name and length already"
    });
    // What a site takes is asked for when something is written: it may change.
    ContentCapability { fields: vec![FIELD.to_owned()], writable: true, bytes_max: None, options }
}

/// A body that is a form with one file (RFC 7578) of this length, and its media type.
fn form(name: &str, media_type: &str, bytes: ContentBytes, length: u64) -> (Upload, String) {
    // A random line of 122 bits does not stand in a file.
    let boundary = format!("recordport-{}", Uuid::new_v4().simple());
    // Quotes in names are written as browsers write them.
    let name = name.replace('"', "%22");
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {media_type}\r\n\r\n"
    );
    let end = format!("\r\n--{boundary}--\r\n");
    let whole = (head.len() + end.len()) as u64 + length;
    let piece = |text: String| stream::iter([Ok(Bytes::from(text))]);
    let body = piece(head).chain(exactly(bytes, length)).chain(piece(end)).boxed();
    (Upload::new(body, whole), format!("multipart/form-data; boundary={boundary}"))
}

/// The bytes, ending with an error when they are not as many as was said.
fn exactly(bytes: ContentBytes, length: u64) -> ContentBytes {
    stream::try_unfold((bytes, length), |(mut bytes, left)| async move {
        match bytes.next().await.transpose()? {
            None if left == 0 => Ok(None),
            Some(piece) if piece.len() as u64 <= left => {
                let left = left - piece.len() as u64;
                Ok(Some((piece, (bytes, left))))
            }
            _ => Err(Error::protocol("the content has another length than was said")),
        }
    })
    .boxed()
}

/// An option that becomes part of a header within the body.
fn option<'o>(options: &'o WriteOptions, name: &str) -> Result<Option<&'o str>> {
    let Some(text) = options.get(name).and_then(Json::as_str).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let kept = match name {
        FILE_NAME => !text.chars().any(char::is_control),
        _ => text.is_ascii() && HeaderValue::from_str(text).is_ok(),
    };
    if kept {
        return Ok(Some(text));
    }
    let what = format!("the option {name} has characters that it cannot have");
    Err(Error::invalid(what)
        .with_code("bad_option")
        .with_advice("Give it on one line, without control characters"))
}

impl IssueRecords {
    /// Adds a file to an issue.
    pub(super) async fn attach(
        &self,
        cx: &Context,
        key: &Key,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        let id = id_of(key)?;
        let name = option(options, FILE_NAME)?.unwrap_or(UNNAMED);
        let given = option(options, MEDIA_TYPE)?.map(str::to_owned);
        let media_type = given.or_else(|| content.media_type.clone());
        let door = self.site.door(cx).await?;
        let before = self.files(cx, &door, &id).await?;
        let settings: Settings =
            self.site.ask(cx, "what is said of attachments", api::attachment_settings(&door)).await?;
        if !settings.enabled {
            return Err(Error::new(ErrorKind::Forbidden, "attachments are switched off on this site")
                .with_code("attachments_off")
                .with_advice("An administrator of the site can switch them on"));
        }
        let most = settings.upload_limit.unwrap_or(u64::MAX);
        if let Some(length) = content.length.filter(|length| *length > most) {
            return Err(Error::invalid(format!("the content has {length} bytes; this site takes {most}"))
                .with_code("content_too_large")
                .with_field(FIELD, format!("at most {most} bytes")));
        }
        let memory = content.memory.clone();
        // A form whose length is not known beforehand is collected: Jira takes no other.
        let (bytes, size) = match content.length {
            Some(length) => (content.bytes, length),
            None => {
                let all = content.collect(most).await?;
                let size = all.len() as u64;
                (stream::iter([Ok(Bytes::from(all))]).boxed(), size)
            }
        };
        let is_ours = |file: &File, before: &[String]| {
            file.filename == name && file.size == size && !before.contains(&file.id)
        };
        let known =
            memory.as_ref().and_then(|memory| serde_json::from_value::<Before>(memory.recall()?).ok());
        let known = known.filter(|known| known.issue == id);
        if let Some(known) = &known
            && before.iter().any(|file| is_ours(file, &known.files))
        {
            return Ok(Outcome::Updated(Key::text(id)));
        }
        if options.get(SKIP_EXISTING) == Some(&Json::Bool(true))
            && before.iter().any(|file| is_ours(file, &[]))
        {
            return Ok(Outcome::Unchanged(Key::text(id)));
        }
        let before: Vec<String> = before.into_iter().map(|file| file.id).collect();
        if let (Some(memory), None) = (&memory, &known) {
            memory.keep(&json!(Before { issue: id.clone(), files: before.clone() }))?;
        }
        let before = known.map_or(before, |known| known.files);
        let kind = media_type.as_deref().unwrap_or("application/octet-stream");
        let (body, kind) = form(name, kind, bytes, size);
        match self.site.send(cx, api::attach(&door, &id, body, &kind)?).await {
            Ok(_) => {
                if let Some(memory) = &memory {
                    memory.forget();
                }
                Ok(Outcome::Updated(Key::text(id)))
            }
            Err(error) if error.leaves_open() => {
                let now = self.files(cx, &door, &id).await.unwrap_or_default();
                let arrived = now.iter().any(|file| is_ours(file, &before));
                if arrived { Ok(Outcome::Updated(Key::text(id))) } else { Ok(Outcome::lost(&error, None)) }
            }
            Err(error) => Err(error),
        }
    }

    /// The file of an issue that has one.
    pub(super) async fn attached(&self, cx: &Context, key: &Key) -> Result<Content> {
        let id = id_of(key)?;
        let door = self.site.door(cx).await?;
        let files = self.files(cx, &door, &id).await?;
        let file = match files.as_slice() {
            [only] => only,
            [] => {
                return Err(
                    Error::new(ErrorKind::NotFound, "the issue has no attachment").with_code("no_content")
                );
            }
            several => {
                let names: Vec<String> =
                    several.iter().map(|file| format!("{} ({})", file.filename, file.id)).collect();
                return Err(Error::invalid(format!("the issue has several attachments: {}", names.join(", ")))
                    .with_code("several_contents")
                    .with_advice(format!(
                        "Read the content of one as a record of the type attachment, whose key is the issue's id and its own, \
                         such as [\"{id}\",\"{}\"]",
                        several[0].id
                    )));
            }
        };
        let mut call = api::get("content get", &door, &api::attachment_content(&file.id)).streamed();
        call.headers.remove(http::header::ACCEPT);
        let reply = self.site.send(cx, call).await?;
        let stream = reply.stream.as_ref().and_then(BodyStream::take);
        let bytes = stream.ok_or_else(|| Error::bug("a streamed call came back without its stream"))?;
        Ok(Content::new(bytes)
            .of_length(Some(file.size))
            .of_media_type(reply.header("content-type").map(str::to_owned)))
    }

    /// The files of an issue of this type.
    async fn files(&self, cx: &Context, door: &Door, id: &str) -> Result<Vec<File>> {
        let known = self.known(cx, door, &[(id.to_owned(), vec![FIELD.to_owned()])]).await?;
        let present = self.present(&known, id, true)?;
        match &present[FIELD] {
            Json::Null => Ok(Vec::new()),
            files => serde_json::from_value(files.clone()).map_err(|source| {
                no_issue()
                    .with_source(source)
                    .with_advice_instead("Jira's list of attachments has another form")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_holds_the_file_as_it_is_and_a_name_cannot_leave_its_header() {
        let bytes = |text: &'static str| stream::iter([Ok(Bytes::from(text))]).boxed();
        let whole = |upload: &Upload| {
            let pieces: Vec<Result<Bytes>> =
                futures::executor::block_on(upload.take().unwrap().collect::<Vec<_>>());
            pieces.into_iter().collect::<Result<Vec<Bytes>>>().map(|pieces| pieces.concat())
        };
        let (body, kind) = form("a\"b.txt", "text/plain", bytes("1\r\n2"), 4);
        let boundary = kind.split_once("boundary=").unwrap().1;
        let text = String::from_utf8(whole(&body).unwrap()).unwrap();
        assert_eq!(body.length, text.len() as u64);
        for wrong in [3, 5] {
            assert!(whole(&form("a", "text/plain", bytes("1\r\n2"), wrong).0).is_err());
        }
        assert!(
            text.starts_with(&format!("--{boundary}\r\n"))
                && text.ends_with(&format!("\r\n--{boundary}--\r\n"))
        );
        assert!(text.contains("filename=\"a%22b.txt\"\r\nContent-Type: text/plain\r\n\r\n1\r\n2\r\n--"));
        let options = |name: &str, value: &str| WriteOptions::from_iter([(name.to_owned(), json!(value))]);
        for bad in ["a\r\nX: 1", "a\u{0}"] {
            assert!(option(&options(FILE_NAME, bad), FILE_NAME).is_err());
            assert!(option(&options(MEDIA_TYPE, bad), MEDIA_TYPE).is_err());
        }
        assert_eq!(option(&options(FILE_NAME, "Übung.pdf"), FILE_NAME).unwrap(), Some("Übung.pdf"));
    }
}
