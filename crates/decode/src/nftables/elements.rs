//! The elements of a set, as nft writes them: `10.0.0.1`, `10.1.0.0/16`, `10.0.0.0/8 . 80`, `"eth*"`.
//!
//! A set of intervals holds the start and the end of each (the end as an element of its own, one past the last
//! value); a set of ranges over several fields holds both in one element. Fields of a concatenation are padded to
//! 4 bytes. Types whose words nft alone knows are written as `0x` and hexadecimal digits.

use super::{Count, counter, first};
use crate::netlink::{Attr, Attrs, Message, until_nul};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

const NFNL_SUBSYS_NFTABLES: u8 = super::NFNL_SUBSYS_NFTABLES;
const NFT_MSG_NEWSETELEM: u8 = 12;
const NFT_SET_INTERVAL: u32 = 4;
const NFT_SET_ELEM_INTERVAL_END: u32 = 1;
const NFT_SET_ELEM_CATCHALL: u32 = 2;

/// More are not kept of one set.
const MAX_ELEMENTS: usize = 65_536;
/// Bytes of a key: the kernel's own limit is 64.
const MAX_KEY: usize = 64;
/// Bits of each type in a concatenation's type.
const TYPE_BITS: u32 = 6;

/// What is known of a set's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetKey {
    /// Its type, as nft numbers them; of a concatenation 6 bits for each field.
    pub kind: u32,
    /// Its bytes.
    pub len: u32,
    /// Whether the elements are intervals.
    pub interval: bool,
}

impl SetKey {
    /// What the set's flags say of its elements.
    pub(super) const fn read_flags(&mut self, flags: u32) {
        self.interval = flags & NFT_SET_INTERVAL != 0;
    }
}

/// One element that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// As nft writes it.
    pub text: String,
    /// What its counter shows.
    pub count: Count,
}

/// The elements of one set, gathered from the messages of a dump.
#[derive(Debug)]
pub struct Elements {
    key: SetKey,
    raw: Vec<Raw>,
}

#[derive(Debug)]
struct Raw {
    key: Box<[u8]>,
    key_end: Option<Box<[u8]>>,
    /// It ends the interval before it.
    end: bool,
    catch_all: bool,
    count: Option<Count>,
}

impl Elements {
    /// Of a set with such a key.
    #[must_use]
    pub const fn new(key: SetKey) -> Self {
        Self { key, raw: Vec::new() }
    }

    /// Takes the elements of a message; of any other message, none.
    pub fn take(&mut self, message: &Message<'_>) {
        if message.subsystem() != NFNL_SUBSYS_NFTABLES || message.subtype() != NFT_MSG_NEWSETELEM {
            return;
        }
        let Some((_, attrs)) = message.nfgen() else { return };
        let Some(list) = first(attrs, 3) else { return };
        for element in list.attrs().map_while(Result::ok) {
            if self.raw.len() < MAX_ELEMENTS {
                self.raw.extend(raw(element.attrs()));
            }
        }
    }

    /// The elements that count.
    #[must_use]
    pub fn finish(mut self) -> Vec<Element> {
        // Ends come first, so that an interval ends where the next one starts.
        self.raw.sort_by(|a, b| a.key.cmp(&b.key).then(b.end.cmp(&a.end)));
        let mut out = Vec::new();
        for (at, raw) in self.raw.iter().enumerate() {
            let Some(count) = raw.count.filter(|_| !raw.end) else { continue };
            let last = match &raw.key_end {
                Some(end) => Some(end.to_vec()),
                None if self.key.interval && !raw.catch_all => {
                    let next = self.raw[at + 1..].iter().find(|n| n.key > raw.key);
                    Some(next.map_or_else(|| vec![0xff; raw.key.len()], |n| one_less(&n.key)))
                }
                None => None,
            };
            let text = match raw.catch_all {
                true => "*".to_owned(),
                false => self.key.text(&raw.key, last.as_deref().unwrap_or(&raw.key)),
            };
            out.push(Element { text, count });
        }
        out
    }
}

fn raw(attrs: Attrs<'_>) -> Option<Raw> {
    let mut raw = Raw { key: Box::default(), key_end: None, end: false, catch_all: false, count: None };
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => raw.key = value(&attr)?,
            3 => {
                let flags = attr.be32().unwrap_or(0);
                raw.end = flags & NFT_SET_ELEM_INTERVAL_END != 0;
                raw.catch_all = flags & NFT_SET_ELEM_CATCHALL != 0;
            }
            7 => raw.count = counter(attr.attrs()).or(raw.count),
            10 => raw.key_end = value(&attr),
            11 => {
                raw.count = attr.attrs().map_while(Result::ok).find_map(|e| counter(e.attrs())).or(raw.count)
            }
            _ => {}
        }
    }
    Some(raw)
}

/// The value of `NFTA_DATA_VALUE` inside.
fn value(attr: &Attr<'_>) -> Option<Box<[u8]>> {
    first(attr.attrs(), 1).map(|v| v.payload).filter(|v| v.len() <= MAX_KEY).map(Box::from)
}

