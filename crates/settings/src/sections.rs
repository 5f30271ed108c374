//! The tables of `agent.toml` that host and server may both write, each with its defaults and its ranges.

use crate::SettingsError;
use serde::Deserialize;
use std::net::IpAddr;

/// Whether a value is one that its key takes.
///
/// # Errors
/// Names the key and its range.
pub fn in_range(key: &'static str, value: u64, low: u64, high: u64) -> Result<(), SettingsError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(SettingsError::new(key, format!("{value} is not in {low}..={high}")))
}

/// `[capture]`: how packets are taken from the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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

impl Capture {
    /// Whether it can be meant.
    ///
    /// # Errors
    /// Names the key and what is wrong with its value.
    pub fn check(&self) -> Result<(), SettingsError> {
        in_range("capture.copy_bytes", self.copy_bytes.into(), 64, 65_535)?;
        in_range("capture.queue_threshold", self.queue_threshold.into(), 1, 65_536)?;
        in_range("capture.flush_ms", self.flush_ms, 10, 1000)?;
        in_range("capture.receive_buffer", self.receive_buffer as u64, 4096, 1 << 30)?;
        in_range("capture.batch_rows", self.batch_rows as u64, 1, 65_536)?;
        in_range("capture.batch_ms", self.batch_ms, 1, 10_000)?;
        in_range("capture.counters_secs", self.counters_secs, 1, 3600)?;
        in_range("capture.cpu_percent", self.cpu_percent.into(), 0, 100_000)
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

/// `[caps]`: how many events of one rule and one source are rows of their own. A rate of 0 is no cap.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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

/// `[flows]`: tracked connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
    /// Whether it can be meant.
    ///
    /// # Errors
    /// Names the key and what is wrong with its value.
    pub fn check(&self) -> Result<(), SettingsError> {
        in_range("flows.receive_buffer", self.receive_buffer as u64, 4096, 1 << 30)?;
        self.protocol_numbers()?;
        match self.networks.iter().find(|network| !is_network(network)) {
            None => Ok(()),
            Some(network) => {
                let problem = format!("`{network}` is not a network such as 192.0.2.0/24");
                Err(SettingsError::new("flows.networks", problem))
            }
        }
    }

    /// The numbers of the protocols.
    ///
    /// # Errors
    /// Names the first that is none.
    pub fn protocol_numbers(&self) -> Result<Vec<u8>, SettingsError> {
        let number = |name: &String| {
            let problem = || format!("`{name}` is no protocol that is known");
            protocol(name).ok_or_else(|| SettingsError::new("flows.protocols", problem()))
        };
        self.protocols.iter().map(number).collect()
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

/// Whether a text is an address, or one with the length of a prefix: what the agent's connection tracking takes.
#[must_use]
pub fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32_u8,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.is_none_or(|length| {
        let plain = length.bytes().all(|b| b.is_ascii_digit());
        plain && length.parse::<u8>().is_ok_and(|length| length <= most)
    })
}

/// `[counters]`: what rules and other objects count.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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

impl Counters {
    /// Whether it can be meant.
    ///
    /// # Errors
    /// Names the key and its range.
    pub fn check(&self) -> Result<(), SettingsError> {
        in_range("counters.interval_secs", self.interval_secs, 0, 86_400)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named() {
        let flows = |protocol: &str, network: &str| {
            let (protocols, networks) = (vec![protocol.to_owned()], vec![network.to_owned()]);
            Flows { protocols, networks, ..Flows::default() }.check().unwrap_err().to_string()
        };
        assert!(flows("tpc", "::1").starts_with("flows.protocols: `tpc`"));
        assert!(flows("tcp", "10.0.0.0/99").starts_with("flows.networks: `10.0.0.0/99`"));
        let error = Capture { flush_ms: 5, ..Capture::default() }.check().unwrap_err();
        assert_eq!(
            (error.key(), error.to_string().as_str()),
            ("capture.flush_ms", "capture.flush_ms: 5 is not in 10..=1000")
        );
    }

    #[test]
    fn the_defaults_are_meant() {
        let all = [Capture::default().check(), Flows::default().check(), Counters::default().check()];
        assert!(all.iter().all(Result::is_ok));
    }
}
