//! Imports: each a stream whose numbers are positions in its source.
//!
//! Invariants:
//! - A batch is taken only from the session that opened the import last, and only if it begins where its table has
//!   the import up to; so the rows of a stream have no gap and no overlap, whoever is killed when.
//! - A position is told as committed when every table that the source feeds has committed it.

use async_trait::async_trait;
use bartizan_api::{
    ContentCheck, Finish, ImportError, ImportInfo, Imports, Mark, NewImport, OpenImport, Piece, Unavailable,
};
use bartizan_catalog::{Catalog, CatalogError, Check, Import};
use bartizan_ingest::Ingest;
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Seq, StreamId};
use bartizan_wire::{Limits, Sink as _, decode_collected, messages};
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of content that tell one source from another.
const HEAD: usize = 1024;
/// Characters of names.
const NAME: usize = 4096;
/// Imports that are listed.
const LISTED: u32 = 1000;
/// How long a client waits for a commit before it asks again.
const WAIT: Duration = Duration::from_secs(20);
/// Offsets up to which contents are compared.
const LANDMARKS: usize = 32;
/// Sources with the same beginning that are told apart.
const VARIANTS: u32 = 1000;

/// Who delivers an import.
#[derive(Debug)]
struct Session {
    number: u64,
    kinds: Vec<Kind>,
}

type Sessions = HashMap<HostId, Arc<tokio::sync::Mutex<Session>>>;

/// Takes imports into the lake.
pub(crate) struct Importer {
    catalog: Catalog,
    ingest: Arc<Ingest>,
    sessions: Mutex<Sessions>,
    next: AtomicU64,
}

impl Importer {
    pub(crate) fn new(catalog: Catalog, ingest: Arc<Ingest>) -> Self {
        // sessions of another life of the server are none of this one's
        let start = bartizan_clock::now().0.unsigned_abs() << 8 & (u64::MAX >> 12);
        Self { catalog, ingest, sessions: Mutex::default(), next: AtomicU64::new(start) }
    }

    fn session(&self, import: HostId) -> Option<Arc<tokio::sync::Mutex<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&import).map(Arc::clone)
    }

    /// The import that a source is: a known one with the same beginning, else a new one.
    async fn identify(&self, new: &NewImport) -> Result<Identified, ImportError> {
        let wrong = |text: &str| ImportError::Wrong(text.to_owned());
        let (head, named) = match (&new.head, &new.named) {
            (Some(head), None) => {
                (BASE64.decode(head.as_bytes()).map_err(|_| wrong("`head` is not base64"))?, None)
            }
            (None, Some(named)) => (Vec::new(), Some(named)),
            _ => return Err(wrong("either `head` or `named` identifies a source")),
        };
        let landmarks = new.landmarks.iter().map(landmark).collect::<Result<Vec<_>, _>>()?;
        if let Some(named) = named {
            let import = identity(&new.format, b"name", new.variant, named.as_bytes());
            return Ok(Identified { import, head: None, variant: new.variant, landmarks });
        }
        if head.is_empty() || head.len() > HEAD {
            return Err(wrong("`head` has 1 to 1024 bytes"));
        }
        let whole = u32::try_from(head.len()).unwrap_or_default();
        // what was shorter than that when it came first is known by what it had then
        let known = self.catalog.import_heads(&new.format).await.map_err(unavailable)?;
        for length in known.into_iter().filter(|known| *known != whole).chain([whole]) {
            let Some(head) = head.get(..length as usize) else { continue };
            for variant in new.variant..VARIANTS {
                let import = identity(&new.format, b"head", variant, head);
                let exists = self.catalog.import(import).await.map_err(unavailable)?.is_some();
                if !exists && length != whole {
                    break;
                }
                if !exists || self.agrees(import, &landmarks).await? {
                    return Ok(Identified { import, head: Some(length), variant, landmarks });
                }
            }
        }
        Err(wrong("too many sources begin in this way"))
    }

    /// Whether the content of a known import is the same up to every offset that both have.
    async fn agrees(&self, import: HostId, landmarks: &[Check]) -> Result<bool, ImportError> {
        let known = self.catalog.import_landmarks(import).await.map_err(unavailable)?;
        let differs = |a: &Check| known.iter().any(|b| a.position == b.position && a.digest != b.digest);
        Ok(!landmarks.iter().any(differs))
    }
}

/// Which import a source is.
struct Identified {
    import: HostId,
    head: Option<u32>,
    variant: u32,
    landmarks: Vec<Check>,
}

