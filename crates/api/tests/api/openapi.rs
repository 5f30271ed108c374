//! What the API says of itself.

use crate::support::*;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use std::path::Path;

/// The document in the repository is that of the program. After a change: `BARTIZAN_WRITE_OPENAPI=1`.
#[test]
fn the_document_in_the_repository_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let mut made = serde_json::to_string_pretty(&bartizan_api::document()).unwrap();
    made.push('\n');
    if std::env::var_os("BARTIZAN_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == made, "docs/openapi.json is not up to date: run this test with BARTIZAN_WRITE_OPENAPI=1");
}

#[test]
fn every_operation_is_described_and_every_reference_leads_somewhere() {
    let document = serde_json::to_value(bartizan_api::document()).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() >= 10), "{method} {path}");
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
            let question = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
            for (name, member) in question.as_object().into_iter().flatten() {
                assert!(member["description"].is_string(), "no words for `{name}` of {method} {path}");
            }
        }
    }
    assert!(ids.len() > 45, "{}", ids.len());
    let text = document.to_string();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let name: String = text[at + 21..].chars().take_while(|c| *c != '"').collect();
        assert!(document["components"]["schemas"][&name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn the_page_needs_no_token_no_script_and_nobody_else() {
    let server = server().await;
    let request = Request::get("/docs").body(Body::empty()).unwrap();
    let response = server.send(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
    let (_, kind, page) = server.text(Request::get("/docs").body(Body::empty()).unwrap()).await;
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(page.contains("POST /api/v1/search") && page.contains("columns?"), "{page}");
    for forbidden in ["<script", "http://", "https://", "style=\"", " onclick"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let (status, kind, _) = server.text(Request::get("/docs/style.css").body(Body::empty()).unwrap()).await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/css; charset=utf-8"));
    let (status, _, text) = server.text(get("/api/v1/openapi.json")).await;
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &document["openapi"]), (StatusCode::OK, &Value::from("3.1.0")));
}
