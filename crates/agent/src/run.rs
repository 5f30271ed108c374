//! Start, run, stop.

use crate::accounts::Accounts;
use crate::board::Board;
use crate::central::Central;
use crate::configuration::{Configuration, Loaded};
use crate::identity::Identity;
use crate::kernel_log::{KernelLog, Stored};
use crate::lanes::Lanes;
use crate::local_log::LocalLog;
use crate::namespaces::{Namespaces, spawn};
use crate::open::Open;
use crate::opener::{self, Link, Notice, Order, Setup};
use crate::recorder::{Recorder, Shared};
use crate::reload::Reload;
use crate::sender::Sender;
use crate::settings::Settings;
use crate::status;
use anyhow::Context as _;
use bartizan_model::Epoch;
use bartizan_spool::SpoolError;
use serde_json::Value;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Batches between capture and recorder. Few: the kernel's buffer is the queue.
const HANDED_OVER: usize = 4;
/// Between two attempts to open a spool whose disk does not work.
const DISK_PAUSE: Duration = Duration::from_secs(2);
/// What a killed agent may take to be gone.
const DYING: Duration = Duration::from_secs(2);

/// What the worker has besides its work.
pub(crate) struct Control {
    /// The opener's orders, and the way to tell it something.
    pub(crate) link: Arc<Link>,
    pub(crate) board: Board,
    /// The configuration as it is written now.
    pub(crate) read_settings: Box<dyn Fn() -> anyhow::Result<Loaded> + Send>,
    /// What the server says of it.
    pub(crate) central: Central,
}

/// Runs as the opener, which starts a worker that captures and sends until SIGTERM or SIGINT. Returns the exit code.
///
/// # Errors
/// What keeps the opener from starting: another agent on the directory, no process to be had.
pub fn run(settings: Settings, configuration: Configuration, arguments: Vec<OsString>) -> anyhow::Result<u8> {
    let files = Box::new(move || configuration.paths());
    opener::run(Setup { settings, files, arguments })
}

/// The worker's work, with somebody who opens what needs rights. Makes durable what it has when it is told to stop.
///
/// # Errors
/// What keeps it from starting: not enrolled, a group that has a reader, a missing capability.
pub(crate) async fn run_with(loaded: Loaded, open: Arc<dyn Open>, control: Control) -> anyhow::Result<()> {
    let Control { link, board, read_settings, central } = control;
    let Loaded { settings, held } = loaded;
    let identity = Identity::new(&settings.dir)?;
    identity.tls()?;
    let lanes = open_spool(&settings).await?;
    let mut accounts = Accounts::restore(lanes.notes(), &settings.groups);
    let stored = Stored::new(settings.dir.join("kernel-log"));
    if let Some((stamp, position)) = stored.read() {
        accounts.log_stored(stamp, position);
    }
    let marks = accounts.marks().clone();
    let shared = Shared::new(lanes);
    let settings = Arc::new(settings);

    let (to_recorder, captured) = sync_channel(HANDED_OVER);
    let log_position = accounts.log();
    let (local_log, local_writer) = LocalLog::start(&settings.local_log)?.unzip();
    let mut recorder = Recorder::new(shared.clone(), board.clone(), accounts, &settings);
    recorder.store_log_in(stored);
    if let Some(log) = &local_log {
        recorder.also_to(log.clone());
    }
    let recording = spawn("recorder", move || recorder.run(&captured))?;
    let batches = (settings.capture.batch_rows, settings.batch_age);
    let log =
        KernelLog::start(settings.kernel_log, Arc::clone(&open), log_position, batches, to_recorder.clone())?;
    let namespaces = Namespaces::start(open, Arc::clone(&settings), marks, to_recorder)?;
    let (orders, ordered) = sync_channel(4);
    let looking = spawn("namespaces", move || namespaces.run(&ordered))?;
    let (server, connect) = watch::channel(settings.server.clone());
    central.counts(held, Vec::new());
    let sender = Sender {
        shared: shared.clone(),
        identity,
        server: connect,
        board: board.clone(),
        central: central.clone(),
        renewed: None,
    };
    let sender = tokio::spawn(sender.run());
    tracing::info!(groups = ?settings.groups, "capturing");
    board.configured(false, Vec::new());
    link.tell(&Notice::Ready);

    let lanes = shared.clone();
    let telling = board.clone();
    let dir = settings.dir.clone();
    let said = central.clone();
    let status =
        tokio::spawn(async move { status::serve(&dir, || whole_status(&telling, &lanes, &said)).await });
    let watching = tokio::spawn(watch_progress(Arc::clone(&link), board.clone(), shared.clone()));
    let mut offers = central.offers().subscribe();
    let said = central.clone();
    let mut reload = Reload {
        started: Arc::clone(&settings),
        settings,
        read_settings,
        board,
        shared,
        captures: orders,
        server,
        central: said,
    };
    let mut orders = hear(Arc::clone(&link))?;
    let mut signals = Stopping::listen()?;
    loop {
        tokio::select! {
            () = signals.stop() => break,
            order = orders.recv() => match order {
                Some(Order::Reload) => {
                    // somebody may have renamed it
                    if let Some(log) = &local_log {
                        log.control().reopen();
                    }
                    reload.reload();
                    link.tell(&Notice::Ready);
                }
                Some(Order::Stop) | None => break,
            },
            Ok(()) = offers.changed() => {
                let offer = offers.borrow_and_update().clone();
                if offer.is_some_and(|offer| central.take(offer)) {
                    reload.reload_or_give_up();
                }
            }
            () = central.overdue() => {
                if central.give_up("the server was not reached with it in time") {
                    reload.reload();
                }
            }
            () = ended(&looking) => break,
        }
    }
    tracing::info!("stopping");
    [&sender, &status, &watching].into_iter().for_each(JoinHandle::abort);
    drop(reload);
    tokio::task::spawn_blocking(move || {
        if let Some(log) = log {
            log.stop();
        }
        drop(local_log);
        let threads = [Some(looking), Some(recording), local_writer];
        threads.into_iter().flatten().try_for_each(thread::JoinHandle::join)
    })
    .await?
    .map_err(|_| anyhow::anyhow!("a thread ended with a panic"))
}

