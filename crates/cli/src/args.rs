//! What may be written on the command line. Help, man pages and completions are made from this.

use crate::complete;
use crate::lake_args::LakeCommand;
use crate::people_args::{AccessCommand, AuditCommand, UsersCommand};
use crate::render::{Format, Style};
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
    Doctor,
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

#[derive(Debug, ClapArgs)]
pub(crate) struct WatchArgs {
    /// What to show at first; nothing shows everything
    #[arg(
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter)
    )]
    pub(crate) filter: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TopArgs {
    /// By what: src, or src,dport
    #[arg(value_name = "COLUMNS", add = ArgValueCompleter::new(complete::column))]
    pub(crate) by: String,
    /// Of which packets; nothing counts all
    #[arg(
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter)
    )]
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Beside the same length of time just before; of the last hour, if no --since is given
    #[arg(long)]
    pub(crate) compare: bool,
    /// So many of them
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub(crate) limit: u64,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LoginArgs {
    /// The server's address: https://HOST:PORT. The authority's certificate is given with --ca, the token with
    /// --token-file or on stdin
    #[arg(value_name = "URL")]
    pub(crate) server: String,
    /// Keep it under this name [default: that of the server]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List the servers that are kept
    List {
        /// How to write the rows
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Ask this one from now on
    Use {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::context))]
        name: String,
    },
    /// Forget one, with its token
    Rm {
        /// Its name
        #[arg(add = ArgValueCompleter::new(complete::context))]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ViewsCommand {
    /// List the views
    List {
        /// How to write the rows
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Keep a question under a name, in the place of one of that name
    Save {
        /// Its name
        name: String,
        /// What it finds
        #[arg(allow_hyphen_values = true, value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter))]
        filter: String,
        /// In which table
        #[arg(long, default_value = "events", value_parser = ["events", "flows", "counters", "losses", "rulesets", "lines"])]
        table: String,
        /// Only these columns
        #[arg(long, value_delimiter = ',', value_name = "COLUMN", add = ArgValueCompleter::new(complete::column))]
        columns: Vec<String>,
        /// From when on, each time that it is asked: 15m, 2d, today, ...
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        since: Option<String>,
        /// For everybody
        #[arg(long)]
        shared: bool,
    },
    /// Ask what a view asks
    Run {
        /// Its name
        name: String,
        /// At most so many rows, the newest; 0 for all
        #[arg(short = 'n', long, default_value_t = 100, value_name = "ROWS")]
        limit: u64,
        /// How to write the rows
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Forget a view
    Rm {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueriesCommand {
    /// List the questions that are being answered
    List {
        /// How to write the rows
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// End one
    Cancel {
        /// Its id
        id: String,
    },
}

/// The time that is searched.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct RangeArgs {
    /// From when: 15m, 1h30m, 2d, today, yesterday, 07:30, 2026-01-31, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Until when, written like --since; not included
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
}

/// A question about one table.
#[derive(Debug, ClapArgs)]
pub(crate) struct AskArgs {
    /// What to find; nothing finds everything
    #[arg(
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter)
    )]
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// At most so many rows, the newest; 0 for all
    #[arg(short = 'n', long, default_value_t = 100, value_name = "ROWS")]
    pub(crate) limit: u64,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Only these columns
    #[arg(long, value_delimiter = ',', value_name = "COLUMN")]
    pub(crate) columns: Vec<String>,
    /// Only how many there are, rows and what they sum up to
    #[arg(long, conflicts_with_all = ["by", "columns"])]
    pub(crate) count: bool,
    /// Sum up by these columns, the largest first
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "COLUMN",
        conflicts_with_all = ["columns"],
        add = ArgValueCompleter::new(complete::column)
    )]
    pub(crate) by: Vec<String>,
    /// With one column in --by: those with the most different values of this column
    #[arg(long, value_name = "COLUMN", requires = "by")]
    pub(crate) distinct: Option<String>,
    /// Sources that touched more ports than this, on more hosts than that
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "PORTS,HOSTS",
        num_args = 1,
        conflicts_with_all = ["by", "columns", "count"]
    )]
    pub(crate) spread: Vec<u64>,
    /// So many of them
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) top: u64,
    /// Say what a count or a sum was made of: counts that are kept, and rows
    #[arg(long)]
    pub(crate) explain: bool,
    /// Go on behind the page that named this place
    #[arg(long, value_name = "CURSOR", conflicts_with_all = ["by", "count", "spread"])]
    pub(crate) after: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HistArgs {
    /// What to count; nothing counts everything
    #[arg(
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter)
    )]
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// How long a bar is: 10s, 5m, 1h, 1d; what makes about a hundred bars, if left out
    #[arg(long, value_name = "DURATION")]
    pub(crate) bucket: Option<String>,
    /// Apart by these columns
    #[arg(long, value_delimiter = ',', value_name = "COLUMN")]
    pub(crate) by: Vec<String>,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Say what the answer was made of: counts that are kept, and rows
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// Go on with what comes, like tail
    #[arg(short, long, conflicts_with_all = ["since", "until", "count", "by", "spread"])]
    pub(crate) follow: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TailArgs {
    /// What to show; nothing shows everything
    #[arg(
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter)
    )]
    pub(crate) filter: String,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Only these columns
    #[arg(long, value_delimiter = ',', value_name = "COLUMN")]
    pub(crate) columns: Vec<String>,
    /// End after so many rows; 0 never
    #[arg(short = 'n', long, default_value_t = 0, value_name = "ROWS", hide_default_value = true)]
    pub(crate) limit: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HostsArgs {
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// `hosts`, which lists them if nothing else is said.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct FleetArgs {
    #[command(flatten)]
    list: HostsArgs,
    #[command(subcommand)]
    command: Option<HostsCommand>,
}

