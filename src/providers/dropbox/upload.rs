//! Content into files: at once when it is short, else piece by piece in a session. Pieces are multiples of 4 MiB; one
//! whose answer was lost goes on from the byte that Dropbox names, and a session outlives the process that began it.
//!
//! Source: the Stone specification (`upload`, `upload_session/start`, `append_v2`, `finish`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::hash::{self, BLOCK, ContentHash, HashedPart};
use super::pages::Head;
use super::records::DropboxRecords;
use super::writes::{instant, is_on, written};
use super::{api, dialect};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::provider::content::{Blocks, UploadMemory};
use crate::provider::{Content, Context, Outcome, WriteOptions};
use crate::record::{Key, KeyPart};

/// Bytes of one request.
const PIECE: usize = 2 * BLOCK;
/// How often a piece is sent when its answers are lost.
const SENDINGS: u32 = 5;

/// Where a file is to be put, and how.
struct Place {
    /// The file itself by id, or the path of a new one or of one that is written over.
    path: String,
    /// The key, when the file is known to be there.
    present: Option<Key>,
    commit: Json,
}

/// A session as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    session_id: String,
    /// What the upload is of, so that another is not taken for it.
    path: String,
    length: Option<u64>,
}

impl DropboxRecords {
    /// Writes the content of a file. The key is the id of one that is there, or a path, where one is made if need be.
    pub(super) async fn put_content(
        &self,
        cx: &Context,
        key: &Key,
        content: Content,
        options: &WriteOptions,
    ) -> Result<Outcome> {
        let place = self.target(cx, key, options).await?;
        let Content { length, bytes, memory, .. } = content;
        let mut blocks = Blocks::new(bytes, PIECE);
        let first = next(&mut blocks).await?;
        let second = next(&mut blocks).await?;
        let since = cx.clock.now();
        let done = |key: Key| match &place.present {
            Some(present) if *present == key => Outcome::Updated(key),
            Some(_) | None => Outcome::Created(key),
        };
        let (hash, sent) = match second {
            None => {
                let (hash, bytes) = match first {
                    Some(first) => (first.hash(), first.bytes),
                    None => (hash::of(b""), Bytes::new()),
                };
                let mut argument = place.commit.clone();
                argument["content_hash"] = hash.as_str().into();
                let call = api::upload("content put", "files/upload", &argument, bytes)?;
                (hash, self.account.send(cx, call).await)
            }
            Some(second) => {
                let mut session = Session {
                    records: self,
                    cx,
                    hash: ContentHash::default(),
                    offset: 0,
                    id: None,
                    kept: 0,
                    memory: memory.as_deref(),
                    about: Begun { session_id: String::new(), path: place.path.clone(), length },
                };
                session.recall().await?;
                let mut now = first;
                let mut ahead = Ok(Some(second));
                while let Some(part) = now {
                    now = ahead?;
                    let reading = async {
                        match now {
                            Some(_) => next(&mut blocks).await,
                            None => Ok(None),
                        }
                    };
                    // The next part is read and hashed while this one is on its way.
                    let (sent, read) = tokio::join!(session.push(part), reading);
                    sent?;
                    ahead = read;
                }
                session.finish(&place.commit).await?
            }
        };
        match sent {
            Ok(reply) => {
                if let Some(memory) = memory {
                    memory.forget();
                }
                Ok(done(written(&reply.body, &hash)?))
            }
            // What is there tells whether it arrived.
            Err(error) if error.leaves_open() => match self.arrived(cx, &place.path, &hash, since).await {
                Ok(Some(key)) => {
                    if let Some(memory) = memory {
                        memory.forget();
                    }
                    Ok(done(key))
                }
                _ => Ok(Outcome::lost(&self.about("content put")(error), None)),
            },
            Err(error) => Err(error),
        }
    }

    async fn target(&self, cx: &Context, key: &Key, options: &WriteOptions) -> Result<Place> {
        let by = match key.parts() {
            [KeyPart::Text(text)] if text.starts_with("id:") => "id",
            _ => "path",
        };
        let path = self.named(by, key)?;
        let path = if by == "id" { path } else { self.inside("path", path)? };
        let text = |name: &str| options.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        let found = self.entry(cx, "content put", &path, false).await?;
        let head = found.as_deref().map(Head::of).transpose()?;
        if by == "id" && head.is_none() {
            return Err(
                Error::new(ErrorKind::NotFound, format!("there is no file {path}")).with_code("not_found")
            );
        }
        if head.as_ref().is_some_and(|head| head.tag.as_deref() == Some("folder")) {
            return Err(Error::new(ErrorKind::Conflict, format!("{path} is a folder"))
                .with_code("path/conflict/folder"));
        }
        if found.as_deref().is_some_and(|row| !self.is_own(row)) {
            let message = format!("{path} does not lie in {:?}", self.folder_path());
            return Err(Error::new(ErrorKind::NotFound, message).with_code("other_type"));
        }
        let mut mode = match text("mode") {
            Some("add") => json!("add"),
            _ => json!("overwrite"),
        };
        let rev = text("rev");
        if let Some(rev) = rev {
            mode = json!({ ".tag": "update", "update": rev });
        }
        let adds = mode == json!("add");
        let strict = match options.get("strict_conflict") {
            Some(Json::Bool(strict)) => *strict,
            _ => adds || rev.is_some(),
        };
        let mut commit = json!({
            "path": path,
            "mode": mode,
            "autorename": is_on(options, "autorename"),
            "mute": is_on(options, "mute"),
            "strict_conflict": strict,
        });
        if let Some(modified) = text("client_modified") {
            commit["client_modified"] = instant("client_modified", modified)?.into();
        }
        let present = head.and_then(|head| head.id).map(Key::text);
        Ok(Place { path, present, commit })
    }
}

