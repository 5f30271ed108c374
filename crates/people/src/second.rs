//! The second factor: one-time passwords by the time (RFC 6238; SHA-1, six digits, 30 seconds, as every app has them).

use crate::{People, PeopleError, Refused};
use bartizan_model::Micros;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::PoisonError;
use totp_rs::{Algorithm, Builder, Secret, Totp};

/// How long somebody may take to show that his app has the secret.
const PATIENCE: i64 = 10 * 60 * 1_000_000;
/// How many may be at it.
const AT_ONCE: usize = 256;

/// Secrets that nobody has confirmed yet, by user.
pub(crate) type Pending = HashMap<String, (Vec<u8>, Micros)>;

/// A secret for an app.
#[derive(Clone, Serialize)]
pub struct Enrolling {
    /// In base32, to be typed.
    pub secret: String,
    /// `otpauth://…`, to be scanned.
    pub uri: String,
}

impl std::fmt::Debug for Enrolling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolling")
    }
}

fn totp(secret: &[u8]) -> Totp {
    let builder =
        Builder::new().with_algorithm(Algorithm::SHA1).with_digits(6).with_skew(1).with_step_duration(30);
    builder.with_secret(secret.to_vec()).build_noncompliant()
}

/// The step of which a code is, if it is one of now and of none before.
pub(crate) fn step_of(secret: &[u8], code: &str, last: i64, now: Micros) -> Option<i64> {
    let seconds = u64::try_from(now.0 / 1_000_000).ok()?;
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let step = i64::try_from(totp(secret).check(&code, seconds)?).ok()?;
    (step > last).then_some(step)
}

impl People {
    /// Begins a second factor: it counts once a code of it was shown.
    ///
    /// # Errors
    /// If the password is wrong, or there is no such user.
    pub async fn begin_second(&self, name: &str, password: &str) -> Result<Enrolling, PeopleError> {
        self.knows_password(name, password).await?;
        let mut secret = vec![0; 20];
        getrandom::fill(&mut secret).map_err(|_| PeopleError::Random)?;
        let base32 = Secret::from(secret.clone()).to_base32();
        let uri = format!("otpauth://totp/Bartizan:{name}?secret={base32}&issuer=Bartizan");
        let now = self.now();
        let mut pending = self.enrolling.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|_, (_, since)| now.0 < since.0 + PATIENCE);
        if pending.len() >= AT_ONCE {
            return Err(PeopleError::Refused(Refused::Busy));
        }
        pending.insert(name.to_ascii_lowercase(), (secret, now));
        Ok(Enrolling { secret: base32, uri })
    }

    /// Lets the second factor count that was begun.
    ///
    /// # Errors
    /// If none was, lately, or the code is not of it.
    pub async fn confirm_second(&self, name: &str, code: &str) -> Result<(), PeopleError> {
        let now = self.now();
        let begun = {
            let pending = self.enrolling.lock().unwrap_or_else(PoisonError::into_inner);
            pending.get(&name.to_ascii_lowercase()).filter(|(_, since)| now.0 < since.0 + PATIENCE).cloned()
        };
        let Some((secret, _)) = begun else { return Err(PeopleError::NotBegun) };
        let step = step_of(&secret, code, 0, now).ok_or(PeopleError::Refused(Refused::Wrong))?;
        self.changed(name, |user| (user.totp, user.totp_step) = (Some(secret), step)).await?;
        self.enrolling.lock().unwrap_or_else(PoisonError::into_inner).remove(&name.to_ascii_lowercase());
        Ok(())
    }

    /// Ends the second factor.
    ///
    /// # Errors
    /// If the password is wrong, or there is no such user.
    pub async fn remove_second(&self, name: &str, password: &str) -> Result<(), PeopleError> {
        self.knows_password(name, password).await?;
        self.changed(name, |user| (user.totp, user.totp_step) = (None, 0)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, SHA-1: the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc_and_count_once() {
        let secret = b"12345678901234567890";
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let now = Micros(seconds * 1_000_000);
            assert_eq!(step_of(secret, code, 0, now), Some(seconds / 30), "{seconds}");
            assert_eq!(step_of(secret, code, seconds / 30, now), None, "used");
            let late = Micros(now.0 + 30_000_000);
            assert_eq!(step_of(secret, code, 0, late), Some(seconds / 30), "a slow typist");
            assert_eq!(step_of(secret, code, 0, Micros(now.0 + 90_000_000)), None);
        }
        for bad in ["", "28708", "2870822", "28708x", "٢٨٧٠٨٢"] {
            assert_eq!(step_of(secret, bad, 0, Micros(59_000_000)), None, "{bad}");
        }
        assert_eq!(step_of(secret, " 287 082 ", 0, Micros(59_000_000)), Some(1));
    }
}