impl FleetArgs {
    pub(crate) fn command(self) -> HostsCommand {
        self.command.unwrap_or(HostsCommand::List { output: self.list.output })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum HostsCommand {
    /// List the hosts
    List {
        /// How to write the rows
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Trust a host no more: what it has open ends, and it has to enrol again
    Revoke {
        /// Its name or id
        #[arg(add = ArgValueCompleter::new(complete::host))]
        host: String,
    },
    /// Say that a host is no more: its rows are kept, its name is free, nobody misses it
    Retire {
        /// Its name or id
        #[arg(add = ArgValueCompleter::new(complete::host))]
        host: String,
    },
    /// Give a host another name; rows that are there keep the old one
    Rename {
        /// Its name or id
        #[arg(add = ArgValueCompleter::new(complete::host))]
        host: String,
        /// Its new name
        name: String,
    },
    /// Let a host in that waits for approval
    Approve {
        /// Its name or id
        #[arg(add = ArgValueCompleter::new(complete::host))]
        host: String,
        /// In the place of a host that has its name, which is revoked
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct UnparsedArgs {
    /// Of which events; nothing shows all
    #[arg(
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter)
    )]
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// At most so many shapes, those of most events
    #[arg(short = 'n', long, default_value_t = 50, value_name = "ROWS")]
    pub(crate) limit: u64,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LossesArgs {
    /// Which entries; nothing shows all
    #[arg(
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter)
    )]
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Of this host only
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::host))]
    pub(crate) host: Option<String>,
    /// Only how many were lost at each stage and why, and in all
    #[arg(long, conflicts_with = "by")]
    pub(crate) sum: bool,
    /// Sum up by these columns, the largest first
    #[arg(long, value_delimiter = ',', value_name = "COLUMN", conflicts_with = "host")]
    pub(crate) by: Vec<String>,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

const SQL_HELP: &str = "\
Tables: events, flows, counters, losses, rulesets, lines, and ulog with the names of ulogd's tables.
Functions: ip('192.0.2.7'), in_cidr(src, '10.0.0.0/8'), cidr(src, 24), service(dport), proto_name(proto).

Examples:
  bartizan sql 'SHOW TABLES'
  bartizan sql 'DESCRIBE events'
  bartizan sql \"SELECT src, count(*) AS n FROM events WHERE time > now() - INTERVAL '1 day' GROUP BY src ORDER BY n DESC LIMIT 10\"
  bartizan sql 'SELECT * FROM events WHERE src = ? ORDER BY time DESC LIMIT 5' -p 192.0.2.7 -o json
  bartizan sql - -o csv < report.sql > report.csv";

