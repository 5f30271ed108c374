//! How many messages a sender may send.

use bartizan_model::Micros;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Senders that are watched at one time; when there are more, those that are silent are forgotten.
const SENDERS: usize = 65_536;

/// The allowance of one sender: as many messages as a second's worth at once.
#[derive(Debug)]
pub(crate) struct Allowance(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    rate: u32,
    /// Millionths of messages.
    left: u64,
    at: Micros,
}

impl Allowance {
    fn new(rate: u32, now: Micros) -> Self {
        Self(Mutex::new(Bucket { rate, left: u64::from(rate) * 1_000_000, at: now }))
    }

    /// Whether one more message may be taken now.
    pub(crate) fn take(&self, now: Micros) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = u64::try_from(now.0.saturating_sub(bucket.at.0)).unwrap_or(0).min(1_000_000);
        // a clock that goes back gives nothing and takes nothing
        bucket.at = now;
        let rate = u64::from(bucket.rate);
        bucket.left = (bucket.left + passed * rate).min(rate * 1_000_000);
        match bucket.left.checked_sub(1_000_000) {
            Some(left) => {
                bucket.left = left;
                true
            }
            None => false,
        }
    }

    fn is_idle(&self, now: Micros) -> bool {
        let at = self.0.lock().unwrap_or_else(PoisonError::into_inner).at;
        now.0.saturating_sub(at.0) > 1_000_000
    }
}

/// The allowances of a listener's senders. All connections of an address share one.
#[derive(Debug)]
pub(crate) struct Rates {
    rate: Option<u32>,
    senders: Mutex<HashMap<IpAddr, Arc<Allowance>>>,
}

impl Rates {
    pub(crate) fn new(rate: Option<u32>) -> Self {
        Self { rate, senders: Mutex::default() }
    }

    /// The allowance of an address, if there is a limit.
    pub(crate) fn of(&self, address: IpAddr, now: Micros) -> Option<Arc<Allowance>> {
        let rate = self.rate?;
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if senders.len() >= SENDERS && !senders.contains_key(&address) {
            senders.retain(|_, allowance| Arc::strong_count(allowance) > 1 || !allowance.is_idle(now));
        }
        Some(Arc::clone(senders.entry(address).or_insert_with(|| Arc::new(Allowance::new(rate, now)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_may_send_a_seconds_worth_at_once_and_then_its_rate() {
        let allowance = Allowance::new(10, Micros(0));
        let taken = |now: i64, tries: usize| (0..tries).filter(|_| allowance.take(Micros(now))).count();
        assert_eq!(taken(0, 100), 10);
        assert_eq!(taken(200_000, 100), 2);
        assert_eq!(taken(100_000, 100), 0, "the clock went back");
        assert_eq!(taken(400_000, 100), 3);
        assert_eq!(taken(90_000_000, 100), 10);
    }

    #[test]
    fn connections_of_an_address_share_one_allowance() {
        let rates = Rates::new(Some(1));
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let (first, second) = (rates.of(a, Micros(0)).unwrap(), rates.of(a, Micros(0)).unwrap());
        assert!(first.take(Micros(0)) && !second.take(Micros(0)));
        assert!(rates.of(b, Micros(0)).unwrap().take(Micros(0)));
        assert!(Rates::new(None).of(a, Micros(0)).is_none());
    }
}
