//! Files and folders as stored, what became of them, and the journal that cursors read.
//!
//! Paths here begin at the team's root. What the seed made is made anew at each look; only what changed is
//! kept.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use super::content::Content;
use super::seed::Seed;

/// A file or folder.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: u64,
    /// As people wrote it.
    pub(super) path: String,
    pub(super) kind: Kind,
    /// Property groups: template and its fields.
    pub(super) properties: Vec<Value>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Folder,
    /// Revisions, the newest last; never empty.
    File(Vec<Revision>),
}

#[derive(Debug, Clone)]
pub(super) struct Revision {
    pub(super) rev: u64,
    pub(super) content: Content,
    pub(super) client_modified: Timestamp,
    pub(super) server_modified: Timestamp,
}

impl Revision {
    pub(super) fn text(&self) -> String {
        rev_text(self.rev)
    }
}

pub(super) fn rev_text(rev: u64) -> String {
    format!("016{rev:014x}")
}

pub(super) fn parse_rev(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("016").filter(|digits| digits.len() >= 14)?;
    u64::from_str_radix(digits, 16).ok()
}

impl Node {
    pub(super) fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(_, name)| name)
    }

    pub(super) fn lower(&self) -> String {
        self.path.to_lowercase()
    }

    pub(super) fn is_folder(&self) -> bool {
        matches!(self.kind, Kind::Folder)
    }

    pub(super) fn latest(&self) -> Option<&Revision> {
        match &self.kind {
            Kind::File(revisions) => revisions.last(),
            Kind::Folder => None,
        }
    }
}

/// Something that was deleted: what it was.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub(super) node: Node,
    pub(super) at: Timestamp,
}

/// One entry of the journal.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) path: String,
    /// `None`: what stood there went away.
    pub(super) node: Option<u64>,
}

/// Everything that is stored.
#[derive(Debug)]
pub(super) struct Tree {
    seed: Seed,
    mark: u64,
    /// Entries that are not as the seed has them; `None`: no longer there.
    changed: BTreeMap<u64, Option<Node>>,
    /// Paths, in lower case, of changed entries that are there.
    paths: BTreeMap<String, u64>,
    gone: BTreeMap<String, Gone>,
    journal: Vec<Event>,
    next_id: u64,
    next_rev: u64,
}

impl Tree {
    pub(super) fn new(seed: Seed, mark: u64) -> Self {
        let end = seed.end();
        Self {
            seed,
            mark,
            changed: BTreeMap::new(),
            paths: BTreeMap::new(),
            gone: BTreeMap::new(),
            journal: Vec::new(),
            next_id: end,
            next_rev: end << 8,
        }
    }

