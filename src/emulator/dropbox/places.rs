//! Where paths of a request begin and lead: namespaces, ids, revisions, names that are refused.

use super::arguments::{Arguments, PathKind};
use super::errors::{Refusal, tagged};
use super::seed::TEAM_FOLDER;
use super::tree::{Node, Revision, Tree, parse_rev};

/// Namespace ids of the team's root, the member's own space and the team's folder.
pub(super) const ROOT_SPACE: &str = "1000001";
pub(super) const HOME_SPACE: &str = "1000002";
pub(super) const TEAM_SPACE: &str = "1000003";

/// Names that no file may have ("Why aren't certain files on one computer syncing to another?", Dropbox Help).
const DISALLOWED: [&str; 6] =
    ["desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"];
const LONGEST_NAME: usize = 255;

/// The space that paths begin in: its place under the team's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    prefix: String,
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// The space itself.
    Root,
    /// An entry that is there.
    Node(Node),
    /// One revision of a file.
    Revision(Node, Revision),
    /// A path where nothing is.
    Nothing(String),
}

impl View {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The space with this id.
    pub(super) fn of_space(space: &str, home: &str) -> Option<Self> {
        match space {
            ROOT_SPACE => Some(Self::new("")),
            HOME_SPACE => Some(Self::new(home)),
            TEAM_SPACE => Some(Self::new(TEAM_FOLDER)),
            _ => None,
        }
    }

    /// The place of this space, in lower case.
    pub(super) fn lower(&self) -> String {
        self.prefix.to_lowercase()
    }

    /// A path as clients of this space see it; `None` when it is outside.
    pub(super) fn shown<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.get(self.prefix.len()..).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        let own = path.get(..self.prefix.len())?;
        (own.to_lowercase() == self.lower()).then_some(rest)
    }

    /// What a path, id or revision leads to.
    ///
    /// # Errors
    /// The tags of a lookup error for a path that no entry can have.
    pub(super) fn find(&self, tree: &Tree, home: &str, text: &str) -> Result<Target, &'static str> {
        if text.starts_with("id:") {
            let node = tree.parse_id(text).and_then(|id| tree.node(id));
            return match node.filter(|node| self.shown(&node.path).is_some_and(|rest| !rest.is_empty())) {
                Some(node) => Ok(Target::Node(node)),
                None => Err("not_found"),
            };
        }
        if let Some(rev) = text.strip_prefix("rev:") {
            let found = parse_rev(rev).and_then(|rev| tree.revision(rev));
            return match found.filter(|(node, _)| self.shown(&node.path).is_some()) {
                Some((node, revision)) => Ok(Target::Revision(node, revision)),
                None => Err("not_found"),
            };
        }
        let (view, rest) = match text.strip_prefix("ns:") {
            None => (self.clone(), text),
            Some(rest) => {
                let (space, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (Self::of_space(space, home).ok_or("not_found")?, path)
            }
        };
        if rest.is_empty() {
            return Ok(Target::Root);
        }
        if is_malformed(rest) {
            return Err("malformed_path");
        }
        let path = format!("{}{rest}", view.prefix);
        Ok(tree.at(&path).map_or(Target::Nothing(path), Target::Node))
    }
}

/// Whether no path can be so.
pub(super) fn is_malformed(path: &str) -> bool {
    let wrong = |name: &str| {
        matches!(name, "" | "." | "..")
            || name.contains(['\\', '\u{7f}'])
            || name.ends_with(' ')
            || name.chars().count() > LONGEST_NAME
    };
    path.split('/').skip(1).any(wrong)
}

/// Whether no file or folder may be called so.
pub(super) fn is_disallowed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    DISALLOWED.contains(&name.to_lowercase().as_str())
}

/// An entry that must be there; `wrap` puts the lookup error where the endpoint has it.
pub(super) fn existing(
    tree: &Tree,
    view: &View,
    home: &str,
    text: &str,
    wrap: &str,
) -> Result<Node, Refusal> {
    match view.find(tree, home, text) {
        Ok(Target::Node(node) | Target::Revision(node, _)) => Ok(node),
        Ok(Target::Root | Target::Nothing(_)) => Err(Refusal::endpoint(tagged(&[wrap, "not_found"]))),
        Err(tag) => Err(Refusal::endpoint(tagged(&[wrap, tag]))),
    }
}

/// A folder to list, as its path in lower case.
pub(super) fn folder(
    tree: &Tree,
    view: &View,
    home: &str,
    arguments: &Arguments,
    name: &str,
) -> Result<String, Refusal> {
    let text = arguments.path(name, PathKind::Folder)?;
    if text == "/" {
        let what = "Specify the root folder as an empty string rather than as \"/\".";
        return Err(arguments.wrong(name, what));
    }
    match view.find(tree, home, text) {
        Ok(Target::Root) => Ok(match text.strip_prefix("ns:") {
            Some(space) => View::of_space(space, home).unwrap_or_else(|| view.clone()).lower(),
            None => view.lower(),
        }),
        Ok(Target::Node(node)) if node.is_folder() => Ok(node.lower()),
        Ok(Target::Node(_) | Target::Revision(..)) => Err(Refusal::tags(&["path", "not_folder"])),
        Ok(Target::Nothing(_)) => Err(Refusal::tags(&["path", "not_found"])),
        Err(tag) => Err(Refusal::tags(&["path", tag])),
    }
}

/// A place to write to: its path from the team's root, and what stands there.
///
/// # Errors
/// The tag of a write error.
pub(super) fn place(
    tree: &Tree,
    view: &View,
    home: &str,
    text: &str,
) -> Result<(String, Option<Node>), &'static str> {
    match view.find(tree, home, text) {
        Ok(Target::Node(node)) => Ok((node.path.clone(), Some(node))),
        Ok(Target::Nothing(path)) if is_disallowed(&path) => Err("disallowed_name"),
        Ok(Target::Nothing(path)) => Ok((path, None)),
        Ok(Target::Root | Target::Revision(..)) | Err(_) => Err("malformed_path"),
    }
}
