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
}

/// All hosts' doings.
#[derive(Debug, Default)]
pub struct Activity(Mutex<BTreeMap<HostId, HostActivity>>);

impl Activity {
    /// A host did something at `now`.
    pub(crate) fn contact(&self, host: HostId, now: Micros) {
        self.update(host, now, |_| ());
    }

    /// A host sent a batch that is new.
    pub(crate) fn batch(&self, host: HostId, now: Micros, kind: Kind, weight: u64) {
        self.update(host, now, |a| match kind {
            Kind::Events => {
                a.last_event = Some(now);
                a.events = a.events.saturating_add(weight);
            }
            Kind::Losses => a.lost = a.lost.saturating_add(weight),
            Kind::Flows | Kind::Counters | Kind::Rulesets => {}
        });
    }

    fn update(&self, host: HostId, now: Micros, change: impl FnOnce(&mut HostActivity)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = HostActivity { last_contact: now, last_event: None, events: 0, lost: 0 };
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
