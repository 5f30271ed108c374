//! What history comes from: something with records in an order, read from any position on.

use crate::{Rows, Tally};
use bartizan_model::Kind;

/// Bytes of unpacked content that tell one file from another.
pub const HEAD: usize = 1024;

/// What tells the source of an import from all others, wherever it lies and whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Its first bytes, unpacked, at most [`HEAD`]: a file that was renamed, packed or has grown is the same.
    Content(Vec<u8>),
    /// A name that is the same in every run and no other source's: of a database and a table in it.
    Name(String),
}

/// How far a source has come, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, where that is known.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Unit,
}

/// What a [`Progress`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, as they lie there (packed ones are counted packed).
    Bytes,
    /// Rows of a table.
    Rows,
}

/// How a piece ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// At this position; there may be more.
    More(u64),
    /// At this position, because there was no room for the next record: take the rows, then read on.
    Full(u64),
    /// At this position, and there is nothing behind it now.
    End(u64),
}

impl Read {
    /// The position behind the piece.
    #[must_use]
    pub const fn position(self) -> u64 {
        match self {
            Self::More(at) | Self::Full(at) | Self::End(at) => at,
        }
    }
}

/// Why a source cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A record does not say whose it is, and neither was it said for it.
    #[error("{record} does not say its host")]
    NoHost {
        /// Which, for people: `line 17 of kern.log`.
        record: String,
    },
    /// It is not what it was, or ends before the position.
    #[error("{0}")]
    Changed(String),
    /// Reading failed.
    #[error("{what}")]
    Failed {
        /// What.
        what: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SourceError {
    /// `.map_err(SourceError::failed("cannot read ulog2"))`
    pub fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        what: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |source| Self::Failed { what, source: source.into() }
    }
}

/// A source of an import: read piece by piece, from any position on.
///
/// A position stands between two records and grows with every record: the byte offset in the unpacked content of a
/// file, the last key + 1 of a table. 0 is the beginning. The same source has the same records between the same
/// positions in every run; on that rests that a record is never imported twice.
pub trait Source {
    /// What it is called, for people: its path, or its URL without a password.
    fn name(&self) -> &str;

    /// Its format, a word: `syslog`, `ulogd2-pgsql`. Part of its identity.
    fn format(&self) -> &str;

    /// What tells it from others.
    fn identity(&self) -> Identity;

    /// The kinds of rows that it can give, in every run the same ones.
    fn kinds(&self) -> &[Kind];

    /// Hashes of the content up to offsets that are the same ones for every source, as far as it has them and they are
    /// known without reading on. By them sources with the same first bytes are told apart.
    fn landmarks(&self) -> Vec<(u64, [u8; 32])> {
        Vec::new()
    }

    /// The hash of the content just before the position, by which another source with the same beginning is told
    /// apart; `None` where a name identifies it.
    fn trail(&self) -> Option<[u8; 32]> {
        None
    }

    /// How far it has come.
    fn progress(&self) -> Progress;

    /// Goes on at a position that a read ended at, in this run or another one. Called before the first read, and
    /// when a server has to be given rows again.
    ///
    /// # Errors
    /// [`SourceError::Changed`] if there is no such position any more.
    fn seek(&mut self, position: u64) -> Result<(), SourceError>;

    /// Adds the rows of the next piece, and counts each of its records once. A piece is some thousands of records at
    /// most, so that there is something to show, and someone can stop it. Reads no record that begins at `until` or
    /// behind it. A record that finds no room is not counted and read again by the next call.
    ///
    /// What of the source cannot be read is noted in [`Tally::unreadable`], and the rest of it is read.
    ///
    /// # Errors
    /// If nothing more can be had of it.
    fn read(&mut self, until: u64, rows: &mut Rows, tally: &mut Tally) -> Result<Read, SourceError>;
}
