//! Copies of the lake in SQL databases, for tools that read ulogd's schema.
//!
//! - A copy follows the entries of a table's log, in their order; how far it has come stands in the database beside
//!   the rows (see `bartizan_ulogdb`). The log is kept from there on, however long the database is away.
//! - An entry that is not kept any more (the sink was not configured for longer than the log is kept) is passed over
//!   for everything that came since the last row that was copied: rows of that moment may be there twice then.
//! - When anything fails, all of it is begun again, after pauses of up to a minute. The lake never waits for a copy.
//! - Memory holds one data file as it is packed and [`ROWS`] rows, for each table of each sink.

use anyhow::Context as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array as _, RecordBatch};
use bartizan_filter::{Filter, Matcher};
use bartizan_lake::{DataFile, ErrorKind, LakeError, Table, Tables};
use bartizan_model::Kind;
use bartizan_schema::table_schema;
use bartizan_ulogdb::{Engine, Place, Position, SinkTable, UlogdbError};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// Rows of one transaction.
const ROWS: usize = 8192;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a position without rows is written, and a lag is told.
const NOW_AND_THEN: Duration = Duration::from_secs(60);
/// Microseconds behind from which on a lag is told.
const LAG: i64 = 60_000_000;

/// `[[sink]]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenSink {
    /// What it is called; tells its position from other sinks' in the same database.
    pub name: String,
    /// Where: `postgres://USER@HOST/DATABASE` or `mysql://USER@HOST/DATABASE`.
    pub url: String,
    /// A file with the password in its first line.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// What is copied: `events`, `flows`.
    #[serde(default = "events")]
    pub tables: Vec<String>,
    /// Only rows that match.
    #[serde(default)]
    pub filter: String,
    /// `now`, or `beginning` to copy what is in the lake already.
    #[serde(default = "now")]
    pub from: String,
    /// The table for events.
    #[serde(default = "events_table")]
    pub events_table: String,
    /// The table for flows.
    #[serde(default = "flows_table")]
    pub flows_table: String,
}

fn events() -> Vec<String> {
    vec![Kind::Events.as_str().to_owned()]
}

fn now() -> String {
    "now".into()
}

fn events_table() -> String {
    "ulog2".into()
}

fn flows_table() -> String {
    "ulog2_ct".into()
}

/// A sink that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("sink `{name}`: {problem}")]
pub struct SinkError {
    name: String,
    problem: String,
}

/// A sink as it was meant: one copy of one table.
#[derive(Clone, Debug)]
pub struct Sink {
    name: String,
    place: Place,
    kind: Kind,
    table: String,
    filter: Option<Filter>,
    from_beginning: bool,
}

impl Sink {
    /// The copies that a written sink means.
    ///
    /// # Errors
    /// Names the sink and what is wrong with it; never a password.
    pub fn all(written: WrittenSink) -> Result<Vec<Self>, SinkError> {
        let wrong = |problem: String| SinkError { name: written.name.clone(), problem };
        if written.name.is_empty() || written.name.len() > 64 {
            return Err(wrong("a name has 1 to 64 bytes".into()));
        }
        let place =
            Place::new(&written.url, written.password_file.as_deref()).map_err(|e| wrong(e.to_string()))?;
        if place.engine() == Engine::Sqlite {
            return Err(wrong("url: a sink is a PostgreSQL, MySQL or MariaDB database".into()));
        }
        let from_beginning = match written.from.as_str() {
            "now" => false,
            "beginning" => true,
            other => return Err(wrong(format!("from: `{other}` is neither `now` nor `beginning`"))),
        };
        let copy = |table: &String| {
            let (kind, target) = match table.as_str() {
                "events" => (Kind::Events, &written.events_table),
                "flows" => (Kind::Flows, &written.flows_table),
                other => return Err(wrong(format!("tables: `{other}` is neither `events` nor `flows`"))),
            };
            let filter = Filter::parse_for(kind, &written.filter, &bartizan_filter::Context::default());
            let filter = filter.map_err(|e| wrong(format!("filter: {e}")))?;
            Ok(Self {
                name: written.name.clone(),
                place: place.clone(),
                kind,
                table: target.clone(),
                filter: (!written.filter.trim().is_empty()).then_some(filter),
                from_beginning,
            })
        };
        if written.tables.is_empty() {
            return Err(wrong("tables: none".into()));
        }
        written.tables.iter().map(copy).collect()
    }

