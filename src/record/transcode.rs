//! One page of a service's JSON becomes records in the read schema's form.
//!
//! The page is cut into raw rows, each row is read once, and the tokens that a [`Shape`] names are copied into
//! one buffer, rewritten only where the wire's form is not the schema's. Numbers keep their digits. Only when a
//! page cannot be read as a whole it is cut by a byte scanner, so that one bad row takes its own place and the
//! others go on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Key, KeyPart, Record, RowError};
use crate::error::{Error, Position, Result};

/// Deepest nesting of a value.
const MOST_DEPTH: usize = 128;

/// What becomes of a row: the members to keep, in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    slots: Vec<String>,
    index: HashMap<String, usize>,
    members: Vec<Placed>,
    key: Vec<usize>,
    version: Option<usize>,
}

#[derive(Debug, Clone)]
struct Placed {
    slot: usize,
    /// The member's name as JSON with its colon.
    label: String,
    conversion: Conversion,
}

/// One member of a record and where it comes from.
#[derive(Debug, Clone)]
pub struct Member {
    /// Name on the wire.
    pub wire: String,
    /// Property name.
    pub out: String,
    /// How the value is rewritten.
    pub conversion: Conversion,
}

/// How a value is rewritten. Null stays null except where said.
#[derive(Debug, Clone)]
pub enum Conversion {
    /// Copied as it is.
    Raw,
    /// An instant whose offset may lack its colon (`+0000`) becomes RFC 3339.
    Instant,
    /// A text of values joined by this character becomes an array; null becomes an empty one.
    List(char),
    /// A number becomes a text of its digits.
    NumberText,
    /// Any JSON becomes a text that holds it.
    JsonText,
    /// A text becomes the name that its first characters stand for, or null.
    Prefix {
        /// How many characters.
        length: usize,
        /// The names.
        names: Arc<HashMap<String, String>>,
    },
    /// An object is reduced to a shape of its own.
    Nested(Box<Shape>),
}

impl Shape {
    /// A shape with these members. Several may come from one member of the wire.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let mut shape = Self::default();
        for member in members {
            let slot = shape.slot(&member.wire);
            let label = format!("{}:", serde_json::Value::String(member.out));
            shape.members.push(Placed { slot, label, conversion: member.conversion });
        }
        shape
    }

    /// Names the wire members that make the key, in the key's order. They are read whether or not they are
    /// among the members.
    #[must_use]
    pub fn with_key<'a>(mut self, wires: impl IntoIterator<Item = &'a str>) -> Self {
        self.key = wires.into_iter().map(|wire| self.slot(wire)).collect();
        self
    }

    /// Names the wire member that is the version.
    #[must_use]
    pub fn with_version(mut self, wire: &str) -> Self {
        self.version = Some(self.slot(wire));
        self
    }

    fn slot(&mut self, wire: &str) -> usize {
        if let Some(slot) = self.index.get(wire) {
            return *slot;
        }
        let slot = self.slots.len();
        self.slots.push(wire.to_owned());
        self.index.insert(wire.to_owned(), slot);
        slot
    }
}

/// A page, cut: its rows, and its other members as raw JSON.
#[derive(Debug, Default)]
pub struct CutPage<'a> {
    /// The rows in order, each one JSON value, not yet checked.
    pub rows: Vec<&'a [u8]>,
    /// Whether the member that holds the rows was there.
    pub has_rows: bool,
    rest: Vec<(Cow<'a, str>, &'a [u8])>,
}

impl CutPage<'_> {
    /// Another member of the page.
    ///
    /// # Errors
    /// Protocol when it is there and has another type.
    pub fn member<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some((_, raw)) = self.rest.iter().rev().find(|(found, _)| found == name) else { return Ok(None) };
        serde_json::from_slice::<Option<T>>(raw)
            .map_err(|source| Error::protocol(format!("the page's {name} cannot be read: {source}")))
    }
}

