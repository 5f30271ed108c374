use crate::{AddrRange, Context, Filter, names, parse, slips};
use bartizan_model::Kind;
use bartizan_schema::FieldKind;
use std::{fmt::Write, net::IpAddr};

/// Longest text that is looked at: a kernel log line has about 800 bytes.
const MAX_PASTED: usize = 8 * 1024;

/// The filter for something that was pasted: an address (also with a port, or with its dots in brackets), a
/// line that the kernel's LOG target or LOGEMU wrote (`SRC= DST= PROTO= SPT= DPT=`), a JSON object of ours or of
/// ulogd (`"src":`, `"src_ip":`), or the address of a page of ours, with a filter behind `q=`.
///
/// Nothing, if it is none of these: then it is a filter or a mistake, and [`crate::Filter::parse`] knows which.
/// Of a log line only what is well-formed is used, and of an ICMP error only the outer packet.
#[must_use]
pub fn recognise(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_PASTED {
        return None;
    }
    if let Some(range) = AddrRange::parse(text) {
        return Some(format!("ip:{range}"));
    }
    if let Some((addr, port)) = slips::address_and_port(text) {
        return Some(format!("ip:{} port:{port}", AddrRange::one(addr)));
    }
    if text.contains("[.]")
        && let Some(range) = AddrRange::parse(&text.replace("[.]", "."))
    {
        return Some(format!("ip:{range}"));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return page(text);
    }
    if text.starts_with('{') {
        return object(text);
    }
    log_line(text)
}

/// Whether a text that is no filter is surely a line of a log or a row: it names both addresses of a packet.
pub(crate) fn pasted_line(text: &str) -> Option<String> {
    if !text.contains(char::is_whitespace) && !text.starts_with('{') && !text.contains("://") {
        return None;
    }
    let both = |filter: &String| text.contains("://") || (filter.contains("src:") && filter.contains("dst:"));
    recognise(text).filter(both)
}

/// The filter in the address of a page, as `https://watch.example/explore?q=dport%3A22`.
fn page(text: &str) -> Option<String> {
    let (_, query) = text.split('#').next()?.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix("q="))?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    let filter = String::from_utf8(bytes).ok()?;
    // not `Filter::parse`, which would look for a page in the filter of the page
    let (parsed, _) = parse::parse(Kind::Events, &filter, &Context::default());
    parsed.ok().map(|expr| Filter::from(expr).to_string())
}

/// Keys of a row as JSON, with the fields that they become: ours, then ulogd's.
const MEMBERS: &[(&str, &str)] = &[
    ("src", "src"),
    ("src_ip", "src"),
    ("ip.saddr", "src"),
    ("dst", "dst"),
    ("dest_ip", "dst"),
    ("ip.daddr", "dst"),
    ("proto", "proto"),
    ("ip.protocol", "proto"),
    ("sport", "sport"),
    ("src_port", "sport"),
    ("dport", "dport"),
    ("dest_port", "dport"),
];

/// `"key": value` pairs of an object, wherever they stand. No JSON is checked: it is a guess about what was pasted.
fn object(text: &str) -> Option<String> {
    let mut found: [Option<String>; KEYS.len()] = Default::default();
    let mut pieces = text.split('"').skip(1);
    let mut key = pieces.next();
    while let Some(name) = key {
        let Some(between) = pieces.next() else { break };
        let Some(value) = between.trim_start().strip_prefix(':').map(str::trim) else {
            key = pieces.next();
            continue;
        };
        // `:` alone is followed by a text in quotes; otherwise the value stands before the next comma
        let value = match value {
            "" => {
                let value = pieces.next();
                let _ = pieces.next();
                value
            }
            plain => plain.split([',', '}']).next(),
        };
        let field = MEMBERS.iter().find(|(member, _)| *member == name).map(|(_, field)| *field);
        if let Some((field, value)) = field.zip(value)
            && let Some(at) = KEYS.iter().position(|(_, known)| *known == field)
            && let Some(slot) = found.get_mut(at)
            && slot.is_none()
        {
            *slot = well_formed(field, value.trim());
        }
        key = pieces.next();
    }
    joined(&found)
}

/// Keys of a log line, with the fields that they become.
const KEYS: &[(&str, &str)] = &[
    ("SRC", "src"),
    ("DST", "dst"),
    ("PROTO", "proto"),
    ("SPT", "sport"),
    ("DPT", "dport"),
    ("TYPE", "type"),
    ("CODE", "code"),
];

