//! rsyslog, by every way that it has to forward.

use super::stage::{Stage, free_port, have, line, listener, packet};
use bartizan_e2e::rsyslog::Rsyslog;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Lines by each way.
const LINES: u16 = 2000;

/// Says line `n` to it.
fn log(rsyslog: &Rsyslog, n: u16) {
    rsyslog.say(&format!("<4>Nov 26 03:00:00 kernel: {}", packet(n))).unwrap();
}

/// A way with a name of its own, which the messages have as their host.
fn template(name: &str) -> String {
    format!(
        "template(name=\"{name}\" type=\"string\" \
         string=\"<%PRI%>%TIMESTAMP% {name} %syslogtag%%msg:::sp-if-no-1st-sp%%msg%\")\n"
    )
}

/// A certificate authority, and a client's certificate by it.
fn certificates(dir: &Path) {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                    -subj /CN=senders -keyout senders.key -out senders.pem && \
                  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=gw-7 \
                    -addext subjectAltName=DNS:gw-7.example.net -keyout gw.key -out gw.csr && \
                  openssl x509 -req -in gw.csr -CA senders.pem -CAkey senders.key -CAcreateserial -days 2 \
                    -copy_extensions copy -out gw.pem";
    let done = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn rsyslog_by_every_way() {
    if !have("rsyslogd") || !have("openssl") {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    certificates(files.path());
    let ca = format!("certificate = \"required\"\nca = \"{}/senders.pem\"", files.path().display());
    let stage = Stage::new(
        &[
            listener("syslog-udp", ""),
            listener("syslog-tcp", ""),
            listener("syslog-tls", ""),
            listener("syslog-tls", &ca),
            listener("relp", ""),
        ]
        .concat(),
    );
    let ports: Vec<_> = stage.addresses().iter().map(|a| a.port()).collect();
    let forward = |name: &str, port: u16, more: &str| {
        let to = "type=\"omfwd\" target=\"127.0.0.1\"";
        format!("{}action({to} port=\"{port}\" template=\"{name}\" {more})\n", template(name))
    };
    let tls = |more: &str| {
        format!(
            "protocol=\"tcp\" StreamDriver=\"ossl\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/certvalid\" \
             StreamDriver.CAFile=\"{}/ca.pem\" {more}",
            stage.server.dir().display()
        )
    };
    let shown = format!(
        "StreamDriver.CertFile=\"{f}/gw.pem\" StreamDriver.KeyFile=\"{f}/gw.key\"",
        f = files.path().display()
    );
    let rules = [
        forward("by-udp", ports[0], "protocol=\"udp\""),
        forward("by-lines", ports[1], "protocol=\"tcp\" TCP_Framing=\"traditional\""),
        forward("by-counts", ports[1], "protocol=\"tcp\" TCP_Framing=\"octet-counted\""),
        forward("by-tls", ports[2], &tls("")),
        forward("by-tls-with-certificate", ports[3], &tls(&shown)),
        format!(
            "{}action(type=\"omrelp\" target=\"127.0.0.1\" port=\"{}\" template=\"by-relp\")\n",
            template("by-relp"),
            ports[4]
        ),
    ];
    let rsyslog = Rsyslog::start(None, &stage.path("rsyslog"), &rules.concat()).unwrap();
    for n in 0..LINES {
        log(&rsyslog, n);
        // datagrams that the kernel has no room for are lost, and this is not about that
        if n % 100 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    stage.hosts(6 * u64::from(LINES));
    for host in ["by-udp", "by-lines", "by-counts", "by-tls", "gw-7.example.net", "by-relp"] {
        stage.each_once(host, LINES);
    }
    let rows = stage.server.rows("host:gw-7.example.net").unwrap();
    for row in &rows {
        assert_eq!(row["sender"], "gw-7.example.net", "{row}");
        let extra = row["extra"].to_string();
        assert!(extra.contains("by-tls-with-certificate"), "what the message said is kept: {row}");
    }
    let hosts = stage.server.hosts().unwrap();
    let relp = hosts.iter().find(|host| host["name"] == "by-relp").unwrap();
    assert_eq!((relp["state"].as_str(), relp["reports"].as_str()), (Some("no agent"), Some("syslog")));
    assert_eq!(relp["events"], LINES, "{relp}");
    assert_eq!(stage.server.losses().unwrap(), [] as [serde_json::Value; 0]);
}

#[test]
fn relp_loses_nothing_and_repeats_nothing_over_kills_of_the_server() {
    if !have("rsyslogd") {
        return;
    }
    let port = free_port();
    let relp = format!("[[collect]]\nkind = \"relp\"\naddress = \"127.0.0.1:{port}\"\n");
    let mut stage = Stage::new(&relp);
    let rules = format!(
        "{}action(type=\"omrelp\" target=\"127.0.0.1\" port=\"{port}\" template=\"gw\" action.resumeRetryCount=\"-1\" \
         action.resumeInterval=\"1\" queue.type=\"LinkedList\" queue.size=\"200000\" queue.dequeueBatchSize=\"100\")\n",
        template("gw")
    );
    let rsyslog = Rsyslog::start(None, &stage.path("rsyslog"), &rules).unwrap();
    const MANY: u16 = 40_000;
    for kill in 0..4 {
        let from = MANY / 5 * kill;
        for n in from..from + MANY / 5 {
            log(&rsyslog, n);
        }
        std::thread::sleep(Duration::from_millis(30 + 150 * u64::from(kill)));
        stage.server.kill().unwrap();
        stage.server.start().unwrap();
    }
    for n in MANY / 5 * 4..MANY {
        log(&rsyslog, n);
    }
    stage.hosts(u64::from(MANY));
    std::thread::sleep(Duration::from_secs(1));
    stage.each_once("gw", MANY);
}

#[test]
fn a_relay_keeps_the_names_of_the_hosts_behind_it() {
    if !have("rsyslogd") {
        return;
    }
    let stage = Stage::new(&listener("syslog-tcp", "other = \"keep\""));
    let (port, inner) = (stage.addresses()[0].port(), free_port());
    let rules = format!(
        "input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{inner}\" ruleset=\"on\")\nruleset(name=\"on\") {{ action(type=\"omfwd\" target=\"127.0.0.1\" \
         port=\"{port}\" protocol=\"tcp\" template=\"RSYSLOG_ForwardFormat\") }}\n"
    );
    let _relay = Rsyslog::start(None, &stage.path("rsyslog"), &rules).unwrap();
    let mut hosts = ["web-1", "db-1"].map(|host| (host, TcpStream::connect(("127.0.0.1", inner)).unwrap()));
    for n in 0..100 {
        for (host, stream) in &mut hosts {
            writeln!(stream, "{}", line(host, n)).unwrap();
        }
    }
    writeln!(hosts[1].1, "<38>Nov 26 03:00:00 db-1 sshd[7]: Accepted publickey for root").unwrap();
    let found = stage.hosts(200);
    assert_eq!(found, [("db-1".to_owned(), 100), ("web-1".to_owned(), 100)].into());
    for host in ["web-1", "db-1"] {
        stage.each_once(host, 100);
    }
    let lines = stage.server.table("lines", "").unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let shown = ["host", "sender", "program", "severity", "text"].map(|name| lines[0][name].to_string());
    assert_eq!(shown, ["\"db-1\"", "\"127.0.0.1\"", "\"sshd\"", "6", "\"Accepted publickey for root\""]);
    let db = stage.senders().into_iter().find(|s| s["host"] == "db-1").unwrap();
    assert_eq!(
        (db["messages"].as_u64(), db["rows"].as_u64(), db["kept"].as_u64()),
        (Some(101), Some(100), Some(1))
    );
}
