//! What is in a file, and its content hash ("Content hash", Dropbox for HTTP Developers).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256, digest};
use bytes::{Bytes, BytesMut};

use crate::emulator::chance::mix;

/// Blocks that the content hash is made of.
const BLOCK: usize = 4 * 1024 * 1024;

/// Hashes of what was made that are kept: each page of a listing tells those of its files.
const HASHES_MAX: usize = 20_000;
static HASHES: LazyLock<Mutex<HashMap<(u64, u64), String>>> = LazyLock::new(Mutex::default);

/// The bytes of one revision of a file.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Letters that follow from a number.
    Made { from: u64, size: u64 },
    /// What was uploaded, in the pieces in which it came.
    Given { pieces: Arc<Vec<Bytes>>, size: u64, hash: Arc<str> },
}

impl Content {
    pub(super) fn given(pieces: Vec<Bytes>) -> Self {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        let hash = content_hash(pieces.iter().map(|piece| &piece[..])).into();
        Self::Given { pieces: Arc::new(pieces), size, hash }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Made { size, .. } | Self::Given { size, .. } => *size,
        }
    }

    pub(super) fn hash(&self) -> String {
        match self {
            Self::Made { from, size } => {
                let mut known = HASHES.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= HASHES_MAX {
                    known.clear();
                }
                let made = || content_hash(std::iter::once(&self.bytes()[..]));
                known.entry((*from, *size)).or_insert_with(made).clone()
            }
            Self::Given { hash, .. } => hash.to_string(),
        }
    }

    pub(super) fn bytes(&self) -> Bytes {
        match self {
            Self::Made { from, size } => made(*from, *size),
            Self::Given { pieces, size, .. } => match pieces.as_slice() {
                [] => Bytes::new(),
                [only] => only.clone(),
                several => {
                    let mut all = BytesMut::with_capacity(usize::try_from(*size).unwrap_or_default());
                    several.iter().for_each(|piece| all.extend_from_slice(piece));
                    all.freeze()
                }
            },
        }
    }
}

/// Lines of 64 letters; the last may be shorter.
fn made(from: u64, size: u64) -> Bytes {
    let size = usize::try_from(size).unwrap_or_default();
    let mut out = Vec::with_capacity(size + 64);
    let mut turn = from;
    while out.len() < size {
        turn = mix(turn);
        let line = format!("{turn:016x}");
        for _ in 0..3 {
            out.extend_from_slice(line.as_bytes());
        }
        out.extend_from_slice(&line.as_bytes()[..15]);
        out.push(b'\n');
    }
    out.truncate(size);
    out.into()
}

/// The SHA-256 of the SHA-256s of all blocks of 4 MiB, in lower-case hexadecimal digits.
pub(super) fn content_hash<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut whole = Context::new(&SHA256);
    let mut block = Context::new(&SHA256);
    let mut filled = 0;
    for mut piece in pieces {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(piece.len().min(BLOCK - filled));
            block.update(now);
            filled += now.len();
            piece = rest;
            if filled == BLOCK {
                whole.update(std::mem::replace(&mut block, Context::new(&SHA256)).finish().as_ref());
                filled = 0;
            }
        }
    }
    if filled > 0 {
        whole.update(block.finish().as_ref());
    }
    hexadecimal(whole.finish().as_ref())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A short number of a text, for tokens and addresses that must not be guessed from their neighbours.
pub(super) fn fingerprint(text: &str) -> String {
    hexadecimal(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_hashes_are_those_of_the_documentation() {
        let of = |bytes: &'static [u8]| content_hash(std::iter::once(bytes));
        assert_eq!(of(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(of(b"abc"), "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358");
    }

    #[test]
    fn pieces_do_not_change_the_hash() {
        let all = made(7, 9 * 1024 * 1024);
        let whole = content_hash(std::iter::once(&all[..]));
        assert_eq!(content_hash(all.chunks(1_000_003)), whole);
        assert_eq!(Content::given(vec![all.slice(..5), all.slice(5..)]).hash(), whole);
    }
}
