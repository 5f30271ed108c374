//! The sources of most packets, without reading all of them.
//!
//! Each file of `sources` has its heaviest sources first, and says what no source in the rest of it exceeds
//! ([`bartizan_lake::Tiers`]). So a source's sum is at least what was read of it, and at most that and, for each file
//! in which it was not met, what the rest of that file can hold. Tiers are read until nobody who was never met can be
//! among the first `n`; then those who still can are looked up in the files where they were not met, by the page
//! index. The answer is exact.
//!
//! Rows that no rollup counts are all grouped beforehand.

use super::frames;
use super::{Counted, Pieces, Want};
use crate::engine::{Engine, column};
use crate::files::{FileReader, Readers};
use crate::lower;
use crate::source::{DataFile, Window};
use crate::stream::{Meter, RowStream};
use crate::{QueryError, Scoped};
use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use bartizan_filter::Matcher;
use bartizan_lake::{Tier, Tiers};
use bartizan_schema::Rollup;
use datafusion::error::DataFusionError;
use datafusion::functions_aggregate::sum::sum;
use futures::StreamExt;
use hashbrown::{HashMap, HashSet};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection, RowSelector};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Sources that are looked up one by one, beside those that are asked for.
const LOOKED_UP: usize = 256;

type Source = Option<[u8; 16]>;
type Map<V> = HashMap<Source, V, foldhash::fast::RandomState>;

/// Packets and rows.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    packets: i128,
    rows: i64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.rows = self.rows.wrapping_add(other.rows);
    }
}

impl Engine {
    /// The answer, if it can be found in this way.
    pub(crate) async fn top_sources(
        &self,
        pieces: &Pieces,
        want: &Want,
        filter: &Scoped<'_>,
        window: Window,
        n: usize,
        started: Instant,
    ) -> Result<Option<RowStream>, QueryError> {
        let of_sources = |(rollup, ..): &(Rollup, DataFile, Option<Tiers>)| *rollup == Rollup::Sources;
        if pieces.whole.is_empty() || !pieces.whole.iter().all(of_sources) || !pieces.history.is_empty() {
            return Ok(None);
        }
        let rows = self.sources_of_rows(pieces, want, filter, window).await?;
        let lists = pieces.whole.iter().map(|(_, file, tiers)| List::new(file.clone(), tiers.as_ref()));
        let ranking = Ranking {
            lists: lists.collect(),
            totals: rows,
            reading: Arc::new(Reading { readers: self.planner.readers(), matcher: Matcher::new(filter) }),
            at_once: self.planner.partitions,
        };
        let counted: Counted = pieces.counted();
        let question = &self.planner.question;
        let mut found = self.planner.workers.run(question, async move {
            let first = ranking.first(n).await?;
            Ok(futures::stream::iter(first.map(Ok)).boxed())
        });
        let Some(first) = found.next().await.transpose()? else { return Ok(None) };
        let stream = futures::stream::iter([Ok(first.clone())]).boxed();
        let answer = RowStream::new(first.schema(), stream, Meter::default(), pieces.files, started);
        Ok(Some(answer.of(question).counted(Some(counted))))
    }

    /// What the rows that no rollup counts sum up to.
    async fn sources_of_rows(
        &self,
        pieces: &Pieces,
        want: &Want,
        filter: &Scoped<'_>,
        window: Window,
    ) -> Result<Map<Sums>, QueryError> {
        let mut totals = Map::default();
        let Some(rest) = pieces.rows_alone() else { return Ok(totals) };
        let predicate = lower::filter(bartizan_model::Kind::Events, filter);
        let frame = frames::frame(&self.planner, &rest, want, &predicate, window)?;
        let sums = ["packets", "rows"].map(|name| sum(column(name)).alias(name)).to_vec();
        let frame = frame.aggregate(vec![column("src")], sums)?;
        let mut groups = self.planner.start(frame, &Meter::default()).await?;
        while let Some(batch) = groups.next().await {
            add(&mut totals, &batch?);
        }
        Ok(totals)
    }
}

