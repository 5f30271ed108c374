//! Namespaces: which are captured, and the threads that do it.
//!
//! A thread looks once a second which namespaces are there. In a new one the rules' counters are read, then its
//! groups are bound, then the recorder is told, then a capture thread starts for each group: in this order, so
//! that nothing counted after the reading is overlooked. When a namespace is gone, its captures read what is
//! left, end, and the recorder settles its accounts. Our sockets keep a namespace alive until then, so that its
//! inode names no other one meanwhile.
//!
//! The own namespace must work, or the agent does not start; another one that does not is said once and tried
//! again later.

use crate::capture::{Capture, CaptureConfig};
use crate::counters::{Counters, Current};
use crate::flows::Flows;
use crate::kernel::Kernel;
use crate::open::Open;
use crate::recorder::{Captured, Joined};
use crate::rulesets::Watch;
use crate::settings::{NetnsChoice, Settings};
use crate::share::Limits;
use crate::source::{NetnsId, SourceId};
use anyhow::Context as _;
use bartizan_netfilter::{Interfaces, NetfilterError, Netns, NflogConfig, NflogSocket, Waker};
use bartizan_ruleset::Incarnation;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two looks for namespaces.
const LOOK: Duration = Duration::from_secs(1);
/// A namespace that could not be captured is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// Namespaces captured at once; each costs a thread for each group.
const MOST: usize = 256;

/// Everything that is captured.
pub(crate) struct Namespaces {
    open: Arc<dyn Open>,
    settings: Arc<Settings>,
    /// Which readings of counters were recorded, by the life of their namespace.
    marks: BTreeMap<[u8; 24], u64>,
    recorder: SyncSender<Captured>,
    present: BTreeMap<u64, Present>,
    /// Those that could not be captured, and when that was tried.
    refused: BTreeMap<u64, Instant>,
    numbers: u32,
}

/// A namespace that is captured.
struct Present {
    netns: Netns,
    number: NetnsId,
    wakers: Vec<Waker>,
    threads: Vec<JoinHandle<()>>,
    ending: Arc<AtomicBool>,
    /// What watches beside the captures, and how it is ended.
    watching: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Present {
    /// Ends everything; with `now` without reading what is left.
    fn end(&mut self, now: bool) {
        self.stop.store(true, Ordering::Release);
        self.ending.store(true, Ordering::Release);
        if now {
            self.wakers.iter().for_each(Waker::stop);
        }
    }

    fn join(self) {
        for thread in self.threads.into_iter().chain(self.watching) {
            if thread.join().is_err() {
                tracing::error!("a thread ended with a panic");
            }
        }
    }
}

/// A group that is bound.
struct Bound {
    socket: NflogSocket,
    interfaces: Interfaces,
}

impl Namespaces {
    /// Captures what is wanted and there; fails when the own namespace is wanted and cannot be.
    pub(crate) fn start(
        open: Arc<dyn Open>,
        settings: Arc<Settings>,
        marks: BTreeMap<[u8; 24], u64>,
        recorder: SyncSender<Captured>,
    ) -> anyhow::Result<Self> {
        let mut all = Self {
            open,
            settings,
            marks,
            recorder,
            present: BTreeMap::new(),
            refused: BTreeMap::new(),
            numbers: 1,
        };
        let there = all.open.namespaces().context("cannot look for network namespaces")?;
        let own = there.first().context("the own network namespace is not found")?;
        all.enter(own, NetnsId::OWN)?;
        if all.settings.netns != NetnsChoice::Own {
            all.look();
        }
        drop(all.recorder.send(Captured::AllJoined));
        Ok(all)
    }

    /// Looks for namespaces that came and went until `stop` is dropped, or a capture of the own one ends; then
    /// ends all captures.
    pub(crate) fn run(mut self, stop: &Receiver<()>) {
        while stop.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if self.settings.netns != NetnsChoice::Own {
                self.look();
            }
            let own = self.present.values().find(|p| p.number == NetnsId::OWN);
            if own.is_some_and(|p| p.threads.iter().any(JoinHandle::is_finished)) {
                tracing::error!("a capture thread ended");
                break;
            }
        }
        self.present.values_mut().for_each(|present| present.end(true));
        std::mem::take(&mut self.present).into_values().for_each(Present::join);
    }

    fn look(&mut self) {
        let there = match self.open.namespaces() {
            Ok(there) => there,
            Err(error) => return tracing::warn!(%error, "cannot look for network namespaces"),
        };
        let gone: Vec<u64> = self
            .present
            .iter()
            .filter(|(id, p)| p.number != NetnsId::OWN && !there.iter().any(|n| n.id == **id))
            .map(|(id, _)| *id)
            .collect();
        gone.into_iter().for_each(|id| self.leave(id));
        self.refused.retain(|id, tried| tried.elapsed() < AGAIN && there.iter().any(|n| n.id == *id));
        for netns in there {
            if let Some(present) = self.present.get_mut(&netns.id) {
                // a process that led to it may be gone, and another one be there
                present.netns.path = netns.path;
            } else if self.wanted(&netns) && !self.refused.contains_key(&netns.id) {
                self.attempt(&netns);
            }
        }
    }

    fn wanted(&self, netns: &Netns) -> bool {
        match &self.settings.netns {
            NetnsChoice::Own => netns.name.is_empty(),
            NetnsChoice::All => true,
            NetnsChoice::Named(names) => names.contains(&netns.name),
        }
    }

