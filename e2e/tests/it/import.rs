//! `bartizan import` with a real server: exactly once, whoever is killed, however a file is packed and called.

use bartizan_e2e::process::{Server, wait_until};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How long an import of some hundred thousand lines may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Rows are written soon, so that there is something to be lost and something not.
pub(crate) const SETTINGS: &str = "commit.age_ms = 200\n";

/// A server in a folder of its own.
pub(crate) struct Scene {
    pub(crate) server: Server,
    dir: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With settings beside the usual ones.
    pub(crate) fn with(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::new(&dir.path().join("server"), &format!("{SETTINGS}{more}")).unwrap();
        server.start().unwrap();
        Self { server, dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
        self.pattern(name)
    }

    fn pattern(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn run(&self, args: &[&str]) -> Output {
        self.server.cli().unwrap().args(args).output().unwrap()
    }

    /// What an import that ends well says of itself.
    fn import(&self, args: &[&str]) -> Value {
        let (code, summary, err) = self.ends(args);
        assert_eq!(code, 0, "{err}");
        summary
    }

    fn ends(&self, args: &[&str]) -> (i32, Value, String) {
        let output = self.run(&[&["import", "-o", "json"], args].concat());
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default(), err)
    }

    fn count(&self) -> u64 {
        self.server.search_count("").unwrap()
    }

    /// An import that runs.
    fn start(&self, args: &[&str]) -> Child {
        let mut command = self.server.cli().unwrap();
        let err = fs::File::create(self.path("client.log")).unwrap();
        command.args(["import"]).args(args).stdout(Stdio::null()).stderr(err).spawn().unwrap()
    }

    fn wait_for_rows(&self, rows: u64) {
        wait_until("rows of the import", PATIENCE, || Ok((self.count() >= rows).then_some(()))).unwrap();
    }
}

/// Lines from one number to another, each another packet.
pub(crate) fn lines(from: u32, to: u32) -> String {
    lines_to(from, to, |_| "203.0.113.5")
}

/// The same, each to an address of its number.
pub(crate) fn lines_to(from: u32, to: u32, dst: impl Fn(u32) -> &'static str) -> String {
    let mut text = String::new();
    for n in from..to {
        let (second, micro) = (n / 1000, n % 1000);
        let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let [_, b, c, d] = n.to_be_bytes();
        writeln!(
            text,
            "2026-03-04T{hour:02}:{minute:02}:{second:02}.{micro:06}+00:00 gw-1 kernel: [{n:>5}.000000] IN-DROP: IN=eth0 OUT= \
             MAC=02:00:00:00:00:02:02:00:00:00:00:01:08:00 SRC=198.{b}.{c}.{d} DST={} LEN=60 TOS=0x00 PREC=0x00 \
             TTL=64 ID={} DF PROTO=TCP SPT={} DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0",
            dst(n),
            n % 65_536,
            n % 60_000 + 1024,
        )
        .unwrap();
    }
    text
}

fn pack(tool: &str, path: &Path) {
    assert!(Command::new(tool).args(["-q", "-f"]).arg(path).status().unwrap().success(), "{tool}");
    let _ = fs::remove_file(path);
}

#[test]
fn a_rotated_set_of_every_packing_is_imported_once_however_it_changes() {
    let scene = Scene::new();
    let tools = [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst"), ("bzip2", "bz2")];
    let rotated = |n: u32, extension: &str| scene.path(&format!("log/kern.log.{n}.{extension}"));
    scene.file("log/kern.log", &lines(10_000, 12_000));
    scene.file("log/kern.log.1", &lines(8_000, 10_000));
    for (n, (tool, _)) in (2..).zip(tools) {
        let path = scene.path(&format!("log/kern.log.{n}"));
        fs::write(&path, lines((5 - n) * 2000, (6 - n) * 2000)).unwrap();
        pack(tool, &path);
    }
    let pattern = scene.pattern("log/kern.log*");
    let dry = scene.run(&["import", "--dry-run", &pattern]);
    let (out, err) = (String::from_utf8(dry.stdout).unwrap(), String::from_utf8(dry.stderr).unwrap());
    assert!(err.contains("12000 events") && err.contains("of gw-1") && err.contains("dry run"), "{err}");
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["host"], &first["dport"], &first["action"]),
        (&"gw-1".into(), &22.into(), &"drop".into())
    );
    assert_eq!(scene.count(), 0);

