//! Running text → Markdown. A mark is written with its delimiters where the rules of CommonMark let them open and
//! close there, else as the HTML element that says the same.

use std::sync::Arc;

use super::escape::{Surroundings, push_code, push_escaped, push_target, push_title};
use super::model::{Inline, Link, Marks, Script};
use super::notation::{self, Linked, Standing};

/// What running text stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// A paragraph: several lines, and blocks could begin.
    Paragraph,
    /// A heading: one line.
    Heading,
    /// A cell of a pipe table: one line.
    Cell,
}

/// Running text as Markdown; `\n` stands where a line ends.
pub(super) fn markdown(inlines: &[Inline], line: Line) -> String {
    let tokens = tokens(inlines);
    let forms = forms(&tokens);
    let mut out = String::new();
    let mut links = 0_usize;
    let alone = inlines.iter().all(is_media_or_blank);
    for (at, token) in tokens.iter().enumerate() {
        let line_start = out.is_empty() || out.ends_with('\n');
        let line_end = matches!(tokens.get(at + 1), None | Some(Token::Break));
        let around = Surroundings {
            line_start,
            line_end,
            block_start: line == Line::Paragraph,
            in_link: links > 0,
            in_cell: line == Line::Cell,
            in_heading: line == Line::Heading,
        };
        match token {
            Token::Text(text) => push_escaped(&mut out, text, around),
            Token::Code(code) if around.in_cell && code.contains('|') && code.contains('\\') => {
                out.push_str("<code>");
                push_escaped(&mut out, code, Surroundings { line_start: true, line_end: true, ..around });
                out.push_str("</code>");
            }
            Token::Code(code) => push_code(&mut out, code, around.in_cell),
            Token::Piece(inline) => push_piece(&mut out, inline, alone, around.in_cell),
            Token::Break => {
                let plain = line == Line::Paragraph && !line_start && at + 1 < tokens.len();
                out.push_str(if plain { "\\\n" } else { "<br>" });
            }
            Token::Open(mark) => {
                links += usize::from(matches!(mark, Mark::Link(_)));
                push_open(&mut out, mark, forms[at]);
            }
            Token::Close(mark) => {
                links -= usize::from(matches!(mark, Mark::Link(_)));
                push_close(&mut out, mark, forms[at]);
            }
        }
    }
    out
}

/// Media with nothing but white space between them would be blocks of their own.
fn is_media_or_blank(inline: &Inline) -> bool {
    match inline {
        Inline::Media(_) => true,
        Inline::Text { text, .. } => text.trim().is_empty(),
        _ => false,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mark {
    Link(Arc<Link>),
    Strong,
    Em,
    Strike,
    Underline,
    Script(Script),
    Color(String),
    Background(String),
}

#[derive(Debug)]
enum Token<'a> {
    Text(&'a str),
    Code(&'a str),
    Piece(&'a Inline),
    Break,
    Open(Mark),
    Close(Mark),
}

/// The marks of a text in the order in which they open when they end together.
fn marks_of(marks: &Marks) -> Vec<Mark> {
    let mut list = Vec::new();
    list.extend(marks.link.clone().map(Mark::Link));
    list.extend(marks.color.clone().map(Mark::Color));
    list.extend(marks.background.clone().map(Mark::Background));
    list.extend(marks.underline.then_some(Mark::Underline));
    list.extend(marks.script.map(Mark::Script));
    list.extend(marks.strike.then_some(Mark::Strike));
    list.extend(marks.strong.then_some(Mark::Strong));
    list.extend(marks.em.then_some(Mark::Em));
    list
}

/// Text with the places where marks open and close, properly nested; a mark that goes on longer opens earlier.
fn tokens(inlines: &[Inline]) -> Vec<Token<'_>> {
    let wanted: Vec<Vec<Mark>> = inlines
        .iter()
        .map(|inline| match inline {
            Inline::Text { marks, .. } => marks_of(marks),
            _ => Vec::new(),
        })
        .collect();
    let lasting = lasting(&wanted);
    let mut out = Vec::with_capacity(inlines.len());
    let mut open: Vec<Mark> = Vec::new();
    for ((inline, wanted), lasting) in inlines.iter().zip(&wanted).zip(&lasting) {
        let kept = open.iter().take_while(|mark| wanted.contains(mark)).count();
        while open.len() > kept {
            out.extend(open.pop().map(Token::Close));
        }
        let mut opening: Vec<(usize, &Mark)> = wanted
            .iter()
            .zip(lasting)
            .filter(|(mark, _)| !open.contains(mark))
            .map(|(mark, lasts)| (*lasts, mark))
            .collect();
        opening.sort_by_key(|(lasts, _)| std::cmp::Reverse(*lasts));
        for (_, mark) in opening {
            open.push(mark.clone());
            out.push(Token::Open(mark.clone()));
        }
        out.push(match inline {
            Inline::Text { text, marks } if marks.code => Token::Code(text),
            Inline::Text { text, .. } => Token::Text(text),
            Inline::Break => Token::Break,
            other => Token::Piece(other),
        });
    }
    out.extend(open.into_iter().rev().map(Token::Close));
    out
}

/// For every mark of every text, how many texts it goes on for.
fn lasting(wanted: &[Vec<Mark>]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new(); wanted.len()];
    for at in (0..wanted.len()).rev() {
        all[at] = wanted[at]
            .iter()
            .map(|mark| {
                let next = wanted.get(at + 1).and_then(|next| next.iter().position(|other| other == mark));
                next.map_or(1, |place| all[at + 1][place] + 1)
            })
            .collect();
    }
    all
}

/// How a mark is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Delimiter,
    Element,
}

fn forms(tokens: &[Token<'_>]) -> Vec<Form> {
    let mut forms = vec![Form::Element; tokens.len()];
    let mut open: Vec<usize> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open(_) => open.push(at),
            Token::Close(mark) => {
                let Some(start) = open.pop() else { continue };
                if delimits(mark, sides(tokens, start), sides(tokens, at)) {
                    forms[start] = Form::Delimiter;
                    forms[at] = Form::Delimiter;
                }
            }
            _ => {}
        }
    }
    forms
}

