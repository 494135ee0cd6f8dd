//! Document → HTML of elements that every sanitiser lets through, with notations in `data-` attributes.

use super::model::{Block, Cell, Document, Inline, Marks, Media, MediaPlace, Script, Task};
use super::notation::{self, Linked, Standing};

/// Writes a document as HTML.
#[must_use]
pub fn write_html(document: &Document) -> String {
    let mut out = String::new();
    blocks(&document.blocks, &mut out);
    out
}

/// A table as HTML without an empty line, so that it can stand in Markdown.
pub(super) fn table(rows: &[Vec<Cell>]) -> String {
    let mut out = String::from("<table>\n");
    for row in rows {
        out.push_str("<tr>\n");
        for cell in row {
            push_cell(cell, &mut out);
            out.push('\n');
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>");
    out
}

/// Text that HTML does not take for markup; line breaks and tabs are entities.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            other => out.push(other),
        }
    }
    out
}

fn element(name: &str, out: &mut String, content: impl FnOnce(&mut String)) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    content(out);
    out.push_str("</");
    out.push_str(name.split(' ').next().unwrap_or(name));
    out.push('>');
}

fn blocks(list: &[Block], out: &mut String) {
    for block in list {
        push_block(block, out);
    }
}

fn push_block(block: &Block, out: &mut String) {
    match block {
        Block::Paragraph(text) => element("p", out, |out| inlines(text, out)),
        Block::Heading { level, text } => {
            element(&format!("h{}", (*level).clamp(1, 6)), out, |out| inlines(text, out));
        }
        Block::List { start, items } => {
            let name = match start {
                None => "ul".to_owned(),
                Some(1) => "ol".to_owned(),
                Some(first) => format!("ol start=\"{first}\""),
            };
            element(&name, out, |out| {
                items.iter().for_each(|item| element("li", out, |out| item_blocks(item, out)))
            });
        }
        Block::Tasks(tasks) => push_tasks(tasks, out),
        Block::Decisions(items) => element("blockquote data-decisions=\"\"", out, |out| {
            items.iter().for_each(|text| element("p", out, |out| inlines(text, out)));
        }),
        Block::Code { language, text } => element("pre", out, |out| {
            let name = language.as_ref().map_or_else(
                || "code".to_owned(),
                |name| {
                    format!("code class=\"language-{}\"", escaped(&name.replace(char::is_whitespace, "-")))
                },
            );
            // The first line break after <pre> does not count.
            element(&name, out, |out| out.push_str(&escaped(text)));
        }),
        Block::Quote(inner) => element("blockquote", out, |out| blocks(inner, out)),
        Block::Panel { kind, blocks: inner } => {
            element(&format!("div data-panel=\"{}\"", kind.name()), out, |out| blocks(inner, out));
        }
        Block::Expand { title, blocks: inner } => element("details", out, |out| {
            element("summary", out, |out| out.push_str(&escaped(title)));
            blocks(inner, out);
        }),
        Block::Rule => out.push_str("<hr>"),
        Block::Table(rows) => out.push_str(&table(rows)),
        Block::Media { media, caption } => {
            element("p", out, |out| picture(media, Standing::Natural, caption, out))
        }
        Block::MediaGroup(media) => element("p", out, |out| {
            media.iter().for_each(|media| picture(media, Standing::Group, "", out));
        }),
        Block::Card(url) => element("p", out, |out| linked(&notation::card(url), out)),
        Block::Opaque(node) => element("p", out, |out| linked(&notation::carried(node), out)),
    }
}

/// One paragraph in an item is written without its element, as people write lists.
fn item_blocks(item: &[Block], out: &mut String) {
    match item {
        [Block::Paragraph(text), rest @ ..] => {
            inlines(text, out);
            blocks(rest, out);
        }
        other => blocks(other, out),
    }
}

fn push_tasks(tasks: &[Task], out: &mut String) {
    element("ul", out, |out| {
        for task in tasks {
            element("li", out, |out| {
                out.push_str(if task.done {
                    "<input type=\"checkbox\" checked disabled>"
                } else {
                    "<input type=\"checkbox\" disabled>"
                });
                inlines(&task.text, out);
                if !task.nested.is_empty() {
                    push_tasks(&task.nested, out);
                }
            });
        }
    });
}

