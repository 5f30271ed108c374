//! What goes on all the time: packets on every host, and lines of a sender that has no agent.

use super::stage::{Host, RELP, SENDER, Stage, targets};
use crate::{firewall::PORT, rsyslog::Rsyslog, traffic};
use anyhow::{Result, anyhow};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Packets a second of a host, between bursts.
const RATE: u64 = 250;
/// Packets of a piece of traffic: a tenth of a second.
const PIECE: u64 = RATE / 10;
/// One piece in so many is a burst.
const BURSTS: u32 = 150;
const BURST: u64 = 4000;
const BURST_RATE: u64 = 20_000;
/// Between two lines of the sender.
const PAUSE: Duration = Duration::from_millis(10);

/// Traffic that goes on until it is told to end.
#[derive(Debug)]
pub(super) struct Life {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Life {
    /// Begins on every host; which packets they are is up to `seed`.
    pub(super) fn begin(stage: &Stage, sender: Option<&Arc<Sender>>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads: Vec<_> = stage
            .hosts
            .iter()
            .zip(seed..)
            .map(|(host, seed)| {
                let (netns, stop) = (Arc::clone(&host.netns), Arc::clone(&stop));
                thread::spawn(move || netns.run(|| packets(seed, &stop))?)
            })
            .collect();
        if let Some(sender) = sender {
            let (sender, stop) = (Arc::clone(sender), Arc::clone(&stop));
            threads.push(thread::spawn(move || sender.talk(&stop)));
        }
        Self { stop, threads }
    }

    /// Ends it. When this returns the last packet is counted and the last line is said.
    pub(super) fn end(mut self, hosts: &[Host]) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| anyhow!("the traffic panicked"))??;
        }
        hosts.iter().try_for_each(Host::mark)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn packets(seed: u64, stop: &AtomicBool) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    for to in targets().into_iter().cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        match random.random_range(0..BURSTS) {
            0 => traffic::udp_burst(to, BURST, BURST_RATE, 40)?,
            1..8 => traffic::icmp_echo(Ipv4Addr::LOCALHOST.into(), 10)?,
            // a SYN each, which nobody answers
            8..12 => traffic::tcp_connects(to.ip(), [PORT; 3], Duration::from_millis(20))?,
            _ => traffic::udp_burst(to, PIECE, RATE, random.random_range(0..200))?,
        };
    }
    Ok(())
}

/// A host without an agent, whose rsyslog sends by RELP what its kernel logged.
#[derive(Debug)]
pub(super) struct Sender {
    rsyslog: Rsyslog,
    said: AtomicU64,
}

impl Sender {
    /// Starts it beside the server. Nobody where rsyslog is not installed.
    pub(super) fn start(stage: &Stage, dir: &Path) -> Result<Option<Arc<Self>>> {
        if !Rsyslog::is_there() {
            return Ok(None);
        }
        let rules = format!(
            "template(name=\"gw\" type=\"string\" \
             string=\"<%PRI%>%TIMESTAMP% {SENDER} %syslogtag%%msg:::sp-if-no-1st-sp%%msg%\")\n\
             action(type=\"omrelp\" target=\"127.0.0.1\" port=\"{RELP}\" template=\"gw\" action.resumeRetryCount=\"-1\" \
             action.resumeInterval=\"1\" queue.type=\"LinkedList\" queue.size=\"200000\" queue.dequeueBatchSize=\"100\")\n"
        );
        let rsyslog = Rsyslog::start(Some(&stage.core), dir, &rules)?;
        Ok(Some(Arc::new(Self { rsyslog, said: AtomicU64::new(0) })))
    }

    /// Lines that were said until now.
    pub(super) fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }

    /// A packet each line, never the same one: its number is in two fields.
    fn talk(&self, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::SeqCst) {
            let n = self.said();
            let (low, high) = (n & 0xffff, n >> 16);
            self.rsyslog.say(&format!(
                "<4>Nov 26 03:00:00 kernel: IN-drop: IN=eth0 OUT= SRC=203.0.113.{} DST=198.51.100.7 LEN=60 TOS=0x00 \
                 PREC=0x00 TTL=64 ID={low} DF PROTO=TCP SPT={} DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0",
                n % 256,
                high + 1,
            ))?;
            self.said.fetch_add(1, Ordering::SeqCst);
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}
