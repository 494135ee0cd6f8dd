//! The HTTP plane of a connection to an emulated [`Notes`](super::notes::Notes) service.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use jiff::Timestamp;
use recordport::clock::{Clock, RecordingClock};
use recordport::connect::access::{Access, AccessSource};
use recordport::connect::hosts::{HostRule, HostRules};
use recordport::emulator::EmulatorConfig;
use recordport::emulator::service::Service;
use recordport::error::{Error, ErrorKind, Result, Retry};
use recordport::http::client::{Wire, WireSettings};
use recordport::http::dialect::{Dialect, Quota};
use recordport::http::{Call, Reply, SharedHttp};
use recordport::layer::dry_run::DryRun;
use recordport::layer::limit::{ConnectionLimits, LimitSettings};
use recordport::layer::retry::RetrySettings;
use recordport::layer::stack::{StackParts, http_plane};
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::emulated::Emulated;
use super::notes::Notes;

/// How the notes service says no: `{"problem": ...}`.
#[derive(Debug)]
pub(crate) struct NotesDialect;

impl Dialect for NotesDialect {
    fn error(&self, _: &Call, reply: &Reply) -> Error {
        let problem =
            serde_json::from_slice::<Value>(&reply.body).ok().map(|body| body["problem"].to_string());
        let (kind, retry) = match reply.status {
            StatusCode::UNAUTHORIZED => (ErrorKind::Unauthorized, Retry::Never),
            StatusCode::TOO_MANY_REQUESTS => (ErrorKind::RateLimited, Retry::Always),
            status if status.is_server_error() => (ErrorKind::Unavailable, Retry::IfIdempotent),
            status if status.is_success() => (ErrorKind::Protocol, Retry::Never),
            _ => (ErrorKind::Refused, Retry::Never),
        };
        let error = Error::new(kind, "the notes service refuses").with_retry(retry);
        match problem {
            Some(problem) => error.with_provider_message(problem),
            None => error,
        }
    }

    fn is_genuine(&self, _: &Call, reply: &Reply) -> bool {
        !reply.header("content-type").unwrap_or_default().starts_with("text/html")
    }

    fn wants_fresh_token(&self, error: &Error) -> bool {
        error.status() == Some(401)
    }

    fn quota(&self, reply: &Reply) -> Quota {
        let number = |name| reply.header(name).and_then(|text| text.parse().ok());
        Quota { used: number("x-used"), allowed: number("x-allowed"), pause: None }
    }
}

/// Tokens straight from the service's own grants.
#[derive(Debug)]
pub(crate) struct NotesAccess {
    service: Arc<dyn Service>,
    base: Url,
    present: Mutex<(u64, String)>,
    /// How often a token was asked for.
    pub(crate) asked: AtomicU64,
    /// How often it was renewed.
    pub(crate) renewed: AtomicU64,
}

impl NotesAccess {
    /// Takes another token in place of the present one.
    pub(crate) async fn replace_token(&self, token: &str) {
        self.present.lock().await.1 = token.to_owned();
    }
}

#[async_trait]
impl AccessSource for NotesAccess {
    async fn access(&self, rejected: Option<u64>) -> Result<Access> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut present = self.present.lock().await;
        if rejected == Some(present.0) {
            self.renewed.fetch_add(1, Ordering::SeqCst);
            let grants = self.service.grants().expect("grants");
            let scopes = vec!["notes".to_owned()];
            let issued = grants.issue("notes-client", "ada", scopes, true, Timestamp::now());
            *present = (present.0 + 1, issued.access_token);
        }
        Ok(Access {
            generation: present.0,
            authorization: SecretString::from(format!("Bearer {}", present.1)),
            bases: BTreeMap::from([("api".to_owned(), self.base.clone())]),
        })
    }
}

/// What a plane is tuned with.
#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    pub(crate) wire: WireSettings,
    pub(crate) retry: RetrySettings,
    pub(crate) limit: LimitSettings,
    pub(crate) dry_run: Option<DryRun>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) tls: bool,
}

impl Default for Tuning {
    /// Short time-outs, so that a test waits little.
    fn default() -> Self {
        Self {
            wire: WireSettings {
                connect_timeout: Duration::from_millis(300),
                idle_timeout: Duration::from_millis(300),
                ..WireSettings::default()
            },
            retry: RetrySettings::default(),
            limit: LimitSettings::default(),
            dry_run: None,
            clock: None,
            tls: false,
        }
    }
}

/// An emulated service and a connection's plane to it.
pub(crate) struct Plane {
    pub(crate) emulated: Emulated,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) http: SharedHttp,
    pub(crate) access: Arc<NotesAccess>,
    pub(crate) clock: Arc<RecordingClock>,
    pub(crate) limits: Arc<ConnectionLimits>,
}

impl Plane {
    /// With a clock that records waits and does not sit through them.
    pub(crate) async fn new() -> Self {
        Self::tuned(|_| {}).await
    }

    pub(crate) async fn tuned(tune: impl FnOnce(&mut Tuning)) -> Self {
        let kept = Arc::new(OnceLock::new());
        let keep = Arc::clone(&kept);
        let emulated = Emulated::start(EmulatorConfig::default(), move |config| {
            let services = Notes::start(config)?;
            keep.set(Arc::clone(&services[0])).expect("once");
            Ok(services)
        })
        .await;
        let service = Arc::clone(kept.get().expect("made"));
        let mut tuning = Tuning::default();
        tune(&mut tuning);
        let base = if tuning.tls {
            tuning.wire.loopback_authorities.push(emulated.emulator.ca_file().to_owned());
            emulated.emulator.https_url()
        } else {
            emulated.emulator.http_url()
        };
        let base = Url::parse(&base).expect("an address");
        let hosts = HostRules(vec![HostRule::Origin(base.origin().ascii_serialization())]);
        let access = Arc::new(NotesAccess {
            service: Arc::clone(&service),
            base,
            present: Mutex::new((1, emulated.token())),
            asked: AtomicU64::new(0),
            renewed: AtomicU64::new(0),
        });
        let recording = Arc::new(RecordingClock::starting_at(Timestamp::now()));
        let clock = tuning.clock.unwrap_or_else(|| Arc::<RecordingClock>::clone(&recording));
        let limits = Arc::new(ConnectionLimits::new(&tuning.limit, Arc::clone(&clock)));
        let http = http_plane(StackParts {
            wire: Arc::new(Wire::new(tuning.wire).expect("a wire")),
            access: Arc::<NotesAccess>::clone(&access),
            hosts,
            dialect: Arc::new(NotesDialect),
            clock,
            retry: tuning.retry,
            limits: Arc::clone(&limits),
            dry_run: tuning.dry_run,
        });
        Self { emulated, service, http, access, clock: recording, limits }
    }

    pub(crate) async fn fault(&self, rule: Value) {
        self.emulated.fault(rule).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply> {
        self.http.send(Call::get("search", "api", path)).await
    }

    /// The error of a call that must fail, after looking that no text of it holds the token.
    pub(crate) async fn refused(&self, call: Call) -> Error {
        let error = self.http.send(call).await.expect_err("must fail");
        let token = self.access.present.lock().await.1.clone();
        for text in [error.to_string(), format!("{error:?}"), serde_json::to_string(&error).expect("json")] {
            assert!(!text.contains(token.trim()), "{text}");
        }
        error
    }

    /// Requests that reached the service so far.
    pub(crate) async fn received(&self) -> Vec<Value> {
        self.emulated.requests().await
    }

    pub(crate) async fn count(&self) -> usize {
        self.received().await.len()
    }
}
