//! `bartizan`: the server, and the command line that asks it.
//!
//! Conventions, held by `tests/cli.rs`:
//! - data on stdout, talk on stderr; a closed pipe ends quietly with 0;
//! - exit codes 0 ok, 1 error, 2 usage or filter syntax, 4 not permitted, 5 not found, 6 conflict, 7 server unreachable,
//!   8 partial result, 130 Ctrl-C ([`failure::Failure`]);
//! - a filter is checked here before anything is sent;
//! - every byte of an event is written by an attacker: nothing reaches a terminal unescaped ([`escape`]).

mod args;
mod client;
mod clock;
mod columns;
mod command;
mod complete;
mod connection;
mod contexts;
mod diff;
mod escape;
mod failure;
mod importing;
mod lines;
mod manual;
mod pcap;
mod render;
mod seen;
mod stream;
mod syntax;
mod told;
mod watch;
mod when;

use args::{Args, Command};
use bartizan_model::Kind;
use clap::{CommandFactory as _, Parser as _};
use failure::Failure;
use std::process::ExitCode;

/// Rows are many small buffers of many threads: with this allocator the server takes a quarter less memory than with that
/// of the C library, whose arenas keep what they once had. It does not ask for huge pages (`no_thp`): buffers of ten
/// thousand connections are for the most part never touched, and in huge pages all of them would be there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A shell that asks what may stand somewhere is answered, and nothing else is done.
    clap_complete::CompleteEnv::with_factory(Args::command).complete();
    let args = Args::parse();
    let style = args.style();
    match run(args) {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(style.colour_stderr);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    let style = args.style();
    let connection = args.connection;
    match args.command {
        Command::Server(server) => command::server(server, connection.dir),
        Command::Import(import) => importing::import(&connection, *import, style),
        Command::Imports(imports) => client::block_on(command::imports(&connection, &imports, style))?,
        Command::Parse(parse) => command::parse(parse, style),
        Command::Prefix(prefix) => command::prefix(prefix, style),
        Command::Filter(filter) => command::filter(&filter),
        Command::Completion { shell } => command::completion(shell),
        Command::Man { page, to } => command::man(&page, to.as_deref()),
        Command::Version { check } => command::version(&connection, check),
        Command::Watch(args) => watch::watch(&connection, &args, style),
        Command::Top(top) => client::block_on(command::top(&connection, top, style))?,
        Command::Views { command } => client::block_on(command::views(&connection, command, style))?,
        Command::Groups(asked) => client::block_on(command::groups(&connection, asked.output, style))?,
        Command::Sets(asked) => {
            let sets = args::EnrichCommand::Sets(asked);
            client::block_on(command::enrich(&connection, sets, style))?
        }
        Command::Queries { command } => client::block_on(command::queries(&connection, command, style))?,
        Command::Login(login) => client::block_on(command::login(&connection, login))?,
        Command::Context { command } => command::context(command, style),
        Command::Doctor(doctor) => client::block_on(command::doctor(&connection, doctor, style))?,
        Command::Search(search) => client::block_on(command::search(&connection, search, style))?,
        Command::Hist(hist) => client::block_on(command::hist(&connection, hist, style))?,
        Command::Flows(ask) => client::block_on(command::rows(&connection, Kind::Flows, ask, style))?,
        Command::Counters(ask) => client::block_on(command::rows(&connection, Kind::Counters, ask, style))?,
        Command::Rules(rules) => client::block_on(command::rules(&connection, rules, style))?,
        Command::Show(show) => client::block_on(command::show(&connection, show, style))?,
        Command::Export(export) => client::block_on(command::export(&connection, export, style))?,
        Command::Sql(sql) => client::block_on(command::sql(&connection, sql, style))?,
        Command::Tail(tail) => client::block_on(command::tail(&connection, tail, style))?,
        Command::Hosts(hosts) => client::block_on(command::hosts(&connection, hosts.command(), style))?,
        Command::Senders(senders) => client::block_on(command::senders(&connection, &senders, style))?,
        Command::Enrich(enrich) => client::block_on(command::enrich(&connection, enrich, style))?,
        Command::Unparsed(unparsed) => client::block_on(command::unparsed(&connection, unparsed, style))?,
        Command::Lines(ask) => client::block_on(command::rows(&connection, Kind::Lines, ask, style))?,
        Command::Losses(losses) => client::block_on(command::losses(&connection, losses, style))?,
        Command::Lake(lake) => client::block_on(command::lake(&connection, lake, style))?,
        Command::Backup(backup) => client::block_on(command::backup(&connection, backup, style))?,
        Command::Restore(restore) => client::block_on(command::restore(restore))?,
        Command::Users(users) => client::block_on(command::users(&connection, users, style))?,
        Command::Access(access) => client::block_on(command::access(&connection, access, style))?,
        Command::Audit(audit) => client::block_on(command::audit(&connection, audit, style))?,
        Command::Authority(command) => client::block_on(command::authority(&connection, command, style))?,
        Command::Config(command) => client::block_on(command::config(&connection, command, style))?,
        Command::Token(token) => client::block_on(command::token(&connection, token, style))?,
    }
}
