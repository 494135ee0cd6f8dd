//! Where connections live. The store keeps secrets sealed; what it hands out is opened.

use async_trait::async_trait;

use super::connection::{Connection, ConnectionName, Secrets, Standing, TokenSet};
use crate::error::Result;

/// Keeps connections and their secrets, durably: when a method returns, what it stored survives a crash.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// All connections by name. Needs no key.
    ///
    /// # Errors
    /// Local, when the store cannot be read.
    async fn connections(&self) -> Result<Vec<Connection>>;

    /// One connection. Needs no key.
    ///
    /// # Errors
    /// `NotFound` with the names there are; local, when the store cannot be read.
    async fn connection(&self, name: &ConnectionName) -> Result<Connection>;

    /// Stores a new connection, or replaces the one with its id: its description, secrets and tokens in one
    /// step. The tokens get the next generation whatever theirs is.
    ///
    /// # Errors
    /// Invalid, when another connection has the name; local, when the store or the master key fails.
    async fn put(&self, connection: &Connection, secrets: &Secrets, tokens: Option<&TokenSet>) -> Result<()>;

    /// Updates what a connection tells about itself (account, scopes) and leaves secrets and standing alone.
    ///
    /// # Errors
    /// `NotFound`; a bug, when something changes that the secrets are bound to; local, when the store cannot be
    /// written.
    async fn describe(&self, connection: &Connection) -> Result<()>;

    /// What the user gave to prove the client.
    ///
    /// # Errors
    /// Local, when the store or the master key fails.
    async fn secrets(&self, connection: &Connection) -> Result<Secrets>;

    /// The present tokens.
    ///
    /// # Errors
    /// Local, when the store or the master key fails.
    async fn tokens(&self, connection: &Connection) -> Result<Option<TokenSet>>;

    /// Stores new tokens if the stored generation is below theirs, and makes the connection ready. Returns
    /// whether they were stored.
    ///
    /// # Errors
    /// `NotFound`, when the connection is gone; local, when the store or the master key fails.
    async fn put_tokens(&self, connection: &Connection, tokens: &TokenSet) -> Result<bool>;

    /// Whether the connection can be used, as stored now.
    ///
    /// # Errors
    /// `NotFound`; local, when the store cannot be read.
    async fn standing(&self, id: &str) -> Result<Standing>;

    /// Marks whether the connection can be used, provided that its tokens still are of this generation.
    ///
    /// # Errors
    /// Local, when the store cannot be written.
    async fn set_standing(&self, id: &str, generation: u64, standing: &Standing) -> Result<()>;

    /// Erases a connection with everything it kept; false when there was none.
    ///
    /// # Errors
    /// Local, when the store cannot be written.
    async fn remove(&self, id: &str) -> Result<bool>;

    /// Waits to be the only one, across processes, who renews this connection's tokens. The right ends when
    /// the guard is dropped or its process dies.
    ///
    /// # Errors
    /// Local, naming the holder, when it is not free within the store's patience.
    async fn lock_renewal(&self, id: &str) -> Result<Box<dyn RenewalGuard>>;

    /// Seals everything anew under a new master key, in one step.
    ///
    /// # Errors
    /// Local, when the store or a key fails; then everything is as before.
    async fn rekey(&self) -> Result<Rekeyed>;

    /// Where secrets are kept and under which key, for people.
    fn place(&self) -> StorePlace;
}

/// Held while tokens are renewed.
pub trait RenewalGuard: Send + Sync + std::fmt::Debug {}

/// What a change of the master key did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rekeyed {
    /// Id of the new master key.
    pub key_id: String,
    /// Where the new key is.
    pub key_place: String,
    /// How many sealed records were sealed anew.
    pub records: usize,
    /// Names of connections whose secrets no present key opens; they are as before.
    pub skipped: Vec<String>,
}

/// Where secrets are kept, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StorePlace {
    /// The store (`/home/me/.local/share/recordport/recordport.db`).
    pub store: String,
    /// The master key (`the key file /home/me/.../master.key`).
    pub key: String,
    /// Who can use what is stored.
    pub who: String,
}
