//! Salesforce record ids: three characters of key prefix, two of pod, a zero, nine base-62 digits, and for
//! the 18-character form a checksum that tells which of the first fifteen are upper case.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CHECKSUM: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The 18-character form of a 15-character id.
pub(super) fn with_checksum(short: &str) -> String {
    let mut out = String::with_capacity(18);
    out.push_str(short);
    for group in short.as_bytes().chunks(5) {
        let mut bits = 0;
        for (place, byte) in group.iter().enumerate() {
            bits |= usize::from(byte.is_ascii_uppercase()) << place;
        }
        out.push(char::from(CHECKSUM[bits]));
    }
    out
}

/// The first 15 characters, when the text has the form of an id (15 or 18 letters and digits).
pub(super) fn short(text: &str) -> Option<&str> {
    let fits =
        (text.len() == 15 || text.len() == 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { text.get(..15) } else { None }
}

/// Ids of one emulated org.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdSpace {
    pod: [u8; 2],
    first: u64,
}

impl IdSpace {
    /// The ids of the org that a seed makes.
    pub(super) fn new(seed: u64) -> Self {
        let mixed = super::seed::mix(seed ^ 0x5f0d);
        let pod = [DIGITS[(mixed % 62) as usize], DIGITS[(mixed / 62 % 62) as usize]];
        Self { pod, first: 1_000_000 + mixed / 4096 % 50_000_000 }
    }

    /// The id of the record with this index; ascending in byte order with the index.
    pub(super) fn make(self, prefix: &str, index: u64) -> String {
        let mut bytes = [b'0'; 15];
        for (slot, byte) in bytes.iter_mut().zip(prefix.bytes()) {
            *slot = byte;
        }
        bytes[3] = self.pod[0];
        bytes[4] = self.pod[1];
        let mut rest = self.first + index;
        for slot in bytes.iter_mut().skip(6).rev() {
            *slot = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        with_checksum(&String::from_utf8_lossy(&bytes))
    }

    /// The index behind an id of this org, whatever its prefix.
    pub(super) fn index(self, text: &str) -> Option<u64> {
        let bytes = short(text)?.as_bytes();
        if bytes.get(3..5) != Some(&self.pod[..]) || bytes.get(5) != Some(&b'0') {
            return None;
        }
        let number = bytes.iter().skip(6).try_fold(0u64, |number, byte| {
            let digit = DIGITS.iter().position(|known| known == byte)?;
            Some(number * 62 + digit as u64)
        })?;
        number.checked_sub(self.first)
    }

    /// Where an id stands among the ids of one type, in byte order: the lowest index whose id is not below
    /// `text`, and whether that index has exactly this id.
    pub(super) fn position(self, prefix: &str, text: &str) -> (u64, bool) {
        let Some(wanted) = short(text) else { return (0, false) };
        if let (Some(index), true) = (self.index(text), wanted.starts_with(prefix)) {
            return (index, true);
        }
        let lowest = self.make(prefix, 0);
        if wanted < &lowest[..15] { (0, false) } else { (u64::MAX, false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_match_recorded_ids() {
        for id in ["01254000001upcKAAQ", "012000000000000AAA", "001D000000IRFmaIAH"] {
            assert_eq!(with_checksum(&id[..15]), id);
        }
    }

    #[test]
    fn an_id_leads_back_to_its_index_and_ascends() {
        let space = IdSpace::new(7);
        let mut before = String::new();
        for index in [0, 1, 61, 62, 4_000, 1_000_000] {
            let id = space.make("001", index);
            assert_eq!(id.len(), 18);
            assert_eq!(space.index(&id), Some(index));
            assert!(*before < id[..15]);
            before = id[..15].to_owned();
        }
        assert_ne!(IdSpace::new(7).make("001", 0), IdSpace::new(8).make("001", 0));
    }
}
