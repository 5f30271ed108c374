//! The columns against a naive model: one map of texts per row.

use crate::build;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use bartizan_decode::columns::{EventColumns, Full, InterfaceNames, MAX_PREFIX};
use bartizan_decode::netlink::{Messages, until_nul};
use bartizan_decode::nflog::NflogPacket;
use bartizan_decode::packet::{Mac, Upper};
use bartizan_model::{Kind, Micros, addr_to_ip};
use bartizan_schema::wire_schema;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(crate) type Row = BTreeMap<String, String>;

/// The cells of a batch that are not null.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<Row> {
    rows_of(Kind::Events, batch)
}

/// Those of a batch of any kind.
pub(crate) fn rows_of(kind: Kind, batch: &RecordBatch) -> Vec<Row> {
    let wire = wire_schema(kind);
    let mut last = None;
    for field in batch.schema().fields() {
        let at = wire.index_of(field.name()).unwrap();
        assert_eq!(wire.field(at), field.as_ref(), "the field is that of the wire schema");
        assert!(last < Some(at), "columns are in the wire schema's order");
        last = Some(at);
    }
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        assert!(batch.num_rows() == 0 || column.null_count() < column.len(), "{} is all null", field.name());
        for (i, row) in rows.iter_mut().enumerate().filter(|(i, _)| column.is_valid(*i)) {
            let cell = match column.data_type() {
                DataType::Int16 => column.as_primitive::<Int16Type>().value(i).to_string(),
                DataType::Int32 => column.as_primitive::<Int32Type>().value(i).to_string(),
                DataType::Int64 => column.as_primitive::<Int64Type>().value(i).to_string(),
                DataType::Timestamp(..) => {
                    column.as_primitive::<TimestampMicrosecondType>().value(i).to_string()
                }
                DataType::FixedSizeBinary(16) => {
                    addr_to_ip(column.as_fixed_size_binary().value(i).try_into().unwrap()).to_string()
                }
                DataType::Binary => format!("{:?}", column.as_binary::<i32>().value(i)),
                DataType::Dictionary(..) => {
                    let dictionary = column.as_dictionary::<Int32Type>();
                    let key = usize::try_from(dictionary.keys().value(i)).unwrap();
                    dictionary.values().as_string::<i32>().value(key).to_owned()
                }
                other => panic!("{other}"),
            };
            row.insert(field.name().clone(), cell);
        }
    }
    rows
}

/// What a row should be.
fn model(p: &NflogPacket<'_>, received: Micros, names: &InterfaceNames, netns: &str) -> Row {
    let mut row = Row::new();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            row.insert(name.into(), value);
        }
    };
    let name = |index: Option<u32>| index.map(|i| names.name(i).map_or_else(|| i.to_string(), str::to_owned));
    let mac = |m: Option<Mac>| m.map(|m| m.octets().map(|b| format!("{b:02x}")).join(":"));
    let ip = |a: Option<[u8; 16]>| a.map(|a| addr_to_ip(a).to_string());
    fn text<T: ToString>(v: Option<T>) -> Option<String> {
        v.map(|v| v.to_string())
    }
    let (link, h) = p.decode();
    set("time", text(Some(p.timestamp.unwrap_or(received).0)));
    set("source", Some("nflog".into()));
    set("packets", Some("1".into()));
    set("netns", Some(netns.to_owned()).filter(|n| !n.is_empty()));
    let prefix =
        p.prefix.map(|b| String::from_utf8_lossy(until_nul(&b[..b.len().min(MAX_PREFIX)])).into_owned());
    set("prefix", prefix.filter(|p| !p.is_empty()));
    let family = match p.family {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    };
    set("family", Some(family.into()));
    let hooks: &[&str] = match p.family {
        3 => &["input", "output", "forward"],
        5 => &["ingress", "egress"],
        1 | 2 | 10 => &["prerouting", "input", "forward", "output", "postrouting", "ingress"],
        _ => &["prerouting", "input", "forward", "output", "postrouting"],
    };
    set("hook", text(p.hook.and_then(|n| hooks.get(usize::from(n)))));
    set("in_if", name(p.in_dev));
    set("out_if", name(p.out_dev));
    set("phys_in", name(p.phys_in_dev));
    set("phys_out", name(p.phys_out_dev));
    set("mac_src", mac(link.mac_src));
    set("mac_dst", mac(link.mac_dst));
    set("ether_type", text(link.ether_type));
    set("vlan", text(link.vlan));
    set("src", ip(h.src));
    set("dst", ip(h.dst));
    set("proto", text(h.proto));
    set("length", text(h.length));
    set("tos", text(h.tos));
    set("ttl", text(h.ttl));
    set("ip_id", text(h.id));
    set("frag", text(Some(h.frag).filter(|f| *f != 0)));
    match h.upper {
        Upper::None => {}
        Upper::Ports(ports) => {
            set("sport", text(ports.source));
            set("dport", text(ports.destination));
        }
        Upper::Tcp(tcp) => {
            set("sport", text(tcp.ports.source));
            set("dport", text(tcp.ports.destination));
            set("tcp_seq", text(tcp.seq));
            set("tcp_ack", text(tcp.ack));
            set("tcp_flags", text(tcp.flags));
            set("tcp_window", text(tcp.window));
        }
        Upper::Icmp(icmp) => {
            set("icmp_type", text(icmp.kind));
            set("icmp_code", text(icmp.code));
            if let Some(q) = icmp.quoted {
                set("inner_proto", text(q.proto));
                set("inner_src", ip(q.src));
                set("inner_dst", ip(q.dst));
                set("inner_sport", text(q.ports.source));
                set("inner_dport", text(q.ports.destination));
            }
        }
        Upper::Arp(operation) => set("icmp_type", text(i16::try_from(operation).ok())),
    }
    set("mark", text(p.mark.filter(|m| *m != 0)));
    set("uid", text(p.uid));
    set("gid", text(p.gid));
    let ct = ["established", "related", "new", "established", "related", "new", "", "untracked"];
    let state = p.ct_info.and_then(|i| ct.get(usize::try_from(i).ok()?).copied());
    set("ct_state", text(state.filter(|s| !s.is_empty())));
    row
}

