//! `[query]`: what questions may use.

use super::error::{SettingsError, wrong};
use bartizan_query::Limits;
use serde::Deserialize;
use std::time::Duration;

/// `[query]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Threads that work on questions; 0: as many as the machine has processors.
    pub threads: usize,
    /// Questions that work at one time.
    pub questions: usize,
    /// Megabytes of memory for all of them, for sorting and grouping.
    pub megabytes: usize,
    /// Megabytes of that memory for one.
    pub question_megabytes: usize,
    /// Seconds that one may work.
    pub question_seconds: u64,
    /// Gigabytes that one may read from files; 0: any.
    pub question_gigabytes: u64,
    /// Gigabytes of temporary files, for sorting what does not fit in memory.
    pub spill_gigabytes: u64,
    /// Megabytes of memory for footers and indexes of files.
    pub index_megabytes: usize,
    /// Megabytes of memory for answers about files that may be asked for again.
    pub answer_megabytes: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            threads: 0,
            questions: 4,
            megabytes: 512,
            question_megabytes: 384,
            question_seconds: 300,
            question_gigabytes: 0,
            spill_gigabytes: 8,
            index_megabytes: 64,
            answer_megabytes: 16,
        }
    }
}

impl Query {
    pub(super) fn limits(&self) -> Result<Limits, SettingsError> {
        if self.questions == 0 || self.questions > 1024 {
            return wrong("query.questions", format!("{} is not in 1..=1024", self.questions));
        }
        if self.megabytes < 16 || self.megabytes > 1 << 20 {
            return wrong("query.megabytes", format!("{} is not in 16..=1048576", self.megabytes));
        }
        if self.question_megabytes < 16 || self.question_megabytes > self.megabytes {
            let problem = format!("{} is not in 16..=query.megabytes", self.question_megabytes);
            return wrong("query.question_megabytes", problem);
        }
        if self.question_seconds == 0 {
            return wrong("query.question_seconds", "0 leaves no time".to_owned());
        }
        if self.threads > 1024 {
            return wrong("query.threads", format!("{} is not in 0..=1024", self.threads));
        }
        let processors = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Limits {
            memory: self.megabytes << 20,
            question_memory: self.question_megabytes << 20,
            question_time: Duration::from_secs(self.question_seconds),
            question_bytes: self.question_gigabytes.saturating_mul(1 << 30),
            questions: self.questions,
            metadata_cache: self.index_megabytes.saturating_mul(1 << 20),
            answer_cache: self.answer_megabytes.saturating_mul(1 << 20),
            spill: self.spill_gigabytes.saturating_mul(1 << 30),
            partitions: if self.threads == 0 { processors() } else { self.threads },
            ..Limits::default()
        })
    }
}
