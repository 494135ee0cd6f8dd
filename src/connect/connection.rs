//! A connection: a named way into one account at one provider. Its secrets are kept apart ([`Secrets`],
//! [`TokenSet`]) so that listing connections needs no key.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use url::Url;

use super::sign_in::{AccessMode, GrantKind};
use crate::error::{Error, Result};

/// The longest name of a connection.
const NAME_CHARS: usize = 64;

/// A connection's name: 1 to 64 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit. Names that differ
/// only in case are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectionName(String);

impl ConnectionName {
    /// Checks a name.
    ///
    /// # Errors
    /// Invalid, with the rule.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let fits = name.len() <= NAME_CHARS
            && name.chars().next().is_some_and(|first| first.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if fits {
            return Ok(Self(name));
        }
        let shown: String = name.chars().take(NAME_CHARS).collect();
        Err(Error::invalid(format!("{shown:?} cannot be the name of a connection")).with_advice(
            "A name has 1 to 64 letters, digits, dots, underscores or hyphens and begins with a letter or digit",
        ))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ConnectionName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl From<ConnectionName> for String {
    fn from(name: ConnectionName) -> Self {
        name.0
    }
}

/// Whether the connection can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// As far as known, it works.
    Ready,
    /// The provider no longer accepts what we hold; only the user can mend that. Nothing is sent until then.
    NeedsReconnect {
        /// Why, in the provider's code and words.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
}

/// Everything about a connection that is no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Never changes, also when the connection is authorised again.
    pub id: String,
    /// Name in commands.
    pub name: ConnectionName,
    /// The provider's name.
    pub provider: String,
    /// An address that replaces the provider's own hosts (the emulator, a proxy).
    pub endpoint: Option<Url>,
    /// The provider's configuration.
    pub config: Json,
    /// What it may do.
    pub access: AccessMode,
    /// How tokens are got.
    pub grant: GrantKind,
    /// The user's own OAuth client.
    pub client_id: Option<String>,
    /// User name of a JWT or basic grant.
    pub username: Option<String>,
    /// Scopes asked for.
    pub scopes_requested: Vec<String>,
    /// Scopes granted, when the provider told.
    pub scopes_granted: Option<Vec<String>>,
    /// The redirect address registered for the code grant, when it is not the provider's usual one.
    pub redirect_uri: Option<String>,
    /// Who the tokens belong to, for people.
    pub account: Option<String>,
    /// Whether it can be used.
    pub standing: Standing,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last authorised.
    pub authorized: Option<Timestamp>,
}

impl Connection {
    /// A new connection that holds no tokens yet.
    #[must_use]
    pub fn new(
        name: ConnectionName,
        provider: impl Into<String>,
        access: AccessMode,
        grant: GrantKind,
        now: Timestamp,
    ) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            name,
            provider: provider.into(),
            endpoint: None,
            config: Json::Object(serde_json::Map::new()),
            access,
            grant,
            client_id: None,
            username: None,
            scopes_requested: Vec::new(),
            scopes_granted: None,
            redirect_uri: None,
            account: None,
            standing: Standing::Ready,
            created: now,
            authorized: None,
        }
    }

    /// What the sealed secrets are bound to besides the id: whoever changes where a token goes, or as what it
    /// is shown, makes it unreadable.
    #[must_use]
    pub(crate) fn binding(&self) -> String {
        serde_json::json!({
            "provider": self.provider,
            "endpoint": self.endpoint,
            "config": self.config,
            "grant": self.grant,
            "client_id": self.client_id,
            "username": self.username,
        })
        .to_string()
    }
}

/// What the user gave to prove the client or themselves. Never in listings.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Secret of the user's own OAuth client.
    pub client_secret: Option<SecretString>,
    /// Private key of a JWT grant, PEM.
    pub private_key: Option<SecretString>,
    /// Password or API token of a basic grant.
    pub password: Option<SecretString>,
}

/// Tokens as they are kept.
#[derive(Debug, Clone)]
pub struct TokenSet {
    /// Grows by one with each new access token of the connection.
    pub generation: u64,
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token, when there is one.
    pub refresh_token: Option<SecretString>,
    /// When the access token was got.
    pub obtained: Timestamp,
    /// When it ends, when the provider told; otherwise that is learnt from a refusal.
    pub expires: Option<Timestamp>,
    /// Base address by host role that came with the token, already validated.
    pub bases: BTreeMap<String, Url>,
    /// Scopes granted, when the provider told.
    pub scopes: Option<Vec<String>>,
}
