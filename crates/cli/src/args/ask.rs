//! What may be written after the commands that ask for rows.

use super::not_an_option;
use crate::complete;
use crate::render::Format;
use clap::{Args as ClapArgs, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;

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

pub(super) const SQL_HELP: &str = "\
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
