//! The content of a file at Dropbox: one block of random bytes as often as is asked for, given and taken as fast as
//! the machine can; and transfers by reqwest alone, to compare with.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// How late bytes may be and still make up for it, as a socket's buffers let them.
const SLACK: Duration = Duration::from_millis(5);

/// A file.
#[derive(Debug, Default)]
pub(crate) struct Content {
    block: Bytes,
    blocks: usize,
    metadata: Value,
    /// The line that it goes over, when that is slower than this machine.
    line: Option<Arc<Line>>,
}

/// A line that lets so many bytes pass in a second.
#[derive(Debug)]
struct Line {
    bytes_a_second: f64,
    free: Mutex<Instant>,
}

impl Line {
    /// Waits until these bytes have passed.
    async fn pass(&self, bytes: usize) {
        let until = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let begins = Instant::now().checked_sub(SLACK).map_or(*free, |earliest| earliest.max(*free));
            *free = begins + Duration::from_secs_f64(bytes as f64 / self.bytes_a_second);
            *free
        };
        tokio::time::sleep_until(until.into()).await;
    }
}

impl Content {
    /// A file of so many blocks, over a line of so many megabytes a second if not at once.
    pub(crate) fn of(blocks: usize, megabytes: u64) -> Self {
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
        let line = (megabytes > 0).then(|| {
            Arc::new(Line { bytes_a_second: megabytes as f64 * 1e6, free: Mutex::new(Instant::now()) })
        });
        Self { block: block.into(), blocks, metadata, line }
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
                let line = self.line.clone();
                let pieces = stream::iter(self.pieces()).then(move |piece| {
                    let line = line.clone();
                    async move {
                        if let Some(line) = line {
                            line.pass(piece.len()).await;
                        }
                        Ok::<Bytes, std::io::Error>(piece)
                    }
                });
                let body = Body::from_stream(pieces);
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
                while let Some(Ok(frame)) =
                    std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
                {
                    if let (Some(line), Some(data)) = (&self.line, frame.data_ref()) {
                        line.pass(data.len()).await;
                    }
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
