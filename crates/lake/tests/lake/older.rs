//! A lake of an earlier version has fewer columns, in its schema and in its files. It is read, and written on; and a lake
//! of a later one, with columns more, likewise.

use crate::support::{NOW, append, batch_id, expected, keys, open, scratch, stream};
use bartizan_lake::Table;
use bartizan_model::{Kind, Seq};
use bartizan_schema::table_schema;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Columns that every version may lack: the last ones that a row need not fill.
fn younger() -> Vec<String> {
    let schema = table_schema(Kind::Events);
    let all = schema.fields().iter().filter(|field| field.is_nullable()).map(|field| field.name().clone());
    let all: Vec<_> = all.collect();
    all[all.len() - 6..].to_vec()
}

/// Changes every action of a table's log.
fn change(root: &Path, mut change: impl FnMut(&mut Value)) {
    let log = root.join("events/_delta_log");
    let mut paths: Vec<_> = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let lines = fs::read_to_string(&path).unwrap();
        let actions = lines.lines().map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            change(&mut action);
            format!("{action}\n")
        });
        fs::write(&path, actions.collect::<String>()).unwrap();
    }
}

/// A text of JSON in JSON.
fn inside(text: &mut Value, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    change(&mut value);
    *text = value.to_string().into();
}

/// A data file without some columns; its size and its checksum.
fn without(path: &PathBuf, columns: &[String]) -> (u64, String) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(fs::read(path).unwrap())).unwrap();
    let mut writer = None;
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let schema = batch.schema();
        let kept = (0..batch.num_columns()).filter(|i| !columns.contains(schema.field(*i).name()));
        let batch = batch.project(&kept.collect::<Vec<_>>()).unwrap();
        let writer =
            writer.get_or_insert_with(|| ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap());
        writer.write(&batch).unwrap();
    }
    let bytes = writer.unwrap().into_inner().unwrap();
    fs::write(path, &bytes).unwrap();
    (bytes.len() as u64, format!("{:08x}", crc32c::crc32c(&bytes)))
}

/// Makes of a lake one of a version that did not know these columns.
fn make_older(root: &Path, columns: &[String]) {
    change(root, |action| {
        if action["metaData"].is_object() {
            inside(&mut action["metaData"]["schemaString"], |schema| {
                let fields = schema["fields"].as_array_mut().unwrap();
                fields.retain(|field| !columns.iter().any(|name| field["name"] == **name));
            });
        }
        if action["add"].is_object() {
            let path = root.join("events").join(action["add"]["path"].as_str().unwrap());
            let (size, sum) = without(&path, columns);
            action["add"]["size"] = size.into();
            action["add"]["tags"]["bartizan.crc32c"] = sum.into();
            inside(&mut action["add"]["stats"], |stats| {
                for part in ["minValues", "maxValues", "nullCount"] {
                    if let Some(values) = stats[part].as_object_mut() {
                        values.retain(|name, _| !columns.contains(name));
                    }
                }
            });
        }
    });
}

fn schema_of(root: &Path) -> String {
    let mut last = String::new();
    change(root, |action| {
        if let Some(text) = action["metaData"]["schemaString"].as_str() {
            last = text.to_owned();
        }
    });
    last
}

async fn filled(root: &Path) -> Table {
    let table = open(root).await;
    for seq in 1..=2 {
        append(&table, batch_id(1, seq));
        table.commit(NOW).await.unwrap();
    }
    table
}

#[tokio::test]
async fn a_lake_with_fewer_columns_is_read_and_written_on() {
    let dir = scratch();
    drop(filled(dir.path()).await);
    let columns = younger();
    make_older(dir.path(), &columns);
    assert!(!schema_of(dir.path()).contains(&format!("\"{}\"", columns[0])), "it is older");
    for life in 0..2 {
        let table = open(dir.path()).await;
        assert_eq!(table.committed(&stream(1)), Seq(2 + life));
        assert_eq!(keys(&table).await, expected(&[(1, 2 + life)]));
        assert_eq!(table.verify(true).await.unwrap(), []);
        append(&table, batch_id(1, 3 + life));
        table.commit(NOW).await.unwrap();
        assert_eq!(keys(&table).await, expected(&[(1, 3 + life)]), "old rows and new ones");
    }
    let schema = schema_of(dir.path());
    assert!(columns.iter().all(|name| schema.contains(&format!("\"{name}\""))), "{schema}");
}

#[tokio::test]
async fn a_lake_with_columns_more_keeps_them() {
    let dir = scratch();
    drop(filled(dir.path()).await);
    change(dir.path(), |action| {
        if action["metaData"].is_object() {
            inside(&mut action["metaData"]["schemaString"], |schema| {
                let later = json!({"name": "of_tomorrow", "type": "long", "nullable": true, "metadata": {}});
                schema["fields"].as_array_mut().unwrap().push(later);
            });
        }
    });
    let table = open(dir.path()).await;
    append(&table, batch_id(1, 3));
    table.commit(NOW).await.unwrap();
    drop(table);
    let table = open(dir.path()).await;
    assert_eq!(keys(&table).await, expected(&[(1, 3)]));
    assert_eq!(table.verify(true).await.unwrap(), []);
    assert!(schema_of(dir.path()).contains("of_tomorrow"));
}
