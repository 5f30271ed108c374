//! What is known of the server's configuration over restarts. No clock, and no disk but [`Kept::read`] and
//! [`Kept::write`].

use bartizan_wire::{Configured, NotTaken, Offer};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Starts within which what is on trial has to prove itself.
pub(super) const STARTS: u32 = 3;
/// How often one is tried that was given up: the server may have been away for another reason.
pub(super) const TRIES: u32 = 3;
/// No file of ours is as large; bytes.
const MOST: u64 = 1 << 20;

/// The one that is good, the one that is on trial, and the one that was not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    good: Offer,
    trial: Option<Trial>,
    refused: Option<Refused>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trial {
    offer: Offer,
    /// How often the agent was started with it.
    starts: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    versions: Vec<u64>,
    why: String,
    /// How often it was given up; [`TRIES`] for one that can never be good.
    tries: u32,
}

impl Kept {
    /// The file's content. One that cannot be read is as none: the server says it again.
    pub(super) fn read(path: &Path) -> Self {
        let read = || -> io::Result<Self> {
            let mut bytes = Vec::new();
            File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
            let mut kept: Self = serde_json::from_slice(&bytes)?;
            // A program of another version may judge otherwise.
            let good = |offer: &Offer| bartizan_settings::read(&super::sources(offer)).is_ok();
            kept.trial = kept.trial.filter(|trial| good(&trial.offer));
            if !good(&kept.good) {
                kept.good = Offer::default();
            }
            Ok(kept)
        };
        match read() {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what the server said before is not known");
                Self::default()
            }
        }
    }

    /// Makes it durable, at once or not at all.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }

    /// What counts.
    pub(super) fn counts(&self) -> &Offer {
        self.trial.as_ref().map_or(&self.good, |trial| &trial.offer)
    }

    pub(super) const fn on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// One more start with what is on trial; false when that is one too many.
    pub(super) fn begin(&mut self) -> bool {
        let Some(trial) = &mut self.trial else { return true };
        trial.starts += 1;
        trial.starts <= STARTS || !self.give_up("the agent did not stay up with it")
    }

    /// Whether an offer is neither what counts, nor one that was refused for good.
    pub(super) fn wants(&self, offer: &Offer) -> bool {
        let refused = self.refused.as_ref();
        let never = refused.is_some_and(|r| r.tries >= TRIES && r.versions == offer.versions());
        !never && self.counts().versions() != offer.versions()
    }

    /// Lets an offer count until it is good or given up.
    pub(super) fn try_out(&mut self, offer: Offer) {
        // Back to what is good needs no proof.
        if offer == self.good {
            self.trial = None;
        } else {
            self.trial = Some(Trial { offer, starts: 0 });
        }
    }

    /// It can never be good.
    pub(super) fn refuse(&mut self, offer: &Offer, why: String) {
        self.refused = Some(Refused { versions: offer.versions(), why, tries: TRIES });
    }

    /// What is on trial is good, if these are its parts; whether anything changed.
    pub(super) fn prove(&mut self, versions: &[u64]) -> bool {
        let Some(trial) = self.trial.take_if(|trial| trial.offer.versions() == versions) else {
            return false;
        };
        (self.good, self.refused) = (trial.offer, None);
        true
    }

    /// What was good before counts again; whether anything was on trial.
    pub(super) fn give_up(&mut self, why: &str) -> bool {
        let Some(trial) = self.trial.take() else { return false };
        let versions = trial.offer.versions();
        let before = self.refused.take().filter(|refused| refused.versions == versions);
        let tries = before.map_or(0, |refused| refused.tries) + 1;
        self.refused = Some(Refused { versions, why: why.to_owned(), tries });
        true
    }

    /// The agent did not start: nothing of the server's counts at the next start but what was good before, if anything is
    /// on trial; whether that is a change. What else was wrong comes to light then, and the server says it again.
    pub(super) fn fail(&mut self, why: &str) -> bool {
        if self.give_up(why) {
            return true;
        }
        let good = std::mem::take(&mut self.good);
        let is_something = !good.parts.is_empty();
        if is_something {
            self.refused = Some(Refused { versions: good.versions(), why: why.to_owned(), tries: 1 });
        }
        is_something
    }

    /// As the server is told.
    pub(super) fn told(&self, held: Vec<String>, after_restart: Vec<String>) -> Configured {
        let refused = self.refused.as_ref().map(|refused| NotTaken {
            versions: refused.versions.clone(),
            why: refused.why.clone(),
            again: refused.tries < TRIES,
        });
        Configured { versions: self.counts().versions(), refused, held, after_restart }
    }
}
