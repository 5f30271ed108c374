//! What the screen is fed with: rows as they come, how many over time, the most frequent values. On a thread of its own,
//! so that a terminal that takes its time holds nothing up.
//!
//! - What waits for the screen is bounded: of rows the newest [`MOST`]; what had to go is counted.
//! - Whatever belongs to a filter that is not asked any more is thrown away ([`Wanted::turn`]).

use super::ring::MOST;
use crate::{
    client::Client,
    failure::Failure,
    seen::Seen,
    stream::{Lines, next_event},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch::Receiver;

/// Rows from before that are shown at the start.
const BEFORE: u64 = 500;
/// The server sends its counters each second; silence for so long is a dead connection.
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often histogram and facets are asked for.
const AGAIN: Duration = Duration::from_secs(5);
/// Fields whose most frequent values are shown.
pub(super) const FACETS: [&str; 7] = ["action", "host", "src", "dst", "dport", "proto", "prefix"];
/// Values of each.
const VALUES: u64 = 5;
/// Bars of the histogram.
pub(super) const BARS: i64 = 60;

/// What the screen wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) filter: String,
    /// Rises with every other filter.
    pub(super) turn: u64,
    /// Seconds back that histogram and facets look.
    pub(super) seconds: i64,
    pub(super) histogram: bool,
    pub(super) facets: bool,
    /// The screen is closed.
    pub(super) end: bool,
}

/// How often a value of a field was there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facet {
    pub(super) field: &'static str,
    /// Nothing for rows that have none.
    pub(super) value: Option<Value>,
    pub(super) packets: u64,
}

/// How many over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bars {
    pub(super) packets: Vec<u64>,
    /// When the first bar begins.
    pub(super) from: Option<Timestamp>,
    pub(super) width: i64,
}

/// Counters of the server for this connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) matched: u64,
    pub(super) shown: u64,
    /// Left out because there are more than can be looked at.
    pub(super) sampled: u64,
    /// Left out because this reader was slow.
    pub(super) skipped: u64,
    pub(super) lag_ms: Option<u64>,
}

/// What waits for the screen.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) turn: u64,
    pub(super) rows: VecDeque<Box<str>>,
    /// Rows that had to go before the screen took them.
    pub(super) dropped: u64,
    pub(super) counters: Option<Counters>,
    pub(super) connected: Option<bool>,
    pub(super) bars: Option<Bars>,
    pub(super) facets: Option<Vec<Facet>>,
    /// Why something does not work, or nothing when it does.
    pub(super) problem: Option<Option<String>>,
    /// Why nothing works and will not by itself.
    pub(super) fatal: Option<Failure>,
}

/// The inbox, shared with the screen.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Inbox>);

impl Shared {
    /// Takes what waits.
    pub(super) fn take(&self) -> Inbox {
        let mut inbox = self.lock();
        let turn = inbox.turn;
        std::mem::replace(&mut *inbox, Inbox { turn, ..Inbox::default() })
    }

    /// Begins with another filter: what waits belongs to the one before.
    pub(super) fn turn(&self, turn: u64) {
        *self.lock() = Inbox { turn, ..Inbox::default() };
    }

    /// Whether it was of the filter that is asked now.
    fn put(&self, turn: u64, put: impl FnOnce(&mut Inbox)) -> bool {
        let mut inbox = self.lock();
        if inbox.turn == turn {
            put(&mut inbox);
        }
        inbox.turn == turn
    }

