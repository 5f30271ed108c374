use crate::support::*;
use bartizan_model::{Kind, Lane, Micros, Seq};
use bartizan_pki::{Authority, TlsFault, agent_client};
use bartizan_wire::{
    Ack, Client, Configured, ErrorKind, NotTaken, Offence, Refusal, RefusalKind, Speaker, Told, Waiting,
    WireError,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::watch;

#[tokio::test]
async fn batches_arrive_and_are_acknowledged_only_when_committed() {
    let server = server().await;
    server.sink.commit_at_once.store(false, Ordering::Relaxed);
    let tls = server.host();
    let client = server.connect(&tls).await;
    let (sender, mut acks, from) = client.put(LANE, EPOCH, &t()).await.unwrap();
    assert_eq!(from, Seq::ZERO);
    for seq in 1..=3 {
        sender.send(Kind::Events, Seq(seq), 10, &ipc(10), now()).await.unwrap();
    }
    while server.sink.seqs().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), acks.next()).await.is_err(), "not committed yet");
    server.sink.commit();
    assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(3))));

    // the sender is done: the stream ends when the last batch is committed, not before
    sender.send(Kind::Events, Seq(4), 10, &ipc(10), now()).await.unwrap();
    drop(sender);
    while server.sink.seqs().len() < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.sink.commit();
    assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(4))));
    assert_eq!(acks.next().await.unwrap(), None);

    // a new stream of the same life goes on there; another lane begins at its own
    let (_, _, from) = client.put(LANE, EPOCH, &t()).await.unwrap();
    assert_eq!(from, Seq(4));
    let (_, _, from) = client.put(Lane::DISK[1], EPOCH, &t()).await.unwrap();
    assert_eq!(from, Seq::ZERO);
    let taken = server.sink.taken.lock().unwrap();
    assert!(
        taken.iter().all(|(_, _, batch)| batch.num_rows() == 10 && batch.column_by_name("mark").is_none())
    );
    let mut expected = rows(10);
    expected.remove_column(7);
    assert_eq!(taken[0].2, expected);
}

#[tokio::test]
async fn f33_refusals_are_told_apart_and_nothing_behind_one_is_acknowledged() {
    let server = server().await;
    let tls = server.host();
    let client = server.connect(&tls).await;
    for (kind, permanent) in [(RefusalKind::Retry, false), (RefusalKind::Permanent, true)] {
        let (sender, mut acks, from) = client.put(LANE, EPOCH, &t()).await.unwrap();
        *server.sink.refuse.lock().unwrap() = Some(Refusal { kind, reason: "disk\x1b full".into() });
        sender.send(Kind::Events, from.next(), 1, &ipc(1), now()).await.unwrap();
        drop(sender.send(Kind::Events, from.next().next(), 1, &ipc(1), now()).await);
        let refused = Ack::Refused { seq: from.next(), permanent, reason: "disk\u{fffd} full".into() };
        assert_eq!(acks.next().await.unwrap(), Some(refused));
        assert_eq!(acks.next().await.unwrap(), None, "the stream ends with a refusal");
        assert!(server.sink.seqs().is_empty());
    }
    *server.sink.refuse.lock().unwrap() = None;
    // the sender goes on behind a batch that it put aside
    let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    sender.send(Kind::Events, Seq(2), 1, &ipc(1), now()).await.unwrap();
    assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(2))));
    assert_eq!(server.sink.seqs(), [2]);
}

#[tokio::test]
async fn a_poisoned_batch_is_refused_for_good_with_its_number() {
    let server = server().await;
    let tls = server.host();
    let client = server.connect(&tls).await;
    let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    sender.send(Kind::Events, Seq(1), 1, &ipc(5), now()).await.unwrap();
    sender.send(Kind::Losses, Seq(2), 1, &ipc(5), now()).await.unwrap(); // events, said to be losses
    let mut seen = Vec::new();
    while let Some(ack) = acks.next().await.unwrap() {
        seen.push(ack);
    }
    let Some(Ack::Refused { seq: Seq(2), permanent: true, reason }) = seen.last() else { panic!("{seen:?}") };
    assert!(reason.contains("column"), "{reason}");
    assert_eq!(server.sink.seqs(), [1]);
}