fn push_cell(cell: &Cell, out: &mut String) {
    let mut name = if cell.header { "th" } else { "td" }.to_owned();
    for (attr, span) in [("colspan", cell.columns), ("rowspan", cell.rows)] {
        if span > 1 {
            name.push_str(&format!(" {attr}=\"{span}\""));
        }
    }
    element(&name, out, |out| match cell.blocks.as_slice() {
        [Block::Paragraph(text)] => inlines(text, out),
        other => blocks(other, out),
    });
}

fn inlines(list: &[Inline], out: &mut String) {
    for (at, inline) in list.iter().enumerate() {
        match inline {
            Inline::Text { text, marks } => {
                let first = at == 0 || matches!(list[at - 1], Inline::Break);
                let last = matches!(list.get(at + 1), None | Some(Inline::Break));
                marked(text, marks, (first, last), out);
            }
            Inline::Break => out.push_str("<br>"),
            Inline::Media(media) => {
                let standing = if list.len() == 1 { Standing::Inline } else { Standing::Natural };
                picture(media, standing, "", out);
            }
            other => {
                if let Some(found) = notation::linked(other) {
                    linked(&found, out);
                }
            }
        }
    }
}

fn linked(found: &Linked, out: &mut String) {
    let shown = escaped(&found.label);
    match found.target.as_str() {
        "card:" | "card:block" => out.push_str(&format!(
            "<span data-link=\"{}\"><a href=\"{shown}\">{shown}</a></span>",
            found.target
        )),
        target => out.push_str(&format!("<span data-link=\"{}\">{shown}</span>", escaped(target))),
    }
}

fn picture(media: &Media, standing: Standing, caption: &str, out: &mut String) {
    let target = match &media.place {
        MediaPlace::Address(_) | MediaPlace::Stored { .. } => notation::media_target(media, standing),
    };
    out.push_str(&format!("<img src=\"{}\" alt=\"{}\"", escaped(&target), escaped(&media.alt)));
    if !caption.is_empty() {
        out.push_str(&format!(" title=\"{}\"", escaped(caption)));
    }
    out.push('>');
}

fn marked(text: &str, marks: &Marks, edges: (bool, bool), out: &mut String) {
    let mut names: Vec<String> = Vec::new();
    if let Some(link) = &marks.link {
        let title =
            link.title.as_ref().map(|title| format!(" title=\"{}\"", escaped(title))).unwrap_or_default();
        let href = notation::address(&link.href);
        names.push(format!("a href=\"{}\"{title}", escaped(&href)));
    }
    for (name, color) in [("color", &marks.color), ("background-color", &marks.background)] {
        names.extend(color.as_ref().map(|color| format!("span style=\"{name}: {}\"", escaped(color))));
    }
    let script = marks.script.map(|script| if script == Script::Sub { "sub" } else { "sup" });
    let flags = [
        ("strong", marks.strong),
        ("em", marks.em),
        ("u", marks.underline),
        ("s", marks.strike),
        ("code", marks.code),
    ];
    names.extend(flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name).to_owned()));
    names.extend(script.map(str::to_owned));
    for name in &names {
        out.push_str(&format!("<{name}>"));
    }
    out.push_str(&spaced(&escaped(text), edges));
    for name in names.iter().rev() {
        out.push_str(&format!("</{}>", name.split(' ').next().unwrap_or(name)));
    }
}

/// White space that HTML would fold is written with spaces that do not break: `text` stays as wide as it is.
fn spaced(text: &str, (first, last): (bool, bool)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = first;
    let end = if last { text.trim_end_matches(' ').len() } else { text.len() };
    for (at, character) in text.char_indices() {
        match character {
            ' ' if blank || at >= end => out.push_str("&nbsp;"),
            '\t' => out.push_str("&nbsp; "),
            other => out.push(other),
        }
        blank = character == ' ';
    }
    out
}
