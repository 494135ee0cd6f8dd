//! Templates: text with paths in braces. `{{` and `}}` are braces; a path that may be missing ends with `?`.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it stands.
    Text(String),
    /// A value's text.
    Path {
        /// Its path.
        path: String,
        /// Whether the text goes on without it.
        optional: bool,
    },
}

/// Takes a template apart.
///
/// # Errors
/// What is wrong with its braces.
pub(super) fn parse(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            plain.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err("a closing brace has no opening one; write }} for a brace".to_owned());
        }
        let Some(end) = rest.find(['{', '}']).filter(|end| rest[*end..].starts_with('}')) else {
            return Err("an opening brace is not closed; write {{ for a brace".to_owned());
        };
        let inside = rest[..end].trim();
        rest = &rest[end + 1..];
        let (path, optional) = match inside.strip_suffix('?') {
            Some(path) => (path.trim_end(), true),
            None => (inside, false),
        };
        if path.is_empty() {
            return Err("braces hold the path of a field".to_owned());
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Path { path: path.to_owned(), optional });
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::{Piece, parse};

    #[test]
    fn a_template_is_text_and_paths() {
        let path = |path: &str, optional| Piece::Path { path: path.to_owned(), optional };
        assert_eq!(
            parse("Hello {First?} { Account.Name }, {{{Last}}}").unwrap(),
            [
                Piece::Text("Hello ".into()),
                path("First", true),
                Piece::Text(" ".into()),
                path("Account.Name", false),
                Piece::Text(", {".into()),
                path("Last", false),
                Piece::Text("}".into()),
            ]
        );
        assert_eq!(parse("").unwrap(), []);
        for wrong in ["{", "a}", "{}", "{?}", "{a", "{a{b}}", "a}b"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
