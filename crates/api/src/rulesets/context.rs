//! What stands around an event: what else its source did, on which hosts, and the connection that it belongs to.

use crate::{ApiState, Problem, ask};
use arrow_array::RecordBatch;
use bartizan_model::{Kind, Micros};
use bartizan_query::render::{Rows, time_text};
use bartizan_query::{Order, Position, QueryError, RowStream, Search, Window};
use futures::StreamExt;
use serde::Serialize;
use serde_json::value::RawValue;

/// How far around the event its source is looked at: five minutes.
const AROUND: i64 = 300_000_000;
/// How long before the event a connection may have been noted that it belongs to, and how long after.
const FLOW_BEFORE: i64 = 3_600_000_000;
const FLOW_AFTER: i64 = 24 * 3_600_000_000;
/// Hosts, ports and flows that are told of.
const HOSTS: usize = 50;
const PORTS: usize = 20;
const FLOWS: usize = 10;

/// What stands around an event.
#[derive(Serialize)]
pub(crate) struct Around {
    since: String,
    until: String,
    /// Packets of the same source within that time, on the whole fleet.
    packets: i64,
    /// Events of it.
    rows: u64,
    /// The hosts that logged it, those of most packets first.
    hosts: Vec<Box<RawValue>>,
    /// The ports that it wanted.
    dports: Vec<Box<RawValue>>,
    /// Entries of connections with the same ends, in either direction, from an hour before to a day after.
    flows: Vec<Box<RawValue>>,
}

/// What stands around the first row of a batch; nothing, if it has no source.
pub(super) async fn around(state: &ApiState, batch: &RecordBatch) -> Result<Option<Around>, Problem> {
    let names = ["src", "dst", "sport", "dport", "proto"].map(str::to_owned);
    let shown = Rows::of(batch, &names);
    let [src, dst, sport, dport, proto] = [0, 1, 2, 3, 4].map(|column| shown.text(column, 0));
    let (Some(src), Some(at)) = (src, Position::of(batch, 0)) else { return Ok(None) };
    let window = |before: i64, after: i64| Window {
        since: Some(Micros(at.time().0.saturating_sub(before))),
        until: Some(Micros(at.time().0.saturating_add(after))),
    };
    let same = ask::parse(state, Kind::Events, &format!("src:{src}"))?;
    let near = window(AROUND, AROUND);
    let count = state.engine.count(Kind::Events, &same, near).await?;
    let hosts = json(state.engine.top(Kind::Events, &same, near, &["host"], HOSTS).await?).await?;
    let dports = json(state.engine.top(Kind::Events, &same, near, &["dport"], PORTS).await?).await?;
    let flows = match dst {
        Some(dst) => {
            let port = |name: &str, port: Option<String>| {
                port.map(|port| format!(" {name}:{port}")).unwrap_or_default()
            };
            let (there, back) = (
                format!(
                    "src:{src} dst:{dst}{}{}",
                    port("sport", sport.clone()),
                    port("dport", dport.clone())
                ),
                format!("src:{dst} dst:{src}{}{}", port("sport", dport), port("dport", sport)),
            );
            let proto = proto.map(|proto| format!(" proto:{proto}")).unwrap_or_default();
            let filter = ask::parse(state, Kind::Flows, &format!("(({there}) OR ({back})){proto}"))?;
            let search = Search {
                window: window(FLOW_BEFORE, FLOW_AFTER),
                order: Order::OldestFirst,
                limit: Some(FLOWS),
                ..Search::new(Kind::Flows, &filter)
            };
            json(state.engine.search(search).await?).await?
        }
        None => Vec::new(),
    };
    Ok(Some(Around {
        since: near.since.map(time_text).unwrap_or_default(),
        until: near.until.map(time_text).unwrap_or_default(),
        packets: count.sums.first().map_or(0, |(_, packets)| *packets),
        rows: count.rows,
        hosts,
        dports,
        flows,
    }))
}

/// All rows of a short answer. What it lacks is said in the `stats` of the whole.
async fn json(mut answer: RowStream) -> Result<Vec<Box<RawValue>>, Problem> {
    let mut out = Vec::new();
    while let Some(batch) = answer.next().await {
        let batch = match batch {
            Err(QueryError::LeftOut(_)) => break,
            batch => batch?,
        };
        let rows = Rows::new(&batch);
        for row in 0..rows.len() {
            let mut text = Vec::new();
            rows.write_json(row, &mut text);
            let text = String::from_utf8(text).expect("JSON is text");
            out.push(RawValue::from_string(text).expect("rows are written as JSON"));
        }
    }
    Ok(out)
}
