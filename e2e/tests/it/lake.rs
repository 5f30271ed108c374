//! The lake of a real server: killed while it is looked after, damaged, copied, and wanted by two.

use crate::import::{SETTINGS, Scene, lines_to};
use bartizan_e2e::process::{Server, binaries};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// Rows of one import, half of them to each of two addresses.
const ROWS: u32 = 4000;
const KEPT: &str = "203.0.113.5";
const ERASED: &str = "203.0.113.6";

impl Scene {
    /// Imports rows, in a commit or more of their own.
    fn bring(&self, number: u32) {
        let dst = |n: u32| if n.is_multiple_of(2) { KEPT } else { ERASED };
        let lines = lines_to(number * ROWS, (number + 1) * ROWS, dst);
        self.server.ask(&["import", &self.file(&format!("log-{number}"), &lines)]).unwrap();
    }

    fn lake(&self, args: &[&str]) -> Output {
        self.server.cli().unwrap().arg("lake").args(args).output().unwrap()
    }

    /// Work on the lake that ends well; the lines that it prints.
    fn works(&self, args: &[&str]) -> Vec<Value> {
        let output = self.lake(&[args, &["-o", "ndjson"]].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        json(&output)
    }

    fn rows(&self, filter: &str) -> u64 {
        self.server.search_count(filter).unwrap()
    }

    /// Every row is there once and whole; what a crash left lying about is no harm.
    fn verify(&self) {
        for problem in self.works(&["verify"]) {
            assert_eq!(problem["harmless"], true, "{problem}");
        }
    }

    fn parquet(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        find(&self.server.dir().join("lake/events"), &mut files);
        files.sort();
        files
    }
}

fn find(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "_delta_log" {
            find(&path, files);
        } else if path.extension().is_some_and(|e| e == "parquet") {
            files.push(path);
        }
    }
}

fn json(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// F38, F49: `kill -9` of the server in the middle of whatever is done to its lake.
#[test]
fn whenever_the_server_is_killed_no_row_is_lost_or_there_twice() {
    // Days that are over are put in order at once, so that merging and counting go on beside what is asked for.
    let mut scene = Scene::with("compact.settle_minutes = 0\n");
    (0..4).for_each(|number| scene.bring(number));
    let kept = u64::from(4 * ROWS / 2);
    let backup = scene.path("backup");
    let to = backup.to_str().unwrap();
    let works: [&[&str]; 6] =
        [&["backup", to], &["erase", ERASED], &["compact"], &["vacuum"], &["retain"], &["verify"]];
    for (round, millis) in [5, 15, 30, 60, 120, 250].into_iter().enumerate() {
        for work in works {
            let mut command = scene.server.cli().unwrap();
            if work[0] != "backup" {
                command.arg("lake");
            }
            command.args(work).stdout(Stdio::null()).stderr(Stdio::null());
            let mut running = command.spawn().unwrap();
            thread::sleep(Duration::from_millis(millis));
            scene.server.kill().unwrap();
            let _ = running.wait();
            scene.server.start().unwrap();
            assert_eq!(scene.rows(&format!("dst:{KEPT}")), kept, "round {round}, {work:?}");
            assert!(scene.rows(&format!("dst:{ERASED}")) <= kept, "round {round}, {work:?}");
        }
        assert_eq!(scene.server.duplicates("").unwrap(), 0, "round {round}");
        scene.verify();
    }
    scene.works(&["erase", ERASED, "--reason", "request 12"]);
    assert_eq!(scene.rows(""), kept);
    scene.server.ask(&["backup", to]).unwrap();
    scene.verify();

    let restored = scene.path("restored");
    let mut server = restore(&backup, &restored);
    server.start().unwrap();
    assert_eq!(server.search_count("").unwrap(), kept);
    assert_eq!(server.duplicates("").unwrap(), 0);
}

fn restore(from: &Path, to: &Path) -> Server {
    let output = Command::new(binaries().unwrap().join("bartizan"))
        .arg("restore")
        .arg(from)
        .arg("--to")
        .arg(to)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    Server::new(to, SETTINGS).unwrap()
}

#[test]
fn a_backup_of_a_running_server_comes_back_somewhere_else() {
    let mut scene = Scene::new();
    scene.bring(0);
    let backup = scene.path("backup");
    let to = backup.to_str().unwrap();
    scene.server.ask(&["backup", to]).unwrap();
    scene.bring(1);
    let mut server = restore(&backup, &scene.path("restored"));
    server.start().unwrap();
    assert_eq!(server.search_count("").unwrap(), u64::from(ROWS));
    let same = |name: &str| {
        let read = |dir: &Path| fs::read(dir.join(name)).unwrap();
        assert_eq!(read(scene.server.dir()), read(server.dir()), "{name}");
    };
    ["ca.pem", "authority.key", "admin.token"].into_iter().for_each(same);
    // It goes on: what it has not yet is imported, what it has is not.
    for number in [0, 1] {
        let file = scene.path(&format!("log-{number}"));
        server.ask(&["import", file.to_str().unwrap()]).unwrap();
    }
    assert_eq!(server.search_count("").unwrap(), u64::from(2 * ROWS));
    server.stop().unwrap();

    // A directory that has something is not overwritten; a backup that is not whole is not restored.
    let again = Command::new(binaries().unwrap().join("bartizan"))
        .args(["restore", to, "--to"])
        .arg(scene.path("restored"))
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("not empty"));
    let mut files = Vec::new();
    find(&backup.join("lake/events"), &mut files);
    let mut bytes = fs::read(&files[0]).unwrap();
    bytes[200] ^= 1;
    fs::write(&files[0], bytes).unwrap();
    let broken = scene.path("broken");
    let output = Command::new(binaries().unwrap().join("bartizan"))
        .args(["restore", to, "--to"])
        .arg(&broken)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let name = files[0].file_name().unwrap().to_str().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains(name));
    assert!(Server::new(&broken, SETTINGS).unwrap().start().is_err(), "no server on half a restore");
    scene.server.stop().unwrap();
}

