//! No secret is in a log, an output, a bundle, or where every user of the machine may look, however much is told.

use crate::scene::{PORT, Scene, possible};
use bartizan_e2e::process::{family, program};
use bartizan_e2e::python::Script;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Of the database that rows are copied to, and of the one that is imported.
const SINK: &str = "sink-pw-4711-violet";
const IMPORT: &str = "import-pw-4712-amber";

fn said_by(command: &mut Command) -> String {
    let output = command.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The lines of a private key that are its own.
fn key(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (_, rest) = text.split_once("PRIVATE KEY-----\n").unwrap();
    // the first line says of what kind it is, as of every key
    let lines = rest.lines().take_while(|line| !line.starts_with('-')).skip(1);
    let lines: Vec<_> = lines.filter(|line| line.len() >= 40).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{}", path.display());
    lines
}

#[test]
fn secrets_are_nowhere_but_where_they_belong() {
    if !possible() {
        return;
    }
    let mut scene = Scene::prepared("secrets", "", "");
    let password = scene.dir.path().join("sink.password");
    fs::write(&password, format!("{SINK}\n")).unwrap();
    let settings = format!(
        "commit.age_ms = 200\n[[sink]]\nname = \"copy\"\nurl = \"postgres://writer@127.0.0.1:1/x\"\npassword_file = {:?}\n",
        password.display().to_string()
    );
    scene.server.configure(&settings);
    scene.server.tell("trace");
    scene.agent.tell("trace");
    scene.server.start().unwrap();
    let (server, front) = (scene.server.dir().to_owned(), scene.server.front());
    let mut outputs = Vec::new();

    // everything that has to do with a secret
    let token = scene.server.token(1).unwrap();
    scene.agent.enrol(Some(&scene.netns), front, &token, "web-01").unwrap();
    scene.start_agent();
    let (address, ca) = (front.to_string(), server.join("ca.pem"));
    let admin = server.join("admin.token");
    let args = ["join", &address, ca.to_str().unwrap(), admin.to_str().unwrap(), "ada"];
    // it dies with the thread that starts it
    let said = scene.netns.run(|| Script::start("people.py", &args)?.finish()).unwrap().unwrap();
    let ada: Value = serde_json::from_str(said.last().unwrap()).unwrap();
    let url = format!("postgres://reader:{IMPORT}@127.0.0.1:1/ulog");
    outputs.push(("import", said_by(scene.server.cli().unwrap().args(["import", &url, "--host", "gw"]))));
    scene.send(PORT, 100, 0);
    scene.settle();

    // everything that tells
    let bundle = scene.dir.path().join("bundle.json");
    let mut doctor = scene.server.cli().unwrap();
    doctor.args(["doctor", "--bundle"]).arg(&bundle).arg("--config").arg(server.join("server.toml"));
    outputs.push(("doctor", said_by(&mut doctor)));
    outputs.push(("bundle", fs::read_to_string(&bundle).unwrap()));
    for args in [
        ["audit", "list"],
        ["users", "list"],
        ["access", "list"],
        ["token", "list"],
        ["lake", "status"],
        ["queries", "list"],
    ] {
        outputs.push((args[0], said_by(scene.server.cli().unwrap().args(args).args(["-o", "json"]))));
    }
    for verb in ["status", "doctor"] {
        let mut command = program(Some(&scene.netns), "bartizan-agent").unwrap();
        outputs.push((verb, said_by(command.args([verb, "--config"]).arg(scene.agent.config()))));
    }
    let mut processes = vec![scene.server.running().unwrap().id()];
    processes.extend(family(scene.agent.running().unwrap().id()));
    assert!(processes.len() >= 3, "server, opener and worker: {processes:?}");
    for id in processes {
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{id}/{file}")).unwrap();
            outputs.push((file, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    scene.agent.stop().unwrap();
    scene.server.stop().unwrap();
    for log in [server.join("server.log"), scene.agent.dir().join("agent.log")] {
        let text = fs::read_to_string(log).unwrap();
        assert!(text.contains("TRACE") || text.contains("DEBUG"), "much is told");
        outputs.push(("log", text));
    }

    let mut secrets: Vec<(&str, String)> = vec![
        ("join token", token.rsplit(['.', '-', '_', ':']).next().unwrap().to_owned()),
        ("token of the administrator", fs::read_to_string(&admin).unwrap().trim().to_owned()),
        ("password of the sink", SINK.to_owned()),
        ("password of the import", IMPORT.to_owned()),
    ];
    for name in ["password", "totp", "session", "access", "invitation"] {
        secrets.push((name, ada[name].as_str().unwrap().to_owned()));
    }
    for path in
        [server.join("authority.key"), server.join("server.key"), scene.agent.dir().join("identity/host.key")]
    {
        secrets.extend(key(&path).into_iter().map(|line| ("private key", line)));
    }
    let mut found = Vec::new();
    for (what, secret) in &secrets {
        assert!(secret.len() >= 16, "{what}: {secret:?} may be anywhere by chance");
        for (place, text) in &outputs {
            for line in text.lines().filter(|line| line.contains(secret)).take(3) {
                found.push(format!("{what} in {place}: {}", line.chars().take(300).collect::<String>()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
