//! Lines made after the format: one of each kind, every trap, and whatever a mutation makes of them.

use super::row_of;
use bartizan_decode::text::{Line, Problem};
use proptest::prelude::*;

/// A line, and the cells of its row besides time, source and packets.
pub(crate) const LINES: &[(&str, &str)] = &[
    (
        "IN=eth0 OUT= MAC=00:1b:b9:76:9c:e4:00:13:46:3a:41:36:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=0x08 PREC=0xC0 TTL=64 ID=54321 CE DF MF PROTO=TCP SPT=40000 DPT=22 SEQ=17 ACK=4294967295 WINDOW=64240 RES=0x00 AE CWR ECE URG ACK PSH RST SYN FIN URGP=0 UID=0 GID=100 MARK=0x1a ",
        "dport=22 dst=198.51.100.2 ether_type=2048 family=ip frag=57344 gid=100 in_if=eth0 ip_id=54321 length=60 mac_dst=00:1b:b9:76:9c:e4 mac_src=00:13:46:3a:41:36 mark=26 proto=6 sport=40000 src=192.0.2.1 tcp_ack=4294967295 tcp_flags=511 tcp_seq=17 tcp_window=64240 tos=200 ttl=64 uid=0",
    ),
    // the prefix is glued, says what it wants, and is kept as it is
    (
        "x IN=a OUT=b SRC=10.9.9.9 [D]IN= OUT=lo SRC=127.0.0.1 DST=127.0.0.1 LEN=84 TOS=0x00 PREC=0x00 TTL=64 ID=0 DF PROTO=ICMP TYPE=8 CODE=0 ID=2122 SEQ=1 ",
        "dst=127.0.0.1 extra={\"icmp_id\":2122,\"icmp_seq\":1} family=ip frag=16384 icmp_code=0 icmp_type=8 ip_id=0 length=84 out_if=lo prefix=x IN=a OUT=b SRC=10.9.9.9 [D] proto=1 src=127.0.0.1 tos=0 ttl=64",
    ),
    (
        "Jan  8 03:37:09 gw kernel: [ 1269.733882] [A-1-D]IN=eth0 OUT=eth1.4 PHYSIN=p1 PHYSOUT=p2 MAC=00:1b:b9:76:9c:e4:00:13:46:3a:41:36:81:00:00:05:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=28 TOS=0x00 PREC=0x00 TTL=1 ID=7 PROTO=UDP SPT=53 DPT=5353 LEN=8 ",
        "dport=5353 dst=198.51.100.2 ether_type=2048 family=ip in_if=eth0 ip_id=7 length=28 mac_dst=00:1b:b9:76:9c:e4 mac_src=00:13:46:3a:41:36 out_if=eth1.4 phys_in=p1 phys_out=p2 prefix=[A-1-D] proto=17 sport=53 src=192.0.2.1 tos=0 ttl=1 vlan=5",
    ),
    (
        "IN=br0 PHYSIN=eth0 OUT=br0 PHYSOUT=eth1 SRC=192.0.2.1 DST=198.51.100.2 LEN=28 TOS=0x00 PREC=0x00 TTL=1 ID=7 PROTO=UDPLITE SPT=53 DPT=5353 LEN=8 ",
        "dport=5353 dst=198.51.100.2 family=ip in_if=br0 ip_id=7 length=28 out_if=br0 phys_in=eth0 phys_out=eth1 proto=136 sport=53 src=192.0.2.1 tos=0 ttl=1",
    ),
    (
        "v6: IN=eth0 OUT= MACSRC=00:13:46:3a:41:36 MACDST=33:33:00:00:00:01 VPROTO=8100 VID=8197 MACPROTO=86dd SRC=fe80:0000:0000:0000:0213:46ff:fe3a:4136 DST=ff02:0000:0000:0000:0000:0000:0000:0001 LEN=1500 TC=224 HOPLIMIT=255 FLOWLBL=1048575 OPT ( ) OPT ( FRAG:1480 INCOMPLETE ID:0000abcd ) PROTO=ICMPv6 ",
        "dst=ff02::1 ether_type=34525 extra={\"flow_label\":1048575} family=ip6 frag=8377 in_if=eth0 ip_id=43981 length=1500 mac_dst=33:33:00:00:00:01 mac_src=00:13:46:3a:41:36 prefix=v6:  proto=58 src=fe80::213:46ff:fe3a:4136 tos=224 ttl=255 vlan=5",
    ),
    (
        "v6: IN=eth0 OUT= MAC= SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0002 LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=0 FRAG:0 INCOMPLETE ID:00000007 PROTO=TCP INCOMPLETE [8 bytes] ",
        "dst=2001:db8::2 extra={\"incomplete\":8} family=ip6 frag=8192 in_if=eth0 ip_id=7 length=80 prefix=v6:  proto=6 src=2001:db8::1 tos=0 ttl=64",
    ),
    (
        "v6: IN=eth0 OUT= MAC= SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0002 LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=0 OPT ( AH SPI=0x1234 ) OPT ( ESP SPI=0xabcd )",
        "dst=2001:db8::2 extra={\"ah_spi\":\"0x1234\",\"spi\":\"0xabcd\"} family=ip6 in_if=eth0 length=80 prefix=v6:  src=2001:db8::1 tos=0 ttl=64",
    ),
    (
        "v6: IN=eth0 OUT= MAC= SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0002 LEN=80 TC=0 HOPLIMIT=64 FLOWLBL=0 Unknown Ext Hdr 140",
        "dst=2001:db8::2 extra={\"unknown_header\":140} family=ip6 in_if=eth0 length=80 prefix=v6:  src=2001:db8::1 tos=0 ttl=64",
    ),
    (
        "err: IN=lo OUT= MAC=00:00:00:00:00:00:00:00:00:00:00:00:86:dd SRC=fe80:0000:0000:0000:0000:0000:0000:0001 DST=fe80:0000:0000:0000:0000:0000:0000:0001 LEN=100 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=ICMPv6 TYPE=2 CODE=0 [SRC=fe80:0000:0000:0000:0000:0000:0000:0002 DST=fe80:0000:0000:0000:0000:0000:0000:0003 LEN=1400 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=UDP SPT=1 DPT=2 LEN=1360 ] MTU=1280 MARK=0x2a ",
        "dst=fe80::1 ether_type=34525 extra={\"icmp_mtu\":1280} family=ip6 icmp_code=0 icmp_type=2 in_if=lo inner_dport=2 inner_dst=fe80::3 inner_proto=17 inner_sport=1 inner_src=fe80::2 length=100 mac_dst=00:00:00:00:00:00 mac_src=00:00:00:00:00:00 mark=42 prefix=err:  proto=58 src=fe80::1 tos=0 ttl=64",
    ),
    (
        "err: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=76 TOS=0x00 PREC=0xC0 TTL=64 ID=50612 PROTO=ICMP TYPE=3 CODE=4 [SRC=198.51.100.2 DST=203.0.113.9 LEN=48 TOS=0x00 PREC=0x00 TTL=63 ID=1 DF FRAG:5 OPT (94040000) PROTO=TCP INCOMPLETE [4 bytes] ] MTU=1400 UID=1000 GID=1000 MARK=0xffffffff ",
        "dst=198.51.100.2 extra={\"icmp_mtu\":1400} family=ip gid=1000 icmp_code=4 icmp_type=3 in_if=eth0 inner_dst=203.0.113.9 inner_proto=6 inner_src=198.51.100.2 ip_id=50612 length=76 mark=4294967295 prefix=err:  proto=1 src=192.0.2.1 tos=192 ttl=64 uid=1000",
    ),
    (
        "err: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=56 TOS=0x00 PREC=0xC0 TTL=64 ID=50612 PROTO=ICMP TYPE=5 CODE=1 GATEWAY=192.0.2.9 [SRC=198.51.100.2 DST=203.0.113.9 TRUNCATED] ",
        "dst=198.51.100.2 extra={\"icmp_gateway\":\"192.0.2.9\"} family=ip icmp_code=1 icmp_type=5 in_if=eth0 inner_dst=203.0.113.9 inner_src=198.51.100.2 ip_id=50612 length=56 prefix=err:  proto=1 src=192.0.2.1 tos=192 ttl=64",
    ),
    (
        "err: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=2 PROTO=ICMP TYPE=11 CODE=0 [TRUNCATED] ",
        "dst=198.51.100.2 family=ip icmp_code=0 icmp_type=11 in_if=eth0 ip_id=2 length=28 prefix=err:  proto=1 src=192.0.2.1 tos=0 ttl=64",
    ),
    (
        "err: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=28 TOS=0x00 PREC=0x00 TTL=64 ID=2 PROTO=ICMP TYPE=12 CODE=0 PARAMETER=20 ",
        "dst=198.51.100.2 extra={\"icmp_parameter\":20} family=ip icmp_code=0 icmp_type=12 in_if=eth0 ip_id=2 length=28 prefix=err:  proto=1 src=192.0.2.1 tos=0 ttl=64",
    ),
    (
        "frag: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=1500 TOS=0x00 PREC=0x00 TTL=64 ID=9 MF FRAG:185 PROTO=UDP ",
        "dst=198.51.100.2 family=ip frag=8377 in_if=eth0 ip_id=9 length=1500 prefix=frag:  proto=17 src=192.0.2.1 tos=0 ttl=64",
    ),
    (
        "opt: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=64 TOS=0x00 PREC=0x00 TTL=64 ID=9 DF OPT (94040000) PROTO=TCP SPT=1 DPT=2 WINDOW=5 RES=0x3c SYN URGP=9 OPT (020405B4) ",
        "dport=2 dst=198.51.100.2 extra={\"ip_options\":\"94040000\",\"tcp_reserved\":\"0x3c\",\"tcp_urgent\":9,\"tcp_options\":\"020405B4\"} family=ip frag=16384 in_if=eth0 ip_id=9 length=64 prefix=opt:  proto=6 sport=1 src=192.0.2.1 tcp_flags=2 tcp_window=5 tos=0 ttl=64",
    ),
    (
        "spi: IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=64 TOS=0x00 PREC=0x00 TTL=64 ID=9 PROTO=AH SPI=0xf1234567 ",
        "dst=198.51.100.2 extra={\"spi\":\"0xf1234567\"} family=ip in_if=eth0 ip_id=9 length=64 prefix=spi:  proto=51 src=192.0.2.1 tos=0 ttl=64",
    ),
    (
        "sit: IN=sit1 OUT= MAC=00:aa:bb:cc:dd:ee:00:11:22:33:44:55:08:00:45:00:00:50 TUNNEL=192.0.2.1->198.51.100.2 SRC=2001:0db8:0000:0000:0000:0000:0000:0001 DST=2001:0db8:0000:0000:0000:0000:0000:0002 LEN=60 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=TCP SPT=1 DPT=2 WINDOW=5 RES=0x00 URGP=0 ",
        "dport=2 dst=2001:db8::2 extra={\"mac\":\"00:aa:bb:cc:dd:ee:00:11:22:33:44:55:08:00:45:00:00:50\",\"tunnel\":\"192.0.2.1->198.51.100.2\"} family=ip6 in_if=sit1 length=60 prefix=sit:  proto=6 sport=1 src=2001:db8::1 tcp_flags=0 tcp_window=5 tos=0 ttl=64",
    ),
    (
        "ppp: IN=ppp0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=36 TOS=0x00 PREC=0x00 TTL=64 ID=9 PROTO=47 ",
        "dst=198.51.100.2 family=ip in_if=ppp0 ip_id=9 length=36 prefix=ppp:  proto=47 src=192.0.2.1 tos=0 ttl=64",
    ),
    (
        "short: IN=eth0 OUT= MAC=00:d8:0f:6d:ab:20 TRUNCATED",
        "extra={\"ends_early\":\"TRUNCATED\"} family=unknown in_if=eth0 mac_dst=00:d8:0f:6d:ab:20 prefix=short: ",
    ),
    (
        "arp: IN=eth0 OUT= ARP HTYPE=1 PTYPE=0x0800 OPCODE=1 MACSRC=50:00:00:04:00:00 IPSRC=10.11.11.101 MACDST=00:00:00:00:00:00 IPDST=10.11.11.102",
        "dst=10.11.11.102 family=arp icmp_type=1 in_if=eth0 mac_src=50:00:00:04:00:00 prefix=arp:  src=10.11.11.101",
    ),
    (
        "arp: IN=eth0 OUT= MACSRC=50:00:00:04:00:00 MACDST=ff:ff:ff:ff:ff:ff MACPROTO=0806 ARP HTYPE=1 PTYPE=0x0800 OPCODE=2 MACSRC=50:00:00:04:00:01 IPSRC=10.11.11.101 MACDST=50:00:00:04:00:02 IPDST=10.11.11.102",
        "dst=10.11.11.102 ether_type=2054 extra={\"arp_mac_src\":\"50:00:00:04:00:01\",\"arp_mac_dst\":\"50:00:00:04:00:02\"} family=arp icmp_type=2 in_if=eth0 mac_dst=ff:ff:ff:ff:ff:ff mac_src=50:00:00:04:00:00 prefix=arp:  src=10.11.11.101",
    ),
    (
        "arp: IN=eth0 OUT= ARP HTYPE=1 PTYPE=0x0800 OPCODE=1 INCOMPLETE [12 bytes]",
        "extra={\"incomplete\":12} family=arp icmp_type=1 in_if=eth0 prefix=arp: ",
    ),
    (
        "frame: IN=p1 OUT= MACSRC=08:00:27:a2:43:5f MACDST=09:00:2b:00:00:05 MACPROTO=05d7 ",
        "family=unknown in_if=p1 mac_dst=09:00:2b:00:00:05 mac_src=08:00:27:a2:43:5f prefix=frame: ",
    ),
    (
        "Nov 23 05:43:40 vm x  IN=br0 OUT= MAC=01:00:0c:cc:cc:cc:00:19:06:ea:b8:85:01:82 PROTO=386 UID=0 GID=0 MARK=0x0 ",
        "family=unknown gid=0 in_if=br0 mac_dst=01:00:0c:cc:cc:cc mac_src=00:19:06:ea:b8:85 prefix=x  uid=0",
    ),
    (
        "Nov 23 05:43:22 vm esp  IN=tap0 OUT= MAC=02:00:5e:10:00:01:10:00:00:64:64:23:08:00 SRC=192.0.2.1 DST=198.51.100.2 LEN=136 TOS=00 PREC=0x00 TTL=64 ID=65383 PROTO=ESP INCOMPLETEMARK=0x0 ",
        "dst=198.51.100.2 ether_type=2048 extra={\"ends_early\":\"INCOMPLETE\"} family=ip in_if=tap0 ip_id=65383 length=136 mac_dst=02:00:5e:10:00:01 mac_src=10:00:00:64:64:23 prefix=esp  proto=50 src=192.0.2.1 tos=0 ttl=64",
    ),
    (
        "Nov 23 05:43:22 vm sctp:  IN= OUT=tap0 MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=136 TOS=10 PREC=0x20 TTL=64 ID=65383 PROTO=SCTP SPT=1 DPT=2 UID=7 GID=8 MARK=0x1a0000 ",
        "dport=2 dst=198.51.100.2 family=ip gid=8 ip_id=65383 length=136 mark=1703936 out_if=tap0 prefix=sctp:  proto=132 sport=1 src=192.0.2.1 tos=48 ttl=64 uid=7",
    ),
    (
        "Nov 23 05:43:22 vm v6 IN=tap0 OUT= MAC= SRC=fe80::1 DST=ff02::2 LEN=92 TC=192 HOPLIMIT=1 FLOWLBL=0 FRAG: 1480 ID: 0000abcd PROTO=ICMPv6 TYPE=128 CODE=0 ID=1 SEQ=2 MARK=0x0 ",
        "dst=ff02::2 extra={\"icmp_id\":1,\"icmp_seq\":2} family=ip6 frag=185 icmp_code=0 icmp_type=128 in_if=tap0 ip_id=43981 length=92 prefix=v6 proto=58 src=fe80::1 tos=192 ttl=1",
    ),
    (
        "Nov 23 05:43:22 vm arp  IN=br0 OUT= MAC=ff:ff:ff:ff:ff:ff:50:00:00:04:00:00:08:06 SRC=192.0.2.1 DST=192.0.2.2 PROTO=ARP REPLY REPLY_MAC=50:00:00:04:00:00 MARK=0x0 ",
        "dst=192.0.2.2 ether_type=2054 family=arp icmp_type=2 in_if=br0 mac_dst=ff:ff:ff:ff:ff:ff mac_src=50:00:00:04:00:00 prefix=arp  src=192.0.2.1",
    ),
    (
        "Apr  7 21:49:03 UDM-Pro [WAN-D-4] DESCR=\"x [y (cli IN=eth8 OUT=br96 MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=00 PREC=0x00 TTL=49 ID=51880 DF PROTO=TCP SPT=38618 DPT=10443 SEQ=2560518888 ACK=0 WINDOW=65535 SYN URGP=0 MARK=1a0000",
        "dport=10443 dst=198.51.100.2 family=ip frag=16384 in_if=eth8 ip_id=51880 length=60 mark=1703936 out_if=br96 prefix=[WAN-D-4] DESCR=\"x [y (cli proto=6 sport=38618 src=192.0.2.1 tcp_ack=0 tcp_flags=2 tcp_seq=2560518888 tcp_window=65535 tos=0 ttl=49",
    ),
    (
        "gw kernel: ufw IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=36 TOS=0x00 PREC=0x00 TTL=64 ID=9 PROTO=2 ZONE=wan ZONE2=012 ]",
        "dst=198.51.100.2 extra={\"ZONE\":\"wan\",\"ZONE2\":\"012\"} family=ip in_if=eth0 ip_id=9 length=36 prefix=ufw  proto=2 src=192.0.2.1 tos=0 ttl=64",
    ),
    (
        "L=126 ID=20101 DF PROTO=TCP SPT=1 DPT=2 WINDOW=5 RES=0x00 SYN URGP=0 ",
        "dport=2 extra={\"unparsed\":\"the beginning is missing\"} family=ip frag=16384 ip_id=20101 proto=6 raw=L=126 ID=20101 DF PROTO=TCP SPT=1 DPT=2 WINDOW=5 RES=0x00 SYN URGP=0  sport=1 tcp_flags=2 tcp_window=5",
    ),
    (
        "x IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=36 TOS=0x00 PREC=0x00 TTL=64 ID=9 DF PROTO=TCP SPT=99999 DPT=2 SOMETHING",
        "dport=2 dst=198.51.100.2 extra={\"unparsed\":\"a value is not what its key asks for\"} family=ip frag=16384 in_if=eth0 ip_id=9 length=36 prefix=x  proto=6 raw=x IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=36 TOS=0x00 PREC=0x00 TTL=64 ID=9 DF PROTO=TCP SPT=99999 DPT=2 SOMETHING src=192.0.2.1 tos=0 ttl=64",
    ),
    (
        "x IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51",
        "extra={\"unparsed\":\"a value is not what its key asks for\"} family=ip in_if=eth0 prefix=x  raw=x IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51 src=192.0.2.1",
    ),
    (
        "x IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=64 TOS=0x00 PREC=0x00 TTL=64 ID=9 DF PROTO=TCP SPT=1 DPT=2 WINDOW=5 RES=0x00 SYN URGP=0 OPT (0204",
        "dport=2 dst=198.51.100.2 extra={\"unparsed\":\"the end is missing\"} family=ip frag=16384 in_if=eth0 ip_id=9 length=64 prefix=x  proto=6 raw=x IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=198.51.100.2 LEN=64 TOS=0x00 PREC=0x00 TTL=64 ID=9 DF PROTO=TCP SPT=1 DPT=2 WINDOW=5 RES=0x00 SYN URGP=0 OPT (0204 sport=1 src=192.0.2.1 tcp_flags=2 tcp_window=5 tos=0 ttl=64",
    ),
];

