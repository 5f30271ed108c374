//! What may be written after commands that need no server, or run one; and about imports.

use super::{HostsArgs, not_an_option};
use crate::complete;
use crate::render::Format;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;

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
pub(crate) struct DoctorArgs {
    /// Write what somebody who helps has to know to this file: no event, no secret
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// The server's configuration, for the bundle
    #[arg(long, value_name = "FILE", default_value = "/etc/bartizan/server.toml", requires = "bundle")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ServerArgs {
    /// The configuration file [default: /etc/bartizan/server.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
