//! Listens to senders that have no agent: syslog, RELP, ulogd2's JSON, and exporters of flows.
//!
//! The collector is to the server what an agent is on a host, for others:
//! ```text
//! sockets (listen) -> messages taken apart (format) -> rows (desk) -> spool (spooler, fsync) -> ingest (deliver)
//!                                     \-> counts of each sender, losses
//! ```
//!
//! Invariants:
//! - **CO-1** Nothing is given to ingest, and no message is acknowledged (RELP), before it is durable in the
//!   collector's own spool (`DIR/spool/collected`). So a crash of the server loses nothing that was spooled, and a record
//!   that comes again has the name it had.
//!   What a sender of RELP says again, because it did not hear of an acknowledgement, makes no second row ([`replay`]).
//! - **CO-2** The spool forgets what is committed in the lake, nothing else. A full spool makes senders wait; what cannot
//!   wait is dropped by the kernel, and counted.
//! - **CO-3** Whatever is given up is an entry of the ledger, stage `server`: over the rate, cut, dropped, damaged.
//! - **CO-4** No sender costs more than its share: messages, buffers, connections, handshakes and names have bounds.
//! - **CO-5** What a message says of its host is believed as far as the configuration says ([`sender`]), and never that it
//!   is a host that has an agent.
//!
//! A stamp more than a day ahead of the receipt is not believed: the row has the time of its receipt, and what it said is
//! in `extra`. Stamps of the past are: they may have waited in a sender's queue.
//!
//! What it does not do: talk to a catalog; the server keeps the counts and tells it the agents' names.

mod agents;
mod counts;
mod deliver;
mod desk;
mod format;
mod ledger;
mod listen;
mod networks;
mod rate;
mod replay;
mod run;
mod sender;
mod settings;
mod spooler;
mod store;
mod zone;

pub use agents::Agents;
pub use counts::{Count, Counts, Delivery};
pub use run::{Collector, Surroundings};
pub use settings::{
    Accounting, Certificates, Listener, ListenerError, Others, Speech, WrittenListener, WrittenTrust,
};
