//! The content hash: SHA-256 over the SHA-256s of all blocks of 4 MiB ("Content hash", Dropbox for HTTP
//! Developers).

use aws_lc_rs::digest::{Context, SHA256, digest};

/// Bytes of a block.
pub(super) const BLOCK: usize = 4 * 1024 * 1024;

/// A content hash while the bytes come.
pub(super) struct ContentHash {
    whole: Context,
    block: Context,
    filled: usize,
}

impl Default for ContentHash {
    fn default() -> Self {
        Self { whole: Context::new(&SHA256), block: Context::new(&SHA256), filled: 0 }
    }
}

impl ContentHash {
    /// Takes the next bytes.
    pub(super) fn update(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(piece.len().min(BLOCK - self.filled));
            self.block.update(now);
            self.filled += now.len();
            piece = rest;
            if self.filled == BLOCK {
                let block = std::mem::replace(&mut self.block, Context::new(&SHA256));
                self.whole.update(block.finish().as_ref());
                self.filled = 0;
            }
        }
    }

    /// Takes a part that begins where a block begins, and gives the part's own hash; its blocks are hashed once.
    pub(super) fn part(&mut self, part: &[u8]) -> String {
        if self.filled > 0 {
            self.update(part);
            return of(part);
        }
        let mut own = Context::new(&SHA256);
        let mut blocks = part.chunks_exact(BLOCK);
        for block in blocks.by_ref() {
            let block = digest(&SHA256, block);
            own.update(block.as_ref());
            self.whole.update(block.as_ref());
        }
        let rest = blocks.remainder();
        if !rest.is_empty() {
            self.block.update(rest);
            self.filled = rest.len();
            own.update(digest(&SHA256, rest).as_ref());
        }
        hexadecimal(own.finish().as_ref())
    }

    /// The hash of all that came, in lower-case hexadecimal digits.
    pub(super) fn finish(mut self) -> String {
        if self.filled > 0 {
            self.whole.update(self.block.finish().as_ref());
        }
        hexadecimal(self.whole.finish().as_ref())
    }
}

/// The content hash of bytes that are all there.
pub(super) fn of(bytes: &[u8]) -> String {
    let mut hash = ContentHash::default();
    hash.update(bytes);
    hash.finish()
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_documentation() {
        assert_eq!(of(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(of(b"abc"), "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358");
    }

    #[test]
    fn pieces_and_parts_do_not_change_the_hash() {
        let bytes: Vec<u8> = (0..BLOCK * 2 + 77).map(|at| (at % 251) as u8).collect();
        let whole = of(&bytes);
        let mut pieces = ContentHash::default();
        bytes.chunks(1_000_003).for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.finish(), whole);
        let mut parts = ContentHash::default();
        let (first, rest) = bytes.split_at(BLOCK);
        assert_eq!(parts.part(first), of(first));
        assert_eq!(parts.part(rest), of(rest));
        assert_eq!(parts.finish(), whole);
    }
}
