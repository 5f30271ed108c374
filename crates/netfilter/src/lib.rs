//! Netlink sockets: NFLOG groups and nf_tables' counters, and what else of the kernel's network side the agent
//! needs. The one crate with unsafe code, all of it in `sys`.
//!
//! - [`NflogSocket`]: one NFLOG group, bound and configured; whole datagrams as the kernel sent them.
//! - [`Nftables`]: the rules that log and their counters, and the generation of the ruleset.
//! - [`Asker`]: the half of [`Nftables`] that needs rights, which may be in another process.
//! - [`Interfaces`]: names of interfaces.
//! - [`in_netns`], [`incarnation`]: network namespaces.
//!
//! Invariants:
//! - Only datagrams of the kernel (port 0) are handed out or believed.
//! - A full buffer (`ENOBUFS`) is never an error: it is [`Received::Overrun`], or asked again.
//! - No call blocks for ever: every wait has an end, and a [`Waker`] ends a reader's wait at once.
//! - Nothing here prints, logs or reads the clock of the day.
//!
//! **Rights.** Opening a group, changing it and asking nf_tables need `CAP_NET_ADMIN` in the user namespace
//! that owns the network namespace, both when the socket is made and when it asks. Receiving from a group that
//! is bound needs none: [`NflogSocket::into_fd`] and [`NflogSocket::from_fd`] let one process open it and
//! another, which holds no capability, read it.
//!
//! What it does not do: read packets (that is `bartizan-decode`) or understand rules (`bartizan-ruleset`).

mod error;
mod interfaces;
mod message;
mod namespace;
mod nflog;
mod nftables;
mod question;
mod sys;

pub use error::NetfilterError;
pub use interfaces::Interfaces;
pub use namespace::{in_netns, incarnation};
pub use nflog::{NflogConfig, NflogSocket, Received, RecvBuffer, Waker};
pub use nftables::{Nftables, log_rules};
pub use question::{Asker, Question, SendQuestion};
