//! A real provider on the real HTTP plane, with one token, against an emulator of its own.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use recordport::clock::SystemClock;
use recordport::connect::access::{Access, AccessSource};
use recordport::emulator::{Emulator, EmulatorConfig};
use recordport::error::Result;
use recordport::http::client::{Wire, WireSettings};
use recordport::layer::limit::{ConnectionLimits, LimitSettings};
use recordport::layer::retry::RetrySettings;
use recordport::layer::stack::{StackParts, http_plane};
use recordport::provider::{Context, Provider, Records};
use recordport::record::TypeName;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use super::evidence::Watched;

/// One token that is never renewed.
#[derive(Debug)]
struct Token(Access);

#[async_trait]
impl AccessSource for Token {
    async fn access(&self, _: Option<u64>) -> Result<Access> {
        Ok(self.0.clone())
    }
}

pub(crate) struct Connected {
    pub(crate) emulator: Watched,
    pub(crate) cx: Context,
    pub(crate) provider: Arc<dyn Provider>,
    service: &'static str,
}

impl Connected {
    pub(crate) async fn start(config: EmulatorConfig) -> Self {
        Self::to("salesforce", config).await
    }

    /// Connected to another service.
    pub(crate) async fn to(service: &'static str, config: EmulatorConfig) -> Self {
        Self::configured(service, config, Value::Null).await
    }

    /// Connected to another service, with a configuration of the connection. One with an e-mail address signs in
    /// with the API token, which never ends.
    pub(crate) async fn configured(service: &'static str, emulator: EmulatorConfig, config: Value) -> Self {
        Self::on(service, Watched::from(Emulator::start(emulator).await.expect("starts")), config)
    }

    /// Connected to a service of an emulator that runs already.
    pub(crate) fn on(service: &'static str, emulator: Watched, mut config: Value) -> Self {
        let base = Url::parse(&emulator.http_url()).expect("an address");
        let factory = recordport::providers::find(service).expect("known");
        let credentials = emulator.credentials()[service].clone();
        let secret = |name: &str| credentials[name].as_str().expect("a credential").to_owned();
        let authorization = if config.get("email").is_some() {
            config["email"] = Value::from(secret("email"));
            let pair = format!("{}:{}", secret("email"), secret("api_token"));
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        } else {
            format!("Bearer {}", secret("access_token"))
        };
        let sign_in = factory.sign_in(&config, Some(&base)).expect("a sign-in");
        let access = Access {
            generation: 1,
            authorization: SecretString::from(authorization),
            bases: ["api", "content", "login", "notify", "site"]
                .map(|role| (role.to_owned(), base.clone()))
                .into(),
        };
        let clock = Arc::new(SystemClock);
        let http = http_plane(StackParts {
            wire: Arc::new(Wire::new(WireSettings::default()).expect("a wire")),
            access: Arc::new(Token(access)),
            hosts: sign_in.hosts,
            dialect: factory.dialect(),
            clock: Arc::<SystemClock>::clone(&clock),
            retry: RetrySettings::default(),
            limits: Arc::new(ConnectionLimits::new(
                &LimitSettings::default(),
                Arc::<SystemClock>::clone(&clock),
            )),
            dry_run: None,
        });
        let provider = factory.provider(&config).expect("a provider");
        let cx = Context { http, clock, connection: "org".to_owned(), refresh: false, memory: None };
        Self { emulator, cx, provider, service }
    }

    pub(crate) async fn open(&self, name: &str) -> Arc<dyn Records> {
        self.provider.open(&self.cx, &TypeName::new(name)).await.expect("opens")
    }

    /// The rows of a type as stored.
    pub(crate) async fn state(&self, name: &str) -> String {
        let address = format!("{}/_emulator/state/{}/{name}", self.emulator.http_url(), self.service);
        let answer = super::emulated::client().get(address).send().await.expect("is answered");
        answer.text().await.expect("a body")
    }
}
