//! The life of a host's identity: approved of, renamed, revoked and back; over for weeks and back; and one that claims what
//! is not its own.

use crate::prometheus::{metrics, number};
use crate::scene::{PORT, Scene, possible};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use bartizan_e2e::process::{Agent, Server, wait_until};
use bartizan_model::{Epoch, Kind, Lane, Micros, Seq};
use bartizan_pki::files::{HostFiles, load_or_create_authority};
use bartizan_schema::wire_schema;
use bartizan_wire::{Ack, Client, ClientSettings, Compression, Endpoint, Speaker, encode};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn listed(server: &Server, name: &str) -> Value {
    let hosts = server.hosts().unwrap();
    hosts.into_iter().find(|host| host["name"] == name).unwrap_or_else(|| panic!("no host {name}"))
}

fn wait_for_log(agent: &mut Agent, words: &str) {
    wait_until(words, PATIENCE, || Ok(agent.running().unwrap().log_tail().contains(words).then_some(())))
        .unwrap();
}

/// The files of a host's identity, which nothing that a server says may take away.
fn identity(agent: &Agent) -> [Vec<u8>; 2] {
    ["host.key", "ca.pem"].map(|name| fs::read(agent.dir().join("identity").join(name)).unwrap())
}

#[test]
fn a_host_waits_is_let_in_renamed_revoked_and_comes_back_with_all_its_rows() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("life", "", "commit.age_ms = 200\nenrolment.approval = true");
    let before = identity(&scene.agent);
    scene.send(PORT, 40, 0);
    wait_for_log(&mut scene.agent, "waits for approval");
    let host = listed(&scene.server, "web-01");
    assert_eq!((&host["state"], &host["waiting_for"]), (&"waiting".into(), &"it is new".into()), "{host}");
    assert_eq!(scene.server.search_count("").unwrap(), 0);
    scene.server.ask(&["hosts", "approve", "web-01"]).unwrap();
    scene.settle();
    assert_eq!(scene.server.search_count("host:web-01").unwrap(), 40);
    assert_eq!(listed(&scene.server, "web-01")["state"], "online");

    // From the moment on, although the stream is open and the certificate says another name.
    scene.server.ask(&["hosts", "rename", "web-01", "fw-1"]).unwrap();
    scene.send(PORT, 30, 0);
    scene.settle();
    assert_eq!(scene.server.search_count("host:fw-1").unwrap(), 30);

    // Its stream ends at once; it keeps its key and its rows.
    scene.server.ask(&["hosts", "revoke", "fw-1"]).unwrap();
    scene.send(PORT, 20, 0);
    wait_for_log(&mut scene.agent, "this host was revoked");
    assert_eq!(identity(&scene.agent), before);
    let host = listed(&scene.server, "fw-1");
    assert_eq!(host["state"], "revoked");
    assert!(
        host["refused"].as_u64() > Some(0) && host["refused_why"].as_str().unwrap().starts_with("standing:")
    );
    let token = scene.server.token(1).unwrap();
    scene.agent.enrol(Some(&scene.netns), scene.server.front(), &token, "fw-1").unwrap();
    assert_eq!(listed(&scene.server, "fw-1")["state"], "waiting", "the server asks for approval");
    scene.server.ask(&["hosts", "approve", "fw-1"]).unwrap();
    // It would ask again within half a minute.
    scene.agent.stop().unwrap();
    scene.start_agent();
    scene.settle();
    assert_eq!(scene.server.search_count("host:fw-1").unwrap(), 50);
    assert_eq!((scene.server.losses_sum().unwrap(), scene.server.duplicates("").unwrap()), (0, 0));

    // A host that is no more: its rows are there, its name is free, and it is told so.
    scene.server.ask(&["hosts", "retire", "fw-1"]).unwrap();
    scene.send(PORT, 2, 0);
    wait_for_log(&mut scene.agent, "this host was retired");
    assert_eq!(scene.server.search_count("host:fw-1").unwrap(), 50);
    let other = Agent::new(&scene.dir.path().join("other"), "").unwrap();
    let token = scene.server.token(1).unwrap();
    other.enrol(Some(&scene.netns), scene.server.front(), &token, "fw-1").unwrap();
    let states: Vec<_> = scene.server.hosts().unwrap().iter().map(|host| host["state"].clone()).collect();
    assert_eq!(states.len(), 2, "{states:?}");
}

