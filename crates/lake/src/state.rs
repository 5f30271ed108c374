//! What a table is at a moment: one value behind one lock.
//!
//! There is one transition, [`State::apply`]: an entry of the log becomes part of the state, whoever wrote it.
//! It adds the entry's files, moves its marks and drops the hot batches at or below the marks, all at once.
//! So a reader finds each row either in a hot batch or in a file, never in both and never in neither.

use crate::chunked::Chunked;
use crate::delta::checkpoint::Snapshot;
use crate::delta::load::Replay;
use crate::delta::{Metadata, Protocol, Remove, Txn};
use crate::files::{DataFile, Files, relative, tag};
use crate::hot::{Hot, HotBatch};
use bartizan_model::{BatchId, Seq, StreamId};
use object_store::path::Path;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The mark that counts the rows which were removed on purpose, so that their absence is no riddle.
pub(crate) const REMOVED_ROWS: &str = "bartizan.removed-rows";

/// How far a stream has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// In the log.
    pub committed: Seq,
    /// In the log or hot.
    pub received: Seq,
    /// When it last moved in the log, in milliseconds.
    pub updated: Option<i64>,
}

/// What an entry changes.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub version: i64,
    pub files: Vec<DataFile>,
    pub removed: Vec<(Path, Option<i64>)>,
    pub txns: Vec<Txn>,
    pub metadata: Option<Metadata>,
    /// Whether files may be named that the state has already.
    pub foreign: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub version: i64,
    /// The last entry that a checkpoint which can be read covers, or -1.
    pub checkpoint: i64,
    pub metadata: Arc<Metadata>,
    pub files: Chunked<DataFile>,
    /// How many of them a commit wrote.
    pub fresh: usize,
    pub removed: BTreeMap<Path, Option<i64>>,
    pub marks: HashMap<StreamId, Mark>,
    /// Marks of other applications, kept as they are.
    strangers: BTreeMap<String, (i64, Option<i64>)>,
    pub hot: Chunked<HotBatch>,
    pub hot_bytes: u64,
}

impl State {
    pub(crate) fn new(replay: Replay, metadata: Metadata) -> Self {
        let mut files: Vec<_> = replay.files.into_values().map(Arc::new).collect();
        files.sort_by(|a, b| (a.time(), a.path()).cmp(&(b.time(), b.path())));
        let mut state = Self {
            version: replay.version,
            checkpoint: replay.checkpoint,
            metadata: Arc::new(metadata),
            fresh: files.iter().filter(|f| is_fresh(f)).count(),
            files: files.into_iter().collect(),
            removed: replay.removed,
            marks: HashMap::new(),
            strangers: BTreeMap::new(),
            hot: Chunked::default(),
            hot_bytes: 0,
        };
        for (app_id, (version, updated)) in replay.txns {
            state.mark(&Txn { app_id, version, last_updated: updated });
        }
        state
    }

    pub(crate) fn received(&self, stream: &StreamId) -> Seq {
        self.marks.get(stream).map_or(Seq::ZERO, |m| m.received)
    }

    pub(crate) fn committed(&self, stream: &StreamId) -> Seq {
        self.marks.get(stream).map_or(Seq::ZERO, |m| m.committed)
    }

    pub(crate) fn is_committed(&self, id: &BatchId) -> bool {
        id.seq <= self.committed(&id.stream)
    }

    pub(crate) fn heat(&mut self, batch: HotBatch) {
        let mark = self.marks.entry(batch.id().stream).or_default();
        mark.received = mark.received.max(batch.id().seq);
        self.hot_bytes += batch.bytes();
        self.hot.push(Arc::new(batch));
    }

    /// Makes the next entry part of the state.
    pub(crate) fn apply(&mut self, change: Change) {
        debug_assert_eq!(change.version, self.version + 1, "entries are applied in order");
        self.version = change.version;
        if change.foreign && !(change.files.is_empty() && change.removed.is_empty()) {
            let named: HashSet<&Path> = change
                .files
                .iter()
                .map(DataFile::path)
                .chain(change.removed.iter().map(|(p, _)| p))
                .collect();
            self.files.retain(|file| !named.contains(file.path()));
            self.fresh = self.files.iter().filter(|f| is_fresh(f)).count();
        }
        self.removed.extend(change.removed);
        for file in change.files {
            self.removed.remove(file.path());
            self.fresh += usize::from(is_fresh(&file));
            self.files.push(Arc::new(file));
        }
        if let Some(metadata) = change.metadata {
            self.metadata = Arc::new(metadata);
        }
        if change.txns.is_empty() {
            return;
        }
        change.txns.iter().for_each(|txn| self.mark(txn));
        let mut hot = std::mem::take(&mut self.hot);
        self.hot_bytes = 0;
        hot.retain(|batch| {
            let keep = !self.is_committed(batch.id());
            self.hot_bytes += if keep { batch.bytes() } else { 0 };
            keep
        });
        self.hot = hot;
    }

