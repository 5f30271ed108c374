//! Start and stop.

use crate::agents::Agents;
use crate::counts::Counts;
use crate::deliver::Deliverer;
use crate::desk::Desk;
use crate::ledger::Ledger;
use crate::listen::{Connections, Datagrams, Local, Place, acceptor, bind_tcp, bind_udp};
use crate::rate::Rates;
use crate::replay::Notes;
use crate::settings::{Listener, Way, Where};
use crate::spooler::Spooler;
use crate::store::Store;
use anyhow::Context as _;
use bartizan_ingest::Ingest;
use bartizan_model::{Epoch, HostId};
use bartizan_pki::{HostTrust, ServerCertificate};
use bartizan_wire::Encoder;
use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Parcels that wait for the spooler.
const PARCELS: usize = 8;
/// For connections to say what they have sent, when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the collector uses of the server.
pub struct Surroundings<'a> {
    /// The server's directory.
    pub dir: &'a Path,
    /// Takes the rows.
    pub ingest: Arc<Ingest>,
    /// The server's certificate.
    pub certificate: Arc<ServerCertificate>,
    /// Whose certificates of hosts are taken.
    pub hosts: Arc<HostTrust>,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    /// Where it is counted what each sender delivers.
    pub counts: Arc<Counts>,
    /// The agents' names.
    pub agents: Arc<Agents>,
}

/// All listeners, and what carries on from them.
pub struct Collector {
    counts: Arc<Counts>,
    agents: Arc<Agents>,
    addresses: Vec<(&'static str, String)>,
    stop_listening: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    desks: Vec<(Arc<Desk>, JoinHandle<()>)>,
    stop_writing: watch::Sender<bool>,
    end: watch::Sender<bool>,
    parcels: mpsc::Sender<crate::spooler::Parcel>,
    spooler: std::thread::JoinHandle<()>,
    deliverer: std::thread::JoinHandle<()>,
}

impl Collector {
    /// Listens.
    ///
    /// # Errors
    /// Whatever keeps it from that: an address in use, a spool that cannot be opened, a certificate that cannot be read.
    pub fn start(listeners: Vec<Listener>, of: Surroundings<'_>) -> anyhow::Result<Self> {
        let collector = identity(of.dir)?;
        let dir = of.dir.join("spool/collected");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let store = Arc::new(Store::open(dir, of.spool_bytes, Epoch(random()?), Instant::now())?);
        let ledger = Arc::<Ledger>::default();
        let notes = || Notes::read(store.lock().spool.last_note().unwrap_or_default());
        let (notes, of_desks) = (notes(), notes());
        let (stop_listening, stopped) = watch::channel(false);
        let (stop_writing, writing_stopped) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        let (parcels, received) = mpsc::channel(PARCELS);
        let stuck = Arc::new(AtomicBool::new(false));
        let spooler = Spooler {
            store: Arc::clone(&store),
            ledger: Arc::clone(&ledger),
            parcels: received,
            stuck: Arc::clone(&stuck),
            stop: writing_stopped,
            end: ended.clone(),
            encoder: Encoder::default(),
            notes,
            waiting: VecDeque::new(),
        };
        let deliverer =
            Deliverer { store, ingest: of.ingest, collector, stop: ended, waiting: VecDeque::new() };
        let mut all = Self {
            counts: of.counts,
            agents: of.agents,
            addresses: Vec::new(),
            stop_listening,
            listeners: Vec::new(),
            desks: Vec::new(),
            stop_writing,
            end,
            parcels,
            spooler: thread("collect-spool", move |runtime| spooler.run(runtime))?,
            deliverer: thread("collect-deliver", move |runtime| deliverer.run(runtime))?,
        };
        for listener in listeners {
            let what =
                format!("collect: cannot listen for {} on {}", listener.speech.as_str(), listener.place);
            let tls = match listener.speech.way() {
                Way::Tls => Some(acceptor(&listener, &of.certificate, &of.hosts)?),
                Way::Tcp | Way::Udp | Way::Unix => None,
            };
            all.listen(listener, tls, &of_desks, &ledger, &stuck, stopped.clone()).context(what)?;
        }
        Ok(all)
    }

