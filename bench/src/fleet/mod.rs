//! A fleet of 200 firewalled hosts and what they log: the same events for the same seed, on every machine.
//!
//! In order of time: 30,000 scanners with habits and hours (some of many networks, a few tireless), a long tail of
//! addresses that come once, spoofed floods four times a day, neighbours inside, what hosts send themselves; 12
//! prefixes, 80 % TCP, 5 % IPv6, heavy ports and random ones, a sixth of the packets sent again.
//!
//! An hour of it is made at a time ([`Fleet::hour`]), and every hour can be made alone. [`Senders`] cuts the hours into
//! the batches of the hosts' agents. Each batch can be had as its agent sends it ([`Sent::wire`]), many together as rows
//! of the table ([`table_rows`]), and all of it as files, for us and for other stores ([`write`]).

mod columns;
mod files;
mod origin;
mod peers;
mod rng;
mod sent;
mod traffic;
mod world;

pub(crate) use columns::table_rows;
pub(crate) use files::{Form, Received, Spooled, write, write_last};
use origin::ranges;
pub(crate) use sent::{Batching, Senders, Sent};

use bartizan_model::{Action, Epoch, Lane, Micros, StreamId};
use bartizan_prefix::Dialects;
use traffic::Minute;
use world::World;

/// The first moment after the last event: 2026-11-23T00:00:00Z.
pub(crate) const END: Micros = Micros(1_795_392_000_000_000);
/// The host that questions name.
pub(crate) const HOST: &str = "web-017.dc1.example.net";
/// The prefixes of the rules.
pub(crate) const PREFIXES: [&str; 12] = [
    "DROP-IN ",
    "DROP-INVALID ",
    "SCAN-PORT ",
    "SCAN-NULL ",
    "SCAN-XMAS ",
    "SSH-BRUTE ",
    "DROP-FWD ",
    "REJECT-OUT ",
    "ACCEPT-NEW ",
    "DROP-BOGON ",
    "RATE-LIMIT ",
    "DROP-ICMP ",
];
const INTERFACES: [&str; 8] = ["eth0", "ens3", "bond0", "eth1", "docker0", "br0", "tun0", "lo"];
const HOOKS: [&str; 4] = ["prerouting", "input", "forward", "output"];

/// Which fleet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// About how many events.
    pub(crate) events: f64,
    /// In how many days.
    pub(crate) days: u32,
    pub(crate) seed: u64,
}

impl Plan {
    /// So many events of the usual fleet: 20 million are a day of it, more are more days.
    pub(crate) fn of(events: f64) -> Self {
        Self { events, days: ((events / 20e6).round() as u32).max(1), seed: 42 }
    }
}

/// One logged packet. Addresses are the 16 bytes of the tables as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) time: i64,
    pub(crate) src: u128,
    pub(crate) dst: u128,
    pub(crate) mac: Option<u64>,
    pub(crate) mark: Option<u32>,
    pub(crate) uid: Option<u32>,
    /// Its place among the hosts.
    pub(crate) host: u8,
    /// Its place in [`PREFIXES`].
    pub(crate) prefix: u8,
    /// As netfilter numbers it.
    pub(crate) hook: u8,
    pub(crate) in_if: Option<u8>,
    pub(crate) out_if: Option<u8>,
    pub(crate) proto: u8,
    /// Source and destination.
    pub(crate) ports: Option<(u16, u16)>,
    pub(crate) length: u16,
    pub(crate) ttl: u8,
    pub(crate) tcp_flags: Option<u8>,
    /// Type and code.
    pub(crate) icmp: Option<(u8, u8)>,
}

impl Event {
    pub(crate) const fn is_v6(&self) -> bool {
        self.src >> 32 != 0xffff
    }
}

/// The fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    plan: Plan,
    world: World,
    /// What each prefix says of the packet.
    actions: [Action; PREFIXES.len()],
}

impl Fleet {
    pub(crate) fn new(plan: Plan) -> Self {
        let dialects = Dialects::built_in();
        let world = World::new(plan.seed, plan.days * 1440);
        Self { plan, world, actions: PREFIXES.map(|prefix| dialects.read(prefix).action) }
    }

    /// How many hours there are.
    pub(crate) const fn hours(&self) -> u32 {
        self.plan.days * 24
    }

    /// The events of an hour, in order of time.
    pub(crate) fn hour(&self, hour: u32) -> Vec<Event> {
        let (minutes, seed) = (self.plan.days * 1440, self.plan.seed);
        let mean = self.plan.events / f64::from(minutes);
        let mut events = Vec::with_capacity((mean * 80.0) as usize);
        for minute in hour * 60..(hour + 1) * 60 {
            let left = minutes - minute;
            let start = END.0 - i64::from(left) * 60_000_000;
            Minute::new(&self.world, seed, minute, start).events(seed, mean, left, &mut events);
        }
        events
    }

    /// The stream of a host's agent.
    pub(crate) fn stream(&self, place: u8) -> StreamId {
        StreamId { host: self.world.hosts[usize::from(place)].id, lane: Lane::DISK[0], epoch: Epoch(1) }
    }

    /// The name of a host.
    pub(crate) fn host(&self, place: usize) -> &str {
        &self.world.hosts[place].name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_the_same_whenever_it_is_made() {
        let plan = Plan { events: 200_000.0, days: 1, seed: 42 };
        let (one, other) = (Fleet::new(plan), Fleet::new(plan));
        assert_eq!(one.hour(3), other.hour(3));
        assert_ne!(one.hour(3)[..100], one.hour(4)[..100]);
        assert!(one.hour(3).is_sorted_by_key(|e| e.time));
    }

    /// The proportions that questions and layouts depend on.
    #[test]
    fn the_mix_is_a_fleets() {
        let fleet = Fleet::new(Plan { events: 1e6, days: 1, seed: 42 });
        let events: Vec<Event> = (0..fleet.hours()).flat_map(|hour| fleet.hour(hour)).collect();
        let share = |of: &dyn Fn(&Event) -> bool| {
            events.iter().filter(|e| of(e)).count() as f64 / events.len() as f64
        };
        assert!((0.95e6..1.05e6).contains(&(events.len() as f64)), "{}", events.len());
        assert!((0.7..0.9).contains(&share(&|e| e.proto == 6)));
        assert!((0.02..0.08).contains(&share(&Event::is_v6)));
        assert_eq!(events.iter().filter(|e| e.src == world::mapped(traffic::NEEDLE)).count(), 40);
        assert_eq!(fleet.host(16), HOST);
    }
}
