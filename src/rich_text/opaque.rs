//! Nodes that are carried along unread: macros, embedded pages, placeholders. Only what the ADF schema accepts is
//! taken from Markdown, since anybody may have written it.

use serde_json::{Map, Value, json};

/// Whether a node stands on its own or within text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// A block.
    Block,
    /// Within running text.
    Inline,
}

const PAGE_LAYOUTS: [&str; 3] = ["wide", "full-width", "default"];
pub(super) const LAYOUTS: [&str; 7] =
    ["wide", "full-width", "center", "wrap-right", "wrap-left", "align-end", "align-start"];

/// Type and attributes of a node that may be carried along, or nothing when it is of another type or not as the
/// schema has it.
pub(super) fn carried(node: &Value) -> Option<(Level, Value)> {
    let kind = node.get("type")?.as_str()?;
    let attrs = node.get("attrs")?.as_object()?;
    let (level, fits) = match kind {
        "placeholder" => (Level::Inline, only(attrs, &["text", "localId"]) && texts(attrs, &["text"], 0)),
        "inlineExtension" => (Level::Inline, extension(attrs, false)),
        "extension" => (Level::Block, extension(attrs, true)),
        "embedCard" => (Level::Block, embedded(attrs)),
        _ => return None,
    };
    fits.then(|| (level, json!({ "type": kind, "attrs": attrs })))
}

/// What is shown of a node that is not understood.
pub(super) fn label(node: &Value) -> String {
    let attrs = &node["attrs"];
    ["text", "title", "extensionKey", "url", "alt"]
        .iter()
        .find_map(|name| attrs[*name].as_str().filter(|text| !text.trim().is_empty()))
        .or_else(|| node["type"].as_str())
        .unwrap_or("?")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn extension(attrs: &Map<String, Value>, block: bool) -> bool {
    let known = ["extensionKey", "extensionType", "parameters", "text", "localId", "layout"];
    only(attrs, &known[..if block { 6 } else { 5 }])
        && texts(attrs, &["extensionKey", "extensionType"], 1)
        && optional_text(attrs, "text", 0)
        && optional_text(attrs, "localId", 1)
        && one_of(attrs, "layout", &PAGE_LAYOUTS)
}

fn embedded(attrs: &Map<String, Value>) -> bool {
    let number = |name: &str| attrs.get(name).is_none_or(Value::is_number);
    only(attrs, &["url", "layout", "width", "originalHeight", "originalWidth", "localId"])
        && texts(attrs, &["url", "layout"], 0)
        && one_of(attrs, "layout", &LAYOUTS)
        && attrs.get("width").is_none_or(|width| width.as_f64().is_some_and(|at| (0.0..=100.0).contains(&at)))
        && number("originalHeight")
        && number("originalWidth")
        && optional_text(attrs, "localId", 0)
}

fn only(attrs: &Map<String, Value>, known: &[&str]) -> bool {
    attrs.keys().all(|name| known.contains(&name.as_str()))
}

fn texts(attrs: &Map<String, Value>, names: &[&str], at_least: usize) -> bool {
    names
        .iter()
        .all(|name| attrs.get(*name).and_then(Value::as_str).is_some_and(|text| text.len() >= at_least))
}

fn optional_text(attrs: &Map<String, Value>, name: &str, at_least: usize) -> bool {
    !attrs.contains_key(name) || texts(attrs, &[name], at_least)
}

fn one_of(attrs: &Map<String, Value>, name: &str, known: &[&str]) -> bool {
    attrs.get(name).is_none_or(|value| value.as_str().is_some_and(|text| known.contains(&text)))
}
