//! Sets of addresses as ranges of one ordering of 16 bytes, in which IPv4 is the block `::ffff:0:0/96`.

use crate::Context;
use bartizan_model::{addr_from_ip, addr_to_ip};
use std::{fmt, net::IpAddr, str::FromStr};

/// First and last of the block that holds IPv4.
const V4_FIRST: u128 = 0xffff_0000_0000;
const V4_LAST: u128 = 0xffff_ffff_ffff;

/// A range of addresses, both ends included, as the 16 bytes of `bartizan_model::addr_from_ip`.
///
/// A range whose ends are not both IPv4 holds IPv6 addresses only, even where it spans the IPv4 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddrRange {
    /// The smallest.
    pub first: [u8; 16],
    /// The largest, not below `first`.
    pub last: [u8; 16],
}

/// Why a text is not an address, a network or a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddrFault {
    /// It does not look like one.
    Shape,
    /// A prefix length beyond 32 or 128.
    PrefixTooLong(u8),
    /// A range from IPv4 to IPv6 or back.
    MixedFamilies,
    /// A range that ends before it starts.
    Reversed,
}

impl AddrRange {
    /// The range of one address.
    #[must_use]
    pub const fn one(ip: IpAddr) -> Self {
        let addr = addr_from_ip(ip);
        Self { first: addr, last: addr }
    }

    /// The range of an address, `address/length` or `address-address`.
    ///
    /// Host bits of a network are cleared; `::ffff:a.b.c.d/n` with n of at least 96 is IPv4.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::read(text).ok()
    }

    pub(crate) fn read(text: &str) -> Result<Self, AddrFault> {
        if let Some((addr, len)) = text.split_once('/') {
            let ip: IpAddr = addr.parse().map_err(|_| AddrFault::Shape)?;
            let digits = !len.is_empty() && len.len() <= 3 && len.bytes().all(|b| b.is_ascii_digit());
            let len: u32 = digits.then(|| len.parse().ok()).flatten().ok_or(AddrFault::Shape)?;
            let (max, offset) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
            if len > max {
                return Err(AddrFault::PrefixTooLong(if ip.is_ipv4() { 32 } else { 128 }));
            }
            let host_bits = u128::MAX.checked_shr(len + offset).unwrap_or(0);
            let addr = u128::from_be_bytes(addr_from_ip(ip));
            return Ok(Self::from_numbers(addr & !host_bits, addr | host_bits));
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::one(ip));
        }
        let (first, last) = text.split_once('-').ok_or(AddrFault::Shape)?;
        let first = Self::one(first.parse().map_err(|_| AddrFault::Shape)?);
        let last = Self::one(last.parse().map_err(|_| AddrFault::Shape)?);
        if first.is_v4() != last.is_v4() {
            return Err(AddrFault::MixedFamilies);
        }
        if last.first < first.first {
            return Err(AddrFault::Reversed);
        }
        Ok(Self { first: first.first, last: last.last })
    }

    /// Whether both ends are IPv4.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        let (first, last) = self.numbers();
        first >= V4_FIRST && last <= V4_LAST
    }

    pub(crate) const fn numbers(&self) -> (u128, u128) {
        (u128::from_be_bytes(self.first), u128::from_be_bytes(self.last))
    }

    const fn from_numbers(first: u128, last: u128) -> Self {
        Self { first: first.to_be_bytes(), last: last.to_be_bytes() }
    }

    /// The length of the prefix if it is exactly one network, of 128 bits.
    fn prefix(&self) -> Option<u32> {
        let (first, last) = self.numbers();
        let differing = first ^ last;
        let aligned = differing & differing.wrapping_add(1) == 0 && first & differing == 0;
        aligned.then(|| differing.leading_zeros())
    }
}

impl FromStr for AddrRange {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::parse(text).ok_or(())
    }
}

/// As an address, a network or a range.
impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = addr_to_ip(self.first);
        match self.prefix() {
            Some(128) => write!(f, "{first}"),
            Some(len) if self.is_v4() => write!(f, "{first}/{}", len.saturating_sub(96)),
            Some(len) => write!(f, "{first}/{len}"),
            None => write!(f, "{first}-{}", addr_to_ip(self.last)),
        }
    }
}

