//! Who is at the door: places for those of whom nothing is known yet, and for connections of one host or network.
//!
//! - **GI-1** Of one network (an IPv4 address, an IPv6 /64) only so many handshakes go on at one time; more of it are
//!   turned away at once.
//! - **GI-2** A newcomer of any other network always gets a place: when all are taken, the network with the most gives
//!   up its oldest. Whoever means it is through in milliseconds, so what is old is stuck.
//! - **GI-3** After that only so many connections are of one host, or of one network where nobody shows a certificate.
//! - Whoever is turned away is counted, with the reason ([`Arrivals`]).

use crate::ListenSettings;
use bartizan_model::HostId;
use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::sync::oneshot;

/// Why a connection ended before it was of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Too many handshakes of its network.
    Network,
    /// It had to make room for somebody of another network.
    Crowd,
    /// Its handshake took too long.
    Slow,
    /// Its handshake failed: no TLS, no certificate, one of another fleet.
    Handshake,
    /// Too many connections of its host or network.
    Many,
    /// It said nothing at first, or did not take what it had asked for.
    Stalled,
}

impl Turned {
    const ALL: [Self; 6] =
        [Self::Network, Self::Crowd, Self::Slow, Self::Handshake, Self::Many, Self::Stalled];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Crowd => "crowd",
            Self::Slow => "slow",
            Self::Handshake => "handshake",
            Self::Many => "many",
            Self::Stalled => "stalled",
        }
    }
}

/// What a listener counts.
#[derive(Debug, Default)]
pub struct Arrivals {
    open: AtomicUsize,
    turned: [AtomicU64; Turned::ALL.len()],
}

impl Arrivals {
    /// Connections that are open and have shaken hands.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections that were turned away since the listener began, by reason.
    pub fn turned_away(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Turned::ALL.into_iter().map(|why| (why.as_str(), self.turned[why as usize].load(Ordering::Relaxed)))
    }

    pub(crate) fn turn_away(&self, why: Turned) {
        self.turned[why as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Whose a connection is, as far as anybody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Host(HostId),
    Network(IpAddr),
}

impl Whose {
    /// Of a verified host, or else of the address's network.
    pub(crate) fn of(host: Option<HostId>, address: IpAddr) -> Self {
        host.map_or_else(|| Self::Network(network_of(address)), Self::Host)
    }
}

/// Gives places away.
pub(crate) struct Gate {
    handshakes: usize,
    handshakes_of_one: usize,
    connections_of_one: usize,
    arrivals: Arc<Arrivals>,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    /// Handshakes that go on, the oldest first.
    lines: HashMap<IpAddr, VecDeque<Shaking>>,
    /// Their number.
    shaking: usize,
    /// Grows with each: the larger, the younger.
    next: u64,
    connections: HashMap<Whose, usize>,
}

struct Shaking {
    number: u64,
    /// Dropped when the place is given to another.
    _kept: oneshot::Sender<()>,
}

/// A place for one handshake.
pub(crate) struct Handshake {
    gate: Arc<Gate>,
    network: IpAddr,
    number: u64,
    kept: oneshot::Receiver<()>,
}

/// A place for one connection.
pub(crate) struct Stay {
    gate: Arc<Gate>,
    whose: Whose,
}

impl Gate {
    pub(crate) fn new(settings: &ListenSettings, arrivals: Arc<Arrivals>) -> Arc<Self> {
        Arc::new(Self {
            handshakes: settings.handshakes.max(1),
            handshakes_of_one: settings.handshakes_of_one,
            connections_of_one: settings.connections_of_one,
            arrivals,
            places: Mutex::default(),
        })
    }

    pub(crate) fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody begin a handshake, unless too many of his network do.
    pub(crate) fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Handshake> {
        let network = network_of(from);
        let mut places = self.places();
        if places.lines.get(&network).is_some_and(|line| line.len() >= self.handshakes_of_one) {
            self.arrivals.turn_away(Turned::Network);
            return None;
        }
        if places.shaking >= self.handshakes && places.give_one_up() {
            self.arrivals.turn_away(Turned::Crowd);
        }
        let (sender, kept) = oneshot::channel();
        let number = places.next;
        places.next += 1;
        places.shaking += 1;
        places.lines.entry(network).or_default().push_back(Shaking { number, _kept: sender });
        Some(Handshake { gate: Arc::clone(self), network, number, kept })
    }

    /// Lets somebody stay who has shaken hands, unless too many of his do.
    pub(crate) fn stay(self: &Arc<Self>, whose: Whose) -> Option<Stay> {
        let mut places = self.places();
        let count = places.connections.entry(whose).or_default();
        if *count >= self.connections_of_one {
            self.arrivals.turn_away(Turned::Many);
            return None;
        }
        *count += 1;
        self.arrivals.open.fetch_add(1, Ordering::Relaxed);
        Some(Stay { gate: Arc::clone(self), whose })
    }
}

impl Places {
    /// Ends the oldest handshake of the network with the most.
    fn give_one_up(&mut self) -> bool {
        let age = |line: &VecDeque<Shaking>| Reverse(line.front().map_or(u64::MAX, |oldest| oldest.number));
        let most = self.lines.iter().max_by_key(|(_, line)| (line.len(), age(line)));
        let Some((&network, &Shaking { number, .. })) =
            most.and_then(|(network, line)| Some((network, line.front()?)))
        else {
            return false;
        };
        self.leave(network, number);
        true
    }

    fn leave(&mut self, network: IpAddr, number: u64) {
        let Some(line) = self.lines.get_mut(&network) else { return };
        // Whose place was given to another is not there any more.
        let Some(at) = line.iter().position(|shaking| shaking.number == number) else { return };
        line.remove(at);
        self.shaking -= 1;
        if line.is_empty() {
            self.lines.remove(&network);
        }
    }
}

impl Handshake {
    /// When the place was given to another.
    pub(crate) async fn given_up(&mut self) {
        drop((&mut self.kept).await);
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.gate.places().leave(self.network, self.number);
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut places = self.gate.places();
        self.gate.arrivals.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = places.connections.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                places.connections.remove(&self.whose);
            }
        }
    }
}

