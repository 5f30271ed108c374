//! What goes on in a fleet: customers, colleagues, scans. Bounded in rate, and in time by whoever started it.
//!
//! About 150 packets a second reach the firewalls, a third of them in bursts. Which ones is decided by a small
//! generator with a fixed seed, so that two demos look alike.

use crate::{
    fleet::{Fleet, Role, admin, customer, stranger, stranger6},
    traffic,
};
use anyhow::{Context as _, Result};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// One beat; its parts are spread over it by the time they take.
const BEAT: Duration = Duration::from_millis(200);
/// What scanners try first.
const PORTS: &[u16] =
    &[21, 22, 23, 25, 110, 139, 445, 1433, 3306, 3389, 5432, 5900, 6379, 8080, 8443, 9200, 27017];
const UDP_PORTS: &[u16] = &[53, 123, 137, 161, 389, 1900, 5060, 11211];

/// Lets the fleet live until `stop`.
///
/// # Errors
/// When a socket cannot be had; refusals are life.
pub fn live(fleet: &Fleet, stop: &AtomicBool) -> Result<()> {
    let mut random = StdRng::seed_from_u64(5);
    let mut beat: u64 = 0;
    while !stop.load(Ordering::SeqCst) {
        let start = Instant::now();
        fleet.internet.run(|| from_outside(&mut random, beat))??;
        if beat.is_multiple_of(5) {
            from_hosts(fleet, &mut random)?;
        }
        beat += 1;
        thread::sleep(BEAT.saturating_sub(start.elapsed()));
    }
    Ok(())
}

fn from_outside(random: &mut StdRng, beat: u64) -> Result<()> {
    let mut any = |n: u8| random.random_range(0..n);
    let web = Role::Web.v4().into();
    // Customers, and what every address gets all day.
    visit(customer(any(200)), web, 443)?;
    visit(stranger6(any(200).into()), Role::Web.v6().into(), 80)?;
    for _ in 0..5 {
        let host = Role::ALL[usize::from(any(3))];
        let port = PORTS[usize::from(any(PORTS.len() as u8))];
        connect(stranger(any(20)), host.v4().into(), port)?;
        connect(stranger6(any(9).into()), host.v6().into(), port)?;
    }
    let host = Role::ALL[usize::from(any(3))];
    let port = UDP_PORTS[usize::from(any(UDP_PORTS.len() as u8))];
    datagram(stranger(any(250)), SocketAddr::new(host.v4().into(), port))?;
    datagram(stranger6(any(250).into()), SocketAddr::new(host.v6().into(), port))?;
    visit(admin(any(12)), Role::Bastion.v4().into(), 22)?;
    match beat % 25 {
        // One stranger goes through all ports of one host.
        5 => {
            let (from, host) = (stranger(66), Role::ALL[usize::from(any(3))]);
            for port in 1..=200 {
                connect(from, host.v4().into(), port)?;
            }
        }
        // More pings than the rules' limit lets through.
        12 => {
            traffic::icmp_echo(host.v4().into(), 30)?;
            traffic::icmp_echo(host.v6().into(), 30)?;
        }
        // Somebody guesses passwords.
        18 => {
            for _ in 0..40 {
                connect(stranger(99), Role::Bastion.v4().into(), 22)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Hosts among themselves: the web server asks the database, the bastion reaches both, and what should not be.
fn from_hosts(fleet: &Fleet, random: &mut StdRng) -> Result<()> {
    let in_time = Duration::from_millis(100);
    let out = PORTS[random.random_range(0..PORTS.len())];
    for (from, to, port) in [
        (Role::Web, Role::Db, 5432),
        (Role::Bastion, Role::Web, 22),
        (Role::Bastion, Role::Db, 22),
        (Role::Bastion, Role::Db, 5432),
        (Role::Web, Role::Bastion, 22),
        (Role::Web, Role::Db, 6379),
        (Role::Db, Role::Web, out),
    ] {
        fleet.host(from).netns.run(|| traffic::tcp_connects(to.v4().into(), [port], in_time))??;
    }
    let web = &fleet.host(Role::Web).netns;
    web.run(|| traffic::tcp_connects(Role::Db.v6().into(), [5432], in_time))??;
    Ok(())
}

/// A connection that comes about: greeting and end.
fn visit(from: IpAddr, to: IpAddr, port: u16) -> Result<()> {
    let _ =
        socket(from)?.connect_timeout(&SockAddr::from(SocketAddr::new(to, port)), Duration::from_millis(50));
    Ok(())
}

/// Begins a connection and does not wait: one SYN.
fn connect(from: IpAddr, to: IpAddr, port: u16) -> Result<()> {
    let socket = socket(from)?;
    socket.set_nonblocking(true)?;
    // In progress, or refused already; both are fine.
    let _ = socket.connect(&SockAddr::from(SocketAddr::new(to, port)));
    Ok(())
}

fn socket(from: IpAddr) -> Result<Socket> {
    let from = SocketAddr::new(from, 0);
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.context("open a TCP socket")?;
    // Closing sends a reset at once: nothing lingers, nothing is sent again later.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SockAddr::from(from)).with_context(|| format!("be {from}"))?;
    Ok(socket)
}

fn datagram(from: IpAddr, to: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind((from, 0)).with_context(|| format!("be {from}"))?;
    let _ = socket.send_to(b"who is there?", to);
    Ok(())
}
