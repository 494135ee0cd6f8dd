//! ADF → document. Everything is accepted: nodes of unknown types give their content, what lies deeper than
//! [`MAX_DEPTH`](super::MAX_DEPTH) gives its words.

use std::sync::Arc;

use serde_json::{Number, Value};

use super::MAX_DEPTH;
use super::model::{
    Block, Cell, Document, Inline, Link, Marks, Media, MediaPlace, PanelKind, Script, Task, push_text, words,
};
use super::{notation, opaque, plain};

/// Reads an ADF document. Null is an empty document; a text is plain text.
#[must_use]
pub fn read_adf(document: &Value) -> Document {
    match document {
        Value::String(text) => plain::read_plain(text),
        Value::Object(_) if document["type"] == "doc" => Document { blocks: blocks(content(document), 0) },
        Value::Object(_) => Document { blocks: blocks(std::slice::from_ref(document), 0) },
        Value::Array(nodes) => Document { blocks: blocks(nodes, 0) },
        _ => Document::default(),
    }
}

fn content(node: &Value) -> &[Value] {
    node["content"].as_array().map_or(&[], Vec::as_slice)
}

fn kind(node: &Value) -> &str {
    node["type"].as_str().unwrap_or_default()
}

fn attr<'a>(node: &'a Value, name: &str) -> Option<&'a str> {
    node["attrs"][name].as_str()
}

fn blocks(nodes: &[Value], depth: usize) -> Vec<Block> {
    let mut out = Vec::new();
    if depth >= MAX_DEPTH {
        let text = deep_words(nodes);
        out.extend((!text.is_empty()).then(|| paragraph_of(&text)));
        return out;
    }
    let mut loose: Vec<Inline> = Vec::new();
    for node in nodes {
        if is_inline(kind(node)) {
            inline(node, depth, &mut loose);
            continue;
        }
        if !loose.is_empty() {
            out.push(Block::Paragraph(std::mem::take(&mut loose)));
        }
        block(node, depth, &mut out);
    }
    if !loose.is_empty() {
        out.push(Block::Paragraph(loose));
    }
    out
}

fn block(node: &Value, depth: usize, out: &mut Vec<Block>) {
    let inner = || blocks(content(node), depth + 1);
    match kind(node) {
        "paragraph" => out.push(Block::Paragraph(inlines(node, depth))),
        "heading" => out.push(Block::Heading { level: level(node), text: inlines(node, depth) }),
        "bulletList" => out.push(Block::List { start: None, items: items(node, depth) }),
        "orderedList" => out.push(Block::List { start: Some(order(node)), items: items(node, depth) }),
        "taskList" => out.push(Block::Tasks(tasks(node, depth))),
        "decisionList" => {
            out.push(Block::Decisions(content(node).iter().map(|item| inlines(item, depth)).collect()));
        }
        "codeBlock" => out.push(Block::Code {
            language: attr(node, "language").filter(|name| !name.is_empty()).map(str::to_owned),
            text: words(&inlines(node, depth)),
        }),
        "blockquote" => out.push(Block::Quote(inner())),
        "panel" => {
            let kind = attr(node, "panelType").and_then(PanelKind::named).unwrap_or(PanelKind::Info);
            out.push(Block::Panel { kind, blocks: inner() });
        }
        "expand" | "nestedExpand" => {
            let title = attr(node, "title").unwrap_or_default().to_owned();
            out.push(Block::Expand { title, blocks: inner() });
        }
        "rule" => out.push(Block::Rule),
        "table" => out.push(Block::Table(content(node).iter().map(|row| cells(row, depth + 1)).collect())),
        "mediaSingle" => out.extend(media_single(node, depth)),
        "mediaGroup" => {
            let found: Vec<Media> = content(node).iter().filter_map(media).collect();
            out.extend((!found.is_empty()).then_some(Block::MediaGroup(found)));
        }
        "media" => out.extend(media(node).map(|media| Block::Media { media, caption: String::new() })),
        "blockCard" if attr(node, "url").is_some() && node["attrs"].get("datasource").is_none() => {
            out.extend(attr(node, "url").map(|url| Block::Card(url.to_owned())));
        }
        _ => unknown_block(node, depth, out),
    }
}

/// A node of a type that has no place in the model: carried along where that is possible, else its content.
fn unknown_block(node: &Value, depth: usize, out: &mut Vec<Block>) {
    if let Some((_, node)) = opaque::carried(node) {
        out.push(Block::Opaque(node));
    } else if node["content"].is_array() {
        out.extend(blocks(content(node), depth + 1));
    } else {
        out.push(paragraph_of(&opaque::label(node)));
    }
}

fn paragraph_of(text: &str) -> Block {
    let mut line = Vec::new();
    push_text(&mut line, text, &Marks::default());
    Block::Paragraph(line)
}

fn level(node: &Value) -> u8 {
    node["attrs"]["level"].as_u64().and_then(|level| u8::try_from(level).ok()).unwrap_or(1).clamp(1, 6)
}

fn order(node: &Value) -> u64 {
    node["attrs"]["order"].as_u64().unwrap_or(1).min(999_999_999)
}

fn items(list: &Value, depth: usize) -> Vec<Vec<Block>> {
    content(list).iter().map(|item| blocks(content(item), depth + 2)).collect()
}

fn tasks(list: &Value, depth: usize) -> Vec<Task> {
    let mut out: Vec<Task> = Vec::new();
    for node in content(list) {
        match kind(node) {
            "taskList" if depth < MAX_DEPTH => {
                let nested = tasks(node, depth + 1);
                match out.last_mut() {
                    Some(task) => task.nested.extend(nested),
                    None => out.extend(nested),
                }
            }
            _ => out.push(Task {
                done: attr(node, "state") == Some("DONE"),
                text: inlines(node, depth),
                nested: Vec::new(),
            }),
        }
    }
    out
}

