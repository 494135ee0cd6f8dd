//! What a finished paragraph, list or table is: most are what they look like, some stand for something else.

use super::model::{Block, Cell, Inline, Task};
use super::notation::Standing;
use super::opaque;

/// A finished item of a list.
#[derive(Debug)]
pub(super) struct Item {
    /// Whether it is done, when it is a task.
    pub(super) done: Option<bool>,
    /// Its content.
    pub(super) blocks: Vec<Block>,
}

/// A paragraph, or what a paragraph of nothing else stands for.
pub(super) fn paragraph(inlines: Vec<Inline>, notes: &[(Standing, String)], card: bool) -> Vec<Block> {
    if let [only] = inlines.as_slice() {
        match only {
            Inline::Card(url) if card => return vec![Block::Card(url.clone())],
            Inline::Opaque(node)
                if opaque::carried(node).is_some_and(|(level, _)| level == opaque::Level::Block) =>
            {
                return vec![Block::Opaque(node.clone())];
            }
            _ => {}
        }
    }
    let blank = |inline: &Inline| match inline {
        Inline::Media(_) => true,
        Inline::Text { text, .. } => text.trim().is_empty(),
        _ => false,
    };
    let within = notes.is_empty() || notes.iter().any(|(standing, _)| *standing == Standing::Inline);
    if within || !inlines.iter().all(blank) {
        return vec![Block::Paragraph(inlines)];
    }
    let media: Vec<super::model::Media> = inlines
        .into_iter()
        .filter_map(|inline| match inline {
            Inline::Media(media) => Some(media),
            _ => None,
        })
        .collect();
    let grouped = notes.iter().any(|(standing, _)| *standing == Standing::Group) || {
        let stored =
            |media: &super::model::Media| matches!(media.place, super::model::MediaPlace::Stored { .. });
        media.len() > 1 && media.iter().all(stored) && notes.iter().all(|(_, caption)| caption.is_empty())
    };
    if grouped {
        return vec![Block::MediaGroup(media)];
    }
    media
        .into_iter()
        .zip(notes)
        .map(|(media, (_, caption))| Block::Media { media, caption: caption.clone() })
        .collect()
}

/// A list as blocks: items that can be done are a task list of their own.
pub(super) fn list_blocks(start: Option<u64>, items: Vec<Item>) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::new();
    for (at, item) in (0_u64..).zip(items) {
        match item.done {
            None => match out.last_mut() {
                Some(Block::List { items, .. }) => items.push(item.blocks),
                _ => out.push(Block::List {
                    start: start.map(|first| first.saturating_add(at)),
                    items: vec![item.blocks],
                }),
            },
            Some(done) => {
                let (task, rest) = task(done, item.blocks);
                match out.last_mut() {
                    Some(Block::Tasks(tasks)) => tasks.push(task),
                    _ => out.push(Block::Tasks(vec![task])),
                }
                out.extend(rest);
            }
        }
    }
    out
}

/// A task of an item's paragraphs and task lists, and the blocks that a task cannot have.
fn task(done: bool, blocks: Vec<Block>) -> (Task, Vec<Block>) {
    let mut task = Task { done, ..Task::default() };
    let mut rest = Vec::new();
    for block in blocks {
        match block {
            Block::Paragraph(text) if task.text.is_empty() => task.text = text,
            Block::Paragraph(text) if task.nested.is_empty() && rest.is_empty() => {
                task.text.push(Inline::Break);
                task.text.extend(text);
            }
            Block::Tasks(tasks) if rest.is_empty() => task.nested.extend(tasks),
            other => rest.push(other),
        }
    }
    (task, rest)
}

/// A table; a first row of empty headings stands for a table that has none.
pub(super) fn table_block(mut rows: Vec<Vec<Cell>>) -> Option<Block> {
    let empty = |cell: &Cell| cell.header && cell.blocks.is_empty();
    if rows.len() > 1 && rows[0].iter().all(empty) {
        rows.remove(0);
    }
    (!rows.is_empty()).then_some(Block::Table(rows))
}
