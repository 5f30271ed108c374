//! Which connections are of interest, for the kernel and for us.

use crate::bpf::{self, Program};
use bartizan_decode::conntrack::Flow;
use std::{fmt, net::IpAddr, str::FromStr};

const NFNL_SUBSYS_CTNETLINK: u8 = 1;
const CTA_TUPLE_ORIG: u32 = 1;
const CTA_TUPLE_REPLY: u32 = 2;
const CTA_TUPLE_IP: u32 = 1;
const CTA_TUPLE_PROTO: u32 = 2;
const CTA_IP_V4_SRC: u32 = 1;
const CTA_IP_V4_DST: u32 = 2;
const CTA_IP_V6_SRC: u32 = 3;
const CTA_IP_V6_DST: u32 = 4;
const CTA_PROTO_NUM: u32 = 1;
/// Where an attribute's value starts.
const VALUE: u32 = 4;

/// Connections of these protocols and networks; an empty list is every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConntrackFilter {
    /// IP protocols.
    pub protocols: Vec<u8>,
    /// Networks, of which the connection has an address on either side, before or after translation.
    pub networks: Vec<Network>,
}

/// A network: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address, IPv4 as `::ffff:a.b.c.d`.
    pub addr: [u8; 16],
    /// The length of its prefix in these 16 bytes: 96 more than IPv4 says.
    pub bits: u8,
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network such as 192.0.2.0/24")]
pub struct ParseNetworkError;

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let (addr, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let addr: IpAddr = addr.parse().map_err(|_| ParseNetworkError)?;
        let (octets, before) = match addr {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), 96),
            IpAddr::V6(v6) => (v6.octets(), 0),
        };
        let own = match bits {
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().map_err(|_| ParseNetworkError)?
            }
            Some(_) => return Err(ParseNetworkError),
            None => 128 - before,
        };
        let bits = before + own;
        if own > 128 - before {
            return Err(ParseNetworkError);
        }
        let mask = u128::MAX.checked_shl(u32::from(128 - bits)).unwrap_or(0);
        Ok(Self { addr: (u128::from_be_bytes(octets) & mask).to_be_bytes(), bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.v4() {
            Some((addr, bits)) => write!(f, "{}/{bits}", std::net::Ipv4Addr::from_octets(addr)),
            None => write!(f, "{}/{}", std::net::Ipv6Addr::from_octets(self.addr), self.bits),
        }
    }
}

impl Network {
    /// Its address and prefix in IPv4; `None` when it is one of IPv6.
    fn v4(&self) -> Option<([u8; 4], u8)> {
        let [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] = self.addr else { return None };
        Some(([a, b, c, d], self.bits.checked_sub(96)?))
    }

    /// The words of its prefix, with the mask of each.
    fn words(&self) -> Vec<(u32, u32)> {
        let (bytes, bits) = match &self.v4() {
            Some((addr, bits)) => (addr.to_vec(), u32::from(*bits)),
            None => (self.addr.to_vec(), u32::from(self.bits)),
        };
        let words = bytes.chunks_exact(4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
        let masks = (0..).map(|at| {
            let left = bits.saturating_sub(at * 32).min(32);
            u32::MAX.checked_shl(32 - left).unwrap_or(0)
        });
        words.zip(masks).filter(|(_, mask)| *mask != 0).collect()
    }
}

impl ConntrackFilter {
    /// Whether a report is of interest. What the kernel's filter let through can still be refused here.
    #[must_use]
    pub fn takes(&self, flow: &Flow<'_>) -> bool {
        let proto = self.protocols.is_empty() || flow.orig.proto.is_some_and(|p| self.protocols.contains(&p));
        proto && (self.networks.is_empty() || self.networks.iter().any(|n| flow.touches(&n.addr, n.bits)))
    }

