//! The wire: one HTTP client for the whole process, with every limit in one place.
//!
//! It follows no redirect, keeps no cookie, and sends only what it is given. Proxies are taken from
//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (either case); this machine's own addresses are
//! always spoken to directly. Certificates are checked against the system's authorities; a further authority
//! can be named for addresses on this machine only, and no setting or variable turns the check off.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, StatusCode};
use reqwest::{Certificate, Client, ClientBuilder, Response};
use tokio::time::{Instant, timeout};
use url::Url;

use super::address::{is_loopback, location_origin, origin_of};
use super::{BodyStream, Call, Http, Reply, Target, spent};
use crate::error::{Error, ErrorKind, Result, Retry};

/// Limits and time-outs of the wire.
#[derive(Debug, Clone)]
pub struct WireSettings {
    /// How long name look-up, connecting and the TLS handshake may take together.
    pub connect_timeout: Duration,
    /// How long a connected service may be silent: before its answer's head and between pieces of its body.
    pub idle_timeout: Duration,
    /// Fewest bytes per second of a body, averaged over `slow_window`.
    pub slowest_rate: u64,
    /// Span over which a slow body is judged.
    pub slow_window: Duration,
    /// Most bytes of an answer's body after decompression, unless a call says another number.
    pub response_limit: u64,
    /// Most bytes of a request's body.
    pub request_limit: u64,
    /// Most bytes of a request's header names and values together.
    pub header_limit: usize,
    /// Most header lines of an answer.
    pub response_headers: usize,
    /// Idle connections kept for one host.
    pub idle_connections: usize,
    /// How long an idle connection is kept.
    pub idle_connection_timeout: Duration,
    /// Authorities (PEM files) trusted for addresses on this machine, and nowhere else.
    pub loopback_authorities: Vec<PathBuf>,
}

impl Default for WireSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            slowest_rate: 4 * 1024,
            slow_window: Duration::from_secs(60),
            response_limit: 64 * 1024 * 1024,
            request_limit: 160 * 1024 * 1024,
            header_limit: 64 * 1024,
            response_headers: 200,
            idle_connections: 16,
            idle_connection_timeout: Duration::from_secs(55),
            loopback_authorities: Vec::new(),
        }
    }
}

/// The innermost [`Http`]: sends a call to its address.
#[derive(Debug)]
pub struct Wire {
    // Made when first needed: reading the system's authorities takes longer than many commands.
    world: OnceLock<Client>,
    loopback: OnceLock<Client>,
    authorities: Vec<Certificate>,
    settings: WireSettings,
}

impl Wire {
    /// Prepares the clients; nothing is sent.
    ///
    /// # Errors
    /// `Local` when an authority file cannot be read.
    pub fn new(settings: WireSettings) -> Result<Self> {
        let mut authorities = Vec::new();
        for file in &settings.loopback_authorities {
            let unusable = |why: &dyn std::fmt::Display| {
                Error::local(format!("the certificate file {} cannot be used: {why}", file.display()))
            };
            let pem = std::fs::read(file).map_err(|error| unusable(&error))?;
            authorities.extend(Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?);
        }
        Ok(Self { world: OnceLock::new(), loopback: OnceLock::new(), authorities, settings })
    }

    /// The limits that hold.
    #[must_use]
    pub fn settings(&self) -> &WireSettings {
        &self.settings
    }

    /// The client for an address: this machine's own addresses have one without proxy, with the authorities of
    /// the settings.
    fn client(&self, address: &Url) -> Result<&Client> {
        let local = is_loopback(address);
        let cell = if local { &self.loopback } else { &self.world };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let mut builder = prepare(&self.settings);
        if local {
            builder = builder.no_proxy();
            if !self.authorities.is_empty() {
                builder = builder.tls_certs_only(self.authorities.iter().cloned());
            }
        }
        let client = build(builder)?;
        Ok(cell.get_or_init(|| client))
    }

