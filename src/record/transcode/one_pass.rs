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
use crate::record::{Key, KeyPart, Record};

/// Deepest nesting below a row that is followed here.
const MOST_DEPTH: usize = 32;

/// Where a member stands in the page.
#[derive(Debug, Clone, Copy)]
struct Place {
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
pub(super) fn read<'a>(body: &'a [u8], rows: &str, shape: &Shape) -> Option<ReadPage<'a>> {
    let pass = Pass { text: std::str::from_utf8(body).ok()?, bytes: body };
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
                let (list, end) = pass.rows(value, shape, &mut out)?;
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
    if pass.space(at) != body.len() {
        return None;
    }
    let buffer = Bytes::from(out);
    let has_rows = written.is_some();
    let records = written.unwrap_or_default().into_iter().map(|done: Written| {
        Ok(Record { key: done.key, version: done.version, json: buffer.slice(done.text) })
    });
    Some(ReadPage { records: records.collect(), has_rows, rest })
}

/// How far the writing of an object is.
struct Pen {
    /// Members that are to be copied in one piece.
    run: Range<usize>,
    /// What stands before the next member.
    between: &'static [u8],
}

/// The page, with positions in it handed about: every function takes where it begins and gives where it ended.
#[derive(Clone, Copy)]
struct Pass<'a> {
    text: &'a str,
    bytes: &'a [u8],
}

impl<'a> Pass<'a> {
    fn byte(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    #[inline]
    fn space(self, mut at: usize) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte(at) {
            at += 1;
        }
        at
    }

    #[inline]
    fn after(self, at: usize, byte: u8) -> Option<usize> {
        (self.byte(at)? == byte).then_some(at + 1)
    }

    /// What follows a part of a list or an object: the next part, or with `false` the end behind `close`.
    #[inline]
    fn next(self, at: usize, close: u8) -> Option<(usize, bool)> {
        let at = self.space(at);
        match self.byte(at)? {
            b',' => Some((self.space(at + 1), true)),
            byte if byte == close => Some((at + 1, false)),
            _ => None,
        }
    }

    /// A member's name without escapes, and where its value begins.
    fn name(self, at: usize) -> Option<(&'a str, usize)> {
        let start = self.after(at, b'"')?;
        let end = self.string(start)?;
        let name = self.text.get(start..end - 1)?;
        if name.as_bytes().contains(&b'\\') {
            return None;
        }
        Some((name, self.space(self.after(self.space(end), b':')?)))
    }

    fn rows(self, at: usize, shape: &Shape, out: &mut Vec<u8>) -> Option<(Vec<Written>, usize)> {
        let mut written: Vec<Written> = Vec::new();
        let mut found = Vec::new();
        let mut at = self.space(at + 1);
        if self.byte(at)? == b']' {
            return Some((written, at + 1));
        }
        loop {
            let start = out.len();
            let end = self.object(at, shape, &mut found, out)?;
            let (key, version) = self.key_and_version(shape, &found)?;
            written.push(Written { text: start..out.len(), key, version });
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
        found.clear();
        found.resize(shape.width(), None);
        let end = self.members(at, shape, found)?;
        self.write(shape, found, out)?;
        Some(end)
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
            let known = !label.is_empty() && self.bytes.get(at..)?.starts_with(label);
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
        out.extend_from_slice(&self.bytes[pen.run]);
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
                    out.extend_from_slice(&self.bytes[std::mem::take(run)]);
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
            out.extend_from_slice(&self.bytes[std::mem::take(run)]);
            out.extend_from_slice(std::mem::replace(between, b","));
            if as_it_is {
                *run = place.name..place.end;
                continue;
            }
            out.extend_from_slice(member.label.as_bytes());
            let raw = self.text.get(place.value..place.end)?;
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
        let raw = |slot: usize| found[slot].and_then(|place| self.text.get(place.value..place.end));
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

    /// The end of the value that begins here, every byte of it checked.
    #[inline]
    fn value(self, at: usize, depth: usize) -> Option<usize> {
        match self.byte(at)? {
            b'"' => self.string(at + 1),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            b'{' | b'[' => self.nested(at, depth),
            _ => None,
        }
    }

    fn nested(self, at: usize, depth: usize) -> Option<usize> {
        if depth == MOST_DEPTH {
            return None;
        }
        let (is_object, close) = if self.byte(at)? == b'{' { (true, b'}') } else { (false, b']') };
        let mut at = self.space(at + 1);
        if self.byte(at)? == close {
            return Some(at + 1);
        }
        loop {
            if is_object {
                let name = self.string(self.after(at, b'"')?)?;
                at = self.space(self.after(self.space(name), b':')?);
            }
            let end = self.value(at, depth + 1)?;
            let (after, more) = self.next(end, close)?;
            if !more {
                return Some(after);
            }
            at = after;
        }
    }

    fn word(self, at: usize, word: &[u8]) -> Option<usize> {
        self.bytes.get(at..)?.starts_with(word).then_some(at + word.len())
    }

    fn number(self, mut at: usize) -> Option<usize> {
        if self.byte(at)? == b'-' {
            at += 1;
        }
        at = if self.byte(at)? == b'0' { at + 1 } else { self.digits(at)? };
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.byte(at) {
            let signed = matches!(self.byte(at + 1), Some(b'+' | b'-'));
            at = self.digits(at + 1 + usize::from(signed))?;
        }
        Some(at)
    }

    fn digits(self, start: usize) -> Option<usize> {
        let mut at = start;
        while let Some(b'0'..=b'9') = self.byte(at) {
            at += 1;
        }
        (at > start).then_some(at)
    }

    /// The end of a string, from behind its opening quote.
    #[inline]
    fn string(self, mut at: usize) -> Option<usize> {
        loop {
            at = self.ordinary(at);
            match self.byte(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at = self.escape(at)?,
                0..=0x1F => return None,
                _ => at += 1,
            }
        }
    }

    /// Passes by text of a string, eight bytes at a time, up to a quote, a backslash or a control character; it
    /// may stop earlier near the end of the page.
    #[inline]
    fn ordinary(self, mut at: usize) -> usize {
        const EACH: u64 = 0x0101_0101_0101_0101;
        const TOP: u64 = 0x8080_8080_8080_8080;
        while let Some(chunk) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*chunk);
            // The top bit of each byte that is zero; above the first such byte it may be set wrongly.
            let zero = |word: u64| word.wrapping_sub(EACH) & !word;
            let quote = zero(word ^ (EACH * u64::from(b'"')));
            let backslash = zero(word ^ (EACH * u64::from(b'\\')));
            let control = word.wrapping_sub(EACH * 0x20) & !word;
            let special = (quote | backslash | control) & TOP;
            if special != 0 {
                return at + special.trailing_zeros() as usize / 8;
            }
            at += 8;
        }
        at
    }

    /// The end of an escape, of both halves where it is a pair.
    fn escape(self, at: usize) -> Option<usize> {
        match self.byte(at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
            b'u' => match self.unit(at)? {
                0xD800..=0xDBFF => matches!(self.unit(at + 6)?, 0xDC00..=0xDFFF).then_some(at + 12),
                0xDC00..=0xDFFF => None,
                _ => Some(at + 6),
            },
            _ => None,
        }
    }

    fn unit(self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    }
}

/// The text of a string token that has no escapes.
fn plain(raw: &str) -> Option<&str> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.as_bytes().contains(&b'\\')).then_some(inner)
}
