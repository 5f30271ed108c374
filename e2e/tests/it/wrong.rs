//! What people do wrong, and what others do on the same host: clear words, and nothing lost.

use crate::scene::{GROUP, MARKER, PORT, Scene, host, possible};
use bartizan_e2e::process::{Agent, Server, program, wait_until};
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Exit code, output, and what was said.
fn run(mut command: Command) -> (i32, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn server() -> (TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), "").unwrap();
    server.start().unwrap();
    (dir, server)
}

#[test]
fn a_key_that_does_not_exist_is_named_with_its_line_and_the_nearest_one() {
    let dir = tempfile::tempdir().unwrap();
    for (binary, args, file, text, expected) in [
        (
            "bartizan-agent",
            ["run", "--config"],
            "agent.toml",
            "dir = \"/nowhere\"\n\n[capture]\nreceive_bufer = 1\n",
            [
                "agent.toml:4: unknown key \"capture.receive_bufer\"",
                "did you mean \"capture.receive_buffer\"?",
            ],
        ),
        (
            "bartizan",
            ["server", "--config"],
            "server.toml",
            "dir = \"/nowhere\"\nlitsen = \"127.0.0.1:0\"\n",
            ["server.toml:2: unknown key \"litsen\"", "did you mean \"listen\"?"],
        ),
    ] {
        let path = dir.path().join(file);
        fs::write(&path, text).unwrap();
        let mut command = program(None, binary).unwrap();
        command.args(args).arg(&path);
        let (code, _, said) = run(command);
        assert_eq!(code, 2, "{said}");
        for part in expected {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
    }
    // A key that exists with a value that cannot be meant.
    let path = dir.path().join("agent.toml");
    fs::write(&path, "capture.flush_ms = 5\n").unwrap();
    let mut command = program(None, "bartizan-agent").unwrap();
    command.args(["run", "--config"]).arg(&path);
    let (code, _, said) = run(command);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("capture.flush_ms: 5 is not in 10..=1000"), "{said}");
}

#[test]
fn a_join_token_that_is_no_good_is_refused_in_words_and_not_printed() {
    let (dir, server) = server();
    let (_other_dir, other) = self::server();
    let enrol = |token: &str, name: &str| {
        let mut command = program(None, "bartizan-agent").unwrap();
        command.args(["enrol", "--server", &server.front().to_string(), "--name", name, "--dir"]);
        run({
            command.arg(dir.path().join(name)).args(["--token", token]);
            command
        })
    };
    let good = server.token(1).unwrap();
    // The same with another secret: known to nobody.
    let (version, rest) = good.split_once('.').unwrap();
    let (secret, pin) = rest.split_once('.').unwrap();
    let first = if secret.starts_with('a') { 'b' } else { 'a' };
    let unknown = format!("{version}.{first}{}.{pin}", &secret[1..]);
    let short = server.ask(&["token", "create", "--ttl", "1s"]).unwrap();
    let short = short.trim();
    let foreign = other.token(1).unwrap();

    let (code, _, said) = enrol(&good, "first");
    assert_eq!(code, 0, "{said}");
    thread::sleep(Duration::from_millis(1500));
    for (token, code, expected) in [
        (good.as_str(), 4, "the join token is used up; make a new one"),
        (&unknown, 4, "the server does not know this join token"),
        (short, 4, "the join token has expired; make a new one"),
        (&foreign, 7, "another fleet"),
        ("bz1.nonsense", 2, "token"),
        (&good[..good.len() - 3], 2, "token"),
    ] {
        let (ended, out, said) = enrol(token, "second");
        assert_eq!(ended, code, "{said}");
        assert!(said.contains(expected), "{expected:?} is not in: {said}");
        let secret = token.split('.').nth(1).unwrap();
        assert!(!said.contains(secret) && !out.contains(secret), "the secret is shown: {said}");
    }
    // A name that is taken costs no token.
    let token = server.token(1).unwrap();
    let mut command = program(None, "bartizan-agent").unwrap();
    command.args([
        "enrol",
        "--server",
        &server.front().to_string(),
        "--name",
        "first",
        "--token",
        &token,
        "--dir",
    ]);
    command.arg(dir.path().join("third"));
    let (code, _, said) = run(command);
    assert_eq!(code, 4);
    assert!(said.contains("first"), "{said}");
    let (code, _, said) = enrol(&token, "third");
    assert_eq!(code, 0, "{said}");
    // Once more, as a machine that sets hosts up does: nothing is asked, and nothing is changed.
    let (code, _, said) = enrol(&token, "third");
    assert!(code == 0 && said.contains("part of the fleet already"), "{said}");
    assert_eq!(server.hosts().unwrap().len(), 2);
}

#[test]
fn an_agent_that_is_not_enrolled_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program(None, "bartizan-agent").unwrap();
    command.args(["run", "--dir"]).arg(dir.path());
    let (code, _, said) = run(command);
    assert_eq!(code, 1);
    assert!(said.contains("this host is not enrolled: run `bartizan token create`"), "{said}");
}

