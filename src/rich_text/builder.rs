//! Puts a document together from what a reader of Markdown or HTML meets, one piece after the other. It keeps its
//! own stack, so nesting costs no recursion, and it never refuses a piece.

use std::sync::Arc;

use super::MAX_DEPTH;
use super::finished::{Item, list_blocks, paragraph, table_block};
use super::fit::flat;
use super::model::{Block, Cell, Document, Inline, Link, Marks, PanelKind, Script, push_text, words};
use super::notation::{self, Meaning, Standing};

/// A block that holds blocks.
#[derive(Debug)]
pub(super) enum Container {
    /// The document.
    Root,
    /// A list.
    List { start: Option<u64>, items: Vec<Item> },
    /// An item of a list; a task when it can be done.
    Item { done: Option<bool> },
    /// A quotation or, by its first line, a panel.
    Quote(QuoteKind),
    /// An expand.
    Expand { title: String },
    /// A table.
    Table { rows: Vec<Vec<Cell>> },
    /// A row of a table.
    Row { cells: Vec<Cell> },
    /// A cell of a table.
    Cell { header: bool, columns: u32, rows: u32 },
}

/// What a quotation is by its first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuoteKind {
    /// A quotation.
    Quote,
    /// A panel.
    Panel(PanelKind),
    /// A list of decisions, one in each paragraph.
    Decisions,
}

/// A paragraph, heading or title that is being filled.
#[derive(Debug, Default)]
struct Text {
    kind: TextKind,
    inlines: Vec<Inline>,
    /// How each medium in it stands, and the text below it.
    media: Vec<(Standing, String)>,
    /// A card in it is meant to stand alone.
    card: bool,
    /// White space in it counts as in HTML.
    collapsed: bool,
}

/// Code that is being filled.
#[derive(Debug, Default)]
struct Code {
    language: Option<String>,
    text: String,
}

/// What a text becomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TextKind {
    /// A paragraph.
    #[default]
    Paragraph,
    /// A heading of a level.
    Heading(u8),
    /// The title of the expand around it.
    Title,
}

#[derive(Debug)]
struct Frame {
    container: Container,
    blocks: Vec<Block>,
}

/// A link or picture that is open.
#[derive(Debug)]
enum Span {
    Link { link: Arc<Link>, shown: bool },
    Notation { target: String, label: String },
    Picture { target: String, caption: String, label: String },
}

/// A mark that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// Bold.
    Strong,
    /// Italic.
    Em,
    /// Struck out.
    Strike,
    /// Underlined.
    Underline,
    /// Code.
    Code,
    /// Lowered or raised.
    Script(Script),
    /// Colours of the text and behind it.
    Colors { text: Option<String>, behind: Option<String> },
}

/// How many open marks are looked at: those below say nothing new, and looking at all would not be linear.
const LOOKED_AT: usize = 64;

