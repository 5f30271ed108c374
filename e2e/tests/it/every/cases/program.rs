//! The program itself: which servers it knows, how it is, being one, and what it says of itself.

use super::PATIENCE;
use crate::every::Run;
use bartizan_e2e::process::{Running, wait_until};
use std::fs;
use std::path::Path;

pub(super) fn login(run: &Run<'_>) {
    let url = format!("https://{}", run.scene.server.front());
    let (ca, token) = (run.of_server("ca.pem"), run.of_server("admin.token"));
    for name in ["here", "there"] {
        let (code, _, err) = run.elsewhere(&[&url, "--name", name, "--ca", &ca, "--token-file", &token]);
        assert_eq!(code, 0, "{err}");
    }
    let (code, _, err) =
        run.elsewhere(&[&url, "--name", "x", "--ca", &ca, "--token-file", &run.file("wrong.token")]);
    assert_eq!(code, 4, "{err}");
    let (code, _, err) = run.elsewhere(&["https://127.0.0.1:1", "--ca", &ca, "--token-file", &token]);
    assert_eq!(code, 7, "{err}");
}

pub(super) fn context_list(run: &Run<'_>) {
    let (code, out, err) = run.elsewhere(&["-o", "csv"]);
    assert!(code == 0 && out.lines().count() == 3, "{out}{err}");
}

pub(super) fn context_use(run: &Run<'_>) {
    assert_eq!(run.elsewhere(&["here"]).0, 0);
    assert_eq!(run.elsewhere(&["nowhere"]).0, 5);
}

pub(super) fn context_rm(run: &Run<'_>) {
    assert_eq!(run.elsewhere(&["there"]).0, 0);
    assert_eq!(run.elsewhere(&["there"]).0, 5);
}

pub(super) fn doctor(run: &Run<'_>) {
    let (code, out, err) = run.elsewhere(&[]);
    assert!(code == 0 && out.contains("the server of the context here"), "{code}: {out}{err}");
    assert!(out.contains("the server is shut in"), "{out}");
    let (code, out, _) = run.elsewhere(&["--dir", &run.file("empty")]);
    assert!(code == 1 || code == 7, "{code}: {out}");
    let bundle = run.file("bundle.json");
    assert_eq!(run.elsewhere(&["--bundle", &bundle]).0, 0);
    let text = std::fs::read_to_string(&bundle).unwrap();
    assert!(text.contains("bartizan_build_info") && text.contains("\"program\""), "{text}");
    assert_eq!(run.elsewhere(&["--bundle", &bundle]).0, 1, "it is not overwritten");
}

pub(super) fn server(run: &Run<'_>) {
    let config = run.file("other.toml");
    let wrong = format!("{config}:1: listen: `nowhere` is not ADDRESS:PORT");
    fs::write(&config, "listen = \"nowhere\"\n").unwrap();
    let (code, _, err) = run.elsewhere(&["--config", &config]);
    assert!(code == 2 && err.contains(&wrong), "{code}: {err}");
    let dir = run.file("other");
    let text = format!("dir = {dir:?}\nlisten = \"127.0.0.1:0\"\nagents_listen = \"127.0.0.1:0\"\n");
    fs::write(&config, text).unwrap();
    let mut command = bartizan_e2e::process::program(None, "bartizan").unwrap();
    command.args(["server", "--config", &config]);
    let running = Running::start(command, Path::new(&run.file("other.log"))).unwrap();
    wait_until("the other server", PATIENCE, || Ok(Path::new(&dir).join("address").exists().then_some(())))
        .unwrap();
    running.stop().unwrap();
}

pub(super) fn completion(run: &Run<'_>) {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(run.ok(&[shell]).contains("bartizan"), "{shell}");
    }
    // what bash asks for: hosts that the server knows
    let mut command = run.scene.netns.command(bartizan_e2e::process::binaries().unwrap().join("bartizan"));
    command.args(["--", "bartizan", "search", "host:w"]).env("BARTIZAN_DIR", run.scene.server.dir());
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_COMPLETE_COMP_TYPE", "9");
    command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_SPACE", "true");
    let output = command.output().unwrap();
    let offered = String::from_utf8_lossy(&output.stdout);
    assert!(offered.contains("host:web-01"), "{offered} {}", String::from_utf8_lossy(&output.stderr));
    run.fails(2, &["tcsh"]);
}

pub(super) fn man(run: &Run<'_>) {
    assert!(run.ok(&[]).contains(".TH bartizan 1"));
    assert!(run.ok(&["filter"]).contains(".SH VALUES"));
    run.fails(2, &["nothing"]);
}

pub(super) fn version(run: &Run<'_>) {
    assert_eq!(run.ok(&[]), format!("bartizan {}\n", env!("CARGO_PKG_VERSION")));
    assert!(run.ok(&["--check"]).contains("server "));
    let mut other = run.command(&["--check"]);
    other.arg("--server").arg("https://127.0.0.1:1").arg("--ca").arg(run.of_server("ca.pem"));
    let output = other.output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
}
