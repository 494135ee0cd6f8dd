//! Checks of JSON text that parsers leave to chance: duplicate names, lone surrogates, depth, numbers of any
//! size.

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{MAX_DEPTH, shorten};
use crate::error::{Error, Result};

/// A fault with its byte offset in the text that was checked.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
}

/// The members of an object that has been checked already.
pub(super) fn members(text: &str) -> Result<Vec<(String, &RawValue)>> {
    parse_members(text).map_err(|fault| Error::invalid(fault.message))
}

/// Checks a whole object and returns its members.
pub(super) fn checked_members(text: &str) -> Result<Vec<(String, &RawValue)>, Fault> {
    let found = parse_members(text)?;
    check_members(text, &found, 1)?;
    Ok(found)
}

fn check_members(whole: &str, found: &[(String, &RawValue)], depth: usize) -> Result<(), Fault> {
    let mut names = std::collections::HashSet::with_capacity(found.len());
    for (name, value) in found {
        if !names.insert(name.as_str()) {
            return Err(Fault {
                offset: offset_in(whole, value.get()),
                message: format!("the name {:?} stands twice in one object", shorten(name)),
            });
        }
        check_value(whole, value.get(), depth)?;
    }
    Ok(())
}

fn check_value(whole: &str, text: &str, depth: usize) -> Result<(), Fault> {
    let relocate = |fault: Fault| Fault { offset: fault.offset + offset_in(whole, text), ..fault };
    match text.as_bytes().first() {
        Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(Fault {
            offset: offset_in(whole, text),
            message: format!("the row is nested deeper than {MAX_DEPTH} levels"),
        }),
        Some(b'{') => check_members(whole, &parse_members(text).map_err(relocate)?, depth + 1),
        Some(b'[') => {
            for item in parse_items(text).map_err(relocate)? {
                check_value(whole, item.get(), depth + 1)?;
            }
            Ok(())
        }
        // Only an escape can write what is not a character.
        Some(b'"') if text.contains("\\u") => {
            serde_json::from_str::<String>(text).map(drop).map_err(|error| {
                let at = fault_of(text, &error).offset;
                let message = "an escape here is not a character (half of a surrogate pair)".to_owned();
                relocate(Fault { offset: at, message })
            })
        }
        _ => Ok(()),
    }
}

/// Where a part of a text begins; parts are slices of the whole.
fn offset_in(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len())
}

fn parse_members(text: &str) -> Result<Vec<(String, &RawValue)>, Fault> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::with_capacity(map.size_hint().unwrap_or(16));
            while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                found.push(entry);
            }
            Ok(found)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_map(Members)
        .and_then(|found| deserializer.end().map(|()| found))
        .map_err(|error| fault_of(text, &error))
}

fn parse_items(text: &str) -> Result<Vec<&RawValue>, Fault> {
    struct Items;
    impl<'de> Visitor<'de> for Items {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some(item) = seq.next_element::<&'de RawValue>()? {
                found.push(item);
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_seq(Items).map_err(|error| fault_of(text, &error))
}

/// The parser's complaint, with line and column turned into an offset.
fn fault_of(text: &str, error: &serde_json::Error) -> Fault {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .nth(line - 2)
            .map_or(0, |(at, _)| at + 1),
    };
    let mut offset = (line_start + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let complaint = error.to_string();
    let message = complaint.split(" at line ").next().unwrap_or(&complaint).to_owned();
    Fault { offset, message }
}
