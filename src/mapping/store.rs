//! Mappings kept by name, every version of them, and which pairs of fields people have accepted and rejected.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, TransactionBehavior, params};
use serde::Serialize;

use super::document::Mapping;
use super::suggest::{Judged, Memory};
use crate::connect::home::Home;
use crate::connect::sqlite::DatabaseFile;
use crate::error::{Error, ErrorKind, Result};
use crate::record::nearest::nearest;

const FILE: DatabaseFile = DatabaseFile {
    file: "mappings.db",
    what: "store of mappings",
    // RPRM
    application_id: 0x5250_524D,
    version: 1,
    layout: &["
CREATE TABLE mapping (
    name TEXT NOT NULL COLLATE NOCASE,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    saved TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE judged (
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    to_path TEXT NOT NULL,
    from_path TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (source, target, to_path, from_path)
) STRICT, WITHOUT ROWID;
"],
    upgrades: &[],
};

/// The mappings of a home.
#[derive(Debug, Clone)]
pub struct MappingStore {
    home: Home,
    db: Arc<Mutex<rusqlite::Connection>>,
}

/// A mapping as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Which version, from 1.
    pub version: u64,
    /// When this version was saved.
    pub saved: Timestamp,
    /// The document.
    #[serde(skip)]
    pub document: String,
}

impl Kept {
    /// The mapping.
    ///
    /// # Errors
    /// Local, when the stored document cannot be read.
    pub fn mapping(&self) -> Result<Mapping> {
        Mapping::parse(&self.document).map_err(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Error::local(format!("the stored mapping {:?} cannot be read: {}", self.name, told.join("; ")))
        })
    }
}

/// Two record types, as providers name them: `salesforce Contact`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePair {
    /// Where records come from.
    pub source: String,
    /// Where rows go.
    pub target: String,
}

impl MappingStore {
    /// Opens the mappings of a home.
    ///
    /// # Errors
    /// Local with the remedy, when the file cannot be used.
    pub async fn open(home: &Home) -> Result<Self> {
        let home = home.clone();
        blocking(move || {
            let db = FILE.open(&home)?;
            Ok(Self { home, db: Arc::new(Mutex::new(db)) })
        })
        .await
    }

