//! A provider of our own on loopback, over TLS, that answers whatever a test wants.

use super::*;
use crate::OidcErrorKind;
use crate::jwt::tests::{Signer, published};
use crate::settings::tests::written;
use bartizan_outgoing::{OutgoingError, OutgoingSettings, WrittenOutgoing};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::version::TLS13;
use rustls_pki_types::PrivateKeyDer;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const NOW: i64 = 1_795_410_043;

fn clock() -> Micros {
    Micros(NOW * 1_000_000)
}

/// What a path answers: a status with headers, and a body.
type Answers = Arc<Mutex<BTreeMap<&'static str, (String, String)>>>;

struct Provider {
    issuer: String,
    signer: Signer,
    answers: Answers,
    /// First lines and bodies of what was asked.
    asked: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

impl Provider {
    async fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let certificate: &rcgen::Certificate = ca.as_ref();
        fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("https://{}", listener.local_addr().unwrap());
        let (answers, asked) = (Answers::default(), Arc::new(Mutex::new(Vec::new())));
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            Arc::clone(&answers),
            Arc::clone(&asked),
        ));
        let provider = Self { issuer, signer: Signer::ec(), answers, asked, dir };
        provider.says("/.well-known/openid-configuration", provider.document());
        provider.says("/keys", published(&[provider.signer.jwk("k1")]));
        provider
    }

    fn document(&self) -> Value {
        let issuer = &self.issuer;
        json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth?tenant=1"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            "userinfo_endpoint": format!("{issuer}/me"), "authorization_response_iss_parameter_supported": true,
        })
    }

    fn says(&self, path: &'static str, body: impl ToString) {
        self.answers(path, "200 OK", body);
    }

    fn answers(&self, path: &'static str, head: &str, body: impl ToString) {
        self.answers.lock().unwrap().insert(path, (head.to_owned(), body.to_string()));
    }

    /// A client that trusts this one; its secret is `s3cret:/`.
    fn oidc(&self) -> Oidc {
        fs::write(self.dir.path().join("secret"), "s3cret:/\n").unwrap();
        let secret = Some(self.dir.path().join("secret"));
        let settings =
            OidcSettings::new(crate::WrittenOidc { client_secret_file: secret, ..written(&self.issuer) });
        let ca_file = Some(self.dir.path().join("ca.pem"));
        let outgoing = WrittenOutgoing { allow: vec!["127.0.0.1".into()], ca_file };
        let outgoing = Outgoing::new(&OutgoingSettings::new(&outgoing).unwrap()).unwrap();
        Oidc::new(settings.unwrap(), outgoing, clock)
    }

    fn claims(&self, nonce: &str) -> Value {
        json!({
            "iss": self.issuer, "sub": "u-1", "aud": "bartizan", "nonce": nonce, "exp": NOW + 60, "iat": NOW,
            "preferred_username": "Anna", "groups": ["staff"],
        })
    }

    /// Somebody begins; the token is what `token` makes of the nonce.
    async fn begin(&self, oidc: &Oidc, token: impl FnOnce(&str) -> String) -> Walk {
        let Begun { location, secret } = oidc.begin("/explore", None, Instant::now()).await.unwrap();
        let walk = Walk { location, secret, issuer: self.issuer.clone() };
        self.says(
            "/token",
            json!({"id_token": token(&walk.asked("nonce")), "access_token": "at", "token_type": "Bearer"}),
        );
        walk
    }

    async fn signs_in(&self, oidc: &Oidc, change: impl FnOnce(&mut Value)) -> Result<Finished, OidcError> {
        let token = |nonce: &str| {
            let mut claims = self.claims(nonce);
            change(&mut claims);
            self.signer.token("k1", &claims)
        };
        self.begin(oidc, token).await.finish(oidc).await
    }

    fn count(&self, line: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.contains(line)).count()
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, answers: Answers, asked: Arc<Mutex<Vec<String>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = tls.accept(stream).await else { continue };
        let question = question(&mut stream).await;
        let path = question.split(' ').nth(1).unwrap_or_default().to_owned();
        asked.lock().unwrap().push(question);
        let answer = answers.lock().unwrap().get(path.as_str()).cloned();
        let (head, body) = answer.unwrap_or_else(|| ("404 Not Found".into(), String::new()));
        let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

/// A head, and as much of a body as it says.
async fn question(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return text;
        }
    }
}

/// A sign-in on its way.
struct Walk {
    location: String,
    secret: String,
    issuer: String,
}

impl Walk {
    /// What the provider was asked by way of the browser.
    fn asked(&self, name: &str) -> String {
        let query = self.location.split_once('?').unwrap().1;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1.into_owned()
    }

