//! sObject Collections: up to 200 rows in one request, an outcome for each in order.

use http::{Method, StatusCode};

use super::cell::write_string;
use super::errors::Refusal;
use super::rows::Store;
use super::write::{Refusals, Upserted, Work};
use super::{Call, columns, decoded, id, read, render, text_reply};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

const MOST_ROWS: usize = 200;
const MOST_CHUNKS: usize = 10;
const MOST_RETRIEVED: usize = 2000;

/// What became of one row.
#[derive(Debug)]
struct Outcome {
    id: Option<String>,
    created: bool,
    refusals: Refusals,
}

impl Outcome {
    fn refused(refusals: Refusals) -> Self {
        Self { id: None, created: false, refusals }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Update,
    Upsert,
    Delete,
}

/// Answers `…/composite/sobjects` and what is below it. With `refuse_every` each row whose place is a multiple
/// of it is refused and not executed; reads then give `None`.
pub(super) fn handle(
    store: &mut Store,
    call: &Call<'_>,
    rest: &[&str],
    refuse_every: Option<usize>,
) -> Option<Result<Reply, Refusal>> {
    let method = &call.request.method;
    let verb = match (rest, method) {
        ([], &Method::POST) => Verb::Create,
        ([], &Method::PATCH) => Verb::Update,
        ([], &Method::DELETE) => Verb::Delete,
        ([_, _], &Method::PATCH) => Verb::Upsert,
        ([name], &Method::GET | &Method::POST) if refuse_every.is_none() => {
            return Some(retrieve(store, call, name));
        }
        _ if refuse_every.is_some() => return None,
        _ => return Some(Err(Refusal::method_not_allowed(method))),
    };
    Some(write(store, call, rest, verb, refuse_every))
}

fn write(
    store: &mut Store,
    call: &Call<'_>,
    rest: &[&str],
    verb: Verb,
    refuse_every: Option<usize>,
) -> Result<Reply, Refusal> {
    let body = if verb == Verb::Delete { Json::Null } else { call.json()? };
    let rows: Vec<Json> = if verb == Verb::Delete {
        let ids = call.parameter("ids").unwrap_or_default();
        ids.split(',')
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(|id| Json::Text(id.to_owned()))
            .collect()
    } else {
        match body.get("records") {
            Some(Json::List(rows)) => rows.clone(),
            None | Some(Json::Null) => Vec::new(),
            Some(other) => return Err(super::validate::wrong_type("list", other)),
        }
    };
    if rows.is_empty() {
        return Err(Refusal::new("REQUIRED_FIELD_MISSING", "At least 1 record is required"));
    }
    if rows.len() > MOST_ROWS {
        return Err(Refusal::new(
            "EXCEEDED_ID_LIMIT",
            format!("record limit reached. cannot submit more than {MOST_ROWS} records into this call"),
        ));
    }
    let all_or_none = match verb {
        Verb::Delete => call.parameter("allOrNone").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        _ => body.get("allOrNone").is_some_and(Json::is_true),
    };
    if chunks(&rows, verb) > MOST_CHUNKS {
        return Err(Refusal::new(
            "LIMIT_EXCEEDED",
            format!(
                "Cannot have more than {MOST_CHUNKS} chunks in a single operation. Please rearrange the data to reduce chunking."
            ),
        ));
    }
    let target = match rest {
        [name, field] => {
            let table = store.find_table(&decoded(name)).ok_or_else(Refusal::not_found)?;
            Some((table, read::identifying(store, table, &decoded(field))?))
        }
        _ => None,
    };
    let twice = target.map(|(table, key)| repeated(store, table, key, &rows)).unwrap_or_default();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut work = Work::of(store, call);
    for (number, row) in rows.iter().enumerate() {
        let outcome = if refuse_every.is_some_and(|every| every > 0 && (number + 1).is_multiple_of(every)) {
            Outcome::refused(vec![Refusal::of_fields(
                "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                "The record was refused by a validation rule.",
                &[],
            )])
        } else {
            match verb {
                Verb::Create => create(&mut work, row),
                Verb::Update => update(&mut work, row),
                Verb::Delete => delete(&mut work, row),
                Verb::Upsert => match target {
                    Some((table, key)) => upsert(&mut work, table, key, row, &twice),
                    None => Outcome::refused(vec![Refusal::not_found()]),
                },
            }
        };
        outcomes.push(outcome);
    }
    if all_or_none && outcomes.iter().any(|outcome| !outcome.refusals.is_empty()) {
        work.roll_back();
        for (outcome, row) in outcomes.iter_mut().zip(&rows) {
            if outcome.refusals.is_empty() {
                outcome.refusals.push(Refusal::of_fields(
                    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
                    "Record rolled back because not all records were valid and the request was using AllOrNone header",
                    &[],
                ));
                outcome.id = None;
                outcome.created = false;
            }
            if verb == Verb::Delete {
                outcome.id = row.as_text().map(str::to_owned);
            }
        }
    }
    let mut reply = text_reply(StatusCode::OK, written(&outcomes, verb));
    reply.committed = work.changed();
    Ok(reply)
}

/// Runs of rows of one type.
fn chunks(rows: &[Json], verb: Verb) -> usize {
    let kind = |row: &Json| match verb {
        Verb::Delete => row.as_text().and_then(|id| id.get(..3)).unwrap_or_default().to_owned(),
        _ => type_of(row).unwrap_or_default().to_lowercase(),
    };
    let mut count = 0;
    let mut before: Option<String> = None;
    for row in rows {
        let kind = kind(row);
        if before.as_ref() != Some(&kind) {
            count += 1;
            before = Some(kind);
        }
    }
    count
}

fn type_of(row: &Json) -> Option<String> {
    row.get("attributes")?.get("type")?.as_text().map(str::to_owned)
}

fn table_of(store: &Store, row: &Json) -> Result<usize, Refusals> {
    let Some(name) = type_of(row) else { return Err(vec![super::write::polymorphic_without_type()]) };
    store
        .find_table(&name)
        .ok_or_else(|| vec![Refusal::new("INVALID_TYPE", format!("sObject type '{name}' is not supported."))])
}

fn create(work: &mut Work<'_>, row: &Json) -> Outcome {
    let made = table_of(work.store, row).and_then(|table| work.create(table, row, None));
    match made {
        Ok(at) => Outcome { id: Some(work.store.id(at)), created: true, refusals: Vec::new() },
        Err(refusals) => Outcome::refused(refusals),
    }
}

fn update(work: &mut Work<'_>, row: &Json) -> Outcome {
    let table = match table_of(work.store, row) {
        Ok(table) => table,
        Err(refusals) => return Outcome::refused(refusals),
    };
    let Some(id) = row.member("Id").and_then(Json::as_text).filter(|id| !id.is_empty()) else {
        let refusal = Refusal::of_fields("MISSING_ARGUMENT", "Id not specified in an update call", &[]);
        return Outcome::refused(vec![refusal]);
    };
    match work.existing(table, id).and_then(|at| work.update(at, row, None).map(|()| at)) {
        Ok(at) => Outcome { id: Some(work.store.id(at)), created: false, refusals: Vec::new() },
        Err(refusals) => Outcome::refused(refusals),
    }
}

fn delete(work: &mut Work<'_>, row: &Json) -> Outcome {
    let id = row.as_text().unwrap_or_default().to_owned();
    let known = work.store.locate(&id);
    let deleted = match known {
        Some(at) => work.existing(at.table, &id).and_then(|at| work.delete(at)),
        None if id::short(&id).is_none() => {
            Err(vec![Refusal::of_fields("MALFORMED_ID", format!("malformed id {id}"), &[])])
        }
        None => {
            Err(vec![Refusal::of_fields("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[])])
        }
    };
    let id = Some(known.map_or(id, |at| work.store.id(at)));
    Outcome { id, created: false, refusals: deleted.err().unwrap_or_default() }
}

fn upsert(work: &mut Work<'_>, table: usize, key: usize, row: &Json, twice: &[String]) -> Outcome {
    match table_of(work.store, row) {
        Ok(own) if own == table => {}
        Ok(_) => {
            let refusal =
                Refusal::new("INVALID_TYPE", "All records must be of the type that the address names");
            return Outcome::refused(vec![refusal]);
        }
        Err(refusals) => return Outcome::refused(refusals),
    }
    let name = work.store.object(table).fields[key].name.clone();
    let value = row.member(&name).cloned().unwrap_or(Json::Null);
    if twice.contains(&value.shown().to_lowercase()) {
        let refusal = Refusal::of_fields(
            "DUPLICATE_VALUE",
            format!("Duplicate external id specified: {}", value.shown()),
            &[&name],
        );
        return Outcome::refused(vec![refusal]);
    }
    match work.upsert(table, key, &value, row, false) {
        Ok(Upserted::Created(at)) => {
            Outcome { id: Some(work.store.id(at)), created: true, refusals: Vec::new() }
        }
        Ok(Upserted::Updated(at)) => {
            Outcome { id: Some(work.store.id(at)), created: false, refusals: Vec::new() }
        }
        Ok(Upserted::Ambiguous(rows)) => {
            let ids: Vec<String> = rows.iter().map(|at| work.store.id(*at)).collect();
            Outcome::refused(vec![Refusal::of_fields(
                "DUPLICATE_EXTERNAL_ID",
                format!("{name}: more than one record found for external id field: [{}]", ids.join(", ")),
                &[],
            )])
        }
        Err(refusals) => Outcome::refused(refusals),
    }
}

/// Key values that several rows of one upsert have; the service refuses all of those rows.
fn repeated(store: &Store, table: usize, key: usize, rows: &[Json]) -> Vec<String> {
    let name = store.object(table).fields.get(key).map_or("", |field| field.name.as_str());
    let mut values: Vec<String> = rows
        .iter()
        .filter_map(|row| row.member(name))
        .filter(|value| **value != Json::Null)
        .map(|value| value.shown().to_lowercase())
        .collect();
    values.sort_unstable();
    let mut twice: Vec<String> =
        values.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
    twice.dedup();
    twice
}

fn written(outcomes: &[Outcome], verb: Verb) -> String {
    let mut out = String::from("[");
    for (number, outcome) in outcomes.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push('{');
        if let Some(id) = &outcome.id {
            out.push_str("\"id\":");
            write_string(id, &mut out);
            out.push(',');
        }
        out.push_str(if outcome.refusals.is_empty() {
            "\"success\":true,\"errors\":["
        } else {
            "\"success\":false,\"errors\":["
        });
        for (place, refusal) in outcome.refusals.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            refusal.write_row_error(&mut out);
        }
        out.push(']');
        if verb == Verb::Upsert {
            out.push_str(if outcome.created { ",\"created\":true" } else { ",\"created\":false" });
        }
        out.push('}');
    }
    out.push(']');
    out
}

/// `GET …?ids=&fields=` or POST with both in the body: rows in the order asked for, null where there is none.
fn retrieve(store: &Store, call: &Call<'_>, name: &str) -> Result<Reply, Refusal> {
    let table = store.find_table(&decoded(name)).ok_or_else(Refusal::not_found)?;
    let split = |text: String| {
        text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    let (ids, fields): (Vec<String>, Vec<String>) = if call.request.method == Method::POST {
        let body = call.json()?;
        let list = |name: &str| {
            let list = body.get(name).and_then(Json::as_list).unwrap_or_default();
            list.iter().map(Json::shown).collect()
        };
        (list("ids"), list("fields"))
    } else {
        (
            split(call.parameter("ids").unwrap_or_default()),
            split(call.parameter("fields").unwrap_or_default()),
        )
    };
    if ids.is_empty() || fields.is_empty() {
        let missing = if ids.is_empty() { "ids" } else { "fields" };
        return Err(Refusal::new("MISSING_ARGUMENT", format!("The {missing} parameter is required")));
    }
    if ids.len() > MOST_RETRIEVED {
        return Err(Refusal::new(
            "EXCEEDED_ID_LIMIT",
            format!("cannot retrieve more than {MOST_RETRIEVED} records in this call"),
        ));
    }
    let names: Vec<&str> = fields.iter().map(String::as_str).collect();
    let columns = columns::path_columns(store, table, &names)?;
    let mut out = String::from("[");
    for (number, id) in ids.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        if id::short(id).is_none() {
            return Err(Refusal::new("MALFORMED_ID", format!("malformed id {id}")));
        }
        match store.locate(id).filter(|at| at.table == table && store.is_live(*at)) {
            Some(at) => render::write_row(store, at, &columns, call.version, &mut out),
            None => out.push_str("null"),
        }
    }
    out.push(']');
    Ok(text_reply(StatusCode::OK, out))
}
