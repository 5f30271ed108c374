//! Names of services, protocols and flags, and the closed vocabularies of some text fields.

use bartizan_model::Action;

/// TCP flags as `events.tcp_flags` has them.
pub(crate) const FLAGS: &[(&str, i64)] = &[
    ("fin", 1),
    ("syn", 2),
    ("rst", 4),
    ("psh", 8),
    ("ack", 16),
    ("urg", 32),
    ("ece", 64),
    ("cwr", 128),
    ("ae", 256),
];

/// IP protocols (IANA); the first name of a number is the one that is printed.
const PROTOCOLS: &[(&str, i64)] = &[
    ("hopopt", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("ipencap", 4),
    ("tcp", 6),
    ("egp", 8),
    ("igp", 9),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("icmp6", 58),
    ("ipv6-icmp", 58),
    ("eigrp", 88),
    ("ospf", 89),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
    ("ethernet", 143),
];

/// Services that people name, with the ports of the IANA registry or of their usual configuration.
const SERVICES: &[(&str, u16)] = &[
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("time", 37),
    ("whois", 43),
    ("tacacs", 49),
    ("dns", 53),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("auth", 113),
    ("ident", 113),
    ("ntp", 123),
    ("epmap", 135),
    ("netbios-ns", 137),
    ("netbios-dgm", 138),
    ("netbios-ssn", 139),
    ("imap", 143),
    ("snmp", 161),
    ("snmp-trap", 162),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("microsoft-ds", 445),
    ("smb", 445),
    ("submissions", 465),
    ("isakmp", 500),
    ("syslog", 514),
    ("dhcpv6-client", 546),
    ("dhcpv6-server", 547),
    ("submission", 587),
    ("ipp", 631),
    ("ldaps", 636),
    ("domain-s", 853),
    ("rsync", 873),
    ("imaps", 993),
    ("pop3s", 995),
    ("socks", 1080),
    ("openvpn", 1194),
    ("ms-sql-s", 1433),
    ("radius", 1812),
    ("radius-acct", 1813),
    ("mqtt", 1883),
    ("nfs", 2049),
    ("etcd-client", 2379),
    ("mysql", 3306),
    ("rdp", 3389),
    ("ms-wbt-server", 3389),
    ("ipsec-nat-t", 4500),
    ("sip", 5060),
    ("sips", 5061),
    ("mdns", 5353),
    ("llmnr", 5355),
    ("postgresql", 5432),
    ("vnc", 5900),
    ("redis", 6379),
    ("syslog-tls", 6514),
    ("irc", 6667),
    ("http-alt", 8080),
    ("memcached", 11211),
    ("mongodb", 27017),
    ("wireguard", 51820),
];

/// The number of a protocol, by its name in lower case.
pub(crate) fn protocol(name: &str) -> Option<i64> {
    PROTOCOLS.iter().find(|(n, _)| *n == name).map(|(_, number)| *number)
}

/// The name that a protocol is printed with.
pub(crate) fn protocol_name(number: i64) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, n)| *n == number).map(|(name, _)| *name)
}

pub(crate) fn protocol_names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|(name, _)| *name)
}

/// The bit of a TCP flag, by its name in lower case.
pub(crate) fn flag(name: &str) -> Option<i64> {
    FLAGS.iter().find(|(n, _)| *n == name).map(|(_, bit)| *bit)
}

/// The port of a well-known service, by its name in lower case.
pub(crate) fn service(name: &str) -> Option<u16> {
    SERVICES.iter().find(|(n, _)| *n == name).map(|(_, port)| *port)
}

pub(crate) fn service_names() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|(name, _)| *name)
}

/// Whether a text field holds codes of countries.
pub(crate) fn is_country(field: &str) -> bool {
    field == "country" || field.ends_with(".country")
}

/// The only values that a text field can hold, where that is known.
pub(crate) fn vocabulary(field: &str) -> Option<&'static [&'static str]> {
    const ACTIONS: &[&str] =
        &[Action::Drop.as_str(), Action::Reject.as_str(), Action::Accept.as_str(), Action::Log.as_str()];
    match field {
        "action" => Some(ACTIONS),
        "hook" => Some(&["prerouting", "input", "forward", "output", "postrouting", "ingress", "egress"]),
        "family" => Some(&["ip", "ip6", "inet", "arp", "bridge", "netdev"]),
        "ct" => Some(&["new", "established", "related", "untracked", "invalid"]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_known() {
        assert_eq!(vocabulary("action").unwrap(), Action::ALL.map(Action::as_str));
    }

    #[test]
    fn names_are_in_lower_case_and_unique() {
        for names in [
            service_names().collect::<Vec<_>>(),
            protocol_names().collect(),
            FLAGS.iter().map(|(n, _)| *n).collect(),
        ] {
            let unique: std::collections::BTreeSet<_> = names.iter().collect();
            assert_eq!(unique.len(), names.len());
            assert!(names.iter().all(|n| *n == n.to_lowercase()));
        }
    }
}
