//! What questions together may use.

use std::path::PathBuf;
use std::time::Duration;

/// What questions together may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of memory for sorting and grouping, shared by all questions that run.
    pub memory: usize,
    /// Bytes of that memory for one question.
    pub question_memory: usize,
    /// Time that one question may work. Waiting for its turn, or for a slow reader of its answer, is no work.
    pub question_time: Duration,
    /// Bytes that one question may read from files; 0: any.
    pub question_bytes: u64,
    /// Questions that work at one time; one asker has at most all but one of them.
    pub questions: usize,
    /// Bytes of memory for the footers and page indexes of files.
    pub metadata_cache: usize,
    /// Bytes of memory for answers about files that may be asked for again; 0: none are kept.
    pub answer_cache: usize,
    /// Where sorts spill. `None`: the system's folder for temporary files.
    pub spill_dir: Option<PathBuf>,
    /// Bytes that may be spilled.
    pub spill: u64,
    /// Threads that work on questions, and parts of one question that run at the same time.
    pub partitions: usize,
    /// Rows of one batch of results.
    pub batch_rows: usize,
    /// Up to so many rows the values of several columns are counted in one pass over them, even where counts are known.
    pub one_pass_rows: u64,
    /// Rows that a long answer sorts at a time. Enough that planning them costs little beside, few enough to
    /// sort in memory.
    pub sort_rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            question_memory: 384 << 20,
            question_time: Duration::from_secs(300),
            question_bytes: 0,
            questions: 4,
            metadata_cache: 64 << 20,
            answer_cache: 0,
            spill_dir: None,
            spill: 8 << 30,
            partitions: 2,
            batch_rows: 8192,
            one_pass_rows: 1_000_000,
            sort_rows: 128 << 10,
        }
    }
}
