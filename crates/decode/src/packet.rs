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

use std::fmt;

pub use ether::{Frame, arp, ethernet, is_vlan, network, vlan_tags};
pub(crate) use ether::{read_arp, read_network};
pub use icmp::{Icmp, Quoted};
pub use ipv4::ipv4;
pub(crate) use ipv4::read as read_ipv4;
pub use ipv6::ipv6;
pub(crate) use ipv6::read as read_ipv6;
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

/// Takes the fields of one packet as they are read, so that they need not be kept in between.
pub trait Fields {
    /// Source address.
    fn src(&mut self, src: [u8; 16]);
    /// Destination address.
    fn dst(&mut self, dst: [u8; 16]);
    /// Protocol number.
    fn proto(&mut self, proto: u8);
    /// Bytes of the IP packet.
    fn length(&mut self, length: u32);
    /// Type of service or traffic class.
    fn tos(&mut self, tos: u8);
    /// Time to live or hop limit.
    fn ttl(&mut self, ttl: u8);
    /// Identification.
    fn id(&mut self, id: u32);
    /// Fragment bits as in [`Headers::frag`].
    fn frag(&mut self, frag: u16);
    /// The header that the packet carries.
    fn upper(&mut self, upper: &Upper);
}

impl Fields for Headers {
    fn src(&mut self, src: [u8; 16]) {
        self.src = Some(src);
    }
    fn dst(&mut self, dst: [u8; 16]) {
        self.dst = Some(dst);
    }
    fn proto(&mut self, proto: u8) {
        self.proto = Some(proto);
    }
    fn length(&mut self, length: u32) {
        self.length = Some(length);
    }
    fn tos(&mut self, tos: u8) {
        self.tos = Some(tos);
    }
    fn ttl(&mut self, ttl: u8) {
        self.ttl = Some(ttl);
    }
    fn id(&mut self, id: u32) {
        self.id = Some(id);
    }
    fn frag(&mut self, frag: u16) {
        self.frag = frag;
    }
    fn upper(&mut self, upper: &Upper) {
        self.upper = *upper;
    }
}

/// A hardware address of 6 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(u64);

impl Mac {
    /// The address of its 6 bytes.
    #[must_use]
    #[inline]
    pub const fn new([a, b, c, d, e, f]: [u8; 6]) -> Self {
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// As one number, the first byte highest.
    #[must_use]
    #[inline]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Its 6 bytes.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        let [_, _, a, b, c, d, e, f] = self.0.to_be_bytes();
        [a, b, c, d, e, f]
    }
}

/// Lower case with colons.
impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.octets();
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
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
