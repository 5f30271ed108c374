//! The best rows in order of time, of files in any order, reading as little as can be.
//!
//! Two passes. The first reads `time` and the filter's columns of the rows that bounds and bloom filters leave, the
//! most promising first, and keeps the places of rows that are among the best so far; the time of the worst of them is
//! the threshold below which nothing more is read. The second reads all columns of the rows that were found, and of
//! those alone.
//!
//! - Files with their best times first, row groups likewise; a file in order of time is read from its better end, in
//!   pieces that grow.
//! - Rows of the threshold's own time are all kept until the second pass, which knows the order of rows of one moment.
//!   Where these are very many, the caller sorts everything instead.

use super::Question;
use super::file::Opened;
use super::ranges::Ranges;
use crate::files::Texts;
use crate::source::{DataFile, View};
use crate::{Order, QueryError};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array, new_null_array};
use arrow_schema::SchemaRef;
use bartizan_model::Micros;
use bartizan_schema::table_schema;
use datafusion::arrow::compute::{
    SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch,
};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use parquet::errors::ParquetError;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Rows of the first piece of a file in order of time; each next one has twice as many.
const FIRST: usize = 8192;
/// Rows of the largest piece.
const LARGEST: usize = 262_144;
/// Rows of one batch while looking.
const BATCH: usize = 8192;
/// Rows of one moment that are still sorted here, beside the limit.
const TIES: usize = 65_536;

/// The columns that decide the order of rows.
const KEYS: [&str; 4] = ["time", "stream", "seq", "row"];

/// Larger is better.
fn rank(order: Order, time: i64) -> i64 {
    match order {
        Order::NewestFirst => time,
        Order::OldestFirst => !time,
    }
}

/// The best of two bounds.
fn best(order: Order, (min, max): (Micros, Micros)) -> i64 {
    match order {
        Order::NewestFirst => max.0,
        Order::OldestFirst => !min.0,
    }
}

/// The best ranks so far, of all that look.
struct Best {
    limit: usize,
    order: Order,
    ranks: Mutex<BinaryHeap<Reverse<i64>>>,
    /// Rows of a lesser rank are of no use.
    threshold: AtomicI64,
    /// Places that are kept.
    kept: AtomicUsize,
}

impl Best {
    fn threshold(&self) -> i64 {
        self.threshold.load(Ordering::Relaxed)
    }

    /// Takes ranks into account.
    fn offer(&self, ranks: impl Iterator<Item = i64>) {
        let mut heap = self.ranks.lock().unwrap_or_else(PoisonError::into_inner);
        for rank in ranks {
            if heap.len() < self.limit {
                heap.push(Reverse(rank));
            } else if let Some(mut worst) = heap.peek_mut()
                && worst.0 < rank
            {
                worst.0 = rank;
            }
        }
        if heap.len() == self.limit
            && let Some(worst) = heap.peek()
        {
            self.threshold.store(worst.0, Ordering::Relaxed);
        }
    }
}

/// Rows of one row group or hot batch that may be among the best: their ranks and positions.
#[derive(Default)]
struct Places(Vec<(i64, usize)>);

impl Places {
    /// Adds the rows of a batch that match; `position` of each row of it.
    fn add(
        &mut self,
        batch: &RecordBatch,
        matched: &BooleanArray,
        best: &Best,
        position: impl Fn(usize) -> usize,
    ) {
        let Some(times) =
            batch.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        else {
            return;
        };
        let threshold = best.threshold();
        let from = self.0.len();
        for row in matched.values().set_indices() {
            let rank = rank(best.order, times.value(row));
            if rank >= threshold {
                self.0.push((rank, position(row)));
            }
        }
        best.offer(self.0[from..].iter().map(|(rank, _)| *rank));
        best.kept.fetch_add(self.0.len() - from, Ordering::Relaxed);
        if self.0.len() > 4 * best.limit + TIES {
            let threshold = best.threshold();
            let before = self.0.len();
            self.0.retain(|(rank, _)| *rank >= threshold);
            best.kept.fetch_sub(before - self.0.len(), Ordering::Relaxed);
        }
    }
}

