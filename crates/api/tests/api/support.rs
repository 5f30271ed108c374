//! A server over real tables.

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::{
    ArrayRef, Int16Array, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    new_null_array,
};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::http::{Request, Response, StatusCode, header};
use bartizan_api::{
    ApiState, AuthorityRefusal, AuthorityStatus, AuthorityStep, ConfigurationChange, ConfigurationInfo,
    ConfigurationPage, ConfigurationRefusal, Configurations, ContentCheck, Feed, Finish, FleetAuthority,
    HoldInfo, HostChange, HostConfiguration, HostInfo, HostRefusal, HostStanding, HostState, Hosts,
    ImportError, ImportInfo, Imports, LakeKeeper, LakeLine, LakeRefusal, LakeStatus, LakeTask, MadeToken,
    Mark, Metrics, NewConfiguration, NewHold, NewImport, NewSession, NewToken, NewView, Onlookers,
    OpenImport, OpenSession, Piece, Queries, Retention, RetentionRule, Saved, SenderInfo, Session,
    SessionInfo, Sessions, Standing, StandingChange, TableStatus, TokenInfo, TokenState, Tokens, Unavailable,
    ViewInfo, router,
};
use bartizan_catalog::Catalog;
use bartizan_filter::Context;
use bartizan_lake::{Options, Tables};
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Micros, Role, Seq, StreamId, addr_from_ip};
use bartizan_people::{NewAccess, People, Principal};
use bartizan_query::{Engine, Limits};
use bartizan_schema::table_schema;
use http_body_util::BodyExt;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tower::ServiceExt;

pub(crate) const TOKEN: &str = "bzt_0123456789";
/// 2026-11-23T05:00:43Z.
pub(crate) const NOW: i64 = 1_795_410_043_000_000;

#[derive(Default)]
pub(crate) struct Fleet {
    pub(crate) made: Mutex<Vec<NewToken>>,
    pub(crate) views: Mutex<Vec<(String, NewView)>>,
    pub(crate) sessions: Mutex<BTreeMap<String, (NewSession, watch::Sender<bool>)>>,
}

/// Secrets are `secret-1`, `secret-2`; names the same without `secret-`.
#[async_trait]
impl Sessions for Fleet {
    async fn open(&self, new: NewSession) -> Result<OpenSession, Unavailable> {
        let mut sessions = self.sessions.lock().unwrap();
        let name = (sessions.len() + 1).to_string();
        let secret = format!("secret-{name}");
        sessions.insert(name, (new, watch::Sender::new(false)));
        Ok(OpenSession { secret, seconds: 60 })
    }

    async fn used(&self, secret: &str) -> Option<Session> {
        let name = secret.strip_prefix("secret-")?;
        let sessions = self.sessions.lock().unwrap();
        let (new, alive) = sessions.get(name)?;
        let (since, until) = (Micros(NOW), Micros(NOW + 60_000_000));
        Some(Session { name: name.to_owned(), who: new.who.clone(), since, until, ended: alive.subscribe() })
    }

    async fn end(&self, name: &str) -> Result<bool, Unavailable> {
        let ended = self.sessions.lock().unwrap().remove(name);
        Ok(ended.map(|(_, alive)| alive.send_replace(true)).is_some())
    }

    async fn end_of(&self, who: &str, but: Option<&str>) -> Result<(), Unavailable> {
        self.sessions.lock().unwrap().retain(|name, (new, alive)| {
            let stays = new.who != who || Some(name.as_str()) == but;
            if !stays {
                alive.send_replace(true);
            }
            stays
        });
        Ok(())
    }

    fn list(&self) -> Vec<SessionInfo> {
        let info = |(name, (new, _)): (&String, &(NewSession, watch::Sender<bool>))| SessionInfo {
            name: name.clone(),
            who: new.who.clone(),
            since: Micros(NOW),
            used: Micros(NOW),
            until: Micros(NOW + 60_000_000),
            address: new.address.clone(),
            browser: new.browser.clone(),
        };
        self.sessions.lock().unwrap().iter().map(info).collect()
    }
}

#[async_trait]
impl Metrics for Fleet {
    async fn text(&self) -> String {
        "bartizan_hosts 1\n".to_owned()
    }
}

