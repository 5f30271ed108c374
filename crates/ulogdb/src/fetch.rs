//! Rows out of a database, chunk by chunk, ahead of whoever makes records of them.

use crate::error::{UlogdbError, doing};
use crate::form::Order;
use crate::plan::{Plan, Selected};
use crate::shape::{Link, Type};
use bartizan_intake::copy::{self, CopyError, CopyRows, CopyWriter};
use futures::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Row as _, TypeInfo as _, ValueRef as _};
use std::sync::mpsc::SyncSender;

/// Rows of a chunk, about: some megabytes.
const CHUNK_ROWS: usize = 16_384;
/// Bytes of rows of a chunk. One row is never cut, and rows with one key stay together.
const CHUNK_BYTES: usize = 32 << 20;

/// Rows between two positions, in the form of `copy`, and those of the children.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub parts: Vec<Vec<u8>>,
    /// The position behind it.
    pub end: u64,
}

/// Sends all chunks from a position on; ends early when nobody wants them.
pub(crate) async fn send_all(
    link: &mut Link,
    plan: &Plan,
    mut start: u64,
    last: u64,
    to: &SyncSender<Result<Chunk, UlogdbError>>,
) -> Result<(), UlogdbError> {
    if !plan.is_in_pieces() {
        if let Link::Mysql(link) = link {
            // whoever reads may be slower than the server likes
            let patience = "SET SESSION net_write_timeout = 3600";
            sqlx::query(patience).execute(link).await.map_err(doing("prepare to read"))?;
        }
        let mut pager = Pager::new(plan);
        let sql = plan.rows(start, last, None);
        each(link, &sql, &plan.parts[0].columns, &plan.table, |bytes| {
            pager.add(bytes)?;
            Ok(pager.full().is_none_or(|chunk| to.send(Ok(chunk)).is_ok()))
        })
        .await?;
        if let Some(chunk) = pager.rest() {
            drop(to.send(Ok(chunk)));
        }
        return Ok(());
    }
    while start <= last {
        let mut pager = Pager::new(plan);
        let sql = plan.rows(start, last, Some(CHUNK_ROWS));
        each(link, &sql, &plan.parts[0].columns, &plan.table, |bytes| pager.add(bytes).map(|()| true))
            .await?;
        let was_all = pager.rows < CHUNK_ROWS;
        let unique = matches!(plan.order, Order::Key { unique: true, .. });
        let Some(mut chunk) = (if was_all || unique { pager.rest() } else { pager.full() }) else {
            if was_all {
                return Ok(());
            }
            let what = format!("more than {CHUNK_ROWS} rows of {} have the same key: it is none", plan.table);
            return Err(UlogdbError::Shape(what));
        };
        for part in 1..plan.parts.len() {
            let mut rows = Vec::new();
            let (sql, columns) = (plan.child(part, start, chunk.end), &plan.parts[part].columns);
            each(link, &sql, columns, &plan.table, |bytes| {
                rows.extend_from_slice(bytes);
                Ok(true)
            })
            .await?;
            chunk.parts.push(rows);
        }
        start = chunk.end;
        if to.send(Ok(chunk)).is_err() || was_all {
            return Ok(());
        }
    }
    Ok(())
}

/// Cuts rows into chunks where the position changes.
struct Pager<'a> {
    plan: &'a Plan,
    bytes: Vec<u8>,
    /// Bytes of whole rows that were looked at.
    walked: usize,
    rows: usize,
    last: Option<u64>,
    /// Where the rows with the last position begin, and the position before.
    cut: Option<(usize, u64)>,
}

impl<'a> Pager<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self { plan, bytes: Vec::new(), walked: 0, rows: 0, last: None, cut: None }
    }

    fn damaged(&self, problem: CopyError) -> UlogdbError {
        UlogdbError::Damaged { table: self.plan.table.clone(), problem }
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), UlogdbError> {
        self.bytes.extend_from_slice(bytes);
        let columns = self.plan.parts[0].columns.len();
        loop {
            let mut fields = [None; 2];
            let fields = &mut fields[..self.plan.positions()];
            let mut rows = CopyRows::new(&self.bytes[self.walked..]);
            let before = rows.left();
            match rows.next_of(columns, fields) {
                Ok(true) => {
                    let position = position(fields);
                    let read = before - rows.left();
                    if let Some(last) = self.last
                        && last != position
                    {
                        self.cut = Some((self.walked, last));
                    }
                    self.last = Some(position);
                    self.walked += read;
                    self.rows += 1;
                }
                // the rest of it comes with the next bytes
                Ok(false) | Err(CopyError::Short) => return Ok(()),
                Err(problem) => return Err(self.damaged(problem)),
            }
        }
    }

    /// What is there, without the rows that have the last position, once it is enough for a chunk.
    fn full(&mut self) -> Option<Chunk> {
        if self.rows < CHUNK_ROWS && self.walked < CHUNK_BYTES {
            return None;
        }
        let (at, last) = self.cut.take()?;
        let rest = self.bytes.split_off(at);
        let part = std::mem::replace(&mut self.bytes, rest);
        self.walked -= at;
        self.rows = usize::from(self.walked > 0);
        Some(Chunk { parts: vec![part], end: last.saturating_add(1) })
    }

    /// All of it.
    fn rest(mut self) -> Option<Chunk> {
        let end = self.last?.saturating_add(1);
        self.bytes.truncate(self.walked);
        Some(Chunk { parts: vec![self.bytes], end })
    }
}

