//! A ruleset as it is walked: chains of rules, rules of steps.
//!
//! Everything that a condition compares is a number of at most 128 bits: addresses, ports, flags, and interface
//! names as their 16 bytes, so that a wildcard is a range like any other.

use crate::Family;
use std::sync::Arc;

/// Where a chain hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Ingress,
    Egress,
}

impl Hook {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Prerouting, "prerouting"),
        (Self::Input, "input"),
        (Self::Forward, "forward"),
        (Self::Output, "output"),
        (Self::Postrouting, "postrouting"),
        (Self::Ingress, "ingress"),
        (Self::Egress, "egress"),
    ];

    /// The hook of a word in any case: iptables writes its built-in chains in capitals.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w)| w.eq_ignore_ascii_case(word)).map(|(hook, _)| *hook)
    }
}

/// What a condition reads of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    InIf,
    OutIf,
    /// The bridge and not its port, in the family `bridge`.
    InBridge,
    OutBridge,
    PhysIn,
    PhysOut,
    Src4,
    Dst4,
    Src6,
    Dst6,
    /// After extension headers.
    Proto,
    /// The same of an IPv4 packet.
    Proto4,
    /// The IPv6 header's own field, which may name an extension header.
    NextHeader,
    EtherType,
    NfProto,
    /// Ports of a protocol; 0 is any that has ports.
    Sport(u8),
    Dport(u8),
    TcpFlags,
    IcmpType,
    IcmpCode,
    Icmp6Type,
    Icmp6Code,
    Ttl4,
    Ttl6,
    Dscp4,
    Dscp6,
    Tos,
    Length4,
    Id4,
    /// Flags and offset, as in the IPv4 header.
    Frag4,
    Version,
    Mark,
    Uid,
    Gid,
    CtState,
    MacSrc,
    MacDst,
    Vlan,
    ArpOperation,
    ArpSrc,
    ArpDst,
}

/// Sorted ranges of numbers, both ends inclusive, that do not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges(Arc<[(u128, u128)]>);

impl Ranges {
    pub(crate) fn new(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.retain(|(lo, hi)| lo <= hi);
        ranges.sort_unstable();
        let mut out: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (lo, hi) in ranges {
            match out.last_mut() {
                Some(last) if lo <= last.1.saturating_add(1) => last.1 = last.1.max(hi),
                _ => out.push((lo, hi)),
            }
        }
        Self(out.into())
    }

    /// The numbers at which one comes in or goes out of these.
    pub(crate) fn edges(&self) -> impl Iterator<Item = u128> {
        self.0.iter().flat_map(|(low, high)| [Some(*low), high.checked_add(1)]).flatten()
    }

    /// All of the numbers of several.
    pub(crate) fn join(all: &[Self]) -> Self {
        Self::new(all.iter().flat_map(|r| r.0.iter().copied()).collect())
    }

    pub(crate) fn one(value: u128) -> Self {
        Self(Arc::new([(value, value)]))
    }

    pub(crate) fn contains(&self, value: u128) -> bool {
        let after = self.0.partition_point(|(lo, _)| *lo <= value);
        after > 0 && value <= self.0[after - 1].1
    }

    /// Whether every number of these is one of the others.
    pub(crate) fn within(&self, other: &Self) -> bool {
        self.0.iter().all(|(lo, hi)| {
            let after = other.0.partition_point(|(l, _)| l <= lo);
            after > 0 && *hi <= other.0[after - 1].1
        })
    }

    /// Whether no number is in both.
    pub(crate) fn apart(&self, other: &Self) -> bool {
        self.0.iter().all(|(lo, hi)| {
            let after = other.0.partition_point(|(l, _)| l <= hi);
            after == 0 || other.0[after - 1].1 < *lo
        })
    }
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cond {
    /// `key & mask` is in `ranges`, or is not.
    Test(Test),
    /// Several keys together are an element of a set, or are not.
    Concat { keys: Vec<Key>, not: bool, elements: Arc<[Vec<Ranges>]> },
    /// One of these holds.
    Any(Vec<Cond>),
    /// All of these hold.
    All(Vec<Cond>),
    /// Not decided by what is known of a packet. `steady`: the same packet gets the same answer twice.
    Opaque { text: Box<str>, steady: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) key: Key,
    pub(crate) mask: u128,
    pub(crate) not: bool,
    pub(crate) ranges: Ranges,
}

impl Cond {
    pub(crate) const fn test(key: Key, ranges: Ranges, not: bool) -> Self {
        Self::masked(key, u128::MAX, ranges, not)
    }

