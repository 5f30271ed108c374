//! Ethernet frames of every kind that the decoder has a branch for, whole and broken, from a seed.
//!
//! Each has a name for the message of a failing test. What tells them apart on the other side is their source
//! hardware address: see [`address`].

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Hardware address of the interface at which the frames arrive.
pub(super) const RECEIVER: &str = "02:00:00:00:00:02";

/// A frame with what it is.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) name: String,
    /// Whether every header in it is all there, with lengths that are right.
    pub(super) whole: bool,
    pub(super) bytes: Vec<u8>,
}

impl Frame {
    /// A frame of somebody else that gets the address of frame `number`. None under 14 bytes: it cannot be sent.
    pub(super) fn foreign(number: usize, name: String, bytes: &[u8]) -> Option<Self> {
        let mut bytes = bytes.to_vec();
        bytes.get_mut(..14)?[6..12].copy_from_slice(&octets(number));
        Some(Self { name, whole: false, bytes })
    }
}

/// The source hardware address of frame `number`.
pub(super) fn address(number: usize) -> String {
    source(&[[0; 6], octets(number)].concat())
}

/// The source hardware address of a frame.
pub(super) fn source(frame: &[u8]) -> String {
    let octets: Vec<_> = frame[6..12].iter().map(|o| format!("{o:02x}")).collect();
    octets.join(":")
}

fn octets(number: usize) -> [u8; 6] {
    let [.., a, b, c] = number.to_be_bytes();
    [0x02, 0xb7, 0, a, b, c]
}

/// `rounds` of each kind.
pub(super) fn all(seed: u64, rounds: usize) -> Vec<Frame> {
    let mut make = Make { random: StdRng::seed_from_u64(seed) };
    let mut frames: Vec<Frame> = Vec::new();
    for round in 0..rounds {
        for (name, ether_type, packet) in make.packets(round) {
            let number = frames.len();
            let link = make.link(number, ether_type, round);
            let (whole, name) = (!name.starts_with(BROKEN), name.trim_start_matches(BROKEN));
            frames.push(Frame { name: format!("{name} {round}"), whole, bytes: [link, packet].concat() });
        }
    }
    // Every whole frame of the first round, cut at a random place.
    for whole in 0..frames.len() / rounds {
        let source = &frames[whole];
        let length = make.random.random_range(14..=source.bytes.len());
        let frame = Frame::foreign(frames.len(), format!("{} cut", source.name), &source.bytes[..length]);
        frames.push(frame.unwrap());
    }
    frames
}

struct Make {
    random: StdRng,
}

/// In front of the name of what is not whole.
const BROKEN: char = '!';

const V4: u16 = 0x0800;
const V6: u16 = 0x86dd;

