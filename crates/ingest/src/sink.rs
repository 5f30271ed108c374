//! The server's end of the wire: what happens to a batch.

use crate::activity::Activity;
use crate::complete::{Receipt, Whose, complete};
use crate::pending::Pending;
use arrow_array::{Array as _, ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::DataType;
use async_trait::async_trait;
use bartizan_enrich::Enrichment;
use bartizan_lake::{Append, LakeError, Tables};
use bartizan_model::{BatchId, IN_FLIGHT, Kind, Micros, Seq, StreamId};
use bartizan_prefix::Dialects;
use bartizan_schema::{ColumnKind, Origin, table_columns};
use bartizan_wire::{IncomingBatch, Peer, Refusal, Sink, Told};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Shows new events to whoever looks on; never waits.
type Show = Box<dyn Fn(RecordBatch) + Send + Sync>;

/// Takes batches from agents.
pub struct Ingest {
    tables: Tables,
    pending: Mutex<HashMap<StreamId, Pending>>,
    activity: Activity,
    dialects: Dialects,
    enrichment: Arc<Enrichment>,
    show: Show,
    commits: watch::Sender<u64>,
    /// When the last batch of events arrived. Held while one is added and shown, so that the order of arrival, of what can
    /// be read and of what is shown are one, and no two batches have the same moment.
    arrived: Mutex<Micros>,
    taken: [Counts; Kind::ALL.len()],
}

#[derive(Debug, Default)]
struct Counts {
    batches: AtomicU64,
    rows: AtomicU64,
    duplicates: AtomicU64,
}

/// What was taken into one table since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// New batches.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// Batches that were here before.
    pub duplicates: u64,
}

impl Ingest {
    /// Into `tables`; `show` is given each new batch of events.
    #[must_use]
    pub fn new(tables: Tables, show: impl Fn(RecordBatch) + Send + Sync + 'static) -> Self {
        Self {
            tables,
            pending: Mutex::default(),
            activity: Activity::default(),
            dialects: Dialects::built_in(),
            enrichment: Arc::default(),
            show: Box::new(show),
            commits: watch::Sender::new(0),
            arrived: Mutex::new(bartizan_clock::now()),
            taken: std::array::from_fn(|_| Counts::default()),
        }
    }

    /// Reads prefixes by this table instead of the built-in one.
    #[must_use]
    pub fn with_dialects(mut self, dialects: Dialects) -> Self {
        self.dialects = dialects;
        self
    }

    /// Fills countries and autonomous systems from these databases, as they are when a batch comes.
    #[must_use]
    pub fn with_enrichment(mut self, enrichment: Arc<Enrichment>) -> Self {
        self.enrichment = enrichment;
        self
    }

    /// What hosts did since the server started.
    pub const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Tells streams of every commit, until the tables are gone.
    pub async fn relay_commits(&self) {
        let mut tables: FuturesUnordered<_> = self.tables.iter().map(|t| changed(t.watch())).collect();
        while let Some(Some(table)) = tables.next().await {
            tables.push(changed(table));
            self.commits.send_modify(|n| *n += 1);
        }
    }

    /// Takes a batch of rows that say themselves whose they are (`bartizan_schema::collected_schema`), and waits
    /// while there is no room. It is readable then; [`Ingest::settled`] tells when it is committed. `None` for the
    /// rows moves the mark of the stream in that table only, so that a stream that feeds several tables has one
    /// position in all of them.
    ///
    /// # Errors
    /// If the rows are not what they should be: for good.
    pub async fn collect(&self, id: BatchId, kind: Kind, rows: Option<&RecordBatch>) -> Result<(), Refusal> {
        let received = bartizan_clock::now();
        let Some(batch) = rows else {
            let table = self.tables.of(kind);
            while table.append(id, Vec::new(), 0, received).map_err(|e| refused(&e))? == Append::Busy {
                table.room(0).await;
            }
            return Ok(());
        };
        let places = self.enrichment.places();
        let receipt = Receipt { host: Whose::Each, id, received, places: &places };
        let rows =
            complete(kind, batch, receipt, &self.dialects).map_err(|e| Refusal::permanent(e.to_string()))?;
        self.append(id, kind, &rows, memory_of(kind, batch), received).await.map(|_| ())
    }

