//! The live tail: rows that match, as they arrive.
//!
//! Server-sent events: `row` with the row, `stats` each second with totals since the start, and `end` with a problem
//! where it ends for another reason than its reader. Of the totals, `matched` rows passed the filter, `shown` were sent,
//! `sampled` passed but were more than the asked `rate`, `skipped` passed but the reader was slow, and `missed` went by
//! before the filter could look at them. `matched = shown + sampled + skipped`, always. `lag_ms` is how far the tail is
//! behind what has arrived.
//!
//! **Resuming.** Each event's `id` is how far the reader has come in the order of arrival. Asked again with it, as
//! `after` or in the header `Last-Event-ID`, the tail first gives what has come since, from the store, and then goes
//! on with what arrives: no row twice, and none left out. A tail that was resumed also looks into the store for what
//! went by too fast.
//!
//! A task per tail writes what passes its filter (see [`crate::live`]) into a channel of a few chunks. When the reader does
//! not keep up, the task first waits a moment, then skips and counts; so the feed, the other tails and the memory of the
//! server do not depend on any reader. What comes from the store waits for its reader instead. The task ends when the
//! reader or the feed does.

use crate::ask::parse;
use crate::body::Body;
use crate::queries::{Asked, Current};
use crate::{ApiState, Live, LiveItem, Problem, Subscription};
use arrow_array::RecordBatch;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bartizan_filter::Filter;
use bartizan_model::{Kind, Micros};
use bartizan_query::render::{Rows, time_text};
use bartizan_query::{Arrival, Engine, Inquiry, QueryError, Sight};
use bartizan_schema::{is_content, table_schema};
use bytes::Bytes;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, error::SendTimeoutError, error::TrySendError};
use tokio::time::MissedTickBehavior;

/// Rows of one chunk.
const CHUNK_ROWS: usize = 128;
/// Chunks that wait for the reader.
const CHUNKS: usize = 32;
/// How long a chunk waits for a reader that kept up so far.
const PATIENCE: Duration = Duration::from_millis(250);
/// Most rows a second that can be asked for; without a rate there is no bound.
const MAX_RATE: u64 = 1_000_000;

#[derive(Clone, Debug, Default, Serialize)]
struct Totals {
    matched: u64,
    shown: u64,
    sampled: u64,
    skipped: u64,
    missed: u64,
    lag_ms: u64,
    /// The time of the newest row that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TailBody {
    filter: String,
    /// Go on behind this event: its `id`. The header `Last-Event-ID` says the same.
    after: Option<String>,
    /// At most so many rows a second; of more, some that lie apart. Without it all are sent.
    rate: Option<u64>,
}

/// Rows as they arrive.
pub(crate) async fn tail(
    State(state): State<ApiState>,
    Current(asked): Current,
    headers: HeaderMap,
    Body(body): Body<TailBody>,
) -> Result<Response, Problem> {
    let filter = parse(&state, Kind::Events, &body.filter)?;
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?").to_owned());
    let after = body.after.or(last).map(|text| text.parse::<Arrival>());
    let after = after.transpose().map_err(|e| Problem::bad_cursor(e.to_string()))?;
    if body.rate.is_some_and(|rate| !(1..=MAX_RATE).contains(&rate)) {
        let text = format!("`rate` is 1 to {MAX_RATE} rows a second");
        return Err(Problem::bad_request(StatusCode::BAD_REQUEST, text));
    }
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let inquiry = Inquiry::current();
    let scoped = inquiry.sight().scoped(Kind::Events, &filter)?.into_owned();
    // Subscribed here and not in the task: a row that arrives after the answer's head is in the tail.
    let subscription = state.live.subscribe(&scoped);
    let tail = Tail {
        shown: shown(inquiry.sight()),
        filter,
        engine: Arc::clone(&state.engine),
        live: Arc::downgrade(&state.live),
        sender,
        totals: Totals::default(),
        slow: false,
        at: Arrival::end_of(subscription.since()),
        resumed: after.is_some(),
        rate: body.rate.map(|rate| Rate::new(rate, Instant::now())),
    };
    let question = Arc::clone(&asked);
    state
        .onlookers
        .handle()
        .spawn(async move { question.inside(tail.run(subscription, after, asked)).await });
    // Whoever reads keeps the threads, so that the last words are said when the server stops.
    let onlookers = Arc::clone(&state.onlookers);
    let chunks = tokio_stream::wrappers::ReceiverStream::new(receiver).map(move |chunk| {
        let _kept = &onlookers;
        Ok::<Bytes, Infallible>(chunk)
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, axum::body::Body::from_stream(chunks)).into_response())
}

