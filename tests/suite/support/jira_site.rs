//! A connection to an emulated Jira site, and what others do there.

use http::Method;
use recordport::emulator::EmulatorConfig;
use serde_json::{Value, json};

use super::emulated::{client, json_of};
use super::wired_org::Connected;

pub(crate) struct Site {
    pub(crate) org: Connected,
    email: String,
    api_token: String,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(EmulatorConfig::default(), json!({ "email": "" })).await
    }

    /// A site with a configuration of the connection.
    pub(crate) async fn with(emulator: EmulatorConfig, config: Value) -> Self {
        let start_at = Some("2026-03-04T10:00:00Z".parse().expect("a moment"));
        let org = Connected::configured("jira", EmulatorConfig { start_at, ..emulator }, config).await;
        let credentials = org.emulator.credentials()["jira"].clone();
        let secret = |name: &str| credentials[name].as_str().expect("a credential").to_owned();
        let (email, api_token) = (secret("email"), secret("api_token"));
        Self { org, email, api_token }
    }

    /// A request of somebody else, which succeeds.
    pub(crate) async fn send(&self, method: Method, what: &str, body: Value) -> Value {
        let address = format!("{}/rest/api/3/{what}", self.org.emulator.http_url());
        let mut request = client().request(method, address).basic_auth(&self.email, Some(&self.api_token));
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.expect("is answered");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{what}: {status} {text}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") }
    }

    /// Creates a bug in the first project and gives its key.
    pub(crate) async fn bug(&self, more: Value) -> String {
        let mut fields = json!({
            "project": { "key": "OPS" },
            "issuetype": { "name": "Bug" },
            "summary": "Printer on fire",
            "customfield_10020": { "value": "Major" },
        });
        for (name, value) in more.as_object().expect("an object") {
            fields[name] = value.clone();
        }
        let made = self.send(Method::POST, "issue", json!({ "fields": fields })).await;
        made["key"].as_str().expect("a key").to_owned()
    }

    async fn control(&self, method: Method, what: &str, body: Value) -> Value {
        let address = format!("{}/_emulator/{what}", self.org.emulator.http_url());
        let mut request = client().request(method, address);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("is answered");
        assert!(response.status().is_success(), "{what}: {}", response.status());
        if response.status() == 204 { Value::Null } else { json_of(response).await }
    }

    pub(crate) async fn advance(&self, seconds: u64) {
        self.control(Method::POST, "clock", json!({ "advance_seconds": seconds })).await;
    }

    pub(crate) async fn fault(&self, rule: Value) {
        self.control(Method::POST, "faults", rule).await;
    }

    /// Searches know of changes only so much later.
    pub(crate) async fn lag(&self, seconds: u64) {
        self.control(Method::POST, "jira/index", json!({ "lag_seconds": seconds })).await;
    }

    /// The bodies of all searches so far.
    pub(crate) async fn asked(&self) -> Vec<Value> {
        let log = self.control(Method::GET, "requests", Value::Null).await;
        let entries = log["requests"].as_array().expect("a list");
        let searches = entries
            .iter()
            .filter(|entry| entry["path"].as_str().is_some_and(|path| path.ends_with("/search/jql")));
        searches
            .map(|entry| serde_json::from_str(entry["body"].as_str().expect("a body")).expect("JSON"))
            .collect()
    }

    /// The issues as the service stores them.
    pub(crate) async fn rows(&self) -> Vec<Value> {
        serde_json::from_str(&self.org.state("issue").await).expect("rows")
    }

    /// The keys of all issues.
    pub(crate) async fn stored(&self) -> Vec<String> {
        let key = |row: &Value| row["key"].as_str().expect("a key").to_owned();
        self.rows().await.iter().map(key).collect()
    }
}
