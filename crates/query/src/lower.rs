//! Filters as DataFusion expressions on a table's columns.
//!
//! - Two values, not three: a term on a null column is false, and its negation true. `NOT x` is written
//!   `x IS NOT TRUE`; below AND and OR a null ends as false by itself.
//! - A column that the table lacks holds no value, as in the live matcher.
//! - Comparisons are of the column's own type, so that they prune: ranges as `>=` and `<=`, single values as
//!   one IN list. Values that the column's type cannot hold match nothing. A long list is tested by binary
//!   search, behind one range around all of it for pruning.
//! - Text is tested by the filter crate's own patterns.
//! - OR and AND chains are balanced, and a filter of more than [`MAX_TESTS`] tests is one function around the
//!   live matcher: planning walks trees by recursion, and what a user types must not choose our stack's depth.

use crate::engine::column;
use crate::id::RowId;
use crate::source::Window;
use crate::udf;
use crate::{QueryError, Scoped};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field as ArrowField, Schema};
use bartizan_filter::{AddrRange, Addrs, Expr as Tree, Filter, Matcher, NumRange, Term, TextPattern, Values};
use bartizan_model::{Kind, Micros};
use bartizan_schema::{Column, ColumnKind, field, table_columns};
use datafusion::common::ScalarValue;
use datafusion::common::cast::{as_fixed_size_binary_array, as_string_view_array};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, in_list, lit};
use std::sync::Arc;

/// Above this many tests a filter is not planned as a tree.
const MAX_TESTS: usize = 64;
/// Above this many ranges a list is not planned as comparisons.
const MAX_RANGES: usize = 16;

/// A filter as an expression.
#[derive(Clone, Debug)]
pub(crate) enum Lowered {
    /// Every row.
    All,
    /// The rows for which this is true (neither false nor null).
    Where(Expr),
}

impl Lowered {
    /// The rows of this for which another expression is true as well.
    pub(crate) fn and(self, more: Expr) -> Self {
        match self {
            Self::All => Self::Where(more),
            Self::Where(expr) => Self::Where(expr.and(more)),
        }
    }
}

/// The rows of a table that a filter matches.
pub(crate) fn filter(kind: Kind, filter: &Scoped<'_>) -> Lowered {
    match filter.expr() {
        Tree::All => Lowered::All,
        tree => {
            let mut tests = 0;
            count_tests(kind, tree, &mut tests);
            Lowered::Where(if tests > MAX_TESTS { whole(kind, filter) } else { lower(kind, tree) })
        }
    }
}

/// The one row of a name.
pub(crate) fn row(id: &RowId, seq: i64) -> Expr {
    let stream = ScalarValue::Utf8View(Some(id.batch.stream.to_string()));
    let row = ScalarValue::Int32(id.row.try_into().ok());
    column("seq").eq(lit(seq)).and(column("row").eq(lit(row))).and(column("stream").eq(lit(stream)))
}

/// The window as an expression on `time`, if it has a bound.
pub(crate) fn window(window: Window) -> Option<Expr> {
    let since = window.since.map(|t| column("time").gt_eq(moment(t)));
    let until = window.until.map(|t| column("time").lt(moment(t)));
    match (since, until) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (a, b) => a.or(b),
    }
}

/// The one column of the table that a field, or else a column's own name, stands for.
pub(crate) fn single_column(kind: Kind, name: &str) -> Result<&'static str, QueryError> {
    if let Some(column) = known(kind, name) {
        return Ok(column.name);
    }
    let lower = name.to_lowercase();
    if let Some(field) = field(&lower) {
        let columns: Vec<_> = field.columns_in(kind).collect();
        match columns.as_slice() {
            [one] => return Ok(one.name),
            [] => {}
            many => {
                let columns: Vec<_> = many.iter().map(|c| format!("`{}`", c.name)).collect();
                return Err(QueryError::Ambiguous { field: field.name, columns: columns.join(", ") });
            }
        }
    }
    Err(QueryError::NoColumn { table: kind.as_str(), column: name.chars().take(80).collect() })
}

fn known(kind: Kind, name: &str) -> Option<&'static Column> {
    table_columns(kind).iter().find(|c| c.name == name)
}

fn moment(time: Micros) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(time.0), Some("UTC".into())))
}

fn count_tests(kind: Kind, tree: &Tree, tests: &mut usize) {
    match tree {
        Tree::All => {}
        Tree::And(parts) | Tree::Or(parts) => parts.iter().for_each(|part| count_tests(kind, part, tests)),
        Tree::Not(inner) => count_tests(kind, inner, tests),
        Tree::Term(term) => *tests += term.field.columns_in(kind).count(),
    }
}

