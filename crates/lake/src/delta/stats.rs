//! The statistics of a data file in its `add` action: how many rows, and the bounds of a few columns.

use super::time::{moment_of, moment_text};
use arrow_schema::DataType;
use bartizan_model::Micros;
use bartizan_schema::Relation;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

/// Columns with bounds in the log, beside `time` and `received`: small ones that questions often name.
const BOUNDED: &[&str] = &["from", "proto", "sport", "dport", "seq", "packets"];

/// What the lake itself needs of a file's statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub rows: Option<u64>,
    pub time: Option<(Micros, Micros)>,
    pub received: Option<(Micros, Micros)>,
    pub seq: Option<(i64, i64)>,
    pub packets: Option<(i64, i64)>,
}

/// The bounds of a file just written, and the text for its `add` action. Bounds that the text cannot hold
/// (years before 0 or after 9999) are left out of both, so that a reload gives the same.
pub(crate) fn of_file(relation: Relation, meta: &ParquetMetaData) -> (Bounds, String) {
    let rows = u64::try_from(meta.file_metadata().num_rows()).unwrap_or(0);
    let mut bounds = Bounds { rows: Some(rows), ..Bounds::default() };
    let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (index, column) in relation.columns().iter().enumerate() {
        let is_time = matches!(column.kind.arrow(), DataType::Timestamp(..));
        if !is_time && !BOUNDED.contains(&column.name) {
            continue;
        }
        let Some(found) = fold(meta, index) else { continue };
        nulls.insert(column.name.into(), json!(found.nulls));
        let Some((low, high)) = found.bounds else { continue };
        if is_time {
            let (Some(a), Some(b)) = (moment_text(Micros(low)), moment_text(Micros(high))) else { continue };
            min.insert(column.name.into(), Value::String(a));
            max.insert(column.name.into(), Value::String(b));
            match column.name {
                "time" => bounds.time = Some((Micros(low), Micros(high))),
                "received" => bounds.received = Some((Micros(low), Micros(high))),
                _ => {}
            }
        } else {
            min.insert(column.name.into(), json!(low));
            max.insert(column.name.into(), json!(high));
            match column.name {
                "seq" => bounds.seq = Some((low, high)),
                "packets" if found.nulls == 0 => bounds.packets = Some((low, high)),
                _ => {}
            }
        }
    }
    let text = json!({"numRecords": rows, "minValues": min, "maxValues": max, "nullCount": nulls});
    (bounds, text.to_string())
}

/// The bounds that a text states; what it does not state stays open.
pub(crate) fn parse(text: Option<&str>) -> Bounds {
    let Some(stats) = text.and_then(|t| serde_json::from_str::<Value>(t).ok()) else {
        return Bounds::default();
    };
    let pair = |column: &str| {
        let min = moment_of(stats["minValues"][column].as_str()?, false)?;
        let max = moment_of(stats["maxValues"][column].as_str()?, true)?;
        Some((min, max))
    };
    let numbers =
        |column: &str| Some((stats["minValues"][column].as_i64()?, stats["maxValues"][column].as_i64()?));
    let whole = |column: &str| stats["nullCount"][column].as_u64() == Some(0);
    Bounds {
        rows: stats["numRecords"].as_u64(),
        time: pair("time"),
        received: pair("received"),
        seq: numbers("seq"),
        packets: numbers("packets").filter(|_| whole("packets")),
    }
}

struct Found {
    nulls: u64,
    bounds: Option<(i64, i64)>,
}

/// Nulls and bounds of an integer column over all row groups.
fn fold(meta: &ParquetMetaData, column: usize) -> Option<Found> {
    let mut found = Found { nulls: 0, bounds: None };
    for group in meta.row_groups() {
        let stats = group.column(column).statistics()?;
        found.nulls += stats.null_count_opt()?;
        let (low, high) = match stats {
            Statistics::Int32(s) => (s.min_opt().map(|v| i64::from(*v)), s.max_opt().map(|v| i64::from(*v))),
            Statistics::Int64(s) => (s.min_opt().copied(), s.max_opt().copied()),
            _ => return None,
        };
        if let (Some(low), Some(high)) = (low, high) {
            let (a, b) = found.bounds.unwrap_or((low, high));
            found.bounds = Some((a.min(low), b.max(high)));
        } else if stats.null_count_opt() != u64::try_from(group.num_rows()).ok() {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_others_are_read_as_far_as_they_go() {
        let text = r#"{"numRecords":3,"minValues":{"time":"2026-11-18T11:06:40.000Z"},"maxValues":{"time":"2026-11-18T11:06:41.000Z"}}"#;
        let bounds = parse(Some(text));
        assert_eq!(bounds.rows, Some(3));
        assert_eq!(bounds.time, Some((Micros(1_795_000_000_000_000), Micros(1_795_000_001_000_999))));
        assert_eq!(bounds.received, None);
        for bad in ["", "[]", "{\"numRecords\":-1}", "nonsense"] {
            assert_eq!(parse(Some(bad)), Bounds::default(), "{bad}");
        }
    }
}
