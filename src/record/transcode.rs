//! One page of a service's JSON becomes records in the read schema's form.
//!
//! The tokens that a [`Shape`] names are copied into one buffer, rewritten only where the wire's form is not the
//! schema's. Numbers keep their digits. A page without surprises is read in one pass (`one_pass`). Any other is
//! cut into raw rows, each of which is read by itself; and one that cannot be read as a whole is cut by a byte
//! scanner, so that one bad row takes its own place and the others go on.

mod convert;
mod one_pass;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::convert::convert;
use super::names::Names;
use super::{Key, KeyPart, Record, RowError};
use crate::error::{Error, Position, Result};

/// Deepest nesting of a value.
const MOST_DEPTH: usize = 128;

/// What becomes of a row: the members to keep, in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    slots: Vec<String>,
    /// The slots' names as JSON with their colons.
    labels: Vec<String>,
    index: Names<usize>,
    members: Vec<Placed>,
    key: Vec<usize>,
    /// Parts of the key that stand before those of the row: the same for all rows.
    key_front: Vec<KeyPart>,
    /// Members with their values as JSON that are the same for all rows and stand first.
    constants: String,
    version: Option<usize>,
    /// The member that is an object whose members are taken as if they stood in the row, and their shape.
    inside: Option<(usize, Box<Shape>)>,
    /// Whether members that the wire leaves out are written as if they were null.
    complete: bool,
}

#[derive(Debug, Clone)]
struct Placed {
    slot: usize,
    /// The member's name as JSON with its colon.
    label: String,
    /// Whether it leaves as it comes, name and all.
    verbatim: bool,
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
    /// A text of whole numbers joined by this character becomes an array of numbers; null an empty one.
    NumberList(char),
    /// Copied as it is, and null where the wire leaves it out.
    OrNull,
    /// Copied as it is; null becomes this JSON.
    Or(String),
    /// The object at the end of this way through an object's members becomes a list of objects with the members
    /// `key` and `value`; an empty list where the way leads nowhere.
    Pairs(Vec<String>),
    /// A number becomes a text of its digits.
    NumberText,
    /// Any JSON becomes a text that holds it.
    JsonText,
    /// A text is copied; any other JSON becomes a text that holds it.
    AnyText,
    /// A text becomes the name that its first characters stand for, or null.
    Prefix {
        /// How many characters.
        length: usize,
        /// The names.
        names: Arc<HashMap<String, String>>,
    },
    /// An object is reduced to a shape of its own.
    Nested(Box<Shape>),
    /// Copied as it is; null becomes an empty array.
    ListOrEmpty,
    /// An object is reduced to the value at the end of this way through its members; null where it leads
    /// nowhere. What is no object is copied as it is.
    Pluck(Vec<String>),
    /// Each object of a list is reduced in this way, those without such a value are left out; null becomes an
    /// empty array.
    PluckEach(Vec<String>),
    /// Any JSON becomes the text that this function makes of it.
    Text(fn(&str) -> Result<String, String>),
}

impl Shape {
    /// A shape with these members. Several may come from one member of the wire.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let mut shape = Self::default();
        for member in members {
            let slot = shape.slot(&member.wire);
            let label = label(member.out);
            let verbatim = matches!(member.conversion, Conversion::Raw) && label == shape.labels[slot];
            shape.members.push(Placed { slot, label, verbatim, conversion: member.conversion });
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

    /// Puts a part in front of the key that is the same for all rows and does not stand in them.
    #[must_use]
    pub fn with_key_front(mut self, part: impl Into<String>) -> Self {
        self.key_front.push(KeyPart::Text(part.into()));
        self
    }

    /// Writes a text as the first member of every row.
    #[must_use]
    pub fn with_constant(mut self, name: &str, text: &str) -> Self {
        if !self.constants.is_empty() {
            self.constants.push(',');
        }
        self.constants.push_str(&label(name));
        self.constants.push_str(&serde_json::Value::from(text).to_string());
        self
    }

    /// Names the wire member that is the version.
    #[must_use]
    pub fn with_version(mut self, wire: &str) -> Self {
        self.version = Some(self.slot(wire));
        self
    }

    /// Names a wire member that is an object, and what becomes of its members: they are written behind the
    /// row's own, as if they stood in the row itself.
    #[must_use]
    pub fn with_inside(mut self, wire: &str, inner: Self) -> Self {
        let slot = self.slot(wire);
        self.inside = Some((slot, Box::new(inner)));
        self
    }

    /// Members that the wire leaves out are written as if they were null.
    #[must_use]
    pub fn complete(mut self) -> Self {
        self.complete = true;
        self
    }

    /// Slots of this shape and of those inside it.
    fn width(&self) -> usize {
        self.slots.len() + self.inside.as_ref().map_or(0, |(_, inner)| inner.width())
    }

    fn slot(&mut self, wire: &str) -> usize {
        if let Some(slot) = self.index.get(wire) {
            return *slot;
        }
        let slot = self.slots.len();
        self.slots.push(wire.to_owned());
        self.labels.push(label(wire));
        self.index.get_or_insert(wire, || slot);
        slot
    }
}

/// A member's name as JSON with its colon.
fn label(name: impl Into<String>) -> String {
    format!("{}:", serde_json::Value::String(name.into()))
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

impl<'a> CutPage<'a> {
    /// The text of another member.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a [u8]> {
        self.rest.iter().rev().find(|(found, _)| found == name).map(|(_, raw)| *raw)
    }

    /// Another member of the page.
    ///
    /// # Errors
    /// Protocol when it is there and has another type.
    pub fn member<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        member(&self.rest, name)
    }
}