    async fn finish(&self, oidc: &Oidc) -> Result<Finished, OidcError> {
        let state = self.asked("state");
        let returned =
            Returned { state: &state, code: Some("c0de"), issuer: Some(&self.issuer), ..Returned::default() };
        oidc.finish(returned, &self.secret, Instant::now()).await
    }
}

fn fault(result: Result<Finished, OidcError>) -> TokenFault {
    match result {
        Err(OidcError::Token(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn somebody_is_who_the_provider_says_once() {
    let provider = Provider::new().await;
    let oidc = provider.oidc();
    let walk = provider.begin(&oidc, |nonce| provider.signer.token("k1", &provider.claims(nonce))).await;
    assert!(walk.location.starts_with(&format!("{}/auth?tenant=1&response_type=code&", provider.issuer)));
    for (name, value) in [
        ("client_id", "bartizan"),
        ("redirect_uri", "https://watch.example.net:8443/sign-in"),
        ("scope", "openid profile groups"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(walk.asked(name), value);
    }
    let Finished { identity, back } = walk.finish(&oidc).await.unwrap();
    let Identity { issuer, subject, name, groups } = identity;
    assert_eq!((issuer, subject.as_str(), name.as_str()), (provider.issuer.clone(), "u-1", "anna"));
    assert_eq!((groups, back.as_str()), (vec!["staff".to_owned()], "/explore"));
    assert!(matches!(walk.finish(&oidc).await, Err(OidcError::Unknown)), "once");

    // The code was given with what proves who began, and with the client's secret in a header.
    let asked =
        provider.asked.lock().unwrap().iter().find(|asked| asked.starts_with("POST /token")).unwrap().clone();
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    let basic = format!("authorization: Basic {}", BASE64.encode(b"bartizan:s3cret%3A%2F"));
    assert!(head.contains(&basic) && !body.contains("s3cret"), "{asked}");
    let given: BTreeMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(given["code_verifier"].as_bytes()));
    assert_eq!((challenge, given["code"].as_str()), (walk.asked("code_challenge"), "c0de"));
    assert_eq!(given["redirect_uri"], walk.asked("redirect_uri"));
    assert_eq!(provider.count("GET /me"), 0, "nothing was missing");
}

#[tokio::test]
async fn what_is_not_of_this_sign_in_does_not_count() {
    let provider = Provider::new().await;
    let oidc = provider.oidc();
    let wrong = |name: &'static str, value: Value| move |claims: &mut Value| claims[name] = value;
    for (change, expected) in [
        (wrong("nonce", json!("other")), TokenFault::Nonce),
        (wrong("iss", json!("https://evil.example")), TokenFault::Issuer),
        (wrong("aud", json!("other")), TokenFault::Audience),
        (wrong("exp", json!(NOW - 100)), TokenFault::Over),
        (wrong("sub", Value::Null), TokenFault::Claim("sub")),
    ] {
        assert_eq!(fault(provider.signs_in(&oidc, change).await), expected);
    }
    let stranger = Signer::ec();
    let walk = provider.begin(&oidc, |nonce| stranger.token("k1", &provider.claims(nonce))).await;
    assert_eq!(fault(walk.finish(&oidc).await), TokenFault::Signature);

    // What the browser brings: another's state, secret or issuer; a refusal; no code.
    let token = |nonce: &str| provider.signer.token("k1", &provider.claims(nonce));
    let [one, two] = [provider.begin(&oidc, token).await, provider.begin(&oidc, token).await];
    let mixed = Walk { secret: two.secret.clone(), ..provider.begin(&oidc, token).await };
    assert!(matches!(mixed.finish(&oidc).await, Err(OidcError::Unknown)), "another browser");
    let bring = async |issuer: Option<&str>, error: Option<&str>, walk: &Walk| {
        let state = walk.asked("state");
        let returned = Returned { state: &state, code: Some("x"), issuer, error, words: Some("no\u{1b}pe") };
        oidc.finish(returned, &walk.secret, Instant::now()).await
    };
    assert_eq!(fault(bring(Some("https://evil.example"), None, &one).await), TokenFault::Issuer);
    assert!(matches!(bring(Some(&one.issuer), None, &one).await, Err(OidcError::Unknown)), "it is over");
    assert_eq!(fault(bring(None, None, &two).await), TokenFault::Issuer, "it says that it says who it is");
    let walk = provider.begin(&oidc, token).await;
    let denied = bring(Some(&walk.issuer), Some("access_denied"), &walk).await.unwrap_err();
    assert_eq!(denied.to_string(), "single sign-on did not sign you in: nope");
    assert_eq!(provider.count("code=x"), 0, "nobody gave a code for them");
}

#[tokio::test]
async fn keys_that_the_provider_changes_are_found_and_not_too_often() {
    let provider = Provider::new().await;
    let oidc = provider.oidc();
    provider.signs_in(&oidc, |_| {}).await.unwrap();
    let next = Signer::ed();
    provider.says("/keys", published(&[provider.signer.jwk("k1"), next.jwk("k2")]));
    let with_next = async || {
        let walk = provider.begin(&oidc, |nonce| next.token("k2", &provider.claims(nonce))).await;
        walk.finish(&oidc).await
    };
    for _ in 0..5 {
        assert_eq!(fault(with_next().await), TokenFault::Key);
    }
    assert_eq!(provider.count("GET /keys"), 1, "a token that names a key makes no request within a minute");
    let earlier = |by: Duration| Instant::now().checked_sub(by).unwrap();
    oidc.known.lock().await.keys.as_mut().unwrap().at = earlier(ANEW);
    with_next().await.unwrap();
    provider.signs_in(&oidc, |_| {}).await.unwrap();
    assert_eq!((provider.count("GET /keys"), provider.count("GET /.well-known")), (2, 1));
    // A key that is gone from the list counts no more, once the list was read anew.
    provider.says("/keys", published(&[provider.signer.jwk("k1")]));
    oidc.known.lock().await.keys.as_mut().unwrap().at = earlier(FRESH);
    assert_eq!(fault(with_next().await), TokenFault::Key);
    // And while the provider does not answer, those that are known do.
    provider.answers("/keys", "500 Oh", "");
    oidc.known.lock().await.keys.as_mut().unwrap().at = earlier(FRESH);
    provider.signs_in(&oidc, |_| {}).await.unwrap();
}

#[tokio::test]
async fn groups_that_the_token_leaves_out_are_asked_for_and_are_of_the_same_subject() {
    let provider = Provider::new().await;
    let oidc = provider.oidc();
    let bare = |claims: &mut Value| {
        claims.as_object_mut().unwrap().retain(|name, _| name != "groups" && name != "preferred_username");
    };
    let me = json!({"sub": "u-1", "groups": ["admins", "staff"], "preferred_username": "anna", "iss": "x"});
    provider.says("/me", &me);
    let identity = provider.signs_in(&oidc, bare).await.unwrap().identity;
    assert_eq!((identity.name.as_str(), identity.groups.len()), ("anna", 2));
    assert_eq!((provider.count("authorization: Bearer at"), identity.issuer), (1, provider.issuer.clone()));
    provider.says("/me", json!({"sub": "u-2", "groups": ["admins"]}));
    let error = provider.signs_in(&oidc, bare).await.unwrap_err();
    assert!(error.to_string().ends_with("another subject"), "{error}");
}

#[tokio::test]
async fn a_provider_that_is_not_as_it_should_be_is_told_to_whoever_runs_it() {
    let provider = Provider::new().await;
    let oidc = provider.oidc();
    let finish = async |head: &str, body: &str| {
        let walk = provider.begin(&oidc, |_| String::new()).await;
        provider.answers("/token", head, body);
        walk.finish(&oidc).await.unwrap_err()
    };
    let code = finish("400 Bad Request", r#"{"error":"invalid_grant","error_description":"used"}"#).await;
    assert_eq!(
        (code.to_string().as_str(), code.kind()),
        ("the provider does not take the code: used", OidcErrorKind::Refused)
    );
    for (head, body, says) in [
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#, "invalid_client"),
        ("200 OK", "<html>s3cret", "no JSON"),
        ("200 OK", r#"{"access_token":"s3cret"}"#, "no JSON as it should be"),
        ("500 Oh", "", "500"),
    ] {
        let error = finish(head, body).await;
        assert_eq!(error.kind(), OidcErrorKind::Operator, "{error}");
        assert!(error.to_string().contains(says) && !format!("{error:?}").contains("s3cret"), "{error:?}");
    }
    let error = finish("302 Found\r\nlocation: https://evil.example/", "").await;
    assert!(matches!(error, OidcError::Outgoing(OutgoingError::Redirect { .. })), "{error:?}");

    // Another's document, and then none: it is left alone for a few seconds.
    provider.says("/.well-known/openid-configuration", json!({"issuer": "https://evil.example"}));
    let oidc = provider.oidc();
    let begin = async || oidc.begin("/", None, Instant::now()).await.map(|_| ()).unwrap_err();
    assert!(matches!(begin().await, OidcError::Provider { .. }));
    let before = provider.count("GET /.well-known");
    assert!(matches!(begin().await, OidcError::Away));
    assert_eq!(provider.count("GET /.well-known"), before);
}

#[tokio::test]
async fn many_at_one_time_are_turned_away_and_lose_nothing() {
    let provider = Provider::new().await;
    let oidc = provider.oidc();
    let walk = provider.begin(&oidc, |nonce| provider.signer.token("k1", &provider.claims(nonce))).await;
    let all = oidc.exchanges.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
    assert!(matches!(walk.finish(&oidc).await, Err(OidcError::Busy)));
    drop(all);
    walk.finish(&oidc).await.unwrap();
}
