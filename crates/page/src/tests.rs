use super::*;
use axum::body::Body;
use axum::http::header;
use bytes::Bytes;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

const FILES: &[(&str, &str)] = &[
    ("index.html", "<!doctype html><script>theme()</script><script src=\"/assets/app-1.js\"></script>"),
    ("index.html.br", "index packed"),
    ("assets/app-1.js", "the program"),
    ("assets/app-1.js.br", "brotli"),
    ("assets/app-1.js.gz", "gzip"),
    ("assets/app-1.css", "the style"),
    ("assets/alone.js.gz", "nobody has packed this"),
    ("icon.svg", "<svg/>"),
];

fn page(files: &[(&str, &str)]) -> Router {
    let file = |(name, text): &(&str, &str)| {
        ((*name).to_owned(), Bytes::from((*text).to_owned()), Sha256::digest(text).into())
    };
    let page = Arc::new(Page::new(files.iter().map(file)));
    let refusals = Refusals {
        absent: |uri| (StatusCode::NOT_FOUND, format!("absent {uri}")).into_response(),
        method: |method, uri| (StatusCode::METHOD_NOT_ALLOWED, format!("not {method} {uri}")).into_response(),
    };
    let stricter = async || ([(header::CONTENT_SECURITY_POLICY, "default-src 'none'")], "docs");
    let others = Router::new().route("/api/v1/health", get(async || "ok")).route("/docs", get(stricter));
    let none = async |uri: Uri| (StatusCode::NOT_FOUND, format!("nothing at {uri}")).into_response();
    guarded(others.fallback(none).merge(router(Arc::clone(&page), refusals)), page)
}

async fn ask(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_page_has_its_paths_and_nothing_else() {
    let router = page(FILES);
    let own = [
        "/",
        "/explore?q=dport%3A22",
        "/event/07/0/00feed/42/7",
        "/fleet/web-01",
        "/sign-in",
        "/settings/sets",
    ];
    for path in own {
        let (status, headers, text) = ask(&router, "GET", path, &[]).await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, FILES[0].1), "{path}");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }
    let (status, headers, text) = ask(&router, "HEAD", "/explore", &[]).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, ""));
    assert_eq!(headers[header::CONTENT_LENGTH], FILES[0].1.len().to_string().as_str());
    for path in ["/nothing", "/event", "/index.html", "/api/v1/none", "/explore/x", "/icon.svg/x", "//"] {
        let (status, _, text) = ask(&router, "GET", path, &[]).await;
        assert_eq!((status, text), (StatusCode::NOT_FOUND, format!("nothing at {path}")));
    }
    let odd = [
        "/assets/none.js",
        "/assets/..%2findex.html",
        "/assets/../index.html",
        "/assets/%2e%2e/index.html",
        "/assets/app-1.js.br",
        "/assets/alone.js",
        "/assets/alone.js.gz",
        "/assets//app-1.js",
        "/assets/app-1.js%00",
        "/assets/..\\index.html",
        "/assets/%61pp-1.js",
    ];
    for path in odd {
        let (status, headers, text) = ask(&router, "GET", path, &[]).await;
        assert_eq!((status, text), (StatusCode::NOT_FOUND, format!("absent {path}")));
        assert!(headers.contains_key(header::CONTENT_SECURITY_POLICY), "{path}");
    }
    let (status, _, text) = ask(&router, "POST", "/explore", &[]).await;
    assert_eq!((status, text.as_str()), (StatusCode::METHOD_NOT_ALLOWED, "not POST /explore"));
    assert_eq!(ask(&router, "GET", "/api/v1/health", &[]).await.2, "ok");
}

