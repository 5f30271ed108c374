//! TLS connections to services, with a bound on everything that happens before it is known who is there.
//!
//! - So many connections, and so many of them shaking hands at once; of one address (IPv4, or IPv6 /64)
//!   only a part of those, so that one attacker cannot keep the others out.
//! - A handshake has a time; then the first request must begin within the same time.
//! - HTTP/2 pings end connections whose other side is gone.
//!
//! The request's extensions get a [`Connection`]: the service learns from it, and from nothing else, who
//! speaks.

use bartizan_model::{HostId, Micros};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::{Service, ServiceExt};

/// An authenticated host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Whose key the certificate is for.
    pub host: HostId,
    /// The name in its certificate.
    pub name: String,
    /// Serial number of the certificate, hex.
    pub serial: String,
    /// The certificate is good until.
    pub cert_not_after: Micros,
}

/// Who is at the other end of a request's connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// From where.
    pub address: SocketAddr,
    /// The host, if it showed a certificate (which was verified then).
    pub peer: Option<Peer>,
}

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenSettings {
    /// Connections at one time.
    pub connections: usize,
    /// Handshakes at one time.
    pub handshakes: usize,
    /// Handshakes at one time from one address.
    pub handshakes_of_one: usize,
    /// For a handshake, and then for the first bytes of a request.
    pub handshake_time: Duration,
    /// Between pings on HTTP/2.
    pub ping_interval: Duration,
    /// For the answer to a ping.
    pub ping_timeout: Duration,
    /// For open requests after a stop was asked for.
    pub drain_time: Duration,
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            connections: 16_384,
            handshakes: 256,
            handshakes_of_one: 32,
            handshake_time: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            drain_time: Duration::from_secs(5),
        }
    }
}

/// Serves every connection with `service` until `stop` is true, then lets open requests end.
pub async fn serve<S, B>(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    service: S,
    settings: ListenSettings,
    mut stop: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let acceptor = TlsAcceptor::from(tls);
    let connections = Arc::new(Semaphore::new(settings.connections));
    let gate = Arc::new(Gate::new(&settings));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections, &gate) => accepted,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            () = stopped(&mut stop) => break,
        };
        let Some((stream, address, connection, handshake)) = accepted else { continue };
        let (acceptor, service, stop) = (acceptor.clone(), service.clone(), stop.clone());
        tasks.spawn(async move {
            let _connection = connection;
            drop(stream.set_nodelay(true)); // slower without, but not wrong
            let shaken = timeout(settings.handshake_time, acceptor.accept(stream)).await;
            drop(handshake);
            match shaken {
                Ok(Ok(tls)) => connected(tls, address, service, settings, stop).await,
                Ok(Err(error)) => tracing::debug!(%address, %error, "handshake failed"),
                Err(_) => tracing::debug!(%address, "handshake took too long"),
            }
        });
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

type Place = (TcpStream, SocketAddr, OwnedSemaphorePermit, Handshake);

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>, gate: &Arc<Gate>) -> Option<Place> {
    // Places first: when there are none, more connections wait in the kernel's backlog.
    let connection = Arc::clone(connections).acquire_owned().await.ok()?;
    let handshake = Arc::clone(&gate.all).acquire_owned().await.ok()?;
    let (stream, address) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            // Mostly too many open files: others end, then it works again.
            tracing::warn!(%error, "cannot accept a connection");
            sleep(Duration::from_millis(100)).await;
            return None;
        }
    };
    let Some(handshake) = gate.enter(address.ip(), handshake) else {
        tracing::debug!(%address, "too many handshakes from one address");
        return None;
    };
    Some((stream, address, connection, handshake))
}

async fn connected<S, B>(
    tls: TlsStream<TcpStream>,
    address: SocketAddr,
    service: S,
    settings: ListenSettings,
    mut stop: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (_, session) = tls.get_ref();
    let peer = match session.peer_certificates().and_then(|chain| chain.first()) {
        None => None,
        Some(cert) => match bartizan_pki::cert_info(cert) {
            Ok(c) => Some(Peer { host: c.host, name: c.name, serial: c.serial, cert_not_after: c.not_after }),
            Err(error) => return tracing::debug!(%address, %error, "a verified certificate cannot be read"),
        },
    };
    let http2 = session.alpn_protocol() == Some(b"h2");
    let connection = Connection { address, peer };
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        service.clone().oneshot(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(settings.handshake_time);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.ping_interval)
        .keep_alive_timeout(settings.ping_timeout)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_concurrent_streams(128)
        .max_header_list_size(16 << 10);
    let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    let io = TokioIo::new(FirstBytes { inner: tls, limit: Some(Box::pin(sleep(settings.handshake_time))) });
    let serving = builder.serve_connection(io, service);
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            timeout(settings.drain_time, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%address, error, "connection ended");
    }
}

/// When `stop` is true, or nobody is left who could make it so.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|s| *s).await);
}

/// Counts handshakes, of all and of each address.
struct Gate {
    all: Arc<Semaphore>,
    of_one: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

struct Handshake {
    gate: Arc<Gate>,
    from: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    fn new(settings: &ListenSettings) -> Self {
        Self {
            all: Arc::new(Semaphore::new(settings.handshakes)),
            of_one: settings.handshakes_of_one,
            counts: Mutex::new(HashMap::new()),
        }
    }

    fn enter(self: &Arc<Self>, from: IpAddr, permit: OwnedSemaphorePermit) -> Option<Handshake> {
        let from = network_of(from);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(from).or_default();
        if *count >= self.of_one {
            return None;
        }
        *count += 1;
        Some(Handshake { gate: Arc::clone(self), from, _permit: permit })
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.from);
            }
        }
    }
}

fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Ends a connection whose first bytes do not come: HTTP/2 has no time for its preface otherwise.
struct FirstBytes<S> {
    inner: S,
    limit: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if polled.is_ready() {
            self.limit = None;
        } else if let Some(limit) = &mut self.limit
            && limit.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