    fn follower(&self) -> String {
        format!("sink {}", self.name)
    }
}

/// Starts all copies. From here on the log is kept for them.
pub(crate) fn start(
    sinks: &[Sink],
    tables: &Tables,
    stopped: &watch::Receiver<bool>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let one = |sink: &Sink| {
        let lake = tables.of(sink.kind).clone();
        lake.hold(&sink.follower(), 0);
        tokio::spawn(run(sink.clone(), lake, stopped.clone()))
    };
    sinks.iter().map(one).collect()
}

async fn run(sink: Sink, lake: Table, mut stopped: watch::Receiver<bool>) {
    let (name, kind) = (sink.name.clone(), sink.kind);
    let mut copy = Copy { matcher: sink.filter.as_ref().map(Matcher::new), sink, lake, rows: 0 };
    let mut pause = FIRST_PAUSE;
    loop {
        let before = copy.rows;
        let error = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            error = copy.follow() => error,
        };
        if copy.rows > before {
            pause = FIRST_PAUSE;
        }
        tracing::warn!(sink = %name, %kind, error = format!("{error:#}"), pause_s = pause.as_secs(), "the copy stands still");
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One copy of one table.
struct Copy {
    sink: Sink,
    matcher: Option<Matcher>,
    lake: Table,
    /// Rows copied since the start.
    rows: u64,
}

impl Copy {
    /// Copies until something fails, and says what.
    async fn follow(&mut self) -> anyhow::Error {
        match self.try_follow().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_follow(&mut self) -> anyhow::Result<std::convert::Infallible> {
        let Sink { name, place, kind, table, .. } = self.sink.clone();
        let mut target = SinkTable::open(&place, &name, kind, &table).await?;
        let version = self.lake.view().version;
        let mut at = match target.position().await? {
            Some(at) if at.version <= version + 1 => at,
            // the lake is another one than it was, or is back from a backup
            Some(at) => self.everything_since(&at),
            None => {
                let at = if self.sink.from_beginning {
                    Position { version, snapshot: true, ..Position::default() }
                } else {
                    Position { version: version + 1, ..Position::default() }
                };
                self.write(&mut target, &nothing(kind), &at, i64::MIN).await?;
                at
            }
        };
        tracing::info!(sink = %name, %kind, database = place.shown(), version = at.version, "copying");
        let mut changed = self.lake.watch();
        let mut told = tokio::time::Instant::now();
        let mut written = at.version;
        loop {
            self.lake.hold(&self.sink.follower(), at.version);
            let quiet = told.elapsed() >= NOW_AND_THEN;
            if quiet {
                told = tokio::time::Instant::now();
                self.tell_lag(&at);
            }
            let (files, since) = if at.snapshot {
                (self.snapshot(&at).await?, at.since)
            } else {
                match self.lake.entry(at.version).await {
                    Ok(Some(files)) => (files, i64::MIN),
                    Ok(None) => {
                        if quiet && written < at.version {
                            self.write(&mut target, &nothing(self.sink.kind), &at, i64::MIN).await?;
                            written = at.version;
                        }
                        // A change between the question and this is one that is seen.
                        drop(tokio::time::timeout(NOW_AND_THEN, changed.changed()).await);
                        continue;
                    }
                    Err(LakeError::Gap { .. }) => {
                        at = self.everything_since(&at);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            let begun = self.rows;
            for file in files.iter().filter(|f| f.path().as_ref() >= at.file.as_str()).collect::<Vec<_>>() {
                self.file(&mut target, file, &mut at, since).await?;
            }
            if self.rows > begun {
                written = at.version;
            }
            let version = at.version + 1;
            at = Position { version, received: at.received, ..Position::default() };
        }
    }

    /// Where to go on when the entry that is next is not there any more.
    fn everything_since(&self, at: &Position) -> Position {
        tracing::warn!(
            sink = %self.sink.name, kind = %self.sink.kind, entry = at.version,
            "the log does not go on from there; rows of the last moment may be copied twice"
        );
        let version = self.lake.view().version;
        let (received, since) = (at.received, at.received);
        Position { version, snapshot: true, received, since, ..Position::default() }
    }

    /// The files of everything up to an entry, by name; only those with rows that came at or after a moment.
    async fn snapshot(&self, at: &Position) -> anyhow::Result<Vec<DataFile>> {
        let view = self.lake.view();
        let mut later = HashSet::new();
        for version in at.version + 1..=view.version {
            let files = self.lake.entry(version).await?.unwrap_or_default();
            later.extend(files.into_iter().map(|f| f.path().clone()));
        }
        let wanted = |file: &&std::sync::Arc<DataFile>| {
            !later.contains(file.path()) && file.received().is_none_or(|(_, last)| last.0 >= at.since)
        };
        let mut files: Vec<_> = view.files.iter().filter(wanted).map(|f| DataFile::clone(f)).collect();
        files.sort_by(|a, b| a.path().cmp(b.path()));
        Ok(files)
    }

    /// Copies what is not copied of a file.
    async fn file(
        &mut self,
        target: &mut SinkTable,
        file: &DataFile,
        at: &mut Position,
        since: i64,
    ) -> anyhow::Result<()> {
        let name = file.path().as_ref();
        let done = if at.file == name { usize::try_from(at.rows).unwrap_or(0) } else { 0 };
        let mut pieces = match self.lake.pieces(file, done, ROWS).await {
            Err(error) if error.kind() == ErrorKind::Missing && !self.is_named(file) => {
                tracing::warn!(file = name, "a file that the log has forgotten is not copied");
                return Ok(());
            }
            other => other.with_context(|| format!("cannot read {name}"))?,
        };
        let mut rows = done as i64;
        while let Some(batch) = pieces.next().await? {
            rows += i64::try_from(batch.num_rows())?;
            let received = received(&batch).iter().copied().max().unwrap_or(i64::MIN).max(at.received);
            let next = Position { file: name.to_owned(), rows, received, ..at.clone() };
            self.write(target, &batch, &next, since).await?;
            *at = next;
        }
        Ok(())
    }

    fn is_named(&self, file: &DataFile) -> bool {
        self.lake.view().files.iter().any(|named| named.path() == file.path())
    }

    async fn write(
        &mut self,
        target: &mut SinkTable,
        batch: &RecordBatch,
        at: &Position,
        since: i64,
    ) -> Result<(), UlogdbError> {
        let matches = self.matcher.as_ref().map(|matcher| matcher.matches(batch));
        let times = received(batch);
        let wanted = |row: usize| {
            times.get(row).is_none_or(|received| *received >= since)
                && matches.as_ref().is_none_or(|m| m.is_valid(row) && m.value(row))
        };
        self.rows += target.write(batch, wanted, at).await?;
        Ok(())
    }

    /// Says how far behind it is, if it is far.
    fn tell_lag(&self, at: &Position) {
        let lag = bartizan_clock::now().0.saturating_sub(at.received);
        let entries = self.lake.view().version - at.version + 1;
        if entries > 1 && lag > LAG && at.received > 0 {
            tracing::warn!(
                sink = %self.sink.name, kind = %self.sink.kind, behind_s = lag / 1_000_000, entries,
                "the copy is behind"
            );
        }
    }
}

fn nothing(kind: Kind) -> RecordBatch {
    RecordBatch::new_empty(table_schema(kind))
}

fn received(batch: &RecordBatch) -> &[i64] {
    let column =
        batch.column_by_name("received").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    column.map_or(&[], |column| column.values())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        ArrayRef, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray, new_null_array,
    };
    use bartizan_model::{BatchId, Epoch, HostId, Lane, Micros, Seq, StreamId};
    use std::sync::Arc;

    fn written() -> WrittenSink {
        WrittenSink {
            name: "nulog".into(),
            url: "postgres://joe:s3cret@h/d".into(),
            password_file: None,
            tables: vec!["events".into(), "flows".into()],
            filter: String::new(),
            from: now(),
            events_table: events_table(),
            flows_table: flows_table(),
        }
    }

    #[test]
    fn a_sink_is_a_copy_of_each_table() {
        let sinks = Sink::all(written()).unwrap();
        let tables: Vec<_> = sinks.iter().map(|s| (s.kind, s.table.as_str(), s.from_beginning)).collect();
        assert_eq!(tables, [(Kind::Events, "ulog2", false), (Kind::Flows, "ulog2_ct", false)]);
        assert!(!format!("{sinks:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn a_copy_that_goes_on_leaves_no_older_file_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(bartizan_lake::DurableLocal::new(dir.path()).unwrap());
        let options = bartizan_lake::Options::default();
        let lake = Table::open(store, Kind::Events, options, Micros(1)).await.unwrap();
        for (seq, received) in [(1, 900), (2, 100), (3, 500)] {
            let stream = StreamId { host: HostId::from_bytes([1; 16]), lane: Lane::DISK[0], epoch: Epoch(1) };
            let id = BatchId { stream, seq: Seq(seq) };
            lake.append(id, vec![row(received)], 10, Micros(received)).unwrap();
            lake.commit(Micros(received)).await.unwrap();
        }
        let sink = Sink::all(written()).unwrap().remove(0);
        let copy = Copy { sink, matcher: None, lake: lake.clone(), rows: 0 };
        let version = lake.view().version;
        let begun = Position { version, snapshot: true, received: 900, ..Position::default() };
        assert_eq!(copy.snapshot(&begun).await.unwrap().len(), 3);
        let earlier = Position { version: version - 1, ..begun.clone() };
        assert_eq!(copy.snapshot(&earlier).await.unwrap().len(), 2, "the last is in an entry of its own");
        let again = copy.everything_since(&Position { received: 500, ..begun });
        assert_eq!((again.version, again.since), (version, 500));
        assert_eq!(copy.snapshot(&again).await.unwrap().len(), 2);
    }

    fn row(received: i64) -> RecordBatch {
        let schema = table_schema(Kind::Events);
        let column = |field: &Arc<arrow_schema::Field>| -> ArrayRef {
            let time = |at| Arc::new(TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC"));
            match field.name().as_str() {
                "time" | "received" => time(received),
                "seq" | "packets" => Arc::new(Int64Array::from(vec![1])),
                "row" => Arc::new(Int32Array::from(vec![0])),
                _ if field.is_nullable() => new_null_array(field.data_type(), 1),
                name => Arc::new(StringViewArray::from(vec![name])),
            }
        };
        RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(column).collect()).unwrap()
    }

    #[test]
    fn wrong_sinks_are_named_and_their_passwords_are_not() {
        let error = |written: WrittenSink| Sink::all(written).unwrap_err().to_string();
        assert_eq!(
            error(WrittenSink { from: "then".into(), ..written() }),
            "sink `nulog`: from: `then` is neither `now` nor `beginning`"
        );
        assert_eq!(
            error(WrittenSink { tables: vec!["losses".into()], ..written() }),
            "sink `nulog`: tables: `losses` is neither `events` nor `flows`"
        );
        assert!(error(WrittenSink { filter: "dport:".into(), ..written() }).contains("filter: "));
        let url = error(WrittenSink { url: "mysql://joe:s3cret@h:x/d".into(), ..written() });
        assert!(url.contains("not understood") && !url.contains("s3cret"), "{url}");
        assert!(error(WrittenSink { url: "sqlite:x".into(), ..written() }).contains("PostgreSQL"));
    }
}
