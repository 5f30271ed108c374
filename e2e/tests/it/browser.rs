//! The page in a browser: `e2e/browser/NAME.mjs`, run by Node against a real server.
//!
//! A test here prepares the server and its rows; what a person does and sees is in the script. They are for a program
//! with its page; a build without it has nothing to show.

use crate::page::{imported, is_built};
use bartizan_e2e::process::Server;
use std::path::Path;
use std::process::Command;

/// Runs a script against a server; panics with all that it said when it fails.
pub(crate) fn run(server: &Server, script: &str, env: &[(&str, &str)]) {
    let token = std::fs::read_to_string(server.dir().join("admin.token")).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser").join(format!("{script}.mjs"));
    let output = Command::new("setpriv")
        // A browser that hangs is not left behind.
        .args(["--pdeathsig", "KILL", "--", "timeout", "--kill-after=5", "240", "node"])
        .arg(&path)
        .env("BARTIZAN_URL", format!("https://{}", server.front()))
        .env("BARTIZAN_TOKEN", token.trim())
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{script} ({}):\n{}\n{}",
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    );
}

/// A server with rows, if the program has its page.
pub(crate) fn server(rows: usize) -> Option<(tempfile::TempDir, Server)> {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), "commit.age_ms = 200").unwrap();
    server.start().unwrap();
    if !is_built(&server) {
        eprintln!("not run: this program was built without its page (`cargo xtask page`, and build again)");
        return None;
    }
    imported(&server, dir.path(), rows);
    Some((dir, server))
}

#[test]
fn the_page_loads_and_signs_in_by_the_link() {
    let Some((_dir, server)) = server(200) else { return };
    run(&server, "loads", &[]);
}
