//! Who is there: hosts of the fleet, scanners with their habits, the long tail, the neighbours inside.

use super::rng::Rng;
use bartizan_model::HostId;

pub(super) const HOSTS: usize = 200;
const SCANNERS: usize = 30_000;
const TAIL: usize = 600_000;
const NETS: usize = 8000;
/// Scanners that never pause.
const TIRELESS: usize = 300;

/// Ports that are knocked at, with how often.
#[rustfmt::skip]
pub(super) const TCP_PORTS: &[(u16, f32)] = &[
    (22, 12.), (23, 11.), (445, 9.), (3389, 7.), (80, 6.), (443, 6.), (8080, 5.), (6379, 3.), (5060, 1.), (8443, 2.),
    (3306, 2.), (1433, 2.), (2222, 2.), (25, 2.), (21, 1.5), (5432, 1.5), (5900, 1.5), (5555, 1.5), (2323, 1.5),
    (8088, 1.), (9200, 1.), (27017, 1.), (8081, 1.), (81, 1.), (2375, 0.8), (7547, 1.), (8291, 1.), (8728, 0.7),
    (37215, 0.7), (52869, 0.5), (60001, 0.5), (110, 0.5), (143, 0.5), (993, 0.5), (995, 0.4), (88, 0.4), (11211, 0.4),
    (389, 0.4), (5985, 0.4), (9000, 0.4), (8000, 0.6), (8888, 0.6), (1080, 0.5), (3128, 0.5), (10000, 0.4), (5000, 0.4),
    (2376, 0.3), (6443, 0.3), (4444, 0.3), (1723, 0.3),
];
#[rustfmt::skip]
pub(super) const UDP_PORTS: &[(u16, f32)] = &[
    (5060, 30.), (53, 16.), (123, 10.), (161, 9.), (1900, 8.), (389, 4.), (11211, 3.), (137, 5.), (5353, 4.), (500, 3.),
    (69, 2.), (111, 2.), (3478, 2.), (5683, 2.), (1194, 1.), (51820, 1.), (33434, 3.),
];

/// A host of the fleet.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) id: HostId,
    pub(super) v4: u128,
    pub(super) v6: u128,
    pub(super) inside: u128,
    pub(super) interface: u8,
    /// Of its two gateways.
    pub(super) macs: [u64; 2],
    /// Routers before it.
    pub(super) hops: u8,
}

/// What a scanner does with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// One port everywhere.
    One,
    /// A few.
    Few,
    /// Any.
    Any,
    /// All in turn.
    Sweep,
}

/// A source that comes again and again.
#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) address: u128,
    pub(super) v6: bool,
    pub(super) habit: Habit,
    pub(super) proto: u8,
    /// 0: another one each time.
    pub(super) sport: u16,
    pub(super) length: u16,
    pub(super) ttl: u8,
    pub(super) ports: Vec<u16>,
    pub(super) weight: f64,
    /// Minutes in which it is at work.
    pub(super) windows: [(u32, u32); 3],
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) hosts: Vec<Host>,
    /// Running sums of how much each host gets.
    shares: Vec<f64>,
    pub(super) scanners: Vec<Scanner>,
    pub(super) tail: Vec<u128>,
    /// Neighbours inside, with their hardware addresses.
    pub(super) inside: Vec<(u128, u64)>,
    /// Whom hosts talk to.
    pub(super) outside: Vec<u128>,
}

impl World {
    pub(super) fn new(seed: u64, minutes: u32) -> Self {
        let mut r = Rng::new(seed, 1);
        let (hosts, shares) = hosts(seed, &mut r);
        let nets: Vec<u32> = (0..NETS).map(|_| public_v4(&mut r) & 0xffff_ff00).collect();
        let scanners = (0..SCANNERS).map(|rank| scanner(rank, &nets, minutes, &mut r)).collect();
        let tail = (0..TAIL)
            .map(|i| if i % 20 == 3 { public_v6(&mut r) } else { mapped(public_v4(&mut r)) })
            .collect();
        let inside = (0..2000)
            .map(|_| {
                let address = (10 << 24) | ((r.below(8) as u32) << 16) | r.below(65_536) as u32;
                (mapped(address), 0x5254_0000_0000 | r.below(1 << 32))
            })
            .collect();
        let outside = (0..5000).map(|_| mapped(public_v4(&mut r))).collect();
        Self { hosts, shares, scanners, tail, inside, outside }
    }

    /// Any host, busy ones more often.
    pub(super) fn any_host(&self, r: &mut Rng) -> usize {
        let x = r.unit() * self.shares[HOSTS - 1];
        self.shares.partition_point(|share| *share < x).min(HOSTS - 1)
    }
}

