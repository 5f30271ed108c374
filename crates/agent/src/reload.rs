//! Reload: a new configuration while everything goes on.
//!
//! Sockets of groups that stay are not touched but for their settings, so that nothing is lost. What is wrong with
//! a new configuration is said, and the old one counts (fault F11). What cannot change in a running agent is named
//! and counts after a restart.

use crate::board::Board;
use crate::recorder::Shared;
use crate::settings::{NetnsChoice, Settings};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use tokio::sync::watch;

/// Everything that a reload reaches. Dropped when the agent stops, which ends the captures.
pub(crate) struct Reload {
    /// What counts now.
    pub(crate) settings: Arc<Settings>,
    /// What is written now.
    pub(crate) read_settings: Box<dyn Fn() -> anyhow::Result<Settings> + Send>,
    pub(crate) board: Board,
    pub(crate) shared: Shared,
    pub(crate) captures: SyncSender<Arc<Settings>>,
    pub(crate) server: watch::Sender<Option<String>>,
}

impl Reload {
    /// Reads the configuration and lets it count.
    pub(crate) fn reload(&mut self) {
        let new = match (self.read_settings)() {
            Ok(new) => new,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the new configuration is wrong; the old one counts");
                return self.board.configuration_refused(error);
            }
        };
        let after_restart = after_restart(&self.settings, &new);
        let new = Arc::new(Settings {
            // where everything is cannot change under it
            dir: self.settings.dir.clone(),
            user: self.settings.user.clone(),
            netns: if needs_more_rights(&self.settings, &new) {
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
        self.board.configured(true, after_restart);
    }
}

/// The keys that changed and count only after a restart.
fn after_restart(old: &Settings, new: &Settings) -> Vec<String> {
    let changed = [
        ("dir", old.dir != new.dir),
        ("user", old.user != new.user),
        ("netns", needs_more_rights(old, new)),
        ("kernel_log", old.kernel_log != new.kernel_log),
        ("local_log", old.local_log != new.local_log),
        ("payload", old.payload != new.payload),
        ("caps", format!("{:?}", old.caps) != format!("{:?}", new.caps)),
        ("flows", old.flows != new.flows),
        ("counters", old.all_counters != new.all_counters),
        ("capture.rulesets", old.capture.rulesets != new.capture.rulesets),
        ("capture.cpu_percent", old.capture.cpu_percent != new.capture.cpu_percent),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key.to_owned()).collect()
}

/// Whether the opener has given away what it would need now.
fn needs_more_rights(old: &Settings, new: &Settings) -> bool {
    old.netns == NetnsChoice::Own && new.netns != NetnsChoice::Own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Written;

    #[test]
    fn what_counts_after_a_restart_is_named() {
        let old = Settings::new(Written::default()).unwrap();
        assert!(after_restart(&old, &old.clone()).is_empty());
        let mut new = Settings { dir: "/elsewhere".into(), netns: NetnsChoice::All, ..old.clone() };
        assert_eq!(after_restart(&old, &new), ["dir", "netns"]);
        new = Settings { groups: vec![7], server: Some("a:1".into()), ..old.clone() };
        assert!(after_restart(&old, &new).is_empty());
        // less is always possible
        assert!(after_restart(&Settings { netns: NetnsChoice::All, ..old.clone() }, &old).is_empty());
    }
}
