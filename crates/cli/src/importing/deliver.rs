//! The thread that delivers: one request after the other, and everything again that a server has lost.
//!
//! What was sent is kept until the server says that it is committed. When the server is gone, it is asked again until
//! it is back; then each import with anything kept is opened again, and of what was kept that is sent which its tables
//! do not have.

use crate::client::{Body, Client, block_on};
use crate::failure::{Failure, talk};
use anyhow::{Context as _, anyhow};
use bartizan_intake::{Identity, Source};
use bartizan_model::Kind;
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes of packed rows that are kept until they are committed. A server's own bound for what waits is a few times
/// as much, unpacked.
pub(crate) const KEPT: usize = 64 << 20;
/// Batches that wait to be sent.
const WAITING: usize = 3;
/// How long a server may be away.
const AWAY: Duration = Duration::from_secs(600);
/// How long to wait before it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// An import as the server has opened it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opened {
    /// Its identity.
    pub(crate) import: String,
    /// Which of several sources with the same first bytes it is.
    pub(crate) variant: u32,
    session: u64,
    /// Up to where each table has it.
    pub(crate) marks: Vec<(Kind, u64)>,
    /// Hashes of what is before positions.
    pub(crate) checks: Vec<(u64, [u8; 32])>,
}

impl Opened {
    /// Up to where every table has it.
    pub(crate) fn position(&self) -> u64 {
        self.marks.iter().map(|(_, at)| *at).min().unwrap_or_default()
    }

    fn read(answer: &Value) -> Result<Self, Failure> {
        let read = || {
            let mut opened = Self {
                import: answer["import"].as_str()?.to_owned(),
                variant: u32::try_from(answer["variant"].as_u64()?).ok()?,
                session: answer["session"].as_u64()?,
                ..Self::default()
            };
            for mark in answer["marks"].as_array()? {
                let kind = Kind::ALL.into_iter().find(|k| mark["kind"] == k.as_str())?;
                opened.marks.push((kind, mark["position"].as_u64()?));
            }
            for check in answer["checks"].as_array()? {
                let digest = HEXLOWER.decode(check["digest"].as_str()?.as_bytes()).ok()?;
                opened.checks.push((check["position"].as_u64()?, digest.try_into().ok()?));
            }
            Some(opened)
        };
        read().ok_or_else(|| Failure::Error(anyhow!("the server's answer is not understood: {answer}")))
    }
}

/// Rows of one table.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) import: String,
    pub(crate) kind: Kind,
    pub(crate) from: u64,
    pub(crate) seq: u64,
    pub(crate) digest: Option<[u8; 32]>,
    pub(crate) body: Bytes,
}

enum Command {
    Open(Value, SyncSender<Opened>),
    Batch(Batch),
    End { import: String, position: u64, totals: Value, partial: bool },
}

/// The delivering thread.
pub(crate) struct Delivery {
    commands: Option<Sender<Command>>,
    thread: Mutex<Option<JoinHandle<Result<(), Failure>>>>,
    stop: Arc<AtomicBool>,
}

impl Delivery {
    /// Starts it.
    pub(crate) fn start(client: Client) -> Result<Self, Failure> {
        let (commands, taken) = channel(WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let run = move || {
            let post = Post {
                client,
                stop: Arc::clone(&stopping),
                open: HashMap::new(),
                kept: VecDeque::new(),
                bytes: 0,
                ends: Vec::new(),
            };
            let done = block_on(async {
                tokio::spawn(listen(Arc::clone(&stopping)));
                post.run(taken).await
            });
            done?
        };
        let thread = std::thread::Builder::new().name("delivery".to_owned()).spawn(run);
        let thread = thread.context("cannot start a thread").map_err(Failure::Error)?;
        Ok(Self { commands: Some(commands), thread: Mutex::new(Some(thread)), stop })
    }

    /// Whether somebody has stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Opens an import at the server.
    pub(crate) fn open(&self, source: &dyn Source, variant: u32) -> Result<Opened, Failure> {
        let mut new = json!({
            "format": source.format(),
            "name": source.name(),
            "kinds": source.kinds().iter().map(|k| k.as_str()).collect::<Vec<_>>(),
            "variant": variant,
            "landmarks": source.landmarks().iter().map(|(position, digest)| {
                json!({ "position": position, "digest": HEXLOWER.encode(digest) })
            }).collect::<Vec<_>>(),
        });
        match source.identity() {
            Identity::Content(head) => new["head"] = json!(BASE64.encode(&head)),
            Identity::Name(name) => new["named"] = json!(name),
        }
        let (answer, opened) = sync_channel(1);
        self.give(Command::Open(new, answer))?;
        opened.recv().map_err(|_| Failure::ClosedPipe)
    }

    /// Delivers rows; waits while enough of them wait.
    pub(crate) fn batch(&self, batch: Batch) -> Result<(), Failure> {
        self.give(Command::Batch(batch))
    }

    /// An import is read to its end.
    pub(crate) fn end(
        &self,
        import: &str,
        position: u64,
        totals: Value,
        partial: bool,
    ) -> Result<(), Failure> {
        self.give(Command::End { import: import.to_owned(), position, totals, partial })
    }

    /// Waits until everything is committed.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.commands = None;
        match self.join() {
            Err(Failure::ClosedPipe) => Err(stopped()),
            done => done,
        }
    }

