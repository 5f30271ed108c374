use std::io;
use std::path::PathBuf;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is larger than a database can be.
    #[error("it unpacks to more than {} MB", crate::MAX_BYTES >> 20)]
    TooLarge,
    /// It has more ranges than a database can have.
    #[error("it has more than {} ranges", crate::MAX_RANGES)]
    TooMany,
    /// It is packed, and the packing is damaged.
    #[error("it cannot be unpacked")]
    Packed(#[source] io::Error),
    /// MaxMind's format, damaged or of a version that is not known.
    #[error("it is not a sound MaxMind database")]
    MaxMind(#[from] maxminddb::MaxMindDbError),
    /// A text that is not a list of ranges.
    #[error("line {line} is no range with a country or an autonomous system: `{text}`")]
    NoRange {
        /// The first such line.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// A file of a set has a line that is none of its members.
    #[error("line {line} is no address, network or range: `{text}`")]
    NoAddress {
        /// The line.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// Nothing is in it.
    #[error("it holds nothing about any address")]
    Empty,
}