/// Adds the rows of a batch with `src`, `packets` and `rows`.
fn add(totals: &mut Map<Sums>, batch: &RecordBatch) {
    let number = |name: &str| batch.column_by_name(name).map(|c| c.as_primitive::<Int64Type>());
    let src = batch.column_by_name("src").map(|c| c.as_fixed_size_binary());
    let (Some(src), Some(packets), Some(rows)) = (src, number("packets"), number("rows")) else { return };
    if totals.is_empty() {
        totals.reserve(batch.num_rows());
    }
    for row in 0..batch.num_rows() {
        let source: Source = src.is_valid(row).then(|| src.value(row).try_into().unwrap_or([0; 16]));
        let sums = Sums { packets: packets.value(row).into(), rows: rows.value(row) };
        totals.entry(source).or_default().add(sums);
    }
}

/// How files are read for this question.
struct Reading {
    readers: Readers,
    matcher: Matcher,
}

/// One file of `sources`, as far as it was read.
struct List {
    file: DataFile,
    tiers: Vec<Tier>,
    /// Tiers that were read, from the first.
    read: usize,
    seen: Map<Sums>,
}

impl List {
    fn new(file: DataFile, tiers: Option<&Tiers>) -> Self {
        let tiers = tiers.map(|tiers| tiers.iter().collect()).unwrap_or_default();
        Self { file, tiers, read: 0, seen: Map::default() }
    }

    /// What no source exceeds in the tiers that were not read.
    fn bound(&self) -> i128 {
        match self.read.checked_sub(1) {
            None => i64::MAX.into(),
            Some(last) => self.tiers.get(last).map_or(0, |tier| tier.most.into()),
        }
    }

    fn is_read(&self) -> bool {
        self.read > self.tiers.len()
    }
}

struct Ranking {
    lists: Vec<List>,
    /// What is known of each source that was met.
    totals: Map<Sums>,
    reading: Arc<Reading>,
    at_once: usize,
}

impl Ranking {
    /// The first `n`; nothing if sums are beyond the numbers of an answer.
    async fn first(mut self, n: usize) -> Result<Option<RecordBatch>, QueryError> {
        if n == 0 {
            return Ok(None);
        }
        let mut next: Vec<usize> = (0..self.lists.len()).collect();
        let candidates = loop {
            self.deepen(&next).await?;
            let rest: i128 = self.lists.iter().map(List::bound).sum();
            if self.lists.iter().all(List::is_read) {
                break None;
            }
            if let Some(candidates) = self.candidates(n, rest)
                && candidates.len() <= LOOKED_UP.max(4 * n)
            {
                break Some(candidates);
            }
            // The files that can still change most.
            let most = self.lists.iter().map(List::bound).max().unwrap_or(0);
            let worth = |list: &List| !list.is_read() && list.bound() * 4 >= most;
            next = (0..self.lists.len()).filter(|i| worth(&self.lists[*i])).collect();
        };
        let mut ranked: Vec<(Source, Sums)> = match candidates {
            None => self.totals.drain().collect(),
            Some(candidates) => self.look_up(candidates).await?,
        };
        ranked.sort_unstable_by_key(|(source, sums)| (-sums.packets, source.is_none(), *source));
        ranked.truncate(n);
        Ok(batch(&ranked))
    }

    /// Who can be among the first `n`, if it is nobody who was never met.
    fn candidates(&self, n: usize, rest: i128) -> Option<Vec<Source>> {
        let mut known: Vec<i128> = self.totals.values().map(|sums| sums.packets).collect();
        if known.len() < n {
            return None;
        }
        let (_, &mut least, _) = known.select_nth_unstable_by(n - 1, |a, b| b.cmp(a));
        if rest >= least {
            return None;
        }
        let may = |source: &Source, sums: &Sums| {
            // First what costs nothing.
            sums.packets + rest >= least && {
                let met = self.lists.iter().filter(|list| list.seen.contains_key(source));
                sums.packets + rest - met.map(List::bound).sum::<i128>() >= least
            }
        };
        Some(
            self.totals
                .iter()
                .filter(|(source, sums)| may(source, sums))
                .map(|(source, _)| *source)
                .collect(),
        )
    }