    fn mark(&mut self, txn: &Txn) {
        match (txn.app_id.parse::<StreamId>(), u64::try_from(txn.version)) {
            (Ok(stream), Ok(seq)) if stream.to_string() == txn.app_id => {
                let mark = self.marks.entry(stream).or_default();
                mark.committed = mark.committed.max(Seq(seq));
                mark.received = mark.received.max(mark.committed);
                mark.updated = txn.last_updated;
            }
            _ => {
                self.strangers.insert(txn.app_id.clone(), (txn.version, txn.last_updated));
            }
        }
    }

    /// Rows that were removed on purpose, since ever.
    pub(crate) fn removed_rows(&self) -> u64 {
        self.strangers.get(REMOVED_ROWS).map_or(0, |(rows, _)| u64::try_from(*rows).unwrap_or(0))
    }

    pub(crate) fn view(&self) -> (i64, Files, Hot) {
        (self.version, Files(self.files.clone()), Hot(self.hot.clone()))
    }

    /// The parts of a checkpoint; cheap, so that the lock is held shortly.
    pub(crate) fn sum(&self) -> Sum {
        Sum {
            version: self.version,
            metadata: Arc::clone(&self.metadata),
            files: self.files.clone(),
            removed: self.removed.clone(),
            marks: self.marks.iter().map(|(s, m)| (*s, *m)).collect(),
            strangers: self.strangers.clone(),
        }
    }
}

fn is_fresh(file: &DataFile) -> bool {
    file.tag(tag::MERGED).is_none()
}

/// What a checkpoint is made from.
#[derive(Debug)]
pub(crate) struct Sum {
    pub version: i64,
    metadata: Arc<Metadata>,
    files: Chunked<DataFile>,
    removed: BTreeMap<Path, Option<i64>>,
    marks: Vec<(StreamId, Mark)>,
    strangers: BTreeMap<String, (i64, Option<i64>)>,
}

impl Sum {
    pub(crate) fn files(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        self.files.iter()
    }

    /// The same without what was removed, which is of no use where those files are not, and in an order that is
    /// always the same.
    pub(crate) fn portable(mut self) -> Self {
        self.removed.clear();
        let mut files: Vec<_> = self.files.iter().cloned().collect();
        files.sort_by(|a, b| a.path().cmp(b.path()));
        self.files = files.into_iter().collect();
        self
    }

    pub(crate) fn into_snapshot(mut self, table: &Path) -> Snapshot {
        self.marks.sort_unstable_by_key(|(stream, _)| *stream);
        let ours = self.marks.into_iter().filter(|(_, m)| m.committed > Seq::ZERO);
        let mut txns: Vec<Txn> =
            ours.map(|(stream, mark)| txn(&stream, mark.committed, mark.updated)).collect();
        txns.extend(self.strangers.into_iter().map(|(app_id, (version, last_updated))| Txn {
            app_id,
            version,
            last_updated,
        }));
        let removed = self.removed.into_iter().map(|(path, at)| Remove {
            path: relative(table, &path),
            deletion_timestamp: at,
            data_change: false,
        });
        Snapshot {
            protocol: Protocol::OURS,
            metadata: (*self.metadata).clone(),
            txns,
            adds: self.files.iter().map(|f| f.to_add(table, false)).collect(),
            removes: removed.collect(),
        }
    }
}

/// The action that moves a stream's mark. Sequence numbers fit: `append` takes no others.
pub(crate) fn txn(stream: &StreamId, seq: Seq, updated: Option<i64>) -> Txn {
    Txn {
        app_id: stream.to_string(),
        version: i64::try_from(seq.0).unwrap_or(i64::MAX),
        last_updated: updated,
    }
}
