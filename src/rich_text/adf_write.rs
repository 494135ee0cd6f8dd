//! Document → ADF that the ADF schema accepts: no empty text, marks only where they are allowed, blocks only where
//! they may stand.

use serde_json::{Map, Value, json};

use super::fit::{Place, fitted};
use super::model::{Block, Cell, Document, Inline, Marks, Media, MediaPlace, Script, Task};
use super::{notation, opaque};

/// Writes a document as ADF.
#[must_use]
pub fn write_adf(document: &Document) -> Value {
    Writer::default().document(document)
}

/// Numbers the nodes that need an id of their own.
#[derive(Debug, Default)]
pub(super) struct Writer {
    taken: std::collections::HashSet<String>,
    last: u64,
}

impl Writer {
    /// A writer that gives none of these ids.
    pub(super) fn beside(taken: std::collections::HashSet<String>) -> Self {
        Self { taken, last: 0 }
    }

    pub(super) fn document(&mut self, document: &Document) -> Value {
        json!({ "type": "doc", "version": 1, "content": self.blocks(&document.blocks, Place::Document) })
    }

    fn id(&mut self) -> String {
        loop {
            self.last += 1;
            let id = self.last.to_string();
            if !self.taken.contains(&id) {
                return id;
            }
        }
    }

    fn blocks(&mut self, blocks: &[Block], place: Place) -> Vec<Value> {
        fitted(blocks, place).iter().map(|block| self.block(block, place)).collect()
    }

    fn block(&mut self, block: &Block, place: Place) -> Value {
        match block {
            Block::Paragraph(text) => json!({ "type": "paragraph", "content": inlines(text) }),
            Block::Heading { level, text } => {
                json!({ "type": "heading", "attrs": { "level": (*level).clamp(1, 6) }, "content": inlines(text) })
            }
            Block::List { start, items } => self.list(*start, items),
            Block::Tasks(tasks) => self.tasks(tasks),
            Block::Decisions(items) => self.decisions(items),
            Block::Code { language, text } => code(language.as_deref(), text),
            Block::Quote(blocks) => {
                json!({ "type": "blockquote", "content": self.blocks(blocks, Place::Quote) })
            }
            Block::Panel { kind, blocks } => json!({
                "type": "panel",
                "attrs": { "panelType": kind.name() },
                "content": self.blocks(blocks, Place::Panel),
            }),
            Block::Expand { title, blocks } => json!({
                "type": if place == Place::Document { "expand" } else { "nestedExpand" },
                "attrs": { "title": title },
                "content": self.blocks(blocks, place.expand()),
            }),
            Block::Rule => json!({ "type": "rule" }),
            Block::Table(rows) => self.table(rows),
            Block::Media { media, caption } => media_single(media, caption),
            Block::MediaGroup(found) => {
                json!({ "type": "mediaGroup", "content": found.iter().map(media).collect::<Vec<_>>() })
            }
            Block::Card(url) => json!({ "type": "blockCard", "attrs": { "url": url } }),
            Block::Opaque(node) => match opaque::carried(node) {
                Some((opaque::Level::Block, node)) => node,
                _ => json!({ "type": "paragraph", "content": inlines(&[Inline::Opaque(node.clone())]) }),
            },
        }
    }

    fn list(&mut self, start: Option<u64>, items: &[Vec<Block>]) -> Value {
        let none = [Vec::new()];
        let items = if items.is_empty() { &none[..] } else { items };
        let content: Vec<Value> = items
            .iter()
            .map(|blocks| json!({ "type": "listItem", "content": self.blocks(blocks, Place::Item) }))
            .collect();
        match start {
            None => json!({ "type": "bulletList", "content": content }),
            Some(first) => json!({ "type": "orderedList", "attrs": { "order": first }, "content": content }),
        }
    }

    fn tasks(&mut self, tasks: &[Task]) -> Value {
        let id = self.id();
        let mut content = Vec::with_capacity(tasks.len());
        for task in tasks {
            let state = if task.done { "DONE" } else { "TODO" };
            let item = self.id();
            content.push(json!({
                "type": "taskItem",
                "attrs": { "localId": item, "state": state },
                "content": inlines(&task.text),
            }));
            if !task.nested.is_empty() {
                content.push(self.tasks(&task.nested));
            }
        }
        if content.is_empty() {
            return json!({ "type": "paragraph", "content": [] });
        }
        json!({ "type": "taskList", "attrs": { "localId": id }, "content": content })
    }

    fn decisions(&mut self, items: &[Vec<Inline>]) -> Value {
        let id = self.id();
        let content: Vec<Value> = items
            .iter()
            .map(|text| {
                json!({
                    "type": "decisionItem",
                    "attrs": { "localId": self.id(), "state": "DECIDED" },
                    "content": inlines(text),
                })
            })
            .collect();
        if content.is_empty() {
            return json!({ "type": "paragraph", "content": [] });
        }
        json!({ "type": "decisionList", "attrs": { "localId": id }, "content": content })
    }

    fn table(&mut self, rows: &[Vec<Cell>]) -> Value {
        if rows.is_empty() {
            return json!({ "type": "paragraph", "content": [] });
        }
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                let cells: Vec<Value> = row.iter().map(|cell| self.cell(cell)).collect();
                json!({ "type": "tableRow", "content": cells })
            })
            .collect();
        json!({ "type": "table", "content": rows })
    }

    fn cell(&mut self, cell: &Cell) -> Value {
        let mut attrs = Map::new();
        for (name, span) in [("colspan", cell.columns), ("rowspan", cell.rows)] {
            if span > 1 {
                attrs.insert(name.to_owned(), json!(span));
            }
        }
        let kind = if cell.header { "tableHeader" } else { "tableCell" };
        json!({ "type": kind, "attrs": attrs, "content": self.blocks(&cell.blocks, Place::Cell) })
    }
}

