//! Who tries wrong passwords and tokens, and has to wait.
//!
//! Counted by the minute, for each network (an IPv4 address, an IPv6 /64), for each account, and for all together. The
//! lists have bounds; what does not fit is counted for all only. Nobody is shut out: of an account and of all only
//! strangers wait, and where somebody last signed in from he is none.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long an attempt counts.
const MINUTE: Duration = Duration::from_secs(60);
/// Wrong ones of one network, and of strangers with one account.
const OF_ONE: u32 = 10;
/// Wrong ones of all.
const OF_ALL: u32 = 300;
/// Networks, and accounts, that are remembered.
const REMEMBERED: usize = 4096;

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

/// Wrong passwords and tokens of the last minute.
#[derive(Debug, Default)]
pub struct Attempts {
    of: HashMap<IpAddr, Option<Window>>,
    accounts: HashMap<String, Option<Window>>,
    all: Option<Window>,
}

impl Attempts {
    /// How long somebody has to wait who has tried too much.
    #[must_use]
    pub fn waits(&self, from: Option<IpAddr>, now: Instant) -> Option<Duration> {
        over((*self.of.get(&network(from?))?)?, OF_ONE, now)
    }

    /// How long a stranger has to wait before an account, because of all strangers.
    pub(crate) fn stranger_waits(&self, account: &str, now: Instant) -> Option<Duration> {
        let account = self.accounts.get(account).copied().flatten().and_then(|w| over(w, OF_ONE, now));
        account.or_else(|| self.all.and_then(|w| over(w, OF_ALL, now)))
    }

    /// Notes a wrong token or password; how long everybody who has no right one has to wait, if there were too many.
    pub fn failed(&mut self, from: Option<IpAddr>, account: Option<&str>, now: Instant) -> Option<Duration> {
        if let Some(from) = from.map(network) {
            count(&mut self.of, from, now);
        }
        if let Some(account) = account {
            count(&mut self.accounts, account.to_owned(), now);
        }
        let all = Window::count(&mut self.all, now);
        if all <= OF_ALL { None } else { self.all.and_then(|window| window.rest(now)) }
    }
}

fn over(window: Window, most: u32, now: Instant) -> Option<Duration> {
    if window.failed < most { None } else { window.rest(now) }
}

/// Counts one more in a list with a bound.
fn count<K: Eq + std::hash::Hash>(of: &mut HashMap<K, Option<Window>>, key: K, now: Instant) {
    if of.len() >= REMEMBERED && !of.contains_key(&key) {
        of.retain(|_, window| window.is_some_and(|window| window.rest(now).is_some()));
    }
    if of.len() < REMEMBERED || of.contains_key(&key) {
        Window::count(of.entry(key).or_default(), now);
    }
}

/// The network of an address, as those who try are counted: an IPv4 address, an IPv6 /64.
#[must_use]
pub fn network(ip: IpAddr) -> IpAddr {
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
            assert_eq!(attempts.failed(ip("2001:db8::1"), None, at(second)), None);
        }
        assert_eq!(attempts.waits(ip("2001:db8::2"), at(20)), Some(Duration::from_secs(40)), "its network");
        assert_eq!(attempts.waits(ip("2001:db8:0:1::1"), at(20)), None, "another");
        assert_eq!(attempts.waits(ip("2001:db8::1"), at(60)), None);
        attempts.failed(ip("2001:db8::1"), None, at(60));
        assert_eq!(attempts.waits(ip("2001:db8::1"), at(61)), None, "one of a new minute");
        for _ in 0..OF_ONE {
            attempts.failed(ip("::ffff:192.0.2.1"), None, at(70));
        }
        assert!(attempts.waits(ip("192.0.2.1"), at(71)).is_some());
    }

    #[test]
    fn many_networks_are_bounded_and_counted_together() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        let from = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        let waited = (0..20_000).filter(|n| attempts.failed(from(*n), None, start).is_some()).count();
        assert_eq!((waited, attempts.of.len()), (20_000 - OF_ALL as usize, REMEMBERED));
        let later = start + MINUTE;
        assert_eq!(attempts.failed(from(70_000), None, later), None);
        assert_eq!(attempts.of.len(), 1, "the old ones went to make room");
        assert_eq!(attempts.failed(None, None, later), None);
    }

    #[test]
    fn strangers_wait_before_an_account_that_many_try() {
        let (mut attempts, start) = (Attempts::default(), Instant::now());
        for n in 0..OF_ONE {
            assert_eq!(attempts.stranger_waits("anna", start), None);
            attempts.failed(Some(IpAddr::from(n.to_be_bytes())), Some("anna"), start);
        }
        assert_eq!(attempts.stranger_waits("anna", start), Some(MINUTE));
        assert_eq!(attempts.stranger_waits("berta", start), None);
        for n in 0..OF_ALL {
            attempts.failed(None, Some(&n.to_string()), start);
        }
        assert_eq!(attempts.stranger_waits("berta", start), Some(MINUTE), "of all");
        assert_eq!(attempts.stranger_waits("anna", start + MINUTE), None);
    }
}
