//! What each command does, and how it ends.

use super::{Case, Run};
use bartizan_e2e::process::{Running, wait_until};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A command that asks the server.
const fn asks(path: &'static str, least: &'static [&'static str], does: fn(&Run<'_>)) -> Case {
    Case { path, least, asks: true, does }
}

/// One that does not.
const fn alone(path: &'static str, least: &'static [&'static str], does: fn(&Run<'_>)) -> Case {
    Case { path, least, asks: false, does }
}

/// In this order: some leave something for those after them.
pub(super) const CASES: &[Case] = &[
    asks("search", &[], search),
    asks("hist", &[], hist),
    asks("tail", &["-n", "1"], tail),
    alone("watch", &[], watch),
    asks("top", &["src"], top),
    asks("show", &["07070707070707070707070707070707/0/000000000000feed/42/7"], show),
    asks("flows", &[], flows),
    asks("counters", &[], counters),
    asks("rules", &["web-01"], rules),
    asks("export", &[], export),
    asks("sql", &["SELECT 1"], sql),
    asks("hosts list", &[], hosts),
    asks("senders", &[], senders),
    asks("unparsed", &[], unparsed),
    asks("lines", &[], lines),
    asks("losses", &[], losses),
    asks("views save", &["name", "dport:22"], views_save),
    asks("views list", &[], views_list),
    asks("views run", &["name"], views_run),
    asks("views rm", &["name"], views_rm),
    asks("groups", &[], groups),
    asks("sets", &[], sets),
    asks("queries list", &[], queries_list),
    asks("queries cancel", &["name"], queries_cancel),
    alone("login", &["https://127.0.0.1:1"], login),
    alone("context list", &[], context_list),
    alone("context use", &["name"], context_use),
    alone("context rm", &["name"], context_rm),
    alone("doctor", &[], doctor),
    asks("token create", &[], token_create),
    asks("token list", &[], token_list),
    asks("token revoke", &["0123456789"], token_revoke),
    asks("hosts approve", &["nobody"], hosts_approve),
    asks("hosts rename", &["nobody", "x"], hosts_rename),
    asks("hosts retire", &["nobody"], hosts_retire),
    asks("hosts revoke", &["nobody"], hosts_revoke),
    asks("config set", &["*", "/dev/null"], config_set),
    asks("config list", &[], config_list),
    asks("config show", &["1"], config_show),
    asks("config diff", &["1"], config_diff),
    asks("config rollback", &["1"], config_rollback),
    asks("config status", &[], config_status),
    asks("authority status", &[], authority_status),
    asks("authority rotate", &[], authority_rotate),
    asks("authority finish", &[], authority_finish),
    alone("parse", &[], parse),
    alone("import", &["x"], import),
    asks("imports", &[], imports),
    asks("lake status", &[], lake_status),
    asks("users add", &["name"], users_add),
    asks("users list", &[], users_list),
    asks("users change", &["name"], users_change),
    asks("users invite", &["name"], users_invite),
    asks("users rm", &["name"], users_rm),
    asks("access make", &["name"], access_make),
    asks("access list", &[], access_list),
    asks("access revoke", &["name"], access_revoke),
    asks("audit list", &[], audit_list),
    asks("audit verify", &[], audit_verify),
    asks("lake verify", &[], lake_verify),
    asks("lake compact", &[], lake_compact),
    asks("lake hold", &["name"], lake_hold),
    asks("lake holds", &[], lake_holds),
    asks("lake release", &["name"], lake_release),
    asks("lake vacuum", &["-n"], lake_vacuum),
    asks("lake retain", &["-n"], lake_retain),
    asks("lake erase", &["192.0.2.1", "-n"], lake_erase),
    asks("lake erasures", &[], lake_erasures),
    asks("backup", &["/nowhere"], backup),
    alone("restore", &["x", "--to", "y"], restore),
    alone("prefix test", &["x"], prefix_test),
    alone("prefix list", &[], prefix_list),
    asks("enrich status", &[], enrich_status),
    asks("enrich sets", &[], enrich_sets),
    asks("enrich lookup", &["192.0.2.1"], enrich_lookup),
    alone("filter check", &["dport:22"], filter_check),
    alone("filter explain", &["dport:22"], filter_explain),
    alone("server", &[], server),
    alone("completion", &["bash"], completion),
    alone("man", &[], man),
    alone("version", &[], version),
];

