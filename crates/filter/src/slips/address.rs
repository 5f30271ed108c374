//! Texts that are nearly addresses.

use crate::AddrRange;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `a.b.c.d:port` or `[v6]:port`.
pub(crate) fn address_and_port(text: &str) -> Option<(IpAddr, u16)> {
    let (addr, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    match addr.strip_prefix('[').and_then(|a| a.strip_suffix(']')) {
        Some(v6) => Some((IpAddr::V6(v6.parse::<Ipv6Addr>().ok()?), port)),
        None => Some((IpAddr::V4(addr.parse::<Ipv4Addr>().ok()?), port)),
    }
}

/// What was nearly an address: why it is none, and the address.
pub(crate) fn meant_address(text: &str) -> Option<(String, String)> {
    let parses = |t: &str| AddrRange::parse(t).is_some();
    let say = |message: &str, instead: String| parses(&instead).then(|| (message.to_owned(), instead));
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return say("an IPv6 address needs no brackets", inner.to_owned());
    }
    if text.contains("[.]") {
        return say("the dots of an address need no brackets", text.replace("[.]", "."));
    }
    if let Some((addr, _zone)) = text.split_once('%') {
        return say("an address has no zone here", addr.to_owned());
    }
    if let Some((addr, mask)) = text.split_once('/')
        && let Ok(mask) = mask.parse::<Ipv4Addr>()
    {
        let bits = u32::from(mask);
        let len = bits.leading_ones();
        if bits.checked_shl(len).unwrap_or(0) == 0 {
            return say("a network is written with the length of its prefix", format!("{addr}/{len}"));
        }
        return None;
    }
    let digits_and = |extra: &str| {
        text.len() <= 40
            && text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || c == '.' || extra.contains(c))
    };
    if text.contains('*') && digits_and("*") {
        let octets: Vec<&str> = text.split('.').collect();
        let fixed = octets.iter().take_while(|o| octet(o).is_some()).count();
        let rest = octets.iter().skip(fixed).all(|o| *o == "*");
        if (1..=3).contains(&fixed) && octets.len() <= 4 && rest {
            let net = network(octets.get(..fixed)?, 8 * fixed)?;
            return say("a network is written with the length of its prefix", net);
        }
        return None;
    }
    if let Some((addr, len)) = text.split_once('/')
        && digits_and("/")
    {
        let octets: Vec<&str> = addr.trim_end_matches('.').split('.').collect();
        let len = len.parse::<usize>().ok().filter(|len| *len <= 32)?;
        return say("a network is written with all its four numbers", network(&octets, len)?);
    }
    if let Some((first, last)) = text.split_once('-')
        && let Ok(start) = first.parse::<Ipv4Addr>()
        && octet(last).is_some()
    {
        let [a, b, c, _] = start.octets();
        return say("a range is written with two whole addresses", format!("{first}-{a}.{b}.{c}.{last}"));
    }
    if text.contains('.') && digits_and("") {
        let octets: Vec<&str> = text.trim_end_matches('.').split('.').collect();
        return match octets.len() {
            4 => say(
                "the numbers of an address have no leading zeros",
                network(&octets, 32)?.replace("/32", ""),
            ),
            n => say("a network is written with all its four numbers", network(&octets, 8 * n)?),
        };
    }
    None
}

/// 0 to 255, leading zeros allowed.
fn octet(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The network of its first octets.
fn network(octets: &[&str], len: usize) -> Option<String> {
    let mut full = [0_u8; 4];
    if octets.len() > 4 {
        return None;
    }
    for (to, from) in full.iter_mut().zip(octets) {
        *to = octet(from)?;
    }
    Some(format!("{}/{len}", Ipv4Addr::from(full)))
}
