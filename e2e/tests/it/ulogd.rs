//! ulogd2 and exporters of flows, as Debian has them: what they say by JSON over TCP, UDP and a Unix socket, and by IPFIX
//! and NetFlow, is what the kernel counted.

use crate::kernel_counters::make_accounts;
use crate::netfilter::possible;
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Running, Server, wait_until};
use bartizan_e2e::traffic;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
/// Where packets are logged and dropped, and where flows are.
const DROPPED: u16 = 9;
const ACCEPTED: u16 = 10;
/// How many packets, and how many flows: twice what a message of ulogd's IPFIX holds, which it sends when it is full.
const PACKETS: u64 = 400;
const FLOWS: u16 = 26;
const MODES: [&str; 3] = ["tcp", "udp", "unix"];

struct Scene {
    server: Server,
    netns: Arc<NetNs>,
    dir: TempDir,
    programs: Vec<Running>,
}

impl Scene {
    fn new(label: &str, listeners: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let netns = Arc::new(NetNs::new(label).unwrap());
        let listeners = listeners.replace("DIR", dir.path().to_str().unwrap());
        let settings = format!("commit.age_ms = 200\n{listeners}");
        let mut server = Server::new(&dir.path().join("server"), &settings).unwrap().inside(&netns);
        server.start().unwrap();
        Self { server, netns, dir, programs: Vec::new() }
    }

