//! One buffer of a column as a zstd frame.
//!
//! Most bytes of a column are the same in every row: the zeros above a small number, the network of an address,
//! a whole column that says `eth0`. A general search for matches pays for each of them. Where the rows differ
//! only in some bytes that stand together, the frame is written here, in the time of a copy:
//!
//! - all rows equal: one repeated byte, or one long match with the row before;
//! - the differing bytes look random (neighbours differ in the first and the last of them): per row these bytes
//!   as they are, and a match with the row before for the rest. All rows have the same lengths and the same
//!   offset, which zstd writes once per block (`RLE_Mode`), so that a match takes no bit at all.
//!
//! Everything else is left to the zstd library. Whatever comes out is an ordinary frame (RFC 8878) with its size
//! in the header, for any zstd there is.

use std::io;
use zstd::bulk::Compressor;

/// Of the library, for what is not packed here (docs/adr/0002).
const LEVEL: i32 = 1;
/// Bytes that a block can unpack to.
const BLOCK: usize = 128 << 10;
/// Sequences that a block can hold with a count of two bytes.
const SEQUENCES: usize = 0x7eff;
/// Fewer rows are not worth a closer look.
const FEW_ROWS: usize = 32;
/// Pairs of neighbours that are looked at.
const PAIRS: usize = 64;
/// The shortest match.
const MIN_MATCH: usize = 3;

const RAW: u32 = 0;
const RLE: u32 = 1;
const COMPRESSED: u32 = 2;

/// Packs buffers; keeps the library's tables from one to the next.
pub(crate) struct Packer {
    zstd: Compressor<'static>,
    scratch: Vec<u8>,
}

/// What the rows of a buffer have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// All rows are equal.
    Constant,
    /// The rows differ in `len` bytes from `at` on, and there as random numbers do.
    Random {
        at: usize,
        len: usize,
    },
    Other,
}

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { zstd: Compressor::new(LEVEL)?, scratch: Vec::new() })
    }

    /// Appends a buffer of rows of `width` bytes as Arrow's IPC format has it: its size and a frame, or -1 and
    /// the bytes as they are.
    pub(crate) fn pack(&mut self, bytes: &[u8], width: usize, out: &mut Vec<u8>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let start = out.len();
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        match shape(bytes, width) {
            Shape::Constant => constant(bytes, width, out),
            Shape::Random { at, len } => random(bytes, width, at, len, out),
            Shape::Other => {
                self.scratch.clear();
                self.scratch.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
                self.zstd.compress_to_buffer(bytes, &mut self.scratch)?;
                out.extend_from_slice(&self.scratch);
            }
        }
        if out.len() - start >= bytes.len() + 8 {
            out.truncate(start);
            out.extend_from_slice(&(-1_i64).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        Ok(())
    }
}

fn shape(bytes: &[u8], width: usize) -> Shape {
    let differing = match width {
        1 => differing::<1>(bytes),
        2 => differing::<2>(bytes),
        4 => differing::<4>(bytes),
        8 => differing::<8>(bytes),
        16 => differing::<16>(bytes),
        _ => None,
    };
    let Some(differing) = differing else { return Shape::Other };
    let Some(at) = differing.iter().position(|d| *d != 0) else { return Shape::Constant };
    let len = differing.iter().rposition(|d| *d != 0).map_or(0, |last| last + 1 - at);
    let rows = bytes.len() / width;
    if len + MIN_MATCH > width || rows < FEW_ROWS {
        return Shape::Other;
    }
    // What is sorted or repeats has a first or a last byte that seldom changes; the library packs it smaller.
    let step = (rows / PAIRS).max(1);
    let (mut pairs, mut first, mut last) = (0, 0, 0);
    for pair in bytes.windows(2 * width).step_by(step * width) {
        let (a, b) = (&pair[at..at + len], &pair[width + at..width + at + len]);
        pairs += 1;
        first += usize::from(a[0] != b[0]);
        last += usize::from(a[len - 1] != b[len - 1]);
    }
    if first * 2 > pairs && last * 2 > pairs { Shape::Random { at, len } } else { Shape::Other }
}

/// The bits in which any row differs from the first, for buffers of whole rows, at least one; 64 bytes at a time.
fn differing<const WIDTH: usize>(bytes: &[u8]) -> Option<[u8; 16]> {
    const LANES: usize = 64;
    let (rows, []) = bytes.as_chunks::<WIDTH>() else { return None };
    let first = rows.first()?;
    let pattern: [u8; LANES] = std::array::from_fn(|i| first[i % WIDTH]);
    let mut lanes = [0; LANES];
    let (blocks, rest) = bytes.as_chunks::<LANES>();
    for block in blocks {
        for ((lane, byte), pattern) in lanes.iter_mut().zip(block).zip(&pattern) {
            *lane |= byte ^ pattern;
        }
    }
    for ((lane, byte), pattern) in lanes.iter_mut().zip(rest).zip(&pattern) {
        *lane |= byte ^ pattern;
    }
    let mut differing = [0; 16];
    for (i, lane) in lanes.iter().enumerate() {
        differing[i % WIDTH] |= lane;
    }
    Some(differing)
}

/// A frame whose rows are all equal.
fn constant(bytes: &[u8], width: usize, out: &mut Vec<u8>) {
    frame_header(bytes.len(), out);
    let row = &bytes[..width];
    if row.iter().all(|b| *b == row[0]) {
        let mut left = bytes.len();
        while left > 0 {
            let size = left.min(BLOCK);
            left -= size;
            block_header(RLE, size, left == 0, out);
            out.push(row[0]);
        }
        return;
    }
    let mut left = bytes.len() - width;
    raw_block(row, left == 0, out);
    while left > 0 {
        let size = left.min(BLOCK);
        left -= size;
        if size < MIN_MATCH {
            raw_block(&bytes[bytes.len() - size..], true, out);
        } else {
            compressed_block(left == 0, out, |out| {
                literals_header(0, out);
                one_sequence(0, size, width, out);
            });
        }
    }
}

/// A frame whose rows differ in `len` bytes from `at` on. The match of a row reaches to those bytes of the next.
fn random(bytes: &[u8], width: usize, at: usize, len: usize, out: &mut Vec<u8>) {
    let matched = width - len;
    frame_header(bytes.len(), out);
    let (first, rest) = bytes.split_at(width + at);
    raw_block(first, false, out);
    // The first match names the offset; all others repeat it, which takes a literal before them, as they have.
    let (second, rest) = rest.split_at(width);
    compressed_block(false, out, |out| {
        literals_header(len, out);
        out.extend_from_slice(&second[..len]);
        one_sequence(len, matched, width, out);
    });
    // of the last row nothing follows that a match could reach to
    let (middle, last) = rest.split_at(rest.len() - (width - at));
    for rows in middle.chunks(width * (BLOCK / width).min(SEQUENCES)) {
        let sequences = rows.len() / width;
        compressed_block(false, out, |out| {
            literals_header(sequences * len, out);
            heads(rows, width, len, out);
            if sequences < 128 {
                out.push(sequences as u8);
            } else {
                out.extend_from_slice(&[(sequences >> 8) as u8 + 128, sequences as u8]);
            }
            // the same length of literals, offset and length of match in all; no bits for any of them
            out.extend_from_slice(&[ALL_SAME, len as u8, 0, (matched - MIN_MATCH) as u8, 1]);
        });
    }
    raw_block(last, true, out);
}

/// The first `len` bytes of each row.
fn heads(rows: &[u8], width: usize, len: usize, out: &mut Vec<u8>) {
    fn fixed<const LEN: usize>(rows: &[u8], width: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + rows.len() / width * LEN, 0);
        let (heads, _) = out[start..].as_chunks_mut::<LEN>();
        for (head, row) in heads.iter_mut().zip(rows.chunks_exact(width)) {
            if let Some(bytes) = row.first_chunk() {
                *head = *bytes;
            }
        }
    }
    match len {
        1 => fixed::<1>(rows, width, out),
        2 => fixed::<2>(rows, width, out),
        3 => fixed::<3>(rows, width, out),
        4 => fixed::<4>(rows, width, out),
        _ => rows.chunks_exact(width).for_each(|row| out.extend_from_slice(&row[..len])),
    }
}

