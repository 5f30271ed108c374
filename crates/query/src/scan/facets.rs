//! Several columns' values counted in one pass over rows.
//!
//! Each thread counts for itself, by codes ([`Coder`]) that all threads share, and the counts are put together at the
//! end. Memory is taken from the question's share as the counts grow; what does not fit ends the question.

use super::Question;
use super::codes::{Code, Coder, Remembered, Value};
use super::distinct::open;
use super::file::Opened;
use crate::QueryError;
use crate::files::Texts;
use crate::source::View;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array, RecordBatch, new_null_array};
use arrow_schema::DataType;
use bartizan_schema::{ColumnKind, measures, table_columns};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::TryStreamExt;
use hashbrown::HashMap;
use parquet::errors::ParquetError;
use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Rows of one batch.
const BATCH: usize = 8192;
/// No table has more measures.
const MEASURES: usize = 4;
/// What one counted value costs, about.
const BYTES: usize = (size_of::<(Code, Tally)>() + 1) * 2;

/// How many rows, and what they sum up to: the table's measures in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) sums: [i64; MEASURES],
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// One column's values.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Those with the largest sums, in the order of the answer.
    pub(crate) values: Vec<(Value, Tally)>,
    /// How many there are, no value among them.
    pub(crate) distinct: u64,
}

type Map = HashMap<Code, Tally, foldhash::fast::RandomState>;

struct State {
    question: Arc<Question>,
    columns: Vec<(&'static str, Coder)>,
    measures: &'static [&'static str],
    queue: Mutex<Vec<(Arc<Opened>, usize)>>,
    hot: Mutex<Vec<RecordBatch>>,
}

