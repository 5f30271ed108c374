//! `[spool]`, `[commit]` and `[compact]`: the way of rows into files, and what becomes of the files.

use super::error::{SettingsError, wrong};
use bartizan_lake::Compact;
use serde::Deserialize;

/// `[spool]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Megabytes of it.
    pub megabytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self { megabytes: 1024 }
    }
}

/// `[commit]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Commit {
    /// Milliseconds that a row may wait in memory.
    pub age_ms: u64,
    /// Megabytes of rows in memory that are written before their time.
    pub megabytes: u64,
    /// Megabytes of rows in memory at which senders have to wait.
    pub limit_megabytes: u64,
    /// Megabytes of disk that are never used, so that a full disk can be mended.
    pub reserve_megabytes: u64,
}

impl Default for Commit {
    fn default() -> Self {
        Self { age_ms: 5000, megabytes: 128, limit_megabytes: 512, reserve_megabytes: 512 }
    }
}

/// `[compact]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compacting {
    /// Percent of one core that background work may use.
    pub cpu_percent: u32,
    /// Rows of a sorted file.
    pub unit_rows: u64,
    /// Newest rows that stay in the order of time.
    pub newest_rows: u64,
    /// Minutes of quiet after which what is left of a day that is over is sorted.
    pub settle_minutes: u64,
    /// Files of commits that are not merged yet, at which senders have to wait.
    pub limit_files: usize,
}

impl Default for Compacting {
    fn default() -> Self {
        Self {
            cpu_percent: 100,
            unit_rows: 2 << 20,
            newest_rows: 1 << 18,
            settle_minutes: 10,
            limit_files: 1000,
        }
    }
}

impl Compacting {
    pub(super) fn check(&self) -> Result<Compact, SettingsError> {
        let Self { cpu_percent, unit_rows, newest_rows, settle_minutes, limit_files } = *self;
        if !(1..=100).contains(&cpu_percent) {
            return wrong("compact.cpu_percent", format!("{cpu_percent} is not in 1..=100"));
        }
        if !(1 << 16..=1 << 24).contains(&unit_rows) {
            return wrong("compact.unit_rows", format!("{unit_rows} is not in 65536..=16777216"));
        }
        if newest_rows > unit_rows {
            return wrong("compact.newest_rows", format!("{newest_rows} is more than compact.unit_rows"));
        }
        if settle_minutes > 1440 {
            return wrong("compact.settle_minutes", format!("{settle_minutes} is more than 1440"));
        }
        if limit_files < 100 {
            return wrong("compact.limit_files", format!("{limit_files} is less than 100"));
        }
        let settle = i64::try_from(settle_minutes).unwrap_or(i64::MAX).saturating_mul(60_000_000);
        Ok(Compact { unit_rows, keep_rows: newest_rows, settle, ..Compact::default() })
    }
}
