//! Fault F40: no room on the server's disk. Who can wait waits; what cannot is counted.

use super::stage::{PATIENCE, line, listener};
use crate::scene::{SmallDisk, possible};
use bartizan_e2e::process::{Server, wait_until};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

const BY_TCP: u64 = 300_000;
const BY_UDP: u64 = 300_000;

#[test]
fn a_full_disk_makes_connections_wait_and_datagrams_are_on_the_ledger() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    let disk = SmallDisk::mount(&path, 256);
    let settings = [
        "commit.age_ms = 200\ncommit.megabytes = 4\ncommit.limit_megabytes = 8\ncommit.reserve_megabytes = 1",
        "spool.megabytes = 64",
        &listener("syslog-tcp", "host = \"by-tcp\""),
        &listener("syslog-udp", "host = \"by-udp\""),
    ];
    let mut server = Server::new(&path, &settings.join("\n")).unwrap();
    server.start().unwrap();
    let text = std::fs::read_to_string(path.join("collect_addresses")).unwrap();
    let addresses: Vec<SocketAddr> =
        text.lines().map(|l| l.split_once(' ').unwrap().1.parse().unwrap()).collect();
    disk.fill(0);

    let tcp = addresses[0];
    let sender = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(tcp).unwrap();
        let lines: String = (0..1000).map(|n| line("x", n) + "\n").collect();
        for _ in 0..BY_TCP / 1000 {
            stream.write_all(lines.as_bytes()).unwrap();
        }
    });
    std::thread::sleep(Duration::from_secs(2));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..BY_UDP {
        udp.send_to(line("x", u16::try_from(n % 60_000).unwrap()).as_bytes(), addresses[1]).unwrap();
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!(!sender.is_finished(), "nobody takes 70 MB");
    assert!(server.search_count("host:by-tcp").unwrap() < BY_TCP);
    disk.empty();

    sender.join().unwrap();
    wait_until("every line of TCP", PATIENCE, || {
        Ok((server.search_count("host:by-tcp")? == BY_TCP).then_some(()))
    })
    .unwrap();
    let lost = wait_until("every datagram", PATIENCE, || {
        let entries = server.losses()?;
        let of_udp = entries.iter().filter(|l| l["host"] == "by-udp" && l["stage"] == "server");
        let lost: u64 = of_udp.map(|l| l["count"].as_u64().unwrap()).sum();
        Ok((server.search_count("host:by-udp")? + lost == BY_UDP).then_some(lost))
    })
    .unwrap();
    assert!(lost > 0, "the kernel's buffer holds less than all of them");
    server.stop().unwrap();
    server.start().unwrap();
    assert_eq!(server.search_count("host:by-tcp").unwrap(), BY_TCP);
    server.stop().unwrap();
}
