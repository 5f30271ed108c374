//! Contexts, views, groups, questions; pages; completion; what an older server does not know.

use super::{answer, ask, bartizan, done, problem, rows, server};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::Stdio;

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn document(value: &Value) -> String {
    answer("200 OK", "application/json", &value.to_string())
}

#[test]
fn a_login_is_kept_with_its_token_and_asked_from_then_on() {
    let home = tempfile::tempdir().unwrap();
    let (address, asked) = server(vec![document(&json!([{ "name": "a" }])), document(&json!([]))]);
    let command = || {
        let mut command = bartizan();
        command.env("XDG_CONFIG_HOME", home.path());
        command
    };
    let url = format!("http://{address}");
    let mut login = command();
    login
        .args(["login", &url, "--name", "here"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = login.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(asked.recv().unwrap().authorization, "Bearer secret");

    let hosts = done(command().args(["hosts", "-o", "json"]));
    assert_eq!((hosts.code, hosts.out.as_str()), (0, "[]\n"), "{}", hosts.err);
    assert_eq!(asked.recv().unwrap().authorization, "Bearer secret");
    let list = json_of(&done(command().args(["context", "list", "-o", "json"])).out);
    assert_eq!(list, json!([{ "name": "here", "server": url, "token": true, "current": true }]));
    assert_eq!(done(command().args(["context", "use", "nowhere"])).code, 5);
    let unknown = done(command().args(["--context", "nowhere", "hosts"]));
    assert!(unknown.code == 5 && unknown.err.contains("known: here"), "{}", unknown.err);
    let both = done(command().args(["--context", "here", "--server", "https://x", "hosts"]));
    assert_eq!(both.code, 2, "two servers at once");
    assert_eq!(done(command().args(["context", "rm", "here"])).code, 0);
    assert_eq!(done(command().args(["context", "list", "-o", "json"])).out, "[]\n");
    // nothing is kept of a server that does not let in
    let (address, _asked) = server(vec![problem("401 Unauthorized", "{\"detail\":\"no such token\"}")]);
    let token = home.path().join("token");
    std::fs::write(&token, "wrong").unwrap();
    let url = format!("http://{address}");
    let refused = done(command().args(["login", &url, "--token-file"]).arg(&token));
    assert_eq!(refused.code, 4);
    assert_eq!(done(command().args(["context", "list", "-o", "json"])).out, "[]\n");
}

#[test]
fn a_full_page_says_how_to_go_on() {
    let page = "{\"src\":\"203.0.113.9\"}\n{\"end\":{\"rows\":1,\"complete\":true,\"cursor\":\"c1.x\",\"more\":true}}\n";
    let (done, asked) = ask(&["search", "-n", "1", "--columns", "src", "--after", "c0"], rows(page));
    assert_eq!((done.code, done.out.as_str()), (0, "SRC\n203.0.113.9\n"));
    assert!(done.err.contains("behind them: --after c1.x"), "{}", done.err);
    assert_eq!(json_of(&asked.body)["after"], "c0");
}

#[test]
fn the_most_frequent_alone_and_beside_the_time_before() {
    let top = json!({ "columns": ["src", "packets"], "rows": [{ "src": "203.0.113.9", "packets": 9 }] });
    let (done, asked) = ask(&["top", "src", "action:drop", "-n", "3"], document(&top));
    assert_eq!((done.code, done.out.as_str()), (0, "SRC          PACKETS\n203.0.113.9        9\n"));
    assert_eq!(asked.line, "POST /api/v1/top HTTP/1.1");
    assert_eq!(json_of(&asked.body), json!({ "filter": "action:drop", "by": ["src"], "limit": 3 }));
    let compared = json!({
        "columns": ["src", "packets", "rows", "before_packets", "before_rows"],
        "rows": [{ "src": "203.0.113.9", "packets": 9, "rows": 1, "before_packets": 2, "before_rows": 1 }],
    });
    let (done, asked) = ask(&["top", "src,dport", "--compare", "-o", "ndjson"], document(&compared));
    assert_eq!((done.code, done.out.lines().count()), (0, 1), "{}", done.err);
    assert_eq!(asked.line, "POST /api/v1/compare HTTP/1.1");
    let body = json_of(&asked.body);
    assert!(body["since"].is_string() && body["until"].is_string() && body["by"] == json!(["src", "dport"]));
}

#[test]
fn losses_are_summed() {
    let ledger = json!({
        "entries": [{ "stage": "kernel", "reason": "queue", "kind": "events", "count": 7, "rows": 2, "last": "2026-01-02T03:04:05Z" }],
        "count": 7,
    });
    let (done, asked) = ask(&["losses", "--sum", "--host", "web-01"], document(&ledger));
    assert!(done.code == 0 && done.out.contains("kernel  queue   events      7"), "{}", done.out);
    assert!(done.err.contains("7 in all"), "{}", done.err);
    assert_eq!(json_of(&asked.body), json!({ "filter": "", "host": "web-01" }));
}

#[test]
fn views_groups_and_questions() {
    let view = json!([{ "name": "ssh", "table": "events", "filter": "dport:22", "columns": ["src", "dport"], "shared": true }]);
    let (done, _) = ask(&["views"], document(&view));
    assert!(done.code == 0 && done.out.contains("ssh   events  dport:22  src dport"), "{}", done.out);
    let (done, asked) = ask(
        &["views", "save", "ssh", "DPORT:ssh", "--columns", "src,flags", "--since", "1h"],
        document(&json!({})),
    );
    assert_eq!(done.code, 0, "{}", done.err);
    let saved = json!({ "name": "ssh", "table": "events", "filter": "DPORT:ssh", "columns": ["src", "tcp_flags"], "since": "1h" });
    assert_eq!(json_of(&asked.body), saved);
    let wrong = super::done_of(&["views", "save", "ssh", "dprot:22"]);
    assert!(wrong.code == 2 && wrong.err.contains('^'), "{}", wrong.err);

    let (address, asked) = server(vec![document(&view), rows("{\"end\":{\"rows\":0,\"complete\":true}}\n")]);
    let url = format!("http://{address}");
    let run = super::done(bartizan().args(["--server", &url, "views", "run", "ssh"]));
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(asked.recv().unwrap().line, "GET /api/v1/views HTTP/1.1");
    let body = json_of(&asked.recv().unwrap().body);
    assert_eq!(body, json!({ "filter": "dport:22", "columns": ["src", "dport"], "limit": 100 }));
    let (done, _) = ask(&["views", "run", "nosuch"], document(&view));
    assert_eq!(done.code, 5);

    let (done, _) = ask(&["groups"], document(&json!([{ "name": "db", "hosts": ["db-1", "db-2"] }])));
    assert!(done.out.contains("db    db-1 db-2"), "{}", done.out);

    let question = json!([{
        "id": "q1", "path": "search", "question": { "filter": "host:\u{1b}[2J" },
        "stats": { "took_ms": 12, "looked_at": 5, "bytes": 7 },
    }]);
    let (done, _) = ask(&["queries"], document(&question));
    assert!(done.out.contains("q1  search       12          5      7  host:\\x1b[2J"), "{}", done.out);
    let (done, asked) = ask(&["queries", "cancel", "q1"], document(&json!({ "cancelled": true })));
    assert_eq!((done.code, json_of(&asked.body)), (0, json!({ "id": "q1" })));
}

#[test]
fn an_older_server_is_said_to_be_older() {
    for args in
        [&["views"][..], &["groups"], &["queries"], &["losses", "--sum"], &["top", "src", "--compare"]]
    {
        let (done, _) = ask(args, problem("404 Not Found", "{\"detail\":\"no such path\"}"));
        assert!(
            done.code == 5 && done.err.contains("it is older than this program"),
            "{args:?}: {}",
            done.err
        );
    }
}

#[test]
fn a_doctor_says_what_is_well_and_what_is_not() {
    let (address, _asked) = server(vec![
        document(&json!({ "status": "ok", "version": "0.0.1" })),
        document(
            &json!([{ "name": "a", "state": "online", "lost": 0 }, { "name": "b\u{1b}[2J", "state": "offline", "lost": 3 }]),
        ),
        document(&json!({ "tables": [{ "table": "events", "files": 3, "rows": 10, "hot_rows": 1 }] })),
    ]);
    let token = tempfile::NamedTempFile::new().unwrap();
    token.as_file().write_all(b"secret\n").unwrap();
    let url = format!("http://{address}");
    let said = done(bartizan().args(["--server", &url, "--token-file"]).arg(token.path()).arg("doctor"));
    assert_eq!(said.code, 0, "{} {}", said.out, said.err);
    for part in [
        "ok   2 hosts, 1 online",
        "note 1 offline: b\\x1b[2J",
        "note 3 rows are on the ledger",
        "ok   the lake has 11 rows in 3 files",
        "note this program is version",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    assert_eq!(done(bartizan().args(["--server", "http://127.0.0.1:1", "doctor"])).code, 7);
}

#[test]
fn a_terminal_is_needed_to_watch() {
    let said = done(bartizan().args(["watch", "dport:22"]));
    assert!(said.code == 2 && said.err.contains("needs a terminal"), "{}", said.err);
}

/// As a shell asks: the words, and which of them is being written.
fn completed(command: &mut std::process::Command, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index);
    command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "true").env("_CLAP_IFS", "\n");
    let said = done(command.arg("--").args(words));
    assert_eq!(said.code, 0, "{}", said.err);
    said.out.lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_is_told_fields_and_what_the_server_has_seen() {
    let script = done(bartizan().args(["completion", "bash"]));
    assert!(script.out.contains("COMPLETE") && script.out.contains("complete "), "{}", script.out);
    assert_eq!(completed(&mut bartizan(), &["bartizan", "search", "dpo"]), ["dport:"]);
    assert!(completed(&mut bartizan(), &["bartizan", "wat"]).contains(&"watch".to_owned()));
    let top = json!({ "columns": ["host"], "rows": [{ "host": "web-01" }, { "host": "$(reboot)" }, { "host": "db" }] });
    let (address, asked) = server(vec![document(&top), document(&top)]);
    let mut command = bartizan();
    command.env("BARTIZAN_SERVER", format!("http://{address}"));
    assert_eq!(completed(&mut command, &["bartizan", "tail", "host:w"]), ["host:web-01"]);
    assert_eq!(json_of(&asked.recv().unwrap().body)["by"], json!(["host"]));
    let mut command = bartizan();
    command.env("BARTIZAN_SERVER", format!("http://{address}"));
    assert_eq!(completed(&mut command, &["bartizan", "rules", "d"]), ["db"]);
    // nobody there: silence, and what is known without
    let mut command = bartizan();
    command.env("BARTIZAN_SERVER", "http://127.0.0.1:1");
    assert_eq!(completed(&mut command, &["bartizan", "tail", "action:rej"]), ["action:reject"]);
}

/// The script in a real shell: a colon in a filter does not end the word.
#[test]
fn bash_completes_with_the_script() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_bartizan"));
    let script = "source <(bartizan completion bash)
        [[ $COMP_WORDBREAKS != *:* ]] || exit 9
        COMP_WORDS=(bartizan search action:rej); COMP_CWORD=2; COMP_TYPE=9
        _clap_complete_bartizan bartizan action:rej search
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", script]).env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()));
    bash.env("XDG_CONFIG_HOME", "/nonexistent")
        .env("BARTIZAN_SERVER", "http://127.0.0.1:1")
        .env_remove("COMPLETE");
    let said = done(&mut bash);
    assert_eq!((said.code, said.out.as_str()), (0, "action:reject\n"), "{}", said.err);
}

#[test]
fn the_page_of_the_filter_language_is_a_manual_page() {
    let page = done(bartizan().args(["man", "filter"]));
    assert!(page.code == 0 && page.out.contains("bartizan-filter"), "{}", page.err);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(done(bartizan().args(["man", "--to"]).arg(folder.path())).code, 0);
    for name in ["bartizan.1", "bartizan-watch.1", "bartizan-filter.7"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
}

#[test]
fn colour_is_as_it_was_asked_for() {
    let row = "{\"action\":\"drop\"}\n{\"end\":{\"rows\":1,\"complete\":true}}\n";
    let coloured = |flags: &[&str], environment: &[(&str, &str)]| {
        let (address, _asked) = server(vec![rows(row)]);
        let mut command = bartizan();
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "TERM"] {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied()).args(["--server", &format!("http://{address}")]);
        done(command.args(["search", "--columns", "action"]).args(flags)).out.contains('\u{1b}')
    };
    assert!(!coloured(&[], &[]), "a pipe gets none");
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "0")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")]));
    assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}
