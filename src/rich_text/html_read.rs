//! HTML → document, and the HTML that stands in Markdown. The tokens are those of the HTML standard; the tree is
//! built without its rules for broken pages: what has no meaning here gives its content.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, StartTag, Token, Tokenizer};

use super::builder::{Builder, Container, Mark, QuoteKind, TextKind};
use super::model::{Document, PanelKind, Script};
use super::notation::is_hex_color;

/// Reads HTML.
#[must_use]
pub fn read_html(html: &str) -> Document {
    let mut builder = Builder::new();
    feed(&mut builder, html, &Around { floor: 1, literal: false });
    builder.finish()
}

/// What HTML stands in.
pub(super) struct Around {
    /// Containers below this depth are not its own and stay open.
    pub(super) floor: usize,
    /// Tags without a meaning here are text (Markdown), not nothing (HTML).
    pub(super) literal: bool,
}

/// Elements whose content is not text of the document.
const SILENT: [&str; 6] = ["script", "style", "head", "title", "template", "noscript"];

/// Gives HTML to a builder.
pub(super) fn feed(builder: &mut Builder, html: &str, around: &Around) {
    let mut silent: Option<String> = None;
    for token in Tokenizer::new_with_emitter(html, DefaultEmitter::<usize>::new_with_span()) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) if silent.is_none() => {
                let name = lossy(&tag.name);
                if SILENT.contains(&name.as_str()) && !tag.self_closing && !around.literal {
                    silent = Some(name);
                } else if !start(builder, &name, &tag, around) && around.literal {
                    builder.text(html.get(tag.span.start..tag.span.end).unwrap_or_default());
                }
            }
            Token::EndTag(tag) => {
                let name = lossy(&tag.name);
                if silent.is_some() {
                    silent = silent.filter(|open| *open != name);
                } else if !end(builder, &name, around) && around.literal {
                    builder.text(html.get(tag.span.start..tag.span.end).unwrap_or_default());
                }
            }
            Token::String(text) if silent.is_none() => builder.loose_text(&lossy(&text.value)),
            _ => {}
        }
    }
}

fn lossy(text: &HtmlString) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn attr(tag: &StartTag<usize>, name: &str) -> Option<String> {
    tag.attributes.get(name.as_bytes()).map(|value| lossy(&value.value))
}

fn mark_of(name: &str) -> Option<Mark> {
    Some(match name {
        "strong" | "b" => Mark::Strong,
        "em" | "i" | "cite" | "dfn" | "var" => Mark::Em,
        "s" | "del" | "strike" => Mark::Strike,
        "u" | "ins" => Mark::Underline,
        "code" | "kbd" | "samp" | "tt" => Mark::Code,
        "sub" => Mark::Script(Script::Sub),
        "sup" => Mark::Script(Script::Sup),
        _ => return None,
    })
}

fn heading_level(name: &str) -> Option<u8> {
    let level = name.strip_prefix('h')?.parse().ok()?;
    (1..=6).contains(&level).then_some(level)
}

/// False when the tag has no meaning here.
fn start(builder: &mut Builder, name: &str, tag: &StartTag<usize>, around: &Around) -> bool {
    if name == "code" && builder.in_code() {
        language(builder, tag);
        return true;
    }
    if let Some(mark) = mark_of(name) {
        builder.push_mark(mark);
        return true;
    }
    if let Some(level) = heading_level(name) {
        builder.open_text(TextKind::Heading(level));
        return true;
    }
    match name {
        "br" => builder.line_break(),
        "hr" => builder.rule(),
        "a" => match attr(tag, "href") {
            Some(href) => {
                if builder.in_span() {
                    builder.end_span();
                }
                builder.open_link(&href, &attr(tag, "title").unwrap_or_default());
            }
            None => return false,
        },
        "span" | "font" => span(builder, tag),
        "img" => match attr(tag, "src") {
            Some(source) => {
                builder.open_picture(&source, &attr(tag, "title").unwrap_or_default());
                builder.text(&attr(tag, "alt").unwrap_or_default());
                builder.end_span();
            }
            None => return false,
        },
        "input" if attr(tag, "type").as_deref() == Some("checkbox") => {
            builder.set_task(attr(tag, "checked").is_some());
        }
        "pre" => {
            builder.open_code(None);
            language(builder, tag);
        }
        "summary" => builder.open_text(TextKind::Title),
        "p" | "section" | "article" | "header" | "footer" | "main" | "figure" | "dl" | "dt" | "dd" => {
            builder.end_leaf();
        }
        "thead" | "tbody" | "tfoot" | "colgroup" | "col" | "html" | "body" => {}
        "div" => match attr(tag, "data-panel").as_deref().and_then(PanelKind::named) {
            Some(kind) => {
                builder.open(Container::Quote(QuoteKind::Panel(kind)));
            }
            None => builder.end_leaf(),
        },
        _ => return container(builder, name, tag, around),
    }
    true
}

