//! Events and counters joined with their rules.

use crate::support::*;
use arrow_array::{ArrayRef, Int64Array, StringViewArray};
use axum::http::StatusCode;
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Micros, Seq, StreamId};
use serde_json::{Value, json};
use std::sync::Arc;

const THEN: &str = "table inet filter { # handle 1
\tchain input { # handle 1
\t\ttype filter hook input priority filter; policy accept;
\t\ttcp dport 22 counter packets 7 bytes 420 log prefix \"ssh \" group 5 drop # handle 4
\t\tudp dport 53 counter packets 0 bytes 0 log prefix \"dns \" group 5 drop # handle 5
\t\tudp dport 69 counter packets 0 bytes 0 log prefix \"tftp \" group 5 drop # handle 6
\t\taccept # handle 7
\t}
}
";

/// A host whose ruleset was changed, with events of before and counters of both times.
pub(crate) async fn firewall() -> (Server, Vec<String>) {
    use bartizan_ruleset::{Form, Listing, Ruleset};
    let now = THEN.replace("tcp dport 22", "tcp dport { 22, 2222 }");
    let now: String =
        now.lines().filter(|line| !line.contains("dport 69")).flat_map(|line| [line, "\n"]).collect();
    let rules: Vec<_> =
        Ruleset::read(&Listing(vec![(Form::Nft, THEN.to_owned())])).rules().cloned().collect();
    assert_eq!(rules.iter().map(|rule| rule.handle).collect::<Vec<_>>(), [4, 5, 6, 7]);

    let (dir, tables) = empty().await;
    let stream = StreamId { host: HostId::from_bytes([7; 16]), lane: Lane::DISK[0], epoch: Epoch(1) };
    let id = |seq| BatchId { stream, seq: Seq(seq) };
    let name = stream.to_string();
    let texts = |of: &[&str]| -> ArrayRef { Arc::new(StringViewArray::from_iter_values(of.iter().copied())) };
    let numbers = |of: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(of.to_vec())) };
    let logged: Vec<_> = [0, 0, 1, 2].iter().map(|at: &usize| &rules[*at]).collect();
    let n = logged.len();
    let mut given: Vec<(&'static str, ArrayRef)> = vec![
        ("host", texts(&vec!["web1"; n])),
        ("stream", texts(&vec![name.as_str(); n])),
        ("seq", numbers(&vec![1; n])),
        ("packets", numbers(&[1, 5, 1, 1])),
        ("table", texts(&vec!["inet filter"; n])),
        ("chain", texts(&vec!["input"; n])),
        ("handle", numbers(&logged.iter().map(|rule| rule.handle).collect::<Vec<_>>())),
        ("rule", texts(&logged.iter().map(|rule| rule.text.as_str()).collect::<Vec<_>>())),
        ("generation", texts(&vec!["a1"; n])),
    ];
    let events = rows(Kind::Events, n, NOW + 5_000_000, given.clone());
    // Nobody can tell which rule logged this one.
    given.retain(|(name, _)| !matches!(*name, "rule" | "table" | "chain" | "handle" | "packets"));
    given.push((
        "extra",
        texts(&vec![r#"{"candidates":["inet filter input#4: a","inet filter input#5: b"]}"#; n]),
    ));
    given.push(("packets", numbers(&vec![1; n])));
    given.push(("seq", numbers(&vec![2; n])));
    let vague = rows(Kind::Events, n, NOW + 6_000_000, given).slice(0, 1);
    let counted = rows(
        Kind::Counters,
        3,
        NOW + 7_000_000,
        vec![
            ("host", texts(&["web1"; 3])),
            ("kind", texts(&["rule"; 3])),
            ("table", texts(&["inet filter"; 3])),
            ("chain", texts(&["input"; 3])),
            ("handle", numbers(&[4, 5, 6])),
            ("rule", texts(&[&rules[0].text, &rules[1].text, &rules[2].text])),
            ("packets", numbers(&[8, 2, 1])),
            ("bytes", numbers(&[480, 120, 60])),
        ],
    );
    let at = Micros(NOW);
    tables.of(Kind::Events).append(id(1), vec![events], 1000, at).unwrap();
    tables.of(Kind::Events).commit(at).await.unwrap();
    tables.of(Kind::Events).append(id(2), vec![vague], 1000, at).unwrap();
    tables.of(Kind::Counters).append(id(1), vec![counted], 1000, at).unwrap();
    for (seq, listing) in (1..)
        .zip([ruleset(NOW, "a1", "", &[("nft", THEN)]), ruleset(NOW + 9_000_000, "b2", "", &[("nft", &now)])])
    {
        tables.of(Kind::Rulesets).append(id(seq), vec![listing], 1000, at).unwrap();
    }
    (serving(dir, tables).await, rules.into_iter().map(|rule| rule.text).collect())
}

#[tokio::test]
async fn an_event_is_shown_with_its_rule_as_it_was_and_as_it_is() {
    let (server, rules) = firewall().await;
    let events = server.lines("/api/v1/export", json!({"filter": ""})).await;
    let shown = async |row: usize| {
        let (status, shown) = server.ask("/api/v1/event", json!({"id": events[row]["id"]})).await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        assert_eq!(shown["event"], events[row], "the whole of it");
        shown
    };
    let changed = shown(1).await;
    assert_eq!((&changed["rule"]["text"], &changed["rule"]["position"]), (&json!(rules[0]), &json!(1)));
    assert_eq!(changed["rule"]["ruleset"]["process"], "nft");
    assert_eq!(changed["rule"]["ruleset"]["time"], "2026-11-23T05:00:43.000000Z");
    assert_eq!((&changed["now"]["state"], &changed["now"]["rule"]["handle"]), (&json!("changed"), &json!(4)));
    assert!(changed["now"]["rule"]["text"].as_str().unwrap().contains("2222"), "{changed}");
    assert_eq!(changed["now"]["ruleset"]["generation"], "b2");
    let same = shown(2).await;
    assert_eq!((&same["now"]["state"], &same["now"]["rule"]["text"]), (&json!("same"), &json!(rules[1])));
    let deleted = shown(3).await;
    assert_eq!((&deleted["now"]["state"], &deleted["now"]["rule"]), (&json!("deleted"), &Value::Null));
    let vague = shown(4).await;
    assert_eq!((&vague["rule"], &vague["now"]["state"]), (&Value::Null, &json!("unknown")));
    assert_eq!(vague["candidates"].as_array().unwrap().len(), 2);

    let name = events[0]["id"].as_str().unwrap();
    let (status, _) = server.ask("/api/v1/event", json!({"id": format!("{name}9")})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, problem) = server.ask("/api/v1/event", json!({"id": "42"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().unwrap().contains("HOST/LANE/EPOCH/SEQ/ROW"), "{problem}");
}

#[tokio::test]
async fn what_each_rule_counted_and_logged_is_told() {
    let (server, rules) = firewall().await;
    let hits = async |body: Value| {
        let (status, hits) = server.ask("/api/v1/rules/hits", body).await;
        assert_eq!(status, StatusCode::OK, "{hits}");
        hits
    };
    let told = |rules: &Value| -> Vec<Value> {
        let of = |rule: &Value| {
            json!([rule["handle"], rule["counted"], rule["logged"], rule["coverage"], rule["state"]])
        };
        rules.as_array().unwrap().iter().map(of).collect()
    };
    let then = hits(json!({"host": "web1", "until": NOW + 8_000_000})).await;
    assert_eq!(then["ruleset"]["generation"], "a1");
    assert_eq!(
        told(&then["rules"]),
        [
            json!([4, 8, 6, 75.0, "hit"]),
            json!([5, 2, 1, 50.0, "hit"]),
            json!([6, 1, 1, 100.0, "hit"]),
            json!([7, null, 0, null, "unknown"]),
        ]
    );
    assert_eq!((&then["gone"], &then["unattributed"]), (&json!([]), &json!(1)));
    assert_eq!(then["rules"][0]["last"], "2026-11-23T05:00:50.000000Z");

    let now = hits(json!({"host": "web1"})).await;
    assert_eq!(now["ruleset"]["generation"], "b2");
    assert_eq!(
        told(&now["rules"]),
        [
            json!([4, 0, 0, null, "never"]),
            json!([5, 2, 1, 50.0, "hit"]),
            json!([7, null, 0, null, "unknown"])
        ]
    );
    let gone: Vec<_> = now["gone"].as_array().unwrap().iter().map(|rule| rule["rule"].clone()).collect();
    assert_eq!(gone, [json!(rules[0]), json!(rules[2])]);

    let (status, _) = server.ask("/api/v1/rules/hits", json!({"host": "web9"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

fn addresses(of: &[&str]) -> ArrayRef {
    let mut out = arrow_array::builder::FixedSizeBinaryBuilder::new(16);
    of.iter().for_each(|text| out.append_value(bartizan_model::addr_from_ip(text.parse().unwrap())).unwrap());
    Arc::new(out.finish())
}

#[tokio::test]
async fn what_stands_around_an_event_is_told() {
    let (dir, tables) = empty().await;
    let stream = StreamId { host: HostId::from_bytes([7; 16]), lane: Lane::DISK[0], epoch: Epoch(1) };
    let name = stream.to_string();
    let texts = |of: &[&str]| -> ArrayRef { Arc::new(StringViewArray::from_iter_values(of.iter().copied())) };
    let ports = |of: [i32; 4]| -> ArrayRef { Arc::new(arrow_array::Int32Array::from(of.to_vec())) };
    let of_batch = |kind: Kind,
                    time: i64,
                    src: [&str; 4],
                    dst: [&str; 4],
                    sport: [i32; 4],
                    dport: [i32; 4],
                    seq: i64| {
        let given: Vec<(&'static str, ArrayRef)> = vec![
            ("host", texts(&["web1", "web1", "web2", "web3"])),
            ("stream", texts(&[name.as_str(); 4])),
            ("seq", Arc::new(Int64Array::from(vec![seq; 4]))),
            ("packets", Arc::new(Int64Array::from(vec![1, 2, 4, 8]))),
            ("src", addresses(&src)),
            ("dst", addresses(&dst)),
            ("sport", ports(sport)),
            ("dport", ports(dport)),
            ("proto", Arc::new(arrow_array::Int16Array::from(vec![6; 4]))),
        ];
        rows(kind, 4, time, given)
    };
    let (a, b) = ("192.0.2.1", "2001:db8::1");
    let here = of_batch(Kind::Events, NOW, [a, a, a, b], [b; 4], [4000; 4], [22, 80, 22, 22], 1);
    let late = of_batch(Kind::Events, NOW + 300_000_000, [a; 4], [b; 4], [1; 4], [1; 4], 2);
    let flows = of_batch(
        Kind::Flows,
        NOW + 9,
        [a, b, a, a],
        [b, a, b, a],
        [4000, 22, 4001, 4000],
        [22, 4000, 22, 22],
        1,
    );
    let id = |seq| BatchId { stream, seq: Seq(seq) };
    tables.of(Kind::Events).append(id(1), vec![here], 1000, Micros(NOW)).unwrap();
    tables.of(Kind::Events).append(id(2), vec![late], 1000, Micros(NOW)).unwrap();
    tables.of(Kind::Flows).append(id(1), vec![flows], 1000, Micros(NOW)).unwrap();
    let server = serving(dir, tables).await;
    let (status, shown) = server.ask("/api/v1/event", json!({"id": format!("{stream}/1/0")})).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    let context = &shown["context"];
    assert_eq!(
        (&context["rows"], &context["packets"]),
        (&json!(3), &json!(7)),
        "the last moment is outside: {context}"
    );
    let hosts = json!([{"host": "web2", "packets": 4, "rows": 1}, {"host": "web1", "packets": 3, "rows": 2}]);
    assert_eq!(context["hosts"], hosts);
    assert_eq!(context["dports"][0], json!({"dport": 22, "packets": 5, "rows": 2}));
    let flows: Vec<_> =
        context["flows"].as_array().unwrap().iter().map(|flow| flow["sport"].clone()).collect();
    assert_eq!(flows, [json!(4000), json!(22)], "both directions, and no other connection");
}
