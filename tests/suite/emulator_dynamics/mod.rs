//! The emulated Dynamics 365, asked through its service trait.

mod entra;
mod metadata;
mod over_http;
mod queries;
mod writes;

use http::{HeaderMap, Method, StatusCode};
use recordport::emulator::clock::Clock;
use recordport::emulator::dynamics::Dynamics;
use recordport::emulator::service::{Reply, Request, Service, ServiceConfig};
use serde_json::Value;

/// The origin that requests are sent to.
const ORIGIN: &str = "http://127.0.0.1:9";
const V: &str = "/api/data/v9.2";

struct Org {
    service: Dynamics,
    token: String,
    clock: Clock,
    _dir: tempfile::TempDir,
}

fn org_with(scale: u64, empty: bool) -> Org {
    let dir = tempfile::tempdir().expect("a private directory");
    let clock = Clock::new(Some("2026-03-04T10:00:00Z".parse().expect("a moment")));
    let config = ServiceConfig { seed: 7, scale, empty, dir: dir.path().to_owned(), clock: clock.clone() };
    let service = Dynamics::start(&config).expect("the service starts");
    let token = service.credentials()["access_token"].as_str().expect("a token").to_owned();
    Org { service, token, clock, _dir: dir }
}

fn org() -> Org {
    org_with(1, false)
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

fn rows(page: &Value) -> &Vec<Value> {
    page["value"].as_array().unwrap_or_else(|| panic!("no rows: {page}"))
}

impl Org {
    /// Sends a request; blanks and quotes in the query are encoded as a client would.
    fn send(&self, method: Method, address: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let address = address.strip_prefix(ORIGIN).unwrap_or(address);
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let mut all = HeaderMap::new();
        all.insert("authorization", format!("Bearer {}", self.token).parse().expect("a header"));
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            all.insert(name, value.parse().expect("a header"));
        }
        self.service.handle(&Request {
            method,
            path: path.to_owned(),
            query: query.replace(' ', "%20").replace('"', "%22"),
            headers: all,
            body: body.to_owned().into(),
            origin: ORIGIN.to_owned(),
            now: self.clock.now(),
        })
    }

    fn get(&self, address: &str) -> Reply {
        self.send(Method::GET, &self.whole(address), &[], "")
    }

    fn whole(&self, address: &str) -> String {
        if address.starts_with("http") { address.to_owned() } else { format!("{V}/{address}") }
    }

    fn json(&self, address: &str, prefer: &str) -> Value {
        let headers = [("prefer", prefer)];
        let headers = if prefer.is_empty() { &headers[..0] } else { &headers[..] };
        let reply = self.send(Method::GET, &self.whole(address), headers, "");
        assert_eq!(reply.status, StatusCode::OK, "{address}: {}", text(&reply));
        body(&reply)
    }

    fn state(&self, table: &str) -> Vec<Value> {
        self.service.state(table).expect("a table")
    }

    /// The code and message of a refusal.
    fn refused(&self, address: &str, status: u16) -> (String, String) {
        let reply = self.get(address);
        assert_eq!(reply.status.as_u16(), status, "{address}: {}", text(&reply));
        let error = body(&reply)["error"].clone();
        let part = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (part("code"), part("message"))
    }
}
