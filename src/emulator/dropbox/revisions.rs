//! Single entries: their metadata, their revisions, and going back to one.

use serde_json::{Value, json};

use super::Space;
use super::arguments::PathKind;
use super::call::Call;
use super::errors::Refusal;
use super::listing::templates;
use super::metadata::{Look, instant};
use super::places::Target;
use super::tree::{Kind, Node, Revision, parse_rev};

pub(super) fn get_metadata(space: &Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    arguments.only(&[
        "path",
        "include_media_info",
        "include_deleted",
        "include_has_explicit_shared_members",
        "include_property_groups",
    ])?;
    for flag in ["include_media_info", "include_has_explicit_shared_members"] {
        arguments.boolean(flag, false)?;
    }
    let deleted = arguments.boolean("include_deleted", false)?;
    let text = match arguments.optional_text("path")? {
        Some("" | "/") => return Err(arguments.wrong("path", "The root folder is unsupported.")),
        _ => arguments.path("path", PathKind::Read)?,
    };
    let templates = templates(arguments)?;
    let look = Look { tree: &space.tree, view: &call.view, tag: true, templates: &templates };
    match call.view.find(&space.tree, &space.home, text) {
        Ok(Target::Node(node)) => Ok(look.node(&node)),
        Ok(Target::Revision(node, revision)) => Ok(look.file(&node, &revision)),
        Ok(Target::Root) => Err(arguments.wrong("path", "The root folder is unsupported.")),
        Ok(Target::Nothing(path)) => match space.tree.gone().get(&path.to_lowercase()).filter(|_| deleted) {
            Some(gone) => Ok(look.gone(gone)),
            None => Err(Refusal::tags(&["path", "not_found"])),
        },
        Err(tag) => Err(Refusal::tags(&["path", tag])),
    }
}

/// The file at a path, present or deleted.
fn file_at(space: &Space, call: &Call<'_>, text: &str) -> Result<(Node, bool), Refusal> {
    match call.view.find(&space.tree, &space.home, text) {
        Ok(Target::Node(node)) if !node.is_folder() => Ok((node, false)),
        Ok(Target::Revision(node, _)) => Ok((node, false)),
        Ok(Target::Nothing(path)) => match space.tree.gone().get(&path.to_lowercase()) {
            Some(gone) if !gone.node.is_folder() => Ok((gone.node.clone(), true)),
            _ => Err(Refusal::tags(&["path", "not_found"])),
        },
        Ok(_) => Err(Refusal::tags(&["path", "not_file"])),
        Err(tag) => Err(Refusal::tags(&["path", tag])),
    }
}

pub(super) fn list(space: &Space, call: &Call<'_>) -> Result<Value, Refusal> {
    let arguments = &call.arguments;
    arguments.only(&["path", "mode", "limit", "before_rev"])?;
    arguments.union("mode", &["path", "id"], &[])?;
    let limit = arguments.number("limit", 1, 100)?.unwrap_or(10);
    let before = arguments.optional_text("before_rev")?.map(str::to_owned);
    let (node, is_deleted) = file_at(space, call, arguments.path("path", PathKind::Read)?)?;
    let Kind::File(revisions) = &node.kind else {
        return Err(Refusal::tags(&["path", "not_file"]));
    };
    let mut newest_first: Vec<&Revision> = revisions.iter().rev().collect();
    if let Some(before) = before {
        let at = newest_first.iter().position(|own| own.text() == before);
        newest_first.drain(..at.map_or(newest_first.len(), |at| at + 1));
    }
    let look = Look { tree: &space.tree, view: &call.view, tag: false, templates: &[] };
    let count = usize::try_from(limit).unwrap_or(1);
    let entries: Vec<Value> = newest_first.iter().take(count).map(|own| look.file(&node, own)).collect();
    let mut out = json!({
        "is_deleted": is_deleted,
        "entries": entries,
        "has_more": newest_first.len() > count,
    });
    if is_deleted && let Some(gone) = space.tree.gone().get(&node.lower()) {
        out["server_deleted"] = json!(instant(gone.at));
    }
    Ok(out)
}

pub(super) fn restore(space: &mut Space, call: &Call<'_>) -> Result<Value, Refusal> {
    call.arguments.only(&["path", "rev"])?;
    let text = call.arguments.path("path", PathKind::Write)?;
    let rev = call.arguments.text("rev")?;
    let (mut node, _) = file_at(space, call, text).map_err(|refusal| match refusal {
        Refusal::Tagged(_, error) if error["path"][".tag"] == "not_found" => {
            Refusal::tags(&["path_lookup", "not_found"])
        }
        other => other,
    })?;
    let wanted = parse_rev(rev);
    let new = space.tree.new_rev();
    let Kind::File(revisions) = &mut node.kind else {
        return Err(Refusal::tags(&["path_lookup", "not_file"]));
    };
    let found = revisions.iter().find(|own| Some(own.rev) == wanted).cloned();
    let found = found.ok_or_else(|| Refusal::tags(&["invalid_revision"]))?;
    revisions.push(Revision { rev: new, server_modified: call.now, ..found });
    let node = space.tree.put(node);
    Ok(Look { tree: &space.tree, view: &call.view, tag: false, templates: &[] }.node(&node))
}
