use super::rows::Rows;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array as _, ArrayRef, UInt32Array};
use arrow_schema::DataType;
use std::collections::BTreeMap;

/// The order of rows by columns, rows without a value last.
pub(super) fn order(rows: &Rows, keys: &[&str]) -> UInt32Array {
    let keys: Vec<Vec<u64>> = keys.iter().map(|name| numbers(rows.column(name))).collect();
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_by(|a, b| {
        let value = |row: &u32, key: &Vec<u64>| key[*row as usize];
        let differences = keys.iter().map(|key| value(a, key).cmp(&value(b, key)));
        differences.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    });
    UInt32Array::from(order)
}

/// Numbers that rise as the values do.
fn numbers(column: &ArrayRef) -> Vec<u64> {
    match column.data_type() {
        DataType::Timestamp(..) => column
            .as_primitive::<TimestampMicrosecondType>()
            .values()
            .iter()
            .map(|v| v.cast_unsigned())
            .collect(),
        DataType::Int32 => {
            let values = column.as_primitive::<Int32Type>().iter();
            values.map(|v| v.map_or(u64::MAX, |v| u64::from(v.cast_unsigned()))).collect()
        }
        DataType::FixedSizeBinary(_) => ranks(column.as_fixed_size_binary().iter()),
        _ => ranks(column.as_string_view().iter().map(|v| v.map(str::as_bytes))),
    }
}

fn ranks<'a>(values: impl Iterator<Item = Option<&'a [u8]>> + Clone) -> Vec<u64> {
    let mut places: BTreeMap<&[u8], u64> = values.clone().flatten().map(|v| (v, 0)).collect();
    places.values_mut().zip(0..).for_each(|(place, n)| *place = n);
    values.map(|v| v.map_or(u64::MAX, |v| places[v])).collect()
}