    let summary = scene.import(&[&pattern]);
    assert_eq!((&summary["records"], &summary["rows"]), (&12_000.into(), &12_000.into()), "{summary}");
    assert_eq!((&summary["sources"][0]["from"], scene.count()), (&"2026-03-04T00:00:00Z".into(), 12_000));
    let again = scene.import(&[&pattern]);
    assert_eq!((&again["records"], scene.count()), (&0.into(), 12_000), "{again}");

    // logrotate comes by, and something is logged
    for (n, (_, extension)) in (2..).zip(tools).collect::<Vec<_>>().into_iter().rev() {
        fs::rename(rotated(n, extension), rotated(n + 1, extension)).unwrap();
    }
    fs::rename(scene.path("log/kern.log.1"), scene.path("log/kern.log.2")).unwrap();
    pack("gzip", &scene.path("log/kern.log.2"));
    fs::rename(scene.path("log/kern.log"), scene.path("log/kern.log.1")).unwrap();
    scene.file("log/kern.log", &lines(12_000, 12_500));
    let rotated = scene.import(&[&pattern]);
    assert_eq!((&rotated["records"], scene.count()), (&500.into(), 12_500), "{rotated}");
    // and a file grows
    let mut kern = fs::File::options().append(true).open(scene.path("log/kern.log")).unwrap();
    kern.write_all(lines(12_500, 12_600).as_bytes()).unwrap();
    let grown = scene.import(&[&pattern]);
    assert_eq!((&grown["records"], scene.count()), (&100.into(), 12_600), "{grown}");
    assert_eq!(scene.server.duplicates("").unwrap(), 0);

    let list: Value = serde_json::from_str(&scene.server.ask(&["imports", "-o", "json"]).unwrap()).unwrap();
    let states: Vec<_> = list.as_array().unwrap().iter().map(|i| i["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done"; 7]);
}

#[test]
fn a_client_that_is_killed_goes_on_when_it_is_started_again() {
    let scene = Scene::new();
    let (all, mut killed) = (700_000, 0);
    let file = scene.file("kern.log", &lines(0, all));
    for part in [1, 100_000, 300_000] {
        let mut client = scene.start(&[&file]);
        scene.wait_for_rows(part);
        client.kill().unwrap();
        client.wait().unwrap();
        killed += u64::from(scene.count() < u64::from(all));
    }
    assert!(killed > 0, "it was always over before it was killed");
    let summary = scene.import(&[&file]);
    assert_eq!((scene.count(), &summary["sources"][0]["resumed"]), (u64::from(all), &true.into()));
    assert_eq!(scene.server.duplicates("").unwrap(), 0);
}

#[test]
fn a_server_that_is_killed_is_waited_for() {
    let mut scene = Scene::new();
    let all = 700_000;
    let file = scene.file("kern.log", &lines(0, all));
    let mut client = scene.start(&[&file]);
    for part in [1, 200_000] {
        scene.wait_for_rows(part);
        scene.server.kill().unwrap();
        assert!(client.try_wait().unwrap().is_none(), "it was over before the server was killed");
        scene.server.start().unwrap();
    }
    let status = wait_until("the client", PATIENCE, || Ok(client.try_wait()?)).unwrap();
    assert!(status.success(), "{}", fs::read_to_string(scene.path("client.log")).unwrap());
    assert_eq!((scene.count(), scene.server.duplicates("").unwrap()), (u64::from(all), 0));
}

#[test]
fn of_two_clients_one_stops_and_every_row_is_there_once() {
    let scene = Scene::new();
    let all = 400_000;
    let file = scene.file("kern.log", &lines(0, all));
    let mut clients: Vec<_> = (0..2).map(|_| scene.start(&[&file])).collect();
    let codes: Vec<_> = clients.iter_mut().map(|client| client.wait().unwrap().code().unwrap()).collect();
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 6].contains(code)), "{codes:?}");
    assert_eq!((scene.count(), scene.server.duplicates("").unwrap()), (u64::from(all), 0));
}

#[test]
fn lines_that_several_files_have_are_imported_once() {
    let scene = Scene::new();
    let kernel = lines(0, 3000);
    let syslog: String = kernel
        .lines()
        .map(|line| format!("{line}\n2026-03-04T00:00:00.000000+00:00 gw-1 cron[1]: x\n"))
        .collect();
    let (kern, sys) = (scene.file("kern.log", &kernel), scene.file("syslog", &(syslog + &lines(3000, 3100))));
    let ufw = scene.file("ufw.log", &lines(100, 200));
    let dry = scene.import(&["--dry-run", &kern, &sys, &ufw]);
    assert_eq!(dry["skipped"]["the same line in another file"], 3100);
    // the one that is imported first is known when the others come
    assert_eq!(scene.import(&[&ufw])["rows"], 100);
    let summary = scene.import(&[&kern, &sys, &ufw]);
    assert_eq!((scene.count(), &summary["skipped"]["another service"]), (3100, &3000.into()), "{summary}");
    assert_eq!(scene.import(&[&sys, &kern, &ufw])["rows"], 0);
    assert_eq!(scene.count(), 3100);
    // an older copy of a file beside it
    let (old, new) =
        (scene.file("old/fw.log", &lines(5000, 7000)), scene.file("new/fw.log", &lines(5000, 7500)));
    assert_eq!(scene.import(&[&old, &new])["rows"], 2500);
    assert_eq!(scene.count(), 5600);
}

