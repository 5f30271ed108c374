use super::Column;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray, PrimitiveArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use std::sync::Arc;

/// A column of numbers in which rows may be missing.
///
/// `values` ends at the last row that was written. `valid` is empty as long as no row is missing; then it has
/// one bit per row written.
#[derive(Debug)]
pub(super) struct Sparse<T> {
    values: Vec<T>,
    valid: Vec<u8>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { values: Vec::new(), valid: Vec::new() }
    }
}

impl<T: ArrowNativeType> Sparse<T> {
    /// Makes room for rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.values.reserve(rows);
    }

    /// Writes a row that is after every row written before.
    #[inline]
    pub(super) fn push(&mut self, row: usize, value: T) {
        debug_assert!(self.values.len() <= row, "rows are written once and in order");
        if self.values.len() != row || !self.valid.is_empty() {
            self.mark(row);
        }
        self.values.push(value);
    }

    /// Fills the rows before `row` with nulls and marks `row` as present.
    #[inline]
    fn mark(&mut self, row: usize) {
        let written = self.values.len();
        if self.valid.is_empty() {
            self.valid = all_set(written);
        }
        self.values.resize(row, T::default());
        let byte = row / 8;
        if self.valid.len() <= byte {
            self.valid.resize(byte + 1, 0);
        }
        self.valid[byte] |= 1 << (row % 8);
    }

    /// The values of all rows, and which of them are nulls; the column is empty afterwards.
    pub(super) fn take(&mut self, rows: usize) -> (Vec<T>, Option<NullBuffer>) {
        let mut values = std::mem::take(&mut self.values);
        let mut valid = std::mem::take(&mut self.valid);
        if valid.is_empty() && values.len() < rows {
            valid = all_set(values.len());
        }
        values.resize(rows, T::default());
        let nulls = (!valid.is_empty()).then(|| {
            valid.resize(rows.div_ceil(8), 0);
            NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(valid), 0, rows))
        });
        (values, nulls)
    }

    pub(super) fn is_written(&self) -> bool {
        !self.values.is_empty()
    }

    pub(super) fn size(&self) -> usize {
        self.values.len() * size_of::<T>() + self.valid.len()
    }

    fn primitive<P: ArrowPrimitiveType<Native = T>>(&mut self, rows: usize) -> PrimitiveArray<P> {
        let (values, nulls) = self.take(rows);
        PrimitiveArray::new(ScalarBuffer::from(values), nulls)
    }
}

/// The same number in every row.
pub(super) fn repeated(value: i64, rows: usize) -> ArrayRef {
    Arc::new(PrimitiveArray::<Int64Type>::from_value(value, rows))
}

/// A bitmap with the first `rows` bits set.
fn all_set(rows: usize) -> Vec<u8> {
    let mut bits = vec![0xff; rows / 8];
    bits.push(((1u16 << (rows % 8)) - 1) as u8);
    bits
}

impl Column for Sparse<i16> {
    fn is_used(&self) -> bool {
        self.is_written()
    }
    fn bytes(&self) -> usize {
        self.size()
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        Arc::new(self.primitive::<Int16Type>(rows))
    }
}

impl Column for Sparse<i32> {
    fn is_used(&self) -> bool {
        self.is_written()
    }
    fn bytes(&self) -> usize {
        self.size()
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        Arc::new(self.primitive::<Int32Type>(rows))
    }
}

impl Column for Sparse<i64> {
    fn is_used(&self) -> bool {
        self.is_written()
    }
    fn bytes(&self) -> usize {
        self.size()
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        Arc::new(self.primitive::<Int64Type>(rows))
    }
}

/// Addresses: the 16 bytes of each as one number, in the order in which they stand in memory.
impl Column for Sparse<i128> {
    fn is_used(&self) -> bool {
        self.is_written()
    }
    fn bytes(&self) -> usize {
        self.size()
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        let (values, nulls) = self.take(rows);
        Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(values), nulls))
    }
}

/// Moments, as microseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Times(pub(super) Sparse<i64>);

impl Column for Times {
    fn is_used(&self) -> bool {
        self.0.is_written()
    }
    fn bytes(&self) -> usize {
        self.0.size()
    }
    fn finish(&mut self, rows: usize) -> ArrayRef {
        Arc::new(self.0.primitive::<TimestampMicrosecondType>(rows).with_timezone("UTC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int32Array;
    use arrow_array::cast::AsArray;
    use proptest::prelude::*;

    #[test]
    fn bitmaps_have_exactly_the_bits_asked_for() {
        for rows in 0..40usize {
            let bits: u32 = all_set(rows).iter().map(|b| b.count_ones()).sum();
            assert_eq!(bits as usize, rows);
        }
    }

    proptest! {
        #[test]
        fn missing_rows_are_filled_with_nulls(rows in proptest::collection::vec(any::<Option<i32>>(), 0..100)) {
            let mut column = Sparse::<i32>::default();
            for _ in 0..2 {
                for (row, value) in rows.iter().enumerate() {
                    if let Some(value) = value {
                        column.push(row, *value);
                    }
                }
                let got = column.finish(rows.len());
                prop_assert_eq!(got.as_primitive::<Int32Type>(), &Int32Array::from(rows.clone()));
            }
        }
    }
}
