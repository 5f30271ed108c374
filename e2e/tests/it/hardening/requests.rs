//! What a browser is told with every answer, who may ask, and what a request may be.

use super::site::{HOME, Site};
use super::talk::{Answer, dial, hello, read_all, request, say, shake};
use bartizan_pki::{Authority, HostKey, agent_client, pinned_client};
use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

/// An answer has the whole policy.
fn check_policy(what: &str, answer: &Answer) {
    let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("{what}: no {name}: {answer:?}"));
    let policy = header("content-security-policy");
    let all = ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"];
    assert!(all.iter().all(|part| policy.contains(part)), "{what}: {policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{what}: {policy}");
    // Where a script may run at all, it makes no HTML of texts.
    assert!(
        !policy.contains("script-src") || policy.contains("require-trusted-types-for 'script'"),
        "{what}"
    );
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header("referrer-policy"), "no-referrer", "{what}");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{what}");
    assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{what}");
    assert_eq!(header("strict-transport-security"), "max-age=31536000", "{what}");
    assert!(answer.header("server").is_none(), "{what}: nobody need know what this is");
}

/// Method, path, headers, body, and the status of the answer.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);

pub(super) fn every_answer_has_the_policy(site: &Site) {
    let token = format!("Bearer {}", site.token);
    let (bearer, json) = (("authorization", token.as_str()), ("content-type", "application/json"));
    let cases: &[Case<'_>] = &[
        ("GET", "/", &[], "", 200),
        ("HEAD", "/explore", &[], "", 200),
        ("GET", "/docs", &[], "", 200),
        ("GET", "/docs/style.css", &[], "", 200),
        ("GET", "/api/v1/health", &[], "", 200),
        ("GET", "/api/v1/hosts", &[], "", 401),
        ("GET", "/api/v1/hosts", &[bearer], "", 200),
        ("POST", "/api/v1/count", &[bearer, json], r#"{"filter":""}"#, 200),
        ("POST", "/api/v1/count", &[bearer, json], r#"{"filter":"nofield:1"}"#, 400),
        ("POST", "/api/v1/count", &[bearer, json], "[", 400),
        ("GET", "/api/v1/nothing", &[bearer], "", 404),
        ("GET", "/nothing", &[], "", 404),
        ("GET", "/assets/nothing.js", &[], "", 404),
        ("GET", "/..%2f..%2fetc/passwd", &[], "", 404),
        ("DELETE", "/explore", &[], "", 405),
        ("TRACE", "/api/v1/health", &[], "", 405),
    ];
    for (method, path, headers, body, status) in cases {
        let what = format!("{method} {path}");
        let mut bytes = request(method, path, headers, body.as_bytes());
        if *method == "HEAD" {
            // Its length is that of what does not come.
            let mut stream = site.open(HOME);
            stream.write_all(&bytes).unwrap();
            bytes = read_all(&mut stream);
            assert!(bytes.starts_with(b"HTTP/1.1 200 ") && bytes.ends_with(b"\r\n\r\n"), "{what}");
            continue;
        }
        let answer = site.ask(HOME, &bytes);
        // A program may be built without its page.
        let is_page = matches!(*path, "/");
        assert!(answer.status == *status || (is_page && answer.status == 503), "{what}: {answer:?}");
        check_policy(&what, &answer);
        if path.starts_with("/api/v1/") && *path != "/api/v1/health" {
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        }
    }
    // An address has no such rule, for browsers take none.
    let bytes = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    assert_eq!(site.ask(HOME, bytes).header("strict-transport-security"), None);
}

pub(super) fn a_session_counts_where_the_page_asks(site: &Site) {
    let cookie = ("cookie", site.session.as_str());
    let json = ("content-type", "application/json");
    let body = r#"{"filter":""}"#;
    let post = |headers: &[(&str, &str)]| {
        let headers = [&[cookie, json], headers].concat();
        site.ask(HOME, &request("POST", "/api/v1/count", &headers, body.as_bytes())).status
    };
    let (own, other) = ("https://watch.example.net", "https://evil.example.net");
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]), 200);
    assert_eq!(post(&[("origin", own)]), 200);
    for site_of in ["cross-site", "same-site", "none", ""] {
        assert_eq!(post(&[("sec-fetch-site", site_of), ("origin", own)]), 403, "{site_of}");
    }
    assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")]), 403);
    assert_eq!(post(&[("origin", other)]), 403);
    assert_eq!(post(&[("origin", "null")]), 403);
    assert_eq!(post(&[]), 403);
    let get = |headers: &[(&str, &str)]| {
        let headers = [&[cookie], headers].concat();
        site.ask(HOME, &request("GET", "/api/v1/hosts", &headers, b"")).status
    };
    assert_eq!((get(&[("sec-fetch-site", "none")]), get(&[("sec-fetch-site", "cross-site")])), (200, 403));
    // Signing somebody in from elsewhere is as bad.
    let sign_in = format!(r#"{{"token":"{}"}}"#, site.token);
    let headers = [json, ("sec-fetch-site", "cross-site")];
    let answer = site.ask(HOME, &request("POST", "/api/v1/session", &headers, sign_in.as_bytes()));
    assert!(answer.status == 403 && answer.header("set-cookie").is_none(), "{answer:?}");
    // Nothing is allowed to others by headers.
    let headers = [("origin", other), ("access-control-request-method", "POST")];
    let answer = site.ask(HOME, &request("OPTIONS", "/api/v1/count", &headers, b""));
    assert!(answer.header("access-control-allow-origin").is_none() && answer.status >= 400, "{answer:?}");
}