/// The reader is gone, or has been told that there is no more.
struct Gone;

struct Tail {
    /// The columns that are in sight of who asks, if not all are.
    shown: Option<Vec<usize>>,
    filter: Filter,
    engine: Arc<Engine>,
    /// Not held: the feed ends with the server, and the tail with it.
    live: Weak<dyn Live>,
    sender: mpsc::Sender<Bytes>,
    totals: Totals,
    /// The last chunk could not be sent in time: do not wait for the next.
    slow: bool,
    /// Up to where everything has been looked at.
    at: Arrival,
    resumed: bool,
    rate: Option<Rate>,
}

/// How many rows may be sent: so many a second, and those of a quarter of a second at once.
struct Rate {
    rate: f64,
    left: f64,
    since: Instant,
}

impl Rate {
    fn new(rate: u64, now: Instant) -> Self {
        let rate = rate as f64;
        Self { rate, left: (rate / 4.0).max(1.0), since: now }
    }

    /// Up to `wanted` rows, which are taken.
    fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let more = (now - self.since).as_secs_f64() * self.rate;
        self.left = (self.left + more).min((self.rate / 4.0).max(1.0));
        self.since = now;
        let taken = wanted.min(self.left as usize);
        self.left -= taken as f64;
        taken
    }
}

impl Tail {
    async fn run(mut self, subscription: Subscription, after: Option<Arrival>, asked: Arc<Asked>) {
        let reader = self.sender.clone();
        let work = self.work(subscription, after);
        tokio::select! {
            () = reader.closed() => {}
            () = asked.cancelled() => say_end(&reader, &Problem::cancelled()).await,
            () = work => {}
        }
    }

    async fn work(&mut self, mut subscription: Subscription, after: Option<Arrival>) {
        if let Some(after) = after
            && self.replay(after, self.at).await.is_err()
        {
            return;
        }
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                _ = second.tick() => {
                    if let Some(seen) = subscription.seen() {
                        self.at = self.at.max(Arrival::end_of(seen));
                    }
                    self.tell()
                }
                item = subscription.next() => match item {
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

    /// Sends what has arrived behind one place and up to another, from the store.
    async fn replay(&mut self, after: Arrival, until: Arrival) -> Result<(), Gone> {
        let mut rows = match self.engine.arrivals(&self.filter, after, until).await {
            Ok(rows) => rows,
            Err(error) => return self.fail(error).await,
        };
        while let Some(batch) = rows.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => return self.fail(error).await,
            };
            let all: Vec<usize> = (0..batch.num_rows()).collect();
            self.totals.matched += all.len() as u64;
            for chunk in all.chunks(CHUNK_ROWS) {
                // However long it takes: nothing is lost while it waits.
                let bytes = written(&batch, chunk);
                self.sender.send(bytes).await.map_err(|_| Gone)?;
                self.totals.shown += chunk.len() as u64;
            }
            self.newest(&batch, all.len().checked_sub(1));
        }
        self.at = until;
        let stats = self.stats();
        self.sender.send(stats).await.map_err(|_| Gone)
    }

    /// What should be sent cannot be read: the reader may ask again from where it is.
    async fn fail(&self, error: QueryError) -> Result<(), Gone> {
        say_end(&self.sender, &error.into()).await;
        Err(Gone)
    }

    async fn show(&mut self, item: &LiveItem) -> Result<(), Gone> {
        if self.resumed && item.missed + item.skipped > 0 {
            let before = Arrival::end_of(Micros(item.received.0.saturating_sub(1)));
            self.replay(self.at, before).await?;
        } else {
            self.totals.missed += item.missed;
            self.totals.matched += item.skipped;
            self.totals.skipped += item.skipped;
        }
        self.at = Arrival::end_of(item.received);
        let matched = &*item.passed;
        if matched.is_empty() {
            return Ok(());
        }
        self.totals.matched += matched.len() as u64;
        let may = self.rate.as_mut().map_or(matched.len(), |rate| rate.take(matched.len(), Instant::now()));
        self.totals.sampled += (matched.len() - may) as u64;
        let wanted = apart(matched, may);
        let rows = self.in_sight(&item.rows);
        for chunk in wanted.chunks(CHUNK_ROWS) {
            let n = chunk.len() as u64;
            if self.send_rows(&rows, chunk).await? {
                self.totals.shown += n;
            } else {
                self.totals.skipped += n;
            }
        }
        self.newest(&item.rows, wanted.last().copied());
        Ok(())
    }

