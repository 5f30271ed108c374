//! A listener as it is written in `server.toml`, and what is meant by it.

use crate::networks::Network;
use crate::zone::Place;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
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
    /// ulogd2's JSON, one record a line.
    UlogdTcp,
    /// The same over TLS, by way of a tunnel such as stunnel.
    UlogdTls,
    /// The same, one record a datagram.
    UlogdUdp,
    /// The same on a Unix socket of this machine.
    UlogdUnix,
    /// IPFIX and NetFlow v9 and v5.
    Netflow,
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
            Self::UlogdTcp => "ulogd-tcp",
            Self::UlogdTls => "ulogd-tls",
            Self::UlogdUdp => "ulogd-udp",
            Self::UlogdUnix => "ulogd-unix",
            Self::Netflow => "netflow",
        }
    }

    /// What its bytes travel on.
    pub(crate) const fn way(self) -> Way {
        match self {
            Self::SyslogUdp | Self::UlogdUdp | Self::Netflow => Way::Udp,
            Self::SyslogTcp | Self::Relp | Self::UlogdTcp => Way::Tcp,
            Self::SyslogTls | Self::UlogdTls => Way::Tls,
            Self::UlogdUnix => Way::Unix,
        }
    }
}

/// What bytes travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Udp,
    Tcp,
    Tls,
    Unix,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    Address(SocketAddr),
    Path(PathBuf),
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
        }
    }
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

/// What the accounting records of a sender say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accounting {
    /// What a counter grew by: ulogd zeroes it (`zerocounter=1`, its default).
    #[default]
    Growth,
    /// What it shows (`zerocounter=0`).
    Totals,
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
    /// Where, for a Unix socket.
    pub path: Option<PathBuf>,
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
    /// What accounting records say.
    #[serde(default)]
    pub counters: Accounting,
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
    pub(crate) place: Where,
    pub(crate) host: Option<String>,
    pub(crate) hosts: BTreeMap<IpAddr, String>,
    pub(crate) trust: Trust,
    pub(crate) zone: Place,
    pub(crate) certificate: Certificates,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) own: Option<OwnCertificate>,
    pub(crate) keep_others: bool,
    pub(crate) totals: bool,
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
        let place = place(&written)?;
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
            place,
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
            totals: written.counters == Accounting::Totals,
            max_message: written.max_message,
            rate: (written.rate > 0).then_some(written.rate),
            connections: written.connections,
            idle: Duration::from_secs(written.idle),
        })
    }
}

fn place(written: &WrittenListener) -> Result<Where, ListenerError> {
    let kind = written.kind.as_str();
    if written.kind.way() == Way::Unix {
        if written.address.is_some() {
            return wrong("address", format!("`{kind}` has a `path`"));
        }
        // nothing that comes there says whose it is
        if written.host.is_none() {
            return wrong("host", format!("it is missing: whose records come by `{kind}`"));
        }
        return match &written.path {
            Some(path) if path.is_absolute() => Ok(Where::Path(path.clone())),
            _ => {
                wrong("path", "it is missing, or does not begin with `/`: such as `/run/bartizan/ulogd.sock`")
            }
        };
    }
    if written.path.is_some() {
        return wrong("path", format!("`{kind}` has an `address`"));
    }
    let Some(address) = &written.address else {
        return wrong("address", "it is missing: ADDRESS:PORT, such as `0.0.0.0:514`");
    };
    match address.parse() {
        Ok(address) => Ok(Where::Address(address)),
        Err(_) => wrong("address", format!("`{address}` is not ADDRESS:PORT, such as `0.0.0.0:514`")),
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
            path: None,
            host: None,
            hosts: BTreeMap::new(),
            trust: None,
            zone: None,
            certificate: Certificates::None,
            ca: None,
            certificate_file: None,
            key_file: None,
            other: Others::Count,
            counters: Accounting::Growth,
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
    fn a_unix_socket_has_a_path_and_a_host() {
        let (path, host) = (Some(PathBuf::from("/run/x.sock")), Some("gw".to_owned()));
        let unix = |address: Option<&str>, path: &Option<PathBuf>, host: &Option<String>| {
            let address = address.map(str::to_owned);
            let (path, host) = (path.clone(), host.clone());
            Listener::new(WrittenListener { address, path, host, ..written(Speech::UlogdUnix) })
        };
        assert_eq!(unix(None, &path, &host).unwrap().place, Where::Path("/run/x.sock".into()));
        for (listener, key) in [
            (unix(Some("127.0.0.1:1"), &path, &host), "collect.address"),
            (unix(None, &None, &host), "collect.path"),
            (unix(None, &Some("x.sock".into()), &host), "collect.path"),
            (unix(None, &path, &None), "collect.host"),
            (Listener::new(WrittenListener { path, ..written(Speech::UlogdUdp) }), "collect.path"),
        ] {
            assert!(listener.unwrap_err().to_string().starts_with(key), "{key}");
        }
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
