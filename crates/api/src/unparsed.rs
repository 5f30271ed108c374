//! Events that were not fully understood, grouped by what they look like.

use crate::body::{Body, When, limit, window};
use crate::queries::{Current, Stats};
use crate::{ApiState, Problem, ask};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use axum::Json;
use axum::extract::State;
use bartizan_intake::shape::shape;
use bartizan_model::{Kind, Micros};
use bartizan_query::Search;
use bartizan_query::render::time_text;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Groups of an answer that says no limit, and the most.
const GROUPS: (usize, usize) = (50, 10_000);
/// Events that are looked at, the newest.
const EVENTS: usize = 1_000_000;
/// Groups that are told apart; events of more of them are only counted.
const APART: usize = 20_000;
/// Characters of an example.
const EXAMPLE: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnparsedBody {
    #[serde(default)]
    filter: String,
    since: Option<When>,
    until: Option<When>,
    limit: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct Unparsed {
    groups: Vec<Group>,
    /// Events, of all groups.
    events: u64,
    /// Events of groups that are not in the answer.
    more: u64,
    /// Whether every event was looked at.
    complete: bool,
    took_ms: u64,
    stats: Stats,
}

#[derive(Serialize)]
struct Group {
    host: String,
    sender: Option<String>,
    shape: String,
    events: u64,
    first: String,
    last: String,
    example: String,
    id: String,
}

struct Seen {
    events: u64,
    first: i64,
    last: i64,
    example: String,
    id: String,
}

/// Host, sender and shape.
type Key = (String, Option<String>, String);

#[derive(Default)]
struct Groups {
    groups: HashMap<Key, Seen>,
    events: u64,
    more: u64,
}

/// Events that were not fully understood, by host, sender and shape.
pub(crate) async fn unparsed(
    State(state): State<ApiState>,
    Current(current): Current,
    Body(body): Body<UnparsedBody>,
) -> Result<Json<Unparsed>, Problem> {
    // an error of the filter is told with its place in what was asked
    ask::parse(&state, Kind::Events, &body.filter)?;
    let asked = body.filter.trim();
    let text = if asked.is_empty() { "raw:*".to_owned() } else { format!("({asked}) raw:*") };
    let filter = ask::parse(&state, Kind::Events, &text)?;
    let limit = limit(body.limit, GROUPS.0, GROUPS.1)?;
    let columns = ["time", "host", "sender", "raw", "stream", "seq", "row"];
    let mut rows = state
        .engine
        .search(Search {
            window: window(body.since, body.until)?,
            limit: Some(EVENTS),
            columns: Some(columns.map(str::to_owned).to_vec()),
            ..Search::new(Kind::Events, &filter)
        })
        .await?;
    let mut groups = Groups::default();
    while let Some(batch) = rows.next().await {
        groups.add(&batch?);
        tokio::task::yield_now().await;
    }
    drop(rows);
    Ok(Json(groups.answer(limit, current.stats())))
}

impl Groups {
    /// Adds events, which come newest first.
    fn add(&mut self, batch: &RecordBatch) {
        let text = |name: &str| batch.column_by_name(name).and_then(|c| c.as_string_view_opt());
        let time =
            batch.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let seq = batch.column_by_name("seq").and_then(|c| c.as_primitive_opt::<Int64Type>());
        let row = batch.column_by_name("row").and_then(|c| c.as_primitive_opt::<Int32Type>());
        let (Some(host), Some(sender), Some(raw), Some(stream)) =
            (text("host"), text("sender"), text("raw"), text("stream"))
        else {
            return;
        };
        let (Some(time), Some(seq), Some(row)) = (time, seq, row) else { return };
        for i in (0..batch.num_rows()).filter(|i| raw.is_valid(*i)) {
            self.events += 1;
            let (raw, at) = (raw.value(i), time.value(i));
            let sender = sender.is_valid(i).then(|| sender.value(i).to_owned());
            let key = (host.value(i).to_owned(), sender, shape(raw.as_bytes()));
            let room = self.groups.len() < APART;
            match self.groups.get_mut(&key) {
                Some(seen) => {
                    seen.events += 1;
                    seen.first = seen.first.min(at);
                    seen.last = seen.last.max(at);
                }
                None if room => {
                    let example = raw.chars().take(EXAMPLE).collect();
                    let id = format!("{}/{}/{}", stream.value(i), seq.value(i), row.value(i));
                    self.groups.insert(key, Seen { events: 1, first: at, last: at, example, id });
                }
                None => self.more += 1,
            }
        }
    }

    /// The largest groups.
    fn answer(self, limit: usize, stats: Stats) -> Unparsed {
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        groups.sort_by(|(a, x), (b, y)| y.events.cmp(&x.events).then_with(|| a.cmp(b)));
        let rest = groups.split_off(limit.min(groups.len()));
        let group = |((host, sender, shape), seen): (Key, Seen)| Group {
            host,
            sender,
            shape,
            events: seen.events,
            first: time_text(Micros(seen.first)),
            last: time_text(Micros(seen.last)),
            example: seen.example,
            id: seen.id,
        };
        Unparsed {
            groups: groups.into_iter().map(group).collect(),
            events: self.events,
            more: self.more + rest.iter().map(|(_, seen)| seen.events).sum::<u64>(),
            complete: self.events < EVENTS as u64,
            took_ms: stats.took_ms,
            stats,
        }
    }
}
