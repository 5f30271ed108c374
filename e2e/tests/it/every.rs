//! Every command of `bartizan`, against a real server with rows of a real firewall.
//!
//! The commands are those that the program's help names; one that has no case fails. A case can only run its own
//! command. Whatever asks the server is also run without one, and with a token that it does not know.

mod cases;
mod hostile;

use crate::flows::{flows, track};
use crate::scene::{PORT, Scene, possible};
use bartizan_e2e::process::wait_until;
use cases::CASES;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// One command: its name, the fewest arguments that it takes, whether it asks the server, and what it does.
pub(super) struct Case {
    pub(super) path: &'static str,
    pub(super) least: &'static [&'static str],
    pub(super) asks: bool,
    pub(super) does: fn(&Run<'_>),
}

/// Runs one command.
pub(super) struct Run<'a> {
    pub(super) scene: &'a Scene,
    path: &'static str,
}

impl Run<'_> {
    /// Where a person keeps contexts.
    fn home(&self) -> PathBuf {
        self.scene.dir.path().join("home")
    }

    /// A file of the test.
    pub(super) fn file(&self, name: &str) -> String {
        self.scene.dir.path().join(name).display().to_string()
    }

    /// A file in the server's folder.
    pub(super) fn of_server(&self, name: &str) -> String {
        self.scene.server.dir().join(name).display().to_string()
    }

    fn named(&self, mut command: Command, args: &[&str]) -> Command {
        command.env("XDG_CONFIG_HOME", self.home()).args(self.path.split(' ')).args(args);
        command
    }

    /// The command, pointed at the server's folder.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        self.named(self.scene.server.cli().unwrap(), args)
    }

    /// The command as somebody has it who is nowhere near a server.
    pub(super) fn elsewhere(&self, args: &[&str]) -> (i32, String, String) {
        let command = bartizan_e2e::process::program(Some(&self.scene.netns), "bartizan").unwrap();
        ends(self.named(command, args))
    }

    pub(super) fn ends(&self, args: &[&str]) -> (i32, String, String) {
        ends(self.command(args))
    }

    pub(super) fn ok(&self, args: &[&str]) -> String {
        let (code, out, err) = self.ends(args);
        assert_eq!(code, 0, "{} {args:?}: {err}", self.path);
        out
    }

    pub(super) fn fails(&self, code: i32, args: &[&str]) -> String {
        let (got, out, err) = self.ends(args);
        assert_eq!(got, code, "{} {args:?}: {out}{err}", self.path);
        assert!(!err.is_empty(), "{} {args:?} says nothing", self.path);
        err
    }

    pub(super) fn rows(&self, args: &[&str]) -> Vec<Value> {
        let out = self.ok(&[args, &["-o", "ndjson"]].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn ends(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// The host `web-01` with events, counters, flows and rules; and what was imported of `gw`.
fn scene() -> Scene {
    let agent = "flows.enabled = true\nflows.protocols = [\"udp\"]\ncounters.interval_secs = 1";
    let server = "commit.age_ms = 200\n[groups]\nweb = [\"web-*\"]\n[sets]\nhome = [\"127.0.0.0/8\"]\n";
    let scene = Scene::prepared("every", agent, server);
    track(&scene);
    let scene = scene.up();
    fs::create_dir(scene.dir.path().join("home")).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    flows(&scene, 3);
    scene.send(PORT, 20, 0);
    let lines = scene.dir.path().join("kern.log");
    fs::write(&lines, LINES).unwrap();
    scene.server.ask(&["import", "-q", "--keep-other", lines.to_str().unwrap()]).unwrap();
    scene.wait_for_rows("host:web-01", 20, Duration::from_secs(30));
    wait_until("flows and counters", Duration::from_secs(90), || {
        // the kernel tells of an expired connection when it meets it; a list meets all
        scene.netns.command("conntrack").arg("-L").output()?;
        let flows = scene.server.table("flows", "dport:4000")?.len();
        let counters = scene.server.table("counters", "rule:*udp-drop*")?.len();
        Ok((flows >= 3 && counters >= 1).then_some(()))
    })
    .unwrap();
    scene
}

/// Two events, one that is not understood, and a line of another service.
const LINES: &str = "\
2026-11-20T10:00:00Z gw kernel: in drop: IN=eth0 OUT= SRC=203.0.113.9 DST=10.0.0.2 LEN=60 PROTO=TCP SPT=1 DPT=22 SYN
2026-11-20T10:00:01Z gw kernel: in drop: IN=eth0 OUT= SRC=203.0.113.8 DST=10.0.0.2 LEN=60 PROTO=TCP SPT=1 DPT=23 SYN
2026-11-20T10:00:02Z gw kernel: in drop: IN=eth0 OUT= SRC=203.0.113.9 DST=10.0.0.2 PROTO=WHAT
2026-11-20T10:00:03Z gw sshd[7]: hello
";

/// The commands under one, as its help names them; itself, if it has none.
fn helped(path: &str, found: &mut BTreeSet<String>) {
    let mut command = bartizan_e2e::process::program(None, "bartizan").unwrap();
    command.args(path.split(' ').filter(|word| !word.is_empty())).arg("--help");
    let (code, out, err) = ends(command);
    assert_eq!(code, 0, "{path} --help: {err}");
    let listed =
        out.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What a name says goes on in the next line, further in.
    let names: Vec<&str> = listed
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    if names.is_empty() {
        found.insert(path.to_owned());
    }
    for name in names {
        helped(format!("{path} {name}").trim(), found);
    }
}

/// The same as the manual has pages for them.
fn paged(folder: &Path) -> BTreeSet<String> {
    let pages = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    pages.filter_map(|page| page.strip_suffix(".1").map(str::to_owned)).collect()
}

#[test]
fn every_command_that_the_help_names_has_a_case_and_a_page() {
    let mut found = BTreeSet::new();
    helped("", &mut found);
    let cases: BTreeSet<String> = CASES.iter().map(|case| case.path.to_owned()).collect();
    assert_eq!(cases.len(), CASES.len(), "a case twice");
    assert_eq!(found, cases);

    let dir = tempfile::tempdir().unwrap();
    let mut command = bartizan_e2e::process::program(None, "bartizan").unwrap();
    command.args(["man", "--to"]).arg(dir.path());
    assert_eq!(ends(command).0, 0);
    let pages = paged(dir.path());
    for path in &found {
        let page = format!("bartizan-{}", path.replace(' ', "-"));
        assert!(pages.contains(&page), "{page} is not in {pages:?}");
    }
}

#[test]
fn every_command_does_what_it_says() {
    if !possible() {
        return;
    }
    let scene = scene();
    for case in CASES {
        let run = Run { scene: &scene, path: case.path };
        // 2: what nobody can mean
        run.fails(2, &[case.least, &["--no-such-option"]].concat());
        if case.asks {
            let (ca, token) = (run.of_server("ca.pem"), run.file("wrong.token"));
            fs::write(&token, "x\n").unwrap();
            let url = format!("https://{}", scene.server.front());
            let asked = [case.least, &["--server", &url, "--ca", &ca, "--token-file", &token]].concat();
            let (code, _, err) = run.elsewhere(&asked);
            assert_eq!(code, 4, "{} with a wrong token: {err}", case.path);
            // 7: nobody listens there
            let asked =
                [case.least, &["--server", "https://127.0.0.1:1", "--ca", &ca, "--token-file", &token]]
                    .concat();
            let (code, _, err) = run.elsewhere(&asked);
            assert_eq!(code, 7, "{} without a server: {err}", case.path);
        }
        (case.does)(&run);
    }
}
