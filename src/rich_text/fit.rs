//! Which blocks may stand in which, by the ADF schema, and what becomes of one that may not: it gives its content
//! in a form that may. Nothing that can be read is dropped.

use super::model::{Block, Cell, Inline, Marks, Task, push_text, words};

/// What a block stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The document itself.
    Document,
    /// An item of a list.
    Item,
    /// A quotation.
    Quote,
    /// A panel.
    Panel,
    /// An expand of the document.
    Expand,
    /// An expand in another or in a cell.
    NestedExpand,
    /// A cell of a table.
    Cell,
}

impl Place {
    fn allows(self, block: &Block) -> bool {
        use Place::{Cell, Document, Expand, Item, NestedExpand, Panel, Quote};
        match block {
            Block::Paragraph(_) | Block::List { .. } | Block::Code { .. } | Block::Media { .. } => true,
            Block::Opaque(node) => node["type"] != "embedCard" || matches!(self, Document | Expand | Cell),
            Block::Tasks(_) => self != Quote,
            Block::MediaGroup(_) => self != Item,
            Block::Heading { .. } | Block::Rule | Block::Decisions(_) => !matches!(self, Item | Quote),
            Block::Card(_) => matches!(self, Document | Panel | Expand | Cell),
            Block::Quote(_) | Block::Panel { .. } => matches!(self, Document | Expand | NestedExpand | Cell),
            Block::Table(_) => matches!(self, Document | Expand),
            Block::Expand { .. } => matches!(self, Document | Expand | Cell),
        }
    }

    /// What the content of an expand stands in that stands here.
    pub(super) fn expand(self) -> Self {
        if self == Self::Document { Self::Expand } else { Self::NestedExpand }
    }
}

/// The blocks as they may stand in a place; at least an empty paragraph, which every place asks for.
pub(super) fn fitted(blocks: &[Block], place: Place) -> Vec<std::borrow::Cow<'_, Block>> {
    use std::borrow::Cow;
    let mut out = Vec::with_capacity(blocks.len());
    for block in blocks {
        if place.allows(block) {
            out.push(Cow::Borrowed(block));
        } else {
            let replaced = instead(block);
            out.extend(fitted(&replaced, place).into_iter().map(|block| Cow::Owned(block.into_owned())));
        }
    }
    if out.is_empty() && !blocks.is_empty() || out.is_empty() && place != Place::Document {
        out.push(Cow::Owned(Block::Paragraph(Vec::new())));
    }
    out
}

/// The same content a little plainer.
fn instead(block: &Block) -> Vec<Block> {
    match block {
        Block::Heading { text, .. } => vec![Block::Paragraph(strong(text))],
        Block::Quote(blocks) | Block::Panel { blocks, .. } => blocks.clone(),
        Block::Expand { title, blocks } => {
            let title = (!title.is_empty()).then(|| Block::Paragraph(strong(&text(title))));
            title.into_iter().chain(blocks.iter().cloned()).collect()
        }
        Block::Table(rows) => rows.iter().map(|row| Block::Paragraph(row_text(row))).collect(),
        Block::Rule => vec![Block::Paragraph(text("———"))],
        Block::Tasks(tasks) => {
            vec![Block::List { start: None, items: tasks.iter().map(task_item).collect() }]
        }
        Block::Decisions(items) => items.iter().cloned().map(Block::Paragraph).collect(),
        Block::MediaGroup(media) => {
            media.iter().map(|media| Block::Media { media: media.clone(), caption: String::new() }).collect()
        }
        Block::Card(url) => vec![Block::Paragraph(vec![Inline::Card(url.clone())])],
        Block::Opaque(node) => match node["attrs"]["url"].as_str() {
            Some(url) => vec![Block::Paragraph(vec![Inline::Card(url.to_owned())])],
            None => vec![Block::Paragraph(text(&super::opaque::label(node)))],
        },
        Block::Paragraph(_) | Block::List { .. } | Block::Code { .. } | Block::Media { .. } => Vec::new(),
    }
}

fn text(of: &str) -> Vec<Inline> {
    let mut out = Vec::new();
    push_text(&mut out, of, &Marks::default());
    out
}

fn strong(inlines: &[Inline]) -> Vec<Inline> {
    let mut out = Vec::new();
    for inline in inlines {
        match inline {
            Inline::Text { text, marks } => {
                push_text(&mut out, text, &Marks { strong: true, ..marks.clone() })
            }
            other => out.push(other.clone()),
        }
    }
    out
}

fn task_item(task: &Task) -> Vec<Block> {
    let mut line = text(if task.done { "☑ " } else { "☐ " });
    line.extend(task.text.iter().cloned());
    let mut blocks = vec![Block::Paragraph(line)];
    if !task.nested.is_empty() {
        blocks.push(Block::List { start: None, items: task.nested.iter().map(task_item).collect() });
    }
    blocks
}

fn row_text(row: &[Cell]) -> Vec<Inline> {
    let mut out = Vec::new();
    for (at, cell) in row.iter().enumerate() {
        if at > 0 {
            push_text(&mut out, " | ", &Marks::default());
        }
        out.extend(flat(&cell.blocks));
    }
    out
}

/// Blocks as one running text, with line breaks between them.
pub(super) fn flat(blocks: &[Block]) -> Vec<Inline> {
    let mut out: Vec<Inline> = Vec::new();
    for block in blocks {
        if !out.is_empty() {
            out.push(Inline::Break);
        }
        match block {
            Block::Paragraph(text) | Block::Heading { text, .. } => out.extend(text.iter().cloned()),
            Block::Media { media, .. } => out.push(Inline::Media(media.clone())),
            Block::Code { text, .. } => push_text(&mut out, text, &Marks { code: true, ..Marks::default() }),
            Block::List { items, .. } => {
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(Inline::Break);
                    }
                    out.extend(text("• "));
                    out.extend(flat(item));
                }
            }
            other => {
                for (at, block) in instead(other).iter().enumerate() {
                    if at > 0 {
                        out.push(Inline::Break);
                    }
                    out.extend(flat(std::slice::from_ref(block)));
                }
            }
        }
    }
    out
}

/// The words of blocks, one line each.
pub(super) fn block_words(blocks: &[Block]) -> String {
    words(&flat(blocks))
}
