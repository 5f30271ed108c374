//! Who writes a lake, where no lock of a file system says it.
//!
//! Several writers harm no row (L4), but two servers of one fleet that do not know of each other would compact and keep
//! house against each other. So a server takes the object `_writer.json` and renews it. It is put only on the version
//! that was read, so of two that try only one succeeds.
//!
//! - Time is measured by who waits, on its own monotonic clock: a lease has ended when it was seen unchanged for [`TERM`].
//!   What two machines think the time is makes no difference.
//! - A holder that stopped in order has removed it; one that was killed takes its own again at once; of another that was
//!   killed a new one takes it after [`TERM`].
//! - A holder that was away for longer, and finds somebody else's name, has lost it ([`LeaseError::Lost`]) and must end.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutResult, UpdateVersion};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a lease counts after it was renewed last.
pub const TERM: Duration = Duration::from_secs(15);

const NAME: &str = "_writer.json";
/// Parts of a term in which somebody else's lease is looked at.
const LOOKS: u32 = 10;

/// A lease that is held.
#[derive(Debug)]
pub struct Lease {
    store: Arc<dyn ObjectStore>,
    held: Held,
    version: UpdateVersion,
    term: Duration,
}

/// What the object says. The turn makes each version another content, for stores whose tag is a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    owner: String,
    machine: String,
    turn: u64,
}

/// Why a lease is not held.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else holds it and renews it.
    #[error("the lake is in use by another server, on `{machine}`")]
    InUse {
        /// What that calls its machine.
        machine: String,
    },
    /// Somebody else took it, because it was not renewed for too long.
    #[error("the lake was taken over by another server, on `{machine}`")]
    Lost {
        /// What that calls its machine.
        machine: String,
    },
    /// The object is there and is no lease.
    #[error("`{NAME}` in the lake is not what a server writes there")]
    Strange(#[source] serde_json::Error),
    /// The store refused an operation.
    #[error("cannot {operation} `{NAME}`")]
    Store {
        /// What was tried, as a verb.
        operation: &'static str,
        /// Why not.
        source: Error,
    },
}

impl Lease {
    /// Takes the lease of a lake for an owner, who is the same after a restart, on a machine. Waits up to a term while
    /// it is not known whether another holder still lives.
    ///
    /// # Errors
    /// [`LeaseError::InUse`] if it does; or if the store fails.
    pub async fn take(store: Arc<dyn ObjectStore>, owner: &str, machine: &str) -> Result<Self, LeaseError> {
        Self::take_within(store, owner, machine, TERM).await
    }

    /// As [`Lease::take`], with another term.
    ///
    /// # Errors
    /// As [`Lease::take`].
    pub async fn take_within(
        store: Arc<dyn ObjectStore>,
        owner: &str,
        machine: &str,
        term: Duration,
    ) -> Result<Self, LeaseError> {
        let ours = |turn| Held { owner: owner.to_owned(), machine: machine.to_owned(), turn };
        // The version that is watched, and since when.
        let mut watched: Option<(UpdateVersion, Instant)> = None;
        loop {
            let Some((held, version)) = read(&*store).await? else {
                match put(&*store, &ours(0), PutMode::Create).await? {
                    Some(version) => return Ok(Self { store, held: ours(0), version, term }),
                    None => continue,
                }
            };
            let ended = match &watched {
                _ if held.owner == owner => true,
                Some((seen, since)) if *seen == version => since.elapsed() >= term,
                Some(_) => return Err(LeaseError::InUse { machine: held.machine }),
                None => {
                    watched = Some((version.clone(), Instant::now()));
                    false
                }
            };
            if !ended {
                tokio::time::sleep(term / LOOKS).await;
                continue;
            }
            let next = ours(held.turn.wrapping_add(1));
            if let Some(version) = put(&*store, &next, PutMode::Update(version)).await? {
                return Ok(Self { store, held: next, version, term });
            }
        }
    }

