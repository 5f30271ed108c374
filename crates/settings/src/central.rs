//! What a server says: parts, of which the later and more special ones count.

use crate::{Caps, Capture, CentralError, Counters, Flows, NetnsChoice, NetnsWritten, SettingsError};
use bartizan_config::{ConfigError, Source, load_from, place_of};
use serde::Deserialize;

/// Bytes of one text.
pub const TEXT_LIMIT: usize = 16 << 10;
/// Parts that may count for one host.
pub const PARTS: usize = 16;

/// What only the host itself may write: paths, rights, who it is and to whom it speaks, what leaves it of packets, and
/// what becomes of rows that wait on its disk.
pub const HOSTS_OWN: &[&str] =
    &["dir", "server", "user", "payload", "kernel_log", "local_log", "spool", "central"];

/// All that a server may say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Central {
    /// NFLOG groups to read.
    pub groups: Vec<u16>,
    /// Network namespaces to read them in, if the host permits that.
    pub netns: NetnsWritten,
    /// How packets are taken from the kernel.
    pub capture: Capture,
    /// How many events of one rule and one source are rows of their own.
    pub caps: Caps,
    /// Tracked connections.
    pub flows: Flows,
    /// What rules and other objects count.
    pub counters: Counters,
}

impl Default for Central {
    fn default() -> Self {
        Self {
            groups: vec![5],
            netns: NetnsWritten::default(),
            capture: Capture::default(),
            caps: Caps::default(),
            flows: Flows::default(),
            counters: Counters::default(),
        }
    }
}

impl Central {
    fn check(&self) -> Result<(), SettingsError> {
        if self.groups.is_empty() {
            return Err(SettingsError::new(
                "groups",
                "names no NFLOG group; rules log to one with `log group N`",
            ));
        }
        NetnsChoice::new(self.netns.clone())?;
        self.capture.check()?;
        self.flows.check()?;
        self.counters.check()
    }
}

/// Whether one text can be a part.
///
/// # Errors
/// Text, line and key of what is wrong.
pub fn check(source: &Source) -> Result<(), CentralError> {
    if source.text.len() > TEXT_LIMIT {
        return Err(CentralError::TooMuch(format!("{} is longer than {TEXT_LIMIT} bytes", source.name)));
    }
    let sources = std::slice::from_ref(source);
    let part: Central = load_from(sources, &[]).map_err(whose)?;
    part.check().map_err(|error| {
        let place = place_of(sources, &[], error.key());
        error.at(place).into()
    })
}

/// All parts over one another, the later ones over those before. Each must be good alone.
///
/// # Errors
/// Text, line and key of the first fault.
pub fn read(sources: &[Source]) -> Result<Central, CentralError> {
    if sources.len() > PARTS {
        return Err(CentralError::TooMuch(format!("more than {PARTS} parts for one host")));
    }
    sources.iter().try_for_each(check)?;
    Ok(load_from(sources, &[])?)
}

/// A key that exists, but not for a server, is told from one that does not exist.
fn whose(error: ConfigError) -> CentralError {
    match error {
        ConfigError::UnknownKey { place, key, .. } if HOSTS_OWN.contains(&key.as_str()) => {
            CentralError::HostsOwn { place, key }
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.into(), text: text.into() }
    }

    fn refusal(text: &str) -> String {
        check(&source("group:db", text)).unwrap_err().to_string()
    }

    #[test]
    fn a_fault_is_told_with_text_line_and_key() {
        let told = refusal("# caps\n[caps]\nrule_rat = 5");
        assert_eq!(told, "group:db:3: unknown key \"caps.rule_rat\" (did you mean \"caps.rule_rate\"?)");
        assert_eq!(
            refusal("\n\ncapture.flush_ms = 5"),
            "group:db:3: capture.flush_ms: 5 is not in 10..=1000"
        );
        assert!(refusal("caps.rule_rate = \"many\"").starts_with("group:db:1: caps.rule_rate: "));
        assert!(refusal("[caps").starts_with("group:db:1: "));
        assert!(refusal("groups = []").starts_with("group:db:1: groups: names no"));
    }

    #[test]
    fn what_is_the_hosts_own_is_said_to_be() {
        for key in HOSTS_OWN {
            for text in [format!("{key} = 1"), format!("[{key}]\nx = 1"), format!("{key}.x = 1")] {
                let told = refusal(&text);
                assert!(told.contains(&format!("`{key}` is the host's own")), "{text}: {told}");
            }
        }
    }

    #[test]
    fn there_are_bounds() {
        assert!(refusal(&"#".repeat(TEXT_LIMIT + 1)).contains("longer than"));
        let many = vec![source("*", ""); PARTS + 1];
        assert!(read(&many).unwrap_err().to_string().contains("more than 16 parts"));
        // Deep nesting is refused by the parser, before anything is built of it.
        for deep in [format!("a={}", "[".repeat(10_000)), format!("{}=1", vec!["a"; 5_000].join("."))] {
            assert!(refusal(&deep).starts_with("group:db:1: "), "deep");
        }
    }

    #[test]
    fn nothing_is_a_configuration() {
        let nothing = read(&[]).unwrap();
        assert_eq!((nothing.caps, nothing.groups), (Caps::default(), vec![5]));
        assert!(check(&source("*", "")).is_ok());
    }

    /// One key with a value that it takes.
    fn setting() -> impl Strategy<Value = (usize, u64)> {
        (0..KEYS.len(), 64_u64..1000)
    }

    const KEYS: [&str; 6] = [
        "caps.rule_rate",
        "caps.source_rate",
        "caps.memory_megabytes",
        "capture.copy_bytes",
        "capture.flush_ms",
        "counters.interval_secs",
    ];

    fn values(central: &Central) -> [u64; 6] {
        let Central { caps, capture, counters, .. } = central;
        [
            caps.rule_rate,
            caps.source_rate,
            caps.memory_megabytes,
            capture.copy_bytes.into(),
            capture.flush_ms,
            counters.interval_secs,
        ]
    }

    proptest! {
        #[test]
        fn of_each_key_the_last_part_that_has_it_counts(
            parts in prop::collection::vec(prop::collection::vec(setting(), 0..6), 0..PARTS),
        ) {
            let mut expected = values(&Central::default());
            let mut sources = Vec::new();
            for part in &parts {
                let mut text = String::new();
                let mut seen = [false; KEYS.len()];
                for (key, value) in part {
                    // TOML has each key once.
                    if !std::mem::replace(&mut seen[*key], true) {
                        text.push_str(&format!("{} = {value}\n", KEYS[*key]));
                        expected[*key] = *value;
                    }
                }
                sources.push(source("*", &text));
            }
            prop_assert_eq!(values(&read(&sources).unwrap()), expected);
        }

        #[test]
        fn any_text_is_a_part_or_is_refused(text in "\\PC{0,200}|[a-z.=\\[\\]{}\"'\n0-9 ]{0,200}") {
            let _ = check(&source("*", &text));
        }
    }
}
