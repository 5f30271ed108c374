//! Flows as columns.

use crate::build::{attr, be16, be32};
use crate::columns::{Row, rows_of};
use bartizan_decode::conntrack;
use bartizan_decode::flows::FlowColumns;
use bartizan_decode::netlink::Messages;
use bartizan_model::{Kind, Micros};

fn be64(kind: u16, value: u64) -> Vec<u8> {
    attr(kind, &value.to_be_bytes())
}

fn nest(kind: u16, attrs: &[Vec<u8>]) -> Vec<u8> {
    attr(kind | 0x8000, &attrs.concat())
}

fn message(kind: u16, flags: u16, family: u8, attrs: &[Vec<u8>]) -> Vec<u8> {
    let body = attrs.concat();
    let mut m = u32::try_from(20 + body.len()).unwrap().to_ne_bytes().to_vec();
    m.extend(kind.to_ne_bytes());
    m.extend(flags.to_ne_bytes());
    m.extend([0; 8]);
    m.extend([family, 0, 0, 0]);
    m.extend(body);
    m
}

fn tcp(kind: u16, from: [u8; 4], to: [u8; 4], sport: u16, dport: u16) -> Vec<u8> {
    let ip = nest(1, &[attr(1, &from), attr(2, &to)]);
    nest(kind, &[ip, nest(2, &[attr(1, &[6]), be16(2, sport), be16(3, dport)])])
}

fn push(columns: &mut FlowColumns, datagram: &[u8], received: i64) {
    for message in Messages::new(datagram) {
        let flow = conntrack::parse(&message.unwrap()).unwrap();
        columns.push(&flow, Micros(received)).unwrap();
    }
}

fn row(cells: &[(&str, &str)]) -> Row {
    cells.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_beginning_and_an_end_are_rows() {
    let tuples = || {
        [tcp(1, [10, 0, 0, 1], [192, 0, 2, 1], 4000, 80), tcp(2, [10, 9, 0, 1], [192, 0, 2, 254], 8080, 4000)]
    };
    let begin = [&tuples()[..], &[be32(12, 7), be32(3, 0x188)]].concat();
    let end = [
        &tuples()[..],
        &[
            be32(12, 7),
            nest(4, &[nest(1, &[attr(1, &[8])])]),
            be32(8, 9),
            nest(9, &[be64(1, 5), be64(2, 500)]),
            nest(10, &[be64(1, 4), be64(2, u64::MAX)]),
            nest(20, &[be64(1, 1_700_000_000_000_001_999), be64(2, 1_700_000_001_000_000_000)]),
            attr(22, &[&[1][..], &[0; 15]].concat()),
        ],
    ]
    .concat();
    let mut columns = FlowColumns::new(8);
    columns.set_netns(Some("web"));
    push(&mut columns, &[message(0x100, 0x600, 2, &begin), message(0x102, 0, 2, &end)].concat(), 42);
    let both = [
        ("netns", "web"),
        ("family", "ip"),
        ("proto", "6"),
        ("src", "10.0.0.1"),
        ("dst", "192.0.2.1"),
        ("sport", "4000"),
        ("dport", "80"),
        ("reply_src", "10.9.0.1"),
        ("reply_dst", "192.0.2.254"),
        ("reply_sport", "8080"),
        ("reply_dport", "4000"),
        ("nat", "snat dnat"),
        ("id", "7"),
    ];
    let begin = [("time", "42"), ("event", "new"), ("status", "392")];
    let end = [
        ("time", "1700000001000000"),
        ("event", "destroy"),
        ("start", "1700000000000001"),
        ("end", "1700000001000000"),
        ("state", "CLOSE"),
        ("mark", "9"),
        ("packets", "5"),
        ("bytes", "500"),
        ("reply_packets", "4"),
        ("reply_bytes", "9223372036854775807"),
        ("extra", r#"{"labels":"01000000000000000000000000000000"}"#),
    ];
    let expected = [row(&[&both[..], &begin].concat()), row(&[&both[..], &end].concat())];
    assert_eq!(rows_of(Kind::Flows, &columns.finish()), expected);
    assert!(columns.is_empty());
}

#[test]
fn a_builder_ends_at_its_limit_and_starts_again() {
    let one = message(0x102, 0, 10, &[be32(12, 1)]);
    let mut columns = FlowColumns::new(2);
    push(&mut columns, &[&one[..], &one].concat(), 1);
    assert!(columns.is_full() && columns.bytes() > 0);
    let flow = Messages::new(&one).next().unwrap().unwrap();
    assert!(columns.push(&conntrack::parse(&flow).unwrap(), Micros(1)).is_err());
    assert_eq!(columns.finish().num_rows(), 2);
    push(&mut columns, &one, 5);
    let rest = rows_of(Kind::Flows, &columns.finish());
    assert_eq!(rest, [row(&[("time", "5"), ("event", "destroy"), ("family", "ip6"), ("id", "1")])]);
    assert_eq!(columns.finish().num_rows(), 0);
}
