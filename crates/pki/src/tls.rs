//! TLS settings. Application protocols (ALPN) are left to the caller on clients: what they speak is theirs.

use crate::{CaPin, HostTrust, PkiError, SenderTrust, pem, verify::FleetVerifier};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    client::{ResolvesClientCert, WantsClientCert},
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
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
    Ok(client(pin, Vec::new(), BOTH, "enrolment")?.with_no_client_auth())
}

/// A client without a certificate that knows the authority's certificate, or several: the command line.
///
/// # Errors
/// If the PEM holds no certificate.
pub fn pinned_client(ca_pem: &str) -> Result<ClientConfig, PkiError> {
    let cas = pem::certs(ca_pem, "the authority's certificate")?;
    Ok(client(CaPin::of_cert(&cas[0]), cas, BOTH, "the command line")?.with_no_client_auth())
}

/// An enrolled host: TLS 1.3 only, with its certificate; it trusts one authority, or several while one follows another.
///
/// # Errors
/// If one of the PEM texts is damaged, or certificate and key do not belong together.
pub fn agent_client(ca_pem: &str, cert_pem: &str, key_pem: &str) -> Result<ClientConfig, PkiError> {
    let cas = pem::certs(ca_pem, "the authority's certificate")?;
    let chain = pem::certs(cert_pem, "the host's certificate")?;
    let own = certified(chain, key_pem, "the host's certificate", "the host's key")?;
    // The one certificate is always shown: a library that picks by what the server hints would stay silent
    // before a server of another fleet, and the error would say nothing.
    let always = Arc::new(Always(Arc::new(own)));
    let pin = CaPin::of_cert(&cas[0]);
    Ok(client(pin, cas, &[&TLS13], "the agent")?.with_client_cert_resolver(always))
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

/// The port for agents: TLS 1.3 with a certificate of a host of this fleet, nothing else. It may be over; see
/// [`HostTrust`].
///
/// # Errors
/// If the TLS library refuses its own settings.
pub fn agent_server(own: Arc<ServerCertificate>, hosts: Arc<HostTrust>) -> Result<ServerConfig, PkiError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| PkiError::Tls { what: "the agents' port", source })?
        .with_client_cert_verifier(hosts)
        .with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would not show its certificate again; agents reconnect rarely.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Who may send to a port for senders that have no agent.
#[derive(Debug)]
pub enum SenderClients<'a> {
    /// Anybody; no certificate is asked for.
    Any,
    /// Who has a certificate of one of these (PEM), or also who shows none.
    Signed(&'a str, bool),
    /// The same of the fleet's authorities.
    Fleet(Arc<SenderTrust>),
}

/// A port for senders that have no agent.
///
/// # Errors
/// If the PEM holds no certificate, or the TLS library refuses its own settings.
pub fn sender_server(
    own: Arc<ServerCertificate>,
    clients: SenderClients<'_>,
) -> Result<ServerConfig, PkiError> {
    const WHAT: &str = "a port for senders";
    let tls = |source| PkiError::Tls { what: WHAT, source };
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(BOTH).map_err(tls)?;
    let verifier: Arc<dyn ClientCertVerifier> = match clients {
        SenderClients::Any => return Ok(config.with_no_client_auth().with_cert_resolver(own)),
        SenderClients::Fleet(trust) => trust,
        SenderClients::Signed(ca_pem, required) => {
            let mut roots = RootCertStore::empty();
            for ca in pem::certs(ca_pem, "the authority of senders' certificates")? {
                roots.add(ca).map_err(tls)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            let verifier = if required { verifier } else { verifier.allow_unauthenticated() };
            verifier.build().map_err(|e| tls(rustls::Error::General(e.to_string())))?
        }
    };
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

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn client(
    pin: CaPin,
    cas: Vec<CertificateDer<'static>>,
    versions: &[&'static SupportedProtocolVersion],
    what: &'static str,
) -> Result<rustls::ConfigBuilder<ClientConfig, WantsClientCert>, PkiError> {
    let provider = provider();
    let verifier = Arc::new(FleetVerifier::new(pin, cas, Arc::clone(&provider)));
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
