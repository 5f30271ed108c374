//! A program that is older than what it finds says so, says what to do, and changes nothing.

use bartizan_e2e::process::{Server, binaries};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A server that was used, and is stopped.
fn used(dir: &Path) -> Server {
    let mut server = Server::new(dir, "").unwrap();
    server.start().unwrap();
    server.stop().unwrap();
    server
}

/// Why it does not start.
fn refusal(server: &mut Server) -> String {
    let error = server.start().unwrap_err().to_string();
    assert!(error.contains("exit status: 1"), "{error}");
    error
}

#[test]
fn a_server_older_than_its_catalog_or_its_lake_refuses_in_words_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = dir.path().join("a/catalog.db");
    let mut server = used(&dir.path().join("a"));
    let sql = |statement: &str| {
        let output = Command::new("sqlite3").arg(&catalog).arg(statement).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let ours = sql("PRAGMA user_version");
    sql("PRAGMA user_version = 700; CREATE TABLE of_tomorrow (x); PRAGMA wal_checkpoint(TRUNCATE)");
    let before = fs::read(&catalog).unwrap();
    let said = refusal(&mut server);
    for word in ["catalog.db", "version 700", &format!("knows {ours}"), "newer program", "backup"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(fs::read(&catalog).unwrap(), before);

    let mut server = used(&dir.path().join("b"));
    let log = dir.path().join("b/lake/events/_delta_log");
    let entries = || fs::read_dir(&log).unwrap().count();
    let next = format!("{:020}.json", fs::read_dir(&log).unwrap().count());
    fs::write(log.join(next), "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7}}\n").unwrap();
    let before = entries();
    let said = refusal(&mut server);
    assert!(said.contains("`events`") && said.contains("run a newer one"), "{said}");
    assert_eq!(entries(), before);
}

#[test]
fn a_backup_of_a_newer_program_is_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), "").unwrap();
    server.start().unwrap();
    let backup = dir.path().join("backup");
    server.ask(&["backup", backup.to_str().unwrap()]).unwrap();
    server.stop().unwrap();
    let manifest = backup.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
    let to = dir.path().join("restored");
    let mut command = Command::new(binaries().unwrap().join("bartizan"));
    let output = command.arg("restore").arg(&backup).arg("--to").arg(&to).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("its form is 2") && said.contains("run a newer one"), "{said}");
    assert!(!to.join("lake").exists());
}
