//! The frames of a scan: random sources, ports and ids, to one address.

use std::net::Ipv4Addr;

const ETHERNET: usize = 14;
const IP: usize = 20;
/// Bytes of the longest frame.
pub(crate) const LONGEST: usize = ETHERNET + IP + 40;
/// What scans ask for; one in eight asks for something else.
const PORTS: [u16; 32] = [
    22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 161, 389, 443, 445, 993, 1433, 1521, 1723, 2049, 2323, 3306,
    3389, 5060, 5432, 5555, 5900, 6379, 7547, 8080, 8443, 9200, 37215,
];

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Seven in ten TCP SYNs, a quarter UDP, the rest echo requests, from 46.0.0.0/8: nobody answers them.
    Scan,
    /// UDP to one port, from 10.64.0.0/10: each is a flow of its own.
    Flows,
}

/// Makes frames.
pub(crate) struct Frames {
    to: [u8; 6],
    target: Ipv4Addr,
    mix: Mix,
    state: u64,
}

impl Frames {
    pub(crate) fn new(to: [u8; 6], target: Ipv4Addr, mix: Mix, seed: u64) -> Self {
        Self { to, target, mix, state: seed | 1 }
    }

    /// Writes the next frame; its length.
    pub(crate) fn next(&mut self, frame: &mut [u8; LONGEST]) -> usize {
        let (a, b) = (self.random(), self.random());
        let kind = match (self.mix, (a >> 32) % 100) {
            (Mix::Scan, 0..70) => 6,
            (Mix::Scan, 70..95) | (Mix::Flows, _) => 17,
            (Mix::Scan, _) => 1,
        };
        let source = match self.mix {
            Mix::Scan => 0x2e00_0000 | a as u32 & 0xff_ffff,
            Mix::Flows => 0x0a40_0000 | a as u32 & 0x3f_ffff,
        };
        let sport = 1024 + ((b >> 16) % 64_000) as u16;
        let dport = match (self.mix, b & 7) {
            (Mix::Flows, _) => 9,
            (Mix::Scan, 0) => (b >> 3) as u16 | 1,
            (Mix::Scan, _) => PORTS[(b >> 3) as usize % PORTS.len()],
        };
        frame.fill(0);
        frame[..6].copy_from_slice(&self.to);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        frame[12] = 8;
        let (ip, upper) = frame[ETHERNET..].split_at_mut(IP);
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&60_u16.to_be_bytes());
        ip[4..6].copy_from_slice(&((b >> 40) as u16).to_be_bytes());
        ip[6] = 0x40;
        ip[8] = 61;
        ip[9] = kind;
        ip[12..16].copy_from_slice(&source.to_be_bytes());
        ip[16..20].copy_from_slice(&self.target.octets());
        let sum = checksum(ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        if kind == 1 {
            upper[0] = 8;
            upper[4..6].copy_from_slice(&sport.to_be_bytes());
        } else {
            upper[..2].copy_from_slice(&sport.to_be_bytes());
            upper[2..4].copy_from_slice(&dport.to_be_bytes());
        }
        match kind {
            6 => {
                upper[4..8].copy_from_slice(&((a >> 8) as u32).to_be_bytes());
                upper[12..16].copy_from_slice(&[0xa0, 2, 0xfa, 0xf0]);
            }
            // no checksum, which UDP may do without
            17 => upper[4..6].copy_from_slice(&40_u16.to_be_bytes()),
            _ => {}
        }
        LONGEST
    }

    /// xorshift64
    fn random(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_right_and_packets_differ() {
        let mut frames = Frames::new([2; 6], Ipv4Addr::new(10, 99, 0, 2), Mix::Scan, 7);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let mut frame = [0; LONGEST];
            let len = frames.next(&mut frame);
            let (sum, ip) = (checksum(&frame[14..34]), &frame[14..len]);
            assert_eq!((sum, ip[0], ip.len()), (0, 0x45, 60));
            assert_eq!(ip[12], 46, "only addresses that nobody here has");
            seen.insert(ip[12..24].to_vec());
        }
        assert!(seen.len() > 990);
    }
}
