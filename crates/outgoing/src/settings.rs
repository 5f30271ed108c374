use ipnet::IpNet;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How long a request may take, all of it together.
const TIME: Duration = Duration::from_secs(15);

/// `[outgoing]` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenOutgoing {
    /// Addresses and networks that are not of the public internet, and that requests may go to all the same.
    pub allow: Vec<String>,
    /// A file (PEM) with authorities that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
}

/// How requests are made.
#[derive(Clone, Debug)]
pub struct OutgoingSettings {
    pub(crate) allow: Vec<IpNet>,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) time: Duration,
}

/// What cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingSettingsError {
    /// Of a network.
    #[error("outgoing.allow: `{0}` is neither an address nor a network such as `10.1.2.0/24`")]
    Network(String),
    /// Of the file.
    #[error("outgoing.ca_file: cannot read {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// Of what is in it.
    #[error("outgoing.ca_file: there is no certificate (PEM) in {0}")]
    Pem(PathBuf),
}

impl OutgoingSettings {
    /// What was meant by what was written.
    ///
    /// # Errors
    /// Names the key and what is wrong with its value.
    pub fn new(written: &WrittenOutgoing) -> Result<Self, OutgoingSettingsError> {
        let network = |text: &String| {
            let one = text.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
            one.ok().or_else(|| text.parse().ok()).ok_or_else(|| OutgoingSettingsError::Network(text.clone()))
        };
        let allow = written.allow.iter().map(network).collect::<Result<_, _>>()?;
        let mut authorities = Vec::new();
        if let Some(path) = &written.ca_file {
            let pem = fs::read(path).map_err(|error| OutgoingSettingsError::File(path.clone(), error))?;
            authorities = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().unwrap_or_default();
            if authorities.is_empty() {
                return Err(OutgoingSettingsError::Pem(path.clone()));
            }
        }
        Ok(Self { allow, authorities, time: TIME })
    }

    /// With another time for a request.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named() {
        let written = |allow: &str| WrittenOutgoing { allow: vec![allow.to_owned()], ca_file: None };
        for allow in ["10.1.2.0/24", "127.0.0.1", "::1", "fd00::/8"] {
            assert_eq!(OutgoingSettings::new(&written(allow)).unwrap().allow.len(), 1);
        }
        for allow in ["", "10.1.2.0/33", "example.net", "10.1.2"] {
            let error = OutgoingSettings::new(&written(allow)).unwrap_err().to_string();
            assert!(error.starts_with("outgoing.allow: `"), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let of_file =
            || OutgoingSettings::new(&WrittenOutgoing { ca_file: Some(path.clone()), ..Default::default() });
        assert!(of_file().unwrap_err().to_string().starts_with("outgoing.ca_file: cannot read"));
        fs::write(&path, "nothing").unwrap();
        assert!(of_file().unwrap_err().to_string().contains("no certificate"));
    }
}
