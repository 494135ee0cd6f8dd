//! Keeps a connection's tokens fresh: one renewal at a time, across tasks and processes, and a new token is
//! durable before it is used.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use super::access::{Access, AccessSource};
use super::connection::{Connection, Standing, TokenSet};
use super::flows;
use super::oauth::{Grant, OAuthClient, is_over};
use super::sign_in::{GrantKind, Revocation, SignIn};
use super::store::Store;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::SharedHttp;

/// Gives out the access tokens of one connection.
#[derive(Debug)]
pub struct TokenKeeper {
    store: Arc<dyn Store>,
    connection: Connection,
    sign_in: Arc<SignIn>,
    http: SharedHttp,
    clock: Arc<dyn Clock>,
    present: Mutex<Option<Arc<TokenSet>>>,
    /// Held by the one task of this process that looks into the store and renews.
    turn: tokio::sync::Mutex<()>,
    notices: Mutex<Vec<String>>,
}

/// What ending a connection at the provider came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Farewell {
    /// Whether the provider confirmed that the tokens are worthless now.
    pub revoked: bool,
    /// What the user should know or still do.
    pub note: Option<String>,
}

/// Ends an authorisation by showing its access token, which may have to be renewed for that.
async fn revoke_shown(client: &OAuthClient, tokens: &TokenSet) -> Result<bool> {
    if client.revoke_shown(&tokens.access_token).await? {
        return Ok(true);
    }
    // An access token that has ended without a successor is worth nothing any more.
    let Some(refresh_token) = &tokens.refresh_token else { return Ok(true) };
    match client.refresh(refresh_token).await {
        Ok(renewed) if client.revoke_shown(&renewed.tokens.access_token).await? => Ok(true),
        Ok(_) => Err(Error::new(ErrorKind::Unauthorized, "the provider does not take a token that is new")),
        Err(error) if error.code() == Some("invalid_grant") => Ok(true),
        Err(error) => Err(error),
    }
}

