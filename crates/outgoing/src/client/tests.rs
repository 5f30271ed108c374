//! A server of our own on loopback, under a name that only these tests know.

use super::*;
use crate::WrittenOutgoing;
use http::StatusCode;
use http::header::AUTHORIZATION;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const NAME: &str = "id.example.net";

/// Names with the addresses that they have, and how often they were asked for.
struct Table(Vec<IpAddr>, Arc<AtomicUsize>);

#[async_trait]
impl Names for Table {
    async fn addresses(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(self.0.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
    }
}

/// One connection after the other gets `answer`, byte for byte; what they asked.
struct Server {
    port: u16,
    asked: tokio::sync::mpsc::Receiver<String>,
    authorities: Vec<rustls_pki_types::CertificateDer<'static>>,
}

async fn server(answer: impl Into<Vec<u8>>) -> Server {
    let ca = CertifiedIssuer::self_signed(authority(), KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec![NAME.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, asked) = tokio::sync::mpsc::channel(8);
    let answer = answer.into();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).await.unwrap();
            let _ = tell.try_send(String::from_utf8_lossy(&bytes[..n]).into_owned());
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            // Who has read enough goes away.
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    });
    let certificate: &rcgen::Certificate = ca.as_ref();
    Server { port, asked, authorities: vec![certificate.der().clone()] }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Server {
    fn url(&self, host: &str) -> Url {
        format!("https://{host}:{}/token?secret=s3cret", self.port).parse().unwrap()
    }

    /// A client that finds every name at these addresses.
    fn client(&self, allow: &[&str], addresses: &[&str]) -> (Outgoing, Arc<AtomicUsize>) {
        let allow = allow.iter().map(|text| (*text).to_owned()).collect();
        let mut settings = OutgoingSettings::new(&WrittenOutgoing { allow, ca_file: None }).unwrap();
        settings.authorities.clone_from(&self.authorities);
        let mut client = Outgoing::new(&settings.within(Duration::from_millis(500))).unwrap();
        let times = Arc::new(AtomicUsize::new(0));
        client.names =
            Box::new(Table(addresses.iter().map(|ip| ip.parse().unwrap()).collect(), Arc::clone(&times)));
        (client, times)
    }

    async fn error(&self, ask: impl FnOnce(Ask<'_>) -> Ask<'_>) -> OutgoingError {
        let url = self.url(NAME);
        let (client, _) = self.client(&["127.0.0.1/32"], &["127.0.0.1"]);
        let error = client.ask(ask(Ask::get(&url))).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        error
    }
}

#[tokio::test]
async fn what_is_allowed_is_asked_once_at_the_address_that_was_checked() {
    let mut server = server("HTTP/1.1 400 Bad\r\ncontent-length: 2\r\n\r\nno").await;
    let url = server.url(NAME);
    let (client, times) = server.client(&["127.0.0.0/8"], &["127.0.0.1"]);
    let ask = Ask::post(&url, "application/json", "{}")
        .with(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
    assert!(!format!("{ask:?}").contains("s3cret"));
    let answer = client.ask(ask).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::BAD_REQUEST, &b"no"[..]));
    assert_eq!(times.load(Ordering::SeqCst), 1, "a second look could find another address");
    let asked = server.asked.recv().await.unwrap().to_ascii_lowercase();
    assert!(
        asked.starts_with("post /token?secret=s3cret http/1.1\r\n") && asked.ends_with("\r\n\r\n{}"),
        "{asked}"
    );
    for header in [format!("host: {NAME}:{}", server.port), "authorization: bearer s3cret".into()] {
        assert!(asked.contains(&format!("\r\n{header}\r\n")), "{asked}");
    }
}

#[tokio::test]
async fn one_address_that_is_not_public_refuses_all() {
    let mut server = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let url = server.url(NAME);
    for (allow, addresses, forbidden) in [
        (&[] as &[&str], &["127.0.0.1"] as &[&str], "127.0.0.1"),
        (&[], &["8.8.8.8", "169.254.169.254"], "169.254.169.254"),
        (&["127.0.0.2"], &["127.0.0.1"], "127.0.0.1"),
        (&["127.0.0.1"], &["127.0.0.1", "10.0.0.1"], "10.0.0.1"),
        (&["10.0.0.0/8"], &["::ffff:127.0.0.1"], "127.0.0.1"),
        (&["127.0.0.1"], &["::1"], "::1"),
        (&["10.0.0.1"], &["64:ff9b::10.0.0.1"], "64:ff9b::a00:1"),
    ] {
        let (client, _) = server.client(allow, addresses);
        let error = client.ask(Ask::get(&url)).await.unwrap_err();
        let OutgoingError::Forbidden { address, .. } = &error else { panic!("{error:?}") };
        assert_eq!(address.to_string(), forbidden.parse::<IpAddr>().unwrap().to_string(), "{addresses:?}");
        assert!(error.to_string().contains("`outgoing.allow`"), "{error}");
    }
    assert!(server.asked.try_recv().is_err(), "nobody was asked");
    let (client, _) = server.client(&[], &[]);
    assert!(matches!(client.ask(Ask::get(&url)).await.unwrap_err(), OutgoingError::Resolve { .. }));
}

#[tokio::test]
async fn another_name_or_authority_is_not_trusted() {
    let server = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let (client, _) = server.client(&["127.0.0.1"], &["127.0.0.1"]);
    let other = server.url("other.example.net");
    assert!(matches!(client.ask(Ask::get(&other)).await.unwrap_err(), OutgoingError::Tls { .. }));
    let stranger = Server { authorities: Vec::new(), asked: tokio::sync::mpsc::channel(1).1, ..server };
    let (client, _) = stranger.client(&["127.0.0.1"], &["127.0.0.1"]);
    let error = client.ask(Ask::get(&stranger.url(NAME))).await.unwrap_err();
    assert!(error.to_string().contains("outgoing.ca_file"), "{error}");
}

#[tokio::test]
async fn nobody_follows_to_elsewhere() {
    for status in ["301 Moved", "302 Found", "303 Other", "307 Again", "308 For ever"] {
        let answer =
            format!("HTTP/1.1 {status}\r\nlocation: https://169.254.169.254/\r\ncontent-length: 0\r\n\r\n");
        let error = server(answer).await.error(|ask| ask).await;
        assert!(matches!(error, OutgoingError::Redirect { .. }), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn answers_are_bounded_in_every_way() {
    let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2000));
    let error = server(long.clone()).await.error(|ask| ask.at_most(1999)).await;
    assert!(matches!(error, OutgoingError::TooLong { bytes: 1999, .. }), "{error:?}");
    let server_of = server(long).await;
    let (client, _) = server_of.client(&["127.0.0.1"], &["127.0.0.1"]);
    assert_eq!(client.ask(Ask::get(&server_of.url(NAME)).at_most(2000)).await.unwrap().body.len(), 2000);
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(4 * HEAD));
    for answer in
        [head, "SSH-2.0-OpenSSH\r\n".to_owned(), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort".into()]
    {
        let error = server(answer).await.error(|ask| ask).await;
        assert!(matches!(error, OutgoingError::Http { .. }), "{error:?}");
    }
    let error = server("").await.error(|ask| ask).await;
    assert!(matches!(error, OutgoingError::Slow { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_said() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let server = Server { port: nowhere, ..server("x").await };
    let error = server.error(|ask| ask).await;
    assert!(matches!(error, OutgoingError::Connect { .. }), "{error:?}");
}
