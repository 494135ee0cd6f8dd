//! Reads of single rows, and the rows as stored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED};
use jiff::Timestamp;

use super::cell::{Cell, write_string};
use super::columns::{self, Column};
use super::describe::{Derived, Field, Kind};
use super::errors::Refusal;
use super::rows::{Place, Store};
use super::{Call, id, render, seed, text_reply};
use crate::emulator::service::{Reply, StatePart};

/// The live row with this id, or why there is none.
///
/// # Errors
/// NOT_FOUND, MALFORMED_ID or ENTITY_IS_DELETED.
pub(super) fn live(store: &Store, table: usize, id: &str) -> Result<Place, Refusal> {
    if id::short(id).is_none() {
        return Err(Refusal::new(
            "NOT_FOUND",
            "Provided external ID field does not exist or is not accessible: ".to_owned() + id,
        )
        .with_status(StatusCode::NOT_FOUND));
    }
    let Some(at) = store.locate(id).filter(|at| at.table == table) else {
        return Err(Refusal::not_found());
    };
    if store.is_live(at) { Ok(at) } else { Err(Refusal::deleted()) }
}

/// `GET /sobjects/X/id?fields=`.
pub(super) fn by_id(store: &Store, table: usize, id: &str, call: &Call<'_>) -> Result<Reply, Refusal> {
    reply(store, live(store, table, id)?, call)
}

/// `GET /sobjects/X/Field/value`; several rows give 300 and their addresses.
pub(super) fn by_field(
    store: &Store,
    table: usize,
    field: &str,
    value: &str,
    call: &Call<'_>,
) -> Result<Reply, Refusal> {
    let number = identifying(store, table, field)?;
    let found = store.find_by(table, number, value);
    match found.as_slice() {
        [] => Err(Refusal::not_found()),
        [at] => reply(store, *at, call),
        several => Ok(text_reply(StatusCode::MULTIPLE_CHOICES, addresses(store, several, call.version))),
    }
}

/// A JSON array with the addresses of rows.
pub(super) fn addresses(store: &Store, rows: &[Place], version: &str) -> String {
    let urls = rows.iter().map(|at| {
        format!("/services/data/{version}/sobjects/{}/{}", store.object(at.table).name, store.id(*at))
    });
    serde_json::Value::from(urls.collect::<Vec<String>>()).to_string()
}

/// The field by which rows may be named, by its name in any case.
///
/// # Errors
/// NOT_FOUND in the service's words.
pub(super) fn identifying(store: &Store, table: usize, field: &str) -> Result<usize, Refusal> {
    let object = store.object(table);
    let found = object
        .field(field)
        .filter(|number| object.fields.get(*number).is_some_and(|about| about.identifies()));
    found.ok_or_else(|| {
        Refusal::new(
            "NOT_FOUND",
            format!("Provided external ID field does not exist or is not accessible: {field}"),
        )
        .with_status(StatusCode::NOT_FOUND)
    })
}

fn reply(store: &Store, at: Place, call: &Call<'_>) -> Result<Reply, Refusal> {
    let object = store.object(at.table);
    let columns = match call.parameter("fields") {
        Some(fields) => {
            let names: Vec<&str> = fields.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
            let mut columns = columns::path_columns(store, at.table, &names)?;
            // The service adds the Id whether asked for or not.
            if !names.iter().any(|name| name.eq_ignore_ascii_case("Id"))
                && let Some(id) = object.field("Id").and_then(|id| columns::field_column(store, at.table, id))
            {
                columns.push(id);
            }
            columns
        }
        None => all_columns(store, at.table),
    };
    let mut body = String::new();
    render::write_row(store, at, &columns, call.version, &mut body);
    let (etag, changed) = version_of(store, at);
    if object.name == "Account"
        && call
            .header(IF_NONE_MATCH.as_str())
            .is_some_and(|known| known.split(',').any(|one| one.trim() == etag))
    {
        return Ok(Reply::empty(StatusCode::NOT_MODIFIED).with_header(ETAG, &etag));
    }
    let mut out = text_reply(StatusCode::OK, body);
    if let Some(changed) = changed {
        out = out.with_header(LAST_MODIFIED, &http_date(changed));
    }
    // Only accounts have entity tags.
    if object.name == "Account" {
        out = out.with_header(ETAG, &etag);
    }
    Ok(out)
}

