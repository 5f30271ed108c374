//! The live tail: rows that match, as they arrive.
//!
//! Server-sent events: `row` with the row, and each second `stats` with totals since the start:
//! `matched` rows that passed the filter, `shown` rows that were sent, `skipped` rows that passed but were
//! not sent because the reader was slow, `missed` rows that went by before the filter could look at them.
//! `matched = shown + skipped`, always.
//!
//! A task per tail filters and writes into a channel of a few chunks. When the reader does not keep up, the
//! task first waits a moment, then skips and counts; so the feed, the other tails and the memory of the
//! server do not depend on any reader. The task ends when the reader or the feed does.

use crate::ask::parse;
use crate::body::Body;
use crate::queries::{Asked, Current};
use crate::{ApiState, LiveItem, Problem, Subscription};
use arrow_array::{Array, BooleanArray};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use bartizan_filter::Matcher;
use bartizan_model::Kind;
use bartizan_query::render::Rows;
use bytes::Bytes;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, error::SendTimeoutError, error::TrySendError};
use tokio::time::MissedTickBehavior;

/// Rows of one chunk.
const CHUNK_ROWS: usize = 128;
/// Chunks that wait for the reader.
const CHUNKS: usize = 32;
/// How long a chunk waits for a reader that kept up so far.
const PATIENCE: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Totals {
    matched: u64,
    shown: u64,
    skipped: u64,
    missed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailBody {
    filter: String,
}

pub(crate) async fn tail(
    State(state): State<ApiState>,
    Current(asked): Current,
    Body(body): Body<TailBody>,
) -> Result<Response, Problem> {
    let filter = parse(&state, Kind::Events, &body.filter)?;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    // Subscribed here and not in the task: a row that arrives after the answer's head is in the tail.
    let subscription = state.live.subscribe();
    tokio::spawn(
        Tail { matcher: Matcher::new(&filter), sender, totals: Totals::default(), slow: false }
            .run(subscription, asked),
    );
    let chunks = tokio_stream::wrappers::ReceiverStream::new(receiver).map(Ok::<Bytes, Infallible>);
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, axum::body::Body::from_stream(chunks)).into_response())
}

/// The reader is gone.
struct Gone;

struct Tail {
    matcher: Matcher,
    sender: mpsc::Sender<Bytes>,
    totals: Totals,
    /// The last chunk could not be sent in time: do not wait for the next.
    slow: bool,
}

impl Tail {
    async fn run(mut self, Subscription(mut items): Subscription, asked: Arc<Asked>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let reader = self.sender.clone();
        loop {
            let done = tokio::select! {
                () = reader.closed() => Err(Gone),
                () = asked.cancelled() => {
                    self.end(&Problem::cancelled()).await;
                    Err(Gone)
                }
                _ = second.tick() => self.tell(),
                item = items.next() => match item {
                    Some(item) => self.show(&item).await,
                    None => {
                        // The feed has ended: the totals are the last word, even to a slow reader.
                        let last = self.stats();
                        let _ = self.sender.send_timeout(last, Duration::from_secs(5)).await;
                        Err(Gone)
                    }
                },
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn show(&mut self, item: &LiveItem) -> Result<(), Gone> {
        self.totals.missed += item.missed;
        let matches: BooleanArray = self.matcher.matches(&item.rows);
        let matched: Vec<usize> =
            (0..matches.len()).filter(|row| matches.is_valid(*row) && matches.value(*row)).collect();
        if matched.is_empty() {
            return Ok(());
        }
        self.totals.matched += matched.len() as u64;
        let rows = Rows::new(&item.rows);
        for chunk in matched.chunks(CHUNK_ROWS) {
            let n = chunk.len() as u64;
            if self.send_rows(&rows, chunk).await? {
                self.totals.shown += n;
            } else {
                self.totals.skipped += n;
            }
        }
        Ok(())
    }

    /// Whether the chunk was sent.
    async fn send_rows(&mut self, rows: &Rows<'_>, chunk: &[usize]) -> Result<bool, Gone> {
        if self.slow && self.sender.capacity() == 0 {
            return if self.sender.is_closed() { Err(Gone) } else { Ok(false) };
        }
        let mut out = Vec::with_capacity(chunk.len() * 512);
        for row in chunk {
            out.extend_from_slice(b"event: row\ndata: ");
            rows.write_json(*row, &mut out);
            out.extend_from_slice(b"\n\n");
        }
        match self.sender.send_timeout(out.into(), PATIENCE).await {
            Ok(()) => {
                self.slow = false;
                Ok(true)
            }
            Err(SendTimeoutError::Timeout(_)) => {
                self.slow = true;
                Ok(false)
            }
            Err(SendTimeoutError::Closed(_)) => Err(Gone),
        }
    }

    /// Sends the totals, if there is room; the next ones say the same and more.
    fn tell(&self) -> Result<(), Gone> {
        match self.sender.try_send(self.stats()) {
            Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Gone),
        }
    }

    /// The last word to one who should not ask again.
    async fn end(&self, problem: &Problem) {
        let json = serde_json::to_string(problem).expect("a problem has only texts and numbers");
        let last = format!("event: end\ndata: {json}\n\n").into();
        let _ = self.sender.send_timeout(last, Duration::from_secs(5)).await;
    }

    fn stats(&self) -> Bytes {
        let json = serde_json::to_string(&self.totals).expect("totals are numbers");
        format!("event: stats\ndata: {json}\n\n").into()
    }
}
