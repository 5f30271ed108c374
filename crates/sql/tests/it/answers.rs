//! What is answered.

use crate::common::{Lake, batch, int};
use crate::{answer, engine, lake, refusal, told};
use bartizan_filter::Context;
use bartizan_model::Kind;
use bartizan_sql::{Question, describe};
use datafusion::common::ScalarValue;
use std::sync::Arc;

#[tokio::test]
async fn questions_have_answers() {
    let engine = engine(&lake());
    for (text, expected) in [
        ("SELECT count(*) AS n FROM events", r#"{"n":400}"#),
        ("SELECT count(*) n FROM events WHERE dport = 22", r#"{"n":100}"#),
        ("SELECT sum(packets) n FROM events WHERE host = 'web-1'", r#"{"n":200}"#),
        (
            "SELECT dport, count(*) n FROM events GROUP BY dport ORDER BY n DESC",
            r#"{"dport":443,"n":300} {"dport":22,"n":100}"#,
        ),
        (
            "SELECT src, sport FROM events ORDER BY time DESC LIMIT 2",
            r#"{"src":"2001:db8:1:2::9","sport":40399} {"src":"192.0.3.8","sport":40398}"#,
        ),
        ("SELECT count(*) n FROM events WHERE src = ip('192.0.1.3')", r#"{"n":10}"#),
        ("SELECT count(*) n FROM events WHERE src = '192.0.1.3'", r#"{"n":10}"#),
        ("SELECT count(*) n FROM events WHERE '192.0.1.3' = src", r#"{"n":10}"#),
        ("SELECT count(*) n FROM events WHERE src IN ('192.0.1.3', '192.0.1.4')", r#"{"n":20}"#),
        ("SELECT count(*) n FROM events WHERE src BETWEEN '192.0.1.0' AND '192.0.1.255'", r#"{"n":90}"#),
        ("SELECT count(*) n FROM events WHERE in_cidr(src, '192.0.2.0/24')", r#"{"n":90}"#),
        ("SELECT count(*) n FROM events WHERE in_cidr(src, '2001:db8::/32')", r#"{"n":40}"#),
        ("SELECT count(*) n FROM events WHERE src LIKE '192.0.1.%'", r#"{"n":90}"#),
        ("SELECT count(*) n FROM events WHERE NOT in_cidr(src, '192.0.0.0/16')", r#"{"n":40}"#),
        (
            "SELECT cidr(src, 16) net, count(*) n FROM events GROUP BY net ORDER BY n DESC",
            r#"{"net":"192.0.0.0/16","n":360} {"net":"2001:db8:1:2::/64","n":40}"#,
        ),
        (
            "SELECT cidr(ip('2001:db8:1:2::9'), 24, 32) a, cidr(ip('10.1.2.3'), 8) b",
            r#"{"a":"2001:db8::/32","b":"10.0.0.0/8"}"#,
        ),
        (
            "SELECT service(dport) s, proto_name(proto) p, flags_text(tcp_flags) f FROM events WHERE sport = 40000",
            r#"{"s":"ssh","p":"tcp","f":"SYN"}"#,
        ),
        (
            "SELECT inet_aton('1.2.3.4') a, inet_ntoa(16909060) b, ip_number(ip('1.2.3.4')) c, ip_number(ip('::5')) d",
            r#"{"a":16909060,"b":"1.2.3.4","c":16909060}"#,
        ),
        (
            "SELECT CAST(src AS TEXT) t, 'to ' || dst AS d FROM events WHERE sport = 40000",
            r#"{"t":"192.0.0.0","d":"to 198.51.100.7"}"#,
        ),
        (
            "SELECT min(src) a, max(src) b, count(DISTINCT src) n FROM events",
            r#"{"a":"192.0.0.0","b":"2001:db8:1:2::9","n":37}"#,
        ),
        ("SELECT src = '192.0.0.0' AS is FROM events WHERE sport = 40000", r#"{"is":true}"#),
        (
            "SELECT date_trunc('hour', time) h, count(*) n FROM events GROUP BY h ORDER BY h LIMIT 1",
            r#"{"h":"2026-11-23T00:00:00.000000Z","n":100}"#,
        ),
        (
            "SELECT e.src, f.src, f.bytes FROM events e JOIN flows f ON e.host = f.host WHERE e.sport = 40000 LIMIT 1",
            r#"{"src":"192.0.0.0","src_2":"192.0.2.1","bytes":1000}"#,
        ),
        (
            "SELECT 1.5 AS a, true AS b, DATE '2026-01-02' AS c, NULL AS d, 1 = 2 AS e",
            r#"{"a":1.5,"b":true,"c":"2026-01-02","e":false}"#,
        ),
        ("SELECT avg(dport) a, count(*) FILTER (WHERE dport = 22) b FROM events", r#"{"a":337.75,"b":100}"#),
        (
            "SELECT sport, row_number() OVER (ORDER BY time) n FROM events ORDER BY n LIMIT 1",
            r#"{"sport":40000,"n":1}"#,
        ),
        (
            "WITH a AS (SELECT * FROM events WHERE dport = 22) SELECT count(*) n FROM a x JOIN a y ON x.sport = y.sport",
            r#"{"n":100}"#,
        ),
        ("SELECT count(*) n FROM bartizan.public.events", r#"{"n":400}"#),
        ("SELECT count(*) n FROM lines", r#"{"n":0}"#),
        ("SELECT time FROM events WHERE sport = 40000", r#"{"time":"2026-11-23T00:00:00.123456Z"}"#),
        ("VALUES (1), (2)", r#"{"column1":1} {"column1":2}"#),
    ] {
        assert_eq!(answer(&engine, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn what_there_is_can_be_asked() {
    let engine = engine(&lake());
    let tables = answer(&engine, "SHOW TABLES").await;
    for name in ["events", "flows", "counters", "losses", "rulesets", "lines", "ulog"] {
        assert!(tables.contains(&format!(r#""table_name":"{name}""#)), "{tables}");
    }
    let columns = answer(&engine, "DESCRIBE events").await;
    assert!(
        columns.starts_with(r#"{"column_name":"time","data_type":"timestamp","is_nullable":"NO","#),
        "{columns}"
    );
    assert!(
        columns.contains(r#"{"column_name":"src","data_type":"address","is_nullable":"YES","#),
        "{columns}"
    );
    let columns = answer(&engine, "SHOW COLUMNS FROM ulog").await;
    assert!(columns.contains(r#"{"column_name":"ip_saddr","data_type":"bigint","#), "{columns}");
    let n = "SELECT count(*) n FROM information_schema.columns WHERE table_name = 'events'";
    let expected = bartizan_schema::table_columns(Kind::Events).len();
    assert_eq!(answer(&engine, n).await, format!(r#"{{"n":{expected}}}"#));
    assert_eq!(
        answer(&engine, "SELECT schema_name FROM information_schema.schemata").await,
        r#"{"schema_name":"public"} {"schema_name":"information_schema"}"#
    );
    let plan = answer(&engine, "EXPLAIN SELECT count(*) FROM events WHERE dport = 22").await;
    assert!(plan.contains("TableScan: events") && plan.contains("dport"), "{plan}");
    assert!(refusal(&engine, "DESCRIBE nothing").await.contains("no table `nothing`"));
}

/// What an old query asks of ulogd's tables.
#[tokio::test]
async fn old_queries_run() {
    let engine = engine(&lake());
    for (text, expected) in [
        (
            "SELECT inet_ntoa(ip_saddr) AS src, tcp_dport, count(*) AS n FROM ulog WHERE tcp_syn = 1 AND tcp_ack = 0
             AND ip_protocol = 6 AND ip_saddr = inet_aton('192.0.1.4') GROUP BY ip_saddr, tcp_dport ORDER BY n DESC, tcp_dport",
            r#"{"src":"192.0.1.4","tcp_dport":22,"n":5} {"src":"192.0.1.4","tcp_dport":443,"n":5}"#,
        ),
        (
            "SELECT oob_time_sec, oob_time_usec, oob_prefix, oob_hook, oob_family, local_hostname, ip_saddr_str, ip_totlen
             FROM ulog ORDER BY id LIMIT 1",
            r#"{"oob_time_sec":1795392000,"oob_time_usec":123456,"oob_prefix":"in-drop","oob_hook":1,"oob_family":2,"local_hostname":"web-1","ip_saddr_str":"192.0.0.0","ip_totlen":60}"#,
        ),
        ("SELECT id FROM ulog ORDER BY id DESC LIMIT 1", r#"{"id":1795403199123456}"#),
        ("SELECT count(*) n FROM ulog WHERE ip_saddr IS NULL AND ip_saddr_str = '2001:db8:1:2::9'", r#"{"n":40}"#),
        ("SELECT count(udp_dport) a, count(icmp_type) b, count(tcp_dport) c FROM ulog", r#"{"a":0,"b":0,"c":400}"#),
    ] {
        assert_eq!(answer(&engine, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let engine = engine(&lake());
    for (text, expected) in [
        ("SELECT * FROM nothing", "nothing"),
        ("SELECT nothing FROM events", "nothing"),
        ("SELECT nothing(1)", "nothing"),
        ("SELECT * FROM events WHERE src = 'x'", "`x` is no address"),
        ("SELECT * FROM events WHERE src IN ('10.0.0.0/8')", "`10.0.0.0/8` is no address"),
        ("SELECT * FROM events WHERE src = prefix", "addresses are compared with addresses"),
        ("SELECT ip('x')", "`x` is no address"),
        ("SELECT * FROM events WHERE in_cidr(src, '10.0.0.0/99')", "no network"),
        ("SELECT cidr(src, 33) FROM events WHERE sport = 40000", "33 is not in 0..=32"),
        ("SELECT * FROM events WHERE proto = 'tcp'", "tcp"),
        ("SELECT 1/0", "zero"),
        ("SELECT sum(host) FROM events", "sum"),
        ("SELECT $1", "parameters"),
        ("SELECT * FROM '/etc/passwd'", "passwd"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv"),
        ("SELECT * FROM generate_series(1, 10)", "generate_series"),
        ("SELECT input_file_name() FROM events", "input_file_name"),
        ("SELECT repeat('x', 1000000)", "repeat"),
        ("SELECT * INTO t FROM events", "DDL"),
        ("SELECT * FROM information_schema.df_settings", "df_settings"),
        ("SELECT @@version", "version"),
    ] {
        let said = refusal(&engine, text).await;
        assert!(said.to_lowercase().contains(&expected.to_lowercase()), "{text}: {said}");
        assert!(!said.contains(".parquet") && !said.contains("/tmp"), "{said}");
    }
}

#[tokio::test]
async fn groups_of_hosts_are_known() {
    let engine = engine(&lake());
    let names = Arc::new(Context::default().with_group("Web", &["web*".to_owned()]));
    let question = |text: &str| Question::new(text, Arc::clone(&names));
    let text = "SELECT host_in(host, 'web') w, count(*) n FROM events GROUP BY w ORDER BY w";
    assert_eq!(told(&engine, question(text)).await.unwrap().0, r#"{"w":false,"n":200} {"w":true,"n":200}"#);
    let error = told(&engine, question("SELECT host_in(host, 'db') FROM events")).await.unwrap_err();
    assert!(error.to_string().contains("no group `db`"), "{error:?}");
}

#[tokio::test]
async fn parameters_stand_for_values() {
    let engine = engine(&lake());
    let question = |text: &str, parameters: Vec<ScalarValue>| Question {
        parameters,
        ..Question::new(text, Arc::default())
    };
    let text = "SELECT count(*) n FROM events WHERE dport = ? AND src = ?";
    let values = vec![ScalarValue::from(22_i64), ScalarValue::from("192.0.0.4")];
    assert_eq!(told(&engine, question(text, values.clone())).await.unwrap().0, r#"{"n":5}"#);
    let text = "SELECT count(*) n FROM events WHERE src = $2 AND dport = $1";
    assert_eq!(told(&engine, question(text, values.clone())).await.unwrap().0, r#"{"n":5}"#);
    for (text, values) in
        [("SELECT ?", vec![]), ("SELECT 1", values.clone()), ("SELECT ?, ?", values[..1].to_vec())]
    {
        assert!(told(&engine, question(text, values)).await.is_err(), "{text}");
    }
    let described = describe(&engine, question(text, vec![])).await.unwrap();
    assert_eq!(described.columns.field(0).name(), "n");
    assert_eq!(described.parameters.fields().len(), 2);
    let described = describe(&engine, question("SELECT src FROM events", vec![])).await.unwrap();
    assert!(described.columns.field(0).data_type().is_string(), "{described:?}");
}

/// A damaged file is left out and named, as of every other question.
#[tokio::test]
async fn a_damaged_file_is_named() {
    let lake = Lake::new();
    for part in 0..2 {
        let rows = batch(Kind::Events, 10, |column, row| match column.name {
            "time" => int(part * 1000 + i64::try_from(row).unwrap()),
            _ => None,
        });
        lake.add_file(Kind::Events, &rows);
    }
    let mut damaged = None;
    lake.change(Kind::Events, |view| damaged = Some(view.files[1].clone()));
    std::fs::write(lake.on_disk(&damaged.unwrap()), b"gone").unwrap();
    let engine = engine(&lake);
    let error =
        told(&engine, Question::new("SELECT count(*) n FROM events", Arc::default())).await.unwrap_err();
    assert!(matches!(error, bartizan_query::QueryError::LeftOut(_)), "{error:?}");
}
