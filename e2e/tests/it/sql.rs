//! SQL by every way to a running server: the command line, the HTTP API behind it, and Flight SQL by two clients that
//! are not ours and have nothing in common: the ADBC driver from Python, and Arrow's `flight_sql_client`.

use bartizan_e2e::process::{Server, binaries};
use bartizan_e2e::python::Script;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Questions that give whole rows in an order of their own.
const QUESTIONS: &[&str] = &[
    "SELECT count(*) AS n, sum(packets) AS packets FROM events",
    "SELECT host, src, dport FROM events ORDER BY time, src, sport LIMIT 25",
    "SELECT dport, count(*) AS n FROM events GROUP BY dport ORDER BY n DESC, dport",
    "SELECT src, count(*) AS n FROM events GROUP BY src ORDER BY n DESC, src LIMIT 10",
    "SELECT count(*) AS n FROM events WHERE src = '192.0.2.7'",
    "SELECT count(*) AS n FROM events WHERE src = ip('192.0.2.7') OR dst = ip('10.0.0.9')",
    "SELECT count(*) AS n FROM events WHERE in_cidr(src, '192.0.2.0/28')",
    "SELECT cidr(src, 30) AS net, count(*) AS n FROM events GROUP BY net ORDER BY net",
    "SELECT service(dport) AS service, count(*) AS n FROM events GROUP BY service ORDER BY service",
    "SELECT proto_name(proto) AS proto, flags_text(tcp_flags) AS flags, count(*) AS n FROM events GROUP BY proto, flags ORDER BY n, flags",
    "SELECT date_trunc('minute', time) AS minute, count(*) AS n FROM events GROUP BY minute ORDER BY minute",
    "SELECT prefix, min(length) AS a, max(length) AS b, avg(length) AS c FROM events GROUP BY prefix ORDER BY prefix",
    "SELECT count(DISTINCT src) AS sources, count(DISTINCT dport) AS ports FROM events",
    "WITH ssh AS (SELECT * FROM events WHERE dport = 22) SELECT src, count(*) AS n FROM ssh GROUP BY src ORDER BY src",
    "SELECT a.src, count(*) AS n FROM events a JOIN events b ON a.src = b.src AND a.dport < b.dport GROUP BY a.src ORDER BY a.src",
    "SELECT src, sport, row_number() OVER (PARTITION BY src ORDER BY time, sport) AS nth FROM events ORDER BY src, nth LIMIT 20",
    "SELECT inet_ntoa(ip_saddr) AS src, tcp_dport, count(*) AS n FROM ulog WHERE tcp_syn = 1 GROUP BY ip_saddr, tcp_dport ORDER BY n DESC, src, tcp_dport LIMIT 10",
    "SELECT dport FROM events EXCEPT SELECT dport FROM events WHERE dport > 100 ORDER BY dport",
    "SELECT table_name, table_type FROM information_schema.tables ORDER BY table_name",
    "SELECT true AS yes, 1.5 AS x, CAST(NULL AS TEXT) AS nothing, 'é\"' AS text",
    "SELECT host, min(dport) FILTER (WHERE dport > 100) AS port FROM events GROUP BY host",
];

/// What is refused, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    ("SELEC 1", "SELEC"),
    ("SELECT 1; SELECT 2", "one statement at a time"),
    ("INSERT INTO events VALUES (1)", "only questions are answered"),
    ("DELETE FROM events", "only questions are answered"),
    ("COPY events TO '/tmp/x'", "only questions are answered"),
    ("SET datafusion.execution.batch_size = 1", "only questions are answered"),
    (
        "CREATE EXTERNAL TABLE t (a INT) STORED AS PARQUET LOCATION '/etc/passwd'",
        "only questions are answered",
    ),
    ("SELECT * FROM read_csv('/etc/passwd')", "read_csv"),
    ("SELECT * FROM '/etc/passwd'", "there is no table"),
    ("SELECT * FROM event", "did you mean `events`"),
    ("SELECT dprot FROM events", "dprot"),
    ("SELECT * FROM events WHERE src = 'nobody'", "nobody"),
    ("SELECT array_agg(a.sport) FROM events a, events b", "narrow the time or the filter"),
];