/// Cuts the text of a page whose rows are the list in the member `rows`.
///
/// # Errors
/// Protocol when the page is not one complete JSON object.
pub fn cut_page<'a>(body: &'a [u8], rows: &str) -> Result<CutPage<'a>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let fast = reader.deserialize_map(PageVisitor { rows }).and_then(|page| reader.end().map(|()| page));
    match fast {
        Ok(page) => Ok(page),
        Err(reason) => scan_page(body, rows).ok_or_else(|| {
            Error::protocol(format!("the page is not complete JSON: {reason}")).with_code("not_json")
        }),
    }
}

struct PageVisitor<'n> {
    rows: &'n str,
}

impl<'de> Visitor<'de> for PageVisitor<'_> {
    type Value = CutPage<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut page = CutPage::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.rows {
                let rows = map.next_value::<Option<Vec<&'de RawValue>>>()?;
                page.has_rows = rows.is_some();
                page.rows = rows.into_iter().flatten().map(|row| row.get().as_bytes()).collect();
            } else {
                let raw: &'de RawValue = map.next_value()?;
                page.rest.push((name, raw.get().as_bytes()));
            }
        }
        Ok(page)
    }
}

/// Cuts a page by brackets and quotes alone.
fn scan_page<'a>(body: &'a [u8], rows: &str) -> Option<CutPage<'a>> {
    let mut page = CutPage::default();
    let mut at = expect(body, skip_space(body, 0), b'{')?;
    at = skip_space(body, at);
    if body.get(at) == Some(&b'}') {
        at += 1;
    } else {
        loop {
            let end = skip_value(body, at)?;
            let name: Cow<'a, str> =
                serde_json::from_slice::<String>(&body[at..end]).map(Cow::Owned).unwrap_or_default();
            at = skip_space(body, expect(body, skip_space(body, end), b':')?);
            let end = skip_value(body, at)?;
            if name == rows && body[at] == b'[' {
                page.rows = scan_list(&body[at..end])?;
                page.has_rows = true;
            } else {
                page.rest.push((name, &body[at..end]));
            }
            at = skip_space(body, end);
            match body.get(at)? {
                b',' => at = skip_space(body, at + 1),
                b'}' => {
                    at += 1;
                    break;
                }
                _ => return None,
            }
        }
    }
    (skip_space(body, at) == body.len()).then_some(page)
}

fn scan_list(list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut out = Vec::new();
    let mut at = skip_space(list, 1);
    if list.get(at) == Some(&b']') {
        return Some(out);
    }
    loop {
        let end = skip_value(list, at)?;
        out.push(&list[at..end]);
        at = skip_space(list, end);
        match list.get(at)? {
            b',' => at = skip_space(list, at + 1),
            b']' => return Some(out),
            _ => return None,
        }
    }
}

fn skip_space(body: &[u8], mut at: usize) -> usize {
    while body.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

fn expect(body: &[u8], at: usize, byte: u8) -> Option<usize> {
    (body.get(at) == Some(&byte)).then_some(at + 1)
}

/// The end of the value that starts here; `None` when the text ends first.
fn skip_value(body: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match *body.get(at)? {
            b'"' => at = skip_string(body, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' if depth > 0 => {
                at += 1;
                continue;
            }
            b'}' | b']' | b',' | b':' => return (at > start).then_some(at),
            _ => {
                while body.get(at).is_some_and(|byte| {
                    !matches!(byte, b',' | b']' | b'}' | b'[' | b'{' | b':' | b'"')
                        && !byte.is_ascii_whitespace()
                }) {
                    at += 1;
                }
            }
        }
        if depth == 0 {
            return (at > start).then_some(at);
        }
    }
}

