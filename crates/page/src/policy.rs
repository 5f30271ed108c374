//! What a browser may do with the page, in headers.

use axum::extract::Request;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use std::net::Ipv6Addr;

/// Everything that a browser asks people for is refused, and what it does not ask for; but the page may copy.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), \
clipboard-write=(self), display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), \
hid=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), \
publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), storage-access=(), usb=(), \
window-management=(), xr-spatial-tracking=()";

/// The headers of every answer.
#[derive(Debug)]
pub(crate) struct Policy {
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Policy {
    /// The policy of a page: the scripts that stand in it may run, by what they are.
    pub(crate) fn of(index: &[u8]) -> Self {
        let index = String::from_utf8_lossy(index);
        let hashes: String = inline_scripts(&index)
            .map(|script| format!(" 'sha256-{}'", BASE64.encode(&Sha256::digest(script))))
            .collect();
        let content = format!(
            "default-src 'none'; script-src 'self'{hashes}; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types svelte-trusted-html"
        );
        let content = HeaderValue::from_str(&content).expect("words and base64");
        let fixed = |name: &'static str, value: &'static str| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = vec![
            (CONTENT_SECURITY_POLICY, content),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            fixed("cross-origin-opener-policy", "same-origin"),
            fixed("cross-origin-resource-policy", "same-origin"),
            fixed("permissions-policy", PERMISSIONS),
        ];
        Self { headers }
    }

    /// Adds it to an answer that has none of its own. To a server with a name, a browser shall always come over TLS.
    pub(crate) fn apply(&self, named: bool, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if named {
            headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
        }
    }
}

/// Whether somebody came to a name: not to an address, for which browsers take no such rule, and not to `localhost`,
/// where other servers are that have no TLS.
pub(crate) fn is_named(request: &Request) -> bool {
    let header = || request.headers().get(HOST)?.to_str().ok()?.parse::<Authority>().ok();
    let Some(authority) = request.uri().authority().cloned().or_else(header) else { return false };
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let is_v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok() || host.is_empty());
    // A name does not end in a number: what does is an address in one of its forms.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_v4 = last.bytes().next().is_none_or(|b| b.is_ascii_digit());
    !(is_v6 || is_v4 || last == "localhost" || host.contains(':'))
}

/// What stands between the tags of each script that names no file. Not for pages of others: ours is written by a
/// program that puts no `>` into attributes.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once("<script")?;
            let (attributes, after) = after.split_once('>')?;
            let (script, after) = after.split_once("</script")?;
            rest = after;
            let has_file = attributes.split_ascii_whitespace().any(|word| word.starts_with("src="));
            if !has_file {
                return Some(script);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn scripts_without_a_file_are_found() {
        let html = "<head><script>a < b</script><script type=\"module\" crossorigin src=\"/assets/i.js\"></script>\
                    <script data-src=1>\n2</script></head><script";
        assert_eq!(inline_scripts(html).collect::<Vec<_>>(), ["a < b", "\n2"]);
        assert_eq!(inline_scripts("").count(), 0);
    }

    #[test]
    fn the_hash_is_that_of_the_bytes_between_the_tags() {
        // openssl dgst -sha256 -binary | base64
        let policy = Policy::of(b"<script>alert('Hello, world.');</script>");
        let text = policy.headers[0].1.to_str().unwrap();
        assert!(
            text.contains(
                "script-src 'self' 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='; style-src"
            ),
            "{text}"
        );
        assert!(
            Policy::of(b"").headers[0].1.to_str().unwrap().contains("script-src 'self'; style-src 'self';")
        );
    }

    #[test]
    fn only_names_get_the_rule_of_tls() {
        for (host, named) in [
            ("watch.example.net", true),
            ("watch.example.net:8443", true),
            ("WATCH", true),
            ("127.0.0.1:8443", false),
            ("[::1]:8443", false),
            ("[::1]", false),
            ("0x7f.1", false),
            ("localhost:8443", false),
            ("a.localhost.", false),
            ("", false),
            ("a b", false),
        ] {
            let request = Request::get("/").header(HOST, host).body(Body::empty()).unwrap();
            assert_eq!(is_named(&request), named, "{host}");
            if !host.is_empty() && host != "a b" {
                let uri = format!("https://{host}/");
                let request = Request::get(uri).body(Body::empty()).unwrap();
                assert_eq!(is_named(&request), named, "{host} by HTTP/2");
            }
        }
        assert!(!is_named(&Request::get("/").body(Body::empty()).unwrap()));
    }
}
