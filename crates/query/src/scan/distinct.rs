//! How many different values columns have, by group.
//!
//! Every row is a pair of codes ([`Coder`]) per counted column, and the pairs are kept as sets ([`Pairs`]). In a file
//! sorted by source, rows of one source and port are neighbours, so that most repetitions never leave the processor.

use super::Question;
use super::codes::{Code, Coder, Remembered, Value};
use super::file::Opened;
use super::pairs::{Counter, Gatherer, PARTS, Pairs, Sums};
use crate::QueryError;
use crate::files::Texts;
use crate::source::{DataFile, View};
use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::DataType;
use bartizan_schema::{ColumnKind, table_columns};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use parquet::errors::ParquetError;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Rows of one batch.
const BATCH: usize = 8192;

/// One group of the answer.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) group: Value,
    /// Different values of each counted column.
    pub(crate) distinct: Vec<u64>,
    pub(crate) rows: u64,
}

/// The columns of a question.
pub(crate) struct Wanted {
    pub(crate) by: &'static str,
    /// What is counted, and how many values there must be at least for a group to be in the answer.
    pub(crate) of: Vec<(&'static str, u64)>,
    /// Groups of the answer.
    pub(crate) n: usize,
}

struct State {
    question: Arc<Question>,
    wanted: Wanted,
    by: Coder,
    of: Vec<(Coder, Pairs)>,
    sums: Sums,
    queue: Mutex<Vec<(Arc<Opened>, usize)>>,
    hot: Mutex<Vec<RecordBatch>>,
}

/// The groups with the most different values of the first counted column; equals by value.
pub(crate) async fn distinct(
    question: Arc<Question>,
    view: View,
    wanted: Wanted,
) -> Result<Vec<Counted>, QueryError> {
    let queue = open(&question, view.files).await?;
    let memory = || question.memory.new_empty();
    let state = Arc::new(State {
        by: Coder::new(memory()),
        of: wanted.of.iter().map(|_| (Coder::new(memory()), Pairs::new(memory()))).collect(),
        sums: Sums::new(memory()),
        queue: Mutex::new(queue),
        hot: Mutex::new(view.hot),
        question,
        wanted,
    });
    let mut running = JoinSet::new();
    for _ in 0..state.question.parallel {
        let state = Arc::clone(&state);
        running.spawn(async move { Ok::<_, ParquetError>(state.work().await) });
    }
    while let Some(done) = running.join_next().await {
        super::joined(done)??;
    }
    let mut running = JoinSet::new();
    let step = PARTS.div_ceil(state.question.parallel);
    for from in (0..PARTS).step_by(step) {
        let state = Arc::clone(&state);
        running.spawn(async move {
            let mut best = Vec::new();
            for part in from..(from + step).min(PARTS) {
                state.count(part, &mut best);
                // So that a question that nobody waits for ends here.
                tokio::task::yield_now().await;
            }
            Ok::<_, ParquetError>(best)
        });
    }
    let mut best = Vec::new();
    while let Some(done) = running.join_next().await {
        best.extend(super::joined(done)?);
    }
    keep_best(&mut best, state.wanted.n);
    let kind = table_columns(state.question.kind).iter().find(|c| c.name == state.wanted.by).map(|c| c.kind);
    let address = kind == Some(ColumnKind::Addr);
    let mut answer: Vec<_> = best
        .into_iter()
        .map(|(group, distinct, rows)| Counted { group: state.by.value(group, address), distinct, rows })
        .collect();
    answer.sort_by(|a, b| b.distinct.first().cmp(&a.distinct.first()).then_with(|| a.group.cmp(&b.group)));
    answer.truncate(state.wanted.n);
    Ok(answer)
}

/// The row groups to read, the largest rest last.
pub(super) async fn open(
    question: &Arc<Question>,
    files: Vec<DataFile>,
) -> Result<Vec<(Arc<Opened>, usize)>, QueryError> {
    let mut queue = Vec::new();
    for file in files {
        let opened = Opened::new(&question.readers, file).await;
        let opened = Arc::new(opened.map_err(|e| DataFusionError::ParquetError(Box::new(e)))?);
        queue.extend((0..opened.groups()).map(|group| (Arc::clone(&opened), group)));
    }
    Ok(queue)
}

type Best = Vec<(Code, Vec<u64>, u64)>;

/// Leaves those that may be in the answer: equals of the last are told apart by their values.
fn keep_best(best: &mut Best, n: usize) {
    if n == 0 {
        best.clear();
    }
    if best.len() > n {
        let (_, last, _) = best.select_nth_unstable_by(n - 1, |a, b| b.1.first().cmp(&a.1.first()));
        let least = last.1.first().copied();
        best.retain(|(_, distinct, _)| distinct.first().copied() >= least);
    }
}

impl State {
    async fn work(&self) -> Result<(), QueryError> {
        let mut adder = Adder {
            state: self,
            by: (Remembered::default(), Vec::new()),
            of: self
                .of
                .iter()
                .map(|(_, pairs)| (Remembered::default(), Vec::new(), pairs.gatherer()))
                .collect(),
            counter: self.sums.counter(),
        };
        loop {
            let next = self.hot.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(batch) = next else { break };
            self.question.readers.question.planned(batch.num_rows() as u64);
            adder.add(&batch)?;
            tokio::task::yield_now().await;
        }
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((opened, group)) = next else { break };
            self.read(&opened, group, &mut adder).await?;
        }
        adder.finish()
    }

