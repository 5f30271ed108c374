//! Start, run, stop.

use crate::configurations::Said;
use crate::fleet::{Fleet, Parts};
use crate::holders::Holders;
use crate::imports::Importer;
use crate::keeper::{Keeper, RESTORING};
use crate::keys::Keys;
use crate::metrics::Gauges;
use crate::others::Others;
use crate::place::{Opened, Place, Writer};
use crate::saved::Kept;
use crate::sessions::Browsers;
use crate::settings::{Settings, Written};
use crate::upkeep::{self, Work};
use crate::walls::Walls;
use anyhow::{Context as _, bail};
use bartizan_api::{ApiState, Feed, Names, Onlookers, Queries};
use bartizan_catalog::Catalog;
use bartizan_collect::Collector;
use bartizan_config::{Setting, load_program, program_paths, program_place};
use bartizan_enrich::Enrichment;
use bartizan_ingest::{Ingest, commit_forever};
use bartizan_lake::{Options, Tables};
use bartizan_notify::Notify;
use bartizan_oidc::Oidc;
use bartizan_outgoing::Outgoing;
use bartizan_people::{Invitation, People};
use bartizan_pki::{agent_server, front_server};
use bartizan_prefix::Dialects;
use bartizan_query::Engine;
use bartizan_sql::Flight;
use bartizan_wire::{Arrivals, Limits as WireLimits, agent_service, front_service, serve};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::watch;

/// Where the configuration is looked for when nothing is said.
const CONFIG: &str = "/etc/bartizan/server.toml";
/// Environment variables that are settings begin with this.
const PREFIX: &str = "BARTIZAN_";
/// Batches that a tail may lag behind before rows are passed over.
const TAIL_BATCHES: usize = 256;
/// How often the certificate is looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);

/// Takes from this process what its settings do not need. To be called before [`run`], while there is one thread.
///
/// # Errors
/// A wrong setting; with `sandbox.required`, what could not be taken.
pub fn shut_in(config: Option<&Path>, dir: Option<&Path>) -> anyhow::Result<Walls> {
    let written = written(config, dir)?;
    crate::walls::shut_in(&written, config.unwrap_or(Path::new(CONFIG)))
}

/// Runs the server, behind these walls, until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps it from starting: a wrong setting, a directory in use by another server, an address in use.
pub async fn run(config: Option<PathBuf>, dir: Option<PathBuf>, walls: Walls) -> anyhow::Result<()> {
    let settings = load(config.as_deref(), dir.as_deref())?;
    allow_files();
    let _lock = lock(&settings.dir)?;
    // also by its own name: it may be mounted in two directories
    let _lake =
        matches!(settings.lake, Place::Local).then(|| lock(&settings.dir.join("lake"))).transpose()?;
    if settings.dir.join(RESTORING).exists() {
        bail!("a restore into {} was not finished: begin it again", settings.dir.display());
    }
    let notify = Arc::new(Notify::from_env());
    let files = files(config.as_deref(), &settings)?;
    let server = Server::start(&settings, files, walls).await?;
    let mut signals = Signals::new()?;
    notify.status(&server.line);
    notify.ready();
    tokio::spawn(tell_progress(Arc::clone(&notify), server.tables.clone()));
    loop {
        tokio::select! {
            signal = signals.next() => if signal == Signal::Stop { break },
            // What is not committed is sent again; who has the lake now takes it.
            lost = server.lost() => return Err(lost),
        }
        notify.reloading();
        if let Err(error) = server.reload(load(config.as_deref(), dir.as_deref())).await {
            tracing::error!(
                error = format!("{error:#}"),
                "the new configuration is wrong; the old one counts"
            );
        }
        notify.ready();
    }
    notify.stopping();
    server.stop().await;
    Ok(())
}

/// Tells the service manager that the server lives, as often as it wants to hear it: this task gets its turn among all
/// others, and every table can be looked into. A store that is slow, or a disk that is full, is no reason to be killed.
async fn tell_progress(notify: Arc<Notify>, tables: Tables) {
    let Some(every) = bartizan_notify::watchdog() else { return };
    loop {
        for table in tables.all() {
            drop(table.view());
        }
        notify.progress();
        tokio::time::sleep(every).await;
    }
}

fn flags(dir: Option<&Path>) -> Vec<Setting> {
    dir.map(|dir| Setting::flag("dir", dir.display().to_string())).into_iter().collect()
}

fn written(config: Option<&Path>, dir: Option<&Path>) -> anyhow::Result<Written> {
    Ok(load_program(config, Path::new(CONFIG), PREFIX, &flags(dir))?)
}

fn load(config: Option<&Path>, dir: Option<&Path>) -> anyhow::Result<Settings> {
    Settings::new(written(config, dir)?).map_err(|error| {
        let place = program_place(config, Path::new(CONFIG), PREFIX, &flags(dir), error.key());
        place.into_iter().fold(anyhow::Error::new(error), anyhow::Error::context)
    })
}

