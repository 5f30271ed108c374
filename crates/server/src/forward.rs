//! The audit log, forwarded to a receiver of syslog (RFC 5424).
//!
//! - The log is its own queue: entries are numbered, never change and are on disk, so this reads what is behind the last
//!   number that arrived. Whoever does something waits for the catalog, and never for the receiver.
//! - How far it has come stands in a file of the server's directory. Over TCP, which acknowledges nothing, an entry
//!   counts as arrived when its connection has lived on for [`SETTLED`]; what a broken connection may have swallowed is
//!   said again. So every entry arrives at least once, and its number tells one that comes twice.
//! - Datagrams may be lost on their way; nobody can know.
//! - A receiver that is away is tried again, with pauses of up to a minute.

use anyhow::{Context as _, bail};
use bartizan_catalog::{AuditEntry, AuditPage, Catalog, NewAudit};
use bartizan_query::render::time_text;
use data_encoding::HEXLOWER;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};
use tokio::sync::watch;

/// How far it has come, in the server's directory.
pub(crate) const POSITION: &str = "audit.forwarded";
/// Entries that are read at once.
const PIECE: u32 = 100;
/// How often it looks for new ones.
const LOOK: Duration = Duration::from_millis(500);
/// How long a connection has to live on after an entry was written to it.
const SETTLED: Duration = Duration::from_secs(5);
/// How long the receiver may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Log audit, notice (RFC 5424, 6.2.1).
const PRIORITY: u8 = 13 * 8 + 5;
/// The name of our structured data. 32473 is the number that is kept for whoever has none (RFC 5612).
const ELEMENT: &str = "bartizan@32473";

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `tcp://HOST:PORT`, with octet counts (RFC 6587).
    Tcp(String),
    /// `udp://HOST:PORT`.
    Udp(String),
    /// `unix:///PATH`, datagrams.
    Unix(PathBuf),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(place) => write!(f, "tcp://{place}"),
            Self::Udp(place) => write!(f, "udp://{place}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl std::str::FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = |rest: &str| match rest.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                Ok(rest.to_owned())
            }
            _ => Err(format!("`{text}` has no HOST:PORT")),
        };
        match text.split_once("://") {
            Some(("tcp", rest)) => place(rest).map(Self::Tcp),
            Some(("udp", rest)) => place(rest).map(Self::Udp),
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            _ => Err(format!("`{text}` is not tcp://HOST:PORT, udp://HOST:PORT or unix:///PATH")),
        }
    }
}

