//! Reload: a new configuration while everything goes on.
//!
//! Sockets of groups that stay are not touched but for their settings, so that nothing is lost. What is wrong with
//! a new configuration is said, and the old one counts (fault F11). What cannot change in a running agent is named
//! and counts after a restart.

use crate::board::Board;
use crate::central::Central;
use crate::configuration::Loaded;
use crate::recorder::Shared;
use crate::settings::{Conntrack, NetnsChoice, Settings};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use tokio::sync::watch;

/// Everything that a reload reaches. Dropped when the agent stops, which ends the captures.
pub(crate) struct Reload {
    /// What counted when the process started.
    pub(crate) started: Arc<Settings>,
    /// What counts now.
    pub(crate) settings: Arc<Settings>,
    /// What is written now.
    pub(crate) read_settings: Box<dyn Fn() -> anyhow::Result<Loaded> + Send>,
    pub(crate) board: Board,
    pub(crate) shared: Shared,
    pub(crate) captures: SyncSender<Arc<Settings>>,
    pub(crate) server: watch::Sender<Option<String>>,
    pub(crate) central: Central,
}

impl Reload {
    /// Reads the configuration and lets it count. What is wrong with it is said, and the old one counts.
    pub(crate) fn reload(&mut self) {
        drop(self.load());
    }

    /// The same with what the server says now, which is given up if that cannot be.
    pub(crate) fn reload_or_give_up(&mut self) {
        if let Err(error) = self.load() {
            self.central.give_up(&error);
        }
    }

    fn load(&mut self) -> Result<(), String> {
        let Loaded { settings: new, held } = match (self.read_settings)() {
            Ok(new) => new,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the new configuration is wrong; the old one counts");
                self.board.configuration_refused(error.clone());
                return Err(error);
            }
        };
        let after_restart = after_restart(&self.started, &new);
        let new = Arc::new(Settings {
            // where everything is cannot change under it
            dir: self.settings.dir.clone(),
            user: self.settings.user.clone(),
            netns: if needs_more_rights(&self.started, &new) {
                self.settings.netns.clone()
            } else {
                new.netns.clone()
            },
            ..new
        });
        self.shared.lanes().configure(&new);
        self.server.send_if_modified(|server| {
            let changed = *server != new.server;
            server.clone_from(&new.server);
            changed
        });
        self.settings = Arc::clone(&new);
        if self.captures.send(new).is_err() {
            tracing::error!("nobody captures");
        }
        if after_restart.is_empty() {
            tracing::info!("configuration reloaded");
        } else {
            tracing::warn!(?after_restart, "configuration reloaded; some of it counts after a restart");
        }
        self.central.counts(held, after_restart.clone());
        self.board.configured(true, after_restart);
        Ok(())
    }
}

/// The keys that are not as they were when the process started, and count only after a restart.
fn after_restart(old: &Settings, new: &Settings) -> Vec<String> {
    let changed = [
        ("dir", old.dir != new.dir),
        ("user", old.user != new.user),
        ("netns", needs_more_rights(old, new)),
        ("kernel_log", old.kernel_log != new.kernel_log),
        ("local_log", old.local_log != new.local_log),
        ("payload", old.payload != new.payload),
        ("flows", old.flows != new.flows),
        ("counters", old.all_counters != new.all_counters),
        ("capture.rulesets", old.capture.rulesets != new.capture.rulesets),
        ("central", old.central != new.central),
        ("capture.conntrack", details(old) != details(new)),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key.to_owned()).collect()
}

/// Whether what connection tracking says in full is kept, which the columns of a capture know from their beginning.
fn details(settings: &Settings) -> bool {
    settings.capture.conntrack == Conntrack::Details
}

/// Whether the opener has given away what it would need now.
fn needs_more_rights(old: &Settings, new: &Settings) -> bool {
    !old.may_enter() && new.netns != NetnsChoice::Own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Caps, Capture, Written};

    #[test]
    fn what_counts_after_a_restart_is_named() {
        let old = Settings::new(Written::default()).unwrap();
        assert!(after_restart(&old, &old.clone()).is_empty());
        let mut new = Settings { dir: "/elsewhere".into(), netns: NetnsChoice::All, ..old.clone() };
        assert_eq!(after_restart(&old, &new), ["dir", "netns"]);
        new = Settings { groups: vec![7], server: Some("a:1".into()), ..old.clone() };
        assert!(after_restart(&old, &new).is_empty());
        let caps = Caps { rule_rate: 1, memory_megabytes: 1, ..old.caps.clone() };
        let capture = Capture { cpu_percent: 1, conntrack: Conntrack::Details, ..old.capture.clone() };
        new = Settings { caps, capture, ..old.clone() };
        assert_eq!(after_restart(&old, &new), ["capture.conntrack"]);
        // less is always possible
        assert!(after_restart(&Settings { netns: NetnsChoice::All, ..old.clone() }, &old).is_empty());
    }
}
