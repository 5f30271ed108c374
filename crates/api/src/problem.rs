use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bartizan_filter::FilterError;
use bartizan_query::{ErrorKind, QueryError};
use serde::Serialize;
use std::error::Error;

/// The media type of [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Bytes of the filter's text that an error is about: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The first byte after.
    pub end: usize,
}

/// An error as RFC 9457 writes it.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// What kind of problem, for programs: `urn:bartizan:bad-filter`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind for people.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// This problem for people.
    pub detail: String,
    /// Where in the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What was perhaps meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<String>,
}

impl Problem {
    pub(crate) fn new(
        kind: &'static str,
        title: &'static str,
        status: StatusCode,
        detail: impl Into<String>,
    ) -> Self {
        Self { kind, title, status: status.as_u16(), detail: detail.into(), span: None, proposal: None }
    }

    pub(crate) fn bad_request(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new("urn:bartizan:bad-request", "the request cannot be understood", status, detail)
    }

    /// What is said to be a place in an answer is none.
    pub(crate) fn bad_cursor(detail: impl Into<String>) -> Self {
        Self::new("urn:bartizan:bad-cursor", "the cursor is not known", StatusCode::BAD_REQUEST, detail)
    }

    /// Somebody ended the question.
    pub(crate) fn cancelled() -> Self {
        let (kind, title) = ("urn:bartizan:cancelled", "cancelled");
        Self::new(kind, title, StatusCode::CONFLICT, "the question was cancelled")
    }

    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new("urn:bartizan:unauthorized", "not permitted", StatusCode::UNAUTHORIZED, detail)
    }

    /// Whoever asks may not.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new("urn:bartizan:forbidden", "not permitted", StatusCode::FORBIDDEN, detail)
    }

    /// The password is right, and something else is wanted.
    pub(crate) fn code_needed() -> Self {
        let (kind, title) = ("urn:bartizan:code-needed", "a code is needed");
        Self::new(kind, title, StatusCode::UNAUTHORIZED, "a code of the second factor is needed, as `code`")
    }

    /// Somebody else's page asks, or nobody says whose.
    pub(crate) fn cross_site(detail: &str) -> Self {
        Self::new("urn:bartizan:cross-site", "not permitted from there", StatusCode::FORBIDDEN, detail)
    }

    pub(crate) fn too_many(detail: String) -> Self {
        let (kind, title) = ("urn:bartizan:too-many-attempts", "too many attempts");
        Self::new(kind, title, StatusCode::TOO_MANY_REQUESTS, detail)
    }

    /// There is no such path.
    #[must_use]
    pub fn not_found(path: &str) -> Self {
        Self::new(
            "urn:bartizan:not-found",
            "no such path",
            StatusCode::NOT_FOUND,
            format!("there is no `{}`", shortened(path)),
        )
    }

    /// What was asked for by its name does not exist.
    pub(crate) fn not_found_thing(detail: impl Into<String>) -> Self {
        Self::new("urn:bartizan:not-found", "no such thing", StatusCode::NOT_FOUND, detail)
    }

    /// What is asked for does not go together with what is there.
    pub(crate) fn conflict(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(kind, "not as things are", StatusCode::CONFLICT, detail)
    }

    /// The path does not take the method.
    #[must_use]
    pub fn wrong_method(method: &Method, path: &str) -> Self {
        Self::new(
            "urn:bartizan:wrong-method",
            "wrong method",
            StatusCode::METHOD_NOT_ALLOWED,
            format!("`{}` does not take {}", shortened(path), shortened(method.as_str())),
        )
    }

    /// Something behind the API failed; the chain of causes goes to the log, not to the asker.
    pub(crate) fn internal(status: StatusCode, what: &'static str, cause: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = chain(cause), what, "request failed");
        Self::new("urn:bartizan:internal", "the server failed", status, what)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn chain(e: &(dyn Error + 'static)) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl From<FilterError> for Problem {
    fn from(e: FilterError) -> Self {
        let span = Some(Span { start: e.span.start, end: e.span.end });
        let mut problem =
            Self::new("urn:bartizan:bad-filter", "the filter is wrong", StatusCode::BAD_REQUEST, e.message);
        (problem.span, problem.proposal) = (span, e.proposal);
        problem
    }
}

impl From<QueryError> for Problem {
    fn from(e: QueryError) -> Self {
        match e.kind() {
            ErrorKind::Question => Self::new(
                "urn:bartizan:bad-question",
                "the question cannot be answered",
                StatusCode::BAD_REQUEST,
                e.to_string(),
            ),
            ErrorKind::Hidden => Self::forbidden(e.to_string()),
            ErrorKind::TooLarge => Self::new(
                "urn:bartizan:too-large",
                "the question is too large",
                StatusCode::UNPROCESSABLE_ENTITY,
                e.to_string(),
            ),
            ErrorKind::Cancelled => Self::cancelled(),
            ErrorKind::Incomplete => Self::new(
                "urn:bartizan:incomplete",
                "some rows cannot be read",
                StatusCode::INTERNAL_SERVER_ERROR,
                e.to_string(),
            ),
            ErrorKind::Internal => Self::internal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the query failed; the server's log says why",
                &e,
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("a problem has only texts and numbers");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED && !headers.contains_key(ALLOW) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }
}
