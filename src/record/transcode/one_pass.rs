//! The quick way through a page: its bytes are checked, cut and rewritten in one pass.
//!
//! Whatever is out of the ordinary (text that is no JSON, half of a surrogate pair, deep nesting, a member that
//! comes twice or is written with escapes, a row without its key) makes it give up, and the page is read again
//! the slow way, which tells what is wrong and where. So this pass needs no errors and may never be more lenient
//! than the other.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::{Conversion, ReadPage, Shape, convert};
use crate::record::scan::Scan;
use crate::record::{Key, KeyPart, Record};

/// Where a member stands in the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    name: usize,
    value: usize,
    end: usize,
}

/// A record whose text is not cut off the buffer yet.
struct Written {
    text: Range<usize>,
    key: Key,
    version: Option<String>,
}

/// Reads a page; `None` when it has to be read the slow way.
pub(super) fn read<'a>(
    body: &'a [u8],
    rows: &str,
    shape: &Shape,
    keep: &impl Fn(&[u8]) -> bool,
) -> Option<ReadPage<'a>> {
    let pass = Scan::new(std::str::from_utf8(body).ok()?);
    let mut rest = Vec::new();
    let mut written = None;
    let mut out = Vec::new();
    let mut at = pass.after(pass.space(0), b'{')?;
    at = pass.space(at);
    if pass.byte(at)? == b'}' {
        at += 1;
    } else {
        loop {
            let (name, value) = pass.name(at)?;
            let end = if name == rows {
                if written.is_some() || pass.byte(value)? != b'[' {
                    return None;
                }
                out.reserve(body.len());
                let (list, end) = pass.rows(value, shape, keep, &mut out)?;
                written = Some(list);
                end
            } else {
                let end = pass.value(value, 0)?;
                rest.push((Cow::Borrowed(name), &body[value..end]));
                end
            };
            match pass.next(end, b'}')? {
                (after, true) => at = after,
                (after, false) => {
                    at = after;
                    break;
                }
            }
        }
    }
    if !pass.is_end(at) {
        return None;
    }
    let buffer = Bytes::from(out);
    let has_rows = written.is_some();
    let records = written.unwrap_or_default().into_iter().map(|done: Written| {
        Ok(Record { key: done.key, version: done.version, json: buffer.slice(done.text) })
    });
    Some(ReadPage { records: records.collect(), has_rows, rest })
}

/// Reads one row; `None` when it has to be read the slow way, whatever was written by then.
pub(super) fn row(
    row: &[u8],
    shape: &Shape,
    found: &mut Vec<Option<Place>>,
    out: &mut Vec<u8>,
) -> Option<(Key, Option<String>)> {
    let pass = Scan::new(std::str::from_utf8(row).ok()?);
    let end = pass.object(pass.space(0), shape, found, out)?;
    if pass.is_end(end) { pass.key_and_version(shape, found) } else { None }
}

/// How far the writing of an object is.
struct Pen {
    /// Members that are to be copied in one piece.
    run: Range<usize>,
    /// What stands before the next member.
    between: &'static [u8],
}