fn skip_string(body: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match *body.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Rewrites rows into records that share one buffer. A bad row is an error in its place.
#[must_use]
pub fn records(rows: &[&[u8]], shape: &Shape) -> Vec<Result<Record, RowError>> {
    struct Done {
        range: std::ops::Range<usize>,
        key: Key,
        version: Option<String>,
    }
    let mut out = Vec::with_capacity(rows.iter().map(|row| row.len()).sum::<usize>());
    let mut repeated = false;
    let written: Vec<Result<Done, RowError>> = rows
        .iter()
        .enumerate()
        .map(|(position, row)| {
            let start = out.len();
            let mut work = Work { out: &mut out, repeated: &mut repeated };
            work.row(row, shape)
                .map(|(key, version)| (key, version, start))
                .map(|(key, version, start)| Done { range: start..work.out.len(), key, version })
                .map_err(|reason| {
                    out.truncate(start);
                    let position = position as u64;
                    let error = Error::protocol(format!("the record cannot be read: {reason}"))
                        .with_code("bad_record")
                        .with_position(Position::Row(position));
                    RowError { position, error }
                })
        })
        .collect();
    if repeated {
        tracing::warn!("a record has a member twice; the last one counts");
    }
    let buffer = Bytes::from(out);
    written
        .into_iter()
        .map(|row| {
            row.map(|done| Record { key: done.key, version: done.version, json: buffer.slice(done.range) })
        })
        .collect()
}

struct Work<'o> {
    out: &'o mut Vec<u8>,
    repeated: &'o mut bool,
}

impl Work<'_> {
    fn row(&mut self, row: &[u8], shape: &Shape) -> Result<(Key, Option<String>), String> {
        let text = std::str::from_utf8(row)
            .map_err(|reason| format!("byte {} is not UTF-8", reason.valid_up_to()))?;
        let found = self.object(text, shape)?;
        let parts = shape
            .key
            .iter()
            .map(|slot| {
                let raw = found[*slot].map_or("null", RawValue::get);
                let part = if raw.starts_with('"') {
                    serde_json::from_str::<String>(raw)
                        .ok()
                        .filter(|text| !text.is_empty())
                        .map(KeyPart::Text)
                } else {
                    raw.parse().ok().map(KeyPart::Integer)
                };
                part.ok_or_else(|| format!("it has no {}", shape.slots[*slot]))
            })
            .collect::<Result<Vec<_>, String>>()?;
        let version = shape
            .version
            .and_then(|slot| found[slot])
            .and_then(|raw| serde_json::from_str::<Option<String>>(raw.get()).ok().flatten());
        Ok((Key::of(parts), version))
    }

    /// Writes one object and returns the raw members that the shape names.
    fn object<'a>(&mut self, text: &'a str, shape: &Shape) -> Result<Vec<Option<&'a RawValue>>, String> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let (found, repeated) = reader
            .deserialize_map(RowVisitor { shape })
            .and_then(|found| reader.end().map(|()| found))
            .map_err(|reason| reason.to_string())?;
        *self.repeated |= repeated;
        self.out.push(b'{');
        let mut first = true;
        for member in &shape.members {
            let Some(raw) = found[member.slot] else { continue };
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(member.label.as_bytes());
            self.value(raw.get(), &member.conversion)
                .map_err(|reason| format!("{} {reason}", shape.slots[member.slot]))?;
        }
        self.out.push(b'}');
        Ok(found)
    }

    fn value(&mut self, raw: &str, conversion: &Conversion) -> Result<(), String> {
        check(raw)?;
        let is_text = raw.starts_with('"');
        match conversion {
            Conversion::List(_) if raw == "null" => self.out.extend_from_slice(b"[]"),
            _ if raw == "null" => self.out.extend_from_slice(b"null"),
            Conversion::Instant if is_text => self.instant(raw),
            Conversion::List(between) if is_text => self.list(raw, *between),
            Conversion::NumberText if !is_text => {
                self.out.push(b'"');
                self.out.extend_from_slice(raw.as_bytes());
                self.out.push(b'"');
            }
            Conversion::JsonText => {
                serde_json::to_writer(&mut *self.out, raw).map_err(|reason| reason.to_string())?;
            }
            Conversion::Prefix { length, names } => {
                let name = raw.get(1..=*length).and_then(|prefix| names.get(prefix));
                serde_json::to_writer(&mut *self.out, &name).map_err(|reason| reason.to_string())?;
            }
            Conversion::Nested(shape) => {
                self.object(raw, shape)?;
            }
            _ => self.out.extend_from_slice(raw.as_bytes()),
        }
        Ok(())
    }

    fn instant(&mut self, raw: &str) {
        let bytes = raw.as_bytes();
        let offset = bytes.len().checked_sub(6).map(|at| (at, &bytes[at..bytes.len() - 1]));
        match offset {
            Some((at, b"+0000" | b"-0000")) => {
                self.out.extend_from_slice(&bytes[..at]);
                self.out.extend_from_slice(b"Z\"");
            }
            Some((at, offset))
                if matches!(offset[0], b'+' | b'-')
                    && offset[1..].iter().all(u8::is_ascii_digit)
                    && at > 11 =>
            {
                self.out.extend_from_slice(&bytes[..at + 3]);
                self.out.push(b':');
                self.out.extend_from_slice(&bytes[at + 3..]);
            }
            _ => self.out.extend_from_slice(bytes),
        }
    }

    fn list(&mut self, raw: &str, between: char) {
        let inner = &raw[1..raw.len() - 1];
        self.out.push(b'[');
        let mut first = true;
        for value in inner.split(between).filter(|value| !value.is_empty()) {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.out.push(b'"');
            self.out.extend_from_slice(value.as_bytes());
            self.out.push(b'"');
        }
        self.out.push(b']');
    }
}

