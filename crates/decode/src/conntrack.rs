//! One ctnetlink message: a tracked connection as it began, changed, ended, or was dumped
//! (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
//!
//! [`parse`] gives a [`Flow`] that borrows from the datagram. An attribute that is too short for its value
//! counts as absent, and a malformed tail keeps what was read before it.
//!
//! Counters are there with `nf_conntrack_acct`, times with `nf_conntrack_timestamp`; since Linux 6.14 the latter
//! also stamps each event. Network address translation is seen by comparing the two directions, so that it is
//! seen in messages without status as well.

use crate::netlink::{Attr, Attrs, Malformed, Message};
use bartizan_model::{addr_from_v4, is_v4_mapped};

/// The nfnetlink subsystem of conntrack.
pub const NFNL_SUBSYS_CTNETLINK: u8 = 1;
const IPCTNL_MSG_CT_NEW: u8 = 0;
const IPCTNL_MSG_CT_DELETE: u8 = 2;
const NLM_F_MULTI: u16 = crate::netlink::NLM_F_MULTI;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const IPPROTO_ICMP: u8 = 1;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_DCCP: u8 = 33;
const IPPROTO_ICMPV6: u8 = 58;
const IPPROTO_SCTP: u8 = 132;

/// What a message reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowEvent {
    /// The connection was confirmed: its first packet went through.
    New,
    /// Its state, mark, helper or addresses changed.
    Update,
    /// It was removed.
    Destroy,
    /// It was there when somebody asked.
    Dump,
}

impl FlowEvent {
    /// Every event.
    pub const ALL: [Self; 4] = [Self::New, Self::Update, Self::Destroy, Self::Dump];

    /// The word of the column `event`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Update => "update",
            Self::Destroy => "destroy",
            Self::Dump => "dump",
        }
    }
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Source address.
    pub src: Option<[u8; 16]>,
    /// Destination address.
    pub dst: Option<[u8; 16]>,
    /// IP protocol.
    pub proto: Option<u8>,
    /// Source port; in GRE the call's key.
    pub sport: Option<u16>,
    /// Destination port; in GRE the call's key.
    pub dport: Option<u16>,
    /// ICMP or ICMPv6 type.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// Identifier of an ICMP query.
    pub icmp_id: Option<u16>,
    /// Zone of this direction alone.
    pub zone: Option<u16>,
}

/// What one direction carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes, IP headers included.
    pub bytes: u64,
}

/// Network address translation of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// The source's address, port or query was changed.
    pub source: bool,
    /// The destination's address or port was changed.
    pub destination: bool,
}

impl Nat {
    /// The words of the column `nat`; `None` without translation.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match (self.source, self.destination) {
            (false, false) => None,
            (true, false) => Some("snat"),
            (false, true) => Some("dnat"),
            (true, true) => Some("snat dnat"),
        }
    }
}

