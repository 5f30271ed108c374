//! Numbers for Prometheus: of the server and of each agent, in a form that promtool takes, and rules that it takes.

use crate::scene::{PORT, Scene, possible};
use bartizan_e2e::netns::NetNs;
use bartizan_e2e::process::{Server, binaries, wait_until};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The page as a scraper gets it.
pub(crate) fn metrics(server: &Server, netns: Option<&NetNs>) -> String {
    let dir = server.dir();
    let python = binaries().unwrap().parent().unwrap().join("python/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/operations.py");
    let mut command = match netns {
        Some(netns) => netns.command(python.to_str().unwrap()),
        None => Command::new(python),
    };
    command.arg(script).arg("metrics").arg(server.front().to_string());
    command.arg(dir.join("ca.pem")).arg(dir.join("admin.token"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn number(page: &str, sample: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
}

#[test]
fn agents_tell_what_waits_and_promtool_takes_it() {
    if !possible() {
        return;
    }
    let scene = Scene::new("prometheus", "counters.interval_secs = 1", "commit.age_ms = 200");
    scene.send(PORT, 200, 0);
    scene.wait_for_rows("", 200, Duration::from_secs(30));
    let of = |page: &str, name: &str| number(page, &format!("bartizan_host_{name}{{host=\"web-01\"}} "));
    let page = metrics(&scene.server, Some(&scene.netns));
    assert_eq!(of(&page, "events_total"), Some(200.0), "{page}");
    assert_eq!(of(&page, "lost_total"), Some(0.0));
    assert!(of(&page, "events_rate").is_some_and(|rate| rate > 0.0), "{page}");
    assert!(of(&page, "spool_bytes").is_some_and(|bytes| bytes > 0.0), "{page}");
    assert!(of(&page, "contact_age_seconds").is_some_and(|age| age < 60.0), "{page}");
    let page = wait_until("nothing to wait", Duration::from_secs(30), || {
        let page = metrics(&scene.server, Some(&scene.netns));
        Ok((of(&page, "spool_batches") == Some(0.0)).then_some(page))
    })
    .unwrap();
    assert_eq!(of(&page, "spool_oldest_seconds"), Some(0.0));
    // the same in the list of hosts
    let host = scene.server.hosts().unwrap().into_iter().find(|host| host["name"] == "web-01").unwrap();
    assert_eq!((&host["spool_batches"], &host["spool_oldest"]), (&0.into(), &serde_json::Value::Null));
    assert!(host["spool_bytes"].as_u64().unwrap() > 0 && host["version"].is_string(), "{host}");

    let mut promtool = Command::new("promtool");
    let mut promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success(), "{page}");
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/prometheus/bartizan.rules.yml");
    assert!(Command::new("promtool").args(["check", "rules"]).arg(rules).status().unwrap().success());
}
