//! Packed files: recognised by their first bytes, unpacked within limits.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that the first look needs.
const MAGIC: usize = 6;
/// Bytes that are read from a file at once.
const BUFFER: usize = 128 << 10;
/// KiB that unpacking xz may take; `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 136 << 10;
/// The logarithm of the window that zstd may ask for, as its own tool allows without being asked.
const ZSTD_WINDOW: u32 = 27;

/// What unpacking may give at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Unpacked bytes per packed byte, where a file unpacks to more than [`Limits::FLOOR`].
    pub ratio: u64,
    /// Unpacked bytes of one file.
    pub bytes: u64,
}

impl Limits {
    /// Bytes under which the ratio says nothing: a small file of equal lines packs as well as a bomb.
    pub const FLOOR: u64 = 256 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { ratio: 1000, bytes: 1 << 40 }
    }
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
}

impl Packing {
    /// How a file that begins like this is packed.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // a frame, or one of those that are skipped
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31 | 0x17, ..] => Self::Bzip2,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        })
    }
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

type Raw<R> = BufReader<Counted<Chain<Cursor<Vec<u8>>, R>>>;

/// The content of a file, however it is packed.
pub struct Unpacked {
    reader: Box<dyn Read + Send>,
    packing: Packing,
    packed: Arc<AtomicU64>,
    unpacked: u64,
    limits: Limits,
}

impl fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacked").field("packing", &self.packing).field("unpacked", &self.unpacked).finish()
    }
}

impl Unpacked {
    /// The content of what is read from `input`.
    ///
    /// # Errors
    /// If the first bytes cannot be read, or are not what they seem.
    pub fn new(mut input: impl Read + Send + 'static, limits: Limits) -> io::Result<Self> {
        let mut head = Vec::with_capacity(MAGIC);
        (&mut input).take(MAGIC as u64).read_to_end(&mut head)?;
        let packing = Packing::of(&head);
        let packed = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: Cursor::new(head).chain(input), bytes: Arc::clone(&packed) };
        let reader = unpacker(packing, BufReader::with_capacity(BUFFER, counted))?;
        Ok(Self { reader, packing, packed, unpacked: 0, limits })
    }

    /// How it is packed.
    #[must_use]
    pub const fn packing(&self) -> Packing {
        self.packing
    }

    /// Bytes read of the packed file.
    #[must_use]
    pub fn packed(&self) -> u64 {
        self.packed.load(Ordering::Relaxed)
    }

    /// Says why no more may be unpacked.
    fn check(&self) -> io::Result<()> {
        let Limits { ratio, bytes } = self.limits;
        if self.unpacked > bytes {
            return Err(io::Error::other(format!("it unpacks to more than {bytes} bytes")));
        }
        let packed = self.packed().max(1);
        if self.packing != Packing::None && self.unpacked > Limits::FLOOR && self.unpacked / packed > ratio {
            return Err(io::Error::other(format!(
                "it unpacks to more than {ratio} times its size: is it meant to fill a disk?"
            )));
        }
        Ok(())
    }
}

fn unpacker<R: Read + Send + 'static>(packing: Packing, raw: Raw<R>) -> io::Result<Box<dyn Read + Send>> {
    Ok(match packing {
        Packing::None => Box::new(raw),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(raw, true, XZ_MEMORY)),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        Packing::Bzip2 => Box::new(Bzip2(Some(raw), None)),
    })
}

/// bzip2 files in which several streams follow each other, as `pbzip2` and `cat` make them.
struct Bzip2<R: BufRead>(Option<R>, Option<bzip2::bufread::MultiBzDecoder<R>>);

