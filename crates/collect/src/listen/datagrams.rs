//! Messages that come as datagrams.
//!
//! Nobody waits for them: what finds no room in the socket's buffer, because there is too much or because the spool
//! takes nothing, the kernel drops and counts, and the count goes to the ledger.

use super::drops::Drops;
use super::{Place, stopped};
use crate::ledger::NOBODY;
use crate::sender::Sender;
use bartizan_model::{Kind, Reason};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// Bytes that may wait in the kernel; who is not root gets less where `net.core.rmem_max` says so.
const BUFFER: usize = 64 << 20;
/// Datagrams that are read while the desk is held.
const TOGETHER: usize = 512;
/// How many times that many are read when the server stops: about what the buffer holds.
const LAST: usize = 1024;
/// Addresses of which something is remembered.
const SENDERS: usize = 4096;
/// How often the kernel is asked what it dropped.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of the largest datagram.
const DATAGRAM: usize = 64 << 10;

/// A listener's socket.
pub(crate) struct Datagrams {
    pub(crate) socket: UdpSocket,
    pub(crate) place: Arc<Place>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// A socket for datagrams, with a large buffer.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // root may have all of it; less is wrong only when much comes at once
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).is_err() {
        drop(socket.set_recv_buffer_size(BUFFER));
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

impl Datagrams {
    /// Until `stop`.
    pub(crate) async fn run(mut self) {
        let mut senders: HashMap<IpAddr, Sender> = HashMap::new();
        let mut formats = crate::format::Datagrams::new(&self.place.settings);
        let mut buffer = vec![0; DATAGRAM];
        let mut drops = Drops::of(&self.socket);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                readable = self.socket.readable() => if let Err(error) = readable {
                    tracing::error!(%error, "cannot read datagrams");
                    tokio::time::sleep(LOOK).await;
                },
                _ = look.tick() => {
                    self.dropped(drops.as_mut());
                    continue;
                }
                () = stopped(&mut self.stop) => break,
            }
            self.read(&mut senders, &mut formats, &mut buffer);
            self.place.desk.hand_over().await;
        }
        // what has arrived is taken yet
        for _ in 0..LAST {
            if !self.read(&mut senders, &mut formats, &mut buffer) {
                break;
            }
            self.place.desk.hand_over().await;
        }
        self.dropped(drops.as_mut());
    }

    /// Takes what is there, but not for too long; whether there was anything.
    fn read(
        &self,
        senders: &mut HashMap<IpAddr, Sender>,
        formats: &mut crate::format::Datagrams,
        buffer: &mut [u8],
    ) -> bool {
        let now = bartizan_clock::now();
        self.place.desk.work(|desk| {
            for n in 0..TOGETHER {
                let (length, from) = match self.socket.try_recv_from(buffer) {
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return n > 0,
                    // an error of an earlier answer, which nobody gave
                    Err(_) => continue,
                };
                let ip = from.ip();
                if senders.len() >= SENDERS && !senders.contains_key(&ip) {
                    senders.clear();
                }
                let sender = senders.entry(ip).or_insert_with(|| self.place.sender(ip, None));
                formats.take(&buffer[..length], desk, sender, now);
            }
            true
        })
    }

    /// Notes what the kernel dropped.
    fn dropped(&self, drops: Option<&mut Drops>) {
        let count = drops.map_or(0, Drops::more);
        if count == 0 {
            return;
        }
        let stuck = self.place.stuck.load(Ordering::Relaxed);
        let reason = if stuck { Reason::SpoolFull } else { Reason::Overrun };
        let settings = &self.place.settings;
        let detail = format!("datagrams to {} on {}", settings.speech.as_str(), settings.place);
        let host = settings.host.as_deref().unwrap_or(NOBODY);
        self.place.ledger.add(host, reason, Kind::Events, count, &detail, bartizan_clock::now());
        tracing::warn!(count, detail, "the kernel dropped datagrams");
    }
}
