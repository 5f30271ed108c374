//! `bartizan watch` in a real terminal, against a real server that rows come to.

use anyhow::{Context as _, Result};
use bartizan_e2e::process::{Server, binaries, wait_until};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);
const ROWS: usize = 24;
const COLUMNS: usize = 80;

/// What a terminal shows after it got some bytes: enough of one for what ratatui writes.
fn screen(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut cells = vec![vec![' '; COLUMNS]; ROWS];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next() != Some('[') {
                    continue;
                }
                let mut parameters = String::new();
                let last = loop {
                    match chars.next() {
                        Some(c) if c.is_ascii_alphabetic() => break c,
                        Some(c) => parameters.push(c),
                        None => return Vec::new(),
                    }
                };
                let mut numbers = parameters.split(';').map(|n| n.parse::<usize>().unwrap_or(1));
                match last {
                    'H' => {
                        row = numbers.next().unwrap_or(1).saturating_sub(1);
                        column = numbers.next().unwrap_or(1).saturating_sub(1);
                    }
                    'J' => cells = vec![vec![' '; COLUMNS]; ROWS],
                    _ => {}
                }
            }
            '\r' => column = 0,
            '\n' => row += 1,
            c => {
                if let Some(cell) = cells.get_mut(row).and_then(|line| line.get_mut(column)) {
                    *cell = c;
                }
                column += 1;
            }
        }
    }
    cells.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

struct Terminal {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// `script` makes the terminal.
    fn start(server: &Server) -> Result<Self> {
        let program = binaries()?.join("bartizan");
        let command = format!(
            "stty rows {ROWS} cols {COLUMNS}; exec {} --dir {} --utc watch",
            program.display(),
            server.dir().display()
        );
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "script", "-qefc", &command, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env("XDG_CONFIG_HOME", server.dir())
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("run script")?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut out = child.stdout.take().context("its output")?;
        let sink = Arc::clone(&seen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = out.read(&mut buffer) {
                if n == 0 {
                    return;
                }
                sink.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        let keys = child.stdin.take().context("its input")?;
        Ok(Self { child, keys, seen })
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }

    fn wait(&self, what: &str, there: impl Fn(&str) -> bool) -> String {
        let found = wait_until(what, PATIENCE, || {
            let screen = screen(&self.bytes()).join("\n");
            Ok(there(&screen).then_some(screen))
        });
        found.unwrap_or_else(|error| panic!("{error}:\n{}", screen(&self.bytes()).join("\n")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(stream: &mut TcpStream, src: &str, port: u16) {
    let line = format!(
        "<4>{} gw kernel: in \u{1b}[31mdrop: IN=eth0 OUT= SRC={src} DST=10.0.0.2 LEN=60 TOS=0x00 PREC=0x00 TTL=49 ID=1 DF PROTO=TCP SPT=40000 DPT={port} WINDOW=1024 RES=0x00 SYN URGP=0\n",
        stamp()
    );
    stream.write_all(line.as_bytes()).unwrap();
}

/// Now, as syslog has it.
fn stamp() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_person_watches_filters_holds_and_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let settings = "commit.age_ms = 200\n[[collect]]\nkind = \"syslog-tcp\"\naddress = \"127.0.0.1:0\"\n";
    let mut server = Server::new(&dir.path().join("server"), settings).unwrap();
    server.start().unwrap();
    let collector: SocketAddr = wait_until("the collector", PATIENCE, || {
        let text = std::fs::read_to_string(server.dir().join("collect_addresses")).unwrap_or_default();
        Ok(text.split_whitespace().find_map(|word| word.parse().ok()))
    })
    .unwrap();
    let mut sender = TcpStream::connect(collector).unwrap();
    // before anybody looks
    send(&mut sender, "203.0.113.1", 22);
    wait_until("the first row", PATIENCE, || Ok((server.search_count("")? == 1).then_some(()))).unwrap();

    let mut terminal = Terminal::start(&server).unwrap();
    terminal.wait("the row from before", |screen| screen.contains("LIVE") && screen.contains("203.0.113.1"));
    send(&mut sender, "203.0.113.2", 443);
    let live = terminal.wait("a row as it comes", |screen| screen.contains("203.0.113.2"));
    assert!(live.contains("in \\x1"), "what rows hold is harmless:\n{live}");
    terminal.wait("the histogram", |screen| screen.contains("2 packets, most"));

    terminal.press(" ");
    terminal.wait("the pause", |screen| screen.contains("HELD"));
    send(&mut sender, "203.0.113.3", 22);
    let held = terminal.wait("what came meanwhile", |screen| screen.contains("HELD +1 new"));
    assert!(!held.contains("203.0.113.3"), "the display is held:\n{held}");
    terminal.press("G");
    terminal.wait("what was not lost", |screen| screen.contains("LIVE") && screen.contains("203.0.113.3"));

    terminal.press("/dport:22\n");
    let filtered = terminal.wait("the filter", |screen| {
        screen.contains("[dport:22]") && screen.contains("203.0.113.1") && screen.contains("203.0.113.3")
    });
    assert!(!filtered.contains("203.0.113.2"), "{filtered}");
    send(&mut sender, "203.0.113.4", 443);
    send(&mut sender, "203.0.113.5", 22);
    let filtered = terminal.wait("a row that passes", |screen| screen.contains("203.0.113.5"));
    assert!(!filtered.contains("203.0.113.4"), "{filtered}");

    terminal.press("k+");
    terminal.wait("a cell in the filter", |screen| screen.contains("[dport:22] [src:203.0.113.3]"));
    terminal.press("f");
    terminal.wait("facets", |screen| screen.contains("most frequent") && screen.contains("10.0.0.2"));
    terminal.press("f?");
    terminal.wait("the keys", |screen| screen.contains("hold the display"));
    terminal.press("?q");
    let status = wait_until("its end", PATIENCE, || Ok(terminal.child.try_wait()?)).unwrap();
    assert!(status.success(), "{status}");
    let bytes = terminal.bytes();
    let out = String::from_utf8_lossy(&bytes);
    assert!(out.contains("\u{1b}[?1049l"), "the terminal is given back");
    assert!(!out.contains("\u{1b}[31mdrop"), "nothing of a row reached the terminal as it is");
}
