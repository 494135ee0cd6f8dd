//! OAuth clients and users as an emulated service has registered them.

use serde::{Deserialize, Serialize};

/// A registered client (Salesforce: connected app or external client app).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Client {
    /// Public id.
    pub client_id: String,
    /// Shared secret; a client without one is public and must not be asked for it.
    pub client_secret: Option<String>,
    /// The name that the consent page shows.
    pub name: String,
    /// Redirect addresses, compared as whole texts.
    pub redirect_uris: Vec<String>,
    /// Scopes that the client may ask for; also what it gets when it asks for none.
    pub scopes: Vec<String>,
    /// Whether every refresh replaces the refresh token.
    pub rotation: bool,
    /// Whether an authorisation must carry a PKCE challenge.
    pub pkce_required: bool,
    /// Whether a token request must carry the secret.
    pub secret_required: bool,
    /// Lifetime of access tokens.
    pub access_seconds: i64,
    /// Lifetime of refresh tokens; without it they do not expire.
    pub refresh_seconds: Option<i64>,
    /// Whether the app is installed in the organisation.
    pub installed: bool,
    /// The key that signs this client's assertions: PEM, SubjectPublicKeyInfo.
    pub public_key: Option<String>,
    /// The user that client credentials act as.
    pub run_as: Option<String>,
}

impl Client {
    /// Lifetime of access tokens unless set otherwise: two hours.
    pub const ACCESS_SECONDS: i64 = 7_200;

    /// A confidential client with a secret and no redirect address yet.
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        let client_id = client_id.into();
        Self {
            name: client_id.clone(),
            client_id,
            client_secret: None,
            redirect_uris: Vec::new(),
            scopes: Vec::new(),
            rotation: false,
            pkce_required: false,
            secret_required: true,
            access_seconds: Self::ACCESS_SECONDS,
            refresh_seconds: None,
            installed: true,
            public_key: None,
            run_as: None,
        }
    }
}

/// A change of a client, or a new one, as given to the control surface. Absent properties stay as they are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientPatch {
    /// The service that the client belongs to; the control surface reads it.
    pub service: String,
    /// Which client.
    pub client_id: String,
    /// See [`Client::client_secret`].
    pub client_secret: Option<String>,
    /// See [`Client::name`].
    pub name: Option<String>,
    /// See [`Client::redirect_uris`]; replaces the list.
    pub redirect_uris: Option<Vec<String>>,
    /// See [`Client::scopes`]; replaces the list.
    pub scopes: Option<Vec<String>>,
    /// See [`Client::rotation`].
    pub rotation: Option<bool>,
    /// See [`Client::pkce_required`].
    pub pkce_required: Option<bool>,
    /// See [`Client::secret_required`].
    pub secret_required: Option<bool>,
    /// See [`Client::access_seconds`].
    pub access_seconds: Option<i64>,
    /// See [`Client::refresh_seconds`].
    pub refresh_seconds: Option<i64>,
    /// See [`Client::installed`].
    pub installed: Option<bool>,
    /// See [`Client::public_key`].
    pub public_key: Option<String>,
    /// See [`Client::run_as`].
    pub run_as: Option<String>,
}

impl ClientPatch {
    /// The client after the change.
    pub(super) fn apply(&self, known: Option<Client>) -> Result<Client, String> {
        if self.client_id.is_empty() {
            return Err("client_id must not be empty".to_owned());
        }
        if self.access_seconds.is_some_and(|seconds| seconds <= 0)
            || self.refresh_seconds.is_some_and(|seconds| seconds <= 0)
        {
            return Err("lifetimes must be positive numbers of seconds".to_owned());
        }
        let mut client = known.unwrap_or_else(|| Client::new(self.client_id.clone()));
        let patch = self.clone();
        if let Some(secret) = patch.client_secret {
            client.client_secret = (!secret.is_empty()).then_some(secret);
        }
        set(&mut client.name, patch.name);
        set(&mut client.redirect_uris, patch.redirect_uris);
        set(&mut client.scopes, patch.scopes);
        set(&mut client.rotation, patch.rotation);
        set(&mut client.pkce_required, patch.pkce_required);
        set(&mut client.secret_required, patch.secret_required);
        set(&mut client.access_seconds, patch.access_seconds);
        set(&mut client.refresh_seconds, patch.refresh_seconds.map(Some));
        set(&mut client.installed, patch.installed);
        set(&mut client.public_key, patch.public_key.map(Some));
        set(&mut client.run_as, patch.run_as.map(Some));
        Ok(client)
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// Somebody who can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Login name, unique.
    pub username: String,
    /// The service's id of the user.
    pub user_id: String,
    /// Name to show.
    pub display_name: String,
    /// E-mail address.
    pub email: String,
    /// Password for the password grant.
    pub password: String,
    /// Whether the user may sign in at all.
    pub active: bool,
}

/// A change of a user as given to the control surface. Absent properties stay as they are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// The service that the user belongs to; the control surface reads it.
    pub service: String,
    /// Which user.
    pub username: String,
    /// See [`User::active`].
    pub active: Option<bool>,
    /// See [`User::password`].
    pub password: Option<String>,
    /// Revoke every token that acts for this user, as an administrator would.
    #[serde(default)]
    pub revoke: bool,
}

impl UserPatch {
    pub(super) fn apply(self, mut user: User) -> User {
        set(&mut user.active, self.active);
        set(&mut user.password, self.password);
        user
    }
}
