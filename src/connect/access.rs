//! What the auth layer needs from a connection: a present access token and the hosts it is good for.

use std::collections::BTreeMap;

use async_trait::async_trait;
use secrecy::SecretString;
use url::Url;

use crate::error::Result;

/// A present access token with the addresses that came with it.
#[derive(Debug, Clone)]
pub struct Access {
    /// Counts the tokens of this connection; a caller that saw this one rejected says so by this number.
    pub generation: u64,
    /// Value of the Authorization header (`Bearer ...`, `Basic ...`).
    pub authorization: SecretString,
    /// Base address by host role (`api`); already validated against the connection's [`super::hosts::HostRules`].
    pub bases: BTreeMap<String, Url>,
}

/// Gives out access tokens, one refresh at a time.
#[async_trait]
pub trait AccessSource: Send + Sync + std::fmt::Debug {
    /// The present token. With `rejected`, the generation that the provider just refused: when it is still the
    /// present one it is refreshed, exactly once however many callers ask; otherwise the newer one is returned.
    ///
    /// # Errors
    /// Unauthorized with advice when there is no token and none can be had without the user.
    async fn access(&self, rejected: Option<u64>) -> Result<Access>;
}
