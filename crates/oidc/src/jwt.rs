//! A signed token in its compact form (RFC 7515), `HEADER.CLAIMS.SIGNATURE`. What is in it is read when its signature
//! was found right, and not before; of its header only what is needed to find the key.

use crate::keys::{Algorithm, Key};
use crate::{TokenFault, told};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Bytes of a token.
const MOST: usize = 64 << 10;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// A token of which nothing is believed yet.
pub(crate) struct Jws<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    /// What the signature is over.
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, TokenFault> {
        if text.len() > MOST {
            return Err(TokenFault::Form);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFault::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenFault::Form)?;
        let Header { alg, kid, typ, crit } =
            serde_json::from_slice(&decoded(header)?).map_err(|_| TokenFault::Form)?;
        let algorithm = Algorithm::of(&alg).ok_or_else(|| TokenFault::Algorithm(told(&alg)))?;
        if crit.is_some() {
            return Err(TokenFault::Critical);
        }
        // Access tokens (`at+jwt`) and tokens of a logout are signed with the same keys.
        if let Some(typ) = typ.filter(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(TokenFault::Kind(told(&typ)));
        }
        Ok(Self { algorithm, kid, signed, claims, signature: decoded(signature)? })
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it says, if this key signed it. The key was found for its algorithm.
    pub(crate) fn verified(self, key: &Key) -> Result<Map<String, Value>, TokenFault> {
        if !key.signed(self.signed.as_bytes(), &self.signature) {
            return Err(TokenFault::Signature);
        }
        serde_json::from_slice(&decoded(self.claims)?).map_err(|_| TokenFault::Form)
    }
}

/// Without padding, and without bits that nobody reads: each text is one token.
fn decoded(text: &str) -> Result<Vec<u8>, TokenFault> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenFault::Form)
}

#[cfg(test)]
pub(crate) mod tests;
