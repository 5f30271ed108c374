//! The hint file `acked`: up to where the last life was acknowledged.
//!
//! It saves sending the acknowledged part of one segment again after a restart, and nothing depends on it: it is
//! written without a sync, and one that is missing, torn, old or another spool's is as good as none, because an
//! (epoch, sequence number) names one record for ever (SP-3).
//! Layout, little endian: magic (8), epoch (8), sequence number (8), zeros (4), CRC32C of the 28 bytes before (4).

use crate::fs::{Access, Fs, FsFile};
use bartizan_model::{Epoch, Seq};
use std::path::Path;

pub(crate) const HINT_NAME: &str = "acked";
const MAGIC: [u8; 8] = *b"\xB5ACKED1\n";

/// The hint file, open once it is used.
#[derive(Debug)]
pub(crate) struct Hint<H> {
    file: Option<H>,
}

impl<H: FsFile> Hint<H> {
    pub(crate) const fn new() -> Self {
        Self { file: None }
    }

    /// What the file says, if it says anything.
    pub(crate) fn read<F: Fs<File = H>>(fs: &F, dir: &Path) -> Option<(Epoch, Seq)> {
        let file = fs.open(&dir.join(HINT_NAME), Access::Read).ok()?;
        let mut bytes = [0; 32];
        let n = file.read_at(&mut bytes, 0).ok()?;
        (n == bytes.len()).then(|| decode(&bytes))?
    }

    /// Writes it, if the disk lets us.
    pub(crate) fn write<F: Fs<File = H>>(&mut self, fs: &F, dir: &Path, epoch: Epoch, seq: Seq) {
        let path = dir.join(HINT_NAME);
        if self.file.is_none() {
            self.file = fs.open(&path, Access::Write).or_else(|_| fs.create(&path)).ok();
        }
        if let Some(file) = &self.file
            && file.write_at(&encode(epoch, seq), 0).is_err()
        {
            self.file = None;
        }
    }
}

fn encode(epoch: Epoch, seq: Seq) -> [u8; 32] {
    let mut out = [0; 32];
    out[..8].copy_from_slice(&MAGIC);
    out[8..16].copy_from_slice(&epoch.0.to_le_bytes());
    out[16..24].copy_from_slice(&seq.0.to_le_bytes());
    let crc = crc32c::crc32c(&out[..28]);
    out[28..].copy_from_slice(&crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8; 32]) -> Option<(Epoch, Seq)> {
    let word = |at: usize| Some(u64::from_le_bytes(*bytes[at..].first_chunk()?));
    let (epoch, seq) = (Epoch(word(8)?), Seq(word(16)?));
    (*bytes == encode(epoch, seq)).then_some((epoch, seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_with_any_bit_wrong_is_none() {
        let whole = encode(Epoch(3), Seq(9));
        assert_eq!(decode(&whole), Some((Epoch(3), Seq(9))));
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes), None, "bit {bit}");
        }
    }
}
