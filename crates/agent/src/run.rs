//! Start, run, stop.

use crate::accounts::Accounts;
use crate::identity::Identity;
use crate::kernel_log::{KernelLog, Stored};
use crate::lanes::Lanes;
use crate::local_log::{Control, LocalLog};
use crate::namespaces::{Namespaces, spawn};
use crate::open::{Direct, Open};
use crate::recorder::{Recorder, Shared};
use crate::sender::Sender;
use crate::settings::Settings;
use bartizan_model::Epoch;
use bartizan_spool::SpoolError;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches between capture and recorder. Few: the kernel's buffer is the queue.
const HANDED_OVER: usize = 4;
/// Between two attempts to open a spool whose disk does not work.
const DISK_PAUSE: Duration = Duration::from_secs(2);

/// Runs the agent until SIGTERM or SIGINT, then makes durable what it has.
///
/// # Errors
/// What keeps it from starting: not enrolled, a group that has a reader, a missing capability.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    run_with(settings, Arc::new(Direct)).await
}

/// As [`run`], with somebody who opens what needs rights.
pub(crate) async fn run_with(settings: Settings, open: Arc<dyn Open>) -> anyhow::Result<()> {
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
    let mut recorder = Recorder::new(shared.clone(), accounts, &settings);
    recorder.store_log_in(stored);
    if let Some(log) = &local_log {
        recorder.also_to(log.clone());
    }
    let recording = spawn("recorder", move || recorder.run(&captured))?;
    let batches = (settings.capture.batch_rows, settings.batch_age);
    let log =
        KernelLog::start(settings.kernel_log, Arc::clone(&open), log_position, batches, to_recorder.clone())?;
    let namespaces = Namespaces::start(open, Arc::clone(&settings), marks, to_recorder)?;
    let (stop, stopped) = sync_channel(1);
    let looking = spawn("namespaces", move || namespaces.run(&stopped))?;
    let server = settings.server.clone();
    let sender = tokio::spawn(Sender { shared, identity, server }.run());
    tracing::info!(groups = ?settings.groups, "capturing");

    if let Some(log) = &local_log {
        tokio::spawn(reopen(log.control()));
    }
    tokio::select! {
        () = signal() => tracing::info!("stopping"),
        () = ended(&looking) => {}
    }
    sender.abort();
    drop(stop);
    tokio::task::spawn_blocking(move || {
        if let Some(log) = log {
            log.stop();
        }
        drop(local_log);
        [Some(looking), Some(recording), local_writer].into_iter().flatten().try_for_each(JoinHandle::join)
    })
    .await?
    .map_err(|_| anyhow::anyhow!("a thread ended with a panic"))
}

/// The spool; waits for a disk that does not work, because packets that are logged meanwhile are found by the
/// counters, and an agent that is gone helps nobody.
async fn open_spool(settings: &Settings) -> anyhow::Result<Lanes> {
    loop {
        let (budget, memory) = (settings.spool_bytes, settings.memory_bytes);
        let epochs = || Epoch(rand::random());
        match Lanes::open(
            &settings.spool_dir(),
            budget,
            memory,
            settings.sync,
            settings.when_full,
            epochs,
            Instant::now(),
        ) {
            Ok(lanes) => return Ok(lanes),
            Err(SpoolError::Disk(error)) => {
                let cause = error.source.to_string();
                tracing::error!(%error, cause, "cannot open the spool; trying again");
                tokio::time::sleep(DISK_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn ended(thread: &JoinHandle<()>) {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// SIGHUP: somebody renamed the local log.
async fn reopen(log: Control) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        log.reopen();
    }
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen to signals");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
