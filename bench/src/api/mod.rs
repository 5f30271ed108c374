//! The HTTP API as programs and people meet it: first rows of a search and facets over a lake of 20 million events,
//! tails while much arrives, and `bartizan watch`.
//!
//! `ask.py` asks over TLS, one question after the other, each filter for the first time; what it measures includes
//! its own work. Rows arrive by the agents' protocol from a sender that has its batches ready ([`load`]).

mod load;

use crate::figure::{Figure, Goal};
use crate::kept;
use crate::machine::{cpu_seconds, median, peak_megabytes, tree};
use anyhow::{Context as _, Result, ensure};
use bartizan_e2e::process::{Server, binaries, wait_until};
use load::{Batches, Sender};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Questions of each kind.
const SEARCHES: &str = "400";
const FACETS: &str = "60";
/// Rows a second that arrive while one looks on, for so many seconds.
const RATE: f64 = 50_000.0;
const SECONDS: u64 = 60;
/// Tails at once; rows that arrive meanwhile at that rate, and as fast as they are taken.
const TAILS: &str = "200";
const STEADY: u64 = 500_000;
/// A filter of each of them: a source port, which few rows have.
const OWN_FILTER: &str = "sport:40{}";
const ROWS: u64 = 4_000_000;
const ROUNDS: usize = 3;
/// Rows a second that `bartizan watch` shows.
const WATCHED: f64 = 20_000.0;

/// `api [LAKE]`: with the lake of the store's bench, or another of the same fleet.
pub(crate) fn run(lake: Option<&Path>, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    match kept::server(lake, "") {
        Ok((_dir, mut server)) => {
            questions(&server, figure)?;
            server.stop()?;
        }
        // Tails need none.
        Err(error) => eprintln!("bartizan-bench: no figures of questions: {error:#}"),
    }
    let batches = Batches::new()?;
    one_tail(&batches, figure)?;
    for (speed, rate, rows) in
        [(format!("{RATE} events/s"), Some(RATE), STEADY), ("full speed".into(), None, ROWS)]
    {
        many_tails(&batches, &speed, rate, rows, figure)?;
    }
    watch(&batches, figure)
}

fn asker(mut command: Command, server: &Server, what: &str, more: &[&str]) -> Result<Child> {
    let file = |name: &str| server.dir().join(name);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/ask.py")).arg(what);
    command.arg(server.front().to_string()).arg(file("ca.pem")).arg(file("admin.token")).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("run ask.py")
}

fn told(child: Child) -> Result<Value> {
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "ask.py failed");
    let last = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    Ok(serde_json::from_slice(last.context("ask.py says nothing")?)?)
}

/// The value below which this part of them lies.
fn part(values: &Value, part: f64) -> f64 {
    let mut values: Vec<f64> = values.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part) as usize;
    values.get(at).or(values.last()).copied().unwrap_or(f64::NAN)
}

fn questions(server: &Server, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let until = crate::fleet::END.0;
    let (since, until) = ((until - 3_600_000_000).to_string(), until.to_string());
    let ask = |what, count| told(asker(Command::new("python3"), server, what, &[&since, &until, count])?);
    let found = ask("search", SEARCHES)?;
    for (at, name, goal) in [(0.5, "p50", 50.0), (0.95, "p95", 150.0)] {
        let name = format!("search, an hour of 20 million, first rows, {name}");
        figure(Figure::new(&name, part(&found["first"], at), "ms", Goal::Under(goal)));
    }
    let found = ask("facets", FACETS)?;
    let name = "facets on 8 fields, all of the hour";
    figure(Figure::new(name, part(&found["whole"], 0.5), "ms", Goal::Under(300.0)));
    let name = "facets on 8 fields, random filters, p95";
    figure(Figure::new(name, part(&found["some"], 0.95), "ms", Goal::Under(300.0)));
    Ok(())
}

/// A server with nothing, and a sender that it knows.
fn fresh() -> Result<(tempfile::TempDir, Server, Sender)> {
    let dir = tempfile::tempdir()?;
    let mut server = Server::new(&dir.path().join("server"), "")?;
    server.start()?;
    let sender = Sender::enrol(&server, &dir.path().join("agent"))?;
    Ok((dir, server, sender))
}

/// Tails that are there; ended, they say what they were told.
struct Tails(Child);

impl Tails {
    fn start(server: &Server, filter: &str, count: &str) -> Result<Self> {
        // Hundreds of readers are on machines of their own. What these have no time for waits in their sockets.
        let mut python = Command::new("nice");
        python.arg("python3");
        let mut child = asker(python, server, "tails", &[filter, count])?;
        let mut ready = String::new();
        // One byte at a time would do; what follows this line comes only after stdin has ended.
        BufReader::new(child.stdout.as_mut().context("the output")?).read_line(&mut ready)?;
        ensure!(ready.trim() == "\"ready\"", "the tails are not there: {ready}");
        Ok(Self(child))
    }

