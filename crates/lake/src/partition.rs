//! Which file a row goes to.
//!
//! Rows are kept apart by UTC day of `time`. A row whose `time` is more than a day away from `received` has a
//! clock that cannot be believed: it goes by the day of `received`, and to a file of its own kind, so that one
//! host in the year 2036 does not stretch the bounds of everybody's files (fault F45). What was imported is old by
//! nature: it goes by its `time`, as long as that is not ahead.

use crate::error::LakeError;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch, TimestampMicrosecondArray, UInt64Array};
use arrow_select::take::take_record_batch;
use bartizan_model::Micros;
use std::collections::BTreeMap;

/// Years 1970 to 9998: what `received` may be, so that every day has a folder.
const RECEIVED: std::ops::Range<i64> = 0..253_370_764_800_000_000;

/// Values of `source` that only imports have.
const IMPORTED: [&str; 4] = ["file", "pcap", "database", "ecs"];

/// Rows that belong in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// Days since 1970.
    pub day: i64,
    /// Whether the rows' clock is off.
    pub skewed: bool,
}

impl Part {
    fn of(time: i64, received: i64, imported: bool) -> Self {
        let believed = imported && (0..received).contains(&time);
        if !believed && time.abs_diff(received) > Micros::DAY.unsigned_abs() {
            Self { day: Micros(received).day(), skewed: true }
        } else {
            Self { day: Micros(time).day(), skewed: false }
        }
    }
}

/// What is known of a batch when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub time: (i64, i64),
    pub received: (i64, i64),
}

impl Times {
    /// The bounds of a batch's times; nothing if it has no rows.
    pub(crate) fn of(batch: &RecordBatch) -> Result<Option<Self>, LakeError> {
        let bounds = |column| -> Result<Option<(i64, i64)>, LakeError> {
            let values = times(batch, column)?.values();
            Ok(values.iter().copied().min().zip(values.iter().copied().max()))
        };
        let found = bounds("time")?.zip(bounds("received")?);
        if let Some((_, (min, max))) = found
            && !(RECEIVED.contains(&min) && RECEIVED.contains(&max))
        {
            return Err(LakeError::Rows { reason: "received outside the years 1970 to 9998".to_owned() });
        }
        Ok(found.map(|(time, received)| Self { time, received }))
    }

    /// The part that all rows belong to, if that shows from the bounds alone.
    fn one_part(&self) -> Option<Part> {
        let widest = self.time.1.abs_diff(self.received.0).max(self.time.0.abs_diff(self.received.1));
        let (first, last) = (Micros(self.time.0).day(), Micros(self.time.1).day());
        (widest <= Micros::DAY.unsigned_abs() && first == last).then_some(Part { day: first, skewed: false })
    }
}

/// Puts a batch's rows to their parts.
pub(crate) fn split(
    batch: &RecordBatch,
    into: &mut BTreeMap<Part, Vec<RecordBatch>>,
) -> Result<(), LakeError> {
    let Some(bounds) = Times::of(batch)? else { return Ok(()) };
    if let Some(part) = bounds.one_part() {
        into.entry(part).or_default().push(batch.clone());
        return Ok(());
    }
    let mut rows: BTreeMap<Part, Vec<u64>> = BTreeMap::new();
    let both = times(batch, "time")?.values().iter().zip(times(batch, "received")?.values());
    let imported = imported(batch);
    for (row, (time, received)) in both.enumerate() {
        rows.entry(Part::of(*time, *received, imported(row))).or_default().push(row as u64);
    }
    for (part, rows) in rows {
        into.entry(part).or_default().push(take_record_batch(batch, &UInt64Array::from(rows))?);
    }
    Ok(())
}

/// Which rows came by an import.
fn imported(batch: &RecordBatch) -> impl Fn(usize) -> bool {
    let sources = batch.column_by_name("source").and_then(|c| c.as_string_view_opt());
    move |row| sources.is_some_and(|s| s.is_valid(row) && IMPORTED.contains(&s.value(row)))
}

/// A column of times that no row lacks.
pub(crate) fn times<'a>(
    batch: &'a RecordBatch,
    column: &str,
) -> Result<&'a TimestampMicrosecondArray, LakeError> {
    batch
        .column_by_name(column)
        .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        .filter(|c| c.null_count() == 0)
        .ok_or_else(|| LakeError::Rows { reason: format!("no times in column `{column}`") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = Micros::DAY;

    #[test]
    fn a_clock_that_is_off_by_more_than_a_day_goes_by_the_day_of_receipt() {
        let now = 20_780 * DAY + 1000;
        let part = |time, skewed, day| assert_eq!(Part::of(time, now, false), Part { day, skewed }, "{time}");
        part(now, false, 20_780);
        part(now - 2000, false, 20_779);
        part(now - DAY, false, 20_779);
        part(now - DAY - 1, true, 20_780);
        part(now + DAY, false, 20_781);
        part(now + DAY + 1, true, 20_780);
        part(now + 3650 * DAY, true, 20_780);
        part(i64::MIN, true, 20_780);
        part(i64::MAX, true, 20_780);
    }

    #[test]
    fn what_was_imported_goes_by_its_own_time() {
        let now = 20_780 * DAY + 1000;
        let part = |time, skewed, day| assert_eq!(Part::of(time, now, true), Part { day, skewed }, "{time}");
        part(now, false, 20_780);
        part(now - 3650 * DAY, false, 20_780 - 3650);
        part(0, false, 0);
        part(-1, true, 20_780);
        part(now + DAY + 1, true, 20_780);
    }

    #[test]
    fn bounds_tell_one_part_only_where_every_row_is_in_it() {
        let times = |a, b| Times { time: (a, b), received: (20_780 * DAY + 10, 20_780 * DAY + 20) };
        assert_eq!(
            times(20_780 * DAY, 20_780 * DAY + 5).one_part(),
            Some(Part { day: 20_780, skewed: false })
        );
        assert_eq!(times(20_780 * DAY - 1, 20_780 * DAY + 5).one_part(), None);
        assert_eq!(times(20_779 * DAY + 15, 20_779 * DAY + 16).one_part(), None);
        assert_eq!(times(i64::MIN, i64::MAX).one_part(), None);
    }
}
