//! Checks of the decoders on any bytes: nothing panics, and a capture that is cut shorter says the same or
//! less, never something else.

use bartizan_decode::columns::{EventColumns, InterfaceNames};
use bartizan_decode::conntrack;
use bartizan_decode::flows::FlowColumns;
use bartizan_decode::netlink::{Attrs, Message, Messages};
use bartizan_decode::nflog::NflogPacket;
use bartizan_decode::nftables::{self, Elements, SetKey};
use bartizan_decode::packet::{self, Headers, Icmp, Ports, Quoted, Tcp, Upper};
use bartizan_decode::text::journal::Reader;
use bartizan_decode::text::kmsg::Record;
use bartizan_decode::text::{Envelope, Line};
use bartizan_model::Micros;

/// Depth to which nested attributes are walked.
const DEPTH: usize = 8;

/// A datagram of netlink messages, into columns, with and without what is kept on demand.
pub fn nflog_datagram(data: &[u8]) {
    nflog_columns(data, &mut EventColumns::new(64), 1024 + 3 * 256);
    let mut columns = EventColumns::new(64);
    columns.set_payload(128, &["in*", "*drop*"]);
    columns.set_conntrack(true);
    columns.set_netns(Some("fuzz"));
    nflog_columns(data, &mut columns, 1024 + 3 * 256 + 128 + 512);
}

fn nflog_columns(data: &[u8], columns: &mut EventColumns, row_bytes: usize) {
    let mut names = InterfaceNames::new();
    names.set(1, "lo");
    let (mut rows, mut batches) = (0, 0);
    for message in Messages::new(data).flatten() {
        let Some(Ok(packet)) = NflogPacket::from_message(&message) else { continue };
        if columns.is_full() {
            batches += columns.finish().num_rows();
        }
        columns.push_nflog(&packet, Micros(1), &names).expect("the builder was emptied when it was full");
        rows += 1;
    }
    assert!(columns.bytes() <= 64 * row_bytes);
    assert_eq!(rows, batches + columns.finish().num_rows());
}

/// A line of text, into columns: whatever a line is, it makes a row, and what it lacks is said in `raw`.
pub fn text_line(data: &[u8]) {
    let (envelope, at) = Envelope::parse(data);
    assert!(at <= data.len() && envelope.host.is_none_or(|h| h.len() <= data.len()));
    for line in [Line::parse(data), Line::of_kernel(data)].into_iter().flatten() {
        let mut columns = EventColumns::new(2);
        columns.push_line(&line, Micros(1), "text").expect("there is room for two");
        let batch = columns.finish();
        assert_eq!(batch.num_rows(), 1);
        assert_eq!(batch.column_by_name("raw").is_some(), line.problem.is_some());
    }
}

/// A record of `/dev/kmsg`.
pub fn kmsg_record(data: &[u8]) {
    if let Some(record) = Record::parse(data) {
        assert!(record.text.len() <= data.len());
        text_line(&record.text);
    }
}

/// A stream in the journal's export format gives the same entries in whatever pieces it comes.
pub fn journal_export(data: &[u8]) {
    let read = |piece: usize| {
        let (mut reader, mut entries) = (Reader::default(), Vec::new());
        for bytes in data.chunks(piece) {
            reader.push(bytes);
            while let Some(entry) = reader.next_entry() {
                entries.push(entry.fields(["__CURSOR", "MESSAGE"]).map(|f| f.map(<[u8]>::to_vec)));
            }
        }
        entries
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(1));
    whole.iter().filter_map(|[_, message]| message.as_deref()).for_each(text_line);
}

/// A datagram of conntrack's messages, into columns.
pub fn conntrack_datagram(data: &[u8]) {
    let mut columns = FlowColumns::new(64);
    let (mut rows, mut batches) = (0, 0);
    for message in Messages::new(data).flatten() {
        let Some(flow) = conntrack::parse(&message) else { continue };
        let nat = flow.nat();
        assert_eq!(nat.as_str().is_some(), nat.source || nat.destination);
        let anywhere =
            [flow.orig.src, flow.orig.dst, flow.reply.src, flow.reply.dst].iter().any(Option::is_some);
        let everywhere = flow.touches(&[0; 16], 0) || flow.touches(&bartizan_model::addr_from_v4([0; 4]), 96);
        assert_eq!(anywhere, everywhere);
        if columns.is_full() {
            batches += columns.finish().num_rows();
        }
        columns.push(&flow, Micros(1)).expect("the builder was emptied when it was full");
        rows += 1;
    }
    assert!(columns.bytes() <= 64 * 1024);
    assert_eq!(rows, batches + columns.finish().num_rows());
}

/// A datagram of nf_tables' and nfnetlink_acct's messages: generations, rules, chains, objects, sets. Each says
/// one thing at most.
pub fn nftables_datagram(data: &[u8]) {
    for message in Messages::new(data).flatten() {
        let said = [
            nftables::generation(&message).is_some(),
            nftables::counted_rule(&message).is_some(),
            nftables::policy_counter(&message).is_some(),
            nftables::counter_object(&message).is_some(),
            nftables::counting_set(&message).is_some(),
            nftables::account(&message).is_some(),
        ];
        assert!(said.iter().filter(|s| **s).count() <= 1);
    }
}

