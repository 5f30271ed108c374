//! Rows as maps of texts, and where the corpus is.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, RecordBatch};
use arrow_schema::DataType;
use bartizan_model::{Kind, addr_to_ip};
use bartizan_schema::collected_schema;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cells of a row that are not null.
pub(crate) type Row = BTreeMap<String, String>;

/// The rows of a batch.
pub(crate) fn rows_of(kind: Kind, batch: &RecordBatch) -> Vec<Row> {
    let schema = collected_schema(kind);
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        assert_eq!(schema.field_with_name(field.name()).unwrap(), field.as_ref());
        for (i, row) in rows.iter_mut().enumerate().filter(|(i, _)| column.is_valid(*i)) {
            let cell = match column.data_type() {
                DataType::Int16 => column.as_primitive::<Int16Type>().value(i).to_string(),
                DataType::Int32 => column.as_primitive::<Int32Type>().value(i).to_string(),
                DataType::Int64 => column.as_primitive::<Int64Type>().value(i).to_string(),
                DataType::Timestamp(..) => {
                    column.as_primitive::<TimestampMicrosecondType>().value(i).to_string()
                }
                DataType::FixedSizeBinary(16) => {
                    addr_to_ip(column.as_fixed_size_binary().value(i).try_into().unwrap()).to_string()
                }
                DataType::Dictionary(..) => {
                    let dictionary = column.as_dictionary::<Int32Type>();
                    let key = usize::try_from(dictionary.keys().value(i)).unwrap();
                    dictionary.values().as_string::<i32>().value(key).to_owned()
                }
                other => panic!("{other}"),
            };
            row.insert(field.name().clone(), cell);
        }
    }
    rows
}

/// A folder of the corpus, which `BARTIZAN_CORPUS` names or which lies beside the project; not part of it.
pub(crate) fn corpus(set: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let root = std::env::var_os("BARTIZAN_CORPUS").map_or(beside, PathBuf::from);
    let folder = [root.join("open").join(set), root.join(set)].into_iter().find(|f| f.is_dir());
    if folder.is_none() {
        println!("skipped: no set {set}: BARTIZAN_CORPUS names no folder and none lies beside the project");
    }
    folder
}

/// A file's bytes, unpacked.
pub(crate) fn contents(path: &Path) -> Vec<u8> {
    if path.extension().is_some_and(|e| e == "gz") {
        return Command::new("gzip").arg("-dc").arg(path).output().unwrap().stdout;
    }
    std::fs::read(path).unwrap()
}

/// A number for all cells of rows, the same wherever it is computed.
pub(crate) fn hash(rows: &[Row]) -> u64 {
    let bytes =
        rows.iter().flat_map(|row| row.iter().flat_map(|(k, v)| [k.as_bytes(), b"=", v.as_bytes(), b"\n"]));
    bytes
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
