//! The binary against a server that says what a test wants: exit codes, streams, and what goes where.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

#[path = "cli/kept.rs"]
mod kept;
#[path = "cli/parse.rs"]
mod parse;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

/// A request as the fake server saw it.
struct Asked {
    line: String,
    authorization: String,
    body: String,
}

/// Answers each connection with the next of these texts, then refuses.
fn server(answers: Vec<String>) -> (SocketAddr, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, asked) = sync_channel(16);
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            send.send(read(&stream)).unwrap();
            (&stream).write_all(answer.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        }
    });
    (address, asked)
}

fn read(stream: &TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let line = next();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let header = next();
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => value.clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Asked { line, authorization, body: String::from_utf8(body).unwrap() }
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn rows(body: &str) -> String {
    answer("200 OK", "application/x-ndjson", body)
}

fn problem(status: &str, body: &str) -> String {
    answer(status, "application/problem+json", body)
}

struct Done {
    code: i32,
    out: String,
    err: String,
}

fn bartizan() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.as_encoded_bytes().starts_with(b"BARTIZAN_")) {
        command.env_remove(name);
    }
    // nobody's contexts
    command.env("XDG_CONFIG_HOME", "/nonexistent").env_remove("COMPLETE");
    command.env("TZ", "UTC").stdin(Stdio::null());
    command
}

fn done(command: &mut Command) -> Done {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// Runs a command against one answer.
fn ask(args: &[&str], answer: String) -> (Done, Asked) {
    let (address, asked) = server(vec![answer]);
    let token = tempfile::NamedTempFile::new().unwrap();
    token.as_file().write_all(b"secret\n").unwrap();
    let mut command = bartizan();
    command.args(["--server", &format!("http://{address}"), "--token-file"]).arg(token.path()).args(args);
    (done(&mut command), asked.recv().unwrap())
}

const TWO: &str = "{\"time\":\"2026-01-02T03:04:05Z\",\"src\":\"203.0.113.9\",\"dport\":22}\n\
                   {\"time\":\"2026-01-02T03:04:06Z\",\"src\":\"2001:db8::1\",\"dport\":443}\n\
                   {\"end\":{\"rows\":2,\"complete\":true,\"took_ms\":1}}\n";

#[test]
fn a_search_asks_and_shows() {
    let args = ["search", "dport:22", "--since", "2026-01-01T00:00:00Z", "-n", "7", "-o", "ndjson"];
    let (done, asked) = ask(&args, rows(TWO));
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(done.out.lines().count(), 2);
    assert_eq!(asked.line, "POST /api/v1/search HTTP/1.1");
    assert_eq!(asked.authorization, "Bearer secret");
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let expected = serde_json::json!({ "filter": "dport:22", "since": "2026-01-01T00:00:00Z", "limit": 7 });
    assert_eq!(body, expected);
}

#[test]
fn columns_limit_and_formats() {
    let (done, asked) = ask(&["search", "--columns", "src,dport", "-n", "2", "-o", "csv"], rows(TWO));
    assert_eq!(done.out, "src,dport\r\n203.0.113.9,22\r\n2001:db8::1,443\r\n");
    assert!(done.err.contains("may be more"), "{}", done.err);
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body["columns"], serde_json::json!(["src", "dport"]));
    let (done, _) = ask(&["search", "--columns", "time,src", "-n", "0"], rows(TWO));
    assert_eq!(
        done.out,
        "TIME                  SRC\n2026-01-02T03:04:05Z  203.0.113.9\n2026-01-02T03:04:06Z  2001:db8::1\n"
    );
    assert_eq!(done.err, "");
}

