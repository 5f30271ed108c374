//! The frame of the agent: two processes, what each may do, commands, and a configuration that changes under load.

use crate::scene::{GROUP, MARKER, PORT, Scene, SmallDisk, amount, possible};
use bartizan_e2e::process::{program, signal, wait_until};
use serde_json::Value;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a command of the agent on the scene's configuration: exit code, output, talk.
fn agent(scene: &Scene, args: &[&str]) -> (i32, String, String) {
    let mut command = program(Some(&scene.netns), "bartizan-agent").unwrap();
    let output = command.arg("--config").arg(scene.agent.config()).args(args).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn status(scene: &Scene) -> Value {
    let (code, out, said) = agent(scene, &["status", "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&out).unwrap()
}

fn wait_for_status(scene: &Scene, what: &str, mut done: impl FnMut(&Value) -> bool) -> Value {
    wait_until(what, PATIENCE, || {
        let (code, out, _) = agent(scene, &["status", "-o", "json"]);
        let Ok(status) = serde_json::from_str::<Value>(&out) else { return Ok(None) };
        Ok((code == 0 && done(&status)).then_some(status))
    })
    .unwrap()
}

/// The worker of the scene's agent, as the kernel knows it.
fn worker(scene: &mut Scene) -> u32 {
    let opener = scene.agent.running().unwrap().id();
    wait_until("the worker", PATIENCE, || {
        // the thread that keeps the worker is its parent, and one of the opener's
        let tasks = fs::read_dir(format!("/proc/{opener}/task"))?.flatten();
        let children = tasks.map(|t| fs::read_to_string(t.path().join("children")).unwrap_or_default());
        let mut pids = children.flat_map(|c| c.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        // the opener has others for moments: nft
        let is_worker = |pid: &String| {
            fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0worker\0"))
        };
        Ok(pids.find(is_worker))
    })
    .unwrap()
    .parse()
    .unwrap()
}

fn field(pid: u32, key: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.trim().to_owned()
}

fn reload(scene: &mut Scene) {
    signal(scene.agent.running().unwrap().id(), "HUP").unwrap();
}

fn is_there(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z"))
}

#[test]
fn the_worker_has_no_rights_and_the_opener_few() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("rights", "", "commit.age_ms = 200");
    let opener = scene.agent.running().unwrap().id();
    let worker = worker(&mut scene);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&field(worker, set), 16), Ok(0), "{set}");
    }
    assert_eq!((field(worker, "NoNewPrivs"), field(worker, "Seccomp")), ("1".into(), "2".into()));
    assert_eq!((field(opener, "NoNewPrivs"), field(opener, "Seccomp")), ("1".into(), "2".into()));
    // CAP_NET_ADMIN and CAP_NET_RAW, in every set
    wait_until("the opener to give the rest away", PATIENCE, || {
        Ok((u64::from_str_radix(&field(opener, "CapEff"), 16)? == 0x3000).then_some(()))
    })
    .unwrap();
    assert_eq!(u64::from_str_radix(&field(opener, "CapBnd"), 16), Ok(0x3000));
    scene.send(PORT, 1000, 0);
    assert_eq!(scene.exact().ledger, 0);
    let told = status(&scene);
    assert_eq!(told["sources"][0]["source"], format!("nflog group {GROUP}"));
    assert_eq!(told["connection"]["state"], "connected");
    assert!(told["sandbox"]["gaps"].as_array().unwrap().is_empty(), "{told:#}");
    let (code, out, _) = agent(&scene, &["status"]);
    assert!(code == 0 && out.contains("connected") && out.contains("nflog group 5"), "{out}");
}

#[test]
fn opener_and_worker_die_together() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("together", "", "");
    let first = worker(&mut scene);
    scene.agent.kill().unwrap();
    wait_until("the worker to die with the opener", Duration::from_secs(5), || {
        Ok((!is_there(first)).then_some(()))
    })
    .unwrap();
    scene.start_agent();
    let second = worker(&mut scene);
    signal(second, "KILL").unwrap();
    let running = scene.agent.running().unwrap();
    let ended = wait_until("the opener to end with the worker", PATIENCE, || running.ended()).unwrap();
    assert_eq!(ended.code(), Some(1));
    assert!(running.log_tail().contains("the worker was killed by signal 9"), "{}", running.log_tail());
    let _ = scene.agent.kill();
    let (code, _, said) = agent(&scene, &["status"]);
    assert_eq!(code, 7, "{said}");
    assert!(said.contains("no agent runs on"), "{said}");
}