    /// Reads the next tier of some files.
    async fn deepen(&mut self, lists: &[usize]) -> Result<(), QueryError> {
        let jobs = lists.iter().map(|i| {
            let (reading, list) = (Arc::clone(&self.reading), &self.lists[*i]);
            let (file, tiers, read) = (list.file.clone(), list.tiers.len(), list.read);
            (*i, async move { reading.tier(&file, tiers, read).await })
        });
        let done = at_once(jobs.collect(), self.at_once).await?;
        for (i, tier) in done {
            let list = &mut self.lists[i];
            // A file whose tiers are not its row groups was read whole.
            list.read = if tier.whole { list.tiers.len() + 1 } else { list.read + 1 };
            for (source, sums) in tier.sums {
                self.totals.entry(source).or_default().add(sums);
                list.seen.entry(source).or_default().add(sums);
            }
        }
        Ok(())
    }

    /// The exact sums of some sources.
    async fn look_up(&mut self, candidates: Vec<Source>) -> Result<Vec<(Source, Sums)>, QueryError> {
        let jobs = self.lists.iter().enumerate().filter(|(_, list)| !list.is_read()).map(|(i, list)| {
            let missing: HashSet<Source> =
                candidates.iter().filter(|source| !list.seen.contains_key(*source)).copied().collect();
            let (reading, file, read) = (Arc::clone(&self.reading), list.file.clone(), list.read);
            let job = async move { reading.find(&file, read, missing).await };
            (i, job)
        });
        let done = at_once(jobs.collect(), self.at_once).await?;
        for (_, found) in done {
            for (source, sums) in found {
                self.totals.entry(source).or_default().add(sums);
            }
        }
        Ok(candidates.into_iter().map(|source| (source, self.totals[&source])).collect())
    }
}

/// The results of some jobs, of which so many run at the same time.
async fn at_once<T, F>(jobs: Vec<(usize, F)>, limit: usize) -> Result<Vec<(usize, T)>, QueryError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ParquetError>> + Send + 'static,
{
    let mut done = Vec::with_capacity(jobs.len());
    let mut running = JoinSet::new();
    let mut jobs = jobs.into_iter();
    loop {
        while running.len() < limit.max(1)
            && let Some((i, job)) = jobs.next()
        {
            running.spawn(async move { (i, job.await) });
        }
        match running.join_next().await {
            None => return Ok(done),
            Some(Ok((i, result))) => done.push((i, result.map_err(DataFusionError::from)?)),
            Some(Err(stopped)) => return Err(DataFusionError::External(Box::new(stopped)).into()),
        }
    }
}

/// What a tier holds.
struct ReadTier {
    sums: Map<Sums>,
    /// Whether it is all of the file.
    whole: bool,
}

impl Reading {
    async fn tier(&self, file: &DataFile, tiers: usize, read: usize) -> Result<ReadTier, ParquetError> {
        let (reader, footer) = self.open(file).await?;
        let whole = footer.num_row_groups() != tiers + 1;
        let groups = if whole { (0..footer.num_row_groups()).collect() } else { vec![read] };
        Ok(ReadTier { sums: self.sums(reader, footer, groups, None).await?, whole })
    }

    /// What some sources have in the tiers from one on.
    async fn find(
        &self,
        file: &DataFile,
        from: usize,
        sources: HashSet<Source>,
    ) -> Result<Map<Sums>, ParquetError> {
        let (reader, footer) = self.open(file).await?;
        let groups: Vec<usize> = (from..footer.num_row_groups()).collect();
        let selection = select(&footer, &groups, &sources);
        if selection.as_ref().is_some_and(|selection| !selection.selects_any()) {
            return Ok(Map::default());
        }
        let mut sums = self.sums(reader, footer, groups, selection).await?;
        sums.retain(|source, _| sources.contains(source));
        Ok(sums)
    }

