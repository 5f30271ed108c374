//! A fleet of one server, its sink in memory, and proxies that misbehave.

use arrow_array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch,
    TimestampMicrosecondArray, types::Int32Type,
};
use arrow_flight::flight_service_server::FlightServiceServer;
use arrow_schema::Schema;
use async_trait::async_trait;
use bartizan_model::{Epoch, HostId, Kind, Lane, Micros, Seq, StreamId};
use bartizan_pki::{
    Authority, HostKey, HostTrust, JoinToken, ServerCertificate, agent_client, agent_server, front_server,
};
use bartizan_schema::wire_schema;
use bartizan_wire::*;
use bytes::Bytes;
use rustls::ClientConfig;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tonic::service::Routes;

pub(crate) const EPOCH: Epoch = Epoch(7);
pub(crate) const LANE: Lane = Lane::DISK[0];

/// The tests' clock: real, because the TLS library checks certificates against it.
#[expect(clippy::disallowed_methods)]
pub(crate) fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Micros(i64::try_from(since.as_micros()).unwrap())
}

/// The process that sends.
pub(crate) fn t() -> Speaker {
    Speaker { version: "t".into(), instance: "one".into(), boot: "boot".into() }
}

/// Rows of `events` with different values in each, and one column without any.
pub(crate) fn rows(n: usize) -> RecordBatch {
    let text = |f: fn(usize) -> String| -> ArrayRef {
        let texts: Vec<String> = (0..n).map(f).collect();
        Arc::new(texts.iter().map(|t| Some(t.as_str())).collect::<DictionaryArray<Int32Type>>())
    };
    let address = |salt: u8| -> ArrayRef {
        let one = |i: usize| {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, salt, (i >> 16) as u8, (i >> 8) as u8, i as u8]
        };
        Arc::new(FixedSizeBinaryArray::try_from_iter((0..n).map(one)).unwrap())
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values(0..n as i64).with_timezone("UTC"))),
        ("source", text(|_| "nflog".into())),
        ("prefix", text(|i| format!("rule {i} drop: "))),
        ("family", text(|i| if i % 2 == 0 { "ip" } else { "ip6" }.into())),
        ("src", address(10)),
        ("dst", address(11)),
        ("dport", Arc::new((0..n).map(|i| (i % 3 > 0).then_some(i as i32)).collect::<Int32Array>())),
        ("mark", Arc::new(Int64Array::new_null(n))),
        ("packets", Arc::new(Int64Array::from_value(1, n))),
    ];
    let all = wire_schema(Kind::Events);
    let fields: Vec<_> = columns.iter().map(|(n, _)| all.field_with_name(n).unwrap().clone()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, c)| c).collect())
        .unwrap()
}

pub(crate) fn ipc(n: usize) -> Bytes {
    encode(&rows(n), Compression::Zstd).unwrap().into()
}

/// What the sink answers to the next batches.
pub(crate) type Answer = Arc<Mutex<Option<Refusal>>>;

/// A lake in memory: takes a batch once, knows it the second time, commits at once or when told.
pub(crate) struct MemorySink {
    pub(crate) taken: Mutex<Vec<(StreamId, Seq, RecordBatch)>>,
    pub(crate) duplicates: AtomicUsize,
    pub(crate) commit_at_once: AtomicBool,
    pub(crate) refuse: Answer,
    pub(crate) told: Mutex<Vec<Told>>,
    accepted: Mutex<BTreeMap<StreamId, Seq>>,
    marks: Mutex<BTreeMap<StreamId, Seq>>,
    commits: watch::Sender<u64>,
}

impl MemorySink {
    fn new() -> Self {
        Self {
            taken: Mutex::default(),
            duplicates: AtomicUsize::new(0),
            commit_at_once: AtomicBool::new(true),
            refuse: Answer::default(),
            told: Mutex::default(),
            accepted: Mutex::default(),
            marks: Mutex::default(),
            commits: watch::Sender::new(0),
        }
    }

    pub(crate) fn commit(&self) {
        let accepted = self.accepted.lock().unwrap().clone();
        *self.marks.lock().unwrap() = accepted;
        self.commits.send_modify(|n| *n += 1);
    }

    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.taken.lock().unwrap().iter().map(|(_, seq, _)| seq.0).collect()
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn resume(&self, stream: StreamId) -> Result<Seq, Refusal> {
        Ok(self.committed(&stream))
    }