    /// Why it is over.
    pub(crate) fn failure(&self) -> Failure {
        if self.is_stopped() {
            return stopped();
        }
        match self.join() {
            Ok(()) | Err(Failure::ClosedPipe) => stopped(),
            Err(failure) => failure,
        }
    }

    fn join(&self) -> Result<(), Failure> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.map_or(Ok(()), |thread| {
            thread.join().unwrap_or_else(|_| Err(Failure::Error(anyhow!("the delivering thread has failed"))))
        })
    }

    /// [`Failure::ClosedPipe`] if it is over.
    fn give(&self, command: Command) -> Result<(), Failure> {
        let commands = self.commands.as_ref().ok_or(Failure::ClosedPipe)?;
        commands.blocking_send(command).map_err(|_| Failure::ClosedPipe)
    }
}

fn stopped() -> Failure {
    Failure::Stopped("stopped; what was delivered stays, and the same command goes on from there".to_owned())
}

/// The first Ctrl-C stops after the batch that is on its way, the second at once.
async fn listen(stop: Arc<AtomicBool>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    }
}

/// What is known of an open import.
struct Open {
    new: Value,
    session: u64,
}

struct End {
    import: String,
    position: u64,
    totals: Value,
    partial: bool,
}

struct Post {
    client: Client,
    stop: Arc<AtomicBool>,
    open: HashMap<String, Open>,
    /// Sent and not known to be committed.
    kept: VecDeque<Batch>,
    bytes: usize,
    ends: Vec<End>,
}

