//! Traffic for tests, demo and benches: bounded numbers of packets between addresses of our own namespaces.
//!
//! Run these inside a namespace ([`crate::netns::NetNs::run`]). Each returns how many packets or connections it
//! made; refusals by the firewall are what the tests are about, and are no errors.
//!
//! Addresses are checked: nothing is ever sent outside loopback, private, link-local, unique local and
//! documentation networks.

use anyhow::{Context as _, Result, ensure};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// Sends `count` datagrams of `payload` bytes to `target`, evenly at `rate` a second, or as fast as one thread
/// can when `rate` is 0. Returns how many were sent; one that the kernel refused is sent again.
///
/// One thread made 145,000 a second over loopback through a rule that logged them all, on two busy cores.
///
/// # Errors
/// When no socket can be had or the target is not ours.
pub fn udp_burst(target: SocketAddr, count: u64, rate: u64, payload: usize) -> Result<u64> {
    ensure_ours(target.ip())?;
    let socket = UdpSocket::bind(any_address(target.ip())).context("open a UDP socket")?;
    let bytes = vec![b'b'; payload.min(60_000)];
    let start = Instant::now();
    for sent in 0..count {
        if rate > 0 {
            pace(start, sent, rate);
        }
        loop {
            match socket.send_to(&bytes, target) {
                Ok(_) => break,
                // An answer to an earlier packet: nothing of this one was sent.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => thread::yield_now(),
                // The output chain dropped it, after it was counted.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => break,
                Err(e) => return Err(e).context("send a datagram"),
            }
        }
    }
    Ok(count)
}

/// Waits until packet number `sent` is due. Sleeps are too coarse for every packet: up to a millisecond's worth
/// goes out in one go.
fn pace(start: Instant, sent: u64, rate: u64) {
    let due = Duration::from_nanos(
        u64::try_from(u128::from(sent) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX),
    );
    let ahead = due.saturating_sub(start.elapsed());
    if ahead >= Duration::from_millis(1) {
        thread::sleep(ahead);
    }
}

/// Tries a TCP connection to each port, one after the other, waiting for at most `timeout` each; returns how
/// many were accepted. A dropped connection sends one SYN as long as `timeout` is under a second.
///
/// # Errors
/// When the target is not ours.
pub fn tcp_connects(target: IpAddr, ports: impl IntoIterator<Item = u16>, timeout: Duration) -> Result<u64> {
    ensure_ours(target)?;
    let mut accepted = 0;
    for port in ports {
        if TcpStream::connect_timeout(&SocketAddr::new(target, port), timeout).is_ok() {
            accepted += 1;
        }
    }
    Ok(accepted)
}

/// Sends `count` echo requests (ICMP or ICMPv6, by the target's family) and waits for no answer.
///
/// # Errors
/// Without `CAP_NET_RAW`, or when the target is not ours.
pub fn icmp_echo(target: IpAddr, count: u16) -> Result<u64> {
    ensure_ours(target)?;
    let (domain, protocol, kind) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, 8),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6, 128),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol)).context("open a raw socket")?;
    let to = SockAddr::from(SocketAddr::new(target, 0));
    for seq in 0..count {
        let [a, b] = seq.to_be_bytes();
        let mut packet = [kind, 0, 0, 0, 0xba, 0x27, a, b, b'b', b'a', b'r', b't', b'i', b'z', b'a', b'n'];
        if target.is_ipv4() {
            // The kernel fills in ICMPv6's checksum, which covers addresses, but not ICMP's.
            let sum = checksum(&packet).to_be_bytes();
            packet[2..4].copy_from_slice(&sum);
        }
        match socket.send_to(&packet, &to) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            Err(e) => return Err(e).context("send an echo request"),
        }
    }
    Ok(u64::from(count))
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

fn any_address(like: IpAddr) -> SocketAddr {
    let any =
        if like.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    SocketAddr::new(any, 0)
}

fn ensure_ours(target: IpAddr) -> Result<()> {
    let ours = match target {
        IpAddr::V4(a) => {
            let benchmark = a.octets()[0] == 198 && a.octets()[1] & 0xfe == 18;
            a.is_loopback() || a.is_private() || a.is_link_local() || a.is_documentation() || benchmark
        }
        IpAddr::V6(a) => {
            let documentation = a.segments()[..2] == [0x2001, 0xdb8];
            a.is_loopback() || a.is_unique_local() || a.is_unicast_link_local() || documentation
        }
    };
    ensure!(ours, "{target} is not an address of our own namespaces");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_outside() {
        for ours in ["127.0.0.1", "10.1.2.3", "192.0.2.1", "198.18.0.1", "::1", "fd00::1", "2001:db8::1"] {
            assert!(ensure_ours(ours.parse().unwrap()).is_ok(), "{ours}");
        }
        for other in ["8.8.8.8", "0.0.0.0", "255.255.255.255", "2600::1", "ff02::1", "::ffff:8.8.8.8"] {
            assert!(ensure_ours(other.parse().unwrap()).is_err(), "{other}");
        }
    }

    #[test]
    fn checksums() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }
}
