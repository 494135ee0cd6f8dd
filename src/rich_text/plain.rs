//! Plain text ↔ document: an empty line parts paragraphs, a line break stays one.

use super::fit::block_words;
use super::model::{Block, Cell, Document, Marks, Task, push_text, words};

/// Reads plain text.
#[must_use]
pub fn read_plain(text: &str) -> Document {
    let mut blocks = Vec::new();
    let mut paragraph = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            if !paragraph.is_empty() {
                blocks.push(Block::Paragraph(std::mem::take(&mut paragraph)));
            }
            continue;
        }
        if !paragraph.is_empty() {
            paragraph.push(super::model::Inline::Break);
        }
        push_text(&mut paragraph, line, &Marks::default());
    }
    if !paragraph.is_empty() {
        blocks.push(Block::Paragraph(paragraph));
    }
    Document { blocks }
}

/// The words of a document, blocks parted by an empty line.
#[must_use]
pub fn write_plain(document: &Document) -> String {
    let mut out = String::new();
    blocks(&document.blocks, "", "\n\n", &mut out);
    out
}

fn blocks(list: &[Block], indent: &str, between: &str, out: &mut String) {
    let mut first = true;
    for block in list {
        let mut text = String::new();
        block_text(block, &mut text);
        if text.is_empty() {
            continue;
        }
        if !first {
            out.push_str(between);
            out.push_str(indent);
        }
        first = false;
        out.push_str(&text.replace('\n', &format!("\n{indent}")));
    }
}

fn block_text(block: &Block, out: &mut String) {
    match block {
        Block::Paragraph(text) | Block::Heading { text, .. } => out.push_str(&words(text)),
        Block::List { start, items } => {
            for (at, item) in (0_u64..).zip(items) {
                let marker =
                    start.map_or_else(|| "- ".to_owned(), |first| format!("{}. ", first.saturating_add(at)));
                separate(out);
                out.push_str(&marker);
                blocks(item, "  ", "\n", out);
            }
        }
        Block::Tasks(list) => tasks(list, 0, out),
        Block::Decisions(items) => {
            for item in items {
                separate(out);
                out.push_str("- ");
                out.push_str(&words(item));
            }
        }
        Block::Code { text, .. } => out.push_str(text),
        Block::Quote(inner) => {
            out.push_str("> ");
            blocks(inner, "> ", "\n", out);
        }
        Block::Panel { blocks: inner, .. } => blocks(inner, "", "\n", out),
        Block::Expand { title, blocks: inner } => {
            out.push_str(title);
            separate(out);
            blocks(inner, "", "\n", out);
        }
        Block::Rule => out.push_str("----"),
        Block::Table(rows) => {
            for row in rows {
                separate(out);
                out.push_str(&row.iter().map(cell_text).collect::<Vec<_>>().join("\t"));
            }
        }
        Block::Media { media, caption } => {
            out.push_str(if caption.is_empty() { media.words() } else { caption });
        }
        Block::MediaGroup(media) => {
            out.push_str(&media.iter().map(super::model::Media::words).collect::<Vec<_>>().join("\n"));
        }
        Block::Card(url) => out.push_str(url),
        Block::Opaque(node) => out.push_str(&super::opaque::label(node)),
    }
}

fn separate(out: &mut String) {
    if !out.is_empty() {
        out.push('\n');
    }
}

fn tasks(list: &[Task], depth: usize, out: &mut String) {
    for task in list {
        separate(out);
        out.push_str(&"  ".repeat(depth));
        out.push_str(if task.done { "- [x] " } else { "- [ ] " });
        out.push_str(&words(&task.text));
        tasks(&task.nested, depth + 1, out);
    }
}

fn cell_text(cell: &Cell) -> String {
    block_words(&cell.blocks).replace(['\n', '\t'], " ")
}
