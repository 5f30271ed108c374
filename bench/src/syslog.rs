//! Syslog from senders without an agent: lines a second from their sockets to committed rows, with the sender on the
//! same machine.
//!
//! Time ends when the server has stopped, so that everything is committed; then it is started again and its rows are
//! counted. TCP may lose nothing; of UDP what the kernel dropped is on the ledger.

use crate::figure::{Figure, Goal};
use crate::machine::{cpu_seconds, median, peak_megabytes};
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::process::{Server, wait_until};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is hoped for, in lines a second.
const GOAL: u64 = 300_000;
/// Lines of a run.
const LINES: u64 = 4_000_000;
/// Different lines.
const DIFFERENT: usize = 8192;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    for (kind, send) in [("tcp", by_tcp as Send), ("udp", by_udp)] {
        let runs = (0..ROUNDS).map(|_| run_of(kind, send)).collect::<Result<Vec<_>>>()?;
        let of = |get: fn(&Run) -> f64| median(runs.iter().map(get));
        let name = |what: &str| format!("syslog {kind}, {what}");
        figure(Figure::new(
            &name("socket to committed rows"),
            of(|r| r.rate),
            "lines/s",
            Goal::AtLeast(GOAL as f64),
        ));
        let none = if kind == "tcp" { Goal::Equal(0.0) } else { Goal::None };
        figure(Figure::new(&name("lost, all counted"), of(|r| r.lost), "lines", none));
        figure(Figure::new(&name("server CPU"), of(|r| r.cpu), "s/million", Goal::None));
        figure(Figure::new(&name("server memory, peak"), of(|r| r.memory), "MB", Goal::None));
    }
    Ok(())
}

/// Sends so many lines.
type Send = fn(SocketAddr, &[Vec<u8>], u64) -> Result<()>;

struct Run {
    rate: f64,
    lost: f64,
    cpu: f64,
    memory: f64,
}

fn run_of(kind: &str, send: Send) -> Result<Run> {
    let dir = tempfile::tempdir()?;
    let settings = format!("[[collect]]\nkind = \"syslog-{kind}\"\naddress = \"127.0.0.1:0\"");
    let mut server = Server::new(dir.path(), &settings)?;
    server.start()?;
    let addresses = std::fs::read_to_string(dir.path().join("collect_addresses"))?;
    let to = addresses.trim().rsplit(' ').next().context("an address")?.parse()?;
    let lines = lines()?;
    let pid = server.running().context("it does not run")?.id();
    let (before, start) = (cpu_seconds(pid)?, Instant::now());
    send(to, &lines, LINES)?;
    // what has not been read yet is in the kernel's buffers
    let lost = wait_until("every line", PATIENCE, || {
        let (rows, lost) = (server.search_count("")?, server.losses_sum()?);
        ensure!(rows + lost <= LINES, "{rows} rows and {lost} lost of {LINES} lines");
        Ok((rows + lost == LINES).then_some(lost))
    })?;
    let (cpu, memory) = (cpu_seconds(pid)? - before, peak_megabytes(pid)?);
    server.stop()?;
    let seconds = start.elapsed().as_secs_f64();
    server.start()?;
    let rows = server.search_count("")?;
    ensure!(rows + lost == LINES, "{rows} rows and {lost} lost of {LINES} lines after a restart");
    server.stop()?;
    let million = rows as f64 / 1e6;
    Ok(Run { rate: rows as f64 / seconds, lost: lost as f64, cpu: cpu / million, memory })
}

/// Lines as a kernel's logger sends them, written now.
fn lines() -> Result<Vec<Vec<u8>>> {
    let now = Command::new("date").arg("+%b %e %H:%M:%S").output().context("run date")?.stdout;
    let now = String::from_utf8(now).context("a date")?;
    let line = |n: usize| {
        format!(
            "<4>{} gw-{} kernel: [{}.{:06}] IN-drop: IN=eth0 OUT= MAC=52:54:00:12:34:56:52:54:00:ab:cd:ef:08:00 \
             SRC=203.0.{}.{} DST=198.51.100.{} LEN=60 TOS=0x00 PREC=0x00 TTL={} ID={} DF PROTO=TCP SPT={} DPT={} \
             WINDOW=64240 RES=0x00 SYN URGP=0 ",
            now.trim(),
            n % 4,
            100_000 + n,
            n * 37 % 1_000_000,
            n / 256 % 256,
            n % 256,
            n % 16,
            40 + n % 25,
            n * 7919 % 65_536,
            1024 + n * 31 % 60_000,
            [22, 23, 80, 443, 3389, 8080, 5900, 445][n % 8]
        )
        .into_bytes()
    };
    Ok((0..DIFFERENT).map(line).collect())
}

fn by_tcp(to: SocketAddr, lines: &[Vec<u8>], count: u64) -> Result<()> {
    let mut stream = TcpStream::connect(to)?;
    let all: Vec<u8> =
        lines.iter().flat_map(|line| line.iter().copied().chain(std::iter::once(b'\n'))).collect();
    let rounds = count / lines.len() as u64;
    for _ in 0..rounds {
        stream.write_all(&all)?;
    }
    for line in lines.iter().take(usize::try_from(count - rounds * lines.len() as u64)?) {
        stream.write_all(line)?;
        stream.write_all(b"\n")?;
    }
    Ok(())
}

/// At a steady pace: what comes faster than it is taken is lost, and nobody learns how fast it could be.
fn by_udp(to: SocketAddr, lines: &[Vec<u8>], count: u64) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(to)?;
    let start = Instant::now();
    for (n, line) in (0..count).zip(lines.iter().cycle()) {
        // a full buffer of the sender is no loss
        while socket.send(line).is_err() {
            std::thread::sleep(Duration::from_micros(100));
        }
        if n % 256 == 0 {
            let due = Duration::from_nanos(n * 1_000_000_000 / (GOAL * 11 / 10));
            if let Some(early) = due.checked_sub(start.elapsed()) {
                std::thread::sleep(early);
            }
        }
    }
    Ok(())
}
