//! `list_folder`, its cursors, and what they tell of changes.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Space;
use super::arguments::Arguments;
use super::call::Call;
use super::errors::Refusal;
use super::metadata::Look;
use super::paper;
use super::places::{self, View};
use super::tree::{Event, Node, is_under};

/// Entries on a page when no limit is asked for.
const USUAL: u64 = 500;
const MOST: u64 = 2_000;

/// Where a listing stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Place {
    /// Cursors of before the last reset are no longer good.
    epoch: u64,
    space: String,
    folder: String,
    recursive: bool,
    deleted: bool,
    /// Whether documents that cannot be downloaded are among the entries.
    documents: bool,
    limit: u64,
    templates: Vec<String>,
    /// The journal's length when the listing began.
    since: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Stage {
    /// Entries from this number on.
    Entries(u64),
    /// Deleted entries behind this path.
    Gone(String),
    /// Changes.
    Changes,
}

impl Place {
    fn write(&self) -> String {
        format!("AA{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default()))
    }

    fn read(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.strip_prefix("AA")?).ok()?).ok()
    }
}

/// The templates whose property groups an answer shall show.
pub(super) fn templates(arguments: &Arguments) -> Result<Vec<String>, Refusal> {
    let filter = arguments.union("include_property_groups", &[], &["filter_some"])?;
    Ok(filter.map_or_else(Vec::new, |filter| filter.texts()))
}

fn asked(space: &Space, call: &Call<'_>) -> Result<Place, Refusal> {
    let arguments = &call.arguments;
    arguments.only(&[
        "path",
        "recursive",
        "include_media_info",
        "include_deleted",
        "include_has_explicit_shared_members",
        "include_mounted_folders",
        "limit",
        "shared_link",
        "include_property_groups",
        "include_non_downloadable_files",
        "include_restorable_info",
    ])?;
    for flag in ["include_media_info", "include_has_explicit_shared_members", "include_mounted_folders"] {
        arguments.boolean(flag, false)?;
    }
    Ok(Place {
        epoch: space.epoch,
        space: call.view.lower(),
        folder: places::folder(&space.tree, &call.view, &space.home, arguments, "path")?,
        recursive: arguments.boolean("recursive", false)?,
        deleted: arguments.boolean("include_deleted", false)?,
        documents: arguments.boolean("include_non_downloadable_files", true)?,
        limit: arguments.number("limit", 1, MOST)?.unwrap_or(USUAL),
        templates: templates(arguments)?,
        since: space.tree.journal().len(),
        stage: Stage::Entries(0),
    })
}

pub(super) fn list(space: &Space, call: &Call<'_>) -> Result<Value, Refusal> {
    page(space, &call.view, asked(space, call)?)
}

pub(super) fn latest(space: &Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let place = Place { stage: Stage::Changes, ..asked(space, call)? };
    Ok(json!({ "cursor": place.write() }))
}

pub(super) fn go_on(space: &Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["cursor"])?;
    let text = call.arguments.text("cursor")?;
    let place = Place::read(text)
        .ok_or_else(|| call.arguments.wrong("cursor", "Invalid \"cursor\" parameter: cursor is malformed"))?;
    if place.epoch != space.epoch {
        return Err(Refusal::tags(&["reset"]));
    }
    if place.space != call.view.lower() {
        let what = "Invalid \"cursor\" parameter: cursor is for another namespace";
        return Err(call.arguments.wrong("cursor", what));
    }
    let root = [String::new(), space.home.to_lowercase()].contains(&place.folder);
    if !root && !space.tree.at(&place.folder).is_some_and(|node| node.is_folder()) {
        return Err(Refusal::tags(&["path", "not_found"]));
    }
    page(space, &call.view, place)
}

