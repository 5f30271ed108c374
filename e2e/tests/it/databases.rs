//! Databases that a real ulogd2 filled through its own schema files, and ones of ulogd 1, imported: packets, flows and
//! counts are what the kernel counted, again adds nothing, and a killed import goes on.

use crate::netfilter::possible;
use bartizan_e2e::database::{Database, Engine, PASSWORD};
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Running, Server, wait_until};
use bartizan_e2e::traffic;
use serde_json::Value;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

const PLUGINS: &str = "/usr/lib/x86_64-linux-gnu/ulogd";
const SCHEMAS: &str = "/usr/share/doc/ulogd2";
const PATIENCE: Duration = Duration::from_secs(60);
/// Datagrams and echoes of each family.
const EACH: u64 = 50;

/// A schema of ulogd2's, as its package brings it.
fn schema(name: &str) -> String {
    let output = Command::new("zcat").arg(format!("{SCHEMAS}/{name}.sql.gz")).output().unwrap();
    assert!(output.status.success(), "install ulogd2: {output:?}");
    // PostgreSQL 12 knows these no more
    String::from_utf8(output.stdout).unwrap().replace("WITH (OIDS=FALSE)", "")
}

/// A stack of ulogd2: its input, its filters, its output with a section of settings.
struct Stack<'a> {
    input: &'a str,
    settings: &'a str,
    filters: &'a [&'a str],
    output: &'a str,
    target: String,
}

fn ulogd(netns: &NetNs, dir: &Path, stacks: &[Stack<'_>]) -> Running {
    let plugins = [
        "inppkt_NFLOG",
        "inpflow_NFCT",
        "inpflow_NFACCT",
        "raw2packet_BASE",
        "filter_IFINDEX",
        "filter_IP2STR",
        "filter_IP2BIN",
        "filter_HWHDR",
        "output_PGSQL",
        "output_MYSQL",
        "output_SQLITE3",
    ];
    let mut config = format!("[global]\nlogfile=\"{}/ulogd.log\"\nloglevel=3\n", dir.display());
    for plugin in plugins {
        config += &format!("plugin=\"{PLUGINS}/ulogd_{plugin}.so\"\n");
    }
    for (n, stack) in stacks.iter().enumerate() {
        let filters: String = stack.filters.iter().map(|f| format!("{}{n}:{f},", f.to_lowercase())).collect();
        config += &format!("stack=in{n}:{},{filters}out{n}:{}\n", stack.input, stack.output);
    }
    for (n, stack) in stacks.iter().enumerate() {
        config += &format!("[in{n}]\n{}\n[out{n}]\n{}\n", stack.settings, stack.target);
    }
    fs::write(dir.join("ulogd.conf"), config).unwrap();
    let mut command = netns.command("ulogd");
    command.arg("-c").arg(dir.join("ulogd.conf"));
    let running = Running::start(command, &dir.join("ulogd.out")).unwrap();
    wait_until("ulogd2", PATIENCE, || {
        let log = fs::read_to_string(dir.join("ulogd.log")).unwrap_or_default();
        Ok(log.contains("entering main loop").then_some(()))
    })
    .unwrap();
    running
}

/// A host whose rules log the same packets to several groups, and count them once.
fn host(label: &str, groups: &[u16]) -> Arc<NetNs> {
    let netns = NetNs::new(label).unwrap();
    let mut rules = Vec::new();
    let kinds = [
        ("udp dport 9", "udp drop: ", "drop"),
        ("tcp dport 9", "tcp drop: ", "drop"),
        ("icmp type echo-request", "ping: ", "accept"),
        ("icmpv6 type echo-request", "ping6: ", "accept"),
    ];
    for (what, prefix, verdict) in kinds {
        for group in &groups[1..] {
            rules.push(format!("{what} log prefix \"{prefix}\" group {group}"));
        }
        rules.push(format!("{what} counter log prefix \"{prefix}\" group {} {verdict}", groups[0]));
    }
    netns
        .nft(&format!(
            "table inet f {{\n chain input {{\n type filter hook input priority filter; policy accept;\n {}\n }}\n \
             chain track {{\n type filter hook output priority filter; ct state new counter\n }}\n }}",
            rules.join("\n ")
        ))
        .unwrap();
    for key in ["net.netfilter.nf_conntrack_acct", "net.netfilter.nf_conntrack_timestamp"] {
        netns.sysctl(key, "1").unwrap();
    }
    Arc::new(netns)
}

fn drive(netns: &NetNs) {
    netns
        .run(|| {
            for to in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
                traffic::udp_burst(SocketAddr::new(to, 9), EACH, 0, 60).unwrap();
                traffic::icmp_echo(to, EACH as u16).unwrap();
                traffic::tcp_connects(to, [9; 5], Duration::from_millis(20)).unwrap();
            }
        })
        .unwrap();
}