#[test]
fn the_worker_runs_as_its_user_who_gets_the_directory() {
    if !possible() {
        return;
    }
    let scene = Scene::prepared("user", "user = \"nobody\"", "commit.age_ms = 200");
    // the user has to get there
    let open = |path: &Path| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    };
    open(scene.dir.path());
    let mut scene = scene.up();
    let worker = worker(&mut scene);
    let uid = field(worker, "Uid");
    assert_ne!(uid.split_whitespace().next(), Some("0"), "{uid}");
    scene.send(PORT, 1000, 0);
    assert_eq!(scene.exact().ledger, 0);
    // and it is its own after a restart, too
    scene.agent.stop().unwrap();
    scene.start_agent();
    scene.send(PORT, 1000, 0);
    assert_eq!(scene.exact().ledger, 0);
}

#[test]
fn doctor_proves_the_walls() {
    if !possible() {
        return;
    }
    let scene = Scene::new("doctor", "", "");
    let (code, out, said) = agent(&scene, &["doctor", "-o", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}\n{said}"));
    let lines = report["lines"].as_array().unwrap();
    let missing: Vec<_> = lines.iter().filter(|l| l["state"] == "missing").collect();
    assert!(code == 0 && missing.is_empty(), "{missing:#?}\n{said}");
    let what =
        |text: &str| lines.iter().find(|l| l["what"] == text).unwrap_or_else(|| panic!("{text}: {out}"));
    for wall in [
        "cannot read /etc/shadow",
        "cannot write a file elsewhere",
        "cannot start a program",
        "cannot look into another process",
        "cannot send a signal to another process",
        "cannot open a netlink socket",
        "cannot listen on a TCP port",
        "cannot change a group that it reads",
    ] {
        assert_eq!(what(&format!("the worker {wall}"))["state"], "ok");
    }
    let group = what("nflog group 5")["found"].as_str().unwrap();
    assert!(group.contains("read by the running agent"), "{group}");
    assert!(what("server")["found"].as_str().unwrap().ends_with("answers"));
    // and as a user that is not root's
    scene.agent.configure("groups = [5]\nuser = \"nobody\"").unwrap();
    fs::set_permissions(scene.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
}

#[test]
fn doctor_says_what_is_missing() {
    if !possible() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::prepared("sick", "", "");
    let mut command = program(Some(&scene.netns), "bartizan-agent").unwrap();
    let output = command.args(["doctor", "--dir"]).arg(dir.path()).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.contains("missing   certificate: this host is not enrolled"), "{out}");
    assert!(out.contains("ok        nflog group 5: free"), "{out}");
}

#[test]
fn check_names_file_line_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut command = program(None, "bartizan-agent").unwrap();
        let output = command.args(["check", "--config"]).arg(&path).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check("groups = [5]\n").0, Some(0));
    let (code, said) = check("groups = [5]\n\n[spool]\nmegabytes = 1\n");
    assert_eq!(code, Some(2));
    assert!(said.contains("agent.toml:4: spool.megabytes: 1 is not in"), "{said}");
    let (code, said) = check("[spool]\nwhen_full = \"drop-newest\"\n");
    assert_eq!(code, Some(2));
    assert!(said.contains("agent.toml:2: spool.when_full") && said.contains("refuse-newest"), "{said}");
}

/// F11.
#[test]
fn a_wrong_configuration_is_told_and_the_old_one_goes_on() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("wrong", "", "commit.age_ms = 200");
    scene.send(PORT, 100, 0);
    scene.agent.configure("groups = [5]\n[spool]\nmegabytes = 1").unwrap();
    reload(&mut scene);
    let told = wait_for_status(&scene, "the refusal", |s| s["configuration"]["refused"] == 1);
    let error = told["configuration"]["error"].as_str().unwrap();
    assert!(error.contains("agent.toml:4: spool.megabytes"), "{error}");
    let log = scene.agent.running().unwrap().log_tail();
    assert!(log.contains("the new configuration is wrong; the old one counts"), "{log}");
    scene.alive();
    scene.send(PORT, 100, 0);
    assert_eq!(scene.exact().ledger, 0);
    // and it is wrong for a start as well
    scene.agent.stop().unwrap();
    scene.agent.start(Some(&scene.netns)).unwrap();
    let running = scene.agent.running().unwrap();
    let ended = wait_until("the refusal", PATIENCE, || running.ended()).unwrap();
    assert_eq!(ended.code(), Some(2));
    let _ = scene.agent.kill();
    scene.agent.configure(scene.agent.settings()).unwrap();
    scene.start_agent();
    assert_eq!(scene.exact().ledger, 0);
}

