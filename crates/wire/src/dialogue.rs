//! One DoPut stream, as the server sees it.

use crate::{
    Configured, DecodeError, IncomingBatch, Limits, Message, Offence, Peer, Refusal, RefusalKind, Sink,
    declared_bytes, decode,
    error::printable,
    grpc::{Answer, Inbound},
    listen::stopped,
    message::{BatchMeta, Hello, Reply, Told, Versions, from_json, says_whose, to_json},
    offer::Has,
    server::Admission,
};
use arrow_flight::{FlightData, PutResult};
use bartizan_model::{BatchId, Lane, Seq, StreamId};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc, watch};
use tonic::{Code, Status};

/// Between two questions whether the host is still let in.
const ADMIT_EVERY: Duration = Duration::from_secs(60);
/// For the first message.
const HELLO_TIME: Duration = Duration::from_secs(10);

/// What one hears who says whose it is.
const WHOSE: &str = "a message may not say whose it is: that is in the sender's certificate";
/// Columns that the server fills, by what it knows of the sender.
const WHOSE_COLUMNS: [&str; 5] = ["host", "sender", "stream", "epoch", "seq"];

/// What a stream needs of its server.
pub(crate) struct Dialogue<S, A> {
    pub(crate) sink: Arc<S>,
    pub(crate) admission: Arc<A>,
    pub(crate) peer: Peer,
    pub(crate) limits: Limits,
    /// KiB that may be unpacked at one time.
    pub(crate) memory: Arc<Semaphore>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) admit_every: Option<Duration>,
}

/// Why reading ended before the sender was done.
enum End {
    Refused(Seq, Offence, Refusal),
    /// What cannot be refused by its number.
    Wrong(Offence, Refusal),
    Status(Status),
}

impl<S: Sink, A: Admission> Dialogue<S, A> {
    pub(crate) async fn run(mut self, inbound: Inbound, out: mpsc::Sender<Answer>) {
        if let Err(status) = self.talk(inbound, &out).await {
            // If it cannot be sent the sender is gone, and learns nothing anyhow.
            drop(out.send(Err(status)).await);
        }
    }

