//! The emulated Dropbox, asked through its service trait.

mod files;
mod listing;
mod sign_in;
mod uploads;

use http::{HeaderMap, Method};
use recordport::emulator::clock::Clock;
use recordport::emulator::dropbox::Dropbox;
use recordport::emulator::service::{Reply, Request, Service, ServiceConfig};
use serde_json::{Value, json};

struct Account {
    service: Dropbox,
    clock: Clock,
    token: String,
    headers: Vec<(&'static str, String)>,
    _dir: tempfile::TempDir,
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
    let service = Dropbox::start(&config);
    let token = service.credentials()["access_token"].as_str().expect("a token").to_owned();
    Account { service, clock, token, headers: Vec::new(), _dir: dir }
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

impl Account {
    fn send(
        &self,
        method: Method,
        address: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Reply {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let mut all = HeaderMap::new();
        if !self.token.is_empty() {
            all.insert("authorization", format!("Bearer {}", self.token).parse().expect("a header"));
        }
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            all.insert(name, value.parse().expect("a header"));
        }
        self.service.handle(&Request {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: all,
            body: body.into(),
            origin: "http://127.0.0.1:9".to_owned(),
            now: self.clock.now(),
        })
    }

    fn rpc(&self, route: &str, argument: &Value) -> Reply {
        let kind = [("content-type", "application/json")];
        self.send(Method::POST, &format!("/2/{route}"), &kind, argument.to_string())
    }

    /// The answer of a call that succeeds.
    fn call(&self, route: &str, argument: Value) -> Value {
        let reply = self.rpc(route, &argument);
        assert_eq!(reply.status.as_u16(), 200, "{route} {argument}: {}", text(&reply));
        assert_eq!(header(&reply, "content-type"), "application/json", "{route}");
        body(&reply)
    }

    /// The error of a call that the endpoint refuses.
    fn refused(&self, route: &str, argument: Value) -> Value {
        let reply = self.rpc(route, &argument);
        assert_eq!(reply.status.as_u16(), 409, "{route} {argument}: {}", text(&reply));
        body(&reply)["error"].clone()
    }

    /// The sentence about wrong input.
    fn wrong(&self, route: &str, argument: Value) -> String {
        let reply = self.rpc(route, &argument);
        assert_eq!(reply.status.as_u16(), 400, "{route} {argument}: {}", text(&reply));
        assert_eq!(header(&reply, "content-type"), "text/plain; charset=utf-8", "{route}");
        text(&reply)
    }

    fn upload_to(&self, route: &str, argument: &Value, content: &[u8]) -> Reply {
        let argument = argument.to_string();
        assert!(argument.is_ascii(), "the test escapes by itself");
        let headers = [("content-type", "application/octet-stream"), ("dropbox-api-arg", argument.as_str())];
        self.send(Method::POST, &format!("/2/{route}"), &headers, content.to_vec())
    }

    /// Writes a file that is written without conflict.
    fn file(&self, path: &str, content: &[u8]) -> Value {
        let reply = self.upload_to("files/upload", &json!({ "path": path }), content);
        assert_eq!(reply.status.as_u16(), 200, "{path}: {}", text(&reply));
        body(&reply)
    }

    /// The paths of all entries of a folder, over all pages, and the last cursor.
    fn listed(&self, argument: Value) -> (Vec<String>, String) {
        let mut page = self.call("files/list_folder", argument);
        let mut paths = Vec::new();
        loop {
            let entries = page["entries"].as_array().expect("entries");
            paths
                .extend(entries.iter().map(|entry| entry["path_lower"].as_str().expect("a path").to_owned()));
            let cursor = page["cursor"].as_str().expect("a cursor").to_owned();
            if page["has_more"] == false {
                return (paths, cursor);
            }
            page = self.call("files/list_folder/continue", json!({ "cursor": cursor }));
        }
    }

    /// Tag and path of what changed behind a cursor.
    fn changed(&self, cursor: &str) -> (Vec<(String, String)>, String) {
        let page = self.call("files/list_folder/continue", json!({ "cursor": cursor }));
        assert_eq!(page["has_more"], false);
        let entries = page["entries"].as_array().expect("entries").iter();
        let own = |entry: &Value, name: &str| entry[name].as_str().expect(name).to_owned();
        let changes = entries.map(|entry| (own(entry, ".tag"), own(entry, "path_display"))).collect();
        (changes, own(&page, "cursor"))
    }
}
