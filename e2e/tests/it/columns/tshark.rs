//! The fields of a capture file as `tshark` reads them, and the columns that they are.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Fields that are asked for, in this order.
const FIELDS: &[&str] = &[
    "eth.src",
    "eth.dst",
    "eth.type",
    "vlan.id",
    "vlan.etype",
    "ieee8021ad.id",
    "ieee8021ah.etype",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.len",
    "ip.dsfield",
    "ip.ttl",
    "ip.id",
    "ip.flags",
    "ip.frag_offset",
    "ip.hdr_len",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.plen",
    "ipv6.tclass",
    "ipv6.hlim",
    "ipv6.hopopts.nxt",
    "ipv6.routing.nxt",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.ident",
    "ipv6.fraghdr.more",
    "ipv6.fraghdr.offset",
    "ipv6.dstopts.nxt",
    "ah.next_header",
    "arp.opcode",
    "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.window_size_value",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "dccp.srcport",
    "dccp.dstport",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
    "frame.protocols",
];

/// The columns that are compared.
pub(super) const COLUMNS: [&str; 25] = [
    "mac_src",
    "mac_dst",
    "ether_type",
    "vlan",
    "src",
    "dst",
    "proto",
    "length",
    "tos",
    "ttl",
    "ip_id",
    "frag",
    "sport",
    "dport",
    "tcp_flags",
    "tcp_seq",
    "tcp_ack",
    "tcp_window",
    "icmp_type",
    "icmp_code",
    "inner_proto",
    "inner_src",
    "inner_dst",
    "inner_sport",
    "inner_dport",
];

/// Reads a capture file.
pub(super) fn read(file: &Path) -> Vec<Packet> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-T", "fields", "-E", "occurrence=a", "-E", "separator=/t"]);
    for setting in ["ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams"] {
        command.args(["-o", &format!("{setting}:FALSE")]);
    }
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| Packet(line.split('\t').map(str::to_owned).collect())).collect()
}

/// What tshark says of one packet: every occurrence of each field, with commas.
#[derive(Debug)]
pub(super) struct Packet(Vec<String>);

impl Packet {
    /// The values of the columns; `null` for none.
    pub(super) fn expected(&self) -> Vec<(&'static str, Value)> {
        let (vlan, ether_type) = self.link();
        let net = match ether_type {
            Some(0x0800) => self.v4(0),
            Some(0x86dd) => self.v6(0),
            Some(0x0806 | 0x8035) => Net {
                src: self.text("arp.src.proto_ipv4", 0),
                dst: self.text("arp.dst.proto_ipv4", 0),
                ..Net::default()
            },
            _ => Net::default(),
        };
        let frag = net.frag.filter(|f| *f != 0);
        let later = frag.is_some_and(|f| f & 0x1fff != 0);
        let upper = if later { None } else { net.proto };
        let [sport, dport] = self.ports(upper);
        let tcp = |field| if upper == Some(6) { self.number(field, 0) } else { None };
        let icmp = match (ether_type, upper) {
            (Some(0x0806 | 0x8035), _) => [self.number("arp.opcode", 0), None],
            (_, Some(1)) => [self.number("icmp.type", 0), self.number("icmp.code", 0)],
            (_, Some(58)) => [self.number("icmpv6.type", 0), self.number("icmpv6.code", 0)],
            _ => [None, None],
        };
        let inner = match (upper, icmp[0]) {
            (Some(1), Some(3 | 4 | 5 | 11 | 12)) => self.v4(usize::from(ether_type == Some(0x0800))),
            (Some(58), Some(1..=4)) => self.v6(usize::from(ether_type == Some(0x86dd))),
            _ => Net::default(),
        };
        let inner_ports = if inner.frag.is_some_and(|f| f & 0x1fff != 0) { None } else { inner.proto };
        let [inner_sport, inner_dport] = self.ports(inner_ports);
        let values = [
            some(self.text("eth.src", 0)),
            some(self.text("eth.dst", 0)),
            some(ether_type),
            some(vlan),
            some(net.src),
            some(net.dst),
            some(net.proto),
            some(net.length),
            some(net.tos),
            some(net.ttl),
            some(net.id),
            some(frag),
            some(sport),
            some(dport),
            some(tcp("tcp.flags").map(|f| f & 0x1ff)),
            some(tcp("tcp.seq_raw")),
            some(tcp("tcp.ack_raw")),
            some(tcp("tcp.window_size_value")),
            some(icmp[0]),
            some(icmp[1]),
            some(inner.proto),
            some(inner.src),
            some(inner.dst),
            some(inner_sport),
            some(inner_dport),
        ];
        COLUMNS.into_iter().zip(values).collect()
    }

