//! What may be written on the command line. Help, man pages and completions are made from this.

mod ask;
mod fleet;
mod kept;
mod lake;
mod people;
mod work;

pub(crate) use ask::{
    AskArgs, ExportArgs, ExportFormat, HistArgs, LossesArgs, RangeArgs, RulesArgs, SearchArgs, ShowArgs,
    SqlArgs, TailArgs, TopArgs, UnparsedArgs, WatchArgs,
};
pub(crate) use fleet::{AuthorityCommand, ConfigCommand, FleetArgs, HostsArgs, HostsCommand, TokenCommand};
pub(crate) use kept::{ContextCommand, LoginArgs, QueriesCommand, ViewsCommand};
pub(crate) use lake::{BackupArgs, LakeCommand, Output, RestoreArgs};
pub(crate) use people::{AccessCommand, AuditArgs, AuditCommand, May, UsersCommand};
pub(crate) use work::{
    DoctorArgs, EnrichCommand, FilterCommand, ImportArgs, ImportOutput, ParseArgs, ParseFormat, ParseOutput,
    PrefixCommand, ServerArgs,
};

use crate::complete;
use crate::render::Style;
use ask::SQL_HELP;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use std::{io::IsTerminal as _, path::PathBuf};

const EXAMPLES: &str = "\
Examples:
  bartizan search 'dport:22 action:drop' --since 1h
  bartizan search 'src:203.0.113.0/24 -host:web*' --since today -o csv > today.csv
  bartizan search 'action:drop' --since 1d --by src,dport --top 20
  bartizan search '2001:db8::/32 OR 198.51.100.7' --count
  bartizan hist 'action:drop host:web-01' --since 1d --bucket 15m
  bartizan tail 'proto:tcp flags:syn -flags:ack'
  bartizan watch action:drop
  bartizan top src,dport action:drop --since 1d --compare
  bartizan flows 'dport:443 src:10.0.0.0/8' --since 1h --by src
  bartizan counters host:web-01 --since 1d --by object
  bartizan rules web-01 --at yesterday
  bartizan rules web-01 --hits --since 30d
  bartizan show 07070707070707070707070707070707/0/000000000000feed/42/7
  bartizan export 'host:web-01' --since 1d -o parquet --to web-01.parquet
  bartizan sql 'SELECT host, count(*) FROM events GROUP BY host'
  bartizan parse /var/log/kern.log* > packets.ndjson
  bartizan prefix test '[WAN_LOCAL-default-D]'
  bartizan import '/var/log/kern.log*' --dry-run
  bartizan unparsed host:gw --since 1d
  bartizan enrich lookup 192.0.2.7
  bartizan token create --uses 10 --ttl 1h

Exit codes:
  0 ok, 1 error, 2 usage or filter syntax, 4 not permitted, 5 not found, 6 conflict,
  7 server unreachable, 8 partial result, 130 stopped by Ctrl-C";

