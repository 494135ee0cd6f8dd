//! JSON text laid out over lines: always in replies about bulk jobs, elsewhere when `X-PrettyPrint` asks for it.

/// The same JSON with line breaks and blanks as the service puts them: members of an object on lines of their
/// own, elements of a list in one line. No value is touched.
pub(super) fn laid_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut open: Vec<char> = Vec::new();
    let (mut quoted, mut escaped) = (false, false);
    let line = |out: &mut String, open: &[char]| {
        out.push('\n');
        let depth = open.iter().filter(|bracket| **bracket == '{').count();
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for (at, letter) in text.char_indices() {
        if quoted {
            out.push(letter);
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = false,
                _ => {}
            }
            continue;
        }
        let empty = || text.get(at + 1..).unwrap_or_default().trim_start().starts_with(['}', ']']);
        match letter {
            '"' => {
                quoted = true;
                out.push('"');
            }
            '{' => {
                open.push('{');
                out.push('{');
                if empty() {
                    out.push(' ');
                } else {
                    line(&mut out, &open);
                }
            }
            '[' => {
                open.push('[');
                out.push_str("[ ");
            }
            '}' => {
                open.pop();
                if !out.ends_with("{ ") {
                    line(&mut out, &open);
                }
                out.push('}');
            }
            ']' => {
                open.pop();
                out.push_str(if out.ends_with("[ ") { "]" } else { " ]" });
            }
            ':' => out.push_str(" : "),
            ',' if open.last() == Some(&'{') => {
                out.push(',');
                line(&mut out, &open);
            }
            ',' => out.push_str(", "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::laid_out;

    #[test]
    fn members_stand_on_lines_and_values_stay_as_they_are() {
        let text = r#"{"id":"a \"{,:[ b","n":[1.50,{"x":null}],"none":[],"o":{}}"#;
        let laid = laid_out(text);
        assert_eq!(
            laid,
            "{\n  \"id\" : \"a \\\"{,:[ b\",\n  \"n\" : [ 1.50, {\n    \"x\" : null\n  } ],\n  \"none\" : [ ],\n  \"o\" : { }\n}"
        );
        assert_eq!(laid_out(&laid), laid);
    }
}
