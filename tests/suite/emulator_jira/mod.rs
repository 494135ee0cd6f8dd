//! The emulated Jira Cloud, asked through its service trait.

mod conformance;
mod metadata;
mod queries;
mod sign_in;
mod writes;

use base64::Engine as _;
use http::{HeaderMap, Method};
use recordport::emulator::clock::Clock;
use recordport::emulator::jira::Jira;
use recordport::emulator::service::{Reply, Request, Service, ServiceConfig};
use serde_json::{Value, json};

const ORIGIN: &str = "http://127.0.0.1:9";

use crate::jira_openapi::{Conforming, Judged};

/// Every answer is judged by the service's OpenAPI document, whatever a test is about.
struct Site {
    service: Conforming,
    clock: Clock,
    authorization: String,
    _dir: tempfile::TempDir,
}

fn site() -> Site {
    let dir = tempfile::tempdir().expect("a private directory");
    let clock = Clock::new(Some("2026-03-04T10:00:00Z".parse().expect("a moment")));
    let config =
        ServiceConfig { seed: 7, scale: 1, empty: false, dir: dir.path().to_owned(), clock: clock.clone() };
    let service = Conforming::new(Jira::start(&config).expect("the service starts"), Judged::Answers);
    let credentials = service.credentials();
    let text = |name: &str| credentials[name].as_str().expect(name).to_owned();
    let authorization = basic(&text("email"), &text("api_token"));
    Site { service, clock, authorization, _dir: dir }
}

fn basic(email: &str, token: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{email}:{token}")))
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

/// A document of one line.
fn document(text: &str) -> Value {
    json!({ "type": "doc", "version": 1, "content": [
        { "type": "paragraph", "content": [{ "type": "text", "text": text }] }] })
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.service.report().assert_conforms();
        }
    }
}

impl Site {
    fn send(&self, method: Method, address: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let mut all = HeaderMap::new();
        if !self.authorization.is_empty() {
            all.insert("authorization", self.authorization.parse().expect("a header"));
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
            origin: ORIGIN.to_owned(),
            now: self.clock.now(),
        })
    }

    fn get(&self, what: &str) -> Reply {
        self.send(Method::GET, &format!("/rest/api/3/{what}"), &[], "")
    }

    /// The body of a GET that succeeds.
    fn json(&self, what: &str) -> Value {
        let reply = self.get(what);
        assert_eq!(reply.status.as_u16(), 200, "{what}: {}", text(&reply));
        body(&reply)
    }

    fn write(&self, method: Method, what: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json")];
        self.send(method, &format!("/rest/api/3/{what}"), &headers, &body.to_string())
    }

    fn search(&self, asked: &Value) -> Reply {
        self.write(Method::POST, "search/jql", asked)
    }

    /// The keys that a query finds.
    fn keys(&self, jql: &str) -> Vec<String> {
        let reply = self.search(&json!({ "jql": jql, "maxResults": 5000, "fields": ["key"] }));
        assert_eq!(reply.status.as_u16(), 200, "{jql}: {}", text(&reply));
        let found = body(&reply);
        let rows = found["issues"].as_array().expect("issues");
        rows.iter().map(|row| row["key"].as_str().expect("a key").to_owned()).collect()
    }

    /// Why a query is refused.
    fn refused(&self, jql: &str) -> String {
        let reply = self.search(&json!({ "jql": jql }));
        assert_eq!(reply.status.as_u16(), 400, "{jql}: {}", text(&reply));
        body(&reply)["errorMessages"][0].as_str().expect("a message").to_owned()
    }

    /// Creates a bug in the first project and gives its key.
    fn bug(&self, more: Value) -> String {
        let reply = self.write(Method::POST, "issue", &json!({ "fields": bug(more) }));
        assert_eq!(reply.status.as_u16(), 201, "{}", text(&reply));
        body(&reply)["key"].as_str().expect("a key").to_owned()
    }

    fn field(&self, key: &str, field: &str) -> Value {
        self.json(&format!("issue/{key}?fields={field}"))["fields"][field].clone()
    }
}

/// The fields of a bug, with more of them.
fn bug(more: Value) -> Value {
    let mut fields = json!({
        "project": { "key": "OPS" },
        "issuetype": { "name": "Bug" },
        "summary": "Printer on fire",
        "customfield_10020": { "value": "Major" },
    });
    for (name, value) in more.as_object().expect("an object") {
        fields[name] = value.clone();
    }
    fields
}
