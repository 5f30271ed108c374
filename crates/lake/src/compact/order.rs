//! The order of the rows of a new file: a permutation of the rows of the old ones, one after the other.

use super::plan::Shape;
use crate::error::LakeError;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, UInt32Array};

/// How sorted files lie, as their tag says it.
pub(super) const SORTED: &str = "src,dport,time";

/// The columns that the order depends on.
pub(super) const fn keys(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::ByTime => &["time"],
        Shape::Sorted => &["time", "src", "dport"],
    }
}

/// The order by the columns of [`keys`]; rows without a value come last, equal ones as they were.
pub(super) fn order(columns: &[ArrayRef]) -> Result<UInt32Array, LakeError> {
    let wrong = || LakeError::Rows { reason: "not the columns to sort by".to_owned() };
    let mut columns = columns.iter();
    let times = columns.next().and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let times = times.filter(|t| t.null_count() == 0 && u32::try_from(t.len()).is_ok()).ok_or_else(wrong)?;
    let Some(sources) = columns.next() else {
        let mut rows: Vec<(i64, u32)> = times.values().iter().copied().zip(0..).collect();
        // Mostly long rising runs, which this merges.
        rows.sort();
        return Ok(UInt32Array::from_iter_values(rows.into_iter().map(|(_, row)| row)));
    };
    let ranks = ranks(sources).ok_or_else(wrong)?;
    let ports = columns.next().and_then(|c| c.as_primitive_opt::<Int32Type>()).ok_or_else(wrong)?;
    if ranks.len() != times.len() || ports.len() != times.len() {
        return Err(wrong());
    }
    let first = times.values().iter().copied().min().unwrap_or(0);
    let port = |row: usize| if ports.is_null(row) { u32::MAX } else { ports.value(row).cast_unsigned() };
    let mut rows: Vec<(u64, u64, u32)> = ranks
        .iter()
        .zip(times.values())
        .enumerate()
        .zip(0..)
        .map(|((at, (rank, time)), row)| {
            (u64::from(*rank) << 32 | u64::from(port(at)), time.abs_diff(first), row)
        })
        .collect();
    rows.sort_unstable();
    Ok(UInt32Array::from_iter_values(rows.into_iter().map(|(_, _, row)| row)))
}

/// The place of each address among the different ones.
fn ranks(addresses: &ArrayRef) -> Option<Vec<u32>> {
    let addresses = addresses.as_fixed_size_binary_opt()?;
    let values: Vec<Option<u128>> = addresses
        .iter()
        .map(|a| a.map(|a| a.try_into().map(u128::from_be_bytes)).transpose())
        .collect::<Result<_, _>>()
        .ok()?;
    let mut ids: hashbrown::HashMap<u128, u32, foldhash::fast::RandomState> = hashbrown::HashMap::default();
    for value in values.iter().flatten() {
        ids.insert(*value, 0);
    }
    let mut different: Vec<u128> = ids.keys().copied().collect();
    different.sort_unstable();
    ids.extend(different.into_iter().zip(0..));
    Some(values.into_iter().map(|v| v.and_then(|v| ids.get(&v).copied()).unwrap_or(u32::MAX)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{FixedSizeBinaryArray, Int32Array, TimestampMicrosecondArray};
    use proptest::prelude::*;
    use std::sync::Arc;

    type Row = (i64, Option<u8>, Option<i32>);

    fn columns(rows: &[Row]) -> Vec<ArrayRef> {
        let address = |n: u8| {
            let mut bytes = [0; 16];
            bytes[usize::from(n % 16)] = n;
            bytes
        };
        let sources = rows.iter().map(|r| r.1.map(address));
        vec![
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.0)).with_timezone("UTC"),
            ),
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(sources, 16).unwrap()),
            Arc::new(Int32Array::from_iter(rows.iter().map(|r| r.2))),
        ]
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_plain_stable_sort(
            rows in prop::collection::vec((any::<i64>().prop_map(|t| t % 50), prop::option::of(0..40_u8), prop::option::of(0..70_000)), 0..200)
        ) {
            let columns = columns(&rows);
            let key = |i: &u32| {
                let (time, src, port) = rows[*i as usize];
                let bytes = src.map(|n| { let mut b = [0; 16]; b[usize::from(n % 16)] = n; b });
                (bytes.is_none(), bytes, port.is_none(), port, time)
            };
            let mut plain: Vec<u32> = (0..rows.len() as u32).collect();
            plain.sort_by_key(key);
            prop_assert_eq!(order(&columns).unwrap().values().to_vec(), plain);
            let mut by_time: Vec<u32> = (0..rows.len() as u32).collect();
            by_time.sort_by_key(|i| rows[*i as usize].0);
            prop_assert_eq!(order(&columns[..1]).unwrap().values().to_vec(), by_time);
        }
    }

    #[test]
    fn the_longest_span_of_times_is_no_harm() {
        let rows = [(i64::MAX, Some(1), None), (i64::MIN, Some(1), None), (0, None, Some(1))];
        assert_eq!(order(&columns(&rows)).unwrap().values(), &[1, 0, 2]);
        assert!(order(&columns(&rows)[1..]).is_err());
    }
}
