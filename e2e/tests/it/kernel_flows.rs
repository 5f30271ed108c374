//! Tracked connections, counters and changes of the ruleset as the kernel tells them, against what `conntrack`
//! and `nft` print of the same; and that reading them needs no privilege.

use crate::netfilter::possible;
use bartizan_decode::conntrack::{self, Flow, FlowEvent, Tuple};
use bartizan_decode::netlink::Messages;
use bartizan_e2e::netns::{End, NetNs};
use bartizan_e2e::traffic;
use bartizan_model::{addr_from_ip, addr_to_ip};
use bartizan_netfilter::{ConntrackConfig, ConntrackFilter, ConntrackSocket, Nftables, Received, RecvBuffer};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PATIENCE: Duration = Duration::from_secs(20);

/// A program that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Client, router and server. The router sends 192.0.2.254:80 to the server's 8080, and what leaves towards the
/// server comes from itself.
struct Road {
    client: NetNs,
    router: NetNs,
    server: NetNs,
}

impl Road {
    fn new() -> Self {
        let (client, router, server) =
            (NetNs::new("client").unwrap(), NetNs::new("router").unwrap(), NetNs::new("server").unwrap());
        NetNs::link(
            End { netns: &client, name: "eth0", addresses: &["192.0.2.1/24", "2001:db8:1::1/64"] },
            End { netns: &router, name: "in0", addresses: &["192.0.2.254/24", "2001:db8:1::fe/64"] },
        )
        .unwrap();
        NetNs::link(
            End { netns: &server, name: "eth0", addresses: &["10.0.0.1/24", "2001:db8:2::1/64"] },
            End { netns: &router, name: "out0", addresses: &["10.0.0.254/24", "2001:db8:2::fe/64"] },
        )
        .unwrap();
        client.ip("route add default via 192.0.2.254").unwrap();
        client.ip("-6 route add default via 2001:db8:1::fe").unwrap();
        server.ip("-6 route add default via 2001:db8:2::fe").unwrap();
        for (key, value) in [
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv6.conf.all.forwarding", "1"),
            ("net.netfilter.nf_conntrack_acct", "1"),
            ("net.netfilter.nf_conntrack_timestamp", "1"),
        ] {
            router.sysctl(key, value).unwrap();
        }
        router
            .nft(
                "table inet nat {
                    chain pre { type nat hook prerouting priority dstnat; iifname in0 tcp dport 80 dnat ip to 10.0.0.1:8080; }
                    chain post { type nat hook postrouting priority srcnat; oifname out0 meta nfproto ipv4 masquerade; }
                 }
                 table inet f {
                    chain forward { type filter hook forward priority 0; tcp dport 8080 ct mark set 7; ct state new counter; }
                 }",
            )
            .unwrap();
        Self { client, router, server }
    }

    /// Connections, datagrams and echoes of both families.
    fn drive(&self) {
        let listeners: Vec<_> = ["10.0.0.1:8080", "[2001:db8:2::1]:8080"]
            .iter()
            .map(|to| self.server.run(|| TcpListener::bind(to)).unwrap().unwrap())
            .collect();
        for to in ["192.0.2.254:80", "192.0.2.254:81", "[2001:db8:2::1]:8080"] {
            let to: SocketAddr = to.parse().unwrap();
            self.client
                .run(|| traffic::tcp_connects(to.ip(), [to.port(); 3], Duration::from_secs(5)).unwrap())
                .unwrap();
        }
        self.client
            .run(|| {
                traffic::udp_burst("10.0.0.1:53".parse().unwrap(), 5, 0, 40).unwrap();
                traffic::udp_burst("[2001:db8:2::1]:53".parse().unwrap(), 7, 0, 40).unwrap();
                traffic::icmp_echo("10.0.0.1".parse().unwrap(), 2).unwrap();
                traffic::icmp_echo("2001:db8:2::1".parse().unwrap(), 2).unwrap();
            })
            .unwrap();
        // What the server answers has come back.
        thread::sleep(Duration::from_millis(300));
        drop(listeners);
    }

    fn flush(&self) {
        let done = self.router.command("conntrack").arg("-F").output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

/// What both tell of one report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    event: &'static str,
    proto: u8,
    ends: [Option<IpAddr>; 4],
    ports: [Option<u16>; 4],
    icmp: Option<(u8, u8)>,
    traffic: Option<[u64; 4]>,
    mark: Option<u32>,
    state: Option<String>,
    assured: bool,
    id: u32,
}