/// F12: nothing is lost and nothing counted twice while the configuration is read anew again and again.
#[test]
fn reloads_under_load_lose_nothing() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("reload", "", "commit.age_ms = 200");
    let flow = scene.flow(5000);
    let reloads = amount(50, 1000);
    for n in 0..reloads {
        // settings of the socket, of the batches, of the spool; and a second group that comes and goes
        let groups = if n % 2 == 0 { "[5, 6]" } else { "[5]" };
        let text = format!(
            "groups = {groups}\n[capture]\nflush_ms = {}\nbatch_rows = {}\nbatch_ms = {}\n[spool]\nmegabytes = {}",
            10 + n % 7 * 10,
            1000 + n % 5 * 1000,
            20 + n % 3 * 50,
            64 + n % 4 * 64,
        );
        scene.agent.configure(&text).unwrap();
        reload(&mut scene);
        let what = format!("reload {}", n + 1);
        wait_for_status(&scene, &what, |s| s["configuration"]["reloads"].as_u64() >= Some(n + 1));
    }
    flow.end();
    scene.alive();
    let told = status(&scene);
    assert_eq!(told["configuration"]["refused"], 0);
    let figures = scene.exact();
    assert_eq!(figures.ledger, 0, "{:?}", scene.server.losses());
}

#[test]
fn systemd_is_told_of_start_progress_reload_and_end() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("systemd", "", "");
    scene.agent.stop().unwrap();
    let place = scene.dir.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = program(Some(&scene.netns), "bartizan-agent").unwrap();
    command.args(["run", "--config"]).arg(scene.agent.config()).env("NOTIFY_SOCKET", &place);
    let running =
        bartizan_e2e::process::Running::start(command, &scene.agent.dir().join("agent.log")).unwrap();
    let wait_for = |word: &str| {
        let mut buf = [0; 1000];
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let len = manager.recv(&mut buf).unwrap();
            let text = String::from_utf8_lossy(&buf[..len]).into_owned();
            if text.starts_with(word) {
                return text;
            }
        }
        panic!("nothing of {word}:\n{}", running.log_tail());
    };
    wait_for("READY=1");
    wait_for("WATCHDOG=1");
    assert!(wait_for("STATUS=").contains("sources"));
    signal(running.id(), "HUP").unwrap();
    assert!(wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    wait_for("READY=1");
    signal(running.id(), "TERM").unwrap();
    wait_for("STOPPING=1");
    running.stop().unwrap_or_else(|e| assert!(e.to_string().contains("cannot send"), "{e}"));
}

#[test]
fn the_spool_is_listed_checked_and_exported_by_anybody_who_asks() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("spool", "", "");
    scene.server.stop().unwrap();
    scene.send(PORT, 5000, 0);
    let export = |scene: &Scene| {
        let (code, out, said) = agent(scene, &["spool", "export"]);
        assert_eq!(code, 0, "{said}");
        out.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()).collect::<Vec<_>>()
    };
    // while it runs
    wait_until("the rows on disk", PATIENCE, || Ok((export(&scene).len() >= 5000).then_some(()))).unwrap();
    let rows = export(&scene);
    assert_eq!(rows.iter().filter(|r| r["dport"] == PORT && r["prefix"] == "udp-drop: ").count(), 5000);
    assert!(rows.iter().any(|r| r["src"] == "127.0.0.1") && rows.iter().any(|r| r["src"] == "::1"));
    let (code, out, said) = agent(&scene, &["spool", "verify"]);
    assert_eq!(code, 0, "{out}{said}");
    let (code, out, _) = agent(&scene, &["spool", "ls", "--records", "-o", "json"]);
    assert_eq!(code, 0);
    let listed: Value = serde_json::from_str(&out).unwrap();
    let events: u64 = listed
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|s| s["records"].as_array().unwrap())
        .filter(|r| r["kind"] == "events")
        .map(|r| r["weight"].as_u64().unwrap())
        .sum();
    assert!(events >= 5000, "{out}");
    // and when it does not
    scene.agent.stop().unwrap();
    assert!(export(&scene).len() >= 5000);
    let segments: Vec<_> = (0..2)
        .flat_map(|lane| {
            fs::read_dir(scene.agent.dir().join("spool").join(lane.to_string())).into_iter().flatten()
        })
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "seg") && fs::metadata(p).unwrap().len() > 2000)
        .collect();
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[1500] ^= 4;
    fs::write(&segments[0], &bytes).unwrap();
    let (code, out, said) = agent(&scene, &["spool", "verify"]);
    assert_eq!(code, 8, "{out}{said}");
    assert!(out.contains("damaged"), "{out}");
}