/// A folder for temporary files of questions; what a killed server left there goes.
fn temporary(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", dir.display()));
        }
        _ => {}
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}

/// As many open files as this process may have: each connection is one, and what a shell gives at first is few.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, files = ?limit.current, "there are few open files for connections");
    }
}

/// The files that say what the settings are: for a backup.
fn files(config: Option<&Path>, settings: &Settings) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = program_paths(config, Path::new(CONFIG))?;
    files.extend(settings.prefixes.clone());
    Ok(files)
}

/// Two servers on one directory would both be right, and both be confused.
pub(crate) fn lock(dir: &Path) -> anyhow::Result<fs::File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join("lock");
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!("{} is in use by another server", dir.display()),
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

struct Server {
    /// Where it listens, in a line for people.
    line: String,
    tables: Tables,
    stop: watch::Sender<bool>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
    sinks: Vec<tokio::task::JoinHandle<()>>,
    collector: Option<Collector>,
    committers: Vec<tokio::task::JoinHandle<()>>,
    stop_commits: watch::Sender<bool>,
    forwarding: Option<tokio::task::JoinHandle<()>>,
    keeper: tokio::task::JoinHandle<()>,
    upkeep: std::thread::JoinHandle<()>,
    writer: Option<Writer>,
    enrichment: Arc<Enrichment>,
    said: Arc<Said>,
}

