//! Query jobs: the rows of a statement as CSV, in pages behind locators.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::describe::{Derived, Field, Kind};
use super::super::errors::Refusal;
use super::super::locators::Locators;
use super::super::query::{self, Ask};
use super::super::rows::Store;
use super::super::soql;
use super::super::statement::{Item, Operand, Query, Select};
use super::super::{Call, decoded};
use super::{Head, Jobs, State, csv_reply, get_only, list, open, operation, told, wanted_state};
use crate::emulator::json::Json;
use crate::emulator::service::Reply;

/// Rows in a page of results when the client does not say.
const PAGE: usize = 50_000;
/// Rows of the statement that are taken at a time.
const TAKEN: u64 = 2_000;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) head: Head,
    statement: String,
    columns: Vec<Column>,
    /// The lines of the result one after the other, and where each ends.
    lines: Vec<u8>,
    ends: Vec<usize>,
}

/// One column: where its value stands in a row.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    path: Vec<String>,
    /// Date-times are written otherwise than in JSON.
    is_instant: bool,
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
            return Ok(list(call, "query", jobs.queries.iter().map(Job::listed).collect()));
        }
        [] if call.is_post() => return create(jobs, store, call),
        [] => return Err(Refusal::method_not_allowed(method)),
        [id, rest @ ..] => (decoded(id), rest),
    };
    let place = jobs.queries.iter().position(|job| job.head.id == id || job.head.id.get(..15) == Some(&*id));
    let place = place.ok_or_else(Refusal::not_found)?;
    if rest.is_empty() && *method == Method::DELETE {
        if !jobs.queries[place].head.state.is_over() {
            return Err(jobs.queries[place].head.wrong_state("This job cannot be deleted"));
        }
        jobs.queries.remove(place);
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    let job = &mut jobs.queries[place];
    match rest {
        [] if call.is(&Method::GET) => {
            job.step(store, now);
            Ok(told(StatusCode::OK, job.info()))
        }
        [] if *method == Method::PATCH => {
            let wanted = wanted_state(call)?;
            if wanted != State::Aborted || job.head.state.is_over() {
                return Err(job
                    .head
                    .wrong_state("Only a job that is not over can be set, and only to Aborted"));
            }
            job.head.enter(State::Aborted, now);
            Ok(told(StatusCode::OK, job.head.members(None)))
        }
        [] => Err(Refusal::method_not_allowed(method)),
        ["results"] => {
            get_only(call)?;
            job.results(call)
        }
        _ => Err(Refusal::not_found()),
    }
}

fn create(jobs: &mut Jobs, store: &Store, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let operation = operation(&body, &["query", "queryAll"])?;
    let statement = body.get("query").and_then(Json::as_text).unwrap_or_default();
    refuse_unsupported(statement)?;
    let query = soql::parse(statement)?;
    // What is wrong with the statement is told now, not when the job runs.
    query::first_page(
        store,
        &Locators::default(),
        statement,
        ask(call.version, call.request.now, operation, 1),
    )?;
    let table = store.find_table(&query.object.text).ok_or_else(Refusal::not_found)?;
    let columns = columns(store, table, &query)?;
    let object = store.object(table).name.clone();
    let mut head = open(jobs, store, call, &body, operation, object)?;
    // A query job needs no upload.
    head.state = State::UploadComplete;
    let job = Job { head, statement: statement.to_owned(), columns, lines: Vec::new(), ends: Vec::new() };
    let mut members = job.head.members(None);
    job.head.add_dialect(&mut members);
    jobs.queries.push(job);
    jobs.queries_made += 1;
    Ok(told(StatusCode::OK, members))
}

fn ask<'a>(version: &'a str, now: Timestamp, operation: &str, page: u64) -> Ask<'a> {
    Ask { version, now, page, with_deleted: operation == "queryAll" }
}

impl Job {
    fn listed(&self) -> Map<String, Value> {
        let mut out = self.head.members(None);
        out.insert("jobType".to_owned(), json!("V2Query"));
        self.head.add_dialect(&mut out);
        out
    }

