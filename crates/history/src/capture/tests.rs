use super::*;
use crate::unpack::{Limits, Unpacked};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use proptest::prelude::*;
use std::io::Cursor;

/// UDP from 192.0.2.1:1000 to 192.0.2.2:53.
const PACKET: [u8; 28] =
    [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x03, 0xe8, 0, 53, 0, 8, 0, 0];

fn order(big: bool, number: u32) -> [u8; 4] {
    if big { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn pcap(big: bool, nanos: bool, link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let word = |n| order(big, n);
    let mut file = word(if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }).to_vec();
    file.extend(if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] });
    for n in [0, 0, 65_535, link] {
        file.extend(word(n));
    }
    for packet in packets {
        let len = u32::try_from(packet.len()).unwrap();
        for n in [1_700_000_000, if nanos { 5_000 } else { 5 }, len, len] {
            file.extend(word(n));
        }
        file.extend(packet);
    }
    file
}

fn pcapng(big: bool, link: u16, packet: &[u8]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let len = u32::try_from(12 + body.len().next_multiple_of(4)).unwrap();
        let mut block = [order(big, kind), order(big, len)].concat();
        block.extend(body);
        block.resize(block.len().next_multiple_of(4), 0);
        block.extend(order(big, len));
        block
    };
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let section = [&order(big, 0x1a2b_3c4d)[..], &half(1), &half(0), &[0xff; 8]].concat();
    // if_name "wan0", if_tsresol nanoseconds
    let options =
        [&half(2)[..], &half(4), b"wan0", &half(9), &half(1), &[9, 0, 0, 0], &half(0), &half(0)].concat();
    let interface = [&half(link)[..], &half(0), &order(big, 0), &options].concat();
    let time = 1_700_000_000_000_005_000_u64;
    let len = u32::try_from(packet.len()).unwrap();
    let words = [0, (time >> 32) as u32, time as u32, len, len].map(|n| order(big, n)).concat();
    let enhanced = [&words, packet].concat();
    [block(0x0a0d_0d0a, &section), block(1, &interface), block(5, &[0; 12]), block(6, &enhanced)].concat()
}

/// `nfgenmsg` and attributes as the kernel sends them.
fn nflog_packet(big: bool) -> Vec<u8> {
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut data = vec![2, 0, 0, 7];
    for (kind, value) in [
        (1, &[8, 0, 1, 0][..]),
        (10, b"IN drop: \0"),
        (2, &[0, 0, 0, 0x2a]),
        (4, &[0, 0, 0, 3]),
        (11, &[0, 0, 3, 0xe8]),
        (9, &PACKET),
    ] {
        data.extend(half(u16::try_from(4 + value.len()).unwrap()));
        data.extend(half(kind));
        data.extend(value);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    data
}

fn read(bytes: Vec<u8>) -> (Option<RecordBatch>, Tally) {
    let mut content = Content::new(Unpacked::new(Cursor::new(bytes), Limits::default()).unwrap(), 0);
    let mut capture = Capture::new("x.pcap".into(), Hosts::new("gw".into(), true, String::new()));
    let (mut rows, mut tally) = (Rows::new(10_000), Tally::default());
    while !matches!(capture.piece(&mut content, u64::MAX, &mut rows, &mut tally).unwrap(), Read::End(_)) {}
    assert!(tally.adds_up());
    (rows.finish().pop().map(|(_, batch)| batch), tally)
}

fn text(batch: &RecordBatch, name: &str) -> String {
    let column =
        batch.column_by_name(name).unwrap_or_else(|| panic!("no {name}")).as_dictionary::<Int32Type>();
    column.values().as_string::<i32>().value(column.keys().value(0) as usize).to_owned()
}

fn check(batch: &RecordBatch) {
    let number = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int32Type>().value(0);
    assert_eq!((number("sport"), number("dport")), (1000, 53));
    let time = batch.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(time, 1_700_000_000_000_005);
    assert_eq!((text(batch, "family"), text(batch, "source")), ("ip".to_owned(), "pcap".to_owned()));
}

#[test]
fn every_link_type_in_both_orders_and_units() {
    let ether = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &PACKET].concat();
    let cooked = [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0][..], &PACKET].concat();
    let cooked2 = [&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &PACKET].concat();
    for big in [false, true] {
        for nanos in [false, true] {
            let null = [&order(big, 2)[..], &PACKET].concat();
            let tagged = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 9, 8, 0][..], &PACKET].concat();
            for (link, packet) in [
                (1, &ether),
                (1, &tagged),
                (113, &cooked),
                (276, &cooked2),
                (101, &PACKET.to_vec()),
                (0, &null),
                (108, &[&[0, 0, 0, 2][..], &PACKET].concat()),
                (239, &nflog_packet(big)),
            ] {
                let (batch, tally) = read(pcap(big, nanos, link, &[packet.clone(), packet.clone()]));
                assert_eq!(tally.events, 2, "link {link} big {big}");
                check(&batch.unwrap());
                let (batch, tally) = read(pcapng(big, u16::try_from(link).unwrap(), packet));
                assert_eq!(tally.events, 1, "pcapng link {link} big {big}");
                let batch = batch.unwrap();
                check(&batch);
                if link != 239 {
                    assert_eq!(text(&batch, "in_if"), "wan0");
                }
            }
        }
    }
}

#[test]
fn nflog_has_prefix_mark_user_and_interface() {
    for big in [false, true] {
        let (batch, _) = read(pcap(big, false, 239, &[nflog_packet(big)]));
        let batch = batch.unwrap();
        assert_eq!((text(&batch, "prefix"), text(&batch, "in_if")), ("IN drop: ".to_owned(), "3".to_owned()));
        let number = |name: &str| {
            batch.column_by_name(name).unwrap().as_primitive::<arrow_array::types::Int64Type>().value(0)
        };
        assert_eq!((number("mark"), number("uid")), (42, 1000));
    }
}

#[test]
fn what_is_not_read_is_counted() {
    let (batch, tally) = read(pcap(false, false, 147, &vec![PACKET.to_vec(); 3]));
    assert!(batch.is_none());
    assert_eq!((tally.records, tally.skipped[LINK_TYPE]), (3, 3));
    let mut cut = pcap(false, false, 101, &vec![PACKET.to_vec(); 3]);
    cut.truncate(cut.len() - 1);
    let (batch, tally) = read(cut);
    assert_eq!((batch.unwrap().num_rows(), tally.unreadable.len()), (2, 1));
}

proptest! {
    #[test]
    fn any_bytes(
        big in any::<bool>(), ng in any::<bool>(), link in prop::sample::select(vec![0_u16, 1, 101, 108, 113, 239, 276, 999]),
        packet in prop::collection::vec(any::<u8>(), 0..90), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut file = if ng { pcapng(big, link, &packet) } else { pcap(big, false, link.into(), &[packet.clone(), packet]) };
        let at = at.index(file.len());
        file[at] = byte;
        read(file);
    }
}
