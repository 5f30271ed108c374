//! TLS settings. Application protocols (ALPN) are left to the caller on clients: what they speak is theirs.

use crate::{Authority, CaPin, PkiError, pem, verify::FleetVerifier};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::{ResolvesClientCert, WantsClientCert},
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use rustls_pki_types::CertificateDer;
use std::sync::{Arc, PoisonError, RwLock};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A client that enrols: it knows the authority by its pin only and has no certificate yet.
///
/// # Errors
/// If the TLS library refuses its own settings.
pub fn enrol_client(pin: CaPin) -> Result<ClientConfig, PkiError> {
    Ok(client(pin, None, BOTH, "enrolment")?.with_no_client_auth())
}

/// A client without a certificate that knows the authority's certificate: the command line.
///
/// # Errors
/// If the PEM holds no certificate.
pub fn pinned_client(ca_pem: &str) -> Result<ClientConfig, PkiError> {
    let ca = pem::cert(ca_pem, "the authority's certificate")?;
    Ok(client(CaPin::of_cert(&ca), Some(ca), BOTH, "the command line")?.with_no_client_auth())
}

/// An enrolled host: TLS 1.3 only, with its certificate.
///
/// # Errors
/// If one of the PEM texts is damaged, or certificate and key do not belong together.
pub fn agent_client(ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<ClientConfig, PkiError> {
    let ca = pem::cert(ca_pem, "the authority's certificate")?;
    let chain = pem::certs(cert_pem, "the host's certificate")?;
    let own = certified(chain, key_pem, "the host's certificate", "the host's key")?;
    // The one certificate is always shown: a library that picks by what the server hints would stay silent
    // before a server of another fleet, and the error would say nothing.
    let always = Arc::new(Always(Arc::new(own)));
    Ok(client(CaPin::of_cert(&ca), Some(ca), &[&TLS13], "the agent")?.with_client_cert_resolver(always))
}

/// The port for people and for enrolment: no client certificate.
///
/// # Errors
/// If the TLS library refuses its own settings.
pub fn front_server(own: Arc<ServerCertificate>) -> Result<ServerConfig, PkiError> {
    const WHAT: &str = "the front port";
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(BOTH)
        .map_err(|source| PkiError::Tls { what: WHAT, source })?
        .with_no_client_auth()
        .with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The port for agents: TLS 1.3 with a client certificate of this authority, nothing else.
///
/// # Errors
/// If the TLS library refuses its own settings.
pub fn agent_server(own: Arc<ServerCertificate>, authority: &Authority) -> Result<ServerConfig, PkiError> {
    const WHAT: &str = "the agents' port";
    let tls = |source| PkiError::Tls { what: WHAT, source };
    let mut roots = RootCertStore::empty();
    roots.add(authority.cert_der().clone()).map_err(tls)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|e| tls(rustls::Error::General(e.to_string())))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(tls)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would not show its certificate's end again; agents reconnect rarely.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A port for senders that have no agent. `clients` is who signs their certificates (PEM, one or several), and whether
/// they have to show one; without it they are not asked.
///
/// # Errors
/// If the PEM holds no certificate, or the TLS library refuses its own settings.
pub fn sender_server(
    own: Arc<ServerCertificate>,
    clients: Option<(&str, bool)>,
) -> Result<ServerConfig, PkiError> {
    const WHAT: &str = "a port for senders";
    let tls = |source| PkiError::Tls { what: WHAT, source };
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(BOTH).map_err(tls)?;
    let Some((ca_pem, required)) = clients else {
        return Ok(config.with_no_client_auth().with_cert_resolver(own));
    };
    let mut roots = RootCertStore::empty();
    for ca in pem::certs(ca_pem, "the authority of senders' certificates")? {
        roots.add(ca).map_err(tls)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
    let verifier = verifier.build().map_err(|e| tls(rustls::Error::General(e.to_string())))?;
    let mut config = config.with_client_cert_verifier(verifier).with_cert_resolver(own);
    // a resumed session would not show its certificate again
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The server's certificate in use. It can be replaced while connections are open.
pub struct ServerCertificate(RwLock<Arc<CertifiedKey>>);

impl ServerCertificate {
    /// From PEM texts, as `Authority::issue_server` makes them.
    ///
    /// # Errors
    /// If one is damaged, or they do not belong together.
    pub fn new(chain_pem: &str, key_pem: &str) -> Result<Arc<Self>, PkiError> {
        Ok(Arc::new(Self(RwLock::new(Arc::new(Self::read(chain_pem, key_pem)?)))))
    }

    /// New connections get this one from now on.
    ///
    /// # Errors
    /// If one is damaged, or they do not belong together; then the old one stays.
    pub fn replace(&self, chain_pem: &str, key_pem: &str) -> Result<(), PkiError> {
        let new = Arc::new(Self::read(chain_pem, key_pem)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn read(chain_pem: &str, key_pem: &str) -> Result<CertifiedKey, PkiError> {
        const WHAT: &str = "the server's certificate";
        certified(pem::certs(chain_pem, WHAT)?, key_pem, WHAT, "the server's key")
    }
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerCertificate(..)")
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn client(
    pin: CaPin,
    ca: Option<CertificateDer<'static>>,
    versions: &[&'static SupportedProtocolVersion],
    what: &'static str,
) -> Result<rustls::ConfigBuilder<ClientConfig, WantsClientCert>, PkiError> {
    let provider = provider();
    let verifier = Arc::new(FleetVerifier::new(pin, ca, Arc::clone(&provider)));
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(|source| PkiError::Tls { what, source })?
        .dangerous() // the library's word for a verifier of one's own
        .with_custom_certificate_verifier(verifier))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key_pem: &str,
    cert_what: &'static str,
    key_what: &'static str,
) -> Result<CertifiedKey, PkiError> {
    let key = rustls::crypto::ring::sign::any_supported_type(&pem::key(key_pem, key_what)?)
        .map_err(|e| PkiError::Unreadable { what: key_what, why: e.to_string() })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(PkiError::KeyMismatch(cert_what)),
        Err(e) => Err(PkiError::Unreadable { what: cert_what, why: e.to_string() }),
    }
}
