//! Sessions of browsers: in memory, where every request looks, and in the catalog, which is there after a restart.
//!
//! - A session ends [`IDLE`] after its last use, [`LIFE`] after it was made, when somebody ends it, and with its maker.
//!   What is being answered to it counts as use, so that a display on a wall stays on.
//! - There are [`MOST`]; one more ends the oldest.
//! - Of the secret only the hash is kept.
//! - The last use is written when it is [`WRITE`] later than what is written; a crash makes a session that much older.
//!
//! One process has the catalog (the lock of the server's directory), so that memory is never behind it.

use async_trait::async_trait;
use bartizan_api::{NewSession, OpenSession, Session, SessionInfo, Sessions, Unavailable};
use bartizan_catalog::{Catalog, CatalogError, Session as Kept};
use bartizan_model::Micros;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

const MINUTE: i64 = 60_000_000;
/// A session that is not used ends.
const IDLE: i64 = 12 * 60 * MINUTE;
/// Every session ends.
const LIFE: i64 = 7 * 24 * 60 * MINUTE;
/// How far what is written of its use may lag behind.
const WRITE: i64 = MINUTE;
/// How many there are.
const MOST: usize = 10_000;
/// How often those that have ended are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// A session in memory. Dropped, it tells whoever is being answered that it has ended.
struct Open {
    kept: Kept,
    /// Later than what is written.
    used: Micros,
    alive: watch::Sender<bool>,
}

impl Open {
    fn of(kept: Kept) -> Self {
        Self { used: kept.used, kept, alive: watch::Sender::new(false) }
    }

    fn has_ended(&self, now: Micros) -> bool {
        now.0 >= self.used.0.saturating_add(IDLE) || now.0 >= self.until().0
    }

    fn until(&self) -> Micros {
        Micros(self.kept.created.0.saturating_add(LIFE))
    }

    /// Notes the use; whether that is to be written.
    fn is_used(&mut self, now: Micros) -> bool {
        self.used = self.used.max(now);
        let write = self.used.0 >= self.kept.used.0.saturating_add(WRITE);
        if write {
            self.kept.used = self.used;
        }
        write
    }
}

/// All sessions of a server.
pub(crate) struct Browsers {
    catalog: Catalog,
    clock: fn() -> Micros,
    open: Mutex<HashMap<[u8; 32], Open>>,
}

impl Browsers {
    /// The sessions that the catalog has of those who may still ask; the others end.
    pub(crate) async fn load(
        catalog: Catalog,
        knows: impl Fn(&str) -> bool,
        clock: fn() -> Micros,
    ) -> Result<Self, CatalogError> {
        let mut open = HashMap::new();
        for kept in catalog.sessions().await? {
            let session = Open::of(kept);
            if session.has_ended(clock()) || !knows(&session.kept.who) {
                catalog.end_session(&session.kept.name).await?;
            } else {
                open.insert(session.kept.hash, session);
            }
        }
        Ok(Self { catalog, clock, open: Mutex::new(open) })
    }

