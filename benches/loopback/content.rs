//! The content of a file at Dropbox: one block of random bytes as often as is asked for, given and taken as fast as
//! the machine can; and transfers by reqwest alone, to compare with.

use std::io::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{StatusCode, header};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Client;
use serde_json::{Value, json};

use crate::Result;

/// Bytes of a block, over which Dropbox hashes.
const BLOCK: usize = 4 * 1024 * 1024;
/// Bytes that are written to a connection at once.
const PIECE: usize = 256 * 1024;

/// A file.
#[derive(Debug, Default)]
pub(crate) struct Content {
    block: Bytes,
    blocks: usize,
    metadata: Value,
}

impl Content {
    /// A file of so many blocks.
    pub(crate) fn of(blocks: usize) -> Self {
        let mut block = vec![0; BLOCK];
        StdRng::seed_from_u64(7).fill(block.as_mut_slice());
        let one = digest(&SHA256, &block);
        let all = vec![one.as_ref(); blocks].concat();
        let hash: String = digest(&SHA256, &all).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let metadata = json!({
            "name": "bench.bin", "path_lower": "/bench.bin", "path_display": "/bench.bin", "id": "id:a4ayc_80_OEAAAAAAAAAXw",
            "client_modified": "2026-01-01T00:00:00Z", "server_modified": "2026-01-01T00:00:05Z",
            "rev": "0123456789abcdef0", "size": blocks * BLOCK, "is_downloadable": true, "content_hash": hash,
        });
        Self { block: block.into(), blocks, metadata }
    }

    fn pieces(&self) -> impl Iterator<Item = Bytes> + use<> {
        let (block, blocks) = (self.block.clone(), self.blocks);
        (0..blocks).flat_map(move |_| {
            let block = block.clone();
            (0..BLOCK).step_by(PIECE).map(move |at| block.slice(at..at + PIECE))
        })
    }

    /// Writes the content to stdout.
    pub(crate) fn write(&self) -> Result {
        let mut out = std::io::stdout().lock();
        self.pieces().try_for_each(|piece| out.write_all(&piece))?;
        Ok(())
    }

    /// Answers what belongs to one file; gives the request back that does not.
    pub(crate) async fn answer(
        &self,
        path: &str,
        request: Request,
    ) -> std::result::Result<Response, Request> {
        let said = |status: StatusCode, body: Value| {
            let mut response = Response::new(Body::from(body.to_string()));
            *response.status_mut() = status;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
            response
        };
        Ok(match path {
            "/2/files/get_metadata" => said(
                StatusCode::CONFLICT,
                json!({
                    "error_summary": "path/not_found/", "error": { ".tag": "path", "path": { ".tag": "not_found" } },
                }),
            ),
            "/2/files/download" => {
                let body = Body::from_stream(stream::iter(self.pieces().map(Ok::<Bytes, std::io::Error>)));
                let mut response = Response::new(body);
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_LENGTH, (self.blocks * BLOCK).into());
                headers
                    .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/octet-stream"));
                if let Ok(told) = http::HeaderValue::from_str(&self.metadata.to_string()) {
                    headers.insert("dropbox-api-result", told);
                }
                response
            }
            _ if path.starts_with("/2/files/upload") => {
                let mut body = request.into_body();
                while let Some(Ok(_)) =
                    std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
                {
                }
                let started = path.ends_with("/start");
                let answer = if started { json!({ "session_id": "bench" }) } else { self.metadata.clone() };
                said(StatusCode::OK, answer)
            }
            _ => return Err(request),
        })
    }
}

/// Reads the content by reqwest alone, to stdout.
pub(crate) async fn get(address: &str) -> Result {
    let client = Client::builder().tcp_nodelay(true).no_proxy().build()?;
    let call = client.post(format!("{address}/2/files/download")).bearer_auth("token");
    let mut response = call.header("dropbox-api-arg", r#"{"path":"/bench.bin"}"#).send().await?;
    let mut out = std::io::stdout().lock();
    while let Some(piece) = response.chunk().await? {
        out.write_all(&piece)?;
    }
    Ok(())
}

/// Writes a file's content by reqwest alone, in one request.
pub(crate) async fn put(address: &str, file: &str) -> Result {
    let client = Client::builder().tcp_nodelay(true).no_proxy().build()?;
    let file = tokio::fs::File::open(file).await?;
    let length = file.metadata().await?.len();
    let pieces = stream::try_unfold(file, |mut file| async move {
        use tokio::io::AsyncReadExt as _;
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    let call = client.post(format!("{address}/2/files/upload")).bearer_auth("token");
    let sent = call
        .header(header::CONTENT_LENGTH, length)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(reqwest::Body::wrap_stream(pieces.boxed()))
        .send()
        .await?;
    sent.error_for_status()?.bytes().await?;
    Ok(())
}
