/// The type of a filter field: which values it takes and how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Addresses, networks, ranges and classes of them.
    Addr,
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
}

/// One field of the filter language.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As it is written before the colon.
    pub name: &'static str,
    /// Its type.
    pub kind: FieldKind,
    /// The columns of `events` that it covers; a term is true if any of them holds a listed value.
    pub columns: &'static [&'static str],
    /// What it means.
    pub doc: &'static str,
}

const fn f(
    name: &'static str,
    kind: FieldKind,
    columns: &'static [&'static str],
    doc: &'static str,
) -> Field {
    Field { name, kind, columns, doc }
}

use FieldKind::{Addr, Flags, Number, Port, Proto, Text};

/// Every field of the filter language.
pub const FIELDS: &[Field] = &[
    f("src", Addr, &["src"], "source address"),
    f("dst", Addr, &["dst"], "destination address"),
    f("ip", Addr, &["src", "dst"], "either address"),
    f("sport", Port, &["sport"], "source port"),
    f("dport", Port, &["dport"], "destination port"),
    f("port", Port, &["sport", "dport"], "either port"),
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
];

/// The field of a name, in lower case.
#[must_use]
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|f| f.name == name)
}
