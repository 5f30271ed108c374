//! Which rows of a row group a filter may match, by what is known of them without reading them.
//!
//! Invariant: a row that matches is always among them. What nothing is known of may match; so may everything below a
//! negation, because what is known are bounds.

use super::ranges::Ranges;
use bartizan_filter::{AddrRange, Expr, NumRange, Values};
use bartizan_model::Kind;
use bartizan_schema::Column;

/// What is known of a column in some rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// Nothing.
    Unknown,
    /// It has no value in any of them.
    NoValue,
    /// Its values are not below the first and not above the second.
    Numbers(i64, i64),
    /// Likewise.
    Addrs([u8; 16], [u8; 16]),
}

/// Knows something of the rows of a row group.
pub(crate) trait Known {
    /// How many rows there are.
    fn rows(&self) -> usize;
    /// Those where the column may have one of the values.
    fn may_have(&self, column: &'static Column, values: &Values) -> Ranges;
}

/// The rows that a filter may match.
pub(crate) fn may_match(kind: Kind, filter: &Expr, known: &impl Known) -> Ranges {
    match filter {
        Expr::All | Expr::Not(_) => Ranges::all(known.rows()),
        Expr::And(parts) => {
            let mut rows = Ranges::all(known.rows());
            for part in parts {
                if rows.is_empty() {
                    break;
                }
                rows = rows.and(&may_match(kind, part, known));
            }
            rows
        }
        Expr::Or(parts) => {
            parts.iter().fold(Ranges::default(), |rows, part| rows.or(&may_match(kind, part, known)))
        }
        Expr::Term(term) => term
            .field
            .columns_in(kind)
            .fold(Ranges::default(), |rows, column| rows.or(&known.may_have(column, &term.values))),
    }
}

impl Bounds {
    /// Whether one of the values may be within.
    pub(crate) fn may_have(&self, values: &Values) -> bool {
        match (self, values) {
            (Self::NoValue, _) => false,
            (Self::Addrs(min, max), Values::Addr(addrs)) => {
                let ranges: &[AddrRange] = addrs.ranges();
                let from = ranges.partition_point(|r| r.last < *min);
                ranges.get(from).is_some_and(|r| r.first <= *max)
            }
            (Self::Numbers(min, max), Values::Numbers(ranges)) => {
                ranges.iter().any(|r: &NumRange| r.first <= *max && r.last >= *min)
            }
            _ => true,
        }
    }
}

/// Most values that a bloom filter is asked for.
const BLOOM_VALUES: usize = 16;

/// The values that a column must have one of, if they are few: what a bloom filter can be asked for.
pub(crate) enum Singles {
    Numbers(Vec<i64>),
    Addrs(Vec<[u8; 16]>),
}

impl Singles {
    pub(crate) fn of(values: &Values) -> Option<Self> {
        match values {
            Values::Addr(addrs) if addrs.ranges().len() <= BLOOM_VALUES => {
                let singles = addrs.ranges().iter().map(|r| (r.first == r.last).then_some(r.first));
                singles.collect::<Option<_>>().map(Self::Addrs)
            }
            Values::Numbers(ranges) if ranges.len() <= BLOOM_VALUES => {
                let singles = ranges.iter().map(|r| (r.first == r.last).then_some(r.first));
                singles.collect::<Option<_>>().map(Self::Numbers)
            }
            _ => None,
        }
    }
}

/// Calls `visit` with each column and its values that stand where a bloom filter can rule rows out.
pub(crate) fn each_term(kind: Kind, filter: &Expr, visit: &mut impl FnMut(&'static Column, &Values)) {
    match filter {
        Expr::All | Expr::Not(_) => {}
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| each_term(kind, part, visit)),
        Expr::Term(term) => term.field.columns_in(kind).for_each(|column| visit(column, &term.values)),
    }
}
