use crate::{Column, table_columns};
use bartizan_model::Kind;

/// The type of a filter field: which values it takes and how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Addresses, networks, ranges and classes of them.
    Addr,
    /// Numbers of autonomous systems, with or without `AS` before them.
    Asn,
    /// Port numbers, ranges and service names.
    Port,
    /// Protocol numbers and names.
    Proto,
    /// TCP flags: a term is true if the flag is set.
    Flags,
    /// Numbers, ranges and comparisons.
    Number,
    /// Text: whole, case-insensitive; globs, quoted, regular expressions.
    Text,
    /// Names of groups of hosts: true if the host is in one of them. Not a name for the column of hosts.
    Group,
}

/// One field of the filter language.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As it is written before the colon.
    pub name: &'static str,
    /// Its type.
    pub kind: FieldKind,
    /// The columns that it covers; a term is true if any of them holds a listed value. A table has some of
    /// them, all, or none: then it is no field of that table.
    pub columns: &'static [&'static str],
    /// What it means.
    pub doc: &'static str,
}

impl Field {
    /// The columns that it covers in one table.
    pub fn columns_in(&self, kind: Kind) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter_map(move |name| table_columns(kind).iter().find(|c| c.name == *name))
    }

    /// Whether it is a field of a table.
    #[must_use]
    pub fn is_in(&self, kind: Kind) -> bool {
        self.columns_in(kind).next().is_some()
    }

    /// The tables that it is a field of.
    pub fn tables(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| self.is_in(*kind))
    }
}

const fn f(
    name: &'static str,
    kind: FieldKind,
    columns: &'static [&'static str],
    doc: &'static str,
) -> Field {
    Field { name, kind, columns, doc }
}

use FieldKind::{Addr, Asn, Flags, Group, Number, Port, Proto, Text};

