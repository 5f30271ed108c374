//! Countries, autonomous systems and sets in the real server, which nobody restarts.

use bartizan_e2e::process::{Server, signal, wait_until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    server: Server,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new(settings: impl Fn(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let mut server = Server::new(&dir.path().join("server"), &settings).unwrap();
        server.start().unwrap();
        Self { server, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Takes one packet from an address into the lake, and says what is known of it.
    fn packet(&self, name: &str, src: &str) -> (Value, Value) {
        let line = format!(
            "2026-11-20T10:00:00Z gw kernel: {name}: IN=eth0 OUT= SRC={src} DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=1 DF PROTO=TCP SPT=40000 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0\n"
        );
        let file = self.path(name);
        fs::write(&file, line).unwrap();
        self.server.ask(&["import", file.to_str().unwrap(), "-q", "--zone", "UTC"]).unwrap();
        let rows = self.server.rows(&format!("prefix:\"{name}: \"")).unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        (rows[0]["src_country"].clone(), rows[0]["src_asn"].clone())
    }

    fn count(&self, filter: &str) -> u64 {
        self.server.search_count(filter).unwrap()
    }

    fn status(&self, of: &str) -> Vec<Value> {
        let text = self.server.ask(&["enrich", of, "-o", "ndjson"]).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn countries_systems_and_sets_follow_their_files_while_the_server_runs() {
    let made_up = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/enrich/tests/data/made-up.mmdb");
    let scene = Scene::new(|dir| {
        fs::write(dir.join("blocked"), "192.0.2.7 # one of them\n").unwrap();
        fs::write(dir.join("asn.tsv"), "203.0.113.0\t203.0.113.255\t64510\tSE\tBeside\n").unwrap();
        fs::copy(&made_up, dir.join("data.mmdb")).unwrap();
        format!(
            "commit.age_ms = 200\n[enrich]\nfiles = [{:?}, {:?}]\n[sets]\noffice = [\"192.0.2.128/25\"]\nblocked = [{:?}]\n",
            dir.join("data.mmdb"),
            dir.join("asn.tsv"),
            dir.join("blocked"),
        )
    });
    assert_eq!(scene.packet("one", "192.0.2.7"), ("NL".into(), 64500.into()));
    assert_eq!(scene.packet("two", "192.0.2.200"), ("DE".into(), 64501.into()));
    assert_eq!(scene.packet("three", "203.0.113.9"), ("SE".into(), 64510.into()), "the second file");
    assert_eq!(scene.packet("four", "10.1.1.1"), (Value::Null, Value::Null));
    assert_eq!(scene.count("src.country:nl,se"), 2);
    assert_eq!(scene.count("src.asn:AS64500-AS64501"), 2);
    assert_eq!(scene.count("-src.country:*"), 1);
    assert_eq!(scene.count("src:@office"), 1);
    assert_eq!(scene.count("src:@blocked OR src:@OFFICE"), 2);

    let found = scene.server.ask(&["enrich", "lookup", "192.0.2.200", "::1", "-o", "json"]).unwrap();
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found[0]["as_name"], "Second Net");
    assert_eq!(found[0]["sets"], serde_json::json!(["office"]));
    assert_eq!(found[1]["country"], Value::Null);
    let files = scene.status("status");
    assert_eq!(files[0]["kind"], "Bartizan-Made-Up-Country-ASN");
    assert_eq!(files[0]["date"].as_str().unwrap().get(..10), Some("2026-11-26"));

    // Both files change; what is in the lake already stays what it was.
    fs::write(scene.path("new"), "192.0.2.0\t192.0.2.255\t64999\tFI\tMoved\n").unwrap();
    fs::rename(scene.path("new"), scene.path("data.mmdb")).unwrap();
    fs::write(scene.path("blocked"), "10.1.1.1\n203.0.113.0/24\n").unwrap();
    wait_until("the new data to count", PATIENCE, || {
        let changed = scene.status("status")[0]["kind"] == "ranges";
        Ok((changed && scene.status("sets")[0]["ranges"] == 2).then_some(()))
    })
    .unwrap();
    assert_eq!(scene.packet("five", "192.0.2.7"), ("FI".into(), 64999.into()));
    assert_eq!(scene.count("src:192.0.2.7 src.country:NL"), 1);
    assert_eq!(scene.count("src:@blocked"), 2);

    // A file that is damaged is said, and changes nothing.
    fs::write(scene.path("data.mmdb"), "<html>404</html>\n").unwrap();
    wait_until("the damage to be seen", PATIENCE, || {
        Ok(scene.status("status")[0]["problem"].as_str().map(str::to_owned))
    })
    .unwrap();
    assert_eq!(scene.packet("six", "192.0.2.8"), ("FI".into(), 64999.into()));
}

#[test]
fn sets_and_files_of_the_configuration_change_with_sighup_and_a_wrong_one_changes_nothing() {
    let mut scene = Scene::new(|_| "commit.age_ms = 200\n[sets]\noffice = [\"192.0.2.0/24\"]\n".into());
    scene.packet("one", "192.0.2.7");
    assert_eq!(scene.count("src:@office"), 1);
    let config = scene.server.dir().join("server.toml");
    let text = fs::read_to_string(&config).unwrap();
    let pid = scene.server.running().unwrap().id();
    let names = |scene: &Scene| -> Vec<String> {
        scene.status("sets").iter().map(|set| set["name"].as_str().unwrap().to_owned()).collect()
    };

    fs::write(&config, text.replace("192.0.2.0/24", "192.0.2.0/99")).unwrap();
    signal(pid, "HUP").unwrap();
    let log = scene.server.dir().join("server.log");
    wait_until("the refusal", PATIENCE, || {
        Ok(fs::read_to_string(&log)?.contains("sets.office: `192.0.2.0/99` is no address").then_some(()))
    })
    .unwrap();
    assert_eq!(scene.count("src:@office"), 1);

    fs::write(
        &config,
        text.replace("office = [\"192.0.2.0/24\"]", "home = [\"192.0.2.7\"]\nall = [\"@home\"]"),
    )
    .unwrap();
    signal(pid, "HUP").unwrap();
    wait_until("the new sets", PATIENCE, || Ok((names(&scene) == ["all", "home"]).then_some(()))).unwrap();
    assert_eq!(scene.count("src:@all"), 1);
    let output = scene.server.cli().unwrap().args(["search", "src:@office"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("unknown set `@office` (known: @all @home)"), "{told}");
}