fn search(run: &Run<'_>) {
    assert_eq!(run.rows(&["host:web-01 dport:9 proto:udp"]).len(), 20);
    assert_eq!(run.rows(&["group:web", "-n", "7"]).len(), 7);
    assert_eq!(run.rows(&["host:gw dport:ssh"])[0]["src"], "203.0.113.9");
    assert!(run.ok(&["host:gw", "--columns", "src,dport"]).starts_with("SRC"));
    assert_eq!(run.ok(&["host:nobody", "-o", "json"]), "[]\n");
    assert_eq!(run.rows(&["host:web-01", "--by", "dport"])[0]["packets"], 20);
    // the place of the fault, and what was perhaps meant
    let err = run.fails(2, &["host:gw dprot:22"]);
    assert!(err.contains("        ^^^^^") && err.contains("dport:22"), "{err}");
    run.fails(2, &["--since", "when it rains"]);
    run.fails(2, &["--columns", "nope"]);
    let err = run.fails(2, &["--since", "2026-01-02", "--until", "2026-01-01"]);
    assert!(err.contains("after"), "{err}");
    let err = run.fails(2, &["--after", "nowhere"]);
    assert!(err.contains("cursor"), "{err}");
    // who reads no more is no fault
    let mut child = run.command(&["-n", "0", "-o", "ndjson"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // 8: a file of the lake is gone
    let file = parquet(run);
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    let err = run.fails(8, &["host:gw", "-o", "csv"]);
    assert!(err.contains("cannot be read"), "{err}");
    fs::rename(&aside, &file).unwrap();
    wait_until("the file to be trusted again", Duration::from_secs(90), || {
        Ok((run.ends(&["host:gw", "-o", "csv"]).0 == 0).then_some(()))
    })
    .unwrap();
}

/// The file of the imported events.
fn parquet(run: &Run<'_>) -> std::path::PathBuf {
    let mut folders = vec![Path::new(&run.of_server("lake/events")).join("date=2026-11-20")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                return path;
            }
        }
    }
    panic!("no file of the imported events");
}

fn hist(run: &Run<'_>) {
    let bars = run.rows(&["host:gw", "--since", "2026-11-20T10:00:00Z", "--until", "2026-11-20T10:01:00Z"]);
    let sum: u64 = bars.iter().filter_map(|bar| bar["packets"].as_u64()).sum();
    assert_eq!(sum, 3, "{bars:?}");
    assert!(run.ok(&["host:web-01", "--since", "1h", "--by", "action"]).contains("drop"));
    run.fails(2, &["--bucket", "soon"]);
}