    /// The id of the outermost VLAN tag, and the EtherType behind the tags.
    fn link(&self) -> (Option<u64>, Option<u64>) {
        let (mut outer, mut ether_type) = (None, self.number("eth.type", 0));
        let (mut customer, mut service) = (0, 0);
        loop {
            let (id, next, used) = match ether_type {
                Some(0x8100 | 0x9100) => ("vlan.id", "vlan.etype", &mut customer),
                Some(0x88a8) => ("ieee8021ad.id", "ieee8021ah.etype", &mut service),
                other => return (outer, other.filter(|t| *t >= 0x600)),
            };
            outer = outer.or(self.number(id, *used));
            ether_type = self.number(next, *used);
            *used += 1;
        }
    }

    /// The IPv4 header that comes `nth`.
    fn v4(&self, nth: usize) -> Net<'_> {
        let offset = self.number("ip.frag_offset", nth);
        Net {
            src: self.text("ip.src", nth),
            dst: self.text("ip.dst", nth),
            proto: self.number("ip.proto", nth),
            length: self.number("ip.len", nth),
            tos: self.number("ip.dsfield", nth),
            ttl: self.number("ip.ttl", nth),
            id: self.number("ip.id", nth),
            frag: self.number("ip.flags", nth).zip(offset).map(|(flags, offset)| flags << 13 | offset),
        }
    }

    /// The IPv6 header that comes `nth`.
    fn v6(&self, nth: usize) -> Net<'_> {
        let (proto, fragment) = self.chain(nth);
        let fraghdr = |field: &str| self.number(&format!("ipv6.fraghdr.{field}"), fragment?);
        Net {
            src: self.text("ipv6.src", nth),
            dst: self.text("ipv6.dst", nth),
            proto,
            length: self.number("ipv6.plen", nth).map(|l| l + 40),
            tos: self.number("ipv6.tclass", nth),
            ttl: self.number("ipv6.hlim", nth),
            id: fraghdr("ident"),
            frag: fraghdr("offset").zip(fraghdr("more")).map(|(offset, more)| offset | more << 13),
        }
    }

    /// The protocol behind the extension headers of the `nth` IPv6 header, and which of all fragment headers is
    /// its first. A mobility, HIP or Shim6 header is not followed.
    fn chain(&self, nth: usize) -> (Option<u64>, Option<usize>) {
        let mut used: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut proto, mut fragment) = (None, None);
        for header in 0..=nth {
            (proto, fragment) = (self.number("ipv6.nxt", header), None);
            while let Some(next) = proto {
                let field = match next {
                    0 => "ipv6.hopopts.nxt",
                    43 => "ipv6.routing.nxt",
                    44 => "ipv6.fraghdr.nxt",
                    51 => "ah.next_header",
                    60 => "ipv6.dstopts.nxt",
                    135 | 139 | 140 => return (None, fragment),
                    _ => break,
                };
                let used = used.entry(field).or_default();
                if next == 44 {
                    fragment = fragment.or(Some(*used));
                }
                proto = self.number(field, *used);
                *used += 1;
            }
        }
        (proto, fragment)
    }

    /// The ports in the packet's first header of a protocol: an error has none itself, but the quoted packet has.
    fn ports(&self, proto: Option<u64>) -> [Option<u64>; 2] {
        let name = match proto {
            Some(6) => "tcp",
            Some(17 | 136) => "udp",
            Some(33) => "dccp",
            Some(132) => "sctp",
            _ => return [None, None],
        };
        ["srcport", "dstport"].map(|side| self.number(&format!("{name}.{side}"), 0))
    }

    fn text(&self, field: &str, nth: usize) -> Option<&str> {
        let at = FIELDS.iter().position(|f| *f == field).unwrap();
        self.0[at].split(',').nth(nth).filter(|t| !t.is_empty())
    }

    fn number(&self, field: &str, nth: usize) -> Option<u64> {
        self.text(field, nth).map(number)
    }
}

fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// The values of one network header.
#[derive(Debug, Default)]
struct Net<'a> {
    src: Option<&'a str>,
    dst: Option<&'a str>,
    proto: Option<u64>,
    length: Option<u64>,
    tos: Option<u64>,
    ttl: Option<u64>,
    id: Option<u64>,
    frag: Option<u64>,
}

fn some(value: Option<impl Into<Value>>) -> Value {
    value.map_or_else(|| json!(null), Into::into)
}
