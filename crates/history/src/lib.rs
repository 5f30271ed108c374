//! Old logs, captures and exports, read record by record.
//!
//! The way of a file: [`expand`] finds it, [`Unpacked`] takes off gzip, xz, zstd or bzip2 by what the bytes are,
//! [`Format::of`] recognises what is in it, and [`FileSource`] reads its records as a [`bartizan_intake::Source`],
//! whose positions are offsets in the unpacked content. [`open`] does this for all the files of an import: rotated
//! sets oldest first, with the years that their stamps leave out ([`years`]) and lines that another file has as well
//! ([`Seen`]).
//!
//! Invariants:
//! - The same content gives the same records between the same positions, however it is packed and called.
//! - Memory does not grow with a file: a buffer of some hundred KiB, what an unpacker needs (bounded by
//!   [`Limits`]), and [`Seen`], which is bounded.
//! - What cannot be read is said ([`bartizan_intake::Tally::unreadable`]), and what stands before it is read.
//! - Nothing is unpacked without bound: a file that unpacks to more than [`Limits`] allow is read up to there.

mod capture;
mod content;
mod file;
mod find;
mod format;
mod open;
mod records;
mod seen;
mod text;
mod unpack;
pub mod years;
mod zone;

pub use file::FileSource;
pub use find::{FindError, Found, expand};
pub use format::Format;
pub use open::{HostFrom, Opened, Options, open};
pub use seen::Seen;
pub use unpack::{Limits, Packing, Unpacked};
pub use zone::{TimeZoneError, Tz};