#[derive(Debug, ClapArgs)]
pub(crate) struct SqlArgs {
    /// One statement that only reads; `-` takes it from stdin
    #[arg(value_name = "QUERY")]
    pub(crate) query: String,
    /// What the next `?` in it stands for; again for each
    #[arg(short, long = "parameter", value_name = "VALUE", allow_hyphen_values = true)]
    pub(crate) parameters: Vec<String>,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShowArgs {
    /// Its id, as search shows it
    #[arg(value_name = "EVENT")]
    pub(crate) event: String,
    /// In words (table) or json
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RulesArgs {
    /// The host
    #[arg(add = ArgValueCompleter::new(complete::host))]
    pub(crate) host: String,
    /// Its network namespace; its own, if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) netns: Option<String>,
    /// The ruleset that was active then: 15m, yesterday, 2026-01-31, RFC 3339
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// The ruleset of this name
    #[arg(long, value_name = "GENERATION", conflicts_with = "at")]
    pub(crate) generation: Option<String>,
    /// As which tool prints it: nft, nft-json, iptables-save, ...
    #[arg(long, value_name = "FORM")]
    pub(crate) form: Option<String>,
    /// List the rulesets that were active, the newest first
    #[arg(long, conflicts_with_all = ["at", "generation", "form", "diff"])]
    pub(crate) history: bool,
    /// Show for each rule what it counted and what was logged of it, from --since on
    #[arg(long, conflicts_with_all = ["at", "generation", "form", "diff", "history"])]
    pub(crate) hits: bool,
    /// Show what changed between two rulesets, each a generation or a time
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], conflicts_with_all = ["at", "generation"])]
    pub(crate) diff: Vec<String>,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// At most so many rulesets of the history
    #[arg(short = 'n', long, default_value_t = 100, value_name = "ROWS")]
    pub(crate) limit: u64,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// How rows are written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One JSON object per line
    Ndjson,
    /// Comma-separated values (RFC 4180)
    Csv,
    /// A Parquet file
    Parquet,
    /// An Arrow IPC stream
    Arrow,
    /// The packets of events that have a payload, as a capture file
    Pcap,
    /// Lines as ulogd's LOGEMU writes them, in the time zone of this machine
    Logemu,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// Which rows; nothing exports all
    #[arg(
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter)
    )]
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Of which table: events, flows, counters, losses, rulesets, lines
    #[arg(long, default_value = "events", value_parser = ["events", "flows", "counters", "losses", "rulesets", "lines"])]
    pub(crate) table: String,
    /// In which format
    #[arg(short, long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub(crate) output: ExportFormat,
    /// Only these columns
    #[arg(long, value_delimiter = ',', value_name = "COLUMN")]
    pub(crate) columns: Vec<String>,
    /// To this file instead of stdout; it appears when it is whole
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// Show the authority, its successor, and how many hosts know it
    Status(HostsArgs),
    /// Make a successor; hosts learn of it as they renew their certificates
    Rotate(HostsArgs),
    /// Let the successor count, once every live host knows it
    Finish {
        /// Even if some do not; they learn of it when they ask next
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        list: HostsArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a join token and print it
    #[command(visible_alias = "make")]
    Create {
        /// How many hosts may join with it
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How long it is valid: 30m, 1h, 2d
        #[arg(long, default_value = "1h")]
        ttl: String,
        /// What it is for
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
        /// The group that these hosts are in, for filters and scopes: group:db
        #[arg(long)]
        group: Option<String>,
        /// Only from these addresses, networks or ranges
        #[arg(long = "from", value_delimiter = ',', value_name = "NETWORK")]
        networks: Vec<String>,
        /// Let each of them wait until `bartizan hosts approve`
        #[arg(long)]
        approval: bool,
        /// How to write it
        #[arg(short, long, value_enum, default_value_t = Format::Table, hide_default_value = true)]
        output: Format,
    },
    /// List the tokens; nobody can tell their secrets
    List {
        /// How to write the rows
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Make a token void
    Revoke {
        /// What the list calls it
        id: String,
    },
}

/// What is read by `parse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ParseFormat {
    /// What the content looks like
    Auto,
    /// Lines of text: log files, dmesg, what journalctl prints
    Syslog,
    /// The journal's export format
    Journal,
    /// ulogd's JSON, an object per line
    UlogdJson,
    /// Elastic's documents of firewall events, an object per line
    Ecs,
    /// A capture: pcap or pcapng
    Pcap,
}

