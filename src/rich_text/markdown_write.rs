//! Document → Markdown that reads back as the same document wherever Markdown and its notations can say it.

use super::escape::longest_run;
use super::fit::flat;
use super::html_write;
use super::markdown_inline::{Line, markdown, push_linked, push_picture};
use super::model::{Block, Cell, Document, Inline, Task};
use super::notation::{self, Standing};

/// Writes a document as Markdown.
#[must_use]
pub fn write_markdown(document: &Document) -> String {
    let mut writer = Writer { out: String::new(), prefix: String::new() };
    writer.blocks(&document.blocks, false);
    writer.out
}

struct Writer {
    out: String,
    /// What every further line begins with.
    prefix: String,
}

impl Writer {
    fn line(&mut self) {
        self.out.push('\n');
        self.out.push_str(&self.prefix);
    }

    fn blank_line(&mut self) {
        self.out.push('\n');
        self.out.push_str(self.prefix.trim_end());
        self.line();
    }

    /// Text of several lines.
    fn lines(&mut self, text: &str) {
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                self.out.push('\n');
                self.out.push_str(if line.is_empty() { self.prefix.trim_end() } else { &self.prefix });
            }
            self.out.push_str(line);
        }
    }

    /// Runs with a longer prefix.
    fn within(&mut self, prefix: &str, run: impl FnOnce(&mut Self)) {
        let before = self.prefix.len();
        self.prefix.push_str(prefix);
        run(self);
        self.prefix.truncate(before);
    }

    fn blocks(&mut self, blocks: &[Block], tight: bool) {
        let mut before: Option<&Block> = None;
        let mut marker = '*';
        for block in blocks.iter().filter(|block| !is_nothing(block)) {
            if before.is_some() {
                if tight && interrupts(block) && !before.is_some_and(is_break) {
                    self.line()
                } else {
                    self.blank_line()
                }
            }
            // Lists that follow each other are told apart by their markers.
            let follows = before.is_some_and(|before| same_list(before, block));
            marker = if follows && matches!(marker, '-' | '.') {
                if marker == '-' { '*' } else { ')' }
            } else if is_numbered(block) {
                '.'
            } else {
                '-'
            };
            self.block(block, marker);
            before = Some(block);
        }
    }

    fn block(&mut self, block: &Block, marker: char) {
        match block {
            Block::Paragraph(text) => self.lines(&markdown(text, Line::Paragraph)),
            Block::Heading { level, text } => {
                let text = markdown(text, Line::Heading);
                let hashes = "#".repeat(usize::from((*level).clamp(1, 6)));
                self.out.push_str(format!("{hashes} {text}").trim_end_matches(' '));
            }
            Block::List { start, items } => self.list(*start, items, marker),
            Block::Tasks(tasks) => self.tasks(tasks, marker),
            Block::Decisions(items) => {
                let blocks: Vec<Block> = items.iter().cloned().map(Block::Paragraph).collect();
                self.alert("DECISION", &blocks);
            }
            Block::Code { language, text } => self.code(language.as_deref().unwrap_or_default(), text),
            Block::Quote(blocks) => {
                self.out.push_str("> ");
                self.within("> ", |writer| writer.blocks(blocks, false));
                self.trim_blank();
            }
            Block::Panel { kind, blocks } => self.alert(&kind.name().to_ascii_uppercase(), blocks),
            Block::Expand { title, blocks } => self.expand(title, blocks),
            Block::Rule => self.out.push_str("---"),
            Block::Table(rows) if is_pipe_table(rows) => self.table(rows),
            Block::Table(rows) => {
                let html = html_write::table(rows);
                self.lines(&html);
            }
            Block::Media { media, caption } => {
                let target = notation::media_target(media, Standing::Natural);
                push_picture(&mut self.out, &media.alt, &target, caption, false);
            }
            Block::MediaGroup(media) => {
                for (at, found) in media.iter().enumerate() {
                    if at > 0 {
                        self.line();
                    }
                    let target = notation::media_target(found, Standing::Group);
                    push_picture(&mut self.out, &found.alt, &target, "", false);
                }
            }
            Block::Card(url) => push_linked(&mut self.out, &notation::card(url), false),
            Block::Opaque(node) => push_linked(&mut self.out, &notation::carried(node), false),
        }
    }

    fn trim_blank(&mut self) {
        if self.out.ends_with("> ") {
            self.out.pop();
        }
    }

    fn list(&mut self, start: Option<u64>, items: &[Vec<Block>], marker: char) {
        let tight =
            items.iter().all(|item| item.iter().filter(|block| !is_nothing(block)).skip(1).all(is_list));
        for (at, item) in (0_u64..).zip(items) {
            if at > 0 {
                if tight { self.line() } else { self.blank_line() }
            }
            let marker = match start {
                None => format!("{marker} "),
                Some(first) => format!("{}{marker} ", first.saturating_add(at).min(999_999_999)),
            };
            self.item(&marker, item);
        }
    }

    fn item(&mut self, marker: &str, blocks: &[Block]) {
        let first = blocks.iter().find(|block| !is_nothing(block));
        self.out.push_str(marker.trim_end());
        let Some(first) = first else { return };
        self.within(&" ".repeat(marker.len()), |writer| {
            if is_list(first) || matches!(first, Block::Rule) {
                writer.line();
            } else {
                writer.out.push(' ');
            }
            writer.blocks(blocks, true);
        });
    }

    fn tasks(&mut self, tasks: &[Task], marker: char) {
        for (at, task) in tasks.iter().enumerate() {
            if at > 0 {
                self.line();
            }
            let text = markdown(&task.text, Line::Paragraph);
            let line = format!("{marker} [{}] {text}", if task.done { 'x' } else { ' ' });
            self.within("  ", |writer| {
                writer.lines(line.trim_end_matches(' '));
                if !task.nested.is_empty() {
                    writer.line();
                    writer.tasks(&task.nested, '-');
                }
            });
        }
    }

    fn code(&mut self, language: &str, text: &str) {
        let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
        self.out.push_str(&fence);
        self.out.push_str(&info(language));
        if !text.is_empty() {
            self.line();
            self.lines(text);
        }
        self.line();
        self.out.push_str(&fence);
    }

    /// A quotation with a first line that says what it is.
    fn alert(&mut self, name: &str, blocks: &[Block]) {
        self.out.push_str("> [!");
        self.out.push_str(name);
        self.out.push(']');
        self.within("> ", |writer| {
            match blocks.iter().find(|block| !is_nothing(block)) {
                None => return,
                Some(Block::Paragraph(_)) => writer.line(),
                Some(_) => writer.blank_line(),
            }
            writer.blocks(blocks, false);
        });
    }

    fn expand(&mut self, title: &str, blocks: &[Block]) {
        self.out.push_str("<details>");
        self.line();
        self.out.push_str("<summary>");
        self.out.push_str(&html_write::escaped(&title.split_whitespace().collect::<Vec<_>>().join(" ")));
        self.out.push_str("</summary>");
        self.blank_line();
        if blocks.iter().any(|block| !is_nothing(block)) {
            self.blocks(blocks, false);
            self.blank_line();
        }
        self.out.push_str("</details>");
    }

    fn table(&mut self, rows: &[Vec<Cell>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let headed = rows.first().is_some_and(|row| row.iter().any(|cell| cell.header));
        if !headed {
            self.row(&[], columns);
        }
        for (at, row) in rows.iter().enumerate() {
            if at == 0 && headed {
                self.row(row, columns);
            }
            if at == 0 {
                self.line();
                self.out.push('|');
                self.out.push_str(&" --- |".repeat(columns));
            }
            if at > 0 || !headed {
                self.line();
                self.row(row, columns);
            }
        }
    }

    fn row(&mut self, cells: &[Cell], columns: usize) {
        self.out.push('|');
        for at in 0..columns {
            let text =
                cells.get(at).map(|cell| markdown(&flat(&cell.blocks), Line::Cell)).unwrap_or_default();
            self.out.push(' ');
            self.out.push_str(&text);
            self.out.push_str(if text.is_empty() { "|" } else { " |" });
        }
    }
}

