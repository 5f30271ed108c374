//! Bartizan on this machine with nothing to set up: `demo` and `run`, which `make` calls.

use anyhow::{Context as _, Result, bail};
use bartizan_e2e::demo::{Demo, demo, inside, run};
use std::process::ExitCode;

const HELP: &str = "bartizan-demo demo [--seconds N] | run";

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["demo"] => end(demo(&Demo::default())?),
        ["demo", "--seconds", seconds] => {
            let seconds =
                seconds.parse().with_context(|| format!("{seconds:?} is not a number of seconds"))?;
            end(demo(&Demo { seconds: Some(seconds) })?)
        }
        ["run"] => run().map(|()| ExitCode::SUCCESS),
        ["inside"] => inside().map(|()| ExitCode::SUCCESS),
        _ => bail!(HELP),
    }
}

fn end(good: bool) -> Result<ExitCode> {
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
