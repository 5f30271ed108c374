//! The matches of an iptables rule.

use super::{Reader, Word};
use crate::model::{Cond, Key, Ranges, Step, name_prefix, name_value};
use crate::nft::{mac, network_prefix};
use crate::{Family, symbols};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Matches whose answer for the same packet changes with what came before.
const FICKLE: &[&str] = &[
    "limit",
    "hashlimit",
    "statistic",
    "quota",
    "quota2",
    "recent",
    "connlimit",
    "connbytes",
    "set",
    "nfacct",
    "random",
    "nth",
    "dstlimit",
    "time",
    "condition",
    "account",
];

impl Reader<'_> {
    pub(super) fn matches(&mut self, words: &[Word]) {
        let mut rest = words;
        let mut proto = 0;
        // The match that the options are of.
        let mut module = String::new();
        let mut not = false;
        while let Some((word, behind)) = rest.split_first() {
            rest = behind;
            if word.text == "!" && !word.quoted {
                not = true;
                continue;
            }
            let values = &behind[..behind.iter().take_while(|w| w.quoted || !is_option(&w.text)).count()];
            rest = &behind[values.len()..];
            let value = |n: usize| values.get(n).map_or("", |w| w.text.as_str());
            let cond = match word.text.as_str() {
                "-p" | "--protocol" | "--proto" => {
                    let number = protocol(value(0));
                    proto = if not { 0 } else { number.unwrap_or_default() };
                    match (value(0), number) {
                        ("all", _) | (_, Some(0)) => None,
                        (_, Some(n)) => Some(Cond::test(Key::Proto, Ranges::one(u128::from(n)), not)),
                        (_, None) => Some(opaque(word, values, not)),
                    }
                }
                "-m" | "--match" => {
                    value(0).clone_into(&mut module);
                    FICKLE.contains(&value(0)).then(Cond::fickle)
                }
                "--comment" => {
                    self.comment = Some(value(0).to_owned());
                    None
                }
                option => {
                    let known = known(self.table.family, &module, proto, option, value(0), value(1), not);
                    Some(known.unwrap_or_else(|| opaque(word, values, not)))
                }
            };
            self.steps.extend(cond.map(Step::If));
            not = false;
        }
    }
}

/// A word that begins an option or negates it.
fn is_option(word: &str) -> bool {
    word == "!"
        || word
            .strip_prefix('-')
            .is_some_and(|r| r.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic()))
}

fn opaque(option: &Word, values: &[Word], not: bool) -> Cond {
    let mut text = String::from(if not { "! " } else { "" });
    text.push_str(&option.text);
    for value in values {
        text.push(' ');
        text.push_str(&value.text);
    }
    Cond::opaque(text)
}

fn protocol(word: &str) -> Option<u8> {
    let word = word.to_ascii_lowercase();
    let number = symbols::protocol(&word).and_then(|n| u8::try_from(n).ok());
    number.or_else(|| word.parse().ok())
}

/// The condition of an option; `None` when it is not known here.
fn known(
    family: Family,
    module: &str,
    proto: u8,
    option: &str,
    value: &str,
    second: &str,
    not: bool,
) -> Option<Cond> {
    let v4 = family.as_str() == "ip";
    let pick = |four: Key, six: Key| if v4 { four } else { six };
    let test = |key: Key, ranges: Ranges| Some(Cond::test(key, ranges, not));
    let source = pick(Key::Src4, Key::Src6);
    let destination = pick(Key::Dst4, Key::Dst6);
    match option {
        "-s" | "--source" | "--src" => network(source, value, not),
        "-d" | "--destination" | "--dst" => network(destination, value, not),
        "-i" | "--in-interface" => test(Key::InIf, interface(value)),
        "-o" | "--out-interface" => test(Key::OutIf, interface(value)),
        "-f" | "--fragment" if v4 => Some(Cond::masked(Key::Frag4, 0x1fff, Ranges::one(0), !not)),
        "--sport" | "--source-port" if ported(module) => {
            test(Key::Sport(ported_as(module, proto)?), span(value)?)
        }
        "--dport" | "--destination-port" if ported(module) => {
            test(Key::Dport(ported_as(module, proto)?), span(value)?)
        }
        "--sports" | "--source-ports" if module == "multiport" => test(Key::Sport(proto), list(value)?),
        "--dports" | "--destination-ports" if module == "multiport" => test(Key::Dport(proto), list(value)?),
        "--ports" if module == "multiport" && !not => Some(Cond::Any(vec![
            Cond::test(Key::Sport(proto), list(value)?, false),
            Cond::test(Key::Dport(proto), list(value)?, false),
        ])),
        "--tcp-flags" => Some(Cond::masked(Key::TcpFlags, flags(value)?, Ranges::one(flags(second)?), not)),
        "--syn" => Some(Cond::masked(Key::TcpFlags, 0x17, Ranges::one(2), not)),
        "--icmp-type" => icmp(Key::IcmpType, Key::IcmpCode, value, not),
        "--icmpv6-type" => icmp(Key::Icmp6Type, Key::Icmp6Code, value, not),
        "--state" | "--ctstate" => test(Key::CtState, states(value)?),
        "--mark" if module == "mark" => {
            let (mark, mask) = masked(value)?;
            Some(Cond::masked(Key::Mark, mask, Ranges::one(mark), not))
        }
        "--mac-source" => test(Key::MacSrc, Ranges::one(mac(value)?)),
        "--uid-owner" => test(Key::Uid, dashed(value)?),
        "--gid-owner" if second.is_empty() => test(Key::Gid, dashed(value)?),
        "--src-range" => test(source, address_range(v4, value)?),
        "--dst-range" => test(destination, address_range(v4, value)?),
        "--physdev-in" => test(Key::PhysIn, interface(value)),
        "--physdev-out" => test(Key::PhysOut, interface(value)),
        "--ttl-eq" | "--hl-eq" => test(pick(Key::Ttl4, Key::Ttl6), Ranges::one(value.parse().ok()?)),
        "--ttl-lt" | "--hl-lt" if !not => {
            let n: u128 = value.parse().ok()?;
            test(
                pick(Key::Ttl4, Key::Ttl6),
                Ranges::new(n.checked_sub(1).map(|h| (0, h)).into_iter().collect()),
            )
        }
        "--ttl-gt" | "--hl-gt" if !not => {
            let n: u128 = value.parse().ok()?;
            test(pick(Key::Ttl4, Key::Ttl6), Ranges::new(vec![(n.checked_add(1)?, u128::MAX)]))
        }
        "--tos" if module == "tos" => {
            let (tos, mask) = masked(value)?;
            Some(Cond::masked(Key::Tos, mask.min(0xff), Ranges::one(tos), not))
        }
        "--dscp" if module == "dscp" => {
            let (dscp, _) = masked(value)?;
            test(pick(Key::Dscp4, Key::Dscp6), Ranges::one(dscp))
        }
        _ => None,
    }
}

