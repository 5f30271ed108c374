//! A server that listens, lines to send to it, and what has become of them.

use bartizan_e2e::process::{Server, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// How long it may take until everything has arrived.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Fields are dropped in this order: the program before its folder.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) dir: TempDir,
}

/// One `[[collect]]`, on a port of its own.
pub(super) fn listener(kind: &str, more: &str) -> String {
    format!("[[collect]]\nkind = \"{kind}\"\naddress = \"127.0.0.1:0\"\n{more}\n")
}

impl Stage {
    /// A server that listens as these settings say.
    pub(super) fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = format!("commit.age_ms = 200\n{settings}");
        let mut server = Server::new(&dir.path().join("server"), &settings).unwrap();
        server.start().unwrap();
        Self { server, dir }
    }

    /// Where it listens, in the order of the settings.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let text = std::fs::read_to_string(self.server.dir().join("collect_addresses")).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.parse().unwrap()).collect()
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// How many events each host has, as soon as there are so many.
    pub(super) fn hosts(&self, events: u64) -> BTreeMap<String, u64> {
        let arrived = wait_until(&format!("{events} events"), PATIENCE, || {
            Ok((self.server.search_count("")? >= events).then_some(()))
        });
        let mut hosts = BTreeMap::new();
        for row in self.server.rows_of("", "host").unwrap() {
            *hosts.entry(row["host"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert!(arrived.is_ok(), "{arrived:?} {hosts:?} {:?}", self.senders());
        hosts
    }

    /// What the server says of its senders, as soon as it is written.
    pub(super) fn senders(&self) -> Vec<Value> {
        serde_json::from_str(&self.server.ask(&["senders", "-o", "json"]).unwrap()).unwrap()
    }

    /// A number of all senders together.
    pub(super) fn sum(&self, of: &str) -> u64 {
        self.senders().iter().map(|sender| sender[of].as_u64().unwrap()).sum()
    }

    /// Asserts that of the lines 0 to `lines` of a host each is there once, with its fields.
    pub(super) fn each_once(&self, host: &str, lines: u16) {
        let filter = format!("host:\"{host}\"");
        let rows = self.server.rows_of(&filter, "ip_id,src,dport,prefix,action,raw,in_if").unwrap();
        let mut seen = vec![0; usize::from(lines)];
        for row in &rows {
            let id = usize::try_from(row["ip_id"].as_u64().unwrap()).unwrap();
            seen[id] += 1;
            assert_eq!(row["src"], source(u16::try_from(id).unwrap()), "{row}");
            assert_eq!((row["dport"].as_u64(), row["action"].as_str()), (Some(22), Some("drop")), "{row}");
            assert_eq!(
                (row["prefix"].as_str(), row["in_if"].as_str()),
                (Some("IN-drop: "), Some("eth0")),
                "{row}"
            );
            assert!(row["raw"].is_null(), "{row}");
        }
        let wrong: Vec<_> = seen.iter().enumerate().filter(|(_, n)| **n != 1).take(20).collect();
        assert!(wrong.is_empty(), "{host}: {} rows of {lines} lines; not once: {wrong:?}", rows.len());
    }
}

fn source(n: u16) -> String {
    format!("203.0.113.{}", n % 256)
}

/// The message of line `n`, as the kernel writes it.
pub(super) fn packet(n: u16) -> String {
    format!(
        "IN-drop: IN=eth0 OUT= MAC=00:11:22:33:44:55:66:77:88:99:aa:bb:08:00 SRC={} DST=198.51.100.7 LEN=60 TOS=0x00 \
         PREC=0x00 TTL=64 ID={n} DF PROTO=TCP SPT={} DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0",
        source(n),
        u32::from(n) + 1
    )
}

/// Line `n` of a host with its envelope.
pub(super) fn line(host: &str, n: u16) -> String {
    format!("<4>Nov 26 03:00:00 {host} kernel: {}", packet(n))
}

/// A port of loopback that nobody uses now.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether a program is there; says so if not.
pub(super) fn have(program: &str) -> bool {
    let found =
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|d| Path::new(d).join(program).exists());
    if !found {
        eprintln!("NOT RUN: {program} is missing");
    }
    found
}
