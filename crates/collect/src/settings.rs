//! A listener as it is written in `server.toml`, and what is meant by it.

use crate::networks::Network;
use crate::zone::Place;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speech {
    /// RFC 3164 and RFC 5424, one message a datagram.
    SyslogUdp,
    /// The same over TCP, with either framing of RFC 6587.
    SyslogTcp,
    /// The same over TLS (RFC 5425).
    SyslogTls,
    /// The acknowledged protocol of rsyslog.
    Relp,
}

impl Speech {
    /// Its word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SyslogUdp => "syslog-udp",
            Self::SyslogTcp => "syslog-tcp",
            Self::SyslogTls => "syslog-tls",
            Self::Relp => "relp",
        }
    }

    /// What its bytes travel on.
    pub(crate) const fn way(self) -> Way {
        match self {
            Self::SyslogUdp => Way::Udp,
            Self::SyslogTcp | Self::Relp => Way::Tcp,
            Self::SyslogTls => Way::Tls,
        }
    }
}

/// What bytes travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Udp,
    Tcp,
    Tls,
}

/// Whether clients of TLS show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certificates {
    /// They are not asked.
    #[default]
    None,
    /// They may.
    Optional,
    /// They have to.
    Required,
}

/// What becomes of lines that are no firewall's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// They are counted.
    #[default]
    Count,
    /// They are kept in the table `lines`.
    Keep,
}

/// `trust` as written: a word, or networks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum WrittenTrust {
    /// `all` or `none`.
    Word(String),
    /// Networks.
    Networks(Vec<String>),
}

/// `[[collect]]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenListener {
    /// What is spoken.
    pub kind: Speech,
    /// Where: ADDRESS:PORT.
    pub address: Option<String>,
    /// The host of all that comes in, whatever it says.
    pub host: Option<String>,
    /// The host of all that an address delivers.
    #[serde(default)]
    pub hosts: BTreeMap<String, String>,
    /// Whose word for the host in a message is believed.
    pub trust: Option<WrittenTrust>,
    /// The zone of stamps without one; the server's if absent.
    pub zone: Option<String>,
    /// Whether clients of TLS show a certificate.
    #[serde(default)]
    pub certificate: Certificates,
    /// Who signed the clients' certificates; the fleet's authority if absent.
    pub ca: Option<PathBuf>,
    /// The server's certificate for TLS with its chain; its own if absent.
    pub certificate_file: Option<PathBuf>,
    /// The key of `certificate_file`.
    pub key_file: Option<PathBuf>,
    /// What becomes of lines that are no firewall's.
    #[serde(default)]
    pub other: Others,
    /// Bytes of a message; longer ones are cut.
    #[serde(default = "max_message")]
    pub max_message: usize,
    /// Messages a second of one sender; 0 for as many as it likes.
    #[serde(default)]
    pub rate: u32,
    /// Connections at one time.
    #[serde(default = "connections")]
    pub connections: usize,
    /// Seconds after which a connection that says nothing is closed.
    #[serde(default = "idle")]
    pub idle: u64,
}

const fn max_message() -> usize {
    64 << 10
}

const fn connections() -> usize {
    1024
}

const fn idle() -> u64 {
    86_400
}

/// A setting that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("collect.{key}: {problem}")]
pub struct ListenerError {
    key: &'static str,
    problem: String,
}

fn wrong<T>(key: &'static str, problem: impl Into<String>) -> Result<T, ListenerError> {
    Err(ListenerError { key, problem: problem.into() })
}

/// Whose word is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing is written: everybody's, except of who showed a certificate.
    Unsaid,
    All,
    Networks(Vec<Network>),
}

/// The server's certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnCertificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// What was meant.
#[derive(Clone, Debug)]
pub struct Listener {
    pub(crate) speech: Speech,
    pub(crate) address: SocketAddr,
    pub(crate) host: Option<String>,
    pub(crate) hosts: BTreeMap<IpAddr, String>,
    pub(crate) trust: Trust,
    pub(crate) zone: Place,
    pub(crate) certificate: Certificates,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) own: Option<OwnCertificate>,
    pub(crate) keep_others: bool,
    pub(crate) max_message: usize,
    pub(crate) rate: Option<u32>,
    pub(crate) connections: usize,
    pub(crate) idle: Duration,
}

