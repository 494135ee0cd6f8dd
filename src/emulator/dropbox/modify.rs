//! Folders made, entries deleted, moved and copied: one at a time and in batches, whose results are asked for
//! later.

use serde_json::{Value, json};

use super::Space;
use super::arguments::{Arguments, PathKind};
use super::call::Call;
use super::errors::{Refusal, tagged};
use super::metadata::Look;
use super::places::{self, View};
use super::tree::{Kind, Node};

/// Entries that a batch may have.
const BATCH: usize = 1_000;
const FOLDERS: usize = 10_000;

/// What an entry looks like in an answer whose type is the union, or the struct alone.
fn look(space: &Space, view: &View, tag: bool, node: &Node) -> Value {
    Look { tree: &space.tree, view, tag, templates: &[] }.node(node)
}

/// A name that is free: ` (1)`, ` (2)` and so on before the extension.
pub(super) fn free_name(space: &Space, path: &str, is_folder: bool) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !is_folder && !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (name, String::new()),
    };
    (1..)
        .map(|turn: u32| format!("{folder}/{stem} ({turn}){extension}"))
        .find(|candidate| space.tree.at(candidate).is_none())
        .unwrap_or_default()
}

/// Whether some folder of the path is a file.
pub(super) fn has_file_above(space: &Space, path: &str) -> bool {
    let mut rest = path;
    while let Some((parent, _)) = rest.rsplit_once('/') {
        if parent.is_empty() {
            return false;
        }
        if space.tree.at(parent).is_some_and(|node| !node.is_folder()) {
            return true;
        }
        rest = parent;
    }
    false
}

fn conflict(node: &Node) -> &'static str {
    if node.is_folder() { "folder" } else { "file" }
}

fn make_folder(space: &mut Space, view: &View, text: &str, autorename: bool) -> Result<Node, Refusal> {
    let refuse = |tags: &[&str]| {
        let mut all = vec!["path"];
        all.extend(tags);
        Refusal::tags(&all)
    };
    let (mut path, present) =
        places::place(&space.tree, view, &space.home, text).map_err(|tag| refuse(&[tag]))?;
    if let Some(present) = present {
        if !autorename {
            return Err(refuse(&["conflict", conflict(&present)]));
        }
        path = free_name(space, &path, true);
    }
    if has_file_above(space, &path) {
        return Err(refuse(&["conflict", "file_ancestor"]));
    }
    Ok(space.tree.add(&path, Kind::Folder, Vec::new()))
}

pub(super) fn create_folder(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["path", "autorename"])?;
    let text = call.arguments.path("path", PathKind::Write)?;
    let node = make_folder(space, &call.view, text, call.arguments.boolean("autorename", false)?)?;
    let metadata = look(space, &call.view, false, &node);
    Ok(if call.route.ends_with("_v2") { json!({ "metadata": metadata }) } else { metadata })
}

/// Answers at once unless asked otherwise, as the service does for folders.
pub(super) fn create_folders(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["paths", "autorename", "force_async"])?;
    let paths = call.arguments.texts("paths", FOLDERS)?;
    let autorename = call.arguments.boolean("autorename", false)?;
    let force = call.arguments.boolean("force_async", false)?;
    let mut entries = Vec::new();
    for text in &paths {
        entries.push(match make_folder(space, &call.view, text, autorename) {
            Ok(node) => json!({ ".tag": "success", "metadata": look(space, &call.view, false, &node) }),
            Err(refusal) => json!({ ".tag": "failure", "failure": refusal.into_error() }),
        });
    }
    let complete = json!({ ".tag": "complete", "entries": entries });
    Ok(if force { space.jobs.start(complete) } else { complete })
}

fn delete_one(space: &mut Space, call: &Call<'_>, arguments: &Arguments) -> Result<Node, Refusal> {
    arguments.only(&["path", "parent_rev"])?;
    let text = arguments.path("path", PathKind::Write)?;
    let wanted = arguments.optional_text("parent_rev")?;
    let node = places::existing(&space.tree, &call.view, &space.home, text, "path_lookup")?;
    if let Some(wanted) = wanted {
        match node.latest() {
            Some(latest) if latest.text() == wanted => {}
            _ => return Err(Refusal::tags(&["path_write", "conflict", conflict(&node)])),
        }
    }
    if call.view.shown(&node.path) == Some("") || node.lower() == space.home.to_lowercase() {
        return Err(Refusal::tags(&["path_write", "no_write_permission"]));
    }
    space.tree.remove(&node, call.now);
    Ok(node)
}

