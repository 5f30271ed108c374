//! etherparse reads the same bytes: where it reads a field, ours is the same.

use crate::checks;
use bartizan_decode::packet::{self, Frame, Headers, Ports, Quoted, Upper};
use bartizan_model::{addr_from_ip, addr_from_v4};
use etherparse::{
    ArpPacketSlice, EtherType, Icmpv4Type, Icmpv6Type, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions,
    Ipv4Header, Ipv4Options, Ipv6ExtensionSlice, Ipv6Extensions, Ipv6FlowLabel, Ipv6FragmentHeader,
    Ipv6Header, Ipv6RawExtHeader, LaxIpv4Slice, LaxIpv6Slice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket,
    PacketBuilder, TcpHeader, TransportSlice,
};
use proptest::prelude::*;
use std::net::IpAddr;

/// Compares a frame; whether etherparse read a network header.
pub fn frame_agrees(bytes: &[u8]) -> bool {
    let Ok(theirs) = LaxSlicedPacket::from_ethernet(bytes) else { return false };
    let ours: Frame<'_> = packet::ethernet(bytes);
    assert_eq!(ours.dst.map(|m| m.octets().to_vec()), Some(bytes[..6].to_vec()));
    assert_eq!(ours.src.map(|m| m.octets().to_vec()), Some(bytes[6..12].to_vec()));
    if theirs.link_exts.len() >= 3 || theirs.link_exts.iter().any(|e| matches!(e, LaxLinkExtSlice::Macsec(_)))
    {
        return false;
    }
    assert_eq!(ours.vlan, theirs.vlan_ids().first().map(|v| v.value()));
    if let Some(payload) = theirs.ether_payload().filter(|_| theirs.stop_err.is_none()) {
        assert_eq!(ours.ether_type, Some(payload.ether_type.0).filter(|t| *t >= 0x600));
    }
    let headers = ours.ether_type.map_or_else(Headers::default, |t| packet::network(t, ours.payload));
    let version = ours.payload.first().map(|b| b >> 4);
    if matches!((ours.ether_type, version), (Some(0x0800), Some(6)) | (Some(0x86dd), Some(4))) {
        return false;
    }
    packet_agrees(&headers, &theirs)
}

/// Compares a packet that starts at its IP header.
pub fn ip_agrees(bytes: &[u8]) -> bool {
    let Ok(theirs) = LaxSlicedPacket::from_ip(bytes) else { return false };
    let ours = if bytes[0] >> 4 == 4 { packet::ipv4(bytes) } else { packet::ipv6(bytes) };
    packet_agrees(&ours, &theirs)
}

fn packet_agrees(ours: &Headers, theirs: &LaxSlicedPacket<'_>) -> bool {
    let upper = match &theirs.net {
        None => return false,
        Some(LaxNetSlice::Arp(arp)) => {
            arp_agrees(ours, arp);
            false
        }
        Some(LaxNetSlice::Ipv4(v4)) => v4_agrees(ours, v4),
        Some(LaxNetSlice::Ipv6(v6)) => v6_agrees(ours, v6, theirs.stop_err.is_some()),
    };
    if let Some(transport) = theirs.transport.as_ref().filter(|_| upper) {
        transport_agrees(&ours.upper, transport);
    }
    true
}

fn arp_agrees(ours: &Headers, theirs: &ArpPacketSlice<'_>) {
    assert_eq!(ours.upper, Upper::Arp(theirs.operation().0));
    if theirs.proto_addr_type() == EtherType::IPV4 && theirs.proto_addr_size() == 4 {
        assert_eq!(ours.src, theirs.sender_protocol_addr().try_into().ok().map(addr_from_v4));
        assert_eq!(ours.dst, theirs.target_protocol_addr().try_into().ok().map(addr_from_v4));
    }
}

