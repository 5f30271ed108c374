//! Events in the order in which they arrived.

use super::Engine;
use super::columns::column;
use crate::lower;
use crate::source::Window;
use crate::stream::RowStream;
use crate::{QueryError, Scoped};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use bartizan_filter::Filter;
use bartizan_model::{Kind, Micros};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};
use std::fmt;
use std::str::FromStr;
use std::time::Instant;

/// A place in the order of arrival: the moment of a batch, which it shares with no other, and a row in it. Written as
/// `MICROSECONDS.ROW`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    received: Micros,
    row: i32,
}

/// A text that is no place in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place in a tail; take it as the `id` of an event gives it")]
pub struct ArrivalError(String);

impl Arrival {
    /// The place of a row of a batch of events.
    #[must_use]
    pub fn of(batch: &RecordBatch, row: usize) -> Option<Self> {
        let received = batch.column_by_name("received")?.as_primitive_opt::<TimestampMicrosecondType>()?;
        let place = batch.column_by_name("row")?.as_primitive_opt::<Int32Type>()?;
        (row < batch.num_rows())
            .then(|| Self { received: Micros(received.value(row)), row: place.value(row) })
    }

    /// The last of a batch that arrived then.
    #[must_use]
    pub const fn end_of(received: Micros) -> Self {
        Self { received, row: i32::MAX }
    }

    /// When its batch arrived.
    #[must_use]
    pub const fn received(self) -> Micros {
        self.received
    }

    /// Rows behind this one, as an expression.
    fn behind(self) -> Expr {
        let same = column("received").eq(moment(self.received));
        column("received").gt(moment(self.received)).or(same.and(column("row").gt(lit(self.row))))
    }
}

fn moment(time: Micros) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(time.0), Some("UTC".into())))
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.received.0, self.row)
    }
}

impl FromStr for Arrival {
    type Err = ArrivalError;

    fn from_str(text: &str) -> Result<Self, ArrivalError> {
        let parse = || {
            let (received, row) = text.trim().split_once('.')?;
            let row = row.parse().ok().filter(|row| *row >= 0)?;
            Some(Self { received: Micros(received.parse().ok()?), row })
        };
        parse().ok_or_else(|| ArrivalError(text.chars().take(80).collect()))
    }
}

impl Engine {
    /// Events that arrived behind one place and not behind another, in the order of arrival.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn arrivals(
        &self,
        filter: &Filter,
        after: Arrival,
        until: Arrival,
    ) -> Result<RowStream, QueryError> {
        let engine = self.asked();
        let filter = &engine.sight().scoped(Kind::Events, filter)?;
        loop {
            match engine.arrivals_once(filter, after, until).await {
                Err(error) => engine.planner.mend(error).await?,
                done => return done,
            }
        }
    }

    async fn arrivals_once(
        &self,
        filter: &Scoped<'_>,
        after: Arrival,
        until: Arrival,
    ) -> Result<RowStream, QueryError> {
        let started = Instant::now();
        let mut view = self.view(Kind::Events, Window::ALL)?;
        let touches = |bounds: Option<(Micros, Micros)>| {
            bounds.is_none_or(|(min, max)| max >= after.received && min <= until.received)
        };
        view.files.retain(|file| touches(file.received));
        view.hot.retain(|batch| touches(arrived(batch)));
        let files = view.files.len();
        // First what is in bounds: that prunes.
        let inside = column("received")
            .gt_eq(moment(after.received))
            .and(column("received").lt_eq(moment(until.received)))
            .and(after.behind());
        let predicate = lower::filter(Kind::Events, filter).and(inside);
        let frame = self.planner.frame(Kind::Events, view, predicate, Window::ALL)?;
        let keys = ["received", "stream", "seq", "row"].map(|name| column(name).sort(true, false));
        let frame = self.planner.in_sight(Kind::Events, frame.sort(keys.to_vec())?)?;
        self.planner.run(frame, files, started).await
    }
}

/// When the rows of a batch arrived.
fn arrived(batch: &RecordBatch) -> Option<(Micros, Micros)> {
    let received = batch.column_by_name("received")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let bounds = received.values().iter().copied();
    bounds.clone().min().zip(bounds.max()).map(|(min, max)| (Micros(min), Micros(max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let place: Arrival = "1795410043684529.12".parse().unwrap();
        assert_eq!(
            (place.received, place.row, place.to_string().as_str()),
            (Micros(1_795_410_043_684_529), 12, "1795410043684529.12")
        );
        assert!(place < Arrival::end_of(place.received));
        for bad in ["", "1", "1.", ".1", "1.x", "1.-1", "1.99999999999"] {
            assert!(bad.parse::<Arrival>().is_err(), "{bad}");
        }
    }
}