    async fn open(&self, file: &DataFile) -> Result<(FileReader, Arc<ParquetMetaData>), ParquetError> {
        let mut reader = FileReader::new(&self.readers, &file.path, file.size, file.crc32c);
        let footer = reader.get_metadata(None).await?;
        Ok((reader, footer))
    }

    async fn sums(
        &self,
        reader: FileReader,
        footer: Arc<ParquetMetaData>,
        groups: Vec<usize>,
        selection: Option<RowSelection>,
    ) -> Result<Map<Sums>, ParquetError> {
        let metadata = ArrowReaderMetadata::try_new(footer, ArrowReaderOptions::new())?;
        let columns = ["action", "src", "packets", "rows"];
        let mask = ProjectionMask::columns(metadata.parquet_schema(), columns);
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
            .with_projection(mask)
            .with_row_groups(groups)
            .with_batch_size(65_536);
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let mut stream = builder.build()?;
        let mut sums = Map::default();
        while let Some(batch) = stream.next().await.transpose()? {
            let matching = self.matcher.matches(&batch);
            let batch = if matching.true_count() == batch.num_rows() {
                batch
            } else {
                datafusion::arrow::compute::filter_record_batch(&batch, &matching)?
            };
            add(&mut sums, &batch);
        }
        Ok(sums)
    }
}

/// The rows of some row groups that may be of some sources, by the page index; nothing if there is none.
fn select(footer: &ParquetMetaData, groups: &[usize], sources: &HashSet<Source>) -> Option<RowSelection> {
    let column = footer.file_metadata().schema_descr().columns().iter().position(|c| c.name() == "src")?;
    let mut sorted: Vec<&[u8; 16]> = sources.iter().flatten().collect();
    sorted.sort_unstable();
    let mut selectors = Vec::new();
    for group in groups {
        let ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) =
            footer.column_index()?.get(*group)?.get(column)?
        else {
            return None;
        };
        let pages = footer.offset_index()?.get(*group)?.get(column)?.page_locations();
        let rows = usize::try_from(footer.row_group(*group).num_rows()).ok()?;
        for page in 0..pages.len() {
            let start = usize::try_from(pages[page].first_row_index).ok()?;
            let end = match pages.get(page + 1) {
                None => rows,
                Some(next) => usize::try_from(next.first_row_index).ok()?,
            };
            let nulls = index.null_count(page).is_none_or(|nulls| nulls > 0);
            let bounds = index.min_value(page).zip(index.max_value(page));
            let wanted = (nulls && sources.contains(&None))
                || bounds.is_some_and(|(min, max)| {
                    let after = sorted.partition_point(|source| source.as_slice() < min);
                    sorted.get(after).is_some_and(|source| source.as_slice() <= max)
                });
            push(&mut selectors, wanted, start..end);
        }
    }
    Some(RowSelection::from(selectors))
}

fn push(selectors: &mut Vec<RowSelector>, wanted: bool, rows: Range<usize>) {
    let n = rows.end.saturating_sub(rows.start);
    selectors.push(if wanted { RowSelector::select(n) } else { RowSelector::skip(n) });
}

/// The answer; nothing if a sum is beyond its column.
fn batch(ranked: &[(Source, Sums)]) -> Option<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("src", DataType::FixedSizeBinary(16), true),
        Field::new("packets", DataType::Int64, true),
        Field::new("rows", DataType::Int64, true),
    ]);
    let mut src = FixedSizeBinaryBuilder::with_capacity(ranked.len(), 16);
    let mut packets = Vec::with_capacity(ranked.len());
    for (source, sums) in ranked {
        match source {
            Some(source) => src.append_value(source).ok()?,
            None => src.append_null(),
        }
        packets.push(i64::try_from(sums.packets).ok()?);
    }
    let rows = Int64Array::from_iter_values(ranked.iter().map(|(_, sums)| sums.rows));
    let columns: Vec<arrow_array::ArrayRef> =
        vec![Arc::new(src.finish()), Arc::new(Int64Array::from(packets)), Arc::new(rows)];
    RecordBatch::try_new(Arc::new(schema), columns).ok()
}
