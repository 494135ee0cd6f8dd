//! Google Calendar.

use std::fmt::Write as _;

use recordport::record::{Key, KeyFields, KeyPart};
use serde_json::{Value, json};

use super::subject::{Redefinition, Refusal, Service, Subject, Upserts, Writing, Written};
use crate::support::diary::OWN;
use crate::support::org::Org;

pub(super) const SERVICE: Subject = &Google;
pub(super) const WRITTEN: Written = &Google;

struct Google;

fn envelope(domain: &str, reason: &str, message: &str, code: u16) -> Value {
    let one = json!({ "domain": domain, "reason": reason, "message": message });
    json!({ "error": { "errors": [one], "code": code, "message": message } })
}

/// An answer to a batch: the name of each request, and the line of its status with the body.
fn answers(each: impl Iterator<Item = (usize, &'static str, Value)>) -> Value {
    let mut body = String::new();
    for (at, status, text) in each {
        let _ = write!(
            body,
            "--answers\r\nContent-Type: application/http\r\nContent-ID: <response-{at}>\r\n\r\nHTTP/1.1 {status}\r\n\
             Content-Type: application/json; charset=UTF-8\r\n\r\n{text}\r\n"
        );
    }
    body.push_str("--answers--\r\n");
    let headers = json!({ "content-type": "multipart/mixed; boundary=answers" });
    json!({ "kind": "status", "status": 200, "headers": headers, "body": body })
}

fn id(number: u8) -> String {
    format!("fault{number:03}")
}

#[async_trait::async_trait]
impl Service for Google {
    fn name(&self) -> &'static str {
        "google-calendar"
    }

    fn kind(&self) -> &'static str {
        "event:primary"
    }

    fn scale(&self) -> u64 {
        1
    }

    fn page_size(&self) -> usize {
        25
    }

    fn large(&self) -> (u64, usize, usize) {
        (4, 590, 250)
    }

    fn key(&self) -> &'static str {
        "id"
    }

    fn text(&self) -> &'static str {
        "summary"
    }

    fn asked_by(&self) -> &'static str {
        "iCalUID"
    }

    fn key_of(&self, id: &str) -> Key {
        Key::of(vec![KeyPart::Text(OWN.to_owned()), KeyPart::Text(id.to_owned())])
    }

    /// An occurrence that was taken away stands beside its series.
    fn hidden(&self) -> usize {
        1
    }

    fn spare(&self) -> &'static str {
        "location"
    }

    fn numbers(&self) -> (&'static str, &'static str) {
        ("event:primary", "sequence")
    }

    fn pages(&self) -> &'static str {
        "/calendar/v3/calendars/*/events"
    }

    fn is_page(&self, request: &Value) -> bool {
        request["path"].as_str().is_some_and(|path| path.ends_with("/events"))
    }

    fn next_path(&self) -> &'static str {
        "/calendar/v3/calendars/primary/events?pageToken=x"
    }

    async fn expire_places(&self, org: &Org) {
        org.control("expire-page-tokens", Value::Null).await;
    }

    fn last_page(&self, rows: &[Value]) -> Value {
        json!({ "kind": "calendar#events", "items": rows })
    }

    fn refusal(&self, why: Refusal) -> Value {
        let (status, domain, reason, message) = match why {
            Refusal::Right => (403, "global", "forbidden", "Forbidden"),
            Refusal::Place => (400, "global", "invalid", "Invalid page token value."),
            Refusal::Busy => (403, "usageLimits", "userRateLimitExceeded", "User Rate Limit Exceeded"),
            Refusal::Unknown => (400, "global", "madeUpTomorrow", "A reason of the future."),
        };
        json!({ "kind": "status", "status": status, "body": envelope(domain, reason, message, status) })
    }

    fn gone_code(&self) -> &'static str {
        "invalid"
    }

    fn new_field(&self) -> &'static str {
        "madeUpTomorrow"
    }

    fn newcomer(&self, text: &str) -> Value {
        self.row(text)
    }

    async fn redefine(&self, _: &Org, how: Redefinition) {
        panic!("the fields of events are those of the discovery document: {how:?}");
    }
}

impl Writing for Google {
    fn written(&self) -> &'static str {
        self.kind()
    }

    fn label(&self) -> &'static str {
        "summary"
    }

    fn row(&self, label: &str) -> Value {
        json!({ "summary": label, "start": { "date": "2026-05-01" }, "end": { "date": "2026-05-02" } })
    }

    fn bad_rows(&self) -> [(&'static str, Value); 3] {
        let with = |field: &'static str, value: Value| {
            let mut row = self.row("bad");
            row[field] = value;
            (field, row)
        };
        [with("start", json!("soon")), with("visibility", json!("loud")), with("nothing", json!(1))]
    }

    fn own_mark(&self, number: u8) -> Option<(&'static str, Value)> {
        Some(("id", json!(id(number))))
    }

    fn mark(&self, number: u8) -> Value {
        json!({ "run": "r7", "row": number })
    }

    fn alternate(&self, _: &Value) -> (KeyFields, String, Upserts) {
        (KeyFields::single("iCalUID"), "lost-1@example.com".to_owned(), Upserts::Creates)
    }

    fn stored_as(&self) -> &'static str {
        self.kind()
    }

    fn is_written(&self, row: &Value) -> bool {
        row["recurrence"].is_null() && row["recurringEventId"].is_null()
    }

    fn writes(&self, _: &str) -> &'static str {
        "/batch/calendar/v3"
    }

    fn is_write(&self, request: &Value) -> bool {
        let body = request["body"].as_str().unwrap_or_default();
        ["POST", "PATCH", "DELETE"].iter().any(|method| body.contains(&format!("\n{method} /calendar/")))
    }

    fn method(&self, _: &'static str) -> &'static str {
        "POST"
    }

    fn refused_row_code(&self) -> &'static str {
        "forbidden"
    }

    fn created(&self, count: usize) -> Value {
        answers((0..count).map(|at| (at, "200 OK", json!({ "id": format!("foreign{at}") }))))
    }

    fn busy_rows(&self, count: usize) -> Value {
        let body = envelope("usageLimits", "rateLimitExceeded", "Rate Limit Exceeded", 403);
        answers((0..count).map(|at| (at, "403 Forbidden", body.clone())))
    }

    fn asks_again(&self) -> bool {
        true
    }

    fn reordered(&self, count: usize) -> Value {
        let refused = envelope("global", "forbidden", "Forbidden", 403);
        answers((0..count).rev().map(|at| match at {
            0 => (0, "403 Forbidden", refused.clone()),
            _ => (at, "200 OK", json!({ "id": id(u8::try_from(at).unwrap() + 1) })),
        }))
    }
}
