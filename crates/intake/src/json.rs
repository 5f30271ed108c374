//! JSON as loggers write it: objects one behind the other, mostly one a line.
//!
//! [`Scan`] reads values where they stand, without making anything of them. It is total, takes time linear in the text,
//! and goes no deeper than [`MAX_DEPTH`]. A raw line feed in a text ends it as broken, so that a record that was cut
//! costs no other one.

pub(crate) mod extra;
mod scan;

pub use extra::{Extra, unescape};
pub use scan::{Broken, Scan};

/// Objects in objects that are read.
pub const MAX_DEPTH: usize = 32;

/// Bytes of a record that is read; a longer one is kept up to here as what could not be read.
pub const MAX_RECORD: usize = 64 << 10;
