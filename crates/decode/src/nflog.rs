//! One NFLOG packet message: `nfgenmsg`, then attributes (include/uapi/linux/netfilter/nfnetlink_log.h).
//!
//! [`NflogPacket::parse`] gives a view that borrows from the datagram; numbers are big endian in the message.
//! An attribute that is too short for its value counts as absent. A malformed tail of attributes keeps what
//! was read before it and is reported in [`NflogPacket::malformed`]. [`NflogPacket::decode`] reads the headers.
//!
//! It does not resolve interface numbers.

use crate::conntrack::{Flow, FlowEvent};
use crate::netlink::{Attrs, Malformed, Message, NfGen};
use crate::packet::{self, Fields, Headers, Mac};
use bartizan_model::Micros;

/// Type of the netlink message of one logged packet: subsystem 4 (nfnetlink_log), message 0.
pub const NFULNL_MSG_PACKET: u16 = 0x0400;

/// `NFPROTO_INET`.
pub const NFPROTO_INET: u8 = 1;
/// `NFPROTO_IPV4`.
pub const NFPROTO_IPV4: u8 = 2;
/// `NFPROTO_ARP`.
pub const NFPROTO_ARP: u8 = 3;
/// `NFPROTO_NETDEV`.
pub const NFPROTO_NETDEV: u8 = 5;
/// `NFPROTO_BRIDGE`.
pub const NFPROTO_BRIDGE: u8 = 7;
/// `NFPROTO_IPV6`.
pub const NFPROTO_IPV6: u8 = 10;

const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
const NF_NETDEV_EGRESS: u8 = 1;
const SMALLEST_ETHER_TYPE: u16 = 0x0600;

/// A message without an `nfgenmsg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nflog message of {len} bytes has no nfgenmsg")]
pub struct NoHeader {
    /// Bytes of its payload.
    pub len: usize,
}

/// One logged packet, borrowed from its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NflogPacket<'a> {
    /// `NFPROTO_*`, from `nfgenmsg`.
    pub family: u8,
    /// The NFLOG group, from `nfgenmsg`.
    pub group: u16,
    /// `PACKET_HDR`: the kernel's protocol of the packet, an EtherType or a pseudo type under 0x0600.
    pub hw_protocol: Option<u16>,
    /// `PACKET_HDR`: the hook's number in its family.
    pub hook: Option<u8>,
    /// `MARK`, which the kernel sends when it is not 0.
    pub mark: Option<u32>,
    /// `TIMESTAMP`: when the packet arrived. Absent for packets that the host made itself.
    pub timestamp: Option<Micros>,
    /// `IFINDEX_INDEV`.
    pub in_dev: Option<u32>,
    /// `IFINDEX_OUTDEV`.
    pub out_dev: Option<u32>,
    /// `IFINDEX_PHYSINDEV`: the bridge port.
    pub phys_in_dev: Option<u32>,
    /// `IFINDEX_PHYSOUTDEV`: the bridge port.
    pub phys_out_dev: Option<u32>,
    /// `HWADDR`: the source hardware address, at most 8 bytes.
    pub hw_addr: Option<&'a [u8]>,
    /// `HWTYPE`: `ARPHRD_*` of the input device.
    pub hw_type: Option<u16>,
    /// `HWLEN`: length of the device's header.
    pub hw_len: Option<u16>,
    /// `HWHEADER`: the device's header.
    pub hw_header: Option<&'a [u8]>,
    /// `L2HDR`: the header before the payload, in the bridge and netdev families.
    pub l2_header: Option<&'a [u8]>,
    /// `VLAN`: the EtherType of the tag that was taken off.
    pub vlan_proto: Option<u16>,
    /// `VLAN`: priority and id of that tag.
    pub vlan_tci: Option<u16>,
    /// `PAYLOAD`: the captured packet.
    pub payload: Option<&'a [u8]>,
    /// `PREFIX` as it was sent, with its NUL: [`until_nul`](crate::netlink::until_nul) gives the text.
    pub prefix: Option<&'a [u8]>,
    /// `UID` of the local socket.
    pub uid: Option<u32>,
    /// `GID` of the local socket.
    pub gid: Option<u32>,
    /// `SEQ`: number in the group.
    pub seq: Option<u32>,
    /// `SEQ_GLOBAL`: number over all groups of the network namespace.
    pub seq_global: Option<u32>,
    /// `CT`: conntrack's attributes; [`NflogPacket::conntrack`] reads them.
    pub ct: Option<&'a [u8]>,
    /// `CT_INFO`: `enum ip_conntrack_info`.
    pub ct_info: Option<u32>,
    /// Where the attributes stopped being attributes.
    pub malformed: Option<Malformed>,
}

