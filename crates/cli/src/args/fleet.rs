//! What may be written about hosts.

use crate::complete;
use crate::render::Format;
use clap::{Args as ClapArgs, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;

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

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// List the versions, the newest first
    List {
        /// Only those for *, group:NAME or host:NAME
        target: Option<String>,
        /// At most so many
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: u64,
        /// How to write the rows
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Print a version, or what counts for a target
    Show {
        /// The number of a version; or *, group:NAME, host:NAME
        what: String,
    },
    /// Let a text count from now on, as a new version
    Set {
        /// For whom: *, group:NAME or host:NAME
        target: String,
        /// The text, in TOML; `-` reads it from standard input; an empty one says nothing any more
        file: PathBuf,
        /// Why, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
    },
    /// Show what a version changed
    Diff {
        /// The version, or what counts for a target
        to: String,
        /// Compared with this one [default: the one before of the same target]
        #[arg(long)]
        from: Option<String>,
    },
    /// Let the text of an older version count again, as a new version
    Rollback {
        /// The number of the older version
        version: u64,
        /// Why, for people
        #[arg(long)]
        comment: Option<String>,
    },
    /// Show how far the hosts are with what is said
    Status {
        /// How to write the rows
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
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