fn cells(row: &Value, depth: usize) -> Vec<Cell> {
    let span = |cell: &Value, name: &str| {
        cell["attrs"][name].as_u64().and_then(|span| u32::try_from(span).ok()).unwrap_or(1).clamp(1, 1_000)
    };
    content(row)
        .iter()
        .map(|cell| Cell {
            header: kind(cell) == "tableHeader",
            columns: span(cell, "colspan"),
            rows: span(cell, "rowspan"),
            blocks: blocks(content(cell), depth + 1),
        })
        .collect()
}

fn media_single(node: &Value, depth: usize) -> Option<Block> {
    let mut media = media(content(node).iter().find(|child| kind(child) == "media")?)?;
    media.layout = attr(node, "layout").filter(|layout| *layout != "center").map(str::to_owned);
    let caption = content(node).iter().find(|child| kind(child) == "caption");
    let caption = caption.map(|caption| words(&inlines(caption, depth))).unwrap_or_default();
    Some(Block::Media { media, caption })
}

fn media(node: &Value) -> Option<Media> {
    let number = |name: &str| -> Option<Number> { node["attrs"][name].as_number().cloned() };
    let text = |name: &str| attr(node, name).unwrap_or_default().to_owned();
    let place = match attr(node, "type") {
        Some("external") => MediaPlace::Address(text("url")),
        found => MediaPlace::Stored {
            kind: found.unwrap_or("file").to_owned(),
            id: attr(node, "id").filter(|id| !id.is_empty())?.to_owned(),
            collection: text("collection"),
        },
    };
    Some(Media { place, alt: text("alt"), width: number("width"), height: number("height"), layout: None })
}

fn inlines(node: &Value, depth: usize) -> Vec<Inline> {
    let mut out = Vec::new();
    for child in content(node) {
        inline(child, depth + 1, &mut out);
    }
    out
}

fn is_inline(kind: &str) -> bool {
    matches!(
        kind,
        "text"
            | "hardBreak"
            | "mention"
            | "emoji"
            | "date"
            | "status"
            | "inlineCard"
            | "mediaInline"
            | "placeholder"
            | "inlineExtension"
    )
}

fn inline(node: &Value, depth: usize, out: &mut Vec<Inline>) {
    let text = |name: &str| attr(node, name).map(str::to_owned);
    let known = match kind(node) {
        "text" => {
            push_text(out, node["text"].as_str().unwrap_or_default(), &marks(node));
            return;
        }
        "hardBreak" => Some(Inline::Break),
        "mention" => {
            text("id").map(|id| Inline::Mention { id, text: text("text").filter(|text| !text.is_empty()) })
        }
        "emoji" => text("shortName").map(|name| Inline::Emoji {
            name,
            id: text("id").filter(|id| !id.is_empty()),
            text: text("text").filter(|text| !text.is_empty()),
        }),
        "date" => text("timestamp").filter(|stamp| !stamp.is_empty()).map(Inline::Date),
        "status" => text("text").filter(|text| !text.is_empty()).map(|text| Inline::Status {
            text,
            color: attr(node, "color")
                .filter(|color| notation::is_color(color))
                .unwrap_or("neutral")
                .to_owned(),
        }),
        "inlineCard" => text("url").map(Inline::Card),
        "mediaInline" => media(node).map(Inline::Media),
        _ => opaque::carried(node).map(|(_, node)| Inline::Opaque(node)),
    };
    match known {
        Some(found) => out.push(found),
        None if node["content"].is_array() && depth < MAX_DEPTH => inside(node, depth, out),
        None if node["content"].is_array() => {
            push_text(out, &deep_words(std::slice::from_ref(node)), &Marks::default());
        }
        None => push_text(out, &opaque::label(node), &Marks::default()),
    }
}

/// The content of a node that is not known; blocks in it are kept apart by line breaks.
fn inside(node: &Value, depth: usize, out: &mut Vec<Inline>) {
    if !out.is_empty() && !is_inline(kind(node)) {
        out.push(Inline::Break);
    }
    for child in content(node) {
        inline(child, depth + 1, out);
    }
}

fn marks(node: &Value) -> Marks {
    let mut marks = Marks::default();
    for mark in node["marks"].as_array().into_iter().flatten() {
        let color = || attr(mark, "color").filter(|color| notation::is_hex_color(color)).map(str::to_owned);
        match kind(mark) {
            "strong" => marks.strong = true,
            "em" => marks.em = true,
            "strike" => marks.strike = true,
            "underline" => marks.underline = true,
            "code" => marks.code = true,
            "subsup" if attr(mark, "type") == Some("sub") => marks.script = Some(Script::Sub),
            "subsup" => marks.script = Some(Script::Sup),
            "textColor" => marks.color = color(),
            "backgroundColor" => marks.background = color(),
            "link" => {
                marks.link = attr(mark, "href").map(|href| {
                    let title = attr(mark, "title").filter(|title| !title.is_empty()).map(str::to_owned);
                    Arc::new(Link { href: href.to_owned(), title })
                });
            }
            _ => {}
        }
    }
    marks
}

/// The words of nodes at any depth, without recursion.
fn deep_words(nodes: &[Value]) -> String {
    let mut found: Vec<&str> = Vec::new();
    let mut waiting: Vec<&Value> = nodes.iter().rev().collect();
    while let Some(node) = waiting.pop() {
        found.extend(node["text"].as_str().or_else(|| attr(node, "text")));
        waiting.extend(content(node).iter().rev());
    }
    found.join(" ")
}
