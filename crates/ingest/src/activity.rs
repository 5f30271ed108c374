//! What each host did since the server started: for `bartizan hosts`. In memory only; the lake has the rest.

use bartizan_model::{HostId, Kind, Micros};
use bartizan_wire::{Told, Waiting};
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
    /// What waited on it behind its latest batch; nothing, if its agent does not say.
    pub waiting: Option<Waiting>,
    recent: Recent,
}

impl HostActivity {
    /// Events a second, over the last minute or so.
    #[must_use]
    pub fn rate(&self, now: Micros) -> f64 {
        self.recent.rate(now)
    }
}

/// Events of two stretches of time: the one that is over, and the one that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recent {
    since: Micros,
    events: u64,
    before: u64,
}

impl Recent {
    /// The length of a stretch.
    const STRETCH: i64 = 30_000_000;

    /// As it is at `now`, with this many events more.
    fn with(self, events: u64, now: Micros) -> Self {
        let passed = now.0.saturating_sub(self.since.0) / Self::STRETCH;
        match passed {
            ..=-1 | 2.. => Self { since: now, events, before: 0 },
            0 => Self { events: self.events.saturating_add(events), ..self },
            1 => Self { since: Micros(self.since.0 + Self::STRETCH), events, before: self.events },
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate has a few digits")]
    fn rate(self, now: Micros) -> f64 {
        let known = self.with(0, now);
        known.events.saturating_add(known.before) as f64 / (known.length(now) as f64 / 1e6)
    }

    /// The time that is counted, at least a second: what has just begun is no rate yet.
    fn length(self, now: Micros) -> i64 {
        let before = if self.before > 0 { Self::STRETCH } else { 0 };
        now.0.saturating_sub(self.since.0).max(0).saturating_add(before).max(1_000_000)
    }
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

    /// A host said something of itself at `now`.
    pub(crate) fn told(&self, host: HostId, told: Told, now: Micros) {
        let offset = told.clock.0.saturating_sub(now.0);
        self.update(host, now, |a| {
            a.waiting = told.waiting.or(a.waiting);
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
                a.recent = a.recent.with(weight, now);
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
            waiting: None,
            recent: Recent { since: now, events: 0, before: 0 },
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
        let clock = |clock: i64, now: i64| activity.told(host, Micros(clock).into(), Micros(now));
        clock(5_000_000, 2_000_000);
        assert_eq!(offset(), Some(3_000_000));
        clock(5_100_000, 9_000_000);
        assert_eq!(offset(), Some(3_000_000), "it was seven seconds on its way");
        clock(70_000_000, 70_000_000);
        assert_eq!(offset(), Some(0), "the clock was set");
        clock(i64::MAX, -5);
        assert_eq!(offset(), Some(i64::MAX));
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let host = HostId::from_bytes([1; 16]);
        let activity = Activity::default();
        let rate = |second: i64| activity.of(host).unwrap().rate(Micros(second * 1_000_000));
        for second in 0..100 {
            activity.batch(host, Micros(second * 1_000_000), Kind::Events, 50);
            assert!(second < 2 || (rate(second) - 50.0).abs() < 26.0, "{second}: {}", rate(second));
        }
        assert!((rate(100) - 50.0).abs() < 3.0, "{}", rate(100));
        assert_eq!((rate(200), rate(-5)), (0.0, 0.0), "silent, and a clock that was set back");
    }

    #[test]
    fn what_waits_is_what_was_last_told() {
        let host = HostId::from_bytes([1; 16]);
        let activity = Activity::default();
        let waiting = Some(Waiting { batches: 3, bytes: 70, oldest: Some(Micros(1)) });
        activity.told(host, Told { clock: Micros(5), waiting }, Micros(5));
        activity.told(host, Micros(6).into(), Micros(6));
        assert_eq!(activity.of(host).unwrap().waiting, waiting, "an older process says nothing of it");
    }
}
