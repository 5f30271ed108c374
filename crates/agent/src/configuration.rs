//! The configuration's files: read, named, and checked.

use crate::settings::{NetnsChoice, Settings, Written};
use bartizan_config::{
    Setting, Source, keys_of, load_from, load_program, place_of, program_paths, program_place,
};
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

/// What counts, and what of the server's does not.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// Keys that the server says otherwise, and this host decides.
    pub(crate) held: Vec<String>,
}

/// This host's texts and settings, laid over the server's parts.
///
/// # Errors
/// Names text, line and key.
pub(crate) fn layered(server: Vec<Source>, own: &[Source], over: &[Setting]) -> anyhow::Result<Loaded> {
    let said = keys_of(&server, &[])?;
    let sources: Vec<_> = server.into_iter().chain(own.iter().cloned()).collect();
    let mut settings = settings_of(&sources, over)?;
    let here = keys_of(own, over)?;
    let mut held: Vec<_> = said.intersection(&here).cloned().collect();
    if said.contains("netns") && !here.contains("netns") && !settings.central.netns {
        // The opener has given away the right to enter others, unless the host said that it is to keep it.
        settings.netns = NetnsChoice::Own;
        held.push("netns".into());
    }
    Ok(Loaded { settings, held })
}

/// What was meant by what is written.
pub(crate) fn settings_of(sources: &[Source], over: &[Setting]) -> anyhow::Result<Settings> {
    let written: Written = load_from(sources, over)?;
    Ok(Settings::new(written).map_err(|error| {
        let place = place_of(sources, over, error.key());
        error.at(place)
    })?)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { name: "it".into(), text: text.into() }
    }

    #[test]
    fn the_hosts_own_word_counts_key_by_key() {
        let server = || vec![source("caps.rule_rate = 1\ncaps.source_rate = 2\ngroups = [7]")];
        let alone = layered(server(), &[source("")], &[]).unwrap();
        assert_eq!((alone.settings.caps.rule_rate, alone.held.len()), (1, 0));
        let flag = Setting::flag("groups", "8");
        let both = layered(server(), &[source("[caps]\nrule_rate = 9")], &[flag]).unwrap();
        let Loaded { settings, held } = both;
        assert_eq!((settings.caps.rule_rate, settings.caps.source_rate, settings.groups), (9, 2, vec![8]));
        assert_eq!(held, ["caps.rule_rate", "groups"]);
        let wrong = layered(server(), &[source("\ncaps.rule_rate = 'x'")], &[]).unwrap_err();
        assert!(wrong.to_string().starts_with("it:2: caps.rule_rate: "), "{wrong}");
    }

    #[test]
    fn other_namespaces_are_the_hosts_to_permit() {
        let server = || vec![source("netns = 'all'")];
        let netns = |own: &str| {
            let Loaded { settings, held } = layered(server(), &[source(own)], &[]).unwrap();
            (settings.netns, held)
        };
        assert_eq!(netns(""), (NetnsChoice::Own, vec!["netns".to_owned()]));
        assert_eq!(netns("central.netns = true"), (NetnsChoice::All, vec![]));
        let named = NetnsChoice::Named(vec!["a".into()]);
        assert_eq!(netns("netns = 'a'"), (named, vec!["netns".to_owned()]));
    }
}
