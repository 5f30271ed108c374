//! What the server says of this host's configuration: taken, tried, kept, and given up.
//!
//! ```text
//! offer -> read whole -> on trial, on disk -> counts by a reload -> the server answers a stream that says so -> good
//!              \-> refused                        \-> not in time, or the agent does not stay up -> the good one counts
//! ```
//!
//! Invariants:
//! - The host's own configuration is laid over the server's, key by key, and what may be said at all is a type
//!   ([`bartizan_settings::Central`]) that names no path, program, address or right.
//! - The opener sees nothing of it: what it may do was decided by the host's own files when it started.
//! - An offer is on disk before it counts, with that it is on trial; so one with which the agent does not come up is
//!   given up after a few starts, whatever ends them.
//! - Rows go on through all of it: a reload keeps sockets and spool, and a stream that is opened anew goes on behind
//!   what was acknowledged.

mod kept;

use crate::settings::CentralSettings;
use bartizan_config::Source;
use bartizan_wire::{Configured, Offer};
use kept::Kept;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The file beside the agent's state.
const FILE: &str = "central.json";

/// Shared by whoever takes offers, lets them count, and tells of them.
#[derive(Clone, Debug)]
pub(crate) struct Central(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    settings: CentralSettings,
    inner: Mutex<Inner>,
    told: watch::Sender<Configured>,
    offers: watch::Sender<Option<Offer>>,
}

#[derive(Debug)]
struct Inner {
    kept: Kept,
    /// When what is on trial is given up.
    deadline: Option<Instant>,
}

impl Central {
    /// What was kept in a directory; one more start of what is on trial.
    pub(crate) fn open(dir: &Path, settings: CentralSettings) -> Self {
        let path = dir.join(FILE);
        let mut kept = if settings.enabled { Kept::read(&path) } else { Kept::default() };
        if kept.on_trial() {
            if !kept.begin() {
                tracing::error!(
                    "the server's newest configuration is given up: the agent did not stay up with it"
                );
            }
            written(kept.write(&path));
        }
        let deadline = kept.on_trial().then(|| Instant::now() + settings.trial);
        let told = watch::Sender::new(kept.told(Vec::new(), Vec::new()));
        let inner = Mutex::new(Inner { kept, deadline });
        Self(Arc::new(Shared { path, settings, inner, told, offers: watch::Sender::new(None) }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // every method leaves it consistent
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what the server says counts at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.0.settings.enabled
    }

    /// What counts, to be laid under what the host itself says.
    pub(crate) fn sources(&self) -> Vec<Source> {
        sources(self.lock().kept.counts())
    }

    /// Where offers are put, and where they come out.
    pub(crate) fn offers(&self) -> &watch::Sender<Option<Offer>> {
        &self.0.offers
    }

    /// What is said to the server, and when it changes.
    pub(crate) fn told(&self) -> watch::Receiver<Configured> {
        self.0.told.subscribe()
    }

    /// Takes an offer; whether it is to count from now on.
    pub(crate) fn take(&self, offer: Offer) -> bool {
        let mut inner = self.lock();
        if !self.is_enabled() || !inner.kept.wants(&offer) {
            return false;
        }
        let versions = offer.versions();
        if let Err(error) = bartizan_settings::read(&sources(&offer)) {
            tracing::error!(?versions, %error, "the server's configuration is refused");
            inner.kept.refuse(&offer, error.to_string());
            written(inner.kept.write(&self.0.path));
            self.tell(&inner);
            return false;
        }
        let before = inner.kept.clone();
        inner.kept.try_out(offer);
        if let Err(error) = inner.kept.write(&self.0.path) {
            // Not on disk, it would be forgotten that it is on trial.
            tracing::error!(?versions, %error, "the server's configuration cannot be kept, and does not count");
            inner.kept = before;
            return false;
        }
        inner.deadline = inner.kept.on_trial().then(|| Instant::now() + self.0.settings.trial);
        tracing::info!(?versions, "the server says another configuration");
        true
    }

    /// The configuration counts; of the server's, these keys are held by the host, and these wait for a restart.
    pub(crate) fn counts(&self, held: Vec<String>, after_restart: Vec<String>) {
        let told = self.lock().kept.told(held, after_restart);
        self.say(told);
    }

    /// The server has answered a stream that said that these parts count.
    pub(crate) fn answered(&self, versions: &[u64]) {
        let mut inner = self.lock();
        if !inner.kept.prove(versions) {
            return;
        }
        inner.deadline = None;
        tracing::info!(?versions, "the server's configuration is good: the server was reached with it");
        written(inner.kept.write(&self.0.path));
        self.tell(&inner);
    }

    /// Gives up what is on trial, if anything is: the good one counts again, once it is loaded.
    pub(crate) fn give_up(&self, why: &str) -> bool {
        let mut inner = self.lock();
        inner.deadline = None;
        if !inner.kept.give_up(why) {
            return false;
        }
        tracing::error!(why, "the server's newest configuration is given up; the one before counts again");
        written(inner.kept.write(&self.0.path));
        self.tell(&inner);
        true
    }

    /// The agent cannot start; the next start is without what may be the reason.
    pub(crate) fn failed(&self, why: &str) {
        let mut inner = self.lock();
        if inner.kept.fail(why) {
            tracing::error!(why, "the server's configuration is given up: the agent ended with it");
            written(inner.kept.write(&self.0.path));
        }
    }

    /// Waits until what is on trial is overdue; for ever, if nothing is.
    pub(crate) async fn overdue(&self) {
        let deadline = self.lock().deadline;
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    }

    /// For people and programs.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let (told, inner) = (self.0.told.borrow().clone(), self.lock());
        serde_json::json!({
            "enabled": self.is_enabled(),
            "versions": inner.kept.counts().versions(),
            "on_trial": inner.kept.on_trial(),
            "held": told.held,
            "refused": told.refused,
        })
    }

    /// Says anew what changed, with the keys as they were.
    fn tell(&self, inner: &Inner) {
        let (held, after_restart) = {
            let told = self.0.told.borrow();
            (told.held.clone(), told.after_restart.clone())
        };
        self.say(inner.kept.told(held, after_restart));
    }

    fn say(&self, now: Configured) {
        self.0.told.send_if_modified(|told| {
            let changed = *told != now;
            *told = now;
            changed
        });
    }
}

/// What is not written is asked for again after the next start.
fn written(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "what became of the server's configuration cannot be kept");
    }
}

