//! The opener: the part of the agent that has rights, and does little with them.
//!
//! ```text
//! systemd --signals--> opener --orders--> worker          control channel: stop, reload
//!         <--notify---        <--notices-                                  ready, state, progress
//!                      opener <-requests- worker          request channel: sockets, questions, files
//!                             --replies-->                with descriptors (SCM_RIGHTS)
//! ```
//!
//! Invariants:
//! - **OP-1** no byte that the kernel's netfilter side or the network says is read here, but the code of a refused
//!   request; the worker reads the answers on the same sockets.
//! - **OP-2** a request names namespaces by number and settings by value: the worker names no path, no program,
//!   no address.
//! - **OP-3** opener and worker live and die together: the worker gets SIGKILL when the opener dies, the opener
//!   ends with the worker's exit code.
//! - **OP-4** one agent a directory: the lock is held by both, and is free when both are gone.

mod channel;
mod client;
mod link;
mod lock;
mod protocol;
mod serve;
mod start;

pub(crate) use channel::Channel;
pub(crate) use client::Opener;
pub(crate) use link::{Link, Notice, Order};
pub(crate) use lock::{Holder, pid_of};
pub(crate) use serve::{Setup, run};
pub(crate) use start::start;
