//! Counters and changes of the ruleset against what nft prints; and that the answers can be read without any
//! privilege.

use crate::netfilter::{CHILD, possible};
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::traffic;
use bartizan_netfilter::{
    Asker, Change, ConntrackConfig, ConntrackSocket, CounterKind, CounterReading, NetfilterError,
    NflogConfig, NflogSocket, Nftables, Notice, Question, Received, RecvBuffer, RulesetMonitor, namespaces,
};
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn at(addr: &str) -> SocketAddr {
    addr.parse().unwrap()
}

/// Makes nfacct objects of these names that show these packets and bytes.
pub(crate) fn make_accounts(host: &NetNs, accounts: &[(String, u64, u64)]) {
    let attr = |kind: u16, payload: &[u8]| {
        let mut a = u16::try_from(4 + payload.len()).unwrap().to_ne_bytes().to_vec();
        a.extend(kind.to_ne_bytes());
        a.extend(payload);
        a.resize(a.len().next_multiple_of(4), 0);
        a
    };
    host.run(|| {
        let socket = Socket::new(Domain::from(16), Type::RAW, Some(Protocol::from(12))).unwrap();
        for (name, packets, bytes) in accounts {
            let body = [
                vec![0; 4],
                attr(1, format!("{name}\0").as_bytes()),
                attr(2, &packets.to_be_bytes()),
                attr(3, &bytes.to_be_bytes()),
            ]
            .concat();
            let mut message = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
            message.extend(0x700u16.to_ne_bytes());
            // request, create
            message.extend(0x401u16.to_ne_bytes());
            message.extend([0; 8]);
            message.extend(body);
            assert_eq!(socket.send(&message).unwrap(), message.len());
        }
    })
    .unwrap();
}

/// What nft lists of rules, counters and elements, as the readings say it.
fn listed(host: &NetNs) -> BTreeMap<String, (u64, u64)> {
    let output = host.command("nft").args(["-j", "list", "ruleset"]).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut out = BTreeMap::new();
    let count = |c: &Value| (c["packets"].as_u64().unwrap(), c["bytes"].as_u64().unwrap());
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    for item in json["nftables"].as_array().unwrap() {
        if let Some(rule) = item.get("rule") {
            let counter = rule["expr"].as_array().unwrap().iter().find_map(|e| e.get("counter"));
            if let Some(counter) = counter.filter(|c| c.is_object()) {
                let at = format!("rule {} {} {}", text(&rule["table"]), text(&rule["chain"]), rule["handle"]);
                out.insert(at, count(counter));
            }
        } else if let Some(counter) = item.get("counter") {
            out.insert(
                format!("counter {} {}", text(&counter["table"]), text(&counter["name"])),
                count(counter),
            );
        } else if let Some(set) = item.get("set").or(item.get("map")) {
            for elem in set["elem"].as_array().into_iter().flatten() {
                let Some(counter) = elem["elem"].get("counter") else { continue };
                let at = format!(
                    "element {} {} {}",
                    text(&set["table"]),
                    text(&set["name"]),
                    key(&elem["elem"]["val"])
                );
                out.insert(at, count(counter));
            }
        }
    }
    out
}

/// An element's key as nft writes it in its own language.
fn key(value: &Value) -> String {
    let both =
        |v: &Value, between: &str| v.as_array().unwrap().iter().map(key).collect::<Vec<_>>().join(between);
    if let Some(concat) = value.get("concat") {
        both(concat, " . ")
    } else if let Some(range) = value.get("range") {
        both(range, "-")
    } else if let Some(prefix) = value.get("prefix") {
        format!("{}/{}", key(&prefix["addr"]), prefix["len"])
    } else {
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }
}

fn read(readings: &[CounterReading]) -> BTreeMap<String, (u64, u64)> {
    let name = |r: &CounterReading| match r.kind {
        CounterKind::Rule => format!("rule {} {} {}", r.table, r.chain, r.handle),
        CounterKind::Policy => format!("policy {} {}", r.table, r.chain),
        CounterKind::Object => format!("counter {} {}", r.table, r.name),
        CounterKind::Element => format!("element {} {} {}", r.table, r.name, r.element),
        CounterKind::Accounting => format!("nfacct {}", r.name),
    };
    let out: BTreeMap<_, _> = readings.iter().map(|r| (name(r), (r.packets, r.bytes))).collect();
    assert_eq!(out.len(), readings.len(), "every counter is named once");
    out
}

