//! Everything of one home put together: store, providers, HTTP planes. Faces ask a [`Workspace`] for a
//! connection and get what they can work with.

pub mod feeds;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use url::Url;

use self::feeds::FeedFile;
use crate::clock::{Clock, SystemClock};
use crate::connect::connection::{Connection, ConnectionName};
use crate::connect::home::Home;
use crate::connect::sign_in::{AccessMode, SignIn};
use crate::connect::sqlite::{SqliteStore, StoreSettings};
use crate::connect::store::Store;
use crate::connect::token::TokenKeeper;
use crate::error::{Error, Result};
use crate::http::SharedHttp;
use crate::http::client::{Wire, WireSettings};
use crate::layer::check::Checked;
use crate::layer::dry_run::DryRun;
use crate::layer::limit::{ConnectionLimits, LimitSettings};
use crate::layer::read_only::{self, ReadOnlyLayer};
use crate::layer::retry::RetrySettings;
use crate::layer::stack::{StackParts, http_plane};
use crate::layer::trace::AttemptTrace;
use crate::mapping::{Side, Sides};
use crate::provider::{Context, Provider, ProviderFactory, Records};
use crate::record::TypeName;
use crate::record::nearest::nearest;

/// Names further authorities (a PEM file) that are trusted for addresses on this machine, such as the
/// emulator's.
pub const LOOPBACK_CA: &str = "RECORDPORT_LOOPBACK_CA";

/// One home with all that is needed to use its connections.
#[derive(Debug, Clone)]
pub struct Workspace {
    home: Home,
    store: Arc<dyn Store>,
    feeds: FeedFile,
    wire: SharedHttp,
    clock: Arc<dyn Clock>,
    /// What all planes of one connection share, by the connection's id.
    limits: Arc<Mutex<HashMap<String, Arc<ConnectionLimits>>>>,
}

/// How a connection is going to be used.
#[derive(Debug, Clone, Default)]
pub struct Use {
    /// Pass by what is cached.
    pub refresh: bool,
    /// Record writes here instead of sending them.
    pub dry_run: Option<DryRun>,
}

/// A connection ready for use.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The connection as stored.
    pub description: Connection,
    /// How its users sign in.
    pub sign_in: Arc<SignIn>,
    /// Its tokens.
    pub tokens: Arc<TokenKeeper>,
    /// The provider, configured.
    pub provider: Arc<dyn Provider>,
    /// What operations run with.
    pub context: Context,
    /// What all planes of the connection share: budget of repetitions, rate, pause, quota.
    pub limits: Arc<ConnectionLimits>,
}

impl Workspace {
    /// Opens a home, or makes it: private from its first instant.
    ///
    /// # Errors
    /// Local with the remedy, when the directory or the store cannot be used.
    pub async fn open(home: &Path) -> Result<Self> {
        Self::open_with(home, StoreSettings::from_environment()).await
    }