/// Whether there is something new behind a cursor; the server asks again until there is.
pub(super) fn longpoll(space: &Space, arguments: &Arguments) -> Result<(Value, u64), Refusal> {
    arguments.only(&["cursor", "timeout"])?;
    let timeout = arguments.number("timeout", 30, 480)?.unwrap_or(30);
    let place = Place::read(arguments.text("cursor")?)
        .ok_or_else(|| arguments.wrong("cursor", "unsupported cursor type"))?;
    if place.epoch != space.epoch {
        return Err(Refusal::tags(&["reset"]));
    }
    let changes = !matches!(place.stage, Stage::Changes) || !changes(space, &place).is_empty();
    Ok((json!({ "changes": changes }), timeout))
}

fn page(space: &Space, view: &View, mut place: Place) -> Result<Value, Refusal> {
    let tree = &space.tree;
    let templates = place.templates.clone();
    let look = Look { tree, view, tag: true, templates: &templates };
    let limit = usize::try_from(place.limit).unwrap_or(1);
    let mut entries: Vec<Value> = Vec::new();
    let has_more;
    match place.stage.clone() {
        Stage::Entries(from) => {
            let mut next = None;
            let shown = |node: &Node| place.documents || !paper::is_document(node);
            let under = tree.under(&place.folder, place.recursive, from).filter(shown);
            for node in under.take(limit) {
                next = Some(node.id + 1);
                entries.push(look.node(&node));
            }
            // A full page may be the last one: then the next is empty.
            has_more = entries.len() == limit || place.deleted;
            place.stage = match next.filter(|_| entries.len() == limit) {
                Some(next) => Stage::Entries(next),
                None if place.deleted => Stage::Gone(String::new()),
                None => Stage::Changes,
            };
        }
        Stage::Gone(after) => {
            let behind =
                tree.gone().range(after..).filter(|(path, _)| is_under(path, &place.folder, place.recursive));
            let mut last = None;
            for (path, gone) in behind.take(limit) {
                last = Some(format!("{path}\0"));
                entries.push(look.gone(gone));
            }
            has_more = entries.len() == limit;
            place.stage = match last.filter(|_| has_more) {
                Some(last) => Stage::Gone(last),
                None => Stage::Changes,
            };
        }
        Stage::Changes => {
            let all = changes(space, &place);
            has_more = all.len() > limit;
            let seen = all.iter().take(limit).map(|(turn, _)| turn + 1).max();
            for (_, change) in all.into_iter().take(limit) {
                entries.push(match change {
                    Change::There(node) if !place.documents && paper::is_document(&node) => continue,
                    Change::There(node) => look.node(&node),
                    Change::Gone(path) => look.deleted(&path),
                });
            }
            place.since = match seen.filter(|_| has_more) {
                Some(seen) => seen,
                None => tree.journal().len(),
            };
        }
    }
    Ok(json!({ "entries": entries, "cursor": place.write(), "has_more": has_more }))
}

enum Change {
    There(Node),
    Gone(String),
}

/// What happened in the folder since: the last event of each path, in order. A folder's deletion stands for all
/// that was in it.
fn changes(space: &Space, place: &Place) -> Vec<(usize, Change)> {
    let tree = &space.tree;
    let events = tree.journal().iter().enumerate().skip(place.since);
    let mut last: HashMap<String, usize> = HashMap::new();
    let own: Vec<(usize, String, &Event)> = events
        .map(|(turn, event)| (turn, event.path.to_lowercase(), event))
        .filter(|(_, path, _)| is_under(path, &place.folder, place.recursive))
        .collect();
    for (turn, path, _) in &own {
        last.insert(path.clone(), *turn);
    }
    let latest = own.into_iter().filter(|(turn, path, _)| last.get(path) == Some(turn));
    latest
        .filter_map(|(turn, path, event)| match event.node {
            None => Some((turn, Change::Gone(event.path.clone()))),
            // Taken away since with the folder it was in, whose own event tells of it.
            Some(id) => {
                let node = tree.node(id).filter(|node| node.lower() == path)?;
                Some((turn, Change::There(node)))
            }
        })
        .collect()
}
