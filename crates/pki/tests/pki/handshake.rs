use crate::now;
use bartizan_model::Micros;
use bartizan_pki::{
    Authorities, Authority, CaPin, HostKey, HostTrust, ServerCertificate, TlsFault, agent_client,
    agent_server, enrol_client, front_server, pinned_client,
};
use rustls::{ClientConfig, ServerConfig};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const NAMES: [&str; 2] = ["bartizan.example", "127.0.0.1"];

fn server_of(authority: &Authority, at: Micros, days: u32) -> Arc<ServerCertificate> {
    let issued = authority.issue_server(&NAMES.map(String::from), at, days).unwrap();
    ServerCertificate::new(&issued.chain_pem, &issued.key_pem).unwrap()
}

fn host_of(authority: &Authority, trusts: &Authority, at: Micros, days: u32) -> ClientConfig {
    let key = HostKey::generate().unwrap();
    let cert = authority.issue_host(&key.request().unwrap(), "a", at, days).unwrap();
    agent_client(&trusts.cert_pem(), &cert.pem, &key.reveal_pem()).unwrap()
}

fn agents_port(own: Arc<ServerCertificate>, authority: &Authority) -> ServerConfig {
    agent_server(own, HostTrust::new(&[authority.cert_der().clone()]).unwrap()).unwrap()
}

/// One byte there and back; what the client saw go wrong.
async fn talk(client: ClientConfig, server: ServerConfig, name: &str) -> Result<(), TlsFault> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let server = tokio::spawn(async move {
        if let Ok(mut tls) = TlsAcceptor::from(Arc::new(server)).accept(far).await {
            let byte = tls.read_u8().await;
            if let Ok(byte) = byte {
                drop(tls.write_u8(byte).await);
                drop(tls.shutdown().await);
            }
        }
    });
    let name = name.to_owned().try_into().unwrap();
    let result = async {
        let mut tls = TlsConnector::from(Arc::new(client)).connect(name, near).await?;
        tls.write_u8(7).await?;
        assert_eq!(tls.read_u8().await?, 7);
        Ok::<_, std::io::Error>(())
    }
    .await;
    server.await.unwrap();
    result.map_err(|e| match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(e) => TlsFault::of(e),
        None => TlsFault::Protocol(e.to_string()),
    })
}

#[tokio::test]
async fn enrolment_trusts_the_pin_alone() {
    let (ours, theirs) = (Authority::create(now()).unwrap(), Authority::create(now()).unwrap());
    let front = |a: &Authority| front_server(server_of(a, now(), 90)).unwrap();
    for name in NAMES {
        assert_eq!(talk(enrol_client(ours.pin()).unwrap(), front(&ours), name).await, Ok(()));
    }
    let refused = talk(enrol_client(ours.pin()).unwrap(), front(&theirs), NAMES[0]).await.unwrap_err();
    let TlsFault::OtherFleet(fault) = &refused else { panic!("{refused}") };
    assert_eq!((fault.pinned, fault.shown), (ours.pin(), Some(theirs.pin())));
    assert!(refused.to_string().starts_with("this server belongs to another fleet"), "{refused}");
    let refused = talk(enrol_client(ours.pin()).unwrap(), front(&ours), "other.example").await;
    assert_eq!(refused, Err(TlsFault::WrongName));
}

#[tokio::test]
async fn showing_our_authority_beside_a_certificate_of_another_does_not_help() {
    let (ours, theirs) = (Authority::create(now()).unwrap(), Authority::create(now()).unwrap());
    let issued = theirs.issue_server(&NAMES.map(String::from), now(), 90).unwrap();
    let leaf = &issued.chain_pem[..issued.chain_pem.len() - theirs.cert_pem().len()];
    let chain = format!("{leaf}{}", ours.cert_pem());
    let own = ServerCertificate::new(&chain, &issued.key_pem).unwrap();
    let refused =
        talk(enrol_client(ours.pin()).unwrap(), front_server(own).unwrap(), NAMES[0]).await.unwrap_err();
    assert!(matches!(refused, TlsFault::OtherFleet(_)), "{refused}");
}

#[tokio::test]
async fn a_host_certificate_cannot_serve() {
    let ours = Authority::create(now()).unwrap();
    let key = HostKey::generate().unwrap();
    let cert = ours.issue_host(&key.request().unwrap(), "bartizan.example", now(), 7).unwrap();
    let chain = format!("{}{}", cert.pem, ours.cert_pem());
    let own = ServerCertificate::new(&chain, &key.reveal_pem()).unwrap();
    assert!(talk(enrol_client(ours.pin()).unwrap(), front_server(own).unwrap(), NAMES[0]).await.is_err());
}

#[tokio::test]
async fn clocks_and_ends_are_told_apart() {
    let ours = Authority::create(Micros(now().0 - 100 * Micros::DAY)).unwrap();
    let day = |n: i64| Micros(now().0 + n * Micros::DAY);
    let client = || pinned_client(&ours.cert_pem()).unwrap();
    let front = |at, days| front_server(server_of(&ours, at, days)).unwrap();
    assert_eq!(talk(client(), front(now(), 90), NAMES[0]).await, Ok(()));
    assert_eq!(talk(client(), front(day(-20), 10), NAMES[0]).await, Err(TlsFault::ServerExpired));
    assert_eq!(talk(client(), front(day(10), 10), NAMES[0]).await, Err(TlsFault::ClockBehind));
}