/// Now, and some days before.
#[expect(clippy::disallowed_methods, reason = "certificates are held against the real clock")]
fn days_ago(days: i64) -> Micros {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Micros(i64::try_from(now.as_micros()).unwrap() - days * Micros::DAY)
}

/// Gives a host that does not run the certificate that it would have if it had been away since.
fn away_since(scene: &Scene, days: i64) {
    let authority = load_or_create_authority(scene.server.dir(), days_ago(0)).unwrap();
    let files = HostFiles::new(scene.agent.dir().join("identity"));
    let request = files.load_or_create_key().unwrap().request().unwrap();
    let old = authority.issue_host(&request, "web-01", days_ago(days), 7).unwrap();
    fs::write(scene.agent.dir().join("identity/host.pem"), old.pem).unwrap();
}

#[test]
fn f51_a_certificate_that_is_over_is_renewed_and_one_that_is_long_over_when_somebody_approves() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("over", "", "commit.age_ms = 200");
    scene.send(PORT, 10, 0);
    scene.settle();
    let before = identity(&scene.agent);
    scene.agent.stop().unwrap();
    away_since(&scene, 9);
    scene.start_agent();
    scene.send(PORT, 10, 0);
    scene.settle();
    wait_for_log(&mut scene.agent, "certificate renewed");

    scene.agent.stop().unwrap();
    scene.server.stop().unwrap();
    away_since(&scene, 47);
    let ended = days_ago(40).0;
    let script = format!(
        "import sqlite3; db = sqlite3.connect({:?}); db.execute('UPDATE hosts SET not_after = {ended}'); db.commit()",
        scene.server.dir().join("catalog.db")
    );
    assert!(Command::new("python3").args(["-c", &script]).status().unwrap().success());
    scene.server.start().unwrap();
    scene.start_agent();
    scene.send(PORT, 10, 0);
    wait_for_log(&mut scene.agent, "waits for approval, because its certificate ended more than 30 days ago");
    let host = listed(&scene.server, "web-01");
    assert_eq!(host["state"], "waiting", "{host}");
    scene.server.ask(&["hosts", "approve", "web-01"]).unwrap();
    scene.settle();
    assert_eq!(identity(&scene.agent), before, "the same key all the time");
    assert_eq!((scene.server.losses_sum().unwrap(), scene.server.duplicates("").unwrap()), (0, 0));
}

