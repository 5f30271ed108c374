//! One connection, from its first byte to its last.

use super::{Place, stopped};
use crate::sender::Sender;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes of the buffer of a connection at first, and when much comes.
const BUFFER: (usize, usize) = (16 << 10, 256 << 10);
/// Answers that wait, from which on nothing more is read.
const ANSWERS: usize = 1 << 20;
/// How long the other side may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a connection is listened to when the server stops: its sender may have sent what it will not send again.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection.
pub(super) struct Line<'a, S> {
    pub(super) io: S,
    pub(super) sender: Sender,
    pub(super) place: &'a Place,
    pub(super) stop: watch::Receiver<bool>,
}

/// Answers and the ticket with which they may be given.
type Answers = VecDeque<(u64, Vec<u8>)>;

/// Takes what comes until the connection ends, or the server stops.
pub(super) async fn converse<S: AsyncRead + AsyncWrite>(line: Line<'_, S>) {
    let Line { io, mut sender, place, mut stop } = line;
    let mut talk = place.settings.speech.talk(&place.settings);
    let (mut from, mut to) = tokio::io::split(io);
    let mut durable = place.desk.durable();
    let mut answers = Answers::new();
    let mut buffer = Buffer::new(place.settings.max_message);
    let mut until: Option<Instant> = None;
    loop {
        let idle = until.unwrap_or_else(|| Instant::now() + place.settings.idle);
        let waiting: usize = answers.iter().map(|(_, answer)| answer.len()).sum();
        let over = talk.is_over();
        if over && answers.is_empty() {
            break;
        }
        let read = tokio::select! {
            read = buffer.read(&mut from), if !over && waiting < ANSWERS => read,
            changed = durable.changed(), if !answers.is_empty() => {
                let done = *durable.borrow_and_update();
                if changed.is_err() || give(&mut to, &mut answers, done).await.is_err() {
                    return;
                }
                continue;
            }
            () = stopped(&mut stop), if until.is_none() => {
                until = Some(Instant::now() + FAREWELL);
                // whoever sends without asking should see that this is the end
                if !place.settings.speech.answers() {
                    drop(to.shutdown().await);
                }
                continue;
            }
            () = tokio::time::sleep_until(idle) => {
                tracing::debug!(sender = %sender.who.name, "a silent connection is closed");
                break;
            }
        };
        let now = bartizan_clock::now();
        let ended = !matches!(read, Ok(n) if n > 0);
        let taken = place.desk.work(|desk| {
            let taken = talk.take(buffer.bytes(), desk, &mut sender, now);
            if let (Ok(taken), true) = (&taken, ended) {
                talk.end(&buffer.bytes()[*taken..], desk, &mut sender, now);
            }
            let mut answer = Vec::new();
            talk.answers(&mut answer);
            if !answer.is_empty() {
                answers.push_back((desk.ticket(), answer));
            }
            taken
        });
        place.desk.hand_over().await;
        match taken {
            Ok(taken) => buffer.done(taken),
            Err(error) => {
                tracing::debug!(sender = %sender.who.name, %error, "a connection is closed");
                break;
            }
        }
        let done = *durable.borrow_and_update();
        if ended || give(&mut to, &mut answers, done).await.is_err() {
            break;
        }
    }
    // what was taken is answered, even if it is the last
    let answered = async {
        while !answers.is_empty() && durable.changed().await.is_ok() {
            let done = *durable.borrow_and_update();
            give(&mut to, &mut answers, done).await?;
        }
        to.write_all(talk.farewell()).await?;
        to.shutdown().await
    };
    drop(tokio::time::timeout(FAREWELL, answered).await);
}

/// Gives the answers whose rows are durable.
async fn give<S: AsyncWrite>(
    to: &mut WriteHalf<S>,
    answers: &mut Answers,
    durable: u64,
) -> std::io::Result<()> {
    let mut out = Vec::new();
    while answers.front().is_some_and(|(ticket, _)| *ticket <= durable) {
        out.extend(answers.pop_front().map(|(_, answer)| answer).unwrap_or_default());
    }
    if out.is_empty() {
        return Ok(());
    }
    match tokio::time::timeout(PATIENCE, to.write_all(&out)).await {
        Ok(written) => written,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// What has come and is not done with.
struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
    most: usize,
}

impl Buffer {
    fn new(max_message: usize) -> Self {
        Self { bytes: vec![0; BUFFER.0], filled: 0, most: BUFFER.1.max(2 * max_message) }
    }

    /// Reads more; grows when what comes fills it.
    async fn read<S: AsyncRead>(&mut self, from: &mut ReadHalf<S>) -> std::io::Result<usize> {
        if self.filled == self.bytes.len() {
            // a format that does not take what it has would wait for ever
            if self.filled >= self.most {
                return Err(std::io::ErrorKind::OutOfMemory.into());
            }
            self.bytes.resize((2 * self.filled).min(self.most), 0);
        }
        let read = from.read(&mut self.bytes[self.filled..]).await?;
        self.filled += read;
        Ok(read)
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    fn done(&mut self, taken: usize) {
        let full = self.filled == self.bytes.len();
        self.bytes.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        if full && self.bytes.len() < self.most {
            self.bytes.resize((2 * self.bytes.len()).min(self.most), 0);
        }
    }
}
