//! Keys and certificates on disk. The one module here that touches files.
//!
//! ```text
//! server directory:  authority.key (certificate and key, 0600; more in `authorities`)  server.key (chain and key, 0600)
//! host directory:    host.key (0600)  host.pem  ca.pem
//! ```
//! Every file is written beside its place, fsynced, and moved there with its folder fsynced: a file is
//! whole or absent at any power cut. A certificate and its key are in one file where they belong together,
//! so that one is never there without the other. `authority.key` is made only if it is absent, so that two
//! servers started at once end up with one authority.

use crate::{Authority, HostKey, Issued, PkiError, pem, x509};
use bartizan_model::Micros;
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Days that the server's certificate lasts; it is renewed when a third is left.
pub const SERVER_DAYS: u32 = 90;
const MAX_FILE: u64 = 1 << 20;

/// The fleet's authority in this directory; made there if it is not there yet.
///
/// # Errors
/// If a file cannot be read or written, or is not what it should be. It is never made anew then.
pub fn load_or_create_authority(dir: &Path, now: Micros) -> Result<Authority, PkiError> {
    let path = dir.join("authority.key");
    if let Some(text) = read(&path)? {
        return Authority::from_pem(&text);
    }
    let new = Authority::create(now)?;
    if write_new(&path, new.reveal_pem().as_bytes(), 0o600)? {
        return Ok(new);
    }
    Authority::from_pem(&read(&path)?.ok_or_else(|| absent(&path))?)
}

/// The server's certificate in this directory; made anew if it is absent, damaged, of another authority,
/// for other names, or two thirds of its time are over.
///
/// # Errors
/// If a file cannot be read or written.
pub fn load_or_issue_server(
    dir: &Path,
    authority: &Authority,
    names: &[String],
    now: Micros,
) -> Result<Issued, PkiError> {
    let path = dir.join("server.key");
    if let Some(text) = read(&path)?
        && let Some(issued) = still_good(&text, authority, names, now)
    {
        return Ok(issued);
    }
    let issued = authority.issue_server(names, now, SERVER_DAYS)?;
    write(&path, format!("{}{}{}", stamp(names), issued.chain_pem, issued.key_pem).as_bytes(), 0o600)?;
    Ok(issued)
}

/// When to call [`load_or_issue_server`] again: when two thirds of the time are over.
#[must_use]
pub fn server_renewal(issued: &Issued) -> Micros {
    Micros(issued.not_after.0.saturating_sub(i64::from(SERVER_DAYS) * Micros::DAY / 3))
}

// The names are kept as a comment line before the PEM, which says what the certificate was asked for.
fn stamp(names: &[String]) -> String {
    format!("# names: {}\n", names.join(" "))
}

fn still_good(text: &str, authority: &Authority, names: &[String], now: Micros) -> Option<Issued> {
    let rest = text.strip_prefix(&stamp(names))?;
    let certs = pem::certs(rest, "the server's certificate").ok()?;
    let info = x509::cert_info(certs.first()?).ok()?;
    let same_authority = certs.get(1)? == authority.cert_der();
    let key_at = rest.find("-----BEGIN PRIVATE KEY-----")?;
    let (chain, key) = rest.split_at(key_at);
    let issued = Issued { chain_pem: chain.into(), key_pem: key.into(), not_after: info.not_after };
    let in_time = info.not_before <= now && now < server_renewal(&issued);
    let whole = crate::ServerCertificate::new(&issued.chain_pem, &issued.key_pem).is_ok();
    (same_authority && in_time && whole).then_some(issued)
}

/// A host's identity as it lies on its disk.
#[derive(Debug)]
pub struct HostFiles {
    dir: PathBuf,
}