    async fn read(&self, opened: &Opened, group: usize, adder: &mut Adder<'_>) -> Result<(), QueryError> {
        let question = &*self.question;
        let failed = |e: ParquetError| QueryError::from(DataFusionError::ParquetError(Box::new(e)));
        let rows = opened
            .may_match(question.kind, question.filter.expr(), question.window, group)
            .await
            .map_err(failed)?;
        if rows.is_empty() {
            return Ok(());
        }
        question.readers.question.reads(rows.rows() as u64);
        let mut batches =
            opened.read(group, &rows, &question.columns, Texts::Dictionaries, BATCH).map_err(failed)?;
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            adder.add(&batch)?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The groups of a part that are worth keeping.
    fn count(&self, part: usize, best: &mut Best) {
        let rows = self.sums.rows(part);
        let counts: Vec<_> = self.of.iter().map(|(_, pairs)| pairs.counts(part)).collect();
        let mut at = vec![0; counts.len()];
        for (group, rows) in rows {
            let mut distinct = Vec::with_capacity(counts.len());
            let mut enough = true;
            for ((counts, at), (_, least)) in counts.iter().zip(&mut at).zip(&self.wanted.of) {
                let n = match counts.get(*at) {
                    Some((of, n)) if *of == group => {
                        *at += 1;
                        *n
                    }
                    // Its values are all missing.
                    _ => 0,
                };
                enough &= n >= *least;
                distinct.push(n);
            }
            if enough {
                best.push((group, distinct, rows));
            }
        }
        keep_best(best, self.wanted.n);
    }
}

struct Adder<'a> {
    state: &'a State,
    by: (Remembered, Vec<Code>),
    of: Vec<(Remembered, Vec<Code>, Gatherer<'a>)>,
    counter: Counter<'a>,
}

impl Adder<'_> {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let matched = self.state.question.matches(batch);
        if matched.values().count_set_bits() == 0 {
            return Ok(());
        }
        let column = |name: &str| {
            let column = batch.column_by_name(name).cloned();
            column.unwrap_or_else(|| new_null_array(&DataType::Null, batch.num_rows()))
        };
        let (remembered, groups) = &mut self.by;
        self.state.by.codes(&column(self.state.wanted.by), remembered, groups)?;
        for ((remembered, codes, gatherer), ((coder, _), (name, _))) in
            self.of.iter_mut().zip(self.state.of.iter().zip(&self.state.wanted.of))
        {
            coder.codes(&column(name), remembered, codes)?;
            for row in matched.values().set_indices() {
                gatherer.add(groups[row], codes[row])?;
            }
        }
        let mut run = (Code::MAX, 0);
        for row in matched.values().set_indices() {
            if groups[row] == run.0 {
                run.1 += 1;
            } else {
                if run.1 > 0 {
                    self.counter.add(run.0, run.1)?;
                }
                run = (groups[row], 1);
            }
        }
        if run.1 > 0 { self.counter.add(run.0, run.1) } else { Ok(()) }
    }

    fn finish(self) -> Result<(), QueryError> {
        self.of.into_iter().try_for_each(|(_, _, gatherer)| gatherer.finish())?;
        self.counter.finish()
    }
}