#[test]
fn counts_and_tops() {
    let count = || answer("200 OK", "application/json", "{\"rows\":42,\"packets\":50,\"took_ms\":1}");
    let (done, asked) = ask(&["search", "--count"], count());
    assert_eq!((done.code, done.out.as_str()), (0, "PACKETS  ROWS\n     50    42\n"));
    let (done, _) = ask(&["search", "--count", "-o", "json"], count());
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&done.out).unwrap(),
        serde_json::json!({ "rows": 42, "packets": 50 })
    );
    assert_eq!(asked.line, "POST /api/v1/count HTTP/1.1");
    let top = "{\"columns\":[\"src\",\"packets\",\"rows\"],\"rows\":[{\"src\":\"203.0.113.9\",\"packets\":9,\"rows\":5}]}";
    let args = ["search", "--by", "src", "--top", "3"];
    let (done, asked) = ask(&args, answer("200 OK", "application/json", top));
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "SRC          PACKETS  ROWS\n203.0.113.9        9     5\n")
    );
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!((&body["by"], &body["limit"]), (&serde_json::json!(["src"]), &serde_json::json!(3)));
}

#[test]
fn different_values_and_spreads() {
    let json = |body: &str| answer("200 OK", "application/json", body);
    let distinct =
        "{\"columns\":[\"dport\",\"distinct\",\"rows\"],\"rows\":[{\"dport\":22,\"distinct\":3,\"rows\":5}]}";
    let (done, asked) = ask(&["search", "--by", "dport", "--distinct", "src", "--top", "3"], json(distinct));
    assert_eq!((done.code, done.out.as_str()), (0, "DPORT  DISTINCT  ROWS\n   22         3     5\n"));
    assert_eq!(asked.line, "POST /api/v1/distinct HTTP/1.1");
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, serde_json::json!({ "filter": "", "by": "dport", "of": "src", "limit": 3 }));
    let spread = "{\"columns\":[\"src\",\"ports\",\"hosts\",\"rows\"],\"rows\":[]}";
    let (done, asked) = ask(&["search", "action:drop", "--spread", "100,5"], json(spread));
    assert_eq!((done.code, asked.line.as_str()), (0, "POST /api/v1/spread HTTP/1.1"));
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let expected = serde_json::json!({ "filter": "action:drop", "ports": 100, "hosts": 5, "limit": 10 });
    assert_eq!(body, expected);
}

/// What could be read is printed, and the exit code says that it is not all.
#[test]
fn what_is_not_complete_is_8() {
    let missing = "\"complete\":false,\"problem\":{\"detail\":\"a file is missing\"}";
    let count = format!("{{\"rows\":42,\"packets\":50,\"took_ms\":1,{missing}}}");
    let top = format!(
        "{{\"columns\":[\"src\",\"packets\"],\"rows\":[{{\"src\":\"192.0.2.1\",\"packets\":1}}],{missing}}}"
    );
    for (args, body) in [(&["search", "--count"][..], &count), (&["search", "--by", "src"][..], &top)] {
        let (done, _) = ask(args, answer("200 OK", "application/json", body));
        assert_eq!((done.code, done.out.lines().count()), (8, 2), "{args:?} {}", done.out);
        assert!(done.err.contains("a file is missing") && !done.out.contains("complete"), "{}", done.err);
    }
    let (done, _) = ask(&["search", "--count", "-o", "json"], answer("200 OK", "application/json", &count));
    assert_eq!((done.code, done.out.as_str()), (8, "{\"packets\":50,\"rows\":42}\n"));
}

#[test]
fn a_filter_with_a_typo_asks_nobody() {
    for args in [["search", "dprot:22"], ["tail", "dprot:22"]] {
        // Nobody listens on this port; a request would end with 7.
        let done = done(bartizan().args(["--server", "http://127.0.0.1:1"]).args(args));
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains("\n  dprot:22\n  ^^^^^\n"), "{}", done.err);
        assert!(done.err.contains("dport:22"), "{}", done.err);
        assert_eq!(done.out, "");
    }
    let done = done(bartizan().args(["search", "--columns", "dprot"]));
    assert_eq!(
        (done.code, done.err.as_str()),
        (2, "error: events have no column \"dprot\" (did you mean \"dport\"?)\n")
    );
}

