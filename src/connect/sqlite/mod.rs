//! The store in one SQLite file in the home: write-ahead log, full synchronisation, secrets sealed.

mod database;
mod keys;
mod rekey;

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};
use zeroize::Zeroizing;

pub use database::DatabaseFile;
use database::{damaged, failed, open_database};
use keys::{Keys, label, seal_into};

use crate::connect::connection::{Connection, ConnectionName, Secrets, Standing, TokenSet};
use crate::connect::home::Home;
use crate::connect::key::{KEY_FILE, KeySettings, MasterKey};
use crate::connect::seal::SealingKey;
use crate::connect::secret_text::{secrets_from, secrets_text, tokens_from, tokens_text};
use crate::connect::store::{Rekeyed, RenewalGuard, Store, StorePlace};
use crate::error::{Error, ErrorKind, Result};

/// Name of the store's file in the home.
pub const STORE_FILE: &str = "recordport.db";

const TOKENS: &str = "tokens";
const SECRETS: &str = "secrets";

/// What a store is opened with.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where the master key may come from.
    pub keys: KeySettings,
    /// How long another process may renew a connection's tokens before waiting is given up.
    pub renewal_patience: Duration,
}

impl StoreSettings {
    /// As the process's environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { keys: KeySettings::from_environment(), renewal_patience: Duration::from_secs(30) }
    }
}

/// The store in `recordport.db`. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    home: Home,
    settings: StoreSettings,
    state: Mutex<State>,
}

struct State {
    db: rusqlite::Connection,
    masters: Vec<MasterKey>,
    data_keys: HashMap<String, Arc<SealingKey>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("masters", &self.masters).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store of a home, or makes it.
    ///
    /// # Errors
    /// Local, with the remedy, when the file is not ours alone, was made by a newer version, or is damaged;
    /// then it is left exactly as it was.
    pub async fn open(home: &Home, settings: StoreSettings) -> Result<Self> {
        let home = home.clone();
        blocking(move || {
            let db = open_database(&home)?;
            let state = State { db, masters: Vec::new(), data_keys: HashMap::new() };
            Ok(Self { inner: Arc::new(Inner { home, settings, state: Mutex::new(state) }) })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut Work { home: &inner.home, settings: &inner.settings, state: &mut state })
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::bug(format!("work on the store was lost: {error}")))?
}

/// One piece of work with the store held.
struct Work<'a> {
    home: &'a Home,
    settings: &'a StoreSettings,
    state: &'a mut State,
}

impl Work<'_> {
    fn failed(&self) -> impl Fn(rusqlite::Error) -> Error + Copy {
        let home = self.home;
        move |error| failed(home, &error)
    }

    /// The transaction that all changes are made in, and the keys beside it.
    fn begin(&mut self) -> Result<(Transaction<'_>, Keys<'_>)> {
        let home = self.home;
        let tx = self
            .state
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(home, &error))?;
        let keys = Keys {
            home,
            settings: &self.settings.keys,
            masters: &mut self.state.masters,
            opened: &mut self.state.data_keys,
        };
        Ok((tx, keys))
    }

    /// Opens what is sealed for a purpose, with its generation.
    fn open(&mut self, connection: &Connection, purpose: &str) -> Result<Option<(u64, Zeroizing<Vec<u8>>)>> {
        let home = self.home;
        // Connections of other processes may change keys at any time: read record and key together.
        let tx = self.state.db.transaction().map_err(|error| failed(home, &error))?;
        let mut keys = Keys {
            home,
            settings: &self.settings.keys,
            masters: &mut self.state.masters,
            opened: &mut self.state.data_keys,
        };
        let found: Option<(u64, String, Vec<u8>)> = tx
            .query_row(
                "SELECT generation, data_key, content FROM sealed WHERE connection = ?1 AND purpose = ?2",
                params![connection.id, purpose],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()
            .map_err(|error| failed(home, &error))?;
        let Some((generation, key, content)) = found else { return Ok(None) };
        let key = keys.find(&tx, &key)?.ok_or_else(|| keys.missing(&tx, &key))?;
        let plain =
            key.open(label(connection, purpose, &connection.binding()), &content).ok_or_else(|| {
                Error::local(format!(
                    "the stored {purpose} of this connection do not open: they were changed"
                ))
                .with_code("sealed_record_broken")
                .with_connection(connection.name.as_str())
                .with_advice(format!(
                    "Connect anew: recordport connections remove {0}, then recordport connect {1} {0}",
                    connection.name, connection.provider
                ))
            })?;
        Ok(Some((generation, plain)))
    }
}

fn document(home: &Home, db: &rusqlite::Connection, id: &str) -> Result<Connection> {
    let text: Option<String> = db
        .query_row("SELECT document FROM connection WHERE id = ?1", [id], |row| row.get(0))
        .optional()
        .map_err(|error| failed(home, &error))?;
    text.map_or_else(|| Err(gone()), |text| parse(home, &text))
}

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "the connection has been removed").with_code("connection_not_found")
}

fn parse(home: &Home, text: &str) -> Result<Connection> {
    serde_json::from_str(text)
        .map_err(|error| damaged(home, &format!("a connection cannot be read ({error})")))
}

