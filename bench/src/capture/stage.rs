//! Where captures are measured: one namespace that floods, one whose rules log, a veth between them.

use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::netns::{End, NetNs};
use bartizan_e2e::process::binaries;
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// The core of the flood, and of the kernel's work for it.
pub(crate) const FLOOD_CPU: usize = 0;
/// The core of whoever is measured.
pub(crate) const READER_CPU: usize = 1;
pub(crate) const GROUP: u16 = 7;
const TARGET: &str = "10.99.0.2";

/// What is sent; see `bartizan-flood`.
#[derive(Clone, Copy)]
pub(crate) struct Flood {
    pub(crate) mix: &'static str,
    /// Packets a second; 0 is as fast as it goes.
    pub(crate) rate: u64,
    pub(crate) count: u64,
    pub(crate) seconds: f64,
}

/// Two namespaces.
pub(crate) struct Stage {
    from: NetNs,
    pub(crate) netns: Arc<NetNs>,
    mac: String,
}

impl Stage {
    /// With a rule that counts, logs 128 bytes of each packet and drops it.
    pub(crate) fn logging() -> Result<Self> {
        let stage = Self::new()?;
        stage.netns.nft(&format!(
            "table inet bench {{ chain input {{ type filter hook input priority 0; policy accept;\n \
             ip saddr 46.0.0.0/8 counter log prefix \"bench drop: \" group {GROUP} snaplen 128 drop\n}}\n}}\n"
        ))?;
        Ok(stage)
    }

    /// With connection tracking that forgets a flow after a second.
    pub(crate) fn tracking() -> Result<Self> {
        let stage = Self::new()?;
        stage.netns.nft(
            "table inet bench { chain input { type filter hook input priority 0; policy accept;\n \
             ip saddr 10.64.0.0/10 ct state new counter accept\n}\n}\n",
        )?;
        for (key, value) in [("udp_timeout", "1"), ("acct", "1"), ("timestamp", "1")] {
            stage.netns.sysctl(&format!("net.netfilter.nf_conntrack_{key}"), value)?;
        }
        Ok(stage)
    }

    fn new() -> Result<Self> {
        let (from, netns) = (NetNs::new("flood")?, Arc::new(NetNs::new("bench")?));
        for netns in [&from, &*netns] {
            // no packets but ours
            for scope in ["all", "default"] {
                let _ = netns.sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6"), "1");
                netns.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
            }
        }
        NetNs::link(
            End { netns: &from, name: "flood", addresses: &["10.99.0.1/24"] },
            End { netns: &netns, name: "bench", addresses: &["10.99.0.2/24"] },
        )?;
        netns.ip("route add default via 10.99.0.1")?;
        let mac = netns
            .command("cat")
            .arg("/sys/class/net/bench/address")
            .output()
            .context("the address of a link")?;
        let mac = String::from_utf8_lossy(&mac.stdout).trim().to_owned();
        Ok(Self { from, netns, mac })
    }

    /// Sends; packets sent and the seconds that it took.
    pub(crate) fn flood(&self, flood: Flood) -> Result<(u64, f64)> {
        finished(self.start(flood)?)
    }

    /// Starts to send; see [`finished`].
    pub(crate) fn start(&self, flood: Flood) -> Result<Child> {
        let program = binaries()?.parent().context("target")?.join("flood/release/bartizan-flood");
        ensure!(program.exists(), "{} is missing; run this as `make bench-capture`", program.display());
        let mut command: Command = self.from.command(program);
        command.args([&self.mac, TARGET, &flood.rate.to_string(), &flood.count.to_string()]);
        command.args([&flood.seconds.to_string(), &FLOOD_CPU.to_string(), flood.mix]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start the flood")
    }

    /// Packets that the rule has counted.
    pub(crate) fn counted(&self) -> Result<u64> {
        self.netns.counted(GROUP)
    }

    /// Flows that the rule has counted, and those that are still there.
    pub(crate) fn flows(&self) -> Result<(u64, u64)> {
        let rules = self.netns.nft_rules()?;
        let expressions = rules.iter().filter_map(|rule| rule["expr"].as_array()).flatten();
        let counted = expressions.filter_map(|e| e["counter"]["packets"].as_u64()).sum();
        let path = "/proc/sys/net/netfilter/nf_conntrack_count";
        let live = self.netns.run(|| fs::read_to_string(path))?.context("count the flows")?;
        Ok((counted, live.trim().parse().context("a number of flows")?))
    }
}

/// Waits for the end of a flood.
pub(crate) fn finished(child: Child) -> Result<(u64, f64)> {
    let output = child.wait_with_output().context("wait for the flood")?;
    ensure!(output.status.success(), "the flood: {}", String::from_utf8_lossy(&output.stderr).trim());
    let said: Value = serde_json::from_slice(&output.stdout).context("what the flood says")?;
    Ok((said["sent"].as_u64().context("sent")?, said["seconds"].as_f64().context("seconds")?))
}