#[test]
fn a_filter_is_checked_without_a_server() {
    let good = done(bartizan().args(["filter", "check", "DPORT:ssh  action:drop"]));
    assert_eq!((good.code, good.out.as_str(), good.err.as_str()), (0, "dport:22 action:drop\n", ""));
    let bad = done(bartizan().args(["filter", "check", "dport:70000"]));
    assert_eq!((bad.code, bad.out.as_str()), (2, ""));
    assert!(bad.err.contains('^'), "{}", bad.err);
    let flows = done(bartizan().args(["filter", "check", "--table", "flows", "len:>9"]));
    assert!(flows.code == 2 && flows.err.contains("did you mean: bytes:>9"), "{}", flows.err);
    let line = "kernel: IN=eth0 OUT= SRC=203.0.113.7 DST=10.0.0.2 PROTO=TCP SPT=40000 DPT=22 \x1b[2J";
    let pasted = done(bartizan().args(["filter", "check", line]));
    let meant = "did you mean: src:203.0.113.7 dst:10.0.0.2 proto:tcp sport:40000 dport:22";
    assert!(pasted.code == 2 && pasted.err.contains(meant), "{}", pasted.err);
    let hostile = done(bartizan().args(["filter", "check", "prefix:\"a\x1b[2J\u{202e}\""]));
    assert_eq!((hostile.code, hostile.out.as_str()), (0, "prefix:\"a\\x1b[2j\\u{202e}\"\n"));
}

#[test]
fn a_filter_is_said_in_words_without_a_server() {
    let said = done(bartizan().args(["filter", "explain", "dport:ssh -host:web*"]));
    let expected =
        "all of:\n  dport (destination port) is 22\n  not: host (the host that logged it) is like web*\n";
    assert_eq!((said.code, said.out.as_str()), (0, expected));
    let bad = done(bartizan().args(["filter", "explain", "dprot:22"]));
    assert_eq!((bad.code, bad.out.as_str()), (2, ""));
}

/// What only a server can know is no mistake here.
#[test]
fn names_that_a_server_may_know_are_left_to_it() {
    for filter in ["group:db", "src:@office", "dst:fleet", "dport:nosuchservice"] {
        let (done, asked) = ask(&["search", filter], rows("{\"end\":{\"rows\":0,\"complete\":true}}\n"));
        assert_eq!(done.code, 0, "{filter}: {}", done.err);
        assert!(asked.body.contains(filter), "{}", asked.body);
    }
}

#[test]
fn the_servers_errors_have_their_exit_codes() {
    let span = "{\"detail\":\"no such set\",\"span\":{\"start\":4,\"end\":8},\"proposal\":\"src:@two\"}";
    for (status, body, code, text) in [
        ("401 Unauthorized", "{\"detail\":\"a token is needed\"}", 4, "a token is needed"),
        ("403 Forbidden", "{}", 4, "403"),
        ("404 Not Found", "{\"detail\":\"nothing here\"}", 5, "nothing here"),
        ("400 Bad Request", "{\"detail\":\"since is after until\"}", 2, "since is after until"),
        ("400 Bad Request", span, 2, "  src:@one\n      ^^^^\n"),
        ("500 Internal Server Error", "not json", 1, "500"),
        ("503 Service Unavailable", "{\"detail\":\"try again\"}", 7, "try again"),
    ] {
        let (done, _) = ask(&["search", "src:@one"], problem(status, body));
        assert_eq!(done.code, code, "{status} {}", done.err);
        assert!(done.err.contains(text), "{status} {}", done.err);
        assert_eq!(done.out, "");
    }
}

#[test]
fn who_has_no_token_is_told_how_to_give_one() {
    let (address, asked) =
        server(vec![problem("401 Unauthorized", "{\"detail\":\"a bearer token is needed\"}")]);
    let done = done(bartizan().args(["--server", &format!("http://{address}"), "hosts"]));
    assert_eq!(done.code, 4);
    assert!(done.err.contains("--token-file"), "{}", done.err);
    assert_eq!(asked.recv().unwrap().authorization, "");
}