impl Server {
    async fn start(settings: &Settings, files: Vec<PathBuf>, walls: Walls) -> anyhow::Result<Self> {
        let dir = &settings.dir;
        let now = bartizan_clock::now();
        let dialects = dialects(settings.prefixes.as_deref())?;
        let keys = Arc::new(Keys::load(dir, &settings.names, now)?);
        let catalog = Catalog::open(&dir.join("catalog.db")).await?;
        let people = People::load(catalog.clone(), &admin_token(dir)?, bartizan_clock::now).await?;
        let people = Arc::new(people.with_provider(settings.oidc.as_ref().map(|oidc| oidc.issuer.clone())));
        let oidc = oidc(settings)?;
        let knows = |who: &str| people.principal(who).is_some();
        let browsers = Arc::new(Browsers::load(catalog.clone(), knows, bartizan_clock::now).await?);

        let front = listen("listen", settings.listen)?;
        let agents = listen("agents_listen", settings.agents_listen)?;
        let (tables, writer) = open_lake(settings).await?;
        let onlookers = Arc::new(Onlookers::new(settings.query.partitions)?);
        let feed = Arc::new(Feed::new(TAIL_BATCHES, now, &onlookers));
        let queries = Arc::new(Queries::new(now.0.cast_unsigned() / 1_000_000));
        let show = Arc::clone(&feed);
        let enrichment = crate::enrich::start(settings.enrichment.clone()).await?;
        let ingest = Ingest::new(tables.clone(), move |rows| show.publish(rows))
            .with_dialects(dialects)
            .with_enrichment(Arc::clone(&enrichment));
        let ingest = Arc::new(ingest);
        settings.query.spill_dir.as_deref().map_or(Ok(()), temporary)?;
        let engine = Arc::new(Engine::new(Arc::new(tables.clone()), &settings.query)?);
        let importer = Arc::new(Importer::new(catalog.clone(), Arc::clone(&ingest)));
        let others = Others::load(&catalog).await?;
        let said = Arc::new(Said::load(catalog.clone(), Arc::clone(&enrichment)).await?);
        let fleet = Arc::new(Fleet::new(Parts {
            catalog: catalog.clone(),
            others: others.clone(),
            keys: Arc::clone(&keys),
            ingest: Arc::clone(&ingest),
            engine: Arc::clone(&engine),
            enrichment: Arc::clone(&enrichment),
            enrolment: settings.enrolment,
            trail: people.trail(),
            said: Arc::clone(&said),
            agent_port: agents.local_addr()?.port(),
        }));
        // Before the first question with a group in it.
        fleet.learn_members().await;

        let names = Arc::clone(&enrichment) as Arc<dyn Names>;
        let retain = settings.retain.clone();
        let keeping =
            Keeper::new(tables.clone(), catalog.clone(), names, retain, settings.compact.clone(), dir)?
                .with_files(files);
        let (at_front, at_agents) = (Arc::<Arrivals>::default(), Arc::<Arrivals>::default());
        let metrics = Arc::new(Gauges {
            arrivals: [("front", Arc::clone(&at_front)), ("agents", Arc::clone(&at_agents))],
            tables: tables.clone(),
            ingest: Arc::clone(&ingest),
            engine: Arc::clone(&engine),
            hosts: Arc::clone(&fleet) as _,
            queries: Arc::clone(&queries),
            feed: Arc::clone(&feed),
            dir: dir.clone(),
            walls,
            started: now,
        });
        let holders = Holders {
            people: Arc::clone(&people),
            names: Arc::clone(&enrichment) as _,
            queries: Arc::clone(&queries),
        };
        let joining = front_service(Arc::clone(&fleet));
        let flight = Flight::new(Arc::clone(&engine), Arc::new(holders), joining);
        let router = bartizan_api::router(ApiState {
            engine,
            hosts: Arc::clone(&fleet) as _,
            tokens: Arc::clone(&fleet) as _,
            authority: Arc::clone(&fleet) as _,
            imports: importer,
            configurations: Arc::clone(&said) as _,
            saved: Arc::new(Kept(catalog.clone())),
            sessions: Arc::clone(&browsers) as _,
            lake: Arc::new(keeping.clone()),
            live: feed,
            onlookers,
            names: Arc::clone(&enrichment) as _,
            enrichment: Arc::clone(&enrichment),
            queries,
            metrics,
            people: Arc::clone(&people),
            oidc,
            version: env!("CARGO_PKG_VERSION"),
        });
        let (front_address, agents_address) = (front.local_addr()?, agents.local_addr()?);
        let (stop, stopped) = watch::channel(false);
        let (stop_commits, commits_stopped) = watch::channel(false);
        let committers =
            tables.iter().map(|t| tokio::spawn(commit_forever(t.clone(), commits_stopped.clone()))).collect();
        let relay = Arc::clone(&ingest);
        tokio::spawn(async move { relay.relay_commits().await });
        // Before anything of the log is deleted.
        let sinks = crate::sinks::start(&settings.sinks, &tables, &stopped);
        let upkeep = upkeep::start(Work::new(settings, tables.clone(), keeping), commits_stopped.clone())?;
        tokio::spawn(keep_house(Arc::clone(&keys), Arc::clone(&fleet)));
        tokio::spawn(crate::enrich::keep(Arc::clone(&enrichment), stopped.clone()));
        let collector = others.collect(settings, &ingest, &keys)?;
        let forwarding = settings.audit_syslog.clone().map(|to| {
            tokio::spawn(crate::forward::forward(catalog.clone(), dir.clone(), to, commits_stopped.clone()))
        });
        let noting = Arc::clone(&fleet);
        let keeper = tokio::spawn(async move {
            tokio::join!(
                others.keep(catalog, commits_stopped.clone()),
                noting.contacts.keep(commits_stopped)
            );
        });
        let kept = stopped.clone();
        tokio::spawn(async move { browsers.keep(kept).await });
        let router = crate::front::router(router, flight.into_routes().into_axum_router());
        let batches = agent_service(ingest, fleet, WireLimits::default(), None, stopped.clone());
        let front_tls = Arc::new(front_server(Arc::clone(&keys.certificate))?);
        let agents_tls = Arc::new(agent_server(Arc::clone(&keys.certificate), keys.authorities.hosts())?);
        let batches = batches.into_axum_router();
        let listeners = vec![
            tokio::spawn(serve(front, front_tls, router, settings.front, at_front, stopped.clone())),
            tokio::spawn(serve(agents, agents_tls, batches, settings.agents, at_agents, stopped)),
        ];
        if let Some(collector) = &collector {
            let lines = collector.addresses().iter().map(|(kind, address)| format!("{kind} {address}"));
            announce(dir, "collect_addresses", &lines.collect::<Vec<_>>().join("\n"))?;
        }
        if let Some(first) = people.invite_first().await? {
            welcome(&format!("https://{front_address}"), &first);
        }
        announce(dir, "address", &format!("https://{front_address}"))?;
        announce(dir, "agents_address", &agents_address.to_string())?;
        tracing::info!(front = %front_address, agents = %agents_address, dir = %dir.display(), "ready");
        Ok(Self {
            line: format!("people at {front_address}, agents at {agents_address}"),
            tables,
            stop,
            listeners,
            sinks,
            collector,
            committers,
            stop_commits,
            forwarding,
            keeper,
            upkeep,
            writer,
            enrichment,
            said,
        })
    }

