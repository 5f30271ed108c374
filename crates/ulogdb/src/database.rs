//! A database as somebody finds it: which of its tables can be imported, and what is in them.

use crate::error::UlogdbError;
use crate::form::{Found, Order, recognise, recognise_one};
use crate::place::{Engine, Place};
use crate::plan::Plan;
use crate::shape::{Link, Shape, name_of};
use crate::source::{Bounds, TableSource};
use std::time::Duration;

/// What is told for an import, beside the database.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Whose rows they are where no column says it.
    pub host: Option<String>,
    /// The column that says whose a row is.
    pub host_from: Option<String>,
    /// Who delivered the rows, empty for nobody.
    pub sender: String,
    /// Only these tables or views; none for all that are known.
    pub tables: Vec<String>,
    /// Another name for the database: what was imported under the one is nothing to the other.
    pub name: Option<String>,
}

/// What is in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Rows.
    pub rows: u64,
    /// Rows that cannot be imported, as what orders them is absent or below 0.
    pub unplaced: u64,
    /// The first and the last position.
    pub range: Option<(u64, u64)>,
}

/// A database that was looked at.
#[derive(Debug)]
pub struct Database {
    place: Place,
    name: String,
    shapes: Vec<Shape>,
    found: Vec<Found>,
    others: Vec<(String, String)>,
}

impl Database {
    /// Looks at the tables of a database.
    ///
    /// # Errors
    /// If it cannot be reached or refuses, holds none of the tables that were named, or none that is known.
    pub fn open(place: &Place, told: &Told) -> Result<Self, UlogdbError> {
        let (name, shapes) = blocking(async {
            let mut link = Link::open(place).await?;
            let shapes = link.shapes().await?;
            let name = name_of(&mut link, place).await;
            link.close().await;
            Ok((name, shapes))
        })?;
        let name = told.name.clone().or(name).unwrap_or_else(|| place.shown().to_owned());
        let (mut found, mut others) = recognise(place.engine(), &shapes);
        if !told.tables.is_empty() {
            (found, others) = (Vec::new(), Vec::new());
            for table in &told.tables {
                let shape = shapes.iter().find(|s| s.name == *table).ok_or_else(|| {
                    let names: Vec<_> = shapes.iter().map(|s| s.name.as_str()).collect();
                    let what = format!("{} has no table {table}; it has {}", place.shown(), listed(&names));
                    UlogdbError::Shape(what)
                })?;
                let one = recognise_one(place.engine(), shape, &shapes);
                found.push(one.map_err(|why| {
                    let columns: Vec<_> = shape.columns.iter().map(|c| c.name.as_str()).collect();
                    UlogdbError::Shape(format!(
                        "{table} cannot be imported: {why}; it has {}",
                        listed(&columns)
                    ))
                })?);
            }
        }
        if found.is_empty() {
            let names: Vec<_> = shapes.iter().map(|s| s.name.as_str()).collect();
            return Err(UlogdbError::Shape(format!(
                "{} holds no table of ulogd (ulog, ulog2, ulog2_ct, nfacct, ulog_ct, ulog_pkt) and none whose columns \
                 are named as ulogd's keys; it has {}",
                place.shown(),
                listed(&names)
            )));
        }
        Ok(Self { place: place.clone(), name, shapes, found, others })
    }

    /// Its URL without user and password.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.place.shown()
    }

    /// The tables that can be imported.
    #[must_use]
    pub fn tables(&self) -> &[Found] {
        &self.found
    }

    /// The other tables, and why not.
    #[must_use]
    pub fn others(&self) -> &[(String, String)] {
        &self.others
    }

    /// What is in a table. Counts its rows, which takes a while.
    ///
    /// # Errors
    /// If the database fails.
    pub fn glance(&self, found: &Found) -> Result<Glance, UlogdbError> {
        let plan = Plan::new(self.place.engine(), found, None);
        blocking(async {
            let mut link = Link::open(&self.place).await?;
            let rows = link.number(&plan.count(), "count the rows").await?;
            let glance = Glance {
                rows: rows.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
                unplaced: unplaced(&mut link, &plan).await?,
                range: range(&mut link, &plan).await?,
            };
            link.close().await;
            Ok(glance)
        })
    }

    /// A table as the source of an import.
    ///
    /// # Errors
    /// If nothing says whose its rows are, or the database fails.
    pub fn source(&self, found: &Found, told: &Told) -> Result<TableSource, UlogdbError> {
        if let Some(column) = &told.host_from
            && !found.shape.has(column)
            && told.host.is_none()
        {
            let texts: Vec<_> = found.shape.columns.iter().map(|c| c.name.as_str()).collect();
            let what = format!("{} has no column {column}; it has {}", found.table(), listed(&texts));
            return Err(UlogdbError::Shape(what));
        }
        if told.host.is_none() && told.host_from.is_none() {
            let column = ["local_hostname", "hostname", "host"].iter().find(|name| found.shape.has(name));
            let hint = match column {
                Some(column) => format!("say --host NAME, or --host-from {column}"),
                None => "say --host NAME, or --host-from COLUMN if a column names it".to_owned(),
            };
            let what = format!("{} does not say whose its rows are: {hint}", found.table());
            return Err(UlogdbError::Shape(what));
        }
        let plan = Plan::new(self.place.engine(), found, told.host_from.as_deref());
        let (range, total, unplaced, first) = blocking(async {
            let mut link = Link::open(&self.place).await?;
            let range = range(&mut link, &plan).await?;
            let unplaced = unplaced(&mut link, &plan).await?;
            let total = match (&plan.order, range) {
                // near enough, and found at once
                (Order::Key { .. } | Order::Scan { .. }, Some((first, last))) => last - first + 1,
                _ => link.number(&plan.count(), "count the rows").await?.map_or(0, |n| n.unsigned_abs()),
            };
            let first = match (self.place.engine(), range) {
                (Engine::Sqlite, Some((first, _))) => {
                    Some(crate::fetch::first_row(&mut link, &plan, first).await?)
                }
                _ => None,
            };
            settle(&mut link).await?;
            link.close().await;
            Ok((range, total, unplaced, first))
        })?;
        // A file has no name of its own: it is the one that begins with this row.
        let name = match first {
            Some(row) if told.name.is_none() => crate::source::digest(&row),
            _ => self.name.clone(),
        };
        let bounds = Bounds { range, total, unplaced };
        Ok(TableSource::new(self.place.clone(), found, plan, told, &name, bounds))
    }

    /// Whether a table or view of this name is there.
    #[must_use]
    pub fn has(&self, table: &str) -> bool {
        self.shapes.iter().any(|s| s.name == table)
    }
}

