//! Settings in two stages: what was written in `agent.toml`, and what was meant by it.

use crate::lanes::WhenFull;
use crate::sandbox;
use bartizan_netfilter::{ConntrackConfig, ConntrackFilter};
pub use bartizan_settings::SettingsError;
pub(crate) use bartizan_settings::{Caps, Capture, Conntrack, NetnsChoice};
use bartizan_settings::{Counters, Flows, NetnsWritten, in_range};
use rustix::thread::CapabilitySet;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// `agent.toml` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// Where identity and spool live.
    pub dir: PathBuf,
    /// The server's port for agents, `HOST:PORT`; empty: the one that was told at enrolment.
    pub server: String,
    /// The user that the worker runs as, if there is one of this name.
    pub user: String,
    /// NFLOG groups to read.
    pub groups: Vec<u16>,
    /// Network namespaces to read them in: `own`, `all`, or names below `/run/netns`.
    pub netns: NetnsWritten,
    /// How packets are taken from the kernel.
    pub capture: Capture,
    /// Of which packets the first bytes are kept.
    pub payload: Payload,
    /// Lines of rules with `LOG`.
    pub kernel_log: KernelLog,
    /// A file for people and tools of this host.
    pub local_log: LocalLog,
    /// How many events of one rule and one source are rows of their own.
    pub caps: Caps,
    /// Tracked connections.
    pub flows: Flows,
    /// What rules and other objects count.
    pub counters: Counters,
    /// How rows wait on disk.
    pub spool: Spool,
    /// What the server may say.
    pub central: CentralWritten,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            dir: "/var/lib/bartizan-agent".into(),
            server: String::new(),
            user: "bartizan-agent".into(),
            groups: vec![5],
            netns: NetnsWritten::default(),
            capture: Capture::default(),
            payload: Payload::default(),
            kernel_log: KernelLog::default(),
            local_log: LocalLog::default(),
            caps: Caps::default(),
            flows: Flows::default(),
            counters: Counters::default(),
            spool: Spool::default(),
            central: CentralWritten::default(),
        }
    }
}

/// `[central]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CentralWritten {
    /// Whether what the server says counts at all.
    pub enabled: bool,
    /// Whether it may have other network namespaces captured. Then the agent keeps the right to enter them.
    pub netns: bool,
    /// Seconds within which the server has to be reached with what it said, or it is given up.
    pub trial_secs: u64,
}

impl Default for CentralWritten {
    fn default() -> Self {
        Self { enabled: true, netns: false, trial_secs: 600 }
    }
}

/// What the server may say, as it was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CentralSettings {
    /// Whether what it says counts at all.
    pub enabled: bool,
    /// Whether it may have other network namespaces captured.
    pub netns: bool,
    /// Within which time the server has to be reached with it.
    pub trial: Duration,
}

/// `[payload]` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payload {
    /// Bytes of each packet, from its network header on; 0: none.
    pub bytes: u32,
    /// The log prefixes of the packets that are meant, in which `*` is any text and `?` any character.
    pub prefixes: Vec<String>,
}

/// `[kernel_log]` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KernelLog {
    /// Where lines of rules with `LOG` are read.
    pub from: KernelLogFrom,
}

/// Where the kernel's log is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelLogFrom {
    /// Nowhere.
    #[default]
    Off,
    /// `/dev/kmsg`.
    Kmsg,
    /// The journal, by `journalctl`.
    Journald,
}

/// `[local_log]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalLog {
    /// The file; empty: none.
    pub path: PathBuf,
    /// How lines look.
    pub form: LocalLogForm,
    /// Megabytes with which the file is renamed.
    pub max_megabytes: u64,
    /// How many renamed files are kept.
    pub keep: u32,
}

impl Default for LocalLog {
    fn default() -> Self {
        Self { path: PathBuf::new(), form: LocalLogForm::default(), max_megabytes: 64, keep: 5 }
    }
}

/// How lines of the local log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalLogForm {
    /// As ulogd2's LOGEMU.
    #[default]
    Logemu,
    /// As the kernel's LOG in a syslog file.
    Kernel,
    /// As ulogd2's JSON.
    Json,
}

/// The local log as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalLogSettings {
    /// The file, if there is to be one.
    pub path: Option<PathBuf>,
    /// How lines look.
    pub form: LocalLogForm,
    /// Bytes with which the file is renamed.
    pub max_bytes: u64,
    /// How many renamed files are kept.
    pub keep: u32,
}