#[test]
fn every_counter_is_what_nft_lists() {
    if !possible() {
        return;
    }
    let host = NetNs::new("counters").unwrap();
    host.nft(
        "table inet f {
            counter total { packets 5 bytes 500; }
            counter idle { packets 0 bytes 0; }
            set plain { type ipv4_addr; counter; elements = { 127.0.0.1, 10.0.0.2 } }
            set wide { type ipv4_addr; flags interval; counter; elements = { 127.0.0.0/8, 10.2.0.5-10.2.0.9, 192.0.2.255-192.0.3.0 } }
            set cat { type ipv4_addr . inet_service; flags interval; counter; elements = { 127.0.0.0/8 . 9, 10.1.1.1 . 100-200 } }
            set seen { type ipv6_addr . inet_service; flags dynamic,timeout; timeout 1h; }
            set uncounted { type ipv4_addr; elements = { 127.0.0.1 } }
            map names { type ipv4_addr : counter; elements = { 127.0.0.1 : \"total\" } }
            chain o {
                type filter hook output priority 0; policy accept;
                ip saddr @plain counter
                ip saddr @wide
                ip saddr . udp dport @cat
                meta nfproto ipv6 add @seen { ip6 saddr . udp dport counter }
                udp dport 9 counter name total
                udp dport 9 counter drop
                tcp dport 9 counter
            }
         }",
    )
    .unwrap();
    // Only a restore with counters makes policies count.
    let restore = "printf '*filter\\n:INPUT ACCEPT [0:0]\\n:OUTPUT ACCEPT [3:180]\\n\
         -A OUTPUT -p udp --dport 10 -j DROP\\n-A INPUT -p udp --dport 11 -j ACCEPT\\nCOMMIT\\n' \
         | iptables-nft-restore -c";
    let done = host.command("sh").args(["-c", restore]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    make_accounts(&host, &[("web".into(), 3, 300), ("mail".into(), 0, 0)]);
    host.run(|| {
        for (to, n) in [("127.0.0.1:9", 4), ("127.0.0.1:10", 5), ("127.0.0.1:11", 6), ("[::1]:9", 7)] {
            traffic::udp_burst(at(to), n, 0, 10).unwrap();
        }
    })
    .unwrap();
    let mut nftables = host.run(Nftables::open).unwrap().unwrap();
    let readings = nftables.counters().unwrap();
    let mut got = read(&readings);
    assert_eq!(got.remove("nfacct web"), Some((3, 300)));
    assert_eq!(got.remove("nfacct mail"), Some((0, 0)));
    let (packets, bytes) = got["policy filter OUTPUT"];
    // Beside the 3: 6 datagrams of 38 bytes that neither table drops, and what the kernel answers to them.
    assert!(packets >= 3 + 6 && bytes >= 180 + 6 * 38, "{packets} {bytes}");
    got.retain(|k, _| !k.starts_with("policy "));
    assert_eq!(got, listed(&host));
    assert_eq!(got["counter f total"], (5 + 11, 500 + 4 * 38 + 7 * 58));
    assert_eq!(got["element f wide 127.0.0.0/8"].0, got["element f plain 127.0.0.1"].0);
    assert_eq!(got["element f seen ::1 . 9"], (7, 7 * 58));
    assert!(readings.iter().all(|r| r.table_handle > 0 || r.kind == CounterKind::Accounting));
    assert_eq!(nftables.counters().unwrap(), readings, "nothing is reset by reading");
}

#[test]
fn changes_name_their_generation_and_their_maker() {
    if !possible() {
        return;
    }
    let host = NetNs::new("changes").unwrap();
    let (mut monitor, mut nftables) =
        host.run(|| (RulesetMonitor::open().unwrap(), Nftables::open().unwrap())).unwrap();
    let mut next = || match monitor.recv(Duration::from_secs(5)).unwrap() {
        Notice::Change(change) => change,
        other => panic!("{other:?}"),
    };
    host.nft("add table inet f").unwrap();
    let Change { generation, pid, process } = next();
    assert_eq!((Some(generation), process.as_str()), (nftables.generation().unwrap(), "nft"));
    assert!(pid.is_some_and(|pid| pid > 1));
    // Hundreds of kilobytes of notices, of which one comes.
    let rules: String =
        (0..5000).map(|n| format!("add rule inet f c udp dport {n} counter drop\n")).collect();
    host.nft(&format!("add chain inet f c\n{rules}")).unwrap();
    assert_eq!(next().generation, generation + 1);
    let done = host.command("iptables-nft").args(["-A", "INPUT", "-j", "ACCEPT"]).output().unwrap();
    assert!(done.status.success());
    assert!(next().process.starts_with("iptables"));
    // A reading is no change.
    host.nft("list ruleset").unwrap();
    nftables.log_rules().unwrap();
    nftables.counters().unwrap();
    assert_eq!(monitor.recv(Duration::from_millis(100)).unwrap(), Notice::Idle);
    let waker = monitor.waker();
    waker.stop();
    assert_eq!(monitor.recv(Duration::from_secs(3600)).unwrap(), Notice::Stopped);
}

/// Runs this test binary again, without any capability, with `input` as its standard input. Its lines on standard error that start
/// with `ASK ` are questions, which are sent here; the others are returned.
fn unprivileged(test: &str, role: &str, input: OwnedFd, mut ask: impl FnMut(&Question, u32)) -> String {
    let mut child = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"])
        .arg("--no-new-privs")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("kernel_counters::{test}"), "--nocapture", "--test-threads=1"])
        .env(CHILD, role)
        .stdin(Stdio::from(input))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rest = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        // The harness writes in front of the first one.
        match line.split_once("ASK ") {
            Some((_, question)) => {
                let (seq, bytes) = question.split_once(' ').unwrap();
                let bytes: Vec<u8> = bytes.split(',').map(|b| b.parse().unwrap()).collect();
                ask(&Question::from_bytes(&bytes).unwrap(), seq.parse().unwrap());
            }
            None => rest += &format!("{line}\n"),
        }
    }
    assert!(child.wait().unwrap().success(), "{rest}");
    rest
}

