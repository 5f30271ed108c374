//! The front port: the API, the page in the place of its fallback, and enrolment; every answer with the page's policy.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bartizan_api::{Asker, Problem};
use bartizan_page::{Page, Refusals};
use bartizan_wire::Connection;
use std::sync::Arc;

/// Everything that answers there; `services` are those of other protocols.
pub(crate) fn router(api: Router, services: Router) -> Router {
    let page = Arc::new(Page::embedded());
    if !page.is_built() {
        tracing::warn!("this program was built without its web page");
    }
    let refusals = Refusals {
        absent: |uri| Problem::not_found(uri.path()).into_response(),
        method: |method, uri| Problem::wrong_method(method, uri.path()).into_response(),
    };
    let all = api.merge(bartizan_page::router(Arc::clone(&page), refusals)).merge(services.reset_fallback());
    bartizan_page::guarded(all.layer(middleware::from_fn(with_asker)), page)
}

/// Says to the API from where a request comes.
async fn with_asker(mut request: Request, next: Next) -> Response {
    if let Some(address) = request.extensions().get::<Connection>().map(|connection| connection.address) {
        request.extensions_mut().insert(Asker(address.ip()));
    }
    next.run(request).await
}
