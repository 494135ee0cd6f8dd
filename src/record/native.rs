//! Filter text in a provider's own language: checked just enough that it stays one condition inside a larger
//! one.

use crate::error::{Error, Position, Result};

/// How a language writes texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeSyntax {
    /// Characters that open and close a text.
    pub quotes: &'static [char],
    /// Whether a backslash takes the meaning from the next character inside a text. Otherwise a doubled quote
    /// stands for one quote.
    pub backslash: bool,
    /// Words that begin a clause behind the condition, in upper case; refused outside texts.
    pub clauses: &'static [&'static str],
    /// Name of the language, for errors.
    pub name: &'static str,
}

/// Checks that a text is one whole condition: texts closed, brackets balanced, no clause, no comment, no
/// semicolon. The text goes on unchanged, in parentheses.
///
/// # Errors
/// Invalid with line and column of what is wrong.
pub fn check(text: &str, syntax: NativeSyntax) -> Result<()> {
    let refuse = |line: u64, column: u64, what: String| {
        Err(Error::invalid(format!("the native condition {what}"))
            .with_position(Position::Text { line, column })
            .with_advice(format!("Write one condition in {}, without clauses behind it", syntax.name)))
    };
    if text.trim().is_empty() {
        return refuse(1, 1, "is empty".to_owned());
    }
    let (mut line, mut column) = (1, 0);
    let mut open: Vec<(char, u64, u64)> = Vec::new();
    let mut word = String::new();
    let mut word_at = (1, 1);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\n' {
            line += 1;
            column = 0;
        } else {
            column += 1;
        }
        if character.is_alphanumeric() || character == '_' {
            if word.is_empty() {
                word_at = (line, column);
            }
            word.extend(character.to_uppercase());
            if characters.peek().is_some() {
                continue;
            }
        }
        if syntax.clauses.contains(&word.as_str()) {
            return refuse(word_at.0, word_at.1, format!("must not have the clause {word}"));
        }
        if character.is_alphanumeric() || character == '_' {
            continue;
        }
        word.clear();
        match character {
            quote if syntax.quotes.contains(&quote) => {
                let from = (line, column);
                let mut closed = false;
                while let Some(inside) = characters.next() {
                    if inside == '\n' {
                        line += 1;
                        column = 0;
                    } else {
                        column += 1;
                    }
                    if inside == '\\' && syntax.backslash {
                        if characters.next().is_some() {
                            column += 1;
                        }
                    } else if inside == quote {
                        // Where quotes are doubled, the second one opens the next text: balanced all the same.
                        closed = true;
                        break;
                    }
                }
                if !closed {
                    return refuse(from.0, from.1, "has a text that is not closed".to_owned());
                }
            }
            '(' => open.push((')', line, column)),
            '[' => open.push((']', line, column)),
            ')' | ']' => match open.pop() {
                Some((wanted, ..)) if wanted == character => {}
                _ => return refuse(line, column, format!("has a {character} that closes nothing")),
            },
            ';' => return refuse(line, column, "must not have a semicolon".to_owned()),
            '-' if characters.peek() == Some(&'-') => {
                return refuse(line, column, "must not have a comment".to_owned());
            }
            '/' if matches!(characters.peek(), Some('*' | '/')) => {
                return refuse(line, column, "must not have a comment".to_owned());
            }
            _ => {}
        }
    }
    match open.pop() {
        Some((_, line, column)) => refuse(line, column, "has a bracket that is not closed".to_owned()),
        None => Ok(()),
    }
}
