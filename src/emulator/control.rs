//! The control surface under `/_emulator/`: for tests and for curious people, on loopback only.
//!
//! | request | does |
//! |---|---|
//! | `GET /_emulator/credentials` | the credentials of the ready line |
//! | `POST /_emulator/reset` | rows, grants, faults, clock and request log as after start |
//! | `GET`, `POST`, `DELETE /_emulator/faults`, `DELETE /_emulator/faults/{id}` | lists, adds, removes fault rules |
//! | `GET`, `POST /_emulator/clock` | tells the emulated time, advances it |
//! | `GET`, `DELETE /_emulator/requests` | what was received (`?method=`, `?path=` with a glob), forgets it |
//! | `GET /_emulator/state/{service}/{type}` | rows as stored |
//! | `POST /_emulator/dynamics/...` | what `emulator/dynamics/control.rs` lists |
//! | `POST /_emulator/salesforce/expire-locators` | makes every open query locator invalid |
//! | `POST /_emulator/salesforce/permissions`, `fields`, `duplicate-rules` | changes what types look like and refuse |
//! | `GET`, `POST /_emulator/oauth/clients` | lists and changes OAuth clients |
//! | `GET`, `POST /_emulator/oauth/users` | lists and changes users; revokes their tokens |
//!
//! It shows secrets, so it answers only to loopback names in `Host` and `Origin`: a page of another site that
//! has its own name resolve to 127.0.0.1 is refused.

use std::sync::atomic::Ordering;

use http::header::{CACHE_CONTROL, ORIGIN};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use crate::emulator::faults::{Rule, glob};
use crate::emulator::grants::{ClientPatch, Grants, UserPatch};
use crate::emulator::server::Shared;
use crate::emulator::service::{Reply, Request, Service, StatePart};

const ROOT: &str = "/_emulator";

/// Whether a path belongs to the control surface.
pub(crate) fn owns(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Credentials of all services by their names.
pub(crate) fn credentials(shared: &Shared) -> Value {
    let entries = shared.services.iter().map(|service| (service.name().to_owned(), service.credentials()));
    Value::Object(entries.collect::<Map<_, _>>())
}

/// Everything as after start.
pub(crate) fn reset(shared: &Shared) {
    // The clock first: credentials that work again live from the time it shows then.
    shared.clock.reset();
    shared.faults.reset();
    for service in &shared.services {
        service.reset();
    }
    shared.log.clear();
}

/// Why a control request is refused: status and sentence.
type Refusal = (StatusCode, String);

/// Answers one control request.
pub(crate) fn handle(shared: &Shared, request: &Request) -> Reply {
    if let Some(reply) = written_by_service(shared, request) {
        return reply.with_header(CACHE_CONTROL, "no-store");
    }
    if !is_local(request) {
        let message = "the control surface answers only to 127.0.0.1, localhost and [::1]";
        return Reply::json(StatusCode::FORBIDDEN, &json!({ "error": message }));
    }
    // A service may have controls of its own here.
    if let Some(service) = shared.services.iter().find(|service| service.owns(&request.path)) {
        return service.handle(request);
    }
    let (status, body) = match answer(shared, request) {
        Ok(body) => (StatusCode::OK, body),
        Err((status, message)) => (status, json!({ "error": message })),
    };
    Reply::json(status, &body).with_header(CACHE_CONTROL, "no-store")
}

/// Answers that are not made of a [`Value`] here: rows with their exact number text, and what a service
/// adds to the control surface.
fn written_by_service(shared: &Shared, request: &Request) -> Option<Reply> {
    if !is_local(request) {
        return None;
    }
    if let Some(service) = shared.services.iter().find(|service| service.owns(&request.path)) {
        return Some(service.handle(request));
    }
    let mut segments =
        request.path.strip_prefix(ROOT)?.strip_prefix("/state/")?.trim_end_matches('/').splitn(2, '/');
    let service = find(shared, segments.next()?).ok()?;
    let record_type = percent_decode_str(segments.next()?).decode_utf8_lossy();
    let part = match StatePart::parse(&request.query) {
        Ok(part) => part,
        Err(message) => return Some(Reply::json(StatusCode::BAD_REQUEST, &json!({ "error": message }))),
    };
    let rows = service.state_text(&record_type, &part).filter(|_| request.method == Method::GET)?;
    Some(Reply::new(StatusCode::OK, "application/json;charset=UTF-8", rows))
}

fn answer(shared: &Shared, request: &Request) -> Result<Value, Refusal> {
    let path = request.path.strip_prefix(ROOT).unwrap_or_default().trim_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    match (segments.as_slice(), &request.method) {
        (["credentials"], &Method::GET) => Ok(credentials(shared)),
        (["reset"], &Method::POST) => {
            reset(shared);
            Ok(json!({ "reset": true, "now": shared.clock.now().to_string() }))
        }
        (["faults"], &Method::GET) => Ok(shared.faults.to_json()),
        (["faults"], &Method::POST) => {
            let names: Vec<&str> = shared.services.iter().map(|service| service.name()).collect();
            let rule = Rule::parse(&request.body, &names).map_err(bad_request)?;
            let id = shared.faults.add(rule).map_err(bad_request)?;
            Ok(json!({ "id": id }))
        }
        (["faults"], &Method::DELETE) => {
            shared.faults.clear();
            Ok(json!({ "deleted": true }))
        }
        (["faults", id], &Method::DELETE) => match id.parse() {
            Ok(id) if shared.faults.remove(id) => Ok(json!({ "deleted": true })),
            _ => Err((StatusCode::NOT_FOUND, format!("there is no fault rule {id}"))),
        },
        (["clock"], &Method::GET) => Ok(json!({ "now": shared.clock.now().to_string() })),
        (["clock"], &Method::POST) => {
            let step = advance(&request.body, shared.clock.now()).map_err(bad_request)?;
            let now = shared.clock.advance(step).map_err(bad_request)?;
            Ok(json!({ "now": now.to_string() }))
        }
        (["requests"], &Method::GET) => {
            let mut method = None;
            let mut path = None;
            for (name, value) in form_urlencoded::parse(request.query.as_bytes()) {
                match name.as_ref() {
                    "method" => method = Some(value.into_owned()),
                    "path" => path = Some(value.into_owned()),
                    other => return Err(bad_request(format!("unknown parameter {other:?}: method, path"))),
                }
            }
            let mut log = shared.log.to_json(|own_method, own_path| {
                method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case(own_method))
                    && path.as_deref().is_none_or(|path| glob(path, own_path))
            });
            log["connections"] = json!(shared.connections.load(Ordering::Relaxed));
            Ok(log)
        }
        (["requests"], &Method::DELETE) => {
            shared.log.clear();
            Ok(json!({ "deleted": true }))
        }
        (["state", service, record_type], &Method::GET) => {
            let service = find(shared, service)?;
            Err((StatusCode::NOT_FOUND, format!("{} has no type {record_type:?}", service.name())))
        }
        (["oauth", what @ ("clients" | "users")], &Method::GET) => {
            let mut all = Map::new();
            for service in &shared.services {
                if let Some(grants) = service.grants() {
                    let list =
                        if *what == "clients" { json!(grants.clients()) } else { json!(grants.users()) };
                    all.insert(service.name().to_owned(), list);
                }
            }
            Ok(Value::Object(all))
        }
        (["oauth", "clients"], &Method::POST) => {
            let patch: ClientPatch = read(&request.body)?;
            let client = grants(shared, &patch.service)?.patch_client(patch).map_err(bad_request)?;
            Ok(json!(client))
        }
        (["oauth", "users"], &Method::POST) => {
            let patch: UserPatch = read(&request.body)?;
            let user = grants(shared, &patch.service)?.patch_user(patch).map_err(bad_request)?;
            Ok(json!(user))
        }
        _ => Err((
            StatusCode::NOT_FOUND,
            format!(
                "there is no {} {}: see credentials, reset, faults, clock, requests, state/{{service}}/{{type}}, \
                 oauth/clients, oauth/users",
                request.method, request.path
            ),
        )),
    }
}

