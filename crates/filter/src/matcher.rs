//! Filters on Arrow batches, column by column.
//!
//! Invariants:
//! - The answer has no nulls: a null, and a column that the batch lacks, holds no value, so that a term on it
//!   is false and its negation true.
//! - Columns may have the type of the table (`Utf8View`), of the wire (`Dictionary(Int32, Utf8)`) or any other
//!   that casts to it; what does not cast is as if it were null.
//! - Of a dictionary each value is compared once, however many rows have it.

use crate::{Addrs, Expr, Filter, NumRange, TextPattern, Values, text::fold_into};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, DictionaryArray, FixedSizeBinaryArray,
    Int16Array, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
    types::Int32Type,
};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_schema::DataType;

/// A filter, ready to run on batches. It holds no state and can be shared.
#[derive(Clone, Debug)]
pub struct Matcher {
    root: Node,
}

#[derive(Clone, Debug)]
enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Term(&'static [&'static str], Test),
}

#[derive(Clone, Debug)]
enum Test {
    Present,
    Addr(Addrs),
    Numbers(Vec<NumRange>),
    Flags(i64),
    Text(TextTest),
}

/// A list of text patterns, the whole ones apart for a binary search.
#[derive(Clone, Debug)]
struct TextTest {
    whole: Vec<String>,
    others: Vec<TextPattern>,
}

impl Matcher {
    /// Prepares a filter.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        Self { root: Node::new(filter.expr()) }
    }

    /// Which rows of a batch pass.
    #[must_use]
    pub fn matches(&self, batch: &RecordBatch) -> BooleanArray {
        BooleanArray::new(self.root.evaluate(batch), None)
    }
}

impl Node {
    fn new(expr: &Expr) -> Self {
        match expr {
            Expr::All => Self::All,
            Expr::And(parts) => Self::And(parts.iter().map(Self::new).collect()),
            Expr::Or(parts) => Self::Or(parts.iter().map(Self::new).collect()),
            Expr::Not(inner) => Self::Not(Box::new(Self::new(inner))),
            Expr::Term(term) => Self::Term(term.field.columns, Test::new(&term.values)),
        }
    }

    fn evaluate(&self, batch: &RecordBatch) -> BooleanBuffer {
        let rows = batch.num_rows();
        match self {
            Self::All => BooleanBuffer::new_set(rows),
            Self::And(parts) => {
                let mut passed = BooleanBuffer::new_set(rows);
                for part in parts {
                    passed = &passed & &part.evaluate(batch);
                    if passed.count_set_bits() == 0 {
                        break;
                    }
                }
                passed
            }
            Self::Or(parts) => {
                let mut passed = BooleanBuffer::new_unset(rows);
                for part in parts {
                    passed = &passed | &part.evaluate(batch);
                    if passed.count_set_bits() == rows {
                        break;
                    }
                }
                passed
            }
            Self::Not(inner) => !&inner.evaluate(batch),
            Self::Term(columns, test) => {
                let mut passed = BooleanBuffer::new_unset(rows);
                for column in columns.iter().filter_map(|name| batch.column_by_name(name)) {
                    passed = &passed | &test.evaluate(column);
                }
                passed
            }
        }
    }
}

impl Test {
    fn new(values: &Values) -> Self {
        match values {
            Values::Present => Self::Present,
            Values::Addr(addrs) => Self::Addr(addrs.clone()),
            Values::Numbers(ranges) => Self::Numbers(ranges.clone()),
            Values::Flags(mask) => Self::Flags(*mask),
            Values::Text(patterns) => Self::Text(TextTest::new(patterns)),
            Values::Groups(groups) => Self::Text(TextTest::new(groups.hosts())),
        }
    }

    fn evaluate(&self, column: &ArrayRef) -> BooleanBuffer {
        // Many a column of a batch holds nothing: most packets have no mark, and few are of ICMP.
        if column.null_count() == column.len() {
            return BooleanBuffer::new_unset(column.len());
        }
        let tested = match self {
            Self::Present => BooleanBuffer::new_set(column.len()),
            Self::Addr(addrs) => test_addrs(column, addrs),
            Self::Numbers(ranges) => match ranges.as_slice() {
                [one] => test_range(column, *one),
                many => test_numbers(column, |n| {
                    let after = many.partition_point(|range| range.first <= n);
                    after.checked_sub(1).and_then(|i| many.get(i)).is_some_and(|range| range.contains(n))
                }),
            },
            Self::Flags(mask) => test_numbers(column, |n| n & mask != 0),
            Self::Text(test) => test_text(column, test),
        };
        match column.logical_nulls() {
            Some(nulls) => &tested & nulls.inner(),
            None => tested,
        }
    }
}

/// Tests each row; what it says of a null does not count.
fn test_addrs(column: &ArrayRef, addrs: &Addrs) -> BooleanBuffer {
    let test = |bytes: &[u8]| bytes.try_into().is_ok_and(|addr: &[u8; 16]| addrs.contains(addr));
    let any = column.as_any();
    if let Some(array) = any.downcast_ref::<FixedSizeBinaryArray>() {
        BooleanBuffer::collect_bool(array.len(), |i| test(array.value(i)))
    } else if let Some(array) = any.downcast_ref::<BinaryArray>() {
        BooleanBuffer::collect_bool(array.len(), |i| test(array.value(i)))
    } else if let Some(array) = any.downcast_ref::<BinaryViewArray>() {
        BooleanBuffer::collect_bool(array.len(), |i| test(array.value(i)))
    } else {
        match cast(column, &DataType::BinaryView) {
            Ok(other) if other.data_type() == &DataType::BinaryView => {
                let nulls = other.logical_nulls();
                let tested = test_addrs(&other, addrs);
                nulls.map_or_else(|| tested.clone(), |nulls| &tested & nulls.inner())
            }
            _ => BooleanBuffer::new_unset(column.len()),
        }
    }
}