#[test]
fn a_pipe_twice_and_another_file_with_the_same_beginning() {
    let scene = Scene::new();
    let pipe = |text: &str, args: &[&str]| {
        let mut command = scene.server.cli().unwrap();
        command.args(["import", "-", "-o", "json"]).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = text.to_owned();
        let writer = std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert_eq!(pipe(&lines(0, 5000), &[])["rows"], 5000);
    assert_eq!(pipe(&lines(0, 5000), &[])["rows"], 0);
    assert_eq!(pipe(&lines(0, 6000), &[])["rows"], 1000);
    // the first 1024 bytes are equal, what follows is not
    let other = scene.file("other.log", &(lines(0, 20) + &lines(7000, 8000)));
    assert_eq!(scene.import(&[&other])["rows"], 1020);
    assert_eq!(scene.import(&[&other])["rows"], 0);
    assert_eq!(scene.count(), 7020);
    // packed, and whatever it is called
    fs::rename(scene.path("other.log"), scene.path("x")).unwrap();
    pack("zstd", &scene.path("x"));
    assert_eq!(scene.import(&[&scene.pattern("x.zst")])["rows"], 0);
}

#[test]
fn what_is_broken_or_meant_to_break_is_bounded_and_said() {
    let scene = Scene::new();
    scene.file("a.log", &lines(0, 100));
    let long = format!("{}\n{}\0\0\n{}", "y".repeat(16 << 20), lines(200, 201).trim_end(), lines(201, 202));
    scene.file("long.log", &long);
    fs::write(scene.path("bomb.log"), vec![b'x'; 300 << 20]).unwrap();
    pack("gzip", &scene.path("bomb.log"));
    scene.file("cut.log", &lines(1000, 9000));
    pack("gzip", &scene.path("cut.log"));
    let whole = fs::read(scene.path("cut.log.gz")).unwrap();
    fs::write(scene.path("cut.log.gz"), &whole[..whole.len() / 2]).unwrap();
    let files: Vec<_> = ["a.log", "long.log", "bomb.log.gz", "cut.log.gz"].map(|n| scene.pattern(n)).into();
    let files: Vec<_> = files.iter().map(String::as_str).chain(["--max-ratio", "100"]).collect();
    let (code, summary, err) = scene.ends(&files);
    assert_eq!(code, 8, "{err}");
    let unreadable = summary["unreadable"].to_string();
    assert!(unreadable.contains("bomb.log.gz") && unreadable.contains("100 times"), "{unreadable}");
    assert!(unreadable.contains("cut.log.gz"), "{unreadable}");
    let cut = summary["rows"].as_u64().unwrap() - 102;
    assert!((1000..8000).contains(&cut), "{summary}");
    assert_eq!(scene.count(), 102 + cut);
    // when the rest of it is there, the rest of it is imported
    fs::write(scene.path("cut.log.gz"), &whole).unwrap();
    assert_eq!(scene.import(&[&scene.pattern("cut.log.gz")])["rows"], 8000 - cut);
    assert_eq!(scene.count(), 102 + 8000);

    for (args, code, text) in [
        (vec!["/nowhere/*.log"], 5, "there is no file"),
        (vec!["/tmp"], 2, "is a folder"),
        (vec!["--zone", "Mars/Phobos", "/dev/null"], 2, "is not a time zone"),
    ] {
        let (is, _, err) = scene.ends(&args);
        assert!(is == code && err.contains(text), "{args:?} {is} {err}");
    }
    let nobody =
        scene.file("nobody.log", "IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 TTL=1 ID=1 PROTO=2\n");
    let (code, _, err) = scene.ends(&[&nobody]);
    assert!(code == 2 && err.contains("--host NAME"), "{code} {err}");
    assert_eq!(scene.import(&[&nobody, "--host", "old-gw"])["rows"], 1);
    assert_eq!(scene.server.search_count("host:old-gw").unwrap(), 1);
}

#[test]
fn every_format_becomes_rows_of_its_tables() {
    let scene = Scene::new();
    let journal = "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000000000\n_HOSTNAME=gw-j\n_TRANSPORT=kernel\n\
                   MESSAGE=J drop IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 TTL=1 ID=1 PROTO=2\n\n\
                   __CURSOR=s=2\n__REALTIME_TIMESTAMP=1700000000000001\n_HOSTNAME=gw-j\nPRIORITY=6\n\
                   SYSLOG_IDENTIFIER=sshd\nMESSAGE=hello\n\n";
    let journal = scene.file("journal", journal);
    let ulogd = scene.file(
        "ulogd",
        "{\"timestamp\":\"2026-03-04T05:00:43.684529\",\"dvc\":\"Netfilter\",\"oob.prefix\":\"U drop: \",\"oob.hook\":1,\
         \"oob.family\":2,\"ip.protocol\":17,\"src_ip\":\"10.0.0.1\",\"dest_ip\":\"10.0.0.2\",\"src_port\":1,\"dest_port\":53}\n\
         {\"timestamp\":\"2026-03-04T05:00:44\",\"orig.ip.protocol\":6,\"src_ip\":\"10.0.0.1\",\"dest_ip\":\"10.0.0.2\",\
         \"orig.l4.sport\":5,\"orig.l4.dport\":80,\"orig.raw.pktlen\":400,\"orig.raw.pktcount\":4,\"ct.event\":4,\
         \"reply.ip.saddr.str\":\"10.0.0.2\",\"reply.ip.daddr.str\":\"10.0.0.1\"}\n\
         {\"timestamp\":\"2026-03-04T05:00:45\",\"sum.name\":\"http\",\"sum.pkts\":3,\"sum.bytes\":180}\n",
    );
    // one packet of link type NFLOG, with a prefix
    let packet =
        [69, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 3, 232, 0, 53, 0, 8, 0, 0];
    let mut nflog = vec![2, 0, 0, 7, 13, 0, 10, 0];
    nflog.extend(b"P drop: \0\0\0\0");
    nflog.extend([32, 0, 9, 0]);
    nflog.extend(packet);
    let mut pcap = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    let length = u32::try_from(nflog.len()).unwrap();
    for word in [0, 0, 65_535, 239, 1_700_000_000, 5, length, length] {
        pcap.extend(u32::to_le_bytes(word));
    }
    pcap.extend(nflog);
    fs::write(scene.path("x.pcap"), pcap).unwrap();
    let files = [journal.as_str(), &ulogd, &scene.pattern("x.pcap")];
    let (code, _, err) = scene.ends(&files);
    assert!(code == 2 && err.contains("--host NAME"), "{code} {err}");
    let summary = scene.import(&[&files[..], &["--host", "old", "--keep-other", "--zone", "UTC"]].concat());
    let number = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!(
        ["events", "flows", "counters", "lines", "unparsed"].map(number),
        [3, 1, 1, 1, 0],
        "{summary}"
    );
    for (filter, count) in [
        ("host:gw-j", 1),
        ("prefix:\"U drop: \" dport:53 host:old", 1),
        ("prefix:\"P drop: \"", 1),
        ("action:drop", 3),
    ] {
        assert_eq!(scene.server.search_count(filter).unwrap(), count, "{filter}");
    }
    let flows = scene.server.table("flows", "dport:80").unwrap();
    assert_eq!((flows.len(), &flows[0]["host"]), (1, &"old".into()), "{flows:?}");
    assert_eq!(scene.server.table("counters", "").unwrap().len(), 1);
    let again = scene.import(&[&files[..], &["--host", "old", "--keep-other"]].concat());
    assert_eq!(again["rows"], 0, "{again}");
}

#[test]
fn without_a_server_it_says_so_and_a_stop_is_clean() {
    let mut scene = Scene::new();
    let file = scene.file("kern.log", &lines(0, 700_000));
    let mut client = scene.start(&[&file]);
    scene.wait_for_rows(1);
    bartizan_e2e::process::signal(client.id(), "INT").unwrap();
    let status = wait_until("the client to stop", PATIENCE, || Ok(client.try_wait()?)).unwrap();
    let said = fs::read_to_string(scene.path("client.log")).unwrap();
    assert!(status.code() == Some(130) && said.contains("goes on from there"), "{status} {said}");
    scene.import(&[&file]);
    assert_eq!((scene.count(), scene.server.duplicates("").unwrap()), (700_000, 0));
    scene.server.stop().unwrap();
    let (code, _, err) = scene.ends(&[&file]);
    assert!(code == 7 && err.contains("cannot reach the server"), "{code} {err}");
}