    fn info(&self) -> Map<String, Value> {
        let mut out = self.listed();
        self.head.add_times(&mut out);
        let rows = if self.head.state == State::JobComplete { self.ends.len() } else { 0 };
        out.insert("numberRecordsProcessed".to_owned(), json!(rows));
        if let Some(error) = &self.head.error {
            out.insert("errorMessage".to_owned(), json!(error));
        }
        out
    }

    /// Goes on: first the statement runs, then its rows are ready.
    pub(super) fn step(&mut self, store: &Store, now: Timestamp) {
        match self.head.state {
            State::UploadComplete => match self.run(store, now) {
                Ok(()) => self.head.enter(State::InProgress, now),
                Err(refusal) => self.head.fail(
                    format!("InvalidBatch : Failed to process query: {}: {}", refusal.code, refusal.message),
                    now,
                ),
            },
            State::InProgress => self.head.enter(State::JobComplete, now),
            _ => {}
        }
    }

    fn run(&mut self, store: &Store, now: Timestamp) -> Result<(), Refusal> {
        // Locators of its own: those of the user are few.
        let locators = Locators::default();
        let ask = ask("v60.0", now, self.head.operation, TAKEN);
        let mut page = query::first_page(store, &locators, &self.statement, ask)?;
        loop {
            let read = Json::read(page.as_bytes())?;
            for row in read.get("records").and_then(Json::as_list).unwrap_or_default() {
                let cells: Vec<String> = self.columns.iter().map(|column| column.of(row)).collect();
                self.head.dialect.write_quoted(cells.iter().map(String::as_str), &mut self.lines);
                self.ends.push(self.lines.len());
            }
            let next = read.get("nextRecordsUrl").and_then(Json::as_text);
            let Some(token) = next.and_then(|url| url.rsplit('/').next()) else { return Ok(()) };
            page = query::next_page(store, &locators, token, ask)?;
        }
    }

    /// `…/results?maxRecords=&locator=`; each page begins with the names of the columns.
    fn results(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        if self.head.state != State::JobComplete {
            return Err(self.head.wrong_state("There are no results before a job is complete"));
        }
        let wrong = |name: &str| Refusal::new("INVALIDJOB", format!("The value of {name} is not valid"));
        let most = match call.parameter("maxRecords") {
            None => PAGE,
            Some(text) => text.parse().ok().filter(|most| *most > 0).ok_or_else(|| wrong("maxRecords"))?,
        };
        let from = match call.parameter("locator").filter(|text| !text.is_empty()) {
            None => 0,
            Some(text) => STANDARD
                .decode(&text)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
                .filter(|from| *from < self.ends.len())
                .ok_or_else(|| wrong("locator"))?,
        };
        let to = from.saturating_add(most).min(self.ends.len());
        let mut out = Vec::new();
        self.head.dialect.write_quoted(self.columns.iter().map(|column| column.name.as_str()), &mut out);
        let start = if from == 0 { 0 } else { self.ends[from - 1] };
        let end = if to == 0 { 0 } else { self.ends[to - 1] };
        out.extend_from_slice(&self.lines[start..end]);
        let next = if to < self.ends.len() { STANDARD.encode(to.to_string()) } else { "null".to_owned() };
        Ok(csv_reply(out)
            .with_header(HeaderName::from_static("sforce-locator"), &next)
            .with_header(HeaderName::from_static("sforce-numberofrecords"), &(to - from).to_string()))
    }
}

impl Column {
    /// The value of a row as CSV has it: null is empty.
    fn of(&self, row: &Json) -> String {
        let mut at = row;
        for part in &self.path {
            match at.member(part) {
                Some(value) => at = value,
                None => return String::new(),
            }
        }
        match at {
            Json::Null | Json::List(_) | Json::Object(_) => String::new(),
            Json::Text(text) if self.is_instant => text.replace("+0000", "Z"),
            other => other.shown(),
        }
    }
}

