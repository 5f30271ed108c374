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

use crate::capture::{Capture, CaptureConfig, Tuning};
use crate::counters::{Counters, Current};
use crate::flows::Flows;
use crate::kernel::Kernel;
use crate::open::Open;
use crate::recorder::{Captured, Joined};
use crate::rulesets::Watch;
use crate::settings::{Conntrack, NetnsChoice, Settings};
use crate::share::Limits;
use crate::source::{NetnsId, SourceId};
use anyhow::Context as _;
use bartizan_netfilter::{Interfaces, NetfilterError, Netns, NflogConfig, NflogSocket, Waker};
use bartizan_ruleset::Incarnation;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
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
    /// What all captures share of the settings.
    tuning: Tuning,
}

/// A namespace that is captured.
struct Present {
    netns: Netns,
    number: NetnsId,
    groups: BTreeMap<u16, Group>,
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
            self.groups.values().for_each(|group| group.waker.stop());
        }
    }

    fn join(self) {
        self.groups.into_values().for_each(Group::join);
        self.watching.into_iter().for_each(join);
    }
}

impl Group {
    fn join(self) {
        join(self.thread);
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread ended with a panic");
    }
}

/// A group that is captured.
struct Group {
    waker: Waker,
    thread: JoinHandle<()>,
    /// The same socket, to have its settings changed.
    socket: OwnedFd,
    config: NflogConfig,
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
        let tuning = Tuning::default();
        tune(&tuning, &settings);
        let (present, refused) = (BTreeMap::new(), BTreeMap::new());
        let mut all = Self { open, settings, marks, recorder, present, refused, numbers: 1, tuning };
        let there = all.open.namespaces().context("cannot look for network namespaces")?;
        let own = there.first().context("the own network namespace is not found")?;
        all.enter(own, NetnsId::OWN)?;
        if all.settings.netns != NetnsChoice::Own {
            all.look();
        }
        drop(all.recorder.send(Captured::AllJoined));
        Ok(all)
    }

    /// Looks for namespaces that came and went, and takes new settings, until nobody sends any more or a capture of
    /// the own namespace ends; then ends all captures.
    pub(crate) fn run(mut self, settings: &Receiver<Arc<Settings>>) {
        loop {
            match settings.recv_timeout(LOOK) {
                Ok(settings) => self.reconfigure(settings),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.settings.netns != NetnsChoice::Own || self.present.len() > 1 {
                self.look();
            }
            let own = self.present.values().find(|p| p.number == NetnsId::OWN);
            if own.is_some_and(|p| p.groups.values().any(|group| group.thread.is_finished())) {
                tracing::error!("a capture thread ended");
                break;
            }
        }
        self.present.values_mut().for_each(|present| present.end(true));
        std::mem::take(&mut self.present).into_values().for_each(Present::join);
    }

    /// Lets new settings count. A group that stays keeps its socket, and what is queued in it.
    fn reconfigure(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
        self.refused.clear();
        tune(&self.tuning, &self.settings);
        let tuned = Captured::Tuned(Arc::clone(&self.settings));
        drop(self.recorder.send(tuned));
        let ids: Vec<u64> = self.present.keys().copied().collect();
        for id in ids {
            let Some(mut present) = self.present.remove(&id) else { continue };
            self.change_groups(&mut present);
            self.present.insert(id, present);
        }
    }

    fn change_groups(&mut self, present: &mut Present) {
        let wanted = &self.settings.groups;
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut present.groups).into_iter().partition(|(group, _)| wanted.contains(group));
        present.groups = kept;
        gone.values().for_each(|group| group.waker.stop());
        let left: Vec<u16> = gone.keys().copied().collect();
        gone.into_values().for_each(Group::join);
        for group in left {
            tracing::info!(group, netns = present.netns.name, "a group is no longer captured");
            drop(self.recorder.send(Captured::GroupLeft { source: SourceId::nflog(present.number, group) }));
        }
        for (number, group) in &mut present.groups {
            let config = nflog_config(&self.settings, *number);
            if config == group.config {
                continue;
            }
            match self.open.nflog_settings(group.socket.as_fd(), &config) {
                Ok(()) => group.config = config,
                Err(error) => tracing::warn!(group = number, %error, "the group's settings stay"),
            }
        }
        let new: Vec<u16> =
            self.settings.groups.iter().copied().filter(|g| !present.groups.contains_key(g)).collect();
        // one that another process has is no reason to leave the others
        for group in new {
            match self.add(present, &[group]) {
                Ok(_) => tracing::info!(group, netns = present.netns.name, "a group is captured"),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(group, netns = present.netns.name, error, "a group is not captured");
                }
            }
        }
    }

    fn look(&mut self) {
        let there = match self.open.namespaces() {
            Ok(there) => there,
            Err(error) => return tracing::warn!(%error, "cannot look for network namespaces"),
        };
        let gone: Vec<u64> = self
            .present
            .iter()
            .filter(|(id, p)| {
                p.number != NetnsId::OWN && !there.iter().any(|n| n.id == **id && self.wanted(n))
            })
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
        let mut present = Present {
            netns: netns.clone(),
            number,
            groups: BTreeMap::new(),
            ending: Arc::default(),
            watching: Vec::new(),
            stop: Arc::default(),
        };
        let groups = self.settings.groups.clone();
        let life = self.add(&mut present, &groups)?;
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

    /// Starts to capture groups of a namespace; all of them, or none and an error.
    fn add(&self, present: &mut Present, groups: &[u16]) -> anyhow::Result<Incarnation> {
        let netns = &present.netns;
        let life = self.open.incarnation(netns).context("cannot tell which network namespace this is")?;
        let mut kernel = Kernel::new(&self.open, netns);
        let rules = kernel.log_rules().inspect_err(|error| {
            tracing::warn!(netns = netns.name, %error, "cannot read the rules' counters");
        });
        let bound = Instant::now();
        let sockets = groups.iter().map(|group| self.bind(netns, *group));
        let sockets = sockets.collect::<Result<Vec<_>, NetfilterError>>()?;
        // only now: an agent that cannot bind must not book what another one reads
        let joined = Joined {
            netns: present.number,
            name: netns.name.clone(),
            life,
            groups: groups.to_vec(),
            rules: rules.ok(),
            kernel,
            attributing: self.settings.capture.rulesets,
        };
        // without a recorder the captures end as well
        drop(self.recorder.send(Captured::Joined(joined)));
        for Bound { socket, interfaces } in sockets {
            let group = socket.group();
            let (waker, copy) = (socket.waker(), socket.as_fd().try_clone_to_owned()?);
            let config = CaptureConfig {
                source: SourceId::nflog(present.number, group),
                netns: netns.name.clone(),
                tuning: self.tuning.clone(),
                bound,
                ending: Arc::clone(&present.ending),
                payload: self.settings.payload.clone(),
                conntrack: self.settings.capture.conntrack,
            };
            let capture = Capture::new(socket, interfaces, config, self.recorder.clone());
            let thread = spawn(&format!("nflog-{group}"), move || capture.run())?;
            let config = nflog_config(&self.settings, group);
            present.groups.insert(group, Group { waker, thread, socket: copy, config });
        }
        Ok(life)
    }

    fn bind(&self, netns: &Netns, group: u16) -> Result<Bound, NetfilterError> {
        let capture = &self.settings.capture;
        let config = nflog_config(&self.settings, group);
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

fn tune(tuning: &Tuning, settings: &Settings) {
    let limits = Limits {
        cpu_percent: settings.capture.cpu_percent,
        memory: settings.caps.memory_megabytes.saturating_mul(1 << 20),
    };
    tuning.set(settings.capture.batch_rows, settings.batch_age, settings.flush, limits);
}

fn nflog_config(settings: &Settings, group: u16) -> NflogConfig {
    NflogConfig {
        copy_range: settings.capture.copy_bytes.max(settings.payload.bytes),
        queue_threshold: settings.capture.queue_threshold,
        flush_timeout: settings.flush,
        receive_buffer: settings.capture.receive_buffer,
        conntrack: settings.capture.conntrack != Conntrack::Off,
        ..NflogConfig::new(group)
    }
}

/// Starts a thread with a name.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .with_context(|| format!("cannot start thread {name}"))
}