/// A packet's parts, owned.
#[derive(Clone, Debug)]
struct Parts {
    numbers: (u8, Option<u8>, Option<u16>, Option<u32>, Option<i64>),
    devices: [Option<u32>; 4],
    local: (Option<u32>, Option<u32>, Option<u32>),
    header: Option<[u8; 18]>,
    vlan_tci: Option<u16>,
    prefix: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
}

impl Parts {
    fn packet(&self) -> NflogPacket<'_> {
        NflogPacket {
            family: self.numbers.0,
            hook: self.numbers.1,
            hw_protocol: self.numbers.2,
            mark: self.numbers.3,
            timestamp: self.numbers.4.map(Micros),
            in_dev: self.devices[0],
            out_dev: self.devices[1],
            phys_in_dev: self.devices[2],
            phys_out_dev: self.devices[3],
            uid: self.local.0,
            gid: self.local.1,
            ct_info: self.local.2,
            hw_header: self.header.as_ref().map(|h| &h[..]),
            vlan_tci: self.vlan_tci,
            prefix: self.prefix.as_deref(),
            payload: self.payload.as_deref(),
            ..NflogPacket::default()
        }
    }
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let quoted = build::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 17, 3, &build::udp(7, 8, b""));
    let v4 = |proto, body: Vec<u8>| build::ipv4([192, 0, 2, 1], [198, 51, 100, 2], proto, 9, &body);
    let v6 = |proto, body: Vec<u8>| build::ipv6([0x20; 16], [0x30; 16], proto, &body);
    let kinds = vec![
        v4(6, build::tcp_syn(1, 2, 3)),
        v4(17, build::udp(4, 5, b"x")),
        v4(1, build::icmp(8, 0, b"")),
        v4(1, build::icmp(3, 1, &quoted)),
        v4(47, vec![0; 8]),
        v6(6, build::tcp_syn(1, 2, 3)),
        v6(44, [&[17, 0, 5, 1, 0, 0, 0, 9][..], &build::udp(4, 5, b"x")].concat()),
        v6(58, build::icmp(128, 0, b"")),
        vec![0, 1, 8, 0, 6, 4, 0, 1, 1, 1, 1, 1, 1, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2],
        vec![0, 1, 8, 0, 6, 4, 0xff, 1],
    ];
    (prop::sample::select(kinds), any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut p, cut, whole)| {
            if !whole {
                p.truncate(cut.index(p.len() + 1));
            }
            p
        },
    )
}

