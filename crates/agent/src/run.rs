//! Start, run, stop.

use crate::accounts::Accounts;
use crate::capture::Capture;
use crate::identity::Identity;
use crate::lanes::Lanes;
use crate::recorder::{Captured, ReadRules, Recorder, Shared};
use crate::sender::Sender;
use crate::settings::Settings;
use anyhow::Context as _;
use bartizan_model::Epoch;
use bartizan_netfilter::{NetfilterError, NflogConfig, NflogSocket, Nftables, Waker, incarnation};
use bartizan_ruleset::LogRule;
use bartizan_spool::SpoolError;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
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
    let identity = Identity::new(&settings.dir)?;
    identity.tls()?;
    let lanes = open_spool(&settings).await?;
    let accounts = Accounts::restore(lanes.notes(), &settings.groups);
    let shared = Shared::new(lanes);

    let (to_recorder, captured) = sync_channel(HANDED_OVER);
    let (recorder, threads, wakers) = capture(&settings, &shared, accounts, &to_recorder)?;
    drop(to_recorder);
    let recording = spawn("recorder", move || recorder.run(&captured))?;
    let server = settings.server.clone();
    let sender = tokio::spawn(Sender { shared, identity, server }.run());
    tracing::info!(groups = ?settings.groups, "capturing");

    tokio::select! {
        () = signal() => tracing::info!("stopping"),
        _ = ended(&threads) => tracing::error!("a capture thread ended"),
    }
    sender.abort();
    wakers.iter().for_each(Waker::stop);
    tokio::task::spawn_blocking(move || threads.into_iter().chain([recording]).try_for_each(JoinHandle::join))
        .await?
        .map_err(|_| anyhow::anyhow!("a thread ended with a panic"))
}

/// Reads the counters, binds the groups, and starts a thread for each: in this order, so that nothing counted
/// after the reading is overlooked.
fn capture(
    settings: &Settings,
    shared: &Shared,
    mut accounts: Accounts,
    to_recorder: &SyncSender<Captured>,
) -> anyhow::Result<(Recorder, Vec<JoinHandle<()>>, Vec<Waker>)> {
    let life = incarnation().context("cannot tell which network namespace this is")?;
    let mut read_rules = rule_reader();
    let missed = match read_rules() {
        Ok(rules) => accounts.resume(life, &rules),
        Err(error) => {
            tracing::warn!(error, "cannot read the rules' counters");
            Vec::new()
        }
    };
    let mut recorder = Recorder::new(shared.clone(), accounts, read_rules, settings.counters, settings.flush);
    let sockets = settings
        .groups
        .iter()
        .map(|group| NflogSocket::open(&nflog_config(settings, *group)))
        .collect::<Result<Vec<_>, NetfilterError>>()?;
    // only now: an agent that cannot bind must not book what another one reads
    recorder.missed(missed);
    let (mut threads, mut wakers) = (Vec::new(), Vec::new());
    for socket in sockets {
        let group = socket.group();
        if socket.receive_buffer() < settings.capture.receive_buffer {
            let (got, wanted) = (socket.receive_buffer(), settings.capture.receive_buffer);
            tracing::warn!(group, got, wanted, "the kernel gives a smaller receive buffer");
        }
        wakers.push(socket.waker());
        let capture =
            Capture::new(socket, settings.capture.batch_rows, settings.batch_age, to_recorder.clone())?;
        threads.push(spawn(&format!("nflog-{group}"), move || capture.run())?);
    }
    Ok((recorder, threads, wakers))
}

fn nflog_config(settings: &Settings, group: u16) -> NflogConfig {
    NflogConfig {
        copy_range: settings.capture.copy_bytes,
        queue_threshold: settings.capture.queue_threshold,
        flush_timeout: settings.flush,
        receive_buffer: settings.capture.receive_buffer,
        ..NflogConfig::new(group)
    }
}

/// Reads the rules' counters; the socket is opened when it is first needed, and anew after an error.
fn rule_reader() -> ReadRules {
    let mut socket: Option<Nftables> = None;
    Box::new(move || {
        let mut read = || -> Result<Vec<LogRule>, NetfilterError> {
            let open = match &mut socket {
                Some(open) => open,
                None => socket.insert(Nftables::open()?),
            };
            open.log_rules()
        };
        read().map_err(|error| {
            socket = None;
            error.to_string()
        })
    })
}

/// The spool; waits for a disk that does not work, because packets that are logged meanwhile are found by the
/// counters, and an agent that is gone helps nobody.
async fn open_spool(settings: &Settings) -> anyhow::Result<Lanes> {
    loop {
        let (budget, memory) = (settings.spool_bytes, settings.memory_bytes);
        let epochs = || Epoch(rand::random());
        match Lanes::open(&settings.spool_dir(), budget, memory, settings.sync, epochs, Instant::now()) {
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

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .with_context(|| format!("cannot start thread {name}"))
}

async fn ended(threads: &[JoinHandle<()>]) {
    while !threads.iter().any(JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(500)).await;
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