/// Names for a message.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 40;
    match names {
        [] => "none".into(),
        names if names.len() > SHOWN => {
            format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN)
        }
        names => names.join(", "),
    }
}

async fn unplaced(link: &mut Link, plan: &Plan) -> Result<u64, UlogdbError> {
    let rows = link.number(&plan.unplaced(), "count the rows without a key").await?;
    Ok(rows.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// The first position and the last one that is surely complete.
///
/// By key, that is the last key; who writes while this is asked has a higher one, see [`settle`]. By time, it is
/// the last microsecond a minute ago: rows of one moment come one by one.
async fn range(link: &mut Link, plan: &Plan) -> Result<Option<(u64, u64)>, UlogdbError> {
    const WHAT: &str = "find the first and the last row";
    let low = link.number(&plan.extreme("MIN"), WHAT).await?;
    let high = link.number(&plan.extreme("MAX"), WHAT).await?;
    let (Some(low), Some(high)) = (low, high.and_then(|n| u64::try_from(n).ok())) else { return Ok(None) };
    let low = u64::try_from(low).unwrap_or(0);
    if !matches!(plan.order, Order::Time { .. }) {
        return Ok(Some((low, high)));
    }
    let now = match link {
        Link::Postgres(_) => "SELECT extract(epoch FROM now())::bigint",
        Link::Mysql(_) => "SELECT CAST(UNIX_TIMESTAMP() AS SIGNED)",
        Link::Sqlite(_) => "SELECT CAST(strftime('%s', 'now') AS INTEGER)",
    };
    let now = link.number(now, "ask for the time").await?.and_then(|n| u64::try_from(n).ok());
    let high = high.min(now.unwrap_or(u64::MAX).saturating_sub(60));
    Ok((low <= high)
        .then(|| (low.saturating_mul(1_000_000), high.saturating_mul(1_000_000).saturating_add(999_999))))
}

/// Waits until rows with lower keys than those already seen cannot appear any more.
///
/// A key is drawn before its row can be seen, so of two writers the one with the lower key may be the later one. For
/// PostgreSQL this waits until all that was being written is written, at most 10 s; elsewhere for a second. SQLite
/// has one writer at a time.
async fn settle(link: &mut Link) -> Result<(), UlogdbError> {
    const WHAT: &str = "ask for the running transactions";
    match link {
        Link::Sqlite(_) => {}
        Link::Mysql(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        Link::Postgres(_) => {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let sql = "SELECT txid_snapshot_xmax(txid_current_snapshot())";
            let begun = link.number(sql, WHAT).await?;
            for _ in 0..100 {
                let sql = "SELECT txid_snapshot_xmin(txid_current_snapshot())";
                if link.number(sql, WHAT).await? >= begun {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tracing::warn!(
                "a transaction in the database has been running for long; rows that it adds may be missed"
            );
        }
    }
    Ok(())
}

/// Runs to its end on a thread of its own, whatever runs on this one.
pub(crate) fn blocking<T: Send>(
    work: impl Future<Output = Result<T, UlogdbError>> + Send,
) -> Result<T, UlogdbError> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(no_thread)?.block_on(work)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

pub(crate) fn no_thread(error: std::io::Error) -> UlogdbError {
    UlogdbError::Database { doing: "start a thread".into(), source: sqlx::Error::Io(error) }
}
