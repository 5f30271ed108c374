//! Netlink sockets: NFLOG groups, conntrack and nf_tables, and what else of the kernel's network side the agent
//! needs. The one crate with unsafe code, all of it in `sys`.
//!
//! - [`NflogSocket`]: one NFLOG group, bound and configured; whole datagrams as the kernel sent them.
//! - [`ConntrackSocket`]: tracked connections as they begin, change and end.
//! - [`RulesetMonitor`]: changes of the ruleset.
//! - [`Question`], [`Asker`], [`Nftables`]: what can be asked, who asks, and who reads the answers: rules that
//!   log, every counter, the generation of the ruleset, all tracked connections.
//! - [`Interfaces`]: names of interfaces.
//! - [`in_netns`], [`incarnation`], [`namespaces`]: network namespaces.
//!
//! Invariants:
//! - Only datagrams of the kernel (port 0) are handed out or believed.
//! - A full buffer (`ENOBUFS`) is never an error: it is [`Received::Overrun`], or asked again.
//! - No call blocks for ever: every wait has an end, and a [`Waker`] ends a reader's wait at once.
//! - Nothing here prints, logs or reads the clock of the day.
//!
//! **Rights.** Opening a socket, changing it and asking need `CAP_NET_ADMIN` in the user namespace that owns the
//! network namespace, both when the socket is made and when it asks. Receiving needs none: every socket has
//! `into_fd` and `from_fd`, so that one process opens it and another, which holds no capability, reads it; and
//! answers, also the later parts of a long one, are read by [`Nftables`] without any.
//!
//! What it does not do: read packets (that is `bartizan-decode`) or understand rules (`bartizan-ruleset`).

mod bpf;
mod conntrack;
mod counters;
mod error;
mod interfaces;
mod machine;
mod message;
mod monitor;
mod namespace;
mod nflog;
mod nftables;
mod owner;
mod question;
mod receiver;
mod sys;

pub use conntrack::{ConntrackConfig, ConntrackFilter, ConntrackSocket, Network, ParseNetworkError};
pub use counters::{CounterKind, CounterReading};
pub use error::{Holder, NetfilterError};
pub use interfaces::Interfaces;
pub use machine::{process_time, wait_for_packets};
pub use monitor::{Change, Notice, RulesetMonitor};
pub use namespace::{Netns, in_netns, incarnation, namespaces};
pub use nflog::{NflogConfig, NflogSocket};
pub use nftables::{Nftables, log_rules};
pub use question::{Asker, Question, SendQuestion};
pub use receiver::{Received, RecvBuffer, Waker};