/// The network of an address: what one attacker has many of is one.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn gate() -> Arc<Gate> {
        let settings = ListenSettings {
            handshakes: 6,
            handshakes_of_one: 4,
            connections_of_one: 2,
            ..ListenSettings::default()
        };
        Gate::new(&settings, Arc::default())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn turned(gate: &Gate) -> Vec<(&'static str, u64)> {
        gate.arrivals().turned_away().filter(|(_, n)| *n > 0).collect()
    }

    fn is_kept(handshake: &mut Handshake) -> bool {
        handshake.given_up().now_or_never().is_none()
    }

    #[test]
    fn one_network_gets_its_part_and_no_more() {
        let gate = gate();
        let enter = |last: u8| gate.enter(ip(&format!("2001:db8::{last:x}")));
        let mut held: Vec<_> = (0..4).map(|n| enter(n).unwrap()).collect();
        assert!(enter(9).is_none(), "the same /64");
        assert!(gate.enter(ip("2001:db8:0:1::1")).is_some());
        assert_eq!(turned(&gate), [("network", 1)]);
        drop(held.pop());
        assert!(enter(9).is_some());
        drop(held);
        let places = gate.places();
        assert!(places.lines.is_empty() && places.shaking == 0, "nothing is remembered of who has gone");
    }

    #[test]
    fn a_newcomer_gets_the_oldest_place_of_the_network_with_the_most() {
        let gate = gate();
        let mut crowd: Vec<_> = (0..4).map(|_| gate.enter(ip("192.0.2.1")).unwrap()).collect();
        let mut others: Vec<_> = ["192.0.2.2", "192.0.2.3"].map(|text| gate.enter(ip(text)).unwrap()).into();
        let mut newcomer = gate.enter(ip("198.51.100.1")).unwrap();
        let kept: Vec<_> = crowd.iter_mut().map(is_kept).collect();
        assert_eq!(kept, [false, true, true, true]);
        assert!(others.iter_mut().all(is_kept) && is_kept(&mut newcomer));
        drop(crowd.remove(0));
        assert_eq!(gate.places().shaking, 6, "who was sent away frees no second place");
        // Where all have one, the oldest goes.
        drop(crowd);
        let mut more: Vec<_> = (10..13).map(|n| gate.enter(ip(&format!("192.0.2.{n}"))).unwrap()).collect();
        let _last = gate.enter(ip("::ffff:192.0.2.99")).unwrap();
        assert_eq!((is_kept(&mut others[0]), is_kept(&mut others[1])), (false, true));
        assert!(more.iter_mut().all(is_kept));
        assert_eq!(turned(&gate), [("crowd", 2)]);
    }

    #[test]
    fn connections_are_counted_by_host_or_network() {
        let gate = gate();
        let host = |n: u8| Whose::of(Some(HostId::from_bytes([n; 16])), ip("192.0.2.1"));
        let of_one = [gate.stay(host(1)), gate.stay(host(1))];
        assert!(of_one.iter().all(Option::is_some) && gate.stay(host(1)).is_none());
        let other = gate.stay(host(2));
        assert!(other.is_some() && gate.stay(Whose::of(None, ip("192.0.2.1"))).is_some());
        assert_eq!((gate.arrivals().open(), turned(&gate)), (3, vec![("many", 1)]));
        drop(of_one);
        assert!(gate.stay(host(1)).is_some());
        drop(other);
        assert!(gate.places().connections.is_empty());
    }
}
