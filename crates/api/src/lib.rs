//! The HTTP API, as an [`axum::Router`] without a listener: `/api/v1`, JSON in, JSON or a stream of it out.
//!
//! | path | question | answer |
//! |---|---|---|
//! | `POST search` | `table? filter since? until? limit? columns? after?` | NDJSON rows, newest first, then `{"end":{…,"cursor","more"}}` |
//! | `POST count` | `table? filter since? until? sources?` | `{"rows":n,"packets":n,"took_ms":t}` |
//! | `POST top` | `table? filter by since? until? limit?` | `{"columns":[…],"rows":[{…,"packets":n,"rows":n}],"took_ms":t}` |
//! | `POST distinct` | `table? filter by of since? until? limit?` | as of `top`: how many different values of the column `of` each value of `by` has |
//! | `POST spread` | `filter ports hosts since? until? limit?` | as of `top`: sources that touched more ports than that, on more hosts than that |
//! | `POST facets` | `table? filter since? until? fields limit?` | `{"facets":[{"field","values":[{"value","packets","rows"}],"other","distinct"?}],"rows","packets"}` |
//! | `POST compare` | `table? filter by since until before_since? before_until? limit?` | as of `top`, each with `before_packets` and `before_rows` |
//! | `POST ledger` | `filter? since? until? host?` | `{"entries":[{"stage","reason","kind","count","rows","last"}],"count"}` |
//! | `GET queries` | | the questions that are being answered: `[{"id","path","question","stats"}]` |
//! | `POST queries/cancel` | `id` | `{"cancelled":…}` |
//! | `POST losses` | `filter? since? until? host? limit?` | NDJSON as of `search` |
//! | `POST export` | `table? filter since? until? columns? format? payload?` | all rows, oldest first: NDJSON as of `search`, `arrow` or `parquet` |
//! | `POST sql` | `query parameters? format?` | `{"columns":[…]}` and rows as NDJSON, `csv`, `arrow` or `parquet` |
//! | `POST rules` | `host netns? at? generation?` | the ruleset that was active: who made it so, and its texts |
//! | `POST rules/hits` | `host netns? since? until?` | for each rule of the ruleset: counted, logged, coverage, last hit |
//! | `POST event` | `id` | the event, the rule that logged it as it was and is, and its `context`: the same source around it, its flow |
//! | `POST rules/history` | `host netns? since? until? limit?` | `{"generations":[…]}`, newest first |
//! | `POST tail` | `filter after? rate?` | server-sent events `row` and, each second, `stats`; resumed by `after` or `Last-Event-ID` |
//! | `GET metrics` | | numbers in Prometheus' text form |
//! | `POST filter/check` | `filter` | `{"filter":canonical}` |
//! | `POST unparsed` | `filter since? until? limit?` | events that were not fully understood, by host, sender and shape |
//! | `GET hosts` | | a list |
//! | `GET senders` | | a list: what senders without an agent delivered |
//! | `GET enrich` | | `{"files":[…],"sets":[…]}`: databases and sets, with their state |
//! | `POST enrich/lookup` | `addresses` | a list: country, autonomous system and sets of each |
//! | `POST tokens` | `uses? ttl_seconds? comment?` | `{"token":…}` |
//! | `POST configurations` | `target text comment?` | what is said of agents' configuration from now on, as a version |
//! | `POST configurations/history` | `target? version? before? limit?` | a list: versions, newest first |
//! | `POST configurations/rollback` | `version comment?` | an older version's text as a new version |
//! | `POST imports` | `format name kinds head? named? variant? landmarks?` | `{"import","variant","session","committed","marks","checks"}` |
//! | `POST imports/ID/rows?session=&kind=&from=&seq=&digest=` | Arrow IPC, packed, or nothing | `{"committed":n}` |
//! | `POST imports/ID/finish` | `session position totals partial?` | `{"committed":n,"done":bool}`; again until done |
//! | `GET imports` | | a list, the latest first |
//! | `GET sets` | | a list: networks with names, and how many ranges each has |
//! | `GET views` | | a list: questions with names |
//! | `POST views` | `name table? filter columns? since? shared?` | `{"name":…}`; takes the place of one of that name |
//! | `POST views/delete` | `name` | `{"removed":…}` |
//! | `GET groups` | | a list: groups of hosts, for `group:NAME` |
//! | `POST session` | `token`, or `user password code?` | the cookie of a session; needs no token in its header |
//! | `GET session/provider` | | `{"name"}` of the identity provider; as `POST session` |
//! | `POST session/provider` | `back?` | `{"location"}`: where to go to sign in there, and a cookie; as `POST session` |
//! | `POST session/provider/finish` | `state code? iss? error? error_description?` | the cookie of a session, `{"back"}`; as `POST session` |
//! | `GET session` | | `{"name","since","until"}` of this browser's session |
//! | `DELETE session` | | ends it |
//! | `GET sessions` | | a list: browsers that are signed in |
//! | `POST sessions/revoke` | `session` | `{"revoked":…}` |
//! | `GET retention` | | what is kept, and for how long |
//! | `GET lake` | | what each table holds |
//! | `POST lake/verify` | `quick? repair?` | a line for each thing that is wrong, then `{"end":…}` |
//! | `POST lake/compact` | | a line for each piece of work, then `{"end":…}` |
//! | `POST lake/vacuum` | `dry_run?` | a line for each table, then `{"end":…}` |
//! | `POST lake/retain` | `dry_run?` | a line for each file of which rows go, then `{"end":…}` |
//! | `POST lake/erase` | `addresses reason? dry_run?` | the same |
//! | `GET lake/erasures` | | receipts of what was erased |
//! | `POST lake/backup` | `to` | a line for each table, then `{"end":…}` |
//! | `GET lake/holds` | | what no retention takes |
//! | `POST lake/holds` | `name table? filter? comment?` | `{"name":…}` |
//! | `POST lake/holds/release` | `name` | `{"released":…}` |
//! | `GET openapi.json` | | this table for programs; `/docs` has it for people, without a token |
//! | `GET health` | | `{"status":"ok","version":…}`; without a token, as `POST session` |
//!
//! `table` is `events` where it is left out, or `flows`, `counters`, `losses`, `rulesets`, `lines`; a filter may name what
//! its table has. What a table counts is summed beside its rows: `packets` of events, `bytes` and `packets` both ways
//! of flows, `packets` and `bytes` of counters, `count` of losses. A row's name is its `id`, a column like others.
//!
//! **What it cost** is in every answer about rows, as `stats`: `{"query","looked_at","bytes","files","complete","took_ms"}`:
//! the question's name (also in the header `bartizan-query`), rows that were looked at, bytes and files that were read,
//! and whether nothing is missing. An answer in lines has it in `end`. What was cancelled ends with the problem
//! `urn:bartizan:cancelled`.
//!
//! **Pages.** The `cursor` of a search's `end` is where its last row stands. Asked again with it as `after`, the search
//! goes on behind that row. Whatever comes or moves meanwhile, no row is given twice, and none that was there at the
//! first page is left out. `more` says that the page is full.
//!
//! Times in questions are RFC 3339 texts or integer microseconds since 1970; `since` is inside, `until` is not.
//!
//! Invariants:
//! - **Nothing under `/api/v1` but `health`, `POST session` and its like, `invitation` and `session/provider`, answers without a bearer token or a session**, not even
//!   whether a path exists. Tokens are compared by SHA-256 and in constant time; many wrong ones wait.
//! - **A session counts only where the page of this server asks** (`Sec-Fetch-Site`, or else `Origin`); with a token
//!   beside it, the token counts. What is being answered to a session breaks off when it ends.
//! - **No answer is kept** by browsers or anything between (`Cache-Control: no-store`).
//! - **Every error is a problem document** (RFC 9457, `application/problem+json`); an error of a filter has
//!   its `span` in bytes of the filter and, where there is one, a `proposal` of the whole filter mended.
//! - **Unknown members are refused**, so that a misspelt `untill` is not all of time.
//! - **Bounded.** A question is at most 64 KiB; a slow reader of a tail costs a fixed buffer, and what it did
//!   not get is counted and told to it.
//! - **A question ends with its reader**, or when it is cancelled, and so does the work behind it.
//! - **Rows that cannot be read are told of**: an answer that lacks those of a damaged file has `"complete":false`
//!   and a `problem` that names the file.
//! - **A stream that ends without its `end` line is not complete**, and one whose `end` says
//!   `"complete":false` is not either. A file that is not complete ends with a broken connection.
//!
//! It holds no state of its own but the list of questions that are being answered and wrong tokens of the last minute, opens no socket, reads no file, and does not know the wall clock.

