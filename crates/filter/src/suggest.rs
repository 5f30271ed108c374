//! "Did you mean": the nearest of some names.

use bartizan_model::Kind;
use bartizan_schema::{FIELDS, Field};

/// Longer words are nobody's slip of the pen, and distance costs the product of the lengths.
const MAX_WORD: usize = 32;

/// The name nearest to a word, if one is near enough: a third of its letters changed at most, or the only
/// name that starts with it.
pub(crate) fn closest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    let mut starting = Vec::new();
    for name in names.take(20_000) {
        if name.len() > 2 * MAX_WORD {
            continue;
        }
        if word.len() >= 2 && name.starts_with(&word) && !starting.contains(&name) && starting.len() < 2 {
            starting.push(name);
        }
        // A word of one or two letters is one change away from too many.
        let distance = strsim::damerau_levenshtein(&word, name);
        if distance <= allowed && distance < word.chars().count() && best.is_none_or(|(d, _)| distance < d) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name).or(if starting.len() == 1 { starting.first().copied() } else { None })
}

/// What other tools call our fields.
const ALIASES: &[(&str, &str)] = &[
    ("addr", "ip"),
    ("address", "ip"),
    ("ip.addr", "ip"),
    ("saddr", "src"),
    ("srcip", "src"),
    ("src_ip", "src"),
    ("source_ip", "src"),
    ("sourceip", "src"),
    ("ip.src", "src"),
    ("ip.saddr", "src"),
    ("from", "src"),
    ("daddr", "dst"),
    ("dest", "dst"),
    ("destination", "dst"),
    ("dstip", "dst"),
    ("dst_ip", "dst"),
    ("dest_ip", "dst"),
    ("destip", "dst"),
    ("ip.dst", "dst"),
    ("ip.daddr", "dst"),
    ("to", "dst"),
    ("spt", "sport"),
    ("srcport", "sport"),
    ("src_port", "sport"),
    ("source_port", "sport"),
    ("tcp.srcport", "sport"),
    ("udp.srcport", "sport"),
    ("dpt", "dport"),
    ("dstport", "dport"),
    ("dst_port", "dport"),
    ("dest_port", "dport"),
    ("destport", "dport"),
    ("destination_port", "dport"),
    ("tcp.dstport", "dport"),
    ("udp.dstport", "dport"),
    ("tcp.port", "port"),
    ("udp.port", "port"),
    ("service", "port"),
    ("protocol", "proto"),
    ("prot", "proto"),
    ("ip.proto", "proto"),
    ("tcp_flags", "flags"),
    ("tcp.flags", "flags"),
    ("flag", "flags"),
    ("length", "len"),
    ("size", "len"),
    ("hoplimit", "ttl"),
    ("dscp", "tos"),
    ("fwmark", "mark"),
    ("user", "uid"),
    ("icmp_type", "type"),
    ("icmp.type", "type"),
    ("icmp_code", "code"),
    ("icmp.code", "code"),
    ("hostname", "host"),
    ("server", "host"),
    ("label", "group"),
    ("hostgroup", "group"),
    ("verdict", "action"),
    ("disposition", "action"),
    ("msg", "prefix"),
    ("message", "prefix"),
    ("interface", "iface"),
    ("if", "iface"),
    ("dev", "iface"),
    ("in_if", "in"),
    ("iif", "in"),
    ("iifname", "in"),
    ("out_if", "out"),
    ("oif", "out"),
    ("oifname", "out"),
    ("state", "ct"),
    ("ct_state", "ct"),
    ("ct.state", "ct"),
    ("ctstate", "ct"),
    ("namespace", "netns"),
];

/// What says in one table about the same as a field of another.
const COUNTERPARTS: &[(&str, &str)] = &[
    ("len", "bytes"),
    ("bytes", "len"),
    ("ct", "tcp.state"),
    ("tcp.state", "ct"),
    ("prefix", "rule"),
    ("reply.src", "dst"),
    ("reply.dst", "src"),
    ("reply.sport", "dport"),
    ("reply.dport", "sport"),
    ("object", "rule"),
];

/// The field of a table that was probably meant.
pub(crate) fn field(kind: Kind, name: &str) -> Option<&'static Field> {
    let name = name.to_lowercase();
    let known = |name: &str| bartizan_schema::field(name).filter(|field| field.is_in(kind));
    let found = ALIASES.iter().find(|(alias, _)| *alias == name).and_then(|(_, field)| known(field));
    let names = || FIELDS.iter().filter(|f| f.is_in(kind)).map(|f| f.name);
    found.or_else(|| known(closest(&name, names())?))
}

/// The field of a table that stands for another table's field.
pub(crate) fn counterpart(kind: Kind, name: &str) -> Option<&'static str> {
    let known = |name: &&str| bartizan_schema::field(name).is_some_and(|field| field.is_in(kind));
    COUNTERPARTS.iter().find(|(from, _)| *from == name).map(|(_, to)| *to).filter(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_leads_to_a_field_and_is_none() {
        for (alias, name) in ALIASES {
            assert!(bartizan_schema::field(name).is_some(), "{alias} -> {name}");
            assert!(bartizan_schema::field(alias).is_none(), "{alias} is a field");
        }
    }

    #[test]
    fn every_counterpart_is_a_field_of_another_table() {
        for (name, other) in COUNTERPARTS {
            let tables = |name| bartizan_schema::field(name).unwrap().tables().collect::<Vec<_>>();
            let (from, to) = (tables(name), tables(other));
            assert!(to.iter().any(|kind| !from.contains(kind)), "{name} -> {other}");
        }
    }

    #[test]
    fn near_names_are_found_and_far_ones_not() {
        let names = || ["drop", "reject", "accept", "log"].into_iter();
        assert_eq!(closest("dorp", names()), Some("drop"));
        assert_eq!(closest("REJCT", names()), Some("reject"));
        assert_eq!(closest("rej", names()), Some("reject"));
        assert_eq!(closest("banana", names()), None);
        assert_eq!(closest("", names()), None);
        assert_eq!(closest(&"d".repeat(4000), names()), None);
    }
}
