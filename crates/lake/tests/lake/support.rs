use crate::s3::Service;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use bartizan_lake::{Append, DurableLocal, LakeError, Options, Probe, Step, Table, Tables};
use bartizan_model::{BatchId, Epoch, HostId, Kind, Lane, Micros, Seq, StreamId};
use bartizan_schema::table_schema;
use object_store::ObjectStore;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// 2026-11-23T00:20:00Z.
pub(crate) const NOW: Micros = Micros(20_780 * Micros::DAY + 1_200_000_000);
pub(crate) const ROWS: i32 = 3;

/// A folder in memory where there is one, so that thousands of syncs take no time.
pub(crate) fn scratch() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub(crate) fn stream(n: u8) -> StreamId {
    StreamId { host: HostId::from_bytes([n; 16]), lane: Lane::DISK[0], epoch: Epoch(1) }
}

pub(crate) fn batch_id(n: u8, seq: u64) -> BatchId {
    BatchId { stream: stream(n), seq: Seq(seq) }
}

/// Rows of a batch with times and nothing else but what must be there.
pub(crate) fn rows_at(kind: Kind, id: BatchId, times: &[i64], received: Micros) -> RecordBatch {
    let n = times.len();
    let schema = table_schema(kind);
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        let time = |values: Vec<i64>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"));
        match field.name().as_str() {
            "time" => time(times.to_vec()),
            "from" => time(times.to_vec()),
            "received" => time(vec![received.0; n]),
            "stream" => Arc::new(StringViewArray::from(vec![id.stream.to_string(); n])),
            "seq" => Arc::new(Int64Array::from(vec![id.seq.0 as i64; n])),
            "row" => Arc::new(Int32Array::from_iter_values(0..n as i32)),
            "packets" | "count" => Arc::new(Int64Array::from(vec![1; n])),
            _ if field.is_nullable() => new_null_array(field.data_type(), n),
            name => Arc::new(StringViewArray::from(vec![name; n])),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

pub(crate) fn append(table: &Table, id: BatchId) -> Append {
    // Times that neither rise nor fall, so that sorting has something to do.
    let times: Vec<i64> =
        (0..i64::from(ROWS)).map(|i| NOW.0 + (i * 7919 + id.seq.0 as i64 * 31) % 1000).collect();
    append_at(table, id, &times)
}

pub(crate) fn append_at(table: &Table, id: BatchId, times: &[i64]) -> Append {
    let rows = rows_at(Kind::Events, id, times, NOW);
    table.append(id, vec![rows], 100, NOW).unwrap()
}

pub(crate) type Key = (String, i64, i32);

pub(crate) fn keys_of(batch: &RecordBatch, into: &mut Vec<Key>) {
    let streams =
        arrow_cast::cast(batch.column_by_name("stream").unwrap(), &arrow_schema::DataType::Utf8).unwrap();
    let seqs = batch.column_by_name("seq").unwrap().as_primitive::<Int64Type>();
    let rows = batch.column_by_name("row").unwrap().as_primitive::<Int32Type>();
    for i in 0..batch.num_rows() {
        into.push((streams.as_string::<i32>().value(i).to_owned(), seqs.value(i), rows.value(i)));
    }
}

/// The names of all rows that can be read; panics if one is there twice.
pub(crate) async fn keys(table: &Table) -> BTreeSet<Key> {
    let view = table.view();
    let mut all = Vec::new();
    for batch in view.hot.iter().flat_map(|b| b.rows()) {
        keys_of(batch, &mut all);
    }
    for file in view.files.iter() {
        for batch in table.read(file).await.unwrap() {
            keys_of(&batch, &mut all);
        }
    }
    let set: BTreeSet<Key> = all.iter().cloned().collect();
    assert_eq!(set.len(), all.len(), "L1: a row is there twice");
    set
}

/// The names of the rows of batches 1..=last of some streams.
pub(crate) fn expected(streams: &[(u8, u64)]) -> BTreeSet<Key> {
    let all = streams.iter().flat_map(|(n, last)| {
        (1..=*last).flat_map(move |seq| (0..ROWS).map(move |row| (stream(*n).to_string(), seq as i64, row)))
    });
    all.collect()
}

/// Where a lake of a test is.
#[derive(Debug)]
pub(crate) enum Place {
    Local(tempfile::TempDir),
    S3(Service),
}

impl Place {
    pub(crate) async fn open(&self) -> Table {
        self.open_with(options()).await
    }

    pub(crate) async fn open_with(&self, options: Options) -> Table {
        let store: Arc<dyn ObjectStore> = match self {
            Self::Local(dir) => Arc::new(DurableLocal::new(dir.path()).unwrap()),
            Self::S3(service) => service.store(),
        };
        Table::open(store, Kind::Events, options, NOW).await.unwrap()
    }
}

/// Tests that are to hold wherever the lake is.
macro_rules! everywhere {
    ($($test:ident)*) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&crate::support::Place::Local(crate::support::scratch())).await;
            })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&crate::support::Place::S3(crate::s3::Service::start())).await;
            })*
        }
    };
}
pub(crate) use everywhere;