/// Every field of the filter language.
pub const FIELDS: &[Field] = &[
    f("src", Addr, &["src"], "source address"),
    f("dst", Addr, &["dst"], "destination address"),
    f(
        "ip",
        Addr,
        &["src", "dst", "reply_src", "reply_dst"],
        "either address; of a flow any, before or after NAT",
    ),
    f("src.country", Text, &["src_country"], "country of the source address: src.country:NL"),
    f("dst.country", Text, &["dst_country"], "country of the destination address"),
    f("country", Text, &["src_country", "dst_country"], "country of either address"),
    f("src.asn", Asn, &["src_asn"], "autonomous system of the source address: src.asn:AS64500"),
    f("dst.asn", Asn, &["dst_asn"], "autonomous system of the destination address"),
    f("asn", Asn, &["src_asn", "dst_asn"], "autonomous system of either address"),
    f("sport", Port, &["sport"], "source port"),
    f("dport", Port, &["dport"], "destination port"),
    f(
        "port",
        Port,
        &["sport", "dport", "reply_sport", "reply_dport"],
        "either port; of a flow any, before or after NAT",
    ),
    f("proto", Proto, &["proto"], "IP protocol"),
    f("flags", Flags, &["tcp_flags"], "TCP flags"),
    f("len", Number, &["length"], "packet length in bytes"),
    f("ttl", Number, &["ttl"], "time to live or hop limit"),
    f("tos", Number, &["tos"], "type of service or traffic class"),
    f("mark", Number, &["mark"], "packet mark"),
    f("uid", Number, &["uid"], "user of the local socket"),
    f("gid", Number, &["gid"], "group of the local socket"),
    f("vlan", Number, &["vlan"], "VLAN id"),
    f("type", Number, &["icmp_type"], "ICMP type"),
    f("code", Number, &["icmp_code"], "ICMP code"),
    f("host", Text, &["host"], "the host that logged it"),
    f("group", Group, &["host"], "hosts that the configuration puts into a group: group:db"),
    f("action", Text, &["action"], "drop, reject, accept, log"),
    f("rule", Text, &["rule"], "the rule that logged it"),
    f("table", Text, &["table"], "family and table of the rule: table:\"inet filter\""),
    f("chain", Text, &["chain"], "chain of the rule"),
    f("prefix", Text, &["prefix"], "the log prefix"),
    f("hook", Text, &["hook"], "netfilter hook"),
    f("family", Text, &["family"], "netfilter family"),
    f("in", Text, &["in_if"], "input interface"),
    f("out", Text, &["out_if"], "output interface"),
    f("iface", Text, &["in_if", "out_if", "phys_in", "phys_out"], "any interface"),
    f("mac", Text, &["mac_src", "mac_dst"], "either hardware address"),
    f("netns", Text, &["netns"], "network namespace"),
    f("generation", Text, &["generation"], "the ruleset generation of the rule"),
    f("source", Text, &["source"], "how it was captured"),
    f("ct", Text, &["ct_state"], "conntrack state"),
    f("inner.src", Addr, &["inner_src"], "source of the packet quoted in an ICMP error"),
    f("inner.dst", Addr, &["inner_dst"], "destination of the packet quoted in an ICMP error"),
    f("inner.sport", Port, &["inner_sport"], "source port of the packet quoted in an ICMP error"),
    f("inner.dport", Port, &["inner_dport"], "destination port of the packet quoted in an ICMP error"),
    f("packets", Number, &["packets"], "packets that the row stands for"),
    f("handle", Number, &["handle"], "number of the rule in its table"),
    f("bytes", Number, &["bytes"], "bytes of a flow's original direction, or of a counter"),
    f("reply.src", Addr, &["reply_src"], "who answers, after destination NAT"),
    f("reply.dst", Addr, &["reply_dst"], "whom they answer, after source NAT"),
    f("reply.sport", Port, &["reply_sport"], "source port of the reply direction"),
    f("reply.dport", Port, &["reply_dport"], "destination port of the reply direction"),
    f("reply.packets", Number, &["reply_packets"], "packets of the reply direction"),
    f("reply.bytes", Number, &["reply_bytes"], "bytes of the reply direction"),
    f("event", Text, &["event"], "new, update, destroy, dump"),
    f("nat", Text, &["nat"], "snat, dnat, snat dnat"),
    f("tcp.state", Text, &["state"], "TCP state of a flow"),
    f("zone", Number, &["zone"], "conntrack zone"),
    f("object", Text, &["object"], "what counts"),
    f("name", Text, &["name"], "name of a counter, set or nfacct object"),
    f("element", Text, &["element"], "element of a set that counts"),
    f("kind", Text, &["kind"], "of a counter: rule, counter, element, policy, nfacct; of a loss: whose rows"),
    f("stage", Text, &["stage"], "where it was lost"),
    f("reason", Text, &["reason"], "why it was lost"),
    f("detail", Text, &["detail"], "what a loss concerns"),
    f("count", Number, &["count"], "how many were lost"),
    f("process", Text, &["process"], "the process that changed the rules"),
    f("zones", Text, &["zones"], "zone, or pair of zones, that the prefix names"),
    f("sender", Text, &["sender"], "who delivered it, where that is not the host itself"),
    f("program", Text, &["program"], "the program that wrote a line"),
    f("facility", Number, &["facility"], "syslog facility of a line"),
    f("severity", Number, &["severity"], "syslog severity of a line, 0 the most severe"),
    f("text", Text, &["text"], "the text of a line"),
    f("pid", Number, &["pid"], "its number"),
    f("raw", Text, &["raw"], "the text that was not fully understood: raw:* finds all of it"),
];

/// What a table counts, apart from its rows: the columns that are summed, the most telling first.
#[must_use]
pub const fn measures(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Events => &["packets"],
        Kind::Flows => &["bytes", "packets", "reply_bytes", "reply_packets"],
        Kind::Counters => &["packets", "bytes"],
        Kind::Losses => &["count"],
        Kind::Rulesets | Kind::Lines => &[],
    }
}

/// The field of a name, in lower case.
#[must_use]
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|f| f.name == name)
}
