//! F30: cut connections and lost acknowledgements. F31: half-open connections.

use crate::support::*;
use bartizan_model::{Kind, Seq};
use bartizan_wire::{Ack, Client, ErrorKind, WireError};
use std::{sync::atomic::Ordering, time::Duration};

/// Sends what is not acknowledged, from where the server says, until all is.
async fn deliver(
    server: &Server,
    proxy: &Proxy,
    tls: &rustls::ClientConfig,
    last: u64,
) -> Result<(), WireError> {
    let client = Client::connect(&at(proxy.address), tls, server.settings).await?;
    let (sender, mut acks, committed) = client.put(LANE, EPOCH, &t()).await?;
    for seq in committed.0 + 1..=last {
        sender.send(Kind::Events, Seq(seq), 50, &ipc(50), now()).await?;
    }
    let mut at = committed;
    while at.0 < last {
        match acks.next().await? {
            Some(Ack::Committed(seq)) => at = seq,
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

fn step() -> usize {
    if std::env::var_os("BARTIZAN_SOAK").is_some() { 1 } else { 173 }
}

#[tokio::test(flavor = "multi_thread")]
async fn f30_a_cut_at_any_byte_loses_and_doubles_nothing() {
    let server = server().await;
    let tls = server.host();
    let proxy = Proxy::to(server.agents).await;
    let mut last = 0;
    for direction in [&proxy.up, &proxy.down] {
        let mut whole = 0;
        for bytes in (0..).step_by(step()) {
            last += 2;
            direction.store(bytes, Ordering::Relaxed);
            let cut = deliver(&server, &proxy, &tls, last).await;
            direction.store(usize::MAX, Ordering::Relaxed);
            match cut {
                Ok(()) => whole += 1,
                Err(error) => {
                    assert!(
                        matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Tls),
                        "cut after {bytes}: {error:?}"
                    );
                    deliver(&server, &proxy, &tls, last).await.unwrap();
                }
            }
            if whole == 3 {
                break; // all bytes of an exchange were tried
            }
        }
    }
    let seqs = server.sink.seqs();
    assert_eq!(seqs, (1..=last).collect::<Vec<_>>(), "each once, in order");
    assert!(last > 30, "cuts were made: {last}");
}

#[tokio::test]
async fn f30_what_was_taken_but_not_acknowledged_is_sent_again_and_taken_once() {
    let server = server().await;
    server.sink.commit_at_once.store(false, Ordering::Relaxed);
    let tls = server.host();
    for round in 0..3 {
        let client = server.connect(&tls).await;
        let (sender, _acks, committed) = client.put(LANE, EPOCH, &t()).await.unwrap();
        assert_eq!(committed, Seq::ZERO);
        for seq in 1..=2 {
            sender.send(Kind::Events, Seq(seq), 1, &ipc(1), now()).await.unwrap();
        }
        while server.sink.duplicates.load(Ordering::Relaxed) < round * 2 || server.sink.seqs().len() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert_eq!(server.sink.seqs(), [1, 2]);
    server.sink.commit();
    let (_, _, committed) = server.connect(&tls).await.put(LANE, EPOCH, &t()).await.unwrap();
    assert_eq!(committed, Seq(2));
}

#[tokio::test]
async fn f31_a_connection_that_swallows_everything_is_given_up() {
    let mut server = server().await;
    server.settings.ping_interval = Duration::from_millis(200);
    server.settings.ping_timeout = Duration::from_millis(300);
    let tls = server.host();
    let proxy = Proxy::to(server.agents).await;
    let client = Client::connect(&at(proxy.address), &tls, server.settings).await.unwrap();
    let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    sender.send(Kind::Events, Seq(1), 1, &ipc(1), now()).await.unwrap();
    assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(1))));

    proxy.hole.send(true).unwrap();
    sender.send(Kind::Events, Seq(2), 1, &ipc(1), now()).await.unwrap();
    let lost =
        tokio::time::timeout(Duration::from_secs(10), acks.next()).await.expect("the ping's timeout ends it");
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Unreachable);
    // an idle connection is given up as well, and the way is open for a new one
    deliver(&server, &proxy, &tls, 2).await.unwrap();
    assert_eq!(server.sink.seqs(), [1, 2]);
}
