//! Text that an attacker put into events: escapes for terminals, and cells that a spreadsheet would run.

use crate::import::Scene;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// Prefixes as a hostile ruleset or sender could have them.
const PREFIXES: &[&str] = &[
    "=1+1\u{1b}[31mred\u{7} ",
    "@SUM(A1)\r\n\u{202e}evil ",
    "-2+3\u{9b}2J ",
    "+cmd|' /C calc'!A0 ",
    "\tx\u{1b}]0;title\u{7}",
    "\r\u{1b}[2K\u{1b}[1Aok\u{2028}",
];

/// What shows rows, and in which forms.
const SHOWS: &[(&[&str], &[&str])] = &[
    (&["search", "host:gw", "--columns", "prefix,in_if,raw"], &["table", "json", "ndjson", "csv"]),
    (&["search", "host:gw", "--by", "prefix"], &["table", "json", "ndjson", "csv"]),
    (&["top", "prefix"], &["table", "json", "ndjson", "csv"]),
    (&["hist", "--by", "prefix"], &["table", "json", "ndjson", "csv"]),
    (
        &["sql", "SELECT prefix, in_if, raw, 1 AS \"=\u{1b}[2J\" FROM events"],
        &["table", "json", "ndjson", "csv"],
    ),
    (&["export", "host:gw"], &["ndjson", "csv", "logemu"]),
    (&["unparsed"], &["table", "json", "ndjson", "csv"]),
    (&["lines"], &["table", "json", "ndjson", "csv"]),
    (&["export", "--table", "lines"], &["ndjson", "csv"]),
    (&["imports"], &["table", "json", "ndjson", "csv"]),
    (&["queries", "list"], &["table", "json", "ndjson", "csv"]),
];

fn scene() -> Scene {
    let scene = Scene::with("");
    let row = |(n, prefix): (usize, &&str)| {
        let second = format!("2026-11-20T10:00:{n:02}.000000+00:00");
        json!({
            "timestamp": second, "dvc": "gw", "oob.prefix": prefix, "oob.in": "=e\u{1b}[", "oob.out": "",
            "src_ip": "203.0.113.9", "dest_ip": "10.0.0.2", "ip.protocol": 6, "src_port": 1000 + n, "dest_port": 22,
        })
        .to_string()
    };
    let rows: Vec<String> = PREFIXES.iter().enumerate().map(row).collect();
    let events = scene.file("=\u{1b}[2J.json", &(rows.join("\n") + "\n"));
    let text = "2026-11-20T10:00:00Z gw kernel: =\u{1b}[2J IN=eth0 OUT= SRC=203.0.113.9 DST=10.0.0.2 PROTO=Q \u{7}\u{9b}\n\
                2026-11-20T10:00:00Z gw =sshd\u{1b}[1]: =\u{1b}[2J\u{202e}hello\n";
    let lines = scene.file("kern.log", text);
    scene.server.ask(&["import", "-q", "--host", "gw", &events]).unwrap();
    scene.server.ask(&["import", "-q", "--keep-other", &lines]).unwrap();
    scene
}

/// Whether a character may do something to a terminal.
fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// The cells of a CSV text (RFC 4180).
fn cells(text: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' | '\n' if !quoted => cells.push(std::mem::take(&mut cell)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            c => cell.push(c),
        }
    }
    assert!(!quoted && cell.is_empty(), "no CSV: {text:?}");
    cells
}

#[test]
fn hostile_text_is_harmless_in_every_form() {
    let scene = scene();
    // A question that lasts, with hostile text of its own.
    let mut asked = scene.server.cli().unwrap();
    let mut asked = asked
        .args(["tail", "prefix:\"=\u{1b}[2J\""])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for (args, forms) in SHOWS {
        for form in *forms {
            let what = format!("{args:?} -o {form}");
            // to a program
            let out = scene.server.ask(&[*args, &["-o", form]].concat()).unwrap();
            match *form {
                "table" | "json" | "ndjson" => {
                    assert!(!out.chars().any(|c| c != '\n' && acts(c)), "{what}: {out:?}")
                }
                "csv" => {
                    let runs = |cell: &String| cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
                    let cells = cells(&out);
                    assert!(!cells.iter().any(runs), "{what}: {cells:?}");
                }
                _ => {}
            }
            // to a person: `script` gives the program a terminal
            let mut command = scene.server.cli().unwrap();
            command.args(*args).args(["-o", form, "--color", "never"]);
            let words: Vec<String> = std::iter::once(command.get_program())
                .chain(command.get_args())
                .map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''")))
                .collect();
            let output =
                Command::new("script").args(["-qec", &words.join(" "), "/dev/null"]).output().unwrap();
            let out = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{what} on a terminal: {out}");
            assert!(
                !out.chars().any(|c| !matches!(c, '\r' | '\n') && acts(c)),
                "{what} on a terminal: {out:?}"
            );
            assert!(
                !out.replace("\r\r\n", "").replace("\r\n", "").contains('\r'),
                "{what} on a terminal: {out:?}"
            );
        }
    }
    asked.kill().unwrap();
    asked.wait().unwrap();
    // and the text itself is kept as it came
    let rows = scene.server.rows("host:gw prefix:*").unwrap();
    let kept: Vec<&Value> = rows.iter().map(|row| &row["prefix"]).collect();
    assert!(kept.iter().any(|prefix| **prefix == json!(PREFIXES[0])), "{kept:?}");
}
