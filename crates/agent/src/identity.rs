//! Who this host is: its key, its certificate, and the server that knows it.

use anyhow::{Context as _, bail};
use bartizan_model::Micros;
use bartizan_pki::files::HostFiles;
use bartizan_pki::{CaPin, CertInfo, HostKey, JoinToken, agent_client, enrol_client};
use bartizan_wire::{Client, ClientSettings, Endpoint, ErrorKind, Speaker, WireError};
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The version that the server is told.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where enrolment is, unless the address says another port.
const FRONT_PORT: u16 = 8443;
/// Where agents talk to a server, unless the address says another port.
pub(crate) const AGENT_PORT: u16 = 8444;

/// A host's identity on its disk: `DIR/identity`.
#[derive(Debug)]
pub struct Identity {
    dir: PathBuf,
    files: HostFiles,
    speaker: Speaker,
}

impl Identity {
    /// The identity below the agent's directory, which is made if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(agent_dir: &Path) -> anyhow::Result<Self> {
        let dir = agent_dir.join("identity");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { files: HostFiles::new(&dir), dir, speaker: speaker() })
    }

    /// This process, as the server is told: it knows a restarted agent from a second machine with the same key.
    pub(crate) const fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// The server's port for agents, as enrolment told it.
    ///
    /// # Errors
    /// When this host is not enrolled.
    pub fn server(&self) -> anyhow::Result<String> {
        let path = self.dir.join("server");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(NOT_ENROLLED),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// The TLS settings of this host, and what its certificate says.
    ///
    /// # Errors
    /// When this host is not enrolled, or a file is damaged.
    pub fn tls(&self) -> anyhow::Result<(rustls::ClientConfig, CertInfo)> {
        let Some(identity) = self.files.load()? else { bail!(NOT_ENROLLED) };
        let tls = agent_client(&identity.ca_pem, &identity.cert_pem, &identity.key_pem)?;
        Ok((tls, identity.info()?))
    }

    /// When to ask for a new certificate: when a third of its time is over, spread over hosts by `jitter` in 0..1.
    #[must_use]
    pub fn renewal(info: &CertInfo, jitter: f64) -> Micros {
        let life = info.not_after.0.saturating_sub(info.not_before.0).max(0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a part of a life")]
        let after = (life as f64 * (0.33 + 0.1 * jitter.clamp(0.0, 1.0))) as i64;
        Micros(info.not_before.0.saturating_add(after))
    }

    /// Asks for a new certificate over a connection, and keeps it. Tells the server's time.
    ///
    /// # Errors
    /// When the server refuses or is not reached, or the new one cannot be kept; the old one stays then.
    pub async fn renew(&self, client: &Client) -> anyhow::Result<Micros> {
        let key = self.files.load_or_create_key()?;
        let enrolled = client.renew(&key, VERSION).await?;
        self.files.save(&enrolled.cert_pem, &enrolled.ca_pem)?;
        Ok(enrolled.server_time)
    }

    /// The name of this host, if it is enrolled at this server and not refused there. The server is asked for a new
    /// certificate, which only one that is let in gets; where it cannot be asked, what is here counts while it is good
    /// and of the token's fleet.
    async fn already(&self, server: &Endpoint, fleet: CaPin) -> Option<String> {
        let known = Endpoint::parse(&self.server().ok()?, AGENT_PORT).ok()?;
        let identity = self.files.load().ok()??;
        if known.host != server.host {
            return None;
        }
        let (tls, info) = self.tls().ok()?;
        let asked = async {
            let client = Client::connect(&known, &tls, ClientSettings::default()).await?;
            self.renew(&client).await
        };
        let Err(error) = asked.await else { return Some(info.name) };
        match error.downcast_ref::<WireError>().map(WireError::kind) {
            Some(ErrorKind::Unreachable | ErrorKind::Tls)
                if bartizan_clock::now() < info.not_after && identity.trusts(fleet) =>
            {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "this host is enrolled, but the server does not answer it now"
                );
                Some(info.name)
            }
            _ => None,
        }
    }

    fn key(&self) -> anyhow::Result<HostKey> {
        Ok(self.files.load_or_create_key()?)
    }
}

