//! F37: strangers at the door do not hurt those who are in.

use crate::support::*;
use bartizan_model::{Kind, Seq};
use bartizan_wire::{Ack, Client, ErrorKind, Limits, ListenSettings};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test(flavor = "multi_thread")]
async fn f37_a_thousand_strangers_do_not_stop_a_stream() {
    let listen = ListenSettings { handshake_time: Duration::from_millis(500), ..ListenSettings::default() };
    let server = server_with(Limits::default(), listen).await;
    let tls = server.host();
    let client = server.connect(&tls).await;
    let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    let address = server.agents;
    let strangers = tokio::spawn(async move {
        let mut open = Vec::new();
        for i in 0..1000 {
            let Ok(mut stream) = TcpStream::connect(address).await else { continue };
            match i % 3 {
                0 => {}                                                               // says nothing
                1 => drop(stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await),         // not TLS
                _ => drop(stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 252]).await), // half a hello
            }
            open.push(stream);
        }
        open
    });
    for seq in 1..=50 {
        sender.send(Kind::Events, Seq(seq), 5, &ipc(5), now()).await.unwrap();
        assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(seq))));
    }
    let open = strangers.await.unwrap();
    assert!(open.len() > 900);
    // their time passes, and whoever has a certificate comes in again
    let newcomer = loop {
        match Client::connect(&at(address), &tls, server.settings).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(newcomer.put(LANE, EPOCH, &t()).await.unwrap().2, Seq(50));
}

#[tokio::test]
async fn one_who_shakes_hands_and_says_nothing_is_sent_away() {
    let listen = ListenSettings { handshake_time: Duration::from_millis(200), ..ListenSettings::default() };
    let server = server_with(Limits::default(), listen).await;
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let mut tls = bartizan_pki::pinned_client(&server.door.authority.cert_pem()).unwrap();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let tcp = TcpStream::connect(server.front).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let mut tls =
            tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls)).connect(name, tcp).await.unwrap();
        let mut sink = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), tls.read_to_end(&mut sink)).await;
        assert!(ended.is_ok(), "{}", String::from_utf8_lossy(alpn));
    }
}

/// A connection from one of this machine's addresses that says nothing.
async fn silent(from: &str, to: std::net::SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Handshakes that would go on for ever if nobody ended them.
fn patient() -> ListenSettings {
    ListenSettings { handshake_time: Duration::from_secs(3600), ..ListenSettings::default() }
}

#[tokio::test]
async fn a_crowd_of_many_networks_makes_room_for_who_comes_anew() {
    let server = server_with(Limits::default(), patient()).await;
    let mut crowd = Vec::new();
    for n in 0..300 {
        crowd.push(silent(&format!("127.0.1.{}", n % 20), server.agents).await);
    }
    let tls = server.host();
    let client = server.connect(&tls).await;
    client.put(LANE, EPOCH, &t()).await.unwrap();
    let turned: Vec<_> = server.arrivals.turned_away().filter(|(_, n)| *n > 0).collect();
    assert!(matches!(turned[..], [("crowd", 45)]), "300 and one for 256 places: {turned:?}");
    let mut byte = [0];
    assert_eq!(crowd[0].read(&mut byte).await.unwrap_or(0), 0, "the oldest has gone");
    let last = crowd.last_mut().unwrap().read(&mut byte);
    assert!(tokio::time::timeout(Duration::from_millis(50), last).await.is_err(), "the youngest has not");
}

#[tokio::test]
async fn one_host_has_so_many_connections_and_streams_and_no_more() {
    let listen = ListenSettings { connections_of_one: 3, streams: 4, ..ListenSettings::default() };
    let server = server_with(Limits::default(), listen).await;
    let tls = server.host();
    let mut held = Vec::new();
    for _ in 0..3 {
        let client = server.connect(&tls).await;
        held.push((client.put(LANE, EPOCH, &t()).await.unwrap(), client));
    }
    let fourth = server.connect(&tls).await;
    assert_eq!(fourth.put(LANE, EPOCH, &t()).await.unwrap_err().kind(), ErrorKind::Unreachable);
    assert_eq!((server.arrivals.open(), server.arrivals.turned_away().map(|(_, n)| n).sum::<u64>()), (3, 1));
    let other = server.host();
    server.connect(&other).await.put(LANE, EPOCH, &t()).await.unwrap();

    // A fifth stream of one connection waits for one of the four to end.
    let (_, client) = held.pop().unwrap();
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(client.put(LANE, EPOCH, &t()).await.unwrap());
    }
    let speaker = t();
    let fifth = client.put(LANE, EPOCH, &speaker);
    tokio::pin!(fifth);
    assert!(tokio::time::timeout(Duration::from_millis(100), fifth.as_mut()).await.is_err());
    streams.pop();
    fifth.await.unwrap();
}

#[tokio::test]
async fn a_stream_tells_in_what_time_to_come_back() {
    let server = server().await;
    let tls = server.host();
    let client = server.connect(&tls).await;
    assert_eq!(client.spread(), None);
    client.put(LANE, EPOCH, &t()).await.unwrap();
    assert_eq!(client.spread(), Some(Duration::from_secs(40)));
}