fn test_numbers(column: &ArrayRef, test: impl Fn(i64) -> bool) -> BooleanBuffer {
    let any = column.as_any();
    if let Some(array) = any.downcast_ref::<Int32Array>() {
        bits(array.values(), |n| test(i64::from(n)))
    } else if let Some(array) = any.downcast_ref::<Int16Array>() {
        bits(array.values(), |n| test(i64::from(n)))
    } else if let Some(array) = any.downcast_ref::<Int64Array>() {
        bits(array.values(), test)
    } else {
        let other = cast(column, &DataType::Int64);
        match other.as_ref().ok().and_then(|other| other.as_any().downcast_ref::<Int64Array>()) {
            Some(array) => {
                BooleanBuffer::collect_bool(array.len(), |i| array.is_valid(i) && test(array.value(i)))
            }
            None => BooleanBuffer::new_unset(column.len()),
        }
    }
}

/// The same of one range, compared in the column's own width: that many more fit into a register.
fn test_range(column: &ArrayRef, range: NumRange) -> BooleanBuffer {
    let NumRange { first, last } = range;
    if let Some(array) = column.as_any().downcast_ref::<Int32Array>() {
        let ends = (i32::try_from(first.max(i32::MIN.into())), i32::try_from(last.min(i32::MAX.into())));
        return match ends {
            (Ok(first), Ok(last)) => bits(array.values(), |n| first <= n && n <= last),
            _ => BooleanBuffer::new_unset(array.len()),
        };
    }
    match first == last {
        true => test_numbers(column, |n| n == first),
        false => test_numbers(column, |n| first <= n && n <= last),
    }
}

/// Tests sixty-four values at a time into bytes, which the compiler does for many of them at once, and makes bits of these.
fn bits<T: Copy>(values: &[T], test: impl Fn(T) -> bool) -> BooleanBuffer {
    let mut words = Vec::with_capacity(values.len().div_ceil(64));
    for values in values.chunks(64) {
        let mut passed = [0_u8; 64];
        for (passed, value) in passed.iter_mut().zip(values) {
            *passed = u8::from(test(*value));
        }
        let (eights, _) = passed.as_chunks::<8>();
        let packed = eights.iter().map(|eight| {
            // Bit 8 i moves to bit 56 + i; no two meet, so that nothing is carried.
            (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
        });
        let mut word = [0; 8];
        word.iter_mut().zip(packed).for_each(|(byte, packed)| *byte = packed);
        words.push(u64::from_le_bytes(word).to_le());
    }
    BooleanBuffer::new(words.into(), 0, values.len())
}

fn test_text(column: &ArrayRef, test: &TextTest) -> BooleanBuffer {
    let mut folded = String::new();
    let any = column.as_any();
    if let Some(array) = any.downcast_ref::<StringViewArray>() {
        // Rows of one burst repeat their text: a view with the same bits is the same text.
        let views = array.views();
        let mut last: Option<(u128, bool)> = None;
        return BooleanBuffer::collect_bool(array.len(), |i| match last {
            _ if array.is_null(i) => false,
            Some((view, passed)) if view == views[i] => passed,
            _ => {
                let passed = test.is_match(array.value(i), &mut folded);
                last = Some((views[i], passed));
                passed
            }
        });
    }
    if let Some(array) = any.downcast_ref::<DictionaryArray<Int32Type>>()
        && let Some(values) = array.values().as_any().downcast_ref::<StringArray>()
    {
        return test_dictionary(array, values.len(), |i| {
            values.is_valid(i) && test.is_match(values.value(i), &mut folded)
        });
    }
    if let Some(array) = any.downcast_ref::<StringArray>() {
        return BooleanBuffer::collect_bool(array.len(), |i| {
            array.is_valid(i) && test.is_match(array.value(i), &mut folded)
        });
    }
    if let Some(array) = any.downcast_ref::<LargeStringArray>() {
        return BooleanBuffer::collect_bool(array.len(), |i| {
            array.is_valid(i) && test.is_match(array.value(i), &mut folded)
        });
    }
    match cast(column, &DataType::Utf8View) {
        Ok(other) if other.data_type() == &DataType::Utf8View => test_text(&other, test),
        _ => BooleanBuffer::new_unset(column.len()),
    }
}

/// Tests each value of a dictionary when the first row with it comes.
fn test_dictionary(
    array: &DictionaryArray<Int32Type>,
    values: usize,
    mut test: impl FnMut(usize) -> bool,
) -> BooleanBuffer {
    let mut known: Vec<Option<bool>> = vec![None; values];
    let keys = array.keys();
    BooleanBuffer::collect_bool(array.len(), |i| {
        if keys.is_null(i) {
            return false;
        }
        let Ok(key) = usize::try_from(keys.value(i)) else { return false };
        match known.get_mut(key) {
            Some(slot) => *slot.get_or_insert_with(|| test(key)),
            None => false,
        }
    })
}

impl TextTest {
    fn new(patterns: &[TextPattern]) -> Self {
        let mut test = Self { whole: Vec::new(), others: Vec::new() };
        for pattern in patterns {
            match pattern {
                TextPattern::Whole(text) => test.whole.push(text.clone()),
                other => test.others.push(other.clone()),
            }
        }
        test.whole.sort_unstable();
        test
    }

    fn is_match(&self, value: &str, folded: &mut String) -> bool {
        fold_into(value, folded);
        self.whole.binary_search_by(|text| text.as_str().cmp(folded)).is_ok()
            || self.others.iter().any(|pattern| pattern.is_match_folded(value, folded))
    }
}
