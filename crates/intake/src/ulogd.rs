//! Records of ulogd by the names of their keys, whatever brought them: JSON, or the columns of its tables.
//!
//! A [`Record`] is a logged packet, a flow or a counter by which keys it has. What a column holds becomes that column,
//! the rest is kept in `extra`:
//! - Keys that nobody knows, and values that are not what their key asks for, stay under their name.
//! - What a line of text says as well has the name that it has there: `icmp_id`, `icmp_seq`, `icmp_mtu`,
//!   `icmp_gateway`, `flow_label`, `tcp_urgent`, `spi`.
//! - Left out is what says nothing: a key with the value that it always has ([`usual`]), an absent value, the empty name
//!   of an interface, and a time that is there twice.
//!
//! Facts of ulogd2 (2.0.8, its source and output) that shape it:
//! - `timestamp` is local time without zone; `oob.time.*` are the moment.
//! - `action` is `raw.label` as a word, a number that the kernel's rule never sets: it is no verdict.
//! - `ip.fragoff` is the whole field with its flags; `ip6.fragoff` is the offset in bytes, its flags are lost.
//! - The bytes of later fragments are taken for ports and the like: they are kept in `extra`, not believed.
//! - `tcp.res1` and `tcp.res2` are the bits AE, ECE and CWR beside reserved ones; `tcp.offset` and `tcp.reserved` are
//!   swapped to 0.
//! - The addresses of ARP are those of ulogd's memory, not of the packet.
//! - Flows have no counters without `nf_conntrack_acct`, which is written as 0 packets.

mod flow;
mod json;
mod key;
mod packet;
mod sum;
mod take;

pub use json::{JsonReader, Piece, What};
pub use key::Key;
pub use sum::Sums;

use crate::text::{Zone, moment};
use crate::{Rows, Whose};
use bartizan_decode::columns::Full;
use bartizan_decode::text::Stamp;
use bartizan_model::Micros;
use std::borrow::Cow;
use take::Taker;

/// The value of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Value<'a> {
    /// None, as in a column of another protocol.
    #[default]
    Null,
    /// A number; one of 32 bits may have been stored with its sign.
    Int(i64),
    /// A number over 2^63.
    Unsigned(u64),
    /// A flag.
    Bool(bool),
    /// Text of any bytes.
    Text(&'a [u8]),
    /// Text between the quotes of JSON, with its escapes.
    Escaped(&'a [u8]),
    /// Anything else, as JSON has it: an array, an object, a fraction.
    Json(&'a [u8]),
    /// An address of 16 bytes, IPv4 as `::ffff:a.b.c.d`.
    Address([u8; 16]),
}

/// What a record turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// A logged packet.
    Event,
    /// A flow.
    Flow,
    /// What a counter grew by.
    Counter,
    /// A counter that did not move: no row.
    Unmoved,
    /// None of these: no row.
    Nothing,
}

/// What a record does not say itself.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// A word of the `source` column.
    pub source: &'static str,
    /// Whose it is.
    pub whose: Whose<'a>,
    /// When it came, for records without a time.
    pub received: Micros,
    /// The zone of times without one.
    pub zone: &'a dyn Zone,
}

/// One record, borrowed from where it stands.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    values: [Value<'a>; Key::ALL.len()],
    /// A bit of each key that it has.
    present: u128,
    unknown: Vec<(Cow<'a, [u8]>, Value<'a>)>,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self { values: [Value::Null; Key::ALL.len()], present: 0, unknown: Vec::new() }
    }
}

impl<'a> Record<'a> {
    /// Forgets all values.
    pub fn clear(&mut self) {
        self.present = 0;
        self.unknown.clear();
    }

    /// Sets a key's value; the last one counts, and none takes nothing away.
    #[inline]
    pub fn set(&mut self, key: Key, value: Value<'a>) {
        if value != Value::Null {
            self.values[key as usize] = value;
            self.present |= key.bit();
        }
    }

    /// Keeps a value whose name is no key, to be found in `extra`.
    pub fn set_unknown(&mut self, name: impl Into<Cow<'a, [u8]>>, value: Value<'a>) {
        if value != Value::Null {
            self.unknown.push((name.into(), value));
        }
    }