/// A class of addresses by their use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// RFC 1918 and RFC 4193: 10/8, 172.16/12, 192.168/16, fc00::/7.
    Private,
    /// All that is none of: private, loopback, link-local, multicast, shared (RFC 6598), site-local, unspecified,
    /// `0/8`, `240/4`. Networks for documentation count as public: on a wire they come from outside.
    Public,
    /// 127/8, ::1.
    Loopback,
    /// 169.254/16, fe80::/10.
    LinkLocal,
    /// 224/4, ff00::/8.
    Multicast,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Private, Self::Public, Self::Loopback, Self::LinkLocal, Self::Multicast];

    /// The word that stands for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::LinkLocal => "linklocal",
            Self::Multicast => "multicast",
        }
    }

    fn ranges(self) -> Vec<AddrRange> {
        let nets: &[&str] = match self {
            Self::Private => &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
            Self::Loopback => &["127.0.0.0/8", "::1"],
            Self::LinkLocal => &["169.254.0.0/16", "fe80::/10"],
            Self::Multicast => &["224.0.0.0/4", "ff00::/8"],
            Self::Public => {
                let other = ["0.0.0.0/8", "100.64.0.0/10", "240.0.0.0/4", "::", "fec0::/10"];
                let mut not_public: Vec<AddrRange> =
                    other.iter().filter_map(|n| AddrRange::parse(n)).collect();
                for class in [Self::Private, Self::Loopback, Self::LinkLocal, Self::Multicast] {
                    not_public.extend(class.ranges());
                }
                return complement(&union(not_public));
            }
        };
        nets.iter().filter_map(|net| AddrRange::parse(net)).collect()
    }
}

/// One value of a list of addresses, as it is printed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AddrItem {
    /// An address, a network or a range.
    Range(AddrRange),
    /// A class.
    Class(Class),
    /// The addresses of the fleet's hosts.
    Fleet,
    /// The addresses of the host itself.
    Own,
    /// A named set.
    Set(String),
}

impl fmt::Display for AddrItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::Class(class) => f.write_str(class.as_str()),
            Self::Fleet => f.write_str("fleet"),
            Self::Own => f.write_str("self"),
            Self::Set(name) => write!(f, "@{name}"),
        }
    }
}

/// A list of addresses: as it is printed, and as it is evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Addrs {
    items: Vec<AddrItem>,
    ranges: Vec<AddrRange>,
}

impl Addrs {
    /// A list, with the addresses that the context knows behind sets, `fleet` and `self`; a name that it does not
    /// know has none.
    #[must_use]
    pub fn new(items: Vec<AddrItem>, context: &Context) -> Self {
        let mut written = Vec::new();
        let mut rest = Vec::new();
        let mut all = Vec::new();
        for item in items {
            match item {
                AddrItem::Range(range) => {
                    written.push(range);
                    all.push(range);
                    continue;
                }
                AddrItem::Class(class) => all.extend(class.ranges()),
                _ => all.extend(context.addresses(&item).unwrap_or_default()),
            }
            rest.push(item);
        }
        rest.sort_unstable();
        rest.dedup();
        let mut items: Vec<AddrItem> = merge_written(written).into_iter().map(AddrItem::Range).collect();
        items.extend(rest);
        Self { items, ranges: union(all) }
    }

    /// The values, sorted: ranges that do not overlap within a family, then names.
    #[must_use]
    pub fn items(&self) -> &[AddrItem] {
        &self.items
    }

    /// Every address of the list: sorted ranges that neither overlap nor touch, none of them across the border
    /// of IPv4, so that each can be compared byte by byte. Empty if its sets are.
    #[must_use]
    pub fn ranges(&self) -> &[AddrRange] {
        &self.ranges
    }

    /// Whether it holds an address.
    #[must_use]
    pub fn contains(&self, addr: &[u8; 16]) -> bool {
        let after = self.ranges.partition_point(|range| range.first <= *addr);
        after.checked_sub(1).and_then(|i| self.ranges.get(i)).is_some_and(|range| *addr <= range.last)
    }
}

/// What was written, sorted, overlaps of one family made one.
fn merge_written(mut ranges: Vec<AddrRange>) -> Vec<AddrRange> {
    ranges.sort_unstable();
    let (v4, v6): (Vec<_>, Vec<_>) = ranges.into_iter().partition(AddrRange::is_v4);
    let mut out: Vec<AddrRange> = Vec::with_capacity(v4.len() + v6.len());
    for family in [v4, v6] {
        let start = out.len();
        for range in family {
            match out.get_mut(start..).and_then(<[AddrRange]>::last_mut) {
                Some(last) if range.first <= last.last => last.last = last.last.max(range.last),
                _ => out.push(range),
            }
        }
        for range in out.iter_mut().skip(start) {
            // An IPv6 range that ends inside the IPv4 block (a network of /80 to /95 merged with another) has no
            // last IPv6 address there that could be printed; it ends before the block.
            let (first, last) = range.numbers();
            if !range.is_v4() && range.prefix().is_none() && (V4_FIRST..=V4_LAST).contains(&last) {
                *range = AddrRange::from_numbers(first, V4_FIRST - 1);
            }
        }
    }
    out.sort_unstable();
    out
}

