//! Tails over everything that happens: each event once, whatever became of the connection. A reader that is too slow, as on
//! a machine that has too much to do, is passed over and told by how many rows; so these are counted as well.

use crate::process::{Running, Server, wait_until};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs::{self, File},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

/// What names an event.
const NAME: &str = "stream,seq,row";
/// What a tail may take until it has shown what there is.
const PATIENCE: Duration = Duration::from_secs(90);

/// One that was begun before there was anything to show.
#[derive(Debug)]
pub(super) struct Tail {
    filter: &'static str,
    shown: PathBuf,
    log: PathBuf,
    running: Running,
}

impl Tail {
    /// Begins one, and waits until the server knows it.
    pub(super) fn begin(server: &Server, dir: &Path, name: &str, filter: &'static str) -> Result<Self> {
        let shown = dir.join(format!("{name}.ndjson"));
        let mut command = server.cli()?;
        command.args(["tail", filter, "-o", "ndjson", "--columns", NAME]);
        let before = tails(server)?;
        let log = dir.join(format!("{name}.log"));
        let running = Running::apart(command, &shown, &log)?;
        wait_until("a tail", Duration::from_secs(20), || Ok((tails(server)? > before).then_some(())))?;
        Ok(Self { filter, shown, log, running })
    }

    /// Rows that were shown.
    pub(super) fn rows(&self) -> Result<u64> {
        let mut file = File::open(&self.shown).context("what a tail has shown")?;
        let (mut buffer, mut lines) = (vec![0; 1 << 16], 0);
        loop {
            match file.read(&mut buffer).context("what a tail has shown")? {
                0 => return Ok(lines),
                n => lines += buffer[..n].iter().filter(|byte| **byte == b'\n').count() as u64,
            }
        }
    }

    /// Rows that it was told to have been passed over.
    pub(super) fn skipped(&self) -> Result<u64> {
        let text = fs::read_to_string(&self.log).context("what a tail was told")?;
        let told = |line: &str| line.strip_prefix("-- ")?.split_once(" rows skipped")?.0.parse::<u64>().ok();
        Ok(text.lines().filter_map(told).sum())
    }

    /// Waits until it has shown as many rows as there are, on a quiet server.
    pub(super) fn settle(&mut self, server: &Server) -> Result<u64> {
        ensure!(self.running.ended()?.is_none(), "a tail has ended: {}", self.running.log_tail());
        let text = server.ask(&["search", self.filter, "--count", "-o", "json"])?;
        let count: Value = serde_json::from_str(&text)?;
        let rows = count["rows"].as_u64().context("the number of rows")?;
        let settled = wait_until("a tail", PATIENCE, || {
            let shown = self.rows()? + self.skipped()?;
            ensure!(shown <= rows, "the tail of {:?} has {shown} of {rows} rows", self.filter);
            Ok((shown == rows).then_some(()))
        });
        settled.with_context(|| {
            format!("{:?} and {:?} of {rows}, {}", self.rows(), self.skipped(), self.running.log_tail())
        })?;
        Ok(rows)
    }

    /// Asserts that it has shown each event once, but those that it said to have left out, and that the store has each
    /// once.
    pub(super) fn each_once(&self, server: &Server) -> Result<()> {
        let shown = File::open(&self.shown).context("what a tail has shown")?;
        let mut command = server.cli()?;
        command.args(["search", self.filter, "-n", "0", "-o", "ndjson", "--columns", NAME]);
        let mut child = command.stdout(Stdio::piped()).spawn().context("run bartizan")?;
        let stored = names(child.stdout.take().context("its output")?)?;
        ensure!(child.wait().context("wait for bartizan")?.success(), "not everything could be read");
        let shown = names(shown)?;
        let twice = |names: &HashMap<u64, u32>| names.values().filter(|n| **n > 1).count();
        let (twice_stored, twice_shown) = (twice(&stored), twice(&shown));
        let missed = stored.keys().filter(|name| !shown.contains_key(name)).count();
        let unknown = shown.keys().filter(|name| !stored.contains_key(name)).count();
        let skipped = self.skipped()?;
        ensure!(
            [twice_stored, twice_shown, unknown] == [0; 3] && missed as u64 == skipped,
            "{:?}: {twice_stored} are stored twice, {twice_shown} shown twice, {unknown} not stored, {missed} not shown, \
             of which {skipped} were told",
            self.filter
        );
        Ok(())
    }
}

/// How many the server has.
fn tails(server: &Server) -> Result<usize> {
    let queries: Value = serde_json::from_str(&server.ask(&["queries", "list", "-o", "json"])?)?;
    let queries = queries.as_array().context("a list of queries")?;
    Ok(queries.iter().filter(|query| query["path"] == "tail").count())
}

/// How often each name is there. 64 bits of a hash: of millions of names two fall together once in a million runs.
fn names(from: impl std::io::Read) -> Result<HashMap<u64, u32>> {
    let mut names = HashMap::new();
    for line in BufReader::new(from).lines() {
        let row: Value = serde_json::from_str(&line.context("read rows")?).context("a row")?;
        let mut hasher = DefaultHasher::new();
        for part in NAME.split(',') {
            row[part].to_string().hash(&mut hasher);
        }
        *names.entry(hasher.finish()).or_default() += 1;
    }
    Ok(names)
}
