//! What each filter of the table matches, with the live matcher.

use crate::{cases, check};
use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, Int16Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
};
use arrow_schema::{Field, Schema};
use bartizan_filter::{Filter, Matcher};
use bartizan_model::addr_from_ip;
use bartizan_schema::{ColumnKind, EVENTS};
use std::{collections::BTreeMap, sync::Arc};

fn batch(rows: &[(char, BTreeMap<&'static str, &'static str>)]) -> RecordBatch {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for column in EVENTS {
        let values = || rows.iter().map(|(_, row)| row.get(column.name).copied());
        let array: ArrayRef = match column.kind {
            ColumnKind::Text => Arc::new(values().collect::<StringViewArray>()),
            ColumnKind::Addr => {
                let addrs = values().map(|text| text.map(|text| addr_from_ip(text.parse().unwrap())));
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(addrs, 16).unwrap())
            }
            ColumnKind::I16 => Arc::new(
                values().map(|text| text.map(|text| text.parse::<i16>().unwrap())).collect::<Int16Array>(),
            ),
            ColumnKind::I32 => Arc::new(
                values().map(|text| text.map(|text| text.parse::<i32>().unwrap())).collect::<Int32Array>(),
            ),
            ColumnKind::I64 => Arc::new(
                values().map(|text| text.map(|text| text.parse::<i64>().unwrap())).collect::<Int64Array>(),
            ),
            ColumnKind::Time | ColumnKind::Bytes => continue,
        };
        fields.push(Field::new(column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

#[test]
fn each_filter_finds_its_rows() {
    let cases = cases::cases();
    assert!(cases.filters.len() > 210, "only {} filters", cases.filters.len());
    let columns: Vec<_> = EVENTS.iter().map(|c| c.name).collect();
    for (name, row) in &cases.rows {
        assert!(row.keys().all(|column| columns.contains(column)), "row {name} names no column");
    }
    let batch = batch(&cases.rows);
    let mut wrong = String::new();
    for (text, want) in &cases.filters {
        check::any_text(text);
        let filter = match Filter::parse(text, &cases.context) {
            Ok(filter) => filter,
            Err(error) => {
                wrong.push_str(&error.render(text, false));
                continue;
            }
        };
        // as it is written, and as it is printed
        let again = Filter::parse(&filter.to_string(), &cases.context).unwrap();
        for filter in [&filter, &again] {
            let matches = Matcher::new(filter).matches(&batch);
            let found: String = cases
                .rows
                .iter()
                .zip(&matches)
                .filter(|(_, m)| *m == Some(true))
                .map(|((n, _), _)| *n)
                .collect();
            if found != *want {
                wrong.push_str(&format!("{text} => {found:?}, not {want:?}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
