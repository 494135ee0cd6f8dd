//! What feeds of changes know beyond their checkpoints, in one SQLite file of the home.
//!
//! A memory is a line of steps. Each entry says from which step on it holds and until which one, so that a checkpoint of
//! a few steps ago finds what it knew. A step from there begins a line of its own with what was known; the other line
//! stays for whoever went on with it.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

use crate::connect::home::Home;
use crate::connect::sqlite::DatabaseFile;
use crate::error::{Error, Result};
use crate::provider::feed_memory::{Entries, FeedMemory, Known, MemoryMark, Presence, Work};

const FILE: DatabaseFile = DatabaseFile {
    file: "feeds.db",
    what: "memory of feeds",
    // RPRF
    application_id: 0x5250_5246,
    version: 1,
    layout: &["
CREATE TABLE line (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    connection TEXT NOT NULL,
    record_type TEXT NOT NULL,
    step INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT;
CREATE INDEX line_of ON line (connection, record_type);
CREATE TABLE entry (
    line INTEGER NOT NULL REFERENCES line (number) ON DELETE CASCADE,
    key TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    presence INTEGER NOT NULL,
    path TEXT NOT NULL,
    mark INTEGER NOT NULL,
    PRIMARY KEY (line, key, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_now ON entry (line, until, presence, path);
"],
    upgrades: &[],
};

/// Steps that a checkpoint may be behind.
const STEPS: i64 = 64;
/// Lines of one record type; beyond, the one that was not used for longest is forgotten.
const LINES: i64 = 8;
/// An entry that holds still.
const OPEN: i64 = i64::MAX;

/// The file, opened when it is first needed.
#[derive(Debug, Clone)]
pub struct FeedFile {
    home: Home,
    db: Arc<Mutex<Option<rusqlite::Connection>>>,
}

impl FeedFile {
    /// The file of a home. Nothing is opened yet.
    #[must_use]
    pub fn of(home: &Home) -> Self {
        Self { home: home.clone(), db: Arc::default() }
    }

    /// The memories of a connection.
    #[must_use]
    pub fn memory_of(&self, connection: &str) -> Arc<dyn FeedMemory> {
        Arc::new(ConnectionFeeds { file: self.clone(), connection: connection.to_owned() })
    }

    /// Erases all memories of a connection.
    ///
    /// # Errors
    /// Local, when the file cannot be used.
    pub async fn forget(&self, connection: &str) -> Result<()> {
        if !self.home.file(FILE.file).exists() {
            return Ok(());
        }
        let connection = connection.to_owned();
        self.work(move |db| {
            db.execute("DELETE FROM line WHERE connection = ?1", [&connection])?;
            // What was erased must not live on in the log.
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let home = self.home.clone();
        self.open(move |db| work(db).map_err(|error| FILE.failed(&home, &error))).await
    }

    async fn open<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut rusqlite::Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut held = this.db.lock().unwrap_or_else(PoisonError::into_inner);
            let db = match &mut *held {
                Some(db) => db,
                none => none.insert(FILE.open(&this.home)?),
            };
            work(db)
        });
        done.await.map_err(|error| Error::bug(format!("work on the memory of feeds was lost: {error}")))?
    }
}

/// The memories of one connection.
#[derive(Debug)]
struct ConnectionFeeds {
    file: FeedFile,
    connection: String,
}

/// A line that a new step belongs to.
struct Line {
    number: i64,
    id: String,
    step: i64,
}

#[async_trait]
impl FeedMemory for ConnectionFeeds {
    async fn begin(&self, record_type: &str) -> Result<MemoryMark> {
        let (connection, record_type) = (self.connection.clone(), record_type.to_owned());
        self.file
            .work(move |db| {
                let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let line = add_line(&tx, &connection, &record_type, 0)?;
                tx.commit()?;
                Ok(MemoryMark { line: line.id, step: 0 })
            })
            .await
    }

    async fn step(&self, from: &MemoryMark, work: Work) -> Result<Option<MemoryMark>> {
        let (from, connection, home) = (from.clone(), self.connection.clone(), self.file.home.clone());
        self.file
            .open(move |db| {
                let failed = |error: rusqlite::Error| FILE.failed(&home, &error);
                let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
                let Some(line) = line_at(&tx, &connection, &from).map_err(failed)? else { return Ok(None) };
                let mut step =
                    Step { tx: &tx, home: &home, line: line.number, step: line.step + 1, changed: false };
                work(&mut step)?;
                let reached = if step.changed { line.step + 1 } else { line.step };
                end(&tx, line.number, reached).and_then(|()| tx.commit()).map_err(failed)?;
                Ok(Some(MemoryMark { line: line.id, step: reached.unsigned_abs() }))
            })
            .await
    }
}

fn add_line(tx: &Transaction<'_>, connection: &str, record_type: &str, step: i64) -> rusqlite::Result<Line> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    tx.execute(
        "INSERT INTO line (id, connection, record_type, step, used)
         VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(used), 0) + 1 FROM line))",
        params![id, connection, record_type, step],
    )?;
    let number = tx.last_insert_rowid();
    tx.execute(
        "DELETE FROM line WHERE number IN (
             SELECT number FROM line WHERE connection = ?1 AND record_type = ?2 ORDER BY used DESC LIMIT -1 OFFSET ?3)",
        params![connection, record_type, LINES],
    )?;
    Ok(Line { number, id, step })
}

