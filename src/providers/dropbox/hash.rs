//! The content hash: SHA-256 over the SHA-256s of all blocks of 4 MiB ("Content hash", Dropbox for HTTP
//! Developers).

use std::collections::VecDeque;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, Result};

/// Bytes of a block.
pub(super) const BLOCK: usize = 4 * 1024 * 1024;
/// Blocks that are hashed beside a transfer at once. One processor core hashes about as fast as a fast network brings
/// bytes, so that one alone would hold the transfer up.
const AT_ONCE: usize = 4;

/// A content hash while the bytes come.
pub(super) struct ContentHash {
    whole: Context,
    /// The block that is being filled.
    block: Vec<Bytes>,
    filled: usize,
    hashing: VecDeque<JoinHandle<Digest>>,
}

impl Default for ContentHash {
    fn default() -> Self {
        Self { whole: Context::new(&SHA256), block: Vec::new(), filled: 0, hashing: VecDeque::new() }
    }
}

impl ContentHash {
    /// Takes the next bytes; waits when hashing lags behind.
    pub(super) async fn update(&mut self, mut piece: Bytes) -> Result<()> {
        while !piece.is_empty() {
            let now = piece.split_to(piece.len().min(BLOCK - self.filled));
            self.filled += now.len();
            self.block.push(now);
            if self.filled == BLOCK {
                let block = std::mem::take(&mut self.block);
                self.filled = 0;
                self.hashing.push_back(spawn_blocking(move || digest_of(&block)));
                if self.hashing.len() > AT_ONCE {
                    self.take_first().await?;
                }
            }
        }
        Ok(())
    }

    /// Takes a part that begins where a block begins.
    pub(super) fn part(&mut self, part: &HashedPart) {
        part.blocks.iter().for_each(|block| self.whole.update(block.as_ref()));
    }

    /// The hash of all that came, in lower-case hexadecimal digits.
    pub(super) async fn finish(mut self) -> Result<String> {
        while !self.hashing.is_empty() {
            self.take_first().await?;
        }
        if self.filled > 0 {
            self.whole.update(digest_of(&self.block).as_ref());
        }
        Ok(hexadecimal(self.whole.finish().as_ref()))
    }

    async fn take_first(&mut self) -> Result<()> {
        if let Some(first) = self.hashing.pop_front() {
            self.whole.update(first.await.map_err(stopped)?.as_ref());
        }
        Ok(())
    }
}

/// Bytes with the hashes of their blocks.
pub(super) struct HashedPart {
    pub(super) bytes: Bytes,
    blocks: Vec<Digest>,
}

impl HashedPart {
    /// Hashes bytes that begin where a block begins, their blocks side by side.
    pub(super) async fn of(bytes: Bytes) -> Result<Self> {
        let begins = (0..bytes.len()).step_by(BLOCK);
        let hashing: Vec<_> = begins
            .map(|at| {
                let block = bytes.slice(at..bytes.len().min(at + BLOCK));
                spawn_blocking(move || digest(&SHA256, &block))
            })
            .collect();
        let blocks = futures::future::try_join_all(hashing).await.map_err(stopped)?;
        Ok(Self { bytes, blocks })
    }

    /// The content hash of these bytes alone.
    pub(super) fn hash(&self) -> String {
        let mut own = Context::new(&SHA256);
        self.blocks.iter().for_each(|block| own.update(block.as_ref()));
        hexadecimal(own.finish().as_ref())
    }
}

fn digest_of(pieces: &[Bytes]) -> Digest {
    let mut block = Context::new(&SHA256);
    pieces.iter().for_each(|piece| block.update(piece));
    block.finish()
}

fn stopped(error: tokio::task::JoinError) -> Error {
    Error::bug(format!("hashing a block of content stopped: {error}"))
}

/// The content hash of bytes that are all there.
pub(super) fn of(bytes: &[u8]) -> String {
    let mut whole = Context::new(&SHA256);
    bytes.chunks(BLOCK).for_each(|block| whole.update(digest(&SHA256, block).as_ref()));
    hexadecimal(whole.finish().as_ref())
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

    #[tokio::test]
    async fn pieces_and_parts_do_not_change_the_hash() {
        let bytes: Bytes = (0..BLOCK * 7 + 77).map(|at| (at % 251) as u8).collect();
        let whole = of(&bytes);
        let mut pieces = ContentHash::default();
        for piece in bytes.chunks(1_000_003) {
            pieces.update(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert_eq!(pieces.finish().await.unwrap(), whole);
        let mut parts = ContentHash::default();
        for part in [bytes.slice(..BLOCK), bytes.slice(BLOCK..BLOCK * 6), bytes.slice(BLOCK * 6..)] {
            let part = HashedPart::of(part).await.unwrap();
            assert_eq!(part.hash(), of(&part.bytes));
            parts.part(&part);
        }
        assert_eq!(parts.finish().await.unwrap(), whole);
    }
}
