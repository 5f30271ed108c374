//! `spool ls|verify|export`: what waits on this host's disk, read without touching it. Works while the agent runs.

use anyhow::{Context as _, anyhow};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::DataType;
use bartizan_model::{Kind, Lane, Micros, addr_to_ip};
use bartizan_schema::wire_schema;
use bartizan_spool::RealFs;
use bartizan_spool::inspect::{self, LaneView, SegmentReport};
use bartizan_wire::{Limits, decode, messages};
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something is damaged; the report says what.
#[derive(Debug, thiserror::Error)]
#[error("{records} records are damaged")]
pub struct Damaged {
    records: u64,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// One JSON object a line.
    Ndjson,
    /// One Arrow IPC stream.
    Arrow,
}

/// Lists lanes and segments, or every record.
///
/// # Errors
/// Those of the disk and of `out`.
pub fn ls(dir: &Path, records: bool, as_json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut listed = Vec::new();
    for (lane, path, view) in lanes(dir)? {
        for segment in &view.segments {
            let mut content = Vec::new();
            if records {
                inspect::segment(&RealFs, &path, segment, |record| {
                    content.push(json!({
                        "number": record.seq.0,
                        "kind": record.kind.as_str(),
                        "weight": record.weight,
                        "note_bytes": record.note.len(),
                        "payload_bytes": record.payload.len(),
                    }));
                    Ok(())
                })?;
            }
            listed.push(json!({
                "lane": lane.number(),
                "file": segment.file,
                "epoch": format!("{:016x}", segment.epoch.0),
                "first": segment.first.0,
                "end": segment.end.map(|end| end.0),
                "bytes": segment.bytes,
                "acknowledged": view.acknowledged.map(|(_, seq)| seq.0),
                "records": if records { json!(content) } else { Value::Null },
            }));
        }
    }
    if as_json {
        return Ok(writeln!(out, "{:#}", json!(listed))?);
    }
    writeln!(out, "{:<5} {:>12} {:>12} {:>10} {:<16}", "lane", "first", "end", "bytes", "epoch")?;
    let number = |value: &Value| value.as_u64().map_or("open".to_owned(), |n| n.to_string());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for segment in &listed {
        let [lane, first, end, bytes] = ["lane", "first", "end", "bytes"].map(|key| number(&segment[key]));
        writeln!(out, "{lane:<5} {first:>12} {end:>12} {bytes:>10} {:<16}", text(&segment["epoch"]))?;
        for record in segment["records"].as_array().into_iter().flatten() {
            let [at, weight, bytes] = ["number", "weight", "payload_bytes"].map(|key| number(&record[key]));
            writeln!(
                out,
                "      {at:>11} {:<9} {weight:>10} events {bytes:>8} bytes",
                text(&record["kind"])
            )?;
        }
    }
    Ok(())
}

/// Checks every record's checksum.
///
/// # Errors
/// [`Damaged`], and those of the disk and of `out`.
pub fn verify(dir: &Path, as_json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let (mut lines, mut missing) = (Vec::new(), 0);
    for (lane, path, view) in lanes(dir)? {
        for segment in &view.segments {
            let report = inspect::segment(&RealFs, &path, segment, |_| Ok(()))?;
            missing += report.missing;
            let SegmentReport { records, weight, damaged, missing, dropped, unfinished, gone } = report;
            let state = match (damaged.is_empty(), dropped, gone) {
                (false, ..) => "damaged",
                (_, true, _) => "dropped to make room",
                (_, _, true) => "acknowledged meanwhile",
                _ => "good",
            };
            lines.push(json!({
                "lane": lane.number(),
                "file": path.join(&segment.file).display().to_string(),
                "state": state,
                "records": records,
                "events": weight,
                "damaged": damaged.iter().map(|range| [range.start, range.end]).collect::<Vec<_>>(),
                "missing": missing,
                "unfinished_bytes": unfinished,
            }));
        }
        for name in &view.quarantined {
            let file = path.join(name).display().to_string();
            lines.push(json!({ "lane": lane.number(), "file": file, "state": "put aside as damaged, counted as lost" }));
        }
    }
    if as_json {
        writeln!(out, "{:#}", json!(lines))?;
    } else {
        for line in &lines {
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            let records = line["records"].as_u64().unwrap_or(0);
            write!(out, "{}: {}, {records} records", text("file"), text("state"))?;
            for range in line["damaged"].as_array().into_iter().flatten() {
                write!(out, ", bytes {} to {}", range[0], range[1])?;
            }
            match line["unfinished_bytes"].as_u64() {
                Some(bytes) if bytes > 0 => writeln!(out, ", {bytes} bytes not finished")?,
                _ => writeln!(out)?,
            }
        }
    }
    if missing > 0 { Err(Damaged { records: missing }.into()) } else { Ok(()) }
}