    async fn accept(&self, peer: &Peer, batch: IncomingBatch) -> Result<(), Refusal> {
        assert_eq!(peer.host, batch.id.stream.host);
        if let Some(refusal) = self.refuse.lock().unwrap().clone() {
            return Err(refusal);
        }
        {
            let mut accepted = self.accepted.lock().unwrap();
            let mark = accepted.entry(batch.id.stream).or_default();
            if batch.id.seq <= *mark {
                self.duplicates.fetch_add(1, Ordering::Relaxed);
            } else {
                *mark = batch.id.seq;
                self.taken.lock().unwrap().push((batch.id.stream, batch.id.seq, batch.batch));
            }
        }
        if self.commit_at_once.load(Ordering::Relaxed) {
            self.commit();
        }
        Ok(())
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    fn committed(&self, stream: &StreamId) -> Seq {
        self.marks.lock().unwrap().get(stream).copied().unwrap_or_default()
    }

    fn told(&self, _peer: &Peer, told: Told) {
        self.told.lock().unwrap().push(told);
    }
}

/// Lets everyone in until told otherwise; one token, one use.
pub(crate) struct Door {
    pub(crate) authority: Authority,
    pub(crate) token: JoinToken,
    pub(crate) uses: AtomicUsize,
    pub(crate) expired: AtomicBool,
    pub(crate) revoked: AtomicBool,
    pub(crate) take_over: watch::Sender<bool>,
    pub(crate) offences: Mutex<Vec<Offence>>,
    pub(crate) offered: Mutex<Offer>,
    pub(crate) offers: watch::Sender<u64>,
    pub(crate) configured: Mutex<Vec<Configured>>,
}

impl Door {
    /// Offers other parts from now on.
    pub(crate) fn say(&self, versions: &[u64]) {
        let part =
            |version: &u64| Part { version: *version, target: "*".into(), text: "groups = [5]".into() };
        *self.offered.lock().unwrap() = Offer { parts: versions.iter().map(part).collect() };
        self.offers.send_modify(|n| *n += 1);
    }

    fn issue(&self, request: &[u8], name: &str) -> Result<(HostId, Enrolled), Refusal> {
        let cert = self
            .authority
            .issue_host(request, name, now(), 7)
            .map_err(|e| Refusal::permanent(e.to_string()))?;
        let enrolled = Enrolled {
            name: name.into(),
            cert_pem: cert.pem,
            ca_pem: self.authority.cert_pem(),
            not_after: cert.not_after,
            server_time: now(),
            agent_port: 8444,
            waiting: false,
        };
        Ok((cert.host, enrolled))
    }
}

#[async_trait]
impl Admission for Door {
    async fn admit(&self, peer: &Peer) -> Result<String, Refusal> {
        if self.revoked.load(Ordering::Relaxed) {
            return Err(Refusal::denied(format!("host {} is revoked", peer.name)));
        }
        if peer.cert_not_after < now() {
            return Err(Refusal::expired("its certificate has expired"));
        }
        Ok(peer.name.clone())
    }

    fn claim(&self, _peer: &Peer, speaker: Speaker) -> Result<Claim, Refusal> {
        if speaker.instance == "clone" {
            return Err(Refusal::retry("a clone?"));
        }
        let lost = self.take_over.subscribe();
        Ok(Claim { lost, held: Box::new(speaker) })
    }

    fn spread(&self) -> Duration {
        spread_of(10_000)
    }

    async fn enrol(&self, _from: SocketAddr, e: Enrolment) -> Result<Enrolled, Refusal> {
        if e.token != self.token.secret_hash() {
            return Err(Refusal::denied("unknown token"));
        }
        if self.expired.load(Ordering::Relaxed) {
            return Err(Refusal::denied("the token has expired"));
        }
        let one_less = |uses: usize| uses.checked_sub(1);
        if self.uses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            return Err(Refusal::denied("the token is used up"));
        }
        self.issue(&e.request, &e.name).map(|(_, e)| e)
    }

    async fn renew(&self, peer: &Peer, request: Vec<u8>, _agent: String) -> Result<Enrolled, Refusal> {
        let (host, enrolled) = self.issue(&request, &peer.name)?;
        if host != peer.host { Err(Refusal::permanent("not the same key")) } else { Ok(enrolled) }
    }

    fn refused(&self, _peer: &Peer, offence: Offence, _why: &str) {
        self.offences.lock().unwrap().push(offence);
    }

    fn offers(&self) -> Option<watch::Receiver<u64>> {
        Some(self.offers.subscribe())
    }

    fn offer(&self, _peer: &Peer) -> Offer {
        self.offered.lock().unwrap().clone()
    }

    fn configured(&self, _peer: &Peer, configured: Configured) {
        self.configured.lock().unwrap().push(configured);
    }
}

pub(crate) struct Server {
    pub(crate) sink: Arc<MemorySink>,
    pub(crate) door: Arc<Door>,
    pub(crate) front: SocketAddr,
    pub(crate) agents: SocketAddr,
    /// Of the agents' port.
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: tokio::task::JoinHandle<()>,
    pub(crate) settings: ClientSettings,
}

