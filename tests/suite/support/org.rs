//! A connection to an emulated service, Salesforce unless another is named: the real provider on the real layers,
//! with tokens from a real store.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use recordport::clock::{Clock, RecordingClock};
use recordport::connect::connection::{Connection, ConnectionName, Secrets, TokenSet};
use recordport::connect::home::Home;
use recordport::connect::key::KeySettings;
use recordport::connect::sign_in::{AccessMode, GrantKind};
use recordport::connect::sqlite::{SqliteStore, StoreSettings};
use recordport::connect::store::Store as _;
use recordport::connect::token::TokenKeeper;
use recordport::emulator::service::{Service, ServiceConfig, StatePart};
use recordport::emulator::{EmulatorConfig, dropbox, dynamics, google_calendar, jira, salesforce};
use recordport::error::{Error, Result};
use recordport::http::SharedHttp;
use recordport::http::client::{Wire, WireSettings};
use recordport::layer::limit::{ConnectionLimits, LimitSettings};
use recordport::layer::retry::RetrySettings;
use recordport::layer::stack::{StackParts, http_plane};
use recordport::layer::trace::AttemptTrace;
use recordport::provider::search::{RecordsExt as _, Search};
use recordport::provider::{Context, Provider, Records};
use recordport::record::{Key, QueryDraft, RowError, TypeName};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::emulated::Emulated;

/// What an org is started with.
#[derive(Debug, Clone)]
pub(crate) struct OrgSettings {
    /// The provider, and the emulated service, which have one name.
    pub(crate) service: &'static str,
    /// Multiplies the rows.
    pub(crate) scale: u64,
    pub(crate) wire: WireSettings,
    /// Sit through waits instead of recording them.
    pub(crate) real_clock: bool,
    pub(crate) tls: bool,
    pub(crate) concurrency: usize,
    pub(crate) quota_reserve: Option<u64>,
    /// The connection's configuration.
    pub(crate) config: Value,
}

impl Default for OrgSettings {
    fn default() -> Self {
        Self {
            service: "salesforce",
            scale: 4,
            wire: WireSettings {
                // Long, because a machine that runs other tests besides may let an emulator wait.
                connect_timeout: Duration::from_secs(20),
                idle_timeout: Duration::from_secs(20),
                ..WireSettings::default()
            },
            real_clock: false,
            tls: false,
            concurrency: 16,
            quota_reserve: None,
            config: json!({}),
        }
    }
}

pub(crate) struct Org {
    pub(crate) emulated: Emulated,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) cx: Context,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) clock: Arc<RecordingClock>,
    access_token: String,
    _home: tempfile::TempDir,
}

/// What a search gave.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The own part of each key.
    pub(crate) keys: Vec<String>,
    pub(crate) records: Vec<Value>,
    /// The records' own JSON text.
    pub(crate) texts: Vec<String>,
    pub(crate) bad: Vec<RowError>,
    pub(crate) pages: usize,
    pub(crate) duplicates: u64,
    /// Cursor of the last page that came.
    pub(crate) cursor: Option<String>,
    pub(crate) error: Option<Error>,
}

impl Found {
    /// The ids, each of which must have come once.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        let ids: BTreeSet<String> = self.keys.iter().cloned().collect();
        assert_eq!(ids.len(), self.keys.len(), "a record came twice");
        ids
    }

    /// The result of a search that must have ended well.
    pub(crate) fn complete(self) -> Self {
        assert!(self.error.is_none(), "{:?}", self.error);
        self
    }

    /// The error that must have ended it.
    pub(crate) fn error(&self) -> &Error {
        self.error.as_ref().expect("the search must fail")
    }

    pub(crate) fn code(&self) -> &str {
        self.error().code().unwrap_or_default()
    }
}

impl Org {
    pub(crate) async fn new() -> Self {
        Self::with(OrgSettings::default()).await
    }