fn landmark(check: &ContentCheck) -> Result<Check, ImportError> {
    let digest = digest(&check.digest)?;
    Ok(Check { position: check.position, digest })
}

fn digest(text: &str) -> Result<[u8; 32], ImportError> {
    let digest = HEXLOWER.decode(text.as_bytes()).ok().and_then(|digest| digest.try_into().ok());
    digest.ok_or_else(|| ImportError::Wrong("a digest is 64 hexadecimal digits".to_owned()))
}

fn identity(format: &str, what: &[u8], variant: u32, bytes: &[u8]) -> HostId {
    let mut hash = Sha256::new();
    for part in [b"bartizan import", format.as_bytes(), what, &variant.to_be_bytes(), bytes] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    HostId::from_bytes(id)
}

const fn stream(import: HostId) -> StreamId {
    StreamId { host: import, lane: Lane::DISK[0], epoch: Epoch(1) }
}

fn unavailable(error: CatalogError) -> Unavailable {
    Unavailable(Box::new(error))
}

fn check(new: &NewImport) -> Result<(), ImportError> {
    let wrong = |text: &str| Err(ImportError::Wrong(text.to_owned()));
    if new.name.len() > NAME || new.named.as_ref().is_some_and(|n| n.len() > NAME) {
        return wrong("a name has at most 4096 bytes");
    }
    if new.format.is_empty() || new.format.len() > 64 {
        return wrong("`format` has 1 to 64 bytes");
    }
    if new.landmarks.len() > LANDMARKS {
        return wrong("at most 32 `landmarks`");
    }
    if new.variant >= VARIANTS {
        return wrong("`variant` is less than 1000");
    }
    let imported = [Kind::Events, Kind::Flows, Kind::Counters, Kind::Lines];
    if new.kinds.is_empty() || new.kinds.iter().any(|kind| !imported.contains(kind)) {
        return wrong("`kinds` are some of events, flows, counters, lines");
    }
    Ok(())
}

#[async_trait]
impl Imports for Importer {
    async fn open(&self, new: NewImport) -> Result<OpenImport, ImportError> {
        check(&new)?;
        let Identified { import, head, variant, landmarks } = self.identify(&new).await?;
        let now = bartizan_clock::now();
        let mut kinds = new.kinds.clone();
        kinds.sort_unstable_by_key(|kind| kind.index());
        kinds.dedup();
        let words: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
        let entry = Import {
            id: import,
            name: new.name,
            format: new.format,
            head,
            kinds: words.join(" "),
            position: 0,
            totals: String::new(),
            started: now,
            touched: now,
            finished: None,
            partial: false,
        };
        self.catalog.begin_import(&entry).await.map_err(unavailable)?;
        self.catalog.note_landmarks(import, &landmarks).await.map_err(unavailable)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let session =
            Arc::clone(
                self.sessions.lock().unwrap_or_else(PoisonError::into_inner).entry(import).or_insert_with(
                    || Arc::new(tokio::sync::Mutex::new(Session { number, kinds: Vec::new() })),
                ),
            );
        // whoever has it open is in the middle of a batch at most
        let mut session = session.lock().await;
        *session = Session { number, kinds: kinds.clone() };
        let stream = stream(import);
        let marks: Vec<_> = kinds
            .iter()
            .map(|kind| Mark { kind: *kind, position: self.ingest.received(&stream, *kind) })
            .collect();
        let reached = marks.iter().map(|mark| mark.position.0).max().unwrap_or_default();
        let checks = self.catalog.import_checks(import).await.map_err(unavailable)?;
        let checks = checks
            .into_iter()
            .filter(|check| check.position <= reached)
            .map(|c| ContentCheck { position: c.position, digest: HEXLOWER.encode(&c.digest) })
            .collect();
        let committed = self.ingest.settled(&stream, &kinds);
        Ok(OpenImport { import, variant, session: number, committed, marks, checks })
    }

