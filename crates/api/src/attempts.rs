//! Who tries wrong tokens, and has to wait.
//!
//! Counted by the minute, for each network (an IPv4 address, an IPv6 /64) and for all together. The list of networks has
//! a bound; what does not fit is counted for all only.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long an attempt counts.
const MINUTE: Duration = Duration::from_secs(60);
/// Wrong tokens of one network.
const OF_ONE: u32 = 10;
/// Wrong tokens of all.
const OF_ALL: u32 = 300;
/// Networks that are remembered.
const NETWORKS: usize = 4096;

/// A minute with its attempts.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    failed: u32,
}

impl Window {
    /// How long it still goes on.
    fn rest(&self, now: Instant) -> Option<Duration> {
        MINUTE.checked_sub(now.saturating_duration_since(self.since)).filter(|rest| !rest.is_zero())
    }

    fn count(window: &mut Option<Self>, now: Instant) -> u32 {
        let current = window.take().filter(|window| window.rest(now).is_some());
        let current = current.unwrap_or(Self { since: now, failed: 0 });
        window.insert(Self { failed: current.failed.saturating_add(1), ..current }).failed
    }
}

/// Wrong tokens of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    of: HashMap<IpAddr, Option<Window>>,
    all: Option<Window>,
}

impl Attempts {
    /// How long somebody has to wait who has tried too much.
    pub(crate) fn waits(&self, from: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let window = (*self.of.get(&network(from?))?)?;
        if window.failed < OF_ONE { None } else { window.rest(now) }
    }

    /// Notes a wrong token; how long everybody who has no right one has to wait, if there were too many.
    pub(crate) fn failed(&mut self, from: Option<IpAddr>, now: Instant) -> Option<Duration> {
        if let Some(from) = from.map(network) {
            if self.of.len() >= NETWORKS && !self.of.contains_key(&from) {
                self.of.retain(|_, window| window.is_some_and(|window| window.rest(now).is_some()));
            }
            if self.of.len() < NETWORKS || self.of.contains_key(&from) {
                Window::count(self.of.entry(from).or_default(), now);
            }
        }
        let all = Window::count(&mut self.all, now);
        if all <= OF_ALL { None } else { self.all.and_then(|window| window.rest(now)) }
    }
}

fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn who_tries_too_much_waits_for_the_rest_of_a_minute() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..u64::from(OF_ONE) {
            assert_eq!(attempts.waits(ip("2001:db8::1"), at(second)), None);
            assert_eq!(attempts.failed(ip("2001:db8::1"), at(second)), None);
        }
        assert_eq!(attempts.waits(ip("2001:db8::2"), at(20)), Some(Duration::from_secs(40)), "its network");
        assert_eq!(attempts.waits(ip("2001:db8:0:1::1"), at(20)), None, "another");
        assert_eq!(attempts.waits(ip("2001:db8::1"), at(60)), None);
        attempts.failed(ip("2001:db8::1"), at(60));
        assert_eq!(attempts.waits(ip("2001:db8::1"), at(61)), None, "one of a new minute");
        for _ in 0..OF_ONE {
            attempts.failed(ip("::ffff:192.0.2.1"), at(70));
        }
        assert!(attempts.waits(ip("192.0.2.1"), at(71)).is_some());
    }

    #[test]
    fn many_networks_are_bounded_and_counted_together() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let from = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        let waited = (0..20_000).filter(|n| attempts.failed(from(*n), start).is_some()).count();
        assert_eq!((waited, attempts.of.len()), (20_000 - OF_ALL as usize, NETWORKS));
        let later = start + MINUTE;
        assert_eq!(attempts.failed(from(70_000), later), None);
        assert_eq!(attempts.of.len(), 1, "the old ones went to make room");
        assert_eq!(attempts.failed(None, later), None);
    }
}