/// The opener's orders. When it is gone this process ends at once: there is nobody who could open anything, and
/// whoever starts the next agent waits for our lock.
fn hear(link: Arc<Link>) -> anyhow::Result<mpsc::Receiver<Order>> {
    let (tell, told) = mpsc::channel(4);
    spawn("orders", move || {
        while let Ok(Some(order)) = link.order() {
            if tell.blocking_send(order).is_err() {
                return;
            }
        }
        if !tell.is_closed() {
            std::process::exit(1);
        }
    })?;
    Ok(told)
}

/// Tells the opener once a second that there is progress, and what there is.
async fn watch_progress(link: Arc<Link>, board: Board, shared: Shared) {
    let mut stuck = None;
    let mut line = String::new();
    loop {
        let (waiting, acknowledged) = shared.lanes().position();
        match board.progress(waiting, acknowledged) {
            Ok(()) => {
                stuck = None;
                link.tell(&Notice::Progress);
            }
            Err(why) if stuck.as_ref() != Some(&why) => {
                tracing::error!(why, "no progress");
                stuck = Some(why);
            }
            Err(_) => {}
        }
        let now = board.line();
        if now != line {
            link.tell(&Notice::State(now.clone()));
            line = now;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn whole_status(board: &Board, shared: &Shared, central: &Central) -> Value {
    let mut lanes = shared.lanes();
    let (waiting, acknowledged) = lanes.position();
    let spool = lanes.told(bartizan_clock::now());
    drop(lanes);
    let mut status = board.to_json(spool);
    status["configuration"]["central"] = central.to_json();
    status["progress"] = board.progress(waiting, acknowledged).err().map_or(Value::Null, Value::String);
    status
}

/// The spool; waits for a disk that does not work, because packets that are logged meanwhile are found by the
/// counters, and an agent that is gone helps nobody.
async fn open_spool(settings: &Settings) -> anyhow::Result<Lanes> {
    let started = Instant::now();
    loop {
        let epochs = || Epoch(rand::random());
        match Lanes::open(settings, epochs, Instant::now()) {
            Ok(lanes) => return Ok(lanes),
            Err(SpoolError::Disk(error)) => {
                let cause = error.source.to_string();
                tracing::error!(%error, cause, "cannot open the spool; trying again");
                tokio::time::sleep(DISK_PAUSE).await;
            }
            // of an agent that was killed a moment ago: its last thread still goes
            Err(SpoolError::Locked { .. }) if started.elapsed() < DYING => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn ended(thread: &thread::JoinHandle<()>) {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// SIGTERM and SIGINT, which a service manager or a terminal sends to every process of a group. SIGHUP is the
/// opener's.
struct Stopping {
    term: Signal,
    int: Signal,
    _hup: Signal,
}

impl Stopping {
    fn listen() -> anyhow::Result<Self> {
        let listen = || {
            Ok::<_, std::io::Error>(Self {
                term: signal(SignalKind::terminate())?,
                int: signal(SignalKind::interrupt())?,
                _hup: signal(SignalKind::hangup())?,
            })
        };
        listen().context("cannot listen to signals")
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}