/// The entity tag of a row and the moment of its last change.
pub(super) fn version_of(store: &Store, at: Place) -> (String, Option<Timestamp>) {
    let object = store.object(at.table);
    let changed = object.field("LastModifiedDate").and_then(|field| match store.cell(at, field) {
        Cell::Instant(ms) => Timestamp::from_millisecond(ms).ok(),
        _ => None,
    });
    let stamp = changed.map_or(0, Timestamp::as_millisecond);
    let hash = seed::mix(stamp.unsigned_abs() ^ seed::mix(at.index));
    (format!("\"{}\"", STANDARD.encode(hash.to_be_bytes())), changed)
}

pub(super) fn http_date(stamp: Timestamp) -> String {
    jiff::fmt::strtime::format("%a, %d %b %Y %H:%M:%S GMT", stamp).unwrap_or_default()
}

pub(super) fn all_columns(store: &Store, table: usize) -> Vec<Column> {
    let fields = &store.object(table).fields;
    let visible = (0..fields.len()).filter(|field| fields.get(*field).is_some_and(|field| !field.hidden));
    visible.filter_map(|field| columns::field_column(store, table, field)).collect()
}

/// Whether `id/field` in an address names a row's bytes, not a field and its value.
pub(super) fn is_blob(store: &Store, table: usize, id: &str, field: &str) -> bool {
    let object = store.object(table);
    let about = object.field(field).and_then(|number| object.fields.get(number));
    id::short(id).is_some() && about.is_some_and(|about| about.kind == Kind::Base64)
}

/// `GET /sobjects/Attachment/id/Body`: the bytes of a base64 field.
pub(super) fn blob(store: &Store, table: usize, id: &str, field: &str) -> Result<Reply, Refusal> {
    let at = live(store, table, id)?;
    let object = store.object(table);
    let number = object
        .field(field)
        .filter(|number| object.fields.get(*number).is_some_and(|about| about.kind == Kind::Base64));
    let cell = store.cell(at, number.ok_or_else(Refusal::not_found)?);
    let bytes = STANDARD.decode(cell.as_text().unwrap_or_default()).unwrap_or_default();
    let told = object.field("ContentType").map(|number| store.cell(at, number).plain());
    let kind = told.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "application/octet-stream".to_owned());
    let reply = Reply::new(StatusCode::OK, "application/octet-stream", bytes);
    Ok(reply.with_header(CONTENT_TYPE, &kind))
}

/// All live rows as JSON objects with every field of the describe, by id ascending.
pub(super) fn state(store: &Store, table: usize, part: &StatePart) -> String {
    let object = store.object(table);
    let fields: Vec<(usize, &Field, String)> = object
        .fields
        .iter()
        .enumerate()
        .filter(|(_, field)| !field.removed && part.has(&field.name))
        .enumerate()
        .map(|(place, (number, field))| {
            let mut front = String::from(if place == 0 { "{" } else { "," });
            write_string(&field.name, &mut front);
            front.push(':');
            (number, field, front)
        })
        .collect();
    let places =
        (0..store.table(table).next).map(|index| Place { table, index }).filter(|at| store.is_live(*at));
    let mut out = String::from("[");
    for at in places.take(part.most()) {
        if out.len() > 1 {
            out.push(',');
        }
        if fields.is_empty() {
            out.push('{');
        }
        for (number, field, front) in &fields {
            out.push_str(front);
            match &field.derived {
                Some(Derived::Compound(parts)) => render::write_compound(store, at, parts, &mut out),
                _ => store.cell(at, *number).write_json(&mut out),
            }
        }
        out.push('}');
    }
    out.push(']');
    out
}