/// A page, read: its records, and its other members as raw JSON.
#[derive(Debug, Default)]
pub struct ReadPage<'a> {
    /// The records in order. A row that cannot be read is an error in its place.
    pub records: Vec<Result<Record, RowError>>,
    /// Whether the member that holds the rows was there.
    pub has_rows: bool,
    rest: Vec<(Cow<'a, str>, &'a [u8])>,
}

impl ReadPage<'_> {
    /// Another member of the page.
    ///
    /// # Errors
    /// Protocol when it is there and has another type.
    pub fn member<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        member(&self.rest, name)
    }
}

fn member<T: serde::de::DeserializeOwned>(rest: &[(Cow<'_, str>, &[u8])], name: &str) -> Result<Option<T>> {
    let Some((_, raw)) = rest.iter().rev().find(|(found, _)| found == name) else { return Ok(None) };
    serde_json::from_slice::<Option<T>>(raw)
        .map_err(|source| Error::protocol(format!("the page's {name} cannot be read: {source}")))
}

/// Reads the text of a page whose rows are the list in the member `rows` into records that share one buffer.
///
/// # Errors
/// Protocol when the page is not one complete JSON object.
pub fn read_page<'a>(body: &'a [u8], rows: &str, shape: &Shape) -> Result<ReadPage<'a>> {
    read_page_of(body, rows, shape, |_| true)
}

/// Reads the text of a page as [`read_page`] does, of its rows those alone for whose text `keep` holds.
///
/// # Errors
/// Protocol when the page is not one complete JSON object.
pub fn read_page_of<'a>(
    body: &'a [u8],
    rows: &str,
    shape: &Shape,
    keep: impl Fn(&[u8]) -> bool,
) -> Result<ReadPage<'a>> {
    if let Some(page) = one_pass::read(body, rows, shape, &keep) {
        return Ok(page);
    }
    let mut cut = cut_page(body, rows)?;
    cut.rows.retain(|row| keep(row));
    Ok(ReadPage { records: records(&cut.rows, shape), has_rows: cut.has_rows, rest: cut.rest })
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
    let mut twice = Twice::default();
    let mut found = Vec::new();
    let written: Vec<Result<Done, RowError>> = rows
        .iter()
        .zip(0_u64..)
        .map(|(row, position)| {
            let start = out.len();
            if let Some((key, version)) = one_pass::row(row, shape, &mut found, &mut out) {
                return Ok(Done { range: start..out.len(), key, version });
            }
            out.truncate(start);
            let mut work = Work { out: &mut out, repeated: None };
            let read = work.row(row, shape);
            if let Some(name) = work.repeated {
                twice.note(position, name);
            }
            match read {
                Ok((key, version)) => Ok(Done { range: start..out.len(), key, version }),
                Err(reason) => {
                    out.truncate(start);
                    let error = Error::protocol(format!("the record cannot be read: {reason}"))
                        .with_code("bad_record")
                        .with_position(Position::Row(position));
                    Err(RowError { position, error })
                }
            }
        })
        .collect();
    twice.warn();
    let buffer = Bytes::from(out);
    written
        .into_iter()
        .map(|row| {
            row.map(|done| Record { key: done.key, version: done.version, json: buffer.slice(done.range) })
        })
        .collect()
}

/// Records of a page in which a member stands twice.
#[derive(Default)]
struct Twice {
    records: u64,
    first: Option<(u64, String)>,
}