pub(super) fn delete(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let node = delete_one(space, call, &call.arguments)?;
    let metadata = look(space, &call.view, true, &node);
    Ok(if call.route.ends_with("_v2") { json!({ "metadata": metadata }) } else { metadata })
}

pub(super) fn delete_batch(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["entries"])?;
    let mut entries = Vec::new();
    for (number, arguments) in call.arguments.objects("entries", 0, BATCH)?.iter().enumerate() {
        let done = if call.refuses(number + 1) {
            Err(Refusal::tags(&["path_write", "no_write_permission"]))
        } else {
            delete_one(space, call, arguments)
        };
        entries.push(match done {
            Ok(node) => json!({ ".tag": "success", "metadata": look(space, &call.view, true, &node) }),
            Err(refusal @ Refusal::Text(..)) => return Err(refusal),
            Err(refusal) => json!({ ".tag": "failure", "failure": refusal.into_error() }),
        });
    }
    Ok(space.jobs.start(json!({ ".tag": "complete", "entries": entries })))
}

/// What is done to an entry that gets another path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Move,
    Copy,
}

fn relocate_one(
    space: &mut Space,
    call: &Call<'_>,
    arguments: &Arguments,
    way: Way,
    autorename: bool,
) -> Result<Node, Refusal> {
    let from = arguments.path("from_path", PathKind::Write)?;
    let to = arguments.path("to_path", PathKind::Write)?;
    let node = places::existing(&space.tree, &call.view, &space.home, from, "from_lookup")?;
    let (mut path, present) =
        places::place(&space.tree, &call.view, &space.home, to).map_err(|tag| Refusal::tags(&["to", tag]))?;
    if path.to_lowercase() == node.lower() {
        // Changing no more than the case of a name is not supported ("move", Dropbox for HTTP Developers).
        return Err(Refusal::tags(&["duplicated_or_nested_paths"]));
    }
    if path.to_lowercase().starts_with(&format!("{}/", node.lower())) {
        return Err(Refusal::tags(&["cant_move_folder_into_itself"]));
    }
    if let Some(present) = present {
        if !autorename {
            return Err(Refusal::tags(&["to", "conflict", conflict(&present)]));
        }
        path = free_name(space, &path, node.is_folder());
    }
    if has_file_above(space, &path) {
        return Err(Refusal::tags(&["to", "conflict", "file_ancestor"]));
    }
    Ok(match way {
        Way::Move => space.tree.relocate(&node, &path),
        Way::Copy => space.tree.copy(&node, &path, call.now),
    })
}

pub(super) fn relocate(space: &mut Space, call: &Call<'_>, way: Way) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    arguments.only(&[
        "from_path",
        "to_path",
        "allow_shared_folder",
        "autorename",
        "allow_ownership_transfer",
    ])?;
    arguments.boolean("allow_shared_folder", false)?;
    arguments.boolean("allow_ownership_transfer", false)?;
    let node = relocate_one(space, call, arguments, way, arguments.boolean("autorename", false)?)?;
    let metadata = look(space, &call.view, true, &node);
    Ok(if call.route.ends_with("_v2") { json!({ "metadata": metadata }) } else { metadata })
}

pub(super) fn relocate_batch(space: &mut Space, call: &Call<'_>, way: Way) -> Result<Value, Refusal> {
    call.arguments.only(&["entries", "autorename", "allow_ownership_transfer"])?;
    let autorename = call.arguments.boolean("autorename", false)?;
    let mut entries = Vec::new();
    for (number, arguments) in call.arguments.objects("entries", 1, BATCH)?.iter().enumerate() {
        arguments.only(&["from_path", "to_path"])?;
        let done = if call.refuses(number + 1) {
            Err(Refusal::tags(&["to", "no_write_permission"]))
        } else {
            relocate_one(space, call, arguments, way, autorename)
        };
        entries.push(match done {
            Ok(node) => json!({ ".tag": "success", "success": look(space, &call.view, true, &node) }),
            Err(refusal @ Refusal::Text(..)) => return Err(refusal),
            Err(refusal) => json!({
                ".tag": "failure",
                "failure": { ".tag": "relocation_error", "relocation_error": refusal.into_error() },
            }),
        });
    }
    Ok(space.jobs.start(json!({ ".tag": "complete", "entries": entries })))
}

pub(super) fn check(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["async_job_id"])?;
    let id = call.arguments.text("async_job_id")?;
    space.jobs.check(id).ok_or_else(|| Refusal::endpoint(tagged(&["invalid_async_job_id"])))
}
