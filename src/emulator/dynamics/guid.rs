//! Row ids: for seeded rows a permutation of the index under a table's own tail, so that a row is found from
//! its id without any list.

use std::fmt::Write as _;

use crate::emulator::chance::mix;

/// An odd factor modulo 2^32 and its inverse.
const SPREAD: u32 = 0x9E37_79B1;
const GATHER: u32 = inverse(SPREAD);

/// Newton's iteration for the inverse of an odd number modulo 2^32.
const fn inverse(odd: u32) -> u32 {
    let mut out = odd;
    let mut round = 0;
    while round < 5 {
        out = out.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(out)));
        round += 1;
    }
    out
}

/// The ids of one table's seeded rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guids {
    tail: u128,
    twist: u32,
}

impl Guids {
    /// The ids that a seed and a table's own number make.
    pub(super) fn new(seed: u64, salt: u64) -> Self {
        let mixed = mix(seed ^ salt.rotate_left(17));
        // Version 1 of the usual layout: `-xxxx-11xx-9xxx-xxxxxxxxxxxx`.
        let middle = (mixed & 0xffff) << 16 | 0x1100 | (mixed >> 16 & 0xff);
        let last = 0x9000 << 48 | (mixed >> 4 & 0x0fff) << 48 | mix(mixed) & 0xffff_ffff_ffff;
        Self { tail: u128::from(middle) << 64 | u128::from(last), twist: (mixed >> 32) as u32 }
    }

    /// The id of the row with this index.
    pub(super) fn make(self, index: u64) -> u128 {
        let head = (index as u32).wrapping_mul(SPREAD) ^ self.twist;
        u128::from(head) << 96 | self.tail
    }

    /// The index behind an id of this table.
    pub(super) fn index(self, id: u128) -> Option<u64> {
        let tail = id & ((1 << 96) - 1);
        (tail == self.tail).then(|| u64::from((((id >> 96) as u32) ^ self.twist).wrapping_mul(GATHER)))
    }
}

/// A new id that no seeded row has.
pub(super) fn fresh(seed: u64, number: u64) -> u128 {
    let (high, low) = (mix(seed ^ number.wrapping_mul(3)), mix(number ^ seed.rotate_left(32)));
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    u128::from(high) << 64 | u128::from(low)
}

/// The id that stands for a name, for metadata.
pub(super) fn named(text: &str) -> u128 {
    let hash = crate::emulator::chance::hash_text(text);
    fresh(hash, hash >> 7)
}

/// Lower-case text, 8-4-4-4-12.
pub(super) fn text(id: u128) -> String {
    let mut out = String::with_capacity(36);
    write(id, &mut out);
    out
}

pub(super) fn write(id: u128, out: &mut String) {
    let _ = write!(
        out,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        id >> 96,
        id >> 80 & 0xffff,
        id >> 64 & 0xffff,
        id >> 48 & 0xffff,
        id & 0xffff_ffff_ffff
    );
}

/// Reads an id: 8-4-4-4-12 in any case, braces allowed.
pub(super) fn parse(text: &str) -> Option<u128> {
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    if bare.len() != 36 || !bare.is_ascii() {
        return None;
    }
    let mut digits = String::with_capacity(32);
    for (at, letter) in bare.chars().enumerate() {
        match (at, letter) {
            (8 | 13 | 18 | 23, '-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            (_, letter) if letter.is_ascii_hexdigit() => digits.push(letter),
            _ => return None,
        }
    }
    u128::from_str_radix(&digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_index() {
        let guids = Guids::new(7, 99);
        for index in [0, 1, 2, 119, 65_536, 1_000_000, u64::from(u32::MAX)] {
            let id = guids.make(index);
            assert_eq!(guids.index(id), Some(index));
            assert_eq!(parse(&text(id)), Some(id));
        }
        assert_eq!(Guids::new(8, 99).index(guids.make(1)), None);
        assert_eq!(guids.index(fresh(7, 1)), None);
    }

    #[test]
    fn only_the_usual_form_is_an_id() {
        assert!(parse("{78914942-34CB-ed11-b596-0022481d68cd}").is_some());
        for text in ["", "78914942-34cb-ed11-b596-0022481d68c", "78914942x34cb-ed11-b596-0022481d68cd", "é"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