/// One report on one tracked connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow<'a> {
    /// What is reported.
    pub event: FlowEvent,
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`, from `nfgenmsg`.
    pub family: u8,
    /// The direction of the first packet, before translation.
    pub orig: Tuple,
    /// The direction of the answers, after translation.
    pub reply: Tuple,
    /// `IPS_*` bits.
    pub status: Option<u32>,
    /// Connection mark.
    pub mark: Option<u32>,
    /// Zone of both directions.
    pub zone: Option<u16>,
    /// The kernel's number of the connection.
    pub id: Option<u32>,
    /// Seconds until it is forgotten.
    pub timeout: Option<u32>,
    /// What the original direction carried.
    pub sent: Option<Traffic>,
    /// What the reply direction carried.
    pub answered: Option<Traffic>,
    /// When it began, in nanoseconds since 1970.
    pub start: Option<u64>,
    /// When it ended, likewise.
    pub stop: Option<u64>,
    /// When the event happened, likewise.
    pub at: Option<u64>,
    /// The number of its protocol's state: see [`Flow::state_word`].
    pub state: Option<u8>,
    /// Connection labels as they came: see [`Flow::labels`].
    pub labels: Option<&'a [u8]>,
    /// The helper that follows it, such as `ftp`.
    pub helper: Option<&'a [u8]>,
    /// What no column holds, as a JSON object, where a record of another format tells it; empty for nothing.
    pub extra: &'a str,
    /// Where the attributes stopped being attributes.
    pub malformed: Option<Malformed>,
}

/// The connection of a message; `None` when the message is something else, or has no header.
#[must_use]
pub fn parse<'a>(message: &Message<'a>) -> Option<Flow<'a>> {
    if message.subsystem() != NFNL_SUBSYS_CTNETLINK {
        return None;
    }
    let event = match message.subtype() {
        IPCTNL_MSG_CT_DELETE => FlowEvent::Destroy,
        IPCTNL_MSG_CT_NEW if message.flags & NLM_F_MULTI != 0 => FlowEvent::Dump,
        IPCTNL_MSG_CT_NEW if message.flags & (NLM_F_CREATE | NLM_F_EXCL) != 0 => FlowEvent::New,
        IPCTNL_MSG_CT_NEW => FlowEvent::Update,
        _ => return None,
    };
    let (nfgen, attrs) = message.nfgen()?;
    Some(Flow::read(event, nfgen.family, attrs))
}

/// Bytes of the kernel's labels.
const MAX_LABELS: usize = 16;

impl<'a> Flow<'a> {
    /// A report of attributes, wherever they came from.
    #[must_use]
    pub fn read(event: FlowEvent, family: u8, attrs: Attrs<'a>) -> Self {
        let mut flow = Self::new(event, family);
        for attr in attrs {
            match attr {
                Ok(attr) => flow.take(&attr),
                Err(malformed) => {
                    flow.malformed = Some(malformed);
                    break;
                }
            }
        }
        flow
    }

    /// A report of nothing yet.
    #[must_use]
    pub const fn new(event: FlowEvent, family: u8) -> Self {
        const NOTHING: Tuple = Tuple {
            src: None,
            dst: None,
            proto: None,
            sport: None,
            dport: None,
            icmp_type: None,
            icmp_code: None,
            icmp_id: None,
            zone: None,
        };
        Self {
            event,
            family,
            orig: NOTHING,
            reply: NOTHING,
            status: None,
            mark: None,
            zone: None,
            id: None,
            timeout: None,
            sent: None,
            answered: None,
            start: None,
            stop: None,
            at: None,
            state: None,
            labels: None,
            helper: None,
            extra: "",
            malformed: None,
        }
    }

    #[inline]
    fn take(&mut self, attr: &Attr<'a>) {
        match attr.kind {
            1 => self.orig = tuple(attr.attrs()),
            2 => self.reply = tuple(attr.attrs()),
            3 => self.status = attr.be32(),
            4 => self.state = state(attr.attrs()),
            5 => self.helper = first(attr.attrs(), 1).map(|a| a.c_str()),
            7 => self.timeout = attr.be32(),
            8 => self.mark = attr.be32(),
            9 => self.sent = traffic(attr.attrs()),
            10 => self.answered = traffic(attr.attrs()),
            12 => self.id = attr.be32(),
            18 => self.zone = attr.be16(),
            20 => {
                for inner in attr.attrs().map_while(Result::ok) {
                    match inner.kind {
                        1 => self.start = inner.be64(),
                        2 => self.stop = inner.be64(),
                        _ => {}
                    }
                }
            }
            22 => self.labels = Some(attr.payload),
            27 => self.at = inner_time(attr),
            _ => {}
        }
    }

    /// What was translated: where the answers do not go back to the source, or do not come from the destination.
    #[must_use]
    pub fn nat(&self) -> Nat {
        fn differ<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
            matches!((a, b), (Some(a), Some(b)) if a != b)
        }
        let (orig, reply) = (&self.orig, &self.reply);
        // The keys of the two directions of a GRE call belong to the two ends, and differ by nature.
        let ports = orig.proto != Some(47);
        Nat {
            source: differ(orig.src, reply.dst)
                || (ports && differ(orig.sport, reply.dport))
                || differ(orig.icmp_id, reply.icmp_id),
            destination: differ(orig.dst, reply.src) || (ports && differ(orig.dport, reply.sport)),
        }
    }

    /// Its labels, 128 bits in the host's order; `None` when none is set.
    #[must_use]
    pub fn labels(&self) -> Option<&'a [u8]> {
        let labels = self.labels.map(|l| &l[..l.len().min(MAX_LABELS)])?;
        labels.iter().any(|b| *b != 0).then_some(labels)
    }

    /// The state of its protocol, as `conntrack` names it.
    #[must_use]
    pub const fn state_word(&self) -> Option<&'static str> {
        match (self.orig.proto, self.state) {
            (Some(proto), Some(state)) => state_word(proto, state),
            _ => None,
        }
    }

    /// Whether an address of either direction lies in a network, given as the 16 bytes of its first address and
    /// the length of its prefix, IPv4 as `::ffff:a.b.c.d` with 96 bits more.
    #[must_use]
    pub fn touches(&self, network: &[u8; 16], bits: u8) -> bool {
        let shift = 128 - u32::from(bits.min(128));
        let prefix = |addr: &[u8; 16]| u128::from_be_bytes(*addr).checked_shr(shift).unwrap_or(0);
        [self.orig.src, self.orig.dst, self.reply.src, self.reply.dst]
            .iter()
            .flatten()
            .any(|addr| is_v4_mapped(addr) == is_v4_mapped(network) && prefix(addr) == prefix(network))
    }
}

/// A time of 8 bytes; 0 is none.
fn inner_time(attr: &Attr<'_>) -> Option<u64> {
    attr.be64().filter(|t| *t > 0)
}

fn first<'a>(mut attrs: Attrs<'a>, kind: u16) -> Option<Attr<'a>> {
    attrs.find_map(|a| a.ok().filter(|a| a.kind == kind))
}

#[inline]
fn tuple(attrs: Attrs<'_>) -> Tuple {
    let mut out = Tuple::default();
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => {
                for ip in attr.attrs().map_while(Result::ok) {
                    let v4 = || ip.payload.first_chunk().map(|a| addr_from_v4(*a));
                    match ip.kind {
                        1 => out.src = v4(),
                        2 => out.dst = v4(),
                        3 => out.src = ip.payload.first_chunk().copied(),
                        4 => out.dst = ip.payload.first_chunk().copied(),
                        _ => {}
                    }
                }
            }
            2 => {
                for l4 in attr.attrs().map_while(Result::ok) {
                    match l4.kind {
                        1 => out.proto = l4.u8(),
                        2 => out.sport = l4.be16(),
                        3 => out.dport = l4.be16(),
                        4 | 7 => out.icmp_id = l4.be16(),
                        5 | 8 => out.icmp_type = l4.u8(),
                        6 | 9 => out.icmp_code = l4.u8(),
                        _ => {}
                    }
                }
            }
            3 => out.zone = attr.be16(),
            _ => {}
        }
    }
    // The kernel writes ports 0 for protocols that have none.
    if !matches!(out.proto, Some(IPPROTO_ICMP | IPPROTO_ICMPV6)) {
        (out.icmp_type, out.icmp_code, out.icmp_id) = (None, None, None);
    }
    out
}

#[inline]
fn traffic(attrs: Attrs<'_>) -> Option<Traffic> {
    let (mut packets, mut bytes) = (None, None);
    for attr in attrs.map_while(Result::ok) {
        match attr.kind {
            1 => packets = attr.be64(),
            2 => bytes = attr.be64(),
            _ => {}
        }
    }
    Some(Traffic { packets: packets?, bytes: bytes? })
}

/// The state inside the protocol's own information: its first attribute in TCP, DCCP and SCTP alike.
fn state(mut attrs: Attrs<'_>) -> Option<u8> {
    let protocol = attrs.find_map(|a| a.ok().filter(|a| (1..=3).contains(&a.kind)))?;
    first(protocol.attrs(), 1)?.u8()
}

const fn state_word(proto: u8, state: u8) -> Option<&'static str> {
    Some(match (proto, state) {
        (IPPROTO_TCP | IPPROTO_SCTP, 0) => "NONE",
        (IPPROTO_TCP, 1) => "SYN_SENT",
        (IPPROTO_TCP, 2) => "SYN_RECV",
        (IPPROTO_TCP, 3) => "ESTABLISHED",
        (IPPROTO_TCP, 4) => "FIN_WAIT",
        (IPPROTO_TCP, 5) => "CLOSE_WAIT",
        (IPPROTO_TCP, 6) => "LAST_ACK",
        (IPPROTO_TCP, 7) => "TIME_WAIT",
        (IPPROTO_TCP, 8) => "CLOSE",
        (IPPROTO_TCP, 9) => "SYN_SENT2",
        (IPPROTO_SCTP, 1) => "CLOSED",
        (IPPROTO_SCTP, 2) => "COOKIE_WAIT",
        (IPPROTO_SCTP, 3) => "COOKIE_ECHOED",
        (IPPROTO_SCTP, 4) => "ESTABLISHED",
        (IPPROTO_SCTP, 5) => "SHUTDOWN_SENT",
        (IPPROTO_SCTP, 6) => "SHUTDOWN_RECD",
        (IPPROTO_SCTP, 7) => "SHUTDOWN_ACK_SENT",
        (IPPROTO_SCTP, 8) => "HEARTBEAT_SENT",
        (IPPROTO_DCCP, 1) => "REQUEST",
        (IPPROTO_DCCP, 2) => "RESPOND",
        (IPPROTO_DCCP, 3) => "PARTOPEN",
        (IPPROTO_DCCP, 4) => "OPEN",
        (IPPROTO_DCCP, 5) => "CLOSEREQ",
        (IPPROTO_DCCP, 6) => "CLOSING",
        (IPPROTO_DCCP, 7) => "TIMEWAIT",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Messages;
    use crate::testing::{attr, be16, be32, be64, message, nest};
    use proptest::prelude::*;

    fn v4(from: [u8; 4], to: [u8; 4], proto: u8, l4: &[Vec<u8>]) -> Vec<u8> {
        let l4 = [&[attr(1, &[proto])], l4].concat();
        [nest(1, &[attr(1, &from), attr(2, &to)]), nest(2, &l4)].concat()
    }

    fn ports(sport: u16, dport: u16) -> Vec<Vec<u8>> {
        vec![be16(2, sport), be16(3, dport)]
    }

    fn bytes(kind: u8, flags: u16, family: u8, attrs: &[Vec<u8>]) -> Vec<u8> {
        message(0x100 | u16::from(kind), flags, family, attrs)
    }

    fn read(bytes: &[u8]) -> Flow<'_> {
        parse(&Messages::new(bytes).next().unwrap().unwrap()).unwrap()
    }

    #[test]
    fn an_end_with_translation_counters_and_times() {
        let orig = v4([10, 0, 0, 1], [192, 0, 2, 1], 6, &ports(40000, 80));
        let reply = v4([10, 9, 9, 9], [192, 0, 2, 254], 6, &ports(8080, 1024));
        let bytes = bytes(
            2,
            0,
            2,
            &[
                attr(1, &orig),
                attr(2, &reply),
                be32(3, 0x18e),
                nest(4, &[nest(1, &[attr(1, &[7])])]),
                be32(8, 5),
                nest(9, &[be64(1, 3), be64(2, 180)]),
                nest(10, &[be64(1, 2), be64(2, 120)]),
                be32(12, 0xfedc_ba98),
                be16(18, 9),
                nest(20, &[be64(1, 1_000_000_001), be64(2, 2_000_000_002)]),
                attr(22, &[1; 16]),
                be64(27, 2_000_000_003),
            ],
        );
        let flow = read(&bytes);
        assert_eq!((flow.event, flow.family), (FlowEvent::Destroy, 2));
        assert_eq!(flow.orig.src, Some(addr_from_v4([10, 0, 0, 1])));
        assert_eq!((flow.orig.sport, flow.orig.dport, flow.orig.proto), (Some(40000), Some(80), Some(6)));
        assert_eq!((flow.reply.src, flow.reply.dport), (Some(addr_from_v4([10, 9, 9, 9])), Some(1024)));
        assert_eq!(flow.nat().as_str(), Some("snat dnat"));
        assert_eq!(
            (flow.status, flow.mark, flow.zone, flow.id),
            (Some(0x18e), Some(5), Some(9), Some(0xfedc_ba98))
        );
        assert_eq!(flow.sent, Some(Traffic { packets: 3, bytes: 180 }));
        assert_eq!(flow.answered, Some(Traffic { packets: 2, bytes: 120 }));
        assert_eq!(
            (flow.start, flow.stop, flow.at),
            (Some(1_000_000_001), Some(2_000_000_002), Some(2_000_000_003))
        );
        assert_eq!(flow.state_word(), Some("TIME_WAIT"));
        assert_eq!(flow.labels, Some(&[1; 16][..]));
        assert_eq!(flow.malformed, None);
    }

    #[test]
    fn the_message_tells_the_event() {
        for (kind, flags, event) in [
            (0, 0x600, FlowEvent::New),
            (0, 0, FlowEvent::Update),
            (0, 2, FlowEvent::Dump),
            (2, 0, FlowEvent::Destroy),
        ] {
            assert_eq!(read(&bytes(kind, flags, 2, &[])).event, event);
        }
        let other = bytes(1, 0, 2, &[]);
        assert_eq!(parse(&Messages::new(&other).next().unwrap().unwrap()), None);
    }

    #[test]
    fn queries_have_types_and_no_ports() {
        let echo = |id| vec![be16(4, id), attr(5, &[8]), attr(6, &[0])];
        let orig = v4([10, 0, 0, 1], [10, 0, 0, 2], 1, &echo(77));
        let reply = v4([10, 0, 0, 2], [10, 0, 0, 1], 1, &echo(77));
        let plain = bytes(0, 0x600, 2, &[attr(1, &orig), attr(2, &reply)]);
        let flow = read(&plain);
        assert_eq!(
            (flow.orig.icmp_type, flow.orig.icmp_code, flow.orig.icmp_id),
            (Some(8), Some(0), Some(77))
        );
        assert_eq!((flow.orig.sport, flow.nat()), (None, Nat::default()));
        let moved = v4([10, 0, 0, 2], [10, 0, 0, 1], 1, &echo(78));
        let moved = bytes(0, 0x600, 2, &[attr(1, &orig), attr(2, &moved)]);
        assert_eq!(read(&moved).nat().as_str(), Some("snat"));
    }

    #[test]
    fn networks_of_both_families() {
        let orig = v4([10, 0, 0, 1], [192, 0, 2, 1], 6, &[]);
        let bytes = bytes(0, 0, 2, &[attr(1, &orig)]);
        let flow = read(&bytes);
        assert!(flow.touches(&addr_from_v4([192, 0, 2, 0]), 96 + 24));
        assert!(flow.touches(&addr_from_v4([10, 0, 0, 1]), 128));
        assert!(!flow.touches(&addr_from_v4([10, 0, 1, 0]), 96 + 24));
        assert!(flow.touches(&addr_from_v4([0; 4]), 96));
        assert!(!flow.touches(&[0; 16], 0), "::/0 is IPv6 alone");
    }

    #[test]
    fn a_cut_message_keeps_what_came_before() {
        let orig = v4([10, 0, 0, 1], [10, 0, 0, 2], 17, &ports(1, 2));
        let mut whole = bytes(0, 0, 2, &[attr(1, &orig), be32(12, 1)]);
        let short = whole.len() - 3;
        whole.truncate(short);
        whole[..4].copy_from_slice(&u32::try_from(short).unwrap().to_ne_bytes());
        let flow = read(&whole);
        assert_eq!((flow.orig.dport, flow.id), (Some(2), None));
        assert!(flow.malformed.is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(payload in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u16..4) {
            if let Some(flow) = parse(&Message { kind: 0x100 | kind, flags: 0, seq: 0, pid: 0, payload: &payload }) {
                let _ = (flow.nat().as_str(), flow.state_word());
            }
        }
    }
}
