//! Expressions of nft's JSON: what is read of a packet, and what it is compared with.

use crate::model::{Key, Ranges, name_prefix, name_value};
use crate::{Family, symbols};
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What the left side of a comparison reads. `None`: something that events do not tell.
pub(crate) fn key(expr: &Value, family: Family) -> Option<Key> {
    let (kind, body) = expr.as_object()?.iter().next()?;
    match kind.as_str() {
        "payload" => {
            // nft 0.9.0 calls the protocol "name".
            let protocol = body["protocol"].as_str().or_else(|| body["name"].as_str())?;
            payload(protocol, body["field"].as_str()?)
        }
        "meta" => meta(body["key"].as_str().or_else(|| body.as_str())?, family),
        "ct" if body["dir"].is_null() && body["key"] == "state" => Some(Key::CtState),
        _ => None,
    }
}

fn payload(protocol: &str, field: &str) -> Option<Key> {
    Some(match (protocol, field) {
        ("ip", "saddr") => Key::Src4,
        ("ip", "daddr") => Key::Dst4,
        ("ip", "protocol") => Key::Proto4,
        ("ip", "ttl") => Key::Ttl4,
        ("ip", "dscp") => Key::Dscp4,
        ("ip", "length") => Key::Length4,
        ("ip", "id") => Key::Id4,
        ("ip", "frag-off") => Key::Frag4,
        ("ip" | "ip6", "version") => Key::Version,
        ("ip6", "saddr") => Key::Src6,
        ("ip6", "daddr") => Key::Dst6,
        ("ip6", "nexthdr") => Key::NextHeader,
        ("ip6", "hoplimit") => Key::Ttl6,
        ("ip6", "dscp") => Key::Dscp6,
        ("tcp", "flags") => Key::TcpFlags,
        ("icmp", "type") => Key::IcmpType,
        ("icmp", "code") => Key::IcmpCode,
        ("icmpv6", "type") => Key::Icmp6Type,
        ("icmpv6", "code") => Key::Icmp6Code,
        ("ether", "saddr") => Key::MacSrc,
        ("ether", "daddr") => Key::MacDst,
        ("ether", "type") => Key::EtherType,
        ("vlan", "id") => Key::Vlan,
        ("arp", "operation") => Key::ArpOperation,
        ("arp", "saddr ip") => Key::ArpSrc,
        ("arp", "daddr ip") => Key::ArpDst,
        (_, "sport") => Key::Sport(port_protocol(protocol)?),
        (_, "dport") => Key::Dport(port_protocol(protocol)?),
        _ => return None,
    })
}

/// The number of a protocol that has ports; 0 for `th`, which is any.
fn port_protocol(name: &str) -> Option<u8> {
    Some(match name {
        "th" => 0,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "sctp" => 132,
        "udplite" => 136,
        _ => return None,
    })
}

fn meta(key: &str, family: Family) -> Option<Key> {
    let bridge = family.as_str() == "bridge";
    Some(match key {
        "iif" | "iifname" if bridge => Key::PhysIn,
        "oif" | "oifname" if bridge => Key::PhysOut,
        "ibrname" => Key::InBridge,
        "obrname" => Key::OutBridge,
        "iif" | "iifname" => Key::InIf,
        "oif" | "oifname" => Key::OutIf,
        "mark" => Key::Mark,
        "l4proto" => Key::Proto,
        "protocol" => Key::EtherType,
        "nfproto" => Key::NfProto,
        "skuid" => Key::Uid,
        "skgid" => Key::Gid,
        _ => return None,
    })
}

/// The numbers that a value of the right side stands for, as many as a set has elements. `None`: it holds
/// something that is not known here.
pub(crate) fn ranges(key: Key, value: &Value) -> Option<Ranges> {
    let mut out = Vec::new();
    collect(key, value, &mut out)?;
    Some(Ranges::new(out))
}

fn collect(key: Key, value: &Value, out: &mut Vec<(u128, u128)>) -> Option<()> {
    let object = value.as_object().and_then(|o| o.iter().next());
    match object.map(|(kind, body)| (kind.as_str(), body)) {
        Some(("set", list)) => match list.as_array() {
            Some(list) => list.iter().try_for_each(|v| collect(key, v, out))?,
            None => collect(key, list, out)?,
        },
        Some(("elem", body)) => collect(key, &body["val"], out)?,
        Some(("range", body)) => {
            let (low, high) = (one(key, &body[0])?, one(key, &body[1])?);
            out.push((low, high));
        }
        Some(("prefix", body)) => {
            let address = one(key, &body["addr"])?;
            out.push(prefix(key, address, body["len"].as_u64()?)?);
        }
        _ => match value.as_str().and_then(|s| wildcard(key, s)) {
            Some(range) => out.push(range),
            None => {
                let value = one(key, value)?;
                out.push((value, value));
            }
        },
    }
    Some(())
}

fn wildcard(key: Key, name: &str) -> Option<(u128, u128)> {
    is_name(key).then(|| name.strip_suffix('*')).flatten().filter(|p| !p.ends_with('\\')).map(name_prefix)
}

