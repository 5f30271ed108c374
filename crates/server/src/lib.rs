//! The server: listeners, tasks, life cycle.
//!
//! One process, one directory:
//! ```text
//! DIR/authority.key, ca.pem   the fleet's authority (secret) and its certificate
//! DIR/server.key              the server's own key and certificate
//! DIR/admin.token             the token that may ask everything; made at the first start, readable by its owner
//! DIR/catalog.db              hosts and join tokens
//! DIR/lake/                   the tables
//! DIR/address, agents_address where it listens, written when it does
//! ```
//! Two listeners: the front port (HTTP API and enrolment, server certificate only) and the agents' port (mutual
//! TLS 1.3). One committer a table. On SIGTERM or SIGINT it stops listening, commits what it has, and ends.
//!
//! What it does not do: keep a log of its own. What was not committed is sent again by the agents.

mod claims;
mod fleet;
mod run;
mod settings;
mod space;

pub use run::run;
pub use settings::{Commit, Settings, SettingsError, Written};
