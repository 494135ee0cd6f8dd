//! What a feed of changes remembers between its pages: which record stands at which path. Dropbox tells of a deletion
//! by its path alone, and of a deleted folder without what was in it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::provider::changes::mark;

/// Entries that are remembered at most, unless the connection says otherwise; a feed of a larger folder names
/// deletions by their paths.
pub(super) const MOST: u32 = 20_000;

/// A record as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    #[serde(rename = "i")]
    pub(super) id: String,
    /// A mark of what was seen: revision and path.
    #[serde(rename = "m")]
    pub(super) mark: u32,
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

    /// Puts a record at a path; gives what stood there, when it was another.
    pub(super) fn put(&mut self, path: &str, seen: Seen) -> Option<Seen> {
        let id = seen.id.clone();
        self.0.insert(path.to_owned(), seen).filter(|before| before.id != id)
    }

    /// Takes away what stands at a path.
    pub(super) fn take(&mut self, path: &str) -> Option<Seen> {
        self.0.remove(path)
    }

    /// Takes away what stands at a path, when it is this record.
    pub(super) fn take_own(&mut self, path: &str, id: &str) {
        if self.0.get(path).is_some_and(|seen| seen.id == id) {
            self.0.remove(path);
        }
    }

    /// Takes away what stands at a path and under it.
    pub(super) fn take_tree(&mut self, path: &str) -> Vec<(String, Seen)> {
        let inside = format!("{path}/");
        // Everything under a path follows it, with names beside it in between.
        let under: Vec<String> = self
            .0
            .range(inside.clone()..)
            .take_while(|(own, _)| own.starts_with(&inside))
            .map(|(own, _)| own.clone())
            .collect();
        std::iter::once(path.to_owned())
            .chain(under)
            .filter_map(|own| self.0.remove(&own).map(|seen| (own, seen)))
            .collect()
    }

    /// Paths and sights by id.
    pub(super) fn by_id(&self) -> HashMap<String, (String, u32)> {
        self.0.iter().map(|(path, seen)| (seen.id.clone(), (path.clone(), seen.mark))).collect()
    }

    pub(super) fn into_seen(self) -> impl Iterator<Item = (String, Seen)> {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_goes_with_all_that_is_in_it_and_nothing_else() {
        let mut remembered = Remembered::default();
        for (at, path) in ["/a", "/a b", "/a/x", "/a/x/y", "/a-", "/a/z", "/b"].into_iter().enumerate() {
            assert!(remembered.put(path, Seen { id: format!("id:{at}"), mark: 0 }).is_none());
        }
        let taken: Vec<String> = remembered.take_tree("/a").into_iter().map(|(path, _)| path).collect();
        assert_eq!(taken, ["/a", "/a/x", "/a/x/y", "/a/z"]);
        assert_eq!(remembered.len(), 3);
        assert!(remembered.take_tree("/nothing").is_empty());
    }

    #[test]
    fn another_record_at_a_path_is_told_from_the_same() {
        let mut remembered = Remembered::default();
        let seen = |id: &str, mark| Seen { id: id.to_owned(), mark };
        remembered.put("/a", seen("id:1", 1));
        assert_eq!(remembered.put("/a", seen("id:1", 2)), None);
        assert_eq!(remembered.put("/a", seen("id:2", 3)), Some(seen("id:1", 2)));
    }
}
