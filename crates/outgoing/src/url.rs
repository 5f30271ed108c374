use http::Uri;
use rustls_pki_types::ServerName;
use std::fmt;
use std::str::FromStr;

/// Bytes of an address.
const MOST: usize = 2048;

/// Where a request goes: an address that begins with `https://`.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    host: String,
    port: u16,
    target: String,
    server: ServerName<'static>,
}

/// What is no address for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is not of the one scheme.
    #[error("it does not begin with https://")]
    Scheme,
    /// It holds what may be a secret.
    #[error("it names a user: secrets are given in files")]
    User,
    /// It has a part behind `#`, which no server is sent.
    #[error("it has a part behind `#`")]
    Fragment,
    /// Anything else.
    #[error("it is no address such as https://id.example.net/path")]
    Form,
}

impl Url {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name or address in it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whose certificate the other side has to show.
    pub(crate) fn server(&self) -> ServerName<'static> {
        self.server.clone()
    }

    /// Host and port, as the header of a request has them, and as errors name them.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if !text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            return Err(UrlError::Scheme);
        }
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        let uri: Uri = (text.len() <= MOST).then(|| text.parse().ok()).flatten().ok_or(UrlError::Form)?;
        let authority = uri.authority().ok_or(UrlError::Form)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        let written = authority.host();
        let bare = written.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(written);
        let port = match authority.as_str().strip_prefix(written).unwrap_or_default() {
            "" => 443,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(UrlError::Form)?,
        };
        let server = ServerName::try_from(bare.to_owned()).map_err(|_| UrlError::Form)?;
        let target = match uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str) {
            target if target.starts_with('/') => target.to_owned(),
            query => format!("/{query}"),
        };
        Ok(Self { text: text.to_owned(), host: bare.to_owned(), port, target, server })
    }
}

/// Without the query, in which secrets may be.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "https://{}{path}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read() {
        for (text, host, port, target) in [
            ("https://id.example.net", "id.example.net", 443, "/"),
            ("HTTPS://id.example.net:8443/a/b?c=d", "id.example.net", 8443, "/a/b?c=d"),
            ("https://192.0.2.1/", "192.0.2.1", 443, "/"),
            ("https://id.example.net?c=d", "id.example.net", 443, "/?c=d"),
            ("https://[2001:db8::1]:444/x", "2001:db8::1", 444, "/x"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target), "{text}");
            assert_eq!(url.as_str(), text);
        }
        let url: Url = "https://[2001:db8::1]:444/x?secret=1".parse().unwrap();
        assert_eq!(
            (url.authority().as_str(), format!("{url:?}").contains("secret")),
            ("[2001:db8::1]:444", false)
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, error) in [
            ("http://id.example.net/", UrlError::Scheme),
            ("id.example.net", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("https://anna:secret@id.example.net/", UrlError::User),
            ("https://id.example.net/#x", UrlError::Fragment),
            ("https://", UrlError::Form),
            ("https:///path", UrlError::Form),
            ("https://a b/", UrlError::Form),
            ("https://id.example.net:99999/", UrlError::Form),
            ("https://id.example.net:/", UrlError::Form),
            ("https://-a/", UrlError::Form),
            ("https://id.example.net/\r\nx: y", UrlError::Form),
        ] {
            assert_eq!(text.parse::<Url>(), Err(error), "{text:?}");
        }
        assert_eq!(format!("https://a.b/{}", "x".repeat(MOST)).parse::<Url>(), Err(UrlError::Form));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(https://)?(\\PC|[a-z0-9.:/@\\[\\]?#%\\\\-]){0,60}") {
            if let Ok(url) = text.parse::<Url>() {
                prop_assert!(!url.host().is_empty() && url.target().starts_with('/'));
                prop_assert!(!url.authority().contains(['@', '/', '\\', ' ']), "{url:?}");
            }
        }
    }
}
