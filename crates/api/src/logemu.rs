//! Events as the lines that ulogd's LOGEMU writes.
//!
//! One line a row, the oldest first. A row whose text was not fully understood is that text as it came: what could
//! be read of it would be less. Lines have no year and no zone; the times are those of the zone that was asked for.

use crate::{ApiState, Problem};
use arrow_array::RecordBatch;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bartizan_decode::text::write::{Events, plain, write_logemu};
use bartizan_filter::Filter;
use bartizan_model::Kind;
use bartizan_query::{Order, QueryError, Search, Window};
use bytes::Bytes;
use futures::StreamExt as _;
use jiff::{Timestamp, tz::TimeZone};

/// The media type of lines.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// What a line is made of.
const COLUMNS: &[&str] = &[
    "time",
    "host",
    "prefix",
    "family",
    "in_if",
    "out_if",
    "mac_src",
    "mac_dst",
    "ether_type",
    "src",
    "dst",
    "proto",
    "sport",
    "dport",
    "length",
    "tos",
    "ttl",
    "ip_id",
    "frag",
    "tcp_flags",
    "tcp_seq",
    "tcp_ack",
    "tcp_window",
    "icmp_type",
    "icmp_code",
    "mark",
    "uid",
    "gid",
    "raw",
];

/// All events that match. An answer that breaks off breaks its connection off.
pub(crate) async fn export(
    state: &ApiState,
    table: Kind,
    filter: &Filter,
    window: Window,
    zone: Option<String>,
) -> Result<Response, Problem> {
    let wrong = |what: String| Problem::bad_request(StatusCode::BAD_REQUEST, what);
    if table != Kind::Events {
        return Err(wrong(format!("only events are lines; {table} are not")));
    }
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(&name).map_err(|_| wrong(format!("there is no time zone {name:?}")))?,
    };
    let search = Search {
        window,
        order: Order::OldestFirst,
        columns: Some(COLUMNS.iter().map(|name| (*name).to_owned()).collect()),
        ..Search::new(table, filter)
    };
    let rows = state.engine.search(search).await?;
    let pieces = rows.map(move |batch| {
        batch.map(|batch| Bytes::from(lines(&batch, &zone))).inspect_err(|error: &QueryError| {
            tracing::error!(%error, "export broke off");
        })
    });
    Ok(([(CONTENT_TYPE, TEXT)], Body::from_stream(pieces)).into_response())
}

fn lines(batch: &RecordBatch, zone: &TimeZone) -> String {
    let mut out = String::with_capacity(batch.num_rows() * 256);
    for event in Events::new(batch).iter() {
        if let Some(raw) = event.raw() {
            plain(&mut out, raw.trim_end());
            out.push('\n');
            continue;
        }
        let time = Timestamp::from_microsecond(event.time().0).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = zone.to_offset(time).seconds();
        write_logemu(&mut out, event, event.host().unwrap_or_default(), offset);
    }
    out
}
