//! The web page: what `npm run build` leaves in `web/dist`, embedded in the program and served as an axum [`Router`].
//!
//! | path | answer |
//! |---|---|
//! | `/assets/*` | a file; its name changes with its content, so that it may be kept for ever |
//! | `/`, and the page's own paths ([`PATHS`]) | `index.html`, asked for anew each time |
//! | another file beside `index.html` | the same |
//! | anything else | none of ours: the router has no fallback of its own |
//!
//! Invariants:
//! - **Files are found by their whole name** in a table that is made at start. No path of a request reaches a file
//!   system, and none is decoded.
//! - **Nothing is compressed here.** The build leaves `NAME.br` and `NAME.gz` beside `NAME`; the reader gets the one that
//!   it likes best of those.
//! - **Each form of a file has a tag of its own**, made of its content.
//! - **Every answer of a router that is [`guarded`] carries the policy** ([`policy`]), unless it has a stricter one of its
//!   own: no script but the page's own files and the scripts that stand in `index.html`, by their hash; no style,
//!   connection or frame elsewhere; no HTML from data.
//!
//! A program that was built without the page compiles, starts and says so at `/`.
//!
//! What it does not do: it knows nobody, and answers everybody. All data comes from the API.

mod encoding;
mod file;
mod policy;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use file::{File, Keep};
use policy::Policy;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the page shows something: each of these is `index.html`.
pub const PATHS: &[&str] = &[
    "/",
    "/explore",
    "/event/{*id}",
    "/flows",
    "/accounting",
    "/fleet",
    "/fleet/{*host}",
    "/rules",
    "/rules/{*host}",
    "/map",
    "/unparsed",
    "/imports",
    "/settings",
    "/settings/{*section}",
    "/sign-in",
];

const INDEX: &str = "index.html";
const ASSETS: &str = "assets/";

/// What is shown in the place of a page that is not there.
const MISSING: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
<title>Bartizan</title></head><body><h1>Bartizan</h1><p>The server runs, but this program was built without its web page.</p>\
<p>With Node 20.19 or newer installed, type <code>make build</code> and start the server again.</p>\
<p>The command line and the <a href=\"/docs\">API</a> work without it.</p></body></html>";

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

/// The files of a page.
#[derive(Debug)]
pub struct Page {
    files: BTreeMap<String, File>,
    policy: Policy,
}

impl Page {
    /// The page in this program.
    #[must_use]
    pub fn embedded() -> Self {
        let file = |name: &str| {
            let EmbeddedFile { data, metadata } = Dist::get(name)?;
            let bytes = match data {
                std::borrow::Cow::Borrowed(bytes) => bytes::Bytes::from_static(bytes),
                std::borrow::Cow::Owned(bytes) => bytes.into(),
            };
            Some((name.to_owned(), bytes, metadata.sha256_hash()))
        };
        Self::new(Dist::iter().filter_map(|name| file(&name)))
    }

    /// A page of these files: name, content, SHA-256 of it.
    fn new(found: impl Iterator<Item = (String, bytes::Bytes, [u8; 32])>) -> Self {
        let files = file::joined(found);
        let policy = Policy::of(files.get(INDEX).map_or(&[][..], File::plain));
        Self { files, policy }
    }

    /// Whether there is a page.
    #[must_use]
    pub fn is_built(&self) -> bool {
        self.files.contains_key(INDEX)
    }

    fn answer(&self, name: &str, keep: Keep, asked: &HeaderMap) -> Option<Response> {
        self.files.get(name).map(|file| file.answer(keep, asked))
    }

    fn index(&self, asked: &HeaderMap) -> Response {
        self.answer(INDEX, Keep::Ask, asked).unwrap_or_else(|| {
            let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")];
            (StatusCode::SERVICE_UNAVAILABLE, headers, MISSING).into_response()
        })
    }
}

/// How somebody else says that there is no such path, or no such method of it.
#[derive(Clone, Copy, Debug)]
pub struct Refusals {
    /// There is no such path.
    pub absent: fn(&Uri) -> Response,
    /// The path does not take the method.
    pub method: fn(&Method, &Uri) -> Response,
}

/// The routes of the page, for a router whose fallback answers everything else.
pub fn router(page: Arc<Page>, refusals: Refusals) -> Router {
    let mut router = Router::new();
    for path in PATHS {
        router = router.route(path, get(index));
    }
    for name in page.files.keys().filter(|name| *name != INDEX && !name.contains('/')) {
        router = router.route(&format!("/{name}"), get(beside));
    }
    let absent = refusals.absent;
    let asset = move |State(page): State<Arc<Page>>, uri: Uri, asked: HeaderMap| async move {
        let name = uri.path().trim_start_matches('/');
        page.answer(name, Keep::Forever, &asked).unwrap_or_else(|| absent(&uri))
    };
    let wrong = refusals.method;
    router
        .route(&format!("/{ASSETS}{{*name}}"), get(asset))
        .method_not_allowed_fallback(move |method: Method, uri: Uri| async move { wrong(&method, &uri) })
        .with_state(page)
}

/// Puts the policy of the page on every answer of a router, those of others and of nobody too: a browser may show any.
pub fn guarded(router: Router, page: Arc<Page>) -> Router {
    router.layer(middleware::from_fn_with_state(page, guard))
}

async fn index(State(page): State<Arc<Page>>, asked: HeaderMap) -> Response {
    page.index(&asked)
}

/// A file beside the page, as an icon.
async fn beside(State(page): State<Arc<Page>>, uri: Uri, asked: HeaderMap) -> Response {
    let name = uri.path().trim_start_matches('/');
    // It has a route because it is there.
    page.answer(name, Keep::Ask, &asked).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

async fn guard(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    let named = policy::is_named(&request);
    let mut response = next.run(request).await;
    page.policy.apply(named, response.headers_mut());
    response
}

#[cfg(test)]
mod tests;
