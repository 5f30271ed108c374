//! Whoever takes places, time or memory without being known.

use super::site::{HOME, PATIENCE, Site};
use super::talk::{dial, frame, frames, get_health, preface, read_all, request, say, shake};
use bartizan_e2e::process::wait_until;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Megabytes that the server may take for a time: less than what comes. A few are the rule; one that has just begun to
/// work fills its allocator's arenas meanwhile.
const MEGABYTES: u64 = 80;

/// Lets something happen, and tells what it cost.
fn within_memory(site: &Site, what: &str, happen: impl FnOnce()) {
    let (before, begun) = (site.megabytes(), Instant::now());
    happen();
    let grown = site.megabytes().saturating_sub(before);
    eprintln!(
        "{what}: {:.1} s, the server has {before} MB, and {grown} MB more",
        begun.elapsed().as_secs_f64()
    );
    assert!(grown < MEGABYTES, "{what}: {grown} MB");
}

/// Connections that never become one: silent, or with the beginning of a hello. Several come at a time, because who does not
/// get into the kernel's queue waits for a second.
fn half_open(to: SocketAddr, from: &[String], count: usize) -> Vec<TcpStream> {
    const AT_A_TIME: usize = 16;
    let one = |n: usize| {
        let mut stream = dial(to, &from[n % from.len()]);
        if n % 2 == 1 {
            // Who is turned away at once cannot even say that.
            let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 252]);
        }
        stream
    };
    let some = |first: usize| (first..count).step_by(AT_A_TIME).map(one).collect::<Vec<_>>();
    thread::scope(|scope| {
        let all: Vec<_> = (0..AT_A_TIME).map(|first| scope.spawn(move || some(first))).collect();
        all.into_iter().flat_map(|some| some.join().unwrap()).collect()
    })
}