pub(crate) fn options() -> Options {
    Options { checkpoint_every: 0, ..Options::default() }
}

pub(crate) async fn open(root: &Path) -> Table {
    open_with(root, None, options()).await.unwrap()
}

pub(crate) async fn open_with(
    root: &Path,
    probe: Option<Arc<dyn Probe>>,
    options: Options,
) -> Result<Table, bartizan_lake::LakeError> {
    let store = DurableLocal::with_probe(root, probe).unwrap();
    Table::open(Arc::new(store), Kind::Events, options, NOW).await
}

pub(crate) async fn open_tables(root: &Path, probe: Option<Arc<dyn Probe>>) -> Result<Tables, LakeError> {
    let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::with_probe(root, probe).unwrap());
    Tables::open(&store, &options(), NOW).await
}

/// A copy of a folder that a test may ruin.
pub(crate) fn copy_folder(from: &Path) -> tempfile::TempDir {
    let to = scratch();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// The same rows with other columns.
pub(crate) fn rows_with(rows: RecordBatch, columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let schema = rows.schema();
    let of = |name: &str| columns.iter().find(|(n, _)| *n == name).map(|(_, column)| Arc::clone(column));
    let all = schema.fields().iter().zip(rows.columns());
    let all = all.map(|(field, column)| of(field.name()).unwrap_or_else(|| Arc::clone(column))).collect();
    RecordBatch::try_new(schema, all).unwrap()
}

/// What a test does to the disk at one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends before the step: this and all later ones fail.
    DieBefore,
    /// The process ends after the step.
    DieAfter,
    /// The step fails once with an error number; the process lives on.
    Fail(i32),
}

/// A disk that fails at a chosen step, and forgets what was not synced when the power goes.
#[derive(Debug, Default)]
pub(crate) struct FaultyDisk(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    fault: Option<(u64, Fault)>,
    steps: u64,
    /// Whether deletions are steps as well.
    deletions: bool,
    dead: bool,
    /// Names that are not yet durable.
    names: BTreeSet<PathBuf>,
    /// Temporary files whose bytes are not yet durable.
    bytes: BTreeSet<PathBuf>,
    torn: BTreeSet<PathBuf>,
    /// Folders that were ever synced.
    synced: BTreeSet<PathBuf>,
}

impl FaultyDisk {
    pub(crate) fn new(fault: Option<(u64, Fault)>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { fault, ..Inner::default() })))
    }

    /// A disk on which deletions are steps at which it can fail.
    pub(crate) fn new_with_deletions(fault: Option<(u64, Fault)>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { fault, deletions: true, ..Inner::default() })))
    }

    pub(crate) fn arm(&self, fault: Option<(u64, Fault)>) {
        let mut inner = self.0.lock().unwrap();
        inner.steps = 0;
        inner.fault = fault;
    }

    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().unwrap().steps
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().unwrap().dead
    }

    /// Nothing more is done by the process that used this disk.
    pub(crate) fn kill(&self) {
        self.0.lock().unwrap().dead = true;
    }

    /// Undoes everything that was not synced, by this process or the one after it.
    pub(crate) fn cut_power_except_synced_by(&self, later: &Self) {
        let later = later.0.lock().unwrap();
        self.0.lock().unwrap().names.retain(|n| !later.synced.contains(n.parent().unwrap()));
        drop(later);
        self.cut_power();
    }

    /// Undoes everything that was not synced.
    pub(crate) fn cut_power(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.dead = true;
        for path in &inner.torn {
            if path.exists() {
                std::fs::write(path, "").unwrap();
            }
        }
        for path in &inner.names {
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else if path.exists() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Probe for FaultyDisk {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if inner.dead {
            return Err(io::Error::other("the process is dead"));
        }
        if step == Step::Delete {
            inner.bytes.remove(path);
        }
        if step == Step::Read || step == Step::Delete && !inner.deletions {
            return Ok(());
        }
        inner.steps += 1;
        match inner.fault {
            Some((at, Fault::DieBefore)) if inner.steps == at => {
                inner.dead = true;
                Err(io::Error::other("the process is dead"))
            }
            Some((at, Fault::Fail(errno))) if inner.steps == at => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }

    fn after(&self, step: Step, path: &Path) {
        let mut inner = self.0.lock().unwrap();
        match step {
            Step::MakeDir => {
                inner.names.insert(path.to_owned());
            }
            Step::CreateTemporary => {
                inner.names.insert(path.to_owned());
                inner.bytes.insert(path.to_owned());
            }
            Step::SyncFile => {
                inner.bytes.remove(path);
            }
            Step::Name => {
                let start = format!("{}#", path.display());
                if inner.bytes.iter().any(|t| t.to_str().unwrap().starts_with(&start)) {
                    inner.torn.insert(path.to_owned());
                }
                inner.names.insert(path.to_owned());
            }
            Step::SyncDir => {
                inner.names.retain(|n| n.parent() != Some(path));
                inner.synced.insert(path.to_owned());
            }
            Step::Write | Step::Read | Step::Delete => {}
        }
        if let Some((at, Fault::DieAfter)) = inner.fault
            && inner.steps == at
        {
            inner.dead = true;
        }
    }
}
