//! Networks of senders.

use bartizan_model::addr_from_ip;
use std::net::IpAddr;

/// A network: addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    bits: u128,
    mask: u128,
}

impl Network {
    /// `10.0.0.0/8`, or one address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let ip: IpAddr = address.trim().parse().ok()?;
        // IPv4 is the last 32 of the 128 bits
        let (most, before) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
        let length = match length {
            Some(length) => length.trim().parse::<u32>().ok().filter(|n| *n <= most)?,
            None => most,
        };
        let mask = u128::MAX.checked_shl(128 - before - length).unwrap_or(0);
        Some(Self { bits: number(ip) & mask, mask })
    }

    /// Whether an address is in it.
    pub(crate) fn holds(&self, ip: IpAddr) -> bool {
        number(ip) & self.mask == self.bits
    }
}

fn number(ip: IpAddr) -> u128 {
    u128::from_be_bytes(addr_from_ip(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_networks_or_not() {
        let holds = |network: &str, ip: &str| Network::parse(network).unwrap().holds(ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.4"));
        assert!(holds("10.1.2.3/8", "10.9.9.9") && holds("0.0.0.0/0", "1.2.3.4") && holds("::/0", "fe80::1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1") && !holds("0.0.0.0/0", "fe80::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::1"));
        for bad in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