    /// Saves a mapping under its name. The version before stays; a document that is the same as the last one makes no
    /// new version.
    ///
    /// # Errors
    /// Invalid for a name that cannot be one; local, when the store cannot be written.
    pub async fn save(&self, mapping: &Mapping, now: Timestamp) -> Result<Kept> {
        check_name(&mapping.name)?;
        let (name, document) = (mapping.name.clone(), mapping.to_text());
        self.run(move |db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(last) = version_of(&tx, &name, None)?
                && last.document == document
            {
                return Ok(last);
            }
            let version: u64 = tx.query_row(
                "SELECT coalesce(max(version), 0) + 1 FROM mapping WHERE name = ?1",
                [&name],
                |row| row.get(0),
            )?;
            tx.execute(
                "INSERT INTO mapping (name, version, document, saved) VALUES (?1, ?2, ?3, ?4)",
                params![name, version, document, now.to_string()],
            )?;
            tx.commit()?;
            Ok(Kept { name, version, saved: now, document })
        })
        .await
    }

    /// A mapping by name: its last version, or the one that is named.
    ///
    /// # Errors
    /// `NotFound` with the nearest name; local, when the store cannot be read.
    pub async fn load(&self, name: &str, version: Option<u64>) -> Result<Kept> {
        let wanted = name.to_owned();
        let found = self.run(move |db| version_of(db, &wanted, version)).await?;
        match found {
            Some(found) => Ok(found),
            None => Err(self.unknown(name, version).await),
        }
    }

    async fn unknown(&self, name: &str, version: Option<u64>) -> Error {
        let known = self.list().await.unwrap_or_default();
        let is = |kept: &&Kept| kept.name.eq_ignore_ascii_case(name);
        let told = |what: String| Error::new(ErrorKind::NotFound, what);
        if let (Some(version), Some(last)) = (version, known.iter().find(is)) {
            return told(format!("the mapping {:?} has no version {version}", last.name))
                .with_advice(format!("Its last version is {}", last.version));
        }
        let error = told(format!("there is no mapping {name:?}"));
        match nearest(name, known.iter().map(|kept| kept.name.as_str())) {
            Some(near) => error.with_advice(format!("Did you mean {near}?")),
            None => error.with_advice("Give a file, or save one: recordport map save FILE"),
        }
    }

    /// The last version of each mapping, by name.
    ///
    /// # Errors
    /// Local, when the store cannot be read.
    pub async fn list(&self) -> Result<Vec<Kept>> {
        self.run(|db| {
            db.prepare(
                "SELECT name, version, saved, document FROM mapping AS one WHERE version = \
                 (SELECT max(version) FROM mapping WHERE name = one.name) ORDER BY name",
            )?
            .query_map([], kept)?
            .collect()
        })
        .await
    }

    /// All versions of a mapping, the last first.
    ///
    /// # Errors
    /// Local, when the store cannot be read.
    pub async fn versions(&self, name: &str) -> Result<Vec<Kept>> {
        let name = name.to_owned();
        self.run(move |db| {
            db.prepare(
                "SELECT name, version, saved, document FROM mapping WHERE name = ?1 ORDER BY version DESC",
            )?
            .query_map([&name], kept)?
            .collect()
        })
        .await
    }

    /// Removes a mapping with all its versions; false when there was none.
    ///
    /// # Errors
    /// Local, when the store cannot be written.
    pub async fn remove(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.run(move |db| Ok(db.execute("DELETE FROM mapping WHERE name = ?1", [&name])? > 0)).await
    }

    /// Remembers what people said of pairs of fields of two types. A field has one accepted source: another that was
    /// accepted for it before is forgotten.
    ///
    /// # Errors
    /// Local, when the store cannot be written.
    pub async fn judge(&self, types: &TypePair, judged: &[Judged]) -> Result<()> {
        let (types, judged) = (types.clone(), judged.to_vec());
        self.run(move |db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for pair in &judged {
                if pair.accepted {
                    tx.execute(
                        "DELETE FROM judged WHERE source = ?1 AND target = ?2 AND to_path = ?3 AND accepted = 1",
                        params![types.source, types.target, pair.to],
                    )?;
                }
                tx.execute(
                    "INSERT INTO judged (source, target, to_path, from_path, accepted) VALUES (?1, ?2, ?3, ?4, ?5) \
                     ON CONFLICT DO UPDATE SET accepted = excluded.accepted",
                    params![types.source, types.target, pair.to, pair.from, pair.accepted],
                )?;
            }
            tx.commit()
        })
        .await
    }

    /// What people said of pairs of fields of two types.
    ///
    /// # Errors
    /// Local, when the store cannot be read.
    pub async fn memory(&self, types: &TypePair) -> Result<Memory> {
        let types = types.clone();
        let judged: Vec<Judged> = self
            .run(move |db| {
                db.prepare(
                    "SELECT to_path, from_path, accepted FROM judged WHERE source = ?1 AND target = ?2 \
                     ORDER BY to_path, from_path",
                )?
                .query_map(params![types.source, types.target], |row| {
                    Ok(Judged { to: row.get(0)?, from: row.get(1)?, accepted: row.get(2)? })
                })?
                .collect()
            })
            .await?;
        Ok(Memory { judged })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (db, home) = (Arc::clone(&self.db), self.home.clone());
        blocking(move || {
            let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut db).map_err(|error| FILE.failed(&home, &error))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::bug(format!("work on the mappings was lost: {error}")))?
}

fn version_of(db: &rusqlite::Connection, name: &str, version: Option<u64>) -> rusqlite::Result<Option<Kept>> {
    db.query_row(
        "SELECT name, version, saved, document FROM mapping WHERE name = ?1 AND (?2 IS NULL OR version = ?2) \
         ORDER BY version DESC LIMIT 1",
        params![name, version],
        kept,
    )
    .optional()
}

fn kept(row: &rusqlite::Row<'_>) -> rusqlite::Result<Kept> {
    let saved: String = row.get(2)?;
    Ok(Kept {
        name: row.get(0)?,
        version: row.get(1)?,
        saved: saved.parse().unwrap_or_default(),
        document: row.get(3)?,
    })
}

fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Error::invalid("a mapping is kept under its name, of 1 to 200 characters")
            .with_advice("Write one in the document's \"name\""));
    }
    Ok(())
}