    async fn talk(&mut self, mut inbound: Inbound, out: &mpsc::Sender<Answer>) -> Result<(), Status> {
        let hello = tokio::time::timeout(HELLO_TIME, inbound.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no first message"))??;
        let (stream, hello) =
            self.stream_of(hello).map_err(|(offence, refusal)| self.count(offence, &refusal).status())?;
        // Held to the end of the stream.
        let mut claim = self
            .admission
            .claim(&self.peer, hello.speaker())
            .map_err(|refusal| self.count(Offence::Claim, &refusal).status())?;
        // Before the first look at the marks, so that no change is missed.
        let mut commits = self.sink.commits();
        let mut sent = self.sink.resume(stream).await.map_err(|r| r.status())?;
        reply(out, &Reply::Committed(sent)).await?;
        let mut has = None;
        if let Some(configured) = hello.configured.map(Configured::bounded) {
            has = Some(Has::new(&configured));
            self.admission.configured(&self.peer, configured);
        }
        let mut offers = self.admission.offers().filter(|_| has.is_some());
        self.offer(&mut has, out).await?;

        let mut stop = self.stop.clone();
        let every = self.admit_every.unwrap_or(ADMIT_EVERY);
        let mut admit = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        let reading = self.read(stream, sent, inbound);
        tokio::pin!(reading);
        // Some(last number that was taken) once the sender has said that nothing more comes.
        let mut done: Option<Seq> = None;
        loop {
            let mark = self.sink.committed(&stream);
            if done.is_some_and(|last| sent >= last) {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return Err(Status::unavailable("the server is stopping")),
                () = out.closed() => return Ok(()),
                () = stopped(&mut claim.lost) => {
                    return Err(Status::aborted("this stream was ended: ask again whether this process may send"));
                }
                _ = admit.tick() => {
                    let admitted = self.admission.admit(&self.peer).await;
                    let name = admitted.map_err(|r| self.count(Offence::Standing, &r).status())?;
                    if name != self.peer.name {
                        return Err(Status::aborted("this host has another name now"));
                    }
                    // its groups may be others by now
                    self.offer(&mut has, out).await?;
                }
                () = changed(&mut offers) => self.offer(&mut has, out).await?,
                permit = out.reserve(), if mark > sent => {
                    if let Ok(permit) = permit {
                        permit.send(Ok(result(&Reply::Committed(mark))));
                        sent = mark;
                    }
                }
                changed = commits.changed() => {
                    changed.map_err(|_| Status::unavailable("the server is stopping"))?;
                }
                ended = &mut reading, if done.is_none() => match ended {
                    Ok(last) => done = Some(last),
                    Err(End::Status(status)) => return Err(status),
                    Err(End::Wrong(offence, refusal)) => return Err(self.count(offence, &refusal).status()),
                    Err(End::Refused(seq, offence, refusal)) => {
                        self.count(offence, &refusal);
                        return self.refuse(stream, sent, seq, refusal, out).await;
                    }
                }
            }
        }
    }

    /// Says what counts for the host now, to one that listens and has it not.
    async fn offer(&self, has: &mut Option<Has>, out: &mpsc::Sender<Answer>) -> Result<(), Status> {
        let Some(has) = has else { return Ok(()) };
        let offer = self.admission.offer(&self.peer);
        match has.lacks(&offer) {
            true => reply(out, &Reply::Configuration(offer)).await,
            false => Ok(()),
        }
    }

    /// Lets a refusal be counted; what may be taken later is none, but of another process.
    fn count<'a>(&self, offence: Offence, refusal: &'a Refusal) -> &'a Refusal {
        if refusal.kind != RefusalKind::Retry || offence == Offence::Claim {
            self.admission.refused(&self.peer, offence, &refusal.reason);
        }
        refusal
    }

    async fn refuse(
        &self,
        stream: StreamId,
        sent: Seq,
        seq: Seq,
        refusal: Refusal,
        out: &mpsc::Sender<Answer>,
    ) -> Result<(), Status> {
        if matches!(refusal.kind, RefusalKind::Denied | RefusalKind::Expired) {
            return Err(refusal.status());
        }
        tracing::debug!(%stream, seq = seq.0, reason = refusal.reason, "batch refused");
        let mark = self.sink.committed(&stream);
        if mark > sent {
            reply(out, &Reply::Committed(mark)).await?;
        }
        let permanent = refusal.kind == RefusalKind::Permanent;
        reply(out, &Reply::Refused { seq, permanent, reason: printable(&refusal.reason) }).await
    }

    fn stream_of(&self, hello: Option<FlightData>) -> Result<(StreamId, Hello), (Offence, Refusal)> {
        let wrong = |why: String| (Offence::Protocol, Refusal::permanent(why));
        let command = hello.and_then(|h| h.flight_descriptor).map(|d| d.cmd);
        let command = command.ok_or_else(|| wrong("the first message says nothing".into()))?;
        let hello: Hello = from_json("the first message", &command).map_err(wrong)?;
        if says_whose(&command) {
            return Err((Offence::Identity, Refusal::permanent(WHOSE)));
        }
        let theirs = Versions { newest: hello.version, oldest: hello.oldest };
        theirs
            .common(Versions::OURS)
            .map_err(|why| wrong(format!("agent {}: {why}", printable(&hello.agent))))?;
        let lane =
            Lane::from_number(hello.lane).ok_or_else(|| wrong(format!("there is no lane {}", hello.lane)))?;
        Ok((StreamId { host: self.peer.host, lane, epoch: hello.epoch }, hello))
    }

    /// Takes batches until the sender is done; gives the last number that was taken.
    async fn read(&self, stream: StreamId, resumed: Seq, mut inbound: Inbound) -> Result<Seq, End> {
        let mut taken = resumed;
        let mut before = Seq::ZERO;
        while let Some(first) = inbound.message().await.map_err(End::Status)? {
            let meta: BatchMeta = from_json("a batch's description", &first.app_metadata)
                .map_err(|why| End::Wrong(Offence::Protocol, Refusal::permanent(why)))?;
            if let Some(clock) = meta.clock {
                self.sink.told(&self.peer, Told { clock, waiting: meta.waiting });
            }
            let refused = |(offence, refusal)| End::Refused(meta.seq, offence, refusal);
            if says_whose(&first.app_metadata) {
                return Err(refused((Offence::Identity, Refusal::permanent(WHOSE))));
            }
            if meta.epoch != stream.epoch || meta.seq <= before {
                return Err(refused((Offence::Order, Refusal::permanent("batches out of order"))));
            }
            before = meta.seq;
            let messages = Box::pin(self.gather(first, &mut inbound)).await.map_err(|end| match end {
                GatherEnd::Refused(refusal) => refused((Offence::Malformed, refusal)),
                GatherEnd::Status(status) => End::Status(status),
            })?;
            // What is committed already was sent again because its acknowledgement was lost.
            if meta.seq > self.sink.committed(&stream) {
                // In a box: a stream that is silent has no room for it.
                Box::pin(self.take(stream, meta, messages)).await.map_err(refused)?;
            }
            taken = taken.max(meta.seq);
        }
        Ok(taken)
    }

    /// The messages of one batch: up to the one that holds its rows.
    async fn gather(&self, first: FlightData, inbound: &mut Inbound) -> Result<Vec<Message>, GatherEnd> {
        const MOST_MESSAGES: usize = 256; // a schema, a dictionary per column, the rows
        let permanent = |why: String| GatherEnd::Refused(Refusal::permanent(why));
        let mut bytes = 0_usize;
        let mut messages = Vec::new();
        let mut next = Some(first);
        while let Some(data) = next {
            bytes += data.data_header.len() + data.data_body.len();
            if bytes > self.limits.batch_bytes || messages.len() >= MOST_MESSAGES {
                return Err(permanent(format!(
                    "a batch above the limit of {} bytes",
                    self.limits.batch_bytes
                )));
            }
            let message = Message { header: data.data_header, body: data.data_body };
            let last = arrow_ipc::root_as_message(&message.header)
                .map_err(|_| permanent("not an arrow batch: a header cannot be read".into()))?
                .header_type()
                == arrow_ipc::MessageHeader::RecordBatch;
            messages.push(message);
            if last {
                return Ok(messages);
            }
            next = inbound.message().await.map_err(|status| match status.code() {
                Code::OutOfRange => permanent(format!("a message above the limit: {}", status.message())),
                _ => GatherEnd::Status(status),
            })?;
        }
        Err(GatherEnd::Status(Status::cancelled("the sender left in the middle of a batch")))
    }

    async fn take(
        &self,
        stream: StreamId,
        meta: BatchMeta,
        messages: Vec<Message>,
    ) -> Result<(), (Offence, Refusal)> {
        let limits = self.limits;
        let malformed = |refusal| (Offence::Malformed, refusal);
        let poison = |e: &DecodeError| match e {
            // A column that says whose rows they are is no slip of a program.
            DecodeError::Column { column, .. } if WHOSE_COLUMNS.contains(&column.as_str()) => {
                (Offence::Identity, Refusal::permanent(e.to_string()))
            }
            e => malformed(Refusal::permanent(e.to_string())),
        };
        let declared = declared_bytes(meta.kind, &messages, &limits).map_err(|e| poison(&e))?;
        let kib = u32::try_from(declared.min(limits.decoding_bytes) / 1024).unwrap_or(u32::MAX);
        let _memory = self
            .memory
            .acquire_many(kib)
            .await
            .map_err(|_| malformed(Refusal::retry("the server is stopping")))?;
        let bytes = messages.iter().map(|m| m.header.len() + m.body.len()).sum();
        // Off the threads that serve everyone; and if a decoder panics, the batch is at fault and not us.
        let batch = tokio::task::spawn_blocking(move || decode(meta.kind, &messages, &limits))
            .await
            .map_err(|e| match e.is_panic() {
                true => malformed(Refusal::permanent("the batch cannot be decoded")),
                false => malformed(Refusal::retry("the server is stopping")),
            })?
            .map_err(|e| poison(&e))?;
        let id = BatchId { stream, seq: meta.seq };
        let incoming = IncomingBatch { id, kind: meta.kind, batch, weight: meta.weight, bytes };
        self.sink.accept(&self.peer, incoming).await.map_err(|refusal| (Offence::Rows, refusal))
    }
}

enum GatherEnd {
    Refused(Refusal),
    Status(Status),
}

fn result(reply: &Reply) -> PutResult {
    PutResult { app_metadata: to_json(reply) }
}

/// Waits for the next change; for ever, where there is none.
async fn changed(offers: &mut Option<watch::Receiver<u64>>) {
    if let Some(offers) = offers
        && offers.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

async fn reply(out: &mpsc::Sender<Answer>, message: &Reply) -> Result<(), Status> {
    out.send(Ok(result(message))).await.map_err(|_| Status::cancelled("the sender left"))
}
