//! A place in an answer in order of time, from which another answer goes on.
//!
//! It is where one row stands, whether or not the row still exists: behind it are the rows that the order puts after
//! it, so that pages join without a gap and without a repetition while rows come, are moved between files, or go.

use crate::engine::{Order, column};
use crate::id::{RowId, RowIdError};
use crate::source::Window;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use bartizan_model::Micros;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, lit};
use std::fmt;
use std::str::FromStr;

/// The columns that make a row's place.
pub(crate) const PLACE: [&str; 4] = ["time", "stream", "seq", "row"];

/// Where a row stands: its time, and what names it. Written as `TIME@ID`, the time in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    time: Micros,
    stream: String,
    seq: i64,
    row: i32,
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no cursor; take it as the `end` line of an answer gives it")]
pub struct PositionError(String);

impl Position {
    /// The place of a row of a batch that has the columns for it.
    #[must_use]
    pub fn of(batch: &RecordBatch, row: usize) -> Option<Self> {
        let [time, stream, seq, place] = PLACE.map(|name| batch.column_by_name(name));
        let (stream, seq, place) = (
            stream?.as_string_view_opt()?,
            seq?.as_primitive_opt::<Int64Type>()?,
            place?.as_primitive_opt::<Int32Type>()?,
        );
        let time = time?.as_primitive_opt::<TimestampMicrosecondType>()?;
        (row < time.len()).then(|| Self {
            time: Micros(time.value(row)),
            stream: stream.value(row).to_owned(),
            seq: seq.value(row),
            row: place.value(row),
        })
    }

    /// Its time.
    #[must_use]
    pub const fn time(&self) -> Micros {
        self.time
    }

    /// The moment that it is in.
    pub(crate) fn moment(&self) -> Window {
        match self.time.0.checked_add(1) {
            Some(after) => Window { since: Some(self.time), until: Some(Micros(after)) },
            None => Window { since: Some(self.time), until: None },
        }
    }

    /// The moments behind its own.
    pub(crate) fn rest(&self, order: Order) -> Window {
        match (order, self.time.0.checked_add(1)) {
            (Order::NewestFirst, _) => Window { since: None, until: Some(self.time) },
            (Order::OldestFirst, Some(after)) => Window { since: Some(Micros(after)), until: None },
            // Nothing is behind the last moment of all.
            (Order::OldestFirst, None) => Window { since: Some(self.time), until: Some(self.time) },
        }
    }

    /// Whether a row of its moment is behind it.
    pub(crate) fn behind(&self, order: Order) -> Expr {
        let stream = || lit(ScalarValue::Utf8View(Some(self.stream.clone())));
        let beyond = |name: &str, value: Expr| match order {
            Order::NewestFirst => column(name).lt(value),
            Order::OldestFirst => column(name).gt(value),
        };
        let same_stream = column("stream").eq(stream());
        let same_batch = same_stream.clone().and(column("seq").eq(lit(self.seq)));
        let later = column("stream").gt(stream());
        later
            .or(same_stream.and(beyond("seq", lit(self.seq))))
            .or(same_batch.and(beyond("row", lit(self.row))))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}/{}", self.time.0, self.stream, self.seq, self.row)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let parse = || {
            let (time, id) = text.trim().split_once('@')?;
            let id: Result<RowId, RowIdError> = id.parse();
            let id = id.ok()?;
            Some(Self {
                time: Micros(time.parse().ok()?),
                stream: id.batch.stream.to_string(),
                seq: id.batch.seq.0.try_into().ok()?,
                row: id.row.try_into().ok()?,
            })
        };
        parse().ok_or_else(|| PositionError(text.chars().take(120).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let text = "-5@07070707070707070707070707070707/2/000000000000feed/42/7";
        let position: Position = text.parse().unwrap();
        assert_eq!((position.time, position.seq, position.row), (Micros(-5), 42, 7));
        assert_eq!(position.to_string(), text);
        for bad in ["", "@", "5", "5@x", "x@07070707070707070707070707070707/2/000000000000feed/42/7"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
        let long = "x".repeat(10_000).parse::<Position>().unwrap_err().to_string();
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn what_is_behind_the_ends_of_time() {
        let at = |time| Position { time: Micros(time), stream: "s".into(), seq: 1, row: 1 };
        assert_eq!(at(i64::MAX).moment(), Window { since: Some(Micros(i64::MAX)), until: None });
        let nothing = at(i64::MAX).rest(Order::OldestFirst);
        assert!(!nothing.touches(Some((Micros(i64::MAX), Micros(i64::MAX)))));
        assert!(!at(i64::MIN).rest(Order::NewestFirst).touches(Some((Micros(i64::MIN), Micros(0)))));
    }
}
