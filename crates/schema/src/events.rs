use crate::column::{Column, ColumnKind, ColumnKind::*, Origin, Origin::*};

const fn must(name: &'static str, kind: ColumnKind, origin: Origin, doc: &'static str) -> Column {
    Column { name, kind, nullable: false, origin, doc }
}

const fn may(name: &'static str, kind: ColumnKind, origin: Origin, doc: &'static str) -> Column {
    Column { name, kind, nullable: true, origin, doc }
}

/// The columns of `events`: one row is one logged packet.
pub const EVENTS: &[Column] = &[
    must("time", Time, Sender, "when the packet was logged, by the host's clock"),
    must("received", Time, Server, "when the server got it, by the server's clock"),
    must("host", Text, Server, "the host's name, from its certificate"),
    may("netns", Text, Sender, "the network namespace, empty for the host's own"),
    must("source", Text, Sender, "how it was captured: nflog"),
    must("action", Text, Server, "drop, reject, accept, or log when nobody can tell"),
    may("rule", Text, Server, "the rule that logged it, as text"),
    may("generation", Text, Server, "the ruleset generation that the rule belonged to"),
    may("prefix", Text, Sender, "the log prefix as written by the rule"),
    must("family", Text, Sender, "the netfilter family: ip, ip6, arp, bridge, netdev, inet"),
    may("hook", Text, Sender, "prerouting, input, forward, output, postrouting, ingress"),
    may("in_if", Text, Sender, "input interface"),
    may("out_if", Text, Sender, "output interface"),
    may("phys_in", Text, Sender, "bridge port of input"),
    may("phys_out", Text, Sender, "bridge port of output"),
    may("mac_src", Text, Sender, "source hardware address, lower case with colons"),
    may("mac_dst", Text, Sender, "destination hardware address, lower case with colons"),
    may("ether_type", I32, Sender, "EtherType of the frame (IEEE 802), after a VLAN tag"),
    may("vlan", I32, Sender, "VLAN id (IEEE 802.1Q)"),
    may("src", Addr, Sender, "source address; the sender's protocol address in ARP"),
    may("dst", Addr, Sender, "destination address; the target's protocol address in ARP"),
    may("proto", I16, Sender, "IP protocol number (IANA), after IPv6 extension headers"),
    may("sport", I32, Sender, "source port of TCP, UDP, UDP-Lite, SCTP, DCCP"),
    may("dport", I32, Sender, "destination port"),
    may("length", I32, Sender, "length of the IP packet in bytes, headers included, as its header says"),
    may("tos", I16, Sender, "IPv4 type of service or IPv6 traffic class, all 8 bits"),
    may("ttl", I16, Sender, "IPv4 time to live or IPv6 hop limit"),
    may("ip_id", I64, Sender, "IPv4 identification, or that of the IPv6 fragment header"),
    may(
        "frag",
        I32,
        Sender,
        "as in the IPv4 header: 0x4000 don't fragment, 0x2000 more fragments, low 13 bits offset in 8 bytes; present when not 0; IPv6 fragments likewise",
    ),
    may(
        "tcp_flags",
        I16,
        Sender,
        "bits: 1 FIN, 2 SYN, 4 RST, 8 PSH, 16 ACK, 32 URG, 64 ECE, 128 CWR, 256 AE",
    ),
    may("tcp_seq", I64, Sender, "TCP sequence number"),
    may("tcp_ack", I64, Sender, "TCP acknowledgement number, whether or not ACK is set"),
    may("tcp_window", I32, Sender, "TCP window, not scaled"),
    may("icmp_type", I16, Sender, "ICMP or ICMPv6 type; the operation in ARP"),
    may("icmp_code", I16, Sender, "ICMP or ICMPv6 code"),
    may("inner_proto", I16, Sender, "protocol of the packet quoted in an ICMP error"),
    may("inner_src", Addr, Sender, "its source address"),
    may("inner_dst", Addr, Sender, "its destination address"),
    may("inner_sport", I32, Sender, "its source port"),
    may("inner_dport", I32, Sender, "its destination port"),
    may("mark", I64, Sender, "packet mark, when not 0"),
    may("uid", I64, Sender, "user of the local socket"),
    may("gid", I64, Sender, "group of the local socket"),
    may("ct_state", Text, Sender, "conntrack state: new, established, related, untracked, invalid"),
    must("packets", I64, Sender, "1, or how many equal ones this row stands for"),
    may("src_country", Text, Server, "country of src (ISO 3166-1 alpha-2)"),
    may("src_asn", I64, Server, "autonomous system of src"),
    may("dst_country", Text, Server, "country of dst"),
    may("dst_asn", I64, Server, "autonomous system of dst"),
    may("payload", Bytes, Sender, "captured bytes, where a rule asks for them"),
    may("raw", Text, Sender, "the text that was not fully understood"),
    may("extra", Text, Sender, "what no column holds, as a JSON object"),
    must("stream", Text, Server, "the sequence of batches it came in: host id, lane, epoch"),
    must("seq", I64, Server, "number of the batch in its stream"),
    must("row", I32, Server, "position in the batch, from 0; stream, seq and row name the event"),
];
