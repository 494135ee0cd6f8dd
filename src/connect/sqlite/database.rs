//! The file: its layout, how it is opened, and what is refused.

use std::io::Read as _;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{OpenFlags, TransactionBehavior};

use super::STORE_FILE;
use crate::connect::home::Home;
use crate::error::{Error, Result};

/// Marks the file as ours (`RPRT`).
pub(super) const APPLICATION_ID: i32 = 0x5250_5254;

/// The layout that this version writes.
pub(super) const VERSION: i32 = 1;

/// How long a statement waits for another process's transaction, which never spans a network call.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// Stores up to this size are checked whole when opened.
pub(super) const CHECKED_BYTES: u64 = 16 * 1024 * 1024;

const STORE: DatabaseFile = DatabaseFile {
    file: STORE_FILE,
    what: "store",
    application_id: APPLICATION_ID,
    version: VERSION,
    layout: &[LAYOUT],
    upgrades: &[],
};

/// One of our SQLite files in a home.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseFile {
    /// Name of the file.
    pub file: &'static str,
    /// What it is, in messages.
    pub what: &'static str,
    /// Marks the file as ours.
    pub application_id: i32,
    /// The layout that this version writes.
    pub version: i32,
    /// The statements that make it.
    pub layout: &'static [&'static str],
    /// The statements that lead from each earlier layout to the next, from layout 1 on.
    pub upgrades: &'static [&'static [&'static str]],
}

pub(super) const LAYOUT: &str = "
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

/// Opens and checks the store before anything is written to it.
pub(super) fn open_database(home: &Home) -> Result<rusqlite::Connection> {
    STORE.open(home)
}

pub(super) fn damaged(home: &Home, why: &str) -> Error {
    STORE.damaged(home, why)
}

pub(super) fn failed(home: &Home, error: &rusqlite::Error) -> Error {
    STORE.failed(home, error)
}

impl DatabaseFile {
    /// Opens the file, or makes it, and checks it before anything is written to it.
    ///
    /// # Errors
    /// Local, with the remedy, when the file is not ours alone, was made by a newer version, or is damaged; then
    /// it is left exactly as it was.
    pub fn open(&self, home: &Home) -> Result<rusqlite::Connection> {
        // SQLite gives its side files the mode of this one, which is private from its first instant.
        let mut file = home.open_or_create(self.file)?;
        for side in ["-wal", "-shm", "-journal"] {
            home.inspect(&format!("{}{side}", self.file))?;
        }
        let path = home.file(self.file);
        let mut header = Vec::new();
        std::io::Read::by_ref(&mut file)
            .take(100)
            .read_to_end(&mut header)
            .map_err(|error| Error::local(format!("cannot read {}: {error}", path.display())))?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        drop(file);
        if !header.is_empty() {
            self.refuse_foreign(home, &header)?;
        }

        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let failed = |error: rusqlite::Error| self.failed(home, &error);
        let mut db = rusqlite::Connection::open_with_flags(&path, flags).map_err(failed)?;
        db.busy_timeout(BUSY).map_err(failed)?;
        // Until the file is known to be one of ours nothing may be written, not even by closing it.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
        let version: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if version > self.version {
            return Err(self.newer(home, version));
        }
        if length > 0 && length <= CHECKED_BYTES {
            let verdict: String =
                db.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(failed)?;
            if verdict != "ok" {
                return Err(self.damaged(home, &verdict));
            }
        }
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(failed)?;
        self.prepare(home, &mut db)?;
        db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        db.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        db.pragma_update(None, "secure_delete", true).map_err(failed)?;
        db.pragma_update(None, "trusted_schema", false).map_err(failed)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(failed)?;
        Ok(db)
    }