/// What a character is to the rules of delimiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Blank,
    Word,
    Punctuation,
    /// A sign that may or may not count as punctuation.
    Unsure,
}

fn side(character: char) -> Side {
    if character.is_whitespace() {
        Side::Blank
    } else if character.is_alphanumeric() {
        Side::Word
    } else if character.is_ascii_punctuation() {
        Side::Punctuation
    } else {
        Side::Unsure
    }
}

fn sides(tokens: &[Token<'_>], at: usize) -> (Side, Side) {
    let before = match at.checked_sub(1).and_then(|at| tokens.get(at)) {
        None | Some(Token::Break) => Side::Blank,
        Some(Token::Text(text)) => text.chars().next_back().map_or(Side::Blank, side),
        Some(_) => Side::Punctuation,
    };
    let after = match tokens.get(at + 1) {
        None => Side::Blank,
        Some(Token::Text(text)) => text.chars().next().map_or(Side::Blank, side),
        Some(_) => Side::Punctuation,
    };
    (before, after)
}

/// Whether delimiters open at one place and close at another, by the rules of left- and right-flanking runs.
fn delimits(mark: &Mark, (before, first): (Side, Side), (last, after): (Side, Side)) -> bool {
    let open = |outer: Side| matches!(outer, Side::Blank | Side::Punctuation);
    let flanks = |inner: Side, outer: Side| inner == Side::Word || inner == Side::Punctuation && open(outer);
    match mark {
        Mark::Strong | Mark::Strike => flanks(first, before) && flanks(last, after),
        Mark::Em => flanks(first, before) && flanks(last, after) && open(before) && open(after),
        _ => false,
    }
}

fn push_open(out: &mut String, mark: &Mark, form: Form) {
    let text = match (mark, form) {
        (Mark::Link(_), _) => "[",
        (Mark::Strong, Form::Delimiter) => "**",
        (Mark::Em, Form::Delimiter) => "_",
        (Mark::Strike, Form::Delimiter) => "~~",
        (Mark::Strong, Form::Element) => "<strong>",
        (Mark::Em, Form::Element) => "<em>",
        (Mark::Strike, Form::Element) => "<del>",
        (Mark::Underline, _) => "<u>",
        (Mark::Script(Script::Sub), _) => "<sub>",
        (Mark::Script(Script::Sup), _) => "<sup>",
        (Mark::Color(color), _) => return out.push_str(&format!("<span style=\"color: {color}\">")),
        (Mark::Background(color), _) => {
            return out.push_str(&format!("<span style=\"background-color: {color}\">"));
        }
    };
    out.push_str(text);
}

fn push_close(out: &mut String, mark: &Mark, form: Form) {
    let text = match (mark, form) {
        (Mark::Link(link), _) => {
            let linked = Linked { label: String::new(), target: notation::address(&link.href) };
            return push_end(out, &linked.target, link.title.as_deref());
        }
        (Mark::Strong, Form::Delimiter) => "**",
        (Mark::Em, Form::Delimiter) => "_",
        (Mark::Strike, Form::Delimiter) => "~~",
        (Mark::Strong, Form::Element) => "</strong>",
        (Mark::Em, Form::Element) => "</em>",
        (Mark::Strike, Form::Element) => "</del>",
        (Mark::Underline, _) => "</u>",
        (Mark::Script(Script::Sub), _) => "</sub>",
        (Mark::Script(Script::Sup), _) => "</sup>",
        (Mark::Color(_) | Mark::Background(_), _) => "</span>",
    };
    out.push_str(text);
}

fn push_end(out: &mut String, target: &str, title: Option<&str>) {
    out.push_str("](");
    push_target(out, target);
    if let Some(title) = title {
        push_title(out, title);
    }
    out.push(')');
}

fn push_piece(out: &mut String, inline: &Inline, alone: bool, in_cell: bool) {
    match inline {
        Inline::Card(url) if is_autolink(url) && !(in_cell && url.contains('|')) => {
            out.push('<');
            out.push_str(url);
            out.push('>');
        }
        Inline::Media(media) => {
            let standing = if alone { Standing::Inline } else { Standing::Natural };
            push_picture(out, &media.alt, &notation::media_target(media, standing), "", in_cell);
        }
        other => {
            if let Some(linked) = notation::linked(other) {
                push_linked(out, &linked, in_cell);
            }
        }
    }
}

/// A notation as a link.
pub(super) fn push_linked(out: &mut String, linked: &Linked, in_cell: bool) {
    out.push('[');
    push_label(out, &linked.label, in_cell);
    push_end(out, &linked.target, None);
}

/// A picture.
pub(super) fn push_picture(out: &mut String, alt: &str, target: &str, caption: &str, in_cell: bool) {
    out.push_str("![");
    push_label(out, alt, in_cell);
    push_end(out, target, (!caption.is_empty()).then_some(caption));
}

fn push_label(out: &mut String, label: &str, in_cell: bool) {
    let around =
        Surroundings { line_start: true, line_end: true, in_link: true, in_cell, ..Surroundings::default() };
    push_escaped(out, label, around);
}

/// Whether `<url>` is an autolink of CommonMark.
fn is_autolink(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    named
        && (2..=32).contains(&scheme.len())
        && !rest.chars().any(|c| c.is_whitespace() || c.is_control() || c == '<' || c == '>')
}
