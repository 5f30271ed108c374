//! Commands that ask nobody, and the one that answers.

use crate::{
    args::{Args, ConnectionArgs, FilterCommand, ServerArgs},
    client::{self, Client},
    connection::Connection,
    escape::for_terminal,
    failure::Failure,
    manual, syntax,
};
use anyhow::Context as _;
use bartizan_model::Kind;
use clap::CommandFactory as _;
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

pub(crate) fn server(args: ServerArgs, dir: Option<PathBuf>) -> Result<(), Failure> {
    let filter = std::env::var("BARTIZAN_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_ansi(false)
        .init();
    let start = || -> anyhow::Result<()> {
        // Before there is a second thread, which would be free.
        let walls = bartizan_server::shut_in(args.config.as_deref(), dir.as_deref())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.context("cannot start the asynchronous runtime")?;
        runtime.block_on(bartizan_server::run(args.config, dir, walls))
    };
    start().map_err(|error| {
        let wrong_settings = error.is::<bartizan_config::ConfigError>()
            || error.is::<bartizan_server::SettingsError>()
            || error.is::<bartizan_prefix::FileError>();
        if wrong_settings { Failure::Usage(format!("{error:#}")) } else { Failure::Error(error) }
    })
}

pub(crate) fn filter(command: &FilterCommand) -> Result<(), Failure> {
    let (FilterCommand::Check(args) | FilterCommand::Explain(args)) = command;
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == args.table).unwrap_or(Kind::Events);
    let filter = syntax::check(kind, &args.filter)?;
    let text = match command {
        FilterCommand::Check(_) => format!("{filter}\n"),
        FilterCommand::Explain(_) => filter.explain(kind),
    };
    // What is quoted of the filter may hold anything.
    let mut out = io::stdout();
    for line in text.lines() {
        writeln!(out, "{}", for_terminal(line))?;
    }
    Ok(())
}

pub(crate) fn completion(shell: clap_complete::Shell) -> Result<(), Failure> {
    // The script asks this program, which knows fields, and hosts and values of the server.
    let shells = clap_complete::env::Shells::builtins();
    let name = shell.to_string();
    let mut script = Vec::new();
    if name == "bash" {
        // Otherwise `dport:22` is three words.
        script.extend_from_slice(b"COMP_WORDBREAKS=${COMP_WORDBREAKS//:}\n");
    }
    let shell = shells.completer(&name).context("this shell is not known")?;
    shell.write_registration("COMPLETE", "bartizan", "bartizan", "bartizan", &mut script)?;
    Ok(io::stdout().write_all(&script)?)
}

pub(crate) fn man(page: &str, to: Option<&Path>) -> Result<(), Failure> {
    match to {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(Args::command(), folder))
                .and_then(|()| std::fs::write(folder.join("bartizan-filter.7"), manual::filter()))
                .with_context(|| format!("cannot write to {}", folder.display()))?;
        }
        None if page == "filter" => io::stdout().write_all(manual::filter().as_bytes())?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut page)?;
            io::stdout().write_all(&page)?;
        }
    }
    Ok(())
}

pub(crate) fn version(args: &ConnectionArgs, check: bool) -> Result<(), Failure> {
    writeln!(io::stdout(), "bartizan {}", env!("CARGO_PKG_VERSION"))?;
    if check {
        let client = Client::new(Connection::find(args)?)?;
        let health = client::block_on(client.get("/api/v1/health"))??;
        let version = health["version"].as_str().unwrap_or("of an unknown version");
        writeln!(io::stdout(), "server {}", for_terminal(version))?;
    }
    Ok(())
}
