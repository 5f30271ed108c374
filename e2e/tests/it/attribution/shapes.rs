//! Shapes of nftables rulesets.

use super::stage::{Expected, Send, Stage};
use Send::{Connect, Out, OutAs, Ping, Tcp, Udp, UdpFrom65};

const HOST: [&str; 8] = [
    "192.0.2.2:1001",
    "192.0.2.2:1002",
    "192.0.2.2:1003",
    "192.0.2.2:1004",
    "192.0.2.2:1005",
    "192.0.2.2:1006",
    "192.0.2.2:1007",
    "192.0.2.2:1008",
];

/// A table `inet f` with a base chain `input` that drops, `before` it and in it.
fn check(label: &str, before: &str, rules: &str, cases: &[(Send, &[Expected])]) {
    let Some(stage) = Stage::new(label) else { return };
    stage
        .host
        .nft(&format!(
            "table inet f {{\n{before}\nchain input {{\ntype filter hook input priority 0; policy drop;\n{rules}\n}}\n}}"
        ))
        .unwrap();
    stage.check(cases);
}

#[test]
fn a_prefix_in_two_rules() {
    check(
        "two-rules",
        "",
        "udp dport 1001 counter log prefix \"x \" group 5 drop
         udp dport 1002 counter log prefix \"x \" group 5 accept",
        &[
            (Udp(HOST[0]), &[("input", "udp dport 1001", "drop")]),
            (Udp(HOST[1]), &[("input", "udp dport 1002", "accept")]),
            (Udp(HOST[2]), &[]),
        ],
    );
}

#[test]
fn a_prefix_in_two_base_chains() {
    check(
        "two-chains",
        "chain output { type filter hook output priority 0; policy accept; udp dport 1001 log prefix \"x \" group 5; }",
        "udp dport 1001 log prefix \"x \" group 5 drop",
        &[
            (Udp(HOST[0]), &[("input", "drop", "drop")]),
            (Out("192.0.2.1:1001"), &[("output", "udp dport 1001", "accept")]),
        ],
    );
}

