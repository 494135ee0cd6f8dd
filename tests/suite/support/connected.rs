//! A connection to the emulated Salesforce: home, store and keeper, in this process and in others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use recordport::clock::{Clock, SystemClock};
use recordport::connect::connection::{Connection, ConnectionName, Secrets, TokenSet};
use recordport::connect::home::Home;
use recordport::connect::key::KeySettings;
use recordport::connect::oauth::OAuthClient;
use recordport::connect::sign_in::{AccessMode, GrantKind, SignIn};
use recordport::connect::sqlite::{SqliteStore, StoreSettings};
use recordport::connect::store::Store as _;
use recordport::connect::token::TokenKeeper;
use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::http::SharedHttp;
use recordport::http::client::{Wire, WireSettings};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::emulated::{client, json_of};
use super::evidence::Watched;

/// Settings that never touch this machine's keyring.
pub(crate) fn settings() -> StoreSettings {
    StoreSettings { keys: KeySettings::default(), renewal_patience: Duration::from_secs(30) }
}

pub(crate) fn keyed(key: &[u8; 32]) -> StoreSettings {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(key);
    let keys = KeySettings { environment: Some(SecretString::from(text)), ..KeySettings::default() };
    StoreSettings { keys, ..settings() }
}

pub(crate) async fn open(home: &Path) -> SqliteStore {
    SqliteStore::open(&Home::prepare(home).expect("a home"), settings()).await.expect("a store")
}

pub(crate) fn name(text: &str) -> ConnectionName {
    ConnectionName::new(text).expect("a name")
}

pub(crate) fn wire() -> SharedHttp {
    Arc::new(Wire::new(WireSettings::default()).expect("a wire"))
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// How Salesforce's users sign in at an emulator.
pub(crate) fn sign_in(endpoint: &str) -> Arc<SignIn> {
    let endpoint = Url::parse(endpoint).expect("an address");
    let factory = recordport::providers::find("salesforce").expect("a provider");
    Arc::new(factory.sign_in(&json!({}), Some(&endpoint)).expect("a sign-in"))
}

/// Tokens that nobody issued.
pub(crate) fn made_up(access: &str, refresh: Option<&str>) -> TokenSet {
    TokenSet {
        generation: 0,
        access_token: SecretString::from(access),
        refresh_token: refresh.map(SecretString::from),
        obtained: Timestamp::now(),
        expires: None,
        bases: BTreeMap::new(),
        scopes: None,
    }
}

pub(crate) fn connection(text: &str, grant: GrantKind) -> Connection {
    Connection::new(name(text), "salesforce", AccessMode::ReadWrite, grant, Timestamp::now())
}

/// An emulator, a home, and in it the connection `demo` with the emulator's first tokens.
pub(crate) struct Connected {
    pub(crate) emulator: Watched,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) connection: Connection,
    pub(crate) store: SqliteStore,
    pub(crate) client: reqwest::Client,
}

impl Connected {
    pub(crate) async fn start() -> Self {
        Self::with(GrantKind::Code).await
    }

    pub(crate) async fn with(grant: GrantKind) -> Self {
        let emulator = Watched::from(Emulator::start(EmulatorConfig::default()).await.expect("starts"));
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(&dir.path().join("home")).await;
        let mut this = Self { connection: connection("demo", grant), emulator, dir, store, client: client() };
        this.connection.endpoint = Some(Url::parse(&this.emulator.http_url()).expect("an address"));
        this.connection.client_id = Some(this.credential("client_id"));
        this.connection.username = Some(this.credential("username"));
        let tokens = match grant {
            GrantKind::Code => {
                Some(made_up(&this.credential("access_token"), Some(&this.credential("refresh_token"))))
            }
            GrantKind::Token => Some(made_up(&this.credential("access_token"), None)),
            _ => None,
        };
        this.store.put(&this.connection, &this.secrets(), tokens.as_ref()).await.expect("is stored");
        this
    }

    pub(crate) fn secrets(&self) -> Secrets {
        let key = std::fs::read_to_string(self.credential("private_key_file")).expect("a key");
        Secrets {
            client_secret: Some(SecretString::from(self.credential("client_secret"))),
            private_key: Some(SecretString::from(key)),
            password: None,
        }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn credential(&self, name: &str) -> String {
        self.emulator.credentials()["salesforce"][name].as_str().expect("a credential").to_owned()
    }

    pub(crate) fn oauth(&self) -> OAuthClient {
        OAuthClient::new(
            sign_in(&self.emulator.http_url()),
            wire(),
            clock(),
            self.credential("client_id"),
            Some(SecretString::from(self.credential("client_secret"))),
        )
    }

    pub(crate) fn keeper(&self) -> Arc<TokenKeeper> {
        self.keeper_on(Arc::new(self.store.clone()))
    }

    pub(crate) fn keeper_on(&self, store: Arc<dyn recordport::connect::store::Store>) -> Arc<TokenKeeper> {
        let sign_in = sign_in(&self.emulator.http_url());
        Arc::new(TokenKeeper::new(store, self.connection.clone(), sign_in, wire(), clock()))
    }

    pub(crate) async fn control(&self, method: http::Method, path: &str, body: Value) -> Value {
        let url = format!("{}/_emulator/{path}", self.emulator.http_url());
        let mut request = self.client.request(method, url);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("is answered");
        assert_eq!(response.status().as_u16(), 200);
        json_of(response).await
    }

    pub(crate) async fn fault(&self, rule: Value) {
        self.control(http::Method::POST, "faults", rule).await;
    }

    pub(crate) async fn change_client(&self, change: Value) {
        let mut all = json!({ "service": "salesforce", "client_id": self.credential("client_id") });
        all.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        self.control(http::Method::POST, "oauth/clients", all).await;
    }

    pub(crate) async fn change_user(&self, change: Value) {
        let mut all = json!({ "service": "salesforce", "username": self.credential("username") });
        all.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        self.control(http::Method::POST, "oauth/users", all).await;
    }

    /// What reached the token endpoint, oldest first.
    pub(crate) async fn token_requests(&self) -> Vec<Value> {
        self.requests("/services/oauth2/token").await
    }

    pub(crate) async fn requests(&self, path: &str) -> Vec<Value> {
        let log = self.control(http::Method::GET, "requests", Value::Null).await;
        let all = log["requests"].as_array().expect("a list");
        all.iter().filter(|entry| entry["path"] == path).cloned().collect()
    }

    pub(crate) async fn forget_requests(&self) {
        self.control(http::Method::DELETE, "requests", Value::Null).await;
    }

    /// Whether the emulated data API lets a token in.
    pub(crate) async fn accepts(&self, authorization: &str) -> bool {
        let url = format!("{}/services/data/v60.0/limits", self.emulator.http_url());
        let sent = self.client.get(url).header("authorization", authorization).send().await;
        sent.expect("is answered").status().is_success()
    }

    /// A process that plays a role of [`crate::connect_process`] on this home.
    pub(crate) fn command(&self, role: &str) -> Command {
        let mut command = process(role, &self.home());
        command.env("CONNECT_ROLE_ENDPOINT", self.emulator.http_url());
        command
    }
}

/// This test binary, run again to play one role.
pub(crate) fn process(role: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args(["--exact", "connect_process::plays_its_role", "--ignored", "--nocapture"])
        .env("CONNECT_ROLE", role)
        .env("CONNECT_ROLE_HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}
