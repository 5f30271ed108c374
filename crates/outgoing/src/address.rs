//! Which addresses are of the public internet: those that nobody has set aside (IANA's registries of special-purpose
//! addresses, RFC 6890), and that no cloud uses for what it tells its machines.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of IPv4, and what it is.
const V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "of this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "shared by a provider's customers"),
    ([127, 0, 0, 0], 8, "this machine"),
    ([168, 63, 129, 16], 32, "a cloud's own service"),
    ([169, 254, 0, 0], 16, "link-local, as clouds' services of credentials are"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 31, 196, 0], 24, "reserved"),
    ([192, 52, 193, 0], 24, "reserved"),
    ([192, 88, 99, 0], 24, "reserved"),
    ([192, 168, 0, 0], 16, "private"),
    ([192, 175, 48, 0], 24, "reserved"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];

/// A network of IPv6 within or without 2000::/3, and what it is. What is in none of these and not in 2000::/3 is
/// reserved as well.
const V6: &[([u16; 8], u32, &str)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "this machine"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "translated to IPv4 in a way of the network's own"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "reserved"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "for documentation"),
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "reserved"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "for documentation"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "private"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

/// What an address is that is not of the public internet. An IPv6 address that stands for one of IPv4 is what that is.
pub(crate) fn special(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => match translated(v6) {
            Some(v4) => special_v4(v4),
            None => special_v6(v6),
        },
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let within = |(net, length, _): &&([u8; 4], u32, &str)| {
        (ip.to_bits() ^ Ipv4Addr::from(*net).to_bits()) >> (32 - length) == 0
    };
    V4.iter().find(within).map(|(.., what)| *what)
}

fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let within = |(net, length, _): &&([u16; 8], u32, &str)| {
        (ip.to_bits() ^ Ipv6Addr::from(*net).to_bits()) >> (128 - length) == 0
    };
    let listed = V6.iter().find(within).map(|(.., what)| *what);
    let is_global = ip.to_bits() >> 125 == 1;
    listed.or_else(|| (!is_global).then_some("reserved"))
}

/// The IPv4 address to which a translator on the way sends what is for this one: NAT64 (64:ff9b::/96), 6to4 (2002::/16).
fn translated(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => Some(v4(g, h)),
        (0x2002, _) => Some(v4(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_public_and_what_is_not() {
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::",
            "2001:200::1",
            "2001:dc8::1",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ];
        for text in public {
            assert_eq!(special(text.parse().unwrap()), None, "{text}");
        }
        for (text, what) in [
            ("0.0.0.0", "of this network"),
            ("0.1.2.3", "of this network"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "shared"),
            ("100.100.100.200", "shared"),
            ("100.127.255.255", "shared"),
            ("127.0.0.1", "this machine"),
            ("127.255.255.254", "this machine"),
            ("168.63.129.16", "a cloud's own"),
            ("169.254.0.1", "link-local"),
            ("169.254.169.254", "link-local"),
            ("169.254.170.2", "link-local"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.192", "reserved"),
            ("192.0.2.1", "for documentation"),
            ("192.88.99.1", "reserved"),
            ("192.168.0.1", "private"),
            ("198.18.0.1", "for benchmarks"),
            ("198.19.255.255", "for benchmarks"),
            ("198.51.100.7", "for documentation"),
            ("203.0.113.7", "for documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "this machine"),
            ("::127.0.0.1", "reserved"),
            ("::ffff:127.0.0.1", "this machine"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::ffff:0:10.0.0.1", "reserved"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b::a9fe:a9fe", "link-local"),
            ("64:ff9b:1::8.8.8.8", "translated"),
            ("64:ff9b:0:1::8.8.8.8", "reserved"),
            ("100::1", "reserved"),
            ("2001::1", "reserved"),
            ("2001:2::1", "reserved"),
            ("2001:10::1", "reserved"),
            ("2001:db8::1", "for documentation"),
            ("2002:7f00:1::", "this machine"),
            ("2002:a00:1::1", "private"),
            ("2002:a9fe:a9fe::", "link-local"),
            ("3fff::1", "for documentation"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fd20:ce::254", "private"),
            ("fe80::1", "link-local"),
            ("fe80::a9fe:a9fe", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "private"),
            ("ff02::1", "multicast"),
        ] {
            let found = special(text.parse().unwrap());
            assert!(found.is_some_and(|found| found.starts_with(what)), "{text}: {found:?}");
        }
    }

    proptest! {
        /// What the standard library knows of an address is nowhere more than what is known here.
        #[test]
        fn no_address_that_std_calls_special_is_public(bits: u32, embedding in 0..4_u8) {
            let v4 = Ipv4Addr::from_bits(bits);
            let ip = match embedding {
                0 => IpAddr::V4(v4),
                1 => IpAddr::V6(v4.to_ipv6_mapped()),
                2 => IpAddr::V6(Ipv6Addr::from_bits(0x64_ff9b << 96 | u128::from(bits))),
                _ => IpAddr::V6(Ipv6Addr::from_bits(0x2002 << 112 | u128::from(bits) << 80 | 7)),
            };
            let is_special = v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_unspecified();
            prop_assert!(!is_special || special(ip).is_some(), "{ip}");
            // An address means the same in every clothing.
            prop_assert_eq!(special(ip), special(IpAddr::V4(v4)));
        }

        #[test]
        fn only_global_unicast_of_ipv6_is_public(bits: u128) {
            let ip = Ipv6Addr::from_bits(bits);
            if special(IpAddr::V6(ip)).is_none() && ip.to_ipv4_mapped().is_none() {
                prop_assert!(bits >> 125 == 1 || bits >> 32 == 0x64_ff9b << 64, "{ip}");
                prop_assert!(!ip.is_unique_local() && !ip.is_unicast_link_local() && !ip.is_multicast(), "{ip}");
            }
        }
    }
}
