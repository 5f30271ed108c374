//! What happens in one minute: scans, the long tail, spoofed floods, neighbours, what hosts send themselves.

use super::Event;
use super::rng::Rng;
use super::world::{HOSTS, Habit, Host, TCP_PORTS, UDP_PORTS, World, mapped, public_v4};

const UIDS: [u32; 10] = [0, 33, 48, 99, 998, 1000, 1001, 1002, 1005, 65_534];
/// The address that is looked for: a few rows at a few moments of the last day.
pub(super) const NEEDLE: u32 = 0xc000_024d; // 192.0.2.77
/// Minutes before the end at which it comes.
const NEEDLE_MINUTES: [u32; 6] = [1239, 1238, 707, 231, 3000, 6000];

/// Places in [`super::PREFIXES`].
mod prefix {
    pub(super) const DROP_IN: u8 = 0;
    pub(super) const DROP_INVALID: u8 = 1;
    pub(super) const SCAN_PORT: u8 = 2;
    pub(super) const SCAN_NULL: u8 = 3;
    pub(super) const SCAN_XMAS: u8 = 4;
    pub(super) const SSH_BRUTE: u8 = 5;
    pub(super) const DROP_FWD: u8 = 6;
    pub(super) const REJECT_OUT: u8 = 7;
    pub(super) const ACCEPT_NEW: u8 = 8;
    pub(super) const DROP_BOGON: u8 = 9;
    pub(super) const RATE_LIMIT: u8 = 10;
    pub(super) const DROP_ICMP: u8 = 11;
}

const SYN: u8 = 2;

/// One minute being made.
pub(super) struct Minute<'a> {
    world: &'a World,
    minute: u32,
    /// Its first moment, in microseconds.
    start: i64,
    r: Rng,
    /// The scanners at work, with running sums of their weights.
    active: Vec<usize>,
    sums: Vec<f64>,
}

impl<'a> Minute<'a> {
    pub(super) fn new(world: &'a World, seed: u64, minute: u32, start: i64) -> Self {
        let (mut active, mut sums, mut sum) = (Vec::with_capacity(8000), Vec::with_capacity(8000), 0.0);
        for (i, scanner) in world.scanners.iter().enumerate() {
            if scanner.windows.iter().any(|(from, to)| (*from..*to).contains(&minute)) {
                sum += scanner.weight;
                sums.push(sum);
                active.push(i);
            }
        }
        Self { world, minute, start, r: Rng::new(seed, 1000 + u64::from(minute)), active, sums }
    }

    /// Adds its events, in order of time. `mean` is how many a minute has; `left` how many minutes follow, this one
    /// included.
    pub(super) fn events(mut self, seed: u64, mean: f64, left: u32, out: &mut Vec<Event>) {
        let of_day = self.minute % 1440;
        let day = (f64::from(of_day) / 1440.0 * std::f64::consts::TAU).sin();
        let rate = mean * (1.0 + 0.25 * day) * 0.9667;
        let flood = match of_day {
            187..=189 | 604..=606 | 911..=913 | 1333..=1335 => (rate * 4.0) as usize,
            _ => 0,
        };
        let all = (rate + self.r.gauss() * rate.sqrt()) as usize + flood;
        let first = out.len();
        let victim = Rng::new(seed, 77 + u64::from(of_day / 300)).below(HOSTS as u64) as usize;
        for i in 0..all {
            let time = self.start + self.r.below(60_000_000) as i64;
            let spoofed = i >= all - flood;
            // packets that are sent again because nobody answered
            if i > 50 && !spoofed && self.r.chance(0.15) {
                let again = out[first + self.r.below(i as u64) as usize];
                out.push(Event { time, ..again });
                continue;
            }
            let mut event = Event { time, ..Event::default() };
            if spoofed {
                self.spoofed(&mut event, victim, if of_day < 600 { 443 } else { 80 });
            } else {
                self.genuine(&mut event);
            }
            out.push(event);
        }
        if NEEDLE_MINUTES.contains(&left) {
            (0..10).for_each(|_| out.push(self.needle()));
        }
        out[first..].sort_unstable_by_key(|event| event.time);
    }

