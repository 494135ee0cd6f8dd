//! The folders and files that are there at the start, each a function of its number.
//!
//! Numbers below [`Seed::first_file`] are folders. A file's name holds its number within its folder, so that a
//! path leads back to it without a list of all paths.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::content::Content;
use super::tree::{Kind, Node, Revision};
use crate::emulator::chance::{mix, word};

/// Files in all at scale 1.
const FILES: u64 = 5_000;
const YEARS: u64 = 5;
const FIRST_YEAR: u64 = 2021;
/// Folders of the account's own space, and the extension of the files in them.
const TOPS: [(&str, &str); 10] = [
    ("Reports", "pdf"),
    ("Invoices", "pdf"),
    ("Contracts", "docx"),
    ("Fotos 📷", "jpg"),
    ("Müller & Söhne", "xlsx"),
    ("日本語 資料", "txt"),
    ("Lists", "csv"),
    ("Notes", "md"),
    ("Übergabe", "zip"),
    ("Plans \"draft\"", "json"),
];
const STEMS: [&str; 12] = [
    "Report",
    "Summary",
    "Größe",
    "naïve plan",
    "報告",
    "O'Brien",
    "Überblick",
    "🚀 launch",
    "Final",
    "copy of list",
    "São Paulo",
    "memo",
];
/// The earliest first revision: 2024-06-01T08:00:00Z.
const BEGINNING: i64 = 1_717_228_800;

/// Space of the team, then that of the member.
pub(super) const TEAM_FOLDER: &str = "/Everyone";

/// The entries of the start.
#[derive(Debug)]
pub(super) struct Seed {
    seed: u64,
    files: u64,
    folders: Vec<String>,
    by_path: HashMap<String, u64>,
}

impl Seed {
    pub(super) fn new(seed: u64, home: &str, scale: u64, empty: bool) -> Self {
        let mut folders = vec![home.to_owned(), TEAM_FOLDER.to_owned()];
        if !empty {
            folders.extend(TOPS.iter().map(|(top, _)| format!("{home}/{top}")));
            for (top, _) in TOPS {
                folders.extend((0..YEARS).map(|year| format!("{home}/{top}/{}", FIRST_YEAR + year)));
            }
        }
        let by_path = (0..).zip(&folders).map(|(id, path)| (path.to_lowercase(), id)).collect();
        let files = if empty { 0 } else { FILES * scale.clamp(1, 10_000_000) };
        Self { seed, files, folders, by_path }
    }

    /// Numbers below are folders.
    fn first_file(&self) -> u64 {
        self.folders.len() as u64
    }

    /// Numbers from here on are not of the seed.
    pub(super) fn end(&self) -> u64 {
        self.first_file() + self.files
    }

    const fn leaves() -> u64 {
        TOPS.len() as u64 * YEARS
    }

    pub(super) fn node(&self, id: u64) -> Option<Node> {
        if let Some(path) = self.folders.get(usize::try_from(id).ok()?) {
            return Some(Node { id, path: path.clone(), kind: Kind::Folder, properties: Vec::new() });
        }
        let number = id.checked_sub(self.first_file()).filter(|number| *number < self.files)?;
        let (leaf, place) = (number % Self::leaves(), number / Self::leaves());
        let top = usize::try_from(leaf / YEARS).unwrap_or_default();
        let folder = self.folders.get(2 + TOPS.len() + usize::try_from(leaf).ok()?)?;
        let hash = mix(self.seed ^ mix(number));
        let extension = TOPS.get(top).map_or("txt", |(_, extension)| extension);
        let path = format!("{folder}/{} {place:05}.{extension}", word(&STEMS, hash));
        Some(Node { id, path, kind: Kind::File(revisions(id, hash)), properties: Vec::new() })
    }

    /// The number of what stands at a path in lower case.
    pub(super) fn find(&self, path: &str) -> Option<u64> {
        if let Some(id) = self.by_path.get(path) {
            return Some(*id);
        }
        let (folder, name) = path.rsplit_once('/')?;
        let leaf = self.leaf(folder)?;
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let place: u64 = stem.rsplit_once(' ')?.1.parse().ok()?;
        let id = self.first_file() + place.checked_mul(Self::leaves())?.checked_add(leaf)?;
        (self.node(id)?.path.to_lowercase() == path).then_some(id)
    }

    /// The number of a folder that holds files.
    fn leaf(&self, folder: &str) -> Option<u64> {
        self.by_path.get(folder)?.checked_sub(2 + TOPS.len() as u64)
    }

    /// Numbers from `from` on that may stand under a folder, in order: all of them when `recursive`, else those
    /// directly in it.
    pub(super) fn under<'a>(
        &'a self,
        folder: &str,
        recursive: bool,
        from: u64,
    ) -> Box<dyn Iterator<Item = u64> + 'a> {
        let first = self.first_file();
        if !folder.is_empty() && !self.by_path.contains_key(folder) {
            return Box::new(std::iter::empty());
        }
        if let Some(leaf) = self.leaf(folder) {
            let before = from.saturating_sub(first + leaf);
            let start = first + leaf + before.div_ceil(Self::leaves()) * Self::leaves();
            let step = usize::try_from(Self::leaves()).unwrap_or(1);
            return Box::new((start..self.end()).step_by(step));
        }
        Box::new(from..if recursive { self.end() } else { first.max(from) })
    }
}

/// One to three revisions, the newest last.
fn revisions(id: u64, hash: u64) -> Vec<Revision> {
    let count = 1 + (hash >> 8) % 3;
    (0..count)
        .map(|turn| {
            let age = (mix(hash) % 500) as i64 * 86_400 + turn as i64 * 3_600;
            let made = Timestamp::from_second(BEGINNING + age).unwrap_or(Timestamp::UNIX_EPOCH);
            let size = if hash.is_multiple_of(97) && turn == 0 { 0 } else { 40 + mix(hash ^ turn) % 1_500 };
            Revision {
                rev: (id << 8) | turn,
                content: Content::Made { from: hash ^ turn, size },
                client_modified: made,
                server_modified: made.saturating_add(SignedDuration::from_secs(5)).unwrap_or(made),
            }
        })
        .collect()
}
