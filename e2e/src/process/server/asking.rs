//! What a server is asked, by its command line.

use super::Server;
use crate::process::program;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::process::{Command, Output, Stdio};

impl Server {
    /// The command line, pointed at this server.
    ///
    /// # Errors
    /// When the binaries are not built.
    pub fn cli(&self) -> Result<Command> {
        let mut command = program(self.netns.as_deref(), "bartizan")?;
        command.arg("--dir").arg(&self.dir).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs the command line to its end and returns what it printed.
    ///
    /// # Errors
    /// When it does not end with 0, with what it said.
    pub fn ask(&self, args: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } = self.cli()?.args(args).output().context("run bartizan")?;
        ensure!(
            status.success(),
            "bartizan {args:?} ({status}): {}",
            String::from_utf8_lossy(&stderr).trim()
        );
        String::from_utf8(stdout).context("the output of bartizan")
    }

    /// How many packets the events of a filter stand for: what rules count. Equal ones may be one row.
    ///
    /// # Errors
    /// When the command fails.
    pub fn search_count(&self, filter: &str) -> Result<u64> {
        let count: Value = serde_json::from_str(&self.ask(&["search", filter, "--count", "-o", "json"])?)?;
        count["packets"].as_u64().context("the number of packets")
    }

    /// Every row that passes a filter.
    ///
    /// # Errors
    /// When the command fails.
    pub fn rows(&self, filter: &str) -> Result<Vec<Value>> {
        json_lines(&self.ask(&["search", filter, "-n", "0", "-o", "ndjson"])?)
    }

    /// The same with few columns, for many rows.
    ///
    /// # Errors
    /// When the command fails.
    pub fn rows_of(&self, filter: &str, columns: &str) -> Result<Vec<Value>> {
        json_lines(&self.ask(&["search", filter, "-n", "0", "-o", "ndjson", "--columns", columns])?)
    }

    /// Every row of `flows` or `counters` that passes a filter.
    ///
    /// # Errors
    /// When the command fails.
    pub fn table(&self, table: &str, filter: &str) -> Result<Vec<Value>> {
        json_lines(&self.ask(&[table, filter, "-n", "0", "-o", "ndjson"])?)
    }

    /// How many rows are there more than once, by what names an event: stream, number of its batch, row in it.
    ///
    /// # Errors
    /// When the command fails.
    pub fn duplicates(&self, filter: &str) -> Result<u64> {
        let mut names: Vec<String> =
            self.rows_of(filter, "stream,seq,row")?.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        Ok(names.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64)
    }

    /// Every entry of the ledger.
    ///
    /// # Errors
    /// When the command fails.
    pub fn losses(&self) -> Result<Vec<Value>> {
        json_lines(&self.ask(&["losses", "-o", "ndjson"])?)
    }

    /// All losses together.
    ///
    /// # Errors
    /// When the command fails, or an entry has no count.
    pub fn losses_sum(&self) -> Result<u64> {
        self.losses()?.iter().map(|entry| entry["count"].as_u64().context("an entry without count")).sum()
    }

    /// The hosts as the API lists them.
    ///
    /// # Errors
    /// When the command fails.
    pub fn hosts(&self) -> Result<Vec<Value>> {
        serde_json::from_str(&self.ask(&["hosts", "-o", "json"])?).context("the list of hosts")
    }

    /// A join token for `uses` hosts.
    ///
    /// # Errors
    /// When the command fails.
    pub fn token(&self, uses: u32) -> Result<String> {
        Ok(self.ask(&["token", "create", "--uses", &uses.to_string()])?.trim().to_owned())
    }
}

fn json_lines(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).context("a line of JSON")).collect()
}