    /// The filter as a program of the kernel's. Where it does not fit, or a message is not as expected, the
    /// program lets through and [`ConntrackFilter::takes`] decides.
    pub(super) fn program(&self) -> Option<Program> {
        if self.protocols.is_empty() && self.networks.is_empty() {
            return None;
        }
        let whole = self.program_with(&self.networks);
        if whole.here() <= bpf::MAX_LEN { Some(whole) } else { Some(self.program_with(&[])) }
    }

    fn program_with(&self, networks: &[Network]) -> Program {
        let mut p = Program::new();
        p.load_byte(bpf::SUBSYSTEM);
        p.unless_equal_return(u32::from(NFNL_SUBSYS_CTNETLINK), bpf::TAKE);
        if !self.protocols.is_empty() {
            p.find(CTA_TUPLE_ORIG);
            p.if_equal_return(0, bpf::TAKE);
            p.find_inside(CTA_TUPLE_PROTO);
            p.if_equal_return(0, bpf::TAKE);
            p.find_inside(CTA_PROTO_NUM);
            p.if_equal_return(0, bpf::TAKE);
            p.base();
            p.load_byte_at(VALUE);
            let mut protocols = self.protocols.clone();
            protocols.sort_unstable();
            protocols.dedup();
            let found: Vec<_> = protocols.iter().map(|proto| p.if_equal_jump(u32::from(*proto))).collect();
            p.give(bpf::DROP);
            found.into_iter().for_each(|jump| p.land(jump));
        }
        if networks.is_empty() {
            p.give(bpf::TAKE);
            return p;
        }
        let of = |v4: bool| -> Vec<_> {
            networks.iter().filter(|n| n.v4().is_some() == v4).map(Network::words).collect()
        };
        let sides = [(of(true), [CTA_IP_V4_SRC, CTA_IP_V4_DST]), (of(false), [CTA_IP_V6_SRC, CTA_IP_V6_DST])];
        for tuple in [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY] {
            p.find(tuple);
            p.if_equal_return(0, bpf::TAKE);
            p.find_inside(CTA_TUPLE_IP);
            p.if_equal_return(0, bpf::TAKE);
            p.store(0);
            for (networks, ends) in sides.iter().filter(|(networks, _)| !networks.is_empty()) {
                for end in ends {
                    p.recall(0);
                    p.find_inside(*end);
                    // Of the other family.
                    let other = p.if_equal_jump(0);
                    p.base();
                    networks.iter().for_each(|words| take_if_in(&mut p, words));
                    p.land(other);
                }
            }
        }
        p.give(bpf::DROP);
        p
    }
}

/// Takes the datagram if the address at the base lies in the network of these words.
fn take_if_in(p: &mut Program, words: &[(u32, u32)]) {
    let mut outside = Vec::new();
    for ((word, mask), offset) in words.iter().zip((VALUE..).step_by(4)) {
        p.load_word_at(offset);
        if *mask != u32::MAX {
            p.and(*mask);
        }
        outside.push(p.unless_equal_jump(word & mask));
    }
    p.give(bpf::TAKE);
    outside.into_iter().for_each(|jump| p.land(jump));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_parse_and_print() {
        for (text, shown) in [
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("fe80::1", "fe80::1/128"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), shown);
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "host/8", "10.0.0.0/256"] {
            assert_eq!(text.parse::<Network>(), Err(ParseNetworkError), "{text}");
        }
    }

    #[test]
    fn a_filter_of_many_networks_is_left_to_us() {
        let networks =
            |n: u32| (0..n).map(|i| Network { addr: u128::from(i).to_be_bytes(), bits: 128 }).collect();
        let some = ConntrackFilter { protocols: vec![6], networks: networks(50) };
        let long = some.program().unwrap().here();
        assert!((1000..=bpf::MAX_LEN).contains(&long), "{long}");
        let many = ConntrackFilter { protocols: vec![6], networks: networks(500) };
        assert!(many.program().unwrap().here() < 50);
        assert!(ConntrackFilter::default().program().is_none());
    }
}