#[test]
fn f51_an_authority_follows_another_while_hosts_run_and_while_one_is_away() {
    if !possible() {
        return;
    }
    // A third of a minute, and then every certificate is renewed.
    let server = "commit.age_ms = 200\nenrolment.certificate_minutes = 1";
    let mut scene = Scene::new("authority", "", server);
    let status = |scene: &Scene, args: &[&str]| -> Value {
        let text = scene.server.ask(&[&["authority"], args, &["-o", "json"]].concat()).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()[0].clone()
    };
    let away = Agent::new(&scene.dir.path().join("away"), "").unwrap();
    let token = scene.server.token(1).unwrap();
    away.enrol(Some(&scene.netns), scene.server.front(), &token, "away").unwrap();
    // What was made before is good after it.
    let old_token = scene.server.token(1).unwrap();
    let first = status(&scene, &["status"]);
    let begun = status(&scene, &["rotate"]);
    assert_eq!((&begun["pin"], &begun["left"]), (&first["pin"], &2.into()), "{begun}");
    scene.send(PORT, 20, 0);
    let renewed = wait_until("the host to renew", PATIENCE, || {
        let status = status(&scene, &["status"]);
        Ok((status["renewed"] == 1).then_some(status))
    })
    .unwrap();
    assert_eq!(renewed["names"], serde_json::json!(["away"]), "{renewed}");
    let refused = scene.server.ask(&["authority", "finish"]).unwrap_err().to_string();
    assert!(refused.contains("1 hosts have not renewed") && refused.contains("away"), "{refused}");
    let second = status(&scene, &["finish", "--force"]);
    assert_eq!((&second["pin"], &second["next"]), (&begun["next"], &Value::Null));
    // Once more, at once: now nobody who runs has heard of it.
    status(&scene, &["rotate"]);
    let third = status(&scene, &["finish", "--force"]);
    assert!(third["pin"] != second["pin"], "{third}");
    scene.server.stop().unwrap();
    scene.send(PORT, 20, 0);
    scene.server.start().unwrap();
    scene.send(PORT, 20, 0);
    scene.settle();
    assert_eq!(scene.server.search_count("host:web-01").unwrap(), 60);

    // Back after two authorities, with nothing but its key and the first one's certificates.
    let before = identity(&away);
    away.enrol(Some(&scene.netns), scene.server.front(), &old_token, "away").unwrap();
    assert_ne!(identity(&away), before, "it knows the new authority");
    assert_eq!(identity(&away)[0], before[0], "by its old key");
    assert_eq!(listed(&scene.server, "away")["state"], "offline");
    let other = Agent::new(&scene.dir.path().join("other"), "").unwrap();
    other.enrol(Some(&scene.netns), scene.server.front(), &old_token, "other").unwrap();
    assert_eq!((scene.server.losses_sum().unwrap(), scene.server.duplicates("").unwrap()), (0, 0));
}

/// A host that is enrolled by the real agent, and then speaks for itself.
struct Rogue {
    files: HostFiles,
    client: Client,
}

impl Rogue {
    async fn connect(server: &Server, agent: &Agent) -> Self {
        let files = HostFiles::new(agent.dir().join("identity"));
        let own = files.load().unwrap().unwrap();
        let tls = bartizan_pki::agent_client(&own.ca_pem, &own.cert_pem, &own.key_pem).unwrap();
        let at = Endpoint { host: "127.0.0.1".into(), port: server.agents().port() };
        let client = Client::connect(&at, &tls, ClientSettings::default()).await.unwrap();
        Self { files, client }
    }

    /// Sends batches on one stream, and gives what the server says of the last: nothing, if it has it.
    async fn put(&self, batches: &[(u64, Vec<u8>)]) -> Option<String> {
        let speaker = Speaker { version: "1".into(), instance: "rogue".into(), boot: "rogue".into() };
        let (sender, mut acks, committed) = self.client.put(Lane::DISK[0], Epoch(1), &speaker).await.unwrap();
        let last = batches.last().unwrap().0;
        for (seq, ipc) in batches {
            drop(sender.send(Kind::Events, Seq(*seq), 1, &ipc.clone().into(), days_ago(0)).await);
        }
        // One that goes back is refused, whatever is committed by then.
        let in_order = batches.is_sorted_by_key(|(seq, _)| *seq);
        if in_order && committed >= Seq(last) {
            return None;
        }
        loop {
            match acks.next().await.unwrap() {
                Some(Ack::Refused { reason, .. }) => return Some(reason),
                Some(Ack::Committed(Seq(seq))) if in_order && seq >= last => return None,
                Some(Ack::Committed(_)) => {}
                None => panic!("the stream ended"),
            }
        }
    }
}