/// The clauses that the service knows in a query but not in a query job.
fn refuse_unsupported(statement: &str) -> Result<(), Refusal> {
    let refuse = |what: &str| Err(Refusal::new("API_ERROR", what));
    let words = words(statement);
    for (place, word) in words.iter().enumerate() {
        let next = words.get(place + 1).map_or("", String::as_str);
        match word.as_str() {
            "TYPEOF" if is_name(next) => return refuse("TYPEOF is not supported in Bulk Query"),
            "OFFSET" if next.starts_with(|letter: char| letter.is_ascii_digit()) => {
                return refuse("OFFSET is not supported in Bulk Query");
            }
            "GROUP" if next == "BY" => return refuse("GROUP BY is not supported in Bulk Query"),
            "COUNT" | "COUNT_DISTINCT" | "SUM" | "AVG" | "MIN" | "MAX" if next == "(" => {
                return refuse("Aggregate functions are not supported in Bulk Query");
            }
            // A condition's subselect stands behind IN; this one stands among the fields.
            "(" if next == "SELECT" && !words[..place].iter().any(|word| word == "FROM") => {
                return refuse(
                    "Aggregate Relationships not supported in Bulk V2 Query with CSV content type",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_ascii_alphabetic()) && word != "FROM"
}

/// The words and brackets of a statement in upper case, without what stands in quotes.
fn words(statement: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let (mut quoted, mut escaped, mut in_word) = (false, false, false);
    for letter in statement.chars() {
        if quoted {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '\'' => quoted = false,
                _ => {}
            }
            continue;
        }
        let belongs = letter.is_alphanumeric() || matches!(letter, '_' | '.');
        match out.last_mut() {
            Some(word) if belongs && in_word => word.extend(letter.to_uppercase()),
            _ if belongs => out.push(letter.to_uppercase().collect()),
            _ if matches!(letter, '(' | ')' | ',') => out.push(letter.to_string()),
            _ => {}
        }
        in_word = belongs;
        quoted = letter == '\'';
    }
    out
}

fn columns(store: &Store, table: usize, query: &Query) -> Result<Vec<Column>, Refusal> {
    let refuse = |what: &str| Err(Refusal::new("API_ERROR", what));
    let object = store.object(table);
    let mut out = Vec::new();
    let Select::Items(items) = &query.select else {
        return refuse("Aggregate functions are not supported in Bulk Query");
    };
    for item in items {
        match item {
            Item::Selected { operand: Operand::Path(path), alias: None } => {
                let mut parts = path.parts.clone();
                let own = |part: &String| {
                    query.alias.as_ref().is_some_and(|alias| alias.eq_ignore_ascii_case(part))
                        || object.name.eq_ignore_ascii_case(part)
                };
                if parts.len() > 1 && parts.first().is_some_and(own) {
                    parts.remove(0);
                }
                let about = leaf(store, table, &parts);
                match about {
                    Some(field) if is_compound(field) => {
                        return refuse("Selecting compound data not supported in Bulk Query");
                    }
                    Some(field) if field.kind == Kind::Base64 => {
                        return refuse("Binary fields not supported");
                    }
                    _ => {}
                }
                let is_instant = about.is_some_and(|field| field.kind == Kind::DateTime);
                out.push(Column { name: parts.join("."), path: parts, is_instant });
            }
            _ => return refuse("Only fields can be selected in Bulk Query"),
        }
    }
    Ok(out)
}

fn is_compound(field: &Field) -> bool {
    matches!(field.derived, Some(Derived::Compound(_)))
        || matches!(field.kind, Kind::Address | Kind::Location)
}

/// The field that a path leads to, where it leads through types that are known beforehand.
fn leaf<'a>(store: &'a Store, table: usize, parts: &[String]) -> Option<&'a Field> {
    let object = store.object(table);
    match parts {
        [] => None,
        [last] => object.field(last).and_then(|number| object.fields.get(number)),
        [first, rest @ ..] => {
            let number = object.relationship(first)?;
            store.targets(table, number).iter().find_map(|target| leaf(store, *target, rest))
        }
    }
}