/// A server with 3000 events, and little memory for one question.
fn filled(dir: &Path) -> Server {
    let mut server = Server::new(&dir.join("server"), "[query]\nquestion_megabytes = 24").unwrap();
    server.start().unwrap();
    let path = dir.join("log");
    fs::write(&path, lines(3_000)).unwrap();
    server.ask(&["import", path.to_str().unwrap(), "-q", "--zone", "UTC"]).unwrap();
    server
}

fn token(server: &Server) -> String {
    fs::read_to_string(server.dir().join("admin.token")).unwrap().trim().to_owned()
}

#[test]
fn every_way_gives_one_answer() {
    let dir = tempfile::tempdir().unwrap();
    let server = filled(dir.path());
    let mut asked: Vec<Value> = QUESTIONS.iter().map(|text| json!([text, []])).collect();
    let bound = "SELECT count(*) AS n, ? AS said FROM events WHERE dport = ? AND src = ? AND host = ?";
    asked.push(json!([bound, ["it's \"é\"", 22, "192.0.2.7", "gw"]]));
    let mistakes: Vec<_> = MISTAKES.iter().map(|(text, _)| text).collect();
    let questions = dir.path().join("questions");
    fs::write(&questions, json!({ "questions": asked, "mistakes": mistakes }).to_string()).unwrap();
    let (front, ca) = (server.front().to_string(), server.dir().join("ca.pem"));
    let token = token(&server);
    let args = [front.as_str(), ca.to_str().unwrap(), token.as_str(), questions.to_str().unwrap()];
    let said = Script::start("flight_sql.py", &args).unwrap().finish().unwrap();
    let mut said = said.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut next = || said.next().unwrap();

    let about = next();
    assert_eq!((&about["vendor"], &about["catalogs"]), (&json!("Bartizan"), &json!(["bartizan"])));
    assert_eq!(about["types"], json!(["BASE TABLE", "VIEW"]));
    let columns = |table: &str| about["tables"][table].as_array().unwrap().len();
    assert!(columns("events") > 50 && columns("flows") > 30 && columns("ulog") > 50, "{about}");
    assert_eq!(about["schema"].as_array().unwrap().len(), columns("events"));
    assert_eq!(about["announced"], json!([["src", "string"], ["n", "int64"]]));

    for text in QUESTIONS {
        let answer = next();
        assert_eq!(answer["text"], **text);
        let by_command = server.ask(&["sql", text, "-o", "ndjson"]).unwrap();
        let by_command: Vec<Value> =
            by_command.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!by_command.is_empty(), "{text}");
        assert_eq!(plain(&answer["rows"]), plain(&by_command.into()), "{text}");
        assert_eq!(plain(&answer["rows"]), plain(&answer["posted"]), "{text}");
    }
    // The same asked in the language of filters.
    let count = server.search_count("dport:22 src:192.0.2.7 host:gw").unwrap();
    assert!(count > 0);
    let answer = next();
    assert_eq!(answer["rows"], json!([{ "n": count, "said": "it's \"é\"" }]));
    assert_eq!(answer["rows"], answer["posted"]);
    let n = server.search_count("src:192.0.2.0/28").unwrap();
    assert_eq!(rows_of(&server, QUESTIONS[6]), [json!({ "n": n })]);
    let top: Value = serde_json::from_str(&server.ask(&["top", "dport", "-o", "json"]).unwrap()).unwrap();
    let by_sql: Value = rows_of(
        &server,
        "SELECT dport, sum(packets) AS packets FROM events GROUP BY dport ORDER BY packets DESC",
    )
    .into();
    let packets = |rows: &Value| {
        let row = |row: &Value| (row["dport"].to_string(), row["packets"].as_u64().unwrap());
        rows.as_array().unwrap().iter().map(row).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(packets(top.get("rows").unwrap_or(&top)), packets(&by_sql));

    let (late, early) = (
        server
            .ask(&["search", "host:gw", "--count", "--since", "2026-11-21T02:00:00Z", "-o", "json"])
            .unwrap(),
        server
            .ask(&["search", "host:gw", "--count", "--until", "2026-11-21T00:00:00Z", "-o", "json"])
            .unwrap(),
    );
    let rows = |text: &str| serde_json::from_str::<Value>(text).unwrap()["rows"].clone();
    let times = next();
    assert_eq!(times["times"], json!([{ "n": rows(&late), "m": rows(&early), "nothing": true }]));

    for (text, told) in MISTAKES {
        let answer = next();
        assert_eq!(answer["text"], **text);
        let Output { status, stderr, stdout } = server.cli().unwrap().args(["sql", *text]).output().unwrap();
        let by_command = String::from_utf8(stderr).unwrap();
        assert!(!status.success() && stdout.is_empty(), "{text}: {status}");
        let posted = answer["posted"].as_str().unwrap_or_else(|| panic!("{text}: answered"));
        for said in
            [answer["told"].as_str().unwrap(), answer["prepared"].as_str().unwrap(), posted, &by_command]
        {
            assert!(said.contains(told), "{text}: {said}");
        }
    }
    let many = next();
    assert!(many["many"].is_string(), "{many}");
    let cancelled = next();
    assert!(cancelled["begun"].as_u64().unwrap() > 0 && cancelled["cancelled"].is_string(), "{cancelled}");
    let ended = next();
    assert_eq!(ended["listed"], json!(["sql"]));
    assert!(ended["ended"].as_str().unwrap().contains("the question was cancelled"), "{ended}");
    let strangers = next();
    for who in ["stranger", "guess", "password"] {
        let refusal = strangers[who].as_str().unwrap_or_default().to_lowercase();
        assert!(refusal.contains("unauthenticated"), "{who}: {strangers}");
    }
}

