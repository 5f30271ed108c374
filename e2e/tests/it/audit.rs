//! The audit log at a real receiver of syslog: every entry arrives, whoever was away meanwhile.

use bartizan_e2e::process::{Server, wait_until};
use bartizan_e2e::rsyslog::Rsyslog;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

/// A receiver that writes what it got, with what it takes it for.
fn receiver(dir: &Path, port: u16) -> Rsyslog {
    let file = dir.join("received").display().to_string();
    let rules = format!(
        "template(name=\"parts\" type=\"string\" \
         string=\"%syslogfacility%.%syslogseverity-text% %app-name% %msgid% %structured-data%\\n\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"on\")\n\
         ruleset(name=\"on\") {{ action(type=\"omfile\" file=\"{file}\" template=\"parts\") }}\n"
    );
    Rsyslog::start(None, &dir.join("rsyslog"), &rules).unwrap()
}

/// Lines by the number of their entry, and how many came again.
fn received(dir: &Path) -> (BTreeMap<u64, String>, usize) {
    let text = fs::read_to_string(dir.join("received")).unwrap_or_default();
    let (mut lines, mut again) = (BTreeMap::new(), 0);
    for line in text.lines() {
        let (_, rest) = line.split_once(" id=\"").unwrap_or_else(|| panic!("{line}"));
        let id = rest.split('"').next().unwrap().parse().unwrap();
        if let Some(before) = lines.insert(id, line.to_owned()) {
            assert_eq!(before, line, "what comes again is the same");
            again += 1;
        }
    }
    (lines, again)
}

/// Waits until every entry that the server has is there.
fn all_of(server: &Server, dir: &Path) -> (BTreeMap<u64, String>, usize) {
    let text = server.ask(&["audit", "list", "-n", "1000", "-o", "ndjson"]).unwrap();
    let entries: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let newest = entries.iter().map(|entry| entry["id"].as_u64().unwrap()).max().unwrap();
    let (lines, again) = wait_until("every entry", Duration::from_secs(90), || {
        let (lines, again) = received(dir);
        Ok((1..=newest).all(|id| lines.contains_key(&id)).then_some((lines, again)))
    })
    .unwrap();
    for entry in &entries {
        let line = &lines[&entry["id"].as_u64().unwrap()];
        for part in ["who", "what"] {
            let part = format!(" {part}=\"{}\"", entry[part].as_str().unwrap());
            assert!(line.contains(&part), "{part}: {line}");
        }
        assert!(line.starts_with("13.notice bartizan audit [bartizan@32473 "), "{line}");
    }
    let whole = server.ask(&["audit", "verify"]).unwrap();
    let head = whole.trim().rsplit(' ').next().unwrap();
    assert!(lines[&newest].contains(&format!(" hash=\"{head}\"")), "{whole} {}", lines[&newest]);
    (lines, again)
}

#[test]
fn every_entry_arrives_at_a_receiver_of_syslog_whoever_was_away() {
    if !Rsyslog::is_there() {
        eprintln!("NOT RUN: rsyslogd is missing");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!("[audit]\nsyslog = \"tcp://127.0.0.1:{port}\"");
    let mut server = Server::new(&dir.path().join("server"), &settings).unwrap();
    let deeds = |server: &Server, name: &str| {
        for n in 0..3 {
            let about = format!("\"{name}\" [{n}]");
            server.ask(&["token", "create", "--comment", &about]).unwrap();
        }
    };
    // before there is anybody
    server.start().unwrap();
    deeds(&server, "first");
    let rsyslog = receiver(dir.path(), port);
    let (lines, _) = all_of(&server, dir.path());
    assert!(lines.values().any(|line| line.contains("first") && line.contains("[2\\]")), "{lines:?}");

    // the receiver is killed, then the server
    drop(rsyslog);
    deeds(&server, "second");
    server.kill().unwrap();
    server.start().unwrap();
    deeds(&server, "third");
    let _rsyslog = receiver(dir.path(), port);
    let (before, again) = all_of(&server, dir.path());
    // from then on the position is known, and a stop in order leaves nothing behind
    deeds(&server, "fourth");
    server.stop().unwrap();
    server.start().unwrap();
    deeds(&server, "fifth");
    let (after, still) = all_of(&server, dir.path());
    assert!(after.len() >= before.len() + 6);
    eprintln!("{} entries, {again} and {still} came again", after.len());
    assert_eq!(again, still, "nothing is said again without need");
}
