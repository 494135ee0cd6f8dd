//! Salesforce from the other side: its REST API on loopback.
//!
//! Types come from a table that is expanded to full describes, rows are made on demand from the seed, SOQL is
//! parsed by a grammar of its own. Where the service's own wording was recorded, errors use it.

pub mod oauth;

mod aggregate;
mod bulk;
mod catalogue;
mod cell;
mod changes;
mod collections;
mod columns;
mod composite;
mod conditions;
mod dates;
mod delete;
mod describe;
mod discovery;
mod errors;
mod evaluate;
mod found;
mod id;
mod literals;
mod locators;
mod paths;
mod pretty;
mod query;
mod read;
mod render;
mod row_rules;
mod rows;
mod search;
mod seed;
mod settings;
mod single;
mod soap_login;
mod soql;
mod sosl;
mod statement;
mod tree;
mod validate;
mod write;

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, SERVER};
use http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use self::describe::Object;
use self::discovery::Versions;
use self::errors::Refusal;
use self::locators::Locators;
use self::oauth::{Identity, OAuth};
use self::query::Ask;
use self::rows::{Place, Store};
use crate::emulator::grants::Grants;
use crate::emulator::json::Json;
use crate::emulator::service::{PageShape, Reply, Request, Service, ServiceConfig, StatePart};
use crate::error::Result;

/// Where the control surface reaches this service.
const CONTROL: &str = "/_emulator/salesforce/";
/// URI and headers together may not be longer, in bytes.
const LONGEST_HEAD: usize = 16_384;
/// Types whose number of rows does not grow with the scale.
const FIXED_COUNT: [&str; 6] = ["User", "Group", "Profile", "RecordType", "OperatingHours", "DandBCompany"];
/// Types that keep one row in an org without data: nobody could sign in otherwise.
const NEVER_EMPTY: [&str; 2] = ["User", "Profile"];
/// Rows at scale 1 of an imported type that the table does not have.
const IMPORTED_COUNT: u64 = 100;

/// The emulated Salesforce org.
#[derive(Debug)]
pub struct Salesforce {
    config: ServiceConfig,
    oauth: OAuth,
    imports: Mutex<Vec<Value>>,
    org: RwLock<Org>,
}

/// Everything that requests change. Reads run side by side; what they count and keep locks itself.
#[derive(Debug)]
struct Org {
    store: Store,
    locators: Locators,
    jobs: bulk::Jobs,
    /// Path of the main user's identity.
    identity: String,
    requests: AtomicU64,
    versions: Versions,
    /// When a type was last changed by an import.
    changed: Option<Timestamp>,
}

impl Org {
    /// Counts one more request and gives its number.
    fn count(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn new(config: &ServiceConfig, imports: &[Value]) -> std::result::Result<Self, String> {
        let scaled = |name: &str, base: u64| {
            if config.empty {
                u64::from(NEVER_EMPTY.contains(&name))
            } else if FIXED_COUNT.contains(&name) {
                base
            } else {
                base.saturating_mul(config.scale)
            }
        };
        let mut objects: Vec<(Arc<Object>, u64)> = Vec::new();
        for entry in catalogue::entries() {
            let object = Object::read(entry.describe, false)?;
            let count = scaled(&object.name, entry.base_count);
            objects.push((Arc::new(object), count));
        }
        for import in imports {
            let mut object = Object::read(import.clone(), true)?;
            let taken = |prefix: &str, name: &str| {
                objects
                    .iter()
                    .any(|(known, _)| known.prefix == prefix && !known.name.eq_ignore_ascii_case(name))
            };
            let mut number = 0u32;
            // Not every real type has a key prefix of its own.
            while object.prefix.len() != 3 || taken(&object.prefix, &object.name) {
                object.prefix = format!("z{number:02}");
                number += 1;
            }
            match objects.iter_mut().find(|(known, _)| known.name.eq_ignore_ascii_case(&object.name)) {
                Some((known, _)) => *known = Arc::new(object),
                None => {
                    let count = scaled(&object.name, IMPORTED_COUNT);
                    objects.push((Arc::new(object), count));
                }
            }
        }
        let store = Store::new(config.seed, objects);
        let user = identity(&store);
        Ok(Self {
            store,
            locators: Locators::default(),
            jobs: bulk::Jobs::default(),
            identity: format!("/id/{}/{}", user.organization_id, user.user_id),
            requests: AtomicU64::new(0),
            versions: Versions::default(),
            changed: (!imports.is_empty()).then(|| config.clock.now()),
        })
    }
}

impl Salesforce {
    /// An org as its seed makes it, with its clients and tokens.
    ///
    /// # Errors
    /// When the signing key cannot be made or written.
    pub fn start(config: &ServiceConfig) -> Result<Self> {
        let org = Org::new(config, &[])
            .map_err(|what| crate::error::Error::bug(format!("the table of record types: {what}")))?;
        let oauth = OAuth::start(config, &identity(&org.store))?;
        Ok(Self { config: config.clone(), oauth, imports: Mutex::new(Vec::new()), org: RwLock::new(org) })
    }

