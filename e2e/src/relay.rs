//! A way from one network namespace into another without a link between them: connections are accepted on a
//! socket of the one and made on a socket of the other, and bytes are copied. Sockets stay in the namespace
//! that they were opened in, and Unix sockets have names in the file system, which all namespaces share.
//!
//! So the server of a test or demo listens on loopback only, the hosts reach it on their own loopback, their
//! firewalls do not see it, and the link can be cut for a test ([`Relay::cut`]).

use crate::netns::NetNs;
use anyhow::{Context as _, Result};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Where connections are accepted.
#[derive(Debug)]
pub enum Listener {
    /// In the namespace in which it was bound.
    Tcp(TcpListener),
    /// At a path.
    Unix(UnixListener),
}

/// Where connections are made to, in the namespace of whoever calls [`Relay::start`].
#[derive(Clone, Debug)]
pub enum Target {
    /// An address.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

/// A relay at work, until it is dropped.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    accepting: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    ended: AtomicBool,
    cut: AtomicBool,
    /// One end of each connection that still lives, to shut it.
    open: Mutex<Vec<Weak<Stream>>>,
}

impl Relay {
    /// Accepts from now on.
    ///
    /// # Errors
    /// When the listener cannot be made non-blocking.
    pub fn start(listener: Listener, target: Target) -> Result<Self> {
        // Non-blocking, because nothing wakes a thread that is blocked in accept.
        match &listener {
            Listener::Tcp(l) => l.set_nonblocking(true),
            Listener::Unix(l) => l.set_nonblocking(true),
        }
        .context("make a listener non-blocking")?;
        let shared = Shared { target, ended: false.into(), cut: false.into(), open: Mutex::default() };
        let shared = Arc::new(shared);
        let for_thread = Arc::clone(&shared);
        let accepting = Some(thread::spawn(move || for_thread.accept(&listener)));
        Ok(Self { shared, accepting })
    }

    /// Lets programs in `netns` reach `target`, an address of this namespace, at the same address there. Only
    /// loopback makes sense.
    ///
    /// # Errors
    /// When the address cannot be bound there.
    pub fn bring(netns: &NetNs, target: SocketAddr) -> Result<Self> {
        Self::bring_to(netns, target, Target::Tcp(target))
    }

    /// Lets programs in `netns` reach `target` at `address`.
    ///
    /// # Errors
    /// When the address cannot be bound there.
    pub fn bring_to(netns: &NetNs, address: SocketAddr, target: Target) -> Result<Self> {
        let listener = netns.run(|| TcpListener::bind(address))?;
        Self::start(Listener::Tcp(listener.with_context(|| format!("bind {address}"))?), target)
    }

    /// Ends every connection and refuses new ones until [`Relay::mend`].
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::SeqCst);
        self.shared.shut();
    }

    /// Connections are possible again.
    pub fn mend(&self) {
        self.shared.cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.shut();
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn shut(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(stream) = stream.upgrade() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    fn accept(&self, listener: &Listener) {
        while !self.ended.load(Ordering::SeqCst) {
            let accepted = match listener {
                Listener::Tcp(l) => l.accept().map(|(s, _)| Stream::Tcp(s)),
                Listener::Unix(l) => l.accept().map(|(s, _)| Stream::Unix(s)),
            };
            match accepted {
                Ok(stream) if self.cut.load(Ordering::SeqCst) => drop(stream),
                // A connection that fails is the concern of the one who made it.
                Ok(stream) => drop(self.connect(stream)),
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn connect(&self, near: Stream) -> io::Result<()> {
        near.set_nonblocking(false)?;
        let far = match &self.target {
            Target::Tcp(address) => Stream::Tcp(TcpStream::connect(address)?),
            Target::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        for stream in [&near, &far] {
            if let Stream::Tcp(tcp) = stream {
                tcp.set_nodelay(true)?;
            }
        }
        let (near, far) = (Arc::new(near), Arc::new(far));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|stream| stream.strong_count() > 0);
        open.push(Arc::downgrade(&near));
        drop(open);
        let (near_too, far_too) = (Arc::clone(&near), Arc::clone(&far));
        thread::spawn(move || pump(&near, &far));
        thread::spawn(move || pump(&far_too, &near_too));
        Ok(())
    }
}

/// Copies one direction to its end.
fn pump(from: &Stream, to: &Stream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n]).is_err() {
            // Nobody is left to read for.
            let _ = from.shutdown(Shutdown::Read);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.shutdown(how),
            Self::Unix(s) => s.shutdown(how),
        }
    }

    fn set_nonblocking(&self, yes: bool) -> io::Result<()> {
        match self {
            Self::Tcp(s) => s.set_nonblocking(yes),
            Self::Unix(s) => s.set_nonblocking(yes),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(s) => (&*s).read(buffer),
            Self::Unix(s) => (&*s).read(buffer),
        }
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(s) => (&*s).write_all(bytes),
            Self::Unix(s) => (&*s).write_all(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_both_ways_and_a_cut_is_a_cut() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = server.local_addr().unwrap();
        thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        // Two relays in a row, as in the demo: TCP to a path, the path to TCP.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _far =
            Relay::start(Listener::Unix(UnixListener::bind(&path).unwrap()), Target::Tcp(target)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let near = Relay::start(Listener::Tcp(listener), Target::Unix(path)).unwrap();

        let echo = |stream: &mut TcpStream| {
            let mut answer = [0; 5];
            stream.write_all(b"hello").and_then(|()| stream.read_exact(&mut answer)).map(|()| answer)
        };
        let mut stream = TcpStream::connect(address).unwrap();
        assert_eq!(&echo(&mut stream).unwrap(), b"hello");
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "the end travels as well");

        let mut stream = TcpStream::connect(address).unwrap();
        assert_eq!(&echo(&mut stream).unwrap(), b"hello");
        near.cut();
        assert!(echo(&mut stream).is_err());
        assert!(echo(&mut TcpStream::connect(address).unwrap()).is_err());
        near.mend();
        assert_eq!(&echo(&mut TcpStream::connect(address).unwrap()).unwrap(), b"hello");
    }
}
