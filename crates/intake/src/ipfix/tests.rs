use super::*;
use crate::text::Fixed;
use crate::ulogd::Told;
use crate::{Rows, Whose};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use arrow_schema::DataType;
use bartizan_model::{Micros, addr_to_ip};
use proptest::prelude::*;
use std::collections::BTreeMap;

const TOLD: Told<'static> =
    Told { source: "ipfix", whose: Whose { host: "gw", sender: "" }, received: Micros(7), zone: &Fixed(0) };
const EXPORTER: [u8; 16] = [1; 16];

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap();
    [&id.to_be_bytes(), &length.to_be_bytes(), body].concat()
}

fn halves(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// A message of IPFIX, sent at second 1000000.
fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let length = u16::try_from(body.len() + 16).unwrap();
    let words = [1_000_000, sequence, 9].map(u32::to_be_bytes).concat();
    [&10_u16.to_be_bytes()[..], &length.to_be_bytes(), &words, &body].concat()
}

/// A message of v9, sent at second 1000000, 5000 ms after the exporter booted.
fn v9(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let words = [5000, 1_000_000, sequence, 9].map(u32::to_be_bytes).concat();
    [&9_u16.to_be_bytes()[..], &1_u16.to_be_bytes(), &words, &sets.concat()].concat()
}

type Row = BTreeMap<String, String>;

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        for (i, row) in rows.iter_mut().enumerate().filter(|(i, _)| column.is_valid(*i)) {
            let cell = match column.data_type() {
                DataType::Int16 => column.as_primitive::<Int16Type>().value(i).to_string(),
                DataType::Int32 => column.as_primitive::<Int32Type>().value(i).to_string(),
                DataType::Int64 => column.as_primitive::<Int64Type>().value(i).to_string(),
                DataType::Timestamp(..) => {
                    column.as_primitive::<TimestampMicrosecondType>().value(i).to_string()
                }
                DataType::FixedSizeBinary(_) => {
                    addr_to_ip(column.as_fixed_size_binary().value(i).try_into().unwrap()).to_string()
                }
                _ => {
                    let column = column.as_dictionary::<Int32Type>();
                    column.values().as_string::<i32>().value(column.key(i).unwrap()).to_owned()
                }
            };
            row.insert(field.name().clone(), cell);
        }
    }
    rows
}

/// The rows of datagrams, with room for so many at a time, and what each datagram was.
fn read(exports: &mut Exports, datagrams: &[Vec<u8>], room: usize) -> (Vec<Row>, Vec<Datagram>) {
    let (mut rows, mut all, mut whats) = (Rows::new(room), Vec::new(), Vec::new());
    for datagram in datagrams {
        loop {
            match exports.read(&EXPORTER, datagram, &mut rows, &TOLD) {
                Ok(what) => {
                    whats.push(what);
                    break;
                }
                Err(_) => all.extend(rows.finish().iter().flat_map(|(_, batch)| rows_of(batch))),
            }
        }
    }
    all.extend(rows.finish().iter().flat_map(|(_, batch)| rows_of(batch)));
    (all, whats)
}