impl TokenKeeper {
    /// A keeper for a connection. `http` is the plane for token requests: without authorisation and without
    /// retry.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        connection: Connection,
        sign_in: Arc<SignIn>,
        http: SharedHttp,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            connection,
            sign_in,
            http,
            clock,
            present: Mutex::new(None),
            turn: tokio::sync::Mutex::new(()),
            notices: Mutex::new(Vec::new()),
        }
    }

    /// What the user should be told after the command, such as a token that could not be stored. Each is
    /// given once.
    #[must_use]
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The present tokens without renewing them, for the doctor.
    ///
    /// # Errors
    /// Local, when the store or the master key fails.
    pub async fn stored(&self) -> Result<Option<TokenSet>> {
        self.store.tokens(&self.connection).await.map_err(|error| self.named(error))
    }

    /// Ends the authorisation at the provider, then erases the connection here. The second happens also when
    /// the first fails; then the note says what is left to do.
    ///
    /// # Errors
    /// Local, when the store cannot be written.
    pub async fn farewell(&self) -> Result<Farewell> {
        let farewell = match self.revoke().await {
            Ok(Some(true)) => Farewell { revoked: true, note: None },
            Ok(Some(false)) => Farewell {
                revoked: false,
                note: Some(format!(
                    "{} has no way to revoke tokens; end the access in your account there",
                    self.sign_in.api_name
                )),
            },
            Ok(None) => Farewell { revoked: false, note: None },
            Err(error) => Farewell {
                revoked: false,
                note: Some(format!(
                    "the tokens are erased here, but revoking them at the provider failed ({}); end the access in \
                     your account there",
                    error.message()
                )),
            },
        };
        self.store.remove(&self.connection.id).await.map_err(|error| self.named(error))?;
        Ok(farewell)
    }

    /// `None`: there was nothing to revoke.
    async fn revoke(&self) -> Result<Option<bool>> {
        // A token pasted in or a password is the user's own and may be in use elsewhere.
        if matches!(self.connection.grant, GrantKind::Token | GrantKind::Basic) {
            return Ok(None);
        }
        let _turn = self.turn.lock().await;
        let _alone = self.store.lock_renewal(&self.connection.id).await?;
        let Some(tokens) = self.store.tokens(&self.connection).await? else { return Ok(None) };
        let client = self.client().await?;
        if self.sign_in.revocation == Revocation::Shown {
            return revoke_shown(&client, &tokens).await.map(Some);
        }
        let revoked = match &tokens.refresh_token {
            Some(refresh_token) => client.revoke(refresh_token, "refresh_token").await?,
            None => client.revoke(&tokens.access_token, "access_token").await?,
        };
        Ok(Some(revoked))
    }

    fn present(&self) -> Option<Arc<TokenSet>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn adopt(&self, tokens: TokenSet) -> Arc<TokenSet> {
        let tokens = Arc::new(tokens);
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&tokens));
        tokens
    }

    fn notice(&self, text: String) {
        tracing::warn!(connection = %self.connection.name, "{text}");
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn named(&self, error: Error) -> Error {
        error.with_provider(self.connection.provider.as_str()).with_connection(self.connection.name.as_str())
    }

    fn usable(&self, tokens: &TokenSet, rejected: Option<u64>) -> bool {
        rejected.is_none_or(|rejected| tokens.generation > rejected) && !is_over(tokens, self.clock.now())
    }

    async fn client(&self) -> Result<OAuthClient> {
        let secrets = self.store.secrets(&self.connection).await?;
        Ok(OAuthClient::new(
            Arc::clone(&self.sign_in),
            Arc::clone(&self.http),
            Arc::clone(&self.clock),
            self.connection.client_id.clone().unwrap_or_default(),
            secrets.client_secret,
        ))
    }

    async fn tokens(&self, rejected: Option<u64>) -> Result<Arc<TokenSet>> {
        if let Some(present) = self.present().filter(|present| self.usable(present, rejected)) {
            return Ok(present);
        }
        let _turn = self.turn.lock().await;
        if let Some(present) = self.present().filter(|present| self.usable(present, rejected)) {
            return Ok(present);
        }
        if let Some(tokens) = self.look(rejected).await? {
            return Ok(tokens);
        }
        let _alone = self.store.lock_renewal(&self.connection.id).await?;
        // Whoever held the lock before may have renewed already.
        if let Some(tokens) = self.look(rejected).await? {
            return Ok(tokens);
        }
        self.renew(rejected).await
    }

    /// Takes over what the store has, if that is newer; gives it if it is usable.
    async fn look(&self, rejected: Option<u64>) -> Result<Option<Arc<TokenSet>>> {
        if let Standing::NeedsReconnect { reason, .. } = self.store.standing(&self.connection.id).await? {
            return Err(Error::new(
                ErrorKind::Unauthorized,
                "the provider no longer accepts this connection's authorisation",
            )
            .with_code("needs_reconnect")
            .with_provider_message(reason)
            .with_advice(self.authorize_again()));
        }
        let stored = self.store.tokens(&self.connection).await?;
        let known = self.present().map_or(0, |present| present.generation);
        if let Some(stored) = stored.filter(|stored| stored.generation > known) {
            let stored = self.adopt(stored);
            if self.usable(&stored, rejected) {
                return Ok(Some(stored));
            }
        }
        Ok(None)
    }

    fn authorize_again(&self) -> String {
        let again = format!("Sign in again: recordport connections authorize {}", self.connection.name);
        match &self.sign_in.sign_in_ends {
            Some(why) if self.connection.grant == GrantKind::Code => {
                format!("{again}. It may have ended by itself: {why}")
            }
            _ => again,
        }
    }

    async fn renew(&self, rejected: Option<u64>) -> Result<Arc<TokenSet>> {
        let present = self.present();
        let answer = match self.ask(present.as_deref()).await {
            Ok(answer) => answer,
            Err(error) => return self.without_new(error, present, rejected).await,
        };
        let Grant { mut tokens, refused_base } = answer;
        tokens.generation = present.as_ref().map_or(0, |present| present.generation).saturating_add(1);
        if let Some(present) = &present {
            // An answer without a refresh token leaves the old one valid (RFC 6749 section 6).
            tokens.refresh_token = tokens.refresh_token.or_else(|| present.refresh_token.clone());
            tokens.scopes = tokens.scopes.or_else(|| present.scopes.clone());
        }
        if refused_base.is_some() {
            // Only the refresh token is worth keeping: the access token has no host to go to.
            tokens.expires = Some(tokens.obtained);
        }
        match self.store.put_tokens(&self.connection, &tokens).await {
            Ok(true) => {}
            // Somebody signed in anew meanwhile; theirs is the valid one.
            Ok(false) => {
                return match self.store.tokens(&self.connection).await? {
                    Some(newer) => Ok(self.adopt(newer)),
                    None => Err(self.unauthorized()),
                };
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
            Err(error) => self.notice(format!(
                "new tokens of {} could not be stored and are kept in memory only: {error}. When this command ends \
                 they are lost, and signing in again may be needed",
                self.connection.name
            )),
        }
        let tokens = self.adopt(tokens);
        tracing::info!(connection = %self.connection.name, generation = tokens.generation, "tokens renewed");
        match refused_base {
            None => Ok(tokens),
            Some(error) => Err(error),
        }
    }

    /// One request to the token endpoint, as the grant has it.
    async fn ask(&self, present: Option<&TokenSet>) -> Result<Grant> {
        match self.connection.grant {
            GrantKind::ClientCredentials | GrantKind::Jwt => {
                let secrets = self.store.secrets(&self.connection).await?;
                flows::obtain(&self.client().await?, &self.connection, &secrets).await
            }
            GrantKind::Code => match present.and_then(|present| present.refresh_token.as_ref()) {
                Some(refresh_token) => self.client().await?.refresh(refresh_token).await,
                None => Err(self.unauthorized()),
            },
            GrantKind::Token | GrantKind::Basic => Err(self.unauthorized()),
        }
    }

    fn unauthorized(&self) -> Error {
        let (message, advice) = match self.connection.grant {
            GrantKind::Token => (
                "the pasted token has ended, and such a token cannot be renewed",
                format!(
                    "Paste a new one: recordport connections authorize {} --token-stdin",
                    self.connection.name
                ),
            ),
            _ => ("the access has ended, and there is no refresh token", self.authorize_again()),
        };
        Error::new(ErrorKind::Unauthorized, message).with_code("no_refresh_token").with_advice(advice)
    }

    /// What to do when there are no new tokens.
    async fn without_new(
        &self,
        error: Error,
        present: Option<Arc<TokenSet>>,
        rejected: Option<u64>,
    ) -> Result<Arc<TokenSet>> {
        let generation = present.as_ref().map_or(0, |present| present.generation);
        if error.code() == Some("invalid_grant") || error.code() == Some("no_refresh_token") {
            // A copy of this store, or a process that cannot lock, may have renewed: look once more.
            let stored = self.store.tokens(&self.connection).await?;
            if let Some(newer) = stored.filter(|stored| stored.generation > generation)
                && self.usable(&newer, rejected)
            {
                return Ok(self.adopt(newer));
            }
            // Grants without the user may be allowed again by an administrator; others are over.
            if matches!(self.connection.grant, GrantKind::Code | GrantKind::Token) {
                let mut reason = error.code().unwrap_or_default().to_owned();
                if let Some(words) = error.provider_message() {
                    reason = format!("{reason}: {words}");
                }
                let standing = Standing::NeedsReconnect { reason, since: self.clock.now() };
                self.store.set_standing(&self.connection.id, generation, &standing).await?;
            }
            return Err(error.with_advice(self.authorize_again()));
        }
        // A token that is about to end still works until it does.
        if let Some(present) = present
            && rejected.is_none_or(|rejected| present.generation > rejected)
            && error.retry() != Retry::Never
            && present.expires.is_none_or(|expires| self.clock.now() < expires)
        {
            tracing::warn!(connection = %self.connection.name, %error, "tokens could not be renewed yet");
            return Ok(present);
        }
        Err(error)
    }

    async fn basic(&self, rejected: Option<u64>) -> Result<Access> {
        if rejected.is_some() {
            return Err(Error::new(
                ErrorKind::Unauthorized,
                "the provider does not accept user name and secret",
            )
            .with_code("basic_rejected")
            .with_advice(self.authorize_again()));
        }
        let secrets = self.store.secrets(&self.connection).await?;
        let (Some(user), Some(password)) = (&self.connection.username, secrets.password) else {
            return Err(Error::new(
                ErrorKind::Unauthorized,
                "this connection has no user name or secret yet",
            )
            .with_advice(self.authorize_again()));
        };
        let pair = zeroize::Zeroizing::new(format!("{user}:{}", password.expose_secret()));
        Ok(Access {
            generation: 1,
            authorization: SecretString::from(format!("Basic {}", STANDARD.encode(pair.as_bytes()))),
            bases: self.sign_in.bases.clone(),
        })
    }
}

#[async_trait]
impl AccessSource for TokenKeeper {
    async fn access(&self, rejected: Option<u64>) -> Result<Access> {
        if self.connection.grant == GrantKind::Basic {
            return self.basic(rejected).await.map_err(|error| self.named(error));
        }
        let tokens = self.tokens(rejected).await.map_err(|error| self.named(error))?;
        let mut bases = self.sign_in.bases.clone();
        for (role, base) in &tokens.bases {
            // Rules may have become stricter since the token was stored.
            self.sign_in
                .hosts
                .check(base, "the stored instance address")
                .map_err(|error| self.named(error))?;
            bases.insert(role.clone(), base.clone());
        }
        Ok(Access {
            generation: tokens.generation,
            authorization: SecretString::from(format!("Bearer {}", tokens.access_token.expose_secret())),
            bases,
        })
    }
}