    fn attempt(&mut self, netns: &Netns) {
        let number = NetnsId(self.numbers);
        let entered = match self.present.len() < MOST {
            true => self.enter(netns, number),
            false => Err(anyhow::anyhow!("there are more than {MOST} of them")),
        };
        match entered {
            Ok(()) => self.numbers += 1,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(netns = netns.name, error, "a network namespace is not captured");
                self.refused.insert(netns.id, Instant::now());
            }
        }
    }

    /// Starts to capture a namespace.
    fn enter(&mut self, netns: &Netns, number: NetnsId) -> anyhow::Result<()> {
        let life = self.open.incarnation(netns).context("cannot tell which network namespace this is")?;
        let mut kernel = Kernel::new(&self.open, netns);
        let rules = kernel.log_rules().inspect_err(|error| {
            tracing::warn!(netns = netns.name, %error, "cannot read the rules' counters");
        });
        let bound = Instant::now();
        let sockets = self.settings.groups.iter().map(|group| self.bind(netns, *group));
        let sockets = sockets.collect::<Result<Vec<_>, NetfilterError>>()?;
        // only now: an agent that cannot bind must not book what another one reads
        let joined = Joined {
            netns: number,
            name: netns.name.clone(),
            life,
            groups: self.settings.groups.clone(),
            rules: rules.ok(),
            kernel,
            attributing: self.settings.capture.rulesets,
        };
        // without a recorder the captures end as well
        drop(self.recorder.send(Captured::Joined(joined)));
        let ending = Arc::new(AtomicBool::new(false));
        let mut present = Present {
            netns: netns.clone(),
            number,
            wakers: Vec::new(),
            threads: Vec::new(),
            ending: Arc::clone(&ending),
            watching: Vec::new(),
            stop: Arc::new(AtomicBool::new(false)),
        };
        for Bound { socket, interfaces } in sockets {
            let group = socket.group();
            present.wakers.push(socket.waker());
            let config = CaptureConfig {
                source: SourceId::nflog(number, group),
                netns: netns.name.clone(),
                batch_rows: self.settings.capture.batch_rows,
                batch_age: self.settings.batch_age,
                flush: self.settings.flush,
                limits: Limits {
                    cpu_percent: self.settings.capture.cpu_percent,
                    memory: self.settings.caps.memory_megabytes << 20,
                },
                bound,
                ending: Arc::clone(&ending),
            };
            let capture = Capture::new(socket, interfaces, config, self.recorder.clone());
            present.threads.push(spawn(&format!("nflog-{group}"), move || capture.run())?);
        }
        self.watch(netns, life, &mut present)?;
        self.present.insert(netns.id, present);
        if number != NetnsId::OWN {
            tracing::info!(netns = netns.name, "a network namespace is captured");
        }
        Ok(())
    }

    /// Starts what runs beside the captures.
    fn watch(&self, netns: &Netns, life: Incarnation, present: &mut Present) -> anyhow::Result<()> {
        let current = Current::default();
        if self.settings.capture.rulesets {
            let watch = Watch {
                open: Arc::clone(&self.open),
                netns: netns.clone(),
                number: present.number,
                recorder: self.recorder.clone(),
                current: Arc::clone(&current),
                stop: Arc::clone(&present.stop),
            };
            present.watching.push(spawn("rulesets", move || watch.run())?);
        }
        if let Some(every) = self.settings.all_counters {
            let counters = Counters {
                netns: netns.name.clone(),
                life,
                mark: self.marks.get(&life.0).copied(),
                dir: self.settings.dir.clone(),
                every,
                kernel: Kernel::new(&self.open, netns),
                current,
                listed: self.settings.capture.rulesets,
                recorder: self.recorder.clone(),
                stop: Arc::clone(&present.stop),
            };
            present.watching.push(spawn("counters", move || counters.run())?);
        }
        if let Some(config) = &self.settings.flows {
            match self.open.conntrack(netns, config) {
                Ok(socket) => {
                    let flows = Flows {
                        number: present.number,
                        netns: netns.name.clone(),
                        socket,
                        filter: config.filter.clone(),
                        kernel: Kernel::new(&self.open, netns),
                        batch_rows: self.settings.capture.batch_rows,
                        batch_age: self.settings.batch_age,
                        recorder: self.recorder.clone(),
                        stop: Arc::clone(&present.stop),
                    };
                    present.watching.push(spawn("flows", move || flows.run())?);
                }
                Err(error) => tracing::warn!(netns = netns.name, %error, "flows are not captured"),
            }
        }
        Ok(())
    }

    fn bind(&self, netns: &Netns, group: u16) -> Result<Bound, NetfilterError> {
        let capture = &self.settings.capture;
        let config = NflogConfig {
            copy_range: capture.copy_bytes,
            queue_threshold: capture.queue_threshold,
            flush_timeout: self.settings.flush,
            receive_buffer: capture.receive_buffer,
            ..NflogConfig::new(group)
        };
        let interfaces = self.open.interfaces(netns)?;
        let socket = self.open.nflog(netns, &config)?;
        if socket.receive_buffer() < capture.receive_buffer {
            let (got, wanted) = (socket.receive_buffer(), capture.receive_buffer);
            tracing::warn!(
                group,
                netns = netns.name,
                got,
                wanted,
                "the kernel gives a smaller receive buffer"
            );
        }
        Ok(Bound { socket, interfaces })
    }

    /// A namespace is gone.
    fn leave(&mut self, id: u64) {
        let Some(mut present) = self.present.remove(&id) else { return };
        tracing::info!(netns = present.netns.name, "a network namespace is gone");
        let number = present.number;
        present.end(false);
        present.join();
        drop(self.recorder.send(Captured::Left { netns: number }));
    }
}

/// Starts a thread with a name.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .with_context(|| format!("cannot start thread {name}"))
}