/// Who speaks. Without a boot id a second machine is still told by its instance, once both have spoken.
fn speaker() -> Speaker {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let instance = format!("{:032x}", rand::random::<u128>());
    Speaker { version: VERSION.to_owned(), instance, boot: boot.trim().to_owned() }
}

const NOT_ENROLLED: &str = "this host is not enrolled: run `bartizan token create` at the server, then here \
                            `bartizan-agent enrol --server HOST --token TOKEN`";

/// What enrolment needs.
#[derive(Debug)]
pub struct Enrol<'a> {
    /// The agent's directory.
    pub dir: &'a Path,
    /// The server's front port: `HOST` or `HOST:PORT`.
    pub server: &'a str,
    /// The join token.
    pub token: &'a str,
    /// The name that the host would like.
    pub name: &'a str,
    /// Whether to take the place of a host that has this name.
    pub replace: bool,
    /// Whether to enrol even where this host is enrolled already.
    pub again: bool,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Enrolled {
    /// It is part of the fleet now, under this name.
    New(String),
    /// The same, once somebody has approved of it.
    Waiting(String),
    /// It was so before, at the same server, which knows it.
    Already(String),
}

/// Why enrolment did not come about, for exit codes.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The token is none.
    #[error(transparent)]
    Token(#[from] bartizan_pki::TokenError),
    /// The address is none.
    #[error("{0}")]
    Address(String),
    /// Nobody is there, or it is not the server that the token is for.
    #[error("{0:#}")]
    Unreachable(anyhow::Error),
    /// The server does not want this host.
    #[error("{0:#}")]
    Refused(anyhow::Error),
}

impl From<WireError> for EnrolError {
    fn from(error: WireError) -> Self {
        match error.kind() {
            ErrorKind::Denied | ErrorKind::Refused | ErrorKind::Expired => Self::Refused(error.into()),
            ErrorKind::Unreachable | ErrorKind::Ended | ErrorKind::Tls | ErrorKind::OtherFleet => {
                Self::Unreachable(error.into())
            }
        }
    }
}

/// Asks the server to let this host in, and keeps the certificate. A host that is enrolled at this server already, and
/// is not refused there, stays as it is, so that this can be run again and again.
///
/// # Errors
/// [`EnrolError`]: a token that is none, another fleet's server, a token that is used up or expired, a name that is taken.
pub async fn enrol(ask: Enrol<'_>) -> anyhow::Result<Enrolled> {
    let token: JoinToken = ask.token.parse().map_err(EnrolError::Token)?;
    let endpoint = Endpoint::parse(ask.server, FRONT_PORT).map_err(EnrolError::Address)?;
    let identity = Identity::new(ask.dir)?;
    if !ask.again
        && !ask.replace
        && let Some(name) = identity.already(&endpoint, token.pin).await
    {
        return Ok(Enrolled::Already(name));
    }
    let key = identity.key()?;
    let tls = enrol_client(token.pin)?;
    let client =
        Client::connect(&endpoint, &tls, ClientSettings::default()).await.map_err(EnrolError::from)?;
    let enrolled = client.enrol(&token.secret, &key, ask.name, VERSION, ask.replace).await;
    let enrolled = enrolled.map_err(EnrolError::from)?;
    let agents = Endpoint { port: enrolled.agent_port, ..endpoint };
    fs::write(identity.dir.join("server"), format!("{agents}\n"))
        .context("cannot keep the server's address")?;
    identity.files.save(&enrolled.cert_pem, &enrolled.ca_pem)?;
    Ok(if enrolled.waiting { Enrolled::Waiting(enrolled.name) } else { Enrolled::New(enrolled.name) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::HostId;

    #[test]
    fn renewal_is_spread_after_a_third_of_the_life() {
        let info = CertInfo {
            host: HostId::from_bytes([0; 16]),
            name: String::new(),
            serial: String::new(),
            not_before: Micros(0),
            not_after: Micros(7 * Micros::DAY),
        };
        let days = |jitter| Identity::renewal(&info, jitter).0 as f64 / Micros::DAY as f64;
        assert!((2.30..2.32).contains(&days(0.0)) && (3.0..3.02).contains(&days(1.0)), "{}", days(1.0));
        assert!((days(9.0) - days(1.0)).abs() < 1e-9);
    }
}
