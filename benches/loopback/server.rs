//! A service that has rendered all its pages beforehand, so that it costs next to nothing while others are
//! measured. `/_bench/set` says what to serve and forgets the counts; `/_bench/counts` tells them.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::response::Response;
use axum::{Json, Router, routing};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::header;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::content::Content;
use crate::{Result, dropbox, dynamics, google_calendar, jira, pages};

/// Records that differ; a longer result repeats them.
const DISTINCT: usize = 100_000;
/// Deepest body of a write that is read.
const MOST_BODY: usize = 16 * 1024 * 1024;

/// Which service's pages are served.
#[derive(Debug, Clone, Copy, Default)]
enum Service {
    #[default]
    Salesforce,
    Dynamics,
    Jira,
    GoogleCalendar,
    Dropbox,
}

#[derive(Debug, Default)]
struct Served {
    service: Service,
    address: String,
    records: usize,
    page: usize,
    think: Duration,
    bodies: Vec<Bytes>,
    /// Whole pages, compressed; empty when compression is off.
    packed: Vec<Bytes>,
    /// The file whose content is read and written; none when that is not measured.
    content: Option<Content>,
}

impl Served {
    /// What stands before and behind the records of the page that begins at one.
    fn around(&self, first: usize) -> (Bytes, Bytes) {
        match self.service {
            Service::Salesforce => (pages::head(self.records, self.page, first), Bytes::from_static(b"}")),
            Service::Dynamics => {
                (dynamics::head(&self.address), dynamics::end(&self.address, self.records, self.page, first))
            }
            Service::Jira => (jira::head(self.records, self.page, first), Bytes::from_static(b"}")),
            Service::GoogleCalendar => {
                (google_calendar::head(self.records, self.page, first), Bytes::from_static(b"}"))
            }
            Service::Dropbox => (dropbox::head(), dropbox::end(self.records, self.page, first)),
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    rows: usize,
    peers: HashSet<SocketAddr>,
}

struct Server {
    address: String,
    describe: Value,
    served: RwLock<Arc<Served>>,
    counts: Mutex<Counts>,
}

/// Serves until the process is ended; the first line of stdout is the address.
pub(crate) async fn run() -> Result {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let server = Arc::new(Server {
        address: address.clone(),
        describe: pages::describe()?,
        served: RwLock::default(),
        counts: Mutex::default(),
    });
    let routes = Router::new()
        .route("/_bench/set", routing::get(set))
        .route("/_bench/counts", routing::get(counts))
        .fallback(answer)
        .with_state(server);
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{address}")?;
    stdout.flush()?;
    axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

async fn set(
    State(server): State<Arc<Server>>,
    Query(wanted): Query<HashMap<String, String>>,
) -> Json<Value> {
    let number = |name: &str| wanted.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let (records, page) = (number("records") as usize, number("page").max(1) as usize);
    let distinct = records.min(DISTINCT);
    let (service, bodies) = match wanted.get("service").map(String::as_str) {
        Some("dynamics") => (Service::Dynamics, dynamics::bodies(distinct, page)),
        Some("jira") => (Service::Jira, jira::bodies(distinct, page)),
        Some("google-calendar") => (Service::GoogleCalendar, google_calendar::bodies(distinct, page)),
        Some("dropbox") => (Service::Dropbox, dropbox::bodies(distinct, page)),
        _ => (Service::Salesforce, pages::bodies(distinct, page)),
    };
    let content = Some(number("blocks") as usize)
        .filter(|&blocks| blocks > 0)
        .map(|blocks| Content::of(blocks, number("line")));
    let think = Duration::from_millis(number("think"));
    let address = server.address.clone();
    let mut served = Served { service, address, records, page, think, bodies, packed: Vec::new(), content };
    if number("gzip") == 1 {
        let whole = |(at, body): (usize, &Bytes)| {
            let (head, end) = served.around(at * page);
            packed(&[&head, body, &end])
        };
        served.packed = served.bodies.iter().enumerate().map(whole).collect();
    }
    let bytes: usize = served.bodies.iter().map(Bytes::len).sum();
    let packed: usize = served.packed.iter().map(Bytes::len).sum();
    *server.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
    *server.counts.lock().unwrap_or_else(PoisonError::into_inner) = Counts::default();
    Json(json!({ "bytes": bytes, "packed": packed }))
}

/// The records of pages, each page as the opening of its list, the records and the list's end.
pub(crate) fn bodies(
    records: usize,
    page: usize,
    opening: &str,
    write: fn(&mut String, usize),
) -> Vec<Bytes> {
    let mut bodies = Vec::new();
    for first in (0..records).step_by(page) {
        let mut text = opening.to_owned();
        for n in first..records.min(first + page) {
            if n > first {
                text.push(',');
            }
            write(&mut text, n);
        }
        text.push(']');
        bodies.push(Bytes::from(text));
    }
    bodies
}

fn packed(parts: &[&Bytes]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = parts.iter().try_for_each(|part| encoder.write_all(part));
    // Writing to memory does not fail.
    written.and_then(|()| encoder.finish()).map(Bytes::from).unwrap_or_default()
}

async fn counts(State(server): State<Arc<Server>>) -> Json<Value> {
    let counts = server.counts.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({ "requests": counts.requests, "rows": counts.rows, "connections": counts.peers.len() }))
}

async fn answer(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    {
        let mut counts = server.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        counts.peers.insert(peer);
    }
    let path = request.uri().path().to_owned();
    let served = Arc::clone(&server.served.read().unwrap_or_else(PoisonError::into_inner));
    let request = match &served.content {
        Some(content) => match content.answer(&path, request).await {
            Ok(response) => return response,
            Err(request) => request,
        },
        None => request,
    };
    if path.ends_with("/composite/sobjects") {
        return created(&server, &served, request).await;
    }
    if path.ends_with("/query") {
        return page(&served, takes_gzip(&request), 0);
    }
    if let Some((_, offset)) = path.split_once("/query/").and_then(|(_, locator)| locator.split_once('-')) {
        return page(&served, takes_gzip(&request), offset.parse().unwrap_or_default());
    }
    let first_of = match path.as_str() {
        jira::SEARCH => Some(jira::first_of as fn(&[u8]) -> usize),
        _ if path.starts_with(dropbox::LIST) && !path.ends_with("get_latest_cursor") => {
            Some(dropbox::first_of as _)
        }
        _ => None,
    };
    if let Some(first_of) = first_of {
        let takes_gzip = takes_gzip(&request);
        let body = axum::body::to_bytes(request.into_body(), MOST_BODY).await.unwrap_or_default();
        return page(&served, takes_gzip, first_of(&body));
    }
    if path.replace("%40", "@") == google_calendar::EVENTS {
        let first = google_calendar::first_of(request.uri().query().unwrap_or_default());
        return page(&served, takes_gzip(&request), first);
    }
    let known = jira::answer(&server.address, &path).or_else(|| google_calendar::answer(&path));
    if let Some(answer) = known.or_else(|| dropbox::answer(&path)) {
        return small(answer);
    }
    if path.ends_with("/accounts") {
        return page(
            &served,
            takes_gzip(&request),
            dynamics::first_of(request.uri().query().unwrap_or_default()),
        );
    }
    if path.contains("/api/data/") {
        return small(dynamics::answer(&path));
    }
    small(match path.as_str() {
        "/services/oauth2/token" => json!({
            "access_token": "00Dbench!token", "instance_url": server.address, "token_type": "Bearer",
            "id": format!("{}/id/00D/005", server.address), "issued_at": "1700000000000", "signature": "none",
        }),
        "/services/oauth2/userinfo" => {
            json!({ "preferred_username": "bench@example.com", "organization_id": "00D" })
        }
        "/services/data/v60.0/sobjects" => pages::global(),
        "/services/data/v60.0/sobjects/Account/describe" => server.describe.clone(),
        _ => json!({ "sobjects": "/services/data/v60.0/sobjects" }),
    })
}

fn small(value: Value) -> Response {
    with_body(Body::from(value.to_string()), None, None)
}

fn with_body(body: Body, length: Option<usize>, encoding: Option<&'static str>) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json;charset=UTF-8"));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, http::HeaderValue::from_static(encoding));
    }
    response
}

fn takes_gzip(request: &Request) -> bool {
    let accepted = request.headers().get(header::ACCEPT_ENCODING).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("gzip"))
}

