//! Fault F46: whatever anybody sends is limited, counted, and disturbs nobody else.

use super::stage::{PATIENCE, Stage, line, listener, packet};
use bartizan_e2e::process::{Agent, wait_until};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// Memory of the server, in MiB.
fn memory(stage: &mut Stage) -> u64 {
    let id = stage.server.running().unwrap().id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() >> 10
}

#[test]
fn rubbish_is_limited_and_counted() {
    let mut stage =
        Stage::new(&[listener("syslog-tcp", ""), listener("relp", ""), listener("syslog-udp", "")].concat());
    let [tcp, relp, udp] = stage.addresses()[..] else { panic!("three listeners") };
    let mut bad = connect_from([127, 0, 0, 66], tcp);
    let mut good = connect_from([127, 0, 0, 2], tcp);

    // a line of 16 MB that begins as a firewall's, then one with a count; each is an event, cut
    let long = format!("{} OPT ({}", line("long", 0), "41".repeat(8 << 20));
    bad.write_all(long.as_bytes()).unwrap();
    bad.write_all(b"\n").unwrap();
    bad.write_all(format!("{} {long}", long.len()).as_bytes()).unwrap();
    // nothing of a message is a message; half a frame, NULs, no UTF-8, brackets without end, terminal's escapes
    bad.write_all(&[0; 100_000]).unwrap();
    bad.write_all(format!("<4>Nov 26 03:00:00 nul kernel: {}\0", packet(1)).as_bytes()).unwrap();
    bad.write_all(b"<4>Nov 26 03:00:00 utf8 kernel: \xff\xfe\x1b[2J ").unwrap();
    bad.write_all(packet(2).as_bytes()).unwrap();
    bad.write_all(b"\n").unwrap();
    let nested =
        format!("<4>Nov 26 03:00:00 nested kernel: {} [{}\n", packet(3), "[SRC=1.2.3.4 ".repeat(2000));
    bad.write_all(nested.as_bytes()).unwrap();
    bad.write_all(b"99999999 <4>half a frame").unwrap();
    drop(bad);
    let mut odd = TcpStream::connect(relp).unwrap();
    odd.write_all(b"1 open 15 relp_version=0\n\n2 syslog 99999999 x").unwrap();
    drop(odd);
    TcpStream::connect(relp).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    for bytes in [&b""[..], b"\0", b"\xff", b"<", b"<999999999999>", &[b'['; 60_000]] {
        datagrams.send_to(bytes, udp).unwrap();
    }
    for n in 0..500 {
        writeln!(good, "{}", line("good", n)).unwrap();
    }
    good.flush().unwrap();

    let hosts = stage.hosts(505);
    assert_eq!(
        (hosts.get("good"), hosts.get("long"), hosts.get("nul")),
        (Some(&500), Some(&2), Some(&1)),
        "{hosts:?}"
    );
    assert_eq!((hosts.get("utf8"), hosts.get("nested")), (Some(&1), Some(&1)), "{hosts:?}");
    stage.each_once("good", 500);
    wait_until("the counts", PATIENCE, || Ok((stage.sum("cut") == 3).then_some(()))).unwrap();
    wait_until("the ledger", PATIENCE, || {
        let losses = stage.server.losses()?;
        let cut = losses.iter().filter(|l| l["reason"] == "too long").map(|l| l["count"].as_u64().unwrap());
        Ok((cut.sum::<u64>() == 3).then_some(()))
    })
    .unwrap();

    let unparsed: Vec<Value> =
        serde_json::from_str(&stage.server.ask(&["unparsed", "-o", "json"]).unwrap()).unwrap();
    let long = unparsed.iter().find(|group| group["host"] == "long").unwrap();
    assert_eq!((long["events"].as_u64(), long["sender"].as_str()), (Some(2), Some("127.0.0.66")), "{long}");
    assert!(
        long["shape"].as_str().unwrap().contains("IN-drop: IN=<if> OUT= MAC=<mac> SRC=<ip> DST=<ip> LEN=<n>"),
        "{long}"
    );
    let event = stage.server.ask(&["show", long["id"].as_str().unwrap(), "-o", "json"]).unwrap();
    assert!(event.contains("203.0.113.0"), "the example is there: {event}");
    let table = stage.server.ask(&["search", "host:utf8"]).unwrap();
    assert!(!table.contains('\u{1b}'), "{table:?}");
    let peak = memory(&mut stage);
    assert!(peak < 600, "{peak} MiB");
}

