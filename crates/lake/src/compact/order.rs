//! The order of the rows of a new file: a permutation of the rows of the old ones, one after the other.

use super::plan::Shape;
use crate::error::LakeError;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int32Array, StringViewArray, TimestampMicrosecondArray,
    UInt32Array,
};
use std::hash::Hash;

/// How sorted files lie, as their tag says it. Hosts before ports: a host's name stands in five columns (`host`, `dst`,
/// `stream`, `mac_src`, `in_if`), so what brings its rows together saves more than it costs in `dport`.
pub(super) const SORTED: &str = "src,host,dport,time";

/// The columns that the order depends on.
pub(super) const fn keys(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::ByTime => &["time"],
        Shape::Sorted => &["time", "src", "host", "dport"],
    }
}

/// The order by the columns of [`keys`]; rows without a value come last, equal ones as they were.
pub(super) fn order(columns: &[ArrayRef]) -> Result<UInt32Array, LakeError> {
    let wrong = || LakeError::Rows { reason: "not the columns to sort by".to_owned() };
    let times = |column: &ArrayRef| column.as_primitive_opt::<TimestampMicrosecondType>().cloned();
    let rows = match columns {
        [time] => by_time(&times(time).ok_or_else(wrong)?),
        [time, src, host, port] => {
            let time = times(time).ok_or_else(wrong)?;
            let src = src.as_fixed_size_binary_opt().ok_or_else(wrong)?;
            let host = host.as_string_view_opt().ok_or_else(wrong)?;
            let port = port.as_primitive_opt::<Int32Type>().ok_or_else(wrong)?;
            if [src.len(), host.len(), port.len()] != [time.len(); 3] {
                return Err(wrong());
            }
            sorted(&time, src, host, port)
        }
        _ => return Err(wrong()),
    };
    Ok(UInt32Array::from(rows))
}

fn by_time(times: &TimestampMicrosecondArray) -> Vec<u32> {
    let mut rows: Vec<(i64, u32)> = times.values().iter().copied().zip(0..).collect();
    // Mostly long rising runs, which this merges.
    rows.sort();
    rows.into_iter().map(|(_, row)| row).collect()
}

fn sorted(
    times: &TimestampMicrosecondArray,
    sources: &FixedSizeBinaryArray,
    hosts: &StringViewArray,
    ports: &Int32Array,
) -> Vec<u32> {
    let first = times.values().iter().copied().min().unwrap_or(0);
    let (sources, hosts) = (ranks(sources.iter()), ranks(hosts.iter()));
    // Ports rise as numbers; there are none below 0.
    let ports = ports.iter().map(|port| port.map_or(u32::MAX, i32::cast_unsigned));
    let keys = sources.into_iter().zip(hosts).zip(ports).zip(times.values()).zip(0_u32..);
    let mut rows: Vec<(u64, u64, u64)> = keys
        .map(|((((source, host), port), time), row)| {
            let place = u64::from(port) << 32 | u64::from(row);
            (u64::from(source) << 32 | u64::from(host), place, time.abs_diff(first))
        })
        .collect();
    rows.sort_unstable_by_key(|(who, place, time)| (*who, *place >> 32, *time, *place));
    rows.into_iter().map(|(_, place, _)| (place & u64::from(u32::MAX)) as u32).collect()
}

/// The place of each value among the different ones; the last for none.
fn ranks<'a, T: Ord + Hash + Copy + 'a>(values: impl Iterator<Item = Option<T>> + Clone) -> Vec<u32> {
    let mut ids: hashbrown::HashMap<T, u32, foldhash::fast::RandomState> = hashbrown::HashMap::default();
    for value in values.clone().flatten() {
        ids.entry(value).or_default();
    }
    let mut different: Vec<T> = ids.keys().copied().collect();
    different.sort_unstable();
    ids.extend(different.into_iter().zip(0..));
    values.map(|v| v.and_then(|v| ids.get(&v).copied()).unwrap_or(u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    type Row = (i64, Option<u8>, u8, Option<i32>);

    fn host(n: u8) -> String {
        format!("host {}{n}", if n.is_multiple_of(2) { "with a long name " } else { "" })
    }

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
            Arc::new(StringViewArray::from_iter_values(rows.iter().map(|r| host(r.2)))),
            Arc::new(Int32Array::from_iter(rows.iter().map(|r| r.3))),
        ]
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_plain_stable_sort(
            rows in prop::collection::vec((any::<i64>().prop_map(|t| t % 50), prop::option::of(0..40_u8), 0..4_u8, prop::option::of(0..70_000)), 0..200)
        ) {
            let columns = columns(&rows);
            let key = |i: &u32| {
                let (time, src, h, port) = rows[*i as usize];
                let bytes = src.map(|n| { let mut b = [0; 16]; b[usize::from(n % 16)] = n; b });
                (bytes.is_none(), bytes, host(h), port.is_none(), port, time)
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
        let rows = [(i64::MAX, Some(1), 0, None), (i64::MIN, Some(1), 0, None), (0, None, 0, Some(1))];
        assert_eq!(order(&columns(&rows)).unwrap().values(), &[1, 0, 2]);
        assert!(order(&columns(&rows)[1..]).is_err());
    }
}
