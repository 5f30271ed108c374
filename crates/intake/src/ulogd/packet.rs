use super::take::Taker;
use super::{Key, Record, Told, Value};
use crate::Rows;
use crate::json::Extra;
use bartizan_decode::Event;
use bartizan_decode::columns::Full;
use bartizan_decode::nflog::{Link, NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV};
use bartizan_decode::packet::{ETHER_ARP, FRAGMENT_OFFSET, Headers, Icmp, Ports, Tcp, Upper};
use bartizan_model::is_v4_mapped;
use std::borrow::Cow;
use std::net::Ipv4Addr;

const SMALLEST_ETHER_TYPE: u16 = 0x0600;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
/// What the source address alone makes of it: the kernel gave no header.
const ARPHRD_VOID: u16 = 0xffff;
const UDP: u8 = 17;
/// Bytes of a UDP header's place: without options, without extension headers.
const HEADER6: u32 = 40;

const PORTS: u128 = Key::SourcePort.bit() | Key::DestinationPort.bit();
const TCP: u128 = Key::TcpSequence.bit() | Key::TcpWindow.bit() | Key::Syn.bit() | Key::TcpSource.bit();
const ICMP: u128 = Key::IcmpType.bit();
const ICMP6: u128 = Key::Icmp6Type.bit();

/// Adds a logged packet.
pub(super) fn push(record: &Record<'_>, rows: &mut Rows, told: &Told<'_>) -> Result<(), Full> {
    let take = &mut Taker::new(record);
    let mut extra = Extra::default();
    let time = record.time(take, told).unwrap_or(told.received);
    let prefix = take.text(Key::Prefix).unwrap_or_default();
    let in_if = interface(take, Key::In, Key::InIndex);
    let out_if = interface(take, Key::Out, Key::OutIndex);
    let mut link = link(take);
    let headers = headers(take, &mut extra);
    let family = family(take, &headers);
    let hook = take.number(Key::Hook);
    if matches!(family, NFPROTO_BRIDGE | NFPROTO_NETDEV) && matches!(headers.upper, Upper::Arp(_)) {
        link.ether_type.get_or_insert(ETHER_ARP);
    }
    let mut event = Event {
        time,
        prefix: &prefix,
        in_if: &in_if,
        out_if: &out_if,
        link,
        family,
        hook,
        headers,
        mark: take.word(Key::Mark).unwrap_or(0),
        uid: take.word(Key::Uid),
        gid: take.word(Key::Gid),
        packets: take.number(Key::PacketCount).unwrap_or(0),
        ..Event::default()
    };
    take.rest(&mut extra);
    event.extra = extra.finish();
    rows.event(&event, told.source, told.whose)
}

/// The name of an interface, or its number where ulogd was not asked for the name.
fn interface<'a>(take: &mut Taker<'_, 'a>, name: Key, index: Key) -> Cow<'a, [u8]> {
    match take.text(name) {
        Some(name) if !name.is_empty() => name,
        _ => match take.number::<u32>(index) {
            None | Some(0) => Cow::default(),
            Some(index) => Cow::Owned(index.to_string().into_bytes()),
        },
    }
}

fn link(take: &mut Taker<'_, '_>) -> Link {
    let mut link =
        Link { mac_src: take.mac(Key::MacSource), mac_dst: take.mac(Key::MacDestination), ..Link::default() };
    for key in [Key::Protocol, Key::MacProtocol] {
        match take.number::<u16>(key) {
            // in frames without a type it is a length, or one of the kernel's own numbers
            Some(0) | None => {}
            Some(number) if number >= SMALLEST_ETHER_TYPE => {
                link.ether_type = link.ether_type.or(Some(number))
            }
            Some(_) => take.leave(key),
        }
    }
    let hardware = match take.record.get(Key::LinkType) {
        Value::Int(kind) => u16::try_from(kind).unwrap_or(ARPHRD_VOID),
        _ => ARPHRD_ETHER,
    };
    if matches!(hardware, ARPHRD_ETHER | ARPHRD_LOOPBACK)
        && let Some((to, from, kind)) = take.frame(Key::MacHeader)
    {
        let agrees = link.mac_src.is_none_or(|mac| mac == from) && link.mac_dst.is_none_or(|mac| mac == to);
        let known = kind < SMALLEST_ETHER_TYPE || link.ether_type.is_none_or(|known| known == kind);
        if !agrees || !known {
            take.leave(Key::MacHeader);
        }
        link.mac_src = link.mac_src.or(Some(from));
        link.mac_dst = link.mac_dst.or(Some(to));
        link.ether_type = link.ether_type.or(Some(kind).filter(|k| *k >= SMALLEST_ETHER_TYPE));
    }
    link
}

