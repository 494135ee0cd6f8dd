//! Data keys: wrapped by the master key, each sealing records of the store.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};
use zeroize::Zeroizing;

use super::database::failed;
use crate::connect::connection::Connection;
use crate::connect::home::Home;
use crate::connect::key::{KEY_FILE, KeySettings, MasterKey};
use crate::connect::seal::{KEY_BYTES, KeyBytes, Label, SealingKey, random_key};
use crate::error::{Error, Result};

/// The present master keys and the data keys that they have opened.
pub(super) struct Keys<'a> {
    pub(super) home: &'a Home,
    pub(super) settings: &'a KeySettings,
    pub(super) masters: &'a mut Vec<MasterKey>,
    pub(super) opened: &'a mut HashMap<String, Arc<SealingKey>>,
}

pub(super) fn label<'a>(connection: &'a Connection, purpose: &'a str, binding: &'a str) -> Label<'a> {
    Label { owner: &connection.id, provider: &connection.provider, purpose, binding }
}

pub(super) fn data_key_label(id: &str) -> Label<'_> {
    Label { owner: "", provider: "", purpose: "data-key", binding: id }
}

impl Keys<'_> {
    /// The data key with this id, when a present master key opens it.
    pub(super) fn find(&mut self, db: &rusqlite::Connection, id: &str) -> Result<Option<Arc<SealingKey>>> {
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
    pub(super) fn sealing(&mut self, tx: &Transaction<'_>) -> Result<Arc<SealingKey>> {
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
    pub(super) fn missing(&self, db: &rusqlite::Connection, id: &str) -> Error {
        let wanted: String = db
            .query_row("SELECT master_key FROM data_key WHERE id = ?1", [id], |row| row.get(0))
            .unwrap_or_else(|_| "?".to_owned());
        match self.masters.first() {
            None => Error::local(format!("the master key of this store ({wanted}) is missing"))
                .with_code("master_key_missing")
                .with_advice(format!(
                    "Set RECORDPORT_MASTER_KEY, restore {}, or unlock the keyring; without the key, sign in \
                     again with `recordport connections remove` and `connect`",
                    self.home.file(KEY_FILE).display()
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

pub(super) fn new_data_key(
    home: &Home,
    tx: &Transaction<'_>,
    master: &MasterKey,
) -> Result<(Arc<SealingKey>, String)> {
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

pub(super) fn seal_into(
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
