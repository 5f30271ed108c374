//! What a provider says of itself (OpenID Connect Discovery 1.0).

use crate::OidcError;
use bartizan_outgoing::Url;
use serde::Deserialize;

/// The document, as far as it is used.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where a provider is asked for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Where browsers go.
    pub(crate) authorize: Url,
    /// Where a code becomes tokens.
    pub(crate) token: Url,
    /// Its keys.
    pub(crate) keys: Url,
    /// Where it says more of somebody.
    pub(crate) userinfo: Option<Url>,
    /// Whether the client's secret goes in a header, or in the form.
    pub(crate) basic: bool,
    /// Whether it says who it is when it sends a browser back (RFC 9207).
    pub(crate) names_itself: bool,
}

impl Metadata {
    /// What a document says that is of this issuer and no other.
    pub(crate) fn parse(document: &[u8], issuer: &str) -> Result<Self, OidcError> {
        let wrong = |problem: String| OidcError::Provider { what: "description of itself", problem };
        let document: Document = serde_json::from_slice(document)
            .map_err(|error| wrong(format!("it is no JSON of that kind: {error}")))?;
        if document.issuer != issuer {
            let found = crate::told(&document.issuer);
            return Err(wrong(format!(
                "it is of `{found}`; if that is meant, write `oidc.issuer` exactly so"
            )));
        }
        let url = |name: &str, text: &str| {
            text.parse::<Url>().map_err(|error| wrong(format!("{name} `{}`: {error}", crate::told(text))))
        };
        let methods = document.token_endpoint_auth_methods_supported;
        let userinfo = document.userinfo_endpoint.map(|text| url("userinfo_endpoint", &text));
        Ok(Self {
            authorize: url("authorization_endpoint", &document.authorization_endpoint)?,
            token: url("token_endpoint", &document.token_endpoint)?,
            keys: url("jwks_uri", &document.jwks_uri)?,
            userinfo: userinfo.transpose()?,
            basic: methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic")),
            names_itself: document.authorization_response_iss_parameter_supported,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://id.example.net";

    fn parsed(change: impl FnOnce(&mut Value)) -> Result<Metadata, String> {
        let mut document = json!({
            "issuer": ISSUER, "authorization_endpoint": "https://id.example.net/auth?x=y",
            "token_endpoint": "https://id.example.net/token", "jwks_uri": "https://keys.example.net/",
            "something": ["else"],
        });
        change(&mut document);
        Metadata::parse(document.to_string().as_bytes(), ISSUER).map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_the_configured_one_and_is_reached_by_tls() {
        let found = parsed(|_| {}).unwrap();
        assert_eq!((found.basic, found.names_itself, found.userinfo), (true, false, None));
        let posts = parsed(|d| d["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
        assert!(!posts.unwrap().basic);
        assert!(
            parsed(|d| d["issuer"] = json!("https://id.example.net/")).unwrap_err().contains("oidc.issuer")
        );
        assert!(
            parsed(|d| d["token_endpoint"] = json!("http://id.example.net/token"))
                .unwrap_err()
                .contains("https")
        );
        assert!(parsed(|d| d["jwks_uri"] = json!(null)).unwrap_err().contains("no JSON of that kind"));
        assert!(Metadata::parse(b"<html>", ISSUER).is_err());
    }
}
