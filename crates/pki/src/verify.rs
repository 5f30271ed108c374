//! Certificates, verified against the fleet's authorities and nothing else.

use crate::{CaPin, PkiError, x509};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The server showed certificates of another fleet, or of none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this server belongs to another fleet: its authority {} is not the pinned {pinned}", describe(.shown.as_ref()))]
pub struct OtherFleet {
    /// The authority that is trusted.
    pub pinned: CaPin,
    /// The last certificate of the chain that the server showed, if there was more than its own.
    pub shown: Option<CaPin>,
}

fn describe(pin: Option<&CaPin>) -> String {
    pin.map_or_else(|| "(none shown)".into(), ToString::to_string)
}

/// Trusts the authorities that it knows whole, or one that it knows only by its pin.
///
/// With a pin only, the certificate that has it is picked from what the server shows and is then the only
/// root; name, times, usage and signatures are verified as ever. A server may show certificates by which an authority
/// that is trusted vouches for its successor.
#[derive(Debug)]
pub(crate) struct FleetVerifier {
    pin: CaPin,
    cas: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl FleetVerifier {
    pub(crate) fn new(pin: CaPin, cas: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Self {
        Self { pin, cas, provider }
    }

    fn other_fleet(&self, intermediates: &[CertificateDer<'_>]) -> Error {
        let fault = OtherFleet { pinned: self.pin, shown: intermediates.last().map(|c| CaPin::of_cert(c)) };
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(fault))))
    }
}

impl ServerCertVerifier for FleetVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut roots = RootCertStore::empty();
        for ca in &self.cas {
            roots.add(ca.clone())?;
        }
        if roots.is_empty() {
            let root = intermediates.iter().find(|c| CaPin::of_cert(c) == self.pin);
            let Some(root) = root else { return Err(self.other_fleet(intermediates)) };
            roots.add(root.clone().into_owned())?;
        }
        // An authority's own certificate is trusted or is nothing; between are those by which one vouched for another.
        let between: Vec<_> =
            intermediates.iter().filter(|cert| !x509::is_self_issued(cert)).cloned().collect();
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|e| Error::General(e.to_string()))?
            .verify_server_cert(end_entity, &between, server_name, ocsp_response, now)
            .map_err(|error| match error {
                Error::InvalidCertificate(
                    CertificateError::UnknownIssuer | CertificateError::BadSignature,
                ) => self.other_fleet(intermediates),
                error => error,
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The authorities whose certificates of hosts are taken; they may change while connections are open.
///
/// That a certificate's time is over is not looked at here: whoever has the key of a host that is known may come and ask
/// for a new one. [`crate::CertInfo`] says until when it was good, and whoever lets hosts in looks at that. A host is its
/// key, and a key that nobody enrolled is nobody's, whatever signed it.
pub struct HostTrust {
    verifier: RwLock<Arc<dyn ClientCertVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl HostTrust {
    /// Trusts these authorities.
    ///
    /// # Errors
    /// If one of them is none.
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Arc<Self>, PkiError> {
        let provider = crate::tls::provider();
        let verifier = RwLock::new(clients(authorities, &provider)?);
        Ok(Arc::new(Self { verifier, provider }))
    }

    /// Trusts these from now on.
    ///
    /// # Errors
    /// If one of them is none; then nothing has changed.
    pub fn replace(&self, authorities: &[CertificateDer<'static>]) -> Result<(), PkiError> {
        let new = clients(authorities, &self.provider)?;
        *self.verifier.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for HostTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostTrust(..)")
    }
}

fn clients(
    authorities: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, PkiError> {
    const WHAT: &str = "the agents' port";
    let tls = |source| PkiError::Tls { what: WHAT, source };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(tls)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|e| tls(Error::General(e.to_string())))
}

impl ClientCertVerifier for HostTrust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Hosts show their one certificate whatever is hinted.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let within = x509::cert_info(end_entity).map_or(now, |info| {
            let second = |micros: i64| micros.div_euclid(1_000_000).max(0).unsigned_abs();
            let (first, last) = (second(info.not_before.0), second(info.not_after.0));
            UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().min(last).max(first)))
        });
        self.verifier().verify_client_cert(end_entity, intermediates, within)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}

/// The same authorities for senders that have no agent: a certificate whose time is over is refused.
#[derive(Debug)]
pub struct SenderTrust {
    hosts: Arc<HostTrust>,
    /// Whether a certificate has to be shown at all.
    required: bool,
}

impl SenderTrust {
    /// Trusts whom `hosts` trusts, now and later.
    #[must_use]
    pub fn new(hosts: Arc<HostTrust>, required: bool) -> Arc<Self> {
        Arc::new(Self { hosts, required })
    }
}

impl ClientCertVerifier for SenderTrust {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.hosts.verifier().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.hosts.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.hosts.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.hosts.supported_verify_schemes()
    }
}