    async fn exchange(&self, call: Call, address: Url) -> Result<Reply> {
        let host = origin_of(&address);
        let client = self.client(&address)?;
        let upload = Duration::from_secs(call.length() / self.settings.slowest_rate.max(1));
        let patience = self.settings.idle_timeout + self.settings.connect_timeout + upload;
        let mut request = client.request(call.method.clone(), address).headers(call.headers.clone());
        if let Some(upload) = &call.upload {
            let pieces = upload.take().ok_or_else(spent)?;
            request = request.header(CONTENT_LENGTH, upload.length).body(reqwest::Body::wrap_stream(pieces));
        } else if !call.body.is_empty() {
            request = request.body(call.body.clone());
        }
        let response = match timeout(patience, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(classify(error, &host)),
            Err(_) => return Err(silent(&host, patience)),
        };
        refuse_redirect(&call, &response, &host)?;
        let status = response.status();
        let headers = response.headers().clone();
        let limit = call.response_limit.unwrap_or(self.settings.response_limit);
        let mut incoming = Incoming::new(response, host, self.settings.clone());
        if call.streamed && status.is_success() {
            let pieces = futures::stream::try_unfold(incoming, |mut incoming| async move {
                Ok(incoming.next().await?.map(|chunk| (chunk, incoming)))
            });
            return Ok(Reply {
                status,
                headers,
                body: Bytes::new(),
                stream: Some(BodyStream::new(Box::pin(pieces))),
            });
        }
        let body = incoming.collect(limit).await.map_err(|error| error.with_status(status.as_u16()))?;
        Ok(Reply { status, headers, body, stream: None })
    }

    fn check_request(&self, call: &Call, address: &Url) -> Result<()> {
        match address.scheme() {
            "https" => {}
            "http" if is_loopback(address) => {}
            scheme => {
                return Err(Error::new(
                    ErrorKind::ForeignHost,
                    format!("{} is not spoken to over {scheme}", address.host_str().unwrap_or("?")),
                )
                .with_code("insecure_address")
                .with_advice("Use an https address; plain http is only for addresses on this machine"));
            }
        }
        if call.body.len() as u64 > self.settings.request_limit {
            return Err(Error::invalid(format!(
                "the request has {} bytes; at most {} are sent",
                call.body.len(),
                self.settings.request_limit
            ))
            .with_code("request_too_large"));
        }
        check_headers(&call.headers, self.settings.header_limit)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for Wire {
    async fn send(&self, call: Call) -> Result<Reply> {
        let Target::Address(address) = call.target.clone() else {
            return Err(
                Error::bug("a call reached the wire without an address").with_operation(call.operation)
            );
        };
        self.check_request(&call, &address)?;
        self.exchange(call, address).await
    }
}

/// A body on its way, within the limits of silence and slowness.
struct Incoming {
    response: Response,
    host: String,
    settings: WireSettings,
    received: u64,
    /// When the present window of measuring began, and what had been received then.
    window: (Instant, u64),
}

impl Incoming {
    fn new(response: Response, host: String, settings: WireSettings) -> Self {
        Self { response, host, settings, received: 0, window: (Instant::now(), 0) }
    }

    /// The next piece, decompressed; `None` at the end of the whole body.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let chunk = match timeout(self.settings.idle_timeout, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Err(classify(error, &self.host)),
            Err(_) => return Err(silent(&self.host, self.settings.idle_timeout)),
        };
        self.received += chunk.len() as u64;
        let elapsed = self.window.0.elapsed();
        if elapsed >= self.settings.slow_window {
            let least = elapsed.as_secs_f64() * self.settings.slowest_rate as f64;
            if ((self.received - self.window.1) as f64) < least {
                return Err(slow(&self.host, self.settings.slowest_rate));
            }
            self.window = (Instant::now(), self.received);
        }
        Ok(Some(chunk))
    }

    /// The whole body in one piece of at most this size.
    async fn collect(&mut self, limit: u64) -> Result<Bytes> {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        while let Some(chunk) = self.next().await? {
            if self.received > limit {
                return Err(too_large(&self.host, limit));
            }
            // Most small bodies come in one piece, which needs no copy.
            match first.take() {
                None if all.is_empty() => first = Some(chunk),
                None => all.extend_from_slice(&chunk),
                Some(before) => {
                    all.reserve(before.len() + chunk.len());
                    all.extend_from_slice(&before);
                    all.extend_from_slice(&chunk);
                }
            }
        }
        Ok(first.unwrap_or_else(|| all.freeze()))
    }
}

fn prepare(settings: &WireSettings) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("recordport/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .gzip(true)
        .connect_timeout(settings.connect_timeout)
        .tcp_nodelay(true)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .pool_max_idle_per_host(settings.idle_connections)
        .pool_idle_timeout(settings.idle_connection_timeout)
        .http1_max_headers(settings.response_headers)
        .http2_max_header_list_size(u32::try_from(settings.header_limit).unwrap_or(u32::MAX))
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10))
}