    /// Write-ahead log and layout, once, whoever comes first.
    fn prepare(&self, home: &Home, db: &mut rusqlite::Connection) -> Result<()> {
        let failed = |error: rusqlite::Error| self.failed(home, &error);
        let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(failed)?;
        let version: i32 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if mode == "wal" && version == self.version {
            return Ok(());
        }
        // SQLite does not wait for its turn when it changes the journal mode, so the turn is taken here.
        let lock = home.open_or_create("recordport.lock")?;
        lock.lock().map_err(|error| Error::local(format!("cannot lock the home: {error}")))?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let version: i32 = tx.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if version == 0 {
            for statements in self.layout {
                tx.execute_batch(statements).map_err(failed)?;
            }
            tx.pragma_update(None, "application_id", self.application_id).map_err(failed)?;
            tx.pragma_update(None, "user_version", self.version).map_err(failed)?;
        } else if version < self.version {
            let known = usize::try_from(version).map_or(0, |version| version.saturating_sub(1));
            for statements in self.upgrades.iter().skip(known).copied().flatten() {
                tx.execute_batch(statements).map_err(failed)?;
            }
            tx.pragma_update(None, "user_version", self.version).map_err(failed)?;
        }
        tx.commit().map_err(failed)
    }

    /// Reads the header's own fields (SQLite file format, section 1.3), so that a foreign file is not even
    /// opened.
    fn refuse_foreign(&self, home: &Home, header: &[u8]) -> Result<()> {
        let number = |at: usize| {
            let bytes = header.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            bytes.map(i32::from_be_bytes)
        };
        if !header.starts_with(b"SQLite format 3\0") {
            return Err(self.damaged(home, "it is not a SQLite file"));
        }
        let (Some(version), Some(application)) = (number(60), number(68)) else {
            return Err(self.damaged(home, "it is cut off"));
        };
        // Both are 0 in the first instant of a new file.
        if application != self.application_id && (application, version) != (0, 0) {
            return Err(self.damaged(home, "it is a SQLite file of another program"));
        }
        if version > self.version {
            return Err(self.newer(home, version));
        }
        Ok(())
    }

    fn newer(&self, home: &Home, version: i32) -> Error {
        Error::local(format!(
            "the {} {} was made by a newer recordport (layout {version}; this one knows {})",
            self.what,
            home.file(self.file).display(),
            self.version
        ))
        .with_code("store_newer")
        .with_advice("Nothing was changed. Update recordport, or use another --home")
    }

    /// The error for a file whose content cannot be trusted.
    #[must_use]
    pub fn damaged(&self, home: &Home, why: &str) -> Error {
        let path = home.file(self.file);
        Error::local(format!("the {} {} is damaged: {why}", self.what, path.display()))
            .with_code("store_damaged")
            .with_advice(
                "Nothing was changed. Restore it from a backup, or move it away and make the connections again",
            )
    }

    /// An error of SQLite in words. Bound values never stand in them.
    #[must_use]
    pub fn failed(&self, home: &Home, error: &rusqlite::Error) -> Error {
        use rusqlite::ErrorCode as Code;
        let (what, path) = (self.what, home.file(self.file));
        let local =
            |code: &str, what: String, advice: &str| Error::local(what).with_code(code).with_advice(advice);
        match error.sqlite_error_code() {
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => self.damaged(home, &error.to_string()),
            Some(Code::DiskFull) => local(
                "disk_full",
                format!("the disk is full: {} cannot be written", path.display()),
                &format!("Free some space and try again; the {what} is as it was"),
            ),
            Some(Code::ReadOnly | Code::PermissionDenied | Code::CannotOpen | Code::SystemIoFailure) => {
                local(
                    "store_unusable",
                    format!("cannot use the {what} {}: {error}", path.display()),
                    &format!("Check the disk and the permissions of the home; the {what} is as it was"),
                )
            }
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => local(
                "store_busy",
                format!("another process has been writing to {} for too long", path.display()),
                "Try again; end the other recordport if it hangs",
            ),
            _ => Error::local(format!("the {what} {} failed: {error}", path.display())).with_code("store"),
        }
    }
}
