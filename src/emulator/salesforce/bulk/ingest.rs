//! Ingest jobs: rows from a CSV upload are inserted, updated, upserted or deleted, with an outcome for each.

use std::sync::Arc;

use bytes::Bytes;
use csv::StringRecord;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::describe::{Kind, Object};
use super::super::errors::Refusal;
use super::super::rows::Store;
use super::super::write::{Refusals, Upserted, Work};
use super::super::{Call, decoded, validate};
use super::table::Dialect;
use super::{Head, Jobs, State, csv_reply, get_only, list, open, operation, told, wanted_state};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

const OPERATIONS: [&str; 5] = ["insert", "update", "upsert", "delete", "hardDelete"];
/// The longest upload, in bytes.
const LONGEST_UPLOAD: usize = 150_000_000;
/// Rows that one step takes on.
const BATCH: usize = 10_000;
/// The text that clears a field; an empty one leaves it alone.
const CLEAR: &str = "#N/A";

#[derive(Debug)]
pub(super) struct Job {
    pub(super) head: Head,
    table: usize,
    /// The field that an upsert goes by.
    key: Option<usize>,
    key_name: Option<String>,
    upload: Option<Bytes>,
    columns: StringRecord,
    rows: Vec<StringRecord>,
    done: Vec<Outcome>,
}

/// What became of one row.
#[derive(Debug)]
struct Outcome {
    id: String,
    created: bool,
    error: Option<String>,
}

/// What a column of an upload is for.
#[derive(Debug, Clone, PartialEq)]
enum Column {
    Field(usize),
    /// A parent by its own identifying field: relationship, type when it is named, field.
    Parent(String, Option<String>, String),
}

