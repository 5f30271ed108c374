//! The way of a request: resolve, check, connect, prove, ask, read.

use crate::{Answer, Ask, OutgoingError, OutgoingSettings, Url, address::special};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long one of several addresses may take to be reached.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of the head of an answer.
const HEAD: usize = 32 << 10;
/// Addresses of a name that are tried.
const ADDRESSES: usize = 4;

/// The addresses of names.
#[async_trait]
trait Names: Send + Sync {
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// As the system knows them.
struct System;

#[async_trait]
impl Names for System {
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Asks the outside.
pub struct Outgoing {
    tls: TlsConnector,
    allow: Vec<IpNet>,
    time: Duration,
    names: Box<dyn Names>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("allow", &self.allow).finish_non_exhaustive()
    }
}

impl Outgoing {
    /// A client that trusts the system's authorities and those of the settings.
    ///
    /// # Errors
    /// If the TLS library refuses its own settings.
    pub fn new(settings: &OutgoingSettings) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        // What of the system's cannot be read is not trusted; a request that needs it says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(settings.authorities.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(tls)),
            allow: settings.allow.clone(),
            time: settings.time,
            names: Box::new(System),
        })
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// Where it came to nothing, and what to do. An answer of a status that is no success is no error.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, OutgoingError> {
        let to = ask.url.authority();
        let asked = timeout(self.time, self.answer(ask)).await;
        asked.unwrap_or_else(|_| Err(OutgoingError::Slow { to, time: self.time }))
    }

    async fn answer(&self, ask: Ask<'_>) -> Result<Answer, OutgoingError> {
        let addresses = self.checked(ask.url).await?;
        let stream = self.prove(ask.url, connect(ask.url, &addresses).await?).await?;
        let to = ask.url.authority();
        let failed = |source| OutgoingError::Http { to: to.clone(), source };
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // Ends with this function, whatever becomes of it.
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        let at_most = ask.at_most;
        let (head, body) = sender.send_request(request(ask)).await.map_err(failed)?.into_parts();
        if head.status.is_redirection() {
            return Err(OutgoingError::Redirect { to, status: head.status });
        }
        let body = read(body, at_most).await.map_err(failed)?;
        let body = body.ok_or_else(|| OutgoingError::TooLong { to: to.clone(), bytes: at_most })?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// The addresses of a name, once each of them was looked at.
    async fn checked(&self, url: &Url) -> Result<Vec<SocketAddr>, OutgoingError> {
        let host = || url.host().to_owned();
        let found = self.names.addresses(url.host(), url.port()).await;
        let found = found.map_err(|source| OutgoingError::Resolve { host: host(), source })?;
        if found.is_empty() {
            let source = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            return Err(OutgoingError::Resolve { host: host(), source });
        }
        for address in &found {
            let address = address.ip().to_canonical();
            if let Some(what) = special(address).filter(|_| !self.is_allowed(address)) {
                return Err(OutgoingError::Forbidden { host: host(), address, what });
            }
        }
        Ok(found)
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&address))
    }

    async fn prove(&self, url: &Url, stream: TcpStream) -> Result<TlsStream<TcpStream>, OutgoingError> {
        let proved = self.tls.connect(url.server(), stream).await;
        proved.map_err(|source| OutgoingError::Tls { to: url.authority(), source })
    }
}

/// A connection to the first of the addresses that takes one.
async fn connect(url: &Url, addresses: &[SocketAddr]) -> Result<TcpStream, OutgoingError> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.iter().take(ADDRESSES) {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    Err(OutgoingError::Connect { to: url.authority(), source: last })
}

fn request(ask: Ask<'_>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(ask.body));
    *request.method_mut() = ask.method;
    *request.uri_mut() = ask.url.target().parse().expect("it was a part of an address that was read");
    *request.headers_mut() = ask.headers;
    let authority =
        HeaderValue::try_from(ask.url.authority()).expect("it was a part of an address that was read");
    request.headers_mut().insert(HOST, authority);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("bartizan"));
    request
}

/// All of a body, or nothing if that is too much.
async fn read(mut body: Incoming, at_most: usize) -> Result<Option<Bytes>, hyper::Error> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        if whole.len() + piece.len() > at_most {
            return Ok(None);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole.freeze()))
}

#[cfg(test)]
mod tests;
