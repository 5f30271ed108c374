//! What may be written after `bartizan users`, `access` and `audit`.

use crate::args::Output;
use crate::args::RangeArgs;
use crate::render::Format;
use clap::{Args as ClapArgs, Subcommand};

const ROLES: [&str; 4] = ["viewer", "analyst", "operator", "admin"];

/// What somebody may, and sees.
#[derive(Debug, ClapArgs)]
pub(crate) struct May {
    /// What he may do
    #[arg(long, value_parser = ROLES)]
    pub(crate) role: Option<String>,
    /// He sees only these rows: a filter of fields that every table has, as group:db
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true)]
    pub(crate) scope: Option<String>,
    /// Whether he sees what packets and lines say
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) payload: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Show who may sign in
    List(Output),
    /// Add a user, and print the link with which he chooses a password
    Add {
        /// What he is called
        name: String,
        #[command(flatten)]
        may: May,
    },
    /// Change what a user may
    Change {
        /// Who
        name: String,
        #[command(flatten)]
        may: May,
        /// Shut him out, or let him in again with --disabled=false
        #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
        disabled: Option<bool>,
    },
    /// Print a link with which a user chooses a new password; it ends his second factor as well
    Invite {
        /// Who
        name: String,
    },
    /// Remove a user and his tokens
    Rm {
        /// Who
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Show the tokens: yours, or all
    List(Output),
    /// Make a token for a program, and print it; it is not shown again
    Make {
        /// What it is called
        name: String,
        #[command(flatten)]
        may: May,
        /// It is nobody's: it stays when who makes it goes
        #[arg(long)]
        service: bool,
        /// After how many days it ends
        #[arg(long)]
        days: Option<u32>,
        /// What it is for
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
    },
    /// Revoke a token
    Revoke {
        /// Which
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show what was done, the latest first
    List(AuditArgs),
    /// See whether the log of what was done is whole
    Verify,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Only what this one did
    #[arg(long)]
    pub(crate) who: Option<String>,
    /// Only this operation, as `export`
    #[arg(long)]
    pub(crate) what: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 100)]
    pub(crate) limit: u64,
    /// How to write the rows
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}