    /// The value of a key.
    #[must_use]
    #[inline]
    pub fn get(&self, key: Key) -> Value<'a> {
        if self.present & key.bit() == 0 { Value::Null } else { self.values[key as usize] }
    }

    /// Whether it has no value at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present == 0 && self.unknown.is_empty()
    }

    /// Adds it as a row of the table that it belongs to.
    ///
    /// # Errors
    /// When there is no room: take the rows, then add it again.
    pub fn push(&self, rows: &mut Rows, told: &Told<'_>, sums: &mut Sums) -> Result<Pushed, Full> {
        const FLOW: u128 = flow_keys();
        const NEITHER: u128 =
            Key::Timestamp.bit() | Key::Version.bit() | Key::Device.bit() | Key::Verdict.bit();
        if self.present & Key::SumName.bit() != 0 {
            sums.push(self, rows, told)
        } else if self.present & FLOW != 0 {
            flow::push(self, rows, told).map(|()| Pushed::Flow)
        } else if self.present & !NEITHER != 0 {
            packet::push(self, rows, told).map(|()| Pushed::Event)
        } else {
            Ok(Pushed::Nothing)
        }
    }

    /// The moment that it tells, in the order of belief.
    fn time(&self, take: &mut Taker<'_, 'a>, told: &Told<'_>) -> Option<Micros> {
        let seconds = take.number::<u32>(Key::Seconds);
        let micros = seconds.and_then(|_| take.number::<u32>(Key::Microseconds)).unwrap_or(0);
        let stamp = take.text(Key::Timestamp).and_then(|text| match Stamp::parse(text.trim_ascii()) {
            Some((Stamp::Moment(moment), _)) => Some(moment),
            Some((Stamp::Local(local), _)) => Some(moment(&local, told.zone, told.received)),
            None => {
                take.leave(Key::Timestamp);
                None
            }
        });
        let moment = seconds.map(|s| Micros::from_parts(i64::from(s), i64::from(micros)));
        let local = || take.number::<u32>(Key::LocalTime).map(|s| Micros::from_parts(i64::from(s), 0));
        moment.or(stamp).or_else(local)
    }
}

/// The keys of which a packet's record has none.
const fn flow_keys() -> u128 {
    let (first, last) = (Key::FlowSource as u32, Key::EndMicroseconds as u32);
    // the state of a packet's connection may be in its record
    (((1 << (last - first + 1)) - 1) << first) & !Key::FlowState.bit() & !Key::FlowMark.bit()
}

