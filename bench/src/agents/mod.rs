//! Ten thousand agents and one server: what it costs that they are there, and how they come back when it was away.
//!
//! All agents are in this process ([`host`]): the real client with the real pauses over mutual TLS, each with a key, a
//! certificate and a stream of its own. A hundred and some are busy hosts, with a batch of 500 events in each second;
//! the others say one row a minute, as a host does of which only counters are heard. Both are on the same two cores as
//! the server, which does the half of all handshakes.
//!
//! - *idle*: each has connected, opened its stream and had its first batch committed.
//! - *restart*: the server is stopped under that load, and started again; once in order and once by `kill -9`. A bin
//!   is a tenth of a second; attempts are counted from the first that finds nobody to the last that comes in.
//! - *caught up*: no more rows wait than did before, when everything was well.
//! - *lost*: every row that was made is counted by the API in the end.

mod host;
mod record;
mod roll;

use crate::figure::{Figure, Goal};
use crate::fleet::{Event, Fleet, Plan, Sent};
use crate::machine::{cpu_seconds, resident_kilobytes};
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::process::{Server, allow_files, wait_until};
use bartizan_model::Micros;
use bartizan_wire::{Encoder, Endpoint, spread_of};
use bytes::Bytes;
use host::{Host, Load, Packed};
use rand::Rng as _;
use record::{Record, peak_over_mean};
use roll::Roll;
use serde_json::Value;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Hosts, unless another number is asked for.
const HOSTS: usize = 10_000;
/// Of them, one in so many is busy: 52,000 events a second of all, so that 50,000 are left when the end is waited for.
const BUSY: usize = 96;
/// Rows of a busy host's batch, one in each second, of a first batch, and of others.
const ROWS: usize = 500;
const GREETING: usize = 20;
/// Different forms of each.
const FORMS: usize = 40;
/// Between batches of hosts that are not busy.
const QUIET: Duration = Duration::from_secs(60);
/// How long everybody may take to come, or to come back; then it is said how many did.
const PATIENCE: Duration = Duration::from_secs(240);

/// `agents [HOSTS]`.
pub(crate) fn run(args: &[String], figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let count = args.first().map_or(Ok(HOSTS), |text| text.parse()).context("agents [HOSTS]")?;
    let mut trial = Trial::prepare(count)?;
    trial.idle(figure)?;
    trial.load.send_modify(|load| load.begun = Some(Instant::now()));
    thread::sleep(Duration::from_secs(15));
    trial.restart("restart", figure, |server| server.stop())?;
    thread::sleep(Duration::from_secs(10));
    trial.restart("after kill -9", figure, |server| server.kill())?;
    thread::sleep(Duration::from_secs(10));
    trial.end(figure)
}

/// A server, and those who send to it.
struct Trial {
    /// Dropped first, so that nobody tries in vain.
    runtime: tokio::runtime::Runtime,
    server: Server,
    hosts: Vec<Arc<Host>>,
    load: watch::Sender<Load>,
    record: Arc<Record>,
    _dir: tempfile::TempDir,
}

