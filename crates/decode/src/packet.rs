//! Packet headers from captures that may end anywhere.
//!
//! Kept as far as readable: each field is read when all its bytes were captured and lie inside the length that
//! the header before it states. What a later header says is not read when
//! - the packet is a fragment other than the first: its bytes are the middle of something,
//! - the header length of IPv4 is under 20 or the total length is under the header length,
//! - an IPv6 extension header is cut: then the protocol itself is unknown, and `None`.
//!
//! A total length of 0 (packets of the host that are over 64 KiB before segmentation) means: to the end of the
//! capture. Checksums are not looked at. The chain of IPv6 extension headers is walked to its end; each takes
//! 8 bytes or more, which bounds the walk. Nothing is copied and nothing is allocated.
//!
//! [`ipv4`], [`ipv6`], [`arp`] read one network header and what it carries, [`ethernet`] a frame, [`network`]
//! whichever network header an EtherType names.

mod ether;
mod icmp;
mod ipv4;
mod ipv6;
mod upper;

pub use ether::{Frame, arp, ethernet, is_vlan, network, vlan_tags};
pub use icmp::{Icmp, Quoted};
pub use ipv4::ipv4;
pub use ipv6::ipv6;
pub use upper::{Ports, Tcp, Upper};

/// EtherType of IPv4.
pub const ETHER_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHER_ARP: u16 = 0x0806;
/// EtherType of RARP, which has the layout of ARP.
pub const ETHER_RARP: u16 = 0x8035;
/// EtherType of IPv6.
pub const ETHER_IPV6: u16 = 0x86dd;

/// In [`Headers::frag`]: more fragments follow.
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// In [`Headers::frag`]: the offset of the fragment, in units of 8 bytes.
pub const FRAGMENT_OFFSET: u16 = 0x1fff;

/// What the headers of one packet say, from the network header on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Source address, IPv4 as `::ffff:a.b.c.d`; in ARP the sender's protocol address.
    pub src: Option<[u8; 16]>,
    /// Destination address; in ARP the target's protocol address.
    pub dst: Option<[u8; 16]>,
    /// IP protocol number, after IPv6 extension headers.
    pub proto: Option<u8>,
    /// Bytes of the IP packet, headers included, as its header says.
    pub length: Option<u32>,
    /// Type of service or traffic class.
    pub tos: Option<u8>,
    /// Time to live or hop limit.
    pub ttl: Option<u8>,
    /// Identification, in IPv6 that of the fragment header.
    pub id: Option<u32>,
    /// As in the IPv4 header: 0x4000 don't fragment, [`MORE_FRAGMENTS`], [`FRAGMENT_OFFSET`]; 0 is none.
    pub frag: u16,
    /// The header that the packet carries.
    pub upper: Upper,
}

/// 2 bytes at an offset, big endian.
#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// 4 bytes at an offset, big endian.
#[inline]
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}