    /// ulogd with these stacks and settings of their plugins.
    fn ulogd(&mut self, config: &str) {
        let path = self.dir.path().join("ulogd.conf");
        let own = self.dir.path().join("ulogd.own.log");
        fs::write(&path, format!("[global]\nlogfile=\"{}\"\nloglevel=3\n{config}", own.display())).unwrap();
        let mut command = self.netns.command("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "ulogd", "-c"]).arg(&path);
        self.programs.push(Running::start(command, &self.dir.path().join("ulogd.log")).unwrap());
        let main_loop =
            || Ok(fs::read_to_string(&own).unwrap_or_default().contains("main loop").then_some(()));
        wait_until("ulogd to run", PATIENCE, main_loop).unwrap();
    }

    fn count(&self, table: &str, filter: &str) -> Vec<Value> {
        match table {
            "search" => self.server.rows(filter).unwrap(),
            _ => self.server.table(table, filter).unwrap(),
        }
    }

    /// Rows of a filter, when there are so many of them.
    fn wait(&self, table: &str, filter: &str, rows: usize) -> Vec<Value> {
        let enough = || {
            // who lists connections ends those that are over, which the kernel does when it finds the time
            let listed = self.netns.command("conntrack").arg("-L").output()?;
            anyhow::ensure!(listed.status.success(), "conntrack: {listed:?}");
            Ok((self.count(table, filter).len() >= rows).then_some(()))
        };
        let waited = wait_until(&format!("{rows} rows of {table} {filter}"), PATIENCE, enough);
        let found = self.count(table, filter);
        assert!(waited.is_ok(), "{waited:?}: {} rows, {:?}", found.len(), self.server.losses());
        found
    }

    /// Two packets of each flow, from a port of its own.
    fn flows(&self, flows: u16) {
        let send = || {
            for _ in 0..flows {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                for _ in 0..2 {
                    socket.send_to(&[0; 20], (Ipv4Addr::LOCALHOST, ACCEPTED)).unwrap();
                }
            }
        };
        self.netns.run(send).unwrap();
    }
}

/// Counts and times each flow, and ends it soon.
fn track(netns: &NetNs) {
    for (key, value) in [("acct", "1"), ("timestamp", "1"), ("udp_timeout", "1")] {
        netns.sysctl(&format!("net.netfilter.nf_conntrack_{key}"), value).unwrap();
    }
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {row}"))
}

#[test]
fn packets_flows_and_counters_of_ulogds_json() {
    if !possible() {
        return;
    }
    let mut listeners = String::new();
    for (mode, place) in MODES.iter().zip([
        "address = \"127.0.0.1:12345\"",
        "address = \"127.0.0.1:12346\"",
        "path = \"DIR/ulogd.sock\"",
    ]) {
        writeln!(listeners, "[[collect]]\nkind = \"ulogd-{mode}\"\n{place}\nhost = \"fw-{mode}\"").unwrap();
    }
    let mut scene = Scene::new("ulogd", &listeners);
    scene
        .netns
        .nft(&format!(
            "table inet f {{
                counter dropped {{ }}
                chain input {{
                    type filter hook input priority filter; policy accept;
                    udp dport {DROPPED} log prefix \"to-tcp-drop: \" group 11
                    udp dport {DROPPED} log prefix \"to-udp-drop: \" group 12
                    udp dport {DROPPED} log prefix \"to-unix-drop: \" group 13
                    udp dport {DROPPED} counter name dropped drop
                    ct state new udp dport {ACCEPTED} counter accept
                }}
            }}"
        ))
        .unwrap();
    track(&scene.netns);
    let packet = "BASE,ifi1:IFINDEX,ip2str1:IP2STR,hw1:HWHDR";
    let socket = scene.dir.path().join("ulogd.sock");
    let mut config = String::new();
    for n in 0..MODES.len() {
        writeln!(config, "stack=log{n}:NFLOG,base1:{packet},json{n}:JSON").unwrap();
    }
    config.push_str("stack=ct1:NFCT,ip2str1:IP2STR,json0:JSON\nstack=acct1:NFACCT,json2:JSON\n");
    for (n, mode) in MODES.iter().enumerate() {
        writeln!(config, "[log{n}]\ngroup={}\n[json{n}]\nsync=1\nmode=\"{mode}\"\neventv1={}", 11 + n, n % 2)
            .unwrap();
    }
    let config = config
        .replace("mode=\"tcp\"", "mode=\"tcp\"\nhost=\"127.0.0.1\"\nport=\"12345\"")
        .replace("mode=\"udp\"", "mode=\"udp\"\nhost=\"127.0.0.1\"\nport=\"12346\"")
        .replace("mode=\"unix\"", &format!("mode=\"unix\"\nfile=\"{}\"", socket.display()));
    make_accounts(&scene.netns, &[("web".to_owned(), 7, 700), ("idle".to_owned(), 0, 0)]);
    scene.ulogd(&format!("{config}[ct1]\nhash_enable=1\n[acct1]\npollinterval=1\ntimestamp=1\n"));

    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, DROPPED));
    scene.netns.run(|| traffic::udp_burst(to, PACKETS, 2000, 60).unwrap()).unwrap();
    scene.flows(FLOWS);
    let listed =
        scene.netns.command("nft").args(["list", "counter", "inet", "f", "dropped"]).output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains(&format!("packets {PACKETS} ")));
    for mode in MODES {
        let rows = scene.wait("search", &format!("host:fw-{mode}"), usize::try_from(PACKETS).unwrap());
        assert_eq!(rows.len() as u64, PACKETS, "{mode}");
        for row in &rows {
            let prefix = format!("to-{mode}-drop: ");
            for (column, want) in [
                ("prefix", prefix.as_str()),
                ("action", "drop"),
                ("source", "ulogd"),
                ("family", "ip"),
                ("hook", "input"),
                ("in_if", "lo"),
                ("src", "127.0.0.1"),
                ("dst", "127.0.0.1"),
                ("proto", "udp"),
            ] {
                assert_eq!(row[column], want, "{row}");
            }
            assert_eq!((number(row, "dport"), number(row, "length")), (u64::from(DROPPED), 88), "{row}");
        }
    }
    let rows = scene.wait("flows", &format!("host:fw-tcp dport:{ACCEPTED}"), usize::from(FLOWS));
    assert_eq!(rows.len(), usize::from(FLOWS));
    for row in &rows {
        assert_eq!((number(row, "packets"), number(row, "bytes")), (2, 2 * 48), "{row}");
        assert_eq!((&row["event"], &row["source"]), (&Value::from("destroy"), &Value::from("ulogd")));
        assert!(row["start"].is_string() && row["end"].is_string(), "{row}");
    }
    // ulogd zeroes what it reads: each row is growth, and the one that stands still makes none
    let rows = scene.wait("counters", "host:fw-unix", 1);
    let web: Vec<_> =
        rows.iter().map(|r| (r["name"].clone(), number(r, "packets"), number(r, "bytes"))).collect();
    assert_eq!(web, [(Value::from("web"), 7, 700)]);
    assert_eq!(scene.server.losses_sum().unwrap(), 0, "{:?}", scene.server.losses());
}