#[tokio::test]
async fn a_revoked_host_is_shut_out_of_open_streams_and_new_ones() {
    let server = server().await;
    let tls = server.host();
    let client = server.connect(&tls).await;
    let (_sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    server.door.revoked.store(true, Ordering::Relaxed);
    let error = acks.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let error = client.put(LANE, EPOCH, &t()).await.unwrap_err();
    assert!(matches!(&error, WireError::Denied(why) if why.contains("web-1 is revoked")), "{error}");
    assert_eq!(*server.door.offences.lock().unwrap(), [Offence::Standing, Offence::Standing]);
}

#[tokio::test]
async fn certificates_that_are_not_ours_or_over_are_refused_in_words() {
    let server = server().await;
    let other = Authority::create(now()).unwrap();
    let fault = async |tls| {
        let client = server.connect(&tls).await;
        match client.put(LANE, EPOCH, &t()).await.unwrap_err() {
            WireError::Tls { source, .. } => source,
            error => panic!("{error}"),
        }
    };
    assert_eq!(fault(server.host_of(&other, now())).await, TlsFault::OwnRefused);
    let old = server.host_of(&server.door.authority, Micros(now().0 - 9 * Micros::DAY));
    let client = server.connect(&old).await;
    let error = client.put(LANE, EPOCH, &t()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired, "{error}");
    let without = bartizan_pki::pinned_client(&server.door.authority.cert_pem()).unwrap();
    assert_eq!(fault(without).await, TlsFault::OwnRefused);

    // an agent of another fleet does not talk to this server at all
    let key = bartizan_pki::HostKey::generate().unwrap();
    let cert = other.issue_host(&key.request().unwrap(), "a", now(), 7).unwrap();
    let theirs = agent_client(&other.cert_pem(), &cert.pem, &key.reveal_pem()).unwrap();
    let error = Client::connect(&at(server.agents), &theirs, server.settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OtherFleet, "{error}");
    assert!(server.sink.seqs().is_empty());
}

#[tokio::test]
async fn tls_12_is_refused_on_the_agents_port() {
    let server = server().await;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.door.authority.cert_der().clone()).unwrap();
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let error = Client::connect(&at(server.agents), &old, server.settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    Client::connect(&at(server.front), &old, server.settings).await.unwrap();
}

#[tokio::test]
async fn a_stop_ends_streams_and_frees_the_port() {
    let server = server().await;
    let tls = server.host();
    let client = server.connect(&tls).await;
    let (_sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    server.stop.send(true).unwrap();
    let error = acks.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    drop((client, acks, _sender));
    tokio::time::timeout(Duration::from_secs(10), server.task).await.unwrap().unwrap();
    let error = Client::connect(&at(server.agents), &tls, server.settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn f22_a_clone_is_refused_for_now_and_who_was_replaced_is_told() {
    let server = server().await;
    let client = server.connect(&server.host()).await;
    let error = client.put(LANE, EPOCH, &Speaker { instance: "clone".into(), ..t() }).await.unwrap_err();
    assert!(matches!(&error, WireError::Retry(why) if why == "a clone?"), "{error}");
    let (_sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    server.door.take_over.send_replace(true);
    let error = acks.next().await.unwrap_err();
    assert!(error.to_string().contains("this stream was ended"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Ended, "it tries again soon, and keeps its rows");
}

#[tokio::test]
async fn f21_the_senders_clock_and_what_waits_come_with_each_batch() {
    let server = server().await;
    let client = server.connect(&server.host()).await;
    let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    sender.send(Kind::Events, Seq(1), 1, &ipc(1), Micros(77)).await.unwrap();
    assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(1))));
    let waiting = Some(Waiting { batches: 3, bytes: 70_000, oldest: Some(Micros(70)) });
    sender.send(Kind::Events, Seq(2), 1, &ipc(1), Told { clock: Micros(78), waiting }).await.unwrap();
    assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(2))));
    let told = [Told { clock: Micros(77), waiting: None }, Told { clock: Micros(78), waiting }];
    assert_eq!(*server.sink.told.lock().unwrap(), told);
}

#[tokio::test]
async fn a_configuration_is_offered_to_who_listens_at_once_and_as_it_changes() {
    let server = server().await;
    server.door.say(&[3]);
    let tls = server.host();
    let client = server.connect(&tls).await;
    // An agent from before: what it does not understand is never said to it.
    let (sender, mut acks, _) = client.put(LANE, EPOCH, &t()).await.unwrap();
    server.door.say(&[3, 4]);
    sender.send(Kind::Events, Seq(1), 10, &ipc(10), now()).await.unwrap();
    assert_eq!(acks.next().await.unwrap(), Some(Ack::Committed(Seq(1))));
    drop((sender, acks));
    assert!(server.door.configured.lock().unwrap().is_empty());

    let offers = watch::Sender::new(None);
    let mut offered = offers.subscribe();
    let refused = NotTaken { versions: vec![9], why: "\u{1b}no".into(), again: false };
    let said = Configured { versions: vec![3], refused: Some(refused), ..Configured::default() };
    let configuring = Some((said, offers.clone()));
    let (sender, mut acks, _) = client.put_configured(Lane::DISK[1], EPOCH, &t(), configuring).await.unwrap();
    let hearing = tokio::spawn(async move { while let Ok(Some(_)) = acks.next().await {} });
    let mut next = async || {
        offered.changed().await.unwrap();
        offered.borrow_and_update().as_ref().unwrap().versions()
    };
    assert_eq!(next().await, [3, 4]);
    server.door.say(&[3, 4]);
    server.door.say(&[9]);
    server.door.say(&[]);
    assert_eq!(next().await, Vec::<u64>::new(), "what is the same, or was refused, is not said");
    let said = server.door.configured.lock().unwrap().clone();
    assert_eq!((said.len(), said[0].refused.as_ref().unwrap().why.as_str()), (1, "\u{fffd}no"));
    drop(sender);
    hearing.await.unwrap();
}
