//! Tasks that are longer than one line: `cargo xtask VERB`, which `make VERB` calls.
//!
//! Depends on nothing heavy, so that it builds in seconds on a machine that has nothing yet. Every verb says
//! what it runs, on stderr, before it runs it.

mod layers;
mod needs;
mod npm;
mod packages;
mod page;
mod shell;

use anyhow::{Result, bail};
use needs::Need;
use shell::{Step, step};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask build             release binaries in target/release/
cargo xtask test              format, lints, layers, all tests: what CI runs
cargo xtask run               the server, and as root the agent of this machine
cargo xtask demo [--seconds N]
cargo xtask bench [NAME]      decode, text, spool, lake, capture, delivery, latency, import, database,
                            syslog, enrich, filter; all without a name
cargo xtask bench store [--events N] [--peers LIST]
                            the store beside others
cargo xtask soak [--seconds N] [--seed N] [--hosts N]
                            a fleet at work while everything fails, half an hour
cargo xtask rounds            the tests again, with many more rounds
cargo xtask fuzz [SECONDS]    every fuzz target, 60 seconds each
cargo xtask page              the web page, into web/dist, if something has changed
cargo xtask python            what tests need of PyPI, into target/python
cargo xtask provider          an identity provider for tests, into e2e/provider/node_modules
cargo xtask client            a client of Flight SQL for tests, into target/flight-sql-client
cargo xtask deny [CHECK...]   licences, sources, what must not be in the tree; advisories only if named
cargo xtask man               manual pages of the built program, into target/man
cargo xtask layers            only the test of the layers
cargo xtask packages [--key KEY] [--bins DIR] [--version V] [--to DIR] [--fast] [--portable]
                            .deb and .rpm, into target/packages; --portable: the agent for old systems
cargo xtask repository [--key KEY] [--to DIR]
                            of them, for apt and dnf, into target/repository
cargo xtask packages-check [--bins DIR | --again]
                            installs, upgrades and removes them in roots of their own";

/// What people get; one build for demo, run and packages.
const PRODUCT: &[&str] = &["build", "--release", "-p", "bartizan", "-p", "bartizan-agent"];
/// The same with what drives it, selected as the tests select it, so that nothing is compiled twice.
const STAGE: &[&str] = &["build", "--release", "--workspace", "--bins"];

/// Binaries, tests, benches and examples: one resolution of features for all of them.
const EVERYTHING: &[&str] = &["build", "--release", "--workspace", "--all-targets"];

/// What of the tree of crates can be looked at without a list from elsewhere.
const TREE: &[&str] = &["bans", "licenses", "sources"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // In one line, and the last one: a backtrace of this program says nothing of the program that failed.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    std::env::set_current_dir(shell::root())?;
    match args.as_slice() {
        ["build"] => build(PRODUCT),
        ["test"] => test(),
        ["run"] => {
            build(STAGE)?;
            shell::stage().arg("run").replace()
        }
        ["demo", rest @ ..] => {
            needs::install(Need::DEMO)?;
            build(STAGE)?;
            shell::stage().arg("demo").args(rest).replace()
        }
        ["bench", names @ ..] => bench(names),
        ["soak", rest @ ..] => {
            needs::install(Need::DEMO)?;
            needs::install(Need::SOAK)?;
            build(STAGE)?;
            Step::new("target/release/bartizan-soak").args(rest).replace()
        }
        ["rounds"] => rounds(),
        ["fuzz", rest @ ..] => fuzz(rest.first().copied().unwrap_or("60")),
        ["deny"] => needs::deny(TREE),
        ["deny", checks @ ..] => needs::deny(checks),
        ["man"] => {
            build(PRODUCT)?;
            Step::new("target/release/bartizan").args(&["man", "--to", "target/man"]).run()
        }
        ["packages", rest @ ..] => packages::packages(rest, || build(PRODUCT)),
        ["repository", rest @ ..] => packages::repository(rest),
        ["packages-check", rest @ ..] => packages::check(rest, || build(PRODUCT)),
        ["layers"] => layers::check(),
        ["page"] => page::build(),
        ["python"] => needs::python(),
        ["client"] => needs::client(),
        ["provider"] => needs::provider(),
        [] | ["help" | "--help" | "-h"] => {
            eprintln!("{HELP}");
            Ok(())
        }
        [verb, ..] => bail!("there is no verb {verb:?}\n{HELP}"),
    }
}