/// In a block's sequences: each of the three codes is given once, for all.
const ALL_SAME: u8 = 0b0101_0100;

/// The sequences of a block that has one: `literals` bytes, then `length` bytes from `offset` before.
fn one_sequence(literals: usize, length: usize, offset: usize, out: &mut Vec<u8>) {
    let (code, bits, extra) = match_length(length);
    // three values are kept for repeated offsets
    let offset = offset as u32 + 3;
    let offset_bits = offset.ilog2();
    out.extend_from_slice(&[1, ALL_SAME, literals as u8, offset_bits as u8, code]);
    // read from the end: a mark, the offset, the length
    let stream = 1_u64 << (bits + offset_bits) | u64::from(offset - (1 << offset_bits)) << bits | extra;
    let bytes = (bits + offset_bits + 1).div_ceil(8) as usize;
    out.extend_from_slice(&stream.to_le_bytes()[..bytes]);
}

/// The code of a match length of 3 to 131,074, and how many more bits it has, and which.
fn match_length(length: usize) -> (u8, u32, u64) {
    const CODES: [(usize, u32); 21] = [
        (35, 1),
        (37, 1),
        (39, 1),
        (41, 1),
        (43, 2),
        (47, 2),
        (51, 3),
        (59, 3),
        (67, 4),
        (83, 4),
        (99, 5),
        (131, 7),
        (259, 8),
        (515, 9),
        (1027, 10),
        (2051, 11),
        (4099, 12),
        (8195, 13),
        (16387, 14),
        (32771, 15),
        (65539, 16),
    ];
    match CODES.iter().rposition(|(base, _)| *base <= length) {
        Some(i) => (32 + i as u8, CODES[i].1, (length - CODES[i].0) as u64),
        None => ((length - MIN_MATCH) as u8, 0, 0),
    }
}

