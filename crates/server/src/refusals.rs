//! What was refused, since the server started: of hosts that it knows, and of who wanted to become one.
//!
//! Bounded: a host has one entry, whatever it sends, and there are [`MOST_HOSTS`] of them at most.

use bartizan_model::{HostId, Micros};
use bartizan_wire::Offence;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Hosts of which something was refused.
const MOST_HOSTS: usize = 100_000;
/// Characters of a reason that are kept.
const REASON: usize = 200;

/// Counts refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    hosts: BTreeMap<HostId, OfHost>,
    offences: BTreeMap<Offence, u64>,
    enrolments: BTreeMap<&'static str, u64>,
}

/// What was refused of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfHost {
    pub(crate) count: u64,
    pub(crate) last: Micros,
    /// Of the last one.
    pub(crate) why: String,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of a host was refused.
    pub(crate) fn of(&self, host: HostId, offence: Offence, why: &str, now: Micros) {
        let mut counts = self.lock();
        *counts.offences.entry(offence).or_default() += 1;
        if counts.hosts.len() < MOST_HOSTS || counts.hosts.contains_key(&host) {
            let new = OfHost { count: 0, last: now, why: String::new() };
            let of_host = counts.hosts.entry(host).or_insert(new);
            of_host.count += 1;
            of_host.last = now;
            of_host.why = format!("{}: {}", offence.as_str(), why.chars().take(REASON).collect::<String>());
        }
    }

    /// Somebody was not let into the fleet.
    pub(crate) fn enrolment(&self, reason: &'static str) {
        *self.lock().enrolments.entry(reason).or_default() += 1;
    }

    /// What was refused of a host, if anything was.
    pub(crate) fn of_host(&self, host: HostId) -> Option<OfHost> {
        self.lock().hosts.get(&host).cloned()
    }

    /// Every kind of offence with its number.
    pub(crate) fn offences(&self) -> Vec<(&'static str, u64)> {
        let counts = self.lock();
        let of = |offence: Offence| counts.offences.get(&offence).copied().unwrap_or_default();
        Offence::ALL.into_iter().map(|offence| (offence.as_str(), of(offence))).collect()
    }

    /// Enrolments that were refused, by reason.
    pub(crate) fn enrolments(&self) -> Vec<(&'static str, u64)> {
        self.lock().enrolments.iter().map(|(reason, count)| (*reason, *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_kind_and_by_host() {
        let (refusals, host) = (Refusals::default(), HostId::from_bytes([1; 16]));
        refusals.of(host, Offence::Malformed, "torn", Micros(5));
        refusals.of(host, Offence::Identity, &"x".repeat(900), Micros(6));
        refusals.of(HostId::from_bytes([3; 16]), Offence::Standing, "nobody", Micros(7));
        let of_host = refusals.of_host(host).unwrap();
        assert_eq!((of_host.count, of_host.last), (2, Micros(6)));
        assert!(of_host.why.starts_with("identity: xxx") && of_host.why.len() < 250, "{}", of_host.why);
        assert_eq!(refusals.of_host(HostId::from_bytes([2; 16])), None);
        let some: Vec<_> = refusals.offences().into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(some, [("standing", 1), ("identity", 1), ("malformed", 1)]);
        refusals.enrolment("used");
        assert_eq!(refusals.enrolments(), [("used", 1)]);
    }
}