pub(super) fn bodies_are_json_and_bounded(site: &Site) {
    let token = format!("Bearer {}", site.token);
    let post = |kind: &str, body: &[u8]| {
        let headers = [("authorization", token.as_str()), ("content-type", kind)];
        site.ask(HOME, &request("POST", "/api/v1/count", &headers, body)).status
    };
    let question = br#"{"filter":""}"#;
    assert_eq!(post("application/json; charset=utf-8", question), 200);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        assert_eq!(post(kind, question), 415, "{kind}");
    }
    let long = [br#"{"filter":""#.to_vec(), vec![b' '; 70 << 10], br#""}"#.to_vec()].concat();
    assert_eq!(post("application/json", &long), 413);
    // The same without saying how long it is.
    let head = request(
        "POST",
        "/api/v1/count",
        &[("authorization", &token), ("content-type", "application/json"), ("transfer-encoding", "chunked")],
        b"",
    );
    let chunks = [head.clone(), format!("{:x}\r\n", long.len()).into(), long, b"\r\n0\r\n\r\n".to_vec()];
    assert_eq!(site.ask(HOME, &chunks.concat()).status, 413);
    let whole = [head, b"d\r\n".to_vec(), question.to_vec(), b"\r\n0\r\n\r\n".to_vec()].concat();
    assert_eq!(site.ask(HOME, &whole).status, 200);
}