/// Returns whether both read on behind the header.
fn v4_agrees(ours: &Headers, theirs: &LaxIpv4Slice<'_>) -> bool {
    let h = theirs.header();
    assert_eq!(ours.src, Some(addr_from_v4(h.source())));
    assert_eq!(ours.dst, Some(addr_from_v4(h.destination())));
    assert_eq!(ours.proto, Some(h.protocol().0));
    assert_eq!(ours.length, Some(u32::from(h.total_len())));
    assert_eq!(ours.tos, Some(h.dcp().value() << 2 | h.ecn().value()));
    assert_eq!(ours.ttl, Some(h.ttl()));
    assert_eq!(ours.id, Some(u32::from(h.identification())));
    let flags = u16::from(h.dont_fragment()) << 14 | u16::from(h.more_fragments()) << 13;
    assert_eq!(ours.frag & 0x7fff, flags | h.fragments_offset().value());
    let later = h.fragments_offset().value() != 0;
    assert!(!later || ours.upper == Upper::None, "a later fragment has no header");
    let total = usize::from(h.total_len());
    h.protocol() != IpNumber::AUTHENTICATION_HEADER && (total == 0 || total >= h.slice().len())
}

fn v6_agrees(ours: &Headers, theirs: &LaxIpv6Slice<'_>, stopped: bool) -> bool {
    let h = theirs.header();
    assert_eq!(ours.src, Some(h.source()));
    assert_eq!(ours.dst, Some(h.destination()));
    assert_eq!(ours.length, Some(40 + u32::from(h.payload_length())));
    assert_eq!(ours.tos, Some(h.traffic_class()));
    assert_eq!(ours.ttl, Some(h.hop_limit()));
    // its iterator over the extension headers reads past the end when the walk was stopped
    if stopped {
        return false;
    }
    let fragments: Vec<_> = theirs
        .extensions()
        .clone()
        .into_iter()
        .filter_map(|e| if let Ipv6ExtensionSlice::Fragment(f) = e { Some(f) } else { None })
        .collect();
    if let [f] = &fragments[..] {
        assert_eq!(ours.id, Some(f.identification()));
        assert_eq!(ours.frag, f.fragment_offset().value() | u16::from(f.more_fragments()) << 13);
    }
    let later = fragments.iter().any(|f| f.fragment_offset().value() != 0);
    assert!(!later || ours.upper == Upper::None, "a later fragment has no header");
    let proto = theirs.payload().ip_number.0;
    if later || matches!(proto, 0 | 135 | 139 | 140) {
        return false;
    }
    assert_eq!(ours.proto, Some(proto));
    true
}

fn transport_agrees(ours: &Upper, theirs: &TransportSlice<'_>) {
    let ports = |source, destination| Ports { source: Some(source), destination: Some(destination) };
    match (ours, theirs) {
        (Upper::Ports(ours), TransportSlice::Udp(udp)) => {
            assert_eq!(*ours, ports(udp.source_port(), udp.destination_port()));
        }
        (Upper::Tcp(ours), TransportSlice::Tcp(tcp)) => {
            assert_eq!(ours.ports, ports(tcp.source_port(), tcp.destination_port()));
            assert_eq!(ours.seq, Some(tcp.sequence_number()));
            assert_eq!(ours.ack, Some(tcp.acknowledgment_number()));
            assert_eq!(ours.window, Some(tcp.window_size()));
            let bits = [
                tcp.fin(),
                tcp.syn(),
                tcp.rst(),
                tcp.psh(),
                tcp.ack(),
                tcp.urg(),
                tcp.ece(),
                tcp.cwr(),
                tcp.ns(),
            ];
            let flags = bits.iter().enumerate().fold(0, |f, (i, set)| f | u16::from(*set) << i);
            assert_eq!(ours.flags, Some(flags));
        }
        (Upper::Icmp(ours), TransportSlice::Icmpv4(icmp)) => {
            assert_eq!((ours.kind, ours.code), (Some(icmp.type_u8()), Some(icmp.code_u8())));
            let error = matches!(icmp.type_u8(), 3 | 4 | 5 | 11 | 12);
            quote_agrees(ours.quoted.as_ref(), &icmp.slice()[8..], error, 4);
        }
        (Upper::Icmp(ours), TransportSlice::Icmpv6(icmp)) => {
            assert_eq!((ours.kind, ours.code), (Some(icmp.type_u8()), Some(icmp.code_u8())));
            quote_agrees(ours.quoted.as_ref(), &icmp.slice()[8..], matches!(icmp.type_u8(), 1..=4), 6);
        }
        (Upper::None, TransportSlice::Igmp(_)) => {}
        (ours, theirs) => panic!("we read {ours:?}, etherparse {theirs:?}"),
    }
}

