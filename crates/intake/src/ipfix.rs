//! Flows of exporters: IPFIX (RFC 7011, with RFC 5103 for both directions in one record), NetFlow v9 (RFC 3954) and v5.
//!
//! [`Exports`] keeps what the datagrams of an exporter need of those before: the templates of each observation domain of
//! each address, its sampling, and where it was in its sequence.
//!
//! Invariants:
//! - Total: any bytes give an answer, in time linear in their length: no field of a template has length 0, and a record
//!   takes at least one byte.
//! - Bounded: [`MAX_DOMAINS`] observation domains, the longest silent one giving way to a new one; of each
//!   [`MAX_TEMPLATES`] templates of [`MAX_FIELDS`] fields. A template beyond is refused, and data that come before their
//!   template, or whose template was refused, are counted.
//! - What is no column is kept in `extra` under its name or number.
//!
//! Sequence numbers count data records in IPFIX, datagrams in v9 and flows in v5. Of a gap no more is said than that;
//! after data that could not be counted (their template is not there) none is.

mod element;
mod exporter;
mod record;
mod v5;
mod wire;

pub use exporter::{Exports, MAX_DOMAINS, MAX_FIELDS, MAX_TEMPLATES};

/// What a datagram was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Datagram {
    /// Flows that became rows.
    pub flows: u32,
    /// Data records that tell of the exporter, not of flows.
    pub options: u32,
    /// Sets of data whose template is not there.
    pub before_template: u32,
    /// Records (IPFIX, v5) or datagrams (v9) that were sent and did not come.
    pub lost: u32,
    /// Templates that were not taken.
    pub refused: u32,
    /// It is not what it should be, from somewhere on.
    pub malformed: bool,
}

#[cfg(test)]
mod tests;