/// The parts of an offer, by names that errors can say.
fn sources(offer: &Offer) -> Vec<Source> {
    let name = |target: &str| -> String { target.chars().filter(|c| !c.is_control()).take(80).collect() };
    let part = |part: &bartizan_wire::Part| Source {
        name: format!("{} version {}", name(&part.target), part.version),
        text: part.text.clone(),
    };
    offer.parts.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_wire::Part;
    use std::time::Duration;

    const SETTINGS: CentralSettings =
        CentralSettings { enabled: true, netns: false, trial: Duration::from_secs(600) };

    fn offer(version: u64, text: &str) -> Offer {
        Offer { parts: vec![Part { version, target: "*".into(), text: text.into() }] }
    }

    fn refused(central: &Central) -> String {
        central.told().borrow().refused.as_ref().map(|refused| refused.why.clone()).unwrap_or_default()
    }

    #[test]
    fn one_that_the_server_has_answered_to_is_good_and_there_after_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let central = Central::open(dir.path(), SETTINGS);
        assert!(central.sources().is_empty());
        assert!(central.take(offer(3, "caps.rule_rate = 7")));
        assert!(!central.take(offer(3, "caps.rule_rate = 7")), "it counts already");
        central.answered(&[]);
        assert_eq!(central.to_json()["on_trial"], true, "an answer to something else");
        central.answered(&[3]);
        assert_eq!(central.to_json()["on_trial"], false);
        assert!(!central.give_up("late"), "there is nothing to give up any more");
        let again = Central::open(dir.path(), SETTINGS);
        assert_eq!(
            (again.sources()[0].text.as_str(), again.to_json()["on_trial"] == false),
            ("caps.rule_rate = 7", true)
        );
        assert_eq!(again.told().borrow().versions, [3]);
        // The host's own word, over all.
        let off = Central::open(dir.path(), CentralSettings { enabled: false, ..SETTINGS });
        assert!(off.sources().is_empty() && !off.take(offer(9, "")));
    }

    #[test]
    fn one_that_is_wrong_is_refused_and_never_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let central = Central::open(dir.path(), SETTINGS);
        assert!(central.take(offer(1, "")));
        central.answered(&[1]);
        for (version, text, why) in [
            (2, "caps.rule_rate = 'x'", "* version 2:1: caps.rule_rate: "),
            (3, "user = 'root'", "is the host's own"),
            (4, "local_log.path = '/etc/passwd'", "is the host's own"),
        ] {
            assert!(!central.take(offer(version, text)));
            assert!(refused(&central).contains(why), "{}", refused(&central));
            assert_eq!(central.told().borrow().versions, [1]);
            assert!(!central.told().borrow().refused.as_ref().unwrap().again);
        }
        assert!(central.take(offer(5, "caps.rule_rate = 1")));
        central.answered(&[5]);
        assert_eq!(refused(&central), "", "a better one makes it forgotten");
    }

    #[test]
    fn one_with_which_the_agent_does_not_stay_up_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let central = Central::open(dir.path(), SETTINGS);
        assert!(central.take(offer(1, "caps.rule_rate = 1")));
        central.answered(&[1]);
        assert!(central.take(offer(2, "caps.rule_rate = 2")));
        for _ in 0..kept::STARTS {
            let started = Central::open(dir.path(), SETTINGS);
            assert_eq!(started.to_json()["versions"], serde_json::json!([2]));
        }
        let started = Central::open(dir.path(), SETTINGS);
        assert_eq!(started.to_json()["versions"], serde_json::json!([1]));
        assert!(refused(&started).contains("did not stay up"));
        // It may have been something else, so it is tried again when it is offered again, but not for ever.
        let mut tries = 1;
        while started.take(offer(2, "caps.rule_rate = 2")) {
            assert!(started.give_up("the server was not reached"));
            tries += 1;
        }
        assert_eq!(tries, kept::TRIES);
        assert!(!started.told().borrow().refused.as_ref().unwrap().again);
        // Nor does one stay that was good once, and with which it starts no more.
        started.failed("a group has a reader");
        assert!(Central::open(dir.path(), SETTINGS).sources().is_empty());
    }

    #[test]
    fn a_damaged_file_is_none_and_a_disk_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [&b"{"[..], b"\xff", b"[1]", &[b' '; 2 << 20]] {
            std::fs::write(dir.path().join(FILE), bytes).unwrap();
            let central = Central::open(dir.path(), SETTINGS);
            assert!(central.sources().is_empty());
        }
        let central = Central::open(&dir.path().join("gone"), SETTINGS);
        assert!(!central.take(offer(1, "")) && central.sources().is_empty());
    }

    #[tokio::test]
    async fn what_is_on_trial_for_too_long_is_overdue() {
        let dir = tempfile::tempdir().unwrap();
        let central = Central::open(dir.path(), CentralSettings { trial: Duration::ZERO, ..SETTINGS });
        assert!(futures::FutureExt::now_or_never(central.overdue()).is_none(), "nothing is on trial");
        assert!(central.take(offer(1, "")));
        central.overdue().await;
    }
}
