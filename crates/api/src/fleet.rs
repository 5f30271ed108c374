//! Hosts: what the API asks of whoever knows the fleet.

use crate::standing::{HostChange, HostRefusal, StandingChange};
use crate::{ApiState, Problem};
use arrow_array::{ArrayRef, RecordBatch, StringViewArray};
use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_filter::Matcher;
use bartizan_model::{HostId, Micros};
use bartizan_query::Inquiry;
use bartizan_query::render::time_text;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// The fleet's catalog cannot answer now.
#[derive(Debug, thiserror::Error)]
#[error("the catalog does not answer")]
pub struct Unavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// How a host is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostState {
    /// Connected now.
    Online,
    /// Not connected.
    Offline,
    /// Somebody has to approve of it before it may send.
    Waiting,
    /// It is not trusted any more.
    Revoked,
    /// It is no more; its rows are kept.
    Retired,
    /// It has no agent that could be connected: others deliver what it writes.
    #[serde(rename = "no agent")]
    NoAgent,
}

/// One host of the fleet.
#[derive(Clone, Debug, Serialize)]
pub struct HostInfo {
    /// Its label.
    pub name: String,
    /// Its identity, if it has an agent.
    #[serde(serialize_with = "maybe_shown")]
    pub id: Option<HostId>,
    /// How it reports: `agent`, `syslog`, ...
    pub reports: String,
    /// When it enrolled, or the first of its messages came.
    #[serde(serialize_with = "time")]
    pub first_seen: Micros,
    /// When it last sent anything.
    #[serde(serialize_with = "maybe_time")]
    pub last_contact: Option<Micros>,
    /// The time of its latest event.
    #[serde(serialize_with = "maybe_time")]
    pub last_event: Option<Micros>,
    /// Packets of its events, of the last day.
    pub events: u64,
    /// Packets lost on the way to events, from the ledger, of the last day.
    pub lost: u64,
    /// When its certificate ends.
    #[serde(serialize_with = "maybe_time")]
    pub cert_not_after: Option<Micros>,
    /// How far its clock is ahead of the server's, in milliseconds; behind where negative.
    pub clock_offset_ms: Option<i64>,
    /// When another machine with its key was last turned away.
    #[serde(serialize_with = "maybe_time")]
    pub clone_seen: Option<Micros>,
    /// Version of its agent, as it enrolled or renewed its certificate.
    pub version: Option<String>,
    /// Events a second, over the last minute or so.
    pub rate: f64,
    /// Bytes of its spool's files, as it said with its latest batch.
    pub spool_bytes: Option<u64>,
    /// Batches that waited behind that one.
    pub spool_batches: Option<u64>,
    /// When the oldest of them was closed.
    #[serde(serialize_with = "maybe_time")]
    pub spool_oldest: Option<Micros>,
    /// The group that its token put it into.
    pub group: Option<String>,
    /// Why it waits for approval, if it does.
    pub waiting_for: Option<String>,
    /// How much of it was refused since the server started.
    pub refused: u64,
    /// When something last was.
    #[serde(serialize_with = "maybe_time")]
    pub refused_at: Option<Micros>,
    /// Why.
    pub refused_why: Option<String>,
    /// How far it is with what the server says of its configuration.
    #[serde(flatten)]
    pub configuration: HostConfiguration,
    /// How it is doing.
    pub state: HostState,
}

/// How far a host is with what the server says of its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostConfiguration {
    /// `as wanted`, `not yet`, or `refused`; none, if its agent has said nothing of it since the server started.
    pub config: Option<String>,
    /// The versions that are for it, the later ones over those before.
    pub config_wanted: Vec<u64>,
    /// Those that count there.
    pub config_has: Vec<u64>,
    /// Why it refused what it should have.
    pub config_why: Option<String>,
    /// Keys that it decides itself, whatever the server says.
    pub config_held: Vec<String>,
    /// Keys that count there when its agent is started anew.
    pub config_after_restart: Vec<String>,
}

