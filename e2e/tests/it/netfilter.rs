//! The sockets of `bartizan-netfilter` against the kernel: real rules, real packets.

use bartizan_decode::netlink::{Messages, until_nul};
use bartizan_decode::nflog::NflogPacket;
use bartizan_e2e::netns::{self, End, NetNs};
use bartizan_e2e::traffic;
use bartizan_netfilter::{
    NetfilterError, NflogConfig, NflogSocket, Nftables, Received, RecvBuffer, incarnation, log_rules,
};
use bartizan_ruleset::{Account, Balance, Counter, Family, Incarnation, LogRule, Sequence};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const QUIET: Duration = Duration::from_millis(500);

/// Whether namespaces can be made here; says so when not. `BARTIZAN_REQUIRE_NETNS=1` makes that a failure.
pub(crate) fn possible() -> bool {
    let Err(why) = netns::available() else { return true };
    assert!(std::env::var_os("BARTIZAN_REQUIRE_NETNS").is_none(), "{why}");
    eprintln!("NOT RUN: {why}");
    false
}

/// A reader of one group with its account, as the agent keeps it.
struct Reader {
    socket: NflogSocket,
    nftables: Nftables,
    buf: RecvBuffer,
    sequence: Sequence,
    account: Account,
    start: Instant,
    rows: u64,
    /// Losses in the ledger.
    ledger: u64,
    overruns: u64,
    /// Rows without a number.
    unnumbered: u64,
    /// Rows by prefix and family.
    seen: BTreeMap<(String, u8), u64>,
    /// The longest packet that came.
    longest: usize,
}

impl Reader {
    fn open(netns: &NetNs, config: &NflogConfig) -> Self {
        Self::resume(netns, config, Account::new(config.group)).0
    }

    /// In the order that the agent has to keep: read the counters, bind, settle.
    fn resume(netns: &NetNs, config: &NflogConfig, mut account: Account) -> (Self, Balance) {
        let (socket, nftables, rules, life) = netns
            .run(|| {
                let mut nftables = Nftables::open().unwrap();
                let rules = nftables.log_rules().unwrap();
                (NflogSocket::open(config).unwrap(), nftables, rules, incarnation().unwrap())
            })
            .unwrap();
        let balance = account.resume(life, &rules);
        let reader = Self {
            socket,
            nftables,
            buf: RecvBuffer::new(),
            sequence: Sequence::new(),
            account,
            start: Instant::now(),
            rows: 0,
            ledger: 0,
            overruns: 0,
            unnumbered: 0,
            seen: BTreeMap::new(),
            longest: 0,
        };
        (reader, balance)
    }