fn told(flow: &Flow<'_>) -> Told {
    let addr = |a: Option<[u8; 16]>| a.map(addr_to_ip);
    let (o, r): (&Tuple, &Tuple) = (&flow.orig, &flow.reply);
    let counted = flow.sent.zip(flow.answered);
    Told {
        event: flow.event.as_str(),
        proto: o.proto.unwrap(),
        ends: [addr(o.src), addr(o.dst), addr(r.src), addr(r.dst)],
        ports: [o.sport, o.dport, r.sport, r.dport],
        icmp: o.icmp_type.zip(o.icmp_code),
        traffic: counted.map(|(s, a)| [s.packets, s.bytes, a.packets, a.bytes]),
        mark: flow.mark.filter(|m| *m > 0),
        state: flow.state_word().filter(|_| flow.event != FlowEvent::Destroy).map(str::to_owned),
        assured: flow.status.unwrap() & 4 != 0,
        id: flow.id.unwrap(),
    }
}

/// A line of `conntrack -E -o id,extended`: `[NEW] ipv4 2 tcp 6 120 SYN_SENT src=... [UNREPLIED] src=... id=1`.
fn printed(line: &str) -> Option<Told> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let event = match *words.first()? {
        "[NEW]" => "new",
        "[UPDATE]" => "update",
        "[DESTROY]" => "destroy",
        _ => return None,
    };
    let all = |name: &str| -> Vec<&str> {
        words.iter().filter_map(|w| w.split_once('=').filter(|(n, _)| *n == name).map(|(_, v)| v)).collect()
    };
    fn at<T: std::str::FromStr>(values: &[&str], i: usize) -> Option<T> {
        values.get(i).and_then(|v| v.parse().ok())
    }
    let (src, dst, sport, dport) = (all("src"), all("dst"), all("sport"), all("dport"));
    let (packets, bytes) = (all("packets"), all("bytes"));
    let counted = (packets.len() == 2)
        .then(|| [(&packets, 0), (&bytes, 0), (&packets, 1), (&bytes, 1)].map(|(v, i)| at(v, i).unwrap()));
    let state = words.iter().find(|w| w.len() > 3 && w.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    Some(Told {
        event,
        proto: words.get(4)?.parse().ok()?,
        ends: [at(&src, 0), at(&dst, 0), at(&src, 1), at(&dst, 1)],
        ports: [at(&sport, 0), at(&dport, 0), at(&sport, 1), at(&dport, 1)],
        icmp: at(&all("type"), 0).zip(at(&all("code"), 0)),
        traffic: counted,
        mark: at(&all("mark"), 0).filter(|m| *m > 0),
        state: state.filter(|_| event != "destroy").map(|s| (*s).to_owned()),
        assured: line.contains("[ASSURED]"),
        // That of an ICMP query comes first.
        id: all("id").last()?.parse().ok()?,
    })
}

