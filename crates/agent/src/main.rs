//! `bartizan-agent`: what the firewall of this host logs, to the fleet's server.

use anyhow::Context as _;
use bartizan_agent::{
    Configuration, Damaged, Enrol, EnrolError, Enrolled, Export, NotRunning, SettingsError,
};
use bartizan_config::{ConfigError, Setting};
use clap::{Parser, Subcommand, ValueEnum};
use std::io::Write as _;
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
    /// Join a fleet; a host that has joined already stays as it is
    #[command(visible_alias = "enroll")]
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
        /// Enrol even if this host has joined already: with another token, under another name
        #[arg(long)]
        again: bool,
    },
    /// Capture and send, until stopped
    Run,
    /// Say whether the configuration is right
    Check,
    /// What the running agent says of itself
    Status {
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Try on this system what the agent needs, and what its worker must not be able to do
    Doctor {
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// What waits on this host's disk; also while the agent runs
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// The process without rights; started by `run`
    #[command(hide = true)]
    Worker,
    /// A process without rights that tries its walls; started by `doctor`
    #[command(hide = true)]
    Probe,
}

#[derive(Subcommand)]
enum SpoolCommand {
    /// List lanes and segments
    Ls {
        /// List every record
        #[arg(long)]
        records: bool,
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Check every record; exit code 8 when something is damaged
    Verify {
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Print the rows that wait
    Export {
        /// Which: events, losses, flows, counters, rulesets
        #[arg(long, default_value = "events")]
        kind: String,
        /// How to print them
        #[arg(short, long, value_enum, default_value = "ndjson")]
        output: ExportAs,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportAs {
    Ndjson,
    Arrow,
}

fn main() -> ExitCode {
    bartizan_agent::init_log();
    match run(Args::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the one place where an error is shown")]
            {
                eprintln!("bartizan-agent: {error:#}");
            }
            ExitCode::from(code_of(&error))
        }
    }
}

/// 2: usage, 4: the server refuses, 7: nobody there, 8: damaged, 1: anything else.
fn code_of(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<EnrolError>() {
        return match error {
            EnrolError::Token(_) | EnrolError::Address(_) => 2,
            EnrolError::Refused(_) => 4,
            EnrolError::Unreachable(_) => 7,
        };
    }
    if error.is::<ConfigError>() || error.is::<SettingsError>() {
        2
    } else if error.is::<NotRunning>() {
        7
    } else if error.is::<Damaged>() {
        8
    } else {
        1
    }
}

fn run(args: Args) -> anyhow::Result<u8> {
    let mut arguments = Vec::new();
    if let Some(dir) = &args.dir {
        arguments = vec!["--dir".into(), dir.clone().into_os_string()];
    }
    let flags: Vec<_> =
        args.dir.map(|dir| Setting::flag("dir", dir.display().to_string())).into_iter().collect();
    match args.command {
        Command::Worker => return bartizan_agent::work(flags).map(|()| 0),
        Command::Probe => return bartizan_agent::probe().map(|()| 0),
        _ => {}
    }
    let configuration = Configuration { named: args.config, default: Path::new(CONFIG).into(), flags };
    let mut out = std::io::stdout().lock();
    // these only look
    match args.command {
        Command::Status { output } => {
            let status = bartizan_agent::status(&configuration.dir()?)?;
            match output {
                Output::Json => writeln!(out, "{status:#}")?,
                Output::Table => write!(out, "{}", bartizan_agent::status_table(&status))?,
            }
            return Ok(0);
        }
        Command::Spool(command) => {
            spool(&configuration.dir()?.join("spool"), command, &mut out)?;
            return Ok(0);
        }
        _ => {}
    }
    let settings = configuration.load()?;
    match args.command {
        Command::Run => return bartizan_agent::run(settings, configuration, arguments),
        Command::Check => {
            for path in configuration.paths()? {
                writeln!(out, "{}: good", path.display())?;
            }
        }
        Command::Doctor { output } => {
            let report = bartizan_agent::doctor(&settings)?;
            match output {
                Output::Json => writeln!(out, "{:#}", report.to_json())?,
                Output::Table => write!(out, "{report}")?,
            }
            return Ok(u8::from(!report.is_well()));
        }
        Command::Enrol { server, token, name, replace, again } => {
            let token = if token == "-" { std::io::read_to_string(std::io::stdin())? } else { token };
            let name = match name {
                Some(name) => name,
                None => host_name()?,
            };
            let ask = Enrol {
                dir: &settings.dir,
                server: &server,
                token: token.trim(),
                name: &name,
                replace,
                again,
            };
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
            let enrolled = runtime.block_on(bartizan_agent::enrol(ask))?;
            bartizan_agent::after_enrolment(&settings)?;
            match enrolled {
                Enrolled::New(name) => tracing::info!(name, "this host is part of the fleet"),
                Enrolled::Waiting(name) => {
                    tracing::info!(
                        name,
                        "this host waits for approval: `bartizan hosts approve` at the server"
                    );
                }
                Enrolled::Already(name) => {
                    tracing::info!(name, "this host is part of the fleet already; nothing was changed");
                }
            }
        }
        Command::Worker | Command::Probe | Command::Status { .. } | Command::Spool(_) => {}
    }
    Ok(0)
}

fn spool(dir: &Path, command: SpoolCommand, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    match command {
        SpoolCommand::Ls { records, output } => {
            bartizan_agent::spool_ls(dir, records, output == Output::Json, out)
        }
        SpoolCommand::Verify { output } => bartizan_agent::spool_verify(dir, output == Output::Json, out),
        SpoolCommand::Export { kind, output } => {
            let form = if output == ExportAs::Arrow { Export::Arrow } else { Export::Ndjson };
            bartizan_agent::spool_export(dir, &kind, form, out)
        }
    }
}

fn host_name() -> anyhow::Result<String> {
    let name =
        std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot tell the name of this host")?;
    Ok(name.trim().to_owned())
}
