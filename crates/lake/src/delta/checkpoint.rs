//! Checkpoints: the sum of all actions up to an entry, as one Parquet file ("classic" checkpoint).
//!
//! Each row holds one action in the struct column of its name; all other columns of the row are null.
//! Reading takes columns by name and ignores what it does not know, so that checkpoints of other writers load.

use super::{Action, Add, Format, Metadata, Protocol, Remove, Txn};
use arrow_array::builder::{ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, MapArray, RecordBatch, StringArray, StructArray,
    new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use arrow_select::concat::concat;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sum of a log.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub protocol: Protocol,
    pub metadata: Metadata,
    pub txns: Vec<Txn>,
    pub adds: Vec<Add>,
    pub removes: Vec<Remove>,
}

impl Snapshot {
    /// How many actions it holds.
    pub(crate) fn len(&self) -> usize {
        2 + self.txns.len() + self.adds.len() + self.removes.len()
    }

    /// The Parquet file.
    pub(crate) fn encode(&self) -> Result<Bytes, ParquetError> {
        let columns = [
            ("protocol", protocol(&self.protocol)),
            ("metaData", metadata(&self.metadata)),
            ("txn", txns(&self.txns)),
            ("remove", removes(&self.removes)),
            ("add", adds(&self.adds)),
        ];
        let total = self.len();
        let (mut fields, mut arrays, mut before) = (Vec::new(), Vec::new(), 0);
        for (name, column) in columns {
            let column = column?;
            let of = column.data_type();
            let after = total - before - column.len();
            arrays.push(concat(&[&new_null_array(of, before), &column, &new_null_array(of, after)])?);
            fields.push(Field::new(name, of.clone(), true));
            before += column.len();
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_created_by(crate::ENGINE.to_owned())
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        Ok(writer.into_inner()?.into())
    }
}

/// The actions of a checkpoint.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn decode(file: Bytes) -> Result<Vec<Action>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|b| b.with_batch_size(8192).build())
        .map_err(|e| e.to_string())?;
    let mut actions = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        for (name, read) in READERS {
            if let Some(column) = batch.column_by_name(name) {
                let column =
                    column.as_struct_opt().ok_or_else(|| format!("column `{name}` is not a struct"))?;
                if column.null_count() < column.len() {
                    read(&Rows { column }, &mut actions)?;
                }
            }
        }
    }
    Ok(actions)
}

type Read = fn(&Rows<'_>, &mut Vec<Action>) -> Result<(), String>;
const READERS: [(&str, Read); 5] = [
    ("protocol", read_protocol),
    ("metaData", read_metadata),
    ("txn", read_txns),
    ("remove", read_removes),
    ("add", read_adds),
];

fn protocol(p: &Protocol) -> Result<ArrayRef, ArrowError> {
    structs(vec![
        ("minReaderVersion", Arc::new(Int32Array::from(vec![p.min_reader_version]))),
        ("minWriterVersion", Arc::new(Int32Array::from(vec![p.min_writer_version]))),
    ])
}

fn metadata(m: &Metadata) -> Result<ArrayRef, ArrowError> {
    let text = |t: Option<&str>| Arc::new(StringArray::from(vec![t])) as ArrayRef;
    let format = structs(vec![
        ("provider", text(Some(&m.format.provider))),
        ("options", Arc::new(maps([m.format.options.iter().map(|(k, v)| (k.as_str(), Some(v.as_str())))])?)),
    ])?;
    let mut partition =
        ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
    m.partition_columns.iter().for_each(|c| partition.values().append_value(c));
    partition.append(true);
    structs(vec![
        ("id", text(Some(&m.id))),
        ("name", text(m.name.as_deref())),
        ("description", text(m.description.as_deref())),
        ("format", format),
        ("schemaString", text(Some(&m.schema_string))),
        ("partitionColumns", Arc::new(partition.finish())),
        (
            "configuration",
            Arc::new(maps([m.configuration.iter().map(|(k, v)| (k.as_str(), Some(v.as_str())))])?),
        ),
        ("createdTime", Arc::new(Int64Array::from(vec![m.created_time]))),
    ])
}

fn txns(txns: &[Txn]) -> Result<ArrayRef, ArrowError> {
    structs(vec![
        ("appId", Arc::new(StringArray::from_iter_values(txns.iter().map(|t| &t.app_id)))),
        ("version", Arc::new(Int64Array::from_iter_values(txns.iter().map(|t| t.version)))),
        ("lastUpdated", Arc::new(Int64Array::from_iter(txns.iter().map(|t| t.last_updated)))),
    ])
}

fn removes(removes: &[Remove]) -> Result<ArrayRef, ArrowError> {
    structs(vec![
        ("path", Arc::new(StringArray::from_iter_values(removes.iter().map(|r| &r.path)))),
        ("deletionTimestamp", Arc::new(Int64Array::from_iter(removes.iter().map(|r| r.deletion_timestamp)))),
        ("dataChange", Arc::new(BooleanArray::from_iter(removes.iter().map(|_| Some(false))))),
    ])
}

fn adds(adds: &[Add]) -> Result<ArrayRef, ArrowError> {
    let values =
        maps(adds.iter().map(|a| {
            a.partition_values.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect::<Vec<_>>()
        }))?;
    let tags = maps(
        adds.iter()
            .map(|a| a.tags.iter().flatten().map(|(k, v)| (k.as_str(), v.as_deref())).collect::<Vec<_>>()),
    )?;
    structs(vec![
        ("path", Arc::new(StringArray::from_iter_values(adds.iter().map(|a| &a.path)))),
        ("partitionValues", Arc::new(values)),
        ("size", Arc::new(Int64Array::from_iter_values(adds.iter().map(|a| a.size)))),
        (
            "modificationTime",
            Arc::new(Int64Array::from_iter_values(adds.iter().map(|a| a.modification_time))),
        ),
        // A checkpoint changes nothing.
        ("dataChange", Arc::new(BooleanArray::from_iter(adds.iter().map(|_| Some(false))))),
        ("stats", Arc::new(StringArray::from_iter(adds.iter().map(|a| a.stats.as_deref())))),
        ("tags", Arc::new(tags)),
    ])
}

fn structs(columns: Vec<(&str, ArrayRef)>) -> Result<ArrayRef, ArrowError> {
    let fields: Fields = columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, a)| a).collect();
    Ok(Arc::new(StructArray::try_new(fields, arrays, None)?))
}

