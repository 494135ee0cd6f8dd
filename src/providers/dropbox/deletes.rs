//! Deleting. Dropbox deletes whatever an id names, a folder with all that is in it, so each entry is looked at first:
//! what is not of the type stays.
//!
//! Source: the Stone specification (`delete_v2`, `delete_batch`).

use serde_json::{Value as Json, json};

use super::api;
use super::records::DropboxRecords;
use super::writes::{PAUSE, TURNS, miscounted, no_outcome, success};
use crate::error::{ErrorKind, Result};
use crate::provider::{Context, Outcome, VersionedKey};
use crate::record::Key;

impl DropboxRecords {
    /// Deletes files or folders, these with all that is in them.
    pub(super) async fn delete_entries(&self, cx: &Context, rows: &[VersionedKey]) -> Result<Vec<Outcome>> {
        let ids: Vec<Result<String>> = rows.iter().map(|row| self.named("id", &row.key)).collect();
        let looked = self.own_entries(cx, "delete", &ids).await?;
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(rows.len());
        let mut waiting: Vec<(usize, Json)> = Vec::new();
        for (place, (row, looked)) in rows.iter().zip(looked).enumerate() {
            outcomes.push(match looked {
                Ok((id, _)) => {
                    let mut entry = json!({ "path": id });
                    if let Some(rev) = &row.if_version {
                        entry["parent_rev"] = rev.as_str().into();
                    }
                    waiting.push((place, entry));
                    None
                }
                Err(error) => Some(Outcome::Failed(self.about("delete")(error))),
            });
        }
        if let [(place, entry)] = waiting.as_slice() {
            let gone = self.delete_one(cx, &rows[*place].key, entry).await;
            if let Err(error) = &gone
                && rows.len() == 1
                && !error.leaves_open()
                && error.kind() != ErrorKind::Conflict
            {
                return Err(error.clone());
            }
            outcomes[*place] = Some(self.settled(gone, "delete", None));
        } else {
            self.delete_many(cx, rows, waiting, &mut outcomes).await?;
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(no_outcome)).collect())
    }

    async fn delete_one(&self, cx: &Context, key: &Key, entry: &Json) -> Result<Outcome> {
        // An entry that is gone when it is deleted again was deleted.
        let call = api::rpc("delete", "files/delete_v2", entry).idempotent(true);
        match self.account.send(cx, call).await {
            Ok(_) => Ok(Outcome::Deleted(key.clone())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::Deleted(key.clone())),
            Err(error) => Err(error),
        }
    }

    async fn delete_many(
        &self,
        cx: &Context,
        rows: &[VersionedKey],
        mut waiting: Vec<(usize, Json)>,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<()> {
        let key = |place: usize| rows[place].key.clone();
        for turn in 1..=TURNS {
            if waiting.is_empty() {
                break;
            }
            let entries: Vec<&Json> = waiting.iter().map(|(_, entry)| entry).collect();
            let call =
                api::rpc("delete", "files/delete_batch", &json!({ "entries": entries })).idempotent(true);
            let answer = self.account.ask::<Json>(cx, "a batch of deletions", call).await;
            let answered = match answer {
                Ok(answer) => self.account.finished(cx, "delete", "files/delete_batch/check", answer).await,
                Err(error) if outcomes.iter().all(Option::is_none) && !error.leaves_open() => {
                    return Err(error);
                }
                Err(error) => Err(error),
            };
            let results = match answered {
                Ok(results) if results.len() == waiting.len() => results,
                other => {
                    let error = other.err().unwrap_or_else(miscounted);
                    for (place, _) in &waiting {
                        outcomes[*place] = Some(self.settled(Err(error.clone()), "delete", None));
                    }
                    break;
                }
            };
            let mut again = Vec::new();
            for ((place, entry), result) in waiting.into_iter().zip(results) {
                let gone = match success(&result, Some("metadata")) {
                    Ok(_) => Ok(Outcome::Deleted(key(place))),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::Deleted(key(place))),
                    Err(error) if error.kind() == ErrorKind::RateLimited && turn < TURNS => {
                        again.push((place, entry));
                        continue;
                    }
                    Err(error) => Err(error),
                };
                outcomes[place] = Some(self.settled(gone, "delete", None));
            }
            waiting = again;
            if !waiting.is_empty() {
                cx.clock.sleep(PAUSE * 2_u32.pow(turn - 1)).await;
            }
        }
        Ok(())
    }
}
