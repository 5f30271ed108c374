use super::*;

use crate::text::{Fixed, Named};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int16Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use proptest::prelude::*;

const FROM: Named<'static> = Named { host: "elastic", sender: "", believed: true };

fn origin() -> Origin<'static> {
    Origin {
        source: "ecs",
        naming: &FROM,
        zone: &Fixed(0),
        reference: Micros(0),
        unstamped: Micros(7),
        lines: false,
    }
}

/// All documents of a text, in pieces of a size.
fn read(text: &[u8], size: usize) -> (Vec<What>, Option<RecordBatch>) {
    let (mut reader, mut rows) = (EcsReader::default(), Rows::new(100));
    let (mut whats, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        let last = end == text.len();
        let piece = reader.read(&text[start..end], last, &mut rows, &origin()).unwrap();
        start += piece.len;
        if piece.what != What::Nothing {
            whats.push(piece.what);
        }
        if piece.len == 0 && last {
            return (whats, rows.finish().pop().map(|(_, batch)| batch));
        }
        if piece.len == 0 {
            end = text.len().min(end + size);
        }
    }
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
    let Some(column) = batch.column_by_name(column).filter(|c| c.is_valid(row)) else { return String::new() };
    let column = column.as_dictionary::<Int32Type>();
    column.values().as_string::<i32>().value(column.key(row).unwrap()).to_owned()
}

fn number(batch: &RecordBatch, column: &str) -> i32 {
    let column = batch.column_by_name(column).unwrap_or_else(|| panic!("no {column}"));
    match column.as_primitive_opt::<Int32Type>() {
        Some(column) => column.value(0),
        None => column.as_primitive::<Int16Type>().value(0).into(),
    }
}

fn time(batch: &RecordBatch, row: usize) -> i64 {
    batch.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>().value(row)
}

const EVENT: What = What::Record(Pushed::Event);

