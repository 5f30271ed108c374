//! What is known of addresses, and how up to date it is.

use crate::body::Body;
use crate::fleet::maybe_time;
use crate::{ApiState, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bartizan_enrich::{FileStatus, SetStatus};
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
struct Set {
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
