//! Entries as answers show them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::paper;
use super::places::View;
use super::tree::{Gone, Node, Revision, Tree};

/// An instant without fraction.
pub(super) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What an entry looks like: with its tag where the answer's type is a union, and the property groups asked for.
pub(super) struct Look<'a> {
    pub(super) tree: &'a Tree,
    pub(super) view: &'a View,
    pub(super) tag: bool,
    pub(super) templates: &'a [String],
}

impl Look<'_> {
    pub(super) fn node(&self, node: &Node) -> Value {
        match node.latest() {
            Some(latest) => self.file(node, latest),
            None => self.folder(node),
        }
    }

    fn start(&self, tag: &str, node: &Node) -> Value {
        let mut out = if self.tag { json!({ ".tag": tag }) } else { json!({}) };
        out["name"] = json!(node.name());
        if let Some(path) = self.view.shown(&node.path) {
            out["path_lower"] = json!(path.to_lowercase());
            out["path_display"] = json!(path);
        }
        out
    }

    fn folder(&self, node: &Node) -> Value {
        let mut out = self.start("folder", node);
        out["id"] = json!(self.tree.id_text(node.id));
        self.add_properties(&mut out, node);
        out
    }

    pub(super) fn file(&self, node: &Node, revision: &Revision) -> Value {
        let mut out = self.start("file", node);
        out["id"] = json!(self.tree.id_text(node.id));
        out["client_modified"] = json!(instant(revision.client_modified));
        out["server_modified"] = json!(instant(revision.server_modified));
        out["rev"] = json!(revision.text());
        out["size"] = json!(revision.content.size());
        out["is_downloadable"] = json!(!paper::is_document(node));
        if paper::is_document(node) {
            out["export_info"] = paper::export_info();
        }
        self.add_properties(&mut out, node);
        out["content_hash"] = json!(revision.content.hash());
        out
    }

    fn add_properties(&self, out: &mut Value, node: &Node) {
        if self.templates.is_empty() {
            return;
        }
        let asked =
            |group: &&Value| self.templates.iter().any(|template| group["template_id"] == template.as_str());
        let groups: Vec<&Value> = node.properties.iter().filter(asked).collect();
        out["property_groups"] = json!(groups);
    }

    /// Something that is no longer there.
    pub(super) fn deleted(&self, path: &str) -> Value {
        let shown = self.view.shown(path).unwrap_or(path);
        let name = path.rsplit_once('/').map_or("", |(_, name)| name);
        json!({
            ".tag": "deleted",
            "name": name,
            "path_lower": shown.to_lowercase(),
            "path_display": shown,
        })
    }

    pub(super) fn gone(&self, gone: &Gone) -> Value {
        self.deleted(&gone.node.path)
    }
}
