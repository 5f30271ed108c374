//! The Delta Lake transaction log (protocol: reader 1, writer 2), as far as the lake uses it.
//!
//! An entry `_delta_log/%020d.json` holds one action per line; a checkpoint holds the sum of all actions up to
//! an entry as Parquet. The protocol is described in delta-io/delta `PROTOCOL.md`; names and shapes here are its.

pub(crate) mod checkpoint;
pub(crate) mod load;
pub(crate) mod schema;
pub(crate) mod stats;
pub(crate) mod time;

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The column by whose value files are put in folders: a UTC day.
pub(crate) const PARTITION: &str = "date";
/// What a reader must know to read our tables.
pub(crate) const READER_VERSION: i32 = 1;
/// What a writer must know to write them.
pub(crate) const WRITER_VERSION: i32 = 2;

/// One action of an entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Action {
    CommitInfo(CommitInfo),
    Protocol(Protocol),
    MetaData(Metadata),
    Txn(Txn),
    Add(Add),
    Remove(Remove),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommitInfo {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub operation: &'static str,
    pub operation_parameters: BTreeMap<&'static str, String>,
    pub engine_info: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Protocol {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
}

impl Protocol {
    pub(crate) const OURS: Self =
        Self { min_reader_version: READER_VERSION, min_writer_version: WRITER_VERSION };

    pub(crate) fn is_known(&self) -> bool {
        self.min_reader_version <= READER_VERSION && self.min_writer_version <= WRITER_VERSION
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub format: Format,
    /// The table's columns as JSON text.
    pub schema_string: String,
    pub partition_columns: Vec<String>,
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_time: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Format {
    pub provider: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// How far a writer has got, in the same entry as what it wrote: the exactly-once mark of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Txn {
    pub app_id: String,
    pub version: i64,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Add {
    /// Relative to the table, percent-encoded.
    pub path: String,
    pub partition_values: BTreeMap<String, Option<String>>,
    pub size: i64,
    /// Milliseconds since 1970.
    pub modification_time: i64,
    pub data_change: bool,
    /// JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
    /// What the writer notes about the file, for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, Option<String>>>,
    /// Rows deleted inside the file; never written, never understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_vector: Option<serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remove {
    pub path: String,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<i64>,
    #[serde(default)]
    pub data_change: bool,
}

/// A line of an entry as it is read: actions that do not matter to us are left out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    protocol: Option<Protocol>,
    meta_data: Option<Metadata>,
    txn: Option<Txn>,
    add: Option<Add>,
    remove: Option<Remove>,
}

/// An entry's text, one action per line.
pub(crate) fn print(actions: &[Action]) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::with_capacity(256 * actions.len());
    for action in actions {
        serde_json::to_writer(&mut text, action)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The actions of an entry that matter to the lake's state.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Action>, serde_json::Error> {
    let mut actions = Vec::new();
    for line in text.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()) {
        let line: Line = serde_json::from_slice(line)?;
        actions.extend(line.protocol.map(Action::Protocol));
        actions.extend(line.meta_data.map(Action::MetaData));
        actions.extend(line.txn.map(Action::Txn));
        actions.extend(line.remove.map(Action::Remove));
        actions.extend(line.add.map(Action::Add));
    }
    Ok(actions)
}

/// A file of the log by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFile {
    Entry(i64),
    Checkpoint(i64),
}

impl LogFile {
    pub(crate) fn of(name: &str) -> Option<Self> {
        let (digits, rest) = name.split_at_checked(20)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let version = digits.parse().ok()?;
        match rest {
            ".json" => Some(Self::Entry(version)),
            ".checkpoint.parquet" => Some(Self::Checkpoint(version)),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Entry(v) => format!("{v:020}.json"),
            Self::Checkpoint(v) => format!("{v:020}.checkpoint.parquet"),
        }
    }
}

pub(crate) fn log_folder(table: &Path) -> Path {
    table.clone().join("_delta_log")
}

pub(crate) fn log_path(table: &Path, file: LogFile) -> Path {
    log_folder(table).join(file.name())
}

/// The place of a file that an action names. Nothing if it lies outside the table.
pub(crate) fn data_path(table: &Path, encoded: &str) -> Option<Path> {
    let relative = percent_decode(encoded)?;
    if relative.contains("://") || relative.starts_with('/') {
        return None;
    }
    let below = Path::parse(&relative).ok()?;
    Some(table.parts().chain(below.parts()).collect())
}

fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hi = char::from(bytes.next()?).to_digit(16)?;
            let lo = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(hi * 16 + lo).ok()?);
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_print_as_the_protocol_says_and_parse_back() {
        let actions = vec![
            Action::Protocol(Protocol::OURS),
            Action::Txn(Txn { app_id: "a/0/1".into(), version: 7, last_updated: Some(5) }),
            Action::Add(Add {
                path: "date=2026-01-02/part-1.parquet".into(),
                partition_values: BTreeMap::from([("date".into(), Some("2026-01-02".into()))]),
                size: 9,
                modification_time: 3,
                data_change: true,
                stats: Some("{\"numRecords\":1}".into()),
                tags: Some(BTreeMap::from([("k".into(), Some("v".into()))])),
                deletion_vector: None,
            }),
        ];
        let text = print(&actions).unwrap();
        let expected = concat!(
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#,
            "\n",
            r#"{"txn":{"appId":"a/0/1","version":7,"lastUpdated":5}}"#,
            "\n",
            r#"{"add":{"path":"date=2026-01-02/part-1.parquet","partitionValues":{"date":"2026-01-02"},"size":9,"modificationTime":3,"dataChange":true,"stats":"{\"numRecords\":1}","tags":{"k":"v"}}}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(text.clone()).unwrap(), expected);
        assert_eq!(parse(&text).unwrap(), actions);
        assert_eq!(parse(b"{\"commitInfo\":{\"x\":1}}\n{\"cdc\":{}}\n").unwrap(), []);
        assert!(parse(b"{\"txn\":").is_err());
    }

    #[test]
    fn log_files_are_known_by_their_names() {
        for file in [LogFile::Entry(0), LogFile::Entry(123), LogFile::Checkpoint(200)] {
            assert_eq!(LogFile::of(&file.name()), Some(file));
        }
        for other in
            ["", "_last_checkpoint", "00000000000000000001.crc", "0000000000000000000x.json", "1.json"]
        {
            assert_eq!(LogFile::of(other), None, "{other}");
        }
    }

    #[test]
    fn data_paths_stay_inside_the_table() {
        let table = Path::from("events");
        assert_eq!(
            data_path(&table, "date=2026-01-02/a%20b").unwrap().as_ref(),
            "events/date=2026-01-02/a b"
        );
        for bad in ["../x", "/etc/passwd", "s3://b/x", "a/../../x", "%2e%2e/x", "%zz", "%f"] {
            assert_eq!(data_path(&table, bad), None, "{bad}");
        }
    }
}