    /// Until it is to stop: ends what has ended.
    pub(crate) async fn keep(&self, mut stop: watch::Receiver<bool>) {
        loop {
            let stopping = tokio::select! {
                () = tokio::time::sleep(SWEEP) => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if stopping {
                return;
            }
            self.sweep().await;
        }
    }

    async fn sweep(&self) {
        let now = (self.clock)();
        let (mut ended, mut used) = (Vec::new(), Vec::new());
        self.all().retain(|hash, session| {
            if session.alive.receiver_count() > 0 && session.is_used(now) {
                used.push(*hash);
            }
            let over = session.has_ended(now);
            if over {
                ended.push(session.kept.name.clone());
            }
            !over
        });
        for hash in used {
            noted(self.catalog.use_session(&hash, now).await);
        }
        for name in ended {
            noted(self.catalog.end_session(&name).await);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more; who has to go.
    fn evicted(&self) -> Vec<String> {
        let mut open = self.all();
        let mut gone = Vec::new();
        while open.len() >= MOST {
            let oldest =
                open.values().min_by_key(|session| session.kept.created).map(|session| session.kept.hash);
            let Some(session) = oldest.and_then(|hash| open.remove(&hash)) else { break };
            gone.push(session.kept.name);
        }
        gone
    }
}

/// What is not written is only older after a restart.
fn noted<T>(written: Result<T, CatalogError>) {
    if let Err(error) = written {
        tracing::warn!(%error, "the catalog lags behind");
    }
}

fn unavailable(error: CatalogError) -> Unavailable {
    Unavailable(Box::new(error))
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[async_trait]
impl Sessions for Browsers {
    async fn open(&self, new: NewSession) -> Result<OpenSession, Unavailable> {
        let (mut secret, mut name) = ([0; 32], [0; 8]);
        for bytes in [&mut secret[..], &mut name[..]] {
            getrandom::fill(bytes).map_err(|error| Unavailable(Box::new(error)))?;
        }
        let (secret, name) = (BASE64URL_NOPAD.encode(&secret), HEXLOWER.encode(&name));
        let now = (self.clock)();
        let NewSession { who, address, browser } = new;
        let kept = Kept { hash: hash(&secret), name, who, created: now, used: now, address, browser };
        for name in self.evicted() {
            self.catalog.end_session(&name).await.map_err(unavailable)?;
        }
        self.catalog.add_session(&kept).await.map_err(unavailable)?;
        self.all().insert(kept.hash, Open::of(kept));
        Ok(OpenSession { secret, seconds: (LIFE / 1_000_000).cast_unsigned() })
    }

    async fn used(&self, secret: &str) -> Option<Session> {
        let (now, hash) = ((self.clock)(), hash(secret));
        let (session, write) = {
            let mut open = self.all();
            let session = open.get_mut(&hash).filter(|session| !session.has_ended(now))?;
            let write = session.is_used(now);
            let told = Session {
                name: session.kept.name.clone(),
                who: session.kept.who.clone(),
                since: session.kept.created,
                until: session.until(),
                ended: session.alive.subscribe(),
            };
            (told, write)
        };
        if write {
            noted(self.catalog.use_session(&hash, now).await);
        }
        Some(session)
    }

    async fn end(&self, name: &str) -> Result<bool, Unavailable> {
        // First where requests look: a catalog that cannot be written keeps nobody signed in.
        let was_open = {
            let mut open = self.all();
            let hash =
                open.values().find(|session| session.kept.name == name).map(|session| session.kept.hash);
            hash.and_then(|hash| open.remove(&hash)).map(|session| session.alive.send_replace(true)).is_some()
        };
        let was_kept = self.catalog.end_session(name).await.map_err(unavailable)?;
        Ok(was_open || was_kept)
    }

    async fn end_of(&self, who: &str, but: Option<&str>) -> Result<(), Unavailable> {
        let names: Vec<_> = {
            let open = self.all();
            let his = open.values().filter(|session| session.kept.who.eq_ignore_ascii_case(who));
            his.map(|session| session.kept.name.clone()).filter(|name| Some(name.as_str()) != but).collect()
        };
        for name in names {
            self.end(&name).await?;
        }
        Ok(())
    }

    fn list(&self) -> Vec<SessionInfo> {
        let now = (self.clock)();
        let info = |session: &Open| SessionInfo {
            name: session.kept.name.clone(),
            // Which of the directory's tokens it was is nobody's concern.
            who: if session.kept.who.starts_with("local:") {
                "local".into()
            } else {
                session.kept.who.clone()
            },
            since: session.kept.created,
            used: session.used,
            until: session.until(),
            address: session.kept.address.clone(),
            browser: session.kept.browser.clone(),
        };
        let mut list: Vec<_> =
            self.all().values().filter(|session| !session.has_ended(now)).map(info).collect();
        list.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.name.cmp(&b.name)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// A clock for each test, which is set in minutes: a function has no state of its own.
    macro_rules! clock {
        ($clock:ident, $set:ident) => {
            static NOW: AtomicI64 = AtomicI64::new(0);
            let $clock: fn() -> Micros = || Micros(NOW.load(Ordering::SeqCst));
            let $set = |minutes: i64| NOW.store(minutes * MINUTE, Ordering::SeqCst);
        };
    }

    const WHO: &str = "anna";

    fn new() -> NewSession {
        NewSession { who: WHO.to_owned(), address: "192.0.2.1".to_owned(), browser: "B".to_owned() }
    }

    async fn catalog() -> (tempfile::TempDir, Catalog) {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&dir.path().join("catalog.db")).await.unwrap();
        (dir, catalog)
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_not_used_and_after_a_week() {
        clock!(clock, at);
        let (_dir, catalog) = catalog().await;
        let browsers = Browsers::load(catalog.clone(), |_| true, clock).await.unwrap();
        at(0);
        let idle = browsers.open(new()).await.unwrap().secret;
        let busy = browsers.open(new()).await.unwrap().secret;
        for hours in (0..7 * 24).step_by(11) {
            at(hours * 60);
            assert!(browsers.used(&busy).await.is_some(), "after {hours} hours");
            assert_eq!(browsers.used("other").await.map(|s| s.name), None);
        }
        assert!(browsers.used(&idle).await.is_none());
        at(7 * 24 * 60 - 1);
        let session = browsers.used(&busy).await.unwrap();
        assert_eq!((session.since, session.until), (Micros(0), Micros(LIFE)));
        assert_eq!(browsers.list().len(), 1);
        at(7 * 24 * 60);
        assert!(browsers.used(&busy).await.is_none());
        assert!(browsers.list().is_empty());
        browsers.sweep().await;
        assert_eq!(catalog.sessions().await.unwrap(), []);
        assert!(session.ended.has_changed().is_err(), "who is being answered is told");
    }

    #[tokio::test]
    async fn what_is_being_answered_is_use_and_writes_are_few() {
        clock!(clock, at);
        let (_dir, catalog) = catalog().await;
        let browsers = Browsers::load(catalog.clone(), |_| true, clock).await.unwrap();
        let secret = browsers.open(new()).await.unwrap().secret;
        NOW.store(MINUTE - 1, Ordering::SeqCst);
        let tail = browsers.used(&secret).await.unwrap();
        let written = async || catalog.sessions().await.unwrap()[0].used;
        assert_eq!(written().await, Micros(0));
        assert_eq!(browsers.list()[0].used, Micros(MINUTE - 1));
        at(1);
        drop(browsers.used(&secret).await.unwrap());
        assert_eq!(written().await, Micros(MINUTE));
        for hours in (0..48).step_by(6) {
            at(hours * 60);
            browsers.sweep().await;
        }
        assert_eq!(written().await, Micros(42 * 60 * MINUTE));
        drop(tail);
        at(54 * 60);
        browsers.sweep().await;
        assert_eq!(catalog.sessions().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_restart_keeps_sessions_of_those_who_may_ask_and_no_secret_is_kept() {
        let (dir, catalog) = catalog().await;
        clock!(clock, at);
        at(1);
        let browsers = Browsers::load(catalog.clone(), |_| true, clock).await.unwrap();
        let secret = browsers.open(new()).await.unwrap().secret;
        let other = browsers.open(NewSession { who: "berta".to_owned(), ..new() }).await.unwrap().secret;
        let browsers = Browsers::load(catalog.clone(), |who| who == WHO, clock).await.unwrap();
        let session = browsers.used(&secret).await.unwrap();
        assert!(browsers.used(&other).await.is_none());
        assert_eq!(catalog.sessions().await.unwrap().len(), 1);
        assert!(!*session.ended.borrow());
        assert!(browsers.end(&session.name).await.unwrap() && !browsers.end(&session.name).await.unwrap());
        assert!(*session.ended.borrow());
        assert!(browsers.used(&secret).await.is_none());
        catalog.close().await;
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }

    #[tokio::test]
    async fn all_of_somebody_end_but_one() {
        clock!(clock, at);
        let (_dir, catalog) = catalog().await;
        at(0);
        let browsers = Browsers::load(catalog.clone(), |_| true, clock).await.unwrap();
        let [this, other] = [browsers.open(new()).await.unwrap(), browsers.open(new()).await.unwrap()];
        let of_other = browsers.open(NewSession { who: "berta".to_owned(), ..new() }).await.unwrap();
        let kept = browsers.used(&this.secret).await.unwrap().name;
        browsers.end_of("Anna", Some(&kept)).await.unwrap();
        assert!(browsers.used(&this.secret).await.is_some() && browsers.used(&other.secret).await.is_none());
        browsers.end_of("anna", None).await.unwrap();
        assert!(
            browsers.used(&this.secret).await.is_none() && browsers.used(&of_other.secret).await.is_some()
        );
    }

    #[tokio::test]
    async fn one_more_than_there_may_be_ends_the_oldest() {
        clock!(clock, at);
        let (_dir, catalog) = catalog().await;
        let browsers = Browsers::load(catalog.clone(), |_| true, clock).await.unwrap();
        at(0);
        let first = browsers.open(new()).await.unwrap().secret;
        at(1);
        let second = browsers.open(new()).await.unwrap().secret;
        // Filled by hand: the disk need not see ten thousand.
        for n in 0..MOST - 2 {
            let hash = hash(&n.to_string());
            let (created, used) = (Micros(2 * MINUTE), Micros(2 * MINUTE));
            let (address, browser) = (String::new(), String::new());
            let kept =
                Kept { hash, name: n.to_string(), who: WHO.to_owned(), created, used, address, browser };
            browsers.all().insert(hash, Open::of(kept));
        }
        at(3);
        browsers.open(new()).await.unwrap();
        assert!(browsers.used(&first).await.is_none() && browsers.used(&second).await.is_some());
        assert_eq!((browsers.list().len(), catalog.sessions().await.unwrap().len()), (MOST, 2));
    }
}
