//! The store in one SQLite file in the home: write-ahead log, full synchronisation, secrets sealed.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};
use zeroize::Zeroizing;

use super::connection::{Connection, ConnectionName, Secrets, Standing, TokenSet};
use super::home::Home;
use super::key::{KeySettings, MasterKey};
use super::seal::{KEY_BYTES, KeyBytes, Label, SealingKey, random_key};
use super::secret_text::{secrets_from, secrets_text, tokens_from, tokens_text};
use super::store::{Rekeyed, RenewalGuard, Store, StorePlace};
use crate::error::{Error, ErrorKind, Result};

/// Name of the store's file in the home.
pub const STORE_FILE: &str = "recordport.db";

/// Marks the file as ours (`RPRT`).
const APPLICATION_ID: i32 = 0x5250_5254;

/// The layout that this version writes.
const VERSION: i32 = 1;

/// How long a statement waits for another process's transaction, which never spans a network call.
const BUSY: Duration = Duration::from_secs(10);

/// Stores up to this size are checked whole when opened.
const CHECKED_BYTES: u64 = 16 * 1024 * 1024;

const LAYOUT: &str = "
CREATE TABLE data_key (
    id TEXT PRIMARY KEY,
    master_key TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE TABLE connection (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    document TEXT NOT NULL
) STRICT;
CREATE TABLE sealed (
    connection TEXT NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL,
    generation INTEGER NOT NULL,
    data_key TEXT NOT NULL REFERENCES data_key (id),
    content BLOB NOT NULL,
    PRIMARY KEY (connection, purpose)
) STRICT;
";

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

/// Opens and checks the file before anything is written to it.
fn open_database(home: &Home) -> Result<rusqlite::Connection> {
    // SQLite gives its side files the mode of this one, which is private from its first instant.
    let mut file = home.open_or_create(STORE_FILE)?;
    for side in ["-wal", "-shm", "-journal"] {
        home.inspect(&format!("{STORE_FILE}{side}"))?;
    }
    let path = home.file(STORE_FILE);
    let mut header = Vec::new();
    std::io::Read::by_ref(&mut file)
        .take(100)
        .read_to_end(&mut header)
        .map_err(|error| Error::local(format!("cannot read {}: {error}", path.display())))?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    drop(file);
    if !header.is_empty() {
        refuse_foreign(home, &header)?;
    }

    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut db = rusqlite::Connection::open_with_flags(&path, flags).map_err(|error| failed(home, &error))?;
    let failed = |error: rusqlite::Error| failed(home, &error);
    db.busy_timeout(BUSY).map_err(failed)?;
    // Until the file is known to be one of ours nothing may be written, not even by closing it.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    let version: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if version > VERSION {
        return Err(newer(home, version));
    }
    if length > 0 && length <= CHECKED_BYTES {
        let verdict: String = db.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(failed)?;
        if verdict != "ok" {
            return Err(damaged(home, &verdict));
        }
    }
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(failed)?;
    prepare(home, &mut db)?;
    db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    db.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    db.pragma_update(None, "secure_delete", true).map_err(failed)?;
    db.pragma_update(None, "trusted_schema", false).map_err(failed)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(failed)?;
    Ok(db)
}

/// Write-ahead log and layout, once, whoever comes first.
fn prepare(home: &Home, db: &mut rusqlite::Connection) -> Result<()> {
    let failed = |error: rusqlite::Error| failed(home, &error);
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(failed)?;
    let version: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if mode == "wal" && version == VERSION {
        return Ok(());
    }
    // SQLite does not wait for its turn when it changes the journal mode, so the turn is taken here.
    let lock = home.open_or_create("recordport.lock")?;
    lock.lock().map_err(|error| Error::local(format!("cannot lock the home: {error}")))?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let version: i32 = tx.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if version == 0 {
        tx.execute_batch(LAYOUT).map_err(failed)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        tx.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    }
    tx.commit().map_err(failed)
}

/// Reads the header's own fields (SQLite file format, section 1.3), so that a foreign file is not even opened.
fn refuse_foreign(home: &Home, header: &[u8]) -> Result<()> {
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map(i32::from_be_bytes)
    };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(damaged(home, "it is not a SQLite file"));
    }
    let (Some(version), Some(application)) = (number(60), number(68)) else {
        return Err(damaged(home, "it is cut off"));
    };
    // Both are 0 in the first instant of a new store.
    if application != APPLICATION_ID && (application, version) != (0, 0) {
        return Err(damaged(home, "it is a SQLite file of another program"));
    }
    if version > VERSION {
        return Err(newer(home, version));
    }
    Ok(())
}

fn newer(home: &Home, version: i32) -> Error {
    Error::local(format!(
        "the store {} was made by a newer recordport (layout {version}; this one knows {VERSION})",
        home.file(STORE_FILE).display()
    ))
    .with_code("store_newer")
    .with_advice("Nothing was changed. Update recordport, or use another --home")
}