#[test]
fn an_agent_of_another_fleet_keeps_its_rows_until_it_is_enrolled_here() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("fleet", "", "");
    scene.send(PORT, 100, 0);
    scene.settle();
    // Another fleet's server; this host's agent is pointed at it without being enrolled there.
    let mut other = Server::new(&scene.dir.path().join("other"), "").unwrap().inside(&scene.netns);
    other.start().unwrap();
    scene.agent.stop().unwrap();
    scene.server.stop().unwrap();
    let pointed = format!("server = \"{}\"\n{}", other.agents(), scene.agent.settings());
    scene.agent.configure(&pointed).unwrap();
    scene.start_agent();
    scene.send(MARKER, 500, 0);
    let running = scene.agent.running().unwrap();
    let said = wait_until("a word about the fleet", Duration::from_secs(20), || {
        let log = running.log_tail();
        Ok((log.contains("rows are kept") && log.contains("another fleet")).then_some(log))
    });
    let said = said.unwrap_or_else(|_| panic!("{}", running.log_tail()));
    eprintln!("{}", said.lines().find(|l| l.contains("another fleet")).unwrap());
    assert_eq!(other.search_count("").unwrap(), 0);
    // the kernel hands packets over within 100 ms
    thread::sleep(Duration::from_secs(1));

    scene.agent.stop().unwrap();
    let token = other.token(1).unwrap();
    scene.agent.enrol(Some(&scene.netns), other.front(), &token, "web-01").unwrap();
    scene.start_agent();
    // Of the first hundred, those whose acknowledgement did not come before the stop are sent here as well.
    let kept = format!("dport:{MARKER}");
    wait_until("the rows that were kept", Duration::from_secs(30), || {
        Ok((other.search_count(&kept)? >= 500).then_some(()))
    })
    .unwrap();
    thread::sleep(Duration::from_secs(1));
    assert_eq!((other.search_count(&kept).unwrap(), other.losses_sum().unwrap()), (500, 0));
    assert_eq!(other.duplicates("").unwrap(), 0);
}

/// F20.
#[test]
fn a_second_agent_on_the_same_group_is_refused_and_the_first_goes_on() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("second", "", "");
    let flow = scene.flow(2000);
    let mut second = Agent::new(&scene.dir.path().join("second"), scene.agent.settings()).unwrap();
    let token = scene.server.token(1).unwrap();
    second.enrol(Some(&scene.netns), scene.server.front(), &token, "web-02").unwrap();
    for _ in 0..3 {
        second.start(Some(&scene.netns)).unwrap();
        let running = second.running().unwrap();
        let status =
            wait_until("the second agent to end", Duration::from_secs(20), || running.ended()).unwrap();
        assert_eq!(status.code(), Some(1), "{}", running.log_tail());
        assert!(
            running.log_tail().contains(&format!("nflog group {GROUP} already has a reader")),
            "{}",
            running.log_tail()
        );
        let _ = second.kill();
    }
    flow.end();
    scene.alive();
    let figures = scene.exact();
    assert_eq!(figures.ledger, 0);
    assert_eq!(scene.server.search_count("host:web-02").unwrap(), 0);
}

#[test]
fn two_servers_on_one_directory_are_one_too_many() {
    let (_dir, server) = server();
    let mut command = program(None, "bartizan").unwrap();
    command.args(["server", "--config"]).arg(server.dir().join("server.toml"));
    let (code, _, said) = run(command);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is in use by another server"), "{said}");
    assert_eq!(server.search_count("").unwrap(), 0);
}

#[test]
fn a_typo_in_a_filter_has_a_caret_under_it_and_a_proposal() {
    let (_dir, server) = server();
    for verb in [["search"].as_slice(), &["search", "--count"], &["tail"]] {
        let mut command = server.cli().unwrap();
        command.args(verb).arg("dport:22 dst_prot:80");
        let (code, out, said) = run(command);
        assert_eq!((code, out.as_str()), (2, ""), "{said}");
        let lines: Vec<_> = said.lines().collect();
        let shown = lines.iter().position(|l| l.contains("dport:22 dst_prot:80")).unwrap();
        let column = lines[shown].find("dst_prot").unwrap();
        assert_eq!(lines[shown + 1].find('^'), Some(column), "{said}");
        assert!(said.to_lowercase().contains("dport"), "a proposal: {said}");
    }
}

#[test]
fn without_a_server_the_command_line_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program(None, "bartizan").unwrap();
    command.arg("--dir").arg(dir.path()).args(["search", "dport:22"]);
    let (code, _, said) = run(command);
    assert_eq!(code, 7, "{said}");
    let (_dir, mut server) = server();
    server.stop().unwrap();
    let mut command = server.cli().unwrap();
    command.args(["hosts"]);
    let (code, _, said) = run(command);
    assert_eq!(code, 7, "{said}");
}

#[test]
fn a_group_without_rules_is_no_error() {
    if !possible() {
        return;
    }
    let netns = host("unused");
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::new(&dir.path().join("server"), "").unwrap().inside(&netns);
    server.start().unwrap();
    let mut agent = Agent::new(&dir.path().join("agent"), "groups = [7, 8]").unwrap();
    let token = server.token(1).unwrap();
    agent.enrol(Some(&netns), server.front(), &token, "web-01").unwrap();
    agent.start(Some(&netns)).unwrap();
    agent.wait_for_capture(&netns, 8).unwrap();
    thread::sleep(Duration::from_secs(3));
    assert_eq!((server.search_count("").unwrap(), server.losses_sum().unwrap()), (0, 0));
    agent.stop().unwrap();
}