/// The number before it, of the same width; 0 stays 0.
fn one_less(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    if out.iter().all(|b| *b == 0) {
        return out;
    }
    for byte in out.iter_mut().rev() {
        let (less, borrow) = byte.overflowing_sub(1);
        *byte = less;
        if !borrow {
            break;
        }
    }
    out
}

impl SetKey {
    /// The text of the keys from `from` to `to`.
    fn text(self, from: &[u8], to: &[u8]) -> String {
        let mut kinds = Vec::new();
        let mut rest = self.kind;
        while rest != 0 {
            kinds.push(rest & ((1 << TYPE_BITS) - 1));
            rest >>= TYPE_BITS;
        }
        kinds.reverse();
        let mut out = String::new();
        let [kind] = kinds[..] else {
            let (mut from, mut to) = (from, to);
            let known: usize = kinds.iter().filter_map(|k| width(*k)).map(|w| w.next_multiple_of(4)).sum();
            for kind in kinds {
                // Of unknown width can be one field: it has what the others leave.
                let len = width(kind)
                    .unwrap_or_else(|| usize::try_from(self.len).unwrap_or(0).saturating_sub(known));
                let padded = len.next_multiple_of(4).min(from.len()).min(to.len());
                if !out.is_empty() {
                    out.push_str(" . ");
                }
                let len = len.min(padded);
                range(&mut out, kind, &from[..len], &to[..len], self.interval);
                (from, to) = (&from[padded..], &to[padded..]);
            }
            return out;
        };
        range(&mut out, kind, from, to, self.interval);
        out
    }
}

/// nft's numbers of types (include/datatype.h of nftables).
const IPADDR: u32 = 7;
const IP6ADDR: u32 = 8;
const ETHERADDR: u32 = 9;
const INET_PROTOCOL: u32 = 12;
const INET_SERVICE: u32 = 13;
const MARK: u32 = 19;
const UID: u32 = 24;
const GID: u32 = 25;
const IFNAME: u32 = 41;

/// Bytes of a type.
const fn width(kind: u32) -> Option<usize> {
    Some(match kind {
        IPADDR | MARK | UID | GID => 4,
        IP6ADDR | IFNAME => 16,
        ETHERADDR => 6,
        INET_PROTOCOL => 1,
        INET_SERVICE => 2,
        _ => return None,
    })
}

fn range(out: &mut String, kind: u32, from: &[u8], to: &[u8], interval: bool) {
    if kind == IFNAME {
        let name = String::from_utf8_lossy(until_nul(from));
        let star = if from != to && from.get(name.len()) == Some(&0) { "*" } else { "" };
        let _ = write!(out, "\"{}{star}\"", name.escape_default());
        return;
    }
    single(out, kind, from, interval);
    if from == to {
        return;
    }
    match prefix(from, to) {
        Some(bits) if matches!(kind, IPADDR | IP6ADDR) => _ = write!(out, "/{bits}"),
        _ => {
            out.push('-');
            single(out, kind, to, interval);
        }
    }
}

/// The length of the prefix that the range is, if it is one.
fn prefix(from: &[u8], to: &[u8]) -> Option<u32> {
    let number = |bytes: &[u8]| bytes.iter().fold(0u128, |n, b| n << 8 | u128::from(*b));
    let (from, to, bits) = (number(from), number(to), u32::try_from(from.len() * 8).ok()?);
    let free = (from ^ to).checked_add(1).filter(|n| n.is_power_of_two()).map_or(128, u128::trailing_zeros);
    let mask = 1u128.checked_shl(free).map_or(u128::MAX, |n| n - 1);
    (from & mask == 0 && from | mask == to).then(|| bits.saturating_sub(free))
}

fn single(out: &mut String, kind: u32, bytes: &[u8], interval: bool) {
    let host = |bytes: &[u8]| {
        let chunk: Option<&[u8; 4]> = bytes.first_chunk();
        // Keys of intervals are compared byte by byte, and therefore big endian.
        chunk.map(|b| if interval { u32::from_be_bytes(*b) } else { u32::from_ne_bytes(*b) })
    };
    let written = match (kind, bytes) {
        (IPADDR, [a, b, c, d]) => write!(out, "{}", Ipv4Addr::new(*a, *b, *c, *d)),
        (IP6ADDR, _) if bytes.first_chunk::<16>().is_some() => {
            let octets = bytes.first_chunk::<16>().copied().unwrap_or_default();
            write!(out, "{}", Ipv6Addr::from_octets(octets))
        }
        (ETHERADDR, [a, b, c, d, e, f]) => write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"),
        (INET_PROTOCOL, [proto]) => match protocol(*proto) {
            Some(name) => write!(out, "{name}"),
            None => write!(out, "{proto}"),
        },
        (INET_SERVICE, [hi, lo]) => write!(out, "{}", u16::from_be_bytes([*hi, *lo])),
        (MARK, _) if bytes.len() == 4 => write!(out, "0x{:08x}", host(bytes).unwrap_or(0)),
        (UID | GID, _) if bytes.len() == 4 => write!(out, "{}", host(bytes).unwrap_or(0)),
        _ => {
            out.push_str("0x");
            bytes.iter().try_for_each(|b| write!(out, "{b:02x}"))
        }
    };
    written.expect("writing to a text does not fail");
}