fn tail(run: &Run<'_>) {
    let mut child =
        run.command(&["host:web-01", "-n", "4", "-o", "ndjson"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    wait_until("the tail to be there", PATIENCE, || {
        let asked = run.scene.server.ask(&["queries", "list", "-o", "ndjson"])?;
        Ok(asked.lines().any(|line| line.contains("\"tail\"")).then_some(()))
    })
    .unwrap();
    run.scene.send(crate::scene::MARKER, 4, 0);
    for _ in 0..4 {
        let row: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!((&row["dport"], &row["host"]), (&Value::from(10), &Value::from("web-01")));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    run.fails(2, &["dport:x"]);
}

fn watch(run: &Run<'_>) {
    let err = run.fails(2, &[]);
    assert!(err.contains("terminal"), "{err}");
}

fn top(run: &Run<'_>) {
    let rows = run.rows(&["dport", "host:web-01"]);
    assert_eq!((&rows[0]["dport"], &rows[0]["packets"]), (&Value::from(9), &Value::from(20)));
    let rows = run.rows(&["dport", "host:web-01", "--compare", "--since", "1h"]);
    assert_eq!(rows[0]["before_packets"], 0, "{rows:?}");
    run.fails(2, &["nope"]);
}

fn show(run: &Run<'_>) {
    let id = run.scene.server.ask(&["search", "host:web-01 dport:9", "-n", "1", "-o", "ndjson"]).unwrap();
    let id = serde_json::from_str::<Value>(&id).unwrap()["id"].as_str().unwrap().to_owned();
    let shown = run.ok(&[&id]);
    assert!(shown.contains("udp dport 9") && shown.contains("unchanged"), "{shown}");
    let json: Value = serde_json::from_str(&run.ok(&[&id, "-o", "json"])).unwrap();
    assert_eq!((&json["event"]["id"], &json["now"]["state"]), (&Value::from(id), &Value::from("same")));
    let err = run.fails(5, &["07070707070707070707070707070707/0/000000000000feed/42/7"]);
    assert!(err.contains("no event"), "{err}");
}

fn flows(run: &Run<'_>) {
    let rows = run.rows(&["dport:4000 event:destroy"]);
    assert_eq!((rows.len(), &rows[0]["packets"]), (3, &Value::from(3)));
    assert!(run.ok(&["--count", "-o", "json"]).contains("\"rows\""));
}

fn counters(run: &Run<'_>) {
    let sum: u64 = run.rows(&["rule:*udp-drop*"]).iter().filter_map(|row| row["packets"].as_u64()).sum();
    assert!(sum >= 1, "{sum}");
    run.fails(2, &["dport:22"]);
}

fn rules(run: &Run<'_>) {
    assert!(run.ok(&["web-01"]).contains("udp dport 9"));
    assert!(!run.rows(&["web-01", "--history"]).is_empty());
    let hits = run.ok(&["web-01", "--hits", "--since", "1h"]);
    assert!(hits.contains("udp-drop"), "{hits}");
    run.fails(5, &["nobody"]);
}

fn export(run: &Run<'_>) {
    assert_eq!(run.ok(&["host:web-01 dport:9"]).lines().count(), 20);
    assert_eq!(run.ok(&["host:gw", "-o", "csv", "--columns", "src,dport"]).lines().count(), 4);
    assert!(run.ok(&["host:gw dport:22", "-o", "logemu"]).contains("SRC=203.0.113.9 DST=10.0.0.2"));
    for (form, magic) in [("parquet", &b"PAR1"[..]), ("arrow", &[0xff; 4])] {
        let to = run.file(form);
        run.ok(&["host:web-01", "-o", form, "--to", &to]);
        assert!(fs::read(&to).unwrap().starts_with(magic), "{form}");
    }
    let flows = run.ok(&["dport:4000", "--table", "flows", "-o", "csv"]);
    assert!(flows.lines().count() > 3, "{flows}");
    run.fails(2, &["--table", "nope"]);
}

fn sql(run: &Run<'_>) {
    let rows = run.rows(&["SELECT host, count(*) AS n FROM events WHERE dport = ? GROUP BY host", "-p", "9"]);
    assert_eq!((rows.len(), &rows[0]["n"]), (1, &Value::from(20)));
    assert!(run.ok(&["SHOW TABLES"]).contains("counters"));
    let err = run.fails(2, &["DROP TABLE events"]);
    assert!(err.contains("only questions"), "{err}");
}

fn hosts(run: &Run<'_>) {
    let hosts = run.rows(&[]);
    let web = hosts.iter().find(|host| host["name"] == "web-01").unwrap();
    assert_eq!((&web["state"], &web["lost"]), (&Value::from("online"), &Value::from(0)), "{web}");
    assert!(run.ok(&[]).contains("web-01"));
    let short = run.scene.server.ask(&["hosts", "-o", "json"]).unwrap();
    assert!(short.contains("web-01"), "{short}");
}

fn senders(run: &Run<'_>) {
    assert_eq!(run.ok(&["-o", "json"]), "[]\n", "everybody here has an agent");
}

fn unparsed(run: &Run<'_>) {
    let shapes = run.rows(&["host:gw"]);
    assert_eq!((shapes.len(), &shapes[0]["events"]), (1, &Value::from(1)), "{shapes:?}");
}

fn lines(run: &Run<'_>) {
    let lines = run.rows(&["program:sshd"]);
    assert_eq!((lines.len(), &lines[0]["text"]), (1, &Value::from("hello")), "{lines:?}");
}

fn losses(run: &Run<'_>) {
    assert!(run.rows(&[]).is_empty());
    assert_eq!(run.ok(&["--sum", "-o", "csv"]).lines().count(), 1);
    run.fails(2, &["dport:22"]);
}

fn views_save(run: &Run<'_>) {
    run.ok(&["ssh", "DPORT:ssh host:gw", "--columns", "src,dport"]);
    run.fails(2, &["wrong", "dprot:22"]);
}

fn views_list(run: &Run<'_>) {
    let views = run.rows(&[]);
    assert_eq!((views.len(), &views[0]["filter"]), (1, &Value::from("dport:22 host:gw")), "{views:?}");
}

fn views_run(run: &Run<'_>) {
    assert_eq!(run.ok(&["ssh", "-o", "csv"]), "src,dport\r\n203.0.113.9,22\r\n");
    run.fails(5, &["nobody's"]);
}

fn views_rm(run: &Run<'_>) {
    run.ok(&["ssh"]);
    run.fails(5, &["ssh"]);
}

fn groups(run: &Run<'_>) {
    assert_eq!(run.rows(&[])[0]["name"], "web");
    assert!(run.ok(&[]).contains("web-*"));
}

fn sets(run: &Run<'_>) {
    let sets = run.rows(&[]);
    assert!(sets.iter().any(|set| set["name"] == "home" && set["ranges"] == 1), "{sets:?}");
}

/// A tail is a question that lasts.
fn asked(run: &Run<'_>) -> (std::process::Child, String) {
    let child =
        run.scene.server.cli().unwrap().args(["tail", "dport:1"]).stderr(Stdio::piped()).spawn().unwrap();
    let id = wait_until("the question to be in the list", PATIENCE, || {
        let list = run.scene.server.ask(&["queries", "list", "-o", "json"])?;
        let list: Vec<Value> = serde_json::from_str(&list)?;
        Ok(list.into_iter().find(|q| q["path"] == "tail").map(|q| q["id"].as_str().unwrap().to_owned()))
    });
    (child, id.unwrap())
}

fn queries_list(run: &Run<'_>) {
    let (mut child, id) = asked(run);
    let listed = run.ok(&[]);
    assert!(listed.contains(&id) && listed.contains("dport:1"), "{listed}");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the list to be empty", PATIENCE, || Ok((!run.ok(&[]).contains(&id)).then_some(()))).unwrap();
}

fn queries_cancel(run: &Run<'_>) {
    let (mut child, id) = asked(run);
    run.ok(&[&id]);
    wait_until("the question to be over", PATIENCE, || {
        Ok((!run.scene.server.ask(&["queries", "list"])?.contains(&id)).then_some(()))
    })
    .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    run.fails(5, &[&id]);
}

fn login(run: &Run<'_>) {
    let url = format!("https://{}", run.scene.server.front());
    let (ca, token) = (run.of_server("ca.pem"), run.of_server("admin.token"));
    for name in ["here", "there"] {
        let (code, _, err) = run.elsewhere(&[&url, "--name", name, "--ca", &ca, "--token-file", &token]);
        assert_eq!(code, 0, "{err}");
    }
    let (code, _, err) =
        run.elsewhere(&[&url, "--name", "x", "--ca", &ca, "--token-file", &run.file("wrong.token")]);
    assert_eq!(code, 4, "{err}");
    let (code, _, err) = run.elsewhere(&["https://127.0.0.1:1", "--ca", &ca, "--token-file", &token]);
    assert_eq!(code, 7, "{err}");
}

fn context_list(run: &Run<'_>) {
    let (code, out, err) = run.elsewhere(&["-o", "csv"]);
    assert!(code == 0 && out.lines().count() == 3, "{out}{err}");
}

fn context_use(run: &Run<'_>) {
    assert_eq!(run.elsewhere(&["here"]).0, 0);
    assert_eq!(run.elsewhere(&["nowhere"]).0, 5);
}

fn context_rm(run: &Run<'_>) {
    assert_eq!(run.elsewhere(&["there"]).0, 0);
    assert_eq!(run.elsewhere(&["there"]).0, 5);
}

fn doctor(run: &Run<'_>) {
    let (code, out, err) = run.elsewhere(&[]);
    assert!(code == 0 && out.contains("the server of the context here"), "{code}: {out}{err}");
    let (code, out, _) = run.elsewhere(&["--dir", &run.file("empty")]);
    assert!(code == 1 || code == 7, "{code}: {out}");
    let bundle = run.file("bundle.json");
    assert_eq!(run.elsewhere(&["--bundle", &bundle]).0, 0);
    let text = std::fs::read_to_string(&bundle).unwrap();
    assert!(text.contains("bartizan_build_info") && text.contains("\"program\""), "{text}");
    assert_eq!(run.elsewhere(&["--bundle", &bundle]).0, 1, "it is not overwritten");
}

fn token_create(run: &Run<'_>) {
    let token = run.ok(&["--uses", "2", "--ttl", "5m", "--comment", "a test"]);
    assert!(token.trim().len() > 20 && token.lines().count() == 1, "{token}");
    run.fails(2, &["--ttl", "soon"]);
    let err = run.fails(2, &["--from", "here"]);
    assert!(err.contains("no address"), "{err}");
    // Who comes from elsewhere is told so; who comes from there waits.
    let elsewhere = run.ok(&["--from", "192.0.2.0/24", "--comment", "elsewhere"]);
    let err = enrol(run, "spare", elsewhere.trim()).1;
    assert!(err.contains("is not for hosts at 127.0.0.1"), "{err}");
    let here = run.ok(&["--from", "127.0.0.1", "--approval", "--group", "spares"]);
    let (code, err) = enrol(run, "spare", here.trim());
    assert!(code == 0 && err.contains("waits for approval"), "{err}");
}

/// Enrols a host that never runs.
fn enrol(run: &Run<'_>, name: &str, token: &str) -> (i32, String) {
    let netns = Some(&*run.scene.netns);
    let mut command = bartizan_e2e::process::program(netns, "bartizan-agent").unwrap();
    command.args(["enroll", "--server", &run.scene.server.front().to_string(), "--name", name]);
    command.args(["--token", token, "--dir", &run.file(name)]);
    let output = command.output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

fn token_list(run: &Run<'_>) {
    let tokens = run.rows(&[]);
    let elsewhere = tokens.iter().find(|token| token["comment"] == "elsewhere").unwrap();
    assert_eq!((&elsewhere["refused"], &elsewhere["state"]), (&Value::from(1), &Value::from("good")));
    let here = tokens.iter().find(|token| token["group"] == "spares").unwrap();
    assert_eq!((&here["used"], &here["state"]), (&Value::from(1), &Value::from("used")), "{here}");
    assert!(!run.ok(&["-o", "json"]).contains("bz1."));
}

fn token_revoke(run: &Run<'_>) {
    let made = run.scene.server.ask(&["token", "make", "-o", "json"]).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    run.ok(&[made["id"].as_str().unwrap()]);
    let (code, err) = enrol(run, "late", made["token"].as_str().unwrap());
    assert!(code != 0 && err.contains("was revoked"), "{err}");
    run.fails(5, &["0123456789"]);
}

/// How the list shows a host.
fn state_of(run: &Run<'_>, name: &str) -> String {
    let hosts = run.scene.server.hosts().unwrap();
    let host = hosts.iter().find(|host| host["name"] == name).unwrap();
    host["state"].as_str().unwrap().to_owned()
}

fn hosts_approve(run: &Run<'_>) {
    assert_eq!(state_of(run, "spare"), "waiting");
    run.ok(&["spare"]);
    assert_eq!(state_of(run, "spare"), "offline");
    let err = run.fails(6, &["spare"]);
    assert!(err.contains("does not wait"), "{err}");
    let groups = run.scene.server.ask(&["groups", "-o", "json"]).unwrap();
    assert!(groups.contains("spares") && groups.contains("spare\""), "{groups}");
}

fn hosts_rename(run: &Run<'_>) {
    run.ok(&["spare", "old"]);
    assert_eq!(state_of(run, "old"), "offline");
    let err = run.fails(6, &["old", "web-01"]);
    assert!(err.contains("belongs to another host"), "{err}");
    run.fails(2, &["old", "a b"]);
}

fn authority_status(run: &Run<'_>) {
    let status = &run.rows(&[])[0];
    assert!(status["next"].is_null() && status["pin"].is_string() && status["left"] == 0, "{status}");
    run.fails(2, &["-o", "nothing"]);
}

fn authority_rotate(run: &Run<'_>) {
    let old = run.rows(&[])[0].clone();
    assert!(old["next"].is_string() && old["names"] == "web-01" || old["names"][0] == "web-01", "{old}");
    assert_eq!(run.rows(&[])[0], old, "there is one successor");
}

fn authority_finish(run: &Run<'_>) {
    let err = run.fails(6, &[]);
    assert!(err.contains("1 hosts have not renewed") && err.contains("web-01"), "{err}");
    let status = run.rows(&["--force"])[0].clone();
    assert!(status["next"].is_null(), "{status}");
    run.fails(6, &["--force"]);
    // Who has the authority of before is not shut out.
    assert_eq!(state_of(run, "web-01"), "online");
}

fn config_set(run: &Run<'_>) {
    let file = run.file("caps.toml");
    fs::write(&file, "# more\n[caps]\nrule_rate = 30000\n").unwrap();
    run.ok(&["group:web", &file, "--comment", "a busy week"]);
    fs::write(&file, "[caps]\nrule_rate = 40000\n").unwrap();
    run.ok(&["group:web", &file]);
    fs::write(&file, "[caps]\nrule_rat = 1\n").unwrap();
    let err = run.fails(2, &["group:web", &file]);
    assert!(err.contains("group:web:2: unknown key \"caps.rule_rat\""), "{err}");
    run.fails(2, &["everybody", &file]);
    run.fails(5, &["*", &run.file("no such file")]);
}

fn config_list(run: &Run<'_>) {
    let versions = run.rows(&["group:web"]);
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert_eq!((&versions[0]["counts"], &versions[1]["counts"]), (&true.into(), &false.into()));
    assert_eq!((&versions[1]["comment"], &versions[1]["hosts"]), (&"a busy week".into(), &1.into()));
    assert!(run.rows(&["host:nobody"]).is_empty());
}

fn config_show(run: &Run<'_>) {
    assert_eq!(run.ok(&["group:web"]), "[caps]\nrule_rate = 40000\n");
    assert!(run.ok(&["1"]).starts_with("# more\n"));
    run.fails(5, &["99"]);
    run.fails(5, &["*"]);
}

fn config_diff(run: &Run<'_>) {
    let diff = run.ok(&["group:web"]);
    assert!(diff.starts_with("--- group:web version 1\n+++ group:web version 2\n"), "{diff}");
    assert!(diff.contains("-rule_rate = 30000\n+rule_rate = 40000\n"), "{diff}");
    assert!(run.ok(&["1"]).starts_with("--- nothing\n"));
    assert!(run.ok(&["1", "--from", "2"]).contains("+rule_rate = 30000\n"));
    run.fails(5, &["99"]);
}

fn config_rollback(run: &Run<'_>) {
    run.ok(&["1"]);
    assert!(run.scene.server.ask(&["config", "show", "group:web"]).unwrap().starts_with("# more\n"));
    run.fails(5, &["99"]);
}

fn config_status(run: &Run<'_>) {
    let host = wait_until("the host to have it", PATIENCE, || {
        let host = run.rows(&[]).into_iter().find(|host| host["name"] == "web-01").unwrap();
        Ok((host["config"] == "as wanted").then_some(host))
    })
    .unwrap();
    assert_eq!(
        (&host["config_wanted"], &host["config_has"]),
        (&serde_json::json!([3]), &serde_json::json!([3]))
    );
    assert!(run.ok(&[]).contains("as wanted"));
}

fn hosts_retire(run: &Run<'_>) {
    run.ok(&["OLD"]);
    assert_eq!(state_of(run, "old"), "retired");
    run.fails(5, &["nobody"]);
}

fn hosts_revoke(run: &Run<'_>) {
    run.ok(&["old"]);
    assert_eq!(state_of(run, "old"), "revoked");
    run.fails(5, &["nobody"]);
}

fn parse(run: &Run<'_>) {
    let out = run.ok(&[&run.file("kern.log")]);
    assert_eq!(out.lines().count(), 3, "{out}");
    run.fails(5, &[&run.file("no such file")]);
}

fn import(run: &Run<'_>) {
    let file = run.file("more.log");
    fs::write(&file, "2026-11-21T10:00:00Z gw2 kernel: x IN=eth0 OUT= SRC=192.0.2.66 DST=10.0.0.2 PROTO=UDP SPT=1 DPT=53 LEN=9\n")
        .unwrap();
    for _ in 0..2 {
        run.ok(&["-q", &file]);
    }
    assert_eq!(run.scene.server.rows("host:gw2").unwrap().len(), 1, "once");
    run.fails(5, &[&run.file("no such file")]);
    let (ca, token) = (run.of_server("ca.pem"), run.file("wrong.token"));
    for (url, want) in
        [(format!("https://{}", run.scene.server.front()), 4), ("https://127.0.0.1:1".into(), 7)]
    {
        let (code, _, err) = run.elsewhere(&[&file, "--server", &url, "--ca", &ca, "--token-file", &token]);
        assert_eq!(code, want, "{err}");
    }
}

fn imports(run: &Run<'_>) {
    let imports = run.rows(&[]);
    assert_eq!(imports.len(), 2, "{imports:?}");
    assert!(imports.iter().all(|import| import["state"] == "done"), "{imports:?}");
}

fn lake_status(run: &Run<'_>) {
    let status = run.ok(&[]);
    assert!(status.contains("events") && status.contains("counters"), "{status}");
}

/// Other work on the lake is waited for.
fn work(run: &Run<'_>, args: &[&str]) -> String {
    wait_until("the lake to be free", PATIENCE, || {
        let (code, out, err) = run.ends(args);
        assert!(code == 0 || code == 6, "{args:?} ends with {code}: {out}{err}");
        Ok((code == 0).then_some(out))
    })
    .unwrap()
}

fn lake_verify(run: &Run<'_>) {
    work(run, &[]);
    work(run, &["--quick", "-o", "json"]);
}

fn lake_compact(run: &Run<'_>) {
    work(run, &[]);
    assert_eq!(run.scene.server.rows("host:web-01 dport:9").unwrap().len(), 20);
}

fn lake_hold(run: &Run<'_>) {
    run.ok(&["case-7", "host:gw", "--comment", "a test"]);
    let err = run.fails(2, &["case-8", "dprot:1"]);
    assert!(err.contains("^^^^^"), "{err}");
    run.fails(2, &["\u{1b}[2J"]);
}

fn lake_holds(run: &Run<'_>) {
    let holds = run.rows(&[]);
    assert_eq!((holds.len(), &holds[0]["name"]), (1, &Value::from("case-7")), "{holds:?}");
}

fn lake_release(run: &Run<'_>) {
    run.ok(&["case-7"]);
    run.fails(5, &["case-7"]);
}

fn lake_vacuum(run: &Run<'_>) {
    work(run, &["-n"]);
    work(run, &[]);
}

fn lake_retain(run: &Run<'_>) {
    work(run, &["-n"]);
    work(run, &[]);
    assert_eq!(run.scene.server.rows("host:gw").unwrap().len(), 3);
}

fn lake_erase(run: &Run<'_>) {
    work(run, &["192.0.2.66", "-n"]);
    assert_eq!(run.scene.server.rows("host:gw2").unwrap().len(), 1);
    work(run, &["192.0.2.66", "--reason", "a test"]);
    assert_eq!(run.scene.server.rows("host:gw2").unwrap().len(), 0);
    run.fails(2, &["nobody"]);
}

fn lake_erasures(run: &Run<'_>) {
    let receipts = run.ok(&["-o", "json"]);
    assert!(receipts.contains("a test") && !receipts.contains("192.0.2.66"), "{receipts}");
}

fn backup(run: &Run<'_>) {
    work(run, &[&run.file("backup")]);
    run.fails(2, &[&run.of_server("backup")]);
}

fn restore(run: &Run<'_>) {
    assert!(run.ok(&[&run.file("backup"), "--check"]).contains("events: "));
    let to = run.file("restored");
    run.ok(&[&run.file("backup"), "--to", &to]);
    assert!(Path::new(&to).join("lake/events/_delta_log").is_dir());
    let err = run.fails(1, &[&run.file("backup"), "--to", &to]);
    assert!(err.contains("empty"), "{err}");
}

fn prefix_test(run: &Run<'_>) {
    let told = run.ok(&["[WAN_LOCAL-default-D]"]);
    assert!(told.contains("drop"), "{told}");
}

fn prefix_list(run: &Run<'_>) {
    assert!(run.rows(&[]).len() > 5);
}

fn enrich_status(run: &Run<'_>) {
    run.ok(&[]);
}

fn enrich_sets(run: &Run<'_>) {
    assert!(run.ok(&[]).contains("home"));
}

fn enrich_lookup(run: &Run<'_>) {
    let found = run.rows(&["127.0.0.9", "2001:db8::1"]);
    assert_eq!((found.len(), &found[0]["sets"][0]), (2, &Value::from("home")), "{found:?}");
    run.fails(2, &["nobody"]);
}

fn filter_check(run: &Run<'_>) {
    assert_eq!(run.elsewhere(&["DPORT:ssh"]), (0, "dport:22\n".into(), String::new()));
    let (code, out, err) = run.elsewhere(&["dport:22 80"]);
    assert!(code == 2 && out.is_empty() && err.contains("dport:22,80"), "{err}");
}

fn filter_explain(run: &Run<'_>) {
    let (code, out, _) = run.elsewhere(&["-src:private dport:22"]);
    assert!(code == 0 && out.contains("22"), "{out}");
    assert_eq!(run.elsewhere(&["("]).0, 2);
}

fn server(run: &Run<'_>) {
    let config = run.file("other.toml");
    let wrong = format!("{config}:1: listen: `nowhere` is not ADDRESS:PORT");
    fs::write(&config, "listen = \"nowhere\"\n").unwrap();
    let (code, _, err) = run.elsewhere(&["--config", &config]);
    assert!(code == 2 && err.contains(&wrong), "{code}: {err}");
    let dir = run.file("other");
    let text = format!("dir = {dir:?}\nlisten = \"127.0.0.1:0\"\nagents_listen = \"127.0.0.1:0\"\n");
    fs::write(&config, text).unwrap();
    let mut command = bartizan_e2e::process::program(None, "bartizan").unwrap();
    command.args(["server", "--config", &config]);
    let running = Running::start(command, Path::new(&run.file("other.log"))).unwrap();
    wait_until("the other server", PATIENCE, || Ok(Path::new(&dir).join("address").exists().then_some(())))
        .unwrap();
    running.stop().unwrap();
}

fn completion(run: &Run<'_>) {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(run.ok(&[shell]).contains("bartizan"), "{shell}");
    }
    // what bash asks for: hosts that the server knows
    let mut command = run.scene.netns.command(bartizan_e2e::process::binaries().unwrap().join("bartizan"));
    command.args(["--", "bartizan", "search", "host:w"]).env("BARTIZAN_DIR", run.scene.server.dir());
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_COMPLETE_COMP_TYPE", "9");
    command.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_SPACE", "true");
    let output = command.output().unwrap();
    let offered = String::from_utf8_lossy(&output.stdout);
    assert!(offered.contains("host:web-01"), "{offered} {}", String::from_utf8_lossy(&output.stderr));
    run.fails(2, &["tcsh"]);
}

fn man(run: &Run<'_>) {
    assert!(run.ok(&[]).contains(".TH bartizan 1"));
    assert!(run.ok(&["filter"]).contains(".SH VALUES"));
    run.fails(2, &["nothing"]);
}

fn version(run: &Run<'_>) {
    assert_eq!(run.ok(&[]), format!("bartizan {}\n", env!("CARGO_PKG_VERSION")));
    assert!(run.ok(&["--check"]).contains("server "));
    let mut other = run.command(&["--check"]);
    other.arg("--server").arg("https://127.0.0.1:1").arg("--ca").arg(run.of_server("ca.pem"));
    let output = other.output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
}

fn users_add(run: &Run<'_>) {
    let link = run.ok(&["anna", "--role", "analyst", "--scope", "group:web"]);
    assert!(
        link.starts_with("https://") && link.contains("/#/invitation?code=") && link.lines().count() == 1,
        "{link}"
    );
    run.fails(6, &["anna"]);
    run.fails(2, &["no good"]);
    run.fails(2, &["berta", "--role", "emperor"]);
    let err = run.fails(2, &["berta", "--scope", "dport:22"]);
    assert!(err.contains("dport"), "a scope is of fields that every table has: {err}");
}

fn users_list(run: &Run<'_>) {
    let users = run.rows(&[]);
    let anna = users.iter().find(|user| user["name"] == "anna").unwrap();
    assert_eq!(
        (&anna["role"], &anna["scope"]),
        (&Value::from("analyst"), &Value::from("group:web")),
        "{users:?}"
    );
}

fn users_change(run: &Run<'_>) {
    run.ok(&["anna", "--role", "viewer", "--payload", "--disabled=false"]);
    run.fails(5, &["nobody"]);
}

fn users_invite(run: &Run<'_>) {
    assert!(run.ok(&["anna"]).contains("/#/invitation?code="));
    run.fails(5, &["nobody"]);
}

fn users_rm(run: &Run<'_>) {
    run.ok(&["anna"]);
    run.fails(5, &["anna"]);
}

fn access_make(run: &Run<'_>) {
    let token = run.ok(&["backup", "--role", "viewer", "--days", "30", "--comment", "for backups"]);
    assert!(token.starts_with("bartizan_") && token.lines().count() == 1, "{token}");
    run.fails(6, &["backup"]);
    run.fails(2, &["no good"]);
}

fn access_list(run: &Run<'_>) {
    let tokens = run.rows(&[]);
    assert_eq!(
        (&tokens[0]["name"], &tokens[0]["comment"]),
        (&Value::from("backup"), &Value::from("for backups"))
    );
}

fn access_revoke(run: &Run<'_>) {
    run.ok(&["backup"]);
    run.fails(5, &["backup"]);
}

fn audit_list(run: &Run<'_>) {
    let added = run.rows(&["--what", "add_user"]);
    assert_eq!((&added[0]["who"], &added[0]["about"]["name"]), (&Value::from("local"), &Value::from("anna")));
    let changed = run.rows(&["--what", "users_change", "-n", "1"]);
    assert_eq!(
        (&changed[0]["old"]["role"], &changed[0]["new"]["role"]),
        (&Value::from("analyst"), &Value::from("viewer"))
    );
    assert!(run.ok(&[]).starts_with("ID"));
    let enrolled = run.rows(&["--what", "enrol"]);
    let web = enrolled.iter().find(|entry| entry["about"]["host"] == "web-01").unwrap();
    assert!(web["who"].as_str().unwrap().starts_with("join token ") && web["address"].is_string(), "{web}");
}

fn audit_verify(run: &Run<'_>) {
    assert!(run.ok(&[]).contains("all whole"));
}