/// Where a row stands: its key, or its time in microseconds.
pub(crate) fn position(fields: &[Option<&[u8]>]) -> u64 {
    let number = |field: &Option<&[u8]>| {
        field.and_then(copy::integer).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
    };
    match fields {
        [seconds, micros] => number(seconds).saturating_mul(1_000_000).saturating_add(number(micros)),
        other => other.first().map_or(0, number),
    }
}

/// Gives the rows of an answer as they come, in the form of `copy`, until it is told to stop.
async fn each(
    link: &mut Link,
    sql: &str,
    columns: &[Selected],
    table: &str,
    mut take: impl FnMut(&[u8]) -> Result<bool, UlogdbError>,
) -> Result<(), UlogdbError> {
    let failed = || doing(format!("read {table}"));
    match link {
        Link::Postgres(link) => {
            let sql = format!("COPY ({sql}) TO STDOUT (FORMAT binary)");
            let mut stream = link.copy_out_raw(&sql).await.map_err(failed())?;
            let mut begun = Vec::new();
            let mut has_begun = false;
            while let Some(bytes) = stream.try_next().await.map_err(failed())? {
                let wanted = if has_begun {
                    take(&bytes)?
                } else {
                    begun.extend_from_slice(&bytes);
                    match copy::header(&begun) {
                        Ok(at) => {
                            has_begun = true;
                            take(&begun[at..])?
                        }
                        Err(CopyError::Short) => true,
                        Err(problem) => return Err(UlogdbError::Damaged { table: table.into(), problem }),
                    }
                };
                if !wanted {
                    return Ok(());
                }
            }
        }
        Link::Mysql(link) => {
            let mut rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch(link);
            let mut writer = CopyWriter::default();
            while let Some(row) = rows.try_next().await.map_err(failed())? {
                writer.0.clear();
                mysql_row(&mut writer, &row, columns).map_err(failed())?;
                if !take(&writer.0)? {
                    return Ok(());
                }
            }
        }
        Link::Sqlite(link) => {
            let mut rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch(link);
            let mut writer = CopyWriter::default();
            while let Some(row) = rows.try_next().await.map_err(failed())? {
                writer.0.clear();
                sqlite_row(&mut writer, &row, columns).map_err(failed())?;
                if !take(&writer.0)? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn mysql_row(
    writer: &mut CopyWriter,
    row: &sqlx::mysql::MySqlRow,
    columns: &[Selected],
) -> Result<(), sqlx::Error> {
    writer.row(columns.len());
    for (at, column) in columns.iter().enumerate() {
        if row.try_get_raw(at)?.is_null() {
            writer.null();
        } else if matches!(column.kind, Type::Integer | Type::Bool) {
            // the driver knows the size, but reads either as it is told
            let unsigned = row.try_get_raw(at)?.type_info().name().ends_with("UNSIGNED");
            writer.integer(if unsigned {
                i64::try_from(row.try_get_unchecked::<u64, _>(at)?).unwrap_or(i64::MAX)
            } else {
                row.try_get_unchecked(at)?
            });
        } else {
            writer.bytes(&[row.try_get_unchecked::<&[u8], _>(at)?]);
        }
    }
    Ok(())
}

/// The kinds of value in a field of type [`Type::Any`]: its first byte.
pub(crate) const ANY_INTEGER: u8 = 0;
pub(crate) const ANY_TEXT: u8 = 1;
pub(crate) const ANY_BYTES: u8 = 2;

fn sqlite_row(
    writer: &mut CopyWriter,
    row: &sqlx::sqlite::SqliteRow,
    columns: &[Selected],
) -> Result<(), sqlx::Error> {
    writer.row(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let value = row.try_get_raw(at)?;
        if value.is_null() {
            writer.null();
            continue;
        }
        let kind = value.type_info().name().to_owned();
        match (column.kind, kind.as_str()) {
            (Type::Integer, _) => writer.integer(row.try_get_unchecked(at)?),
            (_, "INTEGER" | "BOOLEAN") => {
                let number: i64 = row.try_get_unchecked(at)?;
                writer.bytes(&[&[ANY_INTEGER], &number.to_be_bytes()]);
            }
            (_, "BLOB") => writer.bytes(&[&[ANY_BYTES], row.try_get_unchecked::<&[u8], _>(at)?]),
            (_, "REAL") => {
                let number: f64 = row.try_get_unchecked(at)?;
                writer.bytes(&[&[ANY_TEXT], number.to_string().as_bytes()]);
            }
            _ => writer.bytes(&[&[ANY_TEXT], row.try_get_unchecked::<&[u8], _>(at)?]),
        }
    }
    Ok(())
}

/// The bytes of the first row.
pub(crate) async fn first_row(link: &mut Link, plan: &Plan, first: u64) -> Result<Vec<u8>, UlogdbError> {
    let mut row = Vec::new();
    let sql = plan.rows(first, first, Some(1));
    each(link, &sql, &plan.parts[0].columns, &plan.table, |bytes| {
        row.extend_from_slice(bytes);
        Ok(true)
    })
    .await?;
    Ok(row)
}
