//! Rulesets of the past.

use crate::support::*;
use axum::http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn the_ruleset_of_a_moment_is_told_with_who_made_it_so() {
    let server = server().await;
    let (status, mut rules) =
        server.ask("/api/v1/rules", json!({"host": "WEB1", "at": NOW + 5_000_000})).await;
    assert_eq!(status, StatusCode::OK, "{rules}");
    assert_eq!(rules.as_object_mut().unwrap().remove("stats").unwrap()["complete"], true);
    assert_eq!(
        rules,
        json!({
            "time": "2026-11-23T05:00:43.000000Z", "host": "web1", "netns": "", "generation": "a1", "pid": 77,
            "process": "nft", "notes": [], "forms": [
                {"form": "iptables-save", "text": "*filter\n"}, {"form": "nft", "text": "table inet filter {\n}\n"},
            ],
        })
    );
    for (question, generation, first) in [
        (json!({"at": NOW + 10_000_000}), "b2", "table inet other {\n}\n"),
        (json!({"at": NOW + 19_999_999}), "b2", "table inet other {\n}\n"),
        (json!({}), "a1", "*filter\n"),
        (json!({"netns": "blue"}), "c3", "blue"),
        (json!({"generation": "B2"}), "b2", "table inet other {\n}\n"),
    ] {
        let mut body = question.clone();
        body["host"] = "web1".into();
        let (status, rules) = server.ask("/api/v1/rules", body).await;
        assert_eq!(status, StatusCode::OK, "{question}: {rules}");
        let told = (&rules["generation"], &rules["forms"][0]["text"]);
        assert_eq!(told, (&json!(generation), &json!(first)), "{question}");
    }
    for missing in [
        json!({"host": "web1", "at": NOW - 1}),
        json!({"host": "web2"}),
        json!({"host": "web1", "netns": "red"}),
        json!({"host": "web1", "generation": "c3"}),
    ] {
        let (status, problem) = server.ask("/api/v1/rules", missing.clone()).await;
        assert_eq!(
            (status, &problem["type"]),
            (StatusCode::NOT_FOUND, &json!("urn:bartizan:not-found")),
            "{missing}"
        );
    }
}

#[tokio::test]
async fn the_history_of_a_hosts_rulesets_is_told() {
    let server = server().await;
    let history = async |body: Value| {
        let (status, told) = server.ask("/api/v1/rules/history", body).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        let of = |change: &Value| change["generation"].as_str().unwrap().to_owned();
        told["generations"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(history(json!({"host": "web1"})).await, ["a1", "c3", "b2", "a1"]);
    assert_eq!(history(json!({"host": "web1", "netns": ""})).await, ["a1", "b2", "a1"]);
    assert_eq!(history(json!({"host": "web1", "limit": 2})).await, ["a1", "c3"]);
    assert_eq!(history(json!({"host": "web1", "until": NOW + 1})).await, ["a1"]);
    assert!(history(json!({"host": "web9"})).await.is_empty());
}
