//! Reading: listings, single rows, their properties and what they lead to.

use std::fmt::Write as _;

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderName, StatusCode};

use super::address::Named;
use super::cell::Cell;
use super::describe::{Collection, Column};
use super::errors::Refusal;
use super::evaluate::{self, Context};
use super::guid;
use super::query;
use super::request::{Call, Segment};
use super::rows::{Place, Store};
use super::view::View;
use super::{Environment, changes, files, json_reply};
use crate::emulator::json::write_string;
use crate::emulator::service::{Reply, StatePart};

/// Answers a request for rows.
///
/// # Errors
/// The service's own refusals.
pub(super) fn handle(environment: &mut Environment, call: &Call<'_>) -> Result<Reply, Refusal> {
    let Some((first, rest)) = call.segments.split_first() else { return Err(Refusal::no_segment("")) };
    let store = &environment.store;
    let table = store.model.set(&first.name).ok_or_else(|| Refusal::no_segment(&first.name))?;
    let Some(key) = first.key.as_ref() else {
        return match rest {
            [] => applied(query::list(environment, call, table, None)?, call),
            [count] if count.name == "$count" && call.option("$deltatoken").is_some() => {
                changes::count(store, call, table)
            }
            [count] if count.name == "$count" => query::count(store, call, table, None),
            [other, ..] => Err(Refusal::no_segment(&other.name)),
        };
    };
    let named = Named::read(store, table, key)?;
    let at = named.find(store, table).ok_or_else(|| named.missing(store, table))?;
    match rest {
        [] => one(store, call, at),
        [property, rest @ ..] => inner(environment, call, at, property, rest),
    }
}

fn applied(reply: Reply, call: &Call<'_>) -> Result<Reply, Refusal> {
    Ok(match call.prefer.applied() {
        Some(applied) => reply.with_header(HeaderName::from_static("preference-applied"), &applied),
        None => reply,
    })
}

/// One row; `If-None-Match` saves sending it again.
fn one(store: &Store, call: &Call<'_>, at: Place) -> Result<Reply, Refusal> {
    query::check_options(call)?;
    let cx = Context { store, now: call.request.now, variable: None };
    let expand = call.option("$expand");
    let view = View::read(cx, at.table, call.option("$select"), expand)?;
    let etag = etag(store, at);
    let same = call.header(IF_NONE_MATCH.as_str()).is_some_and(|known| known == etag);
    if same && expand.is_none() && !call.prefer.annotates() {
        return Ok(Reply::empty(StatusCode::NOT_MODIFIED).with_header(ETAG, &etag));
    }
    let body = view.entity(store, at, &call.prefer, &call.root());
    applied(json_reply(StatusCode::OK, body).with_header(ETAG, &etag), call)
}

/// `W/"470867"`.
pub(super) fn etag(store: &Store, at: Place) -> String {
    format!("W/\"{}\"", store.row_version(at))
}

/// What stands behind a row in an address: a property, a navigation property, a collection.
fn inner(
    environment: &mut Environment,
    call: &Call<'_>,
    at: Place,
    property: &Segment,
    rest: &[Segment],
) -> Result<Reply, Refusal> {
    let store = &environment.store;
    let about = store.about(at.table);
    let name = property.name.as_str();
    let tail: Vec<&str> = rest.iter().map(|segment| segment.name.as_str()).collect();
    let id = guid::text(store.id(at));
    if let Some(column) = about.property(name) {
        if tail == ["$value"] && files::has_content(&about.columns[column]) {
            return files::value(store, call, at, column);
        }
        let cell = store.cell(at, column);
        return match tail.as_slice() {
            [] if cell.is_null() => Ok(Reply::empty(StatusCode::NO_CONTENT)),
            [] => {
                let mut out = query::head(call, &format!("{}({id})/{name}", about.set));
                out.push_str(",\"value\":");
                cell.write_json(&about.columns[column], &mut out);
                out.push('}');
                Ok(json_reply(StatusCode::OK, out))
            }
            ["$value"] if cell.is_null() => Ok(Reply::empty(StatusCode::NO_CONTENT)),
            ["$value"] => Ok(Reply::new(StatusCode::OK, "text/plain; charset=utf-8", cell.plain())),
            [other, ..] => Err(Refusal::no_segment(other)),
        };
    }
    if let Some(nav) = about.nav(name) {
        let found = store.cell(at, nav.column).as_ref().and_then(|(to, id)| store.locate(to, id));
        let found = found.filter(|row| store.model.reaches(nav, row.table));
        return match (tail.as_slice(), found) {
            ([] | ["$ref"], None) => Ok(Reply::empty(StatusCode::NO_CONTENT)),
            ([], Some(row)) => one(store, call, row),
            (["$ref"], Some(row)) => Ok(reference(store, call, row)),
            ([other, ..], _) => Err(Refusal::no_segment(other)),
        };
    }
    let Some(collection) = store.model.collection(at.table, name) else {
        return Err(Refusal::no_segment(name));
    };
    members(environment, call, at, (property, collection), &tail)
}