fn row(pairs: &[(&str, &str)]) -> Row {
    let constant = [("host", "gw"), ("source", "ipfix")];
    constant.iter().chain(pairs).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Both directions of a TCP flow, in milliseconds, with something unknown and something of variable length.
fn biflow() -> (Vec<u8>, Vec<u8>) {
    let template = [
        halves(&[256, 12, 8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 152, 8, 153, 8, 1, 8, 2, 4]),
        halves(&[0x8000 | 1, 8, 0, 29305, 0x8000 | 2, 4, 0, 29305, 0x8000 | 77, 0xffff, 0, 4242]),
    ]
    .concat();
    let mut data = vec![192, 0, 2, 1, 198, 51, 100, 2, 0x9c, 0x40, 0, 22, 6];
    data.extend(1_000_500_u64.to_be_bytes());
    data.extend(1_001_750_u64.to_be_bytes());
    data.extend(300_u64.to_be_bytes());
    data.extend(3_u32.to_be_bytes());
    data.extend(200_u64.to_be_bytes());
    data.extend(2_u32.to_be_bytes());
    data.extend([3, 0xab, 0xcd, 0xef]);
    (set(2, &template), data)
}

#[test]
fn a_flow_of_both_directions() {
    let (template, data) = biflow();
    let both = [data.clone(), data].concat();
    let (rows, whats) = read(&mut Exports::default(), &[ipfix(0, &[template, set(256, &both)])], 10);
    let want = row(&[
        ("event", "destroy"),
        ("family", "ip"),
        ("proto", "6"),
        ("src", "192.0.2.1"),
        ("dst", "198.51.100.2"),
        ("sport", "40000"),
        ("dport", "22"),
        ("start", "1000500000"),
        ("end", "1001750000"),
        ("time", "1001750000"),
        ("bytes", "300"),
        ("packets", "3"),
        ("reply_bytes", "200"),
        ("reply_packets", "2"),
        ("extra", r#"{"4242/77":11259375}"#),
    ]);
    assert_eq!(rows, [want.clone(), want]);
    assert_eq!(whats, [Datagram { flows: 2, ..Datagram::default() }]);
}

#[test]
fn v9_counts_time_from_the_boot_and_has_icmp_in_the_port() {
    let template = halves(&[300, 9, 27, 16, 28, 16, 7, 2, 11, 2, 4, 1, 22, 4, 21, 4, 14, 4, 34, 4]);
    let mut data = [[0x20; 16], [0x30; 16]].concat();
    data.extend([0, 0, 128, 5, 58]);
    data.extend([1000_u32, 4000, 7, 1].map(u32::to_be_bytes).concat());
    // padded to a multiple of 4 bytes
    data.extend([0; 3]);
    let (rows, whats) = read(&mut Exports::default(), &[v9(0, &[set(0, &template), set(300, &data)])], 10);
    let want = row(&[
        ("event", "destroy"),
        ("family", "ip6"),
        ("proto", "58"),
        ("src", "2020:2020:2020:2020:2020:2020:2020:2020"),
        ("dst", "3030:3030:3030:3030:3030:3030:3030:3030"),
        ("icmp_type", "128"),
        ("icmp_code", "5"),
        ("start", "999996000000"),
        ("end", "999999000000"),
        ("time", "999999000000"),
        ("extra", r#"{"egressInterface":7}"#),
    ]);
    assert_eq!((rows, whats[0].flows), (vec![want], 1));
}

#[test]
fn v5() {
    let mut message = halves(&[5, 1]);
    message.extend([5000_u32, 1_000_000, 0, 77].map(u32::to_be_bytes).concat());
    message.extend(halves(&[1, 0x4000 | 100]));
    message.extend([192, 0, 2, 1, 198, 51, 100, 2, 0, 0, 0, 0, 0, 3, 0, 4]);
    message.extend([10_u32, 1000, 1000, 4000].map(u32::to_be_bytes).concat());
    message.extend([0, 53, 0xc0, 0, 0, 0x1b, 17, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (rows, whats) = read(&mut Exports::default(), &[message], 10);
    let want = row(&[
        ("event", "destroy"),
        ("family", "ip"),
        ("proto", "17"),
        ("src", "192.0.2.1"),
        ("dst", "198.51.100.2"),
        ("sport", "53"),
        ("dport", "49152"),
        ("packets", "10"),
        ("bytes", "1000"),
        ("start", "999996000000"),
        ("end", "999999000000"),
        ("time", "999999000000"),
        (
            "extra",
            r#"{"ingressInterface":3,"egressInterface":4,"tcpControlBits":27,"ipClassOfService":8,"sampling":100}"#,
        ),
    ]);
    assert_eq!((rows, whats), (vec![want], vec![Datagram { flows: 1, ..Datagram::default() }]));
}

#[test]
fn translation_and_events_of_a_firewall() {
    let template = halves(&[256, 7, 8, 4, 12, 4, 225, 4, 227, 2, 233, 1, 154, 8, 136, 1]);
    let mut data = vec![10, 0, 0, 1, 10, 0, 0, 2, 192, 0, 2, 9, 0x10, 0x00, 1];
    data.extend(((2_208_988_800_u64 + 50) << 32 | 1 << 31).to_be_bytes());
    data.push(2);
    let (rows, _) = read(&mut Exports::default(), &[ipfix(0, &[set(2, &template), set(256, &data)])], 10);
    for (column, want) in [
        ("event", "new"),
        ("reply_dst", "192.0.2.9"),
        ("reply_dport", "4096"),
        ("nat", "snat"),
        ("start", "50500000"),
        ("time", "50500000"),
        ("extra", r#"{"flowEndReason":2}"#),
    ] {
        assert_eq!(rows[0].get(column).map(String::as_str), Some(want), "{column}");
    }
    // the same, without what the firewall says: it goes on
    let template = set(2, &halves(&[256, 2, 8, 4, 136, 1]));
    let (rows, _) = read(&mut Exports::default(), &[ipfix(0, &[template, set(256, &[10, 0, 0, 1, 2])])], 10);
    assert_eq!(rows[0]["event"], "update");
}

#[test]
fn options_tell_of_the_exporter_and_templates_are_withdrawn() {
    let options = set(3, &halves(&[400, 3, 1, 149, 4, 34, 4, 160, 8]));
    let about = [7_u32.to_be_bytes(), 50_u32.to_be_bytes()].concat();
    let about = set(400, &[about, 2_000_u64.to_be_bytes().to_vec()].concat());
    let template = set(2, &halves(&[256, 2, 4, 1, 22, 4]));
    let flow = set(256, &[17, 0, 0, 0, 100]);
    let mut exports = Exports::default();
    let (rows, whats) = read(&mut exports, &[ipfix(0, &[options, about, template, flow.clone()])], 10);
    assert_eq!((whats[0].options, whats[0].flows), (1, 1));
    assert_eq!((rows[0]["start"].as_str(), rows[0]["extra"].as_str()), ("2100000", r#"{"sampling":50}"#));
    let withdrawal = set(2, &halves(&[256, 0]));
    let (rows, whats) = read(&mut exports, &[ipfix(2, &[withdrawal, flow])], 10);
    assert_eq!((rows.len(), whats[0].before_template), (0, 1));
}

#[test]
fn gaps_are_counted_in_the_unit_of_the_version() {
    let (template, data) = biflow();
    let mut exports = Exports::default();
    let flows = |n: usize| set(256, &data.repeat(n));
    let lost = |exports: &mut Exports, datagram: Vec<u8>| read(exports, &[datagram], 100).1[0].lost;
    assert_eq!(lost(&mut exports, ipfix(5, &[template, flows(3)])), 0);
    assert_eq!(lost(&mut exports, ipfix(8, &[flows(2)])), 0);
    assert_eq!(lost(&mut exports, ipfix(15, &[flows(2)])), 5);
    assert_eq!(lost(&mut exports, ipfix(12, &[flows(1)])), 0, "a late one");
    assert_eq!(lost(&mut exports, ipfix(0, &[flows(1)])), 0, "it began anew");
    assert_eq!(lost(&mut exports, ipfix(1, &[set(999, &[0; 8])])), 0);
    assert_eq!(lost(&mut exports, ipfix(50, &[flows(1)])), 0, "what came before could not be counted");
    let mut exports = Exports::default();
    assert_eq!(lost(&mut exports, v9(u32::MAX, &[])), 0);
    assert_eq!(lost(&mut exports, v9(0, &[])), 0);
    assert_eq!(lost(&mut exports, v9(4, &[])), 3);
    // ulogd2 counts the records of a message in its own number
    let (template, _) = biflow();
    let mut exports = Exports::default();
    assert_eq!(lost(&mut exports, ipfix(3, &[template, flows(3)])), 0);
    assert_eq!(lost(&mut exports, ipfix(4, &[flows(1)])), 0);
    assert_eq!(lost(&mut exports, ipfix(9, &[flows(5)])), 0);
}

#[test]
fn templates_have_bounds() {
    let many: Vec<_> = (0..300).map(|n| set(2, &halves(&[256 + n, 1, 4, 1]))).collect();
    let mut exports = Exports::default();
    let (_, whats) = read(&mut exports, &[ipfix(0, &many)], 10);
    assert_eq!(whats[0].refused, 300 - u32::try_from(MAX_TEMPLATES).unwrap());
    let long = [halves(&[256, 257]), halves(&[4, 1]).repeat(257)].concat();
    let nothing = halves(&[256, 2, 4, 0, 5, 0]);
    for template in [long, nothing] {
        let (_, whats) = read(&mut exports, &[ipfix(0, &[set(2, &template), set(256, &[1; 9])])], 10);
        assert_eq!((whats[0].refused, whats[0].before_template), (1, 1));
    }
    let cut = halves(&[256, 9, 4, 1]);
    let (_, whats) = read(&mut exports, &[ipfix(0, &[set(2, &cut)]), vec![0, 10], vec![0; 20], vec![]], 10);
    assert!(whats.iter().all(|what| what.malformed), "{whats:?}");
    for domain in 0..2 * u32::try_from(MAX_DOMAINS).unwrap() {
        let mut datagram = v9(0, &[]);
        datagram[16..20].copy_from_slice(&domain.to_be_bytes());
        read(&mut exports, &[datagram], 10);
    }
    assert_eq!(exports.domains(), MAX_DOMAINS);
}

#[test]
fn a_datagram_goes_on_where_there_was_no_room() {
    let (template, data) = biflow();
    let datagram = ipfix(0, &[template.clone(), set(256, &data.repeat(7))]);
    let datagrams = [datagram.clone(), ipfix(9, &[set(256, &data.repeat(3))])];
    let whole = read(&mut Exports::default(), &datagrams, 100);
    for room in 1..8 {
        let (rows, whats) = read(&mut Exports::default(), &datagrams, room);
        assert_eq!(rows, whole.0, "{room}");
        assert_eq!(whats.iter().map(|w| w.lost).sum::<u32>(), 2, "{room}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        version in prop_oneof![Just(5_u16), Just(9), Just(10), any::<u16>()],
    ) {
        let mut exports = Exports::default();
        let (template, data) = biflow();
        read(&mut exports, &[ipfix(0, &[template])], 4);
        read(&mut exports, &[[&version.to_be_bytes()[..], &bytes].concat()], 4);
        read(&mut exports, &[ipfix(0, &[set(2, &bytes), set(256, &data), set(257, &bytes)])], 4);
    }
}