/// One version, 7, which counts.
#[async_trait]
impl Configurations for Fleet {
    async fn versions(&self, page: ConfigurationPage) -> Result<Vec<ConfigurationInfo>, Unavailable> {
        let all = [configuration("*", "groups = [5]")];
        Ok(all.into_iter().filter(|one| page.version.is_none_or(|version| version == one.version)).collect())
    }

    async fn say(
        &self,
        who: &str,
        new: NewConfiguration,
    ) -> Result<ConfigurationChange, ConfigurationRefusal> {
        if new.text.contains('!') {
            return Err(ConfigurationRefusal::Wrong(format!("{}:1: `!` is nothing", new.target)));
        }
        let now = ConfigurationInfo { who: who.to_owned(), ..configuration(&new.target, &new.text) };
        Ok(ConfigurationChange { now, was: Some(configuration(&new.target, "groups = [5]")) })
    }

    async fn roll_back(
        &self,
        who: &str,
        version: u64,
        _: Option<String>,
    ) -> Result<ConfigurationChange, ConfigurationRefusal> {
        match version {
            7 => {
                let now = ConfigurationInfo { who: who.to_owned(), ..configuration("*", "groups = [5]") };
                Ok(ConfigurationChange { now, was: None })
            }
            _ => Err(ConfigurationRefusal::Unknown(format!("there is no version {version}"))),
        }
    }
}

fn configuration(target: &str, text: &str) -> ConfigurationInfo {
    ConfigurationInfo {
        version: 7,
        target: target.to_owned(),
        text: text.to_owned(),
        who: "anna".to_owned(),
        comment: "because".to_owned(),
        at: Micros(NOW),
        counts: true,
        hosts: 1,
    }
}

#[async_trait]
impl Saved for Fleet {
    async fn views(&self) -> Result<Vec<(String, ViewInfo)>, Unavailable> {
        let info = |(owner, view): &(String, NewView)| {
            (
                owner.clone(),
                ViewInfo {
                    name: view.name.clone(),
                    table: view.table.to_string(),
                    filter: view.filter.clone(),
                    columns: view.columns.clone(),
                    since: view.since.clone(),
                    shared: view.shared,
                    changed: Micros(NOW),
                },
            )
        };
        Ok(self.views.lock().unwrap().iter().map(info).collect())
    }

    async fn put_view(&self, owner: &str, new: NewView) -> Result<(), Unavailable> {
        let mut views = self.views.lock().unwrap();
        views.retain(|(_, view)| view.name != new.name);
        views.push((owner.to_owned(), new));
        Ok(())
    }

    async fn delete_view(&self, name: &str) -> Result<bool, Unavailable> {
        let mut views = self.views.lock().unwrap();
        let before = views.len();
        views.retain(|(_, view)| view.name != name);
        Ok(views.len() < before)
    }
}

#[async_trait]
impl LakeKeeper for Fleet {
    fn retention(&self) -> Retention {
        let rule = RetentionRule { table: "events".into(), filter: "action:accept".into(), days: Some(7) };
        Retention { rules: vec![rule], max_bytes: None }
    }

    async fn status(&self) -> Result<LakeStatus, LakeRefusal> {
        let events = TableStatus { table: "events".into(), files: 2, rows: 7, ..TableStatus::default() };
        Ok(LakeStatus { tables: vec![events], doing: None, more: serde_json::Map::new() })
    }

    async fn holds(&self) -> Result<Vec<HoldInfo>, LakeRefusal> {
        Ok(Vec::new())
    }

    async fn hold(&self, new: NewHold) -> Result<(), LakeRefusal> {
        if new.filter.is_empty() { Err(LakeRefusal::Question("all of it?".into())) } else { Ok(()) }
    }

    async fn release(&self, name: &str) -> Result<bool, LakeRefusal> {
        Ok(name == "case 7")
    }

    async fn erasures(&self) -> Result<Vec<Value>, LakeRefusal> {
        Ok(vec![serde_json::json!({"erasure": 1})])
    }

