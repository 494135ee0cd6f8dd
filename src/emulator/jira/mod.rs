//! Jira Cloud from the other side: its REST API on loopback, with Atlassian's sign-in beside it.
//!
//! Issues are made on demand from the seed, queries are parsed by a grammar of their own, screens and workflow
//! decide what may be written. Where the service's own wording was recorded, errors use it.

mod adf;
mod atlassian;
mod attachments;
mod call;
mod catalogue;
mod condition;
mod control;
mod errors;
mod import;
mod jql;
mod lookup;
mod metadata;
mod model;
mod moments;
mod notes;
mod parts;
mod past;
mod read;
mod render;
mod screens;
mod search;
mod seed;
mod store;
mod ties;
mod transitions;
mod values;
mod write;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::atlassian::{Atlassian, Door};
use self::call::Call;
use self::errors::Refusal;
use self::notes::List;
use self::read::Wanted;
use self::search::Open;
use self::store::{SEEDED, Store};
use crate::emulator::chance::mix;
use crate::emulator::grants::Grants;
use crate::emulator::service::{PageShape, Reply, Request, Service, ServiceConfig, StatePart};

/// Issues of one project at scale 1.
const ISSUES: u64 = 120;
const API: &str = "/rest/api/";
const GATEWAY: &str = "/ex/jira/";
/// Requests that one address may get in its window, as headers tell.
const LIMIT: u64 = 350;

/// The emulated account with its two sites.
#[derive(Debug)]
pub struct Jira {
    config: ServiceConfig,
    atlassian: Atlassian,
    imports: Mutex<Vec<String>>,
    site: Mutex<Site>,
    sandbox: Mutex<Site>,
}

/// Everything that requests change.
#[derive(Debug)]
struct Site {
    store: Store,
    open: Open,
    requests: u64,
}

impl Site {
    fn new(config: &ServiceConfig, imports: &[String], empty: bool) -> Result<Self, String> {
        let mut model = catalogue::catalogue(config.seed);
        for text in imports {
            import::apply(&mut model, text)?;
        }
        let count = if empty { 0 } else { SEEDED * ISSUES * config.scale.clamp(1, 10_000_000) };
        Ok(Self { store: Store::new(config.seed, model, count), open: Open::default(), requests: 0 })
    }
}

impl Jira {
    /// A site as its seed makes it, with its account, client and tokens.
    ///
    /// # Errors
    /// When the list of fields and projects is wrong.
    pub fn start(config: &ServiceConfig) -> crate::error::Result<Self> {
        let wrong = |what: String| crate::error::Error::bug(format!("the list of fields: {what}"));
        let site = Site::new(config, &[], config.empty).map_err(wrong)?;
        let sandbox = Site::new(config, &[], true).map_err(wrong)?;
        let (account, name, email) =
            site.store.model.people.first().map_or_else(Default::default, |own| {
                (own.account.clone(), own.name.clone(), own.email.clone())
            });
        Ok(Self {
            config: config.clone(),
            atlassian: Atlassian::start(config, &account, &name, &email),
            imports: Mutex::new(Vec::new()),
            site: Mutex::new(site),
            sandbox: Mutex::new(sandbox),
        })
    }

    fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rebuild(&self, imports: &[String]) -> Result<(), String> {
        let site = Site::new(&self.config, imports, self.config.empty)?;
        let sandbox = Site::new(&self.config, imports, true)?;
        *self.site() = site;
        *self.sandbox.lock().unwrap_or_else(PoisonError::into_inner) = sandbox;
        Ok(())
    }

    fn api(&self, request: &Request, refuse: Option<usize>) -> Reply {
        let (door, rest) = match request.path.strip_prefix(GATEWAY).and_then(|rest| rest.split_once('/')) {
            Some((cloud, rest)) => (Door::Gateway(cloud.to_owned()), rest.strip_prefix(&API[1..])),
            None => (Door::Site, request.path.strip_prefix(API)),
        };
        let Some(rest) = rest else {
            return no_such_path(request);
        };
        let account = match self.atlassian.admit(request, &door, scope(request, rest)) {
            Ok(account) => account,
            Err(refusal) => return refusal.reply(&request.path),
        };
        let base = match &door {
            Door::Site => request.origin.clone(),
            Door::Gateway(cloud) => format!("{}{GATEWAY}{cloud}", request.origin),
        };
        let call = Call::read(request, rest, base, account);
        let site = if self.atlassian.is_sandbox(&door) { &self.sandbox } else { &self.site };
        let mut site = site.lock().unwrap_or_else(PoisonError::into_inner);
        site.requests += 1;
        site.store.at(request.now.as_millisecond());
        let number = site.requests;
        let reply = route(&mut site, &call, refuse).unwrap_or_else(|refusal| refusal.reply(&request.path));
        drop(site);
        with_service_headers(reply, number, &call)
    }
}

