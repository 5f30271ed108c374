//! Connections: who is let in, and how many.
//!
//! - So many connections, of one address at most half of them, so that one sender cannot keep the others out.
//! - A TLS handshake has a time, and a bound on how many are made at once.
//! - Keep-alive finds the ends that are gone.

use super::talk::{Line, converse};
use super::{Place, stopped};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at one time.
const HANDSHAKES: usize = 64;
/// A silent connection is asked after that time, so often and so many times, whether it is still there.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(10), 6);

/// A listener's socket.
pub(crate) struct Connections {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) place: Arc<Place>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// A socket for connections.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

impl Connections {
    /// Until `stop`; then until every connection has said what it had sent.
    pub(crate) async fn run(mut self) {
        let limit = self.place.settings.connections;
        let (places, handshakes) = (Arc::new(Semaphore::new(limit)), Arc::new(Semaphore::new(HANDSHAKES)));
        let of_one = Arc::new(Addresses { most: limit.div_ceil(2), open: Mutex::default() });
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.socket, &places) => accepted,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
                () = stopped(&mut self.stop) => break,
            };
            let Some((stream, address, permit)) = accepted else { continue };
            let Some(entry) = of_one.enter(address.ip().to_canonical()) else {
                tracing::debug!(%address, "too many connections from one address");
                continue;
            };
            let (place, tls, handshakes) =
                (Arc::clone(&self.place), self.tls.clone(), Arc::clone(&handshakes));
            let stop = self.stop.clone();
            tasks.spawn(async move {
                let _held = (permit, entry);
                connected(stream, address, tls, &handshakes, &place, stop).await;
            });
        }
        drop(self.socket);
        while tasks.join_next().await.is_some() {}
    }
}

async fn accept(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // a place first: when there is none, more connections wait in the kernel
    let permit = Arc::clone(places).acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((stream, address)) => Some((stream, address, permit)),
        Err(error) => {
            // mostly too many open files: others end, then it works again
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn connected(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    handshakes: &Semaphore,
    place: &Place,
    stop: watch::Receiver<bool>,
) {
    let (idle, every, times) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(idle).with_interval(every).with_retries(times);
    drop(SockRef::from(&stream).set_tcp_keepalive(&keepalive));
    drop(stream.set_nodelay(true));
    let Some(tls) = tls else {
        let line = Line { io: stream, sender: place.sender(address.ip(), None), place, stop };
        return converse(line).await;
    };
    let Ok(handshake) = handshakes.acquire().await else { return };
    let shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await;
    drop(handshake);
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "handshake failed"),
        Err(_) => return tracing::debug!(%address, "handshake took too long"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let name = match certificate.map(|certificate| bartizan_pki::peer_name(certificate)) {
        None => None,
        Some(Ok(name)) => Some(name),
        Some(Err(error)) => return tracing::debug!(%address, %error, "a verified certificate has no name"),
    };
    let sender = place.sender(address.ip(), name.as_deref());
    converse(Line { io: stream, sender, place, stop }).await;
}

/// How many connections each address has.
struct Addresses {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

struct Entry {
    addresses: Arc<Addresses>,
    ip: IpAddr,
}

impl Addresses {
    fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Entry> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(ip).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Entry { addresses: Arc::clone(self), ip })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.ip);
            }
        }
    }
}
