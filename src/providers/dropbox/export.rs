//! Content of what has no bytes of its own at Dropbox, such as Paper documents: it is written out in a format of theirs
//! when it is asked for. Such content has no revision to go on from, so that one that breaks off has to be read again.
//!
//! Source: the Stone specification (`export`, `ExportInfo`).

use futures::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::download::{broken, media_type, result_of};
use super::hash::ContentHash;
use super::records::DropboxRecords;
use super::{api, dialect};
use crate::error::{Error, Result};
use crate::http::BodyStream;
use crate::provider::content::ContentBytes;
use crate::provider::{Content, Context};
use crate::record::Key;

/// The refusal of a download that can be exported instead.
pub(super) const UNSUPPORTED: &str = "unsupported_file";

/// What an export says of itself.
#[derive(Debug, Deserialize)]
struct Told {
    export_metadata: ExportMetadata,
    file_metadata: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct ExportMetadata {
    size: u64,
    #[serde(default)]
    export_hash: Option<String>,
}

/// An export on its way.
struct Coming {
    pieces: ContentBytes,
    told: ExportMetadata,
    at: u64,
    hash: ContentHash,
}

impl DropboxRecords {
    /// What Dropbox writes out of a file that cannot be downloaded, in the format that the connection names or in the
    /// file's own.
    pub(super) async fn exported(&self, cx: &Context, key: &Key, path: &str) -> Result<Content> {
        let format = self.account.config.export_format();
        let sent = self.account.send(cx, api::export(path, format)?).await;
        let reply = sent.map_err(|error| match error.code() {
            Some("invalid_export_format") => {
                error.with_field("export_format", "is none of the formats of this file").with_advice(
                    "Its export_info names the formats; connect with one of them or without export_format",
                )
            }
            _ => error,
        })?;
        let Told { export_metadata, file_metadata } =
            dialect::read("an export", result_of(&reply)?.as_bytes())?;
        self.check_whose(key, file_metadata.get().as_bytes())?;
        let pieces = reply.stream.as_ref().and_then(BodyStream::take);
        let pieces = pieces.ok_or_else(|| broken("the export has no bytes"))?;
        let length = export_metadata.size;
        let coming = Coming { pieces, told: export_metadata, at: 0, hash: ContentHash::default() };
        let bytes = stream::try_unfold(coming, |mut coming| async move {
            Ok(coming.next().await?.map(|piece| (piece, coming)))
        });
        Ok(Content::new(bytes.boxed()).of_length(Some(length)).of_media_type(media_type(&reply)))
    }
}

impl Coming {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        if let Some(piece) = self.pieces.next().await {
            let piece = piece?;
            self.at += piece.len() as u64;
            self.hash.update(piece.clone()).await?;
            return Ok(Some(piece));
        }
        if self.at != self.told.size {
            return Err(broken("the export has another length than was announced"));
        }
        let hash = std::mem::take(&mut self.hash).finish().await?;
        match &self.told.export_hash {
            Some(wanted) if *wanted != hash => {
                Err(Error::protocol("the bytes that came are not those of the export: their hash differs")
                    .with_provider("dropbox")
                    .with_code("content_hash_mismatch")
                    .with_advice("Read it again"))
            }
            _ => Ok(None),
        }
    }
}