    /// Up to where a stream is committed in each of the tables that it feeds.
    #[must_use]
    pub fn settled(&self, stream: &StreamId, kinds: &[Kind]) -> Seq {
        kinds.iter().map(|kind| self.tables.of(*kind).committed(stream)).min().unwrap_or(Seq::ZERO)
    }

    /// Up to where a table has a stream, committed or not.
    #[must_use]
    pub fn received(&self, stream: &StreamId, kind: Kind) -> Seq {
        self.tables.of(kind).received(stream)
    }

    /// Adds rows to their table, when there is room, and shows them; whether they are new.
    async fn append(
        &self,
        id: BatchId,
        kind: Kind,
        rows: &RecordBatch,
        bytes: u64,
        received: Micros,
    ) -> Result<bool, Refusal> {
        let table = self.tables.of(kind);
        loop {
            let appended = match kind {
                Kind::Events => self.arrive(id, rows, bytes, received),
                _ => table.append(id, vec![rows.clone()], bytes, received),
            };
            let counts = &self.taken[kind.index()];
            match appended.map_err(|e| refused(&e))? {
                Append::Busy => table.room(bytes).await,
                Append::Duplicate => {
                    counts.duplicates.fetch_add(1, Ordering::Relaxed);
                    return Ok(false);
                }
                Append::Appended => {
                    counts.batches.fetch_add(1, Ordering::Relaxed);
                    counts.rows.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
                    return Ok(true);
                }
            }
        }
    }

    /// Adds events and shows them, at a moment that is later than all before.
    fn arrive(
        &self,
        id: BatchId,
        rows: &RecordBatch,
        bytes: u64,
        received: Micros,
    ) -> Result<Append, LakeError> {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let at = received.max(Micros(arrived.0.saturating_add(1)));
        let rows = if at == received { rows.clone() } else { received_at(rows, at) };
        let done = self.tables.of(Kind::Events).append(id, vec![rows.clone()], bytes, at)?;
        if done == Append::Appended {
            *arrived = at;
            (self.show)(rows);
        }
        Ok(done)
    }

