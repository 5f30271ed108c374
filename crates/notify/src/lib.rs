//! What systemd is told of a service: ready, reloading, stopping, a line of state, and that there is progress.
//!
//! Only the main process of a unit is believed (`NotifyAccess=main`). Without `NOTIFY_SOCKET` nothing is told to nobody.
//! A manager that does not listen never makes the service wait.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How often the manager wants to hear of progress, if it does: it hears it twice as often.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let text = |name| std::env::var(name).ok();
    every(text("WATCHDOG_USEC")?.as_str(), text("WATCHDOG_PID").as_deref(), std::process::id())
}

fn every(micros: &str, process: Option<&str>, ours: u32) -> Option<Duration> {
    let is_ours = process.is_none_or(|process| process.parse() == Ok(ours));
    let micros: u64 = micros.parse().ok().filter(|micros| *micros > 0 && is_ours)?;
    Some(Duration::from_micros(micros) / 2)
}

/// The way to the service manager.
#[derive(Debug)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
}

impl Notify {
    /// As the environment says.
    #[must_use]
    pub fn from_env() -> Self {
        Self::to(std::env::var_os("NOTIFY_SOCKET").as_deref())
    }

    fn to(place: Option<&OsStr>) -> Self {
        let to = place.filter(|p| !p.is_empty()).and_then(|place| {
            connect(place)
                .inspect_err(|error| tracing::warn!(%error, ?place, "the service manager cannot be told"))
                .ok()
        });
        Self { to }
    }

    /// The service does its work.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// The configuration is read anew; until the next [`Notify::ready`].
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Something moved, or there was nothing to do.
    pub fn progress(&self) {
        self.send("WATCHDOG=1");
    }

    /// One line for people.
    pub fn status(&self, line: &str) {
        let line: String = line.chars().filter(|c| !c.is_control()).take(400).collect();
        self.send(&format!("STATUS={line}"));
    }

    fn send(&self, text: &str) {
        if let Some((socket, address)) = &self.to
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}

fn connect(place: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(place)?,
    };
    let socket = UnixDatagram::unbound()?;
    // a manager that does not read must not stop us
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_one_datagram_and_a_line_stays_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("notify");
        let manager = UnixDatagram::bind(&place).unwrap();
        let notify = Notify::to(Some(place.as_os_str()));
        notify.ready();
        notify.status("5 events\nWATCHDOG=1");
        notify.progress();
        let mut buf = [0; 500];
        let mut next = || {
            let len = manager.recv(&mut buf).unwrap();
            String::from_utf8(buf[..len].to_vec()).unwrap()
        };
        assert_eq!(next(), "READY=1");
        assert_eq!(next(), "STATUS=5 eventsWATCHDOG=1");
        assert_eq!(next(), "WATCHDOG=1");
        notify.reloading();
        assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    }

    #[test]
    fn a_manager_that_wants_to_hear_of_somebody_else_is_told_nothing() {
        assert_eq!(every("60000000", None, 7), Some(Duration::from_secs(30)));
        assert_eq!(every("60000000", Some("7"), 7), Some(Duration::from_secs(30)));
        assert_eq!(every("60000000", Some("8"), 7), None);
        assert_eq!((every("0", None, 7), every("soon", None, 7)), (None, None));
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        Notify::to(None).ready();
        Notify::to(Some(OsStr::new("/nowhere/at/all"))).ready();
    }
}