/// As the record says, else by what it has.
fn family(take: &mut Taker<'_, '_>, headers: &Headers) -> u8 {
    take.number(Key::Family).unwrap_or(match headers.src.or(headers.dst) {
        Some(address) if is_v4_mapped(&address) => NFPROTO_IPV4,
        Some(_) => NFPROTO_IPV6,
        None if headers.length.is_some() => NFPROTO_IPV4,
        None => 0,
    })
}

fn headers(take: &mut Taker<'_, '_>, extra: &mut Extra) -> Headers {
    let mut headers =
        Headers { src: take.address(Key::Source), dst: take.address(Key::Destination), ..Headers::default() };
    let next = take.number(Key::NextHeader);
    headers.proto = take.number(Key::IpProtocol).or(next.filter(|next| !is_extension(*next)));
    if next.is_some() && next != headers.proto {
        take.leave(Key::NextHeader);
    }
    headers.tos = take.number(Key::Tos).or_else(|| take.number(Key::TrafficClass));
    headers.ttl = take.number(Key::Ttl).or_else(|| take.number(Key::HopLimit));
    headers.length = take
        .number::<u16>(Key::TotalLength)
        .map(u32::from)
        .or_else(|| take.number::<u16>(Key::PayloadLength).map(|payload| HEADER6 + u32::from(payload)));
    headers.id = take.number::<u16>(Key::IpId).map(u32::from).or_else(|| take.word(Key::FragmentId));
    headers.frag = take
        .number(Key::FragmentOffset)
        .or_else(|| take.number::<u16>(Key::FragmentOffset6).map(|bytes| bytes >> 3))
        .unwrap_or(0);
    if headers.length.is_some() && take.number(Key::PacketLength) != headers.length {
        take.leave(Key::PacketLength);
    }
    // a header of under 5 words is none, whatever was taken for what is behind it
    let whole = !matches!(take.record.get(Key::HeaderLength), Value::Int(0..5));
    if whole && headers.frag & FRAGMENT_OFFSET == 0 {
        headers.upper = upper(take, &headers, extra);
    }
    renamed(take, extra);
    headers
}

/// The header behind that of IP.
fn upper(take: &mut Taker<'_, '_>, headers: &Headers, extra: &mut Extra) -> Upper {
    match headers.proto {
        Some(6) => tcp(take),
        Some(UDP) => {
            udp_length(take, headers);
            Upper::Ports(ports(take, Key::UdpSource, Key::UdpDestination))
        }
        Some(132) => Upper::Ports(ports(take, Key::SctpSource, Key::SctpDestination)),
        Some(33 | 136) => Upper::Ports(ports(take, Key::UdpSource, Key::UdpDestination)),
        Some(1) => icmp(take, [Key::IcmpType, Key::IcmpCode, Key::EchoId, Key::EchoSequence], extra),
        Some(58) => icmp(take, [Key::Icmp6Type, Key::Icmp6Code, Key::Echo6Id, Key::Echo6Sequence], extra),
        Some(_) => Upper::None,
        None if take.has(Key::ArpOperation) => take.number(Key::ArpOperation).map_or(Upper::None, Upper::Arp),
        // a table that somebody made without the protocol
        None if take.any(TCP) => tcp(take),
        None if take.any(ICMP) => {
            icmp(take, [Key::IcmpType, Key::IcmpCode, Key::EchoId, Key::EchoSequence], extra)
        }
        None if take.any(ICMP6) => {
            icmp(take, [Key::Icmp6Type, Key::Icmp6Code, Key::Echo6Id, Key::Echo6Sequence], extra)
        }
        None if take.any(PORTS | Key::UdpSource.bit()) => {
            Upper::Ports(ports(take, Key::UdpSource, Key::UdpDestination))
        }
        None => Upper::None,
    }
}

