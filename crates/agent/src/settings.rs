//! Settings in two stages: what was written in `agent.toml`, and what was meant by it.

use crate::lanes::WhenFull;
use crate::sandbox;
use bartizan_netfilter::{ConntrackConfig, ConntrackFilter};
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
}

impl Default for Written {
    fn default() -> Self {
        Self {
            dir: "/var/lib/bartizan-agent".into(),
            server: String::new(),
            user: "bartizan-agent".into(),
            groups: vec![5],
            netns: NetnsWritten::Word("own".into()),
            capture: Capture::default(),
            payload: Payload::default(),
            kernel_log: KernelLog::default(),
            local_log: LocalLog::default(),
            caps: Caps::default(),
            flows: Flows::default(),
            counters: Counters::default(),
            spool: Spool::default(),
        }
    }
}

/// `netns` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "`own`, `all` or a list of names is expected")]
pub enum NetnsWritten {
    /// `own`, `all`, or one name.
    Word(String),
    /// Names.
    Names(Vec<String>),
}

/// Which network namespaces are captured beside the own one, which always is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetnsChoice {
    /// None.
    Own,
    /// Every one that has a name or a process.
    All,
    /// Those with these names.
    Named(Vec<String>),
}

impl NetnsChoice {
    fn new(written: NetnsWritten) -> Result<Self, SettingsError> {
        let names = match written {
            NetnsWritten::Word(word) if word == "own" => return Ok(Self::Own),
            NetnsWritten::Word(word) if word == "all" => return Ok(Self::All),
            NetnsWritten::Word(word) => word.split(',').map(|name| name.trim().to_owned()).collect(),
            NetnsWritten::Names(names) => names,
        };
        if let Some(name) = names.iter().find(|n| n.is_empty() || n.contains('/')) {
            return wrong(
                "netns",
                format!("`{name}` is no name of a network namespace; `ip netns` lists them"),
            );
        }
        Ok(Self::Named(names))
    }
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

/// `[capture]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capture {
    /// Bytes of each packet that the kernel copies; headers need about 100.
    pub copy_bytes: u32,
    /// Packets that the kernel collects before it wakes the agent.
    pub queue_threshold: u32,
    /// Milliseconds after which it wakes the agent with fewer.
    pub flush_ms: u64,
    /// Bytes of socket buffer in the kernel.
    pub receive_buffer: usize,
    /// Rows in a batch.
    pub batch_rows: usize,
    /// Milliseconds after which a batch goes with fewer.
    pub batch_ms: u64,
    /// Seconds between two readings of the rules' counters.
    pub counters_secs: u64,
    /// What the kernel's connection tracking says of a packet.
    pub conntrack: Conntrack,
    /// Whether the ruleset is listed, sent, and joined with the events.
    pub rulesets: bool,
    /// Hundredths of one processor that the agent may use; above it capture pauses. 0: any.
    pub cpu_percent: u32,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            copy_bytes: 128,
            queue_threshold: 1024,
            flush_ms: 100,
            receive_buffer: 32 << 20,
            batch_rows: 8192,
            batch_ms: 100,
            counters_secs: 1,
            conntrack: Conntrack::State,
            rulesets: true,
            cpu_percent: 0,
        }
    }
}

/// How much of a packet's connection is kept, where the kernel tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conntrack {
    /// Nothing is asked for.
    Off,
    /// Its state, by which rules are told apart as well.
    #[default]
    State,
    /// Its mark, number and zone too, in `extra`.
    Details,
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

/// `[caps]` as written. A rate of 0 is no cap.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caps {
    /// Events a second of one rule (prefix and chain) that are rows of their own.
    pub rule_rate: u64,
    /// How many more at once.
    pub rule_burst: u64,
    /// The same of one source address.
    pub source_rate: u64,
    /// How many more at once.
    pub source_burst: u64,
    /// Megabytes of memory that the agent may use; above it capture pauses. 0: any.
    pub memory_megabytes: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            rule_rate: 20_000,
            rule_burst: 10_000_000,
            source_rate: 20_000,
            source_burst: 10_000_000,
            memory_megabytes: 256,
        }
    }
}

/// `[flows]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flows {
    /// Whether tracked connections are captured.
    pub enabled: bool,
    /// Whether their beginning is a row as well.
    pub start: bool,
    /// Protocols, by name or number; none: all.
    pub protocols: Vec<String>,
    /// Networks that a connection has an address in; none: all.
    pub networks: Vec<String>,
    /// Bytes of socket buffer in the kernel.
    pub receive_buffer: usize,
}

impl Default for Flows {
    fn default() -> Self {
        Self {
            enabled: false,
            start: false,
            protocols: Vec::new(),
            networks: Vec::new(),
            receive_buffer: 32 << 20,
        }
    }
}

impl Flows {
    /// How connections are to be watched; `None` when they are not.
    fn meant(&self) -> Result<Option<ConntrackConfig>, SettingsError> {
        let mut filter = ConntrackFilter::default();
        for name in &self.protocols {
            match protocol(name) {
                Some(number) => filter.protocols.push(number),
                None => return wrong("flows.protocols", format!("`{name}` is no protocol that is known")),
            }
        }
        for network in &self.networks {
            match network.parse() {
                Ok(network) => filter.networks.push(network),
                Err(error) => return wrong("flows.networks", format!("`{network}` is {error}")),
            }
        }
        let config = ConntrackConfig {
            new: self.start,
            filter,
            receive_buffer: self.receive_buffer,
            ..ConntrackConfig::new()
        };
        Ok(self.enabled.then_some(config))
    }
}

