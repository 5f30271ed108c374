//! The configuration's files: read, named, and checked.

use crate::settings::{Settings, Written};
use bartizan_config::{Setting, load_from, load_program, program_paths, program_place};
use serde::Deserialize;
use std::path::PathBuf;

/// Where the configuration is, and what the command line says over it.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The file that was named.
    pub named: Option<PathBuf>,
    /// The file when none was named.
    pub default: PathBuf,
    /// Flags, over everything.
    pub flags: Vec<Setting>,
}

/// The prefix of variables.
pub(crate) const PREFIX: &str = "BARTIZAN_";

impl Configuration {
    /// The settings as they are written now.
    ///
    /// # Errors
    /// Names file, line and key.
    pub fn load(&self) -> anyhow::Result<Settings> {
        let named = self.named.as_deref();
        let written: Written = load_program(named, &self.default, PREFIX, &self.flags)?;
        Ok(Settings::new(written).map_err(|error| {
            let place = program_place(named, &self.default, PREFIX, &self.flags, error.key());
            error.at(place)
        })?)
    }

    /// The agent's directory, also when something else in the configuration is wrong: who asks how the agent is
    /// should be told just then.
    ///
    /// # Errors
    /// When not even that can be read.
    pub fn dir(&self) -> anyhow::Result<PathBuf> {
        #[derive(Deserialize)]
        struct Dir {
            dir: Option<PathBuf>,
        }
        let found = load_program::<Dir>(self.named.as_deref(), &self.default, PREFIX, &self.flags)
            // a flag needs no file
            .or_else(|error| {
                load_from::<Dir>(&[], &self.flags).ok().filter(|d| d.dir.is_some()).ok_or(error)
            })?;
        Ok(found.dir.unwrap_or_else(|| Written::default().dir))
    }

    /// The files that are read, in order.
    ///
    /// # Errors
    /// When the folder of the drop-ins cannot be read.
    pub fn paths(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(program_paths(self.named.as_deref(), &self.default)?)
    }
}