fn text_of(connection: &Connection) -> Result<String> {
    serde_json::to_string(connection)
        .map_err(|error| Error::bug(format!("a connection has no JSON: {error}")))
}

fn generation(home: &Home, db: &rusqlite::Connection, id: &str) -> Result<u64> {
    db.query_row(
        "SELECT generation FROM sealed WHERE connection = ?1 AND purpose = ?2",
        params![id, TOKENS],
        |row| row.get(0),
    )
    .optional()
    .map(Option::unwrap_or_default)
    .map_err(|error| failed(home, &error))
}

#[async_trait]
impl Store for SqliteStore {
    async fn connections(&self) -> Result<Vec<Connection>> {
        self.run(|work| {
            let texts: Vec<(String, String)> = work
                .state
                .db
                .prepare("SELECT name, document FROM connection ORDER BY name")
                .and_then(|mut found| found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
                .map_err(work.failed())?;
            let mut connections = Vec::with_capacity(texts.len());
            for (name, text) in texts {
                match parse(work.home, &text) {
                    Ok(connection) => connections.push(connection),
                    // The others go on working.
                    Err(error) => tracing::error!(connection = name, %error, "left out"),
                }
            }
            Ok(connections)
        })
        .await
    }

    async fn connection(&self, name: &ConnectionName) -> Result<Connection> {
        let name = name.clone();
        self.run(move |work| {
            let text: Option<String> = work
                .state
                .db
                .query_row("SELECT document FROM connection WHERE name = ?1", [name.as_str()], |row| {
                    row.get(0)
                })
                .optional()
                .map_err(work.failed())?;
            if let Some(text) = text {
                return parse(work.home, &text);
            }
            let names: Vec<String> = work
                .state
                .db
                .prepare("SELECT name FROM connection ORDER BY name")
                .and_then(|mut found| found.query_map([], |row| row.get(0))?.collect())
                .map_err(work.failed())?;
            let advice = if names.is_empty() {
                "There are none yet: make one with `recordport connect PROVIDER NAME`".to_owned()
            } else {
                format!("There are: {}", names.join(", "))
            };
            Err(Error::new(ErrorKind::NotFound, format!("there is no connection {:?}", name.as_str()))
                .with_code("connection_not_found")
                .with_advice(advice))
        })
        .await
    }

    async fn put(&self, connection: &Connection, secrets: &Secrets, tokens: Option<&TokenSet>) -> Result<()> {
        let (connection, secrets, tokens) =
            (connection.clone(), secrets_text(secrets)?, tokens.map(tokens_text).transpose()?);
        self.run(move |work| {
            let home = work.home;
            let (tx, mut keys) = work.begin()?;
            let other: Option<String> = tx
                .query_row(
                    "SELECT id FROM connection WHERE name = ?1 AND id <> ?2",
                    params![connection.name.as_str(), connection.id],
                    |row| row.get(0),
                )
                .optional()
                .map_err(|error| failed(home, &error))?;
            if other.is_some() {
                return Err(Error::invalid(format!("there is a connection {} already", connection.name))
                    .with_code("connection_exists")
                    .with_advice(format!(
                        "Choose another name, or sign in anew: recordport connections authorize {}",
                        connection.name
                    )));
            }
            let generation = generation(home, &tx, &connection.id)?.saturating_add(1);
            let key = keys.sealing(&tx)?;
            tx.execute(
                "INSERT INTO connection (id, name, document) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, document = excluded.document",
                params![connection.id, connection.name.as_str(), text_of(&connection)?],
            )
            .map_err(|error| failed(home, &error))?;
            seal_into(home, &tx, &key, &connection, SECRETS, 0, secrets)?;
            match tokens {
                Some(tokens) => seal_into(home, &tx, &key, &connection, TOKENS, generation, tokens)?,
                None => {
                    let erase = "DELETE FROM sealed WHERE connection = ?1 AND purpose = ?2";
                    tx.execute(erase, params![connection.id, TOKENS])
                        .map_err(|error| failed(home, &error))?;
                }
            }
            tx.commit().map_err(|error| failed(home, &error))
        })
        .await
    }

    async fn describe(&self, connection: &Connection) -> Result<()> {
        let mut connection = connection.clone();
        self.run(move |work| {
            let home = work.home;
            let (tx, _) = work.begin()?;
            let present = document(home, &tx, &connection.id)?;
            if present.binding() != connection.binding() {
                return Err(Error::bug("what secrets are bound to was to be changed without them"));
            }
            connection.standing = present.standing;
            tx.execute(
                "UPDATE connection SET document = ?2 WHERE id = ?1",
                params![connection.id, text_of(&connection)?],
            )
            .and_then(|_| tx.commit())
            .map_err(|error| failed(home, &error))
        })
        .await
    }

    async fn secrets(&self, connection: &Connection) -> Result<Secrets> {
        let connection = connection.clone();
        self.run(move |work| {
            let Some((_, plain)) = work.open(&connection, SECRETS)? else { return Ok(Secrets::default()) };
            secrets_from(&plain).ok_or_else(|| damaged(work.home, "a sealed record has no meaning"))
        })
        .await
    }

    async fn tokens(&self, connection: &Connection) -> Result<Option<TokenSet>> {
        let connection = connection.clone();
        self.run(move |work| {
            let Some((generation, plain)) = work.open(&connection, TOKENS)? else { return Ok(None) };
            tokens_from(generation, &plain)
                .map(Some)
                .ok_or_else(|| damaged(work.home, "a sealed record has no meaning"))
        })
        .await
    }

    async fn put_tokens(&self, connection: &Connection, tokens: &TokenSet) -> Result<bool> {
        let (connection, next, text) = (connection.clone(), tokens.generation, tokens_text(tokens)?);
        self.run(move |work| {
            let home = work.home;
            let (tx, mut keys) = work.begin()?;
            let mut present = document(home, &tx, &connection.id)?;
            if generation(home, &tx, &connection.id)? >= next {
                return Ok(false);
            }
            let key = keys.sealing(&tx)?;
            seal_into(home, &tx, &key, &connection, TOKENS, next, text)?;
            if present.standing != Standing::Ready {
                present.standing = Standing::Ready;
                tx.execute(
                    "UPDATE connection SET document = ?2 WHERE id = ?1",
                    params![connection.id, text_of(&present)?],
                )
                .map_err(|error| failed(home, &error))?;
            }
            tx.commit().map_err(|error| failed(home, &error))?;
            Ok(true)
        })
        .await
    }

    async fn standing(&self, id: &str) -> Result<Standing> {
        let id = id.to_owned();
        self.run(move |work| document(work.home, &work.state.db, &id).map(|connection| connection.standing))
            .await
    }

    async fn set_standing(&self, id: &str, of: u64, standing: &Standing) -> Result<()> {
        let (id, standing) = (id.to_owned(), standing.clone());
        self.run(move |work| {
            let home = work.home;
            let (tx, _) = work.begin()?;
            let mut present = document(home, &tx, &id)?;
            present.standing = standing;
            if generation(home, &tx, &id)? != of {
                return Ok(());
            }
            tx.execute("UPDATE connection SET document = ?2 WHERE id = ?1", params![id, text_of(&present)?])
                .and_then(|_| tx.commit())
                .map_err(|error| failed(home, &error))
        })
        .await
    }

    async fn remove(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.run(move |work| {
            let home = work.home;
            let (tx, _) = work.begin()?;
            let removed = tx
                .execute("DELETE FROM connection WHERE id = ?1", [&id])
                .and_then(|removed| tx.commit().map(|()| removed))
                .map_err(|error| failed(home, &error))?;
            // What was erased must not live on in the log.
            work.state
                .db
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .map_err(|error| failed(home, &error))?;
            home.remove(&renewal_lock(&id))?;
            Ok(removed > 0)
        })
        .await
    }

    async fn lock_renewal(&self, id: &str) -> Result<Box<dyn RenewalGuard>> {
        let (home, name) = (self.inner.home.clone(), renewal_lock(id));
        let patience = self.inner.settings.renewal_patience;
        let mut file = blocking(move || home.open_or_create(&name)).await?;
        let start = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => {
                    return Err(Error::local(format!("cannot lock the renewal of tokens: {error}")));
                }
                Err(TryLockError::WouldBlock) if start.elapsed() >= patience => {
                    let mut holder = String::new();
                    // The name is for the message only; an unreadable one is left out of it.
                    let _ = std::io::Read::by_ref(&mut file).take(200).read_to_string(&mut holder);
                    let holder = if holder.is_empty() { "another process" } else { holder.trim() };
                    return Err(Error::local(format!(
                        "{holder} has been renewing the tokens of this connection for {} s",
                        patience.as_secs()
                    ))
                    .with_code("renewal_locked")
                    .with_advice("It may be stopped or hanging: let it go on or end it, then try again"));
                }
                Err(TryLockError::WouldBlock) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
            }
        }
        let named = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "process {}", std::process::id()));
        if let Err(error) = named {
            tracing::debug!(%error, "the holder of the lock stays unnamed");
        }
        Ok(Box::new(FileGuard { _file: file }))
    }

    async fn rekey(&self) -> Result<Rekeyed> {
        self.run(|work| work.rekey()).await
    }

    fn place(&self) -> StorePlace {
        let home = &self.inner.home;
        let keys = MasterKey::load(home, &self.inner.settings.keys).unwrap_or_default();
        let key = match keys.first() {
            Some(key) => key.place().describe(home),
            None if self.inner.settings.keys.keyring => format!(
                "a new key in the operating system's keyring, or in {} where there is none",
                home.file(KEY_FILE).display()
            ),
            None => super::key::KeyPlace::File.describe(home),
        };
        StorePlace {
            store: home.file(STORE_FILE).display().to_string(),
            key,
            who: "this user of this machine, and whoever has both the store and the key".to_owned(),
        }
    }
}

#[derive(Debug)]
struct FileGuard {
    /// The kernel lets the lock go when this is closed, however that comes about.
    _file: File,
}

impl RenewalGuard for FileGuard {}

fn renewal_lock(id: &str) -> String {
    format!("renewal-{id}.lock")
}
