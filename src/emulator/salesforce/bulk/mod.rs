//! Bulk API 2.0: jobs that take rows from a CSV upload (`ingest`) and jobs that write the rows of a statement to
//! CSV (`query`).
//!
//! A job goes on by one step whenever a client asks how it stands, and after [`STEP`] of the emulated clock
//! without being asked, so that what a client sees depends on its own requests alone.

mod ingest;
mod query;
mod table;

use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use self::table::Dialect;
use super::cell::write_instant;
use super::errors::Refusal;
use super::pretty::laid_out;
use super::rows::{Place, Store};
use super::{Call, text_reply};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

/// How long a job stays in a state while nobody asks.
const STEP: SignedDuration = SignedDuration::from_secs(10);
/// Jobs and their results are kept this long.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Jobs in one page of a list.
const PAGE: usize = 1_000;

/// All jobs of the org.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    made: u64,
    ingest: Vec<ingest::Job>,
    queries: Vec<query::Job>,
    queries_made: u64,
}

impl Jobs {
    /// Query jobs since the start, which the org's limits count.
    pub(super) fn queries_made(&self) -> u64 {
        self.queries_made
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    UploadComplete,
    InProgress,
    JobComplete,
    Failed,
    Aborted,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::UploadComplete => "UploadComplete",
            Self::InProgress => "InProgress",
            Self::JobComplete => "JobComplete",
            Self::Failed => "Failed",
            Self::Aborted => "Aborted",
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::JobComplete | Self::Failed | Self::Aborted)
    }

    fn is_waiting(self) -> bool {
        matches!(self, Self::UploadComplete | Self::InProgress)
    }
}

/// What both kinds of job have.
#[derive(Debug)]
struct Head {
    id: String,
    operation: &'static str,
    object: String,
    /// `60.0`.
    version: String,
    user: String,
    created: Timestamp,
    changed: Timestamp,
    state: State,
    dialect: Dialect,
    error: Option<String>,
}

impl Head {
    fn enter(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.changed = now;
    }

    /// When the job had to go on by itself, if that moment has come.
    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let due = self.changed.saturating_add(STEP).unwrap_or(Timestamp::MAX);
        (self.state.is_waiting() && due <= now).then_some(due)
    }

    fn fail(&mut self, message: String, now: Timestamp) {
        self.error = Some(message);
        self.enter(State::Failed, now);
    }

    /// The members that every reply about the job has.
    fn members(&self, external_id: Option<&str>) -> Map<String, Value> {
        let stamp = |when: Timestamp| {
            let mut text = String::new();
            write_instant(when.as_second() * 1000, &mut text);
            text
        };
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| {
            out.insert(name.to_owned(), value);
        };
        put("id", json!(self.id));
        put("operation", json!(self.operation));
        put("object", json!(self.object));
        put("createdById", json!(self.user));
        put("createdDate", json!(stamp(self.created)));
        put("systemModstamp", json!(stamp(self.changed)));
        put("state", json!(self.state.name()));
        if let Some(field) = external_id {
            put("externalIdFieldName", json!(field));
        }
        put("concurrencyMode", json!("Parallel"));
        put("contentType", json!("CSV"));
        put("apiVersion", json!(self.version.parse::<f64>().unwrap_or_default()));
        out
    }

    fn add_dialect(&self, members: &mut Map<String, Value>) {
        members.insert("lineEnding".to_owned(), json!(self.dialect.ending_name()));
        members.insert("columnDelimiter".to_owned(), json!(self.dialect.delimiter_name()));
    }

    fn add_times(&self, members: &mut Map<String, Value>) {
        members.insert("retries".to_owned(), json!(0));
        members.insert("totalProcessingTime".to_owned(), json!(if self.state.is_over() { 120 } else { 0 }));
    }

    fn wrong_state(&self, what: &str) -> Refusal {
        Refusal::new("INVALIDJOBSTATE", format!("{what}: job {} is in state {}", self.id, self.state.name()))
    }
}

/// Whether time has passed for any job.
pub(super) fn is_due(jobs: &Jobs, now: Timestamp) -> bool {
    let mut heads = jobs.ingest.iter().map(|job| &job.head).chain(jobs.queries.iter().map(|job| &job.head));
    heads.any(|head| now.duration_since(head.created) >= KEPT || head.due(now).is_some())
}

