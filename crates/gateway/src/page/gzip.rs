//! A gzip file made of pieces that were compressed apart: most of the page is compressed once, at
//! the start, and only what differs between two clients is compressed for each answer.
//!
//! Each piece ends at a byte boundary by a sync flush (RFC 1951, section 3.2.4), so pieces can be
//! put behind each other. The checksum of the whole is combined from theirs.

use flate2::{Compress, Compression, Crc, FlushCompress};

/// As RFC 1952 has it: deflate, no name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
/// The end of the deflate stream: a final block without content.
const END: [u8; 2] = [3, 0];

/// A compressed piece.
#[derive(Debug)]
pub(super) struct Piece {
    deflated: Vec<u8>,
    crc: Crc,
}

impl Piece {
    /// Compresses `text` as well as it goes: for what is kept.
    pub fn kept(text: &str) -> Self {
        Self::new(text, Compression::best())
    }

    /// Compresses `text` for one answer.
    pub fn once(text: &str) -> Self {
        Self::new(text, Compression::new(5))
    }

    fn new(text: &str, level: Compression) -> Self {
        let mut compress = Compress::new(level, false);
        // Room for text that does not compress at all, so that one call takes all of it.
        let mut deflated = Vec::with_capacity(text.len() + text.len() / 16 + 128);
        let done = compress.compress_vec(text.as_bytes(), &mut deflated, FlushCompress::Sync);
        debug_assert!(done.is_ok() && compress.total_in() == text.len() as u64);
        deflated.shrink_to_fit();
        let mut crc = Crc::new();
        crc.update(text.as_bytes());
        Self { deflated, crc }
    }
}

/// The gzip file of the pieces' texts, one after the other.
pub(super) fn join(pieces: &[&Piece]) -> Vec<u8> {
    let size: usize = pieces.iter().map(|piece| piece.deflated.len()).sum();
    let mut file = Vec::with_capacity(size + 20);
    file.extend_from_slice(&HEADER);
    let mut crc = Crc::new();
    for piece in pieces {
        file.extend_from_slice(&piece.deflated);
        crc.combine(&piece.crc);
    }
    file.extend_from_slice(&END);
    file.extend_from_slice(&crc.sum().to_le_bytes());
    file.extend_from_slice(&crc.amount().to_le_bytes());
    file
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    fn unzip(file: &[u8]) -> String {
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn pieces_unpack_to_their_texts_in_order() {
        let noise: String =
            (0..200_000u32).map(|n| char::from((n * 7919 % 94 + 33) as u8)).collect();
        for texts in [["", "", ""], ["a", "", "b"], ["<p>", &noise, "ü€"], [&noise, "x", &noise]]
        {
            let [a, c] = [texts[0], texts[2]].map(Piece::kept);
            let b = Piece::once(texts[1]);
            assert_eq!(unzip(&join(&[&a, &b, &c])), texts.concat());
        }
    }
}