impl Scan<'_> {
    fn rows(
        self,
        at: usize,
        shape: &Shape,
        keep: &impl Fn(&[u8]) -> bool,
        out: &mut Vec<u8>,
    ) -> Option<(Vec<Written>, usize)> {
        let mut written: Vec<Written> = Vec::new();
        let mut found = Vec::new();
        let mut at = self.space(at + 1);
        if self.byte(at)? == b']' {
            return Some((written, at + 1));
        }
        loop {
            let start = out.len();
            let end = self.places(at, shape, &mut found)?;
            if keep(self.bytes(at..end)?) {
                self.write(shape, &found, out)?;
                let (key, version) = self.key_and_version(shape, &found)?;
                written.push(Written { text: start..out.len(), key, version });
            }
            let (after, more) = self.next(end, b']')?;
            if !more {
                return Some((written, after));
            }
            at = after;
        }
    }

    /// Checks one object, writes what the shape keeps of it, and leaves its members' places in `found`.
    fn object(
        self,
        at: usize,
        shape: &Shape,
        found: &mut Vec<Option<Place>>,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let end = self.places(at, shape, found)?;
        self.write(shape, found, out)?;
        Some(end)
    }

    /// Checks one object and leaves its members' places in `found`.
    fn places(self, at: usize, shape: &Shape, found: &mut Vec<Option<Place>>) -> Option<usize> {
        found.clear();
        found.resize(shape.width(), None);
        self.members(at, shape, found)
    }

    /// Checks one object and leaves its members' places in `found`, those of the object inside it behind them.
    fn members(self, at: usize, shape: &Shape, found: &mut [Option<Place>]) -> Option<usize> {
        let inside = shape.inside.as_ref();
        let mut at = self.space(self.after(at, b'{')?);
        if self.byte(at)? == b'}' {
            return Some(at + 1);
        }
        // Members usually come in the shape's order, so that the expected name only has to be compared.
        let mut expected = 0;
        loop {
            let label = shape.labels.get(expected).map_or("", String::as_str).as_bytes();
            let known = !label.is_empty() && self.starts_with(at, label);
            let (slot, value) = if known {
                (Some(expected), self.space(at + label.len()))
            } else {
                let (name, value) = self.name(at)?;
                (shape.index.get(name).copied(), value)
            };
            let inner = inside.filter(|(inside, _)| slot == Some(*inside) && self.byte(value) == Some(b'{'));
            let behind = match inner {
                Some((_, inner)) => self.members(value, inner, found.get_mut(shape.slots.len()..)?)?,
                None => self.value(value, 0)?,
            };
            if let Some(slot) = slot {
                if found[slot].replace(Place { name: at, value, end: behind }).is_some() {
                    return None;
                }
                expected = slot + 1;
            }
            let (after, more) = self.next(behind, b'}')?;
            if !more {
                return Some(after);
            }
            at = after;
        }
    }

    fn write(self, shape: &Shape, found: &[Option<Place>], out: &mut Vec<u8>) -> Option<()> {
        let mut pen = Pen { run: 0..0, between: b"{" };
        if !shape.constants.is_empty() {
            out.push(b'{');
            out.extend_from_slice(shape.constants.as_bytes());
            pen.between = b",";
        }
        self.write_members(shape, found, &mut pen, out)?;
        out.extend_from_slice(self.bytes(pen.run)?);
        out.extend_from_slice(if pen.between == b"{" { b"{}" } else { b"}" });
        Some(())
    }

    /// Writes the members. Those that stand next to each other and need no change are copied in one piece.
    fn write_members(
        self,
        shape: &Shape,
        found: &[Option<Place>],
        pen: &mut Pen,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let Pen { run, between } = pen;
        for member in &shape.members {
            let Some(place) = found[member.slot] else {
                if shape.complete || matches!(member.conversion, Conversion::OrNull | Conversion::Or(_)) {
                    out.extend_from_slice(self.bytes(std::mem::take(run))?);
                    out.extend_from_slice(std::mem::replace(between, b","));
                    out.extend_from_slice(member.label.as_bytes());
                    convert(out, "null", &member.conversion).ok()?;
                }
                continue;
            };
            let as_it_is = member.verbatim && place.value - place.name == member.label.len();
            if as_it_is && run.start < run.end && place.name == run.end + 1 {
                run.end = place.end;
                continue;
            }
            out.extend_from_slice(self.bytes(std::mem::take(run))?);
            out.extend_from_slice(std::mem::replace(between, b","));
            if as_it_is {
                *run = place.name..place.end;
                continue;
            }
            out.extend_from_slice(member.label.as_bytes());
            let raw = self.text(place.value..place.end)?;
            match &member.conversion {
                Conversion::Nested(inner) if raw != "null" => {
                    self.object(place.value, inner, &mut Vec::new(), out)?;
                }
                conversion => convert(out, raw, conversion).ok()?,
            }
        }
        match &shape.inside {
            Some((_, inner)) => {
                let found = found.get(shape.slots.len()..)?;
                self.write_members(inner, found, pen, out)
            }
            None => Some(()),
        }
    }

    fn key_and_version(self, shape: &Shape, found: &[Option<Place>]) -> Option<(Key, Option<String>)> {
        let raw = |slot: usize| found[slot].and_then(|place| self.text(place.value..place.end));
        let mut parts = shape.key_front.clone();
        for slot in &shape.key {
            parts.push(match plain(raw(*slot)?) {
                Some("") => return None,
                Some(text) => KeyPart::Text(text.to_owned()),
                None => KeyPart::Integer(raw(*slot)?.parse().ok()?),
            });
        }
        let version = match shape.version.and_then(raw) {
            None | Some("null") => None,
            // An entity tag has quotes of its own, so it comes with escapes.
            Some(raw) => Some(match plain(raw) {
                Some(text) => text.to_owned(),
                None => serde_json::from_str(raw).ok()?,
            }),
        };
        Some((Key::of(parts), version))
    }
}

/// The text of a string token that has no escapes.
fn plain(raw: &str) -> Option<&str> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.as_bytes().contains(&b'\\')).then_some(inner)
}
