//! A server with somebody who is signed in and a host that sends, as long as a test goes on.

use super::talk::{Answer, Tls, dial, request, say, shake};
use crate::identity::event;
use bartizan_e2e::process::{Agent, Server, allow_files, wait_until};
use bartizan_model::{Epoch, Kind, Lane, Micros, Seq};
use bartizan_pki::files::HostFiles;
use bartizan_pki::{agent_client, pinned_client};
use bartizan_wire::{Ack, Client, ClientSettings, Endpoint, PutAcks, PutSender, Speaker};
use rustls::ClientConfig;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// For what has to happen at some time.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Limits that are waited for are short here.
const SETTINGS: &str = "commit.age_ms = 50\nconnections.handshake_seconds = 2\nconnections.stall_seconds = 2";
/// Where honest people are.
pub(super) const HOME: &str = "127.0.0.1";

pub(super) struct Site {
    pub(super) server: Server,
    pub(super) token: String,
    pub(super) session: String,
    /// Of the front port, by HTTP/1 and HTTP/2.
    pub(super) front: [Arc<ClientConfig>; 2],
    pid: u32,
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    host: Option<JoinHandle<()>>,
    agent: Agent,
    _dir: tempfile::TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        allow_files(16_000).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::new(&dir.path().join("server"), SETTINGS).unwrap();
        server.start().unwrap();
        let pid = server.running().unwrap().id();
        let read = |name: &str| fs::read_to_string(server.dir().join(name)).unwrap();
        let (ca, token) = (read("ca.pem"), read("admin.token").trim().to_owned());
        let front = [&b"http/1.1"[..], b"h2"].map(|protocol| {
            let mut tls = pinned_client(&ca).unwrap();
            tls.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(tls)
        });
        let (sent, stop) = <(Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let agent = Agent::new(&dir.path().join("agent"), "").unwrap();
        agent.enrol(None, server.front(), &server.token(1).unwrap(), "steady").unwrap();
        let (session, host) = (String::new(), None);
        let mut site = Self { server, token, session, front, pid, sent, stop, host, agent, _dir: dir };
        site.session = site.sign_in();
        let (sent, stop) = (Arc::clone(&site.sent), Arc::clone(&site.stop));
        let connecting = site.connect();
        site.host = Some(thread::spawn(move || send(connecting, &sent, &stop)));
        site
    }

    /// A connection to the front port, by HTTP/1.
    pub(super) fn open(&self, from: &str) -> Tls {
        shake(&self.front[0], dial(self.server.front(), from)).unwrap()
    }

    /// The same by HTTP/2.
    pub(super) fn open_h2(&self, from: &str) -> Tls {
        shake(&self.front[1], dial(self.server.front(), from)).unwrap()
    }

    /// Asks once, on a connection of its own.
    pub(super) fn ask(&self, from: &str, bytes: &[u8]) -> Answer {
        let mut answers = say(&mut self.open(from), bytes);
        assert_eq!(
            answers.len(),
            1,
            "{answers:?} to {}",
            String::from_utf8_lossy(&bytes[..60.min(bytes.len())])
        );
        answers.remove(0)
    }

    fn sign_in(&self) -> String {
        let body = format!(r#"{{"token":"{}"}}"#, self.token);
        let headers = [("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        let answer = self.ask(HOME, &request("POST", "/api/v1/session", &headers, body.as_bytes()));
        assert_eq!(answer.status, 204, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        for part in ["__Host-", "Secure", "HttpOnly", "SameSite=", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        cookie.split(';').next().unwrap().to_owned()
    }

    /// The host's connection, and a stream of it.
    fn connect(&self) -> impl Future<Output = Stream> + Send + use<> {
        let identity = HostFiles::new(self.agent.dir().join("identity")).load().unwrap().unwrap();
        let tls = agent_client(&identity.ca_pem, &identity.cert_pem, &identity.key_pem).unwrap();
        let endpoint = Endpoint::parse(&self.server.agents().to_string(), 0).unwrap();
        let speaker = Speaker { version: "1".into(), ..Speaker::default() };
        async move {
            let client = Client::connect(&endpoint, &tls, ClientSettings::default()).await.unwrap();
            client.put(Lane::DISK[0], Epoch(1), &speaker).await.unwrap()
        }
    }

    /// Who was in before is well, and who comes anew gets in: somebody with a session is answered, the host's rows arrive,
    /// and it gets a second connection.
    pub(super) fn is_well(&self, from: &str) {
        let headers = [("cookie", self.session.as_str()), ("sec-fetch-site", "same-origin")];
        let answer = self.ask(from, &request("GET", "/api/v1/session", &headers, b""));
        assert_eq!(answer.status, 200, "{answer:?}");
        drop(runtime().block_on(self.connect()));
        let before = self.sent.load(Ordering::Relaxed);
        wait_until("the host's rows to arrive", PATIENCE, || {
            assert!(!self.host.as_ref().unwrap().is_finished(), "its stream has ended");
            Ok((self.sent.load(Ordering::Relaxed) > before + 1).then_some(()))
        })
        .unwrap();
    }

    /// Megabytes of memory that the server has in use.
    pub(super) fn megabytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Connections that a port turned away, by reason.
    pub(super) fn turned_away(&self, port: &str, reason: &str) -> u64 {
        let token = format!("Bearer {}", self.token);
        let answer = self.ask(HOME, &request("GET", "/api/v1/metrics", &[("authorization", &token)], b""));
        let page = String::from_utf8(answer.body).unwrap();
        let sample = format!("bartizan_connections_refused_total{{port=\"{port}\",reason=\"{reason}\"}} ");
        page.lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok()).unwrap()
    }

    /// The host stops; all that it sent is there once.
    pub(super) fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.host.take().unwrap().join().unwrap();
        let sent = self.sent.load(Ordering::Relaxed);
        assert_eq!(self.server.search_count("host:steady").unwrap(), sent);
        assert_eq!(self.server.losses_sum().unwrap(), 0);
        self.server.stop().unwrap();
    }
}

type Stream = (PutSender, PutAcks, Seq);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Sends a row after the other over one stream, each when the one before is committed.
fn send(connecting: impl Future<Output = Stream>, sent: &AtomicU64, stop: &AtomicBool) {
    let batch = event(None).into();
    runtime().block_on(async {
        let (sender, mut acks, mut seq) = connecting.await;
        while !stop.load(Ordering::Relaxed) {
            seq = seq.next();
            sender.send(Kind::Events, seq, 1, &batch, Micros(0)).await.unwrap();
            let ack = tokio::time::timeout(PATIENCE, acks.next()).await;
            assert_eq!(ack.expect("an acknowledgement").unwrap(), Some(Ack::Committed(seq)));
            sent.store(seq.0, Ordering::Relaxed);
        }
    });
}
