use super::*;
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{RecordBatch, StringArray};
use bartizan_model::Kind;

const NAMED: Named<'static> = Named { host: "192.0.2.9", sender: "192.0.2.9", believed: true };
/// 2026-03-01T00:00:00Z
const NOW: Micros = Micros(1_772_323_200_000_000);
const PACKET: &str = "DROP IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=1 DPT=22 WINDOW=5 RES=0x00 SYN URGP=0 ";

fn from() -> Origin<'static> {
    Origin {
        source: "syslog",
        naming: &NAMED,
        zone: &Fixed(3600),
        reference: NOW,
        unstamped: NOW,
        lines: true,
    }
}

fn read(lines: &[&str]) -> (Vec<What>, Vec<(Kind, RecordBatch)>) {
    let (mut reader, mut rows) = (TextReader::default(), Rows::new(100));
    let what = lines.iter().map(|l| reader.read(l.as_bytes(), &from(), &mut rows).unwrap().what).collect();
    (what, rows.finish())
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
    let column = batch.column_by_name(name).unwrap().as_dictionary::<Int32Type>();
    let column = column.downcast_dict::<StringArray>().unwrap();
    column.into_iter().map(|t| t.unwrap_or("-").to_owned()).collect()
}

fn times(batch: &RecordBatch) -> Vec<i64> {
    batch.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>().values().to_vec()
}

#[test]
fn a_line_is_an_event_or_another_services() {
    let cut = format!("Feb 28 01:00:00 gw kernel: {}", &PACKET[..60]);
    let (what, batches) = read(&[
        &format!("<4>Feb 28 01:00:00 gw kernel: {PACKET}"),
        &cut,
        "Feb 28 01:00:00 gw sshd[7]: Accepted publickey",
        "\r\n",
        PACKET,
    ]);
    assert_eq!(what, [What::Event, What::Unparsed, What::Other, What::Empty, What::Event]);
    let [(Kind::Events, events), (Kind::Lines, lines)] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!(texts(events, "host"), ["gw", "gw", "192.0.2.9"]);
    assert_eq!(texts(events, "raw"), ["-", cut.as_str(), "-"]);
    assert_eq!(times(events), [NOW.0 - 86_400_000_000; 2].into_iter().chain([NOW.0]).collect::<Vec<_>>());
    assert_eq!((texts(lines, "program"), texts(lines, "host")), (vec!["sshd".to_owned()], vec!["gw".into()]));
}

#[test]
fn a_repetition_stands_for_the_same_hosts_last_line() {
    let (what, batches) = read(&[
        "Feb 28 01:00:00 gw last message repeated 9 times",
        &format!("Feb 28 01:00:00 gw kernel: {PACKET}"),
        "Feb 28 01:00:05 gw last message repeated 2 times",
        "Feb 28 01:00:09 gw last message repeated 3 times",
        "Feb 28 01:00:09 web last message repeated 4 times",
        &format!("Feb 28 01:00:00 gw kernel: {PACKET}"),
        "Feb 28 01:00:09 gw sshd[7]: x",
        "Feb 28 01:00:09 gw last message repeated 5 times",
    ]);
    let other = |w: &What| *w == What::Other;
    assert_eq!(
        what.iter().map(other).collect::<Vec<_>>(),
        [true, false, false, false, true, false, true, true]
    );
    let events = &batches[0].1;
    let packets = events.column_by_name("packets").unwrap().as_primitive::<Int64Type>();
    assert_eq!(packets.values(), &[1, 2, 3, 1]);
    assert_eq!(times(events)[1] - times(events)[0], 5_000_000);
}

#[test]
fn a_long_line_is_cut_and_said_to_be() {
    let (mut reader, mut rows) = (TextReader::default(), Rows::new(10));
    let mut long = format!("Feb 28 01:00:00 gw kernel: {PACKET}").into_bytes();
    long.resize(16 << 20, b'x');
    let read = reader.read(&long, &from(), &mut rows).unwrap();
    assert_eq!(read, Read { what: What::Unparsed, cut: true });
    let batch = &rows.finish()[0].1;
    assert!(batch.column_by_name("raw").unwrap().get_array_memory_size() < 2 * MAX_TEXT);
}