fn container(builder: &mut Builder, name: &str, tag: &StartTag<usize>, around: &Around) -> bool {
    let number = |name: &str| attr(tag, name).and_then(|text| text.trim().parse::<u32>().ok());
    let opened = match name {
        "ul" => Container::List { start: None, items: Vec::new() },
        "ol" => Container::List { start: Some(number("start").unwrap_or(1).into()), items: Vec::new() },
        "li" => {
            // An item that was not closed ends where the next of the same list begins.
            let open = builder.last_of(around.floor, |found| {
                matches!(found, Container::Item { .. } | Container::List { .. })
            });
            if let Some((depth, true)) = open {
                builder.close_to(depth);
            }
            Container::Item { done: None }
        }
        "blockquote" => Container::Quote(match attr(tag, "data-decisions") {
            Some(_) => QuoteKind::Decisions,
            None => QuoteKind::Quote,
        }),
        "details" => Container::Expand { title: String::new() },
        "table" => Container::Table { rows: Vec::new() },
        "tr" => {
            builder.end_within_table(around.floor, |found| matches!(found, Container::Row { .. }));
            Container::Row { cells: Vec::new() }
        }
        "td" | "th" => {
            builder.end_within_table(around.floor, |found| matches!(found, Container::Cell { .. }));
            let span = |name: &str| number(name).unwrap_or(1).clamp(1, 1_000);
            Container::Cell { header: name == "th", columns: span("colspan"), rows: span("rowspan") }
        }
        _ => return false,
    };
    builder.open(opened);
    true
}

/// False when the tag has no meaning here.
fn end(builder: &mut Builder, name: &str, around: &Around) -> bool {
    if name == "code" && builder.in_code() {
        return true;
    }
    if let Some(mark) = mark_of(name) {
        builder.pop_mark(&mark);
        return true;
    }
    if heading_level(name).is_some() {
        builder.end_leaf();
        return true;
    }
    let floor = around.floor;
    match name {
        "a" if builder.in_span() => builder.end_span(),
        "span" if builder.in_notation() => builder.end_span(),
        "span" | "font" => builder.pop_mark(&Mark::Colors { text: None, behind: None }),
        "pre" | "summary" | "p" | "section" | "article" | "header" | "footer" | "main" | "figure" | "dl"
        | "dt" | "dd" => builder.end_leaf(),
        "div" => {
            builder.end_leaf();
            builder.close_innermost(floor, |found| matches!(found, Container::Quote(QuoteKind::Panel(_))));
        }
        "br" => builder.line_break(),
        "thead" | "tbody" | "tfoot" | "colgroup" | "html" | "body" | "hr" | "img" | "input" => {}
        "ul" | "ol" => return builder.close(floor, |found| matches!(found, Container::List { .. })),
        "li" => return builder.close(floor, |found| matches!(found, Container::Item { .. })),
        "blockquote" => return builder.close(floor, |found| matches!(found, Container::Quote(_))),
        "details" => return builder.close(floor, |found| matches!(found, Container::Expand { .. })),
        "table" => return builder.close(floor, |found| matches!(found, Container::Table { .. })),
        "tr" => return builder.close(floor, |found| matches!(found, Container::Row { .. })),
        "td" | "th" => return builder.close(floor, |found| matches!(found, Container::Cell { .. })),
        _ => return false,
    }
    true
}

/// The language that highlighters write into the class.
fn language(builder: &mut Builder, tag: &StartTag<usize>) {
    let classes = attr(tag, "class").unwrap_or_default();
    if let Some(name) = classes.split_whitespace().find_map(|class| class.strip_prefix("language-")) {
        builder.set_language(name);
    }
}

/// Colours, or a notation that HTML has no element for.
fn span(builder: &mut Builder, tag: &StartTag<usize>) {
    if let Some(target) = attr(tag, "data-link") {
        builder.open_link(&target, "");
        return;
    }
    let style = attr(tag, "style").unwrap_or_default();
    let declared = |wanted: &str| {
        style
            .split(';')
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| is_hex_color(value))
    };
    let text = declared("color").or_else(|| attr(tag, "color").filter(|value| is_hex_color(value)));
    builder.push_mark(Mark::Colors { text, behind: declared("background-color") });
}