/// What a token must be allowed to do.
fn scope(request: &Request, rest: &str) -> &'static str {
    let what = rest.split_once('/').map_or("", |(_, what)| what);
    let reads = ["search/", "issue/bulkfetch", "jql/"].iter().any(|own| what.starts_with(own));
    if what.starts_with("myself") || what.starts_with("user") {
        "read:jira-user"
    } else if request.method == Method::GET || reads {
        "read:jira-work"
    } else {
        "write:jira-work"
    }
}

fn no_such_path(request: &Request) -> Reply {
    let body = json!({
        "timestamp": request.now.to_string(),
        "status": 404,
        "error": "Not Found",
        "message": "No message available",
        "path": request.path,
    });
    Reply::json(StatusCode::NOT_FOUND, &body)
}

fn route(site: &mut Site, call: &Call<'_>, refuse: Option<usize>) -> Result<Reply, Refusal> {
    if !matches!(call.version.as_str(), "2" | "3" | "latest") {
        return Err(call.no_route());
    }
    let store = &mut site.store;
    if let Some(answer) = metadata::handle(store, call) {
        return answer;
    }
    if let Some(answer) = search::handle(store, &mut site.open, call) {
        return answer;
    }
    if let Some(answer) = read::handle(store, call) {
        return answer;
    }
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["issue"] => call.only(&[Method::POST]).and_then(|()| write::create(store, call)),
        ["issue", "bulk"] => {
            call.only(&[Method::POST]).and_then(|()| write::create_many(store, call, refuse))
        }
        ["issue", key] => match *call.method() {
            Method::PUT => write::edit(store, call, key),
            Method::DELETE => write::delete(store, call, key),
            _ => Err(Refusal::method(call.method(), "GET, PUT, DELETE")),
        },
        ["issue", key, "transitions"] => transitions::handle(store, call, key),
        ["issue", key, "assignee"] => write::assign(store, call, key),
        ["issue", key, "attachments"] => attachments::add(store, call, key),
        ["issue", key, "properties"] => ties::properties(store, call, key),
        ["issue", key, "properties", name] => ties::property(store, call, key, name),
        ["issue", key, "watchers"] => ties::watchers(store, call, key, false),
        ["issue", key, "votes"] => ties::watchers(store, call, key, true),
        ["issue", key, list] => match List::named(list) {
            Some(list) => notes::all(store, call, key, list),
            None => Err(call.no_route()),
        },
        ["issue", key, list, id] => match List::named(list) {
            Some(list) => notes::one(store, call, key, list, id),
            None => Err(call.no_route()),
        },
        [what @ ("version" | "component")] => parts::add(store, call, *what == "component"),
        [what @ ("version" | "component"), id] => parts::one(store, call, id, *what == "component"),
        ["issueLink"] => ties::add_link(store, call),
        ["issueLink", id] => ties::link(store, call, id),
        ["attachment", "content", id] => attachments::one(store, call, id, true),
        ["attachment", id] => attachments::one(store, call, id, false),
        _ => Err(call.no_route()),
    }
}

fn with_service_headers(reply: Reply, number: u64, call: &Call<'_>) -> Reply {
    let id = uuid::Uuid::from_u64_pair(mix(number), mix(number ^ 1)).to_string();
    let mut reply = reply
        .with_header(HeaderName::from_static("atl-request-id"), &id)
        .with_header(HeaderName::from_static("atl-traceid"), &id.replace('-', ""))
        .with_header(HeaderName::from_static("x-arequestid"), &id.replace('-', ""))
        .with_header(http::header::CACHE_CONTROL, "no-cache, no-store, no-transform");
    let Some(account) = &call.account else {
        return if call.header("authorization").is_some() {
            reply.with_header(HeaderName::from_static("x-seraph-loginreason"), "AUTHENTICATED_FAILED")
        } else {
            reply
        };
    };
    let left = LIMIT - 1 - number % (LIMIT - 1);
    reply = reply
        .with_header(HeaderName::from_static("x-aaccountid"), &account.replace(':', "%3A"))
        .with_header(HeaderName::from_static("x-ratelimit-limit"), &LIMIT.to_string())
        .with_header(HeaderName::from_static("x-ratelimit-remaining"), &left.to_string())
        .with_header(HeaderName::from_static("ratelimit-policy"), "\"jira-burst-based\";q=100;w=1")
        .with_header(HeaderName::from_static("ratelimit"), &format!("\"jira-burst-based\";r={left};t=1"));
    reply
}