fn ported(module: &str) -> bool {
    matches!(module, "tcp" | "udp" | "udplite" | "sctp" | "dccp" | "")
}

/// The protocol whose ports an option means: the match's own, else that of `-p`.
fn ported_as(module: &str, proto: u8) -> Option<u8> {
    if module.is_empty() { Some(proto).filter(|p| *p != 0) } else { protocol(module) }
}

/// `address`, `address/length` or `address/mask`.
fn network(key: Key, value: &str, not: bool) -> Option<Cond> {
    let (address, mask) = value.split_once('/').unwrap_or((value, ""));
    let v4 = matches!(key, Key::Src4 | Key::Dst4);
    let number = |text: &str| address_number(v4, text);
    let address = number(address)?;
    let width: u64 = if v4 { 32 } else { 128 };
    let len = if mask.is_empty() { Some(width) } else { mask.parse::<u64>().ok() };
    Some(match len {
        Some(len) => Cond::test(key, Ranges::new(vec![network_prefix(key, address, len)?]), not),
        None => {
            let mask = number(mask)?;
            Cond::masked(key, mask, Ranges::one(address & mask), not)
        }
    })
}

fn address_number(v4: bool, text: &str) -> Option<u128> {
    if v4 {
        text.parse::<Ipv4Addr>().ok().map(|a| u128::from(u32::from(a)))
    } else {
        text.parse::<Ipv6Addr>().ok().map(u128::from)
    }
}

fn address_range(v4: bool, value: &str) -> Option<Ranges> {
    let (low, high) = value.split_once('-').unwrap_or((value, value));
    Some(Ranges::new(vec![(address_number(v4, low)?, address_number(v4, high)?)]))
}

/// `eth0`; `eth+` is every name that begins so.
fn interface(value: &str) -> Ranges {
    match value.strip_suffix('+') {
        Some(prefix) => Ranges::new(vec![name_prefix(prefix)]),
        None => Ranges::one(name_value(value)),
    }
}

/// `low:high`; an end that is missing is the last number there is.
fn span(value: &str) -> Option<Ranges> {
    let end = |text: &str, none: u128| if text.is_empty() { Some(none) } else { text.parse().ok() };
    let (low, high) = value.split_once(':').unwrap_or((value, value));
    Some(Ranges::new(vec![(end(low, 0)?, end(high, 0xffff)?)]))
}

fn list(value: &str) -> Option<Ranges> {
    let parts = value.split(',').map(span).collect::<Option<Vec<_>>>()?;
    Some(Ranges::join(&parts))
}

fn dashed(value: &str) -> Option<Ranges> {
    let (low, high) = value.split_once('-').unwrap_or((value, value));
    Some(Ranges::new(vec![(low.parse().ok()?, high.parse().ok()?)]))
}

fn flags(value: &str) -> Option<u128> {
    match value {
        "NONE" => Some(0),
        "ALL" => Some(0x3f),
        list => list.split(',').try_fold(0, |sum, flag| Some(sum | symbols::tcp_flag(flag)?)),
    }
}

fn states(value: &str) -> Option<Ranges> {
    let bits = value.split(',').map(symbols::ct_state).collect::<Option<Vec<_>>>()?;
    Some(Ranges::new(bits.into_iter().map(|bit| (bit, bit)).collect()))
}

/// `8`, `3/1`; 255 and `any` are every type.
fn icmp(kind: Key, code: Key, value: &str, not: bool) -> Option<Cond> {
    if value == "any" || value == "255" {
        return Some(if not { Cond::Any(Vec::new()) } else { Cond::All(Vec::new()) });
    }
    let (number, sub) = value.split_once('/').unwrap_or((value, ""));
    let test = |key, text: &str| Some(Cond::test(key, Ranges::one(text.parse().ok()?), not));
    let kind = test(kind, number)?;
    if sub.is_empty() {
        return Some(kind);
    }
    // Both have to agree; negated, one that does not is enough.
    if not {
        return Some(Cond::Any(vec![kind, test(code, sub)?]));
    }
    Some(Cond::All(vec![kind, test(code, sub)?]))
}

/// `value` or `value/mask`, decimal or hexadecimal.
fn masked(value: &str) -> Option<(u128, u128)> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u128::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let (value, mask) = value.split_once('/').unwrap_or((value, "0xffffffff"));
    Some((number(value)?, number(mask)?))
}
