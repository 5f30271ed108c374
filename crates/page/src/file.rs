//! A file with its forms, and the answer that it is.

use crate::encoding::{Encoding, best};
use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use std::collections::BTreeMap;

/// How long a reader may keep an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// A year, without asking.
    Forever,
    /// Until the next time, when it asks whether it has changed.
    Ask,
}

/// One form of a file.
#[derive(Debug)]
struct Form {
    encoding: Encoding,
    bytes: Bytes,
    tag: HeaderValue,
}

/// A file; the first of its forms is the plain one.
#[derive(Debug)]
pub(crate) struct File {
    media: &'static str,
    forms: Vec<Form>,
}

/// Files with their forms, of what was found: name, content, SHA-256 of it. Something packed of which the plain form
/// is not there is nothing.
pub(crate) fn joined(found: impl Iterator<Item = (String, Bytes, [u8; 32])>) -> BTreeMap<String, File> {
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    for (name, bytes, digest) in found {
        let (plain, encoding) = Encoding::of(&name);
        let tag = format!("\"{}\"", HEXLOWER.encode(&digest[..16]));
        let tag = HeaderValue::from_str(&tag).expect("digits in quotes");
        let file = files
            .entry(plain.to_owned())
            .or_insert_with(|| File { media: media_type(plain), forms: Vec::new() });
        file.forms.push(Form { encoding, bytes, tag });
    }
    for file in files.values_mut() {
        file.forms.sort_by_key(|form| form.encoding);
    }
    files.retain(|_, file| file.forms[0].encoding == Encoding::Identity);
    files
}

impl File {
    /// Its content.
    pub(crate) fn plain(&self) -> &[u8] {
        &self.forms[0].bytes
    }

    /// The answer to somebody who asked with these headers.
    pub(crate) fn answer(&self, keep: Keep, asked: &HeaderMap) -> Response {
        let accept = listed(asked, &ACCEPT_ENCODING);
        let chosen = best(&accept, self.forms.iter().map(|form| form.encoding));
        let form = self.forms.iter().find(|form| form.encoding == chosen).unwrap_or(&self.forms[0]);
        let known = listed(asked, &IF_NONE_MATCH);
        let same = |tag: &str| tag == "*" || form.tag == *tag.strip_prefix("W/").unwrap_or(tag);
        let unchanged = known.split(',').map(str::trim).any(same);
        let mut response =
            Response::new(if unchanged { Body::empty() } else { Body::from(form.bytes.clone()) });
        let headers = response.headers_mut();
        let cache = match keep {
            Keep::Forever => "public, max-age=31536000, immutable",
            Keep::Ask => "no-cache",
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(ETAG, form.tag.clone());
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        if form.encoding != Encoding::Identity {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(form.encoding.name()));
        }
        response
    }
}

/// All of a header that is a list, which may be sent in parts.
fn listed(headers: &HeaderMap, name: &HeaderName) -> String {
    let parts: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    parts.join(",")
}

/// What a file is, by the end of its name.
fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "json" | "map" | "topojson" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