impl Service for Jira {
    fn name(&self) -> &'static str {
        "jira"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with(API) || path.starts_with(GATEWAY) || Atlassian::owns(path) || control::owns(path)
    }

    fn handle(&self, request: &Request) -> Reply {
        if control::owns(&request.path) {
            return control::handle(&mut self.site().store, request);
        }
        if Atlassian::owns(&request.path) {
            return self.atlassian.handle(request);
        }
        self.api(request, None)
    }

    fn partial(&self, request: &Request, every: usize) -> Option<Reply> {
        let bulk = request.path.ends_with("/issue/bulk") && request.method == Method::POST;
        (bulk && !Atlassian::owns(&request.path)).then(|| self.api(request, Some(every)))
    }

    fn refusal(&self, status: StatusCode) -> Reply {
        match status {
            StatusCode::UNAUTHORIZED => {
                Reply::json(status, &json!({ "code": 401, "message": "Unauthorized" }))
            }
            StatusCode::TOO_MANY_REQUESTS => Refusal::new(status, "Rate limit exceeded.")
                .reply("")
                .with_header(HeaderName::from_static("ratelimit-reason"), "jira-burst-based"),
            StatusCode::FORBIDDEN => {
                Refusal::new(status, "You do not have permission to perform this operation.").reply("")
            }
            StatusCode::NOT_FOUND => Refusal::not_found(errors::NO_ISSUE).reply(""),
            status if status.is_server_error() => {
                let detail = status.canonical_reason().unwrap_or("Internal Server Error");
                Refusal::problem(status, detail).reply("/rest/api/3")
            }
            _ => Refusal::new(status, "The request was refused.").reply(""),
        }
    }

    fn grants(&self) -> Option<&Grants> {
        Some(self.atlassian.grants())
    }

    fn credentials(&self) -> Value {
        self.atlassian.credentials()
    }

    fn expire_access_tokens(&self) {
        self.atlassian.grants().expire_access_tokens();
    }

    fn page_shape(&self) -> PageShape {
        PageShape { rows: "issues", next: "nextPageToken", done: Some("isLast"), more: None, total: None }
    }

    fn reset(&self) {
        self.atlassian.grants().reset();
        let imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        // The imported metadata was read once already.
        let _ = self.rebuild(&imports);
    }

    fn state_text(&self, record_type: &str, part: &StatePart) -> Option<Bytes> {
        let inner = |fields: &Vec<String>| -> Option<Vec<String>> {
            fields.iter().map(|name| name.strip_prefix("fields.").map(str::to_owned)).collect()
        };
        let rows = match (record_type, part.fields.as_ref().and_then(inner)) {
            ("issue", Some(fields)) => self.issues(&fields, part.most()),
            _ => part.of(self.state(record_type)?),
        };
        Some(Value::Array(rows).to_string().into())
    }

    fn state(&self, record_type: &str) -> Option<Vec<Value>> {
        let request = unasked();
        let site = self.site();
        let store = &site.store;
        let call = Call::read(&request, "3", String::new(), None);
        let wanted = Wanted::new(&["*all".to_owned()], vec!["*all".to_owned()], Vec::new());
        let issues = || store.issues();
        Some(match record_type {
            "issue" => issues().map(|own| read::issue(store, &call, &own, &wanted)).collect(),
            "comment" | "worklog" => {
                let list = List::named(record_type)?;
                issues().flat_map(|own| notes::stored(store, &call, &own, list)).collect()
            }
            "attachment" => issues()
                .flat_map(|own| {
                    let shown = own.attachments.iter().map(|own| render::attachment(store, &call, own));
                    shown.collect::<Vec<_>>()
                })
                .collect(),
            "project" => store.model.projects.iter().map(|own| render::project(&call, own)).collect(),
            "version" | "component" => {
                let components = record_type == "component";
                let of = |own: &model::Project| {
                    let parts = if components { &own.components } else { &own.versions };
                    let shown = parts.iter().map(|part| parts::shown(store, &call, own, part, components));
                    shown.collect::<Vec<_>>()
                };
                store.model.projects.iter().flat_map(of).collect()
            }
            "user" => store.model.people.iter().map(|own| render::person(&call, own)).collect(),
            _ => return None,
        })
    }

    fn import(&self, file: &Path) -> Result<(), String> {
        let told = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| told(&error))?;
        let mut imports = self.imports.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = imports.clone();
        all.push(text);
        self.rebuild(&all).map_err(|error| told(&error))?;
        *imports = all;
        Ok(())
    }
}

impl Jira {
    /// Some fields of the first issues, as they are served.
    fn issues(&self, fields: &[String], most: usize) -> Vec<Value> {
        let request = unasked();
        let site = self.site();
        let call = Call::read(&request, "3", String::new(), None);
        let wanted = Wanted::new(fields, Vec::new(), Vec::new());
        let shown =
            |own: Arc<_>| json!({"fields": read::issue(&site.store, &call, &own, &wanted)["fields"].take()});
        site.store.issues().take(most).map(shown).collect()
    }
}

/// The request of somebody who looks at the state, which no client sends.
fn unasked() -> Request {
    Request {
        method: Method::GET,
        path: String::new(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        origin: String::new(),
        now: Timestamp::UNIX_EPOCH,
    }
}