#[test]
fn a_flight_sql_command_line_client_asks() {
    let dir = tempfile::tempdir().unwrap();
    let server = filled(dir.path());
    let target = binaries().unwrap().parent().unwrap().to_owned();
    let program = target.join("flight-sql-client/bin/flight_sql_client");
    assert!(program.exists(), "{} is missing: `cargo xtask client` makes it", program.display());
    let run = |token: &str, args: &[&str]| {
        let (host, port) = (server.front().ip().to_string(), server.front().port().to_string());
        let Output { status, stdout, stderr } = Command::new(&program)
            .env("SSL_CERT_FILE", server.dir().join("ca.pem"))
            .args(["--tls", "--host", &host, "--port", &port, "--token", token])
            .args(args)
            .output()
            .unwrap();
        match status.success() {
            true => Ok(cells(&String::from_utf8(stdout).unwrap())),
            false => Err(String::from_utf8(stderr).unwrap()),
        }
    };
    let ask = |args: &[&str]| run(&token(&server), args);
    assert_eq!(ask(&["catalogs"]).unwrap(), [["catalog_name"], ["bartizan"]]);
    let tables = ask(&["tables", "bartizan", "--table-filter", "%o%"]).unwrap();
    assert!(tables.iter().any(|row| row.contains(&"flows".to_owned())), "{tables:?}");
    for text in QUESTIONS.iter().filter(|text| !text.contains("minute") && !text.contains("1.5")) {
        let csv = server.ask(&["sql", text, "-o", "csv"]).unwrap();
        let by_command: Vec<Vec<_>> =
            csv.lines().map(|line| line.split(',').map(|cell| cell.trim().to_owned()).collect()).collect();
        assert_eq!(ask(&["statement-query", text]).unwrap(), by_command, "{text}");
    }
    let text = "SELECT count(*) AS n FROM events WHERE dport = $1 AND src = $2";
    let count = server.search_count("dport:22 src:192.0.2.7").unwrap().to_string();
    let bound = ask(&["prepared-statement-query", text, "-p", "$1=22", "-p", "$2=192.0.2.7"]).unwrap();
    assert_eq!(bound, [["n"], [count.as_str()]]);
    for (text, told) in MISTAKES {
        let said = ask(&["statement-query", text]).unwrap_err();
        assert!(said.contains(told), "{text}: {said}");
    }
    assert!(run("guess", &["catalogs"]).unwrap_err().contains("the token is not known"));
}