    async fn rows(&self, import: HostId, piece: Piece, batch: Bytes) -> Result<Seq, ImportError> {
        let wrong = |text: String| ImportError::Wrong(text);
        let session = self.session(import).ok_or(ImportError::Closed)?;
        let session = session.lock().await;
        if session.number != piece.session {
            return Err(ImportError::Taken);
        }
        if !session.kinds.contains(&piece.kind) {
            return Err(wrong(format!("this import was opened without {}", piece.kind)));
        }
        let stream = stream(import);
        let received = self.ingest.received(&stream, piece.kind);
        if piece.seq > received {
            if piece.from != received {
                return Err(ImportError::Position(received));
            }
            let digest = piece.digest.as_deref().map(digest).transpose()?;
            let rows = if batch.is_empty() {
                None
            } else {
                let messages = messages(&batch).map_err(|e| wrong(e.to_string()))?;
                let rows = decode_collected(piece.kind, &messages, &Limits::default());
                Some(rows.map_err(|e| wrong(e.to_string()))?)
            };
            let id = BatchId { stream, seq: piece.seq };
            self.ingest.collect(id, piece.kind, rows.as_ref()).await.map_err(|e| wrong(e.to_string()))?;
            let now = bartizan_clock::now();
            self.catalog.move_import(import, piece.seq.0, digest, now).await.map_err(unavailable)?;
        }
        Ok(self.ingest.settled(&stream, &session.kinds))
    }

    async fn finish(&self, import: HostId, finish: Finish) -> Result<Seq, ImportError> {
        let session = self.session(import).ok_or(ImportError::Closed)?;
        let session = session.lock().await;
        if session.number != finish.session {
            return Err(ImportError::Taken);
        }
        let stream = stream(import);
        let mut commits = self.ingest.commits();
        let reached = async {
            while self.ingest.settled(&stream, &session.kinds) < finish.position {
                if commits.changed().await.is_err() {
                    return;
                }
            }
        };
        // a client that hears nothing for long thinks that nobody is there
        let waited = tokio::time::timeout(WAIT, reached).await;
        let committed = self.ingest.settled(&stream, &session.kinds);
        if waited.is_ok() && committed >= finish.position {
            let now = bartizan_clock::now();
            let before = self.catalog.import(import).await.map_err(unavailable)?;
            let before = before.and_then(|import| serde_json::from_str(&import.totals).ok());
            let totals = sum(before.unwrap_or_default(), finish.totals).to_string();
            self.catalog.finish_import(import, &totals, finish.partial, now).await.map_err(unavailable)?;
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&import);
        }
        Ok(committed)
    }

    async fn list(&self) -> Result<Vec<ImportInfo>, Unavailable> {
        let imports = self.catalog.imports(LISTED).await.map_err(unavailable)?;
        Ok(imports.into_iter().map(|import| self.info(import)).collect())
    }
}

/// What became of records, in all runs that came to an end: numbers are added, anything else is the last run's.
fn sum(before: Value, now: Value) -> Value {
    match (before, now) {
        (Value::Number(before), Value::Number(now)) => match (before.as_u64(), now.as_u64()) {
            (Some(before), Some(number)) => before.saturating_add(number).into(),
            _ => Value::Number(now),
        },
        (Value::Object(before), Value::Object(now)) => {
            let mut all = before;
            for (key, value) in now {
                let old = all.remove(&key).unwrap_or_default();
                all.insert(key, sum(old, value));
            }
            Value::Object(all)
        }
        (_, now) => now,
    }
}

impl Importer {
    fn info(&self, import: Import) -> ImportInfo {
        let kinds: Vec<Kind> = Kind::ALL
            .iter()
            .copied()
            .filter(|kind| import.kinds.split(' ').any(|k| k == kind.as_str()))
            .collect();
        let state = match (import.finished, import.partial) {
            (Some(finished), _) if finished < import.touched => "unfinished",
            (Some(_), true) => "partial",
            (Some(_), false) => "done",
            (None, _) => "unfinished",
        };
        ImportInfo {
            committed: self.ingest.settled(&stream(import.id), &kinds),
            import: import.id,
            name: import.name,
            format: import.format,
            state,
            position: import.position,
            totals: serde_json::from_str(&import.totals).unwrap_or_default(),
            started: import.started,
            touched: import.touched,
            finished: import.finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn runs_are_added_up() {
        let first = json!({ "records": 5, "skipped": { "empty": 2 }, "unreadable": ["x"] });
        let second =
            json!({ "records": 3, "skipped": { "empty": 1, "another service": 4 }, "unreadable": [] });
        let both = json!({ "records": 8, "skipped": { "empty": 3, "another service": 4 }, "unreadable": [] });
        assert_eq!(sum(sum(Value::Null, first), second), both);
    }

    #[test]
    fn identities_differ_by_format_kind_variant_and_bytes() {
        let all = [
            identity("syslog", b"head", 0, b"x"),
            identity("pcap", b"head", 0, b"x"),
            identity("syslog", b"name", 0, b"x"),
            identity("syslog", b"head", 1, b"x"),
            identity("syslog", b"head", 0, b"y"),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), all.len());
    }
}