/// The number of an IP protocol that connections are tracked of.
fn protocol(name: &str) -> Option<u8> {
    const NAMES: [(&str, u8); 9] = [
        ("icmp", 1),
        ("tcp", 6),
        ("udp", 17),
        ("dccp", 33),
        ("gre", 47),
        ("icmpv6", 58),
        ("ipv6-icmp", 58),
        ("sctp", 132),
        ("udplite", 136),
    ];
    let named = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    named.map(|(_, number)| *number).or_else(|| name.parse().ok())
}

/// `[counters]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Counters {
    /// Seconds between two readings of all counters; 0: they are not read.
    pub interval_secs: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { interval_secs: 60 }
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

/// A setting that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{}{key}: {problem}", place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct SettingsError {
    place: Option<String>,
    key: &'static str,
    problem: String,
}

impl SettingsError {
    /// The key, dotted.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// The same, with the place where the value was written.
    #[must_use]
    pub fn at(self, place: Option<String>) -> Self {
        Self { place, ..self }
    }
}

fn wrong<T>(key: &'static str, problem: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError { place: None, key, problem: problem.into() })
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
        let in_range = |key, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                wrong(key, format!("{value} is not in {low}..={high}"))
            }
        };
        in_range("capture.copy_bytes", capture.copy_bytes.into(), 64, 65_535)?;
        in_range("payload.bytes", payload.bytes.into(), 0, 65_535)?;
        if payload.bytes > 0 && payload.prefixes.is_empty() {
            return wrong("payload.prefixes", "names no prefix; `[\"*\"]` are all packets");
        }
        in_range("capture.queue_threshold", capture.queue_threshold.into(), 1, 65_536)?;
        in_range("capture.flush_ms", capture.flush_ms, 10, 1000)?;
        in_range("capture.receive_buffer", capture.receive_buffer as u64, 4096, 1 << 30)?;
        in_range("capture.batch_rows", capture.batch_rows as u64, 1, 65_536)?;
        in_range("capture.batch_ms", capture.batch_ms, 1, 10_000)?;
        in_range("capture.counters_secs", capture.counters_secs, 1, 3600)?;
        in_range("capture.cpu_percent", capture.cpu_percent.into(), 0, 100_000)?;
        in_range("flows.receive_buffer", flows.receive_buffer as u64, 4096, 1 << 30)?;
        in_range("counters.interval_secs", counters.interval_secs, 0, 86_400)?;
        in_range("spool.megabytes", spool.megabytes, 16, 1 << 20)?;
        in_range("spool.memory_megabytes", spool.memory_megabytes, 1, 4096)?;
        in_range("spool.sync_ms", spool.sync_ms, 0, 10_000)?;
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
            flows: flows.meant()?,
            all_counters: (counters.interval_secs > 0).then(|| Duration::from_secs(counters.interval_secs)),
            when_full: spool.when_full,
            spool_bytes: spool.megabytes << 20,
            memory_bytes: spool.memory_megabytes << 20,
            sync: Duration::from_millis(spool.sync_ms),
            capture,
            payload,
        })
    }

    /// The directory of the spool's lanes.
    pub(crate) fn spool_dir(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// What the opener has to keep.
    pub(crate) fn opener_capabilities(&self) -> CapabilitySet {
        let namespaces = match self.netns {
            NetnsChoice::Own => CapabilitySet::empty(),
            NetnsChoice::All | NetnsChoice::Named(_) => sandbox::OTHER_NAMESPACES,
        };
        let log = match self.kernel_log {
            KernelLogFrom::Kmsg => CapabilitySet::SYSLOG,
            KernelLogFrom::Off | KernelLogFrom::Journald => CapabilitySet::empty(),
        };
        sandbox::OPEN_SOCKETS | namespaces | log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named() {
        let error = |w: Written| Settings::new(w).unwrap_err().to_string();
        assert!(error(Written { groups: vec![], ..Written::default() }).starts_with("groups: "));
        assert!(error(Written { server: "watch".into(), ..Written::default() }).contains("not HOST:PORT"));
        let netns = NetnsWritten::Names(vec!["a/b".into()]);
        assert!(error(Written { netns, ..Written::default() }).starts_with("netns: `a/b` is no name"));
        let flows = |protocol: &str, network: &str| Flows {
            protocols: vec![protocol.into()],
            networks: vec![network.into()],
            ..Flows::default()
        };
        let error_of = |flows: Flows| error(Written { flows, ..Written::default() });
        assert!(error_of(flows("tpc", "::1")).starts_with("flows.protocols: `tpc`"));
        assert!(error_of(flows("tcp", "10.0.0.0/99")).starts_with("flows.networks: `10.0.0.0/99`"));
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
    fn namespaces_are_a_word_or_names() {
        let meant = |w: &str| NetnsChoice::new(NetnsWritten::Word(w.into())).unwrap();
        assert_eq!((meant("own"), meant("all")), (NetnsChoice::Own, NetnsChoice::All));
        assert_eq!(meant("a, b"), NetnsChoice::Named(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn the_defaults_are_meant() {
        assert!(Settings::new(Written::default()).is_ok());
    }
}
