//! Passwords: which are good enough, and their hashes.
//!
//! Rules of composition make passwords worse (NIST SP 800-63B); what counts is length, and that a password is not among
//! those that are tried first. Hashes are Argon2id with the parameters that OWASP names (19 MiB, 2 passes, 1 lane).

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Characters of a password.
const LEAST: usize = 12;
const MOST: usize = 128;
/// Hashes at a time: each takes a core for tens of milliseconds.
const AT_ONCE: usize = 2;
/// Hashes that wait for their turn.
const WAITING: usize = 32;

/// Those that are tried first.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    include_str!("../data/common.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// Too short.
    #[error("a password has at least {LEAST} characters")]
    Short,
    /// Too long.
    #[error("a password has at most {MOST} characters")]
    Long,
    /// Easily guessed.
    #[error(
        "this password is among the first that are tried: take some words that nobody would put together"
    )]
    Common,
}

/// Whether a password is good enough for a user.
pub(crate) fn check(password: &str, user: &str) -> Result<(), WeakPassword> {
    match password.chars().count() {
        n if n < LEAST => return Err(WeakPassword::Short),
        n if n > MOST => return Err(WeakPassword::Long),
        _ => {}
    }
    let lower = password.to_lowercase();
    if is_common(&lower, &user.to_lowercase()) { Err(WeakPassword::Common) } else { Ok(()) }
}

/// Whether a password, in lower case, is a common one, with some digits and signs around it perhaps, or of very little.
fn is_common(password: &str, user: &str) -> bool {
    // What is written for letters by those who were told to use digits and signs.
    let plain: String = password
        .chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            c => c,
        })
        .collect();
    let word = |text: &str| {
        let core = text.trim_matches(|c: char| !c.is_alphabetic());
        let known =
            |core: &str| COMMON.contains(core) || core == "bartizan" || (core == user && !user.is_empty());
        // A word twice is a word.
        let half = core.get(..core.len() / 2).filter(|half| core.strip_prefix(half) == Some(half));
        core.is_empty() || known(core) || half.is_some_and(known)
    };
    let distinct = password.chars().collect::<HashSet<_>>().len();
    COMMON.contains(password) || distinct < 5 || is_run(password) || word(password) || word(&plain)
}

/// Whether the characters follow one another, in the alphabet or on a keyboard.
fn is_run(password: &str) -> bool {
    const ROWS: &str =
        "qwertyuiop qwertzuiop asdfghjkl zxcvbnm yxcvbnm azertyuiop 01234567890 1qaz2wsx3edc4rfv5tgb6yhn7ujm";
    let pairs = password.chars().zip(password.chars().skip(1));
    let near = |(a, b): &(char, char)| {
        let (a, b) = (*a, *b);
        let step = i64::from(u32::from(b)) - i64::from(u32::from(a));
        let on_keys = |x: char, y: char| ROWS.contains(&format!("{x}{y}"));
        step.abs() <= 1 || on_keys(a, b) || on_keys(b, a)
    };
    let (all, run) = pairs.fold((0, 0), |(all, run), pair| (all + 1, run + usize::from(near(&pair))));
    run * 5 >= all * 4
}

/// Hashes and compares, a few at a time.
pub(crate) struct Hashing {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Compared with where there is no user, so that it takes as long.
    nobody: LazyLock<String>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: AtomicUsize::new(0),
            nobody: LazyLock::new(|| hash("nobody has this password").unwrap_or_default()),
        }
    }
}

/// Too many wait for their turn.
#[derive(Debug)]
pub(crate) struct Busy;

impl Hashing {
    /// The hash of a password.
    pub(crate) async fn hash(&self, password: &str) -> Result<Option<String>, Busy> {
        let password = password.to_owned();
        self.in_turn(move || hash(&password)).await
    }

    /// Whether a password has this hash; never, if there is none.
    pub(crate) async fn verify(&self, password: &str, known: Option<&str>) -> Result<bool, Busy> {
        let (password, is_known) = (password.to_owned(), known.is_some());
        let hash = known.map_or_else(|| self.nobody.clone(), str::to_owned);
        Ok(self.in_turn(move || verify(&password, &hash)).await? && is_known)
    }

    async fn in_turn<T: Send + Default + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let waits = Waits(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= AT_ONCE + WAITING {
            return Err(Busy);
        }
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            // Given back when the work is done, also if nobody waits for it any more.
            let _turn = turn;
            work()
        });
        let done = done.await;
        drop(waits);
        Ok(done.unwrap_or_default())
    }
}

/// One that waits or is worked on.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn hash(password: &str) -> Option<String> {
    argon2().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_are_tried_first_are_not_taken() {
        for (password, want) in [
            ("short", Err(WeakPassword::Short)),
            ("elevenchars", Err(WeakPassword::Short)),
            ("Password1234!", Err(WeakPassword::Common)),
            ("P@ssw0rd!!!!!!", Err(WeakPassword::Common)),
            ("passwordpassword", Err(WeakPassword::Common)),
            ("!!!iloveyou2026", Err(WeakPassword::Common)),
            ("123456789012", Err(WeakPassword::Common)),
            ("qwertyuiopas", Err(WeakPassword::Common)),
            ("aaaaaaaaaaaaaaa", Err(WeakPassword::Common)),
            ("abababababab", Err(WeakPassword::Common)),
            ("bartizan-2026", Err(WeakPassword::Common)),
            ("Anna.Lena-1999", Err(WeakPassword::Common)),
            ("pale horse under the wire", Ok(())),
            ("öäüß-wörter-ohne-sinn", Ok(())),
            ("9fQ2xkP0vTz7", Ok(())),
        ] {
            assert_eq!(check(password, "anna.lena"), want, "{password}");
        }
        assert_eq!(check(&"ab3x9".repeat(26), "x"), Err(WeakPassword::Long));
    }

    #[tokio::test]
    async fn a_hash_is_of_one_password_and_different_each_time() {
        let hashing = Hashing::default();
        let one = hashing.hash("pale horse under the wire").await.unwrap().unwrap();
        let two = hashing.hash("pale horse under the wire").await.unwrap().unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != two, "{one}");
        assert!(hashing.verify("pale horse under the wire", Some(&one)).await.unwrap());
        assert!(!hashing.verify("pale horse under the wir", Some(&one)).await.unwrap());
        assert!(!hashing.verify("nobody has this password", None).await.unwrap());
        assert!(!hashing.verify("", Some("no hash")).await.unwrap());
    }

    #[tokio::test]
    async fn those_that_wait_are_few() {
        let hashing = Arc::new(Hashing::default());
        let tries: Vec<_> = (0..100)
            .map(|_| {
                tokio::spawn({
                    let hashing = Arc::clone(&hashing);
                    async move { hashing.verify("x", None).await.is_err() }
                })
            })
            .collect();
        let mut busy = 0;
        for one in tries {
            busy += usize::from(one.await.unwrap());
        }
        assert!((100 - AT_ONCE - WAITING..100).contains(&busy) || busy == 100 - AT_ONCE - WAITING, "{busy}");
        assert_eq!(hashing.waiting.load(Ordering::Relaxed), 0);
        assert!(!hashing.verify("x", None).await.unwrap());
    }
}