    fn spoofed(&mut self, event: &mut Event, victim: usize, dport: u16) {
        let (host, r) = (&self.world.hosts[victim], &mut self.r);
        event.host = victim as u8;
        event.src = mapped(public_v4(r));
        event.dst = host.v4;
        event.proto = 6;
        event.ports = Some((any_port(r), dport));
        event.length = 40;
        event.ttl = 48 + r.below(10) as u8;
        event.tcp_flags = Some(SYN);
        event.hook = 1;
        event.in_if = Some(host.interface);
        event.prefix = if r.chance(0.8) { prefix::RATE_LIMIT } else { prefix::DROP_IN };
        event.mac = Some(host.macs[0]);
    }

    fn genuine(&mut self, event: &mut Event) {
        let number = self.world.any_host(&mut self.r);
        let host = &self.world.hosts[number];
        event.host = number as u8;
        match self.r.unit() {
            kind if kind < 0.88 => self.internet(event, host),
            kind if kind < 0.97 => self.inside(event, host),
            _ => self.outbound(event, host),
        }
        if self.r.chance(0.05) {
            event.mark = Some(self.r.pick(&[1, 0x10, 0x20]));
        }
    }

    fn internet(&mut self, event: &mut Event, host: &Host) {
        event.mac = Some(host.macs[usize::from(self.r.chance(0.1))]);
        event.in_if = Some(host.interface);
        event.hook = 1;
        let (habit, sport, dport) =
            if self.r.chance(0.86) { self.by_scanner(event, host) } else { self.by_tail(event, host) };
        let r = &mut self.r;
        match event.proto {
            6 => {
                event.ports = Some((sport, dport));
                event.tcp_flags = Some(match r.unit() {
                    q if q < 0.95 => SYN,
                    q if q < 0.975 => 0x12,
                    q if q < 0.99 => 0x10,
                    q if q < 0.996 => 4,
                    q if q < 0.9985 => 0,
                    _ => 0x29,
                });
            }
            17 | 132 => event.ports = Some((sport, dport)),
            1 => {
                let kind = if r.chance(0.85) { 8 } else { 3 };
                event.icmp = Some((kind, if kind == 3 { r.pick(&[1, 3, 10]) } else { 0 }));
            }
            58 => event.icmp = Some((if r.chance(0.8) { 128 } else { 1 }, 0)),
            _ => {}
        }
        event.prefix = match (event.icmp, event.tcp_flags) {
            (Some(_), _) if r.chance(0.8) => prefix::DROP_ICMP,
            (Some(_), _) => prefix::RATE_LIMIT,
            (_, Some(0)) => prefix::SCAN_NULL,
            (_, Some(0x29)) => prefix::SCAN_XMAS,
            (_, Some(flags)) if flags != SYN => prefix::DROP_INVALID,
            _ if matches!(habit, Habit::Any | Habit::Sweep) && r.chance(0.7) => prefix::SCAN_PORT,
            _ if event.proto == 6 && dport == 22 && r.chance(0.5) => prefix::SSH_BRUTE,
            _ if matches!(dport, 80 | 443) && r.chance(0.4) => prefix::ACCEPT_NEW,
            _ => match r.unit() {
                q if q < 0.93 => prefix::DROP_IN,
                q if q < 0.95 => prefix::DROP_BOGON,
                _ => prefix::RATE_LIMIT,
            },
        };
        if r.chance(0.045) {
            // to a container behind the host
            event.hook = 2;
            event.out_if = Some(if r.chance(0.7) { 4 } else { 5 });
            event.dst = mapped((172 << 24) | (17 << 16) | (2 + r.below(12) as u32));
            event.prefix = prefix::DROP_FWD;
            event.ttl = event.ttl.wrapping_sub(1);
        }
    }

    fn by_scanner(&mut self, event: &mut Event, host: &Host) -> (Habit, u16, u16) {
        let r = &mut self.r;
        let x = r.unit() * self.sums.last().copied().unwrap_or_default();
        let place = self.sums.partition_point(|sum| *sum < x).min(self.active.len() - 1);
        let scanner = &self.world.scanners[self.active[place]];
        event.src = scanner.address;
        event.dst = if scanner.v6 { host.v6 } else { host.v4 };
        event.proto = scanner.proto;
        event.ttl = scanner.ttl - host.hops;
        event.length = scanner.length;
        let dport = match scanner.habit {
            Habit::One => scanner.ports[0],
            Habit::Few => r.pick(&scanner.ports),
            Habit::Any => 1 + r.below(65_534) as u16,
            Habit::Sweep => ((u64::from(self.minute) * 37 + r.below(60)) % 10_000) as u16 + 1,
        };
        let sport = if scanner.sport != 0 {
            scanner.sport
        } else if scanner.proto == 17 && scanner.habit == Habit::One && r.chance(0.5) {
            dport
        } else {
            any_port(r)
        };
        (scanner.habit, sport, dport)
    }