    /// Makes every open query locator invalid, as their age would.
    pub fn expire_locators(&self) {
        self.read().locators.expire();
    }

    fn read(&self) -> RwLockReadGuard<'_, Org> {
        self.org.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Org> {
        self.org.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn rebuild(&self) -> std::result::Result<(), String> {
        let imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        let org = Org::new(&self.config, &imports)?;
        *self.write() = org;
        Ok(())
    }

    fn data(&self, request: &Request) -> Reply {
        if let Some(refused) = too_long(request) {
            return refused;
        }
        let rest = request.path.strip_prefix("/services/data").unwrap_or_default();
        if rest.is_empty() || rest == "/" {
            return text_reply(StatusCode::OK, discovery::versions(&self.read().versions));
        }
        if let Err(refused) = self.oauth.admit(request) {
            return refused;
        }
        if bulk::is_due(&self.read().jobs, request.now) {
            let mut org = self.write();
            let Org { jobs, store, .. } = &mut *org;
            bulk::tick(jobs, store, request.now);
        }
        if matches!(request.method, Method::GET | Method::HEAD) {
            let org = self.read();
            if let Some(reply) = route_read(&org, request) {
                let number = org.count();
                drop(org);
                let reply = reply.unwrap_or_else(|refusal| refused(&refusal));
                return with_service_headers(laid_out(reply, request), number);
            }
        }
        let mut org = self.write();
        let number = org.count();
        let reply = route(&mut org, request).unwrap_or_else(|refusal| refused(&refusal));
        drop(org);
        with_service_headers(laid_out(reply, request), number)
    }
}

/// JSON over several lines, where `X-PrettyPrint` asks for it.
fn laid_out(mut reply: Reply, request: &Request) -> Reply {
    let asked = request.headers.get("x-prettyprint").and_then(|value| value.to_str().ok());
    let is_json = reply
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if is_json
        && asked.is_some_and(|asked| asked == "1" || asked.eq_ignore_ascii_case("true"))
        && let Ok(text) = std::str::from_utf8(&reply.body)
    {
        reply.body = pretty::laid_out(text).into();
    }
    reply
}

/// The user that all clients act as, and the organisation.
fn identity(store: &Store) -> Identity {
    let table = store.find_table("User").unwrap_or_default();
    let at = Place { table, index: 0 };
    let value = |name: &str| {
        store.object(table).field(name).map_or_else(String::new, |field| store.cell(at, field).plain())
    };
    Identity {
        organization_id: store.ids.make("00D", 0),
        user_id: store.id(at),
        username: value("Username"),
        display_name: value("Name"),
        email: value("Email"),
    }
}

/// Salesforce's edge refuses long addresses and heads before anything reads them.
fn too_long(request: &Request) -> Option<Reply> {
    let uri = request.path.len() + request.query.len() + 1;
    let head: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let (status, reason) = if uri > LONGEST_HEAD {
        (StatusCode::URI_TOO_LONG, "URI Too Long")
    } else if uri + head > LONGEST_HEAD {
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large")
    } else {
        return None;
    };
    let body = format!("<h1>Bad Message {}</h1><pre>reason: {reason}</pre>", status.as_u16());
    Some(Reply::new(status, "text/html;charset=iso-8859-1", body))
}

fn text_reply(status: StatusCode, body: String) -> Reply {
    Reply::new(status, "application/json;charset=UTF-8", body)
}

fn refused(refusal: &Refusal) -> Reply {
    text_reply(refusal.status, errors::body(std::slice::from_ref(refusal)))
}

fn with_service_headers(reply: Reply, number: u64) -> Reply {
    // The service counts in several places, so that the number now and then steps back by one.
    let used = 18 + number - u64::from(number % 5 == 4);
    let id = format!("{:032x}", u128::from(seed::mix(number)));
    reply
        .with_header(HeaderName::from_static("sforce-limit-info"), &format!("api-usage={used}/100000"))
        .with_header(HeaderName::from_static("x-sfdc-request-id"), &id)
        .with_header(HeaderName::from_static("x-request-id"), &id)
        .with_header(SERVER, "sfdcedge")
}

/// A request to the data API, taken apart.
#[derive(Debug)]
struct Call<'a> {
    request: &'a Request,
    /// `v60.0`.
    version: &'a str,
    /// Path segments after the version, still encoded; one trailing slash is dropped.
    segments: Vec<&'a str>,
}

impl Call<'_> {
    fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.request.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn is(&self, method: &Method) -> bool {
        self.request.method == *method || (*method == Method::GET && self.request.method == Method::HEAD)
    }

