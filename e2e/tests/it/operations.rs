//! Every operation of the API, over TLS, as its description names them.

use bartizan_e2e::process::{Server, binaries};
use bartizan_e2e::python::Script;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

struct Scene {
    server: Server,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = format!("commit.age_ms = 100\n{settings}");
        let mut server = Server::new(&dir.path().join("server"), &settings).unwrap();
        server.start().unwrap();
        Self { server, dir }
    }

    fn import(&self, name: &str, rows: u32, dport: u16) {
        let file = self.dir.path().join(name);
        fs::write(&file, lines(name, rows, dport)).unwrap();
        self.server.ask(&["import", "-q", file.to_str().unwrap()]).unwrap();
    }

    fn file(&self, name: &str) -> String {
        self.server.dir().join(name).display().to_string()
    }

    fn script(&self, what: &str, more: &[&str]) -> Script {
        let (address, ca, token) =
            (self.server.front().to_string(), self.file("ca.pem"), self.file("admin.token"));
        let mut args = vec![what, &address, &ca, &token];
        args.extend(more);
        Script::start("operations.py", &args).unwrap()
    }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json")
}

fn lines(name: &str, rows: u32, dport: u16) -> String {
    let mut text = String::new();
    for n in 0..rows {
        let (minute, second) = (n / 60 % 60, n % 60);
        writeln!(
            text,
            "2026-03-04T05:{minute:02}:{second:02}.000000+00:00 {name} kernel: [{n:>5}.000000] IN-DROP: IN=eth0 OUT= \
             MAC=02:00:00:00:00:02:02:00:00:00:00:01:08:00 SRC=198.51.{}.{} DST=203.0.113.5 LEN=60 TOS=0x00 PREC=0x00 \
             TTL=64 ID={} DF PROTO=TCP SPT={} DPT={dport} WINDOW=64240 RES=0x00 SYN URGP=0",
            n / 256 % 256,
            n % 256,
            n % 65_536,
            n % 60_000 + 1024,
        )
        .unwrap();
    }
    text
}

#[test]
fn each_operation_answers_what_is_right_and_refuses_what_is_not() {
    let scene = Scene::new("");
    scene.import("gw-1", 500, 22);
    let folder = scene.dir.path().join("backup").display().to_string();
    let said = scene.script("walk", &[document().to_str().unwrap(), &folder]).finish().unwrap();
    assert!(said.len() > 45, "{said:?}");
    assert!(Path::new(&folder).exists(), "a backup was made");
}

#[test]
fn what_is_asked_wrongly_is_refused_with_its_place_and_what_to_do() {
    let little = "query.megabytes = 16\nquery.question_megabytes = 16\nquery.spill_gigabytes = 0\n";
    let scene = Scene::new(little);
    scene.import("gw-1", 60_000, 22);
    let said = scene.script("wrong", &[]).finish().unwrap();
    assert!(said.len() > 30, "{said:?}");
}

/// The socket is killed in the middle of rows, while more arrive.
#[test]
fn a_tail_that_is_cut_off_a_hundred_times_has_every_row_once() {
    let scene = Scene::new("");
    scene.import("gw-0", 50, 22);
    let mut script = scene.script("tail", &["dport:9,22", "100"]);
    assert_eq!(script.line().unwrap(), "ready");
    let whole = AtomicBool::new(false);
    let got = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut got = Vec::new();
            loop {
                match script.line().unwrap() {
                    line if line == "whole" => whole.store(true, Ordering::SeqCst),
                    line if line.ends_with(" 9") => return [got, vec![line]].concat(),
                    line => got.push(line),
                }
            }
        });
        for n in 1.. {
            scene.import(&format!("gw-{n}"), 200, if n % 3 == 0 { 23 } else { 22 });
            if whole.load(Ordering::SeqCst) || reader.is_finished() {
                break;
            }
        }
        scene.import("end", 1, 9);
        reader.join().unwrap()
    });
    let mut want: Vec<String> = scene
        .server
        .rows_of("dport:9,22 -host:gw-0", "id,dport")
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["id"].as_str().unwrap(), row["dport"]))
        .collect();
    want.sort();
    let mut sorted = got;
    sorted.sort();
    assert!(want.len() > 400, "{}", want.len());
    assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]), "a row came twice");
    assert_eq!(sorted, want);
}

#[test]
fn questions_end_when_they_are_cancelled_or_their_reader_is_gone() {
    let scene = Scene::new("");
    // More than sockets and channels hold.
    scene.import("gw-1", 60_000, 22);
    scene.script("gone", &[]).finish().unwrap();
    assert_eq!(scene.server.search_count("dport:22").unwrap(), 60_000, "and the server answers as before");
}

/// Requests made up from the description: none may fail in the server, and answers are as described.
#[test]
fn what_schemathesis_makes_up_is_answered() {
    let scene = Scene::new("");
    scene.import("gw-1", 200, 22);
    let token = fs::read_to_string(scene.file("admin.token")).unwrap();
    let program = binaries().unwrap().parent().unwrap().join("python/bin/schemathesis");
    assert!(program.exists(), "{} is missing: `cargo xtask python` makes it", program.display());
    let rounds = if crate::scene::soak() { "500" } else { "30" };
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .arg("run")
        .arg(document())
        .args(["--url", &format!("https://{}/api/v1", scene.server.front())])
        .args(["--tls-verify", &scene.file("ca.pem")])
        .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", rounds, "--seed", "7"])
        .args(["--request-timeout", "30", "--suppress-health-check", "all"])
        .args(["--no-color", "--generation-database", "none"])
        // A tail does not end, and a backup is written wherever it is said; both are walked through above.
        .args(["--exclude-path", "/tail", "--exclude-path", "/lake/backup"])
        .current_dir(scene.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(scene.server.search_count("dport:22").unwrap(), 200, "and nothing was taken away");
}
