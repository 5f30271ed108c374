//! The one place that reads the wall clock. Libraries take the time as an argument; services get it here.

use bartizan_model::Micros;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by this machine's clock; a clock before 1970 gives a negative time.
#[must_use]
pub fn now() -> Micros {
    #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
    let now = SystemTime::now();
    let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    Micros(match now.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}
