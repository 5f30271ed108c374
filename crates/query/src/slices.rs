//! Time cut into slices, so that a long answer in order of time is sorted piece by piece: the first rows
//! come soon, and memory holds one piece and not the answer.
//!
//! The slices of one view never overlap and leave nothing out, whatever the estimates are worth: they only
//! decide where to cut.

use crate::Order;
use crate::source::{View, Window};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch};
use bartizan_model::Micros;

/// Rows that are somewhere between two times.
#[derive(Clone, Copy, Debug)]
struct Piece {
    min: i64,
    max: i64,
    rows: u64,
}

/// What is left of a window.
#[derive(Debug)]
pub(crate) struct Slices {
    pieces: Vec<Piece>,
    rest: Option<Window>,
    order: Order,
}

impl Slices {
    /// All of a window of a view.
    pub(crate) fn new(view: &View, window: Window, order: Order) -> Self {
        let files = view.files.iter().filter_map(|f| f.time.zip(f.rows));
        let hot = view.hot.iter().filter_map(|b| time_of(b).zip(Some(b.num_rows() as u64)));
        let pieces = files
            .chain(hot)
            .map(|((min, max), rows)| Piece { min: min.0, max: max.0.max(min.0), rows })
            .collect();
        Self { pieces, rest: Some(window), order }
    }

    /// The next slice in the order of the answer, with roughly `rows` rows; `None` when all are given.
    pub(crate) fn next(&mut self, rows: u64) -> Option<Window> {
        let all = self.rest.take()?;
        self.pieces.retain(|p| all.touches(Some((Micros(p.min), Micros(p.max)))));
        let (Some(low), Some(high)) =
            (self.pieces.iter().map(|p| p.min).min(), self.pieces.iter().map(|p| p.max).max())
        else {
            return Some(all);
        };
        // Both ends of what may hold rows; `high` is inside.
        let low = all.since.map_or(low, |since| low.max(since.0));
        let high = all.until.map_or(high, |until| high.min(until.0.saturating_sub(1)));
        let target = rows as f64;
        let newest = self.order == Order::NewestFirst;
        let cut = bisect(low, high, |cut| {
            let estimate = if newest { self.estimate(cut, high) } else { self.estimate(low, cut) };
            (estimate >= target) == newest
        });
        let (slice, rest) = match self.order {
            // The latest cut with enough rows from it on; rows at the cut are in the slice.
            Order::NewestFirst => {
                (Window { since: Some(Micros(cut)), ..all }, Window { until: Some(Micros(cut)), ..all })
            }
            // The latest cut with not yet enough rows up to it; rows at the cut are in the slice.
            Order::OldestFirst => {
                let after = Some(Micros(cut.saturating_add(1)));
                (Window { until: after, ..all }, Window { since: after, ..all })
            }
        };
        // The last slice takes the whole rest: pieces without known times may be there.
        let last = if newest { cut <= low } else { cut >= high };
        if last {
            return Some(match self.order {
                Order::NewestFirst => Window { since: all.since, ..slice },
                Order::OldestFirst => Window { until: all.until, ..slice },
            });
        }
        self.rest = Some(rest);
        Some(slice)
    }

    /// Roughly how many rows there are between two times, both included.
    fn estimate(&self, from: i64, to: i64) -> f64 {
        self.pieces
            .iter()
            .map(|p| {
                let (min, max) = (p.min.max(from), p.max.min(to));
                if min > max { 0.0 } else { p.rows as f64 * length(min, max) / length(p.min, p.max) }
            })
            .sum()
    }
}

fn length(min: i64, max: i64) -> f64 {
    (i128::from(max) - i128::from(min) + 1) as f64
}

/// The last number of `low..=high` for which `before` is true, given that it is for all numbers up to that
/// one and for none after; `low` if for none.
fn bisect(low: i64, high: i64, before: impl Fn(i64) -> bool) -> i64 {
    let (mut low, mut high) = (i128::from(low), i128::from(high));
    while low < high {
        let middle = low + (high - low + 1) / 2;
        if before(i64::try_from(middle).expect("between two i64")) { low = middle } else { high = middle - 1 }
    }
    i64::try_from(low).expect("between two i64")
}

/// The earliest and the latest time of a batch of a table.
pub(crate) fn time_of(batch: &RecordBatch) -> Option<(Micros, Micros)> {
    let times = batch.column_by_name("time")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    if times.null_count() > 0 {
        return None;
    }
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for time in times.values() {
        min = min.min(*time);
        max = max.max(*time);
    }
    (!times.is_empty()).then_some((Micros(min), Micros(max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(
        pieces: &[(i64, i64, u64)],
        window: Window,
        order: Order,
        rows: u64,
    ) -> Vec<(Option<i64>, Option<i64>)> {
        let pieces = pieces.iter().map(|&(min, max, rows)| Piece { min, max, rows }).collect();
        let mut slices = Slices { pieces, rest: Some(window), order };
        let mut out = Vec::new();
        while let Some(slice) = slices.next(rows) {
            out.push((slice.since.map(|t| t.0), slice.until.map(|t| t.0)));
            assert!(out.len() < 1000, "{out:?}");
        }
        out
    }

    #[test]
    fn slices_join_and_cover_the_window() {
        let shapes: [&[(i64, i64, u64)]; 7] = [
            &[],
            &[(5, 5, 1000)],
            &[(0, 99, 100), (100, 199, 100), (200, 299, 100)],
            &[(0, 1000, 100), (900, 1000, 300)],
            &[(i64::MIN, i64::MAX, 1000)],
            &[(0, 0, 50), (0, 0, 50), (1, 1, 50)],
            &[(i64::MAX - 1, i64::MAX, 100), (i64::MIN, i64::MIN, 100)],
        ];
        let windows = [
            (None, None),
            (Some(50), Some(250)),
            (Some(5), Some(6)),
            (Some(7), Some(7)),
            (None, Some(i64::MIN)),
        ];
        for pieces in shapes {
            for (since, until) in windows {
                let window = Window { since: since.map(Micros), until: until.map(Micros) };
                for rows in [1, 70, 1_000_000] {
                    if rows == 1 && pieces.iter().any(|p| p.1.saturating_sub(p.0) > 1000) {
                        continue;
                    }
                    let mut newest = slices(pieces, window, Order::NewestFirst, rows);
                    newest.reverse();
                    for cut in [newest, slices(pieces, window, Order::OldestFirst, rows)] {
                        let case = format!("{pieces:?} {window:?} {rows}: {cut:?}");
                        assert_eq!((cut[0].0, cut[cut.len() - 1].1), (since, until), "{case}");
                        assert!(cut.windows(2).all(|w| w[0].1.is_some() && w[0].1 == w[1].0), "{case}");
                    }
                }
            }
        }
    }

    #[test]
    fn slices_have_about_the_rows_that_were_asked_for() {
        let pieces: Vec<_> = (0..10).map(|n| (n * 100, n * 100 + 99, 100)).collect();
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let n = slices(&pieces, Window::ALL, order, 250).len();
            assert!((4..=5).contains(&n), "{n} slices for 4");
        }
    }
}
