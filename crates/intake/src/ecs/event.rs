use super::field::{Field, Fields};
use crate::json::Extra;
use crate::ulogd::Value;
use crate::{Rows, Whose};
use bartizan_decode::Event;
use bartizan_decode::columns::Full;
use bartizan_decode::nflog::{Link, NFPROTO_IPV4, NFPROTO_IPV6};
use bartizan_decode::packet::{Headers, Icmp, Mac, Ports, Tcp, Upper};
use bartizan_model::{Action, Micros, addr_from_ip, is_v4_mapped};
use std::net::IpAddr;

/// Traffic classes under this are written the same in both systems.
const DIGIT: u8 = 10;

/// Adds the packet that a document tells.
pub(super) fn push(
    fields: &Fields<'_>,
    time: Micros,
    rows: &mut Rows,
    source: &'static str,
    whose: Whose<'_>,
) -> Result<(), Full> {
    let mut extra = Extra::default();
    let mut headers = Headers {
        src: address(fields, [Field::Source, Field::SourceAddress]),
        dst: address(fields, [Field::Destination, Field::DestinationAddress]),
        proto: protocol(fields),
        length: fields.number(Field::Length),
        ttl: fields.number(Field::Ttl),
        id: fields.number(Field::Id),
        ..Headers::default()
    };
    headers.frag = fields.fragment_flags | fields.number::<u16>(Field::FragmentOffset).unwrap_or(0) & 0x1fff;
    let v6 = headers.src.or(headers.dst).is_some_and(|a| !is_v4_mapped(&a));
    let tos = fields.number::<u8>(Field::Tos);
    if v6 {
        headers.tos = tos.filter(|tos| *tos < DIGIT);
        if headers.tos != tos {
            put(fields, Field::Tos, Field::Tos.name(), &mut extra);
        }
    } else {
        let precedence = fields.number::<u8>(Field::Precedence);
        headers.tos = tos.map(|tos| tos | precedence.unwrap_or(0)).or(precedence);
    }
    headers.upper = upper(fields, headers.proto, &mut extra);
    let prefix = prefix(fields);
    let family = match fields.text(Field::NetworkType).as_deref() {
        Some(b"ipv4") => NFPROTO_IPV4,
        Some(b"ipv6") => NFPROTO_IPV6,
        _ if v6 => NFPROTO_IPV6,
        _ if headers.src.or(headers.dst).is_some() => NFPROTO_IPV4,
        _ => 0,
    };
    let interface = |ours, theirs| fields.text(ours).or_else(|| fields.text(theirs)).unwrap_or_default();
    let (in_if, out_if) = (interface(Field::In, Field::Ingress), interface(Field::Out, Field::Egress));
    for (field, name) in [
        (Field::FlowLabel, "flow_label"),
        (Field::TcpReserved, "tcp_reserved"),
        (Field::Incomplete, "incomplete"),
    ] {
        if fields.get(field) != Value::Int(0) {
            put(fields, field, name, &mut extra);
        }
    }
    if prefix.is_empty() {
        for field in [Field::IngressZone, Field::EgressZone, Field::RuleName, Field::RuleId] {
            put(fields, field, field.name(), &mut extra);
        }
    }
    let action = fields.text(Field::Action);
    let verdict = action.as_deref().and_then(verdict);
    if verdict.is_none() {
        put(fields, Field::Action, Field::Action.name(), &mut extra);
        put(fields, Field::Outcome, Field::Outcome.name(), &mut extra);
    }
    for (name, value) in &fields.others {
        extra.put(name.as_bytes(), value);
    }
    let event = Event {
        time,
        prefix: &prefix,
        action: verdict,
        in_if: &in_if,
        out_if: &out_if,
        link: Link {
            mac_src: mac(fields, Field::SourceMac),
            mac_dst: mac(fields, Field::DestinationMac),
            ether_type: fields.number(Field::EtherType),
            vlan: None,
        },
        family,
        headers,
        extra: extra.finish(),
        ..Event::default()
    };
    rows.event(&event, source, whose)
}

