//! F49: a whole server, with its people and its hosts, in a backup that was made while it worked, and somewhere else again.

use crate::scene::{PORT, Scene, possible};
use bartizan_e2e::process::{Server, binaries, wait_until};
use bartizan_e2e::python::Script;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// A sender that is promised what is in the spool, and a commit that comes too late for some of it.
const SETTINGS: &str = "commit.age_ms = 300\n[[collect]]\nkind = \"syslog-tcp\"\naddress = \"127.0.0.1:0\"\n";
const LINES: u64 = 500;

fn bartizan(args: &[&str]) -> Output {
    Command::new(binaries().unwrap().join("bartizan")).args(args).output().unwrap()
}

fn people(scene: &Scene, server: &Server, args: &[&str]) -> String {
    let (address, ca) = (server.front().to_string(), server.dir().join("ca.pem"));
    let mut all = vec![args[0], &address, ca.to_str().unwrap()];
    all.extend(&args[1..]);
    // it dies with the thread that starts it
    scene.netns.run(|| Script::start("people.py", &all)?.finish()).unwrap().unwrap().pop().unwrap()
}

/// What the rules of the host with an agent counted, as soon as all of it is there, once, and nothing was lost.
fn settled(scene: &Scene) -> u64 {
    let counted = scene.counted();
    wait_until("every packet", Duration::from_secs(60), || {
        let rows = scene.server.search_count("host:web-01")?;
        assert!(rows <= counted, "{rows} rows of {counted} packets");
        Ok((rows == counted).then_some(()))
    })
    .unwrap();
    assert_eq!((scene.server.losses_sum().unwrap(), scene.server.duplicates("").unwrap()), (0, 0));
    counted
}

/// Every file of a folder, and every folder.
fn each(path: &Path, see: &mut impl FnMut(&Path)) {
    see(path);
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| each(&entry.unwrap().path(), see));
    }
}

#[test]
fn a_whole_server_comes_back_with_its_people_hosts_and_promises() {
    if !possible() {
        return;
    }
    let mut scene = Scene::new("whole", "", SETTINGS);
    let (backup, dir) = (scene.dir.path().join("backup"), scene.dir.path().join("restored"));
    let (to, restored) = (backup.to_str().unwrap(), dir.to_str().unwrap());
    let token = scene.server.dir().join("admin.token").display().to_string();
    let ada = people(&scene, &scene.server, &["join", &token, "ada"]);
    scene.server.ask(&["lake", "hold", "evidence", "dport:9"]).unwrap();
    scene.send(PORT, 2000, 0);
    assert_eq!(settled(&scene), 2000);

    // rows come by agent and by syslog all the time
    let flow = scene.flow(2000);
    let collect = fs::read_to_string(scene.server.dir().join("collect_addresses")).unwrap();
    let collect = collect.trim().split_once(' ').unwrap().1.to_owned();
    let sent = scene.netns.run(|| {
        let mut stream = TcpStream::connect(&collect).unwrap();
        for n in 0..LINES {
            let (id, port) = (n, n + 1);
            writeln!(
                stream,
                "<4>Nov 26 03:00:00 gw kernel: IN-drop: IN=eth0 OUT= SRC=203.0.113.7 DST=198.51.100.7 LEN=60 TOS=0x00 \
                 PREC=0x00 TTL=64 ID={id} DF PROTO=TCP SPT={port} DPT=22 WINDOW=64240 RES=0x00 SYN URGP=0"
            )
            .unwrap();
        }
        stream.flush().unwrap();
        stream
    });
    wait_until("every line", Duration::from_secs(30), || {
        Ok((scene.server.search_count("host:gw")? == LINES).then_some(()))
    })
    .unwrap();
    // seen is durable, and perhaps in the spool only
    scene.server.ask(&["backup", to]).unwrap();
    drop(sent);
    flow.end();
    let before = settled(&scene);
    let audit = scene.server.ask(&["audit", "verify"]).unwrap();
    scene.server.ask(&["backup", to]).unwrap();

    // a secret is for its owner only, and everything is what was written
    let (mut secrets, mut open) = (0, Vec::new());
    each(&backup, &mut |path| {
        let inside = path.strip_prefix(&backup).unwrap();
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o077;
        if inside.starts_with("lake") || inside == Path::new("manifest.json") || inside == Path::new("") {
            return;
        }
        secrets += u32::from(path.is_file());
        if mode != 0 {
            open.push(path.to_owned());
        }
    });
    assert!(secrets > 5 && open.is_empty(), "{secrets} files, of which others may read {open:?}");
    let checked = bartizan(&["restore", to, "--check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stderr));

    // another machine: the first is gone
    scene.server.stop().unwrap();
    let done = bartizan(&["restore", to, "--to", restored]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let again = bartizan(&["restore", to, "--to", restored]);
    assert_eq!(again.status.code(), Some(1), "what is there is not overwritten");
    let kept = fs::read_to_string(dir.join("config/server.toml")).unwrap();
    assert!(kept.contains("syslog-tcp"), "{kept}");

    let addresses = [scene.server.front(), scene.server.agents()];
    let server = Server::listening(&dir, SETTINGS, addresses).unwrap().inside(&scene.netns);
    drop(std::mem::replace(&mut scene.server, server));
    scene.server.start().unwrap();
    assert_eq!(people(&scene, &scene.server, &["back", &ada]), "back");
    assert_eq!(settled(&scene), before, "the agent goes on with its certificate");
    assert_eq!(scene.server.search_count("host:gw").unwrap(), LINES);
    let holds: Value =
        serde_json::from_str(&scene.server.ask(&["lake", "holds", "-o", "json"]).unwrap()).unwrap();
    assert_eq!(holds[0]["name"], "evidence");
    let entries = |text: &str| text.split(" entries, all whole").next().unwrap().parse::<u64>().unwrap();
    let now = scene.server.ask(&["audit", "verify"]).unwrap();
    assert!(entries(&now) > entries(&audit), "the chain is whole and goes on: {audit} {now}");
    scene.send(PORT, 100, 0);
    assert_eq!(settled(&scene), before + 100);

    // one byte of a key
    each(&backup, &mut |path| {
        if path.ends_with("authority.key") {
            let mut bytes = fs::read(path).unwrap();
            bytes[20] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    });
    let checked = bartizan(&["restore", to, "--check"]);
    let said = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(8), "{said}");
    assert!(said.contains("authority.key"), "{said}");
    let other = scene.dir.path().join("other");
    assert_eq!(bartizan(&["restore", to, "--to", other.to_str().unwrap()]).status.code(), Some(1));
}