#[test]
fn a_prefix_in_two_chains_that_are_jumped_to() {
    check(
        "jumped",
        "chain one { log prefix \"x \" group 5 drop; }
         chain two { log prefix \"x \" group 5 reject; }",
        "udp dport 1001 jump one
         udp dport 1002 jump two",
        &[(Udp(HOST[0]), &[("one", "log", "drop")]), (Udp(HOST[1]), &[("two", "log", "reject")])],
    );
}

#[test]
fn chains_three_deep() {
    check(
        "nested",
        "chain c { udp sport 1-65535 log prefix \"x \" group 5; }
         chain b { jump c; udp dport 1002 drop; }
         chain a { udp dport 1001-1003 jump b; udp dport 1003 accept; log prefix \"x \" group 5; }",
        "ip protocol udp jump a
         udp dport 1001 reject",
        &[
            (Udp(HOST[0]), &[("?", "2", "reject"), ("?", "2", "reject")]),
            (Udp(HOST[1]), &[("c", "udp sport", "drop")]),
            (Udp(HOST[2]), &[("c", "udp sport", "accept")]),
            (Udp(HOST[3]), &[("a", "log", "drop")]),
        ],
    );
}

#[test]
fn a_goto_does_not_come_back() {
    check(
        "goto",
        "chain logs { log prefix \"x \" group 5; }
         chain mid { udp dport 1001 goto logs; udp dport 1001 reject; udp dport 1002 jump logs; reject; }",
        "jump mid
         accept",
        &[(Udp(HOST[0]), &[("logs", "log", "accept")]), (Udp(HOST[1]), &[("logs", "log", "reject")])],
    );
}

#[test]
fn a_named_set() {
    check(
        "named-set",
        "set ports { type inet_service; elements = { 1001, 1003 }; }",
        "udp dport @ports log prefix \"x \" group 5 drop
         log prefix \"x \" group 5 accept",
        &[
            (Udp(HOST[0]), &[("input", "@ports", "drop")]),
            (Udp(HOST[1]), &[("input", "accept", "accept")]),
            (Udp(HOST[2]), &[("input", "@ports", "drop")]),
        ],
    );
}

#[test]
fn an_anonymous_set() {
    check(
        "set",
        "",
        "udp dport { 1001, 1003-1005 } log prefix \"x \" group 5 drop
         udp dport != { 1001, 1003-1005 } log prefix \"x \" group 5 accept",
        &[
            (Udp(HOST[0]), &[("input", "dport {", "drop")]),
            (Udp(HOST[1]), &[("input", "dport != {", "accept")]),
            (Udp(HOST[3]), &[("input", "dport {", "drop")]),
        ],
    );
}

#[test]
fn a_set_of_networks() {
    check(
        "intervals",
        "set bad { type ipv4_addr; flags interval; elements = { 192.0.2.64/26, 10.0.0.1-10.0.0.9 }; }
         set bad6 { type ipv6_addr; flags interval; elements = { 2001:db8::/64 }; }",
        "meta l4proto ipv6-icmp accept
         ip saddr @bad log prefix \"x \" group 5 drop
         ip saddr != @bad udp dport 1001 log prefix \"x \" group 5 reject
         ip6 saddr @bad6 udp dport 1001 log prefix \"x \" group 5 accept",
        &[
            (UdpFrom65(HOST[0]), &[("input", "ip saddr @bad", "drop")]),
            (Udp(HOST[0]), &[("input", "ip saddr != @bad", "reject")]),
            (Udp("[2001:db8::2]:1001"), &[("input", "ip6 saddr @bad6", "accept")]),
        ],
    );
}

#[test]
fn concatenations() {
    check(
        "concat",
        "set pairs { type ipv4_addr . inet_service; flags interval; elements = { 192.0.2.0/26 . 1001, 192.0.2.65 . 1002-1004 }; }",
        "ip saddr . udp dport @pairs log prefix \"x \" group 5 drop
         ip saddr . udp dport { 192.0.2.1 . 1002 } log prefix \"x \" group 5 reject
         log prefix \"x \" group 5 accept",
        &[
            (Udp(HOST[0]), &[("input", "@pairs", "drop")]),
            (Udp(HOST[1]), &[("input", "192.0.2.1 . 1002", "reject")]),
            (UdpFrom65(HOST[1]), &[("input", "@pairs", "drop")]),
            (UdpFrom65(HOST[0]), &[("input", "accept", "accept")]),
        ],
    );
}

#[test]
fn a_named_verdict_map() {
    check(
        "vmap",
        "chain one { log prefix \"x \" group 5 drop; }
         chain two { log prefix \"x \" group 5; }
         map way { type inet_service : verdict; elements = { 1001 : jump one, 1002 : jump two, 1003 : goto two, 1004 : accept }; }",
        "udp dport vmap @way
         udp dport 1002 reject
         log prefix \"x \" group 5",
        &[
            (Udp(HOST[0]), &[("one", "log", "drop")]),
            (Udp(HOST[1]), &[("two", "log", "reject")]),
            (Udp(HOST[2]), &[("two", "log", "drop")]),
            (Udp(HOST[3]), &[]),
            (Udp(HOST[4]), &[("input", "log", "drop")]),
        ],
    );
}

#[test]
fn a_map_of_ports_in_the_rule() {
    check(
        "dport-map",
        "chain one { log prefix \"x \" group 5 accept; }
         chain two { log prefix \"x \" group 5 drop; }",
        "meta l4proto . udp dport vmap { udp . 1001-1002 : jump one, udp . 1003 : jump two }
         udp dport vmap { 1004 : drop, 1005-1006 : jump two }",
        &[
            (Udp(HOST[1]), &[("one", "log", "accept")]),
            (Udp(HOST[2]), &[("two", "log", "drop")]),
            (Udp(HOST[3]), &[]),
            (Udp(HOST[5]), &[("two", "log", "drop")]),
        ],
    );
}

#[test]
fn no_prefix() {
    check(
        "no-prefix",
        "",
        "udp dport 1001 log group 5 drop
         udp dport 1002 log group 5 reject
         udp dport 1003 log prefix \"x\" group 5 reject",
        &[
            (Udp(HOST[0]), &[("input", "1001", "drop")]),
            (Udp(HOST[1]), &[("input", "1002", "reject")]),
            (Udp(HOST[2]), &[("input", "1003", "reject")]),
        ],
    );
}

#[test]
fn a_log_without_verdict_before_the_policy() {
    check(
        "policy",
        "",
        "udp dport 1001 accept\nlog prefix \"x \" group 5",
        &[(Udp(HOST[1]), &[("input", "log prefix", "drop")])],
    );
}

#[test]
fn a_log_without_verdict_before_another_rule() {
    check(
        "next-rule",
        "",
        "udp dport 1001-1002 log prefix \"x \" group 5
         udp dport 1001 accept
         udp dport 1000-2000 reject",
        &[
            (Udp(HOST[0]), &[("input", "1001-1002", "accept")]),
            (Udp(HOST[1]), &[("input", "1001-1002", "reject")]),
        ],
    );
}

#[test]
fn limit_log_and_drop_in_one_rule() {
    check(
        "limit",
        "",
        "udp dport 1001 limit rate 5/second log prefix \"x \" group 5 drop
         udp dport 1001-1002 log prefix \"x \" group 5 accept",
        &[
            // Which of the two it was depends on the limit, which no column tells.
            (Udp(HOST[0]), &[("?", "2", "")]),
            (Udp(HOST[1]), &[("input", "1001-1002", "accept")]),
        ],
    );
    check(
        "limit-alone",
        "",
        "limit rate 5/second counter log prefix \"x \" group 5 drop\naccept",
        &[(Udp(HOST[0]), &[("input", "limit rate 5/second", "drop")])],
    );
}

#[test]
fn a_log_behind_which_a_limit_decides() {
    check(
        "limit-next",
        "",
        "log prefix \"x \" group 5\nlimit rate 5/second accept",
        &[(Udp(HOST[0]), &[("input", "log prefix", "log")])],
    );
}

#[test]
fn the_user_of_the_socket() {
    check(
        "skuid",
        "chain output { type filter hook output priority 0; policy accept;
            udp dport 1001 meta skuid 0 log prefix \"x \" group 5 drop
            udp dport 1001 meta skuid 1000-2000 log prefix \"x \" group 5
            udp dport 1001 meta skuid 1001 reject
         }",
        "drop",
        &[
            (Out("192.0.2.1:1001"), &[("output", "skuid 0", "drop")]),
            (OutAs(1000, "192.0.2.1:1001"), &[("output", "skuid 1000-2000", "accept")]),
            (OutAs(1001, "192.0.2.1:1001"), &[("output", "skuid 1000-2000", "reject")]),
        ],
    );
}

#[test]
fn states_of_connections() {
    let Some(stage) = Stage::new("ct") else { return };
    let rules = "table inet f { chain output { type filter hook output priority 0; policy accept; }
        chain input { type filter hook input priority 0; policy drop;
            ct state established,related log prefix \"x \" group 5 accept
            ct state vmap { invalid : drop, untracked : accept }
            tcp dport 1001 ct state new log prefix \"x \" group 5 accept
            tcp dport 1002 ct state new log prefix \"x \" group 5 drop
        }\n}";
    stage.host.nft(rules).unwrap();
    if stage.tells_states() {
        let old = ("input", "established,related", "accept");
        let connection = [("input", "ct state new", "accept"), old, old];
        stage.check(&[(Connect(HOST[0]), &connection), (Tcp(HOST[1]), &[("input", "1002", "drop")])]);
    } else {
        // The port still tells the last two rules apart, and nothing the first from the others.
        let unknown = ("?", "2", "accept");
        stage.check(&[(Connect(HOST[0]), &[unknown; 3]), (Tcp(HOST[1]), &[("?", "2", "")])]);
    }
}

#[test]
fn tcp_flags() {
    check(
        "flags",
        "",
        "tcp dport 1001 tcp flags & (fin|syn|rst|ack) == syn log prefix \"x \" group 5 accept
         tcp dport 1001 tcp flags & syn == 0 tcp flags & fin == 0 log prefix \"x \" group 5 accept
         tcp flags fin log prefix \"x \" group 5 drop",
        &[(
            Connect(HOST[0]),
            &[
                ("input", "syn / fin,syn,rst,ack", "accept"),
                ("input", "tcp flags ! syn", "accept"),
                ("input", "tcp flags fin", "drop"),
            ],
        )],
    );
}

#[test]
fn icmp_types() {
    check(
        "icmp",
        "",
        "icmp type { echo-reply, destination-unreachable } log prefix \"x \" group 5 accept
         icmp type echo-request log prefix \"x \" group 5 drop
         icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
         icmpv6 type echo-request icmpv6 code 0 log prefix \"x \" group 5 reject",
        &[
            (Ping("192.0.2.2"), &[("input", "icmp type echo-request", "drop")]),
            (Ping("2001:db8::2"), &[("input", "icmpv6 type echo-request", "reject")]),
        ],
    );
}

#[test]
fn two_groups() {
    let Some(stage) = Stage::new("groups") else { return };
    let rules = "table inet f { chain input { type filter hook input priority 0; policy drop;
        udp dport 1001 log prefix \"x \" group 5
        udp dport 1001 log prefix \"x \" group 6 accept
    }\n}";
    stage.host.nft(rules).unwrap();
    stage.check_group(5, &[(Udp(HOST[0]), &[("input", "group 5", "accept")])]);
    stage.check_group(6, &[(Udp(HOST[0]), &[("input", "group 6", "accept")])]);
}