    /// A quick verify is done, another fails, and the rest is refused.
    async fn begin(&self, task: LakeTask) -> Result<tokio::sync::mpsc::Receiver<LakeLine>, LakeRefusal> {
        let LakeTask::Verify(verify) = task else { return Err(LakeRefusal::Busy("verify")) };
        let (tell, told) = tokio::sync::mpsc::channel(8);
        tell.send(LakeLine::Progress("1 of 2".into())).await.unwrap();
        tell.send(LakeLine::Item(serde_json::json!({"problem": "missing"}))).await.unwrap();
        let last = match verify.quick {
            true => LakeLine::End(false, serde_json::Map::from_iter([("files".to_owned(), 2.into())])),
            false => LakeLine::Failed("the disk is gone".into()),
        };
        tell.send(last).await.unwrap();
        Ok(told)
    }
}

#[async_trait]
impl Hosts for Fleet {
    async fn hosts(&self) -> Result<Vec<HostInfo>, Unavailable> {
        Ok(vec![HostInfo {
            name: "web1".to_owned(),
            id: Some(HostId::from_bytes([7; 16])),
            reports: "agent".to_owned(),
            first_seen: Micros(NOW),
            last_contact: None,
            last_event: Some(Micros(NOW + 1)),
            events: 3,
            lost: 1,
            cert_not_after: None,
            clock_offset_ms: Some(-1500),
            clone_seen: Some(Micros(NOW + 2)),
            version: Some("0.1.0".to_owned()),
            rate: 1.5,
            spool_bytes: Some(4096),
            spool_batches: Some(2),
            spool_oldest: Some(Micros(NOW)),
            group: Some("edge".to_owned()),
            waiting_for: None,
            refused: 2,
            refused_at: Some(Micros(NOW)),
            refused_why: Some("order: batches out of order".to_owned()),
            configuration: HostConfiguration {
                config: Some("refused".to_owned()),
                config_wanted: vec![1, 3],
                config_has: vec![1],
                config_why: Some("too much".to_owned()),
                ..HostConfiguration::default()
            },
            state: HostState::Online,
        }])
    }

    async fn senders(&self) -> Result<Vec<SenderInfo>, Unavailable> {
        Ok(vec![SenderInfo {
            host: "gw".to_owned(),
            sender: "192.0.2.1".to_owned(),
            source: "syslog".to_owned(),
            messages: 9,
            rows: 4,
            unparsed: 1,
            other: 3,
            kept: 0,
            cut: 1,
            over: 1,
            first_seen: Micros(NOW),
            last_seen: Micros(NOW + 1),
        }])
    }

    /// One host, `web1`, that is in; `gw` has a name that is taken.
    async fn change(&self, host: &str, change: StandingChange) -> Result<HostChange, HostRefusal> {
        let was = HostStanding { name: host.to_owned(), state: Standing::In, group: None };
        let now = match (host, change) {
            ("web1", StandingChange::Revoke) => HostStanding { state: Standing::Revoked, ..was.clone() },
            ("web1", StandingChange::Retire) => HostStanding { state: Standing::Retired, ..was.clone() },
            ("web1", StandingChange::Rename(name)) if name.contains(' ') => {
                return Err(HostRefusal::Wrong("no name".to_owned()));
            }
            ("web1", StandingChange::Rename(name)) => HostStanding { name, ..was.clone() },
            ("gw", StandingChange::Approve { replace: false }) => {
                return Err(HostRefusal::Conflict("the name is taken".to_owned()));
            }
            ("gw", StandingChange::Approve { replace: true }) => was.clone(),
            _ => return Err(HostRefusal::Unknown("there is no host".to_owned())),
        };
        Ok(HostChange { id: HostId::from_bytes([7; 16]), was, now })
    }

    fn refusals(&self) -> Vec<(&'static str, &'static str, u64)> {
        vec![("host", "order", 2)]
    }
}

#[async_trait]
impl Tokens for Fleet {
    async fn create(&self, new: NewToken) -> Result<MadeToken, Unavailable> {
        if new.comment == "broken" {
            return Err(Unavailable("the secret reason".into()));
        }
        self.made.lock().unwrap().push(new);
        Ok(MadeToken { token: "bzj_new".to_owned(), id: "00c0ffee".to_owned() })
    }

