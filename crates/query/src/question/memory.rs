//! One question's share of the memory of all.

use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A part of a pool that cannot take all of it.
#[derive(Debug)]
pub(crate) struct Share {
    pool: Arc<dyn MemoryPool>,
    used: AtomicUsize,
    limit: usize,
}

impl Share {
    pub(crate) fn new(pool: Arc<dyn MemoryPool>, limit: usize) -> Self {
        Self { pool, used: AtomicUsize::new(0), limit }
    }
}

impl MemoryPool for Share {
    fn name(&self) -> &str {
        "question"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        self.pool.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.pool.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> DfResult<()> {
        let before = self.used.fetch_add(additional, Ordering::Relaxed);
        let done = if before.saturating_add(additional) > self.limit {
            Err(DataFusionError::ResourcesExhausted(format!("the question's share of {} bytes", self.limit)))
        } else {
            self.pool.try_grow(reservation, additional)
        };
        if done.is_err() {
            self.used.fetch_sub(additional, Ordering::Relaxed);
        }
        done
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "question(used: {}, limit: {})", self.reserved(), self.limit)
    }
}