/// How `import` tells what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportOutput {
    /// In words, on stderr
    Text,
    /// One JSON object, on stdout
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ImportArgs {
    /// Files, packed or not, patterns (*.gz), - for stdin, or databases: postgres://, mysql://, sqlite:
    #[arg(required = true, value_name = "FILE|URL")]
    pub(crate) sources: Vec<String>,
    /// Whose records are that name no host
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Where the host stands: file or folder, whose name it is; a column of a database
    #[arg(long, value_name = "file|folder|COLUMN")]
    pub(crate) host_from: Option<String>,
    /// Who delivered the records, for the column sender
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) sender: String,
    /// What is in the files: auto, syslog, journal, ulogd-json, ecs, pcap
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) format: String,
    /// The zone of stamps that do not say it: Europe/Berlin, UTC, +01:00 [default: this machine's]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) zone: Option<String>,
    /// The year of the first stamp of each file or rotated set, where stamps have none
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(u16).range(1970..=9000))]
    pub(crate) year: Option<u16>,
    /// Keep the lines of other services as well, in the table lines
    #[arg(long)]
    pub(crate) keep_other: bool,
    /// Only read, and show what would be imported
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How often bigger a file may get by unpacking, if it gets over 256 MB
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) max_ratio: u64,
    /// How big a file may get by unpacking, in GB
    #[arg(long, value_name = "GB", default_value_t = 1024)]
    pub(crate) max_size: u64,
    /// Only these tables of a database
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Vec<String>,
    /// Another name for a database: what was imported under one is not known under the other
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The file with the password of a database
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// How to tell what was done
    #[arg(short, long, value_enum, default_value_t = ImportOutput::Text)]
    pub(crate) output: ImportOutput,
    /// No progress on stderr
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// How `parse` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ParseOutput {
    /// One JSON object per line
    Ndjson,
    /// Comma-separated values (RFC 4180)
    Csv,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ParseArgs {
    /// What to read, packed or not; - or nothing is stdin
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What is in it
    #[arg(long, value_enum, default_value_t = ParseFormat::Auto, value_name = "FORMAT")]
    pub(crate) format: ParseFormat,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = ParseOutput::Ndjson)]
    pub(crate) output: ParseOutput,
    /// The zone of stamps that do not say it: Europe/Berlin, UTC, +01:00 [default: this machine's]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) zone: Option<String>,
    /// The year of the first stamp that does not say it [default: by when the file was last written]
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(u16).range(1970..9000))]
    pub(crate) year: Option<u16>,
    /// A file of forms of log prefixes that are tried before the built-in ones
    #[arg(long, value_name = "FILE")]
    pub(crate) prefixes: Option<PathBuf>,
    /// No summary on stderr
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PrefixCommand {
    /// Show what is made of prefixes or of whole lines
    Test {
        /// A prefix, or a line of a log
        #[arg(required = true, value_name = "PREFIX_OR_LINE")]
        texts: Vec<String>,
        /// A file of forms that are tried before the built-in ones
        #[arg(long, value_name = "FILE")]
        prefixes: Option<PathBuf>,
        /// How to write it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// List the forms that are known, in the order in which they are tried
    List {
        /// A file of forms that are tried before the built-in ones
        #[arg(long, value_name = "FILE")]
        prefixes: Option<PathBuf>,
        /// How to write them
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnrichCommand {
    /// Show the databases: of which date their data are, and what is wrong with them
    Status(HostsArgs),
    /// Show the sets that filters may name
    Sets(HostsArgs),
    /// Show what is known of addresses
    Lookup {
        /// An address
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// How to write it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FilterCommand {
    /// Check a filter and print it as it is understood; no server is asked
    Check(FilterArgs),
    /// Say in words what a filter finds; no server is asked
    Explain(FilterArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct FilterArgs {
    /// The filter, or something pasted: an address, a line of a log
    #[arg(allow_hyphen_values = true, value_parser = not_an_option, add = ArgValueCompleter::new(complete::filter))]
    pub(crate) filter: String,
    /// Of which table's rows
    #[arg(long, default_value = "events", value_parser = ["events", "flows", "counters", "losses", "rulesets", "lines"])]
    pub(crate) table: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ServerArgs {
    /// The configuration file [default: /etc/bartizan/server.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
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