/// nft's names of protocols.
const fn protocol(proto: u8) -> Option<&'static str> {
    Some(match proto {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "ipv6-icmp",
        108 => "comp",
        132 => "sctp",
        136 => "udplite",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Messages;
    use crate::testing::{attr, be32, be64, message, nest};

    fn counting(packets: u64) -> Vec<u8> {
        nest(7, &[attr(1, b"counter\0"), nest(2, &[be64(1, packets * 10), be64(2, packets)])])
    }

    fn key(kind: u16, bytes: &[u8]) -> Vec<u8> {
        nest(kind, &[attr(1, bytes)])
    }

    fn texts(set: SetKey, elements: &[Vec<Vec<u8>>]) -> Vec<(String, u64)> {
        let list: Vec<_> = elements.iter().map(|e| nest(1, e)).collect();
        let bytes = message(0xa0c, 2, 1, &[attr(1, b"t\0"), attr(2, b"s\0"), nest(3, &list)]);
        let mut all = Elements::new(set);
        all.take(&Messages::new(&bytes).next().unwrap().unwrap());
        all.finish().into_iter().map(|e| (e.text, e.count.packets)).collect()
    }

    #[test]
    fn addresses() {
        let set = SetKey { kind: IPADDR, len: 4, interval: false };
        let got = texts(set, &[vec![key(1, &[10, 0, 0, 2]), counting(5)], vec![key(1, &[10, 0, 0, 1])]]);
        assert_eq!(got, [("10.0.0.2".to_owned(), 5)]);
    }

    #[test]
    fn intervals_end_before_the_next_element() {
        let set = SetKey { kind: IPADDR, len: 4, interval: true };
        let end = |bytes: &[u8]| vec![key(1, bytes), be32(3, 1)];
        let start = |bytes: &[u8], n| vec![key(1, bytes), counting(n)];
        let got = texts(
            set,
            &[
                end(&[10, 3, 0, 0]),
                start(&[10, 2, 0, 5], 2),
                end(&[10, 2, 0, 0]),
                start(&[10, 1, 0, 0], 1),
                end(&[0; 4]),
                end(&[10, 2, 0, 10]),
                start(&[10, 2, 0, 10], 3),
                start(&[255, 0, 0, 0], 4),
            ],
        );
        let text = |t: &str, n| (t.to_owned(), n);
        assert_eq!(
            got,
            [
                text("10.1.0.0/16", 1),
                text("10.2.0.5-10.2.0.9", 2),
                text("10.2.0.10-10.2.255.255", 3),
                text("255.0.0.0/8", 4),
            ]
        );
    }

    #[test]
    fn fields_with_ranges() {
        let set = SetKey { kind: IPADDR << TYPE_BITS | INET_SERVICE, len: 8, interval: true };
        let got = texts(
            set,
            &[vec![
                key(1, &[10, 0, 0, 0, 0, 100, 0, 0]),
                key(10, &[10, 255, 255, 255, 0, 200, 0, 0]),
                nest(11, &[nest(1, &[attr(1, b"counter\0"), nest(2, &[be64(1, 9), be64(2, 8)])])]),
            ]],
        );
        assert_eq!(got, [("10.0.0.0/8 . 100-200".to_owned(), 8)]);
    }

    #[test]
    fn names_of_interfaces_and_what_nobody_knows() {
        let set = SetKey { kind: IFNAME, len: 16, interval: true };
        let name = |n: &[u8]| [n, &[0; 16][n.len()..]].concat();
        let end = |bytes: &[u8]| vec![key(1, bytes), be32(3, 1)];
        let mut after_lo = name(b"lo");
        after_lo[15] = 1;
        let got = texts(
            set,
            &[
                vec![key(1, &name(b"eth")), counting(1)],
                end(&name(b"eti")),
                vec![key(1, &name(b"lo")), counting(2)],
                end(&after_lo),
            ],
        );
        assert_eq!(got, [("\"eth*\"".to_owned(), 1), ("\"lo\"".to_owned(), 2)]);
        let set = SetKey { kind: 26, len: 4, interval: false };
        assert_eq!(texts(set, &[vec![key(1, &[2, 0, 0, 0]), counting(1)]]), [("0x02000000".to_owned(), 1)]);
        let set = SetKey { kind: IPADDR, len: 4, interval: false };
        assert_eq!(texts(set, &[vec![be32(3, 2), counting(1)]]), [("*".to_owned(), 1)]);
    }
}