    /// Receives until nothing has come for `idle`.
    fn drain(&mut self, idle: Duration) {
        loop {
            match self.socket.recv(&mut self.buf, idle).unwrap() {
                Received::Datagram(bytes) => {
                    let mut rows = 0;
                    for message in Messages::new(bytes) {
                        let message = message.unwrap();
                        let Some(packet) = NflogPacket::from_message(&message) else { continue };
                        let packet = packet.unwrap();
                        let gap = packet.seq.map_or(0, |seq| self.sequence.packet(seq).unwrap());
                        let new = self.account.hole(u64::from(gap));
                        self.account.book(new);
                        self.ledger += new;
                        rows += 1;
                        self.unnumbered += u64::from(packet.seq.is_none());
                        let prefix = String::from_utf8_lossy(until_nul(packet.prefix.unwrap_or_default()))
                            .into_owned();
                        *self.seen.entry((prefix, packet.family)).or_default() += 1;
                        self.longest = self.longest.max(packet.payload.map_or(0, <[u8]>::len));
                    }
                    self.account.book(rows);
                    self.rows += rows;
                }
                Received::Overrun => self.overruns += 1,
                Received::Idle => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads the counters until the group is quiet.
    fn settle(&mut self) -> Balance {
        for _ in 0..100 {
            self.drain(Duration::from_millis(200));
            let rules = self.nftables.log_rules().unwrap();
            let balance = self.account.observe(&rules, self.start.elapsed(), true, QUIET);
            if let Balance::Missing(n) = balance {
                self.ledger += n;
            }
            if balance != Balance::Unsettled {
                return balance;
            }
        }
        panic!("the group is never quiet");
    }
}

fn drop_rule(group: u16) -> String {
    format!(
        "table inet f {{\n chain input {{\n type filter hook input priority 0; policy accept;\n \
         udp dport 9 counter log prefix \"x drop \" group {group} drop\n }}\n }}"
    )
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn every_packet_of_both_families_arrives_and_the_counter_agrees() {
    if !possible() {
        return;
    }
    let host = NetNs::new("both").unwrap();
    host.nft(&drop_rule(7)).unwrap();
    let mut reader = Reader::open(&host, &NflogConfig::new(7));
    assert!(reader.socket.receive_buffer() >= 200_000, "{}", reader.socket.receive_buffer());
    let each = if std::env::var_os("BARTIZAN_SOAK").is_some() { 2_000_000 } else { 20_000 };
    thread::scope(|s| {
        let sender = s.spawn(|| {
            host.run(|| {
                let start = Instant::now();
                traffic::udp_burst(at("127.0.0.1:9"), each, 0, 100).unwrap();
                traffic::udp_burst(at("[::1]:9"), each, 0, 600).unwrap();
                eprintln!("{:.0} packets a second", 2.0 * each as f64 / start.elapsed().as_secs_f64());
            })
        });
        reader.drain(Duration::from_millis(500));
        sender.join().unwrap().unwrap();
    });
    assert_eq!(reader.settle(), Balance::Even);
    assert_eq!((reader.rows, reader.ledger, reader.overruns), (2 * each, 0, 0));
    assert_eq!(reader.unnumbered, 0);
    assert_eq!(host.counted(7).unwrap(), 2 * each);
    assert_eq!(
        reader.seen,
        [(("x drop ".to_owned(), 2), each), (("x drop ".to_owned(), 10), each)].into_iter().collect()
    );
    assert_eq!(reader.longest, 192, "the copy range");
}

#[test]
fn bridge_and_netdev_rules_deliver() {
    if !possible() {
        return;
    }
    let (a, b, bridge) = (NetNs::new("a").unwrap(), NetNs::new("b").unwrap(), NetNs::new("bridge").unwrap());
    bridge.ip("link add br0 type bridge").unwrap();
    bridge.ip("link set br0 up").unwrap();
    for (host, port, address) in [(&a, "p1", "192.0.2.1/24"), (&b, "p2", "192.0.2.2/24")] {
        NetNs::link(
            End { netns: host, name: "eth0", addresses: &[address] },
            End { netns: &bridge, name: port, addresses: &[] },
        )
        .unwrap();
        bridge.ip(&format!("link set {port} master br0")).unwrap();
    }
    bridge
        .nft(
            "table bridge f {\n chain forward {\n type filter hook forward priority 0; policy accept;\n \
             ip protocol udp counter log prefix \"bridge \" group 7\n }\n }\n\
             table netdev n {\n chain ingress {\n type filter hook ingress device p1 priority 0; policy accept;\n \
             ip protocol udp counter log prefix \"netdev \" group 7\n }\n }",
        )
        .unwrap();
    let mut reader = Reader::open(&bridge, &NflogConfig::new(7));
    a.run(|| traffic::udp_burst(at("192.0.2.2:9"), 500, 2000, 64)).unwrap().unwrap();
    assert_eq!(reader.settle(), Balance::Even);
    assert_eq!(reader.ledger, 0);
    assert_eq!(
        reader.seen,
        [(("bridge ".to_owned(), 7), 500), (("netdev ".to_owned(), 5), 500)].into_iter().collect()
    );
    assert_eq!(bridge.counted(7).unwrap(), 1000);
}

#[test]
fn an_overload_loses_packets_and_every_one_is_counted_once() {
    if !possible() {
        return;
    }
    let host = NetNs::new("overload").unwrap();
    host.nft(&drop_rule(7)).unwrap();
    let config = NflogConfig { receive_buffer: 16 * 1024, kernel_buffer: 16 * 1024, ..NflogConfig::new(7) };
    let mut reader = Reader::open(&host, &config);
    let burst = |n| host.run(|| traffic::udp_burst(at("127.0.0.1:9"), n, 0, 200)).unwrap().unwrap();
    // Nobody reads meanwhile, nor when the kernel sends what it held back.
    burst(30_000);
    thread::sleep(3 * config.flush_timeout);
    let balance = reader.settle();
    assert!(reader.overruns > 0, "ENOBUFS was not seen");
    assert!(reader.rows < 30_000 && reader.rows > 0, "{}", reader.rows);
    assert!(
        matches!(balance, Balance::Missing(_)),
        "the end of the burst shows only in the counter: {balance:?}"
    );
    assert_eq!(reader.rows + reader.ledger, 30_000);
    // The next packets show the same tail as a hole: it is not counted twice, and the socket is unharmed.
    burst(5);
    assert_eq!(reader.settle(), Balance::Even);
    assert_eq!(reader.rows + reader.ledger, 30_005);
    // Once more, now with a reader that is too slow.
    thread::scope(|s| {
        let sender = s.spawn(|| burst(30_000));
        while !sender.is_finished() {
            thread::sleep(Duration::from_millis(5));
            reader.drain(Duration::ZERO);
        }
    });
    burst(1);
    reader.settle();
    assert_eq!(reader.rows + reader.ledger, 60_006);
    assert_eq!(host.counted(7).unwrap(), 60_006);
}

#[test]
fn what_is_logged_while_nobody_listens_is_missing_at_the_restart() {
    if !possible() {
        return;
    }
    let host = NetNs::new("restart").unwrap();
    host.nft(&drop_rule(7)).unwrap();
    let burst = |n| host.run(|| traffic::udp_burst(at("127.0.0.1:9"), n, 0, 60)).unwrap().unwrap();
    burst(11); // before the first start: not ours
    let config = NflogConfig { flush_timeout: Duration::from_millis(10), ..NflogConfig::new(7) };
    let mut reader = Reader::open(&host, &config);
    burst(100);
    reader.drain(Duration::from_millis(300));
    assert_eq!(reader.rows, 100);
    let stored = reader.account.to_bytes();
    burst(20);
    reader.drain(Duration::from_millis(300)); // received, but not in the record that was stored
    drop(reader);
    burst(30);
    let (mut reader, balance) = Reader::resume(&host, &config, Account::from_bytes(&stored).unwrap());
    assert_eq!(balance, Balance::Missing(50));
    burst(7);
    assert_eq!(reader.settle(), Balance::Even);
    assert_eq!(reader.rows, 7);
    // The ruleset is loaded anew, with the same handles: nothing is invented.
    host.nft(&format!("flush ruleset\n{}", drop_rule(7))).unwrap();
    burst(3);
    assert_eq!(reader.settle(), Balance::Even);
    assert_eq!((reader.rows, reader.ledger), (10, 0));
}

/// F20.
#[test]
fn a_second_reader_is_refused_and_the_first_is_unharmed() {
    if !possible() {
        return;
    }
    let host = NetNs::new("second").unwrap();
    host.nft(&drop_rule(7)).unwrap();
    let mut reader = Reader::open(&host, &NflogConfig::new(7));
    let open = |group| host.run(|| NflogSocket::open(&NflogConfig::new(group))).unwrap();
    match open(7) {
        Err(NetfilterError::GroupTaken { group: 7, holder: Some(holder) }) => {
            assert_eq!(holder.pid, Some(std::process::id()));
            assert!(!holder.process.is_empty());
        }
        other => panic!("{other:?}"),
    }
    let error = open(7).unwrap_err().to_string();
    assert!(error.starts_with("nflog group 7 already has a reader: "), "{error}");
    assert!(error.ends_with(&format!(" (pid {})", std::process::id())), "{error}");
    assert!(open(8).is_ok(), "another group is free");
    host.run(|| traffic::udp_burst(at("127.0.0.1:9"), 100, 0, 60)).unwrap().unwrap();
    assert_eq!(reader.settle(), Balance::Even);
    assert_eq!((reader.rows, reader.longest), (100, 88), "settings and packets of the first are as before");
    drop(reader);
    assert!(open(7).is_ok(), "the group is free when its reader is gone");
}

#[test]
fn the_log_rules_are_those_that_nft_lists() {
    if !possible() {
        return;
    }
    let host = NetNs::new("rules").unwrap();
    assert_eq!(host.run(log_rules).unwrap().unwrap(), []);
    host.nft(
        "table inet f {\n counter total {}\n chain input {\n type filter hook input priority 0; policy accept;\n \
         udp dport 9 counter log prefix \"own \" group 7 drop\n \
         udp dport 10 log prefix \"behind \" group 7 counter\n \
         udp dport 11 counter limit rate 1/second log prefix \"limit \" group 7\n \
         udp dport 12 counter name total log prefix \"named \" group 7\n \
         udp dport 13 log prefix \"bare \" group 8\n \
         udp dport 14 counter log prefix \"syslog \"\n }\n }\n\
         table ip6 s {\n chain input {\n type filter hook input priority 1; policy accept;\n \
         udp dport 9-20 counter log prefix \"six \" group 9\n }\n }",
    )
    .unwrap();
    host.run(|| {
        for (port, n) in [(9, 5), (10, 6), (11, 7), (12, 8), (13, 9), (14, 10)] {
            for to in ["127.0.0.1", "::1"] {
                traffic::udp_burst(SocketAddr::new(to.parse().unwrap(), port), n, 0, 10).unwrap();
            }
        }
    })
    .unwrap();
    let rules = host.run(log_rules).unwrap().unwrap();
    let brief: Vec<_> = rules
        .iter()
        .map(|r| (r.prefix.as_str(), r.family.as_str(), r.table.as_str(), r.group, r.reconcilable))
        .collect();
    assert_eq!(
        brief,
        [
            ("own ", "inet", "f", 7, true),
            ("behind ", "inet", "f", 7, true),
            ("limit ", "inet", "f", 7, false),
            ("named ", "inet", "f", 7, false),
            ("bare ", "inet", "f", 8, false),
            ("six ", "ip6", "s", 9, true),
        ]
    );
    let counters: Vec<_> = rules.iter().map(|r| r.counter.clone()).collect();
    let packets = |n| Some(Counter::Packets(n));
    assert_eq!(counters[..4], [packets(10), packets(12), None, Some(Counter::Named("total".into()))]);
    assert_eq!(counters[5], packets(6 + 7 + 8 + 9 + 10), "what the first table let through");
    assert!(rules.iter().all(|r| r.table_handle > 0));
    assert_eq!(listed(&host), rules.iter().filter(|r| r.reconcilable).map(brief_of).collect::<Vec<_>>());
}

fn brief_of(rule: &LogRule) -> (String, u64, u64) {
    let Some(Counter::Packets(packets)) = rule.counter else { panic!("{rule:?}") };
    (rule.chain.clone(), rule.handle, packets)
}

/// Chain, handle and packets of the rules in which nft shows counter and log to a group as neighbours.
fn listed(host: &NetNs) -> Vec<(String, u64, u64)> {
    let mut out = Vec::new();
    for rule in host.nft_rules().unwrap() {
        let statements = rule["expr"].as_array().unwrap();
        for pair in statements.windows(2) {
            let (log, counter) =
                if pair[0].get("log").is_some() { (&pair[0], &pair[1]) } else { (&pair[1], &pair[0]) };
            if log["log"]["group"].is_u64() && counter["counter"]["packets"].is_u64() {
                let packets = counter["counter"]["packets"].as_u64().unwrap();
                out.push((
                    rule["chain"].as_str().unwrap().to_owned(),
                    rule["handle"].as_u64().unwrap(),
                    packets,
                ));
            }
        }
    }
    out
}

#[test]
fn rules_of_iptables_are_read_and_reconciled() {
    if !possible() {
        return;
    }
    let host = NetNs::new("iptables").unwrap();
    let rule = "-A INPUT -p udp --dport 9 -j NFLOG --nflog-group 5 --nflog-prefix hi";
    match host.command("iptables-nft").args(rule.split(' ')).output() {
        Ok(output) if output.status.success() => {}
        other => return eprintln!("NOT RUN: iptables-nft does not work here: {other:?}"),
    }
    let mut reader = Reader::open(&host, &NflogConfig::new(5));
    host.run(|| traffic::udp_burst(at("127.0.0.1:9"), 50, 0, 60)).unwrap().unwrap();
    assert_eq!(reader.settle(), Balance::Even);
    assert_eq!(reader.rows, 50);
    let rules = host.run(log_rules).unwrap().unwrap();
    assert_eq!((rules[0].family, rules[0].prefix.as_str(), rules[0].reconcilable), (Family(2), "hi", true));
    assert_eq!(rules[0].counter, Some(Counter::Packets(50)));
}

#[test]
fn a_large_ruleset_that_changes_all_the_time_is_read_whole() {
    if !possible() {
        return;
    }
    let host = NetNs::new("large").unwrap();
    // Two rulesets, of which every reading has to be one or the other.
    let ruleset = |rules: u64, packets: u64| {
        let rules: String = (1..=rules)
            .map(|n| {
                format!("udp dport {n} counter packets {packets} bytes 0 log prefix \"rule {n}\" group 7\n")
            })
            .collect();
        format!(
            "table inet f {{\n chain input {{\n }}\n }}\nflush table inet f\ntable inet f {{\n chain input {{\n{rules}}}\n }}"
        )
    };
    host.nft(&ruleset(3000, 1)).unwrap();
    thread::scope(|s| {
        let changer = s.spawn(|| {
            for _ in 0..10 {
                host.nft(&ruleset(2000, 10)).unwrap();
                host.nft(&ruleset(3000, 1)).unwrap();
            }
        });
        let mut nftables = host.run(Nftables::open).unwrap().unwrap();
        let (mut read, mut last) = (0, false);
        while !last {
            last = changer.is_finished();
            match nftables.log_rules() {
                Ok(rules) => {
                    let sum: u64 = rules.iter().map(|r| brief_of(r).2).sum();
                    assert!(
                        [(3000, 3000), (2000, 20_000)].contains(&(rules.len(), sum)),
                        "{} {sum}",
                        rules.len()
                    );
                    read += 1;
                }
                Err(NetfilterError::KeepsChanging { .. }) => assert!(!last),
                Err(e) => panic!("{e:?}"),
            }
        }
        changer.join().unwrap();
        assert!(read > 0);
    });
}

#[test]
fn a_second_reading_asks_only_where_log_rules_are_and_sees_the_same() {
    if !possible() {
        return;
    }
    let host = NetNs::new("chains").unwrap();
    let plain: String = (1..=2000).map(|n| format!("tcp dport {n} counter accept\n")).collect();
    host.nft(&format!(
        "table inet f {{\n chain other {{\n{plain}}}\n \
         chain input {{\n type filter hook input priority 0; policy accept;\n \
         udp dport 9 counter log prefix \"a \" group 7\n }}\n }}\n\
         table ip g {{\n chain input {{\n type filter hook input priority 1; policy accept;\n \
         udp dport 9 counter log prefix \"b \" group 8\n }}\n }}"
    ))
    .unwrap();
    let mut nftables = host.run(Nftables::open).unwrap().unwrap();
    let before = nftables.log_rules().unwrap();
    assert_eq!(before.len(), 2);
    host.run(|| traffic::udp_burst(at("127.0.0.1:9"), 5, 0, 10)).unwrap().unwrap();
    let mut expected = before;
    for rule in &mut expected {
        rule.counter = Some(Counter::Packets(5));
    }
    assert_eq!(nftables.log_rules().unwrap(), expected);
    host.nft("add rule inet f other udp dport 9 counter log group 9").unwrap();
    assert_eq!(nftables.log_rules().unwrap().len(), 3, "a change is seen wherever it is");
    host.nft("delete table ip g").unwrap();
    assert_eq!(nftables.log_rules().unwrap().len(), 2);
}

#[test]
fn the_generation_grows_with_each_change() {
    if !possible() {
        return;
    }
    let host = NetNs::new("generation").unwrap();
    let mut nftables = host.run(Nftables::open).unwrap().unwrap();
    let before = nftables.generation().unwrap().unwrap();
    assert_eq!(nftables.generation().unwrap(), Some(before));
    host.nft("add table inet f").unwrap();
    assert_eq!(nftables.generation().unwrap(), Some(before + 1));
}

#[test]
fn a_waker_ends_the_wait_of_a_reader() {
    if !possible() {
        return;
    }
    let host = NetNs::new("waker").unwrap();
    let socket = host.run(|| NflogSocket::open(&NflogConfig::new(7))).unwrap().unwrap();
    let waker = socket.waker();
    thread::scope(|s| {
        let reader = s.spawn(|| {
            let mut buf = RecvBuffer::new();
            let stopped = socket.recv(&mut buf, Duration::from_secs(3600)).unwrap() == Received::Stopped;
            stopped && socket.recv(&mut buf, Duration::from_secs(3600)).unwrap() == Received::Stopped
        });
        thread::sleep(Duration::from_millis(50));
        waker.stop();
        assert!(reader.join().unwrap());
    });
}

#[test]
fn a_datagram_that_does_not_fit_is_told_and_its_packets_are_a_hole() {
    if !possible() {
        return;
    }
    let host = NetNs::new("truncated").unwrap();
    host.nft(&drop_rule(7)).unwrap();
    let mut reader = Reader::open(&host, &NflogConfig::new(7));
    let burst = |n| host.run(|| traffic::udp_burst(at("127.0.0.1:9"), n, 0, 100)).unwrap().unwrap();
    burst(50);
    let mut small = RecvBuffer::with_capacity(1000);
    match reader.socket.recv(&mut small, Duration::from_secs(5)).unwrap() {
        Received::Truncated(len) => assert!(len > 1000, "{len}"),
        other => panic!("{other:?}"),
    }
    burst(1);
    reader.settle();
    assert_eq!((reader.rows, reader.ledger), (1, 50));
}

#[test]
fn a_socket_that_was_handed_over_goes_on() {
    if !possible() {
        return;
    }
    let host = NetNs::new("handed").unwrap();
    host.nft(&drop_rule(7)).unwrap();
    let fd = host.run(|| NflogSocket::open(&NflogConfig::new(7))).unwrap().unwrap().into_fd();
    host.run(|| traffic::udp_burst(at("127.0.0.1:9"), 3, 0, 100)).unwrap().unwrap();
    let socket = NflogSocket::from_fd(fd, 7).unwrap();
    let mut buf = RecvBuffer::new();
    match socket.recv(&mut buf, Duration::from_secs(5)).unwrap() {
        Received::Datagram(bytes) => {
            assert!(Messages::new(bytes).filter(|m| m.is_ok_and(|m| !m.is_done())).count() == 3)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn echo_requests_and_connections_are_logged_in_both_families() {
    if !possible() {
        return;
    }
    let (a, b) = (NetNs::new("left").unwrap(), NetNs::new("right").unwrap());
    NetNs::link(
        End { netns: &a, name: "eth0", addresses: &["192.0.2.1/24", "2001:db8::1/64"] },
        End { netns: &b, name: "eth0", addresses: &["192.0.2.2/24", "2001:db8::2/64"] },
    )
    .unwrap();
    b.nft(
        "table inet f {\n chain input {\n type filter hook input priority 0; policy accept;\n \
         icmp type echo-request counter log prefix \"ping \" group 7 drop\n \
         icmpv6 type echo-request counter log prefix \"ping \" group 7 drop\n \
         tcp flags syn / syn,ack tcp dport 22 counter log prefix \"tcp \" group 7 drop\n }\n }",
    )
    .unwrap();
    let mut reader = Reader::open(&b, &NflogConfig::new(7));
    a.run(|| {
        for to in ["192.0.2.2", "2001:db8::2"] {
            let to = to.parse().unwrap();
            assert_eq!(traffic::icmp_echo(to, 20).unwrap(), 20);
            assert_eq!(traffic::tcp_connects(to, [22, 22, 22], Duration::from_millis(100)).unwrap(), 0);
        }
    })
    .unwrap();
    assert_eq!(reader.settle(), Balance::Even);
    let seen = |prefix: &str, family| reader.seen.get(&(prefix.to_owned(), family)).copied();
    assert_eq!((seen("ping ", 2), seen("ping ", 10)), (Some(20), Some(20)));
    assert_eq!((seen("tcp ", 2), seen("tcp ", 10)), (Some(3), Some(3)));
    assert_eq!(b.counted(7).unwrap(), 46);
}

pub(crate) const CHILD: &str = "BARTIZAN_TEST_CHILD";

/// This test binary again, for one test that does its work only there.
fn child(command: &mut Command, test: &str) -> String {
    let exe = std::env::current_exe().unwrap();
    let output = command
        .arg(exe)
        .args(["--exact", &format!("netfilter::{test}"), "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn without_rights_it_says_so_whether_or_not_the_group_is_taken() {
    if std::env::var_os(CHILD).is_some() {
        for group in [7, 8] {
            eprintln!("{group}: {}", NflogSocket::open(&NflogConfig::new(group)).unwrap_err());
        }
        eprintln!("rules: {}", log_rules().unwrap_err());
        return;
    }
    if !possible() {
        return;
    }
    let host = NetNs::new("rights").unwrap();
    let _taken = host.run(|| NflogSocket::open(&NflogConfig::new(7))).unwrap().unwrap();
    let mut setpriv = host.command("setpriv");
    setpriv.args(["--inh-caps=-all", "--bounding-set=-all"]);
    let said = child(&mut setpriv, "without_rights_it_says_so_whether_or_not_the_group_is_taken");
    for line in [
        "7: not permitted to bind the nflog group: CAP_NET_ADMIN is missing",
        "8: not permitted to bind the nflog group: CAP_NET_ADMIN is missing",
        "rules: not permitted to read the generation of nf_tables: CAP_NET_ADMIN is missing",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
}

#[test]
fn a_user_namespace_is_as_good_as_root() {
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(netns::available(), Ok(()));
        let host = NetNs::new("user").unwrap();
        host.nft(&drop_rule(7)).unwrap();
        let mut reader = Reader::open(&host, &NflogConfig::new(7));
        host.run(|| traffic::udp_burst(at("127.0.0.1:9"), 1000, 0, 60)).unwrap().unwrap();
        assert_eq!(reader.settle(), Balance::Even);
        eprintln!("rows {}, room {}", reader.rows, reader.socket.receive_buffer());
        return;
    }
    if !possible() {
        return;
    }
    // As a user without any rights.
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
    nobody.args(["unshare", "--user", "--map-root-user", "--net", "--mount"]);
    let said = child(&mut nobody, "a_user_namespace_is_as_good_as_root");
    if said.contains("unshare:") || said.contains("failed to execute") {
        return eprintln!("NOT RUN: user namespaces do not work here: {said}");
    }
    assert!(said.contains("rows 1000, "), "{said}");
    eprintln!("{said}");
}

#[test]
fn leftovers_of_a_process_that_is_gone_are_removed_and_ours_stay() {
    if !possible() {
        return;
    }
    let ours = NetNs::new("ours").unwrap();
    // No process has this number: it is above the highest that the kernel gives.
    let gone = "bz-4999999-0-gone";
    assert!(Command::new("ip").args(["netns", "add", gone]).status().unwrap().success());
    NetNs::remove_leftovers();
    assert!(!ours.path().with_file_name(gone).exists());
    assert!(ours.path().exists());
    let path = ours.path();
    drop(ours);
    assert!(!path.exists());
}

#[test]
fn an_incarnation_is_one_namespace_of_one_boot() {
    if !possible() {
        return;
    }
    let host = NetNs::new("life").unwrap();
    let (here, there) = (incarnation().unwrap(), host.run(incarnation).unwrap().unwrap());
    assert_ne!(here, there);
    assert_eq!(here.0[..16], there.0[..16]);
    assert_ne!(here, Incarnation::default());
}

#[test]
fn bridge_ports_and_hardware_addresses_come_with_bridged_packets() {
    if !possible() {
        return;
    }
    let (a, b, bridge) = (NetNs::new("a").unwrap(), NetNs::new("b").unwrap(), NetNs::new("bridge").unwrap());
    bridge.ip("link add br0 type bridge").unwrap();
    bridge.ip("link set br0 up").unwrap();
    for (host, port, address) in [(&a, "p1", "192.0.2.1/24"), (&b, "p2", "192.0.2.2/24")] {
        NetNs::link(
            End { netns: host, name: "eth0", addresses: &[address] },
            End { netns: &bridge, name: port, addresses: &[] },
        )
        .unwrap();
        bridge.ip(&format!("link set {port} master br0")).unwrap();
    }
    a.ip("link set eth0 address 02:00:00:00:00:0a").unwrap();
    b.ip("link set eth0 address 02:00:00:00:00:0b").unwrap();
    bridge.sysctl("net.bridge.bridge-nf-call-iptables", "1").unwrap();
    bridge
        .nft(
            "table ip f {\n chain forward {\n type filter hook forward priority 0;\n \
             udp dport 9 log prefix \"ip\" group 7\n }\n }\n\
             table netdev n {\n chain e {\n type filter hook egress device p2 priority 0;\n \
             ip protocol udp log prefix \"egress\" group 7\n }\n }",
        )
        .unwrap();
    let index = |name: &str| -> u32 {
        let path = format!("/sys/class/net/{name}/ifindex");
        let read = bridge.command("cat").arg(path).output().unwrap();
        String::from_utf8(read.stdout).unwrap().trim().parse().unwrap()
    };
    let socket = bridge.run(|| NflogSocket::open(&NflogConfig::new(7))).unwrap().unwrap();
    a.run(|| traffic::udp_burst(at("192.0.2.2:9"), 1, 0, 64)).unwrap().unwrap();
    let mut buf = RecvBuffer::new();
    let mut seen = BTreeMap::new();
    while seen.len() < 2 {
        let Received::Datagram(bytes) = socket.recv(&mut buf, Duration::from_secs(5)).unwrap() else {
            panic!()
        };
        for message in Messages::new(bytes) {
            let message = message.unwrap();
            let Some(Ok(packet)) = NflogPacket::from_message(&message) else { continue };
            let (link, headers) = packet.decode();
            let ports = (packet.phys_in_dev, packet.phys_out_dev);
            let starts = packet.network_packet().unwrap()[0];
            let macs = [link.mac_src, link.mac_dst].map(|m| m.map(|m| m.to_string()));
            seen.insert(until_nul(packet.prefix.unwrap()).to_vec(), (ports, macs, starts, headers.length));
        }
    }
    let macs = |dst: &str| [Some("02:00:00:00:00:0a".to_owned()), Some(dst.to_owned())];
    let ip = &seen[&b"ip"[..]];
    assert_eq!((ip.0, ip.2, ip.3), ((Some(index("p1")), Some(index("p2"))), 0x45, Some(92)));
    assert_eq!(ip.1, macs("02:00:00:00:00:0b"));
    let egress = &seen[&b"egress"[..]];
    assert_eq!((&egress.1, egress.2, egress.3), (&macs("02:00:00:00:00:0b"), 0x45, Some(92)));
}
