use serde::{Deserialize, Serialize};

/// A moment: microseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Microseconds in a UTC day.
    pub const DAY: i64 = 86_400_000_000;

    /// The moment of seconds and microseconds since 1970, saturating.
    #[must_use]
    pub const fn from_parts(secs: i64, micros: i64) -> Self {
        Self(secs.saturating_mul(1_000_000).saturating_add(micros))
    }

    /// Days since 1970-01-01 (UTC), rounded down.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(Self::DAY)
    }
}