struct RowVisitor<'s> {
    shape: &'s Shape,
}

impl<'de> Visitor<'de> for RowVisitor<'_> {
    type Value = (Vec<Option<&'de RawValue>>, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![None; self.shape.slots.len()];
        let mut repeated = false;
        let mut next = 0;
        while let Some(slot) = map.next_key_seed(Lookup { shape: self.shape, next })? {
            match slot {
                Some(slot) => {
                    let raw: &'de RawValue = map.next_value()?;
                    repeated |= found[slot].replace(raw).is_some();
                    next = slot + 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((found, repeated))
    }
}

/// Finds a member's slot by its name; members usually arrive in the shape's order.
struct Lookup<'s> {
    shape: &'s Shape,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Lookup<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Lookup<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        if self.shape.slots.get(self.next).is_some_and(|expected| expected == name) {
            return Ok(Some(self.next));
        }
        Ok(self.shape.index.get(name).copied())
    }
}

/// What serde does not check in a raw token: that escapes make characters, and that nesting is bounded.
fn check(raw: &str) -> Result<(), String> {
    if raw.starts_with(['{', '[']) {
        check_depth(raw)?;
    }
    if raw.as_bytes().contains(&b'\\') { check_escapes(raw) } else { Ok(()) }
}

fn check_depth(raw: &str) -> Result<(), String> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in raw.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return Err(format!("is nested deeper than {MOST_DEPTH} levels"));
                }
            }
            b'}' | b']' if !in_text => depth -= 1,
            _ => {}
        }
    }
    Ok(())
}

