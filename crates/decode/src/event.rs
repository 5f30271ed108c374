//! One logged packet in no one's format: what records of databases, JSON and captures become on their way to columns.

use crate::nflog::Link;
use crate::packet::Headers;
use bartizan_model::{Action, Micros};

/// One logged packet. What a record does not say is `None`, 0 or empty.
#[derive(Clone, Debug, Default)]
pub struct Event<'a> {
    /// When it was logged.
    pub time: Micros,
    /// The rule's prefix; what is not UTF-8 in it is anybody's.
    pub prefix: &'a [u8],
    /// What became of the packet, where the record knows and is to be believed.
    pub action: Option<Action>,
    /// Input interface, as the other three.
    pub in_if: &'a [u8],
    /// Output interface.
    pub out_if: &'a [u8],
    /// Bridge port of input.
    pub phys_in: &'a [u8],
    /// Bridge port of output.
    pub phys_out: &'a [u8],
    /// The hardware header.
    pub link: Link,
    /// `NFPROTO_*`, 0 if unknown.
    pub family: u8,
    /// The kernel's number of the hook in its family.
    pub hook: Option<u8>,
    /// The packet.
    pub headers: Headers,
    /// The mark, 0 for none.
    pub mark: u32,
    /// User of the local socket.
    pub uid: Option<u32>,
    /// Group of the local socket.
    pub gid: Option<u32>,
    /// How many packets it stands for; 0 counts as 1.
    pub packets: u32,
    /// The text or bytes that were not fully understood.
    pub raw: &'a [u8],
    /// What no column holds, as a JSON object; empty for nothing.
    pub extra: &'a str,
}
