//! The agent: what the host's firewall logs, to the disk of the host, to the server. It knows nothing of SQL,
//! Parquet or the web.
//!
//! ```text
//! for each network namespace                     recorder (one thread)             sender (async)
//! capture, a thread a group: NFLOG -> columns ->  join with the ruleset, caps,
//! rulesets: changes -> listing                ->  encode -> lanes of the spool  ->  one Flight stream a lane
//! counters: readings -> growth                ->  accounts: rules' counters against  acknowledged: deleted
//! flows: conntrack -> columns                 ->  what was recorded
//! ```
//! `open` is how all of them get what needs rights; `namespaces` starts and ends them.
//!
//! Two processes (see `opener`): the one that is started has the rights and opens; the other, the worker, holds
//! everything above and has none.
//!
//! Invariants:
//! - **AG-1** the host comes first: every queue has a bound. When the recorder lags, capture stops reading,
//!   the kernel's buffer fills, and what it drops shows as a gap in its sequence: counted, not waited for.
//! - **AG-2** only what is fsynced is sent (see `bartizan-spool`), so a number never names two batches.
//! - **AG-3** the account of a group (rows and losses recorded, against the rules' counters) is stored in the
//!   same record as the rows it counts, so that it is as true after `kill -9` as before.
//! - **AG-4** whatever is given up on the way becomes a row of `losses` with stage, reason and number.
//! - **AG-5** an event has a generation only if that ruleset was surely active when it was logged; see `generations`.
//!
//! On failure: no server: rows wait in the spool. No disk: rows wait in a bounded memory lane and are sent
//! from there. Neither: rows are dropped and counted.

mod accounts;
mod ages;
mod board;
mod caps;
mod capture;
mod central;
mod configuration;
mod counters;
mod doctor;
mod flows;
mod generations;
mod identity;
mod kernel;
mod kernel_log;
mod lanes;
mod listing;
mod local_log;
mod memory;
mod namespaces;
mod open;
mod opener;
mod recorder;
mod reload;
mod rulesets;
mod run;
mod sandbox;
mod sender;
mod settings;
mod share;
mod source;
mod spool_command;
mod status;
mod steps;
mod table;
mod user;
mod worker;

pub use configuration::Configuration;
pub use doctor::{Report, doctor, probe};
pub use identity::{Enrol, EnrolError, Enrolled, Identity, enrol};
pub use run::run;
pub use spool_command::{Damaged, Export, export as spool_export, ls as spool_ls, verify as spool_verify};
pub use status::{NotRunning, ask as status, table as status_table};
pub use user::after_enrolment;
pub use worker::work;

/// Log lines to standard error, as `BARTIZAN_LOG` says (`info` when it says nothing).
pub fn init_log() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("BARTIZAN_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}
pub use settings::{Settings, SettingsError, Written};
