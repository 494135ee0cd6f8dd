//! Where the browser comes back to: a listener on loopback that serves one page to one visitor
//! (RFC 8252 section 7.3), and what that visitor has to bring along.

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use url::Url;

use super::hosts::HostRules;
use super::oauth::verdict;
use super::sign_in::RedirectRule;
use crate::error::{Error, ErrorKind, Result};

/// The path of our own redirect addresses.
const PATH: &str = "/callback";

/// The port of a redirect address that is pasted back, when the provider takes any.
const USUAL_PORT: u16 = 7281;

/// Visitors served at a time; more are turned away.
const VISITORS: usize = 16;

/// Visits without the right state, after which no more are examined in words.
const STRAYS: u32 = 100;

/// How long a visitor may take to send a request.
const VISIT: Duration = Duration::from_secs(5);

/// A redirect address: what is registered with the provider, and its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// Providers compare the whole text, so it is kept as the user gave it.
    text: String,
    address: Url,
}

impl Redirect {
    fn parse(text: &str) -> Result<Self> {
        let address = Url::parse(text).ok().filter(|address| {
            matches!(address.scheme(), "http" | "https") && address.fragment().is_none() && address.has_host()
        });
        let address = address.ok_or_else(|| {
            Error::invalid(format!("{text:?} is no redirect address"))
                .with_advice("Give one such as http://localhost:7281/callback")
        })?;
        Ok(Self { text: text.to_owned(), address })
    }

