//! Made-up countries of made-up addresses: every /16 of IPv4 and every /32 of IPv6 is in one of 40.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Countries, those in front with more networks.
#[rustfmt::skip]
const COUNTRIES: [&str; 40] = [
    "US", "CN", "NL", "DE", "RU", "IN", "BR", "VN", "GB", "FR", "SG", "HK", "KR", "TW", "JP", "CA", "ID", "IR", "UA",
    "BG", "RO", "PL", "TR", "IT", "ES", "SE", "AU", "ZA", "MX", "AR", "TH", "PK", "BD", "EG", "CZ", "CH", "LT", "LV",
    "SC", "PA",
];

/// The country of an address; none for addresses of ours, of neighbours and of examples.
pub(super) fn country(address: u128) -> Option<&'static str> {
    if address >> 32 == 0xffff { v4((address >> 16) as u16) } else { v6((address >> 96) as u32) }
}

fn v4(net: u16) -> Option<&'static str> {
    let ours = matches!(net >> 8, 0 | 10 | 127 | 192 | 198 | 203 | 224..) || net == 0xac11;
    (!ours).then(|| named(u64::from(net)))
}

fn v6(net: u32) -> Option<&'static str> {
    let known = matches!(net >> 12, 0x2_a030 | 0x2_6000 | 0x2_0010 | 0x2_a010) && net != 0x2001_0db8;
    known.then(|| named(u64::from(net) << 16))
}

fn named(net: u64) -> &'static str {
    let mixed = (net + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let unit =
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / (1_u64 << 24) as f64;
    COUNTRIES[(unit * unit * COUNTRIES.len() as f64) as usize]
}

/// All of it as lines of first address, last address and country, with tabs between (the form of iptoasn.com).
pub(crate) fn ranges() -> String {
    let mut out = String::with_capacity(4 << 20);
    for net in 0..=u16::MAX {
        if let Some(country) = v4(net) {
            let first = u32::from(net) << 16;
            let (first, last) = (Ipv4Addr::from(first), Ipv4Addr::from(first | 0xffff));
            writeln!(out, "{first}\t{last}\t{country}").expect("a text takes all");
        }
    }
    for start in [0x2001_0000_u32, 0x2600_0000, 0x2a01_0000, 0x2a03_0000] {
        for net in start..start + 4096 {
            if let Some(country) = v6(net) {
                let first = u128::from(net) << 96;
                let (first, last) = (Ipv6Addr::from(first), Ipv6Addr::from(first | (u128::MAX >> 32)));
                writeln!(out, "{first}\t{last}\t{country}").expect("a text takes all");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn ranges_say_what_country_says() {
        let text = ranges();
        let of = |address: &str| -> Option<&str> {
            let address: IpAddr = address.parse().unwrap();
            text.lines().find_map(|line| {
                let (first, rest) = line.split_once('\t')?;
                let (last, country) = rest.split_once('\t')?;
                let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
                (first <= address && address <= last && first.is_ipv4() == address.is_ipv4())
                    .then_some(country)
            })
        };
        for address in
            ["8.8.8.8", "1.2.3.4", "10.1.2.3", "203.0.113.9", "2a03:1::1", "2001:db8::1", "fe80::1"]
        {
            let ip: IpAddr = address.parse().unwrap();
            let number = u128::from_be_bytes(bartizan_model::addr_from_ip(ip));
            assert_eq!(of(address), country(number), "{address}");
        }
        assert!(country(0xffff_0808_0808).is_some());
    }
}