fn log_line(text: &str) -> Option<String> {
    // The prefix stands before IN= and may hold anything; only what follows is the kernel's.
    let start = text.match_indices("IN=").map(|(i, _)| i).find(|i| {
        let rest = text.get(*i..).unwrap_or_default();
        rest.split_whitespace().nth(1).is_some_and(|word| word.starts_with("OUT="))
    });
    let mut found: [Option<String>; KEYS.len()] = Default::default();
    for word in text.get(start.unwrap_or(0)..)?.split_whitespace() {
        if word.starts_with("[SRC=") {
            break; // the packet that an ICMP error quotes
        }
        let Some((key, value)) = word.split_once('=') else { continue };
        let Some(at) = KEYS.iter().position(|(k, _)| *k == key) else { continue };
        let Some((slot, (_, field))) = found.get_mut(at).zip(KEYS.get(at)) else { continue };
        if slot.is_none() {
            *slot = well_formed(field, value);
        }
    }
    joined(&found)
}

/// A filter of what was found, if it has an address.
fn joined(found: &[Option<String>; KEYS.len()]) -> Option<String> {
    if found.iter().take(2).all(Option::is_none) {
        return None;
    }
    let mut out = String::new();
    for (value, (_, field)) in found.iter().zip(KEYS) {
        if let Some(value) = value {
            let space = if out.is_empty() { "" } else { " " };
            write!(out, "{space}{field}:{value}").ok()?;
        }
    }
    Some(out)
}

fn well_formed(name: &str, value: &str) -> Option<String> {
    let kind = bartizan_schema::field(name)?.kind;
    match kind {
        FieldKind::Addr => value.parse::<IpAddr>().ok().map(|ip| AddrRange::one(ip).to_string()),
        FieldKind::Port => value.parse::<u16>().ok().map(|n| n.to_string()),
        FieldKind::Proto => {
            let lower = value.to_lowercase();
            let number = names::protocol(&lower).or_else(|| value.parse::<u8>().ok().map(i64::from))?;
            Some(names::protocol_name(number).map_or_else(|| number.to_string(), str::to_owned))
        }
        _ => value.parse::<u8>().ok().map(|n| n.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pasted_things_become_filters() {
        let tcp = "Nov 23 05:00:43 web-01 kernel: [ 12.3] SRC=9.9.9.9 DROP IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:12:34:57:08:00 \
                   SRC=203.0.113.7 DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=1 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0";
        let icmp = "IN=eth0 OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=88 PROTO=ICMP TYPE=3 CODE=3 \
                    [SRC=10.0.0.2 DST=10.0.0.1 LEN=60 PROTO=UDP SPT=1 DPT=53 LEN=40 ] MARK=0x1";
        let v6 = "x IN= OUT=eth0 SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=ff02:0000:0000:0000:0000:0000:0000:0001 LEN=64 PROTO=ICMPv6 TYPE=135 CODE=0";
        for (text, expected) in [
            (" 10.0.0.1 ", Some("ip:10.0.0.1")),
            ("2001:DB8::1", Some("ip:2001:db8::1")),
            ("10.1.2.3/8", Some("ip:10.0.0.0/8")),
            ("198.51.100[.]7", Some("ip:198.51.100.7")),
            ("10.0.0.1:443", Some("ip:10.0.0.1 port:443")),
            ("[2001:db8::1]:443", Some("ip:2001:db8::1 port:443")),
            (tcp, Some("src:203.0.113.7 dst:10.0.0.2 proto:tcp sport:40000 dport:22")),
            (icmp, Some("src:10.0.0.1 dst:10.0.0.2 proto:icmp type:3 code:3")),
            (v6, Some("src:2001:db8::1 dst:ff02::1 proto:icmpv6 type:135 code:0")),
            ("SRC=10.0.0.1 DST=banana SPT=99999 PROTO=47", Some("src:10.0.0.1 proto:gre")),
            (
                r#"{"time":"2026-11-23T10:00:00Z","host":"a","src":"203.0.113.7","dst":"10.0.0.2","proto":"tcp","dport":22}"#,
                Some("src:203.0.113.7 dst:10.0.0.2 proto:tcp dport:22"),
            ),
            (
                r#"{"dest_port": 53, "src_ip": "2001:db8::1", "oob.prefix": "a \"src_ip\": x", "ip.protocol": 17}"#,
                Some("src:2001:db8::1 proto:udp dport:53"),
            ),
            (r#"{"dport":22}"#, None),
            (
                "https://watch.example/explore?live=1&q=src%3A10.0.0.0%2F8+-dport%3A22#x",
                Some("src:10.0.0.0/8 -dport:22"),
            ),
            ("https://watch.example/explore?q=%zz", None),
            ("https://watch.example/?page=2", None),
            ("SRC=banana DPT=22", None),
            ("src:10.0.0.1", None),
            ("10.0.0.1 dport:22", None),
            ("", None),
        ] {
            let filter = recognise(text);
            assert_eq!(filter.as_deref(), expected, "{text}");
            if let Some(filter) = filter {
                assert_eq!(Filter::parse(&filter, &Context::default()).unwrap().to_string(), filter);
            }
        }
    }
}