fn quote_agrees(ours: Option<&Quoted>, bytes: &[u8], error: bool, version: u8) {
    if !error {
        assert_eq!(ours, None);
        return;
    }
    if bytes.first().map(|b| b >> 4) != Some(version) {
        return;
    }
    let Ok(theirs) = LaxSlicedPacket::from_ip(bytes) else { return };
    let ours = ours.expect("etherparse reads the quoted packet");
    let (src, dst) = match &theirs.net {
        Some(LaxNetSlice::Ipv4(v4)) => (
            addr_from_ip(IpAddr::V4(v4.header().source_addr())),
            addr_from_ip(IpAddr::V4(v4.header().destination_addr())),
        ),
        Some(LaxNetSlice::Ipv6(v6)) => (v6.header().source(), v6.header().destination()),
        _ => return,
    };
    assert_eq!((ours.src, ours.dst), (Some(src), Some(dst)));
    if let Some(TransportSlice::Udp(udp)) = &theirs.transport
        && theirs.stop_err.is_none()
        && ours.ports.source.is_some()
    {
        assert_eq!(
            ours.ports,
            Ports { source: Some(udp.source_port()), destination: Some(udp.destination_port()) }
        );
    }
}

#[derive(Clone, Debug)]
enum Carried {
    Udp(u16, u16),
    Tcp(Box<TcpHeader>),
    Icmp(u8, u8, [u8; 4]),
    Other(u8),
}

fn carried() -> impl Strategy<Value = Carried> {
    prop_oneof![
        any::<(u16, u16)>().prop_map(|(s, d)| Carried::Udp(s, d)),
        (any::<(u16, u16, u32, u16)>(), any::<u32>(), any::<u16>()).prop_map(
            |((s, d, seq, window), ack, bits)| {
                let mut t = TcpHeader::new(s, d, seq, window);
                t.acknowledgment_number = ack;
                (t.fin, t.syn, t.rst, t.psh) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0, bits & 8 != 0);
                (t.ack, t.urg, t.ece, t.cwr) =
                    (bits & 16 != 0, bits & 32 != 0, bits & 64 != 0, bits & 128 != 0);
                t.ns = bits & 256 != 0;
                if bits & 512 != 0 {
                    t.set_options_raw(&[2, 4, 5, 0xb4, 1, 3, 3, 7]).unwrap();
                }
                Carried::Tcp(Box::new(t))
            }
        ),
        any::<(u8, u8, [u8; 4])>().prop_map(|(t, c, r)| Carried::Icmp(t % 16, c, r)),
        prop_oneof![Just(2u8), Just(47), Just(50), Just(89), Just(200)].prop_map(Carried::Other),
    ]
}

fn v4_header() -> impl Strategy<Value = IpHeaders> {
    (any::<([u8; 4], [u8; 4], u8, u16)>(), any::<(bool, bool, u8, u8)>(), 0usize..11, 0u16..4).prop_map(
        |((src, dst, ttl, id), (df, mf, dscp, ecn), words, offset)| {
            let mut h = Ipv4Header::new(0, ttl, IpNumber::UDP, src, dst).unwrap();
            h.identification = id;
            (h.dont_fragment, h.more_fragments) = (df, mf && offset == 1);
            if offset == 3 {
                h.fragment_offset = IpFragOffset::try_new(id & 0x1fff).unwrap();
            }
            h.dscp = (dscp & 63).try_into().unwrap();
            h.ecn = (ecn & 3).try_into().unwrap();
            h.options = Ipv4Options::try_from(&vec![1; words * 4][..]).unwrap();
            IpHeaders::Ipv4(h, Ipv4Extensions::default())
        },
    )
}