/// Watches the firewalls of a fleet from one place.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// When to use colour; NO_COLOR and TERM=dumb turn it off
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub(crate) color: Colour,
    /// Show times in UTC instead of local time
    #[arg(long, global = true)]
    pub(crate) utc: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach the server. On the server's own machine nothing of this is needed.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ConnectionArgs {
    /// The server's address: https://HOST:PORT
    #[arg(long, global = true, env = "BARTIZAN_SERVER", value_name = "URL", hide_env_values = true)]
    pub(crate) server: Option<String>,
    /// The certificate of the fleet's authority, in PEM; the only one that is trusted
    #[arg(long, global = true, env = "BARTIZAN_CA", value_name = "FILE", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,
    /// The file with the access token
    #[arg(long, global = true, env = "BARTIZAN_TOKEN_FILE", value_name = "FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// The server that `bartizan login` keeps under this name
    #[arg(
        long,
        global = true,
        env = "BARTIZAN_CONTEXT",
        value_name = "NAME",
        hide_env_values = true,
        conflicts_with_all = ["server", "dir"],
        add = ArgValueCompleter::new(complete::context)
    )]
    pub(crate) context: Option<String>,
    /// The server's directory [default: /var/lib/bartizan]
    #[arg(long, global = true, env = "BARTIZAN_DIR", value_name = "DIR", hide_env_values = true)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find logged packets
    Search(SearchArgs),
    /// Show how many packets were logged over time, as bars
    Hist(HistArgs),
    /// Show logged packets as they come
    Tail(TailArgs),
    /// Look on: rows as they come, how many over time, and a filter that keys change
    Watch(WatchArgs),
    /// Show the most frequent sources, ports, rules, ..., alone or beside the time before
    Top(TopArgs),
    /// Show one event with the rule that logged it, as it was and as it is
    Show(ShowArgs),
    /// Find tracked connections
    Flows(AskArgs),
    /// Show what rules and named objects counted
    Counters(AskArgs),
    /// Show a host's ruleset, as it is or as it was
    Rules(RulesArgs),
    /// Write all rows that match, however many, in a format for other programs
    Export(ExportArgs),
    /// Ask in SQL
    #[command(after_help = SQL_HELP)]
    Sql(SqlArgs),
    /// Show the hosts that report, and say which of them may
    Hosts(FleetArgs),
    /// Show who delivers what without an agent
    Senders(HostsArgs),
    /// Show what was not fully understood, by what it looks like
    Unparsed(UnparsedArgs),
    /// Find lines of other services, where they are kept
    Lines(AskArgs),
    /// Show what was lost, where and why
    Losses(LossesArgs),
    /// Questions with names, kept on the server
    Views {
        #[command(subcommand)]
        command: Option<ViewsCommand>,
    },
    /// Groups of hosts, for filters: group:db
    Groups(HostsArgs),
    /// Show the sets that filters may name: src:@office
    Sets(HostsArgs),
    /// Show what the server is being asked, and end it
    Queries {
        #[command(subcommand)]
        command: Option<QueriesCommand>,
    },
    /// Keep a server, its authority and a token under a name, and ask it from now on
    Login(LoginArgs),
    /// Show the servers that are kept, and choose the one that is asked
    Context {
        #[command(subcommand)]
        command: Option<ContextCommand>,
    },
    /// Try whether the server is reached and all is well there
    Doctor(DoctorArgs),
    /// Say what agents do: versions of their configuration, for all, a group or one host
    #[command(subcommand)]
    Config(ConfigCommand),
    /// See which authority signs the fleet's certificates, and let another follow it
    #[command(subcommand)]
    Authority(AuthorityCommand),
    /// Make tokens with which hosts join, list them, make them void
    #[command(subcommand)]
    Token(TokenCommand),
    /// Who may sign in, and what he may
    #[command(subcommand)]
    Users(UsersCommand),
    /// Tokens with which programs ask
    #[command(subcommand)]
    Access(AccessCommand),
    /// What was done, and by whom
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Read logs without a server: one JSON object per logged packet
    Parse(ParseArgs),
    /// Take old logs, captures, exports and databases into the lake
    Import(Box<ImportArgs>),
    /// Show what was imported
    Imports(HostsArgs),
    /// Look after the lake: what it holds, whether it is whole, what may go
    #[command(subcommand)]
    Lake(LakeCommand),
    /// Copy all of the server, with keys, people and configuration, to a folder while it runs
    Backup(BackupArgs),
    /// Bring a backup back into the directory of a server that does not run, or only check it
    Restore(RestoreArgs),
    /// See what log prefixes say
    #[command(subcommand)]
    Prefix(PrefixCommand),
    /// See what is known of addresses: countries, autonomous systems, sets
    #[command(subcommand)]
    Enrich(EnrichCommand),
    /// Work on filters
    #[command(subcommand)]
    Filter(FilterCommand),
    /// Run the server
    Server(ServerArgs),
    /// Print what makes a shell complete fields, hosts and values: source <(bartizan completion bash)
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them
    Man {
        /// The page: bartizan, or filter for the filter language
        #[arg(value_parser = ["bartizan", "filter"], default_value = "bartizan", conflicts_with = "to")]
        page: String,
        /// Write one file per command, and that of the filter language, to this folder
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Print the version
    Version {
        /// That of the server as well
        #[arg(long)]
        check: bool,
    },
}

/// A filter may begin with a minus, so an option that does not exist would be one: two minus signs and a name.
///
/// # Errors
/// If it looks like an option.
pub(crate) fn not_an_option(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("--").unwrap_or_default();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains([':', ' ']) {
        return Err(format!("there is no option `{text}` here"));
    }
    Ok(text.to_owned())
}

impl Args {
    /// What the terminal and the environment say about looks.
    pub(crate) fn style(&self) -> Style {
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let plain = set("NO_COLOR") || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let colour = |terminal: bool| match self.color {
            Colour::Always => true,
            Colour::Never => false,
            // Who set both wants none: NO_COLOR is for the person, the other for programs in between.
            Colour::Auto => {
                let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0");
                (terminal || forced) && !plain
            }
        };
        let terminal = std::io::stdout().is_terminal();
        Style {
            colour_stdout: colour(terminal),
            colour_stderr: colour(std::io::stderr().is_terminal()),
            utc: self.utc || !terminal,
            terminal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn an_option_that_does_not_exist_is_no_filter() {
        let error = Args::try_parse_from(["bartizan", "search", "--coutn"]).unwrap_err().to_string();
        assert!(error.contains("no option `--coutn`"), "{error}");
        for filter in ["--dport:22", "-dport:22", "-web", "!x"] {
            assert!(Args::try_parse_from(["bartizan", "tail", filter]).is_ok(), "{filter}");
        }
    }

    #[test]
    fn a_filter_may_begin_with_a_minus() {
        let args =
            Args::parse_from(["bartizan", "search", "-host:web* dport:22", "--since", "-15m", "-n", "5"]);
        let Command::Search(search) = args.command else { panic!("not a search") };
        assert_eq!(search.ask.filter, "-host:web* dport:22");
        assert_eq!((search.ask.range.since.as_deref(), search.ask.limit), (Some("-15m"), 5));
    }
}