/// The line that a step from a mark belongs to: its own while nothing followed, else a new one that knows what was known
/// at the mark.
fn line_at(tx: &Transaction<'_>, connection: &str, from: &MemoryMark) -> rusqlite::Result<Option<Line>> {
    let found: Option<(i64, String, i64)> = tx
        .query_row(
            "SELECT number, record_type, step FROM line WHERE id = ?1 AND connection = ?2",
            params![from.line, connection],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let Some((number, record_type, head)) = found else { return Ok(None) };
    let Ok(step) = i64::try_from(from.step) else { return Ok(None) };
    if step == head {
        return Ok(Some(Line { number, id: from.line.clone(), step }));
    }
    if step > head || head - step > STEPS {
        return Ok(None);
    }
    // Who comes back to a place once comes back again.
    use_line(tx, number)?;
    let line = add_line(tx, connection, &record_type, step)?;
    tx.execute(
        "INSERT INTO entry (line, key, since, until, presence, path, mark)
         SELECT ?1, key, ?3, ?4, presence, path, mark FROM entry WHERE line = ?2 AND since <= ?3 AND until > ?3",
        params![line.number, number, step, OPEN],
    )?;
    Ok(Some(line))
}

fn use_line(tx: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE line SET used = (SELECT max(used) + 1 FROM line) WHERE number = ?1";
    tx.execute(sql, [number]).map(|_| ())
}

/// Ends a step, and forgets what held until long ago.
fn end(tx: &Transaction<'_>, number: i64, step: i64) -> rusqlite::Result<()> {
    use_line(tx, number)?;
    tx.execute("UPDATE line SET step = ?2 WHERE number = ?1", params![number, step])?;
    tx.execute("DELETE FROM entry WHERE line = ?1 AND until < ?2", params![number, step - STEPS])?;
    Ok(())
}

/// A step while it is taken.
struct Step<'a> {
    tx: &'a Transaction<'a>,
    home: &'a Home,
    line: i64,
    /// The step's own number: what it changes holds from here on.
    step: i64,
    changed: bool,
}

const COLUMNS: &str = "SELECT key, path, mark, presence FROM entry WHERE line = ?1 AND until = ?2";

fn number_of(presence: Presence) -> i64 {
    match presence {
        Presence::There => 0,
        Presence::Gone => 1,
        Presence::Before => 2,
    }
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let presence = match row.get::<_, i64>(3)? {
        0 => Presence::There,
        1 => Presence::Gone,
        _ => Presence::Before,
    };
    Ok(Known { key: row.get(0)?, path: row.get(1)?, mark: row.get(2)?, presence })
}