/// The elements of a set whose key is described by the first 9 bytes.
pub fn nftables_elements(data: &[u8]) {
    let Some((head, payload)) = data.split_first_chunk::<9>() else { return };
    let [a, b, c, d, e, f, g, h, interval] = *head;
    let key = SetKey {
        kind: u32::from_ne_bytes([a, b, c, d]),
        len: u32::from_ne_bytes([e, f, g, h]),
        interval: interval & 1 == 1,
    };
    let mut elements = Elements::new(key);
    elements.take(&Message { kind: 0x0a0c, flags: 0, seq: 0, pid: 0, payload });
    let bytes = payload.len();
    for element in elements.finish() {
        // Names of interfaces are the longest: an escape for each byte.
        assert!(
            !element.text.is_empty() && element.text.len() <= 1024,
            "{bytes} bytes give {}",
            element.text
        );
        assert!(!element.text.contains(char::is_control));
    }
}

/// An IPv4 packet.
pub fn ipv4(data: &[u8]) {
    cuts(data, packet::ipv4);
}

/// An IPv6 packet.
pub fn ipv6(data: &[u8]) {
    cuts(data, packet::ipv6);
}

/// An Ethernet frame, and the same bytes as an ARP packet.
pub fn ethernet_arp(data: &[u8]) {
    cuts(data, packet::arp);
    cuts(data, |bytes| {
        let frame = packet::ethernet(bytes);
        frame.ether_type.map_or_else(Headers::default, |t| packet::network(t, frame.payload))
    });
    let whole = packet::ethernet(data);
    for n in cut_points(data) {
        let cut = packet::ethernet(&data[..n]);
        assert!(same(cut.src, whole.src) && same(cut.dst, whole.dst) && same(cut.vlan, whole.vlan));
        assert!(same(cut.ether_type, whole.ether_type));
    }
}

/// Attributes, with those inside them.
pub fn netlink_attrs(data: &[u8]) {
    walk(data, DEPTH);
    for message in Messages::new(data).flatten() {
        let _ = (message.error_code(), message.is_done(), message.subsystem(), message.subtype());
        if let Some((_, attrs)) = message.nfgen() {
            assert!(attrs.count() <= data.len() / 4 + 1);
        }
    }
}

fn walk(data: &[u8], depth: usize) {
    let mut items = 0;
    let mut ended = false;
    for item in Attrs::new(data) {
        assert!(!ended, "a malformed tail is the last item");
        items += 1;
        match item {
            Ok(attr) => {
                assert!(data.as_ptr_range().contains(&attr.payload.as_ptr()) || attr.payload.is_empty());
                let _ = (attr.u8(), attr.be16(), attr.be32(), attr.be64(), attr.ne32(), attr.c_str());
                if depth > 0 {
                    walk(attr.payload, depth - 1);
                }
            }
            Err(malformed) => {
                assert_eq!(malformed.offset + malformed.left, data.len());
                ended = true;
            }
        }
    }
    assert!(items <= data.len() / 4 + 1);
}

/// Reads `data` whole and cut: the cut must say the same or less.
fn cuts(data: &[u8], read: impl Fn(&[u8]) -> Headers) {
    let whole = read(data);
    for n in cut_points(data) {
        let cut = read(&data[..n]);
        assert!(less(&cut, &whole), "cut to {n} bytes says {cut:?}, whole {whole:?}");
    }
}

/// Everywhere in the headers, and the last byte.
fn cut_points(data: &[u8]) -> impl Iterator<Item = usize> + use<> {
    (0..data.len().min(160)).chain(data.len().checked_sub(1))
}

fn same<T: PartialEq>(cut: Option<T>, whole: Option<T>) -> bool {
    cut.is_none() || cut == whole
}

/// Whether the first says nothing that the second does not say.
pub fn less(cut: &Headers, whole: &Headers) -> bool {
    same(cut.src, whole.src)
        && same(cut.dst, whole.dst)
        && same(cut.proto, whole.proto)
        && same(cut.length, whole.length)
        && same(cut.tos, whole.tos)
        && same(cut.ttl, whole.ttl)
        && same(cut.id, whole.id)
        && (cut.frag == 0 || cut.frag == whole.frag)
        && less_upper(&cut.upper, &whole.upper)
}

fn less_upper(cut: &Upper, whole: &Upper) -> bool {
    match (cut, whole) {
        (Upper::None, _) => true,
        (Upper::Ports(cut), Upper::Ports(whole)) => less_ports(cut, whole),
        (Upper::Tcp(cut), Upper::Tcp(whole)) => less_tcp(cut, whole),
        (Upper::Icmp(cut), Upper::Icmp(whole)) => less_icmp(cut, whole),
        (cut, whole) => cut == whole,
    }
}

fn less_ports(cut: &Ports, whole: &Ports) -> bool {
    same(cut.source, whole.source) && same(cut.destination, whole.destination)
}

fn less_tcp(cut: &Tcp, whole: &Tcp) -> bool {
    less_ports(&cut.ports, &whole.ports)
        && same(cut.seq, whole.seq)
        && same(cut.ack, whole.ack)
        && same(cut.flags, whole.flags)
        && same(cut.window, whole.window)
}

fn less_icmp(cut: &Icmp, whole: &Icmp) -> bool {
    let quoted = match (&cut.quoted, &whole.quoted) {
        (None, _) => true,
        (Some(cut), Some(whole)) => less_quoted(cut, whole),
        (Some(_), None) => false,
    };
    same(cut.kind, whole.kind) && same(cut.code, whole.code) && quoted
}

fn less_quoted(cut: &Quoted, whole: &Quoted) -> bool {
    same(cut.proto, whole.proto)
        && same(cut.src, whole.src)
        && same(cut.dst, whole.dst)
        && less_ports(&cut.ports, &whole.ports)
}