fn build(builder: ClientBuilder) -> Result<Client> {
    builder.build().map_err(|error| {
        let cause = cause_of(&error);
        Error::local(format!("the HTTP client cannot be prepared: {cause}"))
            .with_advice("Check that this machine has its certificate authorities (ca-certificates)")
    })
}

fn check_headers(headers: &HeaderMap, limit: usize) -> Result<()> {
    let mut total = 0;
    for (name, value) in headers {
        // A HeaderValue can hold bytes above ASCII, which proxies and services read each in their own way.
        if value.to_str().is_err() {
            return Err(Error::invalid(format!("the value of the header {name} is not plain ASCII"))
                .with_code("bad_header"));
        }
        total += name.as_str().len() + value.len();
    }
    if total > limit {
        return Err(Error::invalid(format!("the headers have {total} bytes; at most {limit} are sent"))
            .with_code("headers_too_large"));
    }
    Ok(())
}

fn refuse_redirect(call: &Call, response: &Response, host: &str) -> Result<()> {
    let status = response.status();
    let redirects = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !redirects || call.accept.contains(&status.as_u16()) {
        return Ok(());
    }
    let target = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let message = match target.and_then(location_origin) {
        Some(target) => format!("{host} redirects to {target}; redirects are refused"),
        None => format!("{host} redirects to another of its pages; redirects are refused"),
    };
    Err(Error::new(ErrorKind::ForeignHost, message)
        .with_code("redirect_refused")
        .with_status(status.as_u16())
        .with_advice(
            "Nothing was sent there. A login page or proxy may stand in between, or the endpoint has moved: \
             connect again with the right address",
        ))
}

/// Turns the client's error into ours: what happened decides whether the request can have been executed.
fn classify(error: reqwest::Error, host: &str) -> Error {
    let error = error.without_url();
    let cause = cause_of(&error);
    let unavailable = |message: String, code: &str, retry: Retry| {
        Error::new(ErrorKind::Unavailable, message).with_code(code).with_retry(retry)
    };
    if error.is_builder() {
        return Error::invalid(format!("the request to {host} cannot be formed: {cause}"))
            .with_code("bad_request");
    }
    if let Some(certificate) = find::<rustls::Error>(&error) {
        let ours = unavailable(
            format!("the secure connection to {host} was refused: {certificate}"),
            "tls",
            if matches!(certificate, rustls::Error::InvalidCertificate(_)) {
                Retry::Never
            } else {
                Retry::Always
            },
        );
        return ours.with_advice("Check the address, this machine's clock and its certificate authorities");
    }
    if error.is_connect() {
        let message = if error.is_timeout() {
            format!("connecting to {host} took too long")
        } else if error.is_dns() {
            format!("the name of {host} cannot be found: {cause}")
        } else {
            format!("cannot connect to {host}: {cause}")
        };
        return unavailable(message, "unreachable", Retry::Always)
            .with_advice("Check the network, the address, and HTTPS_PROXY and NO_PROXY if there is a proxy");
    }
    if error.is_timeout() {
        return unavailable(format!("{host} took too long"), "timeout", Retry::IfIdempotent);
    }
    if let Some(broken) = find::<hyper::Error>(&error) {
        // Cancelled: the connection was closed before the request went out on it.
        let retry = if broken.is_canceled() { Retry::Always } else { Retry::IfIdempotent };
        return unavailable(
            format!("the connection to {host} broke off: {cause}"),
            "connection_broken",
            retry,
        );
    }
    if error.is_decode() || error.is_body() {
        return unavailable(
            format!("the compressed answer of {host} cannot be read: {cause}"),
            "bad_encoding",
            Retry::IfIdempotent,
        );
    }
    unavailable(format!("the request to {host} failed: {cause}"), "connection_broken", Retry::IfIdempotent)
}

fn silent(host: &str, patience: Duration) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{host} sent nothing for {patience:?}"))
        .with_code("timeout")
        .with_retry(Retry::IfIdempotent)
}

fn slow(host: &str, rate: u64) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{host} sends less than {rate} bytes a second"))
        .with_code("timeout")
        .with_retry(Retry::IfIdempotent)
}

fn too_large(host: &str, limit: u64) -> Error {
    Error::protocol(format!("the answer of {host} has more than {limit} bytes"))
        .with_code("response_too_large")
        .with_advice("Ask for fewer fields or smaller pages")
}

fn cause_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // The source of an io::Error is the source of the error that it carries, not that error itself.
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match carried {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}