/// The info string of a fence.
fn info(language: &str) -> String {
    let mut out = String::new();
    for character in language.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match character {
            '`' | '&' => out.push_str(&format!("&#{};", u32::from(character))),
            '\\' => out.push_str("\\\\"),
            other => out.push(other),
        }
    }
    out
}

/// A block that Markdown has nothing for: it is left out.
fn is_nothing(block: &Block) -> bool {
    match block {
        Block::Paragraph(text) => text.is_empty(),
        Block::List { items, .. } => items.is_empty(),
        Block::Tasks(tasks) => tasks.is_empty(),
        Block::Decisions(items) => items.iter().all(Vec::is_empty),
        Block::Table(rows) => rows.iter().all(Vec::is_empty),
        Block::MediaGroup(media) => media.is_empty(),
        Block::Card(url) => url.is_empty(),
        _ => false,
    }
}

fn is_list(block: &Block) -> bool {
    matches!(block, Block::List { .. } | Block::Tasks(_))
}

/// A line break alone is an element on a line of its own, which goes on to the next empty line.
fn is_break(block: &Block) -> bool {
    matches!(block, Block::Paragraph(text) if text.iter().all(|inline| matches!(inline, Inline::Break)))
}

fn is_numbered(block: &Block) -> bool {
    matches!(block, Block::List { start: Some(_), .. })
}

fn same_list(before: &Block, block: &Block) -> bool {
    is_list(before) && is_list(block) && is_numbered(before) == is_numbered(block)
}

/// Whether a list begins after a paragraph without an empty line between them.
fn interrupts(block: &Block) -> bool {
    match block {
        Block::List { start, items } => {
            start.is_none_or(|first| first == 1)
                && items.first().is_some_and(|item| {
                    item.iter().find(|block| !is_nothing(block)).is_some_and(|first| !is_list(first))
                })
        }
        Block::Tasks(tasks) => tasks.first().is_some_and(|task| !task.text.is_empty()),
        _ => false,
    }
}

/// Whether a table is one of Markdown: a first row of headings or none, one line of text in each cell.
fn is_pipe_table(rows: &[Vec<Cell>]) -> bool {
    let columns = rows.first().map_or(0, Vec::len);
    let headed = rows.first().is_some_and(|row| row.iter().all(|cell| cell.header));
    let one_line = |cell: &Cell| matches!(cell.blocks.as_slice(), [] | [Block::Paragraph(_)]);
    let blank = |row: &Vec<Cell>| row.iter().all(|cell| cell.blocks.is_empty());
    let written = |cell: &Cell| cell.columns == 1 && cell.rows == 1 && one_line(cell);
    columns > 0
        && rows.iter().all(|row| row.len() == columns && row.iter().all(written))
        && rows.iter().skip(1).flatten().all(|cell| !cell.header)
        && (headed && !(rows.len() > 1 && blank(&rows[0])) || rows[0].iter().all(|cell| !cell.header))
}
