//! The audit log: what was done, by whom, from where, in a chain of hashes.
//!
//! The hash of an entry is SHA-256 over the hash of the entry before it and over each of its parts with its length. So
//! who changes, removes or puts in an entry has to make all later ones anew, and whoever has noted one of their hashes
//! sees it. Entries are told to the log of the program, too (target `audit`), from where syslog takes them off the host.

use crate::PeopleError;
use bartizan_catalog::{AuditEntry, AuditPage, Catalog, NewAudit};
use bartizan_model::Micros;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Bytes of each part.
const PART: usize = 4096;
/// Entries that are read at once.
const PIECE: u32 = 1000;

/// Something that somebody does.
#[derive(Clone, Debug, Default)]
pub struct Deed {
    /// Who.
    pub who: String,
    /// From where.
    pub address: Option<String>,
    /// What.
    pub what: &'static str,
    /// To what, or with what.
    pub about: Option<String>,
    /// As it was, in JSON.
    pub old: Option<String>,
    /// As it is now, in JSON.
    pub new: Option<String>,
}

/// What a look through the log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Entries that were looked at.
    pub entries: u64,
    /// The first of which something is wrong.
    pub broken_at: Option<i64>,
    /// The hash of the last, in hex: noted elsewhere, it shows that nothing before it was changed.
    pub head: String,
}

/// Writes and reads the log.
#[derive(Clone, Debug)]
pub struct Trail {
    catalog: Catalog,
    clock: fn() -> Micros,
}

impl Trail {
    pub(crate) const fn new(catalog: Catalog, clock: fn() -> Micros) -> Self {
        Self { catalog, clock }
    }

    /// Writes an entry; it is on disk when this returns.
    ///
    /// # Errors
    /// If the catalog cannot be written.
    pub async fn note(&self, deed: Deed) -> Result<AuditEntry, PeopleError> {
        let Deed { who, address, what, about, old, new } = deed;
        let entry = NewAudit {
            who,
            address,
            what: what.to_owned(),
            about: about.map(shortened),
            old: old.map(shortened),
            new: new.map(shortened),
        };
        let hash = |before: &[u8; 32], id, at| hash(before, id, at, &entry);
        let written = self.catalog.add_audit(&entry, (self.clock)(), hash).await?;
        let NewAudit { who, address, what, about, old, new } = entry;
        let hash = HEXLOWER.encode(&written.hash);
        tracing::info!(target: "audit", id = written.id, who, address, what, about, old, new, hash, "done");
        Ok(written)
    }

    /// Entries, the newest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn read(&self, page: &AuditPage) -> Result<Vec<AuditEntry>, PeopleError> {
        Ok(self.catalog.audit(page).await?)
    }

    /// Looks through all of it.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn verify(&self) -> Result<Verified, PeopleError> {
        let (mut id, mut before, mut at) = (0, [0; 32], Micros(i64::MIN));
        loop {
            let entries = self.catalog.audit_behind(id, PIECE).await?;
            if entries.is_empty() {
                let entries = u64::try_from(id).unwrap_or_default();
                return Ok(Verified { entries, broken_at: None, head: HEXLOWER.encode(&before) });
            }
            for AuditEntry { id: next, at: then, entry, hash: told } in entries {
                let whole = next == id + 1 && then >= at && told == hash(&before, next, then, &entry);
                if !whole {
                    let (entries, head) = (u64::try_from(id).unwrap_or_default(), HEXLOWER.encode(&before));
                    return Ok(Verified { entries, broken_at: Some(id + 1), head });
                }
                (id, before, at) = (next, told, then);
            }
        }
    }
}

fn hash(before: &[u8; 32], id: i64, at: Micros, entry: &NewAudit) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update(id.to_be_bytes());
    hasher.update(at.0.to_be_bytes());
    let NewAudit { who, address, what, about, old, new } = entry;
    for part in [Some(who), address.as_ref(), Some(what), about.as_ref(), old.as_ref(), new.as_ref()] {
        // A part that is missing is not one that is empty.
        hasher.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        hasher.update(part.map_or(&[] as &[u8], |part| part.as_bytes()));
    }
    hasher.finalize().into()
}

fn shortened(text: String) -> String {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > PART) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