impl LocalLogSettings {
    fn new(written: LocalLog) -> Result<Self, SettingsError> {
        let LocalLog { path, form, max_megabytes, keep } = written;
        let path = (!path.as_os_str().is_empty()).then_some(path);
        if path.as_ref().is_some_and(|p| !p.is_absolute()) {
            return wrong("local_log.path", "is not absolute, as in `/var/log/bartizan/firewall.log`");
        }
        if !(1..=1 << 20).contains(&max_megabytes) {
            return wrong("local_log.max_megabytes", format!("{max_megabytes} is not in 1..=1048576"));
        }
        if keep > 1000 {
            return wrong("local_log.keep", format!("{keep} is not in 0..=1000"));
        }
        Ok(Self { path, form, max_bytes: max_megabytes << 20, keep })
    }
}

/// `[spool]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Megabytes that rows may take on disk before the oldest are dropped and counted.
    pub megabytes: u64,
    /// Megabytes that rows may take in memory while the disk fails.
    pub memory_megabytes: u64,
    /// Milliseconds within which recorded rows are on disk for good.
    pub sync_ms: u64,
    /// `drop-oldest` or `refuse-newest` when there is no room.
    pub when_full: WhenFull,
}

impl Default for Spool {
    fn default() -> Self {
        Self { megabytes: 1024, memory_megabytes: 8, sync_ms: 200, when_full: WhenFull::DropOldest }
    }
}

fn wrong<T>(key: &'static str, problem: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError::new(key, problem))
}

/// What was meant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where identity and spool live.
    pub dir: PathBuf,
    /// The server's port for agents, when it was written.
    pub server: Option<String>,
    /// The user that the worker runs as, if there is one of this name.
    pub user: String,
    /// NFLOG groups, each once.
    pub groups: Vec<u16>,
    /// The network namespaces to read them in.
    pub netns: NetnsChoice,
    /// How packets are taken from the kernel.
    pub capture: Capture,
    /// Of which packets the first bytes are kept.
    pub payload: Payload,
    /// Where the kernel's log is read.
    pub kernel_log: KernelLogFrom,
    /// A file for people and tools of this host.
    pub local_log: LocalLogSettings,
    /// How long the kernel may hold packets back.
    pub flush: Duration,
    /// How long rows may wait for their batch to fill.
    pub batch_age: Duration,
    /// How often the rules' counters are read.
    pub counters: Duration,
    /// How many events of one rule and one source are rows of their own.
    pub caps: Caps,
    /// How tracked connections are watched, if they are.
    pub flows: Option<ConntrackConfig>,
    /// How often all counters are read, if they are.
    pub all_counters: Option<Duration>,
    /// What is given up when the spool is full.
    pub when_full: WhenFull,
    /// Bytes on disk.
    pub spool_bytes: u64,
    /// Bytes in memory while the disk fails.
    pub memory_bytes: u64,
    /// When recorded rows must be on disk.
    pub sync: Duration,
    /// What the server may say.
    pub central: CentralSettings,
}