impl Listener {
    /// What was meant by what was written.
    ///
    /// # Errors
    /// Names the key and what is wrong with its value.
    pub fn new(written: WrittenListener) -> Result<Self, ListenerError> {
        let Some(address) = written.address else {
            return wrong("address", "it is missing: ADDRESS:PORT, such as `0.0.0.0:514`");
        };
        let Ok(address) = address.parse() else {
            return wrong("address", format!("`{address}` is not ADDRESS:PORT, such as `0.0.0.0:514`"));
        };
        let tls = written.kind.way() == Way::Tls;
        let of_tls = written.certificate != Certificates::None
            || written.ca.is_some()
            || written.certificate_file.is_some()
            || written.key_file.is_some();
        if of_tls && !tls {
            return wrong("certificate", format!("`{}` is not over TLS", written.kind.as_str()));
        }
        if written.ca.is_some() && written.certificate == Certificates::None {
            return wrong("ca", "clients are not asked for a certificate: set `certificate` as well");
        }
        let own = match (written.certificate_file, written.key_file) {
            (Some(chain), Some(key)) => Some(OwnCertificate { chain, key }),
            (None, None) => None,
            _ => return wrong("certificate_file", "it and `key_file` go together"),
        };
        let mut hosts = BTreeMap::new();
        for (address, host) in written.hosts {
            let Ok(ip) = address.parse::<IpAddr>() else {
                return wrong("hosts", format!("`{address}` is no address"));
            };
            hosts.insert(ip.to_canonical(), name("hosts", host)?);
        }
        if !(256..=1 << 20).contains(&written.max_message) {
            return wrong("max_message", format!("{} is not in 256..=1048576", written.max_message));
        }
        if !(1..=65_536).contains(&written.connections) {
            return wrong("connections", format!("{} is not in 1..=65536", written.connections));
        }
        if written.idle == 0 {
            return wrong("idle", "0 would close every connection at once");
        }
        Ok(Self {
            speech: written.kind,
            address,
            host: written.host.map(|host| name("host", host)).transpose()?,
            hosts,
            trust: trust(written.trust)?,
            zone: match written.zone {
                None => Place::here(),
                Some(zone) => Place::named(&zone).map_or_else(
                    || wrong("zone", format!("`{zone}` is no time zone, such as `Europe/Berlin`")),
                    Ok,
                )?,
            },
            certificate: written.certificate,
            ca: written.ca,
            own,
            keep_others: written.other == Others::Keep,
            max_message: written.max_message,
            rate: (written.rate > 0).then_some(written.rate),
            connections: written.connections,
            idle: Duration::from_secs(written.idle),
        })
    }
}

fn name(key: &'static str, host: String) -> Result<String, ListenerError> {
    match host.is_empty() || host.len() > 255 || host.contains(char::is_control) {
        true => wrong(key, format!("{host:?} is no name of a host")),
        false => Ok(host),
    }
}

fn trust(written: Option<WrittenTrust>) -> Result<Trust, ListenerError> {
    let networks = match written {
        None => return Ok(Trust::Unsaid),
        Some(WrittenTrust::Word(word)) => match word.as_str() {
            "all" => return Ok(Trust::All),
            "none" => Vec::new(),
            other => vec![other.to_owned()],
        },
        Some(WrittenTrust::Networks(networks)) => networks,
    };
    let network = |text: &String| {
        Network::parse(text)
            .map_or_else(|| wrong("trust", format!("`{text}` is no network, `all` or `none`")), Ok)
    };
    networks.iter().map(network).collect::<Result<_, _>>().map(Trust::Networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Speech) -> WrittenListener {
        WrittenListener {
            kind,
            address: Some("127.0.0.1:514".into()),
            host: None,
            hosts: BTreeMap::new(),
            trust: None,
            zone: None,
            certificate: Certificates::None,
            ca: None,
            certificate_file: None,
            key_file: None,
            other: Others::Count,
            max_message: max_message(),
            rate: 0,
            connections: connections(),
            idle: idle(),
        }
    }

    #[test]
    fn wrong_values_are_named() {
        type Change = fn(&mut WrittenListener);
        let cases: [(&str, Change); 8] = [
            ("collect.address: it is missing", |w| w.address = None),
            ("collect.address: `x` is not", |w| w.address = Some("x".into())),
            ("collect.certificate: `syslog-tcp` is not over TLS", |w| w.certificate = Certificates::Required),
            ("collect.hosts: `gw` is no address", |w| w.hosts = BTreeMap::from([("gw".into(), "x".into())])),
            ("collect.trust: `some` is no network", |w| w.trust = Some(WrittenTrust::Word("some".into()))),
            ("collect.zone: `Mars` is no time zone", |w| w.zone = Some("Mars".into())),
            ("collect.max_message: 1 is not", |w| w.max_message = 1),
            ("collect.host: \"a\\nb\" is no name", |w| w.host = Some("a\nb".into())),
        ];
        for (expected, change) in cases {
            let mut w = written(Speech::SyslogTcp);
            change(&mut w);
            let error = Listener::new(w).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let half = WrittenListener { key_file: Some("k".into()), ..written(Speech::SyslogTls) };
        assert!(Listener::new(half).is_err());
    }

    #[test]
    fn trust_is_a_word_or_networks() {
        let of =
            |trust| Listener::new(WrittenListener { trust, ..written(Speech::SyslogUdp) }).unwrap().trust;
        assert_eq!(of(None), Trust::Unsaid);
        assert_eq!(of(Some(WrittenTrust::Word("all".into()))), Trust::All);
        assert_eq!(of(Some(WrittenTrust::Word("none".into()))), Trust::Networks(Vec::new()));
        let network = Network::parse("10.0.0.0/8").unwrap();
        assert_eq!(of(Some(WrittenTrust::Word("10.0.0.0/8".into()))), Trust::Networks(vec![network]));
    }
}