#[test]
fn flows_of_ulogds_ipfix_and_of_softflowd() {
    if !possible() {
        return;
    }
    let mut listeners = String::new();
    for (port, host) in [(4739, "of-ulogd"), (4710, "of-10"), (4709, "of-9"), (4705, "of-5")] {
        let address = format!("127.0.0.1:{port}");
        writeln!(listeners, "[[collect]]\nkind = \"netflow\"\naddress = \"{address}\"\nhost = \"{host}\"")
            .unwrap();
    }
    let mut scene = Scene::new("ipfix", &listeners);
    scene
        .netns
        .nft(&format!(
            "table inet f {{
                chain input {{
                    type filter hook input priority filter; policy accept;
                    ct state new udp dport {ACCEPTED} counter accept
                }}
            }}"
        ))
        .unwrap();
    track(&scene.netns);
    scene.ulogd(
        "stack=ct1:NFCT,ipfix1:IPFIX\n[ct1]\nhash_enable=1\naccept_proto_filter=udp\n[ipfix1]\noid=7\nhost=\"127.0.0.1\"\n\
         port=4739\nproto=\"udp\"\nsend_template=\"always\"\n",
    );
    // a full message is sent when the next flow has no room in it, and that one stays
    scene.flows(FLOWS + 1);
    let rows = scene.wait("flows", &format!("host:of-ulogd dport:{ACCEPTED}"), usize::from(FLOWS));
    assert_eq!(rows.len(), usize::from(FLOWS));
    for row in &rows {
        assert_eq!((number(row, "packets"), number(row, "bytes")), (2, 2 * 48), "{row}");
        assert_eq!(row["source"], "ipfix");
    }

    let capture = scene.dir.path().join("flows.pcap");
    fs::write(&capture, pcap()).unwrap();
    for (version, host, source) in [(10, "of-10", "ipfix"), (9, "of-9", "netflow"), (5, "of-5", "netflow")] {
        softflowd(&scene, version, &capture);
        let rows = scene.wait("flows", &format!("host:{host}"), 40);
        assert_eq!(rows.len(), 40, "{host}");
        for (n, row) in rows.iter().enumerate() {
            assert_eq!((number(row, "packets"), number(row, "bytes")), (3, 3 * 48), "{n}: {row}");
            assert_eq!((&row["source"], number(row, "dport")), (&Value::from(source), 53), "{row}");
            assert_eq!(row["dst"], "198.51.100.7", "{row}");
        }
    }
    assert_eq!(scene.server.losses_sum().unwrap(), 0, "{:?}", scene.server.losses());
}

/// Reads a capture, and exports its flows.
fn softflowd(scene: &Scene, version: u16, capture: &Path) {
    let mut command = scene.netns.command("softflowd");
    command.args(["-d", "-v", &version.to_string(), "-n", &format!("127.0.0.1:{}", 4700 + version), "-r"]);
    command.arg(capture).arg("-p").arg(scene.dir.path().join("softflowd.pid"));
    // with a control socket it may wait there for ever, once the capture is read
    command.args(["-c", "none"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// 40 flows of 3 packets of UDP.
fn pcap() -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65535, 1].map(u32::to_le_bytes).concat();
    for n in 0..120_u8 {
        let flow = n / 3;
        let mut packet = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        packet.extend([0x45, 0, 0, 48, 0, n, 0, 0, 64, 17, 0, 0, 192, 0, 2, flow + 1, 198, 51, 100, 7]);
        packet.extend([0x4e, flow, 0, 53, 0, 28, 0, 0]);
        packet.extend([0; 20]);
        let length = u32::try_from(packet.len()).unwrap();
        file.extend([1_795_400_000 + u32::from(n), 0, length, length].map(u32::to_le_bytes).concat());
        file.extend(packet);
    }
    file
}
