//! What ebtables' `--log` writes behind `IN=… OUT=…` (net/bridge/netfilter/ebt_log.c):
//! `MAC source = M MAC dest = M proto = 0xHHHH`, and with `--log-ip`, `--log-ip6`, `--log-arp`
//! ` IP SRC=A IP DST=A, IP tos=0xHH, IP proto=N[ SPT=N DPT=N]`,
//! ` IPv6 SRC=A IPv6 DST=A, IPv6 priority=0xH, Next Header=N[ SPT=N DPT=N]`,
//! ` ARP HTYPE=N, PTYPE=0xHHHH, OPCODE=N[ ARP MAC SRC=M ARP IP SRC=A ARP MAC DST=M ARP IP DST=A]`.

use super::{Details, Fields, SMALLEST_ETHER_TYPE};
use crate::nflog::{NFPROTO_ARP, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::text::line::Problem;
use crate::text::number::{dec, hex, mac};

/// How the words begin.
pub(in crate::text) const BEGIN: &[u8] = b" MAC source = ";

impl<'a> Fields<'a> {
    /// Reads the words behind `OUT=…`.
    #[cold]
    pub(in crate::text) fn read_ebtables(&mut self, text: &'a [u8], details: &mut impl Details) {
        let word = |name: &[u8]| {
            let at = memchr::memmem::find(text, name)? + name.len();
            let rest = &text[at..];
            Some(&rest[..memchr::memchr2(b' ', b',', rest).unwrap_or(rest.len())])
        };
        self.link.mac_src = word(b"MAC source = ").and_then(mac);
        self.link.mac_dst = word(b"MAC dest = ").and_then(mac);
        let ether_type = word(b" proto = ").and_then(hex::<u16>);
        self.link.ether_type = ether_type.filter(|t| *t >= SMALLEST_ETHER_TYPE);
        if self.link.mac_src.is_none() || self.link.mac_dst.is_none() || ether_type.is_none() {
            self.fail(Problem::Cut);
        }
        self.known += 3;
        for (name, source) in [(&b" IP SRC="[..], true), (b" IPv6 SRC=", true), (b" ARP IP SRC=", true)]
            .into_iter()
            .chain([(&b" IP DST="[..], false), (b" IPv6 DST=", false), (b" ARP IP DST=", false)])
        {
            // `ARP IP SRC=` ends like `IP SRC=`
            let slot = if source { self.headers.src } else { self.headers.dst };
            if let Some(value) = word(name).filter(|_| slot.is_none()) {
                self.address(value, source);
            }
        }
        self.headers.tos = word(b" IP tos=").or_else(|| word(b" IPv6 priority=")).and_then(hex::<u8>);
        let proto = word(b" IP proto=").or_else(|| word(b" Next Header="));
        if let Some(proto) = proto {
            self.headers.proto = self.need(dec(proto));
        }
        for (name, slot) in [(&b" SPT="[..], &mut self.ports.source), (b" DPT=", &mut self.ports.destination)]
        {
            *slot = word(name).and_then(dec);
        }
        if let Some(operation) = word(b" OPCODE=") {
            self.operation = self.need(dec(operation));
        }
        for (name, source) in [(&b" ARP MAC SRC="[..], true), (b" ARP MAC DST=", false)] {
            if let Some(value) = word(name) {
                self.arp_mac(value, source, details);
            }
        }
        self.has.proto = true;
        self.family = match ether_type {
            Some(crate::packet::ETHER_IPV4) => NFPROTO_IPV4,
            Some(crate::packet::ETHER_IPV6) => NFPROTO_IPV6,
            Some(crate::packet::ETHER_ARP | crate::packet::ETHER_RARP) => NFPROTO_ARP,
            _ => 0,
        };
        if memchr::memmem::find(text, b"INCOMPLETE").is_some() {
            details.put(b"ends_early", b"INCOMPLETE");
        }
        self.finish();
    }
}
