//! The words behind `IN=… OUT=…`: one packet.
//!
//! A word means what its place says: the first `LEN=` is the packet's and the one behind `PROTO=UDP` is not, `ID=`
//! behind ICMP is the echo's, `ACK=` is a number and `ACK` a flag, and between `[` and `]` stands the packet that
//! an ICMP error quotes. Values without a column go to [`Details`].

mod audit;
mod ebtables;

pub(super) use ebtables::BEGIN as EBTABLES;

use super::line::Problem;
use super::number::{MAX_HEADER, address, colon_bytes, dec, hex, mac};
use super::token::{Token, Tokens, key};
use crate::nflog::{Link, NFPROTO_ARP, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::packet::{
    ETHER_ARP, ETHER_RARP, FRAGMENT_OFFSET, Headers, Icmp, MORE_FRAGMENTS, Mac, Ports, Quoted, Tcp, Upper,
    is_vlan,
};
use bartizan_model::Action;

const CONGESTION: u16 = 0x8000;
const DONT_FRAGMENT: u16 = 0x4000;
const SMALLEST_ETHER_TYPE: u16 = 0x0600;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The words that most lines have, as [`Token::key`] has them.
mod keys {
    use super::key;

    pub(super) const OPEN: u64 = key("(");
    pub(super) const CLOSE: u64 = key(")");
    pub(super) const END: u64 = key("]");

    macro_rules! keys {
        ($($name:ident)*) => { $(pub(super) const $name: u64 = key(stringify!($name));)* };
    }
    keys! { SRC DST LEN TOS PREC TTL ID PROTO SPT DPT WINDOW RES URGP SEQ ACK MAC TC HOPLIMIT FLOWLBL TYPE CODE MARK UID GID PHYSIN PHYSOUT SYN PSH RST FIN URG ECE CWR AE DF MF CE OPT }
}

/// Takes what no column holds.
pub(super) trait Details {
    /// A text.
    fn put(&mut self, name: &[u8], value: &[u8]);
    /// A decimal number, if the value is one.
    fn number(&mut self, name: &'static str, value: &[u8]);
}

/// Only whether there is anything.
impl Details for bool {
    #[inline]
    fn put(&mut self, _: &[u8], _: &[u8]) {
        *self = true;
    }
    #[inline]
    fn number(&mut self, _: &'static str, _: &[u8]) {
        *self = true;
    }
}

/// What the words say.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) in_if: &'a [u8],
    pub(super) out_if: &'a [u8],
    pub(super) phys_in: &'a [u8],
    pub(super) phys_out: &'a [u8],
    pub(super) link: Link,
    pub(super) family: u8,
    pub(super) headers: Headers,
    ports: Ports,
    tcp: Tcp,
    icmp: Icmp,
    operation: Option<u16>,
    pub(super) mark: u32,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// What became of the packet, where the line itself says so.
    pub(super) action: Option<Action>,
    pub(super) problem: Option<Problem>,
    /// Words that were understood.
    pub(super) known: u32,
    /// ulogd wrote the line: it puts a blank behind the prefix.
    pub(super) ulogd: bool,
    has: Has,
}

/// What was there already.
#[derive(Clone, Debug, Default)]
struct Has {
    tcp: bool,
    icmp: bool,
    quoted: bool,
    proto: bool,
    /// The kernel's own word that the packet ends early, or an end without a protocol.
    early_end: bool,
    fragment6: bool,
    /// The extension header AH was just named.
    auth: bool,
    arp: bool,
    inner: bool,
}

impl<'a> Fields<'a> {
    /// Reads words to their end.
    #[inline]
    pub(super) fn read(&mut self, text: &'a [u8], details: &mut impl Details) {
        let mut tokens = Tokens::new(text);
        while let Some(token) = tokens.next() {
            if self.has.inner {
                self.inner(token, &mut tokens);
            } else {
                self.word(token, &mut tokens, details);
            }
        }
        self.finish();
    }

    fn fail(&mut self, problem: Problem) {
        self.problem.get_or_insert(problem);
    }

    /// A value that must be there, else the line has a problem.
    #[inline]
    fn need<T>(&mut self, value: Option<T>) -> Option<T> {
        match value {
            Some(_) => self.known += 1,
            None => self.fail(Problem::Value),
        }
        value
    }

    #[inline]
    fn word(&mut self, token: Token<'a>, tokens: &mut Tokens<'a>, details: &mut impl Details) {
        let Some(value) = token.value() else { return self.bare(token, tokens, details) };
        match token.key {
            keys::SRC => self.address(value, true),
            keys::DST => self.address(value, false),
            keys::LEN => {
                // behind the protocol it is the length of what UDP carries
                if self.headers.length.is_none() && !self.has.proto {
                    self.headers.length = self.need(dec(value));
                } else if dec::<u32>(value).is_none() {
                    self.fail(Problem::Value);
                }
            }
            keys::TOS => {
                self.ulogd = !value.starts_with(b"0x");
                if let Some(tos) = self.need(hex::<u8>(value)) {
                    self.headers.tos = Some(self.headers.tos.unwrap_or(0) | tos);
                }
            }
            keys::PREC => {
                if let Some(tos) = self.need(hex::<u8>(value)) {
                    self.headers.tos = Some(self.headers.tos.unwrap_or(0) | tos);
                }
            }
            keys::TTL => self.headers.ttl = self.need(dec(value)),
            keys::ID => {
                if self.has.proto {
                    details.number("icmp_id", value);
                } else {
                    self.headers.id = self.need(dec::<u16>(value)).map(u32::from);
                }
            }
            keys::PROTO => self.proto(value),
            keys::SPT => self.ports.source = self.need(dec(value)),
            keys::DPT => self.ports.destination = self.need(dec(value)),
            keys::WINDOW => {
                self.has.tcp = true;
                self.tcp.window = self.need(dec(value));
            }
            keys::RES => {
                self.has.tcp = true;
                if self.need(hex::<u8>(value)).is_some_and(|reserved| reserved != 0) {
                    details.put(b"tcp_reserved", value);
                }
            }
            keys::URGP => {
                self.has.tcp = true;
                if self.need(dec::<u16>(value)).is_some_and(|urgent| urgent != 0) {
                    details.number("tcp_urgent", value);
                }
            }
            keys::SEQ => {
                if self.is_icmp() {
                    details.number("icmp_seq", value);
                } else {
                    self.tcp.seq = self.need(dec(value));
                }
            }
            keys::ACK => self.tcp.ack = self.need(dec(value)),
            keys::MAC => self.mac_header(value, details),
            keys::TC => {
                self.family = NFPROTO_IPV6;
                self.headers.tos = self.need(dec(value));
            }
            keys::HOPLIMIT => {
                self.family = NFPROTO_IPV6;
                self.headers.ttl = self.need(dec(value));
            }
            keys::FLOWLBL => {
                if self.need(dec::<u32>(value)).is_some_and(|label| label != 0) {
                    details.number("flow_label", value);
                }
            }
            keys::TYPE => {
                self.has.icmp = true;
                self.icmp.kind = self.need(dec(value));
            }
            keys::CODE => {
                if self.has.arp {
                    self.operation = self.need(dec(value));
                } else {
                    self.has.icmp = true;
                    self.icmp.code = self.need(dec(value));
                }
            }
            keys::MARK => {
                if let Some(mark) = self.need(hex(value)) {
                    self.mark = mark;
                }
            }
            keys::UID => self.uid = self.need(dec(value)),
            keys::GID => self.gid = self.need(dec(value)),
            keys::PHYSIN => self.phys_in = self.device(value),
            keys::PHYSOUT => self.phys_out = self.device(value),
            _ => self.rare(token, value, tokens, details),
        }
    }

    /// Keys that most lines do not have.
    #[cold]
    fn rare(
        &mut self,
        token: Token<'a>,
        value: &'a [u8],
        tokens: &mut Tokens<'a>,
        details: &mut impl Details,
    ) {
        match token.name() {
            // a line whose head is missing may start with them
            b"IN" => self.in_if = self.device(value),
            b"OUT" => self.out_if = self.device(value),
            b"[SRC" => {
                self.has.inner = true;
                self.inner(token.without_head(1), tokens);
            }
            b"MACSRC" if self.has.arp => self.arp_mac(value, true, details),
            b"MACDST" if self.has.arp => self.arp_mac(value, false, details),
            b"MACSRC" => self.link.mac_src = self.need(mac(value)),
            b"MACDST" => self.link.mac_dst = self.need(mac(value)),
            b"MACPROTO" => {
                let ether_type = self.need(hex::<u16>(value));
                self.link.ether_type = ether_type.filter(|t| *t >= SMALLEST_ETHER_TYPE);
            }
            // the tag's whole control field; the id is its low 12 bits
            b"VID" => self.link.vlan = self.need(dec::<u16>(value)).map(|tci| tci & 0x0fff),
            b"VPROTO" => _ = self.need(hex::<u16>(value)),
            b"IPSRC" => self.address(value, true),
            b"IPDST" => self.address(value, false),
            b"HTYPE" => self.has.arp = self.need(dec::<u16>(value)).is_some(),
            b"PTYPE" => _ = self.need(hex::<u16>(value)),
            b"OPCODE" => self.operation = self.need(dec(value)),
            b"REPLY_MAC" => self.arp_mac(value, true, details),
            // not the kernel's way to write it, but seen
            b"FRAG" => self.fragment(value),
            b"TUNNEL" => details.put(b"tunnel", value),
            b"SPI" if std::mem::take(&mut self.has.auth) => details.put(b"ah_spi", value),
            b"SPI" => details.put(b"spi", value),
            b"PARAMETER" => details.number("icmp_parameter", value),
            b"POINTER" => details.put(b"icmp_pointer", value),
            b"GATEWAY" => details.put(b"icmp_gateway", value),
            b"MTU" => details.number("icmp_mtu", value),
            // ulogd puts no blank behind them
            name if name.starts_with(b"INCOMPLETE") || name.starts_with(b"TRUNCATED") => {
                self.rare_bare(token, tokens, details);
            }
            name => details.put(name, value),
        }
    }

    /// Words without `=`.
    #[inline]
    fn bare(&mut self, token: Token<'a>, tokens: &mut Tokens<'a>, details: &mut impl Details) {
        match token.key {
            keys::SYN => self.flag(0x02),
            keys::ACK => self.flag(0x10),
            keys::PSH => self.flag(0x08),
            keys::RST => self.flag(0x04),
            keys::FIN => self.flag(0x01),
            keys::URG => self.flag(0x20),
            keys::ECE => self.flag(0x40),
            keys::CWR => self.flag(0x80),
            keys::AE => self.flag(0x100),
            keys::DF => self.headers.frag |= DONT_FRAGMENT,
            keys::MF => self.headers.frag |= MORE_FRAGMENTS,
            keys::CE => self.headers.frag |= CONGESTION,
            keys::OPT => self.options(tokens, details),
            // ends of `OPT ( … )` and of a quoted packet that ended early
            keys::OPEN | keys::CLOSE | keys::END => {}
            _ => self.rare_bare(token, tokens, details),
        }
    }

    #[cold]
    fn rare_bare(&mut self, token: Token<'a>, tokens: &mut Tokens<'a>, details: &mut impl Details) {
        let word = token.word;
        if let Some(rest) = word.strip_prefix(b"INCOMPLETE") {
            if rest.is_empty() && self.has.fragment6 && !starts_with_count(tokens.rest()) {
                self.has.fragment6 = false;
                self.headers.frag |= MORE_FRAGMENTS;
                return;
            }
            return self.early_end(b"INCOMPLETE", rest, token, tokens, details);
        }
        if let Some(rest) = word.strip_prefix(b"TRUNCATED") {
            return self.early_end(b"TRUNCATED", rest, token, tokens, details);
        }
        if let Some(offset) = word.strip_prefix(b"FRAG:") {
            // ulogd writes a blank before the number
            let offset = if offset.is_empty() { tokens.next().map_or(offset, |t| t.word) } else { offset };
            if offset == b"TRUNCATED" {
                self.has.early_end = true;
                return details.put(b"ends_early", offset);
            }
            return self.fragment(offset);
        }
        if let Some(id) = word.strip_prefix(b"ID:") {
            let id = if id.is_empty() { tokens.next().map_or(id, |t| t.word) } else { id };
            self.has.fragment6 = false;
            self.headers.id = self.need(hex(id));
            return;
        }
        match word {
            b"ARP" => {
                self.family = NFPROTO_ARP;
                self.has.arp = true;
                self.known += 1;
            }
            b"REQUEST" if self.has.arp => self.operation = Some(1),
            b"REPLY" if self.has.arp => self.operation = Some(2),
            b"NAK" if self.has.arp => self.operation = Some(10),
            b"AH" => self.has.auth = true,
            b"ESP" => self.has.early_end = true,
            b"Unknown" if tokens.rest().starts_with(b" Ext Hdr ") => {
                self.has.early_end = true;
                let header = tokens.nth(2).map_or(&[][..], |t| t.word);
                details.number("unknown_header", header);
            }
            b"[" => self.has.inner = true,
            b"[TRUNCATED]" => self.has.quoted = true,
            b")]" => {}
            _ => self.fail(Problem::Word),
        }
    }

    /// `INCOMPLETE [8 bytes]` or `TRUNCATED`; ulogd glues the next word to it.
    fn early_end(
        &mut self,
        word: &'static [u8],
        rest: &'a [u8],
        token: Token<'a>,
        tokens: &mut Tokens<'a>,
        details: &mut impl Details,
    ) {
        self.has.early_end = true;
        if rest.is_empty() && starts_with_count(tokens.rest()) {
            let count = tokens.next().map_or(&[][..], |t| &t.word[1..]);
            tokens.next();
            details.number("incomplete", count);
        } else {
            details.put(b"ends_early", word);
            if !rest.is_empty() {
                self.word(token.without_head(word.len()), tokens, details);
            }
        }
    }

    /// A word of the quoted packet.
    #[cold]
    fn inner(&mut self, token: Token<'a>, tokens: &mut Tokens<'a>) {
        let last = token.word.ends_with(b"]") && token.word != b"bytes]";
        let token = if last { token.without_tail() } else { token };
        let quoted = self.icmp.quoted.get_or_insert_default();
        self.has.quoted = true;
        if let Some(value) = token.value() {
            match token.name() {
                b"SRC" => quoted.src = address(value).map(|(a, _)| a),
                b"DST" => quoted.dst = address(value).map(|(a, _)| a),
                b"PROTO" => quoted.proto = protocol(value),
                b"SPT" => quoted.ports.source = dec(value),
                b"DPT" => quoted.ports.destination = dec(value),
                _ => {}
            }
        }
        self.has.inner = !last && !tokens.rest().is_empty();
        if !last && !self.has.inner {
            self.fail(Problem::Cut);
        }
    }

    #[inline]
    fn address(&mut self, value: &[u8], source: bool) {
        let Some((address, is_v4)) = self.need(address(value)) else { return };
        let slot = if source { &mut self.headers.src } else { &mut self.headers.dst };
        if slot.replace(address).is_some() {
            self.fail(Problem::Twice);
        }
        if !is_v4 {
            self.ulogd |= value.len() != 39;
            self.family = NFPROTO_IPV6;
        } else if self.family == 0 {
            self.family = NFPROTO_IPV4;
        }
    }

    #[inline]
    fn proto(&mut self, value: &[u8]) {
        if value == b"ARP" {
            (self.has.arp, self.has.proto, self.ulogd) = (true, true, true);
            self.family = NFPROTO_ARP;
            self.known += 1;
            return;
        }
        self.has.proto = true;
        if self.family == 0 && self.headers == Headers::default() {
            return self.frame(value);
        }
        self.headers.proto = self.need(protocol(value));
    }

    /// ulogd writes the frame's protocol where there is no packet.
    #[cold]
    fn frame(&mut self, value: &[u8]) {
        match (protocol(value), self.known) {
            (Some(proto), 0) => self.headers.proto = Some(proto),
            _ => {
                let ether_type = self.need(dec::<u16>(value)).filter(|t| *t >= SMALLEST_ETHER_TYPE);
                self.link.ether_type = self.link.ether_type.or(ether_type);
            }
        }
        self.ulogd = true;
    }

    fn is_icmp(&self) -> bool {
        self.has.icmp || matches!(self.headers.proto, Some(ICMP | ICMPV6))
    }

    #[inline]
    fn flag(&mut self, bit: u16) {
        self.has.tcp = true;
        self.tcp.flags = Some(self.tcp.flags.unwrap_or(0) | bit);
    }

    fn device(&mut self, value: &'a [u8]) -> &'a [u8] {
        self.known += 1;
        value
    }

    /// IPv4 counts in 8 bytes, the line of an IPv6 fragment in bytes.
    fn fragment(&mut self, value: &[u8]) {
        let Some(offset) = self.need(dec::<u16>(value)) else { return };
        let is_v6 = self.family == NFPROTO_IPV6;
        self.has.fragment6 = is_v6;
        let units = if is_v6 { offset >> 3 } else { offset };
        self.headers.frag |= units & FRAGMENT_OFFSET;
    }

    /// `(HEX)` are options; `(` alone opens an IPv6 extension header, whose words are read as any others.
    fn options(&mut self, tokens: &mut Tokens<'a>, details: &mut impl Details) {
        let Some(token) = tokens.next() else { return self.fail(Problem::Cut) };
        match token.word {
            b"(" => {}
            b"(TRUNCATED)" => self.has.early_end = true,
            [b'(', hex @ .., b')'] => {
                details.put(if self.has.proto { b"tcp_options" } else { b"ip_options" }, hex);
            }
            _ => self.fail(Problem::Cut),
        }
    }

    /// The device's header: of Ethernet it is destination, source, type; others are kept as they are.
    #[inline]
    fn mac_header(&mut self, value: &[u8], details: &mut impl Details) {
        self.known += 1;
        if value.is_empty() {
            return;
        }
        let mut bytes = [0; MAX_HEADER];
        let Some(count) = colon_bytes(value, &mut bytes) else {
            self.fail(Problem::Value);
            return details.put(b"mac", value);
        };
        let two = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let address = |at: usize| bytes[at..].first_chunk().copied().map(Mac::new);
        let tagged = count == 18 && is_vlan(two(12));
        if matches!(count, 6 | 12 | 14) || tagged {
            self.link.mac_dst = address(0);
        }
        if matches!(count, 12 | 14) || tagged {
            self.link.mac_src = address(6);
        }
        if tagged {
            self.link.vlan = Some(two(14) & 0x0fff);
        }
        match count {
            6 | 12 => {}
            14 => self.link.ether_type = Some(two(12)).filter(|t| *t >= SMALLEST_ETHER_TYPE),
            18 if tagged => self.link.ether_type = Some(two(16)).filter(|t| *t >= SMALLEST_ETHER_TYPE),
            _ => details.put(b"mac", value),
        }
    }

    /// The sender's address inside ARP stands for the frame's source where the line does not tell that; the
    /// target's says nothing about the frame.
    fn arp_mac(&mut self, value: &'a [u8], source: bool, details: &mut impl Details) {
        let Some(mac) = self.need(mac(value)) else { return };
        if source && self.link.mac_src.is_none() {
            self.link.mac_src = Some(mac);
        } else if source && self.link.mac_src != Some(mac) {
            details.put(b"arp_mac_src", value);
        } else if !source && mac.number() != 0 {
            details.put(b"arp_mac_dst", value);
        }
    }

    /// Puts together what the words said.
    #[inline]
    fn finish(&mut self) {
        let tcp = self.has.tcp || self.tcp.seq.is_some() || self.tcp.ack.is_some();
        self.headers.upper = if tcp {
            let flags = if self.has.tcp { self.tcp.flags.or(Some(0)) } else { None };
            Upper::Tcp(Tcp { ports: self.ports, flags, ..self.tcp })
        } else if self.has.icmp || self.has.quoted {
            let quoted = self.icmp.quoted.filter(|q| *q != Quoted::default());
            Upper::Icmp(Icmp { quoted, ..self.icmp })
        } else if let Some(operation) = self.operation {
            Upper::Arp(operation)
        } else if self.ports != Ports::default() {
            Upper::Ports(self.ports)
        } else {
            Upper::None
        };
        // IPv6 has other words for them
        if self.family == 0
            && (self.headers.ttl.is_some() || self.headers.tos.is_some() || self.headers.id.is_some())
        {
            self.family = NFPROTO_IPV4;
        }
        if self.family == 0 && matches!(self.link.ether_type, Some(ETHER_ARP | ETHER_RARP)) {
            self.family = NFPROTO_ARP;
        }
        let whole =
            self.has.proto || self.has.early_end || self.has.arp || self.headers.frag & FRAGMENT_OFFSET != 0;
        if !whole && (self.headers != Headers::default() || self.known == 0) {
            self.fail(Problem::Cut);
        }
    }
}

/// Whether a text begins with a word that the kernel writes behind `OUT=…`.
pub(super) fn begins_a_packet(text: &[u8]) -> bool {
    let Some(token) = Tokens::new(text).next() else { return false };
    match token.value() {
        Some(_) => {
            matches!(token.key, keys::MAC | keys::SRC | keys::DST | keys::LEN | keys::PHYSIN | keys::PHYSOUT)
                || token.name() == b"MACSRC"
        }
        None => token.word == b"ARP" || text.starts_with(EBTABLES),
    }
}

/// ` [8 bytes]`.
fn starts_with_count(rest: &[u8]) -> bool {
    matches!(rest, [b' ', b'[', b'0'..=b'9', ..])
}

/// A protocol's number or name.
#[inline]
fn protocol(text: &[u8]) -> Option<u8> {
    Some(match text {
        b"TCP" => 6,
        b"UDP" => 17,
        b"ICMP" => ICMP,
        b"ICMPv6" => ICMPV6,
        b"UDPLITE" => 136,
        b"SCTP" => 132,
        b"ESP" => 50,
        b"AH" => 51,
        // not the kernel's, but what others make of its numbers
        b"IGMP" => 2,
        b"GRE" => 47,
        b"OSPF" => 89,
        b"DCCP" => 33,
        other => dec(other)?,
    })
}