#[test]
fn nobody_there_is_7() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done_ = done(bartizan().args(["--server", &format!("http://{nobody}"), "hosts"]));
    assert_eq!(done_.code, 7, "{}", done_.err);
    let empty = tempfile::tempdir().unwrap();
    let nowhere = done(bartizan().arg("--dir").arg(empty.path()).arg("hosts"));
    assert_eq!(nowhere.code, 7);
    assert!(nowhere.err.contains("address"), "{}", nowhere.err);
}

#[test]
fn half_an_answer_is_shown_and_is_8() {
    let half = TWO.lines().next().unwrap();
    for body in [
        format!("{half}\n"),
        format!("{half}\n{{\"time\":\"2026"),
        format!(
            "{half}\n{{\"end\":{{\"rows\":1,\"complete\":false,\"problem\":{{\"detail\":\"a file is gone\"}}}}}}\n"
        ),
    ] {
        let (done, _) = ask(&["search", "-o", "json"], rows(&body));
        assert_eq!(done.code, 8, "{body}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&done.out).unwrap().as_array().unwrap().len(),
            1
        );
        assert!(!done.err.is_empty());
    }
    // The connection breaks where more bytes were announced.
    let broken = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{half}\n");
    let (done, _) = ask(&["search", "-o", "ndjson"], broken);
    assert_eq!((done.code, done.out.lines().count()), (8, 1), "{}", done.err);
}

#[test]
fn what_an_attacker_writes_reaches_no_terminal() {
    let body =
        "{\"prefix\":\"\\u001b]0;x\\u0007\u{9b}2J\u{202e}\"}\n{\"end\":{\"rows\":1,\"complete\":true}}\n";
    for format in ["table", "json", "ndjson"] {
        let (done, _) = ask(&["search", "--columns", "prefix", "-o", format], rows(body));
        assert!(!done.out.contains(['\x1b', '\x07', '\u{9b}', '\u{202e}']), "{format}: {:?}", done.out);
        assert_eq!(done.code, 0);
    }
    let (done, _) = ask(&["hosts"], problem("404 Not Found", "{\"detail\":\"\\u001b[31m\"}"));
    assert!(done.err.contains("\\x1b[31m") && !done.err.contains('\x1b'), "{:?}", done.err);
}

#[test]
fn usage_is_2() {
    for args in [
        &["serch"] as &[&str],
        &["search", "--since", "tomorrow"],
        &["search", "--count", "--by", "src"],
        &["search", "--distinct", "src"],
        &["search", "--by", "src,dport", "--distinct", "host"],
        &["search", "--spread", "100"],
        &["flows", "--spread", "100,5"],
        &["token", "create", "--ttl", "never"],
        &["--server", "ftp://x", "hosts"],
        &["--server", "http://192.0.2.1:1", "hosts"],
        &["--server", "https://127.0.0.1:1", "--ca", "/nonexistent", "hosts"],
    ] {
        let done = done(bartizan().args(args));
        assert_eq!(done.code, 2, "{args:?} {}", done.err);
        assert_eq!(done.out, "", "{args:?}");
    }
}