/// One segment, no checksum, 4 bytes of size.
fn frame_header(size: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000]);
    out.extend_from_slice(&(size as u32).to_le_bytes());
}

fn block_header(kind: u32, size: usize, last: bool, out: &mut Vec<u8>) {
    let header = u32::from(last) | kind << 1 | (size as u32) << 3;
    out.extend_from_slice(&header.to_le_bytes()[..3]);
}

fn raw_block(bytes: &[u8], last: bool, out: &mut Vec<u8>) {
    block_header(RAW, bytes.len(), last, out);
    out.extend_from_slice(bytes);
}

fn compressed_block(last: bool, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    block_header(COMPRESSED, 0, last, out);
    content(out);
    let header = u32::from(last) | COMPRESSED << 1 | ((out.len() - start - 3) as u32) << 3;
    out[start..start + 3].copy_from_slice(&header.to_le_bytes()[..3]);
}

/// Literals as they are, with their number in 20 bits.
fn literals_header(size: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(0b1100 | (size as u32) << 4).to_le_bytes()[..3]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(bytes: &[u8], width: usize) -> Vec<u8> {
        let mut out = vec![0xaa; 5];
        Packer::new().unwrap().pack(bytes, width, &mut out).unwrap();
        out.split_off(5)
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let Some((size, frame)) = packed.split_first_chunk::<8>() else { return Vec::new() };
        match i64::from_le_bytes(*size) {
            -1 => frame.to_vec(),
            size => zstd::bulk::decompress(frame, usize::try_from(size).unwrap()).unwrap(),
        }
    }

    /// Rows of `width` bytes, random from `at` on in `len` bytes.
    fn rows(rows: usize, width: usize, at: usize, len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut out = Vec::new();
        for _ in 0..rows {
            for i in 0..width {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                out.push(if (at..at + len).contains(&i) { (state >> 24) as u8 } else { 0x50 + i as u8 });
            }
        }
        out
    }

    #[test]
    fn random_bytes_cost_what_they_are_and_the_rest_nothing() {
        for (width, at, len) in
            [(16, 12, 4), (16, 13, 3), (16, 0, 13), (8, 0, 2), (8, 0, 4), (4, 0, 1), (4, 3, 1)]
        {
            for n in [32, 33, 130, 5000, 40_000] {
                let bytes = rows(n, width, at, len);
                assert_eq!(shape(&bytes, width), Shape::Random { at, len });
                let packed = packed(&bytes, width);
                assert_eq!(unpacked(&packed), bytes, "{n} rows of {width}, {len} at {at}");
                assert!(
                    packed.len() < n * len + 80 + n * width / BLOCK * 16,
                    "{} of {}",
                    packed.len(),
                    n * len
                );
            }
        }
    }

    #[test]
    fn equal_rows_cost_nothing() {
        for width in [1, 2, 4, 8, 16] {
            for n in [1, 2, 3, 40, 8192, 65_536, 65_537, 65_538, 200_000] {
                for bytes in [rows(n, width, 0, 0), vec![7; n * width]] {
                    let packed = packed(&bytes, width);
                    assert_eq!(unpacked(&packed), bytes, "{n} rows of {width}");
                    assert!(packed.len() < 60 + n * width / BLOCK * 16, "{}", packed.len());
                }
            }
        }
    }

    #[test]
    fn sorted_and_repeating_numbers_are_left_to_the_library() {
        let sorted: Vec<u8> = (0..5000_u64).flat_map(|i| ((1 << 50) + i * 9).to_le_bytes()).collect();
        let runs: Vec<u8> = rows(100, 16, 12, 4).chunks(16).flat_map(|row| row.repeat(50)).collect();
        for (bytes, width) in [(sorted, 8), (runs, 16)] {
            assert_eq!(shape(&bytes, width), Shape::Other);
            assert_eq!(unpacked(&packed(&bytes, width)), bytes);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_packed_comes_back(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            period in 1..40_usize,
            copies in 1..60_usize,
            width in proptest::sample::select(vec![1_usize, 2, 4, 8, 12, 16]),
        ) {
            let period = period.min(bytes.len());
            let bytes = [&bytes[..], &bytes[..period].repeat(copies)].concat();
            prop_assert_eq!(unpacked(&packed(&bytes, width)), bytes);
        }

        #[test]
        fn rows_with_anything_in_some_bytes_come_back(
            n in 0..9000_usize,
            width in proptest::sample::select(vec![1_usize, 2, 4, 8, 16]),
            at in 0..16_usize,
            len in 0..16_usize,
            cut in 0..3_usize,
        ) {
            let at = at.min(width - 1);
            let mut bytes = rows(n, width, at, len.min(width - at));
            bytes.truncate(bytes.len().saturating_sub(cut));
            prop_assert_eq!(unpacked(&packed(&bytes, width)), bytes);
        }
    }
}