    /// Waits until somebody else has the lake; for ever, if that cannot be.
    async fn lost(&self) -> anyhow::Error {
        match &self.writer {
            Some(writer) => writer.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Lets a new configuration count, as far as that is possible in a running server: databases and sets.
    async fn reload(&self, settings: anyhow::Result<Settings>) -> anyhow::Result<()> {
        crate::enrich::configure(&self.enrichment, settings?.enrichment).await?;
        // Hosts may be in other groups.
        self.said.stir();
        tracing::info!("databases and sets are as configured now; other keys count after a restart");
        Ok(())
    }

    /// Stops taking batches, then commits what was taken.
    async fn stop(self) {
        tracing::info!("stopping");
        self.stop.send_replace(true);
        for listener in self.listeners {
            drop(tokio::time::timeout(Duration::from_secs(5), listener).await);
        }
        for sink in self.sinks {
            drop(tokio::time::timeout(Duration::from_secs(5), sink).await);
        }
        if let Some(collector) = self.collector {
            collector.stop().await;
        }
        self.stop_commits.send_replace(true);
        for committer in self.committers {
            drop(tokio::time::timeout(Duration::from_secs(30), committer).await);
        }
        if let Some(forwarding) = self.forwarding {
            drop(tokio::time::timeout(Duration::from_secs(5), forwarding).await);
        }
        drop(tokio::time::timeout(Duration::from_secs(5), self.keeper).await);
        // What it has at hand may take longer than anybody wants to wait, and nothing is lost without it.
        let ended = async {
            while !self.upkeep.is_finished() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        drop(tokio::time::timeout(Duration::from_secs(5), ended).await);
        if let Some(writer) = self.writer {
            drop(tokio::time::timeout(Duration::from_secs(5), writer.release()).await);
        }
    }
}

/// The identity provider, if there is one. It is asked when somebody signs in.
fn oidc(settings: &Settings) -> anyhow::Result<Option<Arc<Oidc>>> {
    let Some(oidc) = settings.oidc.clone() else { return Ok(None) };
    let outgoing = Outgoing::new(&settings.outgoing).context("cannot make requests to the outside")?;
    Ok(Some(Arc::new(Oidc::new(oidc, outgoing, bartizan_clock::now))))
}

/// Tells whoever started the server how the first administrator gets in.
fn welcome(address: &str, first: &Invitation) {
    tracing::info!(
        "nobody can administer this server yet. Within 15 minutes open {address}/#/invitation?code={} in a browser, and \
         choose a password for the user `{}`. (Later: `bartizan users invite {}`.)",
        first.code,
        first.name,
        first.name
    );
}

/// What log prefixes say, by the user's file and the built-in table.
fn dialects(file: Option<&Path>) -> anyhow::Result<Dialects> {
    let Some(path) = file else { return Ok(Dialects::built_in()) };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Dialects::with(&path.display().to_string(), &text)?)
}

async fn open_lake(settings: &Settings) -> anyhow::Result<(Tables, Option<Writer>)> {
    let Opened { store, space, writer } = settings.lake.open(&settings.dir).await?;
    let options = Options {
        hot_limit: settings.hot_limit as u64,
        commit_bytes: settings.commit_bytes as u64,
        commit_age: i64::try_from(settings.commit_age.as_micros()).unwrap_or(i64::MAX),
        space,
        reserve: settings.reserve,
        fresh_files: settings.fresh_files,
        removed_age: settings.removed_age,
        ..Options::default()
    };
    let now = bartizan_clock::now();
    Ok((Tables::open(&store, &options, now).await?, writer))
}

/// Hourly: the server's certificate is renewed in time, and a new authority counts when every live host knows it.
async fn keep_house(keys: Arc<Keys>, fleet: Arc<Fleet>) {
    let mut hour = tokio::time::interval(HOUSEKEEPING);
    loop {
        hour.tick().await;
        fleet.keep_authority().await;
        if let Err(error) = keys.keep(bartizan_clock::now()) {
            tracing::error!(%error, "cannot renew the server's certificate");
        }
    }
}

/// Listens, with a queue as long as the kernel allows: a whole fleet, or a flood, may come within a moment, and who does
/// not get into the queue tries again only after a second.
fn listen(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(1 << 16)
    };
    listen().with_context(|| format!("{key}: cannot listen on {address}"))
}

/// The token that may ask everything, made at the first start.
fn admin_token(dir: &Path) -> anyhow::Result<String> {
    let path = dir.join("admin.token");
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|e| anyhow::anyhow!("the system gives no random numbers: {e}"))?;
    let token = data_encoding::BASE32_NOPAD.encode(&secret).to_ascii_lowercase();
    replace(&path, &format!("{token}\n"), 0o600)?;
    Ok(token)
}

/// Tells scripts and the command line where the server listens.
fn announce(dir: &Path, name: &str, address: &str) -> anyhow::Result<()> {
    replace(&dir.join(name), &format!("{address}\n"), 0o644)
}

/// Replaces a small file at once, so that nobody reads half of it.
pub(crate) fn replace(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let write = || {
        let mut file =
            fs::OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// What somebody wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Stop,
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP.
struct Signals {
    term: unix::Signal,
    int: unix::Signal,
    hup: unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| unix::signal(kind).context("cannot listen to signals");
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
            hup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.term.recv() => Signal::Stop,
            _ = self.int.recv() => Signal::Stop,
            _ = self.hup.recv() => Signal::Reload,
        }
    }
}
