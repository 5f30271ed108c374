//! TLS connections to services, with a bound on everything that happens before it is known who is there.
//!
//! - So many connections, so many of them of one host or network, and so many shaking hands at once ([`Gate`]), so that
//!   one attacker cannot keep the others out.
//! - A handshake has a time; then the first request must begin within the same time, and on HTTP/1 each one.
//! - Heads of requests, streams, and what is buffered for a reader are bounded; a reader that stands still is left
//!   ([`Moving`]). Resets and pings of HTTP/2 that nobody needs end the connection (in `h2`, by its own bounds).
//! - HTTP/2 pings end connections whose other side is gone.
//!
//! The request's extensions get a [`Connection`]: the service learns from it, and from nothing else, who
//! speaks.

use crate::{
    gate::{Arrivals, Gate, Handshake, Turned, Whose},
    guarded::{FirstBytes, Moving},
};
use bartizan_model::{HostId, Micros};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tower::{Service, ServiceExt};

/// Bytes of a request's head.
const HEAD: u32 = 16 << 10;
/// Bytes that are buffered of a connection, each way; HTTP/1 has no other bound for a head.
const BUFFER: usize = 64 << 10;

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
    /// Of them, those of one host, or of one network where nobody shows a certificate.
    pub connections_of_one: usize,
    /// Requests of one connection at one time.
    pub streams: u32,
    /// Handshakes at one time.
    pub handshakes: usize,
    /// Handshakes at one time from one network.
    pub handshakes_of_one: usize,
    /// For a handshake, and then for the head of a request.
    pub handshake_time: Duration,
    /// For some ten kilobytes that were asked for and are not taken.
    pub stall_time: Duration,
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
            connections_of_one: 1024,
            streams: 128,
            handshakes: 256,
            handshakes_of_one: 32,
            handshake_time: Duration::from_secs(10),
            stall_time: Duration::from_secs(60),
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
    arrivals: Arc<Arrivals>,
    mut stop: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let acceptor = TlsAcceptor::from(tls);
    let connections = Arc::new(Semaphore::new(settings.connections));
    let gate = Gate::new(&settings, arrivals);
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections, &gate) => accepted,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            () = stopped(&mut stop) => break,
        };
        let Some(Place { stream, address, connection, handshake }) = accepted else { continue };
        let (acceptor, service, gate, stop) =
            (acceptor.clone(), service.clone(), Arc::clone(&gate), stop.clone());
        tasks.spawn(async move {
            let _connection = connection;
            drop(stream.set_nodelay(true)); // slower without, but not wrong
            let stream = Moving::new(stream, settings.stall_time);
            let shaken =
                Box::pin(shake(acceptor, stream, address, handshake, settings.handshake_time, &gate));
            // The box is gone when it is done: what stays is small, ten thousand times.
            let Some(tls) = shaken.await else { return };
            connected(tls, address, service, settings, &gate, stop).await;
        });
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

type Tls = TlsStream<Moving<TcpStream>>;

struct Place {
    stream: TcpStream,
    address: SocketAddr,
    connection: OwnedSemaphorePermit,
    handshake: Handshake,
}

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>, gate: &Arc<Gate>) -> Option<Place> {
    // A place first: when there is none, more connections wait in the kernel's backlog.
    let connection = Arc::clone(connections).acquire_owned().await.ok()?;
    let (stream, address) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            // Mostly too many open files: others end, then it works again.
            tracing::warn!(%error, "cannot accept a connection");
            sleep(Duration::from_millis(100)).await;
            return None;
        }
    };
    let Some(handshake) = gate.enter(address.ip()) else {
        tracing::debug!(%address, "too many handshakes from one network");
        return None;
    };
    Some(Place { stream, address, connection, handshake })
}

/// The handshake, for as long as it has its place.
async fn shake(
    acceptor: TlsAcceptor,
    stream: Moving<TcpStream>,
    address: SocketAddr,
    mut handshake: Handshake,
    time: Duration,
    gate: &Gate,
) -> Option<Box<Tls>> {
    let why = tokio::select! {
        shaken = timeout(time, acceptor.accept(stream)) => match shaken {
            Ok(Ok(tls)) => return Some(Box::new(tls)),
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "handshake failed");
                Turned::Handshake
            }
            Err(_) => {
                tracing::debug!(%address, "handshake took too long");
                Turned::Slow
            }
        },
        // Counted where it was given away.
        () = handshake.given_up() => {
            tracing::debug!(%address, "handshake ended for another's");
            return None;
        }
    };
    gate.arrivals().turn_away(why);
    None
}

async fn connected<S, B>(
    tls: Box<Tls>,
    address: SocketAddr,
    service: S,
    settings: ListenSettings,
    gate: &Arc<Gate>,
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
    let Some(_stay) = gate.stay(Whose::of(peer.as_ref().map(|peer| peer.host), address.ip())) else {
        return tracing::debug!(%address, "too many connections of one");
    };
    let http2 = session.alpn_protocol() == Some(b"h2");
    let connection = Connection { address, peer };
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        service.clone().oneshot(request)
    });
    let io = TokioIo::new(FirstBytes::new(*tls, settings.handshake_time));
    let mut serving = Box::pin(protocol(http2, &settings).serve_connection(io, service).into_owned());
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            timeout(settings.drain_time, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        if is_stalled(&*error) {
            gate.arrivals().turn_away(Turned::Stalled);
        }
        tracing::debug!(%address, error, "connection ended");
    }
}

/// HTTP, and what it may take.
fn protocol(http2: bool, settings: &ListenSettings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.handshake_time)
        .max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.ping_interval)
        .keep_alive_timeout(settings.ping_timeout)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_concurrent_streams(settings.streams)
        .max_send_buf_size(BUFFER)
        .max_header_list_size(HEAD);
    if http2 { builder.http2_only() } else { builder.http1_only() }
}

/// Whether a connection ended because its other side stood still, as [`FirstBytes`] and [`Moving`] say.
fn is_stalled(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut))
}

/// When `stop` is true, or nobody is left who could make it so.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|s| *s).await);
}
