//! Random secrets and their hashes.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

/// SHA-256 of a secret.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits, as people and shells can take them, behind a word that says what it is.
pub(crate) fn random(what: &str) -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(format!("{what}{}", BASE32_NOPAD.encode(&secret).to_ascii_lowercase()))
}
