//! What is known of addresses, and how up to date it is.

use crate::body::Body;
use crate::fleet::maybe_time;
use crate::{ApiState, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_enrich::{FileStatus, SetStatus};
use bartizan_filter::TextPattern;
use bartizan_model::Micros;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most addresses of one question.
const MAX_ADDRESSES: usize = 1_000;

#[derive(Serialize)]
pub(crate) struct Status {
    files: Vec<File>,
    sets: Vec<Set>,
}

#[derive(Serialize)]
struct File {
    file: String,
    kind: Option<String>,
    #[serde(serialize_with = "maybe_time")]
    date: Option<Micros>,
    #[serde(serialize_with = "maybe_time")]
    loaded: Option<Micros>,
    ranges: usize,
    skipped: usize,
    countries: bool,
    systems: bool,
    problem: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Set {
    name: String,
    ranges: usize,
    problem: Option<String>,
}

impl From<FileStatus> for File {
    fn from(file: FileStatus) -> Self {
        let FileStatus { path, kind, date, loaded, ranges, skipped, countries, systems, problem } = file;
        let file = path.display().to_string();
        Self { file, kind, date, loaded, ranges, skipped, countries, systems, problem }
    }
}

impl From<SetStatus> for Set {
    fn from(SetStatus { name, ranges, problem }: SetStatus) -> Self {
        Self { name, ranges, problem }
    }
}

/// Databases and sets, with their state.
pub(crate) async fn status(State(state): State<ApiState>) -> Result<Json<Status>, Problem> {
    // it may wait for files that are being read
    let status = tokio::task::spawn_blocking(move || state.enrichment.status()).await;
    let status = status.map_err(|error| {
        Problem::internal(
            StatusCode::SERVICE_UNAVAILABLE,
            "the state of the databases cannot be told",
            &error,
        )
    })?;
    Ok(Json(Status {
        files: status.files.into_iter().map(File::from).collect(),
        sets: status.sets.into_iter().map(Set::from).collect(),
    }))
}

/// Networks with names.
pub(crate) async fn sets(state: State<ApiState>) -> Result<Json<Vec<Set>>, Problem> {
    let Json(status) = status(state).await?;
    Ok(Json(status.sets))
}

/// Hosts with a common name.
#[derive(Serialize)]
pub(crate) struct Group {
    name: String,
    /// Names of hosts; `*` and `?` are wildcards.
    hosts: Vec<String>,
}

/// Groups of hosts.
pub(crate) async fn groups(State(state): State<ApiState>) -> Json<Vec<Group>> {
    let context = state.names.context();
    let group = |(name, hosts): (&str, &[TextPattern])| Group {
        name: name.to_owned(),
        hosts: hosts.iter().filter_map(written).collect(),
    };
    Json(context.groups().map(group).collect())
}

/// A name of a host as it was written.
fn written(host: &TextPattern) -> Option<String> {
    match host {
        TextPattern::Whole(name) | TextPattern::Glob(name) => Some(name.clone()),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookupBody {
    addresses: Vec<String>,
}

#[derive(Serialize)]
pub(crate) struct Found {
    address: IpAddr,
    country: Option<String>,
    asn: Option<u32>,
    as_name: Option<String>,
    sets: Vec<String>,
}

/// What is known of addresses.
pub(crate) async fn lookup(
    State(state): State<ApiState>,
    Body(body): Body<LookupBody>,
) -> Result<Json<Vec<Found>>, Problem> {
    let wrong = |detail: String| Problem::bad_request(StatusCode::BAD_REQUEST, detail);
    if body.addresses.len() > MAX_ADDRESSES {
        return Err(wrong(format!("`addresses` has at most {MAX_ADDRESSES}")));
    }
    let found = |text: String| {
        let address: IpAddr = text.parse().map_err(|_| wrong(format!("`{}` is no address", shown(&text))))?;
        let known = state.enrichment.known(address);
        Ok(Found {
            address,
            country: known.record.country.map(|country| country.to_string()),
            asn: known.record.asn,
            as_name: known.system,
            sets: known.sets,
        })
    };
    body.addresses.into_iter().map(found).collect::<Result<_, _>>().map(Json)
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