#[test]
fn damaged_files_are_named_and_the_rest_can_be_mended() {
    let mut scene = Scene::new();
    (0..3).for_each(|number| scene.bring(number));
    scene.server.stop().unwrap();
    let files = scene.parquet();
    let (flipped, cut) = (&files[0], &files[1]);
    let mut bytes = fs::read(flipped).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    fs::write(flipped, &bytes).unwrap();
    let bytes = fs::read(cut).unwrap();
    fs::write(cut, &bytes[..bytes.len() - 100]).unwrap();

    let lake = scene.server.dir().join("lake");
    let named = |output: &Output| {
        assert_eq!(output.status.code(), Some(8), "{}", String::from_utf8_lossy(&output.stderr));
        let mut found: Vec<_> = json(output)
            .iter()
            .filter(|p| p["harmless"] == false)
            .map(|p| (p["problem"].as_str().unwrap().to_owned(), p["file"].as_str().unwrap().to_owned()))
            .collect();
        found.sort();
        let name = |path: &Path| path.strip_prefix(&lake).unwrap().to_str().unwrap().to_owned();
        // a file that was replaced already is nobody's
        for (problem, file) in &found {
            let is_ours = [("wrong-checksum", name(flipped)), ("wrong-size", name(cut))];
            assert!(is_ours.iter().any(|(p, f)| p == problem && f == file), "{problem} {file}");
        }
        found.len()
    };
    let stopped = scene.lake(&["verify", "--stopped", "-o", "ndjson"]);
    let wrong = named(&stopped);
    assert!(wrong > 0);
    scene.server.start().unwrap();
    let running = scene.lake(&["verify", "--repair", "-o", "ndjson"]);
    assert_eq!(named(&running), wrong);
    scene.verify();
    let left = scene.rows("");
    assert!(left > 0 && left < u64::from(3 * ROWS), "{left}");
    assert_eq!(scene.server.duplicates("").unwrap(), 0);
    scene.server.stop().unwrap();
}

#[test]
fn a_lake_has_one_server() {
    let mut scene = Scene::new();
    scene.bring(0);
    let mut second = Server::new(scene.server.dir(), SETTINGS).unwrap();
    // its own file would be overwritten: the addresses of the first are what it is asked by
    let keep = fs::read(scene.server.dir().join("address")).unwrap();
    let keep_agents = fs::read(scene.server.dir().join("agents_address")).unwrap();
    let error = second.start().unwrap_err().to_string();
    assert!(error.contains("in use by another server"), "{error}");
    fs::write(scene.server.dir().join("address"), keep).unwrap();
    fs::write(scene.server.dir().join("agents_address"), keep_agents).unwrap();

    // The same lake under another directory.
    let other = scene.path("other");
    fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(scene.server.dir().join("lake"), other.join("lake")).unwrap();
    let error = Server::new(&other, SETTINGS).unwrap().start().unwrap_err().to_string();
    assert!(error.contains("in use by another server"), "{error}");
    let stopped = scene.lake(&["verify", "--stopped"]);
    assert_eq!(stopped.status.code(), Some(1), "not while a server runs");
    assert_eq!(scene.rows(""), u64::from(ROWS));
    scene.verify();
    scene.server.stop().unwrap();
}

#[test]
fn holds_and_receipts_are_kept_over_a_restart() {
    let mut scene = Scene::new();
    scene.server.stop().unwrap();
    scene.server.configure(&format!("{SETTINGS}[[retain]]\nfilter = \"dport:22\"\ndays = 30\n"));
    scene.server.start().unwrap();
    scene.bring(0);
    let held = format!("dst:{ERASED} src:198.0.0.0/24");
    scene.server.ask(&["lake", "hold", "case 7", &held, "--comment", "legal"]).unwrap();
    let wrong = scene.lake(&["hold", "case 8", "dport:"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
    assert_eq!(scene.works(&["retain", "--dry-run"]), Vec::<Value>::new(), "nothing is old");

    let told = scene.works_partly(&["erase", ERASED]);
    let held: u64 = told.iter().map(|f| f["held"].as_u64().unwrap()).sum();
    assert_eq!(held, 128, "the odd ones of 256 addresses");
    assert_eq!(scene.rows(&format!("dst:{ERASED}")), 128);
    scene.server.kill().unwrap();
    scene.server.start().unwrap();
    let holds = scene.works(&["holds"]);
    assert_eq!((holds.len(), &holds[0]["comment"]), (1, &Value::from("legal")));
    scene.server.ask(&["lake", "release", "case 7"]).unwrap();
    assert_eq!(scene.lake(&["release", "case 7"]).status.code(), Some(5));
    scene.works(&["erase", ERASED]);
    assert_eq!(scene.rows(&format!("dst:{ERASED}")), 0);
    let receipts = scene.works(&["erasures"]);
    assert_eq!(receipts.len(), 2);
    assert_eq!(receipts[0]["rows"], 128);
    assert!(receipts[1]["files"].as_array().is_some_and(|files| !files.is_empty()));
    scene.verify();
    scene.server.stop().unwrap();
}

impl Scene {
    /// Work that could not be done completely.
    fn works_partly(&self, args: &[&str]) -> Vec<Value> {
        let output = self.lake(&[args, &["-o", "ndjson"]].concat());
        assert_eq!(output.status.code(), Some(8), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        json(&output)
    }
}