    /// What of some rows may be shown.
    fn in_sight(&self, rows: &RecordBatch) -> RecordBatch {
        let shown = self.shown.as_ref();
        // Columns of the same batch are as long as it.
        shown.and_then(|columns| rows.project(columns).ok()).unwrap_or_else(|| rows.clone())
    }

    fn newest(&mut self, batch: &RecordBatch, row: Option<usize>) {
        if let Some(time) = row.and_then(|row| bartizan_query::Position::of(batch, row)) {
            self.totals.newest = Some(time_text(time.time()));
        }
    }

    /// Whether the chunk was sent.
    async fn send_rows(&mut self, batch: &RecordBatch, chunk: &[usize]) -> Result<bool, Gone> {
        if self.slow && self.sender.capacity() == 0 {
            return if self.sender.is_closed() { Err(Gone) } else { Ok(false) };
        }
        match self.sender.send_timeout(written(batch, chunk), PATIENCE).await {
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
    fn tell(&mut self) -> Result<(), Gone> {
        let stats = self.stats();
        match self.sender.try_send(stats) {
            Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(Gone),
        }
    }

    fn stats(&mut self) -> Bytes {
        let newest = self.live.upgrade().map_or(self.at.received(), |live| live.position());
        let behind = newest.0.saturating_sub(self.at.received().0);
        self.totals.lag_ms = u64::try_from(behind / 1000).unwrap_or(0);
        let json = serde_json::to_string(&self.totals).expect("totals are numbers and a text");
        format!("event: stats\nid: {}\ndata: {json}\n\n", self.at).into()
    }
}

/// The columns of events that are in sight, if not all are.
fn shown(sight: &Sight) -> Option<Vec<usize>> {
    let schema = table_schema(Kind::Events);
    let seen = schema.fields().iter().enumerate().filter(|(_, field)| !is_content(field.name()));
    (!sight.contents()).then(|| seen.map(|(at, _)| at).collect())
}

/// `n` of the rows that lie apart from one another.
fn apart(rows: &[usize], n: usize) -> Vec<usize> {
    if n >= rows.len() {
        return rows.to_vec();
    }
    (0..n).map(|at| rows[at * rows.len() / n]).collect()
}

/// Rows as events, each with its place in the order of arrival.
fn written(batch: &RecordBatch, chunk: &[usize]) -> Bytes {
    let rows = Rows::new(batch);
    let mut out = Vec::with_capacity(chunk.len() * 512);
    for row in chunk {
        out.extend_from_slice(b"event: row\n");
        if let Some(place) = Arrival::of(batch, *row) {
            out.extend_from_slice(format!("id: {place}\n").as_bytes());
        }
        out.extend_from_slice(b"data: ");
        rows.write_json(*row, &mut out);
        out.extend_from_slice(b"\n\n");
    }
    out.into()
}

/// The last word to one who cannot go on.
async fn say_end(sender: &mpsc::Sender<Bytes>, problem: &Problem) {
    let json = serde_json::to_string(problem).expect("a problem has only texts and numbers");
    let last = format!("event: end\ndata: {json}\n\n").into();
    let _ = sender.send_timeout(last, Duration::from_secs(5)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sampled_lies_apart() {
        let rows: Vec<usize> = (100..110).collect();
        assert_eq!(apart(&rows, 10), rows);
        assert_eq!(apart(&rows, 3), [100, 103, 106]);
        assert!(apart(&rows, 0).is_empty() && apart(&[], 0).is_empty());
    }

    #[test]
    fn a_rate_is_for_a_second_and_not_for_a_batch() {
        let mut now = Instant::now();
        let mut rate = Rate::new(100, now);
        assert_eq!(rate.take(1000, now), 25);
        let mut rounds = |wanted| -> usize {
            let round = |_| {
                now += Duration::from_millis(50);
                rate.take(wanted, now)
            };
            (0..40).map(round).sum()
        };
        assert_eq!(rounds(3), 120, "all of fewer");
        let sent = rounds(50);
        assert!((200..=230).contains(&sent), "{sent}");
    }
}
