//! What is known of an address: its country and autonomous system, and the sets that it is in.
//!
//! Two things come from the configuration and from files that somebody else keeps up to date:
//! - **Databases** tell country and autonomous system: MaxMind's file format in the layouts of MaxMind, DB-IP and
//!   IPinfo ([`mmdb`]), and lists of ranges as text ([`text`]). Whatever the form, a database becomes one sorted table in
//!   memory ([`ranges`]); the file is not open afterwards, so that whoever replaces it harms nobody.
//! - **Sets** are networks with a name, for filters: `src:@office`. They are listed in the configuration, in files, or
//!   are made of other sets ([`sets`]).
//!
//! [`Enrichment`] holds both. It looks whether a file has changed when it is told to ([`Enrichment::look`]) and then lets
//! the new content count at once, without a restart.
//!
//! Invariants:
//! - A file that cannot be read or understood changes nothing: what was known before still counts, and
//!   [`Enrichment::status`] says what is wrong. Only a file that was never read leaves its columns empty.
//! - A file counts when it has stayed the same between two looks, so that one that is just being written is not read.
//! - Readers never wait: what counts is behind one pointer that is replaced as a whole.
//! - Bounded: a file unpacks to [`MAX_BYTES`] at most and holds [`MAX_RANGES`] ranges at most.
//!
//! It has no data of its own, asks nobody over a network, and does not read the clock.

mod database;
mod enrichment;
mod error;
mod mmdb;
mod places;
mod ranges;
mod record;
mod sets;
mod text;
mod watch;

#[cfg(test)]
mod testing;

pub use database::Database;
pub use enrichment::{Enrichment, FileStatus, Known, SetStatus, Settings, Status};
pub use error::EnrichError;
pub use places::Places;
pub use ranges::{Ranges, Span};
pub use record::{Country, Record};
pub use sets::{SetError, Sets};

/// Bytes of a file, unpacked.
pub const MAX_BYTES: u64 = 1 << 30;

/// Ranges of a database. The largest that are published have about three million.
pub const MAX_RANGES: usize = 16_000_000;