#[test]
fn a_return() {
    check(
        "return",
        "chain sub { udp dport 1001 return; udp dport 1002 log prefix \"x \" group 5 return; drop; }",
        "jump sub
         log prefix \"x \" group 5 accept",
        &[
            (Udp(HOST[0]), &[("input", "accept", "accept")]),
            // Logged in both chains, with the same prefix.
            (Udp(HOST[1]), &[("?", "2", "accept"), ("?", "2", "accept")]),
            (Udp(HOST[2]), &[]),
        ],
    );
}

#[test]
fn comments() {
    check(
        "comment",
        "",
        "udp dport 1001 log prefix \"x \" group 5 drop comment \"the first, log prefix y\"
         udp dport 1002 log prefix \"x \" group 5 accept comment \"the second # handle 7\"",
        &[
            (Udp(HOST[0]), &[("input", "comment \"the first, log prefix y\"", "drop")]),
            (Udp(HOST[1]), &[("input", "the second # handle 7", "accept")]),
        ],
    );
}

#[test]
fn what_nobody_can_tell_is_not_told() {
    check(
        "ambiguous",
        "chain a { log prefix \"x \" group 5 drop; }",
        "fib daddr type local limit rate 100/second jump a
         udp dport 1001 log prefix \"x \" group 5 reject
         udp dport 1002 log prefix \"x \" group 5 drop",
        &[(Udp(HOST[0]), &[("?", "2", "")]), (Udp(HOST[1]), &[("?", "2", "drop")])],
    );
}

#[test]
fn marks() {
    check(
        "marks",
        "chain before { type filter hook prerouting priority -150; udp dport 1001 meta mark set 0x11; udp dport 1002 meta mark set 0x21; }",
        "meta mark & 0xf0 == 0x10 log prefix \"x \" group 5 drop
         meta mark 0x21 log prefix \"x \" group 5 reject
         meta mark 0 log prefix \"x \" group 5 accept",
        &[
            (Udp(HOST[0]), &[("input", "0x00000010", "drop")]),
            (Udp(HOST[1]), &[("input", "0x00000021", "reject")]),
            (Udp(HOST[2]), &[("input", "0x00000000", "accept")]),
        ],
    );
}