/// The next part of the content, with its hash.
async fn next(blocks: &mut Blocks) -> Result<Option<HashedPart>> {
    match blocks.next().await? {
        Some(block) => HashedPart::of(block).await.map(Some),
        None => Ok(None),
    }
}

/// An upload piece by piece.
struct Session<'a> {
    records: &'a DropboxRecords,
    cx: &'a Context,
    hash: ContentHash,
    /// Bytes that were read.
    offset: u64,
    id: Option<String>,
    /// Bytes that Dropbox has already, from an earlier run.
    kept: u64,
    memory: Option<&'a dyn UploadMemory>,
    about: Begun,
}

impl Session<'_> {
    /// Goes on with a session that an earlier run began for the same file.
    async fn recall(&mut self) -> Result<()> {
        let Some(kept) = self.memory.and_then(UploadMemory::recall) else { return Ok(()) };
        let Ok(begun) = serde_json::from_value::<Begun>(kept) else { return Ok(()) };
        if begun.path != self.about.path || begun.length != self.about.length {
            return Ok(());
        }
        // Dropbox tells where it stands when it is given nothing at the beginning.
        let asked = self.append(&begun.session_id, 0, Bytes::new(), &hash::of(b"")).await;
        self.kept = match asked {
            Ok(()) => 0,
            Err(error) if error.code() == Some(dialect::OFFSET) => {
                dialect::correct_offset(&error).unwrap_or_default()
            }
            // It is too old, or was ended: begin anew.
            Err(error) if error.status() == Some(409) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.id = Some(begun.session_id);
        Ok(())
    }

    /// Sends the next bytes, as far as Dropbox does not have them.
    async fn push(&mut self, part: HashedPart) -> Result<()> {
        self.hash.part(&part);
        let mut hash = part.hash();
        let block = part.bytes;
        let start = self.offset;
        self.offset += block.len() as u64;
        let Some(id) = self.id.clone() else {
            let argument = json!({ "close": false, "content_hash": hash });
            let call = api::upload("content put", "files/upload_session/start", &argument, block)?;
            #[derive(Deserialize)]
            struct Started {
                session_id: String,
            }
            let started = self
                .records
                .account
                .ask::<Started>(self.cx, "the beginning of an upload", call.idempotent(true))
                .await
                .map_err(not_yet)?;
            self.about.session_id.clone_from(&started.session_id);
            if let (Some(memory), Ok(mark)) = (self.memory, serde_json::to_value(&self.about)) {
                memory.keep(&mark)?;
            }
            self.id = Some(started.session_id);
            return Ok(());
        };
        let mut from = start.max(self.kept.min(self.offset));
        for sending in 1..=SENDINGS {
            if from >= self.offset {
                return Ok(());
            }
            let rest = block.slice(usize::try_from(from - start).unwrap_or(block.len()).min(block.len())..);
            if from > start {
                hash = hash::of(&rest);
            }
            match self.append(&id, from, rest, &hash).await {
                Ok(()) => return Ok(()),
                Err(error) if error.code() == Some(dialect::OFFSET) && sending < SENDINGS => {
                    // An answer was lost: some of these bytes are there already.
                    match dialect::correct_offset(&error) {
                        Some(correct) if correct > from && correct <= self.offset => from = correct,
                        _ => return Err(not_yet(error)),
                    }
                }
                Err(error) => return Err(not_yet(error)),
            }
        }
        Ok(())
    }

    async fn append(&self, id: &str, offset: u64, bytes: Bytes, hash: &str) -> Result<()> {
        let argument = json!({
            "cursor": { "session_id": id, "offset": offset },
            "close": false,
            "content_hash": hash,
        });
        let call = api::upload("content put", "files/upload_session/append_v2", &argument, bytes)?;
        // Bytes that came twice are refused by their offset.
        self.records.account.send(self.cx, call.idempotent(true)).await.map(|_| ())
    }

    /// Puts the bytes in their place; gives their hash with the answer.
    async fn finish(self, commit: &Json) -> Result<(String, Result<crate::http::Reply>)> {
        if self.kept > self.offset {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the upload that was begun has more bytes than the content",
            )
            .with_code("other_content")
            .with_advice("Remove the checkpoint and write the content again"));
        }
        let id = self.id.unwrap_or_default();
        let argument = json!({
            "cursor": { "session_id": id, "offset": self.offset },
            "commit": commit,
        });
        let call = api::upload("content put", "files/upload_session/finish", &argument, Bytes::new())?;
        let sent = self.records.account.send(self.cx, call).await;
        Ok((self.hash.finish().await?, sent))
    }
}

/// Bytes that are in no place yet leave the file as it was, whatever became of the answer.
fn not_yet(error: Error) -> Error {
    if !error.leaves_open() {
        return error;
    }
    let message = format!("the content was not written: {}", error.message());
    Error::new(ErrorKind::Unavailable, message)
        .with_provider("dropbox")
        .with_retry(Retry::Always)
        .with_code("upload_broke_off")
        .with_advice("The file still has what it had; write the content again, with the same --checkpoint if one was given")
        .with_source(error)
}
