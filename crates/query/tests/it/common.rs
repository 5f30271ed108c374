//! Rows, files and a source made for tests.

use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder, StringViewBuilder};
use arrow_array::{
    Array as _, ArrayRef, Int16Array, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use bartizan_model::{Kind, Micros, addr_from_ip};
use bartizan_query::{DataFile, Source, View, Window};
use bartizan_schema::{Column, ColumnKind, table_columns, table_schema};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::sync::{Arc, Mutex};

pub(crate) enum Value {
    Text(String),
    Int(i64),
    Addr([u8; 16]),
    Bytes(Vec<u8>),
}

pub(crate) fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

pub(crate) fn int(n: i64) -> Option<Value> {
    Some(Value::Int(n))
}

pub(crate) fn addr(text: &str) -> Option<Value> {
    Some(Value::Addr(addr_from_ip(text.parse().unwrap())))
}

/// A batch of `rows` rows in the table's schema. What `value` leaves out is null, or a plain default where a
/// null is not allowed.
pub(crate) fn batch(
    kind: Kind,
    rows: usize,
    mut value: impl FnMut(&'static Column, usize) -> Option<Value>,
) -> RecordBatch {
    let arrays = table_columns(kind)
        .iter()
        .map(|column| {
            let values: Vec<_> =
                (0..rows).map(|row| value(column, row).or_else(|| default(column))).collect();
            array(column, values)
        })
        .collect();
    RecordBatch::try_new(table_schema(kind), arrays).unwrap()
}

fn default(column: &Column) -> Option<Value> {
    if column.nullable {
        return None;
    }
    Some(match column.kind {
        ColumnKind::Text => Value::Text("x".to_owned()),
        ColumnKind::Addr => Value::Addr([0; 16]),
        ColumnKind::Bytes => Value::Bytes(Vec::new()),
        _ if column.name == "packets" => Value::Int(1),
        _ => Value::Int(0),
    })
}

fn array(column: &Column, values: Vec<Option<Value>>) -> ArrayRef {
    let ints =
        || values.iter().map(|v| v.as_ref().map(|v| if let Value::Int(n) = v { *n } else { panic!() }));
    match column.kind {
        ColumnKind::Time => Arc::new(TimestampMicrosecondArray::from_iter(ints()).with_timezone("UTC")),
        ColumnKind::I16 => {
            Arc::new(Int16Array::from_iter(ints().map(|v| v.map(|n| i16::try_from(n).unwrap()))))
        }
        ColumnKind::I32 => {
            Arc::new(Int32Array::from_iter(ints().map(|v| v.map(|n| i32::try_from(n).unwrap()))))
        }
        ColumnKind::I64 => Arc::new(Int64Array::from_iter(ints())),
        ColumnKind::Text => {
            let mut builder = StringViewBuilder::new();
            for v in &values {
                builder.append_option(
                    v.as_ref().map(|v| if let Value::Text(t) = v { t.as_str() } else { panic!() }),
                );
            }
            Arc::new(builder.finish())
        }
        ColumnKind::Bytes => {
            let mut builder = BinaryBuilder::new();
            for v in &values {
                builder.append_option(
                    v.as_ref().map(|v| if let Value::Bytes(b) = v { b.as_slice() } else { panic!() }),
                );
            }
            Arc::new(builder.finish())
        }
        ColumnKind::Addr => {
            let mut builder = FixedSizeBinaryBuilder::new(16);
            for v in &values {
                match v {
                    Some(Value::Addr(a)) => builder.append_value(a).unwrap(),
                    None => builder.append_null(),
                    _ => panic!(),
                }
            }
            Arc::new(builder.finish())
        }
    }
}

/// A source whose tables a test sets.
pub(crate) struct Lake {
    dir: tempfile::TempDir,
    store: Arc<LocalFileSystem>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    views: [View; Kind::ALL.len()],
    written: u64,
}

impl Lake {
    pub(crate) fn new() -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalFileSystem::new_with_prefix(dir.path()).unwrap());
        Arc::new(Self { dir, store, state: Mutex::default() })
    }

    /// Where a file is.
    pub(crate) fn on_disk(&self, file: &DataFile) -> std::path::PathBuf {
        self.dir.path().join(file.path.as_ref())
    }

    /// From now on nothing can be read, or everything again.
    pub(crate) fn fail(&self, fail: bool) {
        let (now, away) = (self.dir.path().join("events"), self.dir.path().join("away"));
        let (from, to) = if fail { (&now, &away) } else { (&away, &now) };
        if !fail {
            std::fs::remove_file(to).unwrap();
        }
        std::fs::rename(from, to).unwrap();
        if fail {
            // Not a folder: what is below it is not missing, it cannot be asked for.
            std::fs::write(from, b"").unwrap();
        }
    }

    pub(crate) fn add_hot(&self, kind: Kind, rows: RecordBatch) {
        self.change(kind, |view| {
            view.hot.push(rows);
        });
    }

    pub(crate) fn add_file(&self, kind: Kind, rows: &RecordBatch) {
        let file = self.write(kind, rows);
        self.change(kind, |view| {
            view.files.push(file);
        });
    }

    /// A file that compaction has sorted by source, with bloom filters.
    pub(crate) fn add_sorted(&self, kind: Kind, rows: &RecordBatch) {
        let file = DataFile { by_source: true, ..self.write(kind, rows) };
        self.change(kind, |view| {
            view.files.push(file);
        });
    }

    /// Changes what later views see, at once.
    pub(crate) fn change(&self, kind: Kind, change: impl FnOnce(&mut View)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state.views[kind.index()]);
    }

    /// Writes a file with small row groups and pages, without showing it.
    pub(crate) fn write(&self, kind: Kind, rows: &RecordBatch) -> DataFile {
        let n = {
            let mut state = self.state.lock().unwrap();
            state.written += 1;
            state.written
        };
        let path = Path::from(format!("{kind}/date=2026-11-23/{n}.parquet"));
        let on_disk = self.dir.path().join(path.as_ref());
        std::fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(64))
            .set_data_page_row_count_limit(16)
            .set_write_batch_size(16)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_column_bloom_filter_enabled("src".into(), true)
            .set_column_bloom_filter_enabled("dst".into(), true)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let out = std::fs::File::create(&on_disk).unwrap();
        let mut writer = ArrowWriter::try_new(out, rows.schema(), Some(properties)).unwrap();
        writer.write(rows).unwrap();
        writer.close().unwrap();
        let numbers = |name: &str| {
            let column = rows.column_by_name(name)?;
            let column = column.as_any().downcast_ref::<Int64Array>()?;
            (column.null_count() == 0).then_some(())?;
            column.values().iter().copied().min().zip(column.values().iter().copied().max())
        };
        let times = rows.column_by_name("time").unwrap();
        let times = times.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap();
        DataFile {
            path,
            size: std::fs::metadata(&on_disk).unwrap().len(),
            rows: Some(rows.num_rows() as u64),
            received: None,
            seq: numbers("seq"),
            packets: numbers("packets"),
            crc32c: Some(crc32c::crc32c(&std::fs::read(&on_disk).unwrap())),
            by_source: false,
            time: times
                .values()
                .iter()
                .copied()
                .min()
                .zip(times.values().iter().copied().max())
                .map(|(min, max)| (Micros(min), Micros(max))),
        }
    }
}

impl Source for Lake {
    fn view(&self, kind: Kind, _: Window) -> View {
        self.state.lock().unwrap().views[kind.index()].clone()
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store) as _
    }
}