fn lower(kind: Kind, tree: &Tree) -> Expr {
    match tree {
        Tree::All => lit(true),
        Tree::And(parts) => chain(parts.iter().map(|part| lower(kind, part)).collect(), Operator::And)
            .unwrap_or_else(|| lit(true)),
        Tree::Or(parts) => any(parts.iter().map(|part| lower(kind, part)).collect()),
        Tree::Not(inner) => lower(kind, inner).is_not_true(),
        Tree::Term(term) => any(term.field.columns_in(kind).map(|column| on_column(column, term)).collect()),
    }
}

fn any(parts: Vec<Expr>) -> Expr {
    chain(parts, Operator::Or).unwrap_or_else(|| lit(false))
}

/// The parts joined by an operator as a balanced tree; `None` if there is no part.
fn chain(mut parts: Vec<Expr>, op: Operator) -> Option<Expr> {
    while parts.len() > 1 {
        let mut joined = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(left) = rest.next() {
            joined.push(match rest.next() {
                Some(right) => Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))),
                None => left,
            });
        }
        parts = joined;
    }
    parts.pop()
}

/// The whole filter as one function around the live matcher.
fn whole(kind: Kind, filter: &Filter) -> Expr {
    let columns: Vec<_> = filter.columns().into_iter().filter_map(|name| known(kind, name)).collect();
    let schema = Arc::new(Schema::new(
        columns.iter().map(|c| ArrowField::new(c.name, c.kind.arrow(), true)).collect::<Vec<_>>(),
    ));
    let arguments: Vec<_> = columns.iter().map(|c| (column(c.name), c.kind.arrow())).collect();
    if arguments.is_empty() {
        // Every column it names is lacking: all its terms are false.
        return lower(kind, filter.expr());
    }
    let matcher = Matcher::new(filter);
    let test = move |arrays: &[ArrayRef]| {
        let rows = RecordBatch::try_new(Arc::clone(&schema), arrays.to_vec())?;
        Ok(matcher.matches(&rows))
    };
    udf::call(format!("rows {:?}", filter.expr()), arguments, Arc::new(test))
}

fn on_column(column: &'static Column, term: &Term) -> Expr {
    match (&term.values, column.kind) {
        (Values::Present, _) => self::column(column.name).is_not_null(),
        (Values::Addr(addrs), ColumnKind::Addr) => addresses(column.name, addrs),
        (Values::Numbers(ranges), ColumnKind::I16 | ColumnKind::I32 | ColumnKind::I64) => {
            numbers(column, ranges)
        }
        (Values::Flags(mask), ColumnKind::I16 | ColumnKind::I32 | ColumnKind::I64) => flags(column, *mask),
        (Values::Text(patterns), ColumnKind::Text) => text(column.name, patterns),
        (Values::Groups(groups), ColumnKind::Text) => text(column.name, groups.hosts()),
        // The registry pairs fields with columns of their kind; a test holds it.
        _ => lit(false),
    }
}

fn addresses(name: &'static str, addrs: &Addrs) -> Expr {
    let literal = |addr: [u8; 16]| lit(ScalarValue::FixedSizeBinary(16, Some(addr.to_vec())));
    let within = |r: &AddrRange| between(name, literal(r.first), literal(r.last));
    let ranges = addrs.ranges();
    if ranges.len() > MAX_RANGES {
        let around = AddrRange { first: ranges[0].first, last: ranges[ranges.len() - 1].last };
        let addrs = addrs.clone();
        let key = format!("addresses {ranges:?}");
        let test = move |arrays: &[ArrayRef]| {
            let values = as_fixed_size_binary_array(&arrays[0])?;
            Ok(per_row(values, |row| {
                <&[u8; 16]>::try_from(values.value(row)).is_ok_and(|addr| addrs.contains(addr))
            }))
        };
        return within(&around).and(udf::call(
            key,
            vec![(column(name), DataType::FixedSizeBinary(16))],
            Arc::new(test),
        ));
    }
    let (ones, wide): (Vec<&AddrRange>, Vec<_>) = ranges.iter().partition(|r| r.first == r.last);
    one_of(name, ones.iter().map(|r| literal(r.first)).collect(), wide.into_iter().map(within).collect())
}

