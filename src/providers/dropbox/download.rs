//! Content out of files, while it comes: a connection that breaks off costs the rest alone, which is asked for from
//! the same revision; at the end the content hash must be the one that Dropbox names.
//!
//! Source: the Stone specification (`download`); "Content-download endpoints", Dropbox for HTTP Developers.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use serde::Deserialize;

use super::columns::Kind;
use super::export::UNSUPPORTED;
use super::hash::ContentHash;
use super::pages::Head;
use super::records::DropboxRecords;
use super::{api, dialect};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::{BodyStream, Reply};
use crate::provider::content::ContentBytes;
use crate::provider::{Content, Context};
use crate::record::{Key, KeyPart};

/// How often in a row a download that broke off is gone on with.
const BREAKS_MAX: u32 = 4;

/// What a download says of itself.
#[derive(Debug, Deserialize)]
struct Told {
    rev: String,
    size: u64,
    #[serde(default)]
    content_hash: Option<String>,
}

/// A file on its way.
struct Reading {
    cx: Context,
    account: std::sync::Arc<super::account::Account>,
    told: Told,
    pieces: Option<ContentBytes>,
    at: u64,
    hash: ContentHash,
    breaks: u32,
}

impl DropboxRecords {
    /// The bytes of a file or of one of its revisions.
    pub(super) async fn content(&self, cx: &Context, key: &Key) -> Result<Content> {
        let by = match (self.kind, key.parts()) {
            (Kind::Revision, _) => "rev",
            (_, [KeyPart::Text(text)]) if text.starts_with('/') => "path",
            _ => "id",
        };
        let path = self.named(by, key)?;
        let reply = match self.account.send(cx, api::download(&path, None)?).await {
            Err(error) if error.code() == Some(UNSUPPORTED) => return self.exported(cx, key, &path).await,
            reply => reply?,
        };
        let told = told(&reply)?;
        self.check_whose(key, result_of(&reply)?.as_bytes())?;
        let length = told.size;
        let reading = Reading {
            cx: cx.clone(),
            account: std::sync::Arc::clone(&self.account),
            told,
            pieces: reply.stream.as_ref().and_then(BodyStream::take),
            at: 0,
            hash: ContentHash::default(),
            breaks: 0,
        };
        let bytes = stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        Ok(Content::new(bytes.boxed()).of_length(Some(length)).of_media_type(media_type(&reply)))
    }

    /// Refuses the content of what is none of the type's records.
    pub(super) fn check_whose(&self, key: &Key, row: &[u8]) -> Result<()> {
        let is_own = match self.kind {
            Kind::Revision => self.is_of_scope(&Head::of(row)?),
            _ => self.is_own(row),
        };
        if is_own {
            return Ok(());
        }
        let plural = self.record_type.label_plural.to_lowercase();
        Err(Error::new(ErrorKind::NotFound, format!("{key} is none of the {plural}")).with_code("other_type"))
    }
}

pub(super) fn media_type(reply: &Reply) -> Option<String> {
    reply.header("content-type").map(str::to_owned)
}

fn told(reply: &Reply) -> Result<Told> {
    dialect::read("a download", result_of(reply)?.as_bytes())
}

/// What a download says of itself; a page that stands in between says nothing.
pub(super) fn result_of(reply: &Reply) -> Result<&str> {
    reply.header(api::RESULT).ok_or_else(|| {
        Error::protocol("the answer to a download does not say which file it is")
            .with_provider("dropbox")
            .with_code("not_json")
            .with_retry(Retry::IfIdempotent)
            .with_advice("A login page, proxy or captive portal may stand between; check the network")
    })
}

pub(super) fn broken(message: &str) -> Error {
    Error::protocol(message).with_provider("dropbox").with_code("content_broke_off")
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(pieces) = &mut self.pieces {
                match pieces.next().await {
                    Some(Ok(piece)) if piece.is_empty() => continue,
                    Some(Ok(piece)) => {
                        self.at += piece.len() as u64;
                        if self.at > self.told.size {
                            return Err(broken("the file is longer than was announced"));
                        }
                        self.hash.update(piece.clone()).await?;
                        self.breaks = 0;
                        return Ok(Some(piece));
                    }
                    Some(Err(error)) if self.breaks >= BREAKS_MAX => return Err(error),
                    Some(Err(error)) => tracing::info!(at = self.at, %error, "a download broke off"),
                    None => {}
                }
                self.pieces = None;
            }
            if self.at == self.told.size {
                return self.end().await.map(|()| None);
            }
            if self.breaks >= BREAKS_MAX {
                return Err(broken("the file ended before all of it had come"));
            }
            self.breaks += 1;
            self.rest().await?;
        }
    }

    /// Asks for the rest of the same revision.
    async fn rest(&mut self) -> Result<()> {
        let path = format!("rev:{}", self.told.rev);
        let reply = self.account.send(&self.cx, api::download(&path, Some(self.at))?).await?;
        let same = told(&reply)?.rev == self.told.rev;
        // A whole answer to a question for a part begins at the first byte.
        let begins = match reply.status {
            StatusCode::PARTIAL_CONTENT => {
                let range = reply.header("content-range").unwrap_or_default();
                range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse().ok())
            }
            _ => Some(0),
        };
        if !same || begins != Some(self.at) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the rest of the file cannot be read from where it broke off",
            )
            .with_provider("dropbox")
            .with_code("content_changed")
            .with_advice("Read it again"));
        }
        self.pieces = reply.stream.as_ref().and_then(BodyStream::take);
        Ok(())
    }

    async fn end(&mut self) -> Result<()> {
        let hash = std::mem::take(&mut self.hash).finish().await?;
        match &self.told.content_hash {
            Some(wanted) if *wanted != hash => {
                Err(Error::protocol("the bytes that came are not those of the file: their hash differs")
                    .with_provider("dropbox")
                    .with_code("content_hash_mismatch")
                    .with_advice("Read it again"))
            }
            _ => Ok(()),
        }
    }
}
