use super::{Column, Presence};
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, Buffer, NullBuffer, ScalarBuffer};
use std::sync::Arc;

/// Rows that a column has room for when it is first written.
const FIRST_ROOM: usize = 256;

/// A column of numbers, written at the rows that have one.
///
/// Which rows those are stands in the builder, one word per row. Between them lies whatever was there before;
/// the end of the batch clears it. The memory of the last batch is kept in `last` and used again when nobody
/// else holds that batch by then: without it, a third of the time goes to page faults.
#[derive(Debug)]
pub(super) struct Values<T> {
    values: Vec<T>,
    last: Option<Buffer>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new(), last: None }
    }
}

impl<T: ArrowNativeType> Values<T> {
    /// Writes a row.
    #[inline(always)]
    pub(super) fn put(&mut self, row: usize, value: T) {
        match self.values.get_mut(row) {
            Some(slot) => *slot = value,
            None => self.grow(row, value),
        }
    }

    /// Makes room for a row and writes it.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, row: usize, value: T) {
        if self.values.is_empty()
            && let Some(values) = self.last.take().and_then(|last| last.into_vec().ok())
        {
            self.values = values;
        }
        if row >= self.values.len() {
            self.values.resize((row + 1).next_power_of_two().max(FIRST_ROOM), T::default());
        }
        self.values[row] = value;
    }

    pub(super) const fn row_bytes() -> usize {
        size_of::<T>()
    }

    /// The values of all rows and which of them are nulls; the column is empty afterwards.
    pub(super) fn take(&mut self, presence: &Presence<'_>) -> (Buffer, Option<NullBuffer>) {
        let rows = presence.rows();
        let mut values = std::mem::take(&mut self.values);
        values.resize(rows, T::default());
        let nulls = presence.nulls();
        if let Some(nulls) = &nulls {
            clear_nulls(&mut values, nulls);
        }
        let values = Buffer::from_vec(values);
        self.last = (rows > 0).then(|| values.clone());
        (values, nulls)
    }

    fn primitive<P: ArrowPrimitiveType<Native = T>>(&mut self, presence: &Presence<'_>) -> PrimitiveArray<P> {
        let (values, nulls) = self.take(presence);
        PrimitiveArray::new(ScalarBuffer::new(values, 0, presence.rows()), nulls)
    }
}

/// Zeroes the values of null rows: they hold those of an earlier batch.
fn clear_nulls<T: ArrowNativeType>(values: &mut [T], nulls: &NullBuffer) {
    for (values, valid) in values.chunks_mut(8).zip(nulls.validity()) {
        if *valid != 0xff {
            for (i, value) in values.iter_mut().enumerate() {
                if valid & (1 << i) == 0 {
                    *value = T::default();
                }
            }
        }
    }
}

impl Column for Values<i16> {
    fn row_bytes(&self) -> usize {
        Self::row_bytes()
    }
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef {
        Arc::new(self.primitive::<Int16Type>(presence))
    }
}

impl Column for Values<i32> {
    fn row_bytes(&self) -> usize {
        Self::row_bytes()
    }
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef {
        Arc::new(self.primitive::<Int32Type>(presence))
    }
}

impl Column for Values<i64> {
    fn row_bytes(&self) -> usize {
        Self::row_bytes()
    }
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef {
        Arc::new(self.primitive::<Int64Type>(presence))
    }
}

/// Addresses: the 16 bytes of each as one number, in the order in which they stand in memory.
impl Column for Values<i128> {
    fn row_bytes(&self) -> usize {
        Self::row_bytes()
    }
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef {
        let (values, nulls) = self.take(presence);
        Arc::new(FixedSizeBinaryArray::new(16, values, nulls))
    }
}

/// Moments, as microseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Times(Values<i64>);

impl Times {
    #[inline(always)]
    pub(super) fn put(&mut self, row: usize, micros: i64) {
        self.0.put(row, micros);
    }
}

impl Column for Times {
    fn row_bytes(&self) -> usize {
        size_of::<i64>()
    }
    fn finish(&mut self, presence: &Presence<'_>) -> ArrayRef {
        Arc::new(self.0.primitive::<TimestampMicrosecondType>(presence).with_timezone("UTC"))
    }
}

/// An array with the same value in every row, made once and cut to the rows of each batch.
#[derive(Debug, Default)]
pub(super) struct Constant(Option<ArrayRef>);

impl Constant {
    /// The first rows; `make` makes an array of a given length when more are asked for than ever before.
    pub(super) fn rows(&mut self, rows: usize, make: impl FnOnce(usize) -> ArrayRef) -> ArrayRef {
        let array = self.0.take().filter(|a| a.len() >= rows);
        let array = array.unwrap_or_else(|| make(rows.next_power_of_two()));
        let cut = array.slice(0, rows);
        self.0 = Some(array);
        cut
    }
}

/// The same number in every row.
pub(super) fn repeated(value: i64, rows: usize) -> ArrayRef {
    Arc::new(PrimitiveArray::<Int64Type>::from_value(value, rows))
}

/// The same number in every row but some.
pub(super) fn repeated_but(value: i64, rows: usize, others: &[(usize, i64)]) -> ArrayRef {
    let mut values = vec![value; rows];
    for (row, other) in others {
        values[*row] = *other;
    }
    Arc::new(PrimitiveArray::<Int64Type>::new(ScalarBuffer::from(values), None))
}

#[cfg(test)]
mod tests {
    use super::super::presence::PresenceWords;
    use super::*;
    use arrow_array::Int32Array;
    use arrow_array::cast::AsArray;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn missing_rows_are_nulls_and_zero(batches in proptest::collection::vec(
            proptest::collection::vec(any::<Option<i32>>(), 1..100), 1..4)
        ) {
            let mut column = Values::<i32>::default();
            for rows in batches {
                let mut words = PresenceWords::default();
                for (row, value) in rows.iter().enumerate() {
                    if let Some(value) = value {
                        column.put(row, *value);
                    }
                    words.push(u64::from(value.is_some()) << 5 | 1 << 3);
                }
                let array = column.finish(&words.of(5, words.some_and_all().1));
                let array = array.as_primitive::<Int32Type>();
                prop_assert_eq!(array, &Int32Array::from(rows.clone()));
                let zeroed: Vec<_> = rows.iter().map(|r| r.unwrap_or(0)).collect();
                prop_assert_eq!(&array.values()[..], &zeroed[..]);
            }
        }
    }
}