fn damaged(home: &Home, why: &str) -> Error {
    let path = home.file(STORE_FILE);
    Error::local(format!("the store {} is damaged: {why}", path.display()))
        .with_code("store_damaged")
        .with_advice(
            "Nothing was changed. Restore it from a backup, or move it away and make the connections again",
        )
}

/// An error of SQLite in words. Bound values never stand in them.
fn failed(home: &Home, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let path = home.file(STORE_FILE);
    let local =
        |code: &str, what: String, advice: &str| Error::local(what).with_code(code).with_advice(advice);
    match error.sqlite_error_code() {
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => damaged(home, &error.to_string()),
        Some(Code::DiskFull) => local(
            "disk_full",
            format!("the disk is full: {} cannot be written", path.display()),
            "Free some space and try again; the store is as it was",
        ),
        Some(Code::ReadOnly | Code::PermissionDenied | Code::CannotOpen | Code::SystemIoFailure) => local(
            "store_unusable",
            format!("cannot use the store {}: {error}", path.display()),
            "Check the disk and the permissions of the home; the store is as it was",
        ),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => local(
            "store_busy",
            format!("another process has been writing to {} for too long", path.display()),
            "Try again; end the other recordport if it hangs",
        ),
        _ => Error::local(format!("the store {} failed: {error}", path.display())).with_code("store"),
    }
}

/// One piece of work with the store held.
struct Work<'a> {
    home: &'a Home,
    settings: &'a StoreSettings,
    state: &'a mut State,
}

/// The present master keys and the data keys that they have opened.
struct Keys<'a> {
    home: &'a Home,
    settings: &'a KeySettings,
    masters: &'a mut Vec<MasterKey>,
    opened: &'a mut HashMap<String, Arc<SealingKey>>,
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

fn label<'a>(connection: &'a Connection, purpose: &'a str, binding: &'a str) -> Label<'a> {
    Label { owner: &connection.id, provider: &connection.provider, purpose, binding }
}

fn data_key_label(id: &str) -> Label<'_> {
    Label { owner: "", provider: "", purpose: "data-key", binding: id }
}

impl Keys<'_> {
    /// The data key with this id, when a present master key opens it.
    fn find(&mut self, db: &rusqlite::Connection, id: &str) -> Result<Option<Arc<SealingKey>>> {
        if let Some(key) = self.opened.get(id) {
            return Ok(Some(Arc::clone(key)));
        }
        let home = self.home;
        let row: Option<(String, Vec<u8>)> = db
            .query_row("SELECT master_key, wrapped FROM data_key WHERE id = ?1", [id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(|error| failed(home, &error))?;
        let Some((master, wrapped)) = row else { return Ok(None) };
        if !self.masters.iter().any(|key| key.id() == master) {
            *self.masters = MasterKey::load(home, self.settings)?;
        }
        let bytes = self
            .masters
            .iter()
            .filter(|key| key.id() == master)
            .find_map(|key| key.sealing().open(data_key_label(id), &wrapped))
            .and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok())
            .map(KeyBytes::new);
        let Some(bytes) = bytes else { return Ok(None) };
        let key = Arc::new(SealingKey::new(&bytes)?);
        self.opened.insert(id.to_owned(), Arc::clone(&key));
        Ok(Some(key))
    }

    /// The data key to seal with: the newest that a present master key opens, or a new one.
    fn sealing(&mut self, tx: &Transaction<'_>) -> Result<Arc<SealingKey>> {
        let home = self.home;
        let ids: Vec<String> = tx
            .prepare("SELECT id FROM data_key ORDER BY created DESC")
            .and_then(|mut found| found.query_map([], |row| row.get(0))?.collect())
            .map_err(|error| failed(home, &error))?;
        for id in &ids {
            if let Some(key) = self.find(tx, id)? {
                return Ok(key);
            }
        }
        if self.masters.is_empty() {
            *self.masters = MasterKey::load(home, self.settings)?;
        }
        if self.masters.is_empty() {
            if let Some(id) = ids.first() {
                return Err(self.missing(tx, id));
            }
            self.masters.push(MasterKey::create(home, self.settings)?);
        }
        let master = self.masters.first().ok_or_else(|| Error::bug("a master key was just made"))?;
        let (key, _) = new_data_key(home, tx, master)?;
        self.opened.insert(key.id().to_owned(), Arc::clone(&key));
        Ok(key)
    }

    /// Why a data key does not open.
    fn missing(&self, db: &rusqlite::Connection, id: &str) -> Error {
        let wanted: String = db
            .query_row("SELECT master_key FROM data_key WHERE id = ?1", [id], |row| row.get(0))
            .unwrap_or_else(|_| "?".to_owned());
        match self.masters.first() {
            None => Error::local(format!("the master key of this store ({wanted}) is missing"))
                .with_code("master_key_missing")
                .with_advice(format!(
                    "Set RECORDPORT_MASTER_KEY, restore {}, or unlock the keyring; without the key, sign in \
                     again with `recordport connections remove` and `connect`",
                    self.home.file(super::key::KEY_FILE).display()
                )),
            Some(present) => Error::local(format!(
                "these secrets are sealed under the master key {wanted}; {} has {}",
                present.place().describe(self.home),
                present.id()
            ))
            .with_code("wrong_master_key")
            .with_advice(
                "Nothing was changed. Give the right key (RECORDPORT_MASTER_KEY goes before the key file), or sign \
                 in again",
            ),
        }
    }
}

