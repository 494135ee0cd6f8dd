//! Numbers that look random and are pure functions of what they are made from.

/// A good mix of 64 bits (the finaliser of SplitMix64).
pub(crate) fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The same number for the same text.
pub(crate) fn hash_text(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One entry of a list.
pub(crate) fn pick<T>(list: &[T], hash: u64) -> Option<&T> {
    list.get((hash % list.len().max(1) as u64) as usize)
}

/// One word of a list.
pub(crate) fn word(list: &[&'static str], hash: u64) -> &'static str {
    pick(list, hash).copied().unwrap_or_default()
}
