//! `bartizan-flood MAC ADDRESS RATE COUNT SECONDS CPU MIX`: frames on the one link of a network namespace.
//!
//! Sends COUNT frames at RATE a second (0: as fast as it can), for SECONDS at the most, from one thread pinned to
//! CPU, and prints `{"sent":N,"seconds":S}`. MIX is `scan` or `flows`. A raw packet socket with 64 frames to a system
//! call: the kernel of the machine carries each frame to the other end of the veth and through its rules on the same
//! core, before the call returns.
//!
//! Only for namespaces of our own: it refuses to run where there are more interfaces than `lo` and one more.

mod frame;

use anyhow::{Context as _, Result, bail, ensure};
use frame::{Frames, LONGEST, Mix};
use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use rustix::thread::{CpuSet, sched_setaffinity};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

/// Frames to a system call.
const BATCH: usize = 64;
/// Below this rate, fewer: so many calls a second.
const CALLS: u64 = 4000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mac, target, rate, count, seconds, cpu, mix] = args.as_slice() else {
        bail!("MAC ADDRESS RATE COUNT SECONDS CPU MIX");
    };
    let target: Ipv4Addr = target.parse().context("the address")?;
    let (rate, count): (u64, u64) = (rate.parse().context("the rate")?, count.parse().context("the count")?);
    let limit = Duration::from_secs_f64(seconds.parse().context("the seconds")?);
    let mix = match mix.as_str() {
        "scan" => Mix::Scan,
        "flows" => Mix::Flows,
        other => bail!("there is no mix {other}"),
    };
    pin(cpu.parse().context("the cpu")?)?;
    let socket = link(target)?;
    let mut frames = Frames::new(parse_mac(mac)?, target, mix, 0x9e37_79b9_7f4a_7c15);
    let mut buffers = [[0; LONGEST]; BATCH];
    let batch = if rate == 0 { BATCH } else { usize::try_from(rate / CALLS)?.clamp(1, BATCH) };
    let (start, mut sent) = (Instant::now(), 0);
    while sent < count && start.elapsed() < limit {
        let wanted = batch.min(usize::try_from(count - sent).unwrap_or(BATCH));
        let lengths: Vec<usize> = buffers[..wanted].iter_mut().map(|buffer| frames.next(buffer)).collect();
        if rate > 0 {
            wait(start + Duration::from_secs_f64(sent as f64 / rate as f64));
        }
        send(&socket, buffers.iter().zip(lengths).map(|(buffer, length)| &buffer[..length]))?;
        sent += wanted as u64;
    }
    #[expect(clippy::print_stdout, reason = "what it is asked for")]
    {
        println!(r#"{{"sent":{sent},"seconds":{:.4}}}"#, start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn send<'a>(socket: &Socket, frames: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let parts: Vec<[IoSlice<'_>; 1]> = frames.map(|frame| [IoSlice::new(frame)]).collect();
    let mut nothing: Vec<SendAncillaryBuffer<'_, '_, '_>> =
        parts.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<MMsgHdr<'_>> =
        parts.iter().zip(&mut nothing).map(|(part, nothing)| MMsgHdr::new(part, nothing)).collect();
    let mut rest = &mut messages[..];
    while !rest.is_empty() {
        match sendmmsg(socket, rest, SendFlags::empty()) {
            Ok(done) => rest = &mut rest[done..],
            Err(Errno::NOBUFS | Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error).context("send frames"),
        }
    }
    Ok(())
}

/// A packet socket bound to the namespace's one link. Its address is that of a packet that was seen there.
fn link(target: Ipv4Addr) -> Result<Socket> {
    const ALL: u16 = 3;
    let names: Vec<_> = std::fs::read_dir("/sys/class/net")?.flatten().map(|e| e.file_name()).collect();
    ensure!(
        names.len() == 2 && names.iter().any(|n| n == "lo"),
        "not in a namespace with one link: {names:?}"
    );
    let protocol = Some(Protocol::from(i32::from(ALL.to_be())));
    let socket = Socket::new(Domain::PACKET, Type::RAW, protocol).context("open a packet socket")?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let _ = UdpSocket::bind("0.0.0.0:0")?.send_to(b"here", (target, 9));
    let mut buffer = [MaybeUninit::uninit(); LONGEST];
    let (_, seen) = socket.recv_from(&mut buffer).context("see a packet on the link")?;
    drop(socket);
    bound(&seen)
}

fn bound(address: &SockAddr) -> Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None).context("open a packet socket")?;
    socket.set_send_buffer_size(8 << 20)?;
    socket.bind(address).context("bind to the link")?;
    Ok(socket)
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("run on cpu {cpu}"))
}

/// Sleeps are too coarse for the last bit.
fn wait(until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    if left > Duration::from_micros(150) {
        std::thread::sleep(left - Duration::from_micros(80));
    }
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let bytes: Result<Vec<u8>, _> = text.split(':').map(|part| u8::from_str_radix(part, 16)).collect();
    bytes.ok().and_then(|bytes| bytes.try_into().ok()).with_context(|| format!("{text} is no address"))
}
