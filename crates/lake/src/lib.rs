//! Delta tables: Parquet files, atomic commits, exactly-once marks.
//!
//! One [`Table`] per kind of row. Rows are taken by [`Table::append`], readable at once as **hot** batches, and
//! moved by [`Table::commit`] to Parquet files that an entry of the Delta log names. The log is the only truth:
//! beside it there is no database, and what is in memory is loaded from it.
//!
//! ```text
//! FOLDER/_delta_log/00000000000000000007.json                one commit: marks of streams + names of files
//! FOLDER/_delta_log/00000000000000000200.checkpoint.parquet  the sum of entries 0..=200
//! FOLDER/date=2026-01-31/part-UUID.parquet                   rows, sorted by time
//! ```
//!
//! Invariants
//! - L1, exactly once: an entry that names rows carries the marks of their streams. A batch at or below its
//!   stream's mark is a duplicate for ever, on every server, after every crash.
//! - L2, durable: a data file is synced before the entry that names it is written, the entry is synced before
//!   [`Table::committed`] moves, and an entry that was found (after a crash, or from another writer) is synced
//!   before anything is acknowledged because of it. With a store that is durable ([`DurableLocal`]), what was
//!   acknowledged survives a power cut.
//! - L3, one view: a [`View`] holds each row once, hot or in a file, whenever it is taken.
//! - L4, several writers: an entry is put only where none is. Who loses the race takes over what the winner
//!   committed, drops batches that are in it, and tries the next number.
//! - L5, cost: a commit costs what its own rows and streams cost, whatever the lake holds already.
//! - L6, careful: what is not understood (newer protocol, unknown files) is refused or left alone, and files
//!   that no log names are deleted only after a week of being seen so.
//!
//! On failure of a commit nothing is acknowledged, the batches stay hot and a later commit takes them; a data
//! file that was already written is deleted or stays unnamed. If it is not known whether the entry was written,
//! the next commit looks first. When memory is full, `append` answers [`Append::Busy`]: the sender waits.
//!
//! It knows nothing of queries.

mod backup;
mod chunked;
mod compact;
mod delta;
mod durable;
mod encode;
mod erase;
mod error;
mod files;
mod follow;
mod hot;
mod keep;
mod lease;
mod options;
mod partition;
mod repair;
mod retain;
mod rewrite;
mod rollup;
mod s3;
mod split;
mod state;
mod table;
mod tables;
mod verify;
mod write;

pub use backup::{
    Backup, BackupError, Copied, MANIFEST, Manifest, Moved, TableCopy, compare, restore, verify_backup,
};
pub use compact::{Compact, Compacted, Shape};
pub use durable::{DurableLocal, Probe, Space, SpaceLeft, Step};
pub use erase::Erased;
pub use error::{ErrorKind, LakeError};
pub use files::{DataFile, Files, tag};
pub use follow::Pieces;
pub use hot::{Hot, HotBatch};
pub use keep::{Collected, Pin};
pub use lease::{Lease, LeaseError, TERM};
pub use options::{Options, default_reserve};
pub use retain::{Expired, Hold, Policies, Policy, Retention, Rule, sized};
pub use rewrite::Rewrite;
pub use rollup::{Counts, History, Part, Parts, RollOptions, Rolled, Tier, Tiers};
pub use s3::{S3, S3Credentials};
pub use split::Rows;
pub use table::{Append, Committed, HotTotals, Table, View};
pub use tables::Tables;
pub use verify::{Problem, Verified};

/// What writes the files and entries, as they say it.
pub(crate) const ENGINE: &str = concat!("bartizan/", env!("CARGO_PKG_VERSION"));
