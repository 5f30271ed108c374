//! Rules of iptables, over nf_tables and legacy.

use super::stage::{Send, Stage};
use Send::{Connect, Out, OutAs, Tcp, Udp, UdpFrom65};

/// A pair of rules that log and drop, as iptables users write them, in either iptables.
fn pairs(tool: &str) -> String {
    format!(
        "{tool} -A INPUT -p udp -m multiport --dports 1001,1003:1004 -j NFLOG --nflog-prefix 'x ' --nflog-group 5
         {tool} -A INPUT -p udp -m multiport --dports 1001,1003:1004 -j DROP
         {tool} -A INPUT -p udp -m addrtype --dst-type LOCAL -m udp --dport 1002 -m comment --comment 'it is -j DROP' -j NFLOG --nflog-prefix 'x ' --nflog-group 5
         {tool} -A INPUT -p udp -m addrtype --dst-type LOCAL -m udp --dport 1002 -j REJECT"
    )
}

#[test]
fn log_then_drop_of_iptables_nft() {
    let Some(stage) = Stage::new("ipt-nft") else { return };
    stage.commands(&pairs("iptables"));
    stage.check(&[
        (Udp("192.0.2.2:1001"), &[("INPUT", "--dports 1001,1003:1004", "drop")]),
        (Udp("192.0.2.2:1004"), &[("INPUT", "--dports 1001,1003:1004", "drop")]),
        (Udp("192.0.2.2:1002"), &[("INPUT", "--comment \"it is -j DROP\"", "reject")]),
    ]);
    // The numbers are those of nf_tables, for the counters.
    let rules = bartizan_ruleset::Ruleset::read(&stage.listing());
    let listed: Vec<i64> =
        stage.host.nft_rules().unwrap().iter().filter_map(|rule| rule["handle"].as_i64()).collect();
    assert_eq!(rules.rules().map(|rule| rule.handle).collect::<Vec<_>>(), listed);
}

#[test]
fn log_then_drop_of_iptables_legacy() {
    let Some(stage) = Stage::new("ipt-legacy") else { return };
    stage.commands(&pairs("iptables-legacy"));
    stage.check(&[
        (Udp("192.0.2.2:1001"), &[("INPUT", "--dports 1001,1003:1004", "drop")]),
        (Udp("192.0.2.2:1002"), &[("INPUT", "--comment \"it is -j DROP\"", "reject")]),
    ]);
}

#[test]
fn a_log_and_drop_chain() {
    let Some(stage) = Stage::new("ipt-chain") else { return };
    stage.commands(
        "iptables -N LOGDROP
         iptables -A LOGDROP -m limit --limit 100/sec -j NFLOG --nflog-prefix 'x ' --nflog-group 5
         iptables -A LOGDROP -j DROP
         iptables -A INPUT -m conntrack --ctstate INVALID -j LOGDROP
         iptables -A INPUT -p udp --dport 1001 -j LOGDROP
         iptables -A INPUT -p tcp --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j NFLOG --nflog-prefix 'x ' --nflog-group 5
         iptables -A INPUT -p tcp -m conntrack --ctstate NEW -j ACCEPT",
    );
    stage.check(&[
        (Udp("192.0.2.2:1001"), &[("LOGDROP", "--limit 100/sec", "drop")]),
        // Whether it was invalid and went to the chain, conntrack alone could tell.
        (
            Connect("192.0.2.2:1002"),
            if stage.tells_states() { &[("INPUT", "--ctstate NEW", "accept")] } else { &[("?", "2", "")] },
        ),
    ]);
}

#[test]
fn users_addresses_and_the_policy() {
    let Some(stage) = Stage::new("ipt-policy") else { return };
    stage.commands(
        "iptables -P INPUT DROP
         iptables -A INPUT -s 192.0.2.64/26 ! -i lo -j NFLOG --nflog-group 5
         iptables -A INPUT -s 192.0.2.0/27 -m mac --mac-source 02:00:00:00:00:99 -j NFLOG --nflog-group 5
         iptables -A INPUT -m iprange --src-range 192.0.2.1-192.0.2.9 -i eth+ -j NFLOG --nflog-group 5
         iptables -A OUTPUT -m owner --uid-owner 1000 -p udp --dport 1001 -j NFLOG --nflog-group 5
         iptables -A OUTPUT -m owner ! --uid-owner 1000 -p udp --dport 1001 -j NFLOG --nflog-group 5
         iptables -A OUTPUT -p udp --dport 1001 -j REJECT",
    );
    stage.check(&[
        (UdpFrom65("192.0.2.2:1001"), &[("INPUT", "192.0.2.64/26", "drop")]),
        (Udp("192.0.2.2:1001"), &[("INPUT", "192.0.2.1-192.0.2.9", "drop")]),
        (Out("192.0.2.1:1001"), &[("OUTPUT", "! --uid-owner 1000", "reject")]),
        (OutAs(1000, "192.0.2.1:1001"), &[("OUTPUT", "owner --uid-owner 1000", "reject")]),
    ]);
}

#[test]
fn legacy_beside_nft_and_ip6tables() {
    let Some(stage) = Stage::new("ipt-both") else { return };
    stage.host.nft("table inet f { chain input { type filter hook input priority 10; policy accept; udp dport 1001 log prefix \"x \" group 5 drop; }\n}").unwrap();
    stage.commands(
        "iptables-legacy -A INPUT -p udp --dport 1002 -j NFLOG --nflog-prefix 'x ' --nflog-group 5
         ip6tables-legacy -A INPUT -p udp --dport 1001 -j NFLOG --nflog-prefix 'x ' --nflog-group 5
         ip6tables-legacy -A INPUT -p udp --dport 1001 -j DROP
         iptables -A INPUT -p tcp --syn -j NFLOG --nflog-prefix 'x ' --nflog-group 5",
    );
    stage.check(&[
        (Udp("192.0.2.2:1001"), &[("input", "udp dport 1001", "drop")]),
        (Udp("192.0.2.2:1002"), &[("INPUT", "--dport 1002", "accept")]),
        (Udp("[2001:db8::2]:1001"), &[("INPUT", "--dport 1001", "drop")]),
        (Tcp("192.0.2.2:1003"), &[("INPUT", "--tcp-flags FIN,SYN,RST,ACK SYN", "accept")]),
    ]);
}
