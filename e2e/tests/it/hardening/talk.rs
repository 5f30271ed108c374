//! Talking to a port byte by byte, as no library would.

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A read or a write that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection from an address of this machine's own.
pub(super) fn dial(to: SocketAddr, from: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from: IpAddr = from.parse().unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// TLS over it, with the handshake done.
pub(super) fn shake(tls: &Arc<ClientConfig>, stream: TcpStream) -> io::Result<Tls> {
    let name = "localhost".try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
    let mut stream = stream;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// An answer of HTTP/1.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut same = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = same.next().map(|(_, value)| value.as_str());
        assert!(same.next().is_none(), "{name} is there twice");
        value
    }
}

/// Takes a whole answer from the beginning of what was read.
pub(super) fn take_answer(read: &mut Vec<u8>) -> Option<Answer> {
    let head = read.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = String::from_utf8(read[..head].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let end = if answer.header("transfer-encoding").is_some() {
        let mut at = head;
        loop {
            let line = read[at..].windows(2).position(|w| w == b"\r\n")?;
            let size = std::str::from_utf8(&read[at..at + line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let from = at + line + 2;
            answer.body.extend(read.get(from..from + size)?);
            at = from + size + 2;
            if at > read.len() {
                return None;
            }
            if size == 0 {
                break at;
            }
        }
    } else {
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body.extend(read.get(head..head + length)?);
        head + length
    };
    read.drain(..end);
    Some(answer)
}

/// Everything until the other side ends the connection, however it does so.
pub(super) fn read_all(stream: &mut Tls) -> Vec<u8> {
    let (mut read, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        read.extend(&piece[..n]);
    }
    read
}

/// Sends bytes and takes every answer until the connection ends.
pub(super) fn say(stream: &mut Tls, bytes: &[u8]) -> Vec<Answer> {
    // Who is cut off while he writes still reads what was said before.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    let mut read = read_all(stream);
    std::iter::from_fn(|| take_answer(&mut read)).collect()
}

/// A request of HTTP/1, after which the connection ends.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: watch.example.net\r\nconnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    [text.as_bytes(), b"\r\n", body].concat()
}

/// What a client of HTTP/2 says first: the preface and its settings.
pub(super) fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat()
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of `GET /api/v1/health`, packed (RFC 7541): indexed names, texts as they are.
pub(super) fn get_health() -> Vec<u8> {
    let path = b"/api/v1/health";
    let mut head = vec![0x82, 0x87, 0x41, 9];
    head.extend(b"localhost");
    head.extend([0x04, u8::try_from(path.len()).unwrap()]);
    head.extend(path);
    head
}

/// The frames in what was read: kind and payload.
pub(super) fn frames(mut read: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [a, b, c, kind, _flags, _, _, _, _, rest @ ..] = read {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(payload) = rest.get(..length) else { break };
        found.push((*kind, payload.to_vec()));
        read = &rest[length..];
    }
    found
}

/// A hello of a version of TLS that only knows these suites (RFC 5246, 7.4.1.2).
pub(super) fn hello(version: [u8; 2], suites: &[u16]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]); // random
    body.push(0); // no session
    body.extend(u16::try_from(suites.len() * 2).unwrap().to_be_bytes());
    body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    body.extend([1, 0]); // no compression
    // groups (x25519, P-256) and signatures (ECDSA and RSA-PSS with SHA-256)
    let extensions =
        [&[0, 10, 0, 6, 0, 4, 0, 29, 0, 23][..], &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4], &[0, 11, 0, 2, 1, 0]]
            .concat();
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1], &length[1..], &body[..]].concat();
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&[22, 3, 1], &length[..], &message[..]].concat()
}