/// One map of text to text per item.
fn maps<'a, M: IntoIterator<Item = (&'a str, Option<&'a str>)>>(
    items: impl IntoIterator<Item = M>,
) -> Result<MapArray, ArrowError> {
    let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for item in items {
        for (key, value) in item {
            builder.keys().append_value(key);
            builder.values().append_option(value);
        }
        builder.append(true)?;
    }
    Ok(builder.finish())
}

/// The rows of one struct column.
struct Rows<'a> {
    column: &'a StructArray,
}

impl Rows<'_> {
    fn valid(&self) -> impl Iterator<Item = usize> {
        (0..self.column.len()).filter(|row| self.column.is_valid(*row))
    }

    fn cast(&self, name: &str, to: &DataType) -> Result<Option<ArrayRef>, String> {
        let Some(column) = self.column.column_by_name(name) else { return Ok(None) };
        arrow_cast::cast(column, to).map(Some).map_err(|e| e.to_string())
    }

    fn text(&self, name: &str) -> Result<impl Fn(usize) -> Option<String>, String> {
        let column = self.cast(name, &DataType::Utf8)?;
        Ok(move |row: usize| {
            let column = column.as_ref()?.as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        })
    }

    fn long(&self, name: &str) -> Result<impl Fn(usize) -> Option<i64>, String> {
        let column = self.cast(name, &DataType::Int64)?;
        Ok(move |row: usize| {
            let column = column.as_ref()?.as_primitive::<Int64Type>();
            column.is_valid(row).then(|| column.value(row))
        })
    }

    fn int(&self, name: &str) -> Result<impl Fn(usize) -> Option<i32>, String> {
        let column = self.cast(name, &DataType::Int32)?;
        Ok(move |row: usize| {
            let column = column.as_ref()?.as_primitive::<Int32Type>();
            column.is_valid(row).then(|| column.value(row))
        })
    }

    fn map(&self, name: &str, row: usize) -> Result<BTreeMap<String, Option<String>>, String> {
        let Some(column) = self.column.column_by_name(name) else { return Ok(BTreeMap::new()) };
        let column = column.as_map_opt().ok_or_else(|| format!("`{name}` is not a map"))?;
        if column.is_null(row) {
            return Ok(BTreeMap::new());
        }
        let entries = column.value(row);
        let as_text = |a: &ArrayRef| arrow_cast::cast(a, &DataType::Utf8).map_err(|e| e.to_string());
        let (keys, values) = (as_text(entries.column(0))?, as_text(entries.column(1))?);
        let (keys, values) = (keys.as_string::<i32>(), values.as_string::<i32>());
        Ok(keys.iter().zip(values).filter_map(|(k, v)| Some((k?.to_owned(), v.map(str::to_owned)))).collect())
    }
}

fn need<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("a row without `{name}`"))
}

fn read_protocol(rows: &Rows<'_>, out: &mut Vec<Action>) -> Result<(), String> {
    let (reader, writer) = (rows.int("minReaderVersion")?, rows.int("minWriterVersion")?);
    for row in rows.valid() {
        out.push(Action::Protocol(Protocol {
            min_reader_version: need(reader(row), "minReaderVersion")?,
            min_writer_version: need(writer(row), "minWriterVersion")?,
        }));
    }
    Ok(())
}

