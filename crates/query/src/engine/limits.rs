//! What questions together may use.

use std::path::PathBuf;

/// What questions together may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of memory for sorting and grouping, shared by all questions that run.
    pub memory: usize,
    /// Bytes of memory for the footers and page indexes of files.
    pub metadata_cache: usize,
    /// Where sorts spill. `None`: the system's folder for temporary files.
    pub spill_dir: Option<PathBuf>,
    /// Bytes that may be spilled.
    pub spill: u64,
    /// Parts of one question that run at the same time.
    pub partitions: usize,
    /// Rows of one batch of results.
    pub batch_rows: usize,
    /// Rows that a long answer sorts at a time. Enough that planning them costs little beside, few enough to
    /// sort in memory.
    pub sort_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            metadata_cache: 64 << 20,
            spill_dir: None,
            spill: 8 << 30,
            partitions: 2,
            batch_rows: 8192,
            sort_rows: 128 << 10,
        }
    }
}