    /// The id that clients see: it says nothing to them and leads back to the number here.
    pub(super) fn id_text(&self, id: u64) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.mark.to_be_bytes());
        bytes[8..].copy_from_slice(&(id ^ self.mark.rotate_left(17)).to_be_bytes());
        format!("id:{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn parse_id(&self, text: &str) -> Option<u64> {
        let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(text.strip_prefix("id:")?).ok()?.try_into().ok()?;
        let value = u128::from_be_bytes(bytes);
        ((value >> 64) as u64 == self.mark).then_some(value as u64 ^ self.mark.rotate_left(17))
    }

    pub(super) fn node(&self, id: u64) -> Option<Node> {
        match self.changed.get(&id) {
            Some(changed) => changed.clone(),
            None => self.seed.node(id),
        }
    }

    /// What stands at a path, in any case.
    pub(super) fn at(&self, path: &str) -> Option<Node> {
        let lower = path.to_lowercase();
        if let Some(id) = self.paths.get(&lower) {
            return self.node(*id);
        }
        let id = self.seed.find(&lower)?;
        if self.changed.contains_key(&id) { None } else { self.seed.node(id) }
    }

    /// A revision of some file, present or deleted, with its file.
    pub(super) fn revision(&self, rev: u64) -> Option<(Node, Revision)> {
        let held = |node: &Node| match &node.kind {
            Kind::File(revisions) => revisions.iter().find(|own| own.rev == rev).cloned(),
            Kind::Folder => None,
        };
        let seeded = self.node(rev >> 8).and_then(|node| Some((held(&node)?, node)));
        let found = seeded.or_else(|| {
            let changed = self.changed.values().flatten();
            changed
                .chain(self.gone.values().map(|gone| &gone.node))
                .find_map(|node| held(node).map(|revision| (revision, node.clone())))
        });
        found.map(|(revision, node)| (node, revision))
    }

    /// Entries under a folder from a number on, folders before what is in them unless they were moved.
    pub(super) fn under<'a>(
        &'a self,
        folder: &'a str,
        recursive: bool,
        from: u64,
    ) -> impl Iterator<Item = Node> + 'a {
        let seeded = self.seed.under(folder, recursive, from);
        let untouched =
            seeded.filter(|id| !self.changed.contains_key(id)).filter_map(|id| self.seed.node(id));
        let changed = self.changed.range(from..).filter_map(|(_, node)| node.clone());
        // Both come in the order of their numbers.
        merge(untouched, changed).filter(move |node| is_under(&node.lower(), folder, recursive))
    }

    pub(super) fn gone(&self) -> &BTreeMap<String, Gone> {
        &self.gone
    }

    pub(super) fn journal(&self) -> &[Event] {
        &self.journal
    }

    pub(super) fn new_rev(&mut self) -> u64 {
        self.next_rev += 1;
        self.next_rev
    }

    /// Makes an entry, behind the folders above it that are missing.
    pub(super) fn add(&mut self, path: &str, kind: Kind, properties: Vec<Value>) -> Node {
        let path = self.settle(path);
        self.next_id += 1;
        self.put(Node { id: self.next_id, path, kind, properties })
    }

    /// Puts an entry where its path says, and all folders above it that are missing.
    pub(super) fn put(&mut self, mut node: Node) -> Node {
        node.path = self.settle(&node.path);
        let lower = node.lower();
        if let Some(Some(before)) = self.changed.get(&node.id) {
            self.paths.remove(&before.lower());
        }
        self.gone.remove(&lower);
        self.paths.insert(lower.clone(), node.id);
        self.changed.insert(node.id, Some(node.clone()));
        self.journal.push(Event { path: node.path.clone(), node: Some(node.id) });
        node
    }

    /// The path with its folders as they are called already; makes those that are missing.
    fn settle(&mut self, path: &str) -> String {
        let Some((parent, name)) = path.rsplit_once('/') else { return path.to_owned() };
        if parent.is_empty() {
            return path.to_owned();
        }
        let parent = match self.at(parent) {
            Some(folder) => folder.path,
            None => self.add(parent, Kind::Folder, Vec::new()).path,
        };
        format!("{parent}/{name}")
    }

    /// Takes an entry away with all that is in it. The journal names the entry alone.
    pub(super) fn remove(&mut self, node: &Node, now: Timestamp) {
        let lower = node.lower();
        let inside: Vec<Node> = match node.kind {
            Kind::Folder => self.under(&lower, true, 0).collect(),
            Kind::File(_) => Vec::new(),
        };
        for node in inside.into_iter().chain([node.clone()]) {
            self.changed.insert(node.id, None);
            let lower = node.lower();
            self.paths.remove(&lower);
            self.gone.insert(lower, Gone { node, at: now });
        }
        self.journal.push(Event { path: node.path.clone(), node: None });
    }

    /// Moves an entry with all that is in it.
    pub(super) fn relocate(&mut self, node: &Node, to: &str) -> Node {
        let (from, lower) = (node.path.clone(), node.lower());
        let inside: Vec<Node> = match node.kind {
            Kind::Folder => self.under(&lower, true, 0).filter(|own| own.id != node.id).collect(),
            Kind::File(_) => Vec::new(),
        };
        for own in inside.iter().chain([node]) {
            self.changed.insert(own.id, None);
            self.paths.remove(&own.lower());
        }
        self.journal.push(Event { path: from.clone(), node: None });
        let moved = self.put(Node { path: to.to_owned(), ..node.clone() });
        for own in inside {
            let rest = own.path.get(from.len()..).unwrap_or_default().to_owned();
            self.put(Node { path: format!("{}{rest}", moved.path), ..own });
        }
        moved
    }

    /// Copies an entry with all that is in it; copies have ids and revisions of their own.
    pub(super) fn copy(&mut self, node: &Node, to: &str, now: Timestamp) -> Node {
        let (from, lower) = (node.path.clone(), node.lower());
        let inside: Vec<Node> = match node.kind {
            Kind::Folder => self.under(&lower, true, 0).filter(|own| own.id != node.id).collect(),
            Kind::File(_) => Vec::new(),
        };
        let first = self.add_copy(node, to, now);
        for own in inside {
            let rest = own.path.get(from.len()..).unwrap_or_default().to_owned();
            self.add_copy(&own, &format!("{}{rest}", first.path), now);
        }
        first
    }

    fn add_copy(&mut self, node: &Node, path: &str, now: Timestamp) -> Node {
        let kind = match node.latest() {
            None => Kind::Folder,
            Some(latest) => {
                let rev = self.new_rev();
                Kind::File(vec![Revision { rev, server_modified: now, ..latest.clone() }])
            }
        };
        self.add(path, kind, node.properties.clone())
    }
}

/// Whether a path in lower case stands under a folder; a folder does not stand under itself.
pub(super) fn is_under(path: &str, folder: &str, recursive: bool) -> bool {
    path.strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|rest| recursive || !rest.contains('/'))
}

/// Two lists, each by number, as one.
fn merge(one: impl Iterator<Item = Node>, other: impl Iterator<Item = Node>) -> impl Iterator<Item = Node> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if second.id < first.id => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}
