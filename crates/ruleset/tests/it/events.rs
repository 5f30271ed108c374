//! Batches of events and rulesets for tests.

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int16Array, Int32Array, Int64Array, RecordBatch,
    TimestampMicrosecondArray,
};
use arrow_schema::Schema;
use bartizan_model::{Kind, addr_from_ip};
use bartizan_ruleset::{Attribution, Form, Listing, Ruleset, attribute};
use bartizan_schema::wire_schema;
use std::net::IpAddr;
use std::sync::Arc;

/// An event; what is not set is not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) prefix: &'static str,
    pub(crate) family: &'static str,
    pub(crate) hook: &'static str,
    pub(crate) in_if: &'static str,
    pub(crate) out_if: &'static str,
    pub(crate) src: &'static str,
    pub(crate) dst: &'static str,
    pub(crate) proto: Option<i16>,
    pub(crate) sport: Option<i32>,
    pub(crate) dport: Option<i32>,
    pub(crate) tcp_flags: Option<i16>,
    pub(crate) icmp_type: Option<i16>,
    pub(crate) frag: Option<i32>,
    pub(crate) mark: Option<i64>,
    pub(crate) uid: Option<i64>,
    pub(crate) ct_state: &'static str,
    pub(crate) extra: &'static str,
}

impl Event {
    pub(crate) fn udp(prefix: &'static str, dport: i32) -> Self {
        Self { proto: Some(17), tcp_flags: None, ..Self::tcp(prefix, dport) }
    }

    pub(crate) fn tcp(prefix: &'static str, dport: i32) -> Self {
        Self {
            prefix,
            family: "ip",
            hook: "input",
            in_if: "eth0",
            src: "192.0.2.1",
            dst: "192.0.2.2",
            proto: Some(6),
            sport: Some(40_000),
            dport: Some(dport),
            tcp_flags: Some(2),
            ..Self::default()
        }
    }
}

pub(crate) fn batch(events: &[Event]) -> RecordBatch {
    let text = |of: fn(&Event) -> &'static str| -> ArrayRef {
        let some = |text: &'static str| (!text.is_empty()).then_some(text);
        Arc::new(events.iter().map(|e| some(of(e))).collect::<DictionaryArray<Int32Type>>())
    };
    let address = |of: fn(&Event) -> &'static str| -> ArrayRef {
        let mut builder = FixedSizeBinaryBuilder::new(16);
        for event in events {
            match of(event).parse::<IpAddr>() {
                Ok(ip) => builder.append_value(addr_from_ip(ip)).unwrap(),
                Err(_) => builder.append_null(),
            }
        }
        Arc::new(builder.finish())
    };
    let i16s = |of: fn(&Event) -> Option<i16>| -> ArrayRef {
        Arc::new(events.iter().map(of).collect::<Int16Array>())
    };
    let i32s = |of: fn(&Event) -> Option<i32>| -> ArrayRef {
        Arc::new(events.iter().map(of).collect::<Int32Array>())
    };
    let i64s = |of: fn(&Event) -> Option<i64>| -> ArrayRef {
        Arc::new(events.iter().map(of).collect::<Int64Array>())
    };
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for field in wire_schema(Kind::Events).fields() {
        let array = match field.name().as_str() {
            "time" => {
                let times = TimestampMicrosecondArray::from_value(1, events.len());
                Arc::new(times.with_timezone("UTC")) as ArrayRef
            }
            "source" => text(|_| "nflog"),
            "packets" => i64s(|_| Some(1)),
            "prefix" => text(|e| e.prefix),
            "family" => text(|e| e.family),
            "hook" => text(|e| e.hook),
            "in_if" => text(|e| e.in_if),
            "out_if" => text(|e| e.out_if),
            "src" => address(|e| e.src),
            "dst" => address(|e| e.dst),
            "proto" => i16s(|e| e.proto),
            "sport" => i32s(|e| e.sport),
            "dport" => i32s(|e| e.dport),
            "tcp_flags" => i16s(|e| e.tcp_flags),
            "icmp_type" => i16s(|e| e.icmp_type),
            "frag" => i32s(|e| e.frag),
            "mark" => i64s(|e| e.mark),
            "uid" => i64s(|e| e.uid),
            "ct_state" => text(|e| e.ct_state),
            "extra" => text(|e| e.extra),
            _ => continue,
        };
        fields.push(Arc::clone(field));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// A column's text in a row; empty for none.
pub(crate) fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
    let Some(array) = batch.column_by_name(column) else { return String::new() };
    let array = array.as_dictionary::<Int32Type>();
    match array.key(row) {
        Some(key) => array.values().as_string::<i32>().value(key).to_owned(),
        None => String::new(),
    }
}

pub(crate) fn handle(batch: &RecordBatch, row: usize) -> Option<i64> {
    let column = batch.column_by_name("handle")?.as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

pub(crate) fn read(form: Form, text: &str) -> Arc<Ruleset> {
    Arc::new(Ruleset::read(&Listing(vec![(form, text.to_owned())])))
}

/// Chain and place of the rule, and the action, of each event of group 5.
pub(crate) fn found(ruleset: &Arc<Ruleset>, events: &[Event]) -> Vec<(String, Option<i64>, String)> {
    let out = attribute(&batch(events), Some(5), &mut [&mut Attribution::new(Arc::clone(ruleset))]);
    assert_eq!(out.num_rows(), events.len());
    (0..out.num_rows()).map(|r| (text(&out, "chain", r), handle(&out, r), text(&out, "action", r))).collect()
}

/// The answer for one event, as `chain#handle action`; `?` stands for no rule.
pub(crate) fn answer(ruleset: &Arc<Ruleset>, event: Event) -> String {
    let (chain, handle, action) = found(ruleset, &[event]).remove(0);
    handle.map_or_else(|| format!("? {action}"), |handle| format!("{chain}#{handle} {action}"))
}