    async fn tokens(&self) -> Result<Vec<TokenInfo>, Unavailable> {
        let info = |new: &NewToken| TokenInfo {
            id: "00c0ffee".to_owned(),
            state: TokenState::Good,
            comment: new.comment.clone(),
            group: new.group.clone(),
            networks: new.networks.clone(),
            approval: new.approval,
            created: Micros(NOW),
            expires: Micros(NOW + 1),
            uses_left: new.uses,
            used: 0,
            refused: 0,
        };
        Ok(self.made.lock().unwrap().iter().map(info).collect())
    }

    async fn revoke(&self, id: &str) -> Result<Option<TokenInfo>, Unavailable> {
        let mut tokens = self.tokens().await?.into_iter();
        Ok(tokens.find(|token| token.id == id).map(|token| TokenInfo { state: TokenState::Revoked, ..token }))
    }
}

/// One whose successor a host has not learned of.
#[async_trait]
impl FleetAuthority for Fleet {
    async fn status(&self) -> Result<AuthorityStatus, Unavailable> {
        Ok(AuthorityStatus {
            pin: "aa".to_owned(),
            next: Some("bb".to_owned()),
            renewed: 1,
            left: 1,
            names: vec!["web1".to_owned()],
        })
    }

    async fn step(&self, step: AuthorityStep) -> Result<AuthorityStatus, AuthorityRefusal> {
        match step {
            AuthorityStep::Begin => Ok(FleetAuthority::status(self).await?),
            AuthorityStep::Finish { force: true } => Ok(AuthorityStatus {
                pin: "bb".to_owned(),
                next: None,
                left: 0,
                ..FleetAuthority::status(self).await?
            }),
            AuthorityStep::Finish { force: false } => {
                Err(AuthorityRefusal::Conflict("web1 has not renewed".to_owned()))
            }
        }
    }
}

/// Knows one import, up to 70, that the first session delivers.
#[async_trait]
impl Imports for Fleet {
    async fn open(&self, new: NewImport) -> Result<OpenImport, ImportError> {
        if new.name == "broken" {
            return Err(ImportError::Unavailable(Unavailable("the secret reason".into())));
        }
        let marks = new.kinds.iter().map(|kind| Mark { kind: *kind, position: Seq(70) }).collect();
        let import = HostId::from_bytes([7; 16]);
        let checks = vec![ContentCheck { position: 70, digest: "ab".repeat(32) }];
        Ok(OpenImport { import, variant: 0, session: 1, committed: Seq(60), marks, checks })
    }

    async fn rows(&self, import: HostId, piece: Piece, batch: Bytes) -> Result<Seq, ImportError> {
        if import != HostId::from_bytes([7; 16]) {
            return Err(ImportError::Closed);
        }
        match (piece.session, piece.from) {
            (1, Seq(70)) if batch == "no arrow" => Err(ImportError::Wrong("not an arrow batch".to_owned())),
            (1, Seq(70)) => Ok(Seq(batch.len() as u64)),
            (1, _) => Err(ImportError::Position(Seq(70))),
            _ => Err(ImportError::Taken),
        }
    }

    async fn finish(&self, _: HostId, _: Finish) -> Result<Seq, ImportError> {
        Ok(Seq(70))
    }

    async fn list(&self) -> Result<Vec<ImportInfo>, Unavailable> {
        Ok(vec![ImportInfo {
            import: HostId::from_bytes([7; 16]),
            name: "kern.log".to_owned(),
            format: "syslog".to_owned(),
            state: "done",
            position: 70,
            committed: Seq(70),
            totals: serde_json::json!({ "records": 1 }),
            started: Micros(NOW),
            touched: Micros(NOW),
            finished: Some(Micros(NOW)),
        }])
    }
}

pub(crate) struct Server {
    pub(crate) app: Router,
    pub(crate) feed: Arc<Feed>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) people: Arc<People>,
    pub(crate) _dir: tempfile::TempDir,
}

pub(crate) fn times(kind: Kind, rows: usize, first: i64) -> Vec<(&'static str, ArrayRef)> {
    let times = || {
        Arc::new(
            TimestampMicrosecondArray::from_iter_values((0..rows as i64).map(|r| first + r))
                .with_timezone("UTC"),
        ) as ArrayRef
    };
    match kind {
        Kind::Events => vec![("time", times()), ("received", times())],
        Kind::Losses => vec![("time", times()), ("received", times()), ("from", times())],
        Kind::Flows | Kind::Counters | Kind::Rulesets | Kind::Lines => {
            vec![("time", times()), ("received", times())]
        }
    }
}