    /// The body as JSON.
    fn json(&self) -> std::result::Result<Json, Refusal> {
        let kind = self.header("content-type").unwrap_or_default().to_ascii_lowercase();
        if !kind.contains("json") {
            return Err(Refusal::new(
                "UNSUPPORTED_MEDIA_TYPE",
                "The HTTP entity body is required, but this request has no entity body or a media type that is not supported.",
            )
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        Ok(Json::read(&self.request.body)?)
    }

    fn is_post(&self) -> bool {
        self.request.method == Method::POST
    }
}

/// A path segment with its percent escapes decoded once.
fn decoded(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

impl<'a> Call<'a> {
    fn read(request: &'a Request) -> Option<Self> {
        let mut segments: Vec<&str> = request.path.strip_prefix("/services/data/")?.split('/').collect();
        if segments.len() > 1 && segments.last() == Some(&"") {
            segments.pop();
        }
        let version = segments.remove(0);
        discovery::number_of(version)?;
        Some(Self { request, version, segments })
    }
}

/// Answers what only reads; `None` for everything else.
fn route_read(org: &Org, request: &Request) -> Option<std::result::Result<Reply, Refusal>> {
    let call = Call::read(request)?;
    if !call.is(&Method::GET) {
        return None;
    }
    if let Err(refusal) = org.versions.admit(call.version) {
        return Some(Err(refusal));
    }
    let body = match call.segments.as_slice() {
        [] => discovery::resources(call.version, &format!("{}{}", request.origin, org.identity)),
        ["query" | "queryAll"] => return Some(query_endpoint(org, &call, None)),
        ["query" | "queryAll", token] => return Some(query_endpoint(org, &call, Some(token))),
        ["sobjects"] => return Some(Ok(discovery::global_reply(&org.store, &call, org.changed))),
        ["limits"] => discovery::limits(org.requests.load(Ordering::Relaxed), org.jobs.queries_made()),
        ["search"] => return Some(search::search(&org.store, &call)),
        ["parameterizedSearch"] => return Some(search::parameterized(&org.store, &call)),
        ["limits", "recordCount"] => {
            discovery::record_count(&org.store, call.parameter("sObjects").as_deref())
        }
        ["sobjects", name, rest @ ..] => {
            let Some(table) = org.store.find_table(&decoded(name)) else {
                return Some(Err(Refusal::not_found()));
            };
            return sobject_read(org, &call, table, rest);
        }
        _ => return None,
    };
    Some(Ok(text_reply(StatusCode::OK, body)))
}

/// Answers a request that may change rows; reads included, as they are in composite requests.
fn route(org: &mut Org, request: &Request) -> std::result::Result<Reply, Refusal> {
    if let Some(reply) = route_read(org, request) {
        return reply;
    }
    let call = Call::read(request).ok_or_else(Refusal::not_found)?;
    org.versions.admit(call.version)?;
    match call.segments.as_slice() {
        ["parameterizedSearch"] if call.is_post() => search::parameterized(&org.store, &call),
        []
        | ["query" | "queryAll" | "search" | "parameterizedSearch" | "sobjects"]
        | ["query" | "queryAll", _]
        | ["limits", ..] => Err(Refusal::method_not_allowed(&call.request.method)),
        ["jobs", rest @ ..] => bulk::handle(&mut org.jobs, &mut org.store, &call, rest),
        ["composite"] | ["composite", "batch" | "graph"] | ["composite", "tree", _] if !call.is_post() => {
            Err(Refusal::method_not_allowed(&call.request.method))
        }
        ["composite"] => composite::composite(org, &call),
        ["composite", "batch"] => composite::batch(org, &call),
        ["composite", "graph"] => composite::graph(org, &call),
        ["composite", "tree", name] => {
            let table = org.store.find_table(&decoded(name)).ok_or_else(Refusal::not_found)?;
            tree::tree(org, &call, table)
        }
        ["composite", "sobjects", rest @ ..] => collections::handle(&mut org.store, &call, rest, None)
            .unwrap_or_else(|| Err(Refusal::not_found())),
        ["sobjects", name, rest @ ..] => {
            let table = org.store.find_table(&decoded(name)).ok_or_else(Refusal::not_found)?;
            match rest {
                ["describe" | "updated" | "deleted"] => {
                    Err(Refusal::method_not_allowed(&call.request.method))
                }
                [] | [_] | [_, _] => single::handle(&mut org.store, table, &call, rest),
                _ => Err(Refusal::not_found()),
            }
        }
        _ => Err(Refusal::not_found()),
    }
}

fn query_endpoint(org: &Org, call: &Call<'_>, token: Option<&str>) -> std::result::Result<Reply, Refusal> {
    let ask = Ask {
        version: call.version,
        now: call.request.now,
        page: query::page_size(call.header("sforce-query-options")),
        with_deleted: call.segments.first() == Some(&"queryAll"),
    };
    let body = match token {
        Some(token) => query::next_page(&org.store, &org.locators, &decoded(token), ask)?,
        None => {
            let text = call
                .parameter("q")
                .filter(|text| !text.is_empty())
                .ok_or_else(|| Refusal::new("MALFORMED_QUERY", "A query string has to be specified"))?;
            query::first_page(&org.store, &org.locators, &text, ask)?
        }
    };
    Ok(text_reply(StatusCode::OK, body))
}

fn sobject_read(
    org: &Org,
    call: &Call<'_>,
    table: usize,
    rest: &[&str],
) -> Option<std::result::Result<Reply, Refusal>> {
    let store = &org.store;
    Some(match rest {
        [] => Ok(text_reply(StatusCode::OK, discovery::basic(store.object(table), call.version))),
        ["describe"] => Ok(discovery::describe_reply(store.object(table), call, org.changed)),
        ["updated"] => changes::updated(store, table, call),
        ["deleted"] => changes::deleted(store, table, call),
        [id] => read::by_id(store, table, &decoded(id), call),
        [id, field] if read::is_blob(store, table, &decoded(id), &decoded(field)) => {
            read::blob(store, table, &decoded(id), &decoded(field))
        }
        [field, value] => read::by_field(store, table, &decoded(field), &decoded(value), call),
        _ => return None,
    })
}

impl Service for Salesforce {
    fn name(&self) -> &'static str {
        "salesforce"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with("/services/") || OAuth::owns(path) || path.starts_with(CONTROL)
    }

    fn handle(&self, request: &Request) -> Reply {
        if OAuth::owns(&request.path) {
            return self.oauth.handle(request);
        }
        if let Some(what) = request.path.strip_prefix(CONTROL) {
            return match what {
                "expire-locators" => {
                    self.expire_locators();
                    Reply::empty(StatusCode::NO_CONTENT)
                }
                "versions" => match Versions::read(&request.body) {
                    Ok(versions) => {
                        self.write().versions = versions;
                        Reply::empty(StatusCode::NO_CONTENT)
                    }
                    Err(what) => Reply::json(StatusCode::BAD_REQUEST, &json!({ "error": what })),
                },
                what => {
                    let store = &mut self.write().store;
                    changes::control(store, what, request)
                        .unwrap_or_else(|| settings::handle(store, what, request))
                }
            };
        }
        let data = request.path.strip_prefix("/services/data");
        if data.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return self.data(request);
        }
        refused(&Refusal::not_found())
    }

    fn partial(&self, request: &Request, every: usize) -> Option<Reply> {
        let call = Call::read(request)?;
        let ["composite", "sobjects", rest @ ..] = call.segments.as_slice() else { return None };
        if let Err(refused) = self.oauth.admit(request) {
            return Some(refused);
        }
        let mut org = self.write();
        let reply = collections::handle(&mut org.store, &call, rest, Some(every))?;
        let number = org.count();
        drop(org);
        Some(with_service_headers(reply.unwrap_or_else(|refusal| refused(&refusal)), number))
    }

    fn refusal(&self, status: StatusCode) -> Reply {
        let refusal = match status {
            StatusCode::UNAUTHORIZED => Refusal::new("INVALID_SESSION_ID", "Session expired or invalid"),
            StatusCode::FORBIDDEN => Refusal::new("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
            StatusCode::TOO_MANY_REQUESTS => {
                Refusal::new("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.")
            }
            StatusCode::NOT_FOUND => Refusal::not_found(),
            StatusCode::SERVICE_UNAVAILABLE => {
                Refusal::new("SERVER_UNAVAILABLE", "server temporarily unavailable")
            }
            status if status.is_server_error() => {
                Refusal::new("UNKNOWN_EXCEPTION", "An unexpected error occurred.")
            }
            _ => Refusal::new("UNKNOWN_EXCEPTION", "The request was refused."),
        };
        refused(&refusal.with_status(status))
    }

    fn grants(&self) -> Option<&Grants> {
        Some(self.oauth.grants())
    }

    fn credentials(&self) -> Value {
        self.oauth.credentials()
    }

    fn expire_access_tokens(&self) {
        self.oauth.grants().expire_access_tokens();
    }

    fn page_shape(&self) -> PageShape {
        PageShape {
            rows: "records",
            next: "nextRecordsUrl",
            done: Some("done"),
            more: None,
            total: Some("totalSize"),
        }
    }

    fn reset(&self) {
        self.oauth.grants().reset();
        // The imported describes were read once already.
        let _ = self.rebuild();
    }

    fn state(&self, record_type: &str) -> Option<Vec<Value>> {
        let text = self.state_text(record_type, &StatePart::default())?;
        serde_json::from_slice(&text).ok()
    }

    fn state_text(&self, record_type: &str, part: &StatePart) -> Option<Bytes> {
        let org = self.read();
        let table = org.store.find_table(record_type)?;
        Some(read::state(&org.store, table, part).into())
    }

    fn import(&self, file: &Path) -> std::result::Result<(), String> {
        let told = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
        let describe: Value = serde_json::from_str(&text).map_err(|error| told(&error))?;
        let name = Object::read(describe.clone(), true).map_err(|error| told(&error))?.name;
        {
            let mut imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
            imports.retain(|known| known["name"] != name.as_str());
            imports.push(describe);
        }
        self.rebuild()
    }
}