/// Forwards until `stop`.
pub(crate) async fn forward(
    catalog: Catalog,
    dir: PathBuf,
    to: Destination,
    mut stop: watch::Receiver<bool>,
) {
    let (mut pause, mut told) = (FIRST_PAUSE, false);
    while !*stop.borrow() {
        let began = Instant::now();
        let Err(error) = session(&catalog, &dir, &to, &mut stop).await else { return };
        if began.elapsed() > LONGEST_PAUSE {
            (pause, told) = (FIRST_PAUSE, false);
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(error = format!("{error:#}"), "the audit log cannot be forwarded; trying again");
        }
        tokio::select! { _ = tokio::time::sleep(pause) => {}, _ = stop.changed() => {} }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One connection, until it breaks; well ended at `stop`, with all that was there until then.
async fn session(
    catalog: &Catalog,
    dir: &Path,
    to: &Destination,
    stop: &mut watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut link = Link::connect(to).await?;
    let position = dir.join(POSITION);
    let mut arrived = position_in(&position, catalog).await?;
    let (host, mut said) = (host_name(), arrived);
    let mut settling: VecDeque<(Instant, i64)> = VecDeque::new();
    loop {
        let ends = *stop.borrow();
        loop {
            let entries = catalog.audit_behind(said, PIECE).await?;
            for entry in &entries {
                let message = message(entry, &host, std::process::id());
                tokio::time::timeout(PATIENCE, link.say(message.as_bytes()))
                    .await
                    .context("it takes nothing")??;
                said = entry.id;
            }
            settling.extend(entries.last().map(|last| (Instant::now(), last.id)));
            if entries.len() < PIECE as usize {
                break;
            }
        }
        if ends {
            link.end().await?;
        } else {
            link.lives()?;
        }
        let before = arrived;
        let is_settled = |since: &Instant| ends || !link.is_stream() || since.elapsed() >= SETTLED;
        while let Some((_, id)) = settling.pop_front_if(|(since, _)| is_settled(since)) {
            arrived = id;
        }
        if arrived != before {
            crate::run::replace(&position, &format!("{arrived}\n"), 0o600)?;
        }
        if ends {
            return Ok(());
        }
        tokio::select! { () = tokio::time::sleep(LOOK) => {}, _ = stop.changed() => {} }
    }
}

/// The number of the last entry that arrived; never more than there are, as after a backup was restored.
async fn position_in(path: &Path, catalog: &Catalog) -> anyhow::Result<i64> {
    let known = match std::fs::read_to_string(path) {
        Ok(text) => text.trim().parse().unwrap_or(0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let last = catalog.audit(&AuditPage { limit: 1, ..AuditPage::default() }).await?;
    Ok(last.first().map_or(0, |last| last.id).min(known))
}

/// This machine's name. The unit shows nothing of `/proc` but processes.
fn host_name() -> String {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname")).unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// An entry as one message.
fn message(entry: &AuditEntry, host: &str, process: u32) -> String {
    let NewAudit { who, address, what, about, old, new } = &entry.entry;
    let mut text =
        format!("<{PRIORITY}>1 {} {host} bartizan {process} audit [{ELEMENT}", time_text(entry.at));
    let (id, hash) = (entry.id.to_string(), HEXLOWER.encode(&entry.hash));
    let parts = [
        ("id", Some(&id)),
        ("who", Some(who)),
        ("address", address.as_ref()),
        ("what", Some(what)),
        ("about", about.as_ref()),
        ("old", old.as_ref()),
        ("new", new.as_ref()),
        ("hash", Some(&hash)),
    ];
    for (name, value) in parts {
        let Some(value) = value else { continue };
        let _ = write!(text, " {name}=\"");
        for c in value.chars() {
            match c {
                '"' | '\\' | ']' => text.extend(['\\', c]),
                // one message is one line, whatever the receiver makes of it
                c if c.is_control() => text.push('\u{fffd}'),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    let about = about.as_deref().unwrap_or_default();
    let words = format!("] {who}: {what} {about}");
    text.extend(words.trim_end().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
    text
}

/// The way to the receiver.
enum Link {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Link {
    async fn connect(to: &Destination) -> anyhow::Result<Self> {
        let connecting = async {
            Ok::<_, std::io::Error>(match to {
                Destination::Tcp(place) => Self::Tcp(TcpStream::connect(place).await?),
                Destination::Udp(place) => Self::Udp(udp(place).await?),
                Destination::Unix(path) => {
                    let socket = UnixDatagram::unbound()?;
                    socket.connect(path)?;
                    Self::Unix(socket)
                }
            })
        };
        let connected = tokio::time::timeout(PATIENCE, connecting).await;
        connected.context("it does not answer")?.with_context(|| format!("cannot connect to {to}"))
    }

    const fn is_stream(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    async fn say(&mut self, message: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Tcp(stream) => {
                let frame = [format!("{} ", message.len()).as_bytes(), message].concat();
                stream.write_all(&frame).await.context("cannot write to it")
            }
            Self::Udp(socket) => socket.send(message).await.map(drop).context("cannot send to it"),
            Self::Unix(socket) => socket.send(message).await.map(drop).context("cannot send to it"),
        }
    }

    /// Whether the receiver is still there. What it says is nothing to us.
    fn lives(&self) -> anyhow::Result<()> {
        let Self::Tcp(stream) = self else { return Ok(()) };
        let mut buffer = [0; 512];
        loop {
            match stream.try_read(&mut buffer) {
                Ok(0) => bail!("it has closed the connection"),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("the connection is broken"),
            }
        }
    }

    /// Says that there is no more, and waits until the receiver has heard it.
    async fn end(&mut self) -> anyhow::Result<()> {
        let Self::Tcp(stream) = self else { return Ok(()) };
        stream.shutdown().await.context("cannot end the connection")?;
        let closed = async {
            let mut buffer = [0; 512];
            loop {
                stream.readable().await?;
                match stream.try_read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(2), closed)
            .await
            .context("it does not end")?
            .context("it broke off")
    }
}

/// A socket of the family of whom it is to.
async fn udp(place: &str) -> std::io::Result<UdpSocket> {
    let mut last = std::io::Error::other("the name has no address");
    for address in tokio::net::lookup_host(place).await? {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::Micros;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    async fn log(dir: &Path, entries: i64) -> Catalog {
        let catalog = Catalog::open(&dir.join("catalog.db")).await.unwrap();
        for n in 0..entries {
            let about = Some(format!("number {n} of \"some\" [things]\n"));
            let entry =
                NewAudit { who: "ada".into(), what: "users_add".into(), about, ..NewAudit::default() };
            catalog.add_audit(&entry, Micros(n), |_, _, _| [7; 32]).await.unwrap();
        }
        catalog
    }

    fn numbers(text: &str) -> Vec<i64> {
        let after = |part: &str| part.split('"').next().unwrap().parse().unwrap();
        text.split(" id=\"").skip(1).map(after).collect()
    }

    /// Messages with their lengths before them.
    fn frames(mut text: &str) -> Vec<&str> {
        let mut frames = Vec::new();
        while let Some((length, rest)) = text.split_once(' ') {
            let (frame, next) = rest.split_at(length.parse().unwrap());
            frames.push(frame);
            text = next;
        }
        frames
    }

    #[test]
    fn places_are_read_and_wrong_ones_are_named() {
        let place = |text: &str| text.parse::<Destination>();
        assert_eq!(place("tcp://log.example.net:601"), Ok(Destination::Tcp("log.example.net:601".into())));
        assert_eq!(place("udp://[::1]:514"), Ok(Destination::Udp("[::1]:514".into())));
        assert_eq!(place("unix:///dev/log"), Ok(Destination::Unix("/dev/log".into())));
        assert_eq!(place("unix:///dev/log").map(|place| place.to_string()), Ok("unix:///dev/log".into()));
        for wrong in ["tcp://log", "tcp://:601", "udp://x:0", "unix://dev/log", "log:514", ""] {
            assert!(place(wrong).unwrap_err().starts_with(&format!("`{wrong}`")), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_message_is_one_line_with_everything_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = log(dir.path(), 1).await;
        let entry = catalog.audit_behind(0, 1).await.unwrap().remove(0);
        let text = message(&entry, "watch", 42);
        let hash = "07".repeat(32);
        assert_eq!(
            text,
            format!(
                "<109>1 1970-01-01T00:00:00.000000Z watch bartizan 42 audit [bartizan@32473 id=\"1\" who=\"ada\" \
                 what=\"users_add\" about=\"number 0 of \\\"some\\\" [things\\]\u{fffd}\" hash=\"{hash}\"] \
                 ada: users_add number 0 of \"some\" [things]"
            )
        );
    }

    #[tokio::test]
    async fn what_a_broken_connection_swallowed_is_said_again_and_the_rest_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = log(dir.path(), 250).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Destination::Tcp(listener.local_addr().unwrap().to_string());
        let (stop, stopped) = watch::channel(false);
        let running =
            tokio::spawn(forward(catalog.clone(), dir.path().to_owned(), to.clone(), stopped.clone()));
        // the first receiver hears something and is gone
        let (mut first, _) = listener.accept().await.unwrap();
        first.read_exact(&mut [0; 100]).await.unwrap();
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        stop.send_replace(true);
        let mut text = String::new();
        second.read_to_string(&mut text).await.unwrap();
        drop(second);
        running.await.unwrap();
        assert_eq!(numbers(&text), (1..=250).collect::<Vec<_>>());
        assert!(frames(&text).iter().all(|message| message.starts_with("<109>1 ")), "{text}");
        assert_eq!(std::fs::read_to_string(dir.path().join(POSITION)).unwrap(), "250\n");

        // another life goes on behind that
        let entry = NewAudit { who: "bob".into(), what: "later".into(), ..NewAudit::default() };
        catalog.add_audit(&entry, Micros(1), |_, _, _| [8; 32]).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(forward(catalog.clone(), dir.path().to_owned(), to, stopped));
        let (mut third, _) = listener.accept().await.unwrap();
        stop.send_replace(true);
        let mut text = String::new();
        third.read_to_string(&mut text).await.unwrap();
        drop(third);
        running.await.unwrap();
        assert_eq!(numbers(&text), [251]);
    }

    #[tokio::test]
    async fn datagrams_are_messages_and_a_restored_log_is_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = log(dir.path(), 3).await;
        std::fs::write(dir.path().join(POSITION), "900\n").unwrap();
        assert_eq!(position_in(&dir.path().join(POSITION), &catalog).await.unwrap(), 3);
        std::fs::write(dir.path().join(POSITION), "1\n").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let unix = UnixDatagram::bind(dir.path().join("log")).unwrap();
        let places = [
            Destination::Udp(udp.local_addr().unwrap().to_string()),
            Destination::Unix(dir.path().join("log")),
        ];
        for (n, to) in places.into_iter().enumerate() {
            std::fs::write(dir.path().join(POSITION), "1\n").unwrap();
            let (stop, stopped) = watch::channel(false);
            let running = tokio::spawn(forward(catalog.clone(), dir.path().to_owned(), to, stopped));
            let mut buffer = [0; 1000];
            for id in [2, 3] {
                let len = if n == 0 { udp.recv(&mut buffer).await } else { unix.recv(&mut buffer).await };
                let text = String::from_utf8_lossy(&buffer[..len.unwrap()]).into_owned();
                assert_eq!(numbers(&text), [id], "{text}");
                assert!(text.starts_with("<109>1 "), "{text}");
            }
            stop.send_replace(true);
            running.await.unwrap();
        }
    }
}