/// 120 filters: what is counted, found, exported as CSV and said in SQL are equally many.
#[test]
fn counts_agree_with_lines_of_exports() {
    let dir = tempfile::tempdir().unwrap();
    let server = filled(dir.path());
    let lines = |args: &[&str]| server.ask(args).unwrap().lines().count();
    let mut some = 0;
    for (port, sql) in [
        ("22", "dport = 22"),
        ("80,443", "dport IN (80, 443)"),
        (">3000", "dport > 3000"),
        ("*", "dport IS NOT NULL"),
    ] {
        for net in ["0/29", "0/28", "16/30", "0/24", "39"] {
            let address = format!("192.0.2.{net}");
            let inside = match net.contains('/') {
                true => format!("in_cidr(src, '{address}')"),
                false => format!("src = '{address}'"),
            };
            for (more, also) in [
                ("", "true"),
                (" sport:<2000", "sport < 2000"),
                (" -host:gw", "host <> 'gw'"),
                (" dst:10.0.0.3", "dst = '10.0.0.3'"),
                (" len:<60", "length < 60"),
                (" OR dport:22", ""),
            ] {
                let filter = format!("dport:{port} src:{address}{more}");
                let condition = match also {
                    "" => format!("{sql} AND {inside} OR dport = 22"),
                    also => format!("{sql} AND {inside} AND {also}"),
                };
                let count: Value =
                    serde_json::from_str(&server.ask(&["search", &filter, "--count", "-o", "json"]).unwrap())
                        .unwrap();
                let rows = usize::try_from(count["rows"].as_u64().unwrap()).unwrap();
                some += usize::from(rows > 0 && rows < 3_000);
                // A line names the columns.
                assert_eq!(lines(&["export", &filter, "-o", "csv"]), rows + 1, "{filter}");
                let question = format!("SELECT src, dport FROM events WHERE {condition}");
                assert_eq!(lines(&["sql", &question, "-o", "csv"]), rows + 1, "{filter} | {condition}");
            }
        }
    }
    assert!(some > 60, "most filters should match some rows: {some} do");
}

/// The cells of a table that is drawn with lines.
fn cells(table: &str) -> Vec<Vec<String>> {
    let row = |line: &str| {
        let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(line.split('|').map(|cell| cell.trim().to_owned()).collect())
    };
    table.lines().filter_map(row).collect()
}

fn rows_of(server: &Server, text: &str) -> Vec<Value> {
    let lines = server.ask(&["sql", text, "-o", "ndjson"]).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Rows with every value in one form: times and numbers as both sides write them.
fn plain(rows: &Value) -> Vec<Value> {
    let value = |value: &Value| match value {
        // Python writes a time with an offset, the API with a Z; neither with zeros that say nothing.
        Value::String(text) if text.ends_with("+00:00") || text.ends_with('Z') && text.contains('T') => {
            let text = text.trim_end_matches("+00:00").trim_end_matches('Z');
            let text =
                if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
            text.into()
        }
        Value::Number(n) => n.as_f64().into(),
        other => other.clone(),
    };
    let row = |row: &Value| {
        let members = row.as_object().unwrap().iter();
        members.map(|(name, given)| (name.clone(), value(given))).collect::<serde_json::Map<_, _>>().into()
    };
    rows.as_array().unwrap_or_else(|| panic!("no rows: {rows}")).iter().map(row).collect()
}

fn lines(n: u64) -> String {
    let mut text = String::new();
    for i in 0..n {
        let port = [22, 80, 443, 3389][usize::try_from(i % 7 % 4).unwrap()];
        writeln!(
            text,
            "2026-11-2{}T0{}:{:02}:{:02}Z gw kernel: sql-{}: IN=eth0 OUT= SRC=192.0.2.{} DST=10.0.0.{} LEN={} TOS=0x00 PREC=0x00 TTL=49 ID={i} DF PROTO=TCP SPT={} DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0",
            i % 3,
            i % 5,
            i / 60 % 60,
            i % 60,
            i % 2,
            i % 40,
            i % 11,
            40 + i % 100,
            1024 + i,
        )
        .unwrap();
    }
    text
}