/// Reads events until `enough` or nothing more comes.
fn read(socket: &ConntrackSocket, mut each: impl FnMut(&Flow<'_>)) -> u32 {
    let (mut buf, mut overruns) = (RecvBuffer::new(), 0);
    loop {
        match socket.recv(&mut buf, Duration::from_millis(500)).unwrap() {
            Received::Datagram(bytes) => {
                for message in Messages::new(bytes) {
                    each(&conntrack::parse(&message.unwrap()).unwrap());
                }
            }
            Received::Overrun => overruns += 1,
            Received::Idle => return overruns,
            other => panic!("{other:?}"),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the clock that the kernel's times are held against")]
fn nanos() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

fn everything() -> ConntrackConfig {
    ConntrackConfig { new: true, update: true, ..ConntrackConfig::new() }
}

#[test]
fn flows_are_those_that_conntrack_prints() {
    if !possible() {
        return;
    }
    let road = Road::new();
    let mut program = road.router.command("conntrack");
    program.args(["-E", "-o", "id,extended", "--buffer-size", "8388608"]);
    let mut program = Ended(program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = program.0.stdout.take().unwrap();
    let listening = || {
        let list =
            road.router.run(|| std::fs::read_to_string("/proc/thread-self/net/netlink")).unwrap().unwrap();
        list.lines().any(|l| l.split_ascii_whitespace().nth(1) == Some("12") && l.contains(" 00000007 "))
    };
    let start = Instant::now();
    while !listening() {
        assert!(start.elapsed() < PATIENCE, "conntrack does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    let socket = road.router.run(|| ConntrackSocket::open(&everything())).unwrap().unwrap();
    let before = nanos();
    road.drive();
    road.flush();
    let (mut ours, mut nats) = (Vec::new(), BTreeSet::new());
    let overruns = read(&socket, |flow| {
        ours.push(told(flow));
        nats.extend(flow.nat().as_str());
        if flow.event == FlowEvent::Destroy {
            let (start, stop) = (flow.start.unwrap(), flow.stop.unwrap());
            assert!(before <= start && start <= stop && stop <= nanos());
        }
        if let Some(at) = flow.at {
            assert!((before..=nanos()).contains(&at));
        }
    });
    assert_eq!(overruns, 0);
    let _ = Command::new("kill").args(["-INT", &program.0.id().to_string()]).status();
    let mut text = String::new();
    lines.read_to_string(&mut text).unwrap();
    let mut theirs: Vec<_> = text.lines().filter_map(printed).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
    let ends = ours.iter().filter(|t| t.event == "destroy").count();
    assert_eq!(ends, ours.iter().filter(|t| t.event == "new").count());
    // 9 connections, 2 bursts, 2 echoes of each family that are one connection each; and the neighbours.
    assert!(ends >= 13, "{ends}");
    for nat in ["snat dnat", "snat"] {
        assert!(nats.contains(nat), "{nats:?}");
    }
    assert!(ours.iter().any(|t| t.mark == Some(7) && t.assured && t.traffic.is_some()));
    assert!(ours.iter().any(|t| t.icmp == Some((128, 0))), "ICMPv6");
    assert!(ours.iter().any(|t| t.state.as_deref() == Some("ESTABLISHED")));
}

#[test]
fn the_kernel_filters_by_protocol_and_network() {
    if !possible() {
        return;
    }
    let road = Road::new();
    let filter = |protocols: &[u8], networks: &[&str]| ConntrackFilter {
        protocols: protocols.to_vec(),
        networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
    };
    let many: Vec<String> = (0..40).map(|n| format!("2001:db8:ffff:{n:x}::/64")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["2001:db8:2::/48"]).collect();
    let filters = [
        filter(&[6], &[]),
        filter(&[17, 58], &[]),
        filter(&[], &["192.0.2.0/24"]),
        // Before translation nobody speaks to the server.
        filter(&[6], &["10.0.0.1"]),
        filter(&[], &["2001:db8:1::/33", "203.0.113.0/24"]),
        filter(&[17], &["10.0.0.0/8", "2001:db8:2::1/127"]),
        filter(&[], &many),
        filter(&[], &["0.0.0.0/0"]),
        filter(&[132], &[]),
    ];
    let open = |filter: &ConntrackFilter| {
        let config = ConntrackConfig { filter: filter.clone(), ..everything() };
        road.router.run(|| ConntrackSocket::open(&config)).unwrap().unwrap()
    };
    let all = open(&ConntrackFilter::default());
    let sockets: Vec<_> = filters.iter().map(open).collect();
    road.drive();
    road.flush();
    let mut every = Vec::new();
    read(&all, |flow| every.push((told(flow), filters.iter().map(|f| f.takes(flow)).collect::<Vec<_>>())));
    for (at, (socket, filter)) in sockets.iter().zip(&filters).enumerate() {
        let expected: Vec<_> =
            every.iter().filter(|(_, takes)| takes[at]).map(|(told, _)| told.clone()).collect();
        let mut got = Vec::new();
        // The program of the kernel alone: whatever came is counted.
        read(socket, |flow| got.push(told(flow)));
        assert_eq!(got, expected, "{filter:?}");
        assert_eq!(expected.is_empty(), at == 8, "{filter:?} takes something");
        assert!(expected.len() < every.len());
    }
}

#[test]
fn an_overrun_is_told_and_a_dump_shows_every_connection_that_is_left() {
    if !possible() {
        return;
    }
    const FLOWS: u16 = 3000;
    let host = NetNs::new("overrun").unwrap();
    host.sysctl("net.netfilter.nf_conntrack_acct", "1").unwrap();
    host.nft("table inet f {\n chain o {\n type filter hook output priority 0; ct state new counter\n }\n }")
        .unwrap();
    let config = ConntrackConfig { receive_buffer: 64 * 1024, ..everything() };
    let (socket, mut nftables) =
        host.run(|| (ConntrackSocket::open(&config).unwrap(), Nftables::open().unwrap())).unwrap();
    host.run(|| {
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        for port in 10_000..10_000 + FLOWS {
            let _ = from.send_to(b"x", ("127.0.0.1", port));
        }
    })
    .unwrap();
    let mut events = 0;
    let overruns = read(&socket, |_| events += 1);
    assert!(overruns > 0 && events > 0 && events < u32::from(FLOWS), "{overruns} overruns, {events} events");
    let mut ports = BTreeSet::new();
    let whole = nftables.connections(0, |flow| {
        assert_eq!(flow.event, FlowEvent::Dump);
        assert_eq!(flow.sent.unwrap().packets, 1);
        assert_eq!(flow.orig.dst, Some(addr_from_ip("127.0.0.1".parse().unwrap())));
        ports.insert(flow.orig.dport.unwrap());
    });
    assert!(whole.unwrap());
    assert_eq!(ports.len(), usize::from(FLOWS));
    let mut others = 0;
    assert!(nftables.connections(10, |_| others += 1).unwrap());
    assert_eq!(others, 0, "of IPv6 there is none");
    // It goes on.
    host.command("conntrack").arg("-F").output().unwrap();
    let mut ends = 0;
    read(&socket, |flow| ends += u32::from(flow.event == FlowEvent::Destroy));
    assert!(ends > 0);
}
