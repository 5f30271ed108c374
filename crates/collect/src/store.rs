//! The spool, and the rows of its newest records as they were before they were packed.

use arrow_array::RecordBatch;
use bartizan_model::{Epoch, Kind, Seq};
use bartizan_spool::{AppendError, Config, DiskError, Head, Item, RealFs, Spool, SpoolError, Weights};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of rows that are kept in memory so that they need not be unpacked again.
const RECENT: usize = 64 << 20;
/// Bytes of the budget that only the ledger may use.
const RESERVE: u64 = 1 << 20;

/// Shared by the one who writes and the one who sends on.
pub(crate) struct Store {
    state: Mutex<State>,
    /// Something new is durable.
    news: Condvar,
}

pub(crate) struct State {
    pub(crate) spool: Spool<RealFs>,
    budget: u64,
    recent: BTreeMap<Seq, RecordBatch>,
    recent_bytes: usize,
}

/// Of what stands in the spool.
pub(crate) struct Found {
    pub(crate) item: Item,
    /// Its rows, if they are still in memory.
    pub(crate) rows: Option<RecordBatch>,
}

impl Store {
    pub(crate) fn open(dir: PathBuf, budget: u64, epoch: Epoch, now: Instant) -> Result<Self, SpoolError> {
        let mut config = Config::new(dir, budget);
        config.segment_bytes = (8 << 20).min(budget / 8);
        config.sync_bytes = 4 << 20;
        let (spool, recovery) = Spool::open(config, RealFs, epoch, now)?;
        if spool.backlog().records > 0 {
            tracing::info!(backlog = spool.backlog().records, ?recovery, "the collector's spool is opened");
        }
        let state = State { spool, budget, recent: BTreeMap::new(), recent_bytes: 0 };
        Ok(Self { state: Mutex::new(state), news: Condvar::new() })
    }

    /// Every method of [`State`] leaves it consistent, also when it is left by a panic.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for something new.
    pub(crate) fn tell(&self) {
        self.news.notify_all();
    }

    /// The first thing behind a number; waits for it as long as `patience`.
    pub(crate) fn next(&self, after: Seq, patience: Duration) -> Result<Option<Found>, DiskError> {
        let mut state = self.lock();
        if state.spool.durable() <= after {
            (state, _) = self.news.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
        }
        let Some(item) = state.spool.read(after)? else { return Ok(None) };
        let rows = match &item {
            Item::Record(record) => state.forget(record.seq),
            Item::Hole(_) => None,
        };
        Ok(Some(Found { item, rows }))
    }
}

impl State {
    /// Takes a record, and keeps its rows at hand.
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        rows: &RecordBatch,
        payload: &[u8],
        note: &[u8],
        now: Instant,
    ) -> Result<Seq, AppendError> {
        let needed = (payload.len() + note.len()) as u64;
        let reserve = if kind == Kind::Losses { 0 } else { RESERVE };
        let free = self.budget.saturating_sub(self.spool.backlog().bytes + reserve);
        if needed > free {
            return Err(AppendError::Full { needed, free });
        }
        let weight = Weights::pack(kind, rows.num_rows() as u64);
        let seq = self.spool.append(Head { kind, weight, note }, payload, now)?;
        let bytes = rows.get_array_memory_size();
        if self.recent_bytes + bytes <= RECENT {
            self.recent_bytes += bytes;
            self.recent.insert(seq, rows.clone());
        }
        Ok(seq)
    }

    /// The rows of a record, which nobody needs again.
    fn forget(&mut self, seq: Seq) -> Option<RecordBatch> {
        let rows = self.recent.remove(&seq)?;
        self.recent_bytes -= rows.get_array_memory_size();
        Some(rows)
    }
}