fn parts() -> impl Strategy<Value = Parts> {
    let device = || prop::option::of(0u32..5);
    let rare = || prop::option::weighted(0.1, 0u32..9);
    let prefix = prop_oneof![
        Just(Vec::new()),
        Just(b"in-drop: ".to_vec()),
        Just(b"in-drop; ".to_vec()),
        Just(vec![0xff, 0xfe, b'a']),
        Just(vec![b'x'; 300]),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    (
        (
            prop::sample::select(vec![1u8, 2, 3, 5, 7, 10, 12]),
            prop::option::of(0u8..7),
            prop::option::of(prop::sample::select(vec![0x0800u16, 0x86dd, 0x0806, 4, 0x8100, 0x88cc])),
            prop::option::of(0u32..3),
            any::<Option<i64>>(),
        ),
        [device(), device(), device(), device()],
        (rare(), rare(), rare()),
        prop::option::of(any::<[u8; 18]>()),
        prop::option::weighted(0.1, any::<u16>()),
        prop::option::of(prefix),
        prop::option::weighted(0.9, payload()),
    )
        .prop_map(|(numbers, devices, local, header, vlan_tci, prefix, payload)| Parts {
            numbers,
            devices,
            local,
            header,
            vlan_tci,
            prefix,
            payload,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("BARTIZAN_SOAK").is_some() { 20_000 } else { 200 }, ..ProptestConfig::default() })]

    #[test]
    fn columns_equal_rows(steps in proptest::collection::vec((parts(), 0u8..40), 0..120)) {
        let mut names = InterfaceNames::new();
        names.set(1, "lo");
        names.set(2, "eth0");
        let mut columns = EventColumns::new(64);
        let mut expected = Vec::new();
        let mut netns = "";
        for (n, (parts, event)) in steps.iter().enumerate() {
            match event {
                0 => names.set(2, if names.name(2) == Some("eth0") { "wan" } else { "eth0" }),
                1 => names.remove(1),
                2 => {
                    netns = if netns.is_empty() { "blue" } else { "" };
                    columns.set_netns(Some(netns));
                }
                3 => prop_assert_eq!(rows(&columns.finish()), std::mem::take(&mut expected)),
                _ => {}
            }
            let received = Micros(i64::try_from(n).unwrap());
            let packet = parts.packet();
            match columns.push_nflog(&packet, received, &names) {
                Ok(()) => expected.push(model(&packet, received, &names, netns)),
                Err(full) => {
                    prop_assert_eq!(full, Full { rows: 64 });
                    prop_assert_eq!(rows(&columns.finish()), std::mem::take(&mut expected));
                }
            }
            prop_assert_eq!(columns.len(), expected.len());
        }
        prop_assert_eq!(rows(&columns.finish()), expected);
        prop_assert!(columns.is_empty());
    }
}

fn decoded(datagram: &[u8]) -> Vec<Row> {
    let mut names = InterfaceNames::new();
    names.set(2, "eth0");
    let mut columns = EventColumns::new(100);
    for message in Messages::new(datagram) {
        let packet = NflogPacket::from_message(&message.unwrap()).unwrap().unwrap();
        assert_eq!(packet.malformed, None);
        columns.push_nflog(&packet, Micros(77), &names).unwrap();
    }
    rows(&columns.finish())
}