/// Rows one microsecond apart, `row` counting; what is not given is null, or `x` or 0 where it must not be.
pub(crate) fn rows(kind: Kind, n: usize, first: i64, given: Vec<(&'static str, ArrayRef)>) -> RecordBatch {
    let mut known = times(kind, n, first);
    known.push(("row", Arc::new(Int32Array::from_iter_values(0..n as i32))));
    known.extend(given);
    let schema = table_schema(kind);
    let arrays = schema.fields().iter().map(|f| {
        if let Some((_, array)) = known.iter().rev().find(|(name, _)| name == f.name()) {
            return Arc::clone(array);
        }
        match f.data_type() {
            _ if f.is_nullable() => new_null_array(f.data_type(), n),
            arrow_schema::DataType::Utf8View => Arc::new(StringViewArray::from_iter_values(vec!["x"; n])),
            arrow_schema::DataType::Int64 => Arc::new(Int64Array::from(vec![0; n])),
            other => panic!("{other}"),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), arrays.collect()).unwrap()
}

pub(crate) fn events(n: usize, first: i64, port: i32, host: &str) -> RecordBatch {
    let mut src = FixedSizeBinaryBuilder::new(16);
    for row in 0..n {
        let text = if row % 2 == 0 { "192.0.2.1" } else { "2001:db8::1" };
        src.append_value(addr_from_ip(text.parse().unwrap())).unwrap();
    }
    let given: Vec<(&str, ArrayRef)> = vec![
        ("host", Arc::new(StringViewArray::from_iter_values(vec![host; n]))),
        ("prefix", Arc::new(StringViewArray::from_iter_values(vec!["a\"b\n\u{1b}[31m"; n]))),
        ("src", Arc::new(src.finish())),
        ("dport", Arc::new(Int32Array::from(vec![port; n]))),
        ("proto", Arc::new(Int16Array::from(vec![6; n]))),
        ("tcp_flags", Arc::new(Int16Array::from(vec![18; n]))),
        ("packets", Arc::new(Int64Array::from(vec![3; n]))),
    ];
    rows(Kind::Events, n, first, given)
}

/// A ruleset of web1 that became active; without texts one that was known.
pub(crate) fn ruleset(time: i64, generation: &str, netns: &str, texts: &[(&str, &str)]) -> RecordBatch {
    let n = texts.len().max(1);
    let same = |text: &str| -> ArrayRef { Arc::new(StringViewArray::from_iter_values(vec![text; n])) };
    let part = |at: usize| texts[..at].iter().filter(|(form, _)| *form == texts[at].0).count() as i32;
    let parts = |form: &str| texts.iter().filter(|(f, _)| *f == form).count() as i32;
    let mut given: Vec<(&'static str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from_value(time, n).with_timezone("UTC"))),
        ("host", same("web1")),
        ("generation", same(generation)),
        ("pid", Arc::new(Int64Array::from(vec![77; n]))),
        ("process", same("nft")),
    ];
    if !netns.is_empty() {
        given.push(("netns", same(netns)));
    }
    if !texts.is_empty() {
        given
            .push(("form", Arc::new(StringViewArray::from_iter_values(texts.iter().map(|(form, _)| *form)))));
        given.push((
            "content",
            Arc::new(StringViewArray::from_iter_values(texts.iter().map(|(_, text)| *text))),
        ));
        given.push(("part", Arc::new(Int32Array::from_iter_values((0..n).map(part)))));
        given.push((
            "parts",
            Arc::new(Int32Array::from_iter_values(texts.iter().map(|(form, _)| parts(form)))),
        ));
    }
    rows(Kind::Rulesets, n, time, given)
}

pub(crate) async fn empty() -> (tempfile::TempDir, Tables) {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap());
    let tables = Tables::open(&store, &Options::default(), Micros(NOW)).await.unwrap();
    (dir, tables)
}

pub(crate) async fn server() -> Server {
    let (dir, tables) = empty().await;
    let now = Micros(NOW);
    let (events_table, losses_table) = (tables.of(Kind::Events), tables.of(Kind::Losses));
    let stream = StreamId { host: HostId::from_bytes([7; 16]), lane: Lane::DISK[0], epoch: Epoch(1) };
    let id = |seq| BatchId { stream, seq: Seq(seq) };
    // Two rows in a file, one hot.
    events_table.append(id(1), vec![events(2, NOW, 22, "web1")], 1000, now).unwrap();
    events_table.commit(now).await.unwrap();
    events_table.append(id(2), vec![events(1, NOW + 1_000_000, 443, "web2")], 1000, now).unwrap();
    let lost = rows(
        Kind::Losses,
        1,
        NOW,
        vec![
            ("host", Arc::new(StringViewArray::from_iter_values(["web1"]))),
            ("count", Arc::new(Int64Array::from(vec![9]))),
        ],
    );
    losses_table.append(id(1), vec![lost], 1000, now).unwrap();

    let rulesets = tables.of(Kind::Rulesets);
    let listings = [
        ruleset(
            NOW,
            "a1",
            "",
            &[("nft", "table inet filter {\n"), ("nft", "}\n"), ("iptables-save", "*filter\n")],
        ),
        ruleset(NOW + 10_000_000, "b2", "", &[("nft", "table inet other {\n}\n")]),
        ruleset(NOW + 15_000_000, "c3", "blue", &[("nft", "blue")]),
        // What was there before is active again: its text is known.
        ruleset(NOW + 20_000_000, "a1", "", &[]),
    ];
    for (seq, listing) in (1..).zip(listings) {
        rulesets.append(id(seq), vec![listing], 1000, now).unwrap();
        if seq == 2 {
            rulesets.commit(now).await.unwrap();
        }
    }

    serving(dir, tables).await
}

pub(crate) async fn serving(dir: tempfile::TempDir, tables: Tables) -> Server {
    let onlookers = Arc::new(Onlookers::new(2).unwrap());
    let feed = Arc::new(Feed::new(16, Micros(NOW + 5_000_000), &onlookers));
    let fleet = Arc::new(Fleet::default());
    let catalog = Catalog::open(&dir.path().join("catalog.db")).await.unwrap();
    let people = Arc::new(People::load(catalog, TOKEN, || Micros(NOW)).await.unwrap());
    let app = router(ApiState {
        engine: Arc::new(Engine::new(Arc::new(tables), &Limits::default()).unwrap()),
        hosts: Arc::clone(&fleet) as _,
        tokens: Arc::clone(&fleet) as _,
        authority: Arc::clone(&fleet) as _,
        imports: Arc::clone(&fleet) as _,
        configurations: Arc::clone(&fleet) as _,
        saved: Arc::clone(&fleet) as _,
        sessions: Arc::clone(&fleet) as _,
        lake: Arc::clone(&fleet) as _,
        live: Arc::clone(&feed) as _,
        onlookers,
        names: Arc::new(Arc::new(
            Context::default().with_group("edge", &["gw1".to_owned(), "gw2*".to_owned()]),
        )),
        enrichment: Arc::default(),
        queries: Arc::new(Queries::new(7)),
        metrics: Arc::clone(&fleet) as _,
        people: Arc::clone(&people),
        oidc: None,
        version: "1.2.3",
    });
    Server { app, feed, fleet, people, _dir: dir }
}

pub(crate) fn post(path: &str, body: &str) -> Request<Body> {
    Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}")).body(Body::empty()).unwrap()
}

impl Server {
    /// A token of a service that may this and sees that.
    pub(crate) async fn token(&self, role: Role, scope: &str, payload: bool) -> String {
        let name = format!("{role}-{}", self.people.access_tokens(&Principal::local()).len());
        let new = NewAccess {
            name,
            role: Some(role),
            scope: Some(scope.to_owned()),
            payload,
            service: true,
            days: None,
            comment: String::new(),
        };
        self.people.make_access(&Principal::local(), new).await.unwrap().token
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.app.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn text(&self, request: Request<Body>) -> (StatusCode, String, String) {
        let response = self.send(request).await;
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    pub(crate) async fn ask(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let (status, _, text) = self.text(post(path, &body.to_string())).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) async fn lines(&self, path: &str, body: Value) -> Vec<Value> {
        let (status, kind, text) = self.text(post(path, &body.to_string())).await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/x-ndjson"), "{text}");
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