    fn row(&self, turn: u64, line: &str) {
        self.put(turn, |inbox| {
            if inbox.rows.len() == MOST {
                inbox.rows.pop_front();
                inbox.dropped += 1;
            }
            inbox.rows.push_back(line.into());
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Feeds until the screen is closed.
pub(super) async fn feed(client: &Client, shared: &Shared, wanted: Receiver<Wanted>) {
    tokio::join!(rows(client, shared, wanted.clone()), answers(client, shared, wanted));
}

/// Rows, over any number of connections.
async fn rows(client: &Client, shared: &Shared, mut wanted: Receiver<Wanted>) {
    let mut wait = FIRST_WAIT;
    let mut worked = false;
    // How far the rows of a filter came, where the server says so: behind that it goes on.
    let (mut last, mut seen, mut turn) = (None, Seen::default(), 0);
    loop {
        let now = wanted.borrow_and_update().clone();
        if now.end {
            return;
        }
        if now.turn != turn {
            (last, seen, turn) = (None, Seen::default(), now.turn);
        }
        let other_filter = async {
            // other wishes than the filter do not concern the rows
            while wanted.changed().await.is_ok() {
                let next = wanted.borrow();
                if next.end || next.turn != now.turn {
                    return;
                }
            }
        };
        let failed = tokio::select! {
            () = other_filter => { wait = FIRST_WAIT; continue }
            failed = connection(client, shared, &now, &mut worked, (&mut last, &mut seen)) => failed,
        };
        seen.lost();
        shared.put(now.turn, |inbox| inbox.connected = Some(false));
        let may_pass = matches!(failed, Failure::Partial(_) | Failure::Unreachable(_)) && worked;
        // A place that the server does not know any more is no place to go on behind.
        if matches!(failed, Failure::Usage(_)) && last.take().is_some() {
            continue;
        }
        let wrong_filter = matches!(failed, Failure::Filter { .. } | Failure::Usage(_)) && worked;
        if !may_pass && !wrong_filter {
            if shared.put(now.turn, |inbox| inbox.fatal = Some(failed)) {
                return;
            }
            continue;
        }
        shared.put(now.turn, |inbox| inbox.problem = Some(Some(failed.text())));
        if wrong_filter {
            wait = LONGEST_WAIT;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            _ = wanted.changed() => wait = FIRST_WAIT,
        }
    }
}

/// The rows of one connection; why it ended.
async fn connection(
    client: &Client,
    shared: &Shared,
    wanted: &Wanted,
    worked: &mut bool,
    (last, seen): (&mut Option<String>, &mut Seen),
) -> Failure {
    let turn = wanted.turn;
    let mut question = json!({ "filter": wanted.filter });
    if let Some(last) = last {
        question["after"] = last.as_str().into();
    }
    let response = match client.post_stream("/api/v1/tail", &question).await {
        Ok(response) => response,
        Err(failure) => return failure,
    };
    *worked = true;
    let mut lines = Lines::new(response.into_body(), PATIENCE);
    // Asked for once the tail is there: no row falls between, and one that is in both is seen once.
    if last.is_none()
        && let Err(failure) = before(client, shared, wanted, seen).await
    {
        return failure;
    }
    shared.put(turn, |inbox| {
        inbox.connected = Some(true);
        inbox.problem = Some(None);
    });
    loop {
        let event = match next_event(&mut lines).await {
            Ok(Some(event)) => event,
            Ok(None) => return Failure::Partial("the server has ended the stream".into()),
            Err(failure) => return failure,
        };
        if !event.id.is_empty() {
            *last = Some(event.id);
        }
        match event.name.as_str() {
            "end" => return crate::command::ended(&event.data),
            "row" if seen.is_new(&event.data) => shared.row(turn, &event.data),
            "stats" => {
                let stats: Value = serde_json::from_str(&event.data).unwrap_or_default();
                let number = |name: &str| stats[name].as_u64();
                let counters = Counters {
                    matched: number("matched").unwrap_or_default(),
                    shown: number("shown").unwrap_or_default(),
                    sampled: number("sampled").unwrap_or_default(),
                    skipped: number("skipped").unwrap_or_default() + number("missed").unwrap_or_default(),
                    lag_ms: number("lag_ms"),
                };
                shared.put(turn, |inbox| inbox.counters = Some(counters));
            }
            _ => {}
        }
    }
}

/// The rows that were there before.
async fn before(client: &Client, shared: &Shared, wanted: &Wanted, seen: &mut Seen) -> Result<(), Failure> {
    let question = json!({ "filter": wanted.filter, "limit": BEFORE });
    let response = client.post_stream("/api/v1/search", &question).await?;
    let mut found = Vec::new();
    let end = crate::command::each_row(response, |line| {
        found.push(line.to_owned());
        Ok(())
    });
    match end.await {
        // A damaged file is told of, and what could be read is shown.
        Err(Failure::Partial(why)) => {
            shared.put(wanted.turn, |inbox| inbox.problem = Some(Some(why)));
        }
        other => drop(other?),
    }
    for line in found.iter().rev().filter(|line| seen.is_new(line)) {
        shared.row(wanted.turn, line);
    }
    Ok(())
}

/// Histogram and facets, every few seconds and with every other wish.
async fn answers(client: &Client, shared: &Shared, mut wanted: Receiver<Wanted>) {
    loop {
        let now = wanted.borrow_and_update().clone();
        if now.end {
            return;
        }
        let answer = async {
            if now.histogram {
                match bars(client, &now).await {
                    Ok(bars) => _ = shared.put(now.turn, |inbox| inbox.bars = Some(bars)),
                    Err(failure) => say(shared, now.turn, &failure),
                }
            }
            if now.facets {
                match facets(client, &now).await {
                    Ok(facets) => _ = shared.put(now.turn, |inbox| inbox.facets = Some(facets)),
                    Err(failure) => say(shared, now.turn, &failure),
                }
            }
            tokio::time::sleep(AGAIN).await;
        };
        // A new wish ends the question before: its connection is closed.
        tokio::select! {
            () = answer => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Of a server that is away the rows tell.
fn say(shared: &Shared, turn: u64, failure: &Failure) {
    if !matches!(failure, Failure::Unreachable(_)) {
        shared.put(turn, |inbox| inbox.problem = Some(Some(failure.text())));
    }
}

fn window(wanted: &Wanted) -> (Timestamp, i64) {
    let width = (wanted.seconds / BARS).max(1);
    let now = crate::clock::now().0;
    let begun = now.as_second().div_euclid(width) * width;
    (Timestamp::from_second(begun - (BARS - 1) * width).unwrap_or(Timestamp::UNIX_EPOCH), width)
}

async fn bars(client: &Client, wanted: &Wanted) -> Result<Bars, Failure> {
    let (from, width) = window(wanted);
    let question = json!({ "filter": wanted.filter, "since": from.to_string(), "bucket_seconds": width });
    let answer = client.post("/api/v1/histogram", &question).await?;
    Ok(bars_of(&answer, from, width))
}

fn bars_of(answer: &Value, from: Timestamp, width: i64) -> Bars {
    let mut packets = vec![0; usize::try_from(BARS).unwrap_or_default()];
    for row in answer["rows"].as_array().into_iter().flatten() {
        let time = row["time"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let Some(after) = time.map(|time| time.duration_since(from)) else { continue };
        let at = after.checked_div(i32::try_from(width).unwrap_or(1)).map(|d: SignedDuration| d.as_secs());
        if let Some(bar) = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| packets.get_mut(at)) {
            *bar += row["packets"].as_u64().unwrap_or_default();
        }
    }
    Bars { packets, from: Some(from), width }
}

async fn facets(client: &Client, wanted: &Wanted) -> Result<Vec<Facet>, Failure> {
    let (from, _) = window(wanted);
    let since = from.to_string();
    let question = json!({ "filter": wanted.filter, "since": since, "fields": FACETS, "limit": VALUES });
    match client.post("/api/v1/facets", &question).await {
        Ok(answer) => Ok(facets_of(&answer)),
        // A server that does not know this path is asked for each field alone.
        Err(Failure::NotFound(_)) => {
            let mut all = Vec::new();
            for field in FACETS {
                let question =
                    json!({ "filter": wanted.filter, "since": since, "by": [field], "limit": VALUES });
                let answer = client.post("/api/v1/top", &question).await?;
                all.extend(values_of(field, &answer["rows"], field));
            }
            Ok(all)
        }
        Err(failure) => Err(failure),
    }
}

fn facets_of(answer: &Value) -> Vec<Facet> {
    let named = |facet: &Value| FACETS.into_iter().find(|field| facet["field"] == *field);
    let facets = answer["facets"].as_array().into_iter().flatten();
    facets.filter_map(|facet| Some(values_of(named(facet)?, &facet["values"], "value"))).flatten().collect()
}

fn values_of(field: &'static str, rows: &Value, member: &str) -> Vec<Facet> {
    let rows = rows.as_array().into_iter().flatten();
    rows.map(|row| Facet {
        field,
        value: row.get(member).filter(|value| !value.is_null()).cloned(),
        packets: row["packets"].as_u64().unwrap_or_default(),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_belongs_to_one_filter() {
        let shared = Shared::default();
        for n in 0..MOST + 3 {
            shared.row(0, &n.to_string());
        }
        let inbox = shared.take();
        assert_eq!((inbox.rows.len(), inbox.dropped, &*inbox.rows[0]), (MOST, 3, "3"));
        shared.turn(1);
        shared.row(0, "of the filter before");
        assert!(shared.take().rows.is_empty());
        shared.row(1, "of this one");
        assert_eq!(shared.take().rows.len(), 1);
    }

    #[test]
    fn answers_become_bars_and_facets() {
        let from: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
        let answer = json!({"rows": [
            {"time": "2026-11-26T10:00:00Z", "packets": 5}, {"time": "2026-11-26T10:00:30Z", "packets": 7},
            {"time": "2026-11-26T09:00:00Z", "packets": 9}, {"time": "2026-11-26T12:00:30Z", "packets": 9},
        ]});
        let bars = bars_of(&answer, from, 15);
        assert_eq!((bars.packets[0], bars.packets[2], bars.packets.iter().sum::<u64>()), (5, 7, 12));
        let answer = json!({"facets": [
            {"field": "dport", "values": [{"value": 22, "packets": 3}, {"packets": 1}]},
            {"field": "nosuch", "values": [{"value": 1, "packets": 3}]},
        ]});
        let facet = |value, packets| Facet { field: "dport", value, packets };
        assert_eq!(facets_of(&answer), [facet(Some(json!(22)), 3), facet(None, 1)]);
        let top = json!([{"proto": "tcp", "packets": 2}]);
        let tcp = Facet { field: "proto", value: Some(json!("tcp")), packets: 2 };
        assert_eq!(values_of("proto", &top, "proto"), [tcp]);
    }
}