/// The document so far.
#[derive(Debug)]
pub(super) struct Builder {
    frames: Vec<Frame>,
    text: Option<Text>,
    code: Option<Code>,
    open_marks: Vec<Mark>,
    spans: Vec<Span>,
    /// How many of the spans are read for their label.
    labels: usize,
    marks: Marks,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            frames: vec![Frame { container: Container::Root, blocks: Vec::new() }],
            text: None,
            code: None,
            open_marks: Vec::new(),
            spans: Vec::new(),
            labels: 0,
            marks: Marks::default(),
        }
    }

    pub(super) fn finish(mut self) -> Document {
        self.close_to(1);
        Document { blocks: self.frames.pop().map(|frame| frame.blocks).unwrap_or_default() }
    }

    // Containers.

    /// Opens a container and tells the depth below it; nothing when it would lie too deep, then its content goes
    /// to the container around it.
    pub(super) fn open(&mut self, container: Container) -> Option<usize> {
        self.end_leaf();
        if self.frames.len() >= MAX_DEPTH {
            return None;
        }
        self.prepare(&container);
        let below = self.frames.len();
        self.frames.push(Frame { container, blocks: Vec::new() });
        Some(below)
    }

    /// Opens what a container must stand in.
    fn prepare(&mut self, container: &Container) {
        match container {
            Container::Item { .. } => {
                if !matches!(self.top(), Container::List { .. }) {
                    self.imply_block();
                    self.push_implied(Container::List { start: None, items: Vec::new() });
                }
            }
            Container::Row { .. } => {
                if !matches!(self.top(), Container::Table { .. }) {
                    self.imply_block();
                    self.push_implied(Container::Table { rows: Vec::new() });
                }
            }
            Container::Cell { .. } => {
                if !matches!(self.top(), Container::Row { .. }) {
                    self.prepare(&Container::Row { cells: Vec::new() });
                    self.push_implied(Container::Row { cells: Vec::new() });
                }
            }
            _ => self.imply_block(),
        }
    }

    /// Opens an item or cell when blocks come where only those may stand.
    fn imply_block(&mut self) {
        loop {
            let implied = match self.top() {
                Container::List { .. } => Container::Item { done: None },
                Container::Table { .. } => Container::Row { cells: Vec::new() },
                Container::Row { .. } => Container::Cell { header: false, columns: 1, rows: 1 },
                _ => return,
            };
            self.push_implied(implied);
        }
    }

    fn push_implied(&mut self, container: Container) {
        self.frames.push(Frame { container, blocks: Vec::new() });
    }

    fn top(&self) -> &Container {
        const ROOT: &Container = &Container::Root;
        self.frames.last().map_or(ROOT, |frame| &frame.container)
    }

    /// Closes containers until so many are open; the document itself stays.
    pub(super) fn close_to(&mut self, depth: usize) {
        self.end_leaf();
        while self.frames.len() > depth.max(1) {
            if let Some(frame) = self.frames.pop() {
                self.settle(frame);
            }
        }
    }

    /// Closes the innermost container of a kind that lies above a depth. False when there is none.
    pub(super) fn close(&mut self, floor: usize, is: impl Fn(&Container) -> bool) -> bool {
        let found =
            self.frames.iter().rposition(|frame| is(&frame.container)).filter(|at| *at >= floor.max(1));
        match found {
            Some(at) => {
                self.close_to(at);
                true
            }
            None => false,
        }
    }

    /// The innermost container of these kinds above a depth: where it lies, and whether it is an item.
    pub(super) fn last_of(&self, floor: usize, is: impl Fn(&Container) -> bool) -> Option<(usize, bool)> {
        let at =
            self.frames.iter().rposition(|frame| is(&frame.container)).filter(|at| *at >= floor.max(1))?;
        Some((at, matches!(self.frames[at].container, Container::Item { .. })))
    }

    /// Closes the innermost row or cell of the innermost table, if one is open.
    pub(super) fn end_within_table(&mut self, floor: usize, is: impl Fn(&Container) -> bool) {
        let table = self.frames.iter().rposition(|frame| matches!(frame.container, Container::Table { .. }));
        let floor = table.map_or(floor, |table| floor.max(table + 1));
        self.close(floor, is);
    }

    /// Closes the innermost container if it is of this kind.
    pub(super) fn close_innermost(&mut self, floor: usize, is: impl Fn(&Container) -> bool) {
        if self.frames.len() > floor.max(1) && is(self.top()) {
            self.close_to(self.frames.len() - 1);
        }
    }

    /// Says that the item that is open can be done.
    pub(super) fn set_task(&mut self, is_done: bool) {
        if let Some(Container::Item { done }) = self.frames.last_mut().map(|frame| &mut frame.container) {
            *done = Some(is_done);
        }
    }

    /// Says what the quotation that is open is.
    pub(super) fn set_quote(&mut self, kind: QuoteKind) {
        if let Some(Container::Quote(found)) = self.frames.last_mut().map(|frame| &mut frame.container) {
            *found = kind;
        }
    }

    fn settle(&mut self, frame: Frame) {
        let Frame { container, blocks } = frame;
        let Some(parent) = self.frames.last_mut() else { return };
        match container {
            Container::Root => parent.blocks.extend(blocks),
            Container::List { start, items } => parent.blocks.extend(list_blocks(start, items)),
            Container::Item { done } => {
                if let Container::List { items, .. } = &mut parent.container {
                    items.push(Item { done, blocks });
                }
            }
            Container::Quote(QuoteKind::Quote) => parent.blocks.push(Block::Quote(blocks)),
            Container::Quote(QuoteKind::Panel(kind)) => parent.blocks.push(Block::Panel { kind, blocks }),
            Container::Quote(QuoteKind::Decisions) => {
                parent.blocks.push(Block::Decisions(
                    blocks.iter().map(|block| flat(std::slice::from_ref(block))).collect(),
                ));
            }
            Container::Expand { title } => parent.blocks.push(Block::Expand { title, blocks }),
            Container::Table { rows } => parent.blocks.extend(table_block(rows)),
            Container::Row { cells } => {
                if let Container::Table { rows } = &mut parent.container {
                    rows.push(cells);
                }
            }
            Container::Cell { header, columns, rows } => {
                if let Container::Row { cells } = &mut parent.container {
                    cells.push(Cell { header, columns, rows, blocks });
                }
            }
        }
    }

    fn push_block(&mut self, block: Block) {
        self.imply_block();
        if let Some(frame) = self.frames.last_mut() {
            frame.blocks.push(block);
        }
    }

    // Blocks of text.

    pub(super) fn rule(&mut self) {
        self.end_leaf();
        self.push_block(Block::Rule);
    }

    pub(super) fn open_text(&mut self, kind: TextKind) {
        self.end_leaf();
        self.imply_block();
        self.text = Some(Text { kind, ..Text::default() });
    }

    pub(super) fn open_code(&mut self, language: Option<String>) {
        self.end_leaf();
        self.imply_block();
        self.code = Some(Code { language, text: String::new() });
    }

    /// Names the language of the code that is open, unless it has one.
    pub(super) fn set_language(&mut self, name: &str) {
        if let Some(Code { language, .. }) = &mut self.code
            && language.is_none()
        {
            *language = Some(name.to_owned());
        }
    }

    pub(super) fn in_code(&self) -> bool {
        self.code.is_some()
    }

    /// Ends the paragraph, heading or code that is open, if any, with all links in it.
    pub(super) fn end_leaf(&mut self) {
        while !self.spans.is_empty() {
            self.end_span();
        }
        if let Some(Code { language, mut text }) = self.code.take() {
            if text.ends_with('\n') {
                text.pop();
            }
            self.push_block(Block::Code { language, text });
        }
        let Some(Text { kind, mut inlines, media, card, collapsed }) = self.text.take() else { return };
        if collapsed {
            trim_end(&mut inlines);
        }
        match kind {
            TextKind::Heading(level) => self.push_block(Block::Heading { level, text: inlines }),
            TextKind::Title => self.set_title(&inlines),
            TextKind::Paragraph if inlines.is_empty() => {}
            TextKind::Paragraph => {
                for block in paragraph(inlines, &media, card) {
                    self.push_block(block);
                }
            }
        }
    }

    fn set_title(&mut self, inlines: &[Inline]) {
        match self.frames.last_mut().map(|frame| &mut frame.container) {
            Some(Container::Expand { title }) => title.push_str(&words(inlines)),
            _ if inlines.is_empty() => {}
            _ => self.push_block(Block::Paragraph(inlines.to_vec())),
        }
    }

    // Running text.

    fn filled(&mut self) -> &mut Text {
        if self.text.is_none() {
            self.open_text(TextKind::Paragraph);
        }
        self.text.get_or_insert_default()
    }

    /// Text as it stands.
    pub(super) fn text(&mut self, text: &str) {
        if let Some(code) = &mut self.code {
            code.text.push_str(text);
            return;
        }
        if text.is_empty() || self.show(text) {
            return;
        }
        let marks = std::mem::take(&mut self.marks);
        push_text(&mut self.filled().inlines, text, &marks);
        self.marks = marks;
    }

    /// Text of HTML, in which runs of white space count as one space.
    pub(super) fn loose_text(&mut self, text: &str) {
        if self.in_code() {
            self.text(text);
            return;
        }
        let blank = |c: char| c.is_ascii_whitespace();
        if self.text.is_none() && text.chars().all(blank) {
            return;
        }
        let mut flowing = String::with_capacity(text.len());
        for (at, word) in text.split(blank).enumerate() {
            if at > 0 && !flowing.ends_with(' ') {
                flowing.push(' ');
            }
            flowing.push_str(word);
        }
        if self.labels == 0 {
            let text = self.filled();
            text.collapsed = true;
            if ends_blank(&text.inlines) && flowing.starts_with(' ') {
                flowing.remove(0);
            }
        }
        self.text(&flowing);
    }

    /// A span of code.
    pub(super) fn code(&mut self, code: &str) {
        self.push_mark(Mark::Code);
        self.text(code);
        self.pop_mark(&Mark::Code);
    }

    pub(super) fn line_break(&mut self) {
        if self.in_code() {
            self.text("\n");
        } else if !self.show(" ") {
            let text = self.filled();
            if text.collapsed {
                trim_end(&mut text.inlines);
            }
            text.inlines.push(Inline::Break);
        }
    }

    /// A piece that is not text.
    pub(super) fn inline(&mut self, inline: Inline) {
        if !self.show(&words(std::slice::from_ref(&inline))) {
            self.filled().inlines.push(inline);
        }
    }

    /// Gives text to the link or picture whose label is being read. False when there is none.
    fn show(&mut self, text: &str) -> bool {
        let inner = self.spans.iter_mut().rev().find_map(|span| match span {
            Span::Link { shown, .. } => {
                *shown = true;
                None
            }
            Span::Notation { label, .. } | Span::Picture { label, .. } => Some(label),
        });
        if let Some(label) = inner {
            label.push_str(text);
            return true;
        }
        false
    }

    // Links and pictures.

    pub(super) fn open_link(&mut self, target: &str, title: &str) {
        self.spans.push(if notation::is_notation(target) {
            self.labels += 1;
            Span::Notation { target: target.to_owned(), label: String::new() }
        } else {
            let title = (!title.is_empty()).then(|| title.to_owned());
            let href = notation::real_address(target).to_owned();
            Span::Link { link: Arc::new(Link { href, title }), shown: false }
        });
        self.settle_marks();
    }

    pub(super) fn open_picture(&mut self, target: &str, caption: &str) {
        self.labels += 1;
        self.spans.push(Span::Picture {
            target: target.to_owned(),
            caption: caption.to_owned(),
            label: String::new(),
        });
    }

    /// Closes the innermost link or picture.
    pub(super) fn end_span(&mut self) {
        match self.spans.pop() {
            None => {}
            Some(Span::Link { link, shown }) if !shown && !link.href.is_empty() => {
                let marks = Marks { link: Some(link.clone()), ..Marks::default() };
                if !self.show(&link.href) {
                    push_text(&mut self.filled().inlines, &link.href, &marks);
                }
            }
            Some(Span::Link { .. }) => {}
            Some(Span::Notation { target, label }) => {
                self.labels -= 1;
                self.notation(&target, &label);
            }
            Some(Span::Picture { target, caption, label }) => {
                self.labels -= 1;
                let (media, standing) = notation::media(&target, &label);
                if !self.show(media.words()) {
                    let text = self.filled();
                    text.inlines.push(Inline::Media(media));
                    text.media.push((standing, caption));
                }
            }
        }
        self.settle_marks();
    }

    fn notation(&mut self, target: &str, label: &str) {
        match notation::meaning(target, label) {
            Some(Meaning::Inline(inline)) => self.inline(inline),
            Some(Meaning::Block(node)) => self.inline(Inline::Opaque(node)),
            Some(Meaning::Card(url)) => {
                self.inline(Inline::Card(url));
                self.filled().card = true;
            }
            None => {
                let link = Link { href: target.to_owned(), title: None };
                let marks = Marks { link: Some(Arc::new(link)), ..self.marks.clone() };
                let shown = if label.is_empty() { target } else { label };
                if !self.show(shown) {
                    push_text(&mut self.filled().inlines, shown, &marks);
                }
            }
        }
    }

    /// Whether a link or picture is open.
    pub(super) fn in_span(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Whether the innermost link is a notation.
    pub(super) fn in_notation(&self) -> bool {
        matches!(self.spans.last(), Some(Span::Notation { .. }))
    }

    // Marks.

    pub(super) fn push_mark(&mut self, mark: Mark) {
        self.open_marks.push(mark);
        self.settle_marks();
    }

    /// Closes the innermost mark of this kind, if one is open.
    pub(super) fn pop_mark(&mut self, mark: &Mark) {
        let same = |open: &Mark| std::mem::discriminant(open) == std::mem::discriminant(mark);
        if let Some(behind) = self.open_marks.iter().rev().take(LOOKED_AT).position(same) {
            self.open_marks.remove(self.open_marks.len() - 1 - behind);
            self.settle_marks();
        }
    }

    /// Closes every mark: none goes beyond the block of Markdown that it was opened in.
    pub(super) fn clear_marks(&mut self) {
        self.open_marks.clear();
        self.settle_marks();
    }

    fn settle_marks(&mut self) {
        let mut marks = Marks::default();
        let first = self.open_marks.len().saturating_sub(LOOKED_AT);
        for mark in &self.open_marks[first..] {
            match mark {
                Mark::Strong => marks.strong = true,
                Mark::Em => marks.em = true,
                Mark::Strike => marks.strike = true,
                Mark::Underline => marks.underline = true,
                Mark::Code => marks.code = true,
                Mark::Script(script) => marks.script = Some(*script),
                Mark::Colors { text, behind } => {
                    marks.color = text.clone().or(marks.color);
                    marks.background = behind.clone().or(marks.background);
                }
            }
        }
        marks.link = self.spans.iter().rev().find_map(|span| match span {
            Span::Link { link, .. } => Some(link.clone()),
            _ => None,
        });
        self.marks = marks;
    }
}

fn ends_blank(inlines: &[Inline]) -> bool {
    match inlines.last() {
        None | Some(Inline::Break) => true,
        Some(Inline::Text { text, .. }) => text.ends_with(' '),
        Some(_) => false,
    }
}

fn trim_end(inlines: &mut Vec<Inline>) {
    if let Some(Inline::Text { text, .. }) = inlines.last_mut() {
        text.truncate(text.trim_end_matches(' ').len());
        if text.is_empty() {
            inlines.pop();
        }
    }
}