    fn end(mut self) -> Result<Vec<Value>> {
        // the last words of each second
        thread::sleep(Duration::from_secs(3));
        drop(self.0.stdin.take());
        told(self.0)?.as_array().cloned().context("a list of tails")
    }
}

fn one_tail(batches: &Batches, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (_dir, mut server, sender) = fresh()?;
    let tails = Tails::start(&server, batches.filter(), "1")?;
    let sent = sender.send(batches, (RATE * SECONDS as f64) as u64, Some(RATE))?;
    let told = tails.end()?;
    server.stop()?;
    let rows = told[0]["rows"].as_u64().unwrap_or(0);
    let name = format!("tail of {RATE} events/s, matches shown of {}", sent.marked);
    figure(Figure::new(&name, rows as f64, "rows", Goal::Equal(sent.marked as f64)));
    let name = format!("tail of {RATE} events/s, missed and skipped");
    let lost = told[0]["missed"].as_u64().unwrap_or(0) + told[0]["skipped"].as_u64().unwrap_or(0);
    figure(Figure::new(&name, lost as f64, "rows", Goal::Equal(0.0)));
    figure(Figure::new("rows a second that arrived meanwhile", sent.rate(), "rows/s", Goal::None));
    Ok(())
}

/// Nobody looks on; many for the same, which comes once a second; many, each for a source port
/// of its own, of which many come a second.
fn many_tails(
    batches: &Batches,
    speed: &str,
    rate: Option<f64>,
    rows: u64,
    figure: &mut dyn FnMut(Figure),
) -> Result<()> {
    let one = if rate.is_some() { batches.filter() } else { batches.rare_filter() };
    let kinds = [None, Some(one), Some(OWN_FILTER)];
    let mut rates = kinds.map(|_| Vec::new());
    let mut cpu = kinds.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (kind, filter) in kinds.iter().enumerate() {
            let (_dir, mut server, sender) = fresh()?;
            let tails = filter.map(|filter| Tails::start(&server, filter, TAILS)).transpose()?;
            let pid = server.running().context("the server runs")?.id();
            let before = cpu_seconds(pid)?;
            let sent = sender.send(batches, rows, rate)?;
            rates[kind].push(sent.rate());
            cpu[kind].push((cpu_seconds(pid)? - before) * 1e6 / sent.rows as f64);
            tails.map(Tails::end).transpose()?;
            server.stop()?;
        }
    }
    let [without, same, different] = rates.map(median);
    let [cpu_without, cpu_same, cpu_different] = cpu.map(median);
    // What comes at a rate is not slower as long as there is time.
    if rate.is_none() {
        figure(Figure::new(&format!("{speed}, no tail"), without, "rows/s", Goal::None));
    }
    for (what, with, cpu) in [("one filter", same, cpu_same), ("as many filters", different, cpu_different)] {
        let name = format!("{speed}, {TAILS} tails of {what}");
        if rate.is_none() {
            let cost = (1.0 - with / without) * 100.0;
            figure(Figure::new(&format!("{name}, ingest is slower by"), cost, "%", Goal::Under(5.0)));
        }
        let name = format!("{name}, the server's CPU");
        figure(Figure::new(&name, cpu, "s/million", Goal::None).beside("no tail", cpu_without));
    }
    Ok(())
}

fn watch(batches: &Batches, figure: &mut dyn FnMut(Figure)) -> Result<()> {
    let (_dir, mut server, sender) = fresh()?;
    let program: PathBuf = binaries()?.join("bartizan");
    let words =
        format!("stty rows 24 cols 80; exec {} --dir {} watch", program.display(), server.dir().display());
    // `script` gives it a terminal, and reads what it writes.
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &words, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut terminal = terminal.spawn().context("run script")?;
    let pid = wait_until("watch to run", Duration::from_secs(10), || {
        let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Ok(tree(terminal.id()).into_iter().find(|pid| name(pid).trim() == "bartizan"))
    })?;
    thread::sleep(Duration::from_secs(3));
    let half = |seconds: f64| sender.send(batches, (WATCHED * seconds) as u64, Some(WATCHED));
    half(5.0)?;
    let before = cpu_seconds(pid)?;
    let sent = half(20.0)?;
    let share = (cpu_seconds(pid)? - before) / sent.seconds * 100.0;
    let name = format!("watch at {WATCHED} events/s");
    figure(Figure::new(&format!("{name}, CPU"), share, "% of a core", Goal::Under(30.0)));
    figure(Figure::new(&format!("{name}, memory"), peak_megabytes(pid)?, "MB", Goal::Under(80.0)));
    terminal.kill()?;
    terminal.wait()?;
    server.stop()
}