/// The rows of a collection.
fn members(
    environment: &mut Environment,
    call: &Call<'_>,
    at: Place,
    (property, collection): (&Segment, Collection),
    tail: &[&str],
) -> Result<Reply, Refusal> {
    let store = &environment.store;
    let table = evaluate::collection_table(store, collection);
    let rows = evaluate::collection_rows(store, at, collection);
    if let Some(key) = &property.key {
        let named = Named::read(store, table, key)?;
        let row = named.find(store, table).filter(|row| rows.contains(row));
        return one(store, call, row.ok_or_else(|| named.missing(store, table))?);
    }
    match tail {
        [] => {
            let context = store.about(table).set.clone();
            applied(query::list(environment, call, table, Some((rows, context)))?, call)
        }
        ["$count"] => query::count(store, call, table, Some(rows)),
        ["$ref"] => {
            let mut out = query::head(call, "Collection($ref)");
            out.push_str(",\"value\":[");
            for (number, row) in rows.iter().enumerate() {
                out.push_str(if number > 0 { ",{\"@odata.id\":" } else { "{\"@odata.id\":" });
                write_string(&row_address(store, call, *row), &mut out);
                out.push('}');
            }
            out.push_str("]}");
            Ok(json_reply(StatusCode::OK, out))
        }
        [other, ..] => Err(Refusal::no_segment(other)),
    }
}

/// The whole address of a row.
pub(super) fn row_address(store: &Store, call: &Call<'_>, at: Place) -> String {
    format!("{}{}({})", call.root(), store.about(at.table).set, guid::text(store.id(at)))
}

fn reference(store: &Store, call: &Call<'_>, at: Place) -> Reply {
    let mut out = query::head(call, "$ref");
    out.push_str(",\"@odata.id\":");
    write_string(&row_address(store, call, at), &mut out);
    out.push('}');
    json_reply(StatusCode::OK, out)
}

/// All rows of a table as stored, in the form of `GET`; lookups also tell their table.
pub(super) fn state(store: &Store, table: usize, part: &StatePart) -> String {
    let columns: Vec<(usize, &Column)> = store
        .about(table)
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.shown && part.has(&column.wire))
        .collect();
    let versioned = part.has("@odata.etag");
    let mut out = String::from("[");
    for at in store.live(table, 0).take(part.most()) {
        if out.len() > 1 {
            out.push(',');
        }
        let empty = out.len() + 1;
        out.push('{');
        if versioned {
            let _ = write!(out, "\"@odata.etag\":\"W/\\\"{}\\\"\"", store.row_version(at));
        }
        for (number, column) in &columns {
            let cell = store.cell(at, *number);
            if let Cell::Ref { table, .. } = &cell {
                let name = &store.about(*table).name;
                out.push_str(if out.len() > empty { ",\"" } else { "\"" });
                let _ = write!(out, "{}@Microsoft.Dynamics.CRM.lookuplogicalname\":\"{name}\"", column.wire);
            }
            out.push_str(if out.len() > empty { ",\"" } else { "\"" });
            out.push_str(&column.wire);
            out.push_str("\":");
            cell.write_json(column, &mut out);
        }
        out.push('}');
    }
    out.push(']');
    out
}
