//! Rich text: the Atlassian Document Format, checked as far as its structure goes, and plain text to and from it.

use serde_json::{Value, json};

/// Nodes that stand in lines of text.
const INLINE: [&str; 11] = [
    "text",
    "hardBreak",
    "mention",
    "emoji",
    "inlineCard",
    "date",
    "status",
    "placeholder",
    "mediaInline",
    "inlineExtension",
    "unknownInline",
];
const MARKS: [&str; 14] = [
    "strong",
    "em",
    "code",
    "strike",
    "underline",
    "subsup",
    "link",
    "textColor",
    "backgroundColor",
    "border",
    "annotation",
    "alignment",
    "indentation",
    "breakout",
];
/// What each block may contain; the last two words stand for any line of text and any block.
const BLOCKS: [(&str, &[&str]); 25] = [
    ("paragraph", &["inline"]),
    ("heading", &["inline"]),
    ("codeBlock", &["text"]),
    ("blockquote", &["block"]),
    ("bulletList", &["listItem"]),
    ("orderedList", &["listItem"]),
    ("listItem", &["block"]),
    ("taskList", &["taskItem", "taskList", "blockTaskItem"]),
    ("taskItem", &["inline"]),
    ("blockTaskItem", &["block"]),
    ("decisionList", &["decisionItem"]),
    ("decisionItem", &["inline"]),
    ("rule", &[]),
    ("panel", &["block"]),
    ("expand", &["block"]),
    ("nestedExpand", &["block"]),
    ("table", &["tableRow"]),
    ("tableRow", &["tableCell", "tableHeader"]),
    ("tableCell", &["block"]),
    ("tableHeader", &["block"]),
    ("mediaSingle", &["media", "caption"]),
    ("mediaGroup", &["media"]),
    ("media", &[]),
    ("caption", &["inline"]),
    ("blockCard", &[]),
];
/// Blocks that stand only where their parent names them.
const BOUND: [&str; 9] = [
    "listItem",
    "taskItem",
    "blockTaskItem",
    "decisionItem",
    "tableRow",
    "tableCell",
    "tableHeader",
    "media",
    "caption",
];
const DEEPEST: usize = 64;

/// Whether a value is a document.
pub(super) fn is_document(value: &Value) -> bool {
    value["type"] == "doc"
        && value["version"] == 1
        && value["content"]
            .as_array()
            .is_some_and(|list| list.iter().all(|node| is_node(node, &["block"], 0)))
}

fn is_node(node: &Value, allowed: &[&str], depth: usize) -> bool {
    let Some(kind) = node["type"].as_str() else { return false };
    let inline = INLINE.contains(&kind);
    let free = !inline && !BOUND.contains(&kind);
    let fits = allowed.contains(&kind)
        || (inline && allowed.contains(&"inline"))
        || (free && allowed.contains(&"block"));
    let marked = match node.get("marks") {
        None => true,
        Some(marks) => marks.as_array().is_some_and(|marks| {
            marks.iter().all(|mark| mark["type"].as_str().is_some_and(|kind| MARKS.contains(&kind)))
        }),
    };
    if !fits || !marked || depth > DEEPEST {
        return false;
    }
    if inline {
        return match kind {
            "text" => node["text"].as_str().is_some_and(|text| !text.is_empty()),
            "mention" => node["attrs"]["id"].is_string(),
            _ => true,
        };
    }
    let Some((_, inside)) = BLOCKS.iter().find(|block| block.0 == kind) else { return false };
    if kind == "heading" && !node["attrs"]["level"].as_i64().is_some_and(|level| (1..=6).contains(&level)) {
        return false;
    }
    match node.get("content") {
        None => true,
        Some(content) => {
            content.as_array().is_some_and(|list| list.iter().all(|child| is_node(child, inside, depth + 1)))
        }
    }
}

/// A document whose paragraphs are the lines of a text.
pub(super) fn from_text(text: &str) -> Value {
    let paragraph = |line: &str| match line {
        "" => json!({ "type": "paragraph", "content": [] }),
        line => json!({ "type": "paragraph", "content": [{ "type": "text", "text": line }] }),
    };
    let content: Vec<Value> = text.split('\n').map(|line| paragraph(line.trim_end_matches('\r'))).collect();
    json!({ "type": "doc", "version": 1, "content": content })
}

/// The text of a document, a line for each block of text.
pub(super) fn to_text(document: &Value) -> String {
    let mut out = String::new();
    write(document, &mut out);
    out.trim_end_matches('\n').to_owned()
}

fn write(node: &Value, out: &mut String) {
    match node["type"].as_str() {
        Some("text") => out.push_str(node["text"].as_str().unwrap_or_default()),
        Some("hardBreak") => out.push('\n'),
        Some("mention" | "emoji" | "status") => {
            out.push_str(node["attrs"]["text"].as_str().unwrap_or_default());
        }
        Some("inlineCard") => out.push_str(node["attrs"]["url"].as_str().unwrap_or_default()),
        _ => {
            for child in node["content"].as_array().into_iter().flatten() {
                write(child, out);
            }
            if matches!(node["type"].as_str(), Some("paragraph" | "heading" | "codeBlock" | "taskItem")) {
                out.push('\n');
            }
        }
    }
}

/// The document as a simple page shows it.
pub(super) fn to_html(document: &Value) -> String {
    let text = to_text(document).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.split('\n').map(|line| format!("<p>{line}</p>")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_from_what_is_none() {
        let doc = |content: Value| json!({ "type": "doc", "version": 1, "content": content });
        assert!(is_document(&from_text("one\n\ntwo")));
        assert_eq!(to_text(&from_text("one\n\ntwo")), "one\n\ntwo");
        let table = json!([{ "type": "table", "content": [{ "type": "tableRow", "content": [
            { "type": "tableCell", "content": [{ "type": "paragraph", "content": [
                { "type": "mention", "attrs": { "id": "x", "text": "@x" } }] }] }] }] }]);
        assert!(is_document(&doc(table)));
        for wrong in [
            json!([{ "type": "text", "text": "x" }]),
            json!([{ "type": "paragraph", "content": [{ "type": "text", "text": "" }] }]),
            json!([{ "type": "paragraph", "content": [{ "type": "text", "text": "x", "marks": [{ "type": "big" }] }] }]),
            json!([{ "type": "bulletList", "content": [{ "type": "paragraph" }] }]),
            json!([{ "type": "heading", "attrs": { "level": 7 } }]),
        ] {
            assert!(!is_document(&doc(wrong.clone())), "{wrong}");
        }
        assert!(!is_document(&json!("text")));
    }
}