#[test]
fn a_flood_over_the_rate_is_counted_and_others_are_heard() {
    let stage =
        Stage::new(&[listener("syslog-udp", "rate = 1000"), listener("syslog-tcp", "rate = 1000")].concat());
    let [udp, tcp] = stage.addresses()[..] else { panic!("two listeners") };
    const FLOOD: u16 = 50_000;
    let [flood, quiet] = [7, 8].map(|last| UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 0)).unwrap());
    let mut stream = connect_from([127, 0, 0, 7], tcp);
    for n in 0..FLOOD {
        flood.send_to(line("flood", n).as_bytes(), udp).unwrap();
        writeln!(stream, "{}", line("flood", n)).unwrap();
        if n % 100 == 0 {
            quiet.send_to(line("quiet", n / 100).as_bytes(), udp).unwrap();
        }
    }
    drop(stream);
    wait_until("every message", PATIENCE, || {
        let dropped: u64 = (stage.server.losses()?.iter())
            .filter(|l| l["reason"] == "overrun")
            .map(|l| l["count"].as_u64().unwrap())
            .sum();
        Ok((stage.sum("messages") + dropped == 2 * u64::from(FLOOD) + u64::from(FLOOD / 100)).then_some(()))
    })
    .unwrap();
    stage.each_once("quiet", FLOOD / 100);
    let over = stage.sum("over");
    assert!(over > 0);
    wait_until("the ledger", PATIENCE, || {
        let lost: u64 = (stage.server.losses()?.iter())
            .filter(|l| l["reason"] == "rate limit" && l["stage"] == "server" && l["host"] == "127.0.0.7")
            .map(|l| l["count"].as_u64().unwrap())
            .sum();
        Ok((lost == over).then_some(()))
    })
    .unwrap();
    wait_until("the rows", PATIENCE, || {
        Ok((stage.server.search_count("")? == stage.sum("rows")).then_some(()))
    })
    .unwrap();
}

#[test]
fn nobody_takes_an_agents_name_and_no_stamp_comes_from_the_future() {
    let stage = Stage::new(&listener("syslog-udp", ""));
    let token = stage.server.token(1).unwrap();
    let agent = Agent::new(&stage.path("agent"), "").unwrap();
    agent.enrol(None, stage.server.front(), &token, "web-01").unwrap();
    let to = stage.addresses()[0];
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    // the names are looked up every few seconds
    std::thread::sleep(Duration::from_secs(3));
    from.send_to(line("WEB-01", 1).as_bytes(), to).unwrap();
    from.send_to(format!("<4>1 2036-01-01T00:00:00Z late kernel - - - {}", packet(2)).as_bytes(), to)
        .unwrap();
    assert_eq!(stage.hosts(2), [("127.0.0.1".to_owned(), 1), ("late".to_owned(), 1)].into());
    let rows = stage.server.rows("host:127.0.0.1").unwrap();
    assert!(rows[0]["extra"].to_string().contains("WEB-01"), "{rows:?}");
    let late = &stage.server.rows("host:late").unwrap()[0];
    let [time, received] = ["time", "received"].map(|name| late[name].as_str().unwrap());
    assert!(time <= received && !time.starts_with("2036"), "{late}");
    assert!(late["extra"].to_string().contains("2082758400000000"), "{late}");
}
