//! The keys by which the fleet knows its server: the authorities, and the server's own certificate.

use crate::fleet::{Fleet, unavailable};
use async_trait::async_trait;
use bartizan_api::{AuthorityRefusal, AuthorityStatus, AuthorityStep, FleetAuthority, Unavailable};
use bartizan_catalog::{CatalogError, Host};
use bartizan_model::Micros;
use bartizan_pki::{Authorities, PkiError, ServerCertificate};
use std::path::Path;
use std::sync::Arc;

/// Names of hosts that an answer holds.
const MOST_NAMES: usize = 100;

/// The authorities of a directory, and the certificate that is shown.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) authorities: Arc<Authorities>,
    pub(crate) certificate: Arc<ServerCertificate>,
    names: Vec<String>,
}

impl Keys {
    /// Loads what is there and makes what is missing.
    pub(crate) fn load(dir: &Path, names: &[String], now: Micros) -> Result<Self, PkiError> {
        let authorities = Authorities::load_or_create(dir, now)?;
        let issued = authorities.server(names, now)?;
        let certificate = ServerCertificate::new(&issued.chain_pem, &issued.key_pem)?;
        Ok(Self { authorities, certificate, names: names.to_owned() })
    }

    /// Renews the server's certificate if it is time, or if another authority counts.
    pub(crate) fn keep(&self, now: Micros) -> Result<(), PkiError> {
        let issued = self.authorities.server(&self.names, now)?;
        self.certificate.replace(&issued.chain_pem, &issued.key_pem)
    }

    fn finish(&self, now: Micros) -> Result<bool, PkiError> {
        let finished = self.authorities.finish(now)?;
        self.keep(now)?;
        Ok(finished)
    }
}

impl Fleet {
    async fn authority_status(&self) -> Result<AuthorityStatus, CatalogError> {
        let now = bartizan_clock::now();
        let pin = self.keys.authorities.signer().pin().to_string();
        let hosts = self.catalog.hosts().await?;
        // One whose certificate is over renews it when it is back, and learns of everything then.
        let live = |host: &&Host| host.is_in() && host.certificate.not_after > now;
        let (renewed, left): (Vec<_>, Vec<_>) =
            hosts.iter().filter(live).partition(|host| host.certificate.authority == pin);
        let is_next = self.keys.authorities.next().is_some();
        Ok(AuthorityStatus {
            pin: self.keys.authorities.current().pin().to_string(),
            next: is_next.then(|| pin.clone()),
            renewed: renewed.len(),
            left: if is_next { left.len() } else { 0 },
            names: left.iter().filter(|_| is_next).take(MOST_NAMES).map(|host| host.name.clone()).collect(),
        })
    }

    /// Lets a successor count once every live host has learned of it.
    pub(crate) async fn keep_authority(&self) {
        if self.keys.authorities.next().is_none() {
            return;
        }
        match self.authority_status().await {
            Ok(status) if status.left == 0 => match self.keys.finish(bartizan_clock::now()) {
                Ok(_) => tracing::info!("every live host knows the new authority; it counts from now on"),
                Err(error) => tracing::error!(%error, "the new authority cannot count yet"),
            },
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "cannot tell which hosts know the new authority"),
        }
    }
}

#[async_trait]
impl FleetAuthority for Fleet {
    async fn status(&self) -> Result<AuthorityStatus, Unavailable> {
        self.authority_status().await.map_err(unavailable)
    }

    async fn step(&self, step: AuthorityStep) -> Result<AuthorityStatus, AuthorityRefusal> {
        let failed = |error: PkiError| AuthorityRefusal::Unavailable(unavailable(error));
        let now = bartizan_clock::now();
        match step {
            AuthorityStep::Begin => {
                let pin = self.keys.authorities.begin(now).map_err(failed)?;
                tracing::info!(%pin, "a new authority signs hosts' certificates; they learn of it as they renew");
            }
            AuthorityStep::Finish { force } => {
                let status = self.status().await?;
                if status.next.is_none() {
                    return Err(AuthorityRefusal::Conflict(
                        "there is no new authority; begin with one".into(),
                    ));
                }
                if status.left > 0 && !force {
                    let names =
                        status.names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
                    return Err(AuthorityRefusal::Conflict(format!(
                        "{} hosts have not renewed their certificates since: {names}",
                        status.left
                    )));
                }
                self.keys.finish(now).map_err(failed)?;
                tracing::info!(pin = %self.keys.authorities.current().pin(), "the new authority counts");
            }
        }
        Ok(self.status().await?)
    }
}