/// What the link layer says of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Source hardware address.
    pub mac_src: Option<Mac>,
    /// Destination hardware address.
    pub mac_dst: Option<Mac>,
    /// EtherType, after VLAN tags.
    pub ether_type: Option<u16>,
    /// VLAN id of the outermost tag.
    pub vlan: Option<u16>,
}

impl<'a> NflogPacket<'a> {
    /// The packet of a netlink message; `None` when the message is something else.
    ///
    /// The view is large: match on a reference to the result (`if let Some(Ok(packet)) = &...`), because to
    /// move it out costs a quarter of what it takes to read it.
    #[inline(always)]
    pub fn from_message(message: &Message<'a>) -> Option<Result<Self, NoHeader>> {
        if message.kind == NFULNL_MSG_PACKET { Some(Self::parse(message)) } else { None }
    }

    /// Reads a message of type [`NFULNL_MSG_PACKET`]; the type is not looked at.
    ///
    /// # Errors
    /// When the payload is too short for an `nfgenmsg`.
    #[inline(always)]
    pub fn parse(message: &Message<'a>) -> Result<Self, NoHeader> {
        let Some((NfGen { family, res_id, .. }, attrs)) = message.nfgen() else {
            return Err(NoHeader { len: message.payload.len() });
        };
        let mut p = Self { family, group: res_id, ..Self::default() };
        for attr in attrs {
            let attr = match attr {
                Ok(attr) => attr,
                Err(malformed) => {
                    p.malformed = Some(malformed);
                    break;
                }
            };
            match attr.kind {
                1 => {
                    if let Some([hi, lo, hook]) = attr.payload.first_chunk() {
                        p.hw_protocol = Some(u16::from_be_bytes([*hi, *lo]));
                        p.hook = Some(*hook);
                    }
                }
                2 => p.mark = attr.be32(),
                3 => p.timestamp = timestamp(attr.payload),
                4 => p.in_dev = attr.be32(),
                5 => p.out_dev = attr.be32(),
                6 => p.phys_in_dev = attr.be32(),
                7 => p.phys_out_dev = attr.be32(),
                8 => p.hw_addr = hw_addr(attr.payload),
                9 => p.payload = Some(attr.payload),
                10 => p.prefix = Some(attr.payload),
                11 => p.uid = attr.be32(),
                12 => p.seq = attr.be32(),
                13 => p.seq_global = attr.be32(),
                14 => p.gid = attr.be32(),
                15 => p.hw_type = attr.be16(),
                16 => p.hw_header = Some(attr.payload),
                17 => p.hw_len = attr.be16(),
                18 => p.ct = Some(attr.payload),
                19 => p.ct_info = attr.be32(),
                20 => {
                    for inner in attr.attrs().flatten() {
                        match inner.kind {
                            1 => p.vlan_proto = inner.be16(),
                            2 => p.vlan_tci = inner.be16(),
                            _ => {}
                        }
                    }
                }
                21 => p.l2_header = Some(attr.payload),
                _ => {}
            }
        }
        Ok(p)
    }

    /// Reads the link and packet headers.
    ///
    /// The payload starts at the network header, with two exceptions: a second VLAN tag stays in front of it
    /// (the kernel takes off one), and on the netdev egress hook it starts at the Ethernet header.
    #[must_use]
    pub fn decode(&self) -> (Link, Headers) {
        let mut headers = Headers::default();
        let link = self.decode_into(&mut headers);
        (link, headers)
    }

    /// As [`decode`](Self::decode), without keeping the headers.
    #[inline(always)]
    pub fn decode_into(&self, fields: &mut impl Fields) -> Link {
        let payload = self.payload.unwrap_or_default();
        let mut link = self.link();
        match self.family {
            NFPROTO_IPV4 => packet::read_ipv4(payload, fields),
            NFPROTO_IPV6 => packet::read_ipv6(payload, fields),
            NFPROTO_ARP => packet::read_arp(payload, fields),
            _ => self.by_ether_type(&mut link, payload, fields),
        }
        link
    }