impl Post {
    async fn run(mut self, mut commands: Receiver<Command>) -> Result<(), Failure> {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Open(new, answer) => {
                    let opened = self.begin(new).await?;
                    // nobody waits for it if the reader has ended
                    drop(answer.send(opened));
                }
                Command::Batch(batch) => {
                    self.bytes += batch.body.len();
                    self.kept.push_back(batch.clone());
                    match self.send(&batch).await {
                        Ok(()) => {}
                        Err(failure) => self.again(failure).await?,
                    }
                    while self.bytes > KEPT {
                        tokio::time::sleep(PAUSE / 5).await;
                        self.ask().await?;
                    }
                }
                Command::End { import, position, totals, partial } => {
                    self.ends.push(End { import, position, totals, partial });
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::ClosedPipe);
            }
        }
        for end in std::mem::take(&mut self.ends) {
            while !self.end(&end).await? {
                if self.stop.load(Ordering::Relaxed) {
                    return Err(Failure::ClosedPipe);
                }
            }
        }
        Ok(())
    }

    async fn begin(&mut self, new: Value) -> Result<Opened, Failure> {
        let answer = match self.client.deliver("/api/v1/imports", Body::Json(&new)).await {
            Err(failure @ Failure::Unreachable(_)) if !self.open.is_empty() => {
                self.again(failure).await?;
                self.client.deliver("/api/v1/imports", Body::Json(&new)).await?
            }
            answer => answer?,
        };
        let opened = Opened::read(&answer)?;
        self.open.insert(opened.import.clone(), Open { new, session: opened.session });
        Ok(opened)
    }

    async fn send(&mut self, batch: &Batch) -> Result<(), Failure> {
        let Batch { import, kind, from, seq, digest, body } = batch;
        let session = self.open.get(import).map(|open| open.session).unwrap_or_default();
        let mut path =
            format!("/api/v1/imports/{import}/rows?session={session}&kind={kind}&from={from}&seq={seq}");
        if let Some(digest) = digest {
            path.push_str("&digest=");
            path.push_str(&HEXLOWER.encode(digest));
        }
        let answer = self.client.deliver(&path, Body::Rows(body.clone())).await?;
        let committed = answer["committed"].as_u64().unwrap_or_default();
        self.forget(import, committed);
        Ok(())
    }

    /// What is committed need not be kept.
    fn forget(&mut self, import: &str, committed: u64) {
        self.kept.retain(|batch| batch.import != import || batch.seq > committed);
        self.bytes = self.kept.iter().map(|batch| batch.body.len()).sum();
    }

    /// Sends the oldest batch that is kept once more, without its rows: the answer says what is committed.
    async fn ask(&mut self) -> Result<(), Failure> {
        let Some(first) = self.kept.front() else { return Ok(()) };
        let batch = Batch { body: Bytes::new(), digest: None, ..first.clone() };
        match self.send(&batch).await {
            Ok(()) => Ok(()),
            Err(failure) => self.again(failure).await,
        }
    }

    /// After a failure: waits for the server, opens what has anything kept, and sends again what its tables lack.
    async fn again(&mut self, failure: Failure) -> Result<(), Failure> {
        let since = Instant::now();
        let mut failure = failure;
        let mut told = false;
        loop {
            match &failure {
                Failure::Unreachable(_) => {
                    if self.stop.load(Ordering::Relaxed) || since.elapsed() > AWAY {
                        return Err(failure);
                    }
                    if !told {
                        talk("the server does not answer: waiting for it");
                        told = true;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                // the server has been started again
                Failure::Conflict { kind, .. } if kind == "urn:bartizan:import-closed" => {}
                Failure::Partial(_) => tokio::time::sleep(PAUSE).await,
                _ => return Err(failure),
            }
            match self.resend().await {
                Ok(()) => return Ok(()),
                Err(next) => failure = next,
            }
        }
    }

    async fn resend(&mut self) -> Result<(), Failure> {
        let mut imports: Vec<String> = Vec::new();
        for batch in &self.kept {
            if !imports.contains(&batch.import) {
                imports.push(batch.import.clone());
            }
        }
        for import in imports {
            let Some(open) = self.open.get_mut(&import) else { continue };
            let answer = self.client.deliver("/api/v1/imports", Body::Json(&open.new)).await?;
            let opened = Opened::read(&answer)?;
            open.session = opened.session;
            let lacks = |batch: &&Batch| {
                batch.import == import
                    && opened.marks.iter().any(|(k, at)| *k == batch.kind && batch.seq > *at)
            };
            let batches: Vec<_> = self.kept.iter().filter(lacks).cloned().collect();
            for batch in &batches {
                self.send(batch).await?;
            }
        }
        Ok(())
    }

    /// Tells the end of an import; whether all of it is committed.
    async fn end(&mut self, end: &End) -> Result<bool, Failure> {
        let session = self.open.get(&end.import).map(|open| open.session).unwrap_or_default();
        let path = format!("/api/v1/imports/{}/finish", end.import);
        let body = json!({
            "session": session, "position": end.position, "totals": end.totals, "partial": end.partial,
        });
        match self.client.deliver(&path, Body::Json(&body)).await {
            Ok(answer) => {
                self.forget(&end.import, answer["committed"].as_u64().unwrap_or_default());
                Ok(answer["done"] == true)
            }
            Err(failure) => {
                let closed = matches!(&failure, Failure::Conflict { kind, .. } if kind == "urn:bartizan:import-closed");
                self.again(failure).await?;
                if closed && !self.kept.iter().any(|batch| batch.import == end.import) {
                    // all was committed before the server was started again; it wants to be told all the same
                    if let Some(open) = self.open.get(&end.import) {
                        let new = open.new.clone();
                        self.begin(new).await?;
                    }
                }
                Ok(false)
            }
        }
    }
}
