//! A fleet at work while everything fails around it: `make soak`.

use anyhow::{Context as _, Result, bail};
use bartizan_e2e::{
    netns,
    process::binaries,
    signals::asked_to_stop,
    soak::{Plan, soak},
};
use std::{fs, io::Write as _, process::ExitCode, time::Instant};

const HELP: &str = "bartizan-soak [--seconds N] [--seed N] [--hosts N]";

fn main() -> ExitCode {
    // In a few lines, and the last ones: a backtrace of this program says nothing of the program that failed.
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let mut plan =
        Plan { dir: binaries()?.with_file_name("soak"), seconds: 1800, seed: rand::random(), hosts: 4 };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().context(HELP)?;
        let number = || value.parse::<u64>().with_context(|| format!("{arg}: {value:?} is not a number"));
        match arg.as_str() {
            "--seconds" => plan.seconds = number()?,
            "--seed" => plan.seed = number()?,
            "--hosts" => plan.hosts = u8::try_from(number()?).context("too many hosts")?,
            _ => bail!(HELP),
        }
    }
    if let Err(why) = netns::available() {
        bail!(why);
    }
    let stop = asked_to_stop()?;
    if plan.dir.exists() {
        fs::remove_dir_all(&plan.dir).with_context(|| format!("remove {}", plan.dir.display()))?;
    }
    fs::create_dir_all(&plan.dir).with_context(|| format!("make {}", plan.dir.display()))?;
    let began = Instant::now();
    let report = soak(&plan, &stop)?;
    let mut out = std::io::stdout().lock();
    for line in report.lines() {
        writeln!(out, "{line}")?;
    }
    let missed = report.missed();
    if missed.is_empty() {
        eprintln!("== all adds up after {:.0?}, seed {}", began.elapsed(), plan.seed);
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("== too much (seed {}):\n{}", plan.seed, missed.join("\n"));
    Ok(ExitCode::FAILURE)
}
