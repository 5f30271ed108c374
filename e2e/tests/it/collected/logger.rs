//! util-linux's logger.

use super::stage::{Stage, have, listener, packet};
use std::process::Command;

#[test]
fn logger_by_udp_tcp_and_octet_counts() {
    if !have("logger") {
        return;
    }
    let stage =
        Stage::new(&[listener("syslog-udp", "host = \"by-udp\""), listener("syslog-tcp", "")].concat());
    let [udp, tcp] = stage.addresses()[..] else { panic!("two listeners") };
    for (address, ways) in [
        (udp, &[&["-d"][..], &["-d", "--rfc3164"]][..]),
        (
            tcp,
            &[
                &["-T"][..],
                &["-T", "--octet-count"],
                &["-T", "--rfc3164"],
                &["-T", "--rfc3164", "--octet-count"],
            ],
        ),
    ] {
        for way in ways {
            let file = stage.path("lines");
            let lines: String = (0..50).map(|n| packet(n) + "\n").collect();
            std::fs::write(&file, lines).unwrap();
            let mut command = Command::new("logger");
            command.args([
                "-n",
                "127.0.0.1",
                "-P",
                &address.port().to_string(),
                "-p",
                "kern.warn",
                "-t",
                "kernel",
            ]);
            let status = command.args(*way).arg("-f").arg(&file).status().unwrap();
            assert!(status.success(), "{way:?}");
        }
    }
    let hosts = stage.hosts(300);
    assert_eq!(hosts.values().sum::<u64>(), 300, "{hosts:?}");
    assert_eq!(hosts["by-udp"], 100);
    assert_eq!(hosts.len(), 2, "all of TCP names this machine: {hosts:?}");
    for row in stage.server.rows("").unwrap() {
        assert_eq!(
            (row["sender"].as_str(), row["prefix"].as_str()),
            (Some("127.0.0.1"), Some("IN-drop: ")),
            "{row}"
        );
        assert!(row["raw"].is_null(), "{row}");
    }
}
