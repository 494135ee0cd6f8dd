//! Sockets: plain HTTP and TLS side by side, HTTP/1.1 and h2 on both, every request handed to its service.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, DATE, HOST, VARY};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::emulator::clock::{Clock, http_date};
use crate::emulator::compression;
use crate::emulator::control;
use crate::emulator::faults::{Answer, Delivery, Faults};
use crate::emulator::request_log::RequestLog;
use crate::emulator::service::{Reply, Request, Service};
use crate::emulator::wire::{AnswerBody, Ending, Wire};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(75);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) services: Vec<Arc<dyn Service>>,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) log: RequestLog,
    pub(crate) lower_case_headers: bool,
    pub(crate) max_body: usize,
    /// Connections accepted so far.
    pub(crate) connections: AtomicU64,
}

/// Accepts connections until it is dropped, and with it every connection.
pub(crate) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // Out of file descriptors, most likely: wait for some to be given back.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
        // Without this a small answer after a small answer waits for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let ending = Arc::new(Ending::default());
        let local = stream.local_addr().ok();
        let wire = Wire::new(stream, Arc::clone(&ending));
        let line = Line { number, ending, secure: tls.is_some(), local };
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            match tls {
                None => converse(wire, line, shared).await,
                Some(tls) => {
                    if let Ok(Ok(wire)) = tokio::time::timeout(HANDSHAKE, tls.accept(wire)).await {
                        converse(wire, line, shared).await;
                    }
                }
            }
        });
    }
}

/// One connection.
#[derive(Debug, Clone)]
struct Line {
    number: u64,
    ending: Arc<Ending>,
    secure: bool,
    local: Option<SocketAddr>,
}

async fn converse<IO>(io: IO, line: Line, shared: Arc<Shared>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .title_case_headers(!shared.lower_case_headers)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |request| respond(request, line.clone(), Arc::clone(&shared)));
    // How a connection ended concerns its client alone; faults end connections on purpose.
    let _ = builder.serve_connection(TokioIo::new(io), service).await;
}

/// Answers one request; an error ends the connection (h2: the stream) without an answer.
async fn respond(
    request: http::Request<Incoming>,
    line: Line,
    shared: Arc<Shared>,
) -> Result<http::Response<AnswerBody>, io::Error> {
    let (head, body) = request.into_parts();
    let version = head.version;
    let host = head
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .map(str::to_owned)
        .or_else(|| head.uri.authority().map(|authority| authority.as_str().to_owned()))
        .or_else(|| line.local.map(|local| local.to_string()))
        .unwrap_or_default();
    let scheme = if line.secure { "https" } else { "http" };
    let mut request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: Bytes::new(),
        origin: format!("{scheme}://{host}"),
        now: shared.clock.now(),
    };
    match collect(body, shared.max_body).await {
        Ok(Some(body)) => request.body = body,
        Ok(None) => {
            let refusal = Reply::json(
                StatusCode::PAYLOAD_TOO_LARGE,
                &json!({ "error": format!("a request body may have {} bytes", shared.max_body) }),
            )
            .with_header(CONNECTION, "close");
            return Ok(deliver(refusal, Delivery::Whole, &line, &shared, version));
        }
        Err(error) => return Err(error),
    }
    if control::owns(&request.path) {
        let reply = blocking({
            let shared = Arc::clone(&shared);
            move || control::handle(&shared, &request)
        })
        .await?;
        return Ok(deliver(reply, Delivery::Whole, &line, &shared, version));
    }
    let service = shared.services.iter().find(|service| service.owns(&request.path)).map(Arc::clone);
    let entry =
        shared.log.arrived(&request, line.number, version_name(version), service.as_ref().map(|s| s.name()));
    let Some(service) = service else {
        let reply = Reply::json(
            StatusCode::NOT_FOUND,
            &json!({ "error": "no emulated service answers at this path", "path": request.path }),
        );
        shared.log.answered(entry, Some(reply.status.as_u16()), None);
        return Ok(deliver(reply, Delivery::Whole, &line, &shared, version));
    };
    let again = Again { service: Arc::clone(&service), request: request.clone() };
    let answer = blocking({
        let shared = Arc::clone(&shared);
        move || {
            let mut answer = shared.faults.answer(&*service, &request);
            compress(&mut answer, &request.headers);
            answer
        }
    })
    .await?;
    if let Some(delay) = answer.delay {
        tokio::time::sleep(delay).await;
    }
    let answer = await_news(answer, &again, &shared).await?;
    let dropped = answer.delivery == Delivery::Dropped;
    let status = (!dropped).then_some(answer.reply.status.as_u16());
    shared.log.answered(entry, status, answer.fault);
    if dropped {
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "a fault rule drops this answer"));
    }
    Ok(deliver(answer.reply, answer.delivery, &line, &shared, version))
}

