//! Markdown → document: CommonMark with tables, task lists and strikethrough, HTML where Markdown has nothing, and
//! the notations of `docs/rich-text.md`.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd};

use super::builder::{Builder, Container, Mark, QuoteKind, TextKind};
use super::html_read::{Around, feed};
use super::model::{Document, PanelKind};

/// Reads Markdown.
#[must_use]
pub fn read_markdown(text: &str) -> Document {
    let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH;
    let mut reader = Reader {
        source: text,
        builder: Builder::new(),
        open: Vec::new(),
        quote_begins: false,
        skip_to: 0,
        header: false,
        html: None,
    };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        reader.event(event, range);
    }
    reader.builder.finish()
}

struct Reader<'a> {
    source: &'a str,
    builder: Builder,
    /// The depth below each container that Markdown opened; nothing for one that lay too deep.
    open: Vec<Option<usize>>,
    quote_begins: bool,
    /// Where the text after the first line of a panel begins.
    skip_to: usize,
    header: bool,
    html: Option<String>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        let begins = std::mem::take(&mut self.quote_begins);
        match event {
            Event::Start(Tag::Paragraph) if begins => {
                self.quote_kind(range.start);
                self.builder.open_text(TextKind::Paragraph);
            }
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Html(html) => match &mut self.html {
                Some(gathered) => gathered.push_str(&html),
                None => self.feed(&html),
            },
            Event::InlineHtml(html) => self.feed(&html),
            _ if range.start < self.skip_to => {}
            Event::Text(text) => self.builder.text(&text),
            Event::Code(code) => self.builder.code(&code),
            Event::SoftBreak => self.builder.text(" "),
            Event::HardBreak => self.builder.line_break(),
            Event::Rule => self.builder.rule(),
            Event::TaskListMarker(done) => self.builder.set_task(done),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.builder.text(&text);
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        let container = match tag {
            Tag::Paragraph => return self.builder.open_text(TextKind::Paragraph),
            Tag::Heading { level, .. } => return self.builder.open_text(TextKind::Heading(number(level))),
            Tag::CodeBlock(kind) => {
                let language = match kind {
                    CodeBlockKind::Fenced(info) if !info.trim().is_empty() => Some(info.trim().to_owned()),
                    _ => None,
                };
                return self.builder.open_code(language);
            }
            Tag::HtmlBlock => {
                self.html = Some(String::new());
                return;
            }
            Tag::Emphasis => return self.builder.push_mark(Mark::Em),
            Tag::Strong => return self.builder.push_mark(Mark::Strong),
            Tag::Strikethrough => return self.builder.push_mark(Mark::Strike),
            Tag::Link { link_type, dest_url, title, .. } => {
                return match link_type {
                    LinkType::Autolink => self.builder.open_link("card:", ""),
                    LinkType::Email => self.builder.open_link(&format!("mailto:{dest_url}"), ""),
                    _ => self.builder.open_link(&dest_url, &title),
                };
            }
            Tag::Image { dest_url, title, .. } => return self.builder.open_picture(&dest_url, &title),
            Tag::BlockQuote(_) => {
                self.quote_begins = true;
                Container::Quote(QuoteKind::Quote)
            }
            Tag::List(start) => Container::List { start, items: Vec::new() },
            Tag::Item => Container::Item { done: None },
            Tag::Table(_) => Container::Table { rows: Vec::new() },
            Tag::TableHead => {
                self.header = true;
                Container::Row { cells: Vec::new() }
            }
            Tag::TableRow => Container::Row { cells: Vec::new() },
            Tag::TableCell => Container::Cell { header: self.header, columns: 1, rows: 1 },
            _ => return,
        };
        self.builder.clear_marks();
        let opened = self.builder.open(container);
        self.quote_begins &= opened.is_some();
        self.open.push(opened);
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock => {
                self.builder.end_leaf();
                self.builder.clear_marks();
            }
            TagEnd::HtmlBlock => {
                if let Some(html) = self.html.take() {
                    self.feed(&html);
                    self.builder.end_leaf();
                    self.builder.clear_marks();
                }
            }
            TagEnd::Emphasis => self.builder.pop_mark(&Mark::Em),
            TagEnd::Strong => self.builder.pop_mark(&Mark::Strong),
            TagEnd::Strikethrough => self.builder.pop_mark(&Mark::Strike),
            TagEnd::Link | TagEnd::Image => self.builder.end_span(),
            TagEnd::BlockQuote(_)
            | TagEnd::List(_)
            | TagEnd::Item
            | TagEnd::Table
            | TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::TableCell => {
                self.header &= tag != TagEnd::TableHead;
                match self.open.pop() {
                    Some(Some(depth)) => self.builder.close_to(depth),
                    _ => self.builder.end_leaf(),
                }
                self.builder.clear_marks();
            }
            _ => {}
        }
    }

    fn feed(&mut self, html: &str) {
        let floor = self.open.iter().rev().flatten().next().map_or(1, |below| below + 1);
        feed(&mut self.builder, html, &Around { floor, literal: true });
    }

    /// A quotation that begins with `[!INFO]` or the like is a panel, and that line is no part of its content.
    fn quote_kind(&mut self, at: usize) {
        let rest = self.source.get(at..).unwrap_or_default();
        let Some((name, after)) = rest
            .strip_prefix("[!")
            .and_then(|rest| rest.split_at_checked(first_line(rest).find(']').unwrap_or(0)))
        else {
            return;
        };
        let tail = first_line(&after[after.len().min(1)..]);
        if name.is_empty() || !tail.trim().is_empty() {
            return;
        }
        let kind = if name.eq_ignore_ascii_case("decision") {
            QuoteKind::Decisions
        } else if let Some(kind) = PanelKind::named(name) {
            QuoteKind::Panel(kind)
        } else {
            return;
        };
        self.builder.set_quote(kind);
        self.skip_to = at + first_line(rest).len() + 1;
    }
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
