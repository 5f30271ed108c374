use crate::durable::Space;
use bartizan_model::Micros;
use std::sync::Arc;

/// How a table is written and kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of rows that are received but not committed, above which no more are taken.
    pub hot_limit: u64,
    /// Bytes of such rows from which on a commit is due.
    pub commit_bytes: u64,
    /// Age of the oldest such row from which on a commit is due, in microseconds.
    pub commit_age: i64,
    /// Most rows in one file; more make several files in one commit. Bounds the memory of a commit.
    pub file_rows: usize,
    /// Files of commits that compaction has not merged yet, from which on no more batches are taken; does not count
    /// where nobody compacts, or where compaction fails.
    pub fresh_files: usize,
    /// Commits between two checkpoints; 0: only when asked.
    pub checkpoint_every: i64,
    /// Age at which log entries that a checkpoint covers are deleted, in microseconds.
    pub log_age: i64,
    /// How long a data file must be known to be named by no log before it is deleted, in microseconds.
    pub orphan_age: i64,
    /// How long a data file stays after an entry removed it, for readers with an older view, in microseconds.
    pub removed_age: i64,
    /// Whom to ask for free space before a commit.
    pub space: Option<Arc<dyn Space>>,
    /// Bytes to be left free; only with `space`.
    pub reserve: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hot_limit: 512 << 20,
            commit_bytes: 96 << 20,
            commit_age: 5_000_000,
            file_rows: 262_144,
            fresh_files: 1000,
            checkpoint_every: 200,
            log_age: Micros::DAY,
            orphan_age: 7 * Micros::DAY,
            removed_age: Micros::DAY,
            space: None,
            reserve: 0,
        }
    }
}

/// The reserve for a disk of a size: a twentieth, at most 2 GiB (fault F40).
#[must_use]
pub fn default_reserve(total_bytes: u64) -> u64 {
    (total_bytes / 20).min(2 << 30)
}
