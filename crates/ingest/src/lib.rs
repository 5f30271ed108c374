//! Ingest: from a received batch to rows that can be searched, and to the acknowledgement.
//!
//! The way of a batch: [`complete`](complete::complete) casts it to the table's types and fills the columns
//! that the server owns (host from the certificate, receipt time, action, country and autonomous system, the event's
//! name); the lake takes it into its hot set, or knows it already; live tails see it; a committer writes hot rows by
//! size or age; the sender hears of it when every batch up to a number is committed.
//!
//! Invariants:
//! - **IN-1** an acknowledgement for a number is sent only when every batch that the stream brought up to
//!   that number is committed, whichever table it went to.
//! - **IN-2** the host of an agent's row comes from its certificate, never from the data. Rows that say whose they are
//!   come by [`Ingest::collect`] alone, which no agent reaches.
//! - **IN-3** a batch that the lake has already, hot or committed, changes nothing and is not shown to tails
//!   a second time.
//!
//! On failure: a commit that fails (a full disk) is tried again with growing pauses; rows stay hot and
//! readable, nothing is acknowledged, and when the hot set is full senders wait.

mod activity;
mod committer;
mod complete;
mod pending;
mod sink;

pub use activity::{Activity, HostActivity};
pub use committer::commit_forever;
pub use complete::{CompleteError, Receipt, Whose, complete, told};
pub use sink::{Ingest, Taken, memory_of};
