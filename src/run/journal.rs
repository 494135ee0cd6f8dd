//! The journal of runs: one SQLite file in the home, synchronised with the disk at each step.
//!
//! `intent` holds the rows that are about to be sent or whose answer is not known; `handled` the source records that
//! a run is done with; `failure` what its report tells; `skip` records that it left alone although they have records
//! at the target; `link` which record of the target a source record became; `feed` up to where a mapping has followed
//! its source's changes; `made` the records that lookups create.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::content::Parcel;
use super::counts::Counts;
use super::entry::{Decided, Found, Intent, Kind, Place, RunState, Step, Summary};
use super::lock::Lock;
use super::plan::Plan;
use crate::connect::home::Home;
use crate::connect::sqlite::DatabaseFile;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::Mapping;

/// Marks the file as ours (`RPRJ`).
const FILE: DatabaseFile = DatabaseFile {
    file: "runs.db",
    what: "journal of runs",
    application_id: 0x5250_524A,
    version: 4,
    layout: &[RUNS, MADE, SKIP, LINK_TARGET],
    upgrades: &[&["ALTER TABLE intent ADD COLUMN parcel TEXT;", MADE], &[SKIP], &[LINK_TARGET]],
};

const RUNS: &str = "
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    mapping_name TEXT NOT NULL,
    mapping TEXT NOT NULL,
    plan TEXT NOT NULL,
    state TEXT NOT NULL,
    started TEXT NOT NULL,
    changed TEXT NOT NULL,
    place TEXT NOT NULL,
    next_number INTEGER NOT NULL,
    counts TEXT NOT NULL,
    error TEXT
) STRICT;
CREATE INDEX run_mapping ON run (mapping_name);
CREATE TABLE intent (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL,
    source_key TEXT,
    mark INTEGER NOT NULL,
    record TEXT NOT NULL,
    content TEXT NOT NULL,
    since TEXT NOT NULL,
    sent INTEGER NOT NULL,
    parcel TEXT,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE handled (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    identity TEXT NOT NULL,
    mark INTEGER NOT NULL,
    PRIMARY KEY (run, identity)
) STRICT, WITHOUT ROWID;
CREATE TABLE failure (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE link (
    mapping TEXT NOT NULL,
    source_key TEXT NOT NULL,
    target_key TEXT NOT NULL,
    PRIMARY KEY (mapping, source_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE feed (
    mapping TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    checkpoint TEXT NOT NULL
) STRICT;
";

/// Since layout 2.
const MADE: &str = "
CREATE TABLE made (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    since TEXT NOT NULL,
    key TEXT,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
";

/// Since layout 3.
const SKIP: &str = "
CREATE TABLE skip (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
";

/// Since layout 4.
const LINK_TARGET: &str = "CREATE INDEX link_target ON link (mapping, target_key);";

/// The journal of a home.
#[derive(Clone)]
pub struct Journal {
    home: Home,
    db: Arc<Mutex<rusqlite::Connection>>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal of a home, or makes it.
    ///
    /// # Errors
    /// Local, with the remedy, when the file cannot be used.
    pub async fn open(home: &Home) -> Result<Self> {
        let home = home.clone();
        blocking(move || {
            let db = FILE.open(&home)?;
            Ok(Self { home, db: Arc::new(Mutex::new(db)) })
        })
        .await
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Does something with the file beside the other work.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        blocking(move || {
            let mut db = this.db.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut db).map_err(|error| FILE.failed(&this.home, &error))
        })
        .await
    }

    /// Does something short with the file at once, for those that cannot wait.
    pub(super) fn work_now<T>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut db).map_err(|error| FILE.failed(&self.home, &error))
    }

    /// All runs, the latest first.
    ///
    /// # Errors
    /// Local, when the journal cannot be read.
    pub async fn list(&self) -> Result<Vec<Summary>> {
        let found = self
            .work(|db| {
                let mut statement = db.prepare(&format!("{FIND} ORDER BY started DESC, id DESC"))?;
                statement.query_map([], stored)?.collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        found.into_iter().map(|stored| self.found(stored).map(|found| found.summary)).collect()
    }

    /// Removes runs that are over, finished or given up, and of which nothing was heard since a moment. What a mapping
    /// needs of them afterwards, which record became which and how far its feed was followed, stays.
    ///
    /// # Errors
    /// Local, when the journal cannot be written.
    pub async fn prune(&self, before: Timestamp) -> Result<Vec<Summary>> {
        let mut old = self.list().await?;
        old.retain(|run| run.is_over() && run.changed < before);
        let ids: Vec<String> = old.iter().map(|run| run.run.clone()).collect();
        self.work(move |db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for id in &ids {
                tx.execute("DELETE FROM run WHERE id = ?1 AND state IN ('finished', 'abandoned')", [id])?;
            }
            tx.commit()
        })
        .await?;
        Ok(old)
    }

    /// A run by its id.
    ///
    /// # Errors
    /// `NotFound`; local, when the journal cannot be read.
    pub async fn run(&self, id: &str) -> Result<Found> {
        let wanted = id.to_owned();
        let found = self
            .work(move |db| db.query_row(&format!("{FIND} WHERE id = ?1"), [wanted], stored).optional())
            .await?;
        match found {
            Some(stored) => self.found(stored),
            None => Err(Error::new(ErrorKind::NotFound, format!("there is no run {id:?}"))
                .with_code("run_not_found")
                .with_advice("`recordport runs list` shows the runs of this home")),
        }
    }

    /// The runs of a mapping that did not come to their end, the latest first.
    ///
    /// # Errors
    /// Local, when the journal cannot be read.
    pub async fn unfinished(&self, mapping: &str) -> Result<Vec<Summary>> {
        let mapping = mapping.to_owned();
        let found = self
            .work(move |db| {
                let sql = format!(
                    "{FIND} WHERE mapping_name = ?1 AND state IN ('running', 'stopped') ORDER BY started DESC"
                );
                db.prepare(&sql)?.query_map([mapping], stored)?.collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        found.into_iter().map(|stored| self.found(stored).map(|found| found.summary)).collect()
    }

    fn found(&self, stored: Stored) -> Result<Found> {
        let unreadable = || FILE.damaged(&self.home, "a run cannot be read");
        let mapping = Mapping::parse(&stored.mapping).map_err(|_| unreadable())?;
        let read = || -> Option<Found> {
            let plan: Plan = serde_json::from_str(&stored.plan).ok()?;
            let alive = Lock::is_taken(&self.home, &mapping.name).unwrap_or(true);
            let state = match RunState::parse(&stored.state)? {
                RunState::Running if !alive => RunState::Interrupted,
                state => state,
            };
            let summary = Summary {
                run: stored.id.clone(),
                mapping: mapping.name.clone(),
                state,
                mode: plan.mode.name(),
                started: stored.started.parse().ok()?,
                changed: stored.changed.parse().ok()?,
                counts: serde_json::from_str(&stored.counts).ok()?,
                error: stored.error.as_deref().and_then(|text| serde_json::from_str(text).ok()),
                plan,
            };
            let place = serde_json::from_str(&stored.place).ok()?;
            Some(Found { summary, mapping: mapping.clone(), place, next_number: stored.next_number })
        };
        read().ok_or_else(unreadable)
    }

    /// Writes down a new run.
    pub(super) async fn begin(
        &self,
        id: &str,
        mapping: &Mapping,
        plan: &Plan,
        place: &Place,
        abandoned: Vec<String>,
    ) -> Result<()> {
        let (id, name, text) = (id.to_owned(), mapping.name.clone(), mapping.to_text());
        let (plan, place, now) = (json(plan)?, json(place)?, plan.now.to_string());
        let counts = json(&Counts::default())?;
        self.work(move |db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for old in abandoned {
                tx.execute("UPDATE run SET state = 'abandoned' WHERE id = ?1", [&old])?;
                forget(&tx, &old)?;
            }
            tx.execute(
                "INSERT INTO run (id, mapping_name, mapping, plan, state, started, changed, place, next_number, counts)
                 VALUES (?1, ?2, ?3, ?4, 'running', ?5, ?5, ?6, 0, ?7)",
                params![id, name, text, plan, now, place, counts],
            )?;
            tx.commit()
        })
        .await
    }

    /// Writes down a step.
    pub(super) async fn step(&self, id: &str, mapping: &str, at: Timestamp, step: Step<'_>) -> Result<()> {
        let (id, mapping, at) = (id.to_owned(), mapping.to_owned(), at.to_string());
        let Step { decided, intents, unsent, place, counts, next_number, followed, state } = step;
        let intents = intents.to_vec();
        let place = place.map(json).transpose()?;
        let counts = json(&counts)?;
        let followed = followed.map(|(source, checkpoint)| (source.to_owned(), checkpoint.to_owned()));
        let state = match state {
            Some((state, error)) => Some((state, error.map(json).transpose()?)),
            None => None,
        };
        self.work(move |db| {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for one in &decided {
                settle(&tx, &id, &mapping, one)?;
            }
            for number in &unsent {
                tx.prepare_cached("UPDATE intent SET sent = 0 WHERE run = ?1 AND number = ?2")?
                    .execute(params![id, number])?;
            }
            for intent in &intents {
                intend(&tx, &id, intent)?;
            }
            tx.execute(
                "UPDATE run SET changed = ?2, counts = ?3, next_number = ?4, place = coalesce(?5, place)
                 WHERE id = ?1",
                params![id, at, counts, next_number, place],
            )?;
            if let Some((source, checkpoint)) = followed {
                tx.execute(
                    "INSERT INTO feed (mapping, source, checkpoint) VALUES (?1, ?2, ?3)
                     ON CONFLICT (mapping) DO UPDATE SET source = excluded.source, checkpoint = excluded.checkpoint",
                    params![mapping, source, checkpoint],
                )?;
                tx.execute("DELETE FROM handled WHERE run = ?1", [&id])?;
            }
            if let Some((state, error)) = state {
                tx.execute(
                    "UPDATE run SET state = ?2, error = ?3 WHERE id = ?1",
                    params![id, state.name(), error],
                )?;
                if state == RunState::Finished {
                    forget(&tx, &id)?;
                }
            }
            tx.commit()
        })
        .await
    }

    /// The rows of a run that are under way, in order.
    pub(super) async fn intents(&self, id: &str) -> Result<Vec<Intent>> {
        let id = id.to_owned();
        let found = self
            .work(move |db| {
                db.prepare(
                    "SELECT number, kind, source_key, mark, record, content, since, sent, identity, parcel FROM intent
                     WHERE run = ?1 ORDER BY number",
                )?
                .query_map([id], |row| {
                    let told: (String, String, Option<String>) = (row.get(1)?, row.get(6)?, row.get(9)?);
                    let intent = Intent {
                        number: row.get(0)?,
                        kind: Kind::Write,
                        identity: row.get(8)?,
                        source_key: row.get(2)?,
                        mark: row.get::<_, i64>(3)?.cast_unsigned(),
                        record: row.get(4)?,
                        content: row.get(5)?,
                        since: Timestamp::UNIX_EPOCH,
                        sent: row.get(7)?,
                        parcel: None,
                    };
                    Ok((intent, told))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        found
            .into_iter()
            .map(|(intent, (kind, since, parcel))| {
                let unreadable = || FILE.damaged(&self.home, "a row under way cannot be read");
                let kind = Kind::parse(&kind).zip(since.parse().ok());
                let (kind, since) = kind.ok_or_else(unreadable)?;
                let parcel = parcel.map(|text| serde_json::from_str(&text)).transpose();
                Ok(Intent { kind, since, parcel: parcel.map_err(|_| unreadable())?, ..intent })
            })
            .collect()
    }

    /// For each record, the mark of the content with which the run is done.
    pub(super) async fn handled(&self, id: &str, identities: Vec<String>) -> Result<Vec<Option<u64>>> {
        let id = id.to_owned();
        self.work(move |db| {
            let mut statement =
                db.prepare_cached("SELECT mark FROM handled WHERE run = ?1 AND identity = ?2")?;
            let find = |identity: &String| -> rusqlite::Result<Option<u64>> {
                let mark: Option<i64> =
                    statement.query_row(params![id, identity], |row| row.get(0)).optional()?;
                Ok(mark.map(i64::cast_unsigned))
            };
            identities.iter().map(find).collect()
        })
        .await
    }

    /// For each source key, the record of the target that it became.
    pub(super) async fn links(
        &self,
        mapping: &str,
        keys: Vec<Option<String>>,
    ) -> Result<Vec<Option<String>>> {
        let mapping = mapping.to_owned();
        self.work(move |db| {
            let mut statement =
                db.prepare_cached("SELECT target_key FROM link WHERE mapping = ?1 AND source_key = ?2")?;
            let find = |key: &Option<String>| match key {
                None => Ok(None),
                Some(key) => statement.query_row(params![mapping, key], |row| row.get(0)).optional(),
            };
            keys.iter().map(find).collect()
        })
        .await
    }

    /// For each record of the target, source records that became it, up to so many.
    pub(super) async fn sources(
        &self,
        mapping: &str,
        targets: Vec<String>,
        most: usize,
    ) -> Result<Vec<Vec<String>>> {
        let (mapping, most) = (mapping.to_owned(), i64::try_from(most).unwrap_or(i64::MAX));
        self.work(move |db| {
            let mut statement = db.prepare_cached(
                "SELECT source_key FROM link WHERE mapping = ?1 AND target_key = ?2 LIMIT ?3",
            )?;
            let mut find = |target: &String| {
                statement.query_map(params![mapping, target, most], |row| row.get(0))?.collect()
            };
            targets.iter().map(&mut find).collect()
        })
        .await
    }

    /// The checkpoint up to which a mapping has followed a source.
    pub(super) async fn followed(&self, mapping: &str, source: &str) -> Result<Option<String>> {
        let (mapping, source) = (mapping.to_owned(), source.to_owned());
        self.work(move |db| {
            db.query_row(
                "SELECT checkpoint FROM feed WHERE mapping = ?1 AND source = ?2",
                params![mapping, source],
                |row| row.get(0),
            )
            .optional()
        })
        .await
    }

    /// A part of the report of a run: up to `most` lines from a number on, and the number behind them.
    ///
    /// # Errors
    /// Local, when the journal cannot be read.
    pub async fn failures(&self, id: &str, from: u64, most: u32) -> Result<(Vec<String>, Option<u64>)> {
        self.lines("failure", id, from, most).await
    }

    /// A part of the records that a run left alone although it has, or may have, made records of them before: as
    /// [`failures`](Self::failures).
    ///
    /// # Errors
    /// Local, when the journal cannot be read.
    pub async fn skipped(&self, id: &str, from: u64, most: u32) -> Result<(Vec<String>, Option<u64>)> {
        self.lines("skip", id, from, most).await
    }

    async fn lines(
        &self,
        table: &'static str,
        id: &str,
        from: u64,
        most: u32,
    ) -> Result<(Vec<String>, Option<u64>)> {
        let id = id.to_owned();
        let lines = self
            .work(move |db| {
                db.prepare(&format!(
                    "SELECT number, line FROM {table} WHERE run = ?1 AND number >= ?2 ORDER BY number LIMIT ?3"
                ))?
                .query_map(params![id, from, most], |row| Ok((row.get::<_, u64>(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        let next = lines.last().map(|(number, _)| number + 1);
        Ok((lines.into_iter().map(|(_, line)| line).collect(), next))
    }
}

const FIND: &str =
    "SELECT id, mapping, plan, state, started, changed, place, next_number, counts, error FROM run";

struct Stored {
    id: String,
    mapping: String,
    plan: String,
    state: String,
    started: String,
    changed: String,
    place: String,
    next_number: u64,
    counts: String,
    error: Option<String>,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: row.get(0)?,
        mapping: row.get(1)?,
        plan: row.get(2)?,
        state: row.get(3)?,
        started: row.get(4)?,
        changed: row.get(5)?,
        place: row.get(6)?,
        next_number: row.get(7)?,
        counts: row.get(8)?,
        error: row.get(9)?,
    })
}

fn intend(tx: &Transaction<'_>, id: &str, intent: &Intent) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO intent (run, number, kind, identity, source_key, mark, record, content, since, sent, parcel)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10)
         ON CONFLICT (run, number) DO UPDATE SET since = excluded.since, sent = 1",
    )?
    .execute(params![
        id,
        intent.number,
        intent.kind.name(),
        intent.identity,
        intent.source_key,
        intent.mark.cast_signed(),
        intent.record,
        intent.content,
        intent.since.to_string(),
        intent.parcel.as_ref().map(Parcel::to_text),
    ])?;
    Ok(())
}

fn settle(tx: &Transaction<'_>, id: &str, mapping: &str, one: &Decided) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM intent WHERE run = ?1 AND number = ?2")?
        .execute(params![id, one.number])?;
    for (line, into) in [
        (&one.failure, "INSERT OR REPLACE INTO failure (run, number, line) VALUES (?1, ?2, ?3)"),
        (&one.skipped, "INSERT OR REPLACE INTO skip (run, number, line) VALUES (?1, ?2, ?3)"),
    ] {
        if let Some(line) = line {
            tx.prepare_cached(into)?.execute(params![id, one.number, line])?;
        }
    }
    tx.prepare_cached("INSERT OR REPLACE INTO handled (run, identity, mark) VALUES (?1, ?2, ?3)")?
        .execute(params![id, one.identity, one.mark.cast_signed()])?;
    let Some(key) = &one.source_key else { return Ok(()) };
    if let Some(target) = &one.target_key {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO link (mapping, source_key, target_key) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![mapping, key, target])?;
    } else if one.unlink {
        tx.prepare_cached("DELETE FROM link WHERE mapping = ?1 AND source_key = ?2")?
            .execute(params![mapping, key])?;
    }
    Ok(())
}

/// What a run needs no more once it is over.
fn forget(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM handled WHERE run = ?1", [id])?;
    tx.execute("DELETE FROM intent WHERE run = ?1", [id])?;
    tx.execute("DELETE FROM made WHERE run = ?1", [id])?;
    Ok(())
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::bug("a run has no JSON").with_source(error))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::bug(format!("work on the journal was lost: {error}")))?
}
