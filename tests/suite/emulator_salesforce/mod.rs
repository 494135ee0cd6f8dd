//! The emulated Salesforce, asked through its service trait.

mod bulk;
mod composite;
mod conformance;
mod discovery_and_query;
mod grouped_and_nested;
mod habits;
mod over_http;
mod search;
mod settings;
mod writes;

use http::{HeaderMap, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use recordport::emulator::clock::Clock;
use recordport::emulator::salesforce::Salesforce;
use recordport::emulator::service::{Reply, Request, Service, ServiceConfig};
use serde_json::Value;

struct Org {
    service: Salesforce,
    token: String,
    clock: Clock,
    _dir: tempfile::TempDir,
}

fn org_with(seed: u64, scale: u64, empty: bool) -> Org {
    let dir = tempfile::tempdir().expect("a private directory");
    let clock = Clock::new(Some("2026-03-04T10:00:00Z".parse().expect("a moment")));
    let config = ServiceConfig { seed, scale, empty, dir: dir.path().to_owned(), clock: clock.clone() };
    let service = Salesforce::start(&config).expect("the service starts");
    let token = service.credentials()["access_token"].as_str().expect("a token").to_owned();
    Org { service, token, clock, _dir: dir }
}

fn org() -> Org {
    org_with(7, 1, false)
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Org {
    fn request(&self, method: Method, address: &str, headers: &[(&str, &str)], body: &str) -> Request {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let mut all = HeaderMap::new();
        all.insert("authorization", format!("Bearer {}", self.token).parse().expect("a header"));
        for (name, value) in headers {
            all.insert(
                http::HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
                value.parse().expect("a header"),
            );
        }
        Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: all,
            body: body.to_owned().into(),
            origin: "http://127.0.0.1:9".to_owned(),
            now: self.clock.now(),
        }
    }

    fn send(&self, method: Method, address: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.service.handle(&self.request(method, address, headers, body))
    }

    fn get(&self, address: &str) -> Reply {
        self.send(Method::GET, address, &[], "")
    }

    fn get_json(&self, address: &str) -> Value {
        let reply = self.get(address);
        assert_eq!(reply.status, StatusCode::OK, "{address}: {}", text(&reply));
        body(&reply)
    }

    fn query(&self, soql: &str) -> Value {
        self.get_json(&format!("/services/data/v60.0/query?q={}", encode(soql)))
    }

    /// Code and message of a refused statement.
    fn refusal(&self, soql: &str) -> (String, String) {
        let reply = self.get(&format!("/services/data/v60.0/query?q={}", encode(soql)));
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{soql} was not refused: {}", text(&reply));
        let body = body(&reply);
        (string(&body[0]["errorCode"]), string(&body[0]["message"]))
    }

    /// The names that a condition on accounts selects, by id.
    fn ids(&self, object: &str, condition: &str) -> Vec<String> {
        let found = self.query(&format!("SELECT Id FROM {object} WHERE {condition}"));
        records(&found).iter().map(|row| string(&row["Id"])).collect()
    }

    fn write(&self, method: Method, address: &str, body: &Value) -> Reply {
        let address = format!("/services/data/v60.0{address}");
        self.send(method, &address, &[("content-type", "application/json")], &body.to_string())
    }

    fn create(&self, object: &str, fields: Value) -> String {
        let reply = self.write(Method::POST, &format!("/sobjects/{object}/"), &fields);
        assert_eq!(reply.status, StatusCode::CREATED, "{}", text(&reply));
        string(&body(&reply)["id"])
    }

    fn credentials(&self) -> Value {
        self.service.credentials()
    }

    /// The same org, asked with another token.
    fn with_token(mut self, token: String) -> Self {
        self.token = token;
        self
    }

    fn state(&self, object: &str) -> Vec<Value> {
        self.service.state(object).expect("a known type")
    }
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", text(reply)))
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text")).to_owned()
}

fn records(page: &Value) -> &Vec<Value> {
    page["records"].as_array().expect("records")
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}