fn row(cells: &[(&str, &str)]) -> Row {
    cells.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_logged_syn_becomes_a_row() {
    let syn = build::ipv4([192, 0, 2, 1], [198, 51, 100, 2], 6, 513, &build::tcp_syn(40000, 22, 99));
    let got = decoded(&build::input(2, "in-drop: ", 1500, &syn));
    let expected = row(&[
        ("time", "1760000001500000"),
        ("source", "nflog"),
        ("prefix", "in-drop: "),
        ("family", "ip"),
        ("hook", "input"),
        ("in_if", "eth0"),
        ("mac_src", "52:54:00:aa:bb:cc"),
        ("mac_dst", "52:54:00:01:02:03"),
        ("ether_type", "2048"),
        ("src", "192.0.2.1"),
        ("dst", "198.51.100.2"),
        ("proto", "6"),
        ("sport", "40000"),
        ("dport", "22"),
        ("length", "60"),
        ("tos", "0"),
        ("ttl", "57"),
        ("ip_id", "513"),
        ("frag", "16384"),
        ("tcp_flags", "2"),
        ("tcp_seq", "99"),
        ("tcp_ack", "0"),
        ("tcp_window", "64240"),
        ("packets", "1"),
    ]);
    assert_eq!(got, [expected]);
}

#[test]
fn a_packet_of_the_host_has_its_user_and_the_time_of_receipt() {
    let ping = build::ipv6([0x20; 16], [0x30; 16], 58, &build::icmp(128, 0, b""));
    let attrs = [
        build::packet_hdr(0x86dd, 3),
        build::prefix(""),
        build::be32(5, 9),
        build::be32(2, 0x8000_0001),
        build::be32(11, 1000),
        build::be32(14, 100),
        build::be32(19, 2),
        build::attr(9, &ping),
    ];
    let got = decoded(&build::message(10, 1, &attrs));
    let expected = row(&[
        ("time", "77"),
        ("source", "nflog"),
        ("family", "ip6"),
        ("hook", "output"),
        ("out_if", "9"),
        ("ether_type", "34525"),
        ("src", "2020:2020:2020:2020:2020:2020:2020:2020"),
        ("dst", "3030:3030:3030:3030:3030:3030:3030:3030"),
        ("proto", "58"),
        ("length", "48"),
        ("tos", "0"),
        ("ttl", "58"),
        ("icmp_type", "128"),
        ("icmp_code", "0"),
        ("mark", "2147483649"),
        ("uid", "1000"),
        ("gid", "100"),
        ("ct_state", "new"),
        ("packets", "1"),
    ]);
    assert_eq!(got, [expected]);
}

#[test]
fn bridge_and_netdev_frames_keep_both_tags_in_mind() {
    let arp = [0, 1, 8, 0, 6, 4, 0, 2, 1, 1, 1, 1, 1, 1, 10, 0, 0, 1, 2, 2, 2, 2, 2, 2, 10, 0, 0, 2];
    let frame = [&[0xaa; 6][..], &[0xbb; 6], &[0x08, 0x06]].concat();
    let tag = build::attr(20 | 0x8000, &[build::be16(1, 0x8100), build::be16(2, 0x2064)].concat());
    let bridge = build::message(
        7,
        1,
        &[build::packet_hdr(0x0806, 2), tag.clone(), build::attr(21, &frame), build::attr(9, &arp)],
    );
    // the kernel took off the outer tag; the inner one stands in front of the packet
    let udp = build::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 17, 1, &build::udp(1, 2, b""));
    let inner = [&[0, 20, 0x08, 0][..], &udp].concat();
    let ingress = build::message(5, 1, &[build::packet_hdr(0x8100, 0), tag, build::attr(9, &inner)]);
    // on egress the frame stands in the payload, and its header beside it as well
    let header = [&[0xaa; 6][..], &[0xbb; 6], &[0x88, 0xa8, 0, 10, 0x81, 0, 0, 20, 0x08, 0]].concat();
    let whole = build::attr(9, &[&header[..], &udp].concat());
    let egress =
        build::message(5, 1, &[build::packet_hdr(0x88a8, 1), build::attr(21, &header), whole.clone()]);
    let alone = build::message(5, 1, &[build::packet_hdr(0x88a8, 1), whole]);
    let got = decoded(&[bridge, ingress, egress, alone].concat());
    let cell = |i: usize, name: &str| got[i].get(name).map(String::as_str);
    assert_eq!(cell(0, "vlan"), Some("100"));
    assert_eq!(
        (cell(0, "src"), cell(0, "dst"), cell(0, "icmp_type")),
        (Some("10.0.0.1"), Some("10.0.0.2"), Some("2"))
    );
    assert_eq!(
        (cell(0, "mac_dst"), cell(0, "proto"), cell(0, "hook")),
        (Some("aa:aa:aa:aa:aa:aa"), None, Some("forward"))
    );
    assert_eq!(
        (cell(1, "vlan"), cell(1, "ether_type"), cell(1, "dport")),
        (Some("100"), Some("2048"), Some("2"))
    );
    for row in [2, 3] {
        assert_eq!(
            (cell(row, "mac_src"), cell(row, "mac_dst")),
            (Some("bb:bb:bb:bb:bb:bb"), Some("aa:aa:aa:aa:aa:aa"))
        );
        assert_eq!((cell(row, "vlan"), cell(row, "ether_type")), (Some("10"), Some("2048")));
        assert_eq!((cell(row, "sport"), cell(row, "hook")), (Some("1"), Some("egress")));
    }
}

#[test]
fn an_empty_batch_has_the_columns_that_every_row_has() {
    let batch = EventColumns::new(10).finish();
    assert_eq!(batch.num_rows(), 0);
    let names: Vec<_> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["time", "source", "family", "packets"]);
}