/// One event, perhaps with a column more.
pub(crate) fn event(more: Option<(&str, ArrayRef)>) -> Vec<u8> {
    let all = wire_schema(Kind::Events);
    let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
    for field in all.fields().iter().filter(|field| !field.is_nullable()) {
        let column: ArrayRef = match field.data_type() {
            DataType::Timestamp(..) => {
                Arc::new(TimestampMicrosecondArray::from(vec![days_ago(0).0]).with_timezone("UTC"))
            }
            DataType::Int64 => Arc::new(Int64Array::from(vec![1])),
            DataType::Dictionary(..) => {
                Arc::new([Some("nflog")].into_iter().collect::<DictionaryArray<Int32Type>>())
            }
            other => panic!("a column of {other} that must be there"),
        };
        columns.push((field.as_ref().clone(), column));
    }
    if let Some((name, column)) = more {
        columns.push((Field::new(name, column.data_type().clone(), true), column));
    }
    let (fields, columns): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    encode(&RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap(), Compression::None).unwrap()
}

#[test]
fn whose_rows_they_are_cannot_be_forged_and_who_tries_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), "commit.age_ms = 100").unwrap();
    server.start().unwrap();
    let enrolled = |name: &str| {
        let agent = Agent::new(&dir.path().join(name), "").unwrap();
        agent.enrol(None, server.front(), &server.token(1).unwrap(), name).unwrap();
        agent
    };
    let (good, bad) = (enrolled("good"), enrolled("bad"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let victim = Rogue::connect(&server, &good).await;
        assert_eq!(victim.put(&[(1, event(None))]).await, None);

        let rogue = Rogue::connect(&server, &bad).await;
        // Another's name in a batch.
        let name: ArrayRef = Arc::new(StringArray::from(vec!["good"]));
        let said = rogue.put(&[(1, event(Some(("host", name))))]).await.unwrap();
        assert!(said.contains("`host` is not one that a sender may fill"), "{said}");
        // Another's certificate: a request that is signed by the other's key, as it can be overheard nowhere.
        let others = victim.files.load_or_create_key().unwrap();
        let said = rogue.client.renew(&others, "1").await.unwrap_err().to_string();
        assert!(said.contains("for another key than this host's"), "{said}");
        // Another's batch, byte for byte: it is the sender's own, as its certificate says, and once.
        assert_eq!(rogue.put(&[(1, event(None))]).await, None);
        assert_eq!(rogue.put(&[(1, event(None))]).await, None);
        let said = rogue.put(&[(3, event(None)), (2, event(None))]).await.unwrap();
        assert!(said.contains("out of order"), "{said}");
        // Bytes that are no batch: the offsets of a text run backwards.
        let letters = "q".repeat(77);
        let text: DictionaryArray<Int32Type> = [Some(letters.as_str())].into_iter().collect();
        let mut torn = event(Some(("prefix", Arc::new(text))));
        let at = torn.windows(8).position(|w| w == [0, 0, 0, 0, 77, 0, 0, 0]).expect("the offsets of a text");
        torn[at..at + 4].copy_from_slice(&78_i32.to_le_bytes());
        let said = rogue.put(&[(9, torn)]).await.unwrap();
        assert!(said.contains("not an arrow batch"), "{said}");
    });
    let (good, bad) = (listed(&server, "good"), listed(&server, "bad"));
    assert_eq!((&good["refused"], &bad["refused"]), (&0.into(), &4.into()), "{bad}");
    assert!(bad["refused_why"].as_str().unwrap().starts_with("malformed: "), "{bad}");
    let page = metrics(&server, None);
    for (reason, n) in [("identity", 2.0), ("order", 1.0), ("malformed", 1.0), ("standing", 0.0)] {
        let sample = format!("bartizan_refused_total{{of=\"host\",reason=\"{reason}\"}} ");
        assert_eq!(number(&page, &sample), Some(n), "{reason}");
    }
    assert_eq!(number(&page, "bartizan_host_refused_total{host=\"bad\"} "), Some(4.0));
    wait_until("the rows of both", PATIENCE, || {
        Ok(((server.search_count("host:good")?, server.search_count("host:bad")?) == (1, 2)).then_some(()))
    })
    .unwrap();
    assert_eq!(server.search_count("").unwrap(), 3, "and nothing of anybody else");
    assert!(Path::new(&dir.path().join("bad/identity/host.key")).exists());
}