#[test]
fn lines_of_the_format() {
    for (line, want) in LINES {
        let read = Line::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        let mut row = row_of(&read);
        assert_eq!(row.remove("packets").as_deref(), Some("1"));
        let got: Vec<_> = row.iter().map(|(name, cell)| format!("{name}={cell}")).collect();
        assert_eq!(got.join(" "), *want, "{line}");
    }
}

proptest! {
    /// What is cut out of a line, or written over, gives a row or none, never a panic; and a line that lost only
    /// its end says the same as before, or less.
    #[test]
    fn mutated_lines(n in 0..LINES.len(), at in any::<prop::sample::Index>(), cut in 0_usize..8, new in prop::collection::vec(any::<u8>(), 0..6)) {
        let line = LINES[n].0.as_bytes();
        let at = at.index(line.len());
        let mutated = [&line[..at], &new, &line[(at + cut).min(line.len())..]].concat();
        if let Some(read) = Line::parse(&mutated) {
            let row = row_of(&read);
            prop_assert_eq!(row.contains_key("raw"), read.problem.is_some());
        }
    }
}

#[test]
fn what_is_no_line_of_a_firewall() {
    for text in
        ["", " ", "IN= OUT=", "IN=5 OUT=7 foo", "martian source 192.0.2.1 from 198.51.100.1, on dev eth1"]
    {
        assert!(Line::parse(text.as_bytes()).is_none(), "{text}");
    }
}

#[test]
fn problems_are_named() {
    for (text, problem) in [
        ("IN=eth0 OUT=", Problem::Cut),
        ("IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=192.0.2.2", Problem::Cut),
        ("IN=eth0 OUT= MAC= SRC=192.0.2.1 DST=192.0.2.2 PROTO=TCP SP", Problem::Word),
        ("IN=eth0 OUT= MAC= SRC=192.0.2.300 DST=192.0.2.2 PROTO=2", Problem::Value),
        ("IN=eth0 OUT= MAC= SRC=192.0.2.3 DST=192.0.2.2 PROTO=2 SRC=192.0.2.3", Problem::Twice),
        ("TTL=6 ID=7 DF PROTO=TCP SPT=1 DPT=2", Problem::Headless),
    ] {
        assert_eq!(Line::parse(text.as_bytes()).and_then(|l| l.problem), Some(problem), "{text}");
    }
}
