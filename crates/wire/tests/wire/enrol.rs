use crate::support::*;
use bartizan_model::Seq;
use bartizan_pki::{Authority, HostKey, JoinToken, agent_client, enrol_client};
use bartizan_wire::{Client, Endpoint, ErrorKind, WireError};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_host_enrols_sends_and_renews_with_one_key() {
    let server = server().await;
    let token: JoinToken = server.door.token.reveal().parse().unwrap();
    let key = HostKey::generate().unwrap();
    let tls = enrol_client(token.pin).unwrap();
    let client = Client::connect(&at(server.front), &tls, server.settings).await.unwrap();
    let enrolled = client.enrol(&token.secret, &key, "db-1", "0.1.0", false).await.unwrap();
    assert_eq!(enrolled.name, "db-1");
    let tls = agent_client(&enrolled.ca_pem, &enrolled.cert_pem, &key.reveal_pem()).unwrap();
    let client = server.connect(&tls).await;
    let renewed = client.renew(&key, "0.1.0").await.unwrap();
    assert_ne!(renewed.cert_pem, enrolled.cert_pem);
    let error = client.renew(&HostKey::generate().unwrap(), "0.1.0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let tls = agent_client(&renewed.ca_pem, &renewed.cert_pem, &key.reveal_pem()).unwrap();
    let (_, _, seq) = server.connect(&tls).await.put(LANE, EPOCH, &t()).await.unwrap();
    assert_eq!(seq, Seq::ZERO);
}

#[tokio::test]
async fn tokens_that_are_not_good_are_refused_in_words() {
    let server = server().await;
    let token = server.door.token.clone();
    let key = HostKey::generate().unwrap();
    let tls = enrol_client(token.pin).unwrap();
    let enrol = async |token: &JoinToken| {
        let client = Client::connect(&at(server.front), &tls, server.settings).await.unwrap();
        client.enrol(&token.secret, &key, "db-1", "0.1.0", false).await
    };
    let reason = |result: Result<_, WireError>| match result {
        Err(WireError::Denied(why)) => why,
        other => panic!("{other:?}"),
    };
    let wrong = JoinToken::random(token.pin).unwrap();
    assert_eq!(reason(enrol(&wrong).await), "unknown token");
    server.door.expired.store(true, Ordering::Relaxed);
    assert_eq!(reason(enrol(&token).await), "the token has expired");
    server.door.expired.store(false, Ordering::Relaxed);
    enrol(&token).await.unwrap();
    assert_eq!(reason(enrol(&token).await), "the token is used up");
}

#[tokio::test]
async fn a_token_of_another_fleet_is_not_shown_to_this_server() {
    let server = server().await;
    let other = Authority::create(now()).unwrap();
    let tls = enrol_client(other.pin()).unwrap();
    let error = Client::connect(&at(server.front), &tls, server.settings).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OtherFleet, "{error}");
}

#[test]
fn endpoints_are_read_as_people_write_them() {
    let read = |text| Endpoint::parse(text, 8444).map(|e| e.to_string());
    for (text, shown) in [
        ("logs.example", "logs.example:8444"),
        ("logs.example:1", "logs.example:1"),
        ("192.0.2.1", "192.0.2.1:8444"),
        ("2001:db8::1", "[2001:db8::1]:8444"),
        ("[2001:db8::1]:99", "[2001:db8::1]:99"),
        ("[2001:db8::1]", "[2001:db8::1]:8444"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(shown));
    }
    for bad in ["", "a b", "x:0", "x:99999", "x:y", "[::1", "[::1]x", "https://x:1"] {
        assert!(read(bad).is_err(), "{bad}: {:?}", read(bad));
    }
}
