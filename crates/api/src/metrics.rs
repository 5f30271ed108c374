//! What a monitoring system is told: numbers in the text form of Prometheus.

use crate::ApiState;
use async_trait::async_trait;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// Counts for who watches.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// All numbers of now, in the text form.
    async fn text(&self) -> String;
}

/// Numbers for a monitoring system.
pub(crate) async fn metrics(State(state): State<ApiState>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.text().await).into_response()
}