fn bad_request(message: String) -> Refusal {
    (StatusCode::BAD_REQUEST, message)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| bad_request(error.to_string()))
}

fn find<'a>(shared: &'a Shared, name: &str) -> Result<&'a dyn Service, Refusal> {
    let service = shared.services.iter().find(|service| service.name() == name);
    service.map(|service| &**service).ok_or_else(|| {
        let names: Vec<&str> = shared.services.iter().map(|service| service.name()).collect();
        (StatusCode::NOT_FOUND, format!("there is no service {name:?}, only {}", names.join(", ")))
    })
}

fn grants<'a>(shared: &'a Shared, name: &str) -> Result<&'a Grants, Refusal> {
    find(shared, name)?.grants().ok_or_else(|| bad_request(format!("{name} has no OAuth clients")))
}

/// How far the clock shall go: `{"advance_seconds":n}`, or `{"advance":...}` with a number of seconds or an
/// ISO 8601 duration.
fn advance(body: &[u8], now: Timestamp) -> Result<SignedDuration, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Step {
        #[serde(alias = "advance", alias = "seconds")]
        advance_seconds: Value,
    }
    let form = "give {\"advance_seconds\": 3600} or {\"advance\": \"PT1H\"}";
    let step: Step = serde_json::from_slice(body).map_err(|error| format!("{error}: {form}"))?;
    match &step.advance_seconds {
        Value::Number(seconds) => seconds
            .as_f64()
            .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
            .ok_or_else(|| format!("{seconds} seconds are too many")),
        Value::String(text) => {
            let span: Span = text.parse().map_err(|error| format!("{text:?}: {error}: {form}"))?;
            let zoned = now.to_zoned(jiff::tz::TimeZone::UTC);
            span.to_duration(SpanRelativeTo::from(&zoned)).map_err(|error| format!("{text:?}: {error}"))
        }
        _ => Err(form.to_owned()),
    }
}

/// Whether the request names this machine and does not come from a page of another site.
fn is_local(request: &Request) -> bool {
    let is_loopback = |url: &str| {
        Url::parse(url).is_ok_and(|url| {
            url.username().is_empty() && matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
        })
    };
    is_loopback(&request.origin)
        && request.headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_loopback))
}