/// The union, with IPv6 ranges cut at the IPv4 block.
fn union(ranges: Vec<AddrRange>) -> Vec<AddrRange> {
    let mut cut: Vec<(u128, u128)> = Vec::with_capacity(ranges.len() + 1);
    for range in ranges {
        let (first, last) = range.numbers();
        if range.is_v4() || last < V4_FIRST || first > V4_LAST {
            cut.push((first, last));
        } else {
            if first < V4_FIRST {
                cut.push((first, V4_FIRST - 1));
            }
            if last > V4_LAST {
                cut.push((V4_LAST + 1, last));
            }
        }
    }
    cut.sort_unstable();
    let mut out: Vec<(u128, u128)> = Vec::with_capacity(cut.len());
    for (first, last) in cut {
        let across = first == V4_FIRST || first == V4_LAST + 1;
        match out.last_mut() {
            Some(end) if first <= end.1 || (!across && first == end.1.saturating_add(1)) => {
                end.1 = end.1.max(last);
            }
            _ => out.push((first, last)),
        }
    }
    out.into_iter().map(|(first, last)| AddrRange::from_numbers(first, last)).collect()
}

/// Every address that is in none of the ranges; they are as `union` makes them.
fn complement(ranges: &[AddrRange]) -> Vec<AddrRange> {
    let mut holes = Vec::with_capacity(ranges.len() + 1);
    let mut next = Some(0_u128);
    for range in ranges {
        let (first, last) = range.numbers();
        if let Some(from) = next
            && from < first
        {
            // A hole across the border of IPv4 is two or three ranges.
            for (low, high) in [(0, V4_FIRST - 1), (V4_FIRST, V4_LAST), (V4_LAST + 1, u128::MAX)] {
                let (low, high) = (low.max(from), high.min(first - 1));
                if low <= high {
                    holes.push(AddrRange::from_numbers(low, high));
                }
            }
        }
        next = last.checked_add(1);
    }
    if let Some(from) = next {
        holes.push(AddrRange::from_numbers(from, u128::MAX));
    }
    holes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(items: &[&str]) -> Addrs {
        let items = items.iter().map(|i| AddrItem::Range(AddrRange::parse(i).unwrap())).collect();
        Addrs::new(items, &Context::default())
    }

    fn class(class: Class, addr: &str) -> bool {
        Addrs::new(vec![AddrItem::Class(class)], &Context::default())
            .contains(&addr_from_ip(addr.parse().unwrap()))
    }

    #[test]
    fn ranges_print_as_they_are_best_written() {
        for (from, to) in [
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("10.0.0.0-10.255.255.255", "10.0.0.0/8"),
            ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"),
            ("2001:db8::5/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:0:0/90", "::ffc0:0:0/90"),
        ] {
            assert_eq!(AddrRange::parse(from).unwrap().to_string(), to, "{from}");
        }
        for bad in [
            "",
            "10.0.0.1/33",
            "::/129",
            "10.0.0.1/",
            "10.0.0.1/+8",
            "10.0.0.9-10.0.0.1",
            "::1-10.0.0.1",
            "a-b",
        ] {
            assert_eq!(AddrRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_network_of_one_family_never_holds_the_other() {
        let v4 = addr_from_ip("10.0.0.1".parse().unwrap());
        let v6 = addr_from_ip("2001:db8::1".parse().unwrap());
        assert!(addrs(&["0.0.0.0/0"]).contains(&v4) && !addrs(&["0.0.0.0/0"]).contains(&v6));
        assert!(addrs(&["::/0"]).contains(&v6) && !addrs(&["::/0"]).contains(&v4));
        assert!(!addrs(&["::ffff:0:0/90"]).contains(&v4));
        assert!(addrs(&["::/0", "0.0.0.0/0"]).contains(&v4));
        assert_eq!(addrs(&["::/0", "0.0.0.0/0"]).ranges().len(), 3, "no range crosses the border");
    }

    #[test]
    fn lists_are_sorted_and_merged() {
        let list = addrs(&["10.0.0.9", "10.0.0.0/8", "::5", "::1-::7", "10.0.0.9"]);
        let items: Vec<String> = list.items().iter().map(ToString::to_string).collect();
        assert_eq!(items, ["::1-::7", "10.0.0.0/8"]);
    }

    #[test]
    fn classes_hold_what_they_say() {
        for addr in ["10.1.1.1", "172.31.255.255", "192.168.0.1", "fd00::1"] {
            assert!(class(Class::Private, addr) && !class(Class::Public, addr), "{addr}");
        }
        for addr in ["8.8.8.8", "172.32.0.0", "203.0.113.7", "2001:db8::1", "2606:4700::1", "223.255.255.255"]
        {
            assert!(class(Class::Public, addr) && !class(Class::Private, addr), "{addr}");
        }
        for addr in
            ["0.0.0.0", "255.255.255.255", "240.0.0.1", "100.64.0.1", "::", "::1", "ff02::1", "fe80::1"]
        {
            assert!(!class(Class::Public, addr), "{addr}");
        }
        assert!(class(Class::Loopback, "127.9.9.9") && class(Class::Loopback, "::1"));
        assert!(class(Class::LinkLocal, "169.254.1.1") && class(Class::LinkLocal, "fe80::1"));
        assert!(class(Class::Multicast, "224.0.0.1") && class(Class::Multicast, "ff02::1"));
    }
}