/// An ext4 on a file of a tmpfs: one that can be broken in the ways that disks break.
struct LoopDisk {
    path: PathBuf,
    device: String,
    below: SmallDisk,
}

impl LoopDisk {
    fn mount(scene: &Scene, on_errors: &str) -> Self {
        let below = scene.dir.path().join("below");
        let disk = SmallDisk::mount(&below, 40);
        let (image, path) = (below.join("image"), scene.agent.dir().join("spool"));
        fs::create_dir_all(&path).unwrap();
        fs::File::create(&image).unwrap().set_len(128 << 20).unwrap();
        // without a journal, and with every table written: only new data needs room below
        run(Command::new("mkfs.ext4")
            .args(["-q", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard"])
            .arg(&image));
        run(Command::new("mount").args(["-o", &format!("loop,errors={on_errors}")]).args([&image, &path]));
        let found = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&path).output().unwrap();
        let device = String::from_utf8(found.stdout).unwrap().trim().replace("/dev/", "");
        Self { path, device, below: disk }
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// F08: the kernel makes the spool's file system read-only after an error.
#[test]
fn rows_still_travel_while_the_spool_is_read_only() {
    if !possible() {
        return;
    }
    let scene = Scene::prepared("readonly", "spool.memory_megabytes = 2", "commit.age_ms = 200");
    let disk = LoopDisk::mount(&scene, "remount-ro");
    let mut scene = scene.up();
    scene.send(PORT, 1000, 0);
    assert_eq!(scene.settle().ledger, 0);
    fs::write(format!("/sys/fs/ext4/{}/trigger_fs_error", disk.device), "1").unwrap();
    scene.send(PORT, 20_000, 20_000);
    let told = wait_for_status(&scene, "the alert", |s| s["spool"]["state"] == "degraded");
    assert!(told["spool"]["error"].as_str().unwrap().contains("Read-only file system"), "{told:#}");
    let log = scene.agent.running().unwrap().log_tail();
    assert!(log.contains("the spool's disk fails; rows wait in memory"), "{log}");
    scene.alive();
    assert_eq!(scene.exact().ledger, 0, "{:?}", scene.server.losses());
}

/// F08: what was written cannot be made durable, and after a while it can.
#[test]
fn rows_still_travel_while_the_disk_gives_errors_and_it_is_used_again_when_it_works() {
    if !possible() {
        return;
    }
    let scene = Scene::prepared("eio", "spool.memory_megabytes = 2", "commit.age_ms = 200");
    let disk = LoopDisk::mount(&scene, "continue");
    let mut scene = scene.up();
    scene.send(PORT, 1000, 0);
    assert_eq!(scene.settle().ledger, 0);
    disk.below.fill(0);
    scene.send(PORT, 100_000, 50_000);
    let told = wait_for_status(&scene, "the alert", |s| s["spool"]["state"] == "degraded");
    // the disk says it late, when what was written is to be made durable
    assert!(told["spool"]["error"].as_str().unwrap().starts_with("cannot sync"), "{told:#}");
    scene.alive();
    // what had been written and not been made durable waits for the disk; what came later travels
    scene.send(MARKER, 10, 0);
    scene.wait_for_rows(&format!("dport:{MARKER}"), 10, Duration::from_secs(60));
    disk.below.empty();
    thread::sleep(Duration::from_secs(2));
    scene.send(PORT, 1000, 0);
    wait_for_status(&scene, "the end of the alert", |s| s["spool"]["state"] == "good");
    assert_eq!(scene.exact().ledger, 0);
    // what is on disk now is as good as before
    scene.server.stop().unwrap();
    scene.send(PORT, 1000, 0);
    thread::sleep(Duration::from_secs(1));
    scene.agent.kill().unwrap();
    scene.start_agent();
    scene.server.start().unwrap();
    assert_eq!(scene.exact().ledger, 0, "{:?}", scene.server.losses());
}

/// `refuse-newest`: what is there stays, what comes is counted.
#[test]
fn a_full_spool_refuses_the_newest_when_it_is_told_to() {
    if !possible() {
        return;
    }
    // small batches: a few thousand fill the spool
    let settings = "spool.megabytes = 16\nspool.when_full = \"refuse-newest\"\ncapture.batch_rows = 8";
    let mut scene = Scene::new("newest", settings, "commit.age_ms = 200");
    scene.server.stop().unwrap();
    scene.send(MARKER, 100, 0);
    thread::sleep(Duration::from_secs(1));
    scene.send(PORT, 200_000, 40_000);
    let told = wait_for_status(&scene, "the losses", |s| !s["losses"].as_array().unwrap().is_empty());
    assert!(told["losses"].as_array().unwrap().iter().any(|l| l["reason"] == "spool full"), "{told:#}");
    scene.server.start().unwrap();
    let figures = scene.exact();
    assert_eq!(scene.server.search_count(&format!("dport:{MARKER}")).unwrap(), 110, "the oldest stay");
    let losses = scene.server.losses().unwrap();
    let full: u64 =
        losses.iter().filter(|l| l["reason"] == "spool full").map(|l| l["count"].as_u64().unwrap()).sum();
    eprintln!("{figures:?}, {full} refused");
    assert!(full > 0, "{losses:?}");
}

/// F20: a second agent on the directory.
#[test]
fn a_second_agent_on_the_directory_is_told_who_has_it() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("twice", "", "");
    let first = scene.agent.running().unwrap().id();
    let (code, _, said) = agent(&scene, &["run"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("is in use by another agent, process {first}")), "{said}");
    scene.alive();
    scene.send(PORT, 100, 0);
    assert_eq!(scene.exact().ledger, 0);
}

/// F09: a backlog is drained with little memory and few files, and live rows do not wait for it.
#[test]
fn a_big_backlog_drains_in_bounded_memory() {
    if !possible() {
        return;
    }
    let mut scene =
        Scene::new("backlog", "capture.batch_rows = 512\nspool.megabytes = 256", "commit.age_ms = 500");
    scene.server.kill().unwrap();
    for _ in 0..amount(4, 40) {
        scene.send(PORT, 250_000, 0);
    }
    thread::sleep(Duration::from_secs(1));
    let waiting = status(&scene);
    let records: u64 =
        waiting["spool"]["lanes"].as_array().unwrap().iter().map(|l| l["records"].as_u64().unwrap()).sum();
    assert!(records > 500, "{waiting:#}");
    scene.server.start().unwrap();
    let worker = worker(&mut scene);
    let (mut most_memory, mut most_files) = (0_u64, 0);
    let mut live = None;
    let drained = wait_until("the backlog to drain", Duration::from_secs(240), || {
        let rss: u64 = field(worker, "VmRSS").split_whitespace().next().unwrap().parse()?;
        most_memory = most_memory.max(rss);
        most_files = most_files.max(fs::read_dir(format!("/proc/{worker}/fd"))?.count());
        let told = status(&scene);
        if live.is_none() && told["connection"]["state"] == "connected" {
            scene.send(MARKER, 2, 0);
            live = Some(Instant::now());
        }
        let lanes = told["spool"]["lanes"].as_array().unwrap().clone();
        Ok(lanes.iter().all(|l| l["records"] == 0).then_some(()))
    });
    drained.unwrap();
    eprintln!("{records} records drained, at most {most_memory} KiB and {most_files} files");
    assert!(most_memory < 64 << 10, "{most_memory} KiB");
    assert!(most_files < 64, "{most_files} files");
    let figures = scene.exact();
    assert!(figures.rows > 0);
}