/// The other half of [`unprivileged`].
fn without_privilege(role: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find(|l| l.starts_with("CapEff:")).unwrap();
    assert!(effective.ends_with("0000000000000000"), "{effective}");
    let refused = Nftables::open().unwrap().generation().unwrap_err();
    assert!(matches!(refused, NetfilterError::NotPermitted { .. }), "{refused}");
    let input = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut buf = RecvBuffer::new();
    match role {
        "answers" => {
            let send = |question: &Question, seq: u32| {
                let bytes: Vec<_> = question.to_bytes().iter().map(u8::to_string).collect();
                eprintln!("ASK {seq} {}", bytes.join(","));
                Ok(())
            };
            let mut nftables = Nftables::new(input, Box::new(send));
            let log = nftables.log_rules().unwrap().len();
            let counters = nftables.counters().unwrap();
            let of = |kind| counters.iter().filter(|c| c.kind == kind).count();
            let (rules, elements, accounts) =
                (of(CounterKind::Rule), of(CounterKind::Element), of(CounterKind::Accounting));
            let mut connections = 0;
            assert!(nftables.connections(0, |_| connections += 1).unwrap());
            eprintln!("READ {log} {rules} {elements} {accounts} {connections}");
        }
        "conntrack" => {
            let socket = ConntrackSocket::from_fd(input).unwrap();
            let got = socket.recv(&mut buf, Duration::from_secs(5)).unwrap();
            eprintln!("READ {}", matches!(got, Received::Datagram(_)));
        }
        "changes" => {
            let mut monitor = RulesetMonitor::from_fd(input).unwrap();
            eprintln!("READ {:?}", monitor.recv(Duration::from_secs(5)).unwrap());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn answers_are_read_without_any_privilege() {
    const TEST: &str = "answers_are_read_without_any_privilege";
    if let Ok(role) = std::env::var(CHILD) {
        return without_privilege(&role);
    }
    if !possible() {
        return;
    }
    let host = NetNs::new("halves").unwrap();
    // Each answer has many parts: later parts are made in the reader's own call.
    let rules: String =
        (1..=4000).map(|n| format!("udp dport {n} counter log prefix \"rule {n}\" group 7\n")).collect();
    let elements: Vec<_> = (0..4000).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    host.nft(&format!(
        "table inet f {{
            set s {{ type ipv4_addr; counter; elements = {{ {} }} }}
            chain c {{\n{rules} }}
            chain o {{ type filter hook output priority 0; ct state new accept; }}
         }}",
        elements.join(", ")
    ))
    .unwrap();
    let accounts: Vec<_> = (0..500).map(|n| (format!("account-{n:020}"), n, n)).collect();
    make_accounts(&host, &accounts);
    let connect = |n: u16| {
        host.run(|| {
            let from = UdpSocket::bind("127.0.0.1:0").unwrap();
            (10_000..10_000 + n).for_each(|port| drop(from.send_to(b"x", ("127.0.0.1", port))));
        })
        .unwrap();
    };
    connect(2000);
    let (asker, answers) = host.run(Asker::open).unwrap().unwrap();
    let mut asked = 0;
    let said = unprivileged(TEST, "answers", answers, |question, seq| {
        asked += 1;
        asker.send(question, seq).unwrap();
    });
    assert!(said.contains("READ 4000 4000 4000 500 2000"), "{said}");
    assert!(asked >= 10);

    let config = ConntrackConfig { new: true, ..ConntrackConfig::new() };
    let (flows, changes) =
        host.run(|| (ConntrackSocket::open(&config).unwrap(), RulesetMonitor::open().unwrap())).unwrap();
    connect(1);
    let none = |_: &Question, _: u32| panic!("nothing is asked");
    let said = unprivileged(TEST, "conntrack", flows.into_fd(), none);
    assert!(said.contains("READ true"), "{said}");
    host.nft("add table inet g").unwrap();
    let said = unprivileged(TEST, "changes", changes.into_fd(), none);
    assert!(
        said.contains("READ Change(Change { generation: ") && said.contains("process: \"nft\""),
        "{said}"
    );
}

#[test]
fn namespaces_come_and_go() {
    if !possible() {
        return;
    }
    let host = NetNs::new("named").unwrap();
    let mut nameless = Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap();
    let start = Instant::now();
    let wanted = format!("pid:{}", nameless.id());
    let found = loop {
        let found = namespaces().unwrap();
        if found.iter().any(|n| n.name == wanted) {
            break found;
        }
        assert!(start.elapsed() < PATIENCE, "{found:?}");
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(found[0].name, "");
    let named = found.iter().find(|n| n.name == host.name()).unwrap();
    assert_eq!(named.path, host.path());
    // Each can be entered by its path.
    for netns in found.iter().filter(|n| n.name == wanted || n.name == host.name()) {
        let file = std::fs::File::open(&netns.path).unwrap();
        let life =
            bartizan_netfilter::in_netns(file.as_fd(), bartizan_netfilter::incarnation).unwrap().unwrap();
        assert_eq!(life.0[16..], netns.id.to_be_bytes());
    }
    nameless.kill().unwrap();
    nameless.wait().unwrap();
    let name = host.name().to_owned();
    drop(host);
    let rest = namespaces().unwrap();
    assert!(rest.iter().all(|n| n.name != wanted && n.name != name), "{rest:?}");
}

#[test]
fn a_kernel_without_conntrack_details_gives_packets_without_them() {
    if !possible() {
        return;
    }
    let host = NetNs::new("details").unwrap();
    host.nft(
        "table inet f {\n chain o {\n type filter hook output priority 0; ct state new log prefix \"x\" group 7\n }\n }",
    )
    .unwrap();
    let mut config = NflogConfig { conntrack: true, ..NflogConfig::new(7) };
    let lacking = host.run(|| config.fit()).unwrap();
    assert_eq!(config.conntrack, lacking.is_none());
    if let Some(lacking) = lacking {
        assert!(lacking.contains("CONFIG_NETFILTER_NETLINK_GLUE_CT"));
        let asked = NflogConfig { conntrack: true, ..NflogConfig::new(7) };
        assert!(
            host.run(|| NflogSocket::open(&asked)).unwrap().is_err(),
            "the kernel refuses the group otherwise"
        );
    }
    let socket = host.run(|| NflogSocket::open(&config)).unwrap().unwrap();
    host.run(|| traffic::udp_burst(at("127.0.0.1:9"), 1, 0, 10)).unwrap().unwrap();
    let mut buf = RecvBuffer::new();
    let Received::Datagram(bytes) = socket.recv(&mut buf, Duration::from_secs(5)).unwrap() else { panic!() };
    let message = bartizan_decode::netlink::Messages::new(bytes).next().unwrap().unwrap();
    let packet = bartizan_decode::nflog::NflogPacket::from_message(&message).unwrap().unwrap();
    assert_eq!(packet.conntrack().is_some(), lacking.is_none());
}