/// Prints the rows of one table.
///
/// # Errors
/// A table that is none; those of the disk and of `out`.
pub fn export(dir: &Path, kind: &str, form: Export, out: &mut impl Write) -> anyhow::Result<()> {
    let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind);
    let kind =
        kind.ok_or_else(|| anyhow!("no such table; one of: {}", Kind::ALL.map(Kind::as_str).join(", ")))?;
    let unreadable = match form {
        Export::Ndjson => {
            let mut out = io::BufWriter::new(out);
            let unreadable = each_batch(dir, kind, |batch| write_lines(batch, &mut out))?;
            out.flush()?;
            unreadable
        }
        Export::Arrow => {
            let mut stream = StreamWriter::try_new(out, &wire_schema(kind)).context("cannot write")?;
            let unreadable = each_batch(dir, kind, |batch| stream.write(batch).map_err(io::Error::other))?;
            stream.finish().context("cannot write")?;
            unreadable
        }
    };
    if unreadable > 0 { Err(Damaged { records: unreadable }.into()) } else { Ok(()) }
}

/// Hands out every batch of a table; returns how many records are no batch of it.
fn each_batch(
    dir: &Path,
    kind: Kind,
    mut each: impl FnMut(&RecordBatch) -> io::Result<()>,
) -> anyhow::Result<u64> {
    let mut unreadable = 0;
    for (_, path, view) in lanes(dir)? {
        for segment in &view.segments {
            let report = inspect::segment(&RealFs, &path, segment, |record| {
                if record.kind != kind {
                    return Ok(());
                }
                let batch = messages(&record.payload.into())
                    .map_err(|e| e.to_string())
                    .and_then(|m| decode(kind, &m, &Limits::default()).map_err(|e| e.to_string()))
                    .and_then(|batch| whole(&batch, kind));
                match batch {
                    Ok(batch) => each(&batch),
                    Err(error) => {
                        tracing::warn!(number = record.seq.0, error, "a record cannot be read");
                        unreadable += 1;
                        Ok(())
                    }
                }
            })?;
            unreadable += report.missing;
        }
    }
    Ok(unreadable)
}

/// The disk's lanes that are there.
fn lanes(dir: &Path) -> anyhow::Result<Vec<(Lane, PathBuf, LaneView)>> {
    let mut lanes = Vec::new();
    for lane in Lane::DISK {
        let path = dir.join(lane.number().to_string());
        if path.is_dir() {
            let view = inspect::lane(&RealFs, &path)?;
            lanes.push((lane, path, view));
        }
    }
    if lanes.is_empty() {
        return Err(anyhow!("no spool in {}", dir.display()));
    }
    Ok(lanes)
}

/// The batch with every column of its table.
fn whole(batch: &RecordBatch, kind: Kind) -> Result<RecordBatch, String> {
    let schema = wire_schema(kind);
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), batch.num_rows()),
        })
        .collect();
    RecordBatch::try_new(schema, columns).map_err(|e| e.to_string())
}

fn write_lines(batch: &RecordBatch, out: &mut impl Write) -> io::Result<()> {
    for row in 0..batch.num_rows() {
        let mut object = Map::new();
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if column.is_valid(row) {
                object.insert(field.name().clone(), value(column, row));
            }
        }
        writeln!(out, "{}", Value::Object(object))?;
    }
    Ok(())
}

/// One value as in all other output.
fn value(column: &ArrayRef, row: usize) -> Value {
    match column.data_type() {
        DataType::Timestamp(..) => {
            crate::board::time(Some(Micros(column.as_primitive::<TimestampMicrosecondType>().value(row))))
        }
        DataType::Int16 => json!(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => json!(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        DataType::FixedSizeBinary(16) => {
            let bytes = column.as_fixed_size_binary().value(row);
            <[u8; 16]>::try_from(bytes).map_or(Value::Null, |bytes| json!(addr_to_ip(bytes).to_string()))
        }
        DataType::Binary => {
            let hex: String =
                column.as_binary::<i32>().value(row).iter().map(|b| format!("{b:02x}")).collect();
            json!(hex)
        }
        DataType::Dictionary(..) => {
            let texts = column.as_dictionary::<Int32Type>();
            let key = usize::try_from(texts.keys().value(row)).unwrap_or(usize::MAX);
            match texts.values().as_string_opt::<i32>() {
                Some(values) if key < values.len() => json!(values.value(key)),
                _ => Value::Null,
            }
        }
        _ => Value::Null,
    }
}
