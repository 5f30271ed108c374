//! The keys that a provider publishes (RFC 7517): of them only those that can sign what counts.

use crate::TokenFault;
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// Keys that are looked at.
const MOST: usize = 64;

/// How an ID token is signed. There is no other way that counts: none without a key, and none with a key that the
/// client knows as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256; 2048 bits or more.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// Ed25519, as `EdDSA` or `Ed25519` (RFC 8037, RFC 9864).
    EdDsa,
}

impl Algorithm {
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// What a key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point, not compressed.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key that may have signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    kid: Option<String>,
    alg: Option<Algorithm>,
    material: Material,
}

impl Key {
    /// Whether it may sign so: by what it is, and by what it says that it is for.
    fn signs(&self, algorithm: Algorithm) -> bool {
        let is_kind = matches!(
            (&self.material, algorithm),
            (Material::Rsa { .. }, Algorithm::Rs256)
                | (Material::P256(_), Algorithm::Es256)
                | (Material::Ed25519(_), Algorithm::EdDsa)
        );
        is_kind && self.alg.is_none_or(|alg| alg == algorithm)
    }

    /// Whether it signed this.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { n, e } => RsaPublicKeyComponents { n: &n[..], e: &e[..] }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Material::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}

/// All of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// A key as it is published.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Those of a document that can sign an ID token; others are passed over.
    pub(crate) fn parse(document: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(document)?;
        let read = |key: serde_json::Value| key_of(serde_json::from_value(key).ok()?);
        Ok(Self(document.keys.into_iter().take(MOST).filter_map(read).collect()))
    }

    /// The key that a token names; or the only one that could have signed it, if it names none.
    pub(crate) fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<&Key, TokenFault> {
        let mut fit = self.0.iter().filter(|key| key.signs(algorithm));
        if let Some(kid) = kid {
            return fit.find(|key| key.kid.as_deref() == Some(kid)).ok_or(TokenFault::Key);
        }
        let key = fit.next().ok_or(TokenFault::Key)?;
        if fit.next().is_some() { Err(TokenFault::WhichKey) } else { Ok(key) }
    }
}

fn key_of(published: Published) -> Option<Key> {
    let Published { kty, kid, purpose, alg, crv, n, e, x, y } = published;
    if purpose.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let bytes = |text: Option<String>| BASE64URL_NOPAD.decode(text?.as_bytes()).ok();
    let sized = |text, size| bytes(text).filter(|bytes| bytes.len() == size);
    let number = |text| {
        let bytes = bytes(text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(bytes[zeros..].to_vec()).filter(|bytes| !bytes.is_empty())
    };
    let material = match (kty.as_str(), crv.as_deref()) {
        ("RSA", None) => Material::Rsa { n: number(n)?, e: number(e)? },
        ("EC", Some("P-256")) => Material::P256([vec![4], sized(x, 32)?, sized(y, 32)?].concat()),
        ("OKP", Some("Ed25519")) => Material::Ed25519(sized(x, 32)?),
        _ => return None,
    };
    // One that is for another algorithm is none of ours.
    let alg = match alg {
        Some(alg) => Some(Algorithm::of(&alg)?),
        None => None,
    };
    Some(Key { kid, alg, material })
}