impl Step<'_> {
    fn told<T>(&self, done: rusqlite::Result<T>) -> Result<T> {
        done.map_err(|error| FILE.failed(self.home, &error))
    }

    /// What was known of a record holds no longer.
    fn close(&self, key: &str) -> rusqlite::Result<usize> {
        let own = self
            .tx
            .prepare_cached("DELETE FROM entry WHERE line = ?1 AND key = ?2 AND since = ?3")?
            .execute(params![self.line, key, self.step])?;
        let sql = "UPDATE entry SET until = ?3 WHERE line = ?1 AND key = ?2 AND until = ?4";
        let earlier = self.tx.prepare_cached(sql)?.execute(params![self.line, key, self.step, OPEN])?;
        Ok(own + earlier)
    }

    fn replace(&self, known: &Known) -> rusqlite::Result<()> {
        self.close(&known.key)?;
        self.tx
            .prepare_cached(
                "INSERT INTO entry (line, key, since, until, presence, path, mark) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                self.line,
                known.key,
                self.step,
                OPEN,
                number_of(known.presence),
                known.path,
                known.mark
            ])?;
        Ok(())
    }

    fn turn_all(&self, tree: Option<&str>, from: Presence, to: Presence) -> rusqlite::Result<usize> {
        // Everything under a path lies between it with a slash and it with the character behind the slash.
        let (path, first, behind) = match tree {
            Some(path) => (Some(path.to_owned()), format!("{path}/"), format!("{path}0")),
            None => (None, String::new(), String::new()),
        };
        let those = "line = ?1 AND until = ?2 AND presence = ?3 \
                     AND (?4 IS NULL OR path = ?4 OR (path >= ?5 AND path < ?6))";
        let run = |sql: String| {
            let (from, to) = (number_of(from), number_of(to));
            let place = params![self.line, OPEN, from, path, first, behind, self.step, to];
            self.tx.prepare_cached(&sql)?.execute(place)
        };
        let own = run(format!("UPDATE entry SET presence = ?8 WHERE {those} AND since = ?7"))?;
        run(format!(
            "INSERT INTO entry (line, key, since, until, presence, path, mark)
             SELECT line, key, ?7, until, ?8, path, mark FROM entry WHERE {those} AND since < ?7"
        ))?;
        // All take the same parameters, this one for nothing.
        let earlier =
            run(format!("UPDATE entry SET until = ?7 WHERE {those} AND since < ?7 AND ?8 IS NOT NULL"))?;
        Ok(own + earlier)
    }
}

impl Entries for Step<'_> {
    fn by_key(&mut self, key: &str) -> Result<Option<Known>> {
        let find = || {
            let mut statement = self.tx.prepare_cached(&format!("{COLUMNS} AND key = ?3"))?;
            statement.query_row(params![self.line, OPEN, key], known).optional()
        };
        self.told(find())
    }

    fn at_path(&mut self, path: &str) -> Result<Option<Known>> {
        let find = || {
            let mut statement =
                self.tx.prepare_cached(&format!("{COLUMNS} AND presence = 0 AND path = ?3"))?;
            statement.query_row(params![self.line, OPEN, path], known).optional()
        };
        self.told(find())
    }

    fn put(&mut self, known: &Known) -> Result<()> {
        self.changed = true;
        self.told(self.replace(known))
    }

    fn forget(&mut self, key: &str) -> Result<()> {
        let closed = self.told(self.close(key))?;
        self.changed |= closed > 0;
        Ok(())
    }

    fn turn(&mut self, tree: Option<&str>, from: Presence, to: Presence) -> Result<()> {
        let turned = self.told(self.turn_all(tree, from, to))?;
        self.changed |= turned > 0;
        Ok(())
    }

    fn some(&mut self, presence: Presence, most: usize) -> Result<Vec<Known>> {
        let find = || {
            let sql = format!("{COLUMNS} AND presence = ?3 ORDER BY path LIMIT ?4");
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            self.tx
                .prepare_cached(&sql)?
                .query_map(params![self.line, OPEN, number_of(presence), most], known)?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        self.told(find())
    }
}
