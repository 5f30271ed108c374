//! The page in a browser: `e2e/browser/NAME.mjs`, run by Node and Debian's Chromium against a real server with a real
//! agent and a syslog sender, all in a namespace of their own.
//!
//! What a person does and sees is in the script. What the script wants of the world outside the browser it says on its
//! standard output, `stage: …`, and goes on when it is answered; [`Stage`] does it.

use crate::scene::{GROUP, PORT, Scene, possible};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::thread;

/// Where the server takes syslog; the namespace has nobody else.
const SYSLOG: &str = "127.0.0.1:601";

/// Where the identity provider of a test is, that the server asks.
const ISSUER: &str = "https://127.0.0.1:9443";

/// A host, a server and whoever looks at the page.
struct Stage {
    scene: Scene,
    settings: String,
    /// What the script is told beside where the server is.
    more: Vec<(&'static str, String)>,
}

impl Stage {
    /// A server that was never used. None where there can be no namespace, or where the program has no page.
    fn new(label: &str) -> Option<Self> {
        if !possible() {
            return None;
        }
        let settings =
            format!("commit.age_ms = 200\n[[collect]]\nkind = \"syslog-tcp\"\naddress = \"{SYSLOG}\"\n");
        let mut scene = Scene::prepared(label, "", &settings);
        scene.server.start().unwrap();
        if !has_page(&scene) {
            eprintln!(
                "not run: this program was built without its page (`cargo xtask page`, and build again)"
            );
            return None;
        }
        Some(Self { scene, settings, more: Vec::new() })
    }

    /// The server lets people in whom an identity provider knows, which the script is.
    fn with_provider(mut self) -> Self {
        let dir = self.scene.dir.path().join("provider");
        std::fs::create_dir_all(&dir).unwrap();
        let now = bartizan_clock::now();
        let authority = bartizan_pki::Authority::create(now).unwrap();
        let own = authority.issue_server(&["127.0.0.1".to_owned()], now, 1).unwrap();
        let secret = "a secret: of the client\n".to_owned();
        for (name, text) in [
            ("ca.pem", &authority.cert_pem()),
            ("cert.pem", &own.chain_pem),
            ("key.pem", &own.key_pem),
            ("secret", &secret),
        ] {
            std::fs::write(dir.join(name), text).unwrap();
        }
        let file = |name: &str| dir.join(name).display().to_string();
        let oidc = format!(
            "[outgoing]\nallow = [\"127.0.0.1/32\"]\nca_file = {:?}\n\
             [oidc]\nname = \"Test ID\"\nurl = \"https://localhost:{}\"\nissuer = \"{ISSUER}\"\nclient_id = \"bartizan\"\n\
             client_secret_file = {:?}\nscopes = [\"profile\", \"groups\"]\n\
             [[oidc.grant]]\ngroup = \"admins\"\nrole = \"admin\"\npayload = true\n\
             [[oidc.grant]]\ngroup = \"dba\"\nrole = \"analyst\"\nscope = \"host:shop-01\"\n",
            file("ca.pem"),
            self.scene.server.front().port(),
            file("secret"),
        );
        self.more = vec![
            ("BARTIZAN_ISSUER", ISSUER.to_owned()),
            ("BARTIZAN_ISSUER_CERT", file("cert.pem")),
            ("BARTIZAN_ISSUER_KEY", file("key.pem")),
        ];
        self.scene.server.stop().unwrap();
        self.scene.server.configure(&format!("{}{oidc}", self.settings));
        self.scene.server.start().unwrap();
        self
    }