#[test]
fn a_closed_pipe_is_quiet() {
    let many = format!(
        "{}{{\"end\":{{\"rows\":1,\"complete\":true}}}}\n",
        "{\"src\":\"203.0.113.9\"}\n".repeat(200_000)
    );
    let (address, _asked) = server(vec![rows(&many)]);
    let mut command = bartizan();
    command.args(["--server", &format!("http://{address}"), "search", "-n", "0", "-o", "ndjson"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_tail_survives_a_lost_connection() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let first = format!(
        "{head}event: row\ndata: {{\"src\":\"203.0.113.1\"}}\n\n\
         event: stats\ndata: {{\"matched\":8,\"shown\":1,\"skipped\":7,\"missed\":0}}\n\n"
    );
    let second = format!("{head}event: row\ndata: {{\"src\":\"203.0.113.2\",\"dport\":22}}\n\n");
    let (address, _asked) = server(vec![first, second]);
    let mut command = bartizan();
    command.args([
        "--server",
        &format!("http://{address}"),
        "tail",
        "-n",
        "2",
        "-o",
        "ndjson",
        "--columns",
        "src",
    ]);
    let done = done(&mut command);
    assert_eq!(done.out, "{\"src\":\"203.0.113.1\"}\n{\"src\":\"203.0.113.2\"}\n");
    assert_eq!(done.code, 0, "{}", done.err);
    for said in ["7 rows skipped", "connection lost", "connected again"] {
        assert!(done.err.contains(said), "{said}: {}", done.err);
    }
}

/// A server that says how far a reader has come is asked to go on behind that.
#[test]
fn a_tail_goes_on_where_it_was() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let first = format!("{head}id: a1\nevent: row\ndata: {{\"src\":\"203.0.113.1\"}}\n\n");
    let second = format!("{head}id: a2\nevent: row\ndata: {{\"src\":\"203.0.113.2\"}}\n\n");
    let (address, asked) = server(vec![first, second]);
    let url = format!("http://{address}");
    let done =
        done(bartizan().args(["--server", &url, "tail", "-n", "2", "-o", "ndjson", "--columns", "src"]));
    assert_eq!((done.code, done.out.lines().count()), (0, 2), "{}", done.err);
    assert!(done.err.contains("what came in between follows"), "{}", done.err);
    let bodies: Vec<serde_json::Value> =
        (0..2).map(|_| serde_json::from_str(&asked.recv().unwrap().body).unwrap()).collect();
    assert_eq!(
        bodies,
        [serde_json::json!({ "filter": "" }), serde_json::json!({ "filter": "", "after": "a1" })]
    );
}

#[test]
fn what_asks_nobody_works_everywhere() {
    for (args, text) in [
        (&["version"] as &[&str], "bartizan 0."),
        (&["completion", "bash"], "bartizan"),
        (&["man"], ".TH"),
        (&["--help"], "Exit codes"),
    ] {
        let done = done(bartizan().args(args));
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{args:?}");
        assert!(done.out.contains(text), "{args:?}: {}", done.out);
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(done(bartizan().args(["man", "--to"]).arg(folder.path())).code, 0);
    assert!(folder.path().join("bartizan-search.1").exists());
}

#[test]
fn other_tables_are_asked_by_their_commands() {
    let flow = "{\"time\":\"2026-01-02T03:04:05Z\",\"src\":\"203.0.113.9\",\"nat\":\"snat\",\"bytes\":70000}\n\
                {\"end\":{\"rows\":1,\"complete\":true,\"took_ms\":1}}\n";
    let (done, asked) = ask(&["flows", "reply.dst:192.0.2.1", "-o", "ndjson"], rows(flow));
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(asked.line, "POST /api/v1/search HTTP/1.1");
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(body, serde_json::json!({ "table": "flows", "filter": "reply.dst:192.0.2.1", "limit": 100 }));
    let (done, _) = ask(&["flows", "--columns", "src,nat,bytes"], rows(flow));
    assert_eq!(done.out, "SRC          NAT   BYTES\n203.0.113.9  snat  70000\n");

    let top = "{\"columns\":[\"object\",\"packets\",\"bytes\",\"rows\"],\"rows\":[{\"object\":\"x\",\"packets\":3,\"bytes\":9,\"rows\":1}]}";
    let (done, asked) =
        ask(&["counters", "kind:rule", "--by", "object"], answer("200 OK", "application/json", top));
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "OBJECT  PACKETS  BYTES  ROWS\nx             3      9     1\n")
    );
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(
        (&body["table"], &body["by"]),
        (&serde_json::json!("counters"), &serde_json::json!(["object"]))
    );

    // What is no field of the table asks nobody.
    let done = done_of(&["flows", "prefix:x"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("`prefix` is a field of events, not of flows"), "{}", done.err);
    let done = done_of(&["counters", "--columns", "dport"]);
    assert!(done.code == 2 && done.err.contains("counters have no column"), "{}", done.err);
}

fn done_of(args: &[&str]) -> Done {
    done(bartizan().args(args))
}

#[test]
fn a_ruleset_is_printed_with_who_made_it_so() {
    let body = serde_json::json!({
        "time": "2026-01-02T03:04:05.000000Z", "host": "web-01", "netns": "", "generation": "00ff", "pid": 77,
        "process": "nft", "notes": ["one \u{1b}[2J note"],
        "forms": [
            { "form": "iptables-save", "text": "*filter\n" },
            { "form": "nft", "text": "table inet filter {\n\tchain \u{1b}[31m {\n" },
        ],
    });
    let document = || answer("200 OK", "application/json", &body.to_string());
    let (done, asked) = ask(&["rules", "web-01", "--at", "2026-01-03T00:00:00Z"], document());
    assert_eq!(
        done.out,
        "# ruleset 00ff of web-01, active since 2026-01-02T03:04:05.000000Z, by nft (pid 77)\n\
         table inet filter {\n\tchain \\x1b[31m {\n"
    );
    assert_eq!(done.err, "-- one \\x1b[2J note --\n");
    let asked: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(asked, serde_json::json!({ "host": "web-01", "at": "2026-01-03T00:00:00Z" }));
    let (done, _) = ask(&["rules", "web-01", "--form", "iptables-save"], document());
    assert!(done.out.ends_with("\n*filter\n"), "{}", done.out);
    let (done, _) = ask(&["rules", "web-01", "--form", "nft-json"], document());
    assert_eq!(done.code, 5);
    assert!(done.err.contains("iptables-save, nft"), "{}", done.err);
}

#[test]
fn an_export_is_a_file_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.csv");
    let to = path.to_str().unwrap();
    let half = "{\"src\":\"203.0.113.9\"}\n";
    let (done, _) = ask(&["export", "-o", "csv", "--columns", "src", "--to", to], rows(half));
    assert_eq!(done.code, 8, "{}", done.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let whole = format!("{half}{{\"end\":{{\"rows\":1,\"complete\":true}}}}\n");
    let (done, asked) =
        ask(&["export", "dport:22", "-o", "csv", "--columns", "src", "--to", to], rows(&whole));
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "", ""));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "src\r\n203.0.113.9\r\n");
    assert_eq!(asked.line, "POST /api/v1/export HTTP/1.1");
    let (done, _) =
        ask(&["export", "-o", "parquet"], answer("200 OK", "application/vnd.apache.parquet", "PAR1"));
    assert_eq!((done.code, done.out.as_str()), (0, "PAR1"));
}

