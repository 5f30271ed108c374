//! The demo as a person runs it: it ends with every packet found, and leaves nothing behind when it is killed.

use bartizan_e2e::process::{signal, wait_until};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

fn demo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan-demo"));
    command.arg("demo").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn it_ends_with_every_packet_found_once() {
    let output = demo(&["--seconds", "3"]).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    let figures: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let number = |key: &str| figures[key].as_u64().unwrap();
    assert_eq!((number("hosts"), number("duplicates")), (3, 0), "{figures}");
    assert!(number("counted") > 100, "{figures}");
    assert_eq!(number("rows") + number("ledger"), number("counted"), "{figures}");
    assert_eq!(processes(), Vec::<String>::new());
}

#[test]
fn nothing_outlives_a_killed_demo_and_the_next_one_starts() {
    for how in ["KILL", "INT"] {
        let mut child = demo(&[]).spawn().unwrap();
        wait_for_invitation(&mut child);
        assert!(processes().len() >= 5, "server and three agents: {:?}", processes());
        signal(child.id(), how).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.success(), how == "INT", "{status}");
        wait_until("everything to be gone", Duration::from_secs(10), || {
            Ok(processes().is_empty().then_some(()))
        })
        .unwrap_or_else(|e| panic!("{how}: {e}: {:?}", processes()));
    }
}

/// Reads what the demo says up to the last line of its invitation.
fn wait_for_invitation(child: &mut Child) {
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("Ctrl-C") {
            return;
        }
        said.push_str(&line);
        said.push('\n');
    }
    panic!("it ended:\n{said}");
}

/// The command lines of every process of a demo, of this checkout.
fn processes() -> Vec<String> {
    let folder = bartizan_e2e::process::binaries().unwrap().with_file_name("demo").display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&folder) || line.ends_with("bartizan-demo inside ") {
            found.push(line);
        }
    }
    found
}
