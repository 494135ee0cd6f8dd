//! Writes of one row by its address.

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE, LOCATION};
use http::{Method, StatusCode};

use super::errors::{self, Refusal};
use super::rows::{Place, Store};
use super::write::{Refusals, Upserted, Work};
use super::{Call, decoded, read, text_reply};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

/// From this version on an upsert that updates answers with a body.
const UPDATE_TELLS: u32 = 46;

/// POST, PATCH and DELETE below `/sobjects/X`.
pub(super) fn handle(
    store: &mut Store,
    table: usize,
    call: &Call<'_>,
    rest: &[&str],
) -> Result<Reply, Refusal> {
    let method = call.request.method.clone();
    match rest {
        [] if method == Method::POST => {
            let body = call.json()?;
            let mut work = Work::of(store, call);
            match work.create(table, &body, None) {
                Ok(at) => Ok(created(store, at, call, None)),
                Err(refusals) => Ok(refused(&refusals)),
            }
        }
        [field] if method == Method::POST && decoded(field).eq_ignore_ascii_case("Id") => {
            let body = call.json()?;
            let mut work = Work::of(store, call);
            match work.create(table, &without_id(body), None) {
                Ok(at) => Ok(created(store, at, call, Some(true))),
                Err(refusals) => Ok(refused(&refusals)),
            }
        }
        [id] if method == Method::PATCH => {
            let at = read::live(store, table, &decoded(id))?;
            if let Some(reply) = precondition(store, at, call)? {
                return Ok(reply);
            }
            let body = call.json()?;
            if body.member("Id").is_some() {
                return Err(Refusal::of_fields(
                    "INVALID_FIELD",
                    "The Id field should not be specified in the sobject data.",
                    &["Id"],
                ));
            }
            let mut work = Work::of(store, call);
            match work.update(at, &body, None) {
                Ok(()) => Ok(Reply::empty(StatusCode::NO_CONTENT).committed()),
                Err(refusals) => Ok(refused(&refusals)),
            }
        }
        [id] if method == Method::DELETE => {
            let at = read::live(store, table, &decoded(id))?;
            delete(store, at, call)
        }
        [field, value] if method == Method::DELETE => {
            let key = read::identifying(store, table, &decoded(field))?;
            match store.find_by(table, key, &decoded(value)).as_slice() {
                [] => Err(Refusal::not_found()),
                [at] => delete(store, *at, call),
                several => Ok(text_reply(
                    StatusCode::MULTIPLE_CHOICES,
                    read::addresses(store, several, call.version),
                )),
            }
        }
        [field, value] if method == Method::PATCH => {
            upsert(store, table, call, &decoded(field), &decoded(value))
        }
        _ => Err(Refusal::method_not_allowed(&method)),
    }
}

fn delete(store: &mut Store, at: Place, call: &Call<'_>) -> Result<Reply, Refusal> {
    let mut work = Work::of(store, call);
    match work.delete(at) {
        Ok(()) => Ok(Reply::empty(StatusCode::NO_CONTENT).committed()),
        Err(refusals) => Ok(refused(&refusals)),
    }
}

fn upsert(
    store: &mut Store,
    table: usize,
    call: &Call<'_>,
    field: &str,
    value: &str,
) -> Result<Reply, Refusal> {
    let key = read::identifying(store, table, field)?;
    let name = store.object(table).fields.get(key).map_or_else(String::new, |about| about.name.clone());
    let body = call.json()?;
    if body.member(&name).is_some() {
        return Err(Refusal::of_fields(
            "INVALID_FIELD",
            format!("The {name} field should not be specified in the sobject data."),
            &[&name],
        ));
    }
    let update_only = call.parameter("updateOnly").is_some_and(|only| only.eq_ignore_ascii_case("true"));
    if name == "Id" {
        read::live(store, table, value)?;
    }
    let mut work = Work::of(store, call);
    match work.upsert(table, key, &Json::Text(value.to_owned()), &body, update_only) {
        Ok(Upserted::Created(at)) => Ok(created(store, at, call, Some(true))),
        Ok(Upserted::Updated(at)) => {
            let old = call
                .version
                .trim_start_matches('v')
                .split('.')
                .next()
                .and_then(|number| number.parse::<u32>().ok());
            if old.is_some_and(|version| version < UPDATE_TELLS) {
                return Ok(Reply::empty(StatusCode::NO_CONTENT).committed());
            }
            Ok(text_reply(StatusCode::OK, success(store, at, Some(false))).committed())
        }
        Ok(Upserted::Ambiguous(rows)) => {
            Ok(text_reply(StatusCode::MULTIPLE_CHOICES, read::addresses(store, &rows, call.version)))
        }
        Err(refusals) => Ok(refused(&refusals)),
    }
}

fn success(store: &Store, at: Place, created: Option<bool>) -> String {
    let created = created.map_or_else(String::new, |created| format!(",\"created\":{created}"));
    format!("{{\"id\":\"{}\",\"success\":true,\"errors\":[]{created}}}", store.id(at))
}

fn created(store: &Store, at: Place, call: &Call<'_>, told: Option<bool>) -> Reply {
    let address =
        format!("/services/data/{}/sobjects/{}/{}", call.version, store.object(at.table).name, store.id(at));
    text_reply(StatusCode::CREATED, success(store, at, told)).with_header(LOCATION, &address).committed()
}

fn refused(refusals: &Refusals) -> Reply {
    let status = refusals.first().map_or(StatusCode::BAD_REQUEST, |refusal| refusal.status);
    text_reply(status, errors::body(refusals))
}

/// `If-Match` counts on accounts alone, `If-Unmodified-Since` on every type; a date that is none is refused.
fn precondition(store: &Store, at: Place, call: &Call<'_>) -> Result<Option<Reply>, Refusal> {
    let (etag, changed) = read::version_of(store, at);
    if store.object(at.table).name == "Account"
        && let Some(wanted) = call.header(IF_MATCH.as_str())
        && wanted != "*"
        && !wanted.split(',').any(|one| one.trim() == etag)
    {
        return Ok(Some(Reply::empty(StatusCode::PRECONDITION_FAILED)));
    }
    if let Some(text) = call.header(IF_UNMODIFIED_SINCE.as_str()) {
        let since = jiff::fmt::rfc2822::parse(text).map_err(|_| {
            Refusal::new("INVALID_FIELD", format!("Invalid value for header If-Unmodified-Since: {text}"))
        })?;
        if changed.is_some_and(|changed| changed.as_second() > since.timestamp().as_second()) {
            return Ok(Some(Reply::empty(StatusCode::PRECONDITION_FAILED)));
        }
    }
    Ok(None)
}

fn without_id(body: Json) -> Json {
    match body {
        Json::Object(members) => {
            Json::Object(members.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Id")).collect())
        }
        other => other,
    }
}