    /// The captured packet from its network header on: on the netdev egress hook a frame comes before it.
    #[must_use]
    pub fn network_packet(&self) -> Option<&'a [u8]> {
        let payload = self.payload?;
        Some(self.egress_frame(payload).map_or(payload, |frame| frame.payload))
    }

    /// What conntrack knows of the packet's connection, where it was asked for.
    #[must_use]
    pub fn conntrack(&self) -> Option<Flow<'a>> {
        self.ct.map(|ct| Flow::read(FlowEvent::Dump, self.family, Attrs::new(ct)))
    }

    #[inline(always)]
    fn link(&self) -> Link {
        let mut link = Link {
            ether_type: self.hw_protocol.filter(|t| *t >= SMALLEST_ETHER_TYPE),
            vlan: self.vlan_tci.map(|tci| tci & 0x0fff),
            ..Link::default()
        };
        if matches!(self.hw_type, None | Some(ARPHRD_ETHER | ARPHRD_LOOPBACK)) {
            if let Some(header) = self.l2_header.or(self.hw_header) {
                link.add_frame(&packet::ethernet(header));
            }
            if link.mac_src.is_none() {
                link.mac_src = self.hw_addr.and_then(|a| a.try_into().ok()).map(Mac::new);
            }
        }
        link
    }

    #[inline(never)]
    fn by_ether_type(&self, link: &mut Link, payload: &[u8], fields: &mut impl Fields) {
        let rest;
        if let Some(frame) = self.egress_frame(payload) {
            link.add_frame(&frame);
            link.ether_type = frame.ether_type;
            rest = frame.payload;
        } else {
            let Some(ether_type) = self.hw_protocol else { return };
            let vlan;
            (vlan, link.ether_type, rest) = packet::vlan_tags(ether_type, payload);
            link.vlan = link.vlan.or(vlan);
        }
        if let Some(ether_type) = link.ether_type {
            packet::read_network(ether_type, rest, fields);
        }
    }

    /// On egress the payload is a whole frame. It is believed when it starts with the header that is sent
    /// beside it, or, without one, when its EtherType is the one that the kernel names and the IP version fits.
    fn egress_frame(&self, payload: &'a [u8]) -> Option<packet::Frame<'a>> {
        if self.family != NFPROTO_NETDEV || self.hook != Some(NF_NETDEV_EGRESS) {
            return None;
        }
        if let Some(header) = self.l2_header {
            return payload.starts_with(header).then(|| packet::ethernet(payload));
        }
        let [hi, lo, first] = *payload.get(12..)?.first_chunk()?;
        let ether_type = u16::from_be_bytes([hi, lo]);
        let fits = match ether_type {
            packet::ETHER_IPV4 => first >> 4 == 4,
            packet::ETHER_IPV6 => first >> 4 == 6,
            _ => true,
        };
        (self.hw_protocol == Some(ether_type) && fits).then(|| packet::ethernet(payload))
    }
}

impl Link {
    #[inline(always)]
    fn add_frame(&mut self, frame: &packet::Frame<'_>) {
        self.mac_src = frame.src;
        self.mac_dst = frame.dst;
        self.vlan = self.vlan.or(frame.vlan);
        self.ether_type = self.ether_type.or(frame.ether_type);
    }
}

/// `struct nfulnl_msg_packet_timestamp`: seconds and microseconds, 8 bytes each.
fn timestamp(payload: &[u8]) -> Option<Micros> {
    let (secs, rest) = payload.split_first_chunk::<8>()?;
    let micros = rest.first_chunk::<8>()?;
    Some(Micros::from_parts(i64::from_be_bytes(*secs), i64::from_be_bytes(*micros)))
}

/// `struct nfulnl_msg_packet_hw`: the address's length, padding, the address.
fn hw_addr(payload: &[u8]) -> Option<&[u8]> {
    let (head, address) = payload.split_first_chunk::<4>()?;
    address.get(..usize::from(u16::from_be_bytes([head[0], head[1]])))
}