fn check_escapes(raw: &str) -> Result<(), String> {
    let lone = || Err("holds half of a surrogate pair, which is no character".to_owned());
    let bytes = raw.as_bytes();
    let unit = |at: usize| {
        (bytes.get(at) == Some(&b'\\') && bytes.get(at + 1) == Some(&b'u'))
            .then(|| raw.get(at + 2..at + 6).and_then(|hex| u16::from_str_radix(hex, 16).ok()))
            .flatten()
    };
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match unit(at) {
            Some(0xD800..=0xDBFF) => match unit(at + 6) {
                Some(0xDC00..=0xDFFF) => at += 12,
                _ => return lone(),
            },
            Some(0xDC00..=0xDFFF) => return lone(),
            Some(_) => at += 6,
            None => at += 2,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, conversion: Conversion) -> Member {
        Member { wire: name.to_owned(), out: name.to_owned(), conversion }
    }

    fn shape() -> Shape {
        let types = HashMap::from([("00Q".to_owned(), "Lead".to_owned())]);
        Shape::new([
            member("Id", Conversion::Raw),
            member("Name", Conversion::Raw),
            member("Amount", Conversion::Raw),
            member("At", Conversion::Instant),
            member("Tags", Conversion::List(';')),
            member("Big", Conversion::NumberText),
            member("Odd", Conversion::JsonText),
            member("WhoId", Conversion::Raw),
            Member {
                wire: "WhoId".to_owned(),
                out: "WhoId_type".to_owned(),
                conversion: Conversion::Prefix { length: 3, names: Arc::new(types) },
            },
            member(
                "Account",
                Conversion::Nested(Box::new(Shape::new([
                    member("Name", Conversion::Raw),
                    member("Since", Conversion::Instant),
                ]))),
            ),
        ])
        .with_key(["Id"])
        .with_version("Stamp")
    }

    fn all(page: &[u8]) -> Vec<Result<Record, RowError>> {
        let page = cut_page(page, "records").unwrap();
        records(&page.rows, &shape())
    }

    fn one(row: &str) -> Result<String, String> {
        let page = format!(r#"{{"records":[{row}]}}"#);
        let mut found = all(page.as_bytes());
        assert_eq!(found.len(), 1);
        found.remove(0).map(|record| record.text().to_owned()).map_err(|row| row.error.to_string())
    }

    #[test]
    fn tokens_are_copied_or_rewritten_and_others_dropped() {
        let row = r#"{"attributes":{"type":"X","url":"/x"},"Id":"1","Name":"a\"b \ud83d\ude00","Amount":1.50,
            "At":"2022-03-17T16:21:26.000+0000","Tags":"A;B \u00e9","Big":9007199254740993,"Odd":{"a":[1]},
            "WhoId":"00Q1","Account":{"attributes":{},"Since":"2022-03-17T16:21:26.000+0530","Name":"P"},
            "Stamp":"v1","Extra":[[]]}"#;
        let found = all(format!(r#"{{"records":[{row}],"done":true}}"#).as_bytes());
        let record = found[0].as_ref().unwrap();
        assert_eq!(
            record.text(),
            concat!(
                r#"{"Id":"1","Name":"a\"b \ud83d\ude00","Amount":1.50,"At":"2022-03-17T16:21:26.000Z","#,
                r#""Tags":["A","B \u00e9"],"Big":"9007199254740993","Odd":"{\"a\":[1]}","WhoId":"00Q1","#,
                r#""WhoId_type":"Lead","Account":{"Name":"P","Since":"2022-03-17T16:21:26.000+05:30"}}"#
            )
        );
        assert_eq!((record.key.clone(), record.version.as_deref()), (Key::text("1"), Some("v1")));
    }

    #[test]
    fn nulls_stay_null_and_an_empty_list_is_a_list() {
        assert_eq!(
            one(r#"{"Id":"1","At":null,"Tags":null,"Big":null,"Odd":null,"WhoId":null,"Account":null}"#)
                .unwrap(),
            r#"{"Id":"1","At":null,"Tags":[],"Big":null,"Odd":null,"WhoId":null,"WhoId_type":null,"Account":null}"#
        );
        assert_eq!(
            one(r#"{"Id":"1","Tags":"","WhoId":"é"}"#).unwrap(),
            r#"{"Id":"1","Tags":[],"WhoId":"é","WhoId_type":null}"#
        );
    }

    #[test]
    fn fault_66_number_text_is_kept() {
        for number in ["1e400", "9223372036854775809", "-0", "0.30000000000000004", "12345678901234567"] {
            assert_eq!(
                one(&format!(r#"{{"Id":"1","Amount":{number}}}"#)).unwrap(),
                format!(r#"{{"Id":"1","Amount":{number}}}"#)
            );
        }
        assert!(one(r#"{"Id":"1","Amount":01}"#).is_err());
    }

    #[test]
    fn fault_64_the_last_of_two_equal_members_counts() {
        assert_eq!(one(r#"{"Id":"1","Name":"a","Na\u006de":"b"}"#).unwrap(), r#"{"Id":"1","Name":"b"}"#);
    }

    #[test]
    fn fault_65_a_row_with_bad_text_takes_its_own_place() {
        let mut page = br#"{"totalSize":3,"done":true,"records":[{"Id":"1"},{"Id":"2","Name":"a"#.to_vec();
        page.extend_from_slice(&[0xff, 0xfe]);
        page.extend_from_slice(br#""},{"Id":"3","Name":"}]\"{"}]}"#);
        let cut = cut_page(&page, "records").unwrap();
        assert_eq!(
            (cut.member::<u64>("totalSize").unwrap(), cut.member::<bool>("done").unwrap()),
            (Some(3), Some(true))
        );
        let found = records(&cut.rows, &shape());
        assert_eq!(found[0].as_ref().unwrap().key, Key::text("1"));
        let bad = found[1].as_ref().unwrap_err();
        assert_eq!(bad.position, 1);
        assert!(bad.error.to_string().contains("UTF-8"), "{}", bad.error);
        assert_eq!(found[2].as_ref().unwrap().key, Key::text("3"));
        for lone in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\ud800x"] {
            let reason = one(&format!(r#"{{"Id":"1","Name":"{lone}"}}"#)).unwrap_err();
            assert!(reason.contains("surrogate"), "{reason}");
        }
        assert!(one("{\"Id\":\"1\",\"Name\":\"a\nb\"}").is_err());
        assert!(one(r#"{"Id":"1","Name":"\\ud800"}"#).is_ok());
    }

    #[test]
    fn fault_63_deep_nesting_spoils_only_its_row() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let page =
            format!(r#"{{"records":[{{"Id":"1","Odd":{deep}}},{{"Id":"2","Extra":{deep}}},{{"Id":"3"}}]}}"#);
        let found = all(page.as_bytes());
        assert!(found[0].as_ref().unwrap_err().error.to_string().contains("nested"));
        assert!(found[1].is_ok() && found[2].is_ok());
    }

    #[test]
    fn a_row_without_a_key_and_one_that_is_no_object_are_errors() {
        assert!(one(r#"{"Name":"x"}"#).unwrap_err().contains("no Id"));
        assert!(one(r#"{"Id":null}"#).is_err());
        assert!(one("7").is_err());
        assert!(one("null").is_err());
    }

    #[test]
    fn a_cut_page_is_refused_wherever_it_is_cut() {
        let page = r#"{"totalSize":2,"done":true,"records":[{"Id":"1","Name":"a]}"},{"Id":"2"}]}"#;
        for end in 0..page.len() {
            assert!(cut_page(&page.as_bytes()[..end], "records").is_err(), "{}", &page[..end]);
        }
        assert!(cut_page(b"{}x", "records").is_err());
        assert!(!cut_page(b"{}", "records").unwrap().has_rows);
        assert!(cut_page(br#"{"records":null}"#, "records").unwrap().rows.is_empty());
    }

    #[test]
    fn the_scanner_cuts_as_the_parser_does() {
        let page = br#" { "a" : [1, {"b":"]"}] , "records" : [ {"Id":"1"} , 2, "x,y" , [[],{}] , true ] , "done":false } "#;
        let fast = cut_page(page, "records").unwrap();
        let scanned = scan_page(page, "records").unwrap();
        assert_eq!(fast.rows, scanned.rows);
        assert_eq!(scanned.member::<bool>("done").unwrap(), Some(false));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::sample::select(br#"{}[]",:\ud8Id1 x"#.to_vec()), 0..60)) {
            if let Ok(page) = cut_page(&bytes, "Id") {
                let _ = records(&page.rows, &shape());
            }
            let _ = scan_page(&bytes, "Id");
        }
    }
}