/// The rows, in order; nothing, if too many of them are of one moment.
pub(crate) async fn newest(
    question: Arc<Question>,
    view: View,
    order: Order,
    limit: usize,
    columns: Option<Vec<String>>,
) -> Result<Option<Vec<RecordBatch>>, QueryError> {
    let schema = table_schema(question.kind);
    let columns: Vec<String> =
        columns.unwrap_or_else(|| schema.fields().iter().map(|field| field.name().clone()).collect());
    if limit == 0 {
        return Ok(Some(Vec::new()));
    }
    let best = Arc::new(Best {
        limit,
        order,
        ranks: Mutex::default(),
        threshold: AtomicI64::new(i64::MIN),
        kept: AtomicUsize::new(0),
    });
    let mut hot = Vec::new();
    for batch in view.hot {
        let mut places = Places::default();
        places.add(&batch, &question.matches(&batch), &best, |row| row);
        hot.push((batch, places));
    }
    let Some(found) = look(&question, view.files, &best).await? else { return Ok(None) };

    let threshold = best.threshold();
    let keep = |places: &Places| -> Vec<usize> {
        places.0.iter().filter(|(rank, _)| *rank >= threshold).map(|(_, row)| *row).collect()
    };
    let mut parts = Vec::new();
    for (batch, places) in &hot {
        let rows =
            UInt32Array::from_iter_values(keep(places).into_iter().filter_map(|row| row.try_into().ok()));
        if !rows.is_empty() {
            parts.push(take_record_batch(batch, &rows).map_err(DataFusionError::from)?);
        }
    }
    let found: Vec<_> = found
        .into_iter()
        .map(|(file, group, places)| (file, group, keep(&places)))
        .filter(|f| !f.2.is_empty())
        .collect();
    if found.iter().map(|f| f.2.len()).sum::<usize>() > limit + TIES {
        return Ok(None);
    }
    parts.extend(fetch(&question, found, &schema, &columns).await?);
    sorted(parts, order, limit, &columns).map(Some)
}

type Found = Vec<(Arc<Opened>, usize, Places)>;

/// The first pass over files, a few at a time.
async fn look(
    question: &Arc<Question>,
    mut files: Vec<DataFile>,
    best: &Arc<Best>,
) -> Result<Option<Found>, QueryError> {
    let order = best.order;
    files.sort_by_cached_key(|file| Reverse(file.time.map_or(i64::MAX, |time| self::best(order, time))));
    let mut files = files.into_iter();
    let mut found = Vec::new();
    let mut running = JoinSet::new();
    loop {
        while running.len() < question.parallel
            && let Some(file) = files.next()
        {
            if file.time.is_some_and(|time| self::best(order, time) < best.threshold()) {
                // And so are all after it.
                files = Vec::new().into_iter();
                break;
            }
            running.spawn(look_into(Arc::clone(question), file, Arc::clone(best)));
        }
        let Some(done) = running.join_next().await else { return Ok(Some(found)) };
        found.extend(super::joined(done)?);
        if best.kept.load(Ordering::Relaxed) > 8 * (best.limit + TIES) {
            return Ok(None);
        }
    }
}

async fn look_into(question: Arc<Question>, file: DataFile, best: Arc<Best>) -> Result<Found, ParquetError> {
    let order = best.order;
    let opened = Arc::new(Opened::new(&question.readers, file).await?);
    let mut groups: Vec<_> = (0..opened.groups())
        .map(|group| (opened.times(group).map_or(i64::MAX, |times| self::best(order, times)), group))
        .collect();
    groups.sort_by_key(|(rank, _)| Reverse(*rank));
    let mut found = Vec::new();
    for (rank, group) in groups {
        if rank < best.threshold() {
            break;
        }
        let rows = opened.may_match(question.kind, question.filter.expr(), question.window, group).await?;
        let mut places = Places::default();
        read_group(&question, &opened, group, rows, &best, &mut places).await?;
        if !places.0.is_empty() {
            found.push((Arc::clone(&opened), group, places));
        }
    }
    Ok(found)
}