fn hosts(seed: u64, r: &mut Rng) -> (Vec<Host>, Vec<f64>) {
    const ROLES: [&str; 8] = ["web", "db", "mail", "dns", "app", "bastion", "k8s", "mon"];
    let gateways: Vec<[u64; 2]> =
        (0..10).map(|i| [0x5e00_0100 | i, 0x0016_3e00_0000 | r.below(1 << 24)]).collect();
    let mut ids = Rng::new(seed, 2);
    let (mut hosts, mut shares, mut sum) = (Vec::with_capacity(HOSTS), Vec::with_capacity(HOSTS), 0.0);
    for i in 0..HOSTS {
        let interface = r.pick(&[0, 0, 0, 1, 1, 2, 2, 3]);
        let (rack, place) = ((i / 50) as u32, (i % 50) as u32);
        sum += (0.8 * r.gauss()).exp();
        shares.push(sum);
        hosts.push(Host {
            name: format!("{}-{:03}.dc{}.example.net", ROLES[i % 8], i + 1, 1 + i / 70),
            id: HostId::from_bytes((u128::from(ids.bits()) << 64 | u128::from(ids.bits())).to_be_bytes()),
            v4: mapped((198 << 24) | (18 << 16) | (rack << 8) | (10 + place)),
            v6: (0x2001_0db8 << 96) | (u128::from(1 + rack) << 64) | (i as u128 + 0x10),
            inside: mapped((10 << 24) | (20 << 16) | (rack << 8) | (10 + place)),
            interface,
            macs: gateways[i / 20],
            hops: r.below(3) as u8,
        });
    }
    (hosts, shares)
}

fn scanner(rank: usize, nets: &[u32], minutes: u32, r: &mut Rng) -> Scanner {
    let v6 = rank % 20 == 7;
    let mut address = if v6 {
        public_v6(r)
    } else if r.chance(0.6) {
        // half of the scanners live in few networks
        mapped(nets[(r.unit() * r.unit() * NETS as f64) as usize] | r.below(256) as u32)
    } else {
        mapped(public_v4(r))
    };
    if rank % 250 == 101 {
        address = mapped((203 << 24) | (113 << 8) | (rank / 250) as u32);
    }
    let proto = match r.below(1000) {
        0..=807 => 6,
        808..=908 => 17,
        909..=980 if v6 => 58,
        909..=980 => 1,
        _ => r.pick(&[47, 50, 132, 41]),
    };
    let habit = match r.below(100) {
        0..=59 => Habit::One,
        60..=89 => Habit::Few,
        90..=96 => Habit::Any,
        _ => Habit::Sweep,
    };
    let table = if proto == 17 { UDP_PORTS } else { TCP_PORTS };
    let ports = match habit {
        Habit::One => vec![r.weighted(table)],
        Habit::Few => (0..3 + r.below(15)).map(|_| r.weighted(table)).collect(),
        Habit::Any | Habit::Sweep => Vec::new(),
    };
    let sport = if r.chance(0.25) {
        r.pick(&[40_000_u16, 50_000, 51_000, 46_000, 34_567, 54_321]).wrapping_add(r.below(3000) as u16)
    } else {
        0
    };
    let length = match proto {
        _ if v6 => 60 + r.pick(&[0, 4, 20, 12]),
        17 => r.pick(&[48, 29, 68, 60, 78, 150, 440, 36]),
        1 => r.pick(&[28, 84, 60]),
        _ => match r.below(100) {
            0..=44 => 40,
            45..=69 => 44,
            70..=91 => 60,
            _ => 52,
        },
    };
    let ttl = (r.pick(&[255_u16, 64, 128, 64, 255]) - 5 - r.below(20) as u16) as u8;
    let mut weight = 1.0 / ((rank as f64) + 10.0).powf(1.05);
    let mut windows = [(0, 0); 3];
    if rank < TIRELESS {
        windows[0] = (0, minutes);
    } else {
        let mut total = 0;
        for window in windows.iter_mut().take(1 + r.below(3) as usize) {
            let (length, start) = (10 + r.below(350) as u32, r.below(u64::from(minutes)) as u32);
            *window = (start, (start + length).min(minutes));
            total += window.1 - window.0;
        }
        weight = (weight * f64::from(minutes) / f64::from(total)).min(0.02);
    }
    Scanner { address, v6, habit, proto, sport, length, ttl, ports, weight, windows }
}

/// An IPv4 address as the 16 bytes of the tables.
pub(super) const fn mapped(v4: u32) -> u128 {
    (0xffff << 32) | v4 as u128
}

/// An address of the internet that is not one of ours or of the examples.
pub(super) fn public_v4(r: &mut Rng) -> u32 {
    loop {
        let address = r.bits() as u32;
        if !matches!(address >> 24, 0 | 10 | 127 | 192 | 198 | 203 | 224..) {
            return address;
        }
    }
}

fn public_v6(r: &mut Rng) -> u128 {
    let prefix = r.pick(&[0x2a03_0000_u128, 0x2600_0000, 0x2001_0000, 0x2a01_0000]);
    ((prefix | u128::from(r.below(4096))) << 96) | (u128::from(r.below(1 << 20)) << 64) | u128::from(r.bits())
}
