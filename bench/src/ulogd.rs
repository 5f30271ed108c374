//! ulogd2 as a peer, with the settings that lose least.

use crate::machine::cpu_seconds;
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Running, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes in front of the packets of a capture file, and in front of each of them.
const PCAP: (usize, usize) = (24, 16);

/// A running ulogd2 with one output.
pub(crate) struct Ulogd {
    running: Option<Running>,
    id: u32,
    out: PathBuf,
    output: String,
}

/// What it wrote.
pub(crate) struct Written {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Ulogd {
    /// Packets of a group, to a file of `JSON`, `LOGEMU` or `PCAP`.
    pub(crate) fn start(netns: &NetNs, dir: &Path, output: &str, group: u16) -> Result<Self> {
        let input = format!(
            "[in]\ngroup={group}\nnetlink_socket_buffer_size=33554432\nnetlink_socket_buffer_maxsize=33554432\n\
             netlink_qthreshold=50\nnetlink_qtimeout=10\n"
        );
        let (filters, plugins): (&str, &[&str]) = match output {
            "JSON" => (
                "base:BASE,ifi:IFINDEX,ip2str:IP2STR,mac2str:HWHDR,",
                &["raw2packet_BASE", "filter_IFINDEX", "filter_IP2STR", "filter_HWHDR"],
            ),
            "LOGEMU" => (
                "base:BASE,ifi:IFINDEX,ip2str:IP2STR,print:PRINTPKT,",
                &["raw2packet_BASE", "filter_IFINDEX", "filter_IP2STR", "filter_PRINTPKT"],
            ),
            _ => ("base:BASE,", &["raw2packet_BASE"]),
        };
        let started = Self::with(netns, dir, output, &input, "NFLOG", filters, plugins)?;
        wait_until("ulogd2 to capture", PATIENCE, || {
            let table =
                netns.run(|| fs::read_to_string("/proc/thread-self/net/netfilter/nfnetlink_log"))??;
            Ok((!table.trim().is_empty()).then_some(()))
        })?;
        Ok(started)
    }

    /// Conntrack events, to a file of JSON.
    pub(crate) fn flows(netns: &NetNs, dir: &Path) -> Result<Self> {
        let input = "[in]\nnetlink_socket_buffer_size=33554432\nnetlink_socket_buffer_maxsize=33554432\n\
                     hash_enable=0\nevent_mask=0x00000004\n";
        let started = Self::with(netns, dir, "JSON", input, "NFCT", "ip2str:IP2STR,", &["filter_IP2STR"])?;
        std::thread::sleep(Duration::from_secs(1));
        Ok(started)
    }

    fn with(
        netns: &NetNs,
        dir: &Path,
        output: &str,
        section: &str,
        input: &str,
        filters: &str,
        plugins: &[&str],
    ) -> Result<Self> {
        let out = dir.join("ulogd.out");
        let kind = if input == "NFCT" { "inpflow" } else { "inppkt" };
        let mut config =
            format!("[global]\nlogfile={:?}\nloglevel=5\n", dir.join("ulogd.log").display().to_string());
        for name in [&format!("{kind}_{input}"), &format!("output_{output}")] {
            config += &plugin(name)?;
        }
        for name in plugins {
            config += &plugin(name)?;
        }
        config += &format!(
            "stack=in:{input},{filters}out:{output}\n{section}[out]\nsync=0\nfile={:?}\n",
            out.display().to_string()
        );
        let file = dir.join("ulogd.conf");
        fs::write(&file, config)?;
        let mut command = netns.command("ulogd");
        command.arg("-c").arg(&file);
        let running = Running::start(command, &dir.join("ulogd.stderr"))?;
        let id = running.id();
        // `ip netns exec` becomes the program itself
        wait_until("ulogd2 to start", PATIENCE, || {
            let name = fs::read_to_string(format!("/proc/{id}/comm")).context("ulogd2 ended")?;
            Ok((name.trim() == "ulogd").then_some(()))
        })?;
        Ok(Self { running: Some(running), id, out, output: output.to_owned() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Its writes are buffered: what it has is in the file when it has ended.
    pub(crate) fn stop(&mut self) -> Result<Written> {
        let _ = cpu_seconds(self.id)?;
        self.running.take().context("it was stopped")?.stop()?;
        let bytes = fs::read(&self.out)?;
        let events = match self.output.as_str() {
            "PCAP" => frames(&bytes),
            _ => bytes.iter().filter(|b| **b == b'\n').count(),
        };
        Ok(Written { events: events as u64, bytes: bytes.len() as u64 })
    }
}

/// The packets of a capture file in the host's byte order.
fn frames(bytes: &[u8]) -> usize {
    let (mut at, mut count) = (PCAP.0, 0);
    while let Some(length) = bytes.get(at + 8..at + 12).and_then(|b| b.first_chunk()) {
        at += PCAP.1 + u32::from_ne_bytes(*length) as usize;
        count += usize::from(at <= bytes.len());
    }
    count
}

fn plugin(name: &str) -> Result<String> {
    let found = [
        "/usr/lib/x86_64-linux-gnu/ulogd",
        "/usr/lib/aarch64-linux-gnu/ulogd",
        "/usr/lib/ulogd",
        "/usr/lib64/ulogd",
    ]
    .map(|dir| Path::new(dir).join(format!("ulogd_{name}.so")))
    .into_iter()
    .find(|path| path.exists());
    ensure!(found.is_some(), "ulogd2's plugin {name} is missing: install ulogd2 and ulogd2-json");
    Ok(found.map(|path| format!("plugin=\"{}\"\n", path.display())).unwrap_or_default())
}