fn page(served: &Served, takes_gzip: bool, first: usize) -> Response {
    if served.bodies.is_empty() {
        return small(json!({ "totalSize": 0, "done": true, "records": [] }));
    }
    let at = first / served.page % served.bodies.len();
    if let Some(whole) = served.packed.get(at).filter(|_| takes_gzip) {
        return with_body(Body::from(whole.clone()), None, Some("gzip"));
    }
    let (head, end) = served.around(first);
    let body = served.bodies[at].clone();
    let length = head.len() + body.len() + end.len();
    let parts = [head, body, end].map(Ok::<Bytes, std::io::Error>);
    with_body(Body::from_stream(stream::iter(parts)), Some(length), None)
}

async fn created(server: &Server, served: &Served, request: Request) -> Response {
    #[derive(Deserialize)]
    struct Write {
        records: Vec<IgnoredAny>,
    }
    let body = axum::body::to_bytes(request.into_body(), MOST_BODY).await.unwrap_or_default();
    let rows = serde_json::from_slice::<Write>(&body).map_or(0, |write| write.records.len());
    tokio::time::sleep(served.think).await;
    let first = {
        let mut counts = server.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.rows += rows;
        counts.rows - rows
    };
    let results: Vec<Value> = (first..first + rows)
        .map(|n| json!({ "id": format!("001Dn{n:010}NEW"), "success": true, "errors": [] }))
        .collect();
    small(Value::Array(results))
}