/// The page first: it is part of the server.
fn build(what: &[&str]) -> Result<()> {
    page::build()?;
    step("building (the first time takes a quarter of an hour on two cores, DataFusion most of it)");
    Step::cargo(what).run()
}

/// What fails in seconds comes first.
fn test() -> Result<()> {
    step("formatting");
    Step::cargo(&["fmt", "--all", "--check"]).run()?;
    step("layers");
    layers::check()?;
    needs::install(Need::TEST)?;
    needs::python()?;
    needs::client()?;
    needs::provider()?;
    step("what the tree is made of");
    needs::deny(TREE)?;
    page::build()?;
    page::test()?;
    step("building everything");
    Step::cargo(EVERYTHING).run()?;
    step("tests");
    all_tests("default", false)?;
    Step::cargo(&["test", "--release", "--workspace", "--doc", "--quiet"]).run()?;
    step("lints");
    Step::cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()
}

fn rounds() -> Result<()> {
    needs::install(Need::TEST)?;
    needs::python()?;
    needs::client()?;
    needs::provider()?;
    page::build()?;
    Step::cargo(EVERYTHING).run()?;
    step("tests with many more rounds; this takes hours");
    all_tests("soak", true)
}

/// With nextest if it is there: tests of fleets run one at a time, and a stuck one is ended. Without it, all in
/// one thread.
fn all_tests(profile: &str, soak: bool) -> Result<()> {
    let nextest = Step::cargo(&["nextest", "--version"]).succeeds();
    let tests = if nextest {
        Step::cargo(&["nextest", "run", "--release", "--workspace", "--profile", profile])
    } else {
        step("cargo-nextest is not installed, so this is slower; type: cargo install --locked cargo-nextest");
        Step::cargo(&["test", "--release", "--workspace", "--all-targets", "--", "--test-threads", "1"])
    };
    // Tests that need namespaces skip themselves where there are none; for root that is no excuse.
    let tests = if shell::is_root() { tests.env("BARTIZAN_REQUIRE_NETNS", "1") } else { tests };
    if soak { tests.env("BARTIZAN_SOAK", "1").run() } else { tests.run() }
}

fn bench(names: &[&str]) -> Result<()> {
    needs::install(Need::TEST)?;
    needs::install(Need::BENCH)?;
    // selected as the tests select it, so that nothing is compiled twice
    build(EVERYTHING)?;
    let flood = ["--manifest-path", "bench/flood/Cargo.toml", "--target-dir", "target/flood"];
    Step::cargo(&["build", "--release"]).args(&flood).run()?;
    Step::new("target/release/bartizan-bench").args(names).run()
}

fn fuzz(seconds: &str) -> Result<()> {
    if !Step::cargo(&["fuzz", "--version"]).succeeds() {
        bail!("cargo-fuzz is missing; type: cargo install --locked cargo-fuzz");
    }
    let mut targets = Vec::new();
    for entry in std::fs::read_dir("fuzz/fuzz_targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "rs") {
            targets.extend(path.file_stem().and_then(|s| s.to_str()).map(str::to_owned));
        }
    }
    targets.sort();
    for target in targets {
        step(&format!("fuzzing {target} for {seconds} s"));
        let time = format!("-max_total_time={seconds}");
        // The sanitizer needs flags that a stable compiler takes only in this way.
        Step::cargo(&["fuzz", "run", &target, "--", &time]).env("RUSTC_BOOTSTRAP", "1").run()?;
    }
    Ok(())
}
