//! Text into Markdown so that it reads back as the same text. Only what would be taken for notation is escaped.

/// What stands around a text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Surroundings {
    /// It begins a line.
    pub(super) line_start: bool,
    /// It ends a line.
    pub(super) line_end: bool,
    /// At the start of a line a block could begin (not in headings and cells).
    pub(super) block_start: bool,
    /// It is shown by a link.
    pub(super) in_link: bool,
    /// It stands in a cell of a pipe table.
    pub(super) in_cell: bool,
    /// It stands in a heading.
    pub(super) in_heading: bool,
}

/// Appends a text, escaped.
pub(super) fn push_escaped(out: &mut String, text: &str, around: Surroundings) {
    let (lead, body, trail) = edges(text, around);
    push_entities(out, lead);
    let starts = around.line_start && around.block_start && lead.is_empty();
    let marker = if starts { block_marker(body) } else { None };
    let mut before = lead.chars().next_back();
    let mut characters = body.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        match character {
            // An escaped pipe in a cell must not follow a backslash: parsers read that differently.
            '|' if around.in_cell && before == Some('\\') => {
                out.push_str("&#124;");
                before = Some(character);
                continue;
            }
            '\n' => out.push(' '),
            _ => {
                let after = next.or_else(|| trail.chars().next());
                let neighbours = Neighbours { before, after, rest: &body[at + character.len_utf8()..] };
                if marker == Some(at) || needs_escape(character, neighbours, around) {
                    out.push('\\');
                }
                out.push(character);
            }
        }
        before = Some(character);
    }
    push_entities(out, trail);
}

/// White space at the edges of lines would be lost; it goes out as entities.
fn edges(text: &str, around: Surroundings) -> (&str, &str, &str) {
    let body = if around.line_start { text.trim_start() } else { text };
    let lead = &text[..text.len() - body.len()];
    let trimmed = if around.line_end { body.trim_end() } else { body };
    (lead, trimmed, &body[trimmed.len()..])
}

fn push_entities(out: &mut String, blanks: &str) {
    for blank in blanks.chars() {
        out.push_str(&format!("&#{};", u32::from(blank)));
    }
}

/// Where a text at the start of a line would begin a block.
fn block_marker(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    if matches!(first, '#' | '-' | '+' | '=' | '>' | '|' | ':') {
        return Some(0);
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    ((1..=9).contains(&digits) && text[digits..].starts_with(['.', ')'])).then_some(digits)
}

#[derive(Clone, Copy)]
struct Neighbours<'a> {
    before: Option<char>,
    after: Option<char>,
    rest: &'a str,
}

fn needs_escape(character: char, neighbours: Neighbours<'_>, around: Surroundings) -> bool {
    let Neighbours { before, after, rest } = neighbours;
    let is_space = |side: Option<char>| side.is_some_and(|side| side == ' ');
    let is_word = |side: Option<char>| side.is_some_and(char::is_alphanumeric);
    match character {
        '`' | '[' => true,
        '*' | '~' => !(is_space(before) && is_space(after)),
        '_' => !(is_word(before) && is_word(after) || is_space(before) && is_space(after)),
        ']' => around.in_link,
        // What follows the text, or an entity for the blanks at its end, may be punctuation.
        '\\' => rest.is_empty() || after.is_none_or(|after| after.is_ascii_punctuation()),
        '<' => after.is_none_or(|after| after.is_ascii_alphabetic() || matches!(after, '/' | '!' | '?')),
        '!' => after.is_none(),
        '&' => looks_like_entity(rest),
        '#' => around.in_heading,
        '|' => around.in_cell,
        _ => false,
    }
}

/// `&` followed by what could be an entity, or could become one with what follows the text.
fn looks_like_entity(rest: &str) -> bool {
    let name = rest.bytes().take(40).take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'#').count();
    rest.len() == name || rest.as_bytes()[name] == b';' && name > 0
}

/// Appends code as a code span.
pub(super) fn push_code(out: &mut String, code: &str, in_cell: bool) {
    let fence = "`".repeat(longest_run(code, '`') + 1);
    let blank_edges = code.starts_with(' ') && code.ends_with(' ') && code.bytes().any(|byte| byte != b' ');
    let padded = code.starts_with('`') || code.ends_with('`') || blank_edges;
    let pad = if padded { " " } else { "" };
    let code = if in_cell { code.replace('|', "\\|") } else { code.to_owned() };
    out.push_str(&fence);
    out.push_str(pad);
    out.push_str(&code.replace('\n', " "));
    out.push_str(pad);
    out.push_str(&fence);
}

/// Length of the longest run of a character.
pub(super) fn longest_run(text: &str, of: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Appends the address of a link.
pub(super) fn push_target(out: &mut String, target: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$+,;=%*'".contains(c);
    if !target.is_empty() && target.chars().all(plain) {
        out.push_str(target);
        return;
    }
    out.push('<');
    for character in target.chars() {
        match character {
            '<' | '>' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '&' | '|' | '`' => out.push_str(&format!("&#{};", u32::from(character))),
            control if control.is_control() => out.push_str(&format!("%{:02X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('>');
}

/// Appends the title of a link, with the space before it.
pub(super) fn push_title(out: &mut String, title: &str) {
    out.push_str(" \"");
    for character in title.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '&' | '|' | '`' | '<' => out.push_str(&format!("&#{};", u32::from(character))),
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out.push('"');
}
