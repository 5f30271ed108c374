//! Rows copied to real PostgreSQL and MariaDB servers: each of them there, with its fields, whatever is restarted.

use crate::netfilter::possible;
use crate::scene::{PORT, Scene};
use bartizan_e2e::database::{Database, Engine, PASSWORD};
use bartizan_e2e::process::wait_until;
use bartizan_e2e::traffic;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

fn settings(name: &str, database: &Database) -> String {
    format!(
        "[[sink]]\nname = \"{name}\"\nurl = \"{}\"\ntables = [\"events\", \"flows\"]\nfrom = \"beginning\"\n",
        database.url("copy")
    )
}

/// What both know of an event, in the lake's words.
fn lake(scene: &Scene) -> Vec<String> {
    let columns = "time,host,prefix,in_if,src,dst,proto,sport,dport,length,tcp_seq,icmp_type";
    let rows = scene.server.rows_of("", columns).unwrap();
    let word = |value: &serde_json::Value| match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = |row: &serde_json::Value| {
        let proto = match row["proto"].as_str() {
            Some("tcp") => "6".to_owned(),
            Some("udp") => "17".to_owned(),
            Some("icmp") => "1".to_owned(),
            Some("icmpv6" | "ipv6-icmp") => "58".to_owned(),
            _ => word(&row["proto"]),
        };
        let mut words: Vec<_> = columns.split(',').map(|column| word(&row[column])).collect();
        words[6] = proto;
        words.join("\t")
    };
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    lines.sort();
    lines
}

/// The same from the copy, by the question that a tool for ulogd asks of its view.
fn copied(database: &Database, engine: Engine) -> Vec<String> {
    let (time, source, destination, length) = match engine {
        Engine::Postgres => (
            "to_char(to_timestamp(oob_time_sec) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') || '.' || lpad(oob_time_usec::text, 6, '0') || 'Z'",
            "host(ip_saddr_str)",
            "host(ip_daddr_str)",
            "coalesce(ip_totlen, ip6_payloadlen + 40)",
        ),
        Engine::Mariadb => (
            "concat(date_format(convert_tz(from_unixtime(oob_time_sec), @@time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%s'), '.', lpad(oob_time_usec, 6, '0'), 'Z')",
            "replace(inet6_ntoa(ip_saddr_bin), '::ffff:', '')",
            "replace(inet6_ntoa(ip_daddr_bin), '::ffff:', '')",
            "coalesce(ip_totlen, ip6_payloadlen + 40)",
        ),
    };
    let fields = [
        time,
        "local_hostname",
        "oob_prefix",
        "oob_in",
        source,
        destination,
        "ip_protocol",
        "coalesce(tcp_sport, udp_sport)",
        "coalesce(tcp_dport, udp_dport)",
        length,
        "tcp_seq",
        "coalesce(icmp_type, icmpv6_type)",
    ];
    let fields = fields.map(|field| match engine {
        Engine::Postgres => format!("coalesce(({field})::text, '')"),
        Engine::Mariadb => format!("coalesce(cast({field} AS char), '')"),
    });
    let answer = database.ask("copy", &format!("SELECT {} FROM ulog", fields.join(", "))).unwrap();
    let mut lines: Vec<_> = answer.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn every_row_is_copied(engine: Engine, label: &str) {
    if !possible() {
        return;
    }
    let mut scene = Scene::prepared(label, "flows.enabled = true", "");
    // so that connections are tracked and counted
    scene
        .netns
        .nft("table inet t {\n chain output {\n type filter hook output priority 0; ct state new counter\n }\n }")
        .unwrap();
    scene.netns.sysctl("net.netfilter.nf_conntrack_acct", "1").unwrap();
    std::fs::set_permissions(scene.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut database = match Database::start(engine, &scene.netns, scene.dir.path()) {
        Ok(database) => database,
        Err(error) => panic!("install postgresql and mariadb-server: {error:#}"),
    };
    database.create("copy", "").unwrap();
    scene.server.configure(&settings("tools", &database));
    let mut scene = scene.up();
    let drive = |scene: &Scene| {
        scene.send(PORT, 500, 0);
        scene
            .netns
            .run(|| {
                for to in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
                    traffic::icmp_echo(to, 20).unwrap();
                    traffic::tcp_connects(to, [PORT; 3], Duration::from_millis(20)).unwrap();
                }
            })
            .unwrap();
    };
    let settled = |scene: &Scene, database: &Database| {
        let rows = scene.exact().rows;
        wait_until("the copy", PATIENCE, || {
            let copied = database.number("copy", "SELECT count(*) FROM ulog2")?;
            Ok((copied >= rows).then_some(copied))
        })
        .unwrap()
    };
    drive(&scene);
    settled(&scene, &database);

    // the database is away for a while, at first in the middle of a statement
    let flow = scene.flow(2000);
    std::thread::sleep(Duration::from_secs(3));
    database.kill().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    database.up().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    // and the server is killed while rows are on their way
    scene.server.kill().unwrap();
    scene.server.start().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    flow.end();
    database.stop().unwrap();
    drive(&scene);
    database.up().unwrap();
    let copies = settled(&scene, &database);

    let (lake, copied) = (lake(&scene), copied(&database, engine));
    assert_eq!(copies, lake.len() as u64, "each row once");
    for (theirs, ours) in copied.iter().zip(&lake) {
        assert_eq!(theirs, ours);
    }
    assert_eq!(copied.len(), lake.len());
    // connections that end now
    assert!(scene.netns.command("conntrack").arg("-F").output().unwrap().status.success());
    let flows = wait_until("flows", PATIENCE, || {
        let flows = scene.server.table("flows", "")?;
        Ok((flows.len() > 10).then_some(()))
    });
    flows.unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let flows = scene.server.table("flows", "").unwrap();
    let bytes: u64 = flows.iter().filter_map(|flow| flow["bytes"].as_u64()).sum();
    let summed = match engine {
        Engine::Postgres => "sum(orig_raw_pktlen)",
        Engine::Mariadb => "sum(orig_bytes)",
    };
    wait_until("the flows' copy", PATIENCE, || {
        Ok((database.number("copy", "SELECT count(*) FROM ulog2_ct")? >= flows.len() as u64).then_some(()))
    })
    .unwrap();
    assert_eq!(database.number("copy", "SELECT count(*) FROM ulog2_ct").unwrap(), flows.len() as u64);
    assert_eq!(database.number("copy", &format!("SELECT {summed} FROM ulog2_ct")).unwrap(), bytes);
    let log = std::fs::read_to_string(scene.server.dir().join("server.log")).unwrap();
    assert!(log.contains("the copy stands still") && !log.contains(PASSWORD), "{log}");
}

#[test]
fn every_row_is_copied_to_postgresql() {
    every_row_is_copied(Engine::Postgres, "sinkpg");
}

#[test]
fn every_row_is_copied_to_mariadb() {
    every_row_is_copied(Engine::Mariadb, "sinkmy");
}