impl Trial {
    fn prepare(count: usize) -> Result<Self> {
        // Some more than connections.
        allow_files(u32::try_from(count)? + 500)?;
        let dir = tempfile::tempdir()?;
        let mut server = Server::new(&dir.path().join("server"), "")?;
        // It makes its authority and its catalog, and keeps its ports.
        server.start()?;
        server.stop()?;
        let roll = Roll::call(server.dir(), count)?;
        server.start()?;
        let record = Arc::<Record>::default();
        let endpoint = Endpoint::parse(&server.agents().to_string(), 0).map_err(anyhow::Error::msg)?;
        let ca_pem: Arc<str> = roll.ca_pem.into();
        let [greeting, busy, quiet] = [GREETING, ROWS, 1].map(packed);
        let (greeting, busy, quiet) = (greeting?, busy?, quiet?);
        let host = |(number, identity)| {
            let (batch, period) = match number % BUSY {
                0 => (busy.clone(), Duration::from_secs(1)),
                _ => (quiet.clone(), QUIET),
            };
            Arc::new(Host {
                number,
                identity,
                ca_pem: Arc::clone(&ca_pem),
                endpoint: endpoint.clone(),
                record: Arc::clone(&record),
                greeting: greeting.clone(),
                batch,
                period,
                offset: period.mul_f64(rand::rng().random_range(0.0..1.0)),
                done: 0.into(),
            })
        };
        let hosts = roll.hosts.into_iter().enumerate().map(host).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { runtime, server, hosts, load: watch::Sender::default(), record, _dir: dir })
    }

    fn pid(&mut self) -> Result<u32> {
        Ok(self.server.running().context("the server runs")?.id())
    }

    /// Everybody connects, and then there is silence.
    fn idle(&mut self, figure: &mut dyn FnMut(Figure)) -> Result<()> {
        let (pid, count) = (self.pid()?, self.hosts.len());
        thread::sleep(Duration::from_secs(5));
        let alone = resident_kilobytes(pid)?;
        let begun = Instant::now();
        for host in &self.hosts {
            let wait = spread_of(count).mul_f64(rand::rng().random_range(0.0..1.0));
            self.runtime.spawn(Arc::clone(host).run(wait, self.load.subscribe()));
        }
        self.wait_for_all()?;
        let name = format!("{count} agents with mutual TLS, connected");
        figure(Figure::new(&name, self.record.streams() as f64, "agents", Goal::Equal(count as f64)));
        let greetings = count as u64 * GREETING as u64;
        wait_until("first batches to be committed", PATIENCE, || {
            Ok((self.record.committed() >= greetings).then_some(()))
        })?;
        figure(Figure::new("until all were there", begun.elapsed().as_secs_f64(), "s", Goal::None));
        thread::sleep(Duration::from_secs(15));
        let name = "memory of an idle agent at the server";
        let each = (resident_kilobytes(pid)? - alone) / count as f64;
        figure(Figure::new(name, each, "kB", Goal::Under(40.0)).beside("nobody there, all", alone));
        let (cpu, seconds) = (cpu_seconds(pid)?, 20);
        thread::sleep(Duration::from_secs(seconds));
        let share = (cpu_seconds(pid)? - cpu) / seconds as f64 * 100.0;
        figure(Figure::new("CPU of the server, all idle", share, "% of a core", Goal::None));
        Ok(())
    }

    fn wait_for_all(&self) -> Result<()> {
        let all = self.hosts.len();
        let what = || format!("{all} agents to be connected, {} are", self.record.streams());
        let came = wait_until("all agents to be connected", PATIENCE, || {
            Ok((self.record.streams() == all).then_some(()))
        });
        came.with_context(what)
    }

    /// Rows that were made, and those that the server does not have.
    fn made_and_waiting(&self) -> (u64, u64) {
        let (load, now) = (*self.load.borrow(), Instant::now());
        let each = self.hosts.iter().map(|host| host.made_and_waiting(load, now));
        each.fold((0, 0), |(made, waiting), host| (made + host.0, waiting + host.1))
    }

    /// The most that waits in some seconds in which all is well.
    fn usual(&self) -> u64 {
        let looks = (0..24).map(|_| {
            thread::sleep(Duration::from_millis(250));
            self.made_and_waiting().1
        });
        looks.max().unwrap_or_default()
    }

    fn restart(
        &mut self,
        what: &str,
        figure: &mut dyn FnMut(Figure),
        end: impl FnOnce(&mut Server) -> Result<()>,
    ) -> Result<()> {
        let usual = self.usual();
        drop(self.record.take());
        let begun = Instant::now();
        end(&mut self.server)?;
        self.server.start()?;
        let ready = begun.elapsed();
        let mut new = |name: &str, value: f64, unit: &str, goal: Goal| {
            figure(Figure::new(&format!("{what}: {name}"), value, unit, goal));
        };
        new("the server ends, until it listens again", ready.as_secs_f64(), "s", Goal::None);
        let mut behind = None;
        let mut most = 0;
        wait_until("everybody to be back", PATIENCE, || {
            let waiting = self.made_and_waiting().1;
            most = most.max(waiting);
            let back = self.record.streams() == self.hosts.len();
            if back && behind.is_none() {
                behind = Some(begun.elapsed());
            }
            Ok((back && waiting <= usual).then_some(()))
        })?;
        let caught_up = begun.elapsed();
        let back = behind.context("all are back")?;
        let (attempts, opened) = self.record.take();
        new("all are back", back.as_secs_f64(), "s", Goal::Under(90.0));
        new("events caught up", caught_up.as_secs_f64(), "s", Goal::Under(120.0));
        new("most events that waited", most as f64, "events", Goal::None);
        new("attempts to connect, peak over mean", peak_over_mean(&attempts), "times", Goal::Under(3.0));
        new("streams opened, peak over mean", peak_over_mean(&opened), "times", Goal::Under(3.0));
        new("attempts of each agent", attempts.len() as f64 / self.hosts.len() as f64, "", Goal::None);
        Ok(())
    }

    /// The load ends, and everything that was made is there.
    fn end(mut self, figure: &mut dyn FnMut(Figure)) -> Result<()> {
        // Said before it is so, because whoever hears it late would have made more than is counted.
        let notice = Duration::from_secs(2);
        let end = Instant::now() + notice;
        self.load.send_modify(|load| load.ended = Some(end));
        thread::sleep(notice);
        wait_until("everything to be committed", PATIENCE, || {
            Ok((self.made_and_waiting().1 == 0).then_some(()))
        })?;
        let made = self.made_and_waiting().0;
        let begun = self.load.borrow().begun.context("it began")?;
        let greetings = self.hosts.len() as u64 * GREETING as u64;
        let rate = (made - greetings) as f64 / begun.elapsed().as_secs_f64();
        figure(Figure::new(
            "events all the while, both restarts included",
            rate,
            "rows/s",
            Goal::AtLeast(5e4),
        ));
        let count: Value = serde_json::from_str(&self.server.ask(&["search", "", "--count", "-o", "json"])?)?;
        let rows = count["rows"].as_u64().context("the number of rows")?;
        let lost = made as f64 - rows as f64;
        figure(Figure::new(
            &format!("of {made} events, lost or there twice"),
            lost,
            "rows",
            Goal::Equal(0.0),
        ));
        let pid = self.pid()?;
        let megabytes = resident_kilobytes(pid)? / 1000.0;
        figure(Figure::new("memory of the server in the end", megabytes, "MB", Goal::None));
        self.runtime.shutdown_background();
        self.server.stop()
    }
}

/// Batches of so many rows of one host, all different as far as there are forms.
fn packed(rows: usize) -> Result<Packed> {
    let mut events: Vec<Event> = Fleet::new(Plan::of(1e6)).hour(0);
    ensure!(events.len() >= ROWS * FORMS, "an hour has only {} events", events.len());
    let now = bartizan_clock::now().0;
    for (at, event) in events.iter_mut().enumerate() {
        (event.host, event.time) = (0, now + at as i64);
    }
    let mut encoder = Encoder::default();
    let pack = |events: &[Event]| {
        let sent = Sent { host: 0, seq: 1, received: Micros(now), events: events.to_vec() };
        Ok(Bytes::copy_from_slice(encoder.encode(&sent.wire())?))
    };
    let forms: Vec<Bytes> = events.chunks_exact(rows).take(FORMS).map(pack).collect::<Result<_>>()?;
    Ok(Packed { rows: rows as u64, forms: forms.into() })
}