/// Waits until the other side has ended all of them.
fn wait_for_end(streams: &[TcpStream]) {
    wait_until("strangers to be sent away", PATIENCE, || {
        let open = streams.iter().filter(|stream| {
            stream.set_nonblocking(true).unwrap();
            let read = (&**stream).read(&mut [0; 64]);
            read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
        Ok((open.count() == 0).then_some(()))
    })
    .unwrap();
}

pub(super) fn ten_thousand_half_handshakes(site: &Site) {
    let one = ["127.0.0.66".to_owned()];
    let networks: Vec<_> = (1..=32).map(|n| format!("127.0.1.{n}")).collect();
    for (port, to) in [("front", site.server.front()), ("agents", site.server.agents())] {
        within_memory(site, &format!("5,000 half handshakes at the {port} port"), || {
            let strangers = half_open(to, &one, 5000);
            site.is_well(HOME);
            site.is_well("127.0.0.2");
            wait_for_end(&strangers);
            assert!(site.turned_away(port, "network") > 4500);
            drop(strangers);
            // Of so many networks that they have all places there are.
            let strangers = half_open(to, &networks, 32 * 32);
            site.is_well(HOME);
            site.is_well("127.0.0.3");
            wait_for_end(&strangers);
        });
        assert!(site.turned_away(port, "crowd") > 0 && site.turned_away(port, "slow") > 0);
    }
}

pub(super) fn slow_heads(site: &Site) {
    let head = b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\nx-slow: ";
    let mut slow: Vec<_> = (0..300).map(|_| site.open("127.0.0.67")).collect();
    for stream in &mut slow {
        stream.write_all(head).unwrap();
    }
    within_memory(site, "300 connections that send a byte at a time", || {
        // A byte for each, again and again: none lives longer than the time for a head.
        wait_until("the slow ones to be sent away", PATIENCE, || {
            site.is_well(HOME);
            slow.retain_mut(|stream| {
                let written = stream.write_all(b"a").and_then(|()| stream.flush());
                stream.sock.set_nonblocking(true).unwrap();
                let read = stream.sock.peek(&mut [0; 1]);
                stream.sock.set_nonblocking(false).unwrap();
                // Data is an alert that says goodbye.
                written.is_ok() && read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            });
            Ok(slow.is_empty().then_some(()))
        })
        .unwrap();
    });
}

pub(super) fn a_hundred_megabytes_of_headers(site: &Site) {
    const ALL: usize = 100 << 20;
    within_memory(site, "100 MB of headers", || {
        let line = format!("x-{}: {}\r\n", "n".repeat(50), "v".repeat(1000)).into_bytes();
        let mut sent = 0;
        let mut held = Vec::new();
        while sent < ALL {
            let mut stream = site.open("127.0.0.68");
            stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").unwrap();
            // Some stay just below the limit, as long as they may.
            let most = if held.len() < 200 { 48 << 10 } else { ALL - sent };
            let mut of_this = 0;
            while of_this < most && stream.write_all(&line).and_then(|()| stream.flush()).is_ok() {
                of_this += line.len();
            }
            assert!(of_this < 4 << 20, "{of_this} bytes of one head were taken");
            sent += of_this;
            if held.len() < 200 {
                held.push(stream);
            }
        }
        site.is_well(HOME);
    });
    // The same by HTTP/2: one head in frames without an end.
    within_memory(site, "a head in frames without an end", || {
        let mut stream = site.open_h2("127.0.0.68");
        let piece = [vec![0x40, 1, b'x', 0x7f, 0x81, 0x7c], vec![b'v'; 16_000]].concat();
        let mut bytes = preface();
        bytes.extend(frame(1, 0, 1, &get_health()));
        let mut sent = 0;
        while sent < ALL && stream.write_all(&bytes).and_then(|()| stream.flush()).is_ok() {
            sent += bytes.len();
            bytes = frame(9, 0, 1, &piece);
        }
        assert!(sent < 4 << 20, "{sent} bytes of one head were taken");
    });
}

pub(super) fn streams_that_come_and_go(site: &Site) {
    let head = get_health();
    let (whole, unfinished) = (5, 4);
    within_memory(site, "20,000 streams that are reset at once", || {
        let mut stream = site.open_h2("127.0.0.69");
        let mut bytes = preface();
        for n in 0..20_000_u32 {
            bytes.extend(frame(1, whole, 2 * n + 1, &head));
            bytes.extend(frame(3, 0, 2 * n + 1, &[0, 0, 0, 8]));
        }
        let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
        let said = frames(&read_all(&mut stream));
        // 7 is a goodbye, 11 "enhance your calm".
        let end = said.iter().find(|(kind, _)| *kind == 7).map(|(_, payload)| payload[7]);
        assert!(matches!(end, Some(11) | None), "{end:?}");
        let answered = said.iter().filter(|(kind, _)| *kind == 1).count();
        assert!(answered < 10_000, "{answered} of them were worked on");
    });
    within_memory(site, "1,000 streams that do not end", || {
        let mut stream = site.open_h2("127.0.0.69");
        let mut bytes = preface();
        for n in 0..1000_u32 {
            // A body would follow.
            bytes.extend(frame(1, unfinished, 2 * n + 1, &head));
        }
        // Then a ping, whose answer says that all of it was read.
        bytes.extend(frame(6, 0, 0, &[1; 8]));
        stream.write_all(&bytes).unwrap();
        stream.flush().unwrap();
        let (mut read, mut piece) = (Vec::new(), vec![0; 64 << 10]);
        while !frames(&read).iter().any(|(kind, _)| matches!(kind, 6 | 7)) {
            match stream.read(&mut piece) {
                Ok(n @ 1..) => read.extend(&piece[..n]),
                _ => break,
            }
        }
        let said = frames(&read);
        let refused = said.iter().filter(|(kind, payload)| *kind == 3 && payload[3] == 7).count();
        let ended = said.iter().any(|(kind, _)| *kind == 7);
        assert!(ended || refused >= 500, "{refused} refused");
    });
    within_memory(site, "pings and settings whose answers are not read", || {
        let stream = dial(site.server.front(), "127.0.0.69");
        socket2::SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
        let mut stream = shake(&site.front[1], stream).unwrap();
        let pair = [frame(6, 0, 0, &[1; 8]), frame(4, 0, 0, &[0, 4, 0, 1, 0, 0])].concat();
        let many = pair.repeat(4096);
        stream.write_all(&preface()).unwrap();
        let mut sent = 0;
        // Until nothing more is taken: then the server leaves.
        while stream.write_all(&many).and_then(|()| stream.flush()).is_ok() {
            sent += many.len();
            assert!(sent < 1 << 30, "{sent} bytes of them were taken");
        }
    });
}

pub(super) fn readers_that_stand_still(site: &Site) {
    let token = format!("Bearer {}", site.token);
    let ask = request("GET", "/api/v1/openapi.json", &[("authorization", &token)], b"");
    let ask = String::from_utf8(ask).unwrap().replace("connection: close\r\n", "");
    let whole = say(&mut site.open(HOME), ask.replace("host: ", "connection: close\r\nhost: ").as_bytes());
    let size = whole[0].body.len();
    let before = site.turned_away("front", "stalled");
    within_memory(site, "30 readers that do not read", || {
        // Far more than what the kernel holds for a connection.
        let asks = ask.repeat((32 << 20) / size);
        let mut readers: Vec<_> = (0..30)
            .map(|_| {
                let stream = dial(site.server.front(), "127.0.0.71");
                socket2::SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
                let mut stream = shake(&site.front[0], stream).unwrap();
                let _ = stream.write_all(asks.as_bytes());
                stream
            })
            .collect();
        site.is_well(HOME);
        wait_until("them to be left", PATIENCE, || {
            Ok((site.turned_away("front", "stalled") >= before + 30).then_some(()))
        })
        .unwrap();
        readers[0].sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let read = read_all(&mut readers[0]).len();
        assert!(read < 32 << 20, "it does not get all: {read}");
    });
}