    fn listen(
        &mut self,
        listener: Listener,
        tls: Option<tokio_rustls::TlsAcceptor>,
        notes: &Notes,
        ledger: &Arc<Ledger>,
        stuck: &Arc<AtomicBool>,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let settings = Arc::new(listener);
        let (speech, place_of) = (settings.speech, settings.place.clone());
        let desk = Arc::new(Desk::new(
            Arc::clone(&settings),
            notes,
            Arc::clone(&self.counts),
            Arc::clone(ledger),
            self.parcels.clone(),
        ));
        let place = Arc::new(Place {
            rates: Rates::new(settings.rate),
            settings,
            desk: Arc::clone(&desk),
            agents: Arc::clone(&self.agents),
            ledger: Arc::clone(ledger),
            stuck: Arc::clone(stuck),
        });
        let (bound, task): (String, _) = match (place_of, speech.way()) {
            (Where::Path(path), _) => {
                let socket = Local::bind(&path)?;
                (path.display().to_string(), tokio::spawn(Local { socket, path, place, stop }.run()))
            }
            (Where::Address(address), Way::Udp) => {
                let socket = bind_udp(address)?;
                (socket.local_addr()?.to_string(), tokio::spawn(Datagrams { socket, place, stop }.run()))
            }
            (Where::Address(address), _) => {
                let socket = bind_tcp(address)?;
                let bound = socket.local_addr()?.to_string();
                (bound, tokio::spawn(Connections { socket, tls, place, stop }.run()))
            }
        };
        tracing::info!(kind = speech.as_str(), address = %bound, "listening");
        self.addresses.push((speech.as_str(), bound));
        self.listeners.push(task);
        let clear = Arc::clone(&desk);
        self.desks.push((desk, tokio::spawn(async move { clear.keep_clear(speech.answers()).await })));
        Ok(())
    }

    /// Where it listens for what, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[(&'static str, String)] {
        &self.addresses
    }

    /// Stops listening, and makes durable what has come.
    pub async fn stop(self) {
        self.stop_listening.send_replace(true);
        for listener in self.listeners {
            drop(tokio::time::timeout(FAREWELL, listener).await);
        }
        // a spool that takes nothing now is not waited for
        self.stop_writing.send_replace(true);
        for (desk, clearer) in self.desks {
            desk.clear().await;
            clearer.abort();
            drop(clearer.await);
            drop(desk);
        }
        drop(self.parcels);
        self.end.send_replace(true);
        let ended = tokio::task::spawn_blocking(move || {
            drop(self.spooler.join());
            drop(self.deliverer.join());
        });
        drop(tokio::time::timeout(FAREWELL * 2, ended).await);
    }
}

fn thread(
    name: &str,
    run: impl FnOnce(&Handle) + Send + 'static,
) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let runtime = Handle::current();
    let spawned = std::thread::Builder::new().name(name.into()).spawn(move || run(&runtime));
    spawned.with_context(|| format!("cannot start the thread `{name}`"))
}

/// The collector's identity: random, made once, so that its streams keep their names.
fn identity(dir: &Path) -> anyhow::Result<HostId> {
    let path = dir.join("collector.id");
    match fs::read_to_string(&path) {
        Ok(text) => {
            return text.trim().parse().with_context(|| format!("{} holds no identity", path.display()));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("the system gives no random numbers: {e}"))?;
    let id = HostId::from_bytes(bytes);
    let new = path.with_extension("new");
    let write = || {
        let mut file = fs::File::create(&new)?;
        writeln!(file, "{id}")?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(dir)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(id)
}

fn random() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("the system gives no random numbers: {e}"))?;
    Ok(u64::from_le_bytes(bytes))
}