impl Make {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.random.random()).collect()
    }

    /// The Ethernet header: mostly plain, now and then with one or two tags.
    fn link(&mut self, number: usize, ether_type: u16, round: usize) -> Vec<u8> {
        let mut link = vec![2, 0, 0, 0, 0, 2];
        link.extend(octets(number));
        let tags: &[u16] = match round % 8 {
            1 => &[0x8100],
            2 => &[0x88a8],
            3 => &[0x88a8, 0x8100],
            4 => &[0x8100, 0x8100],
            _ => &[],
        };
        for tag in tags {
            link.extend(tag.to_be_bytes());
            link.extend(self.random.random::<u16>().to_be_bytes());
        }
        link.extend(ether_type.to_be_bytes());
        link
    }

    /// One of each kind: its name, EtherType and bytes.
    fn packets(&mut self, round: usize) -> Vec<(&'static str, u16, Vec<u8>)> {
        let mut all = Vec::new();
        let tcp = self.tcp(round as u16 * 13);
        all.push(("v4 tcp", V4, self.v4(6, 0x4000, 0, &tcp)));
        let tcp = self.tcp(flags(round));
        all.push(("v4 options tcp", V4, self.v4(6, 0, 1 + round % 10, &tcp)));
        let tcp = self.tcp(flags(round + 7));
        all.push(("v6 tcp", V6, self.v6(6, &tcp)));
        for (name, proto) in [("udp", 17), ("udp-lite", 136), ("dccp", 33), ("sctp", 132)] {
            let body = self.transport(proto);
            all.push((name, V4, self.v4(proto, 0, 0, &body)));
            let body = self.transport(proto);
            all.push((name, V6, self.v6(proto, &body)));
        }
        for proto in [4, 47, 50, 51, 89, 112, 253] {
            let body = self.bytes(40);
            all.push(("v4 other", V4, self.v4(proto, 0x8000, 0, &body)));
        }
        for proto in [47, 50, 59, 89, 112, 253] {
            let body = self.bytes(40);
            all.push(("v6 other", V6, self.v6(proto, &body)));
        }
        for kind in [0, 8, 9, 13, 17, 42] {
            let body = self.icmp(kind, &[]);
            all.push(("icmp", V4, self.v4(1, 0, 0, &body)));
        }
        for kind in [128, 129, 133, 135, 143, 200] {
            let body = self.icmp(kind, &[]);
            all.push(("icmpv6", V6, self.v6(58, &body)));
        }
        self.errors(round, &mut all);
        self.fragments(&mut all);
        self.extensions(round, &mut all);
        self.broken(&mut all);
        for operation in [1, 2, 3, 9] {
            let mut arp = vec![0, 1, 8, 0, 6, 4, 0, operation];
            arp.extend(self.bytes(20));
            all.push(("arp", if operation < 3 { 0x0806 } else { 0x8035 }, arp));
        }
        let junk = self.bytes(30);
        all.push(("another EtherType", 0x88b5, junk.clone()));
        all.push(("a length for a type", 30, [&[0x42, 0x42, 3], &junk[3..]].concat()));
        all
    }

    /// ICMP errors with the quoted packet whole, cut as old systems do, and of every protocol with ports.
    fn errors(&mut self, round: usize, all: &mut Vec<(&'static str, u16, Vec<u8>)>) {
        const PROTOCOLS: [u8; 5] = [6, 17, 132, 1, 47];
        for (n, kind) in [3, 4, 5, 11, 12].into_iter().enumerate() {
            let proto = PROTOCOLS[(round + n) % PROTOCOLS.len()];
            let body = self.transport(proto);
            let mut quoted = self.v4(proto, 0x4000, round % 3, &body);
            let mut name = if (kind, proto) == (5, 132) { "!icmp redirect of SCTP" } else { "icmp error" };
            if round % 2 == 1 {
                quoted.truncate(20 + 4 * (round % 3) + 8);
                name = "!icmp error that quotes 8 bytes";
            }
            let body = self.icmp(kind, &quoted);
            all.push((name, V4, self.v4(1, 0, 0, &body)));
        }
        for (n, kind) in [1, 2, 3, 4].into_iter().enumerate() {
            let proto = PROTOCOLS[(round + n) % PROTOCOLS.len()];
            let body = self.transport(proto);
            let quoted = if round.is_multiple_of(2) {
                self.v6(proto, &body)
            } else {
                let options = [&[proto, 0, 1, 4, 0, 0, 0, 0], &body[..]].concat();
                self.v6(60, &options)
            };
            let body = self.icmp(kind, &quoted);
            all.push(("icmpv6 error", V6, self.v6(58, &body)));
        }
    }

    fn fragments(&mut self, all: &mut Vec<(&'static str, u16, Vec<u8>)>) {
        let later = self.random.random_range(2..0x1fff);
        let udp = self.transport(17);
        all.push(("v4 first fragment", V4, self.v4(17, 0x2000, 0, &udp)));
        all.push(("v4 middle fragment", V4, self.v4(17, 0x2000 | later, 0, &udp)));
        all.push(("v4 last fragment", V4, self.v4(6, later, 0, &udp)));
        for (name, field) in [
            ("v6 first fragment", 1u16),
            ("v6 middle fragment", later << 3 | 1),
            ("v6 last fragment", later << 3),
            ("v6 atomic fragment", 0),
        ] {
            let mut header = vec![17, 0];
            header.extend(field.to_be_bytes());
            header.extend(self.bytes(4));
            all.push((name, V6, self.v6(44, &[header, udp.clone()].concat())));
        }
    }

    fn extensions(&mut self, round: usize, all: &mut Vec<(&'static str, u16, Vec<u8>)>) {
        let proto = [6, 17, 58, 132, 59][round % 5];
        let inner = self.transport(proto);
        let hop = |next: u8| vec![next, 0, 5, 2, 0, 0, 1, 0];
        let options = |next: u8| vec![next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let routing = |next: u8| [&[next, 2, 4, 0, 0, 0, 0, 0], &[0x20; 16][..]].concat();
        let auth = |next: u8| [&[next, 4, 0, 0], &[7; 20][..]].concat();
        let chains: [(&str, u8, Vec<Vec<u8>>); 5] = [
            ("v6 hop-by-hop", 0, vec![hop(proto)]),
            ("v6 destination options", 60, vec![options(proto)]),
            ("v6 routing", 43, vec![routing(proto)]),
            ("v6 authentication", 51, vec![auth(proto)]),
            ("v6 everything", 0, vec![hop(60), options(43), routing(51), auth(60), options(proto)]),
        ];
        for (name, first, chain) in chains {
            all.push((name, V6, self.v6(first, &[chain.concat(), inner.clone()].concat())));
        }
    }

    /// Lengths that are wrong, headers that are none.
    fn broken(&mut self, all: &mut Vec<(&'static str, u16, Vec<u8>)>) {
        let tcp = self.tcp(2);
        let good = self.v4(6, 0, 0, &tcp);
        for (name, at, value) in [
            ("!v4 header length 16", 0, vec![0x44]),
            ("!v4 header length 60 of less", 0, vec![0x4f]),
            ("!v4 version 5", 0, vec![0x55]),
            ("!v4 total length 19", 2, vec![0, 19]),
            ("!v4 total length 0", 2, vec![0, 0]),
            ("!v4 total length inside TCP", 2, vec![0, 27]),
            ("!v4 total length beyond the frame", 2, vec![9, 9]),
            ("!v4 wrong checksum", 10, vec![0, 1]),
            ("!tcp header length 0", 32, vec![0]),
            ("!tcp header length 60 of less", 32, vec![0xf0]),
        ] {
            let mut packet = good.clone();
            packet[at..at + value.len()].copy_from_slice(&value);
            all.push((name, V4, packet));
        }
        let good = self.v6(6, &tcp);
        for (name, at, value) in [
            ("!v6 version 7", 0, vec![0x70]),
            ("!v6 payload length 0", 4, vec![0, 0]),
            ("!v6 payload length inside TCP", 4, vec![0, 7]),
            ("!v6 payload length beyond the frame", 4, vec![9, 9]),
        ] {
            let mut packet = good.clone();
            packet[at..at + value.len()].copy_from_slice(&value);
            all.push((name, V6, packet));
        }
        // Two bytes at least: the kernel drops a frame that ends right behind its VLAN tag before anybody sees it.
        let length = self.random.random_range(2..120);
        all.push(("!v4 of noise", V4, self.bytes(length)));
        all.push(("!v6 of noise", V6, self.bytes(length)));
        all.push(("!arp of noise", 0x0806, self.bytes(length)));
        let noise = self.bytes(length);
        all.push(("!tcp of noise", V4, self.v4(6, 0, 0, &noise)));
        all.push((
            "!icmp error about noise",
            V4,
            self.v4(1, 0, 0, &[&[3, 1, 0, 0, 0, 0, 0, 0], &noise[..]].concat()),
        ));
        all.push((
            "!icmpv6 error about noise",
            V6,
            self.v6(58, &[&[1, 1, 0, 0, 0, 0, 0, 0], &noise[..]].concat()),
        ));
    }

    /// An IPv4 packet with `words` of options and a correct checksum.
    fn v4(&mut self, proto: u8, frag: u16, words: usize, body: &[u8]) -> Vec<u8> {
        let header = 20 + words * 4;
        let mut p = vec![0x40 | (header / 4) as u8, self.random.random()];
        p.extend(((header + body.len()) as u16).to_be_bytes());
        p.extend(self.bytes(2));
        p.extend(frag.to_be_bytes());
        p.extend([self.random.random(), proto, 0, 0]);
        p.extend([198, 18, self.random.random(), self.random.random_range(1..255)]);
        p.extend([198, 19, self.random.random(), self.random.random_range(1..255)]);
        p.resize(header, 1); // no operation
        let mut sum: u32 = p.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(c[1])).sum();
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        p[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        p.extend(body);
        p
    }

    fn v6(&mut self, next: u8, body: &[u8]) -> Vec<u8> {
        let mut p = self.bytes(4);
        p[0] = 0x60 | p[0] & 0x0f;
        p.extend((body.len() as u16).to_be_bytes());
        p.extend([next, self.random.random()]);
        for host in 0..2 {
            p.extend([0x20, 0x01, 0x0d, 0xb8, 0, host]);
            p.extend(self.bytes(10));
        }
        p.extend(body);
        p
    }

    /// The header of a protocol with something behind it.
    fn transport(&mut self, proto: u8) -> Vec<u8> {
        match proto {
            6 => self.tcp(0x12),
            1 => self.icmp(8, &[]),
            58 => self.icmp(128, &[]),
            17 | 136 => {
                let payload = self.random.random_range(0..40);
                let mut p = self.ports();
                p.extend((8 + payload as u16).to_be_bytes());
                p.extend(self.bytes(2 + payload));
                p
            }
            132 => {
                let mut p = self.ports();
                p.extend(self.bytes(8));
                p.extend([1, 0, 0, 20]);
                p.extend(self.bytes(16));
                p
            }
            33 => {
                let mut p = self.ports();
                p.extend([5, 0]);
                p.extend(self.bytes(2));
                p.extend([0x01, 0]); // request, 48 bits of number
                p.extend(self.bytes(10));
                p
            }
            _ => self.bytes(24),
        }
    }

    /// Ports that no dissector of an application claims.
    fn ports(&mut self) -> Vec<u8> {
        let mut p = Vec::new();
        for _ in 0..2 {
            p.extend(self.random.random_range(50_000..60_000u16).to_be_bytes());
        }
        p
    }

    /// 12 bits of flags, reserved ones too, and sometimes options.
    fn tcp(&mut self, flags: u16) -> Vec<u8> {
        const OPTIONS: &[u8] = &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
        let options = if self.random.random() { OPTIONS } else { &[] };
        let mut p = self.ports();
        p.extend(self.bytes(8));
        p.extend((flags & 0x0fff | ((20 + options.len() as u16) / 4) << 12).to_be_bytes());
        p.extend(self.bytes(4));
        p.extend([0, 0]);
        p.extend(options);
        p.extend(b"bartizan");
        p
    }

    fn icmp(&mut self, kind: u8, quoted: &[u8]) -> Vec<u8> {
        let mut p = vec![kind, self.random.random_range(0..6)];
        p.extend(self.bytes(2));
        // The second half of an error's header would be the length of an extension (RFC 4884).
        p.extend(if quoted.is_empty() { self.bytes(4) } else { vec![0; 4] });
        p.extend(quoted);
        p
    }
}

/// All nine flags, in an order that reaches rare ones early.
fn flags(round: usize) -> u16 {
    (round as u16).wrapping_mul(0x0095) & 0x01ff
}