    /// The address for a browser that lands elsewhere.
    pub(crate) fn elsewhere(rule: &RedirectRule, given: Option<&str>) -> Result<Self> {
        if let Some(given) = given {
            return Self::parse(given);
        }
        let (host, port) = match rule {
            RedirectRule::LoopbackAnyPort => ("127.0.0.1", USUAL_PORT),
            RedirectRule::LocalhostAnyPort => ("localhost", USUAL_PORT),
            RedirectRule::LocalhostFixed { port } => ("localhost", *port),
        };
        Self::parse(&format!("http://{host}:{port}{PATH}"))
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// `host:port` as browsers send it.
    fn authority(&self) -> String {
        let host = self.address.host_str().unwrap_or_default();
        match self.address.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

/// What a landing must bring: our state, once, and no other issuer.
#[derive(Debug)]
pub(crate) struct Expected {
    state: SecretString,
    hosts: HostRules,
}

/// What a landing is worth.
#[derive(Debug)]
enum Visit {
    /// The code.
    Code(SecretString),
    /// The provider said no, or its answer cannot be trusted: the attempt is over.
    Over(Error),
    /// Not from our attempt; it goes on.
    Stray(&'static str),
}

impl Expected {
    /// A fresh state of 256 random bits.
    pub(crate) fn new(hosts: HostRules) -> Result<Self> {
        let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice())
            .map_err(|_| Error::local("the system gave no random numbers"))?;
        Ok(Self { state: SecretString::from(URL_SAFE_NO_PAD.encode(*bytes)), hosts })
    }

    pub(crate) fn state(&self) -> &SecretString {
        &self.state
    }

    /// Judges the query of a landing.
    fn judge(&self, query: &str) -> Visit {
        let (mut state, mut code, mut error, mut words, mut issuer) = (None, None, None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "error_description" => &mut words,
                "iss" => &mut issuer,
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Visit::Stray("a parameter came twice");
            }
        }
        let Some(state) = state else { return Visit::Stray("the state is missing") };
        if verify_slices_are_equal(state.as_bytes(), self.state.expose_secret().as_bytes()).is_err() {
            return Visit::Stray("the state is not the one of this sign-in");
        }
        // Another server's answer to our request is the mix-up attack (RFC 9207).
        if let Some(issuer) = issuer
            && !Url::parse(&issuer).is_ok_and(|issuer| self.hosts.allow(&issuer))
        {
            return Visit::Over(
                Error::new(ErrorKind::Unauthorized, "the answer comes from another sign-in server")
                    .with_code("issuer_mismatch")
                    .with_advice("Nothing was sent to it. Start again, and sign in at the provider only"),
            );
        }
        if let Some(code) = error {
            let (kind, message, advice) = verdict(&code);
            let shown: String = code.chars().filter(|c| !c.is_control()).take(100).collect();
            let error = Error::new(kind, message).with_code(shown).with_advice(advice);
            let words: Option<String> =
                words.map(|words| words.chars().filter(|c| !c.is_control()).take(500).collect());
            return Visit::Over(match words {
                Some(words) => error.with_provider_message(words),
                None => error,
            });
        }
        match code {
            Some(code) if !code.is_empty() => Visit::Code(SecretString::from(code)),
            _ => Visit::Over(Error::protocol("the provider's answer has neither a code nor an error")),
        }
    }

    /// Reads the address that a browser landed on, as the user pasted it.
    pub(crate) fn read_pasted(&self, landed: &SecretString, redirect: &Redirect) -> Result<SecretString> {
        let wrong = |why: &str| {
            Error::invalid(format!("this is not the address that the browser landed on: {why}")).with_advice(
                format!("Copy the whole address from the browser; it begins with {}", redirect.text()),
            )
        };
        let landed = Url::parse(landed.expose_secret().trim()).map_err(|_| wrong("it is no address"))?;
        let mut place = landed.clone();
        place.set_query(None);
        place.set_fragment(None);
        let mut registered = redirect.address.clone();
        registered.set_query(None);
        if place != registered {
            return Err(wrong("it leads elsewhere"));
        }
        match self.judge(landed.query().unwrap_or_default()) {
            Visit::Code(code) => Ok(code),
            Visit::Over(error) => Err(error),
            Visit::Stray(why) => Err(wrong(why)),
        }
    }
}

/// The listener, bound and not yet answering.
#[derive(Debug)]
pub(crate) struct Callback {
    redirect: Redirect,
    listeners: Vec<TcpListener>,
}

impl Callback {
    /// Listens where the redirect rule, or the user's own redirect address, says; on loopback and nowhere
    /// else. For the name `localhost` that is 127.0.0.1 and ::1.
    pub(crate) async fn listen(rule: &RedirectRule, given: Option<&str>) -> Result<Self> {
        let Some(given) = given else {
            return match rule {
                RedirectRule::LoopbackAnyPort => Self::any_port("127.0.0.1").await,
                RedirectRule::LocalhostAnyPort => Self::any_port("localhost").await,
                RedirectRule::LocalhostFixed { port } => {
                    Self::fixed(Redirect::parse(&format!("http://localhost:{port}{PATH}"))?).await
                }
            };
        };
        let redirect = Redirect::parse(given)?;
        let local = matches!(redirect.address.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if !local || redirect.address.scheme() != "http" {
            return Err(Error::invalid(format!("{given} does not lead to this machine")).with_advice(
                "Give an http address on localhost, 127.0.0.1 or [::1], or use --no-browser and paste the address \
                 landed on",
            ));
        }
        Self::fixed(redirect).await
    }

    async fn any_port(host: &str) -> Result<Self> {
        let mut refused = None;
        // Another process may hold the same number on ::1 only; then the next one is taken.
        for _ in 0..8 {
            let first =
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| unbound(0, &error))?;
            let port = first.local_addr().map_err(|error| unbound(0, &error))?.port();
            let redirect = Redirect::parse(&format!("http://{host}:{port}{PATH}"))?;
            if host != "localhost" {
                return Ok(Self { redirect, listeners: vec![first] });
            }
            match bind_v6(port).await {
                Ok(second) => {
                    let listeners = std::iter::once(first).chain(second).collect();
                    return Ok(Self { redirect, listeners });
                }
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| Error::local("no port is free")))
    }

    async fn fixed(redirect: Redirect) -> Result<Self> {
        let port = redirect.address.port_or_known_default().unwrap_or(80);
        let host = redirect.address.host_str().unwrap_or_default();
        let mut listeners = Vec::new();
        if host != "[::1]" {
            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
            listeners.push(bound.map_err(|error| unbound(port, &error))?);
        }
        if host != "127.0.0.1" {
            listeners.extend(bind_v6(port).await?);
        }
        if listeners.is_empty() {
            return Err(Error::local("this machine has no IPv6 loopback address").with_code("port"));
        }
        Ok(Self { redirect, listeners })
    }

    pub(crate) fn redirect(&self) -> &Redirect {
        &self.redirect
    }

    /// Waits for the visitor with the right state. The listener is closed when this returns.
    pub(crate) async fn wait(self, expected: Expected, patience: Duration) -> Result<SecretString> {
        let (tell, told) = oneshot::channel();
        let desk = Arc::new(Desk {
            authority: self.redirect.authority(),
            path: self.redirect.address.path().to_owned(),
            expected,
            tell: Mutex::new(Some(tell)),
            strays: AtomicU32::new(0),
            visitors: Arc::new(Semaphore::new(VISITORS)),
        });
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(listener, Arc::clone(&desk)));
        }
        let answer = tokio::time::timeout(patience, told).await;
        accepting.abort_all();
        while accepting.join_next().await.is_some() {}
        // The page of the one visitor may still be on its way; idle ones are not waited for.
        let all = Arc::clone(&desk.visitors);
        let served = all.acquire_many(u32::try_from(VISITORS).unwrap_or(u32::MAX));
        let _ = tokio::time::timeout(Duration::from_millis(300), served).await;
        match answer {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Error::bug("the callback ended without an answer")),
            Err(_) => Err(Error::new(
                ErrorKind::Unauthorized,
                format!("nobody came back from the sign-in page within {} s", patience.as_secs()),
            )
            .with_code("sign_in_timeout")
            .with_advice("Start again; if the browser is on another machine, use --no-browser")),
        }
    }
}