#[test]
fn a_flood_of_addresses_is_bounded_by_the_row_limit() {
    let mut columns = EventColumns::new(1000);
    let names = InterfaceNames::new();
    for n in 0..5000u32 {
        let [a, b, c, d] = n.to_be_bytes();
        let header = [a, b, c, d, 1, 2, d, c, b, a, 3, 4, 8, 0];
        let prefix = format!("flood {n}");
        let packet = NflogPacket {
            family: 2,
            hw_header: Some(&header),
            prefix: Some(prefix.as_bytes()),
            in_dev: Some(n),
            ..NflogPacket::default()
        };
        if columns.push_nflog(&packet, Micros(0), &names).is_err() {
            assert!(columns.bytes() < 1000 * 200);
            assert_eq!(columns.take_unknown_interface(), Some(n - 1));
            let batch = columns.finish();
            assert_eq!(batch.num_rows(), 1000);
            columns.push_nflog(&packet, Micros(0), &names).unwrap();
        }
    }
}

#[test]
fn one_builder_serves_two_namespaces_with_the_same_interface_numbers() {
    let (mut a, mut b) = (InterfaceNames::new(), InterfaceNames::new());
    a.set(2, "eth0");
    b.set(2, "veth7");
    let packet = NflogPacket { family: 2, in_dev: Some(2), ..NflogPacket::default() };
    let mut columns = EventColumns::new(10);
    for names in [&a, &b, &a] {
        columns.push_nflog(&packet, Micros(0), names).unwrap();
    }
    let got: Vec<_> = rows(&columns.finish()).iter().map(|r| r["in_if"].clone()).collect();
    assert_eq!(got, ["eth0", "veth7", "eth0"]);
}

#[test]
fn the_payload_of_chosen_prefixes_is_kept() {
    let udp = build::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 17, 1, &build::udp(1, 2, b"hello"));
    let mut columns = EventColumns::new(10);
    columns.set_payload(30, &["in-*", "exact"]);
    for prefix in ["in-drop ", "out ", "exact", "exactly", "in-"] {
        push(&mut columns, &build::input(2, prefix, 1, &udp));
    }
    // On egress the captured bytes start with the frame's header, which is no part of the packet.
    let header = [&[1; 6][..], &[2; 6], &[8, 0]].concat();
    let frame = [&header[..], &udp].concat();
    let attrs = [build::packet_hdr(0x0800, 1), build::prefix("in-"), build::attr(9, &frame)];
    push(&mut columns, &build::message(5, 5, &attrs));
    let kept = Some(format!("{:?}", &udp[..30]));
    let got: Vec<_> = rows(&columns.finish()).into_iter().map(|mut row| row.remove("payload")).collect();
    assert_eq!(got, [kept.clone(), None, kept.clone(), None, kept.clone(), kept]);
    columns.set_payload(0, &["*"]);
    push(&mut columns, &build::input(2, "in-drop ", 1, &udp));
    assert_eq!(rows(&columns.finish())[0].get("payload"), None);
}

#[test]
fn what_conntrack_knows_goes_into_the_details_when_asked_for() {
    let udp = build::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 17, 1, &build::udp(1, 2, b"hello"));
    let ct = [build::be32(3, 8), build::be32(8, 0), build::be32(12, 77), build::be16(18, 5)].concat();
    let attrs =
        [build::packet_hdr(0x0800, 1), build::attr(9, &udp), build::attr(18, &ct), build::be32(19, 2)];
    let message = build::message(2, 5, &attrs);
    let mut columns = EventColumns::new(10);
    push(&mut columns, &message);
    columns.set_conntrack(true);
    push(&mut columns, &message);
    push(&mut columns, &build::input(2, "x", 1, &udp));
    let rows = rows(&columns.finish());
    let extra = r#"{"ct":{"id":77,"zone":5,"status":8}}"#;
    assert_eq!(
        rows.iter().map(|r| r.get("extra").map(String::as_str)).collect::<Vec<_>>(),
        [None, Some(extra), None]
    );
    assert_eq!(rows[1]["ct_state"], "new");
}

fn push(columns: &mut EventColumns, datagram: &[u8]) {
    let message = Messages::new(datagram).next().unwrap().unwrap();
    let packet = NflogPacket::from_message(&message).unwrap().unwrap();
    columns.push_nflog(&packet, Micros(1), &InterfaceNames::new()).unwrap();
}
