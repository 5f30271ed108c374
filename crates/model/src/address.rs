//! Addresses are 16 bytes in network order, IPv4 as `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2), so that one
//! ordering holds both families and a CIDR is a range of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The 16 bytes of an IPv4 address given as its 4 octets.
#[must_use]
pub const fn addr_from_v4(octets: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = octets;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// The 16 bytes of any address; an IPv4-mapped IPv6 address is that IPv4 address.
#[must_use]
pub const fn addr_from_ip(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => addr_from_v4(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Whether the 16 bytes hold an IPv4 address.
#[must_use]
pub const fn is_v4_mapped(addr: &[u8; 16]) -> bool {
    matches!(addr, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ..])
}

/// The address as a person writes it: IPv4 where the 16 bytes are IPv4-mapped.
#[must_use]
pub const fn addr_to_ip(addr: [u8; 16]) -> IpAddr {
    if is_v4_mapped(&addr) {
        IpAddr::V4(Ipv4Addr::new(addr[12], addr[13], addr[14], addr[15]))
    } else {
        IpAddr::V6(Ipv6Addr::from_octets(addr))
    }
}