fn numbers(col: &'static Column, ranges: &[NumRange]) -> Expr {
    let (min, max) = match col.kind {
        ColumnKind::I16 => (i16::MIN.into(), i16::MAX.into()),
        ColumnKind::I32 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    };
    let ranges: Vec<NumRange> = ranges
        .iter()
        .filter(|r| r.first <= max && r.last >= min)
        .map(|r| NumRange { first: r.first.max(min), last: r.last.min(max) })
        .collect();
    let within = |r: &NumRange| between(col.name, number(col.kind, r.first), number(col.kind, r.last));
    if ranges.len() > MAX_RANGES {
        let around = NumRange { first: ranges[0].first, last: ranges[ranges.len() - 1].last };
        let key = format!("numbers {ranges:?}");
        let test = move |arrays: &[ArrayRef]| number_test(&arrays[0], &ranges);
        return within(&around).and(udf::call(
            key,
            vec![(column(col.name), col.kind.arrow())],
            Arc::new(test),
        ));
    }
    let (ones, wide): (Vec<&NumRange>, Vec<_>) = ranges.iter().partition(|r| r.first == r.last);
    let ones = ones.iter().map(|r| number(col.kind, r.first)).collect();
    one_of(col.name, ones, wide.into_iter().map(within).collect())
}

/// A literal of the column's type. The value was cut to what the type holds; one that was not would become
/// null, which matches nothing.
fn number(kind: ColumnKind, n: i64) -> Expr {
    lit(match kind {
        ColumnKind::I16 => ScalarValue::Int16(n.try_into().ok()),
        ColumnKind::I32 => ScalarValue::Int32(n.try_into().ok()),
        _ => ScalarValue::Int64(Some(n)),
    })
}

fn number_test(array: &ArrayRef, ranges: &[NumRange]) -> DfResult<BooleanArray> {
    let holds = |n: i64| {
        let after = ranges.partition_point(|r| r.first <= n);
        after > 0 && n <= ranges[after - 1].last
    };
    Ok(match array.data_type() {
        DataType::Int16 => {
            let values = array.as_primitive::<Int16Type>();
            per_row(values, |row| holds(values.value(row).into()))
        }
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>();
            per_row(values, |row| holds(values.value(row).into()))
        }
        _ => {
            let values = array.as_primitive::<Int64Type>();
            per_row(values, |row| holds(values.value(row)))
        }
    })
}

fn flags(col: &'static Column, mask: i64) -> Expr {
    let (mask, zero) = (number(col.kind, mask), number(col.kind, 0));
    let bits =
        Expr::BinaryExpr(BinaryExpr::new(Box::new(column(col.name)), Operator::BitwiseAnd, Box::new(mask)));
    bits.not_eq(zero)
}

fn text(name: &'static str, patterns: &[TextPattern]) -> Expr {
    let key = format!("text {patterns:?}");
    let patterns = patterns.to_vec();
    text_test(key, name, move |value| patterns.iter().any(|pattern| pattern.is_match(value)))
}

fn text_test(key: String, name: &'static str, test: impl Fn(&str) -> bool + Send + Sync + 'static) -> Expr {
    let test = move |arrays: &[ArrayRef]| {
        let texts = as_string_view_array(&arrays[0])?;
        // Equal values of a dictionary page are read as equal views, and few values stand in many rows.
        let mut seen: [Option<(u128, bool)>; SEEN] = [None; SEEN];
        Ok(per_row(texts, |row| {
            let view = texts.views()[row];
            let slot = &mut seen[slot_of(view)];
            match *slot {
                Some((known, answer)) if known == view => answer,
                _ => {
                    let answer = test(texts.value(row));
                    *slot = Some((view, answer));
                    answer
                }
            }
        }))
    };
    udf::call(key, vec![(column(name), DataType::Utf8View)], Arc::new(test))
}

/// Views whose answers are remembered, in places by their hash.
const SEEN: usize = 64;

fn slot_of(view: u128) -> usize {
    let folded = (view as u64) ^ ((view >> 64) as u64);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize
}

/// A truth value per row; false where the array is null.
fn per_row(array: &dyn Array, mut test: impl FnMut(usize) -> bool) -> BooleanArray {
    BooleanArray::from_iter((0..array.len()).map(|row| Some(array.is_valid(row) && test(row))))
}

fn between(name: &str, first: Expr, last: Expr) -> Expr {
    column(name).gt_eq(first).and(column(name).lt_eq(last))
}

fn one_of(name: &str, ones: Vec<Expr>, mut parts: Vec<Expr>) -> Expr {
    match ones.len() {
        0 => {}
        1 => parts.extend(ones.into_iter().map(|one| column(name).eq(one))),
        _ => parts.push(in_list(column(name), ones, false)),
    }
    any(parts)
}
