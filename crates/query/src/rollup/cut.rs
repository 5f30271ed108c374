//! Which part of the events is counted from what.

use super::{Choice, Counted};
use crate::source::{DataFile, Rolled, View, Window};
use arrow_array::RecordBatch;
use bartizan_lake::Tiers;
use bartizan_model::Micros;
use bartizan_schema::Rollup;

/// The events of a window, each in one of these.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    /// Read as rows, with the window.
    pub(crate) rows: Vec<DataFile>,
    /// The same.
    pub(crate) hot: Vec<RecordBatch>,
    /// Counts of files that are wholly inside.
    pub(crate) whole: Vec<(Rollup, DataFile, Option<Tiers>)>,
    /// Counts of files that are partly inside: of these the buckets inside `inner`.
    pub(crate) buckets: Vec<(Rollup, DataFile)>,
    /// The same files' rows, of these what is inside the window and outside `inner`.
    pub(crate) edges: Vec<DataFile>,
    /// The window without the buckets that it cuts.
    pub(crate) inner: Window,
    /// Counts of rows that are gone: the buckets that begin inside the window.
    pub(crate) history: Vec<(Rollup, DataFile)>,
    /// Files of gone rows that are wholly inside are in `whole`; how many.
    gone: usize,
    /// Whether the answer is that of the rows: no bucket of what is gone is cut.
    exact: bool,
    /// Files of events that the window touches.
    pub(crate) files: usize,
}

impl Pieces {
    /// The pieces of a window. `usable` says whether a file of counts can be read.
    pub(crate) fn of(
        rolled: Rolled,
        choice: Choice,
        window: Window,
        usable: impl Fn(&DataFile) -> bool,
    ) -> Self {
        let width = choice.cut.and_then(Rollup::bucket);
        let inner = width.and_then(|width| whole_buckets(window, width));
        let mut pieces = Self { hot: rolled.hot, exact: true, ..Self::default() };
        pieces.hot.retain(|batch| batch.num_rows() > 0);
        pieces.inner = inner.unwrap_or_default();
        for part in rolled.parts.into_iter().filter(|part| window.touches(part.rows.time)) {
            pieces.files += 1;
            let counts = |rollup: Rollup| {
                let file = part.counts[rollup.index()].clone().filter(|file| usable(file))?;
                Some((rollup, file))
            };
            if window.covers(part.rows.time) {
                match choice.all().find_map(counts) {
                    Some((rollup, file)) => pieces.whole.push((rollup, file, part.tiers)),
                    None => pieces.rows.push(part.rows),
                }
                continue;
            }
            let cut = inner.filter(|inner| inner.touches(part.rows.time)).and(choice.cut.and_then(counts));
            match cut {
                Some(counts) => {
                    pieces.buckets.push(counts);
                    if edges(window, pieces.inner).any(|edge| edge.touches(part.rows.time)) {
                        pieces.edges.push(part.rows);
                    }
                }
                None => pieces.rows.push(part.rows),
            }
        }
        for gone in rolled.history.into_iter().filter(|gone| window.touches(gone.time)) {
            let counts = |rollup: Rollup| {
                let file = gone.counts[rollup.index()].clone().filter(|file| usable(file))?;
                Some((rollup, file))
            };
            if window.covers(gone.time) {
                if let Some((rollup, file)) = choice.all().find_map(counts) {
                    pieces.gone += 1;
                    pieces.whole.push((rollup, file, gone.tiers));
                }
            } else if let Some(counts) = choice.cut.and_then(counts) {
                pieces.exact &= inner == Some(window);
                pieces.history.push(counts);
            } else if let Some((rollup, file)) = counts(choice.whole) {
                // Its bucket is all of the file.
                pieces.exact = false;
                pieces.history.push((rollup, file));
            }
        }
        pieces
    }

    /// All of a view, as rows.
    pub(crate) fn of_rows(view: View) -> Self {
        Self { files: view.files.len(), rows: view.files, hot: view.hot, exact: true, ..Self::default() }
    }

    /// Whether one rollup alone is counted from.
    pub(crate) fn are_of(&self, rollup: Rollup) -> bool {
        let cut = self.buckets.iter().chain(&self.history).map(|(of, _)| of);
        self.whole.iter().map(|(of, ..)| of).chain(cut).all(|of| *of == rollup)
    }