    pub(crate) async fn with(settings: OrgSettings) -> Self {
        let kept = Arc::new(OnceLock::new());
        let keep = Arc::clone(&kept);
        let config = EmulatorConfig { scale: settings.scale, ..EmulatorConfig::default() };
        let emulated = Emulated::start(config, move |config| {
            let service = start(settings.service, config)?;
            keep.set(Arc::clone(&service)).expect("once");
            Ok(vec![service])
        })
        .await;
        let service = Arc::clone(kept.get().expect("made"));
        let mut wire = settings.wire;
        let endpoint = if settings.tls {
            wire.loopback_authorities.push(emulated.emulator.ca_file().to_owned());
            emulated.emulator.https_url()
        } else {
            emulated.emulator.http_url()
        };
        let endpoint = Url::parse(&endpoint).expect("an address");
        let wire: SharedHttp = Arc::new(Wire::new(wire).expect("a wire"));
        let recording = Arc::new(RecordingClock::starting_at(Timestamp::now()));
        let clock: Arc<dyn Clock> = if settings.real_clock {
            Arc::new(recordport::clock::SystemClock)
        } else {
            Arc::<RecordingClock>::clone(&recording)
        };

        let home = tempfile::tempdir().expect("a directory");
        let credentials = emulated.emulator.credentials()[settings.service].clone();
        let text = |name: &str| credentials[name].as_str().expect(name).to_owned();
        let factory = recordport::providers::find(settings.service).expect("known");
        let sign_in = Arc::new(factory.sign_in(&settings.config, Some(&endpoint)).expect("valid"));
        let mut connection = Connection::new(
            ConnectionName::new("crm").expect("a name"),
            settings.service,
            AccessMode::ReadWrite,
            GrantKind::Code,
            clock.now(),
        );
        connection.endpoint = Some(endpoint.clone());
        connection.client_id = Some(text("client_id"));
        let keys = KeySettings {
            environment: Some(SecretString::from(format!("{}=", "A".repeat(43)))),
            next_environment: None,
            keyring: false,
        };
        let store = SqliteStore::open(
            &Home::prepare(&home.path().join("home")).expect("a home"),
            StoreSettings { keys, renewal_patience: Duration::from_secs(5) },
        )
        .await
        .expect("a store");
        let secrets =
            Secrets { client_secret: Some(SecretString::from(text("client_secret"))), ..Secrets::default() };
        let tokens = TokenSet {
            generation: 1,
            access_token: SecretString::from(text("access_token")),
            refresh_token: Some(SecretString::from(text("refresh_token"))),
            obtained: clock.now(),
            expires: None,
            bases: sign_in.base_from_token.keys().map(|role| (role.clone(), endpoint.clone())).collect(),
            scopes: None,
        };
        store.put(&connection, &secrets, Some(&tokens)).await.expect("is stored");
        let token_plane: SharedHttp = Arc::new(AttemptTrace::new(Arc::clone(&wire)));
        let keeper = TokenKeeper::new(
            Arc::new(store),
            connection,
            Arc::clone(&sign_in),
            token_plane,
            Arc::clone(&clock),
        );
        let limit = LimitSettings {
            concurrency: settings.concurrency,
            quota_reserve: settings.quota_reserve,
            ..LimitSettings::default()
        };
        let limits = Arc::new(ConnectionLimits::new(&limit, Arc::clone(&clock)));
        let http = http_plane(StackParts {
            wire,
            access: Arc::new(keeper),
            hosts: sign_in.hosts.clone(),
            dialect: factory.dialect(),
            clock: Arc::clone(&clock),
            retry: RetrySettings::default(),
            limits,
            dry_run: None,
        });
        Self {
            service,
            cx: Context { http, clock, connection: "crm".to_owned(), refresh: false, memory: None },
            provider: factory.provider(&settings.config).expect("valid"),
            clock: recording,
            access_token: text("access_token"),
            emulated,
            _home: home,
        }
    }

    pub(crate) async fn fault(&self, rule: Value) {
        self.emulated.fault(rule).await;
    }

    pub(crate) async fn open(&self, name: &str) -> Result<Arc<dyn Records>> {
        self.provider.open(&self.cx, &TypeName::new(name)).await
    }

    /// Searches to the end or to the first error, whose texts hold no token.
    pub(crate) async fn search(&self, name: &str, query: Value) -> Found {
        let mut found = Found::default();
        if let Err(error) = self.search_into(name, &query, &mut found).await {
            for text in [error.to_string(), format!("{error:?}")] {
                assert!(!text.contains(&self.access_token), "{text}");
            }
            found.error = Some(error);
        }
        found
    }