fn read_metadata(rows: &Rows<'_>, out: &mut Vec<Action>) -> Result<(), String> {
    let (id, name, description) = (rows.text("id")?, rows.text("name")?, rows.text("description")?);
    let (schema, created) = (rows.text("schemaString")?, rows.long("createdTime")?);
    let format = rows.column.column_by_name("format").and_then(|c| c.as_struct_opt());
    let format = Rows { column: need(format, "format")? };
    let provider = format.text("provider")?;
    let partition = rows.column.column_by_name("partitionColumns").and_then(|c| c.as_list_opt::<i32>());
    let partition = need(partition, "partitionColumns")?;
    let present = |map: BTreeMap<String, Option<String>>| -> BTreeMap<String, String> {
        map.into_iter().filter_map(|(k, v)| Some((k, v?))).collect()
    };
    for row in rows.valid() {
        let columns = arrow_cast::cast(&partition.value(row), &DataType::Utf8).map_err(|e| e.to_string())?;
        out.push(Action::MetaData(Metadata {
            id: need(id(row), "id")?,
            name: name(row),
            description: description(row),
            format: Format {
                provider: need(provider(row), "provider")?,
                options: present(format.map("options", row)?),
            },
            schema_string: need(schema(row), "schemaString")?,
            partition_columns: columns.as_string::<i32>().iter().flatten().map(str::to_owned).collect(),
            configuration: present(rows.map("configuration", row)?),
            created_time: created(row),
        }));
    }
    Ok(())
}

fn read_txns(rows: &Rows<'_>, out: &mut Vec<Action>) -> Result<(), String> {
    let (app_id, version, updated) = (rows.text("appId")?, rows.long("version")?, rows.long("lastUpdated")?);
    for row in rows.valid() {
        out.push(Action::Txn(Txn {
            app_id: need(app_id(row), "appId")?,
            version: need(version(row), "version")?,
            last_updated: updated(row),
        }));
    }
    Ok(())
}

fn read_removes(rows: &Rows<'_>, out: &mut Vec<Action>) -> Result<(), String> {
    let (path, at) = (rows.text("path")?, rows.long("deletionTimestamp")?);
    for row in rows.valid() {
        out.push(Action::Remove(Remove {
            path: need(path(row), "path")?,
            deletion_timestamp: at(row),
            data_change: false,
        }));
    }
    Ok(())
}

fn read_adds(rows: &Rows<'_>, out: &mut Vec<Action>) -> Result<(), String> {
    let (path, stats) = (rows.text("path")?, rows.text("stats")?);
    let (size, modified) = (rows.long("size")?, rows.long("modificationTime")?);
    let deleted = rows.column.column_by_name("deletionVector");
    for row in rows.valid() {
        out.push(Action::Add(Add {
            path: need(path(row), "path")?,
            partition_values: rows.map("partitionValues", row)?,
            size: need(size(row), "size")?,
            modification_time: modified(row).unwrap_or(0),
            data_change: false,
            stats: stats(row),
            tags: Some(rows.map("tags", row)?).filter(|tags| !tags.is_empty()),
            deletion_vector: deleted.filter(|d| d.is_valid(row)).map(|_| serde_json::Value::Null),
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::schema::new_metadata;
    use bartizan_model::{Kind, Micros};

    #[test]
    fn a_checkpoint_reads_back_as_it_was_written() {
        let add = |n: u32, date: Option<&str>| Add {
            path: format!("date=x/{n}.parquet"),
            partition_values: BTreeMap::from([("date".into(), date.map(str::to_owned))]),
            size: i64::from(n),
            modification_time: 4,
            data_change: false,
            stats: (n > 1).then(|| "{}".into()),
            tags: (n == 1).then(|| BTreeMap::from([("k".into(), Some("v".into()))])),
            deletion_vector: None,
        };
        let snapshot = Snapshot {
            protocol: Protocol::OURS,
            metadata: new_metadata(Kind::Events.into(), Micros(7_000)),
            txns: (0..3).map(|n| Txn { app_id: n.to_string(), version: n, last_updated: Some(n) }).collect(),
            adds: vec![add(1, None), add(2, Some("2026-01-02"))],
            removes: vec![Remove { path: "gone".into(), deletion_timestamp: Some(6), data_change: false }],
        };
        let actions = decode(snapshot.encode().unwrap()).unwrap();
        let mut expected =
            vec![Action::Protocol(snapshot.protocol.clone()), Action::MetaData(snapshot.metadata.clone())];
        expected.extend(snapshot.txns.iter().cloned().map(Action::Txn));
        expected.extend(snapshot.removes.iter().cloned().map(Action::Remove));
        expected.extend(snapshot.adds.iter().cloned().map(Action::Add));
        assert_eq!(actions, expected);
    }

    #[test]
    fn a_damaged_checkpoint_is_an_error() {
        assert!(decode(Bytes::from_static(b"PAR1 and no more")).is_err());
        assert!(decode(Bytes::new()).is_err());
    }
}