    /// Runs a script to its end; panics with all that it said when it fails.
    fn run(mut self, script: &str) {
        let token = std::fs::read_to_string(self.scene.server.dir().join("admin.token")).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser").join(format!("{script}.mjs"));
        let mut child = self
            .scene
            .netns
            .command("setpriv")
            // A browser that hangs is not left behind.
            .args(["--pdeathsig", "KILL", "--", "timeout", "--kill-after=5", "280", "node"])
            .arg(&path)
            .env("NODE_EXTRA_CA_CERTS", self.scene.server.dir().join("ca.pem"))
            .env("BARTIZAN_URL", format!("https://localhost:{}", self.scene.server.front().port()))
            .env("BARTIZAN_TOKEN", token.trim())
            .env("BARTIZAN_SYSLOG", SYSLOG)
            .envs(self.more.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = child.stderr.take().unwrap();
        let complaints = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text)
        });
        let mut answers = child.stdin.take().unwrap();
        let said = self.listen(child.stdout.take().unwrap(), &mut |line| {
            // a script that has ended in the meantime is told of below
            let _ = answers.write_all(line.as_bytes());
        });
        let status = child.wait().unwrap();
        let complaints = complaints.join().unwrap().unwrap();
        assert!(status.success(), "{script} ({status}):\n{said}\n{complaints}");
        eprint!("{said}");
    }

    /// Does what is asked until the script says nothing more; what it said otherwise.
    fn listen(&mut self, output: ChildStdout, answer: &mut dyn FnMut(&str)) -> String {
        let mut rest = String::new();
        for line in BufReader::new(output).lines() {
            let line = line.unwrap();
            if let Some(wish) = line.strip_prefix("stage: ") {
                self.perform(wish);
                answer("done\n");
            } else {
                rest.push_str(&line);
                rest.push('\n');
            }
        }
        rest
    }

    fn perform(&mut self, wish: &str) {
        let words: Vec<&str> = wish.split(' ').collect();
        match *words.as_slice() {
            ["kill"] => self.scene.server.kill().unwrap(),
            ["start"] => self.scene.server.start().unwrap(),
            // the command that the page shows, word for word, and the agent's folder
            ["enrol", "bartizan-agent", "enrol", ref rest @ ..] => {
                let end = rest.iter().position(|word| *word == "&&").unwrap_or(rest.len());
                self.enrol(&rest[..end]);
            }
            // the host joins once more, while its agent runs
            ["again", token] => {
                let mut command =
                    bartizan_e2e::process::program(Some(&self.scene.netns), "bartizan-agent").unwrap();
                let server = self.scene.server.front().to_string();
                command
                    .args(["enrol", "--again", "--server", &server, "--token", token, "--name", "edge-01"]);
                let output = command.arg("--dir").arg(self.scene.agent.dir()).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            ["packets", port, count] => self.scene.send(port.parse().unwrap(), count.parse().unwrap(), 100),
            ["rules", "changed"] => {
                let log = format!("counter log prefix \"udp-refused\" group {GROUP} drop");
                let rules = format!("flush chain inet f input\nadd rule inet f input udp dport {PORT} {log}");
                self.scene.netns.nft(&rules).unwrap();
            }
            _ => panic!("the script wants {wish:?}"),
        }
    }

    fn enrol(&mut self, words: &[&str]) {
        let netns = std::sync::Arc::clone(&self.scene.netns);
        let mut command = bartizan_e2e::process::program(Some(&netns), "bartizan-agent").unwrap();
        let output =
            command.arg("enrol").args(words).arg("--dir").arg(self.scene.agent.dir()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        self.scene.start_agent();
    }
}

/// Whether the program was built with its page.
fn has_page(scene: &Scene) -> bool {
    let mut curl = scene.netns.command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--output", "/dev/null", "--cacert"]);
    curl.arg(scene.server.dir().join("ca.pem")).arg(format!("https://{}/", scene.server.front()));
    curl.status().unwrap().success()
}

fn plays(script: &str) {
    if let Some(stage) = Stage::new(script) {
        stage.run(script);
    }
}

#[test]
fn the_page_loads_and_signs_in_by_the_link() {
    plays("loads");
}

#[test]
fn a_host_is_enrolled_and_its_rule_is_read_as_it_was() {
    plays("enrol");
}

#[test]
fn a_day_at_the_explorer_counts_what_the_server_counts() {
    plays("explore");
}

#[test]
fn numbers_beside_the_explorer_are_those_of_their_filters() {
    plays("numbers");
}

#[test]
fn the_keyboard_is_enough() {
    plays("keyboard");
}

#[test]
fn a_tail_under_load_and_over_a_killed_server_shows_every_row_once() {
    plays("tail");
}

#[test]
fn texts_of_strangers_are_texts() {
    plays("hostile");
}

#[test]
fn a_person_is_invited_may_what_the_role_may_and_is_sent_away() {
    plays("people");
}

#[test]
fn people_of_an_identity_provider_come_in_with_what_their_groups_give() {
    if let Some(stage) = Stage::new("oidc") {
        stage.with_provider().run("oidc");
    }
}

#[test]
fn nothing_serious_stands_in_anybody_s_way() {
    plays("axe");
}

#[test]
fn the_page_weighs_what_it_may() {
    plays("budget");
}