#[tokio::test]
async fn the_agents_port_wants_our_certificates_in_time() {
    let (ours, theirs) = (Authority::create(now()).unwrap(), Authority::create(now()).unwrap());
    let port = || agents_port(server_of(&ours, now(), 90), &ours);
    assert_eq!(talk(host_of(&ours, &ours, now(), 7), port(), NAMES[0]).await, Ok(()));
    let old = host_of(&ours, &ours, Micros(now().0 - 9 * Micros::DAY), 7);
    assert_eq!(talk(old, port(), NAMES[0]).await, Ok(()), "it may come and renew");
    let early = host_of(&ours, &ours, Micros(now().0 + 9 * Micros::DAY), 7);
    assert_eq!(talk(early, port(), NAMES[0]).await, Ok(()), "the server's clock is behind");
    let old = host_of(&theirs, &ours, Micros(now().0 - 9 * Micros::DAY), 7);
    assert_eq!(talk(old, port(), NAMES[0]).await, Err(TlsFault::OwnRefused));
    assert_eq!(talk(host_of(&theirs, &ours, now(), 7), port(), NAMES[0]).await, Err(TlsFault::OwnRefused));
    let refused = talk(host_of(&theirs, &theirs, now(), 7), port(), NAMES[0]).await.unwrap_err();
    assert!(matches!(refused, TlsFault::OtherFleet(_)), "{refused}");
    let without = pinned_client(&ours.cert_pem()).unwrap();
    assert_eq!(talk(without, port(), NAMES[0]).await, Err(TlsFault::OwnRefused));
}

#[tokio::test]
async fn who_was_away_while_authorities_followed_each_other_is_known_and_knows_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let names = NAMES.map(String::from);
    let fleet = Authorities::load_or_create(dir.path(), now()).unwrap();
    let issued = fleet.server(&names, now()).unwrap();
    let own = ServerCertificate::new(&issued.chain_pem, &issued.key_pem).unwrap();
    let (port, front) =
        (agent_server(Arc::clone(&own), fleet.hosts()).unwrap(), front_server(Arc::clone(&own)).unwrap());
    let host = |trusts: &str| {
        let key = HostKey::generate().unwrap();
        let cert = fleet.signer().issue_host(&key.request().unwrap(), "a", now(), 7).unwrap();
        agent_client(trusts, &cert.pem, &key.reveal_pem()).unwrap()
    };
    let first = fleet.bundle_pem();
    let (away, pin) = (host(&first), fleet.current().pin());
    let mut between = Vec::new();
    for _ in 0..2 {
        let next = fleet.begin(now()).unwrap();
        assert_eq!(fleet.begin(now()).unwrap(), next, "there is one successor");
        between.push(host(&fleet.bundle_pem()));
        assert_eq!(
            talk(between.last().unwrap().clone(), port.clone(), NAMES[0]).await,
            Ok(()),
            "before it counts"
        );
        assert!(fleet.finish(now()).unwrap() && !fleet.finish(now()).unwrap());
        assert_eq!(fleet.current().pin(), next);
        let issued = fleet.server(&names, now()).unwrap();
        own.replace(&issued.chain_pem, &issued.key_pem).unwrap();
        // The same after a restart.
        let again = Authorities::load_or_create(dir.path(), now()).unwrap();
        assert_eq!((again.current().pin(), again.next().is_none()), (next, true));
        assert_eq!(again.server(&names, now()).unwrap().chain_pem, issued.chain_pem);
    }
    for client in between.into_iter().chain([away, host(&fleet.bundle_pem())]) {
        assert_eq!(talk(client, port.clone(), NAMES[0]).await, Ok(()));
    }
    // A token of the first days, and a command line with its authority, are of this fleet; others are not.
    assert_eq!(talk(enrol_client(pin).unwrap(), front.clone(), NAMES[0]).await, Ok(()));
    assert_eq!(talk(pinned_client(&first).unwrap(), front.clone(), NAMES[0]).await, Ok(()));
    let other = Authority::create(now()).unwrap();
    let refused = talk(pinned_client(&other.cert_pem()).unwrap(), front, NAMES[0]).await;
    assert!(matches!(refused, Err(TlsFault::OtherFleet(_))), "{refused:?}");
    assert_eq!(
        talk(host_of(&other, &fleet.current(), now(), 7), port, NAMES[0]).await,
        Err(TlsFault::OwnRefused)
    );
}

#[tokio::test]
async fn the_agents_port_refuses_tls_12() {
    let ours = Authority::create(now()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ours.cert_der().clone()).unwrap();
    let old = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth()
    };
    let own = || server_of(&ours, now(), 90);
    assert_eq!(talk(old(), front_server(own()).unwrap(), NAMES[0]).await, Ok(()));
    let refused = talk(old(), agents_port(own(), &ours), NAMES[0]).await;
    assert!(matches!(refused, Err(TlsFault::Protocol(_))), "{refused:?}");
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_from_then_on() {
    let ours = Authority::create(Micros(now().0 - 100 * Micros::DAY)).unwrap();
    let own = server_of(&ours, Micros(now().0 - 20 * Micros::DAY), 10);
    let port = front_server(Arc::clone(&own)).unwrap();
    let client = || enrol_client(ours.pin()).unwrap();
    assert_eq!(talk(client(), port.clone(), NAMES[0]).await, Err(TlsFault::ServerExpired));
    let new = ours.issue_server(&NAMES.map(String::from), now(), 90).unwrap();
    own.replace(&new.chain_pem, &new.key_pem).unwrap();
    assert_eq!(talk(client(), port, NAMES[0]).await, Ok(()));
    assert_ne!(CaPin::of_cert(b"x"), ours.pin());
}