pub(super) fn a_request_is_one_and_its_head_is_bounded(site: &Site) {
    let get = |more: &str| format!("GET /api/v1/health HTTP/1.1\r\nhost: x\r\n{more}\r\n").into_bytes();
    let status = |bytes: &[u8]| {
        let answers = say(&mut site.open(HOME), bytes);
        assert!(answers.len() < 2, "{answers:?}");
        // Nothing but an end is as good as a refusal.
        answers.first().map_or(0, |answer| answer.status)
    };
    assert_eq!(status(&get("connection: close\r\n")), 200);
    let many: String = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect();
    assert_eq!(status(&get(&many)), 431, "101 headers");
    // What is read at once is not cut: twice the bound is the most that ever passes.
    assert!(matches!(status(&get(&format!("x: {}\r\n", "a".repeat(140 << 10)))), 431 | 0), "140 KB");
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70 << 10));
    assert!(matches!(status(path.as_bytes()), 414 | 431 | 0), "a path of 70 KB");
    let chunked = "transfer-encoding: chunked\r\n";
    for (what, more) in [
        ("two lengths", "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
        ("a length that is none", "content-length: +3\r\n\r\nabc"),
        ("a coding that is not known", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("chunks inside of another coding", "transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ("a name with a space", "content-length : 3\r\n\r\nabc"),
        ("a folded line", "x: a\r\n b\r\n"),
        ("a zero byte", "x: a\0b\r\n"),
        ("a bare line feed in a name", "x\ny: a\r\n"),
    ] {
        assert!(matches!(status(&get(more)), 400 | 0), "{what}");
    }
    let old = b"GET /api/v1/health HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(matches!(status(old), 400 | 0), "chunks in HTTP/1.0");
    // Two bounds of one body: whichever counts, what is behind it is no second request.
    let token = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", site.token);
    let post = format!("POST /api/v1/count HTTP/1.1\r\nhost: x\r\n{token}");
    let second = "GET /api/v1/health HTTP/1.1\r\nhost: x\r\n\r\n";
    for both in [format!("content-length: 4\r\n{chunked}"), format!("{chunked}content-length: 4\r\n")] {
        status(format!("{post}{both}\r\n0\r\n\r\n{second}").as_bytes());
    }
    // Chunks that are none end the connection.
    for chunks in
        ["zz\r\nabc\r\n0\r\n\r\n", "3;\nabc\r\n0\r\n\r\n", "ffffffffffffffffff\r\nabc", "-3\r\nabc\r\n"]
    {
        let answer = status(format!("{post}{chunked}\r\n{chunks}{second}").as_bytes());
        assert!(matches!(answer, 400 | 0), "{chunks:?}: {answer}");
    }
}

pub(super) fn tls_is_of_today_and_hosts_show_certificates(site: &Site) {
    // ECDHE with AES in GCM, which is good, with old versions; and CBC, RC4 and RSA, which are not, with a good one.
    let (good, bad) = ([0xc02b, 0xc02c], [0xc013, 0xc014, 0x002f, 0x0035, 0x0005, 0xc009]);
    let refused = |address, version, suites: &[u16]| {
        let mut stream = dial(address, HOME);
        stream.write_all(&hello(version, suites)).unwrap();
        let mut said = [0; 7];
        let alert = stream.read_exact(&mut said).is_ok() && said[0] == 21 && said[5] == 2;
        assert!(alert, "{version:?} {suites:x?}: {said:?}");
        said[6]
    };
    const VERSION: u8 = 70;
    let (front, agents) = (site.server.front(), site.server.agents());
    for (version, what) in [([3, 0], "SSL 3"), ([3, 1], "TLS 1.0"), ([3, 2], "TLS 1.1")] {
        assert_eq!(refused(front, version, &good), VERSION, "{what}");
        assert_eq!(refused(agents, version, &good), VERSION, "{what}");
    }
    refused(front, [3, 3], &bad);
    assert_eq!(refused(agents, [3, 3], &good), VERSION, "TLS 1.2 is not for hosts");
    let tls = site.open_h2(HOME);
    assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]));
    let mut other = (*site.front[0]).clone();
    other.alpn_protocols = vec![b"smtp".to_vec()];
    assert!(shake(&Arc::new(other), dial(front, HOME)).is_err(), "a protocol that is not spoken");

    // Of TLS 1.3 the client learns with its first read that its certificate was not taken.
    let ca = fs::read_to_string(site.server.dir().join("ca.pem")).unwrap();
    let foreign = || {
        let (now, key) = (bartizan_model::Micros(1_790_000_000_000_000), HostKey::generate().unwrap());
        let other = Authority::create(now).unwrap();
        let certificate = other.issue_host(&key.request().unwrap(), "steady", now, 9000).unwrap();
        agent_client(&ca, &certificate.pem, &key.reveal_pem()).unwrap()
    };
    for mut tls in [pinned_client(&ca).unwrap(), foreign()] {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let said = shake(&Arc::new(tls), dial(agents, HOME)).map(|mut stream| {
            let _ = stream.write_all(&super::talk::preface());
            read_all(&mut stream)
        });
        assert!(said.is_err() || said.is_ok_and(|said| said.is_empty()), "not a word without a certificate");
    }
}

/// Guesses, and how many of them are answered as wrong before the others have to wait.
pub(super) fn guessing_is_slow(site: &Site) {
    const GUESSES: usize = 100_000;
    const AT_ONCE: usize = 200;
    let body = r#"{"user":"anna","password":"wrong and long enough"}"#;
    let one = format!(
        "POST /api/v1/session HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let many = one.repeat(AT_ONCE);
    let mut counts = std::collections::BTreeMap::<u16, usize>::new();
    let mut stream = site.open("127.0.0.70");
    let (mut read, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    for _ in 0..GUESSES / AT_ONCE {
        stream.write_all(many.as_bytes()).unwrap();
        stream.flush().unwrap();
        let mut answered = 0;
        while answered < AT_ONCE {
            while let Some(answer) = super::talk::take_answer(&mut read) {
                *counts.entry(answer.status).or_default() += 1;
                answered += 1;
            }
            if answered < AT_ONCE {
                let n = stream.read(&mut piece).unwrap();
                assert!(n > 0, "the connection ended after {counts:?}");
                read.extend(&piece[..n]);
            }
        }
    }
    let wrong = counts.get(&401).copied().unwrap_or_default();
    assert!((1..=10 * 5).contains(&wrong), "{counts:?}: at most ten in a minute are looked at");
    assert_eq!(counts.values().sum::<usize>(), GUESSES);
    assert_eq!(counts.get(&429).copied(), Some(GUESSES - wrong), "{counts:?}");
}