    /// What was taken into a table since the start.
    #[must_use]
    pub fn taken(&self, kind: Kind) -> Taken {
        let counts = &self.taken[kind.index()];
        Taken {
            batches: counts.batches.load(Ordering::Relaxed),
            rows: counts.rows.load(Ordering::Relaxed),
            duplicates: counts.duplicates.load(Ordering::Relaxed),
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<StreamId, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same rows, received at another moment.
fn received_at(rows: &RecordBatch, at: Micros) -> RecordBatch {
    let Ok(place) = rows.schema().index_of("received") else { return rows.clone() };
    let mut columns = rows.columns().to_vec();
    columns[place] =
        Arc::new(TimestampMicrosecondArray::from_value(at.0, rows.num_rows()).with_timezone("UTC"));
    RecordBatch::try_new(rows.schema(), columns)
        .expect("the column has the type and length of the one before")
}

/// Waits for the next commit of a table; `None` when the table is gone.
async fn changed(mut table: watch::Receiver<i64>) -> Option<watch::Receiver<i64>> {
    table.changed().await.ok().map(|()| table)
}

/// About how many bytes rows take in memory: the fixed width of the columns that came and of those that the server
/// fills, and the texts and bytes that came, unpacked. What is absent is shared by all batches.
#[must_use]
pub fn memory_of(kind: Kind, received: &RecordBatch) -> u64 {
    let width: usize = table_columns(kind)
        .iter()
        .filter(|c| c.origin != Origin::Sender || received.column_by_name(c.name).is_some())
        .map(|c| match c.kind {
            ColumnKind::I16 => 2,
            ColumnKind::I32 => 4,
            ColumnKind::I64 | ColumnKind::Time => 8,
            ColumnKind::Addr | ColumnKind::Text | ColumnKind::Bytes => 16,
        })
        .sum();
    let variable = |c: &ArrayRef| match c.data_type() {
        DataType::Dictionary(..) | DataType::Binary => {
            c.to_data().get_slice_memory_size().unwrap_or_default()
        }
        _ => 0,
    };
    (received.num_rows() * width + received.columns().iter().map(variable).sum::<usize>()) as u64
}

fn refused(error: &LakeError) -> Refusal {
    Refusal::permanent(error.to_string())
}

#[async_trait]
impl Sink for Ingest {
    async fn resume(&self, stream: StreamId) -> Result<Seq, Refusal> {
        self.activity.contact(stream.host, bartizan_clock::now());
        // the tables' marks may differ, and only what all have is surely committed; the rest comes again
        Ok(self.tables.iter().map(|table| table.committed(&stream)).min().unwrap_or(Seq::ZERO))
    }

    async fn accept(&self, peer: &Peer, batch: IncomingBatch) -> Result<(), Refusal> {
        let IncomingBatch { id, kind, batch, weight, .. } = batch;
        let received = bartizan_clock::now();
        let places = self.enrichment.places();
        let receipt = Receipt { host: Whose::Host(&peer.name), id, received, places: &places };
        let rows =
            complete(kind, &batch, receipt, &self.dialects).map_err(|e| Refusal::permanent(e.to_string()))?;
        let bytes = memory_of(kind, &batch);
        if self.append(id, kind, &rows, bytes, received).await? {
            self.activity.batch(peer.host, received, kind, weight);
        }
        let (waiting, first) = {
            let mut pending = self.pending();
            let of_stream = pending.entry(id.stream).or_default();
            of_stream.received(id.seq, kind);
            of_stream.waiting()
        };
        // Otherwise it would send no more until rows are old enough: who catches up has much more to send.
        if waiting as u64 >= IN_FLIGHT / 2 {
            self.tables.of(first.unwrap_or(kind)).hasten();
        }
        // a duplicate may be committed long since: the stream should hear of it
        self.commits.send_modify(|n| *n += 1);
        Ok(())
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    fn committed(&self, stream: &StreamId) -> Seq {
        let mut pending = self.pending();
        pending
            .get_mut(stream)
            .map_or(Seq::ZERO, |p| p.advance(|kind| self.tables.of(kind).committed(stream)))
    }

    fn told(&self, peer: &Peer, told: Told) {
        self.activity.told(peer.host, told, bartizan_clock::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complete::tests::wire_batch;
    use arrow_array::{DictionaryArray, types::Int32Type};
    use arrow_schema::{Field, Schema};
    use bartizan_lake::{DurableLocal, Options};
    use bartizan_model::{Epoch, HostId, Lane};

    /// A ruleset of a few rows is megabytes, whatever it was packed to.
    #[test]
    fn long_texts_are_counted_unpacked() {
        let text = "x".repeat(256 << 10);
        let content: DictionaryArray<Int32Type> =
            [text.as_str(), &text[1..], &text[2..]].into_iter().collect();
        let schema = Schema::new(vec![Field::new("content", content.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(content)]).unwrap();
        let bytes = memory_of(Kind::Rulesets, &batch);
        assert!((3 * (256 << 10)..1 << 20).contains(&bytes), "{bytes}");
    }

    /// A host that was away has thousands of small batches to send, and would send as many as it may have on the way only
    /// each time that rows are old enough.
    #[tokio::test]
    async fn who_has_much_on_the_way_hears_sooner_of_a_commit() {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableLocal::new(dir.path()).unwrap();
        let tables =
            Tables::open(&(Arc::new(store) as _), &Options::default(), bartizan_clock::now()).await.unwrap();
        let ingest = Ingest::new(tables.clone(), drop);
        let host = HostId::from_bytes([1; 16]);
        let peer = Peer { host, name: "h".into(), serial: String::new(), cert_not_after: Micros(0) };
        let stream = StreamId { host, lane: Lane::DISK[0], epoch: Epoch(1) };
        let batch = |seq| IncomingBatch {
            id: BatchId { stream, seq: Seq(seq) },
            kind: Kind::Events,
            batch: wire_batch(&["drop"]),
            weight: 1,
            bytes: 0,
        };
        let events = tables.of(Kind::Events);
        let soon = || Micros(bartizan_clock::now().0 + 1_000_000);
        for seq in 1..IN_FLIGHT / 2 {
            ingest.accept(&peer, batch(seq)).await.unwrap();
        }
        assert!(!events.is_due(soon()), "few wait");
        ingest.accept(&peer, batch(IN_FLIGHT / 2)).await.unwrap();
        assert!(events.is_due(soon()) && !events.is_due(bartizan_clock::now()), "it waits, but not as long");
        events.commit(bartizan_clock::now()).await.unwrap();
        ingest.committed(&stream);
        ingest.accept(&peer, batch(IN_FLIGHT / 2 + 1)).await.unwrap();
        assert!(!events.is_due(soon()), "it has heard");
    }
}
