//! Rows that no server has seen, as JSON: what they say and what their prefixes say, under the names of the filter
//! language where it has one and of the columns otherwise.
//!
//! What is not known is absent: a time that nobody wrote down, a host that a line does not name, `packets` where it
//! is 1.

use anyhow::Context as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, RecordBatch, StringViewArray};
use bartizan_ingest::told;
use bartizan_model::{Kind, Micros};
use bartizan_prefix::Dialects;
use bartizan_query::render::Rows;
use std::sync::Arc;

/// The time of rows whose time nobody wrote down.
pub(crate) const UNKNOWN: Micros = Micros(i64::MIN);

/// The host of rows that name none. No host is called so: control characters never stand in a name.
pub(crate) const NOBODY: &str = "\u{0}";

/// Columns of events and what they are called, in the order in which they are written.
pub(crate) const EVENT: &[(&str, &str)] = &[
    ("time", "time"),
    ("host", "host"),
    ("prefix", "prefix"),
    ("action", "action"),
    ("in_if", "in"),
    ("out_if", "out"),
    ("src", "src"),
    ("dst", "dst"),
    ("proto", "proto"),
    ("sport", "sport"),
    ("dport", "dport"),
    ("length", "length"),
    ("ttl", "ttl"),
    ("tcp_flags", "flags"),
    ("icmp_type", "type"),
    ("icmp_code", "code"),
    ("mark", "mark"),
    ("uid", "uid"),
    ("gid", "gid"),
    ("mac_src", "mac"),
    ("mac_src", "mac_src"),
    ("mac_dst", "mac_dst"),
    ("ether_type", "ether_type"),
    ("vlan", "vlan"),
    ("phys_in", "phys_in"),
    ("phys_out", "phys_out"),
    ("family", "family"),
    ("hook", "hook"),
    ("tos", "tos"),
    ("ip_id", "ip_id"),
    ("frag", "frag"),
    ("tcp_seq", "tcp_seq"),
    ("tcp_ack", "tcp_ack"),
    ("tcp_window", "tcp_window"),
    ("inner_proto", "inner_proto"),
    ("inner_src", "inner_src"),
    ("inner_dst", "inner_dst"),
    ("inner_sport", "inner_sport"),
    ("inner_dport", "inner_dport"),
    ("ct_state", "ct_state"),
    ("zones", "zones"),
    ("chain", "chain"),
    ("rule", "rule"),
    ("packets", "packets"),
    ("payload", "payload"),
    ("raw", "raw"),
    ("extra", "extra"),
];

/// Columns that say how a row came here and not what it is.
const OURS: &[&str] = &["source", "netns", "sender"];

/// Writes one JSON object per row, each on a line of its own.
pub(crate) fn json_lines(
    kind: Kind,
    batch: &RecordBatch,
    dialects: &Dialects,
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let batch = without_the_unknown(&told(kind, batch, dialects).context("rows that cannot be shown")?)?;
    let schema = batch.schema();
    let others: Vec<_> = schema.fields().iter().map(|f| (f.name().as_str(), f.name().as_str())).collect();
    let names = match kind {
        Kind::Events => EVENT,
        _ => &others.into_iter().filter(|(name, _)| !OURS.contains(name)).collect::<Vec<_>>(),
    };
    let rows = Rows::named(&batch, names);
    for row in 0..rows.len() {
        rows.write_json(row, out);
        out.push(b'\n');
    }
    Ok(())
}

/// Nulls where a value says nothing.
fn without_the_unknown(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| -> ArrayRef {
        match field.name().as_str() {
            "time" => {
                let times = column.as_primitive::<TimestampMicrosecondType>();
                let known = times.iter().map(|t| t.filter(|t| *t != UNKNOWN.0));
                Arc::new(known.collect::<arrow_array::TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            "packets" if is_event(batch) => {
                let packets = column.as_primitive::<Int64Type>().iter().map(|n| n.filter(|n| *n != 1));
                Arc::new(packets.collect::<arrow_array::Int64Array>())
            }
            "host" => without(column, NOBODY),
            "family" => without(column, "unknown"),
            _ => Arc::clone(column),
        }
    });
    Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect())?)
}

fn without(column: &ArrayRef, word: &str) -> ArrayRef {
    let words = column.as_string_view().iter().map(|w| w.filter(|w| *w != word));
    Arc::new(words.collect::<StringViewArray>())
}

fn is_event(batch: &RecordBatch) -> bool {
    batch.column_by_name("action").is_some()
}