/// What an enrolled host has.
pub struct Identity {
    /// The host's key, PEM. Secret.
    pub key_pem: String,
    /// Its certificate, PEM.
    pub cert_pem: String,
    /// The fleet's authority, PEM.
    pub ca_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl HostFiles {
    /// In this directory, which must exist.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The host's key; made if it is not there yet. Enrolling again uses the same key, so that a host
    /// whose enrolment broke off half-way stays one host.
    ///
    /// # Errors
    /// If a file cannot be read or written, or is not a key.
    pub fn load_or_create_key(&self) -> Result<HostKey, PkiError> {
        let path = self.dir.join("host.key");
        if let Some(text) = read(&path)? {
            return HostKey::from_pem(&text);
        }
        let new = HostKey::generate()?;
        if write_new(&path, new.reveal_pem().as_bytes(), 0o600)? {
            return Ok(new);
        }
        HostKey::from_pem(&read(&path)?.ok_or_else(|| absent(&path))?)
    }

    /// Keeps a certificate (PEM) and the authority that signed it.
    ///
    /// # Errors
    /// If the certificate is not for the key here, or a file cannot be written.
    pub fn save(&self, cert_pem: &str, ca_pem: &str) -> Result<(), PkiError> {
        const WHAT: &str = "the host's certificate";
        let key = self.load_or_create_key()?;
        if x509::host_id_of_cert(&pem::cert(cert_pem, WHAT)?)? != key.id() {
            return Err(PkiError::KeyMismatch(WHAT));
        }
        // Authority first: host.pem is what says that the host is enrolled.
        write(&self.dir.join("ca.pem"), ca_pem.as_bytes(), 0o644)?;
        write(&self.dir.join("host.pem"), cert_pem.as_bytes(), 0o644)
    }

    /// What is there, if the host is enrolled.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn load(&self) -> Result<Option<Identity>, PkiError> {
        let part = |name: &str| read(&self.dir.join(name));
        let (key, cert, ca) = (part("host.key")?, part("host.pem")?, part("ca.pem")?);
        Ok(match (key, cert, ca) {
            (Some(key_pem), Some(cert_pem), Some(ca_pem)) => Some(Identity { key_pem, cert_pem, ca_pem }),
            _ => None,
        })
    }
}

impl Identity {
    /// Whether it trusts the authority with this pin.
    #[must_use]
    pub fn trusts(&self, pin: crate::CaPin) -> bool {
        pem::certs(&self.ca_pem, "the authority's certificate")
            .is_ok_and(|cas| cas.iter().any(|ca| crate::CaPin::of_cert(ca) == pin))
    }

    /// What its certificate says.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn info(&self) -> Result<x509::CertInfo, PkiError> {
        x509::cert_info(&pem::cert(&self.cert_pem, "the host's certificate")?)
    }
}

pub(crate) fn read(path: &Path) -> Result<Option<String>, PkiError> {
    let fail = |source| PkiError::File { operation: "read", path: path.into(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e)),
    };
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(fail)?;
    Ok(Some(text))
}

/// Writes or replaces a file at once.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let fail = |source| PkiError::File { operation: "write", path: path.into(), source };
    let beside = write_beside(path, bytes, mode).map_err(fail)?;
    fs::rename(&beside, path).and_then(|()| sync_folder(path)).map_err(fail)
}

/// Puts a file in the place of another, at once.
pub(crate) fn take_place(from: &Path, to: &Path) -> Result<(), PkiError> {
    let fail = |source| PkiError::File { operation: "write", path: to.into(), source };
    fs::rename(from, to).and_then(|()| sync_folder(to)).map_err(fail)
}

/// Writes a file only if it is absent; false if it is there.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, PkiError> {
    let fail = |source| PkiError::File { operation: "create", path: path.into(), source };
    let beside = write_beside(path, bytes, mode).map_err(fail)?;
    // A hard link is the one move that does not replace what is there.
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside).map_err(fail)?;
    match linked {
        Ok(()) => sync_folder(path).map(|()| true).map_err(fail),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(fail(e)),
    }
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| std::io::Error::other(e.to_string()))?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", data_encoding::HEXLOWER.encode(&random)));
    let beside = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(e) = written {
        // Best effort: the error that matters is the one of the write.
        drop(fs::remove_file(&beside));
        return Err(e);
    }
    Ok(beside)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn absent(path: &Path) -> PkiError {
    PkiError::File { operation: "read", path: path.into(), source: ErrorKind::NotFound.into() }
}
