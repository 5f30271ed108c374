//! The words of the kernel's numbers, as the schema lists them.

use crate::nflog;

/// The word of a family.
pub(super) const fn family_word(family: u8) -> &'static str {
    match family {
        nflog::NFPROTO_INET => "inet",
        nflog::NFPROTO_IPV4 => "ip",
        nflog::NFPROTO_ARP => "arp",
        nflog::NFPROTO_NETDEV => "netdev",
        nflog::NFPROTO_BRIDGE => "bridge",
        nflog::NFPROTO_IPV6 => "ip6",
        _ => "unknown",
    }
}

/// The word of a hook: its numbers are those of its family (include/uapi/linux/netfilter*.h).
pub(super) const fn hook_word(family: u8, hook: u8) -> Option<&'static str> {
    Some(match (family, hook) {
        (nflog::NFPROTO_ARP, 0) => "input",
        (nflog::NFPROTO_ARP, 1) => "output",
        (nflog::NFPROTO_ARP, 2) => "forward",
        (nflog::NFPROTO_ARP, _) => return None,
        (nflog::NFPROTO_NETDEV, 0) => "ingress",
        (nflog::NFPROTO_NETDEV, 1) => "egress",
        (nflog::NFPROTO_NETDEV, _) => return None,
        (_, 0) => "prerouting",
        (_, 1) => "input",
        (_, 2) => "forward",
        (_, 3) => "output",
        (_, 4) => "postrouting",
        (nflog::NFPROTO_INET | nflog::NFPROTO_IPV4 | nflog::NFPROTO_IPV6, 5) => "ingress",
        _ => return None,
    })
}

/// The word of `enum ip_conntrack_info`; both directions are one state.
pub(super) const fn ct_word(info: u32) -> Option<&'static str> {
    Some(match info {
        0 | 3 => "established",
        1 | 4 => "related",
        2 | 5 => "new",
        7 => "untracked",
        _ => return None,
    })
}