fn ports(take: &mut Taker<'_, '_>, source: Key, destination: Key) -> Ports {
    Ports {
        source: take.number(Key::SourcePort).or_else(|| take.number(source)),
        destination: take.number(Key::DestinationPort).or_else(|| take.number(destination)),
    }
}

fn tcp(take: &mut Taker<'_, '_>) -> Upper {
    let mut flags = None;
    for (key, bit) in
        [(Key::Fin, 0), (Key::Syn, 1), (Key::Rst, 2), (Key::Psh, 3), (Key::Ack, 4), (Key::Urg, 5)]
    {
        if let Some(set) = take.flag(key) {
            *flags.get_or_insert(0) |= u16::from(set) << bit;
        }
    }
    if let Some(flags) = &mut flags {
        // two bits: ECE, CWR; of four reserved ones the lowest: AE
        if let Some(bits) = take.number::<u16>(Key::Reserved2).filter(|bits| *bits < 4) {
            *flags |= bits << 6;
        }
        if let Some(bits) = take.number::<u16>(Key::Reserved1) {
            *flags |= (bits & 1) << 8;
            if bits > 1 {
                take.leave(Key::Reserved1);
            }
        }
    }
    Upper::Tcp(Tcp {
        ports: ports(take, Key::TcpSource, Key::TcpDestination),
        seq: take.word(Key::TcpSequence),
        ack: take.word(Key::TcpAcknowledged),
        flags,
        window: take.number(Key::TcpWindow),
    })
}

fn icmp(take: &mut Taker<'_, '_>, [kind, code, id, sequence]: [Key; 4], extra: &mut Extra) -> Upper {
    for (key, name) in [(id, "icmp_id"), (sequence, "icmp_seq")] {
        rename(take, key, name, extra);
    }
    if let Some(gateway) = take.word(Key::Gateway) {
        let address = Ipv4Addr::from_bits(gateway).to_string();
        extra.put(b"icmp_gateway", &Value::Text(address.as_bytes()));
    }
    rename(take, Key::FragmentMtu, "icmp_mtu", extra);
    Upper::Icmp(Icmp { kind: take.number(kind), code: take.number(code), quoted: None })
}

/// The length of a whole UDP packet follows from that of the IP packet.
fn udp_length(take: &mut Taker<'_, '_>, headers: &Headers) {
    let header = if headers.src.is_some_and(|a| !is_v4_mapped(&a)) {
        HEADER6
    } else {
        match take.record.get(Key::HeaderLength) {
            Value::Int(words @ 5..=15) => u32::try_from(words * 4).unwrap_or(0),
            _ => 20,
        }
    };
    let follows = headers.length.and_then(|length| length.checked_sub(header));
    if take.number(Key::UdpLength) != follows {
        take.leave(Key::UdpLength);
    }
}

/// What a line of text says under another name.
fn renamed(take: &mut Taker<'_, '_>, extra: &mut Extra) {
    for (key, name) in [(Key::FlowLabel, "flow_label"), (Key::UrgentPointer, "tcp_urgent")] {
        if take.has(key) && take.record.get(key) != Value::Int(0) {
            rename(take, key, name, extra);
        }
    }
    if let Some(spi) = take.word(Key::Spi) {
        extra.put(b"spi", &Value::Text(format!("0x{spi:x}").as_bytes()));
    }
}

fn rename(take: &mut Taker<'_, '_>, key: Key, name: &str, extra: &mut Extra) {
    if let Some(number) = take.word(key) {
        extra.put(name.as_bytes(), &Value::Int(i64::from(number)));
    }
}

/// The headers of IPv6 before that of the protocol.
const fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)
}
