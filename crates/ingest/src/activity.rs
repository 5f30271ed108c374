//! What each host did since the server started: for `bartizan hosts`. In memory only; the lake has the rest.

use bartizan_model::{HostId, Kind, Micros};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// One host's doings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostActivity {
    /// When it last sent a batch, or asked for a stream.
    pub last_contact: Micros,
    /// When it last sent a batch of events.
    pub last_event: Option<Micros>,
    /// Events received since the server started, without duplicates.
    pub events: u64,
    /// Losses reported since the server started.
    pub lost: u64,
    /// How far its clock is ahead of the server's, in microseconds.
    pub clock_offset: Option<i64>,
    clock_at: Micros,
}

/// For so long the largest difference seen stands for the clock: what travels or waits on the way only ever makes a
/// clock look slower than it is.
const CLOCK_WINDOW: i64 = 60_000_000;

/// All hosts' doings.
#[derive(Debug, Default)]
pub struct Activity(Mutex<BTreeMap<HostId, HostActivity>>);

impl Activity {
    /// A host did something at `now`.
    pub(crate) fn contact(&self, host: HostId, now: Micros) {
        self.update(host, now, |_| ());
    }

    /// A host's clock showed `clock` at `now`.
    pub(crate) fn clock(&self, host: HostId, clock: Micros, now: Micros) {
        let offset = clock.0.saturating_sub(now.0);
        self.update(host, now, |a| {
            let stale = now.0.saturating_sub(a.clock_at.0) > CLOCK_WINDOW;
            if stale || a.clock_offset.is_none_or(|known| known <= offset) {
                a.clock_offset = Some(offset);
                a.clock_at = now;
            }
        });
    }

    /// A host sent a batch that is new.
    pub(crate) fn batch(&self, host: HostId, now: Micros, kind: Kind, weight: u64) {
        self.update(host, now, |a| match kind {
            Kind::Events => {
                a.last_event = Some(now);
                a.events = a.events.saturating_add(weight);
            }
            Kind::Losses => a.lost = a.lost.saturating_add(weight),
            Kind::Flows | Kind::Counters | Kind::Rulesets | Kind::Lines => {}
        });
    }

    fn update(&self, host: HostId, now: Micros, change: impl FnOnce(&mut HostActivity)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = HostActivity {
            last_contact: now,
            last_event: None,
            events: 0,
            lost: 0,
            clock_offset: None,
            clock_at: now,
        };
        let activity = all.entry(host).or_insert(fresh);
        activity.last_contact = activity.last_contact.max(now);
        change(activity);
    }

    /// One host's doings, if it did anything.
    #[must_use]
    pub fn of(&self, host: HostId) -> Option<HostActivity> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&host).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_waited_does_not_turn_the_clock_back() {
        let host = HostId::from_bytes([1; 16]);
        let activity = Activity::default();
        let offset = || activity.of(host).unwrap().clock_offset;
        activity.clock(host, Micros(5_000_000), Micros(2_000_000));
        assert_eq!(offset(), Some(3_000_000));
        activity.clock(host, Micros(5_100_000), Micros(9_000_000));
        assert_eq!(offset(), Some(3_000_000), "it was seven seconds on its way");
        activity.clock(host, Micros(70_000_000), Micros(70_000_000));
        assert_eq!(offset(), Some(0), "the clock was set");
        activity.clock(host, Micros(i64::MAX), Micros(-5));
        assert_eq!(offset(), Some(i64::MAX));
    }
}
