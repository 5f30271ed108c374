//! Whether the server can be asked now, told to those who ask it all the time.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that is even while the server is well, and another one each time that it was not.
#[derive(Debug, Default)]
pub(super) struct Weather(AtomicU64);

impl Weather {
    /// The server is no longer well, or is again.
    pub(super) fn turn(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// As it is now.
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Whether the server has been well ever since it was as it was `then`.
    pub(super) fn was_fine_since(&self, then: u64) -> bool {
        then.is_multiple_of(2) && self.now() == then
    }
}
