//! The fleet's authorities: the one that counts, its successor while hosts learn of it, and those before.
//!
//! ```text
//! DIR/authority.key         the one that counts: it signs the server's certificate, and hosts'
//! DIR/authority.next.key    its successor, while there is one: it signs hosts' certificates
//! DIR/authority.before.pem  certificates of those before, and by which each vouched for the next, the newest first
//! DIR/ca.pem                certificates of the first two, for people and hosts
//! ```
//! An authority is followed by another in two steps, between which hosts renew their certificates and so learn of the
//! successor: [`Authorities::begin`] and [`Authorities::finish`]. Who was away in between is not lost: the server shows
//! how each authority vouched for the next, from any that a host may trust up to the one that counts; and hosts'
//! certificates of those before are still taken for what they say, which key is whose (see [`HostTrust`]).
//!
//! A crash in the middle of a step leaves the state before it, or the one after it.

use crate::{Authority, CaPin, HostTrust, Issued, PkiError, files, pem};
use bartizan_model::Micros;
use rustls_pki_types::CertificateDer;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

const CURRENT: &str = "authority.key";
const NEXT: &str = "authority.next.key";
const BEFORE: &str = "authority.before.pem";
/// Certificates of authorities before that are kept: two a step.
const MOST_BEFORE: usize = 16;

/// The files of a server's directory that hold the authorities, for whoever copies it.
pub const AUTHORITY_FILES: [&str; 3] = [CURRENT, NEXT, BEFORE];

/// The fleet's authorities in a directory. It is the only one that changes them there.
#[derive(Debug)]
pub struct Authorities {
    dir: PathBuf,
    state: RwLock<State>,
    hosts: Arc<HostTrust>,
}

#[derive(Clone, Debug)]
struct State {
    current: Arc<Authority>,
    next: Option<Arc<Authority>>,
    before: Vec<CertificateDer<'static>>,
}

impl State {
    fn roots(&self) -> Vec<CertificateDer<'static>> {
        let own = [Some(&self.current), self.next.as_ref()];
        let own = own.into_iter().flatten().map(|authority| authority.cert_der().clone());
        own.chain(self.before.iter().cloned()).collect()
    }

    fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| next.cert_pem()).unwrap_or_default();
        self.current.cert_pem() + &next
    }

    fn before_pem(&self) -> String {
        self.before.iter().map(|cert| pem::encode_cert(cert)).collect()
    }
}

impl Authorities {
    /// Those of a directory; the first one is made if there is none.
    ///
    /// # Errors
    /// If a file cannot be read or written, or is not what it should be.
    pub fn load_or_create(dir: &Path, now: Micros) -> Result<Arc<Self>, PkiError> {
        let current = Arc::new(files::load_or_create_authority(dir, now)?);
        let next = files::read(&dir.join(NEXT))?.map(|text| Authority::from_pem(&text)).transpose()?;
        let before = match files::read(&dir.join(BEFORE))? {
            Some(text) => pem::certs(&text, "the authorities before")?,
            None => Vec::new(),
        };
        let state = State { current, next: next.map(Arc::new), before };
        let hosts = HostTrust::new(&state.roots())?;
        let authorities = Self { dir: dir.to_owned(), state: RwLock::new(state), hosts };
        authorities.publish(&authorities.state())?;
        Ok(Arc::new(authorities))
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The copy for people and hosts, made again if it is lost or stale.
    fn publish(&self, state: &State) -> Result<(), PkiError> {
        let (path, bundle) = (self.dir.join("ca.pem"), state.bundle());
        if files::read(&path)?.as_deref() == Some(bundle.as_str()) {
            return Ok(());
        }
        files::write(&path, bundle.as_bytes(), 0o644)
    }

    /// The one that counts.
    #[must_use]
    pub fn current(&self) -> Arc<Authority> {
        self.state().current
    }

    /// Its successor, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<Arc<Authority>> {
        self.state().next
    }

    /// The one that signs hosts' certificates: the successor, if there is one.
    #[must_use]
    pub fn signer(&self) -> Arc<Authority> {
        let State { current, next, .. } = self.state();
        next.unwrap_or(current)
    }

    /// What a host is to trust, PEM.
    #[must_use]
    pub fn bundle_pem(&self) -> String {
        self.state().bundle()
    }

    /// Whose certificates of hosts are taken.
    #[must_use]
    pub fn hosts(&self) -> Arc<HostTrust> {
        Arc::clone(&self.hosts)
    }

    /// The server's certificate, as [`files::load_or_issue_server`]; with it goes how authorities vouched for each other.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn server(&self, names: &[String], now: Micros) -> Result<Issued, PkiError> {
        let state = self.state();
        let mut issued = files::load_or_issue_server(&self.dir, &state.current, names, now)?;
        issued.chain_pem.push_str(&state.before_pem());
        Ok(issued)
    }

    /// Makes a successor, which signs hosts' certificates from now on. One that is there already stays.
    ///
    /// # Errors
    /// If it cannot be made or kept; then nothing has changed.
    pub fn begin(&self, now: Micros) -> Result<CaPin, PkiError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = &state.next {
            return Ok(next.pin());
        }
        let next = Arc::new(Authority::create(now)?);
        let with = State { next: Some(Arc::clone(&next)), ..state.clone() };
        files::write(&self.dir.join(NEXT), next.reveal_pem().as_bytes(), 0o600)?;
        self.hosts.replace(&with.roots())?;
        self.publish(&with)?;
        *state = with;
        Ok(next.pin())
    }

    /// Lets the successor count, and the one before vouch for it. False if there is none. The server's certificate is to
    /// be made again after it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(&self, now: Micros) -> Result<bool, PkiError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(next) = state.next.clone() else { return Ok(false) };
        let mut before = vec![state.current.vouch_for(&next, now)?, state.current.cert_der().clone()];
        before.extend(state.before.iter().cloned());
        before.truncate(MOST_BEFORE);
        let with = State { current: next, next: None, before };
        // First what was: alone it only says more than needed. Then the successor takes the place, at once.
        files::write(&self.dir.join(BEFORE), with.before_pem().as_bytes(), 0o644)?;
        files::take_place(&self.dir.join(NEXT), &self.dir.join(CURRENT))?;
        self.hosts.replace(&with.roots())?;
        self.publish(&with)?;
        *state = with;
        Ok(true)
    }
}