    fn by_tail(&mut self, event: &mut Event, host: &Host) -> (Habit, u16, u16) {
        let r = &mut self.r;
        let q = r.unit();
        let tail = &self.world.tail;
        let address = tail[(q * q * tail.len() as f64) as usize];
        let v6 = address >> 32 != 0xffff;
        event.src = address;
        event.dst = if v6 { host.v6 } else { host.v4 };
        event.proto = if r.chance(0.85) { 6 } else { 17 };
        event.ttl = 38 + (r.below(4) + r.below(16)) as u8;
        event.length = match event.proto {
            _ if v6 => 80,
            6 => r.pick(&[60, 40, 52, 60]),
            _ => 28 + r.below(100) as u16,
        };
        let dport = if r.chance(0.75) {
            r.weighted(if event.proto == 17 { UDP_PORTS } else { TCP_PORTS })
        } else {
            1 + r.below(65_534) as u16
        };
        (Habit::One, any_port(r), dport)
    }

    fn inside(&mut self, event: &mut Event, host: &Host) {
        const NOISE: [(u16, u16); 7] =
            [(137, 78), (138, 229), (1900, 202), (5353, 180), (67, 328), (161, 71), (514, 190)];
        let r = &mut self.r;
        let inside = &self.world.inside;
        let (address, mac) = inside[(r.unit() * r.unit() * inside.len() as f64) as usize];
        event.src = address;
        event.dst = host.inside;
        event.mac = Some(mac);
        event.hook = 1;
        event.in_if = Some(if host.interface == 0 { 3 } else { host.interface });
        event.ttl = if r.chance(0.7) { 64 } else { 128 };
        if r.chance(0.55) {
            let (port, length) = r.pick(&NOISE);
            event.proto = 17;
            let sport = if port < 1000 && r.chance(0.8) { port } else { high_port(r) };
            event.ports = Some((sport, port));
            event.length = length;
        } else {
            event.proto = 6;
            event.tcp_flags = Some(SYN);
            event.length = 60;
            let dport = r.pick(&[80, 443, 3306, 5432, 389, 8080, 9100, 22, 10_050, 111]);
            event.ports = Some((high_port(r), dport));
        }
        event.prefix = if r.chance(0.6) { prefix::DROP_IN } else { prefix::ACCEPT_NEW };
    }

    fn outbound(&mut self, event: &mut Event, host: &Host) {
        let r = &mut self.r;
        let outside = &self.world.outside;
        event.src = host.v4;
        event.dst = outside[(r.unit() * r.unit() * outside.len() as f64) as usize];
        event.hook = 3;
        event.out_if = Some(host.interface);
        event.ttl = 64;
        event.proto = if r.chance(0.8) { 6 } else { 17 };
        event.length = 60;
        event.tcp_flags = (event.proto == 6).then_some(SYN);
        event.uid = Some(r.pick(&UIDS));
        let dport = r.pick(&[80, 443, 25, 53, 123, 6667, 3333, 22]);
        event.ports = Some((high_port(r), dport));
        event.prefix = if r.chance(0.7) { prefix::REJECT_OUT } else { prefix::ACCEPT_NEW };
    }

    fn needle(&mut self) -> Event {
        let r = &mut self.r;
        let number = r.below(HOSTS as u64) as usize;
        let host = &self.world.hosts[number];
        Event {
            time: self.start + r.below(60_000_000) as i64,
            src: mapped(NEEDLE),
            dst: host.v4,
            mac: Some(host.macs[0]),
            host: number as u8,
            prefix: prefix::DROP_IN,
            hook: 1,
            in_if: Some(host.interface),
            proto: 6,
            ports: Some((1024 + r.below(64_000) as u16, 8443)),
            length: 44,
            ttl: 51,
            tcp_flags: Some(SYN),
            ..Event::default()
        }
    }
}

fn any_port(r: &mut Rng) -> u16 {
    1024 + r.below(64_511) as u16
}

fn high_port(r: &mut Rng) -> u16 {
    32_768 + r.below(28_000) as u16
}