#[test]
fn hosts_names_do_not_reach_a_terminal_as_they_are() {
    assert_eq!(name(Some(b"\x1b[2J\xff")), "\u{fffd}[2J\u{fffd}");
    assert_eq!(name(Some(&[b'a'; 300])).len(), MAX_HOST);
    let doubted = Named { believed: false, ..NAMED };
    assert_eq!(doubted.whose("gw").host, "192.0.2.9");
}

#[test]
fn years_are_the_nearest_that_are_not_to_come() {
    let local = |month, day, hour: i64| Local { year: None, month, day, micros: hour * 3_600_000_000 };
    let utc = |l: Local, reference: i64| moment(&l, &Fixed(0), Micros(reference * 1_000_000)).0 / 1_000_000;
    let (new_year, noon) = (1_767_225_600, 1_767_268_800);
    assert_eq!(utc(local(12, 31, 23), noon), new_year - 3600);
    assert_eq!(utc(local(1, 2, 11), noon), new_year + 35 * 3600, "a day ahead is no year back");
    assert_eq!(utc(local(1, 2, 13), noon), 1_735_822_800);
    assert_eq!(utc(local(2, 29, 0), noon), 1_709_164_800, "2025 and 2026 have none");
    let with_year = Local { year: Some(2031), ..local(1, 1, 0) };
    assert_eq!(utc(with_year, noon), 1_924_992_000);
    for reference in [i64::MIN, i64::MAX, 0] {
        let _ = moment(&local(2, 29, 0), &Fixed(0), Micros(reference));
    }
}

/// A sender whose lines are not believed, and whose clock may not be ahead.
struct Doubted;

impl Naming for Doubted {
    fn whose<'a>(&'a self, _: &'a str) -> Whose<'a> {
        Whose { host: "192.0.2.9", sender: "192.0.2.9" }
    }

    fn keeps(&self, named: &str) -> bool {
        !named.is_empty()
    }

    fn latest(&self) -> Micros {
        Micros(NOW.0 + AHEAD)
    }
}

#[test]
fn what_is_not_believed_is_kept_beside_the_row() {
    let (mut reader, mut rows) = (TextReader::default(), Rows::new(10));
    let from = Origin { naming: &Doubted, ..from() };
    for line in [
        format!("2036-01-01T00:00:00Z gw kernel: {PACKET}"),
        format!("2026-03-01T12:00:00Z web kernel: {PACKET}"),
        format!("kernel: {PACKET}"),
    ] {
        reader.read(line.as_bytes(), &from, &mut rows).unwrap();
    }
    let events = &rows.finish()[0].1;
    assert_eq!(
        texts(events, "extra"),
        [r#"{"named":"gw","stamp":"2082758400000000"}"#, r#"{"named":"web"}"#, "-"]
    );
    assert_eq!(times(events), [NOW.0, NOW.0 + 43_200_000_000, NOW.0]);
    assert_eq!(texts(events, "host"), ["192.0.2.9"; 3]);
}

#[test]
fn lines_inside_of_objects() {
    let journal = format!(
        r#"{{"__REALTIME_TIMESTAMP":"1772323200000000","_HOSTNAME":"gw","SYSLOG_IDENTIFIER":"kernel","PRIORITY":"4","MESSAGE":"{PACKET}"}}"#
    );
    let docker = format!(
        r#"{{"log":"<4>Feb 28 01:00:00 web kernel: \"x\" {PACKET}\n","stream":"stdout","time":"2026-03-01T00:00:01Z"}}"#
    );
    let cee = format!(r#"<4>Feb 28 01:00:00 db app: @cee: {{"a":{{"b":[1]}},"msg":"{PACKET}"}}"#);
    let service = format!(r#"{{"MESSAGE":"{PACKET}","SYSLOG_IDENTIFIER":"sshd"}}"#);
    let (what, batches) = read(&[&journal, &docker, &cee, &service, r#"{"a":1}"#, "{\"msg\":\"x"]);
    let [e, o] = [What::Event, What::Other];
    assert_eq!(what, [e, e, e, o, o, o]);
    let events = &batches[0].1;
    assert_eq!(texts(events, "host"), ["gw", "web", "db"]);
    assert_eq!(texts(events, "prefix"), ["DROP ", "\"x\" DROP ", "DROP "]);
    assert_eq!(times(events)[0], NOW.0);
}