/// `bartizan import` with what it says at the end.
fn import(server: &Server, arguments: &[&str]) -> Value {
    let output = run(server, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn run(server: &Server, arguments: &[&str]) -> Output {
    let output =
        server.cli().unwrap().args(["import", "-o", "json", "--quiet"]).args(arguments).output().unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(!String::from_utf8_lossy(&said).contains(PASSWORD), "the password is shown");
    output
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn opened(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_ulogd2_wrote_to_real_databases_is_imported() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    opened(dir.path());
    let netns = host("ulogdb", &[5, 6, 7, 8, 9]);
    let postgres = Database::start(Engine::Postgres, &netns, dir.path()).unwrap();
    let mariadb = Database::start(Engine::Mariadb, &netns, dir.path()).unwrap();
    postgres.create("normalised", &schema("pgsql-ulogd2")).unwrap();
    postgres.create("flat", &schema("pgsql-ulogd2-flat")).unwrap();
    mariadb.create("normalised", &schema("mysql-ulogd2")).unwrap();
    let file = dir.path().join("ulogd.db");
    let tables = format!(
        "{}; CREATE TABLE fw (oob_time_sec INT, oob_time_usec INT, oob_prefix TEXT, oob_in TEXT, oob_mark INT,
            ip_saddr_str TEXT, ip_daddr_str TEXT, ip_protocol INT, ip_totlen INT, ip6_payloadlen INT, icmp_type INT,
            icmpv6_type INT, tcp_sport INT, tcp_dport INT, tcp_syn INT, udp_sport INT, udp_dport INT);",
        fs::read_to_string(format!("{SCHEMAS}/sqlite3.table")).unwrap()
    );
    let made = Command::new("sqlite3").arg(&file).arg(tables).output().unwrap();
    assert!(made.status.success(), "{made:?}");

    let login = |database: &str, table: &str, procedure: &str| {
        format!(
            "db=\"{database}\"\nhost=\"127.0.0.1\"\nuser=\"ulogd\"\npass=\"{PASSWORD}\"\ntable=\"{table}\"\nprocedure=\"{procedure}\""
        )
    };
    let sqlite = |table: &str| format!("db=\"{}\"\ntable=\"{table}\"", file.display());
    let (text, binary): (&[&str], &[&str]) =
        (&["BASE", "IFINDEX", "IP2STR", "HWHDR"], &["BASE", "IFINDEX", "IP2BIN", "HWHDR"]);
    let stack = |input, settings, filters, output, target| Stack { input, settings, filters, output, target };
    let pg = |database: &str, table: &str, procedure: &str| login(database, table, procedure);
    let my = |table: &str, procedure: &str| login("normalised", table, procedure);
    let stacks = [
        stack("NFLOG", "group=5", text, "PGSQL", pg("normalised", "ulog", "INSERT_PACKET_FULL")),
        stack("NFLOG", "group=6", text, "PGSQL", pg("flat", "ulog2", "INSERT")),
        stack("NFLOG", "group=7", binary, "MYSQL", my("ulog", "INSERT_PACKET_FULL")),
        stack("NFLOG", "group=8", &["BASE", "IFINDEX", "IP2STR"], "SQLITE3", sqlite("fw")),
        stack("NFLOG", "group=9", &[], "SQLITE3", sqlite("ulog_pkt")),
        stack("NFCT", "", &["IP2STR"], "PGSQL", pg("normalised", "ulog2_ct", "INSERT_CT")),
        stack("NFCT", "", &["IP2BIN"], "MYSQL", my("conntrack", "INSERT_CT")),
        stack("NFCT", "", &[], "SQLITE3", sqlite("ulog_ct")),
    ];
    let running = ulogd(&netns, dir.path(), &stacks);
    drive(&netns);
    let counted = netns.counted(5).unwrap();
    assert!(counted >= 4 * EACH + 10, "{counted}");
    let count = |database: &Database, name: &str, table: &str| {
        database.number(name, &format!("SELECT count(*) FROM {table}"))
    };
    let lite = |table: &str| -> u64 {
        let output =
            Command::new("sqlite3").arg(&file).arg(format!("SELECT count(*) FROM {table}")).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0)
    };
    let mut rows = [0; 5];
    wait_until("ulogd2 to have written all", PATIENCE, || {
        rows = [
            count(&postgres, "normalised", "ulog2")?,
            count(&postgres, "flat", "ulog2")?,
            count(&mariadb, "normalised", "ulog2")?,
            lite("fw"),
            lite("ulog_pkt"),
        ];
        Ok((rows == [counted; 5]).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {rows:?} of {counted}\n{}", running.log_tail()));
    // what is tracked ends now, and is a flow
    assert!(netns.command("conntrack").arg("-F").output().unwrap().status.success());
    std::thread::sleep(Duration::from_secs(2));
    drop(running);
    let flows = [
        count(&postgres, "normalised", "ulog2_ct").unwrap(),
        count(&mariadb, "normalised", "ulog2_ct").unwrap(),
        lite("ulog_ct"),
    ];
    assert!(flows[0] > 10 && flows.iter().all(|n| *n == flows[0]), "{flows:?}");

    let mut server = Server::new(&dir.path().join("server"), "").unwrap().inside(&netns);
    server.start().unwrap();
    let sources = [
        ("pg", postgres.url("normalised"), "ulog2"),
        ("pgflat", postgres.url("flat"), "ulog2"),
        ("my", mariadb.url("normalised"), "ulog2"),
        ("lite", format!("sqlite:{}", file.display()), "fw"),
    ];
    for (host, url, table) in &sources {
        let told = import(&server, &[url, "--host", host, "--table", table]);
        assert_eq!((number(&told["records"]), number(&told["events"])), (counted, counted), "{told}");
        let rows = |filter: &str| server.search_count(&format!("host:{host} {filter}")).unwrap();
        assert_eq!(rows(""), counted);
        for (filter, want) in [
            ("proto:udp dport:9 prefix:\"udp drop: \" action:drop", 2 * EACH),
            ("proto:icmp src:127.0.0.1 type:8", EACH),
            ("proto:icmpv6 src:::1 type:128", EACH),
            ("proto:tcp dport:9 flags:syn", counted - 4 * EACH),
            ("in:lo source:database", counted),
        ] {
            assert_eq!(rows(filter), want, "{host} {filter}");
        }
        // the same again, another way to the same place
        let again =
            import(&server, &[&url.replace("127.0.0.1", "localhost"), "--host", host, "--table", table]);
        assert_eq!(number(&again["rows"]), 0, "{again}");
        assert_eq!(rows(""), counted);
    }
    // each packet is the same in all of them
    let packets = |host: &str| {
        let columns = "src,dst,proto,sport,dport,length,tcp_flags,icmp_type,prefix,action";
        let rows = server.rows_of(&format!("host:{host}"), columns).unwrap();
        let mut lines: Vec<_> = rows.iter().map(ToString::to_string).collect();
        lines.sort();
        lines
    };
    let first = packets("pg");
    for host in ["pgflat", "my"] {
        assert_eq!(packets(host), first, "{host}");
    }

    // flows, all three of them, and what is left of the SQLite file
    for (host, url, table) in [
        ("pg", postgres.url("normalised"), "ulog2_ct"),
        ("my", mariadb.url("normalised"), "ulog2_ct"),
        ("lite", format!("sqlite:{}", file.display()), "ulog_ct"),
    ] {
        let told = import(&server, &[&url, "--host", host, "--table", table]);
        assert_eq!((number(&told["records"]), number(&told["flows"])), (flows[0], flows[0]), "{told}");
    }
    let tracked = |host: &str| {
        let rows = server.table("flows", &format!("host:{host}")).unwrap();
        let line = |row: &Value| {
            let words =
                ["src", "dst", "proto", "sport", "dport", "packets", "bytes"].map(|c| row[c].to_string());
            words.join(" ")
        };
        let mut lines: Vec<_> = rows.iter().map(line).collect();
        lines.sort();
        lines
    };
    assert_eq!(tracked("pg").len() as u64, flows[0]);
    assert_eq!(tracked("my"), tracked("pg"));
    let of_v4 =
        |lines: Vec<String>| lines.into_iter().filter(|l| l.starts_with("\"127.0.0.1\"")).collect::<Vec<_>>();
    assert_eq!(of_v4(tracked("lite")), of_v4(tracked("pg")));

    // what cannot be read is said, what could be is shown
    let wrong = run(&server, &[&postgres.url("nothing"), "--host", "x"]);
    assert!(!wrong.status.success());
    let dry = server.cli().unwrap();
    let mut dry = dry;
    let shown =
        dry.args(["import", "--dry-run", &mariadb.url("normalised"), "--host", "x"]).output().unwrap();
    let shown = [&shown.stdout[..], &shown.stderr[..]].concat();
    let shown = String::from_utf8_lossy(&shown);
    assert!(
        shown.contains("ulog2_ct") && shown.contains(&counted.to_string()) && !shown.contains(PASSWORD),
        "{shown}"
    );
}

/// The tables of ulogd 1 (doc/mysql.table and doc/pgsql.table of 1.24), with some of the columns that are optional.
const FIRST_MYSQL: &str = "CREATE TABLE ulog (id INT UNSIGNED AUTO_INCREMENT UNIQUE, raw_mac VARCHAR(80),
    oob_time_sec INT UNSIGNED, oob_time_usec INT UNSIGNED, oob_prefix VARCHAR(32), oob_mark INT UNSIGNED,
    oob_in VARCHAR(32), oob_out VARCHAR(32), ip_saddr INT UNSIGNED, ip_daddr INT UNSIGNED,
    ip_protocol TINYINT UNSIGNED, ip_tos TINYINT UNSIGNED, ip_ttl TINYINT UNSIGNED, ip_totlen SMALLINT UNSIGNED,
    ip_csum SMALLINT UNSIGNED, tcp_sport SMALLINT UNSIGNED, tcp_dport SMALLINT UNSIGNED, tcp_seq INT UNSIGNED,
    tcp_syn TINYINT, tcp_ack TINYINT, udp_sport SMALLINT UNSIGNED, udp_dport SMALLINT UNSIGNED,
    icmp_type TINYINT UNSIGNED, pwsniff_pass VARCHAR(30), KEY index_id (id)) ENGINE=MyISAM;
    INSERT INTO ulog (oob_time_sec, oob_prefix, oob_in, oob_mark, ip_saddr, ip_daddr, ip_protocol, ip_ttl, ip_totlen,
        ip_csum, tcp_sport, tcp_dport, tcp_seq, tcp_syn, pwsniff_pass)
    SELECT 1000000000 + seq, 'old drop: ', 'eth0', 4294967295, 3232235777, 2147483649 + seq, 6, 200, 60000, 1, 40000,
        seq % 65536, 4294967295, 1, 'hunter2' FROM seq_1_to_200000;
    DELETE FROM ulog WHERE id % 7 = 0;";
const FIRST_PGSQL: &str = "CREATE SEQUENCE seq_ulog;
    CREATE TABLE ulog (id bigint DEFAULT nextval('seq_ulog'), local_time bigint, local_hostname varchar(40),
        raw_pktlen bigint, oob_prefix varchar(32), oob_in varchar(32), ip_saddr inet, ip_daddr bigint,
        ip_protocol smallint, tcp_sport integer, tcp_dport integer, tcp_syn boolean, tcp_ack boolean);
    INSERT INTO ulog (local_time, local_hostname, oob_prefix, oob_in, ip_saddr, ip_daddr, ip_protocol, tcp_sport,
        tcp_dport, tcp_syn, tcp_ack)
    SELECT 1000000000 + i, CASE WHEN i % 2 = 0 THEN 'gw-a' ELSE 'gw-b' END, 'old accept ', 'eth1', '192.0.2.1',
        167772160 + i, 6, 1024, 25, true, false FROM generate_series(1, 20000) i;
    CREATE TABLE nfacct (sum_name varchar(128), sum_pkts integer DEFAULT 0, sum_bytes integer DEFAULT 0,
        oob_time_sec integer, oob_time_usec integer);
    INSERT INTO nfacct SELECT 'acct-' || n, i, i * 100, 1700000000 + i * 10, 5 FROM generate_series(1, 1000) i,
        generate_series(1, 3) n;";

#[test]
fn databases_of_ulogd_1_are_imported_and_a_killed_import_goes_on() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    opened(dir.path());
    let netns = Arc::new(NetNs::new("ulogd1").unwrap());
    let postgres = Database::start(Engine::Postgres, &netns, dir.path()).unwrap();
    let mariadb = Database::start(Engine::Mariadb, &netns, dir.path()).unwrap();
    mariadb.create("old", FIRST_MYSQL).unwrap();
    postgres.create("old", FIRST_PGSQL).unwrap();
    let mut server = Server::new(&dir.path().join("server"), "commit.age_ms = 200").unwrap().inside(&netns);
    server.start().unwrap();
    let password = dir.path().join("password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let password = password.display().to_string();

    let rows = mariadb.number("old", "SELECT count(*) FROM ulog").unwrap();
    let url = "mysql://ulogd@127.0.0.1/old";
    let arguments = [url, "--host", "gw-old", "--password-file", &password];
    // killed somewhere in the middle, twice
    for part in [rows / 10, rows / 2] {
        let mut command = server.cli().unwrap();
        command.args(["import", "--quiet"]).args(arguments);
        let mut running = Running::start(command, &dir.path().join("import.log")).unwrap();
        wait_until("a part of it", PATIENCE, || {
            let ended = running.ended()?.is_some();
            Ok((ended || server.search_count("host:gw-old")? >= part).then_some(()))
        })
        .unwrap();
        drop(running.kill());
    }
    let told = import(&server, &arguments);
    assert_eq!(server.search_count("host:gw-old").unwrap(), rows, "{told}");
    assert_eq!(server.duplicates("host:gw-old").unwrap(), 0);
    let filter = "host:gw-old src:192.168.1.1 dst:128.0.0.2 proto:tcp sport:40000 dport:1 ttl:200 len:60000 \
                  flags:syn in:eth0 mark:4294967295 action:drop";
    let found = server.rows_of(filter, "time,tcp_seq,extra").unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["time"], "2001-09-09T01:46:41.000000Z");
    assert_eq!(number(&found[0]["tcp_seq"]), 4_294_967_295);
    assert!(found[0]["extra"].is_null(), "neither checksum nor password: {}", found[0]);
    assert_eq!(number(&import(&server, &arguments)["rows"]), 0);
    // more came, and only that is read
    mariadb
        .ask("old", "INSERT INTO ulog (oob_time_sec, oob_prefix, ip_saddr) VALUES (1100000000, 'new', 1)")
        .unwrap();
    assert_eq!(number(&import(&server, &arguments)["rows"]), 1);

    let url = postgres.url("old");
    let told = import(&server, &[&url, "--host-from", "local_hostname", "--table", "ulog"]);
    assert_eq!(number(&told["events"]), 20_000, "{told}");
    for host in ["gw-a", "gw-b"] {
        let filter =
            format!("host:{host} src:192.0.2.1 dst:10.0.0.0/8 dport:25 flags:syn -flags:ack action:accept");
        assert_eq!(server.search_count(&filter).unwrap(), 10_000);
    }
    let told = import(&server, &[&url, "--host", "gw-a", "--table", "nfacct"]);
    assert_eq!((number(&told["records"]), number(&told["counters"])), (3000, 3000), "{told}");
    let counters = server.table("counters", "host:gw-a name:acct-2").unwrap();
    let packets: u64 = counters.iter().map(|row| number(&row["packets"])).sum();
    assert_eq!((counters.len(), packets), (1000, 500_500));
    assert_eq!(number(&import(&server, &[&url, "--host", "gw-a", "--table", "nfacct"])["rows"]), 0);
}