    pub(crate) const fn masked(key: Key, mask: u128, ranges: Ranges, not: bool) -> Self {
        Self::Test(Test { key, mask, not, ranges })
    }

    /// A condition that only its text describes.
    pub(crate) fn opaque(text: impl Into<Box<str>>) -> Self {
        Self::Opaque { text: text.into(), steady: true }
    }

    /// One that may change between two packets, or between two questions for the same one.
    pub(crate) fn fickle() -> Self {
        Self::Opaque { text: "".into(), steady: false }
    }
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Reject,
    /// Queued or sent elsewhere: nobody here knows what becomes of it.
    Aside,
    Return,
    Continue,
    Jump(u32),
    Goto(u32),
    /// Something that could not be read: it may be any of these.
    Opaque,
}

/// What a statement changes, so that a condition on it says nothing of what the packet was before or after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes(pub(crate) u8);

impl Changes {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const MARK: Self = Self(1);
    /// Addresses, ports, other bytes of the packet.
    pub(crate) const PACKET: Self = Self(2);
    pub(crate) const CT_STATE: Self = Self(4);
    /// Something that only opaque conditions read.
    pub(crate) const OTHER: Self = Self(8);

    pub(crate) const fn any(self) -> bool {
        self.0 != 0
    }

    pub(crate) const fn touch(self, key: Key) -> bool {
        let by = match key {
            Key::Mark => Self::MARK.0,
            Key::CtState => Self::CT_STATE.0,
            Key::InIf | Key::OutIf | Key::InBridge | Key::OutBridge | Key::PhysIn | Key::PhysOut => 0,
            Key::Uid | Key::Gid | Key::NfProto => 0,
            _ => Self::PACKET.0,
        };
        self.0 & by != 0
    }
}

/// One step of a rule. A step that does not hold ends the rule for the packet.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    If(Cond),
    /// The log statement with this number in the rule; [`ANY_LOG`]: something unreadable that may log.
    Log(u16),
    Do(Verdict),
    /// A verdict map: the first entry whose ranges hold the keys. `open`: entries may be gone.
    Map {
        keys: Vec<Key>,
        entries: Arc<[(Vec<Ranges>, Verdict)]>,
        open: bool,
    },
    Change(Changes),
}

/// See [`Step::Log`].
pub(crate) const ANY_LOG: u16 = u16::MAX;

/// The devices of a base chain of the family `netdev`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Devices {
    /// It is not bound to a device.
    All,
    Only(Vec<u128>),
    /// It is, and the listing does not say to which.
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) hook: Hook,
    pub(crate) priority: i64,
    /// Accept or drop.
    pub(crate) policy: Verdict,
    pub(crate) devices: Devices,
    /// A chain of type `nat`: connections get other addresses there.
    pub(crate) nat: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) family: Family,
    pub(crate) base: Option<Base>,
    /// Its rules, in their order, as numbers of the ruleset's rules.
    pub(crate) rules: Vec<u32>,
    /// It was listed; without that a rule goes to a chain that nothing is known of.
    pub(crate) listed: bool,
}

/// An interface's name as a number.
pub(crate) fn name_value(name: &str) -> u128 {
    let mut bytes = [0; 16];
    let len = name.len().min(16);
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    u128::from_be_bytes(bytes)
}

/// The names that begin with these bytes.
pub(crate) fn name_prefix(prefix: &str) -> (u128, u128) {
    let len = prefix.len().min(16);
    let low = name_value(prefix);
    let rest = if len == 16 { 0 } else { u128::MAX >> (8 * len) };
    (low, low | rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_compare() {
        let r = Ranges::new(vec![(5, 9), (1, 2), (3, 3), (20, 10), (8, 12)]);
        assert_eq!(&r.0[..], [(1, 3), (5, 12)]);
        assert!(r.contains(1) && r.contains(12) && !r.contains(4) && !r.contains(13) && !r.contains(0));
        assert!(Ranges::new(vec![(2, 3), (6, 7)]).within(&r) && !Ranges::new(vec![(3, 5)]).within(&r));
        assert!(Ranges::one(4).apart(&r) && !Ranges::new(vec![(13, 20), (0, 1)]).apart(&r));
    }

    #[test]
    fn a_wildcard_is_a_range() {
        let (lo, hi) = name_prefix("eth");
        let inside = |name: &str| (lo..=hi).contains(&name_value(name));
        assert!(inside("eth") && inside("eth0") && inside("eth10.5") && !inside("et") && !inside("eti"));
    }
}