/// The `n` values with the largest sums of each column, and all rows together.
pub(crate) async fn facets(
    question: Arc<Question>,
    view: View,
    columns: &[&'static str],
    n: usize,
) -> Result<(Vec<Counts>, Tally), QueryError> {
    let queue = open(&question, view.files).await?;
    let kind = question.kind;
    let state = Arc::new(State {
        columns: columns.iter().map(|name| (*name, Coder::new(question.memory.new_empty()))).collect(),
        measures: measures(kind),
        queue: Mutex::new(queue),
        hot: Mutex::new(view.hot),
        question,
    });
    let mut running = JoinSet::new();
    for _ in 0..state.question.parallel {
        let state = Arc::clone(&state);
        running.spawn(async move { Ok::<_, ParquetError>(state.work().await) });
    }
    let mut all = Tally::default();
    let mut merged: Vec<Map> = columns.iter().map(|_| Map::default()).collect();
    let mut held = Vec::new();
    while let Some(done) = running.join_next().await {
        let counter = super::joined(done)??;
        all.add(&counter.all);
        for (into, from) in merged.iter_mut().zip(counter.maps) {
            if into.is_empty() {
                *into = from;
            } else {
                from.iter().for_each(|(code, tally)| into.entry(*code).or_default().add(tally));
            }
        }
        held.push(counter.memory);
    }
    let counts = merged.into_iter().zip(&state.columns).map(|(map, (name, coder))| {
        let column = table_columns(kind).iter().find(|c| c.name == *name);
        let address = column.is_some_and(|c| c.kind == ColumnKind::Addr);
        best(&map, coder, address, n, state.measures.is_empty())
    });
    Ok((counts.collect(), all))
}

/// The largest, equals in the order of their values.
fn best(map: &Map, coder: &Coder, address: bool, n: usize, by_rows: bool) -> Counts {
    let size = |tally: &Tally| if by_rows { tally.rows as i64 } else { tally.sums[0] };
    let mut values: Vec<(&Code, &Tally)> = map.iter().collect();
    if n > 0 && values.len() > n {
        let (_, last, _) = values.select_nth_unstable_by_key(n - 1, |(_, tally)| Reverse(size(tally)));
        let least = size(last.1);
        values.retain(|(_, tally)| size(tally) >= least);
    }
    let mut values: Vec<_> =
        values.into_iter().map(|(code, tally)| (coder.value(*code, address), *tally)).collect();
    values.sort_by(|a, b| size(&b.1).cmp(&size(&a.1)).then_with(|| a.0.cmp(&b.0)));
    values.truncate(n);
    Counts { values, distinct: map.len() as u64 }
}

/// What one thread has counted.
struct Counter {
    all: Tally,
    maps: Vec<Map>,
    remembered: Vec<Remembered>,
    codes: Vec<Code>,
    memory: MemoryReservation,
    taken: usize,
}

impl State {
    async fn work(&self) -> Result<Counter, QueryError> {
        let mut counter = Counter {
            all: Tally::default(),
            maps: self.columns.iter().map(|_| Map::default()).collect(),
            remembered: self.columns.iter().map(|_| Remembered::default()).collect(),
            codes: Vec::with_capacity(BATCH),
            memory: self.question.memory.new_empty(),
            taken: 0,
        };
        loop {
            let next = self.hot.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(batch) = next else { break };
            self.question.readers.question.reads(batch.num_rows() as u64);
            self.count(&batch, &mut counter)?;
            tokio::task::yield_now().await;
        }
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((opened, group)) = next else { return Ok(counter) };
            self.read(&opened, group, &mut counter).await?;
        }
    }

    async fn read(&self, opened: &Opened, group: usize, counter: &mut Counter) -> Result<(), QueryError> {
        let question = &*self.question;
        let failed = |e: ParquetError| QueryError::from(DataFusionError::ParquetError(Box::new(e)));
        let rows = opened.may_match(question.kind, question.filter.expr(), question.window, group).await;
        let rows = rows.map_err(failed)?;
        if rows.is_empty() {
            return Ok(());
        }
        question.readers.question.reads(rows.rows() as u64);
        let batches = opened.read(group, &rows, &question.columns, Texts::Dictionaries, BATCH);
        let mut batches = batches.map_err(failed)?;
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            self.count(&batch, counter)?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn count(&self, batch: &RecordBatch, counter: &mut Counter) -> Result<(), QueryError> {
        let matched = self.question.matches(batch);
        let matched = matched.values();
        let rows = matched.count_set_bits();
        if rows == 0 {
            return Ok(());
        }
        let sums: Vec<&Int64Array> = self
            .measures
            .iter()
            .filter_map(|name| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>())
            .collect();
        let tally = |row: usize| {
            let mut tally = Tally { rows: 1, ..Tally::default() };
            for (sum, column) in tally.sums.iter_mut().zip(&sums) {
                *sum = if column.is_valid(row) { column.value(row) } else { 0 };
            }
            tally
        };
        matched.set_indices().for_each(|row| counter.all.add(&tally(row)));
        for (at, (name, coder)) in self.columns.iter().enumerate() {
            let column = batch.column_by_name(name).cloned();
            let column = column.unwrap_or_else(|| new_null_array(&DataType::Null, batch.num_rows()));
            coder.codes(&column, &mut counter.remembered[at], &mut counter.codes)?;
            let map = &mut counter.maps[at];
            // Neighbours are often equal, and a map is asked once for each run of them.
            let mut run: Option<(Code, Tally)> = None;
            for row in matched.set_indices() {
                let code = counter.codes[row];
                match &mut run {
                    Some((last, sum)) if *last == code => sum.add(&tally(row)),
                    _ => {
                        if let Some((last, sum)) = run.replace((code, tally(row))) {
                            map.entry(last).or_default().add(&sum);
                        }
                    }
                }
            }
            if let Some((last, sum)) = run {
                map.entry(last).or_default().add(&sum);
            }
        }
        let bytes = counter.maps.iter().map(|map| map.capacity() * BYTES).sum::<usize>();
        if bytes > counter.taken {
            counter.memory.try_grow(bytes - counter.taken)?;
            counter.taken = bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::Kind;

    #[test]
    fn a_tally_has_room_for_what_every_table_counts() {
        for kind in Kind::ALL {
            assert!(measures(kind).len() <= MEASURES, "{kind}");
        }
    }
}
