//! F37: strangers at the door do not hurt those who are in.

use crate::support::*;
use bartizan_model::{Kind, Seq};
use bartizan_wire::{Ack, Client, Limits, ListenSettings};
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
