//! What goes to and comes from Jira, judged by the OpenAPI document that Atlassian publishes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use recordport::emulator::grants::Grants;
use recordport::emulator::service::{PageShape, Reply, Request, Service, StatePart};
use serde_json::{Value, json};

use crate::support::openapi::{Document, Message, Operation};

/// Properties that recorded answers of the live service have and the document forbids.
const LIVE_PROPERTIES: [(&str, &str, &str); 2] =
    [("FieldDetails", "untranslatedName", "string"), ("IssueTransition", "isLooped", "boolean")];

/// Properties that the live service leaves null where the document knows no null: what a change came from and
/// went to, when that has no id or there was nothing.
const LIVE_NULLS: [(&str, &str); 4] = [
    ("ChangeDetails", "from"),
    ("ChangeDetails", "fromString"),
    ("ChangeDetails", "to"),
    ("ChangeDetails", "toString"),
];

/// Operations that at least must have been seen on either side.
pub(crate) const OPERATIONS_LEAST: usize = 40;

fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        Document::unpack(include_bytes!("../specs/jira-platform-v3.json.gz"), |spec| {
            for (schema, property, kind) in LIVE_PROPERTIES {
                let own = &mut spec["components"]["schemas"][schema];
                assert!(own["properties"].get(property).is_none(), "{schema} has {property} by now");
                own["properties"][property] = json!({ "type": kind });
            }
            for (schema, property) in LIVE_NULLS {
                let own = &mut spec["components"]["schemas"][schema]["properties"][property];
                assert!(own["nullable"].is_null(), "{schema}.{property} may be null by now");
                own["nullable"] = json!(true);
            }
        })
    })
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Answers alone, where requests are wrong on purpose.
    Answers,
    Both,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) requests: BTreeSet<String>,
    pub(crate) answers: BTreeSet<String>,
    pub(crate) wrong: BTreeSet<String>,
}

impl Report {
    pub(crate) fn assert_conforms(&self) {
        let wrong: Vec<&str> = self.wrong.iter().map(String::as_str).collect();
        assert!(wrong.is_empty(), "against the OpenAPI document:\n{}", wrong.join("\n"));
    }

    /// Fails when too little was seen to say anything.
    pub(crate) fn assert_many(&self, seen: &BTreeSet<String>) {
        assert!(seen.len() >= OPERATIONS_LEAST, "only {} operations: {seen:#?}", seen.len());
    }
}

/// The emulated Jira, with all that it is asked and answers judged.
#[derive(Debug, Clone)]
pub(crate) struct Conforming {
    service: Arc<dyn Service>,
    judged: Judged,
    report: Arc<Mutex<Report>>,
}

impl Conforming {
    pub(crate) fn new(service: impl Service + 'static, judged: Judged) -> Self {
        Self { service: Arc::new(service), judged, report: Arc::default() }
    }

    pub(crate) fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap()
    }

    fn judge(&self, request: &Request, reply: &Reply) {
        let Some(path) = described_path(&request.path) else { return };
        let Some(operation) = document().operation(&request.method, path) else {
            if reply.status.is_success() || self.judged == Judged::Both {
                let wrong = format!("{} {path}: no such operation, {}", request.method, reply.status);
                self.report().wrong.insert(wrong);
            }
            return;
        };
        let mut wrong = Vec::new();
        if self.judged == Judged::Both {
            let message = Message { content_type: content_type(&request.headers), body: &request.body };
            wrong.extend(document().judge_request(operation, path, &request.query, message));
        }
        wrong.extend(judge_answer(operation, reply));
        let mut report = self.report();
        if self.judged == Judged::Both {
            report.requests.insert(operation.name.clone());
        }
        if reply.status.is_success() {
            report.answers.insert(operation.name.clone());
        }
        report.wrong.extend(wrong.into_iter().map(|what| format!("{}: {what}", operation.name)));
    }
}