impl Twice {
    fn note(&mut self, position: u64, member: &str) {
        self.records += 1;
        self.first.get_or_insert_with(|| (position, member.to_owned()));
    }

    fn warn(self) {
        if let Some((position, member)) = self.first {
            tracing::warn!(
                position,
                member,
                records = self.records,
                "a member stands twice in a record; its last value counts"
            );
        }
    }
}

struct Work<'o, 's> {
    out: &'o mut Vec<u8>,
    /// A member that stood twice.
    repeated: Option<&'s str>,
}

impl<'s> Work<'_, 's> {
    fn row(&mut self, row: &[u8], shape: &'s Shape) -> Result<(Key, Option<String>), String> {
        let text = std::str::from_utf8(row)
            .map_err(|reason| format!("byte {} is not UTF-8", reason.valid_up_to()))?;
        let found = self.object(text, shape)?;
        let own = shape.key.iter().map(|slot| {
            let raw = found[*slot].map_or("null", RawValue::get);
            let part = if raw.starts_with('"') {
                serde_json::from_str::<String>(raw).ok().filter(|text| !text.is_empty()).map(KeyPart::Text)
            } else {
                raw.parse().ok().map(KeyPart::Integer)
            };
            part.ok_or_else(|| format!("it has no {}", shape.slots[*slot]))
        });
        let front = shape.key_front.iter().cloned().map(Ok);
        let parts = front.chain(own).collect::<Result<Vec<_>, String>>()?;
        let version = shape
            .version
            .and_then(|slot| found[slot])
            .and_then(|raw| serde_json::from_str::<Option<String>>(raw.get()).ok().flatten());
        Ok((Key::of(parts), version))
    }

    /// Writes one object and returns the raw members that the shape names.
    fn object<'a>(&mut self, text: &'a str, shape: &'s Shape) -> Result<Vec<Option<&'a RawValue>>, String> {
        self.out.push(b'{');
        self.out.extend_from_slice(shape.constants.as_bytes());
        let found = self.members(text, shape, &mut shape.constants.is_empty())?;
        self.out.push(b'}');
        Ok(found)
    }

    /// Writes the members of an object; `first` as long as none was written.
    fn members<'a>(
        &mut self,
        text: &'a str,
        shape: &'s Shape,
        first: &mut bool,
    ) -> Result<Vec<Option<&'a RawValue>>, String> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let (found, repeated) = reader
            .deserialize_map(RowVisitor { shape })
            .and_then(|found| reader.end().map(|()| found))
            .map_err(|reason| reason.to_string())?;
        self.repeated = self.repeated.or(repeated.map(|slot| shape.slots[slot].as_str()));
        for member in &shape.members {
            let raw = match (found[member.slot], &member.conversion) {
                (Some(raw), _) => raw.get(),
                (None, Conversion::OrNull | Conversion::Or(_)) => "null",
                (None, _) if shape.complete => "null",
                (None, _) => continue,
            };
            if !std::mem::take(first) {
                self.out.push(b',');
            }
            self.out.extend_from_slice(member.label.as_bytes());
            self.value(raw, &member.conversion)
                .map_err(|reason| format!("{} {reason}", shape.slots[member.slot]))?;
        }
        if let Some((slot, inner)) = &shape.inside {
            let raw = found[*slot].map_or("{}", RawValue::get);
            let raw = if raw.starts_with('{') { raw } else { "{}" };
            self.members(raw, inner, first)?;
        }
        Ok(found)
    }

    fn value(&mut self, raw: &str, conversion: &'s Conversion) -> Result<(), String> {
        check(raw)?;
        match conversion {
            Conversion::Nested(shape) if raw != "null" => self.object(raw, shape).map(drop),
            conversion => convert(self.out, raw, conversion),
        }
    }
}

struct RowVisitor<'s> {
    shape: &'s Shape,
}

impl<'de> Visitor<'de> for RowVisitor<'_> {
    /// The members by slot, and the slot of one that stood twice.
    type Value = (Vec<Option<&'de RawValue>>, Option<usize>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![None; self.shape.slots.len()];
        let mut repeated = None;
        let mut next = 0;
        while let Some(slot) = map.next_key_seed(Lookup { shape: self.shape, next })? {
            match slot {
                Some(slot) => {
                    let raw: &'de RawValue = map.next_value()?;
                    if found[slot].replace(raw).is_some() {
                        repeated = Some(slot);
                    }
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
mod tests;