#[test]
fn a_capture_file_holds_the_packets_and_says_what_it_leaves_out() {
    let body = "{\"time\":\"2026-01-02T03:04:05.000001Z\",\"payload\":\"4500001400000000401100007f0000017f000002\"}\n\
                {\"time\":\"2026-01-02T03:04:07Z\",\"payload\":\"00010800\"}\n\
                {\"end\":{\"rows\":2,\"complete\":true}}\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.pcap");
    let (done, asked) = ask(&["export", "-o", "pcap", "--to", path.to_str().unwrap()], rows(body));
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("1 of 2 packets are not IP packets"), "{}", done.err);
    let asked: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(asked, serde_json::json!({ "filter": "", "columns": ["time", "payload"], "payload": true }));
    let file = std::fs::read(&path).unwrap();
    assert_eq!(file.len(), 24 + 16 + 20);
    let Ok(seen) = Command::new("tcpdump").args(["-nn", "-tt", "-r"]).arg(&path).output() else {
        return eprintln!("no tcpdump here: the file is not held against it");
    };
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(seen.starts_with("1767323045.000001 IP 127.0.0.1 > 127.0.0.2:"), "{seen}");
}

#[test]
fn an_event_is_shown_in_words() {
    let ruleset = |generation: &str| {
        serde_json::json!({ "time": "2026-01-02T03:04:05.000000Z", "host": "web-01", "netns": "", "generation": generation,
            "pid": 77, "process": "nft" })
    };
    let rule = |text: &str| serde_json::json!({ "table": "inet filter", "chain": "input", "handle": 4, "position": 2, "text": text });
    let mut then = rule("tcp dport 22 drop");
    then["ruleset"] = ruleset("aa");
    let body = serde_json::json!({
        "event": { "time": "2026-01-02T03:04:06.000000Z", "host": "web-01", "action": "drop", "prefix": "ssh\u{1b}[2J",
            "dport": 22, "id": "h/0/e/1/0", "rule": "tcp dport 22 drop", "stream": "h/0/e", "seq": 1, "row": 0 },
        "rule": then,
        "now": { "state": "changed", "ruleset": ruleset("bb"), "rule": rule("tcp dport 2222 drop") },
    });
    let document = || answer("200 OK", "application/json", &body.to_string());
    let (done, asked) = ask(&["show", "h/0/e/1/0"], document());
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(asked.line, "POST /api/v1/event HTTP/1.1");
    assert_eq!(asked.body, "{\"id\":\"h/0/e/1/0\"}");
    assert_eq!(
        done.out,
        "event        h/0/e/1/0
time         2026-01-02T03:04:06.000000Z
host         web-01
prefix       ssh\\x1b[2J
dport        22
action       drop

logged by    tcp dport 22 drop
             table inet filter, chain input, rule 2, handle 4
             in ruleset aa of web-01, active since 2026-01-02T03:04:05.000000Z, by nft (pid 77)

since then   changed (ruleset bb of web-01, active since 2026-01-02T03:04:05.000000Z, by nft (pid 77))
             - tcp dport 22 drop
             + tcp dport 2222 drop
             table inet filter, chain input, rule 2, handle 4
"
    );
    let (done, _) = ask(&["show", "h/0/e/1/0", "-o", "json"], document());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&done.out).unwrap(), body);
    let (done, _) = ask(&["show", "x"], problem("404 Not Found", "{\"detail\":\"there is no event x\"}"));
    assert_eq!((done.code, done.err.as_str()), (5, "error: there is no event x\n"));
}