impl<R: BufRead> Read for Bzip2<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(raw) = self.0.take() {
            self.1 = Some(bzip2::bufread::MultiBzDecoder::new(raw));
        }
        self.1.as_mut().map_or(Ok(0), |decoder| decoder.read(buffer))
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let read = self.reader.read(buffer)?;
        self.unpacked += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write as _;

    pub(crate) fn packed(packing: Packing, content: &[u8]) -> Vec<u8> {
        match packing {
            Packing::None => content.to_vec(),
            Packing::Gzip => {
                let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                w.write_all(content).unwrap();
                w.finish().unwrap()
            }
            Packing::Xz => {
                // the crate's encoder is not in the tree
                let mut xz = std::process::Command::new("xz")
                    .args(["-1", "-c"])
                    .stdin(std::process::Stdio::piped())
                    .stdout(std::process::Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut input = xz.stdin.take().unwrap();
                let content = content.to_vec();
                let writer = std::thread::spawn(move || input.write_all(&content).unwrap());
                let output = xz.wait_with_output().unwrap();
                writer.join().unwrap();
                output.stdout
            }
            Packing::Zstd => zstd::encode_all(content, 1).unwrap(),
            Packing::Bzip2 => {
                let mut w = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                w.write_all(content).unwrap();
                w.finish().unwrap()
            }
        }
    }

    pub(crate) const ALL: [Packing; 5] =
        [Packing::None, Packing::Gzip, Packing::Xz, Packing::Zstd, Packing::Bzip2];

    fn unpack(bytes: Vec<u8>, limits: Limits) -> (Packing, Vec<u8>, Option<String>) {
        let mut unpacked = match Unpacked::new(Cursor::new(bytes), limits) {
            Ok(unpacked) => unpacked,
            Err(e) => return (Packing::None, Vec::new(), Some(e.to_string())),
        };
        let mut content = Vec::new();
        let error = unpacked.read_to_end(&mut content).err().map(|e| e.to_string());
        (unpacked.packing(), content, error)
    }

    fn content() -> Vec<u8> {
        (0..20_000_u32)
            .flat_map(|n| format!("line {} of some {}\n", n, n.wrapping_mul(2_654_435_761)).into_bytes())
            .collect()
    }

    #[test]
    fn every_packing_is_known_by_its_bytes_and_members_follow_each_other() {
        let content = content();
        for packing in ALL {
            let one = packed(packing, &content);
            assert_eq!(Packing::of(&one), packing);
            let (is, unpacked, error) = unpack([one.clone(), one].concat(), Limits::default());
            assert_eq!((is, error), (packing, None));
            assert!(unpacked == [&content[..], &content[..]].concat(), "{packing}");
        }
        // nothing, packed
        for packing in ALL {
            assert_eq!(unpack(packed(packing, b""), Limits::default()).1, b"", "{packing}");
        }
    }

    #[test]
    fn of_a_file_that_ends_early_comes_what_is_there() {
        let content = content();
        for packing in &ALL[1..] {
            let whole = packed(*packing, &content);
            let (_, unpacked, error) = unpack(whole[..whole.len() / 2].to_vec(), Limits::default());
            assert!(error.is_some() && content.starts_with(&unpacked), "{packing}");
            if matches!(packing, Packing::Gzip | Packing::Xz) {
                assert!(unpacked.len() > 64 << 10, "{packing} {}", unpacked.len());
            }
            // no bytes of it make a panic
            for at in (0..whole.len()).step_by(977) {
                let mut broken = whole.clone();
                broken[at] ^= 0x55;
                drop(unpack(broken, Limits::default()));
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_by_its_ratio_and_anything_by_its_size() {
        let limits = Limits { ratio: 500, bytes: 1 << 40 };
        let bomb = packed(Packing::Gzip, &vec![b'a'; (Limits::FLOOR + (16 << 20)) as usize]);
        let (_, content, error) = unpack(bomb, limits);
        assert!(error.unwrap().contains("more than 500 times"));
        assert!((content.len() as u64) < Limits::FLOOR + (2 << 20));
        let (_, content, error) = unpack(vec![b'a'; 5 << 20], Limits { bytes: 1 << 20, ..limits });
        assert!(error.unwrap().contains("more than 1048576 bytes"));
        assert!(content.len() < 2 << 20);
    }
}
