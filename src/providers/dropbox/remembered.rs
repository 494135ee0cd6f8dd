//! What a feed of changes remembers between its pages: which record stands at which path. Dropbox tells of a deletion
//! by its path alone, and of a deleted folder without what was in it. Here is the form in which a checkpoint carries it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::provider::changes::mark;
use crate::provider::feed_memory::{Entries, Known, Presence};

/// Entries that a checkpoint carries at most, unless the connection says otherwise.
pub(super) const MOST: u32 = 20_000;

/// A record as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    #[serde(rename = "i")]
    id: String,
    /// A mark of what was seen: revision and path.
    #[serde(rename = "m")]
    mark: u32,
}

/// A mark of what is seen of an entry.
pub(super) fn sight(rev: &str, path: &str) -> u32 {
    (mark(&[rev.as_bytes(), path.as_bytes()]) & u64::from(u32::MAX)) as u32
}

/// Records by their paths in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Remembered(BTreeMap<String, Seen>);

impl Remembered {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn insert(&mut self, known: Known) {
        self.0.insert(known.path, Seen { id: known.key, mark: known.mark });
    }

    fn known(self, presence: Presence) -> impl Iterator<Item = Known> {
        self.0.into_iter().map(move |(path, seen)| Known { key: seen.id, path, mark: seen.mark, presence })
    }
}

/// What a checkpoint carries, while a page is worked on.
#[derive(Debug, Default)]
pub(super) struct Carried {
    known: BTreeMap<String, Known>,
    /// Keys of what is there, by path.
    there: BTreeMap<String, String>,
}

impl Carried {
    /// What is there, what was there before everything was listed once more, and the paths of what is gone by key.
    pub(super) fn of(seen: Remembered, before: Remembered, gone: BTreeMap<String, String>) -> Self {
        let gone = gone.into_iter().map(|(key, path)| Known { key, path, mark: 0, presence: Presence::Gone });
        let mut out = Self::default();
        for known in before.known(Presence::Before).chain(gone).chain(seen.known(Presence::There)) {
            out.keep(known);
        }
        out
    }

    /// The parts that it was made of.
    pub(super) fn into_parts(self) -> (Remembered, Remembered, BTreeMap<String, String>) {
        let (mut seen, mut before) = (Remembered::default(), Remembered::default());
        let mut gone = BTreeMap::new();
        for known in self.known.into_values() {
            match known.presence {
                Presence::There => seen.insert(known),
                Presence::Before => before.insert(known),
                Presence::Gone => {
                    gone.insert(known.key, known.path);
                }
            }
        }
        (seen, before, gone)
    }

    /// How many records are there.
    pub(super) fn len(&self) -> usize {
        self.there.len()
    }

    /// Everything that is known.
    pub(super) fn into_known(self) -> Vec<Known> {
        self.known.into_values().collect()
    }

    pub(super) fn keep(&mut self, known: Known) {
        self.take(&known.key);
        if known.presence == Presence::There {
            self.there.insert(known.path.clone(), known.key.clone());
        }
        self.known.insert(known.key.clone(), known);
    }

    fn take(&mut self, key: &str) {
        if let Some(before) = self.known.remove(key)
            && self.there.get(&before.path).is_some_and(|own| own == key)
        {
            self.there.remove(&before.path);
        }
    }

    /// Keys of what is at a path and under it.
    fn tree(&self, path: &str) -> Vec<String> {
        let inside = format!("{path}/");
        // Everything under a path follows it, with names beside it in between.
        let under = self.there.range(inside.clone()..).take_while(|(own, _)| own.starts_with(&inside));
        self.there.get(path).into_iter().chain(under.map(|(_, key)| key)).cloned().collect()
    }
}

impl Entries for Carried {
    fn by_key(&mut self, key: &str) -> Result<Option<Known>> {
        Ok(self.known.get(key).cloned())
    }

    fn at_path(&mut self, path: &str) -> Result<Option<Known>> {
        Ok(self.there.get(path).and_then(|key| self.known.get(key)).cloned())
    }

    fn put(&mut self, known: &Known) -> Result<()> {
        self.keep(known.clone());
        Ok(())
    }

    fn forget(&mut self, key: &str) -> Result<()> {
        self.take(key);
        Ok(())
    }

    fn turn(&mut self, tree: Option<&str>, from: Presence, to: Presence) -> Result<()> {
        let keys: Vec<String> = match tree {
            Some(path) if from == Presence::There => self.tree(path),
            Some(path) => {
                let inside = format!("{path}/");
                let under = |known: &&Known| known.path == path || known.path.starts_with(&inside);
                self.known.values().filter(under).map(|known| known.key.clone()).collect()
            }
            None => self.known.keys().cloned().collect(),
        };
        for key in keys {
            if let Some(known) = self.known.get(&key).filter(|known| known.presence == from).cloned() {
                self.keep(Known { presence: to, ..known });
            }
        }
        Ok(())
    }

    fn some(&mut self, presence: Presence, most: usize) -> Result<Vec<Known>> {
        let mut found: Vec<Known> =
            self.known.values().filter(|known| known.presence == presence).cloned().collect();
        found.sort_by(|one, other| one.path.cmp(&other.path));
        found.truncate(most);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(key: &str, path: &str) -> Known {
        Known { key: key.to_owned(), path: path.to_owned(), mark: 1, presence: Presence::There }
    }

    #[test]
    fn a_tree_goes_with_all_that_is_in_it_and_nothing_else() {
        let mut carried = Carried::default();
        for (at, path) in ["/a", "/a b", "/a/x", "/a/x/y", "/a-", "/a/z", "/b"].into_iter().enumerate() {
            carried.keep(there(&format!("id:{at}"), path));
        }
        carried.turn(Some("/a"), Presence::There, Presence::Gone).unwrap();
        let gone = carried.some(Presence::Gone, 9).unwrap();
        assert_eq!(
            gone.iter().map(|known| known.path.as_str()).collect::<Vec<_>>(),
            ["/a", "/a/x", "/a/x/y", "/a/z"]
        );
        assert_eq!(carried.len(), 3);
        assert_eq!(carried.some(Presence::Gone, 2).unwrap().len(), 2);
    }

    #[test]
    fn what_a_checkpoint_carries_reads_back_as_it_was() {
        let mut carried = Carried::default();
        carried.keep(there("id:1", "/a"));
        carried.keep(there("id:2", "/b"));
        carried.keep(there("id:3", "/c"));
        carried.turn(Some("/b"), Presence::There, Presence::Gone).unwrap();
        carried.turn(Some("/c"), Presence::There, Presence::Before).unwrap();
        let before = carried.known.clone();
        let (seen, old, gone) = carried.into_parts();
        let mut again = Carried::of(seen, old, gone);
        assert_eq!(again.by_key("id:1").unwrap(), before.get("id:1").cloned());
        assert_eq!(again.by_key("id:3").unwrap(), before.get("id:3").cloned());
        assert_eq!(again.by_key("id:2").unwrap().unwrap().presence, Presence::Gone);
        assert_eq!(again.len(), 1);
    }

    #[test]
    fn a_record_that_moves_leaves_its_path_to_another() {
        let mut carried = Carried::default();
        carried.keep(there("id:1", "/a"));
        carried.keep(there("id:1", "/b"));
        carried.keep(there("id:2", "/a"));
        assert_eq!(carried.at_path("/a").unwrap(), Some(there("id:2", "/a")));
        carried.keep(there("id:1", "/c"));
        assert_eq!(carried.len(), 2);
    }
}