#[test]
fn hits_are_a_table_with_what_is_gone() {
    let body = serde_json::json!({
        "ruleset": { "generation": "aa", "host": "web-01", "time": "2026-01-02T03:04:05Z" }, "unattributed": 3,
        "rules": [{ "table": "inet filter", "chain": "input", "handle": 4, "position": 1, "rule": "tcp dport 22 drop",
            "counted": 10, "bytes": 600, "logged": 8, "coverage": 80.0, "last": "2026-01-02T03:04:06Z", "state": "hit" }],
        "gone": [{ "table": "inet filter", "chain": "input", "rule": "old", "logged": 1, "state": "hit" }],
    });
    let (done, asked) = ask(
        &["rules", "web-01", "--hits", "--since", "2026-01-01T00:00:00Z"],
        answer("200 OK", "application/json", &body.to_string()),
    );
    assert_eq!(
        done.out,
        "TABLE        CHAIN  HANDLE  STATE  COUNTED  LOGGED  COVERAGE  LAST                  RULE
inet filter  input       4  hit         10       8      80.0  2026-01-02T03:04:06Z  tcp dport 22 drop
inet filter  input       -  gone         -       1         -  -                     old
"
    );
    assert!(done.err.contains("3 logged packets are of no rule"), "{}", done.err);
    let asked: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    assert_eq!(asked, serde_json::json!({ "host": "web-01", "since": "2026-01-01T00:00:00Z" }));
}