fn judge_answer(operation: &Operation, reply: &Reply) -> Vec<String> {
    let message = Message { content_type: content_type(&reply.headers), body: &reply.body };
    let status = reply.status.as_u16();
    // Refusals of the framework (RFC 7807) and of the gateway before it belong to no operation.
    let before = matches!(status, 401 | 403..=405 | 410 | 415 | 429 | 500..)
        || message.content_type.starts_with("application/problem+json");
    let wrong = if before { Vec::new() } else { document().judge_answer(operation, status, message) };
    let general = status == 400 && !wrong.is_empty() && document().is_a("ErrorCollection", message);
    if general { Vec::new() } else { wrong }
}

/// The path as the document has it; the sign-in and the older version are not its subject.
fn described_path(path: &str) -> Option<&str> {
    let path = match path.strip_prefix("/ex/jira/") {
        Some(rest) => rest.find('/').map(|at| &rest[at..])?,
        None => path,
    };
    path.starts_with("/rest/api/3/").then_some(path)
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Service for Conforming {
    fn name(&self) -> &'static str {
        self.service.name()
    }

    fn owns(&self, path: &str) -> bool {
        self.service.owns(path)
    }

    fn handle(&self, request: &Request) -> Reply {
        let reply = self.service.handle(request);
        self.judge(request, &reply);
        reply
    }

    fn partial(&self, request: &Request, every: usize) -> Option<Reply> {
        let reply = self.service.partial(request, every)?;
        self.judge(request, &reply);
        Some(reply)
    }

    fn refusal(&self, status: StatusCode) -> Reply {
        self.service.refusal(status)
    }

    fn grants(&self) -> Option<&Grants> {
        self.service.grants()
    }

    fn credentials(&self) -> Value {
        self.service.credentials()
    }

    fn expire_access_tokens(&self) {
        self.service.expire_access_tokens();
    }

    fn page_shape(&self) -> PageShape {
        self.service.page_shape()
    }

    fn reset(&self) {
        self.service.reset();
    }

    fn state(&self, record_type: &str) -> Option<Vec<Value>> {
        self.service.state(record_type)
    }

    fn state_text(&self, record_type: &str, part: &StatePart) -> Option<Bytes> {
        self.service.state_text(record_type, part)
    }

    fn import(&self, file: &Path) -> Result<(), String> {
        self.service.import(file)
    }
}

/// The judge itself: what is wrong is found, wherever it stands.
#[test]
fn wrong_messages_are_told_from_right_ones() {
    let judge = |method: &str, path: &str, query: &str, body: Value| {
        let method = method.parse().unwrap();
        let operation = document().operation(&method, path).expect("an operation");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let message = Message { content_type: "application/json", body: body.as_bytes() };
        document().judge_request(operation, path, query, message).len()
    };
    let search = "/rest/api/3/search/jql";
    assert_eq!(judge("POST", search, "", json!({ "jql": "project = OPS", "fields": ["summary"] })), 0);
    assert_eq!(judge("POST", search, "", json!({ "jql": "project = OPS", "startAt": 0 })), 1);
    assert_eq!(judge("POST", search, "", json!({ "jql": ["project = OPS"] })), 1);
    assert_eq!(judge("POST", search, "", Value::Null), 1);
    assert_eq!(judge("GET", search, "jql=a&maxResults=x&startAt=3", Value::Null), 2);
    assert_eq!(judge("DELETE", "/rest/api/3/issue/OPS-1", "deleteSubtasks=yes", Value::Null), 1);
    let update = json!({ "update": { "labels": [{ "append": "x" }] } });
    assert_eq!(judge("PUT", "/rest/api/3/issue/OPS-1", "notifyUsers=false", update), 1);
    let operation = document().operation(&http::Method::GET, "/rest/api/3/myself").expect("an operation");
    let answer = |text: &'static str| {
        let message = Message { content_type: "application/json;charset=UTF-8", body: text.as_bytes() };
        document().judge_answer(operation, 200, message).len()
    };
    assert_eq!(answer(r#"{"accountId":"5b10","active":true}"#), 0);
    assert_eq!(answer(r#"{"accountId":5,"active":true}"#), 1);
    assert_eq!(answer(r#"{"accountId":"5","nothing":1}"#), 1);
    assert_eq!(answer("[1"), 1);
}
