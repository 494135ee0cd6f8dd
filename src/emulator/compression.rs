//! gzip: honest, cut, and as a bomb.

use std::io::Write as _;

use bytes::Bytes;
use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc, FlushCompress};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// Bodies under this size are not worth compressing.
const MIN_SIZE: usize = 1024;

/// Whether the client takes gzip (RFC 9110 section 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default();
            let refused = parts.any(|parameter| {
                parameter.strip_prefix("q=").is_some_and(|weight| weight.parse::<f32>() == Ok(0.0))
            });
            (coding.eq_ignore_ascii_case("gzip") || coding == "*") && !refused
        })
    })
}

/// Compresses a body that is worth it.
pub(crate) fn gzip(body: &Bytes) -> Option<Bytes> {
    if body.len() < MIN_SIZE { None } else { gzip_always(body) }
}

/// Compresses any body.
pub(crate) fn gzip_always(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// The parts of a gzip stream of about 1 MB that inflates to 1 GiB of zeros: a head, a segment to repeat
/// [`BOMB_SEGMENTS`] times, a tail.
#[derive(Debug, Clone)]
pub(crate) struct Bomb {
    pub(crate) head: Bytes,
    pub(crate) segment: Bytes,
    pub(crate) tail: Bytes,
}

/// How often the segment of a [`Bomb`] is repeated: 1,024 times 1 MiB.
pub(crate) const BOMB_SEGMENTS: u32 = 1024;
const BOMB_SEGMENT_SIZE: usize = 1024 * 1024;

/// Makes the parts without ever holding the inflated data: after a full flush a deflate segment depends on
/// nothing before it (RFC 1951), so one compressed megabyte can be repeated; the checksum of the whole comes
/// from combining the checksums of the parts.
pub(crate) fn bomb() -> Option<Bomb> {
    let zeros = vec![0_u8; BOMB_SEGMENT_SIZE];
    let mut compress = flate2::Compress::new(Compression::best(), false);
    let mut segment = Vec::with_capacity(16 * 1024);
    compress.compress_vec(&zeros, &mut segment, FlushCompress::Full).ok()?;
    if compress.total_in() != BOMB_SEGMENT_SIZE as u64 {
        return None;
    }
    let mut one = Crc::new();
    one.update(&zeros);
    let mut all = Crc::new();
    for _ in 0..BOMB_SEGMENTS {
        all.combine(&one);
    }
    let mut tail = DeflateEncoder::new(Vec::new(), Compression::fast()).finish().ok()?;
    tail.extend_from_slice(&all.sum().to_le_bytes());
    // ISIZE, the length modulo 2^32 (RFC 1952).
    tail.extend_from_slice(&all.amount().to_le_bytes());
    Some(Bomb {
        head: Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]),
        segment: Bytes::from(segment),
        tail: Bytes::from(tail),
    })
}
