//! A folder of this disk as the account's files.
//!
//! Links are not followed, so that nothing outside of the folder gets in; what is neither file nor folder is
//! left out, and so are names that the service keeps no file of, such as `.DS_Store`. A name that no path of the
//! service can hold is told.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;

use super::content::Content;
use super::places::{is_disallowed, is_malformed};
use super::tree::{Kind, Revision, Tree};

/// Folders within folders.
const DEEPEST: usize = 64;
/// Files and folders of one import.
const MOST: usize = 100_000;

/// One imported entry: its path in the account, and what is in it when it is a file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    path: String,
    file: Option<(Bytes, Timestamp)>,
}

pub(super) fn read(folder: &Path) -> Result<Vec<Entry>, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    let kind = fs::symlink_metadata(folder).map_err(|error| told(&error))?;
    if !kind.is_dir() {
        return Err(format!("{} is not a folder", folder.display()));
    }
    let mut out = Vec::new();
    walk(folder, "", 0, &mut out).map_err(|error| told(&error))?;
    Ok(out)
}

fn walk(folder: &Path, under: &str, depth: usize, out: &mut Vec<Entry>) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("folders are nested deeper than {DEEPEST}"));
    }
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| error.to_string())?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| format!("{name:?} is not Unicode"))?;
        let path = format!("{under}/{name}");
        if is_malformed(&format!("/{name}")) {
            return Err(format!("{path:?}: no path of Dropbox can hold this name"));
        }
        if is_disallowed(&path) {
            continue;
        }
        let metadata = entry.path().symlink_metadata().map_err(|error| error.to_string())?;
        if out.len() >= MOST {
            return Err(format!("there are more than {MOST} files and folders"));
        }
        if metadata.is_dir() {
            out.push(Entry { path: path.clone(), file: None });
            walk(&entry.path(), &path, depth + 1, out)?;
        } else if metadata.is_file() {
            let bytes = fs::read(entry.path()).map_err(|error| format!("{path}: {error}"))?;
            let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
            out.push(Entry { path, file: Some((bytes.into(), modified.unwrap_or_else(super::epoch))) });
        }
    }
    Ok(())
}

/// Puts imported entries into the account.
pub(super) fn apply(tree: &mut Tree, home: &str, entries: &[Entry]) {
    for entry in entries {
        let path = format!("{home}{}", entry.path);
        if tree.at(&path).is_some() {
            continue;
        }
        let kind = match &entry.file {
            None => Kind::Folder,
            Some((bytes, modified)) => Kind::File(vec![Revision {
                rev: tree.new_rev(),
                content: Content::given(vec![bytes.clone()]),
                client_modified: *modified,
                server_modified: *modified,
            }]),
        };
        tree.add(&path, kind, Vec::new());
    }
}
