//! Tokens that are right, and those of attackers.

use super::*;
use crate::keys::Keys;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

/// Of nobody but these tests.
const RSA: &[u8] = include_bytes!("../../testdata/rsa.pk8");

/// A key of a provider.
pub(crate) enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
}

impl Signer {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(RSA).unwrap()))
    }

    pub(crate) fn ec() -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::Ec(Box::new(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).unwrap()))
    }

    pub(crate) fn ed() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Box::new(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap()))
    }

    pub(crate) const fn alg(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    /// As it is published.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        match self {
            Self::Rsa(key) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": text(&n), "e": text(&e)})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "kid": kid, "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Self::Ed(key) => {
                json!({"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": text(key.public_key().as_ref())})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with any header.
    pub(crate) fn token_of(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = BASE64URL_NOPAD.encode(&self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    pub(crate) fn token(&self, kid: &str, claims: &Value) -> String {
        self.token_of(&json!({"alg": self.alg(), "kid": kid, "typ": "JWT"}), claims)
    }
}

pub(crate) fn published(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn keys(published_keys: &[Value]) -> Keys {
    Keys::parse(published(published_keys).as_bytes()).unwrap()
}

fn verified(token: &str, keys: &Keys) -> Result<Map<String, Value>, TokenFault> {
    let jws = Jws::parse(token)?;
    let key = keys.find(jws.algorithm(), jws.kid())?;
    jws.verified(key)
}

#[test]
fn each_algorithm_that_counts_is_verified() {
    for signer in [Signer::rsa(), Signer::ec(), Signer::ed()] {
        let keys = keys(&[Signer::ec().jwk("other"), signer.jwk("a")]);
        let claims = json!({"sub": "anna"});
        assert_eq!(Value::Object(verified(&signer.token("a", &claims), &keys).unwrap()), claims);
        // RFC 9864 has a name of its own for it.
        if matches!(signer, Signer::Ed(_)) {
            verified(&signer.token_of(&json!({"alg": "Ed25519", "kid": "a"}), &claims), &keys).unwrap();
        }
        let other = Signer::ed().token("a", &claims);
        let [header, _, signature] = other.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let mixed = format!("{header}.{}.{signature}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
        assert!(verified(&mixed, &keys).is_err());
    }
}

/// The example of RFC 8037, A.4.
#[test]
fn a_token_of_others_is_verified() {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    // Its signature is right; what it signs is no JSON.
    assert_eq!(verified(token, &keys(std::slice::from_ref(&key))), Err(TokenFault::Form));
    let changed = token.replace("hgyY0il", "hgyY0im");
    assert_eq!(verified(&changed, &keys(&[key])), Err(TokenFault::Signature));
}

#[test]
fn nothing_but_a_key_of_the_provider_signs() {
    let (rsa, ec) = (Signer::rsa(), Signer::ec());
    let published_keys = [rsa.jwk("r"), ec.jwk("e")];
    let keys = keys(&published_keys);
    let claims = json!({"sub": "anna"});
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let algorithm = |name: &str| Err(TokenFault::Algorithm(name.to_owned()));

    // Not signed at all.
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let token = format!("{}.{}.", part(&json!({"alg": name, "kid": "r"})), part(&claims));
        assert_eq!(verified(&token, &keys), algorithm(name), "{name}");
    }
    // With the public key as a secret that both know.
    let public = published_keys[0]["n"].as_str().unwrap();
    for secret in [public.as_bytes(), &BASE64URL_NOPAD.decode(public.as_bytes()).unwrap()] {
        let signed = format!("{}.{}", part(&json!({"alg": "HS256", "kid": "r"})), part(&claims));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let mac = BASE64URL_NOPAD.encode(ring::hmac::sign(&key, signed.as_bytes()).as_ref());
        assert_eq!(verified(&format!("{signed}.{mac}"), &keys), algorithm("HS256"));
    }
    for name in ["PS256", "RS512", "ES384", "RS256 ", "rs256"] {
        assert_eq!(
            verified(&rsa.token_of(&json!({"alg": name, "kid": "r"}), &claims), &keys),
            algorithm(name)
        );
    }
    // With a key that the token brings along, or says where to find.
    let attacker = Signer::ec();
    for header in [
        json!({"alg": "ES256", "kid": "e", "jwk": attacker.jwk("e")}),
        json!({"alg": "ES256", "kid": "e", "jku": "https://evil.example/keys"}),
        json!({"alg": "ES256", "jwk": attacker.jwk("e")}),
    ] {
        assert_eq!(
            verified(&attacker.token_of(&header, &claims), &keys),
            Err(TokenFault::Signature),
            "{header}"
        );
    }
    // Keys and algorithms that do not belong together, and names that nobody has.
    for (signer, header, fault) in [
        (&ec, json!({"alg": "ES256", "kid": "r"}), TokenFault::Key),
        (&rsa, json!({"alg": "RS256", "kid": "e"}), TokenFault::Key),
        (&ec, json!({"alg": "RS256", "kid": "r"}), TokenFault::Signature),
        (&rsa, json!({"alg": "EdDSA", "kid": "r"}), TokenFault::Key),
        (&rsa, json!({"alg": "RS256", "kid": "x"}), TokenFault::Key),
        (&rsa, json!({"alg": "RS256", "kid": ""}), TokenFault::Key),
        (&rsa, json!({"alg": "RS256", "kid": "r", "crit": ["exp"], "exp": 1}), TokenFault::Critical),
        (&rsa, json!({"alg": "RS256", "kid": "r", "typ": "at+jwt"}), TokenFault::Kind("at+jwt".into())),
        (
            &rsa,
            json!({"alg": "RS256", "kid": "r", "typ": "logout+jwt"}),
            TokenFault::Kind("logout+jwt".into()),
        ),
        (&rsa, json!({"alg": 7, "kid": "r"}), TokenFault::Form),
        (&rsa, json!({"kid": "r"}), TokenFault::Form),
    ] {
        assert_eq!(verified(&signer.token_of(&header, &claims), &keys), Err(fault), "{header}");
    }
}

#[test]
fn a_token_that_was_changed_or_cut_is_none() {
    let signer = Signer::ec();
    let keys = keys(&[signer.jwk("a")]);
    let token = signer.token("a", &json!({"sub": "anna", "admin": false}));
    let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other = BASE64URL_NOPAD.encode(br#"{"sub":"anna","admin":true}"#);
    assert_eq!(verified(&format!("{header}.{other}.{signature}"), &keys), Err(TokenFault::Signature));
    for wrong in [
        String::new(),
        "..".into(),
        "a.b".into(),
        header.to_owned(),
        token.replace('.', ""),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!("{token}A"),
        format!(" {token}"),
        format!("{}.x", &token[..token.len() - 90]),
        "x".repeat(MOST + 1),
    ] {
        assert!(verified(&wrong, &keys).is_err(), "{wrong:.80}");
    }
}

#[test]
fn of_published_keys_only_those_are_taken_that_sign_what_counts() {
    let (signer, other) = (Signer::ec(), Signer::ec());
    let claims = json!({"sub": "anna"});
    let bare = signer.token_of(&json!({"alg": "ES256"}), &claims);
    // The only one that could have signed it, among others.
    let mut encrypting = other.jwk("enc");
    encrypting["use"] = json!("enc");
    let mut with = other.jwk("ecdh");
    with["alg"] = json!("ECDH-ES");
    let strange = [
        json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "o"}),
        json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "n": "", "e": "AQAB"}),
        json!({"kty": "RSA", "n": "not base64!", "e": "AQAB"}),
        json!({"kty": 7}),
        json!("key"),
    ];
    let all = [&[encrypting, with, Signer::rsa().jwk("r"), signer.jwk("s")][..], &strange].concat();
    assert!(verified(&bare, &keys(&all)).is_ok());
    assert_eq!(verified(&bare, &keys(&[signer.jwk("a"), other.jwk("b")])), Err(TokenFault::WhichKey));
    assert_eq!(verified(&bare, &keys(&[])), Err(TokenFault::Key));
    // Zeros before a number are not part of it.
    let rsa = Signer::rsa();
    let mut padded = rsa.jwk("r");
    let n = BASE64URL_NOPAD.decode(padded["n"].as_str().unwrap().as_bytes()).unwrap();
    padded["n"] = json!(BASE64URL_NOPAD.encode(&[vec![0], n].concat()));
    assert!(verified(&rsa.token("r", &claims), &keys(&[padded])).is_ok());
    for wrong in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert!(Keys::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

/// What the fuzzer begins with: keys in the first line, a token in the second.
#[test]
fn the_corpus_is_of_tokens_that_count_and_of_those_that_do_not() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/id_token");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = String::from_utf8(std::fs::read(file.unwrap().path()).unwrap()).unwrap();
        let (keys, token) = text.split_once('\n').unwrap();
        if let Ok(keys) = Keys::parse(keys.as_bytes()) {
            count += usize::from(verified(token.trim_end(), &keys).is_ok());
        }
    }
    assert!(count >= 2, "{count} count");
}

proptest! {
    #[test]
    fn any_text_is_a_token_or_none(text in "(e|\\PC|[A-Za-z0-9_.=-]){0,80}") {
        let _ = Jws::parse(&text);
    }

    /// Whatever one bit of it is changed, it does not count any more.
    #[test]
    fn no_bit_of_a_token_can_be_changed(at: prop::sample::Index, bit in 0..6_u8) {
        let signer = Signer::ed();
        let keys = keys(&[signer.jwk("a")]);
        let token = signer.token("a", &json!({"sub": "anna"}));
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(verified(&changed, &keys).is_err(), "{changed}");
        }
    }
}