/// A request that may have to be asked again.
struct Again {
    service: Arc<dyn Service>,
    request: Request,
}

/// How often a service is asked whether there is something new.
const NEWS: Duration = Duration::from_millis(20);

/// Holds an answer back until there is something new or the time is over.
async fn await_news(mut answer: Answer, again: &Again, shared: &Shared) -> Result<Answer, io::Error> {
    let begun = tokio::time::Instant::now();
    while let Some(wait) = answer.reply.again_for
        && begun.elapsed() < wait
    {
        tokio::time::sleep(NEWS).await;
        let (service, mut request) = (Arc::clone(&again.service), again.request.clone());
        request.now = shared.clock.now();
        answer.reply = blocking(move || service.handle(&request)).await?;
    }
    Ok(answer)
}

/// Runs a service's work where it holds up no connection. A panic in it ends only this request.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, io::Error> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Reads a whole body; `None` when it is too long.
async fn collect(mut body: Incoming, limit: usize) -> Result<Option<Bytes>, io::Error> {
    if body.size_hint().lower() > limit as u64 {
        return Ok(None);
    }
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        if all.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > limit {
            return Ok(None);
        }
        // Most bodies come in one piece, which needs no copy.
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(before) => {
                all.extend_from_slice(&before);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(Some(first.unwrap_or_else(|| all.freeze())))
}

fn compress(answer: &mut Answer, asked: &HeaderMap) {
    let reply = &mut answer.reply;
    if reply.headers.contains_key(CONTENT_ENCODING) || !compression::accepts_gzip(asked) {
        return;
    }
    if let Some(zipped) = compression::gzip(&reply.body) {
        reply.body = zipped;
        reply.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        reply.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

fn deliver(
    reply: Reply,
    delivery: Delivery,
    line: &Line,
    shared: &Shared,
    version: Version,
) -> http::Response<AnswerBody> {
    let Reply { status, mut headers, body, .. } = reply;
    headers.remove(CONTENT_LENGTH);
    if let Ok(date) = HeaderValue::from_str(&http_date(shared.clock.now())) {
        headers.insert(DATE, date);
    }
    // An empty answer that is to break off still has to announce something.
    let announced = body.len().max(2);
    let half = body.slice(..body.len() / 2);
    let body = match delivery {
        Delivery::Whole | Delivery::Dropped => AnswerBody::Whole(body),
        Delivery::Reset => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(announced));
            AnswerBody::cut(half, Some(Arc::clone(&line.ending)))
        }
        Delivery::Truncated => AnswerBody::cut(half, None),
        Delivery::Silence(limit) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(announced));
            AnswerBody::silence(limit)
        }
        Delivery::Slow(interval) => AnswerBody::slow(body, interval),
        Delivery::Bomb => match compression::bomb() {
            Some(bomb) => {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                AnswerBody::Repeated {
                    head: bomb.head,
                    segment: bomb.segment,
                    times: compression::BOMB_SEGMENTS,
                    tail: bomb.tail,
                }
            }
            None => AnswerBody::Whole(body),
        },
    };
    if version == Version::HTTP_2 {
        headers.remove(CONNECTION);
    }
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
