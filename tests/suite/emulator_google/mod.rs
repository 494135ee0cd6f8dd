//! The emulated Google Calendar, asked through its service trait.

mod calendars;
mod events;
mod lists;
mod sign_in;

use http::{HeaderMap, Method};
use recordport::emulator::clock::Clock;
use recordport::emulator::google_calendar::GoogleCalendar;
use recordport::emulator::service::{Reply, Request, Service, ServiceConfig};
use serde_json::{Value, json};

struct Account {
    service: GoogleCalendar,
    clock: Clock,
    token: String,
    dir: tempfile::TempDir,
}

fn account() -> Account {
    account_with(false)
}

fn empty_account() -> Account {
    account_with(true)
}

fn account_with(empty: bool) -> Account {
    let dir = tempfile::tempdir().expect("a private directory");
    let clock = Clock::new(Some("2026-03-04T10:00:00Z".parse().expect("a moment")));
    let config = ServiceConfig { seed: 7, scale: 1, empty, dir: dir.path().to_owned(), clock: clock.clone() };
    let service = GoogleCalendar::start(&config).expect("the service starts");
    let token = service.credentials()["access_token"].as_str().expect("a token").to_owned();
    Account { service, clock, token, dir }
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.to_vec()).expect("text")
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", text(reply)))
}

fn header(reply: &Reply, name: &str) -> String {
    reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Ids of the rows of a page.
fn ids(page: &Value) -> Vec<String> {
    page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|own| own["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// A meeting of an hour in Berlin.
fn meeting(summary: &str, start: &str) -> Value {
    let begin: jiff::civil::DateTime = start.parse().expect("a local time");
    let end = begin.checked_add(jiff::ToSpan::hours(1)).expect("a local time");
    json!({
        "summary": summary,
        "start": { "dateTime": begin.to_string(), "timeZone": "Europe/Berlin" },
        "end": { "dateTime": end.to_string(), "timeZone": "Europe/Berlin" },
    })
}

impl Account {
    fn send(&self, method: Method, address: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let mut all = HeaderMap::new();
        if !self.token.is_empty() {
            all.insert("authorization", format!("bearer {}", self.token).parse().expect("a header"));
        }
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            all.insert(name, value.parse().expect("a header"));
        }
        self.service.handle(&Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: all,
            body: body.to_owned().into(),
            origin: "http://127.0.0.1:9".to_owned(),
            now: self.clock.now(),
        })
    }

    fn api(&self, method: Method, what: &str, body: &Value) -> Reply {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, &format!("/calendar/v3/{what}"), &[("content-type", "application/json")], &text)
    }

    /// The answer to a read that succeeds.
    fn get(&self, what: &str) -> Value {
        let reply = self.api(Method::GET, what, &Value::Null);
        assert_eq!(reply.status.as_u16(), 200, "{what}: {}", text(&reply));
        body(&reply)
    }

    /// The answer to a write that succeeds.
    fn write(&self, method: Method, what: &str, asked: &Value) -> Value {
        let reply = self.api(method, what, asked);
        assert_eq!(reply.status.as_u16(), 200, "{what} {asked}: {}", text(&reply));
        body(&reply)
    }

    /// Status, reason and message of a refusal.
    fn refused(&self, method: Method, what: &str, asked: &Value) -> (u16, String, String) {
        let reply = self.api(method, what, asked);
        assert!(reply.status.is_client_error(), "{what} {asked}: {}", text(&reply));
        let error = body(&reply)["error"].clone();
        assert_eq!(error["code"], reply.status.as_u16());
        let own = |name: &str| error["errors"][0][name].as_str().expect(name).to_owned();
        (reply.status.as_u16(), own("reason"), own("message"))
    }

    fn insert(&self, event: &Value) -> Value {
        self.write(Method::POST, "calendars/primary/events", event)
    }

    /// All rows of a list over all its pages, and the last page.
    fn all(&self, what: &str) -> (Vec<Value>, Value) {
        let mut rows = Vec::new();
        let mut address = what.to_owned();
        loop {
            let page = self.get(&address);
            rows.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["nextPageToken"].as_str() {
                Some(token) => {
                    let sign = if what.contains('?') { '&' } else { '?' };
                    address = format!("{what}{sign}pageToken={token}");
                }
                None => return (rows, page),
            }
        }
    }
}
