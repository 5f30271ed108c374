//! What a token whose signature is right has to say (OpenID Connect Core 1.0, 3.1.3.7), and who somebody is by that.

use crate::TokenFault;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 60;
/// Bytes of a subject, as its definition has it.
const SUBJECT: usize = 255;
/// Groups of one person that are looked at.
const GROUPS: usize = 5000;

/// What an ID token has to be.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a str,
    pub(crate) nonce: &'a str,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

impl Expected<'_> {
    /// The subject, if it is all of that.
    pub(crate) fn check<'c>(&self, claims: &'c Map<String, Value>) -> Result<&'c str, TokenFault> {
        let text =
            |name: &'static str| claims.get(name).and_then(Value::as_str).ok_or(TokenFault::Claim(name));
        if text("iss")? != self.issuer {
            return Err(TokenFault::Issuer);
        }
        self.check_audience(claims)?;
        let exp = time(claims, "exp")?.ok_or(TokenFault::Claim("exp"))?;
        let iat = time(claims, "iat")?.ok_or(TokenFault::Claim("iat"))?;
        if self.now >= exp.saturating_add(LEEWAY) {
            return Err(TokenFault::Over);
        }
        let since = time(claims, "nbf")?.map_or(iat, |nbf| nbf.max(iat));
        if since > self.now.saturating_add(LEEWAY) {
            return Err(TokenFault::Future);
        }
        if !bool::from(text("nonce")?.as_bytes().ct_eq(self.nonce.as_bytes())) {
            return Err(TokenFault::Nonce);
        }
        let sub = text("sub")?;
        let fits = (1..=SUBJECT).contains(&sub.len()) && !sub.contains(char::is_control);
        fits.then_some(sub).ok_or(TokenFault::Claim("sub"))
    }

    /// It is for this client; and if for others as well, this one is who asked for it (`azp`).
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), TokenFault> {
        let is_us = |value: &Value| value.as_str() == Some(self.client);
        let (is_among, is_shared) = match claims.get("aud") {
            Some(Value::String(one)) => (one == self.client, false),
            Some(Value::Array(several)) => (several.iter().any(is_us), several.len() > 1),
            _ => return Err(TokenFault::Claim("aud")),
        };
        let is_party = match claims.get("azp") {
            None => !is_shared,
            Some(party) => is_us(party),
        };
        if is_among && is_party { Ok(()) } else { Err(TokenFault::Audience) }
    }
}

/// A time in seconds since 1970; providers write fractions, too.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, TokenFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "a time that does not fit is the end of time")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
    seconds.map(Some).ok_or(TokenFault::Claim(name))
}

/// Who somebody is, as the provider says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who says it.
    pub issuer: String,
    /// Whom the provider means: never another, and never the same by another word.
    pub subject: String,
    /// What the provider calls him, in small letters; a label.
    pub name: String,
    /// The groups that he is in.
    pub groups: Vec<String>,
}

/// A claim by its name; or, if there is none of that name, by its way through claims, `realm_access.roles`.
pub(crate) fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

/// The texts of a claim that is a text or a list of them.
pub(crate) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => {
            several.iter().take(GROUPS).filter_map(|value| value.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_795_410_043;
    const EXPECTED: Expected<'_> =
        Expected { issuer: "https://id.example.net", client: "bartizan", nonce: "n-0", now: NOW };

    fn good() -> Value {
        json!({
            "iss": "https://id.example.net", "sub": "248289761001", "aud": "bartizan", "nonce": "n-0",
            "exp": NOW + 300, "iat": NOW,
        })
    }

    fn check(change: impl FnOnce(&mut Value)) -> Result<String, TokenFault> {
        let mut claims = good();
        change(&mut claims);
        EXPECTED.check(claims.as_object().unwrap()).map(str::to_owned)
    }

    #[test]
    fn what_is_right_is_taken() {
        let subject = || Ok("248289761001".to_owned());
        assert_eq!(check(|_| {}), subject());
        assert_eq!(check(|c| c["aud"] = json!(["bartizan"])), subject());
        assert_eq!(
            check(|c| (c["aud"], c["azp"]) = (json!(["other", "bartizan"]), json!("bartizan"))),
            subject()
        );
        assert_eq!(check(|c| c["exp"] = json!(NOW - LEEWAY + 1)), subject(), "clocks differ");
        assert_eq!(check(|c| c["iat"] = json!(NOW + LEEWAY)), subject());
        assert_eq!(check(|c| c["exp"] = json!(NOW as f64 + 0.5)), subject());
    }

    #[test]
    fn each_claim_that_is_wrong_or_missing_is_refused() {
        type Change = fn(&mut Value);
        let table: &[(Change, TokenFault)] = &[
            (|c| c["iss"] = json!("https://id.example.net/"), TokenFault::Issuer),
            (|c| c["iss"] = json!("https://evil.example.net"), TokenFault::Issuer),
            (|c| c["iss"] = json!(["https://id.example.net"]), TokenFault::Claim("iss")),
            (|c| c["aud"] = json!("Bartizan"), TokenFault::Audience),
            (|c| c["aud"] = json!([]), TokenFault::Audience),
            (|c| c["aud"] = json!(["other", "bartizan"]), TokenFault::Audience),
            (|c| c["azp"] = json!("other"), TokenFault::Audience),
            (|c| (c["aud"], c["azp"]) = (json!("other"), json!("bartizan")), TokenFault::Audience),
            (|c| c["aud"] = json!(7), TokenFault::Claim("aud")),
            (|c| c["exp"] = json!(NOW - LEEWAY), TokenFault::Over),
            (|c| c["exp"] = json!(i64::MIN), TokenFault::Over),
            (|c| c["exp"] = json!("never"), TokenFault::Claim("exp")),
            (|c| c["iat"] = json!(NOW + LEEWAY + 1), TokenFault::Future),
            (|c| c["nbf"] = json!(NOW + LEEWAY + 1), TokenFault::Future),
            (|c| c["nonce"] = json!("n-1"), TokenFault::Nonce),
            (|c| c["nonce"] = json!(""), TokenFault::Nonce),
            (|c| c["sub"] = json!(""), TokenFault::Claim("sub")),
            (|c| c["sub"] = json!(7), TokenFault::Claim("sub")),
            (|c| c["sub"] = json!("x".repeat(256)), TokenFault::Claim("sub")),
        ];
        for (change, fault) in table {
            assert_eq!(check(change), Err(fault.clone()));
        }
        for name in ["iss", "aud", "exp", "iat", "nonce", "sub"] {
            let missing = check(|claims| drop(claims.as_object_mut().unwrap().remove(name)));
            assert_eq!(missing, Err(TokenFault::Claim(name)), "{name}");
        }
    }

    #[test]
    fn claims_are_found_by_name_and_by_way() {
        let claims = json!({"groups": ["a", 7, "b"], "one": "x", "realm_access": {"roles": ["r"]}, "https://e.x/g": ["u"]});
        let of = |name| texts(claim(claims.as_object().unwrap(), name));
        assert_eq!(of("groups"), ["a", "b"]);
        assert_eq!((of("one"), of("realm_access.roles")), (vec!["x".to_owned()], vec!["r".to_owned()]));
        assert_eq!(of("https://e.x/g"), ["u"], "a name with dots");
        assert!(of("none").is_empty() && of("one.x").is_empty() && of("realm_access").is_empty());
    }
}
