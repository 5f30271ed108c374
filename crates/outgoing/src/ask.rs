use crate::Url;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// Bytes of an answer, where nothing else is said.
const ENOUGH: usize = 256 << 10;

/// What is asked of somebody outside.
pub struct Ask<'a> {
    pub(crate) url: &'a Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at_most: usize,
}

impl<'a> Ask<'a> {
    /// Asks for what is there.
    #[must_use]
    pub fn get(url: &'a Url) -> Self {
        Self { url, method: Method::GET, headers: HeaderMap::new(), body: Bytes::new(), at_most: ENOUGH }
    }

    /// Gives something: `application/json`, say.
    #[must_use]
    pub fn post(url: &'a Url, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let mut ask = Self { method: Method::POST, body: body.into(), ..Self::get(url) };
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        ask
    }

    /// Wants an answer of this kind.
    #[must_use]
    pub fn accept(mut self, kind: &'static str) -> Self {
        self.headers.insert(ACCEPT, HeaderValue::from_static(kind));
        self
    }

    /// With a header, which is told to nobody else.
    #[must_use]
    pub fn with(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    /// Takes an answer of so many bytes and no more.
    #[must_use]
    pub const fn at_most(mut self, bytes: usize) -> Self {
        self.at_most = bytes;
        self
    }
}

impl std::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("method", &self.method).field("url", self.url).finish_non_exhaustive()
    }
}

/// What was answered, of whatever status but those that send elsewhere.
pub struct Answer {
    /// How it went.
    pub status: StatusCode,
    /// The head.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Bytes,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.body.len();
        f.debug_struct("Answer").field("status", &self.status).field("bytes", &bytes).finish_non_exhaustive()
    }
}
