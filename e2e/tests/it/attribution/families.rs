//! Tables of every family, alone and beside each other, and forwarded packets.

use super::stage::{GROUP, Send, Stage};
use Send::{Out, Ping, Udp};
use bartizan_e2e::netns::{End, NetNs};

#[test]
fn an_inet_and_an_ip_table_log_the_same_packet() {
    let Some(stage) = Stage::new("inet-ip") else { return };
    let rules = "table inet a { chain input { type filter hook input priority -10; policy accept;
            udp dport 1001 log prefix \"x \" group 5 drop
            udp dport 1002 log prefix \"a \" group 5 accept
         }\n}
         table ip b { chain input { type filter hook input priority 0; policy accept;
            log prefix \"x \" group 5
            udp dport 1002 log prefix \"b \" group 5 drop
         }\n}";
    stage.host.nft(rules).unwrap();
    stage.check(&[
        // Dropped before the other table.
        (Udp("192.0.2.2:1001"), &[("input", "udp dport 1001", "drop")]),
        (
            Udp("192.0.2.2:1002"),
            &[
                ("input", "prefix \"a \"", "accept"),
                ("input", "log prefix \"x \"", "drop"),
                ("input", "prefix \"b \"", "drop"),
            ],
        ),
        (Udp("192.0.2.2:1003"), &[("input", "log prefix \"x \"", "accept")]),
        (Udp("[2001:db8::2]:1001"), &[("input", "udp dport 1001", "drop")]),
    ]);
}

#[test]
fn an_ip6_table_beside_an_ip_table() {
    let Some(stage) = Stage::new("ip6") else { return };
    let rules = "table ip f { chain input { type filter hook input priority 0; policy drop; log prefix \"x \" group 5; }\n}
         table ip6 f { chain input { type filter hook input priority 0; policy accept;
            meta l4proto udp udp dport 1001 log prefix \"x \" group 5 drop
            ip6 nexthdr udp udp dport 1002 log prefix \"x \" group 5 reject
            ip6 nexthdr tcp log prefix \"x \" group 5 drop
         }\n}";
    stage.host.nft(rules).unwrap();
    stage.check(&[
        (Udp("192.0.2.2:1001"), &[("input", "log prefix", "drop")]),
        (Udp("[2001:db8::2]:1001"), &[("input", "1001", "drop")]),
        (Udp("[2001:db8::2]:1002"), &[("input", "1002", "reject")]),
        (Send::Tcp("[2001:db8::2]:1001"), &[("input", "nexthdr tcp", "drop")]),
    ]);
}

#[test]
fn a_netdev_table() {
    let Some(stage) = Stage::new("netdev") else { return };
    let rules = "table netdev f {
            chain one { type filter hook ingress device \"eth0\" priority 0; policy accept;
                ip saddr 192.0.2.1 udp dport 1001 log prefix \"x \" group 5 drop
                udp dport 1002 log prefix \"x \" group 5
            }
            chain two { type filter hook ingress device \"lo\" priority 0; policy drop;
                udp dport 1002 log prefix \"x \" group 5
            }
         }";
    stage.host.nft(rules).unwrap();
    stage.check(&[
        (Udp("192.0.2.2:1001"), &[("one", "1001", "drop")]),
        (Udp("192.0.2.2:1002"), &[("one", "1002", "accept")]),
        (Out("127.0.0.1:1002"), &[("two", "1002", "drop")]),
    ]);
}

#[test]
fn an_arp_table() {
    let Some(stage) = Stage::new("arp") else { return };
    let rules = "table arp f { chain input { type filter hook input priority 0; policy accept;
            arp operation request log prefix \"x \" group 5 drop
            arp operation reply log prefix \"x \" group 5
         }\n}";
    stage.host.nft(rules).unwrap();
    // The peer asks, the host asks and is answered.
    stage.check(&[
        (Udp("192.0.2.2:1001"), &[("input", "request", "drop")]),
        (Out("192.0.2.1:1001"), &[("input", "reply", "accept")]),
    ]);
}

#[test]
fn a_bridge_table() {
    let Some(stage) = Stage::new("bridge") else { return };
    // The host bridges a third one: its eth1 and the peer's link become ports.
    let third = NetNs::new("third").unwrap();
    let near = End { netns: &stage.host, name: "eth1", addresses: &[] };
    NetNs::link(near, End { netns: &third, name: "eth0", addresses: &["192.0.2.3/24"] }).unwrap();
    for line in [
        "link add br0 type bridge",
        "link set eth0 master br0",
        "link set eth1 master br0",
        "link set br0 up",
    ] {
        stage.host.ip(line).unwrap();
    }
    let rules = "table bridge f { chain forward { type filter hook forward priority 0; policy drop;
            ether type arp accept
            iifname \"eth0\" oifname \"eth1\" udp dport 1001 log prefix \"x \" group 5 accept
            iifname \"eth1\" ip saddr 192.0.2.3 log prefix \"x \" group 5
            ip daddr 192.0.2.3 icmp type echo-request log prefix \"x \" group 5
         }\n}";
    stage.host.nft(rules).unwrap();
    stage.check(&[
        (
            Udp("192.0.2.3:1001"),
            &[
                ("forward", "1001", "accept"),
                // Nobody listens there, and says so.
                ("forward", "iifname \"eth1\"", "drop"),
            ],
        ),
        (Ping("192.0.2.3"), &[("forward", "icmp type echo-request", "drop")]),
    ]);
}

#[test]
fn forwarded_packets_by_their_interfaces() {
    let Some(stage) = Stage::new("forward") else { return };
    let inner = NetNs::new("inner").unwrap();
    let near = End { netns: &stage.host, name: "eth1", addresses: &["198.51.100.1/24"] };
    NetNs::link(near, End { netns: &inner, name: "eth0", addresses: &["198.51.100.2/24"] }).unwrap();
    stage.host.sysctl("net.ipv4.ip_forward", "1").unwrap();
    stage.peer.ip("route add 198.51.100.0/24 via 192.0.2.2").unwrap();
    inner.ip("route add default via 198.51.100.1").unwrap();
    let rules = "table inet f { chain forward { type filter hook forward priority 0; policy drop;
            iif \"eth1\" oif \"eth0\" log prefix \"x \" group 5 accept
            iifname \"eth*\" oifname \"eth1\" udp dport 1001 log prefix \"x \" group 5 accept
            iifname { \"eth0\", \"lo\" } oifname != \"eth0\" udp dport 1002 log prefix \"x \" group 5
         }\n}";
    stage.host.nft(rules).unwrap();
    stage.check_group(
        GROUP,
        &[
            (
                Udp("198.51.100.2:1001"),
                &[("forward", "1001", "accept"), ("forward", "iif \"eth1\"", "accept")],
            ),
            (Udp("198.51.100.2:1002"), &[("forward", "1002", "drop")]),
        ],
    );
}
