//! The page and its sessions, as a browser and as an attacker ask: files, headers, cookies.

use bartizan_e2e::process::Server;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// An answer, in pieces.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert_eq!(found.next(), None, "{name} twice");
        value
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The secret of the session that it makes.
    fn secret(&self) -> String {
        assert_eq!(self.status, 204, "{self:?}");
        let cookie = self.header("set-cookie").unwrap();
        let secret = cookie.strip_prefix("__Host-bartizan=").unwrap().split(';').next().unwrap();
        assert_eq!(
            cookie,
            format!("__Host-bartizan={secret}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=604800")
        );
        assert!(secret.len() >= 43, "256 bits");
        secret.to_owned()
    }
}

/// Asks with curl: it takes a path as it is, and says of a header what it is told.
fn curl(server: &Server, path: &str, args: &[&str]) -> Answer {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "30", "--path-as-is", "--cacert"])
        .arg(server.dir().join("ca.pem"))
        .args(args)
        .arg(format!("https://{}{path}", server.front()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{path} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let end = output.stdout.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(output.stdout[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header =
        |line: &str| line.split_once(": ").map(|(n, value)| (n.to_ascii_lowercase(), value.to_owned()));
    Answer { status, headers: lines.filter_map(header).collect(), body: output.stdout[end + 4..].to_vec() }
}

fn started(dir: &Path) -> Server {
    let mut server = Server::new(&dir.join("server"), "commit.age_ms = 200").unwrap();
    server.start().unwrap();
    server
}

/// Whether the program has its page.
pub(crate) fn is_built(server: &Server) -> bool {
    curl(server, "/", &[]).status == 200
}

/// Takes in rows: packets of one minute from a few addresses.
fn imported(server: &Server, dir: &Path, rows: usize) {
    let line = |n: usize| {
        format!(
            "2026-11-20T10:00:{:02}Z host-{} kernel: in drop: IN=eth0 OUT= SRC=203.0.113.{} DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=1 DF PROTO=TCP SPT={} DPT={} WINDOW=1024 RES=0x00 SYN URGP=0\n",
            n % 60,
            n % 3,
            n % 50,
            1024 + n,
            [22, 23, 443, 3389][n % 4],
        )
    };
    let file = dir.join("rows.log");
    fs::write(&file, (0..rows).map(line).collect::<String>()).unwrap();
    server.ask(&["import", file.to_str().unwrap(), "-q", "--zone", "UTC"]).unwrap();
}

fn token(server: &Server) -> String {
    fs::read_to_string(server.dir().join("admin.token")).unwrap().trim().to_owned()
}

fn sign_in(server: &Server, token: &str, args: &[&str]) -> Answer {
    let body = serde_json::json!({"token": token}).to_string();
    curl(server, "/api/v1/session", &[&["--json", body.as_str()], args].concat())
}

/// Asks as the page does.
fn own(server: &Server, secret: &str, path: &str, args: &[&str]) -> Answer {
    let cookie = format!("cookie: __Host-bartizan={secret}");
    curl(
        server,
        path,
        &[&["--header", cookie.as_str(), "--header", "sec-fetch-site: same-origin"], args].concat(),
    )
}

/// The SHA-256 of a text as a policy has it, by a program that is not ours.
fn sha256(text: &str) -> String {
    let mut child = Command::new("sh")
        .args(["-c", "openssl dgst -sha256 -binary | openssl base64 -A"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn everything_of_the_page_carries_its_policy_and_nothing_else_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = started(dir.path());
    let built = is_built(&server);
    for path in ["/", "/explore?q=a", "/event/07/0/1/2/3", "/fleet/web-01", "/sign-in", "/assets/none.js"] {
        let answer = curl(&server, path, &[]);
        let page = if built { 200 } else { 503 };
        assert_eq!(answer.status, if path.starts_with("/assets") { 404 } else { page }, "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'; script-src 'self'",
            "; style-src 'self'; img-src 'self' data:; connect-src 'self'; ",
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("permissions-policy").unwrap().contains("camera=()"));
        assert_eq!(answer.header("strict-transport-security"), None, "not for an address");
    }
    let named = ["--insecure", "--header", "host: watch.example.net"];
    assert_eq!(curl(&server, "/", &named).header("strict-transport-security"), Some("max-age=31536000"));

    for path in [
        "/none",
        "/index.html",
        "/explore/x",
        "/assets/",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/../index.html",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/..%2fetc/passwd",
        "/assets/..%5c..%5cetc%5cpasswd",
        "/assets//etc/passwd",
        "/assets/none.js%00.css",
        "/admin.token",
        "/ca.pem",
    ] {
        for protocol in ["--http1.1", "--http2"] {
            let answer = curl(&server, path, &[protocol]);
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        }
    }
    let answer = curl(&server, "/api/v1/none", &[]);
    assert_eq!(answer.status, 401, "the API does not say what it has");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(curl(&server, "/explore", &["--request", "POST"]).status, 405);
    assert_eq!(curl(&server, "/api/v1/health", &[]).status, 200);
    assert_eq!(curl(&server, "/docs", &[]).status, 200);
}

#[test]
fn the_files_of_the_page_are_packed_kept_and_the_only_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let server = started(dir.path());
    if !is_built(&server) {
        let page = curl(&server, "/", &[]).text();
        assert!(page.contains("make build") && !page.contains("<script"), "{page}");
        eprintln!("not run: this program was built without its page (`cargo xtask page`, and build again)");
        return;
    }
    let index = curl(&server, "/", &[]);
    assert_eq!(index.header("cache-control"), Some("no-cache"));
    assert_eq!(index.header("content-encoding"), None);
    let policy = index.header("content-security-policy").unwrap();
    let html = index.text();
    // What the policy lets run is what stands in the page, by the hash of its bytes, and no more.
    let mut inline = 0;
    for part in html.split("<script").skip(1) {
        let (attributes, rest) = part.split_once('>').unwrap();
        if !attributes.contains("src=") {
            inline += 1;
            let hash = sha256(rest.split_once("</script").unwrap().0);
            assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
        }
    }
    assert_eq!(policy.matches("'sha256-").count(), inline, "{policy}");

    let names: Vec<&str> =
        html.split("\"/assets/").skip(1).map(|part| part.split('"').next().unwrap()).collect();
    assert!(!names.is_empty(), "{html}");
    for name in names {
        let path = format!("/assets/{name}");
        let plain = curl(&server, &path, &[]);
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{name}");
        assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(plain.header("vary"), Some("accept-encoding"));
        let mut tags = vec![plain.header("etag").unwrap().to_owned()];
        for (accept, encoding) in
            [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0.1, gzip", "gzip")]
        {
            let accept = format!("accept-encoding: {accept}");
            let packed = curl(&server, &path, &["--header", &accept]);
            assert_eq!(packed.header("content-encoding"), Some(encoding), "{name}");
            assert!(packed.body.len() < plain.body.len(), "{name}");
            assert_eq!(packed.header("content-type"), plain.header("content-type"));
            let unpacked = curl(&server, &path, &["--header", &accept, "--compressed"]);
            assert_eq!(unpacked.body, plain.body, "{name} as {encoding}");
            let tag = packed.header("etag").unwrap().to_owned();
            let again =
                curl(&server, &path, &["--header", &accept, "--header", &format!("if-none-match: {tag}")]);
            assert_eq!((again.status, again.body.len()), (304, 0), "{name}");
            tags.push(tag);
        }
        tags.dedup();
        assert_eq!(tags.len(), 3, "each form has its own: {tags:?}");
        let head = curl(&server, &path, &["--head"]);
        assert_eq!(head.header("content-length"), Some(plain.body.len().to_string().as_str()));
    }
}

#[test]
fn a_session_lives_until_it_is_ended_and_only_for_this_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = started(dir.path());
    imported(&server, dir.path(), 40);
    let token = token(&server);
    assert_eq!(sign_in(&server, "wrong", &[]).status, 401);
    let secret = sign_in(&server, &token, &["--user-agent", "Test/1"]).secret();
    let other = sign_in(&server, &token, &[]).secret();

    let question = ["--json", "{\"filter\":\"dport:22\"}"];
    assert_eq!(own(&server, &secret, "/api/v1/count", &question).json()["rows"], 10);
    let list = own(&server, &secret, "/api/v1/sessions", &[]).json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2);
    let this = own(&server, &secret, "/api/v1/session", &[]).json()["name"].clone();
    let mine = list.iter().find(|session| session["name"] == this).unwrap();
    assert_eq!((&mine["browser"], &mine["address"]), (&Value::from("Test/1"), &Value::from("127.0.0.1")));

    // A page of somebody else makes the browser ask, cookie and all.
    let cookie = format!("cookie: __Host-bartizan={secret}");
    for headers in [
        &["sec-fetch-site: cross-site"] as &[&str],
        &["sec-fetch-site: same-site"],
        &["sec-fetch-site: none"],
        &["origin: https://elsewhere.example"],
        &["origin: null"],
        &[],
    ] {
        let mut asked = vec!["--header", cookie.as_str()];
        for header in headers {
            asked.extend(["--header", header]);
        }
        // Over HTTP/2 without a body: curl before 8 takes the end of one that nobody reads for an error.
        for how in [["--http1.1", "--json", question[1]], ["--http2", "--request", "POST"]] {
            let args = [asked.as_slice(), how.as_slice()].concat();
            let answer = curl(&server, "/api/v1/count", &args);
            assert_eq!(
                (answer.status, &answer.json()["type"]),
                (403, &"urn:bartizan:cross-site".into()),
                "{headers:?}"
            );
        }
    }
    let origin = format!("origin: https://{}", server.front());
    for protocol in ["--http1.1", "--http2"] {
        let args = ["--header", cookie.as_str(), "--header", origin.as_str(), protocol];
        assert_eq!(curl(&server, "/api/v1/session", &args).status, 200, "an old browser, {protocol}");
    }

    server.kill().unwrap();
    server.start().unwrap();
    assert_eq!(own(&server, &secret, "/api/v1/session", &[]).json()["name"], this, "after a crash");
    let log = fs::read_to_string(server.dir().join("server.log")).unwrap();
    for hidden in [&token, &secret, &other] {
        assert!(!log.contains(hidden.as_str()), "a secret is in the log");
    }

    let names = own(&server, &other, "/api/v1/session", &[]).json()["name"].clone();
    let revoke = serde_json::json!({"session": names}).to_string();
    assert_eq!(own(&server, &secret, "/api/v1/sessions/revoke", &["--json", &revoke]).status, 200);
    assert_eq!(own(&server, &other, "/api/v1/session", &[]).status, 401);
    let out = own(&server, &secret, "/api/v1/session", &["--request", "DELETE"]);
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(own(&server, &secret, "/api/v1/session", &[]).status, 401);
    server.stop().unwrap();
    server.start().unwrap();
    assert_eq!(own(&server, &secret, "/api/v1/session", &[]).status, 401, "ended for good");
}

#[test]
fn a_session_ends_with_time_and_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = started(dir.path());
    let old_token = token(&server);
    let mut session = |change: &str| {
        let secret = sign_in(&server, &token(&server), &[]).secret();
        server.stop().unwrap();
        let catalog = server.dir().join("catalog.db");
        let status = Command::new("sqlite3").arg(&catalog).arg(change).status().unwrap();
        assert!(status.success());
        server.start().unwrap();
        own(&server, &secret, "/api/v1/session", &[]).status
    };
    const HOUR: i64 = 3_600_000_000;
    let earlier = |used: i64, created: i64| {
        format!("UPDATE sessions SET used = used - {}, created = created - {}", used * HOUR, created * HOUR)
    };
    assert_eq!(session(&earlier(11, 11)), 200);
    assert_eq!(session(&earlier(13, 13)), 401, "not used for half a day");
    assert_eq!(session(&earlier(1, 7 * 24 - 1)), 200);
    assert_eq!(session(&earlier(1, 7 * 24 + 1)), 401, "a week old");
    assert_eq!(session("DELETE FROM sessions"), 401);

    let secret = sign_in(&server, &old_token, &[]).secret();
    server.stop().unwrap();
    fs::remove_file(server.dir().join("admin.token")).unwrap();
    server.start().unwrap();
    assert_ne!(token(&server), old_token);
    assert_eq!(own(&server, &secret, "/api/v1/session", &[]).status, 401, "its token is gone");
    assert_eq!(sign_in(&server, &old_token, &[]).status, 401);
}

#[test]
fn who_tries_wrong_tokens_waits_and_nobody_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let server = started(dir.path());
    let token = token(&server);
    let statuses: Vec<u16> = (0..12).map(|_| sign_in(&server, "wrong", &[]).status).collect();
    assert_eq!((&statuses[..10], &statuses[10..]), (&[401; 10][..], &[429, 429][..]));
    let waits = sign_in(&server, &token, &[]);
    let seconds: u64 = waits.header("retry-after").unwrap().parse().unwrap();
    assert_eq!((waits.status, (1..=60).contains(&seconds)), (429, true));
    assert_eq!(sign_in(&server, &token, &["--interface", "127.0.0.2"]).status, 204);
    server.ask(&["hosts"]).unwrap();
    assert_eq!(sign_in(&server, &"x".repeat(5000), &["--interface", "127.0.0.2"]).status, 413);
}