fn new_data_key(home: &Home, tx: &Transaction<'_>, master: &MasterKey) -> Result<(Arc<SealingKey>, String)> {
    let bytes = random_key()?;
    let key = SealingKey::new(&bytes)?;
    let wrapped = master.sealing().seal(data_key_label(key.id()), Zeroizing::new(bytes.to_vec()))?;
    tx.execute(
        "INSERT INTO data_key (id, master_key, wrapped, created) VALUES (?1, ?2, ?3, ?4)",
        params![key.id(), master.id(), wrapped, Timestamp::now().to_string()],
    )
    .map_err(|error| failed(home, &error))?;
    let id = key.id().to_owned();
    Ok((Arc::new(key), id))
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

fn seal_into(
    home: &Home,
    tx: &Transaction<'_>,
    key: &SealingKey,
    connection: &Connection,
    purpose: &str,
    generation: u64,
    plain: Zeroizing<Vec<u8>>,
) -> Result<()> {
    let content = key.seal(label(connection, purpose, &connection.binding()), plain)?;
    tx.execute(
        "INSERT OR REPLACE INTO sealed (connection, purpose, generation, data_key, content)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![connection.id, purpose, generation, key.id(), content],
    )
    .map_err(|error| failed(home, &error))?;
    Ok(())
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
                home.file(super::key::KEY_FILE).display()
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

impl Work<'_> {
    fn rekey(&mut self) -> Result<Rekeyed> {
        let home = self.home;
        let lock = home.open_or_create("recordport.lock")?;
        lock.try_lock().map_err(|_| {
            Error::local("another process is changing the master key or making the store")
                .with_code("rekey_locked")
                .with_advice("Try again when it has ended")
        })?;
        let settings = &self.settings.keys;
        let mut masters = MasterKey::load(home, settings)?;
        let in_use = |db: &rusqlite::Connection, id: &str| {
            db.query_row("SELECT count(*) FROM data_key WHERE master_key = ?1", [id], |row| {
                row.get::<_, i64>(0)
            })
            .map(|count| count > 0)
            .map_err(|error| failed(home, &error))
        };
        // A change that was cut short after its commit is ended first: its draft is the key in use.
        let mut unfinished = false;
        for key in masters.iter().filter(|key| key.is_next()) {
            unfinished |= in_use(&self.state.db, key.id())?;
        }
        let Some(present) = masters.first().map(MasterKey::place) else {
            return Err(Error::local("there is no master key yet").with_code("master_key_missing").with_advice(
                "A key is made with the first connection; if there are connections, restore their key first",
            ));
        };
        if unfinished && present != super::key::KeyPlace::Environment {
            MasterKey::promote_next(home, present)?;
            masters = MasterKey::load(home, settings)?;
        }
        let next = MasterKey::draft_next(home, settings, present)?;
        self.state.masters = masters;

        let (tx, mut keys) = self.begin()?;
        let (fresh, fresh_id) = new_data_key(home, &tx, &next)?;
        let rows: Vec<(String, String, u64, String, Vec<u8>, String)> = tx
            .prepare(
                "SELECT s.connection, s.purpose, s.generation, s.data_key, s.content, c.document
                 FROM sealed s JOIN connection c ON c.id = s.connection ORDER BY c.name",
            )
            .and_then(|mut found| {
                found
                    .query_map([], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
                    })?
                    .collect()
            })
            .map_err(|error| failed(home, &error))?;
        let (mut records, mut skipped) = (0, Vec::new());
        for (_, purpose, generation, key, content, document) in rows {
            let connection = parse(home, &document)?;
            let plain = keys
                .find(&tx, &key)?
                .and_then(|key| key.open(label(&connection, &purpose, &connection.binding()), &content));
            match plain {
                Some(plain) => {
                    seal_into(home, &tx, &fresh, &connection, &purpose, generation, plain)?;
                    records += 1;
                }
                None => skipped.push(connection.name.to_string()),
            }
        }
        skipped.dedup();
        tx.execute(
            "DELETE FROM data_key WHERE id <> ?1 AND id NOT IN (SELECT data_key FROM sealed)",
            [&fresh_id],
        )
        .and_then(|_| tx.commit())
        .map_err(|error| failed(home, &error))?;
        MasterKey::promote_next(home, present)?;
        self.state.data_keys.clear();
        self.state.masters = MasterKey::load(home, settings)?;
        // Records under the old key must not live on in the log.
        self.state
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|error| failed(home, &error))?;
        Ok(Rekeyed { key_id: next.id().to_owned(), key_place: present.describe(home), records, skipped })
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