    async fn search_into(&self, name: &str, query: &Value, found: &mut Found) -> Result<()> {
        let records = self.open(name).await?;
        let draft = QueryDraft::from_json(query)?;
        let prepared = records.prepare(&self.cx, &draft, &TimeZone::UTC).await?;
        let mut search = Search::start(records, self.cx.clone(), &prepared);
        loop {
            let page = search.next_page().await;
            found.duplicates = search.duplicates();
            let Some(page) = page? else { return Ok(()) };
            found.pages += 1;
            for record in page.records {
                match record {
                    Ok(record) => {
                        found.keys.push(own_part(&record.key));
                        let text = String::from_utf8(record.json.to_vec()).expect("UTF-8");
                        found.records.push(serde_json::from_str(&text).unwrap_or(Value::Null));
                        found.texts.push(text);
                    }
                    Err(bad) => found.bad.push(bad),
                }
            }
            found.cursor = page.next.map(|cursor| cursor.to_text());
        }
    }

    /// Goes on where a search broke off, and gives the ids of both parts together.
    pub(crate) async fn resumed(&self, name: &str, mut query: Value, broken: &Found) -> BTreeSet<String> {
        query["cursor"] = json!(broken.cursor.as_ref().expect("a cursor"));
        let rest = self.search(name, query).await.complete();
        let mut ids = broken.ids();
        for id in rest.ids() {
            assert!(ids.insert(id), "a record came twice");
        }
        ids
    }

    /// The rows of a type as stored.
    pub(crate) fn service_rows(&self, name: &str) -> Vec<Value> {
        let mut rows = self.service.state(name).expect("a known type");
        rows.retain(is_there);
        rows
    }

    /// Some fields of the rows of a type as stored, which is much quicker than all of them.
    pub(crate) fn service_fields(&self, name: &str, fields: &[&str]) -> Vec<Value> {
        let fields = Some(fields.iter().map(ToString::to_string).collect());
        let part = StatePart { fields, first: None };
        let text = self.service.state_text(name, &part).expect("a known type");
        serde_json::from_slice(&text).expect("rows")
    }

    /// The ids of a type as stored.
    pub(crate) fn stored(&self, name: &str) -> BTreeSet<String> {
        let own = format!("{name}id");
        self.service_fields(name, &["Id", &own, "id", "IsDeleted", "status"])
            .iter()
            .filter(|row| row["IsDeleted"] != json!(true) && is_there(row))
            .map(|row| id_of(name, row).to_owned())
            .collect()
    }

    /// Moves the service's clock.
    pub(crate) async fn advance(&self, seconds: u64) {
        let step = json!({ "advance_seconds": seconds });
        let (status, answer) = self.emulated.control(Method::POST, "clock", &step).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// A request to the service's own controls.
    pub(crate) async fn control(&self, what: &str, body: Value) {
        let path = format!("{}/{what}", self.service.name());
        let (status, answer) = self.emulated.control(Method::POST, &path, &body).await;
        assert!(status == 200 || status == 204, "{status}: {answer}");
    }

    /// Requests that reached the service, with those whose path holds `part`.
    pub(crate) async fn received(&self, part: &str) -> Vec<Value> {
        let all = self.emulated.requests().await;
        all.into_iter()
            .filter(|entry| entry["path"].as_str().is_some_and(|path| path.contains(part)))
            .collect()
    }
}

/// The id of a stored row, which each service names in its own way.
pub(crate) fn id_of<'r>(name: &str, row: &'r Value) -> &'r str {
    let own = format!("{name}id");
    ["Id", own.as_str(), "id"].iter().find_map(|key| row[*key].as_str()).expect("an id")
}

/// The part of a key that is the record's own; what stands before it names where the record is.
pub(crate) fn own_part(key: &Key) -> String {
    key.parts().last().expect("a part").to_string()
}

/// Google keeps a trace of events that were deleted.
fn is_there(row: &Value) -> bool {
    row["status"] != "cancelled"
}

fn start(name: &str, config: &ServiceConfig) -> Result<Arc<dyn Service>> {
    Ok(match name {
        "salesforce" => Arc::new(salesforce::Salesforce::start(config)?),
        "dynamics" => Arc::new(dynamics::Dynamics::start(config)?),
        "jira" => Arc::new(jira::Jira::start(config)?),
        "google-calendar" => Arc::new(google_calendar::GoogleCalendar::start(config)?),
        "dropbox" => Arc::new(dropbox::Dropbox::start(config)),
        other => panic!("there is no emulated {other}"),
    })
}
