//! The local log beside a real ulogd2 that reads other groups of the same rules: line by line the same, but for
//! what no column holds (docs/configuration.md).

use crate::netfilter::possible;
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Agent, Running, Server, wait_until};
use bartizan_e2e::traffic;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PLUGINS: &str = "/usr/lib/x86_64-linux-gnu/ulogd";
/// Datagrams of each family, pings of each, connections of each.
const EACH: u64 = 20;

fn ulogd(netns: &NetNs, dir: &Path) -> Running {
    let plugins = [
        "inppkt_NFLOG",
        "raw2packet_BASE",
        "filter_IFINDEX",
        "filter_IP2STR",
        "filter_HWHDR",
        "filter_PRINTPKT",
        "output_LOGEMU",
        "output_JSON",
    ];
    let plugins: String = plugins.iter().map(|p| format!("plugin=\"{PLUGINS}/ulogd_{p}.so\"\n")).collect();
    let config = format!(
        "[global]\nlogfile=\"{d}/ulogd.log\"\nloglevel=5\n{plugins}\
         stack=a:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,print1:PRINTPKT,emu1:LOGEMU\n\
         stack=b:NFLOG,base2:BASE,ifi2:IFINDEX,ip2str2:IP2STR,mac2str2:HWHDR,json1:JSON\n\
         [a]\ngroup=6\n[b]\ngroup=7\n[emu1]\nsync=1\nfile=\"{d}/ulogd.emu\"\n[json1]\nsync=1\nfile=\"{d}/ulogd.json\"\n",
        d = dir.display()
    );
    std::fs::write(dir.join("ulogd.conf"), config).unwrap();
    let mut command = netns.command("ulogd");
    command.arg("-c").arg(dir.join("ulogd.conf"));
    let running = Running::start(command, &dir.join("ulogd.out")).unwrap();
    wait_until("ulogd2", Duration::from_secs(20), || {
        let table =
            netns.run(|| std::fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log"))??;
        Ok((table.lines().filter(|l| !l.trim().is_empty()).count() >= 2).then_some(()))
    })
    .unwrap();
    running
}

/// Lines without what no column holds, in one order.
fn comparable(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let icmp = line.contains("PROTO=ICMP");
            let echo = line.find("PROTO=").unwrap_or(line.len());
            let (head, tail) = line.split_at(echo);
            let tail = tail.split(' ').filter(|w| !icmp || !(w.starts_with("ID=") || w.starts_with("SEQ=")));
            let head = head.split(' ').filter(|w| !w.starts_with("FLOWLBL="));
            // seconds may differ by the time of writing
            head.chain(tail).collect::<Vec<_>>().join(" ")[15..].to_owned()
        })
        .collect();
    lines.sort_unstable();
    lines
}

fn send(netns: &NetNs) {
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    netns
        .run(|| {
            for to in [v4, v6] {
                traffic::udp_burst(SocketAddr::new(to, 9), EACH, 1000, 60).unwrap();
                traffic::icmp_echo(to, u16::try_from(EACH).unwrap()).unwrap();
                traffic::tcp_connects(to, [9; 5], Duration::from_millis(20)).unwrap();
            }
        })
        .unwrap();
}

/// Waits until a file does not grow any more.
fn settled(path: &Path, at_least: usize) -> String {
    let mut before = usize::MAX;
    wait_until("the file", Duration::from_secs(30), || {
        std::thread::sleep(Duration::from_millis(500));
        let lines = std::fs::read_to_string(path).unwrap_or_default().lines().count();
        Ok((lines == std::mem::replace(&mut before, lines) && lines >= at_least).then_some(()))
    })
    .unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn lines_equal_those_of_ulogd2() {
    if !possible() {
        return;
    }
    if !Path::new(PLUGINS).exists() {
        eprintln!("NOT RUN: ulogd2 is missing: install ulogd2 and ulogd2-json");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let netns = Arc::new(NetNs::new("local").unwrap());
    let log = "log prefix \"local drop: \" group 5 log prefix \"local drop: \" group 6 \
               log prefix \"local drop: \" group 7 meta mark set 42 drop";
    netns
        .nft(&format!(
            "table inet f {{ chain input {{ type filter hook input priority filter; policy accept;
             udp dport 9 {log}\n tcp dport 9 {log}\n icmp type echo-request {log}\n icmpv6 type echo-request {log}
             }}\n }}"
        ))
        .unwrap();
    let mut server = Server::new(&dir.path().join("server"), "").unwrap().inside(&netns);
    server.start().unwrap();
    let own = dir.path().join("agent");
    let settings = |form: &str| {
        let path = own.join(format!("firewall.{form}"));
        format!("groups = [5]\nlocal_log.path = \"{}\"\nlocal_log.form = \"{form}\"", path.display())
    };
    let mut agent = Agent::new(&own, &settings("logemu")).unwrap();
    let token = server.token(1).unwrap();
    agent.enrol(Some(&netns), server.front(), &token, "web-01").unwrap();
    let ulogd = ulogd(&netns, dir.path());

    agent.start(Some(&netns)).unwrap();
    agent.wait_for_capture(&netns, 5).unwrap();
    send(&netns);
    let theirs = settled(&dir.path().join("ulogd.emu"), 90);
    let ours = settled(&own.join("firewall.logemu"), 90);
    assert_eq!(comparable(&ours), comparable(&theirs));
    agent.stop().unwrap();

    agent.configure(&settings("json")).unwrap();
    let skip = settled(&dir.path().join("ulogd.json"), 90).lines().count();
    agent.start(Some(&netns)).unwrap();
    agent.wait_for_capture(&netns, 5).unwrap();
    send(&netns);
    let theirs = settled(&dir.path().join("ulogd.json"), skip + 90);
    let ours = settled(&own.join("firewall.json"), 90);
    let theirs: Vec<Value> = theirs.lines().skip(skip).map(|l| serde_json::from_str(l).unwrap()).collect();
    let ours: Vec<Value> = ours.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    same_objects(&ours, &theirs);
    agent.stop().unwrap();
    drop(ulogd);
}

/// Packets of one socket come in order: the n-th of both is the same. Every key of ours has the value of theirs.
fn same_objects(ours: &[Value], theirs: &[Value]) {
    assert_eq!(ours.len(), theirs.len());
    const NOT_OURS: [&str; 13] = [
        "raw.pktlen",
        "raw.mac_len",
        "raw.label",
        "raw.type",
        "raw.mac.addrlen",
        "oob.ifindex_in",
        "ip.ihl",
        "ip.csum",
        "ip6.flowlabel",
        "tcp.offset",
        "tcp.reserved",
        "tcp.res1",
        "tcp.res2",
    ];
    for (ours, theirs) in ours.iter().zip(theirs) {
        let (ours, theirs) = (ours.as_object().unwrap(), theirs.as_object().unwrap());
        for (key, value) in ours {
            let may_differ = key == "timestamp" || key.starts_with("oob.time");
            // ulogd2 tells no destination of a loopback frame
            let may_differ = may_differ || (key == "mac.daddr.str" && !theirs.contains_key(key));
            assert!(
                may_differ || theirs.get(key) == Some(value),
                "{key}: {value} {:?}\n{ours:?}\n{theirs:?}",
                theirs.get(key)
            );
        }
        for key in theirs.keys().filter(|key| !ours.contains_key(*key)) {
            let known = NOT_OURS.contains(&key.as_str()) || key.ends_with(".csum") || key.contains(".echo");
            assert!(known, "{key} is missing in {ours:?}");
        }
    }
}