mod answers;
mod ask;
mod audit;
mod auth;
mod authority;
mod body;
mod configurations;
mod enrich;
mod exact;
mod export;
mod facets;
mod fleet;
mod histogram;
mod imports;
mod lake;
mod ledger;
mod live;
mod logemu;
mod metrics;
mod ndjson;
mod needs;
mod onlookers;
mod openapi;
mod operations;
mod people;
mod problem;
mod provider;
mod queries;
mod routes;
mod rulesets;
mod saved;
mod sessions;
mod sql;
mod standing;
mod tail;
mod tokens;
mod unparsed;
mod words;

pub use auth::{asker, sight};
pub use authority::{AuthorityRefusal, AuthorityStatus, AuthorityStep, FleetAuthority};
pub use configurations::{
    ConfigurationChange, ConfigurationInfo, ConfigurationPage, ConfigurationRefusal, Configurations,
    NewConfiguration,
};
pub use fleet::{HostConfiguration, HostInfo, HostState, Hosts, SenderInfo, Unavailable};
pub use imports::{
    ContentCheck, Finish, ImportError, ImportInfo, Imports, Mark, NewImport, OpenImport, Piece,
};
pub use lake::{
    Dry, Erase, HoldInfo, LakeKeeper, LakeLine, LakeRefusal, LakeStatus, LakeTask, MakeBackup, NewHold,
    Retention, RetentionRule, TableStatus, Verify,
};
pub use live::{Feed, Live, LiveItem, Subscription};
pub use metrics::Metrics;
pub use onlookers::Onlookers;
pub use openapi::document;
pub use problem::{PROBLEM_JSON, Problem, Span};
pub use queries::{QUERY_HEADER, Queries, QueryTotals, Running};
pub use saved::{NewView, Saved, ViewInfo};
pub use sessions::{Asker, NewSession, OpenSession, Session, SessionInfo, Sessions};
pub use standing::{HostChange, HostRefusal, HostStanding, Standing, StandingChange};
pub use tokens::{MadeToken, NewToken, TokenInfo, TokenState, Tokens};

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router, middleware};
use bartizan_enrich::Enrichment;
use bartizan_filter::Context;
use bartizan_oidc::Oidc;
use bartizan_people::People;
use bartizan_query::Engine;
use std::sync::Arc;

