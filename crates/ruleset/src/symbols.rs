//! The names that nft and iptables print for numbers.

/// The number of a protocol's name.
pub(crate) fn protocol(name: &str) -> Option<u128> {
    Some(match name {
        "ip" | "hopopt" | "hbh" => 0,
        "icmp" => 1,
        "igmp" => 2,
        "ipencap" => 4,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "ipv6" => 41,
        "ipv6-route" | "rt" => 43,
        "ipv6-frag" | "frag" => 44,
        "gre" => 47,
        "esp" | "ipsec-esp" => 50,
        "ah" | "ipsec-ah" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "ipv6-nonxt" => 59,
        "ipv6-opts" | "dst" => 60,
        "eigrp" => 88,
        "ospf" | "ospfigp" => 89,
        "ipip" => 94,
        "pim" => 103,
        "comp" | "ipcomp" => 108,
        "vrrp" => 112,
        "l2tp" => 115,
        "sctp" => 132,
        "mh" | "mobility-header" | "ipv6-mh" => 135,
        "udplite" => 136,
        _ => return None,
    })
}

/// The number of an EtherType's name.
pub(crate) fn ether_type(name: &str) -> Option<u128> {
    Some(match name {
        "ip" => 0x0800,
        "arp" => 0x0806,
        "ip6" => 0x86dd,
        "vlan" | "8021q" => 0x8100,
        "8021ad" => 0x88a8,
        _ => return None,
    })
}

/// The number of `meta nfproto`'s name.
pub(crate) fn nfproto(name: &str) -> Option<u128> {
    Some(match name {
        "ipv4" => 2,
        "ipv6" => 10,
        _ => return None,
    })
}

/// The bit of a TCP flag, as in the column `tcp_flags`.
pub(crate) fn tcp_flag(name: &str) -> Option<u128> {
    const FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
    let other = |name: &str| name.eq_ignore_ascii_case("ece").then_some(6);
    let at = FLAGS.iter().position(|f| f.eq_ignore_ascii_case(name)).or_else(|| other(name))?;
    Some(1 << at)
}

/// The bit of a conntrack state, as nft counts them.
pub(crate) fn ct_state(name: &str) -> Option<u128> {
    const STATES: [(&str, u128); 5] =
        [("invalid", 1), ("established", 2), ("related", 4), ("new", 8), ("untracked", 64)];
    STATES.iter().find(|(word, _)| word.eq_ignore_ascii_case(name)).map(|(_, bit)| *bit)
}

/// The number of an ICMP type's name.
pub(crate) fn icmp_type(name: &str) -> Option<u128> {
    Some(match name {
        "echo-reply" => 0,
        "destination-unreachable" => 3,
        "source-quench" => 4,
        "redirect" => 5,
        "echo-request" => 8,
        "router-advertisement" => 9,
        "router-solicitation" => 10,
        "time-exceeded" => 11,
        "parameter-problem" => 12,
        "timestamp-request" => 13,
        "timestamp-reply" => 14,
        "info-request" => 15,
        "info-reply" => 16,
        "address-mask-request" => 17,
        "address-mask-reply" => 18,
        _ => return None,
    })
}

/// The number of an ICMPv6 type's name.
pub(crate) fn icmp6_type(name: &str) -> Option<u128> {
    Some(match name {
        "destination-unreachable" => 1,
        "packet-too-big" => 2,
        "time-exceeded" => 3,
        "parameter-problem" => 4,
        "echo-request" => 128,
        "echo-reply" => 129,
        "mld-listener-query" => 130,
        "mld-listener-report" => 131,
        "mld-listener-done" | "mld-listener-reduction" => 132,
        "nd-router-solicit" => 133,
        "nd-router-advert" => 134,
        "nd-neighbor-solicit" => 135,
        "nd-neighbor-advert" => 136,
        "nd-redirect" => 137,
        "router-renumbering" => 138,
        "ind-neighbor-solicit" => 141,
        "ind-neighbor-advert" => 142,
        "mld2-listener-report" => 143,
        _ => return None,
    })
}

/// The number of an ICMP code's name.
pub(crate) fn icmp_code(name: &str) -> Option<u128> {
    Some(match name {
        "net-unreachable" => 0,
        "host-unreachable" => 1,
        "prot-unreachable" => 2,
        "port-unreachable" => 3,
        "frag-needed" => 4,
        "net-prohibited" => 9,
        "host-prohibited" => 10,
        "admin-prohibited" => 13,
        _ => return None,
    })
}

/// The number of an ICMPv6 code's name.
pub(crate) fn icmp6_code(name: &str) -> Option<u128> {
    Some(match name {
        "no-route" => 0,
        "admin-prohibited" => 1,
        "addr-unreachable" => 3,
        "port-unreachable" => 4,
        "policy-fail" => 5,
        "reject-route" => 6,
        _ => return None,
    })
}

/// The number of a DSCP's name.
pub(crate) fn dscp(name: &str) -> Option<u128> {
    let digit = |text: &str| text.parse::<u8>().ok().filter(|n| *n < 8).map(u128::from);
    match name {
        "df" | "be" => return Some(0),
        "lephb" => return Some(1),
        "va" => return Some(44),
        "ef" => return Some(46),
        _ => {}
    }
    if let Some(class) = name.strip_prefix("cs") {
        return digit(class).map(|n| n * 8);
    }
    let (class, low) = name.strip_prefix("af")?.split_at_checked(1)?;
    Some(digit(class)? * 8 + digit(low)? * 2)
}

/// The number of an ARP operation's name.
pub(crate) fn arp_operation(name: &str) -> Option<u128> {
    Some(match name {
        "request" => 1,
        "reply" => 2,
        "rrequest" => 3,
        "rreply" => 4,
        "inrequest" => 8,
        "inreply" => 9,
        "nak" => 10,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(dscp("cs1"), Some(8));
        assert_eq!(dscp("af41"), Some(34));
        assert_eq!((dscp("af"), dscp("ä"), dscp("cs9")), (None, None, None));
        assert_eq!(tcp_flag("SYN").zip(tcp_flag("ece")), Some((2, 64)));
        assert_eq!(ct_state("ESTABLISHED"), Some(2));
    }
}
