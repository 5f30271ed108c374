//! What an identity provider sends. The code under test is taken by its files: as a crate it would bring the network
//! with it.

use crate::claims::{Expected, claim, texts};
use crate::jwt::Jws;
use crate::keys::Keys;

/// Keys in the first line, a token in the second: claims of it, or why it does not count. What a key signed is JSON, and
/// counts only for whom it is.
pub fn id_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((keys, token)) = text.split_once('\n') else { return };
    let (Ok(keys), Ok(jws)) = (Keys::parse(keys.as_bytes()), Jws::parse(token.trim_end())) else { return };
    let found = keys.find(jws.algorithm(), jws.kid());
    let Ok(claims) = found.and_then(|key| jws.verified(key)) else { return };
    let expected = Expected { issuer: "https://id.example.net", client: "bartizan", nonce: "n-0", now: 1_795_410_043 };
    if let Ok(subject) = expected.check(&claims) {
        assert!(!subject.is_empty() && claims["iss"] == "https://id.example.net" && claims["nonce"] == "n-0");
    }
    let _ = texts(claim(&claims, "realm_access.roles"));
}