/// What somebody without an agent delivered, of one host.
#[derive(Clone, Debug, Serialize)]
pub struct SenderInfo {
    /// The host that wrote it; `*` for those that there was no room to tell apart.
    pub host: String,
    /// Who delivered it: an address, or the name in a certificate.
    pub sender: String,
    /// How it came: `syslog`, `ulogd`, ...
    pub source: String,
    /// Messages that came.
    pub messages: u64,
    /// Of them, events, flows and counters that were understood.
    pub rows: u64,
    /// Events that were not fully understood.
    pub unparsed: u64,
    /// Messages of other services.
    pub other: u64,
    /// Of those, kept in the table `lines`.
    pub kept: u64,
    /// Messages that were cut because they were too long.
    pub cut: u64,
    /// Messages that were dropped because there were more than the rate allows.
    pub over: u64,
    /// When the first came.
    #[serde(serialize_with = "time")]
    pub first_seen: Micros,
    /// When the last came.
    #[serde(serialize_with = "time")]
    pub last_seen: Micros,
}

/// As it is written everywhere else, not as serde writes it.
pub(crate) fn shown<S: Serializer>(id: &HostId, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(id)
}

fn maybe_shown<S: Serializer>(id: &Option<HostId>, s: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => shown(id, s),
        None => s.serialize_none(),
    }
}

pub(crate) fn time<S: Serializer>(time: &Micros, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&time_text(*time))
}

pub(crate) fn maybe_time<S: Serializer>(time: &Option<Micros>, s: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => s.serialize_str(&time_text(*time)),
        None => s.serialize_none(),
    }
}

/// Knows the fleet.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// Every host, by name.
    async fn hosts(&self) -> Result<Vec<HostInfo>, Unavailable>;

    /// What senders without an agent delivered, by host.
    async fn senders(&self) -> Result<Vec<SenderInfo>, Unavailable>;

    /// Changes whether a host may send, or its name. It is named by name, id, or the first eight digits of its id or
    /// more. What it has open ends.
    async fn change(&self, host: &str, change: StandingChange) -> Result<HostChange, HostRefusal>;

    /// What was refused since the server started: of what (`host`, `enrolment`), why, and how often.
    fn refusals(&self) -> Vec<(&'static str, &'static str, u64)>;
}

/// The hosts.
pub(crate) async fn hosts(State(state): State<ApiState>) -> Result<Json<Vec<HostInfo>>, Problem> {
    let hosts = state.hosts.hosts().await.map_err(unavailable)?;
    in_sight(hosts, |host| &host.name).map(Json)
}

/// What senders without an agent delivered.
pub(crate) async fn senders(State(state): State<ApiState>) -> Result<Json<Vec<SenderInfo>>, Problem> {
    let senders = state.hosts.senders().await.map_err(unavailable)?;
    in_sight(senders, |sender| &sender.host).map(Json)
}

/// What of a list by hosts is in sight of who asks.
fn in_sight<T>(list: Vec<T>, host: impl Fn(&T) -> &String) -> Result<Vec<T>, Problem> {
    let inquiry = Inquiry::current();
    if inquiry.sight().is_unbounded() {
        return Ok(list);
    }
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(list.iter().map(host)));
    let rows = RecordBatch::try_from_iter([("host", names)])
        .map_err(|e| Problem::internal(StatusCode::INTERNAL_SERVER_ERROR, "the list cannot be cut", &e))?;
    let seen = Matcher::new(inquiry.sight().scope()).matches(&rows);
    let seen = list.into_iter().zip(seen.iter()).filter(|(_, seen)| *seen == Some(true));
    Ok(seen.map(|(item, _)| item).collect())
}

pub(crate) fn unavailable(e: Unavailable) -> Problem {
    Problem::internal(StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer; try again", &e)
}