/// Values that a key has wherever nothing is to be said.
const fn usual(key: Key, value: &Value<'_>) -> bool {
    match (key, value) {
        (Key::MacLength, Value::Int(14))
        | (Key::MacAddressLength, Value::Int(6))
        | (Key::LinkType, Value::Int(1))
        | (Key::HeaderLength, Value::Int(5))
        | (
            Key::Label
            | Key::Mark
            | Key::FlowMark
            | Key::Protocol
            | Key::FlowLabel
            | Key::UrgentPointer
            | Key::TcpOffset
            | Key::TcpReserved
            | Key::Reserved1
            | Key::Reserved2,
            Value::Int(0),
        )
        | (Key::Version, Value::Int(1)) => true,
        (Key::Device, Value::Text(b"Netfilter")) => true,
        (Key::In | Key::Out, Value::Text(text)) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counter;
    use crate::text::Fixed;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
    use arrow_array::{Array as _, RecordBatch};
    use bartizan_model::{Kind, addr_from_v4};

    const UTC: Fixed = Fixed(0);

    fn told(received: i64) -> Told<'static> {
        let whose = Whose { host: "gw", sender: "" };
        Told { source: "ulogd", whose, received: Micros(received), zone: &UTC }
    }

    fn record(values: &[(&'static str, Value<'static>)]) -> Record<'static> {
        let mut record = Record::default();
        for (name, value) in values {
            match Key::of(name) {
                Some(key) => record.set(key, *value),
                None => record.set_unknown(name.as_bytes(), *value),
            }
        }
        record
    }

    fn push(
        values: &[(&'static str, Value<'static>)],
        sums: &mut Sums,
    ) -> (Pushed, Option<(Kind, RecordBatch)>) {
        let mut rows = Rows::new(10);
        let pushed = record(values).push(&mut rows, &told(7), sums).unwrap();
        (pushed, rows.finish().pop())
    }

    fn text(batch: &RecordBatch, column: &str) -> String {
        let column = batch.column_by_name(column).unwrap().as_dictionary::<Int32Type>();
        let values = column.values().as_string::<i32>();
        values.value(column.key(0).unwrap()).to_owned()
    }

    fn time(batch: &RecordBatch) -> i64 {
        batch.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>().value(0)
    }

    #[test]
    fn a_row_of_the_oldest_table() {
        let (pushed, batch) = push(
            &[
                ("oob_time_sec", Value::Int(1_000_000_000)),
                ("oob_prefix", Value::Text(b"DROP ")),
                ("oob_in", Value::Text(b"eth0")),
                ("oob_out", Value::Text(b"")),
                ("raw_mac", Value::Text(b"00:01:02:03:04:05:0a:0b:0c:0d:0e:0f:08:00")),
                ("ip_saddr", Value::Int(3_232_235_777)),
                ("ip_daddr", Value::Int(-1_062_731_518)),
                ("ip_protocol", Value::Int(6)),
                ("ip_totlen", Value::Int(60)),
                ("ip_fragoff", Value::Int(16384)),
                ("tcp_sport", Value::Int(40000)),
                ("tcp_dport", Value::Int(22)),
                ("tcp_syn", Value::Int(1)),
                ("tcp_fin", Value::Int(0)),
                ("udp_sport", Value::Null),
                ("pwsniff_user", Value::Text(b"root")),
                ("ip_ttl", Value::Int(999)),
            ],
            &mut Sums::default(),
        );
        assert_eq!(pushed, Pushed::Event);
        let (kind, batch) = batch.unwrap();
        assert_eq!((kind, time(&batch)), (Kind::Events, 1_000_000_000_000_000));
        for (column, want) in [
            ("prefix", "DROP "),
            ("family", "ip"),
            ("in_if", "eth0"),
            ("mac_src", "0a:0b:0c:0d:0e:0f"),
            ("mac_dst", "00:01:02:03:04:05"),
            ("source", "ulogd"),
            ("host", "gw"),
            ("extra", r#"{"ip.ttl":999,"pwsniff_user":"root"}"#),
        ] {
            assert_eq!(text(&batch, column), want, "{column}");
        }
        let address =
            |column: &str| batch.column_by_name(column).unwrap().as_fixed_size_binary().value(0).to_vec();
        assert_eq!(address("src"), addr_from_v4([192, 168, 1, 1]));
        assert_eq!(address("dst"), addr_from_v4([192, 168, 1, 2]));
        let number =
            |column: &str| batch.column_by_name(column).unwrap().as_primitive::<Int32Type>().value(0);
        assert_eq!((number("sport"), number("dport"), number("frag")), (40000, 22, 0x4000));
        assert_eq!(number("ether_type"), 0x0800);
        let flags = batch.column_by_name("tcp_flags").unwrap().as_primitive::<Int16Type>().value(0);
        assert_eq!(flags, 2);
        assert!(batch.column_by_name("out_if").is_none() && batch.column_by_name("ttl").is_none());
    }

    #[test]
    fn a_flow_is_its_end_unless_it_says_otherwise() {
        let both = [
            ("orig_ip_saddr", Value::Address(addr_from_v4([10, 0, 0, 1]))),
            ("orig_ip_protocol", Value::Int(17)),
            ("orig_bytes", Value::Int(100)),
            ("orig_packets", Value::Int(2)),
            ("flow_start_sec", Value::Int(1_000_000_000)),
            ("flow_end_sec", Value::Int(1_000_000_001)),
            ("flow_end_usec", Value::Int(5)),
            ("ct_mark", Value::Int(0)),
            ("zone_name", Value::Text(b"x")),
        ];
        let (pushed, batch) = push(&both, &mut Sums::default());
        let batch = batch.unwrap().1;
        assert_eq!((pushed, time(&batch)), (Pushed::Flow, 1_000_000_001_000_005));
        for (column, want) in
            [("event", "destroy"), ("family", "ip"), ("source", "ulogd"), ("extra", r#"{"zone_name":"x"}"#)]
        {
            assert_eq!(text(&batch, column), want, "{column}");
        }
        let number =
            |column: &str| batch.column_by_name(column).map(|c| c.as_primitive::<Int64Type>().value(0));
        assert_eq!((number("packets"), number("bytes"), number("mark")), (Some(2), Some(100), None));
        let mut uncounted = both.to_vec();
        uncounted.extend([
            ("ct_event", Value::Int(2)),
            ("orig_bytes", Value::Int(0)),
            ("orig_packets", Value::Int(0)),
        ]);
        let batch = push(&uncounted, &mut Sums::default()).1.unwrap().1;
        assert_eq!((text(&batch, "event").as_str(), time(&batch)), ("update", 7));
        assert!(batch.column_by_name("packets").is_none());
    }

    fn sum(sums: &mut Sums, at: i64, packets: u64) -> (Pushed, Option<Counter>) {
        let mut rows = Rows::new(10);
        let record = record(&[
            ("sum.name", Value::Text(b"http")),
            ("sum.pkts", Value::Unsigned(packets)),
            ("sum.bytes", Value::Unsigned(packets * 100)),
        ]);
        let pushed = record.push(&mut rows, &told(at), sums).unwrap();
        let counter = rows.finish().pop().map(|(_, batch)| {
            let long =
                |column: &str| batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().value(0);
            let from = batch.column_by_name("from");
            Counter {
                time: Micros(time(&batch)),
                from: from.map(|c| Micros(c.as_primitive::<TimestampMicrosecondType>().value(0))),
                source: "nfacct",
                name: text(&batch, "name"),
                packets: long("packets").cast_unsigned(),
                bytes: long("bytes").cast_unsigned(),
                reset: batch.column_by_name("reset").is_some_and(|c| !c.is_null(0)),
            }
        });
        (pushed, counter)
    }

    fn grown(time: i64, from: Option<i64>, packets: u64, reset: bool) -> Option<Counter> {
        let (name, bytes) = ("http".to_owned(), packets * 100);
        Some(Counter {
            time: Micros(time),
            from: from.map(Micros),
            source: "nfacct",
            name,
            packets,
            bytes,
            reset,
        })
    }

    #[test]
    fn counters_that_ulogd_zeroes_are_growth() {
        let mut sums = Sums::default();
        assert_eq!(sum(&mut sums, 10, 3), (Pushed::Counter, grown(10, None, 3, false)));
        assert_eq!(sum(&mut sums, 20, 0), (Pushed::Unmoved, None));
        assert_eq!(sum(&mut sums, 30, 5), (Pushed::Counter, grown(30, Some(20), 5, false)));
    }

    #[test]
    fn totals_give_growth_and_a_counter_that_went_back_is_new() {
        let mut sums = Sums::of_totals();
        assert_eq!(sum(&mut sums, 10, 3), (Pushed::Counter, grown(10, None, 3, true)));
        assert_eq!(sum(&mut sums, 20, 3), (Pushed::Unmoved, None));
        assert_eq!(sum(&mut sums, 30, 8), (Pushed::Counter, grown(30, Some(20), 5, false)));
        assert_eq!(sum(&mut sums, 40, 2), (Pushed::Counter, grown(40, Some(30), 2, true)));
    }

    #[test]
    fn times_without_a_zone_and_records_of_nothing() {
        let at = |stamp: &'static [u8]| {
            let values = [("timestamp", Value::Text(stamp)), ("oob.prefix", Value::Text(b"x"))];
            time(&push(&values, &mut Sums::default()).1.unwrap().1)
        };
        assert_eq!(at(b"1970-01-01T00:00:01.5"), 1_500_000);
        assert_eq!(at(b"1970-01-01T01:00:01.5+0100"), 1_500_000);
        assert_eq!(at(b"yesterday"), 7);
        let nothing = push(&[("dvc", Value::Text(b"gw")), ("foo", Value::Int(1))], &mut Sums::default());
        assert_eq!(nothing, (Pushed::Nothing, None));
    }
}