#[test]
fn the_line_tells_the_packet_and_the_document_its_time_and_host() {
    let line = "Jan  5 20:17:05 fw kernel: [WAN_LOCAL-default-D]IN=eth0 OUT= MAC=00:01:02:03:04:05:06:07:08:09:0a:0b:08:00 \
                SRC=192.0.2.1 DST=192.0.2.2 LEN=40 TOS=0x00 PREC=0x00 TTL=64 ID=1 PROTO=TCP SPT=1 DPT=22 WINDOW=5 RES=0x00 SYN URGP=0 ";
    let dotted =
        format!(r#"{{"@timestamp":"2019-01-05T20:17:05.000Z","log.original":"{line}","iptables.ttl":9}}"#);
    let nested = format!(
        r#"{{"_index":"x","_source":{{"@timestamp":"2019-01-05T19:17:05Z","event":{{"original":"{line}"}},"observer":{{"name":"edge"}}}}}}"#
    );
    let (whats, batch) = read(format!("{dotted}\n{nested}\n").as_bytes(), 100);
    let batch = batch.unwrap();
    assert_eq!(whats, [EVENT, EVENT]);
    assert_eq!((text(&batch, "host", 0), text(&batch, "host", 1)), ("fw".into(), "edge".into()));
    assert_eq!(time(&batch, 0), 1_546_719_425_000_000);
    assert_eq!(time(&batch, 1), 1_546_715_825_000_000);
    assert_eq!(
        (text(&batch, "prefix", 0), number(&batch, "dport"), number(&batch, "ttl")),
        ("[WAN_LOCAL-default-D]".into(), 22, 64)
    );
    assert_eq!(text(&batch, "source", 0), "ecs");
}

#[test]
fn a_document_without_the_line_tells_what_it_has() {
    let document = r#"{"@timestamp":"2021-03-12T14:10:18.000Z","agent":{"name":"fleet","id":"x"},
      "destination":{"ip":"10.4.0.5","mac":"90-10-20-76-8D-20","port":443},"source":{"ip":"67.43.156.15","port":38842,"geo":{"x":1}},
      "event":{"action":"drop","category":["network"]},"custom":{"a":[1,"b"]},
      "iptables":{"ether_type":2048,"fragment_flags":["DF"],"id":7,"input_device":"eth0","length":52,"output_device":"",
        "precedence_bits":192,"tcp":{"flags":["ACK","PSH"],"reserved_bits":0,"window":2853},"tos":16,"ttl":63,
        "ubiquiti":{"input_zone":"wan","output_zone":"lan","rule_number":"default","rule_set":"wan-lan"}},
      "network":{"transport":"tcp","type":"ipv4"},"observer":{"name":"Hostname","ingress":{"zone":"wan"}},"message":"gone"}"#;
    let (whats, batch) = read(document.as_bytes(), 33);
    let batch = batch.unwrap();
    assert_eq!(whats, [EVENT]);
    for (column, want) in [
        ("host", "Hostname"),
        ("prefix", "[wan-lan-default-D]"),
        ("action", "drop"),
        ("in_if", "eth0"),
        ("out_if", ""),
        ("mac_dst", "90:10:20:76:8d:20"),
        ("family", "ip"),
        ("extra", r#"{"custom.a":[1,"b"]}"#),
    ] {
        assert_eq!(text(&batch, column, 0), want, "{column}");
    }
    for (column, want) in [
        ("sport", 38842),
        ("dport", 443),
        ("proto", 6),
        ("length", 52),
        ("tos", 208),
        ("ttl", 63),
        ("frag", 0x4000),
        ("tcp_flags", 0x18),
        ("tcp_window", 2853),
        ("ether_type", 2048),
    ] {
        assert_eq!(number(&batch, column), want, "{column}");
    }
}

#[test]
fn dotted_names_icmp_and_the_traffic_class_of_two_systems() {
    let document = r#"{"@timestamp":1615558218000,"source.ip":"2001:db8::1","destination.ip":"2001:db8::2","network.transport":"ipv6-icmp",
      "iptables.icmp.type":128,"iptables.icmp.code":0,"iptables.icmp.id":5,"iptables.tos":128,"iptables.flow_label":9,"host.name":"collector",
      "event.action":"seen"}"#;
    let batch = read(document.as_bytes(), 1000).1.unwrap();
    assert_eq!(
        (number(&batch, "proto"), number(&batch, "icmp_type"), number(&batch, "icmp_code")),
        (58, 128, 0)
    );
    assert_eq!((text(&batch, "host", 0), text(&batch, "family", 0)), ("collector".into(), "ip6".into()));
    assert_eq!(time(&batch, 0), 1_615_558_218_000_000);
    assert_eq!(
        text(&batch, "extra", 0),
        r#"{"iptables.tos":128,"icmp_id":5,"flow_label":9,"event.action":"seen"}"#
    );
    assert!(batch.column_by_name("tos").is_none() && batch.column_by_name("action").is_none());
}

#[test]
fn other_documents_are_kept_whole() {
    let text_in = b"{\"message\":\"sshd: hello\",\"host\":{\"name\":\"web\"}}\nrubbish\n{\"a\":\n";
    for size in [1, 7, 1000] {
        let (whats, batch) = read(text_in, size);
        let batch = batch.unwrap();
        assert_eq!(whats, [What::Unparsed; 3], "{size}");
        assert_eq!((text(&batch, "host", 0), text(&batch, "host", 1)), ("web".into(), "elastic".into()));
        assert_eq!((text(&batch, "raw", 1), text(&batch, "raw", 2)), ("rubbish".into(), "{\"a\":".into()));
    }
    let deep = [b"{\"a\":".repeat(100), b"1".to_vec(), b"}".repeat(100)].concat();
    assert_eq!(read(&deep, 10).0, [What::Unparsed]);
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..50) {
        read(&bytes, size);
    }
}