/// Bytes of a question.
pub const BODY_LIMIT: usize = 64 << 10;

/// Bytes of rows that are imported at once, packed.
pub const ROWS_LIMIT: usize = 16 << 20;

/// Knows what filters may name.
pub trait Names: Send + Sync {
    /// The names as they are now. Cheap, and never waits.
    fn context(&self) -> Arc<Context>;
}

/// Names that never change.
impl Names for Arc<Context> {
    fn context(&self) -> Arc<Context> {
        Self::clone(self)
    }
}

impl Names for Enrichment {
    fn context(&self) -> Arc<Context> {
        Self::context(self)
    }
}

/// What the handlers use.
#[derive(Clone)]
pub struct ApiState {
    /// Answers questions about rows.
    pub engine: Arc<Engine>,
    /// Knows the fleet.
    pub hosts: Arc<dyn Hosts>,
    /// Keeps join tokens.
    pub tokens: Arc<dyn Tokens>,
    /// Keeps the fleet's authority.
    pub authority: Arc<dyn FleetAuthority>,
    /// Takes imports.
    pub imports: Arc<dyn Imports>,
    /// Keeps configurations of agents, and tells them.
    pub configurations: Arc<dyn Configurations>,
    /// Keeps views.
    pub saved: Arc<dyn Saved>,
    /// Keeps sessions.
    pub sessions: Arc<dyn Sessions>,
    /// Keeps the lake.
    pub lake: Arc<dyn LakeKeeper>,
    /// Rows as they arrive.
    pub live: Arc<dyn Live>,
    /// Runs what looks at them.
    pub onlookers: Arc<Onlookers>,
    /// What a filter may name: sets, the fleet's addresses, services.
    pub names: Arc<dyn Names>,
    /// What is known of addresses.
    pub enrichment: Arc<Enrichment>,
    /// The questions that are being answered.
    pub queries: Arc<Queries>,
    /// Counts for who watches.
    pub metrics: Arc<dyn Metrics>,
    /// Who may ask.
    pub people: Arc<People>,
    /// Signs them in by an identity provider, where there is one.
    pub oidc: Option<Arc<Oidc>>,
    /// The program's version, shown by `health`.
    pub version: &'static str,
}

/// The API under `/api/v1`, and its description for people at `/docs`; any other path answers 404 as a problem
/// document. So it has a fallback: of a router that is merged with it and has one as well (tonic's do), call
/// `reset_fallback` first.
pub fn router(state: ApiState) -> Router {
    let questions = routes::questions()
        .router
        .layer(middleware::from_fn_with_state(Arc::clone(&state.queries), queries::track));
    let guarded = questions
        .merge(routes::others().router)
        .merge(routes::signed_in().router)
        .merge(routes::people().router)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .merge(routes::deliveries().router.layer(DefaultBodyLimit::max(ROWS_LIMIT)))
        .layer(middleware::from_fn_with_state(state.clone(), auth::require))
        .merge(routes::sign_in().router.layer(DefaultBodyLimit::max(sessions::SIGN_IN_LIMIT)))
        .merge(routes::provider().router.layer(DefaultBodyLimit::max(provider::RETURN_LIMIT)))
        .layer(middleware::map_response(unkept));
    Router::new()
        .route("/api/v1/health", get(health).fallback(wrong_method))
        .route("/docs", get(openapi::page).fallback(wrong_method))
        .route("/docs/style.css", get(openapi::style).fallback(wrong_method))
        .nest("/api/v1", guarded)
        .fallback(not_found)
        .with_state(state)
}

#[derive(serde::Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
}

/// Whether the server answers.
async fn health(State(state): State<ApiState>) -> Json<Health> {
    Json(Health { status: "ok", version: state.version })
}

/// Answers are for who asked, at that moment.
async fn unkept(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::wrong_method(&method, uri.path())
}
