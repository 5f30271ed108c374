//! What comes in: JSON bodies and the times in them.

use crate::queries::Asked;
use crate::{BODY_LIMIT, Problem};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use bartizan_model::Micros;
use bartizan_query::Window;
use futures::StreamExt as _;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A JSON body, with problems instead of axum's plain texts.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let asked = request.extensions().get::<Arc<Asked>>().cloned();
        if declared(request.headers()).is_some_and(|length| length > BODY_LIMIT as u64) {
            drain(request.into_body(), MOST).await;
            return Err(too_long());
        }
        let refused = |rejection: JsonRejection| Problem::bad_request(rejection.status(), detail(&rejection));
        let reading = Json::<Box<RawValue>>::from_request(request, state);
        let Json(question) =
            tokio::time::timeout(READING, reading).await.map_err(|_| too_slow())?.map_err(refused)?;
        // serde would read a list as the members in their order.
        if !question.get().starts_with('{') {
            return Err(Problem::bad_request(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the question is a JSON object",
            ));
        }
        if let Some(asked) = asked {
            asked.note(|| serde_json::from_str(question.get()).unwrap_or_default());
        }
        let Json(value) = Json::from_bytes(question.get().as_bytes()).map_err(refused)?;
        Ok(Self(value))
    }
}

fn detail(rejection: &JsonRejection) -> String {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => {
            "the body must be `Content-Type: application/json`".to_owned()
        }
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => too_long_text(),
        other => other.body_text(),
    }
}

pub(crate) fn too_long() -> Problem {
    Problem::bad_request(StatusCode::PAYLOAD_TOO_LARGE, too_long_text())
}

fn too_long_text() -> String {
    format!("a question has at most {BODY_LIMIT} bytes; a long list of addresses can be a @set")
}

/// For a question to come whole. Who dribbles holds no place for ever.
const READING: Duration = Duration::from_secs(30);

fn too_slow() -> Problem {
    let text = format!("the question did not come to its end within {} seconds", READING.as_secs());
    Problem::bad_request(StatusCode::REQUEST_TIMEOUT, text)
}

/// How long the question is, as its head says.
pub(crate) fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Bytes that are read of a question that is too long.
const MOST: usize = 4 << 20;

/// Reads what is not wanted, for a while: who is still writing when the connection ends does not get to read why.
pub(crate) async fn drain(body: axum::body::Body, most: usize) {
    let mut pieces = body.into_data_stream();
    let reading = async {
        let mut read = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            read += piece.len();
            if read > most {
                return;
            }
        }
    };
    // It is answered however that ends.
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
}

/// A moment as a question gives it: RFC 3339 text or integer microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When(pub(crate) Micros);

impl<'de> de::Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WhenVisitor;

        impl Visitor<'_> for WhenVisitor {
            type Value = When;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a time such as \"2026-11-23T05:00:43.684529Z\" or integer microseconds since 1970",
                )
            }

            fn visit_i64<E: de::Error>(self, micros: i64) -> Result<When, E> {
                Ok(When(Micros(micros)))
            }

            fn visit_u64<E: de::Error>(self, micros: u64) -> Result<When, E> {
                i64::try_from(micros)
                    .map(|m| When(Micros(m)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(micros), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<When, E> {
                let time: jiff::Timestamp =
                    text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
                Ok(When(Micros(time.as_microsecond())))
            }
        }

        deserializer.deserialize_any(WhenVisitor)
    }
}

/// The window of a question.
pub(crate) fn window(since: Option<When>, until: Option<When>) -> Result<Window, Problem> {
    let window = Window { since: since.map(|w| w.0), until: until.map(|w| w.0) };
    match (window.since, window.until) {
        (Some(since), Some(until)) if since > until => {
            Err(Problem::bad_request(StatusCode::BAD_REQUEST, "`since` is after `until`"))
        }
        _ => Ok(window),
    }
}

/// A limit within its bounds, or its default.
pub(crate) fn limit(given: Option<u64>, default: usize, max: usize) -> Result<usize, Problem> {
    let Some(given) = given else { return Ok(default) };
    usize::try_from(given).ok().filter(|n| (1..=max).contains(n)).ok_or_else(|| {
        Problem::bad_request(StatusCode::BAD_REQUEST, format!("`limit` is 1 to {max}, not {given}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_text_or_microseconds() {
        let when = |json: &str| serde_json::from_str::<When>(json).ok().map(|w| w.0.0);
        assert_eq!(when("1795410043684529"), Some(1_795_410_043_684_529));
        assert_eq!(when("-1"), Some(-1));
        assert_eq!(when("\"2026-11-23T05:00:43.684529Z\""), Some(1_795_410_043_684_529));
        assert_eq!(when("\"2026-11-23T06:00:43.684529+01:00\""), Some(1_795_410_043_684_529));
        for bad in ["1.5", "\"yesterday\"", "\"2026-11-23\"", "true", "null", "18446744073709551615", "[]"] {
            assert_eq!(when(bad), None, "{bad}");
        }
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(limit(None, 5, 10).unwrap(), 5);
        assert_eq!(limit(Some(10), 5, 10).unwrap(), 10);
        assert!(limit(Some(0), 5, 10).is_err());
        assert!(limit(Some(11), 5, 10).is_err());
        assert!(limit(Some(u64::MAX), 5, 10).is_err());
    }
}
