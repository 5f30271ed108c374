//! The vocabulary of Bartizan: the words of the design as types.
//!
//! Pure values without I/O, clock or async. Every other crate may use this one; it uses none of them.
//! - A **host** is its key: [`HostId`] is the hash of its public key, its name is a label.
//! - A **stream** is one ordered sequence of batches of one sender: a host and a [`Lane`].
//! - A batch is named by (stream, [`Epoch`], [`Seq`]); the triple is never used for two different batches.

mod action;
mod address;
mod ids;
mod loss;
mod role;
mod time;

pub use action::Action;
pub use address::{addr_from_ip, addr_from_v4, addr_to_ip, is_v4_mapped};
pub use ids::{BatchId, Epoch, HostId, IN_FLIGHT, Lane, ParseIdError, Seq, StreamId};
pub use loss::{Kind, Loss, Reason, Stage};
pub use role::{Role, RoleError};
pub use time::Micros;
