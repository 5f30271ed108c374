//! From packet to `bartizan tail`: how long until a dropped packet is on the screen.
//!
//! Each packet of a second goes to another port, so that a line of the tail says which packet it is.

use crate::figure::{Figure, Goal};
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Agent, Server};
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

const RATE: u32 = 10_000;
const SECONDS: u32 = 15;
const PORTS: u32 = 50_000;
const FIRST_PORT: u32 = 10_000;
const GROUP: u16 = 7;

pub(crate) fn run(figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (netns, dir) = (Arc::new(NetNs::new("latency")?), tempfile::tempdir()?);
    netns.nft(&format!(
        "table inet bench {{ chain input {{ type filter hook input priority 0; policy accept;\n           udp dport {FIRST_PORT}-{} counter log prefix \"late drop: \" group {GROUP} drop\n}}\n}}\n",
        FIRST_PORT + PORTS - 1
    ))?;
    let mut server = Server::new(&dir.path().join("server"), "")?.inside(&netns);
    server.start()?;
    let settings = format!("groups = [{GROUP}]\nserver = \"{}\"", server.agents());
    let mut agent = Agent::new(&dir.path().join("agent"), &settings)?;
    agent.enrol(Some(&netns), server.front(), &server.token(1)?, "late")?;
    agent.start(Some(&netns))?;
    agent.wait_for_capture(&netns, GROUP)?;
    // the connection, and the tail, have to be there before the first packet counts
    thread::sleep(Duration::from_secs(3));

    let mut tail = server.cli()?;
    tail.args(["tail", "proto:udp", "-o", "ndjson", "--columns", "dport"]);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("run bartizan tail")?;
    let lines = BufReader::new(tail.stdout.take().context("the tail's output")?).lines();
    // room for every row: it is emptied at the end only
    let (to, seen) = sync_channel((RATE * SECONDS) as usize * 2);
    let reader = thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let at = Instant::now();
            let port =
                serde_json::from_str::<serde_json::Value>(&line).ok().and_then(|v| v["dport"].as_u64());
            if port.is_some_and(|port| to.send((port, at)).is_err()) {
                return;
            }
        }
    });
    thread::sleep(Duration::from_secs(2));
    let sending = netns.run(|| thread::scope(|_| send()))??;
    thread::sleep(Duration::from_secs(5));
    tail.kill()?;
    tail.wait()?;
    reader.join().map_err(|_| anyhow::anyhow!("the tail's reader ended"))?;
    agent.stop()?;
    server.stop()?;

    let mut late: Vec<f64> = seen.iter().filter_map(|(port, at)| lateness(&sending, port, at)).collect();
    ensure!(!late.is_empty(), "the tail showed nothing");
    late.sort_by(f64::total_cmp);
    let at = |part: f64| {
        late.get((late.len() as f64 * part) as usize).or(late.last()).copied().unwrap_or(f64::NAN)
    };
    let rate = format!("at {RATE} events/s");
    figure(Figure::new(&format!("packet to tail, p50, {rate}"), at(0.5), "ms", Goal::None));
    figure(Figure::new(&format!("packet to tail, p99, {rate}"), at(0.99), "ms", Goal::Under(1000.0)));
    let shown = late.len() as f64 / f64::from(RATE * SECONDS) * 100.0;
    figure(Figure::new(&format!("packets shown by tail, {rate}"), shown, "%", Goal::None));
    Ok(())
}

/// When each packet was sent.
fn send() -> Result<Vec<Instant>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let start = Instant::now();
    let mut sent = Vec::with_capacity((RATE * SECONDS) as usize);
    for n in 0..RATE * SECONDS {
        let due = Duration::from_secs(1) * n / RATE;
        if let Some(wait) = due.checked_sub(start.elapsed()).filter(|w| *w >= Duration::from_millis(1)) {
            thread::sleep(wait);
        }
        let port = u16::try_from(FIRST_PORT + n % PORTS).context("a port")?;
        sent.push(Instant::now());
        // a refusal of an earlier packet is no matter
        let _ = socket.send_to(b"late", ("127.0.0.1", port));
    }
    Ok(sent)
}

/// Milliseconds from the newest packet to this port that was sent before, until it was seen.
fn lateness(sent: &[Instant], port: u64, seen: Instant) -> Option<f64> {
    let first = usize::try_from(port.checked_sub(u64::from(FIRST_PORT))?).ok()?;
    let candidates = (first..sent.len()).step_by(PORTS as usize);
    let newest = candidates.filter_map(|n| sent.get(n)).rfind(|at| **at <= seen)?;
    Some(seen.duration_since(*newest).as_secs_f64() * 1000.0)
}