async fn read_group(
    question: &Question,
    opened: &Opened,
    group: usize,
    mut rows: Ranges,
    best: &Best,
    places: &mut Places,
) -> Result<(), ParquetError> {
    let mut piece = if opened.file.by_source { LARGEST } else { FIRST };
    while !rows.is_empty() {
        let mut next = match (opened.file.by_source, best.order) {
            (false, Order::NewestFirst) => rows.split_last(piece),
            _ => rows.split_first(piece),
        };
        piece = (piece * 2).min(LARGEST);
        let threshold = best.threshold();
        if threshold > i64::MIN {
            next = next.and(&opened.inside(group, |times| self::best(best.order, times) >= threshold));
        }
        if next.is_empty() {
            continue;
        }
        question.readers.question.reads(next.rows() as u64);
        let mut positions = next.iter();
        let mut batches = opened.read(group, &next, &question.columns, Texts::Dictionaries, BATCH)?;
        let mut here = Vec::with_capacity(BATCH);
        while let Some(batch) = batches.try_next().await? {
            here.clear();
            here.extend(positions.by_ref().take(batch.num_rows()));
            places.add(&batch, &question.matches(&batch), best, |row| here[row]);
        }
    }
    Ok(())
}

/// The second pass.
async fn fetch(
    question: &Arc<Question>,
    found: Vec<(Arc<Opened>, usize, Vec<usize>)>,
    schema: &SchemaRef,
    columns: &[String],
) -> Result<Vec<RecordBatch>, QueryError> {
    let wanted: Vec<String> = columns.iter().cloned().chain(KEYS.map(str::to_owned)).collect();
    let schema = Arc::new(
        schema
            .project(
                &schema
                    .fields()
                    .iter()
                    .enumerate()
                    .filter(|(_, field)| wanted.contains(field.name()))
                    .map(|(index, _)| index)
                    .collect::<Vec<_>>(),
            )
            .map_err(DataFusionError::from)?,
    );
    let mut parts = Vec::new();
    let mut found = found.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < question.parallel
            && let Some((opened, group, mut rows)) = found.next()
        {
            let schema = Arc::clone(&schema);
            running.spawn(async move {
                rows.sort_unstable();
                let mut ranges = Ranges::default();
                rows.into_iter().for_each(|row| ranges.push(row..row + 1));
                let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                let names = opened.with_values(group, &names);
                let batches = opened.read(group, &ranges, &names, Texts::Views, BATCH)?;
                let batches: Vec<_> = batches.try_collect().await?;
                Ok::<_, ParquetError>(
                    batches.iter().map(|batch| of_schema(batch, &schema)).collect::<Vec<_>>(),
                )
            });
        }
        let Some(done) = running.join_next().await else { return Ok(parts) };
        for part in super::joined(done)? {
            parts.push(part?);
        }
    }
}

/// The batch with all columns of a schema; one that the file lacks has no values.
fn of_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => Arc::clone(column),
        None => new_null_array(field.data_type(), batch.num_rows()),
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect())?)
}

/// The first rows of all parts in the order of the answer.
fn sorted(
    parts: Vec<RecordBatch>,
    order: Order,
    limit: usize,
    columns: &[String],
) -> Result<Vec<RecordBatch>, QueryError> {
    // Hot batches have all columns, and what was fetched those that are wanted.
    let names: BTreeMap<&str, ()> =
        columns.iter().map(String::as_str).chain(KEYS).map(|name| (name, ())).collect();
    let Some(first) = parts.first() else { return Ok(Vec::new()) };
    let fields: Vec<_> =
        names.keys().filter_map(|name| first.schema().field_with_name(name).ok().cloned()).collect();
    let schema = Arc::new(arrow_schema::Schema::new(fields));
    let parts: Vec<_> = parts.iter().map(|part| of_schema(part, &schema)).collect::<Result<_, _>>()?;
    let all = concat_batches(&schema, &parts).map_err(DataFusionError::from)?;
    let forward = order == Order::OldestFirst;
    let key = |name: &str, ascending: bool| {
        let values: ArrayRef = Arc::clone(all.column_by_name(name)?);
        let options = SortOptions { descending: !ascending, nulls_first: false };
        Some(SortColumn { values, options: Some(options) })
    };
    let keys: Vec<_> =
        KEYS.iter().filter_map(|name| key(name, if *name == "stream" { true } else { forward })).collect();
    let rows = lexsort_to_indices(&keys, Some(limit)).map_err(DataFusionError::from)?;
    let all = take_record_batch(&all, &rows).map_err(DataFusionError::from)?;
    let places: Vec<_> = columns.iter().filter_map(|name| schema.index_of(name).ok()).collect();
    Ok(vec![all.project(&places).map_err(DataFusionError::from)?])
}
