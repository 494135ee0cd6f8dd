//! A change of the master key: everything is sealed anew in one step.

use std::time::{Duration, Instant};

use super::database::failed;
use super::keys::{label, new_data_key, seal_into};
use super::{Work, parse};
use crate::connect::key::{KeyPlace, MasterKey};
use crate::connect::store::Rekeyed;
use crate::error::{Error, Result};

/// How long another change of keys is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

impl Work<'_> {
    pub(super) fn rekey(&mut self) -> Result<Rekeyed> {
        let home = self.home;
        let lock = home.open_or_create("recordport.lock")?;
        let begun = Instant::now();
        // A process that is just being started holds our own lock for a moment, until its program takes over.
        while lock.try_lock().is_err() {
            if begun.elapsed() > LOCK_PATIENCE {
                return Err(Error::local("another process is changing the master key or making the store")
                    .with_code("rekey_locked")
                    .with_advice("Try again when it has ended"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
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
        if unfinished && present != KeyPlace::Environment {
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
