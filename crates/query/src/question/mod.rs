//! One question: who asks, what it has read and used, what it may use, and what its answer lacks.

mod gate;
mod inquiry;
mod memory;
mod workers;

pub(crate) use gate::Gate;
pub use inquiry::{Cost, Inquiry, asked_by, asked_for};
pub(crate) use memory::Share;
pub(crate) use workers::Workers;

use crate::files::{Damage, Files, LeftOut, examine};
use crate::{QueryError, Sight};
use object_store::path::Path;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What one question may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Time of work; waiting for its turn, or for a slow reader of its answer, is none.
    pub(crate) time: Duration,
    /// Bytes read from files; 0: any.
    pub(crate) bytes: u64,
}

/// Why reading failed, where the error that arrives cannot say it: libraries make texts of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A file that is now in quarantine.
    File,
    /// Too many bytes.
    Bytes,
}

/// What is known of a question while it runs.
#[derive(Debug)]
pub(crate) struct Question {
    inquiry: Arc<Inquiry>,
    allowance: Allowance,
    bytes: AtomicU64,
    rows: AtomicU64,
    worked: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Sizes and checksums of the files that were opened.
    opened: BTreeMap<Path, (u64, Option<u32>)>,
    left_out: BTreeMap<Path, Damage>,
    fault: Option<Fault>,
}

impl Question {
    pub(crate) fn new(allowance: Allowance) -> Arc<Self> {
        Arc::new(Self {
            inquiry: Inquiry::current(),
            allowance,
            bytes: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            worked: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    pub(crate) fn opens(&self, path: &Path, size: u64, crc32c: Option<u32>) {
        let mut state = self.state();
        if !state.opened.contains_key(path) {
            state.opened.insert(path.clone(), (size, crc32c));
            self.inquiry.opens();
        }
    }

    /// Whose it is.
    pub(crate) fn asker(&self) -> u64 {
        self.inquiry.who()
    }

    /// What is in sight of who asks.
    pub(crate) fn sight(&self) -> &Sight {
        self.inquiry.sight()
    }

    /// Waits until nobody wants the answer any more.
    pub(crate) async fn cancelled(&self) {
        self.inquiry.cancelled().await;
    }

    /// Whether so many more bytes may be read.
    pub(crate) fn charge(&self, bytes: u64) -> bool {
        self.inquiry.charge(bytes);
        let all = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let may = self.allowance.bytes == 0 || all <= self.allowance.bytes;
        if !may {
            self.fails(Fault::Bytes);
        }
        may
    }

    /// Bytes read from files so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many rows more were looked at.
    pub(crate) fn reads(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.inquiry.reads(rows);
    }

    /// So many rows more were looked at by a plan of DataFusion, which has ended.
    pub(crate) fn planned(&self, rows: u64) {
        self.inquiry.reads(rows);
    }

    /// Rows that were looked at, and files of which something was read, so far.
    pub(crate) fn looked_at(&self) -> (u64, usize) {
        (self.rows.load(Ordering::Relaxed), self.state().opened.len())
    }

    pub(crate) fn fails(&self, fault: Fault) {
        self.state().fault.get_or_insert(fault);
    }

    pub(crate) fn has_fault(&self) -> bool {
        self.state().fault.is_some()
    }

    pub(crate) fn worked(&self, time: Duration) {
        self.worked.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn time_left(&self) -> Duration {
        self.allowance.time.saturating_sub(Duration::from_micros(self.worked.load(Ordering::Relaxed)))
    }

    /// The answer lacks the rows of this file.
    pub(crate) fn lacks(&self, path: &Path, damage: Damage) {
        self.inquiry.lacks();
        self.state().left_out.insert(path.clone(), damage);
    }

    /// The files whose rows the answer lacks.
    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        let state = self.state();
        let named = |(path, damage): (&Path, &Damage)| LeftOut { path: path.clone(), damage: damage.clone() };
        state.left_out.iter().map(named).collect()
    }

    /// After a failure: nothing, if it was because of files that are out of use from now on, so that the question
    /// can be asked again without them. Each time at least one more file is out of use, so that this ends.
    ///
    /// # Errors
    /// The failure, if it has another cause.
    pub(crate) async fn mend(&self, files: &Files, error: QueryError) -> Result<(), QueryError> {
        let (fault, opened) = {
            let mut state = self.state();
            (state.fault.take(), std::mem::take(&mut state.opened))
        };
        match (fault, &error) {
            (Some(Fault::File), _) => return Ok(()),
            (Some(Fault::Bytes), _) => return Err(QueryError::Limit { what: "bytes read from files" }),
            (None, QueryError::Engine(_)) => {}
            (None, _) => return Err(error),
        }
        let mut mended = false;
        for (path, (size, crc32c)) in opened {
            if let Some(damage) = examine(files, &path, size, crc32c).await {
                files.footers.forget(&path);
                files.quarantine.add(&path, damage);
                mended = true;
            }
        }
        if mended { Ok(()) } else { Err(error) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