/// Lets time pass: jobs that nobody asks about go on by themselves, old ones are forgotten.
pub(super) fn tick(jobs: &mut Jobs, store: &mut Store, now: Timestamp) {
    let kept = |head: &Head| now.duration_since(head.created) < KEPT;
    jobs.ingest.retain(|job| kept(&job.head));
    jobs.queries.retain(|job| kept(&job.head));
    for job in &mut jobs.ingest {
        while let Some(due) = job.head.due(now) {
            job.step(store, due);
        }
    }
    for job in &mut jobs.queries {
        while let Some(due) = job.head.due(now) {
            job.step(store, due);
        }
    }
}

/// Answers `…/jobs/ingest` and `…/jobs/query` with everything below.
pub(super) fn handle(
    jobs: &mut Jobs,
    store: &mut Store,
    call: &Call<'_>,
    rest: &[&str],
) -> Result<Reply, Refusal> {
    match rest {
        ["ingest", rest @ ..] => ingest::handle(jobs, store, call, rest),
        ["query", rest @ ..] => query::handle(jobs, store, call, rest),
        _ => Err(Refusal::not_found()),
    }
}

/// A new job's head, after what a client said about it.
fn open(
    jobs: &mut Jobs,
    store: &Store,
    call: &Call<'_>,
    body: &Json,
    operation: &'static str,
    object: String,
) -> Result<Head, Refusal> {
    let now = call.request.now;
    let text = |name: &str| body.get(name).and_then(Json::as_text);
    if let Some(kind) = text("contentType").filter(|kind| *kind != "CSV") {
        return Err(Refusal::new("INVALIDJOB", format!("Content type {kind} is not supported: use CSV")));
    }
    let dialect = Dialect::named(text("columnDelimiter"), text("lineEnding"))?;
    jobs.made += 1;
    let user = store.find_table("User").unwrap_or_default();
    Ok(Head {
        id: store.ids.make("750", jobs.made),
        operation,
        object,
        version: call.version.trim_start_matches('v').to_owned(),
        user: store.id(Place { table: user, index: 0 }),
        created: now,
        changed: now,
        state: State::Open,
        dialect,
        error: None,
    })
}

/// The operation that a client named, out of those that there are.
fn operation(body: &Json, known: &[&'static str]) -> Result<&'static str, Refusal> {
    let given = body.get("operation").and_then(Json::as_text).unwrap_or_default();
    known.iter().copied().find(|name| *name == given).ok_or_else(|| {
        Refusal::new(
            "INVALIDJOB",
            format!("Operation {given:?} is not supported: use one of {}", known.join(", ")),
        )
    })
}

/// The state that a PATCH asks for.
fn wanted_state(call: &Call<'_>) -> Result<State, Refusal> {
    let body = call.json()?;
    match body.get("state").and_then(Json::as_text) {
        Some("UploadComplete") => Ok(State::UploadComplete),
        Some("Aborted") => Ok(State::Aborted),
        other => Err(Refusal::new(
            "INVALIDJOBSTATE",
            format!("A job can be set to UploadComplete or Aborted, not to {:?}", other.unwrap_or_default()),
        )),
    }
}

fn told(status: StatusCode, members: Map<String, Value>) -> Reply {
    text_reply(status, laid_out(&Value::Object(members).to_string()))
}

/// One page of a list of jobs, newest first.
fn list(call: &Call<'_>, kind: &str, jobs: Vec<Map<String, Value>>) -> Reply {
    let from: usize = call.parameter("queryLocator").and_then(|text| text.parse().ok()).unwrap_or_default();
    let total = jobs.len();
    let rows: Vec<Value> = jobs.into_iter().rev().skip(from).take(PAGE).map(Value::Object).collect();
    let end = from.saturating_add(rows.len());
    let next =
        (end < total).then(|| format!("/services/data/{}/jobs/{kind}?queryLocator={end}", call.version));
    let mut members = Map::new();
    members.insert("done".to_owned(), json!(next.is_none()));
    members.insert("records".to_owned(), Value::Array(rows));
    members.insert("nextRecordsUrl".to_owned(), json!(next));
    told(StatusCode::OK, members)
}

fn get_only(call: &Call<'_>) -> Result<(), Refusal> {
    if call.is(&Method::GET) { Ok(()) } else { Err(Refusal::method_not_allowed(&call.request.method)) }
}

/// A file of CSV.
fn csv_reply(body: Vec<u8>) -> Reply {
    Reply::new(StatusCode::OK, "text/csv", body)
}
