//! Puts addresses and tokens on calls, and keeps both within the connection's own hosts.
//!
//! Every address is checked before anything is sent, also before a token is asked for. A token that the
//! service rejects is renewed once and the call sent once more; a second rejection ends it.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::connect::access::{Access, AccessSource};
use crate::connect::hosts::HostRules;
use crate::error::{Error, ErrorKind, Result};
use crate::http::address::{join_path, origin_of};
use crate::http::dialect::Dialect;
use crate::http::{Call, Http, Reply, SharedHttp, Target, spent};

/// The auth layer.
#[derive(Debug)]
pub struct AuthLayer {
    inner: SharedHttp,
    access: Arc<dyn AccessSource>,
    hosts: HostRules,
    dialect: Arc<dyn Dialect>,
}

impl AuthLayer {
    /// Wraps a plane.
    #[must_use]
    pub fn new(
        inner: SharedHttp,
        access: Arc<dyn AccessSource>,
        hosts: HostRules,
        dialect: Arc<dyn Dialect>,
    ) -> Self {
        Self { inner, access, hosts, dialect }
    }

    /// The address of a call, which is one of the connection's.
    fn address(&self, target: &Target, access: Option<&Access>) -> Result<Url> {
        match target {
            Target::Role { role, path } => {
                let base = access.and_then(|access| access.bases.get(*role)).ok_or_else(|| {
                    Error::bug(format!("this connection has no address for its host {role:?}"))
                })?;
                let address = join_path(base, path)?;
                self.hosts.check(&address, "the request")?;
                Ok(address)
            }
            Target::Address(address) => {
                if self.hosts.allow(address) {
                    return Ok(address.clone());
                }
                // A provider names its own hosts by role: a whole address is a link that the service gave.
                Err(Error::new(
                    ErrorKind::ForeignHost,
                    format!(
                        "the service's link leads to {}, which is not one of this connection's hosts",
                        origin_of(address)
                    ),
                )
                .with_code("foreign_next_link")
                .with_advice(
                    "Nothing was sent there. If the address is truly yours, connect again with --endpoint",
                ))
            }
        }
    }

    async fn attempt(&self, call: &Call, access: &Access) -> Result<Reply> {
        let mut call = call.clone();
        call.target = Target::Address(self.address(&call.target, Some(access))?);
        if call.authorize {
            call.headers.insert(AUTHORIZATION, header(&access.authorization)?);
        }
        self.inner.send(call).await.map_err(|error| redact(error, &access.authorization))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Http for AuthLayer {
    async fn send(&self, mut call: Call) -> Result<Reply> {
        // Only this layer says who we are.
        call.headers.remove(AUTHORIZATION);
        if matches!(call.target, Target::Address(_)) {
            self.address(&call.target, None)?;
            if !call.authorize {
                return self.inner.send(call).await;
            }
        }
        let access = self.access.access(None).await?;
        let rejection = match self.attempt(&call, &access).await {
            Err(error) if call.authorize && self.dialect.wants_fresh_token(&error) => error,
            result => return result,
        };
        tracing::info!(operation = call.operation, code = rejection.code(), "access token rejected");
        let fresh = self
            .access
            .access(Some(access.generation))
            .await
            .map_err(|error| redact(error, &access.authorization))?;
        if fresh.generation == access.generation {
            return Err(rejected(&rejection));
        }
        if call.is_spent() {
            return Err(spent());
        }
        match self.attempt(&call, &fresh).await {
            Err(error) if self.dialect.wants_fresh_token(&error) => Err(rejected(&error)),
            result => result.map_err(|error| redact(error, &access.authorization)),
        }
    }
}

fn header(authorization: &SecretString) -> Result<HeaderValue> {
    let refused = || {
        Error::new(ErrorKind::Unauthorized, "the access token holds characters that no header can carry")
            .with_code("bad_token")
            .with_advice("Paste the token again without line ends or other characters around it")
    };
    let text = authorization.expose_secret();
    if text.bytes().any(|byte| !(byte == b' ' || byte.is_ascii_graphic())) {
        return Err(refused());
    }
    let mut value = HeaderValue::from_str(text).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Takes the token out of an error's texts, with and without its scheme.
fn redact(error: Error, authorization: &SecretString) -> Error {
    let whole = authorization.expose_secret();
    let bare = whole.split_once(' ').map_or(whole, |(_, token)| token);
    error.redacting(bare).redacting(whole)
}

fn rejected(error: &Error) -> Error {
    let mut ours = Error::new(
        ErrorKind::Unauthorized,
        "the service rejects the access token, also after it was renewed",
    )
    .with_code("auth_rejected")
    .with_advice("Authorize again with `recordport connections authorize NAME`");
    if let Some(status) = error.status() {
        ours = ours.with_status(status);
    }
    if let Some(id) = error.request_id() {
        ours = ours.with_request_id(id);
    }
    match (error.code(), error.provider_message()) {
        (Some(code), Some(message)) => ours.with_provider_message(format!("{code}: {message}")),
        (Some(text), None) | (None, Some(text)) => ours.with_provider_message(text),
        (None, None) => ours,
    }
}
