//! The records that the lookups of a run create, in its journal: written down before the target is asked for them, so
//! that a run which dies in between finds out what became of them instead of creating them again.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{TransactionBehavior, params};

use super::journal::Journal;
use crate::error::Result;
use crate::mapping::lookup::{Diary, Noted};

/// What the lookups of one run create.
#[derive(Debug, Clone)]
pub(super) struct Made {
    journal: Journal,
    run: String,
}

impl Made {
    pub(super) fn new(journal: &Journal, run: &str) -> Self {
        Self { journal: journal.clone(), run: run.to_owned() }
    }
}

#[async_trait]
impl Diary for Made {
    fn run(&self) -> &str {
        &self.run
    }

    async fn begin(&self, names: &[String], now: Timestamp) -> Result<Vec<Noted>> {
        let (run, names, now_text) = (self.run.clone(), names.to_vec(), now.to_string());
        self.journal
            .work(move |db| {
                let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let mut noted = Vec::with_capacity(names.len());
                for name in &names {
                    let new = tx
                        .prepare_cached("INSERT OR IGNORE INTO made (run, name, since) VALUES (?1, ?2, ?3)")?
                        .execute(params![run, name, now_text])?;
                    let (since, key): (String, Option<String>) = tx
                        .prepare_cached("SELECT since, key FROM made WHERE run = ?1 AND name = ?2")?
                        .query_row(params![run, name], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    noted.push(Noted { since: since.parse().unwrap_or(now), sent: new == 0, key });
                }
                tx.commit()?;
                Ok(noted)
            })
            .await
    }

    async fn made(&self, made: &[(String, String)]) -> Result<()> {
        let (run, made) = (self.run.clone(), made.to_vec());
        self.journal
            .work(move |db| {
                let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                for (name, key) in &made {
                    tx.prepare_cached("UPDATE made SET key = ?3 WHERE run = ?1 AND name = ?2")?
                        .execute(params![run, name, key])?;
                }
                tx.commit()
            })
            .await
    }
}
