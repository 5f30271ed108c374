//! Compaction: many small files become few large ones.
//!
//! Files of one day are merged in the order of time, about sixteen of a size at once, so that a row is written anew
//! only a few times. Events are then sorted, a unit of about two million rows at a time, by source, host, destination
//! port and time: that is shorter, and answers about one source read little. The newest rows stay in the order of time,
//! because the newest are what is asked for most.
//!
//! Invariants
//! - A piece of work reads some files, writes one, and replaces the ones by the other in one entry of the log that
//!   says that no row changed. Whatever happens at any point, a reader sees the one or the other.
//! - What was read is what was written: a file whose checksum is not that of the log is named and left alone, and the
//!   rows of the new file are counted against the old ones'.
//! - Two compactors of one table, in one process or in two, hinder each other and harm nothing: the entry of the second
//!   is refused ([`LakeError::Replaced`]), and its file is deleted.
//! - Memory: the files that are read, packed; two columns of them; and the new file.

mod arrange;
mod order;
mod plan;

use crate::encode::Encoded;
use crate::error::LakeError;
use crate::files::{DataFile, tag};
use crate::rewrite::Rewrite;
use crate::table::{Backlog, Shared, Table};
use crate::write::new_path;
use bartizan_model::Micros;
use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use std::sync::atomic::Ordering;

pub use plan::Shape;

use plan::Job;

/// How a table is compacted.
#[derive(Debug, Clone)]
pub struct Compact {
    /// Rows of a sorted unit.
    pub unit_rows: u64,
    /// Files of one size that are merged at once.
    pub fan_in: usize,
    /// Rows of the newest day that stay in the order of time, at least.
    pub keep_rows: u64,
    /// How long nothing must have come for a day that is over before its remainder is put in order, in microseconds.
    pub settle: i64,
}

impl Default for Compact {
    fn default() -> Self {
        Self { unit_rows: 2 << 20, fan_in: 16, keep_rows: 262_144, settle: 600_000_000 }
    }
}

/// What one piece of work did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compacted {
    /// The entry of the log.
    pub version: i64,
    /// How the rows of the new file lie.
    pub shape: Shape,
    /// Files before; one after.
    pub files: usize,
    /// Rows.
    pub rows: u64,
    /// Bytes before.
    pub read: u64,
    /// Bytes after.
    pub written: u64,
}

impl Table {
    /// One piece of compaction, if there is one to be done. A file that cannot be read is named in the error, and left
    /// alone until the next start.
    ///
    /// # Errors
    /// See [`LakeError::kind`]; nothing was changed then.
    pub async fn compact(&self, how: &Compact, now: Micros) -> Result<Option<Compacted>, LakeError> {
        let shared = &self.shared;
        let mut damaged = shared.compacting.lock().await;
        let Some(job) = plan::next(shared.relation, &self.view().files, &damaged, how, now) else {
            shared.backlog(Backlog::Idle);
            return Ok(None);
        };
        let done = shared.carry_out(&job, now).await;
        shared.backlog(if done.is_ok() { Backlog::Worked } else { Backlog::Stuck });
        if let Err(error) = &done
            && let Some(path) = culprit(error)
        {
            damaged.insert(path.clone());
        }
        done.map(Some)
    }
}

impl Shared {
    async fn carry_out(&self, job: &Job, now: Micros) -> Result<Compacted, LakeError> {
        let read: u64 = job.files.iter().map(|f| f.size()).sum();
        self.check_space_for(read)?;
        let mut inputs = Vec::with_capacity(job.files.len());
        for file in &job.files {
            inputs.push((file.path().clone(), self.whole(file).await?));
        }
        let path = new_path(&self.folder, job.day)
            .ok_or_else(|| LakeError::Rows { reason: format!("day {} is outside the calendar", job.day) })?;
        let (relation, shape, target) = (self.relation, job.shape, path.clone());
        let encoded: Encoded =
            tokio::task::spawn_blocking(move || arrange::arrange(relation, &inputs, shape, &target))
                .await
                .map_err(LakeError::Stopped)??;
        let rows = encoded.bounds.rows.unwrap_or(0);
        if let Some(before) = job.rows()
            && before != rows
        {
            return Err(LakeError::Rows { reason: format!("{before} rows became {rows}") });
        }
        let made = match self.put_file(path.clone(), job.day, encoded, now).await {
            Ok(file) => file,
            Err(error) => {
                self.discard(&[path]).await;
                return Err(error);
            }
        };
        let made = made.with_tag(tag::MERGED, "true");
        let made = match shape {
            Shape::ByTime => made,
            Shape::Sorted => made.with_tag(tag::SORTED, order::SORTED),
        };
        let written = made.size();
        let rewrite = Rewrite {
            operation: "OPTIMIZE",
            removed: job.files.clone(),
            added: vec![made],
            data_change: false,
        };
        let version = self.rewrite(rewrite, now).await?;
        Ok(Compacted { version, shape, files: job.files.len(), rows, read, written })
    }

    /// A file's bytes, if they are what the log says.
    pub(crate) async fn whole(&self, file: &DataFile) -> Result<Bytes, LakeError> {
        let path = file.path().clone();
        let got = match self.store.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Err(LakeError::MissingFile { path }),
            other => other.map_err(LakeError::store("open", &path))?,
        };
        let bytes = got.bytes().await.map_err(LakeError::store("read", &path))?;
        let right = file.tag(tag::CRC32C).is_none_or(|sum| sum == format!("{:08x}", crc32c::crc32c(&bytes)));
        if bytes.len() as u64 != file.size() || !right {
            return Err(LakeError::Checksum { path });
        }
        Ok(bytes)
    }

    /// Tells the way of the compaction to those who append: they wait for it only while it works.
    fn backlog(&self, backlog: Backlog) {
        self.backlog.store(backlog as u8, Ordering::Release);
        self.room.notify_waiters();
    }
}

/// The file that must be left alone after an error.
fn culprit(error: &LakeError) -> Option<&Path> {
    match error {
        LakeError::MissingFile { path } | LakeError::Checksum { path } | LakeError::Parquet { path, .. } => {
            Some(path)
        }
        _ => None,
    }
}
