use super::{Fields, Icmp, be16, be32, icmp};

/// The header that a network packet carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Upper {
    /// None that is read: another protocol, a later fragment, or nothing captured.
    #[default]
    None,
    /// UDP, UDP-Lite, SCTP, DCCP.
    Ports(Ports),
    /// TCP.
    Tcp(Tcp),
    /// ICMP or ICMPv6.
    Icmp(Icmp),
    /// The operation of ARP.
    Arp(u16),
}

/// The two ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Source.
    pub source: Option<u16>,
    /// Destination.
    pub destination: Option<u16>,
}

/// A TCP header (RFC 9293).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// Its ports.
    pub ports: Ports,
    /// Sequence number.
    pub seq: Option<u32>,
    /// Acknowledgement number, whether or not ACK is set.
    pub ack: Option<u32>,
    /// 1 FIN, 2 SYN, 4 RST, 8 PSH, 16 ACK, 32 URG, 64 ECE, 128 CWR, 256 AE.
    pub flags: Option<u16>,
    /// Window, not scaled.
    pub window: Option<u16>,
}

/// The header of a protocol, from its first byte.
#[inline(always)]
pub(super) fn read(proto: u8, body: &[u8], out: &mut impl Fields) {
    match proto {
        6 => out.upper(&tcp(body)),
        17 | 33 | 132 | 136 => out.upper(&Upper::Ports(ports(body))),
        1 => out.upper(&icmp::v4(body)),
        58 => out.upper(&icmp::v6(body)),
        _ => {}
    }
}

/// The ports of a protocol that has them, from its first byte.
pub(super) fn ports_of(proto: u8, body: &[u8]) -> Ports {
    match proto {
        6 | 17 | 33 | 132 | 136 => ports(body),
        _ => Ports::default(),
    }
}

#[inline(always)]
fn ports(body: &[u8]) -> Ports {
    Ports { source: be16(body, 0), destination: be16(body, 2) }
}

#[inline(always)]
fn tcp(body: &[u8]) -> Upper {
    if let Some(h) = body.first_chunk::<16>() {
        return Upper::Tcp(Tcp {
            ports: Ports {
                source: Some(u16::from_be_bytes([h[0], h[1]])),
                destination: Some(u16::from_be_bytes([h[2], h[3]])),
            },
            seq: Some(u32::from_be_bytes([h[4], h[5], h[6], h[7]])),
            ack: Some(u32::from_be_bytes([h[8], h[9], h[10], h[11]])),
            flags: Some(u16::from_be_bytes([h[12] & 1, h[13]])),
            window: Some(u16::from_be_bytes([h[14], h[15]])),
        });
    }
    Upper::Tcp(Tcp {
        ports: ports(body),
        seq: be32(body, 4),
        ack: be32(body, 8),
        flags: be16(body, 12).map(|f| f & 0x1ff),
        window: None,
    })
}