fn code(language: Option<&str>, text: &str) -> Value {
    let mut node = json!({ "type": "codeBlock", "attrs": {}, "content": [] });
    if let Some(language) = language {
        node["attrs"]["language"] = json!(language);
    }
    if !text.is_empty() {
        node["content"] = json!([{ "type": "text", "text": text }]);
    }
    node
}

fn media_single(found: &Media, caption: &str) -> Value {
    let layout = found.layout.as_deref().unwrap_or("center");
    let mut content = vec![media(found)];
    if !caption.is_empty() {
        let mut text = Vec::new();
        super::model::push_text(&mut text, caption, &Marks::default());
        content.push(json!({ "type": "caption", "content": inlines(&text) }));
    }
    json!({ "type": "mediaSingle", "attrs": { "layout": layout }, "content": content })
}

fn media(found: &Media) -> Value {
    let mut attrs = media_attrs(found);
    if attrs["type"] == "image" {
        attrs.insert("type".to_owned(), json!("file"));
    }
    json!({ "type": "media", "attrs": attrs })
}

fn media_attrs(found: &Media) -> Map<String, Value> {
    let mut attrs = Map::new();
    let mut put = |name: &str, value: Value| attrs.insert(name.to_owned(), value);
    match &found.place {
        MediaPlace::Address(url) => {
            put("type", json!("external"));
            put("url", json!(url));
        }
        MediaPlace::Stored { kind, id, collection } => {
            put("type", json!(if matches!(kind.as_str(), "link" | "image") { kind } else { "file" }));
            put("id", json!(if id.is_empty() { "?" } else { id }));
            put("collection", json!(collection));
        }
    }
    if !found.alt.is_empty() {
        put("alt", json!(found.alt));
    }
    for (name, value) in [("width", &found.width), ("height", &found.height)] {
        if let Some(value) = value {
            put(name, json!(value));
        }
    }
    attrs
}

fn inlines(text: &[Inline]) -> Vec<Value> {
    text.iter().filter_map(inline).collect()
}

fn inline(inline: &Inline) -> Option<Value> {
    Some(match inline {
        Inline::Text { text, .. } if text.is_empty() => return None,
        Inline::Text { text, marks } => marked(text, marks),
        Inline::Break => json!({ "type": "hardBreak" }),
        Inline::Mention { id, text } => {
            let mut node = json!({ "type": "mention", "attrs": { "id": id } });
            if let Some(text) = text {
                node["attrs"]["text"] = json!(text);
            }
            node
        }
        Inline::Emoji { name, id, text } => {
            let mut node = json!({ "type": "emoji", "attrs": { "shortName": name } });
            for (attr, value) in [("id", id), ("text", text)] {
                if let Some(value) = value {
                    node["attrs"][attr] = json!(value);
                }
            }
            node
        }
        Inline::Date(stamp) => json!({ "type": "date", "attrs": { "timestamp": stamp } }),
        Inline::Status { text, color } => {
            let color = if notation::is_color(color) { color } else { "neutral" };
            json!({ "type": "status", "attrs": { "text": text, "color": color } })
        }
        Inline::Card(url) => json!({ "type": "inlineCard", "attrs": { "url": url } }),
        Inline::Media(found) => match &found.place {
            MediaPlace::Stored { .. } => json!({ "type": "mediaInline", "attrs": media_attrs(found) }),
            MediaPlace::Address(url) => {
                let link = super::model::Link { href: url.clone(), title: None };
                let words = if found.words().is_empty() { "?" } else { found.words() };
                marked(words, &Marks { link: Some(link.into()), ..Marks::default() })
            }
        },
        Inline::Opaque(node) => match opaque::carried(node) {
            Some((opaque::Level::Inline, node)) => node,
            _ => marked(&opaque::label(node), &Marks::default()),
        },
    })
}

/// A text with its marks in the order of the editor.
fn marked(text: &str, marks: &Marks) -> Value {
    let mut list = Vec::new();
    if let Some(link) = &marks.link {
        let mut mark = json!({ "type": "link", "attrs": { "href": link.href } });
        if let Some(title) = &link.title {
            mark["attrs"]["title"] = json!(title);
        }
        list.push(mark);
    }
    if marks.code {
        list.push(json!({ "type": "code" }));
    } else {
        let flags = [("em", marks.em), ("strong", marks.strong), ("strike", marks.strike)];
        list.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| json!({ "type": name })));
        if let Some(script) = marks.script {
            let script = if script == Script::Sub { "sub" } else { "sup" };
            list.push(json!({ "type": "subsup", "attrs": { "type": script } }));
        }
        if marks.underline {
            list.push(json!({ "type": "underline" }));
        }
        for (name, color) in [("textColor", &marks.color), ("backgroundColor", &marks.background)] {
            if let Some(color) = color.as_deref().filter(|color| notation::is_hex_color(color)) {
                list.push(json!({ "type": name, "attrs": { "color": color } }));
            }
        }
    }
    if list.is_empty() {
        json!({ "type": "text", "text": text })
    } else {
        json!({ "type": "text", "text": text, "marks": list })
    }
}
