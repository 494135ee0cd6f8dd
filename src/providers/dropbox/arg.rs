//! Arguments that travel in a header, which holds ASCII only.

use http::HeaderValue;
use serde_json::Value as Json;

use crate::error::{Error, Result};

/// JSON with every character beyond printable ASCII escaped, DEL among them; characters outside the basic plane
/// become two escapes ("JSON encoding", Dropbox for HTTP Developers).
pub(super) fn ascii(json: &Json) -> String {
    let text = json.to_string();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character < '\u{7f}' {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// The header of an argument.
///
/// # Errors
/// A bug: escaped JSON fits into every header.
pub(super) fn header(json: &Json) -> Result<HeaderValue> {
    HeaderValue::from_str(&ascii(json))
        .map_err(|source| Error::bug("an argument does not fit into a header").with_source(source))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_ascii_is_escaped_by_halves() {
        assert_eq!(
            ascii(&json!({ "path": "/ü\u{7f}😀\n\"" })),
            r#"{"path":"/\u00fc\u007f\ud83d\ude00\n\""}"#
        );
    }

    proptest! {
        #[test]
        fn every_path_fits_into_a_header_and_reads_back(path in ".{0,40}") {
            let argument = json!({ "path": path });
            let value = header(&argument).unwrap();
            prop_assert!(value.as_bytes().iter().all(|byte| (0x20..0x7f).contains(byte)));
            let read: Json = serde_json::from_slice(value.as_bytes()).unwrap();
            prop_assert_eq!(read, argument);
        }
    }
}
