//! `bartizan-agent`: what the firewall of this host logs, to the fleet's server.

use anyhow::Context as _;
use bartizan_agent::{Enrol, Settings, SettingsError, Written};
use bartizan_config::{ConfigError, Setting, load_program};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the configuration is looked for when nothing is said.
const CONFIG: &str = "/etc/bartizan/agent.toml";

/// Sends what the firewall of this host logs to the fleet's server.
#[derive(Parser)]
#[command(name = "bartizan-agent", version, max_term_width = 100)]
struct Args {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where key, certificate and spool live, whatever the configuration says
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Join a fleet
    Enrol {
        /// The server's front port: HOST or HOST:PORT
        #[arg(long, value_name = "HOST")]
        server: String,
        /// The join token that `bartizan token create` printed; `-` reads it from standard input
        #[arg(long, value_name = "TOKEN", env = "BARTIZAN_JOIN_TOKEN", hide_env_values = true)]
        token: String,
        /// The name of this host in the fleet [default: its host name]
        #[arg(long)]
        name: Option<String>,
        /// Take the place of a host that has this name
        #[arg(long)]
        replace: bool,
    },
    /// Capture and send, until stopped
    Run,
}

fn main() -> ExitCode {
    bartizan_agent::init_log();
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the one place where an error is shown")]
            {
                eprintln!("bartizan-agent: {error:#}");
            }
            let usage = error.is::<ConfigError>() || error.is::<SettingsError>();
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    let flags: Vec<_> =
        args.dir.map(|dir| Setting::flag("dir", dir.display().to_string())).into_iter().collect();
    let written: Written = load_program(args.config.as_deref(), Path::new(CONFIG), "BARTIZAN_", &flags)?;
    let settings = Settings::new(written)?;
    // one thread is enough for sending; capturing and recording have their own
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    match args.command {
        Command::Run => runtime.block_on(bartizan_agent::run(settings)),
        Command::Enrol { server, token, name, replace } => {
            let token = if token == "-" { std::io::read_to_string(std::io::stdin())? } else { token };
            let name = match name {
                Some(name) => name,
                None => host_name()?,
            };
            let ask =
                Enrol { dir: &settings.dir, server: &server, token: token.trim(), name: &name, replace };
            let name = runtime.block_on(bartizan_agent::enrol(ask))?;
            tracing::info!(name, "this host is part of the fleet");
            Ok(())
        }
    }
}

fn host_name() -> anyhow::Result<String> {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot tell the name of this host")?;
    Ok(name.trim().to_owned())
}
