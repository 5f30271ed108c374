//! What may be written after `bartizan lake`.

use crate::render::Format;
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// How an answer is written.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct Output {
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BackupArgs {
    /// The folder, on the server's machine; a backup that is there is brought up to date
    #[arg(value_name = "FOLDER")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FOLDER")]
    pub(crate) from: PathBuf,
    /// The server's new directory, empty
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    pub(crate) to: Option<PathBuf>,
    /// Only see whether every file of the backup is what was written
    #[arg(long, conflicts_with = "to")]
    pub(crate) check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Show what each table holds
    Status(Output),
    /// See whether every file and every row is there, once and whole
    Verify {
        /// Compare the log with the files without reading them
        #[arg(long)]
        quick: bool,
        /// Verify the lake in the directory of a server that does not run
        #[arg(long, conflicts_with = "repair")]
        stopped: bool,
        /// Take files that are missing or damaged out of the log; their rows are lost
        #[arg(long)]
        repair: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Merge files and make rollups now, without the pauses of the background work
    Compact(Output),
    /// Delete files that nobody needs any more
    Vacuum {
        /// Only tell what would go
        #[arg(short = 'n', long)]
        dry_run: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Remove rows that are old enough, by the rules of the configuration
    Retain {
        /// Only tell what would go
        #[arg(short = 'n', long)]
        dry_run: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Erase every row that names an address, and keep a receipt
    Erase {
        /// The addresses
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Why, for the receipt
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// Only tell what would go
        #[arg(short = 'n', long)]
        dry_run: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Show receipts of what was erased
    Erasures(Output),
    /// Keep rows whatever the rules of retention say
    Hold {
        /// What the hold is called
        name: String,
        /// Which rows; nothing holds all of the table
        #[arg(
            default_value = "",
            hide_default_value = true,
            allow_hyphen_values = true,
            value_parser = crate::args::not_an_option
        )]
        filter: String,
        /// Of which table
        #[arg(long, default_value = "events")]
        table: String,
        /// Why
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
    },
    /// Show what is held
    Holds(Output),
    /// End a hold
    Release {
        /// The hold
        name: String,
    },
}