fn v6_header() -> impl Strategy<Value = IpHeaders> {
    (any::<([u8; 16], [u8; 16], u8, u8)>(), any::<[bool; 3]>(), any::<Option<(u16, bool, u32)>>(), 0usize..4)
        .prop_map(|((source, destination, hop_limit, traffic_class), with, fragment, words)| {
            let h = Ipv6Header {
                traffic_class,
                flow_label: Ipv6FlowLabel::default(),
                hop_limit,
                source,
                destination,
                ..Ipv6Header::default()
            };
            let raw = || Ipv6RawExtHeader::new_raw(IpNumber::UDP, &vec![0; 6 + words * 8]).unwrap();
            let mut e = Ipv6Extensions {
                hop_by_hop_options: with[0].then(raw),
                destination_options: with[1].then(raw),
                ..Ipv6Extensions::default()
            };
            if with[2] {
                e.routing = Some(etherparse::Ipv6RoutingExtensions {
                    routing: raw(),
                    final_destination_options: with[1].then(raw),
                });
            }
            e.fragment = fragment.map(|(offset, more, id)| {
                let offset = if offset % 2 == 0 { 0 } else { offset & 0x1fff };
                Ipv6FragmentHeader::new(IpNumber::UDP, IpFragOffset::try_new(offset).unwrap(), more, id)
            });
            IpHeaders::Ipv6(h, e)
        })
}

fn built(ip: IpHeaders, carried: &Carried, payload: &[u8]) -> Vec<u8> {
    let v4 = matches!(ip, IpHeaders::Ipv4(..));
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ip(ip);
    let mut out = Vec::new();
    match carried {
        Carried::Udp(s, d) => builder.udp(*s, *d).write(&mut out, payload).unwrap(),
        Carried::Tcp(t) => builder.tcp_header((**t).clone()).write(&mut out, payload).unwrap(),
        Carried::Icmp(type_u8, code_u8, rest) if v4 => {
            let kind = Icmpv4Type::Unknown { type_u8: *type_u8, code_u8: *code_u8, bytes5to8: *rest };
            builder.icmpv4(kind).write(&mut out, payload).unwrap();
        }
        Carried::Icmp(type_u8, code_u8, rest) => {
            let kind = Icmpv6Type::Unknown { type_u8: *type_u8, code_u8: *code_u8, bytes5to8: *rest };
            builder.icmpv6(kind).write(&mut out, payload).unwrap();
        }
        Carried::Other(number) => builder.write(&mut out, IpNumber(*number), payload).unwrap(),
    }
    out
}

fn cases() -> ProptestConfig {
    let soak = std::env::var_os("BARTIZAN_SOAK").is_some();
    ProptestConfig { cases: if soak { 500_000 } else { 2_000 }, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn built_packets_read_the_same_at_any_length(
        ip in prop_oneof![v4_header(), v6_header()],
        carried in carried(),
        inner in (prop_oneof![v4_header(), v6_header()], any::<(u16, u16)>()),
        noise in any::<Option<[u8; 24]>>(),
        cut in any::<prop::sample::Index>(),
    ) {
        // what it carries is noise, or a packet as an error quotes it
        let payload = match noise {
            Some(noise) => noise.to_vec(),
            None => built(inner.0, &Carried::Udp(inner.1.0, inner.1.1), b"quoted")[14..].to_vec(),
        };
        let whole = built(ip, &carried, &payload);
        prop_assert!(frame_agrees(&whole), "etherparse reads its own packet");
        let cut = &whole[..cut.index(whole.len() + 1)];
        frame_agrees(cut);
        if cut.len() > 14 {
            ip_agrees(&cut[14..]);
        }
        checks::ethernet_arp(&whole);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), first in any::<u8>()) {
        checks::nflog_datagram(&bytes);
        checks::netlink_attrs(&bytes);
        checks::ethernet_arp(&bytes);
        let mut bytes = bytes;
        if let Some(b) = bytes.first_mut() {
            *b = 0x40 | (first & 0x0f);
            checks::ipv4(&bytes);
            bytes[0] = 0x60 | (first & 0x0f);
            checks::ipv6(&bytes);
        }
    }
}