#[tokio::test]
async fn a_file_comes_in_the_form_that_is_liked_best_and_not_twice() {
    let router = page(FILES);
    let accept = |value| [("accept-encoding", value)];
    let (status, headers, text) = ask(&router, "GET", "/assets/app-1.js", &accept("gzip, br")).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "brotli"));
    assert_eq!(headers[header::CONTENT_ENCODING], "br");
    assert_eq!(headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert_eq!(headers[header::VARY], "accept-encoding");
    let brotli = headers[header::ETAG].to_str().unwrap().to_owned();
    assert!(brotli.starts_with('"'), "{brotli}");
    let (_, headers, text) = ask(&router, "GET", "/assets/app-1.js", &accept("br;q=0.1,gzip;q=0.2")).await;
    assert_eq!((text.as_str(), &headers[header::CONTENT_ENCODING]), ("gzip", &"gzip".parse().unwrap()));
    assert_ne!(headers[header::ETAG], brotli.as_str());
    let (_, headers, text) = ask(&router, "GET", "/assets/app-1.js", &[]).await;
    assert_eq!(text, "the program");
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
    let plain = headers[header::ETAG].to_str().unwrap().to_owned();

    for known in [brotli.clone(), format!("W/{brotli}"), format!("\"x\", {brotli}"), "*".to_owned()] {
        let asked = [("accept-encoding", "br"), ("if-none-match", known.as_str())];
        let (status, headers, text) = ask(&router, "GET", "/assets/app-1.js", &asked).await;
        assert_eq!((status, text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{known}");
        assert_eq!(headers[header::ETAG], brotli.as_str());
        assert_eq!(headers[header::VARY], "accept-encoding");
    }
    for known in [plain.as_str(), "\"x\"", ""] {
        let asked = [("accept-encoding", "br"), ("if-none-match", known)];
        assert_eq!(ask(&router, "GET", "/assets/app-1.js", &asked).await.0, StatusCode::OK, "{known}");
    }
    let (_, headers, text) = ask(&router, "GET", "/icon.svg", &accept("br")).await;
    assert_eq!(
        (text.as_str(), &headers[header::CONTENT_TYPE]),
        ("<svg/>", &"image/svg+xml".parse().unwrap())
    );
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
}

#[tokio::test]
async fn every_answer_carries_the_policy() {
    let router = page(FILES);
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/assets/app-1.css"),
        ("GET", "/assets/none"),
        ("PUT", "/map"),
        ("GET", "/api/v1/health"),
        ("GET", "/nothing"),
    ] {
        let (_, headers, _) = ask(&router, method, path, &[("host", "watch.example.net")]).await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let hash = data_encoding::BASE64.encode(&Sha256::digest("theme()"));
        assert!(
            policy.starts_with(&format!("default-src 'none'; script-src 'self' 'sha256-{hash}';")),
            "{policy}"
        );
        for word in ["unsafe", "*", "http"] {
            assert!(!policy.contains(word), "{policy}");
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
        assert!(headers["permissions-policy"].to_str().unwrap().contains("camera=()"));
    }
    let (_, headers, _) = ask(&router, "GET", "/", &[("host", "127.0.0.1:8443")]).await;
    assert!(!headers.contains_key("strict-transport-security"));
    let (_, headers, _) = ask(&router, "GET", "/docs", &[]).await;
    assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "default-src 'none'", "its own is stricter");
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn without_a_page_it_says_what_to_type() {
    let router = page(&[]);
    let (status, headers, text) = ask(&router, "GET", "/explore", &[("accept-encoding", "br")]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("make build") && !text.contains("<script") && !text.contains("style="), "{text}");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("script-src 'self';"));
    assert_eq!(ask(&router, "GET", "/assets/app-1.js", &[]).await.0, StatusCode::NOT_FOUND);
}

/// Whatever the build left: a script in the page, the files that the page names.
#[test]
fn the_embedded_page_is_whole() {
    let page = Page::embedded();
    assert_eq!(page.is_built(), std::path::Path::new("../../web/dist/index.html").exists());
    let index =
        page.files.get(INDEX).map_or_else(String::new, |f| String::from_utf8(f.plain().to_vec()).unwrap());
    for part in index.split("\"/assets/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(page.files.contains_key(&format!("assets/{name}")), "{name}");
    }
}