/// The listener on ::1; `None` on a machine without IPv6.
async fn bind_v6(port: u16) -> Result<Option<TcpListener>> {
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(unbound(port, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(unbound(port, &error)),
        Err(_) => Ok(None),
    }
}

fn unbound(port: u16, error: &std::io::Error) -> Error {
    let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
    let what = if in_use { "is in use".to_owned() } else { format!("cannot be listened on: {error}") };
    Error::local(format!("port {port} of this machine {what}")).with_code("port").with_advice(
        "End the program that uses it (another `connect`?), or register another redirect address with the \
         provider and give it with --redirect-uri, or use --no-browser",
    )
}

/// What visitors meet.
struct Desk {
    authority: String,
    path: String,
    expected: Expected,
    /// Taken by the first visitor with the right state.
    tell: Mutex<Option<oneshot::Sender<Result<SecretString>>>>,
    strays: AtomicU32,
    visitors: Arc<Semaphore>,
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // Out of file descriptors, for example: visitors have to end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        serve(stream, from, &desk);
    }
}

fn serve(stream: TcpStream, from: SocketAddr, desk: &Arc<Desk>) {
    // The kernel lets nobody else in on a loopback address; this is cheap to be sure of.
    if !from.ip().is_loopback() {
        return;
    }
    let Ok(seat) = Arc::clone(&desk.visitors).try_acquire_owned() else { return };
    let desk = Arc::clone(desk);
    tokio::spawn(async move {
        let service = service_fn(move |request: Request<Incoming>| {
            let reply = desk.receive(&request);
            async move { Ok::<_, Infallible>(reply) }
        });
        let visit = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(VISIT)
            .keep_alive(false)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(stream), service);
        // A visitor who hangs up or speaks no HTTP is no concern of ours.
        let _ = tokio::time::timeout(VISIT * 2, visit).await;
        drop(seat);
    });
}

impl Desk {
    fn receive(&self, request: &Request<Incoming>) -> Response<Body> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if request.headers().get_all(HOST).iter().count() != 1 || !host.eq_ignore_ascii_case(&self.authority)
        {
            return page(StatusCode::FORBIDDEN, "Not here", "This address is not served.");
        }
        if request.uri().path() != self.path {
            return page(StatusCode::NOT_FOUND, "Not found", "There is nothing here.");
        }
        if request.method() != Method::GET {
            return page(StatusCode::METHOD_NOT_ALLOWED, "Not allowed", "Only a browser's GET is answered.");
        }
        if self.strays.load(Ordering::Relaxed) >= STRAYS
            && !request.uri().query().unwrap_or_default().contains(self.expected.state.expose_secret())
        {
            return page(StatusCode::TOO_MANY_REQUESTS, "Too many requests", "Start again in the terminal.");
        }
        let outcome = match self.expected.judge(request.uri().query().unwrap_or_default()) {
            Visit::Stray(why) => {
                self.strays.fetch_add(1, Ordering::Relaxed);
                let text = format!("This visit does not belong to the sign-in in progress: {why}.");
                return page(StatusCode::BAD_REQUEST, "Not accepted", &text);
            }
            Visit::Code(code) => Ok(code),
            Visit::Over(error) => Err(error),
        };
        let tell = self.tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(tell) = tell else {
            return page(StatusCode::GONE, "Used already", "This sign-in has been answered already.");
        };
        let reply = match &outcome {
            Ok(_) => {
                page(StatusCode::OK, "Signed in", "You can close this page and go back to the terminal.")
            }
            Err(_) => {
                page(StatusCode::OK, "Not signed in", "The terminal says why. You can close this page.")
            }
        };
        // Nobody listens any more when time has just run out.
        let _ = tell.send(outcome);
        reply
    }
}

fn page(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - recordport</title></head>\
         <body><h1>{title}</h1><p>{text}</p></body></html>\n"
    );
    let mut reply = Response::new(Body::from(html));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONNECTION, "close"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}
