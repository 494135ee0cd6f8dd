//! Requests that change rows: which row, under which conditions, and what is answered.

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{HeaderName, Method, StatusCode};

use super::address::Named;
use super::cell::Cell;
use super::errors::{NO_CONCURRENCY, QUERY, Refusal, VERSION_MISMATCH};
use super::evaluate::Context;
use super::payload::{self, ContentIds};
use super::request::{Call, Segment};
use super::rows::{Place, Store};
use super::view::View;
use super::write::{self, Writing};
use super::{Environment, files, json_reply, multiple, read};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

/// What a change answers, and the row that later requests of a change set may refer to.
pub(super) struct Done {
    pub(super) reply: Reply,
    pub(super) row: Option<Place>,
}

impl From<Reply> for Done {
    fn from(reply: Reply) -> Self {
        Self { reply, row: None }
    }
}

/// Answers a request that changes rows; all of it happens or nothing.
///
/// # Errors
/// The service's own refusals.
pub(super) fn handle(
    environment: &mut Environment,
    call: &Call<'_>,
    ids: &ContentIds,
    every: Option<usize>,
) -> Result<Done, Refusal> {
    let store = &mut environment.store;
    // Inside a change set the outer transaction decides.
    let outermost = !store.is_open();
    if outermost {
        store.begin();
    }
    let done = dispatch(store, call, ids, every);
    if outermost {
        if done.is_ok() {
            store.commit();
        } else {
            store.roll_back();
        }
    }
    done.map(|mut done| {
        done.reply.committed = true;
        done
    })
}

fn dispatch(
    store: &mut Store,
    call: &Call<'_>,
    ids: &ContentIds,
    every: Option<usize>,
) -> Result<Done, Refusal> {
    let Some((first, rest)) = call.segments.split_first() else { return Err(Refusal::no_segment("")) };
    let detect = call.header("mscrm.suppressduplicatedetection") == Some("false");
    let writing = Writing { now: call.request.now, ids, detect };
    let not_allowed = || Refusal::method_not_allowed(call.method());
    // `$1` stands for the row that an earlier request made.
    if let Some(id) = first.name.strip_prefix('$') {
        let at = *ids.get(id).ok_or_else(|| {
            Refusal::new(QUERY, format!("Content-ID Reference: '${id}' does not exist in the batch context."))
        })?;
        return match rest {
            [] => on_row(store, call, at.table, &Named::Id(store.id(at)), &writing),
            [property, rest @ ..] => inner(store, call, at, property, rest, &writing),
        };
    }
    if *call.method() == Method::POST
        && rest.is_empty()
        && let Some(done) = files::action(store, call, &first.name)
    {
        return done;
    }
    let table = store.model.set(&first.name).ok_or_else(|| Refusal::no_segment(&first.name))?;
    if store.is_of_links(table) {
        // Links are made and removed through the rows that they join.
        return Err(not_allowed());
    }
    let Some(key) = first.key.as_ref() else {
        return match (rest, call.method()) {
            ([], &Method::POST) => {
                let at = write::create(store, table, &call.json()?, Vec::new(), &writing)?;
                created(store, call, at)
            }
            ([action], &Method::POST) => multiple::handle(store, call, table, &action.name, &writing, every),
            ([], _) => Err(not_allowed()),
            ([other, ..], _) => Err(Refusal::no_segment(&other.name)),
        };
    };
    let named = Named::read(store, table, key)?;
    match rest {
        [] => on_row(store, call, table, &named, &writing),
        [property, rest @ ..] => {
            let at = named.find(store, table).ok_or_else(|| named.missing(store, table))?;
            inner(store, call, at, property, rest, &writing)
        }
    }
}

/// PATCH and DELETE of one row.
fn on_row(
    store: &mut Store,
    call: &Call<'_>,
    table: usize,
    named: &Named,
    writing: &Writing<'_>,
) -> Result<Done, Refusal> {
    let found = named.find(store, table);
    match (call.method(), found) {
        (&Method::PATCH, Some(at)) => {
            if call.header(IF_NONE_MATCH.as_str()) == Some("*") {
                return Err(write::exists_already());
            }
            check_version(store, call, at)?;
            write::update(store, at, &call.json()?, writing)?;
            if call.prefer.representation {
                return representation(store, call, at, StatusCode::OK, None);
            }
            Ok(Done { reply: entity_id(store, call, at), row: Some(at) })
        }
        (&Method::PATCH, None) => {
            if call.header(IF_MATCH.as_str()).is_some() {
                return Err(named.missing(store, table));
            }
            let key = match named {
                Named::Id(id) => vec![(store.about(table).id, Cell::Guid(*id))],
                Named::Key(values) => values.clone(),
            };
            let at = write::create(store, table, &call.json()?, key, writing)?;
            created(store, call, at)
        }
        (&Method::DELETE, Some(at)) => {
            check_version(store, call, at)?;
            write::delete(store, at, writing.now)?;
            Ok(Reply::empty(StatusCode::NO_CONTENT).into())
        }
        (&Method::DELETE, None) => Err(named.missing(store, table)),
        _ => Err(Refusal::method_not_allowed(call.method())),
    }
}

