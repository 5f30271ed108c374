//! The durable queue: what the agent has recorded and the server has not yet committed.
//!
//! One [`Spool`] is one *lane*: a directory with one ordered sequence of records. One process writes it, reads it
//! and acknowledges what it read; everything is synchronous, and time is an argument. Records are opaque: a
//! payload, a weight (events, or lost events that it reports) and a note, the caller's own state as of this record.
//!
//! # Invariants
//! - **SP-1 Durable is durable.** What [`Spool::durable`] has reached survives kill and power cut until it is
//!   acknowledged or dropped. A segment is left for the next one only when it is durable.
//! - **SP-2 Order.** Sequence numbers rise through the lane, over restarts too, and are read in that order; within
//!   a life nothing is read again after it was acknowledged.
//! - **SP-3 A name is used once.** (epoch, sequence number) never names two contents. Every life appends under
//!   its own fresh epoch, in its own segment files. So nothing has to be proven about the end that an earlier
//!   life left, be it cut, damaged, or an old copy of the whole directory brought back: whatever was there and
//!   may have been sent had another epoch. The price is one high-water mark at the server per life that
//!   appended something. Within a life numbers come from memory.
//! - **SP-4 Only what is durable is read.** So the newest note after a restart is never older than what was sent,
//!   and a caller that finds out from it what was lost counts nothing that has arrived.
//! - **SP-5 Conservation.** The weights of all records up to the newest one found = weights of records read + weights
//!   of holes + acknowledged. Every record carries the cumulative weight before it, so what is missing between
//!   two that are left is known exactly, whatever happened to it.
//! - **SP-6 The newest durable record stays** even when acknowledged, for its number and its note.
//! - **SP-7 Bounded.** Memory: `sync_bytes` and one record pending, one record read, 48 bytes per segment. Files
//!   open: five. No length from the disk is believed before it was compared with its limit.
//! - **SP-8 Arithmetic** on numbers, bytes and weights saturates or is proven; a cumulative weight may wrap.
//!
//! # Holes
//! Where records are lost, by damage or by [`Spool::drop_oldest`], [`Spool::read`] gives a [`Hole`] in their place,
//! with the sum of their weights. It is sent like a record, as a batch that reports the loss, under the epoch and
//! the last number of the hole. So a loss is durable without a byte written on a disk that may be full, it is
//! reported once although it may be sent often, and it is ignored by a server that has those records already.
//!
//! # Files
//! - `{first:020}-{epoch:016x}-{before:016x}.seg`: segments, by first number, epoch and cumulative weight before it;
//!   at most `segment_bytes` unless one record is larger.
//! - `….seg.bad`: segments in which damage was met, kept when they would be removed; at most 4 and an eighth of
//!   the budget.
//! - `acked`: a hint, which may be missing, old or wrong.
//! - Everything else is foreign, left alone and reported. Another version of the format has other names.
//!
//! All numbers are little endian, all checksums CRC32C (Castagnoli).
//! ```text
//! segment  = header record*
//! header   = magic "\xB5SPOOL1\n" (8)  version = 1 (4)  zeros (4)  epoch (8)  first number (8)
//!            cumulative weight before (8)  zeros (20)  checksum of these 60 bytes (4)             = 64 bytes
//! record   = magic "\xB5Rec" (4)  payload length (4)  epoch (8)  number (8)  cumulative weight before (8)
//!            weight (8)  note length (4)  checksum of the payload (4)  kind (1)  zeros (3)
//!            checksum of these 52 bytes and the note (4)                                         = 56 bytes
//!            note  payload
//! ```
//! Headers have their own checksum, so that a damaged payload costs its own record and nothing else, and its
//! weight is known. Behind a damaged header the next record is found by searching for a whole header with the
//! segment's epoch. A segment's own header repeats its name and is never needed. A segment of which only the header
//! is left stands for all records up to the next segment: they were dropped.
//!
//! # When things fail
//! - **Kill, power cut:** records appended after the last [`Spool::sync`] may be gone, nothing else. The next open
//!   scans the last segment, writes what is whole in it again in place and syncs it (its pages may be clean in
//!   the cache without being on the disk), and begins a new segment with its first append.
//! - **No space, quota, I/O error:** the call returns the error, the state is as before, the caller keeps the record.
//!   After a failed sync the segment is given up at its last durable byte and what was pending is written from
//!   memory to a new one; it is never synced again in hope. Appends try again by themselves, each time.
//! - **Bad sectors:** a read error is returned; what cannot be read three times in a row is damage, so a lane
//!   never stands still.
//! - **Full:** [`AppendError::Full`]; the caller drops the oldest or keeps the record.
//!
//! # What it does not do
//! It has no clock, no thread and no idea of what it stores. It does not encrypt. An append that returned an error
//! after its bytes had reached the disk may come back after a power cut that follows at once, if the file system
//! undoes the cut but not the write.

mod append;
mod error;
mod fs;
mod hint;
pub mod inspect;
mod layout;
mod open;
mod read;
mod scan;
mod spool;
mod trim;
mod weights;

pub use error::{AppendError, DiskError, Op, SpoolError};
pub use fs::{Access, Entry, Fs, FsFile, RealFs};
pub use layout::{MAX_NOTE, MAX_PAYLOAD};
pub use open::Recovery;
pub use read::{Cause, Hole, Item, Record};
pub use spool::{Backlog, Config, Head, Spool};
pub use trim::Dropped;
pub use weights::Weights;
