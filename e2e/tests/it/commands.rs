//! Commands that a person has on their own machine, against a real server: login, contexts, pages, tops, the doctor.

use bartizan_e2e::process::{Server, wait_until};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

struct Person {
    home: tempfile::TempDir,
    server: Server,
}

impl Person {
    fn command(&self) -> Command {
        let mut command = Command::new(bartizan_e2e::process::binaries().unwrap().join("bartizan"));
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.as_encoded_bytes().starts_with(b"BARTIZAN_")) {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", self.home.path());
        command
    }

    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command().args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    fn ask(&self, args: &[&str]) -> String {
        let (code, out, err) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {err}");
        out
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ask(args)).unwrap()
    }
}

fn line(host: &str, second: u32, src: &str, port: u16) -> String {
    format!(
        "2026-11-20T10:00:{second:02}Z {host} kernel: in drop: IN=eth0 OUT= SRC={src} DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=1 DF PROTO=TCP SPT=40000 DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0\n"
    )
}

#[test]
fn a_person_logs_in_and_asks_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let settings = "commit.age_ms = 200\n[groups]\ndb = [\"db-*\"]\n[sets]\nfleet = [\"10.0.0.0/24\"]\noffice = [\"192.0.2.0/24\"]\n";
    let mut server = Server::new(&dir.path().join("server"), settings).unwrap();
    server.start().unwrap();
    let person = Person { home: tempfile::tempdir().unwrap(), server };
    let file = dir.path().join("kern.log");
    let lines: String = (0..40)
        .map(|n| {
            line(
                if n % 4 == 0 { "db-1" } else { "web" },
                n,
                &format!("203.0.113.{}", n % 5),
                22 + n as u16 % 2,
            )
        })
        .collect();
    fs::write(&file, lines).unwrap();
    person.server.ask(&["import", file.to_str().unwrap(), "-q", "--zone", "UTC"]).unwrap();

    // nobody is logged in, and no server is here
    let dir_of = |name: &str| person.server.dir().join(name).display().to_string();
    let (ca, token) = (dir_of("ca.pem"), dir_of("admin.token"));
    let url = format!("https://{}", person.server.front());
    person.ask(&["--ca", &ca, "--token-file", &token, "login", &url, "--name", "main"]);
    // what was given may go: the context has its own
    fs::remove_file(&token).unwrap();
    assert_eq!(person.json(&["context", "list", "-o", "json"])[0]["current"], true);
    let count =
        |filter: &str| person.json(&["search", filter, "--count", "-o", "json"])["rows"].as_u64().unwrap();
    assert_eq!(
        (count("group:db"), count("-group:db"), count("dst:fleet"), count("src:@office")),
        (10, 30, 40, 0)
    );
    assert_eq!(count("dport:ssh"), 20, "a service of the system");
    let (code, _, err) = person.run(&["search", "group:bd"]);
    assert!(code == 2 && err.contains("did you mean: group:db"), "{err}");

    // pages by cursor are all rows, each once
    let mut seen = std::collections::BTreeSet::new();
    let mut after: Option<String> = None;
    for _ in 0..10 {
        let mut args = vec!["search", "-n", "7", "-o", "ndjson", "--columns", "id"];
        if let Some(cursor) = &after {
            args.extend(["--after", cursor]);
        }
        let (code, out, err) = person.run(&args);
        assert_eq!(code, 0, "{err}");
        for line in out.lines() {
            assert!(seen.insert(line.to_owned()), "{line} twice");
        }
        after =
            err.split("--after ").nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 40);

    let top = person.ask(&["top", "src", "group:db", "-o", "ndjson", "-n", "100"]);
    assert_eq!(top.lines().count(), 5, "{top}");
    let compared = person.ask(&[
        "top",
        "dport",
        "--compare",
        "--since",
        "2026-11-20T10:00:20Z",
        "--until",
        "2026-11-20T10:00:40Z",
        "-o",
        "ndjson",
    ]);
    let rows: Vec<Value> = compared.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2, "{compared}");
    assert!(rows.iter().all(|row| row["packets"] == 10 && row["before_packets"] == 10), "{compared}");
    wait_until("all questions to be over", Duration::from_secs(20), || {
        Ok((person.json(&["queries", "list", "-o", "json"]) == serde_json::json!([])).then_some(()))
    })
    .unwrap();
    assert_eq!(person.json(&["sets", "-o", "json"]).as_array().unwrap().len(), 2);
    assert_eq!(person.ask(&["losses", "--sum", "-o", "csv"]).lines().count(), 1);
    assert!(person.ask(&["version", "--check"]).contains("server 0."));
    let doctor = person.ask(&["doctor"]);
    assert!(doctor.contains("the server of the context main") && doctor.contains("40 rows"), "{doctor}");

    person.ask(&["context", "rm", "main"]);
    let (code, _, err) = person.run(&["--dir", dir.path().to_str().unwrap(), "hosts"]);
    assert_eq!(code, 7, "{err}");
}
