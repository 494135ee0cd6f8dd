//! Walks through JSON text, checks every byte of it, and makes nothing of it.
//!
//! Whatever is out of the ordinary (text that is no JSON, half of a surrogate pair, deep nesting, a member whose name is
//! written with escapes) makes it give up; the caller then reads the slow way, which tells what is wrong and where. So
//! this needs no errors and may never be more lenient than the other.

use std::ops::Range;

/// Deepest nesting of a value that is followed.
const MOST_DEPTH: usize = 32;

/// A text with positions in it handed about: every function takes where it begins and gives where it ended.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes() }
    }

    pub(super) fn text(self, part: Range<usize>) -> Option<&'a str> {
        self.text.get(part)
    }

    pub(super) fn bytes(self, part: Range<usize>) -> Option<&'a [u8]> {
        self.bytes.get(part)
    }

    pub(super) fn starts_with(self, at: usize, what: &[u8]) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.starts_with(what))
    }

    /// Whether nothing but white space follows.
    pub(super) fn is_end(self, at: usize) -> bool {
        self.space(at) == self.bytes.len()
    }

    #[inline]
    pub(super) fn byte(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    #[inline]
    pub(super) fn space(self, mut at: usize) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte(at) {
            at += 1;
        }
        at
    }

    #[inline]
    pub(super) fn after(self, at: usize, byte: u8) -> Option<usize> {
        (self.byte(at)? == byte).then_some(at + 1)
    }

    /// What follows a part of a list or an object: the next part, or with `false` the end behind `close`.
    #[inline]
    pub(super) fn next(self, at: usize, close: u8) -> Option<(usize, bool)> {
        let at = self.space(at);
        match self.byte(at)? {
            b',' => Some((self.space(at + 1), true)),
            byte if byte == close => Some((at + 1, false)),
            _ => None,
        }
    }

    /// A member's name without escapes, and where its value begins.
    #[inline]
    pub(super) fn name(self, at: usize) -> Option<(&'a str, usize)> {
        let start = self.after(at, b'"')?;
        let mut end = start;
        loop {
            end = self.ordinary(end);
            match self.byte(end)? {
                b'"' => break,
                b'\\' | 0..=0x1F => return None,
                _ => end += 1,
            }
        }
        Some((self.text.get(start..end)?, self.space(self.after(self.space(end + 1), b':')?)))
    }

    /// The end of the value that begins here, every byte of it checked.
    #[inline]
    pub(super) fn value(self, at: usize, depth: usize) -> Option<usize> {
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

    /// Passes by text of a string up to a quote, a backslash or a control character; it may stop earlier near the
    /// end of the page. Most texts end within sixteen bytes, so that those are looked at without a branch in between.
    #[inline]
    fn ordinary(self, mut at: usize) -> usize {
        while let Some(chunk) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
            let word = u128::from_le_bytes(*chunk);
            let (low, high) = (special(word as u64), special((word >> 64) as u64));
            if low | high != 0 {
                let bits = if low == 0 { 64 + high.trailing_zeros() } else { low.trailing_zeros() };
                return at + bits as usize / 8;
            }
            at += 16;
        }
        while let Some(chunk) = self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let special = special(u64::from_le_bytes(*chunk));
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

/// The top bits of the bytes that are a quote, a backslash or a control character; above the first such byte one may
/// be set wrongly.
#[inline]
fn special(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const TOP: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(EACH) & !word;
    let quote = zero(word ^ (EACH * u64::from(b'"')));
    let backslash = zero(word ^ (EACH * u64::from(b'\\')));
    let control = word.wrapping_sub(EACH * 0x20) & !word;
    (quote | backslash | control) & TOP
}

/// Whether bytes are one JSON value, of the ordinary kind.
pub(crate) fn is_ordinary(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| {
        let scan = Scan::new(text);
        scan.value(scan.space(0), 0).is_some_and(|end| scan.is_end(end))
    })
}