    /// What is read as rows, if there is anything.
    pub(super) fn rows_alone(&self) -> Option<Self> {
        let (rows, hot) = (self.rows.clone(), self.hot.clone());
        (!(rows.is_empty() && hot.is_empty())).then(|| Self { rows, hot, ..Self::default() })
    }

    /// Whether anything is counted from rollups.
    pub(crate) fn uses_rollups(&self) -> bool {
        !(self.whole.is_empty() && self.buckets.is_empty() && self.history.is_empty())
    }

    /// What the answer is made of.
    pub(crate) fn counted(&self) -> Counted {
        let rows_of = |files: &mut dyn Iterator<Item = &DataFile>| files.filter_map(|file| file.rows).sum();
        let mut rollups: Vec<&'static str> = Vec::new();
        let whole = self.whole.iter().map(|(rollup, ..)| rollup);
        let others = self.buckets.iter().chain(&self.history).map(|(rollup, _)| rollup);
        for rollup in whole.chain(others) {
            if !rollups.contains(&rollup.as_str()) {
                rollups.push(rollup.as_str());
            }
        }
        let counts = self.whole.iter().map(|(_, file, _)| file);
        let cut = self.buckets.iter().chain(&self.history).map(|(_, file)| file);
        Counted {
            rollups,
            whole: self.whole.len() - self.gone,
            cut: self.buckets.len(),
            history: self.gone + self.history.len(),
            counts: rows_of(&mut counts.chain(cut)),
            rows: self.rows.len(),
            row_rows: rows_of(&mut self.rows.iter()),
            edges: self.edges.len(),
            hot: self.hot.iter().map(|batch| batch.num_rows() as u64).sum(),
            exact: self.exact,
        }
    }
}

/// What a window has before and after its whole buckets.
fn edges(window: Window, inner: Window) -> impl Iterator<Item = Window> {
    let before = Window { since: window.since, until: inner.since };
    let after = Window { since: inner.until, until: window.until };
    [before, after].into_iter().filter(|edge| edge.since != edge.until)
}

/// The whole buckets inside a window, if there are any.
fn whole_buckets(window: Window, width: i64) -> Option<Window> {
    let since = match window.since {
        None => None,
        Some(since) => match since.0.rem_euclid(width) {
            0 => Some(since),
            over => Some(Micros(since.0.checked_add(width - over)?)),
        },
    };
    let until = match window.until {
        None => None,
        Some(until) => Some(Micros(until.0.checked_sub(until.0.rem_euclid(width))?)),
    };
    let some = since.zip(until).is_none_or(|(since, until)| since < until);
    some.then_some(Window { since, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_whole_buckets_has_no_edges() {
        let window = |since: Option<i64>, until: Option<i64>| Window {
            since: since.map(Micros),
            until: until.map(Micros),
        };
        let of = |outer: Window, inner: Window| edges(outer, inner).collect::<Vec<_>>();
        let all = window(None, None);
        let hour = window(Some(60), Some(120));
        assert_eq!((of(all, all), of(hour, hour)), (vec![], vec![]));
        assert_eq!(of(window(Some(50), Some(120)), hour), [window(Some(50), Some(60))]);
        assert_eq!(of(window(Some(60), Some(121)), hour), [window(Some(120), Some(121))]);
        let both = [window(Some(59), Some(60)), window(Some(120), Some(130))];
        assert_eq!(of(window(Some(59), Some(130)), hour), both);
    }

    #[test]
    fn the_whole_buckets_of_a_window() {
        let window = |since: Option<i64>, until: Option<i64>| Window {
            since: since.map(Micros),
            until: until.map(Micros),
        };
        let cases = [
            ((None, None), Some((None, None))),
            ((Some(60), Some(120)), Some((Some(60), Some(120)))),
            ((Some(61), Some(239)), Some((Some(120), Some(180)))),
            ((Some(61), Some(179)), None),
            ((Some(-61), None), Some((Some(-60), None))),
            ((Some(i64::MAX - 1), None), None),
            ((None, Some(i64::MIN + 1)), None),
        ];
        for ((since, until), inner) in cases {
            let inner = inner.map(|(since, until)| window(since, until));
            assert_eq!(whole_buckets(window(since, until), 60), inner, "{since:?} {until:?}");
        }
    }
}
