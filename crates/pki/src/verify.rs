//! The server's certificate, verified against the fleet's authority and nothing else.

use crate::CaPin;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

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

/// Trusts one authority, known whole or only by its pin.
///
/// With a pin only, the certificate that has it is picked from what the server shows and is then the only
/// root; name, times, usage and signatures are verified as ever.
#[derive(Debug)]
pub(crate) struct FleetVerifier {
    pin: CaPin,
    ca: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl FleetVerifier {
    pub(crate) fn new(
        pin: CaPin,
        ca: Option<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { pin, ca, provider }
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
        let root = self.ca.as_ref().or_else(|| intermediates.iter().find(|c| CaPin::of_cert(c) == self.pin));
        let Some(root) = root else { return Err(self.other_fleet(intermediates)) };
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|e| Error::General(e.to_string()))?
            .verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
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