/// Holds an `If-Match` against the row's version.
fn check_version(store: &Store, call: &Call<'_>, at: Place) -> Result<(), Refusal> {
    let about = store.about(at.table);
    match call.header(IF_MATCH.as_str()) {
        None | Some("*") => Ok(()),
        Some(_) if !about.concurrency => Err(Refusal::new(
            NO_CONCURRENCY,
            format!("Optimistic concurrency is not enabled for the entity {}.", about.name),
        )),
        Some(known) if known.split(',').any(|one| one.trim() == read::etag(store, at)) => Ok(()),
        Some(_) => Err(Refusal::new(
            VERSION_MISMATCH,
            "The version of the existing record doesn't match the RowVersion property provided.",
        )
        .with_status(StatusCode::PRECONDITION_FAILED)),
    }
}

/// 204 with the address of the row.
fn entity_id(store: &Store, call: &Call<'_>, at: Place) -> Reply {
    let address = read::row_address(store, call, at);
    Reply::empty(StatusCode::NO_CONTENT)
        .with_header(HeaderName::from_static("odata-entityid"), &address)
        .with_header(LOCATION, &address)
}

fn created(store: &Store, call: &Call<'_>, at: Place) -> Result<Done, Refusal> {
    if call.prefer.representation {
        return representation(store, call, at, StatusCode::CREATED, call.option("$expand"));
    }
    Ok(Done { reply: entity_id(store, call, at), row: Some(at) })
}

fn representation(
    store: &Store,
    call: &Call<'_>,
    at: Place,
    status: StatusCode,
    expand: Option<&str>,
) -> Result<Done, Refusal> {
    let cx = Context { store, now: call.request.now, variable: None };
    let view = View::read(cx, at.table, call.option("$select"), expand)?;
    let mut applied = vec!["return=representation".to_owned()];
    applied.extend(call.prefer.applied());
    let reply = json_reply(status, view.entity(store, at, &call.prefer, &call.root()))
        .with_header(HeaderName::from_static("preference-applied"), &applied.join(","))
        .with_header(ETAG, &read::etag(store, at));
    // A row that was answered whole cannot be referred to later.
    Ok(reply.into())
}

/// What stands behind a row in an address: one property, or a link.
fn inner(
    store: &mut Store,
    call: &Call<'_>,
    at: Place,
    property: &Segment,
    rest: &[Segment],
    writing: &Writing<'_>,
) -> Result<Done, Refusal> {
    let name = property.name.as_str();
    let about = store.about(at.table);
    let not_allowed = || Refusal::method_not_allowed(call.method());
    let is_ref = matches!(rest, [one] if one.name == "$ref");
    if let (Some(column), []) = (about.property(name), rest)
        && files::has_content(&about.columns[column])
        && *call.method() != Method::PUT
    {
        check_version(store, call, at)?;
        return files::change(store, call, at, column);
    }
    if let (Some(_), []) = (about.property(name), rest) {
        let value = match *call.method() {
            Method::PUT => {
                let body = call.json()?;
                body.get("value").cloned().ok_or_else(|| {
                    Refusal::payload(&about.set, "A top-level property with name 'value' was expected.")
                })?
            }
            Method::DELETE => Json::Null,
            _ => return Err(not_allowed()),
        };
        check_version(store, call, at)?;
        let body = Json::Object(vec![(name.to_owned(), value)]);
        write::update(store, at, &body, writing)?;
        return Ok(Done { reply: entity_id(store, call, at), row: Some(at) });
    }
    if !is_ref {
        return Err(Refusal::no_segment(rest.first().map_or(name, |segment| segment.name.as_str())));
    }
    if let Some(nav) = about.nav(name) {
        let value = match *call.method() {
            Method::PUT | Method::POST => Json::Text(reference(call)?),
            Method::DELETE if property.key.is_none() => Json::Null,
            _ => return Err(not_allowed()),
        };
        let nav = nav.name.clone();
        let body = Json::Object(vec![(format!("{nav}@odata.bind"), value)]);
        write::update(store, at, &body, writing)?;
        return Ok(Reply::empty(StatusCode::NO_CONTENT).into());
    }
    let collection = store.model.collection(at.table, name).ok_or_else(|| Refusal::no_segment(name))?;
    let target = super::evaluate::collection_table(store, collection);
    let (other, on) = match *call.method() {
        Method::POST | Method::PUT => (payload::target(store, &reference(call)?, writing.ids)?, true),
        Method::DELETE => {
            let other = match (&property.key, call.option("$id")) {
                (Some(key), _) => {
                    let named = Named::read(store, target, key)?;
                    named.find(store, target).ok_or_else(|| named.missing(store, target))?
                }
                (None, Some(address)) => payload::target(store, address, writing.ids)?,
                (None, None) => {
                    return Err(Refusal::new(QUERY, "Which row is to be disassociated is not said."));
                }
            };
            (other, false)
        }
        _ => return Err(not_allowed()),
    };
    if other.table != target {
        let message = format!("'{name}' does not lead to rows of '{}'.", store.about(other.table).name);
        return Err(Refusal::new(QUERY, message));
    }
    if !write::connect(store, at, collection, other, on, writing.now) && on {
        return Err(Refusal::new(super::errors::DUPLICATE_KEY, "Cannot insert duplicate key.")
            .with_status(StatusCode::PRECONDITION_FAILED));
    }
    Ok(Reply::empty(StatusCode::NO_CONTENT).into())
}

fn reference(call: &Call<'_>) -> Result<String, Refusal> {
    let body = call.json()?;
    body.get("@odata.id")
        .and_then(Json::as_text)
        .map(str::to_owned)
        .ok_or_else(|| Refusal::payload("$ref", "The required instance annotation '@odata.id' is missing."))
}
