//! The server: listeners, tasks, life cycle.
//!
//! One process, one directory:
//! ```text
//! DIR/authority.key, ca.pem   the fleet's authority (secret) and its certificate; `authority.next.key` and
//!                             `authority.before.pem` while and after another follows it
//! DIR/server.key              the server's own key and certificate
//! DIR/admin.token             the token that may ask everything; made at the first start, readable by its owner
//! DIR/catalog.db              hosts, join tokens, sessions
//! DIR/lake/                   the tables, unless they are in S3
//! DIR/writer.id               who this server is, in the lease of a lake in S3
//! DIR/collector.id            who collects for others, in the names of their batches
//! DIR/spool/collected/        what senders without an agent delivered, until it is in the lake
//! DIR/address, agents_address, collect_addresses   where it listens, written when it does
//! ```
//! Two listeners: the front port (HTTP API, page, Flight SQL and enrolment, server certificate only) and the agents' port (mutual
//! TLS 1.3); and those of `[[collect]]`, for senders that have no agent. One committer a table. On SIGTERM or SIGINT it stops listening, commits what it has, and ends.
//!
//! What it does not do: keep a log of its own. What was not committed is sent again by the agents, or
//! by the collector from its spool.

mod admission;
mod claims;
mod configurations;
mod contacts;
mod enrich;
mod fleet;
mod forward;
mod front;
mod holders;
mod imports;
mod joining;
mod keeper;
mod keys;
mod metrics;
mod others;
mod place;
mod refusals;
mod run;
mod saved;
mod sessions;
mod settings;
mod sinks;
mod space;
mod standing;
mod upkeep;
mod walls;

pub use keeper::{
    Restored, RetainError, WrittenKeep, WrittenRetain, check_backup, restore_backup, verify_stopped,
};
pub use place::{Place, WrittenLake};
pub use run::{run, shut_in};
pub use settings::{Commit, Compacting, Connections, Enrich, Settings, SettingsError, Spool, Written};
pub use sinks::{Sink, SinkError, WrittenSink};
pub use walls::{Walls, WrittenSandbox};
