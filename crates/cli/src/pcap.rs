//! Packets as a capture file that tcpdump and Wireshark read.
//!
//! The classic format (draft-ietf-opsawg-pcap): little-endian, microseconds, LINKTYPE_RAW: each record is an IP
//! packet from its header on, as NFLOG gives it. What is not an IP packet has no place in such a file.

use std::io::{self, Write};

/// LINKTYPE_RAW.
const RAW: u32 = 101;
/// No packet is longer.
const SNAP: u32 = 65_535;

/// Writes a capture file.
pub(crate) struct Pcap<W> {
    out: W,
}

impl<W: Write> Pcap<W> {
    /// Begins one.
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        out.write_all(&2_u16.to_le_bytes())?;
        out.write_all(&4_u16.to_le_bytes())?;
        out.write_all(&[0; 8])?;
        out.write_all(&SNAP.to_le_bytes())?;
        out.write_all(&RAW.to_le_bytes())?;
        Ok(Self { out })
    }

    /// One packet with the time of its event, in microseconds since 1970; whether it is one that the file can hold.
    /// Times before 1970 or after 2106 are the nearest that it can.
    pub(crate) fn packet(&mut self, micros: i64, bytes: &[u8]) -> io::Result<bool> {
        let Some(length) = length(bytes) else { return Ok(false) };
        let bytes = &bytes[..bytes.len().min(SNAP as usize).min(length)];
        let micros = u64::try_from(micros).unwrap_or(0);
        let seconds = u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX);
        let rest = u32::try_from(micros % 1_000_000).unwrap_or(0);
        let kept = u32::try_from(bytes.len()).unwrap_or(SNAP);
        for number in [seconds, rest, kept, u32::try_from(length).unwrap_or(SNAP)] {
            self.out.write_all(&number.to_le_bytes())?;
        }
        self.out.write_all(bytes)?;
        Ok(true)
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The length of an IP packet by its header; `None` for what is none. Of a bridge or an interface there may be ARP
/// or a VLAN tag instead.
fn length(bytes: &[u8]) -> Option<usize> {
    let word = |at: usize| Some(usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    match bytes.first()? >> 4 {
        4 => {
            let header = usize::from(bytes[0] & 15) * 4;
            // A packet that is to be cut by the network card later has no length of its own yet.
            let total = word(2)?;
            let length = if total == 0 { bytes.len() } else { total };
            (header >= 20 && length >= header).then_some(length)
        }
        6 => {
            let payload = word(4)?;
            Some(if payload == 0 { bytes.len().max(40) } else { payload + 40 })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_ip_packets_with_their_times() {
        let mut out = Vec::new();
        let mut pcap = Pcap::new(&mut out).unwrap();
        let v4 = [0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2];
        assert!(pcap.packet(5_000_007, &v4).unwrap());
        for other in
            [&[][..], &[0, 1, 8, 0, 6, 4, 0, 1], &[0x41, 0, 0, 60], &[0x45, 0, 0], &[0x60, 1, 0x08, 0]]
        {
            assert!(!pcap.packet(0, other).unwrap(), "{other:?}");
        }
        let mut padded = v4.to_vec();
        padded[3] = 20;
        padded.extend([0; 6]);
        assert!(pcap.packet(-1, &padded).unwrap());
        pcap.finish().unwrap();
        let words = |range: std::ops::Range<usize>| -> Vec<u32> {
            out[range].chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect()
        };
        assert_eq!(words(20..24), [RAW]);
        assert_eq!(words(24..40), [5, 7, 20, 60]);
        assert_eq!(&out[40..60], v4);
        assert_eq!(words(60..76), [0, 0, 20, 20], "what follows the packet is not of it");
        assert_eq!(out.len(), 96);
    }
}