pub(super) fn handle(
    jobs: &mut Jobs,
    store: &mut Store,
    call: &Call<'_>,
    rest: &[&str],
) -> Result<Reply, Refusal> {
    let method = &call.request.method;
    let now = call.request.now;
    let (id, rest) = match rest {
        [] if call.is(&Method::GET) => {
            return Ok(list(call, "ingest", jobs.ingest.iter().map(Job::listed).collect()));
        }
        [] if call.is_post() => return create(jobs, store, call),
        [] => return Err(Refusal::method_not_allowed(method)),
        [id, rest @ ..] => (decoded(id), rest),
    };
    let place = jobs.ingest.iter().position(|job| job.head.id == id || job.head.id.get(..15) == Some(&*id));
    let place = place.ok_or_else(Refusal::not_found)?;
    if rest.is_empty() && *method == Method::DELETE {
        let head = &jobs.ingest[place].head;
        if head.state == State::Open || head.state == State::InProgress {
            return Err(head.wrong_state("This job cannot be deleted"));
        }
        jobs.ingest.remove(place);
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    let job = &mut jobs.ingest[place];
    match rest {
        [] if call.is(&Method::GET) => {
            job.step(store, now);
            Ok(told(StatusCode::OK, job.info()))
        }
        [] if *method == Method::PATCH => {
            job.change(wanted_state(call)?, now)?;
            Ok(told(StatusCode::OK, job.members()))
        }
        ["batches"] if *method == Method::PUT => job.take(call),
        ["batches"] | [] => Err(Refusal::method_not_allowed(method)),
        [which] => {
            get_only(call)?;
            match which.to_ascii_lowercase().as_str() {
                "successfulresults" => job.results(true),
                "failedresults" => job.results(false),
                "unprocessedrecords" => job.unprocessed(),
                _ => Err(Refusal::not_found()),
            }
        }
        _ => Err(Refusal::not_found()),
    }
}

fn create(jobs: &mut Jobs, store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let operation = operation(&body, &OPERATIONS)?;
    let name = body.get("object").and_then(Json::as_text).unwrap_or_default();
    let table = store.find_table(name).ok_or_else(|| {
        Refusal::new("INVALIDENTITY", format!("Entity '{name}' is not supported by the Bulk API."))
    })?;
    let object = Arc::clone(store.object(table));
    let key_name = body.get("externalIdFieldName").and_then(Json::as_text).filter(|name| !name.is_empty());
    let key = match (operation, key_name) {
        ("upsert", None) => {
            return Err(Refusal::new(
                "INVALIDJOB",
                format!(
                    "External ID was blank for {}. An External ID must be specified for upsert.",
                    object.name
                ),
            ));
        }
        ("upsert", Some(name)) => {
            let field = object.field(name);
            let field =
                field.filter(|number| object.fields.get(*number).is_some_and(|field| field.identifies()));
            Some(field.ok_or_else(|| {
                Refusal::new(
                    "INVALIDJOB",
                    format!("Field name provided, {name} does not match an External ID for {}", object.name),
                )
            })?)
        }
        _ => None,
    };
    let head = open(jobs, store, call, &body, operation, object.name.clone())?;
    let job = Job {
        head,
        table,
        key,
        key_name: key.and(key_name).map(str::to_owned),
        upload: None,
        columns: StringRecord::new(),
        rows: Vec::new(),
        done: Vec::new(),
    };
    let mut members = job.members();
    members.insert("contentUrl".to_owned(), json!(job.content_url()));
    job.head.add_dialect(&mut members);
    jobs.ingest.push(job);
    Ok(told(StatusCode::OK, members))
}

impl Job {
    fn content_url(&self) -> String {
        format!("services/data/v{}/jobs/ingest/{}/batches", self.head.version, self.head.id)
    }

    fn members(&self) -> Map<String, Value> {
        self.head.members(self.key_name.as_deref())
    }

    fn listed(&self) -> Map<String, Value> {
        let mut out = self.members();
        out.insert("contentUrl".to_owned(), json!(self.content_url()));
        out.insert("jobType".to_owned(), json!("V2Ingest"));
        self.head.add_dialect(&mut out);
        out
    }

    fn info(&self) -> Map<String, Value> {
        let mut out = self.members();
        out.insert("jobType".to_owned(), json!("V2Ingest"));
        self.head.add_dialect(&mut out);
        self.head.add_times(&mut out);
        let processing = if self.done.is_empty() { 0 } else { 80 };
        out.insert("apiActiveProcessingTime".to_owned(), json!(processing));
        out.insert("apexProcessingTime".to_owned(), json!(0));
        let failed = self.done.iter().filter(|outcome| outcome.error.is_some()).count();
        out.insert("numberRecordsProcessed".to_owned(), json!(self.done.len()));
        out.insert("numberRecordsFailed".to_owned(), json!(failed));
        if let Some(error) = &self.head.error {
            out.insert("errorMessage".to_owned(), json!(error));
        }
        out
    }

    /// Takes the one upload of a job.
    fn take(&mut self, call: &Call<'_>) -> Result<Reply, Refusal> {
        if self.head.state != State::Open {
            return Err(self.head.wrong_state("Content can only be uploaded to an open job"));
        }
        if self.upload.is_some() {
            return Err(Refusal::new(
                "INVALIDJOBSTATE",
                format!(
                    "Found multiple contents for job: {}, please close, abort or delete this job, then create a new one \
                     and upload to it only once",
                    self.head.id
                ),
            ));
        }
        let kind = call.header("content-type").unwrap_or_default().to_ascii_lowercase();
        if !kind.starts_with("text/csv") {
            return Err(Refusal::new("UNSUPPORTED_MEDIA_TYPE", "Content must be text/csv")
                .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let body = &call.request.body;
        if body.len() > LONGEST_UPLOAD {
            return Err(Refusal::new(
                "REQUEST_ENTITY_TOO_LARGE",
                format!("An upload may have {LONGEST_UPLOAD} bytes"),
            )
            .with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        self.upload = Some(body.clone());
        Ok(Reply::empty(StatusCode::CREATED))
    }

    fn change(&mut self, wanted: State, now: Timestamp) -> Result<(), Refusal> {
        match (self.head.state, wanted) {
            (State::Open, State::UploadComplete) => {}
            (State::Open | State::UploadComplete | State::InProgress, State::Aborted) => {
                if self.rows.is_empty() {
                    self.unpack().ok();
                }
            }
            _ => return Err(self.head.wrong_state(&format!("A job cannot become {}", wanted.name()))),
        }
        self.head.enter(wanted, now);
        Ok(())
    }

    fn unpack(&mut self) -> Result<(), String> {
        let upload = self.upload.take().unwrap_or_default();
        (self.columns, self.rows) = self.head.dialect.read(&upload)?;
        Ok(())
    }

    /// Goes on: first the file is read, then one batch after the other is worked off.
    pub(super) fn step(&mut self, store: &mut Store, now: Timestamp) {
        match self.head.state {
            State::UploadComplete => {
                let ready = self.unpack().and_then(|()| self.plan(store).map(|_| ()));
                match ready {
                    Ok(()) => self.head.enter(State::InProgress, now),
                    Err(message) => self.head.fail(message, now),
                }
            }
            State::InProgress => {
                match self.plan(store) {
                    Ok(plan) => self.work_off(store, &plan, now),
                    Err(message) => return self.head.fail(message, now),
                }
                let over = self.done.len() >= self.rows.len();
                self.head.enter(if over { State::JobComplete } else { State::InProgress }, now);
            }
            _ => {}
        }
    }

    /// What each column is for.
    fn plan(&self, store: &Store) -> Result<Vec<Column>, String> {
        let object = store.object(self.table);
        self.columns
            .iter()
            .map(|name| {
                let name = name.trim();
                column(store, self.table, object, name)
                    .ok_or_else(|| format!("InvalidBatch : Field name not found : {name}"))
            })
            .collect()
    }

    fn work_off(&mut self, store: &mut Store, plan: &[Column], now: Timestamp) {
        let object = Arc::clone(store.object(self.table));
        let end = (self.done.len() + BATCH).min(self.rows.len());
        let rows: Vec<Result<Json, String>> = self.rows[self.done.len()..end]
            .iter()
            .map(|row| members(store, self.table, &object, plan, row))
            .collect();
        let twice = self.repeated(&object, &rows);
        for row in &rows {
            // Each row stands for itself: one that fails takes nothing along.
            let mut work = Work::new(store, now);
            let outcome = match row {
                Err(error) => Outcome { id: String::new(), created: false, error: Some(error.clone()) },
                Ok(fields) => self.one(&mut work, &object, fields, &twice),
            };
            if outcome.error.is_some() {
                work.roll_back();
            }
            self.done.push(outcome);
        }
    }

    /// Key values that several rows of one batch have: the service refuses all of those rows.
    fn repeated(&self, object: &Object, rows: &[Result<Json, String>]) -> Vec<String> {
        let Some(key) = self.key.and_then(|key| object.fields.get(key)) else { return Vec::new() };
        let mut values: Vec<String> = rows
            .iter()
            .filter_map(|row| row.as_ref().ok()?.member(&key.name))
            .filter_map(Json::as_text)
            .map(str::to_lowercase)
            .collect();
        values.sort_unstable();
        let mut twice: Vec<String> =
            values.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
        twice.dedup();
        twice
    }

    fn one(&self, work: &mut Work<'_>, object: &Object, fields: &Json, twice: &[String]) -> Outcome {
        let given = fields.member("Id").and_then(Json::as_text).unwrap_or_default().to_owned();
        let existing = |work: &Work<'_>| {
            if given.is_empty() {
                let what = format!("Id not specified in {} call", with_article(self.head.operation));
                return Err(vec![Refusal::of_fields("MISSING_ARGUMENT", what, &["Id"])]);
            }
            work.existing(self.table, &given)
        };
        let done: Result<(_, bool), Refusals> = match self.head.operation {
            "insert" => work.create(self.table, fields, None).map(|at| (at, true)),
            "update" => existing(work).and_then(|at| work.update(at, fields, None).map(|()| (at, false))),
            "upsert" => self.upsert(work, object, fields, twice),
            _ => existing(work).and_then(|at| work.delete(at).map(|()| (at, false))),
        };
        match done {
            Ok((at, created)) => Outcome { id: work.store.id(at), created, error: None },
            Err(refusals) => Outcome { id: given, created: false, error: Some(told_of(&refusals)) },
        }
    }

    fn upsert(
        &self,
        work: &mut Work<'_>,
        object: &Object,
        fields: &Json,
        twice: &[String],
    ) -> Result<(super::super::rows::Place, bool), Refusals> {
        let Some(key) = self.key else { return Err(vec![Refusal::not_found()]) };
        let name = object.fields.get(key).map_or("", |field| field.name.as_str());
        let value = fields.member(name).cloned().unwrap_or(Json::Null);
        if value.as_text().is_some_and(|value| twice.contains(&value.to_lowercase())) {
            return Err(vec![Refusal::of_fields(
                "DUPLICATE_VALUE",
                format!("Duplicate external id specified: {}", value.shown()),
                &[name],
            )]);
        }
        match work.upsert(self.table, key, &value, fields, false)? {
            Upserted::Created(at) => Ok((at, true)),
            Upserted::Updated(at) => Ok((at, false)),
            Upserted::Ambiguous(_) => Err(vec![Refusal::of_fields(
                "DUPLICATE_EXTERNAL_ID",
                format!("More than one record found for external id field: {name}"),
                &[],
            )]),
        }
    }

    /// The rows that went well, or those that did not, in the order of the upload.
    fn results(&self, good: bool) -> Result<Reply, Refusal> {
        self.over()?;
        let dialect = self.head.dialect;
        let mut out = Vec::new();
        dialect.write_result(
            ["sf__Id", if good { "sf__Created" } else { "sf__Error" }],
            &self.columns,
            &mut out,
        );
        for (row, outcome) in self.rows.iter().zip(&self.done) {
            match &outcome.error {
                None if good => {
                    let created = if outcome.created { "true" } else { "false" };
                    dialect.write_result([&outcome.id, created], row, &mut out);
                }
                Some(error) if !good => dialect.write_result([&outcome.id, error], row, &mut out),
                _ => {}
            }
        }
        Ok(csv_reply(out))
    }

    /// The rows that nothing was done about.
    fn unprocessed(&self) -> Result<Reply, Refusal> {
        self.over()?;
        let dialect: Dialect = self.head.dialect;
        let mut out = Vec::new();
        dialect.write(&self.columns, &mut out);
        for row in self.rows.iter().skip(self.done.len()) {
            dialect.write(row, &mut out);
        }
        Ok(csv_reply(out))
    }

    fn over(&self) -> Result<(), Refusal> {
        if self.head.state.is_over() {
            Ok(())
        } else {
            Err(self.head.wrong_state("There are no results before a job is over"))
        }
    }
}

fn with_article(operation: &str) -> String {
    format!("{} {operation}", if operation.starts_with(['u', 'i']) { "an" } else { "a" })
}

fn column(store: &Store, table: usize, object: &Object, name: &str) -> Option<Column> {
    if let Some(number) = object.field(name) {
        return Some(Column::Field(number));
    }
    // `Owner.Email`, or `User:Owner.Email` where the relationship leads to several types.
    let (kind, path) = match name.split_once(':') {
        Some((kind, path)) => (Some(kind.to_owned()), path),
        None => (None, name),
    };
    let (relation, field) = path.split_once('.')?;
    let number = object.relationship(relation)?;
    let known = |table: &usize| store.object(*table).field(field).is_some();
    let targets = store.targets(table, number);
    let fits = match &kind {
        Some(kind) => store.find_table(kind).is_some_and(|table| targets.contains(&table) && known(&table)),
        None => targets.iter().any(known),
    };
    fits.then(|| Column::Parent(relation.to_owned(), kind, field.to_owned()))
}

/// One row as the members of a JSON object: empty values are left out, `#N/A` clears.
///
/// # Errors
/// What the result file says of a value that is none of its field's type.
fn members(
    store: &Store,
    table: usize,
    object: &Object,
    plan: &[Column],
    row: &StringRecord,
) -> Result<Json, String> {
    let mut out = Vec::new();
    for (place, (column, text)) in plan.iter().zip(row).enumerate() {
        if text.is_empty() {
            continue;
        }
        match column {
            Column::Field(number) => {
                let Some(field) = object.fields.get(*number) else { continue };
                let value = if text == CLEAR { Json::Null } else { Json::Text(spelled(field.kind, text)) };
                match validate::convert(store, table, *number, &value) {
                    Err(refusal) if refusal.code == "JSON_PARSER_ERROR" => {
                        return Err(format!(
                            "INVALID_FIELD:Failed to deserialize field at col {place}. Due to, '{text}' is not a valid value \
                             for the type {}:{} --",
                            soap_type(field.kind),
                            field.name
                        ));
                    }
                    _ => out.push((field.name.clone(), value)),
                }
            }
            Column::Parent(relation, kind, field) => {
                let mut parent = Vec::new();
                if let Some(kind) = kind {
                    let kind = ("type".to_owned(), Json::Text(kind.clone()));
                    parent.push(("attributes".to_owned(), Json::Object(vec![kind])));
                }
                parent.push((field.clone(), Json::Text(text.to_owned())));
                let value = if text == CLEAR { Json::Null } else { Json::Object(parent) };
                out.push((relation.clone(), value));
            }
        }
    }
    Ok(Json::Object(out))
}

/// Flags have more spellings in CSV than in JSON.
fn spelled(kind: Kind, text: &str) -> String {
    let flag = match text.to_ascii_lowercase().as_str() {
        "yes" | "y" | "on" | "1" => "true",
        "no" | "n" | "off" | "0" => "false",
        _ => return text.to_owned(),
    };
    if kind == Kind::Boolean { flag.to_owned() } else { text.to_owned() }
}

fn soap_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "xsd:boolean",
        Kind::Int => "xsd:int",
        Kind::Double => "xsd:double",
        Kind::Date => "xsd:date",
        Kind::DateTime => "xsd:dateTime",
        Kind::Time => "xsd:time",
        Kind::Base64 => "xsd:base64Binary",
        Kind::Id | Kind::Reference => "tns:ID",
        _ => "xsd:string",
    }
}

/// `CODE:message:Field1 Field2 --`.
fn told_of(refusals: &Refusals) -> String {
    let one = |refusal: &Refusal| {
        let fields = refusal.fields.as_deref().unwrap_or_default().join(" ");
        let gap = if fields.is_empty() { "" } else { " " };
        format!("{}:{}:{fields}{gap}--", refusal.code, refusal.message)
    };
    refusals.iter().map(one).collect::<Vec<_>>().join(";")
}