    /// Opens a home with other settings of its store.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(home: &Path, settings: StoreSettings) -> Result<Self> {
        let home = Home::prepare(home)?;
        let store = Arc::new(SqliteStore::open(&home, settings).await?);
        let loopback_authorities = std::env::var_os(LOOPBACK_CA).map(PathBuf::from).into_iter().collect();
        let wire = Arc::new(Wire::new(WireSettings { loopback_authorities, ..WireSettings::default() })?);
        let feeds = FeedFile::of(&home);
        Ok(Self { home, store, feeds, wire, clock: Arc::new(SystemClock), limits: Arc::default() })
    }

    /// Where state lives unless said otherwise: the platform's directory for applications' data.
    ///
    /// # Errors
    /// Local, when the environment names no such directory.
    pub fn default_home() -> Result<PathBuf> {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = if cfg!(windows) {
            variable("LOCALAPPDATA").or_else(|| variable("APPDATA"))
        } else if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            // The XDG base directory specification: a relative path is to be ignored.
            variable("XDG_DATA_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        };
        base.map(|base| base.join("recordport")).ok_or_else(|| {
            Error::local("the environment does not say where data of applications lives")
                .with_advice("Give a directory with --home or RECORDPORT_HOME")
        })
    }

    /// The home.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What feeds of changes know beyond their checkpoints.
    #[must_use]
    pub fn feeds(&self) -> &FeedFile {
        &self.feeds
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The wire alone, without any connection's token.
    #[must_use]
    pub fn wire(&self) -> &SharedHttp {
        &self.wire
    }

    /// The plane for token requests: no authorisation and no repetition of its own.
    #[must_use]
    pub fn token_plane(&self) -> SharedHttp {
        Arc::new(AttemptTrace::new(Arc::clone(&self.wire)))
    }

    /// A connection by name, as stored.
    ///
    /// # Errors
    /// `NotFound` with the nearest name.
    pub async fn describe(&self, name: &str) -> Result<Connection> {
        let wanted = ConnectionName::new(name)?;
        match self.store.connection(&wanted).await {
            Err(error) if error.kind() == crate::error::ErrorKind::NotFound => {
                let known = self.store.connections().await?;
                let names: Vec<&str> = known.iter().map(|connection| connection.name.as_str()).collect();
                Err(match nearest(name, names.iter().copied()) {
                    Some(near) => Error::new(error.kind(), error.message().to_owned())
                        .with_advice(format!("Did you mean {near}?")),
                    None if names.is_empty() => Error::new(error.kind(), error.message().to_owned())
                        .with_advice("There is none yet: recordport connect PROVIDER NAME"),
                    None => error,
                })
            }
            other => other,
        }
    }

    /// A connection by name, ready for use. Nothing is sent.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; local, when store or key fail.
    pub async fn connection(&self, name: &str, how: Use) -> Result<Connected> {
        let description = self.describe(name).await?;
        self.ready(description, how)
    }

    /// Makes a stored connection ready for use. Nothing is sent.
    ///
    /// # Errors
    /// Invalid, when its configuration does not fit its provider any more.
    pub fn ready(&self, description: Connection, how: Use) -> Result<Connected> {
        let factory = crate::providers::find(&description.provider)?;
        let sign_in = Arc::new(factory.sign_in(&description.config, description.endpoint.as_ref())?);
        let provider = factory.provider(&description.config)?;
        let tokens = Arc::new(TokenKeeper::new(
            Arc::clone(&self.store),
            description.clone(),
            Arc::clone(&sign_in),
            self.token_plane(),
            Arc::clone(&self.clock),
        ));
        let limits = self.limits_of(&description, factory)?;
        let http = http_plane(StackParts {
            wire: Arc::clone(&self.wire),
            access: Arc::<TokenKeeper>::clone(&tokens),
            hosts: sign_in.hosts.clone(),
            dialect: factory.dialect(),
            clock: Arc::clone(&self.clock),
            retry: RetrySettings::default(),
            limits: Arc::clone(&limits),
            dry_run: how.dry_run,
        });
        let http: SharedHttp = match description.access {
            AccessMode::ReadOnly => Arc::new(ReadOnlyLayer::new(http)),
            AccessMode::ReadWrite => http,
        };
        let context = Context {
            http,
            clock: Arc::clone(&self.clock),
            connection: description.name.to_string(),
            refresh: how.refresh,
            memory: Some(self.feeds.memory_of(&description.id)),
        };
        Ok(Connected { description, sign_in, tokens, provider, context, limits })
    }

    /// The limits of a connection: one for all of its planes, however often it is made ready.
    fn limits_of(
        &self,
        connection: &Connection,
        factory: &dyn ProviderFactory,
    ) -> Result<Arc<ConnectionLimits>> {
        let quota_reserve = factory.quota_reserve(&connection.config)?;
        let mut known = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = known.entry(connection.id.clone()).or_insert_with(|| {
            let settings = LimitSettings { quota_reserve, ..LimitSettings::default() };
            Arc::new(ConnectionLimits::new(&settings, Arc::clone(&self.clock)))
        });
        Ok(Arc::clone(limits))
    }
}

#[async_trait]
impl Sides for Workspace {
    async fn side(&self, connection: &str, record_type: &str) -> Result<Side> {
        let connected = self.connection(connection, Use::default()).await?;
        let records = connected.open(record_type).await?;
        Ok(Side { records, cx: connected.context })
    }
}

impl Connected {
    /// Refuses a read-only connection before any work is done for a write.
    ///
    /// # Errors
    /// Unsupported, when the connection is read-only.
    pub fn check_may_write(&self) -> Result<()> {
        match self.description.access {
            AccessMode::ReadWrite => Ok(()),
            AccessMode::ReadOnly => Err(read_only::refused().with_connection(self.description.name.as_str())),
        }
    }

    /// The records of a type, with every check that comes before the wire.
    ///
    /// # Errors
    /// `NotFound` with the nearest names when there is no such type.
    pub async fn open(&self, name: &str) -> Result<Arc<dyn Records>> {
        let records = self.provider.open(&self.context, &TypeName::new(name)).await?;
        Ok(Arc::new(Checked::new(records, self.description.access)))
    }
}

/// A provider's configuration from `NAME=VALUE` pairs, typed by its schema.
///
/// # Errors
/// Invalid for a name that the schema does not have, with the nearest, and for a value of another type.
pub fn configuration(factory: &dyn ProviderFactory, settings: &[(String, String)]) -> Result<Json> {
    let schema = factory.config_schema();
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let provider = factory.info().name;
    let mut config = Map::new();
    for (name, text) in settings {
        let Some(property) = properties.get(name) else {
            let error = Error::invalid(format!("{provider} has no setting {name:?}")).with_provider(provider);
            return Err(match nearest(name, properties.keys().map(String::as_str)) {
                Some(near) => error.with_advice(format!("Did you mean {near}?")),
                None => error.with_advice(format!("`recordport providers {provider}` lists the settings")),
            });
        };
        let takes = |wanted: &str| match &property["type"] {
            Json::String(found) => found == wanted,
            Json::Array(found) => found.iter().any(|found| found == wanted),
            _ => false,
        };
        let wrong = |form: &str| {
            Error::invalid(format!("the setting {name} takes {form}, not {text:?}")).with_provider(provider)
        };
        let value = if takes("boolean") {
            match text.as_str() {
                "true" | "yes" => Json::Bool(true),
                "false" | "no" => Json::Bool(false),
                _ => return Err(wrong("true or false")),
            }
        } else if takes("integer") || takes("number") {
            serde_json::from_str(text).ok().filter(Json::is_number).ok_or_else(|| wrong("a number"))?
        } else if takes("array") {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
        } else {
            Json::String(text.clone())
        };
        if config.insert(name.clone(), value).is_some() {
            return Err(Error::invalid(format!("the setting {name} stands twice")).with_provider(provider));
        }
    }
    Ok(Json::Object(config))
}

/// An address that may stand in for a provider's own: https, or http on this machine, without user info, query
/// and fragment.
///
/// # Errors
/// Invalid, with what is wrong.
pub fn check_endpoint(endpoint: &Url) -> Result<()> {
    let wrong = |why: &str| Err(Error::invalid(format!("the endpoint cannot be used: {why}")));
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return wrong("it carries a user name or password");
    }
    if endpoint.query().is_some() || endpoint.fragment().is_some() {
        return wrong("it has a query or fragment");
    }
    match endpoint.scheme() {
        "https" => Ok(()),
        "http" if crate::http::address::is_loopback(endpoint) => Ok(()),
        "http" => wrong("plain http is only for addresses on this machine; use https"),
        scheme => wrong(&format!("{scheme} is not https")),
    }
}
