//! The agent: what the host's firewall logs, to the disk of the host, to the server. It knows nothing of SQL,
//! Parquet or the web.
//!
//! ```text
//! capture (a thread a group)      recorder (one thread)            sender (async)
//! NFLOG socket -> columns  --->  encode -> lanes of the spool --->  one Flight stream a lane
//!        sequence gaps    ---^      rule counters: what never came      acknowledged: deleted
//! ```
//!
//! Invariants:
//! - **AG-1** the host comes first: every queue has a bound. When the recorder lags, capture stops reading,
//!   the kernel's buffer fills, and what it drops shows as a gap in its sequence: counted, not waited for.
//! - **AG-2** only what is fsynced is sent (see `bartizan-spool`), so a number never names two batches.
//! - **AG-3** the account of a group (rows and losses recorded, against the rules' counters) is stored in the
//!   same record as the rows it counts, so that it is as true after `kill -9` as before.
//! - **AG-4** whatever is given up on the way becomes a row of `losses` with stage, reason and number.
//!
//! On failure: no server: rows wait in the spool. No disk: rows wait in a bounded memory lane and are sent
//! from there. Neither: rows are dropped and counted.

mod accounts;
mod capture;
mod generations;
mod identity;
mod kernel;
mod kernel_log;
mod lanes;
mod listing;
mod local_log;
mod losses;
mod memory;
mod namespaces;
mod open;
mod recorder;
mod rulesets;
mod run;
mod sender;
mod settings;
mod source;
mod table;

pub use identity::{Enrol, Identity, enrol};
pub use run::run;

/// Log lines to standard error, as `BARTIZAN_LOG` says (`info` when it says nothing).
pub fn init_log() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("BARTIZAN_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}
pub use settings::{Settings, SettingsError, Written};