const fn is_name(key: Key) -> bool {
    matches!(key, Key::InIf | Key::OutIf | Key::InBridge | Key::OutBridge | Key::PhysIn | Key::PhysOut)
}

/// The bits of a key's values.
pub(crate) const fn width(key: Key) -> u32 {
    match key {
        Key::Src6 | Key::Dst6 => 128,
        Key::MacSrc | Key::MacDst => 48,
        Key::Src4 | Key::Dst4 | Key::ArpSrc | Key::ArpDst | Key::Mark | Key::Uid | Key::Gid => 32,
        _ => 16,
    }
}

/// The numbers that begin with the first `len` bits of an address.
pub(crate) fn prefix(key: Key, address: u128, len: u64) -> Option<(u128, u128)> {
    let host = width(key).checked_sub(u32::try_from(len).ok()?)?;
    let rest = if host == 128 { u128::MAX } else { (1 << host) - 1 };
    Some((address & !rest, address | rest))
}

/// One number: a number, a name of one, or flags joined with `|`.
pub(crate) fn one(key: Key, value: &Value) -> Option<u128> {
    match value {
        Value::Number(n) => n.as_u64().map(u128::from),
        Value::Array(flags) => flags.iter().try_fold(0, |sum, flag| Some(sum | one(key, flag)?)),
        Value::Object(o) => match o.iter().next() {
            Some((kind, body)) if kind == "|" => one(key, body),
            Some((kind, body)) if kind == "elem" => one(key, &body["val"]),
            _ => None,
        },
        Value::String(word) => named(key, word),
        _ => None,
    }
}

fn named(key: Key, word: &str) -> Option<u128> {
    let number = || {
        let hex = word.strip_prefix("0x").and_then(|h| u128::from_str_radix(h, 16).ok());
        hex.or_else(|| word.parse().ok())
    };
    match key {
        Key::InIf | Key::OutIf | Key::InBridge | Key::OutBridge | Key::PhysIn | Key::PhysOut => {
            Some(name_value(&word.replace("\\*", "*")))
        }
        Key::Src4 | Key::Dst4 | Key::ArpSrc | Key::ArpDst => {
            word.parse::<Ipv4Addr>().ok().map(|a| u128::from(u32::from(a)))
        }
        Key::Src6 | Key::Dst6 => word.parse::<Ipv6Addr>().ok().map(u128::from),
        Key::MacSrc | Key::MacDst => mac(word),
        Key::Proto | Key::Proto4 | Key::NextHeader => symbols::protocol(word).or_else(number),
        Key::EtherType => symbols::ether_type(word).or_else(number),
        Key::NfProto => symbols::nfproto(word).or_else(number),
        Key::TcpFlags => symbols::tcp_flag(word).or_else(number),
        Key::IcmpType => symbols::icmp_type(word).or_else(number),
        Key::IcmpCode => symbols::icmp_code(word).or_else(number),
        Key::Icmp6Type => symbols::icmp6_type(word).or_else(number),
        Key::Icmp6Code => symbols::icmp6_code(word).or_else(number),
        Key::Dscp4 | Key::Dscp6 => symbols::dscp(word).or_else(number),
        Key::CtState => symbols::ct_state(word).or_else(number),
        Key::ArpOperation => symbols::arp_operation(word).or_else(number),
        _ => number(),
    }
}

/// A hardware address as a number.
pub(crate) fn mac(text: &str) -> Option<u128> {
    let mut value = 0;
    let mut parts = 0;
    for part in text.split(':') {
        value = value << 8 | u128::from(u8::from_str_radix(part, 16).ok()?);
        parts += 1;
    }
    (parts == 6).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values() {
        let at = |key, value: Value| ranges(key, &value);
        assert_eq!(at(Key::Dport(6), json!(22)), Some(Ranges::one(22)));
        let set = json!({"set": [22, {"range": [80, 90]}, {"elem": {"val": 443, "timeout": 5}}]});
        assert_eq!(at(Key::Dport(6), set), Some(Ranges::new(vec![(22, 22), (80, 90), (443, 443)])));
        let net = json!({"prefix": {"addr": "10.0.0.0", "len": 8}});
        assert_eq!(at(Key::Src4, net), Some(Ranges::new(vec![(0x0a00_0000, 0x0aff_ffff)])));
        let all = json!({"prefix": {"addr": "::", "len": 0}});
        assert_eq!(at(Key::Src6, all), Some(Ranges::new(vec![(0, u128::MAX)])));
        assert_eq!(at(Key::TcpFlags, json!({"|": ["syn", "ack"]})), Some(Ranges::one(18)));
        assert_eq!(at(Key::InIf, json!("eth*")), Some(Ranges::new(vec![name_prefix("eth")])));
        assert_eq!(at(Key::Proto, json!("no such protocol")), None);
        assert_eq!(at(Key::Src4, json!({"prefix": {"addr": "10.0.0.0", "len": 99}})), None);
        assert_eq!(at(Key::MacSrc, json!("00:11:22:33:44:55")), Some(Ranges::one(0x0011_2233_4455)));
    }
}
