//! A lake in S3: a real service (moto) behind a proxy that fails as services do (fault F42).

use crate::support::{NOW, append, batch_id, expected, keys, options, stream};
use bartizan_lake::{Append, ErrorKind, Lease, LeaseError, Problem, S3, S3Credentials, Table};
use bartizan_model::{Kind, Seq};
use object_store::ObjectStore;
use object_store::path::Path;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the service fails once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// `503 SlowDown`, and nothing is done.
    Busy,
    /// It is done, and answered with `503`.
    BusyAfter,
    /// It is done, and never answered.
    Silent,
    /// `403`, as for credentials that have ended.
    Denied,
}

/// Failures of puts whose name holds a text, in turn.
type Plan = Arc<Mutex<VecDeque<(&'static str, Failure)>>>;

/// When whoever asks dies, as the service sees it: nothing of it comes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Lives,
    /// Before the put of this number from now on, or after it.
    Dies {
        at: usize,
        after: bool,
    },
    Dead,
}

/// A service with a bucket of its own. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    address: SocketAddr,
    plan: Plan,
    life: Arc<Mutex<Life>>,
}

impl Service {
    pub(crate) fn start() -> Self {
        // target/release/deps/lake-...
        let exe = std::env::current_exe().unwrap();
        let python: PathBuf = exe.ancestors().nth(3).unwrap().join("python/bin/python");
        assert!(python.exists(), "{} is missing: `cargo xtask python` makes it", python.display());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/python/s3.py");
        let mut child =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let service = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, plan) = (listener.local_addr().unwrap(), Plan::default());
        let life = Arc::new(Mutex::new(Life::Lives));
        let shared = (Arc::clone(&plan), Arc::clone(&life));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (plan, life) = shared.clone();
                std::thread::spawn(move || drop(forward(client, service, &plan, &life)));
            }
        });
        Self { child, address, plan, life }
    }

    fn settings(&self, prefix: &str) -> S3 {
        S3 {
            bucket: "lake".into(),
            prefix: Path::from(prefix),
            endpoint: Some(format!("http://{}", self.address)),
            region: "us-east-1".into(),
            credentials: S3Credentials::Static { key: "key".into(), secret: "secret".into(), token: None },
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        // a request that is not answered is given up soon, for the test's sake
        self.settings("some/where").store_with(Duration::from_secs(20), Duration::from_secs(3)).unwrap()
    }

    /// As [`Service::store`], elsewhere, for somebody whose requests are soon given up.
    fn store_at(&self, prefix: &str) -> Arc<dyn ObjectStore> {
        self.settings(prefix).store_with(Duration::from_millis(500), Duration::from_secs(3)).unwrap()
    }

    fn lives(&self, life: Life) {
        *self.life.lock().unwrap() = life;
    }

    fn fail(&self, failures: &[(&'static str, Failure)]) {
        self.plan.lock().unwrap().extend(failures);
    }

    fn failed_all(&self) -> bool {
        self.plan.lock().unwrap().is_empty()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request of a client, and its answer.
fn forward(
    mut client: TcpStream,
    service: SocketAddr,
    plan: &Plan,
    life: &Mutex<Life>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut part = [0; 65_536];
    let head = loop {
        if let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        let n = client.read(&mut part)?;
        if n == 0 {
            return Ok(());
        }
        request.extend_from_slice(&part[..n]);
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
    });
    while request.len() < head + length.unwrap_or(0_usize) {
        let n = client.read(&mut part)?;
        request.extend_from_slice(&part[..n]);
    }
    let last = {
        let mut life = life.lock().unwrap();
        match *life {
            Life::Dead => return Ok(()),
            Life::Dies { at: 1, after: false } if text.starts_with("PUT ") => {
                *life = Life::Dead;
                return Ok(());
            }
            Life::Dies { at, after } if text.starts_with("PUT ") => {
                *life = Life::Dies { at: at - 1, after };
                at == 1
            }
            _ => false,
        }
    };
    let failure = failure(&text, plan);
    let refusal = match failure {
        Some(Failure::Busy) => Some(("503 Slow Down", "SlowDown")),
        Some(Failure::Denied) => Some(("403 Forbidden", "ExpiredToken")),
        _ => None,
    };
    if let Some((status, code)) = refusal {
        return answer(&mut client, status, code);
    }
    let mut upstream = TcpStream::connect(service)?;
    upstream.write_all(&request)?;
    let mut response = Vec::new();
    upstream.read_to_end(&mut response)?;
    if last {
        *life.lock().unwrap() = Life::Dead;
        return Ok(());
    }
    match failure {
        Some(Failure::BusyAfter) => answer(&mut client, "503 Service Unavailable", "InternalError"),
        // Until the client gives up.
        Some(Failure::Silent) => client.read(&mut part).map(drop),
        _ => client.write_all(&response),
    }
}

fn failure(head: &str, plan: &Plan) -> Option<Failure> {
    let line = head.lines().next().filter(|line| line.starts_with("PUT "))?;
    let mut plan = plan.lock().unwrap();
    let (_, failure) = plan.pop_front_if(|(name, _)| line.contains(*name))?;
    Some(failure)
}

fn answer(client: &mut TcpStream, status: &str, code: &str) -> std::io::Result<()> {
    let body = format!("<Error><Code>{code}</Code><Message>made up</Message></Error>");
    write!(client, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn open(service: &Service) -> Table {
    Table::open(service.store(), Kind::Events, options(), NOW).await.unwrap()
}

/// All rows of so many batches, once, and nothing else, for whoever opens the table now.
async fn holds(service: &Service, batches: u64) {
    let table = open(service).await;
    assert_eq!(table.committed(&stream(1)), Seq(batches));
    assert_eq!(keys(&table).await, expected(&[(1, batches)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_service_is_asked_again() {
    let service = Service::start();
    let table = open(&service).await;
    service.fail(&[("part-", Failure::Busy), ("part-", Failure::Busy), ("_delta_log", Failure::Busy)]);
    assert_eq!(append(&table, batch_id(1, 1)), Append::Appended);
    table.commit(NOW).await.unwrap().unwrap();
    assert!(service.failed_all());
    holds(&service, 1).await;
    assert_eq!(table.verify(true).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_and_answered_with_an_error_is_done_once() {
    let service = Service::start();
    let table = open(&service).await;
    for (seq, at) in [(1, "_delta_log"), (2, "part-")] {
        service.fail(&[(at, Failure::BusyAfter)]);
        append(&table, batch_id(1, seq));
        // whether this commit says so or the next one
        while table.committed(&stream(1)) < Seq(seq) {
            let _ = table.commit(NOW).await;
        }
        assert!(service.failed_all());
        assert_eq!(table.hot().batches, 0);
        holds(&service, seq).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_and_never_answered_is_done_once() {
    let service = Service::start();
    let table = open(&service).await;
    append(&table, batch_id(1, 1));
    service.fail(&[("_delta_log", Failure::Silent)]);
    let error = table.commit(NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error:?}");
    assert_eq!(table.committed(&stream(1)), Seq(0), "nobody may be told what is not known");
    assert_eq!(keys(&table).await, expected(&[(1, 1)]));
    append(&table, batch_id(1, 2));
    table.commit(NOW).await.unwrap().unwrap();
    holds(&service, 2).await;
    assert_eq!(table.verify(true).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_end_stop_commits_and_lose_nothing() {
    let service = Service::start();
    let table = open(&service).await;
    append(&table, batch_id(1, 1));
    service.fail(&[("part-", Failure::Denied)]);
    let error = table.commit(NOW).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().starts_with("cannot write `events/date="), "{error}");
    assert!(cause.contains("lacked the necessary privileges"), "{cause}");
    assert_eq!((error.kind(), table.hot().batches), (ErrorKind::Retry, 1));
    table.commit(NOW).await.unwrap().unwrap();
    holds(&service, 1).await;

    service.fail(&[("_delta_log", Failure::Denied)]);
    let refused = Table::open(service.store(), Kind::Losses, options(), NOW).await.unwrap_err();
    assert!(refused.to_string().starts_with("cannot write `losses/_delta_log"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_at_a_time_holds_the_lease() {
    let service = Service::start();
    S3::check(&*service.store()).await.unwrap();
    let term = Duration::from_secs(6);
    let take = |owner: &'static str| Lease::take_within(service.store(), owner, owner, term);
    let mut first = take("first").await.unwrap();
    let renewing = tokio::spawn(async move {
        for _ in 0..6 {
            tokio::time::sleep(term / 12).await;
            first.renew().await.unwrap();
        }
        first
    });
    assert!(matches!(take("second").await, Err(LeaseError::InUse { machine }) if machine == "first"));
    let mut first = renewing.await.unwrap();
    // a renewal that was done and not answered is one's own
    service.fail(&[("_writer", Failure::Silent)]);
    assert!(matches!(first.renew().await, Err(LeaseError::Store { .. })));
    first.renew().await.unwrap();
    first.release().await.unwrap();
    let mut second = take("second").await.unwrap();
    second.renew().await.unwrap();
}

/// As `crash.rs` does on a disk: the process ends before and after each thing that it puts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_at_any_put_leaves_a_whole_lake() {
    let service = Service::start();
    // two commits and a checkpoint, of two objects each
    for (at, after) in (1..=6).flat_map(|at| [(at, false), (at, true)]) {
        service.lives(Life::Lives);
        let place = format!("dies-{at}-{after}");
        let open =
            async || Table::open(service.store_at(&place), Kind::Events, options(), NOW).await.unwrap();
        let table = open().await;
        append(&table, batch_id(1, 1));
        table.commit(NOW).await.unwrap().unwrap();
        service.lives(Life::Dies { at, after });
        append(&table, batch_id(1, 2));
        append(&table, batch_id(1, 3));
        let _ = table.commit(NOW).await;
        let _ = table.checkpoint().await;
        append(&table, batch_id(1, 4));
        let _ = table.commit(NOW).await;
        assert_eq!(*service.life.lock().unwrap(), Life::Dead, "{place}: it was to die");
        let acknowledged = table.committed(&stream(1));
        drop(table);

        service.lives(Life::Lives);
        let table = open().await;
        let known = table.committed(&stream(1));
        assert!(known >= acknowledged, "{place}: L2");
        for seq in known.0 + 1..=4 {
            assert_eq!(append(&table, batch_id(1, seq)), Append::Appended, "{place}");
        }
        table.commit(NOW).await.unwrap();
        assert_eq!(keys(&open().await).await, expected(&[(1, 4)]), "{place}");
        let problems = table.verify(true).await.unwrap();
        assert!(problems.iter().all(|p| matches!(p, Problem::Unnamed { .. })), "{place}: {problems:?}");
    }
}