    /// How often it is to be renewed.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.term / 3
    }

    /// Lets it count for another term.
    ///
    /// # Errors
    /// [`LeaseError::Lost`], for good; [`LeaseError::Store`] if the store fails: it is still held, for a while.
    pub async fn renew(&mut self) -> Result<(), LeaseError> {
        let next = Held { turn: self.held.turn.wrapping_add(1), ..self.held.clone() };
        if let Some(version) = put(&*self.store, &next, PutMode::Update(self.version.clone())).await? {
            (self.held, self.version) = (next, version);
            return Ok(());
        }
        match read(&*self.store).await? {
            // A renewal of ours that was done and not answered.
            Some((held, version)) if held.owner == self.held.owner => {
                (self.held, self.version) = (held, version);
                Ok(())
            }
            Some((held, _)) => Err(LeaseError::Lost { machine: held.machine }),
            // Somebody removed it by hand.
            None => match put(&*self.store, &next, PutMode::Create).await? {
                Some(version) => {
                    (self.held, self.version) = (next, version);
                    Ok(())
                }
                None => Err(LeaseError::Lost { machine: "?".to_owned() }),
            },
        }
    }

    /// Gives it back, so that nobody waits.
    ///
    /// # Errors
    /// If the store fails; it ends by itself then.
    pub async fn release(self) -> Result<(), LeaseError> {
        match read(&*self.store).await? {
            Some((held, _)) if held.owner == self.held.owner => {
                let failed = |source| LeaseError::Store { operation: "delete", source };
                self.store.delete(&Path::from(NAME)).await.map_err(failed)
            }
            _ => Ok(()),
        }
    }
}

async fn read(store: &dyn ObjectStore) -> Result<Option<(Held, UpdateVersion)>, LeaseError> {
    let failed = |source| LeaseError::Store { operation: "read", source };
    let got = match store.get(&Path::from(NAME)).await {
        Err(Error::NotFound { .. }) => return Ok(None),
        other => other.map_err(failed)?,
    };
    let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
    let bytes = got.bytes().await.map_err(failed)?;
    Ok(Some((serde_json::from_slice(&bytes).map_err(LeaseError::Strange)?, version)))
}

/// The version that was put; nothing if the condition does not hold.
async fn put(
    store: &dyn ObjectStore,
    held: &Held,
    mode: PutMode,
) -> Result<Option<UpdateVersion>, LeaseError> {
    let text = serde_json::to_vec(held).map_err(LeaseError::Strange)?;
    let options = PutOptions { mode, ..PutOptions::default() };
    match store.put_opts(&Path::from(NAME), Bytes::from(text).into(), options).await {
        Ok(PutResult { e_tag, version, .. }) => Ok(Some(UpdateVersion { e_tag, version })),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(None),
        Err(source) => Err(LeaseError::Store { operation: "write", source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    /// Long enough for a busy machine where somebody renews, short where somebody is dead.
    const ALIVE: Duration = Duration::from_secs(6);
    const DEAD: Duration = Duration::from_millis(500);

    async fn take(store: &Arc<dyn ObjectStore>, owner: &str, term: Duration) -> Result<Lease, LeaseError> {
        Lease::take_within(Arc::clone(store), owner, &format!("machine of {owner}"), term).await
    }

    #[tokio::test]
    async fn the_second_is_refused_while_the_first_renews() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut first = take(&store, "a", ALIVE).await.unwrap();
        let renewing = tokio::spawn(async move {
            for _ in 0..6 {
                tokio::time::sleep(ALIVE / 12).await;
                first.renew().await.unwrap();
            }
            first
        });
        let error = take(&store, "b", ALIVE).await.unwrap_err().to_string();
        assert_eq!(error, "the lake is in use by another server, on `machine of a`");
        let first = renewing.await.unwrap();
        first.release().await.unwrap();
        // with this term it would wait for ever
        take(&store, "b", Duration::MAX).await.unwrap();
    }

    #[tokio::test]
    async fn a_dead_holder_is_followed_after_a_term_and_by_itself_at_once() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut dead = take(&store, "a", DEAD).await.unwrap();
        let mut again = take(&store, "a", Duration::MAX).await.unwrap();
        // what an older life of the same server holds is adopted, not lost
        dead.renew().await.unwrap();
        again.renew().await.unwrap();
        let start = Instant::now();
        let mut other = take(&store, "b", DEAD).await.unwrap();
        assert!(start.elapsed() >= DEAD);
        assert!(
            matches!(again.renew().await, Err(LeaseError::Lost { machine }) if machine == "machine of b")
        );
        again.release().await.unwrap();
        other.renew().await.unwrap();
    }

    #[tokio::test]
    async fn of_two_that_wait_for_a_dead_one_only_one_follows() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        take(&store, "dead", DEAD).await.unwrap();
        let (b, c) = tokio::join!(take(&store, "b", DEAD), take(&store, "c", DEAD));
        assert!(b.is_ok() != c.is_ok(), "{b:?} {c:?}");
    }
}
