//! Batches cut into pieces that stay small when they are written out.
//!
//! A text may stand in a batch once and in a thousand of its rows: as Arrow's views do. Whoever writes an answer writes
//! it a thousand times. So what a question of any form gives is cut by what its rows take one by one, and a row that
//! takes too much alone is refused.

use crate::QueryError;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

/// Bytes of a batch, written out, if it has more than one row.
const PIECE: usize = 8 << 20;
/// Bytes of one row.
const ROW: usize = 64 << 20;

/// The rows of a batch in their order, in pieces; an error in the place of a row that is too long, and nothing after it.
pub(crate) fn pieces(batch: RecordBatch) -> Vec<Result<RecordBatch, QueryError>> {
    let mut done = Vec::with_capacity(1);
    let mut left = vec![batch];
    while let Some(batch) = left.pop() {
        let rows = batch.num_rows();
        let size = batch.columns().iter().map(|array| written(array)).fold(0, usize::saturating_add);
        match rows {
            _ if size <= PIECE => done.push(Ok(batch)),
            0 | 1 if size <= ROW => done.push(Ok(batch)),
            0 | 1 => {
                done.push(Err(QueryError::Limit { what: "bytes in one row" }));
                break;
            }
            _ => {
                let half = rows / 2;
                left.push(batch.slice(half, rows - half));
                left.push(batch.slice(0, half));
            }
        }
    }
    done
}

/// Bytes of the values, each counted where it stands.
fn written(array: &dyn Array) -> usize {
    match array.data_type() {
        // The lower half of a view is the length of its text.
        DataType::Utf8View => lengths(array.as_string_view().views()),
        DataType::BinaryView => lengths(array.as_binary_view().views()),
        DataType::Dictionary(..) => {
            let values = array.as_any_dictionary().values();
            let widest = (0..values.len()).map(|i| written(&values.slice(i, 1))).max();
            widest.unwrap_or(0).saturating_mul(array.len())
        }
        // Of nested values all count, also such as stand in other rows: their readers take all of them.
        DataType::List(_) => written(array.as_list::<i32>().values()),
        DataType::LargeList(_) => written(array.as_list::<i64>().values()),
        DataType::FixedSizeList(..) => written(array.as_fixed_size_list().values()),
        DataType::Map(..) => written(array.as_map().entries()),
        DataType::Struct(_) => {
            array.as_struct().columns().iter().map(|array| written(array)).fold(0, usize::saturating_add)
        }
        _ => array.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

fn lengths(views: &[u128]) -> usize {
    views.iter().map(|view| usize::try_from(view & u128::from(u32::MAX)).unwrap_or(usize::MAX)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{ArrayRef, DictionaryArray, Int64Array, ListArray, StringViewArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::Field;
    use std::sync::Arc;

    /// So many rows of one text.
    fn shared(bytes: usize, rows: usize) -> ArrayRef {
        let one = StringViewArray::from_iter_values(["x".repeat(bytes)]);
        let views = vec![one.views()[0]; rows];
        Arc::new(StringViewArray::new(views.into(), one.data_buffers().to_vec(), None))
    }

    fn cut(array: ArrayRef) -> Vec<Result<usize, QueryError>> {
        let batch = RecordBatch::try_from_iter([("a", array)]).unwrap();
        pieces(batch).into_iter().map(|piece| piece.map(|piece| piece.num_rows())).collect()
    }

    #[test]
    fn texts_count_where_they_stand() {
        let sizes = |array| cut(array).into_iter().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(sizes(shared(100, 8192)), [8192]);
        assert_eq!(sizes(shared(1 << 20, 32)), [8; 4]);
        assert_eq!(sizes(shared(20 << 20, 3)), [1; 3]);
        assert_eq!(sizes(Arc::new(Int64Array::from(vec![1; 8192]))), [8192]);
        assert_eq!(sizes(shared(1, 0)), [0]);
        let values = shared(1 << 20, 1);
        let dictionary = DictionaryArray::<Int32Type>::new(vec![0; 16].into(), values);
        assert_eq!(sizes(Arc::new(dictionary)), [8; 2]);
    }

    #[test]
    fn a_row_that_is_too_long_ends_the_answer() {
        assert!(matches!(cut(shared(65 << 20, 3))[..], [Err(QueryError::Limit { .. })]));
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let list = ListArray::new(item, OffsetBuffer::from_lengths([100]), shared(1 << 20, 100), None);
        assert!(matches!(cut(Arc::new(list))[..], [Err(QueryError::Limit { .. })]));
    }
}