fn put(fields: &Fields<'_>, field: Field, name: &str, extra: &mut Extra) {
    if fields.get(field) != Value::Null {
        extra.put(name.as_bytes(), &fields.get(field));
    }
}

fn address(fields: &Fields<'_>, names: [Field; 2]) -> Option<[u8; 16]> {
    names.into_iter().find_map(|field| {
        let text = fields.text(field)?;
        std::str::from_utf8(&text).ok()?.trim().parse::<IpAddr>().ok().map(addr_from_ip)
    })
}

/// `90-10-20-76-8D-20` or with colons.
fn mac(fields: &Fields<'_>, field: Field) -> Option<Mac> {
    let text = fields.text(field)?;
    let text = std::str::from_utf8(&text).ok()?;
    let mut octets = [0; 6];
    let mut parts = text.split(['-', ':']);
    for octet in &mut octets {
        *octet = u8::from_str_radix(parts.next().filter(|p| p.len() == 2)?, 16).ok()?;
    }
    parts.next().is_none().then(|| Mac::new(octets))
}

fn protocol(fields: &Fields<'_>) -> Option<u8> {
    if let Some(number) = fields.number(Field::Protocol).or_else(|| fields.number(Field::Transport)) {
        return Some(number);
    }
    let word = fields.text(Field::Transport)?;
    Some(match &*word.to_ascii_lowercase() {
        b"icmp" => 1,
        b"igmp" => 2,
        b"tcp" => 6,
        b"udp" => 17,
        b"dccp" => 33,
        b"gre" => 47,
        b"esp" => 50,
        b"ah" => 51,
        b"ipv6-icmp" | b"icmpv6" => 58,
        b"sctp" => 132,
        b"udplite" => 136,
        _ => return None,
    })
}

fn upper(fields: &Fields<'_>, proto: Option<u8>, extra: &mut Extra) -> Upper {
    let ports = Ports {
        source: fields.number(Field::SourcePort),
        destination: fields.number(Field::DestinationPort),
    };
    match proto {
        Some(6) => Upper::Tcp(Tcp {
            ports,
            seq: fields.number(Field::TcpSequence),
            ack: fields.number(Field::TcpAcknowledged),
            flags: fields.tcp_flags,
            window: fields.number(Field::TcpWindow),
        }),
        Some(1 | 58) => {
            for (field, name) in [
                (Field::IcmpId, "icmp_id"),
                (Field::IcmpSequence, "icmp_seq"),
                (Field::IcmpParameter, "icmp_parameter"),
                (Field::IcmpRedirect, "icmp_gateway"),
            ] {
                put(fields, field, name, extra);
            }
            Upper::Icmp(Icmp {
                kind: fields.number(Field::IcmpType),
                code: fields.number(Field::IcmpCode),
                quoted: None,
            })
        }
        _ if ports != Ports::default() => Upper::Ports(ports),
        _ => Upper::None,
    }
}

/// The verdict of a word that was in the line, or that its letter became.
fn verdict(word: &[u8]) -> Option<Action> {
    Some(match &*word.to_ascii_lowercase() {
        b"drop" | b"deny" | b"denied" | b"d" => Action::Drop,
        b"reject" | b"rejected" | b"r" => Action::Reject,
        b"accept" | b"allow" | b"allowed" | b"a" => Action::Accept,
        _ => return None,
    })
}

/// The prefix that the rule had, as far as it can be told: Ubiquiti's `[WAN_LOCAL-default-D]`.
fn prefix(fields: &Fields<'_>) -> Vec<u8> {
    let (Some(set), Some(number)) = (fields.text(Field::RuleSet), fields.text(Field::RuleNumber)) else {
        return Vec::new();
    };
    let letter = match fields.text(Field::Action).as_deref().and_then(verdict) {
        Some(Action::Drop) => b'D',
        Some(Action::Reject) => b'R',
        Some(Action::Accept) => b'A',
        _ => return Vec::new(),
    };
    [b"[", &*set, b"-", &*number, b"-", &[letter], b"]"].concat()
}