impl Settings {
    /// What was meant by what was written.
    ///
    /// # Errors
    /// Names the key and what is wrong with its value.
    pub fn new(written: Written) -> Result<Self, SettingsError> {
        let Written {
            dir,
            server,
            user,
            mut groups,
            netns,
            capture,
            payload,
            kernel_log,
            local_log,
            caps,
            flows,
            counters,
            spool,
            central,
        } = written;
        groups.sort_unstable();
        groups.dedup();
        if groups.is_empty() && kernel_log.from == KernelLogFrom::Off {
            return wrong(
                "groups",
                "names no NFLOG group, and `kernel_log.from` is off; rules log to a group with `log group N`",
            );
        }
        if !server.is_empty()
            && !server.rsplit_once(':').is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok())
        {
            return wrong("server", format!("`{server}` is not HOST:PORT, such as `watch.example.net:8444`"));
        }
        capture.check()?;
        in_range("payload.bytes", payload.bytes.into(), 0, 65_535)?;
        if payload.bytes > 0 && payload.prefixes.is_empty() {
            return wrong("payload.prefixes", "names no prefix; `[\"*\"]` are all packets");
        }
        counters.check()?;
        in_range("spool.megabytes", spool.megabytes, 16, 1 << 20)?;
        in_range("spool.memory_megabytes", spool.memory_megabytes, 1, 4096)?;
        in_range("spool.sync_ms", spool.sync_ms, 0, 10_000)?;
        in_range("central.trial_secs", central.trial_secs, 1, 86_400)?;
        Ok(Self {
            dir,
            server: (!server.is_empty()).then_some(server),
            user,
            groups,
            netns: NetnsChoice::new(netns)?,
            kernel_log: kernel_log.from,
            local_log: LocalLogSettings::new(local_log)?,
            flush: Duration::from_millis(capture.flush_ms),
            batch_age: Duration::from_millis(capture.batch_ms),
            counters: Duration::from_secs(capture.counters_secs),
            caps,
            flows: watched(&flows)?,
            all_counters: (counters.interval_secs > 0).then(|| Duration::from_secs(counters.interval_secs)),
            when_full: spool.when_full,
            spool_bytes: spool.megabytes << 20,
            memory_bytes: spool.memory_megabytes << 20,
            sync: Duration::from_millis(spool.sync_ms),
            central: CentralSettings {
                enabled: central.enabled,
                netns: central.enabled && central.netns,
                trial: Duration::from_secs(central.trial_secs),
            },
            capture,
            payload,
        })
    }

    /// The directory of the spool's lanes.
    pub(crate) fn spool_dir(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// Whether the opener keeps the right to enter other network namespaces. Only what the host itself wrote says so:
    /// the opener never sees what the server says.
    pub(crate) fn may_enter(&self) -> bool {
        self.netns != NetnsChoice::Own || self.central.netns
    }

    /// What the opener has to keep.
    pub(crate) fn opener_capabilities(&self) -> CapabilitySet {
        let namespaces = match self.may_enter() {
            false => CapabilitySet::empty(),
            true => sandbox::OTHER_NAMESPACES,
        };
        let log = match self.kernel_log {
            KernelLogFrom::Kmsg => CapabilitySet::SYSLOG,
            KernelLogFrom::Off | KernelLogFrom::Journald => CapabilitySet::empty(),
        };
        sandbox::OPEN_SOCKETS | namespaces | log
    }
}

/// How connections are to be watched; `None` when they are not.
fn watched(flows: &Flows) -> Result<Option<ConntrackConfig>, SettingsError> {
    flows.check()?;
    let mut filter = ConntrackFilter { protocols: flows.protocol_numbers()?, networks: Vec::new() };
    for network in &flows.networks {
        match network.parse() {
            Ok(network) => filter.networks.push(network),
            Err(error) => return wrong("flows.networks", format!("`{network}` is {error}")),
        }
    }
    let config = ConntrackConfig {
        new: flows.start,
        filter,
        receive_buffer: flows.receive_buffer,
        ..ConntrackConfig::new()
    };
    Ok(flows.enabled.then_some(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named() {
        let error = |w: Written| Settings::new(w).unwrap_err().to_string();
        assert!(error(Written { groups: vec![], ..Written::default() }).starts_with("groups: "));
        assert!(error(Written { server: "watch".into(), ..Written::default() }).contains("not HOST:PORT"));
        let payload = Payload { bytes: 64, prefixes: vec![] };
        assert!(
            error(Written { payload, ..Written::default() }).starts_with("payload.prefixes: names no prefix")
        );
        let capture = Capture { flush_ms: 5, ..Capture::default() };
        assert_eq!(
            error(Written { capture, ..Written::default() }),
            "capture.flush_ms: 5 is not in 10..=1000"
        );
    }

    #[test]
    fn the_right_to_enter_namespaces_is_the_hosts_to_give() {
        let settings = |central: CentralWritten| {
            Settings::new(Written { central, ..Written::default() }).unwrap().may_enter()
        };
        let asked = CentralWritten { netns: true, ..CentralWritten::default() };
        assert!(!settings(CentralWritten::default()) && settings(asked.clone()));
        assert!(!settings(CentralWritten { enabled: false, ..asked }));
    }

    proptest::proptest! {
        /// The server refuses what the agent would refuse, although it does not know the agent's sockets.
        #[test]
        fn both_sides_agree_on_networks(text in "[0-9a-f:./]{0,20}|[0-9]{1,3}(\\.[0-9]{1,3}){3}(/[0-9]{1,3})?|([0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(/[0-9]{1,3})?") {
            let here = text.parse::<bartizan_netfilter::Network>().is_ok();
            proptest::prop_assert_eq!(bartizan_settings::is_network(&text), here, "{}", text);
        }
    }

    #[test]
    fn the_defaults_are_meant() {
        assert!(Settings::new(Written::default()).is_ok());
    }
}
