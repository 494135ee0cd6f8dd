//! `/updated` and `/deleted`, ids of rows that changed within a window; the recycle bin's age; and what tests
//! may do to rows behind the API's back.

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::cell::{Cell, write_instant, write_string};
use super::errors::Refusal;
use super::rows::{Place, Sight, Store};
use super::write::Work;
use super::{Call, text_reply};
use crate::emulator::service::{Reply, Request};

/// How far back `/updated` looks.
const UPDATED_DAYS: i64 = 30;
/// How far back `/deleted` looks, and how long the recycle bin keeps rows.
const DELETED_DAYS: i64 = 15;
/// Most ids of one answer.
const MOST_IDS: usize = 600_000;
const DAY: i64 = 86_400;

/// The window that `start` and `end` ask for.
fn window(
    store: &Store,
    table: usize,
    call: &Call<'_>,
    oldest_days: i64,
) -> Result<(Timestamp, Timestamp), Refusal> {
    let object = store.object(table);
    if object.describe["replicateable"] == json!(false) {
        return Err(Refusal::new(
            "INVALID_TYPE",
            format!("entity type {} does not support replication", object.name),
        ));
    }
    let moment = |name: &str| {
        let text = call.parameter(name).unwrap_or_default();
        text.parse::<Timestamp>().map_err(|_| {
            Refusal::new("INVALID_REPLICATION_DATE", format!("{name} is not a valid date: {text}"))
        })
    };
    let (start, end) = (minute(moment("start")?), minute(moment("end")?));
    if start >= end {
        return Err(Refusal::new("INVALID_REPLICATION_DATE", "startDate must be before endDate"));
    }
    if start.as_second() < call.request.now.as_second() - oldest_days * DAY {
        return Err(Refusal::new(
            "INVALID_REPLICATION_DATE",
            format!("startDate cannot be more than {oldest_days} days ago"),
        ));
    }
    Ok((start, end))
}

/// Seconds are not looked at.
fn minute(stamp: Timestamp) -> Timestamp {
    Timestamp::from_second(stamp.as_second().div_euclid(60) * 60).unwrap_or(stamp)
}

fn write_minute(stamp: Timestamp, out: &mut String) {
    write_instant(minute(stamp).as_second() * 1000, out);
}

fn too_many() -> Refusal {
    Refusal::new("EXCEEDED_ID_LIMIT", "exceeded the maximum number of ids; ask for a shorter window")
}

/// `GET …/updated`: ids of rows whose SystemModstamp lies in the window.
pub(super) fn updated(store: &Store, table: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let (start, end) = window(store, table, call, UPDATED_DAYS)?;
    let object = store.object(table);
    let field = ["SystemModstamp", "LastModifiedDate"].into_iter().find_map(|name| object.field(name));
    let field = field.ok_or_else(Refusal::not_found)?;
    let within = |ms: i64| ms >= start.as_millisecond() && ms < end.as_millisecond();
    let ids: Vec<String> = (0..store.table(table).next)
        .map(|index| Place { table, index })
        .filter(|at| store.is_live(*at))
        .filter(|at| matches!(store.cell(*at, field), Cell::Instant(ms) if within(ms)))
        .map(|at| store.id(at))
        .collect();
    if ids.len() > MOST_IDS {
        return Err(too_many());
    }
    let mut out = String::from("{\"ids\":");
    out.push_str(&Value::from(ids).to_string());
    out.push_str(",\"latestDateCovered\":\"");
    write_minute(end.min(call.request.now), &mut out);
    out.push_str("\"}");
    Ok(text_reply(StatusCode::OK, out))
}

/// `GET …/deleted`: ids of rows deleted in the window, with the moment; also of those that are no longer in
/// the recycle bin or came back from it.
pub(super) fn deleted(store: &Store, table: usize, call: &Call<'_>) -> Result<Reply, Refusal> {
    let (start, end) = window(store, table, call, DELETED_DAYS)?;
    let mut out = String::from("{\"deletedRecords\":[");
    let rows: Vec<(u64, Timestamp)> =
        store.deletions(table).filter(|(_, when)| *when >= start && *when < end).collect();
    if rows.len() > MOST_IDS {
        return Err(too_many());
    }
    for (number, (index, when)) in rows.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str("{\"deletedDate\":\"");
        write_instant(when.as_second() * 1000, &mut out);
        out.push_str("\",\"id\":");
        write_string(&store.id(Place { table, index }), &mut out);
        out.push('}');
    }
    out.push_str("],\"earliestDateAvailable\":\"");
    write_minute(bin_edge(call.request.now), &mut out);
    out.push_str("\",\"latestDateCovered\":\"");
    write_minute(end.min(call.request.now), &mut out);
    out.push_str("\"}");
    Ok(text_reply(StatusCode::OK, out))
}

/// What was deleted before this is neither in the log nor in the recycle bin.
fn bin_edge(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_secs(DELETED_DAYS * DAY)).unwrap_or(Timestamp::MIN)
}

/// `POST /_emulator/salesforce/…`, `None` for what is not here: `undelete` with `ids`, `empty-recycle-bin`, and `commit-delay` with
/// `seconds`, from when on rows carry stamps older by so much, as those of a long transaction do.
pub(super) fn control(store: &mut Store, what: &str, request: &Request) -> Option<Reply> {
    if !matches!(what, "undelete" | "empty-recycle-bin" | "commit-delay") {
        return None;
    }
    if request.method != Method::POST {
        return Some(told(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "this takes POST" })));
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let done = match what {
        "undelete" => undelete(store, &body, request.now),
        "empty-recycle-bin" => {
            store.bin_emptied = Some(request.now);
            Ok(json!({ "emptied": true }))
        }
        _ => match body["seconds"].as_i64().filter(|seconds| (0..=DAY).contains(seconds)) {
            Some(seconds) => {
                store.commit_delay = SignedDuration::from_secs(seconds);
                Ok(json!({ "seconds": seconds }))
            }
            None => Err("give {\"seconds\": n}, at most a day"),
        },
    };
    Some(match done {
        Ok(answer) => told(StatusCode::OK, &answer),
        Err(text) => told(StatusCode::BAD_REQUEST, &json!({ "error": text })),
    })
}

fn told(status: StatusCode, answer: &Value) -> Reply {
    text_reply(status, answer.to_string())
}

fn undelete(store: &mut Store, body: &Value, now: Timestamp) -> Result<Value, &'static str> {
    let places: Option<Vec<Place>> =
        body["ids"].as_array().and_then(|ids| ids.iter().map(|id| store.locate(id.as_str()?)).collect());
    let places = places.ok_or("give the ids of deleted rows: {\"ids\":[...]}")?;
    let mut undeleted = 0;
    for at in places {
        if store.undelete(at, Sight::WithBin(bin_edge(now))) {
            undeleted += 1;
            Work::new(store, now).stamp(at);
        }
    }
    Ok(json!({ "undeleted": undeleted }))
}
