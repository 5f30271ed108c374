//! What may be written about what is kept: contexts, views, questions that run.

use super::not_an_option;
use crate::complete;
use crate::render::Format;
use clap::{Args as ClapArgs, Subcommand};
use clap_complete::engine::ArgValueCompleter;

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
