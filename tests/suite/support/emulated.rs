//! A running emulator with a client that knows its token.

use std::sync::Arc;

use http::Method;
use recordport::emulator::service::{Service, ServiceConfig};
use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::error::Result;
use serde_json::{Value, json};

use super::evidence::Watched;
use super::notes::Notes;

pub(crate) struct Emulated {
    pub(crate) emulator: Watched,
    pub(crate) client: reqwest::Client,
}

/// A client that follows no redirect and keeps answers as they come.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client")
}

impl Emulated {
    /// An emulator of [`Notes`].
    pub(crate) async fn notes() -> Self {
        Self::start(EmulatorConfig::default(), Notes::start).await
    }

    pub(crate) async fn start(
        config: EmulatorConfig,
        make: impl FnOnce(&ServiceConfig) -> Result<Vec<Arc<dyn Service>>>,
    ) -> Self {
        let emulator = Emulator::start_with(config, make).await.expect("starts").into();
        Self { emulator, client: client() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.emulator.http_url())
    }

    /// The first access token of the notes service.
    pub(crate) fn token(&self) -> String {
        self.emulator.credentials()["notes"]["access_token"].as_str().expect("a token").to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).bearer_auth(self.token()).send().await.expect("is answered")
    }

    /// A control request with its status and answer.
    pub(crate) async fn control(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let mut request = self.client.request(method, self.url(&format!("/_emulator/{path}")));
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("is answered");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, if text.is_empty() { Value::Null } else { parsed(&text) })
    }

    /// Adds a fault rule that must be accepted.
    pub(crate) async fn fault(&self, rule: Value) -> u64 {
        let (status, answer) = self.control(Method::POST, "faults", &rule).await;
        assert_eq!(status, 200, "{answer}");
        answer["id"].as_u64().expect("an id")
    }

    /// The request log.
    pub(crate) async fn requests(&self) -> Vec<Value> {
        let (_, log) = self.control(Method::GET, "requests", &Value::Null).await;
        log["requests"].as_array().expect("a list").clone()
    }

    /// The statuses answered so far, null where the connection was dropped.
    pub(crate) async fn statuses(&self) -> Value {
        self.requests().await.iter().map(|entry| entry["status"].clone()).collect()
    }

    /// Follows next links until `done`, at most `limit` pages, and gives the pages.
    pub(crate) async fn pages(&self, limit: usize) -> Vec<Value> {
        let mut pages = Vec::new();
        let mut path = "/notes".to_owned();
        while pages.len() < limit {
            let page = json_of(self.get(&path).await).await;
            let next = page["next"].as_str().map(str::to_owned);
            pages.push(page);
            match next {
                Some(next) => path = next,
                None => break,
            }
        }
        pages
    }
}

pub(crate) async fn json_of(response: reqwest::Response) -> Value {
    parsed(&response.text().await.expect("a body"))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}

/// All ids of some pages, in order.
pub(crate) fn ids(pages: &[Value]) -> Vec<u64> {
    pages
        .iter()
        .flat_map(|page| page["notes"].as_array().expect("rows"))
        .map(|note| note["id"].as_u64().expect("an id"))
        .collect()
}

/// No body.
pub(crate) fn nothing() -> Value {
    json!(null)
}
