//! Bytes to rows: netlink messages, nfnetlink_log attributes and packet headers, tracked connections, counters, and
//! firewall log lines.
//!
//! The way of a datagram: [`netlink::Messages`] -> [`nflog::NflogPacket`] -> [`packet`] ->
//! [`columns::EventColumns`], then out as an Arrow batch of the wire columns of `bartizan_schema::EVENTS`. That of
//! a connection: [`conntrack::parse`] -> [`flows::FlowColumns`]. [`nftables`] reads what counts, and changes.
//!
//! Invariants, each held by the tests and by the targets in `fuzz/`:
//! - Total: any byte string gives a value or an error, in time linear in its length. Nothing panics.
//! - Pure: no input or output, no clock, no `unsafe`.
//! - No allocation per packet: views borrow from the datagram, columns grow by doubling and intern text.
//! - A capture that ends early is kept as far as it is readable: a field is there or `None`, never a guess.

pub mod columns;
pub mod conntrack;
mod event;
pub mod losses;
pub mod netlink;
pub mod nflog;
pub mod nftables;
pub mod packet;
pub mod text;

pub use event::Event;

pub mod flows {
    //! Tracked connections as columns.
    pub use crate::columns::flows::FlowColumns;
}

#[cfg(test)]
mod testing;
