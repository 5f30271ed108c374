//! The one place here that asks what time it is.

use jiff::{Timestamp, tz::TimeZone};

/// Now, and the zone in which people here read times.
pub(crate) fn now() -> (Timestamp, TimeZone) {
    let now = Timestamp::from_microsecond(bartizan_clock::now().0).unwrap_or(Timestamp::UNIX_EPOCH);
    (now, TimeZone::system())
}