pub(crate) async fn server() -> Server {
    server_with(Limits::default(), ListenSettings::default()).await
}

pub(crate) async fn server_with(limits: Limits, listen: ListenSettings) -> Server {
    let authority = Authority::create(Micros(now().0 - 30 * Micros::DAY)).unwrap();
    let issued = authority.issue_server(&["127.0.0.1".into(), "localhost".into()], now(), 90).unwrap();
    let own = ServerCertificate::new(&issued.chain_pem, &issued.key_pem).unwrap();
    let front_tls = Arc::new(front_server(Arc::clone(&own)).unwrap());
    let agents_tls =
        Arc::new(agent_server(own, HostTrust::new(&[authority.cert_der().clone()]).unwrap()).unwrap());
    let token = JoinToken::random(authority.pin()).unwrap();
    let door = Arc::new(Door {
        authority,
        token,
        uses: AtomicUsize::new(1),
        expired: AtomicBool::new(false),
        revoked: AtomicBool::new(false),
        take_over: watch::Sender::new(false),
        offences: Mutex::default(),
        offered: Mutex::default(),
        offers: watch::Sender::new(0),
        configured: Mutex::default(),
    });
    let sink = Arc::new(MemorySink::new());
    let (stop, stopping) = watch::channel(false);
    let bind = || TcpListener::bind("127.0.0.1:0");
    let (front, agents) = (bind().await.unwrap(), bind().await.unwrap());
    let (front_at, agents_at) = (front.local_addr().unwrap(), agents.local_addr().unwrap());
    let admit_every = Some(Duration::from_millis(50));
    let service = agent_service(Arc::clone(&sink), Arc::clone(&door), limits, admit_every, stopping.clone());
    let enrolment = Routes::new(FlightServiceServer::new(front_service(Arc::clone(&door))));
    let arrivals = Arc::<Arrivals>::default();
    let (at_front, at_agents) = (Arc::default(), Arc::clone(&arrivals));
    let task = tokio::spawn(async move {
        tokio::join!(
            serve(front, front_tls, enrolment, listen, Arc::clone(&at_front), stopping.clone()),
            serve(agents, agents_tls, service, listen, at_agents, stopping),
        );
    });
    let settings = ClientSettings::default();
    Server { sink, door, front: front_at, agents: agents_at, arrivals, stop, task, settings }
}

pub(crate) fn at(address: SocketAddr) -> Endpoint {
    Endpoint { host: address.ip().to_string(), port: address.port() }
}

impl Server {
    pub(crate) fn host(&self) -> ClientConfig {
        self.host_of(&self.door.authority, now())
    }

    /// A host with a certificate of some authority, who trusts this server.
    pub(crate) fn host_of(&self, authority: &Authority, from: Micros) -> ClientConfig {
        let key = HostKey::generate().unwrap();
        let cert = authority.issue_host(&key.request().unwrap(), "web-1", from, 7).unwrap();
        agent_client(&self.door.authority.cert_pem(), &cert.pem, &key.reveal_pem()).unwrap()
    }

    pub(crate) async fn connect(&self, tls: &ClientConfig) -> Client {
        Client::connect(&at(self.agents), tls, self.settings).await.unwrap()
    }
}

/// A TCP proxy whose connections carry only so many bytes, then are cut, or swallow everything.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) up: Arc<AtomicUsize>,
    pub(crate) down: Arc<AtomicUsize>,
    pub(crate) hole: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (up, down) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicUsize::new(usize::MAX)));
        let hole = watch::Sender::new(false);
        let (for_up, for_down, holes) = (Arc::clone(&up), Arc::clone(&down), hole.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(target).await.unwrap();
                // A connection made later is not in the hole.
                let swallow =
                    if *holes.borrow() { watch::Sender::new(false).subscribe() } else { holes.subscribe() };
                let (up, down) = (for_up.load(Ordering::Relaxed), for_down.load(Ordering::Relaxed));
                tokio::spawn(async move {
                    let (near_read, near_write) = near.into_split();
                    let (far_read, far_write) = far.into_split();
                    // When one direction ends, both are cut.
                    tokio::select! {
                        () = carry(near_read, far_write, up, swallow.clone()) => {}
                        () = carry(far_read, near_write, down, swallow) => {}
                    }
                });
            }
        });
        Self { address, up, down, hole }
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut left: usize,
    hole: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 4096];
    while left > 0 {
        let most = buffer.len().min(left);
        let Ok(n @ 1..) = from.read(&mut buffer[..most]).await else { return };
        if *hole.borrow() {
            continue;
        }
        left -= n;
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
