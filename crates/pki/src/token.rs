//! The join token: what a person pastes on a new host.
//!
//! ```text
//! bz1.<secret, 20 bytes in base32>.<SHA-256 of the authority's certificate (DER), base32>
//! ```
//! Base32 of RFC 4648 without padding, in lower case, read in either case. The server keeps only the
//! SHA-256 of the secret.

use crate::{PkiError, TokenError};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

const VERSION: &str = "bz1";
const SECRET_LEN: usize = 20;

/// The SHA-256 of the DER of a fleet authority's certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaPin([u8; 32]);

impl CaPin {
    /// The pin of a certificate.
    #[must_use]
    pub fn of_cert(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0[..8]))
    }
}

impl fmt::Debug for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaPin({self}..)")
    }
}

/// What a token's secret is known by at the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SecretHash(pub [u8; 32]);

/// The secret of a token, 160 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET_LEN]);

impl Secret {
    /// Its hash, which the server keeps.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0).into())
    }

    /// As text, to be sent to a server whose certificate was verified.
    #[must_use]
    pub fn reveal(&self) -> String {
        encode(&self.0)
    }

    /// The secret that [`Secret::reveal`] wrote.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        decode(text, "secret").map(Self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A join token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinToken {
    /// What is sent to the server.
    pub secret: Secret,
    /// What the server must show.
    pub pin: CaPin,
}

impl JoinToken {
    /// A new token for the fleet of this authority.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn random(pin: CaPin) -> Result<Self, PkiError> {
        let mut secret = [0; SECRET_LEN];
        getrandom::fill(&mut secret).map_err(PkiError::Random)?;
        Ok(Self { secret: Secret(secret), pin })
    }

    /// What the server keeps of it.
    #[must_use]
    pub fn secret_hash(&self) -> SecretHash {
        self.secret.hash()
    }

    /// The whole token as text. It is a secret.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{VERSION}.{}.{}", self.secret.reveal(), encode(&self.pin.0))
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let mut parts = text.split('.');
        let version = parts.next().unwrap_or_default();
        if version.is_empty() || !version.starts_with("bz") {
            return Err(TokenError::NotAToken);
        }
        if version != VERSION {
            return Err(TokenError::Version(version.chars().take(8).collect()));
        }
        let secret = parts.next().ok_or(TokenError::Truncated("only its version is there"))?;
        let pin = parts.next().ok_or(TokenError::Truncated("its second half is missing"))?;
        if parts.next().is_some() {
            return Err(TokenError::TooLong);
        }
        Ok(Self { secret: Secret(decode(secret, "secret")?), pin: CaPin(decode(pin, "second half")?) })
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn decode<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], TokenError> {
    let length = BASE32_NOPAD.encode_len(N);
    if text.len() < length {
        return Err(TokenError::Truncated(if what == "secret" {
            "its secret is too short"
        } else {
            "its second half is too short"
        }));
    }
    if text.len() > length {
        return Err(TokenError::TooLong);
    }
    let bytes =
        BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| TokenError::Character(what))?;
    bytes.try_into().map_err(|_| TokenError::Character(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_in_either_case() {
        let token = JoinToken::random(CaPin::of_cert(b"a certificate")).unwrap();
        let text = token.reveal();
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token.clone()));
        assert_eq!(text.replace("bz1", "BZ1").to_ascii_uppercase().replace("BZ1", "bz1").parse(), Ok(token));
    }

    #[test]
    fn every_cut_of_a_token_is_told_as_cut() {
        let text = JoinToken::random(CaPin::of_cert(b"x")).unwrap().reveal();
        for end in 4..text.len() {
            assert!(
                matches!(text[..end].parse::<JoinToken>(), Err(TokenError::Truncated(_))),
                "{end}: {:?}",
                text[..end].parse::<JoinToken>()
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = JoinToken::random(CaPin::of_cert(b"x")).unwrap().reveal();
        assert_eq!("hello".parse::<JoinToken>(), Err(TokenError::NotAToken));
        assert_eq!("".parse::<JoinToken>(), Err(TokenError::NotAToken));
        assert_eq!(text.replace("bz1", "bz2").parse::<JoinToken>(), Err(TokenError::Version("bz2".into())));
        assert_eq!(format!("{text}a").parse::<JoinToken>(), Err(TokenError::TooLong));
        assert_eq!(format!("{text}.a").parse::<JoinToken>(), Err(TokenError::TooLong));
        let broken = format!("{}!{}", &text[..5], &text[6..]);
        assert_eq!(broken.parse::<JoinToken>(), Err(TokenError::Character("secret")));
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = JoinToken::random(CaPin::of_cert(b"x")).unwrap();
        assert!(!format!("{token:?}").contains(&token.secret.reveal()));
    }
}
